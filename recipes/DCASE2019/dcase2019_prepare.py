"""
Creates the manifests of DCASE2019 task 4 (DESED's real recordings).

The validation set has 1,168 recordings of 10 s, and the public evaluation set
has 692, with 10 classes. Both list events (a class from an onset to an offset);
a recording's labels are the classes of its events. Training on captions needs
no training set; training on recordings needs the weakly labeled one (1,578
recordings). A part of a set (fewer rows in its metadata) works as well.

https://github.com/turpaultn/DCASE2019_task4

Authors
 * The afpt_plugin developers 2026
"""

import math
import re

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    find_unlisted_files,
    prepare_manifests,
)
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

logger = get_logger(__name__)

DCASE2019_DOWNLOAD_URL = (
    "https://zenodo.org/record/3588172/files/DESEDpublic_eval.tar.gz"
)
# Paths by subset. Before 2020 the metadata ended in .csv; later versions of
# DESED have a folder of the same name inside audio/validation.
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
# Metadata of the training set: labels without times
TRAIN_METADATA = ("metadata/train/weak.tsv", "metadata/train/weak.csv")
TRAIN_AUDIO = "audio/train/weak"
TRAIN_COLUMNS = ("filename", "event_labels")
TRAIN_REMEDY = (
    "Get it with the script of https://github.com/turpaultn/DCASE2019_task4, "
    "or learn from captions"
)

# {YouTube's ID}_{from}_{to}.wav; except in the public set, a Y comes first.
FILENAME = re.compile(r"Y?([\w-]{11})_\d+(\.\d+)?_\d+(\.\d+)?\.wav", re.ASCII)
WRONG_NAME = "its name is not Y{YouTube's ID}_{from}_{to}.wav"

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
    """Write a label as the paper's authors do."""
    return label.replace("_", " ").lower()


DCASE2019 = Task(
    "DCASE2019 task 4",
    # In alphabetical order
    [_class_name(label) for label in DCASE2019_LABELS],
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
    with_train=False,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks the recordings of a subset of DCASE2019 task 4 and writes the
    manifests.

    ``<save_folder>/test.csv`` lists the tested recordings, ``train.csv`` (only
    ``with_train``) lists the weakly labeled ones, and ``prepare.json`` says how
    the lists were made. Tested recordings without an event are left out, as by
    the paper's authors; ``prepare.json`` names them.

    Arguments
    ---------
    data_folder : str
        The folder that holds ``metadata`` and ``audio``, the one above it, or
        one inside it.
    download : bool
        Whether to fetch the public evaluation set (1 GB) into ``data_folder``
        if it is not there. The validation set cannot be fetched in one piece.
    subset : str
        ``validation`` or ``public``.
    skip_prep : bool
        If True, do nothing: the manifest is there.
    save_folder, allow_missing, with_train, cache_folder
        See `afpt_plugin.data.manifests.prepare_manifests`.

    Raises
    ------
    InputError
        If the data set is not found or cannot be fetched, or if more
        recordings than allowed cannot be used.

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

    def fetch():
        """Download the recordings, if the subset can be downloaded."""
        if subset != "public":
            raise InputError(
                f"download: the recordings of the {subset} subset are cut from "
                "YouTube and cannot be fetched in one piece. Get them with the "
                "script of https://github.com/turpaultn/DCASE2019_task4 (or "
                "ask its authors for missing ones), or test on --subset "
                "public, which --download True fetches"
            )
        download_and_unpack(DCASE2019_DOWNLOAD_URL, data_folder)

    root = find_root(
        data_folder,
        METADATA[subset],
        f"{DCASE2019.name} ({subset})",
        fetch if download else None,
    )
    metadata_path = next(
        root / name for name in METADATA[subset] if (root / name).is_file()
    )
    events = {}  # maps every recording to its events
    for row in read_table(metadata_path, COLUMNS, delimiter="\t"):
        events.setdefault(row["filename"], []).append(row)
    folders = [root / name for name in AUDIO[subset] if (root / name).is_dir()]
    if not folders:
        raise InputError(
            f"{root} has no folder {AUDIO[subset][-1]} with the recordings of "
            f"{metadata_path}; README.md says where to get them"
        )
    audio = folders[0]
    find_unlisted_files(audio, events, metadata_path.name)
    eventless = [n for n, of_one in events.items() if _is_eventless(of_one)]
    if len(eventless) == len(events):
        raise InputError(
            f"{metadata_path}: no recording has an event. Restore the original "
            "file"
        )
    if eventless:
        logger.info(
            "%s: %d of %d recordings have no event and are left out, as the "
            "paper's authors do; prepare.json names them",
            *(metadata_path, len(eventless), len(events)),
        )
    rows = [
        {
            "ID": name.removesuffix(".wav"),
            "wav": str(audio / name),
            "label": "|".join(
                sorted({_class_name(row["event_label"]) for row in of_one})
            ),
            "source": _source(name),
            "problem": _find_problem(name, of_one),
        }
        for name, of_one in events.items()
        if name not in eventless
    ]
    if with_train:
        rows += _read_weak_rows(root)
    prepare_manifests(
        DCASE2019,
        root,
        rows,
        save_folder,
        with_train=with_train,
        allow_missing=allow_missing,
        cache_folder=cache_folder,
        settings={"subset": subset},
        facts={"n_without_event": len(eventless), "without_event": eventless},
    )


def _read_weak_rows(root):
    """Read the rows of the weakly labeled training set."""
    found = [root / name for name in TRAIN_METADATA if (root / name).is_file()]
    audio = root / TRAIN_AUDIO
    if not found or not audio.is_dir():
        missing = audio if found else root / TRAIN_METADATA[0]
        raise InputError(
            f"{missing}: this part of the weakly labeled training set is not "
            f"there. {TRAIN_REMEDY}"
        )
    metadata = read_table(found[0], TRAIN_COLUMNS, "\t", TRAIN_REMEDY)
    listed = {row["filename"] for row in metadata}
    find_unlisted_files(audio, listed, found[0].name)
    return [
        {
            "ID": row["filename"].removesuffix(".wav"),
            "wav": str(audio / row["filename"]),
            "label": "|".join(
                sorted(set(map(_class_name, row["event_labels"].split(","))))
            ),
            "source": _source(row["filename"]),
            "problem": _find_weak_problem(row),
            "train": True,
        }
        for row in metadata
    ]


def _source(name):
    """Return the YouTube ID of a recording's source video, or nothing."""
    match = FILENAME.fullmatch(name)
    return match[1] if match else ""


def _is_eventless(events):
    """Whether the metadata lists a recording without any event."""
    return all(
        row["onset"] == row["offset"] == row["event_label"] == ""
        for row in events
    )


def _find_weak_problem(row):
    """Describe what is wrong with a weak label (str), or return None."""
    if FILENAME.fullmatch(row["filename"]) is None:
        return WRONG_NAME
    for label in row["event_labels"].split(","):
        if label not in DCASE2019_LABELS:
            return (
                f"wrong label: event_labels holds {label!r}, which is unknown"
            )
    return None


def _find_problem(name, events):
    """Describe what is wrong with a recording's events, or return None."""
    if FILENAME.fullmatch(name) is None:
        return WRONG_NAME
    for row in events:
        problem = _find_event_problem(row)
        if problem:
            return f"{problem} (line {row.line} of the metadata)"
    return None


def _find_event_problem(row):
    """Describe what is wrong with an event (str), or return None."""
    if row["event_label"] not in DCASE2019_LABELS:
        return f"wrong label: event_label {row['event_label']!r} is unknown"
    try:
        onset, offset = float(row["onset"]), float(row["offset"])
    except ValueError:
        onset = offset = math.nan
    if not 0 <= onset < offset < math.inf:  # also catches NaN
        return (
            f"wrong time: onset {row['onset']!r} and offset {row['offset']!r} "
            "are not a start and a later end in seconds"
        )
    return None
