"""`afpt` as a user runs it: help, tune, mine and words, right and wrong."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from afpt_plugin import __version__
from afpt_plugin.backbones import load_clap
from afpt_plugin.cli import COMMANDS, main
from afpt_plugin.commands.words import nearest_words
from afpt_plugin.data.captions import read_captions
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners.prompts import PromptLearner

ROOT = Path(__file__).parents[2]
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
FILES = {"hyperparams.yaml", "prompts.safetensors", "README.md", "training"}


def command(*arguments):
    """The command line, with this Python."""
    return [sys.executable, "-m", "afpt_plugin.cli", *map(str, arguments)]


def options(folder):
    """How the processes are started."""
    return {
        "cwd": folder,
        "env": {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT),
        },
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


def afpt(folder, *arguments):
    """Run to the end, standing in a folder."""
    return subprocess.run(
        command(*arguments), **options(folder), timeout=600, check=False
    )


def check_mistake(capsys, *arguments):
    """The message of a mistake: one sentence, exit status 2."""
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("error: ") and "Traceback" not in error
    return error


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the user stands."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "corpus.csv").write_text(CORPUS)
    return folder


TUNE = [
    *("tune", "--class-names", "names.txt", "--output", "my_sounds"),
    *("--device", "cpu", "--epochs", "6"),
]


@pytest.fixture(scope="module")
def tuned(folder):
    """An export that was tuned by two processes, the first of them killed."""
    process = subprocess.Popen(command(*TUNE), **options(folder))
    save = folder / "my_sounds" / "training" / "save"
    end = time.monotonic() + 300
    while not list(save.glob("CKPT*/CKPT.yaml")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (folder / "my_sounds" / "hyperparams.yaml").exists()
    return afpt(folder, *TUNE)


def test_help_is_fast_because_it_imports_nothing_heavy(folder):
    """In a process of its own, for this one has torch already."""
    code = (
        "import sys; from afpt_plugin.cli import make_parser\n"
        "print(make_parser().format_help())\n"
        "heavy = {'torch', 'pandas', 'numpy', 'speechbrain', 'transformers'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], **options(folder))
    assert process.returncode == 0, process.stderr
    for name in COMMANDS:
        assert f"    {name} " in process.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    """On stdout, exit status 0."""
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "example" in printed and f"  afpt {name} " in printed


def test_the_version_is_the_package_s(capsys):
    """For a report of a defect."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"afpt_plugin {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["tone"], ["tune", "--lr", "1"]])
def test_a_command_line_that_makes_no_sense(arguments, capsys):
    """Is argparse's to refuse."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_killed_tune_goes_on_where_it_stopped(folder, tuned):
    """And leaves an export, a log of every epoch, and how to go on."""
    assert tuned.returncode == 0, tuned.stderr
    assert "afpt classify RECORDINGS --source my_sounds" in tuned.stdout
    output = folder / "my_sounds"
    assert {path.name for path in output.iterdir()} == FILES
    export = read_export(output)
    assert export.class_names == NAMES
    assert export.facts["captions"] == "templates"
    assert not torch.equal(export.ctx_fine, export.start_fine)
    log = (output / "training" / "train_log.txt").read_text().splitlines()
    epochs = [int(line.split(" - ")[0].removeprefix("epoch: ")) for line in log]
    # A run that started anew would have thrown the log away.
    assert epochs[0] == 1 and epochs.count(1) == 1
    assert sorted(set(epochs)) == list(range(1, 7))
    assert "epoch: 1 " not in tuned.stdout
    assert (output / "training" / "training.png").exists()
    assert not (output / "training" / "features").exists()


def test_finished_prompts_are_not_replaced_by_accident(folder, tuned):
    """As a user sees it: a sentence, exit status 2, no traceback."""
    before = (folder / "my_sounds" / "hyperparams.yaml").read_bytes()
    process = afpt(folder, *TUNE)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith(
        "error: my_sounds holds finished prompts"
    )
    assert "Traceback" not in process.stderr
    assert (folder / "my_sounds" / "hyperparams.yaml").read_bytes() == before


def test_words_follow_tune(folder, tuned):
    """The table is printed and written."""
    process = afpt(folder, *"words my_sounds --top 3 --output w.csv".split())
    assert process.returncode == 0, process.stderr
    table = pd.read_csv(folder / "w.csv")
    assert len(table) == 2 * 5 * 3
    started = table[table["rank"] == 1].groupby("context")["start"].agg(list)
    for context in ("ctx_coarse", "ctx_fine"):
        assert context in process.stdout
        assert started[context] == "this is a sound of".split()
    export = read_export(folder / "my_sounds")
    moved = (export.ctx_coarse - export.start_coarse).norm(dim=1)
    first = table[(table["context"] == "ctx_coarse") & (table["rank"] == 1)]
    assert first["moved"].tolist() == pytest.approx(moved.tolist(), rel=1e-4)
    assert (moved > 0).all()


def test_a_reader_that_stops_early_is_no_defect(folder, tuned):
    """As ``afpt words my_sounds | head`` does."""
    process = subprocess.Popen(
        command("words", "my_sounds", "--top", "50"), **options(folder)
    )
    process.stdout.close()
    message = process.stderr.read()
    assert process.wait(timeout=600) == 1
    assert "Traceback" not in message and "BrokenPipe" not in message


def test_words_of_untrained_contexts_are_those_they_start_from(tmp_path):
    """Distance 0, cosine 1; and a random vector started from no word."""
    clap = load_clap("mini")
    learner = PromptLearner(n_ctx=4, ctx_init="rain on roofs")
    learner.setup(clap, NAMES)
    write_export(
        tmp_path, clap, learner, NAMES, "{}", False, clap.logit_scale, 5.0
    )
    table = nearest_words(read_export(tmp_path), clap, top=2)
    best = table[(table["rank"] == 1) & (table["context"] == "ctx_fine")]
    assert best["start"].tolist() == ["", "rain", "on", "roofs"]
    assert best["word"].tolist()[1:] == ["rain", "on", "roofs"]
    assert best["distance"].tolist()[1:] == [0, 0, 0]
    assert best["cosine"].tolist()[1:] == pytest.approx([1, 1, 1])
    assert (table["moved"] == 0).all()
    second = table[table["rank"] == 2]["distance"].tolist()
    assert min(second) > 0.1
    assert not table["word"].str.contains(r"\[").any()


def test_mine_then_tune(folder):
    """Classes without a hit are named, and learned from their names."""
    process = afpt(
        folder,
        *"mine corpus.csv --class-names names.txt --output mined.csv".split(),
        *"--report hits.csv --skipped skipped.csv".split(),
    )
    assert process.returncode == 0, process.stderr
    assert "no caption of corpus.csv names 'car horn'" in process.stderr
    assert "mined.csv holds 20 captions, 1 with several" in process.stdout
    hits = pd.read_csv(folder / "hits.csv")
    assert dict(zip(hits["class"], hits["captions"], strict=True)) == {
        "dog": 3,
        "rain": 2,
        "car horn": 0,
    }
    assert len(pd.read_csv(folder / "skipped.csv")) == 2
    captions = read_captions(folder / "mined.csv", NAMES)
    assert {c.caption for c in captions if c.labels != (2,)} == {
        "A dog is barking",
        "Puppies yap as it rains",
        "heavy rain on a roof",
        "a dog growls at a bone",
    }
    process = afpt(
        folder,
        *"tune --class-names names.txt --captions mined.csv".split(),
        *"--output mined_sounds --epochs 1 --n-ctx 2 --device cpu".split(),
    )
    assert process.returncode == 0, process.stderr
    assert "1 of 20 captions" in process.stderr
    export = read_export(folder / "mined_sounds")
    assert export.learner_settings["n_ctx"] == 2
    assert "mined.csv" in str(export.facts)


def test_mine_with_synonyms_and_hits_alone(folder, capsys):
    """What the synonyms find is not filled up by templates."""
    (folder / "synonyms.yml").write_text("car horn: [foghorn]\n")
    arguments = ["mine", folder / "corpus.csv"]
    arguments += ["--class-names", folder / "names.txt", "--hits-only"]
    arguments += ["--synonyms", folder / "synonyms.yml"]
    arguments += ["--output", folder / "hits_only.csv"]
    assert main(list(map(str, arguments))) == 0
    captured = capsys.readouterr()
    assert "hits_only.csv holds 5 captions" in captured.out
    assert "warning" not in captured.err
    assert "hits_only.csv exists" in check_mistake(capsys, *arguments)


def test_mine_shows_a_mistake_as_a_sentence(folder):
    """As a user sees it."""
    (folder / "no_column.csv").write_text("id,wording\n1,a dog\n")
    process = afpt(folder, "mine", "no_column.csv", "--class-names=names.txt")
    assert process.returncode == 2
    assert "error: no_column.csv: no column" in process.stderr
    assert "'id', 'wording'" in process.stderr
    assert "Traceback" not in process.stderr and process.stdout == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--class-names", "none.txt"], "none.txt"),
        (["--class-names", "one.txt"], "at least two"),
        (["--class-names", "double.txt"], "double.txt, line 2: 'Dog' repeats"),
        (["--captions", "none.csv"], "none.csv: the file cannot be read"),
        (["--captions", "foreign.csv"], "'cat' is unknown"),
        (["--prompt-template", "a sound"], "must hold {} exactly once"),
        (["--clap", "maxi"], "no CLAP is called 'maxi'"),
        (["--weights", "none.pth"], "none.pth"),
        (["--device", "gpu"], "no device 'gpu' here"),
        (["--epochs", "0"], "--epochs is 0; give at least 1"),
        (["--seed", "-1"], "--seed is -1; give at least 0"),
        (["--n-ctx", "0"], "--n-ctx is 0; give at least 1"),
        (["--ctx-init", " "], "--ctx-init is empty"),
        (["--output", "corpus.csv"], "is a file"),
        (["--output", "full"], "files that `afpt tune` did not write"),
    ],
)
def test_tune_says_what_is_wrong_and_writes_nothing(
    folder, capsys, monkeypatch, given, message
):
    """Before anything is encoded."""
    monkeypatch.chdir(folder)
    Path("one.txt").write_text("dog\n")
    Path("double.txt").write_text("dog\nDog\n")
    Path("foreign.csv").write_text("caption,label\nmeow,cat\n")
    Path("full").mkdir(exist_ok=True)
    Path("full", "thesis.md").write_text("mine\n")
    defaults = {"--class-names": "names.txt", "--output": "wrong"}
    for option, value in defaults.items():
        if option not in given:
            given = [*given, option, value]
    assert message in check_mistake(capsys, "tune", *given)
    assert not Path("wrong").exists()
    assert [path.name for path in Path("full").iterdir()] == ["thesis.md"]


def test_words_refuses_what_is_no_export(folder, tuned, capsys, tmp_path):
    """A folder of something else, another backbone, no words at all."""
    assert "there is no such folder" in check_mistake(capsys, "words", "none")
    export = folder / "my_sounds"
    assert "--top is 0" in check_mistake(capsys, "words", export, "--top", 0)
    for path in export.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = tmp_path / "hyperparams.yaml"
    fingerprint = read_export(export).clap_fingerprint
    text = settings.read_text().replace(fingerprint, "ab" * 32)
    settings.write_text(text)
    error = check_mistake(capsys, "words", tmp_path)
    assert fingerprint in error and "ab" * 32 in error
