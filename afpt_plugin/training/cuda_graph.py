"""A training step as one CUDA graph: captured once per shape, then replayed.

A step through a text tower launches some 2,000 small kernels. Python launches
them more slowly than a GPU runs them, so Python's speed limits the step. The
class names never change and batches have one shape, so forward and backward
pass are recorded once, and each replay is a single launch.

The optimizer is not recorded. Its few kernels are launched while the graph is
still running and so cost no time, and clipping, schedules, checkpoints and any
optimizer work as in SpeechBrain.

Authors
 * The afpt_plugin developers 2026
"""

import warnings

import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.gpu_batches import Batch

logger = get_logger(__name__)

#: The most batch shapes with a graph; others are launched kernel by kernel.
MAX_GRAPHS = 8


class CapturedStep:
    """Forward and backward pass of a batch, by a graph where possible.

    The first batch of a shape is launched kernel by kernel, since the last
    batch of an epoch may be the only one of its shape. The second one is
    recorded.

    Arguments
    ---------
    function : callable
        Takes batches with tensors, see `Batch`, and returns for each a dict of
        tensors and the loss, a scalar. It must not read any value from the GPU.
    parameters : list of torch.nn.Parameter
        The parameters that get gradients.
    factor : int
        Number of batches whose gradients are summed for one optimizer step.

    Example
    -------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> def loss(batches):
    ...     return [({}, (weight * each.whole.data).sum()) for each in batches]
    >>> step = CapturedStep(loss, [weight])
    >>> _ = step([Batch(["a"], {"whole": torch.tensor([[3.0, 4.0]])})])
    >>> weight.grad  # on a CPU, without a graph
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

    def __call__(self, batches):
        """Run batches, and add their gradients to those of the parameters.

        Returns
        -------
        list of tuple
            The function's results for each batch, detached. They must be read
            before the next call.
        """
        tensors = {
            (number, name): tensor
            for number, batch in enumerate(batches)
            for name, tensor in Batch.tensors(batch).items()
        }
        shapes = tuple((key, t.shape, t.dtype) for key, t in tensors.items())
        known = shapes in self.graphs
        if not known and len(self.graphs) < MAX_GRAPHS:
            self.graphs[shapes] = None
        elif known and self.graphs[shapes] is None and self.can_capture:
            self.graphs[shapes] = self._capture(tensors)
        captured = self.graphs.get(shapes)
        if captured is None:
            found, gradients = self._run(batches)
        else:
            graph, inputs, (found, gradients) = captured
            for key, tensor in tensors.items():
                inputs[key].copy_(tensor, non_blocking=True)
            graph.replay()
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                # Copy it: the next replay overwrites the graph's own gradient.
                parameter.grad = gradient.clone()
            else:
                parameter.grad += gradient
        return found

    def _run(self, batches):
        found = self.function(batches)
        total = sum(loss for _, loss in found) / self.factor
        gradients = torch.autograd.grad(
            total, self.parameters, allow_unused=True
        )
        found = [
            (
                {name: out.detach() for name, out in outputs.items()},
                loss.detach(),
            )
            for outputs, loss in found
        ]
        return found, gradients

    def _capture(self, tensors):
        """Capture a graph; return it with its inputs and outputs, or None."""
        inputs = {
            key: tensor.to(self.device).clone()
            for key, tensor in tensors.items()
        }
        own = {}
        for (number, name), tensor in inputs.items():
            own.setdefault(number, {})[name] = tensor
        batches = [Batch([], each) for each in own.values()]
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(self.device)
        current = torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        strict = torch.cuda.get_sync_debug_mode()
        # Draws here must not advance the generator of the step itself.
        with torch.random.fork_rng([self.device]):
            try:
                # A first run lets libraries initialize. It also reveals a read
                # of a GPU value, since a failed capture leaves a bad state.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a prototype feature
                    torch.cuda.set_sync_debug_mode("error")
                with torch.cuda.stream(stream):
                    self._run(batches)
                torch.cuda.set_sync_debug_mode(strict)
                current.wait_stream(stream)
                with torch.cuda.graph(graph, self.pool, stream):
                    outputs = self._run(batches)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                logger.info(
                    "A training step cannot be captured as a CUDA graph (%s); "
                    "it is launched kernel by kernel, which is slower",
                    reason,
                )
                torch.cuda.set_sync_debug_mode(strict)
                torch.cuda.set_stream(current)
                torch.cuda.synchronize(self.device)
                self.can_capture = False
                return None
        self.pool = graph.pool()
        return graph, inputs, outputs
