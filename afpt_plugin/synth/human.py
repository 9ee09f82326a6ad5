"""Sounds of people: throats, breath, hands, feet and mouths.

Each generator is called as `make(rng, duration, sample_rate)` and returns a dry
mono signal; its docstring says how the sound comes about. A helper `_event`
makes one occurrence, the generator lays occurrences out in time.

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
    voice,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]

# Formants of a grown man; a shorter throat multiplies them.
VOWELS = {
    "a": (730, 1090, 2440, 3400, 4500),
    "ae": (660, 1720, 2410, 3500, 4500),
    "e": (530, 1840, 2480, 3500, 4500),
    "er": (490, 1350, 1690, 3300, 4300),
    "i": (280, 2250, 2890, 3600, 4600),
    "o": (570, 840, 2410, 3300, 4400),
    "u": (300, 870, 2240, 3200, 4300),
}


def _vowel(name, size):
    """Formants of a vowel; `size` 1 is a man, 1.17 a woman, 1.4 a child."""
    return np.array(VOWELS[name]) * size


def _person(rng):
    """Pitch and throat size of a man, a woman or a child."""
    kind = rng.choice(["man", "woman", "child"], p=[0.45, 0.4, 0.15])
    low, high, size = {
        "man": (85, 160, 1.0),
        "woman": (160, 260, 1.17),
        "child": (240, 380, 1.4),
    }[kind]
    return log_uniform(rng, low, high), size * rng.uniform(0.92, 1.1)


def _air(rng, n, sample_rate, formants, leak=0.3, width=None):
    """Turbulent breath through a mouth or nose, of unit variance."""
    source = noise(rng, n, rng.uniform(0, 0.8))
    width = rng.uniform(0.15, 0.5) if width is None else width
    gains = rng.uniform(0.5, 1.0) ** np.arange(len(formants))
    sig = resonate(source, sample_rate, formants, width * formants, gains)
    sig = sig / (np.std(sig) + 1e-9) + leak * source
    return sig / (np.std(sig) + 1e-9)


# --- infants and cries -------------------------------------------------------


def _wail(rng, seconds, f0, size, sample_rate, kind):
    """One breath of crying: pitch rises, holds and falls; folds overblow."""
    n = n_samples(seconds, sample_rate)
    top = rng.uniform(1.05, 1.45)
    curve = {
        "arch": [0.75, 1.0, top, 1.0, rng.uniform(0.6, 0.9)],
        "fall": [0.9, top, 1.1, 0.9, rng.uniform(0.55, 0.8)],
        "flat": [0.85, 1.05, 1.08, 1.05, rng.uniform(0.8, 1.0)],
        "rise": [0.7, 0.85, 1.0, top, rng.uniform(0.9, 1.1)],
    }[kind]
    at = [0, rng.uniform(0.08, 0.25), rng.uniform(0.3, 0.6), 0.8, 1]
    pitch = f0 * contour(curve, n, at)
    pitch *= 1 + rng.uniform(0.005, 0.03) * tone(
        rng.uniform(5, 9), sample_rate, n
    )
    if rng.random() < 0.2 and seconds > 0.5:  # a break into the high register
        jump = rng.uniform(0.3, 0.7)
        span = rng.uniform(0.08, 0.25)
        t = np.linspace(0, 1, n)
        inside = (t > jump) & (t < jump + span)
        pitch = np.where(inside, pitch * rng.uniform(1.6, 2.2), pitch)
    mouth = np.array([1100, 2900, 4600, 6300, 8200]) * size
    open_mouth = mouth * [rng.uniform(0.9, 1.2), 1, 1, 1, 1]
    closed = mouth * [0.55, 0.9, 0.97, 1, 1]
    sig = voice(
        rng,
        pitch,
        sample_rate,
        [closed, open_mouth, open_mouth, closed],
        widths=mouth * rng.uniform(0.1, 0.25),
        gains=rng.uniform(0.55, 1.1) ** np.arange(5),
        breath=rng.uniform(0.02, 0.25),
        tilt=log_uniform(rng, 1500, 8000),
        jitter=rng.uniform(0.004, 0.03),
        shimmer=rng.uniform(0.05, 0.25),
        growl=rng.uniform(0.2, 0.8) if rng.random() < 0.4 else 0.0,
        growl_rate=None if rng.random() < 0.5 else rng.uniform(60, 140),
    )
    env = swell(n, sample_rate, rng.uniform(0.02, 0.12), 0.3 * seconds, 0.8)
    if rng.random() < 0.25:  # sobbing: "eh-eh-eh"
        env *= tremolo(n, sample_rate, rng.uniform(5, 10), rng.uniform(0.3, 1))
    return sig * env


@sound("crying baby")
def crying_baby(rng, duration, sample_rate):
    """Wails of 0.3-1.8 s at 330-650 Hz, each followed by a gasp for air."""
    f0, size = log_uniform(rng, 330, 620), rng.uniform(0.8, 1.15)
    style = rng.choice(["wail", "newborn", "fuss"], p=[0.5, 0.35, 0.15])
    length = {
        "wail": rng.uniform(0.7, 1.8),
        "newborn": rng.uniform(0.3, 0.8),
        "fuss": rng.uniform(0.15, 0.5),
    }[style]
    usual = rng.choice(["arch", "fall", "flat", "rise"], p=[0.5, 0.3, 0.1, 0.1])
    gasp_level = rng.choice([0.0, log_uniform(rng, 0.01, 0.12)], p=[0.2, 0.8])
    rest = log_uniform(rng, 0.02, 0.5 if style != "fuss" else 1.2)
    n = n_samples(duration, sample_rate)
    out, time = np.zeros(n), rng.uniform(-0.5, 0.3)
    while time < duration:
        seconds = length * np.exp(0.3 * rng.standard_normal())
        kind = usual if rng.random() < 0.7 else "arch"
        pitch = f0 * np.exp(0.08 * rng.standard_normal())
        cry = _wail(rng, seconds, pitch, size, sample_rate, kind)
        level = np.exp(0.25 * rng.standard_normal())
        skip = int(max(-time, 0) * sample_rate)
        out += scatter([max(time, 0)], [cry[skip:]], n, sample_rate, [level])
        time += seconds + rng.uniform(0.03, 0.12)
        inhale = rng.uniform(0.12, 0.4)
        m = n_samples(inhale, sample_rate)
        gasp = _air(rng, m, sample_rate, np.array([1500, 3800, 6000]) * size)
        if rng.random() < 0.3:  # the folds squeak on the way in
            squeak = contour([1, 1.2, 1.4], m) * f0 * rng.uniform(1, 1.8)
            gasp += rng.uniform(0.3, 2) * tone(squeak, sample_rate)
        gasp *= gasp_level * swell(m, sample_rate, 0.4 * inhale, 0.3 * inhale)
        out += scatter([time], [gasp], n, sample_rate)
        time += inhale + rest * np.exp(0.4 * rng.standard_normal())
        if style == "newborn" and rng.random() < 0.15:
            time += rng.uniform(0.3, 0.9)
    return out


@sound("scream")
def scream(rng, duration, sample_rate):
    """A pressed voice driven into chaos: high, rough and long."""
    f0, size = _person(rng)
    seconds = rng.uniform(0.5, min(2.5, duration))

    def make(_):
        n = n_samples(seconds * rng.uniform(0.7, 1.3), sample_rate)
        top = log_uniform(rng, 2.5, 6)
        pitch = f0 * contour([top * 0.7, top, top, top * 0.6], n)
        sig = voice(
            rng,
            np.minimum(pitch, 2200),
            sample_rate,
            _vowel(rng.choice(["a", "ae"]), size * 1.1),
            breath=rng.uniform(0.05, 0.3),
            tilt=6000,
            jitter=rng.uniform(0.01, 0.05),
            growl=rng.uniform(0.3, 0.9),
            growl_rate=rng.uniform(50, 180),
        )
        return sig * swell(n, sample_rate, 0.06, rng.uniform(0.1, 0.5))

    return sequence(rng, make, duration, sample_rate, (1, 3), (0.2, 1.5))


# --- sneezes, coughs, breath -------------------------------------------------


def _sneeze(rng, f0, size, sample_rate, style):
    """Gasps in, a held breath, then the blow: vowel, fricative and spray."""
    parts = []
    for i in range(style["gasps"]):
        seconds = rng.uniform(0.15, 0.6)
        n = n_samples(seconds, sample_rate)
        gasp = _air(rng, n, sample_rate, _vowel("ae", size))
        if style["voiced"]:
            pitch = f0 * contour([1.2, 1.6, rng.uniform(1.8, 2.4)], n)
            gasp = 0.3 * gasp + 2 * style["voiced"] * voice(
                rng, pitch, sample_rate, _vowel("a", size), breath=0.4
            )
        level = rng.uniform(0.03, 0.15) * (1 + i)
        parts.append(level * gasp * swell(n, sample_rate, seconds * 0.6, 0.05))
        parts.append(np.zeros(n_samples(rng.uniform(0.03, 0.3), sample_rate)))
    # The blow: pressure falls within a third of a second.
    shout = rng.uniform(0.03, 0.14)
    hiss = rng.uniform(0.12, 0.45)
    n = n_samples(shout + hiss + 0.1, sample_rate)
    blow = np.zeros(n)
    m = n_samples(shout * 1.6, sample_rate)
    pitch = f0 * contour([1.5, rng.uniform(2, 3), 1.6], m)
    vowel = voice(
        rng,
        pitch,
        sample_rate,
        [_vowel("a", size), _vowel("i" if style["chi"] else "e", size)],
        breath=rng.uniform(0.3, 0.7),
        tilt=5000,
        growl=rng.uniform(0, 0.6),
    )
    blow[:m] += style["shout"] * vowel * swell(m, sample_rate, 0.004, 0.05)
    k = n - n_samples(shout, sample_rate)
    teeth = band_noise(rng, k, sample_rate, log_uniform(rng, 1200, 3500), 11000)
    teeth += 2.0 * _air(
        rng, k, sample_rate, np.array([1800, 3600, 5800]) * size * 0.9, 0.2
    )
    env = percussive(k, sample_rate, rng.uniform(0.003, 0.02), hiss * 1.4)
    blow[n - k :] += 0.3 * teeth * env
    if style["tail"]:  # "...oo", the folds closing again
        seconds = rng.uniform(0.1, 0.35)
        m = min(n_samples(seconds, sample_rate), k)
        pitch = f0 * contour([1.8, 1.2, 0.9], m)
        oo = voice(rng, pitch, sample_rate, _vowel("u", size), breath=0.3)
        blow[n - k : n - k + m] += (
            style["tail"] * oo * swell(m, sample_rate, 0.04, 0.7 * seconds)
        )
    puff = band_noise(rng, n, sample_rate, 60, 500)
    blow += 0.2 * puff * percussive(n, sample_rate, 0.01, 0.3)
    parts.append(normalise(blow))
    if rng.random() < 0.3:
        parts.append(np.zeros(n_samples(rng.uniform(0.1, 0.6), sample_rate)))
        parts.append(_sniff(rng, size, sample_rate) * rng.uniform(0.05, 0.3))
    return np.concatenate(parts)


def _sniff(rng, size, sample_rate):
    """A short wet breath through the nose."""
    seconds = rng.uniform(0.15, 0.5)
    n = n_samples(seconds, sample_rate)
    sig = _air(rng, n, sample_rate, np.array([1100, 2600, 5200]) * size)
    wet = 1 + rng.uniform(0, 0.8) * wander(rng, n, sample_rate, 45)
    return normalise(sig * wet * swell(n, sample_rate, 0.7 * seconds, 0.05))


@sound("sneezing")
def sneezing(rng, duration, sample_rate):
    """One to three sneezes, each with its own run-up, then quiet."""
    f0, size = _person(rng)
    style = {
        "gasps": rng.choice(4, p=[0.3, 0.4, 0.2, 0.1]),
        "voiced": rng.choice([0.0, rng.uniform(0.3, 1)]),
        "shout": log_uniform(rng, 0.15, 1.5),
        "tail": rng.choice([0.0, rng.uniform(0.1, 0.6)]),
        "chi": rng.random() < 0.4,
    }

    def make(_):
        return _sneeze(rng, f0, size, sample_rate, style)

    most = rng.choice([1, 2, 4], p=[0.6, 0.25, 0.15])
    return sequence(rng, make, duration, sample_rate, (1, most), (0.2, 1.2))


def _cough(rng, f0, size, sample_rate, wet, level=1.0):
    """Glottis bursts open, air rushes through, folds may close voiced."""
    seconds = log_uniform(rng, 0.12, 0.4)
    n = n_samples(seconds, sample_rate)
    mouth = _vowel(rng.choice(["a", "er", "ae", "o"]), size)
    rush = _air(rng, n, sample_rate, mouth, rng.uniform(0.2, 0.6))
    rush *= percussive(n, sample_rate, rng.uniform(0.002, 0.012), seconds)
    pitch = f0 * contour([1.6, rng.uniform(1.4, 2.4), 1.2, 0.9], n)
    folds = voice(
        rng,
        pitch,
        sample_rate,
        mouth,
        breath=0.5,
        tilt=3000,
        jitter=0.06,
        growl=rng.uniform(0.2, 0.9),
        growl_rate=rng.uniform(25, 70),
    )
    at = rng.uniform(0.0, 0.3)
    folds *= contour(
        [0.4, 1, 0.3, rng.uniform(0, 0.6), 0],
        n,
        [0, at + 0.05, at + 0.2, 0.8, 1],
    )
    sig = rush + rng.uniform(0.5, 5) * folds * (1 if level > 0.5 else 0.3)
    if wet:
        rattle = 1 + 0.7 * wander(rng, n, sample_rate, rng.uniform(30, 90))
        sig *= np.abs(rattle)
    chest = band_noise(rng, n, sample_rate, 80, 350)
    sig += (
        rng.uniform(0.1, 0.8) * chest * percussive(n, sample_rate, 0.005, 0.12)
    )
    return level * normalise(sig) * swell(n, sample_rate, 0.001, 0.04)


@sound("coughing")
def coughing(rng, duration, sample_rate):
    """Fits of one to five coughs on a single breath, fading within the fit."""
    f0, size = _person(rng)
    wet = rng.random() < 0.4
    spacing = rng.uniform(0.22, 0.5)

    def make(_):
        count = rng.integers(1, 6)
        n = n_samples(count * spacing + 0.5, sample_rate)
        times = regular_times(rng, spacing, count * spacing, 0.15)
        levels = 0.85 ** np.arange(len(times))
        levels *= np.exp(0.2 * rng.standard_normal(len(times)))
        fit = scatter(
            times,
            lambda i: _cough(rng, f0, size, sample_rate, wet, levels[i]),
            n,
            sample_rate,
        )
        if rng.random() < 0.4:  # gasp or clearing of the throat after it
            fit = np.append(fit, 0.15 * _sniff(rng, size, sample_rate))
        return fit

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.1, 1.5))


@sound("breathing")
def breathing(rng, duration, sample_rate):
    """Air in, air out: hiss whose colour and level differ by direction.

    Sleeping, panting, running, nose or mouth, through a mask or a snorkel.
    """
    style = rng.choice(
        ["calm", "deep", "pant", "mask"], p=[0.35, 0.3, 0.2, 0.15]
    )
    period = {
        "calm": rng.uniform(2.0, 4.5),
        "deep": rng.uniform(1.4, 4.0),
        "pant": rng.uniform(0.35, 1.1),
        "mask": rng.uniform(2.0, 4.5),
    }[style]
    size = _person(rng)[1]
    if rng.random() < 0.5:  # through the mouth
        inhale = _vowel(rng.choice(["er", "e", "ae", "i"]), size) * 1.15
        exhale = _vowel(rng.choice(["a", "er", "o", "u"]), size)
    else:  # through the nose
        inhale = np.array([1000, 2300, 4200, 7000]) * size
        exhale = np.array([600, 1500, 3000, 5200]) * size
    if style == "mask":
        inhale, exhale = inhale * 0.7, exhale * 0.6
    part = rng.uniform(0.3, 0.5)  # of the cycle that goes in
    pause_in, pause_out = rng.uniform(0, 0.1), rng.uniform(0.02, 0.3)
    level_in = rng.choice([log_uniform(rng, 0.3, 2), 0.05], p=[0.9, 0.1])
    leak = [rng.uniform(0.05, 0.6), rng.uniform(0.05, 0.6)]
    width = rng.uniform(0.12, 0.5)
    rough = rng.uniform(0, 0.35)
    pop = rng.choice([0.0, rng.uniform(0.2, 1.5)])
    voiced = rng.choice([0.0, rng.uniform(0.05, 0.5)], p=[0.8, 0.2])
    skew_in, skew_out = rng.uniform(0.4, 0.8), rng.uniform(0.12, 0.45)

    def breath(i):
        out_going = i % 2
        share = (1 - part - pause_out) if out_going else (part - pause_in)
        seconds = period * max(share, 0.1) * np.exp(0.1 * rng.normal())
        n = n_samples(seconds, sample_rate)
        mouth = exhale if out_going else inhale
        sig = _air(rng, n, sample_rate, mouth, leak[out_going], width)
        # The throat opens on the way: a second colour fades in.
        later = mouth * rng.uniform(0.75, 1.3)
        blend = np.linspace(0, 1, n)
        sig = (1 - blend) * sig + blend * _air(
            rng, n, sample_rate, later, leak[out_going], width
        )
        sig *= 1 + rough * wander(rng, n, sample_rate, rng.uniform(8, 40))
        if out_going and pop:  # breath hits the microphone
            wind = band_noise(rng, n, sample_rate, 15, 160)
            sig += pop * wind * np.abs(wander(rng, n, sample_rate, 8))
        if out_going and voiced:
            f0 = rng.uniform(90, 260) * contour([1.1, 1, 0.8], n)
            sig += 8 * voiced * voice(rng, f0, sample_rate, mouth, breath=0.5)
        skew = skew_out if out_going else skew_in
        shape = contour(
            [0, 0.5, 1, 0.5, 0],
            n,
            [0, skew * 0.5, skew, skew + (1 - skew) * 0.5, 1],
        )
        return (
            sig
            * np.maximum(shape, 0) ** rng.uniform(0.8, 1.5)
            * (1.0 if out_going else level_in)
        )

    cycles = int(duration / period) + 2
    starts = np.arange(cycles) * period * (1 + 0.04 * rng.normal(size=cycles))
    starts -= rng.uniform(0, period * 0.6)
    times = np.ravel(np.column_stack([starts, starts + part * period]))
    levels = np.exp(0.15 * rng.standard_normal(len(times)))
    first = rng.integers(2) if style != "pant" else 0
    n = n_samples(duration, sample_rate)
    sig = np.zeros(n)
    for i, (time, level) in enumerate(zip(times, levels, strict=True)):
        if i < first or time > duration:
            continue
        one = breath(i)[int(max(-time, 0) * sample_rate) :]
        sig += scatter([max(time, 0)], [one], n, sample_rate, [level])
    if style == "mask" and rng.random() < 0.6:  # valve clicks, tube resonance
        sig = (
            resonate(
                sig,
                sample_rate,
                rng.uniform(200, 900) * np.array([1, 2, 3, 4.1]),
                120,
            )
            + 0.1 * sig
        )
    return sig


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
    skew = rng.uniform(0.4, 0.85)
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
        puffs = noisy * 1.5 * gate * noise(rng, n, 0.4)
        folds = band(saw(rate, sample_rate), sample_rate, 60, 2500, 1)
        source = puffs + (1 - noisy) * folds / (np.std(folds) + 1e-9)
        source *= 1 + breaking * wander(rng, n, sample_rate, 12)
        sig = resonate(source, sample_rate, throat, width * throat, gains)
        sig += 0.05 * source + 0.03 * noise(rng, n, 0.5)
        shape = contour([0, 0.6, 1, 0.7, 0], n, [0, skew * 0.5, skew, 0.93, 1])
        return normalise(sig) * shape

    def exhale(seconds):
        n = n_samples(seconds, sample_rate)
        env = swell(n, sample_rate, 0.2 * seconds, 0.7 * seconds)
        if way_out == "snore":
            return rasp(seconds, flap * rng.uniform(0.6, 1.5)) * 0.5
        sig = 0.1 * _air(rng, n, sample_rate, throat * 1.3)
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
    out, time = np.zeros(n), rng.uniform(-0.4, 1.2) * share * period
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


# --- laughter and speech -----------------------------------------------------


def _laugh(rng, f0, size, sample_rate):
    """A bout on one breath: "ha" after "ha", pitch and strength running out."""
    rate = rng.uniform(3.6, 7.0)
    count = rng.integers(3, 12)
    high = log_uniform(rng, 1.2, 2.6)
    vowel = rng.choice(
        ["a", "e", "er", "ae", "i", "o"], p=[0.4, 0.15, 0.15, 0.15, 0.1, 0.05]
    )
    voiced = rng.uniform(0.3, 0.75)  # share of a call that sounds
    breath = rng.uniform(0.05, 0.4)
    tilt = log_uniform(rng, 1200, 5000)
    n = n_samples(count / rate + 0.6, sample_rate)
    out, time = np.zeros(n), 0.0
    for i in range(count):
        fall = 1 - 0.5 * i / count
        stretch = rng.uniform(1.2, 2.2) if i == 0 else 1.0
        seconds = stretch * voiced / rate * np.exp(0.1 * rng.normal())
        m = n_samples(seconds, sample_rate)
        pitch = f0 * (1 + (high - 1) * fall) * np.exp(0.05 * rng.normal())
        call = voice(
            rng,
            pitch * contour([0.9, 1.08, rng.uniform(0.7, 0.95)], m),
            sample_rate,
            _vowel(vowel, size * rng.uniform(0.97, 1.05)),
            breath=breath,
            tilt=tilt,
            growl=rng.choice([0.0, 0.4], p=[0.8, 0.2]),
        ) * swell(m, sample_rate, 0.02, 0.4 * seconds)
        k = n_samples(stretch / rate * (1.05 - voiced), sample_rate)
        puff = _air(rng, k, sample_rate, _vowel(vowel, size))
        puff *= rng.uniform(0.04, 0.15) * swell(k, sample_rate, 0.03, 0.05)
        event = np.concatenate([puff, call]) * (0.25 + 0.75 * fall)
        out += scatter([time], [event], n, sample_rate)
        time += stretch / rate * np.exp(0.06 * rng.standard_normal())
    if rng.random() < 0.5:  # draws breath
        gasp = _air(
            rng, n_samples(0.3, sample_rate), sample_rate, _vowel("i", size)
        )
        gasp *= swell(len(gasp), sample_rate, 0.2, 0.08)
        out = np.append(out, rng.uniform(0.03, 0.15) * gasp)
    return out


@sound("laughing")
def laughing(rng, duration, sample_rate):
    """One person laughing, a baby giggling, or a room of people."""
    crowd = rng.choice([1, 2, 4], p=[0.72, 0.15, 0.13])
    out = np.zeros(n_samples(duration, sample_rate))
    for _ in range(crowd):
        f0, size = _person(rng)
        if crowd == 1 and rng.random() < 0.2:
            f0, size = rng.uniform(300, 450), rng.uniform(1.4, 1.7)
        bouts = sequence(
            rng,
            lambda _, f0=f0, size=size: _laugh(rng, f0, size, sample_rate),
            duration,
            sample_rate,
            (1, 6),
            (0.05, 0.9),
        )
        out += bouts * log_uniform(rng, 0.3, 1) if crowd > 1 else bouts
    return out


def _speech(rng, duration, sample_rate, f0, size, rate):
    """Babble: syllables of gliding vowels and consonants, phrases, pauses."""
    n = n_samples(duration, sample_rate)
    out, time = np.zeros(n), rng.uniform(0, 0.3)
    names = list(VOWELS)
    while time < duration:
        words = rng.integers(3, 12)
        span = min(words / rate, duration - time)
        m = n_samples(span, sample_rate)
        wide = rng.uniform(0.08, 0.25)
        pitch = f0 * (1 + wide * wander(rng, m, sample_rate, rate * 0.7))
        pitch *= contour([1.1, 1.05, rng.choice([0.8, 0.85, 1.2])], m)
        vowels = [_vowel(rng.choice(names), size) for _ in range(words + 1)]
        glottis = voice(
            rng,
            pitch,
            sample_rate,
            vowels[: min(words + 1, 6)],
            breath=rng.uniform(0.03, 0.2),
            tilt=log_uniform(rng, 800, 2500),
        )
        beats = regular_times(rng, 1 / rate, span, 0.12)
        knots = np.sort(np.concatenate([beats, beats + 0.6 / rate])) / span
        knots = np.clip(knots + 1e-6 * np.arange(len(knots)), 0, 1)
        level = np.interp(
            np.linspace(0, 1, m), knots, np.tile([1.0, 0.08], len(beats))
        )
        phrase = glottis * level * swell(m, sample_rate, 0.03, 0.1)
        for beat in beats[rng.random(len(beats)) < 0.5]:
            k = n_samples(rng.uniform(0.03, 0.12), sample_rate)
            low = log_uniform(rng, 1500, 5500)
            hiss = band_noise(rng, k, sample_rate, low, low * 2)
            hiss *= rng.uniform(0.01, 0.08) * swell(k, sample_rate, 0.01, 0.02)
            phrase += scatter([max(beat - 0.05, 0)], [hiss], m, sample_rate)
        out += scatter([time], [phrase], n, sample_rate)
        time += span + rng.uniform(0.1, 0.8)
    return out


@sound("speech")
def speech(rng, duration, sample_rate):
    """One person, sometimes two, babbling at 3-7 syllables a second."""
    people = [_person(rng) for _ in range(rng.choice([1, 2], p=[0.8, 0.2]))]
    rate = rng.uniform(3, 7)
    parts = [_speech(rng, duration, sample_rate, *p, rate) for p in people]
    return sum(parts)


@sound("crowd chatter")
def crowd_chatter(rng, duration, sample_rate):
    """Many babblers at once, most of them far: two voices, laid over."""
    parts = [
        _speech(rng, duration, sample_rate, *_person(rng), rng.uniform(3, 6))
        for _ in range(2)
    ]
    out = np.zeros(n_samples(duration, sample_rate))
    for part in parts:
        for _ in range(rng.integers(3, 9)):
            out += rng.uniform(0.2, 1) * np.roll(part, rng.integers(len(part)))
    return out


@sound("singing")
def singing(rng, duration, sample_rate):
    """Held vowels on the notes of a scale, with vibrato."""
    f0, size = _person(rng)
    step = rng.uniform(0.3, 1.2)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    vibrato = rng.uniform(0, 0.03)
    notes = 2 ** (rng.choice(scale, int(duration / step) + 1) / 12)
    n = n_samples(duration, sample_rate)
    smooth = int(0.06 * sample_rate)
    pitch = np.repeat(notes, n_samples(step, sample_rate))
    pitch = np.convolve(
        np.pad(pitch, smooth, "edge")[:: smooth // 8 or 1],
        np.ones(8) / 8,
        "same",
    )
    pitch = np.interp(
        np.arange(n), np.arange(len(pitch)) * (smooth // 8), pitch
    )
    pitch *= f0 * rng.uniform(1, 1.6)
    pitch *= 1 + vibrato * tone(rng.uniform(4.5, 7), sample_rate, n)
    vowels = [_vowel(rng.choice(list(VOWELS)), size) for _ in range(5)]
    sig = voice(rng, pitch, sample_rate, vowels, breath=0.06, tilt=2500)
    return sig * tremolo(n, sample_rate, 1 / step, rng.uniform(0, 0.9))


@sound("humming")
def humming(rng, duration, sample_rate):
    """Singing with the mouth shut: only the lowest resonances get out."""
    sig = singing(rng, duration, sample_rate)
    return band(sig, sample_rate, 80, rng.uniform(400, 900))


@sound("whistling")
def whistling(rng, duration, sample_rate):
    """Lips as a resonator: an almost pure gliding tone and some air."""
    low = log_uniform(rng, 800, 1800)

    def make(_):
        seconds = rng.uniform(0.15, 0.9)
        n = n_samples(seconds, sample_rate)
        pitch = low * contour(2 ** rng.uniform(0, 1, 3), n)
        pitch *= 1 + 0.012 * tone(rng.uniform(4, 7), sample_rate, n)
        sig = tone(pitch, sample_rate) + 0.03 * tone(2 * pitch, sample_rate)
        sig += rng.uniform(0.01, 0.1) * band_noise(
            rng, n, sample_rate, low, 4 * low
        )
        return sig * swell(n, sample_rate, 0.04, 0.06)

    return sequence(rng, make, duration, sample_rate, (2, 10), (0.02, 0.5))


# --- hands and feet ----------------------------------------------------------


def _clap(rng, sample_rate, cup):
    """Two palms: a burst of air whose colour is the hollow between them."""
    n = n_samples(0.12, sample_rate)
    decay = log_uniform(rng, 0.012, 0.09)
    sig = band_noise(rng, n, sample_rate, 300, log_uniform(rng, 3e3, 12e3))
    centre = np.array([cup, cup * rng.uniform(1.8, 3.2)])
    sig = 0.4 * sig + resonate(sig, sample_rate, centre, centre * 0.35) * 2
    sig *= percussive(n, sample_rate, rng.uniform(0.0003, 0.003), decay)
    return sig + 0.1 * percussive(n, sample_rate, 0.001, 0.1) * band_noise(
        rng, n, sample_rate, 200, 1500
    )


@sound("clapping")
def clapping(rng, duration, sample_rate):
    """One pair of hands, a few people, a theatre, or all in time."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["one", "few", "crowd", "in time"], p=[0.3, 0.2, 0.38, 0.12]
    )
    period = rng.uniform(0.17, 0.55)
    if style == "one":
        cup = log_uniform(rng, 600, 2600)
        claps = [_clap(rng, sample_rate, cup) for _ in range(8)]
        times = regular_times(rng, period, duration, rng.uniform(0.01, 0.08))
        if rng.random() < 0.3:
            times = times[times < rng.uniform(0.3, 1) * duration]
        gains = np.exp(0.2 * rng.standard_normal(len(times)))
        return scatter(times, claps, n, sample_rate, gains)
    low, high = (3, 9) if style == "few" else (12, 130)
    people = int(log_uniform(rng, low, high))
    claps = [
        _clap(rng, sample_rate, log_uniform(rng, 500, 2800)) for _ in range(16)
    ]
    together = style == "in time"
    out = np.zeros(n)
    for _ in range(people):
        own = period if together else rng.uniform(0.18, 0.4)
        start = rng.uniform(0, 0.06 if together else own)
        times = regular_times(rng, own, duration, 0.06, start)
        near = log_uniform(rng, 0.15, 1)
        first = rng.integers(16)
        picked = claps[first:] + claps[:first]
        gains = near * np.exp(0.2 * rng.standard_normal(len(times)))
        out += scatter(times, picked[:1], n, sample_rate, gains)
    if people > 15:  # the far rows are a wash
        wash = band_noise(rng, n, sample_rate, 600, 5000, 1)
        out += rng.uniform(0.05, 0.4) * np.std(out) * wash
    if people > 8 and rng.random() < 0.3:
        cheer = crowd_chatter(rng, duration, sample_rate)
        out += rng.uniform(0.05, 0.5) * np.std(out) * cheer / np.std(cheer)
    shape = contour(np.exp(rng.uniform(-1, 0.3, 5)), n)
    if rng.random() < 0.3:
        shape *= np.linspace(1, 0, n) ** rng.uniform(0.3, 2)
    return out * shape


def _crunch(rng, sample_rate, seconds, low, high, rate):
    """Many little fractures under a sole: gravel, leaves, snow."""
    n = n_samples(seconds, sample_rate)
    sig = pulses(rng, poisson_times(rng, rate, seconds), n, sample_rate, 1.0)
    sig = band(sig, sample_rate, low, high, 1)
    sig = (
        resonate(
            sig, sample_rate, rng.uniform(low, high, 4), (high - low) * 0.2
        )
        + 0.5 * sig
    )
    sig = normalise(sig)
    sig += 0.06 * band_noise(rng, n, sample_rate, low, high)
    return sig * swell(n, sample_rate, 0.3 * seconds, 0.5 * seconds)


def _step(rng, sample_rate, floor, pitch, hard, toe_gap):
    """Heel then sole, on a floor that rings, thuds or crunches."""
    n = n_samples(0.4, sample_rate)
    out = np.zeros(n)
    for i, gap in enumerate((0.0, toe_gap)):
        strike = pulses(rng, np.array([0.001]), n, sample_rate)
        strike = strike * sample_rate / 4000
        strike += (
            0.3
            * noise(rng, n)
            * percussive(n, sample_rate, 0.001, rng.uniform(0.01, 0.04))
        )
        soft = hard * (1.0 if i == 0 else rng.uniform(0.4, 1.2))
        strike = band(strike, sample_rate, 60, soft, 1)
        thud = tone(pitch * 0.5, sample_rate, n) * percussive(
            n, sample_rate, 0.004, rng.uniform(0.06, 0.2)
        )
        body = 0
        if floor in ("wood", "metal", "stone"):
            count = {"wood": 7, "metal": 14, "stone": 5}[floor]
            freqs = pitch * np.sort(rng.uniform(1, 12, count))
            decay = {"wood": 0.09, "metal": 0.5, "stone": 0.03}[floor]
            decays = decay * rng.uniform(0.4, 1.2, count)
            amps = freqs**-0.6 * rng.uniform(0.3, 1, count)
            body = modes(n, sample_rate, freqs, decays, amps, strike)
            body = normalise(body) * rng.uniform(0.4, 1)
        hit = normalise(strike) * (0.8 if floor != "soft" else 0.2)
        hit = hit + body + rng.uniform(0.1, 0.5) * thud
        gain = 1.0 if i == 0 else rng.uniform(0.2, 0.8)
        out += scatter([gap], [gain * hit], n, sample_rate)
    if floor in ("gravel", "leaves", "snow"):
        low, high, rate = {
            "gravel": (1200, 7000, 500),
            "leaves": (2000, 11000, 350),
            "snow": (500, 4500, 900),
        }[floor]
        seconds = rng.uniform(0.15, 0.38)
        crunch = _crunch(rng, sample_rate, seconds, low, high, rate)
        out *= 0.15
        out[: len(crunch)] += crunch[:n]
    if rng.random() < 0.5:  # the sole scuffs
        scuff = band_noise(rng, n, sample_rate, 800, 5000)
        out += (
            rng.uniform(0.01, 0.06) * scuff * swell(n, sample_rate, 0.05, 0.25)
        )
    return out


@sound("footsteps")
def footsteps(rng, duration, sample_rate):
    """Walking, running or climbing at 1.2-3.5 steps a second."""
    floor = rng.choice(
        ["wood", "stone", "metal", "soft", "gravel", "leaves", "snow"],
        p=[0.25, 0.25, 0.05, 0.12, 0.15, 0.1, 0.08],
    )
    running = rng.random() < 0.15
    period = rng.uniform(0.27, 0.38) if running else rng.uniform(0.4, 0.85)
    pitch = log_uniform(rng, 70, 260)
    hard = log_uniform(rng, 600, 9000)
    toe_gap = 0.02 if running else rng.uniform(0.04, 0.15)
    steps = [
        _step(
            rng,
            sample_rate,
            floor,
            pitch * rng.uniform(0.92, 1.08),
            hard,
            toe_gap * rng.uniform(0.8, 1.2),
        )
        for _ in range(6)
    ]
    times = regular_times(
        rng, period, duration, rng.uniform(0.01, 0.06), rng.uniform(0, period)
    )
    n = n_samples(duration, sample_rate)
    limp = np.where(np.arange(len(times)) % 2, rng.uniform(0.6, 1), 1.0)
    gains = limp * np.exp(0.2 * rng.standard_normal(len(times)))
    walk = contour(np.exp(rng.uniform(-1.2, 0, 2)), max(len(times), 1))
    return scatter(times, steps, n, sample_rate, gains * walk)


# --- mouths that eat, drink and are cleaned ----------------------------------


@sound("brushing teeth")
def brushing_teeth(rng, duration, sample_rate):
    """Bristles rub at 3-7 strokes a second: bright noise, forth unlike back.

    The mouth is a small moving cavity round the brush; foam and spit make it
    wet; now and then the brush moves on. Some brushes are electric.
    """
    n = n_samples(duration, sample_rate)
    electric = rng.random() < 0.15
    rate = rng.uniform(2.6, 6.5)
    spots, time = [], 0.0
    while time < duration:
        spots.append(time)
        time += log_uniform(rng, 0.6, 4)
    out = np.zeros(n)
    low, high = log_uniform(rng, 1200, 4000), log_uniform(rng, 7000, 14000)
    asym = rng.uniform(0.2, 1)
    tint = rng.uniform(0.7, 1.0)
    floor = rng.uniform(0.0, 0.12)
    sharp = rng.uniform(0.8, 4.0)
    for i, begin in enumerate(spots):
        end = spots[i + 1] if i + 1 < len(spots) else duration
        m = n_samples(end - begin, sample_rate)
        speed = rate * np.exp(0.12 * rng.standard_normal())
        speed = speed * (1 + 0.06 * wander(rng, m, sample_rate, 2.0))
        swing = tone(speed, sample_rate, start=rng.uniform())
        cavity = np.array(
            [
                rng.uniform(900, 2200),
                rng.uniform(2500, 4500),
                rng.uniform(5000, 8000),
            ]
        )
        source = noise(rng, m) * (1 + 0.3 * wander(rng, m, sample_rate, 150))

        def rub(colour, gain, swing=swing, source=source, cavity=cavity):
            sig = band(source, sample_rate, low * colour, high * colour, 1)
            sig = sig + rng.uniform(0.3, 1.5) * resonate(
                sig, sample_rate, cavity * colour, cavity * 0.25
            )
            return gain * sig * np.maximum(swing, 0) ** sharp

        sig = rub(1.0, 1.0) + rub(tint, asym, -swing)
        sig += floor * band(source, sample_rate, low, high, 1)
        ticks = pulses(
            rng, poisson_times(rng, 60, m / sample_rate), m, sample_rate, 0.8
        )
        sig += (
            rng.uniform(0, 2.5)
            * np.abs(swing)
            * band(ticks, sample_rate, 2000, 9000, 1)
        )
        stop = rng.uniform(0.02, 0.35) * (i + 1 < len(spots))
        sig *= swell(m, sample_rate, 0.04, stop + 0.02)
        out += scatter(
            [begin],
            [sig],
            n,
            sample_rate,
            [np.exp(0.25 * rng.standard_normal())],
        )
    out /= np.std(out) + 1e-9
    knock = pulses(
        rng,
        poisson_times(rng, rng.uniform(0, 3), duration),
        n,
        sample_rate,
        0.8,
    )  # the handle on the teeth
    out += rng.uniform(0.5, 2.5) * modes(
        n, sample_rate, rng.uniform(700, 4500, 5), [0.02] * 5, [1.0] * 5, knock
    )
    if electric:
        hum = saw(
            log_uniform(rng, 90, 280)
            * (1 + 0.02 * wander(rng, n, sample_rate, 3)),
            sample_rate,
        )
        hum = band(hum, sample_rate, 150, 5000, 1)
        out = 0.5 * out + rng.uniform(1, 3) * hum
    if rng.random() < 0.2:  # water running
        out += rng.uniform(0.05, 0.3) * band_noise(
            rng, n, sample_rate, 400, 6000, 1
        )
    return out


def _gulp(rng, sample_rate, size):
    """A swallow: a click, then a bubble that rises in pitch."""
    seconds = rng.uniform(0.08, 0.2)
    n = n_samples(seconds, sample_rate)
    low = log_uniform(rng, 140, 420) * size
    glide = low * contour(
        [1.0, rng.uniform(0.8, 1.3), rng.uniform(1.3, 2.6)], n
    )
    bubble = tone(glide, sample_rate) + 0.3 * tone(2 * glide, sample_rate)
    bubble *= swell(n, sample_rate, 0.25 * seconds, 0.5 * seconds)
    wet = band_noise(rng, n, sample_rate, 300, 2500)
    wet *= swell(n, sample_rate, 0.02, 0.06)
    click = pulses(rng, rng.uniform(0, seconds, 3), n, sample_rate, 0.5)
    click = band(click, sample_rate, 500, 4000, 1)
    return bubble + 0.08 * wet + rng.uniform(0, 3) * click


def _sip(rng, sample_rate, size):
    """Air and liquid drawn through tight lips: bubbling, brightening hiss."""
    seconds = rng.uniform(0.2, 1.1)
    n = n_samples(seconds, sample_rate)
    centre = log_uniform(rng, 1200, 3000) * size
    sig = _air(rng, n, sample_rate, centre * np.array([0.5, 1, 1.9, 3]), 0.3)
    late = _air(rng, n, sample_rate, centre * np.array([0.7, 1.4, 2.5, 4]), 0.4)
    blend = np.linspace(0, 1, n)
    sig = (1 - blend) * sig + blend * late
    rate = rng.uniform(15, 60)
    sig *= np.abs(0.5 + wander(rng, n, sample_rate, rate)) ** rng.uniform(
        0.5, 2
    )
    for _ in range(rng.integers(2, 12)):
        k = n_samples(rng.uniform(0.01, 0.04), sample_rate)
        low = log_uniform(rng, 500, 2500)
        drop = tone(low * contour([1, 1.5], k), sample_rate)
        drop *= percussive(k, sample_rate, 0.002, 0.03)
        sig += scatter(
            [rng.uniform(0, seconds)],
            [drop],
            n,
            sample_rate,
            [rng.uniform(0.3, 2)],
        )
    return normalise(sig * swell(n, sample_rate, 0.3 * seconds, 0.06))


@sound("drinking sipping")
def drinking_sipping(rng, duration, sample_rate):
    """Slurps, swallows, a sigh and a cup put down."""
    size = rng.uniform(0.85, 1.3)
    style = rng.choice(["sip", "gulp", "straw"], p=[0.5, 0.38, 0.12])
    habits = rng.random(3) < [0.7, 0.35, 0.25]

    def make(_):
        parts = []
        if style == "gulp":
            pause = rng.uniform(0.15, 0.6)
            for _ in range(rng.integers(2, 7)):
                parts += [
                    _gulp(rng, sample_rate, size),
                    np.zeros(
                        n_samples(pause * rng.uniform(0.8, 1.2), sample_rate)
                    ),
                ]
                if rng.random() < 0.25:
                    parts.append(0.15 * _sip(rng, sample_rate, size))
        else:
            parts = [_sip(rng, sample_rate, size)]
            if style == "straw":
                bubbles = [0.6 * _gulp(rng, sample_rate, 2.2) for _ in range(4)]
                times = poisson_times(rng, 25, len(parts[0]) / sample_rate)
                parts[0] = parts[0] * 0.4 + scatter(
                    times, bubbles, len(parts[0]), sample_rate
                )
            if habits[0]:
                parts.append(
                    np.zeros(n_samples(rng.uniform(0.1, 0.6), sample_rate))
                )
                parts.append(0.5 * _gulp(rng, sample_rate, size))
        if habits[1]:
            n = n_samples(rng.uniform(0.3, 0.8), sample_rate)
            sigh = _air(rng, n, sample_rate, _vowel("a", size))
            sigh *= rng.uniform(0.03, 0.2) * swell(n, sample_rate, 0.1, 0.3)
            parts += [
                np.zeros(n_samples(rng.uniform(0.05, 0.3), sample_rate)),
                sigh,
            ]
        if habits[2]:  # the cup meets the table
            n = n_samples(0.3, sample_rate)
            cup = modes(
                n,
                sample_rate,
                log_uniform(rng, 800, 2500) * np.array([1, 1.7, 2.9, 4.1]),
                [0.15, 0.1, 0.06, 0.04],
                [1, 1, 0.6, 0.4],
            )
            parts += [
                np.zeros(n_samples(0.2, sample_rate)),
                0.3 * normalise(cup),
            ]
        return np.concatenate(parts)

    return sequence(rng, make, duration, sample_rate, (1, 4), (0.2, 1.6))
