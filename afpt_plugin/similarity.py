"""Coarse and fine logits; only this module normalizes and scales them.

The coarse logit compares one embedding per item (the sentence of a caption, the
clip embedding of a recording) with the class embeddings. The fine logit
compares every element (word or frame) and weights the best-matching elements
most (paper section 2.2). Both functions return cosines when ``logit_scale`` is
1.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

#: Temperature of the softmax over words or frames (paper section 3.1).
FINE_TEMPERATURE = 0.10


def coarse_logits(embeddings, class_embeddings, logit_scale=1.0):
    """Scaled cosine of one embedding per item with every class.

    ``logit_scale * cos(x, C_coarse)``.

    Arguments
    ---------
    embeddings : torch.Tensor
        Sentence or clip embeddings, any norm, [..., D].
    class_embeddings : torch.Tensor
        Class embeddings, any norm, [n_classes, D].
    logit_scale : float
        The backbone's exponentiated scale.

    Returns
    -------
    torch.Tensor
        [..., n_classes].

    Example
    -------
    >>> coarse_logits(torch.eye(2), torch.tensor([[3.0, 0.0]]), 10.0)
    tensor([[10.],
            [ 0.]])
    """
    return logit_scale * (
        normalize(embeddings, dim=-1) @ normalize(class_embeddings, dim=-1).T
    )


def fine_logits(
    elements, mask, class_embeddings, logit_scale=1.0, padding_weight=False
):
    """Scaled, attention-weighted cosine of words or frames with every class.

    With ``r_t = cos(e_t, C_fine)``:
    ``logit_scale * sum_t softmax_t(r_t / 0.10) * r_t``.

    Arguments
    ---------
    elements : torch.Tensor
        Word or frame embeddings, any norm, [B, T, D].
    mask : torch.Tensor
        True where an element is real, [B, T].
    class_embeddings : torch.Tensor
        Class embeddings, any norm, [n_classes, D].
    logit_scale : float
        The backbone's exponentiated scale.
    padding_weight : bool
        If True, compute as the authors do: a padded element enters the
        softmax with score 0, and its own cosine is averaged in. If False,
        padding has no weight.

    Returns
    -------
    torch.Tensor
        [B, n_classes].

    Example
    -------
    >>> words = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    >>> mask = torch.tensor([[True, False]])
    >>> fine_logits(words, mask, torch.eye(2), logit_scale=10.0)
    tensor([[10.,  0.]])
    """
    cosines = coarse_logits(elements, class_embeddings)  # [B, T, n_classes]
    if padding_weight:
        scores = cosines * mask[..., None]  # [B, T, n_classes]
    else:
        scores = cosines.masked_fill(~mask[..., None], -torch.inf)
    weights = torch.softmax(scores / FINE_TEMPERATURE, dim=1)  # over T
    return logit_scale * (weights * cosines).sum(1)  # [B, n_classes]


def ensemble_logits(coarse, fine):
    """Sum of coarse and fine logits (paper equation 5), [B, n_classes]."""
    return coarse + fine


def rbf_kernel(cosines, beta):
    """exp(-beta (1 - cosine)), for cosines of any shape.

    It is the Gaussian kernel of two unit embeddings, since their squared
    distance is 2 (1 - cosine).

    Example
    -------
    >>> rbf_kernel(torch.tensor([1.0, 0.0]), 1.0)
    tensor([1.0000, 0.3679])
    """
    return torch.exp(-beta * (1 - cosines))


class CaptionNoise(torch.nn.Module):
    """Add noise to caption embeddings, to mimic the distance of recordings.

    Text-only training never sees the modality gap: a recording's cosine to its
    class name is far lower than a caption's. Gaussian noise of expected norm
    ``norm`` on the normalized caption embedding lowers its cosines likewise.

    Arguments
    ---------
    norm : float
        Expected norm of the noise, relative to an embedding of norm 1; 0, as
        in the paper, adds none.

    Example
    -------
    >>> CaptionNoise(1.0)(torch.eye(3)).shape
    torch.Size([3, 3])
    >>> CaptionNoise(0.0)(torch.ones(1, 2))
    tensor([[1., 1.]])
    """

    def __init__(self, norm=0.0):
        super().__init__()
        self.norm = norm

    def forward(self, embeddings):
        """Add noise to ``[*, D]``; return it unchanged if ``norm`` is 0."""
        if self.norm == 0:
            return embeddings
        std = self.norm / embeddings.shape[-1] ** 0.5
        noise = std * torch.randn_like(embeddings)
        return normalize(embeddings, dim=-1) + noise
