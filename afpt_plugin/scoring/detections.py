"""Find sound events in frame scores, and write them to files.

`find_events` turns `FrameScores` into events, and `event_rows` turns the events
into rows of one of these formats:

* ``dcase``: one ``.tsv`` file, as DCASE's task 4 and its scorers read it;
* ``audacity``: a file of labels per recording, for File > Import > Labels;
* ``raven``: a selection table per recording, with BirdNET's columns.

Authors
 * The afpt_plugin developers 2026
"""

import os
import re
from typing import NamedTuple

from afpt_plugin.files import replacing

#: File suffix of each format.
FORMATS = {"audacity": ".txt", "raven": ".txt", "dcase": ".tsv"}

HEADERS = {
    "dcase": "filename onset offset event_label".split(),
    "raven": [
        *("Selection", "View", "Channel", "Begin File"),
        *("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
        *("Common Name", "Confidence"),
    ],
}


class Event(NamedTuple):
    """A stretch of a recording in which a class is heard."""

    onset: float  # in seconds
    offset: float  # in seconds
    class_name: str
    score: float  # mean of the smoothed scores of its frames


def find_events(frames, class_names, threshold, smooth=0.0, min_length=0.0):
    """Find the events of a recording, sorted by onset.

    A class is heard in the frames whose score is above the threshold. An event
    extends from the first to the last of its frames, and each frame extends
    halfway to its neighbors. An event ends where the recording has no frames.

    Arguments
    ---------
    frames : FrameScores
        Frame scores with probabilities instead of logits, see
        `PromptedClassifier.frame_probabilities`.
    class_names : list of str
        The n_classes names.
    threshold : float
        The value that a score must exceed.
    smooth : float
        Length of the median filter over a class's scores, in seconds, rounded
        to an odd number of frames; 0 for no filter.
    min_length : float
        Length below which events are left out, in seconds.

    Returns
    -------
    list of Event

    Example
    -------
    >>> import torch
    >>> from afpt_plugin.scoring.windows import FrameScores
    >>> scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    >>> extent = torch.tensor([[0.0, 1], [1, 2], [2, 3]])
    >>> frames = FrameScores(scores, extent[:, 0], extent.mean(1), extent)
    >>> for event in find_events(frames, ["dog", "rain"], 0.5):
    ...     print(event.onset, event.offset, event.class_name)
    0.0 2.0 dog
    2.0 3.0 rain
    """
    import numpy as np
    from scipy.ndimage import median_filter

    scores = frames.logits.double().cpu().numpy()  # [T, n_classes]
    begin, end = frames.extent.double().cpu().numpy().T  # [T] each
    step = np.median(end - begin)
    size = 1 + 2 * max(0, round((smooth / step - 1) / 2)) if smooth else 1
    events = []
    # Neither events nor medians cross a gap without frames.
    gaps = np.flatnonzero(begin[1:] > end[:-1] + 1e-6) + 1
    for rows in np.split(np.arange(len(scores)), gaps):
        part = median_filter(scores[rows], (size, 1), mode="nearest")
        # Median and threshold commute, so either order gives this decision.
        edges = np.pad(part > threshold, ((1, 1), (0, 0))).astype(np.int8)
        edges = np.diff(edges, axis=0).T  # [n_classes, len(rows) + 1]
        (labels, firsts), lasts = (edges > 0).nonzero(), (edges < 0).nonzero()
        for label, first, last in zip(labels, firsts, lasts[1], strict=True):
            onset, offset = begin[rows[first]], end[rows[last - 1]]
            if round(offset - onset, 6) >= min_length:
                score = part[first:last, label].mean().item()
                name = class_names[label]
                events.append(Event(onset.item(), offset.item(), name, score))
    return sorted(events, key=lambda event: event.onset)


def shared_folder(paths):
    """Find the folder that recordings share; paths relative to it are unique.

    Example
    -------
    >>> shared_folder(["/a/dog.wav", "/a/b/dog.wav", "/a/b/dog.flac"])
    '/a'
    """
    paths = [os.path.abspath(path) for path in paths]
    return os.path.commonpath([os.path.dirname(path) for path in paths])


def event_rows(style, name, events, top_hz):
    """Make the rows of a recording's events.

    Arguments
    ---------
    style : str
        One of `FORMATS`.
    name : str
        Name of the recording.
    events : list of Event
        See `find_events`.
    top_hz : float
        The highest frequency that can affect the scores, in Hz.

    Returns
    -------
    list of tuple of str

    Example
    -------
    >>> event_rows("dcase", "a/dog.wav", [Event(0.5, 2.0, "dog", 0.9)], 8000)
    [('a/dog.wav', '0.500', '2.000', 'dog')]
    """
    if style == "dcase":
        return [
            (name, f"{onset:.3f}", f"{offset:.3f}", label)
            for onset, offset, label, _ in events
        ]
    begin_file = re.sub(r"[\x00-\x1f]", " ", os.path.basename(name))
    rows = []
    for number, (onset, offset, label, score) in enumerate(events, start=1):
        row = (f"{onset:.6f}", f"{offset:.6f}", label)
        if style == "raven":
            row = (str(number), "Spectrogram 1", "1", begin_file, *row[:2])
            row += ("0", f"{top_hz:g}", label, f"{score:.4f}")
        rows.append(row)
    return rows


def write_labels(path, style, rows):
    """Write a recording's own file of `event_rows`, for Audacity or Raven.

    Both programs split rows at tabs and do not interpret quotes.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> write_labels(path, "audacity", [("0.000000", "1.500000", "dog")])
    >>> path.read_text()
    '0.000000\\t1.500000\\tdog\\n'
    """
    rows = [HEADERS[style], *rows] if style in HEADERS else rows
    text = "".join("\t".join(row) + "\n" for row in rows)
    with replacing(path) as part:
        part.write_bytes(text.encode())
