"""What SpeechBrain's own checks ask of a recipe, asked of ours."""

import ast
import csv
import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

ROOT = Path(__file__).parents[2]
TABLES = sorted((ROOT / "tests" / "recipes").glob("*.csv"))
COLUMNS = (
    "Task,Dataset,Script_file,Hparam_file,Data_prep_file,Readme_file,"
    "Result_url,HF_repo,test_debug_flags,test_debug_checks,performance"
).split(",")
# Options that Brain itself reads from hparams.
RUN_OPTIONS = {"max_grad_norm", "precision", "ckpt_interval_minutes"}


def rows_of(table):
    """The rows, one a YAML file."""
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


ROWS = [row for table in TABLES for row in rows_of(table)]
IDS = [row["Hparam_file"] for row in ROWS]


def test_every_recipe_has_a_table():
    """Named after its folder."""
    recipes = {path.parent.name for path in ROOT.glob("recipes/*/hparams.yaml")}
    assert recipes == {table.stem for table in TABLES}


def test_every_yaml_file_of_a_recipe_is_listed():
    """Results folders aside."""
    yaml_files = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("recipes/**/*.yaml")
        if "results" not in path.parts
    }
    assert yaml_files == set(IDS)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_row_is_complete(row):
    """Columns, debug flags with checks, and files that exist."""
    assert list(row) == COLUMNS
    assert row["test_debug_flags"]
    assert re.search(r"file_exists=\[.+\]", row["test_debug_checks"])
    for column in (
        "Script_file",
        "Hparam_file",
        "Data_prep_file",
        "Readme_file",
    ):
        # What downloads nothing and splits nothing has no prep script.
        if row[column] or column != "Data_prep_file":
            assert (ROOT / row[column]).is_file(), row[column]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_yaml_key_is_used(row):
    """In the script, or by a later line of the file."""
    text = (ROOT / row["Hparam_file"]).read_text()
    script = (ROOT / row["Script_file"]).read_text()
    # What a script takes from the package may read hparams for it.
    for module in re.findall(r"from afpt_plugin\.(\w+) import", script):
        path = ROOT / "afpt_plugin" / f"{module}.py"
        script += path.read_text() if path.exists() else ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"([A-Za-z]\w*):", line)
        if not match or match[1] in RUN_OPTIONS:
            continue
        key = match[1]
        later = "\n".join(lines[number + 1 :])
        assert (
            re.search(rf"!ref.*<{key}>", later)
            or re.search(rf"hparams\[[\"']{key}[\"']\]", script)
            or re.search(rf"(hparams|modules)\.{key}\b", script)
        ), f"{row['Hparam_file']}: nobody reads {key}"


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_loading_the_yaml_builds_every_object(row, tmp_path, monkeypatch):
    """Without network, with the two folders overridden."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(str((ROOT / row["Script_file"]).parent))
    overrides = {"data_folder": str(tmp_path), "output_folder": str(tmp_path)}
    with open(ROOT / row["Hparam_file"]) as file:
        hparams = load_hyperpyyaml(file, overrides)
    assert hparams["output_folder"] == str(tmp_path)
    if row["Script_file"].endswith("train.py"):
        assert hparams["checkpointer"] is not None
        assert hparams["epoch_counter"].limit > 0


def test_every_public_definition_has_a_docstring():
    """On its first line, with three double quotes."""
    faults = []
    for path in (
        *ROOT.glob("afpt_plugin/**/*.py"),
        *ROOT.glob("recipes/*/*.py"),
    ):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in public_definitions(tree):
            if not ast.get_docstring(node):
                name = getattr(node, "name", "module")
                faults.append(f"{path.relative_to(ROOT)}: {name}")
    assert not faults


def public_definitions(node):
    """The node and what is defined in it, but for what functions hold."""
    if getattr(node, "name", "").startswith("_"):
        return
    yield node
    if not isinstance(node, ast.FunctionDef):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                yield from public_definitions(child)
