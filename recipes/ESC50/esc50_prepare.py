"""
Creates the test manifest of ESC-50.

ESC-50 has 2,000 recordings of 5 s, 40 of each of 50 classes, in five folds.
Training sees captions only, so every recording is test material; a part of the
data set (fewer rows in its metadata, or some of the folds) will do as well.

https://github.com/karolpiczak/ESC-50

Authors
 * The afpt_plugin developers 2026
"""

import functools
import re

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    prepare_test_set,
    read_metadata,
    warn_of_unlisted_files,
)
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

ESC50_DOWNLOAD_URL = "https://github.com/karoldvl/ESC-50/archive/master.zip"
ARCHIVE = "ESC-50-master.zip"
METADATA = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category")
FOLDS = (1, 2, 3, 4, 5)

# {fold}-{Freesound's number}-{take}-{target}.wav
FILENAME = re.compile(r"(\d+)-\d+-[A-Z]-(\d+)\.wav")

# How the metadata numbers its categories: position = `target`.
# fmt: off
ESC50_CATEGORIES = (
    "dog", "rooster", "pig", "cow", "frog",
    "cat", "hen", "insects", "sheep", "crow",
    "rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds",
    "water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm",
    "crying_baby", "sneezing", "clapping", "breathing", "coughing",
    "footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping",
    "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks",
    "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm",
    "clock_tick", "glass_breaking", "helicopter", "chainsaw", "siren",
    "car_horn", "engine", "train", "church_bells", "airplane", "fireworks",
    "hand_saw",
)
# fmt: on

#: The class names in the paper's order, which is alphabetical: 0 is airplane,
#: 49 is wind. The caption sets number the classes in this way.
ESC50_CLASSES = [name.replace("_", " ") for name in sorted(ESC50_CATEGORIES)]

#: What the recipe, and every method, has to know of the data set.
ESC50 = Task(
    "ESC-50",
    ESC50_CLASSES,
    clip_seconds=5.0,
    folds=(1, 2, 3, 4, 5),
    captions="esc50",
    paper_captions_per_class=17,
)


def prepare_esc50(
    data_folder,
    save_folder,
    download=False,
    allow_missing=0,
    folds=None,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks every recording of ESC-50 and writes the test manifest.

    ``<save_folder>/test.csv`` lists the recordings, ``prepare.json`` says how
    the list came about. Where neither the data nor the settings have changed
    since the last time, nothing is read or written.

    Arguments
    ---------
    data_folder : str
        The folder ESC-50-master, the one above it, or one inside it.
    save_folder : str
        Where to write the manifest.
    download : bool
        Whether to fetch ESC-50 (600 MB) into ``data_folder`` if it is not
        there.
    allow_missing : int
        How many recordings may be left out because they are missing, damaged
        or wrongly labelled. They are named in the log and in ``prepare.json``.
    folds : list of int, optional
        The folds to test on; by default all five.
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
        If the data set is not found or cannot be fetched, or if more
        recordings than allowed cannot be used.

    Example
    -------
    >>> data_folder = '/path/to/ESC-50-master'
    >>> prepare_esc50(data_folder, 'results/ESC50/save')  # doctest: +SKIP
    """
    if skip_prep:
        return
    folds = FOLDS if folds is None else folds
    if not isinstance(folds, (list, tuple)) or any(
        fold not in FOLDS for fold in folds
    ):
        raise InputError(
            f"folds: {folds!r} is no list of ESC-50's folds; use e.g. [4], or "
            "leave it out for all five"
        )
    fetch = functools.partial(
        download_and_unpack, ESC50_DOWNLOAD_URL, data_folder, ARCHIVE
    )
    root = find_root(
        data_folder, METADATA, "ESC-50", fetch=fetch if download else None
    )
    metadata = read_metadata(root / METADATA, COLUMNS)

    listed = {row["filename"] for row in metadata}
    warn_of_unlisted_files(root / "audio", listed, METADATA)
    rows = [
        {
            "ID": row["filename"].removesuffix(".wav"),
            "wav": str(root / "audio" / row["filename"]),
            "label": row["category"].replace("_", " "),
            "problem": _find_problem(row),
        }
        for row in metadata
        # A fold that is no fold is reported, whichever were asked for.
        if row["fold"] not in map(str, FOLDS) or int(row["fold"]) in folds
    ]
    if not rows:
        raise InputError(
            f"{root / METADATA}: no recording in folds {list(folds)}; it has "
            f"{sorted({row['fold'] for row in metadata})}"
        )
    prepare_test_set(
        "ESC-50",
        rows,
        ESC50_CLASSES,
        save_folder,
        allow_missing,
        settings={"data_folder": str(root), "folds": sorted(set(folds))},
        cache_folder=cache_folder,
    )


def _find_problem(row):
    """What contradicts itself in a row of the metadata (str), or None."""
    if row["category"] not in ESC50_CATEGORIES:
        return f"wrongly labelled: category {row['category']!r} is unknown"
    target = str(ESC50_CATEGORIES.index(row["category"]))
    if row["target"] != target:
        return (
            f"wrongly labelled: target {row['target']!r}, but category "
            f"{row['category']} is {target}"
        )
    if row["fold"] not in map(str, FOLDS):
        return f"fold {row['fold']!r} is not in 1 to 5"
    match = FILENAME.fullmatch(row["filename"])
    if match is None:
        return "named otherwise than {fold}-{source}-{take}-{target}.wav"
    if match[1] != row["fold"]:
        return f"its name says fold {match[1]}, its row {row['fold']}"
    if match[2] != target:
        return (
            f"wrongly labelled: its name says target {match[2]}, its row "
            f"{target} ({row['category']})"
        )
    return None
