"""Tests of afpt_plugin.results.figures."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from afpt_plugin.inference import FrameScores
from afpt_plugin.results import figures

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
CLASS_NAMES = ["dog", "rain, heavy", "bell"]


def names_in(folder):
    """Names of all files, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw and return the image and the figure it was saved from."""
    drawings = []
    save = figures._save
    monkeypatch.setattr(
        figures,
        "_save",
        lambda figure, path: drawings.append(figure) or save(figure, path),
    )

    def draw(plot, *args, **options):
        path = plot(*args, path=tmp_path / "figure.png", **options)
        assert names_in(tmp_path) == ["figure.png"]
        assert path.stat().st_size > 5000
        return imread(path), drawings[-1]

    return draw


def legend_of(axes):
    """Texts of the legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_training_figure_has_both_panels_and_the_marks(drawn):
    image, figure = drawn(
        figures.plot_training,
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
    _, figure = drawn(figures.plot_training, history, metric_name="acc")
    (axes,) = figure.axes
    assert legend_of(axes) == ["train loss"]


def test_an_epoch_without_audio_metrics_keeps_the_others(drawn):
    history = [
        {"epoch": 1, "coarse": None},
        {"epoch": 2, "coarse": 0.5},
        {"epoch": 3, "coarse": 0.6},
    ]
    _, figure = drawn(figures.plot_training, history, metric_name="acc")
    values = figure.axes[0].lines[0].get_ydata()
    assert np.isnan(values[0])
    assert values[1:].tolist() == [50, 60]


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{"coarse": 0.5}]])
def test_a_history_with_nothing_to_draw_is_refused(tmp_path, history):
    with pytest.raises(ValueError, match="no epoch|no value"):
        figures.plot_training(history, tmp_path / "figure.png", "acc")
    assert names_in(tmp_path) == []


def test_per_class_figure_is_sorted_by_change(drawn):
    zero_shot = {"same": 0.5, "loss $x": 0.9, "gain $y": 0.1, "none": None}
    tuned = {"none": None, "same": 0.5, "gain $y": 1.0, "loss $x": 0.2}
    _, figure = drawn(
        figures.plot_per_class, zero_shot, tuned, metric_name="ap"
    )
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
            figures.plot_per_class, values, values, metric_name="acc"
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
        figures.plot_per_class(zero_shot, tuned, tmp_path / "a.png", "acc")


def test_confusion_figure_shows_percentages_of_each_row(drawn):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    _, figure = drawn(
        figures.plot_confusion, matrix=matrix, class_names=CLASS_NAMES
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
        figures.plot_confusion, matrix=np.eye(50), class_names=names
    )
    axes = figure.axes[0]
    assert not axes.texts
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(boxes) == 50
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0


def test_confusion_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 class names"):
        figures.plot_confusion(np.eye(2), CLASS_NAMES, tmp_path / "a.png")


def make_frames(n_frames=20, n_classes=3):
    """Frames of 0.1 s; the second class rings in the middle."""
    logits = torch.zeros(n_frames, n_classes)
    logits[:, 2] = -5.0
    logits[8:12, 1] = 9.0
    start = 0.1 * torch.arange(n_frames)
    return FrameScores(logits, start, start + 0.05)


def test_frames_are_drawn_below_the_spectrogram(drawn):
    image, figure = drawn(
        figures.plot_frame_scores,
        torch.randn(2 * 16000),
        16000,
        make_frames(),
        ["dog", "_bell $x$", "rain"],
        top_k=2,
    )
    above, below, _ = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, 2.0)
    # The highest peak first; a name that matplotlib would hide or typeset
    assert legend_of(below) == ["\u200b_bell $x$", "\u200bdog"]
    bell = below.lines[0]
    assert bell.get_xdata()[8] == pytest.approx(0.8)
    assert bell.get_ydata()[7:13].tolist() == [0, 9, 9, 9, 9, 0]
    assert bell.get_xdata()[-1] == 2.0
    (spectrogram,) = above.images
    assert spectrogram.get_array().max() == 0
    assert spectrogram.get_array().min() >= -80


@pytest.mark.parametrize("sample_rate", [800, 8000, 44100])
def test_frames_of_silence_and_of_any_rate_are_drawn(drawn, sample_rate):
    drawn(
        figures.plot_frame_scores,
        torch.zeros(sample_rate // 10),
        sample_rate,
        make_frames(1),
        CLASS_NAMES,
    )


def test_frame_scores_of_other_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="scores of 3 classes for 2"):
        figures.plot_frame_scores(
            torch.zeros(800), 800, make_frames(), ["a", "b"], tmp_path / "a.png"
        )
