"""Read recordings as waveforms, the same way everywhere.

`Recording` decodes, checks, mixes and resamples a file in blocks, so that a
long file takes no more memory than a short one. `load_recording` joins the
blocks into one signal. `read_clip` also crops or loops the signal to a fixed
length, as tests on a data set need it. `find_recordings` lists the recordings
in folders.

Authors
 * The afpt_plugin developers 2026
"""

import math
import os
import random
from collections import Counter
from contextlib import contextmanager

import soundfile
import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.decoding import UNDECODABLE, open_audio
from afpt_plugin.data.resampling import resample
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

#: Which part `read_clip` keeps of a recording that is longer than the clip.
CROPS = ("start", "random")
#: How several channels become one: averaged, or laid end to end.
CHANNELS = ("mean", "concatenate")

#: The values that `Recording.flags` can contain.
FLAGS = (
    *("silent", "very short", "clipped", "above full scale"),
    "channel inverted",
)

# In seconds. A clip repeats a recording that is shorter than the clip. Below
# this length, one hears the repetition instead of the sound.
VERY_SHORT = 0.1
# Full scale is 1. Resampling and lossy codecs do not exceed it as far as this.
ABOVE = 1.5
# Half of the range from the lowest to the highest sample; about 3 steps of
# 16-bit audio.
SILENT = 1e-4
# The power of the channels' mean divided by the mean of their powers (-20 dB).
INVERTED = 0.01


def read_clip(
    path, sample_rate, clip_seconds, crop="start", channels="mean", seed=0
):
    """Read a recording as a mono clip of fixed length.

    The default is deterministic: it averages the channels and keeps the start.
    The authors' code corresponds to ``crop="random", channels="concatenate"``.

    Arguments
    ---------
    path : str or pathlib.Path
        Any file that soundfile reads.
    sample_rate : int
        Rate of the clip, in Hz.
    clip_seconds : float
        Length of the clip; a shorter recording is looped.
    crop : str
        Which part of a longer recording is kept. ``"start"`` keeps the
        beginning, since a sound is recognized by its onset, with which
        Freesound's clips begin. ``"random"`` keeps a part that depends only on
        ``seed`` and the file's name, so that it is the same in every run and in
        every folder.
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
        float32, [samples], from 0 s up to the recording's end.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, not finite or not audio, if
        its rate cannot hold sound, or if ``channels`` is unknown.
    """
    return torch.cat(list(Recording(path, sample_rate, channels)))


def name_skipped(skipped):
    """Describe what `find_recordings` skipped, with counts.

    Example
    -------
    >>> name_skipped(Counter([".txt", ".pdf", ".txt"]))
    '1 .pdf, 2 .txt'
    """
    return ", ".join(f"{n} {name}" for name, n in sorted(skipped.items()))


def find_recordings(paths, everything=False):
    """Find recordings: given files, and audio files in folders at any depth.

    Arguments
    ---------
    paths : list of str
        Files and folders. A folder that was already searched is skipped.
    everything : bool
        Whether to follow links to folders (each real folder once) and to also
        list audio files that soundfile cannot read.

    Returns
    -------
    files : list of str
        Paths without repetition; those from a folder are in alphabetical order.
    skipped : collections.Counter
        How many files of each other extension, hidden files and links to
        folders were skipped.

    Raises
    ------
    InputError
        If a path is missing, a folder cannot be read, or there is no recording.
    """

    def fail(error):
        """Raise an error that `os.walk` would ignore."""
        raise InputError(f"{error.filename}: {error.strerror}") from error

    # A RAW file states neither its sample rate nor its number of channels.
    formats = set(soundfile.available_formats()) - {"RAW"}
    supported = {f".{name.lower()}" for name in formats}
    supported |= {".aif", ".aifc", ".oga", ".opus", ".snd"}
    known = supported | UNDECODABLE if everything else supported
    files, skipped, seen = {}, Counter(), set()
    for path in paths:
        if os.path.isfile(path):
            files[path] = None
            continue
        if not os.path.isdir(path):
            if os.path.exists(path):
                raise InputError(f"{path}: neither a file nor a folder")
            raise InputError(f"{path}: no such file or folder; check the path")
        roots = [path]
        for root in roots:
            for folder, folders, names in os.walk(root, onerror=fail):
                real = os.path.realpath(folder)
                if real in seen:
                    folders.clear()
                    continue
                seen.add(real)
                folders.sort()
                links = [os.path.join(folder, name) for name in folders]
                links = list(filter(os.path.islink, links))
                if everything:
                    roots += links  # searched after the given folders
                elif links:
                    skipped["linked folder"] += len(links)
                for name in sorted(names):
                    suffix = os.path.splitext(name)[1].lower()
                    if name.startswith("."):  # macOS's ._a.wav is not audio
                        skipped["hidden"] += 1
                    elif suffix in known:
                        files[os.path.join(folder, name)] = None
                    else:
                        skipped[suffix or "none"] += 1
    if not files:
        raise InputError(
            f"{', '.join(paths)}: no audio files found; supported extensions "
            f"are {', '.join(sorted(supported))}"
        )
    return list(files), skipped


def fit_length(sig, n_samples):
    """Loop a waveform [samples] that is too short; cut the end of a longer one.

    Example
    -------
    >>> fit_length(torch.tensor([1, 2, 3]), 7).tolist()
    [1, 2, 3, 1, 2, 3, 1]
    """
    if len(sig) < n_samples:
        sig = sig.repeat(math.ceil(n_samples / len(sig)))
    return sig[:n_samples]


class Recording:
    """A file as mono blocks at a given rate; each iteration reads it anew.

    Arguments
    ---------
    path : str or pathlib.Path
        Any file that soundfile reads.
    sample_rate : int
        Wanted rate, in Hz.
    channels : str
        See `load_recording`. If one channel is the inverse of another, so that
        averaging would cancel them, one channel is taken and a warning is
        logged.

    Raises
    ------
    InputError
        In the cases of `load_recording`, also during an iteration.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tone.wav"
    >>> soundfile.write(path, torch.arange(800).sin().numpy() / 2, 8000)
    >>> recording = Recording(path, 16000)
    >>> [len(block) for block in recording], recording.flags
    ([1600], [])
    """

    def __init__(self, path, sample_rate, channels="mean"):
        if channels not in CHANNELS:
            raise InputError(
                f"channels: {channels!r} is unknown; use "
                f"{' or '.join(CHANNELS)}"
            )
        self.path, self.sample_rate, self.channels = path, sample_rate, channels
        #: How many samples the iteration has yielded so far, and whether the
        #: file is a single block.
        self.n_samples, self.is_short = 0, None
        self._seconds, self._range, self._odd = math.inf, (0.0, 1.0), set()

    @contextmanager
    def _named(self):
        try:
            yield
        except (OSError, InputError) as error:
            reason = getattr(error, "strerror", error)
            raise InputError(f"{self.path}: {reason}") from error

    @property
    def flags(self):
        """The `FLAGS` that apply, complete after an iteration (list of str)."""
        odd = set(self._odd)
        if self._range[1] - self._range[0] < 2 * SILENT:
            odd = {"silent"}
        if self._seconds < VERY_SHORT:
            odd.add("very short")
        return [flag for flag in FLAGS if flag in odd]

    def __iter__(self):
        self.n_samples, self._odd = 0, set()
        self._range = (math.inf, -math.inf)
        channel, n_passes = 0, 1
        while channel < n_passes:
            with self._named(), open_audio(self.path) as audio:
                rate = audio.samplerate
                self.is_short = audio.is_short(self.sample_rate / rate)
                mixed = self._mixed(audio)
                for sig in resample(mixed, rate, self.sample_rate):
                    if self.is_short:
                        sig = sig.reshape(1, -1)
                    n_passes = len(sig)
                    self.n_samples += sig.shape[1]
                    yield sig[channel]
            channel += 1

    def _mixed(self, audio):
        """Yield blocks [1 or channels, samples], and note what is odd."""
        n_frames = 0
        for block in audio.blocks(self.sample_rate / audio.samplerate):
            n_frames += len(block)
            sig = block.T  # [channels, samples]
            if _is_clipped(sig):
                self._odd.add("clipped")
            if sig.abs().max() > ABOVE:
                self._odd.add("above full scale")
            if self.channels == "mean":
                sig = self._mean(sig)
            low, high = (limit.item() for limit in sig.aminmax())
            self._range = (min(self._range[0], low), max(self._range[1], high))
            yield sig
        self._seconds = n_frames / audio.samplerate

    def _mean(self, sig):
        mean = sig.mean(dim=0, keepdim=True)  # [1, samples]
        if len(sig) == 1 or sig.shape[1] < 100:  # too few to tell
            return mean
        power = sig.var(dim=1, correction=0)  # [channels]
        if mean.var(correction=0) >= INVERTED * power.mean():
            return mean
        if "channel inverted" not in self._odd:
            self._odd.add("channel inverted")
            logger.warning(
                "%s: the channels cancel each other, one is the inverse of "
                "another; one channel is taken instead of their mean",
                self.path,
            )
        # Take the first loud channel, so that the choice stays the same.
        return sig[(power > power.max() / 2).nonzero()[0]]


def _is_clipped(sig):
    """Whether samples stay at the peak in runs, as they do in no tone."""
    size = sig.abs()
    peak = size.max()
    if peak < 0.5:
        return False
    top = size >= peak * (1 - 1e-4)  # [channels, samples]
    n_top, enough = top.sum(), max(4, 1e-5 * size.numel())
    if n_top < enough:
        return False
    n_flat = (top[:, :-2] & top[:, 1:-1] & top[:, 2:]).sum()
    n_near = (size >= peak * 0.97).sum()
    return bool(n_flat >= enough and n_top > n_near / 2)
