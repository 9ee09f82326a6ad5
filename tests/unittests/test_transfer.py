"""What one run learned, tested on other classes."""

import pytest
import torch

from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task
from afpt_plugin.transfer import Exported, Transferred

NAMES = ["dog", "rain"]
OTHERS = ["bell", "dog", "quiet rain"]
FACTS = {
    "dataset": "Pets",
    "training": {"epochs": 3},
    "supervision": {"kind": "shots", "k": 2},
    "chosen": {"rule": "given"},
}


@pytest.fixture
def export(clap, tmp_path):
    """Write the export of a learner after a step away from its start."""

    def write(**settings):
        learner = PromptLearner(n_ctx=2, **settings).setup(clap, NAMES)
        with torch.no_grad():
            learner.ctx_coarse.add_(0.3)
        write_export(
            tmp_path, clap, learner, Task("Pets", NAMES), Template(), {}, FACTS
        )
        return learner, tmp_path

    return write


@pytest.mark.parametrize("names", [NAMES, OTHERS])
def test_it_answers_as_the_learner_itself(clap, export, names):
    learner, source = export()
    moved = Transferred(source).setup(clap, names)
    baseline = Template().setup(clap, names).classes(clap)
    wanted = learner.with_class_names(clap, names, baseline)
    item = clap.encode_captions(["dog barks", "rain falls"])
    found = moved(item, moved.classes(clap))
    expected = wanted(item, wanted.classes(clap))
    assert set(found) == {"coarse", "fine"}
    for head, logits in found.items():
        torch.testing.assert_close(logits, expected[head])
    # Nothing is left to train, and an export of it is the learner's.
    assert not any(p.requires_grad for p in moved.parameters())
    assert type(moved.exported) is PromptLearner
    assert moved.n_learned == learner.n_learned


def test_it_says_what_it_was_learned_from(clap, export):
    moved = Transferred(export()[1])
    assert moved.description()["name"] == "PromptLearner"
    learned = moved.description()["learned"]
    assert learned["dataset"] == "Pets" and learned["training"]["epochs"] == 3
    assert moved.chosen == {"rule": "given"}
    items = Exported(moved).datasets(None, clap, None)
    assert items.facts == FACTS["supervision"] and items.shots() is None


def test_what_cannot_be_transferred_says_so(clap, export, make_clap, tmp_path):
    with pytest.raises(InputError, match="nothing to transfer"):
        Transferred(None).setup(clap, NAMES)
    with pytest.raises(InputError, match="does not exist"):
        Transferred(tmp_path / "none").setup(clap, NAMES)
    _, source = export(class_specific=True)
    assert Transferred(source).setup(clap, NAMES)
    with pytest.raises(InputError, match="cannot take other class names"):
        Transferred(source).setup(clap, OTHERS)
    with pytest.raises(InputError, match="fingerprint"):
        Transferred(source).setup(make_clap(seed=1), NAMES)
