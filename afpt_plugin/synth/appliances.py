"""Sounds of appliances: motors, fans, beepers, clocks and bells indoors.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. A helper with an
underscore makes one occurrence or one part, the generator lays them out in time.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["clock tick"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import fft

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


# --- parts -------------------------------------------------------------------


def _unit(sig):
    """Scale to unit variance, so that layers mix by ratio."""
    return sig / (np.std(sig) + 1e-9)


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


def _clunk(rng, sample_rate, size=1.0):
    """A door, a lid or a switch with a case around it; bigger is lower."""
    body = struck_body(rng, 90 / size, 2500 / size, 12, 0.15 * size, 0.5)
    sig = _hit(rng, 0.3, sample_rate, body, log_uniform(rng, 1500, 7000))
    snap = _click(rng, sample_rate, 900, 6000, log_uniform(rng, 0.003, 0.012))
    return scatter(
        [0.0, rng.uniform(0, 0.04)],
        [sig, rng.uniform(0.1, 0.6) * snap],
        len(sig),
        sample_rate,
    )


def _harmonics(rng, pitch, sample_rate, count, slope, spread=0.7):
    """Harmonics of a motor or a transformer, each at its own level."""
    count = min(count, int(0.45 * sample_rate / np.max(pitch)))
    k = np.arange(1, max(count, 1) + 1)
    amps = k**-slope * np.exp(spread * rng.standard_normal(len(k)))
    amps *= 1 - k / (len(k) + 1)  # no edge where the harmonics end
    spectrum = np.zeros(4097, complex)  # one cycle as a table: one look-up
    spectrum[k] = amps * np.exp(2j * np.pi * rng.random(len(k)))
    cycle = fft.irfft(spectrum)
    where = (phase(pitch, sample_rate) * len(cycle)).astype(np.int64)
    return cycle[where % len(cycle)] / (np.std(cycle) + 1e-12)


def _hum(rng, n, sample_rate, base, count=12, slope=0.7, drift=0.003):
    """A motor that keeps its speed but for a slow drift."""
    pitch = base * (1 + drift * wander(rng, n, sample_rate, 1.0))
    return _harmonics(rng, pitch, sample_rate, count, slope)


def _mains(rng, n, sample_rate, slope):
    """The buzz of iron at twice the mains frequency, even-tempered and exact."""
    base = rng.choice([50.0, 60.0]) * rng.choice([1.0, 2.0], p=[0.3, 0.7])
    return _hum(rng, n, sample_rate, base, 30, slope, 1e-4)


def _air(rng, n, sample_rate, colour, high, humps=(150, 5000)):
    """Air that is driven through a case: noise with a few broad humps."""
    sig = noise(rng, n, rng.uniform(*colour))
    sig = band(sig, sample_rate, log_uniform(rng, 40, 200), high, 1)
    freqs = np.exp(rng.uniform(*np.log(humps), 4))
    hollow = resonate(sig, sample_rate, freqs, rng.uniform(0.15, 0.8) * freqs)
    return _unit(_unit(sig) + rng.uniform(0.1, 1.2) * _unit(hollow))


def _power(rng, n, sample_rate, rise, fall, always=0.5):
    """Speed 0..1 of a motor left on, or switched on, off or several times.

    `rise` and `fall` are ranges of the time constants of its inertia.
    """
    rest = (1 - always) / 4
    kind = rng.choice(
        ["on", "start", "stop", "both", "pulses"], p=[always] + 4 * [rest]
    )
    cuts = {
        "on": [],
        "start": [rng.uniform(0.02, 0.3)],
        "stop": [rng.uniform(0.4, 0.85)],
        "both": [rng.uniform(0.02, 0.25), rng.uniform(0.45, 0.85)],
        "pulses": np.sort(rng.uniform(0, 1, rng.integers(3, 7))),
    }[kind]
    rise, fall = log_uniform(rng, *rise), log_uniform(rng, *fall)
    on = kind in ("on", "stop")
    speed, now, begin = np.zeros(n), float(on), 0
    for cut in [*cuts, 1.0]:
        end = int(np.clip(cut, 0, 1) * n)
        t = np.arange(end - begin) / sample_rate
        part = on + (now - on) * np.exp(-t / (rise if on else fall))
        speed[begin:end] = part
        now = part[-1] if len(part) else now
        on, begin = not on, end
    return speed


def _whine(rng, speed, sample_rate, base, blades=(5, 14)):
    """A fast motor: its shaft's harmonics, brushes and a fan's blade tone."""
    pitch = base * (0.03 + 0.97 * speed)
    shaft = _harmonics(rng, pitch, sample_rate, 30, rng.uniform(0.2, 1.3), 0.9)
    blade = _harmonics(
        rng, pitch * rng.integers(*blades), sample_rate, 4, 1.0, 0.5
    )
    return _unit(shaft + log_uniform(rng, 0.1, 1.2) * blade) * speed


def _stepper(rng, rate, sample_rate):
    """A stepping motor: every step rings the case; `rate` steps a second."""
    n = len(rate)
    kick = saw(np.maximum(rate, 1), sample_rate) * (rate > 5)
    case = np.exp(rng.uniform(np.log(300), np.log(5000), 5))
    sig = resonate(kick, sample_rate, case, rng.uniform(0.1, 0.5) * case)
    return _unit(sig + 0.3 * kick) * np.clip(rate / 100, 0, 1)[:n]


def _beep(rng, pitch, seconds, sample_rate, drive=1.0, decay=0.0):
    """A piezo or little loudspeaker: odd harmonics by overdriving a sine."""
    n = n_samples(seconds, sample_rate)
    sig = soft_clip(tone(pitch, sample_rate, n), drive)
    return sig * swell(n, sample_rate, 0.003, max(decay * seconds, 0.006))


def _ring(rng, seconds, sample_rate, low=(900, 3500), decay=(0.15, 1.0)):
    """A hammer between two bells: 9-30 blows a second on bright metal."""
    n = n_samples(seconds, sample_rate)
    times = regular_times(rng, 1 / rng.uniform(9, 30), seconds, 0.04)
    low = log_uniform(rng, *low)
    bells = [
        struck_body(rng, low * ratio, 13000, 9, rng.uniform(*decay), 0.1)
        for ratio in (1.0, rng.uniform(1.0, 1.3))
    ]
    sig = np.zeros(n)
    for i, bell in enumerate(bells):
        blows = pulses(rng, times[i::2], n, sample_rate, 0.2)
        sig += modes(n, sample_rate, *bell, blows)
    rattle = pulses(rng, times, n, sample_rate, 0.4)
    rattle = band(rattle, sample_rate, 500, 6000, 1)
    return normalise(sig) + rng.uniform(0, 0.5) * normalise(rattle)


def _ding(rng, sample_rate, low=(900, 3500)):
    """One blow on a small bell."""
    low, decay = log_uniform(rng, *low), log_uniform(rng, 0.5, 3.0)
    n = n_samples(min(decay, 2.5), sample_rate)
    ratios = np.array([1, 1.004, 2.0, 2.76, 4.1, 5.4]) * rng.uniform(
        0.97, 1.03, 6
    )
    amps = ratios**-0.8 * rng.uniform(0.3, 1, 6)
    return normalise(modes(n, sample_rate, low * ratios, decay / ratios, amps))


# --- motors ------------------------------------------------------------------


@sound("vacuum cleaner")
def vacuum_cleaner(rng, duration, sample_rate):
    """A motor's whine and harmonics on a steady rush of air, moved to and fro.

    Both stay put, unlike an aircraft's. Strokes over the floor change the
    rush's brightness; a blocked nozzle chokes it and lets the motor race.
    """
    n = n_samples(duration, sample_rate)
    kind = rng.choice(["big", "hand", "next room"], p=[0.65, 0.2, 0.15])
    base = (
        log_uniform(rng, 420, 950)
        if kind == "hand"
        else log_uniform(rng, 170, 560)
    )
    speed = _power(rng, n, sample_rate, (0.08, 0.35), (0.4, 1.2), 0.6)
    pace = log_uniform(rng, 0.25, 1.4)
    arm = tone(
        pace * (1 + 0.3 * wander(rng, n, sample_rate, 1)),
        sample_rate,
        start=rng.uniform(),
    )
    moved = rng.choice([0.0, rng.uniform(0.2, 1.0)], p=[0.3, 0.7])
    load = moved * arm
    choked = np.zeros(n)
    if rng.random() < 0.25:  # cloth or a hand on the nozzle
        choked = np.clip(3 * wander(rng, n, sample_rate, 0.8) - 1, 0, 1)
    race = 1 + 0.012 * load + rng.uniform(0.08, 0.3) * choked
    race *= 1 + 0.003 * wander(rng, n, sample_rate, 3)
    motor = _whine(rng, speed * race, sample_rate, base)
    if rng.random() < 0.5:  # brushes and gears under it
        motor += (
            rng.uniform(0.1, 0.6) * _mains(rng, n, sample_rate, 0.6) * speed
        )
    rush = _air(
        rng,
        n,
        sample_rate,
        (-0.1, 0.9),
        log_uniform(rng, 4000, 14000),
        (250, 6000),
    )
    hiss = _unit(band(noise(rng, n), sample_rate, log_uniform(rng, 1500, 4000)))
    near = np.clip(0.5 + 0.5 * load, 0, None)
    rush = (1 - 0.5 * choked) * (rush + rng.uniform(0.1, 1.3) * near * hiss)
    sig = speed**2 * rush + log_uniform(rng, 0.15, 2) * motor
    if rng.random() < 0.3:  # a beater bar
        bar = _hum(rng, n, sample_rate, rng.uniform(35, 90), 20, 0.5, 0.02)
        sig += rng.uniform(0.1, 0.5) * bar * speed
    if moved and rng.random() < 0.6:  # it knocks against things, grit rattles
        body = struck_body(rng, 120, 1800, 9, 0.1, 0.5)
        bumps = poisson_times(rng, pace, duration)
        knock = _hit(rng, 0.2, sample_rate, body, 3000)
        sig += scatter(bumps, [rng.uniform(1, 5) * knock], n, sample_rate)
    if kind == "next room":
        sig = band(sig, sample_rate, 0, log_uniform(rng, 500, 2000), 1)
    return sig


def _tumble(rng, n, sample_rate, turn, duration):
    """Wet clothes lifted and dropped once or twice a turn; buttons clink."""
    clothes = [
        _hit(rng, 0.4, sample_rate, struck_body(rng, 40, 450, 7, 0.2, 0.9), 500)
        for _ in range(4)
    ]
    drops = regular_times(rng, 1 / turn / rng.integers(1, 3), duration, 0.12)
    thuds = scatter(
        drops,
        clothes,
        n,
        sample_rate,
        np.exp(0.5 * rng.standard_normal(len(drops))),
    )
    if rng.random() < 0.4:
        clink = _click(rng, sample_rate, 1200, 6000, 0.01)
        times = poisson_times(rng, 2 * turn, duration)
        thuds += scatter(times, [rng.uniform(0.1, 0.6) * clink], n, sample_rate)
    return thuds


@sound("washing machine")
def washing_machine(rng, duration, sample_rate):
    """A drum turns wet clothes: hum, slosh and thuds once a turn; or it spins.

    Front loaders tumble at 0.5-1 turns a second, top loaders swish to and fro;
    a spin's hum and its shaking case climb together; water runs in, is pumped.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["tumble", "agitate", "spin", "fill", "drain"],
        p=[0.37, 0.18, 0.3, 0.08, 0.07],
    )
    case = np.array([55, 100, 180, 310, 520]) * rng.uniform(0.7, 1.5)
    rumble = _unit(resonate(noise(rng, n, 1.2), sample_rate, case, case * 0.35))
    air = _air(rng, n, sample_rate, (0.8, 1.8), log_uniform(rng, 1200, 7000))
    mains = _mains(rng, n, sample_rate, rng.uniform(0.4, 1.2))
    sig = log_uniform(rng, 0.1, 0.6) * air + log_uniform(rng, 0.03, 0.5) * mains
    if style in ("tumble", "agitate"):
        turn = rng.uniform(0.45, 1.1)
        if style == "agitate":
            turn = rng.uniform(0.6, 2.2)
        pace = turn * (1 + 0.03 * wander(rng, n, sample_rate, 1))
        swing = tremolo(n, sample_rate, pace, 1.0, rng.uniform())
        gear = log_uniform(rng, 90, 500)
        pull = 1 + (0.03 if style == "tumble" else 0.25) * swing
        motor = _harmonics(
            rng, gear * pull, sample_rate, 14, rng.uniform(0.4, 1.2)
        )
        slosh = band_noise(
            rng,
            n,
            sample_rate,
            log_uniform(rng, 120, 500),
            log_uniform(rng, 1200, 5000),
            1,
        )
        slosh *= swing ** rng.uniform(1, 4)
        slosh *= np.abs(0.6 + 0.6 * wander(rng, n, sample_rate, 12))
        if style == "agitate":
            motor *= swing
        thuds = _tumble(rng, n, sample_rate, turn, duration)
        sig += (
            log_uniform(rng, 0.1, 1) * motor
            + log_uniform(rng, 0.3, 2) * slosh
            + log_uniform(rng, 0.15, 0.7) * rumble
            + log_uniform(rng, 0.4, 4) * thuds
        )
        if rng.random() < 0.35:  # it reverses: a pause and a relay's click
            pause = rng.uniform(0.25, 0.75) * duration
            t = np.arange(n) / sample_rate - pause
            sig *= 1 - 0.92 * np.exp(-((t / rng.uniform(0.3, 1.2)) ** 6))
            snap = _click(rng, sample_rate, 800, 5000, 0.006)
            sig += scatter(
                [pause], [rng.uniform(0.3, 2) * snap], n, sample_rate
            )
    elif style == "spin":
        way = rng.choice(["up", "hold", "down"], p=[0.5, 0.3, 0.2])
        top = rng.uniform(8, 24)
        low = {"up": rng.uniform(0.1, 0.6), "hold": 0.95, "down": 1.0}[way]
        end = rng.uniform(0.2, 0.7) if way == "down" else 1.0
        turns = top * contour([low, 0.5 * (low + end) + 0.1, end], n)
        strain = (turns / top) ** 1.5
        whine = np.zeros(n)
        for ratio in rng.uniform(8, 60, rng.integers(1, 4)):
            whine += rng.uniform(0.2, 1) * _harmonics(
                rng, ratio * turns, sample_rate, 10, rng.uniform(0.6, 1.5)
            )
        beat = tremolo(n, sample_rate, turns, rng.uniform(0.2, 0.9))
        cycles = np.floor(phase(turns, sample_rate))
        blows = np.flatnonzero(np.diff(cycles)) / sample_rate
        rattle = modes(
            n,
            sample_rate,
            *struck_body(rng, 90, 3000, 12, 0.06, 0.7),
            pulses(rng, blows, n, sample_rate, 0.4),
        )
        sig = sig * 0.5 + (
            log_uniform(rng, 0.3, 1.2) * _unit(whine) * strain
            + log_uniform(rng, 0.5, 1.5) * rumble * beat * (0.3 + strain)
            + log_uniform(rng, 0.2, 1) * air * np.sqrt(beat) * strain
            + log_uniform(rng, 0.1, 1.2) * _unit(rattle)
        )
    elif style == "fill":
        water = band_noise(
            rng, n, sample_rate, 400, log_uniform(rng, 2500, 9000), 1
        )
        water *= np.exp(0.25 * wander(rng, n, sample_rate, 15))
        hollow = log_uniform(rng, 250, 900) * np.array([1, 2.3])
        water += resonate(water, sample_rate, hollow, 0.3 * hollow)
        on = _power(rng, n, sample_rate, (0.01, 0.05), (0.02, 0.08), 0.5)
        sig = sig + 0.3 * rumble + on * (_unit(water) + 0.7 * mains)
    else:
        gurgle = np.abs(wander(rng, n, sample_rate, rng.uniform(6, 20)))
        gurgle *= band_noise(rng, n, sample_rate, 250, 3000, 1)
        sig = mains + log_uniform(rng, 0.3, 1.5) * _unit(gurgle) + 0.4 * air
    return sig


@sound("fan")
def fan(rng, duration, sample_rate):
    """Blades chop air: a soft rush with a low tone at the blades' rate.

    Desk, ceiling and exhaust fans, and the small whining ones in computers.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["desk", "ceiling", "exhaust", "computer"])
    turns = {
        "desk": log_uniform(rng, 10, 28),
        "ceiling": log_uniform(rng, 1.5, 6),
        "exhaust": log_uniform(rng, 15, 30),
        "computer": log_uniform(rng, 25, 90),
    }[style]
    speed = _power(rng, n, sample_rate, (0.4, 1.5), (0.8, 2.5), 0.7)
    rate = np.maximum(turns * speed, 0.01) * (
        1 + 0.004 * wander(rng, n, sample_rate, 1)
    )
    blades = rng.integers(3, 8)
    air = _air(
        rng,
        n,
        sample_rate,
        (0.5, 1.6),
        log_uniform(rng, 1500, 9000),
        (80, 2500),
    )
    chop = tremolo(n, sample_rate, rate * blades, rng.uniform(0.05, 0.6))
    wobble = tremolo(n, sample_rate, rate, rng.uniform(0, 0.4))
    blade = _harmonics(
        rng, rate * blades, sample_rate, 12, rng.uniform(0.8, 1.8)
    )
    hum = _mains(rng, n, sample_rate, rng.uniform(0.6, 1.5))
    sig = (
        speed**1.5 * wobble * (air * chop + log_uniform(rng, 0.05, 0.7) * blade)
    )
    sig += log_uniform(rng, 0.02, 0.5) * hum * (speed > 0.02)
    if rng.random() < 0.4:  # something ticks once a turn
        ticks = np.flatnonzero(np.diff(np.floor(phase(rate, sample_rate))))
        tick = _click(
            rng, sample_rate, 300, 4000, log_uniform(rng, 0.004, 0.02)
        )
        sig += log_uniform(rng, 0.1, 1.5) * scatter(
            ticks / sample_rate, [tick], n, sample_rate
        )
    if style == "desk" and rng.random() < 0.4:  # it turns its head
        sig *= tremolo(n, sample_rate, rng.uniform(0.08, 0.25), 0.6)
    return sig


@sound("air conditioner")
def air_conditioner(rng, duration, sample_rate):
    """A compressor's hum and rattle under a steady rush from grilles.

    Outdoor units drone with panels buzzing, indoor ones whisper; window units
    do both, and start with a shudder.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["outdoor", "indoor", "window"], p=[0.45, 0.25, 0.3])
    air = _air(
        rng,
        n,
        sample_rate,
        (0.6, 1.7),
        log_uniform(rng, 2000, 10000),
        (80, 2500),
    )
    air *= np.exp(0.06 * wander(rng, n, sample_rate, 3))
    mains = rng.choice([50.0, 60.0])
    slip = mains * rng.uniform(0.94, 0.995)  # an induction motor lags
    pump = _hum(rng, n, sample_rate, slip, 24, rng.uniform(0.4, 1.1), 1e-3)
    pump += rng.uniform(0.3, 1.5) * _hum(
        rng, n, sample_rate, 2 * mains, 10, rng.uniform(0.6, 1.4), 1e-4
    )
    blade = _hum(
        rng, n, sample_rate, slip / 3 * rng.integers(3, 6), 6, 1.2, 0.002
    )
    throb = tremolo(n, sample_rate, rng.uniform(0.5, 12), rng.uniform(0, 0.4))
    level = {"outdoor": (0.3, 1.5), "indoor": (0.02, 0.2), "window": (0.1, 1)}
    level = log_uniform(rng, *level[style])
    on = np.ones(n)
    if rng.random() < 0.12:
        on = _power(rng, n, sample_rate, (0.1, 0.5), (0.2, 0.8), 0.0)
    sig = air + on * level * (_unit(pump) * throb + rng.uniform(0, 0.8) * blade)
    if style != "indoor" and rng.random() < 0.5:  # a loose panel
        shake = 2 * mains * np.ones(n) / rng.choice([2, 4])
        loose = _stepper(rng, shake, sample_rate)
        loose *= np.clip(0.5 + wander(rng, n, sample_rate, 3), 0, None)
        sig += log_uniform(rng, 0.03, 0.4) * on * loose
    if rng.random() < 0.12:  # condensed water
        drip = tone(
            contour([900, 1800], n_samples(0.05, sample_rate)), sample_rate
        )
        drip *= percussive(len(drip), sample_rate, 0.002, 0.05)
        times = regular_times(rng, rng.uniform(0.4, 2), duration, 0.1)
        sig += scatter(times, [rng.uniform(0.3, 1.5) * drip], n, sample_rate)
    return sig


@sound("blender")
def blender(rng, duration, sample_rate):
    """A motor screams under load while ice and fruit are thrown about.

    Pulsed or left on; the pitch sags with lumps and climbs when they are gone.
    """
    n = n_samples(duration, sample_rate)
    speed = _power(rng, n, sample_rate, (0.05, 0.3), (0.15, 0.6), 0.35)
    lumps = rng.choice([0.0, rng.uniform(0.3, 1)], p=[0.35, 0.65])
    lumps = lumps * contour(rng.uniform(0.1, 1, 4), n)
    jerk = np.clip(wander(rng, n, sample_rate, rng.uniform(6, 20)), 0, None)
    base = log_uniform(rng, 130, 420)
    setting = 1.0
    if rng.random() < 0.3:  # another button
        setting = contour(np.repeat(rng.uniform(0.6, 1.2, 2), 2), n)
    pull = 1 - 0.12 * lumps * jerk
    motor = _whine(rng, speed * setting * pull, sample_rate, base, (2, 6))
    motor = soft_clip(motor, log_uniform(rng, 0.5, 4))
    jar = np.array([350, 800, 1500, 2800, 5200]) * rng.uniform(0.7, 1.4)
    blows = poisson_times(rng, log_uniform(rng, 25, 120), duration)
    knocks = pulses(rng, blows, n, sample_rate, 1.0) * lumps * speed
    knocks = resonate(knocks, sample_rate, jar, 0.1 * jar)
    whirl = _air(
        rng, n, sample_rate, (-0.2, 0.8), log_uniform(rng, 4000, 12000)
    )
    whirl *= 1 + 0.4 * jerk
    sig = _unit(motor) + log_uniform(rng, 0.2, 1.2) * whirl * speed**2
    return sig + rng.uniform(0.3, 1.5) * lumps.max() * _unit(knocks) * speed


@sound("hair dryer")
def hair_dryer(rng, duration, sample_rate):
    """A bright blast of air with a thin whine, waved about, switched in steps."""
    n = n_samples(duration, sample_rate)
    speed = _power(rng, n, sample_rate, (0.08, 0.4), (0.3, 1.0), 0.5)
    low = rng.choice([1.0, rng.uniform(0.55, 0.8)], p=[0.6, 0.4])
    if rng.random() < 0.3:  # low, then high
        low = contour([0.6, 0.6, 1.0, 1.0], n, [0, 0.45, 0.5, 1])
    speed = speed * low
    motor = _whine(rng, speed, sample_rate, log_uniform(rng, 280, 900), (4, 9))
    blast = _air(
        rng,
        n,
        sample_rate,
        (-0.4, 0.5),
        log_uniform(rng, 6000, 16000),
        (900, 7000),
    )
    away = np.clip(
        0.5 + rng.uniform(0, 0.5) * wander(rng, n, sample_rate, 1), 0, 1
    )
    dull = _unit(band(blast, sample_rate, 0, log_uniform(rng, 900, 2500), 1))
    blast = away * blast + (1 - away) * dull
    sig = speed**2 * blast + log_uniform(rng, 0.08, 0.6) * motor
    if rng.random() < 0.3:  # half waves through the heater
        sig += rng.uniform(0.05, 0.3) * _mains(rng, n, sample_rate, 0.5) * speed
    if rng.random() < 0.4:  # the slide switch
        at = np.argmax(np.abs(np.diff(speed, prepend=speed[0])))
        snap = _click(rng, sample_rate, 900, 6000, 0.006)
        sig += scatter(
            [at / sample_rate], [rng.uniform(1, 4) * snap], n, sample_rate
        )
    return sig


@sound("electric shaver")
def electric_shaver(rng, duration, sample_rate):
    """A small buzzing oscillator at a face or at teeth, which change its colour.

    Foil and rotary shavers crackle over stubble, clippers rattle at the mains
    rate, an electric toothbrush whirs in the mouth.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["foil", "clipper", "toothbrush"], p=[0.4, 0.25, 0.35])
    base = {
        "foil": log_uniform(rng, 90, 220),
        "clipper": rng.choice([100.0, 120.0]) * rng.uniform(0.998, 1.002),
        "toothbrush": log_uniform(rng, 65, 280),
    }[style]
    speed = _power(rng, n, sample_rate, (0.02, 0.12), (0.03, 0.2), 0.6)
    press = wander(rng, n, sample_rate, log_uniform(rng, 0.8, 4))
    pitch = base * (0.2 + 0.8 * speed) * (1 - 0.02 * np.clip(press, 0, None))
    buzz = _harmonics(rng, pitch, sample_rate, 60, rng.uniform(0.2, 0.9), 0.6)
    cheek = log_uniform(rng, 500, 1600) * np.array([1, 2.4, 4.3])
    near = resonate(buzz, sample_rate, cheek, 0.3 * cheek)
    high = band(buzz, sample_rate, log_uniform(rng, 2000, 4500), None, 1)
    share = np.clip(0.5 + 0.6 * press, 0, 1)
    sig = _unit(buzz) * (1 - 0.5 * share) + share * _unit(near)
    sig += rng.uniform(0.1, 0.8) * (1 - share) * _unit(high)
    if style == "toothbrush":
        foam = band_noise(rng, n, sample_rate, 1500, 8000, 1)
        foam *= tremolo(n, sample_rate, pitch, 0.9)
        sig += log_uniform(rng, 0.05, 0.4) * share * foam
    else:
        hairs = poisson_times(rng, log_uniform(rng, 20, 200), duration)
        cut = pulses(rng, hairs, n, sample_rate, 0.9)
        cut = _unit(band(cut, sample_rate, 1500, 9000, 1))
        sig += log_uniform(rng, 0.03, 0.5) * share * cut
    sig += log_uniform(rng, 0.02, 0.2) * band_noise(
        rng, n, sample_rate, 800, 9000, 1
    )
    level = np.clip(1 + rng.uniform(0, 0.6) * press, 0.2, None)
    return sig * level * speed


@sound("sewing machine")
def sewing_machine(rng, duration, sample_rate):
    """A needle bar clatters 4-18 times a second; the pedal drives it in bursts."""
    n = n_samples(duration, sample_rate)
    speed = _power(rng, n, sample_rate, (0.08, 0.4), (0.05, 0.2), 0.3)
    if rng.random() < 0.4:
        speed = speed * contour(rng.uniform(0.3, 1, 4), n)
    top = log_uniform(rng, 4, 18)
    rate = top * speed * (1 + 0.05 * wander(rng, n, sample_rate, 3))
    cycles = phase(rate, sample_rate)
    sig = np.zeros(n)
    for lag, low, level in ((0, 500, 1.0), (0.3, 150, 0.8), (0.6, 1200, 0.5)):
        at = np.flatnonzero(np.diff(np.floor(cycles + lag))) / sample_rate
        at = at + 0.002 * rng.standard_normal(len(at))
        part = [
            _hit(
                rng,
                0.12,
                sample_rate,
                struck_body(rng, low, 6 * low, 9, 0.05, 0.4),
                7000,
            )
            for _ in range(3)
        ]
        gains = np.exp(0.2 * rng.standard_normal(len(at)))
        gains *= level * rng.uniform(0.4, 1.3)
        sig += scatter(at, part, n, sample_rate, gains)
    if rng.random() < 0.75:
        motor = _whine(
            rng, speed, sample_rate, log_uniform(rng, 90, 350), (2, 5)
        )
        sig += log_uniform(rng, 0.02, 0.25) * motor
    rustle = band_noise(rng, n, sample_rate, 500, 6000, 1)
    return sig + log_uniform(rng, 0.005, 0.06) * rustle * speed


@sound("microwave oven")
def microwave_oven(rng, duration, sample_rate):
    """A transformer's hum and a fan inside a box, a turntable; then beeps.

    Buttons beep, the door clunks, the relay starts the hum with a thump, and
    three to five long beeps, or the bell of an old one, end it.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["runs", "ends", "starts", "beeps", "door"],
        p=[0.3, 0.27, 0.18, 0.15, 0.1],
    )
    hum = _mains(rng, n, sample_rate, rng.uniform(0.3, 1.1))
    air = _air(
        rng,
        n,
        sample_rate,
        (0.5, 1.5),
        log_uniform(rng, 1500, 7000),
        (100, 2000),
    )
    run = log_uniform(rng, 0.2, 2) * hum + air
    if rng.random() < 0.4:  # the plate rolls and squeaks
        plate = band_noise(rng, n, sample_rate, 200, 1500, 1)
        plate *= np.clip(wander(rng, n, sample_rate, 5), 0, None)
        run += rng.uniform(0.2, 1) * plate
    run *= 0.3
    pitch = log_uniform(rng, 900, 2800)
    drive = log_uniform(rng, 0.4, 5)
    on = rng.uniform(0.15, 0.9)
    beeps = [_beep(rng, pitch, on, sample_rate, drive)]
    gap = on + rng.uniform(0.2, 0.9)
    if rng.random() < 0.15:
        beeps, gap = [_ding(rng, sample_rate)], 9.0
    door = _clunk(rng, sample_rate, rng.uniform(0.8, 1.4))
    keys = [_beep(rng, pitch, rng.uniform(0.06, 0.15), sample_rate, drive)]
    loud = log_uniform(rng, 0.4, 2.5)

    def ending(begin):
        times = begin + gap * np.arange(rng.integers(1, 6))
        return loud * scatter(times, beeps, n, sample_rate)

    if style == "runs":
        return run
    if style == "beeps":
        level = rng.choice([0.0, rng.uniform(0.02, 0.3)])
        return ending(rng.uniform(0, 0.25 * duration)) + level * run
    cut = rng.uniform(0.2, 0.65) * duration
    t = np.arange(n) / sample_rate - cut
    if style == "ends":
        sig = run * (1 - 1 / (1 + np.exp(np.clip(-t / 0.02, -50, 50))))
        tail = 0.3 * air * (t > 0) * np.exp(-np.maximum(t, 0) / 0.6)
        sig = sig + 0.3 * tail + ending(cut + rng.uniform(0, 0.3))
        opened = cut + rng.uniform(1.5, 4)
        sig += scatter([cut, opened], [0.4 * door, door], n, sample_rate)
        return sig
    if style == "starts":
        times = regular_times(
            rng, rng.uniform(0.25, 0.6), max(cut - 0.2, 0.1), 0.15, 0.05
        )
        sig = loud * scatter(times, keys, n, sample_rate)
        sig += run * (1 - np.exp(-np.maximum(t, 0) / 0.15))
        return sig + scatter(
            [cut], [rng.uniform(0.3, 1) * door], n, sample_rate
        )
    times = np.cumsum(rng.uniform(0.3, 1.6, 3)) - 0.25
    sig = scatter(times, [door], n, sample_rate, np.exp(rng.uniform(-1, 0, 3)))
    return sig + rng.choice([0.0, 0.2]) * run


# --- office ------------------------------------------------------------------


def _sweep(rng, sample_rate, seconds, top):
    """A carriage runs along its rail: speeds up, keeps pace, brakes."""
    n = n_samples(seconds, sample_rate)
    ramp = rng.uniform(0.08, 0.25)
    rate = top * contour([0, 1, 1, 0], n, [0, ramp, 1 - ramp, 1], False)
    slide = band_noise(rng, n, sample_rate, 800, 7000, 1) * rate / top
    return _stepper(rng, rate, sample_rate) + rng.uniform(0.2, 1) * slide


@sound("printer")
def printer(rng, duration, sample_rate):
    """A carriage to and fro and paper fed in jerks (inkjet); a screech of pins.

    Dot-matrix lines buzz; laser printers whir and pull sheets through with a
    clack; receipt printers chatter.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["inkjet", "laser", "dot matrix", "receipt"], p=[0.45, 0.25, 0.2, 0.1]
    )
    feed = _sweep(
        rng, sample_rate, rng.uniform(0.06, 0.3), rng.uniform(150, 700)
    )
    clack = _clunk(rng, sample_rate, rng.uniform(0.4, 1.0))
    sig = np.zeros(n)
    time = rng.uniform(0, 0.3)
    if style == "inkjet":
        top = log_uniform(rng, 250, 1600)
        there = rng.uniform(0.25, 1.1)
        forth = _sweep(rng, sample_rate, there, top)
        back = _sweep(rng, sample_rate, there, top * rng.uniform(0.8, 1.3))
        i = 0
        while time < duration:
            jolt = rng.uniform(0.2, 1.2)
            sig += scatter(
                [time, time + there, time + there + 0.03],
                [back if i % 2 else forth, jolt * clack, 1.5 * feed],
                n,
                sample_rate,
            )
            time += there + rng.choice([0.05, 0.15, 0.4]) + 0.03
            i += 1
    elif style == "laser":
        on = _power(rng, n, sample_rate, (0.1, 0.5), (0.3, 0.9), 0.4)
        sig = _whine(rng, on, sample_rate, log_uniform(rng, 120, 700))
        sig += (
            rng.uniform(0.3, 1.5)
            * on
            * _air(
                rng, n, sample_rate, (0.4, 1.4), log_uniform(rng, 2500, 9000)
            )
        )
        gears = _stepper(rng, on * log_uniform(rng, 25, 180), sample_rate)
        sig = 0.4 * sig + rng.uniform(0.1, 0.6) * gears
        m = n_samples(rng.uniform(0.25, 0.7), sample_rate)
        sheet = band_noise(rng, m, sample_rate, 900, 9000, 1)
        sheet *= swell(m, sample_rate, 0.1, 0.1)
        sheet *= np.abs(1 + 0.5 * wander(rng, m, sample_rate, 40))
        times = regular_times(rng, rng.uniform(0.7, 2.5), duration, 0.05, time)
        grains = [rng.uniform(0.3, 1.2) * sheet, rng.uniform(1, 4) * clack]
        sig += scatter(times, grains[:1], n, sample_rate)
        sig += scatter(times + 0.02, grains[1:], n, sample_rate)
    else:
        line = rng.uniform(0.3, 1.3) if style == "dot matrix" else 0.12
        pins = log_uniform(rng, 350, 1500)
        while time < duration:
            seconds = line * rng.uniform(0.5, 1)
            m = n_samples(seconds, sample_rate)
            words = 0.3 + 0.7 * (wander(rng, m, sample_rate, 14) > -0.5)
            buzz = _stepper(rng, pins * np.ones(m), sample_rate)
            buzz *= words * (1 + 0.3 * noise(rng, m))
            buzz *= swell(m, sample_rate, 0.01, 0.02)
            sig += scatter(
                [time, time + seconds], [buzz, 0.8 * feed], n, sample_rate
            )
            pause = rng.uniform(0.05, 0.4)
            time += seconds + pause * (0.4 if style == "receipt" else 1)
    motor = _mains(rng, n, sample_rate, 0.8)
    return _unit(sig) + log_uniform(rng, 0.005, 0.1) * motor


@sound("typewriter")
def typewriter(rng, duration, sample_rate):
    """Type bars slap a platen: bright metal on rubber, 2-9 a second.

    A bell warns of the line's end, the carriage zips back and bangs home.
    """
    n = n_samples(duration, sample_rate)
    bars = struck_body(rng, 900, 8000, 12, log_uniform(rng, 0.02, 0.1), 0.3)
    frame = struck_body(rng, 120, 1500, 10, 0.09, 0.5)

    def key():
        m = n_samples(0.25, sample_rate)
        slap = _hit(rng, 0.2, sample_rate, bars, 12000, 0.001)
        slap[: len(slap)] += 0.8 * _hit(rng, 0.2, sample_rate, frame, 2500)
        fall = _click(rng, sample_rate, 700, 4000, 0.008)
        late = rng.uniform(0.03, 0.09)
        return scatter(
            [0, late], [slap, rng.uniform(0.1, 0.4) * fall], m, sample_rate
        )

    keys = [key() for _ in range(5)]
    pace = log_uniform(rng, 2.2, 9)
    gaps = (
        np.exp(0.4 * rng.standard_normal(int(3 * pace * duration) + 4)) / pace
    )
    times = rng.uniform(0, 0.3) + np.cumsum(gaps) - gaps[0]
    sig = np.zeros(n)
    if rng.random() < 0.5:
        at = rng.uniform(0.2, 0.8) * duration
        zip_time = rng.uniform(0.25, 0.7)
        m = n_samples(zip_time, sample_rate)
        teeth = log_uniform(rng, 40, 140) * contour([0.5, 1, 1.2], m)
        ratchet = _stepper(rng, teeth, sample_rate)
        ratchet += rng.uniform(0.2, 1) * band_noise(
            rng, m, sample_rate, 600, 6000, 1
        )
        bang = _clunk(rng, sample_rate, 0.9)
        bell = rng.uniform(0.3, 1.0) * _ding(rng, sample_rate, (1800, 4500))
        wait = at + rng.uniform(0.1, 0.7)
        sig = scatter(
            [at, wait, wait + zip_time],
            [bell, 0.2 * ratchet, 1.5 * bang],
            n,
            sample_rate,
        )
        times = times[(times < at) | (times > wait + zip_time + 0.3)]
    times = times[times < duration]
    gains = np.exp(0.25 * rng.standard_normal(len(times)))
    sig += scatter(times, keys, n, sample_rate, gains)
    if rng.random() < 0.2:  # an electric one
        sig += rng.uniform(0.01, 0.1) * _mains(rng, n, sample_rate, 0.7)
    return sig


@sound("camera shutter")
def camera_shutter(rng, duration, sample_rate):
    """A mirror slaps up, curtains snap and it falls back; film is wound on.

    One photo or a burst; compact cameras beep, chirp and whir their lens.
    """
    style = rng.choice(
        ["reflex", "film", "compact", "burst"], p=[0.4, 0.25, 0.15, 0.2]
    )
    low = log_uniform(rng, 300, 1200)
    snaps = [
        _click(rng, sample_rate, low, 9 * low, log_uniform(rng, 0.006, 0.03))
        for _ in range(3)
    ]
    body = struck_body(rng, 150, 1200, 8, 0.04, 0.4)
    thud = rng.uniform(0.2, 1.0) * _hit(rng, 0.1, sample_rate, body, 2000)
    opened = log_uniform(rng, 0.025, 0.15)
    if rng.random() < 0.1:
        opened = rng.uniform(0.2, 1.0)

    def photo(_):
        n = n_samples(opened + (0.9 if style == "film" else 0.2), sample_rate)
        sig = scatter(
            [0, 0.004, opened, opened + rng.uniform(0.01, 0.03)],
            [snaps[0], thud, 0.8 * snaps[1], 0.5 * snaps[2]],
            n,
            sample_rate,
        )
        if style == "film":
            m = n_samples(rng.uniform(0.25, 0.7), sample_rate)
            rate = log_uniform(rng, 60, 500) * contour([0.4, 1, 1, 0.6], m)
            wind = _stepper(rng, rate, sample_rate)
            wind *= swell(m, sample_rate, 0.03, 0.05)
            sig += scatter([opened + 0.06], [0.25 * wind], n, sample_rate)
        if style == "compact":
            focus = _beep(rng, rng.uniform(2000, 4200), 0.05, sample_rate)
            sig = np.concatenate(
                [scatter([0, 0.1], [0.3 * focus], n, sample_rate), sig]
            )
        return sig

    count, gap = (
        ((4, 15), (0.005, 0.2))
        if style == "burst"
        else (
            (1, 4),
            (0.2, 2.0),
        )
    )
    return sequence(rng, photo, duration, sample_rate, count, gap, 0.1)


# --- clocks, beepers and bells -----------------------------------------------


@sound("clock tick")
def clock_tick(rng, duration, sample_rate):
    """An escapement locks: two or three tiny impacts, tick unlike tock.

    Quartz clocks step once a second, alarm clocks tick at 2-5, watches at 5-8
    a second; a grandfather clock knocks slowly in a wooden case.
    """
    style = rng.choice(
        ["quartz", "mantel", "alarm", "watch", "grandfather"],
        p=[0.3, 0.2, 0.25, 0.1, 0.15],
    )
    period, low, decay, wooden, spread = {
        "quartz": (1.0, log_uniform(rng, 900, 3500), 0.006, 0.3, 0.02),
        "mantel": (rng.choice([0.5, 0.6, 0.4]), 1200.0, 0.008, 0.8, 0.02),
        "alarm": (rng.choice([0.25, 0.2, 0.3]), 1800.0, 0.005, 0.5, 0.012),
        "watch": (rng.choice([0.2, 0.167, 0.125]), 3000.0, 0.003, 0.1, 0.006),
        "grandfather": (rng.choice([1.0, 0.8]), 500.0, 0.015, 1.5, 0.04),
    }[style]
    period = period * rng.uniform(0.96, 1.04)
    low = low * log_uniform(rng, 0.6, 1.7)
    high = min(low * rng.uniform(3, 8), 14000)
    decay = decay * log_uniform(rng, 0.5, 2.5)
    case = struck_body(
        rng,
        log_uniform(rng, 120, 900),
        4000,
        8,
        log_uniform(rng, 0.02, 0.3),
        0.4,
    )
    wooden = wooden * rng.uniform(0, 2)
    inner = np.sort(rng.uniform(0, spread, rng.integers(1, 4)))
    inner -= inner[0]
    levels = np.exp(-1.5 * rng.random(len(inner)))

    def beat(pitch):
        n = n_samples(0.3, sample_rate)
        snaps = [
            _click(rng, sample_rate, low * pitch, high * pitch, decay)
            for _ in inner
        ]
        sig = scatter(inner, snaps, n, sample_rate, levels)
        body = modes(n, sample_rate, *case, sig)
        return sig + wooden * normalise(body)

    # The same two sounds again and again are what tells it from typing.
    tock = rng.uniform(0.7, 1.3)
    pair = [beat(1.0), beat(tock) * rng.uniform(0.3, 1.1)]
    if style == "quartz" and rng.random() < 0.7:
        pair = pair[:1]
    limp = rng.uniform(-0.08, 0.08) * (len(pair) > 1)
    times = regular_times(rng, period, duration, 0.002, rng.uniform(0, period))
    times = times + limp * period * (np.arange(len(times)) % 2)
    n = n_samples(duration, sample_rate)
    if len(times) == 0 or times[0] >= 0.9 * duration:
        times = np.array([0.1 * duration])
    gains = np.exp(0.05 * rng.standard_normal(len(times)))
    sig = scatter(times, pair, n, sample_rate, gains)
    if rng.random() < 0.2:  # wheels of a cheap movement
        whirr = tremolo(n, sample_rate, rng.uniform(8, 30), 1.0)
        whirr *= band_noise(rng, n, sample_rate, 2000, 8000)
        sig += rng.uniform(0.002, 0.015) * whirr
    return sig


@sound("clock alarm")
def clock_alarm(rng, duration, sample_rate):
    """Groups of piezo beeps, a buzzer, a rising call, a tune, or two bells.

    Some grow from single beeps to a stream; some tick before they ring, and
    are silenced by a hand.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["groups", "growing", "slow", "buzzer", "bells", "tune"],
        p=[0.36, 0.1, 0.14, 0.12, 0.18, 0.1],
    )
    start = rng.uniform(0, 0.15 * duration)
    tick = _click(rng, sample_rate, 1500, 6000, 0.006)
    if style == "bells":
        wait = duration - start
        bell = _ring(rng, wait, sample_rate, (1400, 4500), (0.08, 0.6))
        if rng.random() < 0.3:
            cut = int(rng.uniform(0.4, 0.9) * len(bell))
            fade = np.arange(len(bell) - cut) / (0.08 * sample_rate)
            bell[cut:] *= np.exp(-fade)
        sig = scatter([start], [bell], n, sample_rate)
        ticks = regular_times(rng, 0.25, duration, 0.0)
        return sig + rng.uniform(0, 0.1) * scatter(
            ticks, [tick], n, sample_rate
        )
    drive = log_uniform(rng, 0.4, 12)  # a square wave has odd harmonics only
    pitch = rng.choice([2048.0, 4096.0, log_uniform(rng, 800, 4200)])
    on, group, rest = log_uniform(rng, 0.04, 0.12), rng.integers(2, 6), 0.0
    gap = on * log_uniform(rng, 0.5, 1.5)
    if style == "groups":
        rest = log_uniform(rng, 0.2, 0.8)
    elif style == "slow":
        on, group = log_uniform(rng, 0.15, 0.7), 1
        gap = on * log_uniform(rng, 0.4, 1.5)
    elif style == "buzzer":
        pitch, on = log_uniform(rng, 90, 600), log_uniform(rng, 0.1, 1.2)
        gap, group = on * log_uniform(rng, 0.2, 1.5), 1
    if style == "growing":  # one a second, two, four, then no pause
        times = [
            start + second + np.arange(beeps) * (on + gap)
            for second, beeps in enumerate((1, 1, 2, 2, 4, 4, 8, 8, 8, 8))
        ]
        times = np.concatenate(times)
        on = min(on, 0.06)
    else:
        cycle = group * (on + gap) + rest
        times = np.arange(start, duration, cycle)[:, None]
        times = np.ravel(times + np.arange(group) * (on + gap))
    tune = [0]
    if style == "tune":
        tune = rng.choice([0, 2, 4, 7, 9, 12, 16], rng.integers(3, 9))
        pitch = log_uniform(rng, 400, 2200)
    elif rng.random() < 0.25:
        tune = [0, rng.choice([2, 4, 5, 7, 12])]
    harsh = style == "buzzer" or rng.random() < 0.15
    fall = rng.choice([0.0, 0.5])

    def make(step):
        sig = _beep(rng, pitch * 2 ** (step / 12), on, sample_rate, drive, fall)
        if harsh:
            sig *= 0.3
            sig += saw(pitch, sample_rate, len(sig)) * swell(
                len(sig), sample_rate, 0.003, 0.01
            )
        return sig

    beeps = [make(step) for step in tune]
    sig = scatter(times[times < duration], beeps, n, sample_rate)
    if rng.random() < 0.7:  # the little speaker rings
        centre = log_uniform(rng, 1500, 5000)
        sig = sig + rng.uniform(0.3, 2) * resonate(
            sig, sample_rate, [centre, centre * 1.9], centre * 0.2
        )
    if rng.random() < 0.2:
        ticks = regular_times(rng, 1.0, duration, 0.0)
        sig += scatter(ticks, [0.1 * tick], n, sample_rate)
    if rng.random() < 0.15:  # a hand puts an end to it
        stop = rng.uniform(0.5, 0.9)
        sig[int(stop * n) :] = 0
        slap = rng.uniform(0.3, 1.2) * _clunk(rng, sample_rate, 0.6)
        sig += scatter([stop * duration], [slap], n, sample_rate)
    return sig


@sound("alarm bell")
def alarm_bell(rng, duration, sample_rate):
    """A fire or school bell: a hammer drums on a steel gong, without a rest.

    Bigger, lower and longer-ringing than an alarm clock's two little bells.
    """
    n = n_samples(duration, sample_rate)
    style = rng.choice(["on", "ends", "bursts"], p=[0.5, 0.3, 0.2])
    start = rng.uniform(0, 0.08 * duration)
    if style == "bursts":
        on = rng.uniform(0.4, 1.5)
        bell = _ring(rng, on, sample_rate, (350, 1800), (0.4, 2.5))
        times = regular_times(rng, on + rng.uniform(0.2, 1), duration, 0, start)
        return scatter(times, [bell], n, sample_rate)
    bell = _ring(rng, duration, sample_rate, (350, 1800), (0.4, 2.5))
    if style == "ends":
        cut = int(rng.uniform(0.35, 0.85) * len(bell))
        t = np.arange(len(bell) - cut) / sample_rate
        bell[cut:] *= np.exp(-t / log_uniform(rng, 0.1, 0.6))
    sig = scatter([start], [bell], n, sample_rate)
    if rng.random() < 0.4:
        sig += rng.uniform(0.01, 0.08) * _mains(rng, n, sample_rate, 0.4)
    return sig


@sound("kitchen timer")
def kitchen_timer(rng, duration, sample_rate):
    """Clockwork that purrs and then rings out, a toaster's pop, an oven's ding."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["clockwork", "toaster", "ding", "digital", "winding"],
        p=[0.35, 0.2, 0.2, 0.15, 0.1],
    )
    end = rng.uniform(0.15, 0.7) * duration
    tick = _click(rng, sample_rate, log_uniform(rng, 1000, 3000), 9000, 0.004)
    ticks = regular_times(rng, 1 / rng.uniform(4, 12), duration, 0.02)
    if style == "ding":
        bell = _ding(rng, sample_rate)
        level = rng.choice([0.0, rng.uniform(0.05, 0.4)])
        times = [end * 0.5, end * 0.5 + rng.uniform(0.15, 1)]
        sig = scatter(times[: rng.integers(1, 3)], [bell], n, sample_rate)
        return sig + level * scatter(ticks[ticks < end], [tick], n, sample_rate)
    if style == "toaster":
        pop = _clunk(rng, sample_rate, rng.uniform(0.5, 1.0))
        spring = _hit(
            rng,
            0.8,
            sample_rate,
            struck_body(rng, 400, 5000, 14, 0.5, 0.3),
            8000,
        )
        slide = _click(rng, sample_rate, 600, 4000, 0.02)
        times, grains = [end, end + 0.01], [pop, rng.uniform(0.2, 0.8) * spring]
        if rng.random() < 0.4:
            times, grains = [*times, 0.1], [*grains, slide]
        if rng.random() < 0.3:
            times = [*times, end + rng.uniform(0, 0.1)]
            grains = [*grains, 0.6 * _ding(rng, sample_rate)]
        buzz = rng.uniform(0, 0.03) * _mains(rng, n, sample_rate, 0.6)
        buzz *= np.arange(n) < end * sample_rate
        return scatter(times, grains, n, sample_rate) + buzz
    if style == "digital":
        on, pitch = rng.uniform(0.05, 0.2), log_uniform(rng, 1800, 4200)
        beep = _beep(rng, pitch, on, sample_rate, log_uniform(rng, 0.4, 8))
        count, rest = rng.integers(2, 5), rng.uniform(0.3, 1)
        times = np.arange(0.05, duration, count * on * 1.8 + rest)[:, None]
        times = np.ravel(times + 1.8 * on * np.arange(count))
        return scatter(times, [beep], n, sample_rate)
    gains = 0.15 * np.exp(0.1 * rng.standard_normal(len(ticks)))
    if style == "winding":
        m = n_samples(rng.uniform(0.4, 1.5), sample_rate)
        rate = log_uniform(rng, 25, 90) * contour(rng.uniform(0.4, 1, 4), m)
        wind = 0.3 * _stepper(rng, rate, sample_rate)
        sig = scatter(ticks, [tick], n, sample_rate, gains)
        return sig + scatter([0.1], [wind], n, sample_rate)
    bell = _ring(
        rng, rng.uniform(0.5, 3.5), sample_rate, (1500, 5000), (0.05, 0.5)
    )
    bell *= contour([1, 0.9, 0.5, 0.0], len(bell))  # the spring runs down
    before = ticks < end
    sig = scatter(ticks[before], [tick], n, sample_rate, gains[before])
    return sig + scatter([end], [bell], n, sample_rate)


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
