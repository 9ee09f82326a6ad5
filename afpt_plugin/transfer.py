"""Test a run's learner on classes that it was not trained on.

This serves two protocols: from the ``base`` half of the classes to the ``new``
half (CoCoOp, https://arxiv.org/abs/2203.05557), and from one data set to
another.

Authors
 * The afpt_plugin developers 2026
"""

import functools

from afpt_plugin.data.supervision import Supervision
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.learners.base import Learner


class Transferred(Learner):
    """The learner of an export, with its own or with other class names.

    Nothing is learned here.

    Arguments
    ---------
    source : str or pathlib.Path
        The export folder, see `afpt_plugin.export`.
    """

    def __init__(self, source):
        super().__init__()
        self.source = source

    @functools.cached_property
    def export(self):
        """The `Export`, read on first use."""
        if self.source is None:
            raise InputError(
                "source: there is nothing to transfer; give the export folder "
                "of a run"
            )
        return read_export(self.source)

    def setup(self, clap, class_names, shots=None, logit_scale=None):
        """Rebuild the learner; see `Learner.setup`.

        Raises
        ------
        InputError
            If there is no such export, it was made with another backbone, or
            its learner cannot take other class names.
        """
        learner = self.export.make_learner(clap)
        if list(class_names) != self.export.class_names:
            baseline = self.export.make_baseline(clap)
            baseline.setup(clap, class_names, logit_scale=logit_scale)
            learner = learner.with_class_names(
                clap, class_names, baseline.classes(clap)
            )
        self.n_transferred = learner.n_learned
        self.learner = learner.requires_grad_(False)
        self.uses_parts = learner.uses_parts
        super().setup(clap, class_names, shots, logit_scale)
        learner.logit_scale = self.logit_scale
        return self

    def classes(self, clap):
        """Classes of the exported learner; see `Learner.classes`."""
        return self.learner.classes(clap)

    def forward(self, item, classes):
        """Scores of the exported learner; see `Learner.forward`."""
        return self.learner(item, classes)

    @property
    def n_learned(self):
        """How many numbers the source run learned."""
        return self.n_transferred

    @property
    def chosen(self):
        """Hyperparameters that the source run chose; see `Learner.chosen`."""
        return self.export.facts.get("chosen", {})

    @property
    def exported(self):
        """The exported learner with its new class names."""
        return self.learner

    def description(self):
        """The learner's description and its source; see `Learner`."""
        there = ("dataset", "training", "selection")
        return {
            "name": self.export.learner,
            **self.export.learner_settings,
            "learned": {key: self.export.facts.get(key) for key in there},
        }


class Exported:
    """The supervision of a `Transferred` learner, which learns nothing here.

    Arguments
    ---------
    learner : Transferred
        The learner.
    """

    def __init__(self, learner):
        self.learner = learner

    def datasets(self, task, clap, store_folder, test=None):
        """A `Supervision` without items."""
        facts = self.learner.export.facts.get("supervision")
        return Supervision(None, None, facts or {"kind": "unknown"})
