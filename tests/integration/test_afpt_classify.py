"""`afpt classify` as a user runs it: sounds in, a table out, nothing lost.

The sounds are noise, the backbone is the packaged one.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from common import cases
from processes import run

from afpt_plugin import inference
from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.mini_clap import MiniClap
from afpt_plugin.cli import main
from afpt_plugin.commands import classify
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "church bells", "rain", "siren"]
RATE = 16000
READ = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


@pytest.fixture(scope="module")
def clap():
    return load_clap("mini")


@pytest.fixture(scope="module")
def export(clap, tmp_path_factory):
    """Prompts that start from words and were not trained."""
    return save(tmp_path_factory.mktemp("run") / "export", clap)


def save(folder, clap, class_names=NAMES, multi_label=False):
    task = Task("Sounds", class_names, multi_label, clip_seconds=2.0)
    scale = 5.0 if multi_label else None
    learner = PromptLearner(ctx_init="this is a sound of")
    learner.setup(clap, class_names, logit_scale=scale)
    return write_export(folder, clap, learner, task, Template())


@pytest.fixture(scope="module")
def bells():
    """Three seconds of low noise."""
    noise = np.random.default_rng(0).standard_normal(3 * RATE)
    return noise.cumsum() / 1000


@pytest.fixture
def folder(bells, tmp_path):
    """Two sounds at two depths, and a file of another kind."""
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    soundfile.write(folder / "dog.wav", bells[::-3].copy(), RATE)
    soundfile.write(folder / "more" / "bells, loud.flac", bells, RATE)
    (folder / "notes.txt").write_text("not a sound")
    return folder


@pytest.fixture
def score(clap, export, monkeypatch):
    """Run a command line in this process, with the CLAP that is loaded."""
    monkeypatch.setattr(inference, "load_clap", lambda *_: clap)

    def score(output, *arguments, source=export):
        words = ["--source", source, "--output", output, *arguments]
        return main(["classify", *map(str, words)])

    return score


@pytest.fixture
def encoded(monkeypatch):
    """How many recordings have been encoded, batch by batch."""
    encode, counts = PromptedClassifier.encode_windows, []

    def count(self, sigs, *arguments):
        counts.append(len(sigs))
        return encode(self, sigs, *arguments)

    monkeypatch.setattr(PromptedClassifier, "encode_windows", count)
    return counts


def test_a_folder_becomes_a_table_with_a_row_for_a_damaged_file(
    score, folder, tmp_path
):
    """The best class first, exit status 1 for the error."""
    whole = (folder / "dog.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[:5000])
    output = tmp_path / "new" / "scores.csv"
    assert score(output, folder, "--top", 2) == 1
    table = pd.read_csv(output)
    assert list(table) == "file seconds error flag".split() + [
        f"{kind}_{place}" for place in (1, 2) for kind in ("class", "score")
    ]
    names = ["cut.wav", "dog.wav", "more/bells, loud.flac"]
    assert table["file"].tolist() == [str(folder / name) for name in names]
    damaged, sounds = table.iloc[0], table.iloc[1:]
    assert damaged["error"].startswith("truncated")
    assert damaged.isna().sum() == 6
    assert sounds["error"].isna().all()
    assert sounds["seconds"].tolist() == [1.0, 3.0]
    assert set(sounds["class_1"]) | set(sounds["class_2"]) <= set(NAMES)
    assert (sounds["score_1"] >= sounds["score_2"]).all()
    assert (sounds["score_1"] < 1).all()
    facts = json.loads(output.with_name("scores.csv.json").read_text())
    assert (facts["n_recordings"], facts["n_errors"]) == (3, 1)
    assert facts["score"] == "probability"
    assert len(list(output.parent.iterdir())) == 2
    # Again: there is nothing to do, and the answer is the same.
    assert score(output, folder, "--top", 2) == 1
    assert score(output, folder, "--top", 2, "--allow-errors") == 0


def test_silence_has_no_class_and_a_failure_its_row(
    score, export, bells, tmp_path, monkeypatch
):
    """Whatever the failure is; what is odd is flagged."""
    folder = tmp_path / "a"
    folder.mkdir()
    soundfile.write(folder / "ok.wav", bells, RATE)
    soundfile.write(folder / "zero.wav", np.zeros(RATE), RATE)
    pair = np.stack([bells, -bells], axis=1)[: RATE // 20]
    soundfile.write(folder / "pair.wav", pair, RATE)
    for name in ("memo.m4a", "._ok.wav"):
        (folder / name).write_bytes(b"no sound")
    soundfile.write(folder / "odd.wav", bells, RATE)
    load = PromptedClassifier.open_recording

    def fail(self, path):
        if path.endswith("odd.wav"):
            raise MemoryError("so much")
        return load(self, path)

    monkeypatch.setattr(PromptedClassifier, "open_recording", fail)
    output = tmp_path / "s.tsv"
    assert score(output, folder, "--frames", "--threshold", 0) == 1
    table = pd.read_csv(tmp_path / "s.scores.csv", keep_default_na=False)
    rows = table.set_index(table["file"].map(lambda file: Path(file).name))
    assert rows["flag"].to_dict() == {
        "memo.m4a": "",
        "odd.wav": "",
        "ok.wav": "",
        "pair.wav": "very short|channel inverted|looped",
        "zero.wav": "silent|looped",
    }
    assert "convert .m4a files" in rows["error"]["memo.m4a"]
    assert rows["error"]["odd.wav"] == "MemoryError: so much"
    classes = rows.loc[:, "class_1":]
    assert (classes.loc[["memo.m4a", "odd.wav", "zero.wav"]] == "").all(None)
    assert (classes.loc[["ok.wav", "pair.wav"]] != "").all(None)
    assert rows["seconds"]["zero.wav"] == "1.0"
    for path in (tmp_path / "s.tsv", tmp_path / "s.scores.frames.csv"):
        text = path.read_text()
        assert "ok.wav" in text and "zero.wav" not in text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_scores_and_frames_are_the_classifiers(
    score, export, folder, tmp_path, suffix
):
    """To the digits of float32; a column for every class."""
    classifier = PromptedClassifier.from_hparams(
        export, run_opts={"device": "cpu"}
    )
    path = folder / "more" / "bells, loud.flac"
    wanted = classifier.classify_file(path, top_k=4)
    wanted_frames = classifier.frame_scores(path)
    output = tmp_path / f"a{suffix}"
    assert score(output, folder, "--device", "cpu", "--frames") == 0
    row = READ[suffix](output).iloc[1]
    found = [row[f"score_{place}"] for place in range(1, 5)]
    assert found == pytest.approx(wanted.score[0].exp().tolist(), rel=1e-4)
    assert [row[f"class_{n}"] for n in range(1, 5)] == wanted.text_lab[0]
    assert "class_5" not in row  # there are four
    frames = READ[suffix](tmp_path / f"a.frames{suffix}")
    assert list(frames) == ["file", "start", "center", *NAMES]
    frames = frames[frames["file"] == str(path)]
    assert frames["center"].tolist() == pytest.approx(
        wanted_frames.center.tolist(), abs=1e-3
    )
    assert 2.0 < frames["center"].iloc[-1] < 3.0
    assert frames[NAMES].to_numpy() == pytest.approx(
        wanted_frames.logits.numpy(), abs=1e-4
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_all_files_may_be_damaged(score, tmp_path, suffix):
    """Frames of nothing are a table without rows, and no figure."""
    path, figure = tmp_path / "a.wav", tmp_path / "a.png"
    path.write_text("no sound")
    options = ("--frames", "--allow-errors", "--figure", figure)
    assert score(tmp_path / f"s{suffix}", path, *options) == 0
    assert not figure.exists()
    assert READ[suffix](tmp_path / f"s{suffix}")["error"].notna().all()
    frames = READ[suffix](tmp_path / f"s.frames{suffix}")
    assert frames.empty and list(frames)[3:] == NAMES


@pytest.fixture
def stopped(score, bells, tmp_path, monkeypatch, capsys):
    """The folder of a command that was stopped at the last of five files."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(5):
        sig = bells[8000 * number :][:8000]
        soundfile.write(many / f"{number}.wav", sig, RATE)
    monkeypatch.setattr(classify, "GROUP", 2)
    encode = PromptedClassifier.encode_windows

    def stop(self, sigs, *arguments):
        if len(sigs) == 1:
            raise KeyboardInterrupt
        return encode(self, sigs, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PromptedClassifier, "encode_windows", stop)
        assert score(tmp_path / "out.csv", many) == 130
    printed = capsys.readouterr().err
    assert "interrupted: " in printed and "has 4 of 5 files" in printed
    assert len(pd.read_csv(tmp_path / "out.csv")) == 4
    return many


def test_a_stopped_command_continues(score, stopped, encoded, bells, tmp_path):
    """Only what is missing or has changed is encoded; the table is the same."""
    soundfile.write(stopped / "0.wav", bells[:16000], RATE)
    output = tmp_path / "out.csv"
    assert score(output, stopped) == 0
    assert sum(encoded) == 2
    table = pd.read_csv(output)
    assert [Path(file).stem for file in table["file"]] == list("01234")
    assert table["seconds"].tolist() == [1.0] + [0.5] * 4
    assert score(tmp_path / "whole.csv", stopped) == 0
    for ending in ("", ".json"):
        whole = tmp_path / f"whole.csv{ending}"
        assert (tmp_path / f"out.csv{ending}").read_bytes() == (
            whole.read_bytes()
        )
    assert len(list(tmp_path.iterdir())) == 5
    # A third time there is nothing to do.
    encoded.clear()
    assert score(output, stopped) == 0
    assert encoded == []


def test_a_file_that_becomes_readable_is_scored(
    score, folder, tmp_path, monkeypatch
):
    """Kept features do not make a failure of the disk a lasting one."""
    load = PromptedClassifier.open_recording
    arguments = (folder, "--features", tmp_path / "kept")

    def fail(self, path):
        return load(self, path if "dog" not in path else "gone.wav")

    with monkeypatch.context() as patch:
        patch.setattr(PromptedClassifier, "open_recording", fail)
        assert score(tmp_path / "a.csv", *arguments) == 1
    errors = pd.read_csv(tmp_path / "a.csv")["error"]
    assert errors.notna().tolist() == [True, False]
    for name in "ba":  # a new table, and the same again
        assert score(tmp_path / f"{name}.csv", *arguments) == 0
    assert (tmp_path / "a.csv").read_bytes() == (
        tmp_path / "b.csv"
    ).read_bytes()
    assert pd.read_csv(tmp_path / "b.csv")["error"].isna().all()


def test_kept_features_serve_other_options_and_classes(
    score, clap, export, folder, encoded, tmp_path
):
    """Nothing is encoded a second time, and nothing else is removed."""
    features, output = tmp_path / "kept", tmp_path / "2.csv"
    other = save(tmp_path / "other", clap, ["dog", "rain"], multi_label=True)
    arguments = (folder, "--features", features)
    assert score(tmp_path / "0.csv", *arguments) == 0
    assert score(tmp_path / "1.csv", *arguments, "--frames", "--top", 1) == 0
    assert score(output, *arguments, source=other) == 0
    assert sum(encoded) == 2
    assert len(list(features.glob("*/shard-*"))) == 1
    table = pd.read_csv(output, keep_default_na=False)
    facts = json.loads(output.with_name("2.csv.json").read_text())
    for _, row in table.iterrows():
        present = row["present"].split("|") if row["present"] else []
        scores = row[["score_1", "score_2"]].tolist()
        assert all(0 < p < 1 for p in scores)
        n_above = sum(p > facts["present_above"] for p in scores)
        best = [row["class_1"], row["class_2"]][:n_above]
        assert present == sorted(best)


def test_an_output_of_another_command_is_not_written_over(
    score, clap, export, stopped, capsys, tmp_path
):
    """Nor is a file that was there before us; a stopped one may go on."""

    def mistake(output, *options, source=export):
        with pytest.raises(SystemExit, match="2"):
            score(output, stopped, *options, source=source)
        return capsys.readouterr().err

    output, other = tmp_path / "out.csv", save(tmp_path / "other", clap, ["a"])
    top = ("--top", 1)
    assert "(top differs)" in mistake(output, *top)
    assert score(output, stopped, *top, "--overwrite") == 0
    before = output.read_bytes()
    assert "(top differs)" in mistake(output)
    assert "(frames differs)" in mistake(output, *top, "--frames")
    error = mistake(output, *top, source=other)
    assert "(export_fingerprint differs)" in error
    assert output.read_bytes() == before
    assert score(output, stopped, "--overwrite") == 0
    assert output.read_bytes() != before
    mine = tmp_path / "mine.frames.csv"
    mine.write_text("mine")
    assert "mine.frames.csv" in mistake(tmp_path / "mine.csv", "--frames")
    assert mine.read_text() == "mine"


def test_two_ranks_write_what_one_writes(score, export, bells, tmp_path):
    """`torchrun`, as a user sees it: the ranks take turns at the batches."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    n_files = 2 * classify.GROUP + 3
    for number in range(n_files):
        sig = bells[100 * number :][:1600]
        soundfile.write(folder / f"{number:03d}.wav", sig, RATE)
    (folder / "damaged.wav").touch()
    (folder / "notes.txt").write_text("not a sound")
    launcher = "-m torch.distributed.run --standalone --nproc_per_node 2"
    command = f"{launcher} -m afpt_plugin.cli classify --frames --allow-errors"
    options = ("--source", export, "--output", tmp_path / "two.csv", folder)
    process = run(sys.executable, *command.split(), *options)
    assert "classifying" not in process.stderr  # nobody sees the bar
    assert "1 files skipped: unsupported extension (1 .txt)" in process.stderr
    assert f"1 of {n_files + 1} files could not be read" in process.stderr
    assert "Traceback" not in process.stderr
    options = ("--frames", "--allow-errors")
    assert score(tmp_path / "one.csv", folder, *options) == 0
    for ending in (".csv", ".frames.csv"):
        two = pd.read_csv(tmp_path / f"two{ending}")
        one = pd.read_csv(tmp_path / f"one{ending}")
        pd.testing.assert_frame_equal(two, one, rtol=1e-4)
    assert len(two["file"].unique()) == n_files
    assert not (tmp_path / "two.csv.features").exists()


def test_events_are_written_in_three_formats(score, folder, encoded, tmp_path):
    """A table of scores lies beside them, and a second run does nothing."""
    features = ("--features", tmp_path / "kept", "--threshold", 0.2)
    wanted = {"dog.wav", "more/bells, loud.flac"}
    tsv = tmp_path / "events.tsv"
    assert score(tsv, folder, *features, "--frames") == 0
    events = pd.read_csv(tsv, sep="\t")
    assert set(events["filename"]) == wanted
    assert set(events["event_label"]) <= set(NAMES)
    assert (events["onset"] < events["offset"]).all()
    # Of each frame and class, what is above the threshold is in an event.
    frames = pd.read_csv(tmp_path / "events.scores.frames.csv")
    # Divided by the temperature of an export that was not calibrated
    logits = np.exp(frames[NAMES].to_numpy() / MiniClap.gap.temperature)
    heard = logits / logits.sum(1, keepdims=True) > 0.2
    for row, label in np.ndindex(heard.shape):
        file = os.path.relpath(frames["file"][row], folder)
        center = frames["center"][row]
        found = events[
            (events["filename"] == file)
            & (events["event_label"] == NAMES[label])
            & (events["onset"] <= center)
            & (events["offset"] >= center)
        ]
        assert len(found) == heard[row, label]
    for style in ("audacity", "raven"):
        labels = tmp_path / style
        options = (folder, *features, "--format", style)
        assert score(labels, *options) == 0
        found = {str(p.relative_to(labels)) for p in labels.rglob("*.txt")}
        assert found == {f"{name}.txt" for name in wanted}
        table = pd.read_csv(tmp_path / f"{style}.scores.csv")
        assert table["seconds"].tolist() == [1.0, 3.0]
        before = (labels / "dog.wav.txt").read_text()
        assert score(labels, *options) == 0
        assert (labels / "dog.wav.txt").read_text() == before
    assert "\t8000\t" in before  # what the backbone hears, in Hz
    assert sum(encoded) == 2


def test_one_recording_makes_one_file_of_labels(
    score, folder, capsys, tmp_path
):
    """A file in, a file out; what somebody may have corrected stays."""
    labels, path = tmp_path / "dog.txt", folder / "dog.wav"
    options = (path, "--threshold", 0)
    assert score(labels, *options) == 0
    lines = labels.read_text().splitlines()
    assert {line.split("\t")[2] for line in lines} == set(NAMES)
    # With one label per recording, 0 hears every class from start to end.
    assert {line.split("\t")[0] for line in lines} == {"0.000000"}
    assert {line.split("\t")[1] for line in lines} == {"1.000000"}
    labels.write_text("mine")
    (tmp_path / "dog.scores.csv").unlink()
    with pytest.raises(SystemExit, match="2"):
        score(labels, *options)
    assert "dog.scores.csv is missing" in capsys.readouterr().err
    assert labels.read_text() == "mine"
    other = tmp_path / "other.txt"
    assert score(other, path) == 0
    with pytest.raises(SystemExit, match="2"):
        score(other, path, "--smooth", 2)
    assert "(smooth differs)" in capsys.readouterr().err


def test_a_folder_that_is_in_use_is_left_alone(score, folder, capsys, tmp_path):
    """An empty one is filled; a damaged recording has no file in it."""
    (tmp_path / "labels").mkdir()
    (folder / "cut.wav").touch()
    options = (folder, "--format", "raven")
    assert score(tmp_path / "labels", *options) == 1
    names = {p.name for p in (tmp_path / "labels").iterdir()}
    assert names == {"dog.wav.txt", "more"}
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        score(folder, *options)
    assert "recordings exists" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_long_recordings_are_encoded_one_at_a_time(
    score, folder, encoded, tmp_path, monkeypatch
):
    """For several at once would not fit into memory."""
    together, alone = tmp_path / "together.csv", tmp_path / "alone.csv"
    assert score(together, folder) == 0
    assert encoded == [2]
    monkeypatch.setattr(classify, "LARGE", 0)
    assert score(alone, folder) == 0
    assert encoded == [2, 1, 1]
    pd.testing.assert_frame_equal(pd.read_csv(together), pd.read_csv(alone))


def test_a_figure_of_one_recording(score, folder, tmp_path):
    """Also where the table is complete."""
    output, figure = tmp_path / "s.csv", tmp_path / "dog.png"
    assert score(output, folder / "dog.wav") == 0
    assert score(output, folder / "dog.wav", "--figure", figure) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_file_named_twice_or_strangely_has_one_row(score, folder, tmp_path):
    """With a line break, and in no encoding."""
    odd = folder / 'a "dog",\nbarking.wav'
    (folder / "dog.wav").rename(odd)
    (folder / os.fsdecode(b"\xff.wav")).write_bytes(odd.read_bytes())
    assert score(tmp_path / "scores.csv", folder, odd) == 0
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table["file"].tolist()[:2] == [str(odd), f"{folder}/\\xff.wav"]
    assert len(table) == 3
    assert set(table["class_1"]) <= set(NAMES)


@cases(
    "arguments, message",
    ("--source /no/such/export", "/no/such/export"),
    ("{folder}/no.wav", "/no.wav"),
    ("{empty}", ".flac"),
    ("--source {clash} --frames", "'start'"),
    ("--weights w.pth", "w.pth"),
    ("--figure a.png", "2 are given"),
    ("{folder}/dog.wav --figure a.docx", "a.docx"),
    ("--top 0", "--top is 0"),
    ("--batch-size 0", "--batch-size is 0"),
    ("--device tpu9", "tpu9"),
    ("--output s.xls", ".xls"),
    ("--output out.txt", "2 are given"),
    ("--output out --format dcase", ".tsv"),
    ("--output . --format raven", ". exists"),
    ("--output out.csv --format audacity", "a .txt file or a folder"),
    ("--smooth 1", "--format"),
    ("--output out.tsv --min-length -1", "--min-length is -1"),
    ("--output out.tsv --threshold nan", "probabilities"),
    ("--output {dir}", "dir.csv"),
    ("--output {export}/README.md/s.csv", "README.md/s.csv"),
    ("--features {export}/README.md", "README"),
)
def test_wrong_input_is_one_sentence(
    clap, export, folder, tmp_path, mistake, monkeypatch, arguments, message
):
    """Exit status 2, no traceback, nothing written."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    clash = save(tmp_path / "clash", clap, ["dog", "start"])
    places = {"folder": folder, "export": export, "clash": clash}
    for name, place in (("empty", "empty"), ("dir", "dir.csv")):
        places[name] = tmp_path / place
        places[name].mkdir()
    if arguments[0] == "-":
        arguments = "{folder} " + arguments
    for option, value in (("source", export), ("output", tmp_path / "out.csv")):
        if f"--{option}" not in arguments:
            arguments += f" --{option} {value}"
    printed = mistake("classify", *arguments.format(**places).split())
    assert message in printed
    assert not list(tmp_path.glob("out*"))
