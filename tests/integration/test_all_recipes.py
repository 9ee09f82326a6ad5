"""Every recipe as a user runs it, on a few recordings of noise."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# These two have tests of their own.
TESTED_ELSEWHERE = ("ESC50", "MiniCLAP")
ROWS = [
    row
    for table in sorted((ROOT / "tests" / "recipes").glob("*.csv"))
    if table.stem not in TESTED_ELSEWHERE
    for row in csv.DictReader(table.open(encoding="utf-8"))
]


@pytest.mark.parametrize("row", ROWS, ids=[row["Dataset"] for row in ROWS])
def test_the_debug_flags_leave_what_the_table_says(
    row, recordings_folder, tmp_path
):
    arguments = [
        sys.executable,
        row["Script_file"],
        "hparams.yaml",
        f"--results_folder={tmp_path}",
        f"--sample_recordings={recordings_folder}",
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
    assert 0 < metrics.get("acc", metrics.get("mAP", 0)) <= 1
    printed = process.stdout + process.stderr
    assert "not the paper's benchmark" in printed
