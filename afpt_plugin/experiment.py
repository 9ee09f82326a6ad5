"""Set up one experiment: what every recipe does before its first step.

Authors
 * The afpt_plugin developers 2026
"""

import atexit
import dataclasses
import functools
import inspect
import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from speechbrain.utils.distributed import (
    ddp_init_group,
    if_main_process,
    infer_device,
    run_on_main,
)
from speechbrain.utils.logger import get_logger

from afpt_plugin.backbones import check_clap_name
from afpt_plugin.data.datasets import (
    EmbeddingDataset,
    recording_dataset,
    rows_of,
)
from afpt_plugin.data.folds import check_folds
from afpt_plugin.data.manifests import prepare_manifests, read_prepared
from afpt_plugin.data.tables import read_text
from afpt_plugin.errors import InputError, did_you_mean
from afpt_plugin.folders import keep_to_itself
from afpt_plugin.learners import Learner
from afpt_plugin.options import load_hparams
from afpt_plugin.results.options import given_run_options
from afpt_plugin.results.run import RunResults
from afpt_plugin.run_options import parse_arguments
from afpt_plugin.training.precision import set_tf32
from afpt_plugin.transduction import check_transduction

logger = get_logger(__name__)

# torch's CPU capability levels without native bfloat16.
SLOW_AT_BF16 = ("DEFAULT", "AVX2")

# Methods for all data sets: where setup.py installs them, or in a clone.
METHODS = Path(__file__).parent / "assets" / "methods"
if not METHODS.is_dir():
    METHODS = Path(__file__).parents[1] / "recipes" / "methods"

# `--upstream_exact True` on a command line selects this method.
UPSTREAM = "upstream.yaml"


def load_experiment(arguments, recipe):
    """Parse a command line, start the process group, build the YAML's objects.

    The YAML file is searched for in the current folder, then beside the recipe,
    then among the methods for all data sets (``recipes/methods``), so that
    ``python recipes/ESC50/train.py hparams.yaml`` works anywhere. Its
    ``dataset``, if it has one, is the name of the recipe's folder.

    Arguments
    ---------
    arguments : list of str
        ``sys.argv[1:]``.
    recipe : str
        The recipe's ``__file__``.

    Returns
    -------
    tuple
        Path of the YAML file, run options, overrides (a YAML text), hparams.

    Raises
    ------
    InputError
        If there is no such file, or an option cannot be used, see
        `check_hparams`. Nothing has been written then.

    Example
    -------
    >>> load_experiment(["no.yaml"], "recipes/ESC50/train.py")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no.yaml: no such file here, in recipes/ESC50 or in recipes/methods
    """
    folder = Path(os.path.abspath(recipe)).parent
    arguments = _select_upstream(arguments)
    name, run_opts, overrides = parse_arguments(arguments)
    places = [Path(), folder, folder.parent / "methods"]
    found = [place / name for place in places if (place / name).is_file()]
    if not found:
        shown = Path(recipe).parent
        files = [each for place in places for each in place.glob("*.yaml")]
        stems = [each.stem for each in files]
        raise InputError(
            f"{name}: no such file here, in {shown} or in "
            f"{shown.parent / 'methods'}{did_you_mean(Path(name).stem, stems)}"
        )
    hparams_file = str(found[0])
    text = read_text(hparams_file, "Give a YAML file of options")
    if "\ndataset:" in f"\n{text}":
        overrides = f"dataset: {folder.name}\n{overrides}"
    device = run_opts.device and check_device(run_opts.device)
    changes = {}
    if not torch.cuda.is_available():
        # SpeechBrain's default, NCCL, needs GPUs.
        changes["distributed_backend"] = "gloo"
    if not sys.stderr.isatty():  # a file would get every step of a bar
        changes["noprogressbar"] = True
    changes["overridden_args"] = run_opts.overridden_args | changes.keys()
    changes["device"] = device or infer_device()
    run_opts = dataclasses.replace(run_opts, **changes)
    if run_opts.precision == "tf32" and not run_opts.device.startswith("cuda"):
        raise InputError(
            f"--precision tf32 is a GPU's, and the device is {run_opts.device}; "
            "give fp32"
        )
    precisions = {run_opts.precision, run_opts.eval_precision}
    is_half = "fp16" in precisions or run_opts.auto_mix_prec
    if is_half and run_opts.device == "cpu":
        raise InputError("fp16 needs a GPU, but the device is cpu; give bf16")
    given = "precision" in run_opts.overridden_args
    set_tf32(run_opts.precision if given else None)
    if (
        run_opts.precision == "bf16"
        and run_opts.device == "cpu"
        and torch.backends.cpu.get_cpu_capability() in SLOW_AT_BF16
    ):
        logger.warning(
            "--precision bf16: this processor has no bfloat16 arithmetic, so "
            "learning is slower than with fp32"
        )
    ddp_init_group(run_opts)
    if torch.distributed.is_initialized():
        # The group's threads would abort the interpreter when it ends.
        atexit.register(torch.distributed.destroy_process_group)
    hparams = load_hparams(hparams_file, overrides)
    if isinstance(hparams.get("results"), RunResults):
        hparams["results"].options |= given_run_options(run_opts)
        hparams["results"].check_options(hparams.get("checkpointer"))
    if run_opts.precision == "tf32":
        run_opts = dataclasses.replace(run_opts, precision="fp32")
    if "output_folder" in hparams and if_main_process():
        keep_to_itself(hparams["output_folder"])
    return hparams_file, run_opts, overrides, hparams


def method_names():
    """List the methods for all data sets, except ``transfer``."""
    names = {path.stem for path in METHODS.glob("*.yaml")}
    return sorted(names - {"transfer"})


def find_method(name):
    """Find a method's YAML file; the name is one of `method_names`.

    Raises
    ------
    InputError
        If no method has this name.

    Example
    -------
    >>> find_method("palm").name
    'palm.yaml'
    """
    path = METHODS / f"{name}.yaml"
    if name not in method_names():
        raise InputError(
            f"the method {name!r} is unknown; choose one of "
            f"{', '.join(method_names())}{did_you_mean(name, method_names())}"
        )
    return path


@functools.cache
def option_names(path):
    """Read the names of a YAML file's options, without building its objects."""
    text = Path(path).read_text(encoding="utf-8")
    return set(re.findall(r"^(\w+):", text, re.MULTILINE))


def _select_upstream(arguments):
    """Replace ``--upstream_exact True`` by the authors' method file."""
    kept, chosen = [], None
    words = iter(arguments)
    for word in words:
        option, _, value = word.partition("=")
        if option != "--upstream_exact":
            kept.append(word)
            continue
        chosen = value or next(words, "")
        if chosen not in ("True", "False"):
            raise InputError(
                f"--upstream_exact is {chosen!r}; give True or False"
            )
    if chosen == "True" and kept:
        files = [i for i, word in enumerate(kept) if word.endswith(".yaml")]
        kept[files[0] if files else 0] = UPSTREAM
    return kept


# Options that `prepare_data` itself takes, in addition to a prep script's.
OF_PREPARATION = (
    *("data_folder", "feature_folder", "clip_options", "recordings_per_batch"),
    *("samples_folder", "samples", "with_train"),
)


def check_task(task, prepare, hparams):
    """Refuse options that do not fit a data set, before anything is written.

    Arguments
    ---------
    task, prepare
        See `prepare_data`.
    hparams : dict
        From `load_experiment`: ``data``, see `prepare_data`, ``clap`` and
        ``transduction``.

    Raises
    ------
    InputError
        If the data set does not have such an option or fold, or its recordings
        have several labels where one is needed; or if the CLAP is unknown.
    """
    check_transduction(hparams["transduction"], task)
    check_clap_name(hparams["clap"])
    data = hparams["data"]
    given = {k: v for k, v in data.items() if k not in OF_PREPARATION}
    _options_of(prepare, task, given)
    if task.folds:
        check_folds(task, data.get("folds"), data.get("source_folds"))


def prepare_data(task, prepare, write_samples, options):
    """Run a prep script, on the sample recordings if there is no data set.

    Arguments
    ---------
    task : Task
        The data set's.
    prepare : callable
        The recipe's prep script.
    write_samples : callable
        Writes the sample recordings in the data set's layout, see
        `afpt_plugin.samples`; None for a data set without samples.
    options : dict
        The YAML's: ``data_folder`` (``samples`` for ``samples_folder``),
        ``save_folder``, ``feature_folder``, ``clip_options`` (see `read_clip`),
        ``recordings_per_batch``, ``samples`` (arguments of ``write_samples``)
        and arguments of ``prepare``.

    Returns
    -------
    dict
        The values of ``prepare.json``, the manifest's ``rows``, ``n_samples``,
        and the options that `set_up` needs.

    Raises
    ------
    InputError
        If the data set has no such option; also see the prep script.
    """
    own = {name: options.get(name) for name in OF_PREPARATION}
    options = {k: v for k, v in options.items() if k not in own}
    # A data set without recordings to learn from does not have this option.
    with_train = options["with_train"] = own["with_train"] or None
    if with_train and "with_train" not in _parameters(prepare):
        raise InputError(
            f"learn_from: the recipe of {task.name} has no recordings to learn "
            "from; learn from captions"
        )
    data_folder = own["data_folder"]
    are_samples = data_folder == "samples"
    if are_samples:
        if write_samples is None:
            raise InputError(
                f"data_folder: the package has no samples for {task.name}; give "
                "the path of the data set"
            )
        if with_train and not task.folds:
            raise InputError(
                f"learn_from: the samples of {task.name} are mixtures of the "
                "same recordings, so none may be learned from and others "
                "tested; learn from captions, or give the path of the data set"
            )
        data_folder = own["samples_folder"]
        kwargs = _options_of(write_samples, task, own["samples"] or {})
        run_on_main(write_samples, args=[data_folder], kwargs=kwargs)
    kwargs = {"data_folder": data_folder}
    kwargs["cache_folder"] = own["feature_folder"]
    kwargs |= _options_of(prepare, task, options)
    run_on_main(prepare, kwargs=kwargs)
    skipped = data_folder if options.get("skip_prep") else None
    prepared, rows = read_prepared(options["save_folder"], skipped)
    return {
        **prepared,
        "n_samples": prepared["n_recordings"] if are_samples else 0,
        "rows": rows_of(task, rows),
        "clip_options": own["clip_options"],
        "recordings_per_batch": own["recordings_per_batch"],
        "feature_folder": own["feature_folder"],
    }


def _options_of(function, task, options):
    """Return the options that are not null.

    A method's YAML serves all data sets, so it has options that only some of
    them take; null leaves such an option out.
    """
    options = {k: v for k, v in options.items() if v is not None}
    unknown = sorted(options.keys() - _parameters(function))
    if unknown:
        raise InputError(
            f"the recipe of {task.name} does not have the option "
            f"{', '.join(unknown)}; remove it"
        )
    return options


def _parameters(function):
    """Parameters of a function; a prep script adds `prepare_manifests`'s."""
    found = inspect.signature(function).parameters
    kinds = {parameter.kind for parameter in found.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        found = found | inspect.signature(prepare_manifests).parameters
    return found.keys()


class Material(NamedTuple):
    """The parts that a Brain is made of, see `set_up`."""

    baseline: Learner  # what the learner is compared with
    train: EmbeddingDataset | None  # items to learn from
    valid: EmbeddingDataset | None  # items to choose the epoch on
    test: EmbeddingDataset | None  # recordings
    facts: dict  # see `RunResults.open`


def set_up(task, clap, data, supervision, learner, baseline):
    """Encode all items, and set up the learner and its baseline: a `Material`.

    Arguments
    ---------
    task : Task
        The data set's.
    clap : FrozenClap
        The backbone.
    data : dict
        From `prepare_data`; a run without a test needs only ``feature_folder``.
    supervision : object
        What is learned from, see `afpt_plugin.data.supervision`.
    learner : Learner
        What is learned; set up in place.
    baseline : Learner
        What it is compared with; set up in place.
    """
    facts, test, rows = {"data": data}, None, data.get("rows")
    folder = data["feature_folder"]
    if rows is not None:
        kind = data.get("run_kind") or announce(task, clap, data["n_samples"])
        facts["run_kind"] = kind
        clap.check_class_names(task.class_names)
    items = supervision.datasets(task, clap, folder, rows)
    if rows is not None:
        test = recording_dataset(
            clap,
            rows,
            task.class_names,
            folder,
            task.clip_seconds,
            data["recordings_per_batch"],
            **data["clip_options"],
        )
    shots = items.shots(task.multi_label)
    baseline.setup(clap, task.class_names, shots, task.logit_scale)
    start = time.perf_counter()
    learner.setup(clap, task.class_names, shots, task.logit_scale)
    facts["setup_seconds"] = time.perf_counter() - start
    facts["supervision"] = items.facts
    train, valid = (
        part if part is None or learner.uses_parts else part.without_parts()
        for part in (items.train, items.valid)
    )
    return Material(baseline, train, valid, test, facts)


def check_device(name=None):
    """Return a device's name, by default a GPU's, if torch can compute on it.

    Raises
    ------
    InputError
        If torch does not know the device or cannot use it.

    Example
    -------
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: the device 'gpu' cannot be used (...); try cpu
    """
    name = name or infer_device()
    try:
        torch.ones(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the device {name!r} cannot be used ({reason}); try cpu"
        ) from error
    # There is only one CPU, whatever number the name has.
    return "cpu" if torch.device(name).type == "cpu" else name


def announce(task, clap, n_samples):
    """Log a notice if this run is a demonstration, not the benchmark.

    A run is a demonstration with mini-CLAP, or if ``n_samples`` sample clips
    replace the data set. Returns the kind, for `results.json`.
    """
    if clap.name != "mini" and not n_samples:
        return "benchmark"
    parts = ["mini-CLAP"] if clap.name == "mini" else []
    if n_samples:
        parts.append(f"{n_samples} clips of sample recordings")
    logger.info(
        "This is the embedded demonstration, not the paper's benchmark on %s: "
        "it uses %s. The benchmark needs --clap ms-2022 and --data_folder "
        "/path/to/%s",
        task.name,
        " and ".join(parts),
        task.name.replace(" ", "-"),
    )
    return "demonstration"
