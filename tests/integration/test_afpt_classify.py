"""`afpt classify` as a user runs it: sounds in, a table out, nothing lost.

The sounds are noise, the backbone is the packaged one. What takes a process
of its own (signals, ranks, exit statuses) is run as one; the rest calls `main`.

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
from afpt_plugin.learners.prompts import PromptLearner

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


def save(folder, clap, class_names=NAMES, **changes):
    """Write an export folder."""
    learner = PromptLearner(ctx_init="this is a sound of")
    values = {
        "prompt_template": "this is a sound of {}",
        "multi_label": False,
        "logit_scale": clap.logit_scale,
        "clip_seconds": 2.0,
    }
    return write_export(
        folder,
        clap,
        learner.setup(clap, class_names),
        class_names,
        **{**values, **changes},
    )


@pytest.fixture(scope="module")
def sounds():
    """A second in the place of a dog, three in that of church bells."""
    rng = np.random.default_rng(0)
    return {
        "dog": 0.3 * rng.standard_normal(RATE),
        "church bells": 0.1 * rng.standard_normal(3 * RATE).cumsum() / 100,
    }


@pytest.fixture
def folder(sounds, tmp_path):
    """Two sounds at two depths, and a file of another kind."""
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    soundfile.write(folder / "dog.wav", sounds["dog"], RATE)
    path = folder / "more" / "bells, loud.flac"
    soundfile.write(path, sounds["church bells"], RATE)
    (folder / "notes.txt").write_text("none of your business")
    return folder


@pytest.fixture
def here(clap, monkeypatch):
    """Run a command line in this process, with the CLAP that is loaded."""
    monkeypatch.setattr(inference, "load_clap", lambda *_: clap)
    return lambda *arguments: main(["classify", *map(str, arguments)])


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


def test_a_folder_becomes_a_table(export, folder, tmp_path):
    """As a user does it: one row a recording, the best class first."""
    output = tmp_path / "scores.csv"
    process = run(folder, "--source", export, "--output", output, "--top", 2)
    assert process.returncode == 0, process.stderr
    assert "classifying: 100%" in process.stderr
    assert "left out, not called as a recording: 1" in process.stderr
    table = pd.read_csv(output)
    assert list(table) == [
        "file",
        "seconds",
        "error",
        "class_1",
        "score_1",
        "class_2",
        "score_2",
    ]
    assert table["file"].tolist() == [
        str(folder / "dog.wav"),
        str(folder / "more" / "bells, loud.flac"),
    ]
    assert set(table["class_1"]) | set(table["class_2"]) <= set(NAMES)
    assert table["seconds"].tolist() == [1.0, 3.0]
    assert table["error"].isna().all()
    assert (
        (table["score_1"] >= table["score_2"]) & (table["score_1"] < 1)
    ).all()
    facts = json.loads((tmp_path / "scores.csv.json").read_text())
    assert (facts["n_recordings"], facts["n_errors"]) == (2, 0)
    assert facts["score"] == "probability"
    assert not (tmp_path / "scores.csv.parts").exists()


def test_the_scores_are_the_classifiers(here, clap, export, folder, tmp_path):
    """In both formats, to the digits of float32."""
    classifier = PromptedClassifier.from_hparams(
        export, clap=None, run_opts={"device": "cpu"}
    )
    wanted = classifier.classify_file(folder / "dog.wav", top_k=4)
    for name, read in (
        ("a.csv", pd.read_csv),
        ("b.parquet", pd.read_parquet),
    ):
        arguments = ("--source", export, "--output", tmp_path / name)
        assert here(folder, *arguments, "--device", "cpu") == 0
        row = read(tmp_path / name).iloc[0]
        found = [row[f"score_{place}"] for place in range(1, 5)]
        assert found == pytest.approx(wanted.score[0].exp().tolist(), rel=1e-4)
        assert [row[f"class_{n}"] for n in range(1, 5)] == wanted.text_lab[0]
        assert "class_5" not in row  # there are four


def test_frames_are_a_second_table(here, clap, export, folder, tmp_path):
    """With a column for every class, whatever --top says."""
    output = tmp_path / "scores.csv"
    arguments = (folder, "--source", export, "--output", output)
    assert here(*arguments, "--frames", "--top", 1) == 0
    assert list(pd.read_csv(output))[-1] == "score_1"
    table = pd.read_csv(tmp_path / "scores.frames.csv")
    assert list(table) == ["file", "start", "centre", *NAMES]
    bells = table[table["file"].str.endswith("bells, loud.flac")]
    assert bells["centre"].is_monotonic_increasing
    assert 2.0 < bells["centre"].iloc[-1] < 3.0
    classifier = PromptedClassifier.from_hparams(
        export, run_opts={"device": "cpu"}
    )
    frames = classifier.frame_scores(folder / "more" / "bells, loud.flac")
    assert bells[NAMES].to_numpy() == pytest.approx(
        frames.logits.numpy(), abs=1e-4
    )


def test_a_multi_label_export_gives_logits(here, clap, folder, tmp_path):
    """Which the facts beside the table say."""
    source = save(tmp_path / "e", clap, multi_label=True, logit_scale=5.0)
    output = tmp_path / "scores.parquet"
    assert here(folder, "--source", source, "--output", output) == 0
    assert pd.read_parquet(output)["score_1"].max() > 1
    facts = json.loads((tmp_path / "scores.parquet.json").read_text())
    assert facts["score"] == "logit"


def test_a_damaged_file_is_a_row(export, folder, tmp_path):
    """Exit status 1, unless it is allowed; the others are scored."""
    whole = (folder / "dog.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[:5000])
    output = tmp_path / "scores.csv"
    arguments = (folder, "--source", export, "--output", output)
    process = run(*arguments)
    assert process.returncode == 1, process.stderr
    assert "1 of 3 files could not be read" in process.stderr
    assert "Traceback" not in process.stderr
    table = pd.read_csv(output).set_index("file")
    assert table.loc[str(folder / "cut.wav"), "error"].startswith("truncated")
    assert table.loc[str(folder / "cut.wav")].isna().sum() == len(table.T) - 1
    assert table.loc[str(folder / "dog.wav"), "class_1"] in NAMES
    # Again: there is nothing to do, and the answer is the same.
    assert main(["classify", *map(str, arguments)]) == 1
    assert main(["classify", *map(str, arguments), "--allow-errors"]) == 0


def test_all_files_may_be_damaged(here, export, tmp_path):
    """Frames of nothing are a table without rows."""
    (tmp_path / "a.wav").write_text("no sound")
    arguments = (tmp_path / "a.wav", "--source", export, "--frames")
    for name in ("s.csv", "s.parquet"):
        output = tmp_path / name
        figure = tmp_path / "a.png"
        options = ("--output", output, "--figure", figure, "--allow-errors")
        assert here(*arguments, *options) == 0
        assert not figure.exists()
    assert pd.read_csv(tmp_path / "s.frames.csv").empty
    assert pd.read_csv(tmp_path / "s.csv")["error"].notna().all()
    assert list(pd.read_parquet(tmp_path / "s.frames.parquet"))[3:] == NAMES


@pytest.fixture
def many(sounds, tmp_path):
    """Five short files."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5):
        sig = sounds["church bells"][8000 * number :][:8000]
        soundfile.write(folder / f"{number}.wav", sig, RATE)
    return folder


@pytest.fixture
def interrupted(here, export, many, tmp_path, monkeypatch):
    """A command that was stopped after four of five files."""
    monkeypatch.setattr(classify, "CHUNK", 2)
    score = PromptedClassifier.score_recordings
    scored = []

    def stop(self, sigs, *arguments):
        scored.append(len(sigs))
        if sum(scored) > 4:
            raise KeyboardInterrupt
        return score(self, sigs, *arguments)

    arguments = (many, "--source", export, "--output", tmp_path / "out.csv")
    with monkeypatch.context() as patch:
        patch.setattr(PromptedClassifier, "score_recordings", stop)
        with pytest.raises(KeyboardInterrupt):
            here(*arguments)
    assert not (tmp_path / "out.csv").exists()
    return arguments


def test_a_stopped_command_continues(
    here, export, many, interrupted, tmp_path, monkeypatch
):
    """Only what is missing is scored, and the table is the same."""
    score = PromptedClassifier.score_recordings
    scored = []
    monkeypatch.setattr(
        PromptedClassifier,
        "score_recordings",
        lambda self, sigs, *arguments: (
            scored.append(len(sigs)) or score(self, sigs, *arguments)
        ),
    )
    assert here(*interrupted) == 0
    assert scored == [1]
    table = pd.read_csv(tmp_path / "out.csv")
    assert [Path(file).stem for file in table["file"]] == list("01234")
    whole = tmp_path / "whole.csv"
    assert here(many, "--source", export, "--output", whole) == 0
    pd.testing.assert_frame_equal(table, pd.read_csv(whole))
    # A third time there is nothing to do.
    scored.clear()
    assert here(*interrupted) == 0
    assert scored == []


def test_a_file_that_changed_meanwhile_is_scored_again(
    here, many, interrupted, sounds, tmp_path
):
    """Its chunk is found stale; the others are kept."""
    soundfile.write(many / "0.wav", sounds["dog"], RATE)
    assert here(*interrupted) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["seconds"].tolist() == [1.0, 0.5, 0.5, 0.5, 0.5]
    assert not (tmp_path / "out.csv.parts").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--top", 1), "--top 4"),
        (("--frames",), "no --frames"),
    ],
)
def test_a_partial_output_of_other_options_is_refused(
    here, interrupted, capsys, options, message
):
    """Nor is a finished one written over."""
    for _ in range(2):
        with pytest.raises(SystemExit, match="2"):
            here(*interrupted, *options)
        printed = capsys.readouterr().err
        assert f"was made with {message}" in printed
        assert here(*interrupted) == 0  # finish it
        capsys.readouterr()


def test_a_partial_output_of_another_export_is_refused(
    here, clap, many, interrupted, capsys, tmp_path
):
    """Its scores would be mixed with these."""
    other = save(tmp_path / "other", clap, ["dog", "rain"])
    arguments = (many, "--source", other, "--output", tmp_path / "out.csv")
    with pytest.raises(SystemExit, match="2"):
        here(*arguments)
    assert "was made with another export" in capsys.readouterr().err


def test_a_table_of_somebody_else_is_not_written_over(
    here, export, many, capsys, tmp_path
):
    """It was there before us."""
    output = tmp_path / "out.csv"
    output.write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        here(many, "--source", export, "--output", output)
    assert "is there already" in capsys.readouterr().err
    assert output.read_text() == "mine"


def test_two_ranks_write_what_one_writes(here, export, sounds, tmp_path):
    """`torchrun`: the ranks take turns at the chunks."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(classify.CHUNK + 3):
        sig = sounds["church bells"][100 * number :][:1600]
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
    assert len(two["file"].unique()) == classify.CHUNK + 3
    assert not (tmp_path / "two.csv.parts").exists()


def test_worker_processes_read_the_same(here, export, many, tmp_path):
    """In another process, in the same order."""
    tables = []
    for workers in (0, 2):
        output = tmp_path / f"{workers}.csv"
        arguments = (many, "--source", export, "--output", output)
        assert here(*arguments, "--workers", workers) == 0
        tables.append(pd.read_csv(output))
    pd.testing.assert_frame_equal(*tables)


def test_a_figure_of_one_recording(here, export, folder, tmp_path, capsys):
    """Not of several; a kind of file that matplotlib knows."""
    options = ("--source", export, "--output", tmp_path / "s.csv", "--figure")
    figure = tmp_path / "dog.png"
    assert here(folder / "dog.wav", *options, figure) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    for files, name, message in (
        (folder, "a.png", "draws one recording, not 2"),
        (folder / "dog.wav", "a.docx", "matplotlib writes"),
    ):
        with pytest.raises(SystemExit, match="2"):
            here(files, *options, tmp_path / name)
        assert message in capsys.readouterr().err


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


def test_a_class_called_as_a_column_is_refused(
    here, clap, folder, tmp_path, capsys
):
    """The frames' table could not hold both."""
    source = save(tmp_path / "e", clap, ["dog", "start"])
    arguments = (folder, "--source", source, "--output", tmp_path / "s.csv")
    with pytest.raises(SystemExit, match="2"):
        here(*arguments, "--frames")
    assert "the class 'start'" in capsys.readouterr().err
    assert here(*arguments) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}", "--source", "no/such"], "no/such"),
        (
            ["{folder}", "--source", "/no/such/export"],
            "there is no such folder",
        ),
        (["{folder}", "--source", "{folder}"], "hyperparams.yaml"),
        (["{folder}/no.wav", "--source", "{export}"], "no such file or folder"),
        (["{empty}", "--source", "{export}"], "no recording in it"),
        (["{folder}", "--source", "{stranger}"], "f" * 64),
        (
            ["{folder}", "--source", "{export}", "--weights", "w"],
            "weights at w",
        ),
        (["{folder}", "--source", "{export}", "--top", "0"], "--top: 0"),
        (["{folder}", "--source", "{export}", "--batch-size", "0"], "--batch-"),
        (["{folder}", "--source", "{export}", "--workers", "-1"], "--workers"),
        (["{folder}", "--source", "{export}", "--device", "tpu9"], "tpu9"),
        (
            ["{folder}", "--source", "{export}", "--output", "s.xls"],
            ".xls is no",
        ),
        (["{folder}", "--source", "{export}", "--output", "s"], "no suffix"),
        (["{folder}", "--source", "{export}", "--output", "{dir}"], "a folder"),
        (
            [
                "{folder}",
                "--source",
                "{export}",
                "--output",
                "{export}/README.md/s.csv",
            ],
            "cannot write here",
        ),
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
    (tmp_path / "empty").mkdir()
    (tmp_path / "dir.csv").mkdir()
    places = {
        "folder": folder,
        "export": export,
        "stranger": stranger,
        "empty": tmp_path / "empty",
        "dir": tmp_path / "dir.csv",
    }
    if "--output" not in arguments:
        arguments = [*arguments, "--output", str(tmp_path / "out.csv")]
    with pytest.raises(SystemExit) as caught:
        main(["classify", *(text.format(**places) for text in arguments)])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and message in printed
    assert not list(tmp_path.glob("out*"))


def test_a_wrong_command_line_in_a_process_of_its_own(
    clap, export, folder, tmp_path
):
    """What `main` does is what a shell sees."""
    output = tmp_path / "scores.csv"
    process = run(folder, "--source", tmp_path / "no", "--output", output)
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert len(process.stderr.splitlines()) == 1
    assert run(folder).returncode == 2
    helped = run("--help")
    assert helped.returncode == 0
    assert "examples:" in helped.stdout
