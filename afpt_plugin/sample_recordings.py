"""The recordings that ship with the package, and mixtures of them.

``assets/recordings`` holds real recordings, free to share and credited in
``assets/NOTICE``; its ``recordings.csv`` gives the origin of each recording and
the labels of the four data sets that apply to it. `afpt_plugin.samples` writes
the recordings in the layouts of the data sets.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from afpt_plugin.data.decoding import decode
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError

ASSETS = Path(__file__).parent / "assets"
RECORDINGS = ASSETS / "recordings"

#: Labels of ``esc50``, ``us8k``, ``fsd2019`` and ``dcase2019``, in the order of
#: each data set's class indices.
VOCABULARIES = yaml.safe_load(
    (ASSETS / "vocabularies.yml").read_text(encoding="utf-8")
)
ESC10 = VOCABULARIES.pop("esc10")

COLUMNS = (
    *"file esc50 us8k fsd2019 dcase2019 title author license".split(),
    *"package version path member start sha256".split(),
)

REMEDY = "restore it, or reinstall the package"

# Probability that a mixture has one, two or three sounds. DCASE2019's
# validation set has 0.52, 0.42 and 0.06; FSDKaggle2019's test set has 0.71,
# 0.20 and 0.06.
SOUND_CHANCES = (0.6, 0.3, 0.1)
# RMS of the loudest sound and of the background: -20 and -60 dB of full scale.
LOUDEST, BACKGROUND = 0.1, 0.001
# A sound starts and ends where its level is 40 dB below its peak.
AUDIBLE = 0.01


class Recording(NamedTuple):
    """A row of recordings.csv; ``row`` holds all its values as text."""

    path: Path
    place: str  # the table and its line, for messages
    labels: dict  # vocabulary to a tuple of the labels that apply
    source: int  # number of its origin; takes of one origin share it
    row: dict


def read_recordings(folder=None):
    """Read and check the table of the recordings.

    Arguments
    ---------
    folder : str or pathlib.Path, optional
        Where the recordings and recordings.csv lie; by default the package's.

    Returns
    -------
    list of Recording
        Sorted by file.

    Raises
    ------
    InputError
        If recordings.csv is missing or damaged, a file is listed twice or has
        an invalid name, or a label is unknown.
    """
    table = Path(folder or RECORDINGS, "recordings.csv")
    rows = read_table(table, COLUMNS, remedy=REMEDY.capitalize())
    sources = sorted({_source(row) for row in rows})
    recordings = {}
    for row in rows:
        place = f"{table}, line {row.line}"
        labels = {
            name: tuple(filter(None, row[name].split("|")))
            for name in VOCABULARIES
        }
        problem = _find_problem(row, labels)
        if row["file"] in recordings:
            problem = f"file {row['file']} is listed twice"
        if problem:
            raise InputError(f"{place}: {problem}; {REMEDY}")
        path = table.with_name(row["file"])
        source = 100000 + sources.index(_source(row))
        recordings[row["file"]] = Recording(path, place, labels, source, row)
    return [recordings[file] for file in sorted(recordings)]


def _source(row):
    """Return package and original file name, without the number of the take."""
    path = f"{row['path']}/{row['member']}".rstrip("/")
    return row["package"], re.sub(r"[\W_]*\d*(\.\w+)?$", "", path)


def _find_problem(row, labels):
    """Describe what is wrong with a row (str), or return None."""
    if not re.fullmatch(r"[a-z0-9_]+\.(ogg|flac)", row["file"]):
        return f"file {row['file']!r} is not named like dog_bark1.ogg"
    for name, given in labels.items():
        for label in given:
            if label not in VOCABULARIES[name]:
                return f"{name} has no label {label!r}"
        if len(given) > (len(set(given)) if name == "fsd2019" else 1):
            return f"{name} {row[name]!r} has too many labels"
    return None


def load_sound(recording, sample_rate=None):
    """Read a recording, and check that it is the file listed in the table.

    Arguments
    ---------
    recording : Recording
        From `read_recordings`.
    sample_rate : int, optional
        Wanted sample rate, in Hz; by default the file's own.

    Returns
    -------
    tuple
        The mono signal (float64 [samples]) and its rate.

    Raises
    ------
    InputError
        If the file is missing, unreadable, silent, or not the one listed.
    """
    wanted = recording.row["sha256"]
    try:
        data = recording.path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != wanted:
            raise InputError(f"its SHA-256 is {found}, not {wanted}")
        sig, rate = decode(data)
        sig = sig.mean(dim=1).double().numpy()
        if not sig.any():
            raise InputError("it is silent")
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", error)
        raise InputError(
            f"{recording.place}: {recording.path.name} cannot be used "
            f"({reason}); {REMEDY}"
        ) from None
    if sample_rate in (None, rate):
        return sig, rate
    from scipy.signal import resample_poly

    common = math.gcd(sample_rate, rate)
    sig = resample_poly(sig, sample_rate // common, rate // common)
    return sig, sample_rate


def choose_sounds(recordings, index, vocabulary, rng):
    """Take the recording at ``index`` and draw up to two more.

    No two of them share a label.
    """
    chosen = [recordings[index]]
    heard = set(chosen[0].labels[vocabulary])
    n_sounds = 1 + rng.choice(len(SOUND_CHANCES), p=SOUND_CHANCES)
    for other in rng.permutation(len(recordings)):
        labels = recordings[other].labels[vocabulary]
        if len(chosen) < n_sounds and heard.isdisjoint(labels):
            chosen.append(recordings[other])
            heard.update(labels)
    return chosen


def mix_sounds(recordings, seconds, sample_rate, rng):
    """Lay recordings over a quiet background, each at a random time.

    The first is the loudest, the others are 0 to 10 dB softer. A recording
    longer than the mixture is cut at the mixture's end.

    Returns
    -------
    sig : numpy.ndarray
        [samples], peak about 1 at most.
    times : list of tuple
        For each recording, the start and the end of its sound, in seconds,
        rounded outward to milliseconds; it is silent elsewhere.
    """
    length = round(seconds * sample_rate)
    mixture, times = np.zeros(length), []
    for recording in recordings:
        sig, _ = load_sound(recording, sample_rate)
        heard = np.flatnonzero(np.abs(sig) > AUDIBLE * np.abs(sig).max())
        sig = sig[heard[0] : heard[-1] + 1][:length]
        softer = 10 ** (-rng.uniform(0, 10) / 20) if times else 1.0
        onset = int(rng.integers(length - len(sig) + 1))
        offset = onset + len(sig)
        loudness = np.sqrt(np.mean(sig**2))
        mixture[onset:offset] += softer * LOUDEST * sig / loudness
        start = math.floor(1000 * onset / sample_rate) / 1000
        times.append((start, math.ceil(1000 * offset / sample_rate) / 1000))
    mixture *= min(1.0, 0.99 / np.abs(mixture).max())
    # Pink noise: its power falls by 3 dB per octave.
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, length)
    return mixture + BACKGROUND * noise / noise.std(), times
