"""How a Brain takes a training step: as SpeechBrain, by graph, or with others.

Authors
 * The afpt_plugin developers 2026
"""

import speechbrain as sb
import torch
from speechbrain.utils.distributed import get_rank
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.gpu_batches import Batch, on_device
from afpt_plugin.training.cuda_graph import CapturedStep
from afpt_plugin.training.joint import current_run

logger = get_logger(__name__)


class StepBrain(sb.Brain):
    """A Brain that may take its steps by graph, or together with others.

    On a GPU it captures its steps and keeps its items there.

    In several processes (DDP) and with ``fp16``, whose loss scale changes,
    steps are launched kernel by kernel.
    """

    #: Applied to the embeddings in training.
    augment = torch.nn.Identity()
    #: What is random in a step depends on this and the step.
    seed = 0
    #: True while `compute_objectives` may not read a value.
    is_captured = False
    captured = given_classes = None

    def print_trainable_parameters(self):
        """Say nothing where nothing is trained, which is no fault."""
        if any(p.requires_grad for p in self.modules.parameters()):
            super().print_trainable_parameters()

    def collect(self, batch, outputs):
        """Read a training batch's outputs, which a graph cannot."""

    def make_dataloader(self, dataset, stage, *args, **kwargs):
        """As in SpeechBrain; on a GPU the items stay there, if they fit."""
        if self.keeps_items(kwargs):
            dataset = on_device(dataset, torch.device(self.device))
            if hasattr(dataset, "collate"):
                kwargs["collate_fn"] = dataset.collate
        return super().make_dataloader(dataset, stage, *args, **kwargs)

    def keeps_items(self, loader_kwargs):
        """Whether sets go to the device: it is a GPU, and nobody else reads."""
        on_gpu = torch.device(self.device).type == "cuda"
        return on_gpu and not loader_kwargs.get("num_workers")

    def on_fit_start(self):
        """Capture steps where that is possible."""
        super().on_fit_start()
        on_gpu = torch.device(self.device).type == "cuda"
        if on_gpu and (self.distributed_launch or self.scaler.is_enabled()):
            logger.info(
                "Training steps are launched kernel by kernel: several "
                "processes, and fp16, have no CUDA graph"
            )
        elif on_gpu:
            self.capture()

    def capture(self):
        """Run training steps by `CapturedStep` from now on."""
        self.captured = CapturedStep(
            lambda batches: [self.forward_pass(batch) for batch in batches],
            self.modules.parameters(),
            self.grad_accumulation_factor,
        )

    def forward_pass(self, batch, classes=None):
        """A training batch's outputs and loss, without a look at any value.

        Arguments
        ---------
        batch : Batch
            From `prepare`.
        classes : Classes, optional
            Of the learner, if they have been computed.
        """
        self.is_captured, self.given_classes = True, classes
        try:
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
        finally:
            self.is_captured, self.given_classes = False, None
        return outputs, loss

    def prepare(self, batch):
        """Augment a training batch's embeddings."""
        tensors = Batch.tensors(batch)
        for name in tensors.keys() & {"whole", "parts"}:
            tensors[name] = self.augment(tensors[name])
        return Batch(batch.id, tensors)

    def seed_step(self):
        """Let what is random depend on the step alone: noise and dropout.

        Not on what was drawn before, so that a resumed run draws the same.
        """
        factor = self.grad_accumulation_factor
        step = self.optimizer_step * factor + self.step % factor
        place = step * 2**10 + (get_rank() or 0)
        seed = (self.seed * 2**40 + place) % 2**63
        # `torch.manual_seed` looks for every kind of device: 2 ms a step.
        torch.default_generator.manual_seed(seed)
        if self.device != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def fit_batch(self, batch):
        """As in SpeechBrain, but by `CapturedStep`, or together with others."""
        self.seed_step()
        batch = self.prepare(batch.to(self.device))
        member = current_run()
        if self.captured is None and member is None:
            return super().fit_batch(batch)
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        if member is not None:
            outputs, loss = member.step(self, batch)
        else:
            ((outputs, loss),) = self.captured([batch])
        if should_step:
            self.optimizers_step()
        loss = loss.cpu()  # waits for the GPU
        # Copies, for a graph writes into its own at the next replay.
        self.collect(batch, {name: o.clone() for name, o in outputs.items()})
        self.check_loss_isfinite(loss)
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss
