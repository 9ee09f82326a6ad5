"""Tests of afpt_plugin.learners.feature_context, against the formula in numpy."""

import numpy as np
import pytest
import torch
from common import unit
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.learners import FeatureContext, LabeledItems, Template
from afpt_plugin.similarity import fine_logits
from afpt_plugin.task import Task

NAMES = ["dog", "rain on the roof", "bell"]


@pytest.fixture
def learner(clap):
    """Away from the start."""
    return FeatureContext(seed=1).setup(clap, NAMES)


def test_a_class_is_a_gated_mixture_of_name_and_context(clap, learner):
    items = torch.randn(5, 16)
    found = learner(Embeddings(items, None, None), learner.classes(None))
    names = clap.encode_captions(NAMES).whole.numpy().astype(np.float64)
    ctx = learner.ctx.detach().numpy().astype(np.float64)
    gate = learner.gate.detach().numpy().astype(np.float64)
    share = 1 / (1 + np.exp(-gate))
    classes = unit((1 - share)[:, None] * unit(names) + share[:, None] * ctx)
    expected = clap.logit_scale * unit(items.double().numpy()) @ classes.T
    assert set(found) == {"coarse"}
    np.testing.assert_allclose(
        found["coarse"].detach().numpy(), expected, rtol=1e-4, atol=1e-5
    )


def test_gradients_are_those_of_finite_differences(clap, learner):
    learner.double()
    item = Embeddings(torch.randn(4, 16).double(), None, None)
    target = torch.eye(3)[[0, 1, 2, 0]].double()

    def loss(ctx, gate, task):
        """A task's loss as a function of what is learned."""
        learner.ctx, learner.gate = None, None
        del learner.ctx, learner.gate
        learner.ctx, learner.gate = ctx, gate
        return task.loss(learner(item, learner.classes(None))["coarse"], target)

    start = [p.detach().clone().requires_grad_() for p in learner.parameters()]
    for task in (Task("one", NAMES), Task("several", NAMES, multi_label=True)):
        assert torch.autograd.gradcheck(loss, (*start, task))


def test_the_start_is_drawn_as_the_authors_draw_it(clap):
    names = [f"dog {number}" for number in range(2000)]
    one, same, other = (
        FeatureContext(seed=seed).setup(clap, names) for seed in (1, 1, 2)
    )
    assert torch.equal(one.ctx, same.ctx) and torch.equal(one.gate, same.gate)
    assert not torch.equal(one.ctx, other.ctx)
    assert one.ctx.std().item() == pytest.approx(0.02, rel=0.02)
    assert 0 <= one.gate.min() and one.gate.max() < 1
    assert one.gate.mean().item() == pytest.approx(0.5, abs=0.03)
    assert one.gate.var().item() == pytest.approx(1 / 12, rel=0.1)
    assert one.n_learned == 2000 * (16 + 1)


def test_the_items_do_not_move_the_start(clap, learner):
    shots = LabeledItems(torch.randn(4, 16), torch.eye(3)[[0, 1, 2, 0]])
    given = FeatureContext(seed=1).setup(clap, NAMES, shots)
    assert torch.equal(given.classes(None).coarse, learner.classes(None).coarse)


def test_words_and_frames_are_scored_with_the_same_classes(clap):
    item = clap.encode_captions(["dog", "old dog barks loudly far away"])
    learner = FeatureContext(fine=True).setup(clap, NAMES)
    classes = learner.classes(None)
    found = learner(item, classes)
    assert learner.uses_parts and not FeatureContext().uses_parts
    expected = fine_logits(
        item.parts, item.mask, classes.coarse, clap.logit_scale
    )
    assert torch.equal(found["fine"], expected)


def test_a_name_can_stand_in_a_template(clap):
    texts = ["a sound of {}", "{} far away"]
    learner = FeatureContext(texts).setup(clap, NAMES)
    learner.gate.data[:] = -torch.inf
    expected = Template(texts).setup(clap, NAMES).classes(clap).coarse
    torch.testing.assert_close(
        learner.classes(None).coarse, normalize(expected)
    )
