#!/usr/bin/env python3
"""Score frames on recordings with strong labels: segment F1.

To run this script after recipes/DCASE2019, use the following command:
> python benchmarks/frames.py results/DCASE2019/mini/prompts/1/export

A recording is cut into segments of 1 s. A class is heard in a segment if the
mean fine logit of the segment's frames is above a threshold. One threshold is
chosen on every other recording and used for the rest. F1 is segment-based and
micro-averaged (Mesaros et al. 2016, https://doi.org/10.3390/app6060162).

Authors
 * The afpt_plugin developers 2026
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score, precision_recall_curve
from tqdm import tqdm

from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.inference import PromptedClassifier

SECONDS = 10
SAMPLES = "results/samples/DCASE2019/DCASE2019-validation"


def main(arguments=None):
    """Print a Markdown table of segment F1, precision and recall."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="an export folder")
    parser.add_argument("--data_folder", type=Path, default=Path(SAMPLES))
    options = parser.parse_args(arguments)
    tuned = PromptedClassifier.from_hparams(options.source)
    targets = read_targets(options.data_folder, tuned.class_names)
    names = sorted(targets)
    target = np.stack([targets[name] for name in names])  # [N, SECONDS, C]
    chosen_on = np.arange(len(names)) % 2 == 0
    folder = options.data_folder / "audio" / "validation"
    print("| class embeddings | segment F1 | precision, recall there |")
    print("|---|---|---|")
    for title, classifier in (("template", untuned(tuned)), ("tuned", tuned)):
        bar = tqdm(names, title, disable=None)
        scores = [segment_scores(classifier, folder / name) for name in bar]
        scores = np.stack(scores)  # [N, SECONDS, n_classes]
        threshold = best_threshold(target[chosen_on], scores[chosen_on])
        truth = target[~chosen_on].ravel()
        found = scores[~chosen_on].ravel() >= threshold
        precision = (truth & found).sum() / max(1, found.sum())
        recall = (truth & found).sum() / truth.sum()
        f1 = 100 * f1_score(truth, found)
        print(f"| {title} | {f1:.1f} % | {precision:.2f}, {recall:.2f} |")


def read_targets(data_folder, class_names):
    """Read which class is heard in which second, in DCASE2019 task 4's layout.

    Returns file name -> True where a class is heard, [SECONDS, n_classes].
    """
    path = data_folder / "metadata" / "validation" / "validation.tsv"
    if not path.is_file():
        raise InputError(f"{path} does not exist; run recipes/DCASE2019 first")
    silence = np.zeros((SECONDS, len(class_names)), dtype=bool)
    targets = {}
    for row in pd.read_csv(path, sep="\t").itertuples():
        heard = targets.setdefault(row.filename, silence.copy())
        if pd.isna(row.event_label):  # the recording has no event
            continue
        name = row.event_label.replace("_", " ").lower()
        if name not in class_names:
            raise InputError(
                f"{path}: {row.event_label!r} in {row.filename} is not one of "
                f"the export's classes: {', '.join(class_names)}"
            )
        segments = slice(int(row.onset), int(np.ceil(row.offset)))
        heard[segments, class_names.index(name)] = True
    return targets


def untuned(classifier):
    """Copy a classifier, with the untuned template as its learner."""
    clap, export = classifier.mods.clap, classifier.hparams.export
    learner = export.make_baseline(clap)
    hparams = {"export": export, "learner": learner}
    return PromptedClassifier({"clap": clap}, hparams)


def segment_scores(classifier, path):
    """Average a recording's fine logits over seconds, [SECONDS, n_classes].

    A second without a frame gets the lowest logit, since nothing is heard.
    """
    frames = classifier.frame_scores(path)
    second = frames.center.long().clamp(max=SECONDS - 1)  # [T]
    sums = torch.zeros(SECONDS, frames.logits.shape[1])
    sums.index_add_(0, second, frames.logits)
    counts = second.bincount(minlength=SECONDS)[:, None]
    lowest = torch.tensor(-classifier.learner.logit_scale)
    return torch.where(counts > 0, sums / counts, lowest).numpy()


def best_threshold(truth, scores):
    """Choose the threshold with the highest F1, for arrays of any shape."""
    precision, recall, thresholds = precision_recall_curve(
        truth.ravel(), scores.ravel()
    )
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1[:-1].argmax()])


if __name__ == "__main__":
    with exit_on_input_error():
        main()
