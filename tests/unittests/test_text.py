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

from afpt_plugin.backbones import text
from afpt_plugin.backbones.text import BertTextEncoder, Gpt2TextEncoder
from afpt_plugin.errors import InputError

NAMES = ["dog", "church bells", "rain"]
#: Of every length, and not sorted by it.
MANY_NAMES = [
    " ".join(("dog", "bells", "rain", "church", "of")[: 1 + 7 * i % 5])
    for i in range(32)
]
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


def _gradient(embeddings, ctx):
    torch.manual_seed(2)
    weights = torch.randn_like(embeddings)
    (gradient,) = torch.autograd.grad((embeddings * weights).sum(), ctx)
    return gradient


def test_a_caption_does_not_depend_on_the_padding_of_its_batch(tower):
    alone = tower.encode(tower.tokenize(["rain"]))
    padded = tower.encode(tower.tokenize(["rain"], pad_to=24))
    assert torch.allclose(padded.whole, alone.whole, atol=1e-5)
    assert padded.mask.sum() == alone.mask.sum() < padded.mask.numel()
    assert torch.allclose(
        padded.parts[padded.mask], alone.parts[alone.mask], atol=1e-5
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
    sentence = gpt2.encode(tokens).whole
    assert torch.allclose(sentence, expected, atol=1e-6)


def test_a_bert_context_of_words_equals_the_caption_of_these_words(bert):
    ctx = bert.embed_words("this is a sound of")
    assert ctx.shape == (5, 32)
    prompts = bert.encode_prompts(ctx[None], bert.tokenize_class_names(NAMES))
    captions = [f"this is a sound of {name}" for name in NAMES]
    plain = bert.encode(bert.tokenize(captions)).whole
    assert torch.allclose(prompts[0], plain, atol=1e-5)
    twice = bert.encode_prompts(
        ctx[None], bert.tokenize_class_names(NAMES), embed_twice=True
    )
    assert not torch.allclose(twice[0], plain, atol=1e-2)


def test_a_gpt2_context_of_words_equals_the_caption_of_these_words(gpt2):
    ctx = gpt2.embed_words("this is a sound of")
    prompts = gpt2.encode_prompts(ctx[None], gpt2.tokenize_class_names(NAMES))
    captions = [f"this is a sound of {name}" for name in NAMES]
    plain = gpt2.encode(gpt2.tokenize(captions)).whole
    assert torch.allclose(prompts[0], plain, atol=1e-5)


@pytest.mark.parametrize("classes_per_chunk", [None, 1, 2, 3])
@pytest.mark.parametrize("n_contexts, n_ctx", [(1, 1), (2, 4), (3, 20)])
def test_the_shared_prefix_of_gpt2_changes_neither_values_nor_gradients(
    gpt2, n_contexts, n_ctx, classes_per_chunk
):
    ctx = _context(n_contexts, n_ctx)
    tokens = gpt2.tokenize_class_names(NAMES)
    shared = gpt2.encode_prompts(
        ctx, tokens, classes_per_chunk=classes_per_chunk
    )
    plain = []
    for context in ctx:
        for ids, mask in zip(*tokens, strict=True):
            name = gpt2.base.wte(ids[mask.bool()])
            prompt = torch.cat([context, name])[None]
            states = gpt2.base(inputs_embeds=prompt, use_cache=False)[0]
            plain.append(gpt2.projection(states[0, -1]))
    plain = torch.stack(plain).unflatten(0, shared.shape[:2])
    torch.testing.assert_close(shared, plain, atol=1e-5, rtol=1e-5)
    ours, theirs = _gradient(shared, ctx), _gradient(plain, ctx)
    assert theirs.abs().amax(2).gt(1e-3).all()  # at every vector
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_prefix_of_gpt2_is_computed_once_for_all_chunks(gpt2):
    ctx, shapes = _context(), []
    hook = gpt2.base.h[0].register_forward_hook(
        lambda module, inputs, output: shapes.append(inputs[0].shape)
    )
    embeddings = gpt2.encode_prompts(
        ctx, gpt2.tokenize_class_names(NAMES), classes_per_chunk=1
    )
    _gradient(embeddings, ctx)
    hook.remove()
    # And the names twice, forward and again in the backward pass.
    assert [shape[1] for shape in shapes].count(ctx.shape[1]) == 1
    assert len(shapes) == 1 + 2 * len(NAMES)


def test_all_positions_of_berts_last_layer_give_the_same_prompts(bert):
    # Mean pooling needs all of them, the sentence of CLAP's BERT only CLS.
    ctx = _context()
    tokens = bert.tokenize_class_names(NAMES)
    ours = bert.encode_prompts(ctx, tokens)
    prompts = torch.cat(
        [
            bert.base.embeddings.word_embeddings(tokens.input_ids)[:, :1],
            ctx[:1].expand(3, -1, -1),
            bert.base.embeddings.word_embeddings(tokens.input_ids)[:, 1:],
        ],
        dim=1,
    )
    mask = torch.cat(
        [tokens.attention_mask.new_ones(3, 4), tokens.attention_mask], dim=1
    )
    states = bert.base(inputs_embeds=prompts, attention_mask=mask)[0]
    plain = bert.projection(states[:, 0])
    torch.testing.assert_close(ours[0], plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        _gradient(ours[:1], ctx), _gradient(plain[None], ctx)
    )


@pytest.mark.parametrize("classes_per_chunk", [3, 31, 100])
def test_chunks_change_neither_values_nor_gradients(tower, classes_per_chunk):
    ctx = _context()
    tokens = tower.tokenize_class_names(MANY_NAMES)
    whole = tower.encode_prompts(ctx, tokens)
    chunked = tower.encode_prompts(
        ctx, tokens, classes_per_chunk=classes_per_chunk
    )
    torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        evaluated = tower.encode_prompts(
            ctx, tokens, classes_per_chunk=classes_per_chunk
        )
    assert torch.equal(evaluated, chunked) and not evaluated.requires_grad
    ours, theirs = _gradient(chunked, ctx), _gradient(whole, ctx)
    torch.testing.assert_close(
        ours, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=1e-4
    )


def test_chunks_draw_the_same_dropout_when_they_are_recomputed(
    tower, monkeypatch
):
    ctx = _context()
    tokens = tower.tokenize_class_names(NAMES)

    def run():
        torch.manual_seed(3)
        with tower.dropout():
            return tower.encode_prompts(ctx, tokens, classes_per_chunk=2)

    recomputed = run()
    assert not tower.training
    # What is drawn in between must not matter, nor that dropout is off again.
    torch.rand(7)
    gradient = _gradient(recomputed, ctx)
    assert not any(module.training for module in tower.modules())
    monkeypatch.setattr(
        text, "checkpoint", lambda function, *args, **_: function(*args)
    )
    kept = run()
    assert torch.equal(recomputed, kept)
    torch.testing.assert_close(gradient, _gradient(kept, ctx))
    quiet = tower.encode_prompts(ctx, tokens)
    assert not torch.allclose(kept, quiet, atol=1e-2)


def _kept_bytes(tower, names, **kwargs):
    """Bytes that autograd keeps between forward and backward."""
    kept = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ctx, tokens = _context(), tower.tokenize_class_names(names)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive = tower.encode_prompts(ctx, tokens, **kwargs)
    assert alive.requires_grad
    return sum(kept.values())


def test_chunks_keep_next_to_nothing_per_class(tower):
    few, many = MANY_NAMES[:8], MANY_NAMES * 4
    growth = _kept_bytes(tower, many) - _kept_bytes(tower, few)
    chunked = _kept_bytes(tower, many, classes_per_chunk=4) - _kept_bytes(
        tower, few, classes_per_chunk=4
    )
    assert chunked < growth / 20


def test_chunks_are_automatic_where_memory_asks_for_them(tower, monkeypatch):
    kept = _kept_bytes(tower, MANY_NAMES)
    monkeypatch.setattr(text, "KEEP_BYTES", 10 * kept)
    # Nearly: a small tensor may get the address of one that is gone.
    assert _kept_bytes(tower, MANY_NAMES) == pytest.approx(kept, rel=0.01)
    monkeypatch.setattr(text, "KEEP_BYTES", kept // 10)
    monkeypatch.setattr(text, "CHUNK_BYTES", kept // 10)
    assert _kept_bytes(tower, MANY_NAMES) < kept / 5


def test_glibc_gives_back_what_a_chunk_took(tower, monkeypatch):
    """Only where chunks are recomputed, and nothing happens elsewhere."""
    told = []

    class Glibc:
        def mallopt(self, *setting):
            told.append(setting)

    tokens = tower.tokenize_class_names(NAMES)
    for library, kwargs, expected in (
        (Glibc, {}, []),
        (Glibc, {"classes_per_chunk": 1}, [(-3, 2**20)]),
        (object, {"classes_per_chunk": 1}, []),
    ):
        monkeypatch.setattr(text.ctypes, "CDLL", lambda _, lib=library: lib())
        text._give_blocks_back.cache_clear()
        told.clear()
        tower.encode_prompts(_context(), tokens, **kwargs)
        assert told == expected
    text._give_blocks_back.cache_clear()


def test_groups_of_classes_are_only_as_long_as_their_own_names(bert):
    ctx, tokens = _context(), bert.tokenize_class_names(MANY_NAMES)
    shapes = []
    hook = bert.base.encoder.layer[0].register_forward_hook(
        lambda module, inputs, output: shapes.append(inputs[0].shape[:2])
    )
    together = bert.encode_prompts(ctx, tokens)
    hook.remove()
    # CLS, context, name, SEP; two contexts of eight classes each.
    lengths = sorted(len(name.split()) for name in MANY_NAMES)
    assert [tuple(shape) for shape in shapes] == [
        (16, 6 + lengths[last]) for last in (7, 15, 23, 31)
    ]
    for place in (0, 1, 2, 30, 31):
        alone = bert.encode_prompts(
            ctx, bert.tokenize_class_names(MANY_NAMES[place : place + 1])
        )
        assert torch.allclose(together[:, place], alone[:, 0], atol=1e-5)


@pytest.mark.parametrize("classes_per_chunk", [None, 2])
def test_bf16_gives_float32_embeddings_close_to_float32s(
    tower, classes_per_chunk
):
    ctx, tokens = _context(), tower.tokenize_class_names(NAMES)
    exact = tower.encode_prompts(ctx, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        rough = tower.encode_prompts(
            ctx, tokens, classes_per_chunk=classes_per_chunk
        )
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    cosines = torch.cosine_similarity(rough, exact, dim=-1)
    assert cosines.min() > 0.995
    ours, theirs = _gradient(rough, ctx), _gradient(exact, ctx)
    assert ours.dtype == torch.float32 and ours.isfinite().all()
    assert torch.cosine_similarity(ours, theirs, dim=-1).min() > 0.98


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
    assert torch.allclose(padded.whole, alone.whole, atol=1e-5)
    states = pooled.base(**pooled.tokenize(["rain"])._asdict())[0]
    expected = pooled.projection(states.mean(1))
    assert torch.allclose(alone.whole, expected, atol=1e-5)
