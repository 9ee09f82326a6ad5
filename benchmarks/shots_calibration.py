#!/usr/bin/env python3
"""Measure the calibration of methods that learned from labeled recordings.

To run this script on a data set in ESC-50's layout (the development recordings
of `development.py`), use the following command:
> python benchmarks/shots_calibration.py results/development/ESC-50-master

Each class with at least four sources is used. Methods learn from one recording
of each source in one half of its sources, and are tested on the other half.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from calibration import embeddings_of, read_recordings

from afpt_plugin import adapt
from afpt_plugin.backbones import load_clap
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.results.output import primary_head
from afpt_plugin.scoring.calibration import (
    error_by_chance,
    n_summed,
    without_items,
)

METHODS = "linear_probe", "kernel_ridge", "tip_adapter"


def main(arguments=None):
    """Print a row for each method: errors in points, mean over the draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--clap", default="mini")
    options = parser.parse_args(arguments)
    clap = load_clap(options.clap)
    with tempfile.TemporaryDirectory() as cache:
        read = read_recordings("ESC-50", options.folder, clap, cache)
        clips = dict(zip(read[1].data_ids, embeddings_of(read[1]), strict=True))
    table = pd.read_csv(options.folder / "meta" / "esc50.csv")
    table = table[table.filename.map(lambda n: Path(n).stem in clips)]
    sources = table.groupby("category").src_file.nunique()
    table = table[table.category.isin(sources[sources >= 4].index)]
    rows = [
        {"method": method, **measure(clap, method, table, seed, clips, options)}
        for seed in range(1, options.draws + 1)
        for method in options.methods
    ]
    found = pd.DataFrame(rows).groupby("method", sort=False).mean()
    print(found.round(1).to_string())


@torch.no_grad()
def measure(clap, method, table, seed, clips, options):
    """Measure accuracy and calibration errors of one draw, in %."""
    rng, shots, held = np.random.default_rng(seed), {}, []
    for category, own in table.groupby("category"):
        drawn = rng.permutation(sorted(own.src_file.unique()))
        drawn = drawn[: len(drawn) // 2]
        is_drawn = own.src_file.isin(drawn)
        chosen = own[is_drawn].drop_duplicates("src_file").filename
        name = category.replace("_", " ")
        shots[name] = [options.folder / "audio" / each for each in chosen]
        held += [(name, each) for each in own[~is_drawn].filename]
    with torch.enable_grad():
        classifier = adapt(clap, list(shots), method, shots, seed=seed)
    learner, classes = classifier.learner, classifier.classes
    logits = [learner(clips[Path(each).stem], classes) for _, each in held]
    head = primary_head(logits[0])
    logits = torch.cat([each[head] for each in logits])
    names = list(shots)
    right = torch.tensor([names.index(name) for name, _ in held])
    targets = torch.eye(len(names))[right]
    gap = without_items(clap.gap, len(names), False)
    log_p = classifier.log_probabilities(logits)
    found = {
        "recordings": len(held) / 100,
        "accuracy": (logits.argmax(1) == right).float().mean().item(),
        "ece_gap_alone": gap.error(logits, targets, n_summed(head)),
        "ece": classifier.calibration.error(logits, targets, n_summed(head)),
        "ece_by_chance": error_by_chance(log_p),
    }
    return {name: 100 * value for name, value in found.items()}


if __name__ == "__main__":
    with exit_on_input_error():
        main()
