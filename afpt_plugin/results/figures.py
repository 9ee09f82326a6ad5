"""Figures: a run's curve, classes and confusion, runs compared, frame scores.

matplotlib is imported when a figure is drawn, and never through pyplot, whose
state is global.

Authors
 * The afpt_plugin developers 2026
"""

from pathlib import Path

import numpy as np

from afpt_plugin.files import replacing

_AXIS_NAMES = {"acc": "accuracy", "ap": "average precision"}
# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLORS = {
    "zero_shot": "#707070",
    "zero_shot_ensemble": "#ABABAB",
    "coarse": "#0072B2",
    "fine": "#E69F00",
    "ensemble": "#CC4C67",
    "train_loss": "#0072B2",
    "valid_loss": "#E69F00",
    "valid_acc": "#009E73",
    "better": "#0072B2",
    "worse": "#D55E00",
}


def _figure(width, height):
    """An empty figure outside of pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.04)
    return figure


def _save(figure, path):
    with replacing(path) as part:
        figure.savefig(part, dpi=150)
    return Path(path)


def _tidy(axes, grid):
    """Leave of the frame only what is read."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)


def _legend_above(figure, handles, labels):
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
    )


def plot_training(
    history, path, metric_name, zero_shot=None, selected_epoch=None
):
    """Draw what the captions showed during training, and what audio did.

    Arguments
    ---------
    history : list of dict
        One row an epoch: `epoch` and any of `train_loss`, `valid_loss`,
        `valid_acc` (on captions), `coarse`, `fine`, `ensemble` (`metric_name`
        on recordings, 0..1). A value may be absent or None. A panel without
        any value is left out.
    path : str or Path
        File to write; its suffix is the format.
    metric_name : str
        What is measured on recordings, such as "acc" or "mAP".
    zero_shot : float or None
        `metric_name` without learning, drawn as a dashed line.
    selected_epoch : int or None
        The epoch whose prompts were kept.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the history has nothing to draw.

    Example
    -------
    >>> path = plot_training(
    ...     [{"epoch": 1, "train_loss": 2.0, "coarse": 0.8}],
    ...     getfixture("tmpdir").join("training.png"), "acc", zero_shot=0.7,
    ... )
    >>> path.exists()
    True
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    losses, heads = ("train_loss", "valid_loss"), ("coarse", "fine", "ensemble")
    rows = pd.DataFrame(
        history, columns=["epoch", *losses, "valid_acc", *heads]
    ).apply(pd.to_numeric)
    if rows["epoch"].isna().any():
        raise ValueError("a row of the history has no epoch")
    rows = rows.set_index("epoch").dropna(axis=1, how="all")
    loss = [key for key in losses if key in rows]
    captions = loss + (["valid_acc"] if "valid_acc" in rows else [])
    audio = [key for key in heads if key in rows]
    panels = [panel for panel in (captions, audio) if panel]
    if not panels:
        raise ValueError("the history has no value to draw")

    figure = _figure(5.2 * len(panels), 3.9)
    for axes, panel in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        _tidy(axes, "y")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        handles = []
        for key in panel:
            where, values, style = axes, rows[key], "o-"
            if key == "valid_acc" and loss:
                # Loss and accuracy have no common scale.
                where, style = axes.twinx(), "s--"
                where.spines["top"].set_visible(False)
            if key not in loss:
                values = 100 * values
                where.set_ylabel(
                    "caption accuracy [%]"
                    if key == "valid_acc"
                    else f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]"
                )
            handles += where.plot(
                values.index,
                values,
                style,
                color=_COLORS[key],
                label=key.replace("_", " ").replace("acc", "accuracy"),
                linewidth=1.8,
                markersize=4,
            )
        if panel is audio:
            axes.set_title("recordings (test set)")
            if zero_shot is not None:
                handles.append(
                    axes.axhline(
                        100 * zero_shot,
                        color=_COLORS["zero_shot"],
                        linestyle="--",
                        label="zero-shot",
                    )
                )
        else:
            axes.set_title("captions")
            axes.set_ylabel("loss" if loss else "caption accuracy [%]")
        if selected_epoch is not None:
            handles.append(
                axes.axvline(
                    selected_epoch,
                    color="#222222",
                    linestyle=":",
                    label=f"selected: epoch {selected_epoch}",
                )
            )
        # Below the panel no curve can run under it.
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=3,
            frameon=False,
            fontsize=8.5,
        )
    return _save(figure, path)


def plot_per_class(zero_shot, tuned, path, metric_name):
    """Draw each class before and after tuning, the largest gain on top.

    Arguments
    ---------
    zero_shot : dict
        Class name to its value in 0..1, or None if it has no recording.
    tuned : dict
        The same classes after learning.
    path : str or Path
        File to write; its suffix is the format.
    metric_name : str
        What is measured, such as "acc" or "ap".

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the two do not hold the same classes or none has a value.

    Example
    -------
    >>> path = plot_per_class(
    ...     {"dog": 0.5, "rain": None}, {"dog": 0.75, "rain": None},
    ...     getfixture("tmpdir").join("per_class.png"), "acc",
    ... )
    >>> path.exists()
    True
    """
    from matplotlib.lines import Line2D

    if set(zero_shot) != set(tuned):
        raise ValueError(
            "zero-shot and tuned values are of different classes: "
            f"{sorted(set(zero_shot) ^ set(tuned))}"
        )
    rows = [
        (name, 100 * zero_shot[name], 100 * tuned[name])
        for name in zero_shot
        if zero_shot[name] is not None and tuned[name] is not None
    ]
    if not rows:
        raise ValueError("no class has a value to draw")
    # Smallest change first, since the vertical axis points upwards; of equal
    # changes the better class lies higher.
    rows.sort(key=lambda row: (row[2] - row[1], row[2]))
    names = [row[0] for row in rows]
    before, after = np.array([row[1:] for row in rows]).T
    places = np.arange(len(rows))
    colors = np.select(
        [after > before, after < before],
        [_COLORS["better"], _COLORS["worse"]],
        _COLORS["zero_shot"],
    )

    figure = _figure(7.5, 1.6 + 0.2 * len(rows))
    axes = figure.subplots()
    _tidy(axes, "both")
    axes.hlines(places, before, after, color=colors, linewidth=2, alpha=0.6)
    axes.scatter(
        before,
        places,
        s=26,
        color="white",
        edgecolor=_COLORS["zero_shot"],
        linewidth=1.3,
        zorder=3,
    )
    axes.scatter(after, places, s=30, color=colors, zorder=4)
    axes.set_yticks(places, names, fontsize=8.5, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.set_xlim(-2, 102)
    axes.set_xlabel(f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]")
    counts = [
        ("better", _COLORS["better"], int((after > before).sum())),
        ("worse", _COLORS["worse"], int((after < before).sum())),
        ("unchanged", _COLORS["zero_shot"], int((after == before).sum())),
    ]
    dot = {"marker": "o", "linestyle": "", "markersize": 5.5}
    handles = [
        Line2D(
            [],
            [],
            **dot,
            markerfacecolor="white",
            markeredgecolor=_COLORS["zero_shot"],
            label="zero-shot",
        )
    ]
    handles += [
        Line2D([], [], **dot, color=color, label=f"tuned, {word} ({count})")
        for word, color, count in counts
        if count
    ]
    _legend_above(figure, handles, [handle.get_label() for handle in handles])
    left_out = len(zero_shot) - len(rows)
    if left_out:
        axes.text(
            1,
            1.0,
            f"not shown, no recording: {left_out}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=8,
            color="#555555",
        )
    return _save(figure, path)


def plot_confusion(matrix, class_names, path):
    """Draw a confusion matrix, each row as percentages of the true class.

    Arguments
    ---------
    matrix : numpy.ndarray
        Counts [C, C], rows are true classes.
    class_names : list of str
        The C names.
    path : str or Path
        File to write; its suffix is the format.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the matrix is not [C, C].

    Example
    -------
    >>> path = plot_confusion(
    ...     [[3, 1], [0, 0]], ["dog", "rain"],
    ...     getfixture("tmpdir").join("confusion.png"),
    ... )
    >>> path.exists()
    True
    """
    matrix = np.asarray(matrix)
    n_classes = len(class_names)
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            f"a matrix {list(matrix.shape)} for {n_classes} class names"
        )
    totals = matrix.sum(axis=1, keepdims=True)
    # A class without recordings has no percentages: its row stays grey.
    shares = np.where(totals > 0, 100 * matrix / np.maximum(totals, 1), np.nan)

    side = max(3.2, 0.2 * n_classes)
    small = n_classes > 15
    figure = _figure(side + 2.6, side + 1.8)
    axes = figure.subplots()
    axes.set_facecolor("#E8E8E8")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    size = 8 if small else 9
    ticks = np.arange(n_classes)
    axes.set_yticks(ticks, class_names, fontsize=size, parse_math=False)
    axes.set_xticks(
        ticks,
        class_names,
        fontsize=size,
        parse_math=False,
        rotation=90 if small else 45,
        ha="center" if small else "right",
        rotation_mode="default" if small else "anchor",
    )
    # Lines between the cells let the eye follow a row to its name.
    axes.set_xticks(ticks[1:] - 0.5, minor=True)
    axes.set_yticks(ticks[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if not small:
        for row, column in np.argwhere(shares > 0):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{share:.0f}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if share > 55 else "#222222",
            )
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=25, pad=0.02)
    bar.set_label("% of the true class")
    bar.outline.set_visible(False)
    return _save(figure, path)


def plot_comparison(comparison, path):
    """Draw the heads of each row, with the deviation over seeds.

    Arguments
    ---------
    comparison : Comparison
        Of `afpt_plugin.results.compare.compare_runs`.
    path : str or Path
        File to write; its suffix is the format.

    Returns
    -------
    Path
        The file written.

    Example
    -------
    See `afpt_plugin.results.compare`, whose `write_comparison` calls it.
    """
    table = comparison.table
    places = np.arange(len(table))
    figure = _figure(8.5, 1.5 + 0.62 * len(table))
    axes = figure.subplots()
    _tidy(axes, "x")
    heads = ("zero_shot", "zero_shot_ensemble", "coarse", "fine", "ensemble")
    for offset, head in zip(np.linspace(-0.28, 0.28, 5), heads, strict=True):
        axes.errorbar(
            100 * table[head],
            places + offset,
            xerr=100 * table[f"{head}_std"].fillna(0),
            fmt="o",
            markersize=5.5,
            capsize=2.5,
            linewidth=1.5,
            color=_COLORS[head],
            label=head.replace("_", "-", 1).replace("_", ", "),
        )
    # A line between the rows keeps the heads of one together.
    axes.hlines(
        places[1:] - 0.5,
        0,
        1,
        color="#DDDDDD",
        linewidth=0.7,
        transform=axes.get_yaxis_transform(),
    )
    axes.set_yticks(places, comparison.labels(), fontsize=8, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("acc or mAP [%], bars: standard deviation over seeds")
    _legend_above(figure, *axes.get_legend_handles_labels())
    return _save(figure, path)


def plot_frame_scores(sig, sample_rate, frames, class_names, path, top_k=5):
    """Draw a recording's spectrogram above its frame scores.

    Arguments
    ---------
    sig : torch.Tensor
        The waveform, [samples].
    sample_rate : int
        Its rate, in Hz.
    frames : FrameScores
        From `afpt_plugin.inference.PromptedClassifier.frame_scores`:
        ``logits`` [T, n_classes], ``start`` [T] and ``center`` [T] in seconds.
    class_names : list of str
        The n_classes names.
    path : str or Path
        File to write; its suffix is the format.
    top_k : int
        How many classes are drawn: those with the highest peaks.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If the scores are not of so many classes.

    Example
    -------
    >>> import torch
    >>> from afpt_plugin.inference import FrameScores
    >>> frames = FrameScores(
    ...     torch.rand(4, 2), torch.arange(4) / 4, torch.arange(4) / 4 + 0.125
    ... )
    >>> path = plot_frame_scores(
    ...     torch.randn(16000), 16000, frames, ["dog", "rain"],
    ...     getfixture("tmpdir").join("frames.png"),
    ... )
    >>> path.exists()
    True
    """
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    n_classes = frames.logits.shape[1]
    if n_classes != len(class_names):
        raise ValueError(
            f"scores of {n_classes} classes for {len(class_names)} class names"
        )
    n_fft, hop = (2 ** round(np.log2(s * sample_rate)) for s in (0.04, 0.01))
    n_fft, hop = max(n_fft, 16), max(hop, 4)
    if len(sig) > hop * 4000:
        # More columns than a figure has pixels take memory, and show nothing.
        hop = len(sig) // 4000
    # Few bands, lest the lowest be narrower than a bin.
    mel = MelSpectrogram(
        sample_rate, n_fft, hop_length=hop, n_mels=min(64, n_fft // 16)
    )
    level = AmplitudeToDB(top_db=80)(mel(sig.detach().float().cpu()))
    seconds = len(sig) / sample_rate
    shown = frames.logits.amax(0).topk(min(top_k, n_classes)).indices

    figure = _figure(8, 5)
    above, below = figure.subplots(2, sharex=True, height_ratios=[1, 1.2])
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
    _tidy(below, "y")
    palette = list(dict.fromkeys(_COLORS.values()))[1:]  # without the grey
    styles = ("-", "--", ":", "-.")
    for place, index in enumerate(shown.tolist()):
        below.step(
            [*frames.start, seconds],
            [*frames.logits[:, index], frames.logits[-1, index]],
            where="post",
            color=palette[place % len(palette)],
            linestyle=styles[place // len(palette) % len(styles)],
            linewidth=1.6,
            # matplotlib would hide a label that begins with _
            label=f"\u200b{class_names[index]}",
        )
    below.set_xlim(0, seconds)
    below.set_xlabel("time [s]")
    below.set_ylabel("fine logit of a frame")
    legend = below.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.22),
        ncols=3,
        frameon=False,
        fontsize=8.5,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return _save(figure, path)
