"""Sounds of drums, cymbals and gongs.

An underscore and a drum's name makes one stroke; the generators lay strokes out
in single blows and patterns.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["hi-hat"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    contour,
    log_uniform,
    modes,
    n_samples,
    noise,
    normalise,
    percussive,
    regular_times,
    scatter,
    soft_clip,
    struck_body,
    tone,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS", "drum_beat"]


# --- drums -------------------------------------------------------------------


def _kick(rng, sample_rate):
    """A bass drum: the skin's pitch drops as it slackens; a beater clicks."""
    style = rng.choice(["kit", "electronic", "orchestra"], p=[0.5, 0.3, 0.2])
    decay = {
        "kit": log_uniform(rng, 0.15, 0.5),
        "electronic": log_uniform(rng, 0.2, 1.2),
        "orchestra": log_uniform(rng, 0.8, 2.5),
    }[style]
    n = n_samples(1.1 * decay + 0.05, sample_rate)
    base = log_uniform(rng, 38, 85)
    t = np.arange(n) / sample_rate
    drop = log_uniform(rng, 0.5, 4) * (0.2 if style == "orchestra" else 1)
    glide = base * (1 + drop * np.exp(-t / log_uniform(rng, 0.008, 0.06)))
    skin = tone(glide, sample_rate) * percussive(n, sample_rate, 0.002, decay)
    if style == "electronic":
        skin = soft_clip(skin, log_uniform(rng, 0.3, 5))
    shell = modes(n, sample_rate, *struck_body(rng, 70, 600, 6, 0.5 * decay))
    beater = band_noise(
        rng, n, sample_rate, 200, log_uniform(rng, 800, 6000), 1
    )
    beater *= percussive(n, sample_rate, 0.0005, log_uniform(rng, 0.008, 0.05))
    return (
        skin
        + rng.uniform(0, 0.3) * normalise(shell)
        + log_uniform(rng, 0.02, 0.4) * normalise(beater)
    )


def _snare(rng, sample_rate):
    """Two skins and rattling wires."""
    n = n_samples(0.5, sample_rate)
    base = log_uniform(rng, 140, 280)
    skin = modes(n, sample_rate, [base, 1.7 * base], [0.15, 0.1], [1, 0.6])
    wires = band_noise(
        rng, n, sample_rate, log_uniform(rng, 500, 2000), 12000, 1
    )
    wires *= percussive(n, sample_rate, 0.001, log_uniform(rng, 0.1, 0.4))
    return normalise(skin) + rng.uniform(0.4, 1.2) * normalise(wires)


def _cymbal(rng, sample_rate, decay, low):
    """Thin bronze: a dense cloud of partials, whose treble dies first."""
    n = n_samples(1.1 * decay + 0.02, sample_rate)
    sig = np.zeros(n)
    for share in (1.0, 1.8, 3.0):
        part = band_noise(
            rng, n, sample_rate, low * share, 2.2 * low * share, 1
        )
        sig += part * percussive(n, sample_rate, 0.001, decay * share**-0.4)
    ring = struck_body(rng, 0.6 * low, 4 * low, 14, decay, 0.0)
    sig = normalise(sig) + rng.uniform(0.1, 0.8) * normalise(
        modes(n, sample_rate, *ring)
    )
    return normalise(band(sig, sample_rate, 0.5 * low))


def _tom(rng, sample_rate, base):
    n = n_samples(0.6, sample_rate)
    t = np.arange(n) / sample_rate
    skin = tone(base * (1 + 0.3 * np.exp(-t / 0.05)), sample_rate)
    skin *= percussive(n, sample_rate, 0.001, rng.uniform(0.25, 0.6))
    tap = noise(rng, n, 0.5) * percussive(n, sample_rate, 0.0005, 0.03)
    return skin + 0.2 * normalise(tap)


@sound("bass drum")
def bass_drum(rng, duration, sample_rate):
    """A big drum or a kick: one deep thud, a few, or a steady pulse."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(["one", "few", "pulse"], p=[0.5, 0.2, 0.3])
    drum = _kick(rng, sample_rate)
    times = np.array([rng.uniform(0, 0.1 * duration)])
    if style == "few":
        gap = rng.uniform(0.5, 1.6)
        times = regular_times(rng, gap, duration, 0.15, 0.1)
        times = times[: rng.integers(2, 6)]
    elif style == "pulse":
        beat = rng.uniform(0.33, 0.75)
        steps = rng.random(8) < 0.35
        steps[[0, 4]] = True
        grid = np.arange(0, duration, beat / 2)
        times = grid[np.resize(steps, len(grid))]
    gains = np.exp(0.1 * rng.standard_normal(len(times)))
    return scatter(times, [drum], n, sample_rate, gains)


@sound("hi-hat")
def hi_hat(rng, duration, sample_rate):
    """Two small cymbals: closed ticks, open sizzles, pedal chicks, patterns."""
    n = n_samples(duration, sample_rate)
    low = log_uniform(rng, 2500, 6500)
    shut = _cymbal(rng, sample_rate, log_uniform(rng, 0.03, 0.15), low)
    loose = _cymbal(rng, sample_rate, log_uniform(rng, 0.3, 2.0), low)
    style = rng.choice(["shut", "loose", "pattern"], p=[0.3, 0.25, 0.45])
    if style != "pattern":
        grain = shut if style == "shut" else loose
        count = rng.choice([1, 2, 4], p=[0.6, 0.2, 0.2])
        gap = log_uniform(rng, 0.25, 1.5)
        times = regular_times(rng, gap, duration, 0.05, rng.uniform(0, 0.3))
        return scatter(times[:count], [grain], n, sample_rate)
    step = log_uniform(rng, 0.09, 0.4)
    times = regular_times(rng, step, duration, 0.02, 0.02)
    swing = rng.choice([0.0, 0.3]) * step
    times = times + swing * (np.arange(len(times)) % 2)
    accents = rng.uniform(0.4, 1, 8)
    opens = rng.random(8) < rng.uniform(0, 0.3)
    out = np.zeros(n)
    for i, time in enumerate(times):
        grain = loose if opens[i % 8] else shut
        stop = times[i + 1] if i + 1 < len(times) else duration + 9
        keep = int((stop - time) * sample_rate)  # closing chokes the sizzle
        gain = accents[i % 8] * np.exp(0.1 * rng.standard_normal())
        out += scatter([time], [grain[: max(keep, 1)]], n, sample_rate, [gain])
    return out


def drum_beat(rng, duration, sample_rate, beat):
    """A rock, funk or jazz beat of kick, snare and hats, and a fill.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    duration : float
        Seconds.
    sample_rate : int
        Rate.
    beat : float
        Seconds of a quarter note.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> drum_beat(np.random.default_rng(0), 1.0, 8000, 0.5).shape
    (8000,)
    """
    n = n_samples(duration, sample_rate)
    low = log_uniform(rng, 2500, 6000)
    kit = {
        "kick": _kick(rng, sample_rate),
        "snare": _snare(rng, sample_rate),
        "hat": _cymbal(rng, sample_rate, log_uniform(rng, 0.04, 0.25), low),
        "crash": _cymbal(rng, sample_rate, rng.uniform(0.8, 2), 0.5 * low),
        "tom": _tom(rng, sample_rate, log_uniform(rng, 80, 200)),
    }
    steps = {
        "kick": rng.random(16) < 0.15,
        "snare": rng.random(16) < 0.06,
        "hat": np.arange(16) % rng.choice([1, 2, 2, 4]) == 0,
        "crash": np.zeros(16, bool),
        "tom": rng.random(16) < rng.choice([0.0, 0.1]),
    }
    steps["kick"][[0, 8]] = True
    steps["snare"][[4, 12]] = True
    steps["snare"][[0, 8]] = False
    levels = {"kick": 1, "snare": 0.9, "hat": 0.35, "crash": 0.6, "tom": 0.8}
    grid = np.arange(0, duration, beat / 4)
    swing = rng.choice([0.0, rng.uniform(0.1, 0.5)]) * beat / 4
    grid = grid + swing * (np.arange(len(grid)) % 2)
    place = np.arange(len(grid)) + rng.integers(0, 16)
    fill = rng.choice([0, 12, 14])  # the last steps of every second bar
    filling = (place % 32 >= 16 + fill) & (fill > 0)
    out = np.zeros(n)
    for name, grain in kit.items():
        on = steps[name][place % 16] & ~filling
        if name in ("snare", "tom"):
            on |= filling & (rng.random(len(grid)) < 0.6)
        if name == "crash":
            on |= (place % 32 == 0) & (fill > 0)
        times = grid[on] + 0.006 * rng.standard_normal(on.sum())
        gains = levels[name] * np.exp(0.2 * rng.standard_normal(on.sum()))
        gains = gains * rng.uniform(0.5, 1.3)
        out += scatter(np.maximum(times, 0), [grain], n, sample_rate, gains)
    return out


@sound("drum kit")
def drum_kit(rng, duration, sample_rate):
    """A drummer: a beat with fills, a solo on the skins, or a snare roll."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(["beat", "solo", "roll"], p=[0.7, 0.2, 0.1])
    if style == "beat":
        beat = rng.uniform(0.33, 0.8)
        return drum_beat(rng, duration, sample_rate, beat)
    drums = [_snare(rng, sample_rate), _kick(rng, sample_rate)]
    base = log_uniform(rng, 70, 130)
    drums += [_tom(rng, sample_rate, base * f) for f in (1, 1.4, 1.9)]
    drums += [_cymbal(rng, sample_rate, 1.0, log_uniform(rng, 1500, 4000))]
    step = log_uniform(rng, 0.07, 0.16)
    if style == "roll":
        times = regular_times(rng, 0.5 * step, duration, 0.08)
        gains = contour(rng.uniform(0.2, 1, 4), len(times))
        return scatter(times, drums[:1], n, sample_rate, gains)
    times = regular_times(rng, step, duration, 0.04)
    times = times[rng.random(len(times)) < rng.uniform(0.5, 0.95)]
    order = np.repeat(rng.integers(0, 6, len(times)), rng.integers(1, 5))
    return scatter(
        times,
        lambda i: drums[order[i]],
        n,
        sample_rate,
        np.exp(0.35 * rng.standard_normal(len(times))),
    )


@sound("gong")
def gong(rng, duration, sample_rate):
    """A bronze plate: a soft blow whose shimmer rises after the boom.

    Tam-tams are all noise, tuned gongs have a note, small opera gongs glide.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["tam-tam", "tuned", "opera"], p=[0.45, 0.35, 0.2])
    base = log_uniform(rng, 55, 260) * (2.2 if style == "opera" else 1)
    decay = log_uniform(rng, 2.5, 12) * (0.25 if style == "opera" else 1)
    count = {"tam-tam": 24, "tuned": 12, "opera": 12}[style]
    ratios = np.sort(np.exp(rng.uniform(0, 3.2, count)))
    ratios[:2] = 1.0, 1.0 + log_uniform(rng, 0.002, 0.02)
    if style == "tuned":
        ratios[2:5] = np.array([2, 3, 4]) * rng.uniform(0.99, 1.01, 3)
    amps = rng.uniform(0.2, 1, count) * ratios ** -rng.uniform(0.3, 1.2)
    m = n_samples(min(decay, duration), sample_rate)
    body = modes(m, sample_rate, base * ratios, decay * ratios**-0.5, amps)
    rise = log_uniform(rng, 0.02, 0.7)
    shimmer = band_noise(
        rng, m, sample_rate, 6 * base, log_uniform(rng, 3000, 10000), 1
    )
    shimmer *= percussive(m, sample_rate, rise, 0.6 * decay + rise)
    shimmer *= 1 + 0.3 * wander(rng, m, sample_rate, 12)
    mix = rng.uniform(0.2, 0.9) if style == "tam-tam" else rng.uniform(0, 0.25)
    sig = normalise(body) + mix * normalise(shimmer)
    sig *= np.minimum(
        np.arange(m) / (rng.uniform(0.002, 0.02) * sample_rate), 1
    )
    if style == "opera":
        glide = 1 + rng.choice([-1, 1]) * 0.12 * contour([0, 0.8, 1], m)
        pace = np.cumsum(glide)
        sig = np.interp(pace - pace[0], np.arange(m), sig)
    blows = rng.choice([1, 2, 4], p=[0.65, 0.2, 0.15])
    gap = max(0.4, 0.35 * decay * rng.uniform(0.5, 1))
    times = regular_times(rng, gap, duration, 0.08, rng.uniform(0, 0.3))[:blows]
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    return scatter(times, [sig], n, sample_rate, gains)
