"""Read TensorFlow's checkpoints without TensorFlow.

A checkpoint is an index, which is a LevelDB table of protocol buffers (a
``BundleEntryProto`` for each variable: type, shape, offset, size), and a data
file in which the variables follow one another. This module reads only what
YAMNet's SavedModel has: uncompressed tables, one data file and float32.

Format: ``tensorflow/core/util/tensor_bundle/tensor_bundle.h`` and
``tensorflow/core/protobuf/tensor_bundle.proto`` in TensorFlow's repository.

Authors
 * The afpt_plugin developers 2026
"""

import numpy as np

# A table ends with 48 bytes: two block handles, padding, and this number.
FOOTER_BYTES = 48
MAGIC = bytes.fromhex("57fb808b247547db")

# DataType.DT_FLOAT of TensorFlow's types.proto.
FLOAT32 = 1

# Field numbers of BundleEntryProto.
DTYPE, SHAPE, OFFSET, SIZE = 1, 2, 4, 5


def read_tf_checkpoint(index, data):
    """Read all float32 variables of a checkpoint.

    Arguments
    ---------
    index : bytes
        Content of ``variables.index``.
    data : bytes
        Content of ``variables.data-00000-of-00001``.

    Returns
    -------
    dict of numpy.ndarray
        Name -> float32 values.

    Raises
    ------
    ValueError
        If the index is not such a table, or lists variables that the data file
        does not hold.

    Example
    -------
    >>> read_tf_checkpoint(b"", b"")
    Traceback (most recent call last):
    ...
    ValueError: the index does not end as a TensorFlow checkpoint's does
    """
    footer = index[-FOOTER_BYTES:]
    if not footer.endswith(MAGIC):
        raise ValueError(
            "the index does not end as a TensorFlow checkpoint's does"
        )
    try:
        # The first handle points to the meta index, the second to the index.
        _, position = _varint(footer, 0)
        _, position = _varint(footer, position)
        handle = footer[position:]
        variables = {}
        for _, block in _entries(index, handle):
            for name, entry in _entries(index, block):
                fields = _fields(entry)
                if name and fields.get(DTYPE) == FLOAT32:
                    variables[name.decode()] = _values(fields, data)
        return variables
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("the checkpoint's index is damaged") from error


def _values(fields, data):
    start, size = fields.get(OFFSET, 0), fields[SIZE]
    # TensorShapeProto: each dimension is a message whose field 1 is its size
    shape = [
        _fields(dim).get(1, 0)
        for number, dim in _iterate_fields(fields.get(SHAPE, b""))
        if number == 2
    ]
    if size != 4 * np.prod(shape, dtype=int) or start + size > len(data):
        raise ValueError("the checkpoint's data file does not fit its index")
    return np.frombuffer(data, "<f4", size // 4, start).reshape(shape)


def _entries(table, handle):
    """Yield keys and values of the block at a handle; keys share prefixes."""
    start, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    if table[start + size] != 0:
        raise ValueError("the checkpoint's index is compressed")
    block = table[start : start + size]
    n_restarts = int.from_bytes(block[-4:], "little")
    end, position, key = size - 4 - 4 * n_restarts, 0, b""
    while position < end:
        n_shared, position = _varint(block, position)
        n_new, position = _varint(block, position)
        n_value, position = _varint(block, position)
        key = key[:n_shared] + block[position : position + n_new]
        position += n_new
        yield key, block[position : position + n_value]
        position += n_value


def _fields(message):
    """Map a protocol buffer's field numbers to values; the last repeat wins."""
    return dict(_iterate_fields(message))


def _iterate_fields(message):
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = divmod(tag, 8)
        if wire_type == 0:  # varint
            value, position = _varint(message, position)
        elif wire_type == 2:  # length, then bytes
            size, position = _varint(message, position)
            value = message[position : position + size]
            position += size
        else:  # 8 or 4 bytes
            size = {1: 8, 5: 4}.get(wire_type)
            if size is None:
                raise ValueError("the checkpoint's index is damaged")
            value = message[position : position + size]
            position += size
        yield number, value


def _varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
