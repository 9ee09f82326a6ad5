"""Tests of afpt_plugin.export: what was written comes back, nothing else does.

Authors
 * The afpt_plugin developers 2026
"""

from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export

NAMES = [
    "dog",
    "yes",
    "2019-01-01",
    "rain: heavy, light # or so",
    "Glocken läuten",
]
CLAP = SimpleNamespace(name="mini", fingerprint="ab" * 32)


def make_learner(n_ctx=4, dim=8):
    """Contexts, and where they started."""
    torch.manual_seed(0)
    draw = {
        name: torch.randn(n_ctx, dim) for name in ("ctx_coarse", "ctx_fine")
    }
    start = {name: ctx - 1 for name, ctx in draw.items()}
    return SimpleNamespace(
        **draw,
        start=start,
        embed_twice=True,
        anchor=0.25,
        anchor_embeddings=torch.randn(len(NAMES), 6),
    )


def write(folder, learner=None, **changes):
    """Write an export, sound unless something is changed."""
    values = {
        "clap": CLAP,
        "learner": learner or make_learner(),
        "class_names": NAMES,
        "prompt_template": "this is a sound of {}",
        "multi_label": False,
        "logit_scale": 100.0,
        "clip_seconds": 5,
    }
    return write_export(folder, **{**values, **changes})


def rewrite(folder, **changes):
    """Change values of the YAML file; None takes one out."""
    path = folder / "hyperparams.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings.update(changes)
    settings = {k: v for k, v in settings.items() if v is not None}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def test_what_was_written_comes_back(tmp_path):
    """Names that YAML would take for something else as well."""
    learner = make_learner()
    metrics = {"ensemble": {"acc": np.float64(0.5), "n": (1, 2)}}
    folder = write(
        tmp_path / "a" / "export",
        learner,
        metrics=metrics,
        facts={"dataset": "tiny"},
    )
    export = read_export(folder)
    assert export.class_names == NAMES
    assert (export.clap, export.clap_fingerprint) == ("mini", "ab" * 32)
    assert (export.n_ctx, export.embed_twice) == (4, True)
    assert export.anchor == 0.25
    assert torch.equal(export.anchor_embeddings, learner.anchor_embeddings)
    assert (export.logit_scale, export.clip_seconds) == (100.0, 5.0)
    assert export.multi_label is False
    assert export.metrics == {"ensemble": {"acc": 0.5, "n": [1, 2]}}
    assert export.facts == {"dataset": "tiny"}
    assert torch.equal(export.ctx_coarse, learner.ctx_coarse)
    assert torch.equal(export.ctx_fine, learner.ctx_fine)
    assert torch.equal(export.start_fine, learner.start["ctx_fine"])
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "hyperparams.yaml",
        "prompts.safetensors",
    ]


def test_other_users_can_read_every_file(tmp_path):
    """As the umask has it; safetensors alone would hide the contexts."""
    (tmp_path / "any").touch()
    expected = (tmp_path / "any").stat().st_mode
    for path in write(tmp_path / "export", make_learner()).iterdir():
        assert path.stat().st_mode == expected, path


def test_contexts_that_share_memory_or_have_gradients_are_written(tmp_path):
    """As a learner that starts from words may have them."""
    ctx = torch.nn.Parameter(torch.ones(4, 8))
    learner = SimpleNamespace(
        ctx_coarse=ctx,
        ctx_fine=ctx,
        start={"ctx_coarse": ctx.T.detach().T, "ctx_fine": ctx.double()},
        embed_twice=False,
        anchor=0.0,
        anchor_embeddings=torch.empty(0, 6),
    )
    assert (
        read_export(write(tmp_path, learner)).ctx_fine.tolist()
        == [[1.0] * 8] * 4
    )


def test_the_model_card_says_how_to_use_it(tmp_path):
    """With the measured values in a table."""
    metrics = {"zero_shot": {"acc": 0.25}, "ensemble": {"acc": 0.5}}
    card = (write(tmp_path, metrics=metrics) / "README.md").read_text("utf-8")
    assert "PromptedClassifier.from_hparams(source=" in card
    assert "| zero-shot | 0.2500 |" in card
    assert "Glocken läuten" in card
    assert CLAP.fingerprint in card


def test_the_folder_of_the_run_will_do(tmp_path):
    """A run has a hyperparams.yaml of its own, which is not looked at."""
    write(tmp_path / "export")
    (tmp_path / "hyperparams.yaml").write_text("learner: !new:torch.nn.Linear")
    assert read_export(tmp_path).class_names == NAMES


def test_the_fingerprint_knows_what_decides_a_score(tmp_path):
    """And nothing else."""
    same = write(tmp_path / "same", metrics={"acc": {"a": 1}})
    first = read_export(write(tmp_path / "first"))
    assert read_export(same).fingerprint == first.fingerprint
    anchored = make_learner()
    anchored.anchor_embeddings += 1
    for number, changes in enumerate(
        (
            {"class_names": NAMES[::-1]},
            {"clip_seconds": 10.0},
            {"multi_label": True},
            {"logit_scale": 5.0},
            {"learner": make_learner(n_ctx=3)},
            {"learner": anchored},
        )
    ):
        other = read_export(write(tmp_path / str(number), **changes))
        assert other.fingerprint != first.fingerprint, changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": []}, r"class names are \[\]"),
        ({"class_names": ["dog", ""]}, "class name '' must not be empty"),
        ({"class_names": ["dog", "a|b"]}, r"class name 'a\|b' must not"),
        ({"class_names": ["dog", "dog"]}, "class names repeat 'dog'"),
        ({"class_names": [True, "dog"]}, "class name True is not a text"),
        ({"prompt_template": "a sound"}, "prompt_template: 'a sound'"),
        ({"multi_label": 1}, "multi_label: 1 is not true or false"),
        ({"logit_scale": 0}, "logit_scale: 0.0 is not a number above 0"),
        ({"clip_seconds": float("nan")}, "clip_seconds: nan"),
        (
            {"clap": SimpleNamespace(name="mini", fingerprint="zz")},
            "clap_fingerprint: 'zz' is not 64 hex digits",
        ),
    ],
)
def test_nothing_unsound_is_written(tmp_path, changes, message):
    """The run learns of it, not a stranger years later."""
    with pytest.raises(InputError, match=message):
        write(tmp_path / "export", **changes)
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "afpt-prompts-9"}, "format is 'afpt-prompts-9'"),
        ({"format": None}, "format is None"),
        ({"n_ctx": None, "clap": None}, "there is no clap, n_ctx"),
        ({"n_ctx": 5}, r"shape \[4, 8\], wanted \[n_ctx, d\] = \[5, 8\]"),
        ({"n_ctx": True}, "n_ctx: True"),
        ({"n_ctx": -1}, "n_ctx: -1"),
        ({"class_names": "dog"}, "class_names: 'dog'"),
        ({"class_names": ["dog", 7]}, "class name 7 is not a text"),
        ({"class_names": ["dog", "dog"]}, "class names repeat 'dog'"),
        ({"logit_scale": "100"}, "logit_scale: '100'"),
        ({"logit_scale": float("inf")}, "logit_scale: inf"),
        ({"clip_seconds": True}, "clip_seconds: True"),
        ({"embed_twice": "no"}, "embed_twice: 'no'"),
        ({"anchor": 1.0}, "anchor: 1.0"),
        ({"anchor": 0}, r"anchor_embeddings are torch.float32 \[5, 6\]"),
        ({"clap": ["mini"]}, "clap: "),
        ({"metrics": [1]}, "metrics: "),
        ({"prompts_sha256": "00"}, "sha256 differs"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, changes, message):
    """With the file or folder it is in."""
    write(tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_export(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "format: !new:os.system [touch {canary}]",
        "format: !apply:os.system [touch {canary}]",
        "format: !!python/object/apply:os.system [touch {canary}]",
        "format: !include:other.yaml",
        "format: !ref <x>",
        "format: [",
        "[" * 1500,
        "\x00",
    ],
)
def test_a_file_from_a_hub_is_never_evaluated(tmp_path, text):
    """Tags are refused, and so is what is no YAML at all."""
    write(tmp_path)
    canary = tmp_path / "canary"
    (tmp_path / "hyperparams.yaml").write_text(text.format(canary=canary))
    with pytest.raises(InputError, match="not plain YAML"):
        read_export(tmp_path)
    assert not canary.exists()


def test_bytes_that_are_no_text_are_refused(tmp_path):
    """As those of a pickle under another name."""
    write(tmp_path)
    (tmp_path / "hyperparams.yaml").write_bytes(b"\x80\x04\x95")
    with pytest.raises(InputError, match="not plain YAML"):
        read_export(tmp_path)


def change_contexts(folder, change):
    """Write other contexts."""
    path = folder / "prompts.safetensors"
    contexts = change(safetensors.torch.load_file(path))
    safetensors.torch.save_file(contexts, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "ctx_fine": c["ctx_fine"][:2].clone()}, r"\[2, 8\]"),
        (lambda c: {**c, "ctx_fine": torch.ones(4, 9)}, r"\[4, 9\]"),
        (lambda c: {**c, "ctx_coarse": torch.ones(4)}, r"ctx_coarse has"),
        (lambda c: {k: torch.ones(4, 0) for k in c}, r"\[4, 0\]"),
        (lambda c: {k: v.half() for k, v in c.items()}, "torch.float16"),
        (lambda c: {**c, "start_fine": c["start_fine"] * torch.nan}, "finite"),
        (
            lambda c: {
                **c,
                "anchor_embeddings": c["anchor_embeddings"][:4].clone(),
            },
            r"anchor_embeddings are torch.float32 \[4, 6\].*\[5, D\]",
        ),
        (
            lambda c: {
                **c,
                "anchor_embeddings": c["anchor_embeddings"] * torch.inf,
            },
            "anchor_embeddings holds values that are not finite",
        ),
        (lambda c: {**c, "extra": torch.ones(1)}, "extra"),
        (lambda c: {"ctx_fine": c["ctx_fine"]}, "wanted ctx_coarse"),
        (lambda c: {k: v + 1 for k, v in c.items()}, "sha256 differs"),
    ],
)
def test_wrong_contexts_are_named(tmp_path, change, message):
    """Shape, kind, values, names, and those of another export."""
    write(tmp_path)
    change_contexts(tmp_path, change)
    with pytest.raises(InputError, match=message):
        read_export(tmp_path)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    """The folder, the settings, the contexts."""
    with pytest.raises(InputError, match="there is no such folder"):
        read_export(tmp_path / "no")
    with pytest.raises(InputError, match=r"hyperparams.yaml: cannot be read"):
        read_export(tmp_path)
    path = write(tmp_path) / "prompts.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"prompts.safetensors: cannot read"):
        read_export(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"prompts.safetensors: cannot read"):
        read_export(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A file is in its way."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write here"):
        write(tmp_path / "file" / "export")
