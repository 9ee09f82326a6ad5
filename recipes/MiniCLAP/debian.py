"""Recorded sounds that lie in Debian packages, as a second training source.

Debian's games and sound fonts hold recordings under stated, free licences.
`debian_sounds.csv` names some of them: package and version, path in the
package, member of the archive at that path if it is one, concept, licence as
its package states it for this very file, whom to credit, split, and the
SHA-256 of the bytes, so that what is trained on is what was looked at. No
sound is copied into this repository. Install the packages (`apt_line`), or
unpack them into a folder:

>   apt-get download PACKAGE && dpkg -x PACKAGE_*.deb debian_root/PACKAGE

Files are only parsed: nothing of a package is executed or unpickled.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import torch
import torchaudio
from archives import decode, read_member
from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError

logger = get_logger(__name__)

SAMPLE_RATE = 32000

COLUMNS = (
    "package,version,path,member,concept,licence,attribution,split,sha256"
).split(",")

# Licences that ask for credit at most (SPDX identifiers). Not among them:
# copyleft, share-alike, and any that restrict use.
PERMISSIVE = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "LicenseRef-Public-Domain",
    "MIT",
    "WTFPL",
    "Zlib",
}

# What else the manifest may hold: read with ``sources="all"`` only.
COPYLEFT = {
    "Artistic-1.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-2.5",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "GFDL-1.3-only",
    "GPL-2.0-only",
    "GPL-2.0-only OR GPL-3.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "LAL-1.3",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
}


def read_debian_manifest(path, sources="permissive", concepts=None):
    """Read and check the list of sounds.

    Arguments
    ---------
    path : str or pathlib.Path
        CSV file with `COLUMNS`.
    sources : str
        "permissive" keeps the rows whose licence is in `PERMISSIVE`, "all"
        keeps every row.
    concepts : collection of str
        Names a row may have as concept. Not checked if None.

    Returns
    -------
    list of dict
        A row each, in the file's order.

    Raises
    ------
    InputError
        If a column is missing, or a row has an unknown value or came before.
    """
    if sources not in ("permissive", "all"):
        raise InputError(f"sources is '{sources}': say 'permissive' or 'all'")
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != COLUMNS:
            raise InputError(
                f"{path}: columns are {reader.fieldnames}, should be {COLUMNS}"
            )
        rows, seen = [], {}
        for number, row in enumerate(reader, start=2):
            _check_row(row, f"{path}, row {number}", concepts)
            key = row["package"], row["path"], row["member"]
            if key in seen:
                raise InputError(
                    f"{path}, row {number}: {' '.join(key).strip()} is in row "
                    f"{seen[key]} already; remove one"
                )
            seen[key] = number
            if sources == "all" or row["licence"] in PERMISSIVE:
                rows.append(row)
    return rows


def leave_out_overlaps(rows, path):
    """Drop the sounds that share a recording with an evaluation set.

    Arguments
    ---------
    rows : list of dict
        From `read_debian_manifest`.
    path : str or pathlib.Path
        What `overlap.py` wrote: columns package, path, member, ...

    Returns
    -------
    list of dict
        The others; how many were dropped is logged.

    Raises
    ------
    InputError
        If the file lacks a column.
    """
    columns = ("package", "path", "member")
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not set(columns) <= set(reader.fieldnames or ()):
            raise InputError(
                f"{path}: columns are {reader.fieldnames}, should hold "
                f"{', '.join(columns)}; write the file with overlap.py"
            )
        matched = {tuple(row[key] for key in columns) for row in reader}
    kept = [
        row for row in rows if tuple(row[key] for key in columns) not in matched
    ]
    logger.info(
        "%d recorded sounds, %d left out because they are in %s",
        len(kept),
        len(rows) - len(kept),
        path,
    )
    return kept


def _check_row(row, where, concepts):
    if None in row or None in row.values():
        raise InputError(f"{where}: not {len(COLUMNS)} values")
    for column in ("package", "version", "path", "concept"):
        if not row[column].strip():
            raise InputError(f"{where}: {column} is empty")
    # A manifest from elsewhere must not make us read outside the package.
    parts = Path(row["path"]).parts
    if ".." in parts or Path(row["path"]).is_absolute():
        raise InputError(
            f"{where}: path '{row['path']}' does not lie in a package"
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", row["package"]):
        raise InputError(f"{where}: '{row['package']}' is no package name")
    if concepts is not None and row["concept"] not in concepts:
        raise InputError(
            f"{where}: concept '{row['concept']}' has no captions; add them "
            "to the captions file or correct the row"
        )
    if row["licence"] not in PERMISSIVE | COPYLEFT:
        raise InputError(
            f"{where}: unknown licence '{row['licence']}'; add its SPDX "
            "identifier to PERMISSIVE or COPYLEFT in debian.py"
        )
    if row["split"] not in ("train", "valid"):
        raise InputError(
            f"{where}: split is '{row['split']}', should be train or valid"
        )
    if len(row["sha256"]) != 64 or set(row["sha256"]) - set("0123456789abcdef"):
        raise InputError(f"{where}: '{row['sha256']}' is no SHA-256")


def apt_line(rows):
    """Return the command that installs the packages of some rows.

    Arguments
    ---------
    rows : list of dict
        From `read_debian_manifest`.

    Returns
    -------
    str

    Example
    -------
    >>> apt_line([{"package": "scratch"}, {"package": "freedoom"}])
    'sudo apt-get install --no-install-recommends freedoom scratch'
    """
    packages = sorted({row["package"] for row in rows})
    return "sudo apt-get install --no-install-recommends " + " ".join(packages)


def find_packages(rows, root="/"):
    """Make sure that every row's file is there.

    Arguments
    ---------
    rows : list of dict
        From `read_debian_manifest`.
    root : str or pathlib.Path
        The system's root, or a folder into which packages were unpacked, all
        together or each into a folder of its name.

    Raises
    ------
    InputError
        With the packages that are absent and what to do about them.
    """
    absent = [row for row in rows if _find(row, root) is None]
    if not absent:
        return
    counts = Counter(row["package"] for row in absent)
    listing = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))
    raise InputError(
        f"{len(absent)} of {len(rows)} recorded sounds are not under {root}; "
        f"by package: {listing}. Install them:\n  {apt_line(absent)}\nor "
        "unpack them with dpkg -x and name the folder, or train on generated "
        "sounds alone: --sources generated"
    )


def _find(row, root):
    for base in (Path(root) / row["package"], Path(root)):
        if (base / row["path"]).is_file():
            return base / row["path"]
    return None


def load_sound(row, root="/"):
    """Read one sound.

    Arguments
    ---------
    row : dict
        From `read_debian_manifest`.
    root : str or pathlib.Path
        As in `find_packages`.

    Returns
    -------
    torch.Tensor
        Its signal at `SAMPLE_RATE`, float32 [n_samples].

    Raises
    ------
    InputError
        If the file is absent, unreadable or not what the manifest's author
        had.
    """
    path = _find(row, root)
    if path is None:
        find_packages([row], root)
    member = row["member"]
    try:
        data = read_member(path, member) if member else path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != row["sha256"]:
            raise ValueError(f"SHA-256 is {found}, expected {row['sha256']}")
        sig, sample_rate = decode(data, path, member)
    except ValueError as error:
        raise InputError(
            f"{path}: {error}{' in ' + member if member else ''}. Package "
            f"{row['package']} {row['version']} was expected, version "
            f"{_installed_version(row['package'], root)} found; install that "
            "version or remove the row from the manifest"
        ) from error
    sig = torch.from_numpy(sig)
    if sig.ndim == 2:
        sig = sig.mean(1)
    return torchaudio.functional.resample(sig, sample_rate, SAMPLE_RATE)


def _installed_version(package, root):
    status = Path(root) / "var/lib/dpkg/status"
    if status.is_file():
        text = status.read_text(encoding="utf-8", errors="replace")
        for entry in text.split("\n\n"):
            lines = entry.strip().splitlines()
            if lines and lines[0] == f"Package: {package}":
                return dict(x.split(": ", 1) for x in lines if ": " in x).get(
                    "Version", "unknown"
                )
    return "unknown"


def write_notice(rows, path):
    """Write whom to credit for the permissive recordings trained on.

    Arguments
    ---------
    rows : list of dict
        From `read_debian_manifest`; copyleft and validation rows are left
        out.
    path : str or pathlib.Path
        Text file to write.
    """
    used = [
        row
        for row in rows
        if row["licence"] in PERMISSIVE and row["split"] == "train"
    ]
    lines = [
        "Recorded sounds that mini-CLAP may be trained on (--sources permissive)",
        "",
        "Written by write_notice in debian.py from debian_sounds.csv. The full",
        "licence texts are in the packages' /usr/share/doc/PACKAGE/copyright.",
    ]
    groups = Counter(
        (row["package"], row["version"], row["licence"], row["attribution"])
        for row in used
    )
    package = None
    for (name, version, licence, credit), n in sorted(groups.items()):
        if name != package:
            lines += ["", f"{name} {version}"]
            package = name
        lines.append(f"  {n} x {licence}" + (f": {credit}" if credit else ""))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
