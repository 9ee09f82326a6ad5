"""Check the options of a YAML file before any object is built.

`afpt_plugin.option_rules` has rules for the options that recipes and methods
share; a rule applies by name, wherever the option stands. Any other option must
have the type of its default, in the YAML file or in the signature of the object
that it belongs to.

Authors
 * The afpt_plugin developers 2026
"""

import ast
import copy
import importlib
import inspect
import logging
import pydoc
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from hyperpyyaml.core import recursive_update
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from afpt_plugin.data.tables import read_text, some_of
from afpt_plugin.errors import InputError, did_you_mean
from afpt_plugin.option_rules import OBJECT, RULES, TEXT, Rule
from afpt_plugin.results.options import read_options
from afpt_plugin.results.run import RunResults

# The deepest nesting of a YAML file
MAX_DEPTH = 50

_TUPLE = re.compile(r"\(.*\)")  # as HyperPyYAML recognizes a tuple


def check_hparams(hparams_file, overrides=None):
    """Check every option of a YAML file and of the overrides.

    Nothing is built, written or run.

    Arguments
    ---------
    hparams_file : str or pathlib.Path
        The YAML file.
    overrides : str or dict, optional
        Options that replace the file's: a YAML text, or a mapping.

    Raises
    ------
    InputError
        If the file or the overrides are not YAML, or an option is unknown, of
        another type or out of its range; all of them are listed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hparams.yaml"
    >>> _ = path.write_text("seed: 1\\nwidth: 2.5\\n")
    >>> check_hparams(path, "seed: -1\\nwith: 3")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: ...hparams.yaml: 2 options cannot be used:
      'with' is not an option; did you mean 'width'?
      seed is -1; give a whole number from 0 to 4294967295
    """
    quieten()
    text = read_text(hparams_file, "Give a YAML file of options")
    defaults = _parse(text, hparams_file)
    if not isinstance(defaults, Mapping):
        raise InputError(f"{hparams_file}: the file does not hold options")
    given = _parse(overrides, "the options") or {}
    if isinstance(overrides, Mapping):
        given = plain_options(overrides)
    if not isinstance(given, Mapping):
        raise InputError(
            f"the options {overrides!r:.100} are not pairs of name: value"
        )
    raw = copy.deepcopy(defaults)
    unknown = {name: [*_unknown({name: given[name]}, raw)] for name in given}
    problems = [problem for found in unknown.values() for problem in found]
    given = {name: given[name] for name in given if not unknown[name]}
    try:
        recursive_update(raw, given)
        with open(hparams_file, encoding="utf-8") as file:
            resolved = resolve_references(file, given)
    except (YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{hparams_file}: the options cannot be put together "
            f"({_line(error)})"
        ) from error
    defaults = _followed(defaults, defaults)
    problems += _wrong(_parse(resolved, hparams_file), raw, defaults)
    if len(problems) == 1:
        raise InputError(f"{hparams_file}: {problems[0]}")
    if problems:
        raise InputError(
            f"{hparams_file}: {len(problems)} options cannot be used:\n"
            f"{some_of(problems, limit=20)}"
        )


def load_hparams(hparams_file, overrides):
    """Build a YAML file's objects; overrides may be YAML or a mapping.

    Raises
    ------
    InputError
        If an option cannot be used (see `check_hparams`), or building an
        object fails.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hparams.yaml"
    >>> _ = path.write_text("seed: 1\\ntwice: !apply:sum [[!ref <seed>, 2]]\\n")
    >>> load_hparams(path, {"seed": 2})["twice"]
    4
    """
    check_hparams(hparams_file, overrides)
    if isinstance(overrides, Mapping):
        overrides = plain_options(overrides)
    try:
        with open(hparams_file, encoding="utf-8") as fin:
            hparams = load_hyperpyyaml(fin, overrides)
        if isinstance(hparams.get("results"), RunResults):
            hparams["results"].options = read_options(hparams_file, overrides)
        return hparams
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{error.filename or hparams_file}: the path cannot be used "
            f"({error.strerror}); choose another one"
        ) from error
    except (Exception, SystemExit) as error:
        # The YAML may call any function, which may raise any exception.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{hparams_file}: an object could not be built ({reason:.400}); "
            "check its class and arguments"
        ) from error


def quieten():
    """Silence log messages of libraries that do not concern the run."""
    for name in (
        *("speechbrain.utils.quirks", "matplotlib"),
        "speechbrain.utils.superpowers",  # lists every installed package
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    # This module warns that torchvision, which we do not need, is missing.
    noisy = logging.getLogger("speechbrain.utils.train_logger")
    nothing = logging.Filter("nothing")
    noisy.addFilter(nothing)
    importlib.import_module(noisy.name)
    noisy.removeFilter(nothing)


def plain_options(options):
    """Convert numpy's numbers in options to Python's, for YAML.

    Example
    -------
    >>> plain_options({"lr": np.float64(0.5)})
    {'lr': 0.5}
    """
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in options.items()
    }


def _parse(source, place):
    """Parse YAML with its tags, as data; a mapping needs no parsing."""
    if source is None or isinstance(source, Mapping):
        return source
    try:
        if isinstance(source, str):
            _check_size(source)
        return YAML().load(source)
    except DuplicateKeyError as error:
        name = re.search(r'key "(.*?)"', str(error))
        raise InputError(
            f"{place}: {name[1] if name else 'an option'} is given twice; give "
            "it once"
        ) from error
    except (*(YAMLError, yaml.YAMLError, ValueError, RecursionError),) as error:
        raise InputError(
            f"{place} {str(source)!r:.200} are not valid YAML ({_line(error)})"
            if place == "the options"
            else f"{place}: the file is not valid YAML ({_line(error)})"
        ) from error


def _check_size(text):
    """Refuse YAML that could exhaust memory or time: aliases, deep nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"write !ref <name> for *{event.anchor}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is more than {MAX_DEPTH} levels deep")


def _line(error):
    """Put an error's message into one line."""
    return " ".join(f"{error}".split())[:300]


def _tag(node):
    """Return a node's tag (``!new:package.Class``), or an empty text."""
    tag = getattr(node, "tag", None)
    return getattr(tag, "value", None) or ""


def _callable(node):
    """Find the function or class that a node's tag names, or None."""
    kind, _, name = _tag(node).partition(":")
    if kind not in ("!new", "!name", "!apply") or not name:
        return None
    try:
        return pydoc.locate(name)
    except pydoc.ErrorDuringImport:
        return None  # building the object will raise the error


def _parameters(node, name):
    """Parameters of the function that a node calls, {} if unknown."""
    called = _callable(node)
    if name.endswith("_loader_kwargs"):
        called = torch.utils.data.DataLoader
    try:
        found = inspect.signature(called).parameters
    except (TypeError, ValueError):
        return {}
    return {
        key: parameter
        for key, parameter in found.items()
        if parameter.kind
        not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def _unknown(given, raw, path=""):
    """Yield a sentence about each given name that does not exist."""
    for name, value in given.items():
        parameters = _parameters(raw, path) if path else {}
        known = [*(key for key in raw if str(key)[:2] != "__"), *parameters]
        place = f"{path}.{name}" if path else str(name)
        if name not in known:
            yield f"{place!r} is not an option{did_you_mean(name, known)}"
        elif isinstance(value, Mapping) and name in raw:
            old = raw[name]
            if _tag(value):
                # HyperPyYAML would merge both objects under the old tag.
                if isinstance(old, Mapping) and _tag(value) != _tag(old):
                    yield (
                        f"{place} is {_tag(value)} with named arguments, which "
                        "cannot take another object's place here; write them "
                        "as a list, [value, ...], or edit the YAML file"
                    )
            elif isinstance(old, Mapping):
                yield from _unknown(value, old, place)
            else:
                yield (
                    f"{place} is {dict(value)!r:.60}, but it does not have "
                    "options of its own; give a value"
                )


def _wrong(resolved, raw, defaults, path=""):
    """Yield a sentence about each value of the wrong type or range."""
    if not isinstance(resolved, Mapping):
        return
    parameters = _parameters(resolved, path)
    for name, value in resolved.items():
        place = f"{path}.{name}" if path else str(name)
        own = raw.get(name) if isinstance(raw, Mapping) else None
        default = defaults.get(name) if isinstance(defaults, Mapping) else None
        if _tag(value) == "!PLACEHOLDER":
            yield f"{place} has no value; give one"
        elif path and _refers(own):
            pass  # the option that it refers to is checked instead
        elif isinstance(value, Mapping) and (_tag(value) or name not in RULES):
            yield from _wrong(value, own, default, place)
        elif _tag(value) in ("", "!tuple"):
            rule = _rule(name, default, parameters.get(name))
            value = _plain(value)
            # An option that is null in the file may stay null.
            is_default = (
                value is None and name in (defaults or ()) and default is None
            )
            if rule and not is_default and not rule.allows(value):
                yield f"{place} is {_shown(value)}; give {rule}"


def _followed(node, root, left=MAX_DEPTH):
    """Replace each node that is only a ``!ref <name>`` by its target."""
    named = _tag(node) == "!ref" and re.fullmatch(r"<(\w+)>", node.value)
    if named and named[1] in root and left:
        return _followed(root[named[1]], root, left - 1)
    if isinstance(node, Mapping):
        for name in node:
            node[name] = _followed(node[name], root, left)
    return node


def _refers(node):
    """Whether a node is a reference, or a list that holds one."""
    nodes = [node, *node] if isinstance(node, list) else [node]
    return any(_tag(node) in ("!ref", "!copy") for node in nodes)


def _rule(name, default, parameter):
    """Find an option's rule: the declared one, or one by its default's type."""
    if name in RULES:
        return RULES[name]
    kind = _tag(default).partition(":")[0]
    if kind in ("!new", "!name") or isinstance(default, Mapping):
        return OBJECT
    if (
        name.endswith(("folder", "_file", "_dir", "_template"))
        or name == "captions"
    ):
        return TEXT
    whole = "whole"
    if default is None or kind in ("!ref", "!copy"):
        # In a signature, a default of 1 may mean 1.0.
        default, whole = getattr(parameter, "default", None), "number"
    for kind, types in (
        ("flag", bool),
        (whole, int),
        ("number", float),
        ("text", str),
        ("list", (list, tuple)),
    ):
        if isinstance(default, types):
            return Rule(kind)
    return None


def _plain(value):
    """Convert a value to what HyperPyYAML will build from it."""
    if _tag(value) == "!tuple":
        value = value.value
    if isinstance(value, str) and _TUPLE.fullmatch(value):
        try:
            return ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _shown(value):
    """Format a value for a message."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return "a number too long to show"
    return "null (nothing)" if value is None else f"{value!r:.60}"
