"""When is what heard: events out of frame scores, and the files that hold them.

`find_events` turns `FrameScores` into events, and `event_rows` those into

* ``dcase``: one ``.tsv`` file, as DCASE's task 4 and its scorers take it;
* ``audacity``: a file of labels per recording, File > Import > Labels;
* ``raven``: a selection table per recording, with BirdNET's columns.

Authors
 * The afpt_plugin developers 2026
"""

import os
import re
from typing import NamedTuple

from afpt_plugin.files import replacing

#: The ending of a file of each format.
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
    score: float  # mean of its frames' smoothed scores


def find_events(frames, class_names, threshold, smooth=0.0, min_length=0.0):
    """Find the events of a recording, by onset.

    A class is heard in the frames whose score is above the threshold. An event
    reaches from the first to the last of its frames, each of which extends
    halfway to its neighbors. It ends where a backbone hears nothing.

    Arguments
    ---------
    frames : FrameScores
        With probabilities in place of logits, see
        `PromptedClassifier.frame_probabilities`.
    class_names : list of str
        The n_classes names.
    threshold : float
        What a score must exceed.
    smooth : float
        Replaces each score by the median of that many seconds around it,
        rounded to an odd number of frames; 0 for none.
    min_length : float
        Leaves shorter events out, in seconds.

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
    # Neither an event nor a median reaches across what has no frames.
    gaps = np.flatnonzero(begin[1:] > end[:-1] + 1e-6) + 1
    for rows in np.split(np.arange(len(scores)), gaps):
        part = median_filter(scores[rows], (size, 1), mode="nearest")
        # A median commutes with a threshold, so this is the smoothed decision.
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
    """The folder that recordings share; names from there on do not collide.

    Example
    -------
    >>> shared_folder(["/a/dog.wav", "/a/b/dog.wav", "/a/b/dog.flac"])
    '/a'
    """
    paths = [os.path.abspath(path) for path in paths]
    return os.path.commonpath([os.path.dirname(path) for path in paths])


def event_rows(style, name, events, top_hz):
    """The rows of a recording's events.

    Arguments
    ---------
    style : str
        One of `FORMATS`.
    name : str
        Of the recording.
    events : list of Event
        See `find_events`.
    top_hz : float
        The highest frequency that the scores could depend on, in Hz.

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

    Both programs split at tabs, and take a quote as part of the text.

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
