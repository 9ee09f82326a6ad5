"""Checkpoints: find the file, read it safely, account for every parameter.

Used by the backbones whose weights are somebody else's file::

    path = find_weights(weights, "microsoft/msclap", "x.pth", "ms-2022")
    fill_from_checkpoint(clap, read_pth(path), path, clap.constant_buffers)

Authors
 * The afpt_plugin developers 2026
"""

import pickle
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError

logger = get_logger(__name__)

# How many names a message spells out before it counts the rest.
MAX_NAMES = 8

# What `torch.load` raises for bytes that are no checkpoint, found by cutting
# and overwriting files of both formats: the zip reader's RuntimeError, and
# whatever an opcode of the restricted unpickler makes of a wrong operand.
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    SystemError,
    struct.error,
)


def find_weights(weights, repo_id, filename, name):
    """Find a checkpoint: the user's file, the hub's cache, the hub.

    Arguments
    ---------
    weights : str or pathlib.Path or None
        The user's own file, looked at instead of the hub.
    repo_id : str
        Repository on the Hugging Face hub.
    filename : str
        File in it.
    name : str
        What `load_clap` calls the backbone, for the messages.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If the file is not there, or the hub cannot be reached.

    Example
    -------
    >>> find_weights("missing.pth", "microsoft/msclap", "x.pth", "ms-2022")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no weights of ms-2022 at 'missing.pth': there is no such file; ...
    """
    ways_out = (
        f"download {filename} of https://huggingface.co/{repo_id} where there "
        "is a network and pass --weights PATH, or use the packaged model "
        "with --clap mini"
    )
    if weights is None:
        return find_on_hub(
            repo_id, filename, f"the weights of {name}", ways_out
        )
    path = Path(weights)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(
            f"no weights of {name} at {str(weights)!r}: there is {what}; "
            f"{ways_out}"
        )
    return path


def find_on_hub(repo_id, filename, wanted, ways_out):
    """Find a file in the hub's cache, else download it into the cache.

    Arguments
    ---------
    repo_id : str
        Repository on the Hugging Face hub.
    filename : str
        File in it.
    wanted : str
        What the file is, for the message.
    ways_out : str
        What to do without a network, for the message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is neither in the cache nor to be had from the hub.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils import get_session

    # The cache first: a machine that has the file needs no network.
    with suppress(LocalEntryNotFoundError):
        return Path(hf_hub_download(repo_id, filename, local_files_only=True))
    try:
        # The hub's client tries six times, half a minute in all, to learn that
        # there is no network: ask once before.
        get_session().head(constants.ENDPOINT, timeout=5)
        return Path(hf_hub_download(repo_id, filename))
    except OSError as error:  # every error of the hub's client is one
        raise InputError(
            f"{wanted} were wanted: {filename} of {repo_id} is neither in the "
            f"cache {constants.HF_HUB_CACHE} nor to be had from "
            f"{constants.ENDPOINT} ({type(error).__name__}); {ways_out}"
        ) from error


def read_pth(path):
    """Read a PyTorch checkpoint without running any code that is in it.

    Only tensors and plain values can be in the file (``weights_only``), and
    numpy scalars: a training script leaves its best score beside the weights,
    and such a scalar is a dtype and a few bytes, so nothing gets called.

    Arguments
    ---------
    path : str or pathlib.Path
        A file with the state dict, bare or under ``"model"`` as msclap's.

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
    afpt_plugin.errors.InputError: missing.pth: cannot be read (FileNotFoundError)...
    """
    try:
        with torch.serialization.safe_globals(_numpy_scalar_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}): check the path"
        ) from error
    except UNREADABLE as error:
        raise InputError(
            f"{path}: is not a checkpoint of tensors alone "
            f"({type(error).__name__}). It is damaged (download it again), of "
            "another format, or holds Python objects, which could run code "
            "and are never loaded"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path}: holds a {type(content).__name__}, not the state dict of "
            "a CLAP, neither at the top nor under 'model'"
        )
    foreign = [
        str(key)
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, torch.Tensor))
    ]
    if foreign:
        raise InputError(
            f"{path}: its state dict holds entries that are not tensors: "
            f"{_join(foreign)}"
        )
    return dict(content)


def fill_from_checkpoint(model, state_dict, source, constant_buffers):
    """Copy a checkpoint into a model, every learned value accounted for.

    A constant that the file holds is used, since the tower was trained with
    it; one that it lacks keeps the value the model was built with.

    Arguments
    ---------
    model : torch.nn.Module
        Is changed in place.
    state_dict : dict
        Name -> tensor; the prefix ``module.`` of DDP is taken off.
    source : str or pathlib.Path
        The file, for the messages.
    constant_buffers : tuple of str
        Ends of the names that are computed, not learned: the file may lack
        them or have more of them.

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
    afpt_plugin.errors.InputError: x.pth: lacks 1 of the model's 2 learned values: weight; ...
    """
    constants = tuple(constant_buffers)
    if state_dict and all(key.startswith("module.") for key in state_dict):
        state_dict = {
            key.removeprefix("module."): value
            for key, value in state_dict.items()
        }
    own = model.state_dict()
    learned = [key for key in own if not key.endswith(constants)]
    missing = [key for key in learned if key not in state_dict]
    if missing:
        raise InputError(
            f"{source}: lacks {len(missing)} of the model's {len(learned)} "
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
            f"{source}: {len(wrong)} entries have another shape: "
            f"{_join(wrong)}; is it the checkpoint of another model?"
        )
    extra = [
        key
        for key in state_dict
        if key not in own and not key.endswith(constants)
    ]
    if extra:
        logger.warning(
            "%s: %d entries are not used: %s", source, len(extra), _join(extra)
        )
    merged = {key: state_dict.get(key, value) for key, value in own.items()}
    model.load_state_dict(merged, strict=True)


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
