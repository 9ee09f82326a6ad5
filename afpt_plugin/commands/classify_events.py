"""Times in `afpt classify`: options of events, and rows of the tables.

Authors
 * The afpt_plugin developers 2026
"""

import math
import os
from contextlib import suppress

from afpt_plugin.errors import InputError
from afpt_plugin.scoring.detections import FORMATS, event_rows, find_events

#: The format of events for each suffix of --output.
ENDINGS = {".tsv": "dcase", ".txt": "audacity"}


def add_options(parser):
    """Add the options."""
    parser.add_argument(
        "--format",
        choices=sorted(FORMATS),
        help="write events (default: as --output ends, .tsv: dcase, .txt: "
        "audacity)",
    )
    for option, default, text in (
        ("--threshold", None, "what the score of an event's frames exceeds"),
        ("--smooth", 0.0, "median over that many seconds first (default: 0)"),
        ("--min-length", 0.0, "leave shorter events out (default: 0)"),
    ):
        metavar = "SECONDS" if default == 0 else "SCORE"
        parser.add_argument(
            option, type=float, default=default, metavar=metavar, help=text
        )


def read_options(args, output):
    """Return how events are found and written; nothing without events."""
    suffix = output.suffix.lower()
    style = args.format or ENDINGS.get(suffix)
    found = {"threshold": args.threshold, "smooth": args.smooth}
    found["min_length"] = args.min_length
    if not style:
        if any(value not in (None, 0) for value in found.values()):
            raise InputError(
                "--threshold, --smooth and --min-length are for events; give "
                f"--format {' or '.join(FORMATS)}"
            )
        return {}
    for name in ("smooth", "min_length"):
        if not 0 <= found[name] < math.inf:
            raise InputError(
                f"--{name.replace('_', '-')} is {found[name]}; give a number "
                "of seconds, at least 0"
            )
    known = {".csv", ".parquet", *ENDINGS} - {FORMATS[style]}
    if suffix in known or (style == "dcase" and suffix != FORMATS[style]):
        kinds = "file" if style == "dcase" else "file or a folder"
        raise InputError(
            f"--output {output}: the extension is {output.suffix!r}; events in "
            f"the format {style} are a {FORMATS[style]} {kinds}"
        )
    if output.name in ("", ".."):
        raise InputError(f"--output {output} exists; name a new folder")
    return {"events": output.name, "format": style, **found}


def table_path(output, n_files):
    """Return the path of the table of scores, if events are at ``output``."""
    suffix = output.suffix.lower()
    if suffix == ".txt" and n_files != 1:
        raise InputError(
            f"--output {output} can hold the events of one recording, but "
            f"{n_files} are given; name a folder"
        )
    stem = output.stem if suffix in ENDINGS else output.name
    return output.with_name(f"{stem}.scores.csv")


def check_threshold(threshold, calibration):
    """Check a probability threshold; by default the calibration's, else 0.5."""
    if threshold is None:
        threshold = calibration.threshold
    if threshold is None and calibration.multi_label:
        raise InputError(
            "the export is not calibrated, so no threshold is right in "
            "general; choose --threshold, or make the export again"
        )
    threshold = 0.5 if threshold is None else threshold
    if not 0 <= threshold < 1:
        raise InputError(
            f"--threshold is {threshold}, but scores are probabilities; give "
            "a number of at least 0 and below 1"
        )
    return threshold


def rows_of_events(path, frames, facts, sample_rate):
    """Make `event_rows` from the probabilities of a recording's frames.

    The frames are those of `PromptedClassifier.frame_probabilities`.
    """
    import soundfile

    rate = sample_rate
    with suppress(OSError, soundfile.SoundFileError):  # file just removed
        rate = min(rate, soundfile.info(os.fsencode(path)).samplerate)
    options = [facts[name] for name in ("threshold", "smooth", "min_length")]
    events = find_events(frames, facts["class_names"], *options)
    name = table_text(relative_name(path, facts))
    return event_rows(facts["format"], name, events, rate / 2)


def relative_name(path, facts):
    """Return a recording's path relative to the folder that all share."""
    return os.path.relpath(os.path.abspath(path), facts["shared_folder"])


def rows_of_windows(found, class_names, window_seconds, best):
    """Make rows of a recording's windows, and of its segments.

    A segment joins neighboring windows of the same class.

    Arguments
    ---------
    found : RecordingScores
        Scores of W windows.
    class_names : list of str
        The n_classes names.
    window_seconds : float
        Length of a window.
    best : Scores
        The result of `PromptedClassifier.rank` for the windows' logits.

    Returns
    -------
    windows, segments : list of tuple
        Start and end in seconds, class, and score; a segment's score is the
        mean of its windows.
    """
    import torch

    from afpt_plugin.scoring.windows import FrameScores

    scores = best.score.exp()  # [W]
    ends = (found.start + window_seconds).clamp(max=found.seconds)  # [W]
    begins = torch.cat([ends.new_zeros(1), ends[:-1]])
    only = torch.full_like(best.out_prob, -math.inf)  # [W, n_classes]
    only.scatter_(1, best.index.clamp(min=0)[:, None], scores[:, None])
    only[best.index < 0] = math.nan  # a window without a class
    extent = torch.stack([begins, ends], dim=1)
    frames = FrameScores(only, begins, extent.mean(1), extent)
    segments = find_events(frames, class_names, -math.inf)
    windows = zip(found.start, ends, best.text_lab, scores, strict=True)
    return tuple(
        [
            (
                *(round(float(time), 3) for time in (start, end)),
                *(name, number(score) if name else None),
            )
            for start, end, name, score in rows
        ]
        for rows in (windows, segments)
    )


def number(value):
    """Format a score for a table, with the digits of float32.

    Example
    -------
    >>> number(0.1 + 2e-17)
    '0.1'
    """
    import numpy as np

    return str(np.float32(value))


def table_text(text):
    """Make a path, or a message with one, fit for any table."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
