"""Tests of afpt_plugin.results.options: no option changes a result unnoticed."""

import re

import pytest
import yaml

from afpt_plugin.experiment import METHODS
from afpt_plugin.options import load_hparams, parse_arguments
from afpt_plugin.results.options import (
    UNCOMPARED,
    differing_options,
    read_options,
)

HPARAMS = METHODS.parent / "ESC50" / "hparams.yaml"


def test_short_forms_of_options():
    arguments = "hparams.yaml --epochs 2 --folds=4 --precision tf32".split()
    name, run_opts, overrides = parse_arguments(arguments)
    assert name == "hparams.yaml" and run_opts.precision == "tf32"
    assert yaml.safe_load(overrides) == {"number_of_epochs": 2, "folds": [4]}
    _, _, overrides = parse_arguments(["a.yaml", "--folds", "[1, 2]"])
    assert yaml.safe_load(overrides) == {"folds": [1, 2]}


@pytest.mark.parametrize("method", ["linear_probe", "palm", "tip_adapter_f"])
def test_every_option_of_a_yaml_is_compared_or_excepted(method):
    path = METHODS / f"{method}.yaml"
    names = re.findall(r"^(\w+):", path.read_text(), re.MULTILINE)
    own = read_options(path, {})
    for name in names:
        changed = read_options(path, {name: "another"})
        differs = name in differing_options(own, changed)
        assert differs == (name not in UNCOMPARED), name


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ("opt_class: {betas: [0.5, 0.9]}", "opt_class"),
        ("data: {folds: [1]}", "data"),
        ("data: {data_folder: elsewhere}", None),
        ("valid_loader_kwargs: {batch_size: 1}", "valid_loader_kwargs"),
        ("test_loader_kwargs: {batch_size: 1}", None),
        ("augment: {norm: 0.5}", "augment"),
        ("lr: 2e-3", None),  # as it is, spelled otherwise
        ("output_folder: a b", None),
    ],
)
def test_what_is_nested_counts_as_well(overrides, named):
    own, other = read_options(HPARAMS, {}), read_options(HPARAMS, overrides)
    assert differing_options(own, other) == ([named] if named else [])


def test_the_results_of_a_run_know_its_options(tmp_path):
    options = {"output_folder": str(tmp_path), "lr": 0.5}
    results = load_hparams(HPARAMS, options)["results"]
    assert results.options["lr"] == 0.5
    text = yaml.safe_dump(results.options)
    assert str(tmp_path) not in text
