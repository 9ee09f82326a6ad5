"""Checkpoints that hold no code, only plain values, and are verified by hash.

A checkpoint is a folder:

* ``<name>.ckpt``: the state of a learner or an optimizer as safetensors
  (SpeechBrain itself would pickle it), or the state of a counter as text
* ``CKPT.yaml``: metrics and the history
* ``manifest.json``: the sha256 of each file

>>> folder = getfixture("tmp_path")
>>> saver = AtomicCheckpointer(folder, {"net": torch.nn.Linear(1, 1)})
>>> saver.save_checkpoint(meta={"epoch": 3}).meta["epoch"]
3
>>> _ = next(folder.glob("*/net.ckpt")).write_bytes(b"damage")
>>> saver.list_checkpoints()
[]

Authors
 * The afpt_plugin developers 2026
"""

import json
import math
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError, safe_open
from speechbrain.utils.checkpoints import (
    DEFAULT_SAVE_HOOKS,
    METAFNAME,
    Checkpointer,
    ckpt_recency,
    get_default_hook,
    torch_save,
)
from speechbrain.utils.distributed import (
    ddp_barrier,
    if_main_process,
    main_process_only,
)
from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, read_bytes

logger = get_logger(__name__)

MANIFEST = "manifest.json"

# Largest text file in a checkpoint, in bytes: a history of 100,000 epochs.
MAX_TEXT = 2**24

# Exceptions that a reader may raise at a damaged file.
DAMAGE = (
    *(ArithmeticError, AttributeError, LookupError, OSError, RuntimeError),
    *(SafetensorError, TypeError, ValueError, yaml.YAMLError),
)


class AtomicCheckpointer(Checkpointer):
    """A Checkpointer that ignores checkpoints that are damaged or hold code.

    SpeechBrain writes the meta file, which marks a folder as a checkpoint,
    before the parameters, so a run that is killed in between cannot resume.
    Here the meta file gets its name last.

    A checkpoint is skipped, with a warning, if its files do not match its
    manifest. It is also skipped if the ``selected_epoch`` in its meta has no
    checkpoint any more: a run resumed from it could end differently from an
    uninterrupted run.

    SpeechBrain also reads every meta file about a dozen times an epoch, which
    takes longer than an epoch of a few shots. Here each is read once.

    Example
    -------
    See the module's docstring.
    """

    _read = {}

    def __init__(self, checkpoints_dir, *args, **kwargs):
        folder = Path(checkpoints_dir)
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        super().__init__(folder, *args, **kwargs)
        for path in missing:  # A run that is refused leaves nothing.
            with suppress(OSError):
                path.rmdir()
        self._warned = set()

    def save_checkpoint(self, meta={}, *args, **kwargs):
        """Save as `Checkpointer.save_checkpoint` does, then name the meta file."""
        self._avoid_pickle()
        # Later than the previous checkpoint, even if the clock was set back
        known = map(ckpt_recency, self.list_checkpoints())
        after = max((each + 1e-3 for each in known), default=0)
        meta = {"unixtime": max(time.time(), after), **meta}
        checkpoint = super().save_checkpoint(meta, *args, **kwargs)
        if checkpoint is not None:
            partial, final = self._meta_names
            hashes = {
                (final if path == partial else path).name: file_sha256(path)
                for path in sorted(checkpoint.path.iterdir())
            }
            text = json.dumps(hashes, indent=1)
            (checkpoint.path / MANIFEST).write_text(text, encoding="utf-8")
            os.replace(partial, final)
        # Every rank lists the checkpoints next and must find the same ones,
        # since deleting old ones takes one broadcast for each.
        ddp_barrier()
        return checkpoint

    def delete_checkpoints(self, **kwargs):
        """Delete as `Checkpointer.delete_checkpoints` does, and clean up.

        The cleanup removes damaged checkpoints and the leftovers of killed
        processes.
        """
        super().delete_checkpoints(**kwargs)
        if if_main_process():
            used = {each.path for each in self.list_checkpoints()}
            for path in self.checkpoints_dir.glob("CKPT+*/"):
                if path not in used:
                    shutil.rmtree(path, ignore_errors=True)
        ddp_barrier()

    def load_checkpoint(self, checkpoint):
        """Load as `Checkpointer.load_checkpoint` does, without pickle.

        Raises
        ------
        InputError
            If the files do not hold the values that this run needs.
        """
        self._avoid_pickle()
        # Check the files again: the last check may be long ago.
        if self._open(checkpoint.path) is None:
            raise InputError(
                f"{checkpoint.path} was damaged during the run; run it again"
            )
        try:
            super().load_checkpoint(checkpoint)
        except Exception as error:  # whatever a recoverable's own hook raises
            reason = " ".join(str(error).split())
            raise InputError(
                f"{checkpoint.path}: not a checkpoint of this run "
                f"({reason:.200}); delete it, or choose another output folder"
            ) from error

    def list_checkpoints(self):
        """The checkpoints that can be used, see the class."""
        found = super().list_checkpoints()
        epochs = {each.meta.get("epoch") for each in found}
        usable = []
        for each in found:
            needed = each.meta.get("selected_epoch")
            if needed is None or needed in epochs:
                usable.append(each)
            else:
                self._warn(
                    each.path, f"the checkpoint of epoch {needed} is missing"
                )
        return usable

    def _list_checkpoint_dirs(self):
        # The folder is made with the first checkpoint.
        is_there = self.checkpoints_dir.is_dir()
        return super()._list_checkpoint_dirs() if is_there else []

    def _avoid_pickle(self):
        """Use our hooks wherever SpeechBrain's would pickle."""
        for name, thing in self.recoverables.items():
            if get_default_hook(thing, DEFAULT_SAVE_HOOKS) is torch_save:
                self.custom_save_hooks.setdefault(name, save_state)
                self.custom_load_hooks.setdefault(name, load_state)

    def _save_checkpoint_metafile(self, fpath, *args, **kwargs):
        partial = fpath.with_name(fpath.name + ".partial")
        self._meta_names = partial, fpath
        return super()._save_checkpoint_metafile(partial, *args, **kwargs)

    def _construct_checkpoint_objects(self, folders):
        # A new checkpoint may reuse a folder's name within a second of its
        # deletion.
        stats = [(folder / METAFNAME).stat() for folder in folders]
        keys = [
            (folder, stat.st_ino, stat.st_mtime_ns)
            for folder, stat in zip(folders, stats, strict=True)
        ]
        self._read = {
            key: self._read[key] if key in self._read else self._open(key[0])
            for key in keys
        }
        return [each for each in self._read.values() if each is not None]

    def _open(self, folder):
        """Return a folder's checkpoint if its files match its manifest."""
        try:
            hashes = json.loads(read_bytes(folder / MANIFEST, MAX_TEXT))
            for name, sha256 in hashes.items():
                path = folder / Path(name).name
                if path.is_symlink() or not path.is_file():
                    raise ValueError(f"{name} is not a file")
                if file_sha256(path) != sha256:
                    raise ValueError(f"{name} is not what was written")
            if METAFNAME not in hashes:
                raise ValueError(f"{METAFNAME} is not in {MANIFEST}")
            read_bytes(folder / METAFNAME, MAX_TEXT)
            (found,) = super()._construct_checkpoint_objects([folder])
            for key in ("unixtime", "selection_score"):
                if not math.isfinite(found.meta.get(key, 0)):
                    raise ValueError(f"{key} is not finite")
        except DAMAGE as error:
            self._warn(
                folder, f"it is damaged ({' '.join(str(error).split())})"
            )
            return None
        proven = {k: v for k, v in found.paramfiles.items() if v.name in hashes}
        return found._replace(paramfiles=proven)

    def _warn(self, folder, reason):
        """Warn once why a checkpoint is not used."""
        if if_main_process() and folder not in self._warned:
            self._warned.add(folder)
            logger.warning(
                "%s: not used, since %s; the run goes on from the one before, "
                "or starts anew",
                *(folder, reason),
            )


def keep_needed(checkpointer):
    """Delete all checkpoints but the best and the last one.

    Example
    -------
    >>> saver = AtomicCheckpointer(getfixture("tmp_path"))
    >>> for score in (2, 3, 1, 0):
    ...     _ = saver.save_checkpoint(meta={"selection_score": score})
    >>> keep_needed(saver)
    >>> sorted(each.meta["selection_score"] for each in saver.list_checkpoints())
    [0, 3]
    """
    checkpointer.delete_checkpoints(
        num_to_keep=1,
        max_keys=["selection_score"],
        importance_keys=[ckpt_recency],
    )


@main_process_only
def save_state(thing, path):
    """Save the state dict of a module or an optimizer as safetensors.

    Tensors are stored as tensors, plain values as JSON in the header.

    Raises
    ------
    TypeError
        If the state holds anything else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "sgd.ckpt"
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> save_state(torch.optim.SGD([weight], lr=0.5), path)
    >>> other = torch.optim.SGD([weight], lr=0.25)
    >>> load_state(other, path)
    >>> other.param_groups[0]["lr"]
    0.5
    """
    tensors = {}
    tree = json.dumps(_flatten(thing.state_dict(), tensors))
    with open(path, "wb") as file:
        file.write(safetensors.torch.save(tensors, {"tree": tree}))


def load_state(thing, path, end_of_epoch=True):
    """Load what `save_state` saved; SpeechBrain's hooks set the arguments."""
    thing.load_state_dict(read_state(path))


def read_state(path):
    """Read the state dict that `save_state` saved."""
    with safe_open(path, framework="pt") as file:
        tree = json.loads((file.metadata() or {})["tree"])
        return _build(tree, file.get_tensor)


def _flatten(value, tensors):
    """Convert a state to JSON values; its tensors are moved to ``tensors``."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # A copy each: safetensors refuses tensors that share their memory.
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        # Pairs, since JSON's keys are texts, but an optimizer's are numbers
        pairs = [[key, _flatten(each, tensors)] for key, each in value.items()]
        return {"dict": pairs}
    if isinstance(value, (list, tuple)):
        return {
            type(value).__name__: [_flatten(each, tensors) for each in value]
        }
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be in a checkpoint")


def _build(tree, get_tensor):
    """Rebuild the state that `_flatten` took apart."""
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return get_tensor(content)
    if kind == "dict":
        return {key: _build(each, get_tensor) for key, each in content}
    return {"list": list, "tuple": tuple}[kind](
        _build(each, get_tensor) for each in content
    )
