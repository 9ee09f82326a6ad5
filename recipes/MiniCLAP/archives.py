"""Readers for what Debian packages keep sounds in.

`read_member` gives the bytes of one member, `decode` their samples. Zip files
are Python's business; SoundFonts, Doom WADs, OpenTTD's sound catalogues and
compiled Qt resources are small enough to parse with `struct`. Nothing in them
is executed.

Authors
 * The afpt_plugin developers 2026
"""

import io
import mmap
import struct
import zipfile
import zlib
from functools import lru_cache

import numpy as np
import soundfile


def read_member(path, member):
    """Read one member of an archive.

    Arguments
    ---------
    path : pathlib.Path
        Archive; its suffix tells which reader is taken.
    member : str
        Name inside it. A path in zip and .rcc files, a lump's or sample's
        name in .wad and .sf2 files, "07 Name" (number, name) in .cat files.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If there is no reader, no such member, or the archive is damaged.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"no reader for {path.suffix} files; known: {', '.join(READERS)}"
        )
    try:
        return reader(path, member)
    except (KeyError, StopIteration) as error:
        raise ValueError(f"no member '{member}'") from error
    except (
        struct.error,
        IndexError,
        UnicodeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"not a readable archive ({error})") from error


def decode(data, path, member):
    """Turn a file's or member's bytes into samples.

    Arguments
    ---------
    data : bytes
        From the file or `read_member`.
    path : pathlib.Path
        The file or archive.
    member : str
        As in `read_member`; empty for a plain file.

    Returns
    -------
    sig : numpy.ndarray
        float32 [n_samples] or [n_samples, n_channels].
    sample_rate : int

    Raises
    ------
    ValueError
        If the bytes are no sound.
    """
    suffix = path.suffix.lower() if member else ""
    if suffix == ".sf2":
        sample_rate = _sf2_samples(path)[member][2]
        return np.frombuffer(data, "<i2").astype("float32") / 32768, sample_rate
    if suffix == ".wad":
        kind, sample_rate, size = struct.unpack_from("<HHI", data)
        if kind != 3:
            raise ValueError(f"'{member}' is not a digital sound")
        # The size includes 16 bytes of padding on either side.
        sig = np.frombuffer(data[24 : 8 + size - 16], "u1")
        return (sig.astype("float32") - 128) / 128, sample_rate
    try:
        return soundfile.read(io.BytesIO(data), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise ValueError(f"not a sound file: {error}") from error


# Rows of one archive come one after another, so a few stay open.
@lru_cache(maxsize=4)
def _map(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@lru_cache(maxsize=4)
def _open_zip(path):
    return zipfile.ZipFile(path)


def _read_zip(path, member):
    return _open_zip(path).read(member)


def _read_wad(path, member):
    data = _map(path)
    n_lumps, table = struct.unpack_from("<4xII", data)
    for i in range(n_lumps):
        start, size, name = struct.unpack_from("<II8s", data, table + 16 * i)
        if name.rstrip(b"\0").decode("latin1") == member:
            return data[start : start + size]
    raise KeyError(member)


def _read_cat(path, member):
    data = _map(path)
    number, _, name = member.partition(" ")
    if not number.isdigit():
        raise KeyError(member)
    start, size = struct.unpack_from("<II", data, 8 * int(number))
    start &= 0x7FFFFFFF  # the highest bit only tells the format
    named = data[start + 1 : start + 1 + data[start]].rstrip(b"\0")
    if named.decode("latin1") != name:
        raise KeyError(member)
    start += 1 + data[start]
    return data[start : start + size]


def _read_rcc(path, member):
    data = _map(path)
    magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
    if magic != b"qres":
        raise struct.error("does not begin with qres")
    node_size, node = 14 if version == 1 else 22, 0

    def name_of(node):
        (start,) = struct.unpack_from(">I", data, tree + node_size * node)
        (length,) = struct.unpack_from(">H", data, names + start)
        start += names + 6  # length, then a hash
        return data[start : start + 2 * length].decode("utf-16-be")

    for part in member.split("/"):
        n, first = struct.unpack_from(">II", data, tree + node_size * node + 6)
        node = next(i for i in range(first, first + n) if name_of(i) == part)
    (flags,) = struct.unpack_from(">H", data, tree + node_size * node + 4)
    (start,) = struct.unpack_from(">I", data, tree + node_size * node + 10)
    (size,) = struct.unpack_from(">I", data, contents + start)
    content = data[contents + start + 4 : contents + start + 4 + size]
    # Compressed content begins with its full size in four bytes.
    return zlib.decompress(content[4:]) if flags & 1 else content


def _read_sf2(path, member):
    start, end, _ = _sf2_samples(path)[member]
    return _map(path)[start:end]


@lru_cache(maxsize=4)
def _sf2_samples(path):
    """Find where samples lie: name to (first byte, end, sample rate)."""
    data, chunks, position = _map(path), {}, 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        chunks[name] = position + 8, size
        # A list's chunks stand inside it, behind its type.
        position += 12 if name == b"LIST" else 8 + size + size % 2
    base, (table, size) = chunks[b"smpl"][0], chunks[b"shdr"]
    samples = {}
    for i in range(size // 46 - 1):  # the last one only marks the end
        name, start, end, sample_rate = struct.unpack_from(
            "<20sII8xI", data, table + 46 * i
        )
        name = name.split(b"\0")[0].decode("latin1").strip()
        found = base + 2 * start, base + 2 * end, sample_rate
        samples.setdefault(name, found)
    return samples


READERS = {
    ".cat": _read_cat,
    ".pk3": _read_zip,
    ".rcc": _read_rcc,
    ".sf2": _read_sf2,
    ".wad": _read_wad,
    ".wz": _read_zip,
    ".zip": _read_zip,
}
