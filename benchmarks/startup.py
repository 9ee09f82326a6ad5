#!/usr/bin/env python3
"""Measure the time from a recipe's process start to its first training step.

To run this script, use the following command:
> python benchmarks/startup.py

A first run fills the caches: sample recordings and their embeddings. The
next ones are what a user waits for on a rerun. They stop after the step. A last
run, which is not timed, counts the imports by package (``python -X
importtime``). Options that this script does not know go to every run, e.g.
``--clap ms-2022``.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import functools
import json
import os
import re
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

# Nothing of ours and nothing heavy: the timed process starts in this file.

RECIPE = Path(__file__).parents[1] / "recipes" / "ESC50" / "train.py"

#: Steps of a recipe's script, in order: module, its function, what has been
#: done when that returns.
STEPS = (
    ("afpt_plugin.experiment", "load_experiment", "YAML"),
    ("speechbrain", "create_experiment_directory", "experiment's folder made"),
    ("afpt_plugin.experiment", "prepare_data", "recordings checked"),
    ("afpt_plugin.backbones", "load_clap", "CLAP loaded"),
    ("afpt_plugin.experiment", "load_captions", "captions read"),
    ("afpt_plugin.data.datasets", "make_datasets", "feature stores read"),
)


def main(arguments=None):
    """Measure, print two Markdown tables and write JSON.

    Arguments
    ---------
    arguments : list of str, optional
        By default the command line's.

    Returns
    -------
    dict
        What the JSON file holds.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default=str(RECIPE))
    parser.add_argument("--hparams", default="hparams.yaml")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--output_file", default="results/benchmarks/startup.json"
    )
    options, others = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:

        def run(name, *python_options):
            return run_once(
                [
                    options.recipe,
                    options.hparams,
                    f"--results_folder={folder}/results",
                    f"--output_folder={folder}/{name}",
                    *others,
                ],
                python_options,
            )

        run("fill the caches")
        runs = [run(f"rerun {i}") for i in range(options.repeats)]
        packages = run("imports", "-X", "importtime")["packages"]
    measurement = {
        "command": " ".join(["python", *sys.argv]),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "seconds": statistics.median(run["seconds"] for run in runs),
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "parts": {
            part: statistics.median(run["parts"][part] for run in runs)
            for part in runs[0]["parts"]
        },
        "import_seconds": packages,
        "runs": runs,
    }
    Path(options.output_file).parent.mkdir(parents=True, exist_ok=True)
    Path(options.output_file).write_text(json.dumps(measurement, indent=2))
    print("| from process start to first step | median s |\n|---|---|")
    for part, seconds in measurement["parts"].items():
        print(f"| {part} | {seconds:.2f} |")
    print(f"| **all** | **{measurement['seconds']:.2f}** |")
    print(f"| of that on a core | {measurement['cpu_seconds']:.2f} |")
    print("\n| imports (while traced) | s |\n|---|---|")
    for package, seconds in list(packages.items())[:12]:
        print(f"| {package} | {seconds:.2f} |")
    return measurement


def run_once(command, python_options=()):
    """Run a recipe to its first training step.

    Arguments
    ---------
    command : list of str
        The recipe's script and its arguments.
    python_options : iterable of str
        Of the interpreter.

    Returns
    -------
    dict
        ``seconds``, ``cpu_seconds``, ``parts`` (seconds by what was done) and
        ``packages`` (seconds of their own imports, if Python was told to
        report them).
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        start = time.time()
        process = subprocess.run(
            [
                sys.executable,
                *python_options,
                __file__,
                "--trace",
                str(report),
                *command,
            ],
            capture_output=True,
            text=True,
        )
        if not report.exists():
            raise SystemExit(f"no first step in {command}:\n{process.stderr}")
        marks, cpu_seconds = json.loads(report.read_text())
    parts = {}
    for part, end in marks:
        parts[part] = end - start - sum(parts.values())
    return {
        "seconds": marks[-1][1] - start,
        "cpu_seconds": cpu_seconds,
        "parts": parts,
        "packages": packages_imported(process.stderr),
    }


def packages_imported(report):
    """Add up what ``python -X importtime`` says by package.

    Arguments
    ---------
    report : str
        Its standard error.

    Returns
    -------
    dict
        Package -> seconds, the slowest first.

    Example
    -------
    >>> packages_imported("import time:  2000000 |    2500000 |   torch.nn")
    {'torch': 2.0}
    """
    seconds = Counter()
    for own, package in re.findall(
        r"^import time:\s+(\d+) \|[ \d]+\|\s+(\w+)", report, re.MULTILINE
    ):
        seconds[package] += int(own) / 1e6
    return dict(seconds.most_common())


def trace(report, recipe, *arguments):
    """Run a recipe in this process, and end it after the first step.

    Arguments
    ---------
    report : str
        Where to write when what was done and how long cores were busy: JSON,
        ``[[[what, time], ...], seconds]``.
    recipe : str
        The recipe's script.
    *arguments : str
        Its arguments.
    """
    marks = [("interpreter", time.time())]

    def mark(function, done, started=None):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            if started:
                marks.append((started, time.time()))
            result = function(*args, **kwargs)
            marks.append((done, time.time()))
            return result

        return wrapped

    def stop(brain, *_):
        marks.append(("first step", time.time()))
        Path(report).write_text(json.dumps([marks, time.process_time()]))
        raise SystemExit  # no checkpoint, no evaluation

    for module, name, done in STEPS:
        module = import_module(module)
        started = "imports" if name == "load_experiment" else None
        setattr(module, name, mark(getattr(module, name), done, started))
    brain = import_module("afpt_plugin.brain").PromptTuningBrain
    brain.__init__ = mark(brain.__init__, "learner and Brain set up")
    brain.on_fit_batch_end = stop
    sys.argv = [recipe, *arguments]
    sys.path[0] = os.path.dirname(recipe)
    runpy.run_path(recipe, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--trace"]:
        trace(*sys.argv[2:])
    else:
        main()
