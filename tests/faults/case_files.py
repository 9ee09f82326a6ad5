"""Damaged recordings, checkpoints, stores, exports and archives."""

import io
import lzma
import struct
import tarfile
import zipfile
from functools import partial

import numpy as np
import soundfile
from case import Case
from damages import ANY, IN_PLACE, NO_FILES, cut, flip, in_place, noise, put
from templates import CLASSIFY, RECIPE, sound

CONTAINERS = {
    **{(kind, "PCM_16"): kind.lower() for kind in (
        *("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "NIST"),
        *("SVX", "MAT4", "MAT5", "VOC", "AVR", "MPC2K"),
    )},
    ("WAV", "FLOAT"): "wav",
    ("WAV", "IMA_ADPCM"): "wav",
    ("AIFF", "ALAW"): "aiff",
    ("CAF", "ALAC_16"): "caf",
    ("OGG", "VORBIS"): "ogg",
    ("OGG", "OPUS"): "opus",
    ("MP3", "MPEG_LAYER_III"): "mp3",
    ("WVE", "ALAW"): "wve",
}  # fmt: skip
CLASSIFY_ALL = ("afpt", "classify", "sounds", *CLASSIFY)


def classify(folder, data, suffix="wav"):
    """A damaged recording beside a good one."""
    sounds = folder / "sounds"
    sounds.mkdir()
    (sounds / "good.wav").write_bytes(sound(seed=5))
    if callable(data):
        data(sounds / f"bad.{suffix}")
    else:
        (sounds / f"bad.{suffix}").write_bytes(data)
    return CLASSIFY_ALL


def recordings():
    """Of the kind ``recording``."""

    def case(name, data, suffix="wav", right="row", because=""):
        make = partial(classify, data=data, suffix=suffix)
        return Case("recording", name, make, right, because)

    for (kind, subtype), suffix in CONTAINERS.items():
        data, name = sound(kind, subtype), f"{kind} of {subtype}"
        yield case(f"{name}, half", cut(data, 0.5), suffix)
        yield case(f"{name}, nine tenths", cut(data, 0.9), suffix)
        yield case(f"{name}, 20 bytes", cut(data, 20), suffix)
        yield case(f"{name}, noise", noise(data, 2), suffix)
    for kind in ("IRCAM", "PAF", "PVF", "XI"):
        subtype = "DPCM_16" if kind == "XI" else "PCM_16"
        yield case(
            f"{kind}, half",
            cut(sound(kind, subtype), 0.5),
            kind.lower(),
            "accepted",
            "the header does not tell a length, which is said",
        )._replace(said="does not tell its length")
    wav = sound()
    for field, place, width in (
        *(("format", 20, 2), ("channels", 22, 2), ("rate", 24, 4)),
        ("bits", 34, 2),
    ):
        for value in (b"\x00", b"\xff"):
            yield case(
                f"WAV, {field} of 0x{value.hex()}",
                put(wav, place, value * width),
            )
    for name, place, value in (
        ("chunk fmt renamed", 12, b"fmu "),
        ("chunk data renamed", 36, b"datb"),
        ("form renamed", 8, b"WAVF"),
        ("fmt of 0 bytes", 16, bytes(4)),
        ("fmt of 4 GB", 16, b"\xff" * 4),
        ("data of 2 GB", 40, b"\x00\x00\x00\x70"),
        ("data of twice the bytes", 40, struct.pack("<I", 16000)),
        ("data of 0 bytes", 40, bytes(4)),
    ):
        yield case(f"WAV, {name}", put(wav, place, value))
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e9):
        yield case(f"WAV, a sample of {value}", _floats(value))
    for rate in (1, 99, 2_000_000):
        yield case(f"WAV of {rate} Hz", put(wav, 24, struct.pack("<I", rate)))
    yield case("WAV without samples", sound(n_samples=0))
    yield case("Ogg twice", 2 * sound("OGG", "VORBIS"), "ogg")
    yield case("FLAC without samples", sound("FLAC", n_samples=0), "flac")
    flac, ogg = sound("FLAC", n_samples=20000), sound("OGG", "VORBIS", 20000)
    yield case("FLAC, half announced", put(flac, 24, b"\x27\x10"), "flac")
    for seed in range(6):
        yield case(f"FLAC, bit {seed}", flip(flac, seed, 0.2, 0.98), "flac")
        yield case(f"OGG, bit {seed}", flip(ogg, seed, 0.4, 0.98), "ogg")
        yield case(
            *(f"WAV, bit {seed}", flip(wav, seed, 0.1), "wav", "accepted"),
            because="samples without a checksum are samples",
        )
    for suffix in ("wav", "mp3", "m4a", "flac"):
        yield case(f"a text called .{suffix}", b"This is no sound.\n", suffix)
        yield case(f"nothing called .{suffix}", b"", suffix)
    for kind in ("pipe", "loop", "device", "kernel's log"):
        yield case(f"a {kind}", partial(in_place, kind))
    yield case(
        *("a folder", partial(in_place, "folder"), "wav", "accepted"),
        because="it is walked through, and empty",
    )


def _floats(value):
    file, sig = io.BytesIO(), np.zeros(4000, "float32")
    sig[[10, 20]] = 0.5, value
    soundfile.write(file, sig, 8000, "FLOAT", format="WAV")
    return file.getvalue()


def damage(folder, pattern, change, call):
    """Change one file of the template."""
    path = sorted(folder.glob(pattern))[0]
    if change in NO_FILES:
        in_place(change, path)
    else:
        path.write_bytes(change(path.read_bytes()))
    return call


# Of the flipped bits, those that are too many for runs of two seconds
BITS = [f"bit {n}" for n in range(3, 8)]


def checkpoints():
    """Of the kind ``checkpoint``: the last one of a run that was killed."""
    call = ("recipe", "OwnData", *RECIPE, "--output_folder", "cut")
    names = ["learner.ckpt", "CKPT.yaml", "manifest.json", "counter.ckpt"]
    for name in names:
        for what, change in (ANY | IN_PLACE).items():
            if what in ("UTF-16", "device") or what[:5] in BITS:
                continue
            # Without it, the folder is that of a killed process.
            is_none = name == "CKPT.yaml" and what in ("missing", "loop")
            # JSON and a count may be followed by white space, but not by this
            yield Case(
                "checkpoint",
                f"{name}, {what}",
                partial(
                    damage,
                    pattern=f"cut/save/CKPT*/{name}",
                    change=change,
                    call=call,
                ),
                "accepted",
                "the run goes on from the one before, or starts anew",
                "" if is_none else "not used, since",
                same_as_run="cut",
            )


def stores():
    """Of the kind ``store``: the features of a run that is made again."""
    call = ("recipe", "OwnData", *RECIPE, "--output_folder", "new")
    for pattern, said in (
        ("results/features/*/shard-*", "not trusted"),
        ("results/features/*/store.json", "damaged or foreign"),
        ("results/features/recordings.json", "is damaged"),
    ):
        for what, change in (ANY | IN_PLACE).items():
            if what in ("twice", "missing", "UTF-16") or what[:5] in BITS:
                continue
            if "recordings" in pattern and ("bit" in what or "folder" in what):
                continue  # a cache of facts, which are measured again
            if "shard" not in pattern and what in ("folder", "loop", "device"):
                continue
            yield Case(
                "store",
                f"{pattern.split('/')[-1]}, {what}",
                partial(damage, pattern=pattern, change=change, call=call),
                "accepted",
                "what is damaged is encoded again",
                # A pipe in the place of a description is replaced.
                "" if (said, what) == ("damaged or foreign", "pipe") else said,
                same_as_run="new",
            )


def exports():
    """Of the kind ``export``."""

    def make(folder, name, change):
        classify(folder, sound())
        return damage(folder, f"export/{name}", change, CLASSIFY_ALL)

    more = {f"bit {n} flipped": partial(flip, seed=n) for n in range(8, 14)}
    for name in ("learner.safetensors", "hyperparams.yaml"):
        for what, change in (ANY | more | IN_PLACE).items():
            # The last of a YAML file is a line's end.
            spare = name[0] == "h" and what == "without the last byte"
            yield Case(
                "export",
                f"{name}, {what}",
                partial(make, name=name, change=change),
                "accepted" if spare else "refused",
                "all values are there" if spare else "",
            )
    for old, new in (
        (b"multi_label: false", b"multi_label: true"),
        (b"logit_scale: ", b"logit_scale: 1"),
        (b"- dog", b"- dig"),
        (b"- dog\n- rain", b"- rain\n- dog"),
        (b"clip_seconds: 5.0", b"clip_seconds: 50.0"),
        (b"clip_seconds: 5.0", b"clip_seconds: .inf"),
        (b"clip_seconds: 5.0", b"clip_seconds: " + b"9" * 5000),
        (b"channels: mean", b"channels: !!python/name:os.system"),
        (b"channels: mean", b"channels: !apply:os.getcwd"),
        (b"channels: mean", b"channels: " + b"[" * 3000 + b"]" * 3000),
        (b"channels: mean", b"channels: &a [*a, *a]"),
        (b"learner: PromptLearner", b"learner: os.system"),
        (b"n_ctx: 5", b"n_ctx: 5000000000"),
        (b"n_ctx: 5", b"n_ctx: -5"),
        (b"n_ctx: 5", b"n_ctx: null"),
    ):
        yield Case(
            "export",
            f"hyperparams.yaml, {new.decode()[:40]!r}",
            partial(
                make,
                name="hyperparams.yaml",
                change=lambda data, old=old, new=new: data.replace(old, new),
            ),
            "refused",
        )
    yield Case(
        "export",
        "README.md, empty",
        partial(make, name="README.md", change=lambda _: b""),
        "accepted",
        "it is for people",
    )


def archives():
    """Of the kind ``archive``: one that was downloaded before."""
    call = (
        *("recipe", "ESC50", "hparams.yaml", "--download", "True"),
        *("--data_folder", "data", "--results_folder", "new_results"),
        *("--device", "cpu"),
    )
    member = {"ESC-50-master/meta/esc50.csv": b"filename\n" * 500}

    def make(folder, data):
        (folder / "data").mkdir()
        path = folder / "data/ESC-50-master.zip"
        if data in NO_FILES:
            in_place(data, path)
        else:
            path.write_bytes(data)
        return call

    def case(name, data):
        return Case("archive", name, partial(make, data=data), "refused")

    for writer in (_zip, _tar):
        whole = writer(member)
        for what, change in ANY.items():
            yield case(f"{writer.__name__[1:]}, {what}", change(whole))
        for name in ("../out.csv", "/out.csv", "a/../../out.csv", "..\\out"):
            yield case(f"{writer.__name__[1:]}, {name}", writer({name: b"x"}))
        yield case(
            f"{writer.__name__[1:]}, over the metadata's own folder",
            writer({"ESC-50-master.zip": b"x"}),
        )
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        yield case(f"tar, type {kind}", _tar({"a": b""}, kind, "/etc/passwd"))
    for writer in (_zip, _tar):
        clash = {"a": b"x", "a/b": b"y"}
        yield case(f"{writer.__name__[1:]}, a file as folder", writer(clash))
        long = writer({"a" * 300: b"x"})
        yield case(f"{writer.__name__[1:]}, a name too long", long)
    bad_xz = put(lzma.compress(noise(bytes(9000), 3)), 6000, b"x" * 50)
    yield case("xz, noise in the middle", bad_xz)
    yield case("zip, a bomb", _bomb())
    for kind in ("folder", "pipe", "loop"):
        yield case(f"a {kind}", kind)


def _zip(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _tar(members, kind=tarfile.REGTYPE, target=""):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, target
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _bomb():
    """A member that claims 2 TB."""
    data = bytearray(_zip({"a": bytes(10**6)}))
    place = data.rindex(b"PK\x01\x02")
    data[place + 20 : place + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    return bytes(data)
