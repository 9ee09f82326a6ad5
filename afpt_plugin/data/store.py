"""The frozen-feature store: a caption or a recording is encoded once.

The towers are frozen, so an embedding depends on the content, the backbone and
the preprocessing alone. A `FeatureStore` keeps embeddings in safetensors
shards, in a folder named after the backbone and the preprocessing, and finds
them by the hash of the content. Later epochs, seeds, learners and reruns read
instead of encoding again.

1. Name what is stored:

>>> folder = getfixture("tmp_path")
>>> store = FeatureStore(folder, "fingerprint of a CLAP", {"kind": "captions"})

2. Fill it. Only what is missing is encoded, and a killed run resumes:

>>> captions = ["a dog barks", "rain on a roof"]
>>> keys = [content_key(caption) for caption in captions]
>>> def encode(batch):
...     return [{"words": torch.ones(len(captions[i]), 2)} for i in batch]
>>> store.fill(keys, encode), store.fill(keys, encode)
(2, 0)

3. Read it:

>>> store[keys[0]]["words"].shape
torch.Size([11, 2])

A shard is never trusted: its name carries the hash of its bytes, and its header
states what it was made with. A shard that does not match is set aside, and its
items are encoded again.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import json
import os
import stat
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    ddp_prevent_block,
)
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from afpt_plugin.errors import refuse_unwritable
from afpt_plugin.files import file_sha256, part_of

logger = get_logger(__name__)

# Part of the folder's name: raise it when the layout of a shard changes.
FORMAT_VERSION = 2

# Number of threads that load. One keeps up with a tower on two CPU cores, but
# not with one on a GPU.
N_LOADERS = max(1, min(4, (os.cpu_count() or 1) // 2))


def content_key(data):
    """Hash bytes or a text (sha256); the hash is the key of its embeddings.

    Example
    -------
    >>> content_key("a dog barks") == content_key(b"a dog barks")
    True
    """
    if isinstance(data, str):
        data = data.encode()
    return hashlib.sha256(data).hexdigest()


def prefetched(load, batches, n_threads):
    """Yield ``load(batch)`` for each batch; each thread loads one batch ahead.

    It uses threads, not processes, because reading, resampling and a tower
    release the GIL, and nothing has to be imported or copied a second time.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        loading = deque()
        for batch in batches:
            loading.append(pool.submit(load, batch))
            if len(loading) > n_threads:
                yield loading.popleft().result()
        while loading:
            yield loading.popleft().result()


class FeatureStore(Mapping):
    """Embeddings on disk: a read-only mapping from key to named tensors.

    Several processes may fill one store at once: the worst that happens is
    that an item is encoded twice. Under ``torchrun``, every rank has to open
    and fill it together, on a file system that all of them see.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where stores live; this one gets a subfolder of its own.
    fingerprint : str
        Fingerprint of the backbone, see `FrozenClap.fingerprint`.
    settings : dict
        Whatever else decides the embeddings, as JSON values, e.g.
        ``{"kind": "recordings", "clip_seconds": 5.0, "crop": "start"}``.
    layout : dict, optional
        Maps a field to its dtype and its dimensions after the first, e.g.
        ``(torch.float32, (512,))``; by default, any layout is accepted.

    Raises
    ------
    InputError
        If the folder cannot be made or written.
    """

    def __init__(self, folder, fingerprint, settings, layout=None):
        self._layout = layout
        identity = {
            "format": FORMAT_VERSION,
            "fingerprint": fingerprint,
            "settings": settings,
        }
        self._identity = json.dumps(identity, sort_keys=True)
        self.folder = Path(folder) / content_key(self._identity)[:16]
        # key -> the fields of its shard and its position in each of them. Views
        # of the tensors are not kept, since 100,000 recordings would need
        # 300,000.
        self._items = {}
        self._shards = set()
        with refuse_unwritable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._describe()
        self._read()

    def __getitem__(self, key):
        fields, position = self._items[key]
        return {
            field: rows[starts[position] : starts[position + 1]]
            for field, (rows, starts) in fields.items()
        }

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def fill(
        self,
        keys,
        encode,
        batch_size=32,
        shard_items=512,
        desc="encoding",
        load=list,
        behind=0,
    ):
        """Encode what is missing and write it, a shard at a time.

        The batches depend on what is missing, not on the number of ranks, and a
        shard holds whole batches. A resumed fill therefore encodes the same
        batches as an uninterrupted one, so padding cannot make their values
        differ.

        Arguments
        ---------
        keys : list of str
            Keys of the wanted items; a key that is given twice is encoded once.
        encode : callable
            Takes what ``load`` returned and gives, for each item of the batch,
            a dict of CPU tensors with at least one dimension; the first
            dimension may vary between items. It may return a generator that
            waits for a GPU.
        batch_size : int
            How many items to encode at once.
        shard_items : int
            The most items in a shard, which are kept in memory and lost if the
            run is killed. A larger ``batch_size`` is lowered to it.
        desc : str
            Text of the progress bar, which is shown if something is missing.
        load : callable
            Takes a batch, as a list of indices into ``keys``; by default,
            returns that list. It runs in `N_LOADERS` threads, as many batches
            ahead of ``encode``.
        behind : int
            How many encoded batches may wait for a thread to write them, while
            more are encoded; they are lost, too, if the run is killed. By
            default, encoding waits for the writing.

        Returns
        -------
        int
            How many items were encoded, by all ranks together.

        Raises
        ------
        RuntimeError
            If an item is missing afterward, because another rank wrote it to a
            file system that this one does not see.
        """
        self._read()
        first = {}
        for index, key in enumerate(keys):
            first.setdefault(key, index)
        # Rank 0 decides, so that the ranks agree on who encodes what.
        missing, batch_size = ddp_broadcast(
            (
                [i for key, i in first.items() if key not in self._items],
                min(batch_size, shard_items),
            )
        )
        batches = [
            missing[start : start + batch_size]
            for start in range(0, len(missing), batch_size)
        ]
        rank, n_ranks = 0, 1
        if not ddp_prevent_block():  # also True inside run_on_main
            rank = torch.distributed.get_rank()
            n_ranks = torch.distributed.get_world_size()
        batches = batches[rank::n_ranks]
        total = sum(map(len, batches))
        if missing and rank == 0:
            logger.info("%s: %d of %d are new", desc, len(missing), len(first))
        pending = []  # (key, item) pairs

        def keep(batch, items, n_next):
            """Keep a batch; write a shard if the next batch does not fit."""
            found = [keys[index] for index in batch]
            pending.extend(zip(found, items, strict=True))
            if not n_next or len(pending) + n_next > shard_items:
                self.add(pending, rank)
                pending.clear()

        with (
            tqdm(
                total=total, desc=desc, disable=rank > 0 or not total or None
            ) as progress,
            ThreadPoolExecutor(1) as writer,
        ):
            waiting = deque()
            n_next = [*map(len, batches[1:]), 0][: len(batches)]
            loaded = prefetched(load, batches, N_LOADERS)
            for batch, n, part in zip(batches, n_next, loaded, strict=True):
                waiting.append(writer.submit(keep, batch, encode(part), n))
                if len(waiting) > behind:
                    waiting.popleft().result()
                progress.update(len(batch))
            for kept in waiting:
                kept.result()

        ddp_barrier()
        self._read()
        lost = [key for key in first if key not in self._items]
        if lost:
            raise RuntimeError(
                f"{self.folder}: {len(lost)} of {len(first)} items are not "
                f"there after encoding, first {lost[0]}; put the folder on a "
                "file system that every rank shares"
            )
        return len(missing)

    def _describe(self):
        """Write ``store.json``, which tells a person what the folder holds."""
        path = self.folder / "store.json"
        if path.is_file():
            if path.read_bytes() == self._identity.encode():
                return
            # Only shards carry embeddings, and each proves its own origin.
            logger.warning(f"{path}: damaged or foreign, written again")
        self._write_file(path, self._identity.encode())

    def _read(self):
        """Index the shards that have appeared since the last time."""
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            if path.name in self._shards:
                continue
            try:
                keys, fields = self._open(path)
            except FileNotFoundError:
                continue  # another process has just set it aside
            except (
                SafetensorError,
                OSError,
                LookupError,
                RecursionError,
                TypeError,
                ValueError,
            ) as error:
                logger.warning(
                    f"{path}: not trusted ({error}); set aside as *.rejected, "
                    "its items will be encoded again"
                )
                with suppress(OSError):
                    path.replace(path.with_name(f"{path.name}.rejected"))
                continue
            self._shards.add(path.name)
            for position, key in enumerate(keys):
                self._items.setdefault(key, (fields, position))

    def _open(self, path):
        """Check a shard; return its keys, and per field the rows and starts."""
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is not a file")
        if file_sha256(path) != path.stem.split("-")[-1]:
            raise ValueError("its hash does not match its name")
        # Memory-mapped: the rows take no memory until they are read.
        with safe_open(path, framework="pt") as shard:
            index = json.loads((shard.metadata() or {})["index"])
            if index["identity"] != self._identity:
                raise ValueError(f"it was made with {index['identity']}")
            fields = {
                field: (shard.get_tensor(field), [0, *accumulate(lengths)])
                for field, lengths in index["lengths"].items()
            }
            for field, (rows, starts) in fields.items():
                lengths = index["lengths"][field]
                if not all(type(n) is int and n >= 0 for n in lengths):
                    raise ValueError(f"a length of {field} is not a number")
                if len(starts) != len(index["keys"]) + 1 or starts[-1] != len(
                    rows
                ):
                    raise ValueError(f"the lengths of {field} do not add up")
        found = {
            k: (v.dtype, tuple(v.shape[1:])) for k, (v, _) in fields.items()
        }
        if self._layout is not None and found != self._layout:
            raise ValueError(f"it holds {found}, not {self._layout}")
        if not all(type(key) is str for key in index["keys"]):
            raise ValueError("a key is not a text")
        return index["keys"], fields

    def add(self, pending, rank=0):
        """Write one shard of (key, item) pairs; the next `_read` indexes it."""
        keys, items = zip(*pending, strict=True)
        columns = {field: [item[field] for item in items] for field in items[0]}
        index = {
            "identity": self._identity,
            "keys": keys,
            "lengths": {
                field: [len(tensor) for tensor in tensors]
                for field, tensors in columns.items()
            },
        }
        # One flat tensor per field lets a shard open in a few large reads.
        content = safetensors.torch.save(
            {field: torch.cat(tensors) for field, tensors in columns.items()},
            metadata={"index": json.dumps(index)},
        )
        name = f"shard-{rank}-{content_key(content)}.safetensors"
        self._write_file(self.folder / name, content)

    def _write_file(self, path, content):
        """Write a file so that it appears whole or not at all."""
        temporary = part_of(self.folder / uuid4().hex)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
