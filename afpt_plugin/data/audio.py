"""From a recording's file to a waveform: the one way to read one.

`decode` takes a file's bytes and makes every check, `load_recording` reads a
whole file with it, and `read_clip` fits that to a clip of fixed length, as a
data set's test wants it. `find_recordings` lists what folders hold.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import io
import math
import os
import random
from collections import Counter
from pathlib import Path

import soundfile
import torch

from afpt_plugin.errors import InputError

#: Which part of a recording longer than a clip `read_clip` keeps.
CROPS = ("start", "random")
#: How several channels become one: averaged, or laid end to end.
CHANNELS = ("mean", "concatenate")

# The RIFF sizes of a WAV that was written to a pipe, which cannot know its own.
UNKNOWN_RIFF_SIZES = (0, 0xFFFFFFFF)


@functools.lru_cache(maxsize=16)
def _resampler(from_rate, to_rate):
    """The kernel depends on the two rates alone and is costly to build."""
    from torchaudio.transforms import Resample

    return Resample(from_rate, to_rate)


def read_clip(
    path, sample_rate, clip_seconds, crop="start", channels="mean", seed=0
):
    """Read a recording as a mono clip of fixed length.

    The default is deterministic: channels are averaged, the start is kept.
    The authors' code does ``crop="random", channels="concatenate"``.

    Arguments
    ---------
    path : str or pathlib.Path
        Any file that soundfile reads.
    sample_rate : int
        Rate of the clip, in Hz.
    clip_seconds : float
        Length of the clip; a shorter recording is looped.
    crop : str
        Which part of a longer recording is kept: ``"start"`` (a sound's onset
        is what names it, and Freesound's clips begin with it) or ``"random"``,
        a place that depends on ``seed`` and the file's name alone, so that it
        is the same in every run and wherever the data set lies.
    channels : str
        ``"mean"`` or ``"concatenate"``, see `load_recording`.
    seed : int
        Seed of the random crop.

    Returns
    -------
    torch.Tensor
        float32, [round(clip_seconds * sample_rate)]

    Raises
    ------
    InputError
        If the file cannot be used (see `load_recording`), ``crop`` is unknown,
        or the clip is shorter than a sample.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> soundfile.write(path, [[0.5, 0.0], [0.25, 0.25]], 8000)
    >>> read_clip(path, 8000, 3 / 8000).tolist()
    [0.25, 0.25, 0.25]
    """
    n_samples = round(clip_seconds * sample_rate)
    if n_samples < 1:
        raise InputError(
            f"clip_seconds: {clip_seconds} is shorter than one sample at "
            f"{sample_rate} Hz; use a longer clip"
        )
    if crop not in CROPS:
        raise InputError(f"crop: {crop!r} is unknown; use {' or '.join(CROPS)}")
    sig = load_recording(path, sample_rate, channels)
    if crop == "random" and len(sig) > n_samples:
        draw = random.Random(f"{seed}:{os.path.basename(path)}")
        sig = sig[draw.randrange(len(sig) - n_samples) :]
    return fit_length(sig, n_samples)


def load_recording(path, sample_rate, channels="mean"):
    """Read a whole recording as a mono signal.

    Arguments
    ---------
    path : str or pathlib.Path
        Any file that soundfile reads.
    sample_rate : int
        Wanted rate, in Hz.
    channels : str
        ``"mean"`` averages the channels before resampling; ``"concatenate"``
        lays them end to end, as the authors' code does.

    Returns
    -------
    torch.Tensor
        float32, [samples]: the samples from 0 s to before the recording's end.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, not finite or not audio, or
        if ``channels`` is unknown.
    """
    if channels not in CHANNELS:
        raise InputError(
            f"channels: {channels!r} is unknown; use {' or '.join(CHANNELS)}"
        )
    try:
        # In memory, since libsndfile reads half a file in silence.
        sig, rate = decode(Path(path).read_bytes())
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", error)
        raise InputError(f"{path}: {reason}") from error
    sig = sig.T  # [channels, samples]
    if channels == "mean":
        sig = sig.mean(dim=0, keepdim=True)  # [1, samples]
    if rate != sample_rate:
        # The resampler counts in float32, so it adds samples to long signals.
        n_samples = -(-sig.shape[1] * sample_rate // rate)
        sig = _resampler(rate, sample_rate)(sig)[:, :n_samples]
    return sig.reshape(-1)


def find_recordings(paths):
    """Find recordings: files, and what soundfile reads in folders at any depth.

    Returns
    -------
    files : list of str
        Each once, those of a folder in alphabetical order.
    skipped : collections.Counter
        How many files of each other extension the folders hold, and hidden
        ones, and links to folders.

    Raises
    ------
    InputError
        If a path is missing, a folder cannot be read, or there is no recording.
    """

    def fail(error):
        """Raise what `os.walk` would pass over."""
        raise InputError(f"{error.filename}: {error.strerror}") from error

    # RAW tells neither its rate nor its channels.
    formats = set(soundfile.available_formats()) - {"RAW"}
    supported = {f".{name.lower()}" for name in formats}
    supported |= {".aif", ".aifc", ".oga", ".opus", ".snd"}
    files, skipped = {}, Counter()
    for path in paths:
        if os.path.isfile(path):
            files[path] = None
            continue
        if not os.path.isdir(path):
            raise InputError(f"{path}: no such file or folder; check the path")
        for folder, folders, names in os.walk(path, onerror=fail):
            folders.sort()
            linked = [n for n in folders if os.path.islink(f"{folder}/{n}")]
            skipped["linked folder"] += len(linked)
            for name in sorted(names):
                suffix = os.path.splitext(name)[1].lower()
                if name.startswith("."):  # a Mac's ._a.wav holds no sound
                    suffix = "hidden"
                if suffix in supported:
                    files[os.path.join(folder, name)] = None
                else:
                    skipped[suffix or "none"] += 1
    if not files:
        raise InputError(
            f"{', '.join(paths)}: no audio files found; supported extensions "
            f"are {', '.join(sorted(supported))}"
        )
    return list(files), +skipped


def fit_length(sig, n_samples):
    """Loop a waveform [samples] that is too short, cut the end of one too long.

    Example
    -------
    >>> fit_length(torch.tensor([1, 2, 3]), 7).tolist()
    [1, 2, 3, 1, 2, 3, 1]
    """
    if len(sig) < n_samples:
        sig = sig.repeat(math.ceil(n_samples / len(sig)))
    return sig[:n_samples]


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
        reason = error.error_string
        raise InputError(f"not readable as audio: {reason}") from error
    if len(sig) < announced:
        raise InputError(f"truncated: {len(sig)} of {announced} samples")
    if len(sig) == 0:
        raise InputError("empty: 0 samples")
    if not sig.isfinite().all():
        raise InputError("some samples are not finite (NaN or infinite)")
    return sig, rate
