"""Tests of recipes/FSD2019/fsd2019_prepare.py."""

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
REAL_META = SHARED / "data" / "FSDKaggle2019" / "FSDKaggle2019.meta"
UPSTREAM = SHARED / "captions" / "upstream" / "cap_fsd19.csv"

# By its path: `recipes` is no package, and every recipe has a `train.py`.
spec = importlib.util.spec_from_file_location(
    "fsd2019_prepare", REPOSITORY / "recipes" / "FSD2019" / "fsd2019_prepare.py"
)
fsd2019_prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fsd2019_prepare)
prepare_fsd2019 = fsd2019_prepare.prepare_fsd2019

CLIPS = {
    "000000aa.wav": "Bark",
    "000000bb.wav": "Chewing_and_mastication,Hi-hat",
    "0000cc00.wav": "Zipper_(clothing),Bus,Accordion",
}


def metadata_row(name, labels):
    """A row as test_post_competition.csv has it."""
    return {
        "fname": name,
        "labels": labels,
        "usage": "Private",
        "freesound_id": "1",
        "license": "CC0",
    }


def write_metadata(root, rows, separator="."):
    """Write test_post_competition.csv and vocabulary.csv."""
    meta = root / f"FSDKaggle2019{separator}meta"
    meta.mkdir(parents=True, exist_ok=True)
    path = meta / "test_post_competition.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (meta / "vocabulary.csv").write_text(
        "".join(
            f"{index},{name}\n"
            for index, name in enumerate(fsd2019_prepare.FSD2019_VOCABULARY)
        )
    )


@pytest.fixture
def rows():
    """The metadata of a tiny FSDKaggle2019."""
    return [metadata_row(*clip) for clip in CLIPS.items()]


@pytest.fixture
def root(tmp_path, rows):
    """A tiny FSDKaggle2019."""
    root = tmp_path / "data" / "FSDKaggle2019"
    write_metadata(root, rows)
    audio = root / "FSDKaggle2019.audio_test"
    audio.mkdir()
    rng = np.random.default_rng(0)
    for name in CLIPS:
        soundfile.write(audio / name, rng.uniform(-0.5, 0.5, 800), 8000)
    return root


@pytest.fixture
def save(tmp_path):
    """Where the manifest goes."""
    return tmp_path / "save"


def prepared(save):
    """What prepare.json says."""
    return json.loads((save / "prepare.json").read_text())


def test_the_classes_are_the_papers():
    names = fsd2019_prepare.FSD2019_CLASSES
    assert len(names) == len(set(names)) == 80
    assert names[0] == "accelerating, revving, vroom"
    assert names[14] == "chewing, mastication"
    assert names[37] == "glockenspiel"
    assert names[79] == "zipper (clothing)"
    assert not any("_" in n or "|" in n or n != n.lower() for n in names)


def test_the_classes_are_those_of_our_captions():
    names = fsd2019_prepare.FSD2019_CLASSES
    captions = read_captions(CAPTION_FOLDER / "fsd2019.csv", names)
    assert {i for c in captions for i in c.labels} == set(range(80))


@pytest.mark.parametrize(
    "inside", ["..", "", "FSDKaggle2019.audio_test", "FSDKaggle2019.meta"]
)
def test_every_recording_is_test_material(root, save, inside):
    assert prepare_fsd2019(str(root / inside), str(save)) is None
    rows = read_manifest(save / "test.csv")
    assert [(r["ID"], r["label"], r["duration"]) for r in rows] == [
        ("000000aa", "bark", 0.1),
        ("000000bb", "chewing, mastication|hi-hat", 0.1),
        ("0000cc00", "zipper (clothing)|bus|accordion", 0.1),
    ]
    assert prepared(save) == {
        "dataset": "FSDKaggle2019",
        "settings": {"data_folder": str(root), "allow_missing": 0},
        "n_recordings": 3,
        "n_left_out": 0,
        "left_out": [],
        "data_fingerprint": data_fingerprint(rows),
        "class_names": fsd2019_prepare.FSD2019_CLASSES,
    }


@pytest.mark.parametrize("part", ["meta", "audio_test"])
def test_folders_spelled_with_an_underscore_are_found(root, save, part):
    prepare_fsd2019(root, save)
    first = prepared(save)["data_fingerprint"]
    old = root / f"FSDKaggle2019.{part}"
    old.rename(root / f"FSDKaggle2019_{part}")
    prepare_fsd2019(root, save)
    assert prepared(save)["data_fingerprint"] == first
    rows = read_manifest(save / "test.csv")
    assert all(Path(row["wav"]).is_file() for row in rows)


def test_a_rerun_without_changes_reads_and_writes_nothing(root, save, caplog):
    prepare_fsd2019(root, save)
    before = {p.name: p.stat().st_mtime_ns for p in save.iterdir()}
    for path in (root / "FSDKaggle2019.audio_test").iterdir():
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))  # reading it would be an error
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with caplog.at_level(logging.INFO):
        prepare_fsd2019(root, save)
    assert {p.name: p.stat().st_mtime_ns for p in save.iterdir()} == before
    assert "unchanged, 3 recordings" in caplog.text


def test_skip_prep_does_nothing(tmp_path, save):
    prepare_fsd2019(tmp_path / "nowhere", save, skip_prep=True)
    assert not save.exists()


def test_missing_metadata_names_the_file_and_the_ways_out(root, save):
    path = root / "FSDKaggle2019.meta" / "test_post_competition.csv"
    path.unlink()
    with pytest.raises(InputError) as caught:
        prepare_fsd2019(root, save)
    for part in (str(path), "--download True", "--data_folder samples"):
        assert part in str(caught.value)


def test_missing_audio_names_the_folder_and_the_archive(root, save):
    shutil.rmtree(root / "FSDKaggle2019.audio_test")
    with pytest.raises(InputError) as caught:
        prepare_fsd2019(root, save)
    for part in (str(root), "FSDKaggle2019.audio_test.zip", "zenodo.org"):
        assert part in str(caught.value)


@pytest.mark.parametrize("column", fsd2019_prepare.COLUMNS)
def test_a_missing_column_is_named(root, save, rows, column):
    write_metadata(
        root, [{k: v for k, v in r.items() if k != column} for r in rows]
    )
    with pytest.raises(
        InputError, match=f"competition.csv: no column {column}"
    ):
        prepare_fsd2019(root, save)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda v: v.replace("4,Bark", "4,Woof"),
            "line 5: '4,Woof', .*'4,Bark",
        ),
        (
            lambda v: v.replace("4,Bark", "5,Bark"),
            "line 5: '5,Bark', .*'4,Bark",
        ),
        (lambda v: v[: v.index("79,")], "line 80: 'nothing', .*'79,Zipper"),
        (lambda v: v + "80,Siren\n", "line 81: '80,Siren', .*'nothing'"),
        (lambda v: v[v.index("1,") :], "no column 0, Accelerating"),
        (lambda v: "", "no column 0, Accelerating"),
    ],
)
def test_another_vocabulary_is_refused(root, save, change, reason):
    path = root / "FSDKaggle2019.meta" / "vocabulary.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=f"vocabulary.csv.*{reason}"):
        prepare_fsd2019(root, save)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": "Woof"}, "wrongly labelled: label 'Woof' is unknown"),
        ({"labels": "Bark,"}, "wrongly labelled: label '' is unknown"),
        ({"labels": "bark"}, "wrongly labelled: label 'bark' is unknown"),
        ({"labels": "Bark, Bus"}, "wrongly labelled: label ' Bus' is unknown"),
        ({"labels": "Bark,Bark"}, "wrongly labelled: label 'Bark' comes twice"),
        ({"labels": ""}, "no label"),
        ({"fname": "dog.wav"}, "named otherwise"),
        ({"fname": "../000000aa.wav"}, "named otherwise"),
    ],
)
def test_a_damaged_row_is_reported(root, save, rows, change, reason):
    rows[0].update(change)
    write_metadata(root, rows)
    with pytest.raises(InputError, match=rf"1 of 3 .*\n.*\.wav: {reason}"):
        prepare_fsd2019(root, save)
    assert not (save / "test.csv").exists()
    prepare_fsd2019(root, save, allow_missing=1)
    assert prepared(save)["n_recordings"] == 2


def test_a_row_that_comes_twice_is_reported(root, save, rows):
    write_metadata(root, rows + rows[:1])
    with pytest.raises(InputError, match="000000aa.wav: duplicate"):
        prepare_fsd2019(root, save)


def test_damaged_and_missing_clips_are_reported_together(root, save):
    audio = root / "FSDKaggle2019.audio_test"
    (audio / "000000aa.wav").unlink()
    cut = audio / "000000bb.wav"
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        prepare_fsd2019(root, save, allow_missing=1)
    assert "2 of 3 recordings cannot be used" in str(caught.value)
    assert "000000aa.wav: missing" in str(caught.value)
    assert "000000bb.wav: truncated" in str(caught.value)
    prepare_fsd2019(root, save, allow_missing=2)
    assert prepared(save)["n_left_out"] == 2


def test_clips_without_a_row_are_warned_about(root, save, rows, caplog):
    write_metadata(root, rows[1:])
    with caplog.at_level(logging.WARNING):
        prepare_fsd2019(root, save)
    assert "1 files in" in caplog.text and "000000aa.wav" in caplog.text
    assert prepared(save)["n_recordings"] == 2


def test_the_data_set_is_downloaded_when_asked_and_not_there(
    root, save, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    for part in ("audio_test", "meta"):
        name = f"FSDKaggle2019.{part}"
        shutil.make_archive(site / name, "zip", root, name)
    url = site.as_uri()
    monkeypatch.setattr(fsd2019_prepare, "FSD2019_DOWNLOAD_URL", url)
    target = tmp_path / "new"
    with pytest.raises(InputError, match="not found"):
        prepare_fsd2019(target, save)
    # Interrupted between the two archives, and run again
    (site / "FSDKaggle2019.meta.zip").rename(site / "later")
    with pytest.raises(InputError, match=r"FSDKaggle2019\.meta\.zip could not"):
        prepare_fsd2019(target, save, download=True)
    (site / "later").rename(site / "FSDKaggle2019.meta.zip")
    prepare_fsd2019(target, save, download=True)
    assert prepared(save)["settings"]["data_folder"] == str(target)
    assert prepared(save)["n_recordings"] == 3


@pytest.mark.skipif(
    not REAL_META.is_dir(),
    reason="the shared metadata of FSDKaggle2019 is not there",
)
def test_the_real_metadata_is_read_whole(save, tmp_path, monkeypatch):
    root = tmp_path / "FSDKaggle2019"
    shutil.copytree(REAL_META, root / REAL_META.name)
    (root / "FSDKaggle2019.audio_test").mkdir()
    seen = []
    monkeypatch.setattr(
        fsd2019_prepare, "prepare_test_set", lambda *a, **k: seen.extend(a[1])
    )
    prepare_fsd2019(root, save)
    assert len(seen) == len({row["ID"] for row in seen}) == 4481
    assert not any(row["problem"] for row in seen)
    counts = Counter(n for row in seen for n in row["label"].split("|"))
    assert set(counts) == set(fsd2019_prepare.FSD2019_CLASSES)
    assert (min(counts.values()), max(counts.values())) == (50, 150)
    n_labels = Counter(row["label"].count("|") + 1 for row in seen)
    assert n_labels == {1: 3195, 2: 909, 3: 292, 4: 66, 5: 17, 6: 2}


@pytest.mark.skipif(
    not UPSTREAM.is_file(), reason="the authors' captions are not there"
)
def test_the_authors_captions_number_the_classes_as_we_do():
    names = fsd2019_prepare.FSD2019_CLASSES
    captions = read_captions(UPSTREAM, names)
    by_class = {
        name: " ".join(c.caption.lower() for c in captions if i in c.labels)
        for i, name in enumerate(names)
    }
    for word in ("accordion", "gong", "microwave", "sneez", "stream", "zipper"):
        best = max(names, key=lambda name: by_class[name].count(word))
        assert best.startswith(word)
