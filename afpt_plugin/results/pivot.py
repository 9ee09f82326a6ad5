"""The summary of a comparison: a row per method, a column per data set.

>>> from afpt_plugin.results.compare import compare_runs
>>> from afpt_plugin.results.output import write_results
>>> from afpt_plugin.results.runs import REQUIRED_KEYS
>>> folder = getfixture("tmp_path")
>>> names = {"clap": "mini", "learner": {"name": "Template"}}
>>> names |= {"supervision": {"kind": "nothing"}}
>>> for part, acc in (("base", 0.75), ("new", 0.5)):
...     run = dict.fromkeys(REQUIRED_KEYS)
...     run["identity"] = names | {"dataset": f"Pets ({part})"}
...     run["metrics"] = {"zero_shot": {"acc": 0.5}, "coarse": {"acc": acc}}
...     write_results(folder / part, run)
>>> ((backbone, table, notes),) = summarize(compare_runs(folder))
>>> backbone, table.iloc[0, 3:6].to_dict()
('mini', {'Pets, base': '75.0', 'Pets, new': '50.0', 'Pets, H': '60.0'})

Authors
 * The afpt_plugin developers 2026
"""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

# The columns that identify a row of the summary.
KEYS = ["method", "settings", "supervision", "k"]
# The suffix that `Task` adds to the name of a data set's half.
HALVES = r" \((base|new)\)$"


class _Score(NamedTuple):
    """A cell of the summary, in 0..1."""

    mean: float = np.nan
    std: float = np.nan
    mark: str = ""


def percent(mean, std=np.nan, low=np.nan, high=np.nan, sign=""):
    """Format a mean with any deviation and any interval, in percent.

    Example
    -------
    >>> percent(0.8, 0.071), percent(0.1, low=-0.05, high=0.2, sign="+")
    ('80.0 ± 7.1', '+10.0 (-5.0 to +20.0)')
    >>> percent(float("nan"))
    '-'
    """
    text = "-" if mean != mean else f"{100 * mean:{sign}.1f}"
    text += "" if std != std else f" ± {100 * std:.1f}"
    if low == low:
        text += f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return text


def method_title(row):
    """Return a method's name with its distinguishing settings."""
    return row["method"] + (f" ({row['settings']})" if row["settings"] else "")


def summarize(comparison):
    """Summarize a `Comparison` for each backbone.

    Returns a list of tuples: the backbone's name, its table of texts
    (`pandas.DataFrame`), and sentences about means over only some seeds.
    """
    by_seed = comparison.cells.groupby(["row", "seed"])["value"].mean()
    return [
        (clap, *_summary(rows, by_seed))
        for clap, rows in comparison.table.groupby("clap", sort=False)
    ]


def _harmonic(values):
    """Average H = 2BN / (B + N) over data sets; values [seeds, 2 data sets]."""
    from scipy.stats import hmean

    values = values.to_numpy().reshape(len(values), -1, 2)
    return hmean(values, axis=2).mean(axis=1)  # [seeds]


def _columns(rows):
    """Map each column's title to its data sets and the value to show."""
    columns, whole, halved = {}, [], []
    for data, same in rows.groupby("data", sort=False):
        names = set(same["dataset"])
        halves = [f"{data} ({half})" for half in ("base", "new")]
        for name, title in (
            (data, data),
            (halves[0], f"{data}, base"),
            (halves[1], f"{data}, new"),
        ):
            if name in names:
                columns[title] = [name], "primary"
                heads = same[same["dataset"] == name].get("transductive")
                if heads is not None and heads.notna().any():
                    columns[f"{title}, transductive"] = [name], "transductive"
        if data in names:
            whole.append(data)
        if names.issuperset(halves):
            columns[f"{data}, H"] = halves, _harmonic
            halved += halves
    if len(whole) > 1:
        columns["mean"] = whole, lambda values: values.mean(axis=1)
    if len(halved) > 2:
        columns["mean H"] = halved, _harmonic
    return columns


def _score(parts, show, by_seed):
    """Compute a cell of a column, and its seeds if these are not all."""
    if any(part is None for part in parts):
        return _Score(), None
    mark = "".join(dict.fromkeys(part["mark"] for part in parts))
    if isinstance(show, str):
        (row,) = parts
        head = row["primary"] if show == "primary" else show
        return _Score(row[head], row[f"{head}_std"], mark), None
    values = pd.concat([by_seed[part["row"]] for part in parts], axis=1)
    common = values.dropna()  # [seeds, parts]
    means = pd.Series(show(common) if len(common) else [], dtype=float)
    left = None if len(common) == len(values) else list(common.index)
    return _Score(means.mean(), means.std(), mark), left


def _summary(rows, by_seed):
    """Make one backbone's table, and notes on it."""
    rows = rows.reset_index()
    rows["data"] = rows["dataset"].str.replace(HALVES, "", regex=True)
    # If two rows of a data set have the same name, show both.
    rows["copy"] = rows.groupby([*KEYS, "dataset"]).cumcount()
    columns = _columns(rows)
    names, scores, extras, notes = [], [], [], []
    for _, group in rows.groupby([*KEYS, "copy"], sort=False):
        parts = {row["dataset"]: row for _, row in group.iterrows()}
        first = group.iloc[0]
        label = method_title(first)
        names.append({"method": label, **first[["supervision", "k"]]})
        extras.append(_extras(rows["dataset"].unique(), group, parts))
        scores.append({})
        for title, (datasets, show) in columns.items():
            own = [parts.get(dataset) for dataset in datasets]
            scores[-1][title], left = _score(own, show, by_seed)
            if left is not None:
                notes.append(
                    f"{label}, {title}: the data sets were run with different "
                    "seeds; it is of those that all have "
                    f"({', '.join(left) or 'none'})"
                )
    scores = pd.DataFrame(scores)
    shown = scores.map(lambda s: f"{percent(s.mean, s.std)} {s.mark}".strip())
    shown = shown.where(scores.map(lambda s: s.mean == s.mean), "-")
    for title, column in scores.items():
        values = column.map(lambda s: round(s.mean, 3))
        # Find the best among the comparable rows.
        alike = values.groupby(column.map(lambda s: s.mark))
        best = values == alike.transform("max")
        best &= alike.transform("count") > 1
        shown.loc[best, title] = "**" + shown.loc[best, title] + "**"
    parts = [pd.DataFrame(names), shown, pd.DataFrame(extras)]
    return pd.concat(parts, axis=1), notes


def _extras(datasets, group, parts):
    """Make the cells after a method's scores: gains, costs, selection rule."""
    extras = {}
    for dataset in datasets:
        title = re.sub(HALVES, r", \1", f"gain, {dataset}")
        title = title if len(datasets) > 1 else "gain"
        ends = ["vs_zero_shot", "vs_zero_shot_low", "vs_zero_shot_high"]
        row = parts.get(dataset)
        mean, low, high = [np.nan] * 3 if row is None else row[ends]
        extras[title] = percent(mean, low=low, high=high, sign="+")
    seconds = group["adapt_seconds"].mean()
    extras["adaptation"] = "-" if seconds != seconds else f"{seconds:.3g} s"
    counts = group["n_parameters"].agg(["min", "max"]).dropna().unique()
    extras["learned"] = " to ".join(f"{n:,.0f}" for n in counts) or "-"
    rules = [rule for rule in group["chosen_by"].unique() if rule != "-"]
    extras["chosen by"] = "; ".join(rules) or "-"
    return extras
