"""Animals on legs and insects' wings: throats, snouts, purrs and wing beats.

Each generator draws a kind of animal first (a big dog, a yelping puppy), then
its pitch, timbre and tempo, then every call anew around them. All share one
form: `make(rng, duration, sample_rate)` returns a mono signal. Birds are in
`birds`, what they share in `throats`.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.synth.birds import song
from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    contour,
    log_uniform,
    modes,
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
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import sound
from afpt_plugin.synth.throats import call, jittered, join, rhythm, throat


def _outdoors(rng, sig, duration, sample_rate):
    """Now and then a bird is heard behind."""
    if rng.uniform() < 0.15:
        bird = normalise(song(rng, duration, sample_rate))
        sig = normalise(sig) + log_uniform(rng, 0.01, 0.1) * bird
    return sig


@sound("dog")
def dog(rng, duration, sample_rate):
    """Barks of any size of dog; sometimes yelps, howls or a growl."""
    size = rng.uniform()  # 0 is a small dog
    f0 = 900 * 0.25**size * np.exp(0.2 * rng.standard_normal())
    mouth = jittered(rng, [750, 1500, 2700, 4200]) * (1.5 - 0.8 * size)
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
            [0.7 * mouth, 1.1 * mouth, 0.8 * mouth],
            edges=(rng.uniform(0.005, 0.03), 0.6 * length),
            breath=breath,
            tilt=rng.uniform(1500, 4000),
            jitter=0.02 + 0.04 * rough,
            rough=0.8 * rough,
        )
        return soft_clip(sig, rng.uniform(0.5, 3))

    def yelp(i):
        top = 1.8 * f0 * rng.uniform(0.9, 1.3)
        return call(
            rng,
            sample_rate,
            rng.uniform(0.12, 0.45),
            [0.7 * top, top, 0.5 * top],
            mouth,
            breath=0.1,
            tilt=5000,
        )

    def growl(i):
        length = rng.uniform(0.6, 2.0)
        f0 = rng.uniform(55, 130)
        sig = call(
            rng,
            sample_rate,
            length,
            [f0, 1.2 * f0, f0],
            mouth,
            edges=(0.3 * length, 0.4 * length),
            breath=0.5,
            rough=0.8,
        )
        return sig * tremolo(len(sig), sample_rate, rng.uniform(20, 40), 0.6)

    def howl(i):
        top = f0 * rng.uniform(0.8, 1.2)
        return call(
            rng,
            sample_rate,
            rng.uniform(1.0, 2.5),
            [0.6 * top, top, top, 0.7 * top],
            0.8 * mouth,
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


@sound("wolf howl")
def wolf_howl(rng, duration, sample_rate):
    """Long, nearly pure glides that break upwards and sink; alone or a pack."""

    def wolf():
        f0 = log_uniform(rng, 260, 750)
        press = rng.uniform(0.3, 2.5)

        def howl(i):
            length = min(rng.uniform(1.5, 5.0), duration)
            n = int(length * sample_rate)
            start, end = rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.95)
            pitch = f0 * contour(
                [start, rng.uniform(1, 1.25), 1.0, rng.uniform(0.9, 1.05), end],
                n,
                [0, rng.uniform(0.04, 0.2), 0.4, 0.75, 1],
            )
            pitch *= 1 + 0.006 * wander(rng, n, sample_rate, 12)
            loud = swell(n, sample_rate, 0.12 * length, 0.4 * length)
            # The louder, the richer in harmonics.
            sig = np.tanh(press * loud * (tone(pitch, sample_rate) + 0.3))
            sig = band(sig, sample_rate, 0.5 * f0, rng.uniform(2, 6) * f0, 1)
            return normalise(sig) + rng.uniform(0, 0.01) * loud * noise(rng, n)

        return sequence(
            rng, howl, duration, sample_rate, (1, 3), (0.2, 2.0), 0.2
        )

    sig = normalise(wolf())
    for _ in range(rng.choice([0, 0, 1, 2])):
        sig = sig + log_uniform(rng, 0.1, 0.9) * normalise(wolf())
    return sig


def _snout(rng, length, sample_rate, formants, rate):
    """Breath that rattles a wet snout: a snort or a sniff."""
    n = max(int(length * sample_rate), 16)
    flutter = rate * (1 + 0.3 * wander(rng, n, sample_rate, 20))
    sig = resonate(
        noise(rng, n, 0.8),
        sample_rate,
        formants,
        0.4 * formants,
        0.6 ** np.arange(len(formants)),
    )
    sig *= tremolo(n, sample_rate, np.maximum(flutter, 4), rng.uniform(0.3, 1))
    return normalise(sig) * swell(
        n, sample_rate, rng.uniform(0.1, 0.5) * length, 0.4 * length
    )


@sound("pig")
def pig(rng, duration, sample_rate):
    """Grunts (a slow rattling throat), oinks, snuffles, screams of piglets."""
    nose = jittered(rng, [380, 1000, 2100, 3300], 0.15)

    def grunter(style):
        rate = log_uniform(rng, 45, 130)
        harsh = rng.uniform(0.4, 1.0)
        wet = rng.uniform(0.15, 0.6)
        if rng.uniform() < 0.35:  # more of a voice than of a rattle
            rate, harsh, wet = 2.6 * rate, 0.5 * harsh, 0.5 * wet
        tilt = log_uniform(rng, 350, 3500)
        base = log_uniform(rng, 0.1, 0.4)

        def grunt(i):
            length = base * rng.uniform(0.7, 1.4)
            top = rate * rng.uniform(0.85, 1.2)
            rise = rng.uniform(0.9, 1.8) if style == "oink" else 1.0
            sig = call(
                rng,
                sample_rate,
                length,
                [0.8 * top, 1.15 * top, rise * top, 0.75 * rise * top],
                [0.8 * nose, 1.15 * nose, rise**0.5 * nose, 0.85 * nose],
                edges=(0.03, 0.6 * length),
                breath=wet,
                tilt=tilt,
                jitter=0.05,
                shimmer=0.25,
                rough=harsh,
                gains=[1, 0.9, 0.7, 0.5],
            )
            if style == "oink" and rng.uniform() < 0.6:
                tail = _snout(
                    rng, 0.6 * length, sample_rate, 1.3 * nose, 0.5 * rate
                )
                sig = np.concatenate([sig, rng.uniform(0.2, 0.8) * tail])
            return sig

        def snuffle(i):
            length = rng.uniform(0.08, 0.35)
            size = rng.uniform(0.7, 1.5)
            return rng.uniform(0.3, 1) * _snout(
                rng, length, sample_rate, size * nose, 0.5 * rate
            )

        if style == "feed":  # a hurried to and fro of snuffles and grunts
            share = rng.uniform(0.2, 0.8)
            return rhythm(
                rng,
                lambda i: grunt(i) if rng.uniform() < share else snuffle(i),
                duration,
                sample_rate,
                log_uniform(rng, 0.16, 0.45),
                0.25,
                8,
            )
        if rng.uniform() < 0.5:
            return rhythm(
                rng,
                grunt,
                duration,
                sample_rate,
                base + log_uniform(rng, 0.08, 0.9),
                0.2,
                5,
                few=0.3,
            )
        return sequence(
            rng,
            lambda i: snuffle(i) if rng.uniform() < 0.2 else grunt(i),
            duration,
            sample_rate,
            (1, 9),
            (0.05, 1.2),
        )

    def squealer():
        f0 = log_uniform(rng, 550, 3000)
        mouth = jittered(rng, [1300, 2500, 3900, 5600], 0.12)
        harsh = rng.uniform(0.1, 0.9)
        length = log_uniform(rng, 0.25, 1.4)

        def squeal(i):
            size = length * rng.uniform(0.6, 1.4)
            steps = f0 * np.exp(0.12 * rng.standard_normal(4))
            sig = call(
                rng,
                sample_rate,
                size,
                [rng.uniform(0.4, 0.9) * f0, *steps, 0.6 * f0],
                [0.85 * mouth, 1.1 * mouth, mouth],
                edges=(0.03, 0.12),
                breath=rng.uniform(0.05, 0.35),
                tilt=8000,
                jitter=0.02,
                rough=harsh * rng.uniform(0.5, 1.2),
                gains=[1, 1, 0.8, 0.5],
            )
            shake = rng.uniform(7, 25)
            return sig * tremolo(
                len(sig), sample_rate, shake, rng.uniform(0, 0.6)
            )

        return sequence(
            rng, squeal, duration, sample_rate, (1, 8), (0.04, 0.8), 0.25
        )

    styles = ["grunt", "oink", "feed"]
    kind = rng.choice([*styles, "squeal", "sty"], p=[0.25, 0.15, 0.2, 0.2, 0.2])
    if kind == "squeal":
        sig = normalise(squealer())
        if rng.uniform() < 0.5:
            sig = sig + rng.uniform(0.1, 0.6) * normalise(grunter("grunt"))
    elif kind == "sty":
        sig = normalise(grunter(rng.choice(styles)))
        for _ in range(rng.integers(1, 4)):
            other = squealer() if rng.uniform() < 0.4 else grunter("feed")
            sig = sig + log_uniform(rng, 0.1, 0.9) * normalise(other)
    else:
        sig = grunter(kind)
    return _outdoors(rng, sig, duration, sample_rate)


@sound("cow")
def cow(rng, duration, sample_rate):
    """Moos: a closed hum that opens into a long, strained vowel."""
    f0 = log_uniform(rng, 75, 190) * (1.8 if rng.uniform() < 0.2 else 1)
    size = (120 / f0) ** 0.25
    closed = jittered(rng, [230, 700, 1900, 2900], 0.1) * size
    opened = jittered(rng, [550, 950, 2200, 3300], 0.12) * size
    strain = rng.uniform(0, 0.6)

    def moo(i):
        length = log_uniform(rng, 0.7, 2.8)
        top = f0 * rng.uniform(1.1, 1.7)
        hum = [closed] * int(rng.integers(1, 3))
        return call(
            rng,
            sample_rate,
            length,
            [f0, 1.1 * f0, top, top, rng.uniform(0.7, 1) * f0],
            [*hum, opened, opened, 0.9 * opened],
            edges=(0.15 * length, 0.2 * length),
            breath=rng.uniform(0.03, 0.2),
            tilt=rng.uniform(500, 3500),
            rough=strain * rng.uniform(0.5, 1.2),
            shimmer=0.15,
        )

    sig = sequence(rng, moo, duration, sample_rate, (1, 3), (0.3, 2.0))
    return _outdoors(rng, sig, duration, sample_rate)


# Of each call: main resonance (Hz), pulses a second, seconds of a syllable,
# syllables, pause between them, seconds from call to call.
FROGS = {
    "ribbit": ((650, 1900), (35, 120), (0.07, 0.3), (1, 3), 0.05, (0.6, 2.4)),
    "rasp": ((900, 2700), (60, 200), (0.05, 0.16), (1, 1), 0.0, (0.17, 0.55)),
    "laugh": ((800, 2300), (60, 170), (0.035, 0.09), (4, 14), 0.06, (1.4, 4)),
    "creak": ((700, 2400), (18, 55), (0.25, 1.2), (1, 1), 0.0, (0.8, 3)),
    "trill": ((1100, 2400), (12, 45), (1.5, 6), (1, 1), 0.0, (2.5, 8)),
    "bull": ((190, 450), (80, 170), (0.35, 1.0), (1, 2), 0.1, (0.8, 2.2)),
}


def _frog(rng, kind, duration, sample_rate):
    """One frog: a pulsed throat sac, a plucked note or a whistle."""
    if kind == "peep":  # tree frogs: short rising whistles
        freq = log_uniform(rng, 1700, 3100)
        length = log_uniform(rng, 0.04, 0.22)
        bend = rng.uniform(0.0, 0.12)

        def peep(i):
            n = int(length * sample_rate)
            cycles = freq * contour([1 - bend, 1.0, 1 + 0.3 * bend], n)
            return tone(cycles, sample_rate) * swell(
                n, sample_rate, 0.2 * length, 0.3 * length
            )

        period = length + log_uniform(rng, 0.12, 1.0)
        return rhythm(rng, peep, duration, sample_rate, period, 0.06)
    if kind == "pluck":  # green frogs: a loose banjo string, "gunk"
        freq = log_uniform(rng, 180, 550)
        fade = rng.uniform(0.12, 0.35)
        body = jittered(rng, freq * np.array([1.0, 2.1, 4.2, 6.5]), 0.08)

        def pluck(i):
            n = int(1.2 * fade * sample_rate)
            pitch = freq * contour([1.15, 1.0, 0.93], n)
            sig = resonate(
                saw(pitch, sample_rate), sample_rate, body, 0.3 * freq
            )
            sig *= percussive(n, sample_rate, 0.008, fade)
            count = rng.integers(1, 4)
            notes = [sig * 0.75**k for k in range(count)]
            return join(notes, sample_rate, rng.uniform(0.0, 0.1))

        period = log_uniform(rng, 0.7, 3.0)
        return rhythm(rng, pluck, duration, sample_rate, period, 0.2, few=0.3)
    base, rate, size, syllables, gap, period = FROGS[kind]
    base, rate = log_uniform(rng, *base), log_uniform(rng, *rate)
    size, period = log_uniform(rng, *size), log_uniform(rng, *period)
    count = int(rng.integers(syllables[0], syllables[1] + 1))
    rise = rng.uniform(-0.3, 0.6)
    ratio = np.array([0.5, 1.0, rng.uniform(1.6, 2.4), rng.uniform(2.8, 4)])
    # A tight sac rings, a slack one rattles.
    width = (0.05 if kind == "trill" else log_uniform(rng, 0.06, 0.35)) * base
    decays = 2.2 / (width * np.array([1.0, 1.0, 1.5, 2.0]))
    low = max(rng.uniform(-0.4, 0.5), 0)
    gains = np.array([low, 1, log_uniform(rng, 0.15, 1.5), 0.25])
    if kind == "trill":
        gains[[0, 2, 3]] *= 0.15
    freqs = base * ratio
    attack = rng.uniform(0.1, 0.85)
    spread = rng.uniform(0.05, 0.4)
    hoarse = rng.uniform(0.0, 0.06)

    def croak(i):
        parts = []
        for k in range(min(count, 2)):
            n = max(int(size * rng.uniform(0.85, 1.15) * sample_rate), 64)
            pace = rate * (1 + rise * np.linspace(0, 1, n))
            hits = np.diff(phase(pace, sample_rate).astype(int), prepend=0)
            source = hits * np.exp(spread * rng.standard_normal(n))
            source = source + hoarse * noise(rng, n) * (kind != "trill")
            sig = modes(
                n,
                sample_rate,
                jittered(rng, freqs * (1 + 0.12 * k), 0.02),
                decays,
                gains,
                source,
            )
            if not low:  # a small throat gives off nothing below its sac
                sig = band(sig, sample_rate, low=0.7 * base)
            shape = swell(n, sample_rate, attack * size, 0.15 * size)
            parts.append(normalise(sig) * shape)
        series = [parts[k % len(parts)] for k in range(count)]
        loud = contour([0.5, 1.0, 0.9], count) if count > 3 else np.ones(count)
        series = [gain * part for gain, part in zip(loud, series, strict=True)]
        return join(series, sample_rate, gap * rng.uniform(0.6, 1.5))

    period = max(period, 0.6 * count * size)
    few = 0.35 if kind in ("ribbit", "creak", "bull") else 0.1
    return rhythm(
        rng, croak, duration, sample_rate, period, 0.1, variants=2, few=few
    )


@sound("frog")
def frog(rng, duration, sample_rate):
    """Ribbits, rasps, laughs, trills, plucked notes; one frog or a pond."""
    kinds = [*FROGS, "peep", "pluck"]
    shares = [0.28, 0.17, 0.12, 0.13, 0.07, 0.08, 0.08, 0.07]
    kind = rng.choice(kinds, p=shares)
    sig = normalise(_frog(rng, kind, duration, sample_rate))
    if rng.uniform() < 0.2:  # farther off they melt into two bands
        n = len(sig)
        low = log_uniform(rng, 700, 1600)
        far = resonate(
            noise(rng, n),
            sample_rate,
            low * np.array([1, rng.uniform(1.6, 2.6)]),
            rng.uniform(0.1, 0.4) * low,
            [1, rng.uniform(0.2, 1.2)],
        )
        far *= 1 + 0.4 * wander(rng, n, sample_rate, log_uniform(rng, 3, 25))
        sig = sig + log_uniform(rng, 0.03, 1) * normalise(far)
    if rng.uniform() < 0.5:  # a pond, mostly of one kind
        mixed = rng.uniform(0, 0.5)
        for _ in range(rng.integers(1, 8)):
            other = rng.choice(kinds, p=shares)
            other = other if rng.uniform() < mixed else kind
            more = normalise(_frog(rng, other, duration, sample_rate))
            sig = sig + log_uniform(rng, 0.08, 0.9) * more
    if rng.uniform() < 0.2:
        night = normalise(crickets(rng, duration, sample_rate))
        sig = sig + log_uniform(rng, 0.01, 0.1) * night
    return sig


@sound("cat")
def cat(rng, duration, sample_rate):
    """Meows of cats and kittens, trills, yowls, hissing, seldom a purr."""
    f0 = log_uniform(rng, 320, 950)
    mouth = np.array(
        [
            [450, 1500, 2900, 4300],
            [1000, 1800, 3200, 4700],
            [600, 1100, 2900, 4300],
        ]
    )
    mouth = jittered(rng, mouth, 0.08) * (f0 / 550) ** 0.25
    kind = rng.choice(
        ["meow", "yowl", "trill", "purr", "hiss"],
        p=[0.68, 0.13, 0.06, 0.04, 0.09],
    )
    press = {
        "tilt": rng.uniform(1200, 6000),
        "breath": rng.uniform(0.02, 0.2),
        "jitter": 0.006,
    }
    pace = log_uniform(rng, 0.25, 1.1)

    def meow(i):
        top = f0 * np.exp(0.1 * rng.standard_normal())
        start, end = rng.uniform(0.6, 0.95), rng.uniform(0.5, 0.95)
        lips = mouth if rng.uniform() < 0.7 else mouth[[0, 1, 1]]
        sig = call(
            rng,
            sample_rate,
            pace * rng.uniform(0.8, 1.3),
            [start * top, top, top * rng.uniform(0.9, 1.1), end * top],
            lips,
            edges=(0.08, 0.2),
            rough=rng.uniform(0, 0.5) ** 2,
            **press,
        )
        if rng.uniform() < 0.1:  # "brr-meow"
            trill = sig[: len(sig) // 3]
            shake = tremolo(len(trill), sample_rate, 24.0, 0.9)
            sig = np.concatenate([0.5 * trill * shake, sig])
        return sig

    def trill(i):
        sig = call(
            rng,
            sample_rate,
            rng.uniform(0.25, 0.6),
            [0.7 * f0, 0.8 * f0, f0],
            mouth[0],
            edges=(0.03, 0.08),
            **press,
        )
        return sig * tremolo(len(sig), sample_rate, rng.uniform(20, 30), 0.9)

    def yowl(i):
        steps = 0.9 * f0 * np.exp(0.15 * rng.standard_normal(6))
        return call(
            rng,
            sample_rate,
            rng.uniform(0.8, 2.8),
            steps,
            mouth[[0, 1, 2, 1]],
            edges=(0.2, 0.3),
            rough=rng.uniform(0.1, 0.6),
            **press,
        )

    def hiss(i):
        length = rng.uniform(0.3, 1.2)
        n = int(length * sample_rate)
        sig = resonate(
            noise(rng, n), sample_rate, jittered(rng, [2500, 4500, 7500]), 2000
        )
        return normalise(sig) * swell(n, sample_rate, 0.03, 0.6 * length)

    if kind == "purr":
        return cat_purr(rng, duration, sample_rate)
    make = {"meow": meow, "yowl": yowl, "hiss": hiss, "trill": trill}[kind]
    sig = sequence(rng, make, duration, sample_rate, (1, 5), (0.15, 1.6))
    if kind == "yowl" and rng.uniform() < 0.4:  # a fight
        sig += 0.6 * sequence(
            rng, hiss, duration, sample_rate, (1, 4), (0.3, 1.2)
        )
    return sig


@sound("cat purr")
def cat_purr(rng, duration, sample_rate):
    """Some 25 soft thumps a second, in the breath's slow in and out."""
    n = int(duration * sample_rate)
    t = np.arange(n) / sample_rate
    rate = rng.uniform(20, 31)
    cycle = rng.uniform(0.45, 1.1) * (1 + 0.1 * wander(rng, n, sample_rate, 1))
    where = phase(cycle, sample_rate, start=rng.uniform()) % 1
    split = rng.uniform(0.4, 0.6)
    inward = where < split  # breathing in is weaker, duller and faster
    gate = np.where(
        inward,
        np.sin(np.pi * where / split),
        np.sin(np.pi * (where - split) / (1 - split)),
    )
    gate = np.abs(gate) ** rng.uniform(0.2, 0.7)
    gate *= np.where(inward, rng.uniform(0.25, 1), 1)
    pace = rate * np.where(inward, rng.uniform(1, 1.15), 1)
    hits = np.diff(phase(pace, sample_rate).astype(int), prepend=0)
    source = hits * np.exp(0.3 * rng.standard_normal(n)) * gate
    low = log_uniform(rng, 45, 150)
    freqs = low * jittered(rng, [1, 2.1, 4.2, 8.5, 17], 0.2)
    slope = rng.uniform(0.3, 1.3)
    decays = rng.uniform(0.012, 0.05) * (freqs / low) ** -0.3
    thumps = modes(
        n, sample_rate, freqs, decays, (freqs / low) ** -slope, source
    )
    rattle = band_noise(rng, n, sample_rate, 80, log_uniform(rng, 700, 5000), 1)
    rattle *= tremolo(n, sample_rate, pace, 0.9) ** 2 * gate
    sig = normalise(thumps) + log_uniform(rng, 0.02, 0.4) * normalise(rattle)
    if rng.uniform() < 0.25:  # it is stroked, or the breath is heard
        rustle = band_noise(rng, n, sample_rate, 1000, 7000, 1)
        strokes = np.clip(np.sin(2 * np.pi * rng.uniform(0.3, 1) * t), 0, 1)
        sig += log_uniform(rng, 0.005, 0.05) * rustle * strokes
    return sig


@sound("sheep")
def sheep(rng, duration, sample_rate):
    """Bleats: a nasal vowel with a fast, deep tremor."""
    lamb = rng.uniform() < 0.3

    def animal():
        f0 = log_uniform(rng, 300, 620) if lamb else log_uniform(rng, 110, 300)
        mouth = jittered(rng, [650, 1500, 2500, 3600], 0.12) * (
            1.25 if lamb else 1
        )
        rate = rng.uniform(5.5, 12)
        depth = rng.uniform(0.05, 0.9)
        bend = rng.uniform(0.01, 0.09)
        base = log_uniform(rng, 0.45, 1.4)
        press = {
            "breath": rng.uniform(0.05, 0.4),
            "tilt": rng.uniform(1200, 6000),
            "rough": rng.uniform(0, 0.85) ** 2,
            "gains": [1, rng.uniform(0.6, 1), 0.7, 0.4],
        }

        def baa(i):
            length = base * rng.uniform(0.8, 1.25)
            n = int(length * sample_rate)
            speed = rate * (1 + 0.1 * wander(rng, n, sample_rate, 4))
            pitch = f0 * contour([0.85, 1.1, 1.05, rng.uniform(0.7, 0.95)], n)
            shake = tone(speed, sample_rate)
            pitch *= 1 + bend * shake
            nose = 0.7 * mouth
            sig = call(
                rng,
                sample_rate,
                length,
                pitch[:: max(n // 200, 1)],
                [nose, mouth, mouth, nose],
                edges=(0.06, 0.25 * length),
                **press,
            )
            m = min(n, len(sig))
            start = np.clip(np.linspace(0, 4, m), 0, 1)  # it begins steadily
            return sig[:m] * (1 - start * depth * (0.5 + 0.5 * shake[:m]))

        return sequence(rng, baa, duration, sample_rate, (1, 3), (0.2, 1.8))

    sig = normalise(animal())
    if rng.uniform() < 0.4:
        for _ in range(rng.integers(1, 3)):
            sig = sig + log_uniform(rng, 0.05, 0.7) * normalise(animal())
    if rng.uniform() < 0.1:  # bells of a flock
        freqs = jittered(rng, [1900, 3100, 4700], 0.2)
        bell = modes(
            int(0.3 * sample_rate), sample_rate, freqs, [0.3] * 3, [1, 0.7, 0.5]
        )
        times = poisson_times(rng, rng.uniform(1, 4), duration)
        gains = rng.uniform(0.02, 0.15, len(times))
        sig = sig + scatter(times, [bell], len(sig), sample_rate, gains)
    return _outdoors(rng, sig, duration, sample_rate)


# --- wings -------------------------------------------------------------------


def _buzz(rng, n, sample_rate, f0):
    """Wing beats: one stroke's shape, repeated in a pitch that wanders."""
    drift = wander(rng, n, sample_rate, log_uniform(rng, 0.4, 5))
    flutter = wander(rng, n, sample_rate, 25)
    pitch = f0 * np.exp(rng.uniform(0.01, 0.08) * drift + 0.006 * flutter)
    # Down and up stroke differ, so odd and even harmonics do.
    order = np.arange(1, max(int(0.35 * sample_rate / f0), 2) + 1)
    loud = order ** -rng.uniform(0.6, 1.7) * np.exp(
        0.5 * rng.standard_normal(len(order))
    )
    loud[1::2] *= rng.uniform(0.3, 2.5)
    spectrum = np.zeros(2049, complex)
    kept = min(len(order), 2048)
    angle = rng.uniform(0, 2 * np.pi, kept) * rng.uniform(0, 1)
    spectrum[1 : kept + 1] = loud[:kept] * np.exp(1j * angle)
    wave = normalise(np.fft.irfft(spectrum))
    where = (phase(pitch, sample_rate) % 1 * len(wave)).astype(int)
    wings = wave[where % len(wave)]
    wings *= 1 + 0.3 * wander(rng, n, sample_rate, rng.uniform(20, 60))
    horn = rng.uniform(1200, 4500) * np.array([1.0, 1.9])  # the thorax rings
    wings = normalise(wings) + rng.uniform(0, 0.8) * resonate(
        wings, sample_rate, horn, 0.4 * horn
    )
    air = band_noise(rng, n, sample_rate, 2 * f0, 25 * f0, 1)
    return wings + rng.uniform(0.0, 0.08) * air * (0.5 + np.abs(wings))


def _flight(rng, n, sample_rate, f0, style):
    """A buzz near and far: hovering, passing by, or in starts and stops."""
    sig = _buzz(rng, n, sample_rate, f0)
    duration = n / sample_rate
    if style == "hover":
        near = np.exp(
            rng.uniform(0.1, 0.7)
            * wander(rng, n, sample_rate, log_uniform(rng, 0.5, 4))
        )
    elif style == "circle":  # round the microphone, again and again
        turns = rng.uniform(0.4, 1.8) * (
            1 + 0.4 * wander(rng, n, sample_rate, 1.0)
        )
        near = (1 + rng.uniform(0.7, 0.97) * tone(turns, sample_rate)) ** 2
    elif style == "passes":
        near = np.zeros(n)
        t = np.arange(n) / sample_rate
        for when in rng.uniform(0, duration, rng.integers(1, 5)):
            width = rng.uniform(0.1, 0.9)
            near += rng.uniform(0.3, 1) / (1 + ((t - when) / width) ** 2)
        near = near**2 + 0.01
    else:  # against a window, from flower to flower: on and off, sharply
        gate = np.zeros(n)
        time = rng.uniform(0, 0.5)
        longest = rng.uniform(0.3, 2.0)
        while time < duration:
            stay = log_uniform(rng, 0.05, longest)
            begin, end = (np.array([time, time + stay]) * sample_rate).astype(
                int
            )
            gate[begin:end] = rng.uniform(0.3, 1)
            time += stay + log_uniform(rng, 0.04, 0.8)
        near = band(gate, sample_rate, high=rng.uniform(8, 30), order=1)
        near = np.clip(near, 0, None)
    near = near / (near.max() + 1e-9)
    # Far away it is duller.
    dull = band(sig, sample_rate, high=rng.uniform(800, 3000), order=1)
    return (near * sig + (1 - near) * dull) * near


STYLES = ["hover", "circle", "passes", "bursts"]
WINGS = {"fly": (130, 260), "bee": (170, 320), "mosquito": (380, 800)}


@sound("insects")
def insects(rng, duration, sample_rate):
    """Flies, bees, wasps and mosquitoes near and far, landing and leaving."""
    n = int(duration * sample_rate)
    kind = rng.choice(
        ["fly", "bee", "mosquito", "several"], p=[0.35, 0.28, 0.12, 0.25]
    )
    out = np.zeros(n)
    for i in range(rng.integers(2, 4) if kind == "several" else 1):
        wings = rng.choice(["fly", "bee"]) if kind == "several" else kind
        f0 = log_uniform(rng, *WINGS[wings])
        style = rng.choice(STYLES, p=[0.25, 0.15, 0.35, 0.25])
        gain = 1.0 if i == 0 else log_uniform(rng, 0.15, 1)
        out += gain * normalise(_flight(rng, n, sample_rate, f0, style))
    if kind == "several" and rng.uniform() < 0.4:  # more of them farther off
        far = _swarm(rng, n, sample_rate, log_uniform(rng, 150, 260))
        out += log_uniform(rng, 0.01, 0.1) * far
    return _outdoors(rng, out, duration, sample_rate)


def _swarm(rng, n, sample_rate, f0):
    """Hundreds of wings: no pitch is left, only broad humps of noise."""
    order = np.arange(1, 6)
    humps = resonate(
        noise(rng, n),
        sample_rate,
        f0 * order,
        f0 * (0.2 + 0.15 * order),
        order ** -rng.uniform(0.8, 1.6),
    )
    return normalise(humps) + 0.02 * noise(rng, n, 0.5)


@sound("bee swarm")
def bee_swarm(rng, duration, sample_rate):
    """A hive: a dense, even, pitchless hum and a few bees that pass close."""
    n = int(duration * sample_rate)
    f0 = log_uniform(rng, 150, 290)
    hum = _swarm(rng, n, sample_rate, f0)
    hum *= np.exp(0.15 * wander(rng, n, sample_rate, 1.5))
    for _ in range(rng.integers(0, 3)):
        pitch = f0 * rng.uniform(0.9, 1.3)
        bee = normalise(_flight(rng, n, sample_rate, pitch, "passes"))
        hum += log_uniform(rng, 0.05, 0.4) * bee
    if rng.uniform() < 0.4:  # legs on wax
        taps = pulses(
            rng, poisson_times(rng, 60, duration), n, sample_rate, 0.8
        )
        hum += 0.1 * normalise(resonate(taps, sample_rate, [2500, 4500], 2000))
    return hum


def _mains(rng, n, sample_rate):
    """Electric hum: every harmonic of twice the mains, dead steady."""
    f0 = rng.choice([50.0, 60.0]) * rng.choice([1, 2], p=[0.3, 0.7])
    sig = saw(f0, sample_rate, n) - rng.uniform(0, 0.9) * saw(
        f0, sample_rate, n, start=rng.uniform(0.05, 0.5)
    )
    body = resonate(
        sig,
        sample_rate,
        f0 * rng.uniform(2, 30, 3),
        f0 * rng.uniform(1, 8, 3),
        rng.uniform(0.3, 1.5, 3),
    )
    sig = normalise(sig) * rng.uniform(0.2, 1) + normalise(body)
    if rng.uniform() < 0.35:  # sparks: only some half-waves fire
        fire = band_noise(rng, n, sample_rate, 1500, 9000, 1)
        half = phase(2 * f0, sample_rate, n)
        on = rng.uniform(0, 1, int(half[-1]) + 1) < rng.uniform(0.2, 1)
        fire *= on[half.astype(int)] * (half % 1 < 0.25)
        sig += rng.uniform(0.1, 0.8) * normalise(fire)
    return sig


@sound("buzz")
def buzz(rng, duration, sample_rate):
    """One insect round the microphone, mains hum, a door or joy buzzer."""
    n = int(duration * sample_rate)
    kind = rng.choice(
        ["insect", "mains", "buzzer", "rattle"], p=[0.5, 0.22, 0.16, 0.12]
    )
    if kind == "insect":
        f0 = log_uniform(rng, 110, 330)
        style = rng.choice(STYLES, p=[0.35, 0.35, 0.1, 0.2])
        return _flight(rng, n, sample_rate, f0, style)
    if kind == "mains":
        sig = _mains(rng, n, sample_rate)
        if rng.uniform() < 0.4:  # switched on, or off
            at = rng.uniform(0.05, 0.6)
            side = np.arange(n) / n > at
            sig *= side if rng.uniform() < 0.5 else ~side
        return sig
    f0 = log_uniform(rng, 70, 330)
    if kind == "rattle":  # a telephone shivers on the table
        f0 = log_uniform(rng, 110, 220)
    parts = rng.uniform(0, 1, 2) * [1.0, 0.6]
    body = jittered(rng, f0 * np.array([2.0, 5, 9, 16]), 0.3)

    def press(i):
        m = int(log_uniform(rng, 0.12, 1.6) * sample_rate)
        pitch = f0 * (1 + 0.01 * wander(rng, m, sample_rate, 10))
        sig = saw(pitch, sample_rate) - parts[0] * saw(
            pitch, sample_rate, start=0.5
        )
        sig = sig + 2 * resonate(sig, sample_rate, body, f0)
        if kind == "rattle":
            sig *= 1 + 0.6 * wander(rng, m, sample_rate, f0)
        else:
            sig = soft_clip(sig, rng.uniform(0.5, 4))
        return normalise(sig) * swell(m, sample_rate, 0.01, 0.02)

    return sequence(rng, press, duration, sample_rate, (1, 6), (0.06, 1.2), 0.1)


@sound("crickets")
def crickets(rng, duration, sample_rate):
    """Field crickets' chirps, tree crickets' trills, katydids; near and far."""
    n_samples = int(duration * sample_rate)
    out = np.zeros(n_samples)
    centre = log_uniform(rng, 2600, 6500)
    for i in range(rng.integers(0, 7) + (rng.uniform() < 0.85)):
        spread = 0.08 if rng.uniform() < 0.7 else 0.3
        carrier = centre * np.exp(spread * rng.standard_normal())
        carrier = min(carrier, 0.45 * sample_rate)
        rate = log_uniform(rng, 18, 90)  # wing strokes per second
        n = int(sample_rate * rng.uniform(0.4, 0.85) / rate)
        bend = rng.uniform(-0.04, 0.02)
        pulse = tone(carrier * np.linspace(1, 1 + bend, n), sample_rate)
        if rng.uniform() < 0.12:  # a katydid's wings rasp
            high = rng.uniform(1.3, 2.2) * carrier
            pulse = 0.5 * band_noise(rng, n, sample_rate, carrier, high)
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
    if rng.uniform() < 0.6 or not out.any():
        # The far chorus melts into a band of noise, often in step.
        wide = rng.uniform(1.05, 1.35)
        low = min(centre, 0.45 * sample_rate / wide)
        far = band_noise(rng, n_samples, sample_rate, low, wide * low)
        far *= 1 + 0.3 * wander(rng, n_samples, sample_rate, 12)
        step = log_uniform(rng, 1.5, 25)
        far *= tremolo(n_samples, sample_rate, step, rng.uniform(0, 0.8) ** 2)
        out += log_uniform(rng, 0.01, 0.6) * far
    return out


# --- extra concepts ----------------------------------------------------------


@sound("goat")
def goat(rng, duration, sample_rate):
    """Bleats, more human and more broken than a sheep's."""
    f0 = log_uniform(rng, 220, 520)
    formants = jittered(rng, [850, 1500, 2800, 3800], 0.1)
    rate = rng.uniform(9, 18)

    def bleat(i):
        length = log_uniform(rng, 0.3, 1.3)
        n = int(length * sample_rate)
        pitch = f0 * contour([0.8, 1.15, 1.0, 0.8], n)
        sig = throat(rng, pitch, sample_rate, formants, breath=0.1, tilt=4000)
        beat = tremolo(n, sample_rate, rate, 0.95) ** 2  # nearly staccato
        return sig * beat * swell(n, sample_rate, 0.04, 0.2 * length)

    return sequence(rng, bleat, duration, sample_rate, (1, 5), (0.2, 1.5))


@sound("horse neigh")
def horse_neigh(rng, duration, sample_rate):
    """A shrill start that shakes as it falls, often ending in a snort."""
    formants = jittered(rng, [900, 1900, 3000, 4200], 0.1)

    def neigh(i):
        length = rng.uniform(1.0, 2.6)
        n = int(length * sample_rate)
        top = log_uniform(rng, 700, 1600)
        shake = rng.uniform(9, 15)
        pitch = top * contour([0.6, 1.0, 0.9, 0.6, 0.35], n)
        pitch *= 1 + 0.06 * tone(shake, sample_rate, n)
        sig = throat(rng, pitch, sample_rate, formants, breath=0.15, tilt=4000)
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
    mouth = jittered(rng, [280, 650, 1300, 2400], 0.12)
    f0 = log_uniform(rng, 55, 120)

    def roar(i):
        length = rng.uniform(0.5, 2.4)
        sig = call(
            rng,
            sample_rate,
            length,
            [f0, 1.5 * f0, 1.3 * f0, 0.8 * f0],
            [mouth, 1.4 * mouth, 0.9 * mouth],
            edges=(0.25 * length, 0.5 * length),
            breath=rng.uniform(0.3, 0.6),
            jitter=0.08,
            shimmer=0.3,
            rough=0.7,
        )
        sig *= tremolo(len(sig), sample_rate, rng.uniform(18, 35), 0.6)
        return soft_clip(sig, 3.0)

    return sequence(rng, roar, duration, sample_rate, (1, 4), (0.15, 0.9))


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
