"""Ways to damage a file: each takes bytes, and a path for what is no file.

All of them are drawn from a seed, so that a case is the same in every run.
"""

import os
import random
import shutil

#: What a field of a header may hold instead, as bytes that are repeated.
FIELDS = (b"\x00", b"\xff", b"\x7f")


def flip(data, seed, low=0.0, high=1.0):
    """One bit, within a share of the file."""
    draw = random.Random(seed)
    place = draw.randrange(int(low * len(data)), int(high * len(data)))
    return (
        data[:place]
        + bytes([data[place] ^ 1 << draw.randrange(8)])
        + data[place + 1 :]
    )


def cut(data, share):
    """A share of the file; above 1, so many bytes."""
    return data[: int(share if share > 1 else share * len(data))]


def put(data, place, value):
    """Other bytes from a place on."""
    return data[:place] + value + data[place + len(value) :]


def noise(data, seed):
    """Random bytes, as many."""
    return random.Random(seed).randbytes(len(data))


#: Damages to any file whose content proves itself.
ANY = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: noise(data, 1),
    "half": lambda data: cut(data, 0.5),
    "without the last byte": lambda data: data[:-1],
    "with a byte more": lambda data: data + b"x",
    "twice": lambda data: data * 2,
    "UTF-16": lambda data: data.decode("latin-1").encode("utf-16"),
    **{
        f"bit {seed} flipped": (lambda data, seed=seed: flip(data, seed))
        for seed in range(8)
    },
}


def in_place(kind, path):
    """Put what is no file into a file's place."""
    path.unlink(missing_ok=True)
    if kind == "missing":
        return
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "kernel's log":
        path.symlink_to("/proc/kmsg")
    else:
        raise ValueError(kind)


NO_FILES = ("missing", "folder", "pipe", "loop", "device")
IN_PLACE = {kind: kind for kind in NO_FILES}


def copy(source, folder):
    """A folder of a template into a case's own."""
    shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)
