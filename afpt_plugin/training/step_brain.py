"""A Brain whose training steps are SpeechBrain's, graphs, or joint with others.

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
    """A Brain that can take its steps as CUDA graphs, or together with others.

    On a GPU, it captures its steps and keeps its items in the GPU's memory.

    With several processes (DDP), and with ``fp16``, whose loss scale changes,
    steps are launched kernel by kernel.
    """

    #: Applied to the embeddings in training.
    augment = torch.nn.Identity()
    #: The randomness in a step depends only on this seed and the step.
    seed = 0
    #: True while `compute_objectives` must not read values from the GPU.
    is_captured = False
    captured = given_classes = None

    def print_trainable_parameters(self):
        """Print nothing if nothing is trained, which is no mistake here."""
        if any(p.requires_grad for p in self.modules.parameters()):
            super().print_trainable_parameters()

    def collect(self, batch, outputs):
        """Read a training batch's outputs, which is impossible in a graph."""

    def make_dataloader(self, dataset, stage, *args, **kwargs):
        """Make SpeechBrain's loader; on a GPU, keep items there if they fit."""
        if self.keeps_items(kwargs):
            dataset = on_device(dataset, torch.device(self.device))
            if hasattr(dataset, "collate"):
                kwargs["collate_fn"] = dataset.collate
        return super().make_dataloader(dataset, stage, *args, **kwargs)

    def keeps_items(self, loader_kwargs):
        """Whether to keep sets on a GPU: not if worker processes read them."""
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
        """Compute a training batch's outputs and loss; read no value.

        Arguments
        ---------
        batch : Batch
            From `prepare`.
        classes : Classes, optional
            The learner's classes, if they have been computed.
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
        """Seed noise and dropout by the step alone.

        They do not depend on earlier draws, so a resumed run draws the same.
        """
        factor = self.grad_accumulation_factor
        step = self.optimizer_step * factor + self.step % factor
        place = step * 2**10 + (get_rank() or 0)
        seed = (self.seed * 2**40 + place) % 2**63
        # `torch.manual_seed` checks every kind of device, 2 ms per step.
        torch.default_generator.manual_seed(seed)
        if self.device != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def fit_batch(self, batch):
        """Take a step as SpeechBrain, by `CapturedStep`, or with other runs."""
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
        # Copy them, since the next replay overwrites the graph's outputs.
        self.collect(batch, {name: o.clone() for name, o in outputs.items()})
        self.check_loss_isfinite(loss)
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss
