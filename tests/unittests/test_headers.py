"""Tests of afpt_plugin.data.headers: what is announced, and what is there."""

import io
import struct

import numpy as np
import pytest
import soundfile
from common import cases

from afpt_plugin.data.decoding import decode
from afpt_plugin.errors import InputError

N = 40_000
SIG = np.random.default_rng(0).uniform(-0.3, 0.3, N).astype("float32")


def encode(kind, subtype=None, n_samples=N, rate=16000):
    file = io.BytesIO()
    soundfile.write(file, SIG[:n_samples], rate, subtype, format=kind)
    return bytearray(file.getvalue())


def refuse(data, reason):
    with pytest.raises(InputError, match=reason):
        decode(bytes(data))


@cases(
    "kind, subtype",
    *(("WAV", s) for s in ("PCM_U8", "PCM_16", "DOUBLE", "IMA_ADPCM")),
    *(("WAV", s) for s in ("GSM610", "MS_ADPCM", "ULAW")),
    *(("RF64", s) for s in ("PCM_16", "FLOAT")),
    *(("W64", s) for s in ("PCM_U8", "PCM_24", "GSM610")),
    *(("AIFF", s) for s in ("PCM_S8", "PCM_24", "IMA_ADPCM", "ALAW")),
    *(("CAF", s) for s in ("PCM_16", "FLOAT", "ALAC_16")),
    *(("AU", s) for s in ("PCM_16", "ULAW")),
    *((k, "PCM_16") for k in ("WAVEX", "SVX", "NIST", "FLAC", "MAT4", "MAT5")),
    *(("OGG", s) for s in ("VORBIS", "OPUS")),
    ("MP3", None),
    *((kind, "PCM_16") for kind in ("VOC", "AVR", "MPC2K")),
    ("WVE", "ALAW"),
)
def test_half_a_file_is_no_file(kind, subtype):
    """Of libsndfile's containers, all that can tell; the whole file is read."""
    data = encode(kind, subtype, rate=8000 if kind == "WVE" else 16000)
    assert N <= len(decode(bytes(data))[0]) < N + 1000
    for share in (0.5, 0.9):
        with pytest.raises(InputError):
            decode(bytes(data[: round(share * len(data))]))


def test_what_is_missing_is_said():
    for kind in ("WAV", "AIFF", "AU", "RF64", "W64", "CAF"):
        data = encode(kind, "FLOAT")
        refuse(data[: len(data) - 2 * N], "half of the announced samples")
        refuse(data[:-1], "some of the announced samples are missing")
    refuse(encode("WAV", "FLOAT")[:30], "ends before its samples")


def test_counts_are_held_against_the_samples():
    """A count that is doubled, where the number of bytes is right."""
    aiff, flac = encode("AIFF", "PCM_16"), encode("FLAC", "PCM_16")
    place = aiff.index(b"COMM") + 10
    aiff[place : place + 4] = struct.pack(">I", 2 * N)
    flac[22:26] = struct.pack(">I", 2 * N)
    nist = encode("NIST", "PCM_16").replace(b"40000", b"80000")
    for data in (aiff, flac, nist):
        refuse(data, "half of the announced samples are missing")


def test_samples_beyond_the_announced_ones_are_no_secret():
    """Of FLAC, and of Ogg streams that follow each other."""
    for subtype in ("PCM_16", "PCM_24"):
        flac = encode("FLAC", subtype)
        flac[22:26] = struct.pack(">I", N // 2)
        refuse(flac, "20000 samples, but more follow")
    refuse(encode("OGG") + encode("OGG"), "several Ogg streams")


def test_a_length_that_is_not_told_is_said(caplog):
    flac, au, wav = (encode(kind, "PCM_16") for kind in ("FLAC", "AU", "WAV"))
    flac[22:26] = bytes(4)
    au[8:12] = wav[40:44] = b"\xff" * 4
    for data in (flac, au, wav):
        caplog.clear()
        assert len(decode(bytes(data))[0]) == N
        assert "does not tell its length" in caplog.text
    caplog.clear()
    decode(bytes(encode("FLAC")))
    assert not caplog.records


@cases("size", 0, N, 2 * N + 35, 2 * N + 37, 2**32 - 1)
def test_the_size_of_the_whole_file_does_not_matter(size):
    for order, kind in (("<I", "WAV"), (">I", "AIFF")):
        data = encode(kind, "PCM_16")
        data[4:8] = struct.pack(order, size)
        assert len(decode(bytes(data))[0]) == N


@pytest.mark.parametrize("size", [2**32 - 1, 2**31, 0x7FFFF000, 2**32 - 37])
def test_a_file_that_was_written_to_a_pipe_is_whole(size):
    data = encode("WAV", "PCM_16")
    data[40:44] = struct.pack("<I", size)
    assert len(decode(bytes(data))[0]) == N
    flac = encode("FLAC", "PCM_16")
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert len(decode(bytes(flac))[0]) == N


def test_an_unfinished_header_is_named():
    for kind in ("WAV", "RF64", "AIFF", "W64"):
        data = encode(kind, "PCM_16")
        name = b"SSND" if kind == "AIFF" else b"data"
        place = data.index(name) + (16 if kind == "W64" else 4)
        data[place : place + 4] = struct.pack(">I", 0)
        if kind == "W64":
            data[place] = 24
        refuse(data, "header announces 0 samples, but 800.. bytes follow")
    empty = encode("WAV", "PCM_16", 0)
    refuse(empty, "empty: 0 samples")
    refuse(empty + b"LIST\4\0\0\0INFO", "empty: 0 samples")


def test_samples_that_no_sound_has_are_refused():
    for value, reason in ((np.nan, "finite"), (np.inf, "finite"), (1e30, "1e")):
        sig = SIG.copy()
        sig[-1] = value
        file = io.BytesIO()
        soundfile.write(file, sig, 8000, "FLOAT", format="WAV")
        refuse(file.getvalue(), reason)


@pytest.mark.parametrize("rate", [1, 99, 2_000_000, 2**31 - 1])
def test_a_rate_that_cannot_hold_sound_is_refused(rate):
    data = encode("WAV", "PCM_16")
    data[24:28] = struct.pack("<I", rate)
    refuse(data, f"sample rate is {rate} Hz")
