"""Tests of afpt_plugin.learners.tip_adapter."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners import LabeledItems, Template, TipAdapter
from afpt_plugin.learners.tip_adapter import (
    ALPHAS,
    BETAS,
    DEFAULT_ALPHA,
    DEFAULT_BETA,
)
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]


def unit(whole):
    """Rows of norm 1, as a numpy array."""
    whole = np.asarray(whole, dtype=np.float64)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


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


def logits_of(clap, learner, whole):
    """Of embeddings, [B, n_classes]."""
    item = Embeddings(whole, None, None)
    logits = learner(item, learner.classes(clap))
    assert list(logits) == ["coarse"]
    return logits["coarse"]


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


def test_a_case_small_enough_to_know(clap):
    """A cached item adds alpha to its classes, an opposite one next to none."""
    shots = LabeledItems(
        5 * torch.eye(16)[:1] * torch.tensor([[1], [-1]]),
        torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    )
    learner = TipAdapter(alpha=0.5, beta=7.0).setup(clap, NAMES, shots)
    text = unit(Template().setup(clap, NAMES).embeddings)
    expected = clap.logit_scale * text[:, 0] + [0.5, 0.5 * np.exp(-14), 0.5]
    found = logits_of(clap, learner, 3 * torch.eye(16)[:1])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_alpha_and_beta_are_the_best_on_held_out_items(clap, make_shots):
    held_out = make_shots([9, 9, 9], seed=1, noise=0.4)
    shots = make_shots([4, 3, 5], held_out=held_out, noise=0.4)
    learner = TipAdapter().setup(clap, NAMES, shots)
    labels = held_out.target.argmax(1).numpy()

    def score(alpha, beta):
        """Accuracy, and the mean log-likelihood."""
        logits = independent(clap, shots, held_out.whole, alpha, beta)
        found = np.log(np.exp(logits).sum(1)) - logits[np.arange(27), labels]
        return (logits.argmax(1) == labels).mean(), -found.mean()

    best = max(
        [(alpha, beta) for alpha in ALPHAS for beta in BETAS],
        key=lambda pair: score(*pair),
    )
    assert learner.chosen == {
        "alpha": best[0],
        "beta": best[1],
        "rule": "27 held-out items",
    }
    expected = independent(clap, shots, torch.eye(16), *best)
    np.testing.assert_allclose(
        logits_of(clap, learner, torch.eye(16)), expected, rtol=1e-4, atol=1e-4
    )


def test_an_item_does_not_find_itself_where_it_is_held_out(clap):
    """Neighbors of other classes: whoever looks itself up trusts the cache."""
    text = Template().setup(clap, NAMES).embeddings
    text = torch.nn.functional.normalize(text, dim=-1)
    target = torch.eye(3).repeat(2, 1)  # [6, n_classes]
    # Two of other classes lie together; the text knows the way.
    away = 10 * torch.eye(16)[3:6].repeat_interleave(2, 0)
    shots = LabeledItems(away + target @ text, target)
    learner = TipAdapter(beta=15.0).setup(clap, NAMES, shots)
    assert learner.chosen["alpha"] == min(ALPHAS)


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


def test_what_is_given_stays_and_the_rest_is_chosen(clap, make_shots):
    learner = TipAdapter(alpha=2).setup(clap, NAMES, make_shots([3, 3, 2]))
    assert learner.chosen["alpha"] == 2.0 and learner.chosen["beta"] in BETAS
    assert learner.chosen["rule"].startswith("2-fold cross-validation")
    learner = TipAdapter().setup(clap, NAMES, make_shots([1, 1, 0]))
    assert learner.chosen == {
        "alpha": DEFAULT_ALPHA,
        "beta": DEFAULT_BETA,
        "rule": "default, since no class has an item to spare",
    }
    assert DEFAULT_ALPHA in ALPHAS and DEFAULT_BETA in BETAS


@pytest.mark.parametrize(("multi_label", "scale"), [(False, None), (True, 1.0)])
def test_the_gradient_of_the_keys_is_that_of_finite_differences(
    clap, make_shots, multi_label, scale
):
    shots, asked = make_shots([2, 1, 1], multi_label), torch.randn(3, 16)
    learner = TipAdapter(alpha=2.0, beta=3.0, learn_keys=True)
    learner.setup(clap, NAMES, shots, scale).double()
    item = Embeddings(asked.double(), None, None)

    def logits(keys):
        """As a function of the keys, of any norm."""
        args = (item, learner.classes(clap))
        return functional_call(learner, {"keys": keys}, args)["coarse"]

    keys = (1.5 * learner.keys.detach()).requires_grad_()
    assert torch.autograd.gradcheck(logits, keys)


def test_keys_are_learned_and_nothing_else(clap, make_shots, tmp_path):
    shots = make_shots([4, 3, 5])
    # A stronger cache, asked for its own items, leaves nothing to learn.
    learner = TipAdapter(alpha=1.0, beta=1.0, learn_keys=True)
    learner.setup(clap, NAMES, shots)
    assert [name for name, _ in learner.named_parameters()] == ["keys"]
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3, eps=1e-4)
    losses = []  # of each step
    for _ in range(20):
        logits = logits_of(clap, learner, shots.whole)
        loss = torch.nn.functional.cross_entropy(logits, shots.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    after = learner.state_dict()
    assert [k for k in after if not torch.equal(after[k], before[k])] == [
        "keys"
    ]
    # What was learned is in an export, as it is.
    write_export(tmp_path, clap, learner, Task("tiny", NAMES), Template())
    again = read_export(tmp_path).make_learner(clap)
    asked = torch.randn(4, 16)
    with torch.no_grad():
        assert torch.equal(
            logits_of(clap, learner, asked), logits_of(clap, again, asked)
        )


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


def test_it_needs_items(clap):
    with pytest.raises(
        InputError, match="TipAdapter is made of training items"
    ):
        TipAdapter().setup(clap, NAMES).classes(clap)


@pytest.mark.parametrize(
    "settings", [{"alpha": 0}, {"beta": -1.0}, {"templates": "a sound"}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        TipAdapter(**settings)
