"""Tests of afpt_plugin.data.audio."""

import os
from functools import partial

import numpy as np
import pytest
import soundfile
import torch
from common import cases

from afpt_plugin.data import decoding, resampling
from afpt_plugin.data.audio import (
    Recording,
    find_recordings,
    fit_length,
    load_recording,
    read_clip,
)
from afpt_plugin.data.resampling import resample
from afpt_plugin.errors import InputError

RATE = 8000


def write(path, sig, rate=RATE, subtype="FLOAT"):
    """Write a waveform [samples] or [samples, channels]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(sig), rate, subtype=subtype)
    return path


@pytest.fixture
def ramp(tmp_path):
    """A file in which every sample tells its place, and its samples."""
    sig = torch.arange(1, 2001) / 4096
    return write(tmp_path / "ramp.wav", sig), sig


@pytest.mark.parametrize("n_samples", [1, 700, 39999, 40001, 220501])
@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_clip_is_the_recording_looped_or_cut(tmp_path, n_samples, rate):
    """A recipe and `afpt classify` hear the same, down to the last sample."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (n_samples, 2))
    path = write(tmp_path / "a.wav", noise, rate)
    whole = load_recording(path, 16000)
    assert len(whole) == -(-n_samples * 16000 // rate)
    clip = read_clip(path, 16000, 5.0)
    assert torch.equal(clip, fit_length(whole, 80000))


@cases(
    "rate, subtype, tolerance",
    *((8000, "PCM_U8", 0.01), (11025, "PCM_16", 2e-3)),
    *((22050, "MS_ADPCM", 0.05), (44100, "PCM_24", 2e-3)),
    *((48000, "PCM_32", 2e-3), (192000, "FLOAT", 2e-3)),
)
def test_a_clip_sounds_the_same_at_any_rate_and_depth(
    tmp_path, rate, subtype, tolerance
):
    """The channels differ by what averaging removes."""
    seconds = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 440 * seconds) / 2
    other = np.sin(2 * np.pi * 310 * seconds) / 3
    stereo = np.stack([tone + other, tone - other], axis=1)
    path = write(tmp_path / "a.wav", stereo, rate, subtype)
    clip = read_clip(path, 32000, 5.0)
    assert clip.shape == (5 * 32000,) and clip.dtype == torch.float32
    expected = np.sin(2 * np.pi * 440 * np.arange(32000) / 32000) / 2
    # The ends lack the kernel's neighbors.
    middle = slice(1000, 31000)
    np.testing.assert_allclose(
        clip[:32000][middle], expected[middle], atol=tolerance
    )
    if subtype != "MS_ADPCM":  # which is written in whole blocks
        assert torch.equal(clip[32000:64000], clip[:32000])


def test_a_random_crop_depends_on_seed_and_name_but_not_on_the_folder(ramp):
    path, sig = ramp
    twin = write(path.parent / "other" / path.name, sig)
    namesake = write(path.parent / "b.wav", sig)
    read = partial(
        read_clip, sample_rate=RATE, clip_seconds=100 / RATE, crop="random"
    )
    first = read(path)
    start = int(torch.nonzero(sig == first[0])[0])
    assert torch.equal(first, sig[start : start + 100])
    assert torch.equal(first, read(twin))
    assert not torch.equal(first, read(namesake))
    assert not torch.equal(first, read(path, seed=1))
    whole = read_clip(path, RATE, len(sig) / RATE, crop="random")
    assert torch.equal(whole, sig)


def test_concatenated_channels_are_resampled_one_by_one(tmp_path):
    both = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 2))
    path = write(tmp_path / "s.wav", both, 16000)
    sig = read_clip(path, RATE, 250 / RATE, channels="concatenate")
    for channel, part in enumerate((sig[:100], sig[100:200])):
        alone = write(tmp_path / "c.wav", both[:, channel], 16000)
        expected = load_recording(alone, RATE)
        torch.testing.assert_close(part, expected)
    assert torch.equal(sig[200:], sig[:50])  # looped


def test_a_signal_is_looped_or_cut_to_a_length():
    for n in range(1, 12):
        for wanted in range(1, 40):
            fitted = fit_length(torch.arange(n), wanted)
            assert torch.equal(fitted, torch.arange(wanted) % n)


@cases(
    "name, value",
    ("crop", "center"),
    ("channels", "left"),
    ("clip_seconds", 0),
    ("clip_seconds", 0.4 / RATE),
)
def test_an_unknown_setting_is_named(ramp, name, value):
    with pytest.raises(InputError, match=f"{name}: .*{value}"):
        read_clip(ramp[0], RATE, **{"clip_seconds": 1.0, name: value})


def test_an_unreadable_recording_is_named(tmp_path, ramp):
    """The other refusals of `decode` are tested in test_manifests.py."""
    (tmp_path / "cut.wav").write_bytes(ramp[0].read_bytes()[:500])
    for name, reason in (("cut", "truncated"), ("missing", "No such file")):
        with pytest.raises(InputError, match=rf"{name}.wav: .*{reason}"):
            read_clip(tmp_path / f"{name}.wav", RATE, 1)


@pytest.mark.parametrize("channels", ["mean", "concatenate"])
@pytest.mark.parametrize("rates", [(44100, RATE), (RATE, 11025), (RATE, RATE)])
def test_blocks_are_the_recording(tmp_path, monkeypatch, rates, channels):
    """A long file is read as a short one is, but for a float's last bit."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (50_001, 2))
    path = write(tmp_path / "a.wav", noise, rates[0])
    whole = load_recording(path, rates[1], channels)
    monkeypatch.setattr(decoding, "WHOLE", 6000)
    monkeypatch.setattr(decoding, "BLOCK", 6000)
    recording = Recording(path, rates[1], channels)
    blocks = list(recording)
    assert len(blocks) > 5 and max(map(len, blocks)) < 10_000
    torch.testing.assert_close(torch.cat(blocks), whole, rtol=0, atol=1e-6)
    assert recording.n_samples == len(whole)


@pytest.mark.parametrize("to_rate", [16000, 44100, 48000])
@cases("rate", 100, 101, 11024, 44101, 44115, 44056, 399_999, 400_000)
def test_any_rate_is_resampled_in_little_memory(tmp_path, rate, to_rate):
    """A tone stays the tone, from its start to its end, in any number of blocks."""
    n_samples = min(2 * rate, 60_000)
    tone = np.sin(2 * np.pi * 20 * np.arange(n_samples) / rate) / 2
    path = write(tmp_path / "a.wav", tone, rate)
    sig = load_recording(path, to_rate).numpy()
    assert len(sig) == -(-n_samples * to_rate // rate)
    wanted = np.sin(2 * np.pi * 20 * np.arange(len(sig)) / to_rate) / 2
    middle = slice(len(sig) // 8, -len(sig) // 8)
    np.testing.assert_allclose(sig[middle], wanted[middle], atol=4e-3)
    tone = torch.tensor(tone[None], dtype=torch.float32)
    (whole,) = resample([tone], rate, 800)
    parts = torch.cat(list(resample(tone.split(7001, 1), rate, 800)), 1)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_the_filter_is_torchaudios(monkeypatch):
    """Where its kernel is too large, and where it is not."""
    from torchaudio.transforms import Resample

    sig = torch.rand(2, 3000, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(resampling, "MAX_KERNEL", 0)
    for rates in ((44100, 16000), (8000, 11025)):
        (found,) = resample([sig], *rates)
        wanted = Resample(*rates)(sig)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def flags(path):
    recording = Recording(path, RATE)
    list(recording)
    return recording.flags


def test_what_is_odd_is_flagged(tmp_path, caplog):
    path, rng = tmp_path / "a.wav", np.random.default_rng(0)
    noise = rng.standard_normal(RATE) / 5
    time = np.arange(RATE) / RATE
    for pitch in (30, 440, 3000):
        tone = np.sin(2 * np.pi * pitch * time)
        for subtype in ("PCM_16", "FLOAT"):
            assert flags(write(path, tone, subtype=subtype)) == []
            loud = np.clip(1.5 * tone, -0.8, 0.8)
            assert flags(write(path, loud, subtype=subtype)) == ["clipped"]
    assert flags(write(path, noise / 2)) == []
    assert flags(write(path, np.clip(4 * noise, -1, 1))) == ["clipped"]
    loud = write(path, 30 * noise, subtype="FLOAT")
    assert flags(loud) == ["above full scale"]
    assert flags(write(path, noise[:100] / 2)) == ["very short"]
    dither = rng.integers(-1, 2, RATE) / 2**15
    for quiet in (np.zeros(RATE), np.full(RATE, 0.3), dither):
        assert flags(write(path, quiet, subtype="PCM_16")) == ["silent"]
    assert flags(write(path, [[0.0, 0.0]])) == ["silent", "very short"]
    assert not caplog.records


@pytest.mark.parametrize("offset", [0, 0.2])
def test_channels_that_cancel_each_other_are_not_averaged(
    tmp_path, caplog, offset
):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    for other in (-noise, -0.9 * noise):
        pair = np.stack([noise, other], axis=1) + offset
        path = write(tmp_path / "a.wav", pair)
        caplog.clear()
        sig = load_recording(path, RATE)
        assert torch.equal(sig, torch.tensor(pair[:, 0], dtype=torch.float32))
        assert flags(path) == ["channel inverted"]
        assert [r.message.count("a.wav") for r in caplog.records] == [1, 1]
    same = np.stack([noise, noise], axis=1)
    assert flags(write(tmp_path / "b.wav", same)) == []
    sig = load_recording(path, RATE, "concatenate")
    assert len(sig) == 2 * RATE


def test_links_are_followed_once_and_notes_of_macos_are_left_out(tmp_path):
    folder, elsewhere = tmp_path / "a", tmp_path / "b"
    for path in (folder / "dog.wav", elsewhere / "deep" / "rain.flac"):
        path.parent.mkdir(parents=True)
        path.touch()
    (folder / "0 link").symlink_to(elsewhere)
    (elsewhere / "deep" / "loop").symlink_to(folder)
    (elsewhere / "twice").symlink_to(elsewhere / "deep")
    (folder / "._dog.wav").touch()
    (folder / "memo.M4A").touch()
    paths = [str(folder), str(elsewhere)]
    files, skipped = find_recordings(paths, everything=True)
    wanted = ["dog.wav", "memo.M4A", "0 link/deep/rain.flac"]
    assert files == [f"{folder}/{name}" for name in wanted]
    assert skipped == {"hidden": 1}
    files, skipped = find_recordings(paths[:1])
    assert files == [f"{folder}/dog.wav"]
    assert skipped == {"hidden": 1, ".m4a": 1, "linked folder": 1}
    with pytest.raises(InputError, match="convert .M4A files to WAV"):
        (folder / "memo.M4A").write_bytes(b"\0\0\0\x18ftypM4A " * 9)
        load_recording(folder / "memo.M4A", RATE)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(InputError, match="a.wav: not a regular file"):
        load_recording(tmp_path / "a.wav", RATE)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        find_recordings([str(tmp_path / "a.wav")])
