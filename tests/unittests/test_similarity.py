"""Similarities against their formulas, whatever the norms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, normalize

from afpt_plugin.similarity import CaptionNoise, coarse_logits, fine_logits

seeds = st.integers(0, 2**31)


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seeds)
def test_coarse_logits_are_scaled_cosines(seed):
    items, classes = drawn(seed, 4, 8), 7 * drawn(seed + 1, 5, 8)
    expected = 3 * cosine_similarity(items[:, None], classes[None], dim=-1)
    torch.testing.assert_close(coarse_logits(items, classes, 3.0), expected)


@given(seeds, st.integers(0, 5))
def test_fine_logits_follow_the_papers_formula_whatever_the_padding(seed, n):
    words, classes = drawn(seed, 2, 6, 8), drawn(seed + 1, 3, 8)
    r = cosine_similarity(words[:, :, None], classes[None, None], dim=-1)
    expected = 5 * (torch.softmax(r / 0.10, 1) * r).sum(1)  # [2, 3]
    padded = torch.cat([words, drawn(seed + 2, 2, n, 8)], 1)
    mask = (torch.arange(6 + n) < 6).expand(2, -1)
    found = fine_logits(padded, mask, classes, 5.0)
    torch.testing.assert_close(found, expected)


def test_padding_weight_lets_padding_speak_as_the_authors_do():
    """Weight exp(0) and its own cosine, beside a real word's."""
    mask = torch.tensor([[True, False]])
    classes = torch.tensor([[0.6, 0.8]])
    value = fine_logits(torch.eye(2)[None], mask, classes, padding_weight=True)
    weights = torch.softmax(torch.tensor([0.6, 0.0]) / 0.10, 0)
    torch.testing.assert_close(value[0, 0], weights @ classes[0])


@pytest.mark.parametrize("norm", [0.5, 1.5])
def test_caption_noise_has_the_expected_norm(norm):
    torch.manual_seed(0)
    embeddings = 9 * drawn(0, 500, 64)
    noise = CaptionNoise(norm)(embeddings) - normalize(embeddings, dim=-1)
    assert noise.norm(dim=-1).mean() == pytest.approx(norm, rel=0.02)
