"""Checkpoints that a kill cannot leave half written, and that are read once.

Authors
 * The afpt_plugin developers 2026
"""

import os

from speechbrain.utils.checkpoints import METAFNAME, Checkpointer
from speechbrain.utils.distributed import ddp_barrier


class AtomicCheckpointer(Checkpointer):
    """A Checkpointer whose half-written checkpoints do not count.

    SpeechBrain writes a checkpoint's meta file, which makes the folder a
    checkpoint, before the parameters; a run killed in between could not
    resume. Here the meta file gets its name last.

    SpeechBrain also reads every meta file about a dozen times an epoch, which
    takes longer than an epoch of a few shots. Here it is read once.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmp_path")
    >>> saver = AtomicCheckpointer(folder, {"net": torch.nn.Linear(1, 1)})
    >>> saver.save_checkpoint(meta={"epoch": 3}).meta["epoch"]
    3
    >>> len(saver.list_checkpoints())
    1
    """

    _read = {}

    def save_checkpoint(self, *args, **kwargs):
        """Save as `Checkpointer.save_checkpoint` does, then name the meta file."""
        checkpoint = super().save_checkpoint(*args, **kwargs)
        if checkpoint is not None:
            os.replace(*self._meta_names)
        # Every rank lists the checkpoints next, and must find the same ones:
        # the deletion of old ones broadcasts once for each.
        ddp_barrier()
        return checkpoint

    def _save_checkpoint_metafile(self, fpath, *args, **kwargs):
        partial = fpath.with_name(fpath.name + ".partial")
        self._meta_names = partial, fpath
        return super()._save_checkpoint_metafile(partial, *args, **kwargs)

    def _construct_checkpoint_objects(self, folders):
        # A folder's name may be given again within a second of its deletion.
        stats = [(folder / METAFNAME).stat() for folder in folders]
        keys = [
            (folder, stat.st_ino, stat.st_mtime_ns)
            for folder, stat in zip(folders, stats, strict=True)
        ]
        read = super()._construct_checkpoint_objects
        self._read = {
            key: self._read.get(key) or read([key[0]])[0] for key in keys
        }
        return list(self._read.values())
