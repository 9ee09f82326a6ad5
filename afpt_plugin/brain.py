"""The Brain that adapts a frozen CLAP: any learner, any supervision.

CLAP is an attribute and not one of the ``modules``, so SpeechBrain neither
trains nor checkpoints it. `afpt_plugin.results.run` keeps and writes a run's
results.

Authors
 * The afpt_plugin developers 2026
"""

import time

import speechbrain as sb
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

from afpt_plugin.checkpoints import keep_needed
from afpt_plugin.data.datasets import batch_item
from afpt_plugin.results.output import baseline_head, is_baseline, primary_head
from afpt_plugin.results.run_calibration import calibrate_run
from afpt_plugin.results.scores import Scores
from afpt_plugin.training.precision import full_float32, name_precision
from afpt_plugin.training.step_brain import StepBrain
from afpt_plugin.transduction import check_transduction

logger = get_logger(__name__)


class AdaptationBrain(StepBrain):
    """Trains ``modules.learner`` on labeled items; tests it on recordings.

    `evaluate` ends a run with a test set, `finish` one without.

    Arguments
    ---------
    task : Task
        Classes, loss and metrics.
    clap : FrozenClap
        The backbone, moved to the Brain's device.
    baseline : Learner
        What the learner is compared with, after its `setup`.
    results : RunResults
        The run's bookkeeping.
    facts : dict
        See `RunResults.open`.
    test_set : EmbeddingDataset, optional
        Recordings, scored after every epoch; None for a run without a test.
    test_loader_kwargs : dict
        How to batch the test set.
    augment : torch.nn.Module, optional
        Applied to the embeddings in training, see `CaptionNoise`.
    lr_annealing : callable, optional
        Gives an epoch's learning rate, see `afpt_plugin.schedules`.
    test_each_epoch : bool
        False scores the recordings once, at the end.
    transduction : str, optional
        ``em`` also scores the whole test set at once, see
        `afpt_plugin.transduction`.
    **kwargs : dict
        See `speechbrain.Brain`.

    Raises
    ------
    InputError
        See `check_transduction` and `RunResults.open`.
    """

    def __init__(
        self,
        task,
        clap,
        baseline,
        results,
        facts,
        test_set=None,
        test_loader_kwargs={},
        augment=None,
        lr_annealing=None,
        test_each_epoch=True,
        transduction=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.seed = results.seed
        self.task = task
        self.clap = clap.to(self.device)
        self.learner = self.modules.learner
        self.baseline = baseline.to(self.device)
        self.augment = augment or torch.nn.Identity()
        self.lr_annealing = lr_annealing
        self.test_each_epoch = test_each_epoch
        check_transduction(transduction, task)
        self.transduction = transduction
        self.results = results
        results.open(task, self.clap, self.learner, baseline, facts, self.debug)
        self._held_out = self.test_loader = None
        #: Logits and targets of recordings, in place of the held-out items'.
        self.validated = None
        if test_set is not None:
            self.test_loader = self.make_dataloader(
                test_set, sb.Stage.TEST, ckpt_prefix=None, **test_loader_kwargs
            )
        self.on_stage_start(None)

    def compute_forward(self, batch, stage):
        """Compute the logits of a batch of an `EmbeddingDataset`.

        The result is a dict of the learner's heads, [B, n_classes] each. In the
        last test it also holds the baseline's heads, see `baseline_head`.
        """
        item = batch_item(batch.to(self.device))
        # DDP's wrapper would wait for the other processes, but they do not
        # score recordings.
        learner = self.learner
        if stage == sb.Stage.TRAIN:
            learner = self.modules.learner
        classes = self.classes(stage)
        with full_float32(self.device):
            logits = learner(item, classes)
            self._penalty = 0.0
            if stage == sb.Stage.TRAIN:
                self._penalty = self.learner.penalty(logits, classes)
            if self._compare:
                found = self.baseline(item, self.baseline.classes(self.clap))
                logits |= {baseline_head(k): v for k, v in found.items()}
        return logits

    def classes(self, stage):
        """Return `Classes` in float32; outside training, once per stage."""
        classes = self._classes
        if classes is None:
            classes = self.given_classes or self.learner.classes(self.clap)
            classes = type(classes)(*(part.float() for part in classes))
        # Stored classes would keep a training step's autograd graph alive, and
        # then the next step could not be captured.
        self._classes = None if stage == sb.Stage.TRAIN else classes
        return classes

    def compute_objectives(self, predictions, batch, stage):
        """Sum the task's loss over the learner's heads, to a scalar.

        In training, the learner's own penalty is added. ``predictions`` come
        from `compute_forward`.
        """
        target = batch.target.data  # [B, n_classes]
        if not self.is_captured:
            self.collect(batch, predictions)
        penalty, self._penalty = self._penalty, 0.0  # it counts only once
        return penalty + sum(
            self.task.loss(logits, target)
            for head, logits in predictions.items()
            if not is_baseline(head)
        )

    def collect(self, batch, outputs):
        """Keep a batch's scores for the metrics of the whole set."""
        transduce = self.transduction and self._compare
        whole = batch.whole.data if transduce else None  # [B, D]
        self.scores.add(batch.id, outputs, batch.target.data, whole)

    def fit(self, epoch_counter, train_set, valid_set=None, **kwargs):
        """Train as `speechbrain.Brain.fit` does, if there is anything to train.

        The arguments are those of `speechbrain.Brain.fit`. `RunResults.begin`
        may raise an error.
        """
        self._held_out = valid_set
        if not any(p.requires_grad for p in self.learner.parameters()):
            logger.info(
                "%s has no parameters to train", type(self.learner).__name__
            )
            return
        self.results.begin(
            (train_set, valid_set, self.test_loader),
            self.checkpointer,
            kwargs.get("train_loader_kwargs") or {},
            epochs=epoch_counter and epoch_counter.limit,
            optimizer=self.opt_class,
            augment=self.augment,
            lr_annealing=self.lr_annealing,
            max_grad_norm=str(self.max_grad_norm),
            precision=name_precision(self.precision, self.device),
            grad_accumulation_factor=self.grad_accumulation_factor,
        )
        start = time.perf_counter()
        super().fit(epoch_counter, train_set, valid_set, **kwargs)
        if self.checkpointer is not None:
            # Repeat the cleanup: an earlier process may have been killed after
            # the last epoch, before its own.
            keep_needed(self.checkpointer)
        # DDP's wrapper would keep the process group's threads alive, and these
        # would abort the interpreter when it ends.
        self.modules["learner"] = self.learner
        self.results.timings["fit_seconds"] = time.perf_counter() - start

    def on_fit_start(self):
        """Resume from the last checkpoint, with the history up to it."""
        self.results.resume(self.checkpointer)
        super().on_fit_start()

    def on_stage_start(self, stage, epoch=None):
        """Clear the scores of the previous stage."""
        self.scores, self._classes = Scores(), None
        self._compare = stage == sb.Stage.TEST
        if stage == sb.Stage.TRAIN and self.lr_annealing is not None:
            _, rate = self.lr_annealing(epoch)
            update_learning_rate(self.optimizer, rate)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Close an epoch, or the run."""
        if stage == sb.Stage.TEST:
            if self.transduction:
                self.scores.transduce()
            self.results.close_run(self.scores, self.checkpointer)
            return
        (metric,) = self.scores.measure(
            self.task, lambda heads: [primary_head(heads)]
        ).values()
        stats = {"loss": float(stage_loss), self.task.metric: metric}
        if stage == sb.Stage.TRAIN:
            self._train_stats = stats
        if stage == sb.Stage.VALID or self._held_out is None:
            valid = stats if stage == sb.Stage.VALID else None
            # Every process has to call the logger and the checkpointer; only
            # the main process writes.
            audio = {}
            wanted = self.test_each_epoch or self.results.selection == "audio"
            if wanted and self.test_loader is not None and if_main_process():
                audio = self.score_recordings()
            self.results.close_epoch(
                epoch, self._train_stats, valid, audio, self.checkpointer
            )

    @torch.no_grad()
    def score(self, loader, stage=None):
        """Score a whole set with the current learner; return its `Scores`.

        In the stage of the last test, the baseline is scored, too.
        """
        self.modules.eval()
        self.on_stage_start(stage)
        for step, batch in enumerate(loader, start=1):
            self.evaluate_batch(batch, sb.Stage.TEST)
            if self.debug and step == self.debug_batches:
                break
        return self.scores

    def score_recordings(self):
        """Return each head's primary metric on the recordings, 0..1 (dict)."""
        return self.score(self.test_loader).measure(self.task)

    def evaluate(self, test_set=None, max_key="selection_score", **kwargs):
        """Test the selected epoch, by default on the Brain's test set."""
        test_set = self.test_loader if test_set is None else test_set
        return super().evaluate(test_set, max_key, **kwargs)

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the selected epoch, and calibrate it on the held-out items."""
        self.results.resume(self.checkpointer, self.test_only)
        super().on_evaluate_start(max_key, min_key)
        self.results.calibration = calibrate_run(self, self._held_out)
        self.results.timings["evaluate_start"] = time.perf_counter()

    def finish(self, export_folder):
        """End a run without a test; see `RunResults.close_without_test`."""
        self.on_evaluate_start(max_key="selection_score")
        return self.results.close_without_test(export_folder, self.checkpointer)
