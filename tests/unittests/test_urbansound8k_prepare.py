"""Tests of recipes/US8K: its prep script, how its clips are read and made."""

import csv
import importlib.util
import json
import logging
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from afpt_plugin.data.audio import read_recording
from afpt_plugin.data.captions import read_captions
from afpt_plugin.data.manifests import data_fingerprint, read_manifest
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import CAPTION_FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
REAL = SHARED / "data" / "UrbanSound8K"
REAL_CAPTIONS = SHARED / "captions" / "upstream" / "cap_urbansound8k.csv"

# By its path: `recipes` is no package, and every recipe has a `train.py`.
spec = importlib.util.spec_from_file_location(
    "urbansound8k_prepare",
    REPOSITORY / "recipes" / "US8K" / "urbansound8k_prepare.py",
)
urbansound8k_prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(urbansound8k_prepare)
prepare_urbansound8k = urbansound8k_prepare.prepare_urbansound8k

CLIPS = {
    "100-3-0-0.wav": (1, "dog_bark"),
    "100-3-0-1.wav": (1, "dog_bark"),
    "101-0-0-12.wav": (2, "air_conditioner"),
    "102-9-1-0.wav": (10, "street_music"),
}


def metadata_row(name, fold, category):
    """A row as UrbanSound8K.csv has it."""
    source, target, _, _ = name.removesuffix(".wav").split("-")
    return {
        "slice_file_name": name,
        "fsID": source,
        "start": "0.0",
        "end": "0.1",
        "salience": "1",
        "fold": str(fold),
        "classID": target,
        "class": category,
    }


def write_metadata(root, rows):
    """Write metadata/UrbanSound8K.csv."""
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    path = root / "metadata" / "UrbanSound8K.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_rows(root):
    """Read metadata/UrbanSound8K.csv."""
    path = root / "metadata" / "UrbanSound8K.csv"
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def clip_of(root, name):
    """Where a clip lies."""
    return root / "audio" / f"fold{CLIPS[name][0]}" / name


@pytest.fixture
def rows():
    """The metadata of a tiny UrbanSound8K."""
    return [metadata_row(name, *facts) for name, facts in CLIPS.items()]


@pytest.fixture
def root(tmp_path, rows):
    """A tiny UrbanSound8K."""
    root = tmp_path / "data" / "UrbanSound8K"
    write_metadata(root, rows)
    rng = np.random.default_rng(0)
    for name in CLIPS:
        path = clip_of(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, (800, 2)), 8000)
    return root


@pytest.fixture
def save(tmp_path):
    """Where the manifest goes."""
    return tmp_path / "save"


def prepared(save):
    """What prepare.json says."""
    return json.loads((save / "prepare.json").read_text())


# Metadata and manifest


def test_the_classes_are_those_of_our_captions():
    names = urbansound8k_prepare.US8K_CLASSES
    captions = read_captions(CAPTION_FOLDER / "us8k.csv", names)
    assert {label for c in captions for label in c.labels} == set(range(10))


@pytest.mark.parametrize("inside", ["..", "", "audio", "metadata"])
def test_every_recording_is_test_material(root, save, inside):
    assert prepare_urbansound8k(str(root / inside), str(save)) is None
    rows = read_manifest(save / "test.csv")
    assert [(r["ID"], r["label"], r["duration"]) for r in rows] == [
        ("100-3-0-0", "dog bark", 0.1),
        ("100-3-0-1", "dog bark", 0.1),
        ("101-0-0-12", "air conditioner", 0.1),
        ("102-9-1-0", "street music", 0.1),
    ]
    assert [Path(r["wav"]) for r in rows] == [clip_of(root, n) for n in CLIPS]
    assert prepared(save) == {
        "dataset": "UrbanSound8K",
        "settings": {
            "data_folder": str(root),
            "folds": list(range(1, 11)),
            "allow_missing": 0,
        },
        "n_recordings": 4,
        "n_left_out": 0,
        "left_out": [],
        "data_fingerprint": data_fingerprint(rows),
        "class_names": urbansound8k_prepare.US8K_CLASSES,
    }


def test_a_rerun_without_changes_reads_and_writes_nothing(root, save, caplog):
    prepare_urbansound8k(root, save)
    before = {p.name: p.stat().st_mtime_ns for p in save.iterdir()}
    for path in (root / "audio").rglob("*.wav"):
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))  # reading it would be an error
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with caplog.at_level(logging.INFO):
        prepare_urbansound8k(root, save)
    assert {p.name: p.stat().st_mtime_ns for p in save.iterdir()} == before
    assert "unchanged, 4 recordings" in caplog.text


def test_skip_prep_does_nothing(tmp_path, save):
    prepare_urbansound8k(tmp_path / "nowhere", save, skip_prep=True)
    assert not save.exists()


def test_missing_metadata_names_the_file_and_the_ways_out(root, save):
    (root / "metadata" / "UrbanSound8K.csv").unlink()
    with pytest.raises(InputError) as caught:
        prepare_urbansound8k(root, save)
    for part in (
        str(root / "metadata" / "UrbanSound8K.csv"),
        "--download True",
        "--data_folder samples",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("column", urbansound8k_prepare.COLUMNS)
def test_a_missing_column_is_named(root, save, rows, column):
    write_metadata(
        root, [{k: v for k, v in r.items() if k != column} for r in rows]
    )
    with pytest.raises(InputError, match=f"8K.csv: no column {column};"):
        prepare_urbansound8k(root, save)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"class": "siren"},
            "wrongly labelled: classID '3', but class siren is 8",
        ),
        (
            {"class": "dog bark"},
            "wrongly labelled: class 'dog bark' is unknown",
        ),
        ({"class": ""}, "wrongly labelled: class '' is unknown"),
        (
            {"classID": "10"},
            "wrongly labelled: classID '10', but class dog_bark is 3",
        ),
        (
            {"classID": "8", "class": "siren"},
            r"wrongly labelled: its name says classID 3, its row 8 \(siren\)",
        ),
        ({"fsID": "99"}, "its name says fsID 100, its row 99"),
        ({"fold": "0"}, "fold '0' is not in 1 to 10"),
        ({"fold": "11"}, "fold '11' is not in 1 to 10"),
        ({"fold": ""}, "fold '' is not in 1 to 10"),
        ({"fold": "7"}, "in the wrong fold: it lies in fold1, .* says fold7"),
        ({"slice_file_name": "dog.wav"}, "named otherwise"),
        ({"slice_file_name": "../100-3-0-0.wav"}, "named otherwise"),
        ({"slice_file_name": "100-3-0-7.wav"}, "missing"),
    ],
)
def test_a_row_that_contradicts_itself_is_reported(
    root, save, rows, change, reason
):
    rows[0].update(change)
    write_metadata(root, rows)
    with pytest.raises(InputError, match=rf"1 of 4 .*\n.*\.wav: {reason}"):
        prepare_urbansound8k(root, save)
    assert not (save / "test.csv").exists()
    prepare_urbansound8k(root, save, allow_missing=1)
    assert prepared(save)["n_recordings"] == 3


def test_a_row_that_comes_twice_is_reported(root, save, rows):
    write_metadata(root, rows + [rows[0] | {"fold": "2"}])
    with pytest.raises(InputError, match="100-3-0-0.wav: duplicate"):
        prepare_urbansound8k(root, save)


def test_a_clip_in_wrong_folds_is_named_with_all_of_them(root, save):
    clip = clip_of(root, "101-0-0-12.wav")
    for folder in ("fold1", "fold10"):
        shutil.copy(clip, root / "audio" / folder)
    clip.rename(root / "audio" / clip.name)
    with pytest.raises(InputError) as caught:
        prepare_urbansound8k(root, save)
    assert (
        f"{clip}: in the wrong fold: it lies in audio and fold1 and fold10, "
        "its row says fold2"
    ) in str(caught.value)


def test_a_second_copy_in_another_fold_is_warned_about(root, save, caplog):
    shutil.copy(clip_of(root, "101-0-0-12.wav"), root / "audio" / "fold1")
    with caplog.at_level(logging.WARNING):
        prepare_urbansound8k(root, save)
    assert "1 files in" in caplog.text
    assert "fold1/101-0-0-12.wav" in caplog.text
    assert prepared(save)["n_recordings"] == 4


def test_damaged_and_missing_clips_are_reported_together(root, save):
    clip_of(root, "100-3-0-0.wav").unlink()
    clip_of(root, "100-3-0-1.wav").write_bytes(b"")
    cut = clip_of(root, "102-9-1-0.wav")
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        prepare_urbansound8k(root, save, allow_missing=2)
    assert "3 of 4 recordings cannot be used" in str(caught.value)
    for reason in (
        "100-3-0-0.wav: missing",
        "100-3-0-1.wav: empty",
        "102-9-1-0.wav: truncated",
    ):
        assert reason in str(caught.value)
    prepare_urbansound8k(root, save, allow_missing=3)
    left_out = prepared(save)["left_out"]
    assert [bad["ID"] for bad in left_out] == [
        "100-3-0-0",
        "100-3-0-1",
        "102-9-1-0",
    ]


def test_clips_of_other_folds_need_not_be_there(root, save):
    clip_of(root, "100-3-0-0.wav").unlink()
    prepare_urbansound8k(root, save, folds=[10, 2])
    assert prepared(save)["n_recordings"] == 2
    assert prepared(save)["settings"]["folds"] == [2, 10]


@pytest.mark.parametrize("folds", [4, [0], [11], [[1]], "1"])
def test_unknown_folds_are_refused(root, save, folds):
    with pytest.raises(InputError, match="folds: "):
        prepare_urbansound8k(root, save, folds=folds)


def test_folds_without_a_recording_are_refused(root, save):
    with pytest.raises(
        InputError, match=r"no slice in folds \[3\]; it has \[1, 2, 10\]"
    ):
        prepare_urbansound8k(root, save, folds=[3])


def test_the_data_set_is_downloaded_when_asked_and_not_there(
    root, save, tmp_path, monkeypatch
):
    archive = shutil.make_archive(
        tmp_path / "UrbanSound8K", "gztar", root.parent, root.name
    )
    monkeypatch.setattr(
        urbansound8k_prepare, "US8K_DOWNLOAD_URL", Path(archive).as_uri()
    )
    target = tmp_path / "new"
    with pytest.raises(InputError, match="not found"):
        prepare_urbansound8k(target, save)
    prepare_urbansound8k(target, save, download=True)
    assert (target / "UrbanSound8K.tar.gz").is_file()
    assert prepared(save)["settings"]["data_folder"] == str(
        target / "UrbanSound8K"
    )


# Reading: what the real set's clips are like


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "MS_ADPCM"]
)
@pytest.mark.parametrize(
    "rate", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
)
def test_a_clip_sounds_the_same_at_any_rate_and_depth(
    root, save, rate, subtype
):
    path = clip_of(root, "101-0-0-12.wav")
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2
    # The channels differ by what averaging removes.
    other = np.sin(2 * np.pi * 310 * np.arange(rate) / rate) / 3
    stereo = np.stack([tone + other, tone - other], axis=1)
    soundfile.write(path, stereo, rate, subtype)
    prepare_urbansound8k(root, save, folds=[2])
    (row,) = read_manifest(save / "test.csv")
    # ADPCM is written in whole blocks.
    assert row["duration"] == pytest.approx(1.0, abs=0.13)
    clip = read_recording(row["wav"], 32000, 5.0)
    assert clip.shape == (5 * 32000,) and clip.dtype == torch.float32
    assert torch.equal(clip, read_recording(row["wav"], 32000, 5.0))
    expected = np.sin(2 * np.pi * 440 * np.arange(32000) / 32000) / 2
    # Quantisation noise; the ends lack the kernel's neighbours.
    tolerance = {"PCM_U8": 0.01, "MS_ADPCM": 0.05}.get(subtype, 2e-3)
    middle = slice(1000, 31000)
    np.testing.assert_allclose(
        clip[:32000][middle], expected[middle], atol=tolerance
    )
    if subtype != "MS_ADPCM":
        assert torch.equal(clip[32000:64000], clip[:32000])  # looped


@pytest.mark.parametrize("n_samples", [1, 50, 700])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("upstream_exact", [False, True])
def test_a_clip_below_a_tenth_of_a_second_is_looped(
    root, save, n_samples, channels, upstream_exact
):
    path = clip_of(root, "101-0-0-12.wav")
    sig = np.full((n_samples, channels), 0.25)
    soundfile.write(path, sig, 8000, "PCM_U8")
    prepare_urbansound8k(root, save, folds=[2])
    clip = read_recording(path, 8000, 5.0, upstream_exact=upstream_exact)
    assert torch.equal(clip, torch.full((40000,), 0.25))


def test_a_clip_at_192_khz_becomes_a_clip_at_the_backbones_rate(root):
    path = clip_of(root, "101-0-0-12.wav")
    tone = np.sin(2 * np.pi * 440 * np.arange(192000) / 192000) / 2
    soundfile.write(path, tone, 192000, "PCM_24")
    clip = read_recording(path, 44100, 5.0)
    expected = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100) / 2
    np.testing.assert_allclose(clip[100:44000], expected[100:44000], atol=1e-3)
    assert torch.equal(clip[-44100:], clip[:44100])


def test_upstream_cuts_a_stereo_slice_at_a_place_of_its_own(root):
    path = clip_of(root, "101-0-0-12.wav")
    ramp = np.arange(4 * 8000) / 2**17
    soundfile.write(path, np.stack([ramp, ramp + 0.5], 1), 8000, "FLOAT")
    read = partial(read_recording, path, 8000, 5.0)
    upstream = read(upstream_exact=True)
    laid_out = torch.tensor(np.concatenate([ramp, ramp + 0.5])).float()
    start = int(torch.nonzero(laid_out == upstream[0])[0])
    assert torch.equal(upstream, laid_out[start : start + 40000])
    assert torch.equal(upstream, read(upstream_exact=True))
    assert not torch.equal(upstream, read(upstream_exact=True, seed=1))
    ours = torch.tensor(ramp + 0.25).float()
    torch.testing.assert_close(read(), torch.cat([ours, ours[:8000]]))


# The real data


real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the shared part of UrbanSound8K is not there"
)


@real
def test_the_real_metadata_has_no_contradiction():
    rows = read_rows(REAL)
    assert len(rows) == 8732
    find_problem = urbansound8k_prepare._find_problem
    assert not [r for r in rows if find_problem(r, REAL / "audio", {})]


@real
def test_every_real_clip_in_a_wrong_fold_is_named_with_the_folds(save):
    with pytest.raises(InputError, match="8732 of 8732 recordings cannot"):
        prepare_urbansound8k(REAL, save)
    with open(save / "problems.csv", newline="") as file:
        problems = {r["ID"]: r["reason"] for r in csv.DictReader(file)}
    lying = {p.stem for p in (REAL / "audio").rglob("*.wav")}
    assert {i for i, r in problems.items() if r != "missing"} == lying
    assert problems["100263-2-0-117"] == (
        "in the wrong fold: it lies in fold1, its row says fold5"
    )
    assert problems["101848-9-0-2"] == (
        "in the wrong fold: it lies in fold1 and fold2, its row says fold7"
    )


@real
def test_the_real_clips_in_their_folds_are_prepared(tmp_path, save):
    clips = {p.name: p for p in (REAL / "audio").rglob("*.wav")}
    rows = [r for r in read_rows(REAL) if r["slice_file_name"] in clips]
    root = tmp_path / "UrbanSound8K"
    write_metadata(root, rows)
    for row in rows:
        folder = root / "audio" / f"fold{row['fold']}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips[row["slice_file_name"]], folder)
    prepare_urbansound8k(root, save)
    manifest = read_manifest(save / "test.csv")
    assert len(manifest) == 15
    for row in manifest:
        _, name = row["wav"].rsplit(os.sep, 1)
        (known,) = (r for r in rows if r["slice_file_name"] == name)
        length = float(known["end"]) - float(known["start"])
        assert row["duration"] == pytest.approx(length, abs=0.01)
        assert row["label"] == known["class"].replace("_", " ")


@pytest.mark.skipif(
    not REAL_CAPTIONS.is_file(), reason="the authors' captions are not there"
)
def test_the_authors_number_the_classes_as_we_do():
    words = (
        "air condition,horn,child,dog,drill,idl,gun,jackhammer,siren,street"
    ).split(",")
    captions = read_captions(REAL_CAPTIONS, urbansound8k_prepare.US8K_CLASSES)
    for target, word in enumerate(words):
        counts = [0] * 10
        for caption in captions:
            if word in caption.caption.lower():
                counts[caption.labels[0]] += 1
        assert counts.index(max(counts)) == target, word
