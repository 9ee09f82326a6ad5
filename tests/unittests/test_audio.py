"""Tests of afpt_plugin.data.audio."""

from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from afpt_plugin.data.audio import fit_length, load_recording, read_clip
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


@pytest.mark.parametrize(
    ("rate", "subtype", "tolerance"),
    [
        *((8000, "PCM_U8", 0.01), (11025, "PCM_16", 2e-3)),
        *((22050, "MS_ADPCM", 0.05), (44100, "PCM_24", 2e-3)),
        *((48000, "PCM_32", 2e-3), (192000, "FLOAT", 2e-3)),
    ],
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop", "center"),
        ("channels", "left"),
        ("clip_seconds", 0),
        ("clip_seconds", 0.4 / RATE),
    ],
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
