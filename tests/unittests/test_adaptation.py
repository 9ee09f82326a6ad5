"""One call from what a user has to a classifier; ``auto`` says why."""

import numpy as np
import pytest
import soundfile
import torch

from afpt_plugin import adapt
from afpt_plugin.adaptation import allowed_sources
from afpt_plugin.auto import SLOW
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import find_method, method_names

NAMES = ["dog", "bell"]
RATE = 800
QUICK = {"number_of_epochs": 1}


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
    options = QUICK if method in ("prompts", "palm", "tip_adapter_f") else {}
    if method in SLOW:
        options = QUICK
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


def test_recordings_come_as_a_folder_a_table_or_a_dict(clap, labeled, tmp_path):
    files = sorted(labeled.rglob("*.wav"))
    table = tmp_path / "shots.csv"
    rows = [
        f"{path.relative_to(tmp_path)},{path.parent.name}" for path in files
    ]
    table.write_text("\n".join(["wav,label", *rows]))
    given = {name: sorted((labeled / name).iterdir()) for name in NAMES}
    weights = [
        adapt(clap, NAMES, "linear_probe", shots).learner.weight
        for shots in (labeled, table, given)
    ]
    torch.testing.assert_close(weights[0], weights[1])
    torch.testing.assert_close(weights[0], weights[2])


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
    assert "4-fold cross-validation on 8 shots" in auto["rule"]
    won = round(8 * (1 - tried["zero_shot", None]))
    assert f"against zero_shot, {won} more are right, 0 less" in auto["rule"]
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


def test_auto_without_recordings_is_judged_by_captions(clap):
    auto = adapt(clap, NAMES, "auto", candidates=["zero_shot", "caption_mean"])
    facts = auto.hparams.export.facts["auto"]
    assert "captions" in facts["rule"] and len(facts["tried"]) == 2


def test_auto_gives_an_option_to_the_candidates_that_have_it(clap, labeled):
    """The winner may be one that does not."""
    auto = adapt(
        *(clap, NAMES, "auto", labeled),
        candidates=["zero_shot", "linear_probe", "tip_adapter_f"],
        number_of_epochs=1,
    )
    assert auto.hparams.export.facts["method"] == "linear_probe"


@pytest.mark.parametrize(
    ("method", "given", "fact"),
    [
        ("magic", {}, "magic"),
        ("linear_probe", {"learn_from": "names"}, "names"),
        ("caption_mean", {"captions": {"cat": ["meow"]}}, "'cat'"),
        ("caption_mean", {"captions": "none.csv"}, "none.csv"),
        ("linear_probe", {"shots": {"dog": ["none.wav"]}}, "none.wav"),
        ("linear_probe", {"shots": "none"}, "none"),
        ("zero_shot", {"k": 3}, "'k'"),
        ("zero_shot", {"transduction": "em"}, "nothing is tested"),
        ("auto", {"candidates": ["magic"]}, "magic"),
        ("auto", {"candidates": ["zero_shot"], "n_ctxs": 2}, "n_ctxs is no"),
        ("auto", {"captions": {n: [f"{n} far"] for n in NAMES}}, "auto needs"),
    ],
)
def test_what_cannot_be_used_is_named(clap, method, given, fact):
    with pytest.raises(InputError, match=fact):
        adapt(clap, NAMES, method, **given)


def test_a_folder_that_is_no_class_is_named(clap, labeled):
    (labeled / "cat").mkdir()
    with pytest.raises(InputError, match="cat.* no class"):
        adapt(clap, NAMES, "linear_probe", labeled)


def test_one_class_is_not_enough(clap):
    with pytest.raises(InputError, match="at least two"):
        adapt(clap, ["dog"])


def test_methods_are_the_recipes_files():
    assert find_method("coop").parent.name == "methods"
    assert set(SLOW) <= set(method_names())
    assert "transfer" not in method_names()
