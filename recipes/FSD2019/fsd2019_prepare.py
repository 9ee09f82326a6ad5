"""
Creates the manifests of FSDKaggle2019.

FSDKaggle2019's test set has 4,481 recordings from Freesound with 80 classes;
each has one or more labels. Training on captions needs neither of the two
training sets; training on recordings needs the curated one (4,970 recordings).
A part of a set (fewer rows in its metadata) works as well.

https://zenodo.org/record/3612637

Authors
 * The afpt_plugin developers 2026
"""

import itertools
import re
from pathlib import Path

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.data.manifests import (
    find_root,
    find_unlisted_files,
    prepare_manifests,
)
from afpt_plugin.data.tables import read_table, read_text
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

logger = get_logger(__name__)

FSD2019_DOWNLOAD_URL = "https://zenodo.org/record/3612637/files"
# The metadata comes last, since the data set counts as found if it is there.
ARCHIVES = ("FSDKaggle2019.audio_test.zip", "FSDKaggle2019.meta.zip")
# Copies of the data set spell the folders in two ways.
METADATA = (
    "FSDKaggle2019.meta/test_post_competition.csv",
    "FSDKaggle2019_meta/test_post_competition.csv",
)
AUDIO = ("FSDKaggle2019.audio_test", "FSDKaggle2019_audio_test")
# The training set
TRAIN_ARCHIVE = "FSDKaggle2019.audio_train_curated.zip"
TRAIN_METADATA = "train_curated_post_competition.csv"
TRAIN_AUDIO = (
    "FSDKaggle2019.audio_train_curated",
    "FSDKaggle2019_audio_train_curated",
)
# Training recordings that are corrupted: the data set's README says that their
# labels are wrong; 1d44b0bd.wav holds no signal.
TRAIN_CORRUPTED = (
    *("f76181c4.wav", "77b925c2.wav", "6a1f682a.wav"),
    *("c7db12aa.wav", "7752cc8a.wav", "1d44b0bd.wav"),
)
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
    with_train=False,
    skip_prep=False,
    cache_folder=None,
):
    """
    Checks the recordings of FSDKaggle2019 and writes the manifests.

    ``<save_folder>/test.csv`` lists the test recordings, ``train.csv`` (only
    ``with_train``) those of the curated training set, and ``prepare.json`` says
    how the lists were made. The six corrupted training recordings that the data
    set's README names are left out.

    Arguments
    ---------
    data_folder : str
        The folder that holds FSDKaggle2019.meta and FSDKaggle2019.audio_test
        (or FSDKaggle2019_meta and so on), the one above it, or one inside it.
    download : bool
        Whether to fetch the test set (several GB), and ``with_train`` the
        curated training set, into ``data_folder`` if it is not there.
    skip_prep : bool
        If True, do nothing: the manifest is there.
    save_folder, allow_missing, with_train, cache_folder
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

    def fetch(archives=ARCHIVES, folder=data_folder):
        """Download the archives that are not unpacked yet."""
        for archive in archives:
            # An earlier call may have been interrupted between two archives.
            if not Path(folder, archive.removesuffix(".zip")).exists():
                download_and_unpack(f"{FSD2019_DOWNLOAD_URL}/{archive}", folder)

    root = find_root(
        data_folder, METADATA, FSD2019.name, fetch if download else None
    )
    metadata_path = next(root / m for m in METADATA if (root / m).is_file())
    _check_vocabulary(metadata_path.with_name("vocabulary.csv"))
    rows = _read_rows(root, metadata_path, AUDIO, ARCHIVES[0])
    if with_train:
        if download and not any((root / name).is_dir() for name in TRAIN_AUDIO):
            fetch([TRAIN_ARCHIVE], root)
        train = _read_rows(
            *(root, metadata_path.with_name(TRAIN_METADATA), TRAIN_AUDIO),
            *(TRAIN_ARCHIVE, TRAIN_CORRUPTED),
        )
        rows += [{**row, "train": True} for row in train]
    prepare_manifests(
        FSD2019,
        root,
        rows,
        save_folder,
        with_train=with_train,
        allow_missing=allow_missing,
        cache_folder=cache_folder,
    )


def _read_rows(root, metadata_path, folders, archive, corrupted=()):
    """Read a part's rows, without recordings that are known as corrupted."""
    remedy = f"Unpack {ARCHIVES[1]} from {FSD2019_DOWNLOAD_URL} there"
    metadata = read_table(metadata_path, COLUMNS, remedy=remedy)
    audio = next((root / a for a in folders if (root / a).is_dir()), None)
    if audio is None:
        raise InputError(
            f"{root} has no folder {' or '.join(folders)}; unpack {archive} "
            f"from {FSD2019_DOWNLOAD_URL} there"
        )
    listed = {row["fname"] for row in metadata}
    find_unlisted_files(audio, listed, metadata_path.name)
    if left_out := sorted(listed.intersection(corrupted)):
        logger.info(
            "%s: %d recordings that the data set's README calls corrupted are "
            "left out: %s",
            *(metadata_path, len(left_out), ", ".join(left_out)),
        )
    return [
        {
            "ID": row["fname"].removesuffix(".wav"),
            "wav": str(audio / row["fname"]),
            "label": "|".join(map(_class_name, row["labels"].split(","))),
            "source": row.get("freesound_id", ""),
            "problem": _find_problem(row),
        }
        for row in metadata
        if row["fname"] not in corrupted
    ]


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
