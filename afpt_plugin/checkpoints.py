"""Checkpoints that a kill cannot leave half written.

Authors
 * The afpt_plugin developers 2026
"""

import os

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import ddp_barrier


class AtomicCheckpointer(Checkpointer):
    """A Checkpointer whose half-written checkpoints do not count.

    SpeechBrain writes a checkpoint's meta file, which makes the folder a
    checkpoint, before the parameters; a run killed in between could not
    resume. Here the meta file gets its name last.

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
