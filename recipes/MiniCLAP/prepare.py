"""Make the clips that mini-CLAP is trained and validated on.

Each *round* holds at most one new clip of every concept, so that a set cut short
is still balanced. A round is one file of log-mel features; rounds that exist are
kept, so an interrupted preparation goes on where it stopped. When a generator
changes, all are made anew.

Generated validation clips come from other seeds, wider parameter ranges and
another recording chain (``ranges="eval"``). Recorded sounds, out of Debian
packages, pass the training chain in as many variants as it takes to balance
*sources*, not files; those for validation come from other sources and are left as
they are.

Authors
 * The afpt_plugin developers 2026
"""

import json
import multiprocessing
import random
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from debian import load_sound
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.backbones.mini_clap import PREPROCESSING, LogMel
from afpt_plugin.files import replacing
from afpt_plugin.synth import SOUNDS
from afpt_plugin.synth.layouts import source_hash
from afpt_plugin.synth.scenes import record, render

logger = get_logger(__name__)

SAMPLE_RATE = PREPROCESSING["sample_rate"]

# Seeds of validation rounds start here, far above any training round.
FIRST_VALID_SEED = 1_000_000

# More variants of one recording teach the recording, not the sound.
MAX_VARIANTS = 8


def prepare_mini_clap(
    save_folder,
    concepts,
    core,
    sources="generated",
    recorded=(),
    debian_root="/",
    n_train=64,
    n_train_extra=24,
    n_train_recorded=24,
    n_valid=4,
    clip_seconds=5.0,
    n_workers=2,
):
    """Make all sets.

    Arguments
    ---------
    save_folder : str or pathlib.Path
        Where the rounds go.
    concepts : list of str
        What captions exist for.
    core : list of str
        The generated sounds that get `n_train` clips each.
    sources : str
        Part of the names of recorded rounds.
    recorded : list of dict
        Rows of the manifest of Debian sounds.
    debian_root : str or pathlib.Path
        Where their packages are installed or unpacked.
    n_train, n_train_extra : int
        Generated training clips for a core concept, and for any other.
    n_train_recorded : int
        Training clips for a concept with recordings.
    n_valid : int
        Generated validation clips for a concept.
    clip_seconds : float
        Length of a clip.
    n_workers : int
        Processes.

    Returns
    -------
    dict
        "train", "valid_generated" and "valid_recorded" to their files
        (list of pathlib.Path).
    """
    save_folder = Path(save_folder)
    save_folder.mkdir(parents=True, exist_ok=True)
    # So that a round does not depend on the captions file's order.
    generated = sorted(set(concepts) & set(SOUNDS))
    jobs = {
        "train": [
            [
                ("generated", name, i)
                for name in generated
                if i < (n_train if name in core else n_train_extra)
            ]
            for i in range(max(n_train, n_train_extra))
        ],
        "valid_generated": [
            [("generated", name, FIRST_VALID_SEED + i) for name in generated]
            for i in range(n_valid)
        ],
        "train_recorded": _recorded_rounds(recorded, "train", n_train_recorded),
        "valid_recorded": _recorded_rounds(recorded, "valid", None),
    }
    # Generated rounds serve all sources.
    stems = {split: split for split in jobs} | {
        split: f"{split}_{sources}" for split in jobs if "recorded" in split
    }
    make = partial(
        _make_round,
        debian_root=str(debian_root),
        clip_seconds=clip_seconds,
    )
    paths, todo = {}, []
    for split, rounds in jobs.items():
        paths[split] = []
        for i, clips in enumerate(rounds):
            path = save_folder / f"{stems[split]}_{i:03d}.safetensors"
            paths[split].append(path)
            if not _is_made(path, clips, clip_seconds):
                todo.append((path, split, clips))
    if todo:
        logger.info("Making %d rounds of clips in %s", len(todo), save_folder)
        with multiprocessing.get_context("spawn").Pool(n_workers) as pool:
            rounds = pool.imap_unordered(make, todo)
            list(tqdm(rounds, total=len(todo), unit="round"))
    paths["train"] += paths.pop("train_recorded")
    return paths


def load_rounds(paths, concepts):
    """Read rounds into memory.

    Arguments
    ---------
    paths : list of pathlib.Path
        From `prepare_mini_clap`.
    concepts : list of str
        Their order gives the labels.

    Returns
    -------
    mels : torch.Tensor
        Log-mel features as bytes, uint8 [n_clips, n_mels, T].
    labels : torch.Tensor
        Index into `concepts`, [n_clips].
    """
    index = {name: i for i, name in enumerate(concepts)}
    mels, labels = [], []
    for path in paths:
        mels.append(load_file(path)["mels"])
        labels.extend(index[name] for name in read_names(path))
    return torch.cat(mels), torch.tensor(labels)


def read_names(path):
    """Say what a round holds.

    Arguments
    ---------
    path : pathlib.Path
        From `prepare_mini_clap`.

    Returns
    -------
    list of str
        The concept of each clip.
    """
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["names"])


def _recorded_rounds(recorded, split, n_clips):
    """Rounds over the recordings of a split; one of all of them if unlimited."""
    by_concept = {}
    for row in recorded:
        if row["split"] == split:
            by_concept.setdefault(row["concept"], []).append(row)
    rounds = []
    for concept, rows in sorted(by_concept.items()):
        rows = sorted(rows, key=lambda row: row["sha256"])
        random.Random(concept).shuffle(rows)
        wanted = min(n_clips or len(rows), MAX_VARIANTS * len(rows))
        for i in range(wanted):
            if len(rounds) <= i:
                rounds.append([])
            rounds[i].append((rows[i % len(rows)], concept, i))
    return rounds


def _metadata(clips, clip_seconds):
    sources = [
        source if isinstance(source, str) else source["sha256"]
        for source, _, _ in clips
    ]
    return {
        "names": json.dumps([concept for _, concept, _ in clips]),
        "sources": json.dumps(sources),
        "clip_seconds": str(clip_seconds),
        "generators": source_hash(),
        "preprocessing": json.dumps(PREPROCESSING, sort_keys=True),
    }


def _is_made(path, clips, clip_seconds):
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() == _metadata(clips, clip_seconds)
    except (FileNotFoundError, SafetensorError):
        return False


def _make_round(job, debian_root, clip_seconds):
    torch.set_num_threads(1)
    path, split, clips = job
    logmel = LogMel()
    mels = []
    for source, concept, i in clips:
        if source == "generated":
            ranges = "train" if split == "train" else "eval"
            sig = render(concept, i, clip_seconds, SAMPLE_RATE, ranges)
        else:
            sig = load_sound(source, debian_root).numpy()
            key = [zlib.crc32(source["sha256"].encode()), i]
            rng = np.random.default_rng(key)
            sig = _fit(rng, sig, int(clip_seconds * SAMPLE_RATE), split)
            if split == "train_recorded":
                sig = record(rng, sig, clip_seconds, SAMPLE_RATE, "train")
        sig = torch.from_numpy(sig.astype(np.float32))
        mel, _ = logmel(sig[None], torch.ones(1))
        mels.append((mel[0] * 255).round().byte())
    metadata = _metadata(clips, clip_seconds)
    with replacing(path) as part:
        part.write_bytes(save({"mels": torch.stack(mels)}, metadata))


def _fit(rng, sig, n_samples, split):
    """Cut or fill to the clip's length: at random, or plainly to validate."""
    free = n_samples - len(sig)
    if split != "train_recorded":
        return np.pad(sig[:n_samples], (0, max(free, 0)))
    if free <= 0:
        begin = rng.integers(0, 1 - free)
        return sig[begin : begin + n_samples]
    if rng.uniform() < 0.4:
        return np.pad(sig, (begin := rng.integers(0, free), free - begin))
    # Again and again, after pauses of any length.
    pieces, n_done = [], 0
    while n_done < n_samples:
        pause = rng.exponential(rng.uniform(0.02, 0.8)) * SAMPLE_RATE
        pieces += [sig, np.zeros(int(pause))]
        n_done += len(sig) + int(pause)
    return np.concatenate(pieces)[:n_samples]
