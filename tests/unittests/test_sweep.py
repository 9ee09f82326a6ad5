"""Grids of cells: multiplied out, run once, one failure is one row."""

import json
from pathlib import Path

import pandas as pd
import pytest
from common import cases

from afpt_plugin.cli import main
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import method_names
from afpt_plugin.grids import read_grid
from afpt_plugin.sweep import run_sweep

pytestmark = pytest.mark.usefixtures("no_figures")
GRIDS = sorted(Path("recipes/grids").glob("*.yaml"))


def exit_status(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def write_grid(folder, text):
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


def test_lists_are_multiplied_out(tmp_path):
    text = """
options: {dataset: [ESC50, US8K], US8K: {data_folder: /there}}
cells:
  - {method: zero_shot, seed: [1, 2]}
  - {method: caption_mean, captions: [templates, ours]}
"""
    cells = read_grid(write_grid(tmp_path, text), "out")
    assert len(cells) == len({cell.folder for cell in cells}) == 2 * 2 + 2 * 2
    commands = [cell.command for cell in cells]
    assert sum("--data_folder=/there" in command for command in commands) == 4
    for command in commands:
        assert ("--data_folder=/there" in command) == (
            "recipes/US8K" in command
        )
    assert sum("--captions=templates" in command for command in commands) == 2
    # An option of the command line stands above the grid's.
    cells = read_grid(write_grid(tmp_path, text), "out", {"seed": 7})
    assert len(cells) == 2 + 4
    assert all("--seed=7" in cell.command for cell in cells)


def test_each_fold_is_a_cell(tmp_path):
    text = """
options: {folds: each}
cells:
  - {dataset: [ESC50, US8K, DCASE2019], method: zero_shot}
  - {dataset: ESC50, method: zero_shot, source_folds: 4}
"""
    cells = read_grid(write_grid(tmp_path, text), "out")
    assert len(cells) == 5 + 10 + 1 + 4
    assert {"--source_folds=4", "--folds=[4]"} <= set(cells[-1].arguments)


def test_a_transfer_follows_what_it_starts_from(tmp_path):
    text = """
cells:
  - {dataset: ESC50, method: hparams, classes: base, transfer: {classes: new}}
  - {dataset: ESC50, method: hparams, transfer: {dataset: [US8K, FSD2019]}}
"""
    cells = read_grid(write_grid(tmp_path, text), "out")
    base, new, source, *others = cells
    assert new.source == base.folder and "--classes=new" in new.arguments
    assert f"--source={base.folder / 'export'}" in new.arguments
    assert [Path(c.script).parent.name for c in others] == ["US8K", "FSD2019"]
    assert all(c.source == source.folder for c in others)
    assert "--method=prompts from ESC50" in others[0].arguments


@cases(
    "text, fact",
    ("cells: 3", "not a grid"),
    ("a: [", "cannot be read"),
    ("cells: [{method: zero_shot}]", "no `dataset`"),
    ("cells: [{dataset: Birds}]", "Birds"),
    ("cells: [{dataset: ESC50, method: magic}]", "magic"),
    ("cells: [{dataset: ESC50, method: zero_shot, k: 3}]", "option k"),
    ("{cells: [{dataset: ESC50}], option: {k: 3}}", "nothing else"),
    ("{cells: [{dataset: ESC50}], options: {3: 4}}", "option 3"),
    ("cells: [{dataset: ESC50, method: ../grids/smoke}]", "no YAML"),
    ("cells: [{dataset: ESC50, ESC50: 3}]", "ESC50 is 3"),
    ("cells: [{dataset: ESC50, seed: []}]", "seed is an empty list"),
    ("cells: [{dataset: ESC50, ESC50: {seed: []}}]", "seed is an empty"),
    ("cells: [{dataset: ESC50, clap: 2020-01-01}]", "quotes"),
    ("cells: [{dataset: ESC50, output_folder: a}]", "--results"),
    ("cells: [{dataset: ESC50, transfer: new}]", "transfer is 'new'"),
    ("cells: [{dataset: ESC50, transfer: {foo: 3}}]", "option foo"),
    (
        "cells: [{dataset: ESC50, folds: each, source_folds: two}]",
        "source_folds is 'two'",
    ),
    ("cells: [{dataset: ESC50, folds: each, source_folds: 0}]", "is 0"),
    ("cells: [{dataset: ../recipes/ESC50}]", "none of the recipes"),
    ("cells: [{dataset: ESC50, seed: 1, seed: 2}]", "given twice"),
    ("cells: [{dataset: ESC50, seed: &a [*a]}]", "an alias"),
    ("[" * 5000, "levels deep"),
    (
        f"cells: [{{dataset: ESC50, seed: {[*range(300)]}, lr: "
        f"{[*range(300)]}}}]",
        "more than 20000 cells",
    ),
    # Two texts that are one word in a folder's name, or none at all
    (
        "cells: [{dataset: ESC50, prompt_template: ['a {}', 'a {}!']}]",
        "two cells",
    ),
    ("cells: [{dataset: ESC50, data_folder: [a, b]}]", "two cells"),
)
def test_a_wrong_grid_is_refused_before_anything_runs(tmp_path, text, fact):
    with pytest.raises(InputError, match=fact):
        read_grid(write_grid(tmp_path, text), "out")
    with pytest.raises(InputError, match="="):
        read_grid(write_grid(tmp_path, text), "k=3")


def test_an_option_may_be_a_mapping(tmp_path):
    text = (
        "cells: [{dataset: ESC50, method: palm, clip_options: {crop: random}}]"
    )
    (cell,) = read_grid(write_grid(tmp_path, text), "out")
    assert '--clip_options={"crop": "random"}' in cell.arguments


@pytest.mark.parametrize("given", ["k=[1", "k=!a 3", "US8K.k=3"])
def test_a_wrong_set_is_refused(tmp_path, given, capsys):
    path = write_grid(tmp_path, "cells: [{dataset: US8K, method: palm}]")
    command = ["sweep", str(path), "--dry-run", "--set", "US8K=3"]
    assert exit_status([*command, "--set", given]) == 2
    assert f"--set {given}" in capsys.readouterr().err


def test_results_of_another_data_set_are_not_taken(tmp_path):
    """The cell's folder does not tell where its recordings lie."""
    path = write_grid(tmp_path, "cells: [{dataset: US8K, method: zero_shot}]")
    (cell,) = read_grid(path, tmp_path / "out")
    assert not cell.is_done
    cell.folder.mkdir(parents=True)
    results = cell.folder / "results.json"
    for damaged in ("{", "[]", "{}"):
        results.write_text(damaged)
        assert not cell.is_done
    results.write_text('{"metrics": {"coarse": {}}}')
    copy = cell.folder / "hyperparams.yaml"
    copy.write_text("weights:   # none\ndata_folder: samples\n")
    assert cell.is_done
    (other,) = read_grid(path, tmp_path / "out", {"data_folder": "/there"})
    assert other.folder == cell.folder and not other.is_done
    copy.write_text("weights:\ndata_folder: /there # a note\n")
    assert other.is_done and not cell.is_done
    (cell.folder / "error.txt").touch()
    assert not other.is_done


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_the_ready_grids_are_sound(path):
    assert read_grid(path, "results")


def test_a_failed_cell_is_a_row_and_the_others_go_on(tmp_path, capsys):
    """A sweep goes on where it was, and tries what failed again."""
    text = """
options: {dataset: US8K}
cells:
  - {method: transfer, source: nowhere}
  - {method: zero_shot, templates: [["{}"]]}
  - {method: caption_mean, captions: nowhere.csv}
"""
    results = tmp_path / "results"
    grid = str(write_grid(tmp_path, text))
    arguments = ["sweep", grid, "--results", str(results)]
    assert main([*arguments, "--dry-run"]) == 0
    assert "3 cells, 0 of them" in capsys.readouterr().err
    assert not results.exists()
    assert main(arguments) == 1
    table = pd.read_csv(results / "cells.csv", keep_default_na=False)
    failed, done, mistaken = table.to_dict("records")
    assert "nowhere" in failed["error"] and "nowhere.csv" in mistaken["error"]
    assert done["result"].startswith("acc ") and not done["error"]
    error = Path(mistaken["folder"], "error.txt").read_text()
    assert error.splitlines()[1] == mistaken["command"]
    path = Path(done["folder"], "results.json")
    assert json.loads(path.read_text())["identity"]["method"] == "zero_shot"
    # The finished cell is not run again; what has failed is.
    before = path.stat().st_mtime_ns
    capsys.readouterr()
    assert main(arguments) == 1
    assert path.stat().st_mtime_ns == before
    assert "2 failed" in capsys.readouterr().out


def test_every_method_runs_in_the_smoke_grid(tmp_path, capsys):
    """Reduced: one epoch; of what learns from both, the recordings."""
    given = {"number_of_epochs": 1, "k": 1}
    cells = [
        cell
        for cell in read_grid("recipes/grids/smoke.yaml", tmp_path, given)
        if "--learn_from=captions" not in cell.arguments
        and cell.script.parent.name == "US8K"
    ]
    assert run_sweep(cells) == {}
    methods = {cell.result["identity"]["method"] for cell in cells}
    assert methods == set(method_names()) - {"upstream"}
    assert main(["report", str(tmp_path)]) == 0
    summary = (tmp_path / "report.md").read_text()
    assert all(f"| {method}" in summary for method in methods)
    assert "transductive" in summary and "UrbanSound8K, H" in summary
    assert (tmp_path / "shots.png").exists()
