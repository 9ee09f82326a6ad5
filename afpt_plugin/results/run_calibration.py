"""The calibrations of a run: its learner's and its baseline's.

Authors
 * The afpt_plugin developers 2026
"""

import speechbrain as sb

from afpt_plugin.results.output import (
    baseline_head,
    is_baseline,
    primary_head,
)
from afpt_plugin.scoring.calibration import (
    Calibration,
    calibration_error,
    error_by_chance,
    fit_calibration,
    n_summed,
    reliability,
    without_items,
)


class RunCalibration:
    """How the logits of a run's heads become probabilities.

    Arguments
    ---------
    task : Task
        The task that is learned.
    clap : FrozenClap
        The backbone.
    held_out : tuple, optional
        Logits of each head, and targets, of items not used for training, see
        `Scores.collect`.
    recordings : bool
        Whether these items are recordings.

    Example
    -------
    >>> import torch
    >>> from afpt_plugin.task import Task
    >>> clap, task = type("Clap", (), {"gap": None}), Task("Pets", ["dog", "cat"])
    >>> logits = {"coarse": 9 * torch.eye(2), "zero_shot": torch.ones(2, 2)}
    >>> found = RunCalibration(task, clap, (logits, torch.eye(2)))
    >>> found.held_out
    {'n': 2, 'kind': 'captions', 'zero_shot': 0.5, 'learned': 1.0}
    """

    def __init__(self, task, clap, held_out=None, recordings=False):
        self.task = task
        common = task.n_classes, task.multi_label
        self.learner = self.baseline = without_items(clap.gap, *common)
        #: The primary metric on the held-out items; empty if there are none.
        self.held_out = {}
        if held_out is None:
            return
        logits, targets = held_out
        kind = "recordings" if recordings else "captions"
        self.held_out = {"n": len(targets), "kind": kind}
        learned = primary_head(logits)
        base = baseline_head("ensemble")
        base = base if base in logits else baseline_head("coarse")
        found = {}
        for name, head in {"zero_shot": base, "learned": learned}.items():
            if head not in logits:
                continue  # only the learner was cross-validated
            found[name] = fit_calibration(
                logits[head] / n_summed(head),
                targets,
                task.multi_label,
                clap.gap,
                recordings,
            )
            metrics = task.metrics(logits[head], targets)
            self.held_out[name] = metrics[task.metric]
        self.learner = found["learned"]
        self.baseline = found.get("zero_shot", self.baseline)

    def log_probabilities(self, head, logits):
        """Compute log-probabilities from a head's logits [N, n_classes]."""
        if head.endswith("transductive"):
            # Transductive logits are log-posteriors already.
            return Calibration().log_probabilities(logits)
        own = self.baseline if is_baseline(head) else self.learner
        return own.log_probabilities(logits, n_summed(head))

    def describe(self, logits, targets):
        """Describe the calibration and its quality, for `results.json`.

        It has the calibration error of each head on the recordings and, for the
        primary head, the error expected by chance and the bins, see
        `reliability`.
        """
        log_p = {h: self.log_probabilities(h, v) for h, v in logits.items()}
        several, primary = self.task.multi_label, primary_head(logits)
        bins = {h: reliability(p, targets, several) for h, p in log_p.items()}
        return {
            **self.learner.settings(),
            "held_out": self.held_out,
            "ece": {head: calibration_error(b) for head, b in bins.items()},
            "ece_by_chance": error_by_chance(log_p[primary], several),
            "bins": bins[primary],
        }


def calibrate_run(brain, held_out):
    """Make the `RunCalibration` of a Brain's learner from held-out items.

    Arguments
    ---------
    brain : AdaptationBrain
        The Brain, with its selected epoch loaded.
    held_out : EmbeddingDataset or None
        The validation items. `AdaptationBrain.validated`, which has recordings,
        replaces them if it is set.

    Returns
    -------
    RunCalibration
    """
    supervision, found = brain.results.identity["supervision"], brain.validated
    are_recordings = found is not None or supervision.get("kind") == "shots"
    if found is None and held_out is not None:
        # The items need parts, since the baseline may use them.
        items = held_out.part([True] * len(held_out))
        options = {"ckpt_prefix": None, "batch_size": 256}
        loader = brain.make_dataloader(items, sb.Stage.VALID, **options)
        found = brain.score(loader, sb.Stage.TEST).collect()
    return RunCalibration(brain.task, brain.clap, found, are_recordings)
