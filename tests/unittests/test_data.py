"""Tests of afpt_plugin.data."""

import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from afpt_plugin.data import manifests as data
from afpt_plugin.data.audio import UNKNOWN_RIFF_SIZES, read_recording
from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing

RATE = 8000
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def write(path, sig, rate=RATE, subtype="FLOAT"):
    """Write a waveform [samples] or [samples, channels]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(sig, "float32"), rate, subtype=subtype)
    return path


def row(path, label="rain", **more):
    """A row as a prep script makes it."""
    return {"ID": Path(path).stem, "wav": str(path), "label": label, **more}


# Manifests


def manifest_row(**more):
    """A row of a manifest."""
    return {
        "ID": "a",
        "duration": 1.5,
        "wav": "/data/a, b.wav",
        "label": "rain|wind",
        "sha256": "00",
        **more,
    }


def test_speechbrain_reads_a_manifest(tmp_path):
    data.write_manifest(tmp_path / "test.csv", [manifest_row()])
    dataset = DynamicItemDataset.from_csv(
        tmp_path / "test.csv", output_keys=["id", "duration", "wav", "label"]
    )
    assert dataset[0] == {
        "id": "a",
        "duration": 1.5,
        "wav": "/data/a, b.wav",
        "label": "rain|wind",
    }


def test_a_failed_write_leaves_the_old_manifest(tmp_path):
    path = tmp_path / "test.csv"
    data.write_manifest(path, [manifest_row()])
    with pytest.raises(InputError, match="[$] in this path"):
        data.write_manifest(path, [manifest_row(wav="/data/$x/a.wav")])
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half a row")
        raise RuntimeError
    assert data.read_manifest(path) == [manifest_row()]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column ID"),
        ("ID,wav\na,a.wav\n", "no column duration, label, sha256"),
        ("ID,duration,wav,label,sha256\n", "no row"),
        ("ID,duration,wav,label,sha256\na,1,a.wav\n", "line 2: not 5 values"),
        ("ID,duration,wav,label,sha256\na,1,w,l,s,x\n", "line 2: not 5 values"),
        ("ID,duration,wav,label,sha256\na,x,w,l,s\n", "line 2: duration 'x'"),
        (
            "ID,duration,wav,label,sha256\na,1,w,l,s\na,1,w,l,s\n",
            "line 3: ID a comes twice",
        ),
        ('ID,duration,wav,label,sha256\na,1,"w,l,s\n', "no CSV file"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, text, message):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"test.csv.*{message}"):
        data.read_manifest(path)


def test_unreadable_metadata_is_named(tmp_path):
    (tmp_path / "meta.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(InputError, match="meta.csv: no CSV file in UTF-8"):
        data.read_metadata(tmp_path / "meta.csv", ["a"])
    with pytest.raises(InputError, match="none.csv: cannot be read"):
        data.read_metadata(tmp_path / "none.csv", ["a"])


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "meta.csv").write_text("a,b\n1,2\n", encoding="utf-8-sig")
    rows = data.read_metadata(tmp_path / "meta.csv", ["a"])
    assert rows == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("key", ["ID", "label", "sha256"])
def test_the_fingerprint_tells_recordings_labels_and_bytes_apart(key):
    before = data.data_fingerprint([manifest_row()])
    assert before != data.data_fingerprint([manifest_row(**{key: "other"})])
    assert before == data.data_fingerprint([manifest_row(wav="/elsewhere")])


# Checking


@pytest.fixture
def bad_files(tmp_path):
    """One file for each way of being bad, and the reason it gets."""
    tone = np.sin(np.arange(4000) / 9)
    whole = write(tmp_path / "whole.wav", tone).read_bytes()
    flac = tmp_path / "cut.flac"
    soundfile.write(flac, tone, RATE)
    contents = {
        "zero_bytes.wav": (b"", "empty: 0 bytes"),
        "text.wav": (b"this is no sound at all", "not readable as audio"),
        "cut.wav": (whole[:5000], "truncated: 5000 of"),
        "header.wav": (whole[:30], "truncated"),
        "cut.flac": (flac.read_bytes()[:1500], "not readable as audio"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    write(tmp_path / "no_sample.wav", [])
    write(tmp_path / "nan.wav", [0.5, np.nan])
    (tmp_path / "folder.wav").mkdir()
    reasons = {name: reason for name, (_, reason) in contents.items()}
    return tmp_path, reasons | {
        "no_sample.wav": "empty: 0 samples",
        "nan.wav": "not finite",
        "folder.wav": "unreadable",
        "missing.wav": "missing",
    }


def test_every_bad_recording_is_reported_by_name_and_reason(bad_files):
    folder, reasons = bad_files
    rows = [row(folder / "whole.wav")]
    rows += [row(folder / name, ID=name) for name in reasons]
    with pytest.raises(InputError) as caught:
        data.check_recordings(rows, ["rain"], folder / "save")
    message = str(caught.value)
    assert f"{len(reasons)} of {len(rows)} recordings" in message
    assert f"--allow_missing {len(reasons)}" in message
    assert "whole.wav" not in message
    for name, reason in reasons.items():
        assert f"{name}: {reason}" in message or (
            name == "nan.wav" and "nan.wav: holds samples that" in message
        )
    listed = data.read_metadata(
        folder / "save" / "problems.csv", ["ID", "wav", "reason"]
    )
    assert [entry["ID"] for entry in listed] == list(reasons)


def test_labels_and_ids_are_checked(tmp_path):
    paths = [write(tmp_path / f"{name}.wav", [0.5]) for name in "abcde"]
    rows = [
        row(paths[0], "rain|wind"),
        row(paths[1], "rain|hail"),
        row(paths[2], ""),
        row(paths[3], problem="wrongly labelled: its name says so"),
        row(paths[4], ID="a"),
    ]
    checked = data.check_recordings(
        rows, ["rain", "wind"], tmp_path, allow_missing=4
    )
    assert [good["ID"] for good in checked.rows] == ["a"]
    assert [bad["reason"] for bad in checked.left_out] == [
        "wrongly labelled: 'hail' is no class",
        "no label",
        "wrongly labelled: its name says so",
        "duplicate: its ID is listed before",
    ]


def test_an_allowance_leaves_out_by_name_and_no_more_than_it_says(
    tmp_path, caplog
):
    rows = [row(write(tmp_path / "a.wav", [0.5])), row(tmp_path / "b.wav")]
    with caplog.at_level(logging.WARNING):
        checked = data.check_recordings(
            rows, ["rain"], tmp_path, allow_missing=1
        )
    assert [good["ID"] for good in checked.rows] == ["a"]
    assert [bad["ID"] for bad in checked.left_out] == ["b"]
    assert "1 of 2 recordings are left out" in caplog.text
    assert "b.wav: missing" in caplog.text
    rows.append(row(tmp_path / "c.wav"))
    with pytest.raises(InputError, match="2 of 3 .*allow_missing: 1"):
        data.check_recordings(rows, ["rain"], tmp_path, allow_missing=1)


def test_no_allowance_covers_a_data_set_without_a_good_recording(tmp_path):
    with pytest.raises(InputError, match="none is left"):
        data.check_recordings(
            [row(tmp_path / "a.wav")], ["rain"], tmp_path, allow_missing=9
        )


@pytest.mark.parametrize("value", [-1, True, 0.5, "3", None])
def test_an_allowance_is_a_number_of_recordings(tmp_path, value):
    with pytest.raises(InputError, match="allow_missing"):
        data.check_recordings([], [], tmp_path, allow_missing=value)


def test_a_long_list_of_problems_is_cut_in_the_message_alone(tmp_path):
    rows = [row(tmp_path / f"{i:02}.wav") for i in range(25)]
    with pytest.raises(
        InputError, match="(?s)19.wav: missing.*and 5 more"
    ) as e:
        data.check_recordings(rows, ["rain"], tmp_path)
    assert "20.wav" not in str(e.value)
    assert "24.wav" in (tmp_path / "problems.csv").read_text()


def test_the_list_of_problems_goes_when_they_are_gone(tmp_path):
    rows = [row(tmp_path / "a.wav")]
    with pytest.raises(InputError):
        data.check_recordings(rows, ["rain"], tmp_path)
    assert (tmp_path / "problems.csv").exists()
    write(tmp_path / "a.wav", [0.5])
    data.check_recordings(rows, ["rain"], tmp_path)
    assert not (tmp_path / "problems.csv").exists()


def test_a_silent_recording_is_used_with_a_warning(tmp_path, caplog):
    rows = [
        row(write(tmp_path / "quiet.wav", np.zeros(9))),
        row(write(tmp_path / "loud.wav", [0, 0.1])),
    ]
    for _ in range(2):  # the second time from what the first one noted
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            checked = data.check_recordings(rows, ["rain"], tmp_path)
        assert len(checked.rows) == 2
        assert "1 recordings are silent" in caplog.text
        assert "quiet.wav" in caplog.text and "loud.wav" not in caplog.text


@pytest.mark.parametrize("size", UNKNOWN_RIFF_SIZES)
def test_a_wav_written_to_a_pipe_is_not_called_truncated(tmp_path, size):
    path = write(tmp_path / "a.wav", np.ones(100) / 2, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    checked = data.check_recordings([row(path)], ["rain"], tmp_path / "save")
    assert checked.rows[0]["duration"] == 100 / RATE


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(tmp_path):
    paths = [write(tmp_path / f"{name}.wav", [0.5, 0.1]) for name in "ab"]
    rows = [row(path) for path in paths]
    check = partial(data.check_recordings, rows, ["rain"], tmp_path / "save")
    first = check()
    assert first.n_read == 2
    again = check()
    assert again.n_read == 0 and again.rows == first.rows
    write(paths[1], [0.5, 0.2, 0.3])
    changed = check()
    assert changed.n_read == 1
    assert changed.rows[0] == first.rows[0]
    assert changed.rows[1]["sha256"] != first.rows[1]["sha256"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"a": {"size": 1}}'])
def test_a_damaged_note_of_earlier_checks_is_not_trusted(
    tmp_path, caplog, damage
):
    rows = [row(write(tmp_path / "a.wav", [0.5]))]
    first = data.check_recordings(rows, ["rain"], tmp_path)
    (tmp_path / "recordings.json").write_text(damage)
    with caplog.at_level(logging.WARNING):
        again = data.check_recordings(rows, ["rain"], tmp_path)
    assert again == first and again.n_read == 1
    assert "recordings.json is damaged" in caplog.text


def test_an_interrupted_check_keeps_what_it_has_read(tmp_path, monkeypatch):
    rows = [row(write(tmp_path / f"{name}.wav", [0.5])) for name in "abc"]
    examine, calls = data._examine, []

    def interrupted(content):
        calls.append(content)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return examine(content)

    monkeypatch.setattr(data, "_examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.check_recordings(rows, ["rain"], tmp_path)
    assert data.check_recordings(rows, ["rain"], tmp_path).n_read == 1


def test_a_prepared_set_says_how_it_was_prepared(tmp_path, caplog):
    rows = [row(write(tmp_path / "a.wav", [0.5])), row(tmp_path / "b.wav")]
    save = tmp_path / "save"
    prepare = partial(
        data.prepare_test_set,
        "Toy",
        rows,
        ["rain", "wind"],
        save,
        allow_missing=1,
        settings={"folds": [1]},
    )
    summary = prepare()
    assert "1 of 2 classes have no recording" in caplog.text
    assert "of them: wind" in caplog.text
    assert json.loads((save / "prepare.json").read_text()) == summary
    assert summary == {
        "dataset": "Toy",
        "settings": {"folds": [1], "allow_missing": 1},
        "n_recordings": 1,
        "n_left_out": 1,
        "left_out": [
            {"ID": "b", "wav": rows[1]["wav"], "reason": "missing"},
        ],
        "data_fingerprint": data.data_fingerprint(
            data.read_manifest(save / "test.csv")
        ),
        "class_names": ["rain", "wind"],
    }
    (save / "test.csv").write_text("tampered with")
    assert prepare() == summary
    assert len(data.read_manifest(save / "test.csv")) == 1


@pytest.mark.skipif(
    not (SHARED / "UrbanSound8K").is_dir(),
    reason="the shared clips of UrbanSound8K are not there",
)
def test_real_recordings_of_many_formats_pass_the_check(tmp_path):
    paths = sorted((SHARED / "UrbanSound8K").rglob("*.wav"))
    rows = [row(path, ID=str(path)) for path in paths]
    checked = data.check_recordings(rows, ["rain"], tmp_path)
    assert len(checked.rows) == len(paths) > 0
    for path in paths:
        sig = read_recording(path, 44100, 5)
        assert sig.shape == (220500,) and sig.isfinite().all()


# Finding


@pytest.mark.parametrize("given_folder", ["", "Toy", "Toy/audio", "Toy/meta"])
def test_a_data_set_is_found_from_above_and_from_inside(tmp_path, given_folder):
    marker = tmp_path / "Toy" / "meta" / "toy.csv"
    (tmp_path / "Toy" / "audio").mkdir(parents=True)
    marker.parent.mkdir()
    marker.touch()
    found = data.find_root(tmp_path / given_folder, "meta/toy.csv", "Toy")
    assert found == tmp_path / "Toy"


def test_a_data_set_that_is_not_found_names_the_ways_out(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(InputError) as caught:
            data.find_root(folder, "meta/toy.csv", "Toy")
        for part in (
            str(folder / "meta/toy.csv"),
            "--download True",
            "--data_folder samples",
        ):
            assert part in str(caught.value)
        assert ("is no folder" in str(caught.value)) == (folder != tmp_path)


def test_two_copies_are_not_chosen_between_nor_fetched_again(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "toy.csv").touch()
    with pytest.raises(InputError, match="more than once: one, two"):
        data.find_root(tmp_path, "toy.csv", "Toy", fetch=pytest.fail)


def test_what_is_not_there_is_fetched_once(tmp_path):
    calls = []

    def fetch():
        calls.append(1)
        (tmp_path / "toy.csv").touch()

    for _ in range(2):
        root = data.find_root(tmp_path, "toy.csv", "Toy", fetch=fetch)
        assert root == tmp_path and len(calls) == 1
    with pytest.raises(InputError, match="not found"):
        data.find_root(tmp_path, "b/other.csv", "Toy", fetch=lambda: None)
