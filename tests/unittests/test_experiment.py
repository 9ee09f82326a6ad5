"""Tests of afpt_plugin.experiment."""

import logging
import types
from functools import partial

import pytest

from afpt_plugin.errors import InputError
from afpt_plugin.experiment import (
    announce,
    check_device,
    either,
    load_captions,
    load_experiment,
    load_hparams,
    prepare_data,
)
from afpt_plugin.samples import write_us8k

NAMES = ["dog", "rain"]


def captions_file(folder, n_captions=10):
    """Captions of two classes."""
    path = folder / "captions.csv"
    rows = [
        f"caption {number} of a {name},{name}\n"
        for name in NAMES
        for number in range(n_captions)
    ]
    path.write_text("caption,label\n" + "".join(rows))
    return path


def test_the_yaml_file_is_found_beside_the_recipe(tmp_path, monkeypatch):
    """Where the user stands comes first."""
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "hparams.yaml").write_text("width: 1\n")
    monkeypatch.chdir(tmp_path)
    load = ["hparams.yaml", "--width=5"]
    path, _, _, hparams = load_experiment(load, str(recipe / "train.py"))
    assert path == str(recipe / "hparams.yaml") and hparams["width"] == 5
    (tmp_path / "hparams.yaml").write_text("width: 2\n")
    path, _, _, hparams = load_experiment(load[:1], str(recipe / "train.py"))
    assert path == "hparams.yaml" and hparams["width"] == 2


@pytest.mark.parametrize("value", ["--width=[1", "--height=1"])
def test_a_wrong_option_is_named(tmp_path, value):
    """Not YAML, or not in the file."""
    (tmp_path / "hparams.yaml").write_text("width: 1\n")
    with pytest.raises(InputError) as error:
        load_experiment(["hparams.yaml", value], str(tmp_path / "train.py"))
    assert value[2:7] in str(error.value)


def test_either_takes_the_authors_value_only_if_asked():
    """And refuses what is no switch."""
    assert either(True, 32, 4) == 32
    assert either(False, 32, 4) == 4
    with pytest.raises(InputError, match="neither True nor False"):
        either("yes", 32, 4)


def test_captions_are_split_and_described(tmp_path):
    """Training and validation are disjoint; the facts count both."""
    path = captions_file(tmp_path)
    train, valid, facts = load_captions(str(path), "x", NAMES, 0.2, 3, seed=1)
    assert len(train) == 6 and len(valid) == 4
    assert not {c.caption for c in train} & {c.caption for c in valid}
    assert facts["n_captions"] == {"train": 6, "valid": 4}
    assert facts["captions"] == "captions.csv"


def test_without_a_seed_the_first_captions_are_taken(tmp_path):
    """The authors' rule."""
    path = captions_file(tmp_path)
    train, valid, _ = load_captions(str(path), "x", NAMES, 0.0, 2, seed=None)
    assert [caption.line for caption in train] == [2, 3, 12, 13]
    assert valid == []


def test_class_names_alone_make_captions():
    """From templates."""
    train, _, facts = load_captions("templates", "x", NAMES, 0.0, None, seed=1)
    assert all(any(n in c.caption for n in NAMES) for c in train)
    assert facts["captions"] == "templates"


def test_overrides_may_be_a_mapping(tmp_path):
    """So that any text is a value, whatever it means in YAML."""
    path = tmp_path / "hparams.yaml"
    path.write_text("template: a\ncopy: !ref <template>\n")
    hparams = load_hparams(path, {"template": "{}: [a, !b #c"})
    assert hparams["copy"] == "{}: [a, !b #c"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_a_device_that_cannot_compute_is_refused(name):
    """With the way out."""
    assert check_device("cpu") == "cpu"
    with pytest.raises(InputError, match=f"'{name}'.*try cpu"):
        check_device(name)


def test_captions_of_several_classes_can_be_left_out(tmp_path, caplog):
    """Counted in the log; a class that they alone describe is named."""
    caplog.set_level(logging.WARNING)
    path = captions_file(tmp_path, 2)
    with open(path, "a") as file:
        file.write("a wet dog,dog|rain\n")
    settings = {"several_labels": False}
    load = [path, None, NAMES, 0.0, None, 1]
    train, _, facts = load_captions(*load, **settings)
    assert {len(caption.labels) for caption in train} == {1}
    assert facts["n_captions"]["train"] == 4
    assert "1 of 5 captions have several labels" in caplog.text
    path.write_text("caption,label\na dog,dog\na wet dog,dog|rain\n")
    with pytest.raises(InputError, match="1 of 2 classes .*: rain;"):
        load_captions(*load, **settings)


@pytest.mark.parametrize(
    ("name", "n_samples", "kind"),
    [
        ("mini", 207, "demonstration"),
        ("mini", 0, "demonstration"),
        ("ms-2022", 207, "demonstration"),
        ("ms-2022", 0, "benchmark"),
    ],
)
def test_a_demonstration_is_called_one(name, n_samples, kind, caplog):
    """In the log, with the command of the real one, and in the result."""
    caplog.set_level(logging.INFO)
    clap = types.SimpleNamespace(name=name)
    assert announce("ESC-50", clap, n_samples, "python real.py") == kind
    assert ("python real.py" in caplog.text) == (kind == "demonstration")
    assert ("207 clips of sample" in caplog.text) == bool(n_samples)
    assert ("mini-CLAP" in caplog.text) == (name == "mini")


def test_samples_take_the_place_of_a_data_set(tmp_path, recordings_folder):
    """And are prepared as one; a data set is left where it is."""
    asked = []

    def prepare(data_folder, save_folder, **options):
        asked.append((data_folder, options["folds"]))
        path = tmp_path / "prepare.json"
        path.write_text('{"n_recordings": 7}')

    hparams = {
        "data_folder": "samples",
        "samples_folder": str(tmp_path / "samples"),
        "samples": partial(write_us8k, recordings=recordings_folder),
        "save_folder": str(tmp_path),
        "download": False,
        "allow_missing": 0,
        "skip_prep": False,
        "feature_folder": str(tmp_path),
    }
    prepared, n_samples = prepare_data(hparams, prepare, folds=[4])
    assert (prepared["n_recordings"], n_samples) == (7, 7)
    assert (tmp_path / "samples" / "UrbanSound8K").is_dir()
    _, n_samples = prepare_data(
        {**hparams, "data_folder": "real"}, prepare, folds=None
    )
    assert n_samples == 0
    assert asked == [(hparams["samples_folder"], [4]), ("real", None)]
