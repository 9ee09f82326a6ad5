"""Read a run's options as values that can be compared with another run's.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import json
import math
from pathlib import Path

import yaml
from hyperpyyaml import resolve_references

from afpt_plugin.files import read_bytes

#: The largest results.json that is read, in bytes.
MAX_BYTES = 2**30

#: Options, at any depth, that may differ from those of an earlier run in the
#: same folder, since no number of that run depends on them. All other options
#: must be the same.
UNCOMPARED = {
    # Paths; the content at these paths is compared instead
    *("output_folder", "results_folder", "save_folder", "feature_folder"),
    *("data_folder", "samples_folder", "folder", "manifest", "save_file"),
    *("train_log", "checkpointer", "clap", "weights", "captions", "source"),
    *("sample_recordings", "recordings"),
    # How recordings are obtained; the recordings themselves are compared
    *("download", "skip_prep", "allow_missing"),
    # Speed and display
    *("recordings_per_batch", "num_workers", "pin_memory", "prefetch_factor"),
    *("persistent_workers", "train_logger"),
    # A run may be given more epochs; fewer are refused
    *("number_of_epochs", "limit"),
    # The test, which every run repeats
    *("transduction", "test_loader_kwargs"),
}

# The ones among them that hold several values.
_GROUPS = ("checkpointer", "train_logger", "test_loader_kwargs")

#: Run options of SpeechBrain that affect a result.
RUN_OPTIONS = (
    *("precision", "eval_precision", "max_grad_norm", "nonfinite_patience"),
    *("skip_nonfinite_grads", "grad_accumulation_factor"),
    *("optimizer_step_limit", "remove_vector_weight_decay"),
)


class _Loader(yaml.SafeLoader):
    """Reads HyperPyYAML's tags as names, and builds nothing."""

    def tagged(self, name, node):
        """Represent a tag with its arguments."""
        if isinstance(node, yaml.MappingNode):
            content = self.construct_mapping(node, deep=True)
        elif isinstance(node, yaml.SequenceNode):
            content = self.construct_sequence(node, deep=True)
        else:
            content = self.construct_scalar(node)
        return {"tag": name, "of": content}


_Loader.add_multi_constructor("!", _Loader.tagged)


def read_options(hparams_file, overrides):
    """Read the options of a YAML file and its overrides that affect a result.

    Arguments
    ---------
    hparams_file : str or pathlib.Path
        A HyperPyYAML file; none of its objects is built.
    overrides : str or dict
        Overrides as for `load_hparams`.

    Returns
    -------
    dict
        The options as JSON values, without the `UNCOMPARED` ones.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hparams.yaml"
    >>> _ = path.write_text("a: 1\\nopt: !name:torch.optim.SGD\\n    lr: !ref <a>\\n")
    >>> read_options(path, "a: 2")
    {'a': 2, 'opt': {'tag': 'name:torch.optim.SGD', 'of': {'lr': 2}}}
    """
    with open(hparams_file, encoding="utf-8") as file:
        text = resolve_references(file, overrides)
    return _compared(yaml.load(text, _Loader))


def _compared(value):
    """Drop options that are not compared, and spell numbers in one way."""
    if isinstance(value, dict):
        return {
            str(key): _compared(each)
            for key, each in value.items()
            if key not in UNCOMPARED
            or (isinstance(each, dict) and key not in _GROUPS)
        }
    if isinstance(value, (list, tuple)):
        return [_compared(each) for each in value]
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as a text
        try:
            value = float(value)
        except ValueError:
            return value
    if value is None or isinstance(value, (bool, int)):
        return value
    finite = isinstance(value, float) and math.isfinite(value)
    return value if finite else str(value)


def given_run_options(run_opts):
    """Return the `RUN_OPTIONS` that were given, as JSON values."""
    names = [name for name in RUN_OPTIONS if name in run_opts.overridden_args]
    return _compared({name: getattr(run_opts, name) for name in names})


def differing_options(known, own):
    """List the options that differ; none if either set is unknown.

    Example
    -------
    >>> differing_options({"lr": 1, "seed": 1}, {"lr": 2, "seed": 1, "k": 1})
    ['k', 'lr']
    """
    if not isinstance(known, dict) or own is None:
        return []
    missing = object()
    return sorted(
        key
        for key in known.keys() | own.keys()
        if known.get(key, missing) != own.get(key, missing)
    )


def read_results(folder):
    """Read ``results.json`` in a folder; an empty dict if there is none."""
    try:
        known = read_bytes(Path(folder, "results.json"), MAX_BYTES)
        known = json.loads(known.decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def describe(thing):
    """Describe an object of a YAML as JSON values: its name and arguments.

    Seeds are left out, since runs that differ only in them are averaged.
    """
    if isinstance(thing, (str, int, float)):
        return thing
    if isinstance(thing, functools.partial):  # !name: with arguments
        name, values = thing.func.__name__, thing.keywords
    elif hasattr(thing, "description"):
        values = dict(thing.description())
        name = values.pop("name")
    elif isinstance(thing, type) or not hasattr(thing, "__dict__"):
        name, values = getattr(thing, "__name__", str(thing)), {}
    else:
        name = getattr(thing, "__name__", type(thing).__name__)
        values = {
            key: value
            for key, value in vars(thing).items()
            if isinstance(value, (str, int, float, list, dict, type(None)))
            and not key.startswith("_")
            and key not in ("training", "call_super_init", "dump_patches")
        }
    return {"name": name, **{k: v for k, v in values.items() if k != "seed"}}
