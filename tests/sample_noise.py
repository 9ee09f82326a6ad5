"""A few lines of noise in the place of the sample recordings."""

import csv
import hashlib

import numpy as np
import soundfile

from afpt_plugin.sample_recordings import COLUMNS, VOCABULARIES

RATES = (8000, 22050, 44100, 48000, 11025)


def write_recording(path, seconds, rate, seed):
    """Noise in the middle half of a silence; one file in four is stereo."""
    rng = np.random.default_rng(seed)
    sig = 0.2 * rng.standard_normal((round(seconds * rate), 2))
    sig[: len(sig) // 4] = sig[-len(sig) // 4 :] = 0
    soundfile.write(path, sig if seed % 4 == 3 else sig[:, 0], rate)


def write_table(folder, rows):
    """Write recordings.csv, with the hashes of the files that are there."""
    for row in rows:
        path = folder / row["file"]
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes())
            row["sha256"] = digest.hexdigest()
    with open(folder / "recordings.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def write_recordings(folder, n=10):
    """Write a folder of `n` recordings, each with a label in every column.

    Every third has the original file of the one before it, as another take.
    The labels come in the order of the vocabularies, from both ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(n):
        row = dict.fromkeys(COLUMNS, "")
        row["file"] = f"noise_{i}.flac"
        write_recording(
            folder / row["file"], 0.5 + 0.6 * (i % 10), RATES[i % 5], i
        )
        for name, labels in VOCABULARIES.items():
            row[name] = labels[(i // 2 if i % 2 else -i // 2 - 1) % len(labels)]
        row["title"], row["author"] = f"noise number {i}", "nobody"
        row["license"], row["start"] = "CC0-1.0", "0"
        row["package"], row["version"] = "noise-data", "1.0"
        row["path"] = f"usr/share/noise{chr(97 + i - i // 3)}{i}.ogg"
        rows.append(row)
    write_table(folder, rows)
    return rows
