"""The four data sets, a few noises each, for tests of their prep scripts."""

import json
from pathlib import Path

import numpy as np
import prep_scripts
import pytest
import soundfile
import torch

from afpt_plugin.data.manifests import prepare_manifests
from afpt_plugin.data.tables import csv_text, read_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = SHARED / "data"

FRYING, SILENT, DOG, CAT = (
    "Y00pK0GMmE9s_70.000_80.000.wav",
    "Y-jLujkP1aaw_30.000_40.000.wav",
    "Y_02sD1KJeoG_2.000_12.000.wav",
    "1Ro0FgMWTUE_120_130.wav",
)


class DataSet:
    """A few noises in a data set's own layout.

    `table` is the metadata, with spaces between its values (and a dash for an
    empty one); `labels` has the names in the folder `audio` and the labels in
    the manifest, None if a recording belongs to no test.
    """

    def __init__(self, name, metadata, audio, table, labels):
        self.script = getattr(prep_scripts, name.upper())
        self.task = getattr(self.script, name.upper())
        self.prepare = prep_scripts.PREPARE[name]
        self.metadata = metadata
        self.delimiter = "\t" if metadata.endswith(".tsv") else ","
        lines = [line.split() for line in table.strip().splitlines()]
        self.table = [["" if v == "-" else v for v in line] for line in lines]
        self.labels = {f"{audio}/{k}": label for k, label in labels.items()}

    def write(self, root):
        """Write the data set, and the vocabulary that one of them has."""
        write_audio(root, self.labels)
        path = root / self.metadata
        path.parent.mkdir(parents=True)
        path.write_text(csv_text(self.table, self.delimiter))
        if self.script is prep_scripts.FSD2019:
            lines = csv_text(enumerate(self.script.FSD2019_VOCABULARY))
            path.with_name("vocabulary.csv").write_text(lines)

    def read_rows(self, root):
        return read_table(root / self.metadata, (), self.delimiter)

    def write_rows(self, root, rows):
        text = csv_text([rows[0], *map(dict.values, rows)], self.delimiter)
        (root / self.metadata).write_text(text)


def write_audio(root, paths):
    rng = np.random.default_rng(0)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, rng.uniform(-0.5, 0.5, (800, 2)), 8000)


def write_noises(task, folder, n, first=0, labels={}):
    """Prepare ``n`` recordings of a second of 800 samples; their manifest.

    The labels that are not given go round the classes.
    """
    rows, names = [], task.class_names
    for number in range(first, first + n):
        path = folder / f"{number}.wav"
        generator = torch.Generator().manual_seed(number)
        sig = 0.1 * torch.randn(800, generator=generator)
        soundfile.write(path, sig.numpy(), 800)
        label = labels.get(number, names[number % len(names)])
        rows.append({"ID": path.stem, "wav": str(path), "label": label})
    prepare_manifests(task, folder, rows, folder / f"prepared{first}")
    return folder / f"prepared{first}" / "test.csv"


SETS = {
    "esc50": DataSet(
        "esc50",
        "meta/esc50.csv",
        "audio",
        """
        filename         fold target category  esc10
        1-100-A-0.wav    1    0      dog       True
        1-100-B-0.wav    1    0      dog       True
        2-101-A-11.wav   2    11     sea_waves True
        4-102-A-49.wav   4    49     hand_saw  False
        """,
        {
            **dict.fromkeys(("1-100-A-0.wav", "1-100-B-0.wav"), "dog"),
            "2-101-A-11.wav": "sea waves",
            "4-102-A-49.wav": "hand saw",
        },
    ),
    "us8k": DataSet(
        "us8k",
        "metadata/UrbanSound8K.csv",
        "audio",
        """
        slice_file_name fsID fold classID class
        100-3-0-0.wav   100  1    3       dog_bark
        100-3-0-1.wav   100  1    3       dog_bark
        101-0-0-12.wav  101  2    0       air_conditioner
        102-9-1-0.wav   102  4    9       street_music
        """,
        {
            "fold1/100-3-0-0.wav": "dog bark",
            "fold1/100-3-0-1.wav": "dog bark",
            "fold2/101-0-0-12.wav": "air conditioner",
            "fold4/102-9-1-0.wav": "street music",
        },
    ),
    "fsd2019": DataSet(
        "fsd2019",
        "FSDKaggle2019.meta/test_post_competition.csv",
        "FSDKaggle2019.audio_test",
        """
        fname        labels                         usage
        000000aa.wav Bark                           Private
        000000bb.wav Chewing_and_mastication,Hi-hat Private
        0000cc00.wav Zipper_(clothing),Bus          Public
        """,
        {
            "000000aa.wav": "bark",
            "000000bb.wav": "chewing, mastication|hi-hat",
            "0000cc00.wav": "zipper (clothing)|bus",
        },
    ),
    "dcase2019": DataSet(
        "dcase2019",
        "metadata/validation/validation.tsv",
        "audio/validation",
        f"""
        filename onset offset event_label
        {FRYING} 0.000 10.000 Frying
        {FRYING} 1.250 2.500  Speech
        {SILENT} -     -      -
        {FRYING} 4.000 5.125  Speech
        {DOG}    0.5   10.115 Dog
        """,
        {FRYING: "frying|speech", DOG: "dog", SILENT: None},
    ),
}


def only(*names):
    """Run a test with some of the data sets."""
    return pytest.mark.parametrize("dataset", names, indirect=True)


def prepared(save):
    """Read prepare.json."""
    return json.loads((save / "prepare.json").read_text())


def real(path):
    """Skip a test where the shared data is not there."""
    return pytest.mark.skipif(
        not (SHARED / path).exists(), reason=f"{path} is not there"
    )
