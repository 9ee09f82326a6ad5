#!/usr/bin/env python3
"""Time and memory of a training step against the number of classes.

To run this script, use the following command:
> python benchmarks/many_classes.py --classes 10 50 200 527

A step embeds every class under both contexts, so that its cost grows with their
number. If all activations are kept for the backward pass, so does its memory;
the package's learner keeps so much and recomputes the rest in chunks, of a size
that ``--classes_per_chunk`` can set. Each measurement has a process of its own,
whose peak memory is that of the whole process, model included. One that wants
more than ``--memory_gb`` is stopped and shown as such.

AudioSet's 527 names are not in the package: pairs of ESC-50's are as long.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import json
import os
import subprocess
import sys

import torch
from full_size import (
    PRECISIONS,
    Clock,
    PeakMemory,
    autocast,
    build_clap,
    check_positive,
    find_device,
    make_class_names,
    make_parser,
    write_measurement,
)
from torch.nn.functional import cross_entropy

from afpt_plugin.backbones import text
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.learners.prompts import PromptLearner
from afpt_plugin.similarity import coarse_logits, fine_logits

WORDS = 12  # in a caption, as many as ours have on average

#: What happens to activations, and how the table calls it.
WAYS = {"kept": "all kept", "learner": "PromptLearner"}

#: What 527 classes have to fit into.
TARGET_MB = 8 * 2**10


def main(arguments=None):
    """Measure every size in both ways, tabulate, draw.

    Arguments
    ---------
    arguments : list of str, optional
        By default the command line's.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_arguments(arguments)
    device = find_device(options.device, [options.precision])
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.one is not None:
        n_classes, way = options.one
        limit_memory(options.memory_gb, device)
        print(json.dumps(measure(options, device, int(n_classes), way)))
        return
    print(
        f"{options.backbone}, n_ctx {options.n_ctx}, batch "
        f"{options.batch_size}, {options.precision}, {device}, "
        f"{torch.get_num_threads()} threads\n\n"
        f"| classes | {WAYS['kept']} | peak memory | {WAYS['learner']} | "
        "peak memory |\n|---|---|---|---|---|",
        flush=True,
    )
    sizes = []
    for n_classes in options.classes:
        found = {way: run_child(arguments, n_classes, way) for way in WAYS}
        sizes.append({"n_classes": n_classes, **found})
        cells = [
            cell
            for way in found.values()
            for cell in describe(way, options.memory_gb)
        ]
        print(f"| {n_classes} | {' | '.join(cells)} |", flush=True)
    print()
    del options.one
    found = {"target_mb": TARGET_MB, "sizes": sizes}
    figure = _plot(sizes, options)
    write_measurement("many_classes", options, device, found, figure)


def parse_arguments(arguments):
    """Read the command line.

    Arguments
    ---------
    arguments : list of str
        The command line.

    Returns
    -------
    argparse.Namespace

    Raises
    ------
    InputError
        If a number is out of its range.
    """
    parser = make_parser(__doc__, steps=2)
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[10, 50, 200, 527]
    )
    parser.add_argument(
        "--classes_per_chunk",
        type=int,
        help="of the learner (default: the learner's own choice)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument(
        "--memory_gb",
        type=float,
        default=_free_memory_gb(),
        help="most memory that a process may take on the CPU (default: what "
        "is free at the start)",
    )
    # What a child measures: the number of classes, and one of `WAYS`
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    check_positive(
        options,
        "classes_per_chunk",
        "n_ctx",
        "batch_size",
        "steps",
        "threads",
        "memory_gb",
    )
    for n_classes in options.classes:
        make_class_names(n_classes)
    return options


def _free_memory_gb():
    """Memory that nobody uses; None where the platform does not tell."""
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def limit_memory(gigabytes, device):
    """Fail to allocate more, rather than press on others or be killed.

    Arguments
    ---------
    gigabytes : float or None
        The limit.
    device : torch.device
        A GPU has a limit of its own.
    """
    if gigabytes is None or device.type != "cpu":
        return
    import resource

    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def measure(options, device, n_classes, way):
    """Time training steps in this process.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    device : torch.device
        Where.
    n_classes : int
        Number of classes.
    way : str
        One of `WAYS`.

    Returns
    -------
    dict
        Median ``seconds`` of a step, all ``steps``, ``peak_memory_mb`` and
        ``out_of_memory``; the numbers are None if memory did not suffice.
    """
    clock, memory = Clock(device), PeakMemory(device)
    found = {"seconds": None, "steps": None, "peak_memory_mb": None}
    classes_per_chunk = options.classes_per_chunk
    if way == "kept":
        text.KEEP_BYTES, classes_per_chunk = float("inf"), None
    try:
        clap = build_clap(options.backbone).to(device)
        # Two classes wake the libraries up
        take_step(options, clap, 2, None, Clock(device), memory)
        memory.mb = None
        for _ in range(options.steps):
            take_step(
                options, clap, n_classes, classes_per_chunk, clock, memory
            )
    except (RuntimeError, MemoryError) as error:
        words = ("MemoryError", "memory", "bad_alloc")
        if not any(word in repr(error) for word in words):
            raise
        return found | {"out_of_memory": True}
    return {
        "seconds": clock.median("step"),
        "steps": clock.parts["step"],
        "peak_memory_mb": memory.mb,
        "out_of_memory": False,
    }


def take_step(options, clap, n_classes, classes_per_chunk, clock, memory):
    """Do one training step on random captions.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    clap : FrozenClap
        The model.
    n_classes : int
        Number of classes.
    classes_per_chunk : int or None
        See `PromptLearner`.
    clock : Clock
        Times the ``step``.
    memory : PeakMemory
        Watches it.
    """
    device, n = clap.device, options.batch_size
    learner = PromptLearner(
        n_ctx=options.n_ctx, classes_per_chunk=classes_per_chunk
    )
    learner.setup(clap, make_class_names(n_classes)).to(device)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.002)
    sentence = torch.randn(n, clap.embed_dim, device=device)
    words = torch.randn(n, WORDS, clap.embed_dim, device=device)
    mask = torch.ones(n, WORDS, dtype=torch.bool, device=device)
    target = torch.arange(n, device=device) % n_classes
    with memory, clock("step"):
        with autocast(device, options.precision):
            coarse, fine = learner(clap)
        loss = cross_entropy(
            coarse_logits(sentence, coarse.float(), clap.logit_scale), target
        ) + cross_entropy(
            fine_logits(words, mask, fine.float(), clap.logit_scale), target
        )
        loss.backward()
        optimizer.step()


def run_child(arguments, n_classes, way):
    """Measure one size in a process of its own.

    Arguments
    ---------
    arguments : list of str
        The command line.
    n_classes : int
        Number of classes.
    way : str
        One of `WAYS`.

    Returns
    -------
    dict
        See `measure`.

    Raises
    ------
    RuntimeError
        If the process failed for another reason than memory.
    """
    command = [sys.executable, __file__, *arguments]
    child = subprocess.run(
        [*command, "--one", str(n_classes), way],
        capture_output=True,
        text=True,
    )
    if child.returncode == 2:
        raise InputError(child.stderr.strip().removeprefix("error: "))
    if child.returncode != 0:
        raise RuntimeError(
            f"{n_classes} classes: exit status {child.returncode}\n"
            f"{child.stderr}"
        )
    return json.loads(child.stdout.splitlines()[-1])


def describe(way, memory_gb):
    """Cells of the table.

    Arguments
    ---------
    way : dict
        See `measure`.
    memory_gb : float or None
        The limit.

    Returns
    -------
    tuple of str
        Time and memory.
    """
    if way["out_of_memory"]:
        return "-", f"more than {memory_gb} GB" if memory_gb else "too much"
    peak = way["peak_memory_mb"]
    return (
        f"{way['seconds']:.2f} s",
        "not measured" if peak is None else f"{peak / 2**10:.2f} GB",
    )


def _plot(sizes, options):
    """Draw time and memory against the number of classes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = (
        ("seconds", 1, "seconds a training step"),
        ("peak_memory_mb", 2**10, "peak memory of the process (GB)"),
    )
    styles = {"kept": ("#D55E00", "o--"), "learner": ("#0072B2", "s-")}
    for axes, (field, unit, title) in zip(
        figure.subplots(1, 2), panels, strict=True
    ):
        for way, (color, style) in styles.items():
            points = [
                (size["n_classes"], size[way][field] / unit)
                for size in sizes
                if size[way][field] is not None
            ]
            x, y = zip(*points, strict=True) if points else ([], [])
            axes.plot(x, y, style, color=color, label=WAYS[way])
        if field == "peak_memory_mb":
            axes.axhline(
                TARGET_MB / unit,
                color="#707070",
                linestyle=":",
                label="target at 527 classes",
            )
        axes.set_xlabel("classes")
        axes.set_ylabel(title)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.suptitle(
        f"{options.backbone}, n_ctx {options.n_ctx}, {options.precision}, "
        f"{options.device}",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    with exit_on_input_error():
        main()
