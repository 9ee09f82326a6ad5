"""What is learned: context vectors in front of every class name.

A learner is a module whose ``forward(clap)`` returns the class embeddings under
its coarse and its fine context. It is built in two steps, since a YAML file
knows the number of vectors and only the backbone knows their size:

>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> learner = PromptLearner(n_ctx=4).setup(clap, ["dog", "rain"])
>>> coarse, fine = learner(clap)
>>> coarse.shape
torch.Size([2, 384])

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.errors import InputError

#: Standard deviation of a context drawn at random (paper section 3.1).
CTX_STD = 0.02


class PromptLearner(torch.nn.Module):
    """Two contexts, ``ctx_coarse`` and ``ctx_fine``, shared by all classes.

    Arguments
    ---------
    n_ctx : int, optional
        Number of vectors in each; by default as many as ``ctx_init`` has
        tokens.
    ctx_init : str, optional
        Words whose embeddings the last vectors start from, e.g. ``"this is a
        sound of"``; the others, and by default all, are drawn from
        N(0, 0.02^2).
    embed_twice : bool
        The authors' double pass through BERT's embedding layer.
    label_dropout : bool
        Train with the text tower's dropout on, as the authors do.
    anchor : float
        Share of a class embedding that stays where the class's own texts lie
        (see `anchor_to`): from 0, as in the paper, to below 1. Contexts that all classes share can overfit the captions' wording;
        the fixed share keeps them near (cf. KgCoOp,
        https://arxiv.org/abs/2303.13283).
    seed : int
        Seed of the draw.
    classes_per_chunk : int, optional
        Send so many classes at a time through the tower and recompute them in
        the backward pass, which bounds memory and costs one more forward
        pass; by default only where there are so many classes that memory asks
        for it (with BERT-base and 32 vectors, from about 120).

    Example
    -------
    >>> PromptLearner(n_ctx=16, seed=1).n_ctx
    16
    """

    def __init__(
        self,
        n_ctx=None,
        ctx_init=None,
        embed_twice=False,
        label_dropout=False,
        anchor=0.0,
        seed=0,
        classes_per_chunk=None,
    ):
        super().__init__()
        if ctx_init is None and (n_ctx is None or n_ctx < 1):
            raise InputError(
                f"n_ctx is {n_ctx!r}: give at least 1 context vector, or "
                "ctx_init, the words to start from"
            )
        if classes_per_chunk is not None and classes_per_chunk < 1:
            raise InputError(
                f"classes_per_chunk is {classes_per_chunk!r}: give at least 1, "
                "or leave it out for the automatic choice"
            )
        if not isinstance(anchor, (int, float)) or not 0 <= anchor < 1:
            raise InputError(
                f"anchor is {anchor!r}: give a share from 0 to below 1; at 1 "
                "nothing would be learned"
            )
        self.anchor = anchor
        self.n_ctx = n_ctx
        self.ctx_init = ctx_init
        self.embed_twice = embed_twice
        self.label_dropout = label_dropout
        self.seed = seed
        self.classes_per_chunk = classes_per_chunk

    def setup(self, clap, class_names):
        """Make the contexts for a backbone and a list of classes.

        Arguments
        ---------
        clap : FrozenClap
            The backbone.
        class_names : list of str
            The label texts, in the order of the class indices.

        Returns
        -------
        PromptLearner
            Itself, with ``ctx_coarse`` and ``ctx_fine`` [n_ctx, d], and with
            ``start``, where they started: a dict of detached CPU copies.

        Raises
        ------
        InputError
            If ``ctx_init`` has more tokens than ``n_ctx``.
        """
        words = torch.empty(0, clap.token_dim)
        if self.ctx_init is not None:
            words = clap.embed_words(self.ctx_init).cpu()
            if self.n_ctx is None:
                self.n_ctx = len(words)
            if len(words) > self.n_ctx:
                raise InputError(
                    f"ctx_init {self.ctx_init!r} is {len(words)} tokens long, "
                    f"n_ctx is {self.n_ctx}: raise n_ctx or shorten the words"
                )
        generator = torch.Generator().manual_seed(self.seed)
        self.start = {}
        for name in ("ctx_coarse", "ctx_fine"):
            drawn = CTX_STD * torch.randn(
                self.n_ctx - len(words), clap.token_dim, generator=generator
            )
            ctx = torch.nn.Parameter(torch.cat([drawn, words]))
            self.register_parameter(name, ctx)
            self.start[name] = ctx.detach().clone()
        tokens = clap.tokenize_class_names(class_names)
        # Follows from the class names, so it is not checkpointed.
        self.register_buffer("input_ids", tokens.input_ids, persistent=False)
        self.register_buffer(
            "attention_mask", tokens.attention_mask, persistent=False
        )
        # Follows from the captions, so it is not checkpointed either.
        anchor = torch.empty(0, clap.embed_dim, device=clap.device)
        self.register_buffer("anchor_embeddings", anchor, persistent=False)
        return self

    def anchor_to(self, embeddings):
        """Say where the classes' own texts lie, needed if ``anchor`` is not 0.

        Arguments
        ---------
        embeddings : torch.Tensor
            E.g. from `afpt_plugin.data.datasets.class_means` or
            `template_embeddings`, any norm, [n_classes, D]. They are not used
            if ``anchor`` is 0.

        Returns
        -------
        PromptLearner
            Itself.

        Raises
        ------
        InputError
            If they have another shape.
        """
        shape = (len(self.input_ids), self.anchor_embeddings.shape[1])
        if embeddings.shape != shape:
            raise InputError(
                f"anchor embeddings have the shape {list(embeddings.shape)}, "
                f"wanted [n_classes, D] = {list(shape)}"
            )
        if self.anchor:
            self.anchor_embeddings = normalize(
                embeddings.detach().to(self.anchor_embeddings), dim=-1
            )
        return self

    def forward(self, clap):
        """Class embeddings under both contexts, in one pass of the tower.

        Arguments
        ---------
        clap : FrozenClap
            The backbone of `setup`.

        Returns
        -------
        tuple of torch.Tensor
            Coarse and fine class embeddings, [n_classes, D] each.

        Raises
        ------
        InputError
            If there is an anchor, but `anchor_to` was not called.
        """
        if self.anchor and len(self.anchor_embeddings) == 0:
            raise InputError(
                f"anchor is {self.anchor}: say with anchor_to where the "
                "classes lie, or set anchor to 0"
            )
        ctx = torch.stack([self.ctx_coarse, self.ctx_fine])  # [2, n_ctx, d]
        tokens = ClassTokens(self.input_ids, self.attention_mask)
        with clap.label_dropout(self.label_dropout and self.training):
            coarse, fine = clap.encode_prompts(
                ctx, tokens, self.embed_twice, self.classes_per_chunk
            )
        if self.anchor:
            coarse, fine = (
                self.anchor * self.anchor_embeddings
                + (1 - self.anchor) * normalize(learned, dim=-1)
                for learned in (coarse, fine)
            )
        return coarse, fine


@torch.no_grad()
def template_embeddings(clap, class_names, prompt_template):
    """Class embeddings of a hand-written template: the zero-shot baseline.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    class_names : list of str
        The label texts.
    prompt_template : str
        With one ``{}`` for the class name.

    Returns
    -------
    torch.Tensor
        [n_classes, D].

    Raises
    ------
    InputError
        If the template has no ``{}`` or more than one.

    Example
    -------
    >>> template_embeddings(None, ["dog"], "a dog")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: prompt_template 'a dog' must hold {} once, where the class name goes
    """
    if prompt_template.count("{}") != 1:
        raise InputError(
            f"prompt_template {prompt_template!r} must hold {{}} once, where "
            "the class name goes"
        )
    return clap.encode_captions(
        [prompt_template.replace("{}", name) for name in class_names]
    ).whole
