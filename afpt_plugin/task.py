"""The `Task` of a data set: its classes, loss, metrics and length of a clip.

A prep script makes the task, and all other code asks it:

>>> task = Task("Pets", ["dog", "cat", "bird"], clip_seconds=5.0)
>>> task.metric, [half.class_names for half in (task.base(), task.new())]
('acc', [['dog', 'cat'], ['bird']])
>>> logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
>>> targets = torch.eye(3)[:2]
>>> task.metrics(logits, targets)["acc"]
0.5

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import math
from pathlib import Path

import torch

from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError
from afpt_plugin.losses import ranking_loss
from afpt_plugin.metrics import multi_label_metrics, single_label_metrics


@dataclasses.dataclass(frozen=True)
class Task:
    """A classification task.

    Arguments
    ---------
    name : str
        Name of the data set.
    class_names : list of str
        The label texts, in the order of the class indices.
    multi_label : bool
        Whether a recording may have several classes.
    clip_seconds : float
        Length of the clips to which recordings are cut or looped for the test.
    folds : tuple of int
        The data set's own folds, if it has any.
    captions : str or pathlib.Path, optional
        The data set's captions: a name in ``assets/captions``, or a CSV file.
    paper_captions_per_class : int, optional
        The paper's caption budget (its section 3.1); by default all captions.
    all_class_names : list of str, optional
        For a half of a data set's classes: all its classes. Captions and
        recordings of the other half are left out.

    Raises
    ------
    InputError
        If a class name is empty or occurs twice, or another value is of the
        wrong kind.
    """

    name: str
    class_names: list[str]
    multi_label: bool = False
    clip_seconds: float = 5.0
    folds: tuple[int, ...] = ()
    captions: str | Path | None = None
    paper_captions_per_class: int | None = None
    all_class_names: list[str] | None = None

    def __post_init__(self):
        check_class_names(self.class_names)
        if not isinstance(self.multi_label, bool):
            raise InputError(
                f"multi_label is {self.multi_label!r}; give True or False"
            )
        seconds = self.clip_seconds
        if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
            raise InputError(
                f"clip_seconds is {seconds!r}; give a number of seconds"
            )

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def metric(self) -> str:
        """Name of the primary metric: ``acc``, for several labels ``mAP``."""
        return "mAP" if self.multi_label else "acc"

    @property
    def class_metric(self) -> str:
        """Name of a class's own metric: ``acc`` or ``ap``."""
        return "ap" if self.multi_label else "acc"

    @property
    def logit_scale(self) -> float | None:
        """The factor on cosines; None for the backbone's own scale.

        The ranking loss takes bare cosines, since it has a gain of its own.
        """
        return 1.0 if self.multi_label else None

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy, or the paper's ranking loss for several labels.

        Arguments
        ---------
        logits : torch.Tensor
            One head's logits, [B, n_classes].
        targets : torch.Tensor
            Multi-hot, [B, n_classes].
        """
        if self.multi_label:
            return ranking_loss(logits, targets)
        return torch.nn.functional.cross_entropy(logits, targets)

    def metrics(self, logits: torch.Tensor, targets: torch.Tensor) -> dict:
        """Measure a whole set.

        Arguments
        ---------
        logits : torch.Tensor
            One head's logits, [N, n_classes].
        targets : torch.Tensor
            Multi-hot, [N, n_classes].

        Returns
        -------
        dict
            The result of `single_label_metrics` or `multi_label_metrics`.
        """
        if self.multi_label:
            return multi_label_metrics(logits, targets, self.class_names)
        targets = targets.argmax(1)  # [N]
        return single_label_metrics(logits, targets, self.class_names)

    def part(self, classes: str) -> "Task":
        """The task of ``all`` classes, of the ``base`` or of the ``new`` ones.

        Raises
        ------
        InputError
            If ``classes`` is none of these names.
        """
        parts = {"all": lambda: self, "base": self.base, "new": self.new}
        if classes not in parts:
            raise InputError(
                f"classes is {classes!r}; choose one of {', '.join(parts)}"
            )
        return parts[classes]()

    def base(self) -> "Task":
        """The first half of the classes, the larger one (as CoOp splits them).

        Returns
        -------
        Task
        """
        return self._part("base", slice(None, -(-self.n_classes // 2)))

    def new(self) -> "Task":
        """The second half of the classes: those not in `base`.

        Returns
        -------
        Task
        """
        return self._part("new", slice(-(-self.n_classes // 2), None))

    def _part(self, name, part):
        return dataclasses.replace(
            self,
            name=f"{self.name} ({name})",
            class_names=list(self.class_names[part]),
            all_class_names=self.all_class_names or self.class_names,
        )
