"""The bookkeeping of one run: history, selection, identity, files.

The Brain implements the method; this module keeps everything that has to be
remembered between batches and epochs.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import json
import math
import os
import time
from pathlib import Path

from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from afpt_plugin.checkpoints import keep_needed
from afpt_plugin.errors import InputError, undo_if_refused
from afpt_plugin.export import write_export
from afpt_plugin.learners import LEARNERS
from afpt_plugin.option_rules import check_values
from afpt_plugin.results.figures import plot_training
from afpt_plugin.results.options import (
    describe,
    differing_options,
    read_results,
)
from afpt_plugin.results.output import (
    format_table,
    is_baseline,
    peak_memory_mb,
    primary_head,
    write_run,
)

logger = get_logger(__name__)

# Values in which a run must agree with an earlier run in the same folder.
LEARNED = (
    *("dataset", "class_names", "folds", "clip_options", "clap_fingerprint"),
    *("learner", "supervision", "training", "selection", "debug"),
)
# Arguments of a loader that affect the batches.
BATCHING = ("batch_size", "shuffle", "drop_last", "sampler")


class RunResults:
    """The state of a run, and the writer of its files.

    Arguments
    ---------
    folder : str or pathlib.Path
        The run's folder.
    train_logger : speechbrain.utils.train_logger.TrainLogger
        Gets one line per epoch.
    selection : str, optional
        The rule that selects the epoch: ``captions`` (the lowest loss on
        held-out items), ``audio`` (the authors' rule: the best metric on the
        test set) or None, which keeps the last epoch.
    seed : int
        Seed of the run.
    method : str, optional
        The method's name in tables; by default the name of the learner's class.

    Raises
    ------
    InputError
        If ``selection`` is none of these.
    """

    def __init__(
        self, folder, train_logger, selection="captions", seed=0, method=None
    ):
        check_values(selection=selection)
        self.folder = Path(folder)
        self.train_logger = train_logger
        self.selection = selection
        self.seed = seed
        self.method = method
        #: See `read_options`; None if no YAML was read.
        self.options = None
        self.identity, self.facts = {}, {}
        self.history, self.timings = [], {}
        #: `RunCalibration`, as soon as the epoch is selected.
        self.calibration = None

    def check_options(self, checkpointer=None):
        """Refuse options that differ from those of a run in the folder.

        This comes before anything is written, so that the settings in the
        folder always belong to its results.

        Raises
        ------
        InputError
            If the folder holds a run with other options.
        """
        known = [read_results(self.folder)]
        if checkpointer is not None:
            known += [
                json.loads(each.meta.get("learned") or "{}")
                for each in checkpointer.find_checkpoints()
            ]
        for each in known:
            self._refuse(differing_options(each.get("options"), self.options))

    def open(self, task, clap, learner, baseline, facts, debug=False):
        """Record what defines the run, before its first step.

        ``facts`` are ``data`` (from the prep script), ``supervision``, and
        other values for `results.json`; a ``debug`` run uses few batches. For
        the other arguments, see `AdaptationBrain`.
        """
        self.task, self.clap = task, clap
        self.learner, self.baseline = learner, baseline
        self.facts = dict(facts)
        data = self.facts.pop("data", {})
        self.timings = {"setup_seconds": self.facts.pop("setup_seconds", 0.0)}
        supervision = dict(self.facts.pop("supervision", {}))
        # The fingerprint depends on the seed, so the identity leaves it out.
        self._drawn = supervision.pop("drawn_fingerprint", None)
        rows = data.get("rows", [])
        self._sources = {row["ID"]: row.get("source") for row in rows}
        self.facts["n_left_out"] = data.get("n_left_out", 0)
        # The identity has no fold: folds are averaged, like seeds.
        fold = self.facts["fold"] = data.get("fold")
        fingerprint = data.get("data_fingerprint")
        self.facts["data_fingerprint"] = fingerprint
        self.facts["drawn"] = supervision.pop("drawn", None)  # nor a draw
        if fold is not None and supervision.get("kind") == "shots":
            supervision["fingerprint"] = None
        left_out = sorted(bad["ID"] for bad in data.get("left_out", []))
        clip_options = dict(data.get("clip_options", {}))
        clip_options.pop("seed", None)
        names = json.dumps(task.class_names).encode()
        self.identity = {
            "dataset": task.name,
            "class_names": hashlib.sha256(names).hexdigest()[:16],
            "multi_label": task.multi_label,
            "clip_seconds": task.clip_seconds,
            "data_fingerprint": fingerprint if fold is None else None,
            "left_out": left_out if fold is None else [],
            "folds": data.get("folds"),
            "clip_options": clip_options,
            "clap": clap.name,
            "clap_fingerprint": clap.fingerprint,
            "method": self.method or type(learner).__name__,
            "learner": describe(learner),
            "baseline": describe(baseline),
            "supervision": supervision,
            "training": None,
            "selection": self.selection,
            "debug": debug,
        }
        # An untrained learner has no checkpoint, so compare with the results.
        known = read_results(self.folder)
        varying = ("fold", "data_fingerprint", "seed", "options")
        if isinstance(known.get("identity"), dict):
            found = {key: known[key] for key in varying if key in known}
            self._compare(known["identity"] | found)

    def begin(self, sets, checkpointer, loader, **training):
        """Record the training's settings; check that the rule can select.

        Raises
        ------
        InputError
            If there is nothing to learn from, or the selection rule needs
            recordings to test on, held-out items or checkpoints.
        """
        train, valid, test = sets
        if train is None or training["epochs"] is None:
            raise InputError(
                f"{type(self.learner).__name__} has parameters to train, but "
                "there are no items to learn from or no epochs; give a "
                "supervision and an epoch_counter"
            )
        if self.selection is not None and checkpointer is None:
            raise InputError(
                f"selection: {self.selection} needs checkpoints to choose from; "
                "give a checkpointer, or choose null for the last epoch"
            )
        if self.selection == "audio" and test is None:
            raise InputError(
                "selection: audio needs a test set; choose captions, or null "
                "for the last epoch"
            )
        if self.selection == "captions" and valid is None:
            raise InputError(
                "selection: captions needs held-out items: raise "
                "valid_fraction (of shots: valid_k) above 0, or choose null "
                "for the last epoch" + ("" if test is None else ", or audio")
            )
        self.identity["training"] = {
            **{name: describe(value) for name, value in training.items()},
            **{key: loader[key] for key in BATCHING if key in loader},
            "n_processes": int(os.environ.get("WORLD_SIZE", 1)),
        }

    def resume(self, checkpointer, test_only=False):
        """Take the history of the last checkpoint, if there is one.

        Raises
        ------
        InputError
            If the checkpoint's training material or settings differ; with
            ``test_only``, also if nothing was learned yet.
        """
        if checkpointer is None:
            return
        last = checkpointer.find_checkpoint(
            ckpt_predicate=lambda checkpoint: "history" in checkpoint.meta
        )
        limit = (self.identity["training"] or {}).get("epochs") or math.inf
        if last is None:
            self.history = []
            if test_only and limit < math.inf:
                raise InputError(
                    f"{self.folder} has no learned epoch to test; leave "
                    "--test_only out"
                )
            return
        known = last.meta.get("learned")
        if not isinstance(known, str):
            raise InputError(
                f"{self.folder} holds checkpoints of another version of this "
                "package; choose another output folder, or delete this one"
            )
        self._compare(json.loads(known))
        self.history = json.loads(last.meta["history"])
        if len(self.history) > limit:
            raise InputError(
                f"{self.folder} holds a run of {len(self.history)} epochs, and "
                f"only {limit} are wanted now; choose another output folder, "
                "or delete this one"
            )

    def _learned(self):
        """Values that a checkpoint must share: training data and settings."""
        learned = {
            **{key: self.identity[key] for key in LEARNED},
            "seed": self.seed,
            "fold": self.facts["fold"],
            "data_fingerprint": self.facts["data_fingerprint"],
            "drawn_fingerprint": self._drawn,
            "options": self.options,
        }
        return json.loads(json.dumps(learned))  # as if read from a file

    def _compare(self, known):
        """Refuse to continue or overwrite a run that differs from this one."""

        def comparable(learned, key):
            """Return a value without the epochs, since a run may get more."""
            value = learned.get(key)
            return {**value, "epochs": 0} if key == "training" else value

        own = self._learned()
        # These are known only with a test set, or after training has begun.
        late = ("data_fingerprint", "training", "drawn_fingerprint")
        differing = [
            key
            for key in own.keys() & known.keys() - {"options"}
            if not (key in late and None in (own[key], known[key]))
            and comparable(known, key) != comparable(own, key)
        ]
        differing += differing_options(known.get("options"), own["options"])
        self._refuse(differing)

    def _refuse(self, differing):
        """Raise an error that names all differences to the folder's run."""
        if differing:
            raise InputError(
                f"{self.folder} holds a run with a different "
                f"{', '.join(sorted(set(differing)))}; choose another output "
                "folder, or delete this one"
            )

    def close_epoch(self, epoch, train, valid, audio, checkpointer):
        """Log an epoch, and keep its checkpoint if it is the best so far.

        Arguments
        ---------
        epoch : int
            Number of the epoch.
        train : dict
            ``loss`` and the primary metric on the training items.
        valid : dict
            The same on held-out items; None if there are none.
        audio : dict
            Maps a head to its primary metric on the recordings; may be empty.
        checkpointer : Checkpointer
            The Brain's checkpointer, or None.
        """
        row = {"epoch": epoch}
        for stage, stats in (("train", train), ("valid", valid or {})):
            row |= {f"{stage}_{name}": value for name, value in stats.items()}
        row |= audio
        self.history.append(row)
        self.train_logger.log_stats(
            {"epoch": epoch},
            train_stats=train,
            valid_stats=valid,
            test_stats=audio or None,
        )
        if self.selection == "captions":
            score = -valid["loss"]
        elif self.selection == "audio":
            # Only the main process scores recordings, and saves.
            score = audio[primary_head(audio)] if audio else 0.0
        else:
            score = epoch
        if checkpointer is not None:
            # Ties go to the earliest epoch, as in the authors' code.
            score -= 1e-9 * epoch
            best = checkpointer.find_checkpoint(max_key="selection_score")
            is_best = best is None or score > best.meta["selection_score"]
            meta = {
                **row,
                "selection_score": score,
                # A resumed run needs this epoch to end like an unbroken one.
                "selected_epoch": epoch if is_best else best.meta["epoch"],
                # JSON, since SpeechBrain reads each meta file about 20 times an
                # epoch, and lists of numbers are slow to read from YAML.
                "history": json.dumps(self.history),
                "learned": json.dumps(self._learned()),
            }
            checkpointer.save_checkpoint(meta=meta)
            keep_needed(checkpointer)

    def _selected_epoch(self, checkpointer):
        """Return the epoch that the rule selects; None without training."""
        best = checkpointer and checkpointer.find_checkpoint(
            max_key="selection_score"
        )
        return best.meta["epoch"] if best else None

    def close_run(self, scores, checkpointer):
        """Measure `Scores` of the test set, write everything, log the table."""
        logits, targets = scores.collect()
        # The baseline comes first, here and in tables.
        logits = dict(
            sorted(logits.items(), key=lambda head: not is_baseline(head[0]))
        )
        metrics = {
            head: self.task.metrics(values, targets)
            for head, values in logits.items()
        }
        per_class = {head: m.pop("per_class") for head, m in metrics.items()}
        selected = self._selected_epoch(checkpointer)
        start = self.timings.pop("evaluate_start")
        self.timings["evaluate_seconds"] = time.perf_counter() - start
        fitting = self.timings.get("fit_seconds", 0.0)
        self.timings["adapt_seconds"] = self.timings["setup_seconds"] + fitting
        results = {
            "dataset": self.task.name,
            "n_recordings": len(scores.ids),
            **self.facts,
            "clap": self.clap.name,
            "clap_licence": self.clap.licence,
            "seed": self.seed,
            "selection": self.selection,
            "selected_epoch": selected,
            "n_parameters": self.learner.n_learned,
            "chosen": self.learner.chosen,
            "identity": self.identity,
            "options": self.options,
            "metrics": metrics,
            "per_class": per_class,
            "calibration": self.calibration.describe(logits, targets),
            "history": self.history,
            "timings": {**self.timings, "peak_memory_mb": peak_memory_mb()},
        }
        # Export first: a sweep counts a run with results as finished.
        self._export(self.folder / "export", selected, metrics)
        if if_main_process():
            tested = scores.ids, targets, logits, self.task, self._sources
            tested += (self.calibration.log_probabilities,)
            write_run(self.folder, results, *tested)
            undo_if_refused()
        name = self.task.metric
        self.train_logger.log_stats(
            # A number, since TensorBoard takes only numbers
            {"epoch loaded": selected or 0},
            test_stats={head: metrics[head][name] for head in metrics},
        )
        logger.info(
            "%s was tested on %d recordings with seed %s; %s holds the results. "
            "Zero-shot is the template %s.\n%s",
            *(self.task.name, len(scores.ids), self.seed, self.folder),
            # The exact wording matters: "This is a sound of dog." scores
            # differently.
            self.identity["baseline"].get("templates"),
            format_table(metrics, name, per_class["zero_shot"]),
        )

    def close_without_test(self, export_folder, checkpointer):
        """Export, plot the training, and return the selected epoch."""
        selected = self._selected_epoch(checkpointer)
        if if_main_process() and self.history:
            plot_training(
                self.history,
                self.folder / "training.png",
                self.task.metric,
                selected_epoch=selected,
            )
        self._export(export_folder, selected)
        return selected

    def _export(self, folder, selected, metrics=None):
        """Write the current learner for `afpt_plugin.inference`."""
        if not if_main_process():
            return
        learner = self.learner.exported
        for each in (learner, self.baseline):
            if LEARNERS.get(type(each).__name__) is not type(each):
                logger.warning(
                    "%s is not in afpt_plugin.learners.LEARNERS, so there is "
                    "no export",
                    type(each).__name__,
                )
                return
        # An export scores recordings one by one, so no transductive metrics.
        metrics = metrics or {}
        kept = {
            k: metrics[k] for k in metrics if not k.endswith("transductive")
        }
        facts = {
            **self.facts,
            "dataset": self.task.name,
            "method": self.identity["method"],
            "training": self.identity["training"],
            "chosen": learner.chosen,
            "supervision": self.identity["supervision"],
            "selection": self.selection,
            "selected_epoch": selected,
            "seed": self.seed,
        }
        given = self.clap, learner, self.task, self.baseline, kept, facts
        channels = self.identity["clip_options"].get("channels", "mean")
        write_export(folder, *given, channels, self.calibration.learner)
