"""Labeled recordings and sentences as a user gives them to `adapt`.

Authors
 * The afpt_plugin developers 2026
"""

import os
from collections.abc import Iterable

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.own_data import read_own_data
from afpt_plugin.errors import InputError

logger = get_logger(__name__)

WANTED = {
    "shots": "a folder with a folder for each class, a table (path,label), a "
    "data set of Hugging Face, or a dict of each class's files",
    "captions": "a CSV file (caption,label), or a dict of each class's "
    "captions",
}


def check_kind(kind, value):
    """Refuse ``shots`` or ``captions`` that are neither a path nor a dict.

    Raises
    ------
    InputError
        If they are neither, or are empty.

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


def read_shots(shots, folder, columns, class_names, multi_label):
    """Read the recordings that `adapt` learns from, without those for a test.

    Raises
    ------
    InputError
        If there is no recording to learn from, or in the cases of
        `read_own_data`.
    """
    check_kind("shots", shots)
    if isinstance(shots, dict):
        names = shots if class_names is None else class_names
        lists = {}
        for name, path in pairs_of("shots", shots, names, (str, os.PathLike)):
            lists.setdefault(name, []).append(path)
        shots = lists
    own = read_own_data(shots, folder, columns, class_names, multi_label)
    rows = [row for row in own.rows if row["split"] != "test"]
    if not rows:
        raise InputError(
            "shots: there is no recording to learn from; give some"
        )
    if n_tested := len(own.rows) - len(rows):
        logger.info(
            "%s: %d recordings are for the test (split), and not learned from",
            *(shots, n_tested),
        )
    return own._replace(rows=rows)


def merge_copies(rows, multi_label):
    """Give each copy of a recording the labels of all its copies.

    `Shots` learns from only one of the copies.
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
    """Yield a pair of class and item for every item in a dict of lists."""
    if unknown := [name for name in given if name not in class_names]:
        raise InputError(
            f"{what}: {', '.join(map(repr, unknown))} is not among the class "
            "names"
        )
    wanted = "captions" if kinds is str else "paths of files"
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
