#!/usr/bin/env python3
"""Score hand-written templates on ESC-50: what tuning has to beat.

To run this script, use the following command:
> python benchmarks/templates.py --data_folder /path/to/ESC-50-master

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "ESC50"))

import torch
from esc50_prepare import ESC50_CLASSES, prepare_esc50
from torch.nn.functional import normalize

from afpt_plugin.backbones import load_clap
from afpt_plugin.data.captions import TEMPLATES
from afpt_plugin.data.datasets import recording_dataset
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.learners.prompts import template_embeddings
from afpt_plugin.metrics import single_label_metrics
from afpt_plugin.similarity import coarse_logits


def main():
    """Print a Markdown table: template, top-1, top-5."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_folder", required=True)
    parser.add_argument("--clap", default="mini")
    parser.add_argument("--weights")
    parser.add_argument("--feature_folder", default="results/features")
    arguments = parser.parse_args()

    clap = load_clap(arguments.clap, arguments.weights)
    with tempfile.TemporaryDirectory() as folder:
        prepare_esc50(arguments.data_folder, folder)
        recordings = recording_dataset(
            clap,
            Path(folder) / "test.csv",
            ESC50_CLASSES,
            arguments.feature_folder,
            # As in recipes/ESC50/hparams.yaml, so that the store is shared
            {
                "clip_seconds": 5.0,
                "crop": "start",
                "channels": "mean",
                "seed": 0,
            },
        )
    clips = torch.stack([item["clip"] for item in recordings])
    targets = torch.stack([item["target"] for item in recordings]).argmax(1)
    rows, embeddings = [], []
    for template in TEMPLATES:
        embeddings.append(template_embeddings(clap, ESC50_CLASSES, template))
        rows.append((template, embeddings[-1]))
    ensemble = sum(normalize(part, dim=-1) for part in embeddings)
    rows.append((f"mean of all {len(TEMPLATES)}", ensemble))
    rows = [(name, score(clips, part, targets)) for name, part in rows]
    single = sorted(rows[:-1], key=lambda row: -row[1]["acc"])
    print("| template | top-1 | top-5 |\n|---|---|---|")
    for name, metrics in [*single, rows[-1]]:
        print(
            f"| {name} | {100 * metrics['acc']:.1f} % "
            f"| {100 * metrics['acc_top5']:.1f} % |"
        )
    gap = 100 * (single[0][1]["acc"] - single[-1][1]["acc"])
    print(f"\nbest minus worst single template: {gap:.1f} points")


def score(clips, class_embeddings, targets):
    """Metrics of the coarse logits.

    Arguments
    ---------
    clips : torch.Tensor
        Clip embeddings, [N, D].
    class_embeddings : torch.Tensor
        [n_classes, D].
    targets : torch.Tensor
        Class indices, [N].

    Returns
    -------
    dict
        See `single_label_metrics`.
    """
    logits = coarse_logits(clips, class_embeddings)
    return single_label_metrics(logits, targets, ESC50_CLASSES)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
