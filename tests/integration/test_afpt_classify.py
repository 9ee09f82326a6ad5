"""`afpt classify` as a user runs it: sounds in, a table out, nothing lost.

The sounds are noise, the backbone is the packaged one. What takes a process
of its own (ranks, exit statuses) is run as one; the rest calls `main`.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from afpt_plugin import inference
from afpt_plugin.backbones import load_clap
from afpt_plugin.cli import main
from afpt_plugin.commands import classify
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

ROOT = Path(__file__).parents[2]
NAMES = ["dog", "church bells", "rain", "siren"]
RATE = 16000


@pytest.fixture(scope="module")
def clap():
    """Loaded once."""
    return load_clap("mini")


@pytest.fixture(scope="module")
def export(clap, tmp_path_factory):
    """Prompts that start from words and were not trained."""
    return save(tmp_path_factory.mktemp("run") / "export", clap)


def save(folder, clap, class_names=NAMES, multi_label=False):
    """Write an export folder."""
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
def here(clap, monkeypatch):
    """Run a command line in this process, with the CLAP that is loaded."""
    monkeypatch.setattr(inference, "load_clap", lambda *_: clap)
    return lambda *arguments: main(["classify", *map(str, arguments)])


@pytest.fixture
def encoded(monkeypatch):
    """How many recordings have been encoded, batch by batch."""
    encode, counts = PromptedClassifier.encode_windows, []

    def count(self, sigs, *arguments):
        counts.append(len(sigs))
        return encode(self, sigs, *arguments)

    monkeypatch.setattr(PromptedClassifier, "encode_windows", count)
    return counts


def run(*arguments, launcher=()):
    """Run a command line in a process of its own."""
    return subprocess.run(
        [sys.executable, *launcher, "-m", "afpt_plugin.cli", "classify"]
        + [str(argument) for argument in arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_folder_becomes_a_table_with_a_row_for_a_damaged_file(
    here, export, folder, tmp_path
):
    """As a user does it: the best class first, exit status 1 for the error."""
    whole = (folder / "dog.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[:5000])
    output = tmp_path / "new" / "scores.csv"
    arguments = (folder, "--source", export, "--output", output, "--top", 2)
    process = run(*arguments)
    assert process.returncode == 1, process.stderr
    assert "classifying: 100%" in process.stderr
    assert "1 files skipped: unsupported extension (.txt)" in process.stderr
    assert "1 of 3 files could not be read" in process.stderr
    assert "Traceback" not in process.stderr
    table = pd.read_csv(output)
    assert list(table) == "file seconds error".split() + [
        f"{kind}_{place}" for place in (1, 2) for kind in ("class", "score")
    ]
    names = ["cut.wav", "dog.wav", "more/bells, loud.flac"]
    assert table["file"].tolist() == [str(folder / name) for name in names]
    damaged, sounds = table.iloc[0], table.iloc[1:]
    assert damaged["error"].startswith("truncated")
    assert damaged.isna().sum() == 5
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
    assert here(*arguments) == 1
    assert here(*arguments, "--allow-errors") == 0


def test_the_scores_and_frames_are_the_classifiers(
    here, export, folder, tmp_path
):
    """In both formats, to the digits of float32; a column for every class."""
    classifier = PromptedClassifier.from_hparams(
        export, run_opts={"device": "cpu"}
    )
    path = folder / "more" / "bells, loud.flac"
    wanted = classifier.classify_file(path, top_k=4)
    wanted_frames = classifier.frame_scores(path)
    for name, read in (("a.csv", pd.read_csv), ("b.parquet", pd.read_parquet)):
        output = tmp_path / name
        arguments = ("--source", export, "--output", output, "--device", "cpu")
        assert here(folder, *arguments, "--frames") == 0
        row = read(output).iloc[1]
        found = [row[f"score_{place}"] for place in range(1, 5)]
        assert found == pytest.approx(wanted.score[0].exp().tolist(), rel=1e-4)
        assert [row[f"class_{n}"] for n in range(1, 5)] == wanted.text_lab[0]
        assert "class_5" not in row  # there are four
        frames = read(output.with_name(f"{name[0]}.frames{output.suffix}"))
        assert list(frames) == ["file", "start", "center", *NAMES]
        frames = frames[frames["file"] == str(path)]
        assert frames["center"].tolist() == pytest.approx(
            wanted_frames.center.tolist(), abs=1e-3
        )
        assert 2.0 < frames["center"].iloc[-1] < 3.0
        assert frames[NAMES].to_numpy() == pytest.approx(
            wanted_frames.logits.numpy(), abs=1e-4
        )


def test_all_files_may_be_damaged(here, export, tmp_path):
    """Frames of nothing are a table without rows."""
    (tmp_path / "a.wav").write_text("no sound")
    arguments = (tmp_path / "a.wav", "--source", export, "--frames")
    for name in ("s.csv", "s.parquet"):
        figure = tmp_path / "a.png"
        options = ("--output", tmp_path / name, "--figure", figure)
        assert here(*arguments, *options, "--allow-errors") == 0
        assert not figure.exists()
    assert pd.read_csv(tmp_path / "s.frames.csv").empty
    assert pd.read_csv(tmp_path / "s.csv")["error"].notna().all()
    assert list(pd.read_parquet(tmp_path / "s.frames.parquet"))[3:] == NAMES


@pytest.fixture
def interrupted(here, export, bells, tmp_path, monkeypatch):
    """A command that was stopped when four of five files were stored."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(5):
        sig = bells[8000 * number :][:8000]
        soundfile.write(many / f"{number}.wav", sig, RATE)
    monkeypatch.setattr(classify, "GROUP", 2)
    monkeypatch.setattr(classify, "SHARD", 2)
    encode = PromptedClassifier.encode_windows

    def stop(self, sigs, *arguments):
        if len(sigs) == 1:
            raise KeyboardInterrupt
        return encode(self, sigs, *arguments)

    arguments = (many, "--source", export, "--output", tmp_path / "out.csv")
    with monkeypatch.context() as patch:
        patch.setattr(PromptedClassifier, "encode_windows", stop)
        with pytest.raises(KeyboardInterrupt):
            here(*arguments)
    assert not (tmp_path / "out.csv").exists()
    return arguments


def test_a_stopped_command_continues(here, interrupted, encoded, tmp_path):
    """Only what is missing is encoded, and the table is the same."""
    assert here(*interrupted) == 0
    assert encoded == [1, 0] or encoded == [1]
    table = pd.read_csv(tmp_path / "out.csv")
    assert [Path(file).stem for file in table["file"]] == list("01234")
    assert not (tmp_path / "out.csv.features").exists()
    whole = tmp_path / "whole.csv"
    assert here(*interrupted[:4], whole) == 0
    pd.testing.assert_frame_equal(table, pd.read_csv(whole))
    # A third time there is nothing to do.
    encoded.clear()
    assert here(*interrupted) == 0
    assert encoded == []


def test_a_file_that_changed_meanwhile_is_encoded_again(
    here, interrupted, encoded, bells, tmp_path
):
    """The others are kept."""
    soundfile.write(tmp_path / "many" / "0.wav", bells[:16000], RATE)
    assert here(*interrupted) == 0
    assert sum(encoded) == 2
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["seconds"].tolist() == [1.0, 0.5, 0.5, 0.5, 0.5]


def test_a_file_that_becomes_readable_is_scored(
    here, export, folder, encoded, tmp_path, monkeypatch
):
    """Kept features do not make a failure of the disk a lasting one."""
    load = PromptedClassifier.load_audio
    options = ("--source", export, "--features", tmp_path / "kept", "--output")

    def fail(self, path):
        return load(self, path if "dog" not in path else "gone.wav")

    with monkeypatch.context() as patch:
        patch.setattr(PromptedClassifier, "load_audio", fail)
        assert here(folder, *options, tmp_path / "a.csv") == 1
    assert here(folder, *options, tmp_path / "b.csv") == 0
    assert pd.read_csv(tmp_path / "a.csv")["error"].notna().tolist() == [
        True,
        False,
    ]
    assert pd.read_csv(tmp_path / "b.csv")["error"].isna().all()


def test_kept_features_serve_other_options_and_classes(
    here, clap, export, folder, encoded, tmp_path
):
    """Nothing is encoded a second time, and nothing else is removed."""
    features = tmp_path / "kept"
    other = save(tmp_path / "other", clap, ["dog", "rain"], multi_label=True)
    for number, (source, options) in enumerate(
        [(export, ()), (export, ("--frames", "--top", 1)), (other, ())]
    ):
        output = tmp_path / f"{number}.csv"
        arguments = (folder, "--source", source, "--output", output, *options)
        assert here(*arguments, "--features", features) == 0
    assert sum(encoded) == 2
    assert len(list(features.glob("*/shard-*"))) == 1
    assert pd.read_csv(output)["score_1"].max() > 1
    facts = json.loads(output.with_name("2.csv.json").read_text())
    assert facts["score"] == "logit"


def test_an_output_of_another_command_is_not_written_over(
    here, clap, export, interrupted, capsys, tmp_path
):
    """Nor is a file that was there before us; a stopped one may go on."""
    output, other = tmp_path / "out.csv", save(tmp_path / "other", clap, ["a"])
    assert here(*interrupted, "--top", 1) == 0
    before = output.read_bytes()
    for options, difference in (
        ((), "top"),
        (("--top", 1, "--frames"), "frames"),
        (("--source", other, "--top", 1), "export_fingerprint"),
    ):
        with pytest.raises(SystemExit, match="2"):
            here(*interrupted, *options)
        assert f"({difference} differs)" in capsys.readouterr().err
    soundfile.write(tmp_path / "many" / "0.wav", np.ones(8000), RATE)
    with pytest.raises(SystemExit, match="2"):
        here(*interrupted, "--top", 1)
    assert "(recordings differs)" in capsys.readouterr().err
    assert output.read_bytes() == before
    mine = tmp_path / "mine.frames.csv"
    mine.write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        here(*interrupted[:4], tmp_path / "mine.csv", "--frames")
    assert mine.read_text() == "mine"


def test_two_ranks_write_what_one_writes(here, export, bells, tmp_path):
    """`torchrun`: the ranks take turns at the batches."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    n_files = 2 * classify.GROUP + 3
    for number in range(n_files):
        sig = bells[100 * number :][:1600]
        soundfile.write(folder / f"{number:03d}.wav", sig, RATE)
    (folder / "damaged.wav").touch()
    arguments = (folder, "--source", export, "--frames", "--allow-errors")
    process = run(
        *arguments,
        "--output",
        tmp_path / "two.csv",
        launcher=("-m", "torch.distributed.run", "--standalone")
        + ("--nproc_per_node", "2"),
    )
    assert process.returncode == 0, process.stderr
    assert here(*arguments, "--output", tmp_path / "one.csv") == 0
    for ending in (".csv", ".frames.csv"):
        two = pd.read_csv(tmp_path / f"two{ending}")
        pd.testing.assert_frame_equal(
            two, pd.read_csv(tmp_path / f"one{ending}")
        )
    assert len(two["file"].unique()) == n_files
    assert not (tmp_path / "two.csv.features").exists()


def test_long_recordings_are_encoded_one_at_a_time(
    here, export, folder, encoded, tmp_path, monkeypatch
):
    """For several at once would not fit into memory."""
    output = tmp_path / "together.csv"
    assert here(folder, "--source", export, "--output", output) == 0
    assert encoded == [2]
    monkeypatch.setattr(classify, "LARGE", 0)
    alone = tmp_path / "alone.csv"
    assert here(folder, "--source", export, "--output", alone) == 0
    assert encoded == [2, 1, 1]
    pd.testing.assert_frame_equal(pd.read_csv(output), pd.read_csv(alone))


def test_a_figure_of_one_recording(here, export, folder, tmp_path):
    """Also where the table is complete."""
    options = ("--source", export, "--output", tmp_path / "s.csv")
    assert here(folder / "dog.wav", *options) == 0
    figure = tmp_path / "dog.png"
    assert here(folder / "dog.wav", *options, "--figure", figure) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_file_named_twice_or_strangely_has_one_row(
    here, export, folder, tmp_path
):
    """With a line break, and in no encoding."""
    odd = folder / 'a "dog",\nbarking.wav'
    (folder / "dog.wav").rename(odd)
    (folder / os.fsdecode(b"\xff.wav")).write_bytes(odd.read_bytes())
    output = tmp_path / "scores.csv"
    arguments = (folder, odd, "--source", export, "--output", output)
    assert here(*arguments) == 0
    table = pd.read_csv(output)
    assert table["file"].tolist()[:2] == [str(odd), f"{folder}/\\xff.wav"]
    assert len(table) == 3
    assert set(table["class_1"]) <= set(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{folder} --source no/such", "no/such"),
        ("{folder} --source /no/such/export", "/no/such/export"),
        ("{folder} --source {folder}", "hyperparams.yaml"),
        ("{folder}/no.wav --source {export}", "/no.wav"),
        ("{empty} --source {export}", ".flac"),
        ("{folder} --source {stranger}", "f" * 64),
        ("{folder} --source {clash} --frames", "'start'"),
        ("{folder} --source {export} --weights w.pth", "w.pth"),
        ("{folder} --source {export} --figure a.png", "2 are given"),
        ("{folder}/dog.wav --source {export} --figure a.docx", "a.docx"),
        ("{folder} --source {export} --top 0", "--top is 0"),
        ("{folder} --source {export} --batch-size 0", "--batch-size is 0"),
        ("{folder} --source {export} --device tpu9", "tpu9"),
        ("{folder} --source {export} --output s.xls", ".xls"),
        ("{folder} --source {export} --output {dir}", "dir.csv"),
        (
            "{folder} --source {export} --output {export}/README.md/s.csv",
            "README.md/s.csv",
        ),
        ("{folder} --source {export} --features {export}/README.md", "README"),
    ],
)
def test_wrong_input_is_one_sentence(
    clap, export, folder, tmp_path, capsys, monkeypatch, arguments, message
):
    """Exit status 2, no traceback, nothing written."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    stranger = save(tmp_path / "stranger", clap)
    path = stranger / "hyperparams.yaml"
    path.write_text(path.read_text().replace(clap.fingerprint, "f" * 64))
    places = {"folder": folder, "export": export, "stranger": stranger}
    places["clash"] = save(tmp_path / "clash", clap, ["dog", "start"])
    for name, place in (("empty", "empty"), ("dir", "dir.csv")):
        places[name] = tmp_path / place
        places[name].mkdir()
    if "--output" not in arguments:
        arguments += f" --output {tmp_path / 'out.csv'}"
    with pytest.raises(SystemExit, match="2"):
        main(["classify", *arguments.format(**places).split()])
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and message in printed
    assert not list(tmp_path.glob("out*"))
