"""Tests of afpt_plugin.data.manifests."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from common import cases, refusal, refused
from data_sets import DATA, real
from speechbrain.dataio.dataset import DynamicItemDataset

from afpt_plugin.data import checks
from afpt_plugin.data.audio import read_clip
from afpt_plugin.data.manifests import (
    data_fingerprint,
    find_root,
    prepare_manifests,
    read_manifest,
)
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, replacing
from afpt_plugin.task import Task

RATE = 8000
TOY = Task("Toy", ["rain", "wind"])


def write(path, sig=(0.5, 0.1), subtype="FLOAT"):
    soundfile.write(path, np.asarray(sig), RATE, subtype=subtype)
    return path


def row(path, label="rain", **more):
    """A row as a prep script makes it."""
    return {"ID": Path(path).stem, "wav": str(path), "label": label, **more}


@pytest.fixture
def prepare(tmp_path):
    """Prepare rows; return what prepare.json says."""
    return partial(prepare_manifests, TOY, tmp_path, save_folder=tmp_path / "s")


def test_a_manifest_is_read_as_it_was_written(tmp_path, prepare):
    """By SpeechBrain, too; whatever a path holds."""
    path = write(tmp_path / "a, b.wav", np.ones(12000) / 2)
    prepare([row(path, "rain|wind", ID="a", source="7")])
    manifest = tmp_path / "s" / "test.csv"
    wanted = {"ID": "a", "duration": 1.5, "wav": str(path)}
    wanted |= {"label": "rain|wind", "source": "7"}
    wanted["sha256"] = file_sha256(path)
    assert read_manifest(manifest) == [wanted]
    keys = ["duration", "wav", "label", "sha256"]
    dataset = DynamicItemDataset.from_csv(manifest, output_keys=keys)
    assert dataset[0] == {key: wanted[key] for key in keys}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("whole")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


HEADER = "ID,duration,wav,label,source,sha256\n"


@cases(
    "text, fact",
    ("", "empty"),
    ("ID,wav\na,a.wav\n", "'duration', 'label', 'source', 'sha256'"),
    (HEADER, "no row"),
    (HEADER + "a,1,a.wav\n", "line 2"),
    (HEADER + "a,x,w,l,o,s\n", "line 2: .*'x'"),
    (HEADER + "a,1,w,l,o,s\na,1,w,l,o,s\n", "line 3: .*ID a"),
)
def test_a_damaged_manifest_is_refused(tmp_path, text, fact):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"test.csv.*{fact}.* Delete the file"):
        read_manifest(path)


def test_the_fingerprint_tells_recordings_labels_and_bytes_apart():
    a, b = ({"ID": i, "label": "rain", "sha256": "0", "wav": i} for i in "ab")
    before = data_fingerprint([a, b])
    assert before == data_fingerprint([b, a | {"wav": "elsewhere"}])
    for key in ("ID", "label", "sha256"):
        assert before != data_fingerprint([a | {key: "other"}, b])


def test_every_bad_recording_is_reported_by_name_and_reason(tmp_path, prepare):
    tone = np.sin(np.arange(4000) / 9)
    whole = write(tmp_path / "whole.wav", tone).read_bytes()
    soundfile.write(tmp_path / "whole.flac", tone, RATE)
    flac = (tmp_path / "whole.flac").read_bytes()
    bad = {
        "zero_bytes.wav": (b"", "empty: 0 bytes"),
        "text.wav": (b"this is no sound at all", "not readable as audio"),
        "cut.wav": (whole[:5000], "truncated: 69% of the announced samples"),
        "header.wav": (whole[:30], "truncated"),
        "cut.flac": (flac[:1500], "not readable as audio"),
        "no_sample.wav": ([], "empty: 0 samples"),
        "nan.wav": ([0.5, np.nan], "some samples are not finite"),
        "folder.wav": (None, "unreadable"),
        "missing.wav": (None, "missing"),
    }
    (tmp_path / "folder.wav").mkdir()
    for name, (content, _) in bad.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            write(tmp_path / name, content)
    rows = [row(tmp_path / "whole.wav")]
    rows += [row(tmp_path / name, ID=name) for name in bad]
    message = refusal(prepare, rows)
    assert "9 of 10" in message and "--allow_missing 9" in message
    assert "whole.wav" not in message
    for name, (_, reason) in bad.items():
        assert f"{name}: {reason}" in message
    problems = tmp_path / "s" / "problems.csv"
    assert str(problems) in message
    listed = read_table(problems, ["ID", "wav", "reason"])
    assert [entry["ID"] for entry in listed] == list(bad)
    assert not (tmp_path / "s" / "test.csv").exists()


def test_labels_ids_and_problems_are_checked(tmp_path, prepare):
    paths = [write(tmp_path / f"{name}.wav") for name in "abcde"]
    rows = [
        row(paths[0], "rain|wind"),
        row(paths[1], "rain|hail"),
        row(paths[2], ""),
        row(paths[3], problem="its name says so"),
        row(paths[4], ID="a"),
    ]
    left_out = prepare(rows, allow_missing=4)["left_out"]
    facts = ("'hail'", "no label", "its name says so", "duplicate")
    for bad, name, fact in zip(left_out, "bcda", facts, strict=True):
        assert bad["ID"] == name and fact in bad["reason"]


def test_an_allowance_leaves_out_by_name_and_no_more_than_it_says(
    tmp_path, prepare, caplog
):
    rows = [row(write(tmp_path / "a.wav")), row(tmp_path / "b.wav")]
    bad = {"ID": "b", "wav": rows[1]["wav"], "reason": "missing"}
    assert prepare(rows, allow_missing=1)["left_out"] == [bad]
    assert "1 of 2" in caplog.text and "b.wav: missing" in caplog.text
    rows.append(row(tmp_path / "c.wav"))
    with pytest.raises(InputError, match="2 of 3 .*allow_missing: 1"):
        prepare(rows, allow_missing=1)
    said = refusal(prepare, rows[1:2], allow_missing=9)  # would leave nothing
    assert "1 of 1" in said and "--allow_missing" not in said
    for path in (tmp_path / "b.wav", tmp_path / "c.wav"):
        write(path)
    assert prepare(rows)["n_left_out"] == 0
    assert not (tmp_path / "s" / "problems.csv").exists()


@pytest.mark.parametrize("value", [-1, True, 0.5, "3", None])
def test_an_allowance_is_a_number_of_recordings(prepare, value):
    with pytest.raises(InputError, match=f"allow_missing: {value!r}"):
        prepare([], allow_missing=value)


def test_a_long_list_of_problems_is_cut_in_the_message_alone(tmp_path, prepare):
    rows = [row(tmp_path / f"{i:02}.wav") for i in range(25)]
    said = refusal(prepare, rows)
    assert "19.wav: missing" in said and "5 more" in said
    assert "20.wav" not in said
    assert "24.wav" in (tmp_path / "s" / "problems.csv").read_text()


def test_a_silent_recording_is_used_with_a_warning(tmp_path, prepare, caplog):
    rows = [
        row(write(tmp_path / "quiet.wav", np.zeros(9))),
        row(write(tmp_path / "loud.wav")),
    ]
    for _ in range(2):  # the second time from what the first one recorded
        caplog.clear()
        assert prepare(rows)["n_recordings"] == 2
        assert "1 recordings are silent" in caplog.text
        assert "quiet.wav" in caplog.text and "loud.wav" not in caplog.text


def count_reads(monkeypatch, limit=None):
    """Count the files that are decoded; interrupt after `limit` of them."""
    open_audio, read = checks.open_audio, []

    def counted(path):
        if len(read) == limit:
            raise KeyboardInterrupt
        read.append(Path(path).read_bytes())
        return open_audio(path)

    monkeypatch.setattr(checks, "open_audio", counted)
    return read


def test_only_changed_files_are_read_again(tmp_path, prepare, monkeypatch):
    read = count_reads(monkeypatch)
    rows = [row(write(tmp_path / f"{name}.wav")) for name in "ab"]
    first = prepare(rows)
    assert prepare(rows) == first and len(read) == 2
    changed = write(tmp_path / "b.wav", [0.5, 0.2, 0.3])
    assert prepare(rows)["data_fingerprint"] != first["data_fingerprint"]
    assert read[2:] == [changed.read_bytes()]


@pytest.mark.parametrize("damage", ["{", "[]", '{"a": {"size": 1}}'])
def test_a_damaged_record_of_earlier_checks_is_not_trusted(
    tmp_path, prepare, caplog, monkeypatch, damage
):
    rows = [row(write(tmp_path / "a.wav"))]
    first = prepare(rows)
    (tmp_path / "s" / "recordings.json").write_text(damage)
    read = count_reads(monkeypatch)
    assert prepare(rows) == first and len(read) == 1
    assert "recordings.json is damaged" in caplog.text


def test_an_interrupted_check_keeps_what_it_has_read(
    tmp_path, prepare, monkeypatch
):
    rows = [row(write(tmp_path / f"{name}.wav")) for name in "abc"]
    with monkeypatch.context() as patch:
        count_reads(patch, limit=2)
        with pytest.raises(KeyboardInterrupt):
            prepare(rows)
    read = count_reads(monkeypatch)
    prepare(rows)
    assert len(read) == 1


def test_a_prepared_set_says_how_it_was_prepared(tmp_path, prepare, caplog):
    rows = [row(write(tmp_path / "a.wav")), row(tmp_path / "b.wav")]
    options = {"settings": {"subset": "x"}, "facts": {"n": 3}}
    options["allow_missing"] = 1
    summary = prepare(rows, **options)
    assert "1 of 2 classes have no recording" in caplog.text
    manifest = tmp_path / "s" / "test.csv"
    assert json.loads(manifest.with_name("prepare.json").read_text()) == summary
    settings = {"data_folder": str(tmp_path), "subset": "x"}
    assert summary == {
        "dataset": "Toy",
        "settings": {**settings, "allow_missing": 1},
        "n_recordings": 1,
        "n_left_out": 1,
        "left_out": [{"ID": "b", "wav": rows[1]["wav"], "reason": "missing"}],
        "n_shared_source": 0,
        "fold": None,
        "folds": None,
        "n": 3,
        "data_fingerprint": data_fingerprint(read_manifest(manifest)),
        "class_names": ["rain", "wind"],
        "sha256": summary["sha256"],
    }
    manifest.write_text("tampered with")
    assert prepare(rows, **options) == summary
    assert len(read_manifest(manifest)) == 1


@real("data/UrbanSound8K")
def test_real_recordings_of_many_formats_pass_the_check(prepare):
    paths = sorted((DATA / "UrbanSound8K").rglob("*.wav"))
    summary = prepare([row(path, ID=str(path)) for path in paths])
    assert summary["n_recordings"] == len(paths) > 0
    for path in paths:
        sig = read_clip(path, 44100, 5)
        assert sig.shape == (220500,) and sig.isfinite().all()


@pytest.mark.parametrize("given_folder", ["", "Toy", "Toy/audio", "Toy/meta"])
def test_a_data_set_is_found_from_above_and_from_inside(tmp_path, given_folder):
    (tmp_path / "Toy" / "audio").mkdir(parents=True)
    (tmp_path / "Toy" / "meta").mkdir()
    (tmp_path / "Toy" / "meta" / "toy.csv").touch()
    markers = ("meta/toys.csv", "meta/toy.csv")
    found = find_root(tmp_path / given_folder, markers, "Toy")
    assert found == tmp_path / "Toy"


def test_a_data_set_that_is_not_found_names_the_ways_out(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        ways_out = "--download True", "--data_folder samples"
        with refused(f"{folder}/meta/toy.csv", *ways_out):
            find_root(folder, "meta/toy.csv", "Toy")


def test_two_copies_are_not_chosen_between_nor_fetched_again(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "toy.csv").touch()
    with pytest.raises(InputError, match="one, two"):
        find_root(tmp_path, "toy.csv", "Toy", fetch=pytest.fail)


def test_what_is_not_there_is_fetched_once(tmp_path):
    calls = []

    def fetch():
        calls.append(1)
        (tmp_path / "toy.csv").touch()

    for _ in range(2):
        root = find_root(tmp_path, "toy.csv", "Toy", fetch=fetch)
        assert root == tmp_path and len(calls) == 1
    with pytest.raises(InputError, match="other.csv"):
        find_root(tmp_path, "b/other.csv", "Toy", fetch=lambda: None)
