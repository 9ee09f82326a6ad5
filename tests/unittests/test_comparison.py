"""Tests of `afpt_plugin.results.compare`: what may be averaged, and what comes out.

Authors
 * The afpt_plugin developers 2026
"""

import json
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from afpt_plugin.errors import InputError
from afpt_plugin.results import figures
from afpt_plugin.results.compare import (
    bootstrap_interval,
    compare_runs,
    format_comparison,
    plot_comparison,
    write_comparison,
)
from afpt_plugin.results.run import HEADS, REQUIRED_KEYS, write_results

SETTINGS = """\
seed: {seed}
output_folder: results/{seed}
learner: &learner !new:afpt_plugin.learners.prompts.PromptLearner
  n_ctx: !apply:afpt_plugin.experiment.either [false, 32, {n_ctx}]
  seed: {seed}
modules:
  learner: *learner
"""


@pytest.fixture
def add_run(tmp_path):
    """Write the run `name`: each head right on the recordings given."""

    def add(name, seed=1, right=None, wrong_predictions=False, **changes):
        right = {
            "zero_shot": "1100",
            "zero_shot_fine": "0000",
            "zero_shot_ensemble": "1010",
            "coarse": "1110",
            "fine": "1000",
            "ensemble": "1110",
            **(right or {}),
        }
        hits = {
            head: [int(hit) for hit in right[head]]
            for head in HEADS
            if right[head] is not None
        }
        folder = tmp_path / name
        results = {
            **dict.fromkeys(REQUIRED_KEYS),
            "dataset": "Bells",
            "run_kind": "benchmark",
            "data_fingerprint": "d" * 64,
            "n_recordings": 4,
            "n_left_out": 0,
            "supervision": "captions",
            "captions": "ours",
            "clap": "mini",
            "clap_fingerprint": "c" * 64,
            "learner": "PromptLearner",
            "selection": "captions",
            "seed": seed,
            "upstream_exact": False,
            "prompt_template": "this is a sound of {}",
            "debug": False,
            "metrics": {
                **dict.fromkeys(HEADS),
                **{head: {"acc": np.mean(hits[head])} for head in hits},
            },
            **changes,
        }
        write_results(folder, results)
        predictions = {"id": ["NA", "1", "01", "3"]}
        for head, values in hits.items():
            predictions[f"{head}_rank"] = [2 - hit for hit in values]
        pd.DataFrame(predictions).to_csv(
            folder / "predictions.csv", index=False
        )
        return folder

    return add


def multi_label(ap, n=5):
    """Metrics and classes of a multi-label run: head to its classes' AP."""
    names = [f"class {i}" for i in range(len(ap["zero_shot"]))]
    return {
        "metrics": {
            head: {
                "mAP": float(np.mean([v for v in ap[head] if v is not None])),
                "lwlrap": 0.5,
            }
            for head in HEADS
        },
        "per_class": {
            head: {
                name: {"ap": value, "n": n}
                for name, value in zip(names, ap[head], strict=True)
            }
            for head in HEADS
        },
    }


def differences(compared):
    """Each fact that differs, with value to rows."""
    found = {}
    for entry in compared.differences.itertuples():
        found.setdefault(entry.fact, {})[entry.value] = entry.rows
    return found


def test_mean_sample_deviation_and_difference_are_those_by_hand(
    tmp_path, add_run
):
    add_run("a/1", seed=1)
    add_run("b", seed=2, right={"ensemble": "1111"})
    table = compare_runs(tmp_path).table
    assert list(table.index) == [1]
    row = table.loc[1]
    assert row["n_runs"] == 2 and row["seeds"] == "1 2"
    assert row["metric"] == "acc"
    assert row["zero_shot"] == 0.5 and row["zero_shot_std"] == 0
    assert row["ensemble"] == 0.875
    # Half the distance of two values is not the sample deviation
    assert row["ensemble_std"] == pytest.approx(0.125 * 2**0.5)
    assert row["difference"] == 0.375
    assert row["difference_std"] == pytest.approx(0.125 * 2**0.5)
    assert row["files"] == "a/1/results.json | b/results.json"


def test_a_single_run_has_no_deviation(tmp_path, add_run):
    add_run("a")
    compared = compare_runs(tmp_path)
    assert np.isnan(compared.table.loc[1, "ensemble_std"])
    line = next(
        line
        for line in format_comparison(compared).splitlines()
        if line.startswith("| 1 ")
    )
    assert "| 75.0 " in line and "±" not in line


def test_interval_is_over_recordings_averaged_over_seeds(tmp_path, add_run):
    add_run("a", seed=1)
    add_run("b", seed=2, right={"ensemble": "1111"})
    row = compare_runs(tmp_path).table.loc[1]
    # Recording by recording: (0, 0, 1, 0) and (0, 0, 1, 1)
    assert (
        row["difference_low"],
        row["difference_high"],
    ) == bootstrap_interval([0, 0, 1, 0.5])
    assert row["difference_over"] == "4 recordings"


def test_predictions_are_paired_by_id_not_by_place(tmp_path, add_run):
    add_run("a", seed=1)
    path = add_run("b", seed=2) / "predictions.csv"
    pd.read_csv(path, dtype=str, na_filter=False).iloc[::-1].to_csv(
        path, index=False
    )
    row = compare_runs(tmp_path).table.loc[1]
    assert (
        row["difference_low"],
        row["difference_high"],
    ) == bootstrap_interval([0, 0, 1, 0])


def test_interval_covers_a_known_mean_at_the_rate_it_claims():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        low, high = bootstrap_interval(rng.normal(0.3, 1, 100))
        covered += low < 0.3 < high
        # That of the normal distribution: 2 * 1.96 / sqrt(100)
        assert 0.28 < high - low < 0.51
    assert 34 <= covered < 40


def test_interval_needs_two_pairs():
    with pytest.raises(ValueError):
        bootstrap_interval([1.0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1.0]), min_size=2))
def test_interval_is_finite_ordered_repeatable_and_in_range(values):
    low, high = bootstrap_interval(values)
    assert min(values) <= low <= high <= max(values)
    assert low <= np.mean(values) <= high
    assert (low, high) == bootstrap_interval(values)


def test_resamples_of_a_large_test_set_are_drawn_in_batches(monkeypatch):
    asked = []

    def bootstrap(data, statistic, **options):
        asked.append(options)
        ends = SimpleNamespace(low=0, high=1)
        return SimpleNamespace(confidence_interval=ends)

    monkeypatch.setattr("scipy.stats.bootstrap", bootstrap)
    bootstrap_interval(np.zeros(10_000))
    assert asked[0]["batch"] * 10_000 * 8 < 2**25


def test_multi_label_interval_is_over_classes_with_recordings(
    tmp_path, add_run
):
    before, after = [0.2, 0.4, 0.6, None], [0.3, 0.4, 0.9, None]
    ap = dict.fromkeys(HEADS, before) | {"ensemble": after}
    add_run("a", **multi_label(ap))
    row = compare_runs(tmp_path).table.loc[1]
    assert row["metric"] == "mAP"
    assert row["difference"] == pytest.approx(0.4 / 3)
    assert row["difference_over"] == "3 classes"
    assert row["difference_low"] == pytest.approx(0) and row[
        "difference_high"
    ] == pytest.approx(0.3)
    assert row["lwlrap_ensemble"] == 0.5
    text = format_comparison(compare_runs(tmp_path))
    assert "lwlrap ensemble" in text


def test_lwlrap_has_no_column_in_the_table_where_no_run_has_it(
    tmp_path, add_run
):
    add_run("a")
    assert "lwlrap" not in format_comparison(compare_runs(tmp_path))


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda path: path.unlink(), "predictions.csv missing beside b/res"),
        (lambda path: path.write_text("id,label\n"), "b/.* is unreadable"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "b/.* is unreadable"),
        (
            lambda path: path.write_text("id,zero_shot_rank,ensemble_rank\n"),
            "not of the same recordings",
        ),
        (
            lambda path: path.write_text(
                "id,zero_shot_rank,ensemble_rank\nx,1,1\nx,1,1\n"
            ),
            "repeats an id",
        ),
        (
            lambda path: path.write_text(
                path.read_text().replace("NA", "other")
            ),
            "not of the same recordings",
        ),
        (
            lambda path: path.write_text(path.read_text().replace("2", "1")),
            "does not give the metrics reported",
        ),
    ],
)
def test_what_is_wrong_with_predictions_stands_in_place_of_the_interval(
    tmp_path, add_run, spoil, reason
):
    add_run("a", seed=1)
    spoil(add_run("b", seed=2) / "predictions.csv")
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert row["n_runs"] == 2 and row["difference"] == 0.25
    assert np.isnan(row["difference_low"]) and np.isnan(row["difference_high"])
    assert pd.Series(row["difference_over"]).str.contains(f"none: .*{reason}")[
        0
    ]
    assert "none: " in format_comparison(compared)


def test_multi_label_without_classes_says_so(tmp_path, add_run):
    ap = dict.fromkeys(HEADS, [0.5, 0.5])
    add_run("a", **multi_label(ap) | {"per_class": None})
    over = compare_runs(tmp_path).table.loc[1, "difference_over"]
    assert over == "none: no per_class AP in a/results.json"


def test_a_learner_without_a_head_is_a_row_with_a_gap(tmp_path, add_run):
    add_run("a", right={"fine": None, "ensemble": None})
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert np.isnan(row["ensemble"]) and row["coarse"] == 0.75
    assert row["difference_over"] == "none: a head is missing"
    assert write_comparison(compared, tmp_path)[1].stat().st_size > 5000


@pytest.mark.parametrize(
    "fact, value",
    [
        ("run_kind", "demonstration"),
        ("debug", True),
        ("data_fingerprint", "e" * 64),
        ("n_recordings", 5),
        ("n_left_out", 2),
        ("clap_fingerprint", "f" * 64),
        ("selection", "audio"),
        ("prompt_template", "{}"),
    ],
)
def test_runs_that_differ_are_separate_rows_and_flagged(
    tmp_path, add_run, fact, value
):
    add_run("a", seed=1)
    add_run("b", seed=2, **{fact: value})
    add_run("c", seed=3)
    compared = compare_runs(tmp_path)
    assert sorted(compared.table["n_runs"]) == [1, 2]
    found = differences(compared)[fact]
    assert len(found) == 2 and str(value) in found
    assert sorted(found.values()) == [(1,), (2,)]
    files = dict(
        compared.differences[["value", "files"]].itertuples(index=False)
    )
    assert files[str(value)] == ("b/results.json",)
    text = format_comparison(compared)
    assert "| 1* " in text and "| 2* " in text
    assert "## Not comparable" in text and f"- {fact}: " in text


@pytest.mark.parametrize(
    "key, value",
    [
        ("dataset", "Horns"),
        ("clap", "ms-2022"),
        ("learner", "Linear"),
        ("supervision", "names"),
        ("captions", "mine.csv"),
        ("upstream_exact", True),
    ],
)
def test_runs_of_another_kind_are_rows_without_a_flag(
    tmp_path, add_run, key, value
):
    add_run("a")
    add_run("b", **{key: value})
    compared = compare_runs(tmp_path)
    assert len(compared.table) == 2
    assert set(compared.table[key].map(str)) > {str(value)}
    assert compared.differences.empty
    assert "Not comparable" not in format_comparison(compared)


def test_rows_of_one_data_set_on_other_recordings_are_flagged(
    tmp_path, add_run
):
    add_run("a")
    add_run("b", captions="mine.csv", data_fingerprint="e" * 64)
    compared = compare_runs(tmp_path)
    assert set(differences(compared)) == {"data_fingerprint"}
    assert set(compared.differences["scope"]) == {"Recordings of Bells"}
    # They have different names, so nobody takes them for one
    assert "1*" not in format_comparison(compared)


def test_left_out_files_count_not_only_their_number(tmp_path, add_run):
    for name, seed, file in (("a", 1, "x"), ("b", 2, "y"), ("c", 3, "x")):
        folder = add_run(name, seed=seed, n_left_out=1) / "save"
        folder.mkdir()
        (folder / "prepare.json").write_text(
            json.dumps({"left_out": [{"ID": file, "wav": f"{seed}/{file}"}]})
        )
    compared = compare_runs(tmp_path)
    assert differences(compared)["left_out"] == {"x": (1,), "y": (2,)}
    assert list(compared.table["n_runs"]) == [2, 1]


def test_other_settings_of_the_yaml_are_not_averaged_but_seeds_are(
    tmp_path, add_run
):
    for name, seed, n_ctx in (("a", 1, 4), ("b", 2, 4), ("c", 3, 16)):
        (add_run(name, seed=seed) / "hyperparams.yaml").write_text(
            SETTINGS.format(seed=seed, n_ctx=n_ctx)
        )
    compared = compare_runs(tmp_path)
    assert sorted(compared.table["n_runs"]) == [1, 2]
    (values,) = [differences(compared)["learner.n_ctx"]]
    assert set(differences(compared)) == {"learner.n_ctx"}
    assert sorted(value[-4:] for value in values) == [" 16]", ", 4]"]


def test_no_tag_of_a_run_s_yaml_is_evaluated(tmp_path, add_run):
    (add_run("a") / "hyperparams.yaml").write_text(
        f"learner: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n"
        f"other: !apply:os.mkdir ['{tmp_path}/made']\n"
    )
    compare_runs(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text, word", [("a: [", "unreadable"), (None, "missing")]
)
def test_settings_that_are_not_known_are_flagged_once(
    tmp_path, add_run, text, word
):
    (add_run("a", seed=1) / "hyperparams.yaml").write_text(
        SETTINGS.format(seed=1, n_ctx=4)
    )
    folder = add_run("b", seed=2)
    if text:
        (folder / "hyperparams.yaml").write_text(text)
    compared = compare_runs(tmp_path)
    assert set(differences(compared)) == {"hyperparams.yaml"}
    assert set(differences(compared)["hyperparams.yaml"]) == {"kept", word}


def test_of_two_runs_with_one_seed_the_newest_counts(tmp_path, add_run):
    new, old = add_run("a"), add_run("b", right={"ensemble": "0000"})
    os.utime(old / "results.json", (1, 1))
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert row["n_runs"] == 1 and row["ensemble"] == 0.75
    assert row["files"] == f"{new.name}/results.json"
    (sentence,) = compared.duplicates
    assert sentence.startswith("b/results.json is not counted: a/results.json")
    assert sentence.endswith("but other metrics")
    assert f"## Counted once\n\n- {sentence}" in format_comparison(compared)


def test_a_copy_of_a_run_is_said_to_be_the_same(tmp_path, add_run):
    for name in "abc":
        os.utime(add_run(name) / "results.json", (1, 1))
    compared = compare_runs(tmp_path)
    assert compared.table.loc[1, "files"] == "c/results.json"
    assert len(compared.duplicates) == 2
    assert all("same metrics" in line for line in compared.duplicates)


def test_broken_and_unfinished_runs_are_named_beside_the_good(
    tmp_path, add_run
):
    add_run("good")
    for name, text in (("empty", ""), ("list", "[]"), ("half", '{"a": 1')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    add_run("too high", metrics=dict.fromkeys(HEADS, {"acc": 70.5}))
    add_run("none", metrics=dict.fromkeys(HEADS))
    add_run("odd", metrics=dict.fromkeys(HEADS, [1]))
    for name in ("unfinished", "other experiment", "export"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hyperparams.yaml").write_text(
            "sources: all" if name.startswith("o") else "learner: {n_ctx: 4}"
        )
        if name != "export":
            (tmp_path / name / "env.log").touch()
    compared = compare_runs(tmp_path)
    assert list(compared.table["files"]) == ["good/results.json"]
    assert [error.split(": ")[0] for error in compared.errors] == [
        "empty/results.json",
        "half/results.json",
        "list/results.json",
        "none/results.json",
        "odd/results.json",
        "too high/results.json",
        "unfinished",
    ]
    assert "metrics.zero_shot.acc is 70.5" in compared.errors[5]
    text = format_comparison(compared)
    for error in compared.errors:
        assert f"\n- {error}\n" in text


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        compare_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no finished run in it or below$"):
        compare_runs(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="below; results.json: not valid JSON"):
        compare_runs(tmp_path)


def test_report_is_the_same_in_whatever_order_runs_were_written(
    tmp_path, add_run
):
    runs = [("a", 2, "Bells"), ("b", 10, "Bells"), ("c", 1, "Anvils")]
    texts = []
    for order in (runs, runs[::-1]):
        for name, seed, dataset in order:
            add_run(name, seed=seed, dataset=dataset)
        texts.append(format_comparison(compare_runs(tmp_path)))
    assert texts[0] == texts[1]
    assert "seeds 2, 10" in texts[0]
    assert texts[0].index("Anvils") < texts[0].index("Bells")


def test_markdown_columns_line_up_and_no_name_ends_a_cell(tmp_path, add_run):
    add_run("a", captions="a|b\nc", dataset="Bells of a long name")
    add_run("b")
    text = format_comparison(compare_runs(tmp_path))
    table = [line for line in text.splitlines() if line.startswith("|")][:4]
    assert len({len(line) for line in table}) == 1
    assert "a\\|b c" in text
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_written_table_is_the_one_in_memory(tmp_path, add_run):
    add_run("a", seed=1)
    add_run("b", seed=2)
    compared = compare_runs(tmp_path)
    paths = write_comparison(compared, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "report.csv",
        "report.png",
        "report.md",
    ]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(
        path.name for path in paths
    )
    table = pd.read_csv(paths[0], index_col="row")
    assert list(table.columns) == list(compared.table.columns)
    assert table.loc[1, "ensemble"] == 0.75
    assert paths[2].read_text("utf-8") == format_comparison(compared)
    # A report is no run: a second one finds the same
    assert format_comparison(compare_runs(tmp_path)) == format_comparison(
        compared
    )


def test_a_report_that_cannot_be_written_is_the_users_mistake(
    tmp_path, add_run
):
    add_run("a")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot write here"):
        write_comparison(compare_runs(tmp_path), tmp_path / "file")


def test_figure_has_each_head_of_each_row_and_its_deviation(
    tmp_path, add_run, monkeypatch
):
    add_run("a", seed=1)
    add_run("b", seed=2, right={"ensemble": "1111"})
    add_run("c", captions="$cost$.csv")
    drawings = []
    save = figures._save
    monkeypatch.setattr(
        figures,
        "_save",
        lambda figure, path: drawings.append(figure) or save(figure, path),
    )
    path = plot_comparison(compare_runs(tmp_path), tmp_path / "report.png")
    assert imread(path).std() > 0.01
    (axes,) = drawings[0].axes
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert list(bars)[1] == "zero-shot, ensemble"
    # Rows are sorted: "$cost$.csv" comes before "ours"
    assert bars["ensemble"][0].get_xdata() == pytest.approx([75, 87.5])
    (segments,) = bars["ensemble"][2]
    ends = [segment[:, 0] for segment in segments.get_segments()]
    assert ends[0] == pytest.approx([75, 75])
    assert ends[1][1] - ends[1][0] == pytest.approx(2 * 12.5 * 2**0.5)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "$cost$.csv; 1 run" in labels[0]
    assert labels[1].endswith("2 runs")
