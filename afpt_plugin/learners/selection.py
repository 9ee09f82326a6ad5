"""How a learner chooses its hyperparameters: on held-out items, never on a test.

One rule for all. Where items are held out, they decide; else a cross-validation
of the training items; and where no class has two of them, the published value
stays.

Authors
 * The afpt_plugin developers 2026
"""

import itertools

import numpy as np
import torch

from afpt_plugin.data.sampling import iterative_folds

MAX_FOLDS = 5


def choose(items, candidates, fit):
    """Choose one of several settings.

    Arguments
    ---------
    items : LabeledItems
        What is learned from, maybe with ``held_out`` ones.
    candidates : list
        The settings, the published one first: it stays if nothing can be
        compared, and wins ties that the loss does not break.
    fit : callable
        Takes `LabeledItems` and returns a function of a candidate and of
        embeddings [M, D], which gives their logits [M, n_classes].

    Returns
    -------
    best : object
        The candidate of the highest accuracy (of several labels: mean average
        precision), then of the lowest cross entropy.
    rule : str
        In a few words, for `Learner.chosen`.
    """
    return Search(items, fit).best(candidates)


class Search:
    """Scores of settings, each computed once; see `choose`."""

    def __init__(self, items, fit):
        self.multi_label = items.multi_label
        self.scores = {}
        if items.held_out is not None:
            parts = [(items, items.held_out)]
            self.rule = f"{len(items.held_out.whole)} held-out items"
        else:
            parts = _folds(items)
            self.rule = (
                f"{len(parts)}-fold cross-validation of the training items"
                if parts
                else "default, since no class has two items"
            )
        self.parts = [(fit(train), test) for train, test in parts]

    def score(self, candidate):
        """Metric and negative loss of a candidate over all parts."""
        if candidate not in self.scores:
            logits = [p(candidate, test.whole) for p, test in self.parts]
            targets = torch.cat([test.target for _, test in self.parts])
            self.scores[candidate] = _measure(
                torch.cat(logits).double(), targets, self.multi_label
            )
        return self.scores[candidate]

    def best(self, candidates):
        """The best of some candidates, and the rule."""
        if len(candidates) == 1:
            return candidates[0], "given"
        if not self.parts:
            return candidates[0], self.rule
        return max(candidates, key=self.score), self.rule


def grid(*axes):
    """All combinations of settings, those of the published values first.

    Arguments
    ---------
    *axes : tuple
        For each setting: what the user gave (None to choose), the published
        value, and all values to try.

    Example
    -------
    >>> grid((None, 2, (1, 2)), (5, 3, (3, 4)))
    [(2, 5), (1, 5)]
    """
    values = [
        [given]
        if given is not None
        else [published, *(v for v in tried if v != published)]
        for given, published, tried in axes
    ]
    return list(itertools.product(*values))


def _folds(items):
    """Pairs of training items and others, each class in as many as it can."""
    counts = [int(n) for n in items.target.sum(0) if n >= 2]
    if not counts:
        return []
    n_folds = min(MAX_FOLDS, *counts)
    fold = iterative_folds(items.target.cpu().numpy(), n_folds)  # [N]
    pairs = []
    for number in range(n_folds):
        inside = torch.as_tensor(fold == number, device=items.whole.device)
        train, test = (
            items._replace(
                whole=items.whole[mask],
                target=items.target[mask],
                held_out=None,
            )
            for mask in (~inside, inside)
        )
        pairs.append((train, test))
    return pairs


def _measure(logits, target, multi_label):
    """Accuracy or mAP, and the negative loss, of logits [N, n_classes]."""
    if multi_label:
        from sklearn.metrics import average_precision_score

        known = (target.sum(0) > 0).numpy(force=True)  # [n_classes]
        values = [
            average_precision_score(target[:, i].numpy(), logits[:, i].numpy())
            for i in np.flatnonzero(known)
        ]
        return float(np.mean(values)), 0.0
    loss = torch.nn.functional.cross_entropy(logits, target.double())
    hits = logits.argmax(1) == target.argmax(1)
    return hits.double().mean().item(), -loss.item()
