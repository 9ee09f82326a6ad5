"""Memory: how much is free, and giving it back.

Authors
 * The afpt_plugin developers 2026
"""

import ctypes
import functools
import os
from contextlib import suppress

import torch

# A constant of <malloc.h>; larger blocks than these go back when they are free.
M_MMAP_THRESHOLD = -3
BLOCK_BYTES = 2**20


def free_bytes(device):
    """Memory that nobody uses on a device; 0 where the platform does not tell.

    Example
    -------
    >>> free_bytes(torch.device("cpu")) >= 0
    True
    """
    if device.type == "cuda":
        ours = torch.cuda.memory_reserved(device)
        ours -= torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + ours
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


@functools.cache
def give_blocks_back():
    """Have glibc give each large block back as soon as it is free.

    Left to itself it keeps them, and the process grows chunk by chunk although
    no tensor is alive (blocks of one size, from equal padding, do not help):
    100 classes of a BERT-base in chunks of 16 take 4.2 GB, and 2.3 GB so.
    Elsewhere than on glibc it does nothing.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
