"""Weather, sea, fire and earth: turbulence as shaped noise, drops as grains.

All generators share one form: `make(rng, duration, sample_rate)` returns a mono
signal. The blocks that water needs too are in `water`.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import signal

from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    log_uniform,
    modes,
    noise,
    normalise,
    percussive,
    phase,
    poisson_times,
    pulses,
    regular_times,
    scatter,
    soft_clip,
)
from afpt_plugin.synth.registry import sound
from afpt_plugin.synth.water import (
    bubble,
    bubbles,
    clustered_times,
    column,
    drops,
    gusts,
    turbulence,
    unit,
)

# --- fire --------------------------------------------------------------------

# Per second and kind of fire: ticks, snaps and pops; dB of the roar below them.
FIRES = {
    "campfire": ((30, 200), (3, 20), (0.3, 2), (18, 40)),
    "stove": ((8, 60), (1, 10), (0.2, 1.5), (20, 50)),
    "blaze": ((60, 400), (5, 30), (0.3, 3), (6, 20)),
    "embers": ((2, 20), (0.5, 4), (0.05, 0.5), (28, 55)),
    "twigs": ((150, 700), (8, 40), (0.1, 1), (18, 40)),
}


@sound("crackling fire")
def crackling_fire(rng, duration, sample_rate):
    """Ticks, snaps and pops of bursting wood over the fluttering flames.

    Their sizes follow a power law and they come in volleys, which tells them
    from rain.
    """
    n = int(duration * sample_rate)
    ticks, snaps, pops, below = FIRES[rng.choice(list(FIRES))]
    dull = log_uniform(rng, 0.4, 1.3)  # distance, a stove's door

    def grains(decay, low, wide, thump):
        shades = []
        for _ in range(4):
            edge = dull * log_uniform(rng, *low)
            top = edge * rng.uniform(*wide)
            shades.append(turbulence(rng, 8192, sample_rate, edge, top))
        made = []
        for i in range(24):
            fall = log_uniform(rng, *decay)
            m = int(min(1.3 * fall * sample_rate + 24, 8000))
            burst = shades[i % 4][rng.integers(0, 8192 - m) :][:m]
            burst = burst * percussive(m, sample_rate, 0.0001, fall)
            burst[0] += rng.choice([-3, 3])
            if thump:
                boom = bubble(
                    rng, sample_rate, rng.uniform(70, 350), 1.5 * fall, -0.3
                )
                shared = min(m, len(boom))
                boom[:shared] += 0.3 * burst[:shared]
                burst = boom
            made.append(normalise(burst))
        return made

    sig = np.zeros(n)
    steep = rng.uniform(0.25, 0.65)
    for rate, decay, low, wide, thump, level in (
        (ticks, (0.001, 0.006), (1200, 5000), (2, 8), False, (0.01, 0.15)),
        (snaps, (0.004, 0.05), (300, 3000), (3, 20), False, (0.3, 1)),
        (pops, (0.02, 0.12), (150, 900), (3, 20), True, (0.3, 1.5)),
    ):
        volleys = gusts(
            rng,
            600,
            600 / duration,
            log_uniform(rng, 1, 8),
            rng.uniform(0.3, 1.3),
        )
        times = clustered_times(rng, log_uniform(rng, *rate), duration, volleys)
        sizes = rng.uniform(0.002, 1, len(times)) ** -steep
        burst = scatter(
            times,
            grains(decay, low, wide, thump),
            n,
            sample_rate,
            log_uniform(rng, *level) * sizes / 3,
        )
        sig += burst
    sig = soft_clip(sig, rng.uniform(1, 4)) if np.any(sig) else sig
    flames = turbulence(
        rng, n, sample_rate, 25, log_uniform(rng, 120, 900), rng.uniform(0, 1)
    )
    flames *= gusts(
        rng, n, sample_rate, rng.uniform(5, 14), rng.uniform(0.2, 0.6)
    )
    air = turbulence(rng, n, sample_rate, 300, dull * 8000, rng.uniform(0, 1))
    air *= gusts(rng, n, sample_rate, 3, 0.3)
    roar = 10 ** (-rng.uniform(*below) / 20)
    sig += roar * (flames + log_uniform(rng, 0.01, 0.3) * air)
    if rng.uniform() < 0.12:  # sap or damp whistles out of a log
        pitch = log_uniform(rng, 1500, 6000)
        sap = band_noise(rng, n, sample_rate, pitch, 1.1 * pitch)
        sig += (
            log_uniform(rng, 0.003, 0.03)
            * sap
            * gusts(rng, n, sample_rate, 2, 1)
        )
    return sig


# --- sea ---------------------------------------------------------------------

# Seconds between waves, of their rise and of their fall.
SHORES = {
    "beach": ((3, 9), (0.3, 2.0), (0.8, 3.5)),
    "crash": ((4, 10), (0.06, 0.4), (0.8, 3.0)),
    "surf": ((2, 6), (0.8, 2.5), (1.0, 4.0)),
    "shingle": ((2.5, 7), (0.15, 1.0), (0.6, 2.0)),
    "lapping": ((0.5, 2.2), (0.05, 0.25), (0.15, 0.6)),
}


@sound("sea waves")
def sea_waves(rng, duration, sample_rate):
    """Waves swell, break and drain away in hissing foam, over distant surf."""
    n = int(duration * sample_rate)
    kind = rng.choice(list(SHORES))
    period, rise, fall = (log_uniform(rng, *part) for part in SHORES[kind])
    # Gains are drawn at a low rate: a wave takes its time.
    coarse = np.linspace(0, duration, 500)
    breaking, foam = np.zeros(500), np.zeros(500)
    first = -rng.uniform(0, period)
    for when in regular_times(
        rng, period, duration + rise, 0.2, first - period
    ):
        size = np.exp(rng.uniform(0.2, 0.5) * rng.standard_normal())
        after = coarse - when - 0.5 * rise
        up = np.exp(-np.square(np.minimum(after, 0) / rise))
        breaking += size * up * np.exp(-np.maximum(after, 0) / fall)
        late = after - rng.uniform(0.1, 0.6) * fall
        up = np.exp(-np.square(np.minimum(late, 0) / (0.8 * rise + 0.2 * fall)))
        foam += size * up * np.exp(-np.maximum(late, 0) / (1.6 * fall))

    def flow(curve, power, floor, rate, depth):
        gain = np.interp(np.arange(n) / sample_rate, coarse, curve)
        gain = floor + (1 - floor) * gain**power
        return gain * gusts(rng, n, sample_rate, rate, depth)

    floor = rng.uniform(0.25, 0.7) if kind == "surf" else rng.uniform(0.02, 0.3)
    top = log_uniform(rng, 2500, 10000)
    low = {"lapping": 250, "crash": 50}.get(kind, 90) * log_uniform(
        rng, 0.6, 1.6
    )
    body = turbulence(rng, n, sample_rate, low, top / 4, rng.uniform(0.6, 1.6))
    crest = turbulence(rng, n, sample_rate, 3 * low, top, rng.uniform(0.2, 1.2))
    fizz = turbulence(rng, n, sample_rate, 2000, 1.5 * top, rng.uniform(0, 0.7))
    sig = (
        log_uniform(rng, 0.3, 2) * body * flow(breaking, 1, floor, 4, 0.15)
        + crest * flow(breaking, rng.uniform(1.2, 2), 0.7 * floor, 14, 0.15)
        + log_uniform(rng, 0.06, 0.7)
        * fizz
        * flow(foam, 1.2, floor / 2, 9, 0.08)
    )
    if kind == "lapping":  # water slaps and gurgles under a boat, among rocks
        times = clustered_times(
            rng, rng.uniform(20, 120), duration, breaking**2
        )
        plops = bubbles(rng, times, n, sample_rate, 180, 2500, (4, 18))
        sig = unit(sig) + rng.uniform(0.3, 1.2) * plops
    if kind == "shingle":  # pebbles roll back
        times = clustered_times(rng, rng.uniform(80, 400), duration, foam**2)
        stones = scatter(
            times, drops(rng, sample_rate, "ground"), n, sample_rate
        )
        sig = unit(sig) + rng.uniform(0.2, 0.8) * unit(stones)
    if rng.uniform() < 0.25:  # wind in the microphone
        sig = unit(sig) + rng.uniform(0.1, 0.7) * _buffeting(
            rng, n, sample_rate
        )
    return sig


# --- wind --------------------------------------------------------------------


def _buffeting(rng, n, sample_rate):
    """Wind that overpowers a microphone: puffs of rumble."""
    puffs = turbulence(
        rng,
        n,
        sample_rate,
        15,
        log_uniform(rng, 40, 250),
        rng.uniform(0.5, 1.5),
    )
    return unit(puffs * gusts(rng, n, sample_rate, rng.uniform(2, 8), 0.9))


def _howl(rng, speed, sample_rate, base, width):
    """Air over an edge: a narrow band whose pitch follows the speed."""
    n = len(speed)
    bend = np.clip(speed, 0.25, 3) ** rng.uniform(0.15, 0.5)
    cycles = 2 * np.pi * phase(np.clip(base * bend, 50, 6000), sample_rate)
    sing = band(noise(rng, n), sample_rate, high=width, order=2)
    other = band(noise(rng, n), sample_rate, high=width, order=2)
    return unit((sing * np.cos(cycles) + other * np.sin(cycles)) * speed**2)


@sound("wind")
def wind(rng, duration, sample_rate):
    """Gusts: a gale's roar, howling in gaps, trees, puffs on the microphone."""
    n = int(duration * sample_rate)
    kind = rng.choice(["gale", "howl", "whistle", "trees", "microphone"])
    speed = gusts(
        rng, n, sample_rate, log_uniform(rng, 0.25, 1.5), rng.uniform(0.2, 0.7)
    )
    speed /= speed.mean()
    top = log_uniform(rng, 250, 3000)
    sig = unit(
        turbulence(
            rng,
            n,
            sample_rate,
            log_uniform(rng, 30, 150),
            top,
            rng.uniform(0.8, 2.2),
            rng.uniform(80, 1200, 2),
        )
        * speed
    )
    if kind == "howl" or (kind in ("gale", "trees") and rng.uniform() < 0.3):
        base = log_uniform(rng, 200, 800)
        for ratio in (1.0, rng.uniform(1.2, 2.2))[: rng.integers(1, 3)]:
            sig += log_uniform(rng, 0.3, 3) * _howl(
                rng, speed, sample_rate, base * ratio, log_uniform(rng, 12, 90)
            )
    if kind == "whistle":
        sig += log_uniform(rng, 0.2, 3) * _howl(
            rng,
            speed,
            sample_rate,
            log_uniform(rng, 700, 2800),
            log_uniform(rng, 6, 60),
        )
    if kind == "trees" or rng.uniform() < 0.15:
        leaves = turbulence(
            rng, n, sample_rate, 1200, rng.uniform(5e3, 12e3), rng.uniform(0, 1)
        )
        rustle = speed**1.5 * gusts(
            rng, n, sample_rate, rng.uniform(4, 10), 0.3
        )
        sig += log_uniform(rng, 0.15, 1.5) * leaves * rustle
    if kind == "microphone" or rng.uniform() < 0.3:
        sig += log_uniform(rng, 0.5, 4) * _buffeting(rng, n, sample_rate)
    return soft_clip(sig, rng.uniform(1, 3)) if rng.uniform() < 0.3 else sig


# --- rain and thunder --------------------------------------------------------


@sound("rain")
def rain(rng, duration, sample_rate):
    """Drizzle to downpour on leaves, street, roof, tent or window."""
    n = int(duration * sample_rate)
    heavy = rng.uniform()
    surface = rng.choice(
        ["leaves", "puddle", "tin", "pane", "ground"],
        p=[0.3, 0.2, 0.15, 0.15, 0.2],
    )
    top = log_uniform(rng, 4000, 16000)
    hiss = turbulence(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 100, 1500),
        top,
        rng.uniform(-0.3, 1.0),
        rng.uniform(500, 9000, 2),
    )
    hiss *= gusts(rng, n, sample_rate, 0.5, 0.06)
    times = poisson_times(rng, log_uniform(rng, 25, 250) * 5**heavy, duration)
    sizes = np.exp(rng.uniform(0.4, 1.0) * rng.standard_normal(len(times)))
    patter = scatter(
        times, drops(rng, sample_rate, surface), n, sample_rate, sizes
    )
    sig = (0.1 + heavy) * hiss + (1.1 - 0.7 * heavy) * unit(patter)
    if rng.uniform() < 0.2:  # heard from inside
        sig = band(sig, sample_rate, 0, log_uniform(rng, 600, 2500), 1)
    if rng.uniform() < 0.2:  # a gutter runs or drips
        times = poisson_times(rng, log_uniform(rng, 2, 40), duration)
        gutter = bubbles(rng, times, n, sample_rate, 500, 3000, (6, 25))
        sig = unit(sig) + rng.uniform(0.2, 0.8) * gutter
    return sig


@sound("raindrops")
def raindrops(rng, duration, sample_rate):
    """Single drops, each heard by itself, on tin, glass, leaves or a puddle."""
    n = int(duration * sample_rate)
    surfaces = rng.permutation(["leaves", "puddle", "tin", "pane", "ground"])
    sig = np.zeros(n)
    rate = log_uniform(rng, 2, 25)
    for share, surface in zip((1.0, 0.3), surfaces, strict=False):
        density = gusts(rng, 200, 200 / duration, 1, 0.3)
        times = clustered_times(rng, share * rate, duration, density)
        sizes = np.exp(rng.uniform(0.4, 0.9) * rng.standard_normal(len(times)))
        made = drops(rng, sample_rate, surface)
        sig += share * normalise(scatter(times, made, n, sample_rate, sizes))
    if rng.uniform() < 0.6:  # the shower behind them
        bed = turbulence(
            rng,
            n,
            sample_rate,
            400,
            rng.uniform(4e3, 12e3),
            rng.uniform(0, 1.2),
        )
        sig += log_uniform(rng, 0.002, 0.04) * bed
    return sig


def _thunder(rng, n, sample_rate, distance):
    """A lightning channel: each piece sends a shock, the far ones later.

    The wandering channel's distances make claps and rolls; hills echo them, and
    the air swallows the treble of what comes late.
    """
    pieces = 900
    way = np.cumsum(rng.standard_normal((pieces, 3)), 0)
    way = np.cumsum(way / (np.linalg.norm(way, axis=1, keepdims=True) + 1), 0)
    way = rng.uniform(2, 8) * way + [distance, 0, 0]
    way += rng.normal(0, 4, way.shape)
    far = np.maximum(np.linalg.norm(way, axis=1), 60)
    delays = (far - far.min()) / 340
    gains = np.exp(0.7 * rng.standard_normal(pieces))
    gains *= far.min() / far * np.exp(-delays / rng.uniform(0.7, 3))
    later = np.concatenate([[0], rng.uniform(0.05, 2.5, 24)])
    echo = log_uniform(rng, 0.05, 0.4) * np.exp(-later / rng.uniform(0.3, 1.2))
    echo[0] = 1
    where = ((delays[:, None] + later) * sample_rate).astype(int)
    heard = where < n
    train = np.bincount(where[heard], np.outer(gains, echo)[heard], n)
    m = int(0.1 * sample_rate)
    shock = noise(rng, m, rng.uniform(1.2, 2.2))
    shock *= percussive(m, sample_rate, 0.001, log_uniform(rng, 0.02, 0.1))
    sig = signal.fftconvolve(train, shock)[:n]
    top = min(max(1.5e6 / distance, 200), 9000)
    dull = band(sig, sample_rate, 20, 0.2 * top, 1)
    bright = np.exp(-np.arange(n) / sample_rate / rng.uniform(0.3, 1.5))
    return normalise(dull + bright * band(sig - dull, sample_rate, 20, top, 1))


@sound("thunderstorm")
def thunderstorm(rng, duration, sample_rate):
    """Cracks and long rolling rumble, near or far, usually in rain."""
    n = int(duration * sample_rate)
    sig = np.zeros(n)
    for i in range(rng.integers(1, 3)):
        start = rng.uniform(0, (0.2 + 0.4 * i) * duration)
        begin = int(start * sample_rate)
        distance = log_uniform(rng, 150, 6000)
        peal = _thunder(rng, n - begin, sample_rate, distance)
        sig[begin:] += rng.uniform(0.5, 1) * peal
    sig = soft_clip(sig, rng.uniform(1, 4))
    if rng.uniform() < 0.75:
        wet = rain(rng, duration, sample_rate)
        sig += log_uniform(rng, 0.005, 0.12) * unit(wet)
    if rng.uniform() < 0.2:
        sig += rng.uniform(0.03, 0.15) * _buffeting(rng, n, sample_rate)
    return sig


# --- earth -------------------------------------------------------------------


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
            column(sig, sample_rate, log_uniform(rng, 40, 250), 0.94, 12)
        )
    return band(sig, sample_rate, 30, log_uniform(rng, 500, 3000), 1)
