"""Figures of a run (training, classes, confusion, reliability) and of several.

Each function writes its figure to ``path``, whose suffix is the format.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.results.drawing import (
    BLACK,
    BLUE,
    DARK,
    GRAY,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    SKY,
    drawing,
    metric_label,
    name_lines,
    percent_limits,
    short,
    wilson_interval,
    write_rows,
)

_HEAD_COLORS = {
    "zero_shot": GRAY,
    "zero_shot_fine": "#404040",
    "zero_shot_ensemble": "#A0A0A0",
    "coarse": BLUE,
    "fine": SKY,
    "ensemble": RED,
    "zero_shot_transductive": BLACK,
    "transductive": GREEN,
}


def head_title(head):
    """Return a head's name as tables and figures show it.

    Example
    -------
    >>> head_title("zero_shot"), head_title("zero_shot_fine")
    ('zero-shot', 'zero-shot, fine')
    """
    return head.replace("zero_shot_", "zero-shot, ").replace("_", "-")


def plot_training(
    history, path, metric_name, zero_shot=None, selected_epoch=None
):
    """Draw the losses, and the metric on held-out items and on the test set.

    Arguments
    ---------
    history : list of dict
        One row per epoch: `epoch` and any of `train_loss`, `valid_loss`,
        `valid_<metric_name>`, `coarse`, `fine`, `ensemble` (`metric_name` on
        recordings, 0..1). A value may be absent or None. A panel without any
        value is left out.
    path : str or Path
        File to write.
    metric_name : str
        The metric, such as "acc" or "mAP".
    zero_shot : float, optional
        `metric_name` of the baseline, drawn as a dashed line.
    selected_epoch : int, optional
        The epoch that was selected.
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    names = {"train_loss": "training", "valid_loss": "validation"}
    losses = {"train_loss": PURPLE, "valid_loss": GREEN}
    colors = {**losses, f"valid_{metric_name}": GREEN, **_HEAD_COLORS}
    rows = pd.DataFrame(history, columns=["epoch", *colors]).set_index("epoch")
    rows = rows.apply(pd.to_numeric).dropna(axis=1, how="all")
    panels = [
        rows.filter(losses),
        100 * rows.drop(columns=losses, errors="ignore"),
    ]
    panels = [panel for panel in panels if len(panel.columns)]

    with drawing(path, 4.6 * len(panels), 3.1) as figure:
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel in zip(all_axes, panels, strict=True):
            ends, is_loss = [], panel.columns[0] in losses
            for key, values in panel.items():
                label = names.get(key, f"test, {head_title(key)}")
                if key not in _HEAD_COLORS:
                    label = names.get(key, "validation")
                axes.plot(values, "o-", color=colors[key], label=label)
                known = values.dropna()
                end = known.iloc[-1], colors[key], known.index[-1]
                ends.append((label, *end))
            shown = panel.to_numpy(dtype=float)
            if not is_loss and zero_shot is not None:
                level = 100 * zero_shot
                shown = np.append(shown, level)
                look = {"color": GRAY, "ls": "--", "label": "test, zero-shot"}
                axes.axhline(level, **look)
                ends.append(("test, zero-shot", level, GRAY, rows.index[-1]))
            if not is_loss:
                axes.set_ylim(percent_limits(shown))
            if selected_epoch is not None:
                where = {"xycoords": ("data", "axes fraction")}
                axes.axvline(selected_epoch, color=DARK, ls=":", linewidth=1)
                look = {"ha": "center", "va": "bottom", "fontsize": 8}
                note = f"epoch {selected_epoch} is kept"
                axes.annotate(note, (selected_epoch, 1.01), **where, **look)
            axes.set_xlabel("epoch")
            axes.set_ylabel("loss" if is_loss else metric_label(metric_name))
            axes.grid(axis="y")
            ticks = MaxNLocator(integer=True, min_n_ticks=1)
            axes.xaxis.set_major_locator(ticks)
            name_lines(axes, ends)


def plot_per_class(zero_shot, adapted, n, path, metric_name):
    """Draw each class before and after adaptation, the largest gain on top.

    An accuracy after adaptation has Wilson's 95 % interval, as if each
    recording had a source of its own; an average precision has no interval.

    Arguments
    ---------
    zero_shot, adapted : dict
        Class name to its value in 0..1, or to None if it has no recording.
    n : dict
        Class name to the number of its recordings.
    path : str or Path
        File to write.
    metric_name : str
        "acc" or "ap".
    """
    import pandas as pd
    from matplotlib.lines import Line2D

    values = {"before": zero_shot, "after": adapted, "n": n}
    rows = pd.DataFrame(values, dtype=float).dropna()
    rows["change"] = rows["after"] - rows["before"]
    # The smallest change comes first, since the vertical axis points upwards;
    # among equal changes, the better class is higher.
    rows = rows.sort_values(["change", "after"])
    rows["color"] = np.sign(rows["change"]).map({1: BLUE, -1: RED, 0: GRAY})
    places = np.arange(len(rows))

    with drawing(path, 7, 1.3 + 0.17 * len(rows)) as figure:
        axes = figure.subplots()
        axes.grid(axis="x")
        low = {}
        if metric_name == "acc":
            ends = wilson_interval(
                rows["after"].to_numpy(), rows["n"].to_numpy()
            )
            band = {"color": "#E0E0E0", "linewidth": 6}
            axes.hlines(places, *(100 * end for end in ends), **band)
            low = {
                "95 % interval": Line2D([], [], solid_capstyle="butt", **band)
            }
        before, after = 100 * rows["before"], 100 * rows["after"]
        lines = {"color": rows["color"], "linewidth": 1.8}
        axes.hlines(places, before, after, **lines)
        hollow = {"color": "white", "edgecolor": DARK, "linewidth": 1}
        axes.scatter(before, places, s=22, zorder=3, **hollow)
        axes.scatter(after, places, s=22, zorder=4, color=rows["color"])
        numbers = rows["n"].items()
        write_rows(axes, [f"{short(name)} ({k:.0f})" for name, k in numbers])
        axes.set(xlim=(-2, 102), ylim=(-0.8, len(rows) - 0.2))
        axes.set_xlabel(metric_label(metric_name))
        kinds = {BLUE: "better", RED: "worse", GRAY: "unchanged"}
        counts = {c: int((rows["color"] == c).sum()) for c in kinds}
        dots = {"zero-shot": (DARK, "white")} | {
            f"adapted, {kinds[color]} ({count})": (color, color)
            for color, count in counts.items()
            if count
        }
        handles = {
            label: Line2D([], [], marker="o", ls="", ms=5, mec=edge, mfc=face)
            for label, (edge, face) in dots.items()
        } | low
        figure.legend(
            *(handles.values(), handles.keys()),
            loc="outside upper center",
            ncols=len(handles),
            handlelength=1.2,
            handletextpad=0.4,
            columnspacing=1.2,
        )
        note = "in parentheses: recordings"
        if len(rows) < len(zero_shot):
            note += f"; classes without one: {len(zero_shot) - len(rows)}"
        axes.set_title(note, loc="right", fontsize=8)


def plot_confusion(matrix, class_names, path):
    """Draw counts [C, C] as percentages of each row, the true class."""
    from matplotlib.collections import LineCollection

    matrix, n_classes = np.asarray(matrix), len(class_names)  # [C, C]
    class_names = [short(name, 24) for name in class_names]
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(f"{matrix.shape} counts for {n_classes} classes")
    totals = matrix.sum(axis=1, keepdims=True)  # [C, 1]
    shares = 100 * matrix / np.maximum(totals, 1)  # [C, C]
    small = n_classes <= 15
    side = max(3.0, 0.16 * n_classes)
    size = 8.5 if small else 7.5

    with drawing(path, side + 2.1, side + 1.6) as figure:
        axes = figure.subplots()
        # The row of a class without recordings has no values and stays gray.
        axes.set_facecolor("#E8E8E8")
        shown = np.where(totals > 0, shares, np.nan)
        look = {"cmap": "Blues", "vmin": 0, "vmax": 100}
        image = axes.imshow(shown, interpolation="nearest", **look)
        if small:
            look = {"ha": "center", "va": "center", "fontsize": 7.5}
            for row, column in np.argwhere(shares > 0):
                share = shares[row, column]
                color = "white" if share > 65 else DARK
                axes.text(column, row, f"{share:.0f}", color=color, **look)
        write_rows(axes, class_names, size)
        axes.set_xticks([])
        look = {"ha": "right", "va": "top", "rotation": 45}
        if not small:
            look = {"ha": "center", "va": "top", "rotation": 90}
        where = axes.get_xaxis_transform()
        for place, name in enumerate(class_names):
            look |= {"rotation_mode": "anchor" if small else "default"}
            axes.text(place, -0.01, name, transform=where, size=size, **look)
        # Lines between the cells help the eye to follow a row to its name.
        ends = -0.5, n_classes - 0.5
        lines = [[(ends[0], k), (ends[1], k)] for k in np.arange(*ends)]
        lines += [[point[::-1] for point in line] for line in lines]
        look = {"colors": "#E4E4E4", "linewidths": 0.5}
        axes.add_collection(LineCollection(lines, **look), autolim=False)
        axes.spines[:].set_visible(True)
        # Placed beside the names, whose widths only the layout engine knows
        figure.supxlabel("predicted", fontsize=9)
        figure.supylabel("true", fontsize=9)
        bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=25, pad=0.02)
        bar.set_label("% of the true class")
        bar.outline.set_visible(False)


def plot_reliability(bins, errors, path):
    """Draw `reliability`'s bins, each with its count and Wilson's interval.

    ``errors`` are the calibration error and that expected by chance, in 0..1.
    """
    n = np.array(bins["n"])
    some = n > 0
    x, y = (np.array(bins[k], float)[some] for k in ("confidence", "accuracy"))
    low, high = wilson_interval(y, n[some])
    with drawing(path, 4.2, 4.6) as figure:
        axes, below = figure.subplots(2, height_ratios=[3, 1], sharex=True)
        axes.grid()
        axes.plot([0, 100], [0, 100], "--", color=GRAY, linewidth=1)
        axes.vlines(100 * x, 100 * low, 100 * high, color=BLUE, linewidth=1)
        axes.scatter(100 * x, 100 * y, 22, color=BLUE, zorder=3)
        axes.set(xlim=(-1, 101), ylim=(-3, 103), ylabel="right [%]")
        error, chance = (f"{100 * value:.1f}" for value in errors)
        note = f"calibration error (ECE): {error} points, by chance {chance}"
        axes.set_title(note, loc="left", fontsize=8)
        edges = np.linspace(0, 100, len(n) + 1)
        below.stairs(n, edges, fill=True, color=PALE)
        look = {"ha": "center", "va": "bottom", "fontsize": 6.5}
        for place, count in zip(edges[:-1] + edges[1] / 2, n, strict=True):
            text = f"{count or ''}" if count < 1e4 else f"{count / 1e3:.0f}k"
            below.text(place, count, text, **look)
        below.set(ylim=(0, 1.25 * max(1, n.max())), yticks=[])
        below.set(xlabel="probability [%]; bars above: 95 % intervals")
        below.set(ylabel="answers")


def plot_comparison(table, labels, heads, path):
    """Draw a `Comparison`'s rows: ``heads``, and the gain over zero-shot.

    Each head is drawn with its standard deviation over runs, and the gain of
    the `primary` head with its 95 % bootstrap interval, if there is one.
    """
    places = np.arange(len(table))
    options = {"sharey": True, "width_ratios": [1.7, 1]}
    with drawing(path, 9, 1.4 + 0.55 * len(table)) as figure:
        axes, right = figure.subplots(1, 2, **options)
        offsets = np.linspace(-0.28, 0.28, len(heads))
        for i, (offset, head) in enumerate(zip(offsets, heads, strict=True)):
            axes.errorbar(
                100 * table[head],
                places + offset,
                xerr=100 * table[f"{head}_std"].fillna(0),
                fmt="osD^v"[i % 5],
                markersize=4,
                elinewidth=1,
                color=_HEAD_COLORS.get(head, (ORANGE, PURPLE)[i % 2]),
                label=head_title(head),
            )
        write_rows(axes, labels)
        gain = 100 * table["vs_zero_shot"].to_numpy(float)
        ends = 100 * table[["vs_zero_shot_low", "vs_zero_shot_high"]]
        low, high = ends.to_numpy(float).T
        clear = (low > 0) | (high < 0)
        colors = np.where(clear, DARK, "white")
        right.axvline(0, color=GRAY, ls="--", linewidth=1)
        right.hlines(places, low, high, color=DARK, linewidth=1)
        right.scatter(gain, places, 24, color=colors, edgecolor=DARK, zorder=3)
        for each in (axes, right):
            each.grid(axis="x")
            # A line between two rows shows which heads belong together.
            ends = each.get_xlim()
            look = {"color": PALE, "linewidth": 0.7}
            each.hlines(places[1:] - 0.5, *ends, **look)
            each.set(xlim=ends, ylim=(len(table) - 0.5, -0.5))
        several = (table["n_runs"] > 1).any()
        note = "\nbars: standard deviation over runs" if several else ""
        axes.set_xlabel(f"{metric_label(_common(table['metric']))}{note}")
        note = "\nbars: 95 % interval; filled: without 0"
        right.set_xlabel(f"gain over zero-shot [points]{note}")
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper center",
            ncols=min(len(heads), 6),
            handletextpad=0.2,
        )


def _common(metrics):
    """Join the names of all rows' metrics to one label."""
    names = [metric_label(name).removesuffix(" [%]") for name in set(metrics)]
    return " or ".join(sorted(names))
