"""Tests of `afpt_plugin.data.datasets` and `supervision`.

What is stored of an item depends on the item alone, and an item is an item.
"""

import pytest
import torch
from common import FakeClap, as_bytes
from data_sets import write_noises
from prep_scripts import DCASE2019

from afpt_plugin.backbones import load_clap
from afpt_plugin.data.captions import Caption
from afpt_plugin.data.datasets import (
    CAPTION_ROWS,
    caption_dataset,
    embed_captions,
    embed_recordings,
    recording_dataset,
    rows_of,
)
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.store import content_key
from afpt_plugin.data.supervision import Captions
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

ITEM = {"id", "whole", "parts", "mask", "target"}


CAPTIONS = ["rain on a roof", "a dog", "a dog barks", "a dog"]


def test_captions_are_stored_without_padding(tmp_path):
    clap = FakeClap()
    store, keys = embed_captions(clap, CAPTIONS, tmp_path)
    assert keys == [content_key(text) for text in CAPTIONS]
    assert [store[key]["whole"][0].item() for key in keys] == [14, 5, 11, 5]
    for key, letters in zip(
        keys, ([4, 2, 1, 4], [1, 3], [1, 3, 5], [1, 3]), strict=True
    ):
        assert store[key]["parts"][:, 0].tolist() == letters
        assert store[key]["mask"].tolist() == [True] * len(letters)
    # Each among as many of its own length, and encoded once.
    assert clap.calls == [
        [text] * CAPTION_ROWS
        for text in ("a dog", "a dog barks", "rain on a roof")
    ]
    embed_captions(clap, CAPTIONS[::-1], tmp_path)
    assert len(clap.calls) == 3


@pytest.mark.parametrize("pad_to", [None, 12])
def test_a_caption_is_stored_alike_whatever_was_there_before(tmp_path, pad_to):
    clap = load_clap("mini")
    captions = [
        f"{place} {sound}"
        for sound in ("a dog barks", "heavy rain", "a church bell rings twice")
        for place in ("", "far away", "in the old town", "next door", "outside")
    ]
    captions += [f"{text}, {', '.join(captions[:5])}" for text in captions[:5]]
    once, keys = embed_captions(clap, captions, tmp_path / "once", pad_to)
    # One, then a few in another order, then all.
    for part in (captions[7:8], captions[11:2:-2], captions):
        grown, _ = embed_captions(clap, part, tmp_path / "grown", pad_to)
    for key in keys:
        assert as_bytes(grown[key]) == as_bytes(once[key])


def test_padded_captions_are_kept_as_encoded_in_a_store_of_their_own(tmp_path):
    clap = FakeClap()
    trimmed, _ = embed_captions(clap, CAPTIONS, tmp_path)
    store, keys = embed_captions(clap, CAPTIONS, tmp_path, pad_to=3)
    assert store.folder != trimmed.folder
    first, second = (store[key] for key in keys[:2])
    assert first["parts"][:, 0].tolist() == [4, 2, 1]
    assert second["parts"][:, 0].tolist() == [1, 3, -1]
    assert second["mask"].tolist() == [True, True, False]


def test_recordings_do_not_depend_on_their_batch(tmp_path):
    sigs = {n: torch.arange(1.0, n + 1) for n in (4, 2, 6, 8)}
    recordings = [{"key": str(n)} for n in (4, 2, 6, 8, 2)]

    def load(recording):
        return sigs[int(recording["key"])]

    clap = FakeClap()
    store, keys = embed_recordings(
        clap, recordings, tmp_path, load, {"crop": "start"}, batch_size=3
    )
    assert keys == ["4", "2", "6", "8", "2"]
    assert [list(wavs.shape) for wavs in clap.calls] == [[3, 6], [1, 8]]
    for key in keys:
        sig = sigs[int(key)]
        assert torch.equal(store[key]["parts"], sig.view(-1, 2))
        assert store[key]["whole"].tolist() == [sig.sum()] * 2
        assert len(store[key]["mask"]) == len(sig) // 2
    other, _ = embed_recordings(
        clap, recordings, tmp_path, load, {"crop": "random"}
    )
    assert other.folder != store.folder


@pytest.fixture
def manifest(tmp_path):
    """Twelve recordings of three classes, one of them of two."""
    return write_noises(TASK, tmp_path, 12, labels={0: "dog|rain"})


TASK = Task("tiny", ["dog", "rain", "bell"], True, clip_seconds=1.0)


def test_an_item_is_an_item(clap, manifest, tmp_path):
    captions = [Caption("dog barks", (0,)), Caption("rain", (1, 2))]
    texts = caption_dataset(clap, captions, 3, tmp_path / "f")
    sounds = recording_dataset(
        clap, read_manifest(manifest), TASK.class_names, tmp_path / "f", 1.0
    )
    for dataset, n_parts in ((texts, 3), (sounds, 10)):
        item = dataset[0]
        assert set(item) == ITEM
        assert item["whole"].shape == (16,)
        assert item["parts"].shape == (n_parts, 16)
        assert item["mask"].tolist() == [1.0] * n_parts
        shots = dataset.shots()
        assert shots.whole.shape == (len(dataset), 16)
        assert torch.equal(shots.target[0], item["target"])
    assert texts[1]["target"].tolist() == [0, 1, 1]
    assert sounds[0]["target"].tolist() == [1, 1, 0]


def test_captions_are_the_default_supervision_and_hold_text_alone(
    clap, tmp_path, monkeypatch
):
    monkeypatch.setattr(clap, "encode_audio", None)
    path = tmp_path / "captions.csv"
    path.write_text(
        "caption,label\n"
        + "".join(
            f"{word} {name},{name}\n"
            for name in TASK.class_names
            for word in ("old", "big", "small", "one", "two")
        )
    )
    for source, n_train in (("templates", 3 * 13), (path, 3 * 4)):
        items = Captions(source).datasets(TASK, clap, tmp_path / "f")
        assert len(items.train) == n_train == items.facts["drawn"]["n_train"]
        assert set(items.train[0]) == set(items.valid[0]) == ITEM
    with pytest.raises(InputError, match="tiny"):
        Captions("ours").read(TASK)
    capped = Captions("templates", 0.0, per_class=2).read(TASK)
    assert (len(capped[0]), capped[1]) == (6, [])


def test_seeds_of_one_setting_share_all_but_what_is_drawn():
    """Where captions have several labels, a split's sizes depend on the seed."""
    task = DCASE2019.DCASE2019
    facts = [Captions(seed=seed).read(task)[2] for seed in (1, 2)]
    assert facts[0]["drawn"] != facts[1]["drawn"]
    for found in facts:
        del found["drawn"], found["drawn_fingerprint"]
    assert facts[0] == facts[1]


@pytest.mark.parametrize(("budget", "n_train"), [(None, 48), (3, 9)])
def test_the_papers_budget_is_the_tasks(budget, n_train):
    task = Task("tiny", TASK.class_names, paper_captions_per_class=budget)
    train, _, facts = Captions("templates", 0.0, "paper", None).read(task)
    assert len(train) == n_train
    assert facts["per_class"] == budget


def test_captions_of_several_classes_are_for_several_labels(tmp_path, caplog):
    path = tmp_path / "captions.csv"
    path.write_text(
        "caption,label\na dog,dog\nrain,rain\na bell in rain,bell|rain\n"
    )
    assert len(Captions(path, 0.0).read(TASK)[0]) == 3
    one_label = Task("tiny", TASK.class_names)
    with pytest.raises(InputError, match="bell"):
        Captions(path, 0.0).read(one_label)
    with path.open("a") as file:
        file.write("a bell,bell\n")
    assert len(Captions(path, 0.0).read(one_label)[0]) == 3


def test_half_of_the_classes_leaves_the_other_halfs_items_out(
    clap, manifest, tmp_path
):
    path = tmp_path / "captions.csv"
    path.write_text(
        "caption,label\na dog,dog\nrain,rain\na bell in rain,bell|rain\n"
        "bell,bell\n"
    )
    for half, n_train in ((TASK.base(), 2), (TASK.new(), 1)):
        train, _, _ = Captions(path, 0.0).read(half)
        assert len(train) == n_train
        assert all(max(c.labels) < half.n_classes for c in train)
        kept = rows_of(half, read_manifest(manifest))
        assert {n for row in kept for n in row["label"].split("|")} == set(
            half.class_names
        )


def test_captions_that_are_cut_are_said(tmp_path, caplog):
    """How many, and the first of them; short ones are not."""
    long = " ".join(["word"] * 8)
    embed_captions(FakeClap(), ["dog", long, long + " more"], tmp_path)
    assert "2 of 3 captions have more than 7 tokens" in caplog.text
    assert f"The first is {long!r}" in caplog.text
    caplog.clear()
    embed_captions(FakeClap(), ["a bird", "a dog barks"], tmp_path, pad_to=2)
    assert "1 of 2 captions have more than 2 tokens" in caplog.text
    caplog.clear()
    embed_captions(FakeClap(), ["a bird", "a b c d e f g"], tmp_path)
    assert "tokens" not in caplog.text
