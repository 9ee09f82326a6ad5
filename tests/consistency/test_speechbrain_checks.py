"""SpeechBrain's own checks of a contribution, unaltered, on our recipes.

They are part of SpeechBrain's repository and not of its package, so they are
imported from a checkout:

> SPEECHBRAIN_CHECKOUT=/path/to/speechbrain python -m pytest tests/consistency
"""

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKOUT = os.environ.get("SPEECHBRAIN_CHECKOUT")

pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="SPEECHBRAIN_CHECKOUT names no checkout of SpeechBrain"
)


@pytest.fixture
def checks(monkeypatch):
    """Import a module of SpeechBrain's tests; stand at our root, as they do."""
    monkeypatch.chdir(ROOT)
    # At the end: the package that is tested with is the installed one.
    monkeypatch.setattr(sys, "path", [*sys.path, CHECKOUT])
    return lambda module: import_module(f"tests.{module}")


@pytest.mark.parametrize(
    ("module", "check"),
    [
        ("consistency.test_recipe", "test_recipe_list"),
        ("consistency.test_recipe", "test_recipe_files"),
        ("consistency.test_recipe", "test_mandatory_files"),
        ("consistency.test_recipe", "test_README_links"),
        ("consistency.test_yaml", "test_yaml_script_consistency"),
    ],
)
def test_the_tables_and_files_of_the_recipes(checks, module, check):
    """What they find is printed, and they raise."""
    getattr(checks(module), check)()


@pytest.mark.parametrize("script", sorted(ROOT.glob("recipes/*/train.py")))
@pytest.mark.parametrize("method", sorted(ROOT.glob("recipes/methods/*.yaml")))
def test_every_recipe_reads_every_key_of_every_method(checks, method, script):
    """The tables have each method only once, with one of the recipes."""
    assert checks("utils.check_yaml").check_yaml_vs_script(method, script)


@pytest.mark.parametrize("folder", ["afpt_plugin", "recipes", "benchmarks"])
def test_docstrings(checks, folder):
    """Everything public has one."""
    check_docstrings = checks("utils.check_docstrings").check_docstrings
    assert check_docstrings(str(ROOT / folder), [".py"])


def test_every_yaml_file_builds_its_objects(checks, tmp_path):
    """Without data, and without a network."""
    load_yaml_test = checks("utils.recipe_tests").load_yaml_test
    assert load_yaml_test(
        data_folder=str(tmp_path / "data"), output_folder=str(tmp_path / "out")
    )


@pytest.mark.slow
def test_every_row_runs_as_speechbrain_runs_it(
    checks, recordings_folder, tmp_path, monkeypatch
):
    """With its debug flags and its checks of what a run leaves behind."""
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert checks("utils.recipe_tests").run_recipe_tests(
        filters_fields=["Task"],
        filters=["Sound_classification"],
        run_opts=f"--device=cpu --sample_recordings={recordings_folder} "
        f"--results_folder={tmp_path}",
        output_folder=str(tmp_path),
    )
