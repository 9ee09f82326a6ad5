"""Write files atomically, and hash them.

Authors
 * The afpt_plugin developers 2026
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# No file takes this long to write, so nobody is writing an older part.
STALE_SECONDS = 3600


@contextmanager
def replacing(path):
    """Write a file under a temporary name, and rename it on success.

    Arguments
    ---------
    path : str or pathlib.Path
        The file; its folder is made if it is missing.

    Yields
    ------
    pathlib.Path
        The temporary path, with the same suffix.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a" / "b.txt"
    >>> with replacing(path) as part:
    ...     _ = part.write_text("whole")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch(path):
    """Make a temporary folder beside ``path``; it is removed at the end.

    If the process is killed, a later one removes the folder, see `part_of`.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a" / "b"
    >>> with scratch(path) as folder:
    ...     _ = (folder / "c.txt").write_text("c")
    >>> len(list(path.parent.iterdir()))
    0
    """
    folder = part_of(Path(path))
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def part_of(path):
    """Return a temporary name for ``path`` in the same folder; make nothing.

    Temporary files of killed processes are removed from the folder.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> part_of(folder / "a.txt").write_text("of a process that still runs")
    28
    >>> (folder / f".part-{_HOST}-{2**22 + 1}-b.txt").touch()
    >>> part_of(folder / "c.txt").suffix, len(list(folder.iterdir()))
    ('.txt', 1)
    """
    for old in path.parent.glob(".part-*"):
        with suppress(OSError):  # another process may remove it first
            host, pid = re.match(r"\.part-(\w+)-(\d+)-", old.name).groups()
            is_lost = time.time() - old.stat().st_mtime > STALE_SECONDS
            if host == _HOST and not is_lost:
                is_lost = not _runs(int(pid))
            if is_lost and old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            elif is_lost:
                old.unlink()
    name = path.name
    if len(os.fsencode(name)) > 150:  # file systems allow 255 bytes
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + path.suffix[-50:]
    return path.with_name(f".part-{_HOST}-{os.getpid()}-{name}")


_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _runs(pid):
    """Whether a process of this machine is still running."""
    if os.name == "nt":
        return True  # on Windows, os.kill would end the process
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    except OverflowError:
        return False
    return True


def read_bytes(path, limit):
    """Read a small file that somebody else may have made.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    limit : int
        The largest allowed size, in bytes.

    Raises
    ------
    OSError
        If the file is larger, or not a regular file: a pipe may never end.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> _ = path.write_text("abc")
    >>> read_bytes(path, 3)
    b'abc'
    >>> read_bytes(path, 2)
    Traceback (most recent call last):
    ...
    OSError: [Errno 27] 3 bytes are too many, at most 2 are read: '...a.txt'
    """
    path = Path(path)
    size = path.stat().st_size
    if not path.is_file():
        raise OSError(errno.EINVAL, "not a file", str(path))
    if size > limit:
        reason = f"{size} bytes are too many, at most {limit} are read"
        raise OSError(errno.EFBIG, reason, str(path))
    # Special files of the kernel report 0 bytes, and reading some never ends.
    return path.read_bytes() if size else b""


def file_sha256(path):
    """Hash a file that need not fit into memory, as 64 hex digits.

    Example
    -------
    >>> path = getfixture("tmp_path") / "empty"
    >>> path.touch()
    >>> file_sha256(path)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_if_changed(path, text):
    """Write a text atomically, see `replacing`, unless the file already holds it.

    Returns
    -------
    bool
        Whether the file was written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> write_if_changed(path, "a"), write_if_changed(path, "a")
    (True, False)
    """
    data = text.encode("utf-8")
    if os.path.isfile(path) and Path(path).read_bytes() == data:
        return False
    with replacing(path) as part:
        part.write_bytes(data)
    return True
