"""From a data set on disk to a manifest of its recordings.

A prep script holds only what is true of its data set: where the metadata
lies, what its columns mean, how the classes are called. The rest is here.

1. `find_root` finds the data set, `afpt_plugin.data.archives` fetches it.
2. `afpt_plugin.data.tables.read_table` reads its metadata; the script makes
   one row per recording, ``{"ID", "wav", "label"}``, and puts what it finds
   wrong with it into ``"problem"``. `find_unlisted_files` warns of the files
   that the metadata does not list.
3. `prepare_manifests` decodes and hashes every recording, stops on any that
   cannot be used, and writes ``test.csv`` and ``prepare.json``.

Training has no manifest: training reads captions, never audio.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import json
import os
from pathlib import Path

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.data.decoding import open_audio
from afpt_plugin.data.folds import (
    leave_tested_out,
    refuse_no_training,
    select_folds,
)
from afpt_plugin.data.tables import csv_text, read_table, some_of
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, write_if_changed

logger = get_logger(__name__)

#: The columns of a manifest, in this order.
MANIFEST_COLUMNS = ("ID", "duration", "wav", "label", "source", "sha256")

# How many files a message lists; a file lists all of them.
MAX_NAMES = 20


def read_manifest(path):
    """Read the manifest that `prepare_manifests` wrote.

    Returns
    -------
    list of dict
        With the keys `MANIFEST_COLUMNS`: ``duration`` is a number of seconds,
        ``label`` the class names joined by ``|``, ``source`` what a recording
        was cut from, empty where that is not known.

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
    """Write the rows of `check_recordings`; returns whether the file changed."""
    table = [MANIFEST_COLUMNS, *map(dict.values, rows)]
    return write_if_changed(path, csv_text(table))


def data_fingerprint(rows):
    """Hash what is tested: which recordings, with which labels and bytes.

    The fingerprint of a manifest's rows (64 hex digits) does not depend on the
    files' location and order.
    """
    keys = sorted((row["ID"], row["label"], row["sha256"]) for row in rows)
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


# Checking recordings


def _read_cache(path):
    """Facts of an earlier check; none if the file is not as we wrote it."""
    try:
        cache = json.loads(Path(path).read_text(encoding="utf-8"))
        for facts in cache.values():
            int(facts["size"]), int(facts["mtime_ns"]), facts["silent"]
            float(facts["duration"]), bytes.fromhex(facts["sha256"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        logger.warning("%s is damaged; all recordings are read again", path)
        return {}
    return cache


def _examine(wav, known):
    """Decode and hash a file, unless its known facts are up to date."""
    try:
        found = os.stat(wav)
        stamp = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
        if known and stamp.items() <= known.items():
            return known
        n_samples, silent = 0, True
        with open_audio(wav) as audio:
            for block in audio.blocks():
                n_samples += len(block)
                silent = silent and not block.any().item()
            duration = n_samples / audio.samplerate
        digest = file_sha256(wav)
    except FileNotFoundError:
        raise InputError("missing") from None
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror}") from None
    except InputError:
        raise
    except ValueError as error:  # a name that no file can have
        raise InputError(f"unreadable: {error}") from None
    return {"duration": duration, "silent": silent, "sha256": digest} | stamp


def _check_row(row, class_names, seen):
    """Refuse a row for what it says, whatever its file holds."""
    if row["ID"] in seen:
        raise InputError("duplicate: an earlier row has the same ID")
    if row.get("problem"):
        raise InputError(row["problem"])
    if not row["label"]:
        raise InputError("no label")
    for label in row["label"].split("|"):
        if label not in class_names:
            raise InputError(f"wrong label: {label!r} is not a class")


def check_recordings(rows, class_names, folder, allow_missing, cache_folder):
    """Decode and hash recordings, and stop on bad ones.

    Arguments
    ---------
    rows, allow_missing
        See `prepare_manifests`.
    class_names : list of str
        The classes that labels may name.
    folder : str or pathlib.Path, optional
        For ``problems.csv``; by default, messages list all that is bad.
    cache_folder : str or pathlib.Path, optional
        For ``recordings.json``, the facts of good files, by default ``folder``:
        one of unchanged path, size and time of modification is not read again.

    Returns
    -------
    good : list of dict
        Rows of a manifest.
    left_out : list of dict
        The others, each with its ``reason``.

    Raises
    ------
    InputError
        If more recordings than allowed are bad, or none is good.
    """
    if type(allow_missing) is not int or allow_missing < 0:
        raise InputError(
            f"allow_missing: {allow_missing!r} is not a number of recordings; "
            "use 0, 1, 2, ..."
        )
    cache_path = Path(cache_folder or folder, "recordings.json")
    known, cache = _read_cache(cache_path), {}
    good, left_out, seen = [], [], set()
    try:
        # disable=None: no bar where nobody watches.
        for row in tqdm(rows, "Checking recordings", disable=None):
            wav = os.path.abspath(row["wav"])
            try:
                _check_row(row, class_names, seen)
                cache[wav] = facts = _examine(wav, known.get(wav))
                values = (row["ID"], round(facts["duration"], 6), wav)
                values += (row["label"], row.get("source", ""), facts["sha256"])
                good.append(dict(zip(MANIFEST_COLUMNS, values, strict=True)))
            except InputError as error:
                reason = str(error)
                if "place" in row:
                    reason += f" ({row['place']})"
                left_out.append({"ID": row["ID"], "wav": wav, "reason": reason})
            seen.add(row["ID"])
    finally:
        # Also after an interruption: what was read need not be read again.
        if cache != known:
            write_if_changed(cache_path, json.dumps(known | cache, indent=0))
    labels = {row["sha256"]: row["label"] for row in good}
    unlike = [r["wav"] for r in good if r["label"] != labels[r["sha256"]]]
    if unlike:
        logger.warning(
            "%d recordings are copies of others that have other labels:\n%s",
            *(len(unlike), some_of(unlike, MAX_NAMES)),
        )
    silent = [row["wav"] for row in good if cache[row["wav"]]["silent"]]
    if silent:
        logger.warning(
            "%d recordings are silent (all zeros):\n%s",
            *(len(silent), some_of(silent, MAX_NAMES)),
        )
    path = folder and Path(folder, "problems.csv")
    _report(left_out, len(rows), allow_missing, path)
    return good, left_out


def _report(left_out, n_rows, allow_missing, path):
    """List bad recordings in a file; warn of them, or refuse to go on."""
    if not left_out:
        if path:
            path.unlink(missing_ok=True)
        return
    bad = [f"{row['wav']}: {row['reason']}" for row in left_out]
    found = f"{len(bad)} of {n_rows} recordings"
    listed = some_of(bad, MAX_NAMES if path else len(bad))
    if path:
        rows = [left_out[0], *map(dict.values, left_out)]
        write_if_changed(path, csv_text(rows))
    allowed = f"(allow_missing: {allow_missing}):\n{listed}"
    if len(bad) == n_rows or len(bad) > allow_missing:
        all_of_them = f"{path} lists all of them. " if path else ""
        option = "--allow_missing " if path else "allow_missing: "
        way_out = f", or leave them out with {option}{len(bad)}"
        raise InputError(
            f"{found} cannot be used {allowed}\n{all_of_them}"
            f"Restore or correct them{way_out if len(bad) < n_rows else ''}."
        )
    logger.warning("%s are left out %s", found, allowed)


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

    ``test.csv`` lists the recordings that are tested; only ``with_train``, there
    is ``train.csv`` as well, of those that may be learned from: of the other
    folds, or marked as such. Without it, they are not even decoded. Copies of
    tested recordings, and what shares a source with one, are left out of it.

    A recording is bad if it is missing, unreadable, empty, truncated, not
    finite, wrongly labeled, listed twice, or has a ``problem``; those left out
    are listed in ``problems.csv``. One that is all zeros is used, with a
    warning. Files that would not change are not touched, and recordings that
    did not change are not read again.

    Arguments
    ---------
    task : Task
        Gives the data set's name, class names and folds.
    root : str or pathlib.Path
        Where the data set lies.
    rows : list of dict
        ``ID``, ``wav`` (path), ``label`` (class names joined by ``|``);
        optionally ``source`` (what it was cut from), ``problem``, what is
        already known to be wrong (str), and ``train``, True for a recording
        that is never tested; of a data set with folds, its ``fold``, as text.
    save_folder : str or pathlib.Path
        Where the manifests and ``prepare.json`` go.
    folds : list of int, optional
        The folds to test on; by default all.
    source_folds : int, optional
        Take this many new folds in place of the data set's own, see
        `afpt_plugin.data.folds.select_folds`.
    with_train : bool
        Whether to prepare recordings to learn from.
    allow_missing : int
        The number of bad recordings that may be left out.
    cache_folder : str or pathlib.Path, optional
        Where the facts of good files are kept, by default ``save_folder``;
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
    if with_train:  # before all are decoded
        refuse_no_training(task, [row for row in rows if row.get("train")])
    else:
        rows = [row for row in rows if not row.get("train")]
    good, left_out = check_recordings(
        rows, task.class_names, save_folder, allow_missing, cache_folder
    )
    # Reversed, for the first of two rows of one ID is the good one.
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
    manifest = Path(save_folder, "test.csv")
    changed = write_manifest(manifest, tested)
    learned_from = manifest.with_name("train.csv")
    if with_train:
        changed |= write_manifest(learned_from, train)
    else:
        learned_from.unlink(missing_ok=True)
    changed |= write_if_changed(
        manifest.with_name("prepare.json"), json.dumps(summary, indent=2) + "\n"
    )
    logger.info(
        "%s: %d recordings in %s (%d left out, %s)",
        *(task.name, len(tested), manifest, len(left_out)),
        "written" if changed else "unchanged",
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
        A file that every copy of the data set has, relative to its root, or
        its spellings, any of which will do.
    name : str
        The data set's name.
    fetch : callable, optional
        Called if the data set is not there; then it is looked for once more.

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
    """Warn of the recordings in a folder that the metadata does not list.

    ``listed`` holds their paths, relative to the folder, with ``/``; those
    that are not listed are returned alike. ``metadata`` is for the message.
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
