"""Sounds of throats: speech, song, laughter, cries, shouts and crowds.

One engine, `utter`, is a throat: a jittering pulse train and breath go through
formants that move, and hiss made by lips and teeth is added. What it says is a
table of tracks, one row each `HOP` seconds. `_babble` writes such tracks for
syllables in phrases; a laugh or a wail writes its own.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["laughing"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import fft, signal

from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    contour,
    log_uniform,
    n_samples,
    noise,
    percussive,
    saw,
    scatter,
    sequence,
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS", "air", "person", "speak", "utter", "vowel"]

HOP = 0.008  # seconds between two rows of a track

# Formants of a grown man; a shorter throat multiplies them.
VOWELS = {
    "a": (730, 1090, 2440, 3400, 4500),
    "ae": (660, 1720, 2410, 3500, 4500),
    "e": (530, 1840, 2480, 3500, 4500),
    "er": (490, 1350, 1690, 3300, 4300),
    "i": (280, 2250, 2890, 3600, 4600),
    "o": (570, 840, 2410, 3300, 4400),
    "u": (300, 870, 2240, 3200, 4300),
    "uh": (620, 1200, 2500, 3400, 4400),
}

# Where the first three formants start from, voicing, hiss and its pitch,
# whether the mouth shuts before it, and breath that follows.
CONSONANTS = {
    "p": ((250, 800, 2200), 0.0, 0.15, 900, True, 0.5),
    "t": ((250, 1750, 2650), 0.0, 0.6, 5000, True, 0.5),
    "k": ((250, 1900, 2300), 0.0, 0.45, 2100, True, 0.5),
    "b": ((250, 800, 2200), 0.2, 0.1, 800, True, 0.1),
    "d": ((250, 1700, 2600), 0.2, 0.25, 4500, True, 0.1),
    "g": ((250, 1900, 2300), 0.2, 0.2, 1900, True, 0.1),
    "s": ((300, 1700, 2600), 0.0, 0.5, 7000, False, 0.0),
    "sh": ((300, 1800, 2500), 0.0, 0.5, 3400, False, 0.0),
    "f": ((300, 900, 2200), 0.0, 0.12, 5000, False, 0.1),
    "z": ((280, 1700, 2600), 0.3, 0.2, 6500, False, 0.0),
    "m": ((250, 1000, 2200), 0.4, 0.0, 3000, False, 0.0),
    "n": ((250, 1600, 2500), 0.4, 0.0, 3000, False, 0.0),
    "l": ((360, 1200, 2700), 0.55, 0.0, 3000, False, 0.0),
    "r": ((320, 1100, 1600), 0.55, 0.0, 3000, False, 0.0),
    "w": ((300, 650, 2200), 0.5, 0.0, 3000, False, 0.0),
    "y": ((270, 2200, 3000), 0.55, 0.0, 3000, False, 0.0),
    "h": (None, 0.05, 0.0, 3000, False, 0.8),
    "": (None, 0.8, 0.0, 3000, False, 0.0),
}


def vowel(name, size):
    """Five formants of a vowel.

    Arguments
    ---------
    name : str
        Key of `VOWELS`.
    size : float
        1 is a man, 1.17 a woman, 1.35 a child, 1.5 a baby.

    Returns
    -------
    numpy.ndarray
        `[5]`, in Hz.

    Example
    -------
    >>> vowel("a", 2.0)[:2].tolist()
    [1460.0, 2180.0]
    """
    return np.array(VOWELS[name]) * float(size)


def person(rng, kind=None):
    """Pitch and throat of somebody.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    kind : str | None
        "man", "woman" or "child"; anybody by default.

    Returns
    -------
    f0 : float
        Pitch in Hz.
    size : float
        Factor on a man's formants.

    Example
    -------
    >>> f0, size = person(np.random.default_rng(0), "child")
    >>> f0 > 200
    True
    """
    if kind is None:
        kind = rng.choice(["man", "woman", "child"], p=[0.45, 0.4, 0.15])
    low, high, size = {
        "man": (80, 155, 1.0),
        "woman": (160, 260, 1.17),
        "child": (230, 380, 1.35),
    }[kind]
    return log_uniform(rng, low, high), size * rng.uniform(0.92, 1.08)


def air(rng, n, sample_rate, formants, leak=0.3, width=None):
    """Turbulent breath through a mouth or nose that does not move.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n, sample_rate : int
        Length and rate.
    formants : numpy.ndarray
        Resonances in Hz.
    leak : float
        Share of the source that is heard unfiltered.
    width : float | None
        Bandwidth as a share of the frequency; random by default.

    Returns
    -------
    numpy.ndarray
        Of unit variance.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> air(rng, 800, 8000, vowel("a", 1.0)).std().round(2)
    1.0
    """
    source = noise(rng, n, rng.uniform(0, 0.8))
    width = rng.uniform(0.15, 0.5) if width is None else width
    freqs = fft.rfftfreq(n, 1 / sample_rate)
    gain, fall = np.zeros(len(freqs)), rng.uniform(0.5, 1.0)
    for i, centre in enumerate(formants):
        gain += fall**i / (1 + ((freqs - centre) / (width * centre / 2)) ** 2)
    sig = fft.irfft(fft.rfft(source) * gain, n)
    sig = sig / (np.std(sig) + 1e-9) + leak * source
    return sig / (np.std(sig) + 1e-9)


def _rows(seconds):
    """Rows of a track that lasts some seconds."""
    return max(int(round(seconds / HOP)), 4)


def _spread(values, n):
    """Let one or several rows glide over `n` rows."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    if len(values) == n:
        return values
    at, where = np.linspace(0, 1, len(values)), np.linspace(0, 1, n)
    return np.stack([np.interp(where, at, v) for v in values.T], axis=1)


def utter(
    rng,
    sample_rate,
    pitch,
    formants,
    voiced=1.0,
    breath=0.1,
    hiss=0.0,
    centre=4000.0,
    tilt=2500.0,
    jitter=0.01,
    shimmer=0.1,
    growl=0.0,
    growl_rate=None,
    width=1.0,
    bright=0.0,
):
    """A throat that moves; tracks have one value each `HOP` seconds.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    pitch : numpy.ndarray
        `[rows]`, in Hz; sets the length.
    formants : list of list of float
        `[rows, formants]`, or a few shapes to move through evenly.
    voiced, breath, hiss : float | numpy.ndarray
        Loudness of folds, of noise at the folds and of noise at the teeth.
    centre : float | numpy.ndarray
        Where the hiss lies in Hz.
    tilt : float
        Above it the folds fall by 6 dB/octave more: low is a soft voice.
    jitter, shimmer : float
        Unsteadiness of pitch and loudness.
    growl : float | numpy.ndarray
        Depth of a rough modulation.
    growl_rate : float | None
        Its rate in Hz; half the pitch by default.
    width : float
        Factor on the bandwidths of the formants.
    bright : float
        Power of frequency by which effort lifts what lies above 1 kHz.

    Returns
    -------
    numpy.ndarray
        `[rows * int(HOP * sample_rate)]`, a steady vowel has about unit power.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> shapes = [vowel("a", 1.0), vowel("i", 1.0)]
    >>> utter(rng, 16000, np.full(100, 120.0), shapes).shape
    (12800,)
    """
    rows, hop = len(pitch), int(HOP * sample_rate)
    n = rows * hop
    where, at = np.arange(n) / hop, np.arange(rows)

    def fine(track):
        if np.ndim(track) == 0:
            return track
        return np.interp(where, at, track)

    rate = 1 / HOP
    pitch = pitch * (1 + jitter * wander(rng, rows, rate, rng.uniform(20, 60)))
    f0 = fine(np.clip(pitch, 20, 0.3 * sample_rate))
    source = saw(f0, sample_rate, start=rng.uniform())
    b, a = signal.butter(1, min(tilt / sample_rate * 2, 0.9))
    source = signal.lfilter(b, a, source)
    source /= np.std(source) + 1e-9
    source *= fine(voiced * (1 + shimmer * wander(rng, rows, rate, 30.0)))
    source += fine(breath) * rng.standard_normal(n)
    if np.any(growl):
        rough = f0 / 2 if growl_rate is None else np.full(n, growl_rate)
        rough = rough * fine(1 + 0.25 * wander(rng, rows, rate, 25.0))
        depth = fine(growl)
        source *= 1 - depth + depth * (0.5 + 0.5 * tone(rough, sample_rate))
    # Filter frame by frame: half-overlapping windows, zero phase.
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop))
    blocks = np.pad(source, hop).reshape(rows + 2, hop)
    frames = np.concatenate([blocks[:-1], blocks[1:]], axis=1) * window
    freqs = fft.rfftfreq(2 * hop, 1 / sample_rate)
    shapes = _spread(formants, rows)
    gains = _tract(shapes, freqs, width) * (1 + freqs / 1000) ** bright
    # A source that falls by 6 dB/octave comes out with unit power.
    weight = np.where(freqs > 60, 1 / np.maximum(freqs, 60) ** 2, 0)
    gains /= np.sqrt((gains**2 @ weight).mean() / weight.sum()) + 1e-12
    gains = np.concatenate([gains, gains[-1:]])
    spectra = fft.rfft(frames, axis=1) * gains
    if np.any(hiss):
        spectra += _teeth(rng, rows + 1, freqs, hiss, centre)
    frames = fft.irfft(spectra, 2 * hop, axis=1) * window
    out = frames[:, :hop]
    out[1:] += frames[:-1, hop:]
    return out.ravel()[hop:]


def _tract(shapes, freqs, width):
    """Gain of a tube with given resonances in series, `[rows, freqs]`."""
    size = shapes[:, -1].mean() / 4500
    power = np.ones((len(shapes), len(freqs)))
    for peak in shapes.T[:, :, None]:
        half = (width * (40 + 0.05 * peak) / 2) ** 2
        power *= ((freqs - peak) ** 2 + half) * ((freqs + peak) ** 2 + half)
        power /= (peak**2 + half) ** 2
    # The resonances above, which hardly move.
    for peak in np.arange(5500 * size, 1.3 * freqs[-1], 1000 * size):
        half = (0.05 * peak) ** 2
        power *= ((freqs - peak) ** 2 + half) * ((freqs + peak) ** 2 + half)
        power /= (peak**2 + half) ** 2
    return 1 / np.sqrt(power)


def _teeth(rng, rows, freqs, hiss, centre):
    """Spectra of noise that teeth and lips make."""
    level = np.zeros(rows)
    level[:-1] = hiss
    centre = np.append(np.broadcast_to(centre, rows - 1), 3000.0)
    loud = np.flatnonzero(level > 1e-4)
    octaves = np.log2(np.maximum(freqs, 30) / centre[loud, None])
    # Steeper below the cavity's resonance than above.
    gain = np.exp(-np.where(octaves < 0, 4.0, 1.2) * octaves**2) + 0.02
    gain /= np.sqrt((gain**2).sum(1, keepdims=True))
    gain *= level[loud, None] * (len(freqs) - 1)
    out = np.zeros((rows, len(freqs)), complex)
    draws = rng.standard_normal((2, *gain.shape))
    out[loud] = gain * (draws[0] + 1j * draws[1])
    return out


# --- speech ------------------------------------------------------------------


def _syllable(rng, rows, start, length, size, loud, breath):
    """Append the knots of a consonant and a vowel to `rows`.

    A knot is time, five formants, voiced, breath, hiss and its centre.
    """
    letter = rng.choice(list(CONSONANTS))
    locus, voiced, hiss, centre, stop, puff = CONSONANTS[letter]
    centre *= 0.5 + 0.5 * size
    hiss *= rng.uniform(0.5, 1.3)
    names = list(VOWELS)
    open_ = vowel(rng.choice(names), size)
    end = open_ if rng.random() < 0.6 else vowel(rng.choice(names), size)
    shut = open_.copy()
    if locus is not None:
        shut[:3] = 0.8 * np.array(locus) * size + 0.2 * shut[:3]
    onset = min(rng.uniform(0.05, 0.13), 0.5 * length)
    voiced = voiced * loud

    def knot(time, shape, folds, gust, teeth=0.0):
        rows.append([start + time, *shape, folds, gust, teeth, centre])

    if stop:
        release = 0.7 * onset
        knot(0.01, shut, voiced, 0)
        knot(release, shut, voiced, 0)
        knot(release + 0.006, shut, voiced, puff * 0.5, hiss)
        knot(release + 0.018, 0.6 * shut + 0.4 * open_, voiced, puff, hiss / 4)
        onset += 0.02 + (0.03 if voiced == 0 else 0)
    else:
        knot(0.015, shut, voiced, puff, hiss)
        knot(onset, shut, voiced, puff, hiss)
    knot(onset + 0.025, 0.3 * shut + 0.7 * open_, loud, breath + puff * 0.3)
    knot(max(onset + 0.05, 0.35 * length), open_, loud, breath)
    knot(max(onset + 0.06, 0.85 * length), end, 0.75 * loud, breath)


def _tracks(rows, duration):
    """Interpolate knots to tracks for `utter`."""
    n = _rows(duration)
    if not rows:
        rows = [[0.0, *VOWELS["uh"], 0.0, 0.0, 0.0, 3000.0]]
    rows = np.array(rows)
    order = np.argsort(rows[:, 0], kind="stable")
    rows, t = rows[order], np.arange(n) * HOP
    tracks = np.stack([np.interp(t, rows[:, 0], r) for r in rows.T[1:]], 1)
    return {
        "formants": tracks[:, :-4],
        "voiced": tracks[:, -4],
        "breath": tracks[:, -3],
        "hiss": tracks[:, -2],
        "centre": tracks[:, -1],
    }


def speak(rng, sample_rate, knots, tune, seconds, **manner):
    """Let a throat go from knot to knot.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    knots : list of list of float
        Each is a time, five formants, loudness of folds, of breath and of hiss,
        and the pitch of the hiss.
    tune : list of tuple
        Times and pitches in Hz.
    seconds : float
        Length.
    **manner
        More arguments of `utter`.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> shape = vowel("a", 1.0)
    >>> knots = [[0, *shape, 0, 0, 0, 3e3], [0.2, *shape, 1, 0, 0, 3e3]]
    >>> tune = [(0, 100.0), (0.2, 130.0)]
    >>> speak(np.random.default_rng(0), 8000, knots, tune, 0.2).shape
    (1600,)
    """
    tracks = _tracks(knots, seconds)
    t = np.arange(len(tracks["voiced"])) * HOP
    pitch = np.interp(t, *np.array(tune).T)
    return utter(rng, sample_rate, pitch, **tracks, **manner)


def _babble(rng, duration, people, rate, lively=0.15, breath=0.05, pause=0.4):
    """Tracks of people who take turns: phrases of syllables, pauses, breaths.

    Pitch falls along a phrase, is higher on stressed syllables and ends low,
    or high after a question.
    """
    rows, tune = [], []
    time = rng.uniform(-0.8, 0.25)
    turn = rng.integers(len(people))
    while time < duration:
        f0, size = people[turn]
        count = int(rng.integers(2, 13))
        pace = rate * np.exp(0.12 * rng.standard_normal())
        top = np.exp(lively * rng.uniform(0.3, 1.2))
        last = rng.choice([0.75, 0.85, 1.3], p=[0.5, 0.35, 0.15])
        level = np.exp(0.2 * rng.standard_normal())
        if rng.random() < 0.35:  # breathes in first
            shape = vowel("er", size)
            for dt, gust in ((-0.3, 0), (-0.15, 0.08), (-0.05, 0)):
                rows.append([time + dt, *shape, 0, gust, 0, 3000.0])
        rows.append([time, *vowel("uh", size), 0, 0, 0, 3000.0])
        for i in range(count):
            stress = rng.random() < 0.35
            length = (1.35 if stress else 0.85) / pace
            length *= np.exp(0.2 * rng.standard_normal())
            if i == count - 1:
                length *= 1.5
            loud = level * (1 if stress else 0.65) * (1 - 0.35 * i / count)
            _syllable(rng, rows, time, length, size, loud, breath)
            fall = top ** (1 - 2 * i / count)
            accent = np.exp(lively * (1.0 if stress else -0.2) * rng.random())
            tune.append((time + 0.4 * length, f0 * fall * accent))
            if i == count - 1:
                tune.append((time + length, f0 * last))
            time += length
        rows.append([time + 0.03, *vowel("uh", size), 0, 0, 0, 3000.0])
        time += log_uniform(rng, 0.3, 2.5) * pause
        if rng.random() < 0.5:
            turn = rng.integers(len(people))
    tracks = _tracks(rows, duration)
    tune = np.array(tune)
    t = np.arange(_rows(duration)) * HOP
    tracks["pitch"] = np.exp(np.interp(t, tune[:, 0], np.log(tune[:, 1])))
    return tracks


def _speech(rng, duration, sample_rate, kind=None):
    """Somebody speaks, now and then with a partner, in a manner of their own."""
    people = [person(rng, kind)]
    if rng.random() < 0.2:
        people.append(person(rng, kind))
    child = people[0][0] > 220
    rate = rng.uniform(2.6, 4.8) if child else rng.uniform(3, 6.3)
    breath = log_uniform(rng, 0.01, 0.25)
    tracks = _babble(
        rng,
        duration,
        people,
        rate,
        rng.uniform(0.15, 0.5) if child else rng.uniform(0.05, 0.35),
        breath,
        log_uniform(rng, 0.15, 0.9),
    )
    return utter(
        rng,
        sample_rate,
        **tracks,
        tilt=log_uniform(rng, 700, 4000),
        jitter=rng.uniform(0.003, 0.02),
        growl=rng.choice([0.0, rng.uniform(0.1, 0.5)], p=[0.75, 0.25]),
        width=rng.uniform(0.8, 1.6),
        bright=rng.uniform(-0.2, 0.8),
    )


@sound("speech")
def speech(rng, duration, sample_rate):
    """Anybody's talk: 3-6 syllables a second, phrases, pauses, falling pitch."""
    return _speech(rng, duration, sample_rate)


@sound("female speech")
def female_speech(rng, duration, sample_rate):
    """A woman talks: 160-260 Hz."""
    return _speech(rng, duration, sample_rate, "woman")


@sound("male speech")
def male_speech(rng, duration, sample_rate):
    """A man talks: 80-155 Hz."""
    return _speech(rng, duration, sample_rate, "man")


@sound("child speech")
def child_speech(rng, duration, sample_rate):
    """A child talks: high, slow, and up and down."""
    return _speech(rng, duration, sample_rate, "child")


@sound("whispering")
def whispering(rng, duration, sample_rate):
    """Speech without folds: breath through the moving mouth, clear hiss."""
    people = [person(rng)]
    tracks = _babble(
        rng,
        duration,
        people,
        rng.uniform(2.5, 5.5),
        pause=log_uniform(rng, 0.2, 1.2),
    )
    tracks["breath"] = 1.2 * tracks["breath"] + tracks["voiced"]
    tracks["voiced"] = 0.0 * tracks["voiced"]
    tracks["hiss"] = tracks["hiss"] * rng.uniform(0.5, 1.5)
    tracks["formants"] = tracks["formants"] * [1.15, 1.05, 1, 1, 1]
    sig = utter(rng, sample_rate, **tracks, width=rng.uniform(1.5, 3.5))
    return band(sig, sample_rate, rng.uniform(150, 600), order=1)


def _shout(rng, f0, size, seconds, sample_rate, names=None):
    """One drawn-out call on a vowel or two: "hey", "wooo", "yeah"."""
    names = names or rng.choice(["a", "ae", "e", "o", "u", "i", "uh"], 2)
    n = _rows(seconds)
    top = rng.uniform(1.1, 1.6)
    curve = [0.8, 1.0, top, rng.uniform(0.7, 1.2)]
    env = swell(n, 1 / HOP, 0.05, rng.uniform(0.1, 0.6) * seconds, 0.8)
    return utter(
        rng,
        sample_rate,
        f0 * contour(curve, n, [0, 0.2, rng.uniform(0.3, 0.7), 1]),
        [vowel(name, size * 1.08) for name in names],
        env,
        rng.uniform(0.05, 0.3) * env,
        tilt=log_uniform(rng, 2500, 9000),
        jitter=rng.uniform(0.005, 0.03),
        growl=rng.choice([0.0, rng.uniform(0.2, 0.7)]),
        bright=rng.uniform(0, 1),
    )


@sound("yelling")
def yelling(rng, duration, sample_rate):
    """Shouted words or calls: twice the speaking pitch, pressed, clipped."""
    kind = rng.choice(["man", "woman", "child"], p=[0.55, 0.3, 0.15])
    f0, size = person(rng, kind)
    high = f0 * log_uniform(rng, 1.7, 3.0)
    if rng.random() < 0.45:  # calls
        return sequence(
            rng,
            lambda _: _shout(
                rng,
                high * rng.uniform(0.9, 1.15),
                size,
                log_uniform(rng, 0.2, 1.3),
                sample_rate,
            ),
            duration,
            sample_rate,
            (1, 6),
            (0.08, 1.2),
        )
    tracks = _babble(
        rng,
        duration,
        [(high, size * 1.08)],
        rng.uniform(2.2, 4.5),
        rng.uniform(0.15, 0.4),
        rng.uniform(0.03, 0.2),
        log_uniform(rng, 0.2, 1.0),
    )
    tracks["voiced"] = np.minimum(1.5 * tracks["voiced"], 1.0)
    tracks["formants"] = tracks["formants"] * [1.2, 1, 1, 1, 1]
    return utter(
        rng,
        sample_rate,
        **tracks,
        tilt=log_uniform(rng, 3000, 9000),
        jitter=rng.uniform(0.005, 0.03),
        growl=rng.choice([0.0, rng.uniform(0.2, 0.8)]),
        bright=rng.uniform(0.2, 1),
    )


@sound("scream")
def scream(rng, duration, sample_rate):
    """A pressed voice driven into chaos: high, rough and long."""
    f0, size = person(rng)
    seconds = rng.uniform(0.5, min(2.5, max(duration, 0.6)))
    rise = log_uniform(rng, 2.5, 6)

    def make(_):
        n = _rows(seconds * rng.uniform(0.7, 1.3))
        top = rise * rng.uniform(0.85, 1.15)
        env = swell(n, 1 / HOP, 0.06, rng.uniform(0.1, 0.5))
        rough = np.clip(wander(rng, n, 1 / HOP, 3), 0, 0.9)
        return utter(
            rng,
            sample_rate,
            np.minimum(f0 * contour([top * 0.7, top, top, 0.6 * top], n), 2200),
            vowel(rng.choice(["a", "ae"]), size * 1.1),
            env,
            rng.uniform(0.1, 0.6) * env,
            tilt=8000,
            jitter=rng.uniform(0.01, 0.05),
            growl=rough,
            growl_rate=rng.uniform(50, 180),
            width=1.5,
            bright=0.8,
        )

    return sequence(rng, make, duration, sample_rate, (1, 3), (0.2, 1.5))


# --- crying ------------------------------------------------------------------


def _wail(rng, seconds, f0, mouth, sample_rate, kind, press, rough):
    """One breath of crying: pitch rises, holds and falls; folds overblow."""
    n = _rows(seconds)
    top = rng.uniform(1.05, 1.4)
    curve = {
        "arch": [0.75, 1.0, top, 1.0, rng.uniform(0.6, 0.9)],
        "fall": [0.9, top, 1.1, 0.9, rng.uniform(0.55, 0.8)],
        "flat": [0.85, 1.05, 1.08, 1.05, rng.uniform(0.8, 1.0)],
        "rise": [0.7, 0.85, 1.0, top, rng.uniform(0.9, 1.1)],
    }[kind]
    at = [0, rng.uniform(0.08, 0.22), rng.uniform(0.35, 0.6), 0.8, 1]
    pitch = f0 * contour(curve, n, at)
    pitch *= 1 + rng.uniform(0.003, 0.03) * tone(rng.uniform(5, 9), 1 / HOP, n)
    t = np.linspace(0, 1, n)
    if rng.random() < 0.15 and seconds > 0.5:  # breaks into a higher register
        jump = rng.uniform(0.2, 0.7)
        inside = (t > jump) & (t < jump + rng.uniform(0.08, 0.3))
        pitch = np.where(inside, pitch * rng.uniform(1.6, 2.2), pitch)
    env = swell(n, 1 / HOP, rng.uniform(0.03, 0.15), 0.3 * seconds, 0.8)
    env *= 1 + 0.12 * wander(rng, n, 1 / HOP, 8)
    if rng.random() < 0.2:  # sobs: "eh-eh-eh"
        env *= tremolo(n, 1 / HOP, rng.uniform(5, 10), rng.uniform(0.3, 0.9))
    # Chaos comes and goes within a wail.
    growl = rough * np.clip(wander(rng, n, 1 / HOP, 4), 0, 1)
    closed = mouth * [0.5, 0.85, 0.97, 1, 1]
    wide = mouth * [rng.uniform(0.9, 1.25), rng.uniform(0.85, 1.1), 1, 1, 1]
    return utter(
        rng,
        sample_rate,
        pitch,
        [closed, wide, wide, 0.5 * (wide + mouth), closed],
        env,
        env * (rng.uniform(0.05, 0.3) + growl),
        tilt=6000,
        bright=press,
        jitter=rng.uniform(0.003, 0.02),
        shimmer=rng.uniform(0.05, 0.25),
        growl=growl,
        growl_rate=None if rng.random() < 0.6 else rng.uniform(60, 140),
        width=rng.uniform(1.5, 3.5),
    )


def _cry(rng, duration, sample_rate):
    """Wails, each followed by a gasp for air, in one of a few styles."""
    style = rng.choice(
        ["wail", "newborn", "fuss", "toddler"], p=[0.45, 0.3, 0.1, 0.15]
    )
    f0 = log_uniform(rng, 330, 560)
    mouth = np.array([1050, 2900, 4700, 6400, 8200]) * rng.uniform(0.82, 1.15)
    if style == "toddler":
        f0, mouth = 0.85 * f0, 0.8 * mouth
    length = {
        "wail": rng.uniform(0.7, 1.7),
        "newborn": rng.uniform(0.3, 0.8),
        "fuss": rng.uniform(0.12, 0.45),
        "toddler": rng.uniform(0.6, 2.5),
    }[style]
    usual = rng.choice(["arch", "fall", "flat", "rise"], p=[0.5, 0.3, 0.1, 0.1])
    press = rng.uniform(0.2, 1.3)
    rough = rng.choice([0.0, rng.uniform(0.3, 1.0)], p=[0.35, 0.65])
    gasp = rng.choice([0.0, log_uniform(rng, 0.02, 0.25)], p=[0.2, 0.8])
    rest = log_uniform(rng, 0.02, 1.2 if style == "fuss" else 0.4)
    n = n_samples(duration, sample_rate)
    out, time = np.zeros(n), rng.uniform(-0.6, 0.3)
    strain = np.exp(0.5 * wander(rng, 60, 1.0, 0.4))
    while time < duration:
        seconds = length * np.exp(0.3 * rng.standard_normal())
        kind = usual if rng.random() < 0.7 else "arch"
        heat = strain[int(2 * max(time, 0)) % 60]
        pitch = f0 * heat**0.15 * np.exp(0.05 * rng.standard_normal())
        cry = _wail(rng, seconds, pitch, mouth, sample_rate, kind, press, rough)
        cry = cry[int(max(-time, 0) * sample_rate) :]
        out += scatter([max(time, 0)], [cry], n, sample_rate, [heat])
        time += seconds + rng.uniform(0.02, 0.12)
        inhale = rng.uniform(0.1, 0.35)
        m = _rows(inhale)
        env = swell(m, 1 / HOP, 0.6 * inhale, 0.25 * inhale)
        squeal = rng.random() < 0.35  # the folds squeak on the way in
        breath = utter(
            rng,
            sample_rate,
            f0 * rng.uniform(1, 2) * contour([0.9, 1.2, 1.5], m),
            mouth,
            env * rng.uniform(0.5, 2) if squeal else 0 * env,
            2 * env,
            tilt=2000,
            width=4,
        )
        out += scatter([max(time, 0)], [gasp * breath], n, sample_rate)
        time += inhale + rest * np.exp(0.4 * rng.standard_normal())
        if style == "newborn" and rng.random() < 0.15:
            time += rng.uniform(0.3, 0.9)
    return out


@sound("crying baby")
def crying_baby(rng, duration, sample_rate):
    """Wails of 0.3-2 s at 300-600 Hz with a gasp between; someone soothes."""
    out = _cry(rng, duration, sample_rate)
    if rng.random() < 0.08:  # a parent speaks, or a toy hangs around
        talk = _speech(rng, duration, sample_rate, "woman")
        m = min(len(out), len(talk))
        level = rng.uniform(0.05, 0.25) * np.std(out) / (np.std(talk) + 1e-9)
        out[:m] += level * talk[:m]
    return out


# --- laughing ----------------------------------------------------------------

# rate of calls, pitch over speech, voiced share, length of a bout, vowels
LAUGHS = {
    "hearty": ((4.2, 5.8), (1.5, 2.8), (0.35, 0.65), (4, 14), "a uh ae er"),
    "giggle": ((5.2, 8.0), (1.5, 2.6), (0.35, 0.7), (3, 12), "i e er uh"),
    "chuckle": ((4.0, 6.0), (0.9, 1.4), (0.3, 0.6), (2, 6), "uh er u o"),
    "slow": ((2.2, 3.8), (0.9, 2.0), (0.4, 0.75), (3, 9), "a o uh"),
    "breathy": ((4.5, 6.5), (1.2, 2.2), (0.2, 0.45), (3, 12), "er e uh"),
    "cackle": ((5.0, 7.5), (2.0, 3.4), (0.45, 0.75), (4, 12), "ae e a i"),
}


def _laugh(rng, f0, size, sample_rate, style):
    """A bout on one breath: "ha" after "ha", pitch and strength running out."""
    rates, highs, shares, counts, vowels = LAUGHS[style]
    rate, high = rng.uniform(*rates), log_uniform(rng, *highs)
    share = rng.uniform(*shares)
    count = int(rng.integers(*counts))
    shape = vowel(rng.choice(vowels.split()), size * rng.uniform(0.95, 1.1))
    puff = log_uniform(rng, 0.08, 0.6) * (2.5 if style == "breathy" else 1)
    loud = 0.25 if style == "breathy" else 1.0
    rows, tune, time = [], [], 0.02
    peak = rng.uniform(0, 0.4)  # of the bout, where it is loudest
    for i in range(count):
        x = i / count
        fall = 1 - rng.uniform(0.6, 0.9) * abs(x - peak) ** 1.2
        first = i == 0 and rng.random() < 0.5
        length = (rng.uniform(1.3, 3.0) if first else 1.0) / rate
        length *= np.exp(0.1 * rng.standard_normal()) * (1 + 0.25 * x)
        part = (1 - share) * length if not first else 0.3 / rate
        mouth = shape * [1 + 0.1 * rng.standard_normal(), 1, 1, 1, 1]
        level = loud * fall * np.exp(0.2 * rng.standard_normal())
        begin, stop = time + part, time + length
        hold = begin + 0.5 * (stop - begin)
        for at, folds, gust in (
            (time, 0.0, 0.3 * puff * fall),
            (time + 0.6 * part, 0.0, puff * fall),
            (begin, 0.15 * level, puff * fall),
            (begin + 0.025, level, 0.3 * puff * fall),
            (hold, 0.8 * level, 0.1 * puff),
            (stop - 0.01, 0.05 * level, 0.2 * puff * fall),
        ):
            rows.append([at, *mouth, folds, gust, 0, 3000.0])
        pitch = f0 * (1 + (high - 1) * fall) * np.exp(0.06 * rng.normal())
        tune += [(begin, 0.92 * pitch), (begin + 0.04, 1.06 * pitch)]
        tune += [(stop - 0.01, rng.uniform(0.72, 0.95) * pitch)]
        time += length
    rows.append([time + 0.03, *shape, 0, 0, 0, 3000.0])
    if rng.random() < 0.6:  # draws breath, with a voice or without
        gap, inhale = time + rng.uniform(0.05, 0.15), rng.uniform(0.2, 0.6)
        voiced = rng.choice([0.0, 0.3], p=[0.65, 0.35]) * loud
        lips = vowel(rng.choice(["i", "er", "ae"]), size)
        level = rng.uniform(0.1, 0.5)
        for at, gain in ((0.0, 0.0), (0.7, 1.0), (1.0, 0.0)):
            knot = [gap + at * inhale, *lips, gain * voiced, gain * level]
            rows.append([*knot, 0, 3000.0])
        tune += [(gap, 1.4 * high * f0), (gap + inhale, 2 * high * f0)]
        time = gap + inhale
    return speak(
        rng,
        sample_rate,
        rows,
        tune,
        time + 0.05,
        tilt=log_uniform(rng, 900, 6000),
        jitter=rng.uniform(0.005, 0.03),
        growl=rng.choice([0.0, rng.uniform(0.2, 0.7)], p=[0.7, 0.3]),
        width=rng.uniform(0.9, 2.0),
        bright=rng.uniform(0, 0.8),
    )


def _laughter(rng, duration, sample_rate, baby=0.15):
    """Bouts of one person's laughter."""
    f0, size = person(rng)
    style = rng.choice(list(LAUGHS), p=[0.35, 0.2, 0.15, 0.08, 0.1, 0.12])
    if rng.random() < baby:
        f0, size = rng.uniform(250, 400), rng.uniform(1.4, 1.7)
    return sequence(
        rng,
        lambda _: _laugh(rng, f0, size, sample_rate, style),
        duration,
        sample_rate,
        (1, 6),
        (0.03, 0.8),
    )


@sound("laughing")
def laughing(rng, duration, sample_rate):
    """Hearty, giggling, chuckling, slow, breathless, cackling; or an audience."""
    out = _laughter(rng, duration, sample_rate)
    company = rng.choice([0, 1, 6, 30], p=[0.7, 0.13, 0.1, 0.07])
    if company:
        other = _laughter(rng, duration, sample_rate, 0)
        out = _multiply(rng, [out, other], company, sample_rate)
        if company > 1 and rng.random() < 0.5:
            out = out * contour([0.3, 1, 0.7, 0.1], len(out))
    return out


# --- many people -------------------------------------------------------------


def _multiply(rng, takes, count, sample_rate):
    """`count` more people from a few takes: shifted in time, size and level."""
    n = min(len(take) for take in takes)
    voices = []
    for take in takes:
        for speed in (1.0, rng.uniform(0.75, 0.95), rng.uniform(1.05, 1.35)):
            where = np.arange(n) * speed % (len(take) - 1)
            voices.append(np.interp(where, np.arange(len(take)), take))
    voices = [v / (np.std(v) + 1e-9) for v in voices]
    out = sum(voices[: len(takes) * 3 : 3])
    for i in range(int(count)):
        level = log_uniform(rng, 0.15, 1.0)
        out = out + level * np.roll(voices[i % len(voices)], rng.integers(n))
    return out


@sound("crowd chatter")
def crowd_chatter(rng, duration, sample_rate):
    """Many talk at once, most of them far: a restaurant, a foyer, a market."""
    people = [person(rng) for _ in range(3)]
    tracks = _babble(rng, duration, people, rng.uniform(3.5, 6), pause=0.25)
    takes = [utter(rng, sample_rate, **tracks, tilt=1500)]
    count = log_uniform(rng, 3, 40)
    out = _multiply(rng, takes, count, sample_rate)
    wash = band_noise(rng, len(out), sample_rate, 200, 2500, 1)
    return out + rng.uniform(0, 0.3) * np.std(out) * wash


@sound("cheering")
def cheering(rng, duration, sample_rate):
    """A crowd shouts "wooo" and "yeah": a roar of held vowels that swells.

    Whistles and clapping hands come along, from a bar to a stadium.
    """
    n = n_samples(duration, sample_rate)
    people = log_uniform(rng, 15, 250)
    shouts = []
    for _ in range(7):
        f0, size = person(rng)
        pitch = f0 * log_uniform(rng, 1.5, 3.5)
        names = [["u", "u"], ["e", "a"], ["a", "ae"], ["u", "o"], ["i", "a"]]
        seconds = log_uniform(rng, 0.4, 2.0)
        picked = names[rng.integers(len(names))]
        shouts.append(_shout(rng, pitch, size, seconds, sample_rate, picked))
    order = rng.permutation(len(shouts))
    out = np.zeros(n + sample_rate)
    count = int(people * max(duration, 1) / 2.5)
    times = rng.uniform(0, duration + 1, count)
    gains = np.exp(0.6 * rng.standard_normal(count))
    mixed = [shouts[i] for i in order]
    out = scatter(times, mixed, len(out), sample_rate, gains)[-n:]
    out /= np.std(out) + 1e-9
    centre = rng.uniform(0.8, 1.3) * np.array([650, 1200, 2500])
    roar = air(rng, n, sample_rate, centre, 0.1, rng.uniform(0.5, 0.9))
    out += rng.uniform(0.1, 0.9) * np.log10(people) / 2 * roar
    if rng.random() < 0.4:  # two fingers in the mouth
        times = rng.uniform(0, duration, rng.integers(1, 6))
        for time in times:
            seconds = rng.uniform(0.2, 0.8)
            m = n_samples(seconds, sample_rate)
            glide = rng.uniform(1800, 3500) * contour([0.8, 1.15, 0.85], m)
            whistle = tone(glide, sample_rate) * swell(
                m, sample_rate, 0.05, 0.1
            )
            out += scatter([time], [whistle], n, sample_rate, [0.6])
    if rng.random() < 0.5:  # hands
        clap = band_noise(rng, n, sample_rate, 800, 5000, 1)
        hits = np.abs(wander(rng, n, sample_rate, 60)) ** 2
        out += rng.uniform(0.05, 0.4) * clap * hits
    rise = rng.choice(["up", "down", "steady", "goal"])
    shape = {
        "up": [0.2, 0.5, 0.9, 1, 1],
        "down": [1, 1, 0.7, 0.4, 0.15],
        "steady": [1, 0.8, 1, 0.9, 1],
        "goal": [0.15, 1, 1, 0.8, 0.5],
    }[str(rise)]
    return out * contour(shape, n)


@sound("children playing")
def children_playing(rng, duration, sample_rate):
    """A playground: shouts, laughs, squeals and chatter, near and far."""
    n = n_samples(duration, sample_rate)
    events = []
    for kind in ("call", "call", "squeal", "laugh", "talk"):
        f0, size = person(rng, "child")
        if kind == "call":
            sig = _shout(
                rng,
                f0 * log_uniform(rng, 1.2, 2.5),
                size,
                log_uniform(rng, 0.15, 0.9),
                sample_rate,
            )
        elif kind == "squeal":
            names = ["i", "e"]
            pitch = log_uniform(rng, 800, 1700)
            seconds = rng.uniform(0.3, 1.0)
            sig = _shout(rng, pitch, size, seconds, sample_rate, names)
        elif kind == "laugh":
            style = rng.choice(["giggle", "hearty"])
            sig = _laugh(rng, f0, size, sample_rate, style)
        else:
            tracks = _babble(rng, 1.5, [(1.3 * f0, size)], 4.0, 0.4)
            sig = utter(rng, sample_rate, **tracks, tilt=5000)
        sig = sig / (np.std(sig) + 1e-9)
        events.append(sig)
        dull = band(sig, sample_rate, 300, log_uniform(rng, 1500, 5000), 1)
        events += [dull, _faster(sig, rng.uniform(0.8, 0.95))]
        events.append(_faster(dull, rng.uniform(1.05, 1.3)))
    rate = log_uniform(rng, 1.0, 8.0)
    times = rng.uniform(-1, duration, rng.poisson(rate * (duration + 1)) + 1)
    picked = rng.permutation(len(events))
    gains = np.exp(0.8 * rng.standard_normal(len(times)))
    times = times + 1
    out = scatter(
        times,
        [events[i] for i in picked],
        n + sample_rate,
        sample_rate,
        gains,
    )[-n:]
    if rng.random() < 0.7:  # the many behind
        murmur = sum(
            np.roll(out, rng.integers(len(out))) * rng.uniform(0.3, 1)
            for _ in range(6)
        )
        murmur = band(murmur, sample_rate, 250, rng.uniform(1200, 3000), 1)
        out = out + rng.uniform(0.1, 0.5) * murmur
    if rng.random() < 0.3:  # a ball bounces
        m = n_samples(0.2, sample_rate)
        thud = tone(rng.uniform(80, 250), sample_rate, m)
        thud = thud + 0.3 * band_noise(rng, m, sample_rate, 200, 2500)
        thud *= percussive(m, sample_rate, 0.001, 0.12)
        at = rng.uniform(0, duration, rng.integers(1, 6))
        out += scatter(at, [thud * 2 * np.std(out)], n, sample_rate)
    return out


def _faster(sig, speed):
    """Replay at another speed: a smaller or larger throat."""
    where = np.arange(0, len(sig) - 1, speed)
    return np.interp(where, np.arange(len(sig)), sig)


# --- song --------------------------------------------------------------------

SCALES = (
    (0, 2, 4, 5, 7, 9, 11, 12),
    (0, 2, 3, 5, 7, 8, 10, 12),
    (0, 2, 4, 7, 9, 12),
    (0, 3, 5, 7, 10, 12),
)


def _song(rng, duration, sample_rate, kind=None, hum=False):
    """Notes of a scale on held syllables, with portamento and vibrato.

    Sung as at home, on a stage, in an opera or with "la la la".
    """
    f0, size = person(rng, kind)
    style = rng.choice(
        ["plain", "pop", "opera", "slow"], p=[0.4, 0.3, 0.2, 0.1]
    )
    f0 *= rng.uniform(1.0, 1.9) * (1.3 if style == "opera" else 1)
    scale = np.array(SCALES[rng.integers(len(SCALES))])
    beat = {
        "plain": rng.uniform(0.25, 0.6),
        "pop": rng.uniform(0.18, 0.5),
        "opera": rng.uniform(0.4, 1.2),
        "slow": rng.uniform(0.7, 2.0),
    }[style]
    depth = (
        rng.uniform(0.0, 0.012)
        if style != "opera"
        else rng.uniform(0.012, 0.03)
    )
    rows, tune, time = [], [], rng.uniform(-beat, 0.3)
    step = rng.integers(len(scale))
    breath = log_uniform(rng, 0.01, 0.15)
    while time < duration:
        for _ in range(rng.integers(3, 10)):
            length = beat * rng.choice([0.5, 1, 1, 1.5, 2, 3])
            step = int(np.clip(step + rng.integers(-2, 3), 0, len(scale) - 1))
            note = f0 * 2 ** (scale[step] / 12)
            loud = np.exp(0.15 * rng.standard_normal())
            if rng.random() < 0.8 or not rows:
                _syllable(rng, rows, time, length, size, loud, breath)
            else:  # another note on the same vowel
                rows.append([time + 0.8 * length, *rows[-1][1:]])
            scoop = rng.choice([1.0, rng.uniform(0.9, 0.98)])
            tune += [
                (time, scoop * note),
                (time + rng.uniform(0.03, 0.12), note),
            ]
            tune += [(time + 0.95 * length, note)]
            time += length
        rows.append([time, *rows[-1][1:-4], 0, 0, 0, 3000.0])
        rest = rng.uniform(0.1, 0.7)
        rows.append([time + rest, *rows[-1][1:-4], 0, 0, 0, 3000.0])
        time += rest
    tracks, tune = _tracks(rows, duration), np.array(tune)
    n = len(tracks["voiced"])
    t = np.arange(n) * HOP
    pitch = np.exp(np.interp(t, tune[:, 0], np.log(tune[:, 1])))
    swing = np.clip(0.6 + 0.6 * wander(rng, n, 1 / HOP, 2), 0, 1.3)
    pitch *= 1 + depth * swing * tone(rng.uniform(4.5, 6.8), 1 / HOP, n)
    if style == "opera":  # the upper formants crowd into a singer's formant
        ring = 2900 * (0.6 + 0.4 * size)
        tracks["formants"][:, 2:] = ring * np.array([0.88, 1.0, 1.14])
    if hum:
        nose = np.array([280, 1000, 2200, 3300, 4400]) * size
        tracks["formants"] = np.tile(nose, (n, 1))
        tracks["voiced"] = 0.15 + 0.85 * np.minimum(tracks["voiced"], 1)
        tracks["hiss"] = 0 * tracks["hiss"]
        tracks["breath"] = 0.02 + 0 * tracks["breath"]
    return utter(
        rng,
        sample_rate,
        pitch,
        **tracks,
        tilt=500.0 if hum else log_uniform(rng, 1200, 6000),
        jitter=rng.uniform(0.002, 0.008),
        shimmer=0.06,
        width=rng.uniform(0.8, 1.5),
        bright=rng.uniform(-0.1, 0.9),
    )


@sound("female singing")
def female_singing(rng, duration, sample_rate):
    """A woman sings at 200-700 Hz; sometimes a second voice doubles her."""
    return _choir(rng, _song(rng, duration, sample_rate, "woman"), sample_rate)


@sound("male singing")
def male_singing(rng, duration, sample_rate):
    """A man sings at 90-350 Hz; sometimes a second voice doubles him."""
    return _choir(rng, _song(rng, duration, sample_rate, "man"), sample_rate)


def _choir(rng, sig, sample_rate):
    """Mostly leave a voice alone; sometimes double it, a little off."""
    if rng.random() < 0.85:
        return sig
    out = sig.copy()
    for _ in range(rng.integers(1, 5)):
        late = _faster(sig, rng.uniform(0.994, 1.006))
        late = np.pad(late, (rng.integers(1, int(0.05 * sample_rate)), 0))
        m = min(len(late), len(out))
        out[:m] += rng.uniform(0.4, 1) * late[:m]
    return out


@sound("humming")
def humming(rng, duration, sample_rate):
    """Singing with the mouth shut: only the lowest resonances get out."""
    sig = _song(rng, duration, sample_rate, hum=True)
    return band(sig, sample_rate, 80, rng.uniform(400, 1200), 1)


@sound("whistling")
def whistling(rng, duration, sample_rate):
    """Lips as a resonator: an almost pure gliding tone and some air."""
    low = log_uniform(rng, 800, 1800)

    def make(_):
        seconds = rng.uniform(0.15, 0.9)
        n = n_samples(seconds, sample_rate)
        pitch = low * contour(2 ** rng.uniform(0, 1, 3), n)
        pitch *= 1 + 0.012 * tone(rng.uniform(4, 7), sample_rate, n)
        sig = tone(pitch, sample_rate) + 0.03 * tone(2 * pitch, sample_rate)
        sig += rng.uniform(0.01, 0.1) * band_noise(
            rng, n, sample_rate, low, 4 * low
        )
        return sig * swell(n, sample_rate, 0.04, 0.06)

    return sequence(rng, make, duration, sample_rate, (2, 10), (0.02, 0.5))
