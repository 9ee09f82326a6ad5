"""Tests of afpt_plugin.scoring.calibration and afpt_plugin.results.run_calibration."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.results.run_calibration import RunCalibration
from afpt_plugin.scoring.calibration import (
    Calibration,
    Gap,
    calibration_error,
    fit_calibration,
    make_calibration,
    reliability,
    without_items,
)
from afpt_plugin.task import Task

GAP = Gap(temperature=2.5, slope=8.0, offset=-0.5, threshold=0.125)


def drawn(temperature, n=4000, seed=0):
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    logits = 4 * rng.standard_normal((n, 5))
    p = np.exp(logits / temperature)
    p /= p.sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    return torch.tensor(logits), torch.eye(5)[labels]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    logits, targets = drawn(temperature)
    found = fit_calibration(logits, targets, False)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert found.temperature == found.held_out_temperature
    assert found.held_out_ece < 0.03
    assert found.fitted_on == "4000 held-out captions (no gap known)"
    p = found.log_probabilities(logits)
    assert torch.equal(p.argsort(1), logits.argsort(1))
    torch.testing.assert_close(p.exp().sum(1), torch.ones(4000).double())


def test_items_that_are_all_right_do_not_make_it_sure():
    """Without the prior, the best temperature would be 0."""
    logits, targets = 5 * torch.eye(5).repeat(4, 1), torch.eye(5).repeat(4, 1)
    assert fit_calibration(logits, targets, False).temperature > 0.5


def test_the_gap_is_between_captions_and_recordings_alone():
    logits, targets = drawn(0.5)
    own = fit_calibration(logits, targets, False)
    captions = fit_calibration(logits, targets, False, GAP)
    assert captions.temperature == pytest.approx(2.5 * own.temperature**0.5)
    assert captions.held_out_ece == own.held_out_ece
    recordings = fit_calibration(logits, targets, False, GAP, recordings=True)
    assert recordings.temperature == pytest.approx(own.temperature, rel=0.02)
    assert without_items(GAP, 5, False).temperature == 2.5
    assert without_items(None, 5, False) == Calibration()
    several = without_items(GAP, 5, True)
    p = several.log_probabilities(torch.tensor([[0.25]])).exp().item()
    wanted = 1 / (1 + math.exp(-(8 * 0.25 - 0.5 - math.log(4))))
    assert p == pytest.approx(wanted)
    assert several.threshold == 0.125


def test_of_several_labels_a_sigmoid_and_a_threshold_are_fitted():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3000, 4))
    p = 1 / (1 + np.exp(-(6 * x - 2)))
    y = rng.random(p.shape) < p
    found = fit_calibration(torch.tensor(x), torch.tensor(y).float(), True)
    assert 1 / found.temperature == pytest.approx(6, rel=0.1)
    assert found.offset == pytest.approx(-2, rel=0.1)
    own = found.log_probabilities(torch.tensor(x)).exp().numpy()

    def f1(limit):
        above = own > limit
        return 2 * (above & y).sum() / (above.sum() + y.sum())

    assert f1(found.threshold) >= max(map(f1, np.linspace(0, 1, 300))) - 1e-9
    one_kind = fit_calibration(torch.tensor(x), torch.zeros(3000, 4), True)
    assert one_kind.threshold is None


def test_the_error_is_that_of_a_slow_count():
    logits, targets = drawn(3.0, n=300)
    p, y = logits.softmax(1).numpy(), targets.numpy()
    wanted = 0.0
    for low in np.arange(15) / 15:
        rows = [
            (row.max(), right[row.argmax()])
            for row, right in zip(p, y, strict=True)
            if low < row.max() <= low + 1 / 15
        ]
        if rows:
            confidence, accuracy = np.mean(rows, axis=0)
            wanted += len(rows) / 300 * abs(confidence - accuracy)
    bins = reliability(logits.log_softmax(1), targets)
    assert sum(bins["n"]) == 300
    assert calibration_error(bins) == pytest.approx(wanted)
    assert sum(reliability(logits, targets, True)["n"]) == 1500


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": True},
        {"temperature": None},
        {"threshold": 2},
        {"fitted_on": 3},
        {"other": 1},
    ],
)
def test_what_an_export_may_not_say(settings):
    with pytest.raises(InputError, match="calibration: "):
        make_calibration(settings, False)


def test_each_head_of_a_run_has_its_own_scale():
    """The ensemble is a sum of two; a posterior is one already."""
    task, clap = Task("Pets", list("abcde")), SimpleNamespace(gap=None)
    (learned, targets), (base, _) = drawn(2.0), drawn(0.5, seed=1)
    heads = {"zero_shot": base, "zero_shot_ensemble": 2 * base}
    heads |= {"coarse": learned, "ensemble": 2 * learned}
    found = RunCalibration(task, clap, (heads, targets))
    one, both = (found.log_probabilities(h, heads[h]) for h in list(heads)[2:])
    assert torch.equal(one, both)
    assert found.learner.temperature == pytest.approx(2, rel=0.06)
    # The labels were not drawn with the baseline's logits.
    assert found.baseline.temperature > 10
    posterior = learned.log_softmax(1)
    same = found.log_probabilities("transductive", posterior)
    torch.testing.assert_close(same, posterior)
    told = found.describe(heads, targets)
    assert told["ece"]["ensemble"] == calibration_error(told["bins"]) < 0.03
    assert 0 < told["ece_by_chance"] < 0.03
    acc = (learned.argmax(1) == targets.argmax(1)).double().mean().item()
    assert told["held_out"]["learned"] == pytest.approx(acc)
    assert told["held_out"]["n"] == 4000
