"""Lock a command's output folder, and restore it after a user's mistake.

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
def locked(path, is_file=False):
    """Lock a folder or a file against other processes.

    The operating system releases the lock when the process ends, even if it is
    killed. Folders that were made here are removed again if they stay empty.

    Arguments
    ---------
    path : str or pathlib.Path
        The folder or the file; it need not exist.
    is_file : bool
        Whether it is a file; then ``.NAME.lock`` beside it holds the lock.

    Raises
    ------
    InputError
        If another process holds the lock, or the folder cannot be made.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "run"
    >>> with locked(folder), locked(folder / "scores.csv", is_file=True):
    ...     sorted(path.name for path in folder.iterdir())
    ['.scores.csv.lock']
    >>> folder.exists()
    False
    """
    path = Path(path)
    folder = path.parent if is_file else path
    lock = path.with_name(f".{path.name}.lock") if is_file else path
    if not is_file and path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; give a folder")
    with refuse_unwritable(path):
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        handle = _lock_file(lock, os.O_CREAT if is_file else 0)
    try:
        if handle is None:
            missing = []
            raise InputError(
                f"{path}: another process is at work there; wait until it has "
                "ended, or choose another output"
            )
        yield
    finally:
        try:
            if is_file and handle is not None:
                lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it is not empty
                for made in missing:
                    made.rmdir()
        finally:
            if fcntl and handle is not None:
                os.close(handle)


def _lock_file(path, flags):
    """Open and lock a file or a folder; None if another process holds it."""
    while fcntl:
        handle = os.open(path, os.O_RDONLY | flags)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            pass  # the file system has no locks
        # The previous holder may have removed the file since it was opened.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)
    return -1


# The lock on the folder of this process's experiment
_lock = contextlib.ExitStack()
atexit.register(_lock.close)


def keep_to_itself(folder):
    """Lock an experiment's folder until the next experiment or the exit.

    If the experiment is then refused with an `InputError`, the folder is
    restored to its present state. The exception is the list of bad recordings:
    it stays even in a new folder, since the error message refers to it.

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
        """Undo what was written since the lock was taken."""
        if is_new and not (folder / "save" / "problems.csv").exists():
            empty(folder)
        for path, data in before.items():
            if not path.is_file() or path.read_bytes() != data:
                with replacing(path) as part:
                    part.write_bytes(data)

    undo_if_refused(restore, _lock.close)


def empty(folder):
    """Remove everything in a folder, and close the log files in it."""
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
