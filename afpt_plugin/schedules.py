"""Learning rates that depend only on the epoch, so that runs can resume.

Authors
 * The afpt_plugin developers 2026
"""

import math


class CosineScheduler:
    """Half a cosine from the full rate towards zero, called once per epoch.

    This is CoOp's schedule (https://arxiv.org/abs/2109.01134,
    ``configs/trainers``). The first epoch has a small rate of its own, so that
    the first steps cannot destroy the initialization. As in CoOp's library,
    Dassl, the cosine starts from the full rate in the second epoch, and so
    stops one step before its end.

    Arguments
    ---------
    lr : float
        The full rate.
    epochs : int
        Number of epochs of the whole training.
    warmup_lr : float, optional
        Rate of the first epoch; by default the cosine covers it, too.

    Example
    -------
    >>> schedule = CosineScheduler(0.002, epochs=4, warmup_lr=1e-5)
    >>> [round(schedule(epoch)[1], 6) for epoch in (1, 2, 3, 4)]
    [1e-05, 0.002, 0.001707, 0.001]
    """

    def __init__(self, lr, epochs, warmup_lr=None):
        self.lr, self.epochs, self.warmup_lr = lr, epochs, warmup_lr

    def __call__(self, epoch):
        """Rates of the previous and of this epoch, which is counted from 1."""
        return self._rate(epoch - 1), self._rate(epoch)

    def _rate(self, epoch):
        if epoch <= 1 and self.warmup_lr is not None:
            return self.warmup_lr
        # The warmup epoch is not part of the cosine.
        step = epoch - 1 - (self.warmup_lr is not None)
        return self.lr * (1 + math.cos(math.pi * step / self.epochs)) / 2


def coop_epochs(k):
    """CoOp's number of epochs for ``k`` shots per class (its ``scripts/coop``).

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
