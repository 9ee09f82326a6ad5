"""Compare finished runs: table, paired differences, figure.

`compare_runs` reads every `results.json` below a folder, averages runs that
differ in nothing but their seed, and says which it must not average:

>>> from afpt_plugin.results.compare import compare_runs, write_comparison
>>> from afpt_plugin.results.run import HEADS, REQUIRED_KEYS, write_results
>>> folder = getfixture("tmp_path")
>>> for seed, acc in ((1, 0.75), (2, 0.85)):
...     run = dict.fromkeys(REQUIRED_KEYS, "x") | {"seed": seed}
...     run["metrics"] = {head: {"acc": acc} for head in HEADS}
...     run["metrics"]["zero_shot"] = {"acc": 0.5}
...     _ = write_results(folder / str(seed), run)
>>> comparison = compare_runs(folder)
>>> row = comparison.table.iloc[0]
>>> print(f"{row.ensemble:.2f} +- {row.ensemble_std:.3f}, {row.n_runs} runs")
0.80 +- 0.071, 2 runs
>>> print(format_comparison(comparison).splitlines()[0])
# Comparison of runs
>>> [path.name for path in write_comparison(comparison, folder)]
['report.csv', 'report.png', 'report.md']

Authors
 * The afpt_plugin developers 2026
"""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing
from afpt_plugin.results.figures import plot_comparison
from afpt_plugin.results.run import HEADS, UNTUNED
from afpt_plugin.results.runs import FACTS, IDENTITY, find_runs, read_run

CONFIDENCE = 0.95

# What the ensemble is compared with.
GAINS = {"difference": "zero_shot", "tuning": UNTUNED["ensemble"]}


class Comparison(NamedTuple):
    """What `compare_runs` finds.

    Arguments
    ---------
    table : pandas.DataFrame
        One row for each kind of run, numbers in 0..1: see `compare_runs`.
    differences : pandas.DataFrame
        Why rows are not comparable: `scope` (which rows one would expect to
        be), `fact`, `value`, `rows` (a tuple) and `files` (a tuple).
    duplicates : list of str
        Runs that were not counted, since a newer one has the same seed.
    errors : list of str
        Runs that could not be read or have not finished.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    duplicates: list
    errors: list

    def labels(self):
        """Name each row, in two lines.

        Returns
        -------
        list of str
        """
        return [
            f"{number}  {_dataset(row)}, {row['metric']}\n"
            f"{', '.join(_names(row))}; {row['n_runs']} "
            f"run{'s' if row['n_runs'] > 1 else ''}"
            for number, row in _rows(self.table)
        ]


def _newest(runs):
    """The newest run of each seed, and sentences about the others."""
    newest, sentences = {}, []
    for run in sorted(runs, key=lambda r: (r.path.stat().st_mtime_ns, r.name)):
        seed = str(run.results["seed"])
        older = newest.get(seed)
        newest[seed] = run
        if older is None:
            continue
        differing = [
            key
            for key in ("metrics", "captions_fingerprint")
            if run.results.get(key) != older.results.get(key)
        ]
        but = f"but other {' and '.join(differing)}"
        sentences.append(
            f"{older.name} is not counted: {run.name} is newer and has the "
            f"same seed ({seed}) and settings, "
            f"{but if differing else 'and the same metrics'}"
        )
    # Shorter numbers are smaller.
    seeds = sorted(newest, key=lambda seed: (len(seed), seed))
    return [newest[seed] for seed in seeds], sorted(sentences)


def bootstrap_interval(differences):
    """The 95 % percentile bootstrap interval of a mean of paired differences.

    Percentiles, since they are defined for every sample (the corrected
    intervals are not where all differences are equal); the generator is
    seeded, so that the same runs give the same report.

    Arguments
    ---------
    differences : array-like of float
        One a pair [N], N at least 2.

    Returns
    -------
    tuple of float
        Lower and upper end.

    Raises
    ------
    ValueError
        If there are fewer than two.

    Example
    -------
    >>> low, high = bootstrap_interval([0, 1] * 50)
    >>> 0.35 < low < 0.45, 0.55 < high < 0.65
    (True, True)
    """
    from scipy.stats import bootstrap

    differences = np.asarray(differences, dtype=float)
    interval = bootstrap(
        (differences,),
        np.mean,
        confidence_level=CONFIDENCE,
        method="percentile",
        # 9,999 resamples of a whole test set would not fit into memory
        batch=max(1, 2_000_000 // max(1, len(differences))),
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _recording_differences(run, base):
    """Ensemble right minus `base` right, by recording."""
    path = run.path.with_name("predictions.csv")
    ranks = [f"{base}_rank", "ensemble_rank"]
    try:
        table = pd.read_csv(
            path, usecols=["id", *ranks], dtype={"id": str}, na_filter=False
        )
        right = (table.set_index("id")[ranks].astype(int) == 1).astype(int)
    except FileNotFoundError:
        raise InputError(f"predictions.csv missing beside {run.name}") from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"predictions.csv beside {run.name} is unreadable ({reason})"
        ) from error
    if not right.index.is_unique:
        raise InputError(f"predictions.csv beside {run.name} repeats an id")
    return right["ensemble_rank"] - right[f"{base}_rank"]


def _class_differences(run, base):
    """Average precision of the ensemble minus that of `base`, by class."""
    per_class = run.results["per_class"]
    try:
        before, after = (
            pd.Series({k: v["ap"] for k, v in classes.items()}, dtype=float)
            for classes in (per_class[base], per_class["ensemble"])
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"no per_class AP in {run.name}") from None
    return (after - before).dropna()


def _interval(runs, base, difference):
    """Ends of the bootstrap interval, and over what or why there is none.

    What is resampled is what pairs, with the differences averaged over the
    seeds first. Single-label: the recordings, each right or wrong under both
    heads; the interval is about other recordings of this kind. Multi-label: a
    recording has no average precision and `predictions.csv` keeps but its best
    class, so the classes are resampled, whose mean AP is mAP; the interval is
    about other classes of this kind, and wide where they are few. Seeds are
    not resampled: three values have ten resamples.
    """
    unit, source, measure = (
        ("recordings", "predictions.csv", _recording_differences)
        if runs[0].metric == "acc"
        else ("classes", "per_class", _class_differences)
    )
    try:
        if np.isnan(difference):
            raise InputError("a head is missing")
        pairs = pd.concat(
            [measure(run, base) for run in runs], axis=1, join="outer"
        )
        if pairs.isna().any(axis=None):
            raise InputError(f"the runs are not of the same {unit}")
        pairs = pairs.mean(axis=1)
        if len(pairs) < 2:
            raise InputError(f"fewer than two {unit}")
        if abs(pairs.mean() - difference) > 1e-6:
            raise InputError(f"{source} does not give the metrics reported")
    except InputError as error:
        return np.nan, np.nan, f"none: {error}"
    return *bootstrap_interval(pairs), f"{len(pairs)} {unit}"


def _summary(runs):
    """A row of the table."""
    row = {key: runs[0].results.get(key) for key in [*IDENTITY, *FACTS]}
    row["metric"] = runs[0].metric
    row["n_runs"] = len(runs)
    row["seeds"] = " ".join(str(run.results["seed"]) for run in runs)
    for metric, prefix in ((row["metric"], ""), ("lwlrap", "lwlrap_")):
        values = pd.DataFrame(
            {
                f"{prefix}{head}": [
                    run.results["metrics"][head].get(metric) for run in runs
                ]
                for head in HEADS
            },
            dtype=float,
        )
        if not prefix:
            for gain, base in GAINS.items():
                values[gain] = values["ensemble"] - values[base]
        for name, column in values.items():
            row[name] = column.mean(skipna=False)
            row[f"{name}_std"] = column.std(skipna=False)  # of a sample
    for gain, base in GAINS.items():
        low, high, row[f"{gain}_over"] = _interval(runs, base, row[gain])
        row[f"{gain}_low"], row[f"{gain}_high"] = low, high
    row["files"] = " | ".join(run.name for run in runs)
    return row


def _differences(table, groups):
    """Facts that differ between rows that a reader would set side by side.

    `groups` are the runs of each row of the table.
    """
    facts = pd.DataFrame([runs[0].facts for runs in groups], index=table.index)
    facts = facts.fillna({"hyperparams.yaml": "kept"}).fillna("not set")
    identity = table[IDENTITY].astype(str)
    told = [*FACTS, "heads", "hyperparams.yaml", "left_out", "metric"]
    told = sorted(facts.columns.intersection(told))
    entries = []

    def compare(numbers, scope, names):
        for name in names:
            values = facts.loc[numbers, name]
            for value, alike in values.groupby(values, sort=False):
                rows = tuple(alike.index)
                files = tuple(run.name for n in rows for run in groups[n - 1])
                if len(rows) < len(numbers):
                    entries.append((scope, name, value, rows, files))

    for _, rows in identity.groupby(IDENTITY, sort=False):
        names, numbers = told, rows.index
        # Where a run kept no settings, all of them differ: say only that.
        if (
            "hyperparams.yaml" not in facts
            or (facts.loc[numbers, "hyperparams.yaml"] == "kept").all()
        ):
            names = [*told, *sorted(facts.columns.difference(told))]
        results = groups[numbers[0] - 1][0].results
        scope = ", ".join([str(results["dataset"]), *_names(results)])
        compare(numbers, f"Not averaged: {scope}", names)
    # Between rows that nobody would average, but everybody compares.
    data = ["data_fingerprint", "left_out", "n_left_out", "n_recordings"]
    for key, label, names in (
        ("dataset", "Recordings of", data),
        ("clap", "Backbone", ["clap_fingerprint"]),
    ):
        for value, rows in identity.groupby(key, sort=False):
            if len(rows.drop_duplicates()) > 1:
                compare(rows.index, f"{label} {value}", names)
    columns = ["scope", "fact", "value", "rows", "files"]
    return pd.DataFrame(entries, columns=columns)


def compare_runs(folder):
    """Average the runs below a folder that differ in nothing but the seed.

    Runs that differ in their recordings, weights, selection rule, debug mode,
    kind, prompt template or a setting in their `hyperparams.yaml` (seeds and
    folders excepted) stay separate rows. Of two runs with the same seed and
    nothing else to tell them apart the newest (by the file's time) counts: a
    repetition is no second sample, and refusing would make a user delete files
    to see a table.

    Arguments
    ---------
    folder : str or Path
        Searched with all folders below it.

    Returns
    -------
    Comparison
        The table has the columns of `IDENTITY`, the facts above, `metric` (acc
        or mAP), `n_runs`, `seeds`; for each key of `HEADS` the mean, and as
        `<head>_std` the sample standard deviation (NaN for a single run), the
        same for `lwlrap_<head>`; for each key of `GAINS` (the ensemble minus
        zero-shot, and minus the ensemble before tuning) mean, `<gain>_std`,
        the bootstrap interval `<gain>_low`, `<gain>_high` and `<gain>_over`
        (what was resampled, or why there is none); `files`.
        Its index, from 1, numbers the rows.

    Raises
    ------
    InputError
        If there is no such folder or no finished run in it.

    Example
    -------
    The one in the description of this module.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; give the one that holds your runs"
        )
    runs, groups, duplicates = [], [], []
    paths, errors = find_runs(folder)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            runs.append(read_run(path, name))
        except InputError as error:
            errors.append(name + str(error).removeprefix(str(path)))
    if not runs:
        raise InputError(
            f"{folder}: no finished run in it or below"
            + "".join(f"; {error}" for error in sorted(errors))
        )
    runs.sort(key=lambda run: run.key)
    for _, alike in itertools.groupby(runs, key=lambda run: run.key):
        group, sentences = _newest(alike)
        groups.append(group)
        duplicates += sentences
    table = pd.DataFrame(
        map(_summary, groups),
        index=pd.RangeIndex(1, len(groups) + 1, name="row"),
    )
    differences = _differences(table, groups)
    return Comparison(table, differences, duplicates, sorted(errors))


# Writing


def _rows(table):
    """Rows with their number, and a * where others are of the same name."""
    alike = table[IDENTITY].astype(str).duplicated(keep=False)
    return [
        (f"{n}{'*' if alike[n] else ''}", row) for n, row in table.iterrows()
    ]


def _names(row):
    """Backbone, learner and what it learned from, as the reader knows them."""
    supervision = str(row["supervision"])
    if row.get("captions") is not None:
        supervision += f": {row['captions']}"
    names = [str(row["clap"]), str(row["learner"]), supervision]
    if row["upstream_exact"] is True:
        names.append("upstream_exact")
    return names


def _dataset(row):
    """Name of the data set, with what keeps a row from being a benchmark."""
    marks = [str(row["run_kind"])] if row["run_kind"] is not None else []
    marks += ["debug"] if row["debug"] is True else []
    return str(row["dataset"]) + (f" ({', '.join(marks)})" if marks else "")


def _title(head):
    """A head's name without its explanation."""
    return HEADS[head].split(" (")[0]


def _percent(row, column, sign=""):
    """A mean and, over several runs, its deviation."""
    mean, std = row[column], row[f"{column}_std"]
    text = "-" if np.isnan(mean) else f"{100 * mean:{sign}.1f}"
    return text if np.isnan(std) else f"{text} ± {100 * std:.1f}"


def _inline(text):
    """Text that cannot end its cell or its line."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _markdown(rows):
    """A Markdown table whose columns are aligned in a terminal, too."""
    cells = [
        list(map(_inline, row)) for row in [rows[0], *map(dict.values, rows)]
    ]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in cells]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines)


def _result(number, row):
    """A row of the first table."""
    return {
        "row": number,
        "data set": _dataset(row),
        "recordings": row["n_recordings"],
        "backbone": row["clap"],
        "learner": row["learner"],
        "supervision": _names(row)[2],
        "upstream_exact": row["upstream_exact"],
        "metric": row["metric"],
        "runs": row["n_runs"],
        **{_title(head): _percent(row, head) for head in HEADS},
    }


def _gain(number, row, lwlrap):
    """A row of the second table."""
    cells = {"row": number, "metric": row["metric"]}
    for gain, base in GAINS.items():
        cell = _percent(row, gain, "+")
        if not np.isnan(row[f"{gain}_low"]):
            ends = (100 * row[f"{gain}_{end}"] for end in ("low", "high"))
            cell += " ({:+.1f} to {:+.1f})".format(*ends)
        cells[f"minus {_title(base)}"] = cell
    cells["resampled"] = row["difference_over"]
    if lwlrap:
        for head in ("zero_shot", "ensemble"):
            cells[f"lwlrap {_title(head)}"] = _percent(row, f"lwlrap_{head}")
    return cells


def _format_scope(scope, entries):
    """What differs between some rows."""
    lines = [f"{_inline(scope)}:\n"]
    for fact, values in entries.groupby("fact", sort=False):
        shown = []
        for value, rows in zip(values["value"], values["rows"], strict=True):
            if fact.endswith("fingerprint"):
                value = value[:12]
            word = "row" if len(rows) == 1 else "rows"
            shown.append(f"{value} in {word} {', '.join(map(str, rows))}")
        lines.append(f"- {_inline(fact)}: {_inline('; '.join(shown))}")
    return "\n".join(lines)


def format_comparison(comparison):
    """Write a comparison as Markdown, percentages with one decimal.

    Arguments
    ---------
    comparison : Comparison
        Of `compare_runs`.

    Returns
    -------
    str
        Two tables, then what is not comparable, counted once or broken, and
        last the runs in each row.

    Example
    -------
    The one in the description of this module.
    """
    rows = _rows(comparison.table)
    lwlrap = comparison.table["lwlrap_ensemble"].notna().any()
    parts = [
        "# Comparison of runs",
        "Metrics in %: mean ± sample standard deviation over runs that differ "
        "in nothing but\nthe seed; a single run has no deviation.",
        _markdown([_result(*row) for row in rows]),
    ]
    if any(number.endswith("*") for number, _ in rows):
        parts.append(
            "Rows with a * look alike but must not be averaged: see Not "
            "comparable."
        )
    parts += [
        "## Ensemble minus zero-shot",
        "In percentage points, paired within each run. Zero-shot, ensemble is "
        "the template compared\nwith frames, too: the difference to it is what "
        "was learned. In brackets the "
        f"{100 * CONFIDENCE:.0f} %\ninterval, a bootstrap over what "
        "pairs, after averaging over seeds: for acc the\nrecordings (right or "
        "wrong), for mAP the classes (average precision), since a\nrecording "
        "has no average precision.",
        _markdown([_gain(*row, lwlrap) for row in rows]),
        "![Comparison of runs](report.png)",
    ]
    if len(comparison.differences):
        scopes = comparison.differences.groupby("scope", sort=False)
        parts += [
            "## Not comparable",
            "The files of each row are listed under Runs.",
            *(_format_scope(scope, entries) for scope, entries in scopes),
        ]
    for title, sentences in (
        ("## Counted once", comparison.duplicates),
        ("## Broken or unfinished", comparison.errors),
    ):
        if sentences:
            parts += [title, "\n".join(f"- {_inline(s)}" for s in sentences)]
    parts.append("## Runs")
    for number, row in rows:
        seeds = row["seeds"].split()
        lines = [
            f"Row {number}, epoch selected on {row['selection']}, "
            f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}:\n"
        ]
        lines += [f"- {_inline(file)}" for file in row["files"].split(" | ")]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def write_comparison(comparison, folder):
    """Write `report.csv`, `report.png` and `report.md`.

    Arguments
    ---------
    comparison : Comparison
        Of `compare_runs`.
    folder : str or Path
        Where to write; made if it does not exist.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If the folder cannot be written to.

    Example
    -------
    The one in the description of this module.
    """
    folder = Path(folder)
    with refuse_unwritable(folder):
        with replacing(folder / "report.csv") as part:
            comparison.table.to_csv(part, float_format="%.6g")
        plot_comparison(comparison, folder / "report.png")
        with replacing(folder / "report.md") as part:
            part.write_text(format_comparison(comparison), encoding="utf-8")
    return [folder / f"report.{suffix}" for suffix in ("csv", "png", "md")]
