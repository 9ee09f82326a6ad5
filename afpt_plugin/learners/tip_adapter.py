"""Tip-Adapter: the template's logits plus those of a cache of labeled items.

With unit embeddings, logits = scale x W^T + alpha exp(-beta (1 - x F^T)) L: the
template's logits plus the labels L of the cached items F, weighted by their
similarity to the item x (Zhang et al., ECCV 2022,
https://arxiv.org/abs/2207.09519; for audio Treff, Liang et al. 2023,
https://arxiv.org/abs/2305.17719). By default nothing is trained; with
``learn_keys``, the cached embeddings are (Tip-Adapter-F).

Alpha and beta are chosen before any training, see
`afpt_plugin.learners.selection`, and do not change afterwards. Where nothing
can be compared, they have the values of Treff, which was made for CLAP (1 and
5.5; Tip-Adapter's code starts at 1.17 and 1). Tip-Adapter-F's official code
keeps the best epoch on the *test* set; here the last epoch is tested.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.learners.selection import choose, grid
from afpt_plugin.learners.template import Template, embed_templates
from afpt_plugin.option_rules import check_values
from afpt_plugin.similarity import rbf_kernel

#: Treff's values.
DEFAULT_ALPHA, DEFAULT_BETA = 1.0, 5.5
ALPHAS = (0.1, 0.3, 1.0, 1.17, 2.0, 3.0, 6.0, 10.0, 20.0, 40.0)
BETAS = (1.0, 2.0, 3.0, 4.0, 5.5, 7.0, 10.0, 15.0)


class TipAdapter(Learner):
    """The sum of the template's logits and those of a cache.

    The formula's scale is the backbone's. For several labels, where logits are
    bare cosines, the sum is divided by this scale, so that alpha keeps its
    meaning.

    Arguments
    ---------
    templates : list of str or str
        Templates of the zero-shot part, see `Template`.
    alpha : float, optional
        Weight of the cache; by default chosen.
    beta : float, optional
        Sharpness: how fast a cached item's weight falls with its distance; by
        default chosen.
    learn_keys : bool
        Whether to train the cached embeddings. They start with norm 1 and are,
        as published, not normalized again. Each training item is itself in the
        cache, so a strong cache (a large alpha) leaves little to learn.

    Raises
    ------
    InputError
        If a number is not above zero; also see `Template`.

    Example
    -------
    >>> TipAdapter(alpha=1.0, beta=5.5).settings()["learn_keys"]
    False
    """

    uses_parts = False

    def __init__(
        self,
        templates=("this is a sound of {}",),
        alpha=None,
        beta=None,
        learn_keys=False,
    ):
        super().__init__()
        check_values(alpha=alpha, beta=beta)
        self.templates = Template(templates).templates
        self.alpha, self.beta = alpha, beta
        self.learn_keys = learn_keys

    @torch.no_grad()
    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Fill the cache, choose alpha and beta; see `Learner.setup`."""
        zero_shot = embed_templates(self.templates, clap, class_names).cpu()
        keys = torch.empty(0, clap.embed_dim)
        labels = torch.empty(0, len(class_names))
        found = 0.0, 0.0
        if shots is not None:
            keys = normalize(shots.whole, dim=-1).cpu()  # [N, D]
            labels = shots.target.cpu().float()  # [N, n_classes]
            candidates = grid(
                (self.alpha, DEFAULT_ALPHA, ALPHAS),
                (self.beta, DEFAULT_BETA, BETAS),
            )

            def fit(train):
                """Make the logits of a cache that holds only ``train``."""
                cached = normalize(train.whole, dim=-1).cpu()
                return lambda settings, whole: _logits(
                    normalize(whole, dim=-1).cpu(),
                    zero_shot,
                    cached,
                    train.target.cpu().float(),
                    clap.logit_scale,
                    *settings,
                )

            found, rule = choose(shots, candidates, fit)
            alpha, beta = map(float, found)
            self.chosen = {"alpha": alpha, "beta": beta, "rule": rule}
        self.register_buffer("zero_shot", zero_shot, persistent=False)
        self.register_buffer("labels", labels)
        self.register_buffer(
            "alpha_and_beta", torch.tensor(found, dtype=torch.float32)
        )
        if self.learn_keys:
            self.register_parameter("keys", torch.nn.Parameter(keys))
        else:
            self.register_buffer("keys", keys)
        self.clap_scale = float(clap.logit_scale)
        return super().setup(clap, class_names, shots, logit_scale)

    def classes(self, clap):
        """Classes of the template; see `Learner.classes`."""
        self.check_items()
        return Classes(self.zero_shot, self.zero_shot)

    def forward(self, item, classes):
        """Add the logits of template and cache; see `Learner.forward`."""
        logits = _logits(
            normalize(item.whole, dim=-1),  # [B, D]
            classes.coarse,
            self.keys,
            self.labels,
            self.clap_scale,
            *self.alpha_and_beta,
        )
        return {"coarse": self.logit_scale / self.clap_scale * logits}


def _logits(whole, zero_shot, keys, labels, scale, alpha, beta):
    """Compute the formula in the module's docstring, [B, n_classes]."""
    cache = rbf_kernel(whole @ keys.T, beta) @ labels
    return scale * whole @ zero_shot.T + alpha * cache
