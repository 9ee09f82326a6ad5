"""`afpt push` against a hub on this machine, which speaks what is asked of it."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from common import cases
from hub import addresses, fake_hub
from huggingface_hub import constants, file_download

from afpt_plugin.cli import main
from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]
REPO = "someone/sounds"
FILES = {"hyperparams.yaml", "learner.safetensors", "README.md"}
OLD_EXPORT = Path(__file__).parents[1] / "samples" / "zero_shot_export"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Its repositories, what it was asked, and what it refuses."""
    with fake_hub() as (url, state):
        for module in (constants, file_download):
            for name, value in addresses(url).items():
                monkeypatch.setattr(module, name, value, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", "secret")
        yield state


@pytest.fixture
def export(clap, tmp_path):
    learner = PromptLearner(n_ctx=4, seed=1).setup(clap, NAMES)
    folder, task = tmp_path / "run" / "export", Task("tiny", NAMES)
    write_export(folder, clap, learner, task, Template())
    (folder / "notes.txt").write_text("not for the hub")
    return folder


def refuse(capsys, *arguments):
    """The sentence that a push ends with."""
    with pytest.raises(SystemExit, match="2"):
        main(["push", *map(str, arguments)])
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def terminal(monkeypatch, answer):
    stdin = SimpleNamespace(isatty=lambda: True, readline=lambda: answer)
    monkeypatch.setattr("sys.stdin", stdin)


def load(source, clap):
    return PromptedClassifier.from_hparams(
        source, clap=clap, run_opts={"device": "cpu"}
    )


@pytest.mark.parametrize("mode", ["regular", "lfs"])
def test_what_was_pushed_scores_as_before(
    hub, export, clap, capsys, monkeypatch, mode
):
    """From the folder above, into a private repository, by the three lines."""
    # Its storage for large files would be a hub of its own.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    hub.mode = mode
    assert main(["push", str(export.parent), REPO]) == 0
    repo = hub.repos[REPO]
    assert repo["private"] is True and repo["commits"] == 1
    assert set(repo["files"]) == FILES
    for name in FILES - {"README.md"}:
        assert repo["files"][name] == (export / name).read_bytes()
    card = repo["files"]["README.md"].decode()
    own = (export / "README.md").read_text("utf-8")
    assert card == own.replace("path/to/this", REPO) != own
    printed = capsys.readouterr().out
    assert f"{constants.ENDPOINT}/{REPO} is private" in printed
    (line,) = re.findall("classifier = .*", printed)
    assert line == f'classifier = PromptedClassifier.from_hparams("{REPO}")'
    wavs = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
    found, wanted = load(REPO, clap), load(export, clap)
    assert torch.equal(
        found.classify_batch(wavs).out_prob,
        wanted.classify_batch(wavs).out_prob,
    )


def test_a_private_repository_is_not_found_without_a_token(
    hub, export, clap, monkeypatch
):
    main(["push", str(export), REPO])
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="your token"):
        load(REPO, clap)


def test_an_export_is_replaced_by_a_newer_one(hub, export):
    """Older formats, and what else was added there, are no hindrance."""
    files = {"hyperparams.yaml": b"format: afpt-prompts-2\n", "a.png": b"1"}
    hub.repos[REPO] = {"private": True, "files": files, "commits": 1}
    assert main(["push", str(export), REPO]) == 0
    assert set(files) == {*FILES, "a.png"}
    # The old file is not left where the new ones are looked for.
    assert not Path(constants.HF_HUB_CACHE).exists()


@pytest.mark.parametrize("before", [None, True, False])
def test_nothing_becomes_public_unasked(
    hub, export, capsys, monkeypatch, before
):
    """Not by an old repository either."""
    if before is not None:
        hub.repos[REPO] = {"private": before, "files": {}, "commits": 0}
    if before is False:
        assert "is public" in refuse(capsys, export, REPO)
    terminal(monkeypatch, "\n")
    assert main(["push", str(export), REPO, "--public"]) == 1
    assert "Everyone will be able to read" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert "--yes" in refuse(capsys, export, REPO, "--public")
    assert not any(line.startswith(("POST", "PUT")) for line in hub.asked)
    terminal(monkeypatch, "y\n")
    assert main(["push", str(export), REPO, "--public"]) == 0
    assert hub.repos[REPO]["private"] is False
    # Only once all of it was there
    wanted = "settings" if before is not False else "commit/main"
    assert hub.asked[-1].endswith(wanted)
    monkeypatch.setattr("sys.stdin", None)
    assert main(["push", str(export), REPO, "--public", "--yes"]) == 0
    assert f"{REPO} is public. To use it" in capsys.readouterr().out


@cases(
    "files, named",
    ({"model.safetensors": b"0"}, "model.safetensors"),
    ({"hyperparams.yaml": b"x: !new:torch.nn.Linear [1, 1]"}, "hyperparam"),
    ({"README.md": b"about"}, "README.md"),
)
def test_somebody_else_s_repository_is_not_touched(
    hub, export, capsys, files, named
):
    files[".gitattributes"] = b""
    before = dict(files)
    hub.repos[REPO] = {"private": True, "files": files, "commits": 1}
    assert f"holds {named}" in refuse(capsys, export, REPO)
    assert hub.repos[REPO]["commits"] == 1 and files == before


@pytest.mark.parametrize("name", ["sounds", "a/b/c", "a b/c", "https://x/y"])
def test_a_name_that_is_none_is_refused(hub, export, capsys, name):
    assert "give user/name" in refuse(capsys, export, name)
    assert hub.asked == []


def test_what_cannot_be_loaded_is_not_pushed(hub, export, capsys):
    """Nor an export without its card."""
    (export / "README.md").unlink()
    assert "README.md" in refuse(capsys, export, REPO)
    (export / "learner.safetensors").write_bytes(b"0")
    assert "learner.safetensors" in refuse(capsys, export, REPO)
    assert "does not exist" in refuse(capsys, export / "no", REPO)
    assert hub.asked == []


def test_an_export_of_an_older_version_is_pushed(hub, tmp_path):
    shutil.copytree(OLD_EXPORT, tmp_path / "old")
    assert main(["push", str(tmp_path / "old"), REPO]) == 0
    assert set(hub.repos[REPO]["files"]) == FILES


def test_a_token_that_is_missing_or_wrong_is_named(
    hub, export, capsys, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "other")
    assert "valid token" in refuse(capsys, export, REPO)
    monkeypatch.delenv("HF_TOKEN")
    hub.asked.clear()
    assert "HF_TOKEN" in refuse(capsys, export, REPO)
    assert hub.asked == [] and hub.repos == {}


@cases(
    "refusal, state",
    ("/create", "nothing was pushed"),
    ("/main", "nothing was pushed"),
    ("/settings", "it was pushed, but is still private"),
)
def test_a_refusal_says_what_is_there_now(hub, export, capsys, refusal, state):
    hub.refusal = refusal
    error = refuse(capsys, export, REPO, "--public", "--yes")
    assert state in error and "may write there" in error
    is_there = refusal == "/settings"
    repo = hub.repos.get(REPO, {"private": True, "files": {}})
    assert repo["private"] and set(repo["files"]) == (
        FILES if is_there else set()
    )


def test_without_a_network_there_is_one_sentence(
    hub, export, capsys, monkeypatch
):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert "check the network" in refuse(capsys, export, REPO)
