"""`afpt demo` as a user meets it: a page in a real browser, on real sounds."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from processes import ROOT, run

import afpt_plugin
from afpt_plugin.backbones import load_clap
from afpt_plugin.export import write_export
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.task import Task

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
NEEDED = {
    "gradio": find_spec("gradio"),
    "selenium": find_spec("selenium"),
    "chromium": BROWSER,
    "chromedriver": DRIVER,
}
MISSING = [name for name, found in NEEDED.items() if not found]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"
    ),
]

SOUNDS = Path(afpt_plugin.__file__).parent / "assets" / "recordings"
BABY = SOUNDS / "baby_scratch_cry.ogg"
NAMES = ["dog barking", "rain", "crying baby", "church bells"]
ROW = re.compile(r"(?m)^(.+?)\s+([\d.]+%)$")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    clap = load_clap("mini")
    learner = PromptLearner(ctx_init="this is a sound of").setup(clap, NAMES)
    folder = tmp_path_factory.mktemp("run") / "export"
    return write_export(
        folder, clap, learner, Task("Sounds", NAMES), Template()
    )


@pytest.fixture(scope="module")
def url(export, tmp_path_factory):
    """The page's address; when it ends, nothing is left of what it was given."""
    folders = [tmp_path_factory.mktemp(name) for name in ("tmp", "cwd")]
    variables = {
        **{"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        **{"TMPDIR": str(folders[0]), "http_proxy": "http://127.0.0.1:9"},
    }
    command = f"demo {export} --no-browser --device cpu".split()
    errors = folders[0].parent / "errors.txt"
    with (
        open(errors, "w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "afpt_plugin.cli", *command],
            env={**os.environ, **variables},
            cwd=folders[1],
            text=True,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, errors.read_text()
            yield found[0]
            assert list(folders[0].rglob("baby*")), "uploads lie elsewhere"
        finally:
            process.terminate()
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    assert "Traceback" not in errors.read_text()
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a microphone that beeps, and a log of its requests."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        *("headless=new", "no-sandbox", "disable-dev-shm-usage"),
        *("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream"),
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
        "window-size=1280,900",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = Chrome(options, Service(DRIVER))
    browser.implicitly_wait(30)
    yield browser
    browser.quit()


class Page:
    """The page, freshly opened."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def click(self, words):
        """Click the button with a label or a text."""
        self.browser.find_element(
            "xpath",
            f"//button[@aria-label='{words}' or normalize-space()='{words}']",
        ).click()

    def upload(self, path):
        self.find("input[type=file]").send_keys(str(path))

    def edit(self, names):
        self.find("textarea").clear()
        self.find("textarea").send_keys("\n".join(names))
        self.click("Score")

    def wait_for(self, pattern):
        """Wait for a text on the page, and return all of it."""
        end = time.monotonic() + 60
        while not re.search(pattern, text := self.find("body").text):
            assert time.monotonic() < end, text
            time.sleep(0.1)
        return text


@pytest.fixture
def page(browser, url):
    return Page(browser, url)


def test_a_recording_is_scored_and_other_names_change_the_scores(
    page, export, tmp_path
):
    page.upload(BABY)
    rows = ROW.findall(page.wait_for(r"probabilities"))
    classifier = PromptedClassifier.from_hparams(export)

    def wanted(classifier):
        scores = classifier.classify_file(BABY, top_k=len(rows))
        values = [f"{p:.1%}" for p in scores.score[0].exp().tolist()]
        return list(zip(scores.text_lab[0], values, strict=True))

    assert rows == wanted(classifier) and rows[0][0] == "crying baby"
    figure = page.find("img[alt=spectrogram]")
    assert int(figure.get_property("naturalHeight")) > 500
    assert page.browser.save_screenshot(str(tmp_path / "page.png"))
    names = ["a siren", "<b>${1 + 1} {{value}}</b>", "an infant"]
    page.edit(names)
    rows = ROW.findall(page.wait_for("infant +[0-9]"))
    assert rows == wanted(classifier.with_class_names(names))


def test_mistakes_are_said_and_the_page_goes_on(page, tmp_path):
    for name, content in (("empty.wav", b""), ("cut.ogg", b"OggS\0\1")):
        (tmp_path / name).write_bytes(content)
        page.upload(tmp_path / name)
        page.wait_for(f"⚠ {name}: ")
        page.click("Clear")
        page.wait_for("Drop a recording")
    page.upload(BABY)
    page.wait_for("crying baby +[0-9]")
    for names, message in (
        (["rain", "Rain"], "⚠ class names, line 2: 'Rain' repeats"),
        (["rain"], "⚠ class names: 'rain' alone"),
    ):
        page.edit(names)
        page.wait_for(message)
    page.edit(["rain", "baby"])
    page.wait_for("baby +[0-9]")


def test_the_microphone_is_scored(page):
    page.click("Record audio")
    page.click("Record")
    time.sleep(2)
    page.click("Stop")
    assert len(ROW.findall(page.wait_for("probabilities"))) == len(NAMES)


def test_only_this_machine_is_served_and_asked(page, browser, url):
    page.wait_for("Drop a recording")
    requests = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    parts = [urlsplit(request) for request in requests]
    hosts = {part.netloc for part in parts if part.scheme.startswith("http")}
    assert hosts == {urlsplit(url).netloc}
    port = urlsplit(url).port
    # Linux gives every machine all of 127.0.0.0/8.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)
    run_there = f"demo --no-browser --port {port}".split()
    command = [sys.executable, "-m", "afpt_plugin.cli", *run_there]
    zero_shot = ROOT / "tests" / "samples" / "zero_shot_export"
    error = run(*command, zero_shot, status=2).stderr
    assert f"port {port}: taken" in error
