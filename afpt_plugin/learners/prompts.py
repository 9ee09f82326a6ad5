"""Prompt tuning: context vectors in front of every class name.

>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> learner = PromptLearner(n_ctx=4).setup(clap, ["dog", "rain"])
>>> learner.classes(clap).coarse.shape
torch.Size([2, 384])

The paper is "Audio-free Prompt Tuning for Language-Audio Models"
(https://arxiv.org/abs/2309.08357); contexts of each class's own, or one context
for both scores' classes, go back to CoOp (https://arxiv.org/abs/2109.01134).

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.errors import InputError
from afpt_plugin.learners.base import Classes, Learner

#: Standard deviation of a context drawn at random (paper section 3.1).
CTX_STD = 0.02


class PromptLearner(Learner):
    """Two contexts, ``ctx_coarse`` and ``ctx_fine``.

    Arguments
    ---------
    n_ctx : int, optional
        Number of vectors in each; by default as many as ``ctx_init`` has
        tokens.
    ctx_init : str, optional
        Words whose embeddings the last vectors start from, e.g. ``"this is a
        sound of"``; the others, and by default all, are drawn from
        N(0, 0.02^2).
    class_specific : bool
        Whether each class has contexts of its own; by default all share them.
    embed_twice : bool
        The authors' double pass through BERT's embedding layer.
    label_dropout : bool
        Train with the text tower's dropout on, as the authors do.
    padding_weight : bool
        See `afpt_plugin.similarity.fine_logits`.
    anchor : float
        Share of a class embedding that stays at the mean of the class's own
        training items: from 0, as in the paper, to below 1. Contexts that all
        classes share can overfit the captions' wording; the fixed share keeps
        them near (cf. KgCoOp, https://arxiv.org/abs/2303.13283).
    seed : int
        Seed of the draw.

    Raises
    ------
    InputError
        If a number is out of its range.

    Example
    -------
    >>> PromptLearner(n_ctx=16, seed=1).settings()["n_ctx"]
    16
    """

    def __init__(
        self,
        n_ctx=None,
        ctx_init=None,
        class_specific=False,
        embed_twice=False,
        label_dropout=False,
        padding_weight=False,
        anchor=0.0,
        seed=0,
    ):
        super().__init__()
        given = n_ctx is not None or ctx_init is None
        if given and (type(n_ctx) is not int or n_ctx < 1):
            raise InputError(
                f"n_ctx is {n_ctx!r}: give at least 1 context vector, or "
                "ctx_init, the words to start from"
            )
        if not isinstance(anchor, (int, float)) or not 0 <= anchor < 1:
            raise InputError(
                f"anchor is {anchor!r}: give a share from 0 to below 1; at 1 "
                "nothing would be learned"
            )
        self.n_ctx = n_ctx
        self.ctx_init = ctx_init
        self.class_specific = class_specific
        self.embed_twice = embed_twice
        self.label_dropout = label_dropout
        self.padding_weight = padding_weight
        self.anchor = anchor
        self.seed = seed

    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Draw the contexts; see `Learner.setup`.

        Raises
        ------
        InputError
            If ``ctx_init`` has more tokens than ``n_ctx``.
        """
        words = torch.empty(0, clap.token_dim)
        if self.ctx_init is not None:
            words = clap.embed_words(self.ctx_init).cpu()  # [n_tokens, d]
            if self.n_ctx is None:
                self.n_ctx = len(words)
            if len(words) > self.n_ctx:
                raise InputError(
                    f"ctx_init {self.ctx_init!r} is {len(words)} tokens long, "
                    f"n_ctx is {self.n_ctx}: raise n_ctx or shorten the words"
                )
        owners = [len(class_names)] if self.class_specific else []
        generator = torch.Generator().manual_seed(self.seed)
        for name in ("ctx_coarse", "ctx_fine"):
            drawn = CTX_STD * torch.randn(
                *owners,
                self.n_ctx - len(words),
                clap.token_dim,
                generator=generator,
            )  # [(n_classes,) n_ctx - n_tokens, d]
            start = words.expand(*owners, -1, -1)  # [(n_classes,) n_tokens, d]
            ctx = torch.cat([drawn, start], dim=-2)  # [(n_classes,) n_ctx, d]
            self.register_parameter(name, torch.nn.Parameter(ctx))
        tokens = clap.tokenize_class_names(class_names)
        self.register_buffer("input_ids", tokens.input_ids, persistent=False)
        self.register_buffer(
            "attention_mask", tokens.attention_mask, persistent=False
        )
        means = torch.zeros(len(class_names), clap.embed_dim)
        if self.anchor and shots is not None:
            means = normalize(shots.class_means(), dim=-1)  # [n_classes, D]
        self.register_buffer(
            "anchor_embeddings", means, persistent=bool(self.anchor)
        )
        return super().setup(clap, class_names, shots, logit_scale)

    def classes(self, clap):
        """Both contexts in one pass of the tower; see `Learner.classes`.

        Raises
        ------
        InputError
            If there is an anchor, but `setup` got no shots.
        """
        if self.anchor and not self.has_items:
            raise InputError(
                f"anchor is {self.anchor}, but there are no training items to "
                "anchor the classes to: give setup the shots, or set anchor "
                "to 0"
            )
        # [2, n_ctx, d], or [2, n_classes, n_ctx, d] of each class's own
        ctx = torch.stack([self.ctx_coarse, self.ctx_fine])
        tokens = ClassTokens(self.input_ids, self.attention_mask)
        with clap.label_dropout(self.label_dropout and self.training):
            # [n_classes, D] each
            coarse, fine = clap.encode_prompts(ctx, tokens, self.embed_twice)
        if self.anchor:
            coarse, fine = (
                self.anchor * self.anchor_embeddings
                + (1 - self.anchor) * normalize(learned, dim=-1)
                for learned in (coarse, fine)
            )
        return Classes(coarse, fine)

    @torch.no_grad()
    def token_vectors(self, clap):
        """The contexts, and where they started; see `Learner.token_vectors`."""
        start = type(self)(**self.settings()).setup(clap, self.class_names)
        vectors = {}
        for name in ("ctx_coarse", "ctx_fine"):
            pair = [
                getattr(each, name).detach().cpu() for each in (self, start)
            ]
            if not self.class_specific:
                vectors[name] = tuple(pair)
                continue
            for index, class_name in enumerate(self.class_names):
                vectors[f"{name} of {class_name}"] = tuple(
                    ctx[index] for ctx in pair
                )
        return vectors

    def with_class_names(self, clap, class_names, baseline):
        """The same contexts in front of other names.

        Where they were learned beside an anchor, names that were learned keep
        theirs; other names are anchored to the template, since they have no
        captions. See `Learner.with_class_names`.
        """
        if self.class_specific:
            return super().with_class_names(clap, class_names, baseline)
        tensors = {k: v.detach().clone() for k, v in self.state_dict().items()}
        if self.anchor:
            known = dict(
                zip(self.class_names, self.anchor_embeddings, strict=True)
            )
            # [n_classes, D] each
            template = normalize(baseline.coarse, dim=-1).to(clap.device)
            tensors["anchor_embeddings"] = torch.stack(
                [
                    known.get(name, new)
                    for name, new in zip(class_names, template, strict=True)
                ]
            )
        return type(self)(**self.settings()).restore(
            clap, class_names, tensors, self.logit_scale
        )
