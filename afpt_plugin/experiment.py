"""What every recipe, and `afpt tune`, does before its first step.

Authors
 * The afpt_plugin developers 2026
"""

import atexit
import dataclasses
import json
import os
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError
from speechbrain.utils.distributed import (
    ddp_init_group,
    infer_device,
    run_on_main,
)
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.captions import (
    captions_fingerprint,
    read_captions,
    split_captions,
    subsample_captions,
    template_captions,
)
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

CAPTION_FOLDER = Path(__file__).parent / "assets" / "captions"


def either(upstream_exact, authors, ours):
    """Choose between the authors' value of a setting and ours, in YAML.

    ``n_ctx: !apply:afpt_plugin.experiment.either [!ref <upstream_exact>, 32, 4]``

    Arguments
    ---------
    upstream_exact : bool
        The recipe's switch.
    authors : Any
        The value in the paper or its code.
    ours : Any
        The value we found better.

    Returns
    -------
    Any
        One of the two.

    Example
    -------
    >>> either(True, 32, 4)
    32
    """
    if not isinstance(upstream_exact, bool):
        raise InputError(
            f"upstream_exact: {upstream_exact!r} is neither True nor False"
        )
    return authors if upstream_exact else ours


def load_experiment(arguments, recipe):
    """Parse a command line, start the process group, build the YAML's objects.

    The YAML file is looked for where the user stands, then beside the recipe,
    so that ``python recipes/ESC50/train.py hparams.yaml`` works anywhere.

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
        If there is no such file, or an option that the YAML does not have.

    Example
    -------
    >>> load_experiment(["no.yaml"], "recipe/train.py")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no.yaml: no such file, here or in recipe
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    folder = os.path.dirname(recipe)
    if not os.path.isfile(hparams_file):
        beside = os.path.join(folder, hparams_file)
        if not os.path.isfile(beside):
            raise InputError(
                f"{hparams_file}: no such file, here or in {folder or '.'}"
            )
        hparams_file = beside
    if not torch.cuda.is_available():
        # SpeechBrain's default, NCCL, exists on GPUs alone.
        run_opts = dataclasses.replace(
            run_opts,
            distributed_backend="gloo",
            overridden_args=run_opts.overridden_args | {"distributed_backend"},
        )
    ddp_init_group(run_opts)
    if torch.distributed.is_initialized():
        # Its threads, still running when the interpreter ends, would abort it.
        atexit.register(torch.distributed.destroy_process_group)
    hparams = load_hparams(hparams_file, overrides)
    return hparams_file, run_opts, overrides, hparams


def load_hparams(hparams_file, overrides):
    """Build a YAML file's objects.

    Arguments
    ---------
    hparams_file : str or pathlib.Path
        The file.
    overrides : str or dict
        Values to put in the place of the file's, as YAML or as a mapping.

    Returns
    -------
    dict
        The file's values.

    Raises
    ------
    InputError
        If the YAML does not have such an option, or is none with it.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hparams.yaml"
    >>> _ = path.write_text("seed: 1\\ntwice: !apply:sum [[!ref <seed>, 2]]\\n")
    >>> load_hparams(path, {"seed": 2})["twice"]
    4
    """
    try:
        with open(hparams_file, encoding="utf-8") as fin:
            return load_hyperpyyaml(fin, overrides)
    except KeyError as error:
        raise InputError(
            f"{hparams_file} has no such option as on the command line: "
            f"{error.args[0]}"
        ) from error
    except YAMLError as error:
        raise InputError(
            f"{hparams_file}, with the command line's {overrides!r}, is no "
            f"valid YAML: {error}"
        ) from error


def prepare_data(hparams, prepare, **options):
    """Run a prep script, on the sample recordings if there is no data set.

    Arguments
    ---------
    hparams : dict
        The YAML's values: ``data_folder`` (``samples`` for
        ``samples_folder``, which ``samples`` fills), ``save_folder``,
        ``download``, ``allow_missing``, ``skip_prep`` and ``feature_folder``.
    prepare : callable
        The recipe's prep script.
    **options : Any
        What only this data set's prep script takes, e.g. ``folds``.

    Returns
    -------
    prepared : dict
        What ``prepare.json`` says.
    n_samples : int
        How many of the recordings are samples: all, or 0 with a data set.
    """
    data_folder = hparams["data_folder"]
    are_samples = data_folder == "samples"
    if are_samples:
        data_folder = hparams["samples_folder"]
        run_on_main(hparams["samples"], args=[data_folder])
    kwargs = {
        "data_folder": data_folder,
        "save_folder": hparams["save_folder"],
        "download": hparams["download"],
        "allow_missing": hparams["allow_missing"],
        "skip_prep": hparams["skip_prep"],
        "cache_folder": hparams["feature_folder"],
    }
    run_on_main(prepare, kwargs={**kwargs, **options})
    path = Path(hparams["save_folder"]) / "prepare.json"
    prepared = json.loads(path.read_text(encoding="utf-8"))
    return prepared, prepared["n_recordings"] if are_samples else 0


def check_device(name=None):
    """Find out whether torch can compute on a device.

    Arguments
    ---------
    name : str, optional
        E.g. ``cpu`` or ``cuda:0``; by default a GPU if there is one.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    InputError
        If torch does not know it or cannot use it.

    Example
    -------
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no device 'gpu' here (...); try cpu
    """
    name = name or infer_device()
    try:
        torch.ones(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"no device {name!r} here ({reason}); try cpu"
        ) from error
    return name


def load_captions(
    source,
    dataset,
    class_names,
    valid_fraction,
    captions_per_class,
    seed,
    several_labels=True,
):
    """Get an experiment's captions, split into training and validation.

    Arguments
    ---------
    source : str or pathlib.Path
        ``ours`` (the captions in the package), ``templates`` (class names in
        templates, nothing else) or a CSV file, ours or the authors'.
    dataset : str
        Name of our captions' file, e.g. ``esc50``.
    class_names : list of str
        In the order of the class indices.
    valid_fraction : float
        Share held out; 0 for none.
    captions_per_class : int, optional
        At most so many in training; None for all.
    seed : int, optional
        Of the split and of the choice; None takes the first, as the authors
        do.
    several_labels : bool
        Whether captions of several classes are learned from, too.

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
    if source == "templates":
        captions = template_captions(class_names)
    elif source == "ours":
        path = CAPTION_FOLDER / f"{dataset}.csv"
        captions = read_captions(path, class_names)
    else:
        captions = read_captions(source, class_names)
    if not several_labels:
        captions = _with_one_label(captions, source, class_names)
    train, valid = split_captions(
        captions, len(class_names), valid_fraction, seed or 0
    )
    train = subsample_captions(train, captions_per_class, seed)
    facts = {
        "supervision": "captions",
        "captions": Path(str(source)).name,
        "captions_fingerprint": captions_fingerprint(captions),
        "n_captions": {"train": len(train), "valid": len(valid)},
    }
    return train, valid, facts


def _with_one_label(captions, source, class_names):
    kept = [caption for caption in captions if len(caption.labels) == 1]
    described = {caption.labels[0] for caption in kept}
    missing = [n for i, n in enumerate(class_names) if i not in described]
    if missing:
        raise InputError(
            f"{source}: {len(missing)} of {len(class_names)} classes have no "
            f"caption of their own: {', '.join(missing)}; add some, or train "
            "with several labels a caption (multi-label)"
        )
    if len(kept) < len(captions):
        logger.warning(
            "%s: %d of %d captions have several labels and are left out",
            source,
            len(captions) - len(kept),
            len(captions),
        )
    return kept


def announce(dataset, clap, n_samples, real_command):
    """Say in plain words if this is the demonstration, not the benchmark.

    Arguments
    ---------
    dataset : str
        Name of the data set.
    clap : FrozenClap
        The backbone.
    n_samples : int
        How many sample recordings, or mixtures of them, take the place of the
        data set; 0 if it is there.
    real_command : str
        How to run the benchmark itself.

    Returns
    -------
    str
        ``demonstration`` or ``benchmark``, for `results.json`.
    """
    if clap.name != "mini" and not n_samples:
        return "benchmark"
    parts = ["mini-CLAP"] if clap.name == "mini" else []
    if n_samples:
        parts.append(f"{n_samples} clips of sample recordings")
    logger.info(
        "This is the embedded demonstration, not the paper's benchmark on %s: "
        "it uses %s. The benchmark is: %s",
        dataset,
        " and ".join(parts),
        real_command,
    )
    return "demonstration"
