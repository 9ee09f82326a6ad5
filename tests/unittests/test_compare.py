"""Tests of `afpt_plugin.results.compare`, `runs`, `pivot` and the report."""

import copy
import json
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from common import cases

from afpt_plugin.commands.report import format_report, write_report
from afpt_plugin.errors import InputError
from afpt_plugin.results.compare import bootstrap_interval, compare_runs
from afpt_plugin.results.output import HEADS, write_results
from afpt_plugin.results.pivot import summarize
from afpt_plugin.results.runs import REQUIRED_KEYS

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
IDS = ["NA", "1", "01", "3"]
RIGHT = dict(zip(HEADS, "1100 0000 1010 1110 1000 1110".split(), strict=True))


@pytest.fixture
def add_run(tmp_path):
    """Write the run `name`: each head right on the recordings given."""

    def add(
        name, seed=1, right=None, facts=None, ids=IDS, sources=None, **changes
    ):
        identity = copy.deepcopy(IDENTITY)
        for fact, value in (facts or {}).items():
            *parents, last = fact.split(".")
            entry = identity
            for key in parents:
                entry = entry.setdefault(key, {})
            entry[last] = value
        if changes.get("fold"):
            identity["data_fingerprint"] = None
        hits = {
            head: [int(hit) for hit in text]
            for head, text in {**RIGHT, **(right or {})}.items()
            if text
        }
        results = {
            **dict.fromkeys(REQUIRED_KEYS),
            **{"seed": seed, "identity": identity, "run_kind": "benchmark"},
            "n_recordings": len(ids),
            "metrics": {head: {"acc": np.mean(hits[head])} for head in hits},
            **changes,
        }
        write_results(tmp_path / name, results)
        predictions = {"id": ids, "label": ["dog"] * len(ids)} | {
            f"{head}_rank": [2 - hit for hit in values]
            for head, values in hits.items()
        }
        if sources:
            predictions["source"] = sources
        path = tmp_path / name / "predictions.csv"
        pd.DataFrame(predictions).to_csv(path, index=False)
        return path.parent

    return add


def multi_label(after):
    """Metrics and classes of a multi-label run: the ensemble's AP by class."""
    ap = dict.fromkeys(HEADS, [0.2, 0.4, 0.6, None]) | {"ensemble": after}
    metrics, per_class = {}, {}
    for head, values in ap.items():
        mean = float(np.mean([v for v in values if v is not None]))
        metrics[head] = {"mAP": mean, "lwlrap": 0.5}
        entries = enumerate(values)
        per_class[head] = {f"class {i}": {"ap": v} for i, v in entries}
    return {"metrics": metrics, "per_class": per_class}


def interval(row, gain="vs_zero_shot"):
    return row[f"{gain}_low"], row[f"{gain}_high"]


def test_the_license_of_the_backbone_is_told(tmp_path, add_run):
    """Runs of before, which do not know it, are averaged with the others."""
    add_run("a", 1)
    add_run("b", 2, clap_licence="ms-pl (card)")
    comparison = compare_runs(tmp_path)
    assert comparison.table["n_runs"].tolist() == [2]
    assert "its license: ms-pl (card)" in format_report(comparison)


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
    assert bootstrap_interval([0.5] * 3) == (0.5, 0.5)
    with pytest.raises(ValueError):
        bootstrap_interval([1.0])


def test_resamples_of_a_large_test_set_are_drawn_in_batches(monkeypatch):
    asked = []

    def bootstrap(data, statistic, **options):
        asked.append(options)
        ends = SimpleNamespace(low=0, high=1)
        return SimpleNamespace(confidence_interval=ends)

    monkeypatch.setattr("scipy.stats.bootstrap", bootstrap)
    assert bootstrap_interval(np.zeros(10_000)) == (0, 1)
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


@cases(
    "spoil, reason",
    (lambda text: None, "b/results.json .*No such file"),
    (lambda text: "id,label\n", "b/results.json .*rank"),
    (lambda text: "\udcff", "b/results.json .*utf-8"),
    (lambda text: text.replace("01", "1"), "b/results.json repeats"),
    (lambda text: text.replace("NA", "x"), "not of the same recordings"),
    (
        lambda text: text.replace("2", "1"),
        "of b/results.json does not give the metrics",
    ),
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
    assert row["clips"].startswith(("unknown", "4 rec", "5 rec"))
    over = pd.Series([row["vs_zero_shot_over"]])
    assert over.str.contains(f"none: .*{reason}")[0]
    assert "none: " in format_report(compared)


@cases(
    "fact, value, shown",
    ("debug", True, "true"),
    ("left_out", ["x", "y"], '["x", "y"]'),
    ("clap_fingerprint", "f" * 64, "f" * 12),
    ("selection", None, "not set"),
    ("learner.n_ctx", 4, "4"),
    ("training.optimizer.lr", 0.1, "0.1"),
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
    assert scope == (
        "Rows 1, 2 share a name but are not averaged, since they differ:"
    )
    assert line.startswith(f"- {fact}: ") and f"{shown} in row {other}" in line
    assert note in format_report(compared)
    key = fact.removeprefix("learner.").removeprefix("training.")
    assert compared.table.loc[other, "settings"] == f"{key}: {shown}"


@cases(
    "facts, column, shown",
    ({"dataset": "Horns"}, "dataset", "Horns"),
    ({"clap": "ms-2022", "clap_fingerprint": "f" * 64}, *("clap", "ms-2022")),
    ({"method": "coop"}, "method", "coop"),
    ({"supervision.source": "x"}, "supervision", "captions: x"),
    ({"supervision": {"kind": "shots", "k": 4}}, "k", "4"),
    ({"supervision": {"kind": "shots"}}, "k", "all"),
)
def test_runs_of_another_name_are_rows_that_compare(
    tmp_path, add_run, facts, column, shown
):
    add_run("a")
    add_run("b", facts=facts)
    compared = compare_runs(tmp_path)
    assert shown in set(compared.table[column]) and len(compared.table) == 2
    assert not compared.marks and not any(compared.notes.values())
    assert not compared.table["settings"].any()
    clips, text = compared.table.loc[1, "clips"], format_report(compared)
    assert clips.startswith("4 recordings (") and f"clips: {clips}," in text


@cases(
    "changes, reason, shown",
    (
        {"facts": {"data_fingerprint": "e" * 64}},
        "other clips were tested",
        "data eeeeeeeeeeee; theirs: 4 recordings",
    ),
    (
        {"ids": ["NA", "1", "01", "4"]},
        "other clips were tested",
        "clips: 4 recordings",
    ),
    (
        {"facts": {"clip_options": {"crop": "end"}}},
        "other clips were tested",
        "clip_options.crop: end; theirs: not set",
    ),
    (
        {"facts": {"baseline.a": ["{}"]}},
        "the baseline is another",
        'baseline.a: ["{}"]; theirs: not set',
    ),
    (
        {"facts": {"clap_fingerprint": "f" * 64}},
        "the backbone has other weights",
        f"clap_fingerprint: {'f' * 12}; theirs: {'c' * 12}",
    ),
)
def test_a_row_that_does_not_compare_is_marked_with_the_reason(
    tmp_path, add_run, changes, reason, shown
):
    add_run("a", right={"ensemble": "1000"})
    add_run("b", right={"ensemble": "1100"}, facts={"method": "other"})
    facts = {"method": "best", **changes.pop("facts", {})}
    add_run("c", right={"ensemble": "1111"}, facts=facts, **changes)
    compared = compare_runs(tmp_path)
    table = compared.table.set_index("method")
    assert table["mark"].to_dict() == {
        **{"PromptLearner": "", "best": "[1]", "other": ""}
    }
    (sentence,) = compared.marks
    assert sentence.startswith("[1] Bells, row 2: not comparable")
    assert f"because {reason} (" in sentence and shown in sentence
    assert f"\n- {sentence}\n" in format_report(compared)
    # The best of those that compare is bold, though the other is better
    ((_, summary, _),) = summarize(compared)
    scores = summary.set_index("method")["Bells"].to_dict()
    assert scores == {
        **{"PromptLearner": "25.0", "best": "100.0 [1]", "other": "**50.0**"}
    }


def test_backbones_have_tables_of_their_own_and_are_to_hear_the_same_clips(
    tmp_path, add_run
):
    add_run("a")
    add_run("b", facts={"clap": "other"}, ids=["NA", "1", "01", "4"])
    compared = compare_runs(tmp_path)
    assert [clap for clap, *_ in summarize(compared)] == ["mini", "other"]
    assert list(compared.table["mark"]) == ["", "[1]"]
    assert "\n## mini\n" in format_report(compared)


def test_folds_and_the_whole_set_compare_where_the_same_clips_are_tested(
    tmp_path, add_run
):
    shots = {"supervision": {"kind": "shots", "k": 1}, "folds": "own"}
    add_run("whole")
    heads = {head: text[:2] for head, text in RIGHT.items()}
    for fold in ("1", "2"):
        ids = IDS[:2] if fold == "1" else IDS[2:]
        add_run(fold, right=heads, facts=shots, ids=ids, fold=fold)
    compared = compare_runs(tmp_path)
    assert list(compared.table["folds"]) == ["", "1 2"]
    assert compared.table["clips"].nunique() == 1 and not compared.marks
    # One fold alone is not the whole set
    (tmp_path / "2" / "results.json").unlink()
    (sentence,) = compare_runs(tmp_path).marks
    assert "theirs: 4 recordings" in sentence and "2 recordings" in sentence
    # Average precision over folds is another measure than that of the set
    add_run("whole", **multi_label([0.3, 0.4, 0.9, None]))
    measured = multi_label([0.3, 0.4, 0.9, None])
    add_run("1", facts=shots, fold="1", **measured)
    (sentence,) = compare_runs(tmp_path).marks
    assert "other folds" in sentence and "folds: own" in sentence


def add_fold(add_run, seed, fold, zero_shot, coarse, **options):
    """A run of a fold, whose recordings are named by it."""
    none = dict.fromkeys(HEADS)
    right = none | {"zero_shot": zero_shot, "coarse": coarse}
    ids = [f"{fold}-{i}" for i in range(len(coarse))]
    name = f"{fold}/{seed}"
    options = {"ids": ids, "fold": fold, **options}
    return add_run(name, seed=seed, right=right, **options)


def test_seeds_and_folds_are_averaged_and_gains_count_each_recording_once(
    tmp_path, add_run
):
    add_fold(add_run, 1, "1", "0000", "1111")
    add_fold(add_run, 1, "2", "01", "01")
    add_fold(add_run, 2, "1", "0000", "1100")
    add_fold(add_run, 2, "2", "01", "00")
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    assert (row["n_runs"], row["seeds"], row["folds"]) == (4, "1 2", "1 2")
    cells = [1.0, 0.5, 0.5, 0.0]
    assert row["coarse"] == np.mean(cells) == 0.5
    assert row["coarse_std"] == pytest.approx(np.std(cells, ddof=1))
    assert list(compared.cells["value"]) == cells
    # Not the mean of the folds' gains, (1 + 0 + 0.5 - 0.5) / 4 = 0.25
    pairs = [1, 1, 0.5, 0.5, 0, -0.5]
    assert row["vs_zero_shot"] == pytest.approx(np.mean(pairs))
    assert interval(row) == bootstrap_interval(pairs)
    assert row["vs_zero_shot_over"] == "6 recordings"
    assert "Row 1 (seeds: 1, 2; folds: 1, 2):" in format_report(compared)
    # A grid with a hole is said to have one, and has no interval
    (tmp_path / "2" / "2" / "results.json").unlink()
    compared = compare_runs(tmp_path)
    row = compared.table.loc[1]
    ((note,),) = compared.notes.values()
    assert note == (
        "Row 1 has 3 runs, but 2 seeds and 2 folds: some of them are missing."
    )
    assert "not of the same recordings" in row["vs_zero_shot_over"]
    assert row["vs_zero_shot"] == pytest.approx((1 + 0 + 0.5) / 3)


def test_average_precision_of_a_class_is_averaged_over_the_folds_it_is_in(
    tmp_path, add_run
):
    ids = ["v", "w", "x", "y"]
    measured = multi_label([0.4, 0.4, None, None])
    add_run("a", fold="1", ids=ids, **measured)
    path = tmp_path / "a" / "results.json"
    results = json.loads(path.read_text())
    # Class 2 is not in fold 1
    for head, classes in results["per_class"].items():
        classes["class 2"]["ap"] = None
        values = [e["ap"] for e in classes.values() if e["ap"] is not None]
        results["metrics"][head]["mAP"] = float(np.mean(values))
    path.write_text(json.dumps(results))
    add_run("b", fold="2", **multi_label([0.2, 0.4, 0.9, None]))
    row = compare_runs(tmp_path).table.loc[1]
    assert row["vs_zero_shot_over"] == "3 classes"
    pairs = [(0.2 + 0.0) / 2, 0.0, 0.3]
    assert row["vs_zero_shot"] == pytest.approx(np.mean(pairs))
    assert interval(row) == pytest.approx(bootstrap_interval(pairs))


def test_intervals_are_over_sources_where_clips_share_them(tmp_path, add_run):
    # The last two name none, so each is one of its own
    sources = ["a", "a", "", ""]
    add_run("a", sources=sources)
    row = compare_runs(tmp_path).table.loc[1]
    assert row["vs_zero_shot_over"] == "3 sources"
    # The learner's 1110 minus 1100: sums 0, 1, 0 of 2, 1, 1 recordings
    assert interval(row) == pytest.approx(
        cluster_interval([[0, 0], [1], [0]]), abs=0.02
    )
    assert interval(row) != bootstrap_interval([0, 0, 1, 0])
    add_run("a", sources=["a"] * 4)
    over = compare_runs(tmp_path).table.loc[1, "vs_zero_shot_over"]
    assert over == "none: there are fewer than two sources"


def cluster_interval(clusters, n_resamples=20_000):
    """The 95 % interval of the mean, whole clusters drawn, one by one."""
    rng = np.random.default_rng(7)
    means = []
    for _ in range(n_resamples):
        drawn = rng.choice(len(clusters), len(clusters))
        means.append(np.mean(np.concatenate([clusters[i] for i in drawn])))
    return np.percentile(means, [2.5, 97.5])


def test_overlapping_folds_are_refused_and_named(tmp_path, add_run):
    add_fold(add_run, 1, "1", "00", "11")
    add_fold(add_run, 1, "2", "00", "11", ids=["1-1", "2-0"])
    with pytest.raises(InputError, match="2/1/results.json: its fold and that"):
        compare_runs(tmp_path)
    add_run("good", facts={"method": "good"})
    compared = compare_runs(tmp_path)
    assert list(compared.table["method"]) == ["good"]
    (error,) = compared.errors
    assert "1/1/results.json overlap, since both test 1-1" in error
    assert f"\n- {error}\n" in format_report(compared)
    # The same recordings under another seed are no overlap
    (tmp_path / "2" / "1" / "results.json").unlink()
    add_fold(add_run, 2, "1", "00", "10")
    compared = compare_runs(tmp_path)
    assert not compared.errors and sorted(compared.table["n_runs"]) == [1, 2]


def test_base_and_new_classes_meet_in_h_seed_by_seed(tmp_path, add_run):
    # Accuracy of base and new classes, in hits of four
    hits = {("Bells", 1): (4, 2), ("Bells", 2): (3, 1), ("Horns", 1): (2, 2)}
    for (data, seed), halves in hits.items():
        for half, n in zip(("base", "new"), halves, strict=True):
            add_run(
                f"{data}/{seed}/{half}",
                seed=seed,
                right={"ensemble": "1" * n + "0" * (4 - n)},
                facts={"dataset": f"{data} ({half})", "method": "coop"},
            )
    add_run("a", facts={"dataset": "Bells (base)", "method": "base alone"})
    ((backbone, summary, notes),) = summarize(compare_runs(tmp_path))
    summary = summary.set_index("method")
    assert backbone == "mini"
    assert list(summary)[2:9] == [
        *("Bells, base", "Bells, new", "Bells, H"),
        *("Horns, base", "Horns, new", "Horns, H", "mean H"),
    ]
    row = summary.loc["coop"]
    bells = [2 * 1 * 0.5 / 1.5, 2 * 0.75 * 0.25 / 1]
    mean, std = np.mean(bells), np.std(bells, ddof=1)
    assert row["Bells, H"] == f"{100 * mean:.1f} ± {100 * std:.1f}"
    assert row["Bells, base"] == "**87.5 ± 17.7**"
    assert row["Horns, H"] == "50.0"
    # Seed 1 alone has both data sets
    assert row["mean H"] == f"{100 * (bells[0] + 0.5) / 2:.1f}"
    (note,) = notes
    assert note.startswith("coop, mean H: ") and note.endswith("(1)")
    alone = summary.loc["base alone"]
    assert alone["Bells, base"] == "75.0" and alone["Bells, H"] == "-"
    assert alone["mean H"] == alone["gain, Bells, new"] == "-"


def test_summary_has_a_row_for_each_method_supervision_and_k(tmp_path, add_run):
    def add(name, method, acc, *, k=None, n=1, **facts):
        supervision = {"kind": "shots", "k": k} if k else {"kind": "nothing"}
        facts = {"supervision": supervision, "method": method, **facts}
        right = {"ensemble": "1" * acc + "0" * (4 - acc)}
        for seed in range(n):
            add_run(
                *(f"{name}/{seed}", seed, right, facts),
                n_parameters=10 * (k or 0),
                timings={"adapt_seconds": 2.0 * seed},
                chosen={"rule": "C on held-out items"} if k else {},
            )

    for data in ("Bells", "Horns"):
        add(f"{data}/zero", "zero_shot", 2, dataset=data, training=None)
        for k in (16, 2):
            add(f"{data}/{k}", "probe", 3, k=k, n=2, dataset=data)
    add("here", "probe", 4, k=16, dataset="Horns", **{"learner.n_ctx": 4})
    add("only", "coop", 4, k=2, dataset="Bells", selection="audio")
    compared = compare_runs(tmp_path)
    ((_, summary, notes),) = summarize(compared)
    assert not notes
    summary = summary.set_index(["method", "k"])
    # What sets two rows of Horns apart names those of Bells as well
    assert list(summary.index) == [
        *(("zero_shot", "-"), ("coop", "2"), ("probe (n_ctx: 16)", "2")),
        *(("probe (n_ctx: 16)", "16"), ("probe (n_ctx: 4)", "16")),
    ]
    probe = summary.loc["probe (n_ctx: 16)", "16"]
    assert probe["Bells"] == "75.0 ± 0.0" and probe["mean"] == "**75.0 ± 0.0**"
    assert probe["supervision"] == "shots" and probe["learned"] == "160"
    assert probe["adaptation"] == "1 s"
    assert probe["chosen by"] == (
        "epoch: lowest loss on held-out items; C on held-out items"
    )
    low, high = interval(compared.table.set_index("method").loc["coop"])
    coop = summary.loc["coop", "2"]
    assert coop["Bells"] == "**100.0**" and coop["mean"] == "-"
    gain = f"+50.0 ({100 * low:+.1f} to {100 * high:+.1f})"
    assert coop["gain, Bells"] == gain and coop["gain, Horns"] == "-"
    assert coop["chosen by"].startswith("epoch: best on the test set; ")
    zero_shot = summary.loc["zero_shot", "-"]
    assert zero_shot["chosen by"] == "-" and zero_shot["mean"] == "50.0"


def test_transductive_scores_stand_beside_the_others_and_never_lead(
    tmp_path, add_run
):
    none = dict.fromkeys(set(HEADS) - {"zero_shot"})
    heads = {"transductive": "1111", "zero_shot_transductive": "0111"}
    add_run("a", right=none | heads | {"coarse": "1110"})
    add_run("b", right=none | {"coarse": "1110"}, facts={"method": "other"})
    compared = compare_runs(tmp_path)
    assert set(compared.table["primary"]) == {"coarse"}
    assert compared.heads == [
        *("zero_shot", "zero_shot_transductive", "coarse", "transductive")
    ]
    assert list(compared.table["vs_zero_shot"]) == [0.25, 0.25]
    ((_, summary, _),) = summarize(compared)
    assert list(summary)[3:5] == ["Bells", "Bells, transductive"]
    assert list(summary["Bells, transductive"]) == ["100.0", "-"]
    assert "zero-shot, transductive" in format_report(compared)


def test_what_was_learned_elsewhere_has_no_time_of_its_own(tmp_path, add_run):
    learned = {"learner.learned.dataset": "Bells (base)"}
    for half, seconds, facts in (("base", 20.0, {}), ("new", 0.5, learned)):
        facts = {"dataset": f"Bells ({half})", **facts}
        add_run(half, facts=facts, timings={"adapt_seconds": seconds})
    ((_, summary, _),) = summarize(compare_runs(tmp_path))
    assert list(summary["adaptation"]) == ["20 s"]


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
    add_run("b", run_kind="demonstration")
    text = format_report(compare_runs(tmp_path))
    table = [line for line in text.splitlines() if line.startswith("|")][:4]
    assert len({len(line) for line in table}) == 1
    assert "a\\|b c" in text
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    details = text.split("\n## Bells\n")[1]
    assert "metric: acc, clips: 4 recordings (" in details.split("\n|")[0]
    header = details.split("\n|")[1]
    assert "kind of run" in header and "metric" not in header


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
    markdown, csv, png = write_report(compared, tmp_path / "new" / "folder")
    assert set(csv.parent.iterdir()) == {markdown, csv, png}
    table = pd.read_csv(csv, index_col="row")
    assert list(table.columns) == list(compared.table.columns)
    assert table.loc[1, "ensemble"] == 0.75
    assert markdown.read_text("utf-8") == texts[0]
    # A report is no run: a second one finds the same
    assert format_report(compare_runs(tmp_path)) == texts[0]
