"""A training step as one CUDA graph: captured once for a shape, then replayed.

A step through a text tower is some 2,000 small kernels. Python launches them
more slowly than a GPU runs them, so a step takes as long as Python needs. The
class names never change and batches have one shape, so forward and backward
pass are recorded once, and a replay is a single launch.

The optimizer is not recorded: its few kernels are launched while the graph is
still running and cost no time, and so clipping, schedules, checkpoints and any
optimizer stay as SpeechBrain has them.

Authors
 * The afpt_plugin developers 2026
"""

import speechbrain as sb
import torch
from speechbrain.utils.distributed import get_rank
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.resident import Batch, on_device

logger = get_logger(__name__)

#: Shapes of batches that get a graph of their own; others run as ever.
MAX_GRAPHS = 8


class CapturedStep:
    """Forward and backward pass of a batch, by graph where one can be had.

    A shape is run as ever the first time, since the last batch of an epoch may
    be the only one of its kind, and recorded the second time.

    Arguments
    ---------
    function : callable
        Takes a batch with tensors, see `Batch`, and returns a dict of tensors
        and the loss, a scalar. It may not look at any value on the GPU.
    parameters : list of torch.nn.Parameter
        What gets gradients.
    factor : int
        Batches whose gradients are added up to one step of the optimizer.

    Example
    -------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> def loss(batch):
    ...     return {}, (weight * batch.whole.data).sum()
    >>> step = CapturedStep(loss, [weight])
    >>> _ = step(Batch(["a"], {"whole": torch.tensor([[3.0, 4.0]])}))
    >>> weight.grad  # on a CPU, as ever
    tensor([3., 4.])
    """

    def __init__(self, function, parameters, factor=1):
        self.function = function
        self.parameters = [p for p in parameters if p.requires_grad]
        self.factor = factor
        self.graphs = {}  # shapes -> what `_capture` returns, or None
        self.device = self.parameters[0].device
        self.can_capture = self.device.type == "cuda"
        self.pool = None

    def __call__(self, batch):
        """Run a batch, and add its gradients to the parameters'.

        Returns
        -------
        outputs : dict of torch.Tensor
            What the function returned, to be read before the next call.
        loss : torch.Tensor
            A scalar, not differentiable.
        """
        tensors = Batch.tensors(batch)
        shapes = tuple((name, t.shape, t.dtype) for name, t in tensors.items())
        known = shapes in self.graphs
        if not known and len(self.graphs) < MAX_GRAPHS:
            self.graphs[shapes] = None
        elif known and self.graphs[shapes] is None and self.can_capture:
            self.graphs[shapes] = self._capture(tensors)
        captured = self.graphs.get(shapes)
        if captured is None:
            outputs, loss, gradients = self._run(batch)
        else:
            graph, inputs, (outputs, loss, gradients) = captured
            for name, tensor in tensors.items():
                inputs[name].copy_(tensor, non_blocking=True)
            graph.replay()
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                # A copy: the graph writes into its own at the next replay.
                parameter.grad = gradient.clone()
            else:
                parameter.grad += gradient
        return outputs, loss

    def _run(self, batch):
        outputs, loss = self.function(batch)
        gradients = torch.autograd.grad(
            loss / self.factor, self.parameters, allow_unused=True
        )
        outputs = {name: value.detach() for name, value in outputs.items()}
        return outputs, loss.detach(), gradients

    def _capture(self, tensors):
        """The graph, its inputs and its outputs; None if it cannot be had."""
        inputs = {
            name: tensor.to(self.device).clone()
            for name, tensor in tensors.items()
        }
        batch = Batch([], inputs)
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        # What is drawn here would be missing in the step itself.
        with torch.random.fork_rng([self.device]):
            try:
                with torch.cuda.stream(stream):
                    self._run(batch)  # what libraries do when first called
                torch.cuda.current_stream(self.device).wait_stream(stream)
                with torch.cuda.graph(graph, self.pool, stream):
                    outputs = self._run(batch)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                logger.info(
                    "A training step cannot be captured as a CUDA graph (%s); "
                    "it is launched kernel by kernel, which is slower",
                    reason,
                )
                torch.cuda.synchronize(self.device)
                self.can_capture = False
                return None
        self.pool = graph.pool()
        return graph, inputs, outputs


class CapturingBrain(sb.Brain):
    """A Brain that, on a GPU, captures its steps and keeps its items there.

    In several processes (DDP) and with ``fp16``, whose loss scale changes,
    steps are launched kernel by kernel.
    """

    #: What is random in a step depends on this and the step.
    seed = 0
    #: True while `compute_objectives` may not read a value.
    is_captured = False
    captured = None

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
            self._forward_pass,
            self.modules.parameters(),
            self.grad_accumulation_factor,
        )

    def _forward_pass(self, batch):
        self.is_captured = True
        try:
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
        finally:
            self.is_captured = False
        return outputs, loss

    def on_fit_batch_start(self, batch, should_step):
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
        """As in SpeechBrain, but by `CapturedStep` on a GPU."""
        if self.captured is None:
            return super().fit_batch(batch)
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        outputs, loss = self.captured(batch)
        if should_step:
            self.optimizers_step()
        loss = loss.cpu()  # waits for the GPU
        self.collect(batch, outputs)
        self.check_loss_isfinite(loss)
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss
