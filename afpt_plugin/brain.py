"""The Brain that learns prompts from captions and tests them on recordings.

CLAP is an attribute and not one of the ``modules``: SpeechBrain neither trains
nor checkpoints it. What a run leaves behind is written by `afpt_plugin.results.run`
and `afpt_plugin.export`.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import time
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import get_rank, if_main_process
from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.learners.prompts import template_embeddings
from afpt_plugin.results.figures import plot_training
from afpt_plugin.results.run import (
    HEADS,
    UNTUNED,
    format_table,
    package_versions,
    peak_memory_mb,
    write_run,
)
from afpt_plugin.similarity import (
    coarse_logits,
    ensemble_logits,
    fine_logits,
)

logger = get_logger(__name__)

TUNED_HEADS = tuple(UNTUNED)
SELECTIONS = ("captions", "audio")

# Of torch's names for what a processor can do, those without bfloat16.
SLOW_AT_BF16 = ("DEFAULT", "AVX2")


class PromptTuningBrain(sb.Brain):
    """Trains ``modules.learner`` on captions; tests it on recordings, if any.

    Read from ``hparams``: ``loss``, ``metrics``, ``metric_name``,
    ``logit_scale``, ``multi_label``, ``caption_noise``, ``upstream_exact``,
    ``selection``, ``prompt_template``, ``recording``, ``seed``,
    ``train_logger`` and ``output_folder``; the recipes' YAML files say what
    each is. `evaluate` ends a run with a test set, `finish` one without.

    Arguments
    ---------
    clap : FrozenClap
        The backbone, moved to the Brain's device.
    class_names : list of str
        In the order of the class indices.
    facts : dict
        What `results.json` says about the data: ``dataset``,
        ``data_fingerprint``, ``n_recordings``, ``n_left_out``,
        ``supervision``, and whatever else is worth keeping.
    test_set : DynamicItemDataset, optional
        From `afpt_plugin.data.datasets.recording_dataset`, scored after every
        epoch. None trains on captions without any recording.
    test_loader_kwargs : dict
        How to batch it.
    **kwargs : dict
        See `speechbrain.Brain`.

    Raises
    ------
    InputError
        If ``selection`` is neither ``captions`` nor ``audio``; without a test
        set, neither ``captions`` nor None, which keeps the last epoch.
    """

    def __init__(
        self,
        clap,
        class_names,
        facts,
        test_set=None,
        test_loader_kwargs={},
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._warn_of_slow_bf16()
        without, rules = "", SELECTIONS
        if test_set is None:
            without, rules = " without a test set", ("captions", None)
        if self.hparams.selection not in rules:
            raise InputError(
                f"selection: {self.hparams.selection!r} does not exist"
                f"{without}; choose one of {', '.join(map(str, rules))}"
            )
        self.clap = clap.to(self.device)
        self.class_names = class_names
        self.facts = facts
        self.history = []
        self.timings = {}
        self.test_loader = self.zero_shot_embeddings = None
        if test_set is not None:
            self.test_loader = self.make_dataloader(
                test_set, sb.Stage.TEST, ckpt_prefix=None, **test_loader_kwargs
            )
        # The bare cosine for the ranking loss, CLAP's own scale otherwise.
        self.logit_scale = self.hparams.logit_scale or clap.logit_scale
        self._start_scores()

    # The method

    def compute_forward(self, batch, stage):
        """Coarse and fine logits of captions (train, valid) or recordings.

        Arguments
        ---------
        batch : PaddedBatch
            Items of `caption_dataset`, or of `recording_dataset` in the test.
        stage : sb.Stage
            The stage.

        Returns
        -------
        dict of torch.Tensor
            ``coarse`` and ``fine``, [B, n_classes] each; in the last test also
            ``zero_shot`` and ``zero_shot_fine``, those of the template.
        """
        batch = batch.to(self.device)
        if stage == sb.Stage.TEST:
            embedding, elements = batch.clip.data, batch.frames.data
            mask = batch.frame_mask.data.bool()
        else:
            embedding, elements = batch.sentence.data, batch.words.data
            mask = batch.word_mask.data.bool()
        if stage == sb.Stage.TRAIN:
            # Noise and dropout depend on the step alone, not on what was
            # drawn before, so that a resumed run draws the same.
            place = self.optimizer_step * 2**10 + (get_rank() or 0)
            torch.manual_seed((self.hparams.seed * 2**40 + place) % 2**63)
            embedding = self.hparams.caption_noise(embedding)
            elements = self.hparams.caption_noise(elements)
        coarse, fine = self.class_embeddings(stage)
        # Cosines times a scale of up to 100 need float32.
        with torch.autocast(torch.device(self.device).type, enabled=False):
            score_elements = functools.partial(
                fine_logits,
                elements,
                mask,
                logit_scale=self.logit_scale,
                padding_weight=self.hparams.upstream_exact,
            )
            logits = {
                "coarse": coarse_logits(embedding, coarse, self.logit_scale),
                "fine": score_elements(fine),
            }
            template = self.zero_shot_embeddings
            if stage == sb.Stage.TEST and template is not None:
                logits["zero_shot"] = coarse_logits(
                    embedding, template, self.logit_scale
                )
                logits["zero_shot_fine"] = score_elements(template)
        return logits

    def class_embeddings(self, stage):
        """Class embeddings under both contexts, once a stage unless training.

        Arguments
        ---------
        stage : sb.Stage
            The stage.

        Returns
        -------
        tuple of torch.Tensor
            Coarse and fine, [n_classes, D] each, float32.
        """
        if stage == sb.Stage.TRAIN or self._class_embeddings is None:
            learner = self.modules.learner
            if stage != sb.Stage.TRAIN:
                # DDP's wrapper waits for the other processes, which do not
                # score recordings.
                learner = self._bare_learner()
            embeddings = learner(self.clap)
            self._class_embeddings = tuple(part.float() for part in embeddings)
        return self._class_embeddings

    def compute_objectives(self, predictions, batch, stage):
        """Loss on the coarse logits plus loss on the fine logits.

        Arguments
        ---------
        predictions : dict of torch.Tensor
            From `compute_forward`.
        batch : PaddedBatch
            The batch.
        stage : sb.Stage
            The stage.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        target = batch.target.data
        self._ids += batch.id
        self._targets.append(target.cpu())
        for head, logits in predictions.items():
            self._logits.setdefault(head, []).append(logits.detach().cpu())
        return self.hparams.loss(
            predictions["coarse"], target
        ) + self.hparams.loss(predictions["fine"], target)

    # The bookkeeping

    def fit(self, epoch_counter, train_set, valid_set=None, **kwargs):
        """Train as `speechbrain.Brain.fit` does, and keep the time.

        Arguments
        ---------
        epoch_counter : EpochCounter
            Counts the epochs.
        train_set : DynamicItemDataset
            Captions.
        valid_set : DynamicItemDataset, optional
            Held-out captions.
        **kwargs : dict
            See `speechbrain.Brain.fit`.

        Raises
        ------
        InputError
            If the best epoch is to be chosen on captions and none are held out.
        """
        if valid_set is None and self.hparams.selection == "captions":
            raise InputError(
                "selection: captions needs held-out captions: raise "
                "valid_fraction above 0, or choose "
                + ("null" if self.test_loader is None else "--selection audio")
            )
        self._has_valid = valid_set is not None
        start = time.perf_counter()
        super().fit(epoch_counter, train_set, valid_set, **kwargs)
        self.timings["fit_seconds"] = time.perf_counter() - start

    def on_fit_start(self):
        """Resume from the last checkpoint, with the history up to it.

        Raises
        ------
        InputError
            If it was learned from something else, or otherwise.
        """
        self._read_history()
        super().on_fit_start()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Say when the first step is done: start-up time is a promise.

        Arguments
        ---------
        batch : PaddedBatch
            The batch.
        outputs : dict of torch.Tensor
            From `compute_forward`.
        loss : torch.Tensor
            The loss.
        should_step : bool
            Whether the optimizer stepped.
        """
        if "first_step" not in self.timings:
            self.timings["first_step"] = time.time()
            logger.info("First training step done")

    def on_stage_start(self, stage, epoch=None):
        """Forget the scores of the stage before.

        Arguments
        ---------
        stage : sb.Stage
            The stage.
        epoch : int, optional
            The epoch.
        """
        self._start_scores()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Close an epoch, or the run.

        Arguments
        ---------
        stage : sb.Stage
            The stage.
        stage_loss : float
            Mean loss of its batches.
        epoch : int, optional
            The epoch.
        """
        if stage == sb.Stage.TEST:
            self._end_run()
            return
        stats = {"loss": float(stage_loss), **self._scores(("ensemble",))}
        if stage == sb.Stage.TRAIN:
            self._train_stats = stats
        if stage == sb.Stage.VALID or not self._has_valid:
            valid = stats if stage == sb.Stage.VALID else None
            self._end_epoch(epoch, self._train_stats, valid)

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the selected epoch, and the template to compare it with.

        Arguments
        ---------
        max_key : str, optional
            See `speechbrain.Brain`.
        min_key : str, optional
            See `speechbrain.Brain`.
        """
        self._read_history()
        super().on_evaluate_start(max_key, min_key)
        if self.test_loader is not None:
            self.zero_shot_embeddings = template_embeddings(
                self.clap, self.class_names, self.hparams.prompt_template
            )
        self.timings["evaluate_start"] = time.perf_counter()

    def _warn_of_slow_bf16(self):
        if (
            self.device_type == "cpu"
            and self.precision == "bf16"
            and torch.backends.cpu.get_cpu_capability() in SLOW_AT_BF16
        ):
            logger.warning(
                "--precision bf16: this processor has no bfloat16 arithmetic, "
                "so learning is slower than with fp32"
            )

    def _start_scores(self):
        self._class_embeddings = None
        self._ids, self._targets, self._logits = [], [], {}

    def _read_history(self):
        if self.checkpointer is None:
            return
        last = self.checkpointer.find_checkpoint(
            ckpt_predicate=lambda checkpoint: "history" in checkpoint.meta
        )
        self.history = last.meta["history"] if last else []
        known = last.meta.get("learned", {}) if last else {}
        differing = [
            k for k, v in self._learned().items() if known.get(k, v) != v
        ]
        if differing:
            raise InputError(
                f"{self.hparams.output_folder} holds a run with other "
                f"{', '.join(differing)}: give another --output_folder, or "
                "remove it"
            )

    def _learned(self):
        """What a checkpoint must share with a run that goes on from it."""
        return {
            "captions": [
                self.facts.get("captions_fingerprint"),
                self.facts.get("n_captions"),
            ],
            "clap": self.clap.fingerprint,
            "n_ctx": self._bare_learner().n_ctx,
            "anchor": self._bare_learner().anchor,
            "seed": self.hparams.seed,
            "upstream_exact": self.hparams.upstream_exact,
        }

    def _collected(self):
        logits = {name: torch.cat(part) for name, part in self._logits.items()}
        logits["ensemble"] = ensemble_logits(logits["coarse"], logits["fine"])
        if "zero_shot" in logits:
            logits["zero_shot_ensemble"] = ensemble_logits(
                logits["zero_shot"], logits["zero_shot_fine"]
            )
        targets = torch.cat(self._targets)
        if not self.hparams.multi_label:
            targets = targets.argmax(1)
        return logits, targets

    def _scores(self, heads):
        logits, targets = self._collected()
        name = self.hparams.metric_name
        scores = {
            head: self.hparams.metrics(logits[head], targets, self.class_names)
            for head in heads
        }
        if heads == ("ensemble",):
            return {name: scores["ensemble"][name]}
        return {head: score[name] for head, score in scores.items()}

    @torch.no_grad()
    def _score_recordings(self):
        """Coarse, fine and ensemble metric on the recordings, as now."""
        self.modules.eval()
        self._start_scores()
        for step, batch in enumerate(self.test_loader, start=1):
            self.evaluate_batch(batch, sb.Stage.TEST)
            if self.debug and step == self.debug_batches:
                break
        return self._scores(TUNED_HEADS)

    def _end_epoch(self, epoch, train, valid):
        name = self.hparams.metric_name
        # One process scores; the logger and the checkpointer, which every
        # process has to call, write on that process alone.
        audio = (
            {} if self.test_loader is None else dict.fromkeys(TUNED_HEADS, 0.0)
        )
        if audio and if_main_process():
            audio = self._score_recordings()
        row = {
            "epoch": epoch,
            "train_loss": train["loss"],
            f"train_{name}": train[name],
        }
        if valid is not None:
            row["valid_loss"] = valid["loss"]
            row[f"valid_{name}"] = valid[name]
        row.update(audio)
        self.history.append(row)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch},
            train_stats=train,
            valid_stats=valid,
            test_stats={f"zero-shot {k}": v for k, v in audio.items()} or None,
        )
        best = (
            -valid["loss"]
            if self.hparams.selection == "captions"
            else audio.get("ensemble", epoch)
        )
        if self.checkpointer is not None:
            # Of equally good epochs the first, as the authors do; the folders
            # of checkpoints come in no order.
            meta = {
                **row,
                "selection_score": best - 1e-9 * epoch,
                "history": self.history,
                "learned": self._learned(),
            }
            self.checkpointer.save_and_keep_only(
                meta=meta, num_to_keep=1, max_keys=["selection_score"]
            )

    def _end_run(self):
        logits, targets = self._collected()
        metrics = {
            head: self.hparams.metrics(logits[head], targets, self.class_names)
            for head in HEADS
        }
        per_class = {
            head: metric.pop("per_class") for head, metric in metrics.items()
        }
        selected = self._selected_epoch()
        start = self.timings.pop("evaluate_start")
        self.timings["evaluate_seconds"] = time.perf_counter() - start
        self.timings.pop("first_step", None)
        self.export(Path(self.hparams.output_folder) / "export", metrics)
        results = {
            **self.facts,
            "clap": self.clap.name,
            "clap_fingerprint": self.clap.fingerprint,
            "learner": type(self._bare_learner()).__name__,
            "selection": self.hparams.selection,
            "selected_epoch": selected,
            "seed": self.hparams.seed,
            "upstream_exact": self.hparams.upstream_exact,
            "prompt_template": self.hparams.prompt_template,
            "debug": self.debug,
            "metrics": metrics,
            "per_class": per_class,
            "history": self.history,
            "timings": {**self.timings, "peak_memory_mb": peak_memory_mb()},
            "versions": package_versions(),
        }
        if if_main_process():
            write_run(
                self.hparams.output_folder,
                results,
                self.history,
                self._ids,
                targets,
                self.class_names,
                logits,
            )
        name = self.hparams.metric_name
        self.hparams.train_logger.log_stats(
            {"epoch loaded": selected},
            test_stats={head: metrics[head][name] for head in metrics},
        )
        logger.info(
            "%s: %d recordings, seed %s, %s\n%s",
            self.facts["dataset"],
            len(self._ids),
            self.hparams.seed,
            self.hparams.output_folder,
            format_table(metrics, name, per_class["ensemble"]),
        )

    def finish(self, export_folder):
        """End a run without a test: export the selected epoch, and a figure.

        Arguments
        ---------
        export_folder : str or pathlib.Path
            See `afpt_plugin.export.write_export`.

        Returns
        -------
        int
            The selected epoch.
        """
        self.on_evaluate_start(max_key="selection_score")
        selected = self._selected_epoch()
        if if_main_process():
            plot_training(
                self.history,
                Path(self.hparams.output_folder) / "training.png",
                self.hparams.metric_name,
                selected_epoch=selected,
            )
        self.export(export_folder)
        return selected

    def export(self, folder, metrics=None):
        """Write the contexts, as they are now, for `afpt_plugin.inference`.

        Arguments
        ---------
        folder : str or pathlib.Path
            Where to; the main process writes.
        metrics : dict, optional
            What the test measured.
        """
        if not if_main_process():
            return
        write_export(
            folder,
            self.clap,
            self._bare_learner(),
            self.class_names,
            self.hparams.prompt_template,
            self.hparams.multi_label,
            self.logit_scale,
            self.hparams.recording["clip_seconds"],
            metrics,
            {
                **self.facts,
                "selection": self.hparams.selection,
                "selected_epoch": self._selected_epoch(),
                "seed": self.hparams.seed,
            },
        )

    def _selected_epoch(self):
        if self.checkpointer is None:
            return None
        best = self.checkpointer.find_checkpoint(max_key="selection_score")
        return best.meta["epoch"] if best else None

    def _bare_learner(self):
        return getattr(self.modules.learner, "module", self.modules.learner)
