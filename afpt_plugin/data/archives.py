"""Fetch a data set's archive and unpack it without trusting it.

Authors
 * The afpt_plugin developers 2026
"""

import gzip
import http.client
import json
import os
import shutil
import stat
import tarfile
import urllib.request
import zipfile
import zlib
from pathlib import Path

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, replacing, write_if_changed

logger = get_logger(__name__)

# No archive of the four data sets unpacks to more (FSDKaggle2019: 30 GB).
MAX_UNPACKED_BYTES = 40 * 1024**3


def _download(url, archive, timeout):
    """Fetch a URL into a file, which appears only when it is whole."""
    try:
        with (
            replacing(archive) as part,
            urllib.request.urlopen(url, timeout=timeout) as response,
            open(part, "wb") as file,
        ):
            size = int(response.headers.get("Content-Length") or 0)
            with tqdm(
                total=size or None,
                unit="B",
                unit_scale=True,
                desc=archive.name,
                disable=None,
            ) as bar:
                while block := response.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
            if size and file.tell() != size:
                raise OSError(f"{file.tell()} of {size} bytes came")
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{archive.name} could not be downloaded from {url}: {error}. "
            f"Download it by hand, put it at {archive} and run again"
        ) from error


def _unsafe(name, kind):
    """Why an archive's member must not be unpacked (str), or None."""
    if kind is not None:
        return kind
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        return "a path that leaves the folder"
    return None


def _zip_members(archive):
    """Name, size and what is wrong of every member of a ZIP archive."""
    for info in archive.infolist():
        kind = None
        if stat.S_ISLNK(info.external_attr >> 16):
            kind = "a link"
        elif info.flag_bits & 1:
            kind = "encrypted"
        yield info.filename, info.file_size, kind


def _tar_members(archive):
    """Name, size and what is wrong of every member of a TAR archive."""
    for info in archive:
        kind = None if info.isfile() or info.isdir() else "a link or device"
        yield info.name, info.size, kind


def _unpack(archive_path, folder, max_bytes):
    """Unpack an archive beside its place, then move its top entries there."""
    if zipfile.is_zipfile(archive_path):
        opened, members = zipfile.ZipFile(archive_path), _zip_members
    else:
        opened, members = tarfile.open(archive_path), _tar_members
    part = folder / f".{archive_path.name}.{os.getpid()}.part"
    with opened as archive:
        total = 0
        for name, size, kind in members(archive):
            total += size
            reason = _unsafe(name, kind)
            if reason:
                raise InputError(
                    f"{archive_path}: member {name!r} is {reason}; nothing was "
                    "unpacked. Is this the official archive?"
                )
        room = min(max_bytes, shutil.disk_usage(folder).free)
        if total > room:
            raise InputError(
                f"{archive_path}: unpacks to {total} bytes, more than the "
                f"{room} allowed or free in {folder}; nothing was unpacked"
            )
        logger.info("Unpacking %s into %s", archive_path, folder)
        try:
            if members is _tar_members:
                archive.extractall(part, filter="data")
            else:
                archive.extractall(part)
            entries = sorted(part.iterdir())
            for entry in entries:
                if (folder / entry.name).exists():
                    raise InputError(
                        f"{folder / entry.name} is in the way of the one in "
                        f"{archive_path}; remove it and run again"
                    )
            for entry in entries:
                os.replace(entry, folder / entry.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def download_and_unpack(
    url,
    folder,
    name=None,
    sha256=None,
    max_bytes=MAX_UNPACKED_BYTES,
    timeout=60,
):
    """Fetch an archive, note its size and hash, and unpack it safely.

    An archive that lies in the folder already, by an earlier run or by hand,
    is not fetched again. Beside it, ``<archive>.json`` records ``url``,
    ``size`` and ``sha256``. Neither the archive nor anything unpacked from it
    is ever there in part.

    Arguments
    ---------
    url : str
        A ZIP or TAR archive.
    folder : str or Path
        Where the archive and what is in it go.
    name : str, optional
        What to call the archive; by default as the URL does.
    sha256 : str, optional
        What the archive's hash must be.
    max_bytes : int
        Refuse an archive that unpacks to more.
    timeout : float
        Seconds without an answer after which to give up.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    InputError
        If the network, the archive or the folder does not permit it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as archive:
    ...     archive.writestr("a/hello.txt", "hello")
    >>> _ = download_and_unpack((folder / "a.zip").as_uri(), folder / "data")
    >>> (folder / "data" / "a" / "hello.txt").read_text()
    'hello'
    """
    folder = Path(os.path.abspath(folder))
    archive = folder / (name or url.rstrip("/").rsplit("/", 1)[-1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made, to download into ({error.strerror}); "
            "give another --data_folder"
        ) from error
    if archive.is_file():
        logger.info("%s is there already; it is not downloaded", archive)
    else:
        logger.info("Downloading %s to %s", url, archive)
        _download(url, archive, timeout)
    digest = file_sha256(archive)
    if sha256 not in (None, digest):
        raise InputError(
            f"{archive}: sha256 is {digest}, not {sha256}; it is damaged or "
            f"another file. Remove it and run again"
        )
    record = {"url": url, "size": archive.stat().st_size, "sha256": digest}
    write_if_changed(
        archive.with_name(f"{archive.name}.json"),
        json.dumps(record, indent=2) + "\n",
    )
    try:
        _unpack(archive, folder, max_bytes)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
    ) as error:
        raise InputError(
            f"{archive}: damaged, or no ZIP or TAR archive ({error}); remove "
            "it and run again"
        ) from error
    return archive
