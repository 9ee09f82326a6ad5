"""Tests of afpt_plugin.results.options: no option changes a result unnoticed."""

import re

import pytest
import yaml
from common import cases

from afpt_plugin.errors import InputError
from afpt_plugin.experiment import METHODS
from afpt_plugin.options import check_hparams, load_hparams
from afpt_plugin.results.options import (
    UNCOMPARED,
    differing_options,
    read_options,
)
from afpt_plugin.run_options import parse_arguments

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


@cases(
    "overrides, named",
    ("opt_class: {betas: [0.5, 0.9]}", "opt_class"),
    ("data: {folds: [1]}", "data"),
    ("data: {data_folder: elsewhere}", None),
    ("valid_loader_kwargs: {batch_size: 1}", "valid_loader_kwargs"),
    ("test_loader_kwargs: {batch_size: 1}", None),
    ("augment: {norm: 0.5}", "augment"),
    ("lr: 2e-3", None),  # as it is, spelled otherwise
    ("output_folder: a b", None),
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


@cases(
    "given, said",
    ("--jit", "TorchScript"),
    ("--profile_training", "profiler ends the training"),
    ("--data there", "--data is not an option.*in full"),
    ("--prec=bf16", "or --precision"),
    ("--data_parallel_backend", "torchrun"),
    ("--optimizer_step_limit=abc", "optimizer_step_limit is 'abc'"),
    ("--optimizer_step_limit=0", "a whole number from 1"),
    ("--profile_steps=-1", "profile_steps is -1"),
    (
        "--ckpt_interval_minutes=1 --ckpt_interval_steps=1",
        "one of the two",
    ),
)
def test_options_of_speechbrain_are_checked(given, said):
    with pytest.raises(InputError, match=said):
        parse_arguments(["hparams.yaml", *given.split()])
    _, options, _ = parse_arguments(["a.yaml", "--optimizer_step_limit=3"])
    assert options.optimizer_step_limit == 3


@cases(
    "given",
    "data: {skip_prep: 2.5}",
    "results: {folder: -1}",
    "modules: {learner: 3}",
    "batch_size: !tuple (1,)",
    "data: {samples: {recordings: True}}",
)
def test_what_refers_to_an_option_has_its_rule(given):
    with pytest.raises(InputError, match=f"{given.split(':')[0]}.* is .*give"):
        check_hparams(HPARAMS, given)
