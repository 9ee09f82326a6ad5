"""The files that a run leaves behind: results, predictions, figures, table.

`write_run` writes all of it in one call, the last step of an experiment:

>>> from afpt_plugin.results.output import write_run
>>> from afpt_plugin.task import Task
>>> folder = getfixture("tmp_path")
>>> heads = ("zero_shot", "coarse")
>>> results = dict.fromkeys(REQUIRED_KEYS)
>>> results["metrics"] = {head: {"acc": 1.0} for head in heads}
>>> per_class = {name: {"acc": 1.0, "n": 1} for name in ("dog", "rain")}
>>> results["per_class"] = dict.fromkeys(heads, per_class)
>>> logits = dict.fromkeys(heads, torch.eye(2))
>>> task = Task("Pets", ["dog", "rain"])
>>> paths = write_run(folder, results, ["1", "2"], torch.eye(2), logits, task)
>>> [path.name for path in paths]
['predictions.csv', 'per_class.png', 'confusion.png', 'results.json']

A file appears under its name only once it is complete, and `results.json`
comes last: where it exists, the run has finished.

Authors
 * The afpt_plugin developers 2026
"""

import json
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing
from afpt_plugin.metrics import confusion, target_rank
from afpt_plugin.results.figures import (
    head_title,
    plot_confusion,
    plot_per_class,
    plot_training,
)

#: The heads of a learner with fine scores, and of the baseline beside it.
HEADS = (
    *("zero_shot", "zero_shot_fine", "zero_shot_ensemble"),
    *("coarse", "fine", "ensemble"),
)
REQUIRED_KEYS = (
    *("dataset", "n_recordings", "n_left_out", "clap", "seed", "selection"),
    *("identity", "metrics", "per_class", "timings", "versions"),
)
_PACKAGES = "afpt_plugin speechbrain torch torchaudio msclap transformers numpy"


def baseline_head(head):
    """The baseline's counterpart of a learner's head.

    Arguments
    ---------
    head : str
        ``coarse``, ``fine`` or ``ensemble``.

    Returns
    -------
    str

    Example
    -------
    >>> baseline_head("coarse"), baseline_head("fine")
    ('zero_shot', 'zero_shot_fine')
    """
    return "zero_shot" if head == "coarse" else f"zero_shot_{head}"


def primary_head(heads):
    """The head that a run is judged by: the ensemble where there is one.

    Arguments
    ---------
    heads : iterable of str
        Those of the baseline do not count.

    Returns
    -------
    str

    Example
    -------
    >>> primary_head(["coarse", "fine", "ensemble"]), primary_head(["coarse"])
    ('ensemble', 'coarse')
    """
    learned = [head for head in heads if not head.startswith("zero_shot")]
    return "ensemble" if "ensemble" in learned else learned[0]


def _missing_keys(results):
    """Names of the required keys that `results` lacks."""
    missing = [key for key in REQUIRED_KEYS if key not in results]
    if "metrics" not in missing and "zero_shot" not in results["metrics"]:
        missing.append("metrics.zero_shot")
    return missing


def write_results(folder, results):
    """Write `results.json`, keys in the order given.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    results : dict
        Has every key of `REQUIRED_KEYS`; `results["metrics"]` has `zero_shot`
        and the learner's heads. A value that does not apply to this run is
        None.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If a required key is missing or a number is NaN or infinite.

    Example
    -------
    >>> results = dict.fromkeys(REQUIRED_KEYS)
    >>> results["metrics"] = dict.fromkeys(HEADS, {"acc": 0.5})
    >>> write_results(getfixture("tmp_path"), results).name
    'results.json'
    """
    if missing := _missing_keys(results):
        raise ValueError(f"results lack {', '.join(missing)}")
    text = json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False)
    path = Path(folder) / "results.json"
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")


def read_results(path):
    """Read a `results.json` and prove it complete.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict
        As given to `write_results`.

    Raises
    ------
    InputError
        If there is no such file, it is not JSON or a required key is missing.

    Example
    -------
    >>> results = dict.fromkeys(REQUIRED_KEYS)
    >>> results["metrics"] = dict.fromkeys(HEADS, {"acc": 0.5})
    >>> path = write_results(getfixture("tmp_path"), results)
    >>> read_results(path)["metrics"]["fine"]
    {'acc': 0.5}
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        results = json.loads(text, parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(
            f"{path}: the file cannot be read ({error.strerror}); give the "
            "results.json of a finished run"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the file is not JSON ({error}); run the recipe again"
        ) from error
    is_dict = isinstance(results, dict)
    if not is_dict or not isinstance(results.get("metrics", {}), dict):
        raise InputError(
            f"{path}: the file does not hold the results of a run; remove it"
        )
    if missing := _missing_keys(results):
        raise InputError(
            f"{path}: the file lacks {', '.join(missing)}; version 0.1 of the "
            "package or another program wrote it, so run the recipe again"
        )
    return results


def write_predictions(folder, ids, targets, class_names, logits):
    """Write `predictions.csv`, one row a recording.

    Columns: `id`; `label`, the true names joined by `|`; and for each head its
    predicted class and, for single-label targets, `<head>_score` (the softmax
    of the logits) and `<head>_rank` (place of the true label, 1 is right), or
    for multi-label targets `<head>_logit`.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    ids : list of str
        One for each of the N recordings.
    targets : torch.Tensor
        Class indices [N] or multi-hot labels [N, C].
    class_names : list of str
        The C names.
    logits : dict
        Head to its logits [N, C].

    Returns
    -------
    Path
        The file written.

    Example
    -------
    >>> path = write_predictions(
    ...     getfixture("tmp_path"), ["1.wav"], torch.tensor([1]),
    ...     ["dog", "rain"], {"coarse": torch.tensor([[0.0, 3.0]])},
    ... )
    >>> print(path.read_text())
    id,label,coarse,coarse_score,coarse_rank
    1.wav,rain,rain,0.952574,1
    """
    import pandas as pd

    targets = torch.as_tensor(targets).cpu()
    single_label = targets.ndim == 1
    shape = (len(ids), len(class_names))
    shapes = {head: tuple(values.shape) for head, values in logits.items()}
    # Class indices take the place of a row of scores.
    shapes["targets"] = (*targets.shape, shape[1])[:2]
    if wrong := [name for name, found in shapes.items() if found != shape]:
        raise ValueError(
            f"{', '.join(wrong)}: the shape is not that of {shape[0]} ids and "
            f"{shape[1]} class names"
        )
    names = np.asarray(class_names, dtype=object)
    if single_label:
        labels = names[targets.numpy()]
    else:
        labels = ["|".join(names[row]) for row in targets.bool().numpy()]
    table = {"id": ids, "label": labels}
    for head, values in logits.items():
        values = values.detach().cpu().double()  # [N, C]
        # numpy's argmax takes the first of equals, as the metrics do.
        best = values.numpy().argmax(axis=1)  # [N]
        table[head] = names[best]
        if single_label:
            scores = values.softmax(dim=1).numpy()  # [N, C]
            table[f"{head}_score"] = scores[np.arange(len(best)), best]
            table[f"{head}_rank"] = target_rank(values, targets)
        else:
            table[f"{head}_logit"] = values.amax(dim=1).numpy()
    path = Path(folder) / "predictions.csv"
    with replacing(path) as part:
        pd.DataFrame(table).to_csv(part, index=False, float_format="%.6g")
    return path


def format_table(metrics, metric_name, per_class=None):
    """Compare the heads as plain text for a terminal or a log.

    Arguments
    ---------
    metrics : dict
        Head to its metrics, as in `results.json`.
    metric_name : str
        Which of the metrics, in 0..1.
    per_class : dict, optional
        Class name to its metrics and ``n``, the number of its recordings;
        classes without any are named below the table.

    Returns
    -------
    str
        The metric in percent, and in points the difference to the plain
        baseline and to the baseline's same head.

    Example
    -------
    >>> print(format_table(
    ...     {"zero_shot": {"acc": 0.8}, "zero_shot_ensemble": {"acc": 0.75},
    ...      "coarse": {"acc": 0.9125}, "ensemble": {"acc": 0.795}}, "acc",
    ... ))
                         acc [%]  vs zero-shot  same head
    zero-shot              80.00
    zero-shot, ensemble    75.00         -5.00
    coarse                 91.25        +11.25     +11.25
    ensemble               79.50         -0.50      +4.50
    """
    import pandas as pd

    percent = 100 * pd.Series({h: m[metric_name] for h, m in metrics.items()})
    same_head = percent.reindex(map(baseline_head, percent.index)).to_numpy()
    table = pd.DataFrame(
        {
            f"{metric_name} [%]": percent.map("{:.2f}".format),
            "vs zero-shot": (percent - percent["zero_shot"]).map(
                "{:+.2f}".format
            ),
            "same head": (percent - same_head).map("{:+.2f}".format),
        }
    ).replace("+nan", "")
    table.loc["zero_shot", "vs zero-shot"] = ""
    table = table.rename(index=head_title)
    lines = [line.rstrip() for line in table.to_string().splitlines()]
    untested = [n for n, entry in (per_class or {}).items() if not entry["n"]]
    if untested:
        lines.append(
            f"{len(untested)} of {len(per_class)} classes have no recording "
            f"and do not count: {'; '.join(untested)}"
        )
    return "\n".join(lines)


def package_versions():
    """Versions of what a result depends on.

    Returns
    -------
    dict
        Package name to version, None where it is not installed.

    Example
    -------
    >>> package_versions()["torch"].split(".")[0]
    '2'
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES.split():
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def peak_memory_mb():
    """The most memory that this process has held so far.

    Returns
    -------
    float
        Resident memory in MB; None where the platform does not tell (Windows).

    Example
    -------
    >>> peak_memory_mb() > 1
    True
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)


def write_run(folder, results, ids, targets, logits, task):
    """Write everything a finished run leaves behind.

    `predictions.csv`, `training.png` (if the run trained), `per_class.png`
    (the baseline against the primary head), `confusion.png` (of the primary
    head, for single-label targets only) and, last, `results.json`.

    Arguments
    ---------
    folder : str or Path
        Where to write; made if it does not exist.
    results : dict
        See `write_results`. `history` and `selected_epoch`, if there, are
        drawn by `plot_training`.
    ids : list of str
        One for each of the N recordings.
    targets : torch.Tensor
        Multi-hot labels [N, C].
    logits : dict
        Head to logits [N, C]; `zero_shot` among them.
    task : Task
        What was learned.

    Returns
    -------
    list of Path
        The files written.

    Example
    -------
    The one in the description of this module.
    """
    if missing := _missing_keys(results):
        raise ValueError(f"results lack {', '.join(missing)}")
    folder, names = Path(folder), task.class_names
    if not task.multi_label:
        targets = targets.argmax(1)  # [N]
    paths = [write_predictions(folder, ids, targets, names, logits)]
    if results.get("history"):
        paths.append(folder / "training.png")
        plot_training(
            results["history"],
            paths[-1],
            task.metric,
            results["metrics"]["zero_shot"][task.metric],
            results.get("selected_epoch"),
        )
    primary = primary_head(logits)
    before, after = (
        {
            name: entry[task.class_metric]
            for name, entry in results["per_class"][head].items()
        }
        for head in ("zero_shot", primary)
    )
    paths.append(folder / "per_class.png")
    plot_per_class(before, after, paths[-1], task.class_metric)
    if not task.multi_label:
        matrix = confusion(logits[primary], targets)
        paths.append(folder / "confusion.png")
        plot_confusion(matrix, names, paths[-1])
    return [*paths, write_results(folder, results)]
