"""Adapt a frozen CLAP to your own classes, in one call.

>>> from afpt_plugin import adapt
>>> captions = {"dog": ["a dog barks", "a puppy yaps"], "rain": ["it pours"]}
>>> classifier = adapt("mini", ["dog", "rain"], "caption_mean", captions=captions)
>>> classifier.class_names
['dog', 'rain']

The methods are those of ``recipes/methods``, with the same YAML files. Which one
works best depends on the training material; ``auto`` compares them.

Authors
 * The afpt_plugin developers 2026
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.logger import get_logger

from afpt_plugin.auto import (
    check_candidates,
    choose_method,
    own_options,
    validate_shots,
)
from afpt_plugin.backbones import FrozenClap, load_clap
from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.data.captions import (
    Caption,
    captions_fingerprint,
    write_captions,
)
from afpt_plugin.data.checks import check_recordings
from afpt_plugin.data.manifests import data_fingerprint, write_manifest
from afpt_plugin.data.supervision import Captions, Shots
from afpt_plugin.data.tables import check_class_names
from afpt_plugin.data.user_input import (
    check_kind,
    merge_copies,
    pairs_of,
    read_shots,
)
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.experiment import (
    check_device,
    find_method,
    option_names,
    set_up,
)
from afpt_plugin.folders import locked
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.option_rules import check_values
from afpt_plugin.options import check_hparams, load_hparams
from afpt_plugin.task import Task

logger = get_logger(__name__)

CLIP_OPTIONS = {"crop": "start", "channels": "mean"}

# Options that concern only a recipe's data set and its test.
OF_RECIPES = (
    *("classes", "dataset", "data", "data_folder", "results_folder"),
    *("output_folder", "save_folder", "feature_folder", "download"),
    *("own_data", "allow_missing", "skip_prep", "folds", "source_folds"),
    *("subset", "clips_per_recording", "sample_recordings", "clip_options"),
    *("test_each_epoch", "transduction"),
)


def adapt(
    clap: str | FrozenClap,
    class_names: Sequence[str] | None = None,
    method: str = "prompts",
    shots: str | Path | Mapping[str, Iterable[str | Path]] | None = None,
    captions: str | Path | Mapping[str, Iterable[str]] | None = None,
    output: str | Path | None = None,
    multi_label: bool = False,
    columns: Mapping[str, str] | None = None,
    allow_missing: int = 0,
    seed: int = 1,
    weights: str | Path | None = None,
    device: str | None = None,
    candidates: Sequence[str] | None = None,
    **options: Any,
) -> PromptedClassifier:
    """Adapt a frozen CLAP to classes, from recordings, captions or only names.

    Arguments
    ---------
    clap : str or FrozenClap
        See `load_clap`.
    class_names : list of str, optional
        The classes; by default those of ``shots``.
    method : str
        The name of a file in ``recipes/methods``, or ``auto``, which takes the
        best of ``candidates`` in a cross-validation on the given material.
    shots : str, pathlib.Path or dict, optional
        Labeled recordings: a folder with a folder for each class, a table, a
        data set of Hugging Face (see `afpt_plugin.data.own_data`), or a dict of
        class name to list of files. Rows whose ``split`` is test are left out.
    captions : str, pathlib.Path or dict, optional
        Sentences: a CSV file (``caption,label``), or a dict of class name to
        list of sentences; by default the class names in a few templates.
    output : str or pathlib.Path, optional
        Folder for the export and for ``training``, the run's own files; by
        default nothing is kept.
    multi_label : bool
        Whether a recording may have several of the classes.
    columns : dict, optional
        Names of the columns in the table of ``shots``, e.g.
        ``{"label": "category"}``.
    allow_missing : int
        The number of bad recordings that may be left out.
    seed : int
        Seed of all random draws.
    weights : str or pathlib.Path, optional
        See `load_clap`.
    device : str, optional
        By default a GPU if there is one.
    candidates : list of str, optional
        The methods that ``auto`` compares; by default all but the slowest
        ones, see `afpt_plugin.auto`.
    **options
        Options of the method's YAML, e.g. ``number_of_epochs=20``. A method
        that can learn from recordings and from captions takes the recordings
        if there are any, unless ``learn_from="captions"``.

    Returns
    -------
    PromptedClassifier
        With ``classify_file``, ``frame_scores`` and more; its
        ``hparams.export.facts`` say what was learned and why.

    Raises
    ------
    InputError
        If an argument cannot be used, or the method needs recordings or
        captions that were not given.
    """
    check_candidates(method, candidates)
    check_values(seed=seed)
    learn_from = None
    if method != "auto":
        learn_from = options.pop("learn_from", None)
        check_options(options)
        check_hparams(find_method(method), options)
    with contextlib.ExitStack() as stack:
        if output is None:
            output = stack.enter_context(tempfile.TemporaryDirectory())
        folder = Path(output, "training")
        stack.enter_context(locked(output))
        with refuse_unwritable(output):
            folder.mkdir(exist_ok=True)
        task, shots = make_task(
            "your classes", class_names, multi_label, shots, folder, columns
        )
        device = device and check_device(device)
        clap = load_clap(clap, weights, device)
        job = Job(task, clap, folder, seed, shots, captions, allow_missing)
        job.write()
        facts = {}
        if method == "auto":
            method, source, facts = choose_method(job, candidates, options)
            options = own_options(method, options)
        else:
            source = job.choose_source(method, learn_from)
        job.learn(method, source, options, facts=facts).finish(output)
        shutil.rmtree(job.features, ignore_errors=True)
        run_opts = {"device": str(clap.device)}
        return PromptedClassifier.from_hparams(
            output, clap=clap, run_opts=run_opts
        )


def make_task(
    name, class_names, multi_label=False, shots=None, folder=None, columns=None
):
    """Make the `Task` of a user's own classes, and `OwnData` of any ``shots``.

    Recordings that are stored inside a data set's files are unpacked into
    ``folder``. For the other arguments, see `adapt`.

    Raises
    ------
    InputError
        If there are fewer than two classes, or one is empty or repeated; also
        see `afpt_plugin.data.user_input.read_shots`.
    """
    if shots is not None:
        unpacked = folder / "features"
        shots = read_shots(shots, unpacked, columns, class_names, multi_label)
        class_names = shots.class_names
    elif columns:
        raise InputError("columns rename those of shots, but there are none")
    no_list = isinstance(class_names, (str, set))  # a set has no order
    if no_list or not isinstance(class_names, Iterable):
        check_class_names(class_names)
    task = Task(
        name,
        list(class_names),
        multi_label=multi_label,
        # The lengths in the paper's multi-label and single-label benchmarks
        clip_seconds=10.0 if multi_label else 5.0,
    )
    if task.n_classes < 2:
        raise InputError(
            f"{name}: {task.class_names[0]!r} is the only class; give at least "
            "two to choose from"
        )
    return task, shots


def allowed_sources(method):
    """Read from a method's YAML what the method can learn from.

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
    """The material given for an adaptation, read and checked.

    Arguments
    ---------
    task : Task
        The classes.
    clap : FrozenClap
        The backbone.
    folder : pathlib.Path
        Where logs, checkpoints and embeddings go.
    seed : int
        Seed of all random draws.
    shots : OwnData, optional
        See `make_task`.
    captions, allow_missing
        See `adapt`.

    Raises
    ------
    InputError
        If the shots or the captions cannot be used.
    """

    def __init__(
        self,
        task,
        clap,
        folder,
        seed,
        shots=None,
        captions=None,
        allow_missing=0,
    ):
        clap.check_class_names(task.class_names)
        self.task, self.clap, self.folder = task, clap, folder
        self.seed = seed
        self.features = folder / "features"
        # The place where the methods' YAML files look for the manifest
        self.manifest = None
        self.captions = "templates" if captions is None else captions
        self._rows = self._sentences = None
        #: Scores of held-out recordings, for calibration; see `choose_method`.
        self.validated = None
        there = {"shots": shots, "captions": captions}
        self.given = [kind for kind, v in there.items() if v is not None]
        if captions is not None:
            check_kind("captions", captions)
        if isinstance(captions, dict):
            self.captions = folder / "captions.csv"
            sentences = self._sentences = self._of_each_class(captions)
        else:
            sentences, _, _ = Captions(self.captions, 0).read(task)
        #: Hashes of the given material.
        self.facts = {"captions": captions_fingerprint(sentences)}
        if shots is not None:
            self.manifest = folder / "save" / "train.csv"
            rows, _ = check_recordings(
                shots.rows, task.class_names, None, allow_missing, folder
            )
            self._rows = merge_copies(rows, task.multi_label)
            self.facts["shots"] = data_fingerprint(self._rows)

    def write(self):
        """Write the material to the files that the methods read."""
        if self._sentences:
            write_captions(
                self.captions, self._sentences, self.task.class_names
            )
        if self._rows:
            write_manifest(self.manifest, self._rows)

    def _of_each_class(self, captions):
        """Turn the sentences of each class into `Caption`s."""
        names = self.task.class_names
        found = [
            Caption(sentence, (names.index(name),))
            for name, sentence in pairs_of("captions", captions, names, str)
        ]
        if not found:
            raise InputError("captions: there is no caption; give some")
        return found

    def supervise(self, learn_from):
        """Return all shots or all captions as an `EmbeddingDataset`."""
        if learn_from == "shots":
            source = Shots(
                self.manifest, None, seed=self.seed, clip_options=CLIP_OPTIONS
            )
        else:
            source = Captions(self.captions, valid_fraction=0, seed=self.seed)
        return source.datasets(self.task, self.clap, self.features).train

    def learn(self, method, source, options, given=None, test=None, facts={}):
        """Learn with a method; return the `AdaptationBrain` after its ``fit``.

        ``given``, a `Supervision`, replaces the method's own; no checkpoint is
        kept in this case. ``test`` is an `EmbeddingDataset` to score.
        """
        check_options(options)
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
        overrides = own_options(method, overrides) | options
        hparams = load_hparams(find_method(method), overrides)
        made = set_up(
            self.task,
            self.clap,
            {"feature_folder": self.features, "clip_options": CLIP_OPTIONS},
            given or hparams["supervision"],
            hparams["learner"],
            hparams["baseline"],
        )
        if made.valid is None and "selection" not in options:
            hparams["results"].selection = None
        if not given and source == "shots" and made.valid is None:
            validate_shots(self, method, options, hparams["learner"])
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
            # An epoch of a few steps ends before its progress bar can be read.
            run_opts={"device": str(self.clap.device), "noprogressbar": True},
            checkpointer=None if given else hparams["checkpointer"],
        )
        brain.validated = None if given else self.validated
        brain.fit(
            hparams["epoch_counter"],
            made.train,
            made.valid,
            train_loader_kwargs=hparams["train_loader_kwargs"],
            valid_loader_kwargs=hparams["valid_loader_kwargs"],
        )
        return brain

    def choose_source(self, method, learn_from=None):
        """Choose what a method learns from; log which material is not used.

        Raises
        ------
        InputError
            If the method cannot learn from ``learn_from``, or it is not given.
        """
        usable = self.sources(method)
        source = usable[0] if learn_from is None else learn_from
        if source not in usable:
            raise InputError(
                f"learn_from is {learn_from!r}; of what is given, {method} can "
                f"learn from {' or '.join(s or 'nothing' for s in usable)}"
            )
        for kind in self.given:
            if kind != source:
                logger.warning(
                    "%s learns from %s here, so the %s are not used",
                    *(method, source or "nothing", kind),
                )
        return source

    def sources(self, method):
        """List the given kinds that a method can learn from, recordings first.

        Raises
        ------
        InputError
            If the method needs something that was not given.
        """
        wanted = allowed_sources(method)
        there = ("shots", "captions") if self.manifest else ("captions",)
        usable = [source for source in wanted if source in there]
        if wanted and not usable:
            raise InputError(
                f"{method} learns from {' or '.join(wanted)}, which were not "
                "given; give them, or choose another method"
            )
        return usable or [None]


def check_options(options):
    """Refuse options that need a recipe's test set.

    Raises
    ------
    InputError
        If there is such an option.

    Example
    -------
    >>> check_options({"folds": [1]})
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: folds: nothing is tested here, so ...
    """
    wrong = [name for name in OF_RECIPES if options.get(name)]
    if options.get("selection") == "audio":
        wrong.append("selection: audio")
    if wrong:
        raise InputError(
            f"{', '.join(wrong)}: nothing is tested here, so options of a "
            "recipe's data set and test cannot be followed; remove them"
        )
