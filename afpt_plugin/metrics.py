"""Metrics over a whole test set: accuracy, mAP, lwlrap, and values per class.

Every function takes the scores of *all* recordings at once. A mean of
per-batch means would weigh the recordings of a short last batch more than the
others, and average precision has no meaning within a batch.

In single-label results, ties are resolved the same way everywhere: the class
that comes first wins, so accuracy, ranks and confusion agree.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
import torch

from afpt_plugin.errors import InputError


def _as_arrays(scores, targets, multi_label):
    """Check that both arguments fit, and return them as numpy arrays."""
    # Double precision holds every value of the smaller types exactly, and
    # numpy has no bfloat16.
    scores = torch.as_tensor(scores).detach().cpu().double().numpy()
    targets = torch.as_tensor(targets).detach().cpu().double().numpy()
    n, n_classes = scores.shape
    if targets.shape != ((n, n_classes) if multi_label else (n,)):
        raise ValueError(f"scores {scores.shape}, but targets {targets.shape}")
    if scores.size == 0:
        raise InputError(
            f"There is nothing to evaluate, {n} recordings of {n_classes} "
            "classes: check the test manifest"
        )
    bad_rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if bad_rows.size:
        raise ValueError(
            f"scores of {bad_rows.size} of {n} recordings are NaN or infinite, "
            f"first in row {bad_rows[0]}; check that recording and whether "
            "training diverged"
        )
    known = range(2 if multi_label else n_classes)
    wrong = ~np.isin(targets, known)
    if wrong.any():
        raise InputError(
            f"row {np.argwhere(wrong)[0][0]}: target {targets[wrong][0]:g} is "
            f"not one of 0 to {known[-1]}"
        )
    return scores, targets.astype(int)


def target_rank(logits, targets):
    """Rank of the true class among all classes, 1 for the best.

    Arguments
    ---------
    logits : torch.Tensor
        Score of each class [N, C].
    targets : torch.Tensor
        True class indices [N].

    Returns
    -------
    numpy.ndarray
        Ranks from 1 to C [N].

    Example
    -------
    >>> logits = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    >>> target_rank(logits, torch.tensor([1, 0])).tolist()
    [1, 3]
    """
    logits, targets = _as_arrays(logits, targets, multi_label=False)
    true = np.take_along_axis(logits, targets[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < targets[:, None]
    before = (logits > true) | ((logits == true) & earlier)
    return 1 + before.sum(axis=1)


def confusion(logits, targets):
    """Count recordings by true class (rows) and predicted class (columns).

    The arguments are those of `target_rank`. The result is a numpy array
    [C, C]; a class without recordings has a row, too.

    Example
    -------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> confusion(logits, torch.tensor([0, 1, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    from sklearn.metrics import confusion_matrix

    logits, targets = _as_arrays(logits, targets, multi_label=False)
    return confusion_matrix(
        targets, logits.argmax(axis=1), labels=np.arange(logits.shape[1])
    )


def single_label_metrics(logits, targets, class_names):
    """Accuracy of a set whose recordings have one label each.

    Arguments
    ---------
    logits : torch.Tensor
        Score of each class [N, C]; any increasing function of it gives the
        same result.
    targets : torch.Tensor
        True class indices [N].
    class_names : list of str
        The C names, in the order of the scores.

    Returns
    -------
    dict
        `acc` and `acc_top5` in 0..1 (with up to five classes the latter is 1),
        and `per_class`: name to `{"acc": float or None, "n": int}`, None where
        the class has no recording.

    Raises
    ------
    ValueError
        If the set is empty, the shapes do not fit, a score is not finite or a
        target is not a class.

    Example
    -------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> result = single_label_metrics(
    ...     logits, torch.tensor([0, 1, 1]), ["dog", "rain"]
    ... )
    >>> round(result["acc"], 3), result["per_class"]["rain"]
    (0.667, {'acc': 0.5, 'n': 2})
    """
    matrix = confusion(logits, targets)
    hits, counts = matrix.diagonal().tolist(), matrix.sum(axis=1).tolist()
    return {
        "acc": sum(hits) / sum(counts),
        "acc_top5": float((target_rank(logits, targets) <= 5).mean()),
        "per_class": {
            name: {"acc": hit / n if n else None, "n": n}
            for name, hit, n in zip(class_names, hits, counts, strict=True)
        },
    }


def multi_label_metrics(scores, targets, class_names):
    """mAP and lwlrap of a set whose recordings have any number of labels.

    `mAP` is the plain mean of the average precision of the classes that have a
    positive recording. `lwlrap` is the label-weighted label-ranking average
    precision of DCASE 2019 task 2: over all labels of all recordings, the mean
    of the precision among the classes ranked down to that label.

    Arguments
    ---------
    scores : torch.Tensor
        Score of each class [N, C]. Average precision compares a class across
        recordings: use logits, not a softmax over the classes.
    targets : torch.Tensor
        Multi-hot labels [N, C].
    class_names : list of str
        The C names, in the order of the scores.

    Returns
    -------
    dict
        `mAP` and `lwlrap` in 0..1; `per_class`: name to
        `{"ap": float or None, "n": int}`, None where the class has no positive
        recording; `classes_without_positives`, which `mAP` leaves out;
        `n_without_label`, the recordings that `lwlrap` leaves out.

    Raises
    ------
    ValueError
        If the set is empty or has no label at all, the shapes do not fit, a
        score is not finite or a target is not 0 or 1.

    Example
    -------
    >>> scores = torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.1, 0.4]])
    >>> targets = torch.tensor([[1, 1, 0], [1, 0, 0]])
    >>> result = multi_label_metrics(scores, targets, ["dog", "rain", "bell"])
    >>> result["mAP"], round(result["lwlrap"], 3)
    (1.0, 0.833)
    >>> result["classes_without_positives"]
    ['bell']
    """
    from sklearn.metrics import (
        average_precision_score,
        label_ranking_average_precision_score,
    )

    scores, targets = _as_arrays(scores, targets, multi_label=True)
    n_labels = targets.sum(axis=1)  # [N]
    labelled = n_labels > 0
    if not labelled.any():
        raise InputError(
            "no recording has a label, so mAP and lwlrap are undefined; check "
            "the labels of the test manifest against the class names"
        )
    per_class = {}
    columns = zip(class_names, targets.T, scores.T, strict=True)
    for name, target, score in columns:
        n = int(target.sum())
        ap = float(average_precision_score(target, score)) if n else None
        per_class[name] = {"ap": ap, "n": n}
    present = [entry["ap"] for entry in per_class.values() if entry["n"]]
    lwlrap = label_ranking_average_precision_score(
        targets[labelled], scores[labelled], sample_weight=n_labels[labelled]
    )
    return {
        "mAP": float(np.mean(present)),
        "lwlrap": float(lwlrap),
        "per_class": per_class,
        "classes_without_positives": [
            name for name, entry in per_class.items() if not entry["n"]
        ],
        "n_without_label": int((~labelled).sum()),
    }
