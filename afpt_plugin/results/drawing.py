"""Tools that all figures share: colors, layout, percentages, names on lines.

matplotlib is imported only when a figure is drawn. Figures are made without
pyplot, whose state is global.

Authors
 * The afpt_plugin developers 2026
"""

import warnings
from contextlib import contextmanager

import numpy as np
from speechbrain.utils.logger import get_logger

from afpt_plugin.files import replacing

logger = get_logger(__name__)

# Okabe and Ito's colors, which color-blind readers can distinguish.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
GRAY, PALE, DARK = "#707070", "#DDDDDD", "#222222"
_AXIS_NAMES = {"acc": "accuracy", "ap": "average precision"}
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": DARK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 130,
    "font.size": 9,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": "figure",
    "text.color": DARK,
    "text.hinting": "none",  # it takes time, and shows only at low resolution
    "text.parse_math": False,  # a class name may hold dollar signs
    "xtick.color": GRAY,
    "xtick.labelcolor": DARK,
    "ytick.color": GRAY,
    "ytick.labelcolor": DARK,
}


@contextmanager
def drawing(path, width, height):
    """Make a figure, in inches, and save it after the body has drawn on it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    # Fonts for characters that matplotlib's own font lacks
    more = sorted({f.name for f in fontManager.ttflist if "CJK" in f.name})
    style = {**_STYLE, "font.family": ["DejaVu Sans", *more[:1]]}
    with (
        matplotlib.rc_context(style),
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always")
        figure = Figure(figsize=(width, height), layout="constrained")
        engine = figure.get_layout_engine()
        engine.set(w_pad=0.08, h_pad=0.08, wspace=0.04)
        yield figure
        # With a layout engine, savefig would draw everything twice.
        engine.execute(figure)
        figure.set_layout_engine(None)
        with replacing(path) as part:
            figure.savefig(part)
    lacking = {
        str(each.message) for each in said if "Glyph" in str(each.message)
    }
    if lacking:
        logger.warning(
            "%s: no font has %d of the characters, so they are boxes; install "
            "one, such as Noto Sans CJK",
            *(path, len(lacking)),
        )


def metric_label(metric_name):
    """Return the label of an axis in percent.

    Example
    -------
    >>> metric_label("acc"), metric_label("mAP")
    ('accuracy [%]', 'mAP [%]')
    """
    return f"{_AXIS_NAMES.get(metric_name, metric_name)} [%]"


def percent_limits(values, least=20):
    """Compute the limits of an axis of percentages, at least ``least`` apart.

    If the limits fitted the values tightly, one recording more would look like
    a large gain.

    Example
    -------
    >>> percent_limits([82.25, 83.75]), percent_limits([99.0, 100.0])
    ((73.0, 93.0), (81, 101))
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(least - (high - low), 0.1 * (high - low)) / 2
    top = min(high + room, 101)
    return max(min(low - room, top - least), -1), max(top, least - 1)


def wilson_interval(share, n):
    """Compute Wilson's 95 % interval of a share of ``n`` (arrays, 0..1).

    Example
    -------
    >>> low, high = wilson_interval(np.array([1.0]), np.array([4]))
    >>> f"{low[0]:.2f}, {high[0]:.2f}"
    '0.51, 1.00'
    """
    z2 = 1.959964**2
    middle = share + z2 / (2 * n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2)))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


def short(name, limit=32):
    """Shorten a name, to leave room for the drawing beside it.

    Example
    -------
    >>> short("dog"), short("somebody walking", 9)
    ('dog', 'somebody…')
    """
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def write_rows(axes, names, size=8):
    """Name the rows 0, 1, ... left of the axes; ticks would be much slower."""
    axes.set_yticks([])
    look = {"ha": "right", "va": "center", "fontsize": size}
    where = axes.get_yaxis_transform()
    for place, name in enumerate(names):
        axes.text(-0.01, place, name, transform=where, **look)


def _spread(values, gap):
    """Move numbers at least ``gap`` apart, as little as possible."""
    order = np.argsort(values)
    placed = np.array(values, dtype=float)[order]
    for place in range(1, len(placed)):
        placed[place] = max(placed[place], placed[place - 1] + gap)
    # So far they moved only up; now all move down by half the largest move.
    placed -= (placed - np.sort(values)).max() / 2
    return placed[np.argsort(order)]


def name_lines(axes, ends):
    """Write names right of the axes, each joined to the end of its line.

    ``ends`` are tuples of name, height, color and horizontal place.
    """
    from matplotlib.collections import LineCollection

    axes.get_ylim()  # makes matplotlib compute the limits now
    to_axes = axes.transScale + axes.transLimits
    points = to_axes.transform([(end[3], end[1]) for end in ends])  # [N, 2]
    # The height of a line of text is about a seventeenth of the axes.
    heights = _spread(points[:, 1], 1 / 17)
    leads = [
        [point, (1.02, point[1]), (1.06, height)]
        for point, height in zip(points, heights, strict=True)
    ]
    colors = [end[2] for end in ends]
    look = {"colors": colors, "linewidths": 0.8, "clip_on": False}
    leads = LineCollection(leads, transform=axes.transAxes, **look)
    axes.add_artist(leads)
    look = {"va": "center", "fontsize": 8.5, "transform": axes.transAxes}
    for end, height in zip(ends, heights, strict=True):
        axes.text(1.07, height, end[0], **look)
