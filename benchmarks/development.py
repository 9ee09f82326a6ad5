#!/usr/bin/env python3
"""Lay out the development recordings, on which the defaults were chosen.

They come from Debian packages, some of them under copyleft, and none of them is
a sample recording. They are read from the packages and never shipped. Download
and unpack the packages, then run:
> apt-get download PACKAGE && dpkg -x PACKAGE_*.deb debian/PACKAGE
> python benchmarks/development.py debian --output results/development
> python recipes/ESC50/train.py hparams.yaml --data_folder results/development

Labels come from file names and were not checked one by one. Use them to compare
settings, but not to judge the accuracy of a CLAP.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import csv
import functools
import hashlib
import zipfile
from pathlib import Path

import soundfile

from afpt_plugin.data.decoding import decode
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.sample_recordings import COLUMNS
from afpt_plugin.samples import write_esc50, write_fsd2019, write_us8k

MANIFEST = Path(__file__).with_suffix(".csv")
MAX_SECONDS = 10


def main(arguments=None):
    """Read the recordings and write them in the data sets' layouts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("debian_root", type=Path, help="a folder a package")
    parser.add_argument(
        "--output", type=Path, default=Path("results/development")
    )
    options = parser.parse_args(arguments)
    root = options.debian_root
    with open(MANIFEST, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    packages = sorted({row["package"] for row in rows})
    missing = [name for name in packages if not (root / name).is_dir()]
    if missing:
        raise InputError(
            f"{root} lacks {len(missing)} packages; download them with "
            f"apt-get download {' '.join(missing)}"
        )
    folder = options.output / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "recordings.csv", "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for number, row in enumerate(rows):
            path = folder / f"{number:04d}.flac"
            sig, sample_rate = decode(read_source(row, root))
            sig = sig.mean(dim=1)[: MAX_SECONDS * sample_rate]
            soundfile.write(path, sig.numpy(), sample_rate)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            table.writerow({**row, "file": path.name, "sha256": digest})
    for write in (write_esc50, write_us8k, write_fsd2019):
        print(write(options.output, folder))


def read_source(row, root):
    """Read a file of a package, or of a zip file in it, and check its hash."""
    path = root / row["package"] / row["path"]
    try:
        if row["member"]:
            data = open_zip(path).read(row["member"])
        else:
            data = path.read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} {row['member']}: {error}; unpack {row['package']} again"
        ) from error
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise InputError(
            f"{path} {row['member']} differs from version {row['version']} of "
            f"{row['package']}; unpack that version"
        )
    return data


@functools.lru_cache(maxsize=4)
def open_zip(path):
    """Open a zip file, and keep it open."""
    return zipfile.ZipFile(path)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
