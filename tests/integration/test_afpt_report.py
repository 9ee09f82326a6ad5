"""`afpt report` as a user runs it: a command line and what it leaves."""

import json

import pandas as pd
import pytest
from common import cases
from matplotlib.image import imread

from afpt_plugin.cli import main
from afpt_plugin.results.output import write_results
from afpt_plugin.results.runs import REQUIRED_KEYS


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """A folder with two runs, where the user stands."""
    for seed, acc in ((1, 0.6), (2, 0.7)):
        results = dict.fromkeys(REQUIRED_KEYS) | {"seed": seed}
        results["identity"] = {
            **{"dataset": "Bells", "clap": "mini"},
            **{"learner": {"name": "Linear"}, "supervision": {"kind": "shots"}},
        }
        results["metrics"] = {"zero_shot": {"acc": 0.5}, "coarse": {"acc": acc}}
        write_results(tmp_path / "results" / str(seed), results)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_is_written_shown_and_ends_well(runs, capsys):
    assert main(["report", "results", "--output", "comparison"]) == 0
    folder = runs / "comparison"
    text = (folder / "report.md").read_text("utf-8")
    assert text in capsys.readouterr().out and "65.0 ± 7.1" in text
    assert "predictions.csv of 1/results.json" in text
    assert pd.read_csv(folder / "report.csv").loc[0, "n_runs"] == 2
    assert imread(folder / "report.png").ndim == 3
    assert not (folder / "shots.png").exists() and "shots.png" not in text


@cases(
    "file, content, error, shown",
    ("1/results.json", "{", "1/results.json: ", "\n- 1/results.json: "),
    (
        "3/error.txt",
        "Class 'x' is | empty.\npython train.py\n",
        "3: Class 'x' is | empty.\n",
        "## Cells that failed\n\n- 3: Class 'x' is \\| empty.\n\n",
    ),
)
def test_a_damaged_run_or_failed_cell_ends_with_1_unless_allowed(
    runs, capsys, file, content, error, shown
):
    (runs / "results" / "3").mkdir()
    (runs / "results" / file).write_text(content)
    for options, status in (([], 1), (["--allow-errors"], 0)):
        assert main(["report", "results", *options]) == status
        assert f"error: {error}" in capsys.readouterr().err
    text = (runs / "results" / "report.md").read_text("utf-8")
    assert shown in text and "python train.py" not in text
    assert ("Damaged" in text) == file.startswith("1")


def test_few_shot_runs_leave_a_figure_which_does_not_outlive_them(runs):
    path = runs / "results" / "1" / "results.json"
    results = json.loads(path.read_text())
    results["identity"]["supervision"]["k"] = 2
    path.write_text(json.dumps(results))
    assert main(["report", "results"]) == 0
    assert imread(runs / "results" / "shots.png").ndim == 3
    path.unlink()
    assert main(["report", "results"]) == 0
    assert not (runs / "results" / "shots.png").exists()


@cases(
    "arguments, sentence",
    (["nowhere"], "error: nowhere: "),
    (["empty"], "error: empty: "),
    (["results/1/results.json"], "error: results/1/results.json: "),
    (["results", "--output", "file"], "error: file: "),
    ([], "RESULTS_DIR"),
)
def test_wrong_input_is_one_sentence_and_ends_with_2(
    runs, arguments, sentence, capsys
):
    (runs / "empty").mkdir()
    (runs / "file").touch()
    with pytest.raises(SystemExit) as exit:
        main(["report", *arguments])
    assert exit.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not list(runs.rglob("report.*"))
