"""`afpt classify` given again, stopped, and beside another: no row is lost.

The sounds are noise, the classes a template's, the backbone a tiny one.
"""

import fcntl
import json
import math
import os
import resource
import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import soundfile
from common import cases

from afpt_plugin import backbones
from afpt_plugin.cli import main, make_parser
from afpt_plugin.commands import classify
from afpt_plugin.commands.classify_table import Table
from afpt_plugin.inference import PromptedClassifier

RATE = 16000
NAMES = ["dog", "rain", "church bells"]
COLUMNS = {"file": "string", "name": "string", "score": "float32"}


@pytest.fixture(autouse=True)
def batches(clap, monkeypatch):
    """Batches of two; and the number of recordings in each."""
    encode, counts = PromptedClassifier.encode_windows, []

    def count(self, sigs, *arguments):
        counts.append(len(sigs))
        return encode(self, sigs, *arguments)

    monkeypatch.setattr(PromptedClassifier, "encode_windows", count)
    monkeypatch.setattr(backbones, "load_clap", lambda *_: clap)
    monkeypatch.setattr(classify, "GROUP", 2)
    return counts


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in "bdfh":
        record(folder / f"{name}.wav", 0.5)
    return folder


def record(path, seconds):
    noise = np.random.default_rng(len(path.name)).standard_normal(
        round(seconds * RATE)
    )
    soundfile.write(path, noise.cumsum() / 1000, RATE)


def command(output, *arguments, names="dog, rain,church bells"):
    return "classify", "--class-names", names, "--output", output, *arguments


def score(*arguments, **options):
    return main([*map(str, command(*arguments, **options))])


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file()
    }


@cases("name", "s.csv", "s.parquet", "s.tsv", "labels --format raven")
def test_new_changed_and_failed_files_are_added(
    folder, batches, tmp_path, name
):
    """Only they are scored, and the output is that of a fresh command."""
    options = [folder, "--windows", *name.split()[1:]]
    options += ["--frames"] if name == "s.csv" else []
    (old := tmp_path / "old").mkdir()
    (new := tmp_path / "new").mkdir()
    (folder / "e.wav").write_text("no sound")
    assert score(old / name.split()[0], *options) == 1
    assert sum(batches) == 4
    assert score(old / name.split()[0], *options) == 1
    assert sum(batches) == 4
    for file in ("a.wav", "c, \r.wav", "d.wav", "e.wav"):
        record(folder / file, 0.7)
    batches.clear()
    assert score(old / name.split()[0], *options) == 0
    assert sum(batches) == 4
    assert score(new / name.split()[0], *options) == 0
    found, wanted = contents(old), contents(new)
    assert set(found) == set(wanted)
    tables = {n for n in found if n.endswith((".csv", ".parquet", ".tsv"))}
    for file in set(found) - tables:
        assert found[file] == wanted[file]
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    read[".tsv"] = lambda path: pd.read_csv(path, sep="\t")
    for file in tables:
        own = read[os.path.splitext(file)[1]]
        pd.testing.assert_frame_equal(
            own(old / file), own(new / file), rtol=1e-4
        )
    batches.clear()
    assert score(old / name.split()[0], *options) == 0
    assert batches == [] and contents(old) == found


def test_files_of_another_folder_are_added(folder, tmp_path):
    """What is not named this time keeps its rows."""
    output, other = tmp_path / "s.csv", tmp_path / "a.wav"
    record(other, 0.5)
    assert score(output, folder) == 0
    assert score(output, other) == 0
    files = pd.read_csv(output)["file"].tolist()
    assert files == [*(str(folder / f"{n}.wav") for n in "bdfh"), str(other)]
    facts = json.loads((tmp_path / "s.csv.json").read_text())
    assert facts["n_recordings"] == 5 == len(facts["recordings"])


@contextmanager
def limited(n_bytes):
    """No file may grow beyond so many bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_what_is_done(folder, tmp_path, mistake):
    """Whole rows of some files; the same command goes on."""
    whole, output = tmp_path / "whole.csv", tmp_path / "s.csv"
    assert score(whole, folder, "--frames") == 0
    frames = (tmp_path / "whole.frames.csv").read_bytes()
    with limited(int(0.6 * len(frames))):
        error = mistake(*command(output, folder, "--frames"))
    assert "s.csv has 2 of 4 files" in error and "goes on" in error
    assert len(pd.read_csv(output)) == 2
    rest = (tmp_path / "s.frames.csv").read_bytes()
    assert frames.startswith(rest) and rest.count(b"d.wav")
    assert score(output, folder, "--frames") == 0
    assert output.read_bytes() == whole.read_bytes()
    assert (tmp_path / "s.frames.csv").read_bytes() == frames
    assert len(list(tmp_path.iterdir())) == 7  # no other file stays


def test_rows_are_there_as_soon_as_they_are_known(
    folder, tmp_path, monkeypatch
):
    """A reader sees those of the batches before."""
    output, seen = tmp_path / "s.csv", []
    encode = PromptedClassifier.encode_windows

    def look(self, sigs, *arguments):
        seen.append(output.read_text().count("\n") - 1)
        return encode(self, sigs, *arguments)

    monkeypatch.setattr(PromptedClassifier, "encode_windows", look)
    assert score(output, folder) == 0
    assert seen == [0, 2]


class Killed(BaseException):
    """After it, no file of the output changes."""


@pytest.fixture(scope="module")
def kill():
    """A function: run a command, and stop before its n-th change of a file."""
    left, place = math.inf, ""

    def watch(event, arguments):
        nonlocal left
        changes = event in ("os.rename", "os.remove", "row") or (
            event == "open" and set(str(arguments[1])) & set("wax")
        )
        if changes and place and place in str(arguments[0]):
            left -= 1
            if left < 0:
                raise Killed

    sys.addaudithook(watch)  # there is no way to remove it

    def kill(output, options, n):
        """Whether it was stopped."""
        nonlocal left, place
        left, place = n, str(output.parent)
        try:
            score(output, *options)
        except Killed:
            return True
        finally:
            place = ""
        return False

    return kill


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".txt"])
def test_a_killed_command_leaves_no_trace(
    folder, kill, tmp_path, monkeypatch, suffix
):
    """Before each change of a file; the next one ends with the same bytes."""
    add = Table.add

    def tell(self, rows):
        sys.audit("row", self.part)
        add(self, rows)

    monkeypatch.setattr(Table, "add", tell)
    if suffix == ".txt":
        options = (folder / "b.wav", "--threshold", 0.1)
    else:
        options = (folder, "--frames", "--windows")
        (folder / "f.wav").write_text("no sound")
    (wanted := tmp_path / "wanted").mkdir()
    status = score(wanted / f"s{suffix}", *options)
    n = 0
    while kill((found := tmp_path / f"{n}") / f"s{suffix}", options, n):
        assert score(found / f"s{suffix}", *options) == status
        assert contents(found) == contents(wanted), n
        n += 1
    assert n > 10


def test_a_second_process_says_that_there_is_a_first(folder, tmp_path, mistake):
    """At once; a lock's file that was left behind is nothing."""
    output, lock = tmp_path / "s.csv", tmp_path / ".s.csv.lock"
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        error = mistake(*command(output, folder))
        assert "another process is at work there" in error
    assert not output.exists()
    assert score(output, folder) == 0
    assert not lock.exists()


def test_windows_and_their_segments(folder, tmp_path, clap):
    """As the classifier scores them; neighbors of one class are one row."""
    path, output = folder / "long.wav", tmp_path / "s.csv"
    parts = [np.sin(np.arange(5 * RATE) / k) for k in (3, 3, 20)]
    noise = np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(path, 0.3 * np.concatenate([*parts, noise]), RATE)
    assert score(output, path, "--windows") == 0
    windows = pd.read_csv(tmp_path / "s.windows.csv")
    assert list(windows) == ["file", "start", "end", "class", "score"]
    assert windows["start"].tolist() == [0, 5, 10, 13]
    assert windows["end"].tolist() == [5, 10, 15, 18]
    words = command(output, path, names=",".join(NAMES))
    args = make_parser().parse_args([*map(str, words)])
    classifier = classify._load(args)
    wanted = classifier.classify_file(path, per_window=True)
    assert windows["class"].tolist() == wanted.text_lab
    assert windows["score"].tolist() == pytest.approx(
        wanted.score.exp().tolist(), rel=1e-4
    )
    segments = pd.read_csv(tmp_path / "s.segments.csv")
    assert (segments["class"] != segments["class"].shift()).all()
    assert segments["start"].tolist() == [0, *segments["end"][:-1]]
    assert segments["end"].iloc[-1] == 18
    first = windows["class"] == windows["class"][0]
    n_first = first.tolist().index(False) if not first.all() else len(first)
    assert n_first >= 2
    assert segments["score"][0] == pytest.approx(
        windows["score"][:n_first].mean(), rel=1e-4
    )


def test_class_names_are_a_text_or_a_file(folder, tmp_path, mistake):
    """As `afpt tune` takes them; an export's prompts may take others, too."""
    file = tmp_path / "names.txt"
    file.write_text("\n".join(NAMES))
    assert score(tmp_path / "a.csv", folder) == 0
    assert score(tmp_path / "b.csv", folder, names=str(file)) == 0
    assert (tmp_path / "a.csv").read_bytes() == (
        tmp_path / "b.csv"
    ).read_bytes()
    error = mistake(*command(tmp_path / "c.csv", folder, names="dog,Dog"))
    assert "line 2: 'Dog' repeats 'dog'" in error
    words = command(tmp_path / "a.csv", folder, "--prompt-template", "a {}")
    error = mistake(*words)
    assert "(export_fingerprint differs)" in error and "--overwrite" in error
    error = mistake(*words, "--source", tmp_path, "--clap", "mini")
    assert "--clap is for --class-names alone" in error
    error = mistake("classify", folder, "--output", "s.csv")
    assert "give --source" in error


def test_a_recording_is_not_written_over(folder, tmp_path, mistake):
    """By its name or a link, of a file that is named or in a folder."""
    path, link = folder / "b.wav", tmp_path / "link.png"
    path = path.rename(folder / "b.png")
    link.symlink_to(path)
    before = path.read_bytes()
    for figure in (path, link):
        words = command(tmp_path / "s.csv", path, "--figure", figure)
        assert "is the recording" in mistake(*words)
    assert path.read_bytes() == before
    assert not (tmp_path / "s.csv").exists()


def test_overwrite_leaves_a_folder_of_others_alone(folder, tmp_path, mistake):
    """Even if a leftover of another name lies beside it."""
    before = contents(folder)
    words = command(folder, folder, "--format", "raven", "--overwrite")
    assert "did not make it" in mistake(*words) and contents(folder) == before
    (mine := tmp_path / "s.csv").write_text("mine")
    for leftover in ("s.csv.parts", "s.csv.features"):
        (tmp_path / leftover).mkdir()
        assert "exists" in mistake(*command(mine, folder))
    assert mine.read_text() == "mine"
    assert score(mine, folder, "--overwrite") == 0


def test_a_recording_is_too_long_to_be_drawn(
    folder, tmp_path, mistake, monkeypatch
):
    """Its row is written, though."""
    monkeypatch.setattr("afpt_plugin.inference.LONGEST_DRAWN", 0.4)
    path, figure = folder / "b.wav", tmp_path / "b.png"
    error = mistake(*command(tmp_path / "s.csv", path, "--figure", figure))
    assert "too long to be drawn" in error and not figure.exists()
    assert len(pd.read_csv(tmp_path / "s.csv")) == 1


def test_a_torn_row_is_cut_off(tmp_path):
    """Also within quotes, or where it looks whole."""
    rows = [["a\r\n.wav", 'a "dog"', 0.5], ["b.wav", None, None]]
    for torn in (b'"c\n.wav', b"c.wav,", b'"c.wav"'):
        table = Table(tmp_path / "t.csv", COLUMNS)
        table.add(rows)
        whole = table.path.read_bytes()
        table.path.write_bytes(whole + torn)
        names = [name for name, _, _ in table.scan()]
        assert names == ["a\r\n.wav", "b.wav"]
        table.keep(names)
        assert table.path.read_bytes() == whole
        table.remove()


def test_a_table_grows_to_parquet_and_back(tmp_path):
    path = tmp_path / "t.parquet"
    table = Table(path, COLUMNS)
    table.add([["a\n.wav", "NA", np.float32(0.1)], ["b.wav", None, None]])
    table.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    read = pd.read_parquet(path)
    assert read["name"][0] == "NA" and pd.isna(read["name"][1])
    assert read["score"].dtype == np.float32
    assert read["score"][0] == np.float32(0.1)
    rows = [table.read(row) for _, _, row in Table(path, COLUMNS).scan()]
    assert rows == [["a\n.wav", "NA", "0.1"], ["b.wav", "", ""]]
