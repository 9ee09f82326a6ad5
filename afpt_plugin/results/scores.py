"""Collect the logits of a whole set, since no metric is a mean over batches.

Authors
 * The afpt_plugin developers 2026
"""

import torch

from afpt_plugin.results.output import baseline_head, primary_head
from afpt_plugin.similarity import ensemble_logits
from afpt_plugin.transduction import expectation_maximization


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
        self._wholes, self._transduced = [], {}

    def add(self, ids, logits, targets, whole=None):
        """Add a batch: IDs, a dict of head to logits, and targets.

        Logits and targets are [B, n_classes] each. `transduce` also needs the
        embeddings of whole items, [B, D].
        """
        self.ids += ids
        # Keep them on their device: copying each batch would wait for a GPU.
        self._targets.append(targets)
        if whole is not None:
            self._wholes.append(whole)
        for head, values in logits.items():
            self._logits.setdefault(head, []).append(values.detach())

    def collect(self):
        """Join the batches, and add the ensemble of coarse and fine heads.

        The heads of `transduce` come last.

        Returns
        -------
        logits : dict of torch.Tensor
            Maps a head to its logits [N, n_classes].
        targets : torch.Tensor
            Multi-hot, [N, n_classes].
        """
        logits = {
            head: torch.cat(part).cpu() for head, part in self._logits.items()
        }
        heads = ("coarse", "fine", "ensemble")
        for coarse, fine, both in (heads, map(baseline_head, heads)):
            if coarse in logits and fine in logits:
                logits[both] = ensemble_logits(logits[coarse], logits[fine])
        return logits | self._transduced, torch.cat(self._targets).cpu()

    def transduce(self):
        """Score the whole set at once, see `afpt_plugin.transduction`.

        This adds the heads ``transductive``, from the primary head's logits,
        and ``zero_shot_transductive``, from the baseline's. Both are
        log-posteriors.
        """
        logits, _ = self.collect()
        features = torch.cat(self._wholes).cpu()  # [N, D]
        starts = {"transductive": primary_head(logits)}
        starts |= {baseline_head(new): "zero_shot" for new in starts}
        for new, head in starts.items():
            z = expectation_maximization(logits[head], features)
            # Metrics need finite scores.
            self._transduced[new] = z.clamp(min=torch.finfo(z.dtype).tiny).log()

    def measure(self, task, heads=None):
        """Compute the task's primary metric for each head, in 0..1.

        ``heads``, a function, selects from the heads' names.
        """
        logits, targets = self.collect()
        return {
            head: task.metrics(logits[head], targets)[task.metric]
            for head in (heads(logits) if heads else logits)
        }
