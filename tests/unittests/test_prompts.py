"""Tests of what keeps prompts near the template, against numpy.

What all learners promise is in test_learners.py, and the contexts themselves are.
"""

import numpy as np
import pytest
import torch
from common import unit
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.learners import Classes, PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "rain on the roof", "bell"]
WORDS = "this is a sound of"
# A task of one label scores at the backbone's scale, one of several with cosines.
SCALES = [None, 1.0]


@pytest.fixture
def captions(clap):
    """Four items with parts and padding."""
    texts = ["dog barks", "rain falls", "old dog", "one bell rings far away"]
    return clap.encode_captions(texts)


def entropy(logits):
    """Mean entropy of the softmax, in nats."""
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return -(p * np.log(p)).sum(1).mean()


# fine=False


def test_one_context_learns_what_the_coarse_one_of_two_learns(clap, captions):
    one = PromptLearner(n_ctx=3, seed=1, fine=False).setup(clap, NAMES)
    two = PromptLearner(n_ctx=3, seed=1).setup(clap, NAMES)
    assert torch.equal(one.ctx_coarse, two.ctx_coarse)
    assert not one.uses_parts and two.uses_parts
    assert (one.n_learned, two.n_learned) == (3 * 32, 2 * 3 * 32)
    found = one(captions, one.classes(clap))
    expected = two(captions, two.classes(clap))["coarse"]
    assert set(found) == {"coarse"}
    torch.testing.assert_close(found["coarse"], expected)


def test_one_context_is_half_the_towers_work(clap, monkeypatch):
    passed = []
    encode = clap.caption_encoder.encode_prompts

    def watch(contexts, *args):
        """Note how many contexts pass the tower."""
        passed.append(len(contexts))
        return encode(contexts, *args)

    monkeypatch.setattr(clap.caption_encoder, "encode_prompts", watch)
    for fine in (False, True):
        PromptLearner(n_ctx=3, fine=fine).setup(clap, NAMES).classes(clap)
    assert passed == [1, 2]


def test_one_context_has_its_words(clap):
    learner = PromptLearner(n_ctx=3, fine=False, class_specific=True)
    vectors = learner.setup(clap, NAMES).token_vectors(clap)
    assert set(vectors) == {f"ctx_coarse of {name}" for name in NAMES}


# zero_shot_share


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_templates_logits_have_their_share(clap, captions, share, scale):
    learner = PromptLearner(n_ctx=3, seed=1, zero_shot_share=share)
    free = PromptLearner(n_ctx=3, seed=1).setup(clap, NAMES, None, scale)
    template = Template().setup(clap, NAMES, None, scale)
    learner.setup(clap, NAMES, None, scale)
    found, prompt, zero_shot = (
        each(captions, each.classes(clap)) for each in (learner, free, template)
    )
    for head in ("coarse", "fine"):
        expected = (1 - share) * prompt[head] + share * zero_shot[head]
        torch.testing.assert_close(found[head], expected)


def test_new_names_get_their_own_templates_share(clap, captions):
    learner = PromptLearner(n_ctx=3, seed=1, fine=False, zero_shot_share=0.5)
    learner.setup(clap, NAMES)
    names = ["small bell", "dog"]
    baseline = Template().setup(clap, names).classes(clap)
    other = learner.with_class_names(clap, names, baseline)
    fresh = PromptLearner(**learner.settings()).setup(clap, names)
    assert torch.equal(other.zero_shot, fresh.zero_shot)
    found, expected = (
        each(captions, each.classes(clap)) for each in (other, fresh)
    )
    assert torch.equal(found["coarse"], expected["coarse"])


def test_an_ensemble_can_be_the_template(clap):
    texts = ["a sound of {}", "{} far away"]
    learner = PromptLearner(n_ctx=3, pull=1.0, templates=texts)
    expected = Template(texts).setup(clap, NAMES).embeddings
    found = learner.setup(clap, NAMES).zero_shot
    torch.testing.assert_close(found, normalize(expected, dim=-1))


# penalty


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("fine", [False, True])
def test_the_penalty_is_the_formula(clap, captions, scale, fine):
    learner = PromptLearner(
        n_ctx=3, fine=fine, entropy_weight=0.05, pull=4.0, zero_shot_share=0.5
    ).setup(clap, NAMES, None, scale)
    classes = learner.classes(clap)
    logits = learner(captions, classes)
    found = learner.penalty(logits, classes)
    # Both are told at the backbone's scale.
    gain = 1.0 if scale is None else clap.logit_scale
    template = unit(Template().setup(clap, NAMES).embeddings.numpy())
    expected = 0.0
    for head in ("coarse", "fine") if fine else ("coarse",):
        values = logits[head].detach().numpy()
        expected -= 0.05 * entropy(gain * values)
        learned = unit(getattr(classes, head).detach().numpy())
        expected += 4.0 * ((learned - template) ** 2).sum(1).mean()
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_gradients_are_those_of_finite_differences(clap, captions, scale):
    learner = PromptLearner(
        n_ctx=2, zero_shot_share=0.5, entropy_weight=0.05, pull=4.0
    ).setup(clap, NAMES, None, scale)
    learner.double()
    item = Embeddings(
        captions.whole.double(), captions.parts.double(), captions.mask
    )
    target = torch.eye(3)[[0, 1, 0, 2]].double()
    task = Task("tiny", NAMES, multi_label=scale == 1.0)

    def loss(coarse, fine):
        """The whole loss as a function of the class embeddings."""
        classes = Classes(coarse, fine)
        logits = learner(item, classes)
        total = sum(task.loss(values, target) for values in logits.values())
        return total + learner.penalty(logits, classes)

    start = torch.randn(2, 3, 16, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(loss, tuple(start))
