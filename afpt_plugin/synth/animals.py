"""Animals: throats (voices through formants), wings, syrinxes and files.

Each generator draws a kind of animal first (a big dog, a yelping puppy), then
its pitch, timbre and tempo, then every call anew around them. All share one
form: `make(rng, duration, sample_rate)` returns a mono signal.

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
    noise,
    normalise,
    percussive,
    poisson_times,
    pulses,
    regular_times,
    resonate,
    saw,
    scatter,
    sequence,
    soft_clip,
    swell,
    tone,
    tremolo,
    voice,
    wander,
)
from afpt_plugin.synth.registry import sound


def call(rng, sample_rate, length, pitch, formants, edges=(0.03, 0.08), **kw):
    """One vocal call: a pitch contour, a throat and an envelope.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sample_rate : int
        Rate.
    length : float
        Seconds.
    pitch : list of float
        Values that the pitch passes through.
    formants : list
        As `dsp.voice` takes them.
    edges : tuple of float
        Attack and release in seconds, shortened to fit.
    **kw
        Further options of `dsp.voice`.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> call(rng, 8000, 0.5, [300, 400, 200], [600, 1200]).shape
    (4000,)
    """
    n = max(int(length * sample_rate), 16)
    sig = voice(rng, contour(pitch, n), sample_rate, formants, **kw)
    attack, release = np.minimum(edges, [0.4 * length, 0.5 * length])
    return sig * swell(n, sample_rate, attack, release, rng.uniform(0.5, 1))


def jittered(rng, values, spread=0.08):
    """Values, each off by a log-normal factor: formants of an individual.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    values : list
        Numbers, nested as they like.
    spread : float
        Standard deviation of the logarithm.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> jittered(np.random.default_rng(0), [500, 1500], 0.0).tolist()
    [500.0, 1500.0]
    """
    values = np.asarray(values, dtype=float)
    return values * np.exp(spread * rng.standard_normal(values.shape))


@sound("dog")
def dog(rng, duration, sample_rate):
    """Barks of any size of dog; sometimes yelps, howls or a growl."""
    size = rng.uniform()  # 0 is a small dog
    f0 = 900 * 0.25**size * np.exp(0.2 * rng.standard_normal())
    throat = jittered(rng, [750, 1500, 2700, 4200]) * (1.5 - 0.8 * size)
    kind = rng.choice(
        ["bark", "yelp", "growl", "howl"], p=[0.72, 0.13, 0.1, 0.05]
    )
    length = rng.uniform(0.07, 0.16) + 0.12 * size
    rough = rng.uniform(0.1, 0.9)
    breath = rng.uniform(0.15, 0.6)

    def bark(i):
        top = f0 * np.exp(0.08 * rng.standard_normal())
        start, end = rng.uniform(0.5, 0.8), rng.uniform(0.35, 0.7)
        sig = call(
            rng,
            sample_rate,
            length * rng.uniform(0.8, 1.3),
            [start * top, top, rng.uniform(0.7, 1) * top, end * top],
            [0.7 * throat, 1.1 * throat, 0.8 * throat],
            edges=(rng.uniform(0.005, 0.03), 0.6 * length),
            breath=breath,
            tilt=rng.uniform(1500, 4000),
            jitter=0.02 + 0.06 * rough,
            growl=0.7 * rough,
        )
        return soft_clip(sig, rng.uniform(0.5, 3))

    def yelp(i):
        top = 1.8 * f0 * rng.uniform(0.9, 1.3)
        return call(
            rng,
            sample_rate,
            rng.uniform(0.12, 0.45),
            [0.7 * top, top, 0.5 * top],
            throat,
            breath=0.1,
            tilt=5000,
        )

    def growl(i):
        length = rng.uniform(0.6, 2.0)
        f0 = rng.uniform(60, 130)
        return call(
            rng,
            sample_rate,
            length,
            [f0, 1.2 * f0, f0],
            throat,
            edges=(0.3 * length, 0.4 * length),
            breath=0.5,
            growl=0.9,
            growl_rate=rng.uniform(20, 40),
        )

    def howl(i):
        top = f0 * rng.uniform(0.8, 1.2)
        return call(
            rng,
            sample_rate,
            rng.uniform(1.0, 2.5),
            [0.6 * top, top, top, 0.7 * top],
            0.8 * throat,
            edges=(0.2, 0.5),
            breath=0.08,
        )

    if kind == "growl" and rng.uniform() < 0.6:  # it growls until it barks
        return sequence(
            rng,
            lambda i: growl(i) if i % 3 < 2 else bark(i),
            duration,
            sample_rate,
            (2, 6),
            (0.05, 0.3),
        )
    make = {"bark": bark, "yelp": yelp, "growl": growl, "howl": howl}[kind]
    count = (1, 4) if rng.uniform() < 0.6 else (4, 12)
    gap = (0.12, 0.45) if rng.uniform() < 0.5 else (0.3, 1.3)
    return sequence(rng, make, duration, sample_rate, count, gap)


@sound("rooster")
def rooster(rng, duration, sample_rate):
    """Cock-a-doodle-doo: two or three short notes, then a long falling one."""
    top = log_uniform(rng, 550, 1100)
    throat = jittered(rng, [1200, 2300, 3600, 5500], 0.12)
    press = {
        "tilt": rng.uniform(3000, 9000),
        "breath": rng.uniform(0.02, 0.2),
        "jitter": rng.uniform(0.003, 0.02),
        "growl": rng.uniform(0, 0.35),
        "gains": [1, 1, 0.7, 0.4],
    }

    def note(length, pitch):
        return call(
            rng,
            sample_rate,
            length,
            [top * p for p in pitch],
            [throat * 0.9, throat * 1.1, throat],
            edges=(0.02, 0.05 + 0.15 * length),
            **press,
        )

    def crow(i):
        pace = rng.uniform(0.75, 1.35)
        notes = [
            note(pace * rng.uniform(0.1, 0.25), [0.55, 0.75, 0.7]),
            note(pace * rng.uniform(0.2, 0.45), [0.6, 0.9, 0.92, 0.8]),
            note(pace * rng.uniform(0.12, 0.3), [0.75, 0.98, 0.9]),
            note(
                pace * rng.uniform(0.6, 1.4),
                [0.75, 1.05, 1.0, 0.95, 0.85, rng.uniform(0.35, 0.7)],
            ),
        ]
        if rng.uniform() < 0.25:
            del notes[2]
        gaps = [rng.uniform(0.0, 0.12) * pace for _ in notes]
        parts = []
        for sig, gap in zip(notes, gaps, strict=True):
            parts += [sig, np.zeros(int(gap * sample_rate))]
        return np.concatenate(parts)

    sig = sequence(
        rng, crow, duration, sample_rate, (1, 2), (0.6, 2.5), level=0.15
    )
    if rng.uniform() < 0.25:  # hens around it
        sig = normalise(sig) + 0.15 * normalise(hen(rng, duration, sample_rate))
    return sig


@sound("hen")
def hen(rng, duration, sample_rate):
    """Clucks, drawn-out croons and the cackle (buk-buk-buk-bagaaw)."""
    f0 = log_uniform(rng, 260, 620)
    throat = jittered(rng, [950, 1700, 2900, 4400], 0.15)
    style = rng.choice(
        ["cluck", "cackle", "croon", "flock"], p=[0.4, 0.3, 0.1, 0.2]
    )
    press = {
        "tilt": rng.uniform(2000, 7000),
        "breath": rng.uniform(0.1, 0.4),
        "gains": [1, 0.9, 0.5, 0.3],
    }
    period = log_uniform(rng, 0.18, 0.8)

    def cluck(f0):
        # A pressed, abruptly opened note that falls within some 60 ms.
        length = rng.uniform(0.035, 0.11)
        top = f0 * np.exp(0.12 * rng.standard_normal())
        sig = call(
            rng,
            sample_rate,
            length,
            [0.9 * top, 1.25 * top, top, rng.uniform(0.5, 0.8) * top],
            [throat, 1.1 * throat, 0.8 * throat],
            edges=(0.004, 0.7 * length),
            growl=rng.uniform(0, 0.5),
            jitter=0.03,
            **press,
        )
        if rng.uniform() < 0.3:  # "ba-gok": a softer note leads in
            lead = np.zeros(int(rng.uniform(0.02, 0.05) * sample_rate))
            sig = np.concatenate([0.4 * sig[: len(sig) // 2], lead, sig])
        return sig

    def squawk(f0):
        top = f0 * rng.uniform(1.5, 2.4)
        length = rng.uniform(0.25, 0.8)
        return 1.5 * call(
            rng,
            sample_rate,
            length,
            [0.55 * top, top, top, 0.9 * top, 0.6 * top],
            [0.8 * throat, 1.2 * throat, 1.1 * throat],
            edges=(0.03, 0.15),
            growl=rng.uniform(0.1, 0.6),
            jitter=0.02,
            **press,
        )

    def croon(f0):
        length = rng.uniform(0.4, 1.6)
        steps = f0 * (1 + 0.15 * rng.standard_normal(int(6 * length) + 4))
        return 0.7 * call(
            rng,
            sample_rate,
            length,
            steps,
            [throat, 0.8 * throat, 0.9 * throat],
            edges=(0.1, 0.2),
            growl=rng.uniform(0.2, 0.7),
            growl_rate=rng.uniform(18, 45),
            jitter=0.02,
            **press,
        )

    def bird(f0, period, style):
        times, grains, time = [], [], rng.uniform(0, 2 * period)
        while time < duration:
            draw = rng.uniform()
            if style == "cackle" and draw < 0.22:
                grain = squawk(f0)
            elif draw < (0.8 if style == "croon" else 0.06):
                grain = croon(f0)
            else:
                grain = cluck(f0)
            times.append(time)
            grains.append(grain * np.exp(0.35 * rng.standard_normal()))
            pause = period * np.exp(0.3 * rng.standard_normal())
            if rng.uniform() < 0.08:
                pause += rng.uniform(0.3, 1.2)
            time += 0.6 * len(grain) / sample_rate + pause
        n_samples = int(duration * sample_rate)
        return scatter(times, grains, n_samples, sample_rate)

    sig = bird(f0, period, style)
    if style == "flock":
        for _ in range(rng.integers(1, 5)):
            other = f0 * rng.uniform(0.75, 1.4)
            sig += rng.uniform(0.1, 0.8) * bird(
                other,
                log_uniform(rng, 0.25, 1.2),
                rng.choice(["cluck", "croon", "cackle"]),
            )
    return sig


@sound("pig")
def pig(rng, duration, sample_rate):
    """Grunts (a slow rattling throat), snorts and squeals."""
    throat = jittered(rng, [350, 900, 1800, 3000], 0.2)
    squealing = rng.choice([0.0, 0.3, 0.9], p=[0.55, 0.25, 0.2])
    rate = rng.uniform(35, 110)

    def grunt(i):
        length = rng.uniform(0.1, 0.45)
        n = int(length * sample_rate)
        if rng.uniform() < 0.3:  # a snort: breath rattling the snout
            sig = resonate(
                noise(rng, n, 0.5), sample_rate, throat, 0.3 * throat
            )
            rattle = rate * 0.5 * (1 + 0.2 * wander(rng, n, sample_rate, 20))
            sig *= tremolo(n, sample_rate, np.maximum(rattle, 5), 0.9)
            return normalise(sig) * swell(
                n, sample_rate, 0.4 * length, 0.3 * length
            )
        top = rate * rng.uniform(0.8, 1.3)
        return call(
            rng,
            sample_rate,
            length,
            [0.8 * top, 1.2 * top, 0.7 * top],
            [throat, 1.2 * throat, 0.9 * throat],
            edges=(0.03, 0.6 * length),
            breath=rng.uniform(0.2, 0.6),
            tilt=rng.uniform(800, 3000),
            jitter=0.1,
            shimmer=0.3,
        )

    def squeal(i):
        top = log_uniform(rng, 700, 2200)
        return call(
            rng,
            sample_rate,
            rng.uniform(0.3, 1.4),
            [0.6 * top, top, top * rng.uniform(0.8, 1.2), top, 0.6 * top],
            [1200, 2400, 3800, 5200],
            edges=(0.05, 0.15),
            breath=rng.uniform(0.1, 0.3),
            tilt=8000,
            jitter=0.03,
            growl=rng.uniform(0.2, 0.8),
            gains=[1, 1, 0.8, 0.5],
        )

    def make(i):
        return squeal(i) if rng.uniform() < squealing else grunt(i)

    sig = sequence(rng, make, duration, sample_rate, (2, 14), (0.04, 0.7), 0.4)
    if rng.uniform() < 0.3:  # a sty of them
        sig += rng.uniform(0.2, 0.8) * sequence(
            rng, grunt, duration, sample_rate, (4, 14), (0.05, 0.5), 0.4
        )
    return sig


@sound("cow")
def cow(rng, duration, sample_rate):
    """Moos: a closed hum that opens into a long, strained vowel."""
    f0 = log_uniform(rng, 75, 190) * (1.8 if rng.uniform() < 0.2 else 1)
    size = (120 / f0) ** 0.25
    closed = jittered(rng, [230, 700, 1900, 2900], 0.1) * size
    opened = jittered(rng, [550, 950, 2200, 3300], 0.12) * size
    strain = rng.uniform(0, 0.8)

    def moo(i):
        length = log_uniform(rng, 0.7, 2.8)
        top = f0 * rng.uniform(1.1, 1.7)
        return call(
            rng,
            sample_rate,
            length,
            [f0, 1.1 * f0, top, top, rng.uniform(0.7, 1) * f0],
            [closed, closed, opened, opened, 0.9 * opened],
            edges=(0.15 * length, 0.2 * length),
            breath=rng.uniform(0.03, 0.2),
            tilt=rng.uniform(500, 2500),
            growl=strain,
            growl_rate=rng.choice([None, rng.uniform(20, 60)]),
            shimmer=0.15,
        )

    return sequence(rng, moo, duration, sample_rate, (1, 3), (0.3, 2.0))


@sound("frog")
def frog(rng, duration, sample_rate):
    """Pulsed croaks, bullfrog grunts, peeps; one frog or a pond of them."""
    n_samples = int(duration * sample_rate)

    def animal(kind, carrier):
        rate = {"croak": log_uniform(rng, 25, 120), "bull": rng.uniform(15, 40)}
        length = {
            "croak": log_uniform(rng, 0.12, 0.7),
            "bull": rng.uniform(0.3, 0.9),
        }
        rise = rng.uniform(-0.2, 0.6)
        syllables = rng.integers(1, 4)

        def croak(i):
            if kind == "peep":
                n = int(rng.uniform(0.05, 0.2) * sample_rate)
                freq = carrier * contour([0.92, 1.0, 1.02], n)
                return tone(freq, sample_rate) * swell(
                    n, sample_rate, 0.02, 0.03
                )
            parts = []
            for _ in range(syllables):
                size = length[kind] * rng.uniform(0.7, 1.2) / syllables**0.5
                n = int(size * sample_rate)
                ticks = rate[kind] * (1 + rise * np.linspace(0, 1, n))
                cycle = np.floor(np.cumsum(ticks) / sample_rate)
                hits = np.diff(cycle, prepend=0.0) > 0
                excitation = hits * np.exp(0.2 * rng.standard_normal(n))
                freqs = carrier * np.array([0.5, 1.0, 1.9, 2.9])
                ring = rng.uniform(0.6, 2.0) / ticks.mean()
                sig = modes(
                    n,
                    sample_rate,
                    jittered(rng, freqs, 0.05),
                    [ring, ring, 0.6 * ring, 0.4 * ring],
                    [rng.uniform(0, 0.8), 1, rng.uniform(0.1, 0.8), 0.2],
                    excitation + 0.02 * noise(rng, n),
                )
                parts.append(
                    normalise(sig)
                    * swell(n, sample_rate, 0.3 * size, 0.2 * size)
                )
                parts.append(
                    np.zeros(int(rng.uniform(0.02, 0.12) * sample_rate))
                )
            return np.concatenate(parts)

        if kind == "peep" or rng.uniform() < 0.4:
            return sequence(
                rng, croak, duration, sample_rate, (6, 30), (0.08, 0.6), 0.1
            )
        return sequence(
            rng, croak, duration, sample_rate, (1, 8), (0.15, 1.2), 0.2
        )

    def draw():
        kind = rng.choice(["croak", "bull", "peep"], p=[0.7, 0.15, 0.15])
        bounds = {
            "croak": (500, 2600),
            "bull": (150, 450),
            "peep": (1800, 3200),
        }
        return animal(kind, log_uniform(rng, *bounds[kind]))

    sig = draw()
    if rng.uniform() < 0.45:
        for _ in range(rng.integers(1, 7)):
            sig += rng.uniform(0.1, 0.7) * draw()
    if rng.uniform() < 0.3:
        sig += 0.1 * normalise(crickets(rng, duration, sample_rate))[:n_samples]
    return sig


@sound("cat")
def cat(rng, duration, sample_rate):
    """Meows of cats and kittens, yowls, purring, hissing."""
    f0 = log_uniform(rng, 350, 900)
    mouth = np.array(
        [
            [450, 1500, 2900, 4300],
            [1000, 1800, 3200, 4700],
            [600, 1100, 2900, 4300],
        ]
    )
    mouth = jittered(rng, mouth, 0.08) * (f0 / 550) ** 0.25
    kind = rng.choice(
        ["meow", "yowl", "purr", "hiss"], p=[0.68, 0.14, 0.1, 0.08]
    )
    press = {"tilt": rng.uniform(1200, 5000), "breath": rng.uniform(0.02, 0.2)}

    def meow(i):
        top = f0 * np.exp(0.1 * rng.standard_normal())
        return call(
            rng,
            sample_rate,
            log_uniform(rng, 0.25, 1.2),
            [
                0.75 * top,
                top,
                top * rng.uniform(0.9, 1.1),
                rng.uniform(0.5, 0.9) * top,
            ],
            mouth,
            edges=(0.08, 0.2),
            jitter=0.008,
            **press,
        )

    def yowl(i):
        steps = 0.9 * f0 * np.exp(0.15 * rng.standard_normal(6))
        return call(
            rng,
            sample_rate,
            rng.uniform(0.8, 2.8),
            steps,
            mouth[[0, 1, 2, 1]],
            edges=(0.2, 0.3),
            growl=rng.uniform(0.2, 0.8),
            **press,
        )

    def hiss(i):
        length = rng.uniform(0.3, 1.2)
        n = int(length * sample_rate)
        sig = resonate(
            noise(rng, n),
            sample_rate,
            jittered(rng, [2500, 4500, 7500]),
            2000.0,
        )
        return normalise(sig) * swell(n, sample_rate, 0.03, 0.6 * length)

    if kind == "purr":
        n = int(duration * sample_rate)
        rate = rng.uniform(21, 30) * (1 + 0.04 * wander(rng, n, sample_rate, 3))
        breath = 0.6 + 0.4 * tone(rng.uniform(0.4, 1.0), sample_rate, n)
        sig = band_noise(
            rng, n, sample_rate, 40, log_uniform(rng, 300, 2000), 1
        )
        return sig * tremolo(n, sample_rate, rate, 0.95) ** 2 * breath
    make = {"meow": meow, "yowl": yowl, "hiss": hiss}[kind]
    return sequence(rng, make, duration, sample_rate, (1, 5), (0.15, 1.6))


def _buzz(rng, n, sample_rate, f0):
    """Wing beats: a pulse train whose pitch and distance wander."""
    drift = wander(rng, n, sample_rate, rng.uniform(0.5, 3))
    flutter = wander(rng, n, sample_rate, 25)
    pitch = f0 * np.exp(rng.uniform(0.01, 0.08) * drift + 0.006 * flutter)
    # Two wing strokes that differ make odd and even harmonics differ.
    wings = saw(pitch, sample_rate) + rng.uniform(-0.9, 0.6) * saw(
        pitch, sample_rate, start=0.5
    )
    wings *= 1 + 0.25 * wander(rng, n, sample_rate, 40)
    body = resonate(
        wings,
        sample_rate,
        f0 * rng.uniform(1, 12, 4),
        f0 * rng.uniform(1, 5, 4),
        rng.uniform(0.2, 1.0, 4),
    )
    air = band_noise(rng, n, sample_rate, 2 * f0, 25 * f0, 1) * (0.5 + wings**2)
    return normalise(body + rng.uniform(0.05, 0.5) * wings) + (
        rng.uniform(0.0, 0.08) * air
    )


@sound("insects")
def insects(rng, duration, sample_rate):
    """Flies, bees, wasps and mosquitoes near and far, landing and leaving."""
    n = int(duration * sample_rate)
    kind = rng.choice(
        ["fly", "bee", "mosquito", "several"], p=[0.4, 0.25, 0.15, 0.2]
    )
    bounds = {"fly": (130, 260), "bee": (170, 320), "mosquito": (380, 800)}

    def flight(kind):
        sig = _buzz(rng, n, sample_rate, log_uniform(rng, *bounds[kind]))
        style = rng.choice(["hover", "passes", "bursts"], p=[0.3, 0.4, 0.3])
        if style == "hover":
            near = np.exp(0.5 * wander(rng, n, sample_rate, 1.5))
        elif style == "passes":
            near = np.zeros(n)
            t = np.arange(n) / sample_rate
            for when in rng.uniform(0, duration, rng.integers(1, 5)):
                width = rng.uniform(0.1, 0.9)
                near += rng.uniform(0.3, 1) / (1 + ((t - when) / width) ** 2)
            near = near**2 + 0.01
        else:  # against a window: on and off, sharply
            gate = np.zeros(n)
            time = rng.uniform(0, 0.5)
            while time < duration:
                stay = log_uniform(rng, 0.05, 1.5)
                gate[
                    int(time * sample_rate) : int((time + stay) * sample_rate)
                ] = rng.uniform(0.3, 1)
                time += stay + log_uniform(rng, 0.04, 1.0)
            near = band(gate, sample_rate, high=rng.uniform(8, 30), order=1)
        # Far away it is duller.
        dull = band(sig, sample_rate, high=rng.uniform(800, 3000), order=1)
        near = near / (near.max() + 1e-9)
        return (near * sig + (1 - near) * dull) * near

    if kind == "several":
        out = np.zeros(n)
        for _ in range(rng.integers(2, 6)):
            out += rng.uniform(0.2, 1) * flight(rng.choice(["fly", "bee"]))
        return out
    return flight(kind)


@sound("sheep")
def sheep(rng, duration, sample_rate):
    """Bleats: a nasal vowel with a fast, deep tremor."""
    lamb = rng.uniform() < 0.3

    def animal():
        f0 = log_uniform(rng, 300, 600) if lamb else log_uniform(rng, 110, 280)
        throat = jittered(rng, [650, 1500, 2500, 3600], 0.12) * (
            1.25 if lamb else 1
        )
        rate = rng.uniform(6, 13)
        depth = rng.uniform(0.2, 0.9)
        bend = rng.uniform(0.01, 0.08)
        press = {
            "breath": rng.uniform(0.05, 0.35),
            "tilt": rng.uniform(1200, 5000),
            "growl": rng.uniform(0, 0.5),
        }

        def baa(i):
            length = log_uniform(rng, 0.4, 1.7)
            n = int(length * sample_rate)
            speed = rate * (1 + 0.1 * wander(rng, n, sample_rate, 4))
            pitch = f0 * contour([0.85, 1.1, 1.05, rng.uniform(0.7, 0.95)], n)
            pitch *= 1 + bend * tone(speed, sample_rate)
            nose = 0.7 * throat
            sig = voice(
                rng, pitch, sample_rate, [nose, throat, throat, nose], **press
            )
            sig *= tremolo(n, sample_rate, speed, depth)
            return sig * swell(n, sample_rate, 0.06, 0.25 * length, 0.6)

        return sequence(rng, baa, duration, sample_rate, (1, 4), (0.2, 1.8))

    sig = animal()
    if rng.uniform() < 0.35:
        for _ in range(rng.integers(1, 5)):
            sig += rng.uniform(0.1, 0.6) * animal()
    return sig


@sound("crow")
def crow(rng, duration, sample_rate):
    """Caws: harsh, nasal, of level pitch; one bird or a flock."""

    def bird():
        f0 = log_uniform(rng, 280, 620)
        throat = jittered(rng, [1050, 1700, 2700, 4200], 0.12)
        length = log_uniform(rng, 0.15, 0.6)
        press = {
            "breath": rng.uniform(0.2, 0.6),
            "tilt": rng.uniform(2000, 7000),
            "jitter": rng.uniform(0.03, 0.1),
            "shimmer": 0.3,
            "growl": rng.uniform(0.4, 1.0),
            "gains": [1, 1, 0.5, 0.3],
        }

        def caw(i):
            size = length * rng.uniform(0.8, 1.2)
            sig = call(
                rng,
                sample_rate,
                size,
                [0.8 * f0, f0, f0, rng.uniform(0.7, 0.9) * f0],
                [0.85 * throat, 1.1 * throat, throat, 0.85 * throat],
                edges=(0.03, 0.3 * size),
                **press,
            )
            return soft_clip(sig, 2.0)

        count = (2, 6) if rng.uniform() < 0.7 else (6, 14)
        return sequence(
            rng, caw, duration, sample_rate, count, (0.12, 1.0), 0.15
        )

    sig = bird()
    if rng.uniform() < 0.35:
        for _ in range(rng.integers(1, 6)):
            sig += rng.uniform(0.05, 0.6) * bird()
    return sig


def _song(rng, duration, sample_rate):
    """One bird's repeated phrase of whistled, trilled or buzzing notes."""
    centre = log_uniform(rng, 2000, 7000)
    n_notes = rng.integers(1, 7)
    timbre = rng.uniform(0, 0.3)

    def plan():
        kind = rng.choice(["sweep", "arch", "trill", "flat", "buzz"])
        return (
            kind,
            centre * np.exp(0.25 * rng.standard_normal()),
            rng.uniform(),
        )

    plans = [plan() for _ in range(n_notes)]
    pace = log_uniform(rng, 0.5, 1.6)

    def note(kind, freq, shape):
        length = pace * (0.04 + 0.2 * shape)
        if kind == "trill":
            length *= 2.5
        n = int(length * sample_rate)
        t = np.arange(n) / sample_rate
        if kind == "sweep":
            ends = [1.35, 0.75] if shape > 0.4 else [0.75, 1.3]
            curve = contour(ends, n)
        elif kind == "arch":
            curve = contour([0.8, 1.2, 0.85], n)
        elif kind == "trill":
            rate = 12 + 40 * shape
            curve = 1 + 0.12 * np.sin(2 * np.pi * rate * t)
        elif kind == "buzz":
            curve = 1 + 0.05 * np.sin(2 * np.pi * (90 + 150 * shape) * t)
        else:
            curve = contour([0.98, 1.0, 0.99], n)
        cycles = freq * curve
        sig = tone(cycles, sample_rate) + timbre * tone(2 * cycles, sample_rate)
        return sig * swell(n, sample_rate, 0.25 * length, 0.4 * length)

    def phrase(i):
        parts = []
        for kind, freq, shape in plans:
            repeats = 1 if rng.uniform() < 0.7 else rng.integers(2, 7)
            for _ in range(repeats):
                parts.append(note(kind, freq, shape) * rng.uniform(0.5, 1))
                parts.append(
                    np.zeros(int(pace * rng.uniform(0.01, 0.1) * sample_rate))
                )
        return np.concatenate(parts)

    return sequence(
        rng, phrase, duration, sample_rate, (2, 12), (0.1, 1.5), 0.2
    )


@sound("chirping birds")
def chirping_birds(rng, duration, sample_rate):
    """One to many songbirds, whistling, trilling and chirping."""
    out = np.zeros(int(duration * sample_rate))
    for i in range(rng.integers(1, 9)):
        gain = 1.0 if i == 0 else log_uniform(rng, 0.05, 0.8)
        out += gain * normalise(_song(rng, duration, sample_rate))
    return out


@sound("crickets")
def crickets(rng, duration, sample_rate):
    """Field crickets' chirps and tree crickets' trills, near and far."""
    n_samples = int(duration * sample_rate)
    out = np.zeros(n_samples)
    for i in range(rng.integers(1, 8)):
        carrier = log_uniform(rng, 2300, 7000)
        rate = log_uniform(rng, 20, 90)  # wing strokes per second
        n = int(sample_rate * rng.uniform(0.4, 0.85) / rate)
        bend = rng.uniform(-0.04, 0.02)
        pulse = tone(carrier * np.linspace(1, 1 + bend, n), sample_rate)
        pulse *= np.sin(np.pi * np.linspace(0, 1, n)) ** rng.uniform(0.5, 1.5)
        if rng.uniform() < 0.35:
            times = regular_times(rng, 1 / rate, duration, 0.02)
        else:
            strokes = np.arange(rng.integers(2, 8)) / rate
            period = strokes[-1] + 1 / rate + log_uniform(rng, 0.05, 0.8)
            starts = regular_times(
                rng, period, duration, 0.05, rng.uniform(0, period)
            )
            times = (starts[:, None] + strokes).ravel()
        gain = 1.0 if i == 0 else log_uniform(rng, 0.05, 0.9)
        gains = gain * rng.uniform(0.7, 1.0, len(times))
        out += scatter(times, [pulse], n_samples, sample_rate, gains)
    if rng.uniform() < 0.5:  # the far chorus melts into a band of noise
        low = log_uniform(rng, 3000, 5000)
        far = band_noise(rng, n_samples, sample_rate, low, 1.25 * low)
        far *= 1 + 0.3 * wander(rng, n_samples, sample_rate, 12)
        out += log_uniform(rng, 0.01, 0.15) * far
    return out


# --- extra concepts ----------------------------------------------------------


@sound("goat")
def goat(rng, duration, sample_rate):
    """Bleats, more human and more broken than a sheep's."""
    f0 = log_uniform(rng, 220, 520)
    throat = jittered(rng, [850, 1500, 2800, 3800], 0.1)
    rate = rng.uniform(9, 18)

    def bleat(i):
        length = log_uniform(rng, 0.3, 1.3)
        n = int(length * sample_rate)
        pitch = f0 * contour([0.8, 1.15, 1.0, 0.8], n)
        sig = voice(rng, pitch, sample_rate, throat, breath=0.1, tilt=4000)
        beat = tremolo(n, sample_rate, rate, 0.95) ** 2  # nearly staccato
        return sig * beat * swell(n, sample_rate, 0.04, 0.2 * length)

    return sequence(rng, bleat, duration, sample_rate, (1, 5), (0.2, 1.5))


@sound("duck")
def duck(rng, duration, sample_rate):
    """Quacks in falling series."""
    f0 = log_uniform(rng, 180, 380)
    throat = jittered(rng, [900, 1700, 2600, 3800], 0.1)

    def quack(i):
        fall = 0.97**i
        return 0.9**i * call(
            rng,
            sample_rate,
            rng.uniform(0.09, 0.28),
            [1.1 * f0 * fall, f0 * fall, 0.8 * f0 * fall],
            [throat, 1.15 * throat],
            edges=(0.01, 0.05),
            breath=0.15,
            tilt=6000,
            jitter=0.03,
            growl=rng.uniform(0.2, 0.7),
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


@sound("horse neigh")
def horse_neigh(rng, duration, sample_rate):
    """A shrill start that shakes as it falls, often ending in a snort."""
    throat = jittered(rng, [900, 1900, 3000, 4200], 0.1)

    def neigh(i):
        length = rng.uniform(1.0, 2.6)
        n = int(length * sample_rate)
        top = log_uniform(rng, 700, 1600)
        shake = rng.uniform(9, 15)
        pitch = top * contour([0.6, 1.0, 0.9, 0.6, 0.35], n)
        pitch *= 1 + 0.06 * tone(shake, sample_rate, n)
        sig = voice(rng, pitch, sample_rate, throat, breath=0.15, tilt=4000)
        sig *= tremolo(n, sample_rate, shake, 0.7)
        sig *= swell(n, sample_rate, 0.1, 0.3 * length)
        m = int(rng.uniform(0.3, 0.7) * sample_rate)
        snort = band_noise(rng, m, sample_rate, 150, 2500, 1)
        snort *= tremolo(m, sample_rate, rng.uniform(18, 30), 0.9)
        snort *= swell(m, sample_rate, 0.03, 0.2) * rng.uniform(0, 0.25)
        return np.concatenate([sig, snort])

    return sequence(rng, neigh, duration, sample_rate, (1, 2), (0.3, 1.5))


@sound("cicada")
def cicada(rng, duration, sample_rate):
    """A dense, high, pulsating buzz of tymbals."""
    n = int(duration * sample_rate)
    low = log_uniform(rng, 3000, 7000)
    sig = band_noise(rng, n, sample_rate, low, low * rng.uniform(1.2, 2))
    sig *= tremolo(n, sample_rate, log_uniform(rng, 80, 300), 0.8)
    slow = log_uniform(rng, 0.3, 14)
    sig *= tremolo(n, sample_rate, slow, rng.uniform(0.1, 0.9))
    return sig * np.exp(0.2 * wander(rng, n, sample_rate, 2))


@sound("lion roar")
def lion_roar(rng, duration, sample_rate):
    """Deep, long, rough roars."""
    throat = jittered(rng, [280, 650, 1300, 2400], 0.12)
    f0 = log_uniform(rng, 55, 120)

    def roar(i):
        length = rng.uniform(0.5, 2.4)
        sig = call(
            rng,
            sample_rate,
            length,
            [f0, 1.5 * f0, 1.3 * f0, 0.8 * f0],
            [throat, 1.4 * throat, 0.9 * throat],
            edges=(0.25 * length, 0.5 * length),
            breath=rng.uniform(0.3, 0.6),
            jitter=0.08,
            shimmer=0.3,
            growl=0.9,
            growl_rate=rng.uniform(18, 35),
        )
        return soft_clip(sig, 3.0)

    return sequence(rng, roar, duration, sample_rate, (1, 4), (0.15, 0.9))


@sound("bee swarm")
def bee_swarm(rng, duration, sample_rate):
    """Dozens of bees: their beats blur into a coarse hum."""
    n = int(duration * sample_rate)
    out = np.zeros(n)
    f0 = log_uniform(rng, 180, 280)
    for _ in range(6):
        start, pitch = rng.uniform(), f0 * np.exp(0.12 * rng.standard_normal())
        drift = 1 + 0.04 * wander(rng, n, sample_rate, 2)
        near = np.exp(0.6 * wander(rng, n, sample_rate, 1))
        out += near * saw(pitch * drift, sample_rate, start=start)
    hum = resonate(out, sample_rate, f0 * np.array([1, 2, 4, 7]), f0)
    return normalise(hum) + 0.1 * normalise(out)


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


@sound("rattlesnake")
def rattlesnake(rng, duration, sample_rate):
    """A dry rattle of dozens of clicks a second that comes and goes."""
    n = int(duration * sample_rate)
    times = regular_times(rng, 1 / rng.uniform(45, 90), duration, 0.2)
    grain = band_noise(rng, int(0.008 * sample_rate), sample_rate, 3000, 12000)
    grain *= percussive(len(grain), sample_rate, 0.0005, 0.008)
    sig = scatter(
        times, [grain], n, sample_rate, rng.uniform(0.5, 1, len(times))
    )
    sig += 0.1 * scatter(
        poisson_times(rng, 300, duration), [grain], n, sample_rate
    )
    return sig * np.clip(0.6 + 0.5 * wander(rng, n, sample_rate, 1.0), 0.02, 1)
