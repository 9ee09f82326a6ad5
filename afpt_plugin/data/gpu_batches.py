"""Keep a data set on a GPU, so that a batch is a few rows of large tensors.

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

#: The largest share of a GPU's free memory that a data set may take.
SHARE = 0.25

FIELDS = ("whole", "parts", "mask", "target")


class Batch:
    """A batch with the interface of an `EmbeddingDataset`'s `PaddedBatch`.

    Arguments
    ---------
    ids : list of str
        IDs of the items.
    tensors : dict of torch.Tensor
        Maps a field to the items' values, ``[B, *]``.

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
        """Return a dict of field to tensor, of a `Batch` or a `PaddedBatch`."""
        return {
            name: getattr(batch, name).data
            for name in FIELDS
            if hasattr(batch, name)
        }

    def to(self, device):
        """Return the batch on a device."""
        tensors = Batch.tensors(self).items()
        return Batch(self.id, {name: t.to(device) for name, t in tensors})


class GpuDataset(torch.utils.data.Dataset):
    """An `EmbeddingDataset`, padded and stored on a device; see `on_device`.

    An item is its row number. `collate` turns row numbers into a `Batch`.
    """

    def __init__(self, ids, tensors):
        self.data_ids, self.tensors = ids, tensors

    def __len__(self):
        return len(self.data_ids)

    def __getitem__(self, row):
        return row

    def collate(self, rows):
        """Return the items of some rows as a `Batch`."""
        device = self.tensors["whole"].device
        index = torch.tensor(rows).to(device, non_blocking=True)  # [B]
        return Batch(
            [self.data_ids[row] for row in rows],
            {name: tensor[index] for name, tensor in self.tensors.items()},
        )


def on_device(dataset, device):
    """Put a data set on a device, if it fits there.

    Arguments
    ---------
    dataset : EmbeddingDataset
        The items.
    device : torch.device
        The device to put them on.

    Returns
    -------
    GpuDataset or EmbeddingDataset
        The data set on the device, or the given one if it would take more than
        `SHARE` of the free memory.

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
