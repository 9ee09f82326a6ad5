"""The recorded sounds of the mini-CLAP recipe: manifest, readers, notice."""

import csv
import hashlib
import io
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from afpt_plugin.errors import InputError

RECIPE = Path(__file__).parents[2] / "recipes" / "MiniCLAP"
MANIFEST = RECIPE / "debian_sounds.csv"
sys.path.insert(0, str(RECIPE))

import debian  # noqa: E402

TONE = np.sin(np.arange(1600) * 0.2).astype("float32") * 0.5
PCM = (TONE * 32767).astype("<i2")


def wav(sample_rate=16000, sig=TONE):
    file = io.BytesIO()
    soundfile.write(file, sig, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def make_row(path="usr/share/x/a.wav", member="", data=None, **changes):
    data = wav() if data is None else data
    row = dict.fromkeys(debian.COLUMNS, "")
    row |= {"package": "box", "version": "1.0-1", "concept": "dog"}
    row |= {"path": path, "member": member, "licence": "MIT"}
    row |= {"attribution": "A. Author", "split": "train"}
    return row | {"sha256": hashlib.sha256(data).hexdigest()} | changes


def put(root, row, content, package=True):
    path = root / (row["package"] if package else "") / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_manifest(path, rows, columns=None):
    columns = debian.COLUMNS if columns is None else columns
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_zip(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def make_wad(members):
    body, table = b"", b""
    for name, data in members.items():
        table += struct.pack("<II8s", 12 + len(body), len(data), name.encode())
        body += data
    return struct.pack("<4sII", b"IWAD", len(members), 12 + len(body)) + (
        body + table
    )


def make_lump(sig, sample_rate=11025):
    body = ((sig * 127) + 128).astype("u1").tobytes()
    body = body[:1] * 16 + body + body[-1:] * 16
    return struct.pack("<HHI", 3, sample_rate, len(body)) + body


def make_cat(members):
    head, body = b"", b""
    for name, data in members.items():
        start = 8 * len(members) + len(body)
        head += struct.pack("<II", start | 0x80000000, len(data))
        name = name.encode() + b"\0"
        body += bytes([len(name)]) + name + data
    return head + body


def make_rcc(folder, members):
    """Build a resource with one folder; odd members are compressed."""
    names, starts = b"", []
    for name in [folder, *members]:
        starts.append(len(names))
        text = name.encode("utf-16-be")
        names += struct.pack(">HI", len(name), 0) + text
    content, tree = b"", struct.pack(">IHIIQ", 0, 2, 1, 1, 0)
    tree += struct.pack(">IHIIQ", starts[0], 2, len(members), 2, 0)
    for i, data in enumerate(members.values()):
        if i % 2:
            data = struct.pack(">I", len(data)) + zlib.compress(data)
        node = starts[i + 1], i % 2, 0, len(content), 0
        tree += struct.pack(">IHIIQ", *node)
        content += struct.pack(">I", len(data)) + data
    start = 20
    head = struct.pack(
        ">4s4I",
        b"qres",
        2,
        start,
        start + len(tree),
        start + len(tree) + len(content),
    )
    return head + tree + content + names


def make_sf2(samples):
    def chunk(name, data):
        return (
            name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        )

    smpl, shdr = b"", b""
    for name, (pcm, sample_rate) in samples.items():
        start = len(smpl) // 2
        smpl += pcm.tobytes()
        shdr += struct.pack(
            "<20s5IBbHH",
            *(name.encode(), start, len(smpl) // 2, 0, 0, sample_rate),
            *(60, 0, 0, 1),
        )
    shdr += b"EOS".ljust(46, b"\0")
    body = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"tiny!"))
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", smpl))
    body += chunk(b"LIST", b"pdta" + chunk(b"shdr", shdr))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"sfbk" + body


# path in the package, member, the archive's content, bytes that are hashed,
# sample rate
OTHER = wav(sig=TONE[::-1].copy())
ARCHIVES = {
    "zip": ("a.zip", "s/a.wav", make_zip({"b": OTHER, "s/a.wav": wav()})),
    "pk3": ("a.pk3", "s/a.wav", make_zip({"s/a.wav": wav(), "b": OTHER})),
    "wz": ("a.wz", "a.wav", make_zip({"a.wav": wav()})),
    "cat": (
        "a.cat",
        '01 "A". By B',
        make_cat({"x": OTHER, '"A". By B': wav()}),
    ),
    "rcc": ("a.rcc", "s/a.wav", make_rcc("s", {"b": OTHER, "a.wav": wav()})),
    "rcc plain": ("a.rcc", "s/a", make_rcc("s", {"a": wav(), "b": OTHER})),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_member_of_an_archive_is_read(tmp_path, kind):
    path, member, content = ARCHIVES[kind]
    row = make_row(path, member)
    put(tmp_path, row, content)
    sig = debian.load_sound(row, tmp_path)
    assert sig.dtype == torch.float32 and sig.shape == (3200,)
    torch.testing.assert_close(
        sig[::2][100:-100], torch.from_numpy(TONE)[100:-100], atol=1e-2, rtol=0
    )


def test_soundfont_sample_is_read_at_its_own_rate(tmp_path):
    samples = {"Low": (PCM[::-1], 8000), "Bark C#4(L)": (PCM, 32000)}
    row = make_row("a.sf2", "Bark C#4(L)", PCM.tobytes())
    put(tmp_path, row, make_sf2(samples))
    sig = debian.load_sound(row, tmp_path)
    torch.testing.assert_close(
        sig, torch.from_numpy(PCM.astype("float32") / 32768)
    )


def test_lump_of_a_wad_loses_its_padding(tmp_path):
    lump = make_lump(TONE, 32000)
    row = make_row("a.wad", "DSBARK", lump)
    put(tmp_path, row, make_wad({"MAP01": b"x", "DSBARK": lump}))
    sig = debian.load_sound(row, tmp_path)
    assert sig.shape == (1600,)
    assert (sig - torch.from_numpy(TONE)).abs().max() < 0.02


def test_plain_file_becomes_mono_at_32_khz(tmp_path):
    data = wav(8000, np.stack([TONE, -TONE], 1))
    row = make_row(data=data)
    put(tmp_path, row, data)
    sig = debian.load_sound(row, tmp_path)
    assert sig.shape == (6400,)
    assert sig.abs().max() < 1e-4  # the channels cancel


def test_packages_may_be_unpacked_into_one_folder(tmp_path):
    row = make_row()
    put(tmp_path, row, wav(), package=False)
    debian.find_packages([row], tmp_path)
    assert debian.load_sound(row, tmp_path).shape == (3200,)


def test_other_content_names_file_package_and_versions(tmp_path):
    row = make_row()
    path = put(tmp_path, row, OTHER)
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: box-extra\nVersion: 7\n\nPackage: box\nVersion: 2.0-1\n"
    )
    with pytest.raises(InputError) as error:
        debian.load_sound(row, tmp_path)
    for text in (str(path), "box", "1.0-1", "2.0-1", row["sha256"]):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.zip", b"not a zip file"),
        ("a.zip", make_zip({"other.wav": wav()})),
        ("a.wad", make_wad({"MAP01": b"x"})),
        ("a.wad", b"short"),
        ("a.cat", make_cat({"other": wav()})),
        ("a.rcc", make_rcc("s", {"other.wav": wav()})),
        ("a.rcc", b"x" * 64),
        ("a.sf2", make_sf2({"other": (PCM, 8000)})),
        ("a.sf2", b"RIFF"),
        ("a.tar", b""),
    ],
)
def test_unreadable_archive_is_an_input_error(tmp_path, path, content):
    row = make_row(path, "00 a.wav")
    put(tmp_path, row, content)
    with pytest.raises(InputError, match="00 a.wav"):
        debian.load_sound(row, tmp_path)


def test_file_that_is_no_sound_is_an_input_error(tmp_path):
    row = make_row(data=b"text")
    put(tmp_path, row, b"text")
    with pytest.raises(InputError, match="not a sound file"):
        debian.load_sound(row, tmp_path)


def test_absent_packages_are_named_with_both_ways_out(tmp_path):
    rows = [make_row(), make_row(package="crate"), make_row(package="crate")]
    put(tmp_path, rows[0], wav())
    with pytest.raises(InputError) as error:
        debian.find_packages(rows, tmp_path)
    message = str(error.value)
    assert "2 of 3" in message and "crate (2)" in message
    assert "sudo apt-get install" in message and "box" not in message
    assert "--sources generated" in message
    with pytest.raises(InputError, match="crate"):
        debian.load_sound(rows[1], tmp_path)


def test_apt_line_names_each_package_once():
    rows = [make_row(package=name) for name in ("b", "a", "b")]
    assert debian.apt_line(rows).endswith(" a b")


def test_permissive_leaves_copyleft_out(tmp_path):
    rows = [make_row(), make_row("b.wav", licence="GPL-2.0-or-later")]
    path = write_manifest(tmp_path / "m.csv", rows)
    assert debian.read_debian_manifest(path, "permissive") == rows[:1]
    assert debian.read_debian_manifest(path, "all") == rows
    with pytest.raises(InputError, match="everything"):
        debian.read_debian_manifest(path, "everything")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("licence", "Proprietary"),
        ("split", "test"),
        ("concept", "unicorn"),
        ("concept", " "),
        ("package", ""),
        ("package", "../box"),
        ("path", "../../etc/passwd"),
        ("path", "/etc/passwd"),
        ("sha256", "abc"),
        ("sha256", "G" * 64),
    ],
)
def test_bad_value_is_named_with_its_row(tmp_path, column, value):
    rows = [make_row(), make_row("b.wav") | {column: value}]
    path = write_manifest(tmp_path / "m.csv", rows)
    with pytest.raises(InputError, match="row 3") as error:
        debian.read_debian_manifest(path, "all", {"dog"})
    assert value.strip() in str(error.value)


def test_row_that_came_before_is_refused(tmp_path):
    path = write_manifest(tmp_path / "m.csv", [make_row(), make_row()])
    with pytest.raises(InputError, match="row 3.*row 2"):
        debian.read_debian_manifest(path)


def test_missing_column_and_short_row_are_refused(tmp_path):
    path = tmp_path / "m.csv"
    write_manifest(path, [make_row()], debian.COLUMNS[:-1])
    with pytest.raises(InputError, match="columns"):
        debian.read_debian_manifest(path)
    path.write_text(",".join(debian.COLUMNS) + "\nbox,1.0\n")
    with pytest.raises(InputError, match="row 2"):
        debian.read_debian_manifest(path)


def test_notice_credits_permissive_training_files_only(tmp_path):
    rows = [
        make_row(),
        make_row("b.wav"),
        make_row("c.wav", attribution="V. Alid", split="valid"),
        make_row("d.wav", attribution="C. Left", licence="GPL-2.0-only"),
    ]
    debian.write_notice(rows, tmp_path / "NOTICE")
    text = (tmp_path / "NOTICE").read_text()
    assert "box 1.0-1" in text and "2 x MIT: A. Author" in text
    assert "V. Alid" not in text and "C. Left" not in text


def test_checked_in_manifest_is_sound_and_its_notice_up_to_date(tmp_path):
    rows = debian.read_debian_manifest(MANIFEST, "all")
    permissive = debian.read_debian_manifest(MANIFEST)
    assert 500 < len(permissive) < len(rows)
    for some in (rows, permissive):
        n_valid = sum(row["split"] == "valid" for row in some)
        assert 0.05 < n_valid / len(some) < 0.2
    assert len({row["sha256"] for row in rows}) == len(rows)
    for row in permissive:
        if row["licence"].startswith(("CC-BY", "MIT", "BSD")):
            assert row["attribution"], row["path"]
    debian.write_notice(permissive, tmp_path / "NOTICE")
    shipped = RECIPE.parents[1] / "afpt_plugin" / "assets" / "NOTICE"
    assert (tmp_path / "NOTICE").read_bytes() == shipped.read_bytes()


def test_every_concept_of_the_manifest_has_captions():
    text = (RECIPE / "captions.yml").read_text(encoding="utf-8")
    concepts = yaml.safe_load(text)["sounds"]
    debian.read_debian_manifest(MANIFEST, "all", concepts)
