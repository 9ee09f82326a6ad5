"""Tests of `afpt_plugin.report`: what a run leaves behind.

Authors
 * The afpt_plugin developers 2026
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from afpt_plugin import report
from afpt_plugin.errors import InputError
from afpt_plugin.report import HEADS, REQUIRED_KEYS

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


@pytest.mark.parametrize("head", HEADS)
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
        report.plot_confusion(np.eye(3), CLASS_NAMES, path)
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


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw and return the image and the figure it was saved from."""
    figures = []
    save = report._save
    monkeypatch.setattr(
        report,
        "_save",
        lambda figure, path: figures.append(figure) or save(figure, path),
    )

    def draw(plot, *args, **options):
        path = plot(*args, path=tmp_path / "figure.png", **options)
        assert names_in(tmp_path) == ["figure.png"]
        assert path.stat().st_size > 5000
        return imread(path), figures[-1]

    return draw


def legend_of(axes):
    """Texts of the legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_training_figure_has_both_panels_and_the_marks(drawn):
    image, figure = drawn(
        report.plot_training,
        HISTORY,
        metric_name="mAP",
        zero_shot=0.3,
        selected_epoch=2,
    )
    assert image.shape[1] > image.shape[0]
    captions, audio, accuracy = figure.axes
    assert legend_of(captions) == [
        "train loss",
        "valid loss",
        "valid accuracy",
        "selected: epoch 2",
    ]
    assert legend_of(audio)[3:] == ["zero-shot", "selected: epoch 2"]
    assert audio.get_ylabel() == "mAP [%]"
    lines = {line.get_label(): line for line in audio.lines}
    assert lines["ensemble"].get_ydata().tolist() == [60.0] * 3
    assert lines["zero-shot"].get_ydata() == [30.0, 30.0]
    assert lines["selected: epoch 2"].get_xdata() == [2, 2]
    assert accuracy.lines[0].get_ydata() == pytest.approx([10, 20, 30])


def test_training_figure_draws_only_what_the_history_has(drawn):
    history = [
        {"epoch": 1, "train_loss": 2.0, "valid_loss": None, "note": "text"},
        {"epoch": 2, "train_loss": 1.0},
    ]
    _, figure = drawn(report.plot_training, history, metric_name="acc")
    (axes,) = figure.axes
    assert legend_of(axes) == ["train loss"]


def test_an_epoch_without_audio_metrics_keeps_the_others(drawn):
    history = [
        {"epoch": 1, "coarse": None},
        {"epoch": 2, "coarse": 0.5},
        {"epoch": 3, "coarse": 0.6},
    ]
    _, figure = drawn(report.plot_training, history, metric_name="acc")
    values = figure.axes[0].lines[0].get_ydata()
    assert np.isnan(values[0])
    assert values[1:].tolist() == [50, 60]


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{"coarse": 0.5}]])
def test_a_history_with_nothing_to_draw_is_refused(tmp_path, history):
    with pytest.raises(ValueError, match="no epoch|no value"):
        report.plot_training(history, tmp_path / "figure.png", "acc")
    assert names_in(tmp_path) == []


def test_per_class_figure_is_sorted_by_change(drawn):
    zero_shot = {"same": 0.5, "loss $x": 0.9, "gain $y": 0.1, "none": None}
    tuned = {"none": None, "same": 0.5, "gain $y": 1.0, "loss $x": 0.2}
    _, figure = drawn(report.plot_per_class, zero_shot, tuned, metric_name="ap")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["loss $x", "same", "gain $y"]
    before, after = (dots.get_offsets() for dots in axes.collections[1:])
    assert before[:, 0].tolist() == pytest.approx([90, 50, 10])
    assert after[:, 0].tolist() == pytest.approx([20, 50, 100])
    assert [text.get_text() for text in axes.texts] == [
        "not shown, no recording: 1"
    ]


def test_per_class_figure_grows_with_the_classes(drawn):
    heights = []
    for n_classes in (5, 80):
        values = {f"class {i}": i / n_classes for i in range(n_classes)}
        image, _ = drawn(
            report.plot_per_class, values, values, metric_name="acc"
        )
        heights.append(image.shape[0])
    assert (heights[1] - heights[0]) / 75 > 25  # pixels a class


@pytest.mark.parametrize(
    ("zero_shot", "tuned"),
    [({"a": 0.5}, {"b": 0.5}), ({"a": None}, {"a": None}), ({}, {})],
)
def test_per_class_values_that_do_not_fit_are_refused(
    tmp_path, zero_shot, tuned
):
    with pytest.raises(ValueError, match="class"):
        report.plot_per_class(zero_shot, tuned, tmp_path / "a.png", "acc")


def test_confusion_figure_shows_percentages_of_each_row(drawn):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    _, figure = drawn(
        report.plot_confusion, matrix=matrix, class_names=CLASS_NAMES
    )
    shares = figure.axes[0].images[0].get_array()
    assert shares[0].tolist() == [75, 25, 0]
    assert shares.mask[1].all() or np.isnan(shares.data[1]).all()
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "75",
        "25",
        "50",
        "50",
    ]


def test_confusion_labels_of_fifty_classes_do_not_overlap(drawn):
    names = [f"class number {i}" for i in range(50)]
    _, figure = drawn(
        report.plot_confusion, matrix=np.eye(50), class_names=names
    )
    axes = figure.axes[0]
    assert not axes.texts
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(boxes) == 50
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0


def test_confusion_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 class names"):
        report.plot_confusion(np.eye(2), CLASS_NAMES, tmp_path / "a.png")


def test_table_shows_percent_and_points():
    metrics = {
        "zero_shot": {"mAP": 0.5},
        "coarse": {"mAP": 0.625},
        "fine": None,
        "ensemble": {"mAP": 0.4875},
    }
    lines = report.format_table(metrics, "mAP").splitlines()
    assert [line.split()[-2:] for line in lines] == [
        ["vs", "zero-shot"],
        ["template)", "50.00"],
        ["62.50", "+12.50"],
        ["fine", "-"],
        ["48.75", "-1.25"],
    ]


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
