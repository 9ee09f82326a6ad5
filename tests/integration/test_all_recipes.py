"""Every recipe as a user runs it, on a few generated recordings."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    row
    for name in ("US8K", "FSD2019", "DCASE2019")
    for row in csv.DictReader(open(ROOT / "tests" / "recipes" / f"{name}.csv"))
]


@pytest.mark.parametrize("row", ROWS, ids=[row["Dataset"] for row in ROWS])
def test_the_debug_flags_leave_what_the_table_says(row, tmp_path):
    arguments = [
        sys.executable,
        row["Script_file"],
        "hparams.yaml",
        f"--results_folder={tmp_path}",
        "--device=cpu",
        *row["test_debug_flags"].split(),
    ]
    process = subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    folder = tmp_path / row["Dataset"] / "mini" / "PromptLearner" / "1"
    wanted = re.search(r"\[(.+)\]", row["test_debug_checks"])[1].split(",")
    assert set(wanted) <= {path.name for path in folder.iterdir()}
    results = json.loads((folder / "results.json").read_text())
    assert results["run_kind"] == "demonstration"
    metrics = results["metrics"]["ensemble"]
    metric = metrics["acc" if row["Dataset"] == "US8K" else "mAP"]
    assert 0 < metric <= 1
    printed = process.stdout + process.stderr
    assert "not the paper's benchmark" in printed
