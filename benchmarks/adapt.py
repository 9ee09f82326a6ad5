#!/usr/bin/env python3
"""Time the adaptation of each method that learns from recordings.

To run this script, use the following command:
> python benchmarks/adapt.py --threads 2

Every method of recipes/methods learns as in `adapt`, from stored embeddings.
These are drawn at random around the classes, since a learner's speed does not
depend on the sounds. A learner that runs the text tower in each step takes only
a few steps, with mini-CLAP, which is smaller than MS-CLAP; the time of all
steps is extrapolated. A learner that needs no tower takes all of its steps.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import math
import tempfile
from pathlib import Path

import torch
from full_size import describe_machine, make_class_names, show
from torch.nn.functional import normalize

from afpt_plugin.adaptation import CLIP_OPTIONS, Job, allowed_sources
from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.data.datasets import EmbeddingDataset
from afpt_plugin.data.manifests import MANIFEST_COLUMNS, write_manifest
from afpt_plugin.data.store import FeatureStore, content_key
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import find_method, method_names
from afpt_plugin.options import load_hparams
from afpt_plugin.results.output import primary_head
from afpt_plugin.task import Task


class TextTowerNeeded(Exception):
    """Raised if a learner needs more than the embeddings of texts."""


class StoredClap(FrozenClap):
    """A CLAP without towers; a text's hash is the seed of its embedding."""

    embed_dim, log_logit_scale = 1024, torch.tensor(3.5)

    def __init__(self):
        super().__init__("stored", 44100, {})
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # it has the device
        self.freeze()

    @property
    def caption_encoder(self):
        """Raise, since there is no text tower."""
        raise TextTowerNeeded

    def check_class_names(self, class_names):
        """Accept any names."""

    def encode_captions(self, captions, pad_to=None):
        """Draw one embedding per text."""
        whole = torch.empty(len(captions), self.embed_dim)
        for row, caption in zip(whole, captions, strict=True):
            seed = int(content_key(caption)[:8], 16)
            row.normal_(generator=torch.Generator().manual_seed(seed))
        mask = torch.ones(len(whole), 1, dtype=torch.bool)
        return Embeddings(whole, whole[:, None], mask)


def main(arguments=None):
    """Print a Markdown table with a row per method, and return its cells."""
    methods = [n for n in method_names() if "shots" in allowed_sources(n)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=methods)
    parser.add_argument("--n_recordings", type=int, default=2000, help="tested")
    parser.add_argument("--n_classes", type=int, default=50)
    parser.add_argument("--k", type=int, default=16, help="shots a class")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"{describe_machine('cpu')}\n")
    print("| method | set-up | learning | accuracy | measured |")
    print(f"{'|---' * 5}|")
    rows = {}
    for method in options.methods:
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows[method] = time_all(method, Path(folder), options)
            except TextTowerNeeded:
                rows[method] = time_steps(method, Path(folder), options)
        print(f"| {method} | {' | '.join(rows[method])} |", flush=True)
    return rows


def time_all(method, folder, options):
    """Time all steps of a learner that needs no tower; return a row's cells."""
    job, test = store_recordings(StoredClap(), folder, options)
    brain = job.learn(method, "shots", {"k": options.k}, test=test)
    seconds, scores = brain.results.timings, brain.score_recordings()
    fit = seconds.get("fit_seconds", 0.0)  # missing if nothing is trained
    accuracy = f"{100 * scores[primary_head(scores)]:.1f} %"
    steps = f"all {brain.optimizer_step} steps"
    return show(seconds["setup_seconds"]), show(fit), accuracy, steps


def time_steps(method, folder, options):
    """Extrapolate a row's cells from a few steps with mini-CLAP."""
    given = {"k": options.k, "output_folder": str(folder / "whole")}
    hparams = load_hparams(find_method(method), given)
    batch_size = hparams["train_loader_kwargs"]["batch_size"]
    batches = math.ceil(options.k * options.n_classes / batch_size)
    n_steps = hparams["epoch_counter"].limit * batches
    # A step's time depends on the number of classes, hardly on the batch.
    job, _ = store_recordings(load_clap("mini"), folder, options)
    brain = job.learn(method, "shots", {"k": 1, "number_of_epochs": 2})
    seconds, taken = brain.results.timings, brain.optimizer_step
    fit = seconds["fit_seconds"] * n_steps / taken
    measured = f"{taken} of {n_steps} steps, mini-CLAP; extrapolated"
    return show(seconds["setup_seconds"]), show(fit), "", measured


def store_recordings(clap, folder, options):
    """Store recordings drawn around their class; return `Job` and test set."""
    task = Task("drawn recordings", make_class_names(options.n_classes))
    job = Job(task, clap, folder, seed=1)
    texts = [f"this is a sound of {name}" for name in task.class_names]
    classes = normalize(clap.encode_captions(texts).whole, dim=1)  # [C, D]
    n_shots, dim = options.k * len(classes), classes.shape[1]
    labels = torch.arange(n_shots + options.n_recordings) % len(classes)
    generator = torch.Generator().manual_seed(0)
    beside = torch.randn(classes.shape, generator=generator) / dim**0.5
    noise = torch.randn(len(labels), dim, generator=generator) / dim**0.5
    wholes = normalize((classes + 2 * beside)[labels] + 10 * noise, dim=1)
    kind = {"kind": "recordings", "clip_seconds": task.clip_seconds}
    store = FeatureStore(job.features, clap.fingerprint, kind | CLIP_OPTIONS)
    mask = torch.ones(1).bool()
    entries = [{"whole": w, "parts": w[None], "mask": mask} for w in wholes]
    names = [str(index) for index in range(len(labels))]
    store.fill(names, lambda batch: [entries[i] for i in batch], desc="storing")
    rows, tested = [], {}
    for name, label in zip(names, labels.tolist(), strict=True):
        row = {"ID": name, "wav": name, "sha256": name, "source": ""}
        row |= {"label": task.class_names[label], "duration": 5.0}
        rows.append({key: row[key] for key in MANIFEST_COLUMNS})
        tested[name] = {"key": name, "labels": [label]}
    job.manifest = folder / "save" / "train.csv"
    write_manifest(job.manifest, rows[:n_shots])
    tested = dict(list(tested.items())[n_shots:])
    return job, EmbeddingDataset(store, tested, len(classes))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
