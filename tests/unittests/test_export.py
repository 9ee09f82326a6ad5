"""Tests of afpt_plugin.export: what was written comes back, nothing else does."""

import dataclasses
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from common import cases, refused
from huggingface_hub import ModelCard

from afpt_plugin.backbones import FrozenClap
from afpt_plugin.backbones.mini_clap import MiniClap
from afpt_plugin.backbones.ms_clap import MsClap
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export
from afpt_plugin.files import file_sha256
from afpt_plugin.learners import LabeledItems, PromptLearner, Template
from afpt_plugin.scoring.calibration import Calibration, make_calibration
from afpt_plugin.task import Task

# YAML would take some of them for something else.
NAMES = ["dog", "yes", "2019-01-01", "rain: heavy # or so", "Glocken läuten"]
TASK = Task("tiny", NAMES, clip_seconds=5)
SHOTS = LabeledItems(torch.randn(5, 16), torch.eye(5))


@pytest.fixture
def learner(clap):
    return PromptLearner(n_ctx=4, seed=1, anchor=0.25).setup(
        clap, NAMES, SHOTS, logit_scale=100.0
    )


@pytest.fixture
def folder(clap, learner, tmp_path):
    folder = tmp_path / "a" / "export"
    return write_export(folder, clap, learner, TASK, Template("a {}"))


def rewrite(folder, **changes):
    """Change values of the YAML file, as an attacker; None takes one out."""
    path, tensors = folder / "hyperparams.yaml", folder / "learner.safetensors"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    # As an earlier version did, which hashed nothing else
    if tensors.is_file():
        settings["tensors_sha256"] = file_sha256(tensors)
    settings |= changes
    settings = {k: v for k, v in settings.items() if v is not None}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def load(folder, clap):
    return read_export(folder).make_learner(clap)


def test_what_was_written_comes_back(clap, learner, folder):
    """Also from the folder above, whose own YAML file is not looked at."""
    metrics = {"ensemble": {"acc": np.float64(0.5), "n": (1, 2)}}
    facts = {"dataset": "tiny"}
    write_export(folder, clap, learner, TASK, Template("a {}"), metrics, facts)
    (folder.parent / "hyperparams.yaml").write_text("x: !new:os.system [ls]")
    export = read_export(folder.parent)
    assert export.class_names == NAMES
    assert (export.clap, export.clap_fingerprint) == ("tiny", clap.fingerprint)
    assert (export.logit_scale, export.clip_seconds) == (100.0, 5.0)
    assert export.multi_label is False
    assert export.metrics == {"ensemble": {"acc": 0.5, "n": [1, 2]}}
    license = {"clap_licence": "unknown", "clap_repo_id": None}
    assert export.facts == license | facts
    found = export.make_learner(clap)
    assert found.settings() == learner.settings()
    wanted = learner.classes(clap)
    assert all(map(torch.equal, found.classes(clap), wanted))
    assert export.make_baseline(clap).templates == ["a {}"]
    names = {"README.md", "hyperparams.yaml", "learner.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    # As the umask has it; safetensors alone would hide the tensors.
    (folder.parent / "any").touch()
    for path in folder.iterdir():
        assert path.stat().st_mode == (folder.parent / "any").stat().st_mode


def test_a_calibration_is_part_of_what_decides_a_score(clap, learner, tmp_path):
    """An export without one is that of an earlier version."""
    arguments = clap, learner, TASK, Template()
    plain = read_export(write_export(tmp_path / "plain", *arguments))
    rewrite(tmp_path / "plain", calibration=None)
    assert read_export(tmp_path / "plain").fingerprint == plain.fingerprint
    known = Calibration(temperature=2.0, fitted_on="9 held-out captions")
    folder = write_export(tmp_path / "known", *arguments, calibration=known)
    found = read_export(folder)
    assert make_calibration(found.calibration, False) == known
    assert found.fingerprint != plain.fingerprint
    assert "on 9 held-out captions" in (folder / "README.md").read_text()
    rewrite(folder, calibration={"temperature": 1e9})
    with refused("calibration: temperature is 1000000000"):
        read_export(folder)


def test_contexts_that_share_memory_are_written(clap, learner, tmp_path):
    # safetensors alone would refuse them.
    learner.ctx_fine = learner.ctx_coarse
    write_export(tmp_path, clap, learner, TASK, Template())
    found = load(tmp_path, clap)
    assert torch.equal(found.ctx_fine, found.ctx_coarse)


@cases(
    "metrics, facts, lines",
    (None, None, ["CLAP `tiny`."]),
    (
        {"zero_shot": {"mAP": 0.25}, "coarse": {"mAP": 0.5, "lwlrap": 1}},
        {"supervision": {"kind": "captions"}},
        [
            "CLAP `tiny`, learned from captions.",
            "| | lwlrap | mAP |\n|---|---|---|",
            "| zero-shot |  | 0.2500 |",
            "| coarse | 1.0000 | 0.5000 |",
        ],
    ),
    (
        {"fine": {"acc": 0.5, "ci": [0, 1]}},
        {"supervision": {"kind": "shots"}},
        ["learned from labeled recordings.", "| | acc |\n|---|---|"],
    ),
)
def test_the_model_card_says_how_to_use_it(
    clap, learner, tmp_path, metrics, facts, lines
):
    write_export(tmp_path, clap, learner, TASK, Template(), metrics, facts)
    card = (tmp_path / "README.md").read_text("utf-8")
    for text in ("PromptedClassifier", clap.fingerprint, *NAMES, *lines):
        assert text in card
    assert ("|" in card) == (metrics is not None)
    assert "{" not in card and "\n\n\n" not in card


@cases(
    "licence, repo_id, wanted",
    (MsClap.licence, MsClap.repo_id, {"license": "ms-pl"}),
    (MiniClap.licence, MiniClap.repo_id, {"license": "apache-2.0"}),
    (FrozenClap.licence, FrozenClap.repo_id, {"license": "unknown"}),
    (
        "Our License: 2.0 (by mail)",
        "we/clap",
        {"license": "other", "license_name": "our-license-2.0"},
    ),
)
def test_the_hub_understands_the_card(
    clap, learner, tmp_path, licence, repo_id, wanted
):
    """The license of the CLAP is in the metadata and, in full, in the text."""
    clap.licence, clap.repo_id = licence, repo_id
    write_export(tmp_path, clap, learner, TASK, Template())
    card = ModelCard.load(tmp_path / "README.md")
    found = card.data.to_dict()
    assert found.pop("tags")[-1] == "PromptLearner"
    if repo_id:
        wanted = wanted | {"base_model": repo_id}
    assert found == wanted | {
        "library_name": "speechbrain",
        "pipeline_tag": "audio-classification",
    }
    assert f" {licence}.\n" in card.text


def test_the_fingerprint_knows_what_decides_a_score(clap, learner, tmp_path):
    def fingerprint(task=TASK, learner=learner, metrics=None, **options):
        others = (task, Template(), metrics)
        write_export(tmp_path, clap, learner, *others, **options)
        return read_export(tmp_path).fingerprint

    first = fingerprint()
    assert fingerprint(metrics={"acc": {"a": 1}}) == first
    assert fingerprint(channels="concatenate") != first
    for changes in (
        {"class_names": NAMES[::-1]},
        {"clip_seconds": 10.0},
        {"multi_label": True},
    ):
        assert fingerprint(dataclasses.replace(TASK, **changes)) != first
    learner.anchor_embeddings += 1
    assert fingerprint() != first
    other = PromptLearner(n_ctx=3).setup(clap, NAMES)
    assert fingerprint(learner=other) != first


@cases(
    "changes, name",
    ({"clip_seconds": float("nan")}, "clip_seconds"),
    ({"multi_label": 1}, "multi_label"),
)
def test_nothing_unsound_is_written(clap, learner, tmp_path, changes, name):
    """The run learns of it, not a stranger years later."""
    task = SimpleNamespace(**{**vars(TASK), **changes})
    with pytest.raises(InputError, match=name):
        write_export(tmp_path / "e", clap, learner, task, Template("a {}"))
    assert not (tmp_path / "e").exists()


@cases(
    "changes, message",
    ({"format": "afpt-prompts-2"}, "'afpt-prompts-2'.*afpt tune"),
    ({"format": None}, "format is None"),
    ({"learner": None, "clap": None}, "clap, learner"),
    ({"learner": "Cat"}, "learner: 'Cat'"),
    ({"learner": ["Template"]}, "learner: "),
    ({"learner_settings": {"n_ctx": 4, "x": 1}}, "PromptLearner.*'x'"),
    ({"learner_settings": {"n_ctx": -1}}, "n_ctx is -1"),
    ({"learner_settings": {"n_ctx": "4"}}, "n_ctx is '4'"),
    ({"learner_settings": {"n_ctx": 10**12}}, "n_ctx: 1000"),
    ({"learner_settings": {"n_ctx": 4, "seed": 10**30}}, "settings of"),
    ({"logit_scale": 1e9}, "logit_scale: 1"),
    ({"clip_seconds": 1e6}, "clip_seconds: 1000000"),
    ({"class_names": [str(i) for i in range(10_001)]}, "more than 10000"),
    ({"facts": {"a": "x" * 10_001}}, "longer than 10000"),
    ({"facts": {"a": "x" * 2**20}}, "too many"),
    ({"learner_settings": {"n_ctx": 5}}, r"ctx_coarse.*anchor_emb|needs"),
    ({"learner_settings": {"n_ctx": 5, "anchor": 0.5}}, r"\[5, 32\]"),
    ({"baseline_settings": {"templates": ["a"]}}, "template 'a'"),
    ({"class_names": "dog"}, "class_names: 'dog'"),
    ({"class_names": ["dog", 7]}, "class name 7"),
    ({"class_names": ["dog", "dog"]}, "repeat 'dog'"),
    ({"class_names": ["dog", "a|b"]}, r"class name 'a\|b'"),
    ({"logit_scale": "100"}, "logit_scale: '100'"),
    ({"logit_scale": 0}, "logit_scale: 0"),
    ({"logit_scale": float("inf")}, "logit_scale: inf"),
    ({"logit_scale": 10**400}, "logit_scale: 1000"),
    ({"clip_seconds": 1e-9}, "clip_seconds: 1e-09"),
    ({"baseline": "Cat"}, "baseline: 'Cat'"),
    ({"channels": "left"}, "channels: 'left'"),
    ({"clip_seconds": True}, "clip_seconds: True"),
    ({"clap": ["mini"]}, "clap: "),
    ({"clap_fingerprint": "1" * 64}, "1111"),
    ({"clap_fingerprint": "zz"}, "clap_fingerprint: 'zz'"),
    ({"metrics": [1]}, "metrics: "),
    ({"tensors_sha256": "00"}, "sha256"),
)
def test_a_wrong_value_is_named(clap, folder, changes, message):
    rewrite(folder, **changes)
    with pytest.raises(InputError, match=message):
        load(folder, clap)


@cases(
    "text",
    "format: !new:os.system [touch {canary}]",
    "format: !apply:os.system [touch {canary}]",
    "format: !!python/object/apply:os.system [touch {canary}]",
    "format: !include:other.yaml",
    "format: !ref <x>",
    "format: [",
    "[" * 1500,
    "[" * 30 + "]" * 30,
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "format: " + "9" * 5000,
    "format: 0x" + "f" * 9000,
    "format: 2019-01-01",
    "format: !!binary aGVsbG8=",
    "\x00",
    "\udc80\udc95",
)
def test_a_file_from_a_hub_is_never_evaluated(folder, tmp_path, text):
    canary = tmp_path / "canary"
    path = folder / "hyperparams.yaml"
    path.write_text(text.format(canary=canary), errors="surrogateescape")
    with pytest.raises(InputError, match="hyperparams.yaml: not plain YAML"):
        read_export(folder)
    assert not canary.exists()


def test_a_link_out_of_the_export_is_not_followed(clap, folder, tmp_path):
    for name in ("hyperparams.yaml", "learner.safetensors"):
        path, outside = folder / name, tmp_path / name
        path.rename(outside)
        path.symlink_to(outside)
        with pytest.raises(InputError, match=f"{name} is a link"):
            read_export(folder)
        path.unlink()
        outside.rename(path)
    # As the hub's cache has them
    blobs = folder.parents[1] / "blobs"
    blobs.mkdir()
    (folder / "hyperparams.yaml").rename(blobs / "0")
    (folder / "hyperparams.yaml").symlink_to(blobs / "0")
    assert load(folder, clap).n_ctx == 4


def test_a_pipe_or_a_folder_is_not_waited_for(folder):
    for name in ("learner.safetensors", "hyperparams.yaml"):
        for make in (os.mkfifo, os.mkdir):
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
            with pytest.raises(InputError, match=name):
                read_export(folder)
            (os.rmdir if make is os.mkdir else os.unlink)(folder / name)


def test_a_missing_or_damaged_file_is_named(clap, learner, folder, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path / "no")):
        read_export(tmp_path / "no")
    with pytest.raises(InputError, match=r"hyperparams.yaml"):
        read_export(tmp_path)
    path = folder / "learner.safetensors"
    for damage in (
        lambda: path.write_bytes(path.read_bytes()[:-10]),
        path.unlink,
    ):
        damage()
        with pytest.raises(InputError, match=r"learner.safetensors"):
            read_export(folder)
    with pytest.raises(InputError, match="README.md"):
        write_export(folder / "README.md", clap, learner, TASK, Template())
