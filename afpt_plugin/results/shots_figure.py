"""The figure of few-shot runs: accuracy against the number of recordings.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.results.drawing import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    drawing,
    metric_label,
    name_lines,
)

_COLORS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BLACK)


def _draw_shots(axes, panel, styles):
    """Draw the rows of one data set and backbone, see `plot_shots`."""
    usual = panel["mark"] == panel["mark"].mode()[0]
    levels = [("zero-shot", panel["zero_shot"][usual].iloc[0], GRAY)]
    for row in panel[panel["k"].isna()].itertuples():
        # A run of the template as a method would only repeat zero-shot.
        same = np.isclose(row.value, levels[0][1])
        if row.supervision != "nothing" or not same:
            color = styles[row.title]["color"]
            levels.append((row.title, row.value, color))
    for place, (title, value, color) in enumerate(levels):
        style = "--" if place == 0 else (0, (1, 1.5))
        axes.axhline(value, color=color, ls=style, label=title)
    shots = panel.dropna(subset="k").sort_values("k", kind="stable")
    ks = shots["k"].unique()
    ends = [(*level, ks[-1]) for level in levels]
    lines = list(shots.groupby("title", sort=False))
    # Draw deviations side by side, so that they do not hide each other. Those
    # of one k take at most 60 % of the distance to the next k, so that the
    # groups stay separate.
    gap = np.diff(np.log2(ks)).min() if len(ks) > 1 else 1
    step = min(0.08, 0.6 * gap / max(1, len(lines) - 1))
    for place, (title, line) in enumerate(lines):
        x = line["k"] * 2 ** (step * (place - (len(lines) - 1) / 2))
        axes.errorbar(
            x,
            line["value"],
            yerr=line["std"].fillna(0),
            elinewidth=0.7,
            label=title,
            **styles[title],
        )
        end = line["value"].iloc[-1], styles[title]["color"], x.iloc[-1]
        ends.append((title, *end))
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [f"{k:g}" for k in ks])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(axis="y")
    name_lines(axes, ends)


def plot_shots(table, titles, path):
    """Draw a `Comparison` against k, the labeled recordings per class.

    There is a panel for each data set and backbone, with a line for each method
    and its standard deviation. Zero-shot and methods that learn from no
    recording are horizontal lines. ``titles`` has a title for each row; rows
    with the same title form one line.
    """
    import pandas as pd

    heads = list(zip(table.index, table["primary"], strict=True))
    rows = table.assign(
        title=list(titles),
        k=pd.to_numeric(table["k"], errors="coerce"),
        zero_shot=100 * table["zero_shot"],
        value=[100 * table.at[row, head] for row, head in heads],
        std=[100 * table.at[row, f"{head}_std"] for row, head in heads],
    )
    names = dict.fromkeys(rows.sort_values("k", kind="stable")["title"])
    styles = {
        name: {"color": _COLORS[i % 7], "marker": "osD^vPX*"[i % 8]}
        for i, name in enumerate(names)
    }
    groups = rows.groupby(["dataset", "clap", "metric"], sort=False)
    panels = [each for each in groups if each[1]["k"].notna().any()]
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    with drawing(path, 5.6 * n_columns, 3.7 * n_rows) as figure:
        grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.remove()
        for axes, (names, panel) in zip(grid, panels, strict=False):
            dataset, clap, metric = names
            axes.set_title(f"{dataset}, {clap}")
            axes.set_xlabel(
                "labeled recordings of a class (k); bars: standard deviation"
            )
            axes.set_ylabel(metric_label(metric))
            _draw_shots(axes, panel, styles)
