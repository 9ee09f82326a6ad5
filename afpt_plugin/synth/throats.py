"""Throats shared by the animals: one voice, its individuals and its rhythms.

A throat is a source that opens and closes (folds, a syrinx, a snout) through a
few resonances. What makes it hoarse happens from one cycle to the next, so
`throat` roughens whole cycles instead of modulating the sum.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import signal

from afpt_plugin.synth.dsp import (
    contour,
    noise,
    normalise,
    phase,
    regular_times,
    resonate,
    saw,
    scatter,
    swell,
    tone,
    wander,
)


def jittered(rng, values, spread=0.08):
    """Values, each off by a log-normal factor: formants of an individual.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    values : list
        Numbers, nested as they like.
    spread : float
        Standard deviation of the logarithm.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> jittered(np.random.default_rng(0), [500, 1500], 0.0).tolist()
    [500.0, 1500.0]
    """
    values = np.asarray(values, dtype=float)
    return values * np.exp(spread * rng.standard_normal(values.shape))


def throat(
    rng,
    pitch,
    sample_rate,
    formants,
    gains=None,
    breath=0.1,
    tilt=2000.0,
    jitter=0.01,
    shimmer=0.1,
    rough=0.0,
):
    """A source of cycles and breath through moving formants.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    pitch : numpy.ndarray
        Cycles per second, per sample; sets the length.
    sample_rate : int
        Rate.
    formants : list of float | list of list of float
        Resonances, or several sets that the mouth moves through evenly.
    gains : list of float | None
        Gain of each resonance; falling by 3 dB each by default.
    breath : float
        Share of noise in the source, 0..1.
    tilt : float
        Above this frequency the source falls by another 6 dB/octave.
    jitter, shimmer : float
        Relative wander of pitch (20-60 Hz) and loudness (30 Hz).
    rough : float
        0..1: how much cycles differ in length and strength. Near 1 the pitch
        drowns in noise, as in a caw or a scream.

    Returns
    -------
    numpy.ndarray
        As long as `pitch`, peak 1, no envelope.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> throat(rng, np.full(800, 150.0), 8000, [600, 1200], rough=0.5).shape
    (800,)
    """
    n = len(pitch)
    pitch = pitch * (1 + jitter * wander(rng, n, sample_rate, 40.0))
    pitch = np.clip(pitch, 5, 0.3 * sample_rate)
    cycle = phase(pitch, sample_rate).astype(int)
    uneven = rng.standard_normal((2, cycle[-1] + 1))
    if rough > 0:
        lengths = np.clip(1 + 0.25 * rough * uneven[0], 0.4, 2)
        pitch = np.clip(pitch * lengths[cycle], 5, 0.35 * sample_rate)
    source = saw(pitch, sample_rate)
    b, a = signal.butter(1, min(2 * tilt / sample_rate, 0.9))
    source = signal.lfilter(b, a, source)
    source /= np.std(source) + 1e-9
    if breath > 0:
        puff = 0.6 + 0.4 * tone(pitch, sample_rate)
        source = (1 - breath) * source + breath * puff * noise(rng, n, 0.3)
    if rough > 0:
        cycle = phase(pitch, sample_rate).astype(int) % len(uneven[1])
        source *= np.exp(0.8 * rough * uneven[1])[cycle]
    source *= 1 + shimmer * wander(rng, n, sample_rate, 30.0)
    shapes = np.atleast_2d(np.asarray(formants, dtype=float))
    if gains is None:
        gains = 0.7 ** np.arange(shapes.shape[1])
    if len(shapes) == 1:
        out = resonate(
            source, sample_rate, shapes[0], _widths(shapes[0]), gains
        )
    else:
        out = np.zeros(n)
        where = np.linspace(0, len(shapes) - 1, n)
        for i, shape in enumerate(shapes):
            # Each set is heard, and computed, only around its own time.
            near = np.flatnonzero(np.abs(where - i) < 1)
            span = slice(near[0], near[-1] + 1) if len(near) else slice(0)
            part = resonate(
                source[span], sample_rate, shape, _widths(shape), gains
            )
            out[span] += (1 - np.abs(where[span] - i)) * part
    return normalise(out + 0.05 * source * np.std(out))


def _widths(formants):
    return 60 + 0.08 * formants


def call(rng, sample_rate, length, pitch, formants, edges=(0.03, 0.08), **kw):
    """One vocal call: a pitch contour, a throat and an envelope.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    length : float
        Seconds.
    pitch : list of float
        Values that the pitch passes through.
    formants : list
        As `throat` takes them.
    edges : tuple of float
        Attack and release in seconds, shortened to fit.
    **kw
        Further options of `throat`.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> call(rng, 8000, 0.5, [300, 400, 200], [600, 1200]).shape
    (4000,)
    """
    n = max(int(length * sample_rate), 16)
    sig = throat(rng, contour(pitch, n), sample_rate, formants, **kw)
    attack, release = np.minimum(edges, [0.6 * length, 0.7 * length])
    return sig * swell(n, sample_rate, attack, release, rng.uniform(0.5, 1))


def rhythm(
    rng, make, duration, sample_rate, period, jitter=0.08, variants=3, few=0.0
):
    """One animal calling in its own time, with few different calls.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    make : callable
        `make(i)` returns variant `i`.
    duration : float
        Length in seconds.
    sample_rate : int
        Rate.
    period : float
        Seconds from call to call.
    jitter : float
        Irregularity, in periods.
    variants : int
        Calls made; they are repeated with changing loudness.
    few : float
        Chance that it falls silent after one to five calls.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> rhythm(rng, lambda i: np.ones(10), 1.0, 100, 0.3).shape
    (100,)
    """
    start = rng.uniform(0, min(period, 0.3 * duration))
    times = regular_times(rng, period, duration, jitter, start)
    times += 0.1 * period * np.cumsum(jitter * rng.standard_normal(len(times)))
    if rng.uniform() < few:
        times = times[: rng.integers(1, 6)]
    calls = [make(i) for i in range(min(variants, len(times)))]
    order = [calls[i] for i in rng.integers(0, len(calls), len(times))]
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    n_samples = int(duration * sample_rate)
    return scatter(np.abs(times), order, n_samples, sample_rate, gains)


def join(parts, sample_rate, gap):
    """Notes one after another with a pause between them.

    Arguments
    ---------
    parts : list of numpy.ndarray
        Notes.
    sample_rate : int
        Rate.
    gap : float
        Pause in seconds.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> join([np.ones(1), np.ones(1)], 10, 0.2).tolist()
    [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    """
    pause = np.zeros(int(max(gap, 0) * sample_rate))
    return np.concatenate([piece for part in parts for piece in (part, pause)])
