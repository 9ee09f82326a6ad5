"""Events out of frame scores, and files that other programs read."""

import csv
import io
import os
from itertools import groupby
from statistics import mean, median

import numpy as np
import pandas as pd
import pytest
import torch

from afpt_plugin.detections import (
    Event,
    find_events,
    open_events,
    relative_names,
)
from afpt_plugin.errors import InputError
from afpt_plugin.windows import FrameScores

NAMES = ["dog", 'a "loud" bell', "Glocke, läutend 鐘"]
STEP = 0.25
# What is heard in the recording, with a file name that is hard to write.
EVENTS = [
    Event(0.0, 1.25, NAMES[2], 0.75),
    Event(0.5, 2.0004, NAMES[1], 0.5),
    Event(70.125, 3600.5, NAMES[0], 0.98765),
]


def frames_of(logits, silent=()):
    """Frames of 0.25 s, where nothing is heard at some of the places."""
    places = [t for t in range(len(logits)) if t not in silent]
    start = STEP * torch.tensor(places)
    extent = torch.stack([start, start + STEP], 1)
    logits = torch.as_tensor(logits)[places]
    return FrameScores(logits, start, start + STEP / 2, extent)


def by_hand(scores, silent, threshold, width, min_length):
    """One frame after the other; what is silent ends an event."""
    events, half = [], width // 2
    for name, values in zip(NAMES, scores.T.tolist(), strict=True):
        for is_silent, part in groupby(range(len(values)), silent.__contains__):
            places = list(part)
            row = [values[t] for t in places]
            row = row[:1] * half + row + row[-1:] * half
            row = [median(row[i : i + width]) for i in range(len(places))]
            pairs = zip(places, row, strict=True)
            for heard, run in groupby(pairs, lambda pair: pair[1] > threshold):
                times, smooth = zip(*run, strict=True)
                onset, offset = STEP * times[0], STEP * (times[-1] + 1)
                if heard and not is_silent and offset - onset >= min_length:
                    events.append((onset, offset, name, mean(smooth)))
    return sorted(events, key=lambda event: event[0])


@pytest.mark.parametrize("silent", [(), (0, 17, 18, 40)])
@pytest.mark.parametrize(
    ("smooth", "width"), [(0, 1), (0.3, 1), (0.7, 3), (1.25, 5)]
)
@pytest.mark.parametrize("min_length", [0, 0.5])
def test_events_are_those_of_a_slow_search(silent, smooth, width, min_length):
    logits = np.random.default_rng(width).standard_normal((60, 3))
    found = find_events(
        frames_of(logits, silent), NAMES, 0.1, smooth, min_length
    )
    wanted = by_hand(logits, silent, 0.1, width, min_length)
    assert len(found) == len(wanted) > 5
    for event, (onset, offset, name, score) in zip(found, wanted, strict=True):
        assert event[:3] == (onset, offset, name)
        assert event.score == pytest.approx(score)


def test_an_event_is_above_the_threshold_not_at_it():
    p = torch.tensor([[0.3, 0.3, 0.3], [0.9, 0, 0.1], [0.5, 0.5, 0]])
    found = find_events(frames_of(p), NAMES, 0.5)
    assert found == [(0.25, 0.5, "dog", pytest.approx(0.9))]
    found = find_events(frames_of(p), NAMES, 0.4)
    assert [event[:3] for event in found] == [
        (0.25, 0.75, "dog"),
        (0.5, 0.75, NAMES[1]),
    ]


def test_a_median_fills_holes_and_removes_splinters():
    """And an event of one frame is shorter than half a second."""
    column = torch.tensor([0.0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0])
    frames = frames_of(torch.stack([column, -column, -column], 1))
    for smooth, wanted in ((0, 3), (0.75, 1)):
        found = find_events(frames, NAMES, 0.0, smooth)
        assert len(found) == wanted
    assert found[0][:2] == (0.25, 1.5)
    found = find_events(frames, NAMES, 0.0, min_length=0.5)
    assert [event[:2] for event in found] == [(0.25, 0.75), (1.0, 1.5)]


def read_audacity(text):
    """Times and texts; a line that starts with a backslash has frequencies."""
    rows = [line.split("\t") for line in text.split("\n") if line]
    rows = [row for row in rows if row[0] != "\\"]
    assert all(len(time.split(".")[1]) == 6 for row in rows for time in row[:2])
    return [(float(onset), float(end), name) for onset, end, name in rows]


def read_raven(text):
    """Rows by the names in the header, which has tabs and no quotes."""
    header, *rows = [line.split("\t") for line in text.split("\n")[:-1]]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_audacity_reads_the_labels(tmp_path):
    with open_events(tmp_path / "a.txt", "audacity") as add:
        add("a.wav", EVENTS, 8000)
    text = (tmp_path / "a.txt").read_bytes().decode("utf-8")
    assert read_audacity(text) == [event[:3] for event in EVENTS]


def test_raven_reads_the_table(tmp_path):
    """A tab in the name of a recording does not add a column."""
    path = tmp_path / "tables"
    names = ["a.wav", "more/a\tb\n.wav", os.fsdecode(b"\xff.wav")]
    with open_events(path, "raven") as add:
        for name in names:
            add(name, EVENTS, 22050 / 2)
        add("silence.wav", [], 8000)
    assert sorted(p.name for p in path.rglob("*") if p.is_file()) == sorted(
        os.path.basename(f"{name}.txt") for name in [*names, "silence.wav"]
    )
    written = ["a.wav", "a b .wav", "\\xff.wav"]
    for name, begin_file in zip(names, written, strict=True):
        rows = read_raven((path / f"{name}.txt").read_bytes().decode("utf-8"))
        assert rows[2] == {
            "Selection": "3",
            "View": "Spectrogram 1",
            "Channel": "1",
            "Begin File": begin_file,
            "Begin Time (s)": "70.125000",
            "End Time (s)": "3600.500000",
            "Low Freq (Hz)": "0",
            "High Freq (Hz)": "11025",
            "Common Name": "dog",
            "Confidence": "0.9877",
        }
        assert [row["Common Name"] for row in rows] == NAMES[::-1]
    assert read_raven((path / "silence.wav.txt").read_text()) == []


def test_readers_of_dcase_get_every_name_back(tmp_path):
    """pandas, as psds_eval does it, and csv."""
    names = ['a\t"b".wav', "sub/c.wav", "línea\r\n2.wav"]
    path = tmp_path / "events.tsv"
    with open_events(path, "dcase") as add:
        for name in names:
            add(name, EVENTS, 8000)
        add("silence.wav", [], 8000)
    wanted = [
        (name, event.onset, round(event.offset, 3), event.class_name)
        for name in names
        for event in EVENTS
    ]
    table = pd.read_csv(path, sep="\t")
    assert list(table) == ["filename", "onset", "offset", "event_label"]
    assert list(table.itertuples(index=False, name=None)) == wanted
    text = io.StringIO(path.read_bytes().decode("utf-8"), newline="")
    rows = list(csv.reader(text, delimiter="\t"))[1:]
    assert [(f, float(a), float(b), c) for f, a, b, c in rows] == wanted


@pytest.mark.parametrize(
    ("name", "style"), [("a.tsv", "dcase"), ("a.txt", "raven"), ("a", "raven")]
)
def test_events_appear_whole_or_not_at_all(tmp_path, name, style):
    def stop():
        with open_events(tmp_path / name, style) as add:
            add("a.wav", EVENTS, 8000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_not_replaced(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with (
        pytest.raises(InputError, match="not writable"),
        open_events(tmp_path, "audacity") as add,
    ):
        add("a.wav", EVENTS, 8000)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_names_of_recordings_differ_and_are_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relative_names(["dog.wav"]) == ["dog.wav"]
    paths = ["x/dog.wav", tmp_path / "x/y/dog.wav", "x/y/../dog.flac"]
    assert relative_names(paths) == ["dog.wav", "y/dog.wav", "dog.flac"]
    assert relative_names(["../b.wav", "b.wav"])[0] == "b.wav"
