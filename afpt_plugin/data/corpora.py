"""Read caption corpora: tables or JSON with one or more captions per row.

>>> path = getfixture("tmp_path") / "corpus.json"
>>> _ = path.write_text('{"data": [{"id": "7", "caption": "A dog barks."}]}')
>>> read_corpus(path)
([(1, 'A dog barks.')], 1, ['caption'])

A table has a header, and commas, semicolons or tabs between its values. JSON is
a list of records, or an object whose ``data`` is such a list, as in WavCaps.

Authors
 * The afpt_plugin developers 2026
"""

import json
import re

from afpt_plugin.data.tables import read_table, read_text, text_of
from afpt_plugin.errors import InputError

# Numbered columns, such as Clotho's caption_1 to caption_5.
NUMBERED = re.compile(r"captions?[ _-]?[0-9]+", re.IGNORECASE)
# Other names of the caption column, in order of preference.
TEXT_COLUMNS = ("caption", "captions", "text", "sentence", "raw")


def read_corpus(path, text_column=None):
    """Read all captions of a corpus.

    Arguments
    ---------
    path : str or pathlib.Path
        The corpus.
    text_column : str, optional
        The column of captions; by default, all numbered ones, or else the first
        of `TEXT_COLUMNS` that exists.

    Returns
    -------
    texts : list of tuple
        Pairs of a line (in JSON, the number of a record, from 1) and a caption.
    n_rows : int
        Number of rows or records.
    columns : list of str
        Names of the caption columns.

    Raises
    ------
    InputError
        If the file is neither a table nor JSON, or has no such column.
    """
    remedy = "Give a CSV file with a header, or the JSON of a list of records"
    text = read_text(path, remedy)
    if text.lstrip()[:1] in "{[":
        rows = list(enumerate(_records(path, text), start=1))
    else:
        given = [text_column] if text_column else ()
        table = read_table(path, given, None, remedy)
        rows = [(row.line, row) for row in table]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    columns = [text_column] if text_column else _find_columns(path, names)
    if columns[0] not in names:
        raise InputError(
            f"{path}: no record has {text_column!r}; they have "
            f"{', '.join(map(repr, names)):.300}"
        )
    return list(_texts(rows, columns)), len(rows), columns


def _records(path, text):
    """Parse a corpus in JSON into its records (list of dict)."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the file cannot be read as JSON ({error}). Restore the "
            "original file"
        ) from error
    records = content
    if isinstance(content, dict):
        records = content.get("data")
    if (
        not isinstance(records, list)
        or not records
        or not all(isinstance(record, dict) for record in records)
    ):
        raise InputError(
            f"{path}: the file holds no list of records; give the JSON of "
            '[{"caption": "..."}, ...], or {"data": [...]}, as WavCaps has it'
        )
    return records


def _texts(rows, columns):
    """Yield a pair of line and caption for every caption."""
    for line, row in rows:
        for column in columns:
            texts = text_of(row.get(column))
            for text in texts if isinstance(texts, list) else [texts]:
                yield line, text


def _find_columns(path, columns):
    """Find the caption columns by their names, ignoring case."""
    numbered = [name for name in columns if NUMBERED.fullmatch(name)]
    if numbered:
        return numbered
    by_name = {column.casefold(): column for column in reversed(columns)}
    for name in TEXT_COLUMNS:
        if name in by_name:
            return [by_name[name]]
    raise InputError(
        f"{path}: no column is called {', '.join(TEXT_COLUMNS)}; give the name "
        f"of the column of captions, one of {', '.join(map(repr, columns))}"
    )
