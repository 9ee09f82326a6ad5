"""Compare finished runs: means over seeds and paired differences.

A run says in its `results.json` what decides its numbers, except for the seed
(its `identity`). Runs of one identity are averaged; others are other rows, with
notes on what they differ in:

>>> from afpt_plugin.results.compare import compare_runs
>>> from afpt_plugin.results.output import write_results
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

`afpt_plugin.commands.report` writes the table.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import re
import textwrap
from pathlib import Path
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

# What the comparison reads of a results.json, beside the identity's own keys.
REQUIRED_KEYS = "seed n_recordings selection identity metrics per_class".split()
# What names a row; rows of one name differ in their settings.
NAMES = ["dataset", "metric", "clap", "learner", "supervision"]


class Run(NamedTuple):
    """A finished run."""

    path: Path  # of results.json
    name: str  # its path below the folder that is searched
    results: dict
    facts: dict  # the identity as dotted names and texts, without what is null
    names: dict  # a text for each of NAMES


class Comparison(NamedTuple):
    """What `compare_runs` finds."""

    table: pd.DataFrame  # a row for each kind of run, numbers in 0..1
    heads: list  # those in the table
    notes: dict  # data set -> paragraphs about rows that are not comparable
    duplicates: list  # sentences about runs with a newer one of the same seed
    errors: list  # sentences about damaged and unfinished runs


def _find_runs(folder):
    """Paths of all results below a folder, and sentences about the others."""
    paths, errors = [], []

    def complain(path, fault):
        """Remember what is wrong with a file."""
        errors.append(f"{Path(path).relative_to(folder).as_posix()}: {fault}")

    def unreadable(error):
        """Remember a folder that cannot be listed."""
        complain(error.filename, f"it cannot be read ({error.strerror})")

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        if "results.json" in files:
            paths.append(Path(parent, "results.json"))
            continue
        # `afpt tune`, which tests nothing, leaves a settings.json.
        if "env.log" not in files or "settings.json" in files:
            continue
        try:
            settings = Path(parent, "hyperparams.yaml").read_bytes()
        except OSError as error:
            unreadable(error)
            continue
        # Other SpeechBrain experiments are none of ours.
        if b"afpt_plugin.results." in settings:
            complain(parent, "the run has not finished; start it again")
    return paths, errors


def _flatten(value, name=""):
    """Dotted names and texts of nested JSON values, without null."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    elif value is not None:
        text = json.dumps(value, ensure_ascii=False)
        text = value if isinstance(value, str) else text
        # Nobody compares 64 hex digits.
        yield name, text[:12] if name.endswith("fingerprint") else text


def _read_run(path, name):
    """Read a run and prove that its numbers can be averaged."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{name}: the file cannot be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name}: the file is not JSON ({error}); run the recipe again"
        ) from error
    results = results if isinstance(results, dict) else {}
    metrics = results.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    for head, values in metrics.items():
        if not isinstance(values, dict):
            raise InputError(f"{name}: metrics.{head} is {values!r}")
        for key in sorted({"acc", "mAP", "lwlrap"} & set(values)):
            value = values[key]
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InputError(
                    f"{name}: metrics.{head}.{key} is {value!r}, not a number "
                    "from 0 to 1; run the recipe again"
                )
    metric = "acc" if "acc" in metrics.get("zero_shot", {}) else "mAP"
    learned = [head for head in metrics if not is_baseline(head)]
    facts = dict(_flatten(results.get("identity")))
    keys = ["dataset", "clap", "learner.name", "supervision.kind"]
    missing = [key for key in REQUIRED_KEYS if key not in results]
    missing += [f"identity.{key}" for key in keys if key not in facts]
    missing += [
        f"metrics.{head}.{metric}"
        for head in ["zero_shot", *(learned or ["coarse"])]
        if metric not in metrics.get(head, {})
    ]
    if missing:
        raise InputError(
            f"{name}: the file lacks {', '.join(missing)}; version 0.1 of the "
            "package or another program wrote it, so run the recipe again"
        )
    dataset, clap, learner, supervision = (facts[key] for key in keys)
    if "supervision.source" in facts:
        supervision += f": {facts['supervision.source']}"
    values = (dataset, metric, clap, learner, supervision)
    names = dict(zip(NAMES, values, strict=True))
    return Run(path, name, results, facts, names)


def _newest(runs):
    """The newest run of each seed, and sentences about the others."""
    newest, sentences = {}, []
    for run in sorted(runs, key=lambda r: (r.path.stat().st_mtime_ns, r.name)):
        seed = str(run.results["seed"])
        if older := newest.get(seed):
            same = run.results["metrics"] == older.results["metrics"]
            sentences.append(
                f"{older.name} is not counted: {run.name} is newer and has the "
                f"same identity and seed ({seed}); their metrics "
                f"{'are equal' if same else 'differ'}"
            )
        newest[seed] = run
    # Shorter numbers are smaller.
    seeds = sorted(newest, key=lambda seed: (len(seed), seed))
    return [newest[seed] for seed in seeds], sentences


def bootstrap_interval(differences):
    """The ends of the 95 % bootstrap interval of a mean of N >= 2 differences.

    Percentiles are defined even where all differences are equal. The generator
    is seeded, so that the same runs give the same report.

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
        confidence_level=0.95,
        method="percentile",
        # 9,999 resamples of a whole test set would not fit into memory.
        batch=max(1, 2_000_000 // max(1, len(differences))),
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _pairs(run, head, base):
    """`head` minus `base`: right or wrong by recording, or AP by class."""
    source = "predictions.csv"
    try:
        if run.names["metric"] == "mAP":
            source = "per_class"
            classes = pd.DataFrame(run.results["per_class"])[[head, base]]
            values = classes.map(lambda entry: entry["ap"]).astype(float)
            values = values.dropna()
        else:
            columns = ["id", f"{head}_rank", f"{base}_rank"]
            values = pd.read_csv(
                run.path.with_name(source),
                usecols=columns,
                dtype={"id": str},
                na_filter=False,
            ).set_index("id")[columns[1:]]
            values = values.astype(int).eq(1).astype(float)
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"the {source} of {run.name} cannot be used ({reason})"
        ) from error
    if not values.index.is_unique:
        raise InputError(f"the {source} of {run.name} repeats an id")
    return values.iloc[:, 0] - values.iloc[:, 1]


def _interval(runs, head, base, gain):
    """Ends of the bootstrap interval, and over what, or why there is none.

    Pairs are resampled, with the differences averaged over the seeds first.
    Single-label: the recordings, each right or wrong under both heads; the
    interval is about other recordings of this kind. Multi-label: a recording
    has no average precision, so the classes are resampled, whose mean AP is
    mAP; the interval is about other classes of this kind, and wide where they
    are few. Seeds are not resampled: three values have ten resamples.
    """
    unit = "recordings" if runs[0].names["metric"] == "acc" else "classes"
    try:
        pairs = pd.concat([_pairs(run, head, base) for run in runs], axis=1)
        if pairs.isna().any(axis=None):
            raise InputError(f"the runs are not of the same {unit}")
        pairs = pairs.mean(axis=1)
        if len(pairs) < 2:
            raise InputError(f"there are fewer than two {unit}")
        if not abs(pairs.mean() - gain) < 1e-6:
            raise InputError(f"the {unit} do not give the metrics reported")
    except InputError as error:
        return np.nan, np.nan, f"none: {error}"
    return *bootstrap_interval(pairs), f"{len(pairs)} {unit}"


def _summary(runs, heads):
    """A row of the table."""
    results = runs[0].results
    debug = runs[0].facts.get("debug") == "true"
    primary = primary_head(results["metrics"])
    row = {
        **runs[0].names,
        "kind": "debug run" if debug else results.get("run_kind"),
        "n_recordings": results["n_recordings"],
        "selection": results["selection"],
        "n_runs": len(runs),
        "seeds": " ".join(str(run.results["seed"]) for run in runs),
        "primary": primary,
    }
    gains = {
        "vs_zero_shot": "zero_shot",
        "vs_same_head": baseline_head(primary),
    }
    heads = list(dict.fromkeys([*heads, *gains.values()]))
    for metric, prefix in ((row["metric"], ""), ("lwlrap", "lwlrap_")):
        values = pd.DataFrame(
            [
                [r.results["metrics"].get(h, {}).get(metric) for h in heads]
                for r in runs
            ],
            columns=heads,
            dtype=float,
        )
        for gain, base in gains.items():
            values[gain] = values[primary] - values[base]
        mean, std = values.mean(skipna=False), values.std(skipna=False)
        row |= mean.add_prefix(prefix).to_dict()
        # Of a sample; a single run has none.
        row |= std.add_prefix(prefix).add_suffix("_std").to_dict()
    for gain, base in gains.items():
        ends = _interval(runs, primary, base, row[gain])
        names = (f"{gain}_low", f"{gain}_high", f"{gain}_over")
        row |= dict(zip(names, ends, strict=True))
    row["files"] = " | ".join(run.name for run in runs)
    return row


def _difference(facts, scope):
    """A paragraph about the facts that differ between rows, if any do."""
    lines = []
    for fact, values in facts.items():
        if values.nunique() > 1:
            shown = [
                f"{value} in row {', '.join(map(str, alike.index))}"
                for value, alike in values.groupby(values, sort=False)
            ]
            lines.append(f"- {fact}: {'; '.join(shown)}")
    rows = ", ".join(map(str, facts.index))
    return ["\n".join([f"Rows {rows} {scope}:\n", *lines])] if lines else []


def _settings(facts):
    """What tells each of some rows apart, the learner's settings first."""
    facts = facts.loc[:, facts.nunique() > 1]
    names = sorted(facts, key=lambda name: not name.startswith("learner."))
    for row, values in facts[names].iterrows():
        short = values.rename(lambda n: re.sub("^(learner|training)[.]", "", n))
        text = ", ".join(f"{name}: {value}" for name, value in short.items())
        yield row, textwrap.shorten(text, 60, placeholder=" ...")


def _compare_rows(table, facts):
    """Settings that tell rows of one name apart, and notes on what differs."""
    settings, notes = dict.fromkeys(table.index, ""), {}
    for dataset, rows in table.groupby("dataset", sort=False):
        found = []
        for _, alike in rows.groupby(NAMES, sort=False):
            own = facts.loc[alike.index]
            settings |= dict(_settings(own))
            scope = "share a name but differ, so they are not averaged"
            found += _difference(own, scope)
        if len(rows.drop_duplicates(NAMES)) > 1:
            scopes = {
                r"^(data_fingerprint|left_out|clip_options\.)": (
                    "were not tested on the same clips"
                ),
                r"^baseline\.": "were not compared with the same baseline",
            }
            for pattern, scope in scopes.items():
                own = facts.loc[rows.index].filter(regex=pattern)
                found += _difference(own, scope)
            for clap, alike in rows.groupby("clap", sort=False):
                own = facts.loc[alike.index].filter(["clap_fingerprint"])
                found += _difference(own, f"use different weights of {clap}")
        notes[dataset] = found
    return pd.Series(settings), notes


def compare_runs(folder):
    """Average the runs below a folder that differ in nothing but the seed.

    Of two runs with the same identity and seed the newest (by the file's time)
    counts: a repetition is not a second sample, and refusing would make a user
    delete files to see a table.

    Arguments
    ---------
    folder : str or Path
        Searched with all folders below it.

    Returns
    -------
    Comparison
        The table has, for each head, the mean and the sample standard deviation
        (`<head>_std`, NaN for a single run), and for the gain of the `primary`
        head over the plain baseline (`vs_zero_shot`) and over the baseline's
        same head (`vs_same_head`) also the bootstrap interval (`_low`, `_high`)
        and what was resampled or why there is none (`_over`). `settings` tells
        rows of one name apart. Its index, from 1, numbers the rows.

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
        raise InputError(f"{folder}: no such folder; give that of your runs")
    paths, errors = _find_runs(folder)
    groups, heads = {}, dict.fromkeys(HEADS)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            run = _read_run(path, name)
        except InputError as error:
            errors.append(str(error))
            continue
        heads |= dict.fromkeys(run.results["metrics"])
        key = (*run.names.values(), *sorted(run.facts.items()))
        groups.setdefault(str(key), []).append(run)
    errors.sort()
    if not groups:
        raise InputError(
            f"{folder}: neither this folder nor one below it holds a finished "
            "run" + "".join(f"; {error}" for error in errors)
        )
    newest, duplicates = [], []
    for _, runs in sorted(groups.items()):
        counted, sentences = _newest(runs)
        newest.append(counted)
        duplicates += sentences
    index = pd.RangeIndex(1, len(newest) + 1, name="row")
    table = pd.DataFrame([_summary(runs, [*heads]) for runs in newest], index)
    facts = pd.DataFrame([runs[0].facts for runs in newest], index)
    settings, notes = _compare_rows(table, facts.fillna("not set"))
    table.insert(len(NAMES), "settings", settings)
    heads = [head for head in heads if table[head].notna().any()]
    return Comparison(table, heads, notes, sorted(duplicates), errors)
