"""Tests of afpt_plugin.data.archives, with real archives and a real server."""

import hashlib
import io
import tarfile
import zipfile

import pytest
from common import cases, refused

from afpt_plugin.data import archives
from afpt_plugin.data.archives import download_and_unpack
from afpt_plugin.errors import InputError

URL = "http://127.0.0.1:9/toy.zip"  # where nobody answers


def zip_of(path, *names):
    """Write a ZIP archive of five bytes for each name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "hello")
    return path


def tar_of(path, name="toy/entry", kind=tarfile.REGTYPE, link=""):
    """Write a TAR archive of a good file, and of an entry of some kind."""
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("toy/good.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return path


def test_an_archive_is_downloaded_once_and_unpacked(server, tmp_path):
    url, www = server
    archive = zip_of(www / "toy.zip", "toy/a/b.txt").read_bytes()
    digest = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    folder = tmp_path / "data"
    download_and_unpack(f"{url}/toy.zip", folder, "t.zip", digest)
    assert (folder / "toy" / "a" / "b.txt").read_text() == "hello"
    assert {p.name for p in folder.iterdir()} == {"t.zip", "toy"}
    (folder / "toy").rename(tmp_path / "moved")
    download_and_unpack(URL, folder, "t.zip", digest)  # it is there
    assert (folder / "toy" / "a" / "b.txt").is_file()


@pytest.mark.parametrize("name", ["absent.zip", "short.zip", "whole.zip"])
def test_a_failed_download_names_the_way_out_and_leaves_nothing(
    server, tmp_path, name
):
    url, www = server
    zip_of(www / "short.zip", "toy/b.txt")
    zip_of(www / "whole.zip", "toy/b.txt")  # of another hash than wanted
    folder = tmp_path / "data"
    for address in (f"{url}/{name}", f"http://127.0.0.1:9/{name}"):
        with refused(address, "by hand", folder / name):
            download_and_unpack(address, folder, known_hash="sha256:00")
        assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"{tmp_path}/file"):
        download_and_unpack(URL, tmp_path / "file")


def damaged_zip(path):
    """Write a ZIP archive whose member does not match its checksum."""
    content = zip_of(path, "toy/a.txt").read_bytes()
    path.write_bytes(content.replace(b"hello", b"hallo"))


@cases(
    "write, fact",
    (lambda path: zip_of(path, "toy/a", "../evil"), "'../evil'"),
    (lambda path: zip_of(path, "toy/a", "b/../../evil"), "'b/../../evil'"),
    (lambda path: zip_of(path, "toy/a", "b\\..\\..\\evil"), "evil'"),
    (lambda path: zip_of(path, "toy/a", "/evil"), "'/evil'"),
    (lambda path: zip_of(path, "toy/a", "C:/evil"), "'C:/evil'"),
    (lambda path: tar_of(path, "../evil"), "'../evil'"),
    (lambda path: tar_of(path, "e", tarfile.SYMTYPE, "/etc"), "'e'"),
    (lambda path: tar_of(path, "e", tarfile.LNKTYPE, "../a"), "'e'"),
    (lambda path: tar_of(path, "e", tarfile.FIFOTYPE), "'e'"),
    (lambda path: zip_of(path, *map(str, range(21))), "105 bytes"),
    (lambda path: tar_of(path).write_bytes(path.read_bytes()[:60]), ""),
    (lambda path: path.write_text("this is not an archive"), ""),
    (damaged_zip, "CRC"),
)
def test_an_unsafe_or_damaged_archive_is_refused_whole(
    tmp_path, monkeypatch, write, fact
):
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 100)
    path = tmp_path / "data" / "toy.zip"
    path.parent.mkdir()
    write(path)
    with refused(path, fact):
        download_and_unpack(URL, path.parent)
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "toy.zip"]


def test_unpacking_overwrites_nothing(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine.txt").write_text("mine")
    zip_of(tmp_path / "toy.zip", "toy/mine.txt", "new.txt")
    with pytest.raises(InputError, match=f"{tmp_path}/toy;"):
        download_and_unpack(URL, tmp_path)
    assert (tmp_path / "toy" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "new.txt").exists()
