"""Building blocks of things struck, rubbed and dropped: bodies, clicks, friction.

A body is what `dsp.struck_body` gives: frequencies, decays and amplitudes of
modes. `thing` draws one of a material, `hit` strikes it, `clatter` and `bounces`
repeat that, `slips` and `squeal` rub it.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import signal

from afpt_plugin.synth.dsp import (
    log_uniform,
    modes,
    n_samples,
    noise,
    normalise,
    percussive,
    phase,
    pulses,
    resonate,
    saw,
    scatter,
    struck_body,
    wander,
)

# Lowest mode in Hz, highest over lowest, number of modes, loss per cycle, and
# the power of frequency with which amplitudes fall.
MATERIALS = {
    "wood": ((90, 600), (6, 20), (6, 14), (0.015, 0.06), (0.2, 1.0)),
    "board": ((60, 250), (8, 25), (8, 16), (0.02, 0.08), (0.4, 1.2)),
    "plastic": ((250, 1800), (5, 14), (5, 10), (0.02, 0.08), (0.1, 0.8)),
    "ceramic": ((500, 2800), (4, 10), (5, 9), (0.003, 0.012), (0.0, 0.5)),
    "glass": ((800, 4500), (3, 8), (4, 8), (0.0006, 0.005), (0.0, 0.5)),
    "metal": ((700, 4000), (4, 12), (6, 11), (0.0008, 0.006), (-0.2, 0.5)),
    "tin": ((250, 1200), (10, 30), (8, 14), (0.004, 0.02), (-0.1, 0.5)),
}


# --- filters -----------------------------------------------------------------


def soften(sig, sample_rate, low=0.0, high=None):
    """First-order band-pass: cheaper than `dsp.band` on short grains.

    `band` spends longer on the design of its filter than on filtering. Edges
    outside the spectrum are left open.

    Arguments
    ---------
    sig : numpy.ndarray
        Signal.
    sample_rate : int
        Rate.
    low : float
        Lower edge in Hz, 0 for a low-pass.
    high : float | None
        Upper edge in Hz, None for a high-pass.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> abs(soften(np.ones(8000), 8000, low=100.0)[-1]).round(3)
    0.0
    """
    for edge, sign in ((high, 1.0), (low, -1.0)):
        if edge and edge < 0.47 * sample_rate:
            k = np.tan(np.pi * edge / sample_rate)
            gain = (k if sign > 0 else 1.0) / (1 + k)
            b, a = [gain, sign * gain], [1.0, (k - 1) / (k + 1)]
            sig = signal.lfilter(b, a, sig)
    return sig


def hiss(rng, n_samples, sample_rate, low, high):
    """White noise with gentle edges, of unit variance.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    low, high : float
        Band in Hz.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> hiss(np.random.default_rng(0), 800, 8000, 500, 900).shape
    (800,)
    """
    sig = soften(rng.standard_normal(n_samples), sample_rate, low, high)
    return sig / (np.std(sig) + 1e-12)


# --- blows -------------------------------------------------------------------


def thing(rng, material, size=1.0, longest=0.6):
    """Modes of an object: pitch falls with size, damping is the material's.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    material : str
        A key of `MATERIALS`.
    size : float
        Divides the frequencies.
    longest : float
        No mode takes longer than this to fall by 60 dB.

    Returns
    -------
    freqs, decays, amps : numpy.ndarray
        `[count]` each, for `dsp.modes`.

    Example
    -------
    >>> freqs, decays, amps = thing(np.random.default_rng(0), "glass")
    >>> freqs.shape == decays.shape == amps.shape, decays.max() <= 0.6
    (True, True)
    """
    low, span, count, loss, slope = MATERIALS[material]
    low, span = log_uniform(rng, *low) / size, log_uniform(rng, *span)
    ratio = span ** np.sort(rng.random(rng.integers(*count)))
    decays = 2.2 / (log_uniform(rng, *loss) * low * ratio)
    decays *= rng.uniform(0.6, 1.4, len(ratio))
    amps = rng.uniform(0.15, 1, len(ratio)) * ratio ** -rng.uniform(*slope)
    return low * ratio, np.clip(decays, 0.003, longest), amps


def hit(rng, seconds, sample_rate, body, hard=6000.0, contact=0.002):
    """One blow on a body: modes, the contact's own noise, and a dull thud.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    seconds : float
        Length.
    sample_rate : int
        Rate.
    body : tuple of numpy.ndarray
        Frequencies, decays and amplitudes of the modes.
    hard : float
        Above this frequency the blow is weak: low for flesh, high for steel.
    contact : float
        Time in which the two touch.

    Returns
    -------
    numpy.ndarray
        Peak about 1.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> hit(rng, 0.1, 8000, thing(rng, "wood")).shape
    (800,)
    """
    n = n_samples(seconds, sample_rate)
    m = min(n_samples(4 * contact, sample_rate), n)
    strike = pulses(rng, np.array([0.0005]), m, sample_rate)
    touch = percussive(m, sample_rate, contact / 4, contact * 3)
    strike += 0.1 * noise(rng, m) * touch
    strike = soften(strike, sample_rate, 0, hard)
    sig = normalise(modes(n, sample_rate, *body, strike))
    sig = np.pad(sig, (0, n - len(sig)))
    sig[:m] += rng.uniform(0.02, 0.2) * normalise(strike)
    # What is damped has modes too many and too broad to tell apart.
    damped = float(np.clip(np.median(body[1]), 0.005, 0.3))
    m = min(n_samples(2.5 * damped, sample_rate), n)
    dense = normalise(hiss(rng, m, sample_rate, body[0][0], hard))
    dense *= percussive(m, sample_rate, contact, 1.5 * damped)
    sig[:m] += rng.uniform(0.1, 1.2) / (1 + damped / 0.04) * dense
    return sig


def blow(rng, sample_rate, material, size=1.0, hard=9000.0, seconds=0.5):
    """A blow on a new object of some material.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    material, size : str, float
        As for `thing`.
    hard, seconds : float
        As for `hit`; nothing rings longer than this.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> blow(np.random.default_rng(0), 8000, "ceramic", seconds=0.2).shape
    (1600,)
    """
    body = thing(rng, material, size, seconds)
    return hit(rng, seconds, sample_rate, body, hard)


def click(rng, sample_rate, low, high, decay):
    """A tiny plastic or metal snap: bright modes over a burst of noise.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    low, high : float
        Range of modes and noise in Hz.
    decay : float
        Seconds in which it dies, about.

    Returns
    -------
    numpy.ndarray
        12 decays long.

    Example
    -------
    >>> click(np.random.default_rng(0), 8000, 900, 3000, 0.01).shape
    (960,)
    """
    n = n_samples(6 * decay, sample_rate)
    burst = hiss(rng, n, sample_rate, low, high)
    burst *= percussive(n, sample_rate, 0.0003, decay * rng.uniform(0.5, 1.5))
    ring = modes(
        n, sample_rate, *struck_body(rng, low, high, 6, decay * 2, 0.2)
    )
    sig = normalise(burst) + rng.uniform(0.2, 1.2) * normalise(ring)
    return soften(np.pad(sig, (0, n)), sample_rate, 0.6 * low)


def latch(rng, sample_rate):
    """A bolt slides and springs into its hole: two to four metal clacks.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.

    Returns
    -------
    numpy.ndarray
        0.4 seconds.

    Example
    -------
    >>> latch(np.random.default_rng(0), 8000).shape
    (3200,)
    """
    n = n_samples(0.4, sample_rate)
    low = log_uniform(rng, 500, 2000)
    clacks = [
        click(rng, sample_rate, low, low * 5, log_uniform(rng, 0.006, 0.04))
        for _ in range(3)
    ]
    times = np.cumsum(rng.uniform(0.01, 0.12, rng.integers(2, 5)))
    return clatter(rng, clacks, times - times[0], n, sample_rate, 0.4)


# --- many blows --------------------------------------------------------------


def clatter(rng, grains, times, n_samples, sample_rate, spread=0.6):
    """Grains from a list, in any order and loudness, at given times.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    grains : list of numpy.ndarray
        To draw from.
    times : numpy.ndarray
        Starts.
    n_samples, sample_rate : int
        Length and rate.
    spread : float
        Standard deviation of the logarithm of the gains.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> clatter(rng, [np.ones(2)], [0.0, 0.5], 6, 4, spread=0).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """
    times = np.asarray(times)
    order = rng.integers(0, len(grains), len(times))
    gains = np.exp(spread * rng.standard_normal(len(times)))
    return scatter(
        times, lambda i: grains[order[i]], n_samples, sample_rate, gains
    )


def bounces(rng, first, keep, seconds):
    """Times and gains of a thing that falls and bounces ever lower.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    first : float
        Seconds from the first impact to the second.
    keep : float
        Every later gap over the one before.
    seconds : float
        Times are below this.

    Returns
    -------
    times, gains : numpy.ndarray
        The first are 0 and 1.

    Example
    -------
    >>> times, gains = bounces(np.random.default_rng(0), 0.4, 0.5, 1.0)
    >>> bool(times[0] == 0 and gains[0] == 1 and times[-1] < 1)
    True
    """
    keep = min(keep, 0.97)
    gaps = first * keep ** np.arange(40)
    gaps = gaps[gaps > 0.006]
    gaps = gaps * np.exp(0.08 * rng.standard_normal(len(gaps)))
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    gains = keep ** (1.3 * np.arange(len(times)))
    return times[times < seconds], gains[times < seconds]


# --- friction ----------------------------------------------------------------


def slips(rng, rate, sample_rate, rough):
    """Times at which a rubbing surface lets go.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    rate : numpy.ndarray
        Slips per second, per sample.
    sample_rate : int
        Rate.
    rough : float
        Standard deviation of the logarithm of the single gaps, about.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rate = np.full(8000, 50.0)
    >>> len(slips(np.random.default_rng(0), rate, 8000, 0.0))
    50
    """
    ticks = np.mean(rate) * 2
    rate = rate * np.exp(rough * wander(rng, len(rate), sample_rate, ticks))
    cycles = phase(np.clip(rate, 3, 0.3 * sample_rate), sample_rate)
    return np.flatnonzero(np.diff(np.floor(cycles))) / sample_rate


def scrape(rng, n_samples, sample_rate, low, high, grain):
    """Noise whose loudness trembles with the grain of a surface.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    low, high : float
        Band in Hz.
    grain : float
        Bumps per second.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> scrape(np.random.default_rng(0), 800, 8000, 500, 900, 50).shape
    (800,)
    """
    sig = hiss(rng, n_samples, sample_rate, low, high)
    return sig * np.abs(0.6 + 0.6 * wander(rng, n_samples, sample_rate, grain))


def squeal(rng, pitch, sample_rate, body):
    """A pitch of stick and slip through fixed resonances, harmonics and all.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    pitch : numpy.ndarray
        Slips per second, per sample.
    sample_rate : int
        Rate.
    body : numpy.ndarray
        Resonances in Hz.

    Returns
    -------
    numpy.ndarray
        Peak 1, no envelope.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> squeal(rng, np.full(800, 300.0), 8000, np.array([900.0])).shape
    (800,)
    """
    pitch = np.clip(pitch, 20, 0.35 * sample_rate)
    shake = wander(rng, len(pitch), sample_rate, rng.uniform(15, 60))
    source = saw(pitch * (1 + rng.uniform(0, 0.03) * shake), sample_rate)
    source += rng.uniform(0, 0.15) * noise(rng, len(pitch))
    sig = resonate(source, sample_rate, body, body * rng.uniform(0.1, 0.5))
    return normalise(sig + rng.uniform(0.02, 0.3) * source * np.std(sig))
