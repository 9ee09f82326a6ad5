"""`afpt report` as a user runs it: a command line and what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from afpt_plugin.results.output import REQUIRED_KEYS, write_results

ROOT = Path(__file__).parents[2]


def report(*arguments, cwd):
    """Run to the end."""
    return subprocess.run(
        [sys.executable, "-m", "afpt_plugin.cli", "report", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def runs(tmp_path):
    """A folder with two runs."""
    for seed, acc in ((1, 0.6), (2, 0.7)):
        results = dict.fromkeys(REQUIRED_KEYS) | {"seed": seed}
        results["identity"] = {
            **{"dataset": "Bells", "clap": "mini"},
            **{"learner": {"name": "Linear"}, "supervision": {"kind": "shots"}},
        }
        results["metrics"] = {"zero_shot": {"acc": 0.5}, "coarse": {"acc": acc}}
        write_results(tmp_path / "results" / str(seed), results)
    return tmp_path


def test_report_is_written_shown_and_ends_well(runs):
    done = report("results", "--output", "comparison", cwd=runs)
    assert done.returncode == 0, done.stderr
    folder = runs / "comparison"
    text = (folder / "report.md").read_text("utf-8")
    assert text in done.stdout and "65.0 ± 7.1" in text
    assert "predictions.csv of 1/results.json" in text
    assert pd.read_csv(folder / "report.csv").loc[0, "n_runs"] == 2
    assert imread(folder / "report.png").ndim == 3


def test_a_damaged_run_is_named_and_ends_with_1_unless_allowed(runs):
    (runs / "results" / "1" / "results.json").write_text("{")
    done = report("results", cwd=runs)
    assert done.returncode == 1
    assert "error: 1/results.json: " in done.stderr
    assert "Traceback" not in done.stderr
    text = (runs / "results" / "report.md").read_text("utf-8")
    assert "\n- 1/results.json: " in text
    allowed = report("results", "--allow-errors", cwd=runs)
    assert allowed.returncode == 0 and "1/results.json" in allowed.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["nowhere"], "error: nowhere: "),
        (["empty"], "error: empty: "),
        (["results/1/results.json"], "error: results/1/results.json: "),
        (["results", "--output", "file"], "error: file: "),
        ([], "RESULTS_DIR"),
    ],
)
def test_wrong_input_is_one_sentence_and_ends_with_2(runs, arguments, sentence):
    (runs / "empty").mkdir()
    (runs / "file").touch()
    done = report(*arguments, cwd=runs)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not list(runs.rglob("report.*"))
