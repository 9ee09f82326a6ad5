"""Write a trained learner to an export folder; read and check such a folder.

An export has three files of a few kilobytes, without code or pickle:

* ``hyperparams.yaml``: plain values (classes, backbone, the learner's settings,
  metrics), without tags or aliases, so that a file from a hub cannot run
  anything; its size, its depth and its values have limits
* ``learner.safetensors``: the learner's state dict
* ``README.md``: a model card with three lines of code that use the export

>>> from afpt_plugin.backbones import load_clap
>>> from afpt_plugin.learners import PromptLearner, Template
>>> from afpt_plugin.task import Task
>>> clap, task = load_clap("mini"), Task("Pets", ["dog", "cat"])
>>> learner = PromptLearner(n_ctx=4).setup(clap, task.class_names)
>>> folder = getfixture("tmp_path") / "export"
>>> path = write_export(folder, clap, learner, task, Template())
>>> export = read_export(path)
>>> export.class_names, export.learner, export.make_learner(clap).n_ctx
(['dog', 'cat'], 'PromptLearner', 4)

`afpt_plugin.inference` turns an export into a classifier.

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import hashlib
import json
import os
import re
import reprlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import safetensors.torch
import yaml
from safetensors import SafetensorError

from afpt_plugin.card import CARD_FILE, model_card
from afpt_plugin.data.audio import CHANNELS
from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import read_bytes, replacing, write_if_changed
from afpt_plugin.learners import LEARNERS
from afpt_plugin.plain_yaml import PlainLoader
from afpt_plugin.scoring.calibration import make_calibration

#: First value of ``hyperparams.yaml``; raise it when the layout changes.
FORMAT = "afpt-learner-3"

SETTINGS_FILE = "hyperparams.yaml"
TENSORS_FILE = "learner.safetensors"

# Limits on an export, which may come from somebody else; in bytes.
MAX_SETTINGS = 2**20
MAX_TENSORS = 2**30
MAX_VECTORS = 100_000  # of all contexts

# Types of the values in `hyperparams.yaml`, and their names in messages.
_KINDS = {
    "clap": (str, "a name"),
    "clap_fingerprint": (str, "64 hex digits"),
    "learner": (str, "the name of a learner"),
    "learner_settings": (dict, "names with values"),
    "baseline": (str, "the name of a learner"),
    "baseline_settings": (dict, "names with values"),
    "class_names": (list, "a list of texts"),
    "multi_label": (bool, "true or false"),
    "logit_scale": ((int, float), "a number from 0.001 to 10000"),
    "clip_seconds": ((int, float), "a number from 0.001 to 3600"),
    "channels": (str, " or ".join(CHANNELS)),
    "calibration": (dict, "names with values"),
    "metrics": (dict, "names with values"),
    "facts": (dict, "names with values"),
}

# Exceptions that a learner may raise at unfit settings.
UNFIT = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Export:
    """The checked content of an export folder.

    A value of the wrong type, or out of its range, raises an `InputError`.
    """

    clap: str  # name of the backbone, see `load_clap`
    clap_fingerprint: str  # 64 hex digits
    learner: str  # a name in `afpt_plugin.learners.LEARNERS`
    learner_settings: dict  # see `Learner.settings`
    baseline: str  # what the learner was compared with
    baseline_settings: dict  # see `Learner.settings_without_items`
    class_names: list  # in the order of the class indices
    multi_label: bool  # whether a recording may have several classes
    logit_scale: float  # what cosines are multiplied by
    clip_seconds: float  # length of the clips that it was tested on
    channels: str  # how a recording becomes mono, see `load_recording`
    calibration: dict  # see `make_calibration`; empty: not calibrated
    metrics: dict  # of the run; may be empty
    facts: dict  # other facts about the run; may be empty
    tensors: dict  # the learner's state dict

    def __post_init__(self):
        for name, (kind, wanted) in _KINDS.items():
            value = getattr(self, name)
            sound = isinstance(value, kind) and (
                kind is bool or not isinstance(value, bool)
            )
            if sound and wanted.startswith("a number"):
                # The comparison excludes NaN; whole numbers may be huge.
                low, high = map(float, re.findall("[0-9.]+", wanted))
                sound = low <= value <= high
            elif sound and name == "channels":
                sound = value in CHANNELS
            elif sound and name == "clap_fingerprint":
                sound = re.fullmatch("[0-9a-f]{64}", value) is not None
            if not sound:
                raise InputError(f"{name}: {_short(value)} is not {wanted}")
        for name in ("learner", "baseline"):
            if getattr(self, name) not in LEARNERS:
                raise InputError(
                    f"{name}: {_short(getattr(self, name))} is unknown; this "
                    f"version has {', '.join(LEARNERS)}"
                )
        check_class_names(self.class_names)
        make_calibration(self.calibration, self.multi_label)
        n_ctx = self.learner_settings.get("n_ctx")
        if isinstance(n_ctx, int) and n_ctx > MAX_VECTORS / len(
            self.class_names
        ):
            raise InputError(
                f"n_ctx: {_short(n_ctx)} are too many for "
                f"{len(self.class_names)} classes"
            )
        self._build(self.learner, self.learner_settings)
        self._build(self.baseline, self.baseline_settings)

    def _build(self, name, settings):
        """Build a learner before `setup`; the constructor checks settings."""
        try:
            return LEARNERS[name](**settings)
        except InputError:
            raise
        except UNFIT as error:
            raise _misfit(name, error) from error

    def make_learner(self, clap):
        """Rebuild the learner.

        Raises
        ------
        InputError
            If the learner is of another backbone, or the tensors do not fit.
        """
        if clap.fingerprint != self.clap_fingerprint:
            raise InputError(
                f"the learner was trained for {self.clap} with the fingerprint "
                f"{self.clap_fingerprint}, but this backbone is {clap.name} "
                f"with {clap.fingerprint}: give the weights that it was "
                "trained for, or retrain it"
            )
        learner = self._build(self.learner, self.learner_settings)
        try:
            learner.restore(
                clap, self.class_names, self.tensors, self.logit_scale
            )
        except InputError:
            raise
        except UNFIT as error:
            raise _misfit(self.learner, error) from error
        return learner.eval()

    def make_baseline(self, clap):
        """Rebuild the baseline, without training items."""
        baseline = self._build(self.baseline, self.baseline_settings)
        try:
            return baseline.setup(
                clap, self.class_names, logit_scale=self.logit_scale
            )
        except InputError:
            raise
        except UNFIT as error:
            raise _misfit(self.baseline, error) from error

    @property
    def fingerprint(self):
        """Hash everything that affects a score (64 hex digits)."""
        told = ("metrics", "facts", "baseline", "baseline_settings")
        told += ("calibration",) * (not self.calibration)
        settings = [getattr(self, name) for name in _KINDS if name not in told]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def write_export(
    folder,
    clap,
    learner,
    task,
    baseline,
    metrics=None,
    facts=None,
    channels="mean",
    calibration=None,
):
    """Write an export folder, each file atomically.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder; made if it is missing.
    clap : FrozenClap
        The backbone.
    learner : Learner
        The learner, after `Learner.setup` and training.
    task : Task
        The task that was learned.
    baseline : Template
        What the learner was compared with.
    metrics : dict, optional
        Metrics of the run, as JSON values.
    facts : dict, optional
        Other facts about the run, as JSON values.
    channels : str
        How a recording becomes mono, see `load_recording`.
    calibration : Calibration, optional
        How the learner's logits become probabilities.

    Raises
    ------
    InputError
        If `read_export` would refuse a value, or the folder cannot be
        written.
    """
    folder = Path(folder)
    tensors = {
        # A copy each: safetensors refuses tensors that share their memory.
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in learner.state_dict().items()
    }
    settings = {
        "clap": clap.name,
        "clap_fingerprint": clap.fingerprint,
        "learner": type(learner).__name__,
        "learner_settings": learner.settings(),
        "baseline": type(baseline).__name__,
        "baseline_settings": baseline.settings_without_items(),
        "class_names": list(task.class_names),
        "multi_label": task.multi_label,
        "logit_scale": float(learner.logit_scale),
        "clip_seconds": float(task.clip_seconds),
        "channels": channels,
        "calibration": calibration.settings() if calibration else {},
        "metrics": metrics or {},
        "facts": {
            "clap_licence": clap.licence,
            "clap_repo_id": clap.repo_id,
            **(facts or {}),
        },
    }
    # Through JSON, since YAML knows neither numpy's numbers nor tuples.
    settings = json.loads(json.dumps(settings))
    export = Export(**settings, tensors=tensors)
    with refuse_unwritable(folder):
        content = safetensors.torch.save(tensors)
        with replacing(folder / TENSORS_FILE) as part:
            # safetensors' save_file would make it unreadable for other users.
            part.write_bytes(content)
        write_if_changed(folder / CARD_FILE, model_card(export))
        settings = {
            "format": FORMAT,
            **settings,
            "tensors_sha256": _sha256(content, settings),
        }
        # Last, since it describes the others.
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        write_if_changed(folder / SETTINGS_FILE, text)
    return folder


def read_export(
    folder: str | Path, fetch: Callable[[str], str] | None = None
) -> Export:
    """Read an export folder and check every value in it; return an `Export`.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder that `write_export` wrote, or its parent if the folder is
        called ``export``; with ``fetch``, a name for messages, e.g. of a
        repository.
    fetch : callable, optional
        Takes a file's name and returns its path; by default files are read
        from ``folder``.

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
    afpt_plugin.errors.InputError: no/such/export: the folder does not exist; ...
    """
    if fetch is None:
        folder = find_export(folder)
        fetch = partial(_inside, folder)
    settings = _read_settings(fetch(SETTINGS_FILE))
    path = fetch(TENSORS_FILE)
    wanted = settings.pop("tensors_sha256")
    try:
        # Read the file once, so that the bytes hashed are the bytes used.
        content = read_bytes(path, MAX_TENSORS)
        tensors = safetensors.torch.load(content)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot read the learner's tensors ({error}); restore the "
            "file"
        ) from error
    # An earlier version hashed only the tensors.
    known = (_sha256(content, settings), hashlib.sha256(content).hexdigest())
    if wanted not in known:
        raise InputError(
            f"{path} is not the file that {SETTINGS_FILE} describes, or a "
            "value there was changed (the sha256 differs); restore both from "
            "one export"
        )
    try:
        return Export(**settings, tensors=tensors)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None


def _sha256(content, settings):
    """Hash the tensors' file and all settings, whatever their YAML layout."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(content + text.encode()).hexdigest()


def find_export(folder: str | Path) -> Path:
    """Return the folder, or the one in it that is called ``export``.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise InputError(
            f"{folder}: the folder does not exist; give what `afpt tune` "
            "wrote, or the export/ folder of a run"
        )
    inner = Path(folder, "export")
    return inner if (inner / SETTINGS_FILE).is_file() else Path(folder)


def _inside(folder, name):
    """Return the path of a file in a folder; no link may leave the folder."""
    path, root = Path(folder, name), Path(os.path.realpath(folder))
    # In the hub's cache, files are links to its own `blobs`.
    places = root, root.parents[1 if len(root.parts) > 2 else 0] / "blobs"
    target = Path(os.path.realpath(path))  # does not fail at a loop of links
    if path.is_symlink() and target.parent not in places:
        raise InputError(f"{path} is a link that leads out of the export")
    return path


def _read_settings(path):
    try:
        text = read_bytes(path, MAX_SETTINGS).decode("utf-8")
        settings = yaml.load(text, PlainLoader)
        json.dumps(settings)  # refuses dates, and numbers with too many digits
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the export/ "
            "folder of a run"
        ) from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not plain YAML ({reason:.200}); an export holds values "
            "only, never tags that build objects"
        ) from error
    found = settings.get("format") if isinstance(settings, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: the format is {_short(found)}, but this version reads "
            f"{FORMAT!r} only; to recreate an older export, run its recipe or "
            "`afpt tune` again"
        )
    # Exports of earlier versions are not calibrated.
    settings.setdefault("calibration", {})
    names = [*_KINDS, "tensors_sha256"]
    missing = [name for name in names if name not in settings]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; restore it")
    return {name: settings[name] for name in names}


def _misfit(name, error):
    reason = " ".join(str(error).split())
    return InputError(
        f"the settings of {name} do not fit ({reason:.200}); the export is "
        "damaged, or of another version of this package"
    )


def _short(value):
    """Shorten a value for a message."""
    # With aliases, a few lines of YAML can have a `repr` of gigabytes.
    text = reprlib.repr(value)
    return text if len(text) < 60 else f"{text[:60]}..."
