"""The folder that a tuned prompt travels in, and the checks on its way back.

Three files, a few kilobytes, no code and no pickle:

* ``hyperparams.yaml``: plain values (classes, backbone, scale, metrics); it is
  read by ``yaml.safe_load``, so a file from a hub cannot run anything
* ``prompts.safetensors``: ``ctx_coarse`` and ``ctx_fine`` [n_ctx, d],
  ``start_coarse`` and ``start_fine``, where training began, and
  ``anchor_embeddings``, one a class [n_classes, D] or none [0, D]
* ``README.md``: a model card with the three lines that use it

>>> from types import SimpleNamespace
>>> folder = getfixture("tmp_path") / "export"
>>> ctx = {"ctx_coarse": torch.zeros(4, 8), "ctx_fine": torch.ones(4, 8)}
>>> learner = SimpleNamespace(
...     **ctx, start=ctx, embed_twice=False, anchor=0.0,
...     anchor_embeddings=torch.empty(0, 16))
>>> clap = SimpleNamespace(name="mini", fingerprint="0" * 64)
>>> path = write_export(
...     folder, clap, learner, ["dog", "rain"], "this is a sound of {}",
...     multi_label=False, logit_scale=100.0, clip_seconds=5.0)
>>> export = read_export(path)
>>> export.class_names, export.n_ctx
(['dog', 'rain'], 4)

`afpt_plugin.inference` turns it into a classifier.

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import file_sha256, replacing, write_if_changed

#: First value of ``hyperparams.yaml``; raise it when the layout changes.
FORMAT = "afpt-prompts-2"

SETTINGS_FILE = "hyperparams.yaml"
PROMPTS_FILE = "prompts.safetensors"
CARD_FILE = "README.md"

_CONTEXTS = ("ctx_coarse", "ctx_fine", "start_coarse", "start_fine")
_TENSORS = (*_CONTEXTS, "anchor_embeddings")


@dataclasses.dataclass(frozen=True, eq=False)
class Export:
    """What an export folder holds; made only if all of it is sound.

    Arguments
    ---------
    clap : str
        Name of the backbone, see `load_clap`.
    clap_fingerprint : str
        Its fingerprint, 64 hex digits.
    n_ctx : int
        Vectors in a context.
    class_names : list of str
        In the order of the class indices.
    prompt_template : str
        Of the zero-shot baseline, with one ``{}``.
    multi_label : bool
        Whether a recording may have several classes.
    logit_scale : float
        What the Brain multiplied cosines with.
    clip_seconds : float
        Length of the clips that it was tested on.
    embed_twice : bool
        See `PromptLearner`.
    anchor : float
        See `PromptLearner`.
    metrics : dict
        Of the run; may be empty.
    facts : dict
        What else is known of the run; may be empty.
    ctx_coarse : torch.Tensor
        [n_ctx, d]
    ctx_fine : torch.Tensor
        [n_ctx, d]
    start_coarse : torch.Tensor
        Where ``ctx_coarse`` started, [n_ctx, d].
    start_fine : torch.Tensor
        Where ``ctx_fine`` started, [n_ctx, d].
    anchor_embeddings : torch.Tensor
        [n_classes, D], or [0, D] if ``anchor`` is 0.

    Raises
    ------
    InputError
        If a value is of the wrong kind or out of its range.
    """

    clap: str
    clap_fingerprint: str
    n_ctx: int
    class_names: list
    prompt_template: str
    multi_label: bool
    logit_scale: float
    clip_seconds: float
    embed_twice: bool
    anchor: float
    metrics: dict
    facts: dict
    ctx_coarse: torch.Tensor
    ctx_fine: torch.Tensor
    start_coarse: torch.Tensor
    start_fine: torch.Tensor
    anchor_embeddings: torch.Tensor

    def __post_init__(self):
        for name, kind, wanted in (
            ("clap", str, "a name"),
            ("clap_fingerprint", str, "64 hex digits"),
            ("n_ctx", int, "a number of vectors"),
            ("class_names", list, "a list of texts"),
            ("prompt_template", str, "a text with one {}"),
            ("multi_label", bool, "true or false"),
            ("logit_scale", (int, float), "a number above 0"),
            ("clip_seconds", (int, float), "a number above 0"),
            ("embed_twice", bool, "true or false"),
            ("anchor", (int, float), "a share from 0 to below 1"),
            ("metrics", dict, "names with values"),
            ("facts", dict, "names with values"),
        ):
            value = getattr(self, name)
            sound = isinstance(value, kind) and (
                kind is bool or not isinstance(value, bool)
            )
            if sound and wanted.endswith("above 0"):
                sound = math.isfinite(value) and value > 0
            elif sound and name == "anchor":
                sound = 0 <= value < 1
            elif sound and name == "n_ctx":
                sound = value > 0
            elif sound and name == "prompt_template":
                sound = value.count("{}") == 1
            elif sound and name == "clap_fingerprint":
                sound = re.fullmatch("[0-9a-f]{64}", value) is not None
            if not sound:
                raise InputError(f"{name}: {_short(value)} is not {wanted}")
        check_class_names(self.class_names)
        self._check_contexts()

    def _check_contexts(self):
        dim = self.ctx_coarse.shape[-1] if self.ctx_coarse.dim() == 2 else 0
        for name in _CONTEXTS:
            tensor = getattr(self, name)
            if tensor.dtype != torch.float32:
                raise InputError(
                    f"{name} is {tensor.dtype}, wanted torch.float32"
                )
            if tensor.shape != (self.n_ctx, dim) or dim == 0:
                raise InputError(
                    f"{name} has the shape {list(tensor.shape)}, wanted "
                    f"[n_ctx, d] = [{self.n_ctx}, {dim or 'd'}]"
                )
        anchor = self.anchor_embeddings
        n_classes = len(self.class_names) if self.anchor else 0
        if (
            anchor.dtype != torch.float32
            or anchor.dim() != 2
            or len(anchor) != n_classes
        ):
            raise InputError(
                f"anchor_embeddings are {anchor.dtype} {list(anchor.shape)}, "
                f"wanted torch.float32 [{n_classes}, D]"
            )
        for name in _TENSORS:
            if not getattr(self, name).isfinite().all():
                raise InputError(f"{name} holds values that are not finite")

    def check_backbone(self, clap):
        """Refuse a backbone that the contexts were not tuned for.

        Arguments
        ---------
        clap : FrozenClap
            The backbone.

        Raises
        ------
        InputError
            If it is another one, or its tokens have other dimensions.
        """
        if clap.fingerprint != self.clap_fingerprint:
            raise InputError(
                f"the prompts were tuned for {self.clap} with the fingerprint "
                f"{self.clap_fingerprint}, but this backbone is {clap.name} "
                f"with {clap.fingerprint}: give the weights that they were "
                "tuned for, or tune them anew"
            )
        dim = self.ctx_coarse.shape[1]
        if dim != clap.token_dim:
            raise InputError(
                f"the contexts have {dim} dimensions, the tokens of "
                f"{clap.name} {clap.token_dim}: the export is damaged; restore "
                "it"
            )

    @property
    def fingerprint(self):
        """Hash of all that decides a score (64 hex digits)."""
        deciding = (
            "clap_fingerprint",
            "class_names",
            "multi_label",
            "logit_scale",
            "clip_seconds",
            "embed_twice",
            "anchor",
        )
        settings = json.dumps([getattr(self, name) for name in deciding])
        digest = hashlib.sha256(settings.encode())
        for tensor in (self.ctx_coarse, self.ctx_fine, self.anchor_embeddings):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def write_export(
    folder,
    clap,
    learner,
    class_names,
    prompt_template,
    multi_label,
    logit_scale,
    clip_seconds,
    metrics=None,
    facts=None,
):
    """Write an export folder, each file whole or not at all.

    Arguments
    ---------
    folder : str or pathlib.Path
        Made if it is missing.
    clap : FrozenClap
        The backbone.
    learner : PromptLearner
        After `PromptLearner.setup`, and training.
    class_names : list of str
        In the order of the class indices.
    prompt_template : str
        Of the zero-shot baseline, with one ``{}``.
    multi_label : bool
        Whether a recording may have several classes.
    logit_scale : float
        What the Brain multiplied cosines with.
    clip_seconds : float
        Length of the clips that a recording is cut into.
    metrics : dict, optional
        Of the run, as JSON values.
    facts : dict, optional
        What else is known of the run, as JSON values.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If a value is none that `read_export` would accept, or the folder
        cannot be written.
    """
    folder = Path(folder)
    contexts = {
        "ctx_coarse": learner.ctx_coarse,
        "ctx_fine": learner.ctx_fine,
        "start_coarse": learner.start["ctx_coarse"],
        "start_fine": learner.start["ctx_fine"],
        "anchor_embeddings": learner.anchor_embeddings,
    }
    contexts = {
        # A copy each: safetensors refuses tensors that share their memory.
        name: ctx.detach().cpu().float().clone().contiguous()
        for name, ctx in contexts.items()
    }
    settings = {
        "clap": clap.name,
        "clap_fingerprint": clap.fingerprint,
        "n_ctx": len(contexts["ctx_coarse"]),
        "class_names": list(class_names),
        "prompt_template": prompt_template,
        "multi_label": multi_label,
        "logit_scale": float(logit_scale),
        "clip_seconds": float(clip_seconds),
        "embed_twice": bool(learner.embed_twice),
        "anchor": float(learner.anchor),
        # Through JSON, since YAML knows neither numpy's numbers nor tuples.
        "metrics": json.loads(json.dumps(metrics or {})),
        "facts": json.loads(json.dumps(facts or {})),
    }
    export = Export(**settings, **contexts)
    with refuse_unwritable(folder):
        with replacing(folder / PROMPTS_FILE) as part:
            # Its save_file would keep other users from reading the file.
            part.write_bytes(safetensors.torch.save(contexts))
        write_if_changed(folder / CARD_FILE, _model_card(export))
        settings = {
            "format": FORMAT,
            **settings,
            "prompts_sha256": file_sha256(folder / PROMPTS_FILE),
        }
        # Last, for it speaks of the others.
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        write_if_changed(folder / SETTINGS_FILE, text)
    return folder


def read_export(folder, fetch=None):
    """Read an export folder and check every value in it.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where `write_export` wrote, or the folder above, if the former is called
        ``export``; with ``fetch``, the name of a place that it knows.
    fetch : callable, optional
        Takes a file's name and returns its path; by default it lies in
        ``folder``.

    Returns
    -------
    Export

    Raises
    ------
    InputError
        If the folder or a file is missing, damaged, or not what
        `write_export` writes.

    Example
    -------
    >>> read_export("no/such/export")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: no/such/export: there is no such folder; ...
    """
    if fetch is None:
        if not Path(folder).is_dir():
            raise InputError(
                f"{folder}: there is no such folder; give the export/ folder "
                "of a run"
            )
        if Path(folder, "export", PROMPTS_FILE).is_file():
            folder = Path(folder, "export")
        fetch = Path(folder).joinpath
    settings = _read_settings(fetch(SETTINGS_FILE))
    prompts = fetch(PROMPTS_FILE)
    wanted = settings.pop("prompts_sha256")
    try:
        contexts = safetensors.torch.load_file(prompts)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{prompts}: cannot read the contexts ({error}); restore the file"
        ) from error
    if set(contexts) != set(_TENSORS):
        raise InputError(
            f"{prompts} holds {', '.join(sorted(contexts)) or 'nothing'}; "
            f"wanted {', '.join(_TENSORS)}"
        )
    try:
        export = Export(**settings, **contexts)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    # After the checks that can say what is wrong.
    if file_sha256(prompts) != wanted:
        raise InputError(
            f"{prompts} is not the file that {SETTINGS_FILE} speaks of (its "
            "sha256 differs); restore both from one export"
        )
    return export


def _read_settings(path):
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the export/ "
            "folder of a run"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not plain YAML ({reason}); an export holds values only, "
            "no tags that build objects"
        ) from error
    found = settings.get("format") if isinstance(settings, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: its format is {_short(found)}, wanted {FORMAT!r}; give "
            "the export/ folder of a run, or make it anew if it is of an "
            "older version"
        )
    names = [field.name for field in dataclasses.fields(Export)]
    names = [name for name in names if name not in _TENSORS]
    names.append("prompts_sha256")
    missing = [name for name in names if name not in settings]
    if missing:
        raise InputError(f"{path}: there is no {', '.join(missing)}")
    return {name: settings[name] for name in names}


def _short(value):
    """A value in a message, however long."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:60]}..."


def _model_card(export):
    classes = ", ".join(export.class_names)
    kind = "multi-label" if export.multi_label else "single-label"
    lines = [
        "---",
        "library_name: speechbrain",
        "pipeline_tag: audio-classification",
        "tags: [audio-classification, clap, prompt-tuning]",
        "---",
        "# Tuned prompts for CLAP",
        "",
        f"Two contexts of {export.n_ctx} vectors in front of "
        f"{len(export.class_names)} class names ({kind}), learned from "
        f"captions alone for the frozen CLAP `{export.clap}`.",
        "",
        "```python",
        "from afpt_plugin.inference import PromptedClassifier",
        'classifier = PromptedClassifier.from_hparams(source="path/to/this")',
        'print(classifier.classify_file("recording.wav", top_k=3))',
        "```",
        "",
        f"Classes: {classes}",
    ]
    heads = {
        head: values
        for head, values in export.metrics.items()
        if isinstance(values, dict)
    }
    columns = sorted(
        {
            name
            for values in heads.values()
            for name, value in values.items()
            if isinstance(value, (int, float))
        }
    )
    if columns:
        lines += ["", f"| | {' | '.join(columns)} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for head, values in heads.items():
            cells = [
                f"{values[name]:.4f}"
                if isinstance(values.get(name), (int, float))
                else ""
                for name in columns
            ]
            lines.append(f"| {head.replace('_', '-')} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Backbone fingerprint: `{export.clap_fingerprint}`. Another "
        "backbone is refused.",
        "",
    ]
    return "\n".join(lines)
