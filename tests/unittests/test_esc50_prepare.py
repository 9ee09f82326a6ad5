"""Tests of recipes/ESC50/esc50_prepare.py."""

import csv
import importlib.util
import json
import logging
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afpt_plugin.data.manifests import data_fingerprint, read_manifest
from afpt_plugin.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data" / "ESC-50-master"

# By its path: `recipes` is no package, and every recipe has a `train.py`.
spec = importlib.util.spec_from_file_location(
    "esc50_prepare", REPOSITORY / "recipes" / "ESC50" / "esc50_prepare.py"
)
esc50_prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(esc50_prepare)
prepare_esc50 = esc50_prepare.prepare_esc50

CLIPS = {
    "1-100-A-0.wav": "dog",
    "1-100-B-0.wav": "dog",
    "2-101-A-11.wav": "sea_waves",
    "4-102-A-49.wav": "hand_saw",
}


def metadata_row(name, category):
    """A row as esc50.csv has it."""
    fold, source, take, target = name.removesuffix(".wav").split("-")
    return {
        "filename": name,
        "fold": fold,
        "target": target,
        "category": category,
        "esc10": "False",
        "src_file": source,
        "take": take,
    }


def write_metadata(root, rows):
    """Write meta/esc50.csv."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    with open(root / "meta" / "esc50.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def rows():
    """The metadata of a tiny ESC-50."""
    return [metadata_row(*clip) for clip in CLIPS.items()]


@pytest.fixture
def root(tmp_path, rows):
    """A tiny ESC-50."""
    root = tmp_path / "data" / "ESC-50-master"
    write_metadata(root, rows)
    (root / "audio").mkdir()
    rng = np.random.default_rng(0)
    for name in CLIPS:
        noise = rng.uniform(-0.5, 0.5, 800)
        soundfile.write(root / "audio" / name, noise, 8000)
    return root


@pytest.fixture
def save(tmp_path):
    """Where the manifest goes."""
    return tmp_path / "save"


def prepared(save):
    """What prepare.json says."""
    return json.loads((save / "prepare.json").read_text())


def test_the_classes_are_the_papers():
    names = esc50_prepare.ESC50_CLASSES
    assert len(names) == len(set(names)) == 50
    assert names == sorted(names)
    assert (names[0], names[18], names[49]) == ("airplane", "dog", "wind")
    assert "hand saw" in names and not any("_" in name for name in names)


@pytest.mark.parametrize("inside", ["..", "", "audio", "meta"])
def test_every_recording_is_test_material(root, save, inside):
    assert prepare_esc50(str(root / inside), str(save)) is None
    rows = read_manifest(save / "test.csv")
    assert [(r["ID"], r["label"], r["duration"]) for r in rows] == [
        ("1-100-A-0", "dog", 0.1),
        ("1-100-B-0", "dog", 0.1),
        ("2-101-A-11", "sea waves", 0.1),
        ("4-102-A-49", "hand saw", 0.1),
    ]
    assert all(Path(r["wav"]).parent == root / "audio" for r in rows)
    assert prepared(save) == {
        "dataset": "ESC-50",
        "settings": {
            "data_folder": str(root),
            "folds": [1, 2, 3, 4, 5],
            "allow_missing": 0,
        },
        "n_recordings": 4,
        "n_left_out": 0,
        "left_out": [],
        "data_fingerprint": data_fingerprint(rows),
        "class_names": esc50_prepare.ESC50_CLASSES,
    }
    assert {p.name for p in save.iterdir()} == {
        "test.csv",
        "prepare.json",
        "recordings.json",
    }


def test_a_rerun_without_changes_reads_and_writes_nothing(root, save, caplog):
    prepare_esc50(root, save)
    before = {p.name: p.stat().st_mtime_ns for p in save.iterdir()}
    for path in (root / "audio").iterdir():
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))  # reading it would be an error
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with caplog.at_level(logging.INFO):
        prepare_esc50(root, save)
    assert {p.name: p.stat().st_mtime_ns for p in save.iterdir()} == before
    assert "unchanged, 4 recordings" in caplog.text


def test_a_rerun_sees_changed_data_and_changed_settings(root, save):
    prepare_esc50(root, save)
    first = prepared(save)
    soundfile.write(root / "audio" / "1-100-A-0.wav", np.ones(900) / 2, 8000)
    prepare_esc50(root, save)
    second = prepared(save)
    assert second["data_fingerprint"] != first["data_fingerprint"]
    prepare_esc50(root, save, folds=[4, 2])
    third = prepared(save)
    assert third["n_recordings"] == 2
    assert third["settings"]["folds"] == [2, 4]
    assert third["data_fingerprint"] != second["data_fingerprint"]


def test_skip_prep_does_nothing(tmp_path, save):
    prepare_esc50(tmp_path / "nowhere", save, skip_prep=True)
    assert not save.exists()


def test_missing_metadata_names_the_file_and_the_ways_out(root, save):
    (root / "meta" / "esc50.csv").unlink()
    with pytest.raises(InputError) as caught:
        prepare_esc50(root, save)
    for part in (
        str(root / "meta" / "esc50.csv"),
        "--download True",
        "--data_folder samples",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("column", esc50_prepare.COLUMNS)
def test_a_missing_column_is_named(root, save, rows, column):
    write_metadata(
        root, [{k: v for k, v in r.items() if k != column} for r in rows]
    )
    with pytest.raises(InputError, match=f"esc50.csv: no column {column}"):
        prepare_esc50(root, save)


def test_metadata_without_a_row_is_refused(root, save, rows):
    write_metadata(root, rows)
    path = root / "meta" / "esc50.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="no row"):
        prepare_esc50(root, save)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category": "cat"}, "wrongly labelled: target '0', but category cat"),
        ({"category": "dogs"}, "wrongly labelled: category 'dogs' is unknown"),
        ({"category": ""}, "wrongly labelled: category '' is unknown"),
        ({"target": "5"}, "wrongly labelled: target '5', but category dog"),
        ({"target": "dog"}, "wrongly labelled: target 'dog'"),
        (
            {"target": "5", "category": "cat"},
            r"wrongly labelled: its name says target 0, its row 5 \(cat\)",
        ),
        ({"fold": "2"}, "its name says fold 1, its row 2"),
        ({"fold": "6"}, "fold '6' is not in 1 to 5"),
        ({"fold": ""}, "fold '' is not in 1 to 5"),
        ({"filename": "dog.wav"}, "named otherwise"),
        ({"filename": "../1-100-A-0.wav"}, "named otherwise"),
    ],
)
def test_a_row_that_contradicts_itself_is_reported(
    root, save, rows, change, reason
):
    rows[0].update(change)
    write_metadata(root, rows)
    with pytest.raises(InputError, match=rf"1 of 4 .*\n.*\.wav: {reason}"):
        prepare_esc50(root, save)
    assert not (save / "test.csv").exists()
    prepare_esc50(root, save, allow_missing=1)
    assert prepared(save)["n_recordings"] == 3


def test_a_row_that_comes_twice_is_reported(root, save, rows):
    write_metadata(root, rows + rows[:1])
    with pytest.raises(InputError, match="1-100-A-0.wav: duplicate"):
        prepare_esc50(root, save)


def test_damaged_and_missing_clips_are_reported_together(root, save):
    audio = root / "audio"
    (audio / "1-100-A-0.wav").unlink()
    cut = audio / "2-101-A-11.wav"
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        prepare_esc50(root, save, allow_missing=1)
    assert "2 of 4 recordings cannot be used" in str(caught.value)
    assert "1-100-A-0.wav: missing" in str(caught.value)
    assert "2-101-A-11.wav: truncated" in str(caught.value)
    assert not (save / "test.csv").exists()


def test_an_allowance_counts_and_names_what_is_left_out(root, save):
    (root / "audio" / "1-100-A-0.wav").unlink()
    prepare_esc50(root, save, allow_missing=1)
    summary = prepared(save)
    assert (summary["n_recordings"], summary["n_left_out"]) == (3, 1)
    assert summary["left_out"][0]["ID"] == "1-100-A-0"
    assert summary["left_out"][0]["reason"] == "missing"
    assert len(read_manifest(save / "test.csv")) == 3


def test_a_part_of_the_data_set_is_a_data_set(root, save, rows):
    write_metadata(root, rows[2:])
    for name in list(CLIPS)[:2]:
        (root / "audio" / name).unlink()
    prepare_esc50(root, save)
    assert prepared(save)["n_recordings"] == 2


def test_clips_of_other_folds_need_not_be_there(root, save):
    for name in list(CLIPS)[:3]:
        (root / "audio" / name).unlink()
    prepare_esc50(root, save, folds=[4])
    assert prepared(save)["n_recordings"] == 1


@pytest.mark.parametrize("folds", [4, [0], [[1]], "1"])
def test_unknown_folds_are_refused(root, save, folds):
    with pytest.raises(InputError, match="folds: "):
        prepare_esc50(root, save, folds=folds)


def test_folds_without_a_recording_are_refused(root, save):
    with pytest.raises(InputError, match=r"no recording in folds \[3\]"):
        prepare_esc50(root, save, folds=[3])


def test_clips_without_a_row_are_warned_about(root, save, rows, caplog):
    write_metadata(root, rows[1:])
    with caplog.at_level(logging.WARNING):
        prepare_esc50(root, save)
    assert "1 files in" in caplog.text and "1-100-A-0.wav" in caplog.text
    assert prepared(save)["n_recordings"] == 3


def test_the_data_set_is_downloaded_when_asked_and_not_there(
    root, save, tmp_path, monkeypatch
):
    archive = shutil.make_archive(
        tmp_path / "master", "zip", root.parent, root.name
    )
    monkeypatch.setattr(
        esc50_prepare, "ESC50_DOWNLOAD_URL", Path(archive).as_uri()
    )
    target = tmp_path / "new"
    with pytest.raises(InputError, match="not found"):
        prepare_esc50(target, save)
    prepare_esc50(target, save, download=True)
    assert (target / "ESC-50-master.zip").is_file()
    assert prepared(save)["settings"]["data_folder"] == str(
        target / "ESC-50-master"
    )
    Path(archive).unlink()
    prepare_esc50(target, save, download=True)  # found, so not fetched


def test_without_a_network_a_download_says_how_to_do_it_by_hand(
    save, tmp_path, monkeypatch
):
    url = "http://127.0.0.1:9/master.zip"
    monkeypatch.setattr(esc50_prepare, "ESC50_DOWNLOAD_URL", url)
    with pytest.raises(InputError) as caught:
        prepare_esc50(tmp_path / "new", save, download=True)
    for part in ("ESC-50-master.zip", url, "by hand", str(tmp_path / "new")):
        assert part in str(caught.value)


real = partial(
    pytest.mark.skipif,
    not SHARED.is_dir(),
    reason="the shared clips of ESC-50 are not there",
)


@real()
def test_the_real_clips_are_prepared(save):
    prepare_esc50(SHARED, save)
    rows = read_manifest(save / "test.csv")
    assert len(rows) == prepared(save)["n_recordings"] == 207
    assert {row["duration"] for row in rows} == {5.0}
    assert {r["label"] for r in rows} == set(esc50_prepare.ESC50_CLASSES)


@real()
def test_the_real_metadata_numbers_the_categories_as_we_do():
    with open(SHARED / "meta" / "esc50.csv", newline="") as file:
        found = {int(r["target"]): r["category"] for r in csv.DictReader(file)}
    assert dict(enumerate(esc50_prepare.ESC50_CATEGORIES)) == found
