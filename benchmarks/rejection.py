#!/usr/bin/env python3
"""Measure how well `afpt classify --reject` detects "none of the classes".

The script takes data sets in ESC-50's layout: the development recordings of
`development.py`, the samples that a recipe has written, or ESC-50 itself. To
run it, use the following command:
> python benchmarks/rejection.py results/development/ESC-50-master \\
>     results/samples/ESC50/ESC-50-master

One half of each data set's classes serves as the classes, and clips of the
other half are "none of these". Halves are drawn ``--halves`` times. Prompts are
tuned only on the captions of the first half. ``--names`` gives the classes
instead of halves. The background contains the labels of the other half, too,
except in the rows "others unknown".

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from calibration import embeddings_of, read_recordings
from sklearn.metrics import roc_auc_score

from afpt_plugin import adapt
from afpt_plugin.backbones import load_clap
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.learners import Template
from afpt_plugin.scoring import rejection
from afpt_plugin.scoring.rejection import (
    fit_rejection,
    read_background,
    read_sounds,
)
from afpt_plugin.similarity import coarse_logits

METHODS = "zero_shot", "prompts"

# From this cosine on, two names count as names of the same sound.
SAME = 0.9


def main(arguments=None):
    """Print mean and spread over the halves, for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--halves", type=int, default=10)
    parser.add_argument(
        "--names", nargs="+", help="classes, each as NAME or NAME=LABEL"
    )
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--clap", default="mini")
    parser.add_argument("--share", type=float, default=rejection.SHARE)
    options = parser.parse_args(arguments)
    rejection.SHARE = options.share
    clap, sounds = load_clap(options.clap), read_sounds()
    read = [read_clips(folder, clap) for folder in options.folders]
    given = options.names and dict(
        name.split("=") if "=" in name else (name, name)
        for name in options.names
    )
    present = set().union(*(labels for labels, _ in read))
    for method in options.methods:
        rows = {folder: [] for folder in options.folders}
        for half in range(1 if given else options.halves):
            names = given or draw_half(present, half)
            classifier = make_classifier(clap, method, names, sounds)
            others = present - set(names.values())
            fewer = without(read_background(), others, clap)
            unknown = fit_rejection(clap, classifier.class_names, fewer)
            for folder, (labels, items) in zip(
                options.folders, read, strict=True
            ):
                own = np.isin(labels, list(names.values()))
                target = np.array(list(names.values()))
                found = measure(classifier, unknown, items, own, labels, target)
                rows[folder].append(found)
        for folder, found in rows.items():
            print(f"{folder}, {method}, {len(found)} times", flush=True)
            for name in found[0]:
                values = [row[name] for row in found]
                mean, spread = np.mean(values), np.std(values)
                print(f"  {name:30} {mean:.3f} +- {spread:.3f}", flush=True)


def read_clips(folder, clap):
    """Read labels [N] and embeddings of a data set in ESC-50's layout."""
    with tempfile.TemporaryDirectory() as cache:
        task, items = read_recordings("ESC-50", folder, clap, cache)
        items = [items[n] for n in range(len(items))]
    labels = [task.class_names[item["target"].argmax()] for item in items]
    return np.array(labels), items


def without(texts, others, clap):
    """Remove other classes' names, in any spelling, from the background."""
    names = Template().setup(clap, [*texts, *others]).embeddings
    texts_, others = names.split([len(texts), len(others)])
    same = (coarse_logits(texts_, others) > SAME).any(1)
    return [text for text, known in zip(texts, same, strict=True) if not known]


def draw_half(labels, seed):
    """Draw half of the classes that have clips: a dict of name to label."""
    names = sorted(labels)
    drawn = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    return {str(name): str(name) for name in sorted(drawn)}


def make_classifier(clap, method, names, sounds):
    """Adapt to class names; prompts learn from the package's captions."""
    more = {}
    if method != "zero_shot" and set(names) <= set(sounds):
        more["captions"] = {name: sounds[name] for name in names}
    return adapt(clap, list(names), method, **more)


@torch.no_grad()
def measure(classifier, unknown, items, own, labels, target):
    """Compute areas under the ROC curve, and rates at the threshold."""
    none, logits, whole = classifier.rejection, [], []
    for windows in embeddings_of(items):
        found = classifier.score_windows(classifier.clip_samples, windows)
        logits.append(found.logits[0])
        whole.append(windows.whole[0])
    logits, whole = torch.stack(logits), torch.stack(whole)
    best = classifier.rank(logits)
    probability = best.score.exp().numpy()
    cosines = coarse_logits(whole, none.classes)
    learned = none._replace(classes=classifier.classes.coarse)
    others = coarse_logits(whole, none.background)
    highest, sharp = cosines.max(1).values, classifier.mods.clap.logit_scale
    margin = none.margin(whole)
    scores = {
        "probability": torch.tensor(probability),
        "cosine": highest,
        "energy": (sharp * cosines).logsumexp(1),
        "cosine - highest of others": highest - others.max(1).values,
        "margin": margin,
        "margin, others unknown": unknown.margin(whole),
        "margin of what was learned": learned.margin(whole),
    }
    found = {f"AUROC {k}": roc_auc_score(own, v) for k, v in scores.items()}
    rejected = none.rejects(margin).numpy()
    right = own & (target[best.index.numpy()] == labels)
    sure = probability > 0.9
    return {
        **found,
        "threshold": none.threshold,
        "others rejected": rejected[~own].mean(),
        "own rejected": rejected[own].mean(),
        "own rightly named": right[own].mean(),
        "own rightly named, not rejected": (right & ~rejected)[own].mean(),
        "own above 0.9": sure[own].mean(),
        "own above 0.9, not rejected": (sure & ~rejected)[own].mean(),
        "others above 0.9": sure[~own].mean(),
        "others above 0.9, not rejected": (sure & ~rejected)[~own].mean(),
    }


if __name__ == "__main__":
    with exit_on_input_error():
        main()
