"""Tests of afpt_plugin.results.figures."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from common import cases
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from scipy.stats import binomtest

from afpt_plugin.inference import FrameScores
from afpt_plugin.results import drawing, figures, frames_figure, shots_figure

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


def assert_apart(texts, axis="y", overlap=0):
    """One ends before the next one starts."""
    # Not the boxes of annotations, which hold their arrows as well
    boxes = [Text.get_window_extent(text) for text in texts]
    ends = sorted(
        (getattr(b, f"{axis}0"), getattr(b, f"{axis}1")) for b in boxes
    )
    assert all(a[1] <= b[0] + overlap for a, b in pairwise(ends))
    return boxes


def texts_of(axes):
    """What is written on the axes."""
    return [text.get_text() for text in axes.texts]


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
    loss, scores = figure.axes
    assert texts_of(loss) == ["epoch 2 is kept", "training", "validation"]
    assert loss.get_ylabel() == "loss"
    assert scores.get_ylabel() == f"{name} [%]"
    lines = {line.get_label(): line for line in scores.lines}
    assert lines["validation"].get_ydata() == pytest.approx([10, 20, 30])
    assert lines["test, ensemble"].get_ydata() == pytest.approx([60] * 3)
    assert lines["test, zero-shot"].get_ydata() == [30, 30]
    # Each line is named, and the one of the epoch has its note
    named = {label for label in lines if not label.startswith("_")}
    assert set(texts_of(scores)) == {"epoch 2 is kept", *named}


def test_training_figure_does_not_dramatize_two_captions(drawn):
    history = [
        {"epoch": 1 + i, "valid_acc": right / 400}
        for i, right in enumerate([329, 331, 330])
    ]
    _, figure = drawn(figures.plot_training, history, metric_name="acc")
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert high - low == pytest.approx(20) and low < 82.25 < 82.75 < high


@cases("values", [0.0], [100.0], [40, 90], [0, 100], [99.5, 100], [1, 20])
def test_limits_of_percentages_hold_them_and_span_enough(values):
    low, high = drawing.percent_limits(values)
    assert -1 <= low <= min(values) and max(values) <= high <= 101
    assert high - low >= 20


def test_training_figure_draws_only_what_the_history_has(drawn):
    history = [{"epoch": 1, "coarse": None, "note": "text"}]
    history += [{"epoch": 2, "coarse": 0.5}, {"epoch": 3, "coarse": 0.6}]
    _, figure = drawn(figures.plot_training, history, metric_name="acc")
    (axes,) = figure.axes
    assert texts_of(axes) == ["test, coarse"]
    values = axes.lines[0].get_ydata()
    assert np.isnan(values[0]) and values[1:].tolist() == [50, 60]


def test_per_class_figure_is_sorted_by_change_and_grows(drawn):
    zero_shot = {"same": 0.5, "loss $x$": 0.9, "gain": 0.1, "none": None}
    adapted = {"none": None, "same": 0.5, "gain": 1.0, "loss $x$": 0.2}
    n = {"none": 0, "gain": 4, "same": 10, "loss $x$": 10}
    image, figure = drawn(
        figures.plot_per_class, zero_shot, adapted, n, metric_name="ap"
    )
    (axes,) = figure.axes
    assert texts_of(axes) == ["loss $x$ (10)", "same (10)", "gain (4)"]
    assert not axes.texts[0].get_parse_math()
    before, after = (dots.get_offsets() for dots in axes.collections[1:])
    assert before[:, 0].tolist() == pytest.approx([90, 50, 10])
    assert after[:, 0].tolist() == pytest.approx([20, 50, 100])
    assert axes.get_title("right").endswith("without one: 1")
    values = {f"class {i}": i / 80 for i in range(80)}
    n = dict.fromkeys(values, 5)
    larger, _ = drawn(
        figures.plot_per_class, values, values, n, metric_name="acc"
    )
    assert (len(larger) - len(image)) / 77 > 20  # pixels a class


def test_accuracies_of_classes_have_wilson_intervals(drawn):
    adapted, n = {"a": 0.75, "b": 0.0}, {"a": 4, "b": 3}
    _, figure = drawn(
        figures.plot_per_class, adapted, adapted, n, metric_name="acc"
    )
    band = figure.axes[0].collections[0].get_segments()
    found = {int(segment[0, 1]): segment[:, 0] for segment in band}
    for place, name in enumerate(["b", "a"]):
        right = round(adapted[name] * n[name])
        expected = binomtest(right, n[name]).proportion_ci(method="wilson")
        assert found[place] == pytest.approx(
            [100 * expected.low, 100 * expected.high], abs=1e-3
        )
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "95 % interval"


def test_fifty_class_names_do_not_overlap(drawn):
    values = {f"class number {i}": i / 50 for i in range(50)}
    n = dict.fromkeys(values, 4)
    _, figure = drawn(
        figures.plot_per_class, values, values, n, metric_name="acc"
    )
    boxes = assert_apart(figure.axes[0].texts)
    assert len(boxes) == 50
    assert min(box.x0 for box in boxes) >= 0


def test_confusion_figure_shows_percentages_of_each_row(drawn):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    _, figure = drawn(
        figures.plot_confusion, matrix=matrix, class_names=CLASS_NAMES
    )
    axes = figure.axes[0]
    shares = axes.images[0].get_array()
    assert shares[0].tolist() == [75, 25, 0]
    assert np.isnan(np.ma.filled(shares[1], np.nan)).all()
    numbers = ["75", "25", "50", "50"]
    assert texts_of(axes) == [*numbers, *CLASS_NAMES, *CLASS_NAMES]
    with pytest.raises(ValueError):
        drawn(figures.plot_confusion, matrix=np.eye(2), class_names=CLASS_NAMES)


def test_confusion_labels_of_fifty_classes_do_not_overlap(drawn):
    names = [f"class number {i}" for i in range(50)]
    _, figure = drawn(
        figures.plot_confusion, matrix=np.eye(50), class_names=names
    )
    assert_apart(figure.axes[0].texts[:50])
    assert_apart(figure.axes[0].texts[50:], "x")


def test_reliability_figure_shows_counts_and_intervals(drawn):
    bins = {"n": [0, 4, 20000], "confidence": [None, 0.5, 0.9]}
    bins["accuracy"] = [None, 0.25, 1.0]
    _, figure = drawn(figures.plot_reliability, bins, (0.1, 0.02))
    axes, below = figure.axes
    assert texts_of(below) == ["", "4", "20k"]
    assert "(ECE): 10.0 points, by chance 2.0" in axes.get_title("left")
    bars, dots = axes.collections
    assert dots.get_offsets().tolist() == [[50, 25], [90, 100]]
    expected = binomtest(1, 4).proportion_ci(method="wilson")
    low, high = bars.get_segments()[0][:, 1] / 100
    assert [low, high] == pytest.approx([*expected], abs=1e-5)


def test_comparison_figure_has_each_head_of_each_row_and_its_deviation(drawn):
    table = pd.DataFrame(
        {
            **{"zero_shot": [0.5, 0.5], "zero_shot_std": [np.nan, 0.0]},
            **{"coarse": [np.nan, 0.8], "coarse_std": [np.nan, 0.1]},
            **{"metric": "acc", "n_runs": 2, "vs_zero_shot": [-0.1, 0.3]},
            "vs_zero_shot_low": [np.nan, 0.05],
            "vs_zero_shot_high": [np.nan, 0.5],
        }
    )
    _, figure = drawn(
        figures.plot_comparison, table, ["$a$", "b"], ["zero_shot", "coarse"]
    )
    axes, right = figure.axes
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert list(bars) == ["zero-shot", "coarse"]
    assert bars["coarse"][0].get_xdata()[1] == pytest.approx(80)
    (segments,) = bars["coarse"][2]
    assert segments.get_segments()[-1][:, 0] == pytest.approx([70, 90])
    assert texts_of(axes) == ["$a$", "b"]
    # Where there is an interval, it is drawn; without zero, its dot is filled
    interval, dots = right.collections[:2]
    assert interval.get_segments()[-1].tolist() == [[5, 1], [50, 1]]
    assert dots.get_offsets()[:, 0].tolist() == pytest.approx([-10, 30])
    faces = [tuple(face[:3]) for face in dots.get_facecolor()]
    assert faces == [(1, 1, 1), to_rgb(drawing.DARK)]


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
    # A method has one color in all panels; names are dark, so as to be read
    color = coop.get_color()
    assert shown["$coop$"].get_color() == drawing.DARK
    assert horns.containers[0][0].get_color() == color
    assert lines["probe"][0].get_color() != color


def test_names_at_the_lines_of_a_shots_figure_do_not_overlap(drawn):
    rows = [("Bells", "4", "", 0.5, 0.5 + i / 1000, 0.01) for i in range(8)]
    titles = [f"method {i}" for i in range(8)]
    _, figure = drawn(shots_figure.plot_shots, shots_table(rows), titles)
    (axes,) = figure.axes
    assert_apart(axes.texts, overlap=1)
    looks = {(c[0].get_color(), c[0].get_marker()) for c in axes.containers}
    assert len(looks) == 8


def make_frames(n_frames=20):
    """Frames of 0.1 s; the second class rings in the middle, the third less."""
    p = torch.full((n_frames, 3), 0.1)
    p[8:12, 1] = 0.9
    p[8:12, 2] = 0.3
    start = 0.1 * torch.arange(n_frames)
    extent = torch.stack([start, start + 0.1], 1)
    return FrameScores(p, start, start + 0.05, extent)


def test_frames_are_drawn_below_the_spectrogram(drawn):
    names = ["rain", "_bell $x$", "dog " * 12 + "dog"]
    arguments = torch.randn(2 * 16000), 16000, make_frames(), names
    _, figure = drawn(frames_figure.plot_frame_scores, *arguments)
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, 2.0)
    assert above.get_position().x0 == below.get_position().x0
    assert above.get_position().x1 == below.get_position().x1
    # The highest peak first; rain never comes to a quarter of it. A name that
    # matplotlib would hide or typeset, and one as wide as the figure
    bell, dog, note = below.texts
    assert bell.get_text() == "_bell $x$" and not bell.get_parse_math()
    assert dog.get_text() == f"{'dog ' * 8}dog\ndog dog dog dog"
    assert note.get_text() == "2 of 3 classes"
    line = below.lines[0]
    middle = line.get_xdata().reshape(-1, 2).mean(axis=1)
    heights = line.get_ydata().reshape(-1, 2)
    rings = heights[(middle > 0.8) & (middle < 1.2)]
    assert rings.tolist() == [pytest.approx([90, 90])] * 4
    assert line.get_xdata()[[0, -1]] == pytest.approx([0, 2])
    # A name stands on its line, in a dark shade of the line's color
    box = below.transData.inverted().transform_bbox(bell.get_window_extent())
    assert 0.8 < (box.x0 + box.x1) / 2 < 1.2 and 90 <= box.y0 < 95
    shade = 0.65 * np.array(to_rgb(line.get_color()))
    assert bell.get_color() == pytest.approx(shade)
    level = above.images[0].get_array()
    assert level.max() == 0 and level.min() >= -80
    with pytest.raises(ValueError):
        drawn(frames_figure.plot_frame_scores, *arguments[:3], names[:2])


def test_lines_of_frames_stop_where_nothing_is_heard(drawn):
    whole = make_frames()
    frames = FrameScores(*(torch.cat([x[:5], x[15:]]) for x in whole))
    arguments = torch.randn(2 * 16000), 16000, frames, CLASS_NAMES
    _, figure = drawn(frames_figure.plot_frame_scores, *arguments)
    time, p = (np.array(x) for x in figure.axes[1].lines[0].get_data())
    assert np.isnan(p).tolist() == [False] * 10 + [True] + [False] * 10
    assert time[9] == pytest.approx(0.5) and time[11] == pytest.approx(1.5)


def test_names_of_fifty_classes_at_one_peak_do_not_overlap(drawn):
    p = torch.rand(12, 50, generator=torch.Generator().manual_seed(0))
    start = torch.arange(12.0)
    extent = torch.stack([start, start + 1], 1)
    frames = FrameScores(p.softmax(1), start, start + 0.5, extent)
    names = [f"class number {i}" for i in range(50)]
    arguments = torch.randn(12 * 800), 800, frames, names
    _, figure = drawn(frames_figure.plot_frame_scores, *arguments)
    below = figure.axes[1]
    assert len(below.lines) == 5
    boxes = [text.get_window_extent() for text in below.texts[:-1]]
    assert len(boxes) == 5
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])


@cases("seconds, end, unit", (2, 2.0, "s"), (180, 3, "min"))
def test_without_frame_scores_the_spectrogram_is_drawn_alone(
    drawn, seconds, end, unit
):
    """A recording of minutes has its axis in minutes."""
    arguments = torch.randn(seconds * 800), 800, None, CLASS_NAMES
    _, figure = drawn(frames_figure.plot_frame_scores, *arguments)
    (axes,) = figure.axes
    assert axes.get_xlim() == (0, end)
    assert axes.get_xlabel() == f"time [{unit}]"
    assert axes.images and not axes.lines


@pytest.mark.parametrize("sample_rate", [800, 8000, 44100])
def test_frames_of_silence_and_of_any_rate_are_drawn(drawn, sample_rate):
    for n_samples in (sample_rate // 10, 1):
        arguments = torch.zeros(n_samples), sample_rate, make_frames(1)
        drawn(frames_figure.plot_frame_scores, *arguments, CLASS_NAMES)


def test_many_methods_stay_beside_their_number_of_recordings(drawn):
    table = shots_table(
        [("Bells", k, "", 0.5, 0.6, 0.1) for k in "123" for _ in range(12)]
    )
    titles = [f"method {n}" for _ in "123" for n in range(12)]
    _, figure = drawn(shots_figure.plot_shots, table, titles)
    (axes,) = figure.axes
    places = [[*map(float, bar[0].get_xdata())] for bar in axes.containers]
    places = np.sort(places, axis=0)  # [methods, k]
    assert (places[-1, :2] < places[0, 1:]).all()
    assert np.round(places).tolist() == [[1, 2, 3]] * 12


def test_long_names_leave_room_for_the_figure(drawn):
    long = "somebody walking on dry leaves in a forest at night"
    values = {long: 0.5, "rain": 1.0}
    _, figure = drawn(
        *(figures.plot_per_class, values, values, {long: 4, "rain": 4}),
        metric_name="acc",
    )
    (axes,) = figure.axes
    assert any("…" in text for text in texts_of(axes))
    assert axes.get_position().width > 0.6
