"""`afpt` as a user runs it: help, tune, mine and words, right and wrong.

What takes a process of its own (a kill, imports, a closed pipe) is run as one.
"""

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from common import cases
from processes import ROOT

from afpt_plugin import __version__
from afpt_plugin.backbones import load_clap
from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.cli import COMMANDS, main
from afpt_plugin.commands.words import nearest_words
from afpt_plugin.data.captions import read_captions
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "car horn"]
CORPUS = """\
id,caption
1,A dog is barking
2,Puppies yap as it rains
3,There is no rain
4,heavy rain on a roof
5,a dog growls at a bone
6,a foghorn far away
"""
FILES = {"hyperparams.yaml", "learner.safetensors", "README.md", "training"}
TUNE = "tune --class-names names.txt --device cpu --output".split()


def tune(output, *arguments):
    """Run `afpt tune` here, and leave no handler of SpeechBrain's behind."""
    handlers = logging.root.handlers[:]
    try:
        assert main([*TUNE, output, *arguments]) == 0
    finally:
        logging.root.handlers[:] = handlers


def start(folder, *arguments):
    """Start `afpt` as a process, standing in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "afpt_plugin.cli", *arguments],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "corpus.csv").write_text(CORPUS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def tuned(folder):
    """What was printed by a tune that continued a killed one."""
    arguments = ["my_sounds", "--epochs", "6"]
    process = start(folder, *TUNE, *arguments)
    save = folder / "my_sounds" / "training" / "save"
    end = time.monotonic() + 300
    while not list(save.glob("CKPT*/CKPT.yaml")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (folder / "my_sounds" / "hyperparams.yaml").exists()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tune(*arguments)
    return printed.getvalue()


@cases(
    "words, status, said",
    ("--version", 0, f"afpt_plugin {__version__}\n"),
    ("", 2, "COMMAND"),
)
def test_the_version_is_the_package_s_and_a_command_is_needed(
    capsys, words, status, said
):
    with pytest.raises(SystemExit, match=str(status)):
        main(words.split())
    assert said in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    printed = capsys.readouterr().out
    assert "example" in printed and f"  afpt {name} " in printed


@cases(
    "words, hint",
    ("tun", "'tune'"),
    ("tune --output new --sead 3", "'--seed'"),
    ("classify a.wav --output a --format ravn", "'raven'"),
    ("tune --class-names a,b --output new --method plam", "'palm'"),
    ("tune --class-names a,b --output new --clap minni", "'mini'"),
)
def test_the_nearest_name_is_offered(words, hint, mistake, folder):
    error = mistake(*words.split())
    assert f"did you mean {hint}" in error and error.count("\n") == 1
    assert not (folder / "new").exists()


def test_a_killed_tune_continues_to_the_same_numbers(folder, tuned):
    """And leaves an export, a log of every epoch, and what to do next."""
    assert "afpt classify RECORDINGS --source my_sounds" in tuned
    assert "held-out captions, acc is 100.0 % untuned and 100.0 %" in tuned
    assert "leave nothing to learn" in tuned
    output = folder / "my_sounds"
    assert {path.name for path in output.iterdir()} == FILES
    export = read_export(output)
    assert export.class_names == NAMES
    assert export.facts["supervision"]["source"] == "templates"
    log = (output / "training" / "train_log.txt").read_text().splitlines()
    epochs = [int(line.split(" - ")[0].removeprefix("epoch: ")) for line in log]
    # A run that started anew would have thrown the log away.
    assert epochs[0] == 1 and epochs.count(1) == 1
    assert sorted(set(epochs)) == list(range(1, 7))
    assert (output / "training" / "training.png").exists()
    assert not (output / "training" / "features").exists()
    # An unbroken run
    tune("whole", "--epochs", "6")
    assert read_export("whole").fingerprint == export.fingerprint


def test_a_tune_of_other_settings_starts_anew(folder, mistake, monkeypatch):
    """What a killed one left is thrown away."""
    with monkeypatch.context() as patch:
        patch.setattr(AdaptationBrain, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune("other", "--epochs", "1")
    assert list(Path("other/training/save").glob("CKPT*"))
    tune("other", "--epochs", "2", "--n-ctx", "2")
    assert read_export("other").learner_settings["n_ctx"] == 2
    log = Path("other/training/train_log.txt").read_text().splitlines()
    assert len(log) == 2
    # Finished prompts are not replaced by accident.
    assert "other holds a finished" in mistake(*TUNE, "other")
    tune("other", "--epochs", "1", "--overwrite")
    assert read_export("other").learner_settings["n_ctx"] == 5


def test_a_tune_killed_while_it_checks_recordings_can_go_on(
    folder, monkeypatch
):
    """The folder is its own before anything takes long."""
    for name in NAMES:
        Path("labeled", name).mkdir(parents=True, exist_ok=True)
        sig = np.sin(np.arange(8000) * len(name) / 9)
        soundfile.write(f"labeled/{name}/a.wav", sig, 8000)
    shots = ("--method", "tip_adapter", "--shots", "labeled")
    with monkeypatch.context() as patch:
        patch.setattr("afpt_plugin.adaptation.merge_copies", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune("cut", *shots)
    assert Path("cut/training/recordings.json").exists()
    tune("cut", *shots)
    assert read_export("cut").learner == "TipAdapter"


def test_words_follow_tune(folder, tuned, capsys):
    assert main("words my_sounds --top 3 --output w.csv".split()) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv("w.csv")
    assert len(table) == 2 * 5 * 3
    best = table[table["rank"] == 1]
    clap = load_clap("mini")
    vectors = read_export("my_sounds").make_learner(clap).token_vectors(clap)
    for context, (ctx, first) in vectors.items():
        assert context in printed
        rows = best[best["context"] == context]
        assert rows["start"].tolist() == "this is a sound of".split()
        moved = (ctx - first).norm(dim=1)
        assert rows["moved"].tolist() == pytest.approx(moved.tolist(), rel=1e-4)
        assert (moved > 0).all()


def test_a_reader_that_stops_early_is_no_defect(folder, tuned):
    # As `afpt words my_sounds | head` does
    process = start(folder, "words", "my_sounds", "--top", "50")
    process.stdout.close()
    message = process.stderr.read()
    assert process.wait(timeout=600) == 1
    assert "Traceback" not in message and "BrokenPipe" not in message


def test_words_of_untrained_contexts_are_those_they_start_from():
    clap = load_clap("mini")
    learner = PromptLearner(n_ctx=4, ctx_init="rain on roofs")
    table = nearest_words(learner.setup(clap, NAMES), clap, top=2)
    best = table[(table["rank"] == 1) & (table["context"] == "ctx_fine")]
    assert best["start"].tolist() == ["", "rain", "on", "roofs"]
    best = best.iloc[1:]  # The first vector is random.
    assert best["word"].tolist() == ["rain", "on", "roofs"]
    assert best["distance"].tolist() == [0, 0, 0]
    assert best["cosine"].tolist() == pytest.approx([1, 1, 1])
    assert (table["moved"] == 0).all()
    assert table[table["rank"] == 2]["distance"].min() > 0.1
    assert not table["word"].str.contains(r"\[").any()


def test_mine_then_tune(folder, capsys):
    """Classes without a hit are named, and learned from their names."""
    mine = "mine corpus.csv --class-names names.txt --output mined.csv"
    arguments = f"{mine} --report hits.csv --skipped skipped.csv".split()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "no caption of corpus.csv names 'car horn'" in captured.err
    assert "mined.csv holds 20 captions, 1 with several" in captured.out
    hits = pd.read_csv("hits.csv")
    counts = dict(zip(hits["class"], hits["captions"], strict=True))
    assert counts == {"dog": 3, "rain": 2, "car horn": 0}
    assert len(pd.read_csv("skipped.csv")) == 2
    captions = read_captions("mined.csv", NAMES)
    mined = [c.caption for c in captions if c.labels != (2,)]
    lines = CORPUS.splitlines()
    assert set(mined) == {lines[n].split(",")[1] for n in (1, 2, 4, 5)}
    tune("mined_sounds", *"--captions mined.csv --epochs 1 --n-ctx 2".split())
    export = read_export("mined_sounds")
    assert export.learner_settings["n_ctx"] == 2
    assert export.facts["supervision"]["source"] == "mined.csv"


def test_mine_with_synonyms_and_hits_alone(folder, capsys, mistake):
    """What the synonyms find is not filled up by templates."""
    Path("synonyms.yml").write_text("car horn: [foghorn]\n")
    arguments = "mine corpus.csv --class-names names.txt --hits-only".split()
    arguments += "--synonyms synonyms.yml --output hits_only.csv".split()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "hits_only.csv holds 5 captions" in captured.out
    assert "warning" not in captured.err
    assert "hits_only.csv exists" in mistake(*arguments)
    Path("no_column.csv").write_text("id,wording\n1,a dog\n")
    arguments[1] = "no_column.csv"
    arguments[-1] = "new.csv"
    error = mistake(*arguments)
    assert "no_column.csv" in error and "'id', 'wording'" in error
    assert len(error.splitlines()) == 1


@cases(
    "option, value, message",
    ("--class-names", "none.txt", "none.txt"),
    ("--class-names", "one.txt", "one.txt"),
    ("--class-names", "double.txt", "double.txt, line 2: 'Dog' repeats"),
    ("--captions", "none.csv", "none.csv"),
    ("--captions", "foreign.csv", "'cat'"),
    ("--prompt-template", "a sound", "'a sound'"),
    ("--clap", "maxi", "'maxi'"),
    ("--weights", "none.pth", "none.pth"),
    ("--device", "gpu", "'gpu'"),
    ("--epochs", "0", "--epochs is 0"),
    ("--seed", "-1", "--seed is -1"),
    ("--candidates", "palm", "auto"),
    ("--shots", "none", "a folder for each class"),
    ("--shots", "", "shots: a str"),
    ("--n-ctx", "0", "--n-ctx is 0"),
    ("--ctx-init", " ", "--ctx-init is empty"),
    ("--output", "corpus.csv", "corpus.csv is a file"),
    ("--output", "full", "full holds files"),
)
def test_tune_says_what_is_wrong_and_writes_nothing(
    folder, mistake, option, value, message
):
    Path("one.txt").write_text("dog\n")
    Path("double.txt").write_text("dog\nDog\n")
    Path("foreign.csv").write_text("caption,label\nmeow,cat\n")
    Path("full").mkdir(exist_ok=True)
    Path("full", "thesis.md").write_text("mine\n")
    given = {"--class-names": "names.txt", "--output": "wrong", option: value}
    arguments = [word for pair in given.items() for word in pair]
    assert message in mistake("tune", *arguments)
    assert not Path("wrong").exists()
    assert [path.name for path in Path("full").iterdir()] == ["thesis.md"]


def test_words_refuses_what_has_none(folder, tuned, mistake):
    assert "none" in mistake("words", "none")
    assert "--top is 0" in mistake("words", "my_sounds", "--top", 0)
    clap, template = load_clap("mini"), Template()
    template.setup(clap, NAMES)
    write_export("plain", clap, template, Task("plain", NAMES), template)
    assert "Template" in mistake("words", "plain")
