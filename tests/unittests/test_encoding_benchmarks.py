"""The benchmarks of encoding and start-up: what does not depend on a clock.

Authors
 * The afpt_plugin developers 2026
"""

import sys
from pathlib import Path

import pytest
import torch

from afpt_plugin.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import encoding
import startup


@pytest.mark.parametrize(
    "options",
    [["--n_clips", "0"], ["--clip_seconds", "-1.0"], ["--processes", "1", "0"]],
)
def test_a_count_below_one_is_an_input_error_that_names_it(options):
    with pytest.raises(InputError, match=f"{options[0]} {options[-1]}:"):
        encoding.main(options)


def test_the_hash_of_features_sees_every_bit_and_every_key():
    def features(value=0.0, key="a", dtype=torch.float32):
        return {key: {"clip": torch.tensor([value, 1], dtype=dtype)}}

    hashes = {
        encoding.features_hash(store, list(store))
        for store in (
            features(),
            features(-0.0),
            features(key="b"),
            features(dtype=torch.int32),
        )
    }
    assert len(hashes) == 4
    assert encoding.features_hash(features(), ["a"]) in hashes


def test_imports_are_added_up_by_package_without_what_they_import():
    report = """\
Some warning
import time: self [us] | cumulative | imported package
import time:    500000 |     500000 |     torch.nn
import time:   1000000 |    1500000 |   torch
import time:    250000 |    1750000 | speechbrain
"""
    packages = startup.packages_imported(report)
    assert list(packages.items()) == [("torch", 1.5), ("speechbrain", 0.25)]


def test_the_parts_of_a_run_add_up_to_its_time(tmp_path, monkeypatch):
    traced = tmp_path / "traced.py"
    traced.write_text(
        "import json, sys, time\n"
        "assert sys.argv[1] == '--trace' and sys.argv[3:] == ['train.py', '-x']\n"
        "marks = [('imports', time.time()), ('first step', time.time() + 9)]\n"
        "open(sys.argv[2], 'w').write(json.dumps([marks, 1.5]))\n"
    )
    monkeypatch.setattr(startup, "__file__", str(traced))
    run = startup.run_once(["train.py", "-x"])
    assert list(run["parts"]) == ["imports", "first step"]
    assert run["parts"]["first step"] == pytest.approx(9, abs=0.1)
    assert sum(run["parts"].values()) == pytest.approx(run["seconds"])
    assert (run["cpu_seconds"], run["packages"]) == (1.5, {})


def test_a_recipe_that_fails_ends_the_benchmark_with_its_message(
    tmp_path, monkeypatch
):
    traced = tmp_path / "traced.py"
    traced.write_text("raise SystemExit('no hparams.yaml')")
    monkeypatch.setattr(startup, "__file__", str(traced))
    with pytest.raises(SystemExit, match="no first step.*\n.*no hparams.yaml"):
        startup.run_once(["train.py", "hparams.yaml"])
