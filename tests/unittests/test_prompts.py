"""Tests of afpt_plugin.learners.prompts."""

import pytest
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.learners.prompts import PromptLearner, template_embeddings

NAMES = ["dog", "rain on the roof"]


def test_contexts_from_words_start_as_the_template(clap):
    """Both class embeddings equal the zero-shot baseline's."""
    learner = PromptLearner(ctx_init="this is a sound of").setup(clap, NAMES)
    expected = template_embeddings(clap, NAMES, "this is a sound of {}")
    for embeddings in learner(clap):
        torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=1e-5)


def test_the_start_is_kept_when_the_contexts_move(clap):
    """Copies, not views; and not in a checkpoint."""
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    assert learner.start.keys() == {"ctx_coarse", "ctx_fine"}
    for name, start in learner.start.items():
        ctx = getattr(learner, name)
        assert torch.equal(start, ctx) and not start.requires_grad
        ctx.data += 1
        torch.testing.assert_close(ctx.detach() - start, torch.ones(3, 32))


def test_an_anchored_class_stays_where_its_texts_lie(clap):
    """By its share; the rest is what the contexts say."""
    free = PromptLearner(n_ctx=3, seed=1).setup(clap, NAMES)
    anchor = torch.randn(2, 16)
    held = PromptLearner(n_ctx=3, seed=1, anchor=0.75)
    held.setup(clap, NAMES).anchor_to(anchor)
    unit = torch.nn.functional.normalize
    for found, learned in zip(held(clap), free(clap), strict=True):
        expected = 0.75 * unit(anchor) + 0.25 * unit(learned)
        torch.testing.assert_close(found, expected)
    held(clap)[0].sum().backward()
    assert held.ctx_coarse.grad.abs().max() > 0
    # Kilobytes: only what is learned is checkpointed.
    assert set(held.state_dict()) == {"ctx_coarse", "ctx_fine"}


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_an_anchor_is_a_share(share):
    """At 1 nothing would be learned."""
    with pytest.raises(InputError, match=f"anchor is {share}"):
        PromptLearner(n_ctx=3, anchor=share)


def test_an_anchor_is_asked_for(clap):
    """One embedding of each class."""
    learner = PromptLearner(n_ctx=3, anchor=0.5).setup(clap, NAMES)
    with pytest.raises(InputError, match="anchor is 0.5.*anchor_to"):
        learner(clap)
    with pytest.raises(InputError, match=r"\[3, 16\], wanted .*\[2, 16\]"):
        learner.anchor_to(torch.ones(3, 16))


def test_classes_in_chunks_learn_the_same(clap):
    """Values and gradients, for a learner made with a chunk size."""
    gradients = []
    for chunk in (None, 1):
        learner = PromptLearner(n_ctx=3, classes_per_chunk=chunk)
        coarse, fine = learner.setup(clap, NAMES)(clap)
        (coarse.square().sum() + fine.sum()).backward()
        gradients.append((learner.ctx_coarse.grad, learner.ctx_fine.grad))
    assert coarse.grad_fn is not None
    torch.testing.assert_close(*gradients)


def test_no_classes_in_a_chunk_is_an_error():
    """Before any backbone is loaded."""
    with pytest.raises(InputError, match="classes_per_chunk is 0"):
        PromptLearner(n_ctx=3, classes_per_chunk=0)


def test_bf16_learns_as_float32_does(clap):
    """Ten steps towards a target: the same loss within 2 %."""
    torch.manual_seed(0)
    target = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    losses = {}
    for bf16 in (False, True):
        learner = PromptLearner(n_ctx=3, seed=1).setup(clap, NAMES)
        optimizer = torch.optim.AdamW(learner.parameters(), lr=0.05)
        losses[bf16] = []
        for _ in range(10):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                coarse, fine = learner(clap)
            loss = sum(
                1 - torch.cosine_similarity(part, target, dim=-1).mean()
                for part in (coarse, fine)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[bf16].append(float(loss.detach()))
    assert losses[True][-1] < losses[True][0] - 0.1
    assert losses[True] == pytest.approx(losses[False], rel=0.02)


def test_a_stacked_pass_equals_two_passes(clap):
    """Coarse and fine do not see each other."""
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    tokens = clap.tokenize_class_names(NAMES)
    coarse, fine = learner(clap)
    for ctx, expected in (
        (learner.ctx_coarse, coarse),
        (learner.ctx_fine, fine),
    ):
        torch.testing.assert_close(clap.encode_prompts(ctx, tokens), expected)


def test_class_names_do_not_see_each_others_padding(clap):
    """A short name beside a long one, and alone."""
    torch.manual_seed(0)
    ctx = torch.randn(3, clap.token_dim)
    together = clap.encode_prompts(ctx, clap.tokenize_class_names(NAMES))
    alone = clap.encode_prompts(ctx, clap.tokenize_class_names(NAMES[:1]))
    torch.testing.assert_close(together[:1], alone)


def test_only_the_contexts_receive_gradients(clap):
    """And each only from its own class embeddings."""
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    coarse, _ = learner(clap)
    coarse.sum().backward()
    assert learner.ctx_coarse.grad.abs().sum() > 0
    assert learner.ctx_fine.grad is None or not learner.ctx_fine.grad.any()
    assert all(p.grad is None for p in clap.parameters())


def test_random_contexts_depend_on_the_seed_alone(clap):
    """Whatever was drawn before; with the paper's spread."""
    torch.manual_seed(1)
    one = PromptLearner(n_ctx=40, seed=5).setup(clap, NAMES)
    torch.manual_seed(2)
    same = PromptLearner(n_ctx=40, seed=5).setup(clap, NAMES)
    other = PromptLearner(n_ctx=40, seed=6).setup(clap, NAMES)
    assert torch.equal(one.ctx_fine, same.ctx_fine)
    assert not torch.equal(one.ctx_fine, other.ctx_fine)
    assert not torch.equal(one.ctx_fine, one.ctx_coarse)
    assert float(one.ctx_coarse.std()) == pytest.approx(0.02, rel=0.15)


def test_words_fill_the_last_slots_of_a_longer_context(clap):
    """The rest is drawn."""
    learner = PromptLearner(n_ctx=6, ctx_init="sound of").setup(clap, NAMES)
    assert torch.equal(learner.ctx_coarse[4:], clap.embed_words("sound of"))
    assert learner.ctx_coarse.shape == (6, clap.token_dim)


def test_a_checkpoint_holds_the_contexts_and_nothing_else(clap):
    """Class tokens follow from the class names."""
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    assert set(learner.state_dict()) == {"ctx_coarse", "ctx_fine"}


def test_label_dropout_is_on_in_training_only(clap):
    """And leaves CLAP in evaluation mode."""
    learner = PromptLearner(n_ctx=3, label_dropout=True).setup(clap, NAMES)
    learner.eval()
    quiet = learner(clap)[0]
    assert torch.equal(quiet, learner(clap)[0])
    learner.train()
    torch.manual_seed(0)
    assert not torch.equal(quiet, learner(clap)[0])
    assert not any(module.training for module in clap.modules())


def test_more_words_than_slots_is_an_error(clap):
    """With both numbers in the message."""
    learner = PromptLearner(n_ctx=2, ctx_init="this is a sound of")
    with pytest.raises(InputError, match="5 tokens long, n_ctx is 2"):
        learner.setup(clap, NAMES)


@pytest.mark.parametrize("n_ctx", [None, 0])
def test_no_vectors_and_no_words_is_an_error(n_ctx):
    """Before any backbone is loaded."""
    with pytest.raises(InputError, match="n_ctx"):
        PromptLearner(n_ctx=n_ctx)


def test_a_prompt_longer_than_the_tower_is_an_error(clap):
    """The tiny tower has 48 positions."""
    learner = PromptLearner(n_ctx=46).setup(clap, NAMES)
    with pytest.raises(InputError, match="lower n_ctx"):
        learner(clap)


@pytest.mark.parametrize("template", ["a sound", "{} and {}"])
def test_a_template_without_one_place_is_an_error_that_prints_it(
    clap, template
):
    """Zero or two."""
    with pytest.raises(InputError) as error:
        template_embeddings(clap, NAMES, template)
    assert template in str(error.value)


def test_a_class_name_with_braces_is_taken_literally(clap):
    """`str.format` would read it."""
    assert template_embeddings(clap, ["{0}"], "a {}").shape == (1, 16)
