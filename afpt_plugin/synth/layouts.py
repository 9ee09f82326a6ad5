"""Generated recordings in the real data sets' folders and metadata.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import hashlib
import json
import os
import tempfile
from pathlib import Path

from afpt_plugin.errors import InputError
from afpt_plugin.synth.classes import ESC10, ESC50
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


def _is_complete(target, settings, n_clips):
    stamp = target / "meta" / "generated.json"
    if not stamp.is_file():
        return False
    known = json.loads(stamp.read_text(encoding="utf-8"))
    clips = list((target / "audio").glob("*.wav"))
    return known == settings and len(clips) == n_clips


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
    check_ranges(ranges)
    for what, value, least in (
        ("clips_per_class", clips_per_class, 1),
        ("seed", seed, 0),
        ("sample_rate", sample_rate, MIN_SAMPLE_RATE),
    ):
        if value < least:
            raise InputError(f"{what} is {value}; give at least {least}")
    settings = {
        "clips_per_class": clips_per_class,
        "seed": seed,
        "sample_rate": sample_rate,
        "ranges": ranges,
        "source": source_hash(),
    }
    folder = Path(folder)
    target = folder / "ESC-50-master"
    if _is_complete(target, settings, 50 * clips_per_class):
        return target
    if target.exists() and not (target / "meta" / "generated.json").is_file():
        raise InputError(
            f"{target} exists and was not generated here; give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as work:
        fresh = Path(work) / "fresh"
        _write_clips(fresh, settings)
        if target.exists():  # a folder cannot be replaced, only moved away
            os.replace(target, Path(work) / "stale")
        os.replace(fresh, target)
    return target


def _write_clips(root, settings):
    from joblib import Parallel, delayed
    from tqdm import tqdm

    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    n_clips = 50 * settings["clips_per_class"]
    # A clip depends on its own seed alone, so any number of workers writes
    # the same bytes.
    written = Parallel(
        n_jobs=min(n_clips, os.cpu_count()), return_as="generator"
    )(delayed(_write_clip)(root, settings, clip) for clip in range(n_clips))
    rows = list(
        tqdm(
            written, "generating recordings", n_clips, unit="clip", leave=False
        )
    )
    with open(root / "meta" / "esc50.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            "filename fold target category esc10 src_file take".split()
        )
        writer.writerows(sorted(rows))
    stamp = json.dumps(settings, indent=1, sort_keys=True)
    (root / "meta" / "generated.json").write_text(stamp, encoding="utf-8")


def _write_clip(root, settings, clip):
    import soundfile

    target, index = divmod(clip, settings["clips_per_class"])
    category = list(ESC50)[target]
    fold, src = 1 + index % 5, 100000 + clip
    # Seeds are interleaved so that no two settings share a clip.
    sig = render(
        ESC50[category],
        settings["seed"] * 100003 + index,
        5.0,
        settings["sample_rate"],
        settings["ranges"],
    )
    filename = f"{fold}-{src}-A-{target}.wav"
    soundfile.write(
        root / "audio" / filename, sig, settings["sample_rate"], "PCM_16"
    )
    esc10 = category in ESC10
    return [filename, fold, target, category, esc10, src, "A"]
