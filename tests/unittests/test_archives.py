"""Tests of afpt_plugin.data.archives."""

import io
import json
import tarfile
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from afpt_plugin.data import archives
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256


def zip_of(path, members):
    """Write a ZIP archive of {name: text}; a `ZipInfo` may be a name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def link_info():
    """A symbolic link, as Unix zips write it."""
    info = zipfile.ZipInfo("toy/link")
    info.external_attr = 0o120777 << 16
    return info


@pytest.fixture
def server(tmp_path):
    """A local web server of tmp_path/www; yields its URL and that folder."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def end_headers(self):
            # `short.zip` promises more than it sends.
            if self.path.endswith("short.zip"):
                self._headers_buffer = [
                    line.replace(b"Content-Length: ", b"Content-Length: 9")
                    for line in self._headers_buffer
                ]
            super().end_headers()

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    )
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_an_archive_is_downloaded_unpacked_and_put_on_record(server, tmp_path):
    url, www = server
    content = zip_of(www / "toy.zip", {"toy/a/b.txt": "hello"}).read_bytes()
    folder = tmp_path / "data"
    archive = archives.download_and_unpack(
        f"{url}/toy.zip", folder, name="t.zip"
    )
    assert archive == folder / "t.zip"
    assert (folder / "toy" / "a" / "b.txt").read_text() == "hello"
    assert json.loads((folder / "t.zip.json").read_text()) == {
        "url": f"{url}/toy.zip",
        "size": len(content),
        "sha256": file_sha256(www / "toy.zip"),
    }
    assert sorted(p.name for p in folder.iterdir()) == [
        "t.zip",
        "t.zip.json",
        "toy",
    ]


def test_an_archive_put_there_by_hand_is_not_downloaded(tmp_path):
    zip_of(tmp_path / "toy.zip", {"toy/b.txt": "hello"})
    archives.download_and_unpack("http://127.0.0.1:9/toy.zip", tmp_path)
    assert (tmp_path / "toy" / "b.txt").read_text() == "hello"


@pytest.mark.parametrize("name", ["absent.zip", "short.zip"])
def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    server, tmp_path, name
):
    url, www = server
    zip_of(www / "short.zip", {"toy/b.txt": "hello"})
    folder = tmp_path / "data"
    with pytest.raises(InputError) as caught:
        archives.download_and_unpack(f"{url}/{name}", folder)
    for part in (name, f"{url}/{name}", "by hand", str(folder / name)):
        assert part in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="could not be downloaded from http"):
        archives.download_and_unpack("http://127.0.0.1:9/toy.zip", tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be made"):
        archives.download_and_unpack(
            "http://127.0.0.1:9/a.zip", tmp_path / "file"
        )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "leaves the folder"),
        ("toy/../../evil.txt", "leaves the folder"),
        ("toy\\..\\..\\evil.txt", "leaves the folder"),
        ("/evil.txt", "leaves the folder"),
        ("C:/evil.txt", "leaves the folder"),
        (link_info(), "a link"),
    ],
)
def test_an_unsafe_zip_is_refused_whole(tmp_path, name, reason):
    folder = tmp_path / "data"
    folder.mkdir()
    zip_of(folder / "toy.zip", {"toy/good.txt": "hello", name: "/etc/passwd"})
    with pytest.raises(InputError, match=reason):
        archives.download_and_unpack("http://127.0.0.1:9/toy.zip", folder)
    assert not (folder / "toy").exists()
    assert {p.name for p in tmp_path.rglob("*")} == {
        "data",
        "toy.zip",
        "toy.zip.json",
    }


def tar_of(path, **entry):
    """Write a TAR archive of one file and one entry of the given kind."""
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("toy/good.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
        if entry:
            info = tarfile.TarInfo(entry.pop("name"))
            for key, value in entry.items():
                setattr(info, key, value)
            archive.addfile(info)
    return path


def test_a_tar_archive_is_unpacked(tmp_path):
    tar_of(tmp_path / "toy.tar.gz")
    archives.download_and_unpack("http://127.0.0.1:9/toy.tar.gz", tmp_path)
    assert (tmp_path / "toy" / "good.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "../evil"}, "leaves the folder"),
        (
            {"name": "toy/l", "type": tarfile.SYMTYPE, "linkname": "/etc"},
            "a link",
        ),
        (
            {"name": "toy/l", "type": tarfile.LNKTYPE, "linkname": "toy/good"},
            "a link",
        ),
        ({"name": "toy/fifo", "type": tarfile.FIFOTYPE}, "a link or device"),
    ],
)
def test_an_unsafe_tar_is_refused_whole(tmp_path, entry, reason):
    tar_of(tmp_path / "toy.tar.gz", **entry)
    with pytest.raises(InputError, match=reason):
        archives.download_and_unpack("http://127.0.0.1:9/toy.tar.gz", tmp_path)
    assert not (tmp_path / "toy").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    zip_of(tmp_path / "toy.zip", {"toy/big.txt": "x" * 1000})
    with pytest.raises(InputError, match="1000 bytes, more than the 999"):
        archives.download_and_unpack(
            "http://127.0.0.1:9/toy.zip", tmp_path, max_bytes=999
        )
    assert not (tmp_path / "toy").exists()


def damaged_zip(path):
    """A ZIP archive whose one member does not match its checksum."""
    content = bytearray(zip_of(path, {"toy/a.txt": "hello"}).read_bytes())
    content[content.index(b"hello")] ^= 1
    path.write_bytes(content)


def cut_tar(path):
    """A TAR archive that ends in the middle of a member."""
    path.write_bytes(tar_of(path).read_bytes()[:60])


@pytest.mark.parametrize(
    "make", [damaged_zip, cut_tar, lambda path: path.write_text("no archive")]
)
def test_a_damaged_archive_is_named_and_nothing_is_unpacked(tmp_path, make):
    make(tmp_path / "toy.any")
    with pytest.raises(InputError, match="toy.any: damaged, or no ZIP or TAR"):
        archives.download_and_unpack("http://127.0.0.1:9/toy.any", tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"toy.any", "toy.any.json"}


def test_an_archive_of_another_hash_is_refused(tmp_path):
    zip_of(tmp_path / "toy.zip", {"toy/a.txt": "hello"})
    with pytest.raises(InputError, match="not 00; it is damaged"):
        archives.download_and_unpack(
            "http://127.0.0.1:9/toy.zip", tmp_path, sha256="00"
        )
    assert not (tmp_path / "toy").exists()


def test_unpacking_overwrites_nothing(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine.txt").write_text("mine")
    zip_of(tmp_path / "toy.zip", {"toy/mine.txt": "theirs", "new.txt": "new"})
    with pytest.raises(InputError, match="toy is in the way"):
        archives.download_and_unpack("http://127.0.0.1:9/toy.zip", tmp_path)
    assert (tmp_path / "toy" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "new.txt").exists()
