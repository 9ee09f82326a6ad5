"""Generated recordings in the real data sets' folders and metadata.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from afpt_plugin.errors import InputError
from afpt_plugin.synth.classes import ESC10, ESC50, US8K
from afpt_plugin.synth.scenes import MIN_SAMPLE_RATE, check_ranges, render


def source_hash():
    """Hash of this package's source: generated data is stale when it changes.

    Returns
    -------
    str
        16 hexadecimal digits.

    Example
    -------
    >>> len(source_hash())
    16
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Clip(NamedTuple):
    """A generated recording and what the metadata says of it.

    Arguments
    ---------
    path : str
        Below the data set's folder.
    sig : numpy.ndarray
        Float, `[samples]` or `[samples, channels]`, peak at most 1.
    sample_rate : int
        Rate.
    rows : list of list
        Its rows in the metadata: one, several (events) or none.
    subtype : str
        Sample format, as soundfile calls it. Not `FLOAT`: libsndfile writes
        the time of day into such files.
    """

    path: str
    sig: np.ndarray
    sample_rate: int
    rows: list
    subtype: str = "PCM_16"


class Layout(NamedTuple):
    """How a data set lies on disk.

    Arguments
    ---------
    name : str
        The data set's folder.
    metadata : str
        The table of recordings, below that folder; separated by tabs if it
        ends in `.tsv`, by commas otherwise.
    columns : tuple of str
        The table's first line.
    n_clips : int
        Number of recordings.
    make_clip : callable
        `make_clip(number, settings) -> Clip` for the numbers 0 to
        `n_clips - 1`. A function of a module (other processes call it) that
        depends on its arguments alone.
    settings : dict
        `clips_per_class`, `seed`, `sample_rate`, `ranges` and, if a data set
        needs them, more JSON values.
    other_files : dict
        Text of further files, by their paths below the folder.
    """

    name: str
    metadata: str
    columns: tuple
    n_clips: int
    make_clip: Callable
    settings: dict
    other_files: dict = {}


def write_layout(folder, layout):
    """Write generated recordings in a data set's layout.

    The same settings give the same bytes, in any number of processes. A
    folder that is complete for them is left alone, an older generated one is
    replaced at once, and anything else is refused.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    layout : Layout
        What to write.

    Returns
    -------
    pathlib.Path
        `<folder>/<layout.name>`

    Raises
    ------
    InputError
        If a setting is out of range, or the folder holds a data set of that
        name that was not generated here.
    """
    settings = layout.settings | {"source": source_hash()}
    check_ranges(settings["ranges"])
    for what, least in (
        ("clips_per_class", 1),
        ("seed", 0),
        ("sample_rate", MIN_SAMPLE_RATE),
    ):
        if settings[what] < least:
            raise InputError(
                f"{what} is {settings[what]}; give at least {least}"
            )
    layout = layout._replace(settings=settings)
    folder = Path(folder)
    target = folder / layout.name
    if _is_complete(target, layout):
        return target
    if target.exists() and not _stamp(target, layout).is_file():
        raise InputError(
            f"{target} exists and was not generated here; give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as work:
        fresh = Path(work) / "fresh"
        _write_clips(fresh, layout)
        if target.exists():  # a folder cannot be replaced, only moved away
            os.replace(target, Path(work) / "stale")
        os.replace(fresh, target)
    return target


def _stamp(root, layout):
    return (root / layout.metadata).with_name("generated.json")


def _is_complete(root, layout):
    stamp = _stamp(root, layout)
    if not stamp.is_file():
        return False
    known = json.loads(stamp.read_text(encoding="utf-8"))
    n_clips = sum(1 for _ in root.rglob("*.wav"))
    return known == layout.settings and n_clips == layout.n_clips


def _write_clips(root, layout):
    from joblib import Parallel, delayed
    from tqdm import tqdm

    # A clip depends on its own seed alone, so any number of workers writes
    # the same bytes.
    written = Parallel(
        n_jobs=min(layout.n_clips, os.cpu_count()), return_as="generator"
    )(delayed(_write_clip)(root, layout, n) for n in range(layout.n_clips))
    rows = []
    for of_clip in tqdm(
        written,
        "generating recordings",
        layout.n_clips,
        unit="clip",
        leave=False,
    ):
        rows += of_clip
    metadata = root / layout.metadata
    metadata.parent.mkdir(parents=True, exist_ok=True)
    with open(metadata, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(
            file,
            delimiter="\t" if metadata.suffix == ".tsv" else ",",
            lineterminator="\n",
        )
        writer.writerow(layout.columns)
        writer.writerows(sorted(rows))
    for path, text in layout.other_files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    stamp = json.dumps(layout.settings, indent=1, sort_keys=True)
    _stamp(root, layout).write_text(stamp, encoding="utf-8")


def _write_clip(root, layout, number):
    import soundfile

    clip = layout.make_clip(number, layout.settings)
    path = root / clip.path
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip.sig, clip.sample_rate, clip.subtype)
    return clip.rows


def write_esc50(
    folder, clips_per_class=8, seed=0, sample_rate=44100, ranges="eval"
):
    """Write generated recordings in ESC-50's real layout.

    `<folder>/ESC-50-master/meta/esc50.csv` and `audio/{fold}-{src}-{take}-{target}.wav`
    (16 bit, 5 s). Clip `i` of a class lies in fold `1 + i % 5`. The same
    arguments give the same bytes; a folder that is complete for them is left
    alone, an older generated one is replaced, and anything else is refused.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    clips_per_class : int
        Recordings of each of the 50 classes.
    seed : int
        Non-negative; other seeds share no recording.
    sample_rate : int
        Rate.
    ranges : str
        As in `render`.

    Returns
    -------
    pathlib.Path
        The `ESC-50-master` folder.

    Raises
    ------
    InputError
        If a number is out of range, or the folder holds an `ESC-50-master`
        that was not generated here.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_esc50(folder, clips_per_class=1, sample_rate=8000)
    ...     root.name, len(list((root / "audio").iterdir()))
    ('ESC-50-master', 50)
    """
    return write_layout(
        folder,
        Layout(
            name="ESC-50-master",
            metadata="meta/esc50.csv",
            columns=tuple(
                "filename fold target category esc10 src_file take".split()
            ),
            n_clips=len(ESC50) * clips_per_class,
            make_clip=_esc50_clip,
            settings={
                "clips_per_class": clips_per_class,
                "seed": seed,
                "sample_rate": sample_rate,
                "ranges": ranges,
            },
        ),
    )


def _esc50_clip(number, settings):
    target, index = divmod(number, settings["clips_per_class"])
    category = list(ESC50)[target]
    fold, src = 1 + index % 5, 100000 + number
    # Seeds are interleaved so that no two settings share a clip.
    sig = render(
        ESC50[category],
        settings["seed"] * 100003 + index,
        5.0,
        settings["sample_rate"],
        settings["ranges"],
    )
    filename = f"{fold}-{src}-A-{target}.wav"
    esc10 = category in ESC10
    row = [filename, fold, target, category, esc10, src, "A"]
    return Clip(f"audio/{filename}", sig, settings["sample_rate"], [row])


# What UrbanSound8K's slices are written as: rate (None: the one asked for),
# sample format, channels. The real ones are whatever was uploaded to Freesound.
US8K_FORMATS = (
    (None, "PCM_16", 2),
    (48000, "PCM_24", 2),
    (None, "PCM_16", 1),
    (96000, "PCM_24", 2),
    (None, "PCM_16", 2),
    (22050, "PCM_U8", 1),
    (48000, "PCM_16", 2),
    (8000, "PCM_16", 1),
    (None, "PCM_24", 2),
    (16000, "PCM_32", 2),
)


def write_us8k(
    folder, clips_per_class=8, seed=0, sample_rate=44100, ranges="eval"
):
    """Write generated recordings in UrbanSound8K's real layout.

    `<folder>/UrbanSound8K/metadata/UrbanSound8K.csv` and
    `audio/fold{1..10}/{fsID}-{classID}-{occurrence}-{slice}.wav`: slices of
    4 s, every fourth one shorter, mono and stereo, at rates from 8 to 96 kHz
    and with 8 to 32 bits, as in the real set. Otherwise as `write_esc50`.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    clips_per_class : int
        Recordings of each of the 10 classes.
    seed : int
        Non-negative; other seeds share no recording.
    sample_rate : int
        Rate of four clips in ten; the others have rates of their own.
    ranges : str
        As in `render`.

    Returns
    -------
    pathlib.Path
        The `UrbanSound8K` folder.

    Raises
    ------
    InputError
        If a number is out of range, or the folder holds an `UrbanSound8K`
        that was not generated here.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_us8k(folder, clips_per_class=1, sample_rate=8000)
    ...     root.name, len(list((root / "audio").glob("fold*/*.wav")))
    ('UrbanSound8K', 10)
    """
    return write_layout(
        folder,
        Layout(
            name="UrbanSound8K",
            metadata="metadata/UrbanSound8K.csv",
            columns=tuple(
                "slice_file_name fsID start end salience fold classID "
                "class".split()
            ),
            n_clips=len(US8K) * clips_per_class,
            make_clip=_us8k_clip,
            settings={
                "clips_per_class": clips_per_class,
                "seed": seed,
                "sample_rate": sample_rate,
                "ranges": ranges,
            },
        ),
    )


def _us8k_clip(number, settings):
    target, index = divmod(number, settings["clips_per_class"])
    category = list(US8K)[target]
    clip_seed = settings["seed"] * 100003 + index
    rng = np.random.default_rng([target, clip_seed])
    # Shifted by the class, so that no class has a format of its own.
    rate, subtype, channels = US8K_FORMATS[(target + index) % 10]
    rate = rate or settings["sample_rate"]
    duration = 4.0
    if (target + index) % 4 == 3:
        duration = round(rng.uniform(0.5, 3.9), 3)
    sig = render(US8K[category], clip_seed, duration, rate, settings["ranges"])
    if channels == 2:  # two microphones, up to 20 cm apart
        delay = round(rng.uniform(0, 6e-4) * rate)
        other = np.pad(sig, (delay, 0))[: len(sig)] * rng.uniform(0.5, 1)
        sig = np.stack([sig, other], axis=1)
    fold, source = 1 + number % 10, 100000 + number
    half_seconds = int(rng.integers(60))  # what the real slices are counted in
    filename = f"{source}-{target}-0-{half_seconds}.wav"
    start = half_seconds / 2
    end = round(start + duration, 3)
    row = [filename, source, start, end, 1, fold, target, category]
    return Clip(f"audio/fold{fold}/{filename}", sig, rate, [row], subtype)
