"""Resample from any rate to any other, block by block, in little memory.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import math
from itertools import chain, pairwise

import torch

# torchaudio's defaults: zero crossings of the filter, and its roll-off.
CROSSINGS, ROLLOFF = 6, 0.99
# The most elements of a kernel, which takes 20 MB while it is built. The
# largest kernel between common rates, 11,024 Hz to 48 kHz, has 2.1 million.
MAX_KERNEL = 2_500_000
# How many values of the filter are computed at once.
VALUES = 2**18


def resample(blocks, from_rate, to_rate):
    """Resample blocks as if they were one signal.

    The kernel of torchaudio's resampler has a row for each position that an
    output sample may have between two input samples. It grows with the two
    rates, divided by their greatest common divisor: 44,101 to 16,000 Hz takes
    11 GB. If the kernel would be too large, the filter is computed for each
    output sample instead.

    Arguments
    ---------
    blocks : iterable of torch.Tensor
        Blocks, [channels, samples] each.
    from_rate, to_rate : int
        Sample rates, in Hz.

    Yields
    ------
    torch.Tensor
        [channels, samples], ceil(samples * to_rate / from_rate) in total.

    Example
    -------
    >>> blocks = torch.randn(1, 9000).split(4000, dim=1)
    >>> parts = list(resample(blocks, 16000, 8000))
    >>> sum(part.shape[1] for part in parts)
    4500
    """
    if from_rate == to_rate:
        yield from blocks
        return
    common = math.gcd(from_rate, to_rate)
    step, new = from_rate // common, to_rate // common
    width = math.ceil(CROSSINGS * step / (ROLLOFF * min(step, new)))
    is_small = new * (step + 2 * width) <= MAX_KERNEL
    if not is_small:
        step = 1
    # The context and what is ready are multiples of `step`, where there is an
    # output sample.
    context = -(-(width + step) // step) * step
    held, start, total, done = None, 0, 0, 0
    for block, following in pairwise(chain(blocks, [None])):
        held = block if held is None else torch.cat([held, block], dim=1)
        total += block.shape[1]
        ready = max(0, total - context) // step * step
        if following is None:
            ready = total
        # torchaudio counts samples in float32, so it may return too many.
        until = -(-ready * to_rate // from_rate)
        if until == done:
            continue
        if is_small:
            first = done - start * to_rate // from_rate
            sig = _resampler(from_rate, to_rate)(held)
            yield sig[:, first : first + until - done]
        else:
            places = range(done, until)
            yield _interpolate(held, start, places, from_rate, to_rate, width)
        done = until
        begin = max(start, ready - context)
        held, start = held[:, begin - start :], begin


@functools.lru_cache(maxsize=16)
def _resampler(from_rate, to_rate):
    """Build a resampler once for two rates, since its kernel is costly."""
    from torchaudio.transforms import Resample

    return Resample(
        from_rate, to_rate, lowpass_filter_width=CROSSINGS, rolloff=ROLLOFF
    )


def _interpolate(held, start, places, from_rate, to_rate, width):
    """Compute output samples at ``places``; ``held`` begins at ``start``."""
    taps = torch.arange(-width, width + 1)  # [n_taps]
    scale = ROLLOFF * min(from_rate, to_rate) / from_rate
    held = torch.nn.functional.pad(held, (width, width))
    size = max(1, VALUES // (len(taps) * len(held)))
    parts = []
    for first in range(places.start, places.stop, size):
        place = torch.arange(first, min(first + size, places.stop)) * from_rate
        whole = place // to_rate  # [size], the input sample before it
        share = (place - whole * to_rate).double() / to_rate
        time = (taps - share[:, None]) * scale  # [size, n_taps]
        time = time.clamp(-CROSSINGS, CROSSINGS)
        window = torch.cos(time * (math.pi / CROSSINGS / 2)).square()
        filters = (time.sinc() * window * scale).to(held.dtype)
        near = held[:, whole[:, None] + taps + (width - start)]
        parts.append((near * filters).sum(-1))
    return torch.cat(parts, dim=1)
