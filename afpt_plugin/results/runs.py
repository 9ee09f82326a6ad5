"""Find, read, check and group the finished runs in a folder.

Runs that differ only in seed and fold form one group:

>>> import json
>>> folder = getfixture("tmp_path")
>>> names = {"dataset": "Pets", "clap": "mini", "method": "coop"}
>>> names |= {"learner": {"name": "PromptLearner"}}
>>> names |= {"supervision": {"kind": "shots", "k": 4}}
>>> for fold in "12":
...     run = dict.fromkeys(REQUIRED_KEYS) | {"fold": fold, "identity": names}
...     run["metrics"] = {"zero_shot": {"acc": 0.5}, "coarse": {"acc": 0.7}}
...     (folder / fold).mkdir()
...     text = json.dumps(run)
...     _ = (folder / fold / "results.json").write_text(text)
>>> found = find_runs(folder)
>>> [[run.name for run in runs] for runs in found.groups]
[['1/results.json', '2/results.json']]
>>> found.groups[0][0].names["method"], found.groups[0][0].names["k"]
('coop', '4')

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from afpt_plugin.errors import InputError
from afpt_plugin.files import read_bytes
from afpt_plugin.results.options import MAX_BYTES
from afpt_plugin.results.output import is_baseline

# Keys of a results.json that the comparison needs, besides the identity's own.
REQUIRED_KEYS = "seed n_recordings identity metrics per_class".split()
# Types of values that are not null.
TYPES = dict.fromkeys(("seed", "n_recordings", "n_parameters"), int)
TYPES |= dict.fromkeys("fold run_kind clap_licence chosen.rule".split(), str)
TYPES |= dict.fromkeys("timings chosen calibration per_class".split(), dict)
TYPES |= {"timings.adapt_seconds": (int, float), "calibration.ece": dict}
TYPES |= {"history": list}
# Columns that name a row; rows of the same name differ in their settings.
NAMES = ["dataset", "metric", "clap", "method", "supervision", "k"]


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run."""

    path: Path  # path of its ``results.json``
    name: str  # the path below the searched folder
    results: dict  # the content of the file
    facts: dict  # the identity as dotted names and texts, without nulls
    names: dict  # a text for each of `NAMES`

    @property
    def cell(self):
        """Seed and fold as texts; without a fold, everything was tested."""
        return str(self.results["seed"]), self.results.get("fold") or ""

    def part(self, name):
        """A dict in the results, by its name; empty if it is missing."""
        return self.results.get(name) or {}

    def value(self, head, metric=None):
        """A head's metric, by default the run's own; NaN if it is missing."""
        values = self.results["metrics"].get(head, {})
        return values.get(metric or self.names["metric"], float("nan"))

    @functools.cached_property
    def predictions(self):
        """The table ``predictions.csv`` as texts, indexed by recording ID.

        Raises
        ------
        InputError
            If the file is missing or damaged, or repeats an ID.
        """
        try:
            table = pd.read_csv(
                self.path.with_name("predictions.csv"),
                dtype=str,
                na_filter=False,
            ).set_index("id")
        except (OSError, KeyError, ValueError) as error:
            raise self.unusable("predictions.csv", error) from error
        if not table.index.is_unique:
            raise InputError(
                f"the predictions.csv of {self.name} repeats an id"
            )
        return table

    def unusable(self, source, error):
        """Make an `InputError` that says why a file of the run is unusable."""
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        return InputError(
            f"the {source} of {self.name} cannot be used ({reason})"
        )


class Found(NamedTuple):
    """The result of `find_runs`."""

    groups: list  # lists of `Run`, one run for each seed and fold
    duplicates: list  # sentences about runs with a newer one of the same cell
    errors: list  # sentences about damaged, unfinished and overlapping runs
    failed: list  # sentences about cells of a sweep that failed


def _find_paths(folder):
    """Find all results, and make sentences about unfinished and failed runs."""
    paths, errors, failed = [], [], []

    def complain(path, fault, where=errors):
        """Record what is wrong with a file."""
        where.append(f"{Path(path).relative_to(folder).as_posix()}: {fault}")

    def unreadable(error):
        """Record a folder or file that cannot be read."""
        complain(error.filename, f"it cannot be read ({error.strerror})")

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        if "results.json" in files:
            paths.append(Path(parent, "results.json"))
            continue
        try:
            if "error.txt" in files:
                text = read_bytes(Path(parent, "error.txt"), MAX_BYTES)
                # The first line is the reason, the second the command.
                reason = text.decode(errors="replace").strip().split("\n")[0]
                complain(parent, reason or "no reason is given", failed)
            # A settings.json is from `afpt tune`, which tests nothing.
            elif "env.log" in files and "settings.json" not in files:
                settings = Path(parent, "hyperparams.yaml")
                settings = read_bytes(settings, MAX_BYTES)
                # Ignore other SpeechBrain experiments.
                if b"afpt_plugin.results." in settings:
                    fault = "the run has not finished; start it again"
                    complain(parent, fault)
        except OSError as error:
            unreadable(error)
    return paths, errors, failed


def _flatten(value, name=""):
    """Yield dotted names and texts of nested JSON values, without nulls."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    elif value is not None:
        text = json.dumps(value, ensure_ascii=False)
        text = value if isinstance(value, str) else text
        # Twelve hex digits are enough for a reader to compare.
        yield name, text[:12] if name.endswith("fingerprint") else text


def _read_run(path, name):
    """Read a run and check that its numbers can be averaged."""
    try:
        results = json.loads(read_bytes(path, MAX_BYTES).decode())
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
    for key, kind in TYPES.items():
        value = results
        for part in key.split("."):
            value = (value or {}).get(part)
        wrong = not isinstance(value, (kind, type(None)))
        if wrong or isinstance(value, bool):
            raise InputError(
                f"{name}: {key} is {value!r:.60}, which no run writes; run the "
                "recipe again"
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
    k = "-"
    if supervision == "shots":
        k = facts.get("supervision.k", "all")
    elif "supervision.source" in facts:
        supervision += f": {facts['supervision.source']}"
    method = facts.get("method", learner)
    values = (dataset, metric, clap, method, supervision, k)
    names = dict(zip(NAMES, values, strict=True))
    return Run(path, name, results, facts, names)


def _newest(runs):
    """Choose the newest run of each cell; make sentences about the others."""
    newest, sentences = {}, []
    for run in sorted(runs, key=lambda r: (r.path.stat().st_mtime_ns, r.name)):
        seed, fold = run.cell
        if older := newest.get(run.cell):
            same = run.results["metrics"] == older.results["metrics"]
            cell = f"seed ({seed})" + (f" and fold ({fold})" if fold else "")
            sentences.append(
                f"{older.name} is not counted: {run.name} is newer and has the "
                f"same identity and {cell}; their metrics "
                f"{'are equal' if same else 'differ'}"
            )
        newest[run.cell] = run
    # Sort numbers as texts: a shorter one is smaller.
    order = sorted(newest, key=lambda cell: [(len(t), t) for t in cell])
    return [newest[cell] for cell in order], sentences


def _refuse_overlap(runs):
    """Refuse runs of one seed that test a recording twice."""
    seen = {}
    for run in runs:
        try:
            ids = run.predictions.index
        except InputError:
            continue  # there is no interval, and the table says why
        for id in ids:
            other = seen.setdefault((run.cell[0], id), run)
            if other is not run:
                raise InputError(
                    f"{run.name}: its fold and that of {other.name} overlap, "
                    f"since both test {id}; all runs of this identity are left "
                    "out, so move the runs of one of these folds away"
                )


def _order(group):
    """Sort key of rows: zero-shot first, then captions, then the others."""
    run = group[0]
    kind = run.facts["supervision.kind"]
    k = run.names["k"]
    return (
        *(run.names["dataset"], run.names["metric"], run.names["clap"]),
        {"nothing": 0, "captions": 1}.get(kind, 2),
        *(run.names["method"], run.names["supervision"], (len(k), k)),
        sorted(run.facts.items()),
    )


def find_runs(folder):
    """Find the runs below a folder, one per identity, seed and fold: `Found`.

    If a cell (an identity, seed and fold) has two runs, only the newest counts,
    by the file's time: a repetition is not a second sample, and an error would
    make users delete files to see a table.

    Raises
    ------
    InputError
        If there is no such folder or no finished run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give that of your runs")
    paths, errors, failed = _find_paths(folder)
    groups, counted, duplicates = {}, [], []
    for path in paths:
        try:
            run = _read_run(path, path.relative_to(folder).as_posix())
        except InputError as error:
            errors.append(str(error))
            continue
        key = (*run.names.values(), *sorted(run.facts.items()))
        groups.setdefault(key, []).append(run)
    for runs in groups.values():
        newest, sentences = _newest(runs)
        duplicates += sentences
        try:
            _refuse_overlap(newest)
        except InputError as error:
            errors.append(str(error))
        else:
            counted.append(newest)
    if not counted:
        reasons = sorted(errors) + sorted(failed)
        raise InputError(
            f"{folder}: neither this folder nor one below it holds a finished "
            "run" + "".join(f"; {reason}" for reason in reasons)
        )
    counted.sort(key=_order)
    return Found(counted, sorted(duplicates), sorted(errors), sorted(failed))
