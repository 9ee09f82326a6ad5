"""Sounds of bodies: breath, coughs, hands, feet and mouths at the table.

A helper `_event` makes one occurrence, the generator lays occurrences out in
time. Whatever needs a throat comes from `voices`.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["sneezing"].make
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
    poisson_times,
    pulses,
    regular_times,
    resonate,
    saw,
    scatter,
    sequence,
    swell,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound
from afpt_plugin.synth.voices import (
    HOP,
    air,
    cheering,
    person,
    speak,
    utter,
    vowel,
)

__all__ = ["SOUNDS"]


def _unit(sig):
    """Scale to unit power."""
    return sig / (np.std(sig) + 1e-9)


def _silence(seconds, sample_rate):
    return np.zeros(n_samples(seconds, sample_rate))


# --- sneezes, coughs ---------------------------------------------------------


def _sneeze(rng, f0, size, sample_rate, style):
    """Gasps in, holds, then the blow: "ha-TSHoo", folds falling in pitch."""
    knots, tune, time = [], [(0.0, 1.2 * f0)], 0.02
    ae, a = vowel("ae", size), vowel("a", size)

    def knot(at, shape, folds=0.0, gust=0.0, teeth=0.0):
        knots.append([at, *shape, folds, gust, teeth, style["centre"]])

    for i in range(style["gasps"]):
        seconds = rng.uniform(0.15, 0.5)
        level = rng.uniform(0.1, 0.35) * (1 + 0.5 * i)
        folds = style["voiced"] * level
        knot(time, ae)
        knot(time + 0.7 * seconds, ae, folds, level)
        knot(time + seconds, ae)
        tune += [(time, 1.3 * f0), (time + seconds, 2.0 * f0)]
        time += seconds + rng.uniform(0.02, 0.3)
    shout, hiss = rng.uniform(0.02, 0.16), rng.uniform(0.06, 0.3)
    tail, loud, spray = rng.uniform(0.08, 0.5), style["shout"], style["spray"]
    end = vowel(style["end"], size)
    high = style["high"] * f0 * rng.uniform(0.9, 1.1)
    knot(time, a)
    knot(time + 0.01, a, loud, 0.6)
    knot(time + shout, end, loud, 0.6, 0.3 * spray)
    knot(time + shout + 0.02, end, style["mix"] * loud, spray, spray)
    knot(time + shout + 0.6 * hiss, end, style["mix"] * loud, 0.5, spray / 3)
    knot(time + shout + hiss, end, style["tail"] * loud, 0.2)
    knot(time + shout + hiss + tail, vowel("u", size))
    tune += [(time, 0.85 * high), (time + shout, high)]
    tune += [(time + shout + hiss, 0.75 * high)]
    time += shout + hiss + tail
    tune += [(time, rng.uniform(0.4, 0.6) * high)]
    if rng.random() < 0.25:  # sniffs
        time += rng.uniform(0.2, 0.7)
        nose = vowel("er", 1.3 * size)
        knot(time, nose)
        knot(time + 0.2, nose, 0, rng.uniform(0.1, 0.4))
        knot(time + 0.28, nose)
        time += 0.3
    return speak(
        rng,
        sample_rate,
        knots,
        tune,
        time + 0.05,
        tilt=5000,
        jitter=0.02,
        growl=rng.choice([0.0, rng.uniform(0.1, 0.6)]),
        width=rng.uniform(1, 2.5),
        bright=style["bright"],
    )


@sound("sneezing")
def sneezing(rng, duration, sample_rate):
    """One to three sneezes: shouted, hissed or stifled, with a run-up or not."""
    f0, size = person(rng)
    stifled = rng.random() < 0.2
    style = {
        "gasps": rng.choice(4, p=[0.35, 0.4, 0.15, 0.1]),
        "voiced": rng.choice([0.0, rng.uniform(0.3, 2)]),
        "shout": 0.1 if stifled else log_uniform(rng, 0.5, 2.5),
        "high": log_uniform(rng, 1.5, 3.5),
        "spray": log_uniform(rng, 0.2, 1.6),
        "mix": rng.uniform(0.05, 0.9),
        "tail": rng.uniform(0.05, 0.7),
        "centre": log_uniform(rng, 1800, 5000),
        "end": rng.choice(["i", "u", "e", "er", "o"]),
        "bright": rng.uniform(0, 1),
    }

    def make(_):
        return _sneeze(rng, f0, size, sample_rate, style)

    most = rng.choice([1, 2, 4], p=[0.6, 0.25, 0.15])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.2, 1.5))


def _cough_knots(rng, time, f0, level, style, knots, tune):
    """Glottis bursts open, air rushes out, the folds sound while they close."""
    size = style["size"]
    first, last = (vowel(style[k], size) for k in ("first", "last"))
    burst = rng.uniform(0.02, 0.06)
    rush = rng.uniform(0.05, 0.16)
    tail = style["tail"] * rng.uniform(0.05, 0.22)
    folds, gust = level * style["folds"], level * style["gust"]

    def knot(at, shape, folds=0.0, gust=0.0):
        knots.append([time + at, *shape, folds, gust, 0.25 * gust, 2500.0])

    knot(0, first)
    knot(0.008, first, folds, 1.5 * gust)
    knot(burst, first, rng.uniform(0.5, 1) * folds, gust)
    knot(burst + 0.5 * rush, last, rng.uniform(0.1, 0.8) * folds, 0.5 * gust)
    knot(burst + rush, last, 0.3 * folds, 0.2 * gust)
    knot(burst + rush + 0.3 * tail, last, 0.6 * folds, 0.1 * gust)
    knot(burst + rush + tail + 0.03, last)
    high = f0 * log_uniform(rng, 1.2, 2.2)
    tune += [(time, high), (time + burst, 1.15 * high)]
    time += burst + rush + tail + 0.03
    tune.append((time, rng.uniform(0.55, 0.9) * high))
    return time


@sound("coughing")
def coughing(rng, duration, sample_rate):
    """Fits of one to six coughs on one breath: dry, wet, barking, or a hem."""
    f0, size = person(rng)
    style = {
        "size": size,
        "first": rng.choice(["a", "uh", "ae", "o"]),
        "last": rng.choice(["uh", "er", "o", "a"]),
        "folds": log_uniform(rng, 0.3, 1.6),
        "gust": log_uniform(rng, 0.3, 1.6),
        "tail": rng.choice([0.0, 1.0], p=[0.4, 0.6]),
    }
    gap = rng.uniform(0.05, 0.3)
    wet = rng.choice([0.0, rng.uniform(0.3, 0.9)], p=[0.55, 0.45])
    bright, width = rng.uniform(0, 1), rng.uniform(1, 3)

    def make(_):
        knots, tune, time = [], [], 0.01
        level = 1.0
        for _ in range(rng.choice([1, 2, 3, 4, 6])):
            strength = level * np.exp(0.2 * rng.standard_normal())
            time = _cough_knots(rng, time, f0, strength, style, knots, tune)
            time += gap * np.exp(0.25 * rng.standard_normal())
            level *= rng.uniform(0.7, 1.0)
        if rng.random() < 0.35:  # draws breath again
            shape = vowel("er", size)
            for at, gust in (
                (0.05, 0),
                (0.3, rng.uniform(0.05, 0.3)),
                (0.4, 0),
            ):
                knots.append([time + at, *shape, 0, gust, 0, 3000.0])
            time += 0.4
        fit = speak(
            rng,
            sample_rate,
            knots,
            tune,
            time + 0.05,
            tilt=4000,
            jitter=rng.uniform(0.02, 0.08),
            growl=max(wet, rng.uniform(0, 0.4)),
            growl_rate=rng.uniform(25, 80),
            width=width,
            bright=bright,
        )
        if rng.random() < 0.4:  # the chest thumps into the microphone
            chest = band_noise(rng, len(fit), sample_rate, 50, 200, 1)
            fit += 0.3 * chest * np.abs(fit)
        return fit

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.15, 1.8))


# --- breath ------------------------------------------------------------------


def _breath(
    rng, sample_rate, size, seconds, inward, folds=0.0, f0=200.0, **mouth
):
    """Air one way: in brightens and stops at once, out darkens and fades.

    `mouth` may fix `shapes`, `width`, `bright` and `hiss` for a whole clip.
    """
    n = _rows_of(seconds)
    peak = rng.uniform(0.5, 0.8) if inward else rng.uniform(0.1, 0.4)
    env = contour(
        [0, 0.7, 1, 0.6, 0], n, [0, peak / 2, peak, (1 + peak) / 2, 1]
    )
    names = ["er", "ae", "i"] if inward else ["a", "uh", "o"]
    start, end = rng.permutation(names)[:2]
    usual = [vowel(start, 1.1 * size), vowel(end, 1.1 * size)]
    glide = [1.0, 1.2, 1.5] if inward else [1.15, 1.0, 0.7]
    hiss = mouth.get("hiss", 0.3 if inward else 0.08)
    return utter(
        rng,
        sample_rate,
        f0 * contour(glide, n),
        mouth.get("shapes", usual),
        folds * env,
        env * (1 + 0.15 * wander(rng, n, 1 / HOP, 20)),
        hiss * env,
        log_uniform(rng, 2500, 6000),
        tilt=1500,
        width=mouth.get("width", rng.uniform(2, 5)),
        bright=mouth.get("bright", rng.uniform(0, 0.8)),
    )


def _rows_of(seconds):
    return max(int(seconds / HOP), 8)


@sound("breathing")
def breathing(rng, duration, sample_rate):
    """Air in, air out: hiss whose colour and level differ by direction.

    Asleep, deep, panting or through a mask; nose or mouth, moaning perhaps.
    """
    style = rng.choice(
        ["calm", "deep", "pant", "mask"], p=[0.3, 0.3, 0.25, 0.15]
    )
    period = {
        "calm": rng.uniform(2.0, 4.5),
        "deep": rng.uniform(1.4, 4.0),
        "pant": rng.uniform(0.35, 1.1),
        "mask": rng.uniform(2.0, 4.5),
    }[str(style)]
    f0, size = person(rng)
    noses = np.array(
        [[1000, 2300, 4200, 7000, 9000], [600, 1500, 3000, 5200, 8000]]
    )
    ways = []
    for way in range(2):  # 0 in, 1 out
        names = ["er", "ae", "e", "i"] if way == 0 else ["a", "uh", "o", "u"]
        shapes = [vowel(name, 1.1 * size) for name in rng.choice(names, 2)]
        ways.append(
            {
                "shapes": shapes,
                "width": rng.uniform(1.5, 6),
                "bright": rng.uniform(0, 1.2),
                "hiss": log_uniform(rng, 0.02, 0.6),
            }
        )
    if rng.random() < 0.5:  # through the nose
        for way in range(2):
            drift = rng.uniform(0.8, 1.25, 2)
            ways[way]["shapes"] = [size * f * noses[way] for f in drift]
    if style == "mask":
        for way in ways:
            way["shapes"] = [0.65 * shape for shape in way["shapes"]]
            way["bright"] = 0.0
    part = rng.uniform(0.3, 0.5)  # of the cycle that goes in
    gap_in, gap_out = rng.uniform(0, 0.1), rng.uniform(0.02, 0.3)
    level_in = rng.choice([log_uniform(rng, 0.3, 2), 0.05], p=[0.9, 0.1])
    pop = rng.choice([0.0, rng.uniform(0.1, 1.0)])
    moan = rng.choice([0.0, log_uniform(rng, 0.05, 1)], p=[0.75, 0.25])

    def breath(way):
        share = (1 - part - gap_out) if way else (part - gap_in)
        seconds = max(share, 0.1) * period * np.exp(0.1 * rng.normal())
        sig = _breath(
            rng,
            sample_rate,
            size,
            seconds,
            way == 0,
            moan * way,
            0.9 * f0,
            **ways[way],
        )
        if way and pop:  # breath hits the microphone
            m = len(sig)
            wind = band_noise(rng, m, sample_rate, 15, 160)
            wind *= np.abs(wander(rng, m, sample_rate, 8))
            sig += pop * wind * swell(m, sample_rate, 0.1, 0.7 * seconds)
        return sig * (1.0 if way else level_in)

    # A few breaths that take turns are enough for one who pants.
    variants = [breath(i % 2) for i in range(6 if period < 1.5 else 4)]
    n = n_samples(duration, sample_rate)
    starts = regular_times(rng, period, duration + 2 * period, 0.05)
    times = np.ravel(np.column_stack([starts, starts + part * period]))
    gains = np.exp(0.15 * rng.standard_normal(len(times)))
    # The recording begins somewhere in the first cycle.
    skip = int(rng.uniform(0, 0.7) * period * sample_rate)
    out = scatter(times, variants, n + skip, sample_rate, gains)[skip:]
    if style == "mask" and rng.random() < 0.6:  # the tube rings
        tube = rng.uniform(200, 900) * np.array([1, 2, 3, 4.1])
        out = resonate(out, sample_rate, tube, 120) + 0.1 * out
    return out


@sound("snoring")
def snoring(rng, duration, sample_rate):
    """The soft palate flaps at 20-90 Hz while air is drawn in, then rest.

    Each flap lets a puff of noise through, which rings in nose and throat; the
    way out is a soft blow, a whistle or nothing.
    """
    size = rng.uniform(0.85, 1.15)
    flap = log_uniform(rng, 20, 95)
    period = rng.uniform(2.2, 5.0)
    share = rng.uniform(0.3, 0.55)
    sharp = rng.uniform(1, 8)
    noisy = rng.uniform(0.15, 0.9)
    throat = (
        np.array(
            [
                log_uniform(rng, 180, 500),
                log_uniform(rng, 600, 1200),
                log_uniform(rng, 1400, 2400),
                log_uniform(rng, 2600, 4500),
            ]
        )
        * size
    )
    gains = rng.uniform(0.3, 0.85) ** np.arange(4)
    width = rng.uniform(0.1, 0.35)
    skew = rng.uniform(0.4, 0.78)
    way_out = rng.choice(
        ["none", "air", "whistle", "snore", "puff"],
        p=[0.25, 0.35, 0.1, 0.15, 0.15],
    )
    breaking = rng.uniform(0, 0.8)  # how far the flapping stops and restarts

    def rasp(seconds, pitch):
        n = n_samples(seconds, sample_rate)
        rate = pitch * contour(
            rng.uniform(0.75, 1.3, 4) * [0.8, 1.1, 1.1, 1.0], n
        )
        rate *= 1 + rng.uniform(0.03, 0.2) * wander(rng, n, sample_rate, 25)
        rate = np.maximum(rate, 10)
        gate = (0.5 + 0.5 * tone(rate, sample_rate)) ** sharp
        puffs = noisy * 1.5 * gate * noise(rng, n, 0.8)
        folds = band(saw(rate, sample_rate), sample_rate, 60, 2500, 1)
        source = puffs + (1 - noisy) * folds / (np.std(folds) + 1e-9)
        source *= 1 + breaking * wander(rng, n, sample_rate, 12)
        sig = resonate(source, sample_rate, throat, width * throat, gains)
        sig += 0.05 * source + rng.uniform(0.002, 0.02) * noise(rng, n, 0.8)
        shape = contour([0, 0.6, 1, 0.7, 0], n, [0, skew * 0.5, skew, 0.93, 1])
        return normalise(sig) * shape

    def exhale(seconds):
        n = n_samples(seconds, sample_rate)
        env = swell(n, sample_rate, 0.2 * seconds, 0.7 * seconds)
        if way_out == "snore":
            return rasp(seconds, flap * rng.uniform(0.6, 1.5)) * 0.5
        sig = 0.1 * air(rng, n, sample_rate, throat * 1.3)
        if way_out == "whistle":
            glide = contour(rng.uniform(900, 2600) * np.array([1, 1.1, 0.9]), n)
            glide *= 1 + 0.01 * wander(rng, n, sample_rate, 10)
            sig += 0.12 * tone(glide, sample_rate)
        if way_out == "puff":  # lips burst open
            env = percussive(n, sample_rate, 0.02, 0.5 * seconds)
            env *= tremolo(n, sample_rate, rng.uniform(18, 40), 0.8)
            sig *= 2.5
        return sig * env

    n = n_samples(duration, sample_rate)
    out, time = np.zeros(n), rng.uniform(-0.4, 0.5) * share * period
    while time < duration:
        seconds = share * period * np.exp(0.12 * rng.standard_normal())
        one = rasp(seconds, flap * np.exp(0.06 * rng.standard_normal()))
        one *= np.exp(0.2 * rng.standard_normal())
        one = one[int(max(-time, 0) * sample_rate) :]
        out += scatter([max(time, 0)], [one], n, sample_rate)
        if way_out != "none":
            away = exhale(rng.uniform(0.5, 0.9) * (period - seconds))
            at = max(time + seconds + rng.uniform(0.05, 0.3), 0)
            out += scatter([at], [away], n, sample_rate)
        time += max(period, seconds) * np.exp(0.07 * rng.standard_normal())
    return out


@sound("gasp")
def gasp(rng, duration, sample_rate):
    """Air drawn in sharply, cut off: shock, surprise, coming up for air."""
    f0, size = person(rng)
    voiced = rng.choice([0.0, rng.uniform(0.2, 1.5)], p=[0.55, 0.45])
    quick = log_uniform(rng, 0.15, 0.8)

    def make(_):
        seconds = quick * rng.uniform(0.8, 1.25)
        pitch = f0 * log_uniform(rng, 1.3, 2.6)
        sig = _breath(rng, sample_rate, size, seconds, True, voiced, pitch)
        if rng.random() < 0.3:  # and lets some of it out
            out = _breath(rng, sample_rate, size, 2 * seconds, False)
            pause = _silence(rng.uniform(0.1, 0.6), sample_rate)
            sig = np.concatenate([sig, pause, rng.uniform(0.1, 0.5) * out])
        return sig

    most = rng.choice([1, 2, 4], p=[0.5, 0.25, 0.25])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.3, 1.5))


@sound("sigh")
def sigh(rng, duration, sample_rate):
    """A breath in, then a long one out that sinks, "haaah", often voiced."""
    f0, size = person(rng)
    voiced = rng.choice([0.0, log_uniform(rng, 0.2, 3)], p=[0.45, 0.55])

    def make(_):
        parts = []
        if rng.random() < 0.75:
            level = log_uniform(rng, 0.1, 0.7)
            seconds = rng.uniform(0.4, 1.1)
            parts.append(level * _breath(rng, sample_rate, size, seconds, True))
            parts.append(_silence(rng.uniform(0.02, 0.3), sample_rate))
        pitch = f0 * rng.uniform(0.9, 1.6)
        seconds = log_uniform(rng, 0.6, 2.5)
        parts.append(
            _breath(rng, sample_rate, size, seconds, False, voiced, pitch)
        )
        return np.concatenate(parts)

    most = rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.4, 1.8))


@sound("burping")
def burping(rng, duration, sample_rate):
    """Slack flesh flaps at 35-110 Hz under a vowel: short, long, in words."""
    size = rng.uniform(0.9, 1.3)
    rate = log_uniform(rng, 35, 110)

    def make(_):
        seconds = log_uniform(rng, 0.15, 2.0)
        n = _rows_of(seconds)
        pitch = rate * contour(rng.uniform(0.7, 1.4, 4), n)
        pitch *= 1 + rng.uniform(0.05, 0.25) * wander(rng, n, 1 / HOP, 30)
        env = swell(n, 1 / HOP, 0.02, 0.4 * seconds)
        env *= np.clip(1 + 0.5 * wander(rng, n, 1 / HOP, 12), 0.1, 2)
        shapes = [
            vowel(name, size)
            for name in rng.choice(["o", "uh", "a", "e", "er"], 3)
        ]
        return utter(
            rng,
            sample_rate,
            pitch,
            shapes,
            env,
            rng.uniform(0.1, 0.5) * env,
            tilt=log_uniform(rng, 1500, 6000),
            jitter=0.1,
            shimmer=0.4,
            growl=rng.uniform(0, 0.8),
            width=rng.uniform(1.5, 3),
            bright=rng.uniform(0, 0.6),
        )

    most = rng.choice([1, 2, 5], p=[0.5, 0.3, 0.2])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.2, 1.5))


@sound("fart")
def fart(rng, duration, sample_rate):
    """Tight flesh buzzes at 50-300 Hz, unsteady, sputtering at the end."""
    base = log_uniform(rng, 50, 300)
    wet = rng.choice([0.0, rng.uniform(0.3, 1.0)])
    body = np.array([log_uniform(rng, 150, 500), log_uniform(rng, 600, 2000)])

    def make(_):
        seconds = log_uniform(rng, 0.12, 2.5)
        n = n_samples(seconds, sample_rate)
        pitch = base * contour(rng.uniform(0.6, 1.5, 5), n)
        pitch *= np.exp(
            rng.uniform(0.03, 0.15) * wander(rng, n, sample_rate, 18)
        )
        gate = (0.5 + 0.5 * tone(pitch, sample_rate)) ** rng.uniform(2, 10)
        buzz = saw(pitch, sample_rate) * 0.5 + gate
        buzz += rng.uniform(0.1, 0.7) * gate * noise(rng, n)
        buzz = band(buzz, sample_rate, 60, log_uniform(rng, 1000, 5000), 1)
        sig = buzz + resonate(buzz, sample_rate, body, body * 0.5) * 2
        flutter = wander(rng, n, sample_rate, rng.uniform(10, 30))
        depth = wet * contour([0.3, 0.6, 1.2], n)
        sig *= np.clip(1 + depth * flutter, 0, 2)
        return normalise(sig) * swell(n, sample_rate, 0.01, 0.2 * seconds, 0.6)

    most = rng.choice([1, 2, 4], p=[0.55, 0.25, 0.2])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.1, 1.2))


# --- hands -------------------------------------------------------------------


def _clap(rng, sample_rate, cup):
    """Two palms: a burst of air whose colour is the hollow between them."""
    n = n_samples(0.12, sample_rate)
    decay = log_uniform(rng, 0.012, 0.09)
    sig = band_noise(rng, n, sample_rate, 300, log_uniform(rng, 2.5e3, 9e3))
    centre = np.array([cup, cup * rng.uniform(1.8, 3.2)])
    sig = 0.2 * sig + resonate(sig, sample_rate, centre, centre * 0.35) * 2
    sig *= percussive(n, sample_rate, rng.uniform(0.0003, 0.003), decay)
    if rng.random() < 0.5:  # the fingers land after the palms
        late = int(rng.uniform(0.002, 0.008) * sample_rate)
        sig[late:] += rng.uniform(0.2, 0.7) * sig[:-late].copy()
    return sig + 0.1 * percussive(n, sample_rate, 0.001, 0.1) * band_noise(
        rng, n, sample_rate, 200, 1500
    )


@sound("clapping")
def clapping(rng, duration, sample_rate):
    """One pair of hands, a few people, in time, or a small audience."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["one", "few", "audience", "in time"], p=[0.4, 0.2, 0.25, 0.15]
    )
    period = rng.uniform(0.17, 0.6)
    if style == "one":
        cup = log_uniform(rng, 600, 2600)
        claps = [_clap(rng, sample_rate, cup) for _ in range(5)]
        times = regular_times(rng, period, duration, rng.uniform(0.01, 0.08))
        habit = rng.random()
        if habit < 0.25:
            times = times[times < rng.uniform(0.3, 1) * duration]
        elif habit < 0.45:  # a rhythm: every so many claps one is missed
            times = times[np.arange(len(times)) % rng.integers(3, 6) > 0]
        gains = np.exp(0.2 * rng.standard_normal(len(times)))
        return scatter(times, claps, n, sample_rate, gains)
    low, high = {"few": (2, 8), "audience": (8, 40), "in time": (3, 40)}[style]
    people = int(log_uniform(rng, low, high))
    claps = [
        _clap(rng, sample_rate, log_uniform(rng, 500, 2800)) for _ in range(8)
    ]
    times, who, gains = [], [], []
    for i in range(people):
        together = style == "in time"
        own = period if together else rng.uniform(0.18, 0.4)
        start = rng.uniform(0, 0.06 if together else own)
        beats = regular_times(rng, own, duration, 0.06, start)
        near = log_uniform(rng, 0.15, 1)
        times.extend(beats)
        who.extend([i % 8] * len(beats))
        gains.extend(near * np.exp(0.2 * rng.standard_normal(len(beats))))
    out = scatter(times, lambda i: claps[who[i]], n, sample_rate, gains)
    return out * contour(np.exp(rng.uniform(-1, 0.3, 5)), n)


@sound("applause")
def applause(rng, duration, sample_rate):
    """Hundreds of hands: a hail of claps at 1-3 kHz that swells and ebbs.

    Near hands stand out; some in the hall shout or whistle.
    """
    n = n_samples(duration, sample_rate)
    out = np.zeros(n)
    dense = log_uniform(rng, 150, 4000)  # claps a second, far
    centre = log_uniform(rng, 650, 1800)
    for _ in range(4):
        cup = centre * rng.uniform(0.7, 1.4)
        times = poisson_times(rng, dense / 4, duration)
        hits = pulses(rng, times, n, sample_rate, 0.6)
        grain = _clap(rng, sample_rate, cup)
        out += signal.oaconvolve(hits, grain)[:n]
    out = _unit(out)
    high = log_uniform(rng, 3000, 9000)  # the hall swallows what is high
    out = band(out, sample_rate, rng.uniform(200, 600), high, 1)
    near = _clap(rng, sample_rate, centre * rng.uniform(0.7, 1.4))
    for _ in range(rng.integers(0, 6)):
        times = regular_times(rng, rng.uniform(0.18, 0.35), duration, 0.06)
        gain = np.full(len(times), rng.uniform(0.5, 3) / np.max(np.abs(near)))
        out += scatter(times, [near], n, sample_rate, gain)
    if rng.random() < 0.3:
        cheer = _unit(cheering(rng, duration, sample_rate))[:n]
        out[: len(cheer)] += rng.uniform(0.1, 0.6) * cheer
    shape = {
        "steady": [1, 0.9, 1, 0.95],
        "starts": [0.02, 0.5, 1, 1],
        "ends": [1, 0.8, 0.4, 0.08],
        "whole": [0.05, 1, 0.8, 0.1],
    }[str(rng.choice(["steady", "starts", "ends", "whole"]))]
    return out * contour(shape, n)


@sound("finger snapping")
def finger_snapping(rng, duration, sample_rate):
    """A finger slips off the thumb and pops on the palm: 2 kHz, very short."""
    hollow = log_uniform(rng, 1100, 3200)

    def snap(_):
        n = n_samples(0.12, sample_rate)
        slip = band_noise(rng, n, sample_rate, 2000, 9000, 1)
        slip *= swell(n, sample_rate, 0.02, 0.09) * rng.uniform(0.01, 0.06)
        at = int(0.03 * sample_rate)
        m = n - at
        freqs = hollow * np.array([1, rng.uniform(1.5, 1.9), 2.7, 4.1])
        freqs *= np.exp(0.04 * rng.standard_normal(4))
        hit = noise(rng, m) * percussive(m, sample_rate, 0.0004, 0.012)
        pop = resonate(
            hit, sample_rate, freqs, 0.12 * freqs, [1, 0.6, 0.3, 0.2]
        )
        dry = rng.uniform(0.03, 0.3) * normalise(hit)
        slip[at:] += normalise(pop) + dry
        return slip

    if rng.random() < 0.6:  # to a beat
        n = n_samples(duration, sample_rate)
        times = regular_times(rng, rng.uniform(0.3, 1.1), duration, 0.03)
        times = times[: rng.integers(2, 16)]
        gains = np.exp(0.25 * rng.standard_normal(len(times)))
        return scatter(times, snap, n, sample_rate, gains)
    return sequence(rng, snap, duration, sample_rate, (1, 5), (0.15, 1.2))


# --- feet --------------------------------------------------------------------

# modes and seconds they ring; fractures: low, high, per second; depth of thud
FLOORS = {
    "wood": ((7, 0.1), None, 0.6),
    "stairs": ((9, 0.16), None, 0.8),
    "stone": ((5, 0.03), None, 0.2),
    "metal": ((14, 0.5), None, 0.3),
    "carpet": (None, None, 0.7),
    "gravel": (None, (1000, 6000, 500), 0.25),
    "leaves": (None, (1600, 8000, 350), 0.1),
    "snow": (None, (600, 4500, 1600), 0.15),
    "mud": (None, (300, 2500, 120), 0.4),
}


def _crunch(rng, sample_rate, seconds, low, high, rate):
    """Many little fractures under a sole: gravel, leaves, snow."""
    n = n_samples(seconds, sample_rate)
    heel = rng.uniform(0.1, 0.35)
    press = contour([0, 1, 0.35, 0.7, 0], n, [0, heel, 0.5, 0.7, 1])
    times = poisson_times(rng, rate, seconds)
    sig = pulses(rng, times, n, sample_rate, 1.0)
    sig = band(sig, sample_rate, low, high, 1)
    peaks = np.exp(rng.uniform(np.log(low), np.log(high), 4))
    sig = resonate(sig, sample_rate, peaks, 0.5 * peaks) + 0.5 * sig
    sig = _unit(sig) + 0.5 * band_noise(rng, n, sample_rate, low, high, 1)
    return normalise(sig * press)


def _step(rng, sample_rate, floor, shoe, toe_gap):
    """Heel then sole, on a floor that rings, thuds or crunches."""
    ring, crack, deep = FLOORS[floor]
    n = n_samples(0.45 if crack or floor == "metal" else 0.3, sample_rate)
    pitch, hard = shoe["pitch"] * rng.uniform(0.93, 1.07), shoe["hard"]
    out = np.zeros(n)
    for i, gap in enumerate((0.0, toe_gap)):
        soft = hard if i == 0 else hard * rng.uniform(0.4, 1.2)
        strike = noise(rng, n)
        strike *= percussive(n, sample_rate, 0.001, shoe["contact"])
        strike = normalise(band(strike, sample_rate, 100, soft, 1))
        thud = tone(pitch * contour([1.0, 0.7], n), sample_rate)
        thud *= percussive(n, sample_rate, 0.005, rng.uniform(0.06, 0.2))
        hit = shoe["click"] * strike + deep * shoe["weight"] * thud
        if ring:
            count, decay = ring
            freqs = pitch * np.sort(rng.uniform(1, 14, count))
            decays = decay * rng.uniform(0.4, 1.2, count)
            amps = freqs**-0.5 * rng.uniform(0.3, 1, count)
            body = modes(n, sample_rate, freqs, decays, amps, strike)
            hit += normalise(body) * shoe["ring"]
        gain = 1.0 if i == 0 else shoe["toe"] * rng.uniform(0.7, 1.3)
        out += scatter([gap], [gain * hit], n, sample_rate)
    if crack:
        seconds = min(rng.uniform(0.8, 1.2) * shoe["roll"], 0.44)
        crunch = _crunch(rng, sample_rate, seconds, *crack)
        out *= shoe["under"]
        out[: len(crunch)] += crunch
    if shoe["scuff"]:
        scuff = band_noise(rng, n, sample_rate, 700, 6000, 1)
        out += shoe["scuff"] * scuff * swell(n, sample_rate, 0.08, 0.25)
    return out


def _gait(rng, duration, sample_rate, period, toe_gap, roll):
    """Steps on one floor in one pair of shoes, coming, going or passing."""
    floor = rng.choice(
        list(FLOORS), p=[0.18, 0.1, 0.22, 0.04, 0.08, 0.16, 0.09, 0.08, 0.05]
    )
    shoe = {
        "pitch": log_uniform(rng, 55, 220),
        "hard": log_uniform(rng, 800, 9000),
        "contact": log_uniform(rng, 0.01, 0.07),
        "click": log_uniform(rng, 0.25, 1.2),
        "weight": log_uniform(rng, 0.1, 1.2),
        "ring": rng.uniform(0.2, 1.0),
        "toe": rng.uniform(0.1, 0.8),
        "roll": roll,
        "under": rng.uniform(0.05, 0.35),
        "scuff": rng.choice([0.0, log_uniform(rng, 0.005, 0.1)]),
    }
    steps = [
        _step(rng, sample_rate, floor, shoe, toe_gap * rng.uniform(0.8, 1.2))
        for _ in range(4)
    ]
    start, stop = rng.uniform(0, period), duration
    if rng.random() < 0.15:
        stop = rng.uniform(0.4, 1) * duration
    times = regular_times(rng, period, stop, rng.uniform(0.01, 0.07), start)
    n = n_samples(duration, sample_rate)
    limp = np.where(np.arange(len(times)) % 2, rng.uniform(0.6, 1), 1.0)
    gains = limp * np.exp(0.2 * rng.standard_normal(len(times)))
    walk = contour(np.exp(rng.uniform(-1.5, 0, 3)), max(len(times), 1))
    out = scatter(times, steps, n, sample_rate, gains * walk)
    if rng.random() < 0.25:  # cloth and keys move along
        cloth = band_noise(rng, n, sample_rate, 1500, 8000, 1)
        sway = np.clip(wander(rng, n, sample_rate, 2 / period), 0, None)
        out += rng.uniform(0.005, 0.03) * cloth * sway
    return out, times


@sound("footsteps")
def footsteps(rng, duration, sample_rate):
    """Walking at 1.2-2.5 steps a second on wood, stone, gravel, snow, stairs."""
    period = rng.uniform(0.4, 0.85)
    toe_gap, roll = rng.uniform(0.04, 0.15), rng.uniform(0.18, 0.4)
    return _gait(rng, duration, sample_rate, period, toe_gap, roll)[0]


@sound("running")
def running(rng, duration, sample_rate):
    """Fast steps, 2.4-3.8 a second, that land once; panting perhaps."""
    period = rng.uniform(0.26, 0.42)
    out, times = _gait(
        rng, duration, sample_rate, period, 0.02, rng.uniform(0.1, 0.2)
    )
    if rng.random() < 0.5:  # out of breath, tied to every other step
        size, n = person(rng)[1], len(out)
        level = log_uniform(rng, 0.05, 0.4)
        puffs = [
            level * _breath(rng, sample_rate, size, period * 0.9, way)
            for way in (True, False, True, False)
        ]
        out += scatter(times[:: rng.integers(1, 3)], puffs, n, sample_rate)
    return out


# --- mouths that eat, drink and are cleaned ----------------------------------


def _scrub(rng, seconds, sample_rate, style):
    """Bristles to and fro at one spot: noise in a cavity that the brush moves.

    Each stroke is a burst; the way back is weaker and another colour.
    """
    n = _rows_of(seconds)
    t = np.arange(n) * HOP
    speed = style["rate"] * np.exp(0.12 * rng.standard_normal())
    drift = 0.25 * np.cumsum(wander(rng, n, 1 / HOP, 1.5)) * HOP
    place = np.cos(2 * np.pi * (speed * t + drift + rng.uniform()))
    swing = np.gradient(place)
    swing /= np.max(np.abs(swing)) + 1e-9
    forth = np.maximum(swing, 0) ** style["sharp"]
    back = np.maximum(-swing, 0) ** style["sharp"]
    env = forth + style["asym"] * back + style["floor"]
    env *= np.exp(0.15 * wander(rng, n, 1 / HOP, 2 * speed))
    env *= swell(n, 1 / HOP, 0.05, 0.05)
    mouth = np.array(
        [
            log_uniform(rng, 500, 1600),
            log_uniform(rng, 1500, 3200),
            log_uniform(rng, 3000, 5500),
        ]
    )
    sweep = 1 + style["sweep"] * place[:, None] * [1.0, 0.6, 0.3]
    fixed = np.tile([6500.0, 8500.0], (n, 1))
    shapes = np.concatenate([mouth * sweep, fixed], axis=1)
    # The bristles' hiss, and what the cavity makes of it.
    centre = style["centre"] * (1 + 0.2 * style["sweep"] * place)
    centre = centre * np.where(swing > 0, 1.0, style["tint"])
    return utter(
        rng,
        sample_rate,
        np.full(n, style["buzz"]),
        shapes,
        style["hum"] * (1 + 0.3 * wander(rng, n, 1 / HOP, 4)),
        style["cavity"] * env,
        env,
        centre,
        tilt=8000,
        jitter=0.005,
        width=rng.uniform(2, 6),
        bright=style["bright"],
    )


@sound("brushing teeth")
def brushing_teeth(rng, duration, sample_rate):
    """Bristles scrub to and fro 2-6 times a second, a few seconds at a spot.

    Wet, foamy or dry; some brushes are electric; spitting, tapping, a tap.
    """
    electric = rng.random() < 0.15
    style = {
        "rate": rng.uniform(2.2, 5.5),
        "sharp": rng.uniform(0.7, 2.5),
        "asym": rng.uniform(0.25, 1),
        "tint": rng.uniform(0.7, 1.25),
        "floor": log_uniform(rng, 0.005, 0.12),
        "sweep": rng.uniform(0.03, 0.3),
        "centre": log_uniform(rng, 2500, 8000),
        "cavity": log_uniform(rng, 0.3, 4),
        "bright": rng.uniform(0.3, 1.3),
        "hum": log_uniform(rng, 0.5, 3) if electric else 0.0,
        "buzz": log_uniform(rng, 90, 280),
    }
    n = n_samples(duration, sample_rate)
    out, time = np.zeros(n), rng.uniform(-1.5, 0.5)
    stay = log_uniform(rng, 0.5, 5)
    while time < duration:
        seconds = stay * np.exp(0.4 * rng.standard_normal())
        seconds = float(np.clip(seconds, 0.2, duration - time + 0.5))
        spot = _scrub(rng, seconds, sample_rate, style)
        spot = spot[int(max(-time, 0) * sample_rate) :]
        gain = np.exp(0.25 * rng.standard_normal())
        out += scatter([max(time, 0)], [spot], n, sample_rate, [gain])
        time += seconds + rng.choice([0.02, rng.uniform(0.05, 0.5)])
    out = _unit(out)
    foam = rng.choice([0.0, log_uniform(rng, 0.5, 3)])
    if foam:  # bubbles burst
        times = poisson_times(rng, rng.uniform(20, 80), duration)
        ticks = pulses(rng, times, n, sample_rate, 0.8)
        freqs = np.exp(rng.uniform(7, 8.7, 4))
        ticks = resonate(ticks, sample_rate, freqs, 0.4 * freqs)
        out += foam * normalise(ticks)
    if rng.random() < 0.4:  # the handle on the teeth
        times = poisson_times(rng, rng.uniform(0.5, 3), duration)
        knock = pulses(rng, times, n, sample_rate, 0.8)
        freqs = rng.uniform(700, 4500, 5)
        tap = modes(n, sample_rate, freqs, [0.02] * 5, [1.0] * 5, knock)
        out += rng.uniform(0.5, 2.5) * tap
    if rng.random() < 0.12:  # water runs
        out += rng.uniform(0.05, 0.3) * band_noise(
            rng, n, sample_rate, 400, 6000, 1
        )
    return out


def _swallow(rng, sample_rate, size):
    """A gulp: a click of the throat, then a bubble that rises, "glup"."""
    seconds = rng.uniform(0.1, 0.3)
    n = n_samples(seconds, sample_rate)
    low = log_uniform(rng, 90, 320) * size
    rise = [1.0, rng.uniform(0.8, 1.2), rng.uniform(1.2, 2.4)]
    glide = low * contour(rise, n)
    bubble = saw(glide, sample_rate)
    shape = np.array([1.5 * low, log_uniform(rng, 700, 1600), 2600 * size])
    bubble = resonate(bubble, sample_rate, shape, 0.3 * shape, [1, 0.3, 0.1])
    bubble = normalise(bubble) * swell(n, sample_rate, 0.02, 0.7 * seconds)
    wet = air(rng, n, sample_rate, shape * [2, 1, 1], 0.1, 0.3)
    wet *= np.abs(wander(rng, n, sample_rate, 40))
    wet *= percussive(n, sample_rate, 0.01, seconds)
    hits = np.array(
        [0.005, rng.uniform(0.03, 0.1), rng.uniform(0.5, 1) * seconds]
    )
    click = pulses(rng, hits, n, sample_rate, 0.7)
    freqs = rng.uniform(500, 3500, 3)
    click = normalise(resonate(click, sample_rate, freqs, 0.4 * freqs))
    mix = rng.uniform(0.1, 1, 3)
    return 0.5 * mix[0] * bubble + 0.4 * mix[1] * wet + mix[2] * click


def _slurp(rng, sample_rate, size, seconds, style):
    """Air and liquid sucked through lips: a fluttering hiss in two bands."""
    n = _rows_of(seconds)
    flutter = wander(rng, n, 1 / HOP, style["flutter"])
    depth = style["wet"]
    env = np.clip(1 + depth * flutter, 0.02, 3)
    env *= swell(n, 1 / HOP, rng.uniform(0.05, 0.4) * seconds, 0.06)
    low = style["lips"] * np.exp(0.1 * rng.standard_normal())
    rise = rng.uniform(0.85, 1.35)
    lips = low * np.array([0.45, 1.0, 2.1, 3.4, 4.8]) * size
    sig = utter(
        rng,
        sample_rate,
        np.full(n, 100.0),
        [lips, 0.5 * lips * (1 + rise), lips * rise],
        0.0,
        env,
        0.6 * env,
        2 * low * (1 + 0.2 * flutter),
        width=rng.uniform(1, 4),
        bright=rng.uniform(0.4, 1.4),
    )
    m = len(sig)
    bubbles = []
    for _ in range(5):
        k = n_samples(rng.uniform(0.01, 0.05), sample_rate)
        pitch = log_uniform(rng, 350, 2200) * contour([1, 1.6], k)
        drop = tone(pitch, sample_rate) * percussive(
            k, sample_rate, 0.002, 0.03
        )
        bubbles.append(drop)
    times = poisson_times(rng, style["bubbles"], seconds)
    gains = np.exp(0.6 * rng.standard_normal(len(times)))
    return _unit(sig) + style["pop"] * scatter(
        times, bubbles, m, sample_rate, gains
    )


@sound("drinking sipping")
def drinking_sipping(rng, duration, sample_rate):
    """Slurps from a hot cup, gulps from a bottle, the last through a straw.

    Between: a swallow, "ah", smacking lips, the cup put down.
    """
    size = rng.uniform(0.85, 1.3)
    kind = rng.choice(["sip", "gulp", "straw"], p=[0.5, 0.38, 0.12])
    straw = kind == "straw"
    style = {
        "flutter": rng.uniform(20, 60) if straw else rng.uniform(10, 60),
        "wet": rng.uniform(0.3, 1.2),
        "lips": log_uniform(rng, 900, 2600),
        "bubbles": log_uniform(rng, 40, 90)
        if straw
        else log_uniform(rng, 3, 30),
        "pop": log_uniform(rng, 0.5, 5),
    }
    length = log_uniform(rng, 0.25, 1.2) * (1.8 if straw else 1)
    habits = rng.random(4) < [0.7, 0.35, 0.25, 0.3]
    pause = rng.uniform(0.15, 0.7)

    def make(_):
        parts = []
        if kind == "gulp":
            for _ in range(rng.integers(2, 8)):
                parts.append(normalise(_swallow(rng, sample_rate, size)))
                rest = pause * rng.uniform(0.8, 1.2)
                puff = _breath(rng, sample_rate, size, rest, False)
                parts.append(rng.uniform(0, 0.03) * puff)
        else:
            seconds = length * rng.uniform(0.7, 1.3)
            sip = _slurp(rng, sample_rate, size, seconds, style)
            parts.append(0.3 * sip)
            if habits[0]:
                parts.append(_silence(rng.uniform(0.1, 0.6), sample_rate))
                gulp = _swallow(rng, sample_rate, size)
                parts.append(rng.uniform(0.2, 0.8) * gulp)
        if habits[1]:
            seconds = rng.uniform(0.3, 0.9)
            parts.append(_silence(rng.uniform(0.05, 0.3), sample_rate))
            voiced = rng.choice([0.0, 1.0])
            ah = _breath(rng, sample_rate, size, seconds, False, voiced, 140.0)
            parts.append(rng.uniform(0.03, 0.2) * ah)
        if habits[3]:
            parts.append(rng.uniform(0.1, 0.5) * _smack(rng, sample_rate))
        if habits[2]:  # the cup meets the table
            n = n_samples(0.3, sample_rate)
            freqs = log_uniform(rng, 800, 2500) * np.array([1, 1.7, 2.9, 4.1])
            decays = [0.15, 0.1, 0.06, 0.04]
            cup = modes(n, sample_rate, freqs, decays, [1, 1, 0.6, 0.4])
            parts += [_silence(0.2, sample_rate), 0.3 * normalise(cup)]
        return np.concatenate(parts)

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.2, 1.6))


def _smack(rng, sample_rate):
    """Wet lips or tongue come apart: a few clicks in a small cavity."""
    n = n_samples(rng.uniform(0.06, 0.15), sample_rate)
    times = rng.uniform(0, 0.04, rng.integers(1, 6))
    freqs = np.exp(rng.uniform(6.5, 8.6, 3))
    sig = resonate(
        pulses(rng, times, n, sample_rate, 0.8), sample_rate, freqs, 0.3 * freqs
    )
    return normalise(sig)


@sound("chewing")
def chewing(rng, duration, sample_rate):
    """One or two bites a second: crisp fractures, or wet squash and smacks.

    Crisps and carrots, an apple, gum with an open mouth; dull in a closed one.
    """
    n = n_samples(duration, sample_rate)
    period = rng.uniform(0.4, 0.95)
    crisp = rng.choice([0.0, log_uniform(rng, 0.2, 2)], p=[0.3, 0.7])
    wet = log_uniform(rng, 0.1, 1.0)
    closed = log_uniform(rng, 1000, 4000) if rng.random() < 0.5 else 12000
    size = log_uniform(rng, 30, 500)  # fractures a second
    low = log_uniform(rng, 300, 1500)
    high = low * log_uniform(rng, 4, 12)
    wear = rng.uniform(0, 0.5)  # the mouthful gets softer
    times = regular_times(rng, period, duration, 0.08, rng.uniform(0, period))
    parts = int(rng.integers(4, 20))

    def bite(i):
        seconds = rng.uniform(0.12, 0.3)
        m = n_samples(seconds, sample_rate)
        hard = crisp * np.exp(-wear * (i % parts))
        cracks = poisson_times(rng, size, seconds)
        cracks = pulses(rng, cracks, m, sample_rate, 1.2)
        freqs = np.exp(rng.uniform(np.log(low), np.log(high), 5))
        snap = resonate(cracks, sample_rate, freqs, 0.5 * freqs)
        snap = normalise(snap + 0.3 * band(cracks, sample_rate, low))
        press = percussive(m, sample_rate, 0.3 * seconds, 1.5 * seconds)
        mush = air(rng, m, sample_rate, vowel("uh", 1.3), 0.05, 0.4)
        mush *= np.abs(wander(rng, m, sample_rate, 35)) * 0.15
        out = (hard * snap + wet * mush) * press
        if rng.random() < 0.6:
            out = np.append(out, wet * 0.5 * _smack(rng, sample_rate))
        return out

    gains = np.exp(0.25 * rng.standard_normal(len(times)))
    out = scatter(times, bite, n, sample_rate, gains)
    out = band(out, sample_rate, 80, closed, 1)
    if rng.random() < 0.3:  # breath through the nose
        nose = air(rng, n, sample_rate, np.array([900, 2200, 4500]), 0.2)
        slow = tremolo(n, sample_rate, rng.uniform(0.25, 0.5), 1.0)
        out += log_uniform(rng, 0.002, 0.015) * nose * slow**2
    if rng.random() < 0.3:
        at = rng.uniform(0.4, 1) * duration
        gulp = 0.5 * _swallow(rng, sample_rate, 1.0)
        out += scatter([at], [gulp], n, sample_rate)
    return out
