"""Finished runs: where they are, what they are, what decides whether two differ.

A run is a folder with `results.json`, written by `afpt_plugin.results.run`, and the
settings of its experiment in `hyperparams.yaml`:

>>> from afpt_plugin.results.run import REQUIRED_KEYS, write_results
>>> folder = getfixture("tmp_path")
>>> results = dict.fromkeys(REQUIRED_KEYS, "x") | {"n_left_out": 0}
>>> results["metrics"] = {head: {"acc": 0.5} for head in HEADS}
>>> _ = write_results(folder / "first", results)
>>> paths, errors = find_runs(folder)
>>> run = read_run(paths[0], "first")
>>> run.metric, run.facts["left_out"], run.facts["hyperparams.yaml"]
('acc', 'none', 'missing')

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from afpt_plugin.errors import InputError
from afpt_plugin.results.run import HEADS, REQUIRED_HEADS, read_results

#: What a run is: one row of a table for each.
IDENTITY = [
    "dataset",
    "clap",
    "learner",
    "supervision",
    "captions",
    "upstream_exact",
]
#: What must be the same before two such runs may be averaged.
FACTS = [
    "run_kind",
    "debug",
    "data_fingerprint",
    "n_recordings",
    "n_left_out",
    "clap_fingerprint",
    "selection",
    "prompt_template",
]
# Settings in a run's hyperparams.yaml that seeds, folders and loading change,
# or that `results.json` tells better.
_NO_EFFECT = re.compile(
    r"(seed|folder|file|dir|log)$|^(download|allow_missing|skip_prep|weights"
    r"|captions|recordings_per_batch|valid_loader_kwargs|test_loader_kwargs"
    r"|train_logger|checkpointer)$"
)


class Run(NamedTuple):
    """A finished run.

    Arguments
    ---------
    path : Path
        Of its `results.json`.
    name : str
        What to call it.
    results : dict
        Of `read_results`; a head that does not apply has no metrics, `{}`.
    facts : dict
        What must be the same before runs are averaged, as texts: `FACTS`, all
        settings that may have an effect, and which recordings were left out.
    metric : str
        acc or mAP.
    """

    path: Path
    name: str
    results: dict
    facts: dict
    metric: str

    @property
    def key(self):
        """Equal for runs that may be averaged (tuple)."""
        identity = [str(self.results.get(key)) for key in IDENTITY]
        return identity, sorted(self.facts.items())


def find_runs(folder):
    """Find the runs in a folder and in all folders below it.

    Arguments
    ---------
    folder : Path
        Where to look.

    Returns
    -------
    paths : list of Path
        Of each `results.json`.
    errors : list of str
        Sentences about unfinished runs and folders that cannot be read.
    """
    paths, errors = [], []

    def complain(path, fault):
        name = Path(path).relative_to(folder).as_posix()
        errors.append(f"{name}: {fault}")

    def unreadable(error):
        complain(error.filename, f"cannot be read ({error.strerror})")

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        settings = Path(parent, "hyperparams.yaml")
        if "results.json" in files:
            paths.append(Path(parent, "results.json"))
        # Of SpeechBrain's experiments, those that tune prompts.
        elif {"env.log", settings.name} <= set(files) and any(
            key.startswith("learner.") for key in _settings(settings)
        ):
            complain(parent, "not finished, it has no results.json")
    return paths, errors


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
    """The recordings left out, as the prep script wrote them."""
    if not results["n_left_out"]:
        return "none"
    try:
        prepared = json.loads(
            (path.parent / "save" / "prepare.json").read_text("utf-8")
        )
        return ", ".join(sorted(str(bad["ID"]) for bad in prepared["left_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown (no save/prepare.json)"


def read_run(path, name):
    """Read a run and prove that its numbers can be averaged.

    Arguments
    ---------
    path : Path
        Of its `results.json`.
    name : str
        What to call it.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If the file is damaged or holds no metric, or one out of its range.
    """
    results = read_results(path)
    metrics = {head: results["metrics"].get(head) or {} for head in HEADS}
    for head, values in metrics.items():
        if not isinstance(values, dict):
            raise InputError(f"{path}: metrics.{head} is not a mapping")
        for metric, value in values.items():
            if metric in ("acc", "mAP", "lwlrap") and not (
                isinstance(value, (int, float)) and 0 <= value <= 1
            ):
                raise InputError(
                    f"{path}: metrics.{head}.{metric} is {value!r}, not a "
                    "number from 0 to 1; run the experiment again"
                )
    found = [
        metric
        for metric in ("acc", "mAP")
        if any(metric in values for values in metrics.values())
    ]
    if len(found) != 1:
        raise InputError(
            f"{path}: holds {' and '.join(found) or 'no acc or mAP'}, so there "
            "is nothing to compare; was it a run without recordings?"
        )
    (metric,) = found
    facts = {
        **_settings(path.parent / "hyperparams.yaml"),
        **{fact: results.get(fact) for fact in FACTS},
        "left_out": _left_out(path, results),
        "metric": metric,
        "heads": ", ".join(h for h in REQUIRED_HEADS if metric in metrics[h]),
    }
    # The identity is told by `results.json`.
    facts = {k: str(v) for k, v in facts.items() if k not in IDENTITY}
    results["metrics"] |= metrics
    return Run(path, name, results, facts, metric)
