"""`afpt report` as a user runs it: a command line and what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from afpt_plugin.results.run import HEADS, REQUIRED_KEYS, write_results

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


def add_run(folder, seed, acc):
    """Write what the report reads of a run."""
    results = dict.fromkeys(REQUIRED_KEYS) | {
        "dataset": "Bells",
        "clap": "mini",
        "learner": "PromptLearner",
        "seed": seed,
    }
    results["metrics"] = dict.fromkeys(HEADS, {"acc": 0.5})
    results["metrics"]["ensemble"] = {"acc": acc}
    write_results(folder, results)


@pytest.fixture
def runs(tmp_path):
    """A folder with two runs."""
    add_run(tmp_path / "results" / "1", 1, 0.6)
    add_run(tmp_path / "results" / "2", 2, 0.7)
    return tmp_path


def test_report_is_written_shown_and_ends_well(runs):
    done = report("results", "--output", "comparison", cwd=runs)
    assert done.returncode == 0, done.stderr
    folder = runs / "comparison"
    text = (folder / "report.md").read_text("utf-8")
    assert text in done.stdout and "65.0 ± 7.1" in text
    assert "predictions.csv missing beside 1/results.json" in text
    assert pd.read_csv(folder / "report.csv").loc[0, "n_runs"] == 2
    assert imread(folder / "report.png").ndim == 3


def test_a_broken_run_is_named_and_ends_with_1_unless_allowed(runs):
    (runs / "results" / "1" / "results.json").write_text("{")
    done = report("results", cwd=runs)
    assert done.returncode == 1
    assert "error: 1/results.json: not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
    text = (runs / "results" / "report.md").read_text("utf-8")
    assert "## Broken or unfinished\n\n- 1/results.json: not valid" in text
    allowed = report("results", "--allow-errors", cwd=runs)
    assert allowed.returncode == 0
    assert "1/results.json" in allowed.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["nowhere"], "error: nowhere: no such folder"),
        (["empty"], "error: empty: no finished run in it or below"),
        (["results/1/results.json"], "no such folder"),
        (["results", "--output", "file"], "error: file: cannot write here"),
        ([], "RESULTS_DIR"),
        (["results", "--outptu", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_input_is_one_sentence_and_ends_with_2(runs, arguments, sentence):
    (runs / "empty").mkdir()
    (runs / "file").touch()
    done = report(*arguments, cwd=runs)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(runs.rglob("report.*"))


def test_help_shows_an_example(tmp_path):
    done = report("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "afpt report results --output comparison" in done.stdout
