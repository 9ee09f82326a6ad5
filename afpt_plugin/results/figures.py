"""Figures: a run's curve, classes and confusion, runs compared, frame scores.

Each function writes its figure to ``path``, whose suffix is the format.
matplotlib is imported when a figure is drawn, and figures are made without
pyplot, whose state is global.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import contextmanager
from textwrap import fill

import numpy as np

from afpt_plugin.files import replacing

_AXIS_NAMES = {"acc": "accuracy", "ap": "average precision"}
# Okabe and Ito's colors, which color-blind readers can tell apart.
_BLUE, _ORANGE, _GREEN, _RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_GRAY = "#707070"
_HEAD_COLORS = {
    "zero_shot": _GRAY,
    "zero_shot_fine": "#404040",
    "zero_shot_ensemble": "#ABABAB",
    "coarse": _BLUE,
    "fine": _ORANGE,
    "ensemble": "#CC4C67",
    "zero_shot_transductive": "#8C6D46",
    "transductive": _GREEN,
}
_STYLE = {
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 150,
    "text.parse_math": False,  # a class name may hold dollar signs
}


def head_title(head):
    """A head's name as tables and figures show it.

    Example
    -------
    >>> head_title("zero_shot"), head_title("zero_shot_fine")
    ('zero-shot', 'zero-shot, fine')
    """
    return head.replace("zero_shot_", "zero-shot, ").replace("_", "-")


@contextmanager
def _drawing(path, width, height):
    """An empty figure that is saved once the body has drawn on it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.04)
        yield figure
        with replacing(path) as part:
            figure.savefig(part)


def _legend_above(figure, handles, labels):
    """Put the legend above all axes, in one row."""
    options = {"ncols": len(handles), "handletextpad": 0.2}
    figure.legend(handles, labels, loc="outside upper center", **options)


def _legend_below(axes, handles, gap):
    """Put the legend where no curve can run under it."""
    where = {"loc": "upper center", "bbox_to_anchor": (0.5, -gap)}
    axes.legend(handles=handles, ncols=3, **where)


def plot_training(
    history, path, metric_name, zero_shot=None, selected_epoch=None
):
    """Draw loss and metric of the training items, and the test recordings'.

    Arguments
    ---------
    history : list of dict
        One row an epoch: `epoch` and any of `train_loss`, `valid_loss`,
        `valid_<metric_name>`, `coarse`, `fine`, `ensemble` (`metric_name` on
        recordings, 0..1). A value may be absent or None. A panel without any
        value is left out.
    path : str or Path
        File to write.
    metric_name : str
        What is measured, such as "acc" or "mAP".
    zero_shot : float, optional
        `metric_name` of the baseline, drawn as a dashed line.
    selected_epoch : int, optional
        The epoch that was kept.
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    axis_name = f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]"
    valid = f"valid_{metric_name}"
    training = {"train_loss": _BLUE, "valid_loss": _ORANGE, valid: _GREEN}
    colors = {**training, **_HEAD_COLORS}
    rows = pd.DataFrame(history, columns=["epoch", *colors]).set_index("epoch")
    rows = rows.apply(pd.to_numeric).dropna(axis=1, how="all")
    rows = rows.mul([1 if "loss" in key else 100 for key in rows])  # percent
    panels = {
        "training": [key for key in rows if key in training],
        "test recordings": [key for key in rows if key not in training],
    }
    panels = {title: keys for title, keys in panels.items() if keys}

    with _drawing(path, 5.2 * len(panels), 3.9) as figure:
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, keys) in zip(all_axes, panels.items(), strict=True):
            axes.set(title=title, xlabel="epoch")
            axes.set_ylabel("loss" if "loss" in keys[0] else axis_name)
            axes.grid(axis="y")
            ticks = MaxNLocator(integer=True, min_n_ticks=1)
            axes.xaxis.set_major_locator(ticks)
            lines = []
            for key in keys:
                where, style = axes, "o-"
                if key == valid and key != keys[0]:
                    # A loss and a metric have no common scale.
                    where, style = axes.twinx(), "s--"
                    where.spines["right"].set_visible(True)
                    where.set_ylabel(f"valid {axis_name}")
                words = [_AXIS_NAMES.get(w, w) for w in key.split("_")]
                options = {"color": colors[key], "label": " ".join(words)}
                lines += where.plot(rows[key], style, **options)
            if title != "training" and zero_shot is not None:
                options = {"color": _GRAY, "label": "zero-shot", "ls": "--"}
                lines.append(axes.axhline(100 * zero_shot, **options))
            if selected_epoch is not None:
                label = f"selected: epoch {selected_epoch}"
                options = {"color": "#222222", "label": label, "ls": ":"}
                lines.append(axes.axvline(selected_epoch, **options))
            _legend_below(axes, lines, 0.16)


def plot_per_class(zero_shot, adapted, path, metric_name):
    """Draw each class before and after adapting, the largest gain on top.

    Both map a class name to its value in 0..1, or to None if it has no
    recording.
    """
    import pandas as pd
    from matplotlib.lines import Line2D

    values = {"before": zero_shot, "after": adapted}
    rows = pd.DataFrame(values, dtype=float).dropna() * 100  # percent
    rows["change"] = rows["after"] - rows["before"]
    # Smallest change first, since the vertical axis points upwards; of equal
    # changes the better class lies higher.
    rows = rows.sort_values(["change", "after"])
    rows["color"] = np.sign(rows["change"]).map({1: _BLUE, -1: _RED, 0: _GRAY})
    places = np.arange(len(rows))

    with _drawing(path, 7.5, 1.6 + 0.2 * len(rows)) as figure:
        axes = figure.subplots()
        axes.grid()
        lines = {"color": rows["color"], "linewidth": 2, "alpha": 0.6}
        axes.hlines(places, rows["before"], rows["after"], **lines)
        hollow = {"color": "white", "edgecolor": _GRAY, "linewidth": 1.3}
        axes.scatter(rows["before"], places, s=26, zorder=3, **hollow)
        axes.scatter(rows["after"], places, s=30, zorder=4, color=rows["color"])
        axes.set_yticks(places, rows.index, fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(-2, 102), ylim=(-0.8, len(rows) - 0.2))
        axes.set_xlabel(f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]")
        kinds = {_BLUE: "better", _RED: "worse", _GRAY: "unchanged"}
        counts = {c: int((rows["color"] == c).sum()) for c in kinds}
        dots = {"zero-shot": (_GRAY, "white")} | {
            f"adapted, {kinds[color]} ({count})": (color, color)
            for color, count in counts.items()
            if count
        }
        handles = [
            Line2D([], [], marker="o", ls="", ms=5.5, mec=edge, mfc=face)
            for edge, face in dots.values()
        ]
        _legend_above(figure, handles, list(dots))
        if len(rows) < len(zero_shot):
            note = f"classes without a recording: {len(zero_shot) - len(rows)}"
            axes.set_title(note, loc="right", fontsize=8, color="#555555")


def plot_confusion(matrix, class_names, path):
    """Draw counts [C, C] as percentages of the true class, which is a row."""
    from sklearn.metrics import ConfusionMatrixDisplay

    matrix = np.asarray(matrix)  # [C, C]
    n_classes = len(class_names)
    totals = matrix.sum(axis=1, keepdims=True)  # [C, 1]
    shares = 100 * matrix / np.maximum(totals, 1)  # [C, C]
    small = n_classes <= 15
    side = max(3.2, 0.2 * n_classes)

    with _drawing(path, side + 2.6, side + 1.8) as figure:
        axes = figure.subplots()
        display = ConfusionMatrixDisplay(shares, display_labels=class_names)
        display.plot(
            ax=axes,
            cmap="Blues",
            include_values=small,
            values_format=".0f",
            im_kw={"vmin": 0, "vmax": 100},
            text_kw={"fontsize": 7.5},
            xticks_rotation=45 if small else 90,
            colorbar=False,
        )
        # A class without recordings has no percentages: its row stays gray.
        axes.set_facecolor("#E8E8E8")
        display.im_.set_data(np.where(totals > 0, shares, np.nan))
        if small:
            for place in np.argwhere(shares == 0):
                display.text_[tuple(place)].set_visible(False)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.tick_params(which="both", length=0, labelsize=9 if small else 8)
        # Lines between the cells let the eye follow a row to its name.
        between, ends = np.arange(1, n_classes) - 0.5, (-0.5, n_classes - 0.5)
        for draw in (axes.hlines, axes.vlines):  # ticks would take 0.3 s
            draw(between, *ends, color="#E4E4E4", linewidth=0.5)
        axes.spines[:].set_visible(True)
        axes.set(xlabel="predicted", ylabel="true")
        size = {"shrink": 0.5, "aspect": 25, "pad": 0.02}
        bar = figure.colorbar(display.im_, ax=axes, **size)
        bar.set_label("% of the true class")
        bar.outline.set_visible(False)


def plot_reliability(bins, errors, path):
    """Draw `reliability`'s bins; calibration error, and by chance, in 0..1."""
    n = np.array(bins["n"])
    x, y = (np.array(bins[k], float) for k in ("confidence", "accuracy"))
    with _drawing(path, 4.4, 4.2) as figure:
        axes = figure.subplots()
        axes.grid()
        axes.plot([0, 100], [0, 100], "--", color=_GRAY, label="as it says")
        size = 20 + 280 * np.sqrt(n / max(1, n.max()))
        axes.scatter(100 * x, 100 * y, size, color=_BLUE, alpha=0.7)
        axes.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        axes.set(xlabel="probability [%]", ylabel="right [%]")
        error, chance = (f"{100 * value:.1f}" for value in errors)
        title = f"ECE {error}, by chance {chance}; {n.sum()} answers"
        axes.set_title(title, loc="left", fontsize=8.5)
        axes.legend(loc="upper left")


def plot_comparison(table, labels, heads, path):
    """Draw ``heads`` of a `Comparison`'s rows, with the deviation over seeds."""
    places = np.arange(len(table))
    with _drawing(path, 8.5, 1.5 + 0.62 * len(table)) as figure:
        axes = figure.subplots()
        axes.grid(axis="x")
        offsets = np.linspace(-0.28, 0.28, len(heads))
        for offset, head in zip(offsets, heads, strict=True):
            axes.errorbar(
                100 * table[head],
                places + offset,
                xerr=100 * table[f"{head}_std"].fillna(0),
                fmt="o",
                capsize=2.5,
                color=_HEAD_COLORS.get(head, "#222222"),
                label=head_title(head),
            )
        # A line between the rows keeps the heads of one together.
        for place in places[1:]:
            axes.axhline(place - 0.5, color="#DDDDDD", linewidth=0.7)
        axes.set_yticks(places, labels, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_xlabel("acc or mAP [%], bars: standard deviation over seeds")
        _legend_above(figure, *axes.get_legend_handles_labels())


def plot_frame_scores(sig, sample_rate, frames, class_names, path, top_k=5):
    """Draw a recording's spectrogram, above its frame scores if it has any.

    Arguments
    ---------
    sig : torch.Tensor
        The waveform, [samples].
    sample_rate : int
        Its rate, in Hz.
    frames : FrameScores or None
        Of `afpt_plugin.inference`: ``logits`` [T, n_classes] and ``start`` [T]
        in seconds.
    class_names : list of str
        The n_classes names.
    path : str or Path
        File to write.
    top_k : int
        How many classes are drawn: those with the highest peaks.
    """
    from torch.nn.functional import pad
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    n_fft, hop = (2 ** round(np.log2(s * sample_rate)) for s in (0.04, 0.01))
    # More columns than a figure has pixels take memory, and show nothing.
    n_fft, hop = max(n_fft, 16), max(hop, 4, len(sig) // 4000)
    # With more bands, the lowest would be narrower than a bin.
    mel = MelSpectrogram(
        sample_rate, n_fft, hop_length=hop, n_mels=min(64, n_fft // 16)
    )
    seconds = len(sig) / sample_rate
    sig = sig.detach().float().cpu()
    # The first frame reaches n_fft / 2 beyond a recording of a few samples.
    sig = pad(sig, (0, max(0, n_fft - len(sig))))
    level = AmplitudeToDB(top_db=80)(mel(sig))

    ratios = [1] if frames is None else [1, 1.2]
    with _drawing(path, 8, 2.6 if frames is None else 5) as figure:
        rows = {"height_ratios": ratios, "sharex": True, "squeeze": False}
        above, below = figure.subplots(len(ratios), **rows)[[0, -1], 0]
        below.set_xlabel("time [s]")
        image = above.imshow(
            level - level.amax(),
            aspect="auto",
            origin="lower",
            cmap="magma",
            extent=(0, seconds, 0, sample_rate / 2000),
        )
        # The bands are evenly spaced in mel, which has no ticks of its own.
        above.set_yticks([])
        above.set_ylabel(f"mel bands to {sample_rate / 2000:g} kHz")
        bar = figure.colorbar(image, ax=above, pad=0.01, aspect=12)
        bar.set_label("dB")
        bar.outline.set_visible(False)
        if frames is None:
            return
        curves = list(zip(class_names, frames.logits.T, strict=True))
        curves.sort(key=lambda curve: -curve[1].max())
        palette = [*_HEAD_COLORS.values(), _GREEN, _RED][2:]
        styles = ("-", "--", ":", "-.")
        lines = []
        for place, (name, logits) in enumerate(curves[:top_k]):
            lines += below.step(
                [*frames.start, seconds],
                [*logits, logits[-1]],
                where="post",
                color=palette[place % len(palette)],
                linestyle=styles[place // len(palette) % len(styles)],
                # matplotlib would hide a label that begins with _
                label=f"\u200b{fill(name, 36)}",
            )
        below.grid(axis="y")
        below.set(xlim=(0, seconds), ylabel="fine logit of a frame")
        _legend_below(below, lines, 0.22)
