"""A recording's file, or its bytes, as blocks of samples that were checked.

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

#: Rates that hold sound, in Hz; bats are recorded at up to 500 kHz.
RATES = (100, 1_000_000)
# Samples of all channels together, before or after resampling: the most that
# are one block (30 s of two channels at 48 kHz are), and in each block of more.
WHOLE, BLOCK = 2**22, 2**20
# Bytes of a file that is read at once, which tells a failing disk by its name.
IN_MEMORY = 2**25
# Integers of 24 bits as floats: louder ones overflow in a backbone.
MAX_SAMPLE = 2.0**24
# Audio by its name, which libsndfile cannot decode.
UNDECODABLE = set(
    ".3gp .aac .ac3 .alac .amr .ape .dff .dsf .m4a .m4b .m4r .mka .mpc .ra .tta "
    ".weba .wma .wv".split()
)


def decode(data):
    """Decode a whole file's bytes, and refuse what libsndfile would let pass.

    Returns
    -------
    sig : torch.Tensor
        float32, [samples, channels].
    rate : int
        In Hz.

    Raises
    ------
    InputError
        If it is empty, truncated, not finite or not audio. The message lacks
        the path, which the caller adds.
    """
    with open_audio(data) as audio:
        return torch.cat(list(audio.blocks())), audio.samplerate


class _Audio(soundfile.SoundFile):
    """An open file that gives its samples in blocks, with every check."""

    announced = None

    def seekable(self):
        """No: soundfile would seek after each read, which a decoder may feel."""
        return False

    def is_short(self, ratio=1):
        """Whether ``blocks(ratio)`` yields a single one."""
        return self.frames * self.channels * max(1, ratio) <= WHOLE

    def blocks(self, ratio=1):
        """Yield all samples, [samples, channels], in blocks for `BLOCK`.

        Arguments
        ---------
        ratio : float
            How many samples will be made of one.
        """
        size, count = self.frames, 0
        if not self.is_short(ratio):
            size = int(max(1, BLOCK // max(1, ratio) // self.channels))
            # Whole seconds are resampled alike; each other length would leave
            # a plan of the convolution in memory.
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
    """What libsndfile reads by itself, of a file or of bytes in memory.

    A Python file would be called for every few kilobytes, and threads would
    wait for each other as often.
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
        # Only Linux has files in memory, and a limit on files is one on them.
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
        As `decode` does, in the body, too.
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
            # Neither may the kernel's own files, which claim 0 bytes.
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
