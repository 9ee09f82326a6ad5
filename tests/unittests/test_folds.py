"""Tests of what is tested, and what is learned from: `afpt_plugin.data.folds`."""

import hashlib
import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from common import refused
from data_sets import DATA, DOG, SETS, only, prepared, real, write_audio

from afpt_plugin.data import checks, manifests
from afpt_plugin.data.folds import leave_tested_out, select_folds
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.tables import csv_text
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

TASK = Task("Pets", ["dog", "cat"], folds=(1, 2, 3))


def test_new_folds_take_the_place_of_the_data_sets():
    rows = [{"ID": i, "label": "dog", "fold": "1"} for i in "abcdef"]
    for folds, n_tested in (([2], 1), ([2, 6], 2)):
        marked, chosen, kind = select_folds(TASK, "pets", rows, folds, 6)
        assert sum(not row["train"] for row in marked) == n_tested
        assert (chosen, kind) == (folds, "by source: 6")
    with pytest.raises(InputError, match="folds: .7. .* 1, 2, 3, 4, 5, 6"):
        select_folds(TASK, "pets", rows, [7], 6)
    marked, chosen, kind = select_folds(TASK, "pets", rows, None, 2)
    assert not any(row["train"] for row in marked)
    assert (chosen, kind) == ([1, 2], None)  # all are tested: not of a fold


def test_what_shares_a_source_or_its_content_with_a_tested_one_is_left_out(
    caplog,
):
    def row(source, content):
        return {"source": source, "sha256": content}

    tested = [row("7", "a"), row("", "b")]
    train = [row("7", "x"), row("", "y"), row("8", "b"), row("9", "z")]
    kept, n_left_out = leave_tested_out(TASK, train, tested)
    assert (kept, n_left_out) == ([train[1], train[3]], 2)
    assert "Pets: 2 recordings are not learned from" in caplog.text
    with pytest.raises(InputError, match="no recording is left to learn from"):
        leave_tested_out(TASK, train[:1], tested)


@only("esc50", "us8k")
def test_clips_of_other_folds_need_not_be_there(dataset, root, save):
    for path in list(dataset.labels)[:2]:
        (root / path).unlink()
    dataset.prepare(root, save, folds=[4, 2])
    assert prepared(save)["n_recordings"] == 2
    assert prepared(save)["settings"]["folds"] == [2, 4]
    with pytest.raises(InputError, match="2 of 4"):
        dataset.prepare(root, save)  # all folds


@only("esc50", "us8k")
@pytest.mark.parametrize("folds", [4, [0], [11], [[1]], "1", [3], []])
def test_unknown_or_empty_folds_are_refused(dataset, root, save, folds):
    facts = (f"folds: {folds!r}", dataset.task.name, "1, 2, 3, 4, 5")
    if folds in ([3], []):  # these folds exist, but the metadata has none
        facts = (root, f"folds {folds}", "[1, 2, 4]")
    with refused(*facts):
        dataset.prepare(root, save, folds=folds)


@only("esc50", "us8k")
def test_a_row_whose_fold_does_not_exist_is_reported(dataset, root, save):
    """Whichever folds are asked for, and even if the file is named so."""
    rows = dataset.read_rows(root)
    rows[0]["fold"] = "11"
    path = "audio/fold11/100-3-0-0.wav"
    if dataset is SETS["esc50"]:
        rows[0]["filename"] = "11-100-A-0.wav"
        path = "audio/11-100-A-0.wav"
    write_audio(root, [path])
    dataset.write_rows(root, rows)
    with pytest.raises(InputError, match=f"{path}: fold '11'"):
        dataset.prepare(root, save, folds=[2])


@only("esc50", "us8k")
def test_other_folds_may_be_learned_from_but_for_tested_sources(
    dataset, root, save, caplog, monkeypatch
):
    """Fold 2 gets a take of the source of fold 1."""
    rows = dataset.read_rows(root)
    if dataset is SETS["esc50"]:
        name, moved = "audio/2-100-C-0.wav", {"filename": "2-100-C-0.wav"}
    else:
        name = "audio/fold2/100-3-0-9.wav"
        moved = {"slice_file_name": "100-3-0-9.wav"}
    write_audio(root, [name])
    dataset.write_rows(root, [*rows, {**rows[0], "fold": "2", **moved}])
    dataset.prepare(root, save, folds=[1])
    assert not (save / "train.csv").exists()
    dataset.prepare(root, save, folds=[1], with_train=True)
    test, train = (read_manifest(save / f"{n}.csv") for n in ("test", "train"))
    assert [row["source"] for row in test] == ["100", "100"]
    assert [row["source"] for row in train] == ["101", "102"]
    found = prepared(save)
    assert found["n_recordings"] == 2 and found["n_shared_source"] == 1
    assert (found["fold"], found["folds"]) == ("1", "own")
    assert "1 recordings are not learned from" in caplog.text
    dataset.prepare(root, save, folds=[4, 2])
    assert not (save / "train.csv").exists()  # not of these folds
    assert (prepared(save)["fold"], prepared(save)["folds"]) == ("2,4", "own")
    dataset.prepare(root, save)
    assert (prepared(save)["fold"], prepared(save)["folds"]) == (None, None)
    monkeypatch.setattr(manifests, "check_recordings", None)  # said before it
    with pytest.raises(InputError, match="no recording is left to learn from"):
        dataset.prepare(root, save, with_train=True)


@only("esc50", "us8k")
def test_new_folds_share_no_source(dataset, root, save):
    tested = {}
    for fold in (1, 2):
        dataset.prepare(
            root, save, folds=[fold], source_folds=2, with_train=True
        )
        assert prepared(save)["folds"] == "by source: 2"
        assert prepared(save)["fold"] == str(fold)
        parts = [read_manifest(save / f"{n}.csv") for n in ("test", "train")]
        sources = [{row["source"] for row in part} for part in parts]
        assert not sources[0] & sources[1]
        assert sum(map(len, parts)) == 4
        tested |= {row["ID"]: fold for row in parts[0]}
    assert len(tested) == 4
    for wrong in (1, "2", 5):
        with pytest.raises(InputError, match=f"source_folds is {wrong!r}"):
            dataset.prepare(root, save, source_folds=wrong)
    with pytest.raises(InputError, match=r"folds: \[4\] .* 1, 2, or leave"):
        dataset.prepare(root, save, folds=[4], source_folds=2)


def add_training_part(dataset, root):
    """Three recordings to learn from; the first has the source of a test's.

    The names of their files are returned.
    """
    if dataset is SETS["fsd2019"]:
        rows = zip(dataset.read_rows(root), "789", strict=True)
        rows = [{**row, "freesound_id": number} for row, number in rows]
        dataset.write_rows(root, rows)
        names = ["000000d0.wav", "000000e0.wav", "000000f0.wav"]
        labels = ("Bark", "Bark,Bus", "Hi-hat")
        corrupted = dataset.script.TRAIN_CORRUPTED[0]
        table = [("fname", "labels", "freesound_id", "license")]
        columns = [*names, corrupted], [*labels, "Bark"], "7XYZ", ["CC0"] * 4
        table += zip(*columns, strict=True)
        metadata = "FSDKaggle2019.meta/train_curated_post_competition.csv"
        folder = "FSDKaggle2019.audio_train_curated"
    else:
        names = [DOG.replace("2.000_12", "50.000_60")]
        names += [f"Y{n * 11}_0.000_10.000.wav" for n in "ab"]
        table = [("filename", "event_labels")]
        labels = ("Dog", "Speech,Cat", "Blender")
        table += zip(names, labels, strict=True)
        metadata, folder = "metadata/train/weak.tsv", "audio/train/weak"
    (root / metadata).parent.mkdir(parents=True, exist_ok=True)
    (root / metadata).write_text(csv_text(table, dataset.delimiter))
    files = [f"{folder}/{name}" for name in names]
    rng = np.random.default_rng(1)
    for path in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, rng.uniform(-0.5, 0.5, 800), 8000)
    return files


@only("fsd2019", "dcase2019")
def test_a_training_part_is_learned_from_but_for_tested_sources(
    dataset, root, save, caplog
):
    files = add_training_part(dataset, root)
    with caplog.at_level(logging.INFO):
        dataset.prepare(root, save, with_train=True)
    train = read_manifest(save / "train.csv")
    assert [row["wav"] for row in train] == [str(root / p) for p in files[1:]]
    labels = {"fsd2019": ["bark|bus", "hi-hat"]}
    labels["dcase2019"] = ["cat|speech", "blender"]
    assert [row["label"] for row in train] == labels[dataset.task.captions]
    sources = {"fsd2019": ["X", "Y"], "dcase2019": ["a" * 11, "b" * 11]}
    assert [row["source"] for row in train] == sources[dataset.task.captions]
    found = prepared(save)
    n_tested = sum(label is not None for label in dataset.labels.values())
    assert found["n_recordings"] == n_tested and found["n_shared_source"] == 1
    assert found["fold"] is found["folds"] is None
    assert "1 recordings are not learned from" in caplog.text
    if dataset is SETS["fsd2019"]:
        assert "1 recordings that the data set's README calls" in caplog.text
    with_train = found["data_fingerprint"]
    dataset.prepare(root, save)
    assert prepared(save)["data_fingerprint"] == with_train


@only("fsd2019", "dcase2019")
def test_a_wrong_training_label_is_reported(dataset, root, save):
    add_training_part(dataset, root)
    path = next(root.rglob("*train*/weak.tsv"), None)
    path = path or next(root.rglob("train_curated*.csv"))
    for old, new, fact in (
        ("Bark,Bus" if path.suffix == ".csv" else "Blender", "Woof", "'Woof'"),
        ("000000f0" if path.suffix == ".csv" else "Y" + "b" * 11, "x", "name"),
    ):
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=rf"of .*\n.*{fact}"):
            dataset.prepare(root, save, with_train=True)
        path.write_text(text)


@only("fsd2019", "dcase2019")
@pytest.mark.parametrize("part", ["metadata", "audio"])
def test_a_missing_training_part_says_how_to_get_it(dataset, root, save, part):
    files = add_training_part(dataset, root)
    if part == "audio":
        shutil.rmtree((root / files[0]).parent)
    elif dataset is SETS["fsd2019"]:
        folder = root / "FSDKaggle2019.meta"
        (folder / "train_curated_post_competition.csv").unlink()
    else:
        (root / "metadata" / "train" / "weak.tsv").unlink()
    remedies = {
        ("fsd2019", "audio"): "audio_train_curated.zip from https",
        ("fsd2019", "metadata"): "meta.zip from https",
        ("dcase2019", "audio"): "train/weak: this part .*turpaultn/DCASE2019",
        ("dcase2019", "metadata"): "weak.tsv: this part .*turpaultn/DCASE2019",
    }
    remedy = remedies[dataset.task.captions, part]
    with pytest.raises(InputError, match=remedy):
        dataset.prepare(root, save, with_train=True)
    dataset.prepare(root, save)  # captions need neither


def test_no_recording_but_the_tested_ones_is_decoded(
    dataset, root, save, monkeypatch
):
    """Unless recordings are to be learned from."""
    options, others = {"folds": [1]}, list(dataset.labels)[2:]
    if dataset.task.multi_label:
        options, others = {}, add_training_part(dataset, root)
    contents = {(root / path).read_bytes() for path in others}
    read, open_audio = set(), checks.open_audio

    def watched(path):
        read.add(Path(path).read_bytes())
        return open_audio(path)

    monkeypatch.setattr(checks, "open_audio", watched)
    dataset.prepare(root, save, **options)
    assert read and not read & contents
    dataset.prepare(root, save, **options, with_train=True)
    assert contents <= read


@only("fsd2019")
def test_the_training_part_is_downloaded_when_asked_and_not_there(
    dataset, root, save, tmp_path, server, monkeypatch
):
    url, www = server
    add_training_part(dataset, root)
    folder = "FSDKaggle2019.audio_train_curated"
    shutil.make_archive(www / folder, "zip", root, folder)
    shutil.rmtree(root / folder)
    monkeypatch.setattr(dataset.script, "FSD2019_DOWNLOAD_URL", url)
    dataset.prepare(root, save, download=True)
    assert not (root / folder).exists()
    dataset.prepare(root, save, download=True, with_train=True)
    assert len(read_manifest(save / "train.csv")) == 2


@real("data/ESC-50-master")
@only("esc50")
def test_the_real_clips_of_esc50_in_folds_by_source(dataset, save, tmp_path):
    """Five classes have one source, so they are tested and not learned from."""
    root, cache = DATA / "ESC-50-master", tmp_path / "cache"
    listed = {r["filename"][:-4]: r for r in dataset.read_rows(root)}
    options = {"source_folds": 4, "with_train": True, "cache_folder": cache}
    tested, unlearned = Counter(), set()
    for fold in (1, 2, 3, 4):
        dataset.prepare(root, save, folds=[fold], **options)
        test, train = (
            {row["ID"] for row in read_manifest(save / f"{n}.csv")}
            for n in ("test", "train")
        )
        tested.update(test)
        assert test | train == listed.keys()
        sources, classes = (
            [{listed[i][key] for i in part} for part in (test, train)]
            for key in ("src_file", "category")
        )
        assert not sources[0] & sources[1]
        unlearned |= classes[0] - classes[1]
    assert tested == Counter(listed.keys())
    pairs = {(row["category"], row["src_file"]) for row in listed.values()}
    of_one = Counter(category for category, _ in pairs)
    assert unlearned == {name for name, n in of_one.items() if n == 1}
    assert len(unlearned) == 5


@real("data/UrbanSound8K")
@only("us8k")
def test_five_real_sources_of_us8k_are_in_two_folds(
    dataset, tmp_path, save, monkeypatch, caplog
):
    """What they leave in other folds is not learned from; no file is needed."""
    listed = dataset.read_rows(DATA / "UrbanSound8K")
    dataset.write(tmp_path / "real")
    shutil.rmtree(tmp_path / "real" / "audio")
    dataset.write_rows(tmp_path / "real", listed)

    def examine(wav, known):
        facts = {"duration": 4.0, "silent": False, "size": 0, "mtime_ns": 0}
        return {**facts, "sha256": hashlib.sha256(wav.encode()).hexdigest()}

    monkeypatch.setattr(checks, "_examine", examine)
    folds_of = {}
    for row in listed:
        folds_of.setdefault(row["fsID"], set()).add(row["fold"])
    assert sum(len(folds) > 1 for folds in folds_of.values()) == 5
    for fold in (1, 3):
        caplog.clear()
        dataset.prepare(tmp_path / "real", save, folds=[fold], with_train=True)
        own = [row for row in listed if row["fold"] == str(fold)]
        n_shared = sum(
            row["fold"] != str(fold) and str(fold) in folds_of[row["fsID"]]
            for row in listed
        )
        assert n_shared == {1: 31, 3: 0}[fold]
        assert prepared(save)["n_shared_source"] == n_shared
        test, train = (
            read_manifest(save / f"{n}.csv") for n in ("test", "train")
        )
        assert len(test) == len(own)
        assert len(train) == 8732 - len(own) - n_shared
        tested = {row["fsID"] for row in own}
        assert not any(row["ID"].split("-")[0] in tested for row in train)
        assert ("not learned from" in caplog.text) == bool(n_shared)
