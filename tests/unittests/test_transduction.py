"""Expectation maximization against its formulas, and what it gains or loses."""

import json
import math
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import speechbrain as sb
import torch
from common import cases
from torch.nn.functional import normalize

from afpt_plugin import transduction
from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.data.datasets import EmbeddingDataset
from afpt_plugin.data.store import FeatureStore
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.learners import Template
from afpt_plugin.results.output import HEADS, primary_head
from afpt_plugin.results.run import RunResults
from afpt_plugin.results.scores import Scores
from afpt_plugin.task import Task
from afpt_plugin.transduction import expectation_maximization

N_CLASSES = 50


def make_recordings(counts, seed=0, dim=128):
    """Scores, embeddings and classes, about as MS-CLAP's are on ESC-50.

    Recordings lie around their class, three classes near each other, and class
    names beside it: 83 % are right, at a mean confidence of 83 %.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(n):
        """Gaussian vectors, about as long as a unit vector."""
        return torch.randn(n, dim, generator=generator) / dim**0.5

    near = drawn(len(counts) // 3 + 1)[torch.arange(len(counts)) // 3]
    centers = drawn(len(counts)) + near  # [n_classes, D]
    texts = centers + 1.5 * drawn(len(counts)) + drawn(1)  # [n_classes, D]
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    features = centers[labels] + 2.5 * drawn(len(labels)) + drawn(1)  # [N, D]
    features = normalize(features, dim=1)
    return 40 * features @ normalize(texts, dim=1).T, features, labels


def accuracy(scores, labels):
    return 100 * (scores.argmax(1) == labels).double().mean().item()


def unit(vector):
    """A vector divided by its norm."""
    return vector / math.sqrt(sum(value * value for value in vector))


def by_loops(logits, features, n_neighbors, n_rounds):
    """The formulas, a number at a time."""
    y = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    (n, n_classes), dim = y.shape, features.shape[1]
    f = np.array([unit(row) for row in features])
    w = np.zeros((n, n))
    for i in range(n):
        others = sorted(
            (j for j in range(n) if j != i), key=lambda j: -f[i] @ f[j]
        )
        for j in others[:n_neighbors]:
            w[i, j] = f[i] @ f[j]
    z, mu, s = y.copy(), np.zeros((n_classes, dim)), np.full(dim, 1 / dim)
    for c in range(n_classes):
        for i in sorted(range(n), key=lambda i: -y[i, c])[:8]:
            mu[c] += y[i, c] * f[i]
        mu[c] = unit(mu[c])
    for step in range(n_rounds + 1):
        if step:
            for c in range(n_classes):
                mu[c] = unit(sum(z[i, c] * f[i] for i in range(n)))
            s = np.zeros(dim)
            for i in range(n):
                for c in range(n_classes):
                    s += z[i, c] * (f[i] - mu[c]) ** 2 / n
        for _ in range(5):
            new = np.zeros_like(z)
            for i in range(n):
                for c in range(n_classes):
                    gaussian = -0.5 * sum((f[i] - mu[c]) ** 2 / s)
                    near = sum(
                        w[j, i] * z[j, c] + w[i, j] * z[j, c] for j in range(n)
                    )
                    inner = gaussian + (50 / (2 * 3)) * near
                    new[i, c] = y[i, c] * math.exp(inner / 50)
                new[i] /= sum(new[i])
            z = new
    return z


@pytest.mark.parametrize("n_rounds", [0, 1, 10])
@pytest.mark.parametrize("n_neighbors", [3, 0])
@pytest.mark.parametrize("given", ["embeddings", "scores alone"])
def test_it_is_the_formulas(monkeypatch, given, n_neighbors, n_rounds):
    """After 10 rounds little is left of the start, so it is also seen alone."""
    assert transduction.N_ROUNDS == 10
    monkeypatch.setattr(transduction, "N_ROUNDS", n_rounds)
    logits, features, _ = make_recordings([4, 6, 3, 5], seed=3, dim=7)
    logits = logits.double() / 10  # doubtful, so that others can persuade
    if given == "embeddings":
        features = features.double()
        found = expectation_maximization(logits, 9 * features, n_neighbors)
    else:
        features = logits - logits.mean(1, keepdim=True)
        found = expectation_maximization(logits, None, n_neighbors)
    arrays = logits.numpy(), features.numpy()
    expected = by_loops(*arrays, n_neighbors, n_rounds)
    assert np.abs(found.numpy() - expected).max() < 1e-9
    assert (found - logits.softmax(1)).abs().max() > 0.01  # something is moved


def test_probabilities_are_scores_through_their_logarithm():
    logits, _, _ = make_recordings([5] * 6)
    probabilities = logits.double().softmax(1)
    found = expectation_maximization(torch.log(probabilities))
    torch.testing.assert_close(found, expectation_maximization(logits))


def long_tail(ratio):
    """From 40 recordings of the first class down to 40 / ratio of the last."""
    shares = np.arange(N_CLASSES) / (N_CLASSES - 1)
    return np.round(40 * ratio**-shares).astype(int).tolist()


COUNTS = {
    "balanced": [40] * N_CLASSES,
    "5:1": long_tail(5),
    "20:1": long_tail(20),
    "25 of 50": [40, 0] * 25,
    "10 of 50": [40, 0, 0, 0, 0] * 10,
    "1 a class": [1] * N_CLASSES,
    "2 a class": [2] * N_CLASSES,
    "4 a class": [4] * N_CLASSES,
}


@pytest.mark.parametrize("case", COUNTS)
def test_more_recordings_are_right_whichever_classes_occur(case):
    rows = []
    for seed in range(2 if sum(COUNTS[case]) > 500 else 10):
        logits, features, labels = make_recordings(COUNTS[case], seed)
        found = [
            logits,
            expectation_maximization(logits, features),
            expectation_maximization(logits),
        ]
        rows.append([accuracy(scores, labels) for scores in found])
    before, embeddings, alone = np.mean(rows, 0)
    assert 80 < before < 86
    assert alone > before + 1
    # Embeddings of few classes tell parts of a class apart: no loss on average.
    assert embeddings > before + (-0.5 if case == "10 of 50" else 2)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_posteriors_stay_finite(n, scale):
    """Fewer recordings than classes, certain and uniform scores alike."""
    logits, features, _ = make_recordings([5] * 8)
    logits = scale * logits
    logits[:, 3] = logits.min() - 1000 * scale  # a class never predicted
    for given in (features[:n], torch.zeros(n, 4), None):
        z = expectation_maximization(logits[:n], given)
        assert z.shape == (n, 8) and z.dtype == torch.float64
        assert (z >= 0).all()
        torch.testing.assert_close(z.sum(1), torch.ones(n).double())


@cases(
    "logits, features, fact",
    (torch.tensor([[0.0, 1.0], [0.0, torch.nan]]), None, "row 1"),
    (torch.log(torch.tensor([[0.0, 1.0]])), None, "probability of 0"),
    (torch.eye(2), torch.full((2, 3), torch.inf), "embeddings of 2 of 2"),
    (torch.eye(2), torch.eye(3), "2 recordings, but embeddings of 3"),
    (torch.zeros(0, 2), None, "at least one"),
    (torch.zeros(2), None, "one row"),
)
def test_what_cannot_be_computed_is_refused(logits, features, fact):
    with pytest.raises(InputError, match=fact):
        expectation_maximization(logits, features)


def make_brain(clap, folder, transduction, multi_label=False):
    """A Brain that tests eight recordings of noise; nothing is trained."""
    store = FeatureStore(folder / "features", clap.fingerprint, {})
    generator = torch.Generator().manual_seed(1)

    def encode(batch):
        """Draw recordings of two frames."""
        for _ in batch:
            parts = torch.randn(2, 16, generator=generator)
            mask = torch.ones(2, dtype=torch.bool)
            yield {"whole": parts.mean(0), "parts": parts, "mask": mask}

    names = ["dog", "rain", "bell"]
    items = {str(i): {"key": str(i), "labels": [i % 3]} for i in range(8)}
    store.fill(list(items), lambda batch: list(encode(batch)))
    learner, baseline = Template("the {} far away"), Template()
    for each in (learner, baseline):
        each.setup(clap, names)
    return AdaptationBrain(
        Task("tiny", names, multi_label),
        clap,
        baseline,
        RunResults(folder / str(transduction), mock.Mock(), selection=None),
        {},
        EmbeddingDataset(store, items, 3),
        {"batch_size": 3},
        transduction=transduction,
        modules={"learner": learner},
        run_opts={"device": "cpu", "noprogressbar": True},
    )


def test_a_run_reports_it_beside_the_inductive_scores(clap, tmp_path):
    found, tables = [], []
    for option in (None, "em"):
        brain = make_brain(clap, tmp_path, option)
        brain.evaluate()
        folder = tmp_path / str(option)
        found.append(json.loads((folder / "results.json").read_text()))
        tables.append(pd.read_csv(folder / "predictions.csv"))
        export = read_export(folder / "export")
        assert set(export.metrics) == set(HEADS)
        assert set(brain.score_recordings()) == set(HEADS[3:])
    without, results = found
    assert results["identity"] == without["identity"]
    heads = {"transductive", "zero_shot_transductive"}
    for part in ("metrics", "per_class"):
        assert set(results[part]) == {*HEADS, *heads}
        assert without[part].items() <= results[part].items()
    assert list(results["metrics"])[-1] == "transductive"
    assert primary_head(results["metrics"]) == "ensemble"
    # From the ensemble's logits, and from the baseline's coarse ones
    brain.on_stage_start(sb.Stage.TEST)
    batches = list(brain.test_loader)
    logits = [brain.compute_forward(batch, sb.Stage.TEST) for batch in batches]
    features = torch.cat([batch.whole.data for batch in batches])
    for head, starts in (
        ("transductive", ("coarse", "fine")),
        ("zero_shot_transductive", ("zero_shot",)),
    ):
        start = torch.cat(
            [sum(part[name] for name in starts) for part in logits]
        )
        z = expectation_maximization(start, features)
        assert np.allclose(tables[1][f"{head}_score"], z.amax(1), atol=1e-5)
        names = np.array(brain.task.class_names)[z.argmax(1)]
        assert tables[1][head].tolist() == names.tolist()


def test_impossible_classes_have_finite_scores():
    scores = Scores()
    logits = torch.tensor([[0.0, 9000.0], [9000.0, 0.0]])
    heads = {"zero_shot": logits, "coarse": logits}
    scores.add(["a", "b"], heads, torch.eye(2), torch.eye(2))
    scores.transduce()
    found, _ = scores.collect()
    assert found["transductive"].isfinite().all()
    assert found["transductive"].argmax(1).tolist() == [1, 0]


@cases(
    "transduction, multi_label, fact",
    ("tta", False, "'tta'; choose em"),
    ("em", True, "tiny may have several"),
)
def test_what_it_cannot_score_is_refused_before_training(
    clap, tmp_path, transduction, multi_label, fact
):
    with pytest.raises(InputError, match=fact):
        make_brain(clap, tmp_path, transduction, multi_label)
