"""Split and draw labeled items so that every class gets its share.

Authors
 * The afpt_plugin developers 2026
"""

import warnings
from collections import Counter

import numpy as np

from afpt_plugin.errors import InputError


def iterative_folds(target, n_folds, seed=0):
    """Split items, each with one label or several, into similar folds.

    Iterative stratification (Sechidis et al. 2011, "On the Stratification of
    Multi-Label Data", algorithm 1): the items of the rarest label are dealt out
    first. Each goes to the fold that lacks the label most or, among equals,
    lacks items most.

    Arguments
    ---------
    target : numpy.ndarray
        Multi-hot, [N, n_classes].
    n_folds : int
        Number of folds; the returned array, [N], numbers them from 0.
    seed : int
        Seed of the order among equals.

    Example
    -------
    >>> iterative_folds(np.repeat(np.eye(2), 2, axis=0), 2).reshape(2, 2).sum(1)
    array([1, 1])
    """
    rng = np.random.default_rng(seed)
    target = np.asarray(target) > 0  # [N, n_classes]
    fold = np.full(len(target), -1)  # [N]
    # What each fold still lacks
    items = np.full(n_folds, len(target) / n_folds)  # [n_folds]
    labels = np.tile(
        target.sum(0) / n_folds, (n_folds, 1)
    )  # [n_folds, n_classes]

    def deal(indices, wanted):
        """Deal items out; ``wanted()`` tells how much each fold lacks one."""
        for index in rng.permutation(indices):
            ranks = np.lexsort((rng.random(n_folds), items, wanted()))
            best = fold[index] = ranks[-1]
            items[best] -= 1
            labels[best, target[index]] -= 1

    while (left := target[fold < 0].sum(0)).any():
        label = np.where(left > 0, left, len(target) + 1).argmin()
        deal(
            np.flatnonzero((fold < 0) & target[:, label]),
            lambda label=label: labels[:, label],
        )
    deal(np.flatnonzero(fold < 0), lambda: items)
    return fold


def folds_by_source(keys, labels, sources, n_folds):
    """Split recordings into balanced folds that share no source.

    Every process and every run makes the same folds, wherever the files lie.

    Arguments
    ---------
    keys : list of str
        A unique name for each of the N recordings; their order does not matter.
    labels : list of str
        The class of each recording.
    sources : list of str
        The original that each recording was cut from.
    n_folds : int
        Number of folds; the returned list numbers them from 1.

    Raises
    ------
    InputError
        If there are fewer sources than folds, or fewer than two folds.

    Example
    -------
    >>> folds_by_source(list("abcd"), ["dog"] * 4, ["1", "1", "2", "2"], 2)
    [2, 2, 1, 1]
    """
    from sklearn.model_selection import StratifiedGroupKFold

    largest = int(max(np.unique(labels, return_counts=True)[1]))
    most = min(len(set(sources)), largest)
    if type(n_folds) is not int or not 2 <= n_folds <= most:
        allowed = f"2 to {most}" if most > 1 else "none"
        raise InputError(
            f"source_folds is {n_folds!r}; these recordings allow {allowed}, "
            "since no fold may lack a source, and some class has to be in all"
        )
    order = np.argsort(np.asarray(keys), kind="stable")
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    labels, sources = (np.asarray(part)[order] for part in (labels, sources))
    folds = np.zeros(len(order), dtype=int)  # [N]
    with warnings.catch_warnings():
        # A class may have fewer recordings than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        parts = splitter.split(order, labels, sources)
        for fold, (_, tested) in enumerate(parts, start=1):
            folds[order[tested]] = fold
    return folds.tolist()


def draw_shots(target, sources, k, seed=0, drawn=()):
    """Draw indices of labeled items, ``k`` per class, as varied as possible.

    A class takes one item of each source before a second one of any. If items
    have several labels, the rarest class draws first (as in `iterative_folds`),
    and an item counts for all its classes.

    Arguments
    ---------
    target : numpy.ndarray
        Multi-hot, [N, n_classes].
    sources : list of str
        The original that each item was cut from.
    k : int, optional
        Number of items per class, or all items where a class has fewer; None
        draws all items.
    seed : int
        Seed of the draw.
    drawn : list of int
        Indices that an earlier draw took: they are not drawn again, and items
        that share a source with them come last.

    Example
    -------
    >>> draw_shots(np.ones((3, 1)), ["a", "a", "b"], 2, seed=1)
    [0, 2]
    """
    target = np.asarray(target) > 0  # [N, n_classes]
    if k is None:
        return np.flatnonzero(target.any(1)).tolist()
    order = np.random.default_rng(seed).permutation(len(target))
    # How many items of a class and source were taken, in this draw or before
    taken = Counter(
        (label, sources[index])
        for index in drawn
        for label in np.flatnonzero(target[index])
    )
    chosen = {}  # in the order of the draw
    # Rarest first, so that a frequent class does not use up its items.
    for label in np.argsort(target.sum(0), kind="stable"):
        own = [int(index) for index in order if target[index, label]]
        n_wanted = k - sum(index in chosen for index in own)
        turns, ranked = taken.copy(), []
        for index in own:
            if index not in chosen and index not in drawn:
                ranked.append((turns[label, sources[index]], index))
                turns[label, sources[index]] += 1
        ranked.sort(key=lambda pair: pair[0])  # stable: ties keep their order
        for _, index in ranked[: max(0, n_wanted)]:
            chosen[index] = True
            for other in np.flatnonzero(target[index]):
                taken[other, sources[index]] += 1
    return list(chosen)
