"""Linear probe: logistic regression on the frozen embeddings.

It sees only the embeddings of the labeled items, not the class names. C, the
inverse strength of its L2 penalty, is searched for as CoOp's authors do
(https://arxiv.org/abs/2109.01134, ``lpclip/linear_probe.py``): they try seven
powers of ten, then bisect around the best one. For the comparison, see
`afpt_plugin.learners.selection`. Where nothing can be compared, C is CLIP's
published value (Radford et al. 2021, https://arxiv.org/abs/2103.00020).

Authors
 * The afpt_plugin developers 2026
"""

import warnings

import numpy as np
import torch
from torch.nn.functional import normalize

from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.learners.selection import Search
from afpt_plugin.option_rules import check_values

#: CLIP's value (from its README).
DEFAULT_C = 0.316
GRID = tuple(10.0**power for power in (6, 4, 2, 0, -2, -4, -6))
BISECTIONS = 8


class LinearProbe(Learner):
    """Logistic regression, by scikit-learn.

    For several labels, each class has a regression of its own. A class without
    an item is never recognized: its score is a constant below any score that
    the other classes can reach. A class that every item has always scores 0.

    Arguments
    ---------
    C : float, optional
        Inverse strength of the penalty; by default searched for.

    Raises
    ------
    InputError
        If C is not a number above zero.

    Example
    -------
    >>> LinearProbe(C=1.0).settings()
    {'C': 1.0}
    """

    uses_parts = False

    def __init__(self, C=None):
        super().__init__()
        check_values(C=C)
        self.C = C

    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Fit the regression; see `Learner.setup`."""
        shape = len(class_names), clap.embed_dim
        weight, bias = torch.zeros(shape), torch.zeros(len(class_names))
        if shots is not None:
            found, rule = self.C, "given"
            if found is None:
                found, rule = _search(shots)
            weight, bias = _fit(shots, found)
            self.chosen = {"C": float(found), "rule": rule}
        self.register_buffer("weight", weight)  # [n_classes, D]
        self.register_buffer("bias", bias)  # [n_classes]
        return super().setup(clap, class_names, shots, logit_scale)

    @property
    def n_learned(self):
        """How many weights and biases; see `Learner.n_learned`."""
        return self.weight.numel() + self.bias.numel()

    def classes(self, clap):
        """The regression's weights as `Classes`; see `Learner.classes`."""
        self.check_items()
        return Classes(self.weight, self.weight)

    def forward(self, item, classes):
        """The regression's decision function; see `Learner.forward`."""
        whole = normalize(item.whole, dim=-1)  # [B, D]
        return {"coarse": whole @ classes.coarse.T + self.bias}


def _fit(items, C, dtype=torch.float64):
    """Fit a regression; return weights [n_classes, D], biases [n_classes]."""
    from sklearn.linear_model import LogisticRegression

    features = normalize(items.whole, dim=-1).to("cpu", dtype).numpy()  # [N, D]
    target = items.target.cpu().numpy() > 0  # [N, n_classes]
    n_classes = target.shape[1]
    weight = np.zeros((n_classes, features.shape[1]))
    bias = np.full(n_classes, -np.inf)

    def solve(labels):
        """Fit one label per item; return coefficients and intercepts."""
        model = LogisticRegression(C=C, max_iter=1000)
        with warnings.catch_warnings():
            # Many classes with few items each are normal in few-shot learning.
            warnings.filterwarnings("ignore", "The number of unique classes")
            model.fit(features, labels)
        return model.coef_, model.intercept_

    present = np.flatnonzero(target.any(0))
    if items.multi_label:
        for index in present:
            if target[:, index].all():
                bias[index] = 0.0  # there is no negative item to fit
            else:
                (weight[index],), (bias[index],) = solve(target[:, index])
    elif len(present) == 1:
        bias[present] = 0.0
    else:
        coef, intercept = solve(target.argmax(1))
        if len(present) == 2:  # scikit-learn returns only the second class
            coef = np.concatenate([-coef, coef]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        weight[present], bias[present] = coef, intercept
    known = np.isfinite(bias)
    # Embeddings have norm 1, so no known class can score as low as this.
    lowest = bias - np.linalg.norm(weight, axis=1)  # [n_classes]
    bias[~known] = lowest[known].min(initial=0.0) - 1.0
    return (
        torch.as_tensor(weight, dtype=torch.float32),
        torch.as_tensor(bias, dtype=torch.float32),
    )


def _search(items):
    """Search for C as CoOp does; return the best value and the rule."""

    def fit(train):
        """Return a function of C and embeddings."""

        def predict(C, whole):
            """Logits [M, n_classes]."""
            # It takes half the time of double precision, with equal scores.
            weight, bias = _fit(train, C, torch.float32)
            return normalize(whole, dim=-1).cpu() @ weight.T + bias

        return predict

    search = Search(items, fit)
    if not search.parts:
        return DEFAULT_C, search.rule
    best, rule = search.best([*GRID])
    low, high = np.log10(best) - 1, np.log10(best) + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if search.score(10.0**low) > search.score(10.0**high):
            high = middle
        else:
            low = middle
    # The ends of the bisection may be worse than the grid's best.
    tried = sorted(search.scores, key=lambda C: abs(np.log10(C / DEFAULT_C)))
    return max(tried, key=search.score), rule
