"""Tests of afpt_plugin.experiment."""

import logging
import types

import pytest

from afpt_plugin.errors import InputError
from afpt_plugin.experiment import (
    announce,
    either,
    load_captions,
    load_experiment,
)

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
    assert [caption.row for caption in train] == [2, 3, 12, 13]
    assert valid == []


def test_class_names_alone_make_captions():
    """From templates."""
    train, _, facts = load_captions("templates", "x", NAMES, 0.0, None, seed=1)
    assert all(any(n in c.caption for n in NAMES) for c in train)
    assert facts["captions"] == "templates"


@pytest.mark.parametrize(
    ("name", "generated", "kind"),
    [
        ("mini", True, "demonstration"),
        ("mini", False, "demonstration"),
        ("ms-2022", True, "demonstration"),
        ("ms-2022", False, "benchmark"),
    ],
)
def test_a_demonstration_is_called_one(name, generated, kind, caplog):
    """In the log, with the command of the real one, and in the result."""
    caplog.set_level(logging.INFO)
    clap = types.SimpleNamespace(name=name)
    assert announce("ESC-50", clap, generated, "python real.py") == kind
    assert ("python real.py" in caplog.text) == (kind == "demonstration")
