#!/usr/bin/env python3
"""Time how long each method that learns from recordings takes to adapt.

To run this script, use the following command:
> python benchmarks/adapt.py --threads 2

Every method of recipes/methods learns as `adapt` does, from stored embeddings;
they are drawn around the classes, since a learner's speed does not depend on
what is heard. A learner that passes the text tower in each step takes a few of
its steps with mini-CLAP, which is smaller than MS-CLAP, and the others are
extrapolated. A learner that needs no tower takes all of its steps.

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
from afpt_plugin.data.datasets import recording_dataset
from afpt_plugin.data.manifests import MANIFEST_COLUMNS, write_manifest
from afpt_plugin.data.store import FeatureStore, content_key
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.experiment import find_method, load_hparams, method_names
from afpt_plugin.results.output import primary_head
from afpt_plugin.task import Task


class TextTowerNeeded(Exception):
    """A learner asks for more of texts than their embeddings."""


class StoredClap(FrozenClap):
    """A CLAP without towers: the embedding of a text is drawn from its hash."""

    embed_dim = 1024
    log_logit_scale = torch.tensor(3.5)

    def __init__(self):
        super().__init__("stored", 44100, {})
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # it has the device
        self.freeze()

    @property
    def caption_encoder(self):
        """There is none."""
        raise TextTowerNeeded

    def encode_captions(self, captions, pad_to=None):
        """Draw one embedding a text."""
        whole = torch.empty(len(captions), self.embed_dim)
        for row, caption in zip(whole, captions, strict=True):
            seed = int(content_key(caption)[:8], 16)
            row.normal_(generator=torch.Generator().manual_seed(seed))
        mask = torch.ones(len(whole), 1, dtype=torch.bool)
        return Embeddings(whole, whole[:, None], mask)


def main(arguments=None):
    """Print a Markdown table, a method a row, and return its cells."""
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
    print("|---|---|---|---|---|")
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
    """Cells of a row of a learner that needs no tower."""
    job, test = store_recordings(StoredClap(), folder, options)
    brain = job.learn(method, "shots", {"k": options.k}, test=test)
    seconds, scores = brain.results.timings, brain.score_recordings()
    fit = seconds.get("fit_seconds", 0.0)  # none where nothing is trained
    accuracy = f"{100 * scores[primary_head(scores)]:.1f} %"
    measured = f"all {brain.optimizer_step} steps"
    return show(seconds["setup_seconds"]), show(fit), accuracy, measured


def time_steps(method, folder, options):
    """Cells of a row of a learner that passes the text tower."""
    given = {"k": options.k, "output_folder": str(folder / "whole")}
    hparams = load_hparams(find_method(method), given)
    items = options.k * options.n_classes
    batches = math.ceil(items / hparams["train_loader_kwargs"]["batch_size"])
    n_steps = hparams["epoch_counter"].limit * batches
    # A step's time depends on the classes, hardly on the batch.
    job, _ = store_recordings(load_clap("mini"), folder, options)
    few = {"k": 1, "number_of_epochs": 2}
    brain = job.learn(method, "shots", few)
    seconds, taken = brain.results.timings, brain.optimizer_step
    fit = seconds["fit_seconds"] * n_steps / taken
    measured = f"{taken} of {n_steps} steps, mini-CLAP; extrapolated"
    return show(seconds["setup_seconds"]), show(fit), "", measured


def store_recordings(clap, folder, options):
    """Store recordings around their classes: a `Job`, and what it is tested on.

    The job's manifest holds ``k`` recordings of each class.
    """
    task = Task("drawn recordings", make_class_names(options.n_classes))
    job = Job(task, clap, folder, seed=1)
    texts = [f"this is a sound of {name}" for name in task.class_names]
    classes = normalize(clap.encode_captions(texts).whole, dim=1)  # [C, D]
    generator = torch.Generator().manual_seed(0)
    beside = torch.randn(classes.shape, generator=generator)
    n_shots, dim = options.k * len(classes), classes.shape[1]
    n = n_shots + options.n_recordings
    noise = torch.randn(n, dim, generator=generator)
    labels = torch.arange(n) % len(classes)
    wholes = (classes + 2 * beside / dim**0.5)[labels] + 4 * noise / dim**0.5
    wholes = normalize(wholes, dim=1)  # [n, D]
    kind = {"kind": "recordings", "clip_seconds": task.clip_seconds}
    store = FeatureStore(job.features, clap.fingerprint, kind | CLIP_OPTIONS)
    mask = torch.ones(1, dtype=torch.bool)

    def encode(batch):
        """Recordings of one frame."""
        for whole in wholes[batch]:
            yield {"whole": whole, "parts": whole[None], "mask": mask}

    names = [str(index) for index in range(n)]
    store.fill(names, lambda batch: list(encode(batch)), desc="storing")
    facts = {"duration": task.clip_seconds, "source": ""}
    rows = [
        {"ID": name, "wav": name, "sha256": name, **facts}
        | {"label": task.class_names[label]}
        for name, label in zip(names, labels, strict=True)
    ]
    rows = [{key: row[key] for key in MANIFEST_COLUMNS} for row in rows]
    write_manifest(folder / "save" / "train.csv", rows[:n_shots])
    test = recording_dataset(
        clap,
        rows[n_shots:],
        task.class_names,
        job.features,
        task.clip_seconds,
        **CLIP_OPTIONS,
    )
    return job, test


if __name__ == "__main__":
    with exit_on_input_error():
        main()
