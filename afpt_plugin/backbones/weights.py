"""Checkpoints: find the file, read it safely, account for every parameter.

Backbones that load published checkpoints use it like this::

    path = find_weights(weights, "microsoft/msclap", "x.pth", "ms-2022")
    fill_from_checkpoint(clap, read_pth(path), path, clap.constant_buffers)

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.fetching import (
    FetchConfig,
    FetchFrom,
    FetchSource,
    LocalStrategy,
    fetch,
    guess_source,
)
from speechbrain.utils.logger import get_logger
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from afpt_plugin.errors import InputError

logger = get_logger(__name__)

# How many names a message spells out before it counts the rest.
MAX_NAMES = 8


def find_weights(weights, repo_id, filename, name):
    """Find a checkpoint: the user's file, or one from the hub or its cache.

    ``weights`` is the user's own file, or None for ``filename`` in the hub's
    ``repo_id``; ``name`` is the backbone's name, for messages.

    Raises
    ------
    InputError
        If the file does not exist, or cannot be fetched.

    Example
    -------
    >>> find_weights("missing.pth", "microsoft/msclap", "x.pth", "ms-2022")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: ms-2022 needs the file x.pth, but 'missing.pth' does not exist; ...
    """
    advice = (
        f"download {filename} of https://huggingface.co/{repo_id} where there "
        "is a network and pass --weights PATH, or use the packaged model with "
        "--clap mini"
    )
    if weights is None:
        source = FetchSource(FetchFrom.HUGGING_FACE, repo_id)
        return fetch_file(filename, source, advice=f"to use {name}, {advice}")
    path = Path(weights)
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(
            f"{name} needs the file {filename}, but {str(weights)!r} {reason}; "
            f"{advice}"
        )
    return path


def fetch_file(
    name,
    source,
    savedir=None,
    local_strategy=LocalStrategy.SYMLINK,
    fetch_config=None,
    advice="check its name, the network and, of a private one, your token",
):
    """Fetch a file with SpeechBrain's `fetch`, but look into the cache first.

    Arguments
    ---------
    name, source, savedir, local_strategy, fetch_config
        As `speechbrain.utils.fetching.fetch` takes them.
    advice : str
        What to do if the file cannot be fetched, for the message.

    Raises
    ------
    InputError
        If the file cannot be fetched, or another one is in its way.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import get_session

    # SpeechBrain's default sends no token, so it does not find private files.
    config = fetch_config or FetchConfig(token=None)
    origin, place = guess_source(source)
    get = partial(
        fetch, name, source, savedir=savedir, local_strategy=local_strategy
    )
    try:
        if origin == FetchFrom.LOCAL:
            own = Path(place, name)
            if not own.is_file():
                raise InputError(f"the folder {place} lacks {name}; {advice}")
            path = get(fetch_config=config)
            # `fetch` does not check a file that is already there.
            if path.read_bytes() != own.read_bytes():
                raise InputError(
                    f"{path} is another export's, not that of {place}: give "
                    "another savedir or leave it out"
                )
            return path
        if not config.allow_updates:
            # A machine that has the file needs no network.
            with suppress(LocalEntryNotFoundError):
                return get(fetch_config=replace(config, allow_network=False))
        if config.allow_network:
            # Without a network, the hub's client tries six times, for half a
            # minute in all. One request beforehand fails sooner.
            get_session().head(constants.ENDPOINT, timeout=5)
        return get(fetch_config=config)
    except InputError:
        raise
    except Exception as error:  # the hub's errors share no base class
        cache = config.huggingface_cache_dir or constants.HF_HUB_CACHE
        raise InputError(
            f"{place}: neither a folder of this name, nor the cache {cache}, "
            f"nor {constants.ENDPOINT} gave {name} ({hub_reason(error)}); "
            f"{advice}"
        ) from error


def hub_reason(error):
    """Summarize an error of the hub's client in one line."""
    if any(word in str(error) for word in ("NameResolution", "Max retries")):
        return "there is no connection"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def no_init_weights():
    """Skip the initialization of transformers models in a ``with`` block.

    A checkpoint overwrites every weight or is refused, and drawing 200 million
    random numbers takes seconds.
    """
    try:  # where transformers 5 has it
        from transformers.initialization import no_init_weights as quickly
    except ImportError:
        from transformers.modeling_utils import no_init_weights as quickly
    return quickly()


def read_safetensors(path):
    """Read a safetensors file, with the argument and result of `read_pth`.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} is not a safetensors file, or a damaged one ({error}): "
            "download it again"
        ) from error


def read_pth(path):
    """Read a PyTorch checkpoint without running any code that is in it.

    The file may hold only tensors, plain values (``weights_only``) and numpy
    scalars, since a training script may leave its best score beside the
    weights. Such a scalar is a dtype and a few bytes, so nothing gets called.

    Arguments
    ---------
    path : str or pathlib.Path
        A file with the state dict, bare or, as in msclap's files, under
        ``"model"``.

    Returns
    -------
    dict
        Name -> tensor, on the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds anything else.

    Example
    -------
    >>> read_pth("missing.pth")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: missing.pth cannot be read (FileNotFoundError)...
    """
    try:
        with torch.serialization.safe_globals(_numpy_scalar_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}): check the path"
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise InputError(
            f"{path} is not a checkpoint of tensors alone "
            f"({type(error).__name__}): it is damaged (download it again), has "
            "another format, or holds Python objects, which could run code "
            "and are never loaded"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path} holds a {type(content).__name__}, not the state dict of "
            "a CLAP, neither at the top nor under 'model'"
        )
    foreign = [
        str(key)
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, torch.Tensor))
    ]
    if foreign:
        raise InputError(
            f"the state dict of {path} holds entries that are not tensors: "
            f"{_join(foreign)}"
        )
    return dict(content)


def fill_from_checkpoint(model, state_dict, source, constant_buffers):
    """Copy a checkpoint into a model, and account for every learned value.

    A constant in the file is used, since the tower was trained with it. A
    constant that the file lacks keeps the value that the model was built with.

    Arguments
    ---------
    model : torch.nn.Module
        The model, which is changed in place.
    state_dict : dict
        Name -> tensor; the prefix ``module.`` of DDP is removed.
    source : str or pathlib.Path
        The file, for the messages.
    constant_buffers : tuple of str
        Suffixes of the names of values that are computed, not learned; the file
        may lack some of them or have more.

    Raises
    ------
    InputError
        If the file lacks a learned value or has one of another shape.

    Example
    -------
    >>> model = torch.nn.Linear(2, 1)
    >>> fill_from_checkpoint(model, {"bias": torch.ones(1)}, "x.pth", ())
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: x.pth lacks 1 of the model's 2 learned values: weight; ...
    """
    state_dict = dict(state_dict)
    consume_prefix_in_state_dict_if_present(state_dict, "module.")
    own = model.state_dict()
    learned = [key for key in own if not key.endswith(constant_buffers)]
    missing = [key for key in learned if key not in state_dict]
    if missing:
        raise InputError(
            f"{source} lacks {len(missing)} of the model's {len(learned)} "
            f"learned values: {_join(missing)}; is it the checkpoint of "
            "another model?"
        )
    wrong = [
        f"{key} is {list(state_dict[key].shape)} in the file, "
        f"{list(own[key].shape)} in the model"
        for key in own
        if key in state_dict and state_dict[key].shape != own[key].shape
    ]
    if wrong:
        raise InputError(
            f"{len(wrong)} entries of {source} have another shape: "
            f"{_join(wrong)}; is it the checkpoint of another model?"
        )
    extra = [
        key
        for key in state_dict
        if key not in own and not key.endswith(constant_buffers)
    ]
    if extra:
        logger.warning(
            "%d entries of %s are not used: %s",
            *(len(extra), source, _join(extra)),
        )
    model.load_state_dict({key: state_dict.get(key, own[key]) for key in own})


def _join(names):
    rest = len(names) - MAX_NAMES
    shown = ", ".join(names[:MAX_NAMES])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _numpy_scalar_globals():
    # numpy 1 and 2 keep the same function under different module names, and a
    # file asks for it by the name that its writer's numpy had.
    scalar = np.float64().__reduce__()[0]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(code)) for code in "?bhilqBHILQefd"),
    ]
