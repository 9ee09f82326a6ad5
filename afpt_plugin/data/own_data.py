"""Read a user's labeled recordings, in several forms, into one form.

They come as one of these:

- a folder with a folder for each class
- a table, ``.csv``, ``.tsv`` or ``.parquet``, with the columns ``path``
  (relative to the table's folder), ``label`` (``|`` joins several) and,
  optionally, ``fold``, ``source`` (the original that a recording was cut from;
  training and test never share one) and ``split`` (train, validation or test)
- a data set of Hugging Face's `datasets`: its name on the hub (``user/name``, or
  ``user/name:configuration``), or a folder that ``save_to_disk`` wrote

>>> path = getfixture("tmp_path") / "labels.csv"
>>> _ = path.write_text("path,label\\na.wav,church_bells\\nb.wav,dog\\n")
>>> own = read_own_data(path)
>>> own.class_names, own.rows[0]["label"], own.rows[0]["place"]
(['church bells', 'dog'], 'church bells', 'line 2')

Nothing is decoded here; `afpt_plugin.data.checks.check_recordings` does that.

Authors
 * The afpt_plugin developers 2026
"""

import os
import re
import unicodedata
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
from speechbrain.utils.logger import get_logger

from afpt_plugin.data.audio import find_recordings, name_skipped
from afpt_plugin.data.hf_datasets import is_saved, read_hf_dataset
from afpt_plugin.data.tables import check_class_names, read_table, text_of
from afpt_plugin.errors import InputError
from afpt_plugin.task import Task

logger = get_logger(__name__)

#: The columns that a table may have.
COLUMNS = ("path", "label", "fold", "source", "split")

#: The accepted values of ``split``, by meaning; validation is used for
#: training.
SPLITS = {"test": ("test", "eval", "evaluation")}
SPLITS["train"] = ("train", "training", "dev", "validation", "valid", "val")

WANTED = (
    "give a folder with a folder for each class; a .csv, .tsv or .parquet file "
    "with the columns path and label; or a data set of Hugging Face, on the hub "
    "(user/name) or written by save_to_disk"
)

TABLES = (".csv", ".tsv", ".parquet")

# A data set on the hub, optionally with the name of its configuration.
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


class OwnData(NamedTuple):
    """A user's labeled recordings."""

    rows: list  # for `check_recordings`; each also has `place` and `split`
    class_names: list  # in the order of the class indices
    multi_label: bool  # whether a recording may have several classes

    @property
    def is_split(self):
        """Whether the recordings are split into test and training."""
        return any(row["split"] == "test" for row in self.rows)

    @property
    def folds(self):
        """The recordings' own folds, a sorted tuple; empty if `is_split`."""
        folds = {row["fold"] for row in self.rows if not self.is_split} - {""}
        is_number = all(fold.isdecimal() for fold in folds)
        return tuple(sorted(map(int, folds) if is_number else folds))

    def task(self, name, clip_seconds=None):
        """Make a `Task`, by default with clips as long as in the paper."""
        if clip_seconds is None:
            clip_seconds = 10.0 if self.multi_label else 5.0
        return Task(
            name,
            self.class_names,
            multi_label=self.multi_label,
            clip_seconds=clip_seconds,
            folds=self.folds,
        )


def read_own_data(
    source, folder=None, columns=None, class_names=None, multi_label=None
):
    """Read a user's labeled recordings.

    Arguments
    ---------
    source : str, pathlib.Path or dict
        One of the forms that the module's docstring lists, or a dict of class
        name to a list of files.
    folder : str or pathlib.Path, optional
        Where to write recordings that lie inside a data set's own files.
    columns : dict, optional
        The table's names for columns of `COLUMNS`, e.g.
        ``{"label": "category"}``.
    class_names : list of str, optional
        The classes. A label may write a space as ``_`` and differ in case. By
        default, the classes are the labels, sorted or in a data set's own
        order.
    multi_label : bool, optional
        Whether a recording may have several classes; by default, whether any
        row has several labels.

    Returns
    -------
    OwnData
        If something is wrong with a row, its ``problem`` says what.

    Raises
    ------
    InputError
        If ``source`` has none of these forms, or the classes are ambiguous.
    """
    check_columns(columns)
    is_dict = isinstance(source, dict)
    if columns and (is_dict or _is_folder(source)):
        shown = "a dict" if is_dict else source
        raise InputError(
            f"{shown}: columns rename those of a table, which this is not; "
            "leave them out"
        )
    if is_dict:
        records = [
            {"path": os.fspath(path), "label": [label]}
            for label, paths in source.items()
            for path in paths
        ]
        names = None
    else:
        records, names = _read(str(source), folder, columns or {}, class_names)
    if class_names is None:
        class_names = [_name(n) for n in names or ()] or _names_of(records)
    check_class_names(class_names)
    if all(name.isdecimal() for name in class_names):
        logger.warning(
            "the classes are called %s, and numbers say nothing about sounds; "
            "write the names of the classes instead",
            ", ".join(class_names[:3]),
        )
    if multi_label is None:
        multi_label = any(len(record["label"]) > 1 for record in records)
    rows = _merge(records)
    known = {_key(name): name for name in class_names}
    known |= {name: name for name in class_names}
    for row in rows:
        labels = [known.get(n, known.get(_key(n), n)) for n in row["label"]]
        labels = list(dict.fromkeys(labels))
        if len(labels) > 1 and not multi_label:
            row.setdefault(
                "problem",
                f"it is labeled {' and '.join(sorted(labels))}; correct the "
                "labels, or allow several (multi_label)",
            )
        row["label"] = "|".join(labels)
    own = OwnData(rows, list(class_names), multi_label)
    if own.is_split:
        for row in rows:
            if not row["split"]:
                row.setdefault("problem", "it has no split")
    return own


def check_columns(columns):
    """Refuse a mapping of columns whose keys are not in `COLUMNS`.

    Raises
    ------
    InputError
        If a key is unknown, or ``columns`` is not a valid mapping.

    Example
    -------
    >>> check_columns({"labels": "category"})
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: columns: 'labels' is not a column; it may rename path, label, fold, source, split
    """
    if columns is not None and not isinstance(columns, dict):
        raise InputError(
            f"columns is {columns!r:.60}; give pairs of a name and a column, e.g. "
            "label: category"
        )
    for name, theirs in (columns or {}).items():
        if name not in COLUMNS:
            raise InputError(
                f"columns: {name!r} is not a column; it may rename "
                f"{', '.join(COLUMNS)}"
            )
        if not isinstance(theirs, str) or not theirs:
            raise InputError(
                f"columns: {name} is {theirs!r}; say what the table calls it, "
                "e.g. label=category"
            )


def _is_folder(path):
    return Path(path).is_dir() and not is_saved(path)


def _read(source, folder, columns, class_names):
    """Read records, and the class names if the source orders them."""
    path = Path(source)
    suffix = path.suffix.lower()
    is_hub = HUB_NAME.fullmatch(source) and suffix not in TABLES
    if is_saved(path) or not path.exists() and is_hub:
        return read_hf_dataset(source, folder, columns)
    if _is_folder(path):
        return _read_folder(path, class_names), None
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; {WANTED}")
    if suffix not in TABLES:
        raise InputError(f"{path}: this is not a table of recordings; {WANTED}")
    names = {name: columns.get(name, name) for name in COLUMNS}
    needed = {"path", "label", *columns}
    required = [names[name] for name in COLUMNS if name in needed]
    if suffix == ".parquet":
        rows = _read_parquet(path, names, required)
    else:
        delimiter = "\t" if suffix == ".tsv" else ","
        remedy = "Correct the table, or rename its columns (columns)"
        table = read_table(path, required, delimiter, remedy)
        rows = [(f"line {row.line}", row) for row in table]
    records = []
    for place, row in rows:
        label = row[names["label"]]
        if isinstance(label, str):
            label = label.split("|")
        own = {n: theirs for n, theirs in names.items() if n != "label"}
        record = {n: row.get(name, "").strip() for n, name in own.items()}
        # Windows separates folders by \\, which file names elsewhere do not
        # hold.
        record["path"] = record["path"].replace("\\", "/")
        record["label"] = label
        if not record["path"]:
            record["problem"] = "no path"
        record["ID"] = record["path"]
        record["path"] = str(
            Path(os.path.realpath(path.parent)) / record["path"]
        )
        records.append({**record, "place": place})
    return records, None


def _read_parquet(path, names, required):
    """Read pairs of a place and a row, whose values are texts or lists."""
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: cannot be read as parquet ({reason:.200})"
        ) from error
    if missing := [n for n in required if n not in table.column_names]:
        raise InputError(
            f"{path}: there is no column {', '.join(missing)}; the columns are "
            f"{', '.join(table.column_names)}. Rename them (columns)"
        )
    for name, theirs in names.items():
        if theirs in table.column_names:
            _check_kind(path, name, theirs, table.schema.field(theirs).type)
    if not table.num_rows:
        raise InputError(f"{path}: the table has no row")
    rows = [
        {name: text_of(value) for name, value in row.items()}
        for row in table.to_pylist()
    ]
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _check_kind(path, name, theirs, kind):
    """Refuse a parquet column whose values are neither texts nor numbers."""
    shown, types = str(kind), pyarrow.types
    if name == "label" and (types.is_list(kind) or types.is_large_list(kind)):
        kind = kind.value_type
    if types.is_nested(kind) or "binary" in str(kind):
        raise InputError(
            f"{path}: the column {theirs} holds {shown:.60}, but a {name} is a "
            "text. A table with recordings in it is for Hugging Face's datasets:"
            ' load_dataset("parquet", data_files=...), save_to_disk; then give '
            "that folder"
        )


def _read_folder(folder, class_names):
    """Read the records of a folder that has a folder for each class."""
    records, loose = [], 0
    known = class_names and {_key(name) for name in class_names}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            loose += 1
            continue
        if known and _key(path.name) not in known:
            raise InputError(
                f"{path}: there is no class of this name; rename the folder, "
                "or add the class"
            )
        files, skipped = find_recordings([os.fspath(path)])
        if skipped:
            logger.warning(
                "%s: %d files skipped: unsupported extension (%s)",
                *(path, skipped.total(), name_skipped(skipped)),
            )
        for file in files:
            name = Path(file).relative_to(folder).as_posix()
            records.append({"path": file, "ID": name, "label": [path.name]})
    if not records:
        raise InputError(f"{folder}: there is no folder in it; {WANTED}")
    names = {label for record in records for label in record["label"]}
    if {name.casefold() for name in names} <= {*chain(*SPLITS.values())}:
        raise InputError(
            f"{folder}: its folders are {', '.join(sorted(names))}, which are "
            "no classes but splits; give one of them, or a table (path, label, "
            "split)"
        )
    if loose:
        logger.warning(
            "%s: %d files that lie in no class's folder are not used",
            *(folder, loose),
        )
    return records


def _name(label):
    """Turn a label into a class name, with equal spelling for equal looks."""
    words = unicodedata.normalize("NFC", label).replace("_", " ").split()
    return " ".join(words)


def _key(name):
    """Return the form in which class names and labels are compared."""
    return _name(name).casefold()


def _names_of(records):
    """Turn the labels into class names."""
    spellings = {}
    for record in records:
        for label in record["label"]:
            if name := _name(label):
                try:
                    check_class_names([name])
                except InputError as error:
                    raise InputError(f"{_place(record)}: {error}") from None
                spelled = spellings.setdefault(_key(label), {})
                spelled.setdefault(name, record)
    for names in spellings.values():
        if len(names) > 1:
            shown = [f"{n!r} ({_place(record)})" for n, record in names.items()]
            raise InputError(
                f"the labels {' and '.join(shown)} differ in nothing but "
                "capital letters; spell them alike, or give the class names"
            )
    return sorted(name for names in spellings.values() for name in names)


def _place(record):
    return record.get("place") or record["path"]


def _merge(records):
    """Make rows of `OwnData`; join records that differ only in their label."""
    rows, first = [], {}
    for record in records:
        if re.search("[\ud800-\udfff]", record["path"]):
            raise InputError(
                f"{record['path']!r}: the name is not UTF-8, so no table can "
                "hold it; rename the file or folder"
            )
        row = {
            "ID": record.get("ID") or record["path"],
            "wav": record["path"],
            "label": [label.strip() for label in record["label"]],
            **{name: record.get(name, "") for name in COLUMNS[2:]},
            **{n: record[n] for n in ("place", "problem") if n in record},
        }
        # A column of numbers with gaps may write 1 as 1.0.
        row["fold"] = re.sub(r"^0*([0-9]+)(\.0*)?$", r"\1", row["fold"].strip())
        split = row["split"].strip().casefold()
        row["split"] = next((s for s, v in SPLITS.items() if split in v), "")
        if split and not row["split"]:
            row.setdefault(
                "problem",
                f"the split {split!r} is none of train, validation, test",
            )
        # Different spellings of a path mean the same recording.
        same = first.setdefault(os.path.normpath(row["wav"]), row)
        alike = all(same[name] == row[name] for name in COLUMNS[2:])
        if same is not row and alike:
            same["label"] += row["label"]
        else:
            rows.append(row)
    return rows
