"""From a recording's file to a waveform.

`read_recording` gives a clip of fixed length, as a data set's test wants it;
`load_recording` the whole of a file, with every check; `decode` is those checks.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import io
import math
import os
import random
from pathlib import Path

import soundfile
import torch
from speechbrain.dataio import audio_io

from afpt_plugin.errors import InputError

#: Which part of a recording longer than a clip is kept.
CROPS = ("start", "center")

# A WAV written to a pipe says this where it cannot know its size.
UNKNOWN_RIFF_SIZES = (0, 0xFFFFFFFF)


@functools.lru_cache(maxsize=16)
def _resampler(from_rate, to_rate):
    """The kernel depends on the two rates alone and is costly to build."""
    from torchaudio.transforms import Resample

    return Resample(from_rate, to_rate)


def fit_length(sig, n_samples, crop="start"):
    """Loop a signal that is too short, crop one that is too long.

    Arguments
    ---------
    sig : torch.Tensor
        A waveform, [samples], not empty.
    n_samples : int
        Wanted length.
    crop : str
        Which part of a longer signal is kept: ``"start"`` or ``"center"``.

    Returns
    -------
    torch.Tensor
        [n_samples]

    Raises
    ------
    InputError
        If ``crop`` is unknown.

    Example
    -------
    >>> fit_length(torch.tensor([1, 2, 3]), 7).tolist()
    [1, 2, 3, 1, 2, 3, 1]
    >>> fit_length(torch.tensor([1, 2, 3, 4]), 2, crop="center").tolist()
    [2, 3]
    """
    if crop not in CROPS:
        raise InputError(
            f"crop: {crop!r} is unknown; use one of {', '.join(CROPS)}"
        )
    if len(sig) <= n_samples:
        return sig.repeat(math.ceil(n_samples / len(sig)))[:n_samples]
    start = (len(sig) - n_samples) // 2 if crop == "center" else 0
    return sig[start : start + n_samples]


def read_recording(
    path, sample_rate, clip_seconds, crop="start", upstream_exact=False, seed=0
):
    """Read a recording as a mono clip of fixed length.

    Channels are averaged before anything else, then the signal is resampled
    and fitted to the clip by `fit_length`. Nothing is random.

    Arguments
    ---------
    path : str or Path
        Any file that soundfile reads.
    sample_rate : int
        Rate of the clip, in Hz.
    clip_seconds : float
        Length of the clip.
    crop : str
        Which part of a longer recording is kept: ``"start"`` (a sound's onset
        is what names it, and Freesound's clips begin with it) or ``"center"``.
    upstream_exact : bool
        Do what the authors' code does: lay the channels end to end instead of
        averaging them, and cut a longer signal at a random place (``crop``
        has no say). The place is drawn from ``seed`` and the file's name, so
        it is the same in every run and wherever the data set lies.
    seed : int
        Used under ``upstream_exact`` alone.

    Returns
    -------
    torch.Tensor
        float32, [round(clip_seconds * sample_rate)]

    Raises
    ------
    InputError
        If the file cannot be read or has no sample, if ``crop`` is unknown, or
        if the clip has no length.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> audio_io.save(path, torch.tensor([[0.5, 0.25], [0.0, 0.25]]), 8000)
    >>> read_recording(path, 8000, 3 / 8000).tolist()
    [0.25, 0.25, 0.25]
    >>> read_recording(path, 8000, 5 / 8000, upstream_exact=True).tolist()
    [0.5, 0.25, 0.0, 0.25, 0.5]
    """
    n_samples = round(clip_seconds * sample_rate)
    if n_samples < 1:
        raise InputError(
            f"clip_seconds: {clip_seconds} is not even one sample at "
            f"{sample_rate} Hz"
        )
    try:
        sig, rate = audio_io.load(os.fspath(path), dtype=torch.float32)
    except RuntimeError as error:
        raise InputError(f"{path}: not readable as audio ({error})") from error
    if sig.shape[1] == 0:
        raise InputError(f"{path}: empty, it has no sample")
    if not upstream_exact:
        sig = sig.mean(dim=0, keepdim=True)
    if rate != sample_rate:
        sig = _resampler(rate, sample_rate)(sig)
    sig = sig.reshape(-1)
    if upstream_exact and len(sig) > n_samples:
        draw = random.Random(f"{seed}:{os.path.basename(path)}")
        start = draw.randrange(len(sig) - n_samples)
        return sig[start : start + n_samples]
    return fit_length(sig, n_samples, crop)


def load_recording(path, sample_rate):
    """Read a whole recording, with the checks that a data set's go through.

    Arguments
    ---------
    path : str or pathlib.Path
        A file of any length, rate, number of channels and format that
        soundfile reads.
    sample_rate : int
        Wanted rate, in Hz.

    Returns
    -------
    torch.Tensor
        Mono, [samples].

    Raises
    ------
    InputError
        If it is missing, empty, truncated, not finite or no audio.

    Example
    -------
    >>> load_recording("no.wav", 8000)
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no.wav: No such file or directory
    """
    try:
        # In memory, since libsndfile reads half a file in silence.
        sig, rate = decode(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    n_samples = max(1, round(len(sig) * sample_rate / rate))
    sig = sig.mean(dim=1)
    if rate != sample_rate:
        sig = _resampler(rate, sample_rate)(sig)
    # The resampler rounds up: one sample more would ask for one window more.
    return sig[:n_samples]


def decode(data):
    """Decode a file's bytes, and refuse what libsndfile lets pass.

    Arguments
    ---------
    data : bytes
        A whole audio file.

    Returns
    -------
    sig : torch.Tensor
        float32, [samples, channels].
    rate : int
        In Hz.

    Raises
    ------
    InputError
        If it is empty, truncated, not finite or no audio. The path, which it
        does not know, is for the caller to add.

    Example
    -------
    >>> decode(b"")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: empty: 0 bytes
    """
    if not data:
        raise InputError("empty: 0 bytes")
    # libsndfile believes the smaller of header and file, in silence.
    if data[:4] == b"RIFF":
        size = int.from_bytes(data[4:8], "little")
        if size not in UNKNOWN_RIFF_SIZES and size + 8 > len(data):
            raise InputError(f"truncated: {len(data)} of {size + 8} bytes")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            announced, rate = file.frames, file.samplerate
            sig = torch.from_numpy(file.read(dtype="float32", always_2d=True))
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"not readable as audio: {error.error_string}"
        ) from error
    if len(sig) < announced:
        raise InputError(f"truncated: {len(sig)} of {announced} samples")
    if len(sig) == 0:
        raise InputError("empty: 0 samples")
    if not sig.isfinite().all():
        raise InputError("holds samples that are not finite")
    return sig, rate
