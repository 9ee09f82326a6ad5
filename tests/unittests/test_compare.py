"""Tests of `afpt_plugin.results.compare` and of the report on it.

Authors
 * The afpt_plugin developers 2026
"""

import copy
import json
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afpt_plugin.commands.report import format_report, write_report
from afpt_plugin.errors import InputError
from afpt_plugin.results.compare import (
    REQUIRED_KEYS,
    bootstrap_interval,
    compare_runs,
)
from afpt_plugin.results.output import HEADS, write_results

IDENTITY = {
    "dataset": "Bells",
    "data_fingerprint": "d" * 64,
    "left_out": [],
    "clap": "mini",
    "clap_fingerprint": "c" * 64,
    "learner": {"name": "PromptLearner", "n_ctx": 16},
    "baseline": {"name": "Template"},
    "supervision": {"kind": "captions", "source": "ours"},
    "training": {"optimizer": {"name": "AdamW", "lr": 0.002}},
    "selection": "captions",
    "debug": False,
}
RIGHT = dict(zip(HEADS, "1100 0000 1010 1110 1000 1110".split(), strict=True))


@pytest.fixture
def add_run(tmp_path):
    """Write the run `name`: each head right on the recordings given."""

    def add(name, seed=1, right=None, facts=None, **changes):
        identity = copy.deepcopy(IDENTITY)
        for fact, value in (facts or {}).items():
            *parents, last = fact.split(".")
            entry = identity
            for key in parents:
                entry = entry[key]
            entry[last] = value
        hits = {
            head: [int(hit) for hit in text]
            for head, text in {**RIGHT, **(right or {})}.items()
            if text
        }
        results = {
            **dict.fromkeys(REQUIRED_KEYS),
            **{"seed": seed, "identity": identity, "run_kind": "benchmark"},
            **{"n_recordings": 4, "selection": "captions"},
            "metrics": {head: {"acc": np.mean(hits[head])} for head in hits},
            **changes,
        }
        write_results(tmp_path / name, results)
        predictions = {"id": ["NA", "1", "01", "3"]} | {
            f"{head}_rank": [2 - hit for hit in values]
            for head, values in hits.items()
        }
        path = tmp_path / name / "predictions.csv"
        pd.DataFrame(predictions).to_csv(path, index=False)
        return path.parent

    return add


def multi_label(after):
    """Metrics and classes of a multi-label run: the ensemble's AP by class."""
    ap = dict.fromkeys(HEADS, [0.2, 0.4, 0.6, None]) | {"ensemble": after}
    return {
        "metrics": {
            head: {
                "mAP": float(np.mean([v for v in values if v is not None])),
                "lwlrap": 0.5,
            }
            for head, values in ap.items()
        },
        "per_class": {
            head: {f"class {i}": {"ap": v} for i, v in enumerate(values)}
            for head, values in ap.items()
        },
    }


def interval(row, gain="vs_zero_shot"):
    """The interval of a row."""
    return row[f"{gain}_low"], row[f"{gain}_high"]


def test_means_deviations_gains_and_intervals_are_those_by_hand(
    tmp_path, add_run
):
    add_run("a/1", seed=1)
    path = add_run("b", 2, right={"ensemble": "1111"}) / "predictions.csv"
    # Recordings are paired by their id, not by their place
    table = pd.read_csv(path, dtype=str, na_filter=False)
    table.iloc[::-1].to_csv(path, index=False)
    table = compare_runs(tmp_path).table
    assert list(table.index) == [1]
    row = table.loc[1]
    assert (row["n_runs"], row["seeds"], row["metric"]) == (2, "1 2", "acc")
    assert row["zero_shot"] == 0.5 and row["zero_shot_std"] == 0
    assert row["ensemble"] == 0.875
    # Half the distance of two values is not the sample deviation
    assert row["ensemble_std"] == pytest.approx(0.125 * 2**0.5)
    assert row["vs_zero_shot"] == row["vs_same_head"] == 0.375
    assert row["vs_zero_shot_std"] == pytest.approx(0.125 * 2**0.5)
    # Recording by recording: (0, 0, 1, 0) and (0, 0, 1, 1)
    assert interval(row) == bootstrap_interval([0, 0, 1, 0.5])
    assert interval(row, "vs_same_head") == bootstrap_interval([0, 1, 0, 0.5])
    assert row["vs_zero_shot_over"] == "4 recordings"
    assert row["files"] == "a/1/results.json | b/results.json"


def test_interval_covers_a_known_mean_at_the_rate_it_claims():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        low, high = bootstrap_interval(rng.normal(0.3, 1, 100))
        covered += low < 0.3 < high
        # That of the normal distribution: 2 * 1.96 / sqrt(100)
        assert 0.28 < high - low < 0.51
    assert 34 <= covered < 40
    with pytest.raises(ValueError):
        bootstrap_interval([1.0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1.0]), min_size=2))
def test_interval_is_finite_ordered_repeatable_and_in_range(values):
    low, high = bootstrap_interval(values)
    assert min(values) <= low <= np.mean(values) <= high <= max(values)
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
    add_run("a", **multi_label([0.3, 0.4, 0.9, None]))
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert row["metric"] == "mAP" and row["vs_zero_shot_over"] == "3 classes"
    assert row["vs_zero_shot"] == pytest.approx(0.4 / 3)
    assert interval(row) == pytest.approx((0, 0.3))
    assert row["lwlrap_ensemble"] == 0.5
    assert "lwlrap ensemble" in format_report(compared)
    add_run("a", **multi_label([0.5, 0.5]) | {"per_class": None})
    over = compare_runs(tmp_path).table.loc[1, "vs_zero_shot_over"]
    assert over.startswith("none: the per_class of a/results.json")


def test_a_learner_without_fine_scores_has_its_own_heads(tmp_path, add_run):
    none = dict.fromkeys(set(HEADS) - {"zero_shot", "coarse"})
    add_run("a", right=none)
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert compared.heads == ["zero_shot", "coarse"]
    assert row["primary"] == "coarse" and np.isnan(row["ensemble"])
    assert row["vs_zero_shot"] == row["vs_same_head"] == 0.25
    assert row["vs_zero_shot_over"] == "4 recordings"
    text = format_report(compared)
    assert "ensemble" not in text and "lwlrap" not in text and "| 75.0" in text
    assert "±" not in text.split("\n## ")[1]


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda text: None, "b/results.json .*No such file"),
        (lambda text: "id,label\n", "b/results.json .*rank"),
        (lambda text: "\udcff", "b/results.json .*utf-8"),
        (lambda text: text.replace("01", "1"), "b/results.json repeats"),
        (lambda text: text.replace("NA", "x"), "not of the same recordings"),
        (lambda text: text.replace("2", "1"), "recordings do not give"),
    ],
)
def test_what_is_wrong_with_predictions_stands_in_place_of_the_interval(
    tmp_path, add_run, spoil, reason
):
    add_run("a", seed=1)
    path = add_run("b", seed=2) / "predictions.csv"
    text = spoil(path.read_text())
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert row["n_runs"] == 2 and row["vs_zero_shot"] == 0.25
    assert np.isnan(interval(row)).all()
    over = pd.Series([row["vs_zero_shot_over"]])
    assert over.str.contains(f"none: .*{reason}")[0]
    assert "none: " in format_report(compared)


@pytest.mark.parametrize(
    "fact, value, shown",
    [
        ("debug", True, "true"),
        ("left_out", ["x", "y"], '["x", "y"]'),
        ("clap_fingerprint", "f" * 64, "f" * 12),
        ("selection", None, "not set"),
        ("learner.n_ctx", 4, "4"),
        ("training.optimizer.lr", 0.1, "0.1"),
    ],
)
def test_runs_that_differ_are_not_averaged_and_the_table_says_in_what(
    tmp_path, add_run, fact, value, shown
):
    add_run("a", seed=1)
    add_run("b", seed=2, facts={fact: value})
    add_run("c", seed=3)
    compared = compare_runs(tmp_path)
    assert sorted(compared.table["n_runs"]) == [1, 2]
    (other,) = compared.table.index[compared.table["n_runs"] == 1]
    ((note,),) = compared.notes.values()
    scope, _, line = note.split("\n")
    assert scope.startswith("Rows 1, 2 share a name")
    assert line.startswith(f"- {fact}: ") and f"{shown} in row {other}" in line
    assert note in format_report(compared)
    key = fact.removeprefix("learner.").removeprefix("training.")
    assert compared.table.loc[other, "settings"] == f"{key}: {shown}"


def test_a_name_shows_the_learners_settings_first_and_what_fits(
    tmp_path, add_run
):
    long = {f"learner.{key}": "many words" for key in "abcdef"}
    add_run("a")
    add_run("b", facts={"debug": True, **long})
    settings = compare_runs(tmp_path).table["settings"]
    assert max(settings.str.len()) <= 60
    assert any(text.startswith("a: many words, b") for text in settings)


@pytest.mark.parametrize(
    "facts, column, shown, noted",
    [
        ({"dataset": "Horns"}, "dataset", "Horns", None),
        ({"clap": "ms-2022"}, "clap", "ms-2022", None),
        ({"supervision.source": "x"}, "supervision", "captions: x", None),
        ({"supervision": {"kind": "no"}}, "supervision", "no", None),
        ({"data_fingerprint": "e"}, "learner", "Other", "on the same clips"),
        ({"baseline.a": ["{}"]}, "learner", "Other", "the same baseline"),
        ({"clap_fingerprint": "f"}, "learner", "Other", "weights of mini"),
    ],
)
def test_runs_of_another_name_are_rows_with_a_note_if_they_do_not_compare(
    tmp_path, add_run, facts, column, shown, noted
):
    add_run("a")
    if noted:
        facts = {"learner.name": "Other", **facts}
    add_run("b", facts=facts)
    compared = compare_runs(tmp_path)
    assert shown in set(compared.table[column]) and len(compared.table) == 2
    notes = [note for notes in compared.notes.values() for note in notes]
    if noted:
        assert len(notes) == 1 and noted in notes[0]
        assert f"- {list(facts)[1]}: " in notes[0]
    else:
        assert not notes
    sections = format_report(compared).count("\n## ") - 1
    assert sections == compared.table["dataset"].nunique()


def test_of_two_runs_with_one_seed_the_newest_counts(tmp_path, add_run):
    old = add_run("b", right={"ensemble": "0000"})
    os.utime(old / "results.json", (1, 1))
    for name in "ca":
        os.utime(add_run(name) / "results.json", (2, 2))
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert row["n_runs"] == 1 and row["files"] == "c/results.json"
    assert row["ensemble"] == 0.75
    copied, older = compared.duplicates
    assert copied.startswith("a/results.json") and "are equal" in copied
    assert older.startswith("b/results.json") and "differ" in older
    assert f"\n- {older}\n" in format_report(compared)


DAMAGED = {  # what is in results.json, and what is said about it
    "empty": (b"", "JSON"),
    "half": (b'{"a": 1', "JSON"),
    "binary": (b"\xff\xfe", "JSON"),
    "deep": (b"[" * 100_000, "JSON"),
    "list": (b"[1]", "lacks seed, n_recordings"),
    "metrics": (b'{"metrics": [1]}', "metrics.zero_shot"),
    "odd": ({"metrics": {"zero_shot": [1]}}, "metrics.zero_shot is [1]"),
    "high": ({"metrics": {"zero_shot": {"acc": 70.5}}}, "acc is 70.5"),
    "nan": (b'{"metrics": {"zero_shot": {"acc": NaN}}}', "acc is nan"),
    "other": ({"metrics": {"zero_shot": {"acc": 1}}}, "metrics.coarse.acc"),
    "short": ({"identity": {"dataset": "Bells"}}, "identity.clap"),
    "version 0.1": ({"identity": None}, "run the recipe again"),
}
OTHERS = {  # folders without results.json
    "unfinished": ("results: !new:afpt_plugin.results.run.RunResults", []),
    "other experiment": ("sources: all", []),
    "tuned": ("!new:afpt_plugin.results.run.RunResults", ["settings.json"]),
}


def test_damaged_and_unfinished_runs_are_named_beside_the_good(
    tmp_path, add_run
):
    add_run("good")
    good = dict.fromkeys(REQUIRED_KEYS) | {"identity": IDENTITY}
    for name, (content, _) in DAMAGED.items():
        if isinstance(content, dict):
            content = json.dumps(good | content).encode()
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_bytes(content)
    for name, (text, files) in OTHERS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "hyperparams.yaml").write_text(text)
        for file in ("env.log", *files):
            (tmp_path / name / file).touch()
    compared = compare_runs(tmp_path)
    assert list(compared.table["files"]) == ["good/results.json"]
    errors = dict(error.split(": ", 1) for error in compared.errors)
    assert set(errors) == {f"{n}/results.json" for n in DAMAGED} | {
        "unfinished"
    }
    for name, (_, fact) in DAMAGED.items():
        assert fact in errors[f"{name}/results.json"], name
    text = format_report(compared)
    assert all(f"\n- {error}\n" in text for error in compared.errors)


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        compare_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"{tmp_path}: .* finished run$"):
        compare_runs(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="run; results.json: .* JSON"):
        compare_runs(tmp_path)


def test_columns_line_up_no_name_ends_a_cell_and_facts_are_shown_once(
    tmp_path, add_run
):
    add_run("a", facts={"supervision.source": "a|b\nc"})
    add_run("b", selection=None)
    text = format_report(compare_runs(tmp_path))
    table = [line for line in text.splitlines() if line.startswith("|")][:4]
    assert len({len(line) for line in table}) == 1
    assert "a\\|b c" in text
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "metric: acc, recordings: 4, kind of run: benchmark" in text
    assert "epoch chosen on" in table[0] and "recordings" not in table[0]


def test_written_report_is_the_same_in_whatever_order_runs_were(
    tmp_path, add_run
):
    runs = [("a", 2, "Bells"), ("b", 10, "Bells"), ("c", 1, "Anvils")]
    texts = []
    for order in (runs, runs[::-1]):
        for name, seed, dataset in order:
            add_run(name, seed=seed, facts={"dataset": dataset})
        compared = compare_runs(tmp_path)
        texts.append(format_report(compared))
    assert texts[0] == texts[1]
    assert "Row 2 (seeds: 2, 10)" in texts[0]
    assert texts[0].index("## Anvils") < texts[0].index("## Bells")
    csv, png, markdown = write_report(compared, tmp_path / "new" / "folder")
    assert {path.name for path in csv.parent.iterdir()} == {
        *("report.csv", "report.png", "report.md")
    }
    table = pd.read_csv(csv, index_col="row")
    assert list(table.columns) == list(compared.table.columns)
    assert table.loc[1, "ensemble"] == 0.75
    assert markdown.read_text("utf-8") == texts[0]
    # A report is no run: a second one finds the same
    assert format_report(compare_runs(tmp_path)) == texts[0]
