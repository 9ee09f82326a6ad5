"""docs/new_learner.md, followed as a contributor would.

A learner is one file, two lines and a YAML. Whatever else a run, an export or a
report needs has to come for nothing: this is where the package proves it.
"""

import csv
import re
import shlex
from types import SimpleNamespace

import pytest
from documents import ROOT, QuickReader
from safetensors.torch import load_file

from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export, write_export
from afpt_plugin.learners import LEARNERS, Template
from afpt_plugin.results.output import HEADS
from afpt_plugin.task import Task

DOCUMENT = (ROOT / "docs" / "new_learner.md").read_text(encoding="utf-8")
RUN = ("US8K", "mini", "residual", "1")
SMALL = "--device=cpu --captions=templates --captions_per_class=2".split()


class Newcomer(QuickReader):
    """Follows the document with few captions and epochs."""

    def do(self, part, *options):
        """Run the commands of the bash block that has a part."""
        printed = ""
        for line in self.find("bash", part).splitlines():
            words = shlex.split(line)
            if "train.py" in line:
                words += [*SMALL, *options]
            process = self.run(*words)
            printed += process.stdout + process.stderr
            assert process.returncode == 0, printed
        return printed


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """Has written the files and named the class; has run the first command."""
    folder = tmp_path_factory.mktemp("learner")
    with Newcomer(folder, "docs/new_learner.md") as reader:
        reader.write_files()
        registry = folder / "afpt_plugin" / "learners" / "__init__.py"
        text = registry.read_text(encoding="utf-8")
        assert "`Residual,`, to the tuple in `LEARNERS`" in DOCUMENT
        for place, line in (
            (
                "from afpt_plugin.learners.template",
                reader.find("python", "import Residual"),
            ),
            ("        Template,\n", "        Residual,\n"),
        ):
            assert text.count(place) == 1
            text = text.replace(place, line + place)
        registry.write_text(text, encoding="utf-8")
        reader.printed = reader.do("residual.yaml", "--number_of_epochs=1")
        yield reader


def test_the_run_is_that_of_the_new_learner(newcomer):
    results = newcomer.results(*RUN)
    assert results["identity"]["learner"] == {
        "name": "Residual",
        "templates": ["this is a sound of {}"],
        "alpha": 0.5,
    }
    assert set(results["metrics"]) == set(HEADS)
    assert results["n_parameters"] == 2 * 10 * 384
    assert results["selected_epoch"] == 1
    assert re.search(r"zero-shot .*\n(.*\n)+ensemble ", newcomer.printed)
    folder = newcomer.folder.joinpath("results", *RUN)
    for name in ("predictions.csv", "training.png", "per_class.png"):
        assert (folder / name).is_file()


def test_its_export_holds_what_was_learned_and_nothing_else(newcomer):
    export = newcomer.folder.joinpath("results", *RUN, "export")
    tensors = load_file(export / "learner.safetensors")
    assert set(tensors) == {"residual_coarse", "residual_fine"}
    assert all(tensor.any() for tensor in tensors.values())
    newcomer.do("afpt classify")
    with open(newcomer.folder / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 and {row["error"] for row in rows} == {""}
    use = newcomer.folder / "use.py"
    use.write_text(newcomer.find("python", "from_hparams"), encoding="utf-8")
    process = newcomer.run("python", "use.py")
    assert process.returncode == 0, process.stdout
    names = list(newcomer.results(*RUN)["per_class"]["coarse"])
    (found,) = re.findall(r"^\[\[(.*)\]\]$", process.stdout, re.M)
    assert {name.strip("' ") for name in found.split(",")} <= set(names)


def test_a_run_goes_on_where_it_stopped(newcomer):
    before = newcomer.results(*RUN)["history"]
    printed = newcomer.do("residual.yaml", "--number_of_epochs=2")
    assert "into epoch 2" in printed and "into epoch 1" not in printed
    assert newcomer.results(*RUN)["history"][:-1] == before


@pytest.mark.slow
def test_the_report_has_a_row_of_its_own(newcomer):
    newcomer.do("afpt report", "--number_of_epochs=1")
    table = (newcomer.folder / "results" / "report.csv").read_text()
    assert "Residual" in table and "PromptLearner" in table


@pytest.mark.slow
def test_the_files_keep_the_house_rules_and_their_test_passes(newcomer):
    printed = newcomer.do("ruff check")
    assert "All checks passed" in printed
    assert "left unchanged" in printed and "reformatted" not in printed
    assert re.search(r"\b2 passed", printed)


def test_a_learner_from_elsewhere_registers_itself(tmp_path, monkeypatch):
    class MyLearner(Template):
        """A learner that the package does not hold."""

    facts = {"licence": "unknown", "repo_id": None}
    clap = SimpleNamespace(name="any", fingerprint="0" * 64, **facts)
    task, learner = Task("Sounds", ["dog", "rain"]), MyLearner()
    learner.logit_scale = 1.0
    with pytest.raises(InputError, match="MyLearner"):
        write_export(tmp_path, clap, learner, task, Template())
    assert '`LEARNERS["MyLearner"] = MyLearner`' in DOCUMENT
    monkeypatch.setitem(LEARNERS, "MyLearner", MyLearner)
    write_export(tmp_path, clap, learner, task, Template())
    assert read_export(tmp_path).learner == "MyLearner"
