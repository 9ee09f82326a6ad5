"""GPT-2 as a text tower that takes a learned context.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import scaled_dot_product_attention

from afpt_plugin.backbones.text import TextEncoder, split_heads


class Gpt2TextEncoder(TextEncoder):
    """GPT-2, with the context as a prefix.

    If all classes share the context, its keys and values are computed once. As
    in msclap, a text ends with ``<|endoftext|>``, whose position is the
    sentence; the words are the positions before it. The arguments are those of
    `TextEncoder`.
    """

    before_name = " "

    def _finish(self, text):
        return f"{text} {self.tokenizer.eos_token}"

    def _sentence(self, states, mask):
        rows = torch.arange(len(states), device=states.device)
        return states[rows, mask.sum(1) - 1]

    def _words(self, states, mask):
        # A position belongs to a word if another position follows it.
        return states[:, :-1], mask[:, 1:]

    def _kept_vectors(self, ctx, length):
        if ctx.shape[1] > 1:
            return super()._kept_vectors(ctx, length)
        # Keys and values of the prefix are copied to every class.
        return 11 * length + 2 * (ctx.shape[2] + length)

    def _share(self, tower, ctx, embed_twice):
        """Compute keys and values of contexts, [K, heads, n_ctx, .] a layer."""
        if embed_twice or ctx.shape[1] > 1:
            return super()._share(tower, ctx, embed_twice)
        return self._run(tower, ctx[:, 0])[1]

    def _encode_chunk(self, tower, shared, ctx, names):
        """Encode ``name <|endoftext|>``, which attends to the context."""
        if isinstance(shared, torch.nn.Module):
            return super()._encode_chunk(tower, shared, ctx, names)
        n_contexts, n_classes = len(ctx), len(names.input_ids)
        embedded = tower.wte(names.input_ids)  # [n_classes, L, d]
        states, _ = self._run(tower, embedded.repeat(n_contexts, 1, 1), shared)
        mask = names.attention_mask.repeat(n_contexts, 1)
        sentences = self._sentence(states, mask)
        return sentences.unflatten(0, (n_contexts, n_classes))

    def _prompt_states(self, tower, prompt_embeddings, mask):
        return self._sentence(self._run(tower, prompt_embeddings)[0], mask)

    def _run(self, tower, embedded, prefix=None):
        """Compute the last hidden states, and each layer's keys and values.

        The causal mask suffices: padding is on the right, and no real position
        attends to it. ``embedded``, [N, T, d], may follow K prefixes, each of
        which N / K rows share.
        """
        n_before = 0 if prefix is None else prefix[0][0].shape[2]
        n_after, device = embedded.shape[1], embedded.device
        positions = torch.arange(n_before, n_before + n_after, device=device)
        seen = torch.arange(n_before + n_after, device=device)
        hidden = (seen > positions[:, None]).to(
            embedded.dtype
        )  # [T, before + T]
        hidden = hidden * torch.finfo(hidden.dtype).min
        states = tower.drop(embedded + tower.wpe(positions))
        kept = []
        for index, block in enumerate(tower.h):
            attention = block.attn
            query, key, value = (
                split_heads(part, attention.num_heads)
                for part in attention.c_attn(block.ln_1(states)).chunk(3, -1)
            )  # [N, heads, T, d_head]
            kept.append((key, value))
            if prefix is not None:
                key, value = (
                    torch.cat([self._copies(before, len(own)), own], dim=2)
                    for before, own in zip(
                        prefix[index], (key, value), strict=True
                    )
                )
            dropout = attention.attn_dropout.p if self.training else 0.0
            attended = scaled_dot_product_attention(
                query, key, value, hidden, dropout_p=dropout
            )
            attended = attention.c_proj(attended.transpose(1, 2).flatten(2))
            states = states + attention.resid_dropout(attended)
            states = states + block.mlp(block.ln_2(states))
        return tower.ln_f(states), kept

    @staticmethod
    def _copies(before, n_rows):
        """Expand [K, heads, n_ctx, d_head] to N rows, N / K for each of K."""
        copies = before[:, None].expand(-1, n_rows // len(before), -1, -1, -1)
        return copies.flatten(0, 1)
