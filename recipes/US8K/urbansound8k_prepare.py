"""
Creates the manifests of UrbanSound8K.

UrbanSound8K has 8,732 slices of recordings, of at most 4 s each, with 10
classes and in ten folds. If training uses only captions, all slices are tested;
otherwise some folds are. A part of the data set (fewer rows in its metadata)
works as well.

https://urbansounddataset.weebly.com/urbansound8k.html

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

US8K_DOWNLOAD_URL = (
    "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz"
)
US8K_HASH = "md5:9aa69802bbf37fb986f71ec1483a196e"  # as Zenodo lists it
METADATA = "metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")

# {Freesound's number}-{classID}-{occurrence}-{slice}.wav
FILENAME = re.compile(r"(\d+)-(\d+)-\d+-\d+\.wav")

# The classes in the order of their numbers, `classID`, in the metadata.
US8K_CATEGORIES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)

US8K = Task(
    "UrbanSound8K",
    # In the order of the metadata, which is alphabetical
    [name.replace("_", " ") for name in US8K_CATEGORIES],
    clip_seconds=5.0,
    folds=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    captions="us8k",
    paper_captions_per_class=129,
)


def prepare_urbansound8k(
    data_folder, save_folder, download=False, skip_prep=False, **preparation
):
    """
    Checks every slice of UrbanSound8K and writes the manifests.

    ``<save_folder>/test.csv`` lists the recordings that are tested,
    ``train.csv`` (only ``with_train``) those that may be learned from, and
    ``prepare.json`` says how the lists were made.

    Arguments
    ---------
    data_folder : str
        The folder UrbanSound8K, the one above it, or one inside it.
    download : bool
        Whether to fetch UrbanSound8K (6 GB) into ``data_folder`` if it is not
        there.
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
    >>> data_folder = '/path/to/UrbanSound8K'
    >>> prepare_urbansound8k(data_folder, 'results/US8K/save')  # doctest: +SKIP
    """
    if skip_prep:
        return
    fetch = partial(
        download_and_unpack,
        US8K_DOWNLOAD_URL,
        data_folder,
        known_hash=US8K_HASH,
    )
    root = find_root(
        data_folder, METADATA, US8K.name, fetch if download else None
    )
    metadata = read_table(root / METADATA, COLUMNS)
    audio = root / "audio"
    listed = {f"fold{row['fold']}/{row['slice_file_name']}" for row in metadata}
    misplaced = {}  # maps a slice's name to other folders that hold it
    for path in find_unlisted_files(audio, listed, METADATA):
        folder, _, name = path.rpartition("/")
        misplaced.setdefault(name, []).append(folder or "audio")
    rows = [
        {
            "ID": row["slice_file_name"].removesuffix(".wav"),
            "wav": str(audio / f"fold{row['fold']}" / row["slice_file_name"]),
            "label": row["class"].replace("_", " "),
            "fold": row["fold"],
            "source": row["fsID"],
            "problem": _find_problem(row, audio, misplaced),
        }
        for row in metadata
    ]
    prepare_manifests(US8K, root, rows, save_folder, **preparation)


def _find_problem(row, audio, misplaced):
    """Describe a contradiction within a row (str), or return None."""
    if row["class"] not in US8K_CATEGORIES:
        return f"wrong label: class {row['class']!r} is unknown"
    target = str(US8K_CATEGORIES.index(row["class"]))
    if row["classID"] != target:
        return (
            f"wrong label: its classID is {row['classID']!r}, but that of "
            f"class {row['class']} is {target}"
        )
    name, fold = row["slice_file_name"], f"fold{row['fold']}"
    match = FILENAME.fullmatch(name)
    if match is None:
        return "its name is not {fsID}-{classID}-{occurrence}-{slice}.wav"
    if match[1] != row["fsID"]:
        return f"its name says fsID {match[1]}, but its row {row['fsID']!r}"
    if match[2] != target:
        return (
            f"wrong label: its name says classID {match[2]}, but its row "
            f"{target} ({row['class']})"
        )
    if name in misplaced and not (audio / fold / name).exists():
        return (
            f"wrong fold: it is in {' and '.join(misplaced[name])}, but its "
            f"row says {fold}"
        )
    return None
