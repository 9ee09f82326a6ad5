"""Labeled recordings and sentences as a user has them: folders, tables, dicts.

Authors
 * The afpt_plugin developers 2026
"""

import os
from collections.abc import Iterable
from pathlib import Path

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.audio import find_recordings
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

WANTED = {
    "shots": "a folder with a folder for each class, a CSV file (wav,label), "
    "or a dict of each class's files",
    "captions": "a CSV file (caption,label), or a dict of each class's "
    "sentences",
}


def check_kind(kind, value):
    """Refuse ``shots`` or ``captions`` that are neither a path nor a dict.

    Raises
    ------
    InputError
        If they are not, or empty.

    Example
    -------
    >>> check_kind("shots", [])
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: shots: a list ([]) cannot be used; give ...
    """
    sound = isinstance(value, os.PathLike)
    if isinstance(value, (dict, str)):
        sound = bool(value)
    if not sound:
        raise InputError(
            f"{kind}: a {type(value).__name__} ({value!r:.60}) cannot be used; "
            f"give {WANTED[kind]}"
        )


def recordings_of(shots, class_names):
    """Rows of a manifest, before they are checked."""
    files, names = {}, class_names  # path -> labels
    if isinstance(shots, dict):
        kinds = str, os.PathLike
        for label, path in pairs_of("shots", shots, names, kinds):
            files.setdefault(os.fspath(path), []).append(label)
    elif Path(shots).is_dir():
        for label, path in _class_folders(shots, names):
            found, skipped = find_recordings([os.fspath(path)])
            if skipped:
                logger.warning(
                    "%s: %d files skipped: unsupported extension (%s)",
                    *(path, skipped.total(), ", ".join(sorted(skipped))),
                )
            for file in found:
                files.setdefault(file, []).append(label)
    else:
        place = Path(shots).parent
        remedy = f"Give {WANTED['shots']}"
        for row in read_table(shots, ("wav", "label"), remedy=remedy):
            labels = row["label"].split("|")
            files.setdefault(str(place / row["wav"]), []).extend(labels)
    return [
        {"ID": path, "wav": path, "label": "|".join(dict.fromkeys(labels))}
        for path, labels in files.items()
    ]


def merge_copies(rows, multi_label):
    """Give copies of a recording the labels of all of them.

    `Shots` learn from one of them.
    """
    copies = {}
    for row in rows:
        copies.setdefault(row["sha256"], []).append(row)
    for same in copies.values():
        labels = {n for row in same for n in row["label"].split("|")}
        if len(labels) > 1 and not multi_label:
            wavs = ", ".join(row["wav"] for row in same)
            what = "is" if len(same) == 1 else "are copies, but"
            raise InputError(
                f"{wavs}: {what} labeled {' and '.join(sorted(labels))}; "
                "correct the labels, or allow several (multi_label)"
            )
        if len({row["label"] for row in same}) > 1:
            for row in same:
                row["label"] = "|".join(sorted(labels))
    return rows


def pairs_of(what, given, class_names, kinds):
    """Pairs of a class and each of its items, of a dict of lists."""
    if unknown := [name for name in given if name not in class_names]:
        raise InputError(
            f"{what}: {', '.join(map(repr, unknown))} is not among the class "
            "names"
        )
    wanted = "sentences" if kinds is str else "paths of files"
    for name, items in given.items():
        single = isinstance(items, (str, os.PathLike))
        if single or not isinstance(items, Iterable):
            raise InputError(
                f"{what}: {name!r} has {items!r:.60}; give a list of {wanted}"
            )
        for item in items:
            if not isinstance(item, kinds):
                raise InputError(
                    f"{what}: {name!r} lists a {type(item).__name__}; give a "
                    f"list of {wanted}"
                )
            yield name, item


def _class_folders(folder, class_names):
    """Pairs of a class and its folder, which may write a space as ``_``."""

    def key(name):
        """What a name and a folder are compared by."""
        return name.casefold().replace("_", " ")

    index = {key(name): name for name in class_names}
    loose = 0
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            loose += 1
            continue
        exact = path.name in class_names
        label = path.name if exact else index.get(key(path.name))
        if label is None:
            raise InputError(
                f"{path}: there is no class of this name; rename the folder, "
                "or add the class"
            )
        yield label, path
    if loose:
        logger.warning(
            "%s: %d files that lie in no class's folder are not used",
            *(folder, loose),
        )
