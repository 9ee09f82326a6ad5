"""Tests of afpt_plugin.brain on a tiny CLAP and tiny data."""

import copy
import json
import logging
import math
import types

import pytest
import soundfile
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger

from afpt_plugin.brain import PromptTuningBrain
from afpt_plugin.checkpoints import AtomicCheckpointer
from afpt_plugin.data.captions import Caption
from afpt_plugin.data.datasets import (
    caption_dataset,
    class_means,
    recording_dataset,
)
from afpt_plugin.data.manifests import prepare_test_set
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.learners.prompts import PromptLearner
from afpt_plugin.losses import ranking_loss
from afpt_plugin.metrics import multi_label_metrics, single_label_metrics
from afpt_plugin.results.run import UNTUNED
from afpt_plugin.similarity import CaptionNoise

NAMES = ["dog", "rain", "bell"]
TEXTS = [
    ("dog barks loudly", 0),
    ("a big dog barks", 0),
    ("two dogs far away", 0),
    ("rain falls on the roof", 1),
    ("rains on a roof", 1),
    ("hard rain falls", 1),
    ("bell rings", 2),
    ("old bells far away", 2),
    ("a small bell rings", 2),
]


@pytest.fixture
def recordings(tmp_path):
    """A manifest of six recordings of one second, 0.1 s a frame."""
    rows = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        generator = torch.Generator().manual_seed(number)
        sig = 0.1 * torch.randn(800, generator=generator)
        soundfile.write(path, sig.numpy(), 800)
        rows.append(
            {"ID": path.stem, "wav": str(path), "label": NAMES[number % 3]}
        )
    save_folder = tmp_path / "prepared"
    prepare_test_set("tiny", rows, NAMES, save_folder)
    return save_folder / "test.csv"


def make_run(clap, recordings, folder, valid=True, **options):
    """Everything a recipe builds before `fit`; without recordings, no test."""
    settings = {"clip_seconds": 1.0}
    store = folder.parent / "features"
    test = None
    if recordings is not None:
        test = recording_dataset(clap, recordings, NAMES, store, settings)
    captions = [Caption(text, (label,)) for text, label in TEXTS]
    train = caption_dataset(clap, captions, len(NAMES), store)
    held_out = caption_dataset(clap, captions[::3], len(NAMES), store)
    learner = options.pop("learner", None) or PromptLearner(
        n_ctx=4, seed=1, anchor=0.5
    )
    learner.setup(clap, NAMES).anchor_to(class_means(train))
    counter = EpochCounter(options.pop("epochs", 3))
    folder.mkdir(parents=True, exist_ok=True)
    hparams = {
        "loss": torch.nn.functional.cross_entropy,
        "metrics": single_label_metrics,
        "metric_name": "acc",
        "logit_scale": None,
        "multi_label": False,
        "caption_noise": CaptionNoise(0.0),
        "upstream_exact": False,
        "selection": "captions",
        "prompt_template": "this is a sound of {}",
        "recording": settings,
        "seed": 1,
        "train_logger": FileTrainLogger(str(folder / "train_log.txt")),
        "output_folder": str(folder),
        "max_grad_norm": math.inf,
    }
    run_opts = {"device": "cpu", "noprogressbar": True}
    run_opts.update(options.pop("run_opts", {}))
    hparams.update(options)
    brain = PromptTuningBrain(
        clap=clap,
        class_names=NAMES,
        test_set=test,
        test_loader_kwargs={"batch_size": 4},
        facts={
            "dataset": "tiny",
            "data_fingerprint": "0",
            "n_recordings": 6,
            "n_left_out": 0,
            "supervision": "captions",
        },
        modules={"learner": learner},
        opt_class=lambda parameters: torch.optim.AdamW(parameters, lr=0.02),
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=AtomicCheckpointer(
            folder / "save", {"learner": learner, "counter": counter}
        ),
    )
    arguments = (counter, train, held_out if valid else None)
    loaders = {
        "train_loader_kwargs": {"batch_size": 4, "shuffle": True},
        "valid_loader_kwargs": {"batch_size": 4},
    }
    return types.SimpleNamespace(
        brain=brain,
        fit=lambda: brain.fit(*arguments, **loaders),
        evaluate=lambda: brain.evaluate(
            test,
            max_key="selection_score",
            test_loader_kwargs={"batch_size": 4},
        ),
        finish=lambda: brain.finish(folder / "export"),
        results=lambda: json.loads((folder / "results.json").read_text()),
        folder=folder,
    )


def run_whole(clap, recordings, folder, **options):
    """Fit, evaluate, and return what was written."""
    run = make_run(clap, recordings, folder, **options)
    run.fit()
    run.evaluate()
    return run


def comparable(results):
    """Results without what may differ between equal runs."""
    return {k: v for k, v in results.items() if k != "timings"}


def test_captions_alone_can_be_fitted(clap, recordings, tmp_path):
    """Even a random tower gives way: the loss falls, held out as well."""
    learner = PromptLearner(n_ctx=4, seed=1)
    run = run_whole(
        clap, recordings, tmp_path / "run", epochs=30, learner=learner
    )
    history = run.results()["history"]
    assert history[-1]["train_loss"] < 0.85 * history[0]["train_loss"]
    assert history[-1]["valid_loss"] < 0.85 * history[0]["valid_loss"]


def test_clap_is_bit_identical_after_a_run(clap, recordings, tmp_path):
    """Parameters and buffers, dropout on the label path included."""
    before = copy.deepcopy(clap.state_dict())
    learner = PromptLearner(n_ctx=4, label_dropout=True)
    run_whole(clap, recordings, tmp_path / "run", learner=learner)
    after = clap.state_dict()
    assert set(before) == set(after)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert not any(module.training for module in clap.modules())
    assert not any(p.requires_grad for p in clap.parameters())


def test_checkpoints_hold_the_learner_and_not_clap(clap, recordings, tmp_path):
    """Kilobytes: two contexts and the optimiser's state."""
    run = run_whole(clap, recordings, tmp_path / "run")
    (checkpoint, *_) = run.brain.checkpointer.list_checkpoints()
    state = torch.load(checkpoint.paramfiles["learner"], weights_only=True)
    assert set(state) == {"ctx_coarse", "ctx_fine"}
    files = list(checkpoint.path.iterdir())
    assert sum(file.stat().st_size for file in files) < 50_000


def test_training_never_reads_a_recording(clap, recordings, tmp_path):
    """Audio-free: the learnt contexts do not depend on the recordings."""
    learnt = []
    for number, blind in enumerate([False, True]):
        run = make_run(clap, recordings, tmp_path / str(number) / "run")
        if blind:  # no recording is ever loaded
            run.brain.test_loader = None
            run.brain._score_recordings = lambda: dict.fromkeys(
                ("coarse", "fine", "ensemble"), 0.0
            )
        run.fit()
        learnt.append(run.brain.modules.learner.state_dict())
    for name in learnt[0]:
        assert torch.equal(learnt[0][name], learnt[1][name])


def test_train_and_valid_items_carry_no_audio(clap, recordings, tmp_path):
    """Captions and labels only, visibly."""
    captions = [Caption("dog barks", (0,))]
    dataset = caption_dataset(clap, captions, 3, tmp_path / "features")
    assert set(dataset[0]) == {"id", "sentence", "words", "word_mask", "target"}


def test_class_means_weigh_a_caption_by_its_share(clap, tmp_path):
    """One of two classes counts half for each; norms do not count."""
    captions = [
        Caption("dog barks", (0,)),
        Caption("two dogs far away", (0,)),
        Caption("rain and a dog", (0, 1)),
    ]
    means = class_means(caption_dataset(clap, captions, 2, tmp_path))
    a, b, both = torch.nn.functional.normalize(
        clap.encode_captions([c.caption for c in captions]).whole, dim=-1
    )
    expected = torch.stack([(a + b + both / 2) / 2.5, both])
    torch.testing.assert_close(means, expected, atol=1e-5, rtol=0)


def test_every_epoch_is_logged_and_in_the_checkpoints_meta(
    clap, recordings, tmp_path
):
    """Caption loss and accuracy, and the three audio metrics."""
    run = run_whole(clap, recordings, tmp_path / "run")
    log = (run.folder / "train_log.txt").read_text().splitlines()
    assert [line.split(" - ")[0] for line in log[:3]] == [
        f"epoch: {epoch}" for epoch in (1, 2, 3)
    ]
    for words in ("train loss", "valid loss", "valid acc", "zero-shot fine"):
        assert words in log[0]
    last = run.brain.checkpointer.find_checkpoint()
    assert [row["epoch"] for row in last.meta["history"]] == [1, 2, 3]
    assert {"valid_loss", "valid_acc", "coarse", "fine", "ensemble"} <= set(
        last.meta
    )


@pytest.mark.parametrize("selection", ["captions", "audio"])
def test_the_named_rule_selects_the_epoch(
    clap, recordings, tmp_path, selection
):
    """Lowest held-out caption loss, or first best audio metric."""
    run = run_whole(
        clap, recordings, tmp_path / "run", selection=selection, epochs=8
    )
    results = run.results()
    history = results["history"]
    if selection == "captions":
        best = min(history, key=lambda row: row["valid_loss"])
    else:
        best = max(history, key=lambda row: row["ensemble"])
    assert results["selection"] == selection
    assert results["selected_epoch"] == best["epoch"]
    for head in ("coarse", "fine", "ensemble"):
        assert results["metrics"][head]["acc"] == best[head]


def test_a_run_leaves_everything_behind(clap, recordings, tmp_path):
    """The files of DESIGN section 8."""
    run = run_whole(clap, recordings, tmp_path / "run")
    names = {path.name for path in run.folder.iterdir()}
    assert {
        "results.json",
        "predictions.csv",
        "training.png",
        "per_class.png",
        "confusion.png",
        "train_log.txt",
        "save",
        "export",
    } <= names
    results = run.results()
    assert results["learner"] == "PromptLearner"
    assert results["clap_fingerprint"] == clap.fingerprint
    assert len(results["per_class"]["zero_shot"]) == 3


def test_the_export_holds_the_selected_epoch(clap, recordings, tmp_path):
    """Contexts, where they started, and what the test measured."""
    run = run_whole(
        clap, recordings, tmp_path / "run", selection="audio", epochs=8
    )
    results = run.results()
    assert results["selected_epoch"] < 8
    export = read_export(run.folder / "export")
    best = run.brain.checkpointer.find_checkpoint(max_key="selection_score")
    state = torch.load(best.paramfiles["learner"], weights_only=True)
    start = PromptLearner(n_ctx=4, seed=1).setup(clap, NAMES)
    for name in ("coarse", "fine"):
        learnt = getattr(export, f"ctx_{name}")
        assert torch.equal(learnt, state[f"ctx_{name}"])
        begun = getattr(export, f"start_{name}")
        assert torch.equal(begun, getattr(start, f"ctx_{name}"))
    assert export.class_names == NAMES
    assert export.clap_fingerprint == clap.fingerprint
    assert export.logit_scale == pytest.approx(clap.logit_scale)
    assert export.clip_seconds == 1.0
    assert export.metrics == results["metrics"]
    assert export.facts["selected_epoch"] == results["selected_epoch"]
    assert export.facts["dataset"] == "tiny"


def test_without_a_test_set_no_recording_is_touched(
    clap, recordings, tmp_path, monkeypatch
):
    """The same contexts, a history of captions alone, and an export."""
    whole = run_whole(clap, recordings, tmp_path / "a" / "run")

    def fail(*args):
        raise AssertionError("a recording was encoded")

    monkeypatch.setattr(clap, "encode_audio", fail)
    run = make_run(clap, None, tmp_path / "b" / "run")
    run.fit()
    selected = run.finish()
    export = read_export(run.folder / "export")
    assert selected == whole.results()["selected_epoch"]
    assert torch.equal(
        export.ctx_fine, read_export(whole.folder / "export").ctx_fine
    )
    assert export.metrics == {}
    assert all(
        set(row)
        == {"epoch", "train_loss", "train_acc", "valid_loss", "valid_acc"}
        for row in run.brain.history
    )
    assert "zero-shot" not in (run.folder / "train_log.txt").read_text()
    assert (run.folder / "training.png").exists()


def test_without_test_set_and_held_out_captions_the_last_epoch_counts(
    clap, tmp_path
):
    """Selection None says so."""
    run = make_run(clap, None, tmp_path / "run", valid=False, selection=None)
    run.fit()
    learnt = run.brain.modules.learner.ctx_fine.detach().clone()
    assert run.finish() == 3
    assert torch.equal(read_export(run.folder / "export").ctx_fine, learnt)


@pytest.mark.parametrize(
    ("selection", "tested", "message"),
    [
        ("audio", False, "'audio' .* without a test set; choose .* captions"),
        (None, True, "None does not exist; choose one of captions, audio"),
    ],
)
def test_a_rule_that_cannot_select_is_an_error(
    clap, recordings, tmp_path, selection, tested, message
):
    """No audio without recordings, no last epoch where epochs can compete."""
    recordings = recordings if tested else None
    with pytest.raises(InputError, match=message):
        make_run(clap, recordings, tmp_path / "run", selection=selection)


class Killed(Exception):
    """Stands in for a signal."""


@pytest.mark.parametrize("step", [1, 4, 5, 8])
def test_a_killed_run_resumes_to_the_same_numbers(
    clap, recordings, tmp_path, step
):
    """Killed in the first, the second or the third epoch of three."""
    noise = {"caption_noise": CaptionNoise(1.0)}
    whole = run_whole(clap, recordings, tmp_path / "a" / "run", **noise)
    killed = make_run(clap, recordings, tmp_path / "b" / "run", **noise)

    def kill(batch, outputs, loss, should_step):
        if killed.brain.optimizer_step == step:
            raise Killed

    killed.brain.on_fit_batch_end = kill
    with pytest.raises(Killed):
        killed.fit()
    torch.manual_seed(99)  # whatever was drawn in between
    resumed = run_whole(clap, recordings, tmp_path / "b" / "run", **noise)
    assert comparable(resumed.results()) == comparable(whole.results())


def test_a_finished_run_is_not_taken_for_another_one(
    clap, recordings, tmp_path
):
    first = run_whole(clap, recordings, tmp_path / "run")
    again = run_whole(clap, recordings, tmp_path / "run")
    assert again.results()["history"] == first.results()["history"]

    other = make_run(clap, recordings, tmp_path / "run", seed=2)
    with pytest.raises(InputError, match="run with other seed: give another"):
        other.fit()
    other = make_run(clap, recordings, tmp_path / "run")
    other.brain.facts["captions_fingerprint"] = "f" * 64
    with pytest.raises(InputError, match="with other captions"):
        other.fit()


def test_a_killed_run_without_test_set_resumes(clap, tmp_path):
    """To the same contexts."""
    exports = []
    for kill_at in (None, 4):
        run = make_run(clap, None, tmp_path / str(kill_at) / "run")
        if kill_at:

            def kill(batch, outputs, loss, should_step, brain=run.brain):
                if brain.optimizer_step == 4:
                    raise Killed

            run.brain.on_fit_batch_end = kill
            with pytest.raises(Killed):
                run.fit()
            run = make_run(clap, None, run.folder)
        run.fit()
        run.finish()
        exports.append(read_export(run.folder / "export"))
    assert torch.equal(exports[0].ctx_coarse, exports[1].ctx_coarse)


def test_a_finished_run_can_be_repeated_without_training(
    clap, recordings, tmp_path
):
    """The second call finds all epochs done, and the same selection."""
    first = run_whole(clap, recordings, tmp_path / "run")
    second = run_whole(clap, recordings, tmp_path / "run")
    assert comparable(first.results()) == comparable(second.results())
    assert second.brain.optimizer_step == first.brain.optimizer_step


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    """Parameters first, the meta file's name last."""
    saver = AtomicCheckpointer(tmp_path, {"net": torch.nn.Linear(1, 1)})
    saver.save_checkpoint(meta={"epoch": 1})

    def fail(obj, path):
        raise Killed

    broken = AtomicCheckpointer(
        tmp_path,
        {"net": torch.nn.Linear(1, 1)},
        custom_save_hooks={"net": fail},
    )
    with pytest.raises(Killed):
        broken.save_checkpoint(meta={"epoch": 2})
    assert [c.meta["epoch"] for c in saver.list_checkpoints()] == [1]


def test_bf16_changes_the_numbers_a_little(clap, recordings, tmp_path):
    """The towers run in bf16, the cosines do not."""
    full = run_whole(clap, recordings, tmp_path / "a" / "run", epochs=1)
    half = run_whole(
        clap,
        recordings,
        tmp_path / "b" / "run",
        epochs=1,
        run_opts={"precision": "bf16"},
    )
    a, b = (run.results()["history"][0]["train_loss"] for run in (full, half))
    assert a != b
    assert b == pytest.approx(a, rel=0.05)


def test_debug_runs_two_batches_of_two_epochs(clap, recordings, tmp_path):
    """And says so in the result file."""
    run = run_whole(
        clap, recordings, tmp_path / "run", run_opts={"debug": True}
    )
    assert run.results()["debug"] is True
    assert run.brain.optimizer_step == 4


def test_multi_label_runs_report_map(clap, recordings, tmp_path):
    """The ranking loss works on the bare cosine."""
    run = run_whole(
        clap,
        recordings,
        tmp_path / "run",
        loss=ranking_loss,
        metrics=multi_label_metrics,
        metric_name="mAP",
        logit_scale=1.0,
        multi_label=True,
    )
    metrics = run.results()["metrics"]
    assert {"mAP", "lwlrap"} <= set(metrics["ensemble"])
    assert not (run.folder / "confusion.png").exists()


def test_zero_shot_is_the_plain_template_on_the_same_clips(
    clap, recordings, tmp_path
):
    """Before any training, contexts from its words give the same scores."""
    run = make_run(
        clap,
        recordings,
        tmp_path / "run",
        learner=PromptLearner(ctx_init="this is a sound of"),
    )
    run.brain.on_evaluate_start()
    run.brain._score_recordings()
    logits, _ = run.brain._collected()
    for head, before in UNTUNED.items():
        torch.testing.assert_close(
            logits[before], logits[head], atol=1e-4, rtol=1e-4
        )


def test_zero_shot_is_scored_once_not_every_epoch(clap, recordings, tmp_path):
    """It does not change, so only the last test has it."""
    run = make_run(clap, recordings, tmp_path / "run")
    run.fit()
    run.brain._score_recordings()
    assert not any("zero_shot" in head for head in run.brain._collected()[0])


def test_an_unknown_selection_is_an_error(clap, recordings, tmp_path):
    """With the two that exist."""
    with pytest.raises(InputError, match="captions, audio"):
        make_run(clap, recordings, tmp_path / "run", selection="best")


def test_selection_on_captions_needs_held_out_captions(
    clap, recordings, tmp_path
):
    """Said before the first step."""
    run = make_run(clap, recordings, tmp_path / "run", valid=False)
    with pytest.raises(InputError, match="valid_fraction"):
        run.fit()


def test_selection_on_audio_needs_no_held_out_captions(
    clap, recordings, tmp_path, caplog
):
    """The authors' rule."""
    caplog.set_level(logging.WARNING)
    run = run_whole(
        clap, recordings, tmp_path / "run", valid=False, selection="audio"
    )
    assert len(run.results()["history"]) == 3
