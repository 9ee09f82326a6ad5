"""Text towers that take a learned context: the base class, and BERT.

The context enters as token embeddings. A tower here therefore consists of a
transformers model, a projection and a tokenizer, and knows where the context
goes and which positions make the sentence and the words. GPT-2 is in the module
`gpt2`, RoBERTa in `hf_clap`.

Authors
 * The afpt_plugin developers 2026
"""

import copy
import functools
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.nn.utils import skip_init
from torch.utils.checkpoint import checkpoint
from torch.utils.weak import WeakIdKeyDictionary

from afpt_plugin.backbones.base import ClassTokens, Embeddings
from afpt_plugin.errors import InputError
from afpt_plugin.training.memory import free_bytes, give_blocks_back

#: Activations of class prompts are always kept for the backward pass up to this
#: many bytes; more are kept only if half of the free memory holds them.
#: FSDKaggle2019's 80 classes with 32 context vectors keep 2.7 GB in a
#: BERT-base.
KEEP_BYTES = 4 * 2**30

#: The most bytes that a chunk keeps. They suffice for 32 such classes, which
#: make large matrices and take no more than the model itself.
CHUNK_BYTES = 2**30

#: On a CPU, classes are sorted by length and cut into this many groups, each
#: padded to its own longest name. This saves 7 % of the positions for ESC-50's
#: prompts in BERT and 43 % for its names in GPT-2. Twice as many groups save
#: another 1 % in BERT.
LENGTH_GROUPS = 4

#: A group has at least this many classes, which keeps the matrices large.
GROUP_CLASSES = 8


class Plan(NamedTuple):
    """How classes go through a tower, see `TextEncoder.encode_prompts`."""

    chunks: list  # pairs of class indices and their `ClassTokens`
    places: torch.Tensor  # a class's place in the output, [n_classes]
    recompute: bool  # whether the backward pass recomputes chunks


class TextEncoder(torch.nn.Module):
    """Base class of the text towers.

    Arguments
    ---------
    base : transformers.PreTrainedModel
        The transformer.
    projection : torch.nn.Module
        From hidden size to ``embed_dim``.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer, padding on the right.
    embed_dim : int
        Size D of the joint space.
    """

    #: Text before a class name that is tokenized with it.
    before_name = ""

    #: Where the context enters a tokenized class name.
    ctx_position = 0

    def __init__(self, base, projection, tokenizer, embed_dim):
        super().__init__()
        self.base = base
        self.projection = projection
        self.tokenizer = tokenizer
        self.embed_dim = embed_dim
        # Plans by token tensor; these tensors never change.
        self._plans = WeakIdKeyDictionary()

    @property
    def token_dim(self):
        """Size d of a token embedding."""
        return self.base.config.hidden_size

    @property
    def max_length(self):
        """The most tokens that the tower has positions for."""
        return self.base.config.max_position_embeddings

    def tokenize(self, texts, pad_to=None):
        """Tokenize N texts with the tower's special tokens.

        They are padded and cut to ``pad_to`` tokens. By default, they are
        padded to the longest and cut only to the tower's number of positions.
        Returns `ClassTokens` of [N, T].
        """
        batch = self.tokenizer(
            [self._finish(text) for text in texts],
            padding="max_length" if pad_to else "longest",
            truncation=True,
            max_length=pad_to or self.max_length,
            return_tensors="pt",
        )
        return ClassTokens(batch["input_ids"], batch["attention_mask"])

    def count_tokens(self, texts):
        """Count the tokens of each of N texts before it is cut."""
        texts = [self._finish(text) for text in texts]
        ids = self.tokenizer(texts, verbose=False)["input_ids"]
        return [len(own) for own in ids]

    def share_unknown(self, texts):
        """Return the share of unknown tokens in each text."""
        unknown, shares = self.tokenizer.unk_token_id, []
        for text in texts:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            shares.append(ids.count(unknown) / max(1, len(ids)))
        return shares

    def tokenize_class_names(self, class_names):
        """Tokenize class names, see `FrozenClap.tokenize_class_names`."""
        return self.tokenize([self.before_name + name for name in class_names])

    def embed_words(self, text):
        """Embed the tokens of a text, see `FrozenClap.embed_words`."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.base.get_input_embeddings().weight[ids].detach()

    def encode(self, tokens):
        """Embed captions, `ClassTokens` of [N, T], as `Embeddings`."""
        states = self.base(**tokens._asdict())[0]  # [N, T, d]
        words, mask = self._words(states, tokens.attention_mask.bool())
        return Embeddings(
            self._project(self._sentence(states, tokens.attention_mask)),
            self._project(words),
            mask,
        )

    @functools.cached_property
    def _bf16(self):
        # This is not a submodule, so it is neither stored nor part of a
        # fingerprint.
        return self._fuse(copy.deepcopy(self.base)).bfloat16()

    def _fuse(self, tower):
        """Merge matrix products of a copy, which may be changed."""
        return tower

    def _tower(self, device):
        """Return the transformer in the precision that autocast asks for.

        Autocast itself would cast every weight in every operation.
        """
        kind = device.type
        wanted = torch.is_autocast_enabled(kind)
        if not wanted or torch.get_autocast_dtype(kind) != torch.bfloat16:
            return self.base
        tower = self._bf16
        if next(tower.parameters()).device != device:
            tower.to(device)
        if tower.training != self.base.training:
            tower.train(self.base.training)
        return tower

    @contextmanager
    def dropout(self, enabled=True):
        """Turn dropout on or off in a ``with`` block, then restore it."""
        before = self.training
        try:
            if enabled != before:  # train() on 230 modules takes 2 ms
                self.train(enabled)
            yield
        finally:
            if enabled != before:
                self.train(before)

    def encode_prompts(
        self, ctx, class_tokens, embed_twice=False, classes_per_chunk=None
    ):
        """Embed every class after every context.

        Classes go through the tower in chunks of similar length. If all chunks
        together would keep more activations than memory allows (see
        `KEEP_BYTES`), these are dropped and recomputed in the backward pass.
        That costs one more forward pass and changes no number.

        The arguments are those of `FrozenClap.encode_prompts`, but there are
        always K contexts, and the result is [K, n_classes, D].
        """
        if ctx.dim() == 3:
            ctx = ctx[:, None]  # [K, 1, n_ctx, d]
        self._check(ctx, class_tokens)
        tower = self._tower(ctx.device)
        dtype = next(tower.parameters()).dtype
        plan = self._plan(ctx, class_tokens, classes_per_chunk, dtype)
        cast = torch.autocast(ctx.device.type, enabled=False)
        with nullcontext() if tower is self.base else cast:
            ctx = ctx.to(dtype)
            shared = self._share(tower, ctx, embed_twice)
            encode = functools.partial(self._encode_chunk, tower, shared)
            if plan.recompute:
                if ctx.device.type == "cpu":
                    give_blocks_back()
                encode = self._recompute(encode)
            parts = []
            for rows, names in plan.chunks:
                own = ctx if ctx.shape[1] == 1 else ctx[:, rows]
                parts.append(encode(own, names))
        return self._project(torch.cat(parts, dim=1)[:, plan.places])

    def _sentence(self, states, mask):
        """Reduce hidden states [N, T, d] to those of the sentences, [N, d]."""
        raise NotImplementedError

    def _words(self, states, mask):
        """Return the hidden states of the words, and which of them are real."""
        raise NotImplementedError

    def _finish(self, text):
        return text

    def _share(self, tower, ctx, embed_twice):
        """Return what all chunks share; here, the layer that embeds tokens."""
        if embed_twice:
            raise InputError(
                "the authors' double embedding exists for BERT only: use "
                "--clap ms-2022 with --upstream_exact True"
            )
        return tower.get_input_embeddings()

    def _encode_chunk(self, tower, embed, ctx, names):
        """Compute the last hidden states of the sentences, [K, classes, d]."""
        (n_contexts, _, n_ctx, _), n_classes = ctx.shape, len(names.input_ids)
        embedded = embed(names.input_ids).expand(n_contexts, -1, -1, -1)
        prompt_embeddings = torch.cat(
            [
                embedded[:, :, : self.ctx_position],  # special tokens
                ctx.expand(-1, n_classes, -1, -1),  # n_ctx
                embedded[:, :, self.ctx_position :],  # name
            ],
            dim=2,
        ).flatten(0, 1)  # [K * n_classes, n_ctx + L, d]
        mask = pad(names.attention_mask, (n_ctx, 0), value=1)
        mask = mask.repeat(n_contexts, 1)  # [K * n_classes, n_ctx + L]
        states = self._prompt_states(tower, prompt_embeddings, mask)
        return states.unflatten(0, (n_contexts, n_classes))

    def _recompute(self, encode):
        """Make a function keep no activations for the backward pass."""
        training = self.training

        def encode_again(ctx, names):
            """Encode with the dropout mode of the forward pass."""
            with self.dropout(training):
                return encode(ctx, names)

        return functools.partial(
            checkpoint,
            encode_again,
            use_reentrant=False,
            preserve_rng_state=training,
        )

    def _prompt_states(self, tower, prompt_embeddings, mask):
        """Compute the sentences' hidden states, [N, d], of prompts [N, T, d].

        Subclasses run the layers one by one. The models of transformers differ
        between versions and look at the values of a mask, which a CUDA graph
        does not allow.
        """
        raise NotImplementedError

    def _kept_vectors(self, ctx, length):
        """Count vectors of size d that autograd keeps per prompt and layer."""
        return 11 * (ctx.shape[2] + length)

    def _plan(self, ctx, tokens, classes_per_chunk, dtype):
        """Plan once for tokens and sizes, so no later step reads values."""
        sizes = (ctx.shape, ctx.device, classes_per_chunk, dtype, KEEP_BYTES)
        plans = self._plans.setdefault(tokens.attention_mask, {})
        if sizes not in plans:
            plans[sizes] = self._make_plan(
                ctx, tokens, classes_per_chunk, dtype
            )
        return plans[sizes]

    def _make_plan(self, ctx, tokens, size, dtype):
        lengths = tokens.attention_mask.sum(1)  # [n_classes]
        order = lengths.argsort(stable=True)
        n_classes, config = len(lengths), self.base.config
        on_cpu = ctx.device.type == "cpu"
        per_class = len(ctx) * config.num_hidden_layers * config.hidden_size
        per_class *= self._kept_vectors(ctx, tokens.input_ids.shape[1])
        per_class *= dtype.itemsize
        kept = n_classes * per_class
        recompute = size is not None or (
            kept > max(KEEP_BYTES, free_bytes(ctx.device) / 2)
        )
        if size is None and (recompute or (on_cpu and kept > KEEP_BYTES)):
            size = max(1, CHUNK_BYTES // per_class)
        elif size is None:
            # At this size, a GPU's time depends on the number of kernels.
            groups = LENGTH_GROUPS if on_cpu else 1
            groups = max(1, min(groups, n_classes // GROUP_CLASSES))
            size = -(-n_classes // groups)
        chunks = []
        for rows in order.split(size):
            longest = int(lengths[rows].max())
            names = (tensor[rows, :longest] for tensor in tokens)
            chunks.append((rows, ClassTokens(*names)))
        return Plan(chunks, order.argsort(), recompute)

    def _project(self, states):
        # The projection is in float32 even under autocast: it costs next to
        # nothing, and its output is multiplied by a logit scale of up to 100.
        with torch.autocast(states.device.type, enabled=False):
            return self.projection(states.float())

    def _check(self, ctx, class_tokens):
        _, n_own, n_ctx, _ = ctx.shape
        n_classes, longest = class_tokens.input_ids.shape
        if n_own not in (1, n_classes):
            raise InputError(
                f"ctx has contexts of {n_own} classes, but there are "
                f"{n_classes} class names: give each name a context, or all one"
            )
        if n_ctx + longest > self.max_length:
            raise InputError(
                f"a context of {n_ctx} vectors and the longest class name "
                f"make {n_ctx + longest} tokens, but the text tower takes at "
                f"most {self.max_length}: lower n_ctx or shorten the class name"
            )


class BertTextEncoder(TextEncoder):
    """BERT: the context goes between CLS and the class name.

    The sentence is the projected CLS position; the words are all other
    positions, including SEP, as in the authors' code. With ``mean_pooling`` the
    sentence is the projected mean over all positions, which is how MiniLM was
    trained.

    The other arguments are those of `TextEncoder`.
    """

    ctx_position = 1

    def __init__(
        self, base, projection, tokenizer, embed_dim, mean_pooling=False
    ):
        super().__init__(base, projection, tokenizer, embed_dim)
        self.mean_pooling = mean_pooling

    def _sentence(self, states, mask):
        if not self.mean_pooling:
            return states[:, 0]
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    def _words(self, states, mask):
        return states[:, 1:], mask[:, 1:]

    def _share(self, tower, ctx, embed_twice):
        whole = tower.embeddings
        return whole if embed_twice else whole.word_embeddings

    def _prompt_states(self, tower, prompt_embeddings, mask):
        """Run all layers; the last one computes only what makes sentences.

        See `TextEncoder`.
        """
        # The mask is added to scores, since a boolean one rounds gradients
        # differently. A GPU's kernels take rows of a multiple of 8 as they are.
        dtype = prompt_embeddings.dtype
        hidden = pad(mask, (0, -mask.shape[1] % 8))[:, None, None].to(dtype)
        hidden = (1 - hidden) * torch.finfo(dtype).min
        hidden = hidden[..., : mask.shape[1]]  # [N, 1, 1, T]
        states = tower.embeddings(inputs_embeds=prompt_embeddings)
        *layers, last = tower.encoder.layer
        for layer in layers:
            states = run_bert_layer(layer, states, states, hidden)
        asking = states if self.mean_pooling else states[:, :1]
        states = run_bert_layer(last, asking, states, hidden)
        return self._sentence(states, mask)

    def _fuse(self, tower):
        """Compute query, key and value of a layer as one product."""
        for layer in tower.encoder.layer:
            attention = layer.attention.self
            parts = attention.query, attention.key, attention.value
            size = tower.config.hidden_size
            fused = skip_init(torch.nn.Linear, size, 3 * size)
            for name in ("weight", "bias"):
                whole = torch.cat([getattr(part, name) for part in parts])
                setattr(fused, name, torch.nn.Parameter(whole, False))
            attention.fused = fused
        return tower


def run_bert_layer(layer, asking, states, mask):
    """Apply a BERT layer to the positions ``asking``, [N, T, d].

    They attend to all ``states``, [N, T, d]. ``mask``, [N, 1, 1 or T, T] or
    None, is added to the attention scores.
    """
    attention = layer.attention.self
    if asking is states and hasattr(attention, "fused"):
        parts = attention.fused(states).chunk(3, -1)
    else:
        parts = attention.query(asking), attention.key(states)
        parts += (attention.value(states),)
    query, key, value = (
        split_heads(part, attention.num_attention_heads) for part in parts
    )
    dropout = attention.dropout.p if layer.training else 0.0
    attended = scaled_dot_product_attention(
        query, key, value, mask, dropout_p=dropout
    )
    attended = attended.transpose(1, 2).flatten(2)  # [N, T, d]
    return layer.feed_forward_chunk(layer.attention.output(attended, asking))


def split_heads(states, n_heads):
    """Reshape [N, T, d] to [N, heads, T, d_head]."""
    return states.unflatten(-1, (n_heads, -1)).transpose(1, 2)
