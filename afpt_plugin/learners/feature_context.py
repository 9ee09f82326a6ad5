"""PALM: a learned vector per class, mixed with its name in the joint space.

>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> learner = FeatureContext().setup(clap, ["dog", "rain"])
>>> learner.classes(clap).coarse.shape
torch.Size([2, 384])

The paper is "PALM: Few-Shot Prompt Learning for Audio Language Models"
(https://arxiv.org/abs/2409.19806). Its learned vectors come after the text
tower, so no gradient passes through the tower, and training does not run it.

Authors
 * The afpt_plugin developers 2026
"""

import torch

from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.learners.template import Template, embed_templates

#: Initial standard deviation of a context (authors' code).
CTX_STD = 0.02


class FeatureContext(Learner):
    """Class embeddings that mix the name's embedding with a learned vector.

    With ``t`` the unit embedding of a class name, a class embedding is
    ``(1 - w) t + w ctx``, where ``w = sigmoid(gate)``; ``ctx`` starts from
    N(0, 0.02^2) and ``gate`` from U(0, 1). The authors multiply cosines by 100;
    we multiply them by the backbone's own scale.

    Arguments
    ---------
    templates : list of str or str
        Templates of which ``t`` is the embedding, see `Template`; the authors
        use the bare name.
    fine : bool
        Whether to score words and frames with the same class embeddings, too;
        the authors do not.
    seed : int
        Seed of the draw.

    Raises
    ------
    InputError
        If a template does not hold ``{}`` once.

    Example
    -------
    >>> FeatureContext(seed=1).settings()
    {'templates': ['{}'], 'fine': False, 'seed': 1}
    """

    def __init__(self, templates=("{}",), fine=False, seed=0):
        super().__init__()
        self.templates = Template(templates).templates
        self.fine = self.uses_parts = fine
        self.seed = seed

    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Embed the names, draw contexts and gates; see `Learner.setup`."""
        names = embed_templates(self.templates, clap, class_names)
        self.register_buffer("names", names, persistent=False)
        generator = torch.Generator().manual_seed(self.seed)
        ctx = torch.randn(names.shape, generator=generator)  # [n_classes, D]
        gate = torch.rand(len(names), generator=generator)  # [n_classes]
        self.ctx = torch.nn.Parameter(CTX_STD * ctx)
        self.gate = torch.nn.Parameter(gate)
        return super().setup(clap, class_names, shots, logit_scale)

    def classes(self, clap):
        """Mix names and contexts, without CLAP; see `Learner.classes`."""
        share = torch.sigmoid(self.gate)[:, None]  # [n_classes, 1]
        mixed = (1 - share) * self.names + share * self.ctx  # [n_classes, D]
        return Classes(mixed, mixed)
