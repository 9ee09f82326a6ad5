"""Sounds of musical instruments, alone and as a band in the street.

A tune is a list of lines, a line a list of notes `(time, seconds, pitch, gain)`
with the pitch in semitones (69 is the A of 440 Hz). A player (an underscore and
an instrument's name) turns lines into a signal; the registered generator draws
a tune and hands it to its player.

Example
-------
>>> import numpy as np
>>> make = SOUNDS["violin"].make
>>> sig = make(np.random.default_rng(0), 1.0, 16000)
>>> len(sig) <= 16000
True

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np
from scipy import fft, signal

from afpt_plugin.synth.drums import drum_beat
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
    regular_times,
    resonate,
    scatter,
    soft_clip,
    struck_body,
    swell,
    tone,
    tremolo,
    voice,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS, sound

__all__ = ["SOUNDS"]

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 6, 7, 10),
)


def _unit(sig):
    """Scale to unit variance, so that layers mix by ratio."""
    return sig / (np.std(sig) + 1e-9)


def _hertz(pitch):
    return 440.0 * 2.0 ** ((np.asarray(pitch) - 69) / 12)


def _tick(rng, sig, sample_rate, gain, low, high):
    """Add the click of the nail, plectrum or mallet that sets it going."""
    n = min(n_samples(0.04, sample_rate), len(sig))
    click = band_noise(rng, n, sample_rate, low, high, 1)
    click *= percussive(n, sample_rate, 0.0004, 0.014)
    sig[:n] += gain * normalise(click)
    return sig


# --- tunes -------------------------------------------------------------------


def _walk(rng, kind, count, steps):
    """Places on a ladder of `count` rungs, for `steps` notes."""
    if kind == "scale":
        way = np.concatenate([np.arange(count), np.arange(count - 2, 0, -1)])
        return np.resize(np.roll(way, rng.integers(0, count)), steps)
    if kind == "riff":
        return np.resize(rng.integers(0, count, rng.integers(3, 9)), steps)
    hops = rng.choice([-3, -2, -1, 0, 1, 2, 3, 4], steps)
    way = np.cumsum(hops) + rng.integers(0, count)
    return np.abs((way + count) % (2 * count) - count) % count


def _tune(
    rng, duration, low, high, beat=None, key=None, voices=1, kind=None, pace=1.0
):
    """Lines of one note, a few, a scale, a riff or a melody.

    `voices` lines go in parallel thirds, which makes chords. `beat` and `key`
    let several instruments play together; `pace` above 1 is slower.
    """
    kind = kind or rng.choice(
        ["one", "few", "scale", "riff", "melody"],
        p=[0.24, 0.14, 0.14, 0.2, 0.28],
    )
    beat = beat or pace * log_uniform(rng, 0.2, 0.7)
    key = rng.uniform(0, 12) if key is None else key
    scale = SCALES[rng.integers(0, len(SCALES))]
    octaves = 12 * np.arange(12)[:, None]
    ladder = np.ravel(octaves + np.array(scale) + key % 12)
    ladder = ladder[(ladder >= low) & (ladder <= high)]
    span = min(rng.integers(5, 10) + 2 * voices, len(ladder))
    first = rng.integers(0, len(ladder) - span + 1)
    ladder = ladder[first : first + span]
    start = rng.uniform(0, min(0.5, 0.1 * duration))
    if kind == "one":
        times = np.array([start])
        lengths = np.array([log_uniform(rng, 0.5, 6.0)])
    elif kind == "few":
        gaps = log_uniform(rng, 0.4, 2.0) * np.exp(
            0.3 * rng.standard_normal(12)
        )
        times = start + np.cumsum(gaps) - gaps[0]
        lengths = gaps * rng.uniform(0.4, 1.0)
    else:
        values = {
            "scale": [1.0],
            "riff": [0.5, 0.5, 1.0, 1.0, 1.5],
            "melody": [0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 3.0],
        }[kind]
        steps = int(duration / beat * 2) + 2
        own = rng.choice(values, steps if kind == "melody" else 8)
        lengths = beat * np.resize(own, steps)
        times = start + np.cumsum(lengths) - lengths
        times = times + 0.012 * rng.standard_normal(steps)
        lengths = lengths * rng.uniform(0.6, 1.1)
        rests = rng.random(steps) < rng.uniform(0, 0.2)
        rests[0] = False
        times, lengths = times[~rests], lengths[~rests]
    keep = times < duration - 0.03
    keep[0] = True
    times, lengths = np.maximum(times[keep], 0), lengths[keep]
    rungs = max(len(ladder) - 2 * (voices - 1), 1)
    way = _walk(rng, kind, rungs, len(times))
    gains = np.exp(0.2 * rng.standard_normal(len(times)))
    return [
        list(zip(times, lengths, ladder[way + 2 * i], gains, strict=True))
        for i in range(min(voices, (len(ladder) + 1) // 2))
    ]


def _oompah(rng, duration, beat, key, low=36):
    """The left hand: a bass note, then chords on the other beats."""
    count = int(duration / beat) + 1
    measure = rng.choice([2, 3, 4])
    root = low + (key - low) % 12
    times = beat * np.arange(count)
    on = np.arange(count) % measure == 0
    degrees = np.repeat(rng.choice([0, 5, 7], count), 2 * measure)[:count]
    short = beat * rng.uniform(0.3, 0.8)
    lines = [
        [
            (t, short, root + d, 1.0)
            for t, d in zip(times[on], degrees[on], strict=True)
        ]
    ]
    for third in (12, 16, 19):
        lines.append(
            [
                (t, short, root + d + third, 0.6)
                for t, d in zip(times[~on], degrees[~on], strict=True)
            ]
        )
    return [line for line in lines if line]


def _struck(lines, ring, n, sample_rate, damp=0.08):
    """Play notes that ring by themselves and are damped at their end.

    As in a sampler, every third key is made by `ring(freq)`, the ones between
    are its neighbour's recording played faster or slower.
    """
    made = {}
    out = np.zeros(n)
    for time, seconds, pitch, gain in (note for line in lines for note in line):
        if pitch not in made:
            near = 3 * round(pitch / 3)
            if near not in made:
                made[near] = ring(_hertz(near))
            base = made[near]
            ratio = 2 ** ((pitch - near) / 12)
            where = np.arange(0, len(base) - 1, ratio)
            made[pitch] = np.interp(where, np.arange(len(base)), base)
        grain = made[pitch]
        begin = int(time * sample_rate)
        length = min(len(grain), int((seconds + damp) * sample_rate), n - begin)
        if length < 2:
            continue
        grain = grain[:length] * gain
        fade = min(int(damp * sample_rate) + 1, length)
        if begin + length < n:
            grain[-fade:] *= np.linspace(1, 0, fade) ** 2
        out[begin : begin + length] += grain
    return out


def _line(
    rng, line, n, sample_rate, attack, release, glide=0.01, rate=5.5, depth=0.0
):
    """Pitch (Hz) and loudness of a line that is sung, blown or bowed.

    The vibrato of `depth` (relative) grows while a note lasts.
    """
    step = max(sample_rate // 2000, 1)  # hands and lungs are slow
    full, n, sample_rate = n, n // step + 2, sample_rate / step
    pitch = np.full(n, float(line[0][2]))
    level, shake = np.zeros(n), np.zeros(n)
    for time, seconds, note, gain in line:
        begin = int(time * sample_rate)
        m = min(max(int(seconds * sample_rate), 4), n - begin)
        if m < 2:
            continue
        rise, fall = min(attack, 0.4 * seconds), min(release, 0.4 * seconds)
        shape = gain * swell(m, sample_rate, rise, fall, 0.8)
        pitch[begin:] = note
        level[begin : begin + m] = np.maximum(level[begin : begin + m], shape)
        age = np.arange(m) / sample_rate
        shake[begin : begin + m] = np.clip(age / 0.35 - 0.4, 0, 1)
    keep = np.exp(-1 / (max(glide, 1e-4) * sample_rate))
    pitch, _ = signal.lfilter(
        [1 - keep], [1, -keep], pitch, zi=[keep * pitch[0]]
    )
    hertz = _hertz(pitch) * (1 + 0.001 * wander(rng, n, sample_rate, 4))
    if depth > 0:
        speed = rate * (1 + 0.1 * wander(rng, n, sample_rate, 2))
        hertz *= 1 + depth * shake * tone(speed, sample_rate)
    where = np.arange(full) / step
    grid = np.arange(n)
    return np.interp(where, grid, hertz), np.interp(where, grid, level)


def _wave(rng, hertz, sample_rate, amps):
    """A periodic wave with these harmonics, looked up in a table."""
    count = int(min(len(amps), 0.46 * sample_rate / np.max(hertz)))
    spectrum = np.zeros(4097, complex)
    k = np.arange(1, max(count, 1) + 1)
    spectrum[k] = amps[: len(k)] * np.exp(2j * np.pi * rng.random(len(k)))
    cycle = fft.irfft(spectrum)
    where = phase(hertz, sample_rate, start=rng.uniform())
    out = cycle[(where * len(cycle)).astype(np.int64) % len(cycle)]
    return out / (np.std(cycle) + 1e-12)


def _body(sig, sample_rate, freqs, share, width=0.15):
    """What a wooden or metal body adds to the string or reed: resonances."""
    freqs = np.asarray(freqs)
    return _unit(sig) + share * _unit(
        resonate(sig, sample_rate, freqs, width * freqs)
    )


# --- strings, plucked and struck ---------------------------------------------


def _string(
    rng,
    freq,
    seconds,
    sample_rate,
    decay,
    damp=2500.0,
    bright=4000.0,
    stiff=0.0,
    pick=0.2,
):
    """A string as a lossy loop (Karplus-Strong), solved over frequency.

    `decay` is the fundamental's time to fall by 60 dB, halved at `damp` Hz;
    the pluck falls by 12 dB/octave above `bright` at `pick` of the length;
    `stiff` stretches the overtones.
    """
    n = n_samples(seconds, sample_rate)
    size = fft.next_fast_len(int(1.1 * n), real=True)
    hertz = np.arange(size // 2 + 1) * (sample_rate / size)
    heard = int(np.searchsorted(hertz, 11000.0))  # above is nothing
    hertz = hertz[:heard].astype(np.float32)
    order = hertz / freq
    turn = 2 * np.pi * order / np.sqrt(1 + stiff * order**2)
    # Solving just inside the unit circle keeps the end out of the beginning.
    inside = 5.0 / size
    loss = 6.9 / (freq * decay) * (1 + hertz / damp)
    size_of = np.exp(-loss - np.float32(inside * sample_rate / freq))
    loop = size_of * (np.cos(turn) - 1j * np.sin(turn))
    pluck = 1 / (1 + (hertz / bright) ** 2)
    pluck *= np.interp(
        hertz, np.linspace(0, 8000, 40), np.exp(0.3 * rng.standard_normal(40))
    ).astype(np.float32)
    turn *= np.float32(pick)
    pluck *= np.minimum(order, 1) ** 2  # nothing below the fundamental
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    spectrum[:heard] = pluck * (1 - np.cos(turn) + 1j * np.sin(turn))
    spectrum[:heard] /= 1 - loop
    sig = fft.irfft(spectrum, size)[:n].astype(float)
    sig *= np.exp(inside * np.arange(n))
    return normalise(sig * np.minimum(5 - 5 * np.arange(n) / n, 1))


def _plucked(rng, sample_rate, decay=(1.2, 6.0), bright=(1200, 6000), ring=2.5):
    """Strings that sound alike: a function from pitch to a note."""
    decay, bright = log_uniform(rng, *decay), log_uniform(rng, *bright)
    damp = log_uniform(rng, 900, 4000)
    pick = rng.uniform(0.06, 0.45)
    stiff = log_uniform(rng, 1e-5, 2e-4)
    tick = log_uniform(rng, 0.01, 0.3)  # the nail or plectrum itself

    def make(freq):
        own = decay * (freq / 200) ** -0.4
        sig = _string(
            rng,
            freq,
            min(ring, own + 0.2),
            sample_rate,
            own,
            damp,
            bright,
            stiff,
            pick,
        )
        return _tick(rng, sig, sample_rate, tick, 1000, 6000)

    return make


def _guitar(rng, lines, n, sample_rate):
    """A wooden box with strings: nylon, steel or a ukulele."""
    sig = _struck(lines, _plucked(rng, sample_rate), n, sample_rate, 0.05)
    box = np.array([100, 205, 400, 560, 900]) * rng.uniform(0.8, 1.5)
    return _body(sig, sample_rate, box, rng.uniform(0.1, 0.8))


@sound("guitar")
def guitar(rng, duration, sample_rate):
    """Plucked strings on a wooden box: notes, picked patterns and chords."""
    n = n_samples(duration, sample_rate)
    voices = rng.choice([1, 2, 3], p=[0.6, 0.2, 0.2])
    lines = _tune(rng, duration, 40, 79, voices=voices)
    if voices > 1 and rng.random() < 0.6:  # broken chords
        late = rng.uniform(0.02, 0.25)
        lines = [
            [(t + i * late, s + 0.5, p, g) for t, s, p, g in line]
            for i, line in enumerate(lines)
        ]
    elif rng.random() < 0.6:  # notes ring into one another
        lines = [[(t, s + 1.5, p, g) for t, s, p, g in x] for x in lines]
    sig = _guitar(rng, lines, n, sample_rate)
    if rng.random() < 0.3:  # fingers squeak on wound strings
        times = rng.uniform(0, duration, rng.integers(1, 4))
        m = n_samples(0.12, sample_rate)
        glide = log_uniform(rng, 1200, 3000) * contour([1, 1.3, 1.1], m)
        squeak = tone(glide, sample_rate) * noise(rng, m, 0.5)
        squeak *= swell(m, sample_rate, 0.04, 0.05)
        sig += scatter(times, [rng.uniform(0.05, 0.4) * squeak], n, sample_rate)
    return sig


def _strums(rng, duration, sample_rate, beat=None, electric=False):
    """Strings of a chord swept one after the other, down and up."""
    n = n_samples(duration, sample_rate)
    shape = np.array(
        [[0, 7, 12, 16, 19, 24], [0, 7, 12, 15, 19, 24], [0, 7, 12, 16, 22, 24]]
    )[rng.integers(0, 3)]
    root = rng.uniform(38, 50)
    if rng.random() < 0.2:  # a ukulele: four short strings
        shape, root = np.array([7, 0, 4, 9]), rng.uniform(58, 64)
    sweep = log_uniform(rng, 0.004, 0.06)
    ring = _plucked(rng, sample_rate, bright=(2000, 7000))
    strings = [ring(_hertz(root + step)) for step in shape]
    m = max(len(s) for s in strings) + int(6 * sweep * sample_rate)

    def stroke(order, gains):
        late = sweep * np.arange(len(order))
        late = late + 0.2 * sweep * rng.standard_normal(len(order))
        grains = [strings[i] for i in order]
        return scatter(np.maximum(late, 0), grains, m, sample_rate, gains)

    down = np.arange(len(shape))
    both = [
        stroke(down, np.linspace(1, 0.7, len(shape))),
        0.7 * stroke(down[::-1][:4], np.ones(4)),
    ]
    style = rng.choice(["one", "slow", "rhythm"], p=[0.25, 0.25, 0.5])
    if beat is not None:
        style = "rhythm"
    beat = beat or log_uniform(rng, 0.35, 0.9)
    if style == "one":
        times, ups = np.array([rng.uniform(0, 0.1 * duration)]), [0]
    elif style == "slow":
        times = regular_times(rng, rng.uniform(0.8, 2.2), duration, 0.05, 0.05)
        ups = rng.integers(0, 2, len(times))
    else:
        pattern = rng.random(8) < 0.65
        pattern[0] = True
        eighths = np.arange(0, duration, beat / 2)
        on = np.resize(pattern, len(eighths))
        times = eighths[on] + 0.008 * rng.standard_normal(on.sum())
        ups = (np.arange(len(eighths)) % 2)[on]
    times = np.maximum(times, 0)
    moves = rng.choice([0, 5, 7, -2, -3], 8)
    out = np.zeros(n)
    length = beat * rng.uniform(0.4, 1) if rng.random() < 0.3 else 9.0
    shifted = {}
    for i, (time, up) in enumerate(zip(times, ups, strict=True)):
        bar = int(time / (4 * beat)) if style == "rhythm" else i // 2
        move = moves[bar % 8] if style != "one" else 0
        if (move, up) not in shifted:
            where = np.arange(0, m - 1, 2 ** (move / 12))
            shifted[move, up] = np.interp(where, np.arange(m), both[up])
        begin = int(time * sample_rate)
        stop = times[i + 1] - time if i + 1 < len(times) else 9.0
        keep = int(min(length, stop + 0.02) * sample_rate)
        grain = shifted[move, up][: max(min(keep, n - begin), 0)].copy()
        fade = min(int(0.03 * sample_rate), len(grain))
        if fade:
            grain[-fade:] *= np.linspace(1, 0, fade)
        grain *= np.exp(0.15 * rng.standard_normal())
        out[begin : begin + len(grain)] += grain
    if electric:
        return out
    box = np.array([100, 205, 400, 560, 900]) * rng.uniform(0.8, 1.5)
    return _body(out, sample_rate, box, rng.uniform(0.1, 0.6))


@sound("guitar strum")
def guitar_strum(rng, duration, sample_rate):
    """A hand sweeps over all strings: one chord, or a strummed rhythm."""
    sig = _strums(rng, duration, sample_rate)
    if rng.random() < 0.2:
        sig = _amplifier(rng, sig, sample_rate, 1.0)
    return sig


def _amplifier(rng, sig, sample_rate, drive):
    """Valve saturation, then a loudspeaker that passes 80 Hz to 5 kHz."""
    sig = band(sig, sample_rate, 90, None, 1)
    sig = soft_clip(_unit(sig) + 0.1 * np.abs(_unit(sig)), drive)
    sig = band(sig, sample_rate, 80, log_uniform(rng, 3000, 6500), 2)
    cone = np.array([110, 700, 2400]) * rng.uniform(0.8, 1.25)
    return _body(sig, sample_rate, cone, rng.uniform(0.2, 0.8), 0.4)


def _electric_guitar(rng, lines, n, sample_rate, style):
    """Strings into an amplifier; the drive fills up the decay."""
    ring = _plucked(rng, sample_rate, (2.5, 9), (1500, 5000), 3.5)
    if style == "muted":
        ring = _plucked(rng, sample_rate, (0.15, 0.5), (700, 2500))
    sig = _struck(lines, ring, n, sample_rate, 0.03)
    if style == "clean":
        if rng.random() < 0.4:
            sig *= tremolo(n, sample_rate, rng.uniform(3, 8), rng.uniform(0, 1))
        return _amplifier(rng, sig, sample_rate, log_uniform(rng, 0.3, 2))
    hiss = 10 ** rng.uniform(-4, -2.6) * noise(rng, n, 0.5)
    return _amplifier(
        rng, normalise(sig) + hiss, sample_rate, log_uniform(rng, 5, 60)
    )


@sound("electric guitar")
def electric_guitar(rng, duration, sample_rate):
    """Clean, distorted or palm-muted; power chords, riffs and bent notes."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["clean", "lead", "power", "muted"], p=[0.25, 0.35, 0.25, 0.15]
    )
    low, high = (40, 60) if style in ("power", "muted") else (45, 84)
    lines = _tune(rng, duration, low, high)
    if style in ("power", "muted") or rng.random() < 0.15:
        lines = lines + [
            [(t + 0.004, s, p + up, g) for t, s, p, g in lines[0]]
            for up in (7, 12)
        ]
    sig = _electric_guitar(rng, lines, n, sample_rate, style)
    if style == "lead" or rng.random() < 0.2:
        # Bends, vibrato and the tremolo arm: the whole is played unevenly.
        bend = np.zeros(n)
        for _ in range(rng.integers(1, 5)):
            t = np.arange(n) / sample_rate - rng.uniform(0, duration)
            width = log_uniform(rng, 0.08, 0.6)
            bend += rng.choice([-1, 1, 2]) * np.exp(-((t / width) ** 4))
        bend += rng.uniform(0, 0.4) * tone(rng.uniform(4, 7), sample_rate, n)
        pace = np.cumsum(2 ** (np.clip(bend, -2, 3) / 12))
        sig = np.interp(pace - pace[0], np.arange(n), sig)
    return sig


def _bass_guitar(rng, lines, n, sample_rate):
    """Long thick strings; fingers are dull, slapping is bright."""
    slap = rng.random() < 0.25
    bright = (2500, 6000) if slap else (250, 1200)
    ring = _plucked(rng, sample_rate, (1.5, 6), bright, 3.0)
    sig = _struck(lines, ring, n, sample_rate, 0.05)
    sig = band(_unit(sig), sample_rate, 30, log_uniform(rng, 900, 5000), 1)
    return soft_clip(sig, log_uniform(rng, 0.3, 4))


@sound("bass guitar")
def bass_guitar(rng, duration, sample_rate):
    """Low plucked notes at 40 to 150 Hz, single or as a bass line."""
    n = n_samples(duration, sample_rate)
    lines = _tune(rng, duration, 28, 50)
    return _bass_guitar(rng, lines, n, sample_rate)


def _piano(rng, lines, n, sample_rate):
    """Felt hammers on two or three stiff strings a key, nearly in tune."""
    bright = log_uniform(rng, 600, 3500)
    stiff = log_uniform(rng, 1e-4, 8e-4)
    detune = 1 + log_uniform(rng, 2e-4, 2.5e-3)
    thump = struck_body(rng, 90, 900, 7, 0.12, 0.5)
    knock = log_uniform(rng, 0.02, 0.3)
    sustain = rng.uniform(3.0, 9.0)

    def ring(freq):
        decay = sustain * (freq / 200) ** -0.55
        sig = _string(
            rng,
            freq,
            min(decay + 0.2, 3.0),
            sample_rate,
            decay,
            3000.0,
            bright * (freq / 250) ** 0.3,
            stiff * (freq / 250) ** 0.8,
            rng.uniform(0.1, 0.14),
        )
        m = len(sig)
        sig = sig + np.interp(np.arange(m) * detune, np.arange(m), sig)
        rise = np.minimum(np.arange(m) / (0.002 * sample_rate), 1)
        return normalise(sig * rise) + knock * normalise(
            modes(m, sample_rate, *thump)
        )

    return _struck(lines, ring, n, sample_rate, 0.12)


@sound("piano")
def piano(rng, duration, sample_rate):
    """Stiff strings struck by felt: single keys, chords, scales, two hands."""
    n = n_samples(duration, sample_rate)
    beat, key = log_uniform(rng, 0.18, 0.7), rng.uniform(0, 12)
    voices = rng.choice([1, 2, 3], p=[0.55, 0.15, 0.3])
    kind = rng.choice([None, "riff", "melody"], p=[0.6, 0.2, 0.2])
    lines = _tune(rng, duration, 40, 96, beat, key, voices, kind)
    if kind is not None and rng.random() < 0.7:
        lines += _oompah(rng, duration, beat * rng.choice([1, 2]), key)
    if rng.random() < 0.4:  # pedal
        lines = [[(t, s + 2.0, p, g) for t, s, p, g in x] for x in lines]
    return _piano(rng, lines, n, sample_rate)


# --- reeds, pipes, bows and brass --------------------------------------------


def _reeds(rng, lines, n, sample_rate, ranks, slope, attack, depth=0.0):
    """Free reeds: each note sounds every rank (ratio, gain), a bit detuned."""
    out = np.zeros(n)
    amps = np.arange(1, 41.0) ** -slope
    amps[1::2] *= rng.uniform(0.3, 1.0)
    amps *= np.exp(0.3 * rng.standard_normal(40))
    for line in lines:
        hertz, level = _line(
            rng, line, n, sample_rate, attack, 1.5 * attack, 0.004, 5.5, depth
        )
        for ratio, gain in ranks:
            reed = _wave(rng, ratio * hertz, sample_rate, amps)
            out += gain * level * reed
    return out


def _accordion(rng, lines, n, sample_rate):
    """Two or three reeds a key, tuned apart so that they beat; bellows."""
    beating = log_uniform(rng, 1.0005, 1.012)
    ranks = [(1.0, 1.0), (beating, 0.9)]
    if rng.random() < 0.4:
        ranks.append((0.5, 0.6))
    sig = _reeds(
        rng, lines, n, sample_rate, ranks, rng.uniform(0.5, 1.1), 0.035
    )
    sig *= np.exp(0.2 * wander(rng, n, sample_rate, 1.5))
    if rng.random() < 0.25:  # bellows shake
        sig *= tremolo(
            n, sample_rate, rng.uniform(5, 11), rng.uniform(0.2, 0.9)
        )
    box = np.array([500, 900, 1700, 2900, 4200]) * rng.uniform(0.8, 1.25)
    sig = _body(sig, sample_rate, box, rng.uniform(0.2, 1), 0.3)
    sig = band(sig, sample_rate, 60, log_uniform(rng, 4000, 11000), 1)
    sig += log_uniform(rng, 0.002, 0.03) * noise(rng, n, 0.5)
    return sig


@sound("accordion")
def accordion(rng, duration, sample_rate):
    """Beating free reeds: held chords, a melody, or a waltz with bass."""
    n = n_samples(duration, sample_rate)
    beat, key = log_uniform(rng, 0.22, 0.6), rng.uniform(0, 12)
    voices = rng.choice([1, 2, 3], p=[0.5, 0.2, 0.3])
    kind = rng.choice([None, "melody"], p=[0.6, 0.4])
    lines = _tune(rng, duration, 53, 86, beat, key, voices, kind)
    sig = _accordion(rng, lines, n, sample_rate)
    if kind is not None and rng.random() < 0.8:
        left = _oompah(rng, duration, beat, key, 43)
        ranks = [(1.0, 1.0), (2.0, 0.5)]
        low = _reeds(rng, left, n, sample_rate, ranks, 0.9, 0.03)
        low = band(low, sample_rate, 0, 2500, 1)
        sig = _unit(sig) + rng.uniform(0.3, 1.0) * _unit(low)
    if rng.random() < 0.3:  # buttons and keys
        times = [t for t, *_ in lines[0]]
        click = normalise(
            modes(
                n_samples(0.05, sample_rate),
                sample_rate,
                *struck_body(rng, 300, 4000, 6, 0.03),
            )
        )
        sig += rng.uniform(0.05, 0.4) * scatter(times, [click], n, sample_rate)
    return sig


def _harmonica(rng, lines, n, sample_rate):
    """One reed a hole, breath around it and hands that open and close."""
    sig = _reeds(
        rng,
        lines,
        n,
        sample_rate,
        [(1.0, 1.0)],
        rng.uniform(0.6, 1.1),
        log_uniform(rng, 0.02, 0.08),
        rng.uniform(0, 0.01),
    )
    bright = band(sig, sample_rate, log_uniform(rng, 1200, 2500), None, 1)
    wah = 0.5 + 0.5 * tone(
        log_uniform(rng, 2, 8) * (1 + 0.1 * wander(rng, n, sample_rate, 2)),
        sample_rate,
    )
    wah = 1 - rng.choice([0.0, rng.uniform(0.3, 1)]) * wah
    sig = sig * (0.5 + 0.5 * wah) + 2 * wah * bright
    breath = band_noise(rng, n, sample_rate, 800, 7000, 1) * np.abs(sig)
    sig = _unit(sig) + log_uniform(rng, 0.01, 0.2) * _unit(breath)
    comb = np.array([1300, 2400, 3600]) * rng.uniform(0.8, 1.25)
    sig = _body(sig, sample_rate, comb, rng.uniform(0.2, 1), 0.25)
    return band(sig, sample_rate, 200, log_uniform(rng, 5000, 12000), 1)


@sound("harmonica")
def harmonica(rng, duration, sample_rate):
    """Breath over brass reeds: bends, hand wah, chords in and out."""
    n = n_samples(duration, sample_rate)
    voices = rng.choice([1, 2, 3], p=[0.45, 0.3, 0.25])
    lines = _tune(rng, duration, 58, 86, voices=voices)
    if rng.random() < 0.5:  # every other note is bent up to, from below
        lines = [
            [
                note
                for t, s, p, g in line
                for note in ((t, 0.1, p - 1.0, g), (t + 0.08, s - 0.08, p, g))
                if note[1] > 0.03
            ]
            for line in lines
        ]
    sig = _harmonica(rng, lines, n, sample_rate)
    return sig


@sound("organ")
def organ(rng, duration, sample_rate):
    """Ranks of pipes in octaves and fifths, or a tone-wheel organ's whirl."""
    n = n_samples(duration, sample_rate)
    church = rng.random() < 0.65
    voices = rng.choice([1, 2, 3, 4], p=[0.3, 0.2, 0.3, 0.2])
    kind = rng.choice([None, "one", "few"])
    lines = _tune(rng, duration, 40, 84, None, None, voices, kind, 1.6)
    bars = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 8])
    levels = np.exp(0.8 * rng.standard_normal(8)) * bars ** -rng.uniform(0, 1)
    amps = np.zeros(17)
    amps[(2 * bars).astype(int)] = levels
    amps[rng.random(17) < 0.3] = 0
    amps[2] += 0.5
    amps = amps[1:]
    if church:  # reeds and principals fill in the harmonics between
        more = np.arange(1, 41.0) ** -rng.uniform(1.0, 2.2)
        more[: len(amps)] += 0.5 * amps
        amps = more
    out, chiff = np.zeros(n), np.zeros(n)
    for line in lines:
        hertz, level = _line(
            rng, line, n, sample_rate, 0.05 if church else 0.008, 0.06
        )
        out += level * _wave(rng, hertz / 2, sample_rate, amps)
        chiff += np.maximum(np.diff(level, prepend=0), 0)
    if church:
        wind = band_noise(rng, n, sample_rate, 300, 5000, 1)
        chiff = signal.lfilter([1], [1, -np.exp(-60 / sample_rate)], chiff)
        out = _unit(out) + rng.uniform(0, 0.2) * wind * normalise(chiff)
        tail = n_samples(rng.uniform(0.6, 2.0), sample_rate)
        hall = noise(rng, tail) * percussive(tail, sample_rate, 0.02, 2.0)
        wet = signal.oaconvolve(out, hall)[:n]
        out = out + rng.uniform(0.2, 0.9) * _unit(
            band(wet, sample_rate, 0, 4000, 1)
        )
        return out + log_uniform(rng, 0.002, 0.03) * noise(rng, n, 1.0)
    spin = rng.choice([0.8, rng.uniform(5.5, 7.5)])
    out = soft_clip(out, log_uniform(rng, 0.3, 5))
    swing = 0.5 + 0.5 * tone(spin, sample_rate, n)
    delay = 0.0006 * sample_rate * swing
    out = np.interp(np.arange(n) - delay, np.arange(n), out)
    return out * (1 - rng.uniform(0.1, 0.5) * swing)


def _violin(rng, line, n, sample_rate, low=1.0):
    """Stick-slip saw through a box; the bow's noise, vibrato and slides."""
    hertz, level = _line(
        rng,
        line,
        n,
        sample_rate,
        log_uniform(rng, 0.03, 0.25),
        log_uniform(rng, 0.03, 0.2),
        log_uniform(rng, 0.008, 0.06),
        rng.uniform(4.5, 6.8),
        rng.uniform(0, 0.014),
    )
    hertz = low * hertz
    amps = np.arange(1, 61.0) ** -rng.uniform(0.7, 1.1)
    sig = _wave(rng, hertz, sample_rate, amps)
    sig *= 1 + 0.15 * wander(rng, n, sample_rate, 25)
    bow = band_noise(rng, n, sample_rate, 1500, 9000, 1)
    sig = level * (_unit(sig) + log_uniform(rng, 0.03, 0.25) * bow)
    wood = np.array([280, 460, 550, 900, 1200, 2500, 3300, 4500])
    wood = low * wood * rng.uniform(0.85, 1.15, 8)
    sig = _body(sig, sample_rate, wood, rng.uniform(0.6, 1.8), 0.12)
    return band(sig, sample_rate, 180 * low, log_uniform(rng, 5000, 14000), 1)


@sound("violin")
def violin(rng, duration, sample_rate):
    """A bowed string: long notes, runs, double stops, tremolo, pizzicato."""
    n = n_samples(duration, sample_rate)
    style = rng.choice(
        ["bowed", "double", "tremolo", "pizzicato", "section"],
        p=[0.55, 0.15, 0.1, 0.1, 0.1],
    )
    lines = _tune(
        rng, duration, 55, 91, voices=2 if style in ("double", "section") else 1
    )
    if style == "pizzicato":
        ring = _plucked(rng, sample_rate, (0.2, 0.8), (1200, 4000), 1.0)
        sig = _struck(lines, ring, n, sample_rate)
        return _body(sig, sample_rate, [280, 460, 550, 1200], 1.0)
    low = rng.choice([1.0, 0.5], p=[0.85, 0.15])  # or its big sister
    # A fast note before the release sounds like a change of bow.
    sig = sum(_violin(rng, line, n, sample_rate, low) for line in lines)
    if style == "section":
        sig = sig + _violin(rng, lines[0], n, sample_rate, 1.004 * low)
    if style == "tremolo":
        sig *= tremolo(n, sample_rate, rng.uniform(8, 15), rng.uniform(0.5, 1))
    return sig


def _flute(rng, line, n, sample_rate):
    """An air jet over an edge: few harmonics, breath tuned by the tube."""
    hertz, level = _line(
        rng,
        line,
        n,
        sample_rate,
        log_uniform(rng, 0.02, 0.12),
        0.06,
        0.01,
        rng.uniform(4.5, 6.2),
        rng.uniform(0, 0.008),
    )
    amps = np.exp(-np.arange(12) * rng.uniform(0.7, 1.8))
    amps[1::2] *= rng.uniform(0.3, 1.3)
    sig = _wave(rng, hertz, sample_rate, amps)
    beat = tone(rng.uniform(4.5, 6), sample_rate, n)
    sig *= 1 + rng.uniform(0, 0.3) * beat
    breath = band_noise(rng, n, sample_rate, 500, 8000, 1)
    around = noise(rng, n, 0) * tone(2 * hertz, sample_rate)
    around = band(around, sample_rate, 300, 5000, 1)
    windy = log_uniform(rng, 0.03, 0.5)
    sig = level * (sig + windy * (0.5 * breath + 0.5 * _unit(around)))
    chiff = np.maximum(np.diff(level, prepend=0), 0)
    chiff = signal.lfilter([1], [1, -np.exp(-50 / sample_rate)], chiff)
    return sig + rng.uniform(0, 0.6) * normalise(chiff) * breath


@sound("flute")
def flute(rng, duration, sample_rate):
    """A breathy, nearly pure tone with vibrato: flute, recorder, pan pipe."""
    n = n_samples(duration, sample_rate)
    line = _tune(rng, duration, 60, 94)[0]
    sig = _flute(rng, line, n, sample_rate)
    if rng.random() < 0.15:  # trill
        up = [(t, s, p + 2, g) for t, s, p, g in line]
        other = _flute(rng, up, n, sample_rate)
        gate = tone(rng.uniform(6, 11), sample_rate, n) > 0
        sig = np.where(gate, other, sig)
    return sig


def _trumpet(rng, line, n, sample_rate, low=1.0):
    """Lips drive a tube: the louder, the brighter; notes are scooped."""
    hertz, level = _line(
        rng,
        line,
        n,
        sample_rate,
        log_uniform(rng, 0.02, 0.1),
        log_uniform(rng, 0.03, 0.12),
        log_uniform(rng, 0.004, 0.03),
        rng.uniform(4.5, 6.5),
        rng.uniform(0, 0.012),
    )
    hertz = low * hertz * (1 - 0.03 * np.exp(-6 * level))
    slope = rng.uniform(0.2, 0.8)
    amps = np.arange(1, 41.0) ** -slope
    dull = amps * np.exp(-np.arange(40) / rng.uniform(1.5, 3))
    state = rng.bit_generator.state  # both waves need the same phases
    bright = _wave(rng, hertz, sample_rate, amps)
    rng.bit_generator.state = state
    soft = _wave(rng, hertz, sample_rate, dull)
    share = np.clip(level, 0, 1.5) ** 2 * rng.uniform(0.3, 1)
    sig = level * ((1 - 0.5 * share) * soft + share * bright)
    bell = np.array([700, 1200, 2200, 3500]) * rng.uniform(0.85, 1.2) * low
    sig = _body(sig, sample_rate, bell, rng.uniform(0.3, 1.2), 0.4)
    if rng.random() < 0.2:  # a mute
        sig = _body(sig, sample_rate, [1600, 3200], 2.0, 0.2)
        sig = band(sig, sample_rate, 700, None, 1)
    return band(sig, sample_rate, 120 * low, log_uniform(rng, 5000, 12000), 1)


@sound("trumpet")
def trumpet(rng, duration, sample_rate):
    """Brass: long notes, fanfares, muted jazz; sometimes two or a trombone."""
    n = n_samples(duration, sample_rate)
    low = rng.choice([1.0, 0.5], p=[0.85, 0.15])
    voices = rng.choice([1, 2], p=[0.85, 0.15])
    lines = _tune(rng, duration, 54, 84, voices=voices)
    if rng.random() < 0.25:  # a fanfare repeats its notes with the tongue
        lines = [
            [
                (t + i * s / 3, 0.8 * s / 3, p, g)
                for t, s, p, g in line
                for i in range(3 if s > 0.25 else 1)
            ]
            for line in lines
        ]
    return sum(_trumpet(rng, line, n, sample_rate, low) for line in lines)


# --- bars and plates ---------------------------------------------------------


def _bars(rng, lines, n, sample_rate, ratios, decay, hard, roll=0.0):
    """Tuned bars under a mallet; `hard` is the level of the blow's click."""
    amps = np.exp(0.4 * rng.standard_normal(len(ratios)))
    amps *= np.array(ratios) ** -rng.uniform(0.3, 1.1)
    fall = rng.uniform(0.7, 1.3)

    def ring(freq):
        own = decay * (freq / 500) ** -0.5
        m = n_samples(min(1.2 * own, 4.0), sample_rate)
        decays = own * np.array(ratios) ** -fall
        sig = modes(m, sample_rate, freq * np.array(ratios), decays, amps)
        return _tick(rng, normalise(sig), sample_rate, hard, 800, 9000)

    if roll:
        lines = [
            [
                (t + i * roll, s, p, g * rng.uniform(0.6, 1))
                for t, s, p, g in line
                for i in range(max(int(s / roll), 1))
            ]
            for line in lines
        ]
    return _struck(lines, ring, n, sample_rate, 0.3)


@sound("glockenspiel")
def glockenspiel(rng, duration, sample_rate):
    """Small steel bars, a music box or a toy: high, pure and ringing."""
    n = n_samples(duration, sample_rate)
    voices = rng.choice([1, 2], p=[0.8, 0.2])
    lines = _tune(rng, duration, 76, 108, voices=voices)
    lines = [[(t, s + 3, p, g) for t, s, p, g in x] for x in lines]
    ratios = [1, 2.76 * rng.uniform(0.97, 1.03), 5.4, 8.93]
    hard = log_uniform(rng, 0.01, 0.4)
    decay = log_uniform(rng, 1.0, 7.0)
    return _bars(rng, lines, n, sample_rate, ratios, decay, hard)


@sound("marimba")
def marimba(rng, duration, sample_rate):
    """Wooden bars over tubes (marimba) or without (xylophone): short notes."""
    n = n_samples(duration, sample_rate)
    low, high, ratios, decay = 43, 84, [1, 3.93, 9.4], (0.25, 1.2)
    hard = log_uniform(rng, 0.01, 0.25)
    if rng.random() < 0.4:  # a xylophone
        low, high, ratios, decay = 65, 102, [1, 3.0, 6.1], (0.12, 0.5)
        hard = log_uniform(rng, 0.1, 1.0)
    voices = rng.choice([1, 2], p=[0.7, 0.3])
    lines = _tune(rng, duration, low, high, voices=voices)
    lines = [[(t, s + 1, p, g) for t, s, p, g in x] for x in lines]
    roll = rng.choice([0.0, rng.uniform(0.06, 0.12)], p=[0.75, 0.25])
    return _bars(
        rng, lines, n, sample_rate, ratios, log_uniform(rng, *decay), hard, roll
    )


# --- a band in the street ----------------------------------------------------


def _singer(rng, line, n, sample_rate):
    """Somebody sings the line, on a few vowels."""
    hertz, level = _line(
        rng, line, n, sample_rate, 0.06, 0.08, 0.04, 5.5, rng.uniform(0, 0.015)
    )
    vowels = np.array(
        [
            [700, 1150, 2600],
            [450, 1800, 2600],
            [400, 800, 2500],
            [300, 2200, 3000],
        ]
    )
    mouth = vowels[rng.integers(0, 4, 3)] * rng.uniform(0.9, 1.2)
    return level * voice(rng, hertz, sample_rate, mouth, breath=0.05, tilt=2500)


def _passers_by(rng, duration, sample_rate):
    """Talk, steps or hands of the listeners, and the street behind them."""
    n = n_samples(duration, sample_rate)
    out = _unit(noise(rng, n, rng.uniform(1.2, 2)))
    out *= np.exp(0.3 * wander(rng, n, sample_rate, 0.6))
    name = rng.choice(["crowd chatter", "speech", "footsteps", "clapping"])
    if name in SOUNDS:
        sig = SOUNDS[name].make(rng, max(duration, 2.0), sample_rate)[:n]
        out[: len(sig)] += log_uniform(rng, 0.3, 2.5) * _unit(sig)
    return out


@sound("street music")
def street_music(rng, duration, sample_rate):
    """Buskers or a band heard across a street, among people passing.

    Two or three players share beat and key; air and loudspeaker dull them.
    """
    full_rate = sample_rate
    if sample_rate >= 16000:  # dull: half the rate is enough for the players
        sample_rate = sample_rate // 2
    n = n_samples(duration, sample_rate)
    beat, key = rng.uniform(0.34, 0.7), rng.uniform(0, 12)
    band_of = {
        "song": ["strum", "singer", "harmonica"],
        "accordion": ["accordion", "violin"],
        "brass": ["trumpet", "trombone", "drums", "tuba"],
        "rock": ["drums", "bass", "strum", "singer"],
        "dance": ["drums", "bass", "organ", "trumpet"],
        "folk": ["flute", "strum", "drums"],
        "strings": ["violin", "violin", "cello"],
    }
    style = rng.choice(list(band_of))
    players = band_of[style]
    players = rng.permutation(players)[: rng.integers(2, 4)]

    def lead(low, high):
        return _tune(rng, duration, low, high, beat, key, 1, "melody")[0]

    def play(name):
        if name == "strum":
            return _strums(rng, duration, sample_rate, beat)
        if name == "drums":
            return drum_beat(rng, duration, sample_rate, beat)
        if name == "bass":
            lines = _tune(rng, duration, 28, 45, beat, key, 1, "riff")
            return _bass_guitar(rng, lines, n, sample_rate)
        if name == "singer":
            return _singer(rng, lead(48, 70), n, sample_rate)
        if name == "harmonica":
            return _harmonica(rng, [lead(60, 84)], n, sample_rate)
        if name == "accordion":
            lines = [lead(58, 82)] + _oompah(rng, duration, beat, key, 43)
            return _accordion(rng, lines, n, sample_rate)
        if name == "organ":
            lines = _oompah(rng, duration, beat, key, 48)
            return _reeds(
                rng, lines, n, sample_rate, [(1, 1), (2, 1)], 1.6, 0.01
            )
        if name in ("violin", "cello"):
            low = 0.5 if name == "cello" else 1.0
            return _violin(rng, lead(55, 84), n, sample_rate, low)
        if name == "flute":
            return _flute(rng, lead(62, 90), n, sample_rate)
        if name == "tuba":
            line = _oompah(rng, duration, beat, key, 40)[0]
            return _trumpet(rng, line, n, sample_rate, 0.5)
        return _trumpet(
            rng, lead(58, 80), n, sample_rate, 0.5 if name == "trombone" else 1
        )

    sig = sum(log_uniform(rng, 0.4, 1) * _unit(play(name)) for name in players)
    if rng.random() < 0.5:  # a loudspeaker, overdriven
        sig = soft_clip(sig, log_uniform(rng, 0.5, 4))
        sig = band(sig, sample_rate, log_uniform(rng, 60, 250), None, 1)
    sig = band(sig, sample_rate, 0, log_uniform(rng, 2000, 9000), 1)
    walls = n_samples(rng.uniform(0.2, 0.8), sample_rate)
    echo = noise(rng, walls) * percussive(walls, sample_rate, 0.01, 0.9)
    wet = band(signal.oaconvolve(sig, echo)[:n], sample_rate, 0, 4000, 1)
    sig = _unit(sig) + rng.uniform(0.1, 0.8) * _unit(wet)
    sig *= np.exp(0.15 * wander(rng, n, sample_rate, 0.8))
    people = _unit(_passers_by(rng, duration, full_rate))
    sig = signal.resample(sig, len(people))
    return _unit(sig) + log_uniform(rng, 0.05, 0.6) * people
