"""Tests of `afpt_plugin.results.run`: what a run leaves behind.

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
from afpt_plugin.results import figures
from afpt_plugin.results import run as report
from afpt_plugin.results.run import HEADS, REQUIRED_HEADS, REQUIRED_KEYS

CLASS_NAMES = ["dog", "rain, heavy", "bell"]
IDS = ["001.wav", "a,b.wav", "c.wav", "d.wav"]
TARGETS = torch.tensor([0, 1, 1, 0])
MULTI_HOT = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 2 / epoch,
        "valid_loss": 3 / epoch,
        "valid_acc": 0.1 * epoch,
        "coarse": 0.5,
        "fine": 0.4,
        "ensemble": 0.6,
    }
    for epoch in (1, 2, 3)
]


def some_logits(n_recordings=4, n_classes=3):
    """Different logits for each head."""
    generator = torch.Generator().manual_seed(0)
    return {
        head: torch.randn(n_recordings, n_classes, generator=generator)
        for head in HEADS
    }


def some_results(metric_name="acc"):
    """A complete result."""
    results = {key: f"the {key}" for key in REQUIRED_KEYS}
    results["metrics"] = {head: {metric_name: 0.5} for head in HEADS}
    return results


def names_in(folder):
    """Names of all files, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_results_survive_the_round_trip_in_the_order_given(tmp_path):
    results = some_results() | {"n_recordings": 3, "aé": [1.5, None, True]}
    path = report.write_results(tmp_path / "new" / "folder", results)
    assert report.read_results(path) == results
    assert list(report.read_results(path)) == list(results)
    assert path.read_text(encoding="utf-8").startswith('{\n  "dataset"')
    assert names_in(path.parent) == ["results.json"]


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_a_missing_key_is_named_by_writer_and_reader(tmp_path, key):
    results = some_results()
    del results[key]
    with pytest.raises(ValueError, match=f"lack {key}$"):
        report.write_results(tmp_path, results)
    assert names_in(tmp_path) == []
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    with pytest.raises(InputError, match=rf"results\.json: lacks {key};"):
        report.read_results(path)


@pytest.mark.parametrize("head", REQUIRED_HEADS)
def test_a_missing_head_is_named(tmp_path, head):
    results = some_results()
    del results["metrics"][head]
    with pytest.raises(ValueError, match=rf"metrics\.{head}"):
        report.write_results(tmp_path, results)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_leaves_the_old_file_alone(tmp_path, value):
    path = report.write_results(tmp_path, some_results())
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        report.write_results(tmp_path, some_results() | {"seed": value})
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["results.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"dataset": ', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"seed": NaN}', "NaN is not a JSON number"),
        (b"[1]", "not a result file"),
        (b'{"metrics": [1]}', "not a result file"),
        (None, "cannot be read"),
    ],
)
def test_an_unreadable_result_file_is_named(tmp_path, content, message):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        report.read_results(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "confusion.png"
    path.write_bytes(b"old")

    def half_written(figure, part, **_):
        part.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        figures.plot_confusion(np.eye(3), CLASS_NAMES, path)
    assert names_in(tmp_path) == ["confusion.png"]
    assert path.read_bytes() == b"old"


def test_single_label_predictions_hold_class_score_and_rank(tmp_path):
    logits = some_logits()
    path = report.write_predictions(tmp_path, IDS, TARGETS, CLASS_NAMES, logits)
    table = pd.read_csv(path)
    assert table["id"].tolist() == IDS
    assert table["label"].tolist() == [CLASS_NAMES[i] for i in TARGETS]
    assert len(table.columns) == 2 + 3 * len(HEADS)
    for head in HEADS:
        order = logits[head].argsort(dim=1, descending=True)
        ranks = (order == TARGETS[:, None]).int().argmax(dim=1) + 1
        scores = logits[head].softmax(dim=1).amax(dim=1)
        best = [CLASS_NAMES[i] for i in order[:, 0]]
        assert table[head].tolist() == best
        assert table[f"{head}_rank"].tolist() == ranks.tolist()
        assert table[f"{head}_score"].tolist() == pytest.approx(
            scores.tolist(), rel=1e-4
        )
    assert names_in(tmp_path) == ["predictions.csv"]


def test_multi_label_predictions_join_labels_and_hold_the_logit(tmp_path):
    logits = some_logits()
    path = report.write_predictions(
        tmp_path, IDS, MULTI_HOT.float(), CLASS_NAMES, logits
    )
    table = pd.read_csv(path, keep_default_na=False)
    assert table["label"].tolist() == [
        "dog|rain, heavy",
        "rain, heavy",
        "",
        "dog",
    ]
    assert len(table.columns) == 2 + 2 * len(HEADS)
    for head in HEADS:
        logit, best = logits[head].max(dim=1)
        assert table[head].tolist() == [CLASS_NAMES[i] for i in best]
        assert table[f"{head}_logit"].tolist() == pytest.approx(
            logit.tolist(), rel=1e-4
        )


@pytest.mark.parametrize(
    ("ids", "targets", "logits", "message"),
    [
        (IDS[:2], TARGETS, some_logits(), "targets are"),
        (IDS, MULTI_HOT[:, :2], some_logits(), "targets are"),
        (IDS, TARGETS, some_logits(n_classes=2), "zero_shot logits are"),
        (IDS, TARGETS, some_logits(3), "zero_shot logits are"),
    ],
)
def test_predictions_of_other_shapes_are_refused(
    tmp_path, ids, targets, logits, message
):
    with pytest.raises(ValueError, match=message):
        report.write_predictions(tmp_path, ids, targets, CLASS_NAMES, logits)
    assert names_in(tmp_path) == []


def test_table_shows_percent_and_points():
    metrics = {
        "zero_shot": {"mAP": 0.5},
        "zero_shot_ensemble": {"mAP": 0.45},
        "coarse": {"mAP": 0.625},
        "fine": None,
        "ensemble": {"mAP": 0.4875},
    }
    lines = report.format_table(metrics, "mAP").splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["zero-shot", "by", "tuning"],
        ["(plain", "template)", "50.00"],
        ["ensemble", "45.00", "-5.00"],
        ["62.50", "+12.50", "+12.50"],
        ["fine", "-"],
        ["48.75", "-1.25", "+3.75"],
    ]


def test_a_table_of_the_four_required_heads_is_complete():
    """Result files of other programs need not have the others."""
    metrics = dict.fromkeys(REQUIRED_HEADS, {"acc": 0.5})
    lines = report.format_table(metrics, "acc").splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        HEADS[head] for head in REQUIRED_HEADS
    ]


def test_classes_without_a_recording_are_named_below_the_table():
    metrics = dict.fromkeys(REQUIRED_HEADS, {"acc": 0.5})
    per_class = {"dog": {"n": 2}, "rain": {"n": 0}, "wind": {"n": 0}}
    plain = report.format_table(metrics, "acc")
    *table, line = report.format_table(metrics, "acc", per_class).splitlines()
    assert table == plain.splitlines()
    assert "2 of 3 classes" in line and line.endswith("rain; wind")
    per_class = {"dog": {"n": 2}}
    assert report.format_table(metrics, "acc", per_class) == plain


def test_versions_name_what_is_missing(monkeypatch):
    def version(name):
        if name == "msclap":
            raise report.metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(report.metadata, "version", version)
    versions = report.package_versions()
    assert versions["msclap"] is None
    assert versions["speechbrain"] == "1.0"
    assert versions["python"].startswith("3.")


def test_single_label_run_leaves_all_files(tmp_path):
    paths = report.write_run(
        tmp_path,
        some_results(),
        HISTORY,
        IDS,
        TARGETS,
        CLASS_NAMES,
        some_logits(),
    )
    assert names_in(tmp_path) == sorted(path.name for path in paths)
    assert [path.name for path in paths] == [
        "predictions.csv",
        "training.png",
        "per_class.png",
        "confusion.png",
        "results.json",
    ]
    for path in paths[1:4]:
        assert imread(path).ndim == 3


def test_multi_label_run_has_no_confusion_figure(tmp_path):
    paths = report.write_run(
        tmp_path,
        some_results("mAP"),
        [],
        IDS,
        MULTI_HOT,
        CLASS_NAMES,
        some_logits(),
    )
    assert [path.name for path in paths] == [
        "predictions.csv",
        "per_class.png",
        "results.json",
    ]


def test_an_incomplete_run_writes_nothing(tmp_path):
    results, logits = some_results(), some_logits()
    del results["clap"], logits["fine"]
    with pytest.raises(ValueError, match="lacks clap, logits of fine"):
        report.write_run(
            tmp_path, results, [], IDS, TARGETS, CLASS_NAMES, logits
        )
    assert names_in(tmp_path) == []
