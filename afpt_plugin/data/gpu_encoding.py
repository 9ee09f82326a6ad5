"""How recordings get to a tower and embeddings back, on a CPU and on a GPU.

On a CPU nothing is to be gained. A GPU has to be kept busy: recordings are read
by as many threads as there are cores, into memory from which they are copied
while the batch before is encoded, and what comes back is waited for by the
thread that writes it.

Authors
 * The afpt_plugin developers 2026
"""

import math
import os

import torch

#: Recordings encoded at once on a CPU, where more are no faster.
CPU_BATCH = 8

#: The most on a GPU, a power of two: larger products are no faster, and cards
#: with enough memory for it encode the same batches.
GPU_BATCH = 128

#: Recordings in a shard. A kill loses the shard that is being written, a batch
#: that waits, and one that is being encoded: no more than on a CPU.
GPU_SHARD = 256

#: Threads that read recordings for a GPU.
N_READERS = os.cpu_count() or 1


def is_gpu(device):
    """Whether work on a device runs behind Python's back."""
    return device.type == "cuda"


def arithmetic(device):
    """What a store's settings say of a device's arithmetic, a dict.

    Nothing of float32. Where a GPU may round to TF32, ten bits of mantissa,
    embeddings differ from the third digit on, and have a store of their own.

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
    """How many recordings of ``n_samples`` to encode at once.

    On a GPU a small batch is encoded to see what memory it takes; a power of
    two of which half of the free memory holds, at most `GPU_BATCH`.
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
    """The largest from 1 to `GPU_BATCH` that is at most ``most``.

    Example
    -------
    >>> [power_of_two(most) for most in (0.3, 1, 63.9, 64, 1000)]
    [1, 1, 32, 64, 128]
    """
    return 2 ** int(math.log2(max(1, min(GPU_BATCH, most))))


def zeros_for(device, shape):
    """Zeros in the CPU's memory, from which a device can copy by itself.

    Example
    -------
    >>> zeros_for(torch.device("cpu"), (1, 2))
    tensor([[0., 0.]])
    """
    return torch.zeros(shape, pin_memory=is_gpu(device))


def make_sender(device):
    """A function that copies a list of tensors to a device.

    To a GPU from pinned memory, beside what the GPU computes.
    """
    if not is_gpu(device):
        return lambda tensors: [tensor.to(device) for tensor in tensors]
    beside = torch.cuda.Stream(device)

    def send(tensors):
        """Start the copies; what is computed next waits for them."""
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

    From a GPU, copies start at once and are waited for by who reads them.
    """
    device, copied = embeddings[0].device, None
    on_cpu = [part.to("cpu", non_blocking=True) for part in embeddings]
    if is_gpu(device):
        # It sleeps instead of taking a core from those who decode.
        copied = torch.cuda.Event(blocking=True)
        copied.record(torch.cuda.current_stream(device))

    def read():
        """Wait and yield."""
        if copied is not None:
            copied.synchronize()
        for whole, parts, mask in zip(*on_cpu, strict=True):
            if not keep_padding:
                parts, mask = parts[mask], mask[mask]
            yield {"whole": whole, "parts": parts, "mask": mask}

    return read()
