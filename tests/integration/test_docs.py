"""The worked examples in docs/, followed as a reader would.

A copy of the repository takes what a document tells the reader to write; the
commands run in it. docs/new_learner.md has a test of its own. What
docs/write_pages.py writes is up to date.
"""

import re
import runpy
import time

import pytest
from documents import ROOT, QuickReader, find_steps


def steps_of(document):
    """What is run of a document, for pytest."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        pytest.param(
            step,
            id=step.lines[-1],
            marks=[pytest.mark.slow] if step.slow else [],
        )
        for step in find_steps(text)
        if step.runs
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Somebody who writes the fifth recipe."""
    folder = tmp_path_factory.mktemp("dataset")
    with QuickReader(folder, "docs/new_dataset.md") as reader:
        reader.write_files()
        yield reader


@pytest.mark.parametrize("step", steps_of("docs/new_dataset.md"))
def test_a_step_towards_a_data_set(dataset, step):
    dataset.follow(step)


def test_the_fifth_recipe_is_tested_on_its_samples(dataset):
    """Twenty recordings, ten classes, and captions of its own."""
    for step in (s for s in dataset.steps if s.runs and not s.slow):
        dataset.follow(step)
    run = ("GTZAN", "mini", "prompts", "1")
    results = dataset.results(*run)
    assert results["dataset"] == "GTZAN"
    assert results["n_recordings"] == 20
    assert results["run_kind"] == "demonstration"
    assert list(results["per_class"]["ensemble"])[4] == "hip hop music"
    for name in set(re.findall(r"`(\w+\.(?:json|png))`", dataset.text)):
        assert dataset.folder.joinpath("results", *run, name).exists(), name


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """Somebody who adds a backbone and has given it a name."""
    folder = tmp_path_factory.mktemp("backbone")
    with QuickReader(folder, "docs/new_backbone.md") as reader:
        reader.write_files()
        registry = folder / "afpt_plugin" / "backbones" / "__init__.py"
        text, start = registry.read_text(), "BACKBONES = {\n"
        assert text.count(start) == 1
        line = reader.find("python", '"toy"')
        registry.write_text(text.replace(start, start + line))
        yield reader


def test_an_unnamed_backbone_is_tuned_by_hand(backbone):
    process = backbone.run("python", "try_toy.py")
    assert process.returncode == 0, process.stdout
    losses = list(map(float, re.findall(r"loss \w+: (.+)", process.stdout)))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("step", steps_of("docs/new_backbone.md"))
def test_a_step_towards_a_backbone(backbone, step):
    backbone.follow(step)


def test_the_toy_keeps_the_house_rules(backbone):
    path = "afpt_plugin/backbones/toy_clap.py"
    for arguments in (["check"], ["format", "--check"]):
        process = backbone.run("ruff", *arguments, path)
        assert process.returncode == 0, process.stdout


STALE = "run `python docs/write_pages.py`"


def read_outputs(notebook):
    """What its cells show; numbers may differ between processors."""
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = output.get("text") or data.get("text/plain")
            shown.append((re.sub(r"\d+", "0", text), "image/png" in data))
    return shown


def test_the_page_of_the_command_line_is_what_help_prints():
    """Versions of argparse break lines differently."""
    pages = runpy.run_path(str(ROOT / "docs" / "write_pages.py"))
    written = pages["CLI"].read_text(encoding="utf-8")
    assert written.split() == pages["make_cli_page"]().split(), STALE


@pytest.mark.slow
def test_the_notebook_shows_what_it_computes(monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pages = runpy.run_path(str(ROOT / "docs" / "write_pages.py"))
    assert pages["NOTEBOOK"].stat().st_size < 200_000
    stored = read_outputs(nbformat.read(pages["NOTEBOOK"], as_version=4))
    start = time.monotonic()
    assert read_outputs(pages["execute_notebook"]()) == stored, STALE
    assert time.monotonic() - start < 120
    assert [picture for _, picture in stored].count(True) == 1
