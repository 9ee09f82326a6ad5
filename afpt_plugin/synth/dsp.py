"""Building blocks of the generated sounds: sources, filters, envelopes, events.

Times are in seconds, frequencies in Hz, signals one-dimensional arrays. Whatever
is random takes `rng` first, so that a sound is a function of its seed alone.
Nothing here loops over samples.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import fft, signal
from scipy.interpolate import PchipInterpolator


def log_uniform(rng, low, high):
    """Draw a number uniform in the logarithm: right for rates and pitches.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    low, high : float
        Bounds, both positive.

    Returns
    -------
    float

    Example
    -------
    >>> 100 <= log_uniform(np.random.default_rng(0), 100, 1000) <= 1000
    True
    """
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def n_samples(seconds, sample_rate):
    """Samples in some seconds, at least 16.

    Arguments
    ---------
    seconds : float
        Time.
    sample_rate : int
        Rate.

    Returns
    -------
    int

    Example
    -------
    >>> n_samples(0.5, 8000), n_samples(0.0, 8000)
    (4000, 16)
    """
    return max(int(seconds * sample_rate), 16)


def struck_body(rng, low, high, count, decay, slope=0.5):
    """Random modes of a struck thing; higher ones are weaker and die sooner.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    low, high : float
        Range of the modes in Hz.
    count : int
        Number of modes.
    decay : float
        Seconds in which the lowest mode falls by 60 dB, roughly.
    slope : float
        A mode's amplitude falls with this power of its frequency.

    Returns
    -------
    freqs, decays, amps : numpy.ndarray
        `[count]` each, for `modes`.

    Example
    -------
    >>> freqs, decays, amps = struck_body(
    ...     np.random.default_rng(0), 200, 4000, 5, 0.3
    ... )
    >>> freqs.shape == decays.shape == amps.shape == (5,)
    True
    """
    freqs = np.sort(np.exp(rng.uniform(np.log(low), np.log(high), count)))
    ratio = freqs / low
    decays = decay * rng.uniform(0.5, 1.3, count) * ratio**-0.4
    amps = rng.uniform(0.2, 1, count) * ratio**-slope
    return freqs, decays, amps


def normalise(sig, peak=1.0):
    """Scale so that the largest magnitude is `peak`; silence stays silence.

    Arguments
    ---------
    sig : numpy.ndarray
        Signal.
    peak : float
        Largest magnitude of the result.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> normalise(np.array([0.0, -4.0, 2.0])).tolist()
    [0.0, -1.0, 0.5]
    """
    largest = np.max(np.abs(sig), initial=0.0)
    return sig * (peak / largest) if largest > 0 else sig


# --- sources -----------------------------------------------------------------


def noise(rng, n_samples, colour=0.0):
    """Gaussian noise whose power falls as `f ** -colour`, of unit variance.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples : int
        Length.
    colour : float
        0 is white, 1 pink, 2 brown; negative values are brighter than white.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> noise(np.random.default_rng(0), 1000, colour=1).shape
    (1000,)
    """
    white = rng.standard_normal(n_samples)
    if colour == 0 or n_samples < 4:
        return white
    size = fft.next_fast_len(n_samples, real=True)
    spectrum = fft.rfft(white, size)
    bins = np.maximum(np.arange(len(spectrum)), size / 2000)  # flat below
    sig = fft.irfft(spectrum * bins ** (-colour / 2), size)[:n_samples]
    return sig / (np.std(sig) + 1e-12)


def band_noise(rng, n_samples, sample_rate, low, high, order=2):
    """White noise between two frequencies, of unit variance.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    low, high : float
        Band in Hz.
    order : int
        Butterworth order of each edge.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> band_noise(np.random.default_rng(0), 800, 8000, 500, 900).shape
    (800,)
    """
    sig = band(rng.standard_normal(n_samples), sample_rate, low, high, order)
    return sig / (np.std(sig) + 1e-12)


def phase(freq, sample_rate, n_samples=None, start=0.0):
    """Running phase in cycles of a (changing) frequency.

    Arguments
    ---------
    freq : float | numpy.ndarray
        Frequency, constant (then `n_samples` is needed) or per sample.
    sample_rate : int
        Rate.
    n_samples : int | None
        Length for a constant frequency.
    start : float
        First phase in cycles.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> phase(250.0, 1000, 4).tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    if n_samples is not None:
        freq = np.full(n_samples, float(freq))
    return start + np.cumsum(freq) / sample_rate


def tone(freq, sample_rate, n_samples=None, start=0.0):
    """Sine of a constant or changing frequency: chirps, whistles, FM.

    Arguments
    ---------
    freq : float | numpy.ndarray
        Frequency, constant (then `n_samples` is needed) or per sample.
    sample_rate : int
        Rate.
    n_samples : int | None
        Length for a constant frequency.
    start : float
        First phase in cycles.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> tone(np.linspace(2000, 4000, 800), 16000).shape
    (800,)
    """
    return np.sin(2 * np.pi * phase(freq, sample_rate, n_samples, start))


def saw(freq, sample_rate, n_samples=None, start=0.0):
    """Band-limited (polyBLEP) sawtooth: every harmonic at -6 dB/octave.

    Arguments
    ---------
    freq : float | numpy.ndarray
        Frequency, constant (then `n_samples` is needed) or per sample.
    sample_rate : int
        Rate.
    n_samples : int | None
        Length for a constant frequency.
    start : float
        First phase in cycles.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> float(np.abs(saw(100.0, 8000, 80)).max()) <= 1.0
    True
    """
    cycles = phase(freq, sample_rate, n_samples, start)
    where = cycles - np.floor(cycles)
    step = np.maximum(np.abs(np.diff(cycles, prepend=cycles[:1])), 1e-9)
    sig = 2 * where - 1
    # Round off each jump over the sample before and the sample after it.
    after = np.flatnonzero(where < step)
    head = where[after] / step[after]
    sig[after] -= 2 * head - head**2 - 1
    before = np.flatnonzero(where > 1 - step)
    tail = (where[before] - 1) / step[before]
    sig[before] -= tail**2 + 2 * tail + 1
    return sig


def pulses(rng, times, n_samples, sample_rate, spread=0.0):
    """Impulses at given times with random gains: an excitation for `modes`.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    times : numpy.ndarray
        Times of the impulses; those outside are dropped.
    n_samples, sample_rate : int
        Length and rate.
    spread : float
        Standard deviation of the logarithm of the gains.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> pulses(np.random.default_rng(0), np.array([0.5]), 4, 4).tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    times = np.asarray(times, dtype=float)
    where = (times * sample_rate).astype(int)
    keep = (where >= 0) & (where < n_samples)
    gains = np.exp(spread * rng.standard_normal(len(times)))
    sig = np.zeros(n_samples)
    np.add.at(sig, where[keep], gains[keep])
    return sig


# --- contours and envelopes --------------------------------------------------


def contour(values, n_samples, at=None, smooth=True):
    """A curve through a few values: pitch, loudness or mixing weights.

    Arguments
    ---------
    values : list of float
        Values to pass through.
    n_samples : int
        Length.
    at : list of float | None
        Where in 0..1 the values lie; evenly spaced by default.
    smooth : bool
        Monotone cubic instead of straight lines.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> contour([0, 1], 5, smooth=False).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    at = np.linspace(0, 1, len(values)) if at is None else np.asarray(at)
    grid = np.linspace(0, 1, n_samples)
    if smooth and len(values) > 2:
        return PchipInterpolator(at, values)(np.clip(grid, at[0], at[-1]))
    return np.interp(grid, at, values)


def wander(rng, n_samples, sample_rate, rate):
    """Slow random curve of about unit variance, changing `rate` times a second.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    rate : float
        Knots per second.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> wander(np.random.default_rng(0), 1000, 1000, 5.0).shape
    (1000,)
    """
    knots = rng.standard_normal(int(rate * n_samples / sample_rate) + 4)
    # Smooth steps between the knots on a coarse grid, straight lines below it.
    fine = np.arange(0, len(knots) - 1, 1 / 16)
    left = fine.astype(int)
    blend = fine - left
    blend = blend * blend * (3 - 2 * blend)
    curve = 1.2 * (knots[left] * (1 - blend) + knots[left + 1] * blend)
    where = np.arange(n_samples) * (rate / sample_rate) + rng.uniform()
    return np.interp(where, fine, curve)


def percussive(n_samples, sample_rate, attack, decay):
    """Linear rise, then exponential fall.

    Arguments
    ---------
    n_samples, sample_rate : int
        Length and rate.
    attack : float
        Rise time.
    decay : float
        Time to fall by 60 dB.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> percussive(1000, 1000, 0.01, 0.5).argmax()
    10
    """
    t = np.arange(n_samples) / sample_rate
    rise = np.minimum(t / max(attack, 1e-6), 1.0)
    return rise * np.exp(-6.9 * np.maximum(t - attack, 0) / decay)


def swell(n_samples, sample_rate, attack, release, sustain=1.0):
    """Rise, level (drifting from 1 to `sustain`) and fall, with smooth corners.

    Arguments
    ---------
    n_samples, sample_rate : int
        Length and rate.
    attack, release : float
        Rise and fall times.
    sustain : float
        Level just before the release.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> swell(1000, 1000, 0.1, 0.2)[[0, 500, 999]].round(2).tolist()
    [0.0, 1.0, 0.0]
    """
    t = np.arange(n_samples) / sample_rate
    end = n_samples / sample_rate
    rise = np.clip(t / max(attack, 1e-4), 0, 1)
    fall = np.clip((end - t) / max(release, 1e-4), 0, 1)
    level = np.linspace(1.0, sustain, n_samples)
    return np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2 * level


def tremolo(n_samples, sample_rate, rate, depth, start=0.0):
    """Gain that swings between 1 and `1 - depth`.

    Arguments
    ---------
    n_samples, sample_rate : int
        Length and rate.
    rate : float | numpy.ndarray
        Swings per second, constant or per sample.
    depth : float
        0..1.
    start : float
        First phase in cycles.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> float(tremolo(1000, 1000, 4.0, 0.5).min()).__round__(2)
    0.5
    """
    n = n_samples if np.isscalar(rate) else None
    return 1 - depth * (0.5 + 0.5 * tone(rate, sample_rate, n, start))


# --- filters -----------------------------------------------------------------


def band(sig, sample_rate, low=0.0, high=None, order=2):
    """Butterworth band-pass; an edge outside the spectrum is left open.

    Arguments
    ---------
    sig : numpy.ndarray
        Signal.
    sample_rate : int
        Rate.
    low : float
        Lower edge, 0 for a low-pass.
    high : float | None
        Upper edge, None for a high-pass.
    order : int
        Order of each edge.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> abs(band(np.ones(8000), 8000, low=100.0)[-1]).round(3)
    0.0
    """
    nyquist = sample_rate / 2
    if high is not None and high < 0.98 * nyquist:
        sos = signal.butter(order, max(high, 10.0) / nyquist, output="sos")
        sig = signal.sosfilt(sos, sig)
    if low > 0:
        edge = min(low / nyquist, 0.95)
        sos = signal.butter(order, edge, "highpass", output="sos")
        sig = signal.sosfilt(sos, sig)
    return sig


def resonate(sig, sample_rate, freqs, widths, gains=None):
    """Sum of two-pole resonators, each of unit gain at its own frequency.

    Arguments
    ---------
    sig : numpy.ndarray
        Excitation.
    sample_rate : int
        Rate.
    freqs : list of float
        Resonances; those above 0.48 of the rate are dropped.
    widths : float | list of float
        Their bandwidths in Hz.
    gains : list of float | None
        Their gains, 1 by default.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> resonate(np.ones(100), 8000, [500.0, 1500.0], 80.0).shape
    (100,)
    """
    freqs = np.atleast_1d(freqs)
    widths = np.broadcast_to(widths, freqs.shape)
    gains = np.ones(len(freqs)) if gains is None else gains
    out = np.zeros(len(sig))
    for freq, width, gain in zip(freqs, widths, gains, strict=True):
        if 0 < freq < 0.48 * sample_rate:
            # A band wider than the spectrum would be unstable.
            width = min(width, freq / 0.3, 0.4 * sample_rate)
            b, a = signal.iirpeak(freq, freq / width, fs=sample_rate)
            out += gain * signal.lfilter(b, a, sig)
    return out


def modes(n_samples, sample_rate, freqs, decays, amps, excitation=None):
    """A struck body: damped sines, or their response to an excitation.

    Arguments
    ---------
    n_samples, sample_rate : int
        Length and rate.
    freqs, decays, amps : list of float
        Frequency, time to fall by 60 dB and amplitude of each mode.
    excitation : numpy.ndarray | None
        Convolved with the body's response; a single blow by default.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> modes(800, 8000, [440, 1210], [0.05, 0.02], [1.0, 0.4]).shape
    (800,)
    """
    longest = int(min(n_samples, 1.2 * max(decays) * sample_rate + 2))
    t = np.arange(longest) / sample_rate
    body = np.zeros(longest)
    for freq, decay, amp in zip(freqs, decays, amps, strict=True):
        if freq < 0.48 * sample_rate:
            fall = np.exp(-6.9 * t / max(decay, 1e-4))
            body += amp * fall * np.sin(2 * np.pi * freq * t)
    if excitation is None:
        return np.pad(body, (0, n_samples - longest))
    return signal.fftconvolve(excitation, body)[:n_samples]


def comb(sig, sample_rate, freq, feedback):
    """Feedback comb: a tube or string that rings at multiples of `freq`.

    Arguments
    ---------
    sig : numpy.ndarray
        Excitation.
    sample_rate : int
        Rate.
    freq : float
        Fundamental of the tube.
    feedback : float
        -0.99..0.99; negative sounds like a tube closed at one end.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> comb(np.eye(1, 9)[0], 8, 2.0, 0.5).tolist()
    [1.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.25]
    """
    delay = max(int(round(sample_rate / freq)), 1)
    a = np.zeros(delay + 1)
    a[0], a[delay] = 1.0, -feedback
    return signal.lfilter([1.0], a, sig)


def soft_clip(sig, drive=1.0):
    """Saturate: peak-normalised, driven into tanh, in -1..1.

    Arguments
    ---------
    sig : numpy.ndarray
        Signal.
    drive : float
        1 is gentle, 10 is harsh.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> soft_clip(np.array([0.0, 2.0]), 5.0).round(3).tolist()
    [0.0, 1.0]
    """
    return np.tanh(drive * normalise(sig)) / np.tanh(drive)


# --- voices ------------------------------------------------------------------


def voice(
    rng,
    f0,
    sample_rate,
    formants,
    widths=None,
    gains=None,
    breath=0.1,
    tilt=1000.0,
    jitter=0.01,
    shimmer=0.1,
    growl=0.0,
    growl_rate=None,
):
    """Throat and mouth: a jittering pulse train and breath through formants.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    f0 : numpy.ndarray
        Pitch per sample; sets the length.
    sample_rate : int
        Rate.
    formants : list of float | list of list of float
        Formants, or several sets of them that the mouth moves through evenly.
    widths, gains : list of float | None
        Bandwidth and gain of each formant; sensible for a mouth by default.
    breath : float
        Share of noise in the source, 0..1.
    tilt : float
        Above this frequency the source falls by another 6 dB/octave: low is
        a soft voice, high a pressed one.
    jitter : float
        Relative wander of the pitch at 20-60 Hz.
    shimmer : float
        Relative wander of the loudness.
    growl : float
        0..1, depth of a rough amplitude modulation (vocal-fold chaos).
    growl_rate : float | None
        Its rate in Hz; half the mean pitch (a subharmonic) by default.

    Returns
    -------
    numpy.ndarray
        As long as `f0`, peak 1, no envelope.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> mouth = [[700, 1200, 2500], [400, 900, 2400]]
    >>> voice(rng, np.full(4000, 150.0), 16000, mouth).shape
    (4000,)
    """
    n = len(f0)
    f0 = f0 * (1 + jitter * wander(rng, n, sample_rate, rng.uniform(20, 60)))
    source = saw(np.clip(f0, 1, 0.4 * sample_rate), sample_rate)
    b, a = signal.butter(1, min(tilt / sample_rate * 2, 0.9))
    source = signal.lfilter(b, a, source)
    source /= np.std(source) + 1e-9
    puff = 0.6 + 0.4 * tone(f0, sample_rate)  # breath is gated by the folds
    source = (1 - breath) * source + breath * puff * noise(rng, n, 0.3)
    source *= 1 + shimmer * wander(rng, n, sample_rate, 30.0)
    if growl > 0:
        rate = growl_rate or f0.mean() / 2
        rate = rate * (1 + 0.25 * wander(rng, n, sample_rate, 25.0))
        source *= tremolo(n, sample_rate, np.maximum(rate, 1), growl)
    shapes = np.atleast_2d(np.asarray(formants, dtype=float))
    n_formants = shapes.shape[1]
    if gains is None:
        gains = 0.7 ** np.arange(n_formants)
    out = np.zeros(n)
    centres = np.linspace(0, 1, len(shapes))
    where = np.linspace(0, 1, n)
    for i, shape in enumerate(shapes):
        wide = 60 + 0.08 * shape if widths is None else widths
        weight = np.interp(where, centres, np.eye(len(shapes))[i])
        out += weight * resonate(source, sample_rate, shape, wide, gains)
    # Some of the source leaks past the formants, as it does in recordings.
    return normalise(out + 0.05 * source * np.std(out))


# --- events in time ----------------------------------------------------------


def poisson_times(rng, rate, duration):
    """Random times without memory, `rate` per second on average.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    rate : float
        Mean number per second.
    duration : float
        Times lie in 0..duration.

    Returns
    -------
    numpy.ndarray
        Sorted.

    Example
    -------
    >>> len(poisson_times(np.random.default_rng(0), 100.0, 10.0)) > 900
    True
    """
    return np.sort(rng.uniform(0, duration, rng.poisson(rate * duration)))


def regular_times(rng, period, duration, jitter=0.05, start=0.0):
    """Times one period apart, each a little early or late.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    period : float
        Seconds between two.
    duration : float
        Times are below this.
    jitter : float
        Standard deviation in periods.
    start : float
        Nominal time of the first.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> regular_times(rng, 0.5, 2.0, jitter=0.0).tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    times = np.arange(start, duration, period)
    times = times + jitter * period * rng.standard_normal(len(times))
    return np.clip(times, 0, None)


def scatter(times, grains, n_samples, sample_rate, gains=None):
    """Lay grains at given times, cutting what hangs over the end.

    Arguments
    ---------
    times : numpy.ndarray
        Starts.
    grains : callable | list of numpy.ndarray
        `grains(i)` makes grain `i`; from a list they are taken in turn (a
        small list of variants makes thousands of grains cheap).
    n_samples, sample_rate : int
        Length and rate of the result.
    gains : numpy.ndarray | None
        One per time.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> scatter([0.0, 0.5], [np.ones(2)], 6, 4, [1, 2]).tolist()
    [1.0, 1.0, 2.0, 2.0, 0.0, 0.0]
    """
    out = np.zeros(n_samples)
    for i, time in enumerate(times):
        begin = int(time * sample_rate)
        if 0 <= begin < n_samples:
            grain = grains(i) if callable(grains) else grains[i % len(grains)]
            gain = 1.0 if gains is None else gains[i]
            end = min(begin + len(grain), n_samples)
            out[begin:end] += gain * grain[: end - begin]
    return out


def sequence(
    rng, make, duration, sample_rate, count=(1, 6), gap=(0.1, 1.0), level=0.3
):
    """Isolated events one after another, then silence: a typical recording.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    make : callable
        `make(i)` returns event `i`.
    duration : float
        Length; events that start after it are not made.
    sample_rate : int
        Rate.
    count : tuple of int
        Fewest and most events.
    gap : tuple of float
        Shortest and longest pause; a clip keeps to its own tempo within.
    level : float
        Spread of the events' loudness (standard deviation of the logarithm).

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> sequence(rng, lambda i: np.ones(100), 1.0, 1000).shape
    (1000,)
    """
    n_samples = int(duration * sample_rate)
    out = np.zeros(n_samples)
    tempo = log_uniform(rng, *gap)
    time = rng.uniform(0, min(0.4, duration / 4))
    for i in range(rng.integers(count[0], count[1] + 1)):
        if time >= duration - 0.02:
            break
        event = make(i) * np.exp(level * rng.standard_normal())
        begin = int(time * sample_rate)
        end = min(begin + len(event), n_samples)
        out[begin:end] += event[: end - begin]
        pause = np.clip(tempo * np.exp(0.35 * rng.standard_normal()), *gap)
        time += len(event) / sample_rate + pause
    return out
