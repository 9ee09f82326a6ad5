"""Sounds of engines, tools, bells, metal, explosions and arcade games.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. Engines are made of
`firing` (what the cylinders do) through `exhaust` (what the pipe does), driven
at the `revs` that somebody's foot asks for; `vehicles` uses them too.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["engine"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import signal

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
    phase,
    pulses,
    regular_times,
    resonate,
    saw,
    scatter,
    sequence,
    soft_clip,
    struck_body,
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]


def unit(sig):
    """Scale to unit variance, so that layers mix by ratio.

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
    return sig / (np.std(sig) + 1e-9)


def rumble(rng, n, sample_rate, low=80.0, high=2000.0):
    """Quick pink noise, duller yet above a random corner; of unit variance.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n, sample_rate : int
        Length and rate.
    low, high : float
        Range of the corner in Hz.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rumble(np.random.default_rng(0), 800, 8000).shape
    (800,)
    """
    # Kellet's filter: within 0.5 dB of pink, ten times faster than a transform.
    pink = signal.lfilter(
        [0.049922035, -0.095993537, 0.050612699, -0.004408786],
        [1, -2.494956002, 2.017265875, -0.5221894],
        rng.standard_normal(n),
    )
    return unit(band(pink, sample_rate, 0, log_uniform(rng, low, high), 1))


def firing(rng, rate, sample_rate, cylinders=4, rough=0.15):
    """Exhaust pulses of an engine, none alike.

    Each cylinder has its own strength, so that half and quarter orders sound
    under the firing note.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    rate : numpy.ndarray
        Ignitions a second, per sample; sets the length.
    sample_rate : int
        Rate.
    cylinders : int
        After so many ignitions the pattern repeats.
    rough : float
        Spread of the pulses' strengths (standard deviation of the logarithm).

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> firing(rng, np.full(800, 30.0), 8000).shape
    (800,)
    """
    n = len(rate)
    jitter = 0.3 * rough * wander(rng, n, sample_rate, 40)
    rate = np.maximum(rate * (1 + jitter), 2)
    cycles = phase(rate, sample_rate, start=rng.uniform())
    stroke = np.floor(cycles).astype(int)
    strength = np.exp(rough * rng.standard_normal(stroke[-1] + 2))
    own = np.exp(1.5 * rough * rng.standard_normal(cylinders))
    strength *= np.resize(own, len(strength))
    where = cycles - stroke
    sharp = rng.uniform(4, 14)
    puff = strength[stroke] * np.exp(-sharp * where) * np.minimum(where * 30, 1)
    puff = band(puff, sample_rate, 15, None, 1)
    top = log_uniform(rng, 600, 6000)
    hiss = unit(band(noise(rng, n) * puff, sample_rate, 0, top, 1))
    return unit(puff) + log_uniform(rng, 0.04, 0.5) * hiss


def exhaust(rng, sig, sample_rate, low=(60, 160), bright=4000.0):
    """Muffler and body: a few broad resonances and a soft ceiling.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sig : numpy.ndarray
        Pulses from `firing`.
    sample_rate : int
        Rate.
    low : tuple of float
        Range of the lowest resonance in Hz.
    bright : float
        Ceiling in Hz.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> exhaust(rng, rng.standard_normal(800), 8000).shape
    (800,)
    """
    pipe = log_uniform(rng, *low) * np.array([1, 2.2, 3.9, 8, 18])
    pipe = pipe * rng.uniform(0.85, 1.15, 5)
    gains = rng.uniform(0.5, 0.95) ** np.arange(5)
    out = resonate(sig, sample_rate, pipe, 0.3 * pipe, gains) + 0.3 * sig
    return band(out, sample_rate, 25, bright, 1)


def diesel(rng, rate, sample_rate, bright=2000.0, knock=0.3):
    """A heavy engine: muffled pulses and the knock of every ignition.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    rate : numpy.ndarray
        Ignitions a second, per sample; sets the length.
    sample_rate : int
        Rate.
    bright : float
        Ceiling of the exhaust in Hz.
    knock : float
        Loudness of the clatter over that of the exhaust.

    Returns
    -------
    numpy.ndarray
        Of about unit variance.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> diesel(rng, np.full(800, 30.0), 8000).shape
    (800,)
    """
    n = len(rate)
    pulse = firing(rng, rate, sample_rate, rng.choice([4, 6, 8]), 0.15)
    sig = unit(exhaust(rng, pulse, sample_rate, bright=bright))
    clatter = noise(rng, n) * np.abs(pulse) ** 2
    block = log_uniform(rng, 900, 2200) * np.array([1, 1.8])
    clatter = resonate(clatter, sample_rate, block, 0.5 * block)
    return sig + knock * unit(clatter)


def revs(rng, n, sample_rate, up, down, work=(0.15, 1.5), rest=(0.15, 1.5)):
    """A throttle pressed and let go at odd times: an engine's answer.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n, sample_rate : int
        Length and rate.
    up, down : float
        Seconds in which the engine gains and loses speed.
    work, rest : tuple of float
        Shortest and longest time with and without throttle.

    Returns
    -------
    numpy.ndarray
        0 is idle, 1 is full speed.

    Example
    -------
    >>> turns = revs(np.random.default_rng(0), 8000, 8000, 0.2, 0.5)
    >>> bool(turns.min() >= 0 and turns.max() <= 1)
    True
    """
    step = 100  # a second
    target = np.zeros(int(n / sample_rate * step) + 2)
    time = rng.uniform(-1, 0.5)
    while time < n / sample_rate:
        stop = time + log_uniform(rng, *work)
        begin, end = (max(int(t * step), 0) for t in (time, stop))
        target[begin:end] = rng.uniform(0.4, 1)
        time = stop + log_uniform(rng, *rest)
    speed, now = np.zeros(len(target)), target[0]
    for i, goal in enumerate(target):
        now += (goal - now) * min(1 / (step * (up if goal > now else down)), 1)
        speed[i] = now
    grid = np.arange(len(speed)) * (sample_rate / step)
    return np.interp(np.arange(n), grid, speed)


# --- engines -----------------------------------------------------------------


def _starter(rng, n, sample_rate):
    """The starter turns an engine over: a whirr that labours at each stroke."""
    stroke = rng.uniform(5, 12)
    turn = tremolo(n, sample_rate, stroke, 0.9)
    motor = saw(stroke * 22 * (0.85 + 0.15 * turn), sample_rate)
    motor = unit(band(motor, sample_rate, 150, 3000, 1))
    return turn * (motor + rumble(rng, n, sample_rate))


@sound("engine")
def engine(rng, duration, sample_rate):
    """A car's or lorry's engine idles, is started, driven, blipped or stalls.

    Pulses of the cylinders through the exhaust; valves, belts and fan on top.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["idle", "start", "drive", "blip", "stop"],
        p=[0.42, 0.2, 0.16, 0.14, 0.08],
    )
    t = np.arange(n) / sample_rate
    idle = log_uniform(rng, 12, 60)
    rate = idle * (1 + 0.03 * wander(rng, n, sample_rate, 1.5))
    load = np.ones(n)
    crank = np.zeros(n)
    if style == "drive":
        rate *= contour(rng.uniform(1.5, 4.5, 3), n)
    if style == "blip":
        turns = revs(rng, n, sample_rate, 0.25, 0.6, rest=(0.5, 2.5))
        rate *= 1 + rng.uniform(0.7, 2.2) * turns
        load = 0.5 + turns
    if style == "start":
        starts = rng.uniform(0.1, 0.4) * duration
        begin = int(starts * sample_rate)
        since = np.maximum(t - starts, 0)
        load = np.clip((t - starts) / 0.1, 0, 1)
        rate *= 1 + rng.uniform(0.4, 2) * np.exp(-since / 0.5)
        crank[:begin] = _starter(rng, n, sample_rate)[:begin]
        if rng.random() < 0.3:  # a pause between two attempts
            crank[begin // 2 : int(0.7 * begin)] = 0
    if style == "stop":
        left = np.clip((rng.uniform(0.3, 0.9) * duration - t) / 0.5, 0, 1)
        rate, load = rate * (0.3 + 0.7 * left), left
    cylinders = rng.choice([1, 2, 4, 6, 8])
    sig = firing(rng, rate, sample_rate, cylinders, rng.uniform(0.03, 0.3))
    pulse = np.abs(sig)
    bright = log_uniform(rng, 500, 7000)
    sig = unit(exhaust(rng, sig, sample_rate, bright=bright))
    if rng.random() < 0.55:  # diesel knock, valves, chain
        clatter = pulse**2 * noise(rng, n)
        block = log_uniform(rng, 900, 4000)
        clatter = unit(band(clatter, sample_rate, block, 2.5 * block))
        sig += log_uniform(rng, 0.05, 0.8) * clatter
    if rng.random() < 0.5:  # belts and fan
        whine = saw(rate * rng.uniform(6, 16), sample_rate)
        whine = unit(band(whine, sample_rate, 300, 4000, 1))
        sig += rng.uniform(0.02, 0.15) * whine
    sig += log_uniform(rng, 0.03, 0.4) * rumble(rng, n, sample_rate)
    return sig * load + rng.uniform(0.3, 1) * crank


@sound("revving engine")
def revving_engine(rng, duration, sample_rate):
    """Accelerating, revving, vroom: the pitch leaps up and falls back.

    Blips at a standstill, a long pull through the gears, a limiter's stutter;
    on the overrun the exhaust pops.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["blips", "pull", "limiter"], p=[0.6, 0.28, 0.12])
    idle = log_uniform(rng, 14, 45)
    reach = log_uniform(rng, 2.5, 8)
    if style == "pull":
        knots = np.sort(rng.uniform(0, 1, 3))
        turns = contour([*knots, rng.uniform(0.3, 1)], n, [0, 0.4, 0.8, 1])
        if rng.random() < 0.6:  # changes up
            shift = np.arange(n) > rng.uniform(0.3, 0.8) * n
            turns = np.where(shift, 0.6 * turns, turns)
    else:
        up = log_uniform(rng, 0.06, 0.6)
        work = (0.8, 3) if style == "limiter" else (0.1, 1.2)
        turns = revs(rng, n, sample_rate, up, up * rng.uniform(1, 4), work)
    fall = np.gradient(turns) * sample_rate < -0.1
    rate = idle * (1 + (reach - 1) * turns)
    rate *= 1 + 0.02 * wander(rng, n, sample_rate, 4)
    cylinders = rng.choice([1, 2, 4, 6, 8])
    sig = firing(rng, rate, sample_rate, cylinders, rng.uniform(0.03, 0.25))
    if style == "limiter":
        cut = tremolo(n, sample_rate, rng.uniform(8, 20), rng.uniform(0.5, 1))
        sig *= np.where(turns > 0.7 * turns.max(), cut, 1)
    dull = unit(
        exhaust(rng, sig, sample_rate, bright=log_uniform(rng, 600, 2500))
    )
    raw = unit(band(sig, sample_rate, 200, log_uniform(rng, 3000, 12000), 1))
    sig = dull * (0.35 + turns) + rng.uniform(0.2, 1) * turns * raw
    if rng.random() < 0.4:
        sig = soft_clip(sig, rng.uniform(1, 4))
    whine = saw(rate * rng.uniform(4, 12), sample_rate)
    sig = unit(sig) + rng.uniform(0, 0.15) * turns * whine
    if rng.random() < 0.4:  # unburnt fuel goes off in the pipe
        m = n_samples(0.08, sample_rate)
        pop = band_noise(rng, m, sample_rate, 100, 3000, 1)
        pop *= percussive(m, sample_rate, 0.001, 0.06)
        times = np.sort(rng.uniform(0, n, rng.integers(5, 40)))
        times = times[fall[np.minimum(times.astype(int), n - 1)]] / sample_rate
        gains = rng.uniform(0.3, 2) * rng.random(len(times))
        sig += scatter(times, [pop], n, sample_rate, gains)
    return sig + rng.uniform(0.02, 0.15) * rumble(rng, n, sample_rate)


@sound("chainsaw")
def chainsaw(rng, duration, sample_rate):
    """A small two-stroke: sputters at idle, screams open, sags in the wood.

    A raw buzz with harmonics far up; the chain rattles, chips fly, and now and
    then the cord is pulled first.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["cut", "blips", "steady", "start"], p=[0.42, 0.28, 0.2, 0.1]
    )
    top = log_uniform(rng, 95, 230)
    idle = top * rng.uniform(0.22, 0.4)
    if style == "steady":
        turns = np.full(n, rng.uniform(0.8, 1.0))
    elif style == "cut":
        turns = revs(rng, n, sample_rate, 0.12, 0.35, (0.8, 4), (0.15, 1.2))
    else:
        turns = revs(rng, n, sample_rate, 0.08, 0.3, (0.1, 0.9), (0.1, 1.2))
    runs = np.ones(n)
    pulls = np.zeros(n)
    if style == "start":
        at = np.arange(1, rng.integers(2, 5)) * rng.uniform(0.5, 0.9)
        at = at[at < 0.6 * duration]
        m = n_samples(0.35, sample_rate)
        rope = band_noise(rng, m, sample_rate, 500, 6000, 1) * swell(
            m, sample_rate, 0.08, 0.2
        )
        rope *= tremolo(m, sample_rate, contour([10, 45, 20], m), 0.8)
        pulls = scatter(at, [rope], n, sample_rate)
        first = at[-1] + 0.2 if len(at) else 0.0
        runs = np.clip((np.arange(n) / sample_rate - first) / 0.1, 0, 1)
    sag = np.clip(wander(rng, n, sample_rate, 1.5), 0, 1)
    rate = idle + (top - idle) * turns
    rate *= 1 + 0.015 * wander(rng, n, sample_rate, 6)
    rate *= 1 - rng.uniform(0.05, 0.4) * sag * turns
    sig = firing(
        rng, rate, sample_rate, rng.choice([1, 2]), log_uniform(rng, 0.02, 0.25)
    )
    pipe = exhaust(rng, sig, sample_rate, (150, 450), 14000)
    sig = soft_clip(
        unit(pipe)
        + rng.uniform(0, 0.7) * unit(band(sig, sample_rate, 600, 5000, 1)),
        rng.uniform(1, 6),
    )
    buzz = np.array([900, 1700, 3100, 5500]) * rng.uniform(0.7, 1.4)
    chain = resonate(sig, sample_rate, buzz, 0.3 * buzz)
    chips = band_noise(rng, n, sample_rate, 1500, 9000, 1)
    chips *= (0.2 + sag) * turns * np.abs(1 + wander(rng, n, sample_rate, 60))
    sig = unit(band(sig, sample_rate, log_uniform(rng, 50, 300), None, 1))
    sig += log_uniform(rng, 0.2, 1.4) * unit(chain)
    sig += log_uniform(rng, 0.05, 0.6) * chips
    sig *= runs * (rng.uniform(0.2, 0.5) + turns)
    return sig + rng.uniform(0.3, 1.5) * pulls


# --- tools -------------------------------------------------------------------


@sound("lawn mower")
def lawn_mower(rng, duration, sample_rate):
    """One cylinder at steady revs and a whirring blade."""
    n = n_samples(duration, sample_rate)
    rate = rng.uniform(20, 30) * (1 + 0.02 * wander(rng, n, sample_rate, 1))
    sig = exhaust(
        rng, firing(rng, rate, sample_rate, 1, 0.1), sample_rate, bright=5000
    )
    blade = band_noise(rng, n, sample_rate, 300, 5000, 1)
    blade *= tremolo(n, sample_rate, 4 * rate, 0.6)
    whine = saw(rate * rng.uniform(8, 20), sample_rate)
    return unit(sig) + rng.uniform(0.3, 1) * blade + 0.1 * whine


@sound("drilling")
def drilling(rng, duration, sample_rate):
    """A geared motor under load, or a hammer drill's rattle on stone."""
    n = n_samples(duration, sample_rate)
    seconds = rng.uniform(0.4, 2.5)

    def make(_):
        m = n_samples(seconds * rng.uniform(0.6, 1.4), sample_rate)
        run = contour([0.2, 1, 0.95, 0.9, 0.3], m, [0, 0.12, 0.3, 0.9, 1])
        motor = saw(log_uniform(rng, 150, 500) * run, sample_rate)
        motor = unit(band(motor, sample_rate, 200, 9000, 1))
        blows = log_uniform(rng, 15, 60)
        times = regular_times(rng, 1 / blows, m / sample_rate, 0.05)
        rattle = modes(
            m,
            sample_rate,
            *struck_body(rng, 300, 8000, 12, 0.03, 0.1),
            pulses(rng, times, m, sample_rate, 0.3),
        )
        sig = motor + hammer * unit(rattle)
        sig += 0.3 * band_noise(rng, m, sample_rate, 1000, 9000, 1)
        return sig * swell(m, sample_rate, 0.05, 0.15) * run

    hammer = rng.choice([0.0, rng.uniform(0.5, 4)])
    sig = sequence(rng, make, duration, sample_rate, (1, 5), (0.05, 0.8))
    return sig + 0.001 * noise(rng, n)


@sound("jackhammer")
def jackhammer(rng, duration, sample_rate):
    """Compressed air drives a chisel 10-30 times a second."""
    n = n_samples(duration, sample_rate)
    times = regular_times(rng, 1 / rng.uniform(9, 30), duration, 0.03)
    force = pulses(rng, times, n, sample_rate, 0.3)
    steel = modes(
        n, sample_rate, *struck_body(rng, 500, 7000, 14, 0.08, 0.2), force
    )
    thump = modes(
        n, sample_rate, *struck_body(rng, 50, 400, 6, 0.1, 0.5), force
    )
    air = band_noise(rng, n, sample_rate, 600, 8000, 1) * np.abs(
        1 + unit(thump)
    )
    sig = unit(steel) + rng.uniform(0.3, 2) * unit(thump) + 0.3 * air
    work = np.clip(2 + 3 * wander(rng, n, sample_rate, 1), 0.05, 1)
    return sig * work


@sound("hammering")
def hammering(rng, duration, sample_rate):
    """Blows on a nail or sheet: bright ring and wooden thud, 1-4 a second."""
    n = n_samples(duration, sample_rate)
    ring = struck_body(
        rng,
        log_uniform(rng, 900, 3500),
        12000,
        9,
        log_uniform(rng, 0.04, 0.5),
        0.1,
    )
    wood = struck_body(rng, log_uniform(rng, 90, 350), 2500, 9, 0.1, 0.6)
    m = n_samples(0.7, sample_rate)
    mix = rng.uniform(0.2, 0.8)
    blow = mix * normalise(modes(m, sample_rate, *ring))
    blow += (1 - mix) * normalise(modes(m, sample_rate, *wood))
    blow += 0.5 * noise(rng, m) * percussive(m, sample_rate, 0.0005, 0.012)
    times = regular_times(rng, rng.uniform(0.22, 0.9), duration, 0.05, 0.05)
    gains = np.exp(0.25 * rng.standard_normal(len(times)))
    return scatter(times, [blow], n, sample_rate, gains)


@sound("hand saw")
def hand_saw(rng, duration, sample_rate):
    """Teeth tear fibres while the arm goes to and fro, 1-4 strokes a second.

    Blade speed sets tooth rate, loudness and brightness, so every stroke is an
    arch; pushing cuts and pulling scrapes at another pitch. Board and blade ring.
    """
    n = n_samples(duration, sample_rate)
    strokes = log_uniform(rng, 0.5, 2.6)  # to and fro
    speed = strokes * (1 + 0.08 * wander(rng, n, sample_rate, 1.0))
    cycles = phase(speed, sample_rate, start=rng.uniform())
    share = rng.uniform(0.4, 0.6)  # of a cycle spent pushing
    where = cycles - np.floor(cycles)
    push = where < share
    half = np.where(push, where / share, (where - share) / (1 - share))
    pace = np.sin(np.pi * half) ** rng.uniform(0.4, 1.2)
    force = np.where(push, 1.0, rng.uniform(0.1, 1.0))
    pitch = pace * np.where(push, 1.0, rng.uniform(0.7, 1.5))
    teeth = log_uniform(rng, 90, 700) * pitch
    bite = saw(np.maximum(teeth, 3), sample_rate)
    bite = np.maximum(bite, 0) ** rng.uniform(1, 4)
    tear = unit(bite * noise(rng, n)) + rng.uniform(0.1, 0.8) * noise(rng, n)
    source = tear + rng.uniform(0, 0.8) * unit(np.diff(bite, prepend=0))
    board = log_uniform(rng, 250, 700) * np.array([1, 1.9, 3.2])
    low = unit(resonate(source, sample_rate, board, 0.3 * board))
    blade = np.exp(rng.uniform(np.log(1800), np.log(8000), 5))
    wide = rng.uniform(0.04, 0.3) * blade
    high = unit(resonate(source, sample_rate, blade, wide))
    mid = log_uniform(rng, 700, 2500)
    mid = unit(band(source, sample_rate, mid, 3 * mid, 1))
    # The faster the blade, the brighter the tear.
    sig = log_uniform(rng, 0.2, 1.5) * low + mid
    sig += log_uniform(rng, 0.3, 2) * high * pitch / (pitch.max() + 1e-9)
    sig *= pace * force * np.exp(0.2 * wander(rng, n, sample_rate, 2))
    blows = np.exp(0.25 * rng.standard_normal(int(2 * cycles[-1]) + 4))
    sig *= blows[np.floor(2 * cycles).astype(int)]
    if rng.random() < 0.3:  # rests
        sig *= np.clip(2 + 4 * wander(rng, n, sample_rate, 0.7), 0, 1)
    if rng.random() < 0.2:  # the piece falls
        body = struck_body(rng, 200, 2500, 8, 0.1)
        piece = normalise(
            modes(n_samples(0.4, sample_rate), sample_rate, *body)
        )
        at = rng.uniform(0.6, 0.95) * duration
        sig += scatter([at], [piece], n, sample_rate, [rng.uniform(1, 5)])
    return sig


# --- bells and metal ---------------------------------------------------------


def _ringing(n, sample_rate, freqs, decays, amps):
    """`modes` by recursion: quicker where they ring for seconds."""
    blow = np.eye(1, n)[0]
    out = np.zeros(n)
    for freq, decay, amp in zip(freqs, decays, amps, strict=True):
        if freq < 0.48 * sample_rate:
            angle = 2 * np.pi * freq / sample_rate
            r = np.exp(-6.9 / (decay * sample_rate))
            a = [1, -2 * r * np.cos(angle), r * r]
            out += amp * signal.lfilter([0, r * np.sin(angle)], a, blow)
    return out


def _bell(rng, base, seconds, sample_rate, minor=True):
    """A cast bell: hum, prime, tierce, quint, nominal and what is above."""
    ratios = np.array(
        [0.5, 1, 1.2 if minor else 1.25, 1.5, 2, 2.5, 2.67, 3, 4, 5.3, 6.7, 8.1]
    )
    ratios = ratios * (1 + 0.008 * rng.standard_normal(len(ratios)))
    twins = ratios[:6] * (1 + rng.uniform(0.0005, 0.004, 6))
    ratios = np.concatenate([ratios, twins])  # low modes are beating pairs
    amps = np.array(
        [0.5, 0.7, 0.8, 0.35, 1, 0.4, 0.4, 0.6, 0.4, 0.25, 0.15, 0.1]
    ) * np.exp(0.5 * rng.standard_normal(12))
    decays = seconds * ratios**-0.7 * rng.uniform(0.7, 1.3, 18)
    n = n_samples(min(seconds, 4.0), sample_rate)
    sig = normalise(
        _ringing(
            n,
            sample_rate,
            base * ratios,
            decays,
            np.concatenate([amps, amps[:6] * 0.6]),
        )
    )
    clank = band_noise(rng, n, sample_rate, base * 2, base * 12, 1)
    clank *= percussive(n, sample_rate, 0.0005, 0.05)
    sig += rng.uniform(0.03, 0.25) * normalise(clank)
    return sig * swell(n, sample_rate, 0.001, 0.1)


def _resized(sig, pitch):
    """The same thing, smaller: everything happens `pitch` times as fast."""
    if pitch == 1:
        return sig
    t = np.arange(0, len(sig) - 1, pitch)
    return np.interp(t, np.arange(len(sig)), sig)


@sound("church bells")
def church_bells(rng, duration, sample_rate):
    """A bell tolls or swings, a clock chimes, or several ring a peal.

    Changes run down the scale again and again; swinging bells are struck at
    both ends of the swing, unevenly. The mix of ringing bells never dies down.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["toll", "swing", "chime", "peal", "changes"],
        p=[0.22, 0.2, 0.16, 0.24, 0.18],
    )
    base = log_uniform(rng, 110, 1000 if style == "swing" else 600)
    count = {
        "toll": 1,
        "swing": rng.integers(1, 3),
        "chime": 4,
        "peal": rng.integers(2, 5),
        "changes": rng.integers(4, 7),
    }[style]
    scale = np.array([1, 9 / 8, 5 / 4, 4 / 3, 3 / 2, 5 / 3, 2])
    notes = base * np.sort(rng.choice(scale, count, replace=False))
    ring = log_uniform(rng, 1.5, 10)
    # Two castings; the others have the same shape in another size.
    cast = [_bell(rng, note, ring, sample_rate) for note in notes[:2]]
    bells = [
        _resized(cast[i % 2], note / notes[i % 2])
        for i, note in enumerate(notes)
    ]
    times, which = np.zeros(0), np.zeros(0, int)
    if style in ("swing", "peal"):
        for i in range(count):
            period = rng.uniform(0.45, 1.8) * (base / 400) ** -0.3
            own = regular_times(rng, period, duration, 0.02, rng.uniform(0, 1))
            own[1::2] += rng.uniform(-0.1, 0.1) * period
            times = np.append(times, own)
            which = np.append(which, np.full(len(own), i))
    else:
        gap = {"toll": (1.2, 4), "chime": (0.4, 1.2), "changes": (0.16, 0.4)}
        gap = rng.uniform(*gap[style])
        times = regular_times(rng, gap, duration, 0.03, rng.uniform(0, 0.7))
        which = np.arange(len(times))[::-1] % count
        if style == "chime":
            which = rng.integers(0, count, len(times))
            times = times[: rng.integers(3, 12)]
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    sig = scatter(times, lambda i: bells[which[i]], n, sample_rate, gains)
    old = bells[0][len(bells[0]) // 4 :]  # struck before the clip begins
    return sig + rng.uniform(0, 0.5) * scatter([0.0], [old], n, sample_rate)


@sound("bicycle bell")
def bicycle_bell(rng, duration, sample_rate):
    """A thumb spins a striker in a small dome: "dring", or a single "ding"."""
    low = log_uniform(rng, 1300, 3200)
    dome = (
        low * np.array([1, 1.005, 2.2, 3.4, 4.7]),
        log_uniform(rng, 0.5, 2.5) * np.array([1, 1, 0.7, 0.5, 0.3]),
        np.array([1, 0.8, 0.7, 0.5, 0.3]),
    )

    def make(_):
        n = n_samples(1.5, sample_rate)
        count = rng.choice([1, 2, 10])
        times = regular_times(rng, rng.uniform(0.03, 0.07), 0.05 * count, 0.1)
        return normalise(
            modes(
                n, sample_rate, *dome, pulses(rng, times, n, sample_rate, 0.4)
            )
        )

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.02, 1.0))


@sound("metal clang")
def metal_clang(rng, duration, sample_rate):
    """Pipes, sheets, pots, anvils and gates are struck or dropped.

    Inharmonic modes with close pairs; a dropped thing bounces ever faster.
    """
    low = log_uniform(rng, 110, 1500)
    ring = log_uniform(rng, 0.15, 3.5)
    count = rng.integers(8, 22)
    drop = rng.random() < 0.35

    def make(_):
        m = n_samples(min(1.3 * ring, 3), sample_rate)
        freqs, decays, amps = body
        hit = amps * np.exp(0.5 * rng.standard_normal(len(amps)))
        sig = normalise(modes(m, sample_rate, freqs, decays, hit))
        click = band_noise(rng, m, sample_rate, 800, 12000, 1)
        click *= percussive(m, sample_rate, 0.0003, 0.03)
        sig += rng.uniform(0.05, 0.6) * normalise(click)
        if drop:
            gaps = rng.uniform(0.12, 0.35) * rng.uniform(
                0.55, 0.8
            ) ** np.arange(9)
            times = np.append(0, np.cumsum(gaps))
            gains = rng.uniform(0.6, 0.85) ** np.arange(10)
            sig = scatter(times, [sig], int(1.5 * m), sample_rate, gains)
        return sig

    freqs, decays, amps = struck_body(rng, low, 30 * low, count, ring, 0.3)
    pairs = freqs * (1 + rng.uniform(0.001, 0.012, count))
    body = (
        np.append(freqs, pairs),
        np.append(decays, decays),
        np.append(amps, amps),
    )
    most = rng.choice([1, 3, 8])
    return sequence(
        rng, make, duration, sample_rate, (1, most), (0.02, 0.8), 0.5
    )


@sound("sword clash")
def sword_clash(rng, duration, sample_rate):
    """Blade meets blade: a bright clank, thin steel singing, a scrape, a whoosh."""
    steel = log_uniform(rng, 500, 3500)
    ring = log_uniform(rng, 0.15, 1.6)

    def make(_):
        m = n_samples(min(ring + 0.4, 1.8), sample_rate)
        blades = struck_body(rng, steel, 14000, 16, ring, 0.2)
        sig = normalise(modes(m, sample_rate, *blades))
        hit = band_noise(rng, m, sample_rate, 1000, 14000, 1)
        hit *= percussive(m, sample_rate, 0.0005, log_uniform(rng, 0.02, 0.12))
        sig += rng.uniform(0.2, 1) * normalise(hit)
        if rng.random() < 0.4:  # edge slides along edge
            s = n_samples(rng.uniform(0.15, 0.6), sample_rate)
            slide = noise(rng, s) * np.abs(1 + wander(rng, s, sample_rate, 150))
            edge = steel * np.array([1.5, 2.7, 4.2])
            slide = normalise(resonate(slide, sample_rate, edge, 300.0))
            slide *= swell(s, sample_rate, 0.05, 0.15)
            sig = np.append(rng.uniform(0.2, 1) * slide, sig)
        if rng.random() < 0.4:  # the swing before
            s = n_samples(rng.uniform(0.12, 0.3), sample_rate)
            air = band_noise(rng, s, sample_rate, 400, 3000, 1)
            air = normalise(air) * swell(s, sample_rate, 0.1, 0.06)
            sig = np.append(rng.uniform(0.1, 0.4) * air, sig)
        return sig

    most = rng.choice([1, 2, 7])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.02, 0.7))


# --- explosions --------------------------------------------------------------


def _landscape(rng, sig, sample_rate, seconds, level, slaps=4):
    """Answer of hills and houses: a few slaps and a dull diffuse tail."""
    n = n_samples(seconds, sample_rate)
    t = np.arange(n) / sample_rate
    tail = band_noise(rng, n, sample_rate, 40, log_uniform(rng, 400, 3000), 1)
    tail *= np.exp(-6.9 * t / seconds) * np.minimum(t / 0.08, 1)
    tail *= np.abs(1 + 0.5 * wander(rng, n, sample_rate, 8))
    tail *= level / np.sqrt(np.sum(tail**2) + 1e-9)
    where = (rng.uniform(0.04, 0.5, slaps) * n).astype(int)
    np.add.at(tail, where, 0.5 * level * rng.uniform(-1, 1, slaps))
    tail[0] += 1
    return signal.oaconvolve(sig, tail)[: len(sig)]


def _boom(rng, sample_rate, far):
    """A charge bursts: shock front, low thump, a blast that rumbles away.

    `far` 0..1 dulls the shock and lengthens the blast.
    """
    tail = rng.uniform(0.5, 2.5)
    n = n_samples(tail, sample_rate)
    crack = noise(rng, n) * percussive(
        n, sample_rate, 0.0008, log_uniform(rng, 0.03, 0.25)
    )
    thump = tone(
        log_uniform(rng, 40, 110) * contour([1.6, 1, 0.7], n), sample_rate
    )
    thump *= percussive(n, sample_rate, 0.004, rng.uniform(0.15, 0.6))
    blast = rumble(rng, n, sample_rate, 60, 1500)
    blast *= percussive(n, sample_rate, 0.003 + 0.03 * far, tail)
    blast *= np.exp(0.3 * wander(rng, n, sample_rate, 15))
    dull = log_uniform(rng, 1500, 9000) * (1 - 0.85 * far)
    sig = 2 * crack * (1 - 0.6 * far) + thump + rng.uniform(0.3, 1) * blast
    sig = normalise(band(sig, sample_rate, 25, dull, 1))
    return sig * swell(n, sample_rate, 0.0005, 0.3 * tail)


@sound("explosion")
def explosion(rng, duration, sample_rate):
    """A blast: sharp or muffled onset, a long low rumble, debris coming down."""
    n = n_samples(duration, sample_rate)
    size = log_uniform(rng, 0.4, 4)
    far = rng.uniform(0, 0.9)
    t = np.arange(n) / sample_rate
    count = rng.choice([1, 2, 4], p=[0.65, 0.2, 0.15])
    times = np.sort(rng.uniform(0, 0.5 * duration, count))
    times[0] = rng.uniform(0, min(0.4, 0.2 * duration))
    out = scatter(times, lambda i: _boom(rng, sample_rate, far), n, sample_rate)
    since = np.maximum(t - times[0], 0)
    roar = rumble(rng, n, sample_rate, 60, 3000) * np.exp(
        0.35 * wander(rng, n, sample_rate, 10)
    )
    roar *= np.minimum(since / (0.01 + 0.1 * far), 1) * np.exp(
        -3 * since / size
    )
    out += log_uniform(rng, 0.15, 0.8) * roar
    if rng.random() < 0.4:  # debris
        hits = times[0] + rng.gamma(2, 0.3 * size, rng.integers(10, 80))
        stones = [
            modes(
                n_samples(0.1, sample_rate),
                sample_rate,
                *struck_body(rng, 300, 7000, 6, 0.05),
            )
            for _ in range(5)
        ]
        gains = rng.uniform(0.01, 0.15) * rng.random(len(hits))
        out += scatter(hits, stones, n, sample_rate, gains)
    if rng.random() < 0.5:
        out = _landscape(rng, out, sample_rate, log_uniform(rng, 0.6, 3), 0.7)
    return soft_clip(out, rng.uniform(0.5, 4))


def _crackle(rng, sample_rate):
    """Stars that pop one by one: a cloud of sharp reports."""
    seconds = rng.uniform(0.5, 2.2)
    n = n_samples(seconds, sample_rate)
    count = int(log_uniform(rng, 15, 300))
    times = rng.beta(1.6, 2.6, count) * seconds * 0.95
    m = n_samples(0.05, sample_rate)
    pops = []
    for _ in range(6):
        pop = band_noise(
            rng, m, sample_rate, log_uniform(rng, 500, 3000), 13000, 1
        )
        pops.append(
            pop
            * percussive(m, sample_rate, 0.0003, log_uniform(rng, 0.006, 0.04))
        )
    gains = np.exp(0.7 * rng.standard_normal(count))
    return normalise(scatter(times, pops, n, sample_rate, gains))


def _rocket(rng, sample_rate, whistles):
    """A mortar's thud, then a whoosh, or a whistle that climbs and trembles."""
    seconds = rng.uniform(0.5, 2.0)
    n = n_samples(seconds, sample_rate)
    whoosh = band_noise(rng, n, sample_rate, 500, 7000, 1)
    sig = rng.uniform(0.1, 0.8) * whoosh * contour([0.3, 1, 0.4, 0.05], n)
    if whistles:
        base = log_uniform(rng, 900, 3500)
        ends = rng.uniform(0.6, 1.9)
        glide = base * contour([1, rng.uniform(1, 1.6), ends], n)
        glide *= 1 + 0.015 * wander(rng, n, sample_rate, 25)
        scream = tone(glide, sample_rate) + 0.3 * tone(2 * glide, sample_rate)
        sig += rng.uniform(0.7, 2) * scream * contour([0.3, 1, 0.7, 0.1], n)
    m = min(n_samples(0.2, sample_rate), n)
    thud = noise(rng, m, 1.8) * percussive(m, sample_rate, 0.003, 0.15)
    sig[:m] += rng.uniform(0, 2) * thud
    return normalise(sig)


def _far_crowd(rng, n, sample_rate):
    """People cheer and murmur somewhere below."""
    sig = np.zeros(n)
    for low in (400, 1000):
        voices = band_noise(rng, n, sample_rate, low, 2 * low, 1)
        sig += voices * np.exp(0.8 * wander(rng, n, sample_rate, 3))
    return sig * np.exp(0.6 * wander(rng, n, sample_rate, 0.6))


@sound("fireworks")
def fireworks(rng, duration, sample_rate):
    """Whistles and thuds going up, bangs that roll off the town, crackling.

    Shells come at odd times and distances: few, a finale, one alone, firecrackers
    in a string, or the far-off popping of a whole city.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["display", "finale", "single", "firecrackers", "city"],
        p=[0.4, 0.18, 0.12, 0.12, 0.18],
    )
    out = np.zeros(n)
    if style == "firecrackers":
        times = np.cumsum(rng.gamma(1.3, log_uniform(rng, 0.02, 0.15), 200))
        times = times[times < rng.uniform(0.4, 1.1) * duration]
        m = n_samples(0.2, sample_rate)
        bangs = []
        for _ in range(4):
            shot = band_noise(rng, m, sample_rate, 200, 12000, 1)
            shot *= percussive(m, sample_rate, 0.0003, rng.uniform(0.02, 0.1))
            low = noise(rng, m, 1.5) * percussive(m, sample_rate, 0.002, 0.15)
            bangs.append(shot + 0.5 * low)
        gains = 0.5 * np.exp(0.5 * rng.standard_normal(len(times)))
        out += scatter(times, bangs, n, sample_rate, gains)
    shells = {
        "display": rng.integers(2, 8),
        "finale": rng.integers(12, 30),
        "single": 1,
        "firecrackers": rng.integers(0, 3),
        "city": rng.integers(6, 25),
    }[style]
    far = {"city": (0.6, 1), "single": (0, 0.8)}.get(style, (0.1, 0.9))
    booms = [
        _boom(rng, sample_rate, rng.uniform(*far))
        for _ in range(min(shells, 3))
    ]
    stars = _crackle(rng, sample_rate)
    up = _rocket(rng, sample_rate, rng.random() < 0.5)
    chance = 0.15 if style == "city" else 0.6
    star_level, up_level = (
        log_uniform(rng, 0.06, 0.7),
        log_uniform(rng, 0.05, 0.8),
    )
    times = rng.uniform(-0.3, duration * 0.95, shells)
    if style == "single":
        times = rng.uniform(0, duration * 0.6, 1)
    for i, time in enumerate(np.maximum(times, 0)):
        level = log_uniform(rng, 0.15, 1)
        out += scatter([time], [booms[i % len(booms)]], n, sample_rate, [level])
        if rng.random() < chance:
            at = time + rng.uniform(0.02, 0.7)
            level *= star_level
            out += scatter([at], [stars], n, sample_rate, [level])
        rise = len(up) / sample_rate + rng.uniform(0, 0.3)
        if time > rise and rng.random() < chance:
            out += scatter([time - rise], [up], n, sample_rate, [up_level])
    if not out.any():  # between two shells
        out += scatter([0.0], [stars], n, sample_rate)
    out = _landscape(
        rng,
        out,
        sample_rate,
        log_uniform(rng, 0.8, 3),
        log_uniform(rng, 0.15, 0.9),
    )
    level = log_uniform(rng, 0.001, 0.05) * np.abs(out).max()
    out += level * rumble(rng, n, sample_rate)
    if rng.random() < 0.4:
        out += (
            rng.uniform(0.5, 4) * level * unit(_far_crowd(rng, n, sample_rate))
        )
    return out


def _muzzle(rng, sample_rate):
    """A shot: muzzle crack over the bang."""
    shot = _boom(rng, sample_rate, rng.uniform(0, 0.4))
    sharp = noise(rng, len(shot)) * percussive(
        len(shot), sample_rate, 0.0002, rng.uniform(0.01, 0.08)
    )
    sharp = band(sharp, sample_rate, 0, log_uniform(rng, 2000, 14000), 1)
    return shot + rng.uniform(0.1, 1.2) * normalise(sharp)


@sound("gun shot")
def gun_shot(rng, duration, sample_rate):
    """A muzzle's crack and its echo; single shots, pairs, a few in a row."""
    shot = _muzzle(rng, sample_rate)
    n = n_samples(duration, sample_rate)
    gap = log_uniform(rng, 0.12, 1.8)
    start = rng.uniform(0, min(0.5, duration / 4))
    times = regular_times(rng, gap, duration, 0.15, start)
    times = times[: rng.choice([1, 2, 3, 8], p=[0.4, 0.2, 0.2, 0.2])]
    gains = np.exp(0.1 * rng.standard_normal(len(times)))
    out = scatter(times, [shot], n, sample_rate, gains)
    if rng.random() < 0.6:
        level = log_uniform(rng, 0.1, 1)
        out = _landscape(
            rng, out, sample_rate, log_uniform(rng, 0.5, 2.5), level
        )
    return out


@sound("machine gun")
def machine_gun(rng, duration, sample_rate):
    """Bursts of even shots, 6-20 a second, that end with an echo; cases fall."""
    n = n_samples(duration, sample_rate)
    shot = _muzzle(rng, sample_rate)[
        : n_samples(rng.uniform(0.1, 0.6), sample_rate)
    ]
    shot = shot * swell(
        len(shot), sample_rate, 0, 0.5 * len(shot) / sample_rate
    )
    rate = log_uniform(rng, 6, 20)
    times, time = [], rng.uniform(0, min(0.4, duration / 4))
    while time < duration and len(times) < 150:
        burst = int(log_uniform(rng, 3, 40))
        times.extend(
            time + (np.arange(burst) + 0.03 * rng.random(burst)) / rate
        )
        time = times[-1] + log_uniform(rng, 0.15, 2.5)
        if rng.random() < 0.25:
            break
    gains = np.exp(0.12 * rng.standard_normal(len(times)))
    out = scatter(times, [shot], n, sample_rate, gains)
    if rng.random() < 0.3:
        m = n_samples(0.25, sample_rate)
        case = modes(m, sample_rate, *struck_body(rng, 2500, 9000, 5, 0.2))
        late = rng.choice(times, 8) + rng.uniform(0.2, 0.7, 8)
        out += rng.uniform(0.05, 0.3) * scatter(late, [case], n, sample_rate)
    if rng.random() < 0.6:
        level = log_uniform(rng, 0.1, 1)
        out = _landscape(rng, out, sample_rate, log_uniform(rng, 0.4, 2), level)
    return out


# --- arcade games ------------------------------------------------------------


def _chip(rng, freq, sample_rate, wave):
    """One of a game console's wave forms."""
    if wave == "sine":
        return tone(freq, sample_rate)
    if wave == "saw":
        return saw(freq, sample_rate)
    duty = {"square": 0.5, "pulse": 0.2}[wave]
    return saw(freq, sample_rate) - saw(freq, sample_rate, start=duty)


@sound("laser zap")
def laser_zap(rng, duration, sample_rate):
    """A space gun: a wave that dives (seldom climbs) octaves within a blink."""
    top = log_uniform(rng, 700, 8000)
    depth = log_uniform(rng, 3, 30)
    wave = rng.choice(["sine", "saw", "square", "pulse"])
    seconds = log_uniform(rng, 0.08, 0.9)
    curve = rng.uniform(0.3, 1.2)
    up = rng.random() < 0.15
    hiss, warble = rng.choice([0, rng.uniform(0.1, 0.8)]), rng.random() < 0.25
    speed = log_uniform(rng, 15, 60)

    def make(_):
        m = n_samples(seconds, sample_rate)
        fall = np.linspace(0, 1, m) ** curve
        freq = (
            top * rng.uniform(0.9, 1.1) * depth ** -(1 - fall if up else fall)
        )
        if warble:
            freq = freq * (1 + 0.3 * tone(speed, sample_rate, m))
        sig = unit(_chip(rng, freq, sample_rate, wave))
        sig += hiss * band_noise(rng, m, sample_rate, 500, 9000, 1)
        return sig * percussive(m, sample_rate, 0.002, 1.5 * seconds)

    most = rng.choice([1, 3, 12])
    out = sequence(
        rng, make, duration, sample_rate, (1, most), (0.02, 0.8), 0.1
    )
    if rng.random() < 0.3:  # echo
        late = int(rng.uniform(0.03, 0.25) * sample_rate)
        out[late:] += rng.uniform(0.2, 0.6) * out[: len(out) - late]
    return out


@sound("power-up jingle")
def power_up_jingle(rng, duration, sample_rate):
    """A game rewards: quick rising notes, a coin's two tones, a sweep upwards."""
    root = log_uniform(rng, 180, 900)
    wave = rng.choice(["sine", "saw", "square", "pulse"])
    style = rng.choice(["notes", "coin", "sweep"], p=[0.5, 0.2, 0.3])
    step = log_uniform(rng, 0.04, 0.16)
    chord = [[0, 4, 7, 12], [0, 3, 7, 12], [0, 2, 4, 7, 9], [0, 5, 7, 12]]
    chord = np.array(chord[rng.integers(4)])
    count = rng.integers(3, 13)
    shine = rng.random() < 0.4

    def make(_):
        if style == "sweep":
            m = n_samples(step * count, sample_rate)
            rise = np.linspace(0, rng.uniform(0.8, 3), m)
            rise += 0.15 * tone(1 / step, sample_rate, m)
            freq, loud = root * 2**rise, swell(m, sample_rate, 0.02, 0.2)
        else:
            k = np.arange(count if style == "notes" else 2)
            pitch = chord[k % len(chord)] + 12 * (k // len(chord))
            if style == "coin":
                pitch = np.array([12, 12 + rng.choice([5, 7])])
            spans = np.full(len(k), n_samples(step, sample_rate))
            spans[-1] = n_samples(max(0.3, step), sample_rate)
            freq = np.repeat(root * 2 ** (np.minimum(pitch, 36) / 12), spans)
            loud = [
                percussive(span, sample_rate, 0.003, max(0.6, 6 * step))
                for span in spans
            ]
            loud = np.concatenate(loud)
        sig = _chip(rng, freq, sample_rate, wave)
        if shine:  # an octave and a fifth on top, trembling
            sig += (
                0.4
                * tone(3 * freq, sample_rate)
                * tremolo(len(freq), sample_rate, 18.0, 0.8)
            )
        return normalise(sig) * loud

    most = rng.choice([1, 2, 4])
    out = sequence(rng, make, duration, sample_rate, (1, most), (0.1, 1.2), 0.1)
    if rng.random() < 0.4:  # echo
        late = int(rng.uniform(0.08, 0.3) * sample_rate)
        out[late:] += rng.uniform(0.2, 0.5) * out[: len(out) - late]
    return out
