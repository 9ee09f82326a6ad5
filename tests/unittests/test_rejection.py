"""None of these: what is nearer to other sounds than to the classes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from afpt_plugin import backbones, inference
from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.cli import main
from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import LEARNERS, Template
from afpt_plugin.scoring import predictions, rejection
from afpt_plugin.scoring.calibration import Calibration
from afpt_plugin.scoring.rejection import (
    fit_rejection,
    read_background,
    read_sounds,
)
from afpt_plugin.task import Task

NAMES = ["dog", "rain"]
WORDS = "dog bell roof rings old far away quiet soft hard".split()
SOUNDS = {name: [f"the {name} loudly", f"{name} of two"] for name in WORDS}
TEMPLATE = "this is a sound of {}"
RATE = 800


def unit(clap, texts):
    whole = [clap.encode_captions([text]).whole[0].numpy() for text in texts]
    return np.array([row / np.linalg.norm(row) for row in whole], np.float64)


def test_background_and_threshold_are_those_of_numpy(clap, monkeypatch):
    monkeypatch.setattr(rejection, "NEAR", 0.5)
    found = fit_rejection(clap, NAMES, WORDS, SOUNDS)
    words = unit(clap, [TEMPLATE.format(w) for w in WORDS])
    classes = unit(clap, [TEMPLATE.format(n) for n in NAMES])
    pairs = sorted((words @ words.T)[np.triu_indices(len(words), 1)])
    limit = pairs[int(np.ceil(0.5 * (2 * len(pairs) - 1))) // 2]
    nearest = (words @ classes.T).max(1)
    far = [w for w, near in zip(WORDS, nearest, strict=True) if near <= limit]
    assert found.texts == far and 0 < len(far) < len(WORDS) - 1
    texts = [text for word in far for text in SOUNDS[word]]
    others = unit(clap, [TEMPLATE.format(w) for w in far])
    heard = unit(clap, texts)
    scale = clap.logit_scale
    mean = np.log(np.exp(scale * heard @ others.T).mean(1)) / scale
    margins = (heard @ classes.T).max(1) - mean
    assert found.threshold == pytest.approx(np.quantile(margins, 0.8), abs=1e-4)
    got = found.margin(torch.tensor(heard))
    assert got.numpy() == pytest.approx(margins, abs=1e-5)
    assert f"{len(texts)} captions" in found.facts()["chosen_on"]
    assert abs(found.rejects(got).sum() - 0.8 * len(texts)) < 1


@pytest.mark.parametrize("kind", LEARNERS)
def test_each_learner_rejects_as_the_template_does(
    clap, make_shots, tmp_path, monkeypatch, kind
):
    """Whatever was learned, and named: a class is kept, another sound is not."""
    settings = {"n_ctx": 2} if kind == "PromptLearner" else {}
    learner = LEARNERS[kind](**settings).setup(clap, NAMES, make_shots([6, 6]))
    task = Task("tiny", NAMES, clip_seconds=1.0)
    source = write_export(tmp_path / "export", clap, learner, task, Template())
    sounds = {name: [TEMPLATE.format(name)] for name in WORDS}
    monkeypatch.setattr(rejection, "read_sounds", lambda: sounds)
    monkeypatch.setattr(rejection, "read_background", lambda: WORDS)
    classifier = PromptedClassifier.from_hparams(source, clap=clap)
    wavs = torch.zeros(3, RATE)
    found = classifier.rejection
    alone = fit_rejection(clap, NAMES)
    assert torch.equal(found.classes, alone.classes)
    assert found.facts() == alone.facts()
    farthest = found.margin(found.background).argmin()
    background = found.background[farthest][None]
    whole = torch.cat([found.classes, background])  # [3, D]
    mask = torch.ones(3, 1, dtype=torch.bool)
    heard = Embeddings(whole, whole[:, None], mask)
    monkeypatch.setattr(classifier, "encode_batch", lambda *_: heard)
    found = classifier.classify_batch(wavs, reject=True)
    assert found.text_lab[2] is None and found.index[2] == -1
    assert found.index[:2].min() >= 0 and None not in found.text_lab[:2]
    plain = classifier.classify_batch(wavs)
    assert torch.equal(found.score, plain.score)
    assert found.text_lab[:2] == plain.text_lab[:2]


def test_no_sound_is_left_where_all_are_classes(clap):
    with pytest.raises(InputError, match="near one of the 10 classes"):
        fit_rejection(clap, WORDS, WORDS, SOUNDS)


def test_the_package_has_captions_of_many_sounds():
    sounds = read_sounds()
    assert len(sounds) > 100 and min(map(len, sounds.values())) >= 6
    assert "dog" in sounds and not any("|" in name for name in sounds)
    texts = read_background()
    assert len(texts) > 400 and {"Dog", "Piano"} < set(texts)


@pytest.fixture
def folder(tmp_path):
    (folder := tmp_path / "sounds").mkdir()
    for n in range(4):
        noise = np.random.default_rng(n).standard_normal(RATE * 6)
        soundfile.write(folder / f"{n}.wav", noise.cumsum() / 500, RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE * 6), RATE)
    return folder


def test_the_command_claims_no_class_for_what_it_rejects(
    clap, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(backbones, "load_clap", lambda *_: clap)
    limit = None

    def fit(*arguments):
        found = fit_rejection(*arguments, WORDS, SOUNDS)
        return found if limit is None else found._replace(threshold=limit)

    monkeypatch.setattr(predictions, "fit_rejection", fit)

    def score(name, *options):
        words = ["--class-names", "dog,rain", "--output", tmp_path / name]
        words = ["classify", folder, *words, "--windows", *options]
        assert main(list(map(str, words))) == 0
        facts = json.loads((tmp_path / f"{name}.json").read_text())
        return pd.read_csv(tmp_path / name), facts["reject"]

    plain, facts = score("plain.csv")
    assert "margin" not in plain and facts is None
    margins = score("first.csv", "--reject")[0]["margin"]
    assert margins[4:].isna().all()  # silence
    limit = float(margins.median())
    table, facts = score("s.csv", "--reject")
    assert facts["margin_below"] == limit and "bell" in facts["background"]
    rejected = margins < limit
    assert rejected.sum() == 2
    assert (table["flag"] == "none of these").equals(rejected)
    columns = ["class_1", "score_1", "class_2", "score_2"]
    assert table.loc[rejected | margins.isna(), columns].isna().all(axis=None)
    kept = margins >= limit
    pd.testing.assert_frame_equal(
        table.loc[kept, columns], plain.loc[kept, columns]
    )
    windows = pd.read_csv(tmp_path / "s.windows.csv")
    segments = pd.read_csv(tmp_path / "s.segments.csv")
    assert 0 < windows["class"].isna().sum() < len(windows)
    assert windows["score"].isna().equals(windows["class"].isna())
    assert segments["class"].notna().all() and len(segments)

    classifier = PromptedClassifier.from_hparams(
        export_of(clap, tmp_path), clap=clap
    )
    for n in range(4):
        found = classifier.classify_file(
            folder / f"{n}.wav", top_k=2, reject=True
        )
        assert (found.text_lab == [[None, None]]) == bool(rejected[n])
    (found,) = classifier.score_recordings(
        [classifier.load_audio(folder / "0.wav")], reject=True
    )
    assert found.mean_margin().item() == pytest.approx(margins[0], abs=1e-5)

    events = tmp_path / "events.tsv"
    words = ["classify", folder, "--class-names", "dog,rain", "--reject"]
    words += ["--output", events, "--threshold", "0.01"]
    assert main(list(map(str, words))) == 0
    heard = set(pd.read_csv(events, sep="\t")["filename"].astype(str))
    assert {n for n in range(4) if f"{n}.wav" in heard} == set(
        np.flatnonzero(kept)
    )

    with pytest.raises(SystemExit, match="2"):
        score("s.csv")
    assert "reject differs" in capsys.readouterr().err


def test_of_several_labels_none_is_present_below(
    clap, folder, tmp_path, monkeypatch
):
    """The flag, `present`, the classes and the events say the same."""
    monkeypatch.setattr(inference, "load_clap", lambda *_: clap)
    limit = -2.0
    monkeypatch.setattr(
        predictions,
        "fit_rejection",
        lambda *given: fit_rejection(*given, WORDS, SOUNDS)._replace(
            threshold=limit
        ),
    )
    # What is not rejected has a class above 0: only rejection leaves none.
    source = export_of(
        clap, tmp_path, True, calibration=Calibration(True, threshold=0.0)
    )

    def score(name, *options):
        words = ["classify", folder, "--source", source, "--reject", *options]
        assert main([*map(str, words), "--output", str(tmp_path / name)]) == 0
        return tmp_path / name

    limit = float(pd.read_csv(score("all.csv"))["margin"].median())
    table = pd.read_csv(score("s.csv"))
    below = table["margin"] < limit
    assert below.sum() == 2
    assert (table["flag"] == "none of these").equals(below)
    silent = table["margin"].isna()
    for column in ("present", "class_1", "score_1"):
        assert table[column].isna().equals(below | silent)
    assert set(table["present"].dropna()) == {"dog|rain"}
    events = pd.read_csv(score("e.tsv", "--threshold", "0.01"), sep="\t")
    heard = set(events.dropna(subset="event_label")["filename"])
    kept = table["file"][~below & ~silent]
    assert heard == {Path(name).name for name in kept}


def export_of(clap, folder, multi_label=False, calibration=None):
    template = Template().setup(clap, NAMES)
    task = Task("tiny", NAMES, multi_label, clip_seconds=5.0)
    given = {"calibration": calibration}
    return write_export(folder / "e", clap, template, task, template, **given)
