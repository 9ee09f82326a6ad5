"""The ranking loss against two nested loops."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from afpt_plugin.losses import ranking_loss


@given(st.integers(0, 2**31))
def test_ranking_loss_sums_over_pairs_and_averages_over_items(seed):
    generator = torch.Generator().manual_seed(seed)
    cosines = 2 * torch.rand(3, 5, generator=generator) - 1
    targets = (torch.rand(3, 5, generator=generator) < 0.4).float()
    total = sum(
        max(0.0, 1 - 5 * float(cosine[p] - cosine[n]))
        for cosine, target in zip(cosines, targets, strict=True)
        for p in target.nonzero()
        for n in (target == 0).nonzero()
    )
    torch.testing.assert_close(
        ranking_loss(cosines, targets), torch.tensor(total / 3)
    )
