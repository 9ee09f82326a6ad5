"""Compare finished runs: means over seeds and folds, paired differences.

The `identity` in a run's `results.json` holds everything that decides the run's
numbers, except for seed and fold. Runs of the same identity are averaged; each
identity is a row of the table, with notes on how the rows differ:

>>> from afpt_plugin.results.compare import compare_runs
>>> from afpt_plugin.results.output import write_results
>>> from afpt_plugin.results.runs import REQUIRED_KEYS
>>> folder = getfixture("tmp_path")
>>> names = {"dataset": "Pets", "clap": "mini", "learner": {"name": "Template"}}
>>> for seed, acc in ((1, 0.75), (2, 0.85)):
...     run = dict.fromkeys(REQUIRED_KEYS) | {"seed": seed}
...     run["identity"] = {**names, "supervision": {"kind": "nothing"}}
...     run["metrics"] = {"zero_shot": {"acc": 0.5}, "coarse": {"acc": acc}}
...     write_results(folder / str(seed), run)
>>> row = compare_runs(folder).table.iloc[0]
>>> print(f"{row.coarse:.2f} +- {row.coarse_std:.3f}, {row.n_runs} runs")
0.80 +- 0.071, 2 runs

`afpt_plugin.results.runs` reads the runs, `afpt_plugin.results.pivot` makes the
summary, and `afpt_plugin.commands.report` writes the report.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import re
import textwrap
from typing import NamedTuple

import numpy as np
import pandas as pd

from afpt_plugin.errors import InputError
from afpt_plugin.results.output import (
    HEADS,
    baseline_head,
    is_baseline,
    primary_head,
)
from afpt_plugin.results.runs import NAMES, find_runs

# Each entry: columns that group the rows to compare, facts that must be equal
# within a group, and the reason why rows with other facts are not comparable.
COMPARABLE = (
    (NAMES[:2], "^(clips$|clip_)", "other clips were tested"),
    # The mean of the folds' mAP is not the mAP of all recordings together.
    (NAMES[:2], "^folds$", "other folds were tested one by one"),
    (NAMES[:2], r"^baseline\.", "the baseline is another"),
    (NAMES[:3], "^clap_fingerprint$", "the backbone has other weights"),
)
# The parts of the identity that are settings of the method.
SETTING = re.compile("^(learner|training)[.]")
# Descriptions of the rules that select an epoch, see `RunResults`.
EPOCHS = {
    "captions": "epoch: lowest loss on held-out items",
    "audio": "epoch: best on the test set",
    None: "last epoch",
}


class Comparison(NamedTuple):
    """The result of `compare_runs`."""

    table: pd.DataFrame  # a row for each kind of run, numbers in 0..1
    heads: list  # the heads in the table, the baseline's first
    cells: pd.DataFrame  # a row for each run: row, seed, fold, value
    marks: list  # sentences about rows that are not comparable
    notes: dict  # data set -> paragraphs about its rows
    duplicates: list  # sentences about runs with a newer one of the same cell
    errors: list  # sentences about damaged, unfinished and overlapping runs
    failed: list  # sentences about cells of a sweep that failed


def bootstrap_interval(differences, sources=None):
    """Compute the 95 % bootstrap interval of the mean of N differences.

    It is a percentile interval, which is defined even if all differences are
    equal. The generator is seeded, so that the same runs give the same report.

    Arguments
    ---------
    differences : list of float
        N >= 2 numbers.
    sources : list, optional
        The source that each item was cut from. Whole sources are resampled (a
        cluster bootstrap), since clips of one recording are not independent.

    Example
    -------
    >>> low, high = bootstrap_interval([0, 1] * 50)
    >>> 0.35 < low < 0.45, 0.55 < high < 0.65
    (True, True)
    >>> low, high = bootstrap_interval([0, 1] * 50, [0, 1] * 50)
    >>> low, high
    (0.0, 1.0)
    """
    from scipy.stats import bootstrap

    differences = pd.Series(differences, dtype=float)  # [N]
    groups = differences.index if sources is None else list(sources)
    clusters = differences.groupby(groups, sort=False)
    sums, sizes = clusters.sum().to_numpy(), clusters.size().to_numpy()  # [S]
    interval = bootstrap(
        (sums, sizes),
        lambda sums, sizes, axis: sums.sum(axis) / sizes.sum(axis),
        paired=True,
        vectorized=True,
        confidence_level=0.95,
        method="percentile",
        # 9,999 resamples of a whole test set would not fit into memory.
        batch=max(1, 2_000_000 // max(1, len(sums))),
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _pairs(run, head, base):
    """`head` minus `base`: by recording (1 if right, else 0) or class (AP)."""
    metric = run.names["metric"]
    if metric == "acc":
        source, columns = "predictions.csv", [f"{head}_rank", f"{base}_rank"]
        values = run.predictions
    else:
        source, columns = "per_class", [head, base]
        values = run.results["per_class"]
    try:
        values = pd.DataFrame(values)[columns]
        if metric == "acc":
            values = values.astype(int).eq(1)
        else:
            values = values.map(lambda entry: entry["ap"])
        values = values.astype(float).dropna()
    except (KeyError, TypeError, ValueError) as error:
        raise run.unusable(source, error) from error
    pairs = values.iloc[:, 0] - values.iloc[:, 1]
    gain = run.value(head) - run.value(base)
    if not abs(pairs.mean() - gain) < 1e-6:
        raise InputError(
            f"the {source} of {run.name} does not give the metrics reported"
        )
    return pairs


def _interval(runs, head, base):
    """Compute the mean gain and its interval.

    The last result says what was resampled, or why there is no interval. The
    differences are first averaged over the seeds. For single labels, the
    recordings of all folds are resampled, grouped by source; the interval
    covers other recordings of this kind. For several labels, a recording has no
    average precision, so the classes are resampled, whose mean AP is the mAP;
    the interval covers other classes of this kind, and is wide if there are few
    classes. Seeds are not resampled: three values have only ten resamples.
    """
    unit = "recordings" if runs[0].names["metric"] == "acc" else "classes"
    try:
        seeds = {}
        for run in runs:
            seeds.setdefault(run.cell[0], []).append(_pairs(run, head, base))
        # A recording is in one fold, but a class may be in several.
        pairs = pd.concat(
            [
                pd.concat(folds).groupby(level=0, sort=False).mean()
                for folds in seeds.values()
            ],
            axis=1,
        )
        if pairs.isna().any(axis=None):
            raise InputError(f"the runs are not of the same {unit}")
        pairs = pairs.mean(axis=1)
        sources = own = pairs.index.to_series()
        if unit == "recordings":
            table = pd.concat([run.predictions for run in runs])
            table = table[~table.index.duplicated()].loc[pairs.index]
            sources = table.get("source", own)
            sources = sources.where(sources.fillna("") != "", own)
            if sources.nunique() < len(pairs):
                unit = "sources"
        if sources.nunique() < 2:
            raise InputError(f"there are fewer than two {unit}")
    except InputError as error:
        gain = np.mean([run.value(head) - run.value(base) for run in runs])
        return gain, np.nan, np.nan, f"none: {error}"
    over = f"{sources.nunique()} {unit}"
    return pairs.mean(), *bootstrap_interval(pairs, sources), over


def _rule(runs):
    """Describe how hyperparameters and the epoch were chosen."""
    rules = []
    if any(fact.startswith("training.") for fact in runs[0].facts):
        selection = runs[0].facts.get("selection")
        rules.append(EPOCHS.get(selection, f"epoch: {selection}"))
    for run in runs:
        rules.append(run.part("chosen").get("rule"))
    return "; ".join(dict.fromkeys(filter(None, rules))) or "-"


def _clips(runs):
    """Identify the tested recordings and their labels by number and hash."""
    tested = set()
    for run in runs:
        try:
            tested |= set(run.predictions["label"].items())
        except (InputError, KeyError):
            return "unknown, since predictions.csv cannot be used"
    digest = hashlib.sha256(repr(sorted(tested)).encode()).hexdigest()
    return f"{len(tested)} recordings ({digest[:12]})"


def _summary(runs, heads):
    """Make a row of the table."""
    results, facts = runs[0].results, runs[0].facts
    debug = facts.get("debug") == "true"
    primary = primary_head(results["metrics"])
    seeds, folds = (
        list(dict.fromkeys(t))
        for t in zip(*(r.cell for r in runs), strict=True)
    )
    folds = sorted(filter(None, folds), key=lambda fold: (len(fold), fold))
    counts = [run.results.get("n_parameters") for run in runs]
    licences = [run.results.get("clap_licence") for run in runs]
    seconds = [run.part("timings").get("adapt_seconds") for run in runs]
    # Calibration errors of the probabilities, in 0..1
    eces = [run.part("calibration").get("ece", {}).get(primary) for run in runs]
    if "learner.learned.dataset" in facts:
        # These runs only tested a learner from another run.
        seconds = [np.nan]
    # NaN if a run does not have the value
    counts, seconds, eces = (
        np.mean(pd.to_numeric(np.array(part, object), errors="coerce"))
        for part in (counts, seconds, eces)
    )
    row = {
        **runs[0].names,
        "learner": facts["learner.name"],
        "kind": "debug run" if debug else results.get("run_kind"),
        "clap_licence": " | ".join(sorted(set(filter(None, licences)))) or None,
        "template": facts.get("baseline.templates"),
        "clips": _clips(runs),
        "n_runs": len(runs),
        "seeds": " ".join(seeds),
        "folds": " ".join(folds),
        "chosen_by": _rule(runs),
        "n_parameters": counts,
        "adapt_seconds": seconds,
        "primary": primary,
        "ece": eces,
    }
    for metric, prefix in ((row["metric"], ""), ("lwlrap", "lwlrap_")):
        values = [[run.value(head, metric) for head in heads] for run in runs]
        values = pd.DataFrame(values, columns=heads, dtype=float)
        row |= values.mean(skipna=False).add_prefix(prefix).to_dict()
        # The sample standard deviation; NaN for a single run.
        std = values.std(skipna=False).add_prefix(prefix).add_suffix("_std")
        row |= std.to_dict()
    for gain, base in (
        ("vs_zero_shot", "zero_shot"),
        ("vs_same_head", baseline_head(primary)),
    ):
        ends = _interval(runs, primary, base)
        names = (gain, f"{gain}_low", f"{gain}_high", f"{gain}_over")
        row |= dict(zip(names, ends, strict=True))
    row["files"] = " | ".join(run.name for run in runs)
    return row


def _name_settings(table, facts):
    """Distinguish rows of the same name, and describe how they differ.

    A setting of the method that differs between rows of one data set also
    appears in the names of rows of other data sets and of another k.
    """
    settings = pd.Series("", table.index)
    notes = {dataset: [] for dataset in table["dataset"].unique()}
    for _, named in table.groupby(NAMES[2:-1], sort=False):
        shared = {}
        for (dataset, _), alike in named.groupby(["dataset", "k"], sort=False):
            own = facts.loc[alike.index]
            own = own.loc[:, own.nunique() > 1]
            if own.empty:
                continue
            shared |= dict.fromkeys(own)
            rows = ", ".join(map(str, alike.index))
            lines = [
                f"Rows {rows} share a name but are not averaged, since they differ:\n"
            ]
            for fact, values in own.items():
                parts = [
                    f"{value} in row {', '.join(map(str, same.index))}"
                    for value, same in values.groupby(values, sort=False)
                ]
                lines.append(f"- {fact}: {'; '.join(parts)}")
            notes[dataset].append("\n".join(lines))
        counts = named.groupby(["dataset", "k"])["k"].transform("size")
        order = sorted(shared, key=lambda name: not name.startswith("learner."))
        for row in named.index:
            parts = [
                f"{SETTING.sub('', name)}: {facts[name][row]}"
                for name in order
                if counts[row] > 1 or SETTING.match(name)
            ]
            settings[row] = textwrap.shorten(
                ", ".join(parts), 60, placeholder=" ..."
            )
    return settings, notes


def _mark_rows(table, facts):
    """Mark rows that are not comparable with others of their data set."""
    marks, sentences = pd.Series("", table.index), []
    facts = facts.assign(clips=table["clips"])
    # Runs of single folds have no common hash of the data ("not set").
    for _, same in facts.groupby("clips"):
        hashes = same["data_fingerprint"]
        if hashes[hashes != "not set"].nunique() > 1:
            facts.loc[same.index, "clips"] += ", data " + hashes
    facts["folds"] = facts["folds"].where(table["metric"] == "mAP", "any")
    for names, pattern, reason in COMPARABLE:
        for _, rows in table.groupby(names, sort=False):
            own = facts.loc[rows.index].filter(regex=pattern)
            if own.empty:
                continue
            keys = own.apply(tuple, axis=1)
            usual = own.loc[keys.map(keys.value_counts()).idxmax()]
            for _, other in own.groupby(keys, sort=False):
                values = other.iloc[0]
                differing = [
                    f"{name}: {value}; theirs: {usual[name]}"
                    for name, value in values[values != usual].items()
                ]
                if not differing:
                    continue
                mark = f"[{len(sentences) + 1}]"
                marks[other.index] += mark
                sentences.append(
                    f"{mark} {rows['dataset'].iloc[0]}, row "
                    f"{', '.join(map(str, other.index))}: not comparable with "
                    f"the rows without this mark, because {reason} "
                    f"({'; '.join(differing)})"
                )
    return marks, sentences


def compare_runs(folder):
    """Average the runs below a folder that differ only in seed and fold.

    Arguments
    ---------
    folder : str or Path
        The folder, searched with all folders below it, see `find_runs`.

    Returns
    -------
    Comparison
        For each head, the table has the mean and the sample standard deviation
        over all runs (`<head>_std`, NaN for a single run). It has the gain of
        the `primary` head over the plain baseline (`vs_zero_shot`) and over the
        baseline's same head (`vs_same_head`), in which each recording counts
        once. Each gain has a bootstrap interval (`_low`, `_high`), and `_over`
        says what was resampled, or why there is no interval. `settings`
        distinguishes rows of the same name. Rows with a `mark` are not
        comparable with the others of their data set. The index, from 1, numbers
        the rows.

    Raises
    ------
    InputError
        If there is no such folder or no finished run in it.
    """
    found = find_runs(folder)
    heads = dict.fromkeys(HEADS)
    for run in sum(found.groups, []):
        heads |= dict.fromkeys(run.results["metrics"])
    heads = sorted(heads, key=lambda head: not is_baseline(head))
    index = pd.RangeIndex(1, len(found.groups) + 1, name="row")
    table = pd.DataFrame(
        [_summary(runs, heads) for runs in found.groups], index
    )
    facts = pd.DataFrame([runs[0].facts for runs in found.groups], index)
    for fact in ("data_fingerprint", "folds"):
        facts[fact] = facts.get(fact)
    facts = facts.fillna("not set")
    settings, notes = _name_settings(table, facts)
    marks, sentences = _mark_rows(table, facts)
    table.insert(len(NAMES), "settings", settings)
    table.insert(len(NAMES) + 1, "mark", marks)
    cells = pd.DataFrame(
        [
            (row, *run.cell, run.value(table["primary"][row]))
            for row, runs in zip(index, found.groups, strict=True)
            for run in runs
        ],
        columns=["row", "seed", "fold", "value"],
    )
    for row, own in cells.groupby("row"):
        n_seeds, n_folds = own[["seed", "fold"]].nunique()
        if len(own) < n_seeds * n_folds:
            notes[table["dataset"][row]].append(
                f"Row {row} has {len(own)} runs, but {n_seeds} seeds and "
                f"{n_folds} folds: some of them are missing."
            )
    return Comparison(
        table,
        [head for head in heads if table[head].notna().any()],
        cells,
        sentences,
        notes,
        *found[1:],
    )
