"""README.md and the pages that it leads to, followed as a reader would.

Every command, from top to bottom; one that is on several pages, once.
"""

import csv
import re
import shlex
from pathlib import Path

import pytest
from documents import (
    BLOCK,
    ROOT,
    QuickReader,
    find_steps,
    read_documents,
    rule_of,
)
from sample_noise import write_recording
from speechbrain.utils.run_opts import RunOptions

from afpt_plugin.cli import make_parser

PAGES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("install", "own_classes", "results")),
    *(f"docs/{name}.md" for name in ("speed", "upstream")),
)
STEPS = find_steps(read_documents(*PAGES))
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "recipes/*.md", "recipes/*/*.md")
    for path in sorted(ROOT.glob(pattern))
]


def is_followed(document):
    """Whether its commands are run, here or by the tests of docs/."""
    return not document.startswith("recipes/")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The reader, who has what the pages take for granted."""
    folder = tmp_path_factory.mktemp("readme")
    with QuickReader(folder, *PAGES) as reader:
        (folder / "recordings").mkdir()
        for number, name in enumerate(("church bells", "rain")):
            path = folder / "recordings" / f"{name}.wav"
            write_recording(path, 3.0, 16000, number)
        write_recording(folder / "recording.wav", 3.0, 16000, 2)
        for number in range(8):
            name = ("dog barking", "rain", "car horn", "church bells")[
                number % 4
            ]
            (folder / "labeled" / name).mkdir(parents=True, exist_ok=True)
            path = folder / "labeled" / name / f"{number}.wav"
            write_recording(path, 1.0, 16000, number)
        # As the demonstration lays them out before they are asked for
        samples = Path("results", "samples", "ESC50", "ESC-50-master")
        (folder / samples.name).symlink_to(samples)
        sentences = (
            "A dog barking while people talk",
            "Rain falls on a roof",
            "A car horn is honking twice",
            "Church bells ring in the distance",
            "A man gives a speech",
        )
        with open(folder / "audiocaps_train.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ("audiocap_id", "youtube_id", "start_time", "caption")
            )
            writer.writerows((i, i, 0, s) for i, s in enumerate(sentences))
        yield reader


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            id=step.lines[0].split("\n")[0],
            marks=[pytest.mark.slow] if step.slow else [],
        )
        for step in STEPS
        if step.runs
    ],
)
def test_a_command_does_what_its_rule_says(reader, step):
    reader.follow(step)


def keys_of(recipe, name):
    """The options of a YAML file; a new recipe's is a copy of ESC-50's."""
    for folder in (recipe, "methods", "ESC50"):
        path = ROOT / "recipes" / (folder or "") / Path(name).name
        if path.exists():
            return set(re.findall(r"^(\w+):", path.read_text(), re.M))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_has_a_rule_and_options_that_exist(document):
    """Also of documents whose commands are not run."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for line in (line for step in find_steps(text) for line in step.lines):
        assert rule_of(line) or not is_followed(document), (
            f"{document} has a command that no rule covers: {line!r}. Add a "
            "Rule to RULES in tests/integration/documents.py"
        )
        if line.startswith("afpt ") and "--help" not in line:
            make_parser().parse_args(shlex.split(line, comments=True)[1:])
        script = re.match(r"python (?:recipes/(\w+)/)?train\.py (\S+)", line)
        if script:
            recipe = script[1] or Path(document).parent.name
            keys = keys_of(recipe, script[2])
            assert keys or f"{script[2]}`:\n" in text, line
            known = set(RunOptions().as_dict()) | {"upstream_exact"}
            given = set(re.findall(r" --(\w+)", line))
            assert not keys or given <= keys | known, line


def headings_of(path):
    """The headings of a page, as the links of GitHub name them."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    words = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in words}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_exist(document):
    """Or are written by one of its blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = "".join(match[0] for match in BLOCK.finditer(text))
    prose = BLOCK.sub("", text)
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", prose)
    folder = (ROOT / document).parent
    assert [link for link, _ in links if not (folder / link).exists()] == []
    for link, heading in links:
        if heading and Path(link).suffix != ".py":
            target = folder / link if link else ROOT / document
            assert heading in headings_of(target), f"{link}#{heading}"
    tops = "recipes|tests|benchmarks|docs|afpt_plugin"
    for name in re.findall(rf"`((?:{tops})/[\w./]+)`", prose):
        assert (ROOT / name).exists() or Path(name).name in blocks, name


def test_the_first_classifier_names_every_recording(reader):
    start = "afpt classify recordings"
    step = next(step for step in STEPS if step.lines[0].startswith(start))
    reader.follow(step)
    output = re.search(r"--output (\S+)", step.lines[0])[1]
    with open(reader.folder / output, newline="", encoding="utf-8") as file:
        rows = {Path(r["file"]).stem: r for r in csv.DictReader(file)}
    assert set(rows) == {"church bells", "rain"}
    names = (reader.folder / "names.txt").read_text().splitlines()
    assert {row["class_1"] for row in rows.values()} <= set(names)


def test_make_has_the_targets_that_are_named():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.search(r"^\.PHONY: (.+)$", makefile, re.M)[1].split())
    lines = [line for step in STEPS for line in step.lines]
    named = {x.split()[1] for x in lines if x.startswith("make ")}
    assert named and named <= known
