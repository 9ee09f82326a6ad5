#!/usr/bin/env python3
"""Two sounds at once: do frames (fine logits) say more than the clip (coarse)?

Generated recordings of two random ESC-50 classes each, overlapping or one after
the other, are scored zero-shot with a plain template. To run this script, use the
following command:
> python benchmarks/mixtures.py

Authors
 * The afpt_plugin developers 2026
"""

import argparse

import numpy as np
import torch
from tqdm import tqdm

from afpt_plugin.backbones import load_clap
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.metrics import multi_label_metrics
from afpt_plugin.prompts import template_embeddings
from afpt_plugin.similarity import coarse_logits, fine_logits
from afpt_plugin.synth import classes, mix, render


def main():
    """Print a Markdown table: mixture, coarse and fine mAP and lwlrap."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clap", default="mini")
    parser.add_argument("--weights")
    parser.add_argument("--n_mixtures", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--template", default="this is a sound of {}")
    arguments = parser.parse_args()

    clap = load_clap(arguments.clap, arguments.weights)
    names = list(classes.ESC50.values())
    texts = template_embeddings(clap, names, arguments.template)
    print("| mixture | logits | mAP | lwlrap |\n|---|---|---|---|")
    for kind, make in (("overlapping", overlap), ("in turn", in_turn)):
        rng = np.random.default_rng(arguments.seed)
        targets = torch.zeros(arguments.n_mixtures, len(names))
        coarse, fine = [], []
        for i, target in enumerate(tqdm(targets, kind, leave=False)):
            pair = rng.choice(len(names), 2, replace=False)
            target[pair] = 1
            seed = 7_000_000 + 1000 * arguments.seed + i
            sig = make([names[k] for k in pair], seed, clap.sample_rate)
            audio = clap.encode_audio(
                torch.from_numpy(sig)[None], torch.ones(1)
            )
            coarse.append(coarse_logits(audio.clip, texts))
            fine.append(fine_logits(audio.frames, audio.mask, texts))
        for logits, scores in (("coarse", coarse), ("fine", fine)):
            metrics = multi_label_metrics(torch.cat(scores), targets, names)
            print(
                f"| {kind} | {logits} | {100 * metrics['mAP']:.1f} "
                f"| {100 * metrics['lwlrap']:.1f} |",
                flush=True,
            )


def overlap(names, seed, sample_rate):
    """Both sounds in one place at the same time, at most 10 dB apart.

    Arguments
    ---------
    names : list of str
        Two keys of `SOUNDS`.
    seed : int
        Non-negative.
    sample_rate : int
        Rate.

    Returns
    -------
    numpy.ndarray
        5 s.
    """
    return mix(names, seed, 5.0, sample_rate, "eval")


def in_turn(names, seed, sample_rate):
    """One recording after the other.

    Arguments
    ---------
    names : list of str
        Two keys of `SOUNDS`.
    seed : int
        Non-negative.
    sample_rate : int
        Rate.

    Returns
    -------
    numpy.ndarray
        5 s.
    """
    return np.concatenate(
        [render(name, seed, 2.5, sample_rate, "eval") for name in names]
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
