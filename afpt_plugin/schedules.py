"""Learning rates that follow from the epoch alone, so a resumed run has the same.

Authors
 * The afpt_plugin developers 2026
"""

import math


class CosineScheduler:
    """Half a cosine from the full rate towards zero, called once an epoch.

    CoOp's schedule (https://arxiv.org/abs/2109.01134, ``configs/trainers``): the
    first epoch has a small rate of its own, so that the first steps cannot
    throw the start away. As in its library, Dassl, the cosine then starts from
    the full rate in the second epoch, and so ends a step short of itself.

    Arguments
    ---------
    lr : float
        The full rate.
    epochs : int
        Of the whole training.
    warmup_lr : float, optional
        Of the first epoch; by default it is like the others.

    Example
    -------
    >>> schedule = CosineScheduler(0.002, epochs=4, warmup_lr=1e-5)
    >>> [round(schedule(epoch)[1], 6) for epoch in (1, 2, 3, 4)]
    [1e-05, 0.002, 0.001707, 0.001]
    """

    def __init__(self, lr, epochs, warmup_lr=None):
        self.lr, self.epochs, self.warmup_lr = lr, epochs, warmup_lr

    def __call__(self, epoch):
        """The rates of the epoch before and of this one, from 1."""
        return self._rate(epoch - 1), self._rate(epoch)

    def _rate(self, epoch):
        if epoch <= 1 and self.warmup_lr is not None:
            return self.warmup_lr
        # The warmup epoch does not count for the cosine.
        step = epoch - 1 - (self.warmup_lr is not None)
        return self.lr * (1 + math.cos(math.pi * step / self.epochs)) / 2


def coop_epochs(k):
    """CoOp's number of epochs with ``k`` shots a class (its ``scripts/coop``).

    Example
    -------
    >>> [coop_epochs(k) for k in (1, 4, 16, "all")]
    [50, 100, 200, 200]
    """
    if k in ("all", None):
        return 200
    if k < 2:
        return 50
    return 100 if k <= 4 else 200
