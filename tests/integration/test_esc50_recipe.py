"""The ESC-50 recipe as a user runs it: a command line and what it leaves.

The recordings are ten of noise; the backbone is the packaged one.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from common import cases
from processes import ROOT, TIMEOUT, run

from afpt_plugin.results.output import HEADS

RECIPE = ROOT / "recipes" / "ESC50"
FILES = set(
    "results.json predictions.csv training.png per_class.png confusion.png "
    "train_log.txt hyperparams.yaml env.log export".split()
)
SMALL = (
    "--captions=templates --captions_per_class=1 --valid_fraction=0.03 "
    "--number_of_epochs=2 --device=cpu"
).split()


@pytest.fixture(scope="module")
def results_folder(tmp_path_factory):
    """Where the runs of this file share recordings and features."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def command(recordings_folder, results_folder):
    """Make the command line of a small run with this Python."""

    def make(script, *options):
        return [
            *(sys.executable, str(script), "hparams.yaml", *SMALL),
            f"--sample_recordings={recordings_folder}",
            f"--results_folder={results_folder}",
            *options,
        ]

    return make


def read_results(folder):
    """The result file, without what may differ between equal runs."""
    results = json.loads((folder / "results.json").read_text())
    del results["timings"]
    return results


@pytest.fixture(scope="module")
def whole(command, results_folder):
    """A run from the repository's root, and what it printed."""
    process = run(*command("recipes/ESC50/train.py"))
    return results_folder / "ESC50" / "mini" / "prompts" / "1", process


def test_a_run_from_the_root_leaves_everything_behind(whole):
    """Files, the baseline, the table, and what kind of run it was."""
    folder, process = whole
    assert FILES <= {path.name for path in folder.iterdir()}
    results = read_results(folder)
    assert results["n_recordings"] == 10
    assert results["run_kind"] == "demonstration"
    assert set(results["metrics"]) == set(HEADS)
    with open(folder / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert all(row["source"] == row["id"].split("-")[1] for row in rows)
    printed = process.stdout + process.stderr
    # Libraries do not speak of themselves.
    log = (folder / "log.txt").read_text()
    for word in ("torchvision", "quirk", "font"):
        assert word not in printed + log
    assert "not the paper's benchmark" in printed
    assert "10 clips of sample recordings" in printed
    assert "40 of 50 classes" in printed
    assert "--clap ms-2022" in printed


def test_a_rerun_from_the_recipes_folder_encodes_nothing(
    whole, command, results_folder, tmp_path
):
    """The store serves it; the numbers are the same."""
    folder, process = whole
    assert "encoding recordings: 10 of 10 are new" in process.stdout
    stamp = results_folder / "samples/ESC50/ESC-50-master/samples.json"
    written = stamp.stat().st_mtime_ns
    moved = tmp_path / "moved"
    again = run(*command("train.py", f"--output_folder={moved}"), cwd=RECIPE)
    assert "encoding" not in again.stdout + again.stderr
    assert stamp.stat().st_mtime_ns == written
    assert read_results(moved) == read_results(folder)


def test_a_killed_run_resumes_to_the_same_numbers(whole, command, tmp_path):
    """SIGKILL after the first epoch, then the same command again."""
    killed = tmp_path / "killed"
    words = command(RECIPE / "train.py", f"--output_folder={killed}")
    log = killed / "train_log.txt"
    with open(tmp_path / "stderr.txt", "w+") as stderr:
        process = subprocess.Popen(
            words,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        deadline = time.monotonic() + TIMEOUT
        while not log.exists() and process.poll() is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        stderr.seek(0)
        assert process.wait() == -signal.SIGKILL, stderr.read()
    assert log.exists()
    assert not (killed / "results.json").exists()
    run(*words)
    assert read_results(killed) == read_results(whole[0])


def test_two_processes_write_one_set_of_results(whole, command, tmp_path):
    folder = tmp_path / "two"
    torchrun = ("-m", "torch.distributed.run", "--standalone")
    python, *words = command(RECIPE / "train.py", f"--output_folder={folder}")
    run(python, *torchrun, "--nproc_per_node=2", *words)
    assert FILES <= {path.name for path in folder.iterdir()}
    two, one = read_results(folder), read_results(whole[0])
    assert set(two) == set(one)
    assert two["metrics"]["zero_shot"] == one["metrics"]["zero_shot"]
    log = (folder / "train_log.txt").read_text().splitlines()
    assert len(log) == 3  # two epochs and the test, each once


@cases(
    "option, named",
    # When the YAML is read, the data prepared, CLAP loaded
    ("--no_such_option=1", "no_such_option"),
    ("--data_folder=/nowhere", "/nowhere"),
    ("--clap=ms-2022", "--clap mini"),
)
def test_a_users_mistake_is_a_sentence(whole, command, tmp_path, option, named):
    folder = tmp_path / "mistake"
    words = command(RECIPE / "train.py", f"--output_folder={folder}", option)
    process = run(*words, status=2)
    assert "Traceback" not in process.stderr
    (sentence,) = (
        line for line in process.stderr.splitlines() if line[:7] == "error: "
    )
    assert named in process.stderr[process.stderr.index(sentence) :]


def test_another_option_in_the_same_folder_changes_nothing_there(
    whole, command
):
    """It is refused before anything is written."""
    folder, _ = whole
    before = (folder / "hyperparams.yaml").read_bytes()
    options = "--valid_loader_kwargs={batch_size: 1}", "--eval_precision=bf16"
    words = command(RECIPE / "train.py", *options)
    process = run(*words, status=2)
    assert "different eval_precision, valid_loader_kwargs;" in process.stderr
    assert (folder / "hyperparams.yaml").read_bytes() == before


SHARED = ROOT.parent / "shared" / "data" / "ESC-50-master"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real ESC-50 clips here")
def test_real_clips_need_one_override(command, tmp_path):
    """A part of the real data set, from the folder above its root."""
    folders = f"--output_folder={tmp_path}", f"--data_folder={SHARED.parent}"
    run(*command(RECIPE / "train.py", *folders), timeout=600)
    results = read_results(tmp_path)
    assert results["n_recordings"] == 207
    assert results["metrics"]["zero_shot"]["acc"] > 0.1  # 0.02 by chance
