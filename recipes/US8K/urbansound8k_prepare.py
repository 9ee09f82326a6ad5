"""
Creates the test manifest of UrbanSound8K.

UrbanSound8K has 8,732 slices, of at most 4 s, of recordings of 10 classes, in
ten folds. Training sees captions only, so every slice is test material; a part
of the data set (fewer rows in its metadata, or some of the folds) will do as
well.

https://urbansounddataset.weebly.com/urbansound8k.html

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

US8K_DOWNLOAD_URL = (
    "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz"
)
ARCHIVE = "UrbanSound8K.tar.gz"
METADATA = "metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")
FOLDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

# {Freesound's number}-{classID}-{occurrence}-{slice}.wav
FILENAME = re.compile(r"(\d+)-(\d+)-\d+-\d+\.wav")

# How the metadata numbers its classes: position = `classID`.
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

#: The class names in the order of the metadata, which is alphabetical. The
#: caption sets number the classes in this way.
US8K_CLASSES = [name.replace("_", " ") for name in US8K_CATEGORIES]

#: What the recipe, and every method, has to know of the data set.
US8K = Task(
    "UrbanSound8K",
    US8K_CLASSES,
    clip_seconds=5.0,
    folds=tuple(range(1, 11)),
    captions="us8k",
    paper_captions_per_class=129,
)


def prepare_urbansound8k(
    data_folder,
    save_folder,
    download=False,
    allow_missing=0,
    folds=None,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks every slice of UrbanSound8K and writes the test manifest.

    ``<save_folder>/test.csv`` lists the slices, ``prepare.json`` says how the
    list came about. Where neither the data nor the settings have changed since
    the last time, nothing is read or written.

    Arguments
    ---------
    data_folder : str
        The folder UrbanSound8K, the one above it, or one inside it.
    save_folder : str
        Where to write the manifest.
    download : bool
        Whether to fetch UrbanSound8K (6 GB) into ``data_folder`` if it is not
        there.
    allow_missing : int
        How many slices may be left out because they are missing, damaged, in
        the wrong fold or wrongly labelled. They are named in the log and in
        ``prepare.json``.
    folds : list of int, optional
        The folds to test on; by default all ten.
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
        If the data set is not found or cannot be fetched, or if more slices
        than allowed cannot be used.

    Example
    -------
    >>> data_folder = '/path/to/UrbanSound8K'
    >>> prepare_urbansound8k(data_folder, 'results/US8K/save')  # doctest: +SKIP
    """
    if skip_prep:
        return
    folds = FOLDS if folds is None else folds
    if not isinstance(folds, (list, tuple)) or any(
        fold not in FOLDS for fold in folds
    ):
        raise InputError(
            f"folds: {folds!r} is no list of UrbanSound8K's folds; use e.g. "
            "[10], or leave it out for all ten"
        )
    fetch = functools.partial(
        download_and_unpack, US8K_DOWNLOAD_URL, data_folder, ARCHIVE
    )
    root = find_root(
        data_folder, METADATA, "UrbanSound8K", fetch=fetch if download else None
    )
    metadata = read_metadata(root / METADATA, COLUMNS)

    audio = root / "audio"
    listed = {f"fold{row['fold']}/{row['slice_file_name']}" for row in metadata}
    lying = {}  # in which folders a slice that is not where it should be is
    for extra in warn_of_unlisted_files(audio, listed, METADATA):
        folder, _, name = extra.rpartition("/")
        lying.setdefault(name, []).append(folder or "audio")
    rows = [
        {
            "ID": row["slice_file_name"].removesuffix(".wav"),
            "wav": str(audio / f"fold{row['fold']}" / row["slice_file_name"]),
            "label": row["class"].replace("_", " "),
            "problem": _find_problem(row, audio, lying),
        }
        for row in metadata
        # A fold that is no fold is reported, whichever were asked for.
        if row["fold"] not in map(str, FOLDS) or int(row["fold"]) in folds
    ]
    if not rows:
        raise InputError(
            f"{root / METADATA}: no slice in folds {list(folds)}; it has "
            f"{sorted({int(row['fold']) for row in metadata})}"
        )
    prepare_test_set(
        "UrbanSound8K",
        rows,
        US8K_CLASSES,
        save_folder,
        allow_missing,
        settings={"data_folder": str(root), "folds": sorted(set(folds))},
        cache_folder=cache_folder,
    )


def _find_problem(row, audio, lying):
    """What contradicts itself in a row of the metadata (str), or None."""
    if row["class"] not in US8K_CATEGORIES:
        return f"wrongly labelled: class {row['class']!r} is unknown"
    target = str(US8K_CATEGORIES.index(row["class"]))
    if row["classID"] != target:
        return (
            f"wrongly labelled: classID {row['classID']!r}, but class "
            f"{row['class']} is {target}"
        )
    if row["fold"] not in map(str, FOLDS):
        return f"fold {row['fold']!r} is not in 1 to 10"
    name = row["slice_file_name"]
    match = FILENAME.fullmatch(name)
    if match is None:
        return "named otherwise than {fsID}-{classID}-{occurrence}-{slice}.wav"
    if match[1] != row["fsID"]:
        return f"its name says fsID {match[1]}, its row {row['fsID']}"
    if match[2] != target:
        return (
            f"wrongly labelled: its name says classID {match[2]}, its row "
            f"{target} ({row['class']})"
        )
    fold = f"fold{row['fold']}"
    if name in lying and not (audio / fold / name).exists():
        return (
            f"in the wrong fold: it lies in {' and '.join(lying[name])}, its "
            f"row says {fold}"
        )
    return None
