"""Captions and recordings as SpeechBrain datasets of frozen embeddings.

Both read the feature store, so a batch is a few tensors and never a waveform.
Training and validation items come from `caption_dataset` and hold text alone;
`recording_dataset` is for the test.

Authors
 * The afpt_plugin developers 2026
"""

import os

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from torch.nn.functional import normalize

from afpt_plugin.data.audio import read_clip
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.store import (
    encode_caption_features,
    encode_recording_features,
)


def _multi_hot(labels, n_classes):
    target = torch.zeros(n_classes)
    target[list(labels)] = 1.0
    return target


def caption_dataset(clap, captions, n_classes, store_folder, pad_to=None):
    """Make a dataset of captions.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    captions : list of Caption
        From `afpt_plugin.data.captions`.
    n_classes : int
        Length of a target.
    store_folder : str or pathlib.Path
        Where feature stores live.
    pad_to : int, optional
        Keep the padding up to this many tokens, as the authors do.

    Returns
    -------
    DynamicItemDataset
        Items of ``id``, ``sentence`` [D], ``words`` [T, D], ``word_mask`` [T],
        ``target`` [n_classes] (multi-hot).
    """
    store, keys = encode_caption_features(
        clap, [caption.caption for caption in captions], store_folder, pad_to
    )
    items = {
        f"caption-{index}": {"key": key, "labels": caption.labels}
        for index, (key, caption) in enumerate(zip(keys, captions, strict=True))
    }

    def embeddings(key):
        entry = store[key]
        yield entry["sentence"]
        yield entry["words"]
        yield entry["word_mask"].float()

    dataset = DynamicItemDataset(items)
    dataset.add_dynamic_item(
        embeddings, takes="key", provides=["sentence", "words", "word_mask"]
    )
    dataset.add_dynamic_item(
        lambda labels: _multi_hot(labels, n_classes),
        takes="labels",
        provides="target",
    )
    dataset.set_output_keys(["id", "sentence", "words", "word_mask", "target"])
    return dataset


def class_means(captions):
    """Average the sentences of each class: where the class's own texts lie.

    A caption of several classes counts for each of them by its share.

    Arguments
    ---------
    captions : DynamicItemDataset
        From `caption_dataset`, with a caption of each class at least.

    Returns
    -------
    torch.Tensor
        Means of normalized embeddings, [n_classes, D].
    """
    items = [captions[i] for i in range(len(captions))]
    sentences = normalize(
        torch.stack([item["sentence"] for item in items]).float(), dim=-1
    )  # [N, D]
    targets = torch.stack([item["target"] for item in items])  # [N, n_classes]
    shares = normalize(targets, p=1, dim=1)
    return normalize(shares, p=1, dim=0).T @ sentences


def recording_dataset(
    clap, manifest, class_names, store_folder, settings, batch_size=8
):
    """Make the test set of recordings.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    manifest : str or pathlib.Path
        Written by a prep script.
    class_names : list of str
        In the order of the class indices.
    store_folder : str or pathlib.Path
        Where feature stores live.
    settings : dict
        How recordings are cut: arguments of `afpt_plugin.data.audio.read_clip`
        besides the path and the rate; part of the store's key.
    batch_size : int
        Recordings encoded at once.

    Returns
    -------
    DynamicItemDataset
        Items of ``id``, ``clip`` [D], ``frames`` [T, D], ``frame_mask`` [T],
        ``target`` [n_classes] (multi-hot).
    """
    rows = read_manifest(manifest)
    store, keys = encode_recording_features(
        clap,
        [{"key": row["sha256"], "wav": row["wav"]} for row in rows],
        store_folder,
        lambda row: read_clip(row["wav"], clap.sample_rate, **settings),
        settings,
        batch_size,
    )
    index = {name: number for number, name in enumerate(class_names)}
    items = {
        row["ID"]: {"key": key, "label": row["label"]}
        for row, key in zip(rows, keys, strict=True)
    }

    def embeddings(key):
        entry = store[key]
        yield entry["clip"]
        yield entry["frames"]
        yield entry["frame_mask"].float()

    dataset = DynamicItemDataset(items)
    dataset.add_dynamic_item(
        embeddings, takes="key", provides=["clip", "frames", "frame_mask"]
    )
    dataset.add_dynamic_item(
        lambda label: _multi_hot(
            [index[name] for name in label.split("|")], len(class_names)
        ),
        takes="label",
        provides="target",
    )
    dataset.set_output_keys(["id", "clip", "frames", "frame_mask", "target"])
    return dataset


def make_datasets(hparams, clap, class_names, train, valid):
    """Make all that a recipe needs: text to learn from, recordings to test on.

    Arguments
    ---------
    hparams : dict
        The YAML's values: ``feature_folder``, ``caption_padding``,
        ``save_folder`` (with the manifest ``test.csv``), ``recording`` and
        ``recordings_per_batch``.
    clap : FrozenClap
        The backbone.
    class_names : list of str
        The data set's classes.
    train : list of Caption
        Captions to learn from.
    valid : list of Caption
        Captions to choose the epoch on; may be empty.

    Returns
    -------
    dict
        ``train``, ``valid`` (None without captions) and ``test``.
    """
    n_classes = len(class_names)
    folder, pad_to = hparams["feature_folder"], hparams["caption_padding"]
    return {
        "train": caption_dataset(clap, train, n_classes, folder, pad_to),
        "valid": caption_dataset(clap, valid, n_classes, folder, pad_to)
        if valid
        else None,
        "test": recording_dataset(
            clap,
            os.path.join(hparams["save_folder"], "test.csv"),
            class_names,
            folder,
            hparams["recording"],
            hparams["recordings_per_batch"],
        ),
    }
