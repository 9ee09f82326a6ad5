"""Tests of afpt_plugin.brain and results.run, on a tiny CLAP and tiny data."""

import copy
import dataclasses
import functools
import json
import math
import shutil
import types

import pytest
import torch
from common import cases, refused
from data_sets import write_noises
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger
from torch.autograd.graph import get_gradient_edge

from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.checkpoints import AtomicCheckpointer, read_state
from afpt_plugin.data.captions import Caption
from afpt_plugin.data.datasets import caption_dataset, recording_dataset
from afpt_plugin.data.gpu_batches import GpuDataset
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.supervision import Shots
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.files import file_sha256
from afpt_plugin.learners import FeatureContext, PromptLearner, Template
from afpt_plugin.results import output
from afpt_plugin.results import run as run_module
from afpt_plugin.results.output import HEADS, baseline_head
from afpt_plugin.results.run import RunResults
from afpt_plugin.schedules import CosineScheduler
from afpt_plugin.similarity import CaptionNoise
from afpt_plugin.task import Task
from afpt_plugin.training.joint import JointRuns, Stopped
from afpt_plugin.training.step_brain import StepBrain

pytestmark = pytest.mark.usefixtures("no_figures")
NAMES = ["dog", "rain", "bell"]
TASK = Task("tiny", NAMES, clip_seconds=1.0)
AUTHORS = ("label_dropout", "embed_twice", "padding_weight")
TEXTS = [
    *(
        ("dog barks loudly", 0),
        ("a big dog barks", 0),
        ("two dogs far away", 0),
    ),
    *(("rain falls on the roof", 1), ("rains on a roof", 1)),
    *(("hard rain falls", 1), ("bell rings", 2)),
    *(("old bells far away", 2), ("a small bell rings", 2)),
]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Six recordings to test on."""
    return write_noises(TASK, tmp_path_factory.mktemp("recordings"), 6)


@pytest.fixture(scope="module")
def whole(make_clap, recordings, tmp_path_factory):
    """An unbroken run with a test set and figures; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    return run_whole(make_clap(), recordings, folder / "run")


@pytest.fixture(scope="module")
def blind(make_clap, tmp_path_factory):
    """The same without a test set, where encoding a recording would fail."""
    clap = make_clap()
    clap.encode_audio = None
    run = make_run(clap, None, tmp_path_factory.mktemp("blind") / "run")
    run.fit()
    run.selected = run.finish()
    return run


@pytest.fixture(autouse=True)
def no_figures(whole, monkeypatch):
    """Figures take most of a tiny run's time; only `whole` draws them."""
    for module in (output, run_module):
        for name in ("plot_training", "plot_per_class", "plot_confusion"):
            monkeypatch.setattr(
                module, name, lambda *args, **kwargs: None, raising=False
            )


def make_run(
    clap,
    recordings,
    folder,
    valid=True,
    learner=None,
    epochs=3,
    selection="captions",
    seed=1,
    task=TASK,
    norm=1.0,
    captions=TEXTS,
    train=None,
    lr_annealing=None,
    **run_opts,
):
    """Everything a recipe builds before `fit`; without recordings, no test."""
    store = folder.parent / "features"
    test = None
    if recordings is not None:
        rows = read_manifest(recordings)
        test = recording_dataset(clap, rows, NAMES, store, 1.0)
    texts = [Caption(text, (label,)) for text, label in captions]
    train = train or caption_dataset(clap, texts, 3, store)
    held_out = caption_dataset(clap, texts[::3], 3, store) if valid else None
    learner = learner or PromptLearner(n_ctx=4, seed=1, anchor=0.5)
    baseline = Template()
    for each in (learner, baseline):
        each.setup(clap, NAMES, train.shots(), task.logit_scale)
    counter = EpochCounter(epochs)
    folder.mkdir(parents=True, exist_ok=True)
    logger = FileTrainLogger(str(folder / "train_log.txt"))
    brain = AdaptationBrain(
        task,
        clap,
        baseline,
        RunResults(folder, logger, selection, seed),
        {
            "data": {"data_fingerprint": "0"},
            "supervision": {"kind": "captions", "fingerprint": str(captions)},
        },
        test,
        {"batch_size": 4},
        CaptionNoise(norm),
        lr_annealing,
        modules={"learner": learner},
        opt_class=functools.partial(torch.optim.AdamW, lr=0.02),
        hparams={"max_grad_norm": math.inf},
        run_opts={"device": "cpu", "noprogressbar": True, **run_opts},
        checkpointer=AtomicCheckpointer(
            folder / "save", {"learner": learner, "counter": counter}
        ),
    )
    loaders = {
        "train_loader_kwargs": {"batch_size": 4, "shuffle": True},
        "valid_loader_kwargs": {"batch_size": 4},
    }
    return types.SimpleNamespace(
        brain=brain,
        learner=learner,
        fit=lambda: brain.fit(counter, train, held_out, **loaders),
        evaluate=brain.evaluate,
        finish=lambda: brain.finish(folder / "export"),
        results=lambda: json.loads((folder / "results.json").read_text()),
        export=lambda: read_export(folder / "export"),
        folder=folder,
    )


def run_whole(*args, **options):
    run = make_run(*args, **options)
    run.fit()
    run.evaluate()
    return run


def comparable(run):
    """Results without what may differ between equal runs."""
    return {k: v for k, v in run.results().items() if k != "timings"}


def assert_near(found, expected):
    """The same run, but for the rounding of its losses."""
    assert found["metrics"] == expected["metrics"]
    pairs = zip(found["history"], expected["history"], strict=True)
    assert all(own == pytest.approx(other, rel=1e-4) for own, other in pairs)


def assert_same(found, expected):
    """The same tensors, to the bit."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_a_test_alone_needs_a_learned_epoch(clap, recordings, tmp_path):
    run = make_run(clap, recordings, tmp_path / "run", test_only=True)
    run.fit()
    with refused("no learned epoch", "--test_only"):
        run.evaluate()
    whole = run_whole(clap, recordings, tmp_path / "run")
    again = run_whole(clap, recordings, tmp_path / "run", test_only=True)
    assert comparable(again)["metrics"] == comparable(whole)["metrics"]


class Killed(Exception):
    """Stands in for a signal."""


def kill_at(run, step):
    """Train until a step, and die."""

    def kill(batch, outputs, loss, should_step):
        if run.brain.optimizer_step == step:
            raise Killed

    run.brain.on_fit_batch_end = kill
    with pytest.raises(Killed):
        run.fit()


# Frozen, audio-free


def test_captions_alone_can_be_fitted(clap, tmp_path):
    learner = PromptLearner(n_ctx=4, seed=1)
    run = make_run(
        clap, None, tmp_path / "run", epochs=20, learner=learner, norm=0.0
    )
    run.fit()
    first, *_, last = run.brain.results.history
    assert last["train_loss"] < 0.9 * first["train_loss"]
    assert last["valid_loss"] < 0.9 * first["valid_loss"]


def test_clap_is_bit_identical_after_a_run(clap, recordings, tmp_path):
    before = copy.deepcopy(clap.state_dict())
    learner = PromptLearner(n_ctx=4, label_dropout=True)
    run_whole(clap, recordings, tmp_path / "run", learner=learner, epochs=1)
    assert_same(clap.state_dict(), before)
    assert not any(module.training for module in clap.modules())
    assert not any(p.requires_grad for p in clap.parameters())


def test_what_lies_behind_the_text_tower_trains_without_it(clap, tmp_path):
    run = make_run(clap, None, tmp_path / "run", learner=FeatureContext())
    clap.caption_encoder.encode = clap.caption_encoder.encode_prompts = None
    start = run.learner.ctx.detach().clone()
    run.fit()
    assert not torch.equal(run.learner.ctx, start)


def test_checkpoints_hold_the_learner_and_not_clap(whole):
    (checkpoint, *_) = whole.brain.checkpointer.list_checkpoints()
    state = read_state(checkpoint.paramfiles["learner"])
    assert set(state) == {"ctx_coarse", "ctx_fine", "anchor_embeddings"}
    files = list(checkpoint.path.iterdir())
    assert sum(file.stat().st_size for file in files) < 50_000


def test_training_never_reads_a_recording(whole, blind):
    assert blind.selected == whole.results()["selected_epoch"]
    assert_same(blind.export().tensors, whole.export().tensors)
    assert blind.export().metrics == {}
    keys = {"epoch", "train_loss", "train_acc", "valid_loss", "valid_acc"}
    assert all(set(row) == keys for row in blind.brain.results.history)
    assert "test " not in (blind.folder / "train_log.txt").read_text()


def test_recordings_are_learned_from_like_captions(clap, recordings, tmp_path):
    shots = Shots(write_noises(TASK, tmp_path, 9, 6), k=2, valid_k=1)
    store, tested = tmp_path / "features", read_manifest(recordings)
    items = shots.datasets(TASK, clap, store, tested)
    assert len(items.train) == 6 and len(items.valid) == 3
    run = run_whole(
        clap, recordings, tmp_path / "run", train=items.train, epochs=1
    )
    assert set(run.results()["metrics"]) == set(HEADS)
    with pytest.raises(InputError, match=r"0\.wav"):
        Shots(recordings).datasets(TASK, clap, store, tested)


# What an epoch and a run leave behind


def test_every_epoch_is_logged_and_in_the_checkpoints_meta(whole):
    log = (whole.folder / "train_log.txt").read_text().splitlines()
    assert [line.split(" - ")[0] for line in log[:3]] == [
        f"epoch: {epoch}" for epoch in (1, 2, 3)
    ]
    for words in ("train loss", "valid loss", "valid acc", "test fine"):
        assert words in log[0]
    last = whole.brain.checkpointer.find_checkpoint()
    assert json.loads(last.meta["history"]) == whole.results()["history"]
    keys = {"valid_loss", "valid_acc", "coarse", "fine", "ensemble"}
    assert keys <= set(last.meta)


@cases(
    "selection, best",
    ("captions", lambda rows: min(rows, key=lambda r: r["valid_loss"])),
    ("audio", lambda rows: max(rows, key=lambda row: row["ensemble"])),
    (None, lambda rows: rows[-1]),
)
def test_the_named_rule_selects_the_epoch(
    clap, recordings, tmp_path, selection, best
):
    """Lowest held-out loss, first best audio metric, or the last; exported.

    The last two need no held-out captions.
    """
    options = {"selection": selection, "valid": selection == "captions"}
    run = run_whole(clap, recordings, tmp_path / "run", epochs=6, **options)
    results = run.results()
    assert len(results["history"]) == 6
    best = best(results["history"])
    assert results["selection"] == selection
    assert results["selected_epoch"] == best["epoch"]
    for head in ("coarse", "fine", "ensemble"):
        assert results["metrics"][head]["acc"] == best[head]
    export = run.export()
    kept = run.brain.checkpointer.find_checkpoint(max_key="selection_score")
    assert_same(export.tensors, read_state(kept.paramfiles["learner"]))
    assert export.class_names == NAMES
    assert export.clip_seconds == 1.0
    assert export.metrics == results["metrics"]
    assert export.facts["selected_epoch"] == results["selected_epoch"]


def test_a_run_leaves_everything_behind(whole):
    assert {path.name for path in whole.folder.iterdir()} == {
        *("results.json", "predictions.csv", "train_log.txt"),
        *("training.png", "per_class.png", "confusion.png"),
        "reliability.png",
        *("save", "export"),
    }
    results = whole.results()
    identity = results["identity"]
    assert identity["clap_fingerprint"] == whole.brain.clap.fingerprint
    assert identity["learner"]["name"] == "PromptLearner"
    assert identity["learner"]["anchor"] == 0.5
    assert identity["training"]["epochs"] == 3
    assert identity["training"]["optimizer"] == {"name": "AdamW", "lr": 0.02}
    assert identity["training"]["batch_size"] == 4
    assert '"seed"' not in json.dumps(identity)
    assert results["n_parameters"] == 2 * 4 * 32
    assert len(results["per_class"]["zero_shot"]) == 3


def test_several_labels_report_map(clap, recordings, tmp_path):
    task = dataclasses.replace(TASK, multi_label=True)
    run = run_whole(clap, recordings, tmp_path / "run", task=task, epochs=1)
    assert run.learner.logit_scale == 1.0
    assert {"mAP", "lwlrap"} <= set(run.results()["metrics"]["ensemble"])


def test_zero_shot_is_the_plain_template_on_the_same_clips(
    clap, recordings, tmp_path
):
    learner = PromptLearner(ctx_init="this is a sound of")
    run = make_run(clap, recordings, tmp_path / "run", learner=learner)
    run.evaluate()
    logits, _ = run.brain.scores.collect()
    for head in ("coarse", "fine", "ensemble"):
        torch.testing.assert_close(
            logits[baseline_head(head)], logits[head], atol=1e-4, rtol=1e-4
        )
    # It does not change, so an epoch does not score it again.
    assert set(run.brain.score_recordings()) == {"coarse", "fine", "ensemble"}


class CoarseOnly(Template):
    """A learner without fine scores, as a linear probe is."""

    def forward(self, item, classes):
        """The coarse head alone."""
        return {"coarse": super().forward(item, classes)["coarse"]}


@pytest.mark.parametrize("learner", [Template, CoarseOnly])
def test_nothing_to_train_and_a_single_head_are_a_run_as_well(
    clap, recordings, tmp_path, learner
):
    run = run_whole(clap, recordings, tmp_path / "run", learner=learner())
    results = run.results()
    assert results["history"] == [] and results["selected_epoch"] is None
    assert results["metrics"]["coarse"] == results["metrics"]["zero_shot"]
    heads = HEADS if learner is Template else HEADS[:4]
    assert set(results["metrics"]) == set(heads)
    # The second one is not in the registry: results, and no export.
    assert (run.folder / "export").exists() == (learner is Template)


def test_debug_runs_two_batches_of_two_epochs(clap, recordings, tmp_path):
    run = run_whole(clap, recordings, tmp_path / "run", norm=0.0, debug=True)
    assert run.results()["identity"]["debug"] is True
    assert run.brain.optimizer_step == 4


def test_bf16_changes_the_numbers_a_little(blind, clap, tmp_path):
    run = make_run(clap, None, tmp_path / "run", precision="bf16")
    run.fit()
    bf16, fp32 = (
        [row["train_loss"] for row in each.brain.results.history]
        for each in (run, blind)
    )
    assert bf16 != fp32
    assert bf16 == pytest.approx(fp32, rel=0.02)


def test_the_way_of_a_gpu_gives_the_same_run(
    make_clap, recordings, tmp_path, monkeypatch
):
    """Here without its graphs: resident sets, and gradients by hand.

    Without noise, of which more is drawn for a set that is padded as one.
    """
    plain = run_whole(make_clap(), recordings, tmp_path / "plain", norm=0)
    monkeypatch.setattr(StepBrain, "keeps_items", lambda self, options: True)
    run = make_run(make_clap(), recordings, tmp_path / "run", norm=0)
    start = run.brain.on_fit_start

    def capture():
        start()
        run.brain.capture()

    run.brain.on_fit_start = capture
    run.fit()
    run.evaluate()
    assert len(run.brain.captured.graphs) == 2  # the last batch is smaller
    assert type(run.brain.test_loader.dataset) is GpuDataset
    assert_near(run.results(), plain.results())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_keeps_its_autograd_graph(clap, tmp_path, precision):
    """Or a CUDA graph could not be captured beside it."""
    learner = PromptLearner(n_ctx=4, pull=1.0, entropy_weight=0.1)
    run = make_run(
        clap, None, tmp_path / "run", learner=learner, precision=precision
    )
    marks, start = [], run.brain.on_fit_start

    def look(batch, outputs, loss, should_step):
        outputs.clear()  # which its owner drops, too
        node = get_gradient_edge(run.learner.ctx_coarse).node
        marks.append(node.metadata.get("seen"))
        node.metadata["seen"] = True

    def capture():
        start()
        run.brain.capture()

    run.brain.on_fit_start, run.brain.on_fit_batch_end = capture, look
    run.fit()
    assert len(marks) == 9 and not any(marks)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_a_gpu_is_captured(make_clap, recordings, tmp_path, precision):
    options = {"norm": 0, "learner": None, "precision": precision}
    options["device"] = "cuda"
    run = run_whole(make_clap(), recordings, tmp_path / "run", **options)
    graphs = run.brain.captured.graphs
    assert len(graphs) == 2 and all(graphs.values())
    clap = make_clap()
    joint = [
        make_run(clap, recordings, tmp_path / f"{n}", seed=n, **options)
        for n in (1, 2)
    ]
    group = JointRuns([each.fit for each in joint])
    assert group.run() == [None, None]
    assert all(next(iter(group._steps.values())).graphs.values())
    plain = run_whole(make_clap(), recordings, tmp_path / "cpu", norm=0)
    own, other = (
        [row["train_loss"] for row in each.brain.results.history]
        for each in (run, plain)
    )
    near = 0.02 if precision == "bf16" else 1e-3
    assert own == pytest.approx(other, rel=near)


# Together


def test_seeds_learn_together_what_they_learn_alone(
    make_clap, recordings, tmp_path
):
    """In one pass of the tower for those that are alike; one fails."""
    clap, names = make_clap(), ["1", "2", "3", "longer", "fails"]

    def make(name, folder):
        seed, n_ctx = ord(name[0]), 5 if name == "longer" else 4
        options = {"seed": seed, "epochs": 2 if name == "2" else 3}
        options["learner"] = PromptLearner(n_ctx=n_ctx, anchor=0.5, seed=seed)
        run = make_run(clap, recordings, tmp_path / folder / name, **options)

        def whole():
            if name == "fails":
                kill_at(run, 4)
                raise InputError("as it should")
            run.fit()
            run.evaluate()

        return run, whole

    widths = []
    honest = clap.caption_encoder.encode_prompts

    def count(ctx, *args, **kwargs):
        widths.append(len(ctx))
        return honest(ctx, *args, **kwargs)

    clap.caption_encoder.encode_prompts = count
    together = {name: make(name, "together") for name in names}
    errors = JointRuns([whole for _, whole in together.values()]).run()
    del clap.caption_encoder.encode_prompts
    assert [str(error) for error in errors] == ["None"] * 4 + ["as it should"]
    assert {8, 6, 4} < set(widths)  # two contexts of each that is alike
    for name in names[:4]:
        alone, whole = make(name, "alone")
        whole()
        found, expected = together[name][0].results(), alone.results()
        assert found["identity"] == expected["identity"]
        assert_near(found, expected)


def test_joint_runs_that_are_interrupted_ends_its_runs(
    make_clap, tmp_path, monkeypatch
):
    clap = make_clap()
    runs = [make_run(clap, None, tmp_path / str(n), seed=n) for n in (1, 2)]
    group = JointRuns([run.fit for run in runs])

    def interrupt(brains):
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "_step_of", interrupt)
    with pytest.raises(KeyboardInterrupt):
        group.run()
    assert not any(each.is_alive() for each in group.runs)
    assert [type(each.error) for each in group.runs] == [Stopped] * 2


# Resuming


@pytest.mark.parametrize("step", [1, 4, 5, 8])
def test_a_killed_run_resumes_to_the_same_numbers(
    whole, clap, recordings, tmp_path, step
):
    kill_at(make_run(clap, recordings, tmp_path / "run"), step)
    torch.manual_seed(99)  # whatever was drawn in between
    resumed = run_whole(clap, recordings, tmp_path / "run")
    assert comparable(resumed) == comparable(whole)


@cases(
    "make, settings",
    (PromptLearner, {"n_ctx": 4, "class_specific": True}),
    (PromptLearner, {"n_ctx": 4, **dict.fromkeys(AUTHORS, True)}),
    (FeatureContext, {}),
)
@pytest.mark.parametrize("supervision", ["captions", "recordings"])
def test_any_killed_learner_resumes_from_either_supervision(
    clap, recordings, tmp_path, make, settings, supervision
):
    options = {"lr_annealing": CosineScheduler(0.02, 3, warmup_lr=0.01)}
    if supervision == "recordings":
        rows = read_manifest(write_noises(TASK, tmp_path, 9, 6))
        options["train"] = recording_dataset(
            clap, rows, NAMES, tmp_path / "f", 1.0
        )

    def start(name):
        folder, learner = tmp_path / name / "run", make(seed=1, **settings)
        return make_run(clap, None, folder, learner=learner, **options)

    whole = start("whole")
    whole.fit()
    kill_at(start("killed"), 4)
    resumed = start("killed")
    resumed.fit()
    found = resumed.brain.results.history
    assert found == whole.brain.results.history and len(found) == 3


def test_a_finished_run_can_be_repeated_without_training(
    whole, clap, recordings, tmp_path
):
    shutil.copytree(whole.folder, tmp_path / "run")
    again = run_whole(clap, recordings, tmp_path / "run")
    assert comparable(again) == comparable(whole)
    assert again.brain.optimizer_step == whole.brain.optimizer_step


@cases(
    "other, named",
    ({"seed": 2}, "seed"),
    ({"captions": TEXTS[:-1]}, "supervision"),
    ({"learner": PromptLearner(n_ctx=4, anchor=0.25)}, "learner"),
    ({"norm": 0.5}, "training"),
    ({"selection": None}, "selection"),
    ({"epochs": 2}, "3 epochs, and only 2"),
    ({"epochs": 4}, None),
)
def test_another_run_does_not_go_on_from_a_finished_one(
    blind, clap, tmp_path, other, named
):
    shutil.copytree(blind.folder, tmp_path / "run")
    run = make_run(clap, None, tmp_path / "run", **other)
    if named is None:
        run.fit()
        assert len(run.brain.results.history) == 4
        return
    with pytest.raises(InputError, match=named):
        run.fit()


def test_a_checkpoint_of_an_earlier_version_is_not_gone_on_from(clap, tmp_path):
    run = make_run(clap, None, tmp_path / "run")
    meta = {"history": [{"epoch": 1}], "selection_score": 0}
    run.brain.checkpointer.save_checkpoint(meta=meta)
    with pytest.raises(InputError, match="another version"):
        run.fit()


def test_an_untrained_run_is_not_written_over_by_another(
    clap, recordings, tmp_path
):
    given = clap, recordings, tmp_path / "run"
    same = Template("a sound of {}")
    run_whole(*given, learner=same), run_whole(*given, learner=same)
    with pytest.raises(InputError, match="learner"):
        make_run(*given, learner=Template("{} far away"))
    # Its shots would be others.
    with pytest.raises(InputError, match="seed"):
        make_run(*given, learner=same, seed=2)


def test_a_half_written_checkpoint_does_not_count(tmp_path):

    def fail(obj, path):
        raise Killed

    net = {"net": torch.nn.Linear(1, 1)}
    saver = AtomicCheckpointer(tmp_path, net)
    saver.save_checkpoint(meta={"epoch": 1})
    hooks = {"net": fail}
    broken = AtomicCheckpointer(tmp_path, net, custom_save_hooks=hooks)
    with pytest.raises(Killed):
        broken.save_checkpoint(meta={"epoch": 2})
    assert [c.meta["epoch"] for c in saver.list_checkpoints()] == [1]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@cases(
    "which, file",
    *(("best", "learner"), ("best", "CKPT"), ("last", "learner")),
    *(("last", "CKPT"), ("all", "optimizer"), ("all", "counter")),
    *(("all", "brain"), ("all", "manifest")),
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    blind, clap, tmp_path, caplog, which, file
):
    """Whichever it is, the run ends as an unbroken one."""
    caplog.set_level("WARNING", logger="afpt_plugin.checkpoints")
    options = {"epochs": 5, "norm": 8.0, "captions": TEXTS[:4] + TEXTS[6:8]}
    whole = make_run(clap, None, tmp_path / "whole" / "run", **options)
    whole.fit()
    shutil.copytree(whole.folder, tmp_path / "run")
    found = whole.brain.checkpointer.find_checkpoints(max_key="selection_score")
    chosen = {"best": found[:1], "last": found[-1:], "all": found}[which]
    for each in chosen:
        folder = tmp_path / "run" / "save" / each.path.name
        (path,) = folder.glob(f"{file}.*")
        flip(path)
    again = make_run(clap, None, tmp_path / "run", **options)
    again.fit()
    assert folder.name in caplog.text
    assert again.brain.results.history == whole.brain.results.history
    again.finish(), whole.finish()
    assert_same(again.export().tensors, whole.export().tensors)
    # What cannot be used does not stay.
    kept = again.brain.checkpointer.list_checkpoints()
    assert len(list((tmp_path / "run" / "save").iterdir())) == len(kept)


def test_a_pickle_in_a_checkpoint_is_not_run(clap, blind, tmp_path):
    """Not even where its hash is right."""

    class Malicious:
        def __reduce__(self):
            return open, (str(tmp_path / "trace"), "w")

    shutil.copytree(blind.folder, tmp_path / "run")
    for path in (tmp_path / "run" / "save").glob("*/learner.ckpt"):
        torch.save({"ctx_coarse": Malicious()}, path)
        manifest = path.with_name("manifest.json")
        hashes = json.loads(manifest.read_text())
        hashes[path.name] = file_sha256(path)
        manifest.write_text(json.dumps(hashes))
    with pytest.raises(InputError, match="not a checkpoint of this run"):
        make_run(clap, None, tmp_path / "run").fit()
    assert not (tmp_path / "trace").exists()


def test_a_clock_set_back_loses_no_epoch(tmp_path, monkeypatch):
    saver = AtomicCheckpointer(tmp_path, {"net": torch.nn.Linear(1, 1)})
    for epoch, clock in ((1, 2e9), (2, 1e9), (3, 1.5e9)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        saver.save_and_keep_only(meta={"epoch": epoch})
        assert saver.find_checkpoint().meta["epoch"] == epoch


def test_a_checkpoint_is_read_once_but_never_taken_for_another(
    tmp_path, monkeypatch
):
    read = []
    construct = Checkpointer._construct_checkpoint_objects

    def watch(folders):
        """Note which folders are read."""
        read.extend(folders)
        return construct(folders)

    monkeypatch.setattr(
        Checkpointer, "_construct_checkpoint_objects", staticmethod(watch)
    )
    saver = AtomicCheckpointer(tmp_path, {"net": torch.nn.Linear(1, 1)})
    for epoch in (1, 2):
        saver.save_checkpoint(meta={"epoch": epoch}, name=str(epoch))
    for _ in range(3):
        found = saver.list_checkpoints()
        assert sorted(each.meta["epoch"] for each in found) == [1, 2]
    assert len(read) == 2
    shutil.rmtree(tmp_path / "CKPT+1")
    saver.save_checkpoint(meta={"epoch": 3}, name="1")
    found = saver.list_checkpoints()
    assert sorted(each.meta["epoch"] for each in found) == [2, 3]


@cases(
    "options, fact",
    ({"selection": "best"}, "'best'"),
    ({"selection": "audio"}, "test set"),
    ({"selection": "captions", "valid": False}, "valid_fraction"),
)
def test_a_rule_that_cannot_select_is_an_error(clap, tmp_path, options, fact):
    with pytest.raises(InputError, match=fact):
        make_run(clap, None, tmp_path / "run", **options).fit()
