"""Tests of `afpt_plugin.metrics` against definitions written out by hand.

Authors
 * The afpt_plugin developers 2026
"""

import json

import numpy as np
import pytest
import torch
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


def names(n_classes):
    """Class names for tests."""
    return [f"class {i}" for i in range(n_classes)]


@st.composite
def single_label_sets(draw):
    """Logits (ties are frequent) and class indices."""
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 10_000]))
    logits = rng.integers(0, levels, (n, c)) / 8 - 3
    return torch.tensor(logits), torch.tensor(rng.integers(0, c, n))


@st.composite
def multi_label_sets(draw, ties=True):
    """Scores and multi-hot targets with at least one label."""
    n, c = draw(st.integers(1, 20)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.permutation(n * c).reshape(n, c) / 7 - 2
    if ties:
        scores = scores.round()
    density = draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    targets = (rng.random((n, c)) < density).astype(int)
    targets[rng.integers(n), rng.integers(c)] = 1
    return torch.tensor(scores), torch.tensor(targets)


def lwlrap_by_hand(scores, targets):
    """Mean over all labels of the precision down to that label's rank."""
    precisions = []
    for score, target in zip(scores.tolist(), targets.tolist(), strict=True):
        for label in range(len(score)):
            if target[label]:
                at_or_above = [
                    c for c in range(len(score)) if score[c] >= score[label]
                ]
                correct = sum(target[c] for c in at_or_above)
                precisions.append(correct / len(at_or_above))
    return sum(precisions) / len(precisions)


def average_precision_by_hand(score, target):
    """Mean over the positives of the precision down to their score."""
    precisions = []
    for own, is_positive in zip(score, target, strict=True):
        if is_positive:
            retrieved = [
                t for s, t in zip(score, target, strict=True) if s >= own
            ]
            precisions.append(sum(retrieved) / len(retrieved))
    return sum(precisions) / len(precisions)


@SETTINGS
@given(single_label_sets())
def test_accuracy_equals_share_of_first_maxima(data):
    logits, targets = data
    predicted = [row.index(max(row)) for row in logits.tolist()]
    hits = [p == t for p, t in zip(predicted, targets.tolist(), strict=True)]
    result = single_label_metrics(logits, targets, names(logits.shape[1]))
    assert result["acc"] == pytest.approx(sum(hits) / len(hits))
    for i, entry in enumerate(result["per_class"].values()):
        own = [h for h, t in zip(hits, targets.tolist(), strict=True) if t == i]
        assert entry["n"] == len(own)
        if own:
            assert entry["acc"] == pytest.approx(sum(own) / len(own))
        else:
            assert entry["acc"] is None


@SETTINGS
@given(single_label_sets())
def test_rank_top5_and_confusion_agree_with_a_stable_sort(data):
    logits, targets = data
    n_classes = logits.shape[1]
    order = torch.argsort(logits, dim=1, descending=True, stable=True)
    place = (order == targets[:, None]).int().argmax(dim=1)
    assert target_rank(logits, targets).tolist() == (place + 1).tolist()
    result = single_label_metrics(logits, targets, names(n_classes))
    top5 = (order[:, :5] == targets[:, None]).any(dim=1).double().mean()
    assert result["acc_top5"] == pytest.approx(top5.item())
    counts = np.zeros((n_classes, n_classes), dtype=int)
    for true, predicted in zip(
        targets.tolist(), order[:, 0].tolist(), strict=True
    ):
        counts[true, predicted] += 1
    matrix = confusion(logits, targets, n_classes)
    assert matrix.dtype.kind == "i"
    assert (matrix == counts).all()


@SETTINGS
@given(multi_label_sets())
def test_lwlrap_equals_the_label_weighted_definition(data):
    scores, targets = data
    result = multi_label_metrics(scores, targets, names(scores.shape[1]))
    assert result["lwlrap"] == pytest.approx(lwlrap_by_hand(scores, targets))
    without = [row for row in targets.tolist() if not any(row)]
    assert result["n_without_label"] == len(without)


@SETTINGS
@given(multi_label_sets(ties=False))
def test_mean_average_precision_equals_its_definition(data):
    scores, targets = data
    class_names = names(scores.shape[1])
    result = multi_label_metrics(scores, targets, class_names)
    by_hand = {}
    for i, name in enumerate(class_names):
        target = targets[:, i].tolist()
        entry = result["per_class"][name]
        assert entry["n"] == sum(target)
        if sum(target):
            by_hand[name] = average_precision_by_hand(
                scores[:, i].tolist(), target
            )
            assert entry["ap"] == pytest.approx(by_hand[name])
        else:
            assert entry["ap"] is None
    assert result["mAP"] == pytest.approx(np.mean(list(by_hand.values())))
    assert result["classes_without_positives"] == [
        name for name in class_names if name not in by_hand
    ]


@SETTINGS
@given(multi_label_sets(), st.randoms(use_true_random=False))
def test_order_of_recordings_does_not_matter_even_with_ties(data, random):
    scores, targets = data
    order = list(range(len(scores)))
    random.shuffle(order)
    class_names = names(scores.shape[1])
    result = multi_label_metrics(scores, targets, class_names)
    shuffled = multi_label_metrics(scores[order], targets[order], class_names)
    assert shuffled["mAP"] == pytest.approx(result["mAP"])
    assert shuffled["lwlrap"] == pytest.approx(result["lwlrap"])


def test_accuracy_is_not_a_mean_of_batch_means():
    logits = torch.eye(2)[[0, 0, 0, 1]]
    targets = torch.tensor([0, 0, 0, 0])
    whole = single_label_metrics(logits, targets, names(2))["acc"]
    batches = [
        single_label_metrics(logits[rows], targets[rows], names(2))["acc"]
        for rows in (slice(0, 3), slice(3, 4))
    ]
    assert whole == 0.75
    assert np.mean(batches) == 0.5


def test_lwlrap_weighs_labels_and_leaves_out_unlabelled_recordings():
    scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    targets = torch.tensor([[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    result = multi_label_metrics(scores, targets, names(3))
    # Labels: 1/1, 2/2 and 1/3; a mean over recordings would give 2/3.
    assert result["lwlrap"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert result["n_without_label"] == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_with_gradient_are_accepted(dtype):
    logits = torch.tensor([[1.0, 2.0]], dtype=dtype, requires_grad=True)
    assert single_label_metrics(logits, torch.tensor([1]), ["a", "b"])["acc"]
    targets = torch.tensor([[0.0, 1.0]], dtype=dtype)
    assert multi_label_metrics(logits, targets, ["a", "b"])["mAP"] == 1


def test_results_are_plain_json():
    logits, targets = torch.eye(3), torch.tensor([0, 1, 1])
    multi_hot = torch.nn.functional.one_hot(targets, 3)
    for result in (
        single_label_metrics(logits, targets, names(3)),
        multi_label_metrics(logits, multi_hot, names(3)),
    ):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    ("logits", "targets", "class_names", "message"),
    [
        (torch.zeros(2), torch.zeros(2).long(), ["a"], "recordings, classes"),
        (torch.zeros(2, 2), torch.zeros(3).long(), names(2), "not [3]"),
        (torch.zeros(2, 2), torch.zeros(2, 2).long(), names(2), "[2, 2]"),
        (torch.zeros(2, 2), torch.zeros(2).long(), names(3), "n_classes is 3"),
        (torch.zeros(2, 2), torch.zeros(2).long(), ["a", "a"], "differ"),
        (torch.zeros(2, 2), torch.zeros(2), names(2), "class indices"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), names(2), "row 1: target 2"),
        (torch.zeros(2, 2), torch.tensor([0, -1]), names(2), "target -1"),
        (torch.zeros(0, 2), torch.zeros(0).long(), names(2), "nothing"),
        (
            torch.tensor([[0.0, 0.0], [float("nan"), 0.0]]),
            torch.zeros(2).long(),
            names(2),
            "row 1",
        ),
    ],
)
def test_single_label_refuses_what_it_cannot_measure(
    logits, targets, class_names, message
):
    with pytest.raises(ValueError) as error:
        single_label_metrics(logits, targets, class_names)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("scores", "targets", "class_names", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(2).long(), names(2), "[2, 2]"),
        (torch.zeros(2, 2), torch.ones(2, 2), names(3), "3 class names"),
        (torch.zeros(2, 2), torch.ones(2, 2), ["a", "a"], "differ"),
        (torch.zeros(2, 2), torch.full((2, 2), 0.5), names(2), "0 and 1"),
        (torch.zeros(2, 2), torch.zeros(2, 2), names(2), "no recording"),
        (torch.zeros(0, 2), torch.zeros(0, 2), names(2), "nothing"),
        (torch.full((1, 2), torch.inf), torch.ones(1, 2), names(2), "row 0"),
    ],
)
def test_multi_label_refuses_what_it_cannot_measure(
    scores, targets, class_names, message
):
    with pytest.raises(ValueError) as error:
        multi_label_metrics(scores, targets, class_names)
    assert message in str(error.value)


def test_an_empty_test_set_is_the_users_mistake():
    with pytest.raises(InputError, match="test manifest"):
        confusion(torch.zeros(0, 3), torch.zeros(0).long(), 3)
