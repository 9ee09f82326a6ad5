"""The benchmark scripts: what they compute, promise and refuse; no times."""

import hashlib
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from data_sets import write_audio
from sample_noise import write_recording
from transformers import GPT2Config, GPT2Model

from afpt_plugin import sample_recordings
from afpt_plugin.backbones import gpt2, text
from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import Template
from afpt_plugin.scoring.rejection import fit_rejection
from afpt_plugin.task import Task

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import adapt
import calibration
import development
import encoding
import frames
import full_size
import rejection
import schedules
import seeds
import shots_calibration
import speed
import startup

pytestmark = pytest.mark.usefixtures("no_figures")
SMALL = (
    "--n_classes 3 --n_ctx 2 --batch_size 2 --n_clips 3 --fixed_length 30 "
    "--classes 3 6 --processes 1"
).split()
#: Known to the tiny CLAP, so that not all classes look the same.
NAMES = "dog rain bell roof rings barks".split()


@pytest.fixture
def tiny(monkeypatch, clap):
    """The tiny CLAP instead of a full-size one, all in this process."""
    for module, name, stand_in in (
        (speed, "build_clap", lambda backbone: clap),
        (speed, "free_bytes", lambda device: 0),
        (speed, "ProcessPoolExecutor", lambda n, _: ThreadPoolExecutor(n)),
        (encoding, "build_clap", lambda backbone: clap),
        (seeds, "build_clap", lambda backbone: clap),
        (encoding, "ProcessPoolExecutor", lambda n, _: ThreadPoolExecutor(n)),
        (full_size, "make_class_names", lambda n: NAMES[:n]),
        # Tested below; it takes longer than what is measured.
        (schedules, "reset_peak_memory", lambda device: None),
        (text, "KEEP_BYTES", text.KEEP_BYTES),
    ):
        monkeypatch.setattr(module, name, stand_in)
    return clap


def test_step_and_encoding_print_what_they_find(tiny, capsys):
    found = speed.main([*SMALL, "--precision", "fp32", "bf16"])
    assert [*found][0] == "authors" and [*found][-1] == "recipe bf16"
    printed = capsys.readouterr().out
    for seconds in found.values():
        parts = seconds.keys() - {"share of matrix rate"}
        assert all(f"| {part} | " in printed for part in parts)
        assert seconds["training step"] > seconds["class prompts, forward"] > 0
        assert seconds["share of matrix rate"] > 0
    parts = ("training step", "evaluation: class prompts", "evaluation: a clip")
    seconds = dict(zip(parts, (2, 3, 0.5), strict=True))
    assert speed.extrapolate(seconds, 96) == 10 * (9 * 2 + 3 + 2000 * 0.5)
    (rates,) = speed.main([*SMALL, "--what", "encode"]).values()
    ms, rate = 1000 / rates["tower"], rates["tower"]
    expected = f"\n| 1 | 8 | {ms:.3g} | {rate:.2f} | {rates['encoding']:.2f} |"
    assert expected in capsys.readouterr().out


def test_startup_times_processes_and_leaves_the_warm_up_out(
    monkeypatch, capsys
):
    calls = []

    def run(arguments, folder, threads):
        calls.append(list(map(str, arguments)))
        return [100.0, 3.0, 1.0, 2.0][(len(calls) - 1) % 4]

    monkeypatch.setattr(startup, "run", run)
    found = startup.measure_startup(mock.Mock(threads=1, steps=3))
    assert list(found.values()) == [2.0] * 3
    assert "| afpt --help | 2.00 |" in capsys.readouterr().out
    # Reruns of a recipe have seeds of their own.
    assert [call[-1] for call in calls[-4:]] == ["0", "1", "2", "3"]


def test_startup_refuses_a_process_that_fails(tmp_path):
    assert startup.run(["-c", "import math"], tmp_path, 1) > 0
    for code in ("raise SystemExit(2)", "import no_such_module"):
        with pytest.raises(RuntimeError, match="failed"):
            startup.run(["-c", code], tmp_path, 1)


@pytest.mark.parametrize("backbone", ["bert", "gpt2"])
def test_schedules_take_the_same_steps(tiny, tokenizer, tmp_path, backbone):
    if backbone == "gpt2":
        model = GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=4))
        parts = (model, torch.nn.Linear(32, 16), full_size.gpt2_like(tokenizer))
        tiny.caption_encoder = gpt2.Gpt2TextEncoder(*parts, 16)
        tiny.freeze()
    options = speed.parse_arguments(SMALL)
    material = full_size.Material(tiny, tmp_path, 3, 8, 3)
    authors, ours, recipe = speed.make_schedules(options, material)
    before = ours.learner.ctx_fine.detach().clone()
    speed.check_equal([authors, ours, recipe])
    authors.step(1), ours.step(1)
    theirs, own = authors.learner.state_dict(), ours.learner.state_dict()
    assert all(torch.allclose(theirs[key], own[key], atol=1e-4) for key in own)
    assert not torch.allclose(before, ours.learner.ctx_fine, atol=1e-3)
    assert authors.tokens.input_ids.shape == (3, 30 - 2)
    assert (recipe.batch_size, recipe.learner.n_ctx) == (8, 5)
    # The authors encode again what ours read
    tiny.encode_captions = tiny.encode_audio = mock.Mock(side_effect=KeyError)
    ours.step(2), ours.evaluate()
    for part, given in ((authors.step, 2), (authors.clips, [0])):
        with pytest.raises(KeyError):
            part(given)


def test_whole_runs_are_timed(tiny, capsys, monkeypatch):
    monkeypatch.setattr(seeds, "N_CAPTIONS", 8)
    options = "--what seeds --epochs 1 --seeds 1 2".split()
    found = speed.main([*SMALL, *options])
    printed = capsys.readouterr().out
    assert "| 1 | " in printed and "| 2 | " in printed
    assert set(found) == {"encoding", 1, 2}


WRONG = {
    "classes": lambda classes: type(classes)(*classes[::-1]),
    "captions": lambda e: e._replace(mask=torch.ones_like(e.mask)),
    "clips": lambda e: e._replace(whole=e.whole * torch.nan),
}


@pytest.mark.parametrize("method", WRONG)
def test_another_computation_is_not_timed(monkeypatch, tiny, method):
    right = getattr(schedules.AuthorsSchedule, method)
    wrong = lambda *args: WRONG[method](right(*args))  # noqa: E731
    monkeypatch.setattr(schedules.AuthorsSchedule, method, wrong)
    monkeypatch.setattr(speed, "matrix_rate", lambda *_: 1.0)
    with pytest.raises(RuntimeError, match="ours fp32"):
        speed.main(SMALL)


def test_classes_are_kept_or_recomputed(monkeypatch, tiny, tmp_path):
    checkpoint = mock.Mock(wraps=text.checkpoint)
    monkeypatch.setattr(text, "checkpoint", checkpoint)
    options = speed.parse_arguments([*SMALL, "--steps", "1"])
    options.memory_gb = text.KEEP_BYTES = 0
    monkeypatch.setattr(text, "free_bytes", lambda device: 0)
    assert speed.step_of_classes(options, 6, "learner")[0] > 0
    n_chunks = checkpoint.call_count
    assert speed.step_of_classes(options, 6, "kept")[0] > 0
    assert checkpoint.call_count == n_chunks > 0
    figure = f"{tmp_path}/classes.png"
    found = speed.main([*SMALL, "--what", "classes", "--figure", figure])
    assert set(found) == {(n, way) for n in (3, 6) for way in speed.WAYS}
    assert Path(figure).exists()


def test_only_a_lack_of_memory_is_a_result(monkeypatch, tiny):
    errors = [RuntimeError("cannot allocate memory"), RuntimeError("shapes")]
    step = mock.Mock(side_effect=errors)
    monkeypatch.setattr(speed.Schedule, "step", step)
    options = speed.parse_arguments(SMALL)
    options.memory_gb = None
    assert speed.step_of_classes(options, 3, "learner") is None
    with pytest.raises(RuntimeError, match="shapes"):
        speed.step_of_classes(options, 3, "learner")


def test_peak_memory_can_be_reset():
    cpu, peaks = torch.device("cpu"), []
    for megabytes in (64, 1):
        full_size.reset_peak_memory(cpu)
        torch.ones(megabytes * 2**18)
        peaks.append(full_size.peak_memory_mb(cpu))
    assert peaks[0] is None or peaks[0] - peaks[1] > 40


def test_development_recordings_are_read_from_packages(tmp_path, monkeypatch):
    write_recording(tmp_path / "bark.wav", 12.0, 8000, 1)
    digest = hashlib.sha256((tmp_path / "bark.wav").read_bytes()).hexdigest()
    titles = "package version path member esc50 us8k fsd2019 license sha256"
    values = f"dogs 1.0 all.zip bark.wav dog dog_bark Bark GPL {digest}"
    row = dict(zip(titles.split(), values.split(), strict=True))
    table = f"{titles}\n{values}\n".replace(" ", ",")
    (tmp_path / "manifest.csv").write_text(table)
    monkeypatch.setattr(development, "MANIFEST", tmp_path / "manifest.csv")
    options = [str(tmp_path), "--output", str(tmp_path / "out")]
    with pytest.raises(InputError, match="dogs"):
        development.main(options)
    (tmp_path / "dogs").mkdir()
    with zipfile.ZipFile(tmp_path / "dogs" / "all.zip", "w") as archive:
        archive.write(tmp_path / "bark.wav", "bark.wav")
    development.main(options)
    for folder in ("ESC-50-master/audio", "UrbanSound8K/audio"):
        assert len(list((tmp_path / "out" / folder).rglob("*.wav"))) == 1
    for wrong in ({"member": "cat.wav"}, {"sha256": "0" * 64}):
        with pytest.raises(InputError, match="all.zip .*dogs"):
            development.read_source(row | wrong, tmp_path)


def test_development_recordings_are_no_samples():
    shipped = sample_recordings.read_recordings()
    sources = {sample_recordings._source(r.row) for r in shipped}
    rows = pd.read_csv(development.MANIFEST, dtype=str).fillna("")
    assert len(rows) > 200
    for row in rows.to_dict("records"):
        assert sample_recordings._source(row) not in sources, row["path"]
        for name, vocabulary in sample_recordings.VOCABULARIES.items():
            assert set(filter(None, row[name].split("|"))) <= set(vocabulary)


def test_the_gap_is_found_that_recordings_were_drawn_with():
    """Of captions with a temperature of 1, and of single and several labels."""
    rng = np.random.default_rng(0)

    def one(temperature):
        logits = 3 * torch.tensor(rng.standard_normal((3000, 4)))
        p = (logits / temperature).softmax(1)
        return logits, torch.eye(4)[torch.multinomial(p, 1)[:, 0]]

    torch.manual_seed(0)
    temperature, rows = calibration.fit_single([(one(1.0), one(2.0))])
    assert temperature == pytest.approx(2, rel=0.08) and len(rows) == 5
    x = torch.tensor(rng.uniform(-1, 1, (3000, 5)))
    p = (6 * x - 1 - np.log(4)).sigmoid()
    y = torch.bernoulli(p)
    slope, offset, threshold = calibration.fit_several([(None, (x, y))])
    assert (slope, offset) == (
        pytest.approx(6, rel=0.1),
        pytest.approx(-1, rel=0.2),
    )
    # The best threshold is half of the best F1 (Lipton and others, 2014).
    above = p > threshold
    f1 = 2 * (above * y).sum() / (above.sum() + y.sum())
    assert threshold == pytest.approx(f1.item() / 2, abs=0.08)


def test_rejection_is_measured(clap, tmp_path, monkeypatch):
    """Clips that are a class are kept, those that are another sound are not."""
    learner = Template().setup(clap, NAMES[:2])
    task = Task("tiny", NAMES[:2], clip_seconds=1.0)
    source = write_export(tmp_path / "e", clap, learner, task, learner)
    classifier = PromptedClassifier.from_hparams(source, clap=clap)
    sounds = {name: [f"this is a sound of {name}"] for name in NAMES}
    found = fit_rejection(clap, NAMES[:2], NAMES, sounds)
    whole = torch.cat([found.classes, found.background])
    limit = found.margin(whole)[:2].min().item() - 1e-6
    classifier.rejection = found = found._replace(threshold=limit)
    mask = torch.ones(1)
    items = [{"whole": w, "parts": w[None], "mask": mask} for w in whole]
    labels = np.array([*NAMES[:2], *found.texts])
    own = np.isin(labels, NAMES[:2])
    rows = rejection.measure(
        classifier, found, items, own, labels, np.array(NAMES[:2])
    )
    monkeypatch.setattr(rejection, "SAME", 0.9999)
    rest = [name for name in NAMES if name != "bell"]
    assert rejection.without(NAMES, {"bell"}, clap) == rest
    assert rows["AUROC margin"] == rows["others rejected"] == 1
    assert rows["own rejected"] == 0 and rows["threshold"] == limit
    assert rows["own rightly named, not rejected"] == 1
    half = rejection.draw_half(set(NAMES), 1)
    assert len(half) == 3 and set(half) < set(NAMES)
    assert half != rejection.draw_half(set(NAMES), 2)


def test_shots_are_drawn_by_source_and_the_others_tested(
    clap, tmp_path, monkeypatch, capsys
):
    """Of two classes with four sources each, two are learned from."""
    names = [f"1-10{n}-A-{target}.wav" for target in (0, 10) for n in range(4)]
    write_audio(tmp_path, [f"audio/{name}" for name in names])
    rows = [
        f"{name},1,{name[8:-4]},{'dog' if n < 4 else 'rain'},False,{name[2:5]},A"
        for n, name in enumerate(names)
    ]
    header = "filename,fold,target,category,esc10,src_file,take"
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join([header, *rows]))
    monkeypatch.setattr(shots_calibration, "load_clap", lambda name: clap)
    options = "--methods tip_adapter --draws 2".split()
    shots_calibration.main([str(tmp_path), *options])
    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    found = dict(zip(header.split(), row.split()[1:], strict=True))
    assert float(found["recordings"]) == 4
    assert 0 <= float(found["ece"]) <= 100


def test_strong_labels_become_seconds(tmp_path):
    path = tmp_path / "metadata" / "validation" / "validation.tsv"
    path.parent.mkdir(parents=True)
    rows = "a.wav 0.5 2.0 Dog\na.wav 8.2 10.0 Running_water\nsilent.wav   \n"
    text = "filename onset offset event_label\n" + rows
    path.write_text(text.replace(" ", "\t"))
    targets = frames.read_targets(tmp_path, ["running water", "dog"])
    assert not targets["silent.wav"].any()
    heard = np.argwhere(targets["a.wav"])  # second, class
    assert heard.tolist() == [[0, 1], [1, 1], [8, 0], [9, 0]]
    with pytest.raises(InputError, match="validation.tsv.*'Dog'.*a.wav"):
        frames.read_targets(tmp_path, ["cat"])


def test_seconds_are_scored_by_their_frames():
    found = mock.Mock(center=torch.tensor([0.2, 0.8, 3.5, 10.0]))
    found.logits = torch.tensor([[1.0], [2.0], [4.0], [3.0]])
    classifier = mock.Mock(frame_scores=lambda path: found)
    classifier.learner.logit_scale = 5.0
    scores = frames.segment_scores(classifier, None)[:, 0]
    assert scores.tolist() == [1.5, -5, -5, 4, -5, -5, -5, -5, -5, 3]
    truth = np.array([False, False, True, True, True])
    scores = np.array([0.1, 0.6, 0.5, 0.7, 0.9])
    # At 0.5: precision 3/4, recall 1; at 0.7: precision 1, recall 2/3.
    assert frames.best_threshold(truth, scores) == 0.5


def test_adapting_takes_all_steps_or_says_how_many(tiny, monkeypatch, capsys):
    monkeypatch.setattr(adapt, "load_clap", lambda name: tiny)
    monkeypatch.setattr(adapt, "make_class_names", lambda n: NAMES[:n])
    small = "--n_classes 3 --k 2 --n_recordings 6 --threads 1".split()
    methods = ["linear_probe", "coop"]
    found = adapt.main([*small, "--methods", *methods])
    assert [*found] == methods
    assert found["linear_probe"][-1] == "all 0 steps"
    # CoOp's epochs of two shots, each of a single batch
    assert found["coop"][-1] == "2 of 100 steps, mini-CLAP; extrapolated"
    printed = capsys.readouterr().out
    assert all(f"| {n} | {' | '.join(found[n])} |" in printed for n in found)
    assert [" %" in found[n][2] for n in methods] == [True, False]
