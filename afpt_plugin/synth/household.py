"""Sounds of things at home: doors, clocks, keys, motors, glass and paper.

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
    poisson_times,
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


def _hit(rng, seconds, sample_rate, body, hard=6000.0, contact=0.002):
    """One blow on a body: a contact of some length, coloured by hardness."""
    n = n_samples(seconds, sample_rate)
    strike = pulses(rng, np.array([0.0005]), n, sample_rate)
    strike += (
        0.1
        * noise(rng, n)
        * percussive(n, sample_rate, contact / 4, contact * 3)
    )
    strike = band(strike, sample_rate, 0, hard, 1)
    return normalise(modes(n, sample_rate, *body, strike))


def _click(rng, sample_rate, low, high, decay):
    """A tiny plastic or metal snap: bright modes over a burst of noise."""
    n = n_samples(6 * decay, sample_rate)
    burst = band_noise(rng, n, sample_rate, low, high, 1)
    burst *= percussive(n, sample_rate, 0.0003, decay * rng.uniform(0.5, 1.5))
    ring = modes(
        n, sample_rate, *struck_body(rng, low, high, 6, decay * 2, 0.2)
    )
    sig = normalise(burst) + rng.uniform(0.2, 1.2) * normalise(ring)
    return band(np.pad(sig, (0, n)), sample_rate, 0.6 * low)


# --- doors -------------------------------------------------------------------


@sound("door wood knock")
def door_wood_knock(rng, duration, sample_rate):
    """Knuckles or a fist on a panel: groups of 2-8 dull wooden blows."""
    low = log_uniform(rng, 70, 320)
    panel = struck_body(
        rng,
        low,
        low * rng.uniform(6, 16),
        rng.integers(6, 14),
        log_uniform(rng, 0.04, 0.25),
        rng.uniform(0.2, 1.2),
    )
    hard = log_uniform(rng, 500, 5000)
    contact = log_uniform(rng, 0.001, 0.012)
    period = log_uniform(rng, 0.11, 0.45)
    click = rng.uniform(0, 0.35)
    rattle = rng.choice([0.0, rng.uniform(0.05, 0.3)], p=[0.7, 0.3])

    def knock(_):
        freqs, decays, amps = panel
        amps = amps * np.exp(0.3 * rng.standard_normal(len(amps)))
        sig = _hit(rng, 0.5, sample_rate, (freqs, decays, amps), hard, contact)
        snap = _click(rng, sample_rate, 900, 5000, 0.008)
        sig[: len(snap)] += click * snap
        if rattle:  # lock and hinges shake after the blow
            times = rng.uniform(0.005, 0.12, 6)
            ring = struck_body(rng, 1500, 6000, 4, 0.03, 0)
            loose = pulses(rng, times, len(sig), sample_rate, 0.7)
            sig += rattle * normalise(
                modes(len(sig), sample_rate, *ring, loose)
            )
        return sig

    usual = rng.integers(2, 7)

    def group(_):
        count = max(usual + rng.integers(-1, 2), 1)
        times = regular_times(rng, period, count * period - 1e-6, 0.07)
        gains = np.exp(0.15 * rng.standard_normal(len(times)))
        n = n_samples(count * period + 0.3, sample_rate)
        return scatter(times, knock, n, sample_rate, gains)

    return sequence(rng, group, duration, sample_rate, (1, 4), (0.2, 1.5), 0.2)


@sound("door wood creaks")
def door_wood_creaks(rng, duration, sample_rate):
    """Hinges stick and slip: 15-400 clicks a second that excite the door.

    The rate glides with the door's speed, stalls and starts again; fast slips
    fuse into a groan or a squeal with harmonics.
    """
    style = rng.choice(["creak", "groan", "squeal"], p=[0.5, 0.25, 0.25])
    base = {
        "creak": log_uniform(rng, 15, 90),
        "groan": log_uniform(rng, 60, 220),
        "squeal": log_uniform(rng, 220, 900),
    }[style]
    wide = rng.uniform(1.2, 4.0 if style == "creak" else 2.2)
    low = log_uniform(rng, 180, 900)
    door = struck_body(
        rng,
        low,
        low * rng.uniform(6, 18),
        rng.integers(8, 20),
        log_uniform(rng, 0.008, 0.08),
        rng.uniform(-0.2, 0.8),
    )
    rough = rng.uniform(0.02, 0.3) if style != "squeal" else 0.02
    air = rng.uniform(0, 0.05)

    def creak(_):
        seconds = log_uniform(rng, 0.25, 2.6)
        n = n_samples(seconds, sample_rate)
        ends = rng.uniform(-1, 1, rng.integers(3, 7))
        rate = base * wide ** contour(ends, n)
        rate *= 1 + rough * wander(rng, n, sample_rate, rng.uniform(8, 40))
        cycles = phase(np.maximum(rate, 4), sample_rate)
        slips = np.flatnonzero(np.diff(np.floor(cycles))) / sample_rate
        slips = slips + rough * rng.standard_normal(len(slips)) / base * 0.5
        force = pulses(rng, slips, n, sample_rate, rng.uniform(0.05, 0.6))
        back = np.clip(slips + 0.3 / base, 0, seconds)
        force -= rng.uniform(0, 0.6) * pulses(rng, back, n, sample_rate, 0.3)
        sig = normalise(modes(n, sample_rate, *door, force))
        if style == "squeal":  # the hinge pin sings at its own pitch
            sing = saw(np.maximum(rate, 4), sample_rate)
            centre = low * rng.uniform(1.5, 5, 3)
            sig += rng.uniform(0.2, 1.5) * normalise(
                resonate(sing, sample_rate, centre, centre * 0.15)
            )
        sig += air * noise(rng, n, 0.5) * contour([0, 1, 0], n)
        press = contour(np.exp(rng.uniform(-1.6, 0.3, 6)), n)
        stalls = np.clip(
            1.5 + 1.5 * wander(rng, n, sample_rate, rng.uniform(2, 9)), 0, 1
        )
        if rng.random() < 0.5:
            press *= stalls
        return sig * press * swell(n, sample_rate, 0.04, 0.12)

    sig = sequence(rng, creak, duration, sample_rate, (1, 6), (0.03, 0.8), 0.4)
    if rng.random() < 0.25:  # it falls shut
        thud = _hit(
            rng, 0.5, sample_rate, struck_body(rng, 60, 900, 9, 0.2, 0.7)
        )
        latch = _click(rng, sample_rate, 800, 5000, 0.02)
        thud[: len(latch)] += 0.4 * latch
        at = rng.uniform(0.5, 0.95) * duration
        sig += scatter(
            [at], [thud], len(sig), sample_rate, [rng.uniform(0.5, 2.5)]
        )
    return sig


@sound("drawer")
def drawer(rng, duration, sample_rate):
    """Wood rolls or slides on its rails, then hits the stop."""

    def make(_):
        seconds = rng.uniform(0.3, 1.0)
        n = n_samples(seconds, sample_rate)
        roll = band_noise(rng, n, sample_rate, 120, rng.uniform(1500, 5000), 1)
        roll *= np.abs(1 + wander(rng, n, sample_rate, rng.uniform(15, 60)))
        roll *= swell(n, sample_rate, 0.2, 0.05) * 0.3
        stop = _hit(rng, 0.4, sample_rate, struck_body(rng, 90, 2500, 10, 0.12))
        return np.concatenate([roll, stop])

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.2, 1.2))


# --- keys and clicks ---------------------------------------------------------


@sound("mouse click")
def mouse_click(rng, duration, sample_rate):
    """A snap when the button goes down, a lighter one 40-200 ms later."""
    low = log_uniform(rng, 800, 2800)
    high = low * rng.uniform(2, 5)
    decay = log_uniform(rng, 0.002, 0.012)
    hold = log_uniform(rng, 0.04, 0.18)
    lighter = rng.uniform(0.3, 1.1)
    thump = rng.uniform(0, 0.5)
    double = rng.random() < 0.3
    down = [_click(rng, sample_rate, low, high, decay) for _ in range(3)]
    up = [
        _click(rng, sample_rate, low * 1.2, high * 1.2, decay * 0.8)
        for _ in range(3)
    ]
    desk = _hit(
        rng, 0.08, sample_rate, struck_body(rng, 150, 700, 5, 0.04), 1500
    )

    def press(_):
        n = n_samples(0.6, sample_rate)
        times = [0.0, hold * rng.uniform(0.85, 1.15)]
        grains = [down[rng.integers(3)], up[rng.integers(3)]]
        gains = [1.0, lighter * rng.uniform(0.8, 1.2)]
        sig = scatter(times, grains, n, sample_rate, gains)
        sig[: len(desk)] += thump * desk
        if double:
            again = n_samples(hold + rng.uniform(0.08, 0.16), sample_rate)
            sig[again:] += sig[: n - again] * rng.uniform(0.7, 1.1)
        return sig[: n_samples(hold * 1.2 + 0.3 * double + 0.05, sample_rate)]

    many = rng.choice([2, 5, 20])
    return sequence(
        rng, press, duration, sample_rate, (1, many), (0.04, 1.5), 0.15
    )


@sound("keyboard typing")
def keyboard_typing(rng, duration, sample_rate):
    """Keys at 3-14 a second: snap, bottom thump, quieter release."""
    n = n_samples(duration, sample_rate)
    typewriter = rng.random() < 0.12
    low = log_uniform(rng, 700, 2500)
    high = low * rng.uniform(2, 5)
    decay = log_uniform(rng, 0.002, 0.015) * (2 if typewriter else 1)
    thud_level = log_uniform(rng, 0.1, 1.5)
    case = log_uniform(rng, 120, 500)
    release = rng.uniform(0.05, 0.6)

    def key(pitch):
        sig = np.zeros(n_samples(0.25, sample_rate))
        thud = _hit(
            rng,
            0.1,
            sample_rate,
            struck_body(rng, case * pitch, case * 6, 6, 0.05, 0.6),
            2500,
        )
        snap = _click(rng, sample_rate, low * pitch, high * pitch, decay)
        gap = rng.uniform(0.05, 0.11)
        lift = _click(rng, sample_rate, low * 1.2, high * 1.2, decay * 0.7)
        return scatter(
            [0.0, rng.uniform(0.001, 0.012), gap],
            [snap, thud_level * thud, release * lift],
            len(sig),
            sample_rate,
        )

    keys = [key(rng.uniform(0.85, 1.2)) for _ in range(10)] + [key(0.65)]
    rate = log_uniform(rng, 3, 13)
    gaps = rng.gamma(3.0, 1 / (3.0 * rate), int(duration * rate * 2) + 4)
    words = rng.random(len(gaps)) < rng.uniform(0.02, 0.2)
    gaps = gaps + words * rng.uniform(0.1, 0.7, len(gaps))
    times = np.cumsum(gaps) - gaps[0] * rng.uniform()
    times = times[times < duration]
    order = rng.integers(0, len(keys), len(times))
    gains = np.exp(0.3 * rng.standard_normal(len(times)))
    sig = scatter(times, lambda i: keys[order[i]], n, sample_rate, gains)
    if typewriter and rng.random() < 0.5:  # end of the line
        bell = _hit(
            rng,
            0.8,
            sample_rate,
            struck_body(rng, 2000, 7000, 4, 0.8, 0),
            12000,
        )
        sig += scatter([rng.uniform(0, duration)], [bell], n, sample_rate)
    return sig


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


@sound("can opening")
def can_opening(rng, duration, sample_rate):
    """Tab snaps, gas rushes out, the lid bends; foam crackles after it."""

    def can(_):
        n = n_samples(rng.uniform(1.2, 2.8), sample_rate)
        sig = np.zeros(n)
        start = rng.uniform(0.02, 0.3)
        if rng.random() < 0.5:  # nails look for the tab
            at = np.sort(rng.uniform(0, start, rng.integers(1, 5)))
            ticks = [_click(rng, sample_rate, 2500, 9000, 0.01)] * 2
            sig += rng.uniform(0.03, 0.25) * scatter(at, ticks, n, sample_rate)
        crack = _metal_snap(rng, sample_rate)
        sig += scatter([start], [crack], n, sample_rate)
        m = n - int(start * sample_rate)
        gas_low = log_uniform(rng, 1500, 5000)
        gas = band_noise(rng, m, sample_rate, gas_low, 14000, 1)
        centre = gas_low * rng.uniform(1.0, 2.2)
        gas = gas + resonate(gas, sample_rate, [centre], [centre * 0.5])
        length = log_uniform(rng, 0.08, 0.9)
        gas *= percussive(m, sample_rate, rng.uniform(0.002, 0.03), length)
        sig[n - m :] += log_uniform(rng, 0.1, 0.8) * gas
        bend = start + rng.uniform(0.12, 0.6)
        snap = _metal_snap(rng, sample_rate, log_uniform(rng, 500, 1600))
        sig += scatter([bend], [snap], n, sample_rate, [rng.uniform(0.2, 1.3)])
        pop = tone(
            log_uniform(rng, 250, 900),
            sample_rate,
            n_samples(0.05, sample_rate),
        )
        pop *= percussive(len(pop), sample_rate, 0.001, 0.05)
        sig += scatter(
            [start + 0.005], [pop], n, sample_rate, [rng.uniform(0, 0.5)]
        )
        if rng.random() < 0.6:  # foam: bubbles burst at the hole
            burst = pulses(
                rng,
                poisson_times(rng, log_uniform(rng, 80, 800), n / sample_rate),
                n,
                sample_rate,
                0.8,
            )
            burst = band(burst, sample_rate, 2500, 12000, 1)
            at = (bend + 0.1) * sample_rate / n
            shape = contour(
                [0, 0, 1, 0.3], n, [0, min(at, 0.8), min(at + 0.1, 0.9), 1]
            )
            sig += rng.uniform(0.05, 0.4) * burst * shape
        return sig

    most = rng.choice([1, 3], p=[0.75, 0.25])
    return sequence(rng, can, duration, sample_rate, (1, most), (0.1, 1.0))


@sound("dishes clatter")
def dishes_clatter(rng, duration, sample_rate):
    """Plates, cups and cutlery touch: short bright rings in clumps."""
    n = n_samples(duration, sample_rate)
    things = [
        _hit(
            rng,
            0.5,
            sample_rate,
            struck_body(
                rng,
                log_uniform(rng, 600, 3000),
                13000,
                8,
                log_uniform(rng, 0.05, 0.5),
                0.2,
            ),
            10000,
        )
        for _ in range(12)
    ]
    clumps = poisson_times(rng, rng.uniform(0.8, 4), duration)
    times = [t + rng.exponential(0.08, rng.integers(1, 8)) for t in clumps]
    times = np.concatenate([[rng.uniform(0, 1)], *times])
    order = rng.integers(0, len(things), len(times))
    gains = np.exp(0.7 * rng.standard_normal(len(times)))
    return scatter(times, lambda i: things[order[i]], n, sample_rate, gains)


@sound("frying")
def frying(rng, duration, sample_rate):
    """Water bursts in hot fat: dense tiny crackles over a bright hiss."""
    n = n_samples(duration, sample_rate)
    out = band_noise(rng, n, sample_rate, 2500, 12000, 1)
    out *= rng.uniform(0.02, 0.15)
    for spread, rate in ((0.4, log_uniform(rng, 300, 3000)), (1.0, 40)):
        spits = pulses(
            rng, poisson_times(rng, rate, duration), n, sample_rate, spread
        )
        out += band(spits, sample_rate, rng.uniform(800, 3500), None, 1)
    return out * np.exp(0.3 * wander(rng, n, sample_rate, 2))


@sound("microwave beep")
def microwave_beep(rng, duration, sample_rate):
    """Three to five long pure beeps, sometimes after a hum and a clunk."""
    pitch = log_uniform(rng, 900, 2800)
    on, off = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
    n = n_samples(duration, sample_rate)
    m = n_samples(on, sample_rate)
    beep = soft_clip(tone(pitch, sample_rate, m), rng.uniform(0.5, 4))
    beep *= swell(m, sample_rate, 0.004, 0.01)
    times = regular_times(rng, on + off, duration, 0, rng.uniform(0, 0.8))
    sig = scatter(times[: rng.integers(1, 6)], [beep], n, sample_rate)
    hum = band(
        saw(rng.choice([50.0, 60.0]), sample_rate, n), sample_rate, 80, 900
    )
    return sig + rng.uniform(0, 0.1) * hum


# --- machines at home --------------------------------------------------------


def _harmonics(rng, pitch, sample_rate, count, slope, spread=0.7):
    """Harmonics of a motor or a transformer, each at its own level."""
    count = min(count, int(0.45 * sample_rate / np.max(pitch)))
    k = np.arange(1, max(count, 1) + 1)
    amps = k**-slope * np.exp(spread * rng.standard_normal(len(k)))
    spectrum = np.zeros(1025, complex)  # one cycle as a table: one look-up
    spectrum[k] = amps * np.exp(2j * np.pi * rng.random(len(k)))
    cycle = np.fft.irfft(spectrum)
    where = phase(pitch, sample_rate) % 1 * len(cycle)
    out = np.interp(
        where, np.arange(len(cycle) + 1), np.append(cycle, cycle[0])
    )
    return out / (np.std(out) + 1e-12)


def _hum(rng, n, sample_rate, base, count=12, slope=0.7, drift=0.003):
    """A motor that keeps its speed but for a slow drift."""
    pitch = base * (1 + drift * wander(rng, n, sample_rate, 1.0))
    return _harmonics(rng, pitch, sample_rate, count, slope)


@sound("washing machine")
def washing_machine(rng, duration, sample_rate):
    """A drum turns wet clothes: hum, slosh and thuds once a turn; or it spins.

    Washing: low motor hum that comes and goes, water swashing with the drum at
    0.5-1.2 Hz. Spinning: a whine that climbs, a rumble and a rattling case at
    5-20 turns a second. Draining: gurgling pump.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["wash", "spin", "drain"], p=[0.5, 0.37, 0.13])
    case = np.array([60, 110, 190, 320, 520]) * rng.uniform(0.7, 1.5)
    rumble = resonate(noise(rng, n, 1.0), sample_rate, case, case * 0.3)
    rumble /= np.std(rumble)
    wash = noise(rng, n, rng.uniform(0.6, 1.6))
    wash = band(wash, sample_rate, 80, log_uniform(rng, 1500, 8000), 1)
    wash /= np.std(wash)
    mains = rng.choice([50.0, 60.0]) * rng.choice([1, 2])
    if style == "wash":
        turn = rng.uniform(0.45, 1.4)
        swing = tremolo(
            n,
            sample_rate,
            turn * (1 + 0.03 * wander(rng, n, sample_rate, 1)),
            1.0,
            rng.uniform(),
        )
        motor = _hum(
            rng,
            n,
            sample_rate,
            mains * rng.uniform(0.95, 1.0),
            16,
            rng.uniform(0.4, 1.2),
        )
        whine = _hum(rng, n, sample_rate, log_uniform(rng, 150, 700), 8, 0.5)
        slosh = band_noise(
            rng,
            n,
            sample_rate,
            log_uniform(rng, 150, 500),
            log_uniform(rng, 1200, 5000),
            1,
        )
        slosh *= swing ** rng.uniform(1, 4)
        slosh *= np.abs(0.6 + 0.6 * wander(rng, n, sample_rate, 12))
        clothes = [
            _hit(
                rng,
                0.4,
                sample_rate,
                struck_body(rng, 45, 500, 7, 0.2, 0.9),
                500,
            )
            for _ in range(4)
        ]
        drops = regular_times(rng, 1 / turn / rng.integers(1, 4), duration, 0.1)
        thuds = scatter(
            drops,
            clothes,
            n,
            sample_rate,
            np.exp(0.4 * rng.standard_normal(len(drops))),
        )
        sig = (
            log_uniform(rng, 0.1, 1) * motor * (1 - 0.5 * swing)
            + log_uniform(rng, 0.02, 0.3) * whine
            + log_uniform(rng, 0.2, 1.5) * slosh
            + log_uniform(rng, 0.2, 0.8) * rumble
            + log_uniform(rng, 0.05, 0.4) * wash
            + log_uniform(rng, 0.3, 3) * thuds
        )
        if rng.random() < 0.4:  # the motor reverses: a pause
            pause = rng.uniform(0.2, 0.8)
            t = np.linspace(0, 1, n) - pause
            width = rng.uniform(0.05, 0.15)
            sig *= 1 - 0.9 * np.exp(-((t / width) ** 4))
        return sig
    if style == "spin":
        turns = rng.uniform(5, 22) * contour(
            [1, rng.uniform(0.8, 1.6), rng.uniform(0.8, 2.0)], n
        )
        whine = np.zeros(n)
        for _ in range(rng.integers(1, 4)):
            gear = turns * rng.uniform(12, 60)
            whine += rng.uniform(0.2, 1) * band(
                saw(gear, sample_rate),
                sample_rate,
                150,
                log_uniform(rng, 1500, 6000),
                1,
            )
        beat = tremolo(n, sample_rate, turns, rng.uniform(0.1, 0.9))
        cycles = np.floor(phase(turns, sample_rate))
        blows = np.flatnonzero(np.diff(cycles)) / sample_rate
        rattle = modes(
            n,
            sample_rate,
            *struck_body(rng, 120, 3500, 12, 0.05, 0.6),
            pulses(rng, blows, n, sample_rate, 0.4),
        )
        sig = (
            log_uniform(rng, 0.2, 1) * whine / np.std(whine)
            + rumble * beat
            + log_uniform(rng, 0.2, 1.5) * wash * np.sqrt(beat)
            + log_uniform(rng, 0.05, 1) * rattle / (np.std(rattle) + 1e-9)
        )
        return sig
    pump = _hum(rng, n, sample_rate, mains, 24, rng.uniform(0.2, 0.8))
    gurgle = np.abs(wander(rng, n, sample_rate, rng.uniform(6, 20)))
    gurgle *= band_noise(rng, n, sample_rate, 250, 3000, 1)
    return pump + log_uniform(rng, 0.2, 1.5) * gurgle + 0.4 * wash


@sound("vacuum cleaner")
def vacuum_cleaner(rng, duration, sample_rate):
    """A universal motor at 200-900 Hz and its harmonics over roaring air.

    Both stay put, unlike an aircraft's: only the nozzle moves forth and back,
    and the motor may start or run out.
    """
    n = n_samples(duration, sample_rate)
    base = log_uniform(rng, 180, 900)
    speed = 1 + 0.004 * wander(rng, n, sample_rate, 1.5)
    strokes = tone(
        rng.uniform(0.3, 1.3) * (1 + 0.2 * wander(rng, n, sample_rate, 1)),
        sample_rate,
        start=rng.uniform(),
    )
    moved = rng.uniform(0, 1) if rng.random() < 0.7 else 0.0
    speed *= 1 + 0.012 * moved * strokes
    level = np.ones(n)
    ride = rng.choice(
        ["on", "start", "stop", "both"], p=[0.6, 0.17, 0.17, 0.06]
    )
    t = np.arange(n) / sample_rate
    if ride in ("start", "both"):
        ramp = 1 - np.exp(
            -np.maximum(t - rng.uniform(0, 1), 0) / rng.uniform(0.1, 0.7)
        )
        speed, level = speed * (0.05 + 0.95 * ramp), level * ramp
    if ride in ("stop", "both"):
        off = rng.uniform(0.45, 0.85) * duration
        ramp = np.exp(-np.maximum(t - off, 0) / rng.uniform(0.3, 1.0))
        speed, level = speed * (0.05 + 0.95 * ramp), level * ramp**1.5
    motor = _harmonics(
        rng, base * speed, sample_rate, 24, rng.uniform(0.1, 1.2)
    )
    shaft = tone(base * speed / rng.choice([2, 3, 4]), sample_rate)
    motor *= 1 + rng.uniform(0, 0.4) * shaft
    air = noise(rng, n, rng.uniform(-0.2, 0.9))
    air = band(air, sample_rate, 150, log_uniform(rng, 5000, 16000), 1)
    hose = log_uniform(rng, 150, 500) * np.array([1, 2.1, 3.2, 5.4, 8.1])
    air = air / np.std(air) + rng.uniform(0.2, 1.5) * resonate(
        air, sample_rate, hose, hose * 0.3
    )
    nozzle = comb(
        noise(rng, n),
        sample_rate,
        log_uniform(rng, 300, 1200),
        rng.uniform(0.3, 0.8),
    )
    nozzle = band(nozzle, sample_rate, 600, 9000, 1)
    air = air + moved * (0.5 + 0.5 * strokes) * nozzle / np.std(nozzle)
    return level * (air / np.std(air) + log_uniform(rng, 0.1, 0.9) * motor)


# --- clocks and bells --------------------------------------------------------


@sound("clock tick")
def clock_tick(rng, duration, sample_rate):
    """An escapement locks: two or three tiny impacts, tick unlike tock."""
    period = rng.choice(
        [1.0, 0.5, 0.25, 0.2, rng.uniform(0.3, 1.1)],
        p=[0.35, 0.25, 0.12, 0.08, 0.2],
    ) * rng.uniform(0.97, 1.03)
    low = log_uniform(rng, 500, 3500)
    high = min(low * rng.uniform(3, 8), 14000)
    case = struck_body(
        rng,
        log_uniform(rng, 120, 900),
        4000,
        8,
        log_uniform(rng, 0.02, 0.3),
        0.4,
    )
    wooden = rng.uniform(0, 1.2)
    decay = log_uniform(rng, 0.002, 0.02)

    def beat(pitch):
        n = n_samples(0.2, sample_rate)
        inner = np.sort(rng.uniform(0, 0.03, rng.integers(1, 4)))
        inner -= inner[0]
        snaps = [
            _click(rng, sample_rate, low * pitch, high * pitch, decay)
            for _ in inner
        ]
        sig = scatter(
            inner, snaps, n, sample_rate, np.exp(-0.7 * rng.random(len(inner)))
        )
        body = modes(n, sample_rate, *case, sig)
        return sig + wooden * normalise(body)

    other = rng.uniform(0.7, 1.3)
    pair = [beat(1.0), beat(other) * rng.uniform(0.4, 1.1)]
    if rng.random() < 0.3:
        pair = pair[:1]
    limp = rng.uniform(-0.08, 0.08)
    times = regular_times(rng, period, duration, 0.003, rng.uniform(0, period))
    times = times + limp * period * (np.arange(len(times)) % 2)
    n = n_samples(duration, sample_rate)
    if len(times) == 0:
        times = np.array([0.1 * duration])
    sig = scatter(
        times,
        pair,
        n,
        sample_rate,
        np.exp(0.06 * rng.standard_normal(len(times))),
    )
    if rng.random() < 0.25:  # wheels of a cheap movement
        whirr = tremolo(n, sample_rate, rng.uniform(8, 30), 1.0)
        sig += (
            rng.uniform(0.002, 0.02)
            * whirr
            * band_noise(rng, n, sample_rate, 2000, 8000)
        )
    return sig


def _ring(rng, seconds, sample_rate):
    """A hammer between two bells: 10-30 blows a second on bright metal."""
    n = n_samples(seconds, sample_rate)
    times = regular_times(rng, 1 / rng.uniform(9, 30), seconds, 0.04)
    low = log_uniform(rng, 900, 3500)
    bells = [
        struck_body(rng, low * ratio, 13000, 9, rng.uniform(0.15, 1.0), 0.1)
        for ratio in (1.0, rng.uniform(1.0, 1.3))
    ]
    sig = np.zeros(n)
    for i, bell in enumerate(bells):
        blows = pulses(rng, times[i::2], n, sample_rate, 0.2)
        sig += modes(n, sample_rate, *bell, blows)
    rattle = pulses(rng, times, n, sample_rate, 0.4)
    rattle = band(rattle, sample_rate, 500, 6000, 1)
    return normalise(sig) + rng.uniform(0, 0.5) * normalise(rattle)


@sound("clock alarm")
def clock_alarm(rng, duration, sample_rate):
    """Groups of piezo beeps, a buzzer, a little tune, or two bells."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["beeps", "slow", "buzzer", "bells", "tune"],
        p=[0.4, 0.2, 0.13, 0.17, 0.1],
    )
    start = rng.uniform(0, 0.6)
    if style == "bells":
        bell = _ring(rng, duration - start, sample_rate)
        if rng.random() < 0.3:
            cut = int(rng.uniform(0.4, 0.9) * len(bell))
            fade = np.arange(len(bell) - cut) / (0.08 * sample_rate)
            bell[cut:] *= np.exp(-fade)
        return scatter([start], [bell], n, sample_rate)
    pitch = log_uniform(rng, 700, 4200)
    if style == "buzzer":
        pitch = log_uniform(rng, 90, 500)
    on = {
        "beeps": log_uniform(rng, 0.03, 0.14),
        "slow": log_uniform(rng, 0.15, 0.7),
        "buzzer": log_uniform(rng, 0.1, 1.2),
        "tune": log_uniform(rng, 0.08, 0.25),
    }[style]
    gap = on * log_uniform(rng, 0.4, 1.5)
    group = rng.integers(2, 6) if style == "beeps" else 1
    rest = log_uniform(rng, 0.2, 0.7) if group > 1 else 0.0
    drive = log_uniform(rng, 0.4, 12)  # a square wave has odd harmonics only
    wave = rng.choice(["sine", "saw"], p=[0.8, 0.2])
    second = rng.choice([0.0, rng.uniform(1.05, 1.6)], p=[0.7, 0.3])
    m = n_samples(on, sample_rate)

    def beep(i):
        f = pitch
        if style == "tune":
            f = pitch * 2 ** (tune[i % len(tune)] / 12)
        if second and i % 2:
            f = f * second
        sig = tone(f, sample_rate, m)
        if style == "buzzer" or wave == "saw":
            sig = saw(f, sample_rate, m)
        sig = soft_clip(sig, drive)
        return sig * swell(m, sample_rate, 0.003, rng.choice([0.004, 0.3 * on]))

    tune = rng.choice([0, 2, 4, 7, 9, 12], rng.integers(3, 9))
    cycle = group * (on + gap) + rest
    times = np.arange(start, duration, cycle)[:, None]
    times = np.ravel(times + np.arange(group) * (on + gap))
    sig = scatter(times, beep, n, sample_rate)
    if rng.random() < 0.7:  # the little speaker rings
        centre = log_uniform(rng, 1500, 5000)
        sig = sig + rng.uniform(0.3, 2) * resonate(
            sig, sample_rate, [centre, centre * 1.9], centre * 0.2
        )
    if rng.random() < 0.2:
        tick = _click(rng, sample_rate, 1500, 6000, 0.006)
        ticks = regular_times(rng, 1.0, duration, 0.0)
        sig += scatter(ticks, [0.1 * tick], n, sample_rate)
    return sig


@sound("telephone ring")
def telephone_ring(rng, duration, sample_rate):
    """Old bells for a second or two, or a warbling electronic call."""
    on, off = rng.uniform(0.4, 2.0), rng.uniform(0.2, 2.5)
    n = n_samples(duration, sample_rate)
    if rng.random() < 0.5:
        ring = _ring(rng, on, sample_rate)
    else:
        m = n_samples(on, sample_rate)
        warble = tone(rng.uniform(8, 25), sample_rate, m) > 0
        pitch = log_uniform(rng, 500, 1600) * np.where(
            warble, 1.0, rng.uniform(1.1, 1.5)
        )
        ring = soft_clip(tone(pitch, sample_rate), rng.uniform(0.5, 5))
        ring *= swell(m, sample_rate, 0.005, 0.02)
    times = regular_times(rng, on + off, duration, 0.0, rng.uniform(0, 0.5))
    return scatter(times, [ring], n, sample_rate)


# --- glass, paper, cloth -----------------------------------------------------


@sound("glass breaking")
def glass_breaking(rng, duration, sample_rate):
    """A blow, a dense shatter, then shards that fall and skip, each ringing."""
    size = log_uniform(rng, 0.5, 2.0)  # small things ring higher
    shards = [
        normalise(
            modes(
                n_samples(0.6, sample_rate),
                sample_rate,
                *struck_body(
                    rng,
                    min(log_uniform(rng, 1200, 7000) * size, 9000),
                    15000,
                    rng.integers(3, 8),
                    log_uniform(rng, 0.03, 0.45),
                    0.1,
                ),
            )
        )
        for _ in range(16)
    ]
    fall = log_uniform(rng, 0.2, 1.4)
    dense = log_uniform(rng, 25, 200)
    late = rng.uniform(0, 0.6)  # height of the fall
    pane = rng.random() < 0.4

    def smash(_):
        seconds = min(fall * 3 + late + 0.6, 4.0)
        n = n_samples(seconds, sample_rate)
        burst = band_noise(
            rng, n, sample_rate, log_uniform(rng, 400, 3000), 15000, 1
        )
        burst *= percussive(n, sample_rate, 0.001, log_uniform(rng, 0.05, 0.5))
        thud = _hit(
            rng, 0.3, sample_rate, struck_body(rng, 120, 1500, 8, 0.1, 0.5)
        )
        sig = rng.uniform(0.1, 0.8) * normalise(burst)
        sig[: len(thud)] += rng.uniform(0.02, 0.5) * thud[:n]
        first = rng.exponential(fall * 0.15, int(dense * 0.5) + 3)
        second = late + rng.exponential(fall, int(dense * 0.5) + 3)
        times = np.concatenate([first, second])
        gains = np.exp(
            0.8 * rng.standard_normal(len(times)) - 0.5 * times / fall
        )
        pick = rng.integers(0, len(shards), len(times))
        rain = scatter(times, lambda i: shards[pick[i]], n, sample_rate, gains)
        sig += rng.uniform(0.8, 2.0) * normalise(rain)
        if pane:  # a window: low sheet modes too
            sheet = _hit(
                rng,
                0.6,
                sample_rate,
                struck_body(rng, 300, 2500, 12, 0.35, 0.4),
            )
            sig[: len(sheet)] += rng.uniform(0.2, 0.8) * sheet[:n]
        return sig

    most = rng.choice([1, 3], p=[0.7, 0.3])
    return sequence(rng, smash, duration, sample_rate, (1, most), (0.05, 1.0))


@sound("paper rustling")
def paper_rustling(rng, duration, sample_rate):
    """Sheets buckle: clusters of crackles between gentle bright noise."""
    n = n_samples(duration, sample_rate)
    crackle = pulses(
        rng,
        poisson_times(rng, log_uniform(rng, 60, 800), duration),
        n,
        sample_rate,
        1.2,
    )
    crackle = band(crackle, sample_rate, rng.uniform(600, 2500), None, 1)
    crackle += 0.04 * band_noise(rng, n, sample_rate, 1500, 11000, 1)
    moves = np.clip(wander(rng, n, sample_rate, rng.uniform(1.5, 6)), 0, None)
    return crackle * (0.03 + moves**1.5)


@sound("zipper")
def zipper(rng, duration, sample_rate):
    """A slider passes 40-400 teeth a second, faster and slower."""

    def make(_):
        seconds = rng.uniform(0.2, 1.2)
        n = n_samples(seconds, sample_rate)
        rate = log_uniform(rng, 70, 250) * contour([0.4, 1.2, 1.6, 0.8], n)
        teeth = np.flatnonzero(np.diff(np.floor(phase(rate, sample_rate))))
        force = pulses(rng, teeth / sample_rate, n, sample_rate, 0.5)
        sig = modes(
            n,
            sample_rate,
            *struck_body(rng, 1200, 11000, 10, 0.012, 0.1),
            force,
        )
        sig = normalise(sig) + 0.15 * band_noise(
            rng, n, sample_rate, 2000, 9000, 1
        )
        return sig * swell(n, sample_rate, 0.05, 0.05)

    return sequence(rng, make, duration, sample_rate, (1, 5), (0.1, 1.0))
