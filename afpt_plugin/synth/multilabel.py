"""Generated recordings of several sounds each, in the multi-label sets' layouts.

Every class takes its turn as the loudest sound of a clip, `clips_per_class`
times; none, one or two sounds of other classes, drawn at random, are mixed in.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

from afpt_plugin.errors import InputError
from afpt_plugin.synth.classes import DCASE2019, FSD2019
from afpt_plugin.synth.dsp import swell
from afpt_plugin.synth.layouts import Clip, Layout, write_layout
from afpt_plugin.synth.scenes import _loudness, _make, _rng, mix, record

#: Chance that a clip has one, two or three labels. In FSDKaggle2019's test set
#: these are 0.71, 0.20 and 0.06, in DCASE2019's validation set 0.52, 0.42, 0.06.
LABEL_CHANCES = (0.6, 0.3, 0.1)

#: Seconds of DCASE2019's clips.
DCASE2019_SECONDS = 10.0

# Metadata and recordings of DCASE2019's subsets, and how a clip is named.
_DCASE2019_SUBSETS = {
    "validation": (
        "metadata/validation/validation.tsv",
        "audio/validation",
        "Y{:011d}_30.000_40.000.wav",
    ),
    "public": (
        "metadata/eval/public.tsv",
        "audio/eval/public",
        "{:011d}_30_40.wav",
    ),
}


def _draw_classes(classes, number, settings):
    """Which classes clip `number` has, the loudest first, and its seed."""
    target, index = divmod(number, settings["clips_per_class"])
    # Seeds are interleaved so that no two settings share a clip.
    seed = settings["seed"] * 100003 + index
    rng = np.random.default_rng([target, seed])
    n_others = rng.choice(len(LABEL_CHANCES), p=LABEL_CHANCES)
    others = [name for name in classes if name != classes[target]]
    drawn = rng.choice(others, n_others, replace=False).tolist()
    return [classes[target], *drawn], seed, rng


def write_fsd2019(
    folder, clips_per_class=3, seed=0, sample_rate=44100, ranges="eval"
):
    """Write generated recordings in the layout of FSDKaggle2019's test set.

    `<folder>/FSDKaggle2019/FSDKaggle2019.meta/test_post_competition.csv` and
    `vocabulary.csv`, and `FSDKaggle2019.audio_test/{8 hexadecimal digits}.wav`
    (16 bit, 3 to 10 s), with one to three labels each. Otherwise as
    `write_esc50`.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    clips_per_class : int
        Recordings whose loudest sound is of a class, for each of the 80.
    seed : int
        Non-negative; other seeds share no recording.
    sample_rate : int
        Rate.
    ranges : str
        As in `mix`.

    Returns
    -------
    pathlib.Path
        The `FSDKaggle2019` folder.

    Raises
    ------
    InputError
        If a number is out of range, or the folder holds an `FSDKaggle2019`
        that was not generated here.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_fsd2019(folder, clips_per_class=1, sample_rate=8000)
    ...     root.name, len(list(root.rglob("*.wav")))
    ('FSDKaggle2019', 80)
    """
    vocabulary = (f"{index},{name}\n" for index, name in enumerate(FSD2019))
    return write_layout(
        folder,
        Layout(
            name="FSDKaggle2019",
            metadata="FSDKaggle2019.meta/test_post_competition.csv",
            columns=tuple("fname labels usage freesound_id license".split()),
            n_clips=len(FSD2019) * clips_per_class,
            make_clip=_fsd2019_clip,
            settings={
                "clips_per_class": clips_per_class,
                "seed": seed,
                "sample_rate": sample_rate,
                "ranges": ranges,
            },
            other_files={
                "FSDKaggle2019.meta/vocabulary.csv": "".join(vocabulary)
            },
        ),
    )


def _fsd2019_clip(number, settings):
    classes, seed, rng = _draw_classes(list(FSD2019), number, settings)
    sig = mix(
        [FSD2019[name] for name in classes],
        seed,
        rng.uniform(3, 10),
        settings["sample_rate"],
        settings["ranges"],
    )
    # An odd factor shuffles the numbers without making two the same.
    filename = f"{number * 2654435761 % 2**32:08x}.wav"
    usage = "Private" if number % 4 else "Public"
    row = [filename, ",".join(classes), usage, 100000 + number, "CC0"]
    path = f"FSDKaggle2019.audio_test/{filename}"
    return Clip(path, sig, settings["sample_rate"], [row])


def write_dcase2019(
    folder,
    clips_per_class=12,
    seed=0,
    sample_rate=44100,
    ranges="eval",
    subset="validation",
):
    """Write generated recordings in the layout of a subset of DCASE2019 task 4.

    `<folder>/DCASE2019-validation/metadata/validation/validation.tsv` and
    `audio/validation/Y{11 characters}_{from}_{to}.wav`, or
    `<folder>/DCASE2019-public/metadata/eval/public.tsv` and
    `audio/eval/public/{11 characters}_{from}_{to}.wav` (16 bit, 10 s), with one
    to three events each: a sound from the first to the last moment at which
    it can be heard, both of them true of the recording (but for the echoes of
    the room). Otherwise as `write_esc50`.

    Arguments
    ---------
    folder : str | pathlib.Path
        Where to write; made if absent.
    clips_per_class : int
        Recordings whose loudest sound is of a class, for each of the 10.
    seed : int
        Non-negative; other seeds share no recording.
    sample_rate : int
        Rate.
    ranges : str
        As in `mix`.
    subset : str
        `validation` or `public`.

    Returns
    -------
    pathlib.Path
        The `DCASE2019-validation` or `DCASE2019-public` folder.

    Raises
    ------
    InputError
        If a number is out of range or the subset unknown, or the folder holds
        one of that name that was not generated here.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = write_dcase2019(folder, clips_per_class=1, sample_rate=8000)
    ...     root.name, len(list((root / "audio" / "validation").iterdir()))
    ('DCASE2019-validation', 10)
    """
    if subset not in tuple(_DCASE2019_SUBSETS):
        raise InputError(
            f"subset is '{subset}'; give one of {', '.join(_DCASE2019_SUBSETS)}"
        )
    return write_layout(
        folder,
        Layout(
            name=f"DCASE2019-{subset}",
            metadata=_DCASE2019_SUBSETS[subset][0],
            columns=tuple("filename onset offset event_label".split()),
            n_clips=len(DCASE2019) * clips_per_class,
            make_clip=_dcase2019_clip,
            settings={
                "clips_per_class": clips_per_class,
                "seed": seed,
                "sample_rate": sample_rate,
                "ranges": ranges,
                "subset": subset,
            },
        ),
    )


def _dcase2019_clip(number, settings):
    _, folder, name_format = _DCASE2019_SUBSETS[settings["subset"]]
    filename = name_format.format(number)
    classes, seed, rng = _draw_classes(list(DCASE2019), number, settings)
    sample_rate, ranges = settings["sample_rate"], settings["ranges"]
    # Other recordings for the other subset, too.
    place = _rng(f"{settings['subset']}|{'|'.join(classes)}", seed, ranges)
    sig = np.zeros(int(DCASE2019_SECONDS * sample_rate))
    rows = []
    for name in classes:
        dry = _make(DCASE2019[name], place, rng.uniform(2, 9), sample_rate)
        softer = 10 ** (-rng.uniform(0, 10) / 20) if rows else 1.0
        dry = softer * dry / _loudness(dry, sample_rate)
        # -40 dB, as `record` takes for the end of a sound
        heard = np.flatnonzero(np.abs(dry) > 0.01 * np.abs(dry).max())
        dry = dry[heard[0] : heard[-1] + 1]
        # What is cut out of a steady sound should not click.
        dry = dry * swell(len(dry), sample_rate, 0.005, 0.02)
        start = int(rng.integers(len(sig) - len(dry) + 1))
        end = start + len(dry)
        sig[start:end] += dry
        times = [f"{sample / sample_rate:.3f}" for sample in (start, end)]
        rows.append([filename, *times, name])
    place.stretch = 0.0  # the recording chain has ranges of its own
    # No editor: its cuts and loops would make the times untrue.
    sig = record(place, sig, DCASE2019_SECONDS, sample_rate, ranges, edit=False)
    return Clip(f"{folder}/{filename}", sig, sample_rate, rows)
