"""The figure of few-shot runs: accuracy against the number of recordings.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.results.figures import (
    _AXIS_NAMES,
    _BLUE,
    _GRAY,
    _GREEN,
    _ORANGE,
    _RED,
    _drawing,
)


def _spread(values, gap):
    """Move numbers apart to at least ``gap``, as little as need be."""
    order = np.argsort(values)
    placed = np.array(values, dtype=float)[order]
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + gap)
    # Only upwards so far; all together they go down by half as much.
    placed -= (placed - np.sort(values)).max() / 2
    return placed[np.argsort(order)]


def _name_lines(axes, ends):
    """Write names right of the axes, each joined to the end of its line.

    ``ends`` are tuples of name, height, color and horizontal place.
    """
    low, high = axes.get_ylim()
    # A line of text is about a seventeenth of the axes high.
    heights = _spread([end[1] for end in ends], (high - low) / 17)
    for (name, value, color, place), height in zip(ends, heights, strict=True):
        axes.annotate(
            name,
            (place, value),
            (1.06, (height - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=color,
            arrowprops={
                **{"arrowstyle": "-", "color": color},
                **{"linewidth": 0.6, "relpos": (0, 0.5)},
            },
        )


def _draw_shots(axes, panel, styles):
    """Draw the rows of one data set and backbone, see `plot_shots`."""
    usual = panel["mark"] == panel["mark"].mode()[0]
    levels = [("zero-shot", panel["zero_shot"][usual].iloc[0], _GRAY)]
    for row in panel[panel["k"].isna()].itertuples():
        # The template as a method of its own is zero-shot once more.
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
    for place, (title, line) in enumerate(lines):
        # Side by side, deviations do not hide each other.
        x = line["k"] * 2 ** (0.08 * (place - (len(lines) - 1) / 2))
        axes.errorbar(
            x,
            line["value"],
            yerr=line["std"].fillna(0),
            capsize=2.5,
            elinewidth=1,
            label=title,
            **styles[title],
        )
        end = line["value"].iloc[-1], styles[title]["color"], x.iloc[-1]
        ends.append((title, *end))
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [f"{k:g}" for k in ks])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(axis="y")
    _name_lines(axes, ends)


def plot_shots(table, titles, path):
    """Draw a `Comparison` against k, the number of labeled recordings a class.

    A panel a data set and backbone; a line a method, with its standard
    deviation; zero-shot and methods that learn from no recording are levels.
    Rows of one of the ``titles``, one for each row, are one line.
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
    colors = [_BLUE, _ORANGE, _GREEN, "#CC79A7", _RED, "#56B4E9", "#000000"]
    names = dict.fromkeys(rows.sort_values("k", kind="stable")["title"])
    styles = {
        name: {"color": colors[i % 7], "marker": "osD^vPX*"[i % 8]}
        for i, name in enumerate(names)
    }
    groups = rows.groupby(["dataset", "clap", "metric"], sort=False)
    panels = [each for each in groups if each[1]["k"].notna().any()]
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    with _drawing(path, 5.6 * n_columns, 3.7 * n_rows) as figure:
        grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.remove()
        for axes, (names, panel) in zip(grid, panels, strict=False):
            dataset, clap, metric = names
            axes.set_title(f"{dataset}, {clap}")
            axes.set_xlabel("labeled recordings of a class (k)")
            axes.set_ylabel(f"{_AXIS_NAMES.get(metric, metric)} [%]")
            _draw_shots(axes, panel, styles)
