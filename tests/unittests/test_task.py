"""Tests of afpt_plugin.task."""

import pytest
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.losses import ranking_loss
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]
LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
TARGETS = torch.eye(3)[:2]


def test_one_label_means_accuracy_and_cross_entropy():
    task = Task("tiny", NAMES)
    assert (task.metric, task.class_metric) == ("acc", "acc")
    assert task.logit_scale is None
    expected = torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 1]))
    torch.testing.assert_close(task.loss(LOGITS, TARGETS), expected)
    assert task.metrics(LOGITS, TARGETS)["acc"] == 0.5


def test_several_labels_mean_map_and_the_ranking_loss():
    task = Task("tiny", NAMES, multi_label=True)
    assert (task.metric, task.class_metric) == ("mAP", "ap")
    assert task.logit_scale == 1.0
    both = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert task.loss(LOGITS, both) == ranking_loss(LOGITS, both)
    assert task.metrics(LOGITS, both)["lwlrap"] == 1.0


def test_base_and_new_are_halves_that_share_no_class():
    task = Task("tiny", NAMES, multi_label=True, clip_seconds=10.0)
    base, new = task.base(), task.new()
    assert base.class_names + new.class_names == NAMES
    assert len(base.class_names) == 2
    assert base.multi_label and new.clip_seconds == 10.0
    assert base.name != new.name


def test_class_names_are_checked():
    with pytest.raises(InputError, match="dog"):
        Task("tiny", ["dog", "dog"])
