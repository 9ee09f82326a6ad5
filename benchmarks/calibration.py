#!/usr/bin/env python3
"""Fit a backbone's gap between captions and recordings, used for calibration.

To run this script, lay out the development recordings (`development.py`) and
make runs for their exports; then fit the gap:
> for d in ESC50 US8K FSD2019; do
>     python recipes/$d/train.py zero_shot.yaml
>     for m in hparams caption_mean; do for s in 1 2 3; do
>         python recipes/$d/train.py $m.yaml --seed $s; done; done; done
> python benchmarks/calibration.py results/development results/{ESC50,US8K,FSD2019}

It prints `afpt_plugin.scoring.calibration.Gap`. Each run has the same weight.
To see the quality of the probabilities on recordings that were not used here
(the samples, a data set), read a run's own results.json.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from sklearn.metrics import precision_recall_curve

from afpt_plugin.adaptation import CLIP_OPTIONS
from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.data.datasets import caption_dataset, recording_dataset
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.supervision import Captions
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.export import read_export
from afpt_plugin.grids import load_recipe
from afpt_plugin.scoring.calibration import Gap, fit_calibration

RECIPES = Path(__file__).resolve().parents[1] / "recipes"

# Maps a data set to its recipe, its task and its prep script.
DATA_SETS = {
    "ESC-50": ("ESC50", "prepare_esc50"),
    "UrbanSound8K": ("US8K", "prepare_urbansound8k"),
    "FSDKaggle2019": ("FSD2019", "prepare_fsd2019"),
}


def main(arguments=None):
    """Score captions and recordings with each export, and print the fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("development", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--clap", default="mini")
    options = parser.parse_args(arguments)
    clap = load_clap(options.clap)
    single, several = [], []
    for path in sorted(
        p for run in options.runs for p in run.rglob("results.json")
    ):
        results = json.loads(path.read_text())
        if results["clap"] != options.clap:
            continue
        task, items = items_of(results, clap, options.development)
        learner = read_export(path.parent / "export").make_learner(clap)
        captions, recordings = (mean_logits(learner, clap, i) for i in items)
        (several if task.multi_label else single).append((captions, recordings))
        print(f"{path.parent}: {len(recordings[0])} recordings", flush=True)
    temperature, exponents = fit_single(single)
    print("one label: exponent, temperature, loss", *exponents, sep="\n")
    print(Gap(temperature, *fit_several(several)))


def read_recordings(dataset, folder, clap, cache_folder):
    """Return a data set's task, and its recordings in or below a folder."""
    recipe, prepare = DATA_SETS[dataset]
    names = vars(load_recipe(RECIPES / recipe / "train.py"))
    task = names[recipe]
    with tempfile.TemporaryDirectory() as save:
        names[prepare](str(folder), save, cache_folder=str(cache_folder))
        rows = read_manifest(Path(save, "test.csv"))
    return task, recording_dataset(
        *(clap, rows, task.class_names, Path(cache_folder, "features")),
        task.clip_seconds,
        **CLIP_OPTIONS,
    )


def items_of(results, clap, development):
    """Return the task, its held-out captions and its development recordings."""
    dataset = results["dataset"]
    task, clips = read_recordings(dataset, development, clap, development)
    _, valid, _ = Captions("ours", 0.2, seed=results["seed"]).read(task)
    store = development / "features"
    return task, (caption_dataset(clap, valid, task.n_classes, store), clips)


def embeddings_of(items):
    """Return the `Embeddings` of each item, as batches of one."""
    for item in (items[i] for i in range(len(items))):
        parts = (item[k][None].float() for k in ("whole", "parts", "mask"))
        whole, parts, mask = parts
        yield Embeddings(whole, parts, mask.bool())


@torch.no_grad()
def mean_logits(learner, clap, items):
    """Compute the mean logits of the heads, [N, n_classes], and the targets."""
    classes = learner.classes(clap)
    classes = type(classes)(*(part.float() for part in classes))
    logits = [
        torch.stack(list(learner(item, classes).values())).mean(0)[0]
        for item in embeddings_of(items)
    ]
    targets = [items[i]["target"] for i in range(len(items))]
    return torch.stack(logits).double(), torch.stack(targets)


def fit_single(runs):
    """Fit the factor on the square root of the captions' temperature.

    Other exponents than the root's are compared by their loss; with an exponent
    of 0, the captions have no influence.
    """
    own = [
        fit_calibration(*captions, False).temperature for captions, _ in runs
    ]

    def loss(log_t, exponent):
        """Compute the mean negative log-likelihood of the recordings."""
        total = 0.0
        for t, (_, (logits, targets)) in zip(own, runs, strict=True):
            values = logits / (math.exp(log_t) * t**exponent)
            total += torch.nn.functional.cross_entropy(
                values, targets.argmax(1)
            ).item()
        return total / len(runs)

    found = {}
    for exponent in (0, 0.25, 0.5, 0.75, 1):
        best = minimize_scalar(
            loss, args=(exponent,), bounds=(-3, 3), method="bounded"
        )
        found[exponent] = math.exp(best.x), best.fun
    rows = [(e, round(t, 2), round(f, 4)) for e, (t, f) in found.items()]
    return round(found[0.5][0], 2), rows


def fit_several(runs):
    """Fit slope, offset (in addition to a class's log-odds) and threshold."""
    data = [
        (logits.flatten(), targets.flatten().double(), logits.shape[1])
        for _, (logits, targets) in runs
    ]

    def values(parameters):
        """Compute the log-odds of each run."""
        slope, offset = parameters
        return [slope * x + offset - math.log(n - 1) for x, _, n in data]

    def loss(parameters):
        """Compute the mean negative log-likelihood."""
        entropy = torch.nn.functional.binary_cross_entropy_with_logits
        pairs = zip(values(parameters), data, strict=True)
        return np.mean([entropy(v, y).item() for v, (_, y, _) in pairs])

    slope, offset = minimize(loss, (8.0, 0.0), method="Nelder-Mead").x
    p = torch.cat(values((slope, offset))).sigmoid().numpy()
    y = torch.cat([y for _, y, _ in data]).numpy()
    precision, recall, at = precision_recall_curve(y, p)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    threshold = at[np.argmax(f1[:-1])]
    return tuple(round(float(v), 2) for v in (slope, offset, threshold))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
