"""Turn a classifier's logits into names and calibrated probabilities.

Authors
 * The afpt_plugin developers 2026
"""

from functools import cached_property

import torch
from torch import Tensor

from afpt_plugin.errors import InputError
from afpt_plugin.results.output import primary_head
from afpt_plugin.scoring.calibration import (
    make_calibration,
    n_summed,
    without_items,
)
from afpt_plugin.scoring.rejection import fit_rejection
from afpt_plugin.scoring.windows import Scores


class Predictions:
    """The part of `PromptedClassifier` that turns logits into predictions.

    It uses the classifier's ``hparams.export`` and ``heads``.
    """

    @property
    def class_names(self):
        """The classes, in the order of the indices (list of str)."""
        return self.hparams.export.class_names

    @property
    def calibration(self):
        """How logits become probabilities (`Calibration`).

        If the export has no calibration, it is the backbone's.
        """
        export = self.hparams.export
        if export.calibration:
            return make_calibration(export.calibration, export.multi_label)
        own = self.mods.clap.gap, len(self.class_names), export.multi_label
        return without_items(*own)

    def rank(self, logits, top_k=None):
        """Make `Scores` of [B, n_classes]; ``top_k`` as in `classify_file`."""
        names = self.class_names
        if top_k is not None and (
            type(top_k) is not int or not 0 < top_k <= len(names)
        ):
            raise InputError(
                f"top_k is {top_k!r}; give a number of classes from 1 to "
                f"{len(names)}"
            )
        out_prob = self.log_probabilities(logits)
        score, index = out_prob.topk(top_k or 1)  # [B, k]
        text_lab = [[names[i] for i in row] for row in index]
        if top_k is None:
            score, index = score[:, 0], index[:, 0]
            text_lab = [row[0] for row in text_lab]
        return Scores(out_prob, score, index, text_lab)

    def classify_batch(
        self, wavs: Tensor, lens=None, reject: bool = False
    ) -> Scores:
        """Classify recordings.

        The arguments are those of `encode_batch`; for ``reject``, see
        `classify_file`.

        Returns
        -------
        Scores
        """
        item = self.encode_batch(wavs, lens)
        with torch.no_grad():
            logits = self._logits(item)
            logits = logits[primary_head(logits)]
            if not reject:
                return self.rank(logits)
            margin = self.rejection.margin(item.whole)
        return self.name_none(logits, rows=self.rejection.rejects(margin))

    def forward(self, wavs, lens=None):
        """Call `classify_batch`."""
        return self.classify_batch(wavs, lens)

    def name_none(self, logits, top_k=None, rows=None):
        """Make `Scores` without a class name, in ``rows`` [B] or everywhere."""
        scores = self.rank(logits, top_k)
        nothing = None if top_k is None else [None] * top_k
        if rows is None:
            rows = torch.ones(len(logits), dtype=torch.bool)
        index = scores.index.clone()
        index[rows] = -1
        pairs = zip(rows.tolist(), scores.text_lab, strict=True)
        return scores._replace(
            index=index,
            text_lab=[nothing if none else names for none, names in pairs],
        )

    @cached_property
    def rejection(self):
        """The rule for "none of the classes" (`Rejection`)."""
        return fit_rejection(self.mods.clap, self.class_names)

    def log_probabilities(self, logits, head=None):
        """Log-probabilities of a head, by default of the one that ranks."""
        n_heads = n_summed(head or primary_head(self.heads))
        return self.calibration.log_probabilities(logits, n_heads)

    def check_frames(self):
        """Raise an `InputError` if the learner has no fine scores."""
        if "fine" not in self.heads:
            raise InputError(
                f"{type(self.learner).__name__} scores whole recordings, not "
                "their frames; use the export of a learner with fine scores"
            )

    def frame_probabilities(self, frames):
        """`FrameScores` with probabilities in place of the fine logits."""
        found = self.log_probabilities(frames.logits, "fine").exp()
        return frames._replace(logits=found)

    def present(self, out_prob):
        """Name the classes present, from log-probabilities [B, n_classes].

        For several labels, these are all classes above the export's threshold
        (B lists of names); the lists are empty if it has no threshold.
        """
        limit = self.calibration.threshold
        rows = out_prob.exp().tolist() if limit is not None else []
        return [
            [n for n, p in zip(self.class_names, row, strict=True) if p > limit]
            for row in rows
        ] or [[]] * len(out_prob)
