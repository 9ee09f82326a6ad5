"""From a data set on disk to a manifest, and from a manifest to waveforms.

A prep script holds only what is true of its data set: where the metadata
lies, what its columns mean, how the classes are called. The rest is here.

1. `find_root` finds the data set, `download_and_unpack` fetches it.
2. `read_metadata` reads its CSV file; the script makes one row a recording,
   ``{"ID", "wav", "label"}``, and puts what it finds wrong with it into
   ``"problem"``.
3. `prepare_test_set` decodes and hashes every recording, stops on any that
   cannot be used, and writes ``test.csv`` and ``prepare.json``.
4. `read_recording` reads one recording as a backbone wants it.

There is no manifest for training: training reads captions, never audio.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import functools
import gzip
import hashlib
import http.client
import io
import json
import math
import os
import random
import re
import shutil
import stat
import tarfile
import urllib.request
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from speechbrain.dataio import audio_io
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.errors import InputError

logger = get_logger(__name__)

#: What a manifest says of a recording, in this order.
MANIFEST_COLUMNS = ("ID", "duration", "wav", "label", "sha256")

#: Which part of a recording longer than a clip is kept.
CROPS = ("start", "center")

# How many names a message lists; the rest is in a file.
MAX_NAMES = 20

# No archive of the four data sets unpacks to more (FSDKaggle2019: 30 GB).
MAX_UNPACKED_BYTES = 40 * 1024**3

# A WAV written to a pipe says this where it cannot know its size.
UNKNOWN_RIFF_SIZES = (0, 0xFFFFFFFF)


# Reading a recording


@functools.lru_cache(maxsize=16)
def _resampler(from_rate, to_rate):
    """The kernel depends on the two rates alone and is costly to build."""
    from torchaudio.transforms import Resample

    return Resample(from_rate, to_rate)


def fit_length(sig, n_samples, crop="start"):
    """Loop a signal that is too short, crop one that is too long.

    Arguments
    ---------
    sig : torch.Tensor
        A waveform, [samples], not empty.
    n_samples : int
        Wanted length.
    crop : str
        Which part of a longer signal is kept: ``"start"`` or ``"center"``.

    Returns
    -------
    torch.Tensor
        [n_samples]

    Raises
    ------
    InputError
        If ``crop`` is unknown.

    Example
    -------
    >>> fit_length(torch.tensor([1, 2, 3]), 7).tolist()
    [1, 2, 3, 1, 2, 3, 1]
    >>> fit_length(torch.tensor([1, 2, 3, 4]), 2, crop="center").tolist()
    [2, 3]
    """
    if crop not in CROPS:
        raise InputError(
            f"crop: {crop!r} is unknown; use one of {', '.join(CROPS)}"
        )
    if len(sig) <= n_samples:
        return sig.repeat(math.ceil(n_samples / len(sig)))[:n_samples]
    start = (len(sig) - n_samples) // 2 if crop == "center" else 0
    return sig[start : start + n_samples]


def read_recording(
    path, sample_rate, clip_seconds, crop="start", upstream_exact=False, seed=0
):
    """Read a recording as a mono clip of fixed length.

    Channels are averaged before anything else, then the signal is resampled
    and fitted to the clip by `fit_length`. Nothing is random.

    Arguments
    ---------
    path : str or Path
        Any file that soundfile reads.
    sample_rate : int
        Rate of the clip, in Hz.
    clip_seconds : float
        Length of the clip.
    crop : str
        Which part of a longer recording is kept: ``"start"`` (a sound's onset
        is what names it, and Freesound's clips begin with it) or ``"center"``.
    upstream_exact : bool
        Do what the authors' code does: lay the channels end to end instead of
        averaging them, and cut a longer signal at a random place (``crop``
        has no say). The place is drawn from ``seed`` and the file's name, so
        it is the same in every run and wherever the data set lies.
    seed : int
        Used under ``upstream_exact`` alone.

    Returns
    -------
    torch.Tensor
        float32, [round(clip_seconds * sample_rate)]

    Raises
    ------
    InputError
        If the file cannot be read or has no sample, if ``crop`` is unknown, or
        if the clip has no length.

    Example
    -------
    >>> path = getfixture("tmp_path") / "stereo.wav"
    >>> audio_io.save(path, torch.tensor([[0.5, 0.25], [0.0, 0.25]]), 8000)
    >>> read_recording(path, 8000, 3 / 8000).tolist()
    [0.25, 0.25, 0.25]
    >>> read_recording(path, 8000, 5 / 8000, upstream_exact=True).tolist()
    [0.5, 0.25, 0.0, 0.25, 0.5]
    """
    n_samples = round(clip_seconds * sample_rate)
    if n_samples < 1:
        raise InputError(
            f"clip_seconds: {clip_seconds} is not even one sample at "
            f"{sample_rate} Hz"
        )
    try:
        sig, rate = audio_io.load(os.fspath(path), dtype=torch.float32)
    except RuntimeError as error:
        raise InputError(f"{path}: not readable as audio ({error})") from error
    if sig.shape[1] == 0:
        raise InputError(f"{path}: empty, it has no sample")
    if not upstream_exact:
        sig = sig.mean(dim=0, keepdim=True)
    if rate != sample_rate:
        sig = _resampler(rate, sample_rate)(sig)
    sig = sig.reshape(-1)
    if upstream_exact and len(sig) > n_samples:
        draw = random.Random(f"{seed}:{os.path.basename(path)}")
        start = draw.randrange(len(sig) - n_samples)
        return sig[start : start + n_samples]
    return fit_length(sig, n_samples, crop)


# Writing and reading manifests


@contextmanager
def _replaced(path):
    """Yield a name to write to; it becomes `path` only if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_if_changed(path, text):
    """Write a text atomically; return whether the file had to change."""
    data = text.encode("utf-8")
    if os.path.isfile(path) and Path(path).read_bytes() == data:
        return False
    with _replaced(path) as part:
        part.write_bytes(data)
    return True


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
    return _write_if_changed(path, _csv_text(MANIFEST_COLUMNS, rows))


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


def read_metadata(path, columns):
    """Read a data set's own CSV file, every value as text.

    Arguments
    ---------
    path : str or Path
        The file, in UTF-8, with a header.
    columns : iterable of str
        The columns that must be there. Others are kept.

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
            reader = csv.DictReader(file, strict=True)
            header = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no CSV file in UTF-8 ({error})") from None
    absent = [column for column in columns if column not in header]
    if absent:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; its first line is "
            f"{','.join(header)[:200]!r}. Restore the data set's own file"
        )
    for number, row in rows:
        if None in row or None in row.values():
            raise InputError(
                f"{path}, line {number}: not {len(header)} values, as the first "
                "line announces; is the file cut off?"
            )
    if not rows:
        raise InputError(f"{path}: no row below the first line")
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
    if not data:
        return "empty: 0 bytes"
    # libsndfile believes the smaller of header and file, in silence.
    if data[:4] == b"RIFF":
        size = int.from_bytes(data[4:8], "little")
        if size not in UNKNOWN_RIFF_SIZES and size + 8 > len(data):
            return f"truncated: {len(data)} of {size + 8} bytes"
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            announced, rate = file.frames, file.samplerate
            sig = torch.from_numpy(file.read(dtype="float32", always_2d=True))
    except soundfile.LibsndfileError as error:
        return f"not readable as audio: {error.error_string}"
    if len(sig) < announced:
        return f"truncated: {len(sig)} of {announced} samples"
    if len(sig) == 0:
        return "empty: 0 samples"
    if not sig.isfinite().all():
        return "holds samples that are not finite"
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


def check_recordings(rows, class_names, save_folder, allow_missing=0):
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
    cache_path = save_folder / "recordings.json"
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
            _write_if_changed(cache_path, json.dumps(known | cache, indent=0))

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
    _write_if_changed(
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
    dataset, rows, class_names, save_folder, allow_missing=0, settings=None
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
        rows, class_names, save_folder, allow_missing
    )
    summary = {
        "dataset": dataset,
        "settings": {**(settings or {}), "allow_missing": allow_missing},
        "n_recordings": len(good),
        "n_left_out": len(left_out),
        "left_out": left_out,
        "data_fingerprint": data_fingerprint(good),
        "class_names": list(class_names),
    }
    changed = write_manifest(save_folder / "test.csv", good)
    changed |= _write_if_changed(
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


# Finding and fetching a data set


def find_root(data_folder, marker, name, fetch=None):
    """Find a data set in a folder, one level below it or one above it.

    Arguments
    ---------
    data_folder : str or Path
        What the user gave.
    marker : str
        A file that every copy of the data set has, relative to its root.
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
    below = []
    if folder.is_dir():
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    for candidates in ([folder], below, [folder.parent]):
        roots = [c for c in candidates if os.path.isfile(c / marker)]
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
        f"{name} not found: no {folder / marker}, nor one level below or above"
        f"{state}. Give the folder that holds it as --data_folder, fetch it "
        "by --download True, or run the embedded demonstration by "
        "--data_folder generated"
    )


def _file_sha256(path):
    """Hash of a file that need not fit into memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(url, archive, timeout):
    """Fetch a URL into a file, which appears only when it is whole."""
    try:
        with (
            _replaced(archive) as part,
            urllib.request.urlopen(url, timeout=timeout) as response,
            open(part, "wb") as file,
        ):
            size = int(response.headers.get("Content-Length") or 0)
            with tqdm(
                total=size or None,
                unit="B",
                unit_scale=True,
                desc=archive.name,
                disable=None,
            ) as bar:
                while block := response.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
            if size and file.tell() != size:
                raise OSError(f"{file.tell()} of {size} bytes came")
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{archive.name} could not be downloaded from {url}: {error}. "
            f"Download it by hand, put it at {archive} and run again"
        ) from error


def _unsafe(name, kind):
    """Why an archive's member must not be unpacked (str), or None."""
    if kind is not None:
        return kind
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        return "a path that leaves the folder"
    return None


def _zip_members(archive):
    """Name, size and what is wrong of every member of a ZIP archive."""
    for info in archive.infolist():
        kind = None
        if stat.S_ISLNK(info.external_attr >> 16):
            kind = "a link"
        elif info.flag_bits & 1:
            kind = "encrypted"
        yield info.filename, info.file_size, kind


def _tar_members(archive):
    """Name, size and what is wrong of every member of a TAR archive."""
    for info in archive:
        kind = None if info.isfile() or info.isdir() else "a link or device"
        yield info.name, info.size, kind


def _unpack(archive_path, folder, max_bytes):
    """Unpack an archive beside its place, then move its top entries there."""
    if zipfile.is_zipfile(archive_path):
        opened, members = zipfile.ZipFile(archive_path), _zip_members
    else:
        opened, members = tarfile.open(archive_path), _tar_members
    part = folder / f".{archive_path.name}.{os.getpid()}.part"
    with opened as archive:
        total = 0
        for name, size, kind in members(archive):
            total += size
            reason = _unsafe(name, kind)
            if reason:
                raise InputError(
                    f"{archive_path}: member {name!r} is {reason}; nothing was "
                    "unpacked. Is this the official archive?"
                )
        room = min(max_bytes, shutil.disk_usage(folder).free)
        if total > room:
            raise InputError(
                f"{archive_path}: unpacks to {total} bytes, more than the "
                f"{room} allowed or free in {folder}; nothing was unpacked"
            )
        logger.info("Unpacking %s into %s", archive_path, folder)
        try:
            if members is _tar_members:
                archive.extractall(part, filter="data")
            else:
                archive.extractall(part)
            entries = sorted(part.iterdir())
            for entry in entries:
                if (folder / entry.name).exists():
                    raise InputError(
                        f"{folder / entry.name} is in the way of the one in "
                        f"{archive_path}; remove it and run again"
                    )
            for entry in entries:
                os.replace(entry, folder / entry.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def download_and_unpack(
    url,
    folder,
    name=None,
    sha256=None,
    max_bytes=MAX_UNPACKED_BYTES,
    timeout=60,
):
    """Fetch an archive, note its size and hash, and unpack it safely.

    An archive that lies in the folder already, by an earlier run or by hand,
    is not fetched again. Beside it, ``<archive>.json`` records ``url``,
    ``size`` and ``sha256``. Neither the archive nor anything unpacked from it
    is ever there in part.

    Arguments
    ---------
    url : str
        A ZIP or TAR archive.
    folder : str or Path
        Where the archive and what is in it go.
    name : str, optional
        What to call the archive; by default as the URL does.
    sha256 : str, optional
        What the archive's hash must be.
    max_bytes : int
        Refuse an archive that unpacks to more.
    timeout : float
        Seconds without an answer after which to give up.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    InputError
        If the network, the archive or the folder does not permit it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as archive:
    ...     archive.writestr("a/hello.txt", "hello")
    >>> _ = download_and_unpack((folder / "a.zip").as_uri(), folder / "data")
    >>> (folder / "data" / "a" / "hello.txt").read_text()
    'hello'
    """
    folder = Path(os.path.abspath(folder))
    archive = folder / (name or url.rstrip("/").rsplit("/", 1)[-1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made, to download into ({error.strerror}); "
            "give another --data_folder"
        ) from error
    if archive.is_file():
        logger.info("%s is there already; it is not downloaded", archive)
    else:
        logger.info("Downloading %s to %s", url, archive)
        _download(url, archive, timeout)
    digest = _file_sha256(archive)
    if sha256 not in (None, digest):
        raise InputError(
            f"{archive}: sha256 is {digest}, not {sha256}; it is damaged or "
            f"another file. Remove it and run again"
        )
    record = {"url": url, "size": archive.stat().st_size, "sha256": digest}
    _write_if_changed(
        archive.with_name(f"{archive.name}.json"),
        json.dumps(record, indent=2) + "\n",
    )
    try:
        _unpack(archive, folder, max_bytes)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
    ) as error:
        raise InputError(
            f"{archive}: damaged, or no ZIP or TAR archive ({error}); remove "
            "it and run again"
        ) from error
    return archive
