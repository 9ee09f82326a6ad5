"""Tests of `afpt_plugin.results.output`: what a run leaves behind.

Authors
 * The afpt_plugin developers 2026
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from afpt_plugin.errors import InputError
from afpt_plugin.results import output
from afpt_plugin.results.output import HEADS, REQUIRED_KEYS
from afpt_plugin.task import Task

CLASS_NAMES = ["dog", "rain, heavy", "bell"]
IDS = ["001.wav", "a,b.wav", "c.wav", "d.wav"]
TARGETS = torch.tensor([0, 1, 1, 0])
MULTI_HOT = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
HISTORY = [{"epoch": 1, "train_loss": 2.0, "coarse": 0.5}]


def some_logits(n_recordings=4, n_classes=3):
    """Different logits for each head."""
    generator = torch.Generator().manual_seed(0)
    return {
        head: torch.randn(n_recordings, n_classes, generator=generator)
        for head in HEADS
    }


def some_results(metric="acc", **changes):
    """A complete result."""
    per_class = {name: {"acc": 0.5, "ap": 0.5, "n": 1} for name in CLASS_NAMES}
    return {
        **{key: f"the {key}" for key in REQUIRED_KEYS},
        "metrics": {head: {metric: 0.5} for head in HEADS},
        "per_class": dict.fromkeys(HEADS, per_class),
        **changes,
    }


def names_in(folder):
    """Names of all files, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_results_survive_the_round_trip_in_the_order_given(tmp_path):
    results = some_results(n_recordings=3, aé=[1.5, None, True])
    path = output.write_results(tmp_path / "new" / "folder", results)
    assert output.read_results(path) == results
    assert list(output.read_results(path)) == list(results)
    assert "aé" in path.read_text(encoding="utf-8")
    assert names_in(path.parent) == ["results.json"]


@pytest.mark.parametrize("key", [*REQUIRED_KEYS, "metrics.zero_shot"])
def test_a_missing_key_is_named_by_writer_and_reader(tmp_path, key):
    results = some_results()
    parts = key.split(".")
    del (results["metrics"] if len(parts) > 1 else results)[parts[-1]]
    with pytest.raises(ValueError, match=f"lack {key}$"):
        output.write_results(tmp_path, results)
    with pytest.raises(ValueError, match=f"lack {key}$"):
        output.write_run(
            tmp_path, results, IDS, TARGETS, some_logits(), Task("P", ["a"])
        )
    assert names_in(tmp_path) == []
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    with pytest.raises(InputError, match=rf"results\.json: .* {key};.* again"):
        output.read_results(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_leaves_the_old_file_alone(tmp_path, value):
    path = output.write_results(tmp_path, some_results())
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        output.write_results(tmp_path, some_results(seed=value))
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["results.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"dataset": ', "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"seed": NaN}', "NaN"),
        (b"[" * 100_000, "JSON"),
        (b"[1]", "results"),
        (b'{"metrics": [1]}', "results"),
        (None, "read"),
    ],
)
def test_an_unreadable_result_file_is_named(tmp_path, content, message):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        output.read_results(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("targets", [TARGETS, MULTI_HOT.float()])
def test_predictions_hold_class_and_rank_or_logit(tmp_path, targets):
    logits = some_logits()
    path = output.write_predictions(tmp_path, IDS, targets, CLASS_NAMES, logits)
    table = pd.read_csv(path, keep_default_na=False)
    assert table["id"].tolist() == IDS
    single_label = targets.ndim == 1
    labels = ["dog|rain, heavy", "rain, heavy", "", "dog"]
    if single_label:
        labels = ["dog", "rain, heavy", "rain, heavy", "dog"]
    assert table["label"].tolist() == labels
    assert len(table.columns) == 2 + (3 if single_label else 2) * len(HEADS)
    for head in HEADS:
        order = logits[head].argsort(dim=1, descending=True)
        assert table[head].tolist() == [CLASS_NAMES[i] for i in order[:, 0]]
        name, value = "logit", logits[head].amax(dim=1)
        if single_label:
            name, value = "score", logits[head].softmax(dim=1).amax(dim=1)
            ranks = (order == TARGETS[:, None]).int().argmax(dim=1) + 1
            assert table[f"{head}_rank"].tolist() == ranks.tolist()
        assert table[f"{head}_{name}"].to_numpy() == pytest.approx(
            value.numpy(), rel=1e-4
        )
    assert names_in(tmp_path) == ["predictions.csv"]


@pytest.mark.parametrize(
    ("ids", "targets", "logits", "wrong"),
    [
        (IDS[:2], TARGETS, some_logits(2), "targets"),
        (IDS, MULTI_HOT[:, :2], some_logits(), "targets"),
        (IDS, TARGETS, some_logits(n_classes=2), "zero_shot"),
        (IDS, TARGETS, some_logits(3), "zero_shot"),
    ],
)
def test_predictions_of_other_shapes_are_refused(
    tmp_path, ids, targets, logits, wrong
):
    with pytest.raises(ValueError, match=wrong):
        output.write_predictions(tmp_path, ids, targets, CLASS_NAMES, logits)
    assert names_in(tmp_path) == []


def test_table_shows_percent_points_and_untested_classes():
    metrics = {
        "zero_shot": {"mAP": 0.5},
        "zero_shot_ensemble": {"mAP": 0.45},
        "coarse": {"mAP": 0.625},
        "fine": {"mAP": 0.5},
        "ensemble": {"mAP": 0.4875},
    }
    lines = output.format_table(metrics, "mAP").splitlines()
    assert [line.split()[-3:] for line in lines[1:]] == [
        ["zero-shot", "50.00"],
        ["ensemble", "45.00", "-5.00"],
        ["62.50", "+12.50", "+12.50"],
        ["fine", "50.00", "+0.00"],
        ["48.75", "-1.25", "+3.75"],
    ]
    per_class = {"dog": {"n": 2}, "rain": {"n": 0}, "wind": {"n": 0}}
    *table, line = output.format_table(metrics, "mAP", per_class).splitlines()
    assert table == lines
    assert "2 of 3 classes" in line and line.endswith("rain; wind")


def test_the_primary_head_is_a_learned_one():
    assert output.primary_head(HEADS) == "ensemble"
    assert output.primary_head(["zero_shot", "coarse"]) == "coarse"


def test_versions_name_what_is_missing(monkeypatch):
    def version(name):
        if name == "msclap":
            raise output.metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(output.metadata, "version", version)
    versions = output.package_versions()
    assert versions["msclap"] is None
    assert versions["speechbrain"] == "1.0"
    assert versions["python"].startswith("3.")


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("history", [HISTORY, []])
def test_a_run_leaves_all_files(tmp_path, multi_label, history):
    task = Task("Pets", CLASS_NAMES, multi_label)
    targets = MULTI_HOT if multi_label else torch.eye(3)[TARGETS]
    results = some_results(task.metric, history=history)
    paths = output.write_run(
        tmp_path, results, IDS, targets, some_logits(), task
    )
    expected = ["predictions.csv", "per_class.png", "results.json"]
    if history:
        expected.insert(1, "training.png")
    if not multi_label:
        expected.insert(-1, "confusion.png")
    assert [path.name for path in paths] == expected
    assert names_in(tmp_path) == sorted(expected)
    for path in paths[1:-1]:
        assert np.std(imread(path)) > 0.01
