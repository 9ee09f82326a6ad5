"""Tests of afpt_plugin.schedules, against torch's own schedulers."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from afpt_plugin.schedules import CosineScheduler


def torch_rates(lr, epochs, n):
    """The first rates of `CosineAnnealingLR`, stepped after every epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = CosineAnnealingLR(optimizer, epochs)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("epochs", [2, 7, 200])
@pytest.mark.parametrize("warmup", [[], [1e-5]])
def test_it_is_torchs_cosine_which_starts_after_a_warmup_epoch(epochs, warmup):
    # Dassl's constant warmup steps its successor, a CosineAnnealingLR over all
    # epochs, only from the end of the second epoch on.
    schedule = CosineScheduler(0.3, epochs, *warmup)
    found = [schedule(epoch)[1] for epoch in range(1, epochs + 1)]
    rates = torch_rates(0.3, epochs, epochs - len(warmup))
    assert found == pytest.approx(warmup + rates)


def test_the_rate_before_is_that_of_the_epoch_before():
    schedule = CosineScheduler(0.1, 5, warmup_lr=0.01)
    for epoch in range(2, 6):
        assert schedule(epoch)[0] == schedule(epoch - 1)[1]
