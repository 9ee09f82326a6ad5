"""Split and draw labeled items so that every class gets its share.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np


def iterative_folds(target, n_folds, seed=0):
    """Split items of one label or several into folds alike.

    Iterative stratification (Sechidis et al. 2011, "On the Stratification of
    Multi-Label Data", algorithm 1): the rarest label is dealt out first, each
    item to the fold that lacks the label most, then to the one that lacks
    items most.

    Arguments
    ---------
    target : numpy.ndarray
        Multi-hot, [N, n_classes].
    n_folds : int
        How many.
    seed : int
        Of the order among equals.

    Returns
    -------
    numpy.ndarray
        Fold of each item, 0 to ``n_folds - 1``, [N].

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
        """Give items away; ``wanted`` says how much a fold wants one."""
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
