"""Zero-shot: class embeddings of hand-written templates, without training.

Several templates form an ensemble, the mean of their unit embeddings (Radford
et al. 2021, https://arxiv.org/abs/2103.00020, section 3.1.4). ``caption_share``
moves a class embedding towards the mean of the class's captions or recordings.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.errors import InputError
from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.option_rules import check_values


def embed_templates(templates, clap, class_names):
    """Embed the classes with templates: unit embeddings [n_classes, D]."""
    learner = Template(templates).setup(clap, class_names)
    return normalize(learner.embeddings, dim=-1)


class Template(Learner):
    """Class embeddings of one template or several.

    Arguments
    ---------
    templates : list of str or str
        Each holds ``{}`` once, where the class name goes.
    caption_share : float
        From 0 (only the templates) to 1 (only the mean of the class's training
        items).
    padding_weight : bool
        See `afpt_plugin.similarity.fine_logits`.
    fine : bool
        Whether to score words and frames, too.

    Raises
    ------
    InputError
        If a template does not hold ``{}`` once, or the share is not in 0 to 1.

    Example
    -------
    >>> Template("a dog")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: template 'a dog' must hold {} once, where the class name goes
    """

    def __init__(
        self,
        templates=("this is a sound of {}",),
        caption_share=0.0,
        padding_weight=False,
        fine=True,
    ):
        super().__init__()
        self.templates = (
            [templates] if isinstance(templates, str) else list(templates)
        )
        for template in self.templates:
            if not isinstance(template, str) or template.count("{}") != 1:
                raise InputError(
                    f"template {template!r} must hold {{}} once, where the "
                    "class name goes"
                )
        if not self.templates:
            raise InputError("templates is empty; give at least one")
        check_values(caption_share=caption_share)
        self.caption_share = caption_share
        self.padding_weight = padding_weight
        self.fine = self.uses_parts = fine

    @torch.no_grad()
    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Embed the templates; see `Learner.setup`."""
        wordings = [
            clap.encode_captions(
                [template.replace("{}", name) for name in class_names]
            ).whole  # [n_classes, D]
            for template in self.templates
        ]
        embeddings = wordings[0]  # [n_classes, D]
        if len(wordings) > 1:
            embeddings = normalize(torch.stack(wordings), dim=-1).mean(0)
        # The means are stored: only they need the training items.
        means = torch.zeros_like(embeddings)  # [n_classes, D]
        if shots is not None and self.caption_share:
            means = normalize(shots.class_means(), dim=-1).to(embeddings)
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.register_buffer(
            "means", means, persistent=bool(self.caption_share)
        )
        return super().setup(clap, class_names, shots, logit_scale)

    def classes(self, clap):
        """Mix template embeddings and means; see `Learner.classes`."""
        embeddings = self.embeddings
        if self.caption_share:
            if not self.has_items:
                raise InputError(
                    f"caption_share is {self.caption_share}, but there are no "
                    "training items to take means of; give captions, or set "
                    "caption_share to 0"
                )
            embeddings = self.caption_share * self.means + (
                1 - self.caption_share
            ) * normalize(embeddings, dim=-1)
        return Classes(embeddings, embeddings)

    def settings_without_items(self):
        """The settings with a ``caption_share`` of 0; see `Learner`."""
        return {**self.settings(), "caption_share": 0.0}

    def with_class_names(self, clap, class_names, baseline):
        """Embed other classes; see `Learner.with_class_names`."""
        if self.caption_share:
            return super().with_class_names(clap, class_names, baseline)
        return type(self)(**self.settings()).setup(
            clap, class_names, logit_scale=self.logit_scale
        )
