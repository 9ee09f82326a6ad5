"""Logits of a whole set, since no metric is a mean over batches.

Authors
 * The afpt_plugin developers 2026
"""

import torch

from afpt_plugin.results.output import baseline_head
from afpt_plugin.similarity import ensemble_logits


class Scores:
    """Logits and targets of a whole set, collected batch by batch.

    Example
    -------
    >>> scores = Scores()
    >>> part = torch.tensor([[1.0, 2.0]])
    >>> scores.add(["a"], {"coarse": part, "fine": part}, torch.eye(2)[:1])
    >>> logits, targets = scores.collect()
    >>> logits["ensemble"]
    tensor([[2., 4.]])
    """

    def __init__(self):
        self.ids, self._targets, self._logits = [], [], {}

    def add(self, ids, logits, targets):
        """Add a batch: IDs, head to logits, targets, [B, n_classes] each."""
        self.ids += ids
        self._targets.append(targets.cpu())
        for head, values in logits.items():
            self._logits.setdefault(head, []).append(values.detach().cpu())

    def collect(self):
        """Join the batches, and add the ensemble of coarse and fine heads.

        Returns
        -------
        logits : dict of torch.Tensor
            Head to [N, n_classes].
        targets : torch.Tensor
            Multi-hot, [N, n_classes].
        """
        logits = {head: torch.cat(part) for head, part in self._logits.items()}
        heads = ("coarse", "fine", "ensemble")
        for coarse, fine, both in (heads, map(baseline_head, heads)):
            if coarse in logits and fine in logits:
                logits[both] = ensemble_logits(logits[coarse], logits[fine])
        return logits, torch.cat(self._targets)

    def measure(self, task, heads=None):
        """The task's primary metric, a number in 0..1 for each head.

        ``heads``, a function, chooses from their names.
        """
        logits, targets = self.collect()
        return {
            head: task.metrics(logits[head], targets)[task.metric]
            for head in (heads(logits) if heads else logits)
        }
