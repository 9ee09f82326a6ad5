"""Tests of afpt_plugin.learners.linear_probe."""

import numpy as np
import pytest
import torch
from common import logits_of, unit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from afpt_plugin.learners import LabeledItems, LinearProbe

NAMES = ["dog", "rain", "bell", "one", "two"]


def ask(clap, shots, whole, C=None):
    """What a probe says of embeddings, [B, n_classes]."""
    names = NAMES[: shots.target.shape[1]]
    probe = LinearProbe(C).setup(clap, names, shots)
    return logits_of(clap, probe, whole)


def scikit(shots, C):
    """An independent probe of the items' classes."""
    labels = shots.target.argmax(1).numpy()
    return LogisticRegression(C=C, max_iter=1000).fit(unit(shots.whole), labels)


def test_it_is_scikit_learns_probe(clap, make_shots):
    shots, asked = make_shots([4, 3, 5]), torch.randn(20, 16)
    found = ask(clap, shots, asked, C=2.0)
    expected = scikit(shots, 2.0).decision_function(unit(asked))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_two_classes_have_scikit_learns_probabilities(clap, make_shots):
    shots, asked = make_shots([0, 4, 3]), torch.randn(20, 16)
    found = ask(clap, shots, asked, C=2.0)[:, 1:].softmax(1)
    expected = scikit(shots, 2.0).predict_proba(unit(asked))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_several_labels_are_a_probe_each(clap, make_shots):
    shots, asked = make_shots([4, 3, 5], True), torch.randn(20, 16)
    found = ask(clap, shots, asked, C=2.0)
    for index in range(3):
        model = LogisticRegression(C=2.0, max_iter=1000)
        model.fit(unit(shots.whole), shots.target[:, index].numpy())
        np.testing.assert_allclose(
            found[:, index], model.decision_function(unit(asked)), atol=1e-5
        )


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("counts", [[4, 0, 5, 0], [0, 4, 5, 6, 0], [3, 0, 0]])
@pytest.mark.parametrize("C", [0.01, 1e4])
def test_a_class_without_items_is_below_all_others(
    clap, make_shots, counts, multi_label, C
):
    shots = make_shots(counts)._replace(multi_label=multi_label)
    probe = LinearProbe(C).setup(clap, NAMES[: len(counts)], shots)
    # Also where the others are lowest
    asked = torch.cat([torch.randn(100, 16), -probe.weight, shots.whole])
    logits = ask(clap, shots, asked, C)
    known = shots.target.any(0)
    assert (logits[:, ~known].amax(1) < logits[:, known].amin(1)).all()
    assert logits.isfinite().all()


def test_a_class_that_every_item_has_does_not_tell_them_apart(clap, make_shots):
    shots = make_shots([4, 3], multi_label=True)
    shots.target[:, 0] = 1.0
    logits = ask(clap, shots, torch.randn(5, 16), C=1.0)
    assert torch.equal(logits[:, 0], torch.zeros(5))
    assert logits[:, 1].std() > 0


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("C", [None, 1.0])
def test_one_item_in_all_is_enough(clap, multi_label, C):
    shots = LabeledItems(
        torch.ones(1, 16), torch.eye(3)[1:2], None, multi_label
    )
    logits = ask(clap, shots, torch.randn(4, 16), C)
    assert (logits.argmax(1) == 1).all() and logits.isfinite().all()


def test_items_without_any_label_are_no_crash(clap):
    shots = LabeledItems(torch.randn(3, 16), torch.zeros(3, 2), None, True)
    assert ask(clap, shots, torch.randn(4, 16)).isfinite().all()


def test_c_is_found_by_coops_search(clap, make_shots):
    """Written out, with scikit-learn, for held-out items."""
    held_out = make_shots([6, 6, 6], seed=1, noise=0.8)
    shots = make_shots([8, 8, 8], held_out=held_out, noise=0.8)
    probe = LinearProbe().setup(clap, NAMES[:3], shots)
    labels = held_out.target.argmax(1).numpy()
    scores = {}

    def score(power):
        """Accuracy and negative cross entropy, of C = 10 ** power."""
        if power not in scores:
            p = scikit(shots, 10.0**power).predict_proba(unit(held_out.whole))
            accuracy = (p.argmax(1) == labels).mean()
            scores[power] = (accuracy, -log_loss(labels, p))
        return scores[power]

    best = max([6, 4, 2, 0, -2, -4, -6], key=score)
    low, high = best - 1.0, best + 1.0
    for _ in range(8):
        if score(low) > score(high):
            high = (low + high) / 2
        else:
            low = (low + high) / 2
    best = max(scores, key=score)
    assert 1e-3 < 10.0**best < 1e3  # not at an end, where all are alike
    assert probe.chosen["C"] == pytest.approx(10.0**best)
    assert probe.chosen["rule"] == "18 held-out items"
    # What was searched for is what is used.
    expected = scikit(shots, 10.0**best).coef_
    np.testing.assert_allclose(probe.weight, expected, atol=1e-4)


def test_what_was_chosen_is_told(clap, make_shots):
    cases = [
        (None, [1, 1], (0.316, "default, since no class has an item to spare")),
        (3, [2, 2], (3.0, "given")),
    ]
    for C, counts, (value, rule) in cases:
        probe = LinearProbe(C).setup(clap, NAMES[:2], make_shots(counts))
        assert probe.chosen == {"C": value, "rule": rule}
        assert probe.n_learned == 2 * 16 + 2
    probe = LinearProbe().setup(clap, NAMES[:2], make_shots([3, 2]))
    assert probe.chosen["rule"].startswith("2-fold cross-validation")
