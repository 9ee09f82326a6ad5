"""Sounds of kitchen, glass, paper, cloth and small things that are dropped.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. A helper with an
underscore makes one occurrence, the generator lays occurrences out in time.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["coins"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.synth import struck
from afpt_plugin.synth.dsp import (
    contour,
    log_uniform,
    modes,
    n_samples,
    noise,
    normalise,
    percussive,
    poisson_times,
    pulses,
    regular_times,
    resonate,
    scatter,
    sequence,
    struck_body,
    swell,
    tone,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]


# --- kitchen -----------------------------------------------------------------


def _metal_snap(rng, sample_rate, low=900):
    """Thin sheet metal buckling: several snaps within 60 ms, short ring."""
    n = n_samples(0.3, sample_rate)
    times = np.sort(rng.uniform(0, rng.uniform(0.01, 0.07), rng.integers(2, 7)))
    force = pulses(rng, times, n, sample_rate, 0.5)
    force += 0.2 * noise(rng, n) * percussive(n, sample_rate, 0.001, 0.03)
    body = struck_body(
        rng,
        low * rng.uniform(0.8, 1.5),
        11000,
        16,
        log_uniform(rng, 0.02, 0.12),
        rng.uniform(-0.2, 0.4),
    )
    return normalise(modes(n, sample_rate, *body, force))


def _fizz(rng, n, sample_rate, rate):
    """Foam: many small bubbles burst, fewer and fewer."""
    times = rng.exponential(0.4 * n / sample_rate, int(rate * n / sample_rate))
    burst = pulses(rng, times, n, sample_rate, 0.8)
    return normalise(struck.soften(burst, sample_rate, 2500, 13000))


def _drink_can(rng, sample_rate):
    """Tab snaps, gas rushes out, the lid bends, foam crackles after it."""
    n = n_samples(rng.uniform(1.2, 2.8), sample_rate)
    start = rng.uniform(0.02, 0.6)
    crack = _metal_snap(rng, sample_rate, log_uniform(rng, 500, 1800))
    hollow = tone(log_uniform(rng, 250, 1100), sample_rate, len(crack))
    hollow *= percussive(len(crack), sample_rate, 0.001, rng.uniform(0.03, 0.1))
    crack = crack + rng.uniform(0, 0.8) * hollow
    bend = start + log_uniform(rng, 0.08, 0.6)
    lid = _metal_snap(rng, sample_rate, log_uniform(rng, 400, 1600))
    back = bend + rng.uniform(0.1, 0.5)  # the tab is pushed back
    sig = scatter(
        [start, bend, back],
        [crack, rng.uniform(0.2, 1.3) * lid, rng.uniform(0, 0.4) * lid],
        n,
        sample_rate,
    )
    if rng.random() < 0.5:  # nails look for the tab
        at = np.sort(rng.uniform(0, start, rng.integers(1, 6)))
        ticks = [
            struck.click(rng, sample_rate, 1800, 9000, 0.012) for _ in range(2)
        ]
        level = rng.uniform(0.03, 0.4)
        sig += level * struck.clatter(rng, ticks, at, n, sample_rate)
    m = n - int(start * sample_rate)
    low = log_uniform(rng, 1500, 5000)
    gas = struck.hiss(rng, m, sample_rate, low, 15000)
    gas = gas + 2 * resonate(gas, sample_rate, [low * 1.8], [low])
    length = log_uniform(rng, 0.12, 1.3)
    gas *= percussive(m, sample_rate, rng.uniform(0.002, 0.04), length)
    sig[n - m :] += log_uniform(rng, 0.1, 1.2) * normalise(gas)
    if rng.random() < 0.6:
        m = n - int(min(bend * sample_rate, n - 32))
        fizz = _fizz(rng, m, sample_rate, log_uniform(rng, 80, 900))
        sig[n - m :] += rng.uniform(0.03, 0.3) * fizz
    return sig


def _ring_pull_tin(rng, sample_rate):
    """The ring is levered, the whole lid tears and rips off with a twang."""
    seconds = rng.uniform(0.3, 1.1)
    n = n_samples(seconds + 1.2, sample_rate)
    start = rng.uniform(0.05, 0.4)
    m = n_samples(seconds, sample_rate)
    tin = struck.thing(rng, "tin", 1.0, 0.12)
    rate = log_uniform(rng, 60, 250) * contour([0.5, 1.3, 1.0, 1.8], m)
    force = pulses(
        rng, struck.slips(rng, rate, sample_rate, 0.5), m, sample_rate, 0.7
    )
    tear = normalise(modes(m, sample_rate, *tin, force))
    tear += rng.uniform(0.1, 0.6) * normalise(
        struck.scrape(rng, m, sample_rate, 2000, 12000, 90)
    )
    tear *= contour([0.2, 0.6, 0.5, 1], m) * swell(m, sample_rate, 0.02, 0.02)
    crack = _metal_snap(rng, sample_rate, log_uniform(rng, 500, 1500))
    pop = struck.hit(
        rng, 0.5, sample_rate, struck.thing(rng, "tin", 1.0, 0.45), 9000
    )
    grains = [crack, rng.uniform(0.3, 1) * tear, rng.uniform(0.5, 1.5) * pop]
    times = [start, start + rng.uniform(0.03, 0.4), start + seconds + 0.1]
    return scatter(times, grains, n, sample_rate)


def _tin_opener(rng, sample_rate):
    """A blade pierces the lid and is wound round it, crunch by crunch."""
    period = rng.uniform(0.25, 0.7)
    turns = rng.integers(2, 7)
    n = n_samples(0.5 + period * turns, sample_rate)
    tin = struck.thing(rng, "tin", 1.0, 0.1)
    t = np.arange(n) / sample_rate / period
    push = np.clip(np.sin(2 * np.pi * t), 0, 1) ** rng.uniform(0.5, 2)
    rate = log_uniform(rng, 25, 120) * (0.3 + push)
    force = pulses(
        rng, struck.slips(rng, rate, sample_rate, 0.4), n, sample_rate, 0.6
    )
    sig = normalise(modes(n, sample_rate, *tin, force) * push)
    sig += 0.3 * normalise(
        struck.scrape(rng, n, sample_rate, 1500, 9000, 60) * push
    )
    snap = _metal_snap(rng, sample_rate)
    return sig + scatter([0.0], [rng.uniform(0.4, 1.5) * snap], n, sample_rate)


@sound("can opening")
def can_opening(rng, duration, sample_rate):
    """A drink can snaps and hisses, a tin's lid tears, or an opener crunches."""
    make = rng.choice([0, 1, 2], p=[0.72, 0.18, 0.1])
    can = (_drink_can, _ring_pull_tin, _tin_opener)[make]
    most = rng.choice([1, 4], p=[0.7, 0.3])
    return sequence(
        rng,
        lambda _: can(rng, sample_rate),
        duration,
        sample_rate,
        (1, most),
        (0.1, 1.0),
    )


@sound("dishes clatter")
def dishes_clatter(rng, duration, sample_rate):
    """Plates, cups and cutlery touch: short bright rings in clumps."""
    n = n_samples(duration, sample_rate)
    things = [
        struck.blow(
            rng, sample_rate, material, rng.uniform(0.6, 1.6), 10000, 0.4
        )
        for material in rng.choice(
            ["ceramic", "glass", "metal", "tin"], 9, p=[0.55, 0.15, 0.2, 0.1]
        )
    ]
    clumps = poisson_times(rng, rng.uniform(0.8, 4), duration)
    times = [t + rng.exponential(0.08, rng.integers(1, 8)) for t in clumps]
    times = np.concatenate([[rng.uniform(0, 0.3 * duration)], *times])
    sig = struck.clatter(rng, things, times, n, sample_rate, 0.7)
    if rng.random() < 0.4:  # stacked, or slid over the table
        slide = struck.scrape(rng, n, sample_rate, 900, 7000, 50)
        moved = np.clip(wander(rng, n, sample_rate, 3) - 0.5, 0, None)
        sig += rng.uniform(0.02, 0.2) * slide * moved
    return sig


@sound("cutlery")
def cutlery(rng, duration, sample_rate):
    """Forks, knives and spoons: slim steel that chinks, sorted, or on a plate."""
    n = n_samples(duration, sample_rate)
    bars = np.array([1, 2.76, 5.4, 8.93])
    held = log_uniform(rng, 0.06, 0.7)  # a hand or a heap damps them

    def piece():
        low = log_uniform(rng, 700, 2800)
        freqs, decays, amps = struck.thing(rng, "metal", 1.0, held)
        freqs = np.concatenate([freqs, low * bars])
        decays = np.concatenate([decays, held * bars**-0.5])
        amps = np.concatenate([amps, rng.uniform(0.3, 1.2, 4)])
        return struck.hit(rng, 0.5, sample_rate, (freqs, decays, amps), 14000)

    pieces = [piece() for _ in range(6)]
    style = rng.choice(
        ["sorting", "drawer", "plate", "one"], p=[0.4, 0.2, 0.25, 0.15]
    )
    if style == "one":
        times, gains = struck.bounces(rng, rng.uniform(0.1, 0.3), 0.6, 1.5)
        fall = scatter(
            times, pieces, n_samples(1.6, sample_rate), sample_rate, gains
        )
        return sequence(
            rng, lambda _: fall, duration, sample_rate, (1, 3), (0.3, 1.5)
        )
    rate = log_uniform(rng, 1, 5) * (3 if style == "drawer" else 1)
    clumps = poisson_times(rng, rate, duration)
    times = [t + rng.exponential(0.05, rng.integers(1, 6)) for t in clumps]
    times = np.concatenate([[rng.uniform(0, 0.3)], *times])
    sig = struck.clatter(rng, pieces, times, n, sample_rate, 0.8)
    if style == "drawer":
        sig *= 0.1 + np.clip(wander(rng, n, sample_rate, 2), 0, 2)
    if style == "plate":  # blades scrape and tap on china
        plate = struck.thing(rng, "ceramic", 1.0, 0.3)
        rub = struck.scrape(
            rng, n, sample_rate, 2000, 9000, rng.uniform(20, 150)
        )
        rub *= np.clip(wander(rng, n, sample_rate, rng.uniform(2, 6)), 0, None)
        rub = normalise(rub) + normalise(modes(n, sample_rate, *plate, rub))
        china = [struck.hit(rng, 0.3, sample_rate, plate, 9000)]
        sig += rng.uniform(0.05, 0.4) * rub
        sig += struck.clatter(rng, china, times[::2], n, sample_rate, 0.5)
    return sig


@sound("glasses clink")
def glasses_clink(rng, duration, sample_rate):
    """Two glasses touch and ring on: a toast, or a spoon that asks for silence.

    Every rim's modes are split a little and beat; what is in the glass, and the
    hand that holds it, damp it.
    """
    full = log_uniform(rng, 0.12, 0.8)

    def glass():
        freqs, decays, amps = struck.thing(
            rng, "glass", rng.uniform(0.7, 1.6), full
        )
        freqs = np.concatenate([freqs, freqs * (1 + rng.uniform(0.001, 0.004))])
        return freqs, np.tile(decays, 2), np.tile(amps, 2)

    def clink():
        sig = rng.uniform(0.3, 1) * struck.hit(
            rng, 0.9, sample_rate, glass(), log_uniform(rng, 5e3, 15e3)
        )
        return sig + struck.hit(rng, 0.9, sample_rate, glass(), 12000)

    clinks = [clink() for _ in range(3)]
    style = rng.choice(["toast", "single", "spoon"], p=[0.5, 0.35, 0.15])
    if style == "spoon":
        times = regular_times(rng, log_uniform(rng, 0.13, 0.4), duration, 0.06)
        times = times[: rng.integers(4, 16)]
        return struck.clatter(
            rng,
            clinks[:1],
            times,
            n_samples(duration, sample_rate),
            sample_rate,
            0.3,
        )

    def toast(_):
        times = np.zeros(1)
        if style == "toast":
            times = np.cumsum(rng.exponential(0.15, rng.integers(1, 7)))
        touch = times[rng.random(len(times)) < 0.3] + rng.uniform(0.01, 0.06)
        n = n_samples(times[-1] + 0.9, sample_rate)
        return struck.clatter(
            rng, clinks, [*times, *touch], n, sample_rate, 0.5
        )

    return sequence(rng, toast, duration, sample_rate, (1, 5), (0.05, 1.5))


@sound("frying")
def frying(rng, duration, sample_rate):
    """Water bursts in hot fat: dense tiny crackles over a bright hiss.

    Food may be laid in, then the sizzle leaps up; now and then fat spits, or a
    spatula scrapes the pan.
    """
    n = n_samples(duration, sample_rate)
    out = struck.hiss(rng, n, sample_rate, log_uniform(rng, 1500, 5000), 14000)
    out *= log_uniform(rng, 0.01, 0.2)
    fine, spit = log_uniform(rng, 300, 4000), log_uniform(rng, 8, 80)
    for spread, rate in ((0.4, fine), (1.0, spit)):
        spits = poisson_times(rng, rate, duration)
        spits = pulses(rng, spits, n, sample_rate, spread)
        out += struck.soften(spits, sample_rate, rng.uniform(800, 3500), None)
    out *= np.exp(rng.uniform(0.1, 0.5) * wander(rng, n, sample_rate, 2))
    if rng.random() < 0.3:
        t = np.arange(n) / sample_rate - rng.uniform(0.1, 0.5) * duration
        later = np.exp(-np.maximum(t, 0) / rng.uniform(1, 6))
        sizzle = 1 / (1 + np.exp(-t / log_uniform(rng, 0.01, 0.15)))
        out *= rng.uniform(0.02, 0.4) + sizzle * (0.4 + 2 * later)
    if rng.random() < 0.3:
        pan = struck.thing(rng, "tin", 0.7, 0.2)
        scrape = struck.scrape(rng, n, sample_rate, 800, 6000, 60)
        scrape *= np.clip(wander(rng, n, sample_rate, 2.5) - 0.6, 0, None)
        scrape = normalise(modes(n, sample_rate, *pan, scrape))
        out += rng.uniform(0.2, 1) * np.std(out) * 3 * scrape
    return out


# --- small things: keys, coins, scissors, balls ------------------------------


@sound("keys jangling")
def keys_jangling(rng, duration, sample_rate):
    """A bunch of keys shaken, carried, or put into a lock: dense bright rings."""
    n = n_samples(duration, sample_rate)
    size = rng.uniform(0.35, 0.9)
    damped = log_uniform(rng, 0.04, 0.25)
    keys = [
        struck.hit(
            rng,
            0.25,
            sample_rate,
            struck.thing(rng, "metal", size, damped),
            15000,
        )
        for _ in range(8)
    ]
    t = np.arange(n) / sample_rate
    style = rng.choice(["shake", "fidget", "lock"], p=[0.4, 0.4, 0.2])
    if style == "shake":
        rate = rng.uniform(1.5, 6) * (1 + 0.15 * wander(rng, n, sample_rate, 1))
        move = np.clip(tone(rate, sample_rate), 0, 1) ** rng.uniform(0.3, 2)
    else:
        rest = rng.uniform(-0.5, 0.7)
        move = np.clip(
            wander(rng, n, sample_rate, rng.uniform(1, 5)) + rest, 0, None
        )
    times = poisson_times(rng, log_uniform(rng, 25, 110), duration)
    chance = move[np.minimum((times * sample_rate).astype(int), n - 1)]
    times = times[rng.random(len(times)) < chance]
    times = np.append(times, rng.uniform(0, 0.3))
    sig = struck.clatter(rng, keys, times, n, sample_rate, 0.7)
    if style == "lock":
        turn = duration * rng.uniform(0.3, 0.7)
        slide = (
            turn
            - rng.uniform(0.1, 0.4)
            + np.cumsum(rng.uniform(0.01, 0.03, rng.integers(4, 9)))
        )
        pins = [
            struck.click(rng, sample_rate, 1200, 7000, 0.008) for _ in range(3)
        ]
        sig[t > turn] *= rng.uniform(0, 0.4)
        sig += struck.clatter(rng, pins, slide, n, sample_rate, 0.3)
        bolt = [1.5 * struck.latch(rng, sample_rate)]
        sig += scatter([turn + 0.3], bolt, n, sample_rate)
    elif rng.random() < 0.25:  # thrown on a table
        drop = [struck.blow(rng, sample_rate, "wood", 1.0, 5000, 0.3)]
        at = duration * rng.uniform(0.4, 0.9)
        sig[t > at + 0.15] = 0
        fall = at + rng.exponential(0.04, 12)
        sig += scatter([at], drop, n, sample_rate)
        sig += struck.clatter(rng, keys, fall, n, sample_rate, 0.5)
    return sig


@sound("coins")
def coins(rng, duration, sample_rate):
    """Small discs: dropped, they bounce and spin ever faster; or counted, shaken."""
    n = n_samples(duration, sample_rate)
    free = log_uniform(rng, 0.08, 0.6)  # in a hand they ring short

    def coin():
        low = log_uniform(rng, 2500, 6500)
        ratio = np.array([1, 1.73, 2.33, 3.9]) * rng.uniform(0.95, 1.05, 4)
        decays = free * ratio**-0.5 * rng.uniform(0.5, 1.2, 4)
        body = low * ratio, decays, rng.uniform(0.2, 1, 4)
        return struck.hit(
            rng, min(free, 0.5) + 0.05, sample_rate, body, 16000, 0.001
        )

    discs = [coin() for _ in range(6)]
    table = struck.blow(rng, sample_rate, "wood", 0.7, 5000, 0.2)
    knock = rng.uniform(0, 0.5)

    def drop(i):
        seconds = rng.uniform(0.8, 2.2)
        times, gains = struck.bounces(
            rng, rng.uniform(0.08, 0.3), rng.uniform(0.4, 0.75), seconds
        )
        m = n_samples(seconds, sample_rate)
        disc = discs[i % 6].copy()
        disc[: len(table)] += knock * table[: len(disc)]
        sig = scatter(times, [disc], m, sample_rate, gains)
        if rng.random() < 0.6:  # it wobbles on its edge
            rate = np.geomspace(rng.uniform(6, 15), rng.uniform(30, 80), m)
            turns = struck.slips(rng, rate, sample_rate, 0.05)
            turns = turns[turns > min(times[-1], 0.4)]
            fade = np.clip(1 - turns / (0.9 * seconds), 0, 1) ** 1.5
            sig += scatter(turns, [disc], m, sample_rate, 0.6 * fade)
        return sig

    style = rng.choice(
        ["drop", "count", "shake", "pour"], p=[0.4, 0.2, 0.25, 0.15]
    )
    if style == "drop":
        return sequence(rng, drop, duration, sample_rate, (1, 4), (0.02, 0.8))
    if style == "count":
        times = regular_times(rng, log_uniform(rng, 0.15, 0.7), duration, 0.12)
        times = np.append(times, times + rng.uniform(0.02, 0.06))
    else:
        times = poisson_times(rng, log_uniform(rng, 15, 100), duration)
        times = np.append(times, rng.uniform(0, 0.2))
    sig = struck.clatter(rng, discs, times, n, sample_rate, 0.6)
    if style == "shake":
        rate = rng.uniform(1.5, 6)
        sig *= np.clip(tone(rate, sample_rate, n, rng.uniform()) + 0.3, 0.03, 1)
    elif style == "pour":
        sig *= contour([0.3, 1, 0.7, 0.02], n, [0, 0.3, 0.6, 1])
    return sig


@sound("scissors")
def scissors(rng, duration, sample_rate):
    """Blades open with a swish and shear shut with a rising rasp and a snap."""
    low = log_uniform(rng, 2000, 5000)
    metal = struck.thing(rng, "metal", 0.6, log_uniform(rng, 0.03, 0.2))
    period = log_uniform(rng, 0.14, 1.0)
    paper = rng.choice([0.0, log_uniform(rng, 0.1, 1.0)])
    clack = rng.uniform(0, 1)
    keen = log_uniform(rng, 0.1, 1.0)

    def stroke(n, start, end):
        """Noise through a resonance that climbs or falls."""
        centre = low * contour([start, end], n)
        carrier = tone(centre, sample_rate) * struck.hiss(
            rng, n, sample_rate, 50, 1500
        )
        return normalise(
            carrier + 0.4 * struck.scrape(rng, n, sample_rate, low, 14000, 80)
        )

    def snip():
        n = n_samples(period * rng.uniform(0.85, 1.2) + 0.2, sample_rate)
        m = n_samples(0.4 * period * rng.uniform(0.7, 1.2), sample_rate)
        swish = stroke(m, 1.3, 0.9) * swell(m, sample_rate, 0.02, 0.4 * period)
        shear = stroke(m, 0.8, 1.6) * contour([0.1, 0.5, 1.0], m)
        rate = contour([60, 200], m)
        notches = pulses(
            rng, struck.slips(rng, rate, sample_rate, 0.4), m, sample_rate, 0.8
        )
        shear += keen * normalise(modes(m, sample_rate, *metal, notches))
        if paper:
            bits = poisson_times(rng, 900, m / sample_rate)
            bits = pulses(rng, bits, m, sample_rate, 1.0)
            shear += paper * normalise(
                struck.soften(bits, sample_rate, 900, 9000)
            )
        shear *= swell(m, sample_rate, 0.02, 0.004)
        shut = struck.hit(rng, 0.2, sample_rate, metal, 14000)
        shut[: n_samples(0.05, sample_rate)] += rng.uniform(
            0, 0.5
        ) * struck.hit(
            rng,
            0.05,
            sample_rate,
            struck.thing(rng, "plastic", 0.8, 0.05),
            5000,
        )
        at = 0.45 * period
        times = [0, at, at + m / sample_rate]
        grains = [rng.uniform(0.05, 0.4) * swish, shear, clack * shut]
        return scatter(times, grains, n, sample_rate)[
            : n_samples(period + 0.1, sample_rate)
        ]

    snips = [snip() for _ in range(4)]
    return sequence(
        rng,
        lambda i: snips[i % 4],
        duration,
        sample_rate,
        (2, 25),
        (0.01, 0.4),
        0.2,
    )


@sound("ball bouncing")
def ball_bouncing(rng, duration, sample_rate):
    """A ball hits the floor: dribbled evenly, or let go and ever quicker.

    A basketball booms and pings, a tennis ball pocks, a table tennis ball ticks.
    """
    n = n_samples(duration, sample_rate)
    kind = rng.choice(["big", "tennis", "small"], p=[0.5, 0.25, 0.25])
    low, decay, hard = {
        "big": (log_uniform(rng, 60, 180), 0.12, 1500),
        "tennis": (log_uniform(rng, 150, 500), 0.06, 4000),
        "small": (log_uniform(rng, 800, 3500), 0.02, 12000),
    }[kind]
    ring = decay * rng.uniform(0.6, 1.6)
    body = struck_body(rng, low, 5 * low, 7, ring, 0.6)
    air = log_uniform(rng, 450, 1100) if kind == "big" else low * 3.1
    ping = (
        air * np.array([1, 1.6, 2.2]),
        decay * np.array([2, 1.5, 1]),
        np.ones(3),
    )
    pings = log_uniform(rng, 0.03, 0.5)

    def bounce(strength):
        sig = struck.hit(rng, 0.4, sample_rate, body, hard * strength, 0.004)
        slap = struck.click(rng, sample_rate, 600, 4000, 0.012)
        sig[: len(slap)] += 0.2 * strength * slap[: len(sig)]
        return sig + pings * struck.hit(rng, 0.4, sample_rate, ping, 4000)

    thumps = [bounce(rng.uniform(0.6, 1.2)) for _ in range(4)]
    if rng.random() < 0.5:
        period = log_uniform(rng, 0.25, 0.9)
        times = regular_times(rng, period, duration, 0.07, rng.uniform(0, 0.4))
        times = np.append(times[: rng.integers(2, 25)], rng.uniform(0, 0.3))
        return struck.clatter(rng, thumps, times, n, sample_rate, 0.25)

    def drop(_):
        times, gains = struck.bounces(
            rng, rng.uniform(0.3, 0.9), rng.uniform(0.6, 0.9), duration
        )
        m = n_samples(times[-1] + 0.4, sample_rate)
        return scatter(times, thumps, m, sample_rate, gains)

    return sequence(rng, drop, duration, sample_rate, (1, 2), (0.2, 1.0))


@sound("object dropped")
def object_dropped(rng, duration, sample_rate):
    """Something falls on the floor, bounces, rolls or spills; or a box is opened."""
    box = rng.random() < 0.35
    made_of = rng.choice(
        ["wood", "plastic", "tin", "board", "metal", "ceramic"]
    )
    floor = struck.thing(rng, "board", 1.0, 0.3)
    thing = struck.thing(rng, made_of, rng.uniform(0.6, 2), 0.3)
    heavy = log_uniform(rng, 0.2, 2)
    parts = [
        struck.blow(rng, sample_rate, made_of, 0.6, 9000, 0.2) for _ in range(4)
    ]
    flap = struck.thing(rng, "board", 0.5, 0.05)

    def fall(_):
        times, gains = struck.bounces(
            rng, rng.uniform(0.06, 0.4), rng.uniform(0.2, 0.65), 1.5
        )
        n = n_samples(times[-1] + 1.0, sample_rate)

        def land():
            freqs, decays, amps = thing
            amps = amps * np.exp(0.6 * rng.standard_normal(len(amps)))
            sig = struck.hit(rng, 0.4, sample_rate, (freqs, decays, amps), 8000)
            return sig + heavy * struck.hit(
                rng, 0.4, sample_rate, floor, 1200, 0.006
            )

        lands = [land() for _ in range(2)]
        sig = scatter(times, lands, n, sample_rate, gains)
        if rng.random() < 0.3:  # what was in it spills
            spilt = rng.exponential(0.25, rng.integers(4, 20))
            sig += rng.uniform(0.1, 0.6) * struck.clatter(
                rng, parts, spilt, n, sample_rate, 0.7
            )
        return sig

    def unpack(_):
        n = n_samples(rng.uniform(0.6, 1.6), sample_rate)
        rub = struck.scrape(
            rng, n, sample_rate, 200, rng.uniform(2000, 7000), 30
        )
        rub *= np.clip(wander(rng, n, sample_rate, 5), 0, None)
        crackle = poisson_times(rng, log_uniform(rng, 30, 300), n / sample_rate)
        crackle = pulses(rng, crackle, n, sample_rate, 1.2)
        crackle = normalise(modes(n, sample_rate, *flap, crackle))
        sig = 0.3 * normalise(rub) + rng.uniform(0.3, 1) * crackle
        if rng.random() < 0.4:  # tape is pulled off
            m = n_samples(rng.uniform(0.2, 0.7), sample_rate)
            rate = log_uniform(rng, 80, 300) * contour([0.6, 1.4, 1.0], m)
            rip = pulses(
                rng,
                struck.slips(rng, rate, sample_rate, 0.5),
                m,
                sample_rate,
                0.6,
            )
            rip = normalise(struck.soften(rip, sample_rate, 1200, 9000))
            sig += scatter([0.1], [rip], n, sample_rate)
        return sig * swell(n, sample_rate, 0.05, 0.1)

    def either(i):
        return unpack(i) if box and rng.random() < 0.75 else fall(i)

    return sequence(rng, either, duration, sample_rate, (1, 4), (0.1, 1.5), 0.4)


@sound("squeak")
def squeak(rng, duration, sample_rate):
    """Short strong pitches: a dry hinge, a rubber toy, soles on a floor, a wipe.

    Each glides in its own way; a toy's reed answers again when air flows back.
    """
    style = rng.choice(["hinge", "toy", "shoe", "wipe", "wheel"])
    low, high = {
        "hinge": (350, 2200),
        "toy": (500, 2600),
        "shoe": (900, 3500),
        "wipe": (500, 2200),
        "wheel": (700, 3800),
    }[style]
    base = log_uniform(rng, low, high)
    shortest, longest = {
        "toy": (0.08, 0.45),
        "shoe": (0.04, 0.2),
        "wheel": (0.08, 0.3),
    }.get(style, (0.15, 0.7))
    body = log_uniform(rng, 700, 2500) * np.array([1, 1.7, 2.9, 4.3])
    bend = rng.uniform(0.05, 0.5)
    air = rng.uniform(0, 0.3)

    def chirp(up):
        n = n_samples(log_uniform(rng, shortest, longest), sample_rate)
        bow = {"toy": [-1, 1, 0.6, -1], "shoe": [-0.5, 1.0]}.get(
            style, rng.uniform(-1, 1, 4)
        )
        pitch = base * up * rng.uniform(0.94, 1.06)
        pitch = pitch * 2.0 ** (bend * contour(bow, n))
        sig = struck.squeal(rng, pitch, sample_rate, body)
        sig += air * struck.hiss(rng, n, sample_rate, 1500, 9000) * 0.2
        return sig * swell(n, sample_rate, 0.012, rng.uniform(0.015, 0.08))

    reply = rng.uniform(0.7, 1.3)
    paired = style in ("toy", "hinge", "wipe") and rng.random() < 0.7

    def event(_):
        if not paired:
            return chirp(1.0)
        pause = np.zeros(n_samples(rng.uniform(0.02, 0.2), sample_rate))
        again = rng.uniform(0.3, 1) * chirp(reply)
        return np.concatenate([chirp(1.0), pause, again])

    gap = {"shoe": (0.05, 0.9), "wheel": (0.1, 0.7)}.get(style, (0.06, 1.2))
    return sequence(rng, event, duration, sample_rate, (1, 14), gap, 0.3)


# --- glass, paper, cloth -----------------------------------------------------


@sound("glass breaking")
def glass_breaking(rng, duration, sample_rate):
    """A blow, a dense shatter, then shards that fall and skip, each ringing."""
    size = log_uniform(rng, 0.5, 1.6)  # small things ring higher
    shards = [
        struck.blow(
            rng,
            sample_rate,
            "glass",
            size * log_uniform(rng, 0.4, 1.3),
            14000,
            log_uniform(rng, 0.04, 0.4),
        )
        for _ in range(14)
    ]
    pane = rng.random() < 0.4
    fall = log_uniform(rng, 0.08, 0.9)
    dense = log_uniform(rng, 20, 200)
    late = rng.uniform(0.1, 0.7) if pane else 0.0  # they drop from a frame
    sheet = struck.thing(rng, "glass", rng.uniform(3, 7), 0.4)

    def smash(_):
        n = n_samples(min(fall * 3 + late + 0.6, 4.0), sample_rate)
        burst = struck.hiss(
            rng, n, sample_rate, log_uniform(rng, 400, 4000), 15000
        )
        burst *= percussive(n, sample_rate, 0.001, log_uniform(rng, 0.05, 0.6))
        sig = rng.uniform(0.1, 0.9) * normalise(burst)
        thud = struck.blow(rng, sample_rate, "board", 1.0, 2500, 0.3)
        sig[: len(thud)] += log_uniform(rng, 0.02, 0.6) * thud[:n]
        if pane:  # a window: low modes of the sheet too
            blow = struck.hit(rng, 0.6, sample_rate, sheet, 6000)
            sig[: len(blow)] += rng.uniform(0.2, 0.8) * blow[:n]
        first = rng.exponential(fall * 0.12, int(dense * 0.6) + 3)
        second = late + rng.exponential(fall, int(dense * 0.5) + 3)
        # Some skip on, closer and closer together.
        skip = rng.choice(second, len(second) // 3 + 1)
        hop = rng.uniform(0.02, 0.12, len(skip))
        times = np.concatenate([first, second, skip + hop, skip + 1.6 * hop])
        gains = np.exp(
            0.8 * rng.standard_normal(len(times))
            - np.minimum(0.6 * times / fall, 4)
        )
        pick = rng.integers(0, len(shards), len(times))
        rain = scatter(times, lambda i: shards[pick[i]], n, sample_rate, gains)
        return sig + rng.uniform(0.8, 2.0) * normalise(rain)

    most = rng.choice([1, 3], p=[0.75, 0.25])
    return sequence(rng, smash, duration, sample_rate, (1, most), (0.05, 1.0))


@sound("paper rustling")
def paper_rustling(rng, duration, sample_rate):
    """Sheets buckle: handled, crumpled, turned page by page, or torn."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["handle", "crumple", "pages", "tear"], p=[0.35, 0.25, 0.25, 0.15]
    )
    rate = log_uniform(rng, 60, 800) * (2 if style == "crumple" else 1)
    crackle = poisson_times(rng, rate, duration)
    crackle = pulses(rng, crackle, n, sample_rate, rng.uniform(0.9, 1.6))
    sheet = struck_body(rng, log_uniform(rng, 400, 1500), 10000, 12, 0.012, 0.1)
    crackle = normalise(modes(n, sample_rate, *sheet, crackle))
    hiss = struck.hiss(rng, n, sample_rate, log_uniform(rng, 700, 2500), 11000)
    sig = crackle + log_uniform(rng, 0.01, 0.1) * hiss
    if style in ("handle", "crumple"):
        moves = wander(rng, n, sample_rate, rng.uniform(1.5, 6))
        moves = np.clip(moves + 0.4 * (style == "crumple"), 0, None)
        return sig * (0.03 + moves**1.5)
    moves = np.zeros(n)
    if style == "pages":
        turns = regular_times(rng, log_uniform(rng, 0.4, 2), duration, 0.2)
        for turn in turns:  # lifted, swung over with a swish, laid down
            m = n_samples(rng.uniform(0.25, 0.7), sample_rate)
            shape = contour([0, rng.uniform(0.2, 1), 0.3, 1, 0], m)
            moves += scatter([turn], [shape], n, sample_rate)
        return sig * (0.01 + moves)
    rip = np.zeros(n)
    for start in regular_times(rng, rng.uniform(0.6, 2.5), duration, 0.2):
        m = n_samples(rng.uniform(0.2, 1.1), sample_rate)
        speed = contour([0.5, 1, rng.uniform(0.8, 2)], m)
        force = pulses(
            rng,
            struck.slips(rng, 350 * speed, sample_rate, 0.6),
            m,
            sample_rate,
            0.7,
        )
        torn = normalise(modes(m, sample_rate, *sheet, force)) * speed
        torn *= swell(m, sample_rate, 0.05, 0.02)
        rip += scatter([start], [torn], n, sample_rate)
    return rip + 0.1 * sig * np.clip(wander(rng, n, sample_rate, 3), 0, None)


@sound("zipper")
def zipper(rng, duration, sample_rate):
    """A slider passes 40-500 teeth a second: a buzz that climbs and slows."""
    low = log_uniform(rng, 700, 2500)
    teeth = struck_body(rng, low, 12000, 10, log_uniform(rng, 0.006, 0.02), 0.1)
    fine = log_uniform(rng, 60, 400)
    cloth = log_uniform(rng, 0.03, 0.4)

    def make(_):
        n = n_samples(log_uniform(rng, 0.15, 1.5), sample_rate)
        speed = contour([0.4, *rng.uniform(0.7, 1.8, 3), 0.6], n)
        force = struck.slips(
            rng, fine * speed, sample_rate, rng.uniform(0.02, 0.2)
        )
        force = pulses(rng, force, n, sample_rate, 0.4)
        sig = normalise(modes(n, sample_rate, *teeth, force))
        sig += cloth * struck.scrape(rng, n, sample_rate, 1500, 10000, 50)
        sig *= speed * swell(n, sample_rate, 0.04, 0.03)
        if rng.random() < 0.5:  # it hits the end
            stop = struck.click(rng, sample_rate, 1200, 7000, 0.01)
            sig = np.append(sig, rng.uniform(0.1, 0.8) * stop)
        return sig

    return sequence(rng, make, duration, sample_rate, (1, 6), (0.05, 1.0))
