"""Write the files of a run: results, predictions and figures; format its table.

`write_run` writes all files in one call, as the last step of an experiment:

>>> import torch
>>> from afpt_plugin.results.output import write_run
>>> from afpt_plugin.task import Task
>>> folder, task = getfixture("tmp_path"), Task("Pets", ["dog", "rain"])
>>> per_class = {name: {"acc": 1.0, "n": 1} for name in task.class_names}
>>> results = {"per_class": {"zero_shot": per_class, "coarse": per_class}}
>>> logits = {"zero_shot": torch.eye(2), "coarse": torch.eye(2)}
>>> write_run(folder, results, ["1", "2"], torch.eye(2), logits, task)
>>> sorted(path.name for path in folder.iterdir())
['confusion.png', 'per_class.png', 'predictions.csv', 'results.json']

A file appears under its name only when it is complete, and `results.json` is
written last: if it exists, the run has finished.

Authors
 * The afpt_plugin developers 2026
"""

import json
import platform
from pathlib import Path

import numpy as np

from afpt_plugin.files import replacing
from afpt_plugin.metrics import confusion, target_rank
from afpt_plugin.results.figures import (
    head_title,
    plot_confusion,
    plot_per_class,
    plot_reliability,
    plot_training,
)
from afpt_plugin.scoring.calibration import Calibration

#: The heads of a learner with fine scores, and of its baseline.
HEADS = (
    *("zero_shot", "zero_shot_fine", "zero_shot_ensemble"),
    *("coarse", "fine", "ensemble"),
)


def baseline_head(head):
    """Return the baseline's counterpart of a learner's head.

    Example
    -------
    >>> baseline_head("coarse"), baseline_head("fine")
    ('zero_shot', 'zero_shot_fine')
    """
    return "zero_shot" if head == "coarse" else f"zero_shot_{head}"


def is_baseline(head):
    """Whether a head belongs to the baseline and not to the learner."""
    return head.startswith("zero_shot")


def primary_head(heads):
    """Return the head that a run is judged by: the ensemble if there is one.

    It is always an inductive head; transductive heads are reported beside it.

    Example
    -------
    >>> primary_head(["coarse", "fine", "ensemble"])
    'ensemble'
    >>> primary_head(["zero_shot", "zero_shot_ensemble", "transductive", "coarse"])
    'coarse'
    """
    learned = [
        head
        for head in heads
        if not is_baseline(head) and head != "transductive"
    ]
    return "ensemble" if "ensemble" in learned else learned[0]


def write_results(folder, results):
    """Write `results.json` into a folder, which is made if it does not exist.

    Raises
    ------
    ValueError
        If a number is NaN or infinite.

    Example
    -------
    >>> write_results(getfixture("tmp_path"), {"seed": 1})
    """
    text = json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(Path(folder) / "results.json") as part:
        part.write_text(text + "\n", encoding="utf-8")


def write_predictions(
    folder,
    ids,
    targets,
    class_names,
    logits,
    sources=None,
    log_probabilities=None,
):
    """Write `predictions.csv`, one row per recording.

    The columns are `id`; `source`, if any is known; `label`, the true names
    joined by `|`; and for each head the predicted class, `<head>_score` (its
    probability) and, for single-label targets, `<head>_rank` (the rank of the
    true label; 1 is right).

    Arguments
    ---------
    folder : str or Path
        The folder to write to; made if it does not exist.
    ids : list of str
        IDs of the N recordings.
    targets : torch.Tensor
        Class indices [N] or multi-hot labels [N, C].
    class_names : list of str
        The C names.
    logits : dict
        Maps a head to its logits [N, C].
    sources : dict, optional
        Maps an ID to the source that the recording was cut from; a recording
        that is not in it has no longer source.
    log_probabilities : callable, optional
        Takes a head and its logits, see `RunCalibration.log_probabilities`; by
        default scores are not calibrated.

    Example
    -------
    >>> import torch
    >>> folder, targets = getfixture("tmp_path"), torch.tensor([1])
    >>> logits = {"coarse": torch.tensor([[0.0, 3.0]])}
    >>> write_predictions(folder, ["1.wav"], targets, ["dog", "rain"], logits)
    >>> print((folder / "predictions.csv").read_text())
    id,label,coarse,coarse_score,coarse_rank
    1.wav,rain,rain,0.952574,1
    """
    import pandas as pd

    targets = targets.cpu()
    single_label = targets.ndim == 1
    names = np.asarray(class_names, dtype=object)
    if single_label:
        labels = names[targets.numpy()]
    else:
        labels = ["|".join(names[row]) for row in targets.bool().numpy()]
    table = {"id": ids}
    sources = [(sources or {}).get(id) or "" for id in ids]
    if any(sources):
        table["source"] = sources
    table["label"] = labels
    for head, values in logits.items():
        values = values.detach().cpu().double()  # [N, C]
        # numpy's argmax takes the first of equal values, as the metrics do.
        best = values.numpy().argmax(axis=1)  # [N]
        table[head] = names[best]
        if log_probabilities is None:
            scores = Calibration(not single_label).log_probabilities(values)
        else:
            scores = log_probabilities(head, values)
        table[f"{head}_score"] = scores.amax(dim=1).exp().numpy()
        if single_label:
            table[f"{head}_rank"] = target_rank(values, targets)
    with replacing(Path(folder) / "predictions.csv") as part:
        pd.DataFrame(table).to_csv(part, index=False, float_format="%.6g")


def format_table(metrics, metric_name, per_class):
    """Compare the heads as plain text for a terminal or a log.

    It shows the metric in percent, and its differences to the plain baseline
    and to the baseline's same head in percentage points.

    Arguments
    ---------
    metrics : dict
        Maps a head to its metrics, as in `results.json`.
    metric_name : str
        The metric to show, in 0..1.
    per_class : dict
        Maps a class name to its metrics and to ``n``, the number of its
        recordings; classes without recordings are named below the table.

    Example
    -------
    >>> print(format_table(
    ...     {"zero_shot": {"acc": 0.8}, "zero_shot_ensemble": {"acc": 0.75},
    ...      "coarse": {"acc": 0.9125}, "ensemble": {"acc": 0.795}}, "acc", {},
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
    columns = {
        f"{metric_name} [%]": percent.map("{:.2f}".format),
        "vs zero-shot": (percent - percent["zero_shot"]).map("{:+.2f}".format),
        "same head": (percent - same_head).map("{:+.2f}".format),
    }
    table = pd.DataFrame(columns).replace("+nan", "")
    table.loc["zero_shot", "vs zero-shot"] = ""
    table = table.rename(index=head_title)
    lines = [line.rstrip() for line in table.to_string().splitlines()]
    if untested := [n for n, entry in per_class.items() if not entry["n"]]:
        lines.append(
            f"{len(untested)} of {len(per_class)} classes have no recording "
            f"and do not count: {'; '.join(untested)}"
        )
    return "\n".join(lines)


def write_run(
    folder,
    results,
    ids,
    targets,
    logits,
    task,
    sources=None,
    log_probabilities=None,
):
    """Write all files of a finished run.

    These are `predictions.csv`, `training.png` (if the run trained),
    `per_class.png` (the baseline against the primary head), `reliability.png`
    (if the results include the calibration), `confusion.png` (of the primary
    head, only for single-label targets) and, last, `results.json`.

    Arguments
    ---------
    folder, ids, logits, sources, log_probabilities
        See `write_predictions`; the head `zero_shot` is among ``logits``.
    results : dict
        See `RunResults.close_run`.
    targets : torch.Tensor
        Multi-hot labels [N, C].
    task : Task
        The task that was learned.
    """
    folder, names = Path(folder), task.class_names
    if not task.multi_label:
        targets = targets.argmax(1)  # [N]
    known = logits, sources, log_probabilities
    write_predictions(folder, ids, targets, names, *known)
    if results.get("history"):
        plot_training(
            results["history"],
            folder / "training.png",
            task.metric,
            results["metrics"]["zero_shot"][task.metric],
            results["selected_epoch"],
        )
    primary, metric = primary_head(logits), task.class_metric
    before, after = (
        {n: entry[metric] for n, entry in results["per_class"][head].items()}
        for head in ("zero_shot", primary)
    )
    n = {name: k["n"] for name, k in results["per_class"][primary].items()}
    plot_per_class(before, after, n, folder / "per_class.png", metric)
    if found := results.get("calibration"):
        errors = found["ece"][primary], found["ece_by_chance"]
        plot_reliability(found["bins"], errors, folder / "reliability.png")
    if not task.multi_label:
        matrix = confusion(logits[primary], targets)
        plot_confusion(matrix, names, folder / "confusion.png")
    write_results(folder, results)


def peak_memory_mb():
    """Peak memory of this process in MB; None if the platform does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
