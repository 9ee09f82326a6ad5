"""The figure of a recording: its spectrogram above the frame probabilities.

Authors
 * The afpt_plugin developers 2026
"""

from textwrap import fill

import numpy as np

from afpt_plugin.results.drawing import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    drawing,
)

_COLORS = (BLUE, RED, GREEN, PURPLE, BLACK, ORANGE, SKY)
_WIDTH = 7.5  # in inches


def choose_classes(peaks, top_k):
    """Choose the classes to draw: the ``top_k`` with the highest peaks.

    A class that never reaches a quarter of the highest peak is left out.

    Example
    -------
    >>> choose_classes(np.array([0.1, 0.8, 0.3, 0.5]), 5).tolist()
    [1, 3, 2]
    """
    order = np.argsort(-peaks, kind="stable")[:top_k]
    return order[peaks[order] >= peaks.max() / 4]


def plot_frame_scores(sig, sample_rate, frames, class_names, path, top_k=5):
    """Draw a recording's spectrogram, above its frames if it has any.

    Arguments
    ---------
    sig : torch.Tensor
        The waveform, [samples].
    sample_rate : int
        Its sample rate, in Hz.
    frames : FrameScores or None
        From `PromptedClassifier.frame_probabilities`.
    class_names : list of str
        The n_classes names.
    path : str or Path
        File to write.
    top_k : int
        The most classes to draw, see `choose_classes`.
    """
    seconds = len(sig) / sample_rate
    unit, name = (1, "s") if seconds <= 120 else (60, "min")
    alone = frames is None or not len(frames.logits)
    ratios = [1] if alone else [1, 1.3]
    with drawing(path, _WIDTH, 2.2 if alone else 4.4) as figure:
        rows = {"height_ratios": ratios, "sharex": True, "squeeze": False}
        above, below = figure.subplots(len(ratios), **rows)[[0, -1], 0]
        _draw_spectrogram(above, sig, sample_rate, seconds / unit)
        below.set(xlim=(0, seconds / unit), xlabel=f"time [{name}]")
        if not alone:
            _draw_frames(below, frames, class_names, unit, top_k)


def _draw_spectrogram(axes, sig, sample_rate, width):
    """Draw the levels of mel bands, over a range of 80 dB."""
    from torch.nn.functional import pad
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    n_fft, hop = (2 ** round(np.log2(s * sample_rate)) for s in (0.04, 0.01))
    # More columns than the figure's pixels would take memory for no effect.
    n_fft, hop = max(n_fft, 16), max(hop, 4, len(sig) // 4000)
    # With more bands, the lowest would be narrower than a bin.
    mel = MelSpectrogram(
        sample_rate, n_fft, hop_length=hop, n_mels=min(64, n_fft // 16)
    )
    sig = sig.detach().float().cpu()
    # The first frame extends n_fft / 2 beyond the end of a tiny recording.
    sig = pad(sig, (0, max(0, n_fft - len(sig))))
    level = AmplitudeToDB(top_db=80)(mel(sig))

    def height(frequency):
        """Height of a frequency; bands are evenly spaced in torchaudio mels."""
        return np.log10(1 + np.array(frequency) / 700)

    top = height(sample_rate / 2)
    axes.imshow(
        level - level.amax(),
        aspect="auto",
        origin="lower",
        cmap="magma",
        extent=(0, width, 0, top),
    )
    ticks = [kHz for kHz in (0.5, 1, 2, 4, 8, 16) if 2000 * kHz <= sample_rate]
    axes.set_yticks(
        height([1000 * kHz for kHz in ticks]), map("{:g}".format, ticks)
    )
    axes.set_ylabel("frequency [kHz]")


def _draw_frames(axes, frames, class_names, unit, top_k):
    """Draw a line per class, interrupted where the backbone hears nothing."""
    p = 100 * frames.logits.double().cpu().numpy().T  # [n_classes, T]
    if len(p) != len(class_names):
        raise ValueError(f"{len(class_names)} names for {len(p)} classes")
    chosen = choose_classes(p.max(axis=1), top_k)
    highest = p.max()
    top = next(limit for limit in (10, 25, 50, 101) if highest <= limit)
    axes.set(ylim=(0, 1.16 * top), ylabel="probability [%]")
    axes.set_yticks(np.linspace(0, top - top % 5, 6))
    axes.grid(axis="y")
    extent = frames.extent.cpu().numpy() / unit  # [T, 2]
    gaps = 1 + np.flatnonzero(extent[1:, 0] > extent[:-1, 1])
    time = np.insert(extent.ravel(), 2 * gaps, np.nan)
    width = 1.0 if len(extent) > 200 else 1.6
    for i, place in enumerate(chosen):
        line = np.insert(np.repeat(p[place], 2), 2 * gaps, np.nan)
        color = _COLORS[i % len(_COLORS)]
        style = "-" if i < len(_COLORS) else "--"
        axes.plot(time, line, style, color=color, linewidth=width)
    _name_peaks(
        axes, extent.mean(axis=1), p[chosen], [class_names[i] for i in chosen]
    )
    if len(chosen) < len(class_names):
        note = f"{len(chosen)} of {len(class_names)} classes"
        look = {"fontsize": 7.5, "ha": "right", "va": "bottom"}
        axes.text(1, 1, note, transform=axes.transAxes, **look)


def _name_peaks(axes, time, curves, names):
    """Write each name above its curve, at the highest free place."""
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    # From 0 to 1 over the axes
    x = time / axes.get_xlim()[1]
    boxes, halo = [], [withStroke(linewidth=2.5, foreground="white")]
    for i, (curve, name) in enumerate(zip(curves, names, strict=True)):
        name = fill(name, 36)
        lines = name.split("\n")
        half, high = 0.006 * max(map(len, lines)), 0.075 * len(lines)
        y = curve / axes.get_ylim()[1] + 0.012
        left = np.clip(x - half, 0, max(0, 1 - 2 * half))

        def free(place, y, left=left, half=half, high=high):
            """Whether no other name covers a place."""
            return all(
                left[place] > box[1]
                or left[place] + 2 * half < box[0]
                or y > box[3]
                or y + high < box[2]
                for box in boxes
            )

        order = np.argsort(-curve, kind="stable")
        # Consider only places where the curve is still high.
        order = order[curve[order] >= 0.6 * curve.max()]
        place = next((k for k in order if free(k, y[k])), order[0])
        height = y[place]
        while not free(place, height):
            height += high / 4
        boxes.append(
            (left[place], left[place] + 2 * half, height, height + high)
        )
        axes.text(
            left[place] + half,
            height,
            name,
            color=[0.65 * part for part in to_rgb(_COLORS[i % len(_COLORS)])],
            fontsize=8.5,
            ha="center",
            va="bottom",
            path_effects=halo,
            transform=axes.transAxes,
        )
