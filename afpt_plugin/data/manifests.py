"""From a data set on disk to a manifest.

A prep script holds only what is true of its data set: where the metadata
lies, what its columns mean, how the classes are called. The rest is here.

1. `find_root` finds the data set, `afpt_plugin.data.archives` fetches it.
2. `read_metadata` reads its CSV file; the script makes one row a recording,
   ``{"ID", "wav", "label"}``, and puts what it finds wrong with it into
   ``"problem"``. `warn_of_unlisted_files` names what no row speaks of.
3. `prepare_test_set` decodes and hashes every recording, stops on any that
   cannot be used, and writes ``test.csv`` and ``prepare.json``.

There is no manifest for training: training reads captions, never audio.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.data.audio import decode
from afpt_plugin.errors import InputError
from afpt_plugin.files import write_if_changed

logger = get_logger(__name__)

#: What a manifest says of a recording, in this order.
MANIFEST_COLUMNS = ("ID", "duration", "wav", "label", "sha256")

# How many names a message lists; the rest is in a file.
MAX_NAMES = 20


# Writing and reading manifests


def _csv_text(columns, rows):
    """Rows as CSV; keys that are no column are left out."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, columns, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_manifest(path, rows):
    """Write a manifest that `DynamicItemDataset.from_csv` reads.

    Arguments
    ---------
    path : str or Path
        The file; it is replaced at once or not at all.
    rows : list of dict
        With the keys `MANIFEST_COLUMNS`; ``duration`` in seconds, ``label`` the
        class names joined by ``|``.

    Returns
    -------
    bool
        False if the file already held just that.

    Raises
    ------
    InputError
        If a path holds what SpeechBrain would take for a ``$variable``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.csv"
    >>> row = {"ID": "a", "duration": 5.0, "wav": "a.wav", "label": "rain|wind",
    ...     "sha256": "00"}
    >>> write_manifest(path, [row]), write_manifest(path, [row])
    (True, False)
    >>> read_manifest(path) == [row]
    True
    """
    for row in rows:
        if re.search(r"\$[\w.]", row["wav"]):
            raise InputError(
                f"{row['wav']}: SpeechBrain takes the $ in this path for a "
                "variable; rename the folder"
            )
    return write_if_changed(path, _csv_text(MANIFEST_COLUMNS, rows))


def read_manifest(path):
    """Read what `write_manifest` wrote.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    list of dict
        With the keys `MANIFEST_COLUMNS`; ``duration`` is a float.

    Raises
    ------
    InputError
        If the file is missing, damaged or empty, or if an ID comes twice.
    """
    rows = read_metadata(path, MANIFEST_COLUMNS)
    seen = set()
    for number, row in enumerate(rows, start=2):  # as an editor counts lines
        try:
            row["duration"] = float(row["duration"])
        except ValueError:
            raise InputError(
                f"{path}, line {number}: duration {row['duration']!r} is no "
                "number; delete the file and run again"
            ) from None
        if row["ID"] in seen:
            raise InputError(
                f"{path}, line {number}: ID {row['ID']} comes twice; delete the "
                "file and run again"
            )
        seen.add(row["ID"])
    return rows


def read_metadata(
    path,
    columns,
    delimiter=",",
    remedy="Restore the data set's own file",
):
    """Read a data set's own CSV file, every value as text.

    Arguments
    ---------
    path : str or Path
        The file, in UTF-8, with a header.
    columns : iterable of str
        The columns that must be there. Others are kept.
    delimiter : str
        What stands between two values, e.g. a tab in a TSV file.
    remedy : str
        What to do about a damaged file, for the message.

    Returns
    -------
    list of dict
        At least one.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, has a row with too many or
        too few values, or has no row.

    Example
    -------
    >>> path = getfixture("tmp_path") / "meta.csv"
    >>> _ = path.write_text("filename,fold\\na.wav,1\\n")
    >>> read_metadata(path, ["filename"])
    [{'filename': 'a.wav', 'fold': '1'}]
    >>> read_metadata(path, ["category"])
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: ...meta.csv: no column category; ...
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, delimiter=delimiter)
            header = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). {remedy}"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: no CSV file in UTF-8 ({error}). {remedy}"
        ) from None
    absent = [column for column in columns if column not in header]
    if absent:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; its first line is "
            f"{','.join(header)[:200]!r}. {remedy}"
        )
    for number, row in rows:
        if None in row or None in row.values():
            raise InputError(
                f"{path}, line {number}: not {len(header)} values, as the first "
                f"line announces; is the file cut off? {remedy}"
            )
    if not rows:
        raise InputError(f"{path}: no row below the first line. {remedy}")
    return [row for _, row in rows]


def data_fingerprint(rows):
    """Hash of what is tested: which recordings, with which labels and bytes.

    Where the files lie and in which order they are listed has no part in it.

    Arguments
    ---------
    rows : list of dict
        Manifest rows.

    Returns
    -------
    str
        64 hex digits.

    Example
    -------
    >>> rows = [{"ID": "a", "label": "rain", "sha256": "00"},
    ...     {"ID": "b", "label": "wind", "sha256": "11"}]
    >>> data_fingerprint(rows) == data_fingerprint(rows[::-1])
    True
    >>> data_fingerprint(rows) == data_fingerprint(rows[:1])
    False
    """
    keys = sorted((row["ID"], row["label"], row["sha256"]) for row in rows)
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


# Checking recordings


def warn_of_unlisted_files(folder, listed, metadata):
    """Warn of recordings that lie in a data set but not in its metadata.

    Arguments
    ---------
    folder : str or Path
        Where the recordings lie, at any depth.
    listed : set of str
        Paths that the metadata lists, relative to ``folder``, with ``/``.
    metadata : str
        Name of the metadata's file, for the message.

    Returns
    -------
    list of str
        The paths that are not listed.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.wav", "b.wav", "notes.txt"):
    ...     _ = (folder / name).write_text("")
    >>> warn_of_unlisted_files(folder, {"a.wav"}, "meta.csv")
    ['b.wav']
    """
    folder = Path(folder)
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*.wav")}
    extra = sorted(on_disk - set(listed))
    if extra:
        logger.warning(
            "%d files in %s are not in %s and are not used:\n%s",
            len(extra),
            folder,
            metadata,
            _name_some(extra),
        )
    return extra


class CheckedRecordings(NamedTuple):
    """What `check_recordings` found.

    Arguments
    ---------
    rows : list of dict
        Manifest rows of the recordings that can be used.
    left_out : list of dict
        ``ID``, ``wav`` and ``reason`` of those that cannot.
    n_read : int
        How many files had to be read; the others were known from before.
    """

    rows: list
    left_out: list
    n_read: int


def _examine(data):
    """Decode a file's bytes; return its facts, or what is wrong (str)."""
    try:
        sig, rate = decode(data)
    except InputError as error:
        return str(error)
    return {
        "duration": len(sig) / rate,
        "silent": not sig.any().item(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _read_cache(path):
    """What an earlier run learned; nothing if the file is not as we wrote it."""
    try:
        cache = json.loads(Path(path).read_text(encoding="utf-8"))
        for facts in cache.values():
            int(facts["size"]), int(facts["mtime_ns"]), facts["silent"]
            float(facts["duration"]), bytes.fromhex(facts["sha256"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        logger.warning("%s is damaged; every recording is read again", path)
        return {}
    return cache


def _name_some(lines):
    """The first lines of many, and how many more there are."""
    more = len(lines) - MAX_NAMES
    return "\n".join(
        [f"  {line}" for line in lines[:MAX_NAMES]]
        + ([f"  ... and {more} more"] if more > 0 else [])
    )


def _label_problem(label, class_names):
    """What is wrong with a label (str), or None."""
    unknown = [c for c in label.split("|") if c not in class_names]
    if not label:
        return "no label"
    if unknown:
        return f"wrongly labelled: {'|'.join(unknown)!r} is no class"
    return None


def check_recordings(
    rows, class_names, save_folder, allow_missing=0, cache_folder=None
):
    """Decode and hash every recording before a run, and stop on bad ones.

    Bad is: missing, unreadable, empty, truncated, not finite, wrongly
    labelled, listed twice, or whatever else the prep script wrote into
    ``problem``. A recording that is all zeros is used, with a warning.

    What was learned of good files is kept in ``recordings.json``, so that a
    file of unchanged path, size and time of modification is not read again.
    The bad ones are listed in ``problems.csv``.

    Arguments
    ---------
    rows : list of dict
        ``ID``, ``wav`` (path), ``label`` (class names joined by ``|``), and
        optionally ``problem``: what is already known to be wrong (str).
    class_names : list of str
        The labels there are.
    save_folder : str or Path
        Where the two files go.
    allow_missing : int
        How many bad recordings may be left out.
    cache_folder : str or Path, optional
        Where what was learned of good files is kept; by default
        ``save_folder``. Runs that share it read a recording once.

    Returns
    -------
    CheckedRecordings

    Raises
    ------
    InputError
        If more recordings than allowed are bad, or no good one is left. It
        names them, each with the reason.

    Example
    -------
    >>> import torch
    >>> from speechbrain.dataio import audio_io
    >>> folder = getfixture("tmp_path")
    >>> audio_io.save(folder / "a.wav", torch.ones(1, 80) / 2, 8000)
    >>> rows = [
    ...     {"ID": "a", "wav": str(folder / "a.wav"), "label": "rain"},
    ...     {"ID": "b", "wav": str(folder / "b.wav"), "label": "rain"}]
    >>> checked = check_recordings(rows, ["rain"], folder, allow_missing=1)
    >>> checked.rows[0]["duration"], checked.left_out[0]["reason"]
    (0.01, 'missing')
    >>> check_recordings(rows, ["rain"], folder)
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: 1 of 2 recordings cannot be used ...
      ...b.wav: missing
    ...
    """
    if type(allow_missing) is not int or allow_missing < 0:
        raise InputError(
            f"allow_missing: {allow_missing!r} is no number of recordings; "
            "use 0, 1, 2, ..."
        )
    save_folder = Path(save_folder)
    cache_path = Path(cache_folder or save_folder) / "recordings.json"
    known, cache = _read_cache(cache_path), {}
    good, left_out, silent, seen, n_read = [], [], [], set(), 0

    try:
        # disable=None: no bar where nobody watches.
        for row in tqdm(rows, "Checking recordings", disable=None):
            wav = os.path.abspath(row["wav"])
            problem = row.get("problem") or _label_problem(
                row["label"], class_names
            )
            if row["ID"] in seen:
                problem = "duplicate: its ID is listed before"
            seen.add(row["ID"])
            if not problem:
                facts = known.get(wav)
                try:
                    found = os.stat(wav)
                    stamp = {
                        "size": found.st_size,
                        "mtime_ns": found.st_mtime_ns,
                    }
                    if not facts or not stamp.items() <= facts.items():
                        n_read += 1
                        facts = _examine(Path(wav).read_bytes())
                except FileNotFoundError:
                    facts = "missing"
                except OSError as error:
                    facts = f"unreadable: {error.strerror}"
                if isinstance(facts, dict):
                    cache[wav] = facts | stamp
                else:
                    problem = facts
            if problem:
                left_out.append(
                    {"ID": row["ID"], "wav": wav, "reason": problem}
                )
                continue
            if facts["silent"]:
                silent.append(wav)
            good.append(
                {
                    "ID": row["ID"],
                    "duration": round(facts["duration"], 6),
                    "wav": wav,
                    "label": row["label"],
                    "sha256": facts["sha256"],
                }
            )
    finally:
        # Also after an interruption: what was read need not be read again.
        if cache != known:
            write_if_changed(cache_path, json.dumps(known | cache, indent=0))

    if silent:
        logger.warning(
            "%d recordings are silent (all zeros):\n%s",
            len(silent),
            _name_some(silent),
        )
    problems_path = save_folder / "problems.csv"
    if not left_out:
        problems_path.unlink(missing_ok=True)
        return CheckedRecordings(good, left_out, n_read)
    write_if_changed(
        problems_path, _csv_text(("ID", "wav", "reason"), left_out)
    )
    names = _name_some([f"{bad['wav']}: {bad['reason']}" for bad in left_out])
    if len(left_out) > allow_missing or not good:
        way_out = (
            f", or leave them out by --allow_missing {len(left_out)}"
            if good
            else "; none is left to test on"
        )
        raise InputError(
            f"{len(left_out)} of {len(rows)} recordings cannot be used "
            f"(allow_missing: {allow_missing}):\n{names}\n"
            f"All of them: {problems_path}. Restore them{way_out}."
        )
    logger.warning(
        "%d of %d recordings are left out (allow_missing: %d):\n%s",
        len(left_out),
        len(rows),
        allow_missing,
        names,
    )
    return CheckedRecordings(good, left_out, n_read)


def prepare_test_set(
    dataset,
    rows,
    class_names,
    save_folder,
    allow_missing=0,
    settings=None,
    cache_folder=None,
    facts=None,
):
    """Check a data set's recordings and write its two files.

    ``test.csv`` is the manifest. ``prepare.json`` says which data set it is,
    how it was prepared, how many recordings there are, which were left out,
    the classes and the `data_fingerprint`. Files that would not change are not
    touched, and recordings that did not change are not read again.

    Arguments
    ---------
    dataset : str
        The data set's name.
    rows : list of dict
        See `check_recordings`.
    class_names : list of str
        In the order of the class indices.
    save_folder : str or Path
        Where the files go.
    allow_missing : int
        How many bad recordings may be left out.
    settings : dict, optional
        What the prep script was told, as JSON values.
    cache_folder : str or Path, optional
        Where what was learned of good files is kept; by default
        ``save_folder``. Runs that share it read a recording once.
    facts : dict, optional
        What else ``prepare.json`` says, as JSON values.

    Returns
    -------
    dict
        What ``prepare.json`` holds.

    Raises
    ------
    InputError
        See `check_recordings` and `write_manifest`.
    """
    save_folder = Path(save_folder)
    good, left_out, n_read = check_recordings(
        rows, class_names, save_folder, allow_missing, cache_folder
    )
    tested = {name for row in good for name in row["label"].split("|")}
    untested = [name for name in class_names if name not in tested]
    if untested:
        logger.warning(
            "%s: %d of %d classes have no recording, so nothing is measured of "
            "them: %s",
            dataset,
            len(untested),
            len(class_names),
            "; ".join(untested),
        )
    summary = {
        "dataset": dataset,
        "settings": {**(settings or {}), "allow_missing": allow_missing},
        "n_recordings": len(good),
        "n_left_out": len(left_out),
        "left_out": left_out,
        **(facts or {}),
        "data_fingerprint": data_fingerprint(good),
        "class_names": list(class_names),
    }
    changed = write_manifest(save_folder / "test.csv", good)
    changed |= write_if_changed(
        save_folder / "prepare.json", json.dumps(summary, indent=2) + "\n"
    )
    if changed or n_read:
        logger.info(
            "%s: %d recordings in %s (%d read, %d left out)",
            dataset,
            len(good),
            save_folder / "test.csv",
            n_read,
            len(left_out),
        )
    else:
        logger.info(
            "%s: unchanged, %d recordings in %s; nothing to do",
            dataset,
            len(good),
            save_folder / "test.csv",
        )
    return summary


# Finding a data set


def find_root(data_folder, marker, name, fetch=None):
    """Find a data set in a folder, one level below it or one above it.

    Arguments
    ---------
    data_folder : str or Path
        What the user gave.
    marker : str or tuple of str
        A file that every copy of the data set has, relative to its root, or
        the spellings that there are of it; any one will do.
    name : str
        The data set's name.
    fetch : callable, optional
        Called without arguments if the data set is not there; then it is
        looked for once more.

    Returns
    -------
    Path
        The root, absolute.

    Raises
    ------
    InputError
        If the data set is not there, or lies there more than once.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "ESC-50-master" / "meta").mkdir(parents=True)
    >>> _ = (folder / "ESC-50-master" / "meta" / "esc50.csv").write_text("")
    >>> find_root(folder, "meta/esc50.csv", "ESC-50").name
    'ESC-50-master'
    """
    folder = Path(os.path.abspath(data_folder))
    markers = (marker,) if isinstance(marker, str) else marker
    below = []
    if folder.is_dir():
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    for candidates in ([folder], below, [folder.parent]):
        roots = [
            c for c in candidates if any((c / m).is_file() for m in markers)
        ]
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
    state = "" if folder.is_dir() else f" ({folder} is no folder)"
    raise InputError(
        f"{name} not found: no {folder / markers[0]}, nor one level below or "
        f"above{state}. Give the folder that holds it as --data_folder, fetch it "
        "(--download True, or the recipe's README), or run the embedded "
        "demonstration by --data_folder samples"
    )
