"""What keeps a GPU busy; all but the last test without one."""

import threading
from unittest import mock

import pytest
import torch
from common import FakeClap

from afpt_plugin.data import gpu_encoding
from afpt_plugin.data.datasets import embed_captions, embed_recordings
from afpt_plugin.data.store import FeatureStore

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def allow_tf32():
    """Sets the flags of matrix products and of convolutions."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]

    def allow(*values):
        for backend, value in zip(backends, values, strict=True):
            backend.allow_tf32 = value

    yield allow
    allow(*before)


@pytest.fixture
def on_gpu(monkeypatch):
    """A GPU's ways on a CPU, with memory for 37 recordings in its half."""
    monkeypatch.setattr(gpu_encoding, "is_gpu", lambda device: True)
    monkeypatch.setattr(gpu_encoding, "make_sender", lambda device: list)
    monkeypatch.setattr(
        gpu_encoding, "zeros_for", lambda device, s: torch.zeros(s)
    )
    cuda = mock.Mock(
        memory_allocated=lambda device: 100,
        max_memory_allocated=lambda device: 100 + 8 * 10,
        memory_reserved=lambda device: 140,
        mem_get_info=lambda device: (700, 1000),
    )
    for name in (
        *("memory_allocated", "max_memory_allocated", "memory_reserved"),
        *("mem_get_info", "reset_peak_memory_stats", "Event"),
        "current_stream",
    ):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    return cuda


def embed(folder, tower, n=70, **settings):
    """Embed recordings of one to three seconds."""
    sigs = {str(i): torch.arange(4.0 * (1 + i % 3)) + i for i in range(n)}
    recordings = [{"key": key} for key in sigs]
    return embed_recordings(
        tower, recordings, folder, lambda r: sigs[r["key"]], settings
    )[0]


@pytest.mark.parametrize("matmul", [False, True])
@pytest.mark.parametrize("cudnn", [False, True])
def test_a_store_says_where_tf32_is_allowed_but_never_on_a_cpu(
    allow_tf32, matmul, cudnn
):
    allow_tf32(matmul, cudnn)
    expected = {"precision": "tf32"} if matmul or cudnn else {}
    assert gpu_encoding.arithmetic(CUDA) == expected
    assert gpu_encoding.arithmetic(CPU) == {}


def test_embeddings_of_another_arithmetic_are_not_read(monkeypatch, tmp_path):
    def folder(tower):
        return embed(tmp_path, tower, 2, clip_seconds=3.0).folder

    first = folder(FakeClap())
    monkeypatch.setattr(
        gpu_encoding, "arithmetic", lambda device: {"precision": "tf32"}
    )
    assert folder(FakeClap()) != first
    clap = mock.Mock(device=CPU, embed_dim=2, fingerprint="f")
    clap.caption_encoder.max_length = 7
    assert '"precision": "tf32"' in (
        embed_captions(clap, [], tmp_path)[0].folder / "store.json"
    ).read_text(encoding="utf-8")


def test_a_gpu_takes_what_memory_holds_and_stores_what_a_cpu_does(
    on_gpu, tmp_path
):
    tower = FakeClap()
    found = embed(tmp_path / "gpu", tower, clip_seconds=3.0)
    # One to see what it takes, then 32 of the 37 for which there is memory
    assert [len(wavs) for wavs in tower.calls] == [8, 32, 32, 6]
    assert on_gpu.Event().synchronize.call_count == 3
    with mock.patch.object(gpu_encoding, "is_gpu", lambda device: False):
        tower = FakeClap()
        expected = embed(tmp_path / "cpu", tower, clip_seconds=3.0)
        assert {len(wavs) for wavs in tower.calls} == {8, 6}
    assert list(found) == list(expected) and len(found) == 70
    for key, entry in expected.items():
        for field, value in entry.items():
            assert torch.equal(found[key][field], value)
    # What is full is not measured.
    full = FakeClap()
    embed(tmp_path / "gpu", full, clip_seconds=3.0)
    assert full.calls == []


def test_a_batch_is_encoded_while_another_is_waited_for(tmp_path):
    events = [threading.Event() for _ in range(4)]

    def encode(batch):
        (index,) = batch
        events[index].set()

        def wait():
            # Not there before the next batch has been sent off
            assert events[min(index + 1, 3)].wait(timeout=10)
            yield {"x": torch.tensor([index])}

        return wait()

    store = FeatureStore(tmp_path, "f", {})
    options = {"batch_size": 1, "shard_items": 2, "behind": 1}
    assert store.fill(list("abcd"), encode, **options) == 4
    assert [store[key]["x"].item() for key in "abcd"] == [0, 1, 2, 3]
    assert len(list(store.folder.glob("shard-*"))) == 2


def test_an_error_behind_the_computation_is_raised(tmp_path):
    def encode(batch):
        def fail():
            raise RuntimeError(f"batch {batch}")
            yield

        return fail() if batch == [3] else iter([{"x": torch.ones(1)}])

    store = FeatureStore(tmp_path, "f", {})
    options = {"batch_size": 1, "shard_items": 2, "behind": 1}
    with pytest.raises(RuntimeError, match=r"batch \[3\]"):
        store.fill(list("abcdef"), encode, **options)
    # What was complete is kept.
    assert {"a", "b"} <= set(FeatureStore(tmp_path, "f", {}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_stores_what_a_cpu_does(allow_tf32, tmp_path):
    from afpt_plugin.backbones import load_clap

    allow_tf32(False, False)
    clap, stores = load_clap("mini"), []
    generator = torch.Generator().manual_seed(0)
    sigs = 0.1 * torch.randn(300, 16000, generator=generator)
    recordings = [{"key": str(index)} for index in range(len(sigs))]

    def load(recording):
        return sigs[int(recording["key"])]

    for device in ("cpu", "cuda"):
        clap.to(device)
        given = clap, recordings, tmp_path / device, load, {"clip_seconds": 1.0}
        stores.append(embed_recordings(*given)[0])
    one, other = stores
    assert set(one) == set(other) and one.folder.name == other.folder.name
    for key in one:
        for field in ("whole", "parts"):
            torch.testing.assert_close(
                other[key][field], one[key][field], atol=1e-4, rtol=1e-3
            )
