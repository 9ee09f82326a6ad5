"""Write the sample recordings in the folders and metadata of the data sets.

The data sets' prep scripts can then read them. For FSDKaggle2019 and DCASE2019,
whose recordings hold several sounds, they are mixtures of up to three.

Every function writes the same bytes for the same settings. A complete folder is
left as it is, an outdated one is replaced atomically, and a folder that was not
written by this module is refused.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
import string
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from afpt_plugin import sample_recordings
from afpt_plugin.data.tables import csv_text
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import file_sha256, scratch, write_if_changed
from afpt_plugin.sample_recordings import (
    ASSETS,
    ESC10,
    RECORDINGS,
    VOCABULARIES,
    choose_sounds,
    load_sound,
    mix_sounds,
    read_recordings,
)

# The file that holds a folder's settings and the sizes of its files
STAMP = "samples.json"

# In Hz; UrbanSound8K has several rates
SAMPLE_RATE = 44100
MIX_SECONDS = 10.0

# Metadata of DCASE2019's subsets, and the names of their recordings
SUBSETS = {
    "validation": (
        "metadata/validation/validation.tsv",
        "audio/validation/Y{:011d}_30.000_40.000.wav",
    ),
    "public": (
        "metadata/eval/public.tsv",
        "audio/eval/public/{:011d}_30_40.wav",
    ),
}


def write_esc50(folder, recordings=None):
    """Write the sample recordings in ESC-50's layout.

    It writes ``meta/esc50.csv`` and
    ``audio/{fold}-{source}-{take}-{target}.wav``. Clips have 5 s: longer
    recordings are cut, shorter ones are padded with silence. All takes of one
    source are in one fold, and a class is in as many folds as possible.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where to write ``ESC-50-master``; made if absent.
    recordings : str or pathlib.Path, optional
        Folder of the recordings; by default those of the package.

    Returns
    -------
    pathlib.Path
        The folder that was written.

    Raises
    ------
    InputError
        If a recording is damaged, a setting is out of range, or the folder
        cannot be written to or holds a data set that was not written here.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_esc50(folder).name
    'ESC-50-master'
    """

    def make_clips(usable, _):
        """Yield recordings, cut or padded to five seconds."""
        length = 5 * SAMPLE_RATE
        for recording, category, fold, take in _in_folds(usable, "esc50", 5):
            target = VOCABULARIES["esc50"].index(category)
            if take >= len(string.ascii_uppercase):
                raise InputError(
                    f"{recording.place}: this is the 27th take of its source, "
                    "but ESC-50's names have letters for 26; remove it"
                )
            take = string.ascii_uppercase[take]
            name = f"{fold}-{recording.source}-{take}-{target}.wav"
            sig, _ = load_sound(recording, SAMPLE_RATE)
            sig = np.pad(sig[:length], (0, max(0, length - len(sig))))
            row = [name, fold, target, category, category in ESC10]
            row += [recording.source, take]
            yield f"audio/{name}", sig, SAMPLE_RATE, [row]

    columns = "filename fold target category esc10 src_file take"
    return _write(
        *(Path(folder, "ESC-50-master"), recordings, "esc50"),
        *("meta/esc50.csv", columns, make_clips),
    )


def write_us8k(folder, recordings=None):
    """Write the sample recordings in UrbanSound8K's layout.

    It writes ``metadata/UrbanSound8K.csv`` and
    ``audio/fold{1..10}/{fsID}-{classID}-{occurrence}-{slice}.wav``, the first
    4 s of each recording at its own rate. Otherwise it is like `write_esc50`.
    """

    def make_clips(usable, _):
        """Yield recordings as they are."""
        for recording, label, fold, take in _in_folds(usable, "us8k", 10):
            target = VOCABULARIES["us8k"].index(label)
            name = f"{recording.source}-{target}-{take}-0.wav"
            sig, rate = load_sound(recording)
            sig = sig[: 4 * rate]
            row = [name, recording.source, 0, round(len(sig) / rate, 6), 1]
            row += [fold, target, label]
            yield f"audio/fold{fold}/{name}", sig, rate, [row]

    columns = "slice_file_name fsID start end salience fold classID class"
    return _write(
        *(Path(folder, "UrbanSound8K"), recordings, "us8k"),
        *("metadata/UrbanSound8K.csv", columns, make_clips),
    )


def write_fsd2019(folder, recordings=None, clips_per_recording=3, seed=0):
    """Write the sample recordings in the layout of FSDKaggle2019's test set.

    It writes ``FSDKaggle2019.meta/test_post_competition.csv`` and
    ``vocabulary.csv``, and
    ``FSDKaggle2019.audio_test/{8 hexadecimal digits}.wav``: each recording
    alone, and mixtures of 10 s with the labels of all their sounds. Otherwise
    it is like `write_esc50`.

    Arguments
    ---------
    folder, recordings : str or pathlib.Path
        See `write_esc50`.
    clips_per_recording : int
        The first is the recording alone; in the others it is the loudest sound.
    seed : int
        Seed of the mixtures.
    """

    def make_clips(usable, rng):
        """Yield recordings, alone and mixed with others."""
        for number in range(len(usable) * clips_per_recording):
            take, index = divmod(number, len(usable))
            if take == 0:
                chosen = [usable[index]]
                sig, _ = load_sound(usable[index], SAMPLE_RATE)
            else:
                chosen = choose_sounds(usable, index, "fsd2019", rng)
                sig, _ = mix_sounds(chosen, MIX_SECONDS, SAMPLE_RATE, rng)
            # An odd factor permutes the numbers, so names stay unique.
            name = f"{number * 2654435761 % 2**32:08x}.wav"
            labels = ",".join(n for r in chosen for n in r.labels["fsd2019"])
            licenses = sorted({r.row["license"] for r in chosen})
            row = [name, labels, "Private", "", " AND ".join(licenses)]
            yield f"FSDKaggle2019.audio_test/{name}", sig, SAMPLE_RATE, [row]

    vocabulary = enumerate(VOCABULARIES["fsd2019"])
    return _write(
        *(Path(folder, "FSDKaggle2019"), recordings, "fsd2019"),
        "FSDKaggle2019.meta/test_post_competition.csv",
        *("fname labels usage freesound_id license", make_clips),
        {"clips_per_recording": clips_per_recording, "seed": seed},
        {"FSDKaggle2019.meta/vocabulary.csv": csv_text(vocabulary)},
    )


def write_dcase2019(
    folder,
    recordings=None,
    clips_per_recording=6,
    seed=0,
    subset="validation",
):
    """Write mixtures of the sample recordings in DCASE2019 task 4's layout.

    It writes ``metadata/validation/validation.tsv`` and
    ``audio/validation/Y{11 characters}_{from}_{to}.wav``, or
    ``metadata/eval/public.tsv`` and ``audio/eval/public``. Each mixture has
    10 s and one to three events. Otherwise it is like `write_esc50`.

    Arguments
    ---------
    folder, recordings : str or pathlib.Path
        See `write_esc50`.
    clips_per_recording : int
        Number of mixtures in which each recording is the loudest sound.
    seed : int
        Seed of the mixtures.
    subset : str
        ``validation`` or ``public``, each with its own mixtures.
    """
    if subset not in tuple(SUBSETS):
        raise InputError(
            f"subset: {subset!r} is unknown; use one of {', '.join(SUBSETS)}"
        )
    metadata, audio = SUBSETS[subset]

    def make_clips(usable, rng):
        """Yield mixtures with the times of their events."""
        for number in range(len(usable) * clips_per_recording):
            index = number % len(usable)
            chosen = choose_sounds(usable, index, "dcase2019", rng)
            sig, times = mix_sounds(chosen, MIX_SECONDS, SAMPLE_RATE, rng)
            path = Path(audio.format(number))
            rows = [
                [path.name, *of_event, *recording.labels["dcase2019"]]
                for recording, of_event in zip(chosen, times, strict=True)
            ]
            yield path, sig, SAMPLE_RATE, rows

    return _write(
        *(Path(folder, f"DCASE2019-{subset}"), recordings, "dcase2019"),
        *(metadata, "filename onset offset event_label", make_clips),
        {"clips_per_recording": clips_per_recording, "seed": seed},
    )


def _in_folds(recordings, vocabulary, n_folds):
    """Yield every recording with its label, its fold and its take number."""
    sources, filled, folds, takes = {}, Counter(), {}, Counter()
    for recording in recordings:
        labels = sources.setdefault(recording.source, Counter())
        labels[recording.labels[vocabulary][0]] += 1

    def crowd(fold, labels):
        """How full a fold is: counts of these labels, and of all."""
        return sum(filled[fold, label] for label in labels), filled[fold], fold

    # Place the largest sources first; the small ones then even out the folds.
    for source in sorted(sources, key=lambda s: (-sources[s].total(), s)):
        labels = sources[source]
        fold = min(crowd(f, labels) for f in range(1, n_folds + 1))[-1]
        folds[source] = fold
        filled[fold] += labels.total()
        filled.update({(fold, label): n for label, n in labels.items()})
    for recording in recordings:
        (label,) = recording.labels[vocabulary]
        take = takes[recording.source, label]
        takes[recording.source, label] += 1
        yield recording, label, folds[recording.source], take


def _write(
    root,
    recordings,
    vocabulary,
    metadata,
    columns,
    make_clips,
    options={},
    texts={},
):
    """Write a data set, unless it is complete already."""
    for name, least in (("clips_per_recording", 1), ("seed", 0)):
        value = options.get(name, least)
        if type(value) is not int or value < least:
            raise InputError(
                f"{name}: {value!r} is not a whole number of at least {least}"
            )
    table = Path(recordings or RECORDINGS, "recordings.csv")
    usable = [r for r in read_recordings(recordings) if r.labels[vocabulary]]
    if not usable:
        raise InputError(
            f"{table}: no recording has a label in column {vocabulary}; "
            "reinstall the package"
        )
    code = [__file__, sample_recordings.__file__, ASSETS / "vocabularies.yml"]
    stamp = {
        **options,
        "recordings": file_sha256(table),
        "code": list(map(file_sha256, code)),
    }
    if _is_complete(root, stamp):
        return root
    if root.exists() and not (root / STAMP).is_file():
        raise InputError(
            f"{root} exists and was not written by afpt_plugin.samples; "
            "remove it, give another folder, or name it as --data_folder"
        )
    n_clips = len(usable) * options.get("clips_per_recording", 1)
    # Seeding by the name, too, gives each data set mixtures of its own.
    seeds = [options.get("seed", 0), zlib.crc32(root.name.encode())]
    clips = make_clips(usable, np.random.default_rng(seeds))
    with refuse_unwritable(root):
        with scratch(root) as work:
            fresh = work / "fresh"
            rows = [columns.split()]
            for path, sig, rate, of_clip in tqdm(
                clips, "Writing sample recordings", n_clips, disable=None
            ):
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(fresh / path, sig, rate, "PCM_16")
                rows += of_clip
            delimiter = "\t" if metadata.endswith(".tsv") else ","
            write_if_changed(fresh / metadata, csv_text(rows, delimiter))
            for path, text in texts.items():
                write_if_changed(fresh / path, text)
            stamp["files"] = _sizes(fresh)
            write_if_changed(fresh / STAMP, json.dumps(stamp, indent=1))
            if _is_complete(root, stamp):  # another process was faster
                return root
            if root.exists():  # a folder cannot be replaced, only moved away
                os.replace(root, work / "outdated")
            os.replace(fresh, root)
    return root


def _sizes(root):
    """Sizes in bytes of all files but the stamp, by path in the folder."""
    return {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in sorted(root.rglob("*"))
        if path.is_file() and path != root / STAMP
    }


def _is_complete(root, stamp):
    try:
        known = json.loads((root / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return known == {**stamp, "files": _sizes(root)}
