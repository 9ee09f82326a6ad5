"""Metrics against their definitions, written out by hand."""

import json

import numpy as np
import pytest
import torch
from common import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from afpt_plugin.errors import InputError
from afpt_plugin.metrics import (
    confusion,
    multi_label_metrics,
    single_label_metrics,
    target_rank,
)

SETTINGS = settings(deadline=None, max_examples=60, derandomize=True)
LETTERS = list("abcdefghi")
NAN, INF = float("nan"), float("inf")


@st.composite
def single_label_sets(draw):
    """Logits (ties are frequent) and class indices."""
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 10_000]))
    logits = rng.integers(0, levels, (n, c)) / 8 - 3
    return torch.tensor(logits), torch.tensor(rng.integers(0, c, n))


@st.composite
def multi_label_sets(draw):
    """Scores with and without ties, and multi-hot targets, not all 0."""
    n, c = draw(st.integers(1, 20)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.permutation(n * c).reshape(n, c) / 7 - 2
    if draw(st.booleans()):
        scores = scores.round()
    density = draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    targets = (rng.random((n, c)) < density).astype(int)
    targets[rng.integers(n), rng.integers(c)] = 1
    return torch.tensor(scores), torch.tensor(targets)


def precisions(scores, targets):
    """Of each positive, the share of positives at its score or above."""
    return [targets[scores >= own].mean() for own in scores[targets == 1]]


@SETTINGS
@given(single_label_sets())
def test_single_label_metrics_agree_with_a_stable_sort(data):
    logits, targets = data
    names = LETTERS[: logits.shape[1]]
    order = torch.argsort(logits, dim=1, descending=True, stable=True)
    place = (order == targets[:, None]).int().argmax(dim=1)
    assert target_rank(logits, targets).tolist() == (place + 1).tolist()
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (targets, order[:, 0]), 1)
    matrix = confusion(logits, targets)
    assert matrix.dtype.kind == "i" and (matrix == counts).all()
    result = single_label_metrics(logits, targets, names)
    hits = (place == 0).double()
    assert result["acc"] == pytest.approx(hits.mean().item())
    top5 = (place < 5).double().mean().item()
    assert result["acc_top5"] == pytest.approx(top5)
    assert list(result["per_class"]) == names
    for i, entry in enumerate(result["per_class"].values()):
        own = hits[targets == i]
        assert entry["n"] == len(own)
        expected = pytest.approx(own.mean().item()) if len(own) else None
        assert entry["acc"] == expected


@SETTINGS
@given(multi_label_sets(), st.randoms(use_true_random=False))
def test_multi_label_metrics_agree_with_their_definitions(data, random):
    """With ties, too, and in any order of the recordings."""
    scores, targets = (part.numpy() for part in data)
    names = LETTERS[: scores.shape[1]]
    result = multi_label_metrics(*data, names)
    rows = zip(scores, targets, strict=True)
    lwlrap = np.mean([p for row in rows for p in precisions(*row)])
    assert result["lwlrap"] == pytest.approx(lwlrap)
    assert result["n_without_label"] == (targets.sum(1) == 0).sum()
    found = {}
    for i, name in enumerate(names):
        entry = result["per_class"][name]
        assert entry["n"] == targets[:, i].sum()
        if entry["n"]:
            found[name] = np.mean(precisions(scores[:, i], targets[:, i]))
            assert entry["ap"] == pytest.approx(found[name])
        else:
            assert entry["ap"] is None
    assert result["mAP"] == pytest.approx(np.mean(list(found.values())))
    without = [name for name in names if name not in found]
    assert result["classes_without_positives"] == without
    order = random.sample(range(len(scores)), len(scores))
    shuffled = multi_label_metrics(*(part[order] for part in data), names)
    for key in ("mAP", "lwlrap"):
        assert shuffled[key] == pytest.approx(result[key])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_with_gradient_makes_plain_json(dtype):
    logits = torch.eye(3, dtype=dtype, requires_grad=True)
    targets = torch.tensor([0, 1, 1])
    multi_hot = torch.nn.functional.one_hot(targets, 3).to(dtype)
    for result in (
        single_label_metrics(logits, targets, LETTERS[:3]),
        multi_label_metrics(logits, multi_hot, LETTERS[:3]),
    ):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


@cases(
    "measure, scores, targets, message",
    (single_label_metrics, torch.zeros(2), torch.zeros(2), "unpack"),
    (single_label_metrics, torch.zeros(2, 2), torch.zeros(3), "3"),
    (single_label_metrics, torch.zeros(2, 3), torch.zeros(2), "longer"),
    (single_label_metrics, torch.zeros(2, 2), [0, 2], "row 1: target 2"),
    (single_label_metrics, torch.zeros(2, 2), [0, -1], "target -1"),
    (single_label_metrics, torch.zeros(2, 2), [0, 0.5], "target 0.5"),
    (single_label_metrics, torch.zeros(0, 2), [], "test manifest"),
    (single_label_metrics, [[0, 0], [NAN, 0]], [0, 0], "row 1"),
    (multi_label_metrics, torch.zeros(2, 2), torch.zeros(2), "2"),
    (multi_label_metrics, torch.zeros(2, 3), torch.ones(2, 3), "longer"),
    (multi_label_metrics, torch.zeros(1, 2), [[0.5, 0]], "target 0.5"),
    (multi_label_metrics, torch.zeros(2, 2), torch.zeros(2, 2), "label"),
    (multi_label_metrics, torch.zeros(0, 2), torch.zeros(0, 2), "manifest"),
    (multi_label_metrics, [[INF, INF]], [[1, 1]], "row 0"),
)
def test_what_cannot_be_measured_is_refused(measure, scores, targets, message):
    with pytest.raises(ValueError, match=message) as error:
        measure(scores, targets, ["a", "b"])
    if "manifest" in message:  # is the user's to correct
        assert isinstance(error.value, InputError)
