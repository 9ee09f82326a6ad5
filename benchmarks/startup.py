"""Time new processes: showing help, classifying a file, a run's first step.

All of them use mini-CLAP, whose weights ship with the package.

Authors
 * The afpt_plugin developers 2026
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import afpt_plugin

ROOT = Path(__file__).parents[1]
RECORDINGS = Path(afpt_plugin.__file__).parent / "assets" / "recordings"

#: Code that runs a recipe, and ends the process after its first step.
FIRST_STEP = """
import os, runpy, sys
from afpt_plugin import brain

step = brain.AdaptationBrain.fit_batch
brain.AdaptationBrain.fit_batch = lambda *given: (
    step(*given),
    print("first step", flush=True),
    os._exit(0),
)
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measure_startup(options):
    """Time three commands, each in processes of its own, after a warm-up.

    The recipe's warm-up fills its feature store. The timed run has another
    seed; its time is from the start of the process to the end of its first
    step.
    Returns command -> median seconds.
    """
    recording = min(p for p in RECORDINGS.iterdir() if p.suffix != ".csv")
    recipe = ROOT / "recipes" / "ESC50" / "train.py"
    afpt = ["-m", "afpt_plugin.cli"]
    commands = {
        "afpt --help": lambda n: [*afpt, "--help"],
        "afpt classify, one file": lambda n: [
            *(*afpt, "classify", recording, "--class-names", "dog,rain"),
            *("--device", "cpu", "--output", f"{n}.csv"),
        ],
        "recipes/ESC50, first step of a rerun": lambda n: [
            *("-c", FIRST_STEP, recipe, "hparams.yaml"),
            *("--device", "cpu", "--seed", str(n)),
        ],
    }
    found = {}
    print("| from a process's start | seconds |\n|---|---|")
    for name, make in commands.items():
        with tempfile.TemporaryDirectory() as folder:
            times = [
                run(make(number), folder, options.threads)
                for number in range(1 + options.steps)
            ]
        found[name] = statistics.median(times[1:])
        print(f"| {name} | {found[name]:.2f} |", flush=True)
    return found


def run(arguments, folder, threads):
    """Run Python in a folder; return the seconds until it ends."""
    command = [sys.executable, *map(str, arguments)]
    paths = (str(ROOT), os.environ.get("PYTHONPATH"))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} failed:\n{done.stderr}")
    if FIRST_STEP in arguments and "first step" not in done.stdout:
        raise RuntimeError(f"{arguments} took no step:\n{done.stderr}")
    return seconds
