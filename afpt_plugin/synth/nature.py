"""Weather, water, fire: turbulence as shaped noise, drops and sparks as grains.

All generators share one form: `make(rng, duration, sample_rate)` returns a mono
signal.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    comb,
    contour,
    log_uniform,
    modes,
    noise,
    normalise,
    percussive,
    phase,
    poisson_times,
    pulses,
    regular_times,
    resonate,
    scatter,
    sequence,
    soft_clip,
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import sound


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


def bubbles(rng, duration, sample_rate, rate, low, high, ring=(6, 40)):
    """A stream of bubbles: `rate` a second, of frequencies from low to high.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    duration : float
        Length.
    sample_rate : int
        Rate.
    rate : float
        Bubbles per second.
    low, high : float
        Range of frequencies.
    ring : tuple of float
        Range of ringing times, in periods of the bubble.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> bubbles(rng, 0.5, 8000, 50, 500, 2000).shape
    (4000,)
    """
    grains = []
    for freq in np.exp(rng.uniform(np.log(low), np.log(high), 40)):
        time = rng.uniform(*ring) / freq
        grains.append(bubble(rng, sample_rate, freq, time, rng.uniform(0, 0.4)))
    times = rng.permutation(poisson_times(rng, rate, duration))
    gains = np.exp(0.8 * rng.standard_normal(len(times)))
    n_samples = int(duration * sample_rate)
    return scatter(times, grains, n_samples, sample_rate, gains)


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
    curve = depth * wander(rng, n_samples, sample_rate, rate)
    return np.exp(
        curve + 0.4 * depth * wander(rng, n_samples, sample_rate, 4 * rate)
    )


@sound("rain")
def rain(rng, duration, sample_rate):
    """Drizzle to downpour on leaves, street, roof or umbrella."""
    n = int(duration * sample_rate)
    heavy = rng.uniform()
    hiss = noise(rng, n, rng.uniform(-0.3, 1.0))
    hiss = band(hiss, sample_rate, log_uniform(rng, 150, 1500), None, 1)
    hiss = (
        resonate(
            hiss,
            sample_rate,
            rng.uniform(800, 9000, 3),
            3000.0,
            [0.5, 0.5, 0.5],
        )
        + rng.uniform(0.3, 1) * hiss
    )
    hiss *= gusts(rng, n, sample_rate, 0.7, 0.12)
    surface = rng.choice(["leaves", "puddle", "roof"])
    grains = []
    for _ in range(30):
        m = int(0.02 * sample_rate)
        if surface == "leaves":
            drop = band_noise(
                rng, m, sample_rate, 800, rng.uniform(4e3, 14e3), 1
            )
            drop *= percussive(
                m, sample_rate, 0.0003, rng.uniform(0.002, 0.015)
            )
        elif surface == "puddle":
            drop = bubble(rng, sample_rate, log_uniform(rng, 900, 7000), 0.012)
        else:
            freqs = rng.uniform(300, 5000, 4)
            drop = modes(
                2 * m, sample_rate, freqs, [0.03] * 4, rng.uniform(0, 1, 4)
            )
        grains.append(drop)
    times = poisson_times(rng, log_uniform(rng, 20, 600), duration)
    gains = np.exp(rng.uniform(0.4, 1.0) * rng.standard_normal(len(times)))
    drops = scatter(rng.permutation(times), grains, n, sample_rate, gains)
    drops /= np.std(drops) + 1e-9
    sig = hiss / np.std(hiss) * (0.15 + heavy) + (1.1 - heavy) * drops
    if rng.uniform() < 0.2:  # a gutter drips
        sig += 0.5 * water_drops(rng, duration, sample_rate)
    return sig


@sound("sea waves")
def sea_waves(rng, duration, sample_rate):
    """Surf: waves that swell, break brightly and drain back over sand."""
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    period = rng.uniform(2.5, 9)
    dull = noise(rng, n, rng.uniform(1.2, 2.0))
    mid = noise(rng, n, rng.uniform(0.3, 1.0))
    mid = band(mid, sample_rate, 200, log_uniform(rng, 2000, 8000), 1)
    bright = band_noise(
        rng, n, sample_rate, log_uniform(rng, 1500, 5000), 14000, 1
    )
    swells = np.zeros((3, n))
    for when in regular_times(
        rng, period, duration + period, 0.15, -rng.uniform(0, period)
    ):
        size = np.exp(0.35 * rng.standard_normal())
        rise, fall = (
            period * rng.uniform(0.12, 0.4),
            period * rng.uniform(0.2, 0.6),
        )
        for row, (delay, width) in enumerate(
            [(0, 1), (0.05, 0.8), (0.12, 1.1)]
        ):
            x = t - when - delay * period
            side = np.where(x < 0, rise * width, fall * width)
            swells[row] += size * np.exp(-((x / side) ** 2))
    floor = rng.uniform(0.03, 0.35)
    grain = gusts(rng, n, sample_rate, 15, 0.15)
    return (
        rng.uniform(0.2, 1.0) * dull * (floor + swells[0])
        + mid * (floor + swells[1] ** 1.5) * grain
        + rng.uniform(0.1, 0.7)
        * bright
        * (0.3 * floor + swells[2] ** 2)
        * grain
    )


@sound("crackling fire")
def crackling_fire(rng, duration, sample_rate):
    """Sparks and snaps over the soft roar of flames."""
    n = int(duration * sample_rate)
    roar = band_noise(rng, n, sample_rate, 30, log_uniform(rng, 200, 1200), 1)
    roar *= gusts(rng, n, sample_rate, 4, 0.35)
    hiss = band_noise(rng, n, sample_rate, 2000, 12000, 1)
    hiss *= gusts(rng, n, sample_rate, 2, 0.5)

    grains = []
    for _ in range(40):
        decay = log_uniform(rng, 0.001, 0.03)
        m = int(1.2 * decay * sample_rate) + 16
        low = log_uniform(rng, 200, 4000)
        snap = band_noise(rng, m, sample_rate, low, low * rng.uniform(2, 8), 1)
        grains.append(snap * percussive(m, sample_rate, 0.0002, decay))
    # Sparks come in clusters: a Poisson process of varying rate.
    rate = log_uniform(rng, 6, 90)
    density = gusts(rng, 500, 500 / duration, 2, rng.uniform(0.2, 1.0))
    cdf = np.cumsum(density) / density.sum()
    times = np.interp(
        rng.uniform(size=rng.poisson(rate * duration)),
        cdf,
        np.linspace(0, duration, 500),
    )
    gains = np.exp(rng.uniform(0.7, 1.3) * rng.standard_normal(len(times)))
    sparks = scatter(times, grains, n, sample_rate, gains)
    sparks = normalise(soft_clip(sparks, 2.0))
    return (
        sparks
        + log_uniform(rng, 0.005, 0.2) * roar
        + log_uniform(rng, 0.001, 0.03) * hiss
    )


@sound("wind")
def wind(rng, duration, sample_rate):
    """Gusts, howling in gaps, rumbling on the microphone, rustling leaves."""
    n = int(duration * sample_rate)
    speed = gusts(
        rng, n, sample_rate, rng.uniform(0.3, 1.5), rng.uniform(0.2, 0.7)
    )
    speed /= speed.mean()
    sig = noise(rng, n, rng.uniform(1.0, 2.2)) * speed
    air = band_noise(rng, n, sample_rate, 200, log_uniform(rng, 800, 5000), 1)
    sig += rng.uniform(0.1, 0.8) * air * speed**1.5
    if rng.uniform() < 0.6:  # howl: narrow bands whose pitch follows the speed
        base = log_uniform(rng, 250, 1100)
        for ratio in rng.uniform(0.8, 2.2, rng.integers(1, 4)):
            curve = (
                base * ratio * np.clip(speed, 0.3, 2.5) ** rng.uniform(0.2, 0.6)
            )
            width = rng.uniform(15, 90)
            slow = band(noise(rng, n), sample_rate, high=width, order=2)
            quad = band(noise(rng, n), sample_rate, high=width, order=2)
            cycles = 2 * np.pi * phase(np.clip(curve, 50, 6000), sample_rate)
            howl = slow * np.cos(cycles) + quad * np.sin(cycles)
            sig += rng.uniform(0.2, 2.0) * howl / np.std(howl) * speed**2
    if rng.uniform() < 0.4:  # buffeting of the microphone
        puff = band_noise(rng, n, sample_rate, 10, rng.uniform(60, 160), 1)
        sig += rng.uniform(0.5, 2.5) * puff * gusts(rng, n, sample_rate, 6, 0.8)
    if rng.uniform() < 0.3:  # leaves
        leaves = band_noise(rng, n, sample_rate, 2500, 11000, 1)
        sig += (
            rng.uniform(0.05, 0.3)
            * leaves
            * speed**2
            * gusts(rng, n, sample_rate, 9, 0.4)
        )
    return sig


@sound("pouring water")
def pouring_water(rng, duration, sample_rate):
    """A jet filling a glass, bottle, sink or tub: the air column shortens."""
    length = duration * rng.uniform(0.35, 1.0)
    n = int(length * sample_rate)
    start = int(rng.uniform(0, max(duration - length, 0)) * sample_rate)
    vessel = rng.choice(
        ["glass", "bottle", "sink", "tub"], p=[0.4, 0.2, 0.2, 0.2]
    )
    flow = gusts(
        rng, n, sample_rate, rng.uniform(3, 10), rng.uniform(0.05, 0.3)
    )
    bounds = {
        "glass": (900, 5000),
        "bottle": (350, 2500),
        "sink": (700, 6000),
        "tub": (250, 2200),
    }
    low, high = bounds[vessel]
    low *= rng.uniform(0.6, 1.4)
    high *= rng.uniform(0.6, 1.4)
    splash = bubbles(
        rng, length, sample_rate, log_uniform(rng, 150, 900), low, high, (5, 30)
    )
    splash /= np.std(splash) + 1e-9
    jet = band_noise(rng, n, sample_rate, low, rng.uniform(7e3, 14e3), 1)
    water = rng.uniform(0.4, 1.2) * splash + rng.uniform(0.05, 0.5) * jet
    water *= flow
    if vessel in ("glass", "bottle"):
        # Column resonances rise as 1 / (height of air): several fixed tunings
        # are cross-faded, which glides for the ear and stays vectorised.
        base = log_uniform(rng, 220, 700)
        growth = rng.uniform(1.6, 4.0)
        full = rng.uniform(0.6, 1.0)
        steps = 8
        height = np.linspace(1, 1 - full * (1 - 1 / growth), steps)
        where = np.linspace(0, 1, n)
        sung = np.zeros(n)
        for i, tall in enumerate(height):
            weight = np.interp(
                where, np.linspace(0, 1, steps), np.eye(steps)[i]
            )
            freqs = base / tall * np.array([1, 3, 5, 7])
            sung += weight * resonate(
                water, sample_rate, freqs, 0.06 * freqs + 40, [1, 0.8, 0.6, 0.4]
            )
        water = normalise(water) + rng.uniform(0.6, 2.5) * normalise(sung)
    if vessel == "bottle" or rng.uniform() < 0.2:
        # Glugs: the emptied vessel gulps air, slower as it empties.
        rate = log_uniform(rng, 3, 9)
        glug_rate = rate * contour([1.0, rng.uniform(0.7, 1.4)], n)
        beat = 0.5 + 0.5 * np.sin(
            2 * np.pi * phase(glug_rate, sample_rate)
            + wander(rng, n, sample_rate, 4)
        )
        depth = rng.uniform(0.5, 0.95)
        water *= 1 - depth + depth * beat**2
        gulp = log_uniform(rng, 120, 450)
        times = (
            np.flatnonzero(np.diff(np.floor(phase(glug_rate, sample_rate))))
            / sample_rate
        )
        grains = [
            bubble(
                rng,
                sample_rate,
                gulp * rng.uniform(0.8, 1.3),
                rng.uniform(0.04, 0.14),
                0.6,
            )
            for _ in range(8)
        ]
        water = normalise(water) + rng.uniform(0.2, 1.0) * scatter(
            times, grains, n, sample_rate
        )
    water *= swell(
        n, sample_rate, rng.uniform(0.03, 0.4), rng.uniform(0.05, 0.6)
    )
    out = np.concatenate([np.zeros(start), normalise(water)])
    tail = duration - len(out) / sample_rate
    if tail > 0.3 and rng.uniform() < 0.6:  # the last drops
        drip = rng.uniform(0.1, 0.5) * bubbles(
            rng, tail, sample_rate, rng.uniform(2, 12), low, high
        )
        out = np.concatenate([out, drip * np.linspace(1, 0, len(drip))])
    return out


@sound("water drops")
def water_drops(rng, duration, sample_rate):
    """Single drips into water or on a surface, regular or not, echoing."""
    freq = log_uniform(rng, 450, 3200)
    ring = rng.uniform(12, 70)
    wet = rng.uniform() < 0.8

    def drip(i):
        pitch = freq * np.exp(rng.uniform(0.02, 0.25) * rng.standard_normal())
        n = int(0.25 * sample_rate)
        out = np.zeros(n)
        m = int(0.006 * sample_rate)
        click = band_noise(rng, m, sample_rate, 1500, 10000, 1)
        out[:m] += (
            rng.uniform(0.03, 0.4)
            * click
            * percussive(m, sample_rate, 0.0003, 0.005)
        )
        if wet:  # one to three bubbles shortly after the impact
            for k in range(rng.integers(1, 4)):
                at = int(rng.uniform(0.002, 0.05 + 0.05 * k) * sample_rate)
                tune = pitch * rng.uniform(0.7, 1.5) ** min(k, 1)
                grain = bubble(
                    rng,
                    sample_rate,
                    tune,
                    min(ring / tune, 0.15),
                    rng.uniform(0, 0.7),
                )
                grain = grain[: n - at]
                out[at : at + len(grain)] += 0.6**k * grain
        else:  # on metal or stone
            freqs = pitch * np.array([1, 2.3, 3.9, 5.2])
            out += modes(
                n,
                sample_rate,
                freqs,
                [0.05, 0.03, 0.02, 0.01],
                [1, 0.7, 0.5, 0.3],
            )
        return out

    if rng.uniform() < 0.5:
        n_samples = int(duration * sample_rate)
        times = regular_times(
            rng,
            log_uniform(rng, 0.25, 1.8),
            duration,
            rng.uniform(0, 0.1),
            rng.uniform(0, 0.5),
        )
        sig = scatter(times, drip, n_samples, sample_rate)
    else:
        sig = sequence(
            rng, drip, duration, sample_rate, (1, 14), (0.02, 0.9), 0.5
        )
    if rng.uniform() < 0.4:  # a cave, a stairwell, a bathroom
        length = int(rng.uniform(0.4, 1.8) * sample_rate)
        tail = noise(rng, length, 0.5) * percussive(
            length, sample_rate, 0.01, length / sample_rate
        )
        from scipy.signal import fftconvolve

        echo = fftconvolve(sig, tail)[: len(sig)]
        sig = normalise(sig) + rng.uniform(0.1, 0.5) * normalise(echo)
    return sig


@sound("toilet flush")
def toilet_flush(rng, duration, sample_rate):
    """Handle, rush of water, swallowing gurgle, then the cistern refilling."""
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    start = rng.uniform(0.0, 0.8)
    rush_end = start + rng.uniform(1.5, 5.0)
    rise = rng.uniform(0.1, 0.8)
    rush = np.clip((t - start) / rise, 0, 1) / (
        1 + np.exp((t - rush_end) / 0.3)
    )
    low = log_uniform(rng, 80, 350)
    body = band_noise(rng, n, sample_rate, low, log_uniform(rng, 1500, 9000), 1)
    bowl = resonate(
        body, sample_rate, rng.uniform(150, 1800, 4), rng.uniform(60, 500, 4)
    )
    sig = body / np.std(body) + rng.uniform(0.3, 2) * bowl / np.std(bowl)
    sig *= rush * gusts(rng, n, sample_rate, 12, rng.uniform(0.1, 0.3))
    splash = bubbles(
        rng, duration, sample_rate, rng.uniform(60, 300), 200, 2500
    )
    sig += rng.uniform(0.2, 0.8) * splash / (np.std(splash) + 1e-9) * rush
    # Gurgle: slow, deep bubbles and a throbbing low rush as the trap empties.
    gurgle = bubbles(
        rng, duration, sample_rate, rng.uniform(10, 40), 90, 500, (3, 10)
    )
    throb = tremolo(n, sample_rate, rng.uniform(4, 14), 0.9)
    swallow = np.exp(-(((t - rush_end) / rng.uniform(0.3, 0.9)) ** 2))
    sig += (
        rng.uniform(0.3, 1.5)
        * (gurgle / (np.std(gurgle) + 1e-9) + 0.5 * body * throb)
        * swallow
    )
    # Refill: a thin hiss through a valve.
    valve = band_noise(
        rng, n, sample_rate, log_uniform(rng, 700, 3000), 10000, 1
    )
    refill = np.clip((t - start - 1.0) / 1.5, 0, 1)
    sig += rng.uniform(0.0, 0.35) * valve * refill
    if rng.uniform() < 0.6:  # handle or button
        freqs = rng.uniform(200, 3500, 5)
        clunk = modes(
            n,
            sample_rate,
            freqs,
            rng.uniform(0.02, 0.12, 5),
            rng.uniform(0.2, 1, 5),
            pulses(rng, [max(start - 0.15, 0), start], n, sample_rate, 0.5),
        )
        sig += rng.uniform(1, 5) * normalise(clunk)
    return sig


@sound("thunderstorm")
def thunderstorm(rng, duration, sample_rate):
    """Cracks and long rolling rumble, near or far, usually in rain."""
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    near = rng.uniform()
    sig = np.zeros(n)
    for when in np.sort(rng.uniform(0, 0.6 * duration, rng.integers(1, 4))):
        length = rng.uniform(1.5, 5.0)
        after = np.maximum(t - when, 0) * (t > when)
        shape = (t > when) * np.minimum(after / (0.02 + 0.6 * (1 - near)), 1)
        shape = shape * np.exp(-3 * after / length)
        roll = noise(rng, n, rng.uniform(1.4, 2.2))
        roll = band(roll, sample_rate, 20, log_uniform(rng, 120, 900), 1)
        roll *= shape * gusts(rng, n, sample_rate, rng.uniform(3, 8), 0.8)
        sig += normalise(roll) * rng.uniform(0.4, 1)
        if near > 0.4:  # the channel's nearest parts tear the air
            m = int(rng.uniform(0.2, 0.9) * sample_rate)
            tears = pulses(
                rng,
                poisson_times(rng, 60, m / sample_rate),
                m,
                sample_rate,
                1.0,
            )
            crack = np.convolve(tears, np.ones(3), "same") * noise(rng, m)
            crack = crack + 0.3 * noise(rng, m, 0.7) * gusts(
                rng, m, sample_rate, 30, 0.8
            )
            crack = band(
                crack, sample_rate, 80, log_uniform(rng, 2000, 10000), 1
            )
            crack *= percussive(m, sample_rate, 0.005, m / sample_rate)
            begin = int(when * sample_rate)
            crack = normalise(crack)[: n - begin]
            sig[begin : begin + len(crack)] += (
                near * rng.uniform(0.3, 1.2) * crack
            )
    sig = soft_clip(sig, rng.uniform(0.3, 3))
    if rng.uniform() < 0.7:
        wet = rain(rng, duration, sample_rate)
        sig += log_uniform(rng, 0.01, 0.15) * wet / np.std(wet)
    return sig


# --- extra concepts ----------------------------------------------------------


@sound("stream")
def stream(rng, duration, sample_rate):
    """A brook: steady babble of bubbles of all sizes."""
    n = int(duration * sample_rate)
    high = rng.uniform(2500, 5000)
    sig = bubbles(
        rng,
        duration,
        sample_rate,
        log_uniform(rng, 100, 700),
        300,
        high,
        (5, 40),
    )
    sig /= np.std(sig)
    hiss = band_noise(rng, n, sample_rate, 400, rng.uniform(4e3, 1e4), 1)
    return sig + rng.uniform(0.1, 0.8) * hiss * gusts(
        rng, n, sample_rate, 6, 0.1
    )


@sound("waterfall")
def waterfall(rng, duration, sample_rate):
    """A steady, broad roar."""
    n = int(duration * sample_rate)
    sig = noise(rng, n, rng.uniform(0.3, 1.3))
    sig = band(sig, sample_rate, 60, log_uniform(rng, 4000, 14000), 1)
    return sig * gusts(rng, n, sample_rate, 3, 0.06)


@sound("bubbling")
def bubbling(rng, duration, sample_rate):
    """Boiling, an aquarium, a straw in a drink."""
    low = log_uniform(rng, 120, 700)
    rate = log_uniform(rng, 8, 80)
    sig = bubbles(rng, duration, sample_rate, rate, low, 3 * low, (3, 14))
    n = len(sig)
    hum = band_noise(rng, n, sample_rate, low, 8 * low, 1)
    return normalise(sig) + rng.uniform(0, 0.05) * hum


@sound("steam hiss")
def steam_hiss(rng, duration, sample_rate):
    """Gas escaping through a narrow opening, in bursts or steadily."""

    def burst(i):
        n = int(rng.uniform(0.3, 4.0) * sample_rate)
        sig = band_noise(
            rng, n, sample_rate, log_uniform(rng, 1500, 5000), 15000, 1
        )
        sig *= gusts(rng, n, sample_rate, 10, 0.1)
        return sig * swell(n, sample_rate, 0.05, rng.uniform(0.05, 0.5))

    return sequence(rng, burst, duration, sample_rate, (1, 4), (0.1, 1.0))


@sound("earthquake rumble")
def earthquake_rumble(rng, duration, sample_rate):
    """Deep shaking with rattling objects."""
    n = int(duration * sample_rate)
    shake = gusts(rng, n, sample_rate, 2, 0.5)
    sig = band_noise(rng, n, sample_rate, 15, rng.uniform(60, 180)) * shake
    hits = (
        pulses(rng, poisson_times(rng, 25, duration), n, sample_rate, 0.8)
        * shake
    )
    freqs = rng.uniform(300, 4000, 6)
    rattle = modes(
        n, sample_rate, freqs, [0.03] * 6, rng.uniform(0.2, 1, 6), hits
    )
    return normalise(sig) + rng.uniform(0.02, 0.3) * normalise(rattle)


@sound("splash")
def splash(rng, duration, sample_rate):
    """Something falls into water: a slap, spray, then bubbles."""

    def plunge(i):
        length = rng.uniform(0.5, 1.5)
        n = int(length * sample_rate)
        slap = band_noise(rng, n, sample_rate, 150, rng.uniform(3e3, 12e3), 1)
        slap *= percussive(n, sample_rate, 0.01, length)
        foam = bubbles(rng, length, sample_rate, 120, 250, 2500)
        foam *= np.linspace(1, 0, len(foam)) ** 2
        return normalise(slap) + rng.uniform(0.2, 0.9) * normalise(foam)

    return sequence(rng, plunge, duration, sample_rate, (1, 3), (0.3, 1.5))


@sound("gravel slide")
def gravel_slide(rng, duration, sample_rate):
    """Stones tumbling: hundreds of small, hard knocks."""
    n = int(duration * sample_rate)
    times = poisson_times(rng, log_uniform(rng, 60, 500), duration)
    grains = []
    for _ in range(30):
        freqs = rng.uniform(900, 8000, 3)
        grains.append(
            modes(
                int(0.02 * sample_rate),
                sample_rate,
                freqs,
                [0.012] * 3,
                [1, 0.8, 0.5],
            )
        )
    gains = np.exp(0.8 * rng.standard_normal(len(times)))
    sig = scatter(rng.permutation(times), grains, n, sample_rate, gains)
    return sig * np.clip(gusts(rng, n, sample_rate, 1.0, 0.6), 0, 3)


@sound("cave echo drone")
def cave_drone(rng, duration, sample_rate):
    """Air moving in a tunnel: noise through long, ringing tubes."""
    n = int(duration * sample_rate)
    sig = noise(rng, n, 1.5) * gusts(rng, n, sample_rate, 0.5, 0.3)
    for _ in range(2):
        sig += 0.5 * normalise(
            comb(sig, sample_rate, log_uniform(rng, 40, 250), 0.96)
        )
    return band(sig, sample_rate, 30, log_uniform(rng, 500, 3000), 1)
