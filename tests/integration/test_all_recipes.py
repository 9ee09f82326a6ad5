"""Every recipe and every method as a user runs it, on recordings of noise."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from processes import ROOT, run

ROWS = [
    row
    for table in sorted((ROOT / "tests" / "recipes").glob("*.csv"))
    for row in csv.DictReader(table.open(encoding="utf-8"))
    if row["Dataset"] != "MiniCLAP"  # has tests of its own
]


def is_slow(row):
    """Whether other tests run it: test_esc50_recipe.py, or the smoke grid's."""
    return row["Dataset"] == "ESC50" or "/methods/" in row["Hparam_file"]


def small_run(script, hparams, recordings, results_folder, *flags):
    """Run a recipe; return its folder of results."""
    own = "OwnData" in script
    process = run(
        *(sys.executable, script, hparams, "--device=cpu"),
        *([] if own else [f"--sample_recordings={recordings}"]),
        f"--results_folder={results_folder}",
        *flags,
    )
    told = "not the paper's benchmark" in process.stdout + process.stderr
    assert told != own
    (results,) = results_folder.glob("*/mini/**/results.json")
    return results.parent


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=row["Hparam_file"],
            marks=[pytest.mark.slow] if is_slow(row) else [],
        )
        for row in ROWS
    ],
)
def test_the_debug_flags_leave_what_the_table_says(
    row, recordings_folder, tmp_path
):
    flags = row["test_debug_flags"].split()
    script, hparams = row["Script_file"], Path(row["Hparam_file"])
    # The name alone: found beside the recipe, or among the methods.
    folder = small_run(
        script, hparams.name, recordings_folder, tmp_path, *flags
    )
    wanted = re.search(r"\[(.+)\]", row["test_debug_checks"])[1].split(",")
    assert set(wanted) <= {path.name for path in folder.iterdir()}
    results = json.loads((folder / "results.json").read_text())
    assert folder.relative_to(tmp_path).parts[0] == row["Dataset"]
    own = row["Dataset"] == "OwnData"
    assert results["run_kind"] == ("own data" if own else "demonstration")
    for metrics in results["metrics"].values():
        assert 0 <= metrics.get("acc", metrics.get("mAP")) <= 1


def test_upstream_exact_is_the_authors_method(recordings_folder, tmp_path):
    """Their selection rule, context, padding and budget, on two batches."""
    flags = "--upstream_exact True --captions=templates --debug".split()
    folder = small_run(
        *("recipes/US8K/train.py", "hparams.yaml", recordings_folder, tmp_path),
        *(*flags, "--captions_per_class=2"),
    )
    assert folder.parent.name == "upstream"
    results = json.loads((folder / "results.json").read_text())
    assert results["selection"] == "audio"
    learner = results["identity"]["learner"]
    assert learner["n_ctx"] == 32 and learner["padding_weight"]
