"""Move recordings to a tower and embeddings back, on a CPU or a GPU.

A CPU needs no special treatment. A GPU has to be kept busy: as many threads as
there are cores read recordings into memory, from which they are copied while
the previous batch is encoded. Only the thread that writes the embeddings waits
for them.

Authors
 * The afpt_plugin developers 2026
"""

import math
import os

import torch

#: Recordings encoded at once on a CPU; more are no faster.
CPU_BATCH = 8

#: The most recordings encoded at once on a GPU, a power of two. More are no
#: faster, and all GPUs with enough memory encode the same batches.
GPU_BATCH = 128

#: Recordings in a shard. A killed run loses the shard that is being written,
#: one waiting batch and the batch that is being encoded, which is no more than
#: on a CPU.
GPU_SHARD = 256

#: Threads that read recordings for a GPU.
N_READERS = os.cpu_count() or 1


def is_gpu(device):
    """Whether a device works asynchronously."""
    return device.type == "cuda"


def arithmetic(device):
    """Describe a device's arithmetic for a store's settings, as a dict.

    The dict is empty for float32. If a GPU may round to TF32, with ten bits of
    mantissa, embeddings differ from the third digit on and get a store of their
    own.

    Example
    -------
    >>> arithmetic(torch.device("cpu"))
    {}
    """
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    if is_gpu(device) and any(backend.allow_tf32 for backend in backends):
        return {"precision": "tf32"}
    return {}


@torch.no_grad()
def recordings_at_once(clap, n_samples):
    """Return how many recordings of ``n_samples`` to encode at once.

    On a GPU, a small batch is encoded to measure its memory. The result is the
    largest power of two that fits half of the free memory, at most `GPU_BATCH`.
    """
    device = clap.device
    if not is_gpu(device):
        return CPU_BATCH
    wavs = torch.rand(CPU_BATCH, n_samples, device=device) - 0.5
    lens = torch.ones(CPU_BATCH, device=device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    clap.encode_audio(wavs, lens)
    used = torch.cuda.max_memory_allocated(device) - before
    free = torch.cuda.mem_get_info(device)[0]
    free += torch.cuda.memory_reserved(device) - before
    return power_of_two(free / 2 / max(1, used) * CPU_BATCH)


def power_of_two(most):
    """Return the largest power of two up to ``most``, from 1 to `GPU_BATCH`.

    Example
    -------
    >>> [power_of_two(most) for most in (0.3, 1, 63.9, 64, 1000)]
    [1, 1, 32, 64, 128]
    """
    return 2 ** int(math.log2(max(1, min(GPU_BATCH, most))))


def zeros_for(device, shape):
    """Make zeros in CPU memory, pinned so that a GPU can copy them by itself.

    Example
    -------
    >>> zeros_for(torch.device("cpu"), (1, 2))
    tensor([[0., 0.]])
    """
    return torch.zeros(shape, pin_memory=is_gpu(device))


def make_sender(device):
    """Return a function that copies a list of tensors to a device.

    A GPU copies from pinned memory while it computes.
    """
    if not is_gpu(device):
        return lambda tensors: [tensor.to(device) for tensor in tensors]
    beside = torch.cuda.Stream(device)

    def send(tensors):
        """Start the copies; later computations wait for them."""
        computing = torch.cuda.current_stream(device)
        with torch.cuda.stream(beside):
            sent = [tensor.to(device, non_blocking=True) for tensor in tensors]
        computing.wait_stream(beside)
        for tensor in sent:
            tensor.record_stream(computing)
        return sent

    return send


def entries(embeddings, keep_padding=False):
    """Yield a batch of `Embeddings` as entries of a store, without padding.

    Copies from a GPU start at once; only the reader of the entries waits for
    them.
    """
    device, copied = embeddings[0].device, None
    on_cpu = [part.to("cpu", non_blocking=True) for part in embeddings]
    if is_gpu(device):
        # Waiting for a blocking event sleeps and leaves the core to decoding.
        copied = torch.cuda.Event(blocking=True)
        copied.record(torch.cuda.current_stream(device))

    def read():
        """Wait for the copies and yield the entries."""
        if copied is not None:
            copied.synchronize()
        for whole, parts, mask in zip(*on_cpu, strict=True):
            if not keep_padding:
                parts, mask = parts[mask], mask[mask]
            yield {"whole": whole, "parts": parts, "mask": mask}

    return read()
