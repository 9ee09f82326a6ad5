"""Decode, check and hash every recording of a data set.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
from pathlib import Path

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.data.decoding import open_audio
from afpt_plugin.data.tables import MAX_BYTES, csv_text, some_of
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256, read_bytes, write_if_changed

logger = get_logger(__name__)

#: The columns of a manifest, in this order.
MANIFEST_COLUMNS = ("ID", "duration", "wav", "label", "source", "sha256")

# How many recordings a message lists; ``problems.csv`` lists all of them.
MAX_NAMES = 20


def _read_cache(path):
    """Read the facts of an earlier check; return {} if the file is damaged."""
    try:
        cache = json.loads(read_bytes(path, MAX_BYTES).decode())
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
    """Refuse a row with wrong values, without opening its file."""
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
        Where to write ``problems.csv``; without it, messages list every bad
        recording.
    cache_folder : str or pathlib.Path, optional
        Where to keep ``recordings.json``, the facts about good files; by
        default ``folder``. A file whose path, size and modification time are
        unchanged is not read again.

    Returns
    -------
    good : list of dict
        Rows of a manifest.
    left_out : list of dict
        The bad recordings, each with its ``reason``.

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
        # disable=None shows no progress bar unless the output is a terminal.
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
        # Save after an interruption, too, so that no file has to be read again.
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
    """List bad recordings in a file, then warn about them or raise an error."""
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
