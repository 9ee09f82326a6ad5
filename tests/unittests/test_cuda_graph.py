"""Steps as CUDA graphs, and sets that stay on a GPU."""

import functools

import pytest
import torch

from afpt_plugin.data.datasets import EmbeddingDataset, batch_item
from afpt_plugin.data.gpu_batches import on_device
from afpt_plugin.learners import FeatureContext, PromptLearner
from afpt_plugin.similarity import CaptionNoise
from afpt_plugin.task import Task
from afpt_plugin.training import cuda_graph
from afpt_plugin.training.cuda_graph import CapturedStep
from afpt_plugin.training.precision import full_float32, name_precision

ON_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no GPU"
)
NAMES = ["dog", "rain", "quiet bells"]


@pytest.fixture
def dataset():
    """Seven items with parts of every length."""
    torch.manual_seed(0)
    lengths = range(2, 9)
    store = {
        str(n): {
            "whole": torch.randn(16),
            "parts": torch.randn(n, 16),
            "mask": torch.ones(n, dtype=torch.bool),
        }
        for n in lengths
    }
    items = {f"id-{n}": {"key": str(n), "labels": [n % 3]} for n in lengths}
    return EmbeddingDataset(store, items, 3)


def test_a_resident_set_holds_the_same_items(dataset):
    resident = on_device(dataset, torch.device("cpu"))
    assert len(resident) == 7
    batch = resident.collate([resident[4], resident[0]])
    assert batch.id == ["id-6", "id-2"]
    item = batch_item(batch.to("cpu"))
    assert item.parts.shape == (2, 8, 16)  # of the longest of the set
    for row, index in enumerate((4, 0)):
        own, n = dataset[index], len(dataset[index]["parts"])
        assert torch.equal(item.whole[row], own["whole"])
        assert torch.equal(item.parts[row, :n], own["parts"])
        assert not item.parts[row, n:].any()
        assert item.mask[row].tolist() == [True] * n + [False] * (8 - n)
        assert torch.equal(batch.target.data[row], own["target"])
    bare = on_device(dataset.without_parts(), torch.device("cpu"))
    assert batch_item(bare.collate([0])).parts is None


def test_a_set_that_does_not_fit_stays_where_it_is(dataset, monkeypatch):
    needed = 4 * 7 * (16 + 8 * 16 + 8 + 3)
    for free, fits in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(
            "afpt_plugin.data.gpu_batches.free_bytes", lambda device, n=free: n
        )
        assert (on_device(dataset, torch.device("cpu")) is dataset) != fits


def make_step(clap, learner, noise, device, factor=1):
    """A training step of the tiny CLAP, without a Brain."""
    clap = clap.to(device)
    task = Task("Three", NAMES)
    learner.setup(clap, NAMES).train()
    augment = CaptionNoise(noise)

    def run(batches):
        (batch,) = batches
        item = batch_item(batch)
        item = item._replace(
            whole=augment(item.whole), parts=augment(item.parts)
        )
        classes = learner.classes(clap)
        with full_float32(device):
            logits = learner(item, type(classes)(*(c.float() for c in classes)))
        loss = sum(
            task.loss(each, batch.target.data) for each in logits.values()
        )
        return [(logits, loss)]

    return CapturedStep(run, learner.parameters(), factor), learner


def train(clap, learner, noise, device, dataset, n_steps=20, capture=True):
    """Losses of steps over batches of two shapes, and the learned tensors."""
    step, learner = make_step(clap, learner, noise, device)
    step.can_capture = step.can_capture and capture
    optimizer = torch.optim.AdamW(learner.parameters(), 0.02)
    resident, losses = on_device(dataset, torch.device(device)), []
    for number in range(n_steps):
        torch.manual_seed(number)
        rows = [number % 7, (number + 3) % 7, (number + 5) % 7]
        batch = resident.collate(rows[: 2 + (number % 4 > 0)])
        ((outputs, loss),) = step([batch])
        optimizer.step()
        optimizer.zero_grad()
        assert outputs["coarse"].shape == (len(batch.id), 3)
        losses.append(float(loss))
    learned = {k: v.detach().cpu() for k, v in learner.state_dict().items()}
    return losses, learned, step


def test_gradients_are_those_of_backward_and_add_up(clap, dataset):
    step, learner = make_step(clap, PromptLearner(4), 0.0, "cpu", factor=2)
    resident = on_device(dataset, torch.device("cpu"))
    batches = [resident.collate(rows) for rows in ([0, 1], [2, 3])]
    for batch in batches:
        step([batch])
    found = [p.grad.clone() for p in learner.parameters()]
    learner.zero_grad()
    for batch in batches:
        (step.function([batch])[0][1] / 2).backward()
    for own, parameter in zip(found, learner.parameters(), strict=True):
        torch.testing.assert_close(own, parameter.grad)
        assert own.any()
    assert not any(step.graphs.values())  # a CPU has none


LEARNERS = [
    functools.partial(PromptLearner, 4, seed=1),
    functools.partial(PromptLearner, 4, seed=1, label_dropout=True),
    functools.partial(PromptLearner, 4, seed=1, class_specific=True, pull=1.0),
    functools.partial(FeatureContext, seed=1),
]


@ON_GPU
@pytest.mark.parametrize("make", LEARNERS)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_graph_learns_what_launched_kernels_learn(
    make_clap, make, noise, dataset
):
    """Noise and dropout included, over 20 steps."""
    runs = [
        train(make_clap(), make(), noise, "cuda", dataset, capture=capture)
        for capture in (False, True)
    ]
    (eager, learned, _), (replayed, same, step) = runs
    assert sum(graph is not None for graph in step.graphs.values()) == 2
    assert replayed == pytest.approx(eager, rel=1e-4)
    for name, tensor in learned.items():
        torch.testing.assert_close(same[name], tensor, atol=1e-4, rtol=1e-3)


@ON_GPU
def test_a_step_that_looks_at_a_value_is_run_as_ever(
    make_clap, dataset, monkeypatch, caplog
):
    honest = PromptLearner.forward

    def look(self, item, classes):
        assert item.whole.isfinite().all().item()
        return honest(self, item, classes)

    monkeypatch.setattr(PromptLearner, "forward", look)

    def run():
        learner = PromptLearner(4, seed=1)
        return train(make_clap(), learner, 0.0, "cuda", dataset)

    losses, _, step = run()
    monkeypatch.undo()
    expected, _, _ = run()
    assert losses == pytest.approx(expected, rel=1e-4)
    assert not any(step.graphs.values())
    assert caplog.text.count("cannot be captured") == 1


def test_shapes_beyond_the_limit_run_as_ever(clap, dataset, monkeypatch):
    monkeypatch.setattr(cuda_graph, "MAX_GRAPHS", 1)
    losses, _, step = train(clap, PromptLearner(4, seed=1), 0.0, "cpu", dataset)
    assert len(step.graphs) == 1 and len(losses) == 20


def test_logits_are_multiplied_in_full_float32():
    flags = torch.backends.cuda.matmul
    before = flags.allow_tf32
    try:
        flags.allow_tf32 = True
        with torch.autocast("cpu", torch.bfloat16), full_float32("cpu"):
            assert not flags.allow_tf32
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert flags.allow_tf32
        assert name_precision("fp32", "cuda:0") == "tf32"
        flags.allow_tf32 = False
        assert name_precision("fp32", "cuda:0") == "fp32"
    finally:
        flags.allow_tf32 = before
