"""Tests of afpt_plugin.experiment."""

import logging
import types
from functools import partial
from pathlib import Path

import pytest
from common import cases, refused

from afpt_plugin.errors import InputError
from afpt_plugin.experiment import (
    announce,
    check_device,
    load_experiment,
    prepare_data,
)
from afpt_plugin.options import load_hparams
from afpt_plugin.samples import write_us8k
from afpt_plugin.task import Task

TASK = Task("Pets", ["dog", "cat"])


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """A recipe, two methods for all data sets, and a user elsewhere."""
    for name, text in (
        ("Pets/hparams.yaml", "width: 1\n"),
        ("methods/mean.yaml", "dataset: unnamed\nfolder: !ref a/<dataset>\n"),
        ("methods/upstream.yaml", "width: 32\n"),
        ("methods/hparams.yaml", "width: 0\n"),
    ):
        path = tmp_path / "recipes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "recipes"


def load(recipes, *arguments):
    """The file that a command line selects, and its values."""
    script = str(recipes / "Pets" / "train.py")
    path, _, _, hparams = load_experiment(list(arguments), script)
    return Path(path), hparams


def test_a_yaml_is_found_here_beside_the_recipe_or_among_the_methods(recipes):
    path, hparams = load(recipes, "hparams.yaml", "--width=5")
    assert path == recipes / "Pets" / "hparams.yaml" and hparams["width"] == 5
    Path("hparams.yaml").write_text("width: 2\n")
    path, hparams = load(recipes, "hparams.yaml")
    assert path == Path("hparams.yaml") and hparams["width"] == 2
    path, hparams = load(recipes, "mean.yaml")
    assert path == recipes / "methods" / "mean.yaml"
    # It learns the data set's name from the folder.
    assert hparams["folder"] == "a/Pets"


@pytest.mark.parametrize("switch", ["--upstream_exact=True", None])
def test_upstream_exact_is_short_for_a_method(recipes, switch):
    """With options before and after it; False changes nothing."""
    switch = [switch] if switch else ["--upstream_exact", "True"]
    path, hparams = load(recipes, "hparams.yaml", *switch, "--width=5")
    assert path.name == "upstream.yaml" and hparams["width"] == 5
    switch[-1] = switch[-1].replace("True", "False")
    assert load(recipes, "hparams.yaml", *switch)[1]["width"] == 1


@cases(
    "arguments, named",
    (["no.yaml"], "no.yaml"),
    (["hparams.yaml", "--width=[1"], "width"),
    (["hparams.yaml", "--height=1"], "height"),
    (["hparams.yaml", "--upstream_exact=yes"], "'yes'"),
    (["hparams.yaml", "--upstream_exact"], "True or False"),
)
def test_a_wrong_command_line_is_an_error_that_names_it(
    recipes, arguments, named
):
    with refused(named):
        load(recipes, *arguments)


def test_overrides_may_be_a_mapping(tmp_path):
    """So that any text is a value, whatever it means in YAML."""
    path = tmp_path / "hparams.yaml"
    path.write_text("template: a\ncopy: !ref <template>\n")
    hparams = load_hparams(path, {"template": "{}: [a, !b #c"})
    assert hparams["copy"] == "{}: [a, !b #c"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_a_device_that_cannot_compute_is_refused(name):
    assert check_device("cpu") == "cpu"
    with pytest.raises(InputError, match=f"'{name}'.*cpu"):
        check_device(name)


@cases(
    "name, n_samples, kind",
    ("mini", 207, "demonstration"),
    ("mini", 0, "demonstration"),
    ("ms-2022", 207, "demonstration"),
    ("ms-2022", 0, "benchmark"),
)
def test_a_demonstration_is_called_one(name, n_samples, kind, caplog):
    """In the log, with the options of the real one, and in the result."""
    caplog.set_level(logging.INFO)
    clap = types.SimpleNamespace(name=name)
    assert announce(TASK, clap, n_samples) == kind
    assert ("--clap ms-2022" in caplog.text) == (kind == "demonstration")
    assert ("207 clips of sample" in caplog.text) == bool(n_samples)
    assert ("mini-CLAP" in caplog.text) == (name == "mini")


@pytest.fixture
def options(tmp_path):
    """The block `data` of a YAML file."""
    return {
        "data_folder": "samples",
        "save_folder": str(tmp_path),
        "feature_folder": "features",
        "samples_folder": str(tmp_path / "samples"),
        "clip_options": {"crop": "start"},
        "folds": None,
    }


def test_samples_take_the_place_of_a_data_set(
    tmp_path, recordings_folder, options
):
    """And are prepared as one; a data set is left where it is."""
    asked = []

    def prepare(data_folder, save_folder, cache_folder, folds="all"):
        asked.append((data_folder, cache_folder, folds))
        Path(save_folder, "prepare.json").write_text(
            '{"n_recordings": 7, "settings": {"data_folder": ""}}'
        )
        manifest = "ID,duration,wav,label,source,sha256\n1,5.0,1.wav,dog,,0\n"
        Path(save_folder, "test.csv").write_text(manifest)

    write = partial(write_us8k, recordings=recordings_folder)
    data = prepare_data(TASK, prepare, write, options)
    assert data["n_samples"] == data["n_recordings"] == 7
    assert [row["label"] for row in data["rows"]] == ["dog"]
    assert (tmp_path / "samples" / "UrbanSound8K").is_dir()
    real = {"data_folder": "real", "folds": [4]}
    data = prepare_data(TASK, prepare, write, {**options, **real})
    assert data["n_samples"] == 0
    assert asked == [
        (options["samples_folder"], "features", "all"),
        ("real", "features", [4]),
    ]


def test_what_a_data_set_cannot_do_is_refused(options):
    def prepare(data_folder, save_folder, cache_folder):
        raise AssertionError

    def prepare_both(data_folder, save_folder, cache_folder, with_train):
        raise AssertionError

    real, train = {"data_folder": "real"}, {"with_train": True}
    for function, write, given, fact in (
        (prepare, None, real | {"folds": [4]}, "Pets.*folds"),
        (prepare, None, {}, "data_folder.*Pets"),
        (prepare, None, real | train, "Pets has no recordings to learn"),
        # The same sounds are in all mixtures.
        (prepare_both, write_us8k, train, "Pets are mixtures .*same record"),
    ):
        with pytest.raises(InputError, match=fact):
            prepare_data(TASK, function, write, options | given)
