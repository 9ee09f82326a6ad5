"""benchmarks/development.py and frames.py, on a few lines of noise."""

import csv
import hashlib
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_noise import write_recording

from afpt_plugin import sample_recordings
from afpt_plugin.errors import InputError
from afpt_plugin.sample_recordings import VOCABULARIES, read_recordings

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import development  # noqa: E402
import frames  # noqa: E402


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two packages, a file in one and a zip file in the other."""
    root = tmp_path / "debian"
    (root / "birds-data").mkdir(parents=True)
    (root / "dogs-data").mkdir()
    write_recording(root / "birds-data" / "crow.wav", 1.0, 16000, 0)
    write_recording(tmp_path / "bark.wav", 12.0, 8000, 1)
    with zipfile.ZipFile(root / "dogs-data" / "all.zip", "w") as archive:
        archive.write(tmp_path / "bark.wav", "sounds/bark.wav")
    rows = []
    for package, path, member, category, source in (
        ("birds-data", "crow.wav", "", "crow", root / "birds-data/crow.wav"),
        ("dogs-data", "all.zip", "sounds/bark.wav", "dog", "bark.wav"),
    ):
        digest = hashlib.sha256((tmp_path / source).read_bytes()).hexdigest()
        rows.append(
            {
                "package": package,
                "version": "1.0",
                "path": path,
                "member": member,
                "esc50": category,
                "us8k": "dog_bark" if category == "dog" else "",
                "fsd2019": "Bark" if category == "dog" else "",
                "licence": "GPL-2.0-only",
                "author": "nobody",
                "sha256": digest,
            }
        )
    manifest = tmp_path / "manifest.csv"
    with open(manifest, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(development, "MANIFEST", manifest)
    return root


def run(monkeypatch, *arguments):
    """The script with a command line."""
    words = ["development.py", *map(str, arguments)]
    monkeypatch.setattr("sys.argv", words)
    development.main()


def test_recordings_of_packages_are_laid_out(packages, tmp_path, monkeypatch):
    run(monkeypatch, packages, "--output", tmp_path / "out")
    with open(tmp_path / "out/ESC-50-master/meta/esc50.csv") as file:
        assert {row["category"] for row in csv.DictReader(file)} == {
            "crow",
            "dog",
        }
    assert len(list((tmp_path / "out/UrbanSound8K").rglob("*.wav"))) == 1
    assert (tmp_path / "out/FSDKaggle2019").is_dir()


def test_a_missing_package_or_another_version_is_named(
    packages, tmp_path, monkeypatch
):
    (packages / "birds-data" / "crow.wav").write_bytes(b"other")
    with pytest.raises(InputError, match="crow.wav.*1.0 of birds-data"):
        run(monkeypatch, packages, "--output", tmp_path / "out")
    (packages / "birds-data" / "crow.wav").unlink()
    with pytest.raises(InputError, match="crow.wav"):
        run(monkeypatch, packages, "--output", tmp_path / "out")
    with pytest.raises(InputError, match="birds-data dogs-data"):
        run(monkeypatch, tmp_path / "nowhere", "--output", tmp_path / "out")


def test_strong_labels_become_seconds(tmp_path):
    path = tmp_path / "metadata" / "validation" / "validation.tsv"
    path.parent.mkdir(parents=True)
    path.write_text(
        "filename\tonset\toffset\tevent_label\n"
        "a.wav\t0.5\t2.0\tDog\na.wav\t8.2\t10.0\tRunning_water\n"
        "silent.wav\t\t\t\n"
    )
    names = ["running water", "dog"]
    targets = frames.read_targets(tmp_path, names)
    assert not targets["silent.wav"].any()
    heard = targets["a.wav"]
    assert np.flatnonzero(heard[:, 1]).tolist() == [0, 1]
    assert np.flatnonzero(heard[:, 0]).tolist() == [8, 9]
    with pytest.raises(InputError, match="'Dog'"):
        frames.read_targets(tmp_path, ["cat"])


def test_the_threshold_has_the_best_f1():
    truth = np.array([False, False, True, True, True])
    scores = np.array([0.1, 0.6, 0.5, 0.7, 0.9])
    # At 0.5: precision 3/4, recall 1; at 0.7: precision 1, recall 2/3.
    assert frames.best_threshold(truth, scores) == 0.5


def test_a_second_without_a_frame_scores_lowest(tmp_path):
    classifier = types.SimpleNamespace(
        hparams=types.SimpleNamespace(
            export=types.SimpleNamespace(logit_scale=5.0)
        ),
        frame_scores=lambda path: types.SimpleNamespace(
            centre=torch.tensor([0.2, 0.8, 3.5, 10.0]),
            logits=torch.tensor([[1.0], [2.0], [4.0], [3.0]]),
        ),
    )
    scores = frames.segment_scores(classifier, tmp_path)
    assert scores[:, 0].tolist() == [1.5, -5, -5, 4, -5, -5, -5, -5, -5, 3]


def test_development_recordings_are_no_samples():
    shipped = read_recordings()
    sources = {sample_recordings._source(r.row) for r in shipped}
    with open(development.MANIFEST, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 200
    for row in rows:
        assert sample_recordings._source(row) not in sources, row["path"]
        for name, vocabulary in VOCABULARIES.items():
            assert set(filter(None, row[name].split("|"))) <= set(vocabulary)
