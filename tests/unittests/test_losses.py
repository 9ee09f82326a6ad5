"""Tests of afpt_plugin.losses."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from afpt_plugin.losses import ranking_loss


@given(st.integers(0, 2**31))
def test_ranking_loss_sums_over_pairs_and_averages_over_items(seed):
    """Against two nested loops."""
    generator = torch.Generator().manual_seed(seed)
    cosines = 2 * torch.rand(3, 5, generator=generator) - 1
    targets = (torch.rand(3, 5, generator=generator) < 0.4).float()
    total = 0.0
    for y, target in zip(5 * cosines, targets, strict=True):
        for p in range(5):
            for n in range(5):
                if target[p] and not target[n]:
                    total += max(0.0, 1 - float(y[p]) + float(y[n]))
    torch.testing.assert_close(
        ranking_loss(cosines, targets), torch.tensor(total / 3)
    )


def test_ranking_loss_is_zero_beyond_the_margin():
    """Cosines 0.3 apart are a margin of 1.5."""
    assert ranking_loss(torch.tensor([[0.3, 0.0]]), torch.tensor([[1, 0]])) == 0
