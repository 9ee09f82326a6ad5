"""Kernel ridge regression of the errors of zero-shot.

With unit embeddings, f(x) = x W^T + k(x, S) gamma: the template's cosines plus a
correction by the labeled items S, gamma = (lambda I + K)^-1 (Y - S W^T), with
the kernel k(x, s) = exp(-beta (1 - cos(x, s))). It follows ProKeR (Bendou et al.,
CVPR 2025, https://arxiv.org/abs/2501.11175), which MUKA applies to audio. We do
not know their beta and lambda; both are chosen here, see
`afpt_plugin.learners.selection`.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import normalize

from afpt_plugin.errors import InputError
from afpt_plugin.learners.base import Classes, Learner
from afpt_plugin.learners.selection import choose, grid
from afpt_plugin.learners.template import Template, embed_templates
from afpt_plugin.option_rules import check_values
from afpt_plugin.similarity import rbf_kernel

#: Our own values, since none are published; used where nothing can be compared.
DEFAULT_BETA, DEFAULT_RIDGE = 5.5, 1.0
BETAS = (1.0, 2.5, 5.5, 10.0, 20.0)
RIDGES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)


class KernelRidge(Learner):
    """The template's scores, corrected by labeled items.

    Logits are the logit scale times f, so items far from all labeled items get
    their zero-shot scores.

    Arguments
    ---------
    templates : list of str or str
        Templates of the zero-shot part, see `Template`.
    beta : float, optional
        Inverse width of the kernel; by default chosen.
    ridge : float, optional
        Lambda, the penalty on gamma; by default chosen.

    Raises
    ------
    InputError
        If a number is not above zero; also see `Template`.

    Example
    -------
    >>> KernelRidge(beta=5.5).settings()["beta"]
    5.5
    """

    uses_parts = False

    def __init__(
        self, templates=("this is a sound of {}",), beta=None, ridge=None
    ):
        super().__init__()
        check_values(beta=beta, ridge=ridge)
        self.templates = Template(templates).templates
        self.beta, self.ridge = beta, ridge

    @torch.no_grad()
    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Solve the regression; see `Learner.setup`."""
        zero_shot = embed_templates(self.templates, clap, class_names).cpu()
        support = torch.empty(0, clap.embed_dim)
        gamma = torch.empty(0, len(class_names))
        beta = 0.0  # until an export or shots say otherwise
        if shots is not None:
            support = normalize(shots.whole, dim=-1).cpu()  # [N, D]
            candidates = grid(
                (self.beta, DEFAULT_BETA, BETAS),
                (self.ridge, DEFAULT_RIDGE, RIDGES),
            )

            def fit(train):
                """Fit one part of the items; return predictions by setting."""
                _, predict = _regression(train, zero_shot)
                # Always the backbone's scale, whatever ``logit_scale`` is.
                return lambda *given: clap.logit_scale * predict(*given)

            (beta, ridge), rule = choose(shots, candidates, fit)
            gamma = _regression(shots, zero_shot)[0](beta, ridge)
            beta, ridge = float(beta), float(ridge)
            self.chosen = {"beta": beta, "ridge": ridge, "rule": rule}
        self.register_buffer("zero_shot", zero_shot, persistent=False)
        self.register_buffer("support", support)
        self.register_buffer("gamma", gamma)  # [N, n_classes]
        self.register_buffer("chosen_beta", torch.tensor(beta))
        return super().setup(clap, class_names, shots, logit_scale)

    @property
    def n_learned(self):
        """How many coefficients; see `Learner.n_learned`."""
        return self.gamma.numel()

    def classes(self, clap):
        """Classes of the template; see `Learner.classes`."""
        self.check_items()
        return Classes(self.zero_shot, self.zero_shot)

    def forward(self, item, classes):
        """The template's cosines and the correction; see `Learner.forward`."""
        whole = normalize(item.whole, dim=-1)  # [B, D]
        kernel = rbf_kernel(whole @ self.support.T, self.chosen_beta)  # [B, N]
        found = whole @ classes.coarse.T + kernel @ self.gamma
        return {"coarse": self.logit_scale * found}


def _regression(items, zero_shot):
    """Prepare the regression of items for any setting.

    Returns
    -------
    solve : callable
        Maps beta and lambda to gamma, [N, n_classes].
    predict : callable
        Maps (beta, lambda) and embeddings [M, D] to f, [M, n_classes].
    """
    # Double precision, since the matrix is ill-conditioned for a small lambda.
    support = normalize(items.whole, dim=-1).cpu().double()  # [N, D]
    residual = items.target.cpu().double() - support @ zero_shot.double().T
    cosines = support @ support.T  # [N, N]

    def solve(beta, ridge):
        """See above."""
        kernel = rbf_kernel(cosines, beta)
        kernel.diagonal().add_(ridge)
        factor, failed = torch.linalg.cholesky_ex(kernel)
        if failed:
            raise InputError(
                f"ridge is {ridge!r}, too small for a solution beside items "
                "that are alike; raise it"
            )
        return torch.cholesky_solve(residual, factor).float()

    def predict(settings, whole):
        """See above."""
        whole = normalize(whole, dim=-1).cpu()  # [M, D]
        kernel = rbf_kernel(whole @ support.float().T, settings[0])  # [M, N]
        return whole @ zero_shot.T + kernel @ solve(*settings)

    return solve, predict
