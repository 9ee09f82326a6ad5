#!/usr/bin/env python3
"""Run a recipe under several settings and seeds, and tabulate.

To run this script, use the following command:
> python benchmarks/ablation.py --settings ours "no anchor"

Every run is the recipe's own command line; a run whose result file exists is
not repeated. Options that this script does not know go to every run, e.g.
``--data_folder``. Of one seed there is no deviation.

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

from afpt_plugin.results.run import HEADS

ROOT = Path(__file__).parents[1]
MESSAGE_LENGTH = 4000
RECIPES = ("ESC50", "US8K", "FSD2019", "DCASE2019")
WORDS = "this is a sound of"

#: What differs from a recipe's defaults.
SETTINGS = {
    "ours": [],
    # The anchored classes before the first step
    "nothing learned": ["--lr", "0.0", "--number_of_epochs", "1"],
    "no anchor": ["--learner", "{anchor: 0.0}"],
    "anchor 0.5": ["--learner", "{anchor: 0.5}"],
    "anchor 0.9": ["--learner", "{anchor: 0.9}"],
    "caption noise 1.5": ["--caption_noise", "{norm: 1.5}"],
    "caption noise 3.0": ["--caption_noise", "{norm: 3.0}"],
    "4 random vectors": ["--learner", "{n_ctx: 4, ctx_init: null}"],
    "16 random vectors": ["--learner", "{n_ctx: 16, ctx_init: null}"],
    "32 random vectors": ["--learner", "{n_ctx: 32, ctx_init: null}"],
    "16 vectors, words last": [
        "--learner",
        f"{{n_ctx: 16, ctx_init: {WORDS}}}",
    ],
    "embedded twice": ["--learner", "{embed_twice: True}"],
    "label dropout": ["--learner", "{label_dropout: True}"],
    "captions padded to 100": ["--caption_padding", "100"],
    "17 captions a class": ["--captions_per_class", "17"],
    "lr 0.0005": ["--lr", "0.0005"],
    "batch 24": ["--batch_size", "24"],
    "batch 384": ["--batch_size", "384"],
    "3 epochs": ["--number_of_epochs", "3"],
    "20 epochs": ["--number_of_epochs", "20"],
    "selection on audio": ["--selection", "audio"],
    "class names only": ["--captions", "templates"],
    "bf16": ["--precision", "bf16"],
    "upstream_exact": ["--upstream_exact", "True"],
}


def main():
    """Run what is missing and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="ESC50", choices=RECIPES)
    parser.add_argument(
        "--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS)
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--ablation_folder", default="results/ablation")
    arguments, options = parser.parse_known_args()
    titles = ["setting", *HEADS.values(), "epochs", "learning [s]"]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name in arguments.settings:
        results = [
            run(
                arguments.recipe,
                name,
                seed,
                Path(arguments.ablation_folder),
                options,
            )
            for seed in arguments.seeds
        ]
        cells = [name]
        for head in HEADS:
            scores = 100 * pd.Series(
                # Accuracy where there is one label, mAP where several
                metrics.get("acc", metrics.get("mAP"))
                for metrics in (result["metrics"][head] for result in results)
            )
            cells.append(f"{scores.mean():.1f}")
            if len(scores) > 1:
                cells[-1] += f" ± {scores.std():.1f}"
        cells.append(", ".join(str(r["selected_epoch"]) for r in results))
        seconds = pd.Series(r["timings"]["fit_seconds"] for r in results)
        cells.append(f"{seconds.median():.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def run(recipe, name, seed, folder, options):
    """Run a recipe once, unless it has been run.

    Arguments
    ---------
    recipe : str
        One of `RECIPES`.
    name : str
        A key of `SETTINGS`.
    seed : int
        The recipe's seed.
    folder : pathlib.Path
        Where the runs go.
    options : list of str
        For every run.

    Returns
    -------
    dict
        The result file.

    Raises
    ------
    SystemExit
        If the run failed, with its exit status.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", " ".join([name, *options]).lower())
    output_folder = folder / recipe / slug / str(seed)
    if not (output_folder / "results.json").exists():
        process = subprocess.run(
            [
                sys.executable,
                str(ROOT / "recipes" / recipe / "train.py"),
                "hparams.yaml",
                "--noprogressbar",
                f"--seed={seed}",
                f"--output_folder={output_folder}",
                *options,
                *SETTINGS[name],
            ],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if process.returncode:
            # What the recipe said; a mistake of the user's is its last line.
            sys.stderr.write(process.stderr[-MESSAGE_LENGTH:])
            sys.exit(process.returncode)
    return json.loads((output_folder / "results.json").read_text())


if __name__ == "__main__":
    main()
