"""Options: what a recipe or a method is given is checked before it is built."""

from pathlib import Path

import numpy as np
import pytest
from common import cases, refusal

from afpt_plugin import adapt
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import check_task, load_experiment
from afpt_plugin.options import check_hparams, load_hparams
from afpt_plugin.task import Task

RECIPES = Path(__file__).parents[2] / "recipes"
ESC50 = RECIPES / "ESC50" / "hparams.yaml"
COOP = RECIPES / "methods" / "coop.yaml"
FILES = [p for p in RECIPES.glob("*/*.yaml") if p.parent.name != "grids"]


@pytest.mark.parametrize(
    "path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_every_yaml_is_what_it_declares(path):
    check_hparams(path, "data_folder: a" if "OwnData" in str(path) else None)


@cases(
    "options, facts",
    ("number_of_epochs: abc", ["number_of_epochs is 'abc'", "from 1"]),
    ("batch_size: null", ["batch_size is null"]),
    ("batch_size: 3.5", ["batch_size is 3.5; give a whole number"]),
    ("lr: fast", ["lr is 'fast'", "above 0"]),
    ("lr: .nan", ["lr is nan"]),
    ("lr:", ["lr is null"]),
    ("seed: -1", ["seed is -1", "0 to 4294967295"]),
    ("seed: True", ["seed is True"]),
    ("valid_fraction: 1", ["valid_fraction is 1;", "below 1"]),
    ("folds: 3", ["folds is 3", "a list"]),
    ("folds: []", ["folds is []"]),
    ("skip_prep: maybe", ["skip_prep is 'maybe'", "True or False"]),
    ("output_folder: ''", ["output_folder is ''"]),
    ("output_folder:", ["output_folder is null"]),
    ("captions: 2020", ["captions is 2020; give a text"]),
    ("transduction: all", ["transduction is 'all'; give em, or null"]),
    ("learner: 5", ["learner is 5", "its arguments"]),
    ("learner: {anhcor: 0}", ["'learner.anhcor'", "mean 'anchor'?"]),
    ("learner: {seed: -2}", ["learner.seed is -2"]),
    ("learner: {class_specific: 4}", ["class_specific is 4", "True or"]),
    ("opt_class: {betas: [0.9]}", ["opt_class.betas is [0.9]"]),
    ("opt_class: {amsgrad: 1}", ["opt_class.amsgrad is 1; give True"]),
    ("train_loader_kwargs: {num_workers: x}", ["num_workers is 'x'"]),
    ("lr: {a: 1}", ["lr is {'a': 1}"]),
    ("seed: 1\nseed: 2", ["seed is given twice"]),
    ("seed: [1", ["not valid YAML"]),
    ("seed: " + "1" * 5000, ["not valid YAML"]),
    ("just words", ["'just words' are not pairs of name: value"]),
    ("captions: !ref <nothing>", ['"nothing" is not valid']),
    ("learner: !new:a.B {c: 1}", ["learner is !new:a.B", "as a list"]),
    ({"lr": "fast"}, ["lr is 'fast'"]),
    ({"number_of_epochs": np.int64(0)}, ["number_of_epochs is 0"]),
    (
        "sede: 1\nlr: a\nlearner: {anchor: 1}",
        ["3 options", "'sede'", "mean 'seed'?", "lr is", "anchor is 1"],
    ),
)
def test_what_an_option_cannot_be_is_said_before_anything_is_built(
    options, facts
):
    message = refusal(load_hparams, ESC50, options)
    assert all(fact in message for fact in facts), message
    # A value that is used in several places is one mistake
    assert message.count("'fast'") < 2


def test_what_an_option_may_be_is_accepted():
    check_hparams(COOP, "k: all\nnumber_of_epochs: 3\nlr: 1e-3\nfolds: [1, a]")
    check_hparams(COOP, {"k": None, "lr": np.float32(1)})
    check_hparams(ESC50, "lr: !ref <seed>\naugment: null\nselection: null")
    check_hparams(ESC50, "opt_class: {betas: [0, 0.5], amsgrad: True}")


@cases(
    "words",
    ["--precision=x"],
    ["--debug_batches=0"],
    ["--max_grad_norm=no"],
    ["--device=gpu"],
    ["--learner={foo: 1}"],
    ["--output_folder="],
)
def test_a_refused_command_line_leaves_no_file(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = str(RECIPES / "ESC50" / "train.py")
    with pytest.raises(InputError):
        load_experiment(["hparams.yaml", *words], script)
    assert not any(tmp_path.iterdir())


def test_what_a_data_set_cannot_do_is_refused_at_once():
    def prepare(data_folder, save_folder, folds=None, source_folds=None):
        raise AssertionError

    task = Task("Pets", ["dog", "cat"], folds=(1, 2))
    hparams = {"transduction": "em", "data": {"folds": [1]}, "clap": "mini"}
    check_task(task, prepare, hparams)
    with pytest.raises(InputError, match="did you mean 'ms-2022'"):
        check_task(task, prepare, {**hparams, "clap": "ms-2202"})
    for given, fact in (({"folds": ["a"]}, "'a'"), ({"subset": "b"}, "subset")):
        with pytest.raises(InputError, match=fact):
            check_task(task, prepare, {**hparams, "data": given})
    several = Task("Pets", ["dog", "cat"], multi_label=True)
    with pytest.raises(InputError, match="transduction: em"):
        check_task(several, prepare, {**hparams, "data": {}})


def test_adapt_checks_options_before_it_makes_a_folder(clap, tmp_path):
    given = clap, ["dog", "rain"], "palm"
    with pytest.raises(InputError, match="lr is 'fast'"):
        adapt(*given, output=tmp_path / "a", lr="fast")
    with pytest.raises(InputError, match="mean 'lr_annealing'"):
        adapt(*given, output=tmp_path / "a", lr_anealing=1)
    assert not any(tmp_path.iterdir())
