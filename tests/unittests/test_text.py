"""Text towers: what a context does, and what padding must not do."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    GPT2Config,
    GPT2Model,
    GPT2TokenizerFast,
)
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

from afpt_plugin.backbones.text import BertTextEncoder, Gpt2TextEncoder
from afpt_plugin.errors import InputError

NAMES = ["dog", "church bells", "rain"]
WORDS = "this is a sound of dog rain church bells [UNK]".split()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny BERT tower with a vocabulary of ten words."""
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    base = BertModel(
        BertConfig(
            vocab_size=14,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=32,
            initializer_range=0.5,
        )
    )
    tokenizer = BertTokenizerFast(str(path))
    return _freeze(BertTextEncoder(base, torch.nn.Linear(32, 8), tokenizer, 8))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A tiny GPT-2 tower whose tokens are bytes."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = write_gpt2_tokenizer(folder)
    torch.manual_seed(0)
    base = GPT2Model(
        GPT2Config(
            vocab_size=257,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=64,
            initializer_range=0.3,
            bos_token_id=256,
            eos_token_id=256,
        )
    )
    return _freeze(Gpt2TextEncoder(base, torch.nn.Linear(32, 8), tokenizer, 8))


@pytest.fixture(params=["bert", "gpt2"])
def tower(request):
    """Either tower."""
    return request.getfixturevalue(request.param)


def write_gpt2_tokenizer(folder):
    """Write GPT-2's byte alphabet, whose id 0 is ``!``, without merges."""
    import json

    tokens = [*bytes_to_unicode().values(), "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return GPT2TokenizerFast(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="!"
    )


def _freeze(tower):
    return tower.requires_grad_(False).eval()


def _context(n_contexts=2, n_ctx=4):
    torch.manual_seed(1)
    return (0.5 * torch.randn(n_contexts, n_ctx, 32)).requires_grad_()


def test_a_caption_does_not_depend_on_the_padding_of_its_batch(tower):
    alone = tower.encode(tower.tokenize(["rain"]))
    padded = tower.encode(tower.tokenize(["rain"], pad_to=24))
    assert torch.allclose(padded.sentence, alone.sentence, atol=1e-5)
    assert padded.mask.sum() == alone.mask.sum() < padded.mask.numel()
    assert torch.allclose(
        padded.words[padded.mask], alone.words[alone.mask], atol=1e-5
    )


def test_pad_to_cuts_a_longer_caption(tower):
    tokens = tower.tokenize(["this is a sound of church bells"], pad_to=5)
    assert tokens.input_ids.shape == (1, 5)
    assert tokens.attention_mask.all()


def test_bert_words_are_all_positions_but_cls(bert):
    encoded = bert.encode(bert.tokenize(["dog", "church bells"]))
    # dog SEP; church bells SEP
    assert encoded.mask.tolist() == [[True, True, False], [True] * 3]


def test_gpt2_words_are_the_positions_before_the_end_of_text(gpt2):
    texts = ["dog", "rain"]
    encoded = gpt2.encode(gpt2.tokenize(texts))
    assert encoded.mask.sum(1).tolist() == [len("dog "), len("rain ")]


def test_gpt2_sentence_is_msclaps_position_unless_the_text_has_an_exclamation(
    gpt2,
):
    # msclap pads with "!" (id 0) and counts the ids that are not 0.
    tokens = gpt2.tokenize(["dog", "rain", "a dog!"])
    theirs = tokens.input_ids.ne(0).sum(1) - 1
    ours = tokens.attention_mask.sum(1) - 1
    assert (ours - theirs).tolist() == [0, 0, 1]
    ends = tokens.input_ids[torch.arange(3), ours]
    assert ends.tolist() == [gpt2.tokenizer.eos_token_id] * 3
    states = gpt2.base(tokens.input_ids, attention_mask=tokens.attention_mask)
    expected = gpt2.projection(states[0][torch.arange(3), ours])
    sentence = gpt2.encode(tokens).sentence
    assert torch.allclose(sentence, expected, atol=1e-6)


def test_a_bert_context_of_words_equals_the_caption_of_these_words(bert):
    ctx = bert.embed_words("this is a sound of")
    assert ctx.shape == (5, 32)
    prompts = bert.encode_prompts(ctx[None], bert.tokenize_class_names(NAMES))
    captions = [f"this is a sound of {name}" for name in NAMES]
    plain = bert.encode(bert.tokenize(captions)).sentence
    assert torch.allclose(prompts[0], plain, atol=1e-5)
    twice = bert.encode_prompts(
        ctx[None], bert.tokenize_class_names(NAMES), embed_twice=True
    )
    assert not torch.allclose(twice[0], plain, atol=1e-2)


def test_a_gpt2_context_of_words_equals_the_caption_of_these_words(gpt2):
    ctx = gpt2.embed_words("this is a sound of")
    prompts = gpt2.encode_prompts(ctx[None], gpt2.tokenize_class_names(NAMES))
    captions = [f"this is a sound of {name}" for name in NAMES]
    plain = gpt2.encode(gpt2.tokenize(captions)).sentence
    assert torch.allclose(prompts[0], plain, atol=1e-5)


def test_the_cached_prefix_of_gpt2_changes_neither_values_nor_gradients(gpt2):
    ctx = _context()
    tokens = gpt2.tokenize_class_names(NAMES)
    cached = gpt2.encode_prompts(ctx, tokens)
    plain = []
    for context in ctx:
        for ids, mask in zip(*tokens, strict=True):
            name = gpt2.base.wte(ids[mask.bool()])
            prompt = torch.cat([context, name])[None]
            states = gpt2.base(inputs_embeds=prompt, use_cache=False)[0]
            plain.append(gpt2.projection(states[0, -1]))
    plain = torch.stack(plain).unflatten(0, cached.shape[:2])
    assert torch.allclose(cached, plain, atol=1e-5)
    weights = torch.randn_like(plain)
    (ours,) = torch.autograd.grad((cached * weights).sum(), ctx)
    (theirs,) = torch.autograd.grad((plain * weights).sum(), ctx)
    assert theirs.abs().max() > 0.01
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_several_contexts_at_once_equal_one_after_the_other(tower):
    ctx = _context(3)
    tokens = tower.tokenize_class_names(NAMES)
    together = tower.encode_prompts(ctx, tokens)
    apart = torch.cat([tower.encode_prompts(c[None], tokens) for c in ctx])
    assert together.shape == (3, 3, 8)
    assert torch.allclose(together, apart, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_a_class_does_not_depend_on_the_other_classes(tower):
    ctx = _context(1)
    alone = tower.encode_prompts(ctx, tower.tokenize_class_names(["dog"]))
    among = tower.encode_prompts(ctx, tower.tokenize_class_names(NAMES))
    assert torch.allclose(among[:, 0], alone[:, 0], atol=1e-5)


def test_the_gradient_reaches_the_context_alone(tower):
    ctx = _context()
    tower.encode_prompts(
        ctx, tower.tokenize_class_names(NAMES)
    ).sum().backward()
    assert ctx.grad.abs().sum(2).gt(0).all()
    assert all(p.grad is None for p in tower.parameters())


def test_a_prompt_longer_than_the_tower_is_refused(tower):
    ctx = _context(1, n_ctx=63)
    with pytest.raises(InputError, match="lower n_ctx"):
        tower.encode_prompts(ctx, tower.tokenize_class_names(NAMES))


def test_gpt2_refuses_the_double_embedding(gpt2):
    with pytest.raises(InputError, match="BERT only"):
        gpt2.encode_prompts(
            _context(), gpt2.tokenize_class_names(NAMES), embed_twice=True
        )


def test_mean_pooling_leaves_padding_out(bert):
    pooled = BertTextEncoder(
        bert.base, bert.projection, bert.tokenizer, 8, mean_pooling=True
    )
    alone = pooled.encode(pooled.tokenize(["rain"]))
    padded = pooled.encode(pooled.tokenize(["rain"], pad_to=24))
    assert torch.allclose(padded.sentence, alone.sentence, atol=1e-5)
    states = pooled.base(**pooled.tokenize(["rain"])._asdict())[0]
    expected = pooled.projection(states.mean(1))
    assert torch.allclose(alone.sentence, expected, atol=1e-5)
