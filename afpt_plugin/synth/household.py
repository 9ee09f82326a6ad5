"""Sounds of doors, furniture and the desk: knocks, slams, creaks, clicks, taps.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. A helper with an
underscore makes one occurrence, the generator lays occurrences out in time.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["mouse click"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.synth import (
    struck,
)
from afpt_plugin.synth.dsp import (
    contour,
    log_uniform,
    modes,
    n_samples,
    noise,
    normalise,
    percussive,
    pulses,
    regular_times,
    scatter,
    sequence,
    struck_body,
    swell,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]


# --- doors and furniture -----------------------------------------------------


@sound("door wood knock")
def door_wood_knock(rng, duration, sample_rate):
    """Knuckles or a fist on a panel: groups of 2-8 dull wooden blows."""
    fist = rng.random() < 0.3
    low = log_uniform(rng, 55, 160) if fist else log_uniform(rng, 90, 420)
    panel = struck_body(
        rng,
        low,
        low * rng.uniform(6, 16),
        rng.integers(10, 28),
        log_uniform(rng, 0.04, 0.25),
        rng.uniform(0.2, 1.0),
    )
    hard = log_uniform(rng, 600, 2500 if fist else 7000)
    contact = log_uniform(rng, 0.001, 0.012)
    thock = log_uniform(rng, 0.1, 1.0)
    dull = log_uniform(rng, 0.03, 0.2)
    period = log_uniform(rng, 0.1, 0.42)
    click = rng.uniform(0, 0.35) * (not fist)
    rattle = rng.choice([0.0, rng.uniform(0.05, 0.4)], p=[0.6, 0.4])
    loose_parts = struck_body(rng, 900, 6000, 5, 0.03, 0)
    tune = rng.random() < 0.12  # shave and a haircut

    def knock():
        freqs, decays, amps = panel
        amps = amps * np.exp(0.3 * rng.standard_normal(len(amps)))
        sig = struck.hit(
            rng, 0.5, sample_rate, (freqs, decays, amps), hard, contact
        )
        snap = struck.click(rng, sample_rate, 900, 5000, 0.008)
        sig[: len(snap)] += click * snap
        wide = struck.hiss(rng, len(sig), sample_rate, low, 1.5 * hard)
        wide *= percussive(len(sig), sample_rate, contact, dull)
        sig += thock * normalise(wide)
        if rattle:  # lock and hinges shake after the blow
            times = rng.uniform(0.005, 0.12, 6)
            loose = pulses(rng, times, len(sig), sample_rate, 0.7)
            shake = modes(len(sig), sample_rate, *loose_parts, loose)
            sig += rattle * normalise(shake)
        return sig

    knocks = [knock() for _ in range(4)]
    usual = rng.integers(2, 8)
    hurry = rng.uniform(0.9, 1.08)

    def group(_):
        count = max(usual + rng.integers(-1, 2), 1)
        gaps = period * hurry ** np.arange(count)
        if tune:
            gaps = period * np.array([1, 0.5, 0.5, 1, 2, 1, 1])
        gaps = gaps * np.exp(0.06 * rng.standard_normal(len(gaps)))
        times = np.cumsum(gaps) - gaps[0]
        n = n_samples(times[-1] + 0.5, sample_rate)
        return struck.clatter(rng, knocks, times, n, sample_rate, 0.2)

    return sequence(rng, group, duration, sample_rate, (1, 4), (0.2, 1.5), 0.2)


@sound("door wood creaks")
def door_wood_creaks(rng, duration, sample_rate):
    """Hinges stick and slip while the door swings, and its wood answers.

    From single cracks at 8 a second over groans to squeals at 1.5 kHz: the
    rate follows the door's speed, jumps, stalls and starts again, but the
    resonances stay where the wood has them.
    """
    base = log_uniform(rng, 14, 120)
    if rng.random() < 0.5:
        base = log_uniform(rng, 100, 900)
    wide = log_uniform(rng, 1.3, 4.5)
    glide = rng.uniform(-1.5, 1.5)  # speeding up or down all along
    rough = log_uniform(rng, 0.02, 0.5)
    low = log_uniform(rng, 180, 900)
    door = struck_body(
        rng,
        low,
        low * rng.uniform(6, 18),
        rng.integers(10, 24),
        log_uniform(rng, 0.006, 0.05),
        rng.uniform(-0.3, 0.7),
    )
    pin = log_uniform(rng, 500, 1800) * np.array([1, 1.9, 3.1, 4.6])
    soft = log_uniform(rng, 700, 6000)  # how abruptly it lets go
    slow = rng.random() < 0.5
    air = log_uniform(rng, 0.003, 0.06)
    uneven, unrest = rng.uniform(0.1, 1.0), log_uniform(rng, 3, 15)

    def creak(_):
        span = (1.2, 4.5) if slow else (0.2, 1.5)
        seconds = min(log_uniform(rng, *span), duration)
        n = n_samples(seconds, sample_rate)
        speed = contour(rng.uniform(-1, 1, rng.integers(3, 9)), n)
        speed += glide * np.linspace(-0.5, 0.5, n)
        rate = base * rng.uniform(0.7, 1.4) * wide**speed
        if rng.random() < 0.5:  # it locks to half or double the rate
            leaps = wander(rng, n, sample_rate, rng.uniform(1.5, 6))
            rate *= 2.0 ** np.round(rng.uniform(0.4, 1.0) * leaps)
        slips = struck.slips(rng, rate, sample_rate, rough)
        spread = rng.uniform(0.1, 1.1)
        sig = np.zeros(n)
        for part in (slice(0, None, 2), slice(1, None, 2)):
            # Every slip pushes these and those modes in a mix of its own.
            force = pulses(rng, slips, n, sample_rate, spread)
            force = struck.soften(force, sample_rate, 0, soft)
            some = [values[part] for values in door]
            sig += modes(n, sample_rate, *some, force)
        sig /= np.std(sig) + 1e-9
        # Where slips come fast enough to fuse, the hinge pin sings.
        fused = np.clip(np.log2(np.maximum(rate, 4) / 180), 0, 1)
        if fused.max() > 0:
            sing = struck.squeal(rng, rate, sample_rate, pin)
            level = log_uniform(rng, 0.4, 3)
            sig += level * fused * sing / (np.std(sing) + 1e-9)
        sig += air * struck.hiss(rng, n, sample_rate, 60, 900)
        press = np.exp(contour(rng.uniform(-2.5, 0.4, rng.integers(4, 11)), n))
        press *= np.exp(uneven * wander(rng, n, sample_rate, unrest))
        if rng.random() < 0.6:
            stalls = wander(rng, n, sample_rate, rng.uniform(1.5, 8))
            press *= np.clip(1.2 + 1.5 * stalls, 0.01, 1) ** 1.5
        return sig * press * swell(n, sample_rate, 0.03, 0.1)

    count, gap = ((1, 3), (0.05, 0.7)) if slow else ((1, 8), (0.03, 0.8))
    sig = normalise(
        sequence(rng, creak, duration, sample_rate, count, gap, 0.3)
    )
    end = rng.random()
    if end < 0.2:  # it falls shut
        thud = struck.blow(rng, sample_rate, "board", 1.0, 3000)
        times = rng.uniform(0.5, 0.95) * duration + np.array([0.0, 0.03])
        grains = [thud, 0.5 * struck.latch(rng, sample_rate)]
        level = rng.uniform(0.3, 1.5)
        sig += level * scatter(times, grains, len(sig), sample_rate)
    elif end < 0.35:  # someone presses the handle first
        latch = [rng.uniform(0.1, 0.6) * struck.latch(rng, sample_rate)]
        sig += scatter([0.01], latch, len(sig), sample_rate)
    return sig


@sound("door slam")
def door_slam(rng, duration, sample_rate):
    """A heavy leaf hits its frame: boom, latch, rattle; wood, metal or a car's.

    A whoosh or the hinge may come before, windows shake after it.
    """
    material = rng.choice(["board", "wood", "tin"], p=[0.6, 0.2, 0.2])
    leaf = struck.thing(rng, material, rng.uniform(1.0, 2.5))
    boom = struck_body(rng, log_uniform(rng, 35, 110), 500, 8, 0.35, 0.9)
    hard = log_uniform(rng, 800, 7000)
    latched = rng.uniform(0, 0.6)
    shake = log_uniform(rng, 0.02, 0.5)
    loose = struck.thing(rng, rng.choice(["wood", "tin", "glass"]), 1.0, 0.1)

    def slam(_):
        n = n_samples(1.2, sample_rate)
        hit = struck.hit(
            rng, 0.8, sample_rate, leaf, hard, rng.uniform(0.002, 0.015)
        )
        low = struck.hit(rng, 0.8, sample_rate, boom, 1500)
        burst = noise(rng, n, 1.0) * percussive(
            n, sample_rate, 0.002, log_uniform(rng, 0.08, 0.4)
        )
        at = rng.uniform(0.1, 0.3)
        bolt = latched * struck.latch(rng, sample_rate)
        times = [at, at, at - rng.uniform(-0.03, 0.05)]
        sig = scatter(
            times, [hit, rng.uniform(0.3, 1.2) * low, bolt], n, sample_rate
        )
        sig[int(at * sample_rate) :] += (
            rng.uniform(0.1, 0.6)
            * normalise(burst)[: n - int(at * sample_rate)]
        )
        after = at + rng.exponential(0.12, rng.integers(3, 25))
        force = pulses(rng, after, n, sample_rate, 0.8)
        sig += shake * normalise(modes(n, sample_rate, *loose, force))
        whoosh = struck.hiss(rng, n, sample_rate, 80, 900)
        t = np.arange(n) / sample_rate - at
        sig += rng.uniform(0, 0.06) * whoosh * np.exp(-np.abs(t) / 0.08)
        return sig

    sig = sequence(rng, slam, duration, sample_rate, (1, 3), (0.4, 2.0), 0.3)
    if rng.random() < 0.3:  # handle or hinge well before it
        early = [rng.uniform(0.05, 0.3) * struck.latch(rng, sample_rate)]
        sig += scatter([rng.uniform(0, 0.1)], early, len(sig), sample_rate)
    return sig


@sound("drawer")
def drawer(rng, duration, sample_rate):
    """Wood rolls or slides on its rails, hits the stop, and things shift in it."""
    rail = struck.thing(rng, rng.choice(["wood", "tin"]), 1.0, 0.1)
    front = struck.thing(rng, "wood", rng.uniform(0.8, 1.6))
    inside = rng.choice(["metal", "plastic", "wood"])
    things = [
        struck.blow(rng, sample_rate, inside, 1.0, 9000, 0.2) for _ in range(4)
    ]
    full = rng.choice([0.0, log_uniform(rng, 0.05, 0.6)])
    rough = rng.uniform(15, 60)

    def make(_):
        seconds = rng.uniform(0.25, 1.1)
        n = n_samples(seconds + 0.5, sample_rate)
        m = n_samples(seconds, sample_rate)
        roll = struck.scrape(
            rng, m, sample_rate, 120, rng.uniform(1500, 6000), rough
        )
        wheels = struck.slips(
            rng, rough * contour([0.4, 1, 1.4], m), sample_rate, 0.3
        )
        wheels = pulses(rng, wheels, m, sample_rate, 0.6)
        roll = normalise(roll) + rng.uniform(0.2, 1) * normalise(
            modes(m, sample_rate, *rail, wheels)
        )
        roll *= swell(m, sample_rate, 0.15, 0.05) * contour([0.5, 1, 0.7], m)
        stop = struck.hit(
            rng, 0.4, sample_rate, front, log_uniform(rng, 1500, 7000)
        )
        sig = scatter(
            [0, seconds], [rng.uniform(0.1, 0.5) * roll, stop], n, sample_rate
        )
        times = seconds + rng.exponential(0.06, rng.integers(2, 9))
        times = np.append(times, rng.uniform(0, seconds, rng.integers(0, 6)))
        return sig + full * struck.clatter(rng, things, times, n, sample_rate)

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.2, 1.2))


@sound("cupboard")
def cupboard(rng, duration, sample_rate):
    """A small door pops off its catch, dishes touch, it claps shut and rebounds."""
    door = struck.thing(rng, "wood", rng.uniform(0.7, 1.4), 0.25)
    catch = log_uniform(rng, 500, 2000)
    within = rng.choice(["ceramic", "glass", "plastic"])
    things = [
        struck.blow(rng, sample_rate, within, 1.0, 9000, 0.3) for _ in range(4)
    ]
    squeaky = rng.random() < 0.3
    body = log_uniform(rng, 500, 1500) * np.array([1, 2.2, 3.7])

    def swing(i):
        n = n_samples(rng.uniform(0.5, 0.9), sample_rate)
        sig = np.zeros(n)
        if squeaky:
            m = n_samples(rng.uniform(0.15, 0.45), sample_rate)
            pitch = log_uniform(rng, 250, 1400) * contour([0.9, 1.1, 1.0], m)
            hinge = struck.squeal(rng, pitch, sample_rate, body)
            hinge *= swell(m, sample_rate, 0.03, 0.08) * rng.uniform(0.05, 0.3)
            sig[:m] += hinge[:n]
        if i % 2 == 0:  # open: the catch lets go, the door rattles a little
            pop = struck.click(rng, sample_rate, catch, catch * 5, 0.02)
            tap = struck.hit(rng, 0.2, sample_rate, door, 2000)
            grains = [pop, rng.uniform(0.2, 1) * tap, 0.2 * tap]
            times = [0.0, 0.01, rng.uniform(0.1, 0.3)]
            return sig + 0.5 * scatter(times, grains, n, sample_rate)
        times, gains = struck.bounces(rng, rng.uniform(0.04, 0.12), 0.5, 0.4)
        clap = struck.hit(
            rng, 0.3, sample_rate, door, log_uniform(rng, 1500, 7000)
        )
        at = rng.uniform(0.05, 0.2)
        sig += scatter(at + times[:4], [clap], n, sample_rate, gains)
        shaken = at + rng.exponential(0.05, rng.integers(0, 6))
        return sig + rng.uniform(0, 0.4) * struck.clatter(
            rng, things, shaken, n, sample_rate
        )

    sig = sequence(rng, swing, duration, sample_rate, (2, 8), (0.1, 1.2), 0.25)
    if rng.random() < 0.5:  # someone takes things out
        times = rng.uniform(0.1, 0.9) * duration + rng.exponential(0.2, 6)
        sig += rng.uniform(0.1, 0.5) * struck.clatter(
            rng, things, times, len(sig), sample_rate
        )
    return sig


# --- mice, keyboards, taps and pens ------------------------------------------


@sound("mouse click")
def mouse_click(rng, duration, sample_rate):
    """A leaf spring snaps over, and back 60-150 ms later, in a hollow mouse.

    One now and then, double clicks, a steady or hasty row; between them the
    room is quiet but for the wheel's soft ratchet or the mouse being moved.
    """
    low = log_uniform(rng, 700, 3200)
    high = low * rng.uniform(2, 6)
    decay = log_uniform(rng, 0.002, 0.015)
    case = struck.thing(rng, "plastic", rng.uniform(0.5, 1.5), 0.06)
    hollow = log_uniform(rng, 0.1, 1.5)
    desk = struck.hit(
        rng, 0.1, sample_rate, struck.thing(rng, "wood", 1.0, 0.08), 1500
    )
    thump = log_uniform(rng, 0.03, 1.0)
    hold = log_uniform(rng, 0.06, 0.15)
    lighter = log_uniform(rng, 0.25, 1.2)
    brighter = rng.uniform(0.85, 1.35)

    def snap(pitch):
        # The finger lands and the spring creeps before it snaps.
        n = n_samples(0.1, sample_rate)
        creep = struck.click(
            rng, sample_rate, low * pitch, high * pitch, decay / 2
        )
        over = struck.click(rng, sample_rate, low * pitch, high * pitch, decay)
        at = rng.uniform(0.001, 0.009)
        sig = scatter(
            [0, at], [rng.uniform(0, 0.4) * creep, over], n, sample_rate
        )
        return sig + hollow * normalise(modes(n, sample_rate, *case, sig))

    down = [snap(1.0) for _ in range(3)]
    up = [snap(brighter) for _ in range(3)]

    def press(held):
        n = n_samples(held + 0.12, sample_rate)
        gains = [thump, 1.0, lighter * rng.uniform(0.85, 1.15)]
        grains = [desk, down[rng.integers(3)], up[rng.integers(3)]]
        return scatter([0.0, 0.0, held], grains, n, sample_rate, gains)

    notch = struck.click(rng, sample_rate, low * 0.6, high * 0.8, decay)

    def wheel():
        times = regular_times(rng, 1 / rng.uniform(9, 30), rng.uniform(0.2, 1))
        n = n_samples(1.1, sample_rate)
        level = log_uniform(rng, 0.04, 0.4)
        return level * struck.clatter(rng, [notch], times, n, sample_rate, 0.3)

    style = rng.choice(
        ["once", "now and then", "double", "steady", "hasty"],
        p=[0.12, 0.28, 0.25, 0.25, 0.1],
    )
    gap = {"steady": (0.1, 0.4), "hasty": (0.015, 0.08)}.get(style, (0.3, 2.0))
    count = {"once": (1, 1), "hasty": (5, 50)}.get(style, (2, 20))
    wheels = rng.uniform(-0.3, 0.4)

    def event(i):
        if i > 0 and rng.random() < wheels:
            return wheel()
        held = hold * rng.uniform(0.8, 1.2) * (0.7 if style == "hasty" else 1)
        if style == "double":
            pause = np.zeros(n_samples(rng.uniform(0.0, 0.06), sample_rate))
            return np.concatenate([press(held * 0.8), pause, press(held * 0.8)])
        return press(held)

    sig = sequence(rng, event, duration, sample_rate, count, gap, 0.12)
    if rng.random() < 0.35:  # the mouse slides over its pad
        n = len(sig)
        slide = struck.scrape(
            rng, n, sample_rate, 300, rng.uniform(2000, 8000), 40
        )
        moved = np.clip(wander(rng, n, sample_rate, rng.uniform(1, 3)), 0, None)
        sig += log_uniform(rng, 0.001, 0.015) * slide * moved
    return sig


@sound("keyboard typing")
def keyboard_typing(rng, duration, sample_rate):
    """Keys at 3-14 a second: snap, bottom thump, quieter release.

    Flat keys of a laptop thump softly, clicking switches snap, a typewriter
    clacks; letters come in hasty words with hesitations between them.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["rubber", "laptop", "clicky", "typewriter"], p=[0.35, 0.3, 0.25, 0.1]
    )
    bright = {"laptop": 0.8, "clicky": 1.6, "typewriter": 0.9}.get(style, 1.0)
    low = log_uniform(rng, 700, 2200) * bright
    high = low * rng.uniform(2, 5)
    decay = log_uniform(rng, 0.002, 0.012) * (2 if style == "typewriter" else 1)
    thud_level = log_uniform(rng, 0.15, 1.5) / bright
    case = log_uniform(rng, 70, 500)
    release = rng.uniform(0.05, 0.7)
    ring = struck.thing(rng, "metal", 1.0, 0.15)
    springy = style in ("clicky", "typewriter") and rng.random() < 0.5
    rings = rng.uniform(0.1, 0.5) if springy else rng.uniform(0, 0.08)

    def key(pitch):
        sig = np.zeros(n_samples(0.25, sample_rate))
        cap = struck_body(rng, case * pitch, case * 8, 7, 0.05, 0.6)
        thud = struck.hit(
            rng, 0.1, sample_rate, cap, log_uniform(rng, 1200, 5000)
        )
        snap = struck.click(rng, sample_rate, low * pitch, high * pitch, decay)
        lift = struck.click(
            rng, sample_rate, low * 1.2, high * 1.2, decay * 0.7
        )
        at = rng.uniform(0.001, 0.02 if style == "clicky" else 0.008)
        gap = rng.uniform(0.05, 0.12)
        metal = struck.hit(rng, 0.2, sample_rate, ring)
        return scatter(
            [0.0, at, gap, gap, at],
            [snap, thud_level * thud, release * lift, 0.3 * release * thud]
            + [rings * metal],
            len(sig),
            sample_rate,
        )

    keys = [key(rng.uniform(0.8, 1.25)) for _ in range(9)] + [1.3 * key(0.6)]
    rate = log_uniform(rng, 3.5, 14)
    gaps = rng.gamma(3.0, 1 / (3.0 * rate), int(duration * rate * 2) + 4)
    words = rng.random(len(gaps)) < rng.uniform(0.03, 0.25)
    gaps = gaps + words * rng.exponential(rng.uniform(0.1, 0.6), len(gaps))
    gaps[0] = rng.uniform(0.0, 0.2)
    times = np.cumsum(gaps)
    times = times[times < duration]
    sig = struck.clatter(
        rng, keys, times, n, sample_rate, rng.uniform(0.15, 0.4)
    )
    if style == "typewriter" and rng.random() < 0.5:  # end of the line
        bell = struck.blow(rng, sample_rate, "metal", 0.7, 12000, 0.7)
        back = struck.slips(rng, np.full(n // 8 + 16, 60.0), sample_rate, 0.1)
        at = rng.uniform(0, duration)
        sig += scatter([at], [bell], n, sample_rate)
        sig += 0.4 * scatter(at + 0.4 + back, [keys[0]], n, sample_rate)
    return sig


@sound("tapping")
def tapping(rng, duration, sample_rate):
    """Fingers, nails or a pencil on a table, a box or glass: light quick taps."""
    material = rng.choice(
        ["wood", "plastic", "glass", "tin", "board"],
        p=[0.4, 0.2, 0.15, 0.1, 0.15],
    )
    body = struck.thing(rng, material, rng.uniform(0.6, 1.3), 0.15)
    soft = rng.random() < 0.4  # the ball of a finger, not a nail
    hard = log_uniform(rng, 500, 1800) if soft else log_uniform(rng, 3e3, 14e3)
    nail = 0.0 if soft else rng.uniform(0, 0.6)

    def tap():
        freqs, decays, amps = body
        amps = amps * np.exp(0.4 * rng.standard_normal(len(amps)))
        sig = struck.hit(rng, 0.2, sample_rate, (freqs, decays, amps), hard)
        tick = struck.click(rng, sample_rate, 1500, 7000, 0.004)
        sig[: len(tick)] += nail * tick
        return sig

    taps = [tap() for _ in range(5)]
    n = n_samples(duration, sample_rate)
    style = rng.choice(["steady", "roll", "tune"], p=[0.45, 0.35, 0.2])
    period = log_uniform(rng, 0.1, 0.6)
    spread = rng.uniform(0.1, 0.35)
    if style == "steady":
        times = regular_times(rng, period, duration, 0.05)
    elif style == "roll":  # four fingers, little finger first
        beats = regular_times(rng, rng.uniform(0.3, 1.3), duration, 0.1)
        fingers = np.arange(rng.integers(3, 6)) * rng.uniform(0.04, 0.09)
        times = np.ravel(beats[:, None] + fingers)
    else:
        steps = rng.choice([0.5, 1, 1, 2], 12) * period
        times = np.cumsum(np.tile(steps, int(duration / steps.sum()) + 1))
        times = np.append(0.0, times)
    stop = duration * rng.uniform(0.3, 1.6)
    times = times[times <= stop] + rng.uniform(0, 0.05)
    return struck.clatter(rng, taps, times, n, sample_rate, spread)


@sound("writing")
def writing(rng, duration, sample_rate):
    """A tip scratches over paper in strokes of 50-250 ms; chalk knocks as well.

    Every stroke is noise, louder where the hand is faster, on a table that
    hums along; lifting the tip and setting it down leaves small taps.
    """
    n = n_samples(duration, sample_rate)
    tool = rng.choice(
        ["pencil", "pen", "chalk", "marker"], p=[0.4, 0.2, 0.25, 0.15]
    )
    low = log_uniform(rng, 900, 4000)
    high = low * rng.uniform(2, 5)
    rate = log_uniform(rng, 2.5, 8)
    gaps = rng.gamma(4.0, 1 / (4.0 * rate), int(duration * rate * 2) + 4)
    words = rng.random(len(gaps)) < rng.uniform(0.05, 0.25)
    gaps = gaps + words * rng.uniform(0.1, 0.8, len(gaps))
    gaps[0] = rng.uniform(0.0, 0.2)
    starts = np.cumsum(gaps)
    starts = starts[starts < duration]
    lengths = rng.uniform(0.4, 1.0, len(starts)) * np.minimum(
        0.25, gaps[1 : len(starts) + 1]
    )
    at = np.stack([starts, starts + lengths / 2, starts + lengths], 1)
    level = np.zeros_like(at)
    level[:, 1] = np.exp(0.5 * rng.standard_normal(len(at)))
    t = np.arange(n) / sample_rate
    speed = np.interp(t, np.ravel(at), np.ravel(level), 0, 0) ** 0.7
    grain = log_uniform(rng, 60, 800)
    sig = struck.scrape(rng, n, sample_rate, low, high, grain) * speed
    table = struck.thing(rng, "wood", 0.6, 0.06)
    sig = normalise(sig) + log_uniform(rng, 0.1, 0.8) * normalise(
        modes(n, sample_rate, *table, sig)
    )
    knock = {"chalk": 2.0, "pen": 0.3, "marker": 0.1}.get(tool, 0.4)
    taps = [struck.hit(rng, 0.1, sample_rate, table, rng.uniform(2e3, 9e3))]
    taps += [struck.click(rng, sample_rate, low, high, 0.004)]
    sig += (
        knock
        * rng.uniform(0.2, 1)
        * struck.clatter(rng, taps, starts, n, sample_rate, 0.6)
    )
    if tool in ("chalk", "marker") and rng.random() < 0.6:
        pitch = log_uniform(rng, 700, 3000) * (0.7 + 0.5 * speed)
        squeal = struck.squeal(rng, pitch, sample_rate, np.array([low, high]))
        on = np.clip(wander(rng, n, sample_rate, 3), 0, 1)
        sig += rng.uniform(0.05, 0.5) * squeal * speed * on
    return sig
