"""Score a whole test set at once: its unlabeled recordings help each other.

Expectation maximization fits one Gaussian per class to all recordings. Two
terms keep the result near the given scores and near the scores of each
recording's neighbors (TransCLIP, Zanella et al. 2024,
https://arxiv.org/abs/2406.01837). No label is read, and nothing is assumed
about the frequency of a class, but a recording's score depends on the other
recordings of the test. This score is therefore called transductive; it is
reported beside the inductive score and never replaces it.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.errors import InputError

# The paper's settings, the same for all of its data sets.
N_CONFIDENT = 8  # number of recordings that a class's mean starts from
N_ROUNDS, N_UPDATES = 10, 5  # rounds; updates of the posteriors in each round
GAUSSIAN_WEIGHT = 1 / 50  # relative to the weight of the scores, 1

# Lower bound, times 1 / D, since equal recordings have a variance of zero.
LEAST_VARIANCE = 1e-6


def check_transduction(transduction, task):
    """Refuse an unknown transduction, or one that does not fit a task.

    Arguments
    ---------
    transduction : str
        ``em``, or None for no transduction.
    task : Task
        The task that is tested.

    Raises
    ------
    InputError
        If it is neither, or recordings may have several classes.

    Example
    -------
    >>> check_transduction("EM", None)
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: transduction is 'EM'; choose em, or null for none
    """
    if transduction not in ("em", None):
        raise InputError(
            f"transduction is {transduction!r}; choose em, or null for none"
        )
    if transduction and task.multi_label:
        raise InputError(
            f"transduction: {transduction} needs recordings of one class each, "
            f"and those of {task.name} may have several; set it to null"
        )


def expectation_maximization(logits, features=None, n_neighbors=3):
    """Compute class posteriors of N recordings from scores and embeddings.

    With ``y`` the softmax of the logits, ``f`` the unit features and ``W`` the
    cosines of each recording's nearest others, the posteriors ``z`` start at
    ``y`` and are updated, 5 times a round, to ::

        z ~ y exp(-sum_d (f - mu)^2 / s / 100 + (W z + W' z) / (2 n_neighbors))

    Each round then computes ``mu``, the normalized ``z``-weighted mean of each
    class, and ``s``, the ``z``-weighted variance that all classes share, [D].
    Initially, ``mu`` comes from the 8 most probable recordings of each class,
    and ``s`` is ``1 / D``. After 10 rounds, ``z`` is updated once more.

    Arguments
    ---------
    logits : torch.Tensor
        Scores, [N, n_classes]. For probabilities, give their logarithm:
        `torch.log(probabilities)`.
    features : torch.Tensor, optional
        Embeddings of any norm, [N, D]. By default the scores alone are used:
        the log-probabilities minus each recording's mean.
    n_neighbors : int
        Number of nearest neighbors; 0 leaves their term out.

    Returns
    -------
    torch.Tensor
        float64 on the CPU, [N, n_classes]; each row sums to 1.

    Raises
    ------
    InputError
        If there is no recording, a value is not finite, or the shapes differ.

    Example
    -------
    >>> probabilities = torch.tensor([[0.9, 0.1], [0.45, 0.55], [0.1, 0.9]])
    >>> features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> logits = torch.log(probabilities)
    >>> expectation_maximization(logits, features).argmax(1)
    tensor([0, 0, 1])
    """
    log_y = _checked(logits, "scores").log_softmax(1)  # [N, n_classes]
    if features is None:
        features = log_y - log_y.mean(1, keepdim=True)  # [N, n_classes]
    features = normalize(_checked(features, "embeddings"), dim=1)  # [N, D]
    if len(features) != len(log_y):
        raise InputError(
            f"there are scores of {len(log_y)} recordings, but embeddings of "
            f"{len(features)}; give both of the same recordings"
        )
    n, dim = features.shape
    graph = _neighbor_graph(features, min(n_neighbors, n - 1))  # [N, N]
    top, rows = log_y.topk(min(N_CONFIDENT, n), dim=0)  # [8, n_classes]
    # The weights sum to 1 even in a class that no recording fits well.
    means = torch.einsum("kc,kcd->cd", top.softmax(0), features[rows])
    means = normalize(means, dim=1)  # [n_classes, D]
    variance = features.new_full((dim,), 1 / dim)  # [D]
    log_z = log_y
    for step in range(N_ROUNDS + 1):
        if step:
            means = normalize(log_z.softmax(0).T @ features, dim=1)
            variance = _shared_variance(log_z.exp(), features, means)
        # The square of f is left out, since it is the same for all classes.
        log_g = (features / variance) @ means.T  # [N, n_classes]
        log_g -= (means.square() / variance).sum(1) / 2
        for _ in range(N_UPDATES):
            near = torch.from_numpy(graph @ log_z.exp().numpy())
            near /= 2 * max(1, n_neighbors)
            log_z = (log_y + GAUSSIAN_WEIGHT * log_g + near).log_softmax(1)
    return log_z.exp()


def _checked(matrix, name):
    """Check that a matrix is finite and has rows; return float64 on the CPU."""
    matrix = torch.as_tensor(matrix).detach().cpu().double()
    if matrix.dim() != 2 or matrix.numel() == 0:
        raise InputError(
            f"the {name} have the shape {list(matrix.shape)}; give one row for "
            "each recording, and at least one"
        )
    bad = (~matrix.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"the {name} of {len(bad)} of {len(matrix)} recordings are NaN or "
            f"infinite, first in row {bad[0]}; check that recording, and that "
            "no probability of 0 was given to a logarithm"
        )
    return matrix


def _neighbor_graph(features, n_neighbors):
    """Compute ``W + W'`` of unit features, a sparse scipy matrix [N, N]."""
    from scipy.sparse import csr_matrix
    from sklearn import config_context
    from sklearn.neighbors import NearestNeighbors

    if n_neighbors < 1:
        return csr_matrix((len(features), len(features)))
    search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine")
    with config_context(working_memory=64):  # MB at once
        graph = search.fit(features.numpy()).kneighbors_graph(mode="distance")
    graph.data = 1 - graph.data  # a distance is 1 - cosine
    return graph + graph.T


def _shared_variance(z, features, means):
    """``sum_nc z_nc (f_n - mu_c)^2 / N`` of each dimension, [D]."""
    variance = (
        features.square().sum(0)
        - 2 * (means * (z.T @ features)).sum(0)
        + z.sum(0) @ means.square()
    ) / len(features)
    return variance.clamp(min=LEAST_VARIANCE / len(variance))
