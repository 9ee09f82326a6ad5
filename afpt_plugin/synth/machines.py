"""Sounds of vehicles, engines, tools, bells, horns and explosions.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. A helper with an
underscore makes one occurrence, the generator lays occurrences out in time.

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
    comb,
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


def _unit(sig):
    """Scale to unit variance, so that layers mix by ratio."""
    return sig / (np.std(sig) + 1e-9)


def _passing(rng, n, sample_rate, doppler=0.06):
    """Gain and pitch of something that goes by, comes, leaves or stays."""
    t = np.arange(n) / n
    way = rng.choice(
        ["stay", "pass", "come", "leave"], p=[0.4, 0.3, 0.15, 0.15]
    )
    if way == "stay":
        slow = wander(rng, n, sample_rate, 0.7)
        return np.exp(0.2 * slow), 1 + 0.003 * slow
    at = {"pass": rng.uniform(0.25, 0.75), "come": 1.1, "leave": -0.1}[way]
    near = rng.uniform(0.08, 0.5)
    away = (t - at) / near
    gain = 1 / (1 + away**2) ** rng.uniform(0.5, 1.0)
    return gain, 1 - doppler * rng.uniform(0.3, 1) * away / np.sqrt(1 + away**2)


def _firing(rng, rate, sample_rate, cylinders=4, rough=0.15):
    """Exhaust pulses of an engine: `rate` ignitions a second, none alike.

    Each cylinder has its own strength, so that half and quarter orders sound
    under the firing note.
    """
    n = len(rate)
    jitter = 0.3 * rough * wander(rng, n, sample_rate, 40)
    rate = np.maximum(rate * (1 + jitter), 2)
    cycles = phase(rate, sample_rate, start=rng.uniform())
    stroke = np.floor(cycles).astype(int)
    strength = np.exp(rough * rng.standard_normal(stroke[-1] + 2))
    strength *= np.tile(
        np.exp(1.5 * rough * rng.standard_normal(cylinders)),
        len(strength) // cylinders + 1,
    )[: len(strength)]
    where = cycles - stroke
    sharp = rng.uniform(4, 14)
    puff = strength[stroke] * np.exp(-sharp * where) * np.minimum(where * 30, 1)
    puff = band(puff, sample_rate, 15, None, 1)
    hiss = noise(rng, n, 0.3) * puff
    return _unit(puff) + rng.uniform(0.1, 0.6) * _unit(hiss)


def _exhaust(rng, sig, sample_rate, low=(60, 160), bright=4000.0):
    """Muffler and body: a few broad resonances and a soft ceiling."""
    pipe = log_uniform(rng, *low) * np.array([1, 2.2, 3.9, 7.5, 14, 25])
    pipe = pipe * rng.uniform(0.85, 1.15, 6)
    gains = rng.uniform(0.5, 0.95) ** np.arange(6)
    out = resonate(sig, sample_rate, pipe, 0.3 * pipe, gains) + 0.3 * sig
    return band(out, sample_rate, 25, bright, 1)


# --- engines and tools -------------------------------------------------------


@sound("engine")
def engine(rng, duration, sample_rate):
    """A car, lorry or motorcycle idling, being revved or started."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["idle", "rev", "start", "drive"], p=[0.35, 0.3, 0.15, 0.2]
    )
    idle = log_uniform(rng, 14, 60)
    rate = idle * (1 + 0.03 * wander(rng, n, sample_rate, 1.5))
    load = np.ones(n)
    if style == "rev":
        knots = np.clip(rng.standard_normal(rng.integers(4, 9)), 0, 2)
        rise = contour(knots, n)
        rate *= 1 + rng.uniform(0.7, 2.2) * rise
        load += rng.uniform(0, 1.0) * rise
    if style == "drive":
        rate *= contour(rng.uniform(1.5, 4.5, 3), n)
    crank = np.zeros(n)
    if style == "start":
        starts = rng.uniform(0.4, 1.8)
        begin = int(starts * sample_rate)
        t = np.arange(n) / sample_rate - starts
        load = np.clip(t / 0.1, 0, 1)
        rate *= 1 + 1.2 * np.exp(-np.maximum(t, 0) / 0.5)
        whirr = rng.uniform(7, 13)
        turn = tremolo(n, sample_rate, whirr, 0.9)
        motor = _unit(
            band(
                saw(whirr * 22 * (0.85 + 0.15 * turn), sample_rate),
                sample_rate,
                150,
                3000,
                1,
            )
        )
        crank[:begin] = (turn * (motor + _unit(noise(rng, n, 1))))[:begin]
    cylinders = rng.choice([1, 2, 4, 6, 8])
    sig = _firing(rng, rate, sample_rate, cylinders, rng.uniform(0.03, 0.3))
    bright = log_uniform(rng, 700, 7000)
    sig = _unit(_exhaust(rng, sig, sample_rate, bright=bright))
    if rng.random() < 0.45:  # diesel knock and valves
        clatter = _firing(rng, rate * 2, sample_rate, 8, 0.4)
        clatter = _unit(band(clatter * noise(rng, n), sample_rate, 800, 6000))
        sig += rng.uniform(0.05, 0.5) * clatter
    if rng.random() < 0.5:  # belts and fan
        whine = saw(rate * rng.uniform(6, 16), sample_rate)
        sig += rng.uniform(0.02, 0.15) * _unit(
            band(whine, sample_rate, 300, 4000, 1)
        )
    sig += rng.uniform(0.05, 0.4) * _unit(noise(rng, n, rng.uniform(0.7, 1.8)))
    sig = sig * load * contour(np.exp(rng.uniform(-0.4, 0, 3)), n)
    return sig + rng.uniform(0.3, 1) * crank


@sound("motorcycle passing")
def motorcycle_passing(rng, duration, sample_rate):
    """A two-cylinder at high revs, with gear changes, going by."""
    n = n_samples(duration, sample_rate)
    gain, pitch = _passing(rng, n, sample_rate, 0.1)
    gear = rng.uniform(0.2, 0.8)
    t = np.arange(n) / n
    shift = np.where(t < gear, 1 + t, 0.75 + 0.5 * t)
    rate = log_uniform(rng, 50, 130) * pitch * shift
    sig = _firing(rng, rate, sample_rate, 2, 0.2)
    return gain * _exhaust(rng, sig, sample_rate, bright=6000)


@sound("chainsaw")
def chainsaw(rng, duration, sample_rate):
    """A small two-stroke: sputters at idle, screams open, sags in the wood."""
    n = n_samples(duration, sample_rate)
    top = log_uniform(rng, 95, 210)
    idle = top * rng.uniform(0.25, 0.45)
    knots = rng.integers(3, 12)
    throttle = np.clip(
        rng.choice([0.0, 1.0, 0.85, 0.7], knots, p=[0.22, 0.4, 0.23, 0.15]),
        0,
        1,
    )
    if rng.random() < 0.3:
        throttle[:] = rng.uniform(0.7, 1)
    throttle = contour(np.repeat(throttle, 2), n)
    rate = idle + (top - idle) * throttle
    rate *= 1 + 0.02 * wander(rng, n, sample_rate, 6)
    sag = np.clip(wander(rng, n, sample_rate, 1.5), 0, 1)
    rate *= 1 - rng.uniform(0, 0.3) * sag * throttle
    sig = _firing(
        rng, rate, sample_rate, rng.choice([1, 2]), rng.uniform(0.05, 0.3)
    )
    sig = soft_clip(
        _exhaust(rng, sig, sample_rate, (120, 380), 14000), rng.uniform(1, 6)
    )
    buzz = np.array([900, 1700, 3100, 5500]) * rng.uniform(0.7, 1.4)
    chain = resonate(
        _unit(np.diff(sig, prepend=0)), sample_rate, buzz, 0.3 * buzz
    )
    chips = band_noise(rng, n, sample_rate, 1500, 9000, 1)
    chips *= sag * throttle * np.abs(1 + wander(rng, n, sample_rate, 60))
    sig = band(sig, sample_rate, log_uniform(rng, 40, 250), None, 1)
    sig = _unit(sig) + rng.uniform(0.3, 1.2) * _unit(chain)
    sig += rng.uniform(0, 0.6) * chips
    return sig * (0.35 + 0.65 * throttle)


@sound("lawn mower")
def lawn_mower(rng, duration, sample_rate):
    """One cylinder at steady revs and a whirring blade."""
    n = n_samples(duration, sample_rate)
    rate = rng.uniform(20, 30) * (1 + 0.02 * wander(rng, n, sample_rate, 1))
    sig = _exhaust(
        rng, _firing(rng, rate, sample_rate, 1, 0.1), sample_rate, bright=5000
    )
    blade = band_noise(rng, n, sample_rate, 300, 5000, 1)
    blade *= tremolo(n, sample_rate, 4 * rate, 0.6)
    whine = saw(rate * rng.uniform(8, 20), sample_rate)
    return _unit(sig) + rng.uniform(0.3, 1) * blade + 0.1 * whine


@sound("drilling")
def drilling(rng, duration, sample_rate):
    """A geared motor under load, or a hammer drill's rattle on stone."""
    n = n_samples(duration, sample_rate)
    seconds = rng.uniform(0.4, 2.5)

    def make(_):
        m = n_samples(seconds * rng.uniform(0.6, 1.4), sample_rate)
        run = contour([0.2, 1, 0.95, 0.9, 0.3], m, [0, 0.12, 0.3, 0.9, 1])
        motor = saw(log_uniform(rng, 150, 500) * run, sample_rate)
        motor = _unit(band(motor, sample_rate, 200, 9000, 1))
        blows = log_uniform(rng, 15, 60)
        times = regular_times(rng, 1 / blows, m / sample_rate, 0.05)
        rattle = modes(
            m,
            sample_rate,
            *struck_body(rng, 300, 8000, 12, 0.03, 0.1),
            pulses(rng, times, m, sample_rate, 0.3),
        )
        sig = motor + hammer * _unit(rattle)
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
        1 + _unit(thump)
    )
    sig = _unit(steel) + rng.uniform(0.3, 2) * _unit(thump) + 0.3 * air
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
    """Teeth tear fibres 40-400 times a second while the arm goes to and fro.

    The rate follows the blade's speed, so that every stroke is a rise and fall;
    pushing cuts, pulling only scrapes; board and blade ring along.
    """
    n = n_samples(duration, sample_rate)
    strokes = rng.uniform(0.7, 2.8)
    speed = strokes * (1 + 0.08 * wander(rng, n, sample_rate, 1.0))
    arm = tone(speed, sample_rate, start=rng.uniform())
    pull = rng.uniform(0.15, 0.95)
    push_share = np.where(arm > 0, 1.0, pull)
    pace = np.abs(arm) ** rng.uniform(0.5, 1.0)
    teeth = (
        log_uniform(rng, 70, 420)
        * pace
        * np.where(arm > 0, 1.0, rng.uniform(0.8, 1.25))
    )
    bite = saw(np.maximum(teeth, 3), sample_rate)
    bite = np.maximum(bite, 0) ** rng.uniform(1, 4)
    source = _unit(bite * noise(rng, n)) + rng.uniform(0, 1.2) * _unit(
        np.diff(bite, prepend=0)
    )
    source += rng.uniform(0.1, 0.5) * noise(rng, n)
    board = np.exp(rng.uniform(np.log(250), np.log(2200), 6))
    blade = np.exp(rng.uniform(np.log(1800), np.log(9000), 7))
    sig = resonate(source, sample_rate, board, 0.25 * board)
    sig = log_uniform(rng, 0.2, 1.5) * _unit(sig)
    sig += log_uniform(rng, 0.3, 1.5) * _unit(
        resonate(source, sample_rate, blade, rng.uniform(0.03, 0.25) * blade)
    )
    sig += rng.uniform(0.1, 0.8) * _unit(
        band(source, sample_rate, rng.uniform(500, 2500), 12000, 1)
    )
    env = pace * push_share
    gate = np.ones(n)
    if rng.random() < 0.35:  # rests, and at the end the piece falls
        gate = np.clip(2 + 4 * wander(rng, n, sample_rate, 0.7), 0, 1)
    out = sig * env * gate * np.exp(0.15 * wander(rng, n, sample_rate, 2))
    if rng.random() < 0.2:
        piece = normalise(
            modes(
                n_samples(0.4, sample_rate),
                sample_rate,
                *struck_body(rng, 200, 2500, 8, 0.1),
            )
        )
        out += scatter(
            [rng.uniform(0.6, 0.95) * duration],
            [piece],
            n,
            sample_rate,
            [rng.uniform(1, 5)],
        )
    return out


# --- flight ------------------------------------------------------------------


@sound("helicopter")
def helicopter(rng, duration, sample_rate):
    """Blades slap the air 8-28 times a second; wash and turbine around it."""
    n = n_samples(duration, sample_rate)
    gain, pitch = _passing(rng, n, sample_rate, 0.04)
    rate = log_uniform(rng, 8, 28) * pitch
    cycles = phase(rate, sample_rate)
    where = cycles - np.floor(cycles)
    uneven = np.exp(0.15 * rng.standard_normal(int(cycles[-1]) + 2))
    sharp = rng.uniform(3, 16)
    slap = np.exp(-sharp * where) * np.minimum(where * 25, 1)
    slap *= uneven[np.floor(cycles).astype(int)]
    low = np.array([55, 110, 210, 400]) * rng.uniform(0.7, 1.8)
    thump = resonate(band(slap, sample_rate, 20), sample_rate, low, low * 0.6)
    chop = slap * band_noise(
        rng,
        n,
        sample_rate,
        log_uniform(rng, 80, 400),
        log_uniform(rng, 900, 5000),
        1,
    )
    wash = noise(rng, n, rng.uniform(0.7, 1.5))
    wash *= 1 - rng.uniform(0.1, 0.7) * (1 - slap / slap.max())
    tail = saw(rate * rng.uniform(4.5, 7.5), sample_rate)
    tail = band(tail, sample_rate, 60, 1500, 1)
    whine = tone(log_uniform(rng, 700, 5000) * pitch, sample_rate)
    sig = (
        log_uniform(rng, 0.4, 1.5) * _unit(thump)
        + log_uniform(rng, 0.5, 2) * _unit(chop)
        + log_uniform(rng, 0.1, 0.6) * _unit(wash)
        + log_uniform(rng, 0.02, 0.35) * _unit(tail)
        + log_uniform(rng, 0.002, 0.1) * whine
    )
    if rng.random() < 0.5:  # far away the highs are gone
        sig = band(sig, sample_rate, 0, log_uniform(rng, 500, 4000), 1)
    return sig * gain


@sound("airplane")
def airplane(rng, duration, sample_rate):
    """A jet's roar with a falling whine, or the drone of a propeller.

    The ground's echo combs the roar with a notch that moves as it flies.
    """
    n = n_samples(duration, sample_rate)
    gain, pitch = _passing(rng, n, sample_rate, 0.15)
    slow = 1 + 0.25 * wander(rng, n, sample_rate, 1.2)
    if rng.random() < 0.6:
        roar = _unit(noise(rng, n, rng.uniform(0.7, 2.0)))
        roar += rng.uniform(0.1, 0.8) * _unit(
            band_noise(rng, n, sample_rate, 200, 2500, 1)
        )
        t = np.arange(n)
        delay = np.abs(contour(rng.uniform(0.2, 4, 3) * 1e-3, n)) * sample_rate
        roar += rng.uniform(0.2, 0.9) * np.interp(t - delay, t, roar)
        roar *= 1 + 0.3 * wander(rng, n, sample_rate, 14)  # jet crackle
        base = log_uniform(rng, 600, 4000)
        whine = np.zeros(n)
        for ratio in rng.uniform(0.5, 2, rng.integers(1, 4)):
            whine += tone(base * ratio * pitch, sample_rate)
        air = band(noise(rng, n), sample_rate, base * 0.7, base * 2, 1)
        sig = roar + log_uniform(rng, 0.01, 0.3) * whine
        sig += rng.uniform(0, 0.3) * _unit(air)
    else:
        rate = log_uniform(rng, 45, 130) * pitch
        sig = np.zeros(n)
        for _ in range(rng.choice([1, 2], p=[0.7, 0.3])):
            blades = rate * (1 + rng.uniform(-0.015, 0.015))
            sig += _firing(
                rng, blades, sample_rate, rng.choice([2, 3, 4]), 0.05
            )
        sig = _unit(
            _exhaust(
                rng, sig, sample_rate, (70, 220), log_uniform(rng, 700, 4000)
            )
        )
        sig += rng.uniform(0.1, 0.7) * _unit(noise(rng, n, 1.3))
    dull = log_uniform(rng, 800, 9000)
    sig = band(sig, sample_rate, 0, dull, 1)
    return sig * gain * np.clip(slow, 0.3, None)


@sound("air conditioner")
def air_conditioner(rng, duration, sample_rate):
    """A fan: steady coloured noise, mains hum, blades beating faintly."""
    n = n_samples(duration, sample_rate)
    sig = _unit(noise(rng, n, rng.uniform(0.4, 1.6)))
    duct = np.exp(rng.uniform(np.log(80), np.log(2500), 4))
    sig += rng.uniform(0.2, 1) * _unit(
        resonate(sig, sample_rate, duct, 0.3 * duct)
    )
    base = rng.choice([50.0, 60.0]) * rng.choice([0.98, 2.0])
    for k in range(1, 9):
        sig += rng.exponential(0.15) / k * tone(k * base, sample_rate, n)
    blades = tremolo(n, sample_rate, rng.uniform(5, 40), rng.uniform(0, 0.3))
    return sig * blades


# --- road and rail -----------------------------------------------------------


@sound("car horn")
def car_horn(rng, duration, sample_rate):
    """One or two vibrating discs: a buzzing chord that is on or off."""
    base = log_uniform(rng, 220, 560)
    style = rng.choice(
        ["car", "lorry", "old", "alarm"], p=[0.68, 0.15, 0.07, 0.1]
    )
    chord = {
        "car": [1.0, rng.choice([1.19, 1.26, 1.25, 1.33])],
        "lorry": [1.0, 1.26, 1.5],
        "old": [1.0],
        "alarm": [1.0, 1.22],
    }[style]
    if style == "lorry":
        base *= 0.6
    if style == "car" and rng.random() < 0.3:
        chord = chord[:1]
    drive = log_uniform(rng, 1.5, 12)
    mouth = np.array([700, 1500, 2600, 4200]) * rng.uniform(0.7, 1.5)
    width = mouth * rng.uniform(0.15, 0.5)
    usual = log_uniform(rng, 0.12, 1.6)
    if style == "alarm":
        usual = rng.uniform(0.25, 0.5)

    def honk(_):
        seconds = usual * np.exp(rng.uniform(-0.6, 0.6))
        n = n_samples(seconds, sample_rate)
        t = np.arange(n) / sample_rate
        onset = 1 - 0.06 * np.exp(-t / 0.02)
        sig = np.zeros(n)
        for ratio in chord:
            pitch = base * ratio * onset
            if style == "old":  # "a-oo-ga"
                pitch = base * 0.7 * contour([0.6, 1.3, 1.2, 0.5], n)
            sig += saw(pitch, sample_rate, start=rng.uniform())
        sig = soft_clip(sig, drive)
        sig = 0.5 * sig + resonate(sig, sample_rate, mouth, width)
        return sig * swell(n, sample_rate, 0.012, rng.uniform(0.015, 0.06))

    pauses = (0.3, 0.5) if style == "alarm" else (0.06, 1.2)
    most = 12 if style == "alarm" else rng.choice([1, 3, 6])
    out = sequence(rng, honk, duration, sample_rate, (1, most), pauses, 0.1)
    if rng.random() < 0.4:
        road = traffic(rng, duration, sample_rate)
        out += rng.uniform(0.02, 0.25) * _unit(road) * np.std(out)
    return out


@sound("boat horn")
def boat_horn(rng, duration, sample_rate):
    """A low reed or pipe that speaks slowly and for long."""
    base = log_uniform(rng, 60, 230)

    def make(_):
        n = n_samples(rng.uniform(0.8, 3.5), sample_rate)
        pitch = base * contour([0.92, 1, 1, 0.95], n, [0, 0.1, 0.9, 1])
        sig = saw(pitch, sample_rate) + 0.7 * saw(pitch * 1.26, sample_rate)
        sig = band(sig, sample_rate, 0, log_uniform(rng, 600, 3000), 1)
        sig += 0.05 * noise(rng, n, 0.5)
        return sig * swell(n, sample_rate, 0.15, 0.4)

    return sequence(rng, make, duration, sample_rate, (1, 2), (0.5, 2))


@sound("traffic")
def traffic(rng, duration, sample_rate):
    """Tyres on a road: several cars passing over a distant rumble."""
    n = n_samples(duration, sample_rate)
    out = 0.4 * _unit(noise(rng, n, 1.8))
    for _ in range(rng.integers(1, 5)):
        gain, _ = _passing(rng, n, sample_rate)
        tyres = band_noise(rng, n, sample_rate, 150, rng.uniform(1500, 5000), 1)
        out += gain * tyres * rng.uniform(0.3, 1)
    return out


@sound("siren")
def siren(rng, duration, sample_rate):
    """Wail, yelp, two-tone, phaser or air raid, from a horn that goes by."""
    n = n_samples(duration, sample_rate)
    gain, pitch = _passing(rng, n, sample_rate, 0.05)
    style = rng.choice(
        ["wail", "yelp", "two-tone", "air raid", "phaser"],
        p=[0.36, 0.2, 0.22, 0.14, 0.08],
    )
    low = log_uniform(rng, 380, 850)
    span = rng.uniform(1.5, 2.8)
    start = rng.uniform()
    rate = {
        "wail": log_uniform(rng, 0.12, 0.6),
        "yelp": rng.uniform(2, 5),
        "two-tone": rng.uniform(0.6, 1.6),
        "air raid": log_uniform(rng, 0.06, 0.3),
        "phaser": rng.uniform(8, 16),
    }[style]
    place = phase(rate, sample_rate, n, start)
    place = place - np.floor(place)
    up = rng.uniform(0.2, 0.7)
    bow = np.where(place < up, place / up, (1 - place) / (1 - up))
    if style == "two-tone":
        edge = place > 0.5
        ratio = rng.choice([1.19, 1.25, 1.33, 1.5])
        curve = np.where(edge, ratio, 1.0) * low
    else:
        curve = low * span ** (bow ** rng.uniform(0.5, 1.3))
    if style == "air raid":
        curve = low * 0.65 * span ** np.sin(np.pi / 2 * bow)
    sources = [(1.0, 1.0)]
    if style == "air raid" and rng.random() < 0.7:
        sources.append((rng.choice([1.2, 1.25, 1.33]), 0.8))
    if rng.random() < 0.2:  # a second vehicle
        sources.append((rng.uniform(0.8, 1.3), 0.4))
    sig = np.zeros(n)
    for ratio, level in sources:
        wave = saw(curve * ratio * pitch, sample_rate)
        pure = tone(curve * ratio * pitch, sample_rate)
        blend = rng.uniform(0, 1)
        sig += level * (blend * wave + (1 - blend) * pure)
    sig = soft_clip(sig, log_uniform(rng, 0.5, 5))
    horn = np.array([900, 1700, 2900]) * rng.uniform(0.7, 1.4)
    sig = sig + rng.uniform(0.2, 1.5) * resonate(
        sig, sample_rate, horn, 0.4 * horn
    )
    sig *= gain
    if rng.random() < 0.6:
        road = traffic(rng, duration, sample_rate)
        sig += log_uniform(rng, 0.02, 0.5) * np.std(sig) * _unit(road)
    return sig


def _clack(rng, sample_rate, low):
    """A wheel crosses a rail joint: thud, steel snap and a short ring."""
    n = n_samples(0.3, sample_rate)
    sig = normalise(
        modes(n, sample_rate, *struck_body(rng, low, 900, 7, 0.14, 0.5))
    )
    steel = modes(n, sample_rate, *struck_body(rng, 900, 7000, 9, 0.06, 0.3))
    snap = band_noise(rng, n, sample_rate, 300, 6000, 1)
    snap *= percussive(n, sample_rate, 0.003, rng.uniform(0.03, 0.1))
    return (
        sig
        + rng.uniform(0.1, 0.6) * normalise(steel)
        + rng.uniform(0.1, 0.6) * normalise(snap)
    )


def _train_horn(rng, seconds, sample_rate):
    """Three to five chimes sounding one chord, with air."""
    n = n_samples(seconds, sample_rate)
    root = log_uniform(rng, 230, 370)
    chord = rng.choice(
        [1, 1.19, 1.26, 1.33, 1.5, 1.68, 2.0], rng.integers(2, 6), replace=False
    )
    settle = contour([0.95, 1.0, 1.0, 0.97], n, [0, 0.08, 0.9, 1])
    sig = sum(
        saw(root * ratio * settle, sample_rate, start=rng.uniform())
        for ratio in chord
    )
    sig = band(
        soft_clip(sig, rng.uniform(1, 4)),
        sample_rate,
        200,
        log_uniform(rng, 1800, 7000),
        1,
    )
    sig += rng.uniform(0.02, 0.15) * noise(rng, n, 0.5)
    return _unit(sig) * swell(n, sample_rate, 0.06, rng.uniform(0.1, 0.4))


@sound("train")
def train(rng, duration, sample_rate):
    """Pairs of wheels over joints above a rumble; steam, horn, bell, brakes.

    Four clacks (two axles, two bogies) repeat with every carriage; the rumble
    is modulated by them, steel wheels hiss and may squeal in the curve.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["carriages", "steam", "horn", "metro", "brakes"],
        p=[0.42, 0.2, 0.18, 0.12, 0.08],
    )
    gain, pitch = _passing(rng, n, sample_rate, 0.05)
    rumble = _unit(noise(rng, n, rng.uniform(1.0, 2.0)))
    rumble = band(rumble, sample_rate, 25, log_uniform(rng, 400, 3000), 1)
    wheels = np.exp(rng.uniform(np.log(250), np.log(4000), 5))
    roll = resonate(noise(rng, n), sample_rate, wheels, 0.2 * wheels)
    roll = _unit(roll) * (1 + 0.35 * wander(rng, n, sample_rate, 12))
    out = log_uniform(rng, 0.3, 1.2) * _unit(rumble)
    out += log_uniform(rng, 0.08, 0.6) * roll
    # Clickety-clack: axle gap, bogie gap, then the next carriage.
    speed = log_uniform(rng, 5, 28)  # metres a second
    axle, bogie, length = (
        rng.uniform(1.8, 2.6),
        rng.uniform(5, 14),
        rng.uniform(14, 24),
    )
    layout = np.array([0, axle, bogie, bogie + axle]) / speed
    starts = np.arange(-length, duration * speed, length) / speed
    times = np.ravel(starts[:, None] + layout)
    times = times + 0.004 * rng.standard_normal(len(times))
    clacks = [_clack(rng, sample_rate, rng.uniform(60, 160)) for _ in range(6)]
    joints = scatter(
        times,
        clacks,
        n,
        sample_rate,
        np.exp(0.3 * rng.standard_normal(len(times))),
    )
    weight = {
        "carriages": (0.8, 4),
        "metro": (0.1, 1),
        "brakes": (0.05, 0.6),
        "steam": (0.05, 0.8),
        "horn": (0.1, 1.5),
    }[style]
    out += log_uniform(rng, *weight) * joints
    shake = np.interp(
        np.arange(n),
        np.arange(0, n, 64),
        np.convolve(np.abs(joints)[::64], np.hanning(60) / 10, "same"),
    )
    out *= 1 + rng.uniform(0, 1) * np.minimum(shake, 3)
    if style == "steam":
        puffs = rng.uniform(1.5, 7) * contour([1, rng.uniform(0.8, 1.7)], n)
        cycles = phase(puffs, sample_rate)
        beat = np.floor(cycles).astype(int)
        where = cycles - beat
        uneven = np.tile([1, 0.7, 0.85, 0.65], beat[-1] // 4 + 1)[beat]
        chuff = band_noise(
            rng,
            n,
            sample_rate,
            log_uniform(rng, 150, 600),
            log_uniform(rng, 2000, 8000),
            1,
        )
        chuff *= (
            uneven
            * np.exp(-rng.uniform(3, 7) * where)
            * np.minimum(where * 15, 1)
        )
        out += log_uniform(rng, 0.8, 4) * _unit(chuff)
        if rng.random() < 0.4:  # its whistle
            m = n_samples(rng.uniform(0.4, 1.8), sample_rate)
            glide = rng.uniform(450, 900) * contour([0.85, 1, 1, 0.85], m)
            pipe = sum(tone(glide * r, sample_rate) for r in (1, 1.26, 1.5))
            pipe = pipe + 0.7 * noise(rng, m, 0.5)
            out += scatter(
                [rng.uniform(0, 0.7) * duration],
                [pipe * swell(m, sample_rate, 0.06, 0.2)],
                n,
                sample_rate,
                [rng.uniform(0.5, 2)],
            )
    if style == "horn" or rng.random() < 0.1:
        level = log_uniform(rng, 0.7, 5)
        time = rng.uniform(0, 1.0)
        while time < duration:
            blast = _train_horn(rng, log_uniform(rng, 0.3, 2.5), sample_rate)
            out += scatter([time], [level * blast], n, sample_rate)
            time += len(blast) / sample_rate + rng.uniform(0.15, 1.2)
    if rng.random() < (0.35 if style in ("horn", "carriages") else 0.05):
        m = n_samples(1.0, sample_rate)  # the bell at the crossing
        bell = modes(
            m,
            sample_rate,
            *struck_body(rng, log_uniform(rng, 600, 1400), 7000, 7, 0.7, 0.4),
        )
        ding = regular_times(rng, rng.uniform(0.25, 0.6), duration, 0.01)
        out += log_uniform(rng, 0.2, 1.5) * scatter(
            ding, [normalise(bell)], n, sample_rate
        )
    if style == "brakes" or rng.random() < 0.15:
        squeal = np.zeros(n)
        for _ in range(rng.integers(1, 4)):
            f = log_uniform(rng, 1200, 6500) * (
                1 + 0.006 * wander(rng, n, sample_rate, 6)
            )
            level = np.clip(wander(rng, n, sample_rate, 2), 0, None)
            squeal += level * tone(f, sample_rate)
        out += log_uniform(rng, 0.1, 1.2) * squeal
    if style == "metro":  # inverter or traction motor sings its steps
        base = log_uniform(rng, 150, 600)
        steps = contour(rng.uniform(0.6, 2.2, 3), n)
        out += log_uniform(rng, 0.1, 0.8) * _unit(
            band(saw(base * steps, sample_rate), sample_rate, 150, 3500, 1)
        )
    if rng.random() < 0.35:  # diesel locomotive
        motor = _firing(rng, rng.uniform(18, 50) * pitch, sample_rate, 8, 0.1)
        out += log_uniform(rng, 0.2, 1) * _unit(
            _exhaust(rng, motor, sample_rate, bright=1500)
        )
    return out * gain


# --- bells and strings -------------------------------------------------------


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
        modes(
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


@sound("church bells")
def church_bells(rng, duration, sample_rate):
    """One bell tolling, a clock chime, or a peal of several."""
    n = n_samples(duration, sample_rate)
    base = log_uniform(rng, 130, 800)
    style = rng.choice(["toll", "chime", "peal"], p=[0.4, 0.2, 0.4])
    count = {"toll": 1, "chime": 4, "peal": rng.integers(2, 6)}[style]
    scale = np.array([1, 9 / 8, 5 / 4, 4 / 3, 3 / 2, 5 / 3, 2])
    notes = base * np.sort(rng.choice(scale, count, replace=False))
    ring = log_uniform(rng, 1.5, 9)
    bells = [_bell(rng, f, ring, sample_rate) for f in notes]
    if style == "peal":
        times, which = [], []
        for i in range(count):
            own = regular_times(
                rng, rng.uniform(0.6, 1.8), duration, 0.03, rng.uniform(0, 1)
            )
            times.extend(own)
            which.extend([i] * len(own))
    else:
        gap = rng.uniform(0.8, 3) if style == "toll" else rng.uniform(0.4, 1)
        times = regular_times(rng, gap, duration, 0.02, rng.uniform(0, 0.7))
        which = rng.integers(0, count, len(times))
        if rng.random() < 0.2:
            times = times[: rng.integers(1, 4)]
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    sig = scatter(times, lambda i: bells[which[i]], n, sample_rate, gains)
    ringing = np.roll(bells[0], -len(bells[0]) // 4)  # blows before the clip
    ringing[-len(bells[0]) // 4 :] = 0
    sig += rng.uniform(0, 0.3) * scatter([0.0], [ringing], n, sample_rate)
    return sig


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


@sound("piano")
def piano(rng, duration, sample_rate):
    """Stiff strings struck by felt: slightly stretched decaying partials."""
    n = n_samples(duration, sample_rate)
    step = log_uniform(rng, 0.15, 0.8)
    times = regular_times(rng, step, duration, 0.03)
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16])
    root = log_uniform(rng, 100, 350)

    k = np.arange(1, 13)
    bright = rng.uniform(0.9, 1.8)
    notes = []
    for step in rng.choice(scale, 5, replace=False):
        freqs = root * 2 ** (step / 12) * k * np.sqrt(1 + 4e-4 * k**2)
        notes.append(
            modes(
                n_samples(1.2, sample_rate),
                sample_rate,
                freqs,
                2.0 / k**0.6,
                k**-bright,
            )
        )
    order = rng.integers(0, len(notes), len(times))
    return scatter(
        times,
        lambda i: notes[order[i]],
        n,
        sample_rate,
        np.exp(0.3 * rng.standard_normal(len(times))),
    )


@sound("guitar")
def guitar(rng, duration, sample_rate):
    """Plucked strings: a burst of noise caught in a comb, with strums."""
    n = n_samples(duration, sample_rate)
    root = log_uniform(rng, 80, 200)
    times = regular_times(rng, log_uniform(rng, 0.2, 0.9), duration, 0.03)
    strum = rng.random() < 0.5

    m = n_samples(1.2, sample_rate)
    fade = percussive(m, sample_rate, 0.001, 1.6)
    bright = rng.uniform(1500, 6000)
    strings = []
    for note in (0, 4, 7, 12, 16):
        kick = noise(rng, m) * percussive(m, sample_rate, 0.0005, 0.01)
        kick = band(kick, sample_rate, 80, bright, 1)
        string = comb(kick, sample_rate, root * 2 ** (note / 12), 0.985)
        strings.append(band(string, sample_rate, 60, 4000, 1) * fade)
    if strum:
        late = rng.uniform(0.005, 0.03) * np.arange(4)
        times = np.ravel(times[:, None] + late)
    order = rng.integers(0, len(strings), len(times))
    return scatter(times, lambda i: strings[order[i]], n, sample_rate)


# --- explosions --------------------------------------------------------------


def _boom(rng, sample_rate, far):
    """A shell bursts: shock, low blast, then echoes from hills and houses.

    `far` 0..1 dulls the shock and lengthens the rolling tail.
    """
    tail = rng.uniform(0.8, 3.2)
    n = n_samples(tail, sample_rate)
    crack = noise(rng, n, 0.3) * percussive(
        n, sample_rate, 0.0008, log_uniform(rng, 0.03, 0.25)
    )
    thump = tone(
        log_uniform(rng, 45, 110) * contour([1.6, 1, 0.7], n), sample_rate
    )
    thump *= percussive(n, sample_rate, 0.004, rng.uniform(0.15, 0.6))
    blast = _unit(noise(rng, n, rng.uniform(1.2, 2.0)))
    blast *= percussive(n, sample_rate, 0.003, rng.uniform(0.3, 1.0))
    dull = log_uniform(rng, 1500, 9000) * (1 - 0.85 * far)
    sig = band(
        2 * crack * (1 - 0.6 * far) + thump + 0.6 * blast,
        sample_rate,
        25,
        dull,
        1,
    )
    sig = normalise(sig)
    echo = _unit(noise(rng, n, rng.uniform(0.8, 1.6)))
    echo = _unit(band(echo, sample_rate, 40, log_uniform(rng, 500, 3000), 1))
    echo *= percussive(n, sample_rate, 0.06, tail * 1.1)
    echo *= np.abs(1 + 0.5 * wander(rng, n, sample_rate, 9))
    sig += log_uniform(rng, 0.04, 0.3) * echo
    for _ in range(rng.integers(0, 4)):  # slaps off walls
        at = n_samples(rng.uniform(0.06, 0.7), sample_rate)
        if at < n // 2:
            slap = band(sig[: n - at], sample_rate, 60, 1800, 1)
            sig[at:] += rng.uniform(0.05, 0.3) * slap
    return sig * swell(n, sample_rate, 0.0005, 0.3 * tail)


def _crackle(rng, sample_rate):
    """Stars that pop one by one: a cloud of sharp reports."""
    seconds = rng.uniform(0.5, 2.2)
    n = n_samples(seconds, sample_rate)
    count = int(log_uniform(rng, 15, 300))
    times = rng.beta(1.6, 2.6, count) * seconds * 0.95
    pops = []
    for _ in range(6):
        m = n_samples(0.05, sample_rate)
        pop = band_noise(
            rng, m, sample_rate, log_uniform(rng, 500, 3000), 13000, 1
        )
        pops.append(
            pop
            * percussive(m, sample_rate, 0.0003, log_uniform(rng, 0.006, 0.04))
        )
    sig = scatter(
        times, pops, n, sample_rate, np.exp(0.7 * rng.standard_normal(count))
    )
    return normalise(sig)


def _launch(rng, sample_rate):
    """A mortar's thud, then a rising or falling whistle, or a whoosh."""
    seconds = rng.uniform(0.4, 1.8)
    n = n_samples(seconds, sample_rate)
    whoosh = band_noise(rng, n, sample_rate, 500, 7000, 1)
    whoosh *= contour([0.2, 1, 0.4, 0.05], n)
    sig = rng.uniform(0.2, 1) * whoosh
    if rng.random() < 0.6:
        base = log_uniform(rng, 900, 3500)
        glide = base * contour(
            [1, rng.uniform(1, 1.6), rng.uniform(0.6, 1.8)], n
        )
        glide *= 1 + 0.02 * wander(rng, n, sample_rate, 25)
        scream = tone(glide, sample_rate) + 0.3 * tone(2 * glide, sample_rate)
        sig += rng.uniform(0.5, 2) * scream * contour([0.3, 1, 0.7, 0.1], n)
    m = min(n_samples(0.2, sample_rate), n)
    thud = _unit(noise(rng, m, 1.8)) * percussive(m, sample_rate, 0.003, 0.15)
    sig[:m] += rng.uniform(0, 2) * thud
    return normalise(sig)


@sound("fireworks")
def fireworks(rng, duration, sample_rate):
    """Launches, booms that roll off the landscape, then crackling stars.

    Shells come at odd times and distances; a finale is dozens of them, a string
    of bangers is one sharp report after another.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["display", "finale", "single", "bangers"], p=[0.5, 0.2, 0.15, 0.15]
    )
    shells = {
        "display": rng.integers(2, 7),
        "finale": rng.integers(10, 26),
        "single": 1,
        "bangers": rng.integers(1, 3),
    }[style]
    out = np.zeros(n)
    if style == "bangers":
        times = np.cumsum(rng.gamma(1.3, log_uniform(rng, 0.02, 0.12), 200))
        bang = []
        for _ in range(6):
            m = n_samples(0.25, sample_rate)
            shot = band_noise(rng, m, sample_rate, 200, 12000, 1)
            shot *= percussive(m, sample_rate, 0.0003, rng.uniform(0.02, 0.1))
            low = _unit(noise(rng, m, 1.5))
            low *= percussive(m, sample_rate, 0.002, 0.15)
            bang.append(shot + 0.5 * low)
        keep = times < rng.uniform(0.4, 1.1) * duration
        out += scatter(
            times[keep],
            bang,
            n,
            sample_rate,
            np.exp(0.5 * rng.standard_normal(keep.sum())),
        )
    variety = min(shells, 3)
    booms = [_boom(rng, sample_rate, rng.random()) for _ in range(variety)]
    stars = [_crackle(rng, sample_rate) for _ in range(2)]
    ups = [_launch(rng, sample_rate) for _ in range(2)]
    star_level = rng.choice([0.0, log_uniform(rng, 0.08, 0.7)], p=[0.25, 0.75])
    up_level = rng.choice([0.0, log_uniform(rng, 0.05, 0.7)], p=[0.3, 0.7])
    times = rng.uniform(-0.3, duration * 0.95, shells)
    if style in ("single", "bangers"):
        times = rng.uniform(0, duration * 0.6, shells)
    for i, time in enumerate(times):
        level = log_uniform(rng, 0.2, 1)
        grain = booms[i % len(booms)]
        out += scatter([max(time, 0)], [grain], n, sample_rate, [level])
        if rng.random() < 0.6:
            at = max(time + rng.uniform(0.02, 0.7), 0)
            out += scatter(
                [at], [stars[i % 2]], n, sample_rate, [level * star_level]
            )
        rise = len(ups[i % 2]) / sample_rate
        if time > rise and rng.random() < 0.7:
            out += scatter(
                [time - rise - rng.uniform(0, 0.3)],
                [ups[i % 2]],
                n,
                sample_rate,
                [level * up_level],
            )
    if style == "finale":  # everything rolls together
        roll = _unit(noise(rng, n, 1.3)) * np.exp(
            0.4 * wander(rng, n, sample_rate, 4)
        )
        out += rng.uniform(0.02, 0.15) * roll
    return out


@sound("gun shot")
def gun_shot(rng, duration, sample_rate):
    """A muzzle's crack and its echo; single, double or automatic fire."""
    shot = _boom(rng, sample_rate, rng.uniform(0, 0.4))
    sharp = noise(rng, len(shot)) * percussive(
        len(shot), sample_rate, 0.0002, rng.uniform(0.01, 0.08)
    )
    shot = shot + rng.uniform(0.5, 2) * sharp
    n = n_samples(duration, sample_rate)
    gap = log_uniform(rng, 0.07, 1.5)
    times = regular_times(rng, gap, duration, 0.04, rng.uniform(0, 0.5))
    times = times[: rng.integers(1, 12)]
    return scatter(
        times,
        [shot],
        n,
        sample_rate,
        np.exp(0.1 * rng.standard_normal(len(times))),
    )
