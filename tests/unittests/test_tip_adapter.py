"""Tests of afpt_plugin.learners.tip_adapter."""

import numpy as np
import pytest
import torch
from common import check_choice, check_defaults, logits_of, unit
from torch.func import functional_call

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.errors import InputError
from afpt_plugin.learners import LabeledItems, Template, TipAdapter, tip_adapter

NAMES = ["dog", "rain", "bell"]
GRIDS = {"alpha": tip_adapter.ALPHAS, "beta": tip_adapter.BETAS}
DEFAULTS = {
    "alpha": tip_adapter.DEFAULT_ALPHA,
    "beta": tip_adapter.DEFAULT_BETA,
}


def independent(clap, shots, whole, alpha, beta):
    """Tip-Adapter's logits in numpy, one item and one cached item at a time."""
    text = unit(Template().setup(clap, NAMES).embeddings)
    logits = []
    for x in unit(whole):
        row = clap.logit_scale * text @ x
        for key, label in zip(unit(shots.whole), shots.target, strict=True):
            row += alpha * np.exp(-beta * (1 - x @ key)) * label.numpy()
        logits.append(row)
    return np.stack(logits)


@pytest.mark.parametrize("counts", [[4, 3, 5], [2, 0, 1], [0, 1, 0]])
@pytest.mark.parametrize("learn_keys", [False, True])
@pytest.mark.parametrize(("multi_label", "scale"), [(False, None), (True, 1.0)])
def test_it_is_the_formula(
    clap, make_shots, counts, learn_keys, multi_label, scale
):
    """Of several labels, divided by the backbone's scale."""
    shots, asked = make_shots(counts, multi_label), torch.randn(9, 16)
    learner = TipAdapter(alpha=2, beta=3, learn_keys=learn_keys)
    learner.setup(clap, NAMES, shots, scale)
    expected = independent(clap, shots, asked, 2, 3)
    if scale:
        expected /= clap.logit_scale
    found = logits_of(clap, learner, asked).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert learner.n_learned == learn_keys * 16 * len(shots.whole)


def test_an_item_does_not_find_itself_where_it_is_held_out(clap):
    """Neighbors of other classes: whoever looks itself up trusts the cache."""
    text = Template().setup(clap, NAMES).embeddings
    text = torch.nn.functional.normalize(text, dim=-1)
    target = torch.eye(3).repeat(2, 1)  # [6, n_classes]
    # Two of other classes lie together; the text knows the way.
    away = 10 * torch.eye(16)[3:6].repeat_interleave(2, 0)
    shots = LabeledItems(away + target @ text, target)
    learner = TipAdapter(beta=15.0).setup(clap, NAMES, shots)
    assert learner.chosen["alpha"] == min(GRIDS["alpha"])


def test_learned_keys_keep_the_norm_that_they_learned(clap, make_shots):
    shots = make_shots([1, 0, 0])
    learner = TipAdapter(alpha=2.0, beta=0.5, learn_keys=True)
    learner.setup(clap, NAMES, shots)
    with torch.no_grad():
        one = logits_of(clap, learner, shots.whole)
        learner.keys *= 3
        three = logits_of(clap, learner, shots.whole)
    expected = [[2 * np.e - 2, 0.0, 0.0]]
    np.testing.assert_allclose(three - one, expected, atol=1e-4)


@pytest.mark.parametrize(("multi_label", "scale"), [(False, None), (True, 1.0)])
def test_the_gradient_of_the_keys_is_that_of_finite_differences(
    clap, make_shots, multi_label, scale
):
    shots, asked = make_shots([2, 1, 1], multi_label), torch.randn(3, 16)
    learner = TipAdapter(alpha=2.0, beta=3.0, learn_keys=True)
    learner.setup(clap, NAMES, shots, scale).double()
    assert [name for name, _ in learner.named_parameters()] == ["keys"]
    item = Embeddings(asked.double(), None, None)

    def logits(keys):
        args = (item, learner.classes(clap))
        return functional_call(learner, {"keys": keys}, args)["coarse"]

    keys = (1.5 * learner.keys.detach()).requires_grad_()
    assert torch.autograd.gradcheck(logits, keys)


@pytest.mark.parametrize("learn_keys", [False, True])
def test_a_cache_that_does_not_fit_is_refused(clap, make_shots, learn_keys):
    shots = make_shots([2, 2, 2])
    learner = TipAdapter(alpha=1, beta=1, learn_keys=learn_keys)
    tensors = dict(learner.setup(clap, NAMES, shots).state_dict())
    for faulty, fact in (
        ({"keys": tensors["keys"][1:]}, "different lengths"),
        ({"keys": tensors["keys"][:, 1:]}, "^keys is"),
        ({"labels": tensors["labels"].bool()}, "^labels is"),
    ):
        with pytest.raises(InputError, match=fact):
            TipAdapter(learn_keys=learn_keys).restore(
                clap, NAMES, {**tensors, **faulty}
            )


def test_alpha_and_beta_are_the_best_on_held_out_items(clap, make_shots):
    def logits(shots, whole, *pair):
        return independent(clap, shots, whole, *pair)

    held_out = make_shots([9, 9, 9], seed=1, noise=0.4)
    shots = make_shots([4, 3, 5], held_out=held_out, noise=0.4)
    check_choice(clap, shots, TipAdapter(), GRIDS, logits)


def test_what_is_given_stays_and_the_rest_is_chosen(clap, make_shots):
    check_defaults(clap, make_shots, TipAdapter, GRIDS, DEFAULTS)
