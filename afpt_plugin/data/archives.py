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

# No archive of the four data sets unpacks to more (FSDKaggle2019: 30 GB).
MAX_UNPACKED_BYTES = 40 * 1024**3

# What the standard library raises for a damaged, encrypted or unsafe archive.
# An OSError is also one of gzip or bz2, a name that no file can have, or a
# file in a folder's place.
DAMAGES = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
DAMAGES += (EOFError, LookupError, OSError, RuntimeError, ValueError)


def download_and_unpack(url, folder, name=None, known_hash=None):
    """Fetch an archive, check its hash and unpack it safely.

    An archive that an earlier run or the user put into the folder is not
    fetched again. The archive and its content appear whole or not at all.

    Arguments
    ---------
    url : str
        Of a ZIP or TAR archive.
    folder : str or pathlib.Path
        Where the archive and its content go; nothing there is overwritten.
    name : str, optional
        File name of the archive; by default the URL's.
    known_hash : str, optional
        For example ``md5:...`` or ``sha256:...``.

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
    except (OSError, ValueError) as error:  # an OSError from the network, too
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
    """Unpack all of an archive, or refuse it before anything is unpacked."""
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
