"""Text towers that take a learned context: BERT and GPT-2.

The context enters as token embeddings, so a tower here is a transformers model,
a projection, a tokenizer, and the knowledge of where the context goes and which
positions make the sentence and the words.

Authors
 * The afpt_plugin developers 2026
"""

import torch

from afpt_plugin.backbones.base import CaptionEmbeddings, ClassTokens
from afpt_plugin.errors import InputError


class TextEncoder(torch.nn.Module):
    """What BERT and GPT-2 share.

    Arguments
    ---------
    base : transformers.PreTrainedModel
        The transformer.
    projection : torch.nn.Module
        From hidden size to ``embed_dim``.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    embed_dim : int
        Size D of the joint space.
    """

    def __init__(self, base, projection, tokenizer, embed_dim):
        super().__init__()
        self.base = base
        self.projection = projection
        self.tokenizer = tokenizer
        self.embed_dim = embed_dim

    @property
    def token_dim(self):
        """Size d of a token embedding."""
        return self.base.config.hidden_size

    @property
    def max_length(self):
        """The most tokens that the tower has positions for."""
        return self.base.config.max_position_embeddings

    def tokenize(self, texts, pad_to=None):
        """Tokenise texts with the tower's special tokens.

        Arguments
        ---------
        texts : list of str
            N texts.
        pad_to : int, optional
            Pad and cut to this many tokens; by default pad to the longest and
            cut only what the tower has no position for.

        Returns
        -------
        ClassTokens
            [N, T] each.
        """
        batch = self.tokenizer(
            [self._finish(text) for text in texts],
            padding="max_length" if pad_to else "longest",
            truncation=True,
            max_length=pad_to or self.max_length,
            return_tensors="pt",
        )
        return ClassTokens(batch["input_ids"], batch["attention_mask"])

    def _finish(self, text):
        return text

    def _check_length(self, n_ctx, class_tokens):
        length = n_ctx + class_tokens.input_ids.shape[1]
        if length > self.max_length:
            raise InputError(
                f"a context of {n_ctx} vectors and the longest class name "
                f"make {length} tokens, the text tower takes "
                f"{self.max_length}: lower n_ctx or shorten the class name"
            )


class BertTextEncoder(TextEncoder):
    """BERT: the context goes between CLS and the class name.

    The sentence is the projected CLS position; the words are all others, SEP
    among them, as in the authors' code. With ``mean_pooling`` the sentence is
    the projected mean over all positions, which is how MiniLM was trained.

    Arguments
    ---------
    base : transformers.BertModel
        The transformer.
    projection : torch.nn.Module
        From hidden size to ``embed_dim``.
    tokenizer : transformers.BertTokenizerFast
        Its tokenizer.
    embed_dim : int
        Size D of the joint space.
    mean_pooling : bool
        See above.
    """

    def __init__(
        self, base, projection, tokenizer, embed_dim, mean_pooling=False
    ):
        super().__init__(base, projection, tokenizer, embed_dim)
        self.mean_pooling = mean_pooling

    def tokenize_class_names(self, class_names):
        """Tokenise ``[CLS] name [SEP]``.

        Arguments
        ---------
        class_names : list of str
            The label texts.

        Returns
        -------
        ClassTokens
            [n_classes, L] each.
        """
        return self.tokenize(class_names)

    def embed_words(self, text):
        """Word embeddings of a text, [n_tokens, d].

        Arguments
        ---------
        text : str
            The words.

        Returns
        -------
        torch.Tensor
        """
        ids = self.tokenizer(
            text, add_special_tokens=False, return_tensors="pt"
        )["input_ids"][0]
        table = self.base.embeddings.word_embeddings.weight
        return table[ids.to(table.device)].detach().clone()

    def encode(self, tokens):
        """Embed tokenised captions.

        Arguments
        ---------
        tokens : ClassTokens
            [N, T] each.

        Returns
        -------
        CaptionEmbeddings
        """
        states = self.base(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
        )[0]
        return CaptionEmbeddings(
            self._sentence(states, tokens.attention_mask),
            self.projection(states[:, 1:]),
            tokens.attention_mask[:, 1:].bool(),
        )

    def encode_prompts(self, ctx, class_tokens, embed_twice=False):
        """Embed ``[CLS] ctx name [SEP]`` for every context and class.

        Arguments
        ---------
        ctx : torch.Tensor
            [K, n_ctx, d].
        class_tokens : ClassTokens
            [n_classes, L] each.
        embed_twice : bool
            See `FrozenClap.encode_prompts`.

        Returns
        -------
        torch.Tensor
            [K, n_classes, D].
        """
        n_contexts, n_ctx, dim = ctx.shape
        self._check_length(n_ctx, class_tokens)
        embed = (
            self.base.embeddings
            if embed_twice
            else self.base.embeddings.word_embeddings
        )
        names = embed(class_tokens.input_ids)  # [n_classes, L, d]
        n_classes = len(names)
        prompt_embeddings = torch.cat(
            [
                names[:, :1].expand(n_contexts, -1, -1, -1),  # CLS
                ctx[:, None].expand(-1, n_classes, -1, -1),  # n_ctx
                names[:, 1:].expand(n_contexts, -1, -1, -1),  # name, SEP, PAD
            ],
            dim=2,
        ).flatten(0, 1)  # [K * n_classes, n_ctx + L, d]
        mask = torch.cat(
            [
                class_tokens.attention_mask.new_ones(n_classes, n_ctx),
                class_tokens.attention_mask,
            ],
            dim=1,
        ).repeat(n_contexts, 1)
        states = self.base(
            inputs_embeds=prompt_embeddings, attention_mask=mask
        )[0]
        return self._sentence(states, mask).unflatten(
            0, (n_contexts, n_classes)
        )

    def _sentence(self, states, mask):
        if self.mean_pooling:
            weights = mask[..., None].to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1)
        else:
            pooled = states[:, 0]
        return self.projection(pooled)


class Gpt2TextEncoder(TextEncoder):
    """GPT-2: the context is a prefix, so its keys and values are computed once.

    As in msclap, a text ends with ``<|endoftext|>``, whose position is the
    sentence; the words are the positions before it.

    Arguments
    ---------
    base : transformers.GPT2Model
        The transformer.
    projection : torch.nn.Module
        From hidden size to ``embed_dim``.
    tokenizer : transformers.GPT2TokenizerFast
        Its tokenizer, padding on the right.
    embed_dim : int
        Size D of the joint space.
    """

    def _finish(self, text):
        return f"{text} {self.tokenizer.eos_token}"

    def tokenize_class_names(self, class_names):
        """Tokenise `` name <|endoftext|>``, with the space that a prefix needs.

        Arguments
        ---------
        class_names : list of str
            The label texts.

        Returns
        -------
        ClassTokens
            [n_classes, L] each.
        """
        return self.tokenize([f" {name}" for name in class_names])

    def embed_words(self, text):
        """Token embeddings of a text, [n_tokens, d].

        Arguments
        ---------
        text : str
            The words.

        Returns
        -------
        torch.Tensor
        """
        ids = self.tokenizer(text, return_tensors="pt")["input_ids"][0]
        table = self.base.wte.weight
        return table[ids.to(table.device)].detach().clone()

    def encode(self, tokens):
        """Embed tokenised captions.

        Arguments
        ---------
        tokens : ClassTokens
            [N, T] each.

        Returns
        -------
        CaptionEmbeddings
        """
        states = self.base(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
        )[0]
        mask = tokens.attention_mask.bool().clone()
        last = mask.sum(1) - 1
        rows = torch.arange(len(last), device=last.device)
        mask[rows, last] = False
        return CaptionEmbeddings(
            self.projection(states[rows, last]),
            self.projection(states[:, :-1]),
            mask[:, :-1],
        )

    def encode_prompts(self, ctx, class_tokens, embed_twice=False):
        """Embed ``ctx name <|endoftext|>`` for every context and class.

        Arguments
        ---------
        ctx : torch.Tensor
            [K, n_ctx, d].
        class_tokens : ClassTokens
            [n_classes, L] each.
        embed_twice : bool
            Not defined for GPT-2, whose embedding layer has no LayerNorm.

        Returns
        -------
        torch.Tensor
            [K, n_classes, D].

        Raises
        ------
        InputError
            If ``embed_twice`` is asked for.
        """
        if embed_twice:
            raise InputError(
                "the authors' double embedding exists for BERT only: use "
                "--clap ms-2022 with --upstream_exact True"
            )
        from transformers import DynamicCache

        n_contexts, n_ctx, _ = ctx.shape
        self._check_length(n_ctx, class_tokens)
        n_classes = len(class_tokens.input_ids)
        prefix = self.base(inputs_embeds=ctx, use_cache=True).past_key_values
        # [K, heads, n_ctx, d_head] -> [K * n_classes, heads, n_ctx, d_head]
        cache = DynamicCache.from_legacy_cache(
            tuple(
                tuple(
                    part.repeat_interleave(n_classes, dim=0) for part in layer
                )
                for layer in prefix.to_legacy_cache()
            )
        )
        input_ids, name_mask = (t.repeat(n_contexts, 1) for t in class_tokens)
        mask = torch.cat(
            [name_mask.new_ones(len(name_mask), n_ctx), name_mask], dim=1
        )
        states = self.base(
            input_ids=input_ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        )[0]
        rows = torch.arange(len(states), device=states.device)
        last = states[rows, name_mask.sum(1) - 1]
        return self.projection(last).unflatten(0, (n_contexts, n_classes))
