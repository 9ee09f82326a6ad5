"""Water: bubbles, drops and jets, in vessels, pipes and streams.

Running water is `turbulence` (the jet) with `bubbles` (what it drags along) in a
vessel whose `column` of air sings; whatever is irregular takes its times from
`clustered_times`. All generators share one form: `make(rng, duration,
sample_rate)` returns a mono signal.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import fft, signal

from afpt_plugin.synth.dsp import (
    band,
    contour,
    log_uniform,
    modes,
    noise,
    normalise,
    percussive,
    phase,
    poisson_times,
    regular_times,
    scatter,
    sequence,
    struck_body,
    swell,
    tone,
    wander,
)
from afpt_plugin.synth.registry import sound

# --- blocks ------------------------------------------------------------------


def bubble(rng, sample_rate, freq, ring, rise=0.1):
    """An air bubble in water: a short sine that rises as the bubble surfaces.

    Minnaert: a bubble of radius r sounds at about 3.3 / r Hz (r in metres).

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    freq : float
        First frequency.
    ring : float
        Time to fall by 60 dB.
    rise : float
        Relative rise of the frequency while it rings.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> bubble(np.random.default_rng(0), 8000, 900.0, 0.05).shape
    (480,)
    """
    n = max(int(1.2 * ring * sample_rate), 8)
    curve = freq * (1 + rise * np.linspace(0, 1, n) ** 1.5)
    sig = tone(np.minimum(curve, 0.45 * sample_rate), sample_rate)
    return sig * percussive(n, sample_rate, rng.uniform(0.0005, 0.002), ring)


def bubbles(
    rng, times, n_samples, sample_rate, low, high, ring=(6, 40), rise=0.4
):
    """Bubbles of many sizes at given times; large ones are louder.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    times : numpy.ndarray
        When they form.
    n_samples, sample_rate : int
        Length and rate.
    low, high : float
        Range of frequencies.
    ring : tuple of float
        Range of ringing times, in periods of the bubble.
    rise : float
        Largest relative rise of the pitch.

    Returns
    -------
    numpy.ndarray
        Of unit variance.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> bubbles(rng, [0.1, 0.2], 4000, 8000, 500, 2000).shape
    (4000,)
    """
    freqs = np.exp(rng.uniform(np.log(low), np.log(high), 60))
    grains = [
        (low / freq) ** 0.4
        * bubble(
            rng,
            sample_rate,
            freq,
            rng.uniform(*ring) / freq,
            rng.uniform(0, rise),
        )
        for freq in freqs
    ]
    times = rng.permutation(times)
    gains = np.exp(0.8 * rng.standard_normal(len(times)))
    return unit(scatter(times, grains, n_samples, sample_rate, gains))


def gusts(rng, n_samples, sample_rate, rate, depth):
    """Positive, log-normal gain that comes and goes: gusts, turbulence.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    rate : float
        Changes per second.
    depth : float
        Standard deviation of the logarithm.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> float(gusts(np.random.default_rng(0), 800, 800, 5, 0.5).min()) > 0
    True
    """
    # A thousand values a second are enough for what the ear calls gusts.
    step = int(max(sample_rate // 1000, 1))
    n, coarse = n_samples // step + 2, sample_rate / step
    curve = wander(rng, n, coarse, rate) + 0.4 * wander(
        rng, n, coarse, 4 * rate
    )
    gain = np.exp(depth * curve)
    return np.interp(np.arange(n_samples) / step, np.arange(n), gain)


def clustered_times(rng, rate, duration, curve):
    """Random times that are denser where a curve is higher.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    rate : float
        Mean number per second.
    duration : float
        Times lie in 0..duration.
    curve : numpy.ndarray
        Density from the beginning to the end, not negative.

    Returns
    -------
    numpy.ndarray
        In no order.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> float(clustered_times(rng, 50, 2.0, np.array([0, 1])).min()) > 0.9
    True
    """
    share = np.concatenate([[0], np.cumsum(curve)])
    share = share / max(share[-1], 1e-12)
    drawn = rng.uniform(size=rng.poisson(rate * duration))
    return np.interp(drawn, share, np.linspace(0, duration, len(share)))


def turbulence(rng, n_samples, sample_rate, low, high, colour=0.0, peaks=()):
    """Rushing water or air: coloured noise between soft edges, with peaks.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n_samples, sample_rate : int
        Length and rate.
    low, high : float
        Edges in Hz, of 6 and 12 dB/octave.
    colour : float
        Power falls as `f ** -colour` between them.
    peaks : list of float
        Resonances in Hz, of 2 to 10 dB and random widths.

    Returns
    -------
    numpy.ndarray
        Of unit variance.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> turbulence(rng, 800, 8000, 100, 3000, 1.0, [500.0]).shape
    (800,)
    """
    size = fft.next_fast_len(max(n_samples, 16), real=True)
    freqs = np.geomspace(5, sample_rate / 2, 500)
    gain = freqs ** (-colour / 2)
    gain /= np.sqrt(1 + (low / freqs) ** 2) * np.sqrt(1 + (freqs / high) ** 4)
    for peak in peaks:
        apart = np.log2(freqs / peak) / rng.uniform(0.2, 0.9)
        gain *= 1 + rng.uniform(0.3, 2) * np.exp(-(apart**2))
    spectrum = fft.rfft(rng.standard_normal(n_samples), size)
    spectrum *= np.interp(fft.rfftfreq(size, 1 / sample_rate), freqs, gain)
    return unit(fft.irfft(spectrum, size)[:n_samples])


def column(sig, sample_rate, curve, strength=0.8, echoes=6):
    """Sound in a tube closed at one end, whose length may change.

    Arguments
    ---------
    sig : numpy.ndarray
        Excitation.
    sample_rate : int
        Rate.
    curve : float | numpy.ndarray
        Lowest resonance in Hz, constant or per sample; the others are its odd
        multiples.
    strength : float
        What is left of an echo at each reflection, 0..1.
    echoes : int
        Number of reflections.

    Returns
    -------
    numpy.ndarray
        Of unit variance.

    Example
    -------
    >>> column(np.ones(100), 8000, 400.0).shape
    (100,)
    """
    delay = sample_rate / (2 * np.maximum(curve, 20.0))
    here = np.arange(len(sig))
    out = sig.copy()
    for k in range(1, echoes + 1):
        source = here - np.asarray(k * delay + 0.5).astype(int)
        out += (-min(strength, 0.98)) ** k * sig.take(source, mode="wrap")
    return unit(out)


def drops(rng, sample_rate, surface, count=30):
    """Variants of a drop that hits something.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    surface : str
        "leaves", "puddle", "tin", "pane" (window, tent, car roof) or "ground".
    count : int
        Number of variants.

    Returns
    -------
    list of numpy.ndarray

    Example
    -------
    >>> len(drops(np.random.default_rng(0), 8000, "tin", 5))
    5
    """
    body = struck_body(
        rng, rng.uniform(250, 900), 7000, 7, log_uniform(rng, 0.02, 0.15)
    )
    thud, dry = log_uniform(rng, 120, 700), log_uniform(rng, 0.003, 0.015)
    bright = rng.uniform(4e3, 15e3)
    m = int(0.03 * sample_rate)
    ticks = band(noise(rng, count * m), sample_rate, 900, bright, 1)
    made = []
    for tick in ticks.reshape(count, m):
        fall = dry * rng.uniform(0.5, 1.5)
        tick = normalise(tick * percussive(m, sample_rate, 0.0003, fall))
        if surface == "puddle":
            freq = log_uniform(rng, 900, 8000)
            plip = bubble(rng, sample_rate, freq, rng.uniform(8, 40) / freq)
            tick = np.concatenate([0.3 * tick[: m // 6], plip])
        elif surface == "tin":
            amps = body[2] * rng.uniform(0.1, 1, len(body[2]))
            freqs = body[0] * np.exp(0.1 * rng.standard_normal(len(amps)))
            ring = modes(
                int(0.2 * sample_rate), sample_rate, freqs, body[1], amps
            )
            ring[:m] += 0.3 * tick
            tick = ring
        elif surface == "pane":
            freqs = thud * rng.uniform(0.7, 1.4) * np.array([1, 1.7, 2.9])
            knock = modes(
                2 * m, sample_rate, freqs, [0.04, 0.02, 0.01], [1] * 3
            )
            knock[:m] += rng.uniform(0.1, 0.8) * tick
            tick = knock
        made.append(tick)
    return made


def unit(sig):
    """Scale to a root mean square of 1; silence stays silence.

    Arguments
    ---------
    sig : numpy.ndarray
        Signal.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> unit(np.array([3.0, -3.0])).round(3).tolist()
    [1.0, -1.0]
    """
    return sig / (np.sqrt(np.vdot(sig, sig) / max(len(sig), 1)) + 1e-9)


def _knocks(rng, times, n, sample_rate, low, high, decay):
    """Something hard is knocked: a lever, a dish, a pebble, a cup set down."""
    grains, starts = [], []
    for time in times:
        ring = decay * rng.uniform(0.4, 1.2)
        lowest = min(low * rng.uniform(1, 2), 0.5 * high)
        body = struck_body(rng, lowest, high, 6, ring)
        size = np.exp(0.6 * rng.standard_normal())
        blow = size * modes(
            int(1.2 * ring * sample_rate) + 16, sample_rate, *body
        )
        grains += [blow, rng.uniform(0.1, 0.8) * blow]
        starts += [time, time + rng.uniform(0.01, 0.06)]
    return normalise(scatter(starts, grains, n, sample_rate))


def _running(rng, n, sample_rate, low, high, wet, rate, peaks=()):
    """A jet into water: hiss of the jet and a `wet` share of bubbles."""
    duration = n / sample_rate
    jet = turbulence(
        rng,
        n,
        sample_rate,
        low,
        log_uniform(rng, 1.2, 4) * high,
        rng.uniform(0, 1.1),
        peaks,
    )
    jet *= gusts(rng, n, sample_rate, log_uniform(rng, 4, 25), 0.15)
    flow = gusts(rng, 300, 300 / duration, rng.uniform(3, 12), 0.4)
    times = clustered_times(rng, rate, duration, flow)
    babble = bubbles(rng, times, n, sample_rate, low, high, (5, 30))
    return (1 - wet) * jet + wet * babble


# --- water at home -----------------------------------------------------------

# Lowest resonance of the empty vessel, its rise, and the range of bubbles.
VESSELS = {
    "glass": ((450, 1000), (1.6, 4), (700, 4500)),
    "bottle": ((200, 600), (2, 5), (400, 3000)),
    "jug": ((180, 450), (1.3, 2.5), (300, 2500)),
    "bucket": ((90, 260), (1.1, 1.8), (200, 2000)),
    "ground": ((400, 1500), (1, 1.01), (900, 6000)),
}


@sound("pouring water")
def pouring_water(rng, duration, sample_rate):
    """A jet fills a vessel, whose air column sings higher, or glugs out."""
    vessel = rng.choice(list(VESSELS), p=[0.35, 0.2, 0.2, 0.15, 0.1])
    base, growth, sizes = VESSELS[vessel]
    fill = log_uniform(rng, *base) * np.linspace(
        1, 1 / log_uniform(rng, *growth), 9
    )
    low, high = np.array(sizes) * log_uniform(rng, 0.6, 1.5)
    wet, rate = rng.uniform(0.25, 0.8), log_uniform(rng, 60, 700)
    glug = rng.uniform() < (0.6 if vessel == "bottle" else 0.15)
    n_pours = rng.choice([1, 1, 1, 2, 3])

    def pour(i):
        length = duration * rng.uniform(0.35, 1.0) / n_pours
        n = int(length * sample_rate)
        water = _running(rng, n, sample_rate, low, high, wet, rate)
        # The air left shrinks evenly, so the pitch rises faster and faster.
        part = fill[i * 8 // n_pours : (i + 1) * 8 // n_pours + 1]
        curve = fill[0] ** 2 / contour(part, n, smooth=False)
        curve *= 1 + 0.02 * wander(rng, n, sample_rate, 4)
        if vessel != "ground":
            sung = column(water, sample_rate, curve, rng.uniform(0.6, 0.93))
            sung = band(sung, sample_rate, 0, rng.uniform(1.5, 4) * curve.max())
            water = unit(water) + log_uniform(rng, 0.2, 2) * unit(sung)
        if glug:  # the emptied vessel gulps air, slower as it empties
            pace = log_uniform(rng, 2.5, 9) * np.linspace(
                1, rng.uniform(0.7, 1.3), n
            )
            pace *= 1 + 0.2 * wander(rng, n, sample_rate, 3)
            cycles = phase(np.maximum(pace, 0.5), sample_rate)
            water *= 1 - rng.uniform(0.4, 0.95) * np.cos(np.pi * cycles) ** 2
            times = np.flatnonzero(np.diff(np.floor(cycles))) / sample_rate
            pitch = log_uniform(rng, 130, 450)
            gulps = bubbles(
                rng, times, n, sample_rate, pitch, 1.6 * pitch, (8, 25), 0.7
            )
            water = unit(water) + rng.uniform(0.3, 1.5) * gulps
        return unit(water) * swell(
            n, sample_rate, rng.uniform(0.03, 0.4), rng.uniform(0.05, 0.5)
        )

    sig = sequence(
        rng, pour, duration, sample_rate, (n_pours, n_pours), (0.1, 0.8), 0.2
    )
    n = len(sig)
    last = np.flatnonzero(sig)[-1] if np.any(sig) else 0
    if n - last > 0.3 * sample_rate and rng.uniform() < 0.6:  # the last drops
        times = last / sample_rate + rng.exponential(0.4, rng.integers(1, 9))
        sig += (
            rng.uniform(0.1, 0.5)
            * normalise(bubbles(rng, times, n, sample_rate, low, high))
            * np.abs(sig).max()
        )
    if rng.uniform() < 0.25:  # the vessel is put down, ice clinks
        times = rng.uniform(0, duration, rng.integers(1, 3))
        clink = _knocks(rng, times, n, sample_rate, 900, 7000, 0.15)
        sig += rng.uniform(0.2, 1) * np.abs(sig).max() * clink
    return sig


@sound("water drops")
def water_drops(rng, duration, sample_rate):
    """Single drips into water or on a surface, regular or not, echoing."""
    freq = log_uniform(rng, 450, 3200)
    ring = log_uniform(rng, 10, 80)
    rise = log_uniform(rng, 0.03, 1.2)
    wet = rng.uniform() < 0.75
    hard = drops(rng, sample_rate, rng.choice(["tin", "pane", "ground"]), 8)
    click, late = log_uniform(rng, 0.02, 0.5), rng.uniform(0.005, 0.05)

    def drip(i):
        """A tick of the impact, then one to three bubbles that it caught."""
        tick = click * hard[i % len(hard)]
        if not wet:
            return tick / click
        out = np.zeros(int(0.35 * sample_rate))
        out[: len(tick)] += tick[: len(out)]
        pitch = freq * np.exp(rng.uniform(0.02, 0.3) * rng.standard_normal())
        for k in range(rng.integers(1, 4)):
            at = int((late + 0.04 * k * rng.uniform(0.5, 1.5)) * sample_rate)
            tune = pitch * (1 if k == 0 else rng.uniform(0.7, 1.6))
            grain = bubble(rng, sample_rate, tune, min(ring / tune, 0.2), rise)[
                : max(len(out) - at, 0)
            ]
            out[at : at + len(grain)] += rng.uniform(0.3, 0.8) ** k * grain
        return out

    n = int(duration * sample_rate)
    if rng.uniform() < 0.6:
        period = log_uniform(rng, 0.12, 2.0)
        start, loose = rng.uniform(0, min(period, 0.5)), rng.uniform(0, 0.12)
        times = regular_times(rng, period, duration, loose, start)
        if rng.uniform() < 0.3:  # a second leak
            more = poisson_times(rng, log_uniform(rng, 0.5, 4), duration)
            times = np.concatenate([times, more])
        sizes = np.exp(0.25 * rng.standard_normal(len(times)))
        sig = scatter(times, drip, n, sample_rate, sizes)
    else:
        sig = sequence(
            rng, drip, duration, sample_rate, (2, 14), (0.02, 0.9), 0.5
        )
    if rng.uniform() < 0.4:  # a cave, a stairwell, a bathroom
        length = int(rng.uniform(0.4, 1.8) * sample_rate)
        tail = noise(rng, length, 1.0) * percussive(
            length, sample_rate, 0.01, length / sample_rate
        )
        echo = signal.fftconvolve(sig, tail)[:n]
        sig = normalise(sig) + rng.uniform(0.03, 0.3) * normalise(echo)
    if rng.uniform() < 0.2:  # water runs elsewhere
        bed = turbulence(rng, n, sample_rate, 300, 4000, 0.7)
        sig = normalise(sig) + log_uniform(rng, 0.003, 0.03) * bed
    return sig


@sound("toilet flush")
def toilet_flush(rng, duration, sample_rate):
    """Lever, rush of water, sucking gurgle, then the cistern refills.

    Or a public toilet's pressure valve, a train's vacuum, the refill alone.
    """
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    kind = rng.choice(
        ["cistern", "valve", "vacuum", "refill"], p=[0.6, 0.2, 0.1, 0.1]
    )
    start = rng.uniform(0.1, 0.9)
    length = {
        "cistern": rng.uniform(2, 6),
        "valve": rng.uniform(2, 5),
        "vacuum": rng.uniform(0.7, 2),
        "refill": rng.uniform(0.5, 1.5),
    }[kind]
    if kind == "refill" or (kind != "vacuum" and rng.uniform() < 0.25):
        start -= rng.uniform(0.5, 2)  # the recording begins in the middle
    end = start + length
    rise = (
        rng.uniform(0.02, 0.1) if kind == "vacuum" else rng.uniform(0.08, 0.7)
    )
    fall = rng.uniform(0.15, 0.9)
    rush = np.clip((t - start) / rise, 0, 1) / (
        1 + np.exp((t - end) / (0.4 * fall))
    )
    rush *= np.exp(-np.clip(t - start, 0, length) * rng.uniform(0, 0.7))
    churn = rush * gusts(
        rng, n, sample_rate, rng.uniform(5, 18), rng.uniform(0.1, 0.3)
    )
    top = log_uniform(rng, 2500, 9000) * (1.4 if kind == "cistern" else 2)
    body = turbulence(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 80, 350),
        top,
        rng.uniform(0.5, 1.4) - 0.4 * (kind != "cistern"),
        rng.uniform(150, 2200, 4),
    )
    # The bowl's hollow changes while it fills and is sucked empty.
    hollow = log_uniform(rng, 120, 420) * contour(
        [1, *rng.uniform(0.7, 1.5, 2), rng.uniform(0.8, 2.2)], n
    )
    bowl = column(body, sample_rate, hollow, rng.uniform(0.4, 0.8))
    bowl = unit(band(bowl, sample_rate, 0, 5 * hollow.max(), 1))
    sig = (body + rng.uniform(0.5, 2.5) * bowl) * churn
    bright = band(body, sample_rate, rng.uniform(1500, 4000), None, 1)
    sig += rng.uniform(0.2, 1) * unit(bright) * rush**2.5
    if kind != "vacuum":
        times = clustered_times(rng, rng.uniform(60, 300), duration, rush)
        tumble = bubbles(rng, times, n, sample_rate, 160, 1800, (4, 20))
        sig += rng.uniform(0.2, 1.2) * tumble * rush
    if kind == "cistern" or rng.uniform() < 0.4:
        # The siphon breaks: it swallows air in gulps.
        level = np.exp(-(((t - end) / rng.uniform(0.3, 0.9)) ** 2))
        part = np.flatnonzero(level > 1e-3)
        if len(part) > 0.1 * sample_rate:
            part = slice(part[0], part[-1] + 1)
            gulps = _gurgle(rng, len(t[part]), sample_rate, level[part])
            sig[part] += rng.uniform(0.15, 1.0) * gulps
    if kind in ("cistern", "refill"):
        peep = rng.uniform(1500, 4500, 2)
        refill = turbulence(
            rng, n, sample_rate, 900, 9000, rng.uniform(0, 0.8), peep
        )
        late = np.clip((t - start - rng.uniform(0, 1.5)) / 1.2, 0, 1)
        level = (
            log_uniform(rng, 0.3, 1)
            if kind == "refill"
            else log_uniform(rng, 0.02, 0.4)
        )
        sig += level * refill * late
        times = clustered_times(rng, rng.uniform(10, 80), duration, late + 1e-3)
        drip = bubbles(rng, times, n, sample_rate, 300, 2500, (5, 25))
        sig += rng.uniform(0, 0.6) * level * drip * late
    if rng.uniform() < 0.7:  # lever or button, and again when let go
        times = start + np.array(
            [-rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.6)]
        )
        clunk = _knocks(rng, times, n, sample_rate, 150, 4000, 0.12)
        sig += rng.uniform(0.5, 4) * clunk
    return sig


def _gurgle(rng, n, sample_rate, level):
    """Air and water fight in a pipe: gulps of deep bubbles, a sucking throat."""
    duration = n / sample_rate
    pace = log_uniform(rng, 3, 11) * (1 + 0.35 * wander(rng, n, sample_rate, 2))
    beat = np.sin(np.pi * phase(np.maximum(pace, 1), sample_rate)) ** 2
    low = log_uniform(rng, 90, 260)
    grid = level[:: max(n // 800, 1)] * beat[:: max(n // 800, 1)] + 1e-6
    times = clustered_times(rng, rng.uniform(30, 120), duration, grid)
    deep = bubbles(rng, times, n, sample_rate, low, 6 * low, (4, 14), 0.8)
    throat = turbulence(rng, n, sample_rate, low, 12 * low, rng.uniform(0, 1))
    curve = 2 * low * np.exp(0.35 * wander(rng, n, sample_rate, 3) + 0.5 * beat)
    throat = column(throat, sample_rate, curve, 0.85)
    throat = band(throat, sample_rate, 0, 8 * low)
    return unit((deep + rng.uniform(0.2, 1) * throat * beat) * level)


@sound("gurgling drain")
def gurgling_drain(rng, duration, sample_rate):
    """A basin empties: trickle, gulps, and the last slurp of the vortex."""
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    end = duration * rng.uniform(0.4, 1.1)
    growing = np.clip(t / end, 0, 1) ** rng.uniform(0.3, 2)
    level = (0.15 + growing) * gusts(
        rng, n, sample_rate, 1.5, rng.uniform(0.2, 0.6)
    )
    level /= 1 + np.exp((t - end) / 0.08)
    sig = _gurgle(rng, n, sample_rate, level)
    if rng.uniform() < 0.6:  # the slurp
        suck = np.exp(
            -np.square(np.minimum(t - end + 0.3, 0) / rng.uniform(0.2, 1))
        )
        suck /= 1 + np.exp((t - end) / 0.05)
        air = turbulence(rng, n, sample_rate, 200, rng.uniform(2e3, 6e3), 0.5)
        curve = log_uniform(rng, 200, 600) * (1 + rng.uniform(0.3, 2) * suck)
        slurp = column(air, sample_rate, curve, 0.9)
        slurp = unit(band(slurp, sample_rate, 0, 2 * curve.max()))
        sig += log_uniform(rng, 0.3, 2) * suck * slurp
    if rng.uniform() < 0.5:
        drain = _running(rng, n, sample_rate, 200, 2500, 0.4, 100)
        sig += rng.uniform(0.1, 0.5) * drain * np.clip(level, 0, 2)
    return sig


def _turned(rng, n, sample_rate, always=0.4):
    """Gain of a tap: running throughout, or opened, changed and closed."""
    if rng.uniform() < always:
        return np.ones(n)
    opens, shuts = rng.uniform(0.02, 0.25), rng.uniform(0.65, 1.2)
    step = rng.uniform(0.01, 0.08)
    at = [opens, opens + step, 0.5 * (opens + shuts), shuts, shuts + step]
    level = [0, rng.uniform(0.5, 1), 1, rng.uniform(0.5, 1), 0]
    return np.interp(np.linspace(0, 1, n), at, level)


@sound("water tap")
def water_tap(rng, duration, sample_rate):
    """A running tap: the valve's hiss and a jet drumming on basin or sink."""
    n = int(duration * sample_rate)
    jet = turbulence(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 150, 1200),
        rng.uniform(5e3, 14e3),
        rng.uniform(-0.3, 0.9),
        rng.uniform(300, 7000, 4),
    )
    drum = _running(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 250, 700),
        rng.uniform(2e3, 6e3),
        rng.uniform(0.2, 0.6),
        log_uniform(rng, 60, 500),
    )
    gain = _turned(rng, n, sample_rate)
    sig = jet * gain + log_uniform(rng, 0.2, 2) * drum * gain**0.7
    if rng.uniform() < 0.2:  # a pipe sings
        pitch = log_uniform(rng, 400, 2500)
        whine = tone(pitch * (1 + 0.1 * gain), sample_rate) * gain
        sig += rng.uniform(0.05, 0.4) * whine
    if gain[-1] == 0:  # it drips on
        closed = np.flatnonzero(gain)[-1] / sample_rate
        times = closed + np.cumsum(rng.exponential(rng.uniform(0.1, 0.4), 6))
        drip = bubbles(rng, times, n, sample_rate, 600, 3000, (8, 30))
        sig += rng.uniform(0.1, 0.6) * normalise(drip)
    if gain[0] == 0 and rng.uniform() < 0.6:  # the lever
        first = np.flatnonzero(gain)[0] / sample_rate
        lever = _knocks(rng, [first], n, sample_rate, 400, 6000, 0.06)
        sig += rng.uniform(0.5, 4) * lever
    return sig


@sound("sink")
def sink(rng, duration, sample_rate):
    """A sink fills, or dishes and hands are washed in it under the tap."""
    n = int(duration * sample_rate)
    steel = rng.uniform(250, 1200, 4)
    water = _running(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 180, 500),
        rng.uniform(2e3, 5e3),
        rng.uniform(0.3, 0.7),
        log_uniform(rng, 100, 600),
        steel,
    )
    curve = log_uniform(rng, 150, 400) * np.linspace(1, rng.uniform(1, 1.6), n)
    water += rng.uniform(0.1, 0.8) * column(water, sample_rate, curve, 0.7)
    washing = rng.uniform() < 0.6
    # Hands and dishes in the jet scatter it.
    stir = rng.uniform(0.3, 0.9) if washing else 0.1
    sig = water * gusts(rng, n, sample_rate, rng.uniform(1.5, 5), stir)
    sig *= _turned(rng, n, sample_rate, 0.7) if washing else 1.0
    if washing:
        sig += rng.uniform(0.3, 1.2) * _sloshing(rng, n, sample_rate, 500, 4000)
        times = poisson_times(rng, log_uniform(rng, 0.6, 6), duration)[:20]
        if rng.uniform() < 0.7 and len(times):
            low = log_uniform(rng, 500, 2500)
            dishes = _knocks(
                rng, times, n, sample_rate, low, 9000, rng.uniform(0.04, 0.4)
            )
            sig += log_uniform(rng, 1, 8) * dishes
    return sig


def _sloshing(rng, n, sample_rate, low, high):
    """Water moved about by hand: irregular swishes with bubbles."""
    duration = n / sample_rate
    move = (
        np.maximum(wander(rng, n, sample_rate, rng.uniform(1.5, 5)), 0) ** 1.5
    )
    move += rng.uniform(0.02, 0.15)
    swish = turbulence(rng, n, sample_rate, low, high, rng.uniform(0, 1))
    times = clustered_times(
        rng, rng.uniform(20, 120), duration, move[:: max(n // 800, 1)]
    )
    plops = bubbles(rng, times, n, sample_rate, low, high, (4, 20))
    return unit((rng.uniform(0.2, 1) * swish + plops) * move)


@sound("bathtub filling")
def bathtub_filling(rng, duration, sample_rate):
    """A heavy jet thunders into a tub, or someone splashes about in it."""
    n = int(duration * sample_rate)
    hollow = log_uniform(rng, 70, 220)
    full = rng.uniform()  # enamel drums, deep water rumbles and gurgles
    water = _running(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 90, 250),
        rng.uniform(1e3, 3.5e3),
        0.25 + 0.5 * full,
        log_uniform(rng, 150, 700),
        hollow * rng.uniform(2, 9, 4),
    )
    curve = hollow * np.linspace(1, rng.uniform(1, 1.25), n)
    water = water + rng.uniform(0.3, 1.2) * column(
        water, sample_rate, curve, 0.75
    )
    deep = turbulence(rng, n, sample_rate, 60, rng.uniform(200, 700), 0.5)
    water += rng.uniform(0.2, 1.2) * deep * gusts(rng, n, sample_rate, 9, 0.4)
    bathing = rng.uniform()
    sig = np.zeros(n)
    if bathing < 0.75:
        sig += unit(water) * _turned(rng, n, sample_rate, 0.7)
    if bathing > 0.5:
        slosh = _sloshing(rng, n, sample_rate, 150, rng.uniform(1500, 4000))
        sig += rng.uniform(0.3, 1.5) * slosh
    return sig


@sound("trickling water")
def trickling_water(rng, duration, sample_rate):
    """A thin trickle: each bubble is heard, in a babbling row."""
    n = int(duration * sample_rate)
    low = log_uniform(rng, 300, 1200)
    rate = log_uniform(rng, 12, 90)
    flow = gusts(
        rng, 300, 300 / duration, rng.uniform(2, 8), rng.uniform(0.3, 0.9)
    )
    times = clustered_times(rng, rate, duration, flow)
    sig = bubbles(
        rng, times, n, sample_rate, low, rng.uniform(2, 5) * low, (8, 40), 0.6
    )
    if rng.uniform() < 0.6:  # it gets caught on an edge and dribbles
        deep = poisson_times(rng, rng.uniform(2, 10), duration)
        sig += rng.uniform(0.3, 1) * bubbles(
            rng, deep, n, sample_rate, 0.4 * low, low, (8, 20), 0.6
        )
    film = turbulence(rng, n, sample_rate, 2 * low, 9000, rng.uniform(0, 1))
    return sig + log_uniform(rng, 0.02, 0.35) * film


# --- streams and steam -------------------------------------------------------


@sound("stream")
def stream(rng, duration, sample_rate):
    """A brook or river: steady babble of bubbles of all sizes, near and far."""
    n = int(duration * sample_rate)
    low = log_uniform(rng, 200, 600)
    near = _running(
        rng,
        n,
        sample_rate,
        low,
        rng.uniform(2000, 5000),
        rng.uniform(0.4, 0.85),
        log_uniform(rng, 100, 700),
    )
    times = poisson_times(rng, rng.uniform(10, 60), duration)
    deep = bubbles(rng, times, n, sample_rate, 0.6 * low, 3 * low, (4, 16))
    river = turbulence(
        rng, n, sample_rate, 80, rng.uniform(1e3, 6e3), rng.uniform(0, 1.2)
    )
    return (
        near + rng.uniform(0, 0.6) * deep + log_uniform(rng, 0.05, 0.8) * river
    )


@sound("waterfall")
def waterfall(rng, duration, sample_rate):
    """A steady, broad roar; closer by, the water's splashing on rock."""
    n = int(duration * sample_rate)
    roar = turbulence(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 40, 250),
        log_uniform(rng, 3000, 14000),
        rng.uniform(0.2, 1.4),
        rng.uniform(100, 1500, 2),
    )
    roar *= gusts(rng, n, sample_rate, 2, 0.05)
    spray = turbulence(rng, n, sample_rate, 1500, 12000)
    spray *= gusts(rng, n, sample_rate, rng.uniform(10, 30), 0.25)
    times = poisson_times(rng, rng.uniform(100, 500), duration)
    fall = bubbles(rng, times, n, sample_rate, 250, 3000, (4, 14))
    return (
        roar + log_uniform(rng, 0.02, 0.4) * spray + rng.uniform(0, 0.4) * fall
    )


@sound("bubbling")
def bubbling(rng, duration, sample_rate):
    """A boiling pot, an aquarium's pump, a straw in a drink."""
    n = int(duration * sample_rate)
    kind = rng.choice(["boil", "aquarium", "straw"])
    low = log_uniform(rng, 120, 700)
    rate, rise = log_uniform(rng, 8, 120), log_uniform(rng, 0.3, 2)
    ring = (3, log_uniform(rng, 8, 40))
    if kind == "straw":  # bursts, as long as the breath lasts
        grid = np.clip(wander(rng, 400, 400 / duration, 1.2) + 0.5, 0.02, None)
    else:
        grid = gusts(rng, 400, 400 / duration, 3, rng.uniform(0.1, 0.7))
    times = clustered_times(rng, rate, duration, grid)
    sig = bubbles(rng, times, n, sample_rate, low, 3.5 * low, ring, rise)
    simmer = turbulence(rng, n, sample_rate, low, 8 * low, rng.uniform(0, 1))
    level = rng.uniform(0.1, 0.6) if kind == "boil" else rng.uniform(0, 0.1)
    return sig + level * simmer * gusts(rng, n, sample_rate, 12, 0.3)


@sound("steam hiss")
def steam_hiss(rng, duration, sample_rate):
    """Gas escaping through a narrow opening, in bursts or steadily."""
    low, high = log_uniform(rng, 700, 5000), rng.uniform(8e3, 16e3)
    peaks = log_uniform(rng, 1500, 7000) * np.array([1, rng.uniform(1.3, 2)])
    longest = log_uniform(rng, 0.5, 5)
    rising = rng.uniform(0.01, 0.3)

    def burst(i):
        n = int(longest * rng.uniform(0.5, 1) * sample_rate)
        sig = turbulence(rng, n, sample_rate, low, high, -0.3, peaks)
        sig *= gusts(rng, n, sample_rate, rng.uniform(8, 30), 0.12)
        fade = rng.uniform(0.05, 0.6) * n / sample_rate
        return sig * swell(n, sample_rate, rising, fade, rng.uniform(0.2, 1))

    return sequence(rng, burst, duration, sample_rate, (1, 5), (0.1, 1.0))


@sound("splash")
def splash(rng, duration, sample_rate):
    """Something falls into water: slap, a deep cavity, spray, then bubbles."""
    big = log_uniform(rng, 0.3, 2.5)  # a pebble, a stone, a diver

    def plunge(i):
        size = big * log_uniform(rng, 0.7, 1.4)
        n = int((0.6 + 0.4 * size) * sample_rate)
        length = n / sample_rate
        slap = turbulence(
            rng,
            n,
            sample_rate,
            150 / size,
            rng.uniform(3e3, 12e3),
            rng.uniform(0, 1),
        )
        slap *= percussive(n, sample_rate, 0.004 + 0.01 * size, 0.7 * length)
        sig = normalise(slap)
        late = rng.uniform(0.04, 0.12) * size
        cavity = bubble(
            rng, sample_rate, rng.uniform(120, 350) / size, 0.12 * size, 0.8
        )
        sig += rng.uniform(0.2, 1) * scatter([late], [cavity], n, sample_rate)
        spray = percussive(400, 400 / length, late, length)
        times = clustered_times(rng, 150 * size, length, spray)
        foam = bubbles(rng, times, n, sample_rate, 250, 3000, (5, 20))
        foam *= percussive(n, sample_rate, late, 1.5 * length)
        sheet = turbulence(rng, n, sample_rate, 400, rng.uniform(4e3, 12e3))
        sheet *= percussive(
            n, sample_rate, 1.5 * late, rng.uniform(1, 2) * length
        )
        sig += rng.uniform(0.1, 0.8) * normalise(sheet)
        return sig + rng.uniform(0.2, 0.9) * normalise(foam)

    return sequence(rng, plunge, duration, sample_rate, (1, 4), (0.2, 1.5))
