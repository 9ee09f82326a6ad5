#!/usr/bin/env python3
"""Find the training sounds that share a recording with an evaluation set.

To run this script, use the following command:
> python recipes/MiniCLAP/overlap.py /path/to/ESC-50-master/audio

ESC-50 and games in Debian both draw on freesound.org, so that a sound to learn
from may be a piece of a clip to be judged on. This compares every sound of the
Debian manifest with every recording in a folder, writes the matches to
`overlap.csv`, and exits with status 1 if there are any.

A fingerprint is a log-mel spectrogram of which every cell has lost the mean of
its neighbours in time (so that no spectrum or equaliser is left) and in
frequency (no attack, no loudness), over their spread. What is left is the fine
grain of one performance. Pieces of one second are laid over a recording at
every lag by FFT. The score is the correlation there in standard deviations of
chance: those of unrelated cells, or, if that is more, of the same two sounds at
all other lags, so that two trills are not a match because they trill. A few
playing speeds reach all between.

Why not a library: they are made for songs. fpcalc (chromaprint) returns
nothing below 3 s (iscc/iscc-cli#53, acoustid/chromaprint#72), audfprint finds
8 to 9 of 10 *undegraded* queries of one second (dpwe/audfprint#25), and
soundfingerprinting needs 1.8 s (AddictedCS/soundfingerprinting#122); many of
these sounds last half a second. `benchmarks/overlap.py` measures this one.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import fft, signal
from scipy.ndimage import uniform_filter
from torchaudio.functional import melscale_fbanks

from afpt_plugin.errors import InputError, exit_on_input_error

SAMPLE_RATE, N_FFT, HOP, N_MELS = 16000, 512, 160, 64
LOW, HIGH = 150.0, 7000.0  # Hz
FLOOR = 1e-5  # power, under the loudest cell's, that counts as silence
NEAR = (7, 21)  # frames and bands of a cell's neighbourhood
PIECE = 100  # frames
EDGE = 50.0  # cells
PEAK = 8  # frames to each side of the best lag that belong to it
MAX_EXCESS = 9.0  # so that an exact copy of a trill is found all the same
SPEEDS = (1.0, 0.97, 1.03)
MIN_SECONDS = 0.3
#: Passed by less than 1 in 10,000 pairs of different generated sounds of one
#: class, see `benchmarks/overlap.py`.
THRESHOLD = 12.0


class Match(NamedTuple):
    """A training sound found in a recording.

    Arguments
    ---------
    sound, recording : str
        Names.
    score : float
        Standard deviations of chance.
    lag : float
        Second of the recording at which the sound begins; negative if its
        beginning was cut off.
    """

    sound: str
    recording: str
    score: float
    lag: float


def fingerprint(sig, sample_rate):
    """Fine grain of a sound.

    Arguments
    ---------
    sig : numpy.ndarray
        Sound, [samples] or [samples, channels].
    sample_rate : float
        Rate. Another than the true one plays the sound faster or slower.

    Returns
    -------
    torch.Tensor
        [frames, n_mels], a frame every 10 ms.

    Example
    -------
    >>> fingerprint(np.random.default_rng(0).standard_normal(8000), 8000).shape
    torch.Size([101, 64])
    """
    return _grain(_mel_power(_resample(sig, sample_rate)))


def is_decidable(sig, sample_rate):
    """Whether a copy of a sound would be found.

    At least 0.3 s of it must be sound, and it must be recognised under white
    noise at 10 dB.

    Arguments
    ---------
    sig : numpy.ndarray
        Sound, [samples] or [samples, channels].
    sample_rate : float
        Rate.

    Returns
    -------
    bool

    Example
    -------
    >>> sig = np.random.default_rng(0).standard_normal(16000)
    >>> is_decidable(sig, 16000), is_decidable(sig[:3200], 16000)
    (True, False)
    >>> is_decidable(np.sin(np.arange(16000)), 16000)
    False
    """
    sig = _resample(sig, sample_rate)
    power = _mel_power(sig)
    loudness = power.sum(1)
    loud = loudness > FLOOR * loudness.max()
    if loud.sum() * HOP < MIN_SECONDS * SAMPLE_RATE:
        return False
    # The level of the sound alone: many files are padded with silence
    level = np.sqrt(np.sum(sig**2) / (loud.sum() * HOP))
    noise = np.random.default_rng(0).standard_normal(len(sig))
    noisy = _mel_power(sig + level * 10 ** (-10 / 20) * noise)
    score, lag = similarity(_grain(power), _grain(noisy))
    return score >= THRESHOLD and lag == 0


def similarity(a, b):
    """Score of a sound in a recording that plays it at its own speed.

    Arguments
    ---------
    a, b : torch.Tensor
        Fingerprints of the sound and of the recording.

    Returns
    -------
    score : float
        Standard deviations of chance.
    lag : float
        Second of `b` at which `a` begins.

    Example
    -------
    >>> sig = np.random.default_rng(0).standard_normal(32000)
    >>> part = fingerprint(sig[8000:], 16000)
    >>> score, lag = similarity(part, fingerprint(sig, 16000))
    >>> score > THRESHOLD, lag
    (True, 0.5)
    """
    scores, lags = _compare([a], [b])
    return float(scores[0, 0]), float(lags[0, 0])


def score_matrix(fingerprints, recordings):
    """Best score of every sound in every recording over speeds and lags.

    Arguments
    ---------
    fingerprints : list of torch.Tensor
        Of the sounds.
    recordings : list of tuple
        (sig, sample_rate) of each.

    Returns
    -------
    scores, lags : numpy.ndarray
        [n_sounds, n_recordings] each.
    """
    shape = len(fingerprints), len(recordings)
    scores, lags = np.full(shape, -np.inf), np.zeros(shape)
    for speed in SPEEDS:
        played = [fingerprint(sig, rate * speed) for sig, rate in recordings]
        for k in range(0, len(played), 256):  # what fits into memory
            block = np.s_[:, k : k + 256]
            found = _compare(fingerprints, played[k : k + 256])
            better = found[0] > scores[block]
            scores[block][better] = found[0][better]
            lags[block][better] = speed * found[1][better]
    return scores, lags


def find_overlaps(train_sounds, eval_recordings, threshold=THRESHOLD):
    """Find the sounds that share a source with a recording.

    Arguments
    ---------
    train_sounds, eval_recordings : iterable of tuple
        (name, sig, sample_rate) of each.
    threshold : float
        Least score of a match.

    Returns
    -------
    matches : list of Match
        Highest score first.
    undecidable : list of str
        Sounds that are too short or too plain to be found (`is_decidable`):
        that they match nothing says nothing.

    Example
    -------
    >>> sig = np.random.default_rng(0).standard_normal((3, 16000))
    >>> clips = list(zip("abc", sig, [16000] * 3))
    >>> sounds = [("b's end", sig[1, 8000:], 16000)]
    >>> matches, undecidable = find_overlaps(sounds, clips)
    >>> [(match.sound, match.recording, match.lag) for match in matches]
    [("b's end", 'b', 0.5)]
    >>> undecidable
    []
    """
    names, fingerprints, undecidable = [], [], []
    for name, sig, sample_rate in train_sounds:
        names.append(name)
        fingerprints.append(fingerprint(sig, sample_rate))
        if not is_decidable(sig, sample_rate):
            undecidable.append(name)
    recordings = list(eval_recordings)
    scores, lags = score_matrix(fingerprints, [r[1:] for r in recordings])
    matches = [
        Match(
            names[i],
            recordings[j][0],
            float(scores[i, j]),
            float(lags[i, j]),
        )
        for i, j in zip(*np.nonzero(scores >= threshold), strict=True)
    ]
    matches.sort(key=lambda match: -match.score)
    return matches, undecidable


def _resample(sig, sample_rate):
    sig = np.asarray(sig, np.float64)
    sig = sig.mean(1) if sig.ndim == 2 else sig
    n = max(round(len(sig) * SAMPLE_RATE / sample_rate), 1)
    return sig if n == len(sig) else signal.resample(sig, n)


def _mel_power(sig):
    """Power in triangular mel bands, [frames, n_mels]; 0 to 1."""
    x = torch.from_numpy(np.pad(sig, N_FFT // 2)).float()
    window = torch.hann_window(N_FFT)
    x = torch.stft(
        x, N_FFT, HOP, window=window, center=False, return_complex=True
    )
    bank = melscale_fbanks(N_FFT // 2 + 1, LOW, HIGH, N_MELS, SAMPLE_RATE)
    power = (x.abs().square().T @ bank).numpy()
    return power / max(power.max(), 1e-20)


def _grain(power):
    level = np.log(power + FLOOR)
    for size in ((NEAR[0], 1), (1, NEAR[1])):
        level -= uniform_filter(level, size, mode="nearest")
    spread = uniform_filter(level**2, NEAR, mode="nearest")
    # Silence has no spread and should stay silent
    return torch.from_numpy(level / np.sqrt(spread + 0.3**2)).float()


def _compare(a, b):
    """Best score and lag of every sound `a` in every recording `b`."""
    # The last piece overlaps its neighbour rather than be short
    pieces = [
        (i, max(min(start, len(grain) - PIECE), 0))
        for i, grain in enumerate(a)
        for start in range(0, len(grain), PIECE)
    ]
    n = fft.next_fast_len(PIECE + max(len(grain) for grain in b), real=True)
    spectra, energies = _spectra(b, n)
    scores, lags = np.full((2, len(a), len(b)), -np.inf)
    for k in range(0, len(pieces), 64):
        some = pieces[k : k + 64]
        cut = [a[i][start : start + PIECE] for i, start in some]
        piece_spectra, piece_energies = _spectra(cut, n)
        products = piece_spectra.conj() @ spectra.mT
        products = torch.fft.irfft(products, n, dim=0)
        chance = piece_energies.conj()[:, :, None] * energies[:, None]
        chance = torch.fft.irfft(chance, n, dim=0).clamp_min(0) / N_MELS
        # So that a few cells that meet at an edge are no evidence
        best, shift = (products / (chance + EDGE).sqrt()).max(0)
        near = (shift + torch.arange(-PEAK, PEAK + 1)[:, None, None]) % n
        squares = products.square_()
        elsewhere, expected = (
            x.sum(0) - x.gather(0, near).sum(0) for x in (squares, chance)
        )
        excess = (elsewhere / (expected + EDGE)).clamp(1, MAX_EXCESS)
        best /= excess.sqrt()
        shift = torch.where(shift < n - PIECE, shift, shift - n)
        for (i, start), score, lag in zip(
            some, best.numpy(), shift.numpy(), strict=True
        ):
            better = score > scores[i]
            scores[i][better] = score[better]
            lags[i][better] = (lag[better] - start) * HOP / SAMPLE_RATE
    return scores, lags


def _spectra(grains, n):
    """Spectra over time of grains and of their energies, frequency first."""
    padded = torch.nn.utils.rnn.pad_sequence(grains)  # [frames, N, n_mels]
    energies = padded.square().sum(2)
    return torch.fft.rfft(padded, n, dim=0), torch.fft.rfft(energies, n, dim=0)


def read_folder(folder):
    """Read every recording below a folder.

    Arguments
    ---------
    folder : str or pathlib.Path
        Holds .wav, .flac, .ogg or .mp3 files at any depth.

    Returns
    -------
    list of tuple
        (path relative to the folder, sig, sample_rate).

    Raises
    ------
    InputError
        If there is none.
    """
    import soundfile

    paths = sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in {".wav", ".flac", ".ogg", ".mp3"}
    )
    if not paths:
        raise InputError(f"no recording in {folder}: give a folder of .wav")
    return [
        (str(path.relative_to(folder)), *soundfile.read(path)) for path in paths
    ]


def main():
    """Compare, write the matches, count them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("eval_folder")
    parser.add_argument("--sources", default="all")
    parser.add_argument("--debian_root", default="/")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    here = Path(__file__).parent
    parser.add_argument("--manifest", default=here / "debian_sounds.csv")
    parser.add_argument("--output", default=here / "overlap.csv")
    arguments = parser.parse_args()
    recordings = read_folder(arguments.eval_folder)

    # Only here, so that fingerprints work without the packages' reader
    from debian import load_sound, read_debian_manifest

    from afpt_plugin.backbones.mini_clap import PREPROCESSING

    rows = read_debian_manifest(arguments.manifest, arguments.sources)
    rate = PREPROCESSING["sample_rate"]
    sounds = (
        (i, load_sound(row, arguments.debian_root), rate)
        for i, row in enumerate(rows)
    )
    matches, undecidable = find_overlaps(
        sounds, recordings, arguments.threshold
    )
    with open(arguments.output, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow("package path member recording score lag".split())
        for match in matches:
            row = rows[match.sound]
            writer.writerow(
                [row["package"], row["path"], row["member"], match.recording]
                + [f"{match.score:.1f}", f"{match.lag:.2f}"]
            )
    print(
        f"{len(matches)} matches of {len(rows)} sounds with "
        f"{len(recordings)} recordings; {len(undecidable)} sounds are "
        "undecidable"
    )
    sys.exit(bool(matches))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
