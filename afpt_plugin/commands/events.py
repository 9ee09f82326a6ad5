"""What `afpt classify` does about events: its options, and how it writes them.

Authors
 * The afpt_plugin developers 2026
"""

import math
from contextlib import contextmanager, suppress

from afpt_plugin.detections import (
    FORMATS,
    find_events,
    open_events,
    relative_names,
)
from afpt_plugin.errors import InputError

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


@contextmanager
def writing_events(path, facts, sample_rate, files):
    """Yield a function that takes a recording's path and its probabilities.

    They are those of `PromptedClassifier.frame_probabilities`.
    """
    names = dict(zip(files, relative_names(files), strict=True))
    options = [facts[name] for name in ("threshold", "smooth", "min_length")]
    with open_events(path, facts["format"]) as write:

        def add(file, frames):
            """Find and write a recording's events."""
            import soundfile

            rate = sample_rate
            with suppress(OSError, soundfile.SoundFileError):  # just removed
                rate = min(rate, soundfile.info(file).samplerate)
            events = find_events(frames, facts["class_names"], *options)
            write(names[file], events, rate / 2)

        yield add
