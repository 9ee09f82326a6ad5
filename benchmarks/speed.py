#!/usr/bin/env python3
"""Measure the speed of training steps, many classes, encoding and whole runs.

To run this script, use one of the following commands:
> python benchmarks/speed.py --what step --backbone ms-2022 --threads 2
> python benchmarks/speed.py --what step --device cuda --precision fp32 tf32 bf16
> python benchmarks/speed.py --what classes --threads 2
> python benchmarks/speed.py --what encode
> python benchmarks/speed.py --what seeds --device cuda --precision bf16
> python benchmarks/speed.py --what startup

``step`` compares a plain form of the authors' schedule with ours. Theirs pads
prompts and captions to a fixed length (100 tokens, context included), embeds
the classes once for the coarse and once for the fine context, and encodes
captions at every step and recordings at every epoch, for the clip and for the
frames. Ours uses the package's own classes. Both leave dropout off and mask
padding, so that logits and gradients are the same; the script checks this
before it times anything. ``recipe`` is our schedule with the recipes' settings:
a context of five words and four times the batch. The schedules take turns, so
that other work on the machine slows all alike; times are medians over steps.
The table also gives the step's rate of matrix products as a share of the rate
that the machine reaches in the same precision.

``classes`` times our step against the number of classes, as it is and with all
activations kept for the backward pass, each in a process of its own.

``encode`` compares filling a feature store from files, in one process and in
several that share the work as with ``torchrun``, with the bare audio tower.

``seeds`` times ten epochs and a test on stored embeddings, for one seed and for
several at once. ``startup`` times new processes until their first result.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import math
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from encoding import measure_encoding
from full_size import (
    BACKBONES,
    Clock,
    Material,
    build_clap,
    describe_machine,
    matrix_rate,
    show,
)
from schedules import Schedule, check_equal, make_schedules
from seeds import measure_seeds
from startup import measure_startup

from afpt_plugin.backbones import text
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.learners import PromptLearner
from afpt_plugin.training.memory import free_bytes
from afpt_plugin.training.precision import set_tf32

#: The run to which times are extrapolated: the paper's on ESC-50.
EPOCHS, EPOCH_CAPTIONS, EPOCH_CLIPS = 10, 864, 2000

#: Ways to handle activations, and their names in the table.
WAYS = {"kept": "all activations kept", "learner": "PromptLearner"}


def main(arguments=None):
    """Measure, print a table, and return its values."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    print(f"{options.backbone} on {describe_machine(options.device)}\n")
    measure = {
        "step": measure_steps,
        "classes": measure_classes,
        "encode": measure_encoding,
        "seeds": measure_seeds,
        "startup": measure_startup,
    }[options.what]
    return measure(options)


def parse_arguments(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    sections = ("step", "classes", "encode", "seeds", "startup")
    add("--what", choices=sections, default="step")
    add("--backbone", choices=BACKBONES, default="ms-2022")
    add("--threads", type=int, help="default: torch's; encode: 1")
    add("--steps", type=int, default=2, help="timed ones, or repetitions")
    add("--device", default="cpu")
    add(
        "--precision",
        nargs="+",
        choices=("fp32", "tf32", "bf16"),
        default=["fp32"],
        help="of our step, any of them; of classes and seeds, the first",
    )
    add("--n_ctx", type=int, default=32)
    add("--batch_size", type=int, default=24)
    add("--n_classes", type=int, default=50, help="of step and seeds")
    add("--n_clips", type=int, help="default: step 24, encode 64, seeds 2000")
    add("--fixed_length", type=int, default=100, help="of the authors")
    add("--classes", nargs="+", type=int, default=[10, 50, 200, 527])
    add("--epochs", type=int, default=EPOCHS, help="of seeds")
    add("--seeds", nargs="+", type=int, default=[1, 4, 16])
    add("--figure", help="a file to draw classes to")
    add("--processes", nargs="+", type=int, default=[1, 2], help="of encode")
    options = parser.parse_args(arguments)
    for name in ("threads", "steps", "n_ctx", "batch_size", "n_clips"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1")
    if not all(2 <= n <= 2500 for n in (options.n_classes, *options.classes)):
        parser.error("numbers of classes must be from 2 to 2500")
    threads = 1 if options.what == "encode" else torch.get_num_threads()
    options.threads = options.threads or threads
    n_clips = {"encode": 64, "seeds": EPOCH_CLIPS}.get(options.what, 24)
    options.n_clips = options.n_clips or n_clips
    return options


def measure_steps(options):
    """Compare schedules; return the seconds of each one's parts."""
    clap = build_clap(options.backbone).to(options.device)
    sizes = (options.n_classes, 4 * options.batch_size, options.n_clips)
    rates = {
        kind: matrix_rate(clap.device, kind)
        for kind in {"fp32", *options.precision}
    }
    set_tf32("fp32")
    with tempfile.TemporaryDirectory() as folder:
        Material(clap, Path(folder, "warm"), *sizes)
        material = Material(clap, folder, *sizes)
        schedules = make_schedules(options, material)
        check_equal(schedules)
        for schedule in schedules:
            schedule.clock = Clock(clap.device)  # discards the warm-up
        for number in range(1, options.steps + 1):
            for schedule in schedules:
                schedule.step(number)
            for schedule in schedules:
                schedule.evaluate()
    once = material.seconds
    filling = EPOCH_CAPTIONS * once["caption"] + EPOCH_CLIPS * once["clip"]
    found = {}
    for schedule in schedules:
        seconds = schedule.clock.medians()
        clips = seconds.pop("evaluation: clips")
        seconds["evaluation: a clip"] = clips / options.n_clips
        second = extrapolate(seconds, schedule.batch_size)
        first = second + (0 if schedule is schedules[0] else filling)
        seconds["extrapolated to ESC-50, 10 epochs, first seed"] = first
        seconds["extrapolated to ESC-50, 10 epochs, second seed"] = second
        found[schedule.name] = seconds
    print(f"\n| | {' | '.join(found)} |\n|---{'|---' * len(found)}|")
    for part, theirs in found["authors"].items():
        cells = (
            f"{show(column[part])} ({theirs / column[part]:.3g}x)"
            if part in column
            else "in the graph"
            for column in found.values()
        )
        print(f"| {part} | {' | '.join(cells)} |")
    cells = (show(mb=schedule.peak_mb) for schedule in schedules)
    print(f"| peak memory of a step | {' | '.join(cells)} |")
    for schedule in schedules:
        seconds = found[schedule.name]
        reached = schedule.flops / seconds["training step"]
        seconds["share of matrix rate"] = reached / rates[schedule.precision]
    cells = (
        f"{s.flops / found[s.name]['training step'] / 1e12:.3g} of "
        f"{rates[s.precision] / 1e12:.3g} TFLOP/s "
        f"({found[s.name]['share of matrix rate']:.0%})"
        for s in schedules
    )
    print(f"| matrix products of a step | {' | '.join(cells)} |\n")
    print(
        f"Ours encodes once: {show(once['caption'])} a caption, "
        f"{show(once['clip'])} a clip."
    )
    return found


def extrapolate(seconds, batch_size):
    """Add up parts to the paper's run on ESC-50, given a full store."""
    n_steps = math.ceil(EPOCH_CAPTIONS / batch_size)
    return EPOCHS * (
        n_steps * seconds["training step"]
        + seconds["evaluation: class prompts"]
        + EPOCH_CLIPS * seconds["evaluation: a clip"]
    )


def measure_classes(options):
    """Time our step against the number of classes.

    Returns (number of classes, one of `WAYS`) -> result of `step_of_classes`.
    """
    options.memory_gb = round(free_bytes(torch.device("cpu")) / 2**30, 1)
    titles = " | peak memory | ".join(WAYS.values())
    print(f"| classes | {titles} | peak memory |\n|---{'|---' * 4}|")
    found = {}
    for n_classes in options.classes:
        cells = [str(n_classes)]
        for way in WAYS:
            # In a process of its own, the peak memory is that of this way.
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                size = pool.submit(step_of_classes, options, n_classes, way)
            found[n_classes, way] = size.result()
            if size.result() is None:
                cells += ["-", f"more than {options.memory_gb} GB"]
            else:
                seconds, mb = size.result()
                cells += [show(seconds), show(mb=mb)]
        print(f"| {' | '.join(cells)} |", flush=True)
    if options.figure:
        plot_classes(found, options)
    return found


def step_of_classes(options, n_classes, way):
    """Measure median seconds and peak MB of a step; None if out of memory."""
    torch.set_num_threads(options.threads)
    if options.memory_gb and options.device == "cpu":
        import resource

        # Make allocations fail, before others lack memory or we are killed.
        limit = int(options.memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if way == "kept":
        text.KEEP_BYTES = math.inf
    size, kind = options.batch_size, options.precision[0]
    try:
        clap = build_clap(options.backbone).to(options.device)
        with tempfile.TemporaryDirectory() as folder:
            # A step with two classes is the warm-up.
            for classes, steps in ((2, 1), (n_classes, options.steps)):
                material = Material(clap, folder, classes, size, 0)
                learner = PromptLearner(options.n_ctx)
                schedule = Schedule(way, material, learner, size, kind)
                if clap.device.type == "cuda":
                    for _ in range(3):  # until the step is captured
                        schedule.measure_memory()
                    schedule.clock = Clock(clap.device)
                for number in range(steps):
                    if clap.device.type == "cuda":
                        schedule.step(number)
                    else:
                        schedule.measure_memory()
    except (RuntimeError, MemoryError) as error:
        if not re.search("memory|bad_alloc|MemoryError", repr(error)):
            raise
        return None
    return schedule.clock.medians()["training step"], schedule.peak_mb


def plot_classes(found, options):
    """Draw time and memory against the number of classes."""
    from afpt_plugin.results.drawing import BLUE, RED, drawing, name_lines

    titles = ("a training step [s]", "peak memory of the process [GB]")
    with drawing(options.figure, 9, 3.2) as figure:
        figure.suptitle(f"{options.backbone}, {options.n_ctx} vectors")
        panels = zip(figure.subplots(1, 2), titles, (1, 2**10), strict=True)
        for column, (axes, title, unit) in enumerate(panels):
            ends = []
            for (way, label), color, mark in zip(
                WAYS.items(), (RED, BLUE), ("o--", "s-"), strict=True
            ):
                sizes = [n for n in options.classes if found[n, way]]
                values = [found[n, way][column] / unit for n in sizes]
                axes.plot(sizes, values, mark, color=color)
                ends += [(label, values[-1], color, sizes[-1])]
            axes.set(xlabel="classes", ylabel=title, xlim=0, ylim=0)
            axes.grid(axis="y")
            name_lines(axes, ends)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
