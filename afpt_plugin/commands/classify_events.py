"""What `afpt classify` says about time: options of events, rows of all tables.

Authors
 * The afpt_plugin developers 2026
"""

import math
import os
from contextlib import suppress

from afpt_plugin.errors import InputError
from afpt_plugin.scoring.detections import FORMATS, event_rows, find_events

#: The format that an ending of --output stands for.
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
    """Say how events are found and written; nothing if they are not."""
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
    """Where the table lies, of events that lie at ``output``."""
    suffix = output.suffix.lower()
    if suffix == ".txt" and n_files != 1:
        raise InputError(
            f"--output {output} can hold the events of one recording, but "
            f"{n_files} are given; name a folder"
        )
    stem = output.stem if suffix in ENDINGS else output.name
    return output.with_name(f"{stem}.scores.csv")


def check_threshold(threshold, calibration):
    """Return a threshold of a probability, by default the calibration's or 0.5."""
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
    """`event_rows` of the probabilities of a recording's frames.

    They are those of `PromptedClassifier.frame_probabilities`.
    """
    import soundfile

    rate = sample_rate
    with suppress(OSError, soundfile.SoundFileError):  # just removed
        rate = min(rate, soundfile.info(os.fsencode(path)).samplerate)
    options = [facts[name] for name in ("threshold", "smooth", "min_length")]
    events = find_events(frames, facts["class_names"], *options)
    name = table_text(relative_name(path, facts))
    return event_rows(facts["format"], name, events, rate / 2)


def relative_name(path, facts):
    """A recording's path from the folder that all share."""
    return os.path.relpath(os.path.abspath(path), facts["shared_folder"])


def rows_of_windows(found, class_names, window_seconds, best):
    """Rows of a recording's windows, and of segments: neighbors of one class.

    Arguments
    ---------
    found : RecordingScores
        Of W windows.
    class_names : list of str
        The n_classes names.
    window_seconds : float
        Length of a window.
    best : Scores
        What `PromptedClassifier.rank` makes of the windows' logits.

    Returns
    -------
    windows, segments : list of tuple
        Start and end in seconds, class and score, which is the mean of a
        segment's windows.
    """
    import torch

    from afpt_plugin.scoring.windows import FrameScores

    scores = best.score.exp()  # [W]
    ends = (found.start + window_seconds).clamp(max=found.seconds)  # [W]
    begins = torch.cat([ends.new_zeros(1), ends[:-1]])
    only = torch.full_like(best.out_prob, -math.inf)  # [W, n_classes]
    only.scatter_(1, best.index.clamp(min=0)[:, None], scores[:, None])
    only[best.index < 0] = math.nan  # a window of no class
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
    """A score as a table shows it: the digits of float32.

    Example
    -------
    >>> number(0.1 + 2e-17)
    '0.1'
    """
    import numpy as np

    return str(np.float32(value))


def table_text(text):
    """A path, or a message with one, that any table can hold."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
