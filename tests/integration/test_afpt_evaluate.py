"""`afpt evaluate` as a user runs it."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from afpt_plugin.backbones import load_clap
from afpt_plugin.cli import main
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "siren"]
RATE = 16000
FILES = {
    *("evaluation.json", "per_class.csv", "predictions.csv"),
    *("per_class.png", "reliability.png"),
}


@pytest.fixture(scope="module")
def clap():
    return load_clap("mini")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six sounds of three sources, and a table of them."""
    rng, times = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    rows = []
    for number in range(6):
        wav = rng.standard_normal(len(times)) / 20
        wav += 0.3 * np.sin(2 * np.pi * 200 * (number + 1) * times)
        soundfile.write(tmp_path / f"{number}.wav", wav, RATE)
        rows.append([f"{number}.wav", NAMES[number % 3], f"s{number // 2}"])
    table = pd.DataFrame(rows, columns=["file", "label", "source"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(clap, multi_label=False):
    task = Task("Sounds", NAMES, multi_label, clip_seconds=1.0)
    learner = PromptLearner(n_ctx=2, seed=3)
    scale = 1.0 if multi_label else None
    learner.setup(clap, NAMES, logit_scale=scale)
    write_export("export", clap, learner, task, Template())


COMMAND = "evaluate export labels.csv --columns path=file --output out".split()


def test_the_template_stands_beside_what_was_tuned(clap, folder, capsys):
    save(clap)
    assert main(COMMAND) == 0
    printed = capsys.readouterr().out
    found = json.loads((folder / "out" / "evaluation.json").read_text())
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == FILES | {"confusion.png"}
    classifier = PromptedClassifier.from_hparams("export", clap=clap)
    wanted = [classifier.classify_file(f"{n}.wav") for n in range(6)]
    right = [s.text_lab[0] == NAMES[n % 3] for n, s in enumerate(wanted)]
    metrics = found["metrics"]
    assert metrics["tuned"]["acc"] == np.mean(right)
    table = pd.read_csv(folder / "out" / "predictions.csv")
    assert table["tuned_score"].to_numpy() == pytest.approx(
        [s.score.exp().item() for s in wanted], rel=1e-4
    )
    assert table["zero_shot_score"].between(0.3, 1).all()
    gain = metrics["tuned"]["acc"] - metrics["zero_shot"]["acc"]
    difference = found["difference"]
    assert difference["mean"] == pytest.approx(gain)
    assert difference["low"] <= gain <= difference["high"]
    assert difference["over"] == "3 sources"
    assert f"{100 * metrics['tuned']['acc']:9.1f}" in printed
    counts = pd.read_csv(folder / "out" / "per_class.csv")
    assert counts["n"].tolist() == [2, 2, 2]


def test_of_several_labels_it_is_mean_average_precision(clap, folder, capsys):
    save(clap, multi_label=True)
    table = pd.read_csv("labels.csv")
    table.loc[0, "label"] = "dog|rain"
    table.to_csv("labels.csv", index=False)
    assert main(COMMAND) == 0
    found = json.loads((folder / "out" / "evaluation.json").read_text())
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    per_class = found["per_class"]["tuned"]
    assert per_class["rain"]["n"] == 3
    wanted = np.mean([entry["ap"] for entry in per_class.values()])
    assert found["metrics"]["tuned"]["mAP"] == pytest.approx(wanted)
    assert found["difference"]["over"] == "3 classes"
    assert 0 <= found["metrics"]["tuned"]["f1"] <= 1


def test_all_that_is_wrong_with_a_table_is_said_at_once(clap, folder, capsys):
    save(clap)
    with open("labels.csv", "a") as file:
        file.write("no.wav,dog,\n1.wav,cat,\n")
    with pytest.raises(SystemExit, match="2"):
        main(COMMAND)
    message = capsys.readouterr().err
    assert "(line 8)" in message and "(line 9)" in message
    assert "no.wav" in message and "cat" in message
    assert not (folder / "out").exists()
