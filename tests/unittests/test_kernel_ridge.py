"""Tests of afpt_plugin.learners.kernel_ridge."""

import numpy as np
import pytest
import torch
from common import check_choice, check_defaults, logits_of, unit

from afpt_plugin.errors import InputError
from afpt_plugin.learners import (
    KernelRidge,
    LabeledItems,
    Template,
    kernel_ridge,
)

NAMES = ["dog", "rain", "bell"]
GRIDS = {"beta": kernel_ridge.BETAS, "ridge": kernel_ridge.RIDGES}
DEFAULTS = {
    "beta": kernel_ridge.DEFAULT_BETA,
    "ridge": kernel_ridge.DEFAULT_RIDGE,
}


def independent(clap, shots, whole, beta, ridge):
    """f in numpy, [B, n_classes], with an explicit inverse."""
    text = unit(Template().setup(clap, NAMES).embeddings)
    x, s, y = unit(whole), unit(shots.whole), shots.target.numpy()
    kernel = np.exp(-beta * (1 - s @ s.T))
    inverse = np.linalg.inv(ridge * np.eye(len(s)) + kernel)
    gamma = inverse @ (y - s @ text.T)
    return x @ text.T + np.exp(-beta * (1 - x @ s.T)) @ gamma


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


def test_several_templates_are_their_mean(clap, make_shots):
    texts = ["this is a sound of {}", "{} far away"]
    learner = KernelRidge(texts, beta=2, ridge=1e9)
    learner.setup(clap, NAMES, make_shots([2, 2, 2]), 1.0)
    text = unit(Template(texts).setup(clap, NAMES).embeddings)
    found = logits_of(clap, learner, torch.eye(16))
    np.testing.assert_allclose(found, text.T, atol=1e-5)


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


def test_beta_and_lambda_are_the_best_on_held_out_items(clap, make_shots):
    def logits(shots, whole, *pair):
        return clap.logit_scale * independent(clap, shots, whole, *pair)

    held_out = make_shots([9, 9, 9], seed=1, noise=0.4)
    shots = make_shots([4, 3, 5], held_out=held_out, noise=0.4)
    check_choice(clap, shots, KernelRidge(), GRIDS, logits)


def test_what_is_given_stays_and_the_rest_is_chosen(clap, make_shots):
    check_defaults(clap, make_shots, KernelRidge, GRIDS, DEFAULTS)
