"""Birds: from the pure whistle of a songbird to the rough throat of a crow.

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
    normalise,
    percussive,
    phase,
    pulses,
    regular_times,
    scatter,
    sequence,
    soft_clip,
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import sound
from afpt_plugin.synth.throats import call, jittered, join, rhythm, throat


def _flaps(rng, sample_rate, length, rate):
    """Wing claps: soft broad thumps at some rate."""
    n = int(length * sample_rate)
    m = int(0.09 * sample_rate)
    clap = band_noise(rng, m, sample_rate, 80, rng.uniform(1500, 6000), 1)
    clap *= percussive(m, sample_rate, 0.01, 0.1)
    times = regular_times(rng, 1 / rate, length, 0.08)
    return scatter(
        times, [clap], n, sample_rate, rng.uniform(0.5, 1, len(times))
    )


@sound("rooster")
def rooster(rng, duration, sample_rate):
    """Cock-a-doodle-doo: two or three short notes, then a long falling one."""
    top = log_uniform(rng, 560, 1150)
    shape = jittered(rng, [1200, 2300, 3600, 5500], 0.12)
    press = {
        "tilt": log_uniform(rng, 900, 8000),
        "breath": rng.uniform(0.01, 0.15),
        "jitter": rng.uniform(0.003, 0.02),
        "rough": rng.uniform(0, 0.5) ** 2 * 2,
        "gains": [1, 1, 0.7, 0.4],
    }

    def note(length, pitch):
        return call(
            rng,
            sample_rate,
            length,
            [top * p for p in pitch],
            [shape * 0.9, shape * 1.1, shape],
            edges=(0.02, 0.03 + 0.1 * length),
            **press,
        )

    bow = rng.uniform(0.0, 0.35)  # from notes on a level to arched ones
    steps = rng.uniform(0.7, 1.0, 3)

    def crow(i):
        pace = rng.uniform(0.75, 1.35)
        lengths = [0.17, 0.32, 0.23] * np.exp(0.3 * rng.standard_normal(3))
        notes = [
            note(pace * length, [step * (1 - bow), step, 1.02 * step, step])
            for length, step in zip(lengths, steps, strict=True)
        ]
        notes[0] *= 0.6
        fall = rng.uniform(0.4, 0.9)
        last = [1 - bow, 1.03, 1.0, 1.0, 0.97, 0.94, fall]
        notes.append(note(pace * log_uniform(rng, 0.6, 1.8), last))
        if rng.uniform() < 0.3:
            del notes[rng.integers(1, 3)]
        sig = join(notes, sample_rate, rng.uniform(-0.03, 0.07) * pace)
        if rng.uniform() < 0.08:  # it beats its wings first
            flaps = _flaps(rng, sample_rate, 0.6, rng.uniform(6, 10))
            sig = np.concatenate([rng.uniform(0.1, 0.5) * flaps, sig])
        return sig

    if rng.uniform() < 0.25:  # one crow in the middle of the clip
        sig = crow(0)
        lead = np.zeros(int(rng.uniform(0, 0.3) * duration * sample_rate))
        sig = np.concatenate([lead, sig])[: int(duration * sample_rate)]
        sig = np.pad(sig, (0, int(duration * sample_rate) - len(sig)))
    else:
        sig = sequence(
            rng, crow, duration, sample_rate, (1, 2), (0.6, 2.5), 0.15
        )
    if rng.uniform() < 0.3:  # hens or an answering cock around it
        other = hen(rng, duration, sample_rate)
        sig = normalise(sig) + log_uniform(rng, 0.03, 0.2) * normalise(other)
    return sig


def _hen(rng, duration, sample_rate, style):
    """One hen: clucks in a row, a cackle, an alarm or a long whine."""
    f0 = log_uniform(rng, 380, 850)
    shape = jittered(rng, [1000, 1900, 3000, 4600], 0.12)
    shape *= log_uniform(rng, 0.85, 1.6)
    press = {
        "tilt": rng.uniform(2500, 9000),
        "breath": rng.uniform(0.02, 0.3),
        "gains": [1, rng.uniform(0.5, 1), 0.6, 0.35],
        "jitter": 0.02,
    }
    rough = rng.uniform(0, 0.8) ** 2
    size = log_uniform(rng, 0.05, 0.14)
    rise = rng.uniform(0.5, 0.9)

    def cluck(i):
        # Pressed and abruptly opened: it shoots up and falls in some 80 ms.
        length = size * rng.uniform(0.8, 1.25)
        top = f0 * np.exp(0.1 * rng.standard_normal())
        sig = call(
            rng,
            sample_rate,
            length,
            [rise * top, 1.2 * top, 1.1 * top, rng.uniform(0.5, 0.8) * top],
            [0.8 * shape, 1.1 * shape, 0.85 * shape],
            edges=(0.2 * length, 0.6 * length),
            rough=rough * rng.uniform(0.6, 1.4),
            **press,
        )
        if rng.uniform() < 0.25:  # "ba-gok": a softer note leads in
            sig = join([0.4 * sig[: len(sig) // 2], sig], sample_rate, 0.03)
        return sig

    def squawk(i):
        top = f0 * rng.uniform(1.3, 2.0)
        length = rng.uniform(0.25, 0.75)
        sig = call(
            rng,
            sample_rate,
            length,
            [0.5 * top, 0.95 * top, top, 0.95 * top, 0.55 * top],
            [0.8 * shape, 1.2 * shape, 1.1 * shape],
            edges=(0.04, 0.15),
            rough=rough * rng.uniform(0.2, 1.2),
            **press,
        )
        return rng.uniform(1.2, 2.2) * sig

    def whine(i):
        length = rng.uniform(0.4, 1.5)
        steps = f0 * np.exp(0.1 * rng.standard_normal(int(5 * length) + 4))
        sig = call(
            rng,
            sample_rate,
            length,
            0.9 * steps,
            [0.9 * shape, 0.75 * shape, 0.85 * shape],
            edges=(0.1, 0.2),
            rough=0.6 * rough,
            **press,
        )
        shake = tremolo(
            len(sig), sample_rate, rng.uniform(7, 28), rng.uniform(0, 0.7)
        )
        return 0.6 * sig * shake

    if style == "cackle":  # buk buk buk buk ba-gaaawk, and again

        def phrase(i):
            parts = [cluck(k) for k in range(2)]
            order = rng.integers(0, 2, rng.integers(2, 9))
            gap = rng.uniform(0.08, 0.35)
            notes = [parts[k] * rng.uniform(0.6, 1.1) for k in order]
            if rng.uniform() < 0.3:  # the long note first, then it dies down
                return join([squawk(i), *notes], sample_rate, gap)
            return join([*notes, 0.5 * parts[0], squawk(i)], sample_rate, gap)

        return sequence(
            rng, phrase, duration, sample_rate, (1, 4), (0.15, 0.8), 0.15
        )
    if style == "whine":
        long = sequence(
            rng, whine, duration, sample_rate, (1, 4), (0.2, 1.2), 0.3
        )
        return long + 0.7 * rhythm(
            rng, cluck, duration, sample_rate, rng.uniform(0.4, 1.5), 0.3
        )
    bounds = {"cluck": (0.28, 1.0), "brood": (0.16, 0.35)}
    period = log_uniform(rng, *bounds[style])
    return rhythm(
        rng, cluck, duration, sample_rate, period, rng.uniform(0.05, 0.3), 5
    )


@sound("hen")
def hen(rng, duration, sample_rate):
    """Clucks, drawn-out whines and the cackle (buk-buk-buk-bagaaw)."""
    styles = ["cluck", "brood", "cackle", "whine"]
    shares = [0.34, 0.16, 0.36, 0.14]
    sig = normalise(
        _hen(rng, duration, sample_rate, rng.choice(styles, p=shares))
    )
    if rng.uniform() < 0.4:  # a flock
        for _ in range(rng.integers(1, 4)):
            other = _hen(
                rng, duration, sample_rate, rng.choice(styles, p=shares)
            )
            sig = sig + log_uniform(rng, 0.05, 0.8) * normalise(other)
    if rng.uniform() < 0.1:  # chicks peep at her feet
        chick = log_uniform(rng, 3000, 4500)

        def peep(i):
            n = int(rng.uniform(0.05, 0.14) * sample_rate)
            return tone(
                chick * contour([1.1, 1.0, 0.75], n), sample_rate
            ) * swell(n, sample_rate, 0.01, 0.04)

        peeps = rhythm(rng, peep, duration, sample_rate, 0.2, 0.3, 5)
        sig = sig + rng.uniform(0.05, 0.2) * peeps
    if rng.uniform() < 0.12:
        flaps = _flaps(rng, sample_rate, 0.5, rng.uniform(8, 13))
        when = [rng.uniform(0, duration)]
        sig = sig + scatter(when, [0.3 * flaps], len(sig), sample_rate)
    return sig


@sound("crow")
def crow(rng, duration, sample_rate):
    """Caws: harsh, nasal, arched in pitch; one bird or a rookery."""
    kind = rng.choice(["crow", "raven", "rook"], p=[0.6, 0.2, 0.2])
    bounds = {
        "crow": ((330, 620), (0.22, 0.55), (0.4, 1.1)),
        "raven": ((170, 340), (0.18, 0.5), (0.45, 1.6)),
        "rook": ((350, 800), (0.12, 0.35), (0.3, 1.2)),
    }[kind]

    def bird():
        f0 = log_uniform(rng, *bounds[0])
        shape = jittered(rng, [1300, 1950, 2800, 4100], 0.12)
        if kind == "raven":
            shape = 0.85 * shape
        length = log_uniform(rng, *bounds[1])
        period = length + log_uniform(rng, *bounds[2]) * 0.7
        press = {
            "breath": rng.uniform(0.1, 0.5),
            "tilt": rng.uniform(2500, 8000),
            "jitter": rng.uniform(0.01, 0.05),
            "shimmer": 0.25,
            "rough": rng.uniform(0.25, 1.0),
            "gains": [1, 1, 0.5, 0.3],
        }

        def caw(i):
            size = length * rng.uniform(0.85, 1.15)
            start, end = rng.uniform(0.7, 0.9), rng.uniform(0.6, 0.85)
            sig = call(
                rng,
                sample_rate,
                size,
                [start * f0, 1.05 * f0, f0, 0.95 * f0, end * f0],
                [0.85 * shape, 1.1 * shape, 1.05 * shape, 0.85 * shape],
                edges=(0.03, 0.35 * size),
                **press,
            )
            if kind == "raven" and rng.uniform() < 0.4:  # a rolling "kronk"
                sig *= tremolo(len(sig), sample_rate, rng.uniform(25, 60), 0.7)
            sig = soft_clip(sig, rng.uniform(0.5, 2.5))
            return band(sig, sample_rate, low=1.5 * f0)

        if rng.uniform() < 0.7:  # two to six in a row, a rest, and again
            rest = rng.uniform(0.6, 3)

            def series(i):
                caws = [caw(k) for k in range(2)]
                order = rng.integers(0, 2, rng.integers(2, 7))
                gap = max(period - length, 0.05)
                return join([caws[k] for k in order], sample_rate, gap)

            return sequence(
                rng, series, duration, sample_rate, (1, 4), (rest, rest + 1)
            )
        return rhythm(rng, caw, duration, sample_rate, 1.5 * period, 0.3, 4)

    sig = normalise(bird())
    if rng.uniform() < (0.8 if kind == "rook" else 0.3):
        for _ in range(rng.integers(1, 5)):
            sig = sig + log_uniform(rng, 0.05, 0.7) * normalise(bird())
    return sig


def _note(rng, sample_rate, kind, freq, length, timbre):
    """One whistled note of a songbird."""
    n = max(int(length * sample_rate), 16)
    t = np.arange(n) / sample_rate
    bend = rng.uniform(0.1, 0.45)
    if kind == "down":
        curve = contour([1 + bend, 1, 1 - 0.6 * bend], n)
    elif kind == "up":
        curve = contour([1 - 0.6 * bend, 1, 1 + bend], n)
    elif kind == "arch":
        curve = contour([1 - 0.6 * bend, 1 + 0.6 * bend, 1 - 0.5 * bend], n)
    elif kind == "dip":
        curve = contour([1 + bend, 1 - 0.4 * bend, 1 + bend], n)
    elif kind == "quaver":
        curve = 1 + 0.3 * bend * tone(rng.uniform(14, 45), sample_rate, n)
    elif kind == "buzz":
        curve = 1 + 0.06 * np.sin(2 * np.pi * rng.uniform(90, 240) * t)
    else:
        curve = contour([0.98, 1.0, 0.99], n)
    cycles = np.minimum(freq * curve, 0.45 * sample_rate)
    sig = tone(cycles, sample_rate)
    if timbre > 0.05:
        sig += timbre * tone(2 * cycles, sample_rate)
    return sig * swell(n, sample_rate, 0.3 * length, 0.5 * length)


def song(rng, duration, sample_rate):
    """One songbird in one of the ways in which songbirds are heard.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    duration : float
        Length in seconds.
    sample_rate : int
        Rate.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> song(np.random.default_rng(0), 1.0, 8000).shape
    (8000,)
    """
    style = rng.choice(
        ["chirp", "phrase", "trill", "twitter", "two-note", "flute"],
        p=[0.22, 0.25, 0.13, 0.15, 0.1, 0.15],
    )
    low, high = {"flute": (1400, 3200), "chirp": (2300, 5500)}.get(
        style, (2000, 6300)
    )
    centre = log_uniform(rng, low, min(high, 0.35 * sample_rate))
    timbre = rng.uniform(0, 0.35)
    kinds = ["down", "up", "arch", "dip", "quaver", "buzz", "flat"]

    def notes(count, shortest, longest, spread):
        return [
            _note(
                rng,
                sample_rate,
                rng.choice(kinds),
                centre * np.exp(spread * rng.standard_normal()),
                log_uniform(rng, shortest, longest),
                timbre,
            )
            * rng.uniform(0.5, 1)
            for _ in range(count)
        ]

    if style == "chirp":  # sparrows: single chirps, never quite in time
        few = notes(4, 0.04, 0.16, 0.08)
        return rhythm(
            rng,
            lambda i: few[i],
            duration,
            sample_rate,
            log_uniform(rng, 0.18, 1.2),
            0.3,
            4,
        )
    if style == "twitter":  # swallows, finches: a hurried stream
        many = notes(10, 0.02, 0.09, 0.2)
        stream = rhythm(
            rng,
            lambda i: many[i],
            duration,
            sample_rate,
            log_uniform(rng, 0.06, 0.15),
            0.4,
            10,
        )
        talk = wander(rng, len(stream), sample_rate, rng.uniform(0.5, 2))
        return stream * np.clip(talk + rng.uniform(0.2, 1.5), 0, 1)
    if style == "trill":
        pair = notes(rng.integers(1, 3), 0.02, 0.07, 0.1)
        gap = rng.uniform(0.005, 0.06)

        def phrase(i):
            length = rng.uniform(0.5, 2.0)
            repeats = int(length / (len(pair) * (gap + 0.05))) + 2
            sig = join(pair * repeats, sample_rate, gap)
            return sig * contour([0.3, 1, 1, 0.8], len(sig))

    elif style == "two-note":  # tits: tea-cher tea-cher
        pair = notes(rng.integers(2, 4), 0.08, 0.22, 0.12)
        gap = rng.uniform(0.01, 0.06)

        def phrase(i):
            return join(pair * int(rng.integers(2, 8)), sample_rate, gap)

    else:
        slow = style == "flute"
        bank = notes(8, *((0.12, 0.5) if slow else (0.04, 0.22)), 0.25)
        tune = rng.integers(0, 8, rng.integers(3, 9))
        gap = rng.uniform(0.01, 0.12)
        repeat = rng.uniform(0, 0.5)

        def phrase(i):
            parts = []
            for k in tune:
                again = rng.integers(2, 6) if rng.uniform() < repeat else 1
                parts += [bank[k]] * int(again)
            if slow:  # a thrush seldom says the same twice
                rng.shuffle(tune)
            return join(parts, sample_rate, gap)

    return sequence(rng, phrase, duration, sample_rate, (1, 8), (0.2, 2.5), 0.2)


@sound("chirping birds")
def chirping_birds(rng, duration, sample_rate):
    """One to many songbirds, whistling, trilling and chirping."""
    out = np.zeros(int(duration * sample_rate))
    for i in range(rng.choice([1, 2, 3, 5, 8])):
        gain = 1.0 if i == 0 else log_uniform(rng, 0.05, 0.8)
        out += gain * normalise(song(rng, duration, sample_rate))
    return out


@sound("duck")
def duck(rng, duration, sample_rate):
    """Quacks in falling series."""
    f0 = log_uniform(rng, 180, 380)
    shape = jittered(rng, [900, 1700, 2600, 3800], 0.1)

    def quack(i):
        fall = 0.97**i
        return 0.9**i * call(
            rng,
            sample_rate,
            rng.uniform(0.09, 0.28),
            [1.1 * f0 * fall, f0 * fall, 0.8 * f0 * fall],
            [shape, 1.15 * shape],
            edges=(0.01, 0.05),
            breath=0.15,
            tilt=6000,
            jitter=0.03,
            rough=rng.uniform(0.1, 0.5),
            gains=[1, 1, 0.8, 0.4],
        )

    return sequence(
        rng, quack, duration, sample_rate, (2, 16), (0.06, 0.4), 0.15
    )


@sound("owl")
def owl(rng, duration, sample_rate):
    """Hoots: almost pure, low, in a rhythm."""
    f0 = log_uniform(rng, 250, 750)
    quaver = rng.uniform(0, 0.04) * (rng.uniform() < 0.4)

    def hoot(i):
        length = rng.choice([0.15, 0.3, 0.7]) * rng.uniform(0.8, 1.2)
        n = int(length * sample_rate)
        pitch = f0 * contour([0.92, 1.0, 1.0, 0.93], n)
        pitch *= 1 + quaver * tone(11.0, sample_rate, n)
        sig = tone(pitch, sample_rate) + 0.08 * tone(2 * pitch, sample_rate)
        sig += 0.03 * band_noise(rng, n, sample_rate, f0, 4 * f0)
        return sig * swell(n, sample_rate, 0.3 * length, 0.4 * length)

    return sequence(rng, hoot, duration, sample_rate, (2, 8), (0.1, 1.0), 0.15)


@sound("pigeon")
def pigeon(rng, duration, sample_rate):
    """Coos: a hollow, throaty murmur, rolled or in measured syllables."""
    kind = rng.choice(["feral", "wood", "dove"], p=[0.5, 0.3, 0.2])
    f0 = log_uniform(rng, *((420, 650) if kind == "dove" else (240, 460)))
    roll = rng.uniform(16, 32)
    second = rng.uniform(0.03, 0.3)

    def coo(length, stress, rolled):
        n = max(int(length * sample_rate), 16)
        pitch = f0 * stress * contour([0.85, 1.0, 1.03, 0.9], n)
        pitch *= 1 + 0.01 * wander(rng, n, sample_rate, 25)
        if rolled:
            pitch *= 1 + 0.06 * tone(roll, sample_rate, n)
        sig = tone(pitch, sample_rate) + second * tone(2 * pitch, sample_rate)
        sig += 0.06 * band_noise(rng, n, sample_rate, 0.7 * f0, 3 * f0)
        if rolled:
            sig *= tremolo(n, sample_rate, roll, rng.uniform(0.4, 0.9))
        return sig * swell(n, sample_rate, 0.25 * length, 0.4 * length) * stress

    # Long and short, strong and weak syllables: coo COO coo, coo-coo.
    metre = {
        "wood": [(0.35, 1), (0.6, 1.12), (0.5, 1), (0.25, 0.95), (0.3, 0.92)],
        "dove": [(0.35, 1), (0.55, 1.12), (0.3, 0.95)],
    }

    def phrase(i):
        pace = rng.uniform(0.8, 1.25)
        if kind == "feral":
            parts = [
                coo(pace * rng.uniform(0.2, 0.4), 0.9, False),
                coo(pace * rng.uniform(0.5, 1.4), 1.1, True),
                coo(pace * rng.uniform(0.15, 0.4), 0.92, rng.uniform() < 0.5),
            ][rng.integers(0, 2) :]
        else:
            parts = [
                coo(pace * length, stress, kind == "wood" and stress > 1.1)
                for length, stress in metre[kind]
            ]
        return join(parts, sample_rate, rng.uniform(0.02, 0.12) * pace)

    sig = normalise(
        sequence(rng, phrase, duration, sample_rate, (1, 5), (0.1, 1.2), 0.15)
    )
    if rng.uniform() < 0.3:  # another one, or it flies up
        length = min(rng.uniform(0.5, 1.5), duration)
        flaps = _flaps(rng, sample_rate, length, rng.uniform(7, 11))
        when = [rng.uniform(0, duration - length)]
        sig += scatter(when, [normalise(flaps)], len(sig), sample_rate)
    return sig


@sound("seagulls")
def seagulls(rng, duration, sample_rate):
    """Wailing, mewing and laughing gulls, often above the surf."""

    def gull():
        f0 = log_uniform(rng, 650, 1500)
        shape = jittered(rng, [1500, 2600, 3900, 5500], 0.12)
        press = {
            "tilt": rng.uniform(3000, 9000),
            "breath": rng.uniform(0.03, 0.2),
            "rough": rng.uniform(0, 0.4),
            "gains": [1, 1, 0.6, 0.3],
        }

        def kyow(length, bend):
            return call(
                rng,
                sample_rate,
                length,
                [0.7 * f0, bend * f0, 1.05 * f0, f0, 0.65 * f0],
                [0.85 * shape, 1.1 * shape, 0.9 * shape],
                edges=(0.03, 0.3 * length),
                **press,
            )

        def long_call(i):  # two long wails, then a series that speeds up
            step = kyow(rng.uniform(0.16, 0.3), rng.uniform(1, 1.25))
            wails = [kyow(rng.uniform(0.4, 0.9), 1.2)] * int(rng.integers(0, 3))
            series = [step] * int(rng.integers(3, 11))
            gap = rng.uniform(0.02, 0.15)
            return join([*wails, *series], sample_rate, gap)

        def mew(i):
            return kyow(rng.uniform(0.5, 1.3), rng.uniform(0.95, 1.15))

        def laugh(i):
            note = 0.6 * kyow(rng.uniform(0.06, 0.11), 1.0)
            return join(
                [note] * int(rng.integers(3, 6)),
                sample_rate,
                rng.uniform(0.03, 0.1),
            )

        def cry(i):
            return kyow(rng.uniform(0.18, 0.45), rng.uniform(1, 1.3))

        make = [long_call, mew, laugh, cry][
            rng.choice(4, p=[0.3, 0.25, 0.12, 0.33])
        ]
        return sequence(
            rng, make, duration, sample_rate, (1, 5), (0.15, 1.5), 0.3
        )

    sig = normalise(gull())
    for _ in range(rng.choice([0, 0, 1, 3])):
        sig = sig + log_uniform(rng, 0.08, 0.9) * normalise(gull())
    if rng.uniform() < 0.35:
        n = len(sig)
        surf = band_noise(rng, n, sample_rate, 150, rng.uniform(1500, 5000), 1)
        surf *= 1 + 0.7 * tone(rng.uniform(0.1, 0.3), sample_rate, n)
        sig = sig + log_uniform(rng, 0.01, 0.12) * normalise(surf)
    return sig


@sound("turkey")
def turkey(rng, duration, sample_rate):
    """Gobbles (a tumbling series of notes), yelps, clucks and purrs."""

    def bird(kind):
        f0 = log_uniform(rng, 450, 850)
        shape = jittered(rng, [950, 1700, 2800, 4200], 0.12)
        press = {
            "tilt": rng.uniform(2500, 7000),
            "breath": rng.uniform(0.05, 0.25),
            "rough": rng.uniform(0.1, 0.6),
            "gains": [1, 0.9, 0.5, 0.3],
        }

        def gobble(i):
            length = rng.uniform(0.5, 1.3)
            n = max(int(length * sample_rate), 16)
            note = phase(
                rng.uniform(9, 17) * contour([0.9, 1.05, 1], n), sample_rate
            )
            bump = np.sin(np.pi * (note % 1))
            pitch = f0 * contour([0.75, 1.15, 1.0, 0.85, 0.6], n)
            sig = throat(
                rng,
                pitch * (0.75 + 0.5 * bump),
                sample_rate,
                [0.9 * shape, 1.15 * shape, shape, 0.85 * shape],
                **press,
            )
            gate = bump ** rng.uniform(0.8, 2)
            return sig * gate * contour([0.4, 1, 0.9, 0.4], n)

        def yelp(i):
            sig = call(
                rng,
                sample_rate,
                rng.uniform(0.08, 0.2),
                [0.8 * f0, 1.3 * f0, 1.2 * f0, 0.6 * f0],
                [0.9 * shape, 1.1 * shape, 0.8 * shape],
                edges=(0.01, 0.05),
                **press,
            )
            gap = rng.uniform(0.05, 0.2)
            return join([sig] * int(rng.integers(1, 8)), sample_rate, gap)

        def purr(i):
            length = rng.uniform(0.5, 1.5)
            sig = call(
                rng,
                sample_rate,
                length,
                [0.8 * f0, 0.9 * f0, 0.7 * f0],
                shape,
                edges=(0.1, 0.2),
                **press,
            )
            rattle = tremolo(len(sig), sample_rate, rng.uniform(18, 32), 0.95)
            return 0.5 * sig * rattle**2

        make = {"gobble": gobble, "yelp": yelp, "purr": purr}[kind]
        return sequence(
            rng, make, duration, sample_rate, (1, 5), (0.2, 1.5), 0.2
        )

    kinds = ["gobble", "yelp", "purr"]
    sig = normalise(bird(rng.choice(kinds, p=[0.75, 0.15, 0.1])))
    for _ in range(rng.choice([0, 0, 0, 1])):
        other = bird(rng.choice(kinds))
        sig = sig + log_uniform(rng, 0.1, 0.8) * normalise(other)
    return sig


@sound("woodpecker")
def woodpecker(rng, duration, sample_rate):
    """Drum rolls on a hollow trunk."""
    freqs = jittered(rng, [900, 1700, 2900], 0.25)
    rate = rng.uniform(12, 26)

    def roll(i):
        length = rng.uniform(0.4, 1.3)
        n = int((length + 0.1) * sample_rate)
        times = regular_times(rng, 1 / rate, length, 0.03)
        hits = pulses(rng, times, n, sample_rate, 0.1)
        hits *= np.linspace(1, rng.uniform(0.3, 1), n)
        return modes(
            n, sample_rate, freqs, [0.03, 0.02, 0.01], [1, 0.6, 0.4], hits
        )

    return sequence(rng, roll, duration, sample_rate, (1, 4), (0.5, 2.5))
