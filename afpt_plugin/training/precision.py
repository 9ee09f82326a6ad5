"""In which precision a GPU multiplies matrices of float32.

``fp32`` is full float32. ``tf32`` rounds the factors of a product to 10 bits
(SpeechBrain allows it unless told otherwise, so it is what a GPU does by
default). ``bf16`` computes the text tower's class prompts with copies of its
weights in bfloat16, see `TextEncoder`. Contexts, logits, loss and optimizer are
in full float32 in all of them.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import contextmanager

import speechbrain as sb
import torch


def set_tf32(precision=None):
    """Allow TF32 or not, as ``--precision`` says or, without it, SpeechBrain."""
    allowed = "allow_tf32" in sb.utils.quirks.applied_quirks
    if precision in ("fp32", "tf32"):
        allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def name_precision(precision, device):
    """What a run's precision is in truth: float32 may be TF32 on a GPU.

    Example
    -------
    >>> name_precision("fp32", "cpu"), name_precision("bf16", "cuda")
    ('fp32', 'bf16')
    """
    on_gpu = torch.device(device).type == "cuda"
    if precision == "fp32" and on_gpu and torch.backends.cuda.matmul.allow_tf32:
        return "tf32"
    return precision


@contextmanager
def full_float32(device):
    """Multiply in full float32 in a ``with`` block, also under autocast.

    Cosines times a scale of up to 100 need it.
    """
    flags = torch.backends.cuda.matmul
    before, flags.allow_tf32 = flags.allow_tf32, False
    try:
        with torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        flags.allow_tf32 = before
