#!/usr/bin/env python3
"""Run a recipe under several settings and seeds, and print a table.

To run this script, use the following command:
> python benchmarks/ablation.py --settings ours "no anchor"

Every run is the recipe's own command line; a run whose results exist is not
repeated. Options that this script does not know go to every run, e.g.
``--data_folder``.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
RECIPES = ("ESC50", "US8K", "FSD2019", "DCASE2019")

#: What differs from a recipe's defaults.
SETTINGS = {
    "ours": [],
    # The anchored classes before the first step
    "nothing learned": ["--lr", "0.0", "--number_of_epochs", "1"],
    "no anchor": ["--learner", "{anchor: 0.0}"],
    "anchor 0.5": ["--learner", "{anchor: 0.5}"],
    "anchor 0.9": ["--learner", "{anchor: 0.9}"],
    "label dropout": ["--learner", "{label_dropout: True}"],
    "captions padded to 100": ["--supervision", "{pad_to: 100}"],
    "17 captions a class": ["--captions_per_class", "17"],
}


def main(arguments=None):
    """Run what is missing and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(SETTINGS)
    parser.add_argument("--recipe", default="ESC50", choices=RECIPES)
    parser.add_argument("--settings", nargs="+", default=names, choices=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument(
        "--ablation_folder", type=Path, default=Path("results/ablation")
    )
    options, for_recipe = parser.parse_known_args(arguments)
    rows = []
    for name in options.settings:
        runs = [run(options, name, seed, for_recipe) for seed in options.seeds]
        rows.append({"setting": name, **summarize(runs)})
        if len(rows) == 1:
            print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
        print(f"| {' | '.join(rows[-1].values())} |", flush=True)


def run(options, name, seed, for_recipe):
    """Read the results of a recipe's run, after running it if they are missing.

    Ends with the recipe's exit status, and its last words, if it fails.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", " ".join([name, *for_recipe]).lower())
    folder = options.ablation_folder / options.recipe / slug / str(seed)
    results = folder / "results.json"
    if not results.exists():
        command = [
            sys.executable,
            str(ROOT / "recipes" / options.recipe / "train.py"),
            "hparams.yaml",
            "--noprogressbar",
            f"--seed={seed}",
            f"--output_folder={folder}",
            *for_recipe,
            *SETTINGS[name],
        ]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            sys.stderr.write(process.stderr[-4000:])
            sys.exit(process.returncode)
    return json.loads(results.read_text())


def summarize(runs):
    """Cells of a row: each head's mean and deviation over seeds in %, etc."""
    cells = {}
    for head in runs[0]["metrics"]:
        metrics = [run["metrics"][head] for run in runs]
        # Accuracy where there is one label, mAP where there are several
        scores = 100 * pd.Series([m.get("acc", m.get("mAP")) for m in metrics])
        cells[head.replace("_", " ")] = f"{scores.mean():.1f}"
        if len(runs) > 1:
            cells[head.replace("_", " ")] += f" ± {scores.std():.1f}"
    cells["epochs"] = ", ".join(str(run["selected_epoch"]) for run in runs)
    seconds = pd.Series([run["timings"]["fit_seconds"] for run in runs])
    cells["learning [s]"] = f"{seconds.median():.0f}"
    return cells


if __name__ == "__main__":
    main()
