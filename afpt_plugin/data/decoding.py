"""Decode a recording's file, or its bytes, into checked blocks of samples.

Authors
 * The afpt_plugin developers 2026
"""

import io
import math
import os
import stat
from contextlib import ExitStack, contextmanager

import soundfile
import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.headers import (
    SILENT,
    UNKNOWN,
    check_count,
    check_length,
    check_log,
)
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

#: The lowest and highest accepted sample rate, in Hz; bats are recorded at up
#: to 500 kHz.
RATES = (100, 1_000_000)
# Numbers of samples in all channels together, before or after resampling. A
# recording of up to WHOLE samples is one block, e.g. 30 s of two channels at 48
# kHz; a longer one is cut into blocks of up to BLOCK samples.
WHOLE, BLOCK = 2**22, 2**20
# The largest file, in bytes, that is read into memory first, so that a failing
# disk is reported as such.
IN_MEMORY = 2**25
# Some files hold 24-bit integers as floats. Larger samples would overflow in a
# backbone.
MAX_SAMPLE = 2.0**24
# Extensions of audio files that libsndfile cannot decode.
UNDECODABLE = set(
    ".3gp .aac .ac3 .alac .amr .ape .dff .dsf .m4a .m4b .m4r .mka .mpc .ra .tta "
    ".weba .wma .wv".split()
)


def decode(data):
    """Decode a whole file's bytes, and refuse damage that libsndfile accepts.

    Returns
    -------
    sig : torch.Tensor
        float32, [samples, channels].
    rate : int
        Sample rate, in Hz.

    Raises
    ------
    InputError
        If the file is empty, truncated, not finite or not audio. The message
        lacks the path, which the caller adds.
    """
    with open_audio(data) as audio:
        return torch.cat(list(audio.blocks())), audio.samplerate


class _Audio(soundfile.SoundFile):
    """An open file that yields its samples in blocks and checks them."""

    announced = None

    def seekable(self):
        """Return False, since soundfile would otherwise seek after each read.

        Such a seek may disturb a decoder.
        """
        return False

    def is_short(self, ratio=1):
        """Whether ``blocks(ratio)`` yields a single block."""
        return self.frames * self.channels * max(1, ratio) <= WHOLE

    def blocks(self, ratio=1):
        """Yield all samples in blocks, [samples, channels]; see `BLOCK`.

        Arguments
        ---------
        ratio : float
            How many samples resampling will make of each one.
        """
        size, count = self.frames, 0
        if not self.is_short(ratio):
            size = int(max(1, BLOCK // max(1, ratio) // self.channels))
            # All blocks of whole seconds share one plan of the resampling
            # convolution; any other length would leave its own plan in memory.
            size -= size % self.samplerate if size > self.samplerate else 0
        while count < self.frames:  # an unknown number is about 2**63
            wanted = min(size, self.frames - count)
            block = self.read(wanted, dtype="float32", always_2d=True)
            if not len(block):
                break
            count += len(block)
            part = torch.from_numpy(block)
            peak = max(abs(limit.item()) for limit in part.aminmax())
            if not math.isfinite(peak):
                raise InputError(
                    "some samples are not finite (NaN or infinite)"
                )
            if peak > MAX_SAMPLE:
                raise InputError(
                    f"samples reach {peak:.3g}, but 1 is full scale; no sound "
                    "was recorded like that"
                )
            yield part if len(part) == wanted else part.clone()
            if len(part) < wanted:
                break
        if self.frames < 2**62:
            check_count(max(self.frames, self.announced or 0), count)
        if count == 0:
            raise InputError("empty: 0 samples")


def _descriptor(file):
    """Open a file, or bytes in memory, for libsndfile to read by itself.

    libsndfile would call a Python file for every few kilobytes, and threads
    would wait for each other at each call.
    """
    if not isinstance(file, io.BytesIO):
        descriptor = os.dup(file.fileno())
    else:
        file.seek(0)
        try:
            with os.fdopen(os.memfd_create("recording"), "wb", 0) as copy:
                if copy.write(file.getbuffer()) < len(file.getbuffer()):
                    return file
                descriptor = os.dup(copy.fileno())
        # Only Linux has files in memory, and limits on files apply to them,
        # too.
        except (AttributeError, OSError):
            return file
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@contextmanager
def open_audio(source):
    """Open a file, or its bytes, for ``blocks()``, and check its header.

    Raises
    ------
    InputError
        In the cases of `decode`, also inside the ``with`` block.
    OSError
        If the file cannot be read.
    """
    with ExitStack() as stack:
        if isinstance(source, bytes):
            file, size = io.BytesIO(source), len(source)
        else:
            try:
                found = os.stat(source)
            except (TypeError, ValueError) as error:
                raise InputError(f"no name of a file ({error})") from error
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise InputError("not a regular file")  # a pipe may never end
            # The kernel's own files claim 0 bytes and may never end, either.
            if found.st_size == 0:
                raise InputError("empty: 0 bytes")
            file, size = stack.enter_context(open(source, "rb")), found.st_size
            if size <= IN_MEMORY:
                file = io.BytesIO(file.read())
        if size == 0:
            raise InputError("empty: 0 bytes")
        announced = check_length(file)
        try:
            audio = stack.enter_context(_Audio(_descriptor(file)))
            if announced is None:
                announced = check_log(audio.extra_info, audio.format)
            audio.announced = announced
            if announced == UNKNOWN or audio.format in SILENT:
                logger.warning(
                    "%s: this file of %s does not tell its length, so part of "
                    "it may be missing",
                    "recording" if isinstance(source, bytes) else source,
                    audio.format_info,
                )
            if not RATES[0] <= audio.samplerate <= RATES[1]:
                raise InputError(
                    f"its sample rate is {audio.samplerate} Hz, which cannot "
                    f"hold sound; rates from {RATES[0]} to {RATES[1]} Hz can"
                )
            yield audio
        except soundfile.LibsndfileError as error:
            reason, hint = error.error_string, ""
            name = "" if isinstance(source, bytes) else os.fspath(source)
            suffix = os.path.splitext(name)[1]
            if suffix.lower() in UNDECODABLE:
                hint = f"; convert {suffix} files to WAV or FLAC"
            raise InputError(
                f"not readable as audio: {reason}{hint}"
            ) from error
