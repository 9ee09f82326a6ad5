"""
Creates the test manifest of FSDKaggle2019.

FSDKaggle2019's test set has 4,481 recordings from Freesound of 80 classes, with
one label or several each. Training sees captions only, so the two training sets
are not needed; a part of the test set (fewer rows in its metadata) will do as
well.

https://zenodo.org/record/3612637

Authors
 * The afpt_plugin developers 2026
"""

import itertools
import re
from pathlib import Path

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    find_unlisted_files,
    prepare_manifests,
)
from afpt_plugin.data.tables import read_table, read_text
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

FSD2019_DOWNLOAD_URL = "https://zenodo.org/record/3612637/files"
# The metadata, by which the data set is found, comes last.
ARCHIVES = ("FSDKaggle2019.audio_test.zip", "FSDKaggle2019.meta.zip")
# Copies spell the folders in two ways.
METADATA = (
    "FSDKaggle2019.meta/test_post_competition.csv",
    "FSDKaggle2019_meta/test_post_competition.csv",
)
AUDIO = ("FSDKaggle2019.audio_test", "FSDKaggle2019_audio_test")
COLUMNS = ("fname", "labels")
FILENAME = re.compile(r"[0-9a-f]{8}\.wav")

# The data set's vocabulary.csv, in its order.
# fmt: off
FSD2019_VOCABULARY = (
    "Accelerating_and_revving_and_vroom", "Accordion", "Acoustic_guitar",
    "Applause", "Bark", "Bass_drum", "Bass_guitar",
    "Bathtub_(filling_or_washing)", "Bicycle_bell", "Burping_and_eructation",
    "Bus", "Buzz", "Car_passing_by", "Cheering", "Chewing_and_mastication",
    "Child_speech_and_kid_speaking", "Chink_and_clink", "Chirp_and_tweet",
    "Church_bell", "Clapping", "Computer_keyboard", "Crackle", "Cricket",
    "Crowd", "Cupboard_open_or_close", "Cutlery_and_silverware",
    "Dishes_and_pots_and_pans", "Drawer_open_or_close", "Drip",
    "Electric_guitar", "Fart", "Female_singing",
    "Female_speech_and_woman_speaking", "Fill_(with_liquid)",
    "Finger_snapping", "Frying_(food)", "Gasp", "Glockenspiel", "Gong",
    "Gurgling", "Harmonica", "Hi-hat", "Hiss", "Keys_jangling", "Knock",
    "Male_singing", "Male_speech_and_man_speaking", "Marimba_and_xylophone",
    "Mechanical_fan", "Meow", "Microwave_oven", "Motorcycle", "Printer",
    "Purr", "Race_car_and_auto_racing", "Raindrop", "Run", "Scissors",
    "Screaming", "Shatter", "Sigh", "Sink_(filling_or_washing)", "Skateboard",
    "Slam", "Sneeze", "Squeak", "Stream", "Strum", "Tap", "Tick-tock",
    "Toilet_flush", "Traffic_noise_and_roadway_noise", "Trickle_and_dribble",
    "Walk_and_footsteps", "Water_tap_and_faucet", "Waves_and_surf",
    "Whispering", "Writing", "Yell", "Zipper_(clothing)",
)
# fmt: on


def _class_name(label):
    """Write a label as the paper's authors do."""
    return label.replace("_and_", ", ").replace("_", " ").lower()


FSD2019 = Task(
    "FSDKaggle2019",
    # In the order of the vocabulary
    [_class_name(label) for label in FSD2019_VOCABULARY],
    multi_label=True,
    clip_seconds=10.0,
    captions="fsd2019",
)


def prepare_fsd2019(
    data_folder,
    save_folder,
    download=False,
    allow_missing=0,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks every test recording of FSDKaggle2019 and writes the test manifest.

    ``<save_folder>/test.csv`` lists the recordings, ``prepare.json`` says how
    the list was made.

    Arguments
    ---------
    data_folder : str
        The folder that holds FSDKaggle2019.meta and FSDKaggle2019.audio_test
        (or FSDKaggle2019_meta and so on), the one above it, or one inside it.
    download : bool
        Whether to fetch the test set (several GB) into ``data_folder`` if it
        is not there.
    skip_prep : bool
        If True, do nothing: the manifest is there.
    save_folder, allow_missing, cache_folder
        See `afpt_plugin.data.manifests.prepare_manifests`.

    Raises
    ------
    InputError
        If the data set is not found or cannot be fetched, or if more
        recordings than allowed cannot be used.

    Example
    -------
    >>> data_folder = '/path/to/FSDKaggle2019'
    >>> prepare_fsd2019(data_folder, 'results/FSD2019/save')  # doctest: +SKIP
    """
    if skip_prep:
        return

    def fetch():
        """Download the archives that are not unpacked yet."""
        for archive in ARCHIVES:
            # An earlier call may have been interrupted between the two.
            if not Path(data_folder, archive.removesuffix(".zip")).exists():
                url = f"{FSD2019_DOWNLOAD_URL}/{archive}"
                download_and_unpack(url, data_folder)

    root = find_root(
        data_folder, METADATA, FSD2019.name, fetch if download else None
    )
    metadata_path = next(root / m for m in METADATA if (root / m).is_file())
    _check_vocabulary(metadata_path.with_name("vocabulary.csv"))
    metadata = read_table(metadata_path, COLUMNS)
    audio = next((root / a for a in AUDIO if (root / a).is_dir()), None)
    if audio is None:
        raise InputError(
            f"{root} has no folder {' or '.join(AUDIO)}; unpack {ARCHIVES[0]} "
            f"from {FSD2019_DOWNLOAD_URL} there"
        )
    listed = {row["fname"] for row in metadata}
    find_unlisted_files(audio, listed, metadata_path.name)
    rows = [
        {
            "ID": row["fname"].removesuffix(".wav"),
            "wav": str(audio / row["fname"]),
            "label": "|".join(map(_class_name, row["labels"].split(","))),
            "problem": _find_problem(row),
        }
        for row in metadata
    ]
    prepare_manifests(
        FSD2019,
        root,
        rows,
        save_folder,
        allow_missing=allow_missing,
        cache_folder=cache_folder,
    )


def _check_vocabulary(path):
    """Refuse a vocabulary that numbers the classes differently."""
    found = read_text(path).splitlines()
    wanted = [f"{n},{label}" for n, label in enumerate(FSD2019_VOCABULARY)]
    pairs = itertools.zip_longest(found, wanted, fillvalue="nothing")
    for line, (here, there) in enumerate(pairs, start=1):
        if here != there:
            raise InputError(
                f"{path}, line {line}: {here!r} should be {there!r}, as in the "
                "vocabulary of FSDKaggle2019. Restore the original file"
            )


def _find_problem(row):
    """Describe what is wrong with a row (str), or return None."""
    if FILENAME.fullmatch(row["fname"]) is None:
        return "its name is not {8 hexadecimal digits}.wav"
    labels = row["labels"].split(",")
    for label in labels:
        if label not in FSD2019_VOCABULARY:
            return f"wrong label: label {label!r} is unknown"
        if labels.count(label) > 1:
            return f"wrong label: label {label!r} is repeated"
    return None
