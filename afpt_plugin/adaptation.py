"""Adapt a frozen CLAP to your own classes, in one call.

>>> from afpt_plugin import adapt
>>> captions = {"dog": ["a dog barks", "a puppy yaps"], "rain": ["it pours"]}
>>> classifier = adapt("mini", ["dog", "rain"], "caption_mean", captions=captions)
>>> classifier.class_names
['dog', 'rain']

The methods are those of ``recipes/methods``, with the same YAML files. Which one
pays depends on what there is to learn from; ``auto`` tries.

Authors
 * The afpt_plugin developers 2026
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from afpt_plugin.auto import choose_method
from afpt_plugin.backbones import load_clap
from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.data.audio import find_recordings
from afpt_plugin.data.captions import (
    Caption,
    captions_fingerprint,
    write_captions,
)
from afpt_plugin.data.manifests import (
    check_recordings,
    data_fingerprint,
    write_manifest,
)
from afpt_plugin.data.supervision import Captions, Shots
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import (
    find_method,
    load_hparams,
    option_names,
    set_up,
)
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.task import Task

CLIP_OPTIONS = {"crop": "start", "channels": "mean"}


def adapt(
    clap,
    class_names,
    method="prompts",
    shots=None,
    captions=None,
    output=None,
    multi_label=False,
    seed=1,
    weights=None,
    device=None,
    candidates=None,
    **options,
):
    """Adapt a frozen CLAP to classes, from what there is.

    Arguments
    ---------
    clap : str or FrozenClap
        See `load_clap`.
    class_names : list of str
        The classes.
    method : str
        A file in ``recipes/methods``, or ``auto``: the best of ``candidates``
        in a cross-validation on what is given.
    shots : str, pathlib.Path or dict, optional
        Labeled recordings: a folder with a folder for each class, a CSV file
        (columns ``wav`` and ``label``; ``|`` joins labels), or class name to a
        list of files.
    captions : str, pathlib.Path or dict, optional
        Sentences: a CSV file (``caption,label``), or class name to a list of
        sentences; by default the class names in a few templates.
    output : str or pathlib.Path, optional
        Where to write the export, and ``training`` beside it; by default
        nothing is kept.
    multi_label : bool
        Whether a recording may have several of the classes.
    seed : int
        Of all that is drawn.
    weights : str or pathlib.Path, optional
        See `load_clap`.
    device : str, optional
        By default a GPU if there is one.
    candidates : list of str, optional
        What ``auto`` tries; by default every method but the slowest,
        see `afpt_plugin.auto`.
    **options
        Options of the method's YAML, e.g. ``number_of_epochs=20``. A method
        that takes both learns from the recordings if there are any, unless
        ``learn_from="captions"``.

    Returns
    -------
    PromptedClassifier
        With ``classify_file``, ``frame_scores`` and more; its
        ``hparams.export.facts`` say what was learned and why.

    Raises
    ------
    InputError
        If something that was given cannot be used, or the method needs what
        was not given.
    """
    task = make_task("your classes", class_names, multi_label)
    with contextlib.ExitStack() as stack:
        if output is None:
            output = stack.enter_context(tempfile.TemporaryDirectory())
        clap = load_clap(clap, weights, device)
        job = Job(task, clap, Path(output, "training"), seed, shots, captions)
        job.write()
        choice = choose_method(job, method, candidates, options)
        job.learn(*choice).finish(output)
        shutil.rmtree(job.features, ignore_errors=True)
        run_opts = {"device": str(clap.device)}
        return PromptedClassifier.from_hparams(
            output, clap=clap, run_opts=run_opts
        )


def make_task(name, class_names, multi_label=False):
    """The `Task` of a user's own classes.

    Arguments
    ---------
    name : str
        What messages call it.
    class_names : list of str
        The classes.
    multi_label : bool
        Whether a recording may have several of them.

    Returns
    -------
    Task

    Raises
    ------
    InputError
        If there are fewer than two, or one is empty or repeated.

    Example
    -------
    >>> make_task("pets", ["dog", "cat"]).clip_seconds
    5.0
    """
    task = Task(
        name,
        list(class_names),
        multi_label=multi_label,
        # As in the paper's benchmarks of either kind
        clip_seconds=10.0 if multi_label else 5.0,
    )
    if task.n_classes < 2:
        raise InputError(
            f"{name}: {task.class_names[0]!r} is the only class; give at least "
            "two to choose from"
        )
    return task


def allowed_sources(method):
    """What a method can learn from, as its YAML's options show.

    Example
    -------
    >>> allowed_sources("zero_shot"), allowed_sources("caption_mean")
    ((), ('captions',))
    """
    names = option_names(find_method(method))
    if "learn_from" in names:
        return ("shots", "captions")
    return ("captions",) if "captions" in names else ()


class Job:
    """What is given for an adaptation, read and checked.

    Arguments
    ---------
    task : Task
        The classes.
    clap : FrozenClap
        The backbone.
    folder : pathlib.Path
        Where logs, checkpoints and embeddings go.
    seed : int
        Of all that is drawn.
    shots, captions
        See `adapt`.

    Raises
    ------
    InputError
        If they cannot be used.
    """

    def __init__(self, task, clap, folder, seed, shots=None, captions=None):
        self.task, self.clap, self.folder = task, clap, folder
        self.seed = seed
        self.features = folder / "features"
        # Where the methods' YAML files look for it
        self.manifest = folder / "save" / "train.csv" if shots else None
        self.captions = "templates" if captions is None else captions
        self._rows = self._sentences = None
        if isinstance(captions, dict):
            self.captions = folder / "captions.csv"
            sentences = self._sentences = self._of_each_class(captions)
        else:
            sentences, _, _ = Captions(self.captions, 0).read(task)
        #: Hashes of what is given.
        self.facts = {"captions": captions_fingerprint(sentences)}
        if shots:
            rows = self._recordings(shots)
            self._rows, _ = check_recordings(rows, task.class_names, folder)
            self.facts["shots"] = data_fingerprint(self._rows)

    def write(self):
        """Write what was given as objects to files, for the methods."""
        if self._sentences:
            write_captions(
                self.captions, self._sentences, self.task.class_names
            )
        if self._rows:
            write_manifest(self.manifest, self._rows)

    def _of_each_class(self, captions):
        """Sentences of each class as `Caption`s."""
        index = {name: i for i, name in enumerate(self.task.class_names)}
        if unknown := sorted(captions.keys() - index.keys()):
            raise InputError(
                f"captions: {', '.join(map(repr, unknown))} is not among the "
                "class names"
            )
        return [
            Caption(sentence, (index[name],))
            for name, sentences in captions.items()
            for sentence in sentences
        ]

    def _recordings(self, shots):
        """Rows of a manifest, before they are checked."""
        if isinstance(shots, dict):
            pairs = [(file, n) for n, files in shots.items() for file in files]
        elif Path(shots).is_dir():
            pairs = [
                (file, label)
                for label, path in _class_folders(shots, self.task.class_names)
                for file in find_recordings([os.fspath(path)])[0]
            ]
        else:
            pairs = [
                (Path(shots).parent / row["wav"], row["label"])
                for row in read_table(shots, ("wav", "label"))
            ]
        files = {}  # path -> labels
        for file, label in pairs:
            files.setdefault(os.fspath(file), []).append(label)
        return [
            {"ID": path, "wav": path, "label": "|".join(labels)}
            for path, labels in files.items()
        ]

    def supervise(self, learn_from):
        """All items of a kind, as an `EmbeddingDataset`."""
        if learn_from == "shots":
            source = Shots(
                self.manifest, None, seed=self.seed, clip_options=CLIP_OPTIONS
            )
        else:
            source = Captions(self.captions, valid_fraction=0, seed=self.seed)
        return source.datasets(self.task, self.clap, self.features).train

    def learn(self, method, source, options, facts={}, given=None, test=None):
        """Learn as a `Choice` says: the `AdaptationBrain` after its ``fit``.

        ``given``, a `Supervision`, takes the place of the method's own, and
        then no checkpoint is kept; ``test`` is an `EmbeddingDataset` to score.
        """
        path = find_method(method)
        if options.get("transduction"):
            raise InputError(
                "transduction scores a whole test set, and nothing is tested "
                "here; remove it"
            )
        overrides = {
            "output_folder": str(self.folder),
            "save_folder": str(self.folder / "save"),
            "feature_folder": str(self.features),
            "clap": self.clap.name,
            "seed": self.seed,
            "learn_from": source,
            "captions": str(self.captions),
            "k": None,
        }
        known = option_names(path)
        overrides = {k: v for k, v in overrides.items() if k in known}
        hparams = load_hparams(path, {**overrides, **options})
        made = set_up(
            self.task,
            self.clap,
            {"feature_folder": self.features, "clip_options": CLIP_OPTIONS},
            given or hparams["supervision"],
            hparams["learner"],
            hparams["baseline"],
        )
        if made.valid is None:
            hparams["results"].selection = None
        brain = AdaptationBrain(
            self.task,
            self.clap,
            made.baseline,
            hparams["results"],
            {**made.facts, **facts},
            test,
            hparams["test_loader_kwargs"],
            augment=hparams["augment"],
            lr_annealing=hparams["lr_annealing"],
            test_each_epoch=False,
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            # An epoch of few steps is over before its bar can be read.
            run_opts={"device": str(self.clap.device), "noprogressbar": True},
            checkpointer=None if given else hparams["checkpointer"],
        )
        brain.fit(
            hparams["epoch_counter"],
            made.train,
            made.valid,
            train_loader_kwargs=hparams["train_loader_kwargs"],
            valid_loader_kwargs=hparams["valid_loader_kwargs"],
        )
        return brain

    def sources(self, method):
        """What a method can learn from and is there, recordings first.

        Raises
        ------
        InputError
            If it needs something that was not given.
        """
        wanted = allowed_sources(method)
        there = ("shots", "captions") if self.manifest else ("captions",)
        usable = [source for source in wanted if source in there]
        if wanted and not usable:
            raise InputError(
                f"{method} learns from {' or '.join(wanted)}, which were not "
                "given"
            )
        return usable or [None]


def _class_folders(folder, class_names):
    """Pairs of a class and its folder, which may write a space as ``_``."""
    index = {name.casefold(): name for name in class_names}
    for path in sorted(Path(folder).iterdir()):
        if not path.is_dir():
            continue
        name = path.name.casefold()
        label = index.get(name) or index.get(name.replace("_", " "))
        if label is None:
            raise InputError(
                f"{path}: there is no class of this name; rename the folder, "
                "or add the class"
            )
        yield label, path
