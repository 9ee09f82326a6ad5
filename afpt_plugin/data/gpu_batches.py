"""Items that stay on a GPU: a batch is then a few rows of large tensors.

Reading, padding and copying the items of a batch takes Python longer than a
GPU needs for a training step. Embeddings are small, so those of a whole set are
padded once, and every batch has the same shape.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from speechbrain.dataio.batch import PaddedData
from torch.nn.utils.rnn import pad_sequence

from afpt_plugin.training.memory import free_bytes

#: A set may take this share of a GPU's free memory.
SHARE = 0.25

FIELDS = ("whole", "parts", "mask", "target")


class Batch:
    """What a `PaddedBatch` of an `EmbeddingDataset` is, made of tensors.

    Arguments
    ---------
    ids : list of str
        Of the items.
    tensors : dict of torch.Tensor
        Field to the items' values, ``[B, *]``.

    Example
    -------
    >>> batch = Batch(["a"], {"whole": torch.zeros(1, 3)})
    >>> batch.id, batch.to("cpu").whole.data.shape
    (['a'], torch.Size([1, 3]))
    """

    def __init__(self, ids, tensors):
        self.id = ids
        for name, tensor in tensors.items():
            setattr(self, name, PaddedData(tensor, None))

    @staticmethod
    def tensors(batch):
        """Field to tensor, of this or of a `PaddedBatch`."""
        return {
            name: getattr(batch, name).data
            for name in FIELDS
            if hasattr(batch, name)
        }

    def to(self, device):
        """The batch on a device."""
        tensors = Batch.tensors(self).items()
        return Batch(self.id, {name: t.to(device) for name, t in tensors})


class GpuDataset(torch.utils.data.Dataset):
    """An `EmbeddingDataset`, padded and on a device; use `on_device`.

    An item is its row. `collate` makes a `Batch` of rows.
    """

    def __init__(self, ids, tensors):
        self.data_ids, self.tensors = ids, tensors

    def __len__(self):
        return len(self.data_ids)

    def __getitem__(self, row):
        return row

    def collate(self, rows):
        """The items of some rows, as a `Batch`."""
        device = self.tensors["whole"].device
        index = torch.tensor(rows).to(device, non_blocking=True)  # [B]
        return Batch(
            [self.data_ids[row] for row in rows],
            {name: tensor[index] for name, tensor in self.tensors.items()},
        )


def on_device(dataset, device):
    """Put a set on a device, if it fits there.

    Arguments
    ---------
    dataset : EmbeddingDataset
        The items.
    device : torch.device
        Where to.

    Returns
    -------
    GpuDataset or EmbeddingDataset
        The same set if it would take more than `SHARE` of what is free.

    Example
    -------
    >>> from afpt_plugin.data.datasets import EmbeddingDataset
    >>> entry = {"whole": torch.ones(3), "parts": torch.ones(2, 3), "mask": torch.ones(2, dtype=torch.bool)}
    >>> items = {"a": {"key": "k", "labels": [1]}}
    >>> resident = on_device(EmbeddingDataset({"k": entry}, items, 2), torch.device("cpu"))
    >>> resident.collate([0]).target.data
    tensor([[0., 1.]])
    """
    items = [dataset[row] for row in range(len(dataset))]
    fields = [name for name in FIELDS if name in items[0]]
    needed = (
        4
        * len(items)
        * sum(max(item[name].numel() for item in items) for name in fields)
    )
    if needed > SHARE * free_bytes(device):
        return dataset
    tensors = {
        name: pad_sequence([item[name] for item in items], batch_first=True)
        for name in fields
    }  # [N, *] each
    return GpuDataset(
        [item["id"] for item in items],
        {name: tensor.to(device) for name, tensor in tensors.items()},
    )
