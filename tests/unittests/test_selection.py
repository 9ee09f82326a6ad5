"""Tests of afpt_plugin.learners.selection."""

import numpy as np
import pytest
import torch
from common import cases
from sklearn.metrics import average_precision_score

from afpt_plugin.learners import LabeledItems
from afpt_plugin.learners.selection import Search, choose


def numbered(labels, n_classes, **kwargs):
    """Items whose embedding is their number."""
    target = torch.zeros(len(labels), n_classes)
    for row, own in enumerate(labels):
        target[row, own] = 1.0
    return LabeledItems(
        torch.arange(len(labels)).float()[:, None], target, **kwargs
    )


class Known:
    """Gives each numbered item the scores of a table, [N, n_classes]."""

    def __init__(self, tables):
        self.tables, self.seen = tables, []

    def __call__(self, train):
        """What a part is fitted with, and what it is then asked."""
        learned = train.whole[:, 0].int().tolist()

        def predict(candidate, whole):
            asked = whole[:, 0].int().tolist()
            self.seen.append((candidate, learned, asked))
            return torch.as_tensor(self.tables[candidate])[asked]

        return predict


def test_held_out_items_decide_where_there_are_any():
    right, wrong = torch.eye(2), 1 - torch.eye(2)
    items = numbered([0, 1], 2, held_out=numbered([0, 1], 2))
    fit = Known({"published": wrong, "other": right})
    assert choose(items, ["published", "other"], fit) == (
        "other",
        "2 held-out items",
    )
    assert {tuple(learned) for _, learned, _ in fit.seen} == {(0, 1)}


@pytest.mark.parametrize(("n", "n_folds"), [(2, 2), (4, 4), (9, 5)])
def test_every_item_is_judged_once_by_what_did_not_learn_it(n, n_folds):
    items = numbered([0] * n + [1] * (n + 1), 3)  # the third has no item
    fit = Known({"a": torch.zeros(2 * n + 1, 3), "b": torch.ones(2 * n + 1, 3)})
    _, rule = choose(items, ["a", "b"], fit)
    assert rule == f"{n_folds}-fold cross-validation of the training items"
    rounds = [seen for seen in fit.seen if seen[0] == "b"]
    assert len(rounds) == n_folds
    judged = sum((asked for _, _, asked in rounds), [])
    assert sorted(judged) == list(range(2 * n + 1))
    for _, learned, asked in rounds:
        assert sorted(learned + asked) == list(range(2 * n + 1))
        assert min(learned) < n <= max(learned)  # both classes


def test_items_of_one_source_are_learned_from_or_judged_together():
    """And a class of one source alone is learned from in every round."""
    labels = [0, 0, 0, 1, 1, 2, 2]
    items = numbered(labels, 3)._replace(sources=list("aabcdee"))
    fit = Known({"a": torch.zeros(7, 3), "b": torch.ones(7, 3)})
    choose(items, ["a", "b"], fit)
    judged = [set(asked) for name, _, asked in fit.seen if name == "a"]
    assert set.union(*judged) == {0, 1, 2, 3, 4}
    for asked in judged:
        assert ({0, 1} <= asked) or not ({0, 1} & asked)
        assert {5, 6}.isdisjoint(asked)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_only_item_of_a_class_is_always_learned_from(multi_label):
    labels = [0, 0, 0, 1, [1, 2] if multi_label else 2, 1, 1]
    items = numbered(labels, 3, multi_label=multi_label)
    fit = Known({"a": torch.zeros(7, 3), "b": torch.ones(7, 3)})
    choose(items, ["a", "b"], fit)
    assert all(
        4 in learned and 4 not in asked for _, learned, asked in fit.seen
    )
    judged = sum((asked for name, _, asked in fit.seen if name == "a"), [])
    assert sorted(judged) == [0, 1, 2, 3, 5, 6]


@cases(
    "labels, multi_label",
    ([0, 1], False),
    ([0], False),
    ([[0, 1], [0, 2]], True),  # each is the only item of a class
    ([[], []], True),
)
def test_with_nothing_to_spare_the_published_value_stays(labels, multi_label):
    items = numbered(labels, 3, multi_label=multi_label)
    best, rule = choose(items, ["published", "other"], Known({}))
    assert best == "published"
    assert rule == "default, since no class has an item to spare"


def test_a_given_value_is_not_compared():
    assert choose(numbered([0, 0], 1), [3], None) == (3, "given")


def test_ties_go_to_the_lower_loss_and_then_to_the_first():
    items = numbered([0, 0, 1, 1], 2)
    sure = items.target * 4
    tables = {"published": items.target, "sure": sure, "as sure": sure.clone()}
    found, _ = choose(items, list(tables), Known(tables))
    assert found == "sure"
    # A mistake costs more than any loss.
    tables["wrong"] = 100 * items.target
    tables["wrong"][0] = torch.tensor([0.0, 0.1])
    assert choose(items, list(tables), Known(tables))[0] == "sure"


def test_several_labels_are_judged_by_average_precision():
    rng = np.random.default_rng(0)
    target = rng.random((12, 4)) < 0.4
    target[:, 3] = False  # no item: left out
    logits = rng.normal(size=(12, 4))
    held_out = LabeledItems(
        torch.arange(12).float()[:, None], torch.as_tensor(target).float()
    )
    items = numbered([0], 4, held_out=held_out, multi_label=True)
    search = Search(items, Known({"a": torch.as_tensor(logits)}))
    expected = np.mean(
        [average_precision_score(target[:, i], logits[:, i]) for i in range(3)]
    )
    assert search.score("a") == pytest.approx((expected, 0.0))


def test_held_out_items_without_a_label_decide_nothing():
    items = numbered(
        [[0], [1]], 2, held_out=numbered([[], []], 2), multi_label=True
    )
    tables = {"published": torch.zeros(2, 2), "other": torch.ones(2, 2)}
    assert choose(items, list(tables), Known(tables))[0] == "published"
