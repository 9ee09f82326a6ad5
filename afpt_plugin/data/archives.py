"""Fetch a data set's archive and unpack it without trusting it.

Authors
 * The afpt_plugin developers 2026
"""

import lzma
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PureWindowsPath

from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import part_of

logger = get_logger(__name__)

# The largest archive of the four data sets, FSDKaggle2019, unpacks to 30 GB.
MAX_UNPACKED_BYTES = 40 * 1024**3

# Errors that the standard library raises for a damaged, encrypted or unsafe
# archive. An OSError also comes from gzip and bz2, from a name that no file can
# have, and from a file that stands where a folder should go.
DAMAGES = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
DAMAGES += (EOFError, LookupError, OSError, RuntimeError, ValueError)


def download_and_unpack(url, folder, name=None, known_hash=None):
    """Fetch an archive, check its hash and unpack it safely.

    An archive that is already in the folder, from an earlier run or the user,
    is not fetched again. The archive and its content appear whole or not at
    all.

    Arguments
    ---------
    url : str
        Address of a ZIP or TAR archive.
    folder : str or pathlib.Path
        Where the archive and its content go; nothing there is overwritten.
    name : str, optional
        File name of the archive; by default, the last part of the URL.
    known_hash : str, optional
        Expected hash of the archive, e.g. ``md5:...`` or ``sha256:...``.

    Raises
    ------
    InputError
        If the archive cannot be downloaded, is damaged, or holds a member that
        would leave the folder, or if the folder cannot be written to.
    """
    import pooch

    folder = Path(os.path.abspath(folder))
    archive = folder / (name or url.rsplit("/", 1)[-1])
    part = part_of(archive)
    pooch.get_logger().setLevel("WARNING")  # its advice is for programmers
    with refuse_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if archive.exists() and not archive.is_file():
        raise InputError(f"{archive} is not a file; remove it and run again")
    try:
        logger.info("Fetching %s from %s, unless it is there", archive, url)
        pooch.retrieve(
            *(url, known_hash, archive.name, folder),
            progressbar=sys.stderr.isatty(),
        )
    except (OSError, ValueError) as error:  # network errors are OSErrors
        raise InputError(
            f"{archive.name} could not be downloaded from {url}: {error}. "
            f"Download it by hand, save it as {archive} and run again"
        ) from error
    try:
        free = shutil.disk_usage(folder).free
        _unpack(archive, part, min(MAX_UNPACKED_BYTES, free))
        for path in part.iterdir():
            if (folder / path.name).exists():
                raise InputError(
                    f"{archive} would overwrite {folder / path.name}; remove "
                    "that and run again"
                )
        for path in part.iterdir():
            os.replace(path, folder / path.name)
    except DAMAGES as error:
        raise InputError(
            f"{archive} cannot be unpacked as a ZIP or TAR archive ({error}); "
            "remove it and run again"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack(archive, part, max_bytes):
    """Unpack a whole archive, or refuse it before unpacking anything."""
    is_zip = zipfile.is_zipfile(archive)
    with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive) as file:
        if is_zip:
            sizes = [(m.filename, m.file_size) for m in file.infolist()]
        else:
            sizes = [(m.name, m.size) for m in file]
        for name, _ in sizes:
            path = PureWindowsPath(name)  # takes / and \ as separators
            if path.anchor or ".." in path.parts:
                raise InputError(
                    f"{archive}: member {name!r} would leave the folder; make "
                    "sure that this is the official archive"
                )
        total = sum(size for _, size in sizes)
        if total > max_bytes:
            raise InputError(
                f"{archive} unpacks to {total} bytes, but only {max_bytes} are "
                "allowed or free; make room and run again"
            )
        # The filter refuses devices, and links that leave the folder.
        file.extractall(part, **({} if is_zip else {"filter": "data"}))
