"""Metrics over a whole test set: accuracy, mAP, lwlrap, per class.

Every function takes the scores of *all* recordings at once. A mean of
per-batch means would weigh the recordings of a short last batch more than the
others, and average precision has no meaning within a batch.

Equal scores are resolved the same way everywhere in a single-label result:
the class that comes first wins, so accuracy, ranks and confusion agree.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
import torch

from afpt_plugin.errors import InputError


def _checked(scores, targets, multi_label):
    """Both arguments as numpy arrays, once they are proved to fit."""
    # Double precision holds every value of the smaller types exactly, and
    # numpy knows no bfloat16.
    scores = torch.as_tensor(scores).detach().cpu().double().numpy()
    targets = torch.as_tensor(targets).detach().cpu()
    if scores.ndim != 2:
        raise ValueError(
            f"scores must be [recordings, classes], not {list(scores.shape)}"
        )
    wanted = scores.shape if multi_label else scores.shape[:1]
    if tuple(targets.shape) != wanted:
        raise ValueError(
            f"targets must have the shape {list(wanted)} to go with scores "
            f"{list(scores.shape)}, not {list(targets.shape)}"
        )
    if scores.size == 0:
        raise InputError(
            f"nothing to evaluate: scores are {list(scores.shape)}; check "
            "that the test manifest has recordings and classes"
        )
    bad_rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if bad_rows.size:
        raise ValueError(
            f"scores of {bad_rows.size} of {len(scores)} recordings are NaN "
            f"or infinite, first in row {bad_rows[0]}; check that recording "
            "and whether training diverged"
        )
    if multi_label:
        if not ((targets == 0) | (targets == 1)).all():
            raise ValueError("multi-label targets must hold only 0 and 1")
        return scores, targets.long().numpy()
    if targets.dtype == torch.bool or targets.is_floating_point():
        raise ValueError(
            f"single-label targets must be class indices, not {targets.dtype}"
        )
    targets = targets.long().numpy()
    outside = np.flatnonzero((targets < 0) | (targets >= scores.shape[1]))
    if outside.size:
        raise InputError(
            f"row {outside[0]}: target {targets[outside[0]]} is not one of "
            f"the {scores.shape[1]} classes"
        )
    return scores, targets


def _check_class_names(class_names, n_classes):
    """Refuse names that would not give one entry a class."""
    if len(class_names) != n_classes:
        raise ValueError(
            f"{len(class_names)} class names for scores of {n_classes} classes"
        )
    if len(set(class_names)) != n_classes:
        raise InputError("class names must differ from one another")


def target_rank(logits, targets):
    """Place of the true class among all classes, 1 for the first.

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

    Raises
    ------
    ValueError
        If the shapes do not fit, the set is empty, a score is not finite or a
        target is no class.

    Example
    -------
    >>> logits = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    >>> target_rank(logits, torch.tensor([1, 0])).tolist()
    [1, 3]
    """
    logits, targets = _checked(logits, targets, multi_label=False)
    true = np.take_along_axis(logits, targets[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < targets[:, None]
    before = (logits > true) | ((logits == true) & earlier)
    return 1 + before.sum(axis=1)


def confusion(logits, targets, n_classes):
    """Count recordings by true class (rows) and predicted class (columns).

    Arguments
    ---------
    logits : torch.Tensor
        Score of each class [N, C].
    targets : torch.Tensor
        True class indices [N].
    n_classes : int
        C; also the classes without recordings get a row.

    Returns
    -------
    numpy.ndarray
        Counts [C, C].

    Raises
    ------
    ValueError
        If the shapes do not fit, the set is empty, a score is not finite or a
        target is no class.

    Example
    -------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> confusion(logits, torch.tensor([0, 1, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    from sklearn.metrics import confusion_matrix

    logits, targets = _checked(logits, targets, multi_label=False)
    if logits.shape[1] != n_classes:
        raise ValueError(
            f"scores of {logits.shape[1]} classes, but n_classes is {n_classes}"
        )
    return confusion_matrix(
        targets, logits.argmax(axis=1), labels=np.arange(n_classes)
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
        If the shapes do not fit, the set is empty, a score is not finite, a
        target is no class or a class name occurs twice.

    Example
    -------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> result = single_label_metrics(
    ...     logits, torch.tensor([0, 1, 1]), ["dog", "rain"]
    ... )
    >>> round(result["acc"], 3), result["per_class"]["rain"]
    (0.667, {'acc': 0.5, 'n': 2})
    """
    matrix = confusion(logits, targets, len(class_names))
    _check_class_names(class_names, len(matrix))
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
        If the shapes do not fit, the set is empty or has no label at all, a
        score is not finite, a target is not 0 or 1, or a class name occurs
        twice.

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

    scores, targets = _checked(scores, targets, multi_label=True)
    _check_class_names(class_names, scores.shape[1])
    n_labels = targets.sum(axis=1)
    labelled = n_labels > 0
    if not labelled.any():
        raise InputError(
            "no recording has a label, so mAP and lwlrap are undefined; check "
            "the labels of the test manifest against the class names"
        )
    per_class = {}
    for name, target, score in zip(
        class_names, targets.T, scores.T, strict=True
    ):
        n = int(target.sum())
        ap = float(average_precision_score(target, score)) if n else None
        per_class[name] = {"ap": ap, "n": n}
    present = [entry["ap"] for entry in per_class.values() if entry["n"]]
    return {
        "mAP": float(np.mean(present)),
        "lwlrap": float(
            label_ranking_average_precision_score(
                targets[labelled],
                scores[labelled],
                sample_weight=n_labels[labelled],
            )
        ),
        "per_class": per_class,
        "classes_without_positives": [
            name for name, entry in per_class.items() if not entry["n"]
        ],
        "n_without_label": int((~labelled).sum()),
    }
