"""Fixtures of all tests."""

from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sample_noise import write_recordings

from afpt_plugin.cli import main


@pytest.fixture(scope="session")
def recordings_folder(tmp_path_factory):
    """Ten recordings of noise and their recordings.csv; not to be changed."""
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


@pytest.fixture
def mistake(capsys):
    """Run `afpt`, which has to end with status 2; its message."""

    def run(*words):
        with pytest.raises(SystemExit, match="2"):
            main([*map(str, words)])
        printed = capsys.readouterr().err
        assert "Traceback" not in printed
        return printed[printed.index("error: ") :]

    return run


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a log; `short.zip` promises more than it sends."""

    def log_message(self, *_):
        """Say nothing."""

    def send_header(self, keyword, value):
        """Lie about the length of one file."""
        if (keyword, self.path) == ("Content-Length", "/short.zip"):
            value = f"9{value}"
        super().send_header(keyword, value)


@pytest.fixture
def server(tmp_path):
    """A local web server: its URL, and the folder of what it serves."""
    folder = tmp_path / "www"
    folder.mkdir()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=folder)
    )
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def pytest_terminal_summary(terminalreporter):
    """Count the damaged inputs (`tests/faults`) by kind and outcome."""
    counts = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            # Of three reports of a test
            named = report.user_properties if report.when == "call" else ()
            for kind, right, wrong in (v for k, v in named if k == "fault"):
                row = counts.setdefault(kind, Counter())
                row.update(["cases", "failures" if wrong else right])
    if counts:
        counts["all"] = sum(counts.values(), Counter())
        terminalreporter.section("damaged inputs")
        columns = ("cases", "refused", "row", "accepted", "failures")
        lines = [("kind", *columns)]
        lines += [
            (kind, *(row[column] for column in columns))
            for kind, row in counts.items()
        ]
        for line in lines:
            terminalreporter.write_line(
                "| {} |".format(" | ".join(map(str, line)))
            )
