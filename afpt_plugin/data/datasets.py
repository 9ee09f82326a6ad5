"""Captions and recordings as SpeechBrain datasets of frozen embeddings.

`embed_captions` and `embed_recordings` fill a feature store, each in batches
that suit its tower. `EmbeddingDataset` reads both kinds of embeddings, so a
batch holds a few tensors and never a waveform.

Authors
 * The afpt_plugin developers 2026
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.logger import get_logger

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.data import gpu_encoding
from afpt_plugin.data.audio import read_clip
from afpt_plugin.data.store import FeatureStore, content_key
from afpt_plugin.learners.base import LabeledItems

logger = get_logger(__name__)

#: Captions in every batch of the text tower; a smaller batch is filled up.
CAPTION_ROWS = 16


class EmbeddingDataset(DynamicItemDataset):
    """Labeled items whose embeddings lie in a `FeatureStore`.

    An item has ``id``, ``whole`` [D], ``parts`` [T, D], ``mask`` [T] and
    ``target`` [n_classes], multi-hot. ``items`` maps an ID to
    ``{"key": .., "labels": [class index, ..]}``, with an optional ``source``,
    the original that a recording was cut from. If ``parts`` is False, items
    lack ``parts`` and ``mask``, and ``whole`` is read once and stays in memory.
    """

    def __init__(self, store, items, n_classes, parts=True):
        super().__init__(items)
        self.store, self.n_classes = store, n_classes
        keys = () if parts else {item["key"] for item in items.values()}
        wholes = {key: store[key]["whole"] for key in keys}

        def embeddings(key):
            """Read an item's embeddings."""
            entry = store[key]
            yield entry["whole"]
            yield entry["parts"]
            yield entry["mask"].float()

        def multi_hot(labels):
            """Turn class indices into a multi-hot vector, [n_classes]."""
            target = torch.zeros(n_classes)
            target[list(labels)] = 1.0
            return target

        if parts:
            provided = ["whole", "parts", "mask"]
            self.add_dynamic_item(embeddings, takes="key", provides=provided)
        else:
            provided = ["whole"]
            self.add_dynamic_item(
                wholes.__getitem__, takes="key", provides="whole"
            )
        self.add_dynamic_item(multi_hot, takes="labels", provides="target")
        self.set_output_keys(["id", *provided, "target"])

    def part(self, chosen):
        """Return the items where ``chosen`` (N booleans) is true."""
        items = zip(self.data.items(), chosen, strict=True)
        return EmbeddingDataset(
            self.store,
            dict(item for item, kept in items if kept),
            self.n_classes,
        )

    def without_parts(self):
        """Return the same items for a learner without fine scores."""
        return EmbeddingDataset(self.store, self.data, self.n_classes, False)

    def shots(self):
        """Return all items as `LabeledItems`, to initialize a learner."""
        with self.output_keys_as(["whole", "target"]):
            items = [self[index] for index in range(len(self))]
        return LabeledItems(
            torch.stack([item["whole"] for item in items]).float(),  # [N, D]
            torch.stack([item["target"] for item in items]),  # [N, n_classes]
            sources=[
                item.get("source") or key for key, item in self.data.items()
            ],
        )


def batch_item(batch):
    """Turn a batch of an `EmbeddingDataset` into `Embeddings`."""
    item = Embeddings(batch.whole.data, None, None)  # [B, D]
    if hasattr(batch, "parts"):
        parts, mask = batch.parts.data, batch.mask.data.bool()
        item = item._replace(parts=parts, mask=mask)  # [B, T, D], [B, T]
    return item


def rows_of(task, rows):
    """Return the rows of a task: all, or those of its half of the classes."""
    if task.all_class_names is None:
        return rows
    names = set(task.class_names)
    return [row for row in rows if set(row["label"].split("|")) <= names]


def caption_dataset(clap, captions, n_classes, store_folder, pad_to=None):
    """Make an `EmbeddingDataset` of `Caption`s; see `embed_captions`."""
    texts = [caption.caption for caption in captions]
    store, keys = embed_captions(clap, texts, store_folder, pad_to)
    items = {
        f"caption-{index}": {"key": key, "labels": caption.labels}
        for index, (key, caption) in enumerate(zip(keys, captions, strict=True))
    }
    return EmbeddingDataset(store, items, n_classes)


def recording_dataset(
    clap,
    rows,
    class_names,
    store_folder,
    clip_seconds,
    batch_size=None,
    **clip_options,
):
    """Make an `EmbeddingDataset` of recordings; see `embed_recordings`.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    rows : list of dict
        Rows of a manifest that a prep script wrote, see `read_manifest`.
    class_names : list of str
        The classes, in the order of the class indices.
    store_folder : str or pathlib.Path
        Where feature stores live.
    clip_seconds, **clip_options
        How recordings become clips, see `afpt_plugin.data.audio.read_clip`.
    batch_size : int, optional
        How many recordings to encode at once, see `embed_recordings`.
    """
    settings = {"clip_seconds": clip_seconds, **clip_options}
    store, keys = embed_recordings(
        clap,
        [{"key": row["sha256"], "wav": row["wav"]} for row in rows],
        store_folder,
        lambda row: read_clip(row["wav"], clap.sample_rate, **settings),
        settings,
        batch_size,
    )
    index = {name: number for number, name in enumerate(class_names)}
    items = {
        row["ID"]: {
            "key": key,
            "labels": [index[name] for name in row["label"].split("|")],
            "source": row.get("source", ""),
        }
        for row, key in zip(rows, keys, strict=True)
    }
    return EmbeddingDataset(store, items, len(class_names))


def _layout(clap):
    """Return the fields of a backbone's shards, with dtypes and dimensions."""
    rows = torch.float32, (clap.embed_dim,)
    return {
        "whole": (torch.float32, ()),
        "parts": rows,
        "mask": (torch.bool, ()),
    }


def embed_captions(clap, captions, store_folder, pad_to=None):
    """Store the embeddings of captions.

    What is stored for a caption depends on the caption alone: the tower always
    sees `CAPTION_ROWS` captions that have the same number of tokens. A batch of
    another shape would round matrix products differently, so a run's result
    would depend slightly on the captions that earlier runs left in the store.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    captions : list of str
        N texts.
    store_folder : str or pathlib.Path
        Where feature stores live.
    pad_to : int, optional
        Pad and cut every caption to this many tokens and store the padding
        too, as the authors do; by default only real words are stored.

    Returns
    -------
    store : FeatureStore
        Its entries have ``whole`` [D], ``parts`` [T, D] and ``mask`` [T].
    keys : list of str
        N keys, in the order of ``captions``.
    """
    settings = {"kind": "captions", "pad_to": pad_to, "rows": CAPTION_ROWS}
    settings |= gpu_encoding.arithmetic(clap.device)
    store = FeatureStore(
        store_folder, clap.fingerprint, settings, _layout(clap)
    )
    # Texts of similar length tend to have equally many tokens. Sorting by text,
    # too, makes the order unique.
    ordered = sorted(set(captions), key=lambda text: (len(text), text))
    _say_what_is_cut(clap.caption_encoder, captions, pad_to)

    @torch.no_grad()
    def encode(batch):
        """Embed a batch of captions."""
        texts = [ordered[index] for index in batch]
        tokens = clap.caption_encoder.tokenize(texts, pad_to)
        groups = {}
        for text, mask in zip(texts, tokens.attention_mask, strict=True):
            groups.setdefault(pad_to or int(mask.sum()), []).append(text)
        entries = {}
        for group in groups.values():
            for start in range(0, len(group), CAPTION_ROWS):
                rows = group[start : start + CAPTION_ROWS]
                spare = CAPTION_ROWS - len(rows)
                embeddings = clap.encode_captions(
                    rows + rows[:1] * spare, pad_to
                )
                # Discard the rows that only fill up the batch.
                found = gpu_encoding.entries(
                    embeddings, keep_padding=bool(pad_to)
                )
                entries |= zip(rows, found, strict=False)
        return [entries[text] for text in texts]

    store.fill(
        [content_key(caption) for caption in ordered],
        encode,
        batch_size=256,  # encode() groups these by number of tokens
        desc="encoding captions",
    )
    return store, [content_key(caption) for caption in captions]


def _say_what_is_cut(encoder, captions, pad_to):
    """Warn about captions that have more tokens than the tower reads."""
    limit = min(pad_to or encoder.max_length, encoder.max_length)
    # Only these can be too long: a token has at least one byte, and few special
    # tokens surround a text.
    long = [text for text in captions if len(text.encode()) + 4 > limit]
    counts = encoder.count_tokens(long) if long else []
    cut = [t for t, n in zip(long, counts, strict=True) if n > limit]
    if cut:
        logger.warning(
            "%d of %d captions have more than %d tokens, and nothing is read "
            "of what follows; shorten them. The first is %r",
            *(len(cut), len(captions), limit, cut[0]),
        )


def embed_recordings(
    clap, recordings, store_folder, load, settings, batch_size=None
):
    """Store the embeddings of recordings.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    recordings : list of dict
        N recordings, each with a ``key``, see `content_key`.
    store_folder : str or pathlib.Path
        Where feature stores live.
    load : callable
        Takes a recording and returns its ``sig`` [samples] at
        ``clap.sample_rate``. It runs in threads while earlier batches are
        encoded.
    settings : dict
        How ``load`` crops and pads, as JSON values, e.g.
        ``{"clip_seconds": 5.0, "crop": "start"}``. If a GPU encodes in TF32,
        the store's settings say so, too.
    batch_size : int, optional
        How many recordings to encode at once; by default 8, or on a GPU a
        number that suits its memory.

    Returns
    -------
    store : FeatureStore
        Its entries have ``whole`` [D], ``parts`` [T, D] and ``mask`` [T].
    keys : list of str
        N keys, in the order of ``recordings``.
    """
    on_gpu = gpu_encoding.is_gpu(clap.device)
    store = FeatureStore(
        store_folder,
        clap.fingerprint,
        {
            **settings,
            "kind": "recordings",
            **gpu_encoding.arithmetic(clap.device),
        },
        _layout(clap),
    )
    keys = [recording["key"] for recording in recordings]
    if batch_size is None:
        batch_size = gpu_encoding.CPU_BATCH
        if "clip_seconds" in settings and not store.keys() >= set(keys):
            n_samples = round(settings["clip_seconds"] * clap.sample_rate)
            batch_size = gpu_encoding.recordings_at_once(clap, n_samples)

    def load_one(index):
        """Read a recording."""
        sig = load(recordings[index])
        # A view of the start would keep the whole recording in memory.
        whole = sig.untyped_storage().nbytes()
        return sig.clone() if whole > 2 * sig.nbytes else sig

    def load_batch(batch):
        """Read a batch of recordings, as waveforms and relative lengths."""
        each = readers.map if on_gpu else map
        sigs = list(each(load_one, batch))
        lengths = torch.tensor([len(sig) for sig in sigs])
        shape = len(sigs), int(lengths.max())
        wavs = gpu_encoding.zeros_for(clap.device, shape)  # [B, samples]
        for row, sig in zip(wavs, sigs, strict=True):
            row[: len(sig)] = sig
        return wavs, lengths / lengths.max()

    send = gpu_encoding.make_sender(clap.device)

    @torch.no_grad()
    def encode(loaded):
        """Embed a batch of recordings."""
        return gpu_encoding.entries(clap.encode_audio(*send(loaded)))

    options = (
        {"shard_items": gpu_encoding.GPU_SHARD, "behind": 1} if on_gpu else {}
    )
    with (
        ThreadPoolExecutor(gpu_encoding.N_READERS)
        if on_gpu
        else nullcontext() as (readers)
    ):
        store.fill(
            keys,
            encode,
            batch_size=batch_size,
            desc="encoding recordings",
            load=load_batch,
            **options,
        )
    return store, keys
