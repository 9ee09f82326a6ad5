"""
Creates the test manifest of DCASE2019 task 4 (DESED's real recordings).

The validation set has 1,168 recordings of 10 s and the public evaluation set
692, of 10 classes. Both list events (a class from an onset to an offset); a
recording's labels are the classes of its events. Training sees captions only,
so no training set is needed; a part of a set (fewer rows in its metadata) will
do as well.

https://github.com/turpaultn/DCASE2019_task4

Authors
 * The afpt_plugin developers 2026
"""

import functools
import math
import re

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    prepare_test_set,
    read_metadata,
    warn_of_unlisted_files,
)
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

logger = get_logger(__name__)

DCASE2019_DOWNLOAD_URL = (
    "https://zenodo.org/record/3588172/files/DESEDpublic_eval.tar.gz"
)
ARCHIVE = "DESEDpublic_eval.tar.gz"
# By subset. Before 2020 the metadata was called .csv; DESED's later versions
# have a folder of the same name inside audio/validation.
METADATA = {
    "validation": (
        "metadata/validation/validation.tsv",
        "metadata/validation/validation.csv",
    ),
    "public": ("metadata/eval/public.tsv",),
}
AUDIO = {
    "validation": ("audio/validation/validation", "audio/validation"),
    "public": ("audio/eval/public",),
}
COLUMNS = ("filename", "onset", "offset", "event_label")

# {YouTube's ID}_{from}_{to}.wav, with a Y before it in the validation set
FILENAME = re.compile(r"Y?[\w-]{11}_\d+(\.\d+)?_\d+(\.\d+)?\.wav", re.ASCII)

DCASE2019_LABELS = (
    "Alarm_bell_ringing",
    "Blender",
    "Cat",
    "Dishes",
    "Dog",
    "Electric_shaver_toothbrush",
    "Frying",
    "Running_water",
    "Speech",
    "Vacuum_cleaner",
)


def _class_name(label):
    """As the paper's authors write it."""
    return label.replace("_", " ").lower()


#: The class names in alphabetical order, by which the caption sets number the
#: classes.
DCASE2019_CLASSES = [_class_name(label) for label in DCASE2019_LABELS]

#: What the recipe, and every method, has to know of the data set.
DCASE2019 = Task(
    "DCASE2019 task 4",
    DCASE2019_CLASSES,
    multi_label=True,
    clip_seconds=10.0,
    captions="dcase2019",
)


def prepare_dcase2019(
    data_folder,
    save_folder,
    download=False,
    allow_missing=0,
    subset="validation",
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks every recording of a subset of DCASE2019 task 4 and writes the test
    manifest.

    ``<save_folder>/test.csv`` lists the recordings, ``prepare.json`` says how
    the list came about. Recordings without an event are left out, as the
    paper's authors do; they are named in ``prepare.json``. Where neither the
    data nor the settings have changed since the last time, nothing is read or
    written.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``metadata`` and ``audio``, the one above it, or
        one inside it.
    save_folder : str
        Where to write the manifest.
    download : bool
        Whether to fetch the public evaluation set (1 GB) into ``data_folder``
        if it is not there. The validation set is not to be had in one piece.
    allow_missing : int
        How many recordings may be left out because they are missing, damaged
        or wrongly labelled. They are named in the log and in ``prepare.json``.
    subset : str
        ``validation`` or ``public``.
    skip_prep : bool
        If True, do nothing: the manifest is there.
    cache_folder : str, optional
        Where to remember recordings that were read; by default
        ``save_folder``.

    Returns
    -------
    None

    Raises
    ------
    InputError
        If the subset is unknown, the data set is not found or cannot be
        fetched, or more recordings than allowed cannot be used.

    Example
    -------
    >>> data_folder = '/path/to/DCASE2019'
    >>> prepare_dcase2019(data_folder, 'results/save')  # doctest: +SKIP
    """
    if skip_prep:
        return
    if subset not in tuple(METADATA):
        raise InputError(
            f"subset: {subset!r} is unknown; use one of {', '.join(METADATA)}"
        )
    root = find_root(
        data_folder,
        METADATA[subset],
        f"DCASE2019 task 4 ({subset})",
        fetch=functools.partial(_fetch, subset, data_folder)
        if download
        else None,
    )
    metadata_path = next(
        root / name for name in METADATA[subset] if (root / name).is_file()
    )
    events = {}  # of every recording, with their lines
    metadata = read_metadata(metadata_path, COLUMNS, delimiter="\t")
    for line, row in enumerate(metadata, start=2):
        events.setdefault(row["filename"], []).append((line, row))

    folders = [root / name for name in AUDIO[subset] if (root / name).is_dir()]
    if not folders:
        raise InputError(
            f"{root}: no folder {AUDIO[subset][-1]}, where the recordings of "
            f"{metadata_path} should lie; README.md says where to get them"
        )
    audio = folders[0]
    warn_of_unlisted_files(audio, set(events), metadata_path.name)

    without = [name for name, rows in events.items() if _is_eventless(rows)]
    if without:
        logger.info(
            "%s: %d of %d recordings have no event and are left out, as the "
            "paper's authors do; prepare.json names them",
            metadata_path,
            len(without),
            len(events),
        )
    rows = [
        {
            "ID": name.removesuffix(".wav"),
            "wav": str(audio / name),
            "label": "|".join(
                sorted({_class_name(row["event_label"]) for _, row in lines})
            ),
            "problem": _find_problem(name, lines),
        }
        for name, lines in events.items()
        if not _is_eventless(lines)
    ]
    if not rows:
        raise InputError(
            f"{metadata_path}: no recording has an event. Restore the data "
            "set's own file"
        )
    prepare_test_set(
        "DCASE2019 task 4",
        rows,
        DCASE2019_CLASSES,
        save_folder,
        allow_missing,
        settings={"data_folder": str(root), "subset": subset},
        cache_folder=cache_folder,
        facts={"n_without_event": len(without), "without_event": without},
    )


def _fetch(subset, data_folder):
    """Download the subset that can be downloaded."""
    if subset != "public":
        raise InputError(
            f"subset {subset}: its recordings are cut from YouTube and are not "
            "to be had in one piece; get them by the script of "
            "https://github.com/turpaultn/DCASE2019_task4 (or ask its authors "
            "for missing ones), or test on --subset public, which --download "
            "True fetches"
        )
    download_and_unpack(DCASE2019_DOWNLOAD_URL, data_folder, ARCHIVE)


def _is_eventless(lines):
    """Whether all that is said of a recording is its name."""
    return all(
        row["onset"] == row["offset"] == row["event_label"] == ""
        for _, row in lines
    )


def _find_problem(name, lines):
    """What is wrong with a recording's events (str), or None."""
    if FILENAME.fullmatch(name) is None:
        return "named otherwise than Y{YouTube's ID}_{from}_{to}.wav"
    for line, row in lines:
        problem = _event_problem(row)
        if problem:
            return f"{problem} (line {line} of the metadata)"
    return None


def _event_problem(row):
    """What is wrong with a row of the metadata (str), or None."""
    if row["event_label"] not in DCASE2019_LABELS:
        label = row["event_label"]
        return f"wrongly labelled: event_label {label!r} is unknown"
    times = []
    for column in ("onset", "offset"):
        try:
            times.append(float(row[column]))
        except ValueError:
            return f"{column} {row[column]!r} is no number"
    onset, offset = times
    if not 0 <= onset < offset < math.inf:  # nor is NaN
        return f"wrongly timed: onset {row['onset']}, offset {row['offset']}"
    return None
