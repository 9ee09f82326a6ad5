"""Tests of afpt_plugin.samples and of the recordings that it lays out."""

import json
import re
import shutil
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import prep_scripts
import pytest
import soundfile
from common import cases, refused
from prep_scripts import PREPARE
from sample_noise import write_recordings, write_table

from afpt_plugin import samples
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.tables import csv_text, read_table
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256
from afpt_plugin.sample_recordings import (
    COLUMNS,
    RECORDINGS,
    VOCABULARIES,
    load_sound,
    read_recordings,
)
from afpt_plugin.samples import (
    write_dcase2019,
    write_esc50,
    write_fsd2019,
    write_us8k,
)

WRITERS = {
    "esc50": write_esc50,
    "us8k": write_us8k,
    "fsd2019": partial(write_fsd2019, clips_per_recording=2),
    "dcase2019": partial(write_dcase2019, clips_per_recording=2),
    "public": partial(write_dcase2019, clips_per_recording=2, subset="public"),
}


def read_rows(path):
    return read_table(
        path, (), delimiter="\t" if path.suffix == ".tsv" else ","
    )


def content(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def mine(recordings_folder, tmp_path):
    """A copy of the recordings, to change."""
    return shutil.copytree(recordings_folder, tmp_path / "mine")


def change(folder, *lines, **values):
    """Change what lines of recordings.csv say."""
    path = folder / "recordings.csv"
    rows = read_rows(path)
    for line in lines:
        rows[line - 2] |= values
    path.write_text(csv_text([rows[0], *map(dict.values, rows)]))


# Layouts


def test_the_vocabularies_are_those_of_the_prep_scripts():
    assert VOCABULARIES == {
        "esc50": list(prep_scripts.ESC50.ESC50_CATEGORIES),
        "us8k": list(prep_scripts.US8K.US8K_CATEGORIES),
        "fsd2019": list(prep_scripts.FSD2019.FSD2019_VOCABULARY),
        "dcase2019": list(prep_scripts.DCASE2019.DCASE2019_LABELS),
    }


@pytest.mark.parametrize("name", WRITERS)
def test_the_prep_script_reads_a_layout_that_is_always_the_same(
    name, recordings_folder, tmp_path, monkeypatch
):
    root = WRITERS[name](tmp_path / "data", recordings_folder)
    # Nothing is left in the folder that a user has not asked for.
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    again = WRITERS[name](tmp_path / "again", recordings_folder)
    assert content(root) == content(again)
    monkeypatch.setattr(samples.soundfile, "write", None)
    assert WRITERS[name](tmp_path / "data", recordings_folder) == root
    PREPARE[name](tmp_path / "data", tmp_path / "save")
    prepared = json.loads((tmp_path / "save" / "prepare.json").read_text())
    n_clips = 10 if name in ("esc50", "us8k") else 20
    assert (prepared["n_recordings"], prepared["n_left_out"]) == (n_clips, 0)
    manifest = read_manifest(tmp_path / "save" / "test.csv")
    assert len({row["sha256"] for row in manifest}) == n_clips
    there = {n for row in manifest for n in row["label"].split("|")}
    vocabulary = "dcase2019" if name == "public" else name
    labels = [r.labels[vocabulary] for r in read_recordings(recordings_folder)]
    assert len(there) == len({label for few in labels for label in few})


@pytest.mark.parametrize("write", [write_fsd2019, write_dcase2019])
def test_another_seed_gives_other_mixtures(write, recordings_folder, tmp_path):
    roots = [
        write(tmp_path / str(seed), recordings_folder, 2, seed)
        for seed in (0, 1)
    ]
    first, other = map(content, roots)
    same = {name for name in first if first[name] == other.get(name)}
    alone = 10 if write is write_fsd2019 else 0
    assert sum(name.endswith(".wav") for name in same) == alone


def test_esc50_clips_start_as_the_recordings_do(recordings_folder, tmp_path):
    root = write_esc50(tmp_path, recordings_folder)
    by_category = {
        r.labels["esc50"][0]: r for r in read_recordings(recordings_folder)
    }
    for row in read_rows(root / "meta" / "esc50.csv"):
        sig, rate = soundfile.read(root / "audio" / row["filename"])
        assert (rate, sig.shape) == (44100, (220500,))
        whole, _ = load_sound(by_category[row["category"]], rate)
        n = min(len(whole), len(sig))
        np.testing.assert_allclose(sig[:n], whole[:n].clip(-1, 1), atol=1e-4)
        assert not sig[n:].any()


def test_takes_of_one_source_lie_in_one_fold_and_a_class_in_all(mine, tmp_path):
    change(mine, *range(2, 8), esc50="dog", us8k="siren")
    change(mine, *range(8, 12), esc50="cow", us8k="siren")
    for line, source in enumerate("aabcdeffgh", start=2):
        change(mine, line, path=f"dog{source}_{line}.wav")
    root = write_esc50(tmp_path, mine)
    folds = defaultdict(set)
    rows = read_rows(root / "meta" / "esc50.csv")
    for row in rows:
        folds[row["src_file"]].add(row["fold"])
    assert len(folds) == 8 and all(len(f) == 1 for f in folds.values())
    assert len({row["fold"] for row in rows if row["category"] == "dog"}) == 5
    counts = Counter(row["fold"] for row in rows)
    assert len(counts) == 5 and max(counts.values()) <= 3
    takes = Counter((row["src_file"], row["take"]) for row in rows)
    assert set(takes.values()) == {1} and {t for _, t in takes} == {"A", "B"}
    rows = read_rows(write_us8k(tmp_path, mine) / "metadata/UrbanSound8K.csv")
    assert len({row["fold"] for row in rows}) == 8


def test_a_recording_without_a_label_is_in_no_clip(mine, tmp_path):
    change(mine, *range(4, 12), dcase2019="")
    root = write_dcase2019(tmp_path, mine)
    rows = read_rows(root / "metadata/validation/validation.tsv")
    kept = read_rows(mine / "recordings.csv")[:2]
    assert {r["event_label"] for r in rows} == {r["dcase2019"] for r in kept}
    assert len({r["filename"] for r in rows}) == 12


def test_every_recording_takes_its_turn_as_the_loudest(
    mine, tmp_path, monkeypatch
):
    mixed = []

    def mix(chosen, *arguments):
        mixed.append([recording.path.name for recording in chosen])
        return np.ones(8), [(0.0, 1.0)] * len(chosen)

    monkeypatch.setattr(samples, "mix_sounds", mix)
    write_dcase2019(tmp_path, mine, clips_per_recording=12)
    firsts = Counter(names[0] for names in mixed)
    assert len(firsts) == 10 and set(firsts.values()) == {12}
    assert {len(names) for names in mixed} == {1, 2, 3}
    assert all(len(set(names)) == len(names) for names in mixed)


def test_strong_labels_are_true_of_the_mixture(recordings_folder, tmp_path):
    root = write_dcase2019(tmp_path, recordings_folder, 2)
    events = defaultdict(list)
    for row in read_rows(root / "metadata/validation/validation.tsv"):
        events[row["filename"]].append(row)
    for name, rows in events.items():
        sig, rate = soundfile.read(root / "audio" / "validation" / name)
        assert (rate, sig.shape) == (44100, (441000,))
        outside = np.ones(len(sig), dtype=bool)
        for row in rows:
            onset, offset = float(row["onset"]), float(row["offset"])
            assert 0 <= onset < offset <= 10
            inside = slice(round(onset * rate), round(offset * rate))
            outside[inside] = False
            assert sig[inside].std() > 0.01
            # Noise fills what is labeled: it is no wider than the sound.
            for edge in np.array_split(sig[inside], 10):
                assert edge.std() > 0.01
        # The background is at -60 dB: RMS 0.001, and peaks of 5 times that.
        assert sig[outside].std() < 0.0013
        assert np.abs(sig[outside]).max() < 0.007


def test_a_mixtures_labels_are_those_of_all_it_holds(mine, tmp_path):
    change(mine, 2, fsd2019="Knock|Slam")
    change(mine, 3, fsd2019="Slam|Gong")
    change(mine, *range(6, 12), fsd2019="")
    root = write_fsd2019(tmp_path, mine, clips_per_recording=9)
    meta = root / "FSDKaggle2019.meta" / "test_post_competition.csv"
    together = 0
    for row in read_rows(meta):
        labels = row["labels"].split(",")
        assert len(set(labels)) == len(labels)
        together += len(labels) > 2
        assert ("Knock" in labels or "Gong" in labels) == ("Slam" in labels)
        # Two recordings that share a label are not mixed.
        assert not {"Knock", "Gong"} <= set(labels)
    assert together


# Folders


def test_an_outdated_or_damaged_folder_is_written_again(mine, tmp_path):
    change(mine, *range(5, 12), dcase2019="")
    root = write_dcase2019(tmp_path, mine, clips_per_recording=2)
    known = content(root)
    path = next(root.rglob("*.wav"))
    path.write_bytes(b"")
    (root / "notes.txt").write_text("mine")
    write_dcase2019(tmp_path, mine, clips_per_recording=2)
    assert content(root) == known
    write_dcase2019(tmp_path, mine, clips_per_recording=1)
    assert len(list(root.rglob("*.wav"))) == 3
    change(mine, 2, dcase2019="")
    write_dcase2019(tmp_path, mine, clips_per_recording=1)
    assert len(list(root.rglob("*.wav"))) == 2
    (root / samples.STAMP).write_text("{")
    write_dcase2019(tmp_path, mine, clips_per_recording=2)
    assert len(list(root.rglob("*.wav"))) == 4


def test_a_folder_that_was_not_written_here_is_refused(mine, tmp_path):
    real = tmp_path / "ESC-50-master"
    real.mkdir()
    (real / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=str(real)):
        write_esc50(tmp_path, mine)
    assert content(real) == {"notes.txt": b"mine"}


def test_an_interrupted_run_leaves_nothing(mine, tmp_path, monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*arguments)

    write = samples.soundfile.write
    monkeypatch.setattr(samples.soundfile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_esc50(tmp_path / "data", mine)
    assert not list((tmp_path / "data").iterdir())


def test_a_place_that_cannot_be_written_to_is_named(mine, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=str(tmp_path / "file")):
        write_esc50(tmp_path / "file", mine)


# Mistakes, by the facts that a message must name


@cases(
    "values, fact",
    ({"file": "../dog.wav"}, "../dog.wav"),
    ({"file": "noise_0.flac"}, "noise_0.flac"),
    ({"esc50": "wolf"}, "wolf"),
    ({"us8k": "dog"}, "'dog'"),
    ({"fsd2019": "Bark|Wolf"}, "Wolf"),
    ({"fsd2019": "Bark|Bark"}, "Bark|Bark"),
    ({"dcase2019": "Cat|Dog"}, "Cat|Dog"),
)
def test_a_wrong_row_is_named(mine, tmp_path, values, fact):
    change(mine, 5, **values)
    with refused(f"{mine / 'recordings.csv'}, line 5", fact, "reinstall"):
        write_us8k(tmp_path, mine)


@cases(
    "damage, fact",
    (Path.unlink, "No such file"),
    (lambda path: path.write_bytes(path.read_bytes()[:99]), "SHA-256"),
    # As another recordings.csv has it
    (lambda path: path.write_text("noise"), "not readable"),
    (lambda path: soundfile.write(path, np.zeros(99), 8000), "silent"),
)
def test_a_file_that_cannot_be_used_is_named(mine, tmp_path, damage, fact):
    path = mine / "noise_3.flac"
    damage(path)
    if fact in ("not readable", "silent"):
        change(mine, 5, sha256=file_sha256(path))
    table = mine / "recordings.csv"
    wanted = f"{table}, line 5: noise_3.flac .*{fact}.*reinstall"
    with pytest.raises(InputError, match=wanted):
        write_esc50(tmp_path / "data", mine)
    assert not list((tmp_path / "data").iterdir())


@cases(
    "text, fact",
    (None, "No such file"),
    ("file,esc50\na.ogg,dog\n", "sha256"),
    (",".join(COLUMNS) + "\na.ogg,dog\n", "line 2"),
)
def test_a_damaged_table_is_named(tmp_path, text, fact):
    table = tmp_path / "recordings.csv"
    if text:
        table.write_text(text)
    with pytest.raises(InputError, match=f"{table}.*{fact}.*reinstall"):
        write_fsd2019(tmp_path / "data", tmp_path)


@cases(
    "name, value",
    *(("clips_per_recording", 0), ("clips_per_recording", 1.5)),
    *(("seed", -1), ("seed", None), ("subset", "eval")),
)
def test_an_option_out_of_range_is_named(mine, tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name}: {value!r}"):
        write_dcase2019(tmp_path, mine, **{name: value})


def test_more_takes_of_a_source_than_letters_are_named(tmp_path):
    rows = write_recordings(tmp_path, 27)
    for i, row in enumerate(rows):
        row |= {"esc50": "dog", "path": f"usr/share/take{i}.ogg"}
    write_table(tmp_path, rows)
    with pytest.raises(InputError, match="recordings.csv, line .*27th take"):
        write_esc50(tmp_path / "data", tmp_path)


def test_a_table_without_a_label_of_the_data_set_is_named(mine, tmp_path):
    change(mine, *range(2, 12), us8k="")
    with pytest.raises(InputError, match=f"{mine}/recordings.csv: .*us8k"):
        write_us8k(tmp_path, mine)


# What ships with the package

# SPDX identifiers under which a recording may ship with the package.
LICENSES = re.compile(
    r"CC0-1\.0|LicenseRef-Public-Domain|CC-BY(-SA)?-\d\.\d(-[A-Z]+)?|MIT|"
    r"BSD-[23]-Clause|ISC|Zlib|WTFPL|Apache-2\.0"
)


@pytest.fixture(scope="module")
def shipped():
    """The rows of the package's recordings.csv."""
    return read_recordings()


def test_the_shipped_recordings_keep_the_contract(shipped):
    notice = (RECORDINGS.parent / "NOTICE").read_text(encoding="utf-8")
    notice = " ".join(notice.split())
    for recording in shipped:
        row, file = recording.row, recording.path.name
        load_sound(recording)  # hash, decodable, not silent
        info = soundfile.info(recording.path)
        assert info.channels == 1 and info.samplerate <= 48000, file
        assert 0.5 <= info.duration <= 10.001, file
        assert LICENSES.fullmatch(row["license"]), file
        assert any(recording.labels.values()), file
        for column in ("title", "author", "package", "version", "path"):
            assert row[column].strip(), (file, column)
        assert float(row["start"]) >= 0, file
        for credit in (file, row["author"], row["license"]):
            credit = " ".join(credit.split())
            assert credit in notice, f"{file}: NOTICE has no {credit!r}"


def test_no_shipped_recording_is_there_twice_or_unlisted(shipped):
    hashes = Counter(recording.row["sha256"] for recording in shipped)
    assert set(hashes.values()) == {1}
    listed = {recording.path.name for recording in shipped}
    there = {path.name for path in RECORDINGS.iterdir()}
    assert there == listed | {"recordings.csv"}
    total = sum(recording.path.stat().st_size for recording in shipped)
    assert total <= 12_000_000


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_at_most_five_shipped_recordings_are_of_a_class(shipped, vocabulary):
    counts = Counter(label for r in shipped for label in r.labels[vocabulary])
    assert len(counts) >= 5 and max(counts.values()) <= 5
