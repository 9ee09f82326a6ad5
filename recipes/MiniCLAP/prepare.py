"""Generate the clips that mini-CLAP is trained and validated on.

Each *round* holds one new clip of every concept, so that a set cut short is
still balanced. A round is one file of log-mel features; rounds that exist are
kept, so an interrupted preparation goes on where it stopped. Validation clips
come from the generators' other recording chain (``ranges="eval"``) and other
seeds. Remove the folder to generate anew.

Authors
 * The afpt_plugin developers 2026
"""

import json
import multiprocessing
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.backbones.mini_clap import PREPROCESSING, LogMel
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

# Seeds of validation rounds start here, far above any training round.
FIRST_VALID_SEED = 1_000_000


def prepare_mini_clap(
    save_folder,
    concepts,
    core,
    n_train=64,
    n_train_extra=24,
    n_valid=4,
    clip_seconds=5.0,
    n_workers=2,
):
    """Generate both sets.

    Arguments
    ---------
    save_folder : str or pathlib.Path
        Where the rounds go.
    concepts : list of str
        Names of generated sounds.
    core : list of str
        The concepts among them that get `n_train` clips each.
    n_train, n_train_extra : int
        Training clips for a core concept, and for any other.
    n_valid : int
        Validation clips for a concept.
    clip_seconds : float
        Length of a clip.
    n_workers : int
        Processes.

    Returns
    -------
    dict
        "train" and "valid" to their files (list of pathlib.Path).
    """
    from afpt_plugin.synth import SOUNDS

    unknown = sorted(set(concepts) - set(SOUNDS))
    if unknown:
        raise InputError(
            f"no generated sound is called {', '.join(unknown)}: correct the "
            "captions file or write a generator in afpt_plugin/synth"
        )
    save_folder = Path(save_folder)
    save_folder.mkdir(parents=True, exist_ok=True)
    # So that a round does not depend on the captions file's order.
    concepts = sorted(concepts)
    jobs, paths = [], {"train": [], "valid": []}
    for i in range(n_valid):
        job = ("valid", i, FIRST_VALID_SEED + i, concepts)
        jobs.append(job)
    for i in range(max(n_train, n_train_extra)):
        names = [
            name
            for name in concepts
            if i < (n_train if name in core else n_train_extra)
        ]
        jobs.append(("train", i, i, names))
    for split, i, _, _ in jobs:
        paths[split].append(save_folder / f"{split}_{i:03d}.safetensors")
    make = partial(_make_round, folder=save_folder, clip_seconds=clip_seconds)
    todo = [job for job in jobs if not _is_made(job, save_folder)]
    if todo:
        logger.info("Generating %d rounds in %s", len(todo), save_folder)
        with multiprocessing.get_context("spawn").Pool(n_workers) as pool:
            rounds = pool.imap_unordered(make, todo)
            list(tqdm(rounds, total=len(todo), unit="round"))
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
        labels.extend(index[name] for name in _names(path))
    return torch.cat(mels), torch.tensor(labels)


def _names(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["names"])


def _is_made(job, folder):
    split, i, _, names = job
    path = folder / f"{split}_{i:03d}.safetensors"
    if not path.exists():
        return False
    with safe_open(path, "pt") as file:
        found = file.metadata()
    return found == _metadata(names)


def _metadata(names):
    return {
        "names": json.dumps(names),
        "preprocessing": json.dumps(PREPROCESSING, sort_keys=True),
    }


def _make_round(job, folder, clip_seconds):
    from afpt_plugin.synth import render

    torch.set_num_threads(1)
    split, i, seed, names = job
    logmel = LogMel()
    mels = []
    for name in names:
        sig = render(
            name,
            seed,
            clip_seconds,
            PREPROCESSING["sample_rate"],
            ranges="train" if split == "train" else "eval",
        )
        mel, _ = logmel(torch.from_numpy(sig)[None], torch.ones(1))
        mels.append((mel[0] * 255).round().byte())
    path = folder / f"{split}_{i:03d}.safetensors"
    partial_path = path.with_suffix(".partial")
    save_file({"mels": torch.stack(mels)}, partial_path, _metadata(names))
    partial_path.replace(path)
