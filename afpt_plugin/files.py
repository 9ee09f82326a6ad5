"""Files that appear whole or not at all, and their hashes.

Authors
 * The afpt_plugin developers 2026
"""

import errno
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path, mark=None):
    """Write a file under another name that becomes ``path`` on success.

    Arguments
    ---------
    path : str or pathlib.Path
        The file; its folder is made if it is missing.
    mark : str, optional
        Begins the other name, by default the process's number. Where one
        process at a time writes the file, a fixed mark leaves nothing behind:
        what a killed process has written is written over.

    Yields
    ------
    pathlib.Path
        Where to write; it has the same ending.

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
    part = path.with_name(f".{mark or os.getpid()}.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_bytes(path, limit):
    """Read a small file that somebody else may have made.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    limit : int
        The most bytes that it may have.

    Raises
    ------
    OSError
        If it is larger, or not a file: a pipe would never end.

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
    return path.read_bytes()


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


def write_if_changed(path, text, mark=None):
    """Write a text atomically, see `replacing`, unless the file already holds it.

    Returns
    -------
    bool
        Whether the file had to change.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> write_if_changed(path, "a"), write_if_changed(path, "a")
    (True, False)
    """
    data = text.encode("utf-8")
    if os.path.isfile(path) and Path(path).read_bytes() == data:
        return False
    with replacing(path, mark) as part:
        part.write_bytes(data)
    return True
