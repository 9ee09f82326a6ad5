"""The interface of a learner: a way of adapting a frozen CLAP to classes.

A learner embeds the classes (`Learner.classes`) and scores an item against them
(`Learner.forward`). It is built in two steps: the constructor takes the
arguments from a YAML file, and `Learner.setup` makes the tensors, whose sizes
depend on the backbone. Training, resuming, exporting and reporting use only
this interface.

To add one, write a file beside this one, name the class in `LEARNERS`
(`afpt_plugin.learners`) and give it a YAML in ``recipes/methods``;
``docs/new_learner.md`` is a worked example.

Authors
 * The afpt_plugin developers 2026
"""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.errors import InputError
from afpt_plugin.similarity import coarse_logits, fine_logits


class Classes(NamedTuple):
    """Class embeddings of any norm."""

    coarse: torch.Tensor  # [n_classes, D], compared with whole items
    fine: torch.Tensor  # [n_classes, D], compared with their parts


class LabeledItems(NamedTuple):
    """Training items for a learner's `setup`, captions or recordings.

    They have no parts: those of 10,000 padded captions would take 4 GB.
    """

    whole: torch.Tensor  # [N, D]
    target: torch.Tensor  # [N, n_classes], multi-hot
    #: Other `LabeledItems`, if any, for the choice of hyperparameters.
    held_out: tuple | None = None
    #: Whether the task allows several labels, even if these items have one.
    multi_label: bool = False
    #: The source that each item was cut from (N texts), so that items of one
    #: source are never split between training and held-out items; None if each
    #: item has its own source.
    sources: list | None = None

    def class_means(self):
        """Average the normalized embeddings of each class's items.

        The means are [n_classes, D]. An item of several classes counts in each
        of them with an equal share.

        Example
        -------
        >>> items = LabeledItems(torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        >>> items.class_means()
        tensor([[0.5000, 0.5000],
                [0.0000, 0.0000]])
        """
        shares = normalize(self.target, p=1, dim=1)  # [N, n_classes]
        weights = normalize(shares, p=1, dim=0)  # [N, n_classes]
        return weights.T @ normalize(self.whole, dim=-1)  # [n_classes, D]


class Learner(torch.nn.Module):
    """Base of all learners: scores by cosine, coarse and fine.

    A subclass sets an attribute of the same name for each of its constructor's
    arguments. A tensor that is learned or made from the shots is a parameter or
    a buffer; a tensor that CLAP and the class names determine is a buffer with
    ``persistent=False``. So a checkpoint or an export needs to hold only the
    state dict.
    """

    #: True gives padded parts the weight that they have in the authors' code.
    padding_weight = False
    #: False for a learner without fine scores; its items have no parts.
    uses_parts = True
    #: Hyperparameters that `setup` chose, and the rule, as JSON values:
    #: ``{"C": 0.1, "rule": "5-fold cross-validation of the training items"}``.
    chosen = {}

    @property
    def n_learned(self):
        """How many numbers were learned, by gradients or in closed form."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def penalty(self, logits, classes):
        """The learner's own term in the training loss, a scalar.

        Arguments
        ---------
        logits : dict of torch.Tensor
            From `forward`, [B, n_classes] each.
        classes : Classes
            From `classes`.
        """
        return 0.0

    def setup(
        self,
        clap: FrozenClap,
        class_names: Sequence[str],
        shots: LabeledItems | None = None,
        logit_scale: float | None = None,
    ) -> "Learner":
        """Make the tensors and return the learner; a subclass calls this last.

        Arguments
        ---------
        clap : FrozenClap
            The backbone.
        class_names : list of str
            The label texts, in the order of the class indices.
        shots : LabeledItems, optional
            The training items, for a learner that starts from them. A class may
            have none.
        logit_scale : float, optional
            The factor on cosines; by default the backbone's scale.
        """
        self.class_names = list(class_names)
        self.logit_scale = logit_scale or clap.logit_scale
        # Tensors made from items exist now, or come with a stored state dict.
        self.has_items = shots is not None
        # Every rank makes equal buffers, so DDP need not broadcast them; this
        # would overwrite values that the backward pass still needs.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, _ in self.named_buffers()
        ]
        return self.to(clap.device)

    def classes(self, clap: FrozenClap) -> Classes:
        """Embed the classes with the backbone of `setup`, as `Classes`."""
        raise NotImplementedError

    def shares_pass_with(self, other):
        """Whether `classes_of` can embed both learners' classes in one pass.

        The other learner was set up with the same backbone.
        """
        return False

    @staticmethod
    def classes_of(learners, clap):
        """Embed the classes of several learners: a list of `Classes`."""
        return [learner.classes(clap) for learner in learners]

    def forward(
        self, item: Embeddings, classes: Classes
    ) -> dict[str, torch.Tensor]:
        """Score items against the classes.

        Arguments
        ---------
        item : Embeddings
            A batch of captions or recordings.
        classes : Classes
            From `classes`.

        Returns
        -------
        dict of torch.Tensor
            Scaled logits of each head, ``coarse`` and ``fine``, [B, n_classes].
            A learner without fine scores leaves out ``fine``.
        """
        coarse = coarse_logits(item.whole, classes.coarse, self.logit_scale)
        if not self.uses_parts:
            return {"coarse": coarse}
        fine = fine_logits(
            item.parts,
            item.mask,
            classes.fine,
            self.logit_scale,
            self.padding_weight,
        )
        return {"coarse": coarse, "fine": fine}

    def settings(self):
        """The constructor's arguments, as JSON values.

        ``type(self)(**settings)`` makes an equal learner, before `setup`.
        """
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in names if name != "self"}

    def description(self):
        """The name and settings that identify the learner in tables."""
        return {"name": type(self).__name__, **self.settings()}

    @property
    def exported(self):
        """The learner that an export of this one holds."""
        return self

    def restore(self, clap, class_names, tensors, logit_scale=None):
        """Set up from a stored state dict instead of shots; return the learner.

        Arguments
        ---------
        clap : FrozenClap
            The backbone.
        class_names : list of str
            The label texts.
        tensors : dict of torch.Tensor
            The state dict of a learner with the same settings.
        logit_scale : float, optional
            See `setup`.

        Raises
        ------
        InputError
            If a tensor is missing, unknown, not finite or of another shape.
        """
        self.setup(clap, class_names, logit_scale=logit_scale)
        own = self.state_dict()
        if set(tensors) != set(own):
            raise InputError(
                f"the file holds {', '.join(sorted(tensors)) or 'no tensor'}; "
                f"a {type(self).__name__} needs {', '.join(sorted(own))}"
            )
        lengths = set()
        for name, tensor in tensors.items():
            # A tensor of one row per item is still empty: any length will do.
            wanted = own[name].shape
            if own[name].numel() == 0:
                wanted = tensor.shape[:1] + wanted[1:]
                lengths.add(len(tensor) if tensor.dim() else 0)
            if tensor.shape != wanted or tensor.dtype != own[name].dtype:
                raise InputError(
                    f"{name} is {tensor.dtype} {list(tensor.shape)}; this "
                    f"learner and backbone need {own[name].dtype} "
                    f"{list(wanted)}"
                )
            if not tensor.isfinite().all():
                raise InputError(f"{name} holds values that are not finite")
            owner, _, leaf = name.rpartition(".")
            current = getattr(self.get_submodule(owner), leaf)
            current.data = tensor.to(clap.device).clone()
        if len(lengths) > 1:
            raise InputError(
                f"the tensors of items have different lengths: {lengths}"
            )
        self.has_items = True
        return self

    def check_items(self):
        """Refuse to work without the training items that the learner needs.

        Raises
        ------
        InputError
            If neither `setup` nor an export gave any.
        """
        if not self.has_items:
            raise InputError(
                f"{type(self).__name__} is made of training items, and there "
                "are none: give labeled recordings or captions"
            )

    def settings_without_items(self):
        """Settings of the most similar learner that needs no training items."""
        return self.settings()

    def token_vectors(self, clap):
        """Learned vectors in the space of word embeddings, for `afpt words`.

        Returns a dict of name to a pair: the vectors and their initial values,
        [n, d] each.

        Raises
        ------
        InputError
            If the learner has none.
        """
        raise InputError(
            f"{type(self).__name__} learns no vectors among the words, so it "
            "has no nearest words; give the export of a prompt learner"
        )

    def with_class_names(self, clap, class_names, baseline):
        """Make a new learner that applies what was learned to other classes.

        Arguments
        ---------
        clap : FrozenClap
            The backbone.
        class_names : list of str
            The new classes.
        baseline : Classes
            The new classes, embedded with the untuned template.

        Raises
        ------
        InputError
            If the learned values belong to the classes they were learned for.
        """
        raise InputError(
            f"{type(self).__name__} was trained for its own "
            f"{len(self.class_names)} classes and cannot take other class "
            "names; train it on them, or use a learner with contexts that all "
            "classes share"
        )
