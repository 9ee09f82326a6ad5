"""Events out of frame scores, and files that other programs read."""

import csv
import io
from itertools import groupby
from statistics import mean, median

import numpy as np
import pandas as pd
import pytest
import torch
from common import cases

from afpt_plugin.commands.classify_table import Table
from afpt_plugin.scoring.detections import (
    HEADERS,
    Event,
    event_rows,
    find_events,
    shared_folder,
    write_labels,
)
from afpt_plugin.scoring.windows import FrameScores

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
@cases("smooth, width", (0, 1), (0.3, 1), (0.7, 3), (1.25, 5))
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
    rows = event_rows("audacity", "a.wav", EVENTS, 8000)
    write_labels(tmp_path / "a.txt", "audacity", rows)
    text = (tmp_path / "a.txt").read_bytes().decode("utf-8")
    assert read_audacity(text) == [event[:3] for event in EVENTS]


def test_raven_reads_the_table(tmp_path):
    """A tab in the name of a recording does not add a column."""
    names = ["a.wav", "more/a\tb\n.wav"]
    for name, begin_file in zip(names, ["a.wav", "a b .wav"], strict=True):
        path = tmp_path / f"{name}.txt"
        write_labels(
            path, "raven", event_rows("raven", name, EVENTS, 22050 / 2)
        )
        rows = read_raven(path.read_bytes().decode("utf-8"))
        titles = (
            "Selection,View,Channel,Begin File,Begin Time (s),End Time (s),"
        )
        titles += "Low Freq (Hz),High Freq (Hz),Common Name,Confidence"
        assert list(rows[2]) == titles.split(",")
        times = ["70.125000", "3600.500000"]
        values = ["3", "Spectrogram 1", "1", begin_file, *times]
        values += ["0", "11025", "dog", "0.9877"]
        assert list(rows[2].values()) == values
        assert [row["Common Name"] for row in rows] == NAMES[::-1]
    write_labels(path, "raven", event_rows("raven", "a.wav", [], 8000))
    assert read_raven(path.read_text()) == []


def test_readers_of_dcase_get_every_name_back(tmp_path):
    """pandas, as psds_eval does it, and csv."""
    names = ['a\t"b".wav', "sub/c.wav", "línea\r\n2.wav"]
    path = tmp_path / "events.tsv"
    table = Table(path, dict.fromkeys(HEADERS["dcase"], "string"))
    for name in names:
        table.add(event_rows("dcase", name, EVENTS, 8000))
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


def test_a_folder_is_shared_by_all_recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shared_folder(["dog.wav"]) == str(tmp_path)
    paths = ["x/dog.wav", tmp_path / "x/y/dog.wav", "x/y/../dog.flac"]
    assert shared_folder(paths) == str(tmp_path / "x")
    assert shared_folder(["../b.wav", "b.wav"]) == str(tmp_path.parent)
