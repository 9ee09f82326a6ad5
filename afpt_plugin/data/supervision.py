"""What a learner is trained on: captions, or a few labeled recordings.

A recipe's YAML names one kind of supervision. Its method `datasets` gives the
items to learn from, the items to choose the epoch on, and what `results.json`
says about them. Only `Shots` uses audio.

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.captions import (
    captions_fingerprint,
    read_captions,
    split_captions,
    subsample_captions,
    template_captions,
)
from afpt_plugin.data.datasets import (
    EmbeddingDataset,
    caption_dataset,
    recording_dataset,
    rows_of,
)
from afpt_plugin.data.manifests import data_fingerprint, read_manifest
from afpt_plugin.data.sampling import draw_shots
from afpt_plugin.errors import InputError
from afpt_plugin.option_rules import check_values

logger = get_logger(__name__)

CAPTION_FOLDER = Path(__file__).parents[1] / "assets" / "captions"


class Supervision(NamedTuple):
    """Training material."""

    train: EmbeddingDataset | None  # items to learn from
    valid: EmbeddingDataset | None  # items to choose the epoch on
    facts: dict  # what `results.json` says about them

    def datasets(self, *_):
        """Return itself, so that it can be used in place of e.g. `Captions`."""
        return self

    def shots(self, multi_label=False):
        """Return all items, with those held out, as `LabeledItems`, or None."""
        if self.train is None:
            return None
        held_out = self.valid.shots() if self.valid is not None else None
        return self.train.shots()._replace(
            held_out=held_out, multi_label=multi_label
        )


class Nothing:
    """No training material: zero-shot.

    Example
    -------
    >>> Nothing().datasets(None, None, None).facts
    {'kind': 'nothing'}
    """

    def datasets(self, task, clap, store_folder, test=None):
        """Return an empty `Supervision`, whatever the arguments."""
        return Supervision(None, None, {"kind": "nothing"})


class Captions:
    """Sentences about the classes.

    Arguments
    ---------
    source : str or pathlib.Path
        ``ours`` (the captions of the task), ``templates`` (class names in
        templates, nothing else) or a CSV file, in our format or the authors'.
    valid_fraction : float
        Share of the captions to hold out; 0 for none.
    per_class : int or str, optional
        The most captions per class in training; ``paper`` for the paper's
        number; by default all.
    seed : int, optional
        Seed of the split and of the choice; None takes the first captions of
        each class, as the authors do.
    pad_to : int, optional
        Pad captions to this many tokens, as the authors do.
    """

    def __init__(
        self,
        source="ours",
        valid_fraction=0.2,
        per_class=None,
        seed=0,
        pad_to=None,
    ):
        check_values(captions_per_class=per_class)
        self.source = source
        self.valid_fraction = valid_fraction
        self.per_class = per_class
        self.seed = seed
        self.pad_to = pad_to

    def read(self, task):
        """Read the captions of a task and split them.

        Returns
        -------
        train : list of Caption
            To learn from.
        valid : list of Caption
            To choose the epoch on; may be empty.
        facts : dict
            What `results.json` says about them.

        Raises
        ------
        InputError
            If the captions cannot be read, or a class has none left.
        """
        # For a task with half of the classes, the whole data set's captions are
        # read.
        class_names = task.all_class_names or task.class_names
        if self.source == "templates":
            captions = template_captions(class_names)
        elif self.source != "ours":
            captions = read_captions(
                self.source, class_names, not task.multi_label
            )
        elif task.captions is None:
            raise InputError(
                f"captions: {task.name} has no captions of its own; give a CSV "
                "file, or `templates` to learn from the class names alone"
            )
        else:
            path = task.captions
            if isinstance(path, str):
                path = CAPTION_FOLDER / f"{path}.csv"
            captions = read_captions(path, class_names)
        if not task.multi_label:
            captions = _with_one_label(captions, self.source, class_names)
        if task.all_class_names:
            index = {name: i for i, name in enumerate(task.class_names)}
            place = [index.get(name) for name in class_names]
            captions = [
                dataclasses.replace(
                    caption, labels=tuple(place[i] for i in caption.labels)
                )
                for caption in captions
                if None not in [place[i] for i in caption.labels]
            ]
            class_names = task.class_names
        train, valid = split_captions(
            captions, len(class_names), self.valid_fraction, self.seed or 0
        )
        per_class = self.per_class
        if per_class == "paper":
            per_class = task.paper_captions_per_class
        train = subsample_captions(train, per_class, self.seed)
        facts = {
            "kind": "captions",
            "source": Path(str(self.source)).name,
            "fingerprint": captions_fingerprint(captions),
            "valid_fraction": self.valid_fraction,
            "per_class": per_class,
            "order": "first" if self.seed is None else "by seed",
            "pad_to": self.pad_to,
            # If captions have several labels, these sizes depend on the seed.
            "drawn": {"n_train": len(train), "n_valid": len(valid)},
            "drawn_fingerprint": captions_fingerprint(train),
        }
        return train, valid, facts

    def datasets(self, task, clap, store_folder, test=None):
        """Read, split and embed the captions; return a `Supervision`.

        Arguments
        ---------
        task : Task
            The classes.
        clap : FrozenClap
            The backbone.
        store_folder : str or pathlib.Path
            Where feature stores live.
        test : list of dict, optional
            Manifest rows of the test set; `Shots` refuses to learn from them.
        """
        *parts, facts = self.read(task)
        train, valid = (
            caption_dataset(
                clap, part, task.n_classes, store_folder, self.pad_to
            )
            if part
            else None
            for part in parts
        )
        return Supervision(train, valid, facts)


def _with_one_label(captions, source, class_names):
    """Leave out captions of several classes, if each class has others."""
    kept = [caption for caption in captions if len(caption.labels) == 1]
    described = {caption.labels[0] for caption in kept}
    missing = [n for i, n in enumerate(class_names) if i not in described]
    if missing:
        raise InputError(
            f"{source}: {len(missing)} of {len(class_names)} classes have no "
            f"caption of their own: {', '.join(missing)}; add some, or train "
            "with several labels a caption (multi_label)"
        )
    if len(kept) < len(captions):
        logger.warning(
            "%s: %d of %d captions describe several classes and were skipped",
            source,
            len(captions) - len(kept),
            len(captions),
        )
    return kept


class Shots:
    """A few labeled recordings of each class: the only supervision with audio.

    Arguments
    ---------
    manifest : str or pathlib.Path
        The recordings that are not tested, as listed by a prep script.
    k : int or str, optional
        Recordings per class to learn from, from different sources as far as
        possible; all recordings of a class that has fewer. ``all`` or None
        takes all.
    valid_k : int
        Further recordings per class to choose hyperparameters and the epoch on.
    seed : int
        Seed of the choice.
    clip_options : dict, optional
        How recordings become clips, see `recording_dataset`.
    """

    def __init__(self, manifest, k=4, valid_k=0, seed=0, clip_options=None):
        check_values(k=k, valid_k=valid_k)
        k = None if k == "all" else k
        if k is None and valid_k:
            raise InputError(
                f"valid_k is {valid_k}, but all recordings are learned from; "
                "give k, or choose valid_k 0"
            )
        self.manifest = manifest
        self.k = k
        self.valid_k = valid_k
        self.seed = seed
        self.clip_options = clip_options or {}

    def choose(self, task, test=None):
        """Draw the recordings of a task; ``test`` holds rows not to learn from.

        A recording of several classes counts for each of them.

        Returns
        -------
        train : list of dict
            Manifest rows to learn from.
        valid : list of dict
            Manifest rows to choose the epoch on.

        Raises
        ------
        InputError
            If no class has a recording, or a recording is tested, too.
        """
        rows = rows_of(task, read_manifest(self.manifest))
        self._check_untested(rows, test or [])
        # Keyed by content, so that no copy is both learned from and held out.
        # Sorted, so that the files' location does not matter.
        rows = {row["sha256"]: row for row in rows}
        rows = [rows[key] for key in sorted(rows)]
        labels = [row["label"].split("|") for row in rows]
        target = np.array(
            [[name in own for name in task.class_names] for own in labels]
        ).reshape(len(rows), task.n_classes)  # [N, n_classes]
        if not target.any():
            raise InputError(
                f"{self.manifest}: no class has a recording to learn from; add "
                "some, or use captions"
            )
        sources = [row["source"] or row["sha256"] for row in rows]
        train = draw_shots(target, sources, self.k, self.seed)
        valid = draw_shots(target, sources, self.valid_k, self.seed, train)
        self._say_what_lacks(task, target[train].sum(0), target[valid].sum(0))
        return [rows[i] for i in train], [rows[i] for i in valid]

    def _check_untested(self, rows, test):
        """Refuse recordings that share content or source with tested ones."""
        for key in ("sha256", "source"):
            tested = {row[key]: row["wav"] for row in test if row[key]}
            for row in rows:
                if row[key] in tested:
                    what = "is" if key == "sha256" else "has the same source as"
                    raise InputError(
                        f"{self.manifest}: {row['wav']} {what} the tested "
                        f"{tested[row[key]]}; remove it from one of the two"
                    )

    def _say_what_lacks(self, task, n_train, n_valid):
        """Warn about classes that have fewer recordings than were asked for."""
        wanted = self.k or 1
        few = [
            f"{name}: {int(n)}" + (f" + {int(v)}" if self.valid_k else "")
            for name, n, v in zip(
                task.class_names, n_train, n_valid, strict=True
            )
            if n < wanted or v < self.valid_k
        ]
        if few:
            held_out = f" + {self.valid_k} held out" * bool(self.valid_k)
            logger.warning(
                "%s: %d of %d classes have fewer recordings than the %d%s of a "
                "class asked for: %s",
                *(self.manifest, len(few), task.n_classes, wanted, held_out),
                "; ".join(few),
            )

    def datasets(self, task, clap, store_folder, test=None):
        """Draw and embed the recordings; see `Captions.datasets`."""
        parts = self.choose(task, test)
        train, valid = (
            recording_dataset(
                clap,
                part,
                task.class_names,
                store_folder,
                task.clip_seconds,
                **self.clip_options,
            )
            if part
            else None
            for part in parts
        )
        described = {n for row in parts[0] for n in row["label"].split("|")}
        facts = {
            "kind": "shots",
            "source": Path(str(self.manifest)).name,
            # Covers all that could be drawn, since runs with different seeds
            # are averaged.
            "fingerprint": data_fingerprint(read_manifest(self.manifest)),
            "k": self.k,
            "valid_k": self.valid_k,
            "clip_options": {
                k: v for k, v in self.clip_options.items() if k != "seed"
            },
            "drawn": {
                "n_train": len(parts[0]),
                "n_valid": len(parts[1]),
                "n_classes_without": task.n_classes - len(described),
            },
            "drawn_fingerprint": data_fingerprint(parts[0]),
        }
        return Supervision(train, valid, facts)


def choose_supervision(learn_from, **kinds):
    """Return one of several supervisions by its name in ``kinds``.

    Raises
    ------
    InputError
        If there is none of this name.

    Example
    -------
    >>> choose_supervision("names", shots=None, names="templates")
    'templates'
    """
    if learn_from not in kinds:
        raise InputError(
            f"learn_from is {learn_from!r}; this method learns from "
            f"{' or '.join(kinds)}"
        )
    return kinds[learn_from]
