"""Tests of the four prep scripts: what they share, then what is each one's.

The checks of `prepare_manifests` are tested in test_manifests.py.
"""

import logging
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from common import cases, refused
from data_sets import (
    CAT,
    DOG,
    SHARED,
    SILENT,
    only,
    prepared,
    real,
    write_audio,
)

from afpt_plugin.data.captions import read_captions
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.supervision import CAPTION_FOLDER
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError

CLASSES = {  # first, n-th and last
    "esc50": ("airplane", 18, "dog", "wind"),
    "us8k": ("air conditioner", 3, "dog bark", "street music"),
    "fsd2019": ("accelerating, revving, vroom", 9, "burping", "zipper"),
    "dcase2019": ("alarm bell ringing", 5, "electric shaver", "vacuum"),
}


def test_the_classes_are_the_papers_and_those_of_our_captions(dataset):
    task = dataset.task
    first, index, name, last = CLASSES[task.captions]
    assert task.class_names[0] == first
    assert task.class_names[index].startswith(name)
    assert task.class_names[-1].startswith(last)
    assert not any("_" in name or "|" in name for name in task.class_names)
    path = CAPTION_FOLDER / f"{task.captions}.csv"
    read_captions(path, task.class_names)  # knows and needs every class


def test_every_recording_is_test_material(dataset, root, save):
    dataset.prepare("nowhere", save, skip_prep=True)
    assert not save.exists()
    folders = [root.parent, root, *(p for p in root.iterdir() if p.is_dir())]
    for folder in folders:
        assert dataset.prepare(str(folder), str(save)) is None
    rows = read_manifest(save / "test.csv")
    assert [(row["wav"], row["label"]) for row in rows] == [
        (str(root / path), label)
        for path, label in dataset.labels.items()
        if label
    ]
    assert all(row["ID"] == Path(row["wav"]).stem for row in rows)
    assert {row["duration"] for row in rows} == {0.1}
    found = prepared(save)
    assert found["settings"]["data_folder"] == str(root)
    assert found["dataset"] == dataset.task.name
    assert found["n_recordings"] == len(rows)
    assert found["left_out"] == []


def test_a_rerun_without_changes_reads_and_writes_nothing(
    dataset, root, save, tmp_path, caplog
):
    cache = {"cache_folder": tmp_path / "cache"}
    dataset.prepare(root, save, **cache)
    assert not (save / "recordings.json").exists()
    before = {p.name: p.stat().st_mtime_ns for p in save.iterdir()}
    for path in root.rglob("*.wav"):
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))  # reading it would be an error
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with caplog.at_level(logging.INFO):
        dataset.prepare(root, save, **cache)
    assert {p.name: p.stat().st_mtime_ns for p in save.iterdir()} == before
    assert "unchanged" in caplog.text


def test_missing_metadata_and_columns_are_named(dataset, root, save):
    rows = dataset.read_rows(root)
    for column in dataset.script.COLUMNS:
        dataset.write_rows(
            root, [{k: v for k, v in r.items() if k != column} for r in rows]
        )
        with pytest.raises(InputError, match=f"{dataset.metadata}: .*{column}"):
            dataset.prepare(root, save)
    (root / dataset.metadata).unlink()
    with pytest.raises(InputError, match=str(root / dataset.metadata)):
        dataset.prepare(root, save)


def test_clips_without_a_row_are_warned_about(dataset, root, save, caplog):
    dataset.write_rows(root, dataset.read_rows(root)[:-1])
    dataset.prepare(root, save)
    assert "1 files in" in caplog.text
    assert dataset.table[-1][0] in caplog.text


# Changes of the first row, and a fact that the message must name
CONTRADICTIONS = {
    "esc50": [
        ({"category": "cat"}, "'0'.* cat is 5"),
        ({"category": "dogs"}, "'dogs'"),
        ({"category": ""}, "''"),
        ({"target": "5"}, "'5'.* dog is 0"),
        ({"target": "5", "category": "cat"}, r"target 0.* 5 \(cat\)"),
        ({"fold": "2"}, "fold 1.* '2'"),
        ({"fold": ""}, "fold 1.* ''"),
        ({"filename": "dog.wav"}, "{fold}-{source}"),
        ({"filename": "../1-100-A-0.wav"}, "{fold}-{source}"),
    ],
    "us8k": [
        ({"class": "siren"}, "'3'.* siren is 8"),
        ({"class": "dog bark"}, "'dog bark'"),
        ({"class": ""}, "''"),
        ({"classID": "10"}, "'10'.* dog_bark is 3"),
        ({"classID": "8", "class": "siren"}, r"classID 3.* 8 \(siren\)"),
        ({"fsID": "99"}, "fsID 100.* '99'"),
        ({"fold": "0"}, "fold0"),
        ({"fold": "7"}, "in fold1.* fold7"),
        ({"slice_file_name": "dog.wav"}, "{fsID}-{classID}"),
        ({"slice_file_name": "../100-3-0-0.wav"}, "{fsID}-{classID}"),
        ({"slice_file_name": "100-3-0-7.wav"}, "missing"),
    ],
    "fsd2019": [
        ({"labels": "Woof"}, "'Woof'"),
        ({"labels": "Bark,"}, "''"),
        ({"labels": "bark"}, "'bark'"),
        ({"labels": "Bark, Bus"}, "' Bus'"),
        ({"labels": "Bark,Bark"}, "'Bark' is repeated"),
        ({"labels": ""}, "''"),
        ({"fname": "dog.wav"}, "8 hexadecimal digits"),
        ({"fname": "../000000aa.wav"}, "8 hexadecimal digits"),
    ],
    "dcase2019": [
        ({"event_label": "Woof"}, "'Woof'.*line 2"),
        ({"event_label": "dog"}, "'dog'.*line 2"),
        ({"event_label": ""}, "''.*line 2"),
        *(
            ({cell: value}, f"{cell} '{value}'.*line 2")
            for cell, value in (
                *(("onset", "10.000"), ("onset", "-1"), ("onset", "nan")),
                *(("offset", "inf"), ("offset", ""), ("offset", "1,5")),
            )
        ),
        (dict.fromkeys(("onset", "offset", "event_label"), ""), "label ''.*2"),
    ],
}


@pytest.mark.parametrize(
    ("dataset", "cells", "fact"),
    [(name, *change) for name, of in CONTRADICTIONS.items() for change in of],
    indirect=["dataset"],
)
def test_a_row_that_contradicts_itself_is_reported(
    dataset, root, save, cells, fact
):
    rows = dataset.read_rows(root)
    rows[0].update(cells)
    dataset.write_rows(root, rows)
    n_rows = sum(label is not None for label in dataset.labels.values())
    with pytest.raises(InputError, match=rf"1 of {n_rows} .*\n.*wav: .*{fact}"):
        dataset.prepare(root, save)
    dataset.prepare(root, save, allow_missing=1)
    assert prepared(save)["n_recordings"] == n_rows - 1


@only("esc50", "us8k", "fsd2019")
def test_a_row_that_is_repeated_is_reported(dataset, root, save):
    rows = dataset.read_rows(root)
    dataset.write_rows(root, [*rows, rows[0]])
    name = Path(next(iter(dataset.labels))).name
    with pytest.raises(InputError, match=f"{name}: duplicate"):
        dataset.prepare(root, save)


ARCHIVES = {  # those of FSDKaggle2019 hold a folder each, the others all
    "esc50": ["ESC-50-master.zip"],
    "us8k": ["UrbanSound8K.tar.gz"],
    "fsd2019": ["FSDKaggle2019.audio_test.zip", "FSDKaggle2019.meta.zip"],
    "dcase2019": ["DESEDpublic_eval.tar.gz"],
}


def test_the_data_set_is_downloaded_when_asked_and_not_there(
    dataset, root, save, tmp_path, server, monkeypatch
):
    url, www = server
    name, n_recordings = dataset.task.captions, len(dataset.labels)
    options = {}
    if name == "dcase2019":
        write_public_set(root)
        options, n_recordings = {"subset": "public"}, 1
    for archive in ARCHIVES[name]:
        kind = "zip" if archive.endswith("zip") else "gztar"
        place = (root.parent, root.name)
        if name == "fsd2019":
            place = (root, archive.removesuffix(".zip"))
        made = shutil.make_archive(www / "a", kind, *place)
        Path(made).rename(www / archive)
    address = url if name == "fsd2019" else f"{url}/{archive}"
    constant = f"{name.upper()}_DOWNLOAD_URL"
    monkeypatch.setattr(dataset.script, constant, address)
    new = tmp_path / "new"
    with pytest.raises(InputError, match="--download True"):
        dataset.prepare(new, save, **options)
    options["download"] = True
    (www / archive).rename(www / "later")  # the last, so that one is there
    with pytest.raises(InputError, match=archive):
        dataset.prepare(new, save, **options)
    (www / "later").rename(www / archive)
    if name == "us8k":
        with pytest.raises(InputError, match="hash"):
            dataset.prepare(new, save, **options)
        monkeypatch.setattr(dataset.script, "US8K_HASH", None)
    dataset.prepare(new, save, **options)
    assert prepared(save)["n_recordings"] == n_recordings
    (www / archive).unlink()
    dataset.prepare(new, save, **options)  # found, so not fetched


@only("dcase2019")
def test_the_validation_set_cannot_be_downloaded(dataset, save, tmp_path):
    with pytest.raises(InputError, match="turpaultn/DCASE.*--subset public"):
        dataset.prepare(tmp_path, save, download=True)


@only("us8k")
def test_a_clip_in_wrong_folds_is_named_with_all_of_them(
    dataset, root, save, caplog
):
    clip = root / "audio" / "fold2" / "101-0-0-12.wav"
    for folder in ("fold1", "fold4"):
        shutil.copy(clip, root / "audio" / folder)
    clip.rename(root / "audio" / clip.name)
    with refused(f"{clip}: ", "in audio and fold1 and fold4,", "fold2"):
        dataset.prepare(root, save)
    # Where it is in the right fold as well, the others are warned about.
    (root / "audio" / clip.name).rename(clip)
    caplog.clear()
    dataset.prepare(root, save)
    assert f"fold1/{clip.name}" in caplog.text
    assert prepared(save)["n_recordings"] == 4


@pytest.mark.parametrize(
    ("dataset", "old", "new"),
    [
        ("fsd2019", f"FSDKaggle2019.{part}", f"FSDKaggle2019_{part}")
        for part in ("meta", "audio_test")
    ]
    + [
        ("dcase2019", f"{part}/validation{end}", f"{part}/validation{new}")
        for part, end, new in (
            ("audio", "", "/validation"),
            ("metadata/validation", ".tsv", ".csv"),
        )
    ],
    indirect=["dataset"],
)
def test_other_spellings_of_the_layout_are_found(dataset, root, save, old, new):
    dataset.prepare(root, save)
    first = prepared(save)["data_fingerprint"]
    (root / old).rename(root / "was")
    (root / new).parent.mkdir(exist_ok=True)
    (root / "was").rename(root / new)
    dataset.prepare(root, save)
    assert prepared(save)["data_fingerprint"] == first
    rows = read_manifest(save / "test.csv")
    assert all(Path(row["wav"]).is_file() for row in rows)


@only("fsd2019")
@cases(
    "old, new, facts",
    ("4,Bark", "4,Woof", "line 5: '4,Woof' .*'4,Bark"),
    ("4,Bark", "5,Bark", "line 5: '5,Bark' .*'4,Bark"),
    ("79,Zipper_(clothing)\n", "", "line 80: 'nothing' .*'79,Zipper"),
    ("(clothing)\n", "(clothing)\n80,Siren\n", "line 81: '80,Siren'"),
    ("0,Acc", "1,Acc", "line 1: '1,Accel"),
)
def test_another_vocabulary_is_refused(dataset, root, save, old, new, facts):
    path = root / "FSDKaggle2019.meta" / "vocabulary.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=f"vocabulary.csv, {facts}"):
        dataset.prepare(root, save)


@only("fsd2019", "dcase2019")
def test_missing_audio_names_the_folder(dataset, root, save):
    folder = Path(next(iter(dataset.labels))).parent
    shutil.rmtree(root / folder)
    with pytest.raises(InputError, match=f"{root} .*{folder}"):
        dataset.prepare(root, save)


def write_public_set(root):
    (root / "metadata" / "eval").mkdir()
    (root / "metadata" / "eval" / "public.tsv").write_text(
        f"filename\tonset\toffset\tevent_label\n{CAT}\t0\t11.0\tCat\n"
    )
    write_audio(root / "audio" / "eval" / "public", [CAT])


@only("dcase2019")
def test_eventless_recordings_are_left_out(dataset, root, save, caplog):
    (root / "audio" / "validation" / SILENT).unlink()  # nor need it be there
    with caplog.at_level(logging.INFO):
        dataset.prepare(root, save)
    assert "1 of 3 recordings have no event" in caplog.text
    assert prepared(save)["without_event"] == [SILENT]
    assert prepared(save)["n_without_event"] == 1
    dataset.write_rows(root, dataset.read_rows(root)[2:3])
    with pytest.raises(InputError, match=f"{dataset.metadata}: .*no .*event"):
        dataset.prepare(root, save)


@only("dcase2019")
def test_the_subset_is_chosen_by_name(dataset, root, save):
    write_public_set(root)
    dataset.prepare(root, save, subset="public")
    (row,) = read_manifest(save / "test.csv")
    assert (row["ID"] + ".wav", row["label"]) == (CAT, "cat")
    assert prepared(save)["settings"]["subset"] == "public"
    dataset.prepare(root, save)
    assert prepared(save)["n_recordings"] == 2
    for subset in ("eval", None, ["public"]):
        with pytest.raises(InputError, match="subset: .*validation, public"):
            dataset.prepare(root, save, subset=subset)


@only("dcase2019")
@pytest.mark.parametrize("name", ["dog.wav", f"../{DOG}", DOG + ".mp3"])
def test_an_event_of_no_recording_is_reported(dataset, root, save, name):
    rows = dataset.read_rows(root)
    dataset.write_rows(root, [*rows, rows[0] | {"filename": name}])
    with pytest.raises(InputError, match=r"1 of 3 .*\n.*: its name is not Y"):
        dataset.prepare(root, save)


@real("data/ESC-50-master")
@only("esc50")
def test_the_real_clips_of_esc50_are_prepared(dataset, save):
    real_root = SHARED / "data/ESC-50-master"
    dataset.prepare(real_root, save)
    rows = read_manifest(save / "test.csv")
    assert len(rows) == prepared(save)["n_recordings"] == 207
    assert {row["duration"] for row in rows} == {5.0}
    assert {row["label"] for row in rows} == set(dataset.task.class_names)
    found = {
        int(row["target"]): row["category"]
        for row in dataset.read_rows(real_root)
    }
    assert dict(enumerate(dataset.script.ESC50_CATEGORIES)) == found


@real("data/UrbanSound8K")
@only("us8k")
def test_the_real_clips_of_us8k_are_prepared(dataset, save):
    """They lie in wrong folds there, and are named with them."""
    real_root = SHARED / "data/UrbanSound8K"
    rows = dataset.read_rows(real_root)
    find_problem = dataset.script._find_problem
    audio = real_root / "audio"
    assert len(rows) == 8732
    assert not [row for row in rows if find_problem(row, audio, {})]
    with pytest.raises(InputError, match="8732 of 8732 recordings cannot"):
        dataset.prepare(real_root, save)
    listed = read_table(save / "problems.csv", ["ID", "reason"])
    problems = {row["ID"]: row["reason"] for row in listed}
    misplaced = {i for i, reason in problems.items() if reason != "missing"}
    assert misplaced == {path.stem for path in audio.rglob("*.wav")}
    assert "fold1 and fold2, but its row says fold7" in problems["101848-9-0-2"]


@cases(
    "dataset, folder, options, facts",
    ("fsd2019", "FSDKaggle2019", {}, (4481, 0)),
    ("dcase2019", "DCASE2019", {"subset": "validation"}, (1153, 15)),
    ("dcase2019", "DCASE2019", {"subset": "public"}, (692, 0)),
    indirect=["dataset"],
)
@real("data/FSDKaggle2019")
@real("data/DCASE2019")
def test_the_real_metadata_is_read_whole(
    dataset, tmp_path, save, monkeypatch, folder, options, facts
):
    """Without recordings: the number of rows, and of eventless ones."""
    root = tmp_path / "real"
    meta = Path(dataset.metadata).parts[0]
    shutil.copytree(SHARED / "data" / folder / meta, root / meta)
    for audio in ("audio/validation", "audio/eval/public"):
        (root / audio).mkdir(parents=True)
    (root / "FSDKaggle2019.audio_test").mkdir()
    seen = {}

    def take(_task, _root, rows, *_, **options):
        seen.update(rows=rows, **options)

    monkeypatch.setattr(dataset.script, "prepare_manifests", take)
    dataset.prepare(root, save, **options)
    rows = seen["rows"]
    n_eventless = seen.get("facts", {}).get("n_without_event", 0)
    assert (len({row["ID"] for row in rows}), n_eventless) == facts
    assert len(rows) == facts[0]
    assert not any(row["problem"] for row in rows)
    counts = Counter(n for row in rows for n in row["label"].split("|"))
    assert set(counts) == set(dataset.task.class_names)


@real("captions/upstream")
@cases(
    "dataset, words",
    ("us8k", "air con,horn,child,dog,drill,idl,gun,jackham,siren,street"),
    ("fsd2019", "accordion,gong,microwave,sneez,stream,zipper"),
    ("dcase2019", "alarm,blender,cat,dish,dog,electric,frying,running,vacuum"),
    indirect=["dataset"],
)
def test_the_authors_captions_number_the_classes_as_we_do(dataset, words):
    names, file = dataset.task.class_names, dataset.task.captions
    file = {"us8k": "urbansound8k"}.get(file, file.replace("2019", "19"))
    path = SHARED / f"captions/upstream/cap_{file}.csv"
    captions = read_captions(path, names)
    by_class = {
        name: " ".join(c.caption.lower() for c in captions if i in c.labels)
        for i, name in enumerate(names)
    }
    for word in words.split(","):
        best = max(names, key=lambda name: by_class[name].count(word))
        assert word in best, word
