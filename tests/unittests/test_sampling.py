"""Tests of `afpt_plugin.data.sampling`."""

from collections import Counter

import numpy as np
import pytest
from data_sets import DATA, real

from afpt_plugin.data.sampling import (
    draw_shots,
    folds_by_source,
    iterative_folds,
)
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError


@pytest.mark.parametrize("seed", range(5))
def test_a_case_small_enough_to_know_the_answer(seed):
    """A rare label comes with a frequent one; both are halved, as are items."""
    target = np.array([[1, 1]] * 2 + [[0, 1]] * 4 + [[0, 0]] * 2)
    fold = iterative_folds(target, 2, seed)
    for group in (fold[:2], fold[2:6], fold[6:]):
        assert np.bincount(group, minlength=2).tolist() == [len(group) // 2] * 2


def spread(target, fold, n_folds):
    """How far labels are from their share in a fold, of what the share is."""
    counts = np.stack([target[fold == f].sum(0) for f in range(n_folds)])
    return np.abs(counts * n_folds / target.sum(0) - 1)


def check_folds(target, n_folds):
    """Every label is shared out, far better than by chance."""
    fold = iterative_folds(target, n_folds)
    sizes = np.bincount(fold, minlength=n_folds)
    assert len(fold) == len(target) and np.ptp(sizes) <= 0.1 * sizes.mean()
    chance = np.random.default_rng(0).permutation(np.arange(len(fold)))
    by_chance = spread(target, chance % n_folds, n_folds)
    assert spread(target, fold, n_folds).mean() < 0.4 * by_chance.mean()
    return fold


def test_every_fold_has_its_share_of_every_label():
    rng = np.random.default_rng(1)
    target = rng.random((300, 6)) < [0.04, 0.1, 0.1, 0.2, 0.4, 0.6]
    fold = check_folds(target, 5)
    rarest = np.bincount(fold[target[:, 0]], minlength=5)
    assert np.ptp(rarest) <= 1  # dealt out first, so as even as can be
    assert np.array_equal(fold, iterative_folds(target, 5))
    assert not np.array_equal(fold, iterative_folds(target, 5, seed=1))


@real("data/FSDKaggle2019")
def test_the_real_labels_of_fsd2019_are_shared_out():
    path = "FSDKaggle2019/FSDKaggle2019.meta/test_post_competition.csv"
    rows = read_table(DATA / path, ["labels"])
    labels = [set(row["labels"].split(",")) for row in rows]
    names = sorted(set.union(*labels))
    target = np.array([[name in own for name in names] for own in labels])
    assert target.shape == (4481, 80)
    fold = check_folds(target, 4)
    counts = np.stack([target[fold == f].sum(0) for f in range(4)])
    assert np.ptp(counts, axis=0).mean() < 2  # labels have 38 to 150 items


def make_recordings(n_sources=40, seed=0):
    """Keys, classes and sources; a source has one class, and 1 to 4 takes."""
    rng = np.random.default_rng(seed)
    takes = rng.integers(1, 5, n_sources)
    sources = [f"s{i}" for i, n in enumerate(takes) for _ in range(n)]
    labels = [f"c{int(source[1:]) % 4}" for source in sources]
    return [f"{i:03}" for i in range(len(sources))], labels, sources


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_no_source_is_in_two_folds_and_classes_are_spread(n_folds):
    keys, labels, sources = make_recordings()
    folds = folds_by_source(keys, labels, sources, n_folds)
    assert set(folds) == set(range(1, n_folds + 1))
    assert len(set(zip(sources, folds, strict=True))) == len(set(sources))
    counts = Counter(zip(labels, folds, strict=True))
    for label, total in Counter(labels).items():
        for fold in range(1, n_folds + 1):  # to less than a source
            assert abs(counts[label, fold] - total / n_folds) < 4


def test_folds_do_not_depend_on_the_order_of_the_recordings():
    keys, labels, sources = make_recordings()
    folds = folds_by_source(keys, labels, sources, 4)
    order = np.random.default_rng(0).permutation(len(keys))
    shuffled = ([part[i] for i in order] for part in (keys, labels, sources))
    again = folds_by_source(*shuffled, 4)
    assert again == [folds[i] for i in order]


@pytest.mark.parametrize("n_folds", [1, 0, -2, True, 2.0, "3", [2], 4])
def test_a_wrong_number_of_folds_is_refused(n_folds):
    """There are three sources."""
    with pytest.raises(InputError, match="source_folds is .* allow 2 to 3"):
        folds_by_source(list("abcd"), ["x"] * 4, list("1223"), n_folds)
    with pytest.raises(InputError, match="source_folds is .* allow none"):
        folds_by_source(list("abcd"), list("wxyz"), list("1223"), n_folds)


def one_hot(labels):
    return np.array([[label == f"c{i}" for i in range(4)] for label in labels])


@pytest.mark.parametrize("k", [1, 2, 7, 100])
def test_a_class_takes_one_of_each_source_before_a_second_one(k):
    _, labels, sources = make_recordings()
    target = one_hot(labels)
    for seed in range(3):
        drawn = draw_shots(target, sources, k, seed)
        assert len(set(drawn)) == len(drawn)
        for own in target.T:
            mine = [sources[i] for i in drawn if own[i]]
            there = Counter(
                s for s, here in zip(sources, own, strict=True) if here
            )
            assert len(mine) == min(k, there.total())
            # As even as the sources allow, dealt like cards.
            level, n_left = 0, len(mine)
            wanted = Counter()
            while n_left:
                level += 1
                able = [s for s in there if there[s] >= level]
                wanted[level] = min(n_left, len(able))
                n_left -= wanted[level]
            found = Counter(
                turn for n in Counter(mine).values() for turn in range(1, n + 1)
            )
            assert found == +wanted


def test_a_draw_follows_from_the_seed():
    _, labels, sources = make_recordings()
    target = one_hot(labels)
    draws = [draw_shots(target, sources, 2, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draw_shots(target, sources, None) == list(range(len(target)))


def test_a_second_draw_takes_others_and_other_sources_first():
    target = np.ones((6, 1))
    sources = ["a", "a", "a", "b", "b", "b"]
    for seed in range(5):
        (first,) = draw_shots(target, sources, 1, seed)
        (second,) = draw_shots(target, sources, 1, seed, [first])
        assert sources[first] != sources[second]
    rest = draw_shots(target, sources, 9, 0, [0, 3])
    assert sorted(rest) == [1, 2, 4, 5]
    assert draw_shots(target, sources, 0, 0, [0]) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_rarest_of_several_labels_draws_first(seed):
    """A frequent class is served by what a rare one has drawn."""
    target = np.array([[1, 1]] * 3 + [[0, 1]] * 20)
    sources = [str(i) for i in range(23)]
    drawn = draw_shots(target, sources, 3, seed)
    assert sorted(drawn) == [0, 1, 2]
    drawn = draw_shots(target, sources, 5, seed)
    assert target[drawn].sum(0).tolist() == [3, 5]


def test_each_of_many_labels_gets_about_k():
    rng = np.random.default_rng(2)
    target = rng.random((400, 8)) < np.linspace(0.02, 0.4, 8)
    sources = [str(i) for i in range(400)]
    counts = target[draw_shots(target, sources, 5)].sum(0)
    assert (counts >= np.minimum(5, target.sum(0))).all()
    assert counts.sum() < 2 * 5 * 8
