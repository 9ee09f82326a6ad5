"""Somebody's recordings, in any of the forms that people have them in."""

import hashlib
import logging
import os
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile
from common import cases, refusal, refused
from prep_scripts import load_script

from afpt_plugin import adapt
from afpt_plugin.cli import main
from afpt_plugin.data.checks import check_recordings
from afpt_plugin.data.manifests import read_manifest
from afpt_plugin.data.own_data import read_own_data
from afpt_plugin.errors import InputError

RATE = 800
# One of them as nobody would write a sentence
LABELS = ["dog", "Church_bell"]
OWN = load_script("OwnData/own_data_prepare.py")


@pytest.fixture
def table(tmp_path):
    """Four recordings of each class, as rows whose paths are relative."""
    rng = np.random.default_rng(0)
    rows = []
    for label in LABELS:
        (tmp_path / "wavs" / label).mkdir(parents=True)
        for number in range(4):
            path = f"wavs/{label}/{number}.wav"
            soundfile.write(tmp_path / path, rng.normal(0, 0.1, RATE), RATE)
            rows.append({"path": path, "label": label, "source": number // 2})
    return pd.DataFrame(rows)


def saved(table, folder, split=None, **columns):
    """The table as `save_to_disk` leaves it, the recordings as bytes in it."""
    datasets = pytest.importorskip("datasets")
    audio = [
        {"bytes": (folder / path).read_bytes(), "path": path}
        for path in table["path"]
    ]
    data = {"audio": audio, "label": list(table["label"]), **columns}
    data = datasets.Dataset.from_dict(data, split=split)
    return data.cast_column("audio", datasets.Audio())


def hashes(rows):
    """Label and content of each recording."""
    found = [
        (row["label"], hashlib.sha256(open(row["wav"], "rb").read()).digest())
        for row in rows
    ]
    return sorted(found)


def test_all_forms_become_the_same_rows(table, tmp_path):
    wanted = read_own_data(tmp_path / "wavs")
    assert wanted.class_names == ["Church bell", "dog"]
    assert len(wanted.rows) == 8 and not wanted.multi_label
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    table.to_parquet(tmp_path / "c.parquet")
    saved(table, tmp_path).save_to_disk(tmp_path / "d")
    for name in ("a.csv", "b.tsv", "c.parquet", "d"):
        own = read_own_data(tmp_path / name, tmp_path / "unpacked")
        assert own.class_names == wanted.class_names, name
        assert hashes(own.rows) == hashes(wanted.rows), name
        sources = ["0", "0", "1", "1"] * 2 if name != "d" else [""] * 8
        assert [row["source"] for row in own.rows] == sources
    paths = {label: table["path"][table["label"] == label] for label in LABELS}
    paths = {n: [tmp_path / path for path in part] for n, part in paths.items()}
    assert hashes(read_own_data(paths).rows) == hashes(wanted.rows)


def test_recordings_of_a_data_set_are_unpacked_once(table, tmp_path):
    saved(table, tmp_path).save_to_disk(tmp_path / "d")
    read = partial(read_own_data, tmp_path / "d", tmp_path / "unpacked")
    first = [row["wav"] for row in read().rows]
    stamps = [tmp_path.joinpath(wav).stat().st_mtime_ns for wav in first]
    assert [row["wav"] for row in read().rows] == first
    again = [tmp_path.joinpath(wav).stat().st_mtime_ns for wav in first]
    assert again == stamps


def test_a_data_set_knows_its_classes_and_splits(table, tmp_path):
    datasets = pytest.importorskip("datasets")
    names = ["dog", "owl", "_Church_bell_"]
    numbers = [0 if label == "dog" else 2 for label in table["label"]]
    numbers[0] = -1
    data = saved(table.assign(label=numbers), tmp_path).cast_column(
        "label", datasets.ClassLabel(names=names)
    )
    parts = {"train": range(6), "test": range(6, 8)}
    parts = {name: data.select(part) for name, part in parts.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "d")
    own = read_own_data(tmp_path / "d", tmp_path / "unpacked")
    assert own.class_names == ["dog", "owl", "Church bell"]
    assert [row["split"] for row in own.rows] == ["train"] * 6 + ["test"] * 2
    assert own.is_split and own.folds == ()
    with pytest.raises(InputError, match=r"no label \(train, row 0\)"):
        check_recordings(own.rows, own.class_names, None, 0, tmp_path)
    # Numbers without names name no class, and the message says what does.
    data.cast_column("label", datasets.Value("int64")).save_to_disk(
        tmp_path / "e"
    )
    with pytest.raises(InputError, match="holds no names .*columns are audio"):
        read_own_data(tmp_path / "e", tmp_path)
    # Splits, too, may be numbers with names; whatever is no text is refused.
    split = datasets.ClassLabel(names=["train", "test"])
    data = saved(table, tmp_path, split=None).add_column("split", [0, 1] * 4)
    data.cast_column("split", split).save_to_disk(tmp_path / "f")
    assert read_own_data(tmp_path / "f", tmp_path).is_split
    data = saved(table.assign(label=[{"a": "dog"}] * 8), tmp_path)
    data.save_to_disk(tmp_path / "g")
    for folder, columns in ("g", None), ("f", {"fold": "audio"}):
        with pytest.raises(InputError, match="holds no names"):
            read_own_data(tmp_path / folder, tmp_path, columns)
    data = saved(table, tmp_path).remove_columns("audio")
    data.add_column("audio", [1] * 8).save_to_disk(tmp_path / "h")
    with pytest.raises(InputError, match="audio holds no recordings"):
        read_own_data(tmp_path / "h", tmp_path)
    (tmp_path / "h" / "state.json").write_text("[]")
    with pytest.raises(InputError, match="h: as a data set.*TypeError"):
        read_own_data(tmp_path / "h", tmp_path)
    with pytest.raises(InputError, match="no column kind"):
        read_own_data(tmp_path / "d", tmp_path, {"label": "kind"})


def test_a_recording_may_lie_beside_the_data_set_or_be_lost(
    table, tmp_path, monkeypatch
):
    datasets = pytest.importorskip("datasets")
    path = str(tmp_path / table["path"][0])
    data = datasets.Dataset.from_dict({"audio": [path, None], "label": LABELS})
    data = data.cast_column("audio", datasets.Audio())
    data = datasets.DatasetDict({"all": data})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: data)
    there, lost = read_own_data("some/one", tmp_path / "unpacked").rows
    assert there["wav"] == path and "problem" not in there
    assert lost["problem"] == "no audio" and lost["place"] == "all, row 1"


def test_a_name_is_looked_up_on_the_hub(table, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(*names):
        asked.append(names)
        return datasets.DatasetDict({"train": saved(table, tmp_path)})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for name in ("someone/sounds", "someone/sounds:small"):
        rows = read_own_data(name, tmp_path / "unpacked").rows
        assert len(rows) == 8 and {row["split"] for row in rows} == {""}
    assert asked == [("someone/sounds", None), ("someone/sounds", "small")]

    def fail(*names):
        raise ConnectionError("the hub is away")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match="no such file.*the hub is away"):
        read_own_data("someone/sounds", tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"afpt-plugin\[datasets\]"):
        read_own_data("someone/sounds", tmp_path)


def test_columns_may_have_names_of_their_own(table, tmp_path):
    theirs = {"path": "file name", "label": "category", "source": "from"}
    table.rename(columns=theirs).to_csv(tmp_path / "a.csv", index=False)
    rows = read_own_data(tmp_path / "a.csv", columns=theirs).rows
    assert rows[2]["label"] == "dog" and rows[2]["source"] == "1"
    with pytest.raises(InputError, match="lacks 'path', 'label'.*columns"):
        read_own_data(tmp_path / "a.csv")
    with pytest.raises(InputError, match="lacks 'where'"):
        read_own_data(tmp_path / "a.csv", columns={**theirs, "fold": "where"})
    with pytest.raises(InputError, match="'labels' is not a column"):
        read_own_data(tmp_path / "a.csv", columns={"labels": "category"})
    with pytest.raises(InputError, match="rename those of a table"):
        read_own_data(tmp_path / "wavs", columns=theirs)


def test_parquet_may_hold_lists_numbers_and_nothing(table, tmp_path):
    table["label"] = [["dog", "Church_bell"]] * 2 + [["dog"]] * 6
    table["fold"] = [1.0] * 7 + [None]
    table.to_parquet(tmp_path / "a.parquet")
    own = read_own_data(tmp_path / "a.parquet")
    assert own.multi_label and own.folds == (1,)
    assert own.rows[0]["label"] == "dog|Church bell"
    assert own.rows[7]["fold"] == ""
    assert (
        own.task("a").clip_seconds == 10.0
        and own.task("a", 3.0).metric == "mAP"
    )
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="b.parquet: cannot be read"):
        read_own_data(tmp_path / "b.parquet")


@cases(
    "name, values, message",
    ("label", [[["dog"]]] * 8, "column label holds list<.*a label is a"),
    ("label", [b"dog"] * 8, "column label holds binary"),
    ("fold", [[1]] * 8, "column fold holds list<.*a fold is a text"),
    ("path", [{"bytes": b"RIFF", "path": "a"}] * 8, "struct<.*parquet"),
)
def test_parquet_of_other_kinds_is_refused(
    name, values, message, table, tmp_path
):
    table.assign(**{name: values}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read_own_data(tmp_path / "a.parquet")


def test_a_table_of_a_spreadsheet_on_windows(tmp_path, caplog):
    (tmp_path / "a.csv").write_text(
        "path,label,fold\r\n"
        "w\\0.wav ,Ku\u0308he,1.0\r\n w/1.wav,K\u00fche,2\r\n"
        "w/2.wav,church\u00a0bell,02\r\nw/3.wav,_church  bell_,a\r\n"
        "w/\0.wav,church_bell,\r\n",
        encoding="utf-8-sig",
    )
    own = read_own_data(tmp_path / "a.csv")
    assert own.class_names == ["K\u00fche", "church bell"]
    assert [row["ID"] for row in own.rows[:2]] == ["w/0.wav", "w/1.wav"]
    assert own.folds == ("1", "2", "a")
    with pytest.raises(InputError, match=r"null byte \(line 6\)"):
        check_recordings(own.rows, own.class_names, None, 0, tmp_path)
    (tmp_path / "b.csv").write_text("path,label\na.wav,dog\nb.wav,d\x01g\n")
    with pytest.raises(InputError, match="line 3: the class name"):
        read_own_data(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("path,label\na.wav,0\nb.wav,1\n")
    read_own_data(tmp_path / "c.csv")
    assert "the classes are called 0, 1, and numbers say nothing" in caplog.text


def test_a_folder_of_splits_or_with_links_and_hidden_files(
    table, tmp_path, caplog
):
    (tmp_path / "wavs" / "dog" / "._0.wav").write_bytes(b"\0\5\x16\7")
    (tmp_path / "wavs" / "dog" / "link").symlink_to(tmp_path / "wavs")
    # A class may be called train: the vehicle
    (tmp_path / "wavs" / "Church_bell").rename(tmp_path / "wavs" / "train")
    own = read_own_data(tmp_path / "wavs")
    assert own.class_names == ["dog", "train"] and len(own.rows) == 8
    assert (
        "2 files skipped: unsupported extension (1 hidden, 1 linked"
        in caplog.text
    )
    path = tmp_path / "wavs" / "dog" / "3.wav"
    renamed = path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xff.wav"))
    with pytest.raises(InputError, match=r"udcff.wav': the name is not UTF-8"):
        read_own_data(tmp_path / "wavs")
    renamed.rename(path)
    (tmp_path / "wavs" / "dog").rename(tmp_path / "wavs" / "Test")
    with pytest.raises(InputError, match="are Test, train, which are no"):
        read_own_data(tmp_path / "wavs")


def test_copies_with_other_labels_are_told(table, tmp_path, caplog):
    path = tmp_path / table["path"][7]
    path.write_bytes((tmp_path / table["path"][0]).read_bytes())
    own = read_own_data(tmp_path / "wavs")
    check_recordings(own.rows, own.class_names, None, 0, tmp_path)
    assert "1 recordings are copies of others that have other" in caplog.text


def test_what_is_wrong_is_listed_by_row_all_together(table, tmp_path, clap):
    rows = [list(row) for row in table.itertuples(index=False)]
    rows[0][1] = "cat"
    rows[1][1] = ""
    rows[2][0] = "wavs/none.wav"
    rows[3][1] = "dog|Church_bell"
    rows.append(["", "dog", "1"])
    rows.append([*rows[5][:2], "7"])  # the same recording from another source
    text = pd.DataFrame(rows, columns=table.columns).to_csv(index=False)
    (tmp_path / "a.csv").write_text(text)
    given = clap, ["dog", "church bell"], "linear_probe", tmp_path / "a.csv"
    message = refusal(adapt, *given)
    assert message.startswith("6 of 10 recordings cannot be used")
    for reason in (
        r"'cat' is not a class (line 2)",
        "no label (line 3)",
        "none.wav: missing (line 4)",
        "labeled church bell and dog; correct the labels, or allow several "
        "(multi_label) (line 5)",
        "no path (line 10)",
        "an earlier row has the same ID (line 11)",
    ):
        assert reason in message
    assert "leave them out with allow_missing: 6" in message
    classifier = adapt(*given, allow_missing=6)
    assert classifier.class_names == ["dog", "church bell"]


def test_names_of_one_class_are_spelled_alike(table, tmp_path):
    table["label"] = ["dog", "Dog"] * 4
    table.to_csv(tmp_path / "a.csv", index=False)
    with refused("'dog' (line 2) and 'Dog' (line 3"):
        read_own_data(tmp_path / "a.csv")
    own = read_own_data(tmp_path / "a.csv", class_names=["DOG", "cat"])
    assert {row["label"] for row in own.rows} == {"DOG"}


@pytest.mark.parametrize("source", ["none", "a/b/c", "a/b.csv", "some.txt"])
def test_what_holds_no_recordings_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.txt").touch()
    with pytest.raises(InputError, match=f"{source}: .*folder for each"):
        read_own_data(source)


def test_what_is_for_the_test_is_not_learned_from(
    table, tmp_path, clap, caplog
):
    table["split"] = ["Train", "valid", "dev", "test"] * 2
    table.to_csv(tmp_path / "a.csv", index=False)
    with caplog.at_level(logging.INFO):
        classifier = adapt(clap, None, "tip_adapter", tmp_path / "a.csv")
    assert "2 recordings are for the test" in caplog.text
    assert classifier.class_names == ["Church bell", "dog"]
    assert len(classifier.learner.keys) == 6
    table["split"] = "test"
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="no recording to learn from"):
        adapt(clap, None, "tip_adapter", tmp_path / "a.csv")


def prepare(source, folder, own_data=None, **options):
    """Run the recipe's preparation; its manifests' rows."""
    places = {"data_folder": str(source), "feature_folder": folder}
    task, rows = OWN.find_own_data({**places, "own_data": own_data})
    OWN.prepare_own_data(
        task, rows, str(source), folder, with_train=True, **options
    )
    names = ("test.csv", "train.csv")
    return task, *(read_manifest(folder / name) for name in names)


def test_a_recipe_tests_folds_or_the_rows_of_a_split(table, tmp_path):
    path = tmp_path / "a.csv"
    table["fold"] = pd.Series([1, 1, 2, 2] * 2, dtype=object)
    table.to_csv(path, index=False)
    task, test, train = prepare(path, tmp_path / "save", folds=[2])
    assert task.name == "a.csv" and task.folds == (1, 2)
    assert {row["source"] for row in test} == {"1"} and len(test) == 4
    assert {row["source"] for row in train} == {"0"} and len(train) == 4
    table.loc[0, "fold"] = "a"  # so that all folds are texts
    table.to_csv(path, index=False)
    _, test, _ = prepare(path, tmp_path / "save", folds=["a", 1])
    assert len(test) == 4
    _, test, train = prepare(path, tmp_path / "save", folds=[1], source_folds=2)
    assert not {r["source"] for r in test} & {r["source"] for r in train}
    table["split"] = ["train", "train", "test", "test"] * 2
    table.to_csv(path, index=False)
    _, test, train = prepare(path, tmp_path / "save")
    assert {row["source"] for row in test} == {"1"}
    assert {row["source"] for row in train} == {"0"}
    with pytest.raises(InputError, match="are split"):
        prepare(path, tmp_path / "save", source_folds=2)
    table.loc[0, "split"] = None
    table.loc[1, "split"] = "other"
    table.to_csv(path, index=False)
    with refused("2 of 8", "no split (line 2)", "split 'other' is none of"):
        prepare(path, tmp_path / "save")


def test_a_recipe_follows_what_is_said_of_the_data(table, tmp_path):
    table.rename(columns={"label": "kind"}).to_csv(
        tmp_path / "a.csv", index=False
    )
    (tmp_path / "names.txt").write_text("dog\nchurch bell\n")
    own_data = [
        {"label": "kind", "clip_seconds": 2.5},
        {"class_names": str(tmp_path / "names.txt"), "multi_label": True},
    ]
    find = OWN.find_own_data
    places = {"data_folder": tmp_path / "a.csv", "feature_folder": tmp_path}
    task, _ = find({**places, "own_data": own_data})
    assert task.class_names == ["dog", "church bell"]
    assert task.clip_seconds == 2.5 and task.multi_label
    for wrong in ({"clip_seconds": 0}, {"clip_seconds": "ten"}):
        with pytest.raises(InputError, match="clip_seconds is"):
            find({**places, "own_data": [*own_data, wrong]})
    with pytest.raises(InputError, match="multi_label is 3"):
        find({**places, "own_data": [*own_data, {"multi_label": 3}]})
    with pytest.raises(InputError, match="columns: label is ''; say"):
        find({**places, "own_data": {"label": ""}})
    for wrong in ([{"labels": "kind"}], ["label"], "label"):
        with pytest.raises(InputError, match="own_data has"):
            find({**places, "own_data": wrong})
    with pytest.raises(InputError, match="no folds; add a column"):
        prepare(tmp_path / "a.csv", tmp_path / "save", own_data, folds=[1])


def test_a_sweep_takes_each_of_its_folds(table, tmp_path, capsys):
    table["fold"] = ["b", "b", "a", "a"] * 2
    table.to_csv(tmp_path / "a.csv", index=False)
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        "options: {dataset: OwnData, folds: each}\n"
        "cells: [{method: linear_probe, k: 1}]\n"
    )
    data = f"data_folder={tmp_path / 'a.csv'}"
    main(["sweep", str(grid), "--set", data, "--dry-run"])
    cells = capsys.readouterr().out.splitlines()
    assert '--folds=["a"]' in cells[0] and '--folds=["b"]' in cells[1]


def test_a_path_spelled_in_two_ways_is_one_recording(tmp_path):
    (tmp_path / "a.csv").write_text(
        "path,label\na.wav,dog\n./b/../a.wav,rain\nc.wav,rain\n"
    )
    own = read_own_data(tmp_path / "a.csv", multi_label=False)
    assert [row["ID"] for row in own.rows] == ["a.wav", "c.wav"]
    assert "labeled dog and rain" in own.rows[0]["problem"]
