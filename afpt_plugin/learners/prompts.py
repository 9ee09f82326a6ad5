"""Prompt tuning: context vectors in front of every class name.

>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> learner = PromptLearner(n_ctx=4).setup(clap, ["dog", "rain"])
>>> learner.classes(clap).coarse.shape
torch.Size([2, 384])

The paper is "Audio-free Prompt Tuning for Language-Audio Models"
(https://arxiv.org/abs/2309.08357). A single context and class-specific contexts
go back to CoOp (https://arxiv.org/abs/2109.01134).

A prompt learned on some classes should also work for others. Three optional
terms, all off by default, keep a prompt near the zero-shot template `T`:

* ``zero_shot_share`` a: the logits are ``(1 - a) z + a z_T``, in training and
  test alike (ZEBRA, https://arxiv.org/abs/2606.31587)
* ``entropy_weight`` w: the loss gets the term ``- w H(softmax(logits))``, so
  that the scores do not become overconfident (ZEBRA)
* ``pull`` w: the loss gets the term ``w mean_c |C_c - T_c|^2`` of unit class
  embeddings (KgCoOp, https://arxiv.org/abs/2303.13283)

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.errors import InputError
from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.learners.template import Template, embed_templates
from afpt_plugin.option_rules import check_values

#: Standard deviation of a context drawn at random (paper section 3.1).
CTX_STD = 0.02


class PromptLearner(Learner):
    """Contexts in front of class names: ``ctx_coarse`` and ``ctx_fine``.

    Arguments
    ---------
    n_ctx : int, optional
        Number of vectors in each context; by default as many as ``ctx_init``
        has tokens.
    ctx_init : str, optional
        Words whose embeddings initialize the last vectors, e.g. ``"this is a
        sound of"``. The other vectors, and all of them by default, are drawn
        from N(0, 0.02^2).
    class_specific : bool
        Whether each class has contexts of its own; by default all classes share
        them.
    embed_twice : bool
        Whether to pass BERT's embedding layer twice, as the authors do.
    label_dropout : bool
        Whether to train with the text tower's dropout on, as the authors do.
    padding_weight : bool
        See `afpt_plugin.similarity.fine_logits`.
    anchor : float
        Share of the mean of a class's training items in its embedding: from 0,
        as in the paper, to below 1. Contexts that all classes share can overfit
        the captions' wording; this fixed share limits how far the class
        embeddings move.
    fine : bool
        False learns only ``ctx_coarse``, as CoOp does. This halves the work of
        the tower, and there are no fine scores.
    zero_shot_share : float
        Share of the template's logits in the logits, from 0 to below 1; ZEBRA
        uses 0.5.
    entropy_weight : float
        Weight of the reward for the scores' entropy; ZEBRA uses 0.05. The
        scores are the softmax at the backbone's scale. For several labels, the
        published code has no such term; the softmax is our choice, since like
        the ranking loss it depends only on the differences between classes.
    pull : float
        Weight of the squared distance to the template's class embeddings.
        KgCoOp's paper uses 8; the ``8 (1 - cos)`` of its code equals 4 here.
    templates : list of str or str
        The zero-shot template of the three terms, see `Template`.
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
        fine=True,
        zero_shot_share=0.0,
        entropy_weight=0.0,
        pull=0.0,
        templates=("this is a sound of {}",),
        seed=0,
    ):
        super().__init__()
        if n_ctx is None and ctx_init is None:
            raise InputError(
                "n_ctx is None: give at least 1 context vector, or ctx_init, "
                "the words to start from"
            )
        check_values(
            n_ctx=n_ctx,
            anchor=anchor,
            zero_shot_share=zero_shot_share,
            entropy_weight=entropy_weight,
            pull=pull,
        )
        self.n_ctx = n_ctx
        self.ctx_init = ctx_init
        self.class_specific = class_specific
        self.embed_twice = embed_twice
        self.label_dropout = label_dropout
        self.padding_weight = padding_weight
        self.anchor = anchor
        self.fine = self.uses_parts = fine
        self.zero_shot_share = zero_shot_share
        self.entropy_weight = entropy_weight
        self.pull = pull
        self.templates = Template(templates).templates
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
        for name in ("ctx_coarse", "ctx_fine")[: 1 + self.fine]:
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
        zero_shot = None
        if self.zero_shot_share or self.pull:
            zero_shot = embed_templates(self.templates, clap, class_names)
        self.register_buffer("zero_shot", zero_shot, persistent=False)
        super().setup(clap, class_names, shots, logit_scale)
        # Factor from the logits' scale to the backbone's; 1 for single labels.
        self.sharpness = clap.logit_scale / self.logit_scale
        return self

    def classes(self, clap):
        """Embed all contexts in one pass of the tower; see `Learner.classes`.

        Raises
        ------
        InputError
            If there is an anchor, but `setup` got no shots.
        """
        return self.classes_of([self], clap)[0]

    def shares_pass_with(self, other):
        """Whether only the seeds and contexts differ; see `Learner`.

        Not with dropout on, since each learner has to draw its own mask.
        """
        return (
            type(other) is type(self)
            and not self.label_dropout
            and self.class_names == other.class_names
            and {**self.settings(), "seed": 0}
            == {**other.settings(), "seed": 0}
        )

    @staticmethod
    def classes_of(learners, clap):
        """Embed the contexts of all learners in one pass; see `Learner`."""
        first = learners[0]
        # [K, n_ctx, d], or [K, n_classes, n_ctx, d] if class-specific
        ctx = torch.stack([p for each in learners for p in each.parameters()])
        tokens = ClassTokens(first.input_ids, first.attention_mask)
        with clap.label_dropout(first.label_dropout and first.training):
            embeddings = clap.encode_prompts(ctx, tokens, first.embed_twice)
        parts = embeddings.split(len(ctx) // len(learners))
        return [
            each.anchored(part.unbind())
            for each, part in zip(learners, parts, strict=True)
        ]

    def anchored(self, learned):
        """Make `Classes` of the tower's output per context, [n_classes, D]."""
        if self.anchor and not self.has_items:
            raise InputError(
                f"anchor is {self.anchor}, but there are no training items to "
                "anchor the classes to: give setup the shots, or set anchor "
                "to 0"
            )
        if self.anchor:
            learned = [
                self.anchor * self.anchor_embeddings
                + (1 - self.anchor) * normalize(each, dim=-1)
                for each in learned
            ]
        return Classes(learned[0], learned[-1])

    def forward(self, item, classes):
        """Score items, and add the template's share; see `Learner.forward`."""
        logits = super().forward(item, classes)
        if not self.zero_shot_share:
            return logits
        template = super().forward(
            item, Classes(self.zero_shot, self.zero_shot)
        )
        return {
            head: (1 - self.zero_shot_share) * values
            + self.zero_shot_share * template[head]
            for head, values in logits.items()
        }

    def penalty(self, logits, classes):
        """Penalize low entropy and distance to the template; see `Learner`."""
        total = 0.0
        for head, values in logits.items():
            if self.entropy_weight:
                log_p = (self.sharpness * values).log_softmax(1)
                entropy = -(log_p.exp() * log_p).sum(1).mean()
                total = total - self.entropy_weight * entropy
            if self.pull:
                learned = normalize(getattr(classes, head), dim=-1)
                way = learned - self.zero_shot
                total = total + self.pull * way.square().sum(1).mean()
        return total

    @torch.no_grad()
    def token_vectors(self, clap):
        """Contexts and their initial values; see `Learner.token_vectors`."""
        start = type(self)(**self.settings()).setup(clap, self.class_names)
        vectors = {}
        for name, _ in self.named_parameters():
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
        """Put the same contexts in front of other names.

        If there is an anchor, class names seen in training keep theirs. The
        anchor of a new name is the template, since the name has no captions.
        See `Learner.with_class_names`.
        """
        if self.class_specific:
            return super().with_class_names(clap, class_names, baseline)
        tensors = {k: v.detach().clone() for k, v in self.state_dict().items()}
        if self.anchor:
            # Name to its anchor, [D]
            template = normalize(baseline.coarse, dim=-1).to(clap.device)
            anchors = dict(zip(class_names, template, strict=True))
            own = zip(self.class_names, self.anchor_embeddings, strict=True)
            anchors |= {name: known for name, known in own if name in anchors}
            tensors["anchor_embeddings"] = torch.stack([*anchors.values()])
        return type(self)(**self.settings()).restore(
            clap, class_names, tensors, self.logit_scale
        )
