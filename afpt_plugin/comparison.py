"""Compare finished runs: table, paired differences, figure.

`compare_runs` reads every `results.json` below a folder, averages runs that
differ in nothing but their seed, and says which it must not average:

>>> from afpt_plugin.comparison import compare_runs, write_comparison
>>> from afpt_plugin.report import HEADS, REQUIRED_KEYS, write_results
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
>>> [path.name for path in write_comparison(comparison, folder)]
['report.csv', 'report.png', 'report.md']

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing
from afpt_plugin.report import HEADS, read_results

# What a row of the table stands for.
IDENTITY = (
    "dataset",
    "clap",
    "learner",
    "supervision",
    "captions",
    "upstream_exact",
)
# What must be the same before two runs of one row may be averaged.
_FACTS = (
    "run_kind",
    "debug",
    "data_fingerprint",
    "n_recordings",
    "n_left_out",
    "clap_fingerprint",
    "selection",
    "prompt_template",
)
_DATA_FACTS = ("data_fingerprint", "n_recordings", "n_left_out", "left_out")
# Settings in a run's hyperparams.yaml that seeds, folders and loading change,
# or that `results.json` tells better.
_NO_EFFECT = re.compile(
    r"(seed|folder|file|dir|log)$|^(download|allow_missing|skip_prep|weights"
    r"|captions|recordings_per_batch|valid_loader_kwargs|test_loader_kwargs"
    r"|train_logger|checkpointer)$"
)
_METRICS = {"acc": "acc", "mAP": "ap"}  # of a set, and of a class
CONFIDENCE = 0.95


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


class _Run(NamedTuple):
    """A finished run; `path` is that of its `results.json`."""

    path: Path
    name: str
    results: dict
    facts: dict
    metric: str

    @property
    def row_key(self):
        """Equal for runs that may be averaged."""
        facts = sorted((name, str(fact)) for name, fact in self.facts.items())
        return _identity(self.results), tuple(facts)

    def value(self, head, metric):
        """A metric of a head; None where it does not apply."""
        return (self.results["metrics"][head] or {}).get(metric)


def _identity(results):
    """What sorts a run into the table, as texts."""
    return tuple(str(results.get(key)) for key in IDENTITY)


def _find_runs(folder):
    """Results, run folders without any, and folders that cannot be read."""
    results, unfinished, errors = [], [], []
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        folders.sort()
        if "results.json" in files:
            results.append(Path(parent) / "results.json")
        elif {"env.log", "hyperparams.yaml"} <= set(files):
            # Of SpeechBrain's experiments, those that tune prompts.
            if any(
                key.startswith("learner.")
                for key in _settings(Path(parent) / "hyperparams.yaml")
            ):
                unfinished.append(Path(parent))
    return results, unfinished, errors


def _settings(path):
    """A HyperPyYAML file as dotted names and texts; no tag is evaluated."""
    import yaml

    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        return {"hyperparams.yaml": "missing"}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {"hyperparams.yaml": "unreadable"}
    settings, seen = {}, set()

    def flatten(node, name):
        if id(node) in seen:  # an alias: its anchor has been compared
            return
        seen.add(id(node))
        tag = f"{node.tag} " if node.tag.startswith("!") else ""
        if isinstance(node, yaml.MappingNode):
            if tag:
                settings[f"{name}."] = tag.strip()
            for key, value in node.value:
                key = str(key.value)
                if not _NO_EFFECT.search(key):
                    flatten(value, f"{name}.{key}" if name else key)
        elif isinstance(node, yaml.SequenceNode):
            items = [
                str(item.value)
                if isinstance(item, yaml.ScalarNode)
                else yaml.serialize(item, Dumper=yaml.SafeDumper).strip()
                for item in node.value
            ]
            settings[name] = f"{tag}[{', '.join(items)}]"
        else:
            settings[name] = f"{tag}{node.value}"

    if root is not None:
        flatten(root, "")
    return settings


def _left_out(path, results):
    """Names of the recordings left out, as the prep script wrote them."""
    if not results["n_left_out"]:
        return ()
    try:
        prepared = json.loads(
            (path.parent / "save" / "prepare.json").read_text("utf-8")
        )
        return tuple(sorted(str(bad["ID"]) for bad in prepared["left_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ("unknown (no save/prepare.json)",)


def _read_run(path, name):
    """Read a run and prove that its numbers can be averaged."""
    results = read_results(path)
    metrics = results["metrics"]
    for head in HEADS:
        if not isinstance(metrics[head] or {}, dict):
            raise InputError(f"{path}: metrics.{head} is not a mapping")
        for metric, value in (metrics[head] or {}).items():
            if metric in (*_METRICS, "lwlrap") and not (
                isinstance(value, (int, float)) and 0 <= value <= 1
            ):
                raise InputError(
                    f"{path}: metrics.{head}.{metric} is {value!r}, not a "
                    "number from 0 to 1; run the experiment again"
                )
    found = [
        metric
        for metric in _METRICS
        if any(metric in (metrics[head] or {}) for head in HEADS)
    ]
    if len(found) != 1:
        raise InputError(
            f"{path}: holds {' and '.join(found) or 'no acc or mAP'}, so there "
            "is nothing to compare; was it a run without recordings?"
        )
    heads = [head for head in HEADS if found[0] in (metrics[head] or {})]
    facts = _settings(path.parent / "hyperparams.yaml")
    facts |= {fact: results.get(fact) for fact in _FACTS}
    facts["left_out"] = ", ".join(_left_out(path, results)) or "none"
    facts["metric"], facts["heads"] = found[0], ", ".join(heads)
    # The identity, told by `results.json`.
    facts = {k: v for k, v in facts.items() if k not in IDENTITY}
    return _Run(path, name, results, facts, found[0])


def _without_duplicates(runs):
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
        sentences.append(
            f"{older.name} is not counted: {run.name} is newer and has the "
            f"same seed ({seed}) and settings, "
            + (
                f"but other {' and '.join(differing)}"
                if differing
                else "and the same metrics"
            )
        )
    runs = sorted(newest.values(), key=lambda r: (_seed_order(r), r.name))
    return runs, sorted(sentences)


def _seed_order(run):
    seed = run.results["seed"]
    number = isinstance(seed, int)
    return not number, seed if number else 0, str(seed)


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


def _recording_differences(run):
    """Ensemble right minus zero-shot right, by recording."""
    path = run.path.with_name("predictions.csv")
    ranks = ["zero_shot_rank", "ensemble_rank"]
    try:
        table = pd.read_csv(
            path, usecols=["id", *ranks], dtype={"id": str}, na_filter=False
        )
        right = table.set_index("id")[ranks].astype(int) == 1
    except FileNotFoundError:
        raise InputError(f"predictions.csv missing beside {run.name}") from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"predictions.csv beside {run.name} is unreadable ({reason})"
        ) from error
    if not right.index.is_unique:
        raise InputError(f"predictions.csv beside {run.name} repeats an id")
    return right["ensemble_rank"].astype(int) - right["zero_shot_rank"]


def _class_differences(run):
    """Average precision of the ensemble minus zero-shot's, by class."""
    per_class = run.results["per_class"]
    try:
        before, after = (
            {name: entry["ap"] for name, entry in per_class[head].items()}
            for head in ("zero_shot", "ensemble")
        )
        differences = pd.Series(after, dtype=float) - pd.Series(
            before, dtype=float
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"no per_class AP in {run.name}") from None
    return differences.dropna()


def _interval(runs, difference):
    """Ends of the bootstrap interval, and over what or why there is none.

    What is resampled is what pairs, with the differences averaged over the
    seeds first. Single-label: the recordings, each right or wrong under both
    heads; the interval is about other recordings of this kind. Multi-label: a
    recording has no average precision and `predictions.csv` keeps but its best
    class, so the classes are resampled, whose mean AP is mAP; the interval is
    about other classes of this kind, and wide where they are few. Seeds are
    not resampled: three values have ten resamples.
    """
    single_label = runs[0].metric == "acc"
    measure = _recording_differences if single_label else _class_differences
    unit = "recordings" if single_label else "classes"
    try:
        pairs = pd.concat([measure(run) for run in runs], axis=1, join="outer")
        if pairs.isna().any(axis=None):
            raise InputError(f"the runs are not of the same {unit}")
        pairs = pairs.mean(axis=1)
        if len(pairs) < 2:
            raise InputError(f"fewer than two {unit}")
        if abs(pairs.mean() - difference) > 1e-6:
            source = "predictions.csv" if single_label else "per_class"
            raise InputError(f"{source} does not give the metrics reported")
    except InputError as error:
        return np.nan, np.nan, f"none: {error}"
    return *bootstrap_interval(pairs), f"{len(pairs)} {unit}"


def _summary(runs):
    """A row of the table."""
    first = runs[0].results
    row = {key: first.get(key) for key in (*IDENTITY, *_FACTS)}
    row["metric"] = runs[0].metric
    row["n_runs"] = len(runs)
    row["seeds"] = " ".join(str(run.results["seed"]) for run in runs)

    def add(name, values):
        values = pd.Series(values, dtype=float)
        row[name] = values.mean(skipna=False)
        row[f"{name}_std"] = values.std(ddof=1, skipna=False)

    for metric in (row["metric"], "lwlrap"):
        columns = {}
        for head in HEADS:
            name = head if metric == row["metric"] else f"{metric}_{head}"
            columns[head] = [run.value(head, metric) for run in runs]
            add(name, columns[head])
        if metric == row["metric"]:
            add(
                "difference",
                np.array(columns["ensemble"], dtype=float)
                - np.array(columns["zero_shot"], dtype=float),
            )
            row["low"], row["high"], row["interval_over"] = (
                (np.nan, np.nan, "none: a head is missing")
                if np.isnan(row["difference"])
                else _interval(runs, row["difference"])
            )
    row["files"] = " | ".join(run.name for run in runs)
    return row


def _differing(groups, scope, only=None):
    """Facts that differ between rows, as rows of `Comparison.differences`.

    `groups` maps the number of a row to its runs.
    """
    entries = []
    facts = {number: runs[0].facts for number, runs in groups.items()}
    told = {*_FACTS, "left_out", "metric", "heads", "hyperparams.yaml"}
    names = {name for fact in facts.values() for name in fact}
    if only is not None:
        names &= set(only)
    elif any("hyperparams.yaml" in fact for fact in facts.values()):
        # Where a run kept no settings, all of them differ: say only that.
        names &= told
    for name in sorted(names, key=lambda name: (name not in told, name)):
        absent = "kept" if name == "hyperparams.yaml" else "not set"
        values = {}
        for number, fact in facts.items():
            values.setdefault(str(fact.get(name, absent)), []).append(number)
        if len(values) < 2:
            continue
        for value, numbers in values.items():
            files = [run.name for n in numbers for run in groups[n]]
            entries.append((scope, name, value, tuple(numbers), tuple(files)))
    return entries


def _scopes(groups):
    """All differences between rows that a reader would set side by side."""

    def select(key):
        selected = {}
        for number, runs in groups.items():
            selected.setdefault(key(runs[0].results), {})[number] = runs
        return selected.items()

    entries = []
    for _, rows in select(_identity):
        if len(rows) > 1:
            results = next(iter(rows.values()))[0].results
            scope = ", ".join([str(results["dataset"]), *_names(results)])
            entries += _differing(rows, f"Not averaged: {scope}")
    # Between rows that nobody would average, but everybody compares.
    for key, label, facts in (
        ("dataset", "Recordings of", _DATA_FACTS),
        ("clap", "Backbone", ("clap_fingerprint",)),
    ):
        for value, rows in select(lambda results, key=key: str(results[key])):
            if len({_identity(runs[0].results) for runs in rows.values()}) > 1:
                entries += _differing(rows, f"{label} {value}", facts)
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
        same for `lwlrap_<head>`; `difference` (ensemble minus zero-shot), its
        `difference_std`, the bootstrap interval `low`, `high` and
        `interval_over` (what was resampled, or why there is none); `files`.
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
    paths, unfinished, unreadable = _find_runs(folder)
    runs, errors = (
        {},
        [
            f"{Path(error.filename).relative_to(folder).as_posix()}: cannot be "
            f"read ({error.strerror})"
            for error in unreadable
        ],
    )
    for path in unfinished:
        name = path.relative_to(folder).as_posix()
        errors.append(f"{name}: not finished, it has no results.json")
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            run = _read_run(path, name)
        except InputError as error:
            errors.append(name + str(error).removeprefix(str(path)))
        else:
            runs.setdefault(run.row_key, []).append(run)
    if not runs:
        raise InputError(
            f"{folder}: no finished run in it or below"
            + "".join(f"; {error}" for error in sorted(errors))
        )
    groups, duplicates = {}, []
    for number, key in enumerate(sorted(runs), start=1):
        groups[number], sentences = _without_duplicates(runs[key])
        duplicates += sentences
    table = pd.DataFrame(
        [_summary(group) for group in groups.values()],
        index=pd.RangeIndex(1, len(groups) + 1, name="row"),
    )
    return Comparison(table, _scopes(groups), duplicates, sorted(errors))


# Writing


def _names(row):
    """Backbone, learner and what it learned from, as the reader knows them."""
    supervision = str(row["supervision"])
    if row.get("captions") is not None:
        supervision += f": {row['captions']}"
    names = [str(row["clap"]), str(row["learner"]), supervision]
    return (
        [*names, "upstream_exact"] if row["upstream_exact"] is True else names
    )


def _dataset(row):
    """Name of the data set, with what keeps a row from being a benchmark."""
    marks = [str(row["run_kind"])] if row["run_kind"] is not None else []
    marks += ["debug"] if row["debug"] is True else []
    return str(row["dataset"]) + (f" ({', '.join(marks)})" if marks else "")


def _percent(value, std=np.nan, sign=""):
    if np.isnan(value):
        return "-"
    shown = f"{100 * value:{sign}.1f}"
    return shown if np.isnan(std) else f"{shown} ± {100 * std:.1f}"


def _inline(text):
    """Text that cannot end its cell or its line."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _markdown(frame):
    """A Markdown table whose columns are aligned in a terminal, too."""
    cells = [list(map(_inline, row)) for row in [frame.columns, *frame.values]]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True))
        for row in cells
    ]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join(
        [f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]
    )


def _marked(table):
    """Number of each row, with a * where others are of the same name."""
    alike = table[list(IDENTITY)].astype(str).duplicated(keep=False)
    return [f"{n}*" if alike[n] else str(n) for n in table.index]


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
    >>> from afpt_plugin.report import REQUIRED_KEYS, write_results
    >>> folder = getfixture("tmp_path")
    >>> run = dict.fromkeys(REQUIRED_KEYS, "x")
    >>> run["metrics"] = {head: {"acc": 0.5} for head in HEADS}
    >>> _ = write_results(folder, run)
    >>> print(format_comparison(compare_runs(folder)).splitlines()[0])
    # Comparison of runs
    """
    table = comparison.table
    rows = [row for _, row in table.iterrows()]
    numbers = _marked(table)
    results = pd.DataFrame(
        {
            "row": numbers,
            "data set": [_dataset(row) for row in rows],
            "recordings": table["n_recordings"].tolist(),
            "backbone": table["clap"].tolist(),
            "learner": table["learner"].tolist(),
            "supervision": [_names(row)[2] for row in rows],
            "upstream_exact": table["upstream_exact"].tolist(),
            "metric": table["metric"].tolist(),
            "runs": table["n_runs"].tolist(),
            **{
                head.replace("_", "-"): [
                    _percent(row[head], row[f"{head}_std"]) for row in rows
                ]
                for head in HEADS
            },
        }
    )
    gains = pd.DataFrame(
        {
            "row": numbers,
            "metric": table["metric"].tolist(),
            "difference": [
                _percent(row["difference"], row["difference_std"], "+")
                for row in rows
            ],
            f"{100 * CONFIDENCE:.0f} % interval": [
                "-"
                if np.isnan(row["low"])
                else f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
                for row in rows
            ],
            "resampled": table["interval_over"].tolist(),
        }
    )
    if table["lwlrap_ensemble"].notna().any():
        for head in ("zero_shot", "ensemble"):
            gains[f"lwlrap {head.replace('_', '-')}"] = [
                _percent(row[f"lwlrap_{head}"], row[f"lwlrap_{head}_std"])
                for row in rows
            ]
    parts = [
        "# Comparison of runs",
        "Metrics in %: mean ± sample standard deviation over runs that differ "
        "in nothing but\nthe seed; a single run has no deviation.",
        _markdown(results),
    ]
    if any(number.endswith("*") for number in numbers):
        parts.append(
            "Rows with a * look alike but must not be averaged: see Not "
            "comparable."
        )
    parts += [
        "## Ensemble minus zero-shot",
        "In percentage points, paired within each run. The interval is a "
        "bootstrap over what\npairs, after averaging over seeds: for acc the "
        "recordings (right or wrong), for mAP\nthe classes (average "
        "precision), since a recording has no average precision.",
        _markdown(gains),
        "![Comparison of runs](report.png)",
    ]
    if len(comparison.differences):
        parts += [
            "## Not comparable",
            "The files of each row are listed under Runs.",
        ]
        parts += [
            _format_scope(scope, entries)
            for scope, entries in comparison.differences.groupby(
                "scope", sort=False
            )
        ]
    for title, sentences in (
        ("## Counted once", comparison.duplicates),
        ("## Broken or unfinished", comparison.errors),
    ):
        if sentences:
            parts += [title, "\n".join(f"- {_inline(s)}" for s in sentences)]
    parts.append("## Runs")
    for number, row in zip(numbers, rows, strict=True):
        seeds = row["seeds"].split()
        lines = [
            f"Row {number}, epoch selected on {row['selection']}, "
            f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}:\n"
        ]
        lines += [f"- {_inline(file)}" for file in row["files"].split(" | ")]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _format_scope(scope, entries):
    lines = [f"{_inline(scope)}:\n"]
    for fact, values in entries.groupby("fact", sort=False):
        shown = []
        for _, entry in values.iterrows():
            value = entry["value"]
            if fact.endswith("fingerprint"):
                value = value[:12]
            word = "row" if len(entry["rows"]) == 1 else "rows"
            shown.append(
                f"{value} in {word} {', '.join(map(str, entry['rows']))}"
            )
        lines.append(f"- {_inline(fact)}: {_inline('; '.join(shown))}")
    return "\n".join(lines)


def plot_comparison(comparison, path):
    """Draw the heads of each row, with the deviation over seeds.

    Arguments
    ---------
    comparison : Comparison
        Of `compare_runs`.
    path : str or Path
        File to write; its suffix is the format.

    Returns
    -------
    Path
        The file written.

    Example
    -------
    >>> from afpt_plugin.report import REQUIRED_KEYS, write_results
    >>> folder = getfixture("tmp_path")
    >>> run = dict.fromkeys(REQUIRED_KEYS, "x")
    >>> run["metrics"] = {head: {"acc": 0.5} for head in HEADS}
    >>> _ = write_results(folder, run)
    >>> plot_comparison(compare_runs(folder), folder / "report.png").exists()
    True
    """
    from afpt_plugin.figures import _COLORS, _figure, _save, _tidy

    table = comparison.table
    places = np.arange(len(table))
    figure = _figure(8.5, 1.5 + 0.62 * len(table))
    axes = figure.subplots()
    _tidy(axes, "x")
    for offset, head in zip((-0.24, -0.08, 0.08, 0.24), HEADS, strict=True):
        axes.errorbar(
            100 * table[head],
            places + offset,
            xerr=100 * table[f"{head}_std"].fillna(0),
            fmt="o",
            markersize=5.5,
            capsize=2.5,
            linewidth=1.5,
            color=_COLORS[head],
            label=head.replace("_", "-"),
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
    labels = [
        f"{number}  {_dataset(row)}, {row['metric']}\n"
        f"{', '.join(_names(row))}; {row['n_runs']} "
        f"run{'s' if row['n_runs'] > 1 else ''}"
        for number, (_, row) in zip(
            _marked(table), table.iterrows(), strict=True
        )
    ]
    axes.set_yticks(places, labels, fontsize=8, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("acc or mAP [%], bars: standard deviation over seeds")
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(HEADS),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
    )
    return _save(figure, path)


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
    try:
        with replacing(folder / "report.csv") as part:
            comparison.table.to_csv(part, float_format="%.6g")
        plot_comparison(comparison, folder / "report.png")
        with replacing(folder / "report.md") as part:
            part.write_text(format_comparison(comparison), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror}); give another "
            "folder as --output"
        ) from error
    return [folder / f"report.{suffix}" for suffix in ("csv", "png", "md")]
