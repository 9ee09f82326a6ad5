"""
Creates the manifests of ESC-50.

ESC-50 has 2,000 recordings of 5 s, 40 for each of 50 classes, in five folds. If
training uses only captions, all recordings are tested; otherwise some folds
are. A part of the data set (fewer rows in its metadata) works as well.

https://github.com/karolpiczak/ESC-50

Authors
 * The afpt_plugin developers 2026
"""

import re
from functools import partial

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    find_unlisted_files,
    prepare_manifests,
)
from afpt_plugin.data.tables import read_table
from afpt_plugin.task import Task

ESC50_DOWNLOAD_URL = "https://github.com/karoldvl/ESC-50/archive/master.zip"
ARCHIVE = "ESC-50-master.zip"
METADATA = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category")

# {fold}-{Freesound's number}-{take}-{target}.wav
FILENAME = re.compile(r"(\d+)-\d+-[A-Z]-(\d+)\.wav")

# The categories in the order of their numbers, `target`, in the metadata.
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

ESC50 = Task(
    "ESC-50",
    # In the paper's order, which is alphabetical: 0 is airplane, 49 is wind.
    [name.replace("_", " ") for name in sorted(ESC50_CATEGORIES)],
    clip_seconds=5.0,
    folds=(1, 2, 3, 4, 5),
    captions="esc50",
    paper_captions_per_class=17,
)


def prepare_esc50(
    data_folder, save_folder, download=False, skip_prep=False, **preparation
):
    """
    Checks every recording of ESC-50 and writes the manifests.

    ``<save_folder>/test.csv`` lists the recordings that are tested,
    ``train.csv`` (only ``with_train``) those that may be learned from, and
    ``prepare.json`` says how the lists were made.

    Arguments
    ---------
    data_folder : str
        The folder ESC-50-master, the one above it, or one inside it.
    download : bool
        Whether to fetch ESC-50 (600 MB) into ``data_folder`` if it is not there.
    skip_prep : bool
        If True, do nothing: the manifest is there.
    save_folder, **preparation
        See `afpt_plugin.data.manifests.prepare_manifests`: ``folds``,
        ``source_folds``, ``with_train``, ``allow_missing``, ``cache_folder``.

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
    fetch = partial(
        download_and_unpack, ESC50_DOWNLOAD_URL, data_folder, ARCHIVE
    )
    root = find_root(
        data_folder, METADATA, ESC50.name, fetch if download else None
    )
    metadata = read_table(root / METADATA, COLUMNS)
    listed = {row["filename"] for row in metadata}
    find_unlisted_files(root / "audio", listed, METADATA)
    rows = [
        {
            "ID": row["filename"].removesuffix(".wav"),
            "wav": str(root / "audio" / row["filename"]),
            "label": row["category"].replace("_", " "),
            "fold": row["fold"],
            "source": "-".join(row["filename"].split("-")[1:2]),
            "problem": _find_problem(row),
        }
        for row in metadata
    ]
    prepare_manifests(ESC50, root, rows, save_folder, **preparation)


def _find_problem(row):
    """Describe a contradiction within a row (str), or return None."""
    if row["category"] not in ESC50_CATEGORIES:
        return f"wrong label: category {row['category']!r} is unknown"
    target = str(ESC50_CATEGORIES.index(row["category"]))
    if row["target"] != target:
        return (
            f"wrong label: its target is {row['target']!r}, but that of "
            f"category {row['category']} is {target}"
        )
    match = FILENAME.fullmatch(row["filename"])
    if match is None:
        return "its name is not {fold}-{source}-{take}-{target}.wav"
    if match[1] != row["fold"]:
        return f"its name says fold {match[1]}, but its row {row['fold']!r}"
    if match[2] != target:
        return (
            f"wrong label: its name says target {match[2]}, but its row "
            f"{target} ({row['category']})"
        )
    return None
