"""Sounds of vehicles: on the road, on rails, on water and in the air.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. Engines are the
`firing` and `exhaust` of `machines`; `passing` moves a vehicle along a straight
line and `through_air` takes away what distance takes.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["car horn"].make
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
    phase,
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
from afpt_plugin.synth.machines import (
    diesel,
    exhaust,
    firing,
    revs,
    rumble,
    unit,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]


def passing(rng, n, sample_rate, speed, nearest, stay=0.25):
    """Move a source past the listener on a straight line, or let it stay.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    n, sample_rate : int
        Length and rate.
    speed, nearest : tuple of float
        Ranges of its metres a second and of its least distance in metres.
    stay : float
        Chance that it stays where it is.

    Returns
    -------
    near, pitch : numpy.ndarray
        Least distance over distance, 0..1, and the Doppler factor.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> near, pitch = passing(rng, 800, 8000, (20, 30), (5, 9), stay=0.0)
    >>> bool(near.max() <= 1 and pitch[0] >= pitch[-1])
    True
    """
    seconds = n / sample_rate
    if rng.random() < stay:
        slow = wander(rng, n, sample_rate, 0.7)
        return np.exp(0.15 * slow - 0.5), 1 + 0.002 * slow
    speed, nearest = log_uniform(rng, *speed), log_uniform(rng, *nearest)
    way = rng.choice(["pass", "come", "leave"], p=[0.7, 0.15, 0.15])
    early, late = {
        "pass": (0.2, 0.8),
        "come": (0.9, 1.3),
        "leave": (-0.3, 0.1),
    }[way]
    when = rng.uniform(early, late) * seconds
    along = speed * (np.arange(n) / sample_rate - when)
    away = np.hypot(along, nearest)
    return nearest / away, 1 / (1 + speed * along / away / 343)


def through_air(sig, sample_rate, near, dark=1.0):
    """Fade a source with its distance, treble before bass.

    Arguments
    ---------
    sig : numpy.ndarray
        Source as heard close by.
    sample_rate : int
        Rate.
    near : numpy.ndarray
        1 where it is closest, towards 0 far away.
    dark : float
        How much faster the treble fades.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> through_air(np.ones(100), 8000, np.ones(100)).shape
    (100,)
    """
    low = band(sig, sample_rate, 0, 400, 1)
    rest = sig - low
    mid = band(rest, sample_rate, 0, 2500, 1)
    veil = near ** (0.6 * dark)
    return near * (low + veil * (mid + veil * veil * (rest - mid)))


def _ground(rng, sig, sample_rate, near):
    """Add the ground's reflection, whose notches sweep as a plane flies by."""
    t = np.arange(len(sig), dtype=float)
    delay = (3e-4 + rng.uniform(1e-3, 8e-3) * near) * sample_rate
    return sig + rng.uniform(0, 0.7) * np.interp(t - delay, t, sig)


# --- flight ------------------------------------------------------------------


def _jet(rng, n, sample_rate):
    """Roar with the fan's whine ahead of it; low, high up or taking off."""
    way = rng.choice(["low", "high", "take-off"], p=[0.45, 0.3, 0.25])
    speed, nearest, dull = {
        "low": ((60, 150), (40, 350), (3000, 14000)),
        "high": ((70, 200), (400, 2500), (400, 3500)),
        "take-off": ((20, 90), (30, 350), (2500, 12000)),
    }[way]
    near, pitch = passing(rng, n, sample_rate, speed, nearest, 0.12)
    roar = rumble(rng, n, sample_rate, 250, 9000)
    roar *= 1 + rng.uniform(0, 0.3) * wander(
        rng, n, sample_rate, log_uniform(rng, 5, 50)
    )
    roar = unit(_ground(rng, roar, sample_rate, near))
    spool = np.ones(n)
    if way == "take-off":
        spool = contour(np.sort(rng.uniform(0.35, 1.0, 4)), n)
        roar *= spool**3
    base = log_uniform(rng, 500, 3500)
    whine = np.zeros(n)
    for ratio in rng.uniform(0.5, 2, rng.integers(1, 4)):
        freq = base * ratio * pitch * spool
        whine += rng.uniform(0.2, 1) * tone(freq, sample_rate)
    ahead = np.clip(0.4 + 3 * (pitch - 1), 0.05, 1)
    sig = roar + log_uniform(rng, 0.01, 0.5) * ahead * whine
    sig = band(sig, sample_rate, rng.uniform(20, 120), None, 1)
    sig = through_air(sig, sample_rate, near, rng.uniform(0.5, 1.5))
    gusts = np.exp(rng.uniform(0.02, 0.25) * wander(rng, n, sample_rate, 1.5))
    return gusts * band(sig, sample_rate, 0, log_uniform(rng, *dull), 1)


def _propellers(rng, n, sample_rate):
    """Blades drone at 60-140 Hz with many harmonics; two of them beat."""
    near, pitch = passing(rng, n, sample_rate, (30, 75), (40, 800), 0.25)
    rate = log_uniform(rng, 60, 140) * pitch
    rate *= 1 + 0.002 * wander(rng, n, sample_rate, 2)
    if rng.random() < 0.12:  # started, or landing
        rate *= contour(rng.uniform(0.2, 1, 3), n)
    drone = saw(rate, sample_rate)
    for _ in range(rng.choice([0, 1, 3], p=[0.6, 0.3, 0.1])):
        other = rate * (1 + rng.uniform(-0.02, 0.02))
        drone += saw(other, sample_rate, start=rng.uniform())
    drone = unit(band(drone, sample_rate, 30, log_uniform(rng, 150, 900), 1))
    motor = firing(rng, rate, sample_rate, rng.choice([2, 3, 4, 6]), 0.06)
    sig = drone + log_uniform(rng, 0.15, 1.2) * unit(motor)
    body = log_uniform(rng, 110, 500) * np.array([1, 2.3, 5])
    sig = unit(sig) + unit(resonate(sig, sample_rate, body, 0.4 * body))
    sig += rng.uniform(0.05, 0.4) * rumble(rng, n, sample_rate)
    sig = _ground(rng, sig, sample_rate, near)
    if rng.random() < 0.5:  # slow beating
        beat = rng.uniform(0.3, 2.5)
        sig *= tremolo(n, sample_rate, beat, rng.uniform(0.1, 0.6))
    sig = through_air(sig, sample_rate, near, rng.uniform(0.4, 1.2))
    return band(sig, sample_rate, 40, log_uniform(rng, 900, 7000), 1)


def _cabin(rng, n, sample_rate):
    """Inside: steady dull roar, engines beating, ventilation, a chime."""
    sig = rumble(rng, n, sample_rate, 80, 600)
    mid = log_uniform(rng, 150, 600)
    sig += rng.uniform(0.2, 1) * band_noise(
        rng, n, sample_rate, 0.5 * mid, 2 * mid, 1
    )
    low = log_uniform(rng, 65, 150)
    for ratio in (1, 1 + rng.uniform(0.002, 0.015), 2):
        hum = tone(low * ratio, sample_rate, n)
        sig += rng.uniform(0.1, 0.8) * hum
    sig += rng.uniform(0.03, 0.25) * band_noise(
        rng, n, sample_rate, 1000, 7000, 1
    )
    sig *= 1 + 0.05 * wander(rng, n, sample_rate, 2)
    if rng.random() < 0.3:
        m = n_samples(1.2, sample_rate)
        bong = tone(rng.uniform(450, 620), sample_rate, m)
        bong = bong * percussive(m, sample_rate, 0.005, 1.4)
        at = rng.uniform(0, 0.8) * n / sample_rate
        sig += scatter([at], [bong], n, sample_rate, [rng.uniform(0.5, 2)])
    return sig


@sound("airplane")
def airplane(rng, duration, sample_rate):
    """A jet or propeller plane flies over or takes off, or its cabin.

    The spectrum opens as it comes and falls as it goes; the ground's echo cuts
    a sweeping comb into it.
    """
    n = n_samples(duration, sample_rate)
    kind = rng.choice([_jet, _propellers, _cabin], p=[0.52, 0.36, 0.12])
    return kind(rng, n, sample_rate)


@sound("helicopter")
def helicopter(rng, duration, sample_rate):
    """Blades slap the air 9-27 times a second; tail rotor, turbine and wash.

    Each blade is a low pressure pulse and a swish of noise that dies away.
    """
    n = n_samples(duration, sample_rate)
    near, pitch = passing(rng, n, sample_rate, (15, 70), (30, 500), 0.4)
    rate = log_uniform(rng, 9, 27) * pitch
    loud = np.ones(n)
    if rng.random() < 0.12:  # the rotor is run up, or down
        spool = contour(rng.uniform(0.25, 1, 3), n)
        rate, loud = rate * spool, spool
    cycles = phase(rate, sample_rate, start=rng.uniform())
    blade = np.floor(cycles).astype(int)
    where = cycles - blade
    uneven = np.exp(0.12 * rng.standard_normal(blade[-1] + 2))
    uneven *= np.resize(np.exp(0.15 * rng.standard_normal(4)), len(uneven))
    fall = rng.uniform(2, 9)
    puff = uneven[blade] * np.exp(-fall * where) * np.minimum(where * 20, 1)
    thump = band(puff, sample_rate, rng.uniform(25, 70), None, 2)
    low = log_uniform(rng, 60, 180) * np.array([1, 2.1, 4.5])
    thump = unit(resonate(thump, sample_rate, low, 0.7 * low)) + unit(thump)
    chop = band_noise(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 70, 500),
        log_uniform(rng, 700, 5000),
        1,
    )
    chop *= puff + rng.uniform(0, 0.15)
    sig = log_uniform(rng, 0.3, 1.2) * thump
    sig += log_uniform(rng, 0.6, 2) * unit(chop)
    wash = rumble(rng, n, sample_rate, 150, 5000)
    sig += log_uniform(rng, 0.05, 1.0) * wash
    tail = saw(rate * rng.uniform(4.2, 7.5), sample_rate)
    tail = unit(band(tail, sample_rate, 50, log_uniform(rng, 300, 2000), 1))
    sig += log_uniform(rng, 0.03, 0.5) * tail
    whine = log_uniform(rng, 600, 6000) * pitch * loud
    sig += log_uniform(rng, 0.003, 0.2) * tone(whine, sample_rate)
    if rng.random() < 0.2:  # the rotor's wind overloads the microphone
        sig = soft_clip(sig, rng.uniform(1, 5))
    if rng.random() < 0.4:  # far away the highs are gone
        sig = band(sig, sample_rate, 0, log_uniform(rng, 300, 3000), 1)
    return loud * through_air(sig, sample_rate, near, rng.uniform(0.3, 1.0))


# --- road --------------------------------------------------------------------


def _tyres(rng, n, sample_rate):
    """Rolling: a broad hump around 1 kHz, bright and hissing when wet."""
    wet = rng.random() < 0.25
    top = log_uniform(rng, 2500, 9000) if wet else log_uniform(rng, 700, 2500)
    sig = band_noise(rng, n, sample_rate, log_uniform(rng, 100, 500), top, 1)
    return sig + rng.uniform(0.2, 1.0) * rumble(rng, n, sample_rate, 80, 800)


def _road(rng, n, sample_rate):
    """A road nearby, as a background: traffic's cheaper sister."""
    cars = np.exp(0.7 * wander(rng, n, sample_rate, 0.5))
    sig = rumble(rng, n, sample_rate, 80, 1000)
    return sig + rng.uniform(0.2, 1) * cars * unit(_tyres(rng, n, sample_rate))


@sound("traffic")
def traffic(rng, duration, sample_rate):
    """A road: distant rumble, and car after car of tyre noise coming and going.

    Motorway (many, fast), city street (few, slow, engines pulling away, brakes,
    horns far off) and a road heard from afar (dull, hardly changing).
    """
    n = n_samples(duration, sample_rate)
    kind = rng.choice(["motorway", "street", "afar"], p=[0.4, 0.4, 0.2])
    cars, speed, nearest = {
        "motorway": (rng.integers(4, 10), (20, 38), (8, 60)),
        "street": (rng.integers(2, 6), (4, 15), (4, 20)),
        "afar": (rng.integers(0, 3), (12, 30), (60, 300)),
    }[kind]
    t = np.arange(n) / sample_rate
    gains = []
    for _ in range(cars):
        v, d = log_uniform(rng, *speed), log_uniform(rng, *nearest)
        at = rng.uniform(-0.2, 1.2) * duration
        loud = np.exp(0.5 * rng.standard_normal())
        gains.append(loud / np.sqrt(1 + ((t - at) * v / d) ** 2))
    level = np.sqrt(sum(g * g for g in gains)) if gains else np.zeros(n)
    sig = through_air(
        _tyres(rng, n, sample_rate), sample_rate, level, rng.uniform(0.3, 0.9)
    )
    far = rumble(rng, n, sample_rate, 100, 1200)
    far *= np.exp(0.15 * wander(rng, n, sample_rate, 1))
    share = {"motorway": (0.2, 1.0), "street": (0.2, 1.0), "afar": (0.8, 2)}
    sig += log_uniform(rng, *share[kind]) * far
    for gain in gains[: rng.integers(0, 3)]:  # some engines stand out
        pull = contour(rng.uniform(0.7, 1.5, 3), n)
        rate = log_uniform(rng, 25, 90) * pull
        motor = exhaust(
            rng, firing(rng, rate, sample_rate, 4), sample_rate, bright=1500
        )
        sig += log_uniform(rng, 0.1, 1) * gain * unit(motor)
    if kind == "street" and rng.random() < 0.3:
        honk = saw(log_uniform(rng, 300, 500), sample_rate, n)
        m = min(n, n_samples(rng.uniform(0.2, 0.8), sample_rate))
        honk = band(honk[:m], sample_rate, 300, 2500, 1)
        honk = unit(honk) * swell(m, sample_rate, 0.02, 0.1)
        at = rng.uniform(0, 0.9) * duration
        sig += scatter([at], [honk], n, sample_rate, [rng.uniform(0.1, 0.6)])
    if kind == "street" and rng.random() < 0.25:
        sig += rng.uniform(0.05, 0.3) * _squeal(rng, n, sample_rate)
    return sig


@sound("car passing")
def car_passing(rng, duration, sample_rate):
    """One car or lorry goes by: tyres and engine, falling in pitch."""
    n = n_samples(duration, sample_rate)
    lorry = rng.random() < 0.2
    near, pitch = passing(rng, n, sample_rate, (7, 36), (3, 14), stay=0.0)
    rate = log_uniform(rng, 25, 50) if lorry else log_uniform(rng, 40, 130)
    rate = rate * pitch * contour(rng.uniform(0.85, 1.15, 3), n)
    motor = firing(rng, rate, sample_rate, 6 if lorry else 4, 0.1)
    motor = exhaust(rng, motor, sample_rate, bright=log_uniform(rng, 800, 4000))
    sig = unit(_tyres(rng, n, sample_rate))
    sig += log_uniform(rng, 0.1, 1.2) * (2 if lorry else 1) * unit(motor)
    if rng.random() < 0.2:  # a fan or gearbox whines
        whine = log_uniform(rng, 300, 1500) * pitch
        sig += log_uniform(rng, 0.03, 0.2) * tone(whine, sample_rate)
    near = near ** rng.uniform(0.8, 1.5)
    return through_air(sig, sample_rate, near, rng.uniform(0.2, 0.8))


@sound("motorcycle")
def motorcycle(rng, duration, sample_rate):
    """A bike idles, is revved, rides by through the gears, or a moped buzzes.

    One or two cylinders fire unevenly through a short open pipe.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["pass", "rev", "idle", "moped"], p=[0.4, 0.25, 0.15, 0.2]
    )
    near, pitch = np.ones(n), np.ones(n)
    if style in ("pass", "moped"):
        stay = 0.4 if style == "moped" else 0.1
        near, pitch = passing(rng, n, sample_rate, (8, 45), (3, 15), stay)
    idle = log_uniform(rng, 11, 24)
    turns = np.zeros(n)
    if style == "rev":
        turns = revs(rng, n, sample_rate, rng.uniform(0.05, 0.2), 0.35)
    if style == "pass":
        turns = _gears(rng, n, sample_rate)
    rate = idle * (1 + rng.uniform(3, 8) * turns)
    if style == "moped":
        rate = log_uniform(rng, 60, 170) * contour(rng.uniform(0.7, 1.1, 3), n)
    rate = rate * pitch
    rough = rng.uniform(0.1, 0.35) if style != "moped" else 0.1
    sig = firing(rng, rate, sample_rate, rng.choice([1, 2]), rough)
    pipe = (90, 260) if style != "moped" else (250, 700)
    bright = log_uniform(rng, 2000, 9000)
    sig = unit(exhaust(rng, sig, sample_rate, pipe, bright))
    if rng.random() < 0.5:
        sig = soft_clip(sig, rng.uniform(1, 4))
    whine = saw(rate * rng.uniform(6, 12), sample_rate)
    sig = unit(sig) + rng.uniform(0, 0.12) * whine
    sig += rng.uniform(0.03, 0.2) * rumble(rng, n, sample_rate, 500, 5000)
    sig *= 0.4 + 0.6 * np.sqrt(turns) if style in ("rev", "pass") else 1
    return through_air(sig, sample_rate, near, rng.uniform(0.2, 0.8))


def _gears(rng, n, sample_rate):
    """Revs 0..1 while accelerating: each gear climbs, then drops back."""
    knots, at, time = [], [], rng.uniform(-1.5, 0.3)
    gear = rng.uniform(0.6, 1.8)
    low, high = rng.uniform(0.25, 0.5), rng.uniform(0.7, 1.0)
    while time < n / sample_rate + 4:
        knots += [low, high]
        at += [time, time + gear]
        time += gear + rng.uniform(0.1, 0.25)
        gear *= rng.uniform(1.1, 1.7)
        low = min(low * 1.15, 0.8 * high)
    return np.interp(np.arange(n) / sample_rate, at, knots)


@sound("race car")
def race_car(rng, duration, sample_rate):
    """Engines scream at 150-900 Hz and fall by a third or more as they pass."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(["single", "pack", "on board"], p=[0.45, 0.35, 0.2])
    base = log_uniform(rng, 140, 750)
    out = np.zeros(n)
    for _ in range(rng.integers(2, 4) if style == "pack" else 1):
        turns = _gears(rng, n, sample_rate)
        turns = 0.5 + 0.5 * turns if style == "on board" else 1 + 0.1 * turns
        if rng.random() < 0.3:  # braking into the corner, gear by gear
            turns = turns[::-1]
        near, pitch = np.ones(n), 1.0
        if style != "on board":
            near, pitch = passing(
                rng, n, sample_rate, (35, 90), (6, 40), stay=0.0
            )
        rate = base * rng.uniform(0.9, 1.1) * turns * pitch
        sig = saw(rate, sample_rate) + rng.uniform(0.2, 1) * saw(
            rate / 2, sample_rate
        )
        sig = band(sig, sample_rate, 0, log_uniform(rng, 1500, 6000))
        sig *= 1 + rng.uniform(0.1, 0.5) * wander(rng, n, sample_rate, 60)
        pipe = log_uniform(rng, 300, 900) * np.array([1, 2.4, 5])
        sig = unit(sig) + unit(resonate(sig, sample_rate, pipe, 0.4 * pipe))
        sig = soft_clip(sig, rng.uniform(0.5, 3))
        sig += rng.uniform(0.05, 0.4) * band_noise(
            rng, n, sample_rate, 200, 4000, 1
        )
        out += through_air(sig, sample_rate, near, rng.uniform(0.2, 0.6))
    if style != "on board":
        far = rumble(rng, n, sample_rate)
        out += log_uniform(rng, 0.01, 0.15) * far
    return out


def _pshh(rng, sample_rate):
    """An air brake lets go: a burst of hiss that ends in a sneeze."""
    n = n_samples(log_uniform(rng, 0.12, 1.2), sample_rate)
    low = log_uniform(rng, 800, 3500)
    sig = band_noise(rng, n, sample_rate, low, 14000, 1)
    sig += 0.5 * band_noise(rng, n, sample_rate, 300, 3000, 1)
    return sig * percussive(n, sample_rate, 0.01, n / sample_rate * 1.6)


def _squeal(rng, n, sample_rate):
    """Brakes sing: one to three unsteady high tones that come and go."""
    sig = np.zeros(n)
    for _ in range(rng.integers(1, 4)):
        freq = log_uniform(rng, 1100, 6000) * (
            1 + 0.008 * wander(rng, n, sample_rate, 6)
        )
        level = np.clip(wander(rng, n, sample_rate, 2), 0, None)
        sig += level * tone(freq, sample_rate)
    return sig


@sound("bus")
def bus(rng, duration, sample_rate):
    """A diesel pulls up, stands or pulls away; air brakes hiss, doors thud."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(["stands", "leaves", "arrives", "inside"])
    turns = np.zeros(n)
    near, pitch = np.ones(n), np.ones(n)
    if style in ("leaves", "inside"):
        turns = _gears(rng, n, sample_rate)
    if style == "leaves":
        near = contour([1, 1, rng.uniform(0.1, 0.8)], n)
    if style == "arrives":
        near = contour([rng.uniform(0.1, 0.6), 1, 1], n)
        turns = contour([rng.uniform(0.3, 0.8), 0.1, 0], n)
    rate = log_uniform(rng, 22, 42) * (1 + 2 * turns) * pitch
    sig = diesel(rng, rate, sample_rate, log_uniform(rng, 600, 3500))
    sig *= 0.6 + 0.6 * turns
    if rng.random() < 0.5:  # turbo or fan
        whine = log_uniform(rng, 500, 1800) * (0.6 + turns)
        sig += log_uniform(rng, 0.02, 0.2) * tone(whine, sample_rate)
    if style == "inside":
        sig = band(sig, sample_rate, 0, log_uniform(rng, 300, 1500), 1)
        shake = np.clip(wander(rng, n, sample_rate, 25), 0.5, None) - 0.5
        sig = unit(sig) + rng.uniform(0.02, 0.2) * shake * noise(rng, n)
    sig = through_air(unit(sig), sample_rate, near, 0.5)
    if style == "arrives" and rng.random() < 0.6:
        sig += rng.uniform(0.1, 0.6) * _squeal(rng, n, sample_rate)
    hisses = rng.integers(0 if style == "inside" else 1, 4)
    times = rng.uniform(0, duration, hisses)
    air = [_pshh(rng, sample_rate) for _ in times]
    sig += log_uniform(rng, 0.3, 3) * scatter(times, air, n, sample_rate)
    if rng.random() < 0.4:  # doors
        m = n_samples(0.4, sample_rate)
        door = modes(m, sample_rate, *struck_body(rng, 90, 2500, 9, 0.12))
        at = rng.uniform(0, duration)
        sig += scatter(
            [at], [normalise(door)], n, sample_rate, [rng.uniform(1, 5)]
        )
    if rng.random() < 0.15:  # doors are closing
        beeps = tone(log_uniform(rng, 900, 2600), sample_rate, n)
        beeps *= tremolo(n, sample_rate, rng.uniform(2, 5), 1.0) > 0.5
        sig += rng.uniform(0.05, 0.4) * beeps
    return sig


@sound("tractor")
def tractor(rng, duration, sample_rate):
    """A slow big diesel thuds and clatters, at idle, at work or driving by."""
    n = n_samples(duration, sample_rate)
    near, pitch = passing(rng, n, sample_rate, (2, 9), (3, 15), stay=0.6)
    cylinders = rng.choice([1, 2, 3, 4], p=[0.25, 0.25, 0.2, 0.3])
    turns = 0.5 * revs(rng, n, sample_rate, 0.5, 0.9)
    if rng.random() < 0.5:
        turns = np.full(n, rng.uniform(0, 0.6))
    rate = log_uniform(rng, 5, 9) * cylinders**0.85 * (1 + 1.5 * turns) * pitch
    sig = diesel(rng, rate, sample_rate, log_uniform(rng, 700, 4000), 0.5)
    sheet = log_uniform(rng, 600, 1500) * np.array([1, 1.9, 3.1])
    rattle = np.maximum(sig, 0) ** 2 * noise(rng, n)
    rattle = resonate(rattle, sample_rate, sheet, 0.1 * sheet)
    sig = unit(sig) + log_uniform(rng, 0.05, 0.4) * unit(rattle)
    return through_air(sig, sample_rate, near, 0.4)


@sound("skateboard")
def skateboard(rng, duration, sample_rate):
    """Hard wheels roar over asphalt and click at joints; tail pops, landings.

    A trick is a pop, a short silence in the air and a slap of four wheels.
    """
    n = n_samples(duration, sample_rate)
    near, _ = passing(rng, n, sample_rate, (2, 7), (2, 8), stay=0.4)
    low = log_uniform(rng, 200, 800)
    roll = band_noise(rng, n, sample_rate, low, log_uniform(rng, 2, 9) * low, 1)
    roll *= np.abs(1 + 0.5 * wander(rng, n, sample_rate, rng.uniform(30, 120)))
    deck = log_uniform(rng, 180, 500) * np.array([1, 2.4, 4.1])
    roll = unit(roll) + unit(resonate(roll, sample_rate, deck, 0.15 * deck))
    gate = np.ones(n)
    if rng.random() < 0.5:
        gate = np.clip(1 + 2 * wander(rng, n, sample_rate, 0.8), 0, 1)
    grain = n_samples(0.15, sample_rate)
    knock = [
        normalise(
            modes(grain, sample_rate, *struck_body(rng, 250, 5000, 12, 0.06))
        )
        for _ in range(4)
    ]
    out = near * roll * gate
    if rng.random() < 0.5:  # joints between slabs: two axles each
        times = regular_times(rng, log_uniform(rng, 0.15, 0.6), duration, 0.03)
        times = np.ravel(times[:, None] + [0, rng.uniform(0.04, 0.12)])
        where = np.minimum((times * sample_rate).astype(int), n - 1)
        out += scatter(
            times,
            knock,
            n,
            sample_rate,
            rng.uniform(1, 3) * (near * gate)[where],
        )
    for _ in range(rng.choice([0, 1, 2, 3])):
        pop, flight = rng.uniform(0, duration), rng.uniform(0.2, 0.5)
        begin, end = int(pop * sample_rate), int((pop + flight) * sample_rate)
        out[begin:end] *= 0.1
        land = pop + flight + np.append(0, rng.uniform(0, 0.05, 3))
        out += rng.uniform(3, 9) * scatter(
            np.append(pop, land), knock, n, sample_rate
        )
    return out


@sound("car horn")
def car_horn(rng, duration, sample_rate):
    """One or two vibrating discs: a buzzing chord that is on or off.

    Small cars, lorries, the old "a-oo-ga", an alarm, a jam of several cars.
    """
    style = rng.choice(
        ["car", "lorry", "old", "alarm", "jam"],
        p=[0.56, 0.13, 0.05, 0.1, 0.16],
    )
    usual = log_uniform(rng, 0.1, 1.6)
    if style == "alarm":
        usual = rng.uniform(0.25, 0.5)

    def new_car():
        base = log_uniform(rng, 260, 560)
        chord = [1.0, rng.choice([1.19, 1.25, 1.26, 1.33])]
        if style == "lorry":
            base, chord = 0.55 * base, [1.0, 1.26, 1.5]
        if style == "old" or (style != "lorry" and rng.random() < 0.35):
            chord = [1.0]
        mouth = np.array([700, 1500, 2700, 4200]) * rng.uniform(0.7, 1.5)
        gains = rng.uniform(0.3, 1.5, 4)
        return base * np.array(chord), log_uniform(rng, 1, 12), mouth, gains

    cars = [new_car() for _ in range(3 if style == "jam" else 1)]

    def honk(i):
        notes, drive, mouth, gains = cars[rng.integers(len(cars))]
        n = n_samples(usual * np.exp(rng.uniform(-0.6, 0.6)), sample_rate)
        t = np.arange(n) / sample_rate
        onset = 1 - 0.06 * np.exp(-t / 0.02)
        if style == "old":
            onset = 0.7 * contour([0.6, 1.3, 1.2, 0.5], n)
        sig = sum(
            saw(note * onset, sample_rate, start=rng.uniform())
            for note in notes
        )
        sig = soft_clip(band(sig, sample_rate, 0, 4000), drive)
        sig = 0.4 * sig + resonate(sig, sample_rate, mouth, 0.3 * mouth, gains)
        sig = band(sig, sample_rate, 0.8 * notes[0], None, 1)
        return unit(sig) * swell(
            n, sample_rate, 0.012, rng.uniform(0.015, 0.06)
        )

    pauses = (0.3, 0.5) if style == "alarm" else (0.06, 1.2)
    most = 12 if style == "alarm" else rng.choice([1, 3, 6])
    spread = 0.5 if style == "jam" else 0.1
    out = sequence(rng, honk, duration, sample_rate, (1, most), pauses, spread)
    if style in ("car", "lorry") and rng.random() < 0.25:  # it goes by
        n = len(out)
        near, pitch = passing(rng, n, sample_rate, (8, 25), (4, 20), stay=0.0)
        warp = np.cumsum(pitch) / pitch.mean()
        out = near * np.interp(warp, np.arange(n), out)
    if rng.random() < 0.5 or style == "jam":
        road = unit(_road(rng, len(out), sample_rate))
        out = out + log_uniform(rng, 0.02, 0.35) * road * np.std(out)
    return out


@sound("siren")
def siren(rng, duration, sample_rate):
    """Wail, yelp, two-tone, phaser or air raid, from a horn that goes by.

    A driver changes the pattern now and then and blows the air horn; streets
    answer with echoes.
    """
    n = n_samples(duration, sample_rate)
    near, pitch = passing(rng, n, sample_rate, (8, 28), (5, 60), stay=0.35)
    style = rng.choice(
        ["wail", "yelp", "two-tone", "air raid", "mixed"],
        p=[0.36, 0.18, 0.22, 0.12, 0.12],
    )
    low = log_uniform(rng, 380, 800)
    span = rng.uniform(1.5, 2.8)
    rate = {
        "wail": log_uniform(rng, 0.12, 0.6),
        "yelp": rng.uniform(2, 5),
        "two-tone": rng.uniform(0.5, 1.6),
        "air raid": log_uniform(rng, 0.06, 0.3),
        "mixed": log_uniform(rng, 0.2, 0.6)
        * np.where(np.arange(n) < rng.uniform(0.3, 0.7) * n, 1, 10),
    }[style]
    place = phase(np.full(n, 1.0) * rate, sample_rate, start=rng.uniform())
    place = place - np.floor(place)
    up = rng.uniform(0.2, 0.7)
    bow = np.where(place < up, place / up, (1 - place) / (1 - up))
    curve = low * span ** (bow ** rng.uniform(0.5, 1.3))
    if style == "two-tone":
        ratio = rng.choice([1.19, 1.25, 1.33, 1.5])
        curve = np.where(place > 0.5, ratio, 1.0) * low
    if style == "air raid":
        curve = low * 0.65 * span ** np.sin(np.pi / 2 * bow)
    sources = [(1.0, 1.0)]
    if style == "air raid" and rng.random() < 0.7:
        sources.append((rng.choice([1.2, 1.25, 1.33]), 0.8))
    if rng.random() < 0.2:  # a second vehicle, with a pattern of its own
        sources.append((rng.uniform(0.8, 1.3), 0.4))
    sig = np.zeros(n)
    blend = rng.uniform(0, 1)
    for ratio, level in sources:
        freq = np.roll(curve, int((level < 0.5) * 0.3 * n)) * ratio * pitch
        sig += level * blend * saw(freq, sample_rate)
        sig += level * (1 - blend) * tone(freq, sample_rate)
    # A horn is dull before it distorts; clipping highs would alias.
    sig = band(sig, sample_rate, 0, log_uniform(rng, 1200, 4000), 2)
    sig = soft_clip(sig, log_uniform(rng, 0.3, 3))
    horn = np.array([900, 1700, 2900]) * rng.uniform(0.7, 1.4)
    sig = sig + rng.uniform(0.2, 1.5) * resonate(
        sig, sample_rate, horn, 0.4 * horn
    )
    sig = through_air(sig, sample_rate, near, rng.uniform(0, 0.5))
    for _ in range(rng.integers(0, 4)):  # house fronts
        late = n_samples(rng.uniform(0.04, 0.5), sample_rate)
        if late < n:
            sig[late:] += rng.uniform(0.1, 0.4) * sig[: n - late]
    if rng.random() < 0.65:
        road = _road(rng, n, sample_rate)
        sig += log_uniform(rng, 0.02, 0.5) * np.std(sig) * unit(road)
    return sig


# --- rails -------------------------------------------------------------------


def _clack(rng, sample_rate, low):
    """A wheel crosses a rail joint: thud, steel snap and a short ring."""
    n = n_samples(0.3, sample_rate)
    thud = modes(n, sample_rate, *struck_body(rng, low, 900, 7, 0.14, 0.5))
    steel = modes(n, sample_rate, *struck_body(rng, 900, 7000, 9, 0.06, 0.3))
    snap = band_noise(rng, n, sample_rate, 300, 6000, 1)
    snap *= percussive(n, sample_rate, 0.003, rng.uniform(0.03, 0.12))
    return (
        normalise(thud)
        + rng.uniform(0.1, 0.7) * normalise(steel)
        + rng.uniform(0.2, 1.0) * normalise(snap)
    )


def _joints(rng, n, sample_rate):
    """Four clacks (two axles, two bogies) repeat with every carriage."""
    speed = log_uniform(rng, 5, 28)  # metres a second
    axle, bogie = rng.uniform(1.8, 2.6), rng.uniform(5, 14)
    length = bogie + rng.uniform(6, 11)
    layout = np.array([0, axle, bogie, bogie + axle]) / speed
    starts = np.arange(-length, n / sample_rate * speed, length) / speed
    times = np.ravel(starts[:, None] + layout)
    times = times + 0.004 * rng.standard_normal(len(times))
    low = rng.uniform(60, 160)
    clacks = [_clack(rng, sample_rate, low) for _ in range(5)]
    gains = np.exp(0.3 * rng.standard_normal(len(times)))
    return scatter(times, clacks, n, sample_rate, gains)


def _train_horn(rng, seconds, sample_rate):
    """Two to five chimes sounding one chord, with air."""
    n = n_samples(seconds, sample_rate)
    root = log_uniform(rng, 230, 400)
    chord = rng.choice(
        [1, 1.19, 1.26, 1.33, 1.5, 1.68, 2.0], rng.integers(2, 6), replace=False
    )
    settle = contour([0.95, 1.0, 1.0, 0.97], n, [0, 0.08, 0.9, 1])
    sig = sum(
        saw(root * ratio * settle, sample_rate, start=rng.uniform())
        for ratio in chord
    )
    top = log_uniform(rng, 1500, 7000)
    sig = band(soft_clip(sig, rng.uniform(1, 4)), sample_rate, 200, top, 1)
    sig += rng.uniform(0.02, 0.15) * noise(rng, n)
    return unit(sig) * swell(n, sample_rate, 0.06, rng.uniform(0.1, 0.5))


def _horn_calls(rng, n, sample_rate):
    """Long and short blasts of one horn, answered by the hills."""
    horn = _train_horn(rng, rng.uniform(0.8, 2.5), sample_rate)
    times, time = [], rng.uniform(0, 1.0)
    while time < n / sample_rate:
        times.append(time)
        time += len(horn) / sample_rate + rng.uniform(0.1, 1.0)
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    sig = scatter(times, [horn], n, sample_rate, gains)
    late = n_samples(rng.uniform(0.2, 0.8), sample_rate)
    if late < n:
        far = band(sig[: n - late], sample_rate, 0, 1200, 1)
        sig[late:] += rng.uniform(0, 0.5) * far
    return sig


def _steam(rng, n, sample_rate):
    """Four uneven exhaust beats a turn, hiss, and perhaps the whistle."""
    puffs = rng.uniform(1.5, 7) * contour([1, rng.uniform(0.8, 1.8)], n)
    cycles = phase(puffs, sample_rate)
    beat = np.floor(cycles).astype(int)
    where = cycles - beat
    uneven = np.resize([1, 0.7, 0.85, 0.65], beat[-1] + 1)[beat]
    chuff = band_noise(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 100, 600),
        log_uniform(rng, 1500, 7000),
        1,
    )
    shape = np.exp(-rng.uniform(3, 7) * where) * np.minimum(where * 12, 1)
    sig = unit(chuff * uneven * shape)
    sig += rng.uniform(0.02, 0.3) * band_noise(
        rng, n, sample_rate, 2000, 9000, 1
    )
    if rng.random() < 0.45:
        m = n_samples(rng.uniform(0.4, 2.0), sample_rate)
        glide = rng.uniform(450, 950) * contour([0.85, 1, 1, 0.85], m)
        pipe = sum(tone(glide * r, sample_rate) for r in (1, 1.26, 1.5))
        pipe = (pipe + 0.7 * noise(rng, m, 0.5)) * swell(
            m, sample_rate, 0.06, 0.25
        )
        at = rng.uniform(0, 0.7) * n / sample_rate
        sig += scatter([at], [pipe], n, sample_rate, [rng.uniform(0.5, 2)])
    return sig


def _crossing_bell(rng, n, sample_rate):
    """The bell at the level crossing, three times a second."""
    m = n_samples(1.0, sample_rate)
    body = struck_body(rng, log_uniform(rng, 600, 1400), 7000, 7, 0.7, 0.4)
    ding = normalise(modes(m, sample_rate, *body))
    times = regular_times(rng, rng.uniform(0.25, 0.6), n / sample_rate, 0.01)
    return scatter(times, [ding], n, sample_rate)


@sound("train")
def train(rng, duration, sample_rate):
    """Steel wheels: rumble, roar and joints; rushing by, steam, horn, brakes.

    A passing train is a wall of noise that rises within a second, flickers
    with every carriage and ends as suddenly; inside, it is dull and steady.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["joints", "rush", "steam", "horn", "inside", "station"],
        p=[0.24, 0.2, 0.18, 0.16, 0.12, 0.1],
    )
    t = np.arange(n) / sample_rate
    near = np.full(n, 0.8)
    if style in ("rush", "joints"):
        haste = 0.25 if style == "rush" else 1.0
        haste *= log_uniform(rng, 0.5, 2)
        comes, goes = rng.uniform(-2, 2.5), rng.uniform(3, 9)
        near = 1 / (1 + np.exp(-np.clip((t - comes) / haste, -30, 30)))
        near /= 1 + np.exp(np.clip((t - goes) / haste, -30, 30))
        near = np.maximum(near, 0.03)
    low = rumble(rng, n, sample_rate, 60, 1500)
    white = noise(rng, n)
    steel = np.exp(rng.uniform(np.log(300), np.log(4500), 4))
    roar = unit(resonate(white, sample_rate, steel, 0.25 * steel))
    roar *= 1 + 0.3 * wander(rng, n, sample_rate, 12)
    roar += 0.4 * band(white, sample_rate, 0, 2500, 1)
    carriages = np.exp(
        0.5 * wander(rng, n, sample_rate, log_uniform(rng, 1, 6))
    )
    out = low + carriages * roar * {
        "rush": log_uniform(rng, 0.6, 2),
        "inside": log_uniform(rng, 0.05, 0.3),
    }.get(style, log_uniform(rng, 0.08, 0.6))
    if style in ("horn", "steam"):
        out *= log_uniform(rng, 0.1, 0.6)
    weight = {"joints": (0.8, 4), "inside": (0.6, 3), "rush": (0.2, 1.5)}
    out += log_uniform(rng, *weight.get(style, (0.05, 1))) * _joints(
        rng, n, sample_rate
    )
    if style == "steam":
        out += log_uniform(rng, 0.8, 4) * _steam(rng, n, sample_rate)
    if style in ("joints", "station") and rng.random() < 0.5:  # locomotive
        rate = log_uniform(rng, 18, 50) * contour(rng.uniform(0.8, 1.2, 3), n)
        out += log_uniform(rng, 0.2, 1) * diesel(rng, rate, sample_rate, 1500)
    if style in ("inside", "station") and rng.random() < 0.5:
        # The inverter sings up or down its steps.
        sing = log_uniform(rng, 150, 600) * contour(rng.uniform(0.6, 2.2, 3), n)
        sing = band(saw(sing, sample_rate), sample_rate, 150, 3500, 1)
        out += log_uniform(rng, 0.1, 0.8) * unit(sing)
    if style == "inside":
        out = band(out, sample_rate, 0, log_uniform(rng, 500, 3000), 1)
    out = through_air(out, sample_rate, near, rng.uniform(0.2, 0.8))
    if style == "horn" or (style != "inside" and rng.random() < 0.12):
        out += log_uniform(rng, 0.6, 4) * _horn_calls(rng, n, sample_rate)
    if style in ("horn", "rush", "joints") and rng.random() < 0.2:
        out += log_uniform(rng, 0.2, 1.5) * _crossing_bell(rng, n, sample_rate)
    if style == "station" or rng.random() < 0.1:
        out += log_uniform(rng, 0.1, 1.2) * _squeal(rng, n, sample_rate)
    if style == "station":
        times = rng.uniform(0, duration, rng.integers(1, 3))
        air = [_pshh(rng, sample_rate) for _ in times]
        out += rng.uniform(0.3, 1.5) * scatter(times, air, n, sample_rate)
    return out


# --- water -------------------------------------------------------------------


def _lapping(rng, n, sample_rate):
    """Water along the hull: surging bright noise."""
    sig = band_noise(rng, n, sample_rate, 300, log_uniform(rng, 2000, 8000), 1)
    return sig * np.exp(0.6 * wander(rng, n, sample_rate, 1.5))


@sound("boat horn")
def boat_horn(rng, duration, sample_rate):
    """A low reed or pipe that speaks slowly and for long, over the water."""
    base = log_uniform(rng, 60, 260)
    bright = log_uniform(rng, 500, 3500)
    fifth = rng.choice([1.0, 1.26, 1.5, 2.0])

    def make(_):
        n = n_samples(log_uniform(rng, 0.6, 4), sample_rate)
        pitch = base * contour([0.92, 1, 1, 0.95], n, [0, 0.1, 0.9, 1])
        sig = saw(pitch, sample_rate) + 0.7 * saw(pitch * fifth, sample_rate)
        sig = unit(band(sig, sample_rate, 0, bright, 1))
        sig *= 1 + 0.1 * wander(rng, n, sample_rate, 30)
        sig += rng.uniform(0.02, 0.2) * noise(rng, n)
        return sig * swell(n, sample_rate, rng.uniform(0.05, 0.3), 0.4)

    out = sequence(rng, make, duration, sample_rate, (1, 3), (0.4, 2))
    n = len(out)
    late = int(rng.uniform(0.3, 1.2) * sample_rate)
    if late < n:  # the far shore answers
        out[late:] += rng.uniform(0, 0.4) * band(
            out[: n - late], sample_rate, 0, 800, 1
        )
    if rng.random() < 0.4:
        out += log_uniform(rng, 0.02, 0.3) * _lapping(rng, n, sample_rate)
    return out


@sound("ship engine")
def ship_engine(rng, duration, sample_rate):
    """Big diesels throb below, in the engine room or heard over the water.

    A ferry or freighter thuds 2-12 times a second, a small boat putts or
    buzzes; hull, generators, turbine and splashing come along.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["room", "deck", "boat", "outboard"])
    rate = {
        "room": log_uniform(rng, 10, 45),
        "deck": log_uniform(rng, 2.5, 14),
        "boat": log_uniform(rng, 5, 22),
        "outboard": log_uniform(rng, 45, 130),
    }[style] * (1 + 0.015 * wander(rng, n, sample_rate, 1))
    if style == "outboard":
        rate *= contour(rng.uniform(0.6, 1.2, 4), n)
        sig = firing(rng, rate, sample_rate, 2, 0.15)
        sig = unit(exhaust(rng, sig, sample_rate, (150, 400), 4000))
    else:
        knock = rng.uniform(0.3, 0.9) if style == "room" else 0.1
        top = log_uniform(rng, 250, 1500)
        top = 4 * top if style == "room" else top
        sig = diesel(rng, rate, sample_rate, top, knock)
    hull = rumble(rng, n, sample_rate, 60, 500)
    sig += rng.uniform(0.2, 1) * hull * tremolo(n, sample_rate, rate, 0.6)
    if style in ("room", "deck"):
        hum = rng.choice([25.0, 50.0, 60.0]) * np.arange(1, 7)
        for freq in hum:
            sig += rng.exponential(0.15) * tone(freq, sample_rate, n)
        whine = tone(log_uniform(rng, 400, 3000), sample_rate, n)
        sig += log_uniform(rng, 0.01, 0.2) * whine
    if style != "room":
        sig += log_uniform(rng, 0.05, 0.8) * _lapping(rng, n, sample_rate)
    return sig
