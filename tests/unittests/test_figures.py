"""Tests of afpt_plugin.results.figures."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from afpt_plugin.inference import FrameScores
from afpt_plugin.results import figures, shots_figure

CLASS_NAMES = ["dog", "rain, heavy", "bell"]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw and return the image and the figure it was saved from."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda figure, path: saved.append(figure) or save(figure, path),
    )

    def draw(plot, *args, **options):
        plot(*args, path=tmp_path / "figure.png", **options)
        assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
        return imread(tmp_path / "figure.png"), saved[-1]

    return draw


def legend_of(axes):
    """Texts of the legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("metric, name", [("acc", "accuracy"), ("mAP", "mAP")])
def test_training_figure_has_the_metric_both_panels_and_the_marks(
    drawn, metric, name
):
    history = [
        {
            **{"epoch": epoch, "train_loss": 2 / epoch, "valid_loss": 3.0},
            **{f"train_{metric}": 0.9, f"valid_{metric}": 0.1 * epoch},
            **{"coarse": 0.5, "fine": 0.4, "ensemble": 0.6},
        }
        for epoch in (1, 2, 3)
    ]
    options = {"zero_shot": 0.3, "selected_epoch": 2}
    _, figure = drawn(
        figures.plot_training, history, metric_name=metric, **options
    )
    training, test, valid = figure.axes
    names = ["train loss", "valid loss", f"valid {name}", "selected: epoch 2"]
    assert legend_of(training) == names
    assert valid.lines[0].get_ydata() == pytest.approx([10, 20, 30])
    assert test.get_ylabel() == f"{name} [%]"
    lines = {line.get_label(): line for line in test.lines}
    assert lines["ensemble"].get_ydata() == pytest.approx([60] * 3)
    assert lines["zero-shot"].get_ydata() == [30, 30]
    assert lines["selected: epoch 2"].get_xdata() == [2, 2]


def test_training_figure_draws_only_what_the_history_has(drawn):
    history = [{"epoch": 1, "coarse": None, "note": "text"}]
    history += [{"epoch": 2, "coarse": 0.5}, {"epoch": 3, "coarse": 0.6}]
    _, figure = drawn(figures.plot_training, history, metric_name="acc")
    (axes,) = figure.axes
    assert legend_of(axes) == ["coarse"]
    values = axes.lines[0].get_ydata()
    assert np.isnan(values[0]) and values[1:].tolist() == [50, 60]


def test_per_class_figure_is_sorted_by_change_and_grows(drawn):
    zero_shot = {"same": 0.5, "loss $x$": 0.9, "gain": 0.1, "none": None}
    adapted = {"none": None, "same": 0.5, "gain": 1.0, "loss $x$": 0.2}
    image, figure = drawn(
        figures.plot_per_class, zero_shot, adapted, metric_name="ap"
    )
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["loss $x$", "same", "gain"]
    assert not axes.get_yticklabels()[0].get_parse_math()
    before, after = (dots.get_offsets() for dots in axes.collections[1:])
    assert before[:, 0].tolist() == pytest.approx([90, 50, 10])
    assert after[:, 0].tolist() == pytest.approx([20, 50, 100])
    assert axes.get_title("right").endswith("without a recording: 1")
    values = {f"class {i}": i / 80 for i in range(80)}
    larger, _ = drawn(figures.plot_per_class, values, values, metric_name="acc")
    assert (len(larger) - len(image)) / 77 > 25  # pixels a class


def test_confusion_figure_shows_percentages_of_each_row(drawn):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    _, figure = drawn(
        figures.plot_confusion, matrix=matrix, class_names=CLASS_NAMES
    )
    axes = figure.axes[0]
    shares = axes.images[0].get_array()
    assert shares[0].tolist() == [75, 25, 0]
    assert np.isnan(np.ma.filled(shares[1], np.nan)).all()
    shown = [text.get_text() for text in axes.texts if text.get_visible()]
    assert shown == ["75", "25", "50", "50"]
    with pytest.raises(ValueError):
        drawn(figures.plot_confusion, matrix=np.eye(2), class_names=CLASS_NAMES)


def test_confusion_labels_of_fifty_classes_do_not_overlap(drawn):
    names = [f"class number {i}" for i in range(50)]
    _, figure = drawn(
        figures.plot_confusion, matrix=np.eye(50), class_names=names
    )
    axes = figure.axes[0]
    assert not axes.texts
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0


def test_comparison_figure_has_each_head_of_each_row_and_its_deviation(drawn):
    table = pd.DataFrame(
        {
            **{"zero_shot": [0.5, 0.5], "zero_shot_std": [np.nan, 0.0]},
            **{"coarse": [np.nan, 0.8], "coarse_std": [np.nan, 0.1]},
        }
    )
    _, figure = drawn(
        figures.plot_comparison, table, ["$a$", "b"], ["zero_shot", "coarse"]
    )
    (axes,) = figure.axes
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert list(bars) == ["zero-shot", "coarse"]
    assert bars["coarse"][0].get_xdata()[1] == pytest.approx(80)
    (segments,) = bars["coarse"][2]
    assert segments.get_segments()[-1][:, 0] == pytest.approx([70, 90])
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["$a$", "b"]


def shots_table(rows):
    """A table of rows: data set, k, mark, zero-shot, score and deviation."""
    names = ["dataset", "k", "mark", "zero_shot", "coarse", "coarse_std"]
    table = pd.DataFrame(rows, columns=names, index=range(1, 1 + len(rows)))
    return table.assign(
        **{"metric": "acc", "clap": "mini", "primary": "coarse"},
        supervision="captions",
    )


def test_shots_figure_has_a_panel_a_data_set_and_a_line_a_method(drawn):
    table = shots_table(
        [
            ("Bells", "-", "[1]", 0.1, 0.2, np.nan),
            ("Bells", "-", "", 0.5, 0.5, 0.0),
            ("Bells", "-", "", 0.5, 0.55, 0.0),
            ("Bells", "16", "", 0.5, 0.8, 0.02),
            ("Bells", "1", "", 0.5, 0.6, 0.1),
            ("Bells", "16", "", 0.5, 0.9, np.nan),
            ("Horns", "4", "[2]", 0.25, 0.7, 0.0),
            ("Drums", "-", "", 0.25, 0.7, 0.0),
            ("Bells", "-", "", 0.5, 0.5, 0.0),
        ]
    )
    table.loc[2, "supervision"] = "nothing"
    titles = "old [1],zero_shot,captions,$coop$,$coop$,probe,$coop$,any,equal"
    _, figure = drawn(shots_figure.plot_shots, table, titles.split(","))
    bells, horns = figure.axes
    assert bells.get_title() == "Bells, mini"
    assert bells.get_xscale() == "log"
    assert bells.get_xticks().tolist() == [1, 16]
    ticks = [label.get_text() for label in bells.get_xticklabels()]
    assert ticks == ["1", "16"]
    lines = {bar.get_label(): bar for bar in bells.containers}
    assert list(lines) == ["$coop$", "probe"]
    coop, _, (bars,) = lines["$coop$"]
    # From left to right, and beside the other line by less than half a step
    assert coop.get_ydata() == pytest.approx([60, 80])
    assert coop.get_xdata() == pytest.approx([1, 16], rel=0.1)
    assert coop.get_xdata()[1] < lines["probe"][0].get_xdata()[0]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends[0] == pytest.approx([50, 70])
    assert ends[1] == pytest.approx([78, 82])
    # What is not comparable is no reference, and zero-shot is drawn once
    levels = {
        line.get_label(): line.get_ydata()
        for line in bells.lines
        if len(set(line.get_xdata())) == 2 and line.get_xdata()[0] == 0
    }
    assert {k: v[0] for k, v in levels.items()} == pytest.approx(
        {"zero-shot": 50, "old [1]": 20, "captions": 55, "equal": 50}
    )
    shown = {text.get_text(): text for text in bells.texts}
    assert set(shown) == {*levels, "$coop$", "probe"}
    assert not shown["$coop$"].get_parse_math()
    # A method has one color in all panels, and its name has it as well
    color = coop.get_color()
    assert shown["$coop$"].get_color() == color
    assert horns.containers[0][0].get_color() == color
    assert lines["probe"][0].get_color() != color


def test_names_at_the_lines_of_a_shots_figure_do_not_overlap(drawn):
    rows = [("Bells", "4", "", 0.5, 0.5 + i / 1000, 0.01) for i in range(8)]
    titles = [f"method {i}" for i in range(8)]
    _, figure = drawn(shots_figure.plot_shots, shots_table(rows), titles)
    (axes,) = figure.axes
    # Without the lines that lead to them
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    boxes.sort(key=lambda box: box.y0)
    for lower, upper in zip(boxes, boxes[1:], strict=False):
        assert lower.y1 <= upper.y0 + 1
    looks = {(c[0].get_color(), c[0].get_marker()) for c in axes.containers}
    assert len(looks) == 8


def make_frames(n_frames=20):
    """Frames of 0.1 s; the second class rings in the middle."""
    logits = torch.zeros(n_frames, 3)
    logits[:, 2] = -5.0
    logits[8:12, 1] = 9.0
    start = 0.1 * torch.arange(n_frames)
    extent = torch.stack([start, start + 0.1], 1)
    return FrameScores(logits, start, start + 0.05, extent)


def test_frames_are_drawn_below_the_spectrogram(drawn):
    names = ["dog " * 12 + "dog", "_bell $x$", "rain"]
    arguments = torch.randn(2 * 16000), 16000, make_frames(), names
    _, figure = drawn(figures.plot_frame_scores, *arguments, top_k=2)
    above, below, _ = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, 2.0)
    # The highest peak first; a name that matplotlib would hide or typeset,
    # and one as wide as the figure
    assert legend_of(below) == [
        "\u200b_bell $x$",
        f"\u200b{'dog ' * 8}dog\ndog dog dog dog",
    ]
    bell = below.lines[0]
    assert bell.get_xdata()[8] == pytest.approx(0.8)
    assert bell.get_ydata()[7:13].tolist() == [0, 9, 9, 9, 9, 0]
    assert bell.get_xdata()[-1] == 2.0
    level = above.images[0].get_array()
    assert level.max() == 0 and level.min() >= -80
    with pytest.raises(ValueError):
        drawn(figures.plot_frame_scores, *arguments[:3], names[:2])


@pytest.mark.parametrize("sample_rate", [800, 8000, 44100])
def test_frames_of_silence_and_of_any_rate_are_drawn(drawn, sample_rate):
    for n_samples in (sample_rate // 10, 1):
        arguments = torch.zeros(n_samples), sample_rate, make_frames(1)
        drawn(figures.plot_frame_scores, *arguments, CLASS_NAMES)


def test_without_frame_scores_the_spectrogram_is_drawn_alone(drawn):
    sig = torch.randn(2 * 16000)
    _, figure = drawn(figures.plot_frame_scores, sig, 16000, None, CLASS_NAMES)
    above, _ = figure.axes
    assert above.get_xlim() == (0, 2.0) and above.get_xlabel() == "time [s]"
    assert above.images and not above.lines


def test_a_figure_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "confusion.png"
    path.write_bytes(b"old")

    def half_written(figure, part):
        part.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        figures.plot_confusion(np.eye(3), CLASS_NAMES, path)
    assert [file.name for file in tmp_path.iterdir()] == ["confusion.png"]
    assert path.read_bytes() == b"old"
