"""From a dry sound to a recording: place, microphone, editor.

What separates a synthesiser from a freesound.org clip is mostly not the source
but everything behind it. `record` draws, in the order in which sound travels:
a room and a distance, what else is heard there, the recorder's frequency
response and overload, and the editor's cuts (a clip that ends in digital silence,
or is looped). Two sets of `RANGES` that barely overlap, "train" and "eval",
keep clips for evaluation from being more of the same; for "eval" the sources'
own parameters reach beyond their ranges, too.

Authors
 * The afpt_plugin developers 2026
"""

import zlib

import numpy as np
from scipy import fft, signal

# Importing these fills SOUNDS.
from afpt_plugin.errors import InputError
from afpt_plugin.synth import (  # noqa: F401
    animals,
    appliances,
    birds,
    drums,
    household,
    human,
    machines,
    music,
    nature,
    objects,
    vehicles,
    voices,
    water,
)
from afpt_plugin.synth.dsp import (
    band,
    band_noise,
    log_uniform,
    noise,
    normalise,
    poisson_times,
    pulses,
    resonate,
    saw,
    soft_clip,
    tone,
    tremolo,
    wander,
)
from afpt_plugin.synth.registry import SOUNDS

#: Generators are written for at least this rate.
MIN_SAMPLE_RATE = 8000

# --- what else is heard ------------------------------------------------------


def _hiss(rng, n, sample_rate):
    return noise(rng, n, rng.uniform(0, 1))


def _rumble(rng, n, sample_rate):
    return noise(rng, n, rng.uniform(1.2, 2.2))


def _air(rng, n, sample_rate):
    sig = band_noise(rng, n, sample_rate, 60, log_uniform(rng, 400, 6000), 1)
    return sig * np.exp(0.3 * wander(rng, n, sample_rate, 1.5))


def _street(rng, n, sample_rate):
    passing = np.exp(0.6 * wander(rng, n, sample_rate, 0.5))
    return noise(rng, n, 1.5) + 0.4 * passing * noise(rng, n, 0.8)


def _hum(rng, n, sample_rate):
    mains = rng.choice([50.0, 60.0]) * rng.choice([1, 2])
    sig = saw(mains, sample_rate, n) + tone(mains, sample_rate, n)
    return sig + rng.uniform(0.3, 3) * noise(rng, n, 0.7)


def _fan(rng, n, sample_rate):
    sig = band_noise(rng, n, sample_rate, 80, rng.uniform(600, 2500), 1)
    blades = rng.uniform(70, 300)
    return sig + 0.5 * resonate(sig, sample_rate, [blades, 2 * blades], 6.0)


def _babble(rng, n, sample_rate):
    sig = np.zeros(n)
    for _ in range(3):
        talk = np.clip(wander(rng, n, sample_rate, 5), 0, None)
        pitch = rng.uniform(90, 240) * (
            1 + 0.12 * wander(rng, n, sample_rate, 3)
        )
        mouth = [rng.uniform(350, 800), rng.uniform(900, 2200), 2700.0]
        sig += talk * resonate(saw(pitch, sample_rate), sample_rate, mouth, 200)
    return sig


def _night(rng, n, sample_rate):
    low = rng.uniform(3000, 6000)
    sig = band_noise(rng, n, sample_rate, low, 1.2 * low)
    return 0.5 * sig * tremolo(n, sample_rate, rng.uniform(2, 9), 0.6) + noise(
        rng, n, 2.0
    )


def _drizzle(rng, n, sample_rate):
    drops = pulses(
        rng, poisson_times(rng, 150, n / sample_rate), n, sample_rate, 0.8
    )
    drops = resonate(drops, sample_rate, rng.uniform(1500, 6000, 2), 1500.0)
    return normalise(drops) + 0.02 * noise(rng, n, 0.5)


# What differs between clips to learn from and clips to evaluate on: how far the
# sources' parameters reach beyond their ranges, seconds of reverberation,
# reverberant share, chance of a room, backgrounds, dB over them.
RANGES = {
    "train": {
        "stream": 0,
        "stretch": 0.0,
        "room": 0.65,
        "rt60": (0.1, 0.7),
        "wet": (0.03, 0.5),
        "backgrounds": (_hiss, _rumble, _air, _street, _hum),
        "snr": (10, 65),
        "eq_db": 4.0,
    },
    "eval": {
        "stream": 1,
        "stretch": 0.15,
        "room": 0.8,
        "rt60": (0.7, 1.5),
        "wet": (0.1, 0.6),
        "backgrounds": (_fan, _babble, _night, _drizzle),
        "snr": (6, 35),
        "eq_db": 5.0,
    },
}


# --- the chain ---------------------------------------------------------------


def room(rng, sig, sample_rate, rt60, wet):
    """Put a dry sound into a room.

    Early reflections, then a diffuse tail whose treble dies first.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sig : numpy.ndarray
        Dry sound.
    sample_rate : int
        Rate.
    rt60 : float
        Seconds until the tail has fallen by 60 dB.
    wet : float
        Energy of the tail over that of the direct sound.

    Returns
    -------
    numpy.ndarray
        As long as `sig`.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> room(rng, np.eye(1, 800)[0], 8000, 0.3, 0.2).shape
    (800,)
    """
    n = max(int(0.8 * rt60 * sample_rate), 64)
    t = np.arange(n) / sample_rate
    tail = noise(rng, n) * np.exp(-6.9 * t / (0.5 * rt60))
    tail += band(noise(rng, n), sample_rate, high=rng.uniform(800, 3000)) * (
        2 * np.exp(-6.9 * t / rt60)
    )
    tail *= np.minimum(t / (0.02 * rt60 + 1e-3), 1)
    tail *= np.sqrt(wet / (np.sum(tail**2) + 1e-12))
    first = rng.uniform(0.001, 0.06 * rt60 + 0.004, rng.integers(3, 12))
    gains = np.sqrt(wet) * rng.uniform(-0.4, 0.4, len(first))
    np.add.at(tail, np.minimum((first * sample_rate).astype(int), n - 1), gains)
    tail[0] += 1.0
    return signal.oaconvolve(sig, tail)[: len(sig)]


def response(rng, sig, sample_rate, spread, low, high):
    """A recorder's frequency response: band limits, slope and a random ripple.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sig : numpy.ndarray
        Signal.
    sample_rate : int
        Rate.
    spread : float
        Standard deviation of the ripple in dB.
    low, high : float
        Band limits in Hz.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> response(rng, np.ones(500), 8000, 3.0, 50.0, 3000.0).shape
    (500,)
    """
    size = fft.next_fast_len(len(sig) + sample_rate // 20, real=True)
    freqs = np.geomspace(1.0, sample_rate / 2, 400)
    octaves = np.log2(freqs / 1000.0)
    gain = np.interp(
        octaves, np.arange(-6, 6), spread * rng.standard_normal(12)
    )
    gain += rng.uniform(-1.5, 1.5) * np.clip(octaves, -4, 4)
    gain -= 12 * np.maximum(np.log2(low / freqs), 0)
    gain -= rng.choice([18, 60, 200]) * np.maximum(np.log2(freqs / high), 0)
    gain = 10 ** (np.maximum(gain, -120) / 20)
    gain = np.interp(fft.rfftfreq(size, 1 / sample_rate), freqs, gain)
    return fft.irfft(fft.rfft(sig, size) * gain, size)[: len(sig)]


def _loudness(sig, sample_rate):
    """Root mean square of the parts that are not near silence."""
    n = sample_rate // 20
    power = (sig[: len(sig) // n * n].reshape(-1, n) ** 2).mean(1)
    return np.sqrt(power[power >= 0.05 * power.max()].mean() + 1e-20)


def _active_end(sig, sample_rate):
    """Sample after which nothing louder than -40 dB follows."""
    loud = np.flatnonzero(np.abs(sig) > 0.01 * np.abs(sig).max())
    return int(loud[-1]) + 1 if len(loud) else len(sig)


def _cut(rng, sig, end, sample_rate):
    """The editor: clips end in digital silence, are looped or begin late."""
    n = len(sig)
    draw = rng.uniform()
    if end < 0.85 * n and draw < 0.65:
        # The uploader kept the event; the data set padded it with zeros.
        stop = int(min(end + rng.uniform(0.0, 0.6) * sample_rate, n))
    elif draw > 0.85:
        stop = int(rng.uniform(0.25, 0.9) * n)
    else:
        return sig
    sig = sig.copy()
    fade = max(
        int(
            min(log_uniform(rng, 0.002, 0.3), stop / sample_rate) * sample_rate
        ),
        1,
    )
    sig[stop - fade : stop] *= np.linspace(1, 0, fade)
    sig[stop:] = 0
    if rng.uniform() < 0.12:  # looped to fill the time
        sig = np.resize(sig[:stop], n)
    return sig


def record(rng, sig, duration, sample_rate, ranges="train", edit=True):
    """Record a dry sound: room, background, recorder, editor.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of randomness.
    sig : numpy.ndarray
        Dry sound; padded or cut to the duration.
    duration : float
        Seconds.
    sample_rate : int
        Rate.
    ranges : str
        A key of `RANGES`.
    edit : bool
        If False, there is no editor: a sound stays where it was in time.

    Returns
    -------
    numpy.ndarray
        float32, peak at most 1.

    Raises
    ------
    InputError
        If `ranges` is not a key of `RANGES`.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> record(rng, rng.standard_normal(4000), 1.0, 8000).shape
    (8000,)
    """
    place = check_ranges(ranges)
    n = int(duration * sample_rate)
    sig = normalise(np.pad(sig[:n], (0, max(n - len(sig), 0))))
    end = _active_end(sig, sample_rate)
    if rng.uniform() < place["room"]:
        rt60, wet = (
            log_uniform(rng, *place["rt60"]),
            log_uniform(rng, *place["wet"]),
        )
        sig = room(rng, sig, sample_rate, rt60, wet)
        end = min(n, end + int(0.4 * rt60 * sample_rate))
    background = np.zeros(n)
    for make in rng.choice(place["backgrounds"], rng.integers(1, 3)):
        other = make(rng, n, sample_rate)
        background += rng.uniform(0.2, 1) * other / (np.std(other) + 1e-9)
    snr = 10 ** (rng.uniform(*place["snr"]) / 20)
    background *= (
        _loudness(sig, sample_rate) / (np.std(background) + 1e-9) / snr
    )
    sig = sig + background
    narrow = rng.uniform() < 0.25  # a telephone, a low bit rate
    high = (
        log_uniform(rng, 3000, 9000)
        if narrow
        else log_uniform(rng, 9000, 20000)
    )
    low = log_uniform(rng, 15, 400 if narrow else 150)
    sig = response(rng, sig, sample_rate, place["eq_db"], low, high)
    draw = rng.uniform()
    if draw < 0.08:
        sig = np.clip(normalise(sig), -0.9, 0.9 * rng.uniform(0.3, 1))
    elif draw < 0.16:
        sig = soft_clip(sig, rng.uniform(1, 5))
    elif draw < 0.24:
        steps = 2.0 ** rng.integers(5, 9)
        sig = np.round(normalise(sig) * steps) / steps
    if edit:
        sig = _cut(rng, sig, end, sample_rate)
    return normalise(sig, log_uniform(rng, 0.15, 0.99)).astype(np.float32)


def check_ranges(ranges):
    """The settings of that name.

    Arguments
    ---------
    ranges : str
        A key of `RANGES`.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If there is none.

    Example
    -------
    >>> check_ranges("eval")["stream"]
    1
    """
    if ranges not in RANGES:
        raise InputError(
            f"ranges is '{ranges}'; give one of {', '.join(sorted(RANGES))}"
        )
    return RANGES[ranges]


class StretchedGenerator(np.random.Generator):
    """Draws a sound's parameters from ranges wider than its generator asks for.

    Applies to single uniform draws, which is how generators choose pitches,
    rates and sizes. A bound at 0 or 1 is a natural limit (of a share, a chance,
    a place in time) and stays; a positive one is never more than halved.

    Arguments
    ---------
    bits : numpy.random.BitGenerator
        Source of randomness.
    stretch : float
        Share of the range's width added at either end.

    Example
    -------
    >>> rng = StretchedGenerator(np.random.PCG64(0), 10.0)
    >>> all(rng.uniform(0, 1) < 1 for _ in range(99))
    True
    >>> any(rng.uniform(5, 6) > 6 for _ in range(99))
    True
    """

    def __init__(self, bits, stretch):
        super().__init__(bits)
        self.stretch = stretch

    def uniform(self, low=0.0, high=1.0, size=None):
        """As NumPy's, but for single draws.

        Arguments
        ---------
        low, high : float
            Bounds.
        size : int | tuple | None
            Shape of what is drawn; arrays are drawn from the bounds given.

        Returns
        -------
        float | numpy.ndarray
        """
        if size is None and np.ndim(low) == 0 and np.ndim(high) == 0:
            margin = self.stretch * (high - low)
            if low not in (0, 1):
                low = max(low - margin, low / 2) if low > 0 else low - margin
            if high not in (0, 1):
                high = high + margin
        return super().uniform(low, high, size)


def _rng(name, seed, ranges):
    settings = check_ranges(ranges)
    key = [zlib.crc32(name.encode()), settings["stream"], seed]
    return StretchedGenerator(np.random.PCG64(key), settings["stretch"])


def _make(name, rng, duration, sample_rate):
    if name not in SOUNDS:
        raise InputError(
            f"no generator is named '{name}'; give one of: "
            + ", ".join(sorted(SOUNDS))
        )
    if sample_rate < MIN_SAMPLE_RATE:
        raise InputError(
            f"sample_rate is {sample_rate}; give at least {MIN_SAMPLE_RATE}"
        )
    n = int(duration * sample_rate)
    for _ in range(20):  # a very short clip may end before the first event
        sig = SOUNDS[name].make(rng, duration, sample_rate)[:n]
        if np.any(sig):
            return np.pad(sig, (0, n - len(sig)))
    raise InputError(
        f"'{name}' is silent for {duration} s at {sample_rate} Hz; "
        "give a longer duration or a higher rate"
    )


def render(name, seed, duration=5.0, sample_rate=32000, ranges="train"):
    """One recording of a sound.

    Arguments
    ---------
    name : str
        A key of `SOUNDS`.
    seed : int
        Non-negative; with the name and the ranges it decides everything.
    duration : float
        Seconds.
    sample_rate : int
        Rate.
    ranges : str
        "train", or "eval" for other sources, rooms and backgrounds.

    Returns
    -------
    numpy.ndarray
        float32 `[samples]`, peak at most 1.

    Raises
    ------
    InputError
        If the name or the ranges are unknown.

    Example
    -------
    >>> render("dog", seed=3, duration=2.0, sample_rate=16000).shape
    (32000,)
    """
    return mix([name], seed, duration, sample_rate, ranges)


def mix(names, seed, duration=5.0, sample_rate=32000, ranges="train", db=10.0):
    """One recording of several sounds in the same place.

    Arguments
    ---------
    names : list of str
        Keys of `SOUNDS`.
    seed : int
        Non-negative.
    duration : float
        Seconds.
    sample_rate : int
        Rate.
    ranges : str
        As in `render`.
    db : float
        The first sound is the loudest; the others are up to this much softer.

    Returns
    -------
    numpy.ndarray
        float32 `[samples]`, peak at most 1.

    Raises
    ------
    InputError
        If a name or the ranges are unknown, or no name is given.

    Example
    -------
    >>> mix(["rain", "dog"], seed=0, duration=1.0, sample_rate=8000).shape
    (8000,)
    """
    if not names:
        raise InputError("mix needs at least one name; give some of SOUNDS")
    rng = _rng("|".join(names), seed, ranges)
    total = 0.0
    for i, name in enumerate(names):
        sig = _make(name, rng, duration, sample_rate)
        softer = 10 ** (-rng.uniform(0, db) / 20) if i else 1.0
        total = total + softer * sig / _loudness(sig, sample_rate)
    rng.stretch = 0.0  # the recording chain has ranges of its own
    return record(rng, total, duration, sample_rate, ranges)
