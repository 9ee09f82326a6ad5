"""Tests of afpt_plugin.learners.kernel_ridge."""

import numpy as np
import pytest
import torch

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners import KernelRidge, LabeledItems, Template
from afpt_plugin.learners.kernel_ridge import (
    BETAS,
    DEFAULT_BETA,
    DEFAULT_RIDGE,
    RIDGES,
)
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]


def unit(whole):
    """Rows of norm 1, as a numpy array."""
    whole = np.asarray(whole, dtype=np.float64)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


def independent(clap, shots, whole, beta, ridge):
    """f in numpy, [B, n_classes], with an explicit inverse."""
    text = unit(Template().setup(clap, NAMES).embeddings)
    x, s, y = unit(whole), unit(shots.whole), shots.target.numpy()
    kernel = np.exp(-beta * (1 - s @ s.T))
    inverse = np.linalg.inv(ridge * np.eye(len(s)) + kernel)
    gamma = inverse @ (y - s @ text.T)
    return x @ text.T + np.exp(-beta * (1 - x @ s.T)) @ gamma


def logits_of(clap, learner, whole):
    """Of embeddings, [B, n_classes]."""
    item = Embeddings(whole, None, None)
    logits = learner(item, learner.classes(clap))
    assert list(logits) == ["coarse"]
    return logits["coarse"]


@pytest.mark.parametrize("counts", [[4, 3, 5], [2, 0, 1], [0, 1, 0]])
@pytest.mark.parametrize(("multi_label", "scale"), [(False, None), (True, 1.0)])
def test_it_is_the_formula(clap, make_shots, counts, multi_label, scale):
    shots, asked = make_shots(counts, multi_label), torch.randn(9, 16)
    learner = KernelRidge(beta=3, ridge=0.2).setup(clap, NAMES, shots, scale)
    expected = independent(clap, shots, asked, 3, 0.2)
    expected *= scale or clap.logit_scale
    found = logits_of(clap, learner, asked)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert learner.n_learned == len(shots.whole) * 3


def test_a_case_small_enough_to_know(clap):
    """One item, asked itself: the residual shrinks by 1 / (1 + lambda)."""
    shots = LabeledItems(5 * torch.ones(1, 16), torch.eye(3)[1:2])
    learner = KernelRidge(beta=2.0, ridge=3.0).setup(clap, NAMES, shots, 1.0)
    text = unit(Template().setup(clap, NAMES).embeddings)
    zero_shot = text @ np.full(16, 0.25)
    expected = zero_shot + (np.eye(3)[1] - zero_shot) / 4
    found = logits_of(clap, learner, torch.ones(1, 16))[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_penalty_leads_from_the_labels_to_zero_shot(clap, make_shots):
    shots = make_shots([4, 3, 5])
    small, large = (
        KernelRidge(beta=5.0, ridge=ridge).setup(clap, NAMES, shots, 1.0)
        for ridge in (1e-9, 1e9)
    )
    torch.testing.assert_close(
        logits_of(clap, small, shots.whole), shots.target, atol=1e-3, rtol=0
    )
    text = unit(Template().setup(clap, NAMES).embeddings)
    np.testing.assert_allclose(
        logits_of(clap, large, shots.whole),
        unit(shots.whole) @ text.T,
        atol=1e-5,
    )


def test_beta_and_lambda_are_the_best_on_held_out_items(clap, make_shots):
    held_out = make_shots([9, 9, 9], seed=1, noise=0.4)
    shots = make_shots([4, 3, 5], held_out=held_out, noise=0.4)
    learner = KernelRidge().setup(clap, NAMES, shots)
    labels = held_out.target.argmax(1).numpy()

    def score(beta, ridge):
        """Accuracy, and the mean log-likelihood of the backbone's scale."""
        f = independent(clap, shots, held_out.whole, beta, ridge)
        logits = f * clap.logit_scale
        found = np.log(np.exp(logits).sum(1)) - logits[np.arange(27), labels]
        return (logits.argmax(1) == labels).mean(), -found.mean()

    best = max(
        [(beta, ridge) for beta in BETAS for ridge in RIDGES],
        key=lambda pair: score(*pair),
    )
    assert learner.chosen == {
        "beta": best[0],
        "ridge": best[1],
        "rule": "27 held-out items",
    }
    expected = clap.logit_scale * independent(clap, shots, torch.eye(16), *best)
    np.testing.assert_allclose(
        logits_of(clap, learner, torch.eye(16)), expected, rtol=1e-3, atol=1e-3
    )


def test_what_is_given_stays_and_the_rest_is_chosen(clap, make_shots):
    learner = KernelRidge(beta=2).setup(clap, NAMES, make_shots([3, 3, 2]))
    assert learner.chosen["beta"] == 2.0 and learner.chosen["ridge"] in RIDGES
    assert learner.chosen["rule"].startswith("2-fold cross-validation")
    learner = KernelRidge().setup(clap, NAMES, make_shots([1, 1, 0]))
    assert learner.chosen == {
        "beta": DEFAULT_BETA,
        "ridge": DEFAULT_RIDGE,
        "rule": "default, since no class has an item to spare",
    }
    assert DEFAULT_BETA in BETAS and DEFAULT_RIDGE in RIDGES


def test_several_templates_are_their_mean(clap, make_shots):
    texts = ["this is a sound of {}", "{} far away"]
    learner = KernelRidge(texts, beta=2, ridge=1e9)
    learner.setup(clap, NAMES, make_shots([2, 2, 2]), 1.0)
    text = unit(Template(texts).setup(clap, NAMES).embeddings)
    found = logits_of(clap, learner, torch.eye(16))
    np.testing.assert_allclose(found, text.T, atol=1e-5)


def test_whole_numbers_survive_an_export(clap, make_shots, tmp_path):
    learner = KernelRidge(beta=2, ridge=1)
    learner.setup(clap, NAMES, make_shots([2, 2, 2]))
    write_export(tmp_path, clap, learner, Task("tiny", NAMES), Template())
    again = read_export(tmp_path).make_learner(clap)
    asked = torch.randn(4, 16)
    assert torch.equal(
        logits_of(clap, learner, asked), logits_of(clap, again, asked)
    )


@pytest.mark.parametrize("name", ["support", "gamma"])
@pytest.mark.parametrize("fault", ["length", "width", "scalar"])
def test_a_support_that_does_not_fit_is_refused(clap, make_shots, name, fault):
    learner = KernelRidge(beta=2, ridge=1)
    learner.setup(clap, NAMES, make_shots([2, 2, 2]))
    tensors = learner.state_dict()
    tensors[name] = {
        "length": tensors[name][:-1],
        "width": tensors[name][:, :-1],
        "scalar": tensors[name][0, 0],
    }[fault]
    fact = "different lengths" if fault == "length" else f"^{name} is"
    with pytest.raises(InputError, match=fact):
        KernelRidge(beta=2, ridge=1).restore(clap, NAMES, tensors)


def test_equal_items_need_a_penalty_that_tells_them_apart(clap, make_shots):
    shots = make_shots([2, 2, 2])
    twice = LabeledItems(shots.whole.repeat(2, 1), shots.target.repeat(2, 1))
    with pytest.raises(InputError, match="ridge is 1e-300, too small"):
        KernelRidge(beta=1, ridge=1e-300).setup(clap, NAMES, twice)


def test_it_needs_items(clap):
    with pytest.raises(
        InputError, match="KernelRidge is made of training items"
    ):
        KernelRidge().setup(clap, NAMES).classes(clap)


@pytest.mark.parametrize(
    "settings",
    [{"beta": v} for v in (0, True, "1", float("nan"), float("inf"))]
    + [{"ridge": -1.0}, {"templates": "a sound"}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        KernelRidge(**settings)
