"""Losses that `torch.nn.functional` does not have.

Authors
 * The afpt_plugin developers 2026
"""

import torch

#: Factor on the bare cosine in the multi-label loss (authors' code).
COSINE_GAIN = 5.0


def ranking_loss(cosines, targets):
    """Penalize a positive class that beats a negative one by less than 1.

    ``mean_batch sum_{p in pos, n in neg} max(0, 1 - y_p + y_n)`` with
    ``y = 5 * cosine`` (paper equation 3).

    Arguments
    ---------
    cosines : torch.Tensor
        Coarse or fine logits at ``logit_scale`` 1, [B, n_classes].
    targets : torch.Tensor
        1 for the classes of an item, 0 for the others, [B, n_classes].

    Example
    -------
    >>> ranking_loss(torch.tensor([[0.2, 0.1]]), torch.tensor([[1, 0]]))
    tensor(0.5000)
    """
    y = COSINE_GAIN * cosines
    positive = targets.bool()
    # One value for each pair (p, n) of each item: [B, n_classes, n_classes]
    violations = torch.relu(1 - y[:, :, None] + y[:, None, :])
    pairs = positive[:, :, None] & ~positive[:, None, :]
    return (violations * pairs).sum((1, 2)).mean()
