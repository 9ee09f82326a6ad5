"""Compare what a recording's header announces with what the file holds.

libsndfile silently believes the smaller of the two, so half of a recording
would pass for a whole one. Here, the size of the chunk that holds the samples
decides. The size of the whole file, which the header states before it, is wrong
in many complete files.

Authors
 * The afpt_plugin developers 2026
"""

import os
import re
import zlib

from afpt_plugin.errors import InputError

# Properties of chunked formats, by the first bytes of a file: the form types,
# the byte order, where the first chunk begins, how many bytes a chunk's name
# and its size take, whether the size includes those two, and to a multiple of
# how many bytes a chunk is padded.
CHUNKED = {
    b"RIFF": ((b"WAVE",), "little", 12, 4, 4, False, 2),
    b"RIFX": ((b"WAVE",), "big", 12, 4, 4, False, 2),
    b"RF64": ((b"WAVE",), "little", 12, 4, 4, False, 2),
    b"BW64": ((b"WAVE",), "little", 12, 4, 4, False, 2),
    b"FORM": ((b"AIFF", b"AIFC", b"8SVX", b"16SV"), "big", 12, 4, 4, False, 2),
    b"caff": (None, "big", 8, 4, 8, False, 1),
    b"riff": ((b"wave",), "little", 40, 16, 8, True, 8),  # W64
}
SAMPLES = (b"data", b"SSND", b"BODY")

# Notes on missing samples in libsndfile's log, for the few other formats that
# state their length.
CUT = re.compile(r"truncated|[Dd]ata length \d+ should be|short read")

# Patterns of the number of samples in that log, for formats that have one.
COUNT = dict.fromkeys(("AVR", "MPC2K"), r"Frames\s*: (\d{1,18})\b")
COUNT["MAT5"] = r"Cols : (\d{1,18})\b"
#: Formats whose files do not state their length.
SILENT = ("IRCAM", "PAF", "PVF", "XI")
#: What `check_length` returns for a file whose writer did not know its length.
UNKNOWN = -1


def check_length(file):
    """Refuse a file that ends before the samples that its header announces.

    Arguments
    ---------
    file : file object
        A binary file that can seek; it is left at its start.

    Returns
    -------
    int or None
        How many samples of each channel the header announces; 0 if it counts
        only bytes, all of which are there; `UNKNOWN` if the header leaves the
        length open, e.g. when writing to a pipe; None if this function does not
        know the length.

    Raises
    ------
    InputError
        If samples are missing. The message lacks the path.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(1024)
    try:
        if head[:4] in CHUNKED:
            return _check_chunks(file, head, size)
        if head[:4] in (b".snd", b"dns."):
            order = "big" if head[:4] == b".snd" else "little"
            start, announced = (
                int.from_bytes(head[place : place + 4], order)
                for place in (4, 8)
            )
            if _unknown(announced):
                return UNKNOWN
            _compare(announced, size - start)
            return 0
        if head[:4] == b"fLaC":
            return _check_frames(file, head, size)
        if head[:4] == b"OggS":
            file.seek(0)
            _check_pages(file)
        if head[:4] == b"NIST":
            found = re.search(rb"^sample_count -i (\d{1,18})$", head, re.M)
            return found and int(found[1])
        return None
    finally:
        file.seek(0)


def _check_chunks(file, head, size):
    kinds, order, place, id_bytes, size_bytes, inclusive, pad = CHUNKED[
        head[:4]
    ]
    form = head[24:28] if head[:4] == b"riff" else head[8:12]
    if kinds and form not in kinds:
        return None  # libsndfile reports what it is
    long_size, frames = None, 0
    while place + id_bytes + size_bytes <= size:
        file.seek(place)
        name = file.read(id_bytes)[:4]
        length = int.from_bytes(file.read(size_bytes), order)
        place += id_bytes + size_bytes
        length = max(0, length - (id_bytes + size_bytes) * inclusive)
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], order)
        elif name == b"COMM":
            frames = int.from_bytes(file.read(6)[2:], order)
            if form == b"AIFC" and file.read(12)[-4:] == b"ima4":
                frames *= 64  # the header counts packets
        elif name in SAMPLES:
            if length == 2**32 - 1 and long_size is not None:
                length = long_size
            if length == 0 and size - place > 8 and head[:4] != b"caff":
                _refuse_unfinished(file, size - place)
            if _unknown(length, 8 * size_bytes):
                return frames or (UNKNOWN if length else 0)
            _compare(length, size - place)
            return frames
        place += -(-length // pad) * pad
    raise InputError("truncated: the file ends before its samples begin")


def _unknown(length, bits=32):
    """Whether a length is a placeholder, because the writer did not know it.

    Placeholders are 0 and values close to the largest signed or unsigned
    number.
    """
    limits = (2 ** (bits - 1), 2**bits)
    return length == 0 or any(n - 8192 <= length <= n for n in limits)


def _compare(announced, held, unit="bytes"):
    missing = announced - max(0, held)
    # One missing byte of an odd number is padding, not a sample.
    if missing <= 0 or (missing == 1 and announced % 2):
        return
    share = round(100 * missing / announced)
    share = "half" if share == 50 else f"{share}%" if share else "some"
    raise InputError(
        f"truncated: {share} of the announced samples are missing ({held} of "
        f"{announced} {unit} are there)"
    )


def _refuse_unfinished(file, n_bytes):
    """Refuse an unfinished file; in a finished one, a chunk would follow."""
    if not re.fullmatch(rb"[A-Za-z][\x20-\x7e]{3}", file.read(4)):
        raise InputError(
            f"its header announces 0 samples, but {n_bytes} bytes follow: the "
            "recorder stopped before it could finish the header; repair it, "
            "e.g. with ffmpeg -ignore_length 1 -i FILE REPAIRED.wav"
        )


# Ogg's checksum is zlib's, with the bits of each byte and of the sum reversed.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _check_pages(file):
    """Check that all pages of an Ogg stream are there and undamaged."""
    is_last, page = False, b""
    while head := file.read(27):
        if len(head) < 27 or head[:4] != b"OggS":
            break  # other data after the stream, or half a header
        sizes = file.read(head[26])
        body = file.read(sum(sizes))
        if is_last and head[5] & 2:
            raise InputError(
                "several Ogg streams follow each other in it, and only the "
                "first would be read; join them, e.g. with ffmpeg -i FILE "
                "JOINED.wav"
            )
        is_last = len(body) == sum(sizes) and bool(head[5] & 4)
        page = head[:22] + bytes(4) + head[26:] + sizes + body
        found = ~zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF)
        found = (found & 0xFFFFFFFF).to_bytes(4, "big").translate(_REVERSED)
        if len(body) == sum(sizes) and found[::-1] != head[22:26][::-1]:
            raise InputError(
                "damaged: a page of the Ogg stream has another checksum; "
                "restore the recording"
            )
    if not is_last:
        raise InputError(
            "truncated: the end of the Ogg stream is missing; encode the "
            "recording again, if that is all there is"
        )


def _check_frames(file, head, size):
    """Compare the last frames of a FLAC file with what its header announces.

    libsndfile would leave out samples beyond the announced number. Decoding
    notices missing samples, and damage by each frame's checksum, so the
    checksum of all samples is not computed.
    """
    block, longest = (int.from_bytes(head[n:m], "big") for n, m in _FLAC)
    announced = int.from_bytes(head[21:26], "big") % 2**36
    file.seek(max(42, size - min(4 * longest or 2**18, 2**20)))
    tail, found = file.read(), set()
    for frame in re.finditer(rb"\xff\xf8", tail):  # blocks of equal size
        number = _frame_number(tail[frame.start() : frame.start() + 16])
        found |= {number}
    # Require two in a row, since the bytes of one may be a coincidence.
    last = max((n for n in found - {None} if n - 1 in found), default=0)
    if 0 < announced <= last * block:
        raise InputError(
            f"its header announces {announced} samples, but more follow: it is "
            "damaged; repair it, e.g. with ffmpeg -i FILE REPAIRED.flac"
        )
    return None if announced else UNKNOWN


# Where the header states the samples of a frame and the bytes of the longest.
_FLAC = ((10, 12), (15, 18))


def _frame_number(head):
    """Return the number in a FLAC frame's header, or None if it is invalid."""
    if len(head) < 16:
        return None
    n_ones = 8 - (head[4] ^ 0xFF).bit_length()
    number = head[4] & 0x7F >> n_ones
    end = 4 + max(1, n_ones)
    for byte in head[5:end]:
        number = number << 6 | byte & 0x3F
    end += {6: 1, 7: 2}.get(head[2] >> 4, 0)
    end += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    remainder = 0
    for byte in head[: end + 1]:  # 0 remains, as the checksum is included
        remainder ^= byte
        for _ in range(8):
            remainder = remainder << 1 ^ (remainder >> 7) * 0x107
    return None if remainder else number


def check_count(announced, count):
    """Refuse a recording with fewer decoded samples than announced."""
    _compare(announced, count, "samples")


def check_log(log, kind):
    """Refuse what libsndfile only notes in its log while it opens a file.

    Returns
    -------
    int or None
        How many samples of each channel the log announces, if it does. For a
        format (``kind``) in `SILENT`, the caller has to warn.
    """
    if found := CUT.search(log):
        line = next(row for row in log.splitlines() if found[0] in row)
        raise InputError(f"truncated: {line.strip(' *.')}")
    found = re.findall(COUNT[kind], log) if kind in COUNT else []
    return int(found[-1]) if found else None
