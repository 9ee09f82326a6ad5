"""The precision in which a GPU multiplies float32 matrices.

``fp32`` is full float32. ``tf32`` rounds the factors of a product to 10 bits;
it is a GPU's default here, since SpeechBrain allows it unless told otherwise.
``bf16`` computes the text tower's class prompts with copies of its weights in
bfloat16, see `TextEncoder`. Contexts, logits, loss and optimizer use full
float32 in every case.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import contextmanager

import speechbrain as sb
import torch


def set_tf32(precision=None):
    """Allow TF32 or not by ``--precision``, or by SpeechBrain's setting."""
    allowed = "allow_tf32" in sb.utils.quirks.applied_quirks
    if precision in ("fp32", "tf32"):
        allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def name_precision(precision, device):
    """Name a run's actual precision: on a GPU, float32 may be TF32.

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
    """Multiply in full float32 in a ``with`` block, even under autocast.

    Cosines need this precision, since a scale of up to 100 amplifies errors.
    """
    flags = torch.backends.cuda.matmul
    before, flags.allow_tf32 = flags.allow_tf32, False
    try:
        with torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        flags.allow_tf32 = before
