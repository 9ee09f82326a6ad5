"""The ESC-50 recipe as a user runs it: a command line and what it leaves.

The recordings are ten of noise; the backbone is the packaged one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from afpt_plugin.results.run import HEADS

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "ESC50"
OPTIONS = {
    "--captions": "templates",
    "--captions_per_class": "4",
    "--number_of_epochs": "2",
    "--device": "cpu",
}
FILES = {
    "results.json",
    "predictions.csv",
    "training.png",
    "per_class.png",
    "confusion.png",
    "train_log.txt",
    "hyperparams.yaml",
    "env.log",
}


def command(script, *options):
    """The command line, with this Python; an option given twice is no YAML."""
    given = {option.split("=")[0] for option in options}
    defaults = [f"{k}={v}" for k, v in OPTIONS.items() if k not in given]
    return [sys.executable, str(script), "hparams.yaml", *defaults, *options]


def run(arguments, cwd=ROOT):
    """Run to the end and return what was printed."""
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def read_results(folder):
    """The result file, without what may differ between equal runs."""
    results = json.loads((folder / "results.json").read_text())
    del results["timings"]
    return results


@pytest.fixture(scope="module", autouse=True)
def samples(recordings_folder):
    """Put noise in the place of the sample recordings."""
    OPTIONS["--sample_recordings"] = str(recordings_folder)


@pytest.fixture(scope="module")
def results_folder(tmp_path_factory):
    """Where the runs of this file share recordings and features."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def whole(results_folder):
    """A run from the repository's root, and what it printed."""
    process = run(
        command("recipes/ESC50/train.py", f"--results_folder={results_folder}")
    )
    assert process.returncode == 0, process.stderr
    return results_folder / "ESC50" / "mini" / "PromptLearner" / "1", process


def test_a_run_from_the_root_leaves_everything_behind(whole):
    """Files, the baseline, the table, and what kind of run it was."""
    folder, process = whole
    assert FILES <= {path.name for path in folder.iterdir()}
    results = read_results(folder)
    assert results["n_recordings"] == 10
    assert results["run_kind"] == "demonstration"
    assert set(results["metrics"]) == set(HEADS)
    assert len((folder / "predictions.csv").read_text().splitlines()) == 11
    printed = process.stdout + process.stderr
    assert "zero-shot (plain template)" in printed
    assert "not the paper's benchmark" in printed
    assert "10 clips of sample recordings" in printed
    # In the log and below the table
    assert printed.count("40 of 50 classes have no recording") == 2
    assert "--clap ms-2022" in printed


def test_a_rerun_from_the_recipes_folder_encodes_nothing(
    whole, results_folder, tmp_path
):
    """The store serves it; the numbers are the same."""
    folder, process = whole
    assert "encoding" in process.stderr
    stamp = results_folder / "samples/ESC50/ESC-50-master/samples.json"
    written = stamp.stat().st_mtime_ns
    again = run(
        command(
            "train.py",
            f"--results_folder={results_folder}",
            f"--output_folder={tmp_path / 'moved'}",
        ),
        cwd=RECIPE,
    )
    assert again.returncode == 0, again.stderr
    assert "encoding" not in again.stderr
    assert stamp.stat().st_mtime_ns == written
    assert read_results(tmp_path / "moved") == read_results(folder)


def test_a_killed_run_resumes_to_the_same_numbers(
    whole, results_folder, tmp_path
):
    """SIGKILL after the first epoch, then the same command again."""
    arguments = command(
        RECIPE / "train.py",
        f"--results_folder={results_folder}",
        f"--output_folder={tmp_path / 'killed'}",
    )
    log = tmp_path / "killed" / "train_log.txt"
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 300
    while not log.exists() and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results.json").exists()
    resumed = run(arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert read_results(tmp_path / "killed") == read_results(whole[0])


def test_two_processes_write_one_set_of_results(
    whole, results_folder, tmp_path
):
    """`torchrun` on two CPU processes."""
    process = run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
            *command(
                RECIPE / "train.py",
                f"--results_folder={results_folder}",
                f"--output_folder={tmp_path / 'two'}",
            )[1:],
        ]
    )
    assert process.returncode == 0, process.stderr
    assert FILES <= {path.name for path in (tmp_path / "two").iterdir()}
    two, one = read_results(tmp_path / "two"), read_results(whole[0])
    assert set(two) == set(one)
    assert two["metrics"]["zero_shot"] == one["metrics"]["zero_shot"]
    log = (tmp_path / "two" / "train_log.txt").read_text().splitlines()
    assert len(log) == 3  # two epochs and the test, each once


def test_upstream_exact_runs_the_authors_settings(
    whole, results_folder, tmp_path
):
    """Their selection rule, budget, context and padding, two batches of it."""
    process = run(
        command(
            RECIPE / "train.py",
            f"--results_folder={results_folder}",
            f"--output_folder={tmp_path / 'exact'}",
            "--upstream_exact=True",
            "--debug",
        )
    )
    assert process.returncode == 0, process.stderr
    results = read_results(tmp_path / "exact")
    assert results["upstream_exact"] is True
    assert results["selection"] == "audio"
    assert results["n_captions"]["valid"] == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--no_such_option=1"], "no_such_option"),
        (["--data_folder=/nowhere"], "--data_folder samples"),
        (["--captions=/nowhere.csv"], "/nowhere.csv"),
        (["--clap=maxi"], "choose one of mini"),
        (["--clap=ms-2022"], "--clap mini"),
        (["--selection=best"], "captions, audio"),
    ],
)
def test_a_users_mistake_is_a_sentence(
    whole, results_folder, tmp_path, options, sentence
):
    """Exit status 2 and no stack trace."""
    process = run(
        command(
            RECIPE / "train.py",
            f"--results_folder={results_folder}",
            f"--output_folder={tmp_path / 'mistake'}",
            *options,
        )
    )
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert sentence in process.stderr.splitlines()[-1]


SHARED = ROOT.parent / "shared" / "data" / "ESC-50-master"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real ESC-50 clips here")
def test_real_clips_need_one_override(tmp_path):
    """A part of the real data set, from the folder above its root."""
    process = run(
        command(
            RECIPE / "train.py",
            f"--results_folder={tmp_path}",
            f"--data_folder={SHARED.parent}",
            "--number_of_epochs=1",
        )
    )
    assert process.returncode == 0, process.stderr
    folder = tmp_path / "ESC50" / "mini" / "PromptLearner" / "1"
    results = read_results(folder)
    assert results["n_recordings"] == 207
    assert results["metrics"]["zero_shot"]["acc"] > 0.1  # 0.02 by chance
