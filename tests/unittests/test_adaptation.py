"""One call from what a user has to a classifier; ``auto`` says why."""

import numpy as np
import pytest
import soundfile
import torch
from common import cases, refusal

from afpt_plugin import adapt
from afpt_plugin.adaptation import allowed_sources
from afpt_plugin.auto import SLOW
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import find_method, method_names

NAMES = ["dog", "bell"]
RATE = 800


@pytest.fixture
def labeled(tmp_path):
    """A folder of four tones for each class, of two pitches."""
    rng = np.random.default_rng(0)
    for name, pitch in (("dog", 50), ("bell", 200)):
        (tmp_path / "labeled" / name).mkdir(parents=True)
        for number in range(4):
            wave = np.sin(2 * np.pi * pitch * np.arange(RATE) / RATE)
            wave = 0.5 * wave + 0.05 * rng.standard_normal(RATE)
            path = tmp_path / "labeled" / name / f"{number}.wav"
            soundfile.write(path, wave, RATE)
    return tmp_path / "labeled"


@pytest.mark.parametrize("method", sorted(set(method_names()) - {"upstream"}))
def test_every_method_gives_a_classifier(method, clap, labeled):
    quick = {*SLOW, "prompts", "palm", "tip_adapter_f"}
    options = {"number_of_epochs": 1} if method in quick else {}
    shots = labeled if "shots" in allowed_sources(method) else None
    before = {k: v.clone() for k, v in clap.state_dict().items()}
    classifier = adapt(clap, NAMES, method, shots, **options)
    assert classifier.class_names == NAMES
    facts = classifier.hparams.export.facts
    kind = (*allowed_sources(method), "nothing")[0]
    assert facts["supervision"]["kind"] == kind
    path = labeled / "bell" / "0.wav"
    scores = classifier.classify_file(path)
    assert scores.out_prob.shape == (1, 2)
    if method == "linear_probe":
        assert scores.text_lab == ["bell"]
    assert all(torch.equal(before[k], v) for k, v in clap.state_dict().items())
    if "fine" in classifier.heads:
        assert classifier.frame_scores(path).logits.shape[1] == 2
    else:
        with pytest.raises(InputError, match="whole recordings"):
            classifier.frame_scores(path)


def test_sentences_come_as_a_dict(clap):
    captions = {"dog": ["dog barks loudly", "old dog"], "bell": ["bell rings"]}
    classifier = adapt(clap, NAMES, "caption_mean", captions=captions)
    wanted = clap.encode_captions(captions["bell"]).whole[0]
    wanted = torch.nn.functional.normalize(wanted, dim=-1)
    torch.testing.assert_close(classifier.learner.means[1], wanted)


def test_auto_prefers_what_works_and_says_why(clap, labeled, tmp_path):
    """Recordings judge, and those scored were not learned from."""
    output = tmp_path / "mine"
    names = ["tip_adapter", "zero_shot", "linear_probe"]
    classifier = adapt(
        clap, NAMES, "auto", labeled, output=output, candidates=names
    )
    auto = classifier.hparams.export.facts["auto"]
    tried = {
        (row["method"], row["from"]): row["score"] for row in auto["tried"]
    }
    assert list(tried)[0] == ("zero_shot", None)
    assert set(tried) == {("zero_shot", None)} | {
        (name, source)
        for name in ("tip_adapter", "linear_probe")
        for source in ("shots", "captions")
    }
    assert tried["linear_probe", "shots"] == 1.0
    assert "4-fold cross-validation on 8 labeled recordings" in auto["rule"]
    won = round(8 * (1 - tried["zero_shot", None]))
    assert (
        f"it is right on {won} where zero_shot is wrong, and wrong on 0"
        in auto["rule"]
    )
    chosen = classifier.hparams.export.facts["method"]
    assert tried[chosen, "shots"] == max(tried.values())
    assert (output / "learner.safetensors").exists()
    # Labels that say nothing leave nothing to choose from.
    swapped = {
        name: [labeled / other / f"{number}.wav" for other in NAMES]
        for number, name in enumerate(NAMES)
    }
    rows = adapt(
        clap, NAMES, "auto", swapped, candidates=["linear_probe"]
    ).hparams.export.facts["auto"]["tried"]
    assert rows[0]["score"] <= 0.5


@pytest.mark.parametrize("n", [1, 4])
def test_shots_calibrate_what_is_fitted_at_once(clap, labeled, n):
    """Each held out in its turn; a class's only one cannot be."""
    shots = {"dog": [labeled / "dog/0.wav", labeled / "dog/1.wav"]}
    shots["bell"] = [labeled / f"bell/{i}.wav" for i in range(n)]
    export = adapt(clap, NAMES, "linear_probe", shots).hparams.export
    fitted_on = export.calibration["fitted_on"]
    assert fitted_on == ("6 held-out recordings" if n > 1 else None)


def test_auto_without_recordings_is_judged_by_captions(clap):
    auto = adapt(clap, NAMES, "auto", candidates=["zero_shot", "caption_mean"])
    facts = auto.hparams.export.facts["auto"]
    assert "templated class names" in facts["rule"] and len(facts["tried"]) == 2


@cases(
    "method, given, fact",
    ("magic", {}, "magic"),
    ("linear_probe", {"learn_from": "names"}, "names"),
    ("caption_mean", {"captions": {"cat": ["meow"]}}, "'cat'"),
    ("caption_mean", {"captions": "none.csv"}, "none.csv"),
    ("linear_probe", {"shots": {"dog": ["none.wav"]}}, "none.wav"),
    ("linear_probe", {"shots": "none"}, "none"),
    ("zero_shot", {"k": 3}, "'k'"),
    ("zero_shot", {"transduction": "em"}, "nothing is tested"),
    ("auto", {"candidates": ["magic"]}, "magic"),
    ("auto", {"candidates": "palm"}, "list of methods"),
    ("auto", {"candidates": []}, "list of methods"),
    ("auto", {"candidates": ["zero_shot"], "lr": 1.0}, "lr is not"),
    ("auto", {"learn_from": "captions"}, "learn_from"),
    ("zero_shot", {"candidates": ["palm"]}, "auto"),
    ("zero_shot", {"learn_from": "shots"}, "learn from nothing"),
    ("zero_shot", {"folds": [1]}, "folds: nothing is tested"),
    ("palm", {"selection": "audio"}, "selection: audio"),
    ("palm", {"selection": "captions"}, "held-out"),
    ("zero_shot", {"seed": -1}, "seed is -1"),
    ("zero_shot", {"device": "gpu"}, "device 'gpu'"),
    ("zero_shot", {"multi_label": "no"}, "multi_label is 'no'"),
    ("zero_shot", {"output": "/dev/null/a"}, "not writable"),
    ("linear_probe", {"learn_from": "shots"}, "learn from captions"),
    ("linear_probe", {"shots": []}, "a list"),
    ("linear_probe", {"shots": {}}, "a dict"),
    ("linear_probe", {"shots": ""}, "a str"),
    ("linear_probe", {"shots": np.zeros((2, 3))}, "a ndarray"),
    ("linear_probe", {"shots": {"dog": []}}, "no recording"),
    ("linear_probe", {"shots": {"dog": "a.wav"}}, "list of paths"),
    ("linear_probe", {"shots": {"dog": [np.zeros(9)]}}, "a ndarray"),
    ("linear_probe", {"shots": {0: ["a.wav"]}}, "0 is not among"),
    ("caption_mean", {"captions": ["meow"]}, "a list"),
    ("caption_mean", {"captions": {"dog": "meow"}}, "list of captions"),
    ("caption_mean", {"captions": {"dog": [1]}}, "lists a int"),
    ("caption_mean", {"captions": {"dog": []}}, "no caption"),
    ("auto", {"captions": {n: [f"{n} far"] for n in NAMES}}, "auto needs"),
)
def test_what_cannot_be_used_is_named(clap, method, given, fact):
    message = refusal(adapt, clap, NAMES, method, **given)
    assert fact in message and "--allow" not in message


def test_what_is_given_and_not_used_is_said(clap, labeled, caplog):
    (labeled / "cat").mkdir()
    with pytest.raises(InputError, match="cat.* no class"):
        adapt(clap, NAMES, "linear_probe", labeled)
    (labeled / "cat").rmdir()
    (labeled / "notes.txt").touch()
    (labeled / "dog" / "notes.txt").touch()
    (labeled / ".hidden").mkdir()
    captions = {name: [f"{name} far"] for name in NAMES}
    adapt(clap, NAMES, "linear_probe", labeled, captions)
    assert "the captions are not used" in caplog.text
    assert "1 files that lie in no class's folder" in caplog.text
    assert "1 files skipped: unsupported extension (1 .txt)" in caplog.text


@pytest.mark.parametrize("layout", ["folder", "dict"])
def test_a_recording_of_two_classes_needs_several_labels(clap, labeled, layout):
    """Copies count as one recording, so one's label would be lost."""
    copy = labeled / "bell" / "copy.wav"
    copy.write_bytes((labeled / "dog" / "0.wav").read_bytes())
    shots = labeled
    if layout == "dict":
        files = [labeled / "bell" / "0.wav", labeled / "dog" / "0.wav"]
        shots = {"bell": files, "dog": files[1:]}
    with pytest.raises(InputError, match="labeled bell and dog"):
        adapt(clap, NAMES, "linear_probe", shots)
    classifier = adapt(clap, NAMES, "tip_adapter", shots, multi_label=True)
    n_labels = classifier.learner.labels.sum(1)
    assert (n_labels == 2).sum() == 1


def test_class_names_that_are_one_folder_name_stay_apart(clap, labeled):
    (labeled / "bell").rename(labeled / "old_dog")
    (labeled / "dog").rename(labeled / "old dog")
    names = ["old dog", "old_dog"]
    classifier = adapt(clap, names, "tip_adapter", labeled)
    assert classifier.learner.labels.sum(0).tolist() == [4, 4]


def test_auto_takes_options_that_only_some_candidates_have(clap, monkeypatch):
    """The one that is chosen may lack them."""
    tried = []

    def validate(job, method, source, options, parts):
        tried.append((method, options))
        return float(method == "zero_shot"), {}, None

    monkeypatch.setattr("afpt_plugin.auto._validate", validate)
    names = ["palm", "zero_shot", "palm"]
    options = {"lr": np.float64(0.1)}
    classifier = adapt(clap, NAMES, "auto", candidates=names, **options)
    assert classifier.hparams.export.facts["method"] == "zero_shot"
    assert tried == [("zero_shot", {}), ("palm", options)]


@pytest.mark.parametrize("names", ["dog bell", None, 3, [], ["dog"]])
def test_class_names_are_a_list_of_two_at_least(clap, names):
    fact = "at least two" if names == ["dog"] else "give a list"
    with pytest.raises(InputError, match=fact):
        adapt(clap, names)


def test_methods_are_the_recipes_files():
    assert find_method("coop").parent.name == "methods"
    assert set(SLOW) <= set(method_names())
    assert "transfer" not in method_names()
