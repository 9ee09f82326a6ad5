"""Tests of recipes/DCASE2019/dcase2019_prepare.py."""

import csv
import importlib.util
import json
import logging
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afpt_plugin.data.captions import read_captions
from afpt_plugin.data.manifests import data_fingerprint, read_manifest
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import CAPTION_FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
REAL = SHARED / "data" / "DCASE2019" / "metadata"
UPSTREAM = SHARED / "captions" / "upstream" / "cap_dcase19.csv"

# By its path: `recipes` is no package, and every recipe has a `train.py`.
spec = importlib.util.spec_from_file_location(
    "dcase2019_prepare",
    REPOSITORY / "recipes" / "DCASE2019" / "dcase2019_prepare.py",
)
dcase2019_prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dcase2019_prepare)
prepare_dcase2019 = dcase2019_prepare.prepare_dcase2019

SILENT, KITCHEN, DOG = (
    "Y-jLujkP1aaw_30.000_40.000.wav",
    "Y00pK0GMmE9s_70.000_80.000.wav",
    "Y_02sD1KJeoG_2.000_12.000.wav",
)
EVENTS = [
    (KITCHEN, "0.000", "10.000", "Frying"),
    (KITCHEN, "1.250", "2.500", "Speech"),
    (SILENT, "", "", ""),
    (KITCHEN, "4.000", "5.125", "Speech"),
    (DOG, "0.5", "10.115", "Dog"),
]
COLUMNS = list(dcase2019_prepare.COLUMNS)
VALIDATION = "metadata/validation/validation.tsv"


def write_metadata(root, events, path=VALIDATION, columns=COLUMNS):
    """Write validation.tsv, or another file of its format."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with open(root / path, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([columns, *events])


def write_audio(folder, names=(SILENT, KITCHEN, DOG)):
    """Write noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        soundfile.write(folder / name, rng.uniform(-0.5, 0.5, 800), 8000)


@pytest.fixture
def root(tmp_path):
    """A tiny validation set."""
    root = tmp_path / "data" / "dataset"
    write_metadata(root, EVENTS)
    write_audio(root / "audio" / "validation")
    return root


@pytest.fixture
def save(tmp_path):
    """Where the manifest goes."""
    return tmp_path / "save"


def prepared(save):
    """What prepare.json says."""
    return json.loads((save / "prepare.json").read_text())


def test_the_classes_are_the_papers():
    assert dcase2019_prepare.DCASE2019_CLASSES == [
        "alarm bell ringing",
        "blender",
        "cat",
        "dishes",
        "dog",
        "electric shaver toothbrush",
        "frying",
        "running water",
        "speech",
        "vacuum cleaner",
    ]


def test_the_classes_are_those_of_our_captions():
    names = dcase2019_prepare.DCASE2019_CLASSES
    captions = read_captions(CAPTION_FOLDER / "dcase2019.csv", names)
    assert {i for c in captions for i in c.labels} == set(range(10))


@pytest.mark.parametrize("inside", ["..", "", "audio", "metadata"])
def test_events_become_labels_and_eventless_recordings_are_left_out(
    root, save, caplog, inside
):
    with caplog.at_level(logging.INFO):
        assert prepare_dcase2019(str(root / inside), str(save)) is None
    assert "1 of 3 recordings have no event" in caplog.text
    assert "not used" not in caplog.text
    rows = read_manifest(save / "test.csv")
    assert [(r["ID"] + ".wav", r["label"], r["duration"]) for r in rows] == [
        (KITCHEN, "frying|speech", 0.1),
        (DOG, "dog", 0.1),
    ]
    assert all(
        Path(r["wav"]).parent == root / "audio" / "validation" for r in rows
    )
    assert prepared(save) == {
        "dataset": "DCASE2019 task 4",
        "settings": {
            "data_folder": str(root),
            "subset": "validation",
            "allow_missing": 0,
        },
        "n_recordings": 2,
        "n_left_out": 0,
        "left_out": [],
        "n_without_event": 1,
        "without_event": [SILENT],
        "data_fingerprint": data_fingerprint(rows),
        "class_names": dcase2019_prepare.DCASE2019_CLASSES,
    }


def test_an_eventless_recording_need_not_be_there(root, save):
    (root / "audio" / "validation" / SILENT).unlink()
    prepare_dcase2019(root, save)
    assert prepared(save)["n_recordings"] == 2


def test_the_public_set_is_chosen_by_name(root, save):
    name = "1Ro0FgMWTUE_120_130.wav"
    write_metadata(
        root, [(name, "0", "11.0", "Cat")], "metadata/eval/public.tsv"
    )
    write_audio(root / "audio" / "eval" / "public", [name])
    prepare_dcase2019(root, save, subset="public")
    (row,) = read_manifest(save / "test.csv")
    assert (row["ID"], row["label"]) == ("1Ro0FgMWTUE_120_130", "cat")
    assert prepared(save)["settings"]["subset"] == "public"
    prepare_dcase2019(root, save)
    assert prepared(save)["n_recordings"] == 2


def test_other_spellings_of_the_layout_are_found(root, save):
    prepare_dcase2019(root, save)
    first = prepared(save)["data_fingerprint"]
    audio = root / "audio" / "validation"
    audio.rename(root / "audio" / "was")
    audio.mkdir()
    (root / "audio" / "was").rename(audio / "validation")
    (root / VALIDATION).rename((root / VALIDATION).with_suffix(".csv"))
    prepare_dcase2019(root, save)
    assert prepared(save)["data_fingerprint"] == first
    rows = read_manifest(save / "test.csv")
    assert {Path(r["wav"]).parent for r in rows} == {audio / "validation"}


def test_a_rerun_without_changes_reads_and_writes_nothing(root, save, caplog):
    prepare_dcase2019(root, save)
    before = {p.name: p.stat().st_mtime_ns for p in save.iterdir()}
    for path in (root / "audio" / "validation").iterdir():
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))  # reading it would be an error
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with caplog.at_level(logging.INFO):
        prepare_dcase2019(root, save)
    assert {p.name: p.stat().st_mtime_ns for p in save.iterdir()} == before
    assert "unchanged, 2 recordings" in caplog.text


def test_skip_prep_does_nothing(tmp_path, save):
    prepare_dcase2019(tmp_path / "nowhere", save, skip_prep=True)
    assert not save.exists()


@pytest.mark.parametrize("subset", ["eval", None, ["public"]])
def test_an_unknown_subset_is_refused(root, save, subset):
    with pytest.raises(InputError, match="subset: .* validation, public"):
        prepare_dcase2019(root, save, subset=subset)


def test_missing_metadata_names_the_file_and_the_ways_out(root, save):
    (root / VALIDATION).unlink()
    with pytest.raises(InputError) as caught:
        prepare_dcase2019(root, save)
    for part in (str(root / VALIDATION), "--data_folder samples"):
        assert part in str(caught.value)


def test_missing_audio_names_the_folder(root, save):
    shutil.rmtree(root / "audio" / "validation")
    with pytest.raises(
        InputError, match="dataset: no folder audio/validation,"
    ):
        prepare_dcase2019(root, save)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(root, save, column):
    kept = [i for i, name in enumerate(COLUMNS) if name != column]
    write_metadata(
        root,
        [[event[i] for i in kept] for event in EVENTS],
        columns=[COLUMNS[i] for i in kept],
    )
    with pytest.raises(InputError, match=f"tion.tsv: no column {column}"):
        prepare_dcase2019(root, save)


def test_metadata_without_an_event_is_refused(root, save):
    write_metadata(root, [EVENTS[2]])
    with pytest.raises(InputError, match="no recording has an event"):
        prepare_dcase2019(root, save)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (("0", "1", "Woof"), "wrongly labelled: event_label 'Woof' is unknown"),
        (("0", "1", "dog"), "wrongly labelled: event_label 'dog' is unknown"),
        (("0", "1", ""), "wrongly labelled: event_label '' is unknown"),
        (("", "", ""), "wrongly labelled: event_label '' is unknown"),
        (("2.5", "2.5", "Cat"), "wrongly timed: onset 2.5, offset 2.5"),
        (("3", "2.5", "Cat"), "wrongly timed: onset 3, offset 2.5"),
        (("-1", "2", "Cat"), "wrongly timed: onset -1, offset 2"),
        (("0", "inf", "Cat"), "wrongly timed: onset 0, offset inf"),
        (("nan", "2", "Cat"), "wrongly timed: onset nan, offset 2"),
        (("a", "2", "Cat"), "onset 'a' is no number"),
        (("0", "", "Cat"), "offset '' is no number"),
        (("0", "1,5", "Cat"), "offset '1,5' is no number"),
    ],
)
def test_a_damaged_event_is_reported_with_its_line(root, save, event, reason):
    write_metadata(root, [*EVENTS, (KITCHEN, *event)])
    with pytest.raises(
        InputError, match=rf"1 of 2 .*\n.*{KITCHEN}: {reason} \(line 7 of"
    ):
        prepare_dcase2019(root, save)
    assert not (save / "test.csv").exists()
    prepare_dcase2019(root, save, allow_missing=1)
    assert prepared(save)["n_recordings"] == 1


@pytest.mark.parametrize("name", ["dog.wav", f"../{DOG}", DOG + ".mp3", ""])
def test_a_row_that_names_no_recording_is_reported(root, save, name):
    write_metadata(root, [*EVENTS, (name, "0", "1", "Dog")])
    with pytest.raises(InputError, match=r"1 of 3 .*\n.*: named otherwise"):
        prepare_dcase2019(root, save)


def test_damaged_and_missing_clips_are_reported_together(root, save):
    audio = root / "audio" / "validation"
    (audio / DOG).unlink()
    (audio / KITCHEN).write_bytes((audio / KITCHEN).read_bytes()[:500])
    write_metadata(
        root, [*EVENTS, ("Y0000000000A_0.000_1.000.wav", "0", "1", "Dog")]
    )
    write_audio(root / "elsewhere", ["Y0000000000A_0.000_1.000.wav"])
    shutil.move(root / "elsewhere" / "Y0000000000A_0.000_1.000.wav", audio)
    with pytest.raises(InputError) as caught:
        prepare_dcase2019(root, save, allow_missing=1)
    assert "2 of 3 recordings cannot be used" in str(caught.value)
    assert f"{DOG}: missing" in str(caught.value)
    assert f"{KITCHEN}: truncated" in str(caught.value)
    prepare_dcase2019(root, save, allow_missing=2)
    assert prepared(save)["n_left_out"] == 2


def test_clips_without_a_row_are_warned_about(root, save, caplog):
    write_metadata(root, EVENTS[:-1])
    with caplog.at_level(logging.WARNING):
        prepare_dcase2019(root, save)
    assert "1 files in" in caplog.text and DOG in caplog.text


def test_the_public_set_is_downloaded_when_asked(
    root, save, tmp_path, monkeypatch
):
    name = "1Ro0FgMWTUE_120_130.wav"
    write_metadata(root, [(name, "0", "1", "Cat")], "metadata/eval/public.tsv")
    write_audio(root / "audio" / "eval" / "public", [name])
    archive = shutil.make_archive(
        tmp_path / "public", "gztar", root.parent, root.name
    )
    url = Path(archive).as_uri()
    monkeypatch.setattr(dcase2019_prepare, "DCASE2019_DOWNLOAD_URL", url)
    target = tmp_path / "new"
    prepare_dcase2019(target, save, download=True, subset="public")
    assert prepared(save)["n_recordings"] == 1


def test_a_download_of_the_validation_set_says_where_it_is_to_be_had(
    save, tmp_path
):
    with pytest.raises(InputError) as caught:
        prepare_dcase2019(tmp_path, save, download=True)
    for part in ("YouTube", "turpaultn/DCASE2019_task4", "--subset public"):
        assert part in str(caught.value)


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the shared metadata of DCASE2019 is not there"
)
@pytest.mark.parametrize(
    ("subset", "n_recordings", "n_without_event"),
    [("validation", 1153, 15), ("public", 692, 0)],
)
def test_the_real_metadata_is_read_whole(
    save, tmp_path, monkeypatch, subset, n_recordings, n_without_event
):
    root = tmp_path / "dataset"
    shutil.copytree(REAL, root / "metadata")
    for folder in ("validation", "eval/public"):
        (root / "audio" / folder).mkdir(parents=True)
    seen = []
    monkeypatch.setattr(
        dcase2019_prepare,
        "prepare_test_set",
        lambda *a, **k: seen.extend([a, k]),
    )
    prepare_dcase2019(root, save, subset=subset)
    (_, rows, *_), named = seen
    assert len(rows) == len({row["ID"] for row in rows}) == n_recordings
    assert named["facts"]["n_without_event"] == n_without_event
    assert not any(row["problem"] for row in rows)
    counts = Counter(n for row in rows for n in row["label"].split("|"))
    assert set(counts) == set(dcase2019_prepare.DCASE2019_CLASSES)


@pytest.mark.skipif(
    not UPSTREAM.is_file(), reason="the authors' captions are not there"
)
def test_the_authors_captions_number_the_classes_as_we_do():
    names = dcase2019_prepare.DCASE2019_CLASSES
    captions = read_captions(UPSTREAM, names)
    by_class = {
        name: " ".join(c.caption.lower() for c in captions if i in c.labels)
        for i, name in enumerate(names)
    }
    for name, word in {"alarm bell ringing": "alarm"}.items() | {
        (name, name.split()[0]) for name in names if name != "speech"
    }:
        best = max(names, key=lambda other: by_class[other].count(word))
        assert best == name
