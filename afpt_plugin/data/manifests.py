"""Turn a data set on disk into a manifest of its recordings.

A prep script holds only what is true of its data set: where the metadata lies,
what its columns mean and what the classes are called. The rest is here.

1. `find_root` finds the data set, `afpt_plugin.data.archives` fetches it.
2. `afpt_plugin.data.tables.read_table` reads its metadata; the script makes
   one row per recording, ``{"ID", "wav", "label"}``, and puts what it finds
   wrong with it into ``"problem"``. `find_unlisted_files` warns of the files
   that the metadata does not list.
3. `prepare_manifests` decodes and hashes every recording, stops if any cannot
   be used, and writes ``test.csv`` and ``prepare.json``.

Training on captions needs no manifest, since it never reads audio.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import json
import os
from pathlib import Path

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.checks import (
    MANIFEST_COLUMNS,
    MAX_NAMES,
    check_recordings,
)
from afpt_plugin.data.folds import (
    leave_tested_out,
    refuse_no_training,
    select_folds,
)
from afpt_plugin.data.tables import csv_text, read_table, some_of
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, read_bytes, write_if_changed

logger = get_logger(__name__)


def read_manifest(path):
    """Read the manifest that `prepare_manifests` wrote.

    Returns
    -------
    list of dict
        Rows with the keys `MANIFEST_COLUMNS`: ``duration`` is a number of
        seconds, ``label`` the class names joined by ``|``, and ``source`` the
        original that a recording was cut from, empty if it is not known.

    Raises
    ------
    InputError
        If the file is missing, damaged or empty, or repeats an ID.
    """
    remedy = "Delete the file and run again"
    rows, seen = read_table(path, MANIFEST_COLUMNS, remedy=remedy), set()
    for row in rows:
        try:
            row["duration"] = float(row["duration"])
        except ValueError:
            raise InputError(
                f"{path}, line {row.line}: the duration {row['duration']!r} is "
                f"not a number. {remedy}"
            ) from None
        if row["ID"] in seen:
            raise InputError(
                f"{path}, line {row.line}: the ID {row['ID']} is repeated. "
                f"{remedy}"
            )
        seen.add(row["ID"])
    return rows


def write_manifest(path, rows):
    """Write the rows of `check_recordings`; return whether the file changed."""
    table = [MANIFEST_COLUMNS, *map(dict.values, rows)]
    return write_if_changed(path, csv_text(table))


def read_prepared(save_folder, data_folder=None):
    """Read what `write_prepared` wrote: the summary, and the tested rows.

    Arguments
    ---------
    save_folder : str or pathlib.Path
        Where the manifests are.
    data_folder : str or pathlib.Path, optional
        The data folder of a run that skips preparation: the manifests must
        belong to it and be unchanged.

    Raises
    ------
    InputError
        If the manifests are missing, changed, or belong to another folder.
    """
    path = Path(save_folder, "prepare.json")
    remedy = "so the preparation cannot be skipped; run without --skip_prep"
    if not path.is_file():
        raise InputError(f"{path} does not exist, {remedy}")
    rows = read_manifest(path.with_name("test.csv"))
    try:
        summary = json.loads(read_bytes(path, 2**30))
        is_whole = data_folder is None or (
            summary["sha256"] == _sha256(summary, path.parent)
        )
        root = os.path.abspath(summary["settings"]["data_folder"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise InputError(
            f"{path}, or a manifest beside it, is not what was written, {remedy}"
        )
    if data_folder is not None:
        given = os.path.abspath(data_folder)
        # `find_root` also finds a data set one level above or below.
        places = (root, os.path.dirname(root))
        if given not in places and os.path.dirname(given) != root:
            raise InputError(f"{path} is of {root}, not of {given}, {remedy}")
    return summary, rows


def _sha256(summary, folder):
    """Hash a summary and the manifests beside it."""
    known = {key: summary[key] for key in summary if key != "sha256"}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for name in ("test.csv", "train.csv"):
        path = Path(folder, name)
        digest.update((file_sha256(path) if path.is_file() else "").encode())
    return digest.hexdigest()


def write_prepared(save_folder, summary, tested, train=None):
    """Write manifests and ``prepare.json``; return whether a file changed."""
    manifest = Path(save_folder, "test.csv")
    changed = write_manifest(manifest, tested)
    learned_from = manifest.with_name("train.csv")
    if train is None:
        learned_from.unlink(missing_ok=True)
    else:
        changed |= write_manifest(learned_from, train)
    summary["sha256"] = _sha256(summary, save_folder)
    text = json.dumps(summary, indent=2) + "\n"
    return write_if_changed(manifest.with_name("prepare.json"), text) | changed


def data_fingerprint(rows):
    """Hash the tested recordings: their IDs, labels and bytes.

    The fingerprint of a manifest's rows (64 hex digits) does not depend on the
    files' location or order.
    """
    keys = sorted((row["ID"], row["label"], row["sha256"]) for row in rows)
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def prepare_manifests(
    task,
    root,
    rows,
    save_folder,
    folds=None,
    source_folds=None,
    with_train=False,
    allow_missing=0,
    cache_folder=None,
    settings={},
    facts={},
):
    """Decode and hash every recording, stop on bad ones, write the manifests.

    ``test.csv`` lists the tested recordings. If ``with_train`` is True,
    ``train.csv`` lists those that training may use: the recordings of the other
    folds, or those marked ``train``. It leaves out copies of tested recordings
    and recordings that share a source with one. Otherwise, recordings for
    training are not even decoded.

    A recording is bad if it is missing, unreadable, empty, truncated, not
    finite, wrongly labeled, listed twice, or has a ``problem``;
    ``problems.csv`` lists the bad ones. A recording that is all zeros is used,
    with a warning. Files that would not change are not touched, and recordings
    that did not change are not read again.

    Arguments
    ---------
    task : Task
        Gives the data set's name, class names and folds.
    root : str or pathlib.Path
        The data set's folder.
    rows : list of dict
        Each has ``ID``, ``wav`` (path), ``label`` (class names joined by ``|``)
        and, in a data set with folds, ``fold`` (as text). Optional keys are
        ``source`` (the original that it was cut from), ``problem`` (a str that
        says what is already known to be wrong) and ``train`` (True for a
        recording that is never tested).
    save_folder : str or pathlib.Path
        Where the manifests and ``prepare.json`` go.
    folds : list of int, optional
        The folds to test on; by default all.
    source_folds : int, optional
        Make this many new folds in place of the data set's own, see
        `afpt_plugin.data.folds.select_folds`.
    with_train : bool
        Whether to prepare recordings to learn from.
    allow_missing : int
        The number of bad recordings that may be left out.
    cache_folder : str or pathlib.Path, optional
        Where the facts about good files are kept, by default ``save_folder``;
        runs that share it read a recording once.
    settings, facts : dict
        Other settings of the prep script and other values of
        ``prepare.json``, as JSON values.

    Returns
    -------
    dict
        The content of ``prepare.json``.

    Raises
    ------
    InputError
        If a setting is wrong, more recordings than allowed are bad, or none is
        good. The message names the recordings with their reasons.
    """
    settings = {"data_folder": str(root), **settings}
    kind, n_shared = None, 0
    if task.folds or source_folds:
        rows, chosen, kind = select_folds(task, root, rows, folds, source_folds)
        settings["folds"] = chosen
    if with_train:  # before anything is decoded
        refuse_no_training(task, [row for row in rows if row.get("train")])
    else:
        rows = [row for row in rows if not row.get("train")]
    good, left_out = check_recordings(
        rows, task.class_names, save_folder, allow_missing, cache_folder
    )
    # Reversed, since the first of two rows with the same ID is the good one.
    is_train = {row["ID"]: row.get("train") for row in reversed(rows)}
    tested = [row for row in good if not is_train[row["ID"]]]
    if not tested:
        raise InputError(
            f"{task.name}: no recording that can be tested is left; restore "
            "those that are left out, or lower allow_missing"
        )
    if with_train:
        train = [row for row in good if is_train[row["ID"]]]
        train, n_shared = leave_tested_out(task, train, tested)
    known = {name for row in tested for name in row["label"].split("|")}
    untested = [name for name in task.class_names if name not in known]
    if untested:
        logger.warning(
            "%s: %d of %d classes have no recording and are not measured: %s",
            *(task.name, len(untested), task.n_classes, "; ".join(untested)),
        )
    summary = {
        "dataset": task.name,
        "settings": {**settings, "allow_missing": allow_missing},
        "n_recordings": len(tested),
        "n_left_out": len(left_out),
        "left_out": left_out,
        "n_shared_source": n_shared,
        "fold": ",".join(map(str, settings["folds"])) if kind else None,
        "folds": kind,
        **facts,
        "data_fingerprint": data_fingerprint(tested),
        "class_names": list(task.class_names),
    }
    changed = write_prepared(
        save_folder, summary, tested, train if with_train else None
    )
    logger.info(
        "%s: %s lists %d recordings to test (%d are left out; the list is %s)",
        *(task.name, save_folder, len(tested), len(left_out)),
        "new" if changed else "unchanged",
    )
    return summary


# Finding a data set


def find_root(data_folder, marker, name, fetch=None):
    """Find a data set in a folder, one level below it or one above it.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The user's folder.
    marker : str or tuple of str
        A file that every copy of the data set has, relative to its root; or
        several spellings of it, one of which must exist.
    name : str
        The data set's name.
    fetch : callable, optional
        Called if the data set is not found; the search is then repeated once.

    Returns
    -------
    pathlib.Path
        The root, absolute.

    Raises
    ------
    InputError
        If the data set is not there, or is there more than once.
    """
    folder = Path(os.path.abspath(data_folder))
    markers = (marker,) if isinstance(marker, str) else marker
    below = []
    if folder.is_dir():
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    for places in ([folder], below, [folder.parent]):
        roots = [p for p in places if any((p / m).is_file() for m in markers)]
        if len(roots) > 1:
            raise InputError(
                f"{folder} holds {name} more than once: "
                f"{', '.join(root.name for root in roots)}; give one of them "
                "as --data_folder"
            )
        if roots:
            return roots[0]
    if fetch is not None:
        fetch()
        return find_root(data_folder, marker, name)
    state = "" if folder.is_dir() else f" ({folder} is not a folder)"
    raise InputError(
        f"{name} was not found: there is no {folder / markers[0]}, nor one "
        f"level below or above{state}. Give its folder as --data_folder, fetch "
        "it (--download True, or see the recipe's README), or run the embedded "
        "demonstration with --data_folder samples"
    )


def find_unlisted_files(folder, listed, metadata):
    """Warn about recordings in a folder that the metadata does not list.

    ``listed`` holds the listed paths, relative to the folder, with ``/``. The
    unlisted paths are returned in the same form. ``metadata`` names the
    metadata in the message.
    """
    folder = Path(folder)
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*.wav")}
    extra = sorted(on_disk - set(listed))
    if extra:
        logger.warning(
            "%d files in %s are not in %s and are not used:\n%s",
            *(len(extra), folder, metadata, some_of(extra, MAX_NAMES)),
        )
    return extra
