#!/usr/bin/env python3
"""Measure how well `recipes/MiniCLAP/overlap.py` finds degraded copies.

To run this script, use the following command:
> python benchmarks/overlap.py

Sounds of 0.5 to 6 s are hidden in recordings of 5 s after each degradation:
recall. Sounds are compared with other recordings of the same class: false
alarms. All are generated; with `--debian_root` (`/`, or the folder that the
packages were unpacked in) recall is that of the Debian manifest's sounds.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import importlib.util
import io
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from afpt_plugin.backbones.mini_clap import PREPROCESSING
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.synth import SOUNDS, render
from afpt_plugin.synth.scenes import response, room

RECIPE = Path(__file__).parents[1] / "recipes" / "MiniCLAP"
RATE = 16000
SECONDS = 5


def load_overlap():
    """Import the recipe's script, whose name is also this one's.

    Returns
    -------
    module
    """
    spec = importlib.util.spec_from_file_location(
        "mini_clap_overlap", RECIPE / "overlap.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- degradations ------------------------------------------------------------


def _hide(rng, sig):
    """Somewhere in a recording that is silent but for it."""
    n = SECONDS * RATE
    sig = sig[:n]
    start = rng.integers(n - len(sig) + 1)
    return np.pad(sig, (start, n - len(sig) - start))


def _play(sig, speed):
    return signal.resample(sig, round(len(sig) / speed))


def _loudest(sig, seconds=0.5):
    n = int(seconds * RATE)
    energy = np.convolve(sig**2, np.ones(n), "valid") if len(sig) > n else [0]
    start = int(np.argmax(energy))
    return sig[start : start + n]


def _rms(sig):
    """Of the sound alone, not of the silence around it."""
    return np.sqrt(np.mean(sig[np.abs(sig) > 1e-4 * np.abs(sig).max()] ** 2))


def _add_noise(rng, sig, db):
    noise = rng.standard_normal(len(sig))
    return sig + _rms(sig) * 10 ** (-db / 20) * noise


def _encode(sig, codec, quality):
    file = io.BytesIO()
    soundfile.write(
        file,
        0.9 * sig / np.abs(sig).max(),
        RATE,
        format=codec,
        compression_level=quality,
    )
    file.seek(0)
    return soundfile.read(file)[0]


def _poor(rng, sig):
    low = signal.butter(8, 4000, fs=RATE, output="sos")
    sig = signal.sosfilt(low, sig)
    return np.round(127 * sig / np.abs(sig).max()) / 127


def _clip(sig):
    return np.clip(sig, *(np.array([-0.2, 0.2]) * np.abs(sig).max()))


def _reverberate(rng, sig, rt60, wet):
    return room(rng, np.pad(sig, (0, RATE // 2)), RATE, rt60, wet)


def _before(rng, sig, other):
    """Half a second of it in the middle of another sound."""
    sig = _loudest(sig)
    start = rng.integers(len(other) - len(sig))
    hidden = other / _rms(other) * _rms(sig)
    hidden[start : start + len(sig)] = sig
    return hidden


def _everything(rng, sig):
    sig = _play(sig, rng.uniform(0.97, 1.03))
    sig = response(rng, sig, RATE, 4.0, 100.0, 6000.0)
    sig = _reverberate(rng, sig, 0.4, 0.2)
    return _encode(_add_noise(rng, _hide(rng, sig), 15), "OGG", 0.8)


#: Name to a function of (rng, sig, another recording) -> recording.
DEGRADATIONS = {
    "gain -30 dB": lambda rng, s, o: 0.03 * _hide(rng, s),
    "clipped at 0.2": lambda rng, s, o: _clip(_hide(rng, s)),
    "equaliser": lambda rng, s, o: _hide(
        rng, response(rng, s, RATE, 6.0, 150.0, 5000.0)
    ),
    "low-pass 4 kHz, 8 bit": lambda rng, s, o: _hide(rng, _poor(rng, s)),
    "MP3, worst": lambda rng, s, o: _encode(_hide(rng, s), "MP3", 0.99),
    "Ogg, worst": lambda rng, s, o: _encode(_hide(rng, s), "OGG", 0.99),
    "white noise 10 dB": lambda rng, s, o: _add_noise(rng, _hide(rng, s), 10),
    "reverberation": lambda rng, s, o: _hide(
        rng, _reverberate(rng, s, rng.uniform(0.4, 1.2), rng.uniform(0.2, 0.6))
    ),
    "0.5 to 3 % faster": lambda rng, s, o: _hide(
        rng, _play(s, 1 + rng.uniform(0.005, 0.03))
    ),
    "0.5 to 3 % slower": lambda rng, s, o: _hide(
        rng, _play(s, 1 - rng.uniform(0.005, 0.03))
    ),
    "0.5 s of it": lambda rng, s, o: _hide(rng, _loudest(s)),
    "0.5 s of it in another": _before,
    "mixed at 0 dB": lambda rng, s, o: _hide(rng, s) + o / _rms(o) * _rms(s),
    "speed, eq, room, noise, Ogg": lambda rng, s, o: _everything(rng, s),
}


# --- measurement -------------------------------------------------------------


def generated_sounds(n_sounds, seed=0):
    """Sounds of 0.5 to 6 s, their classes in turn.

    Arguments
    ---------
    n_sounds : int
        How many.
    seed : int
        Other seeds share none.

    Returns
    -------
    list of numpy.ndarray
        At 16 kHz.
    """
    names = sorted(SOUNDS)
    rng = np.random.default_rng(seed)
    seconds = np.exp(rng.uniform(np.log(0.5), np.log(6), n_sounds))
    return [
        render(names[i % len(names)], seed + i // len(names), s, RATE)
        for i, s in enumerate(seconds)
    ]


def debian_sounds(root, n_sounds, seed=0):
    """Sounds drawn from the Debian manifest.

    Arguments
    ---------
    root : str
        Where the packages are.
    n_sounds : int
        How many.
    seed : int
        Of the draw.

    Returns
    -------
    list of numpy.ndarray
        At 16 kHz.
    """
    sys.path.insert(0, str(RECIPE))
    from debian import load_sound, read_debian_manifest

    rows = read_debian_manifest(RECIPE / "debian_sounds.csv", "all")
    drawn = np.random.default_rng(seed).permutation(len(rows))[:n_sounds]
    sounds = [load_sound(rows[i], root).numpy() for i in drawn]
    ratio = RATE / PREPROCESSING["sample_rate"]
    return [signal.resample(s, round(ratio * len(s))) for s in sounds]


def recall_scores(overlap, sounds, name, seed=0):
    """Score of every sound in its own degraded copy.

    Arguments
    ---------
    overlap : module
        The recipe's script.
    sounds : list of numpy.ndarray
        At 16 kHz, of different classes in turn.
    name : str
        A key of `DEGRADATIONS`.
    seed : int
        Of the degradation.

    Returns
    -------
    numpy.ndarray
        [n_sounds]
    """
    scores = []
    for i, sig in enumerate(sounds):
        rng = np.random.default_rng([seed, i])
        other = sounds[(i + len(sounds) // 2) % len(sounds)]
        other = np.resize(other, SECONDS * RATE).astype(float)
        copy = DEGRADATIONS[name](rng, sig.astype(float), other)
        mark = overlap.fingerprint(sig, RATE)
        found, _ = overlap.score_matrix([mark], [(copy, RATE)])
        scores.append(found[0, 0])
    return np.array(scores)


def alike_scores(overlap, n_sounds, n_recordings, names=None):
    """Scores of sounds in other recordings of their class.

    Arguments
    ---------
    overlap : module
        The recipe's script.
    n_sounds, n_recordings : int
        Of a class.
    names : list of str
        Classes; all by default.

    Returns
    -------
    dict
        Class to numpy.ndarray [n_sounds, n_recordings].
    """
    scores = {}
    for name in names or sorted(SOUNDS):
        marks = []
        for i in range(n_sounds):
            seconds = np.random.default_rng(i).uniform(0.5, 5)
            sig = render(name, 10_000 + i, seconds, RATE)
            marks.append(overlap.fingerprint(sig, RATE))
        recordings = [
            (render(name, 20_000 + i, SECONDS, RATE), RATE)
            for i in range(n_recordings)
        ]
        scores[name] = overlap.score_matrix(marks, recordings)[0]
    return scores


def main():
    """Print recall and false alarms as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n_sounds", type=int, default=150)
    parser.add_argument("--n_alike", type=int, default=14)
    parser.add_argument("--debian_root")
    arguments = parser.parse_args()
    overlap = load_overlap()
    if arguments.debian_root:
        sounds = debian_sounds(arguments.debian_root, arguments.n_sounds)
    else:
        sounds = generated_sounds(arguments.n_sounds)
    decidable = np.array([overlap.is_decidable(sig, RATE) for sig in sounds])
    print(f"{decidable.mean():.1%} of {len(sounds)} sounds are decidable.\n")
    print("| degradation | recall | of the decidable |\n|---|---|---|")
    for name in DEGRADATIONS:
        found = recall_scores(overlap, sounds, name) >= overlap.THRESHOLD
        print(
            f"| {name} | {found.mean():.1%} | {found[decidable].mean():.1%} |",
            flush=True,
        )
    start = time.perf_counter()
    scores = alike_scores(overlap, arguments.n_alike, arguments.n_alike)
    seconds = time.perf_counter() - start
    pooled = np.sort(np.concatenate([s.ravel() for s in scores.values()]))
    loudest = sorted(scores, key=lambda name: -scores[name].max())[:5]
    print(
        f"\n{(pooled >= overlap.THRESHOLD).sum()} false alarms in "
        f"{len(pooled)} pairs of one class ({seconds:.0f} s); highest scores "
        f"{np.round(pooled[:-9:-1], 1)}, most alike: {', '.join(loudest)}"
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
