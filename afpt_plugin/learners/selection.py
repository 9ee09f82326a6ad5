"""Choose a learner's hyperparameters on held-out items, never on the test set.

All learners follow one rule. Held-out items decide if there are any, otherwise
a cross-validation of the training items. If no class has an item to spare, the
published value is used. The candidate with the highest accuracy wins (for
several labels: the highest mean average precision). Ties go to the lowest cross
entropy (only for single labels), then to the first candidate, the published
value.

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
        Training items, possibly with ``held_out`` ones.
    candidates : list
        The settings, the published one first: it is chosen if nothing can be
        compared, and it wins ties that the loss does not break.
    fit : callable
        Takes `LabeledItems` and returns a function that maps a candidate and
        embeddings [M, D] to logits [M, n_classes].

    Returns
    -------
    tuple
        The winning candidate, and the rule in a few words.
    """
    if len(candidates) == 1:
        return candidates[0], "given"
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
                else "default, since no class has an item to spare"
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
        if not self.parts:
            return candidates[0], self.rule
        return max(candidates, key=self.score), self.rule


def grid(*axes):
    """All combinations of settings, the published values first.

    Arguments
    ---------
    *axes : tuple
        For each setting, three entries: the user's value (None to choose one),
        the published value, and all values to try.

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
    """Make pairs of training and held-out items that share no source.

    If a class has only one source, this source is always in the training part:
    if it were held out, no setting could recognize the class.
    """
    target = items.target.cpu().numpy() > 0  # [N, n_classes]
    _, source = np.unique(
        items.sources or np.arange(len(target)), return_inverse=True
    )  # [N]
    has = np.zeros((source.max(initial=-1) + 1, target.shape[1]), dtype=bool)
    np.logical_or.at(has, source, target)  # [n_sources, n_classes]
    counts = has.sum(0)  # [n_classes]
    free = np.flatnonzero(~has[:, counts == 1].any(1))  # [n_free]
    if not has[free].any():
        return []
    n_folds = int(min(MAX_FOLDS, counts[counts >= 2].min()))
    fold = np.full(len(has), -1)  # [n_sources]
    fold[free] = iterative_folds(has[free], n_folds)
    fold = fold[source]  # [N]
    pairs = []
    for number in np.unique(fold[fold >= 0]):
        inside = torch.as_tensor(fold == number, device=items.whole.device)
        train, test = (
            items._replace(
                whole=items.whole[mask],
                target=items.target[mask],
                held_out=None,
                sources=None,
            )
            for mask in (~inside, inside)
        )
        pairs.append((train, test))
    return pairs


def _measure(logits, target, multi_label):
    """Compute accuracy or mAP, and the negative loss, of [N, n_classes]."""
    if multi_label:
        from sklearn.metrics import average_precision_score

        target, logits = (part.numpy(force=True) for part in (target, logits))
        values = [
            average_precision_score(target[:, i], logits[:, i])
            for i in np.flatnonzero(target.any(0))
        ]
        return float(np.mean(values)) if values else 0.0, 0.0
    target = target.to(logits)
    loss = torch.nn.functional.cross_entropy(logits, target)
    hits = logits.argmax(1) == target.argmax(1)
    return hits.double().mean().item(), -loss.item()
