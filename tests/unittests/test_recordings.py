"""Tests of afpt_plugin.data.audio."""

from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from afpt_plugin.data import audio as recordings
from afpt_plugin.errors import InputError

RATE = 8000


def write(path, sig, rate=RATE, subtype="FLOAT"):
    """Write a waveform [samples] or [samples, channels]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(sig, "float32"), rate, subtype=subtype)
    return path


@pytest.fixture
def ramp():
    """A signal in which every sample tells its place."""
    return torch.arange(1, 11) / 16


def test_channels_are_averaged_before_resampling_and_looping(tmp_path):
    left, right = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 400))
    stereo = write(tmp_path / "s.wav", np.stack([left, right], 1), rate=16000)
    mono = write(tmp_path / "m.wav", (left + right) / 2, rate=16000)
    sig = recordings.read_recording(stereo, RATE, 300 / RATE)
    assert sig.shape == (300,) and sig.dtype == torch.float32
    torch.testing.assert_close(
        sig, recordings.read_recording(mono, RATE, 300 / RATE)
    )
    torch.testing.assert_close(sig[200:], sig[:100])


def test_resampling_keeps_the_pitch(tmp_path):
    time = np.arange(44100) / 44100
    path = write(tmp_path / "a.wav", np.sin(2 * np.pi * 440 * time), rate=44100)
    sig = recordings.read_recording(path, 32000, 1.0)
    expected = np.sin(2 * np.pi * 440 * np.arange(32000) / 32000)
    # The ends lack the kernel's neighbours.
    np.testing.assert_allclose(sig[100:-100], expected[100:-100], atol=1e-3)


def test_a_resampler_is_built_once_for_each_pair_of_rates(tmp_path):
    path = write(tmp_path / "a.wav", np.ones(100), rate=11025)
    recordings._resampler.cache_clear()
    for _ in range(3):
        recordings.read_recording(path, RATE, 0.01)
    assert recordings._resampler.cache_info().misses == 1


@pytest.mark.parametrize(
    ("crop", "kept"), [("start", slice(0, 4)), ("center", slice(3, 7))]
)
def test_a_longer_recording_is_cropped_as_named(tmp_path, ramp, crop, kept):
    path = write(tmp_path / "a.wav", ramp)
    sig = recordings.read_recording(path, RATE, 4 / RATE, crop=crop)
    assert torch.equal(sig, ramp[kept])


def test_the_start_is_kept_by_default(tmp_path, ramp):
    path = write(tmp_path / "a.wav", ramp)
    assert torch.equal(
        recordings.read_recording(path, RATE, 4 / RATE), ramp[:4]
    )


@pytest.mark.parametrize("upstream_exact", [False, True])
def test_a_recording_of_the_clips_length_is_left_alone(
    tmp_path, ramp, upstream_exact
):
    path = write(tmp_path / "a.wav", ramp)
    sig = recordings.read_recording(
        path, RATE, 10 / RATE, upstream_exact=upstream_exact
    )
    assert torch.equal(sig, ramp)


@pytest.mark.parametrize("crop", recordings.CROPS)
def test_fitting_gives_the_length_and_only_the_signals_samples(crop):
    for n in range(1, 12):
        for wanted in range(1, 40):
            fitted = recordings.fit_length(torch.arange(n), wanted, crop)
            assert fitted.shape == (wanted,)
            assert torch.equal(fitted, (fitted[0] + torch.arange(wanted)) % n)


def test_an_unknown_crop_is_refused(tmp_path, ramp):
    path = write(tmp_path / "a.wav", ramp)
    with pytest.raises(InputError, match="'random' is unknown.*start, center"):
        recordings.read_recording(path, RATE, 4 / RATE, crop="random")


def test_a_clip_without_length_is_refused(tmp_path, ramp):
    path = write(tmp_path / "a.wav", ramp)
    with pytest.raises(InputError, match="clip_seconds: 0"):
        recordings.read_recording(path, RATE, 0)


def test_upstream_lays_channels_end_to_end_and_loops(tmp_path):
    left, right = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4])
    path = write(tmp_path / "s.wav", torch.stack([left, right], 1))
    sig = recordings.read_recording(path, RATE, 6 / RATE, upstream_exact=True)
    assert torch.equal(sig, torch.cat([left, right, left]))


def test_upstream_resamples_each_channel_before_laying_end_to_end(tmp_path):
    both = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 2))
    path = write(tmp_path / "s.wav", both, rate=16000)
    sig = recordings.read_recording(path, RATE, 200 / RATE, upstream_exact=True)
    for channel, part in enumerate((sig[:100], sig[100:])):
        alone = write(tmp_path / "c.wav", both[:, channel], rate=16000)
        expected = recordings.read_recording(alone, RATE, 100 / RATE)
        torch.testing.assert_close(part, expected)


def test_upstream_crop_depends_on_seed_and_name_but_not_on_the_folder(tmp_path):
    ramp = torch.arange(2000) / 4096
    paths = [
        write(tmp_path / name, ramp) for name in ("x/a.wav", "y/a.wav", "b.wav")
    ]
    read = partial(
        recordings.read_recording,
        sample_rate=RATE,
        clip_seconds=100 / RATE,
        upstream_exact=True,
    )
    first = read(paths[0])
    step = first[1:] - first[:-1]
    torch.testing.assert_close(step, torch.full((99,), 1 / 4096))
    assert torch.equal(first, read(paths[1]))
    assert not torch.equal(first, read(paths[2]))
    assert not torch.equal(first, read(paths[0], seed=1))


def test_an_unreadable_recording_is_named(tmp_path):
    (tmp_path / "no_audio.wav").write_text("this is text")
    write(tmp_path / "empty.wav", [])
    for name, reason in (
        ("no_audio.wav", "not readable"),
        ("empty.wav", "no sample"),
        ("missing.wav", "not readable"),
    ):
        with pytest.raises(InputError, match=rf"{name}: .*{reason}"):
            recordings.read_recording(tmp_path / name, RATE, 1)
