"""Loggers of SpeechBrain, as recipes/README.md puts them into a recipe."""

import re
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from afpt_plugin.learners import Template
from afpt_plugin.options import load_hparams
from afpt_plugin.results.run import RunResults
from afpt_plugin.results.run_calibration import RunCalibration
from afpt_plugin.results.scores import Scores
from afpt_plugin.task import Task

pytestmark = pytest.mark.usefixtures("no_figures")
RECIPES = Path(__file__).parents[2] / "recipes"
LINES = re.findall(
    r"--train_logger '(.+)'", (RECIPES / "README.md").read_text("utf-8")
)
TASK = Task("tiny", ["dog", "rain"], clip_seconds=1.0)
TRAIN, VALID = {"loss": 0.5, "acc": 0.25}, {"loss": 1.5, "acc": 0.75}
HISTORY = [(VALID, {"coarse": 0.125}), (None, {})]


def log_a_run(line, clap, folder, history):
    """Two epochs, or none, and the test, with the logger of an option."""
    overrides = f"output_folder: {folder}\ntrain_logger: {line}"
    hparams = load_hparams(RECIPES / "ESC50" / "hparams.yaml", overrides)
    learner = Template().setup(clap, TASK.class_names)
    results = RunResults(folder, hparams["train_logger"], None)
    results.open(TASK, clap, learner, learner, {})
    for epoch, (valid, audio) in enumerate(history, start=1):
        results.close_epoch(epoch, TRAIN, valid, audio, None)
    scores, found = (
        Scores(),
        {"zero_shot": torch.eye(2), "coarse": torch.eye(2)},
    )
    scores.add(["a", "b"], found, torch.eye(2))
    results.calibration = RunCalibration(TASK, clap)
    results.timings["evaluate_start"] = 0
    results.history = []  # no figure
    results.close_run(scores, None)
    return hparams["train_logger"]


@pytest.fixture
def curves(monkeypatch):
    """Tag -> numbers that the two programs were given, in their place."""
    curves = defaultdict(list)

    def add_scalar(tag, value, step):
        """TensorBoard takes nothing but numbers."""
        curves[tag].append(float(value))

    def log(stats, step=None):
        """Weights & Biases takes a dictionary for each of the stages."""
        for name, value in stats.items():
            if isinstance(value, dict):
                for key in value:
                    add_scalar(f"{key}/{name}", value[key], step)
            else:
                add_scalar(name, value, step)

    for name, content in (
        ("wandb", {"init": lambda **_: SimpleNamespace(log=log)}),
        (
            "torch.utils.tensorboard",
            {"SummaryWriter": lambda _: SimpleNamespace(add_scalar=add_scalar)},
        ),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return curves


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("history", [HISTORY, []])
def test_every_logger_takes_a_run(number, history, curves, clap, tmp_path):
    log_a_run(LINES[number], clap, tmp_path, history)
    wanted = {
        "epoch loaded": [0],
        "zero_shot/test": [1],
        "coarse/test": [0.125, 1] if history else [1],
    }
    if history:
        wanted |= {"loss/train": [0.5, 0.5], "acc/train": [0.25, 0.25]}
        wanted |= {"loss/valid": [1.5], "acc/valid": [0.75], "epoch": [1, 2]}
    assert curves == wanted


def test_tensorboard_reads_what_was_written(clap, tmp_path):
    if find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed")
    from tensorboard.backend.event_processing import event_accumulator

    log_a_run(LINES[0], clap, tmp_path, HISTORY).writer.close()
    folder = str(tmp_path / "tensorboard")
    found = event_accumulator.EventAccumulator(folder).Reload()
    tags = {"epoch", "epoch loaded", "zero_shot/test", "coarse/test"}
    tags |= {f"{name}/{s}" for name in TRAIN for s in ("train", "valid")}
    assert set(found.Tags()["scalars"]) == tags
    values = [(e.step, e.value) for e in found.Scalars("coarse/test")]
    assert values == [(1, 0.125), (2, 1.0)]
