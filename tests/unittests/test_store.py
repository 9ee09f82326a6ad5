"""Tests of `afpt_plugin.data.store`: nothing twice, nothing lost, nothing wrong."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from weakref import WeakSet

import pytest
import torch
from common import as_bytes, cases
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from afpt_plugin.data import store as store_module
from afpt_plugin.data.store import FeatureStore, content_key
from afpt_plugin.errors import InputError

SETTINGS = {"kind": "captions", "pad_to": None}

# Runs in a process of its own, as `torch.distributed` needs one.
SCRIPT = """
import os, sys
import torch
from afpt_plugin.data.datasets import embed_recordings
from afpt_plugin.data.store import FeatureStore

folder, n_items = sys.argv[1], 10

class Clap:
    fingerprint, device, sample_rate = "fp", torch.device("cpu"), 800
    embed_dim = 16
    def __init__(self):
        torch.manual_seed(0)
        self.tower = torch.nn.Conv1d(1, 16, 80, 40)
    def encode_audio(self, wavs, lens):
        frames = self.tower(wavs[:, None]).transpose(1, 2)
        n_frames = (lens * wavs.shape[1]).long() // 40 - 1
        mask = torch.arange(frames.shape[1]) < n_frames[:, None]
        return frames.mean(1), frames, mask

def load(recording):
    seed = int(recording["key"])
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(400 + 40 * (seed % 5), generator=generator)

def encode(batch):
    return [{"words": torch.full((i % 3 + 1, 2), float(i))} for i in batch]

if "RANK" in os.environ:
    torch.distributed.init_process_group(
        "gloo",
        init_method="file://" + os.environ["RENDEZVOUS"],
        rank=int(os.environ["RANK"]),
        world_size=2,
    )
store = FeatureStore(folder, "fp", {"kind": "captions", "pad_to": None})
counts = []
for n in (n_items, n_items + 1, n_items + 1):
    keys = [str(i) for i in range(n)]
    counts.append(store.fill(keys, encode, batch_size=2, shard_items=4))
    assert sorted(store) == sorted(keys)
recordings = [{"key": str(i)} for i in range(23)]
embed_recordings(Clap(), recordings, folder, load, {}, batch_size=3)
print(counts)
if "RANK" in os.environ:
    torch.distributed.destroy_process_group()
"""


def item(i):
    """The one right value of item ``i``."""
    return {"words": torch.full((i % 3 + 1, 2), float(i))}


def opened(folder, fingerprint="fp", settings=SETTINGS):
    """The store that most tests use."""
    return FeatureStore(folder, fingerprint, settings)


class Encoder:
    """Gives the right values, remembers what it was asked, fails on demand."""

    def __init__(self, fail_at=None):
        self.fail_at = fail_at
        self.batches = []

    def __call__(self, batch):
        if self.fail_at in batch:
            raise KeyboardInterrupt
        self.batches.append(batch)
        return [item(i) for i in batch]


def filled(folder, n=10, encoder=None):
    """A store of ``n`` items in shards of four, and how many were encoded."""
    store = opened(folder)
    count = store.fill(
        [str(i) for i in range(n)],
        encoder or Encoder(),
        batch_size=2,
        shard_items=4,
    )
    return store, count


def assert_right(store, n=10):
    assert sorted(store) == sorted(str(i) for i in range(n))
    for i in range(n):
        torch.testing.assert_close(store[str(i)], item(i), rtol=0, atol=0)


def shards(store, pattern="shard-*.safetensors"):
    """The shards of a store, in a fixed order."""
    return sorted(store.folder.glob(pattern))


def open_keys(path):
    """The keys of a shard, read without the store."""
    header = path.read_bytes()
    size = int.from_bytes(header[:8], "little")
    metadata = json.loads(header[8 : 8 + size])["__metadata__"]
    return json.loads(metadata["index"])["keys"]


def start(folder, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(name="warnings")
def fixture_warnings(caplog):
    """The messages of the store's warnings."""
    caplog.set_level(logging.WARNING, logger="afpt_plugin.data.store")
    return lambda: " ".join(record.getMessage() for record in caplog.records)


def test_a_fill_stores_right_values_that_a_new_process_would_read(tmp_path):
    store, count = filled(tmp_path)
    assert count == 10
    assert_right(store)
    assert_right(opened(tmp_path))
    assert [len(open_keys(path)) for path in shards(store)].count(4) == 2
    assert not shards(store, ".part-*")
    assert content_key("").startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert "0" in store and "nobody" not in store
    with pytest.raises(KeyError, match="nobody"):
        store["nobody"]


def test_only_new_items_are_encoded_once_and_no_bar_shows_for_none(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    filled(tmp_path, 4)
    assert "4/4" in capsys.readouterr().err
    encoder = Encoder()
    store, count = filled(tmp_path, 4, encoder)
    assert (count, encoder.batches) == (0, [])
    assert capsys.readouterr().err == ""
    keys = ["0", "9", "1", "9", "7", "8"]
    assert store.fill(keys, encoder, batch_size=9, shard_items=2) == 3
    assert encoder.batches == [[1, 4], [5]]
    assert len(store) == 7


def test_an_interrupted_fill_resumes_with_the_batches_it_lost(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, encoder=Encoder(fail_at=7))
    # Items 0 to 3 are in a shard; 4 and 5 were in memory.
    encoder = Encoder()
    store, count = filled(tmp_path, encoder=encoder)
    assert count == 6
    assert encoder.batches == [[4, 5], [6, 7], [8, 9]]
    assert_right(store)


def test_an_error_of_the_encoder_or_the_loader_stores_nothing(tmp_path):
    def load(batch):
        raise InputError("dog.wav: cannot be read")

    store = opened(tmp_path)
    with pytest.raises(ValueError, match="shorter"):
        store.fill(["a", "b"], lambda batch: [item(0)])
    with pytest.raises(InputError, match="dog.wav"):
        store.fill(["a"], Encoder(), load=load)
    assert len(opened(tmp_path)) == 0


def flipped(content, place):
    """A content with one bit that is another."""
    content = bytearray(content)
    content[place] ^= 1
    return content


@cases(
    "damage",
    lambda content: content[:-5],
    lambda content: b"",
    lambda content: flipped(content, -1),
    lambda content: flipped(content, 20),  # in the header
    os.mkdir,  # a folder, or a pipe, in its place
    os.mkfifo,
)
def test_a_damaged_shard_is_named_set_aside_and_rebuilt(
    tmp_path, warnings, damage
):
    store, _ = filled(tmp_path)
    path = shards(store)[1]
    lost, content = open_keys(path), path.read_bytes()
    path.unlink()
    if damage in (os.mkdir, os.mkfifo):
        damage(path)
    else:
        path.write_bytes(damage(content))
    store = opened(tmp_path)
    assert str(path) in warnings()
    assert not path.exists()
    assert not set(lost) & set(store)
    encoder = Encoder()
    store, count = filled(tmp_path, encoder=encoder)
    assert [str(i) for batch in encoder.batches for i in batch] == lost
    assert_right(store)
    assert_right(opened(tmp_path))


@cases(
    "origin",
    {"fingerprint": "other"},
    {"settings": {"kind": "captions", "pad_to": 100}},
)
def test_a_shard_made_otherwise_is_not_trusted(tmp_path, warnings, origin):
    foreign = opened(tmp_path, **origin)
    foreign.fill(["0"], lambda batch: [item(5)])
    (path,) = shards(foreign)
    store = opened(tmp_path)
    assert store.folder != foreign.folder
    copied = store.folder / path.name
    copied.write_bytes(path.read_bytes())
    store, count = filled(tmp_path)
    assert count == 10
    assert str(copied) in warnings()
    assert_right(store)


@pytest.mark.parametrize("metadata", [None, {"index": "{"}, {"index": "{}"}])
def test_a_safetensors_file_of_another_program_is_not_trusted(
    tmp_path, warnings, metadata
):
    from safetensors.torch import save

    content = save({"words": torch.zeros(2)}, metadata)
    store = opened(tmp_path)
    name = f"shard-0-{content_key(content)}.safetensors"
    (store.folder / name).write_bytes(content)
    assert len(opened(tmp_path)) == 0
    assert name in warnings()


@cases("rows", torch.zeros(2, 2).double(), torch.zeros(2, 3), torch.zeros(2))
def test_a_shard_of_another_dtype_or_shape_is_not_trusted(
    tmp_path, warnings, rows
):
    foreign = opened(tmp_path)
    foreign.fill(["0"], lambda batch: [{"words": rows}])
    layout = {"words": (torch.float32, (2,))}
    store = FeatureStore(tmp_path, "fp", SETTINGS, layout)
    assert len(store) == 0 and "not trusted" in warnings()
    assert store.fill(["0"], Encoder()) == 1
    assert len(FeatureStore(tmp_path, "fp", SETTINGS, layout)) == 1


@pytest.mark.parametrize("content", ["", "{", '{"fingerprint": "other"}'])
def test_a_wrong_description_is_written_again(tmp_path, warnings, content):
    store, _ = filled(tmp_path)
    path = store.folder / "store.json"
    right = path.read_text()
    assert json.loads(right) == {
        "fingerprint": "fp",
        "format": 2,
        "settings": SETTINGS,
    }
    path.write_text(content)
    assert_right(opened(tmp_path))
    assert path.read_text() == right
    assert str(path) in warnings()


def test_a_folder_has_one_name_and_must_be_writable(tmp_path):
    backwards = opened(tmp_path, settings=dict(reversed(SETTINGS.items())))
    assert backwards.folder == opened(tmp_path).folder
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file.*not writable"):
        opened(tmp_path / "file")


def test_a_failed_write_leaves_no_file_and_removes_old_ones(
    tmp_path, monkeypatch
):
    def fsync(descriptor):
        raise OSError("no space left")

    store = opened(tmp_path)
    for name in (".part-x-1-old", ".part-x-1-new"):
        (store.folder / name).write_text("")
    os.utime(store.folder / ".part-x-1-old", (0, 0))
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no space left"):
        store.fill(["0"], Encoder())
    left = sorted(path.name for path in store.folder.iterdir())
    assert left == [".part-x-1-new", "store.json"]


def test_stores_that_fill_at_once_see_each_others_shards(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    barrier = threading.Barrier(2)

    def encode(batch):
        barrier.wait(timeout=10)  # both have looked for what is missing
        return [item(i) for i in batch]

    keys = [str(i) for i in range(10)]
    thread = threading.Thread(target=other.fill, args=(keys, encode))
    thread.start()
    one.fill(keys, encode)
    thread.join()
    for store in (one, other, opened(tmp_path)):
        assert_right(store)
    assert one.fill(keys, encode) == 0


def test_loading_runs_one_batch_ahead_in_another_thread(tmp_path):
    events, second_loaded = [], threading.Event()

    def load(batch):
        events.append(threading.current_thread())
        if batch == [1]:
            second_loaded.set()
        return [i * 10 for i in batch]

    def encode(loaded):
        # Hangs unless the second batch loads while the first is encoded.
        assert second_loaded.wait(timeout=10)
        return [{"x": torch.tensor([i])} for i in loaded]

    store = opened(tmp_path)
    store.fill(["a", "b", "c"], encode, batch_size=1, load=load)
    assert [store[key]["x"].item() for key in "abc"] == [0, 10, 20]
    assert threading.main_thread() not in events


@pytest.mark.parametrize("n_loaders", [1, 3])
def test_loading_is_never_far_ahead(tmp_path, monkeypatch, n_loaders):
    monkeypatch.setattr(store_module, "N_LOADERS", n_loaders)
    in_memory, most = WeakSet(), []

    class Loaded(list):
        __hash__ = object.__hash__

    def load(batch):
        loaded = Loaded(batch)
        in_memory.add(loaded)
        most.append(len(in_memory))
        return loaded

    def encode(loaded):
        time.sleep(0.002)  # the loaders are faster
        return [item(i) for i in loaded]

    keys = [str(i) for i in range(100)]
    opened(tmp_path).fill(keys, encode, batch_size=2, load=load)
    assert_right(opened(tmp_path), 100)
    # Of 50: one is encoded, one is about to be forgotten, and each thread may
    # hold one that waits and one that it has not let go of.
    assert max(most) <= 2 * n_loaders + 2


@hypothesis_settings(deadline=None, max_examples=30, derandomize=True)
@given(
    st.sampled_from([torch.float32, torch.float16, torch.bool, torch.int64]),
    st.lists(st.integers(0, 3), max_size=2),
    st.lists(st.integers(0, 5), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_ragged_items_come_back_bit_for_bit(
    dtype, tail, lengths, batch_size, shard_items
):
    items = [
        {
            "ragged": torch.randint(-9, 9, (length, *tail)).to(dtype),
            "fixed": torch.randint(-9, 9, (2,)).to(dtype),
        }
        for length in lengths
    ]
    keys = [f"key {i}" for i in range(len(items))]
    with tempfile.TemporaryDirectory() as folder:
        opened(folder).fill(
            keys,
            lambda batch: [items[i] for i in batch],
            batch_size=batch_size,
            shard_items=shard_items,
        )
        store = opened(folder)
        for key, expected in zip(keys, items, strict=True):
            torch.testing.assert_close(store[key], expected, rtol=0, atol=0)


def test_two_ranks_store_what_one_process_does(tmp_path):
    rendezvous = str(tmp_path / "rendezvous")
    processes = [start(tmp_path / "one")] + [
        start(tmp_path / "two", RANK=str(rank), RENDEZVOUS=rendezvous)
        for rank in range(2)
    ]
    # The second fill of SCRIPT leaves rank 1 with nothing, the third both.
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.split("\n")[-2] == "[10, 1, 0]"
    for settings, n_items in ((SETTINGS, 11), ({"kind": "recordings"}, 23)):
        one, two = (
            opened(tmp_path / name, settings=settings)
            for name in ("one", "two")
        )
        assert {path.name.split("-")[1] for path in shards(two)} == {"0", "1"}
        # Every item is in one shard only: the ranks shared the work.
        stored = [key for path in shards(two) for key in open_keys(path)]
        assert len(stored) == len(two) == len(one) == n_items
        for key in one:
            assert as_bytes(two[key]) == as_bytes(one[key])
