"""Tests of `afpt_plugin.results.output`: what a run leaves behind."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from common import cases
from matplotlib.image import imread

from afpt_plugin.results import output
from afpt_plugin.results.output import HEADS
from afpt_plugin.task import Task

CLASS_NAMES = ["dog", "rain, heavy", "bell"]
IDS = ["001.wav", "a,b.wav", "c.wav", "d.wav"]
TARGETS = torch.tensor([0, 1, 1, 0])
MULTI_HOT = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
HISTORY = [{"epoch": 1, "train_loss": 2.0, "coarse": 0.5}]


def some_logits():
    """Different logits for each head, [4, 3]."""
    generator = torch.Generator().manual_seed(0)
    return {head: torch.randn(4, 3, generator=generator) for head in HEADS}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_results_keep_their_order_and_letters(tmp_path):
    results = {
        "seed": 1,
        "metrics": {"zero_shot": 0.5},
        "aé": [1.5, None, True],
    }
    output.write_results(tmp_path / "new" / "folder", results)
    text = (tmp_path / "new" / "folder" / "results.json").read_text("utf-8")
    assert list(json.loads(text).items()) == list(results.items())
    assert "aé" in text
    assert names_in(tmp_path / "new" / "folder") == ["results.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_leaves_the_old_file_alone(tmp_path, value):
    output.write_results(tmp_path, {"seed": 1})
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises((ValueError, TypeError)):
        output.write_results(tmp_path, {"seed": value})
    assert (tmp_path / "results.json").read_bytes() == before
    assert names_in(tmp_path) == ["results.json"]


@pytest.mark.parametrize("targets", [TARGETS, MULTI_HOT.float()])
def test_predictions_hold_class_probability_and_rank(tmp_path, targets):
    logits = some_logits()
    output.write_predictions(tmp_path, IDS, targets, CLASS_NAMES, logits)
    table = pd.read_csv(tmp_path / "predictions.csv", keep_default_na=False)
    assert table["id"].tolist() == IDS
    single_label = targets.ndim == 1
    labels = ["dog|rain, heavy", "rain, heavy", "", "dog"]
    if single_label:
        labels = ["dog", "rain, heavy", "rain, heavy", "dog"]
    assert table["label"].tolist() == labels
    assert len(table.columns) == 2 + (3 if single_label else 2) * len(HEADS)
    probabilities = torch.nn.Softmax(1) if single_label else torch.sigmoid
    for head in HEADS:
        order = logits[head].argsort(dim=1, descending=True)
        assert table[head].tolist() == [CLASS_NAMES[i] for i in order[:, 0]]
        value = probabilities(logits[head]).amax(dim=1)
        if single_label:
            ranks = (order == TARGETS[:, None]).int().argmax(dim=1) + 1
            assert table[f"{head}_rank"].tolist() == ranks.tolist()
        assert table[f"{head}_score"].to_numpy() == pytest.approx(
            value.numpy(), rel=1e-4
        )
    assert names_in(tmp_path) == ["predictions.csv"]


def test_predictions_name_sources_only_where_some_are_known(tmp_path):
    arguments = tmp_path, IDS, TARGETS, CLASS_NAMES, some_logits()
    output.write_predictions(*arguments, {"c.wav": "tape", "001.wav": None})
    table = pd.read_csv(tmp_path / "predictions.csv", keep_default_na=False)
    assert table["source"].tolist() == ["", "", "tape", ""]
    output.write_predictions(*arguments, dict.fromkeys(IDS))
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert list(table.columns[:2]) == ["id", "label"]


def test_table_shows_percent_points_and_untested_classes():
    metrics = {
        "zero_shot": {"mAP": 0.5},
        "zero_shot_ensemble": {"mAP": 0.45},
        "coarse": {"mAP": 0.625},
        "fine": {"mAP": 0.5},
        "ensemble": {"mAP": 0.4875},
    }
    per_class = {"dog": {"n": 2}, "rain": {"n": 0}, "wind": {"n": 0}}
    table = output.format_table(metrics, "mAP", per_class)
    _, *lines, untested = table.splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["zero-shot", "50.00"],
        ["ensemble", "45.00", "-5.00"],
        ["62.50", "+12.50", "+12.50"],
        ["fine", "50.00", "+0.00"],
        ["48.75", "-1.25", "+3.75"],
    ]
    assert "2 of 3 classes" in untested and untested.endswith("rain; wind")


@cases("multi_label, history", (False, HISTORY), (True, []))
def test_a_run_leaves_all_files(tmp_path, multi_label, history):
    task = Task("Pets", CLASS_NAMES, multi_label)
    targets = MULTI_HOT if multi_label else torch.eye(3)[TARGETS]
    per_class = {n: {"acc": 0.5, "ap": 0.5, "n": 2} for n in CLASS_NAMES}
    results = {
        **{"history": history, "selected_epoch": 1},
        "metrics": {"zero_shot": {task.metric: 0.5}},
        "per_class": dict.fromkeys(HEADS, per_class),
    }
    output.write_run(tmp_path, results, IDS, targets, some_logits(), task)
    figures = ["per_class.png"]
    if not multi_label:
        figures = ["confusion.png", "per_class.png", "training.png"]
    assert names_in(tmp_path) == sorted(
        [*figures, "predictions.csv", "results.json"]
    )
    for name in figures:
        assert np.std(imread(tmp_path / name)) > 0.01
