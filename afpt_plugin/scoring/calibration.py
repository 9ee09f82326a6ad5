"""Turn logits into probabilities with one temperature, and measure the error.

A class's probability is the softmax of the mean of the heads' logits, divided
by a temperature; for several labels, it is a sigmoid. Both keep the ranking,
and both are fitted on held-out items. If these are captions, the fit does not
hold for recordings (the modality gap); the backbone's `Gap` corrects for this.

>>> logits = torch.tensor([[4.0, 0.0]] * 4)
>>> found = fit_calibration(logits, torch.eye(2)[[0, 0, 0, 1]], False)
>>> probabilities = found.log_probabilities(logits).exp()
>>> f"{found.temperature:.1f}, {probabilities[0, 0]:.2f}"
'1.6, 0.93'

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch

from afpt_plugin.errors import InputError

N_BINS = 15

# Standard deviation of the prior of log(temperature). If all items are
# classified correctly, the likelihood alone pushes the temperature to zero.
PRIOR = 0.5


class Gap(NamedTuple):
    """How a backbone's logits of recordings differ from those of captions.

    It is fitted on development recordings (`benchmarks/calibration.py`). For
    single labels, the temperature is ``temperature`` times the square root of
    the captions' temperature. For several labels, the probability is the
    sigmoid of ``slope`` times the mean cosine plus ``offset`` plus the log-odds
    of one class among all, and a class is present if its probability is above
    ``threshold``.
    """

    temperature: float
    slope: float
    offset: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How a learner's logits become probabilities.

    Without arguments, it uses CLAP's own scale, as for an uncalibrated export.
    """

    multi_label: bool = False
    temperature: float = 1.0  # divides the mean of the heads
    offset: float = 0.0  # for several labels: added before the sigmoid
    threshold: float | None = None  # for several labels: present above it
    held_out_ece: float | None = None  # in 0..1, see `fit_calibration`
    held_out_temperature: float | None = None  # from held-out items alone
    fitted_on: str | None = None  # a text; None: not calibrated

    def __post_init__(self):
        ranges = {"temperature": (1e-3, 1e3), "offset": (-1e3, 1e3)}
        ranges["threshold"] = ranges["held_out_ece"] = (0, 1)
        ranges["held_out_temperature"] = (1e-3, 1e3)
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is None and name not in ("temperature", "offset"):
                continue
            if type(value) not in (int, float) or not low <= value <= high:
                raise InputError(
                    f"calibration: {name} is {value!r:.60}, not a number from "
                    f"{low:g} to {high:g}"
                )
        if not isinstance(self.fitted_on, (str, type(None))):
            raise InputError("calibration: fitted_on is no text")

    def settings(self):
        """The values for an export, which stores `multi_label` elsewhere."""
        settings = dataclasses.asdict(self)
        del settings["multi_label"]
        return settings

    def log_probabilities(self, logits, n_heads=1):
        """Compute log-probabilities from logits ``[*, n_classes]``.

        The logits are the sum of ``n_heads`` heads.
        """
        values = logits / (n_heads * self.temperature)
        if self.multi_label:
            return torch.nn.functional.logsigmoid(values + self.offset)
        return values.log_softmax(-1)

    def error(self, logits, targets, n_heads=1):
        """Compute the logits' expected error, see `calibration_error`."""
        found = self.log_probabilities(logits, n_heads)
        return calibration_error(reliability(found, targets, self.multi_label))


def make_calibration(settings, multi_label):
    """Make the `Calibration` of an export; the default if it has none."""
    known = Calibration().settings().keys()
    if unknown := sorted(map(str, settings.keys() - known)):
        raise InputError(f"calibration: {unknown[0]:.60} is unknown")
    return Calibration(multi_label, **settings)


def n_summed(head):
    """Number of heads that a head is the sum of: 2 for an ensemble, else 1.

    Example
    -------
    >>> n_summed("zero_shot_ensemble"), n_summed("coarse")
    (2, 1)
    """
    return 2 if head.endswith("ensemble") else 1


def fit_calibration(logits, targets, multi_label, gap=None, recordings=False):
    """Fit a `Calibration` on held-out items.

    For single labels, the temperature minimizes the negative log-likelihood,
    with a prior. For several labels, Platt's sigmoid minimizes it over all
    pairs of an item and a class, and the threshold maximizes their F1.

    Arguments
    ---------
    logits : torch.Tensor
        Mean of the heads' logits, [N, n_classes].
    targets : torch.Tensor
        Multi-hot, [N, n_classes].
    multi_label : bool
        Whether an item may have several classes.
    gap : Gap, optional
        The backbone's gap.
    recordings : bool
        Whether the items are recordings, so that no gap has to be corrected.

    Returns
    -------
    Calibration
    """
    logits, targets = logits.detach().cpu().double(), targets.cpu()
    n, kind = len(logits), "recordings" if recordings else "captions"
    text = f"{n} held-out {kind}" + " (no gap known)" * (
        gap is None and not recordings
    )
    if multi_label:
        temperature, offset, threshold = _platt(logits, targets)
        own = Calibration(True, temperature, offset)
    else:
        center = gap.temperature if gap and recordings else 1.0
        own = Calibration(False, _temperature(logits, targets, center))
        threshold = None
    ece = own.error(logits, targets)
    own = dataclasses.replace(
        own,
        threshold=threshold,
        held_out_ece=ece,
        held_out_temperature=own.temperature,
        fitted_on=text,
    )
    return own if recordings else _cross(own, gap, logits.shape[1])


def without_items(gap, n_classes, multi_label):
    """Make a `Calibration` without held-out items: CLAP's scale and the gap."""
    text = None if gap is None else "nothing held out"
    return _cross(Calibration(multi_label, fitted_on=text), gap, n_classes)


def _cross(own, gap, n_classes):
    """Correct a calibration on captions for recordings."""
    if gap is None:
        return own
    text = f"{own.fitted_on}, and the backbone's gap to recordings"
    if not own.multi_label:
        values = {"temperature": gap.temperature * own.temperature**0.5}
    else:
        values = {
            "temperature": 1 / gap.slope,
            "offset": gap.offset - math.log(max(1, n_classes - 1)),
            "threshold": gap.threshold,
        }
    return dataclasses.replace(own, fitted_on=text, **values)


def _temperature(logits, targets, center):
    """Find the temperature of highest posterior; ``center`` is the prior's."""
    from scipy.optimize import minimize_scalar

    labels = targets.argmax(1)  # [N]
    at = math.log(center)

    def loss(log_t):
        """Compute the negative log-posterior."""
        values = logits / math.exp(log_t)
        found = torch.nn.functional.cross_entropy(
            values, labels, reduction="sum"
        )
        return found.item() + ((log_t - at) / PRIOR) ** 2 / 2

    found = minimize_scalar(loss, bounds=(at - 3, at + 3), method="bounded")
    return float(math.exp(found.x))


def _platt(logits, targets):
    """Fit temperature and offset, and the threshold of the highest F1."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import precision_recall_curve

    x, y = logits.reshape(-1, 1).numpy(), targets.flatten().int().numpy()
    if len(np.unique(y)) < 2:
        return 1.0, 0.0, None
    model = LogisticRegression(C=1e3).fit(x, y)
    slope = float(np.clip(model.coef_.item(), 1e-3, 1e3))
    offset = float(np.clip(model.intercept_.item(), -1e3, 1e3))
    precision, recall, at = precision_recall_curve(y, x[:, 0])
    both = np.maximum(precision + recall, 1e-12)
    best = at[np.argmax((2 * precision * recall / both)[:-1])]
    # A class is present only *above* the threshold.
    best = np.nextafter(best, -np.inf)
    return 1 / slope, offset, float(1 / (1 + np.exp(-(slope * best + offset))))


def reliability(log_probabilities, targets, multi_label=False):
    """Compute confidence and accuracy in bins of equal width.

    Arguments
    ---------
    log_probabilities : torch.Tensor
        [N, n_classes].
    targets : torch.Tensor
        Multi-hot, [N, n_classes].
    multi_label : bool
        True counts every pair of an item and a class, False only the best class
        of each item.

    Returns
    -------
    dict of list
        ``n`` [bins], and the mean ``confidence`` and the ``accuracy`` of each bin,
        None where it is empty.

    Example
    -------
    >>> bins = reliability(torch.tensor([[0.9, 0.1]]).log(), torch.eye(2)[:1])
    >>> bins["n"][13], round(bins["confidence"][13], 2), bins["accuracy"][13]
    (1, 0.9, 1.0)
    """
    targets = targets.cpu().double()
    confidence, place = _confidence(log_probabilities, multi_label)
    right = targets.flatten() if place is None else targets.gather(1, place)
    return _bins(confidence, right.flatten().numpy())


def _confidence(log_probabilities, multi_label):
    """Select probabilities and classes: the best [N, 1], or all of them."""
    p = log_probabilities.detach().cpu().double().exp()
    if multi_label:
        return p.flatten().numpy(), None
    best, place = p.max(1, keepdim=True)
    return best[:, 0].numpy(), place


def _bins(confidence, right):
    """Compute counts and means in bins of equal width."""
    place = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    n = np.bincount(place, minlength=N_BINS).tolist()
    bins = {"n": n}
    for name, values in (("confidence", confidence), ("accuracy", right)):
        sums = np.bincount(place, values, N_BINS).tolist()
        bins[name] = [
            s / k if k else None for s, k in zip(sums, n, strict=True)
        ]
    return bins


def error_by_chance(log_probabilities, multi_label=False):
    """The `calibration_error` to expect if every probability were correct.

    It is the mean over 100 seeded draws, and above 0 since bins hold few items.

    Example
    -------
    >>> p = torch.tensor([[0.9, 0.1]])
    >>> few, many = (error_by_chance(p.repeat(n, 1).log()) for n in (10, 1000))
    >>> f"{few:.2f}, {many:.2f}"
    '0.07, 0.01'
    """
    confidence, _ = _confidence(log_probabilities, multi_label)
    rng = np.random.default_rng(0)
    errors = [
        calibration_error(
            _bins(confidence, (rng.random(len(confidence)) < confidence) * 1.0)
        )
        for _ in range(100)
    ]
    return float(np.mean(errors))


def calibration_error(bins):
    """The expected calibration error (ECE) of `reliability`'s bins, in 0..1.

    It is the mean distance between confidence and accuracy, weighted by count.

    Example
    -------
    >>> p = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    >>> f"{calibration_error(reliability(p.log(), torch.eye(2))):.2f}"
    '0.40'
    """
    gaps = zip(*bins.values(), strict=True)
    return sum(n * abs(c - a) for n, c, a in gaps if n) / sum(bins["n"])
