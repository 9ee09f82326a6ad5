"""Text towers: what a context does, and what padding must not do."""

import pytest
import torch
from common import refused
from transformers import BertModel, GPT2Config, GPT2Model

from afpt_plugin.backbones import text
from afpt_plugin.backbones.gpt2 import Gpt2TextEncoder
from afpt_plugin.backbones.text import BertTextEncoder
from afpt_plugin.errors import InputError
from afpt_plugin.training import memory

NAMES = ["dog", "quiet bells", "rain"]
#: Of every length, and not sorted by it.
MANY_NAMES = [
    " ".join(("dog", "bells", "rain", "old", "of")[: 1 + 7 * i % 5])
    for i in range(32)
]


def make_bert(config, tokenizer, mean_pooling):
    torch.manual_seed(0)
    base, projection = BertModel(config), torch.nn.Linear(32, 8)
    tower = BertTextEncoder(base, projection, tokenizer, 8, mean_pooling)
    return tower.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def bert(bert_config, tokenizer):
    """A tiny BERT tower, its sentence at CLS."""
    return make_bert(bert_config, tokenizer, mean_pooling=False)


@pytest.fixture(scope="module")
def minilm(bert_config, tokenizer):
    """A tiny BERT tower whose sentence is a mean."""
    return make_bert(bert_config, tokenizer, mean_pooling=True)


@pytest.fixture(scope="module")
def gpt2(gpt2_tokenizer):
    """A tiny GPT-2 tower whose tokens are bytes."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=257,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=256,
    )
    base, projection = GPT2Model(config), torch.nn.Linear(32, 8)
    tower = Gpt2TextEncoder(base, projection, gpt2_tokenizer, 8)
    return tower.requires_grad_(False).eval()


@pytest.fixture(params=["bert", "minilm", "gpt2"])
def tower(request):
    return request.getfixturevalue(request.param)


def make_ctx(*shape):
    torch.manual_seed(1)
    return (0.5 * torch.randn(*shape, 32)).requires_grad_()


def gradient_of(embeddings, ctx):
    torch.manual_seed(2)
    weights = torch.randn_like(embeddings)
    (gradient,) = torch.autograd.grad((embeddings * weights).sum(), ctx)
    return gradient


def encode_plainly(tower, ctx, tokens):
    """One prompt after the other through nothing but the transformer."""
    n_classes = len(tokens.input_ids)
    own = ctx if ctx.dim() == 4 else ctx[:, None].expand(-1, n_classes, -1, -1)
    at = 0 if isinstance(tower, Gpt2TextEncoder) else 1  # after CLS
    found = []
    for contexts in own:
        for context, ids, mask in zip(contexts, *tokens, strict=True):
            name = tower.base.get_input_embeddings()(ids[mask.bool()])
            prompt = torch.cat([name[:at], context, name[at:]])[None]
            states = tower.base(inputs_embeds=prompt)[0][0]
            if at and tower.mean_pooling:
                sentence = states.mean(0)
            else:
                sentence = states[0 if at else -1]
            found.append(tower.projection(sentence))
    return torch.stack(found).unflatten(0, own.shape[:2])


@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (2, 32, 4)], ids=str)
def test_prompts_and_gradients_are_those_of_the_plain_transformer(tower, shape):
    """Whatever is shared, grouped, left out, or recomputed."""
    ctx, tokens = make_ctx(*shape), tower.tokenize_class_names(MANY_NAMES)
    plain = encode_plainly(tower, ctx, tokens)
    expected = gradient_of(plain, ctx)
    near = {"atol": 1e-5 * float(expected.abs().max()), "rtol": 1e-4}
    assert expected.abs().amax(-1).gt(1e-3).all()  # at every vector
    for size in (None, 3, 31, 100):
        ours = tower.encode_prompts(ctx, tokens, classes_per_chunk=size)
        assert ours.shape == (shape[0], 32, 8)
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient_of(ours, ctx), expected, **near)
        with torch.no_grad():
            quiet = tower.encode_prompts(ctx, tokens, classes_per_chunk=size)
        assert torch.equal(quiet, ours) and not quiet.requires_grad
    assert all(p.grad is None for p in tower.parameters())


def test_contexts_that_do_not_fit_are_refused(clap, tower):
    tokens = clap.tokenize_class_names(NAMES)
    assert clap.encode_prompts(make_ctx(2, 3, 4), tokens).shape == (2, 3, 16)
    assert clap.encode_prompts(make_ctx(4), tokens).shape == (3, 16)
    for n_classes in (2, 4):
        with pytest.raises(InputError, match=f"{n_classes} classes.* 3 class"):
            clap.encode_prompts(make_ctx(2, n_classes, 4), tokens)
    with pytest.raises(InputError, match="63 vectors.*lower n_ctx"):
        tower.encode_prompts(make_ctx(1, 63), tower.tokenize_class_names(NAMES))


def test_a_caption_does_not_depend_on_the_padding_of_its_batch(tower):
    alone = tower.encode(tower.tokenize(["rain"]))
    padded = tower.encode(tower.tokenize(["rain"], pad_to=24))
    assert torch.allclose(padded.whole, alone.whole, atol=1e-5)
    assert padded.mask.sum() == alone.mask.sum() < padded.mask.numel()
    assert torch.allclose(
        padded.parts[padded.mask], alone.parts[alone.mask], atol=1e-5
    )
    longer = tower.tokenize(["this is a sound of bells"], pad_to=5)
    assert longer.input_ids.shape == (1, 5) and longer.attention_mask.all()


def test_words_are_all_positions_but_the_sentences(bert, gpt2):
    words = bert.encode(bert.tokenize(["dog", "quiet bells"])).mask
    assert words.tolist() == [[True, True, False], [True] * 3]  # SEP is one
    words = gpt2.encode(gpt2.tokenize(["dog", "rain"])).mask
    assert words.tolist() == [[True] * 4 + [False], [True] * 5]  # a space, too


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


def test_a_context_of_words_equals_the_caption_of_these_words(tower):
    ctx = tower.embed_words("this is a sound of")[None]
    tokens = tower.tokenize_class_names(NAMES)
    captions = [f"this is a sound of {name}" for name in NAMES]
    plain = tower.encode(tower.tokenize(captions)).whole
    prompts = tower.encode_prompts(ctx, tokens)[0]
    assert torch.allclose(prompts, plain, atol=1e-5)
    if isinstance(tower, Gpt2TextEncoder):
        with pytest.raises(InputError, match="BERT only"):
            tower.encode_prompts(ctx, tokens, embed_twice=True)
    else:
        twice = tower.encode_prompts(ctx, tokens, embed_twice=True)[0]
        assert not torch.allclose(twice, plain, atol=1e-2)


def test_the_prefix_of_gpt2_is_computed_once_for_all_chunks(gpt2):
    ctx, shapes = make_ctx(2, 4), []
    hook = gpt2.base.h[0].ln_1.register_forward_hook(
        lambda module, inputs, output: shapes.append(inputs[0].shape)
    )
    embeddings = gpt2.encode_prompts(
        ctx, gpt2.tokenize_class_names(NAMES), classes_per_chunk=1
    )
    gradient_of(embeddings, ctx)
    hook.remove()
    # And the names twice, forward and again in the backward pass.
    assert [shape[1] for shape in shapes].count(ctx.shape[1]) == 1
    assert len(shapes) == 1 + 2 * len(NAMES)


def test_chunks_draw_the_same_dropout_when_they_are_recomputed(
    tower, monkeypatch
):
    ctx, tokens = make_ctx(2, 4), tower.tokenize_class_names(NAMES)

    def run():
        torch.manual_seed(3)
        with tower.dropout():
            return tower.encode_prompts(ctx, tokens, classes_per_chunk=2)

    recomputed = run()
    assert not tower.training
    # What is drawn in between must not matter, nor that dropout is off again.
    torch.rand(7)
    gradient = gradient_of(recomputed, ctx)
    assert not any(module.training for module in tower.modules())
    monkeypatch.setattr(
        text, "checkpoint", lambda function, *args, **_: function(*args)
    )
    kept = run()
    assert torch.equal(recomputed, kept)
    torch.testing.assert_close(gradient, gradient_of(kept, ctx))
    quiet = tower.encode_prompts(ctx, tokens)
    assert not torch.allclose(kept, quiet, atol=1e-2)


def kept_bytes(tower, names, **kwargs):
    """Bytes that autograd keeps between forward and backward."""
    kept = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ctx, tokens = make_ctx(2, 4), tower.tokenize_class_names(names)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive = tower.encode_prompts(ctx, tokens, **kwargs)
    assert alive.requires_grad
    return sum(kept.values())


def test_chunks_keep_next_to_nothing_and_come_where_memory_asks_for_them(
    tower, monkeypatch
):
    few, many = (kept_bytes(tower, MANY_NAMES[:8] * n) for n in (1, 16))
    options = {"classes_per_chunk": 4}
    chunked = kept_bytes(tower, MANY_NAMES[:8] * 16, **options)
    chunked -= kept_bytes(tower, MANY_NAMES[:8], **options)
    assert chunked < (many - few) / 20
    kept = kept_bytes(tower, MANY_NAMES)
    monkeypatch.setattr(text, "KEEP_BYTES", 10 * kept)
    # Nearly: a small tensor may get the address of one that is gone.
    assert kept_bytes(tower, MANY_NAMES) == pytest.approx(kept, rel=0.01)
    monkeypatch.setattr(text, "KEEP_BYTES", kept // 10)
    monkeypatch.setattr(text, "CHUNK_BYTES", kept // 10)
    monkeypatch.setattr(text, "free_bytes", lambda device: 9 * kept)
    assert kept_bytes(tower, MANY_NAMES) > kept / 2  # chunks, but kept
    monkeypatch.setattr(text, "free_bytes", lambda device: kept)
    assert kept_bytes(tower, MANY_NAMES) < kept / 5


def test_glibc_gives_back_what_a_chunk_took(bert, monkeypatch):
    """Only where chunks are recomputed, and nothing happens elsewhere."""
    told = []

    class Glibc:
        def mallopt(self, *setting):
            told.append(setting)

    tokens = bert.tokenize_class_names(NAMES)
    for library, chunk in ((Glibc(), None), (object(), 1), (Glibc(), 1)):
        assert told == []
        monkeypatch.setattr(memory.ctypes, "CDLL", lambda _, x=library: x)
        memory.give_blocks_back.cache_clear()
        bert.encode_prompts(make_ctx(2, 4), tokens, classes_per_chunk=chunk)
    memory.give_blocks_back.cache_clear()
    assert told == [(-3, 2**20)]


def test_groups_of_classes_are_only_as_long_as_their_own_names(bert):
    ctx, tokens = make_ctx(2, 4), bert.tokenize_class_names(MANY_NAMES)
    shapes = []
    query = bert.base.encoder.layer[0].attention.self.query
    hook = query.register_forward_hook(
        lambda module, inputs, output: shapes.append(inputs[0].shape[:2])
    )
    bert.encode_prompts(ctx, tokens)
    hook.remove()
    # CLS, context, name, SEP; two contexts of eight classes each.
    lengths = sorted(len(name.split()) for name in MANY_NAMES)
    assert [tuple(shape) for shape in shapes] == [
        (16, 6 + lengths[last]) for last in (7, 15, 23, 31)
    ]


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("classes_per_chunk", [None, 2])
def test_bf16_gives_float32_embeddings_close_to_float32s(
    tower, classes_per_chunk, shape
):
    ctx, tokens = make_ctx(*shape), tower.tokenize_class_names(NAMES)
    exact = tower.encode_prompts(ctx, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        rough = tower.encode_prompts(
            ctx, tokens, classes_per_chunk=classes_per_chunk
        )
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert torch.cosine_similarity(rough, exact, dim=-1).min() > 0.995
    found, expected = gradient_of(rough, ctx), gradient_of(exact, ctx)
    assert found.dtype == torch.float32 and found.isfinite().all()
    assert torch.cosine_similarity(found, expected, dim=-1).min() > 0.97


def test_class_names_are_checked_by_the_tokenizer(clap, caplog):
    """What is one to it is refused; what it does not know is warned of."""
    clap.check_class_names(["dog", "rain"])
    assert not caplog.text
    for pair in (("Dog", "dog"), ("\U0001f415", "\U0001f327")):
        with refused(*map(repr, pair)):
            clap.check_class_names([*pair, "rain"])
    with pytest.raises(InputError, match="52 tokens.*at most 48"):
        clap.check_class_names(["dog " * 50, "rain"])
    clap.check_class_names(["dog", "quokka", "loudly quokka rain"])
    assert "class name 'quokka'" in caplog.text
    assert "loudly" not in caplog.text
