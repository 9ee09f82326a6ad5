#!/usr/bin/env python3
"""Measure how many clips per second `afpt classify` scores.

To run this script, use the following command:
> python benchmarks/classify.py --threads 2

The script runs the command as a user does, on files of noise, with the template
of zero-shot: files are decoded, resampled, encoded and scored against the class
names, and the table is written. The time to load the backbone is left out,
since all weights but mini's are random. LAION's CLAP is compared with
transformers' pipeline for zero-shot audio classification, which has the same
weights and gets decoded samples. The script checks that both give the same
scores. The two take turns.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from full_size import (
    BACKBONES,
    CLIP_SECONDS,
    build_clap,
    build_laion,
    describe_machine,
    make_class_names,
)

from afpt_plugin import inference
from afpt_plugin.cli import main as afpt
from afpt_plugin.export import write_export
from afpt_plugin.learners import Template
from afpt_plugin.task import Task

TEMPLATE = "this is a sound of {}"

#: The largest allowed difference of two probabilities.
TOLERANCE = 1e-4


def main(arguments=None):
    """Measure, print a table, and return clips per second by name."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    add("--threads", type=int, default=2)
    add("--n_clips", type=int, default=32)
    add("--n_classes", type=int, default=50)
    add("--repetitions", type=int, default=3)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    print(f"{describe_machine('cpu')}\n\n| | clips/s |\n|---|---|")
    found = {}
    for backbone in options.backbones:
        with tempfile.TemporaryDirectory() as folder:
            for name, speed in measure(backbone, Path(folder), options).items():
                found[name] = speed
                print(f"| {name} | {speed:.2f} |", flush=True)
    return found


def measure(backbone, folder, options):
    """Measure clips per second of a backbone, and of any pipeline for it."""
    parts = None
    if backbone == "laion":
        clap, parts = build_laion()
    else:
        clap = build_clap(backbone)
    names = make_class_names(options.n_classes)
    task = Task("noise", names, clip_seconds=CLIP_SECONDS)
    # Only whole clips are scored, as by the pipeline.
    template = Template([TEMPLATE], fine=False).setup(clap, names)
    write_export(folder / "export", clap, template, task, Template())
    # Replace the weights that the command would fetch.
    inference.load_clap = lambda *_: clap
    paths = write_clips(folder / "clips", clap.sample_rate, options.n_clips)
    ways = {f"afpt classify, {backbone}": lambda: classify(folder, names)}
    if parts:
        pipeline = make_pipeline(parts, names, paths)
        ways["pipeline of transformers, laion"] = pipeline
    scores, seconds = {}, {name: [] for name in ways}
    for repetition in range(options.repetitions + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            scores[name] = way()
            if repetition:  # the first repetition is the warm-up
                seconds[name].append(time.perf_counter() - start)
    ours, *others = scores.values()
    for other in others:
        difference = np.abs(ours - other).max()
        if not difference < TOLERANCE:
            raise RuntimeError(f"probabilities differ by {difference:.1e}")
    return {
        name: options.n_clips / statistics.median(spans)
        for name, spans in seconds.items()
    }


def write_clips(folder, sample_rate, n_clips):
    """Write files of noise at the backbone's sample rate."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"{index:03d}.wav" for index in range(n_clips)]
    for path in paths:
        noise = generator.uniform(-0.5, 0.5, int(CLIP_SECONDS * sample_rate))
        soundfile.write(path, noise, sample_rate)
    return paths


def classify(folder, names):
    """Run the command; return probabilities [n_clips, n_classes]."""
    output = folder / f"{time.monotonic_ns()}.csv"
    words = ["--source", str(folder / "export"), "--output", str(output)]
    with contextlib.redirect_stderr(io.StringIO()):
        afpt(["classify", str(folder / "clips"), *words, f"--top={len(names)}"])
    table = pd.read_csv(output).sort_values("file")
    found = np.zeros((len(table), len(names)))
    for column in range(1, len(names) + 1):
        index = table[f"class_{column}"].map(names.index)
        found[range(len(table)), index] = table[f"score_{column}"]
    return found


def make_pipeline(parts, names, paths):
    """Make a function that runs transformers' pipeline on the files."""
    from transformers import pipeline

    pipe = pipeline("zero-shot-audio-classification", device="cpu", **parts)

    def run():
        """Return probabilities [n_clips, n_classes]."""
        found = []
        for path in paths:
            wav, _ = soundfile.read(path, dtype="float32")
            told = pipe(
                wav, candidate_labels=names, hypothesis_template=TEMPLATE
            )
            scores = {entry["label"]: entry["score"] for entry in told}
            found.append([scores[name] for name in names])
        return np.array(found)

    return run


if __name__ == "__main__":
    main()
