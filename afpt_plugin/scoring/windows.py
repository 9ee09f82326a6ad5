"""Scores of a recording, of its windows and of its frames.

A recording that is longer than a window is cut into several; the last one ends
where the recording ends, so it may overlap the one before. A shorter one is
looped to one window.

Authors
 * The afpt_plugin developers 2026
"""

from itertools import islice
from typing import NamedTuple

import torch

from afpt_plugin.errors import InputError


class Scores(NamedTuple):
    """The results of SpeechBrain's classifiers, in the same order.

    ``out_prob`` holds logs of calibrated probabilities, see
    `afpt_plugin.scoring.calibration`. They sum to 1 over the classes, or, if a
    recording may have several classes, each class has its own probability.
    """

    out_prob: torch.Tensor  # [B, n_classes]
    score: torch.Tensor  # [B], the highest values of out_prob, or [B, k]
    index: torch.Tensor  # [B] or [B, k], the classes of these values
    text_lab: list  # names of these classes: B texts, or B lists of k


class FrameScores(NamedTuple):
    """The fine logits of a recording over time.

    There are no frames where the backbone hears nothing (for mini-CLAP, in
    digital silence). The fine logit of a window is a mean of its frames' logits
    that weights the best frames most.
    """

    logits: torch.Tensor  # [T, n_classes], scaled cosines
    start: torch.Tensor  # [T], in seconds from the recording's start
    center: torch.Tensor  # [T], in seconds, ascending
    extent: torch.Tensor  # [T, 2], start and end of the time nearest to a frame


class RecordingScores(NamedTuple):
    """All logits of one recording, cut into W windows."""

    seconds: float  # length of the recording
    start: torch.Tensor  # [W], in seconds
    weight: torch.Tensor  # [W], share of the time not in an earlier window
    logits: torch.Tensor  # [W, n_classes], of the ensemble or the only head
    frames: FrameScores | None  # None for a learner without fine scores
    margin: torch.Tensor | None = None  # [W], NaN if nothing is rejected

    def mean_logits(self):
        """Weighted mean of the windows' logits, [n_classes]."""
        return self.weight @ self.logits

    def mean_margin(self):
        """Weighted mean of the windows' margins, []."""
        return self.weight @ self.margin


def window_starts(n_samples, size):
    """First samples of the windows of ``size`` samples, ascending.

    Example
    -------
    >>> window_starts(25, 10), window_starts(20, 10), window_starts(3, 10)
    ([0, 10, 15], [0, 10], [0])
    """
    return [*range(0, n_samples - size, size), max(0, n_samples - size)]


def cut_windows(blocks, size):
    """Cut a recording that comes in blocks into the windows of `window_starts`.

    Arguments
    ---------
    blocks : iterable of torch.Tensor
        [samples] each.
    size : int
        Length of a window.

    Yields
    ------
    torch.Tensor
        A window [size], or the whole of a shorter recording.

    Example
    -------
    >>> blocks = torch.arange(25).split(4)
    >>> [(clip[0].item(), len(clip)) for clip in cut_windows(blocks, 10)]
    [(0, 10), (10, 10), (15, 10)]
    """
    # The last window may reach back into the one before `fresh`.
    held, fresh = None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block])
        while len(held) - fresh > size:
            yield held[fresh : fresh + size]
            fresh += size
        passed = max(0, fresh - size)
        held, fresh = held[passed:], fresh - passed
    yield held[-size:]


def cut_batch(wavs, lens=None):
    """Split a SpeechBrain batch into its waveforms.

    Arguments
    ---------
    wavs : torch.Tensor
        Mono, floating point, [B, samples] or [samples].
    lens : torch.Tensor, optional
        Relative lengths, [B], 1 for the longest; by default all 1.

    Returns
    -------
    sigs : list of torch.Tensor
        B waveforms, [samples] each.
    longest : int
        Length of the batch, in samples.

    Raises
    ------
    InputError
        If the shapes or types do not fit.

    Example
    -------
    >>> cut_batch(torch.eye(2), torch.tensor([1, 0.5]))
    ([tensor([1., 0.]), tensor([0.])], 2)
    """
    for name, value in (("wavs", wavs), ("lens", lens)):
        may_lack = name == "lens" and value is None
        if not may_lack and not isinstance(value, torch.Tensor):
            raise InputError(
                f"{name} is of type {type(value).__name__}; give a torch.Tensor"
            )
    if not wavs.is_floating_point():
        raise InputError(
            f"wavs are {wavs.dtype}; give floats whose full scale is 1"
        )
    wavs = wavs[None] if wavs.dim() == 1 else wavs
    if wavs.dim() != 2 or wavs.numel() == 0:
        raise InputError(
            f"wavs have the shape {list(wavs.shape)}; give mono waveforms "
            "[batch, samples]"
        )
    lens = torch.ones(len(wavs)) if lens is None else lens
    if lens.shape != wavs.shape[:1] or not ((lens > 0) & (lens <= 1)).all():
        raise InputError(
            f"lens must be {len(wavs)} relative lengths in (0, 1], the longest "
            f"1; got {lens.tolist()}"
        )
    longest = wavs.shape[1]
    n_samples = (lens * longest).round().long().clamp(min=1)
    return [wav[:n] for wav, n in zip(wavs, n_samples, strict=True)], longest


def by_recording(sigs, size, batch_size, keep):
    """Process windows of recordings in batches; return results by recording.

    Arguments
    ---------
    sigs : list of torch.Tensor or of iterables of torch.Tensor
        N waveforms [samples], or their blocks.
    size : int
        Length of a window.
    batch_size : int
        Windows in a batch.
    keep : callable
        Takes a batch, a list of windows, and returns tensors with a row per
        window.

    Returns
    -------
    list of tuple of torch.Tensor
        For each recording, the rows of its windows, on the CPU.

    Raises
    ------
    InputError
        If a waveform is not [samples].

    Example
    -------
    >>> sigs = [torch.arange(5), torch.arange(2)]
    >>> by_recording(sigs, 2, 2, lambda batch: [torch.stack(batch)[:, 0]])
    [(tensor([0, 2, 3]),), (tensor([0]),)]
    """
    counts, kept = [], []

    def cut():
        """Yield all windows, and count those of each recording."""
        for number, sig in enumerate(sigs, start=1):
            if isinstance(sig, torch.Tensor):
                if sig.dim() != 1 or len(sig) == 0:
                    raise InputError(
                        f"waveform number {number} has the shape "
                        f"{list(sig.shape)}; give mono waveforms, [samples]"
                    )
                sig = [sig]
            counts.append(0)
            for clip in cut_windows(sig, size):
                counts[-1] += 1
                yield clip

    clips = cut()
    while batch := list(islice(clips, batch_size)):
        # Copy the results, so that they do not fragment the batches' memory.
        kept.append([part.cpu().clone() for part in keep(batch)])
    split = [torch.cat(part).split(counts) for part in zip(*kept, strict=True)]
    return list(zip(*split, strict=True))


def join_windows(n_samples, size, rate, logits, frames=None):
    """Join the scores of a recording's windows.

    Arguments
    ---------
    n_samples : int
        Length of the recording.
    size : int
        Length of a window, in samples.
    rate : int
        Samples per second.
    logits : torch.Tensor
        Logits of the windows, [W, n_classes].
    frames : tuple of torch.Tensor, optional
        Logits of the windows' frames [W, T, n_classes], a mask of the real
        ones [W, T], and their centers in samples of the window [T].

    Returns
    -------
    RecordingScores

    Raises
    ------
    InputError
        If a score is not finite.
    """
    if not logits.isfinite().all():
        raise InputError("its scores are not finite; its samples are huge")
    seconds, window = n_samples / rate, size / rate
    start = torch.tensor(window_starts(n_samples, size)).double() / rate  # [W]
    ends = (start + window).clamp(max=seconds)
    # The new time in a window begins where the previous window ends.
    begins = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    weight = ((ends - begins) / seconds).float()  # [W]
    if frames is None:
        return RecordingScores(seconds, start, weight, logits, None)
    frame_logits, mask, times = frames
    times = times / rate
    center = start[:, None] + times  # [W, T]
    once = center < ends[:, None]  # [W, T]
    once[1:] &= center[1:] >= begins[1:, None]
    keep = mask & once
    if not keep.any():
        # A recording shorter than a frame was looped; keep its first frame.
        keep[0, int(mask[0].int().argmax())] = True
    # Time in which nothing is heard belongs to no frame, so apply `keep` last.
    once |= keep
    center, order = center[once].clamp(max=seconds).sort(stable=True)
    real = keep[once][order]
    middles = (center[1:] + center[:-1]) / 2
    borders = [center.new_zeros(1), middles, center.new_tensor([seconds])]
    extent = torch.cat(borders).unfold(0, 2, 1)[real]  # [T, 2]
    center = center[real]  # [T]
    step = times.diff().median() if len(times) > 1 else torch.tensor(window)
    frames = FrameScores(
        frame_logits[once][order][real],
        (center - step / 2).clamp(min=0),
        center,
        extent,
    )
    return RecordingScores(seconds, start, weight, logits, frames)
