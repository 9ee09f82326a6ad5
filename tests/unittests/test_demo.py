"""Tests of afpt_plugin.commands.demo on a tiny CLAP, without a browser."""

import re
import sys
from html import unescape

import numpy as np
import pytest
import soundfile
from common import cases

from afpt_plugin.cli import main
from afpt_plugin.commands.demo import make_answer, make_page
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import LinearProbe, PromptLearner, Template
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]
OWN = "dog\nrain\nbell"
ROW = re.compile(r"<tr><td>(.*?)<td><meter (.*?)></meter><td>([\d.%-]+)")


@pytest.fixture
def make_classifier(clap, make_shots, tmp_path):
    """What an export of either kind of learner holds."""

    def make(kind="PromptLearner", **options):
        if kind == "LinearProbe":
            learner = LinearProbe()
            learner.setup(clap, NAMES, make_shots([2, 2, 2]))
        else:
            learner = PromptLearner(n_ctx=4, seed=1).setup(clap, NAMES)
        task = Task("tiny", NAMES, clip_seconds=1.0, **options)
        source = write_export(
            tmp_path / "export", clap, learner, task, Template()
        )
        options = {"clap": clap, "run_opts": {"device": "cpu"}}
        return PromptedClassifier.from_hparams(source, **options)

    return make


@pytest.fixture
def answer_for(make_classifier):
    return make_answer(make_classifier())


@pytest.fixture
def recording(tmp_path):
    noise = np.random.default_rng(0).standard_normal(2000) / 10
    soundfile.write(tmp_path / "noise.wav", noise, 800)
    return str(tmp_path / "noise.wav")


def rows_of(answer):
    """Names and scores as the page shows them, and what the bars say."""
    rows = [map(unescape, row) for row in ROW.findall(answer)]
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_scores_are_those_of_the_classifier(
    make_classifier, recording, multi_label
):
    classifier = make_classifier(multi_label=multi_label)
    answer_for = make_answer(classifier)
    answer = answer_for(recording, OWN)
    wanted = classifier.classify_file(recording, top_k=3)
    values = wanted.score[0].exp()
    rows = rows_of(answer)
    assert [row[0] for row in rows] == wanted.text_lab[0]
    assert [row[2] for row in rows] == [f"{v:.1%}" for v in values.tolist()]
    for value, (_, bar, _) in zip(values.tolist(), rows, strict=True):
        assert [*map(float, re.findall(r"=(\S+)", bar))] == [value]
    assert "probabilities, not calibrated" in answer
    assert answer.count("data:image/png;base64,") == 1 and "2.5 s" in answer
    assert "alert" not in answer and "whole recordings" not in answer


def test_other_names_do_not_encode_the_recording_again(
    make_classifier, recording, monkeypatch
):
    classifier, calls = make_classifier(), []
    answer_for = make_answer(classifier)
    encode = PromptedClassifier.encode_windows
    monkeypatch.setattr(
        PromptedClassifier,
        "encode_windows",
        lambda *arguments: calls.append(1) or encode(*arguments),
    )
    answer_for(recording, OWN)
    names = ["<b>loud ${1+1}</b>", "two dogs"]
    rows = rows_of(answer_for(recording, "\n ".join(names) + "\n\n"))
    assert len(calls) == 1
    other = classifier.with_class_names(names)
    wanted = other.classify_file(recording, top_k=2)
    assert [row[0] for row in rows] == wanted.text_lab[0]
    shown = [f"{value:.1%}" for value in wanted.score[0].exp().tolist()]
    assert [row[2] for row in rows] == shown


@cases(
    "text, message",
    ("", "there is no class name"),
    ("dog\n\nra|in", "line 3: the class name 'ra|in'"),
    ("dog\nDog", "line 2: 'Dog' repeats 'dog' of line 1"),
    (" dog \n", "'dog' alone"),
)
def test_what_is_wrong_with_the_names_is_said(
    answer_for, recording, text, message
):
    answer = unescape(answer_for(recording, text))
    assert "role='alert'" in answer and message in answer
    assert rows_of(answer_for(recording, OWN))


@cases(
    "content, message",
    (b"", "empty: 0 bytes"),
    (b"not a sound", "not readable as audio"),
    (None, "not finite"),
)
def test_what_is_wrong_with_a_recording_is_said(
    answer_for, recording, tmp_path, content, message
):
    path = tmp_path / "<b>.wav"
    if content is None:
        soundfile.write(path, [0.0, np.nan], 800, "FLOAT")
    else:
        path.write_bytes(content)
    answer = answer_for(str(path), OWN)
    assert "role='alert'" in answer and message in answer
    assert "⚠ &lt;b&gt;.wav: " in answer and str(tmp_path) not in answer
    assert "Drop a recording" in answer_for(None, OWN)
    assert rows_of(answer_for(recording, OWN))


def test_a_learner_of_whole_recordings_says_why_it_has_no_frames(
    make_classifier, recording
):
    answer_for = make_answer(make_classifier("LinearProbe"))
    answer = answer_for(recording, OWN)
    assert "LinearProbe scores whole recordings" in answer
    assert len(rows_of(answer)) == 3 and answer.count("data:image") == 1
    answer = answer_for(recording, "wind\nrain")
    assert "role='alert'" in answer and "cannot take other" in answer


@pytest.mark.parametrize("kind", ["LinearProbe", "PromptLearner"])
def test_names_can_be_edited_only_if_the_learner_takes_others(
    make_classifier, kind, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    pytest.importorskip("gradio", reason="the page needs gradio")
    page = make_page(make_classifier(kind), "tiny")
    config = page.get_config_file()
    assert not config["analytics_enabled"] and "tiny" in config["title"]
    (names,) = (
        component["props"]
        for component in config["components"]
        if component["type"] == "textbox"
    )
    assert names["value"] == OWN
    assert names["interactive"] == (kind == "PromptLearner")
    assert ("cannot take other" in names["info"]) == (kind == "LinearProbe")


def test_without_gradio_its_installation_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for options, message in (
        ([], 'pip install "afpt-plugin[demo-page]"'),
        (["--port", "0"], "--port is 0"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["demo", "my_sounds", *options])
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1
