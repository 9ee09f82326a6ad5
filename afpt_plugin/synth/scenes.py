"""From a dry sound to a recording: place, microphone, editor, data set.

What separates a synthesiser from a freesound.org clip is mostly not the source
but everything behind it. `record` draws, in the order in which sound travels:
a room and a distance, what else is heard there, the recorder's frequency
response and overload, and the editor's cuts (a clip that ends in digital silence,
or is looped). Two sets of `RANGES` that barely overlap, "train" and "eval",
keep clips for evaluation from being more of the same.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
from scipy import fft, signal

# Importing these fills SOUNDS.
from afpt_plugin.errors import InputError
from afpt_plugin.synth import (  # noqa: F401
    animals,
    household,
    human,
    machines,
    nature,
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

# Categories in the order of ESC-50's own targets 0-49.
ESC50 = (
    "dog rooster pig cow frog cat hen insects sheep crow rain sea_waves "
    "crackling_fire crickets chirping_birds water_drops wind pouring_water "
    "toilet_flush thunderstorm crying_baby sneezing clapping breathing "
    "coughing footsteps laughing brushing_teeth snoring drinking_sipping "
    "door_wood_knock mouse_click keyboard_typing door_wood_creaks "
    "can_opening washing_machine vacuum_cleaner clock_alarm clock_tick "
    "glass_breaking helicopter chainsaw siren car_horn engine train "
    "church_bells airplane fireworks hand_saw"
).split()
ESC10 = set(
    "dog rooster rain sea_waves crackling_fire crying_baby sneezing "
    "clock_tick helicopter chainsaw".split()
)


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


# What differs between clips to learn from and clips to evaluate on: seconds of
# reverberation, reverberant share, chance of a room, backgrounds, dB over them.
RANGES = {
    "train": {
        "stream": 0,
        "room": 0.65,
        "rt60": (0.1, 0.7),
        "wet": (0.03, 0.5),
        "backgrounds": (_hiss, _rumble, _air, _street, _hum),
        "snr": (10, 65),
        "eq_db": 4.0,
    },
    "eval": {
        "stream": 1,
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


def record(rng, sig, duration, sample_rate, ranges="train"):
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
    place = _place(ranges)
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
    sig = _cut(rng, sig, end, sample_rate)
    return normalise(sig, log_uniform(rng, 0.15, 0.99)).astype(np.float32)


def _place(ranges):
    if ranges not in RANGES:
        raise InputError(
            f"ranges is '{ranges}'; give one of {', '.join(sorted(RANGES))}"
        )
    return RANGES[ranges]


def _rng(name, seed, ranges):
    stream = _place(ranges)["stream"]
    return np.random.default_rng([zlib.crc32(name.encode()), stream, seed])


def _make(name, rng, duration, sample_rate):
    if name not in SOUNDS:
        raise InputError(
            f"no generator is named '{name}'; give one of: "
            + ", ".join(sorted(SOUNDS))
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
    return record(rng, total, duration, sample_rate, ranges)


# --- data sets ---------------------------------------------------------------


def source_hash():
    """Hash of this package's source: generated data is stale when it changes.

    Returns
    -------
    str
        16 hexadecimal digits.

    Example
    -------
    >>> len(source_hash())
    16
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _is_complete(target, settings, n_clips):
    stamp = target / "meta" / "generated.json"
    if not stamp.is_file():
        return False
    known = json.loads(stamp.read_text(encoding="utf-8"))
    clips = list((target / "audio").glob("*.wav"))
    return known == settings and len(clips) == n_clips


def write_esc50(
    folder, clips_per_class=8, seed=0, sample_rate=44100, ranges="eval"
):
    """Write generated recordings in ESC-50's real layout.

    `<folder>/ESC-50-master/meta/esc50.csv` and `audio/{fold}-{src}-{take}-{target}.wav`
    (16 bit, 5 s). Clip `i` of a class lies in fold `1 + i % 5`. The same
    arguments give the same bytes; a folder that is complete for them is left
    alone, an older generated one is replaced, and anything else is refused.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    clips_per_class : int
        Recordings of each of the 50 classes.
    seed : int
        Non-negative; other seeds share no recording.
    sample_rate : int
        Rate.
    ranges : str
        As in `render`.

    Returns
    -------
    pathlib.Path
        The `ESC-50-master` folder.

    Raises
    ------
    InputError
        If a number is out of range, or the folder holds an `ESC-50-master`
        that was not generated here.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_esc50(folder, clips_per_class=1, sample_rate=2000)
    ...     root.name, len(list((root / "audio").iterdir()))
    ('ESC-50-master', 50)
    """
    _place(ranges)
    for what, value, least in (
        ("clips_per_class", clips_per_class, 1),
        ("seed", seed, 0),
        ("sample_rate", sample_rate, 1000),
    ):
        if value < least:
            raise InputError(f"{what} is {value}; give at least {least}")
    settings = {
        "clips_per_class": clips_per_class,
        "seed": seed,
        "sample_rate": sample_rate,
        "ranges": ranges,
        "source": source_hash(),
    }
    folder = Path(folder)
    target = folder / "ESC-50-master"
    if _is_complete(target, settings, 50 * clips_per_class):
        return target
    if target.exists() and not (target / "meta" / "generated.json").is_file():
        raise InputError(
            f"{target} exists and was not generated here; give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as work:
        fresh = Path(work) / "fresh"
        _write_clips(fresh, settings)
        if target.exists():  # a folder cannot be replaced, only moved away
            os.replace(target, Path(work) / "stale")
        os.replace(fresh, target)
    return target


def _write_clips(root, settings):
    from joblib import Parallel, delayed
    from tqdm import tqdm

    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    n_clips = 50 * settings["clips_per_class"]
    # A clip depends on its own seed alone, so any number of workers writes
    # the same bytes.
    written = Parallel(
        n_jobs=min(n_clips, os.cpu_count()), return_as="generator"
    )(delayed(_write_clip)(root, settings, clip) for clip in range(n_clips))
    rows = list(
        tqdm(
            written, "generating recordings", n_clips, unit="clip", leave=False
        )
    )
    with open(root / "meta" / "esc50.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            "filename fold target category esc10 src_file take".split()
        )
        writer.writerows(sorted(rows))
    stamp = json.dumps(settings, indent=1, sort_keys=True)
    (root / "meta" / "generated.json").write_text(stamp, encoding="utf-8")


def _write_clip(root, settings, clip):
    import soundfile

    target, index = divmod(clip, settings["clips_per_class"])
    fold, src = 1 + index % 5, 100000 + clip
    # Seeds are interleaved so that no two settings share a clip.
    sig = render(
        ESC50[target].replace("_", " "),
        settings["seed"] * 100003 + index,
        5.0,
        settings["sample_rate"],
        settings["ranges"],
    )
    filename = f"{fold}-{src}-A-{target}.wav"
    soundfile.write(
        root / "audio" / filename, sig, settings["sample_rate"], "PCM_16"
    )
    esc10 = ESC50[target] in ESC10
    return [filename, fold, target, ESC50[target], esc10, src, "A"]
