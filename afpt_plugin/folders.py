"""A command's own folder: locked, and as it was after a mistake.

Authors
 * The afpt_plugin developers 2026
"""

import atexit
import contextlib
import logging
import os
import shutil
from pathlib import Path

from afpt_plugin.errors import InputError, refuse_unwritable, undo_if_refused
from afpt_plugin.files import replacing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def locked(folder):
    """Keep other processes out of a folder, which is made if it is missing.

    The operating system opens the lock again when the process ends, however it
    does. A folder that was made, and is left empty, is removed.

    Raises
    ------
    InputError
        If another process is at work in it, or it cannot be made.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "run"
    >>> with locked(folder):
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder")
    with refuse_unwritable(folder):
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                missing = []
                raise InputError(
                    f"{folder}: another process is at work in this folder; "
                    "wait until it has ended, or choose another folder"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            for path in missing:
                path.rmdir()
        if fcntl:
            os.close(handle)


# The lock of this process's experiment
_lock = contextlib.ExitStack()
atexit.register(_lock.close)


def keep_to_itself(folder):
    """Lock an experiment's folder until the next one's, or the process's end.

    A refusal leaves it as it is now. Only the list of bad recordings, to which
    its sentence refers, stays in a new one.

    Raises
    ------
    InputError
        See `locked`.
    """
    folder = Path(folder)
    _lock.close()
    _lock.enter_context(locked(folder))
    is_new = not any(folder.iterdir())
    paths = [folder / "hyperparams.yaml", *folder.glob("save/*.*")]
    before = {path: path.read_bytes() for path in paths if path.is_file()}

    def restore():
        if is_new and not (folder / "save" / "problems.csv").exists():
            empty(folder)
        for path, data in before.items():
            if not path.is_file() or path.read_bytes() != data:
                with replacing(path) as part:
                    part.write_bytes(data)

    undo_if_refused(restore, _lock.close)


def empty(folder):
    """Remove all that is in a folder, and end the logs that are written there."""
    for handler in logging.root.handlers[:]:
        file = Path(getattr(handler, "baseFilename", ""))
        if file.is_relative_to(os.path.abspath(folder)):
            logging.root.removeHandler(handler)
            handler.close()
    for path in Path(folder).iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
