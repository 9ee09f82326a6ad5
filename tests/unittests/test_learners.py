"""What every learner promises, and what each one does.

The contracts run over every learner and every supervision; a learner added to
`CASES` gets all of them.
"""

import json

import pytest
import torch
from common import cases, refused
from torch.nn.functional import normalize

from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners import (
    LEARNERS,
    Classes,
    FeatureContext,
    KernelRidge,
    LabeledItems,
    LinearProbe,
    PromptLearner,
    Template,
    TipAdapter,
)
from afpt_plugin.task import Task

NAMES = ["dog", "rain on the roof"]
NAN = float("nan")
OTHER_NAMES = ["bell", "dog", "quiet rain"]
CASES = {
    "template": lambda: Template(),
    "templates": lambda: Template(["this is a sound of {}", "{} far away"]),
    "caption mean": lambda: Template(caption_share=0.5),
    "prompts": lambda: PromptLearner(n_ctx=3, seed=1),
    "anchored prompts": lambda: PromptLearner(
        ctx_init="a sound of", anchor=0.75, seed=1
    ),
    "authors' prompts": lambda: PromptLearner(
        n_ctx=3, embed_twice=True, label_dropout=True, padding_weight=True
    ),
    "class-specific prompts": lambda: PromptLearner(
        n_ctx=3, class_specific=True, seed=1
    ),
    "a single context": lambda: PromptLearner(n_ctx=3, fine=False, seed=1),
    "prompts near the template": lambda: PromptLearner(
        n_ctx=3, zero_shot_share=0.5, entropy_weight=0.05, pull=4.0, seed=1
    ),
    "feature contexts": lambda: FeatureContext(seed=1),
    "fine feature contexts": lambda: FeatureContext(fine=True, seed=1),
    "linear probe": lambda: LinearProbe(),
    # Whole numbers survive an export.
    "kernel ridge": lambda: KernelRidge(beta=2),
    "cache": lambda: TipAdapter(),
    "learned cache": lambda: TipAdapter(alpha=1.0, beta=5.5, learn_keys=True),
}
# Those that do not score by cosines alone.
BEYOND_COSINE = ("linear probe", "kernel ridge", "cache", "learned cache")
# Those whose contexts belong to the classes they were learned for.
BOUND = (
    "class-specific prompts",
    "caption mean",
    "feature contexts",
    "fine feature contexts",
    *BEYOND_COSINE,
)


@pytest.fixture(params=CASES)
def case(request):
    """The name of a learner in `CASES`."""
    return request.param


@pytest.fixture(params=["captions", "recordings"])
def items(request, clap):
    """Two items of each class, and what they are."""
    if request.param == "captions":
        captions = ["dog barks", "rain falls", "old dog", "rain on the roof"]
        return clap.encode_captions(captions)
    generator = torch.Generator().manual_seed(0)
    wavs = 0.1 * torch.randn(4, 800, generator=generator)
    return clap.encode_audio(wavs, torch.ones(4))


@pytest.fixture
def learner(clap, case, items):
    """Set up from the items."""
    shots = LabeledItems(items.whole, torch.eye(2).repeat(2, 1))
    return CASES[case]().setup(clap, NAMES, shots)


def test_the_registry_knows_every_learner():
    cases = {type(make()) for make in CASES.values()}
    assert cases == set(LEARNERS.values())
    assert all(name == kind.__name__ for name, kind in LEARNERS.items())


def test_logits_are_scaled_and_of_every_class(clap, learner, case, items):
    logits = learner.eval()(items, learner.classes(clap))
    assert "coarse" in logits and set(logits) <= {"coarse", "fine"}
    for values in logits.values():
        assert values.shape == (4, 2)
        assert values.isfinite().all()
        if case not in BEYOND_COSINE:
            assert values.abs().max() <= clap.logit_scale + 1e-4


def test_another_scale_multiplies_the_same_cosines(clap, case, items):
    shots = LabeledItems(items.whole, torch.eye(2).repeat(2, 1))
    found = []
    for scale in (1.0, None):
        learner = CASES[case]().setup(clap, NAMES, shots, scale).eval()
        found.append(learner(items, learner.classes(clap))["coarse"])
    factor = 1.0 if case == "linear probe" else clap.logit_scale
    torch.testing.assert_close(factor * found[0], found[1])


def test_the_state_dict_holds_what_cannot_be_made_again(learner, case):
    wanted = set()
    if isinstance(learner, PromptLearner):
        wanted |= {"ctx_coarse"} | ({"ctx_fine"} if learner.fine else set())
    if isinstance(learner, FeatureContext):
        wanted |= {"ctx", "gate"}
    if case == "anchored prompts":
        wanted.add("anchor_embeddings")
    if case == "caption mean":
        wanted.add("means")
    if case == "linear probe":
        wanted |= {"weight", "bias"}
    if case == "kernel ridge":
        wanted |= {"support", "gamma", "chosen_beta"}
    if case in ("cache", "learned cache"):
        wanted |= {"keys", "labels", "alpha_and_beta"}
    assert set(learner.state_dict()) == wanted


def test_gradients_reach_what_is_learned_and_nothing_else(clap, learner, items):
    parameters = dict(learner.named_parameters())
    if not parameters:
        pytest.skip("nothing to train")
    logits = learner(items, learner.classes(clap))
    # Of a sum over classes, what they share could cancel out.
    sum(values[:, 0].sum() for values in logits.values()).backward()
    for name, parameter in parameters.items():
        assert parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None for p in clap.parameters())


def test_settings_build_an_equal_learner(clap, learner, items):
    settings = json.loads(json.dumps(learner.settings()))
    shots = LabeledItems(items.whole, torch.eye(2).repeat(2, 1))
    again = type(learner)(**settings).setup(clap, NAMES, shots)
    assert again.settings() == learner.settings()
    pairs = zip(
        learner.eval().classes(clap), again.eval().classes(clap), strict=True
    )
    assert all(torch.equal(one, two) for one, two in pairs)


def test_an_export_gives_the_same_logits(clap, learner, items, tmp_path):
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    expected = learner.eval()(items, learner.classes(clap))
    task = Task("tiny", NAMES)
    export = read_export(
        write_export(tmp_path, clap, learner, task, Template())
    )
    again = export.make_learner(clap)
    found = again(items, again.classes(clap))
    for head, values in expected.items():
        assert torch.equal(values, found[head])


@pytest.mark.parametrize("fault", ["missing", "foreign", "shape", "nan"])
def test_tensors_that_do_not_fit_are_refused(clap, learner, fault):
    tensors = {k: v.detach().clone() for k, v in learner.state_dict().items()}
    if fault == "foreign":
        tensors["other"] = torch.ones(1)
    elif not tensors:
        return
    name = "other" if fault == "foreign" else min(tensors)
    if fault == "missing":
        del tensors[name]
    elif fault == "shape":
        tensors[name] = tensors[name][None]  # would broadcast
    elif fault == "nan":
        tensors[name].flatten()[0] = torch.nan
    with pytest.raises(InputError, match=name):
        type(learner)(**learner.settings()).restore(clap, NAMES, tensors)


def test_other_class_names_or_one_sentence(clap, learner, case, items):
    with torch.no_grad():
        baseline = Template().setup(clap, OTHER_NAMES).classes(clap)
        if case in BOUND:
            with pytest.raises(InputError, match=type(learner).__name__):
                learner.with_class_names(clap, OTHER_NAMES, baseline)
            return
        other = learner.with_class_names(clap, OTHER_NAMES, baseline).eval()
        logits = other(items, other.classes(clap))
        assert logits["coarse"].shape == (4, 3)
        # A name that was learned looks as it did (up to padding).
        dog = [each.classes(clap).coarse for each in (learner.eval(), other)]
    torch.testing.assert_close(dog[0][0], dog[1][1], atol=1e-5, rtol=1e-4)


# LabeledItems


def test_class_means_weigh_an_item_by_its_share():
    a, b, both = torch.eye(3)
    shots = LabeledItems(
        torch.stack([a, 2 * b, both]),
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    )
    expected = torch.stack([(a + b + both / 2) / 2.5, both])
    torch.testing.assert_close(shots.class_means(), expected)


# Template


def test_one_template_is_the_text_itself(clap):
    found = Template("a sound of {}").setup(clap, ["dog", "{0}"])
    expected = clap.encode_captions(["a sound of dog", "a sound of {0}"]).whole
    for embeddings in found.classes(clap):
        torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=1e-5)


def test_an_ensemble_is_the_mean_of_unit_embeddings(clap):
    texts = ["this is a sound of {}", "{} far away"]
    found = Template(texts).setup(clap, NAMES).classes(clap).coarse
    parts = [
        normalize(Template(text).setup(clap, NAMES).embeddings, dim=-1)
        for text in texts
    ]
    torch.testing.assert_close(found, sum(parts) / 2)


@pytest.mark.parametrize("template", ["a sound", "{} and {}", 3])
def test_a_template_without_one_place_is_an_error_that_prints_it(template):
    with pytest.raises(InputError, match=repr(template)):
        Template([template])


# PromptLearner


def test_contexts_from_words_start_as_the_template(clap):
    learner = PromptLearner(ctx_init="this is a sound of").setup(clap, NAMES)
    expected = Template().setup(clap, NAMES).embeddings
    for embeddings in learner.classes(clap):
        torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=1e-5)


def test_the_start_is_known_when_the_contexts_have_moved(clap):
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    learner.ctx_fine.data += 1
    for name, (ctx, start) in learner.token_vectors(clap).items():
        moved = float(name == "ctx_fine")
        torch.testing.assert_close(ctx - start, torch.full((3, 32), moved))


def test_a_class_may_be_the_mean_of_its_items_alone(clap):
    shots = LabeledItems(torch.eye(16)[:2], torch.eye(2))
    found = Template(caption_share=1.0).setup(clap, NAMES, shots).classes(clap)
    torch.testing.assert_close(found.coarse, torch.eye(16)[:2])


def test_an_anchored_class_stays_where_its_items_lie(clap):
    free = PromptLearner(n_ctx=3, seed=1).setup(clap, NAMES)
    held = PromptLearner(n_ctx=3, seed=1, anchor=0.75)
    anchor = torch.randn(2, 16)
    held.setup(clap, NAMES, LabeledItems(anchor, torch.eye(2)))
    for found, learned in zip(
        held.classes(clap), free.classes(clap), strict=True
    ):
        expected = 0.75 * normalize(anchor) + 0.25 * normalize(learned)
        torch.testing.assert_close(found, expected)


@cases(
    "learner, fact",
    (PromptLearner(n_ctx=3, anchor=0.5), r"anchor is 0\.5"),
    (Template(caption_share=1.0), r"caption_share is 1\.0"),
    *(
        (kind(), f"{kind.__name__} is made of training items")
        for kind in (KernelRidge, LinearProbe, TipAdapter)
    ),
)
def test_what_is_made_of_items_asks_for_them(clap, learner, fact):
    with pytest.raises(InputError, match=fact):
        learner.setup(clap, NAMES).classes(clap)


def test_other_names_are_anchored_to_the_template(clap):
    learner = PromptLearner(n_ctx=3, anchor=0.5)
    learner.setup(clap, NAMES, LabeledItems(torch.eye(16)[:2], torch.eye(2)))
    baseline = Classes(torch.ones(3, 16), torch.ones(3, 16))
    other = learner.with_class_names(clap, OTHER_NAMES, baseline)
    assert torch.equal(other.anchor_embeddings[1], torch.eye(16)[0])
    torch.testing.assert_close(
        other.anchor_embeddings[0], torch.full((16,), 0.25)
    )


def test_each_class_can_have_its_own_contexts(clap):
    learner = PromptLearner(n_ctx=3, class_specific=True).setup(clap, NAMES)
    assert learner.ctx_coarse.shape == (2, 3, 32)
    before = learner.classes(clap)
    learner.ctx_coarse.data[1] += torch.randn(3, 32)
    after = learner.classes(clap)
    torch.testing.assert_close(before.coarse[0], after.coarse[0])
    assert not torch.allclose(before.coarse[1], after.coarse[1], atol=1e-3)
    torch.testing.assert_close(before.fine, after.fine)


def test_each_context_learns_from_its_own_head(clap):
    learner = PromptLearner(n_ctx=3).setup(clap, NAMES)
    classes = learner.classes(clap)
    tokens = clap.tokenize_class_names(NAMES)
    for name, expected in zip(("ctx_coarse", "ctx_fine"), classes, strict=True):
        alone = clap.encode_prompts(getattr(learner, name), tokens)
        torch.testing.assert_close(alone, expected)
    classes.coarse.sum().backward()
    assert learner.ctx_coarse.grad.abs().sum() > 0
    assert learner.ctx_fine.grad is None or not learner.ctx_fine.grad.any()


def test_random_contexts_depend_on_the_seed_alone(clap):
    torch.manual_seed(1)
    one = PromptLearner(n_ctx=40, seed=5).setup(clap, NAMES)
    torch.manual_seed(2)
    same = PromptLearner(n_ctx=40, seed=5).setup(clap, NAMES)
    other = PromptLearner(n_ctx=40, seed=6).setup(clap, NAMES)
    assert torch.equal(one.ctx_fine, same.ctx_fine)
    assert not torch.equal(one.ctx_fine, other.ctx_fine)
    assert not torch.equal(one.ctx_fine, one.ctx_coarse)
    assert one.ctx_coarse.std().item() == pytest.approx(0.02, rel=0.15)


def test_label_dropout_is_on_in_training_only(clap):
    learner = PromptLearner(n_ctx=3, label_dropout=True).setup(clap, NAMES)
    quiet = learner.eval().classes(clap).coarse
    assert torch.equal(quiet, learner.classes(clap).coarse)
    learner.train()
    torch.manual_seed(0)
    assert not torch.equal(quiet, learner.classes(clap).coarse)
    assert not any(module.training for module in clap.modules())


@cases(
    "kind, settings, fact",
    (PromptLearner, {"n_ctx": None}, "n_ctx"),
    (PromptLearner, {"n_ctx": 0}, "n_ctx"),
    (PromptLearner, {"anchor": -0.1}, "anchor is -0.1"),
    (PromptLearner, {"anchor": 1.0}, "anchor is 1.0"),
    (PromptLearner, {"anchor": NAN}, "anchor is nan"),
    (PromptLearner, {"zero_shot_share": 1.0}, "zero_shot_share is 1.0"),
    (PromptLearner, {"zero_shot_share": "half"}, "zero_shot_share is 'half'"),
    (PromptLearner, {"entropy_weight": -0.05}, "entropy_weight is -0.05"),
    (PromptLearner, {"pull": NAN}, "pull is nan"),
    (PromptLearner, {"pull": float("inf")}, "pull is inf"),
    (PromptLearner, {"templates": ["a sound"]}, "'a sound'"),
    (FeatureContext, {"templates": "no place"}, "'no place'"),
    (TipAdapter, {"alpha": 0}, "alpha is 0"),
    (TipAdapter, {"beta": -1.0}, "beta is -1.0"),
    (TipAdapter, {"templates": "a sound"}, "'a sound'"),
    *(
        (KernelRidge, {"beta": v}, f"beta is {v!r}")
        for v in (0, True, "1", NAN)
    ),
    (KernelRidge, {"beta": float("inf")}, "beta is inf"),
    (KernelRidge, {"ridge": -1.0}, "ridge is -1.0"),
    (KernelRidge, {"templates": "a sound"}, "'a sound'"),
    (LinearProbe, {"C": 0}, "C is 0"),
)
def test_settings_out_of_range_are_refused(kind, settings, fact):
    if kind is PromptLearner:
        settings = {"n_ctx": 3} | settings
    with refused(fact):
        kind(**settings)


@cases(
    "settings, facts",
    ({"n_ctx": 2, "ctx_init": "this is a sound of"}, ("5 ", "n_ctx is 2")),
    ({"n_ctx": 46}, ("46", "n_ctx")),
)
def test_a_prompt_that_does_not_fit_is_an_error(clap, settings, facts):
    with refused(*facts):
        PromptLearner(**settings).setup(clap, NAMES).classes(clap)
