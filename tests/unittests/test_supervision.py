"""Tests of `afpt_plugin.data.supervision.Shots`; test_datasets.py has others."""

import random
from collections import Counter

import pytest
import torch
from common import cases, refused

from afpt_plugin.data.manifests import read_manifest, write_manifest
from afpt_plugin.data.supervision import Shots
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import set_up
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.results.run import RunResults
from afpt_plugin.task import Task

TASK = Task("tiny", ["dog", "rain", "bell"], clip_seconds=1.0)
MULTI = Task("tiny", TASK.class_names, True, clip_seconds=1.0)


def row(number, label, source="", folder="a"):
    """A manifest's row of a recording that need not be there."""
    return {
        "ID": str(number),
        "duration": 1.0,
        "wav": f"{folder}/{number}.wav",
        "label": label,
        "source": source,
        "sha256": f"{number * 7919 % 1000:03}",
    }


@pytest.fixture
def write(tmp_path):
    def write(rows, name="train.csv"):
        write_manifest(tmp_path / name, rows)
        return tmp_path / name

    return write


@pytest.fixture
def twelve(write):
    """Four recordings of each class, one of them of two."""
    names = TASK.class_names
    rows = [row(n, names[n % 3]) for n in range(12)]
    rows[0]["label"] = "dog|rain"
    return write(rows)


def draw(manifest, task=TASK, test=None, **options):
    """IDs that are learned from, and those that are held out."""
    parts = Shots(manifest, **options).choose(task, test)
    return tuple([row["ID"] for row in part] for part in parts)


def test_shots_are_drawn_by_class_and_seed(twelve):
    train, valid = Shots(twelve, k=2, valid_k=1, seed=1).choose(MULTI)
    for part, least in ((train, 2), (valid, 1)):
        labels = Counter(n for row in part for n in row["label"].split("|"))
        assert min(labels[name] for name in MULTI.class_names) >= least
    drawn = draw(twelve, MULTI, k=2, valid_k=1, seed=1)
    assert not set(drawn[0]) & set(drawn[1])
    assert drawn == draw(twelve, MULTI, k=2, valid_k=1, seed=1)
    draws = {tuple(draw(twelve, MULTI, k=2, seed=n)[0]) for n in range(5)}
    assert len(draws) > 1


def test_a_draw_does_not_depend_on_where_the_files_lie(write):
    names = TASK.class_names
    rows = [row(n, names[n % 3], str(n % 5)) for n in range(30)]
    here = draw(write(rows), k=2, valid_k=1)
    moved = [{**row, "wav": f"b/{row['ID']}.wav"} for row in rows]
    random.Random(0).shuffle(moved)
    assert draw(write(moved, "moved.csv"), k=2, valid_k=1) == here


def test_held_out_recordings_are_of_other_sources_while_there_are_any(write):
    rows = [row(n, "dog", "ab"[n % 2]) for n in range(8)]
    rows += [row(n, "rain", "c") for n in range(8, 10)]
    for seed in range(5):
        train, valid = draw(write(rows), k=1, valid_k=1, seed=seed)
        sources = {str(row["ID"]): row["source"] for row in rows}
        assert {sources[i] for i in train + valid} == {"a", "b", "c"}
        assert len(train) == len(valid) == 2


@pytest.mark.parametrize("k", ["all", None])
def test_all_recordings_are_a_number_of_shots(twelve, k):
    train, valid = draw(twelve, MULTI, k=k)
    assert len(train) == 12 and not valid
    with pytest.raises(InputError, match="valid_k is 2.* give k"):
        Shots(twelve, k=k, valid_k=2)


@pytest.mark.parametrize("name", ["k", "valid_k"])
@pytest.mark.parametrize("wrong", [-1, 1.5, True, "few"])
def test_a_number_of_shots_is_a_number(twelve, name, wrong):
    with pytest.raises(InputError, match=f"{name} is {wrong!r}"):
        Shots(twelve, **{name: wrong})


def test_few_and_none_are_said_in_one_warning(twelve, caplog):
    task = Task("tiny", [*TASK.class_names, "siren"], True)
    train, _ = draw(twelve, task, k=4)
    assert len(train) == 11  # a dog in rain is the fourth rain, not a fifth
    (said,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "1 of 4 classes have fewer recordings than the 4" in said.message
    assert said.message.endswith("siren: 0")
    caplog.clear()
    draw(twelve, task, k=4, valid_k=1)
    (said,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "3 of 4 classes" in said.message
    assert "the 4 + 1 held out" in said.message
    assert said.message.endswith(": dog: 4 + 0; bell: 4 + 0; siren: 0 + 0")
    with pytest.raises(InputError, match="no class has a recording"):
        draw(twelve, Task("tiny", ["siren"]))


@cases(
    "key, fact", ("sha256", "is the"), ("source", "has the same source as the")
)
def test_what_is_tested_is_not_learned_from(write, key, fact):
    manifest = write([row(n, "dog", f"s{n}") for n in range(4)])
    test = row(9, "dog", "s9", "elsewhere")
    assert len(draw(manifest, test=[test])[0]) == 4
    test[key] = read_manifest(manifest)[3][key]
    with refused(f"a/3.wav {fact} tested elsewhere/9.wav"):
        draw(manifest, test=[test])
    test[key] = ""
    draw(manifest, test=[test])  # of no known source


def test_halves_of_the_classes_draw_from_their_own(twelve):
    (train, _), names = draw(twelve, TASK.new()), TASK.new().class_names
    labels = {row["ID"]: row["label"] for row in read_manifest(twelve)}
    assert {labels[i] for i in train} == set(names) == {"bell"}


LEARNERS = {
    "template": lambda: Template(caption_share=0.5),
    "means": lambda: Template(caption_share=1.0),
    "prompts": lambda: PromptLearner(n_ctx=2, anchor=0.5),
}


@pytest.fixture
def recordings(write, monkeypatch):
    """Six recordings of two classes, and one to test."""

    def read(wav, sample_rate, **options):
        number = int(wav.split("/")[1][:-4])
        generator = torch.Generator().manual_seed(number)
        return 0.1 * torch.randn(800, generator=generator)

    monkeypatch.setattr("afpt_plugin.data.datasets.read_clip", read)
    write([row(n, TASK.class_names[n % 2]) for n in range(6)])
    write([row(60, "dog")], "test.csv")


def set_up_run(clap, tmp_path, learner, **data):
    """What `set_up` makes of the recordings."""
    data = {
        "feature_folder": tmp_path / "features",
        "rows": read_manifest(tmp_path / "test.csv"),
        "n_samples": 0,
        "clip_options": {},
        "recordings_per_batch": 4,
        **data,
    }
    shots = Shots(tmp_path / "train.csv", k=2)
    return set_up(TASK, clap, data, shots, learner, Template())


@pytest.mark.parametrize("name", LEARNERS)
def test_a_class_may_have_no_recording(recordings, clap, tmp_path, name):
    learner = LEARNERS[name]()
    made = set_up_run(clap, tmp_path, learner)
    assert len(made.train) == 4
    assert made.facts["supervision"]["drawn"] == {
        "n_train": 4,
        "n_valid": 0,
        "n_classes_without": 1,
    }
    classes = learner.classes(clap)
    assert classes.coarse.shape[0] == 3 and classes.coarse.isfinite().all()


def test_runs_of_folds_and_seeds_have_one_identity(
    recordings, clap, write, tmp_path
):
    """What a fold is drawn from is its own, and what all draw from is not."""

    def identity(fold, number):
        write([row(n, TASK.class_names[n % 2]) for n in range(6 + number)])
        learner = Template()
        made = set_up_run(clap, tmp_path, learner, fold=fold)
        results = RunResults(tmp_path / "run", None)
        results.open(TASK, clap, learner, made.baseline, made.facts)
        assert results.facts["drawn"]["n_train"] == 4
        return results.identity["supervision"]

    first, second = identity("1", 1), identity("2", 2)
    assert first == second
    assert {"kind": "shots", "k": 2, "valid_k": 0}.items() <= first.items()
    assert identity(None, 1) == identity(None, 1) != identity(None, 2)
