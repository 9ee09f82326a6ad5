"""Read tables, lists of class names and all other text files.

Every value stays a text, as in the file, and every row knows its line:

>>> path = getfixture("tmp_path") / "meta.csv"
>>> _ = path.write_text("filename,fold\\na.wav,1\\n\\nb.wav,2\\n")
>>> rows = read_table(path, ["filename"])
>>> rows
[{'filename': 'a.wav', 'fold': '1'}, {'filename': 'b.wav', 'fold': '2'}]
>>> [row.line for row in rows]
[2, 4]

Authors
 * The afpt_plugin developers 2026
"""

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

from afpt_plugin.errors import InputError
from afpt_plugin.files import read_bytes

# The largest accepted text file; the largest caption corpora have a quarter of
# it.
MAX_BYTES = 2**30

# A longer line is a sentence, or the file is not a list of names.
MAX_NAME_LENGTH = 200

# The separator of labels, invisible characters, characters that change the
# writing direction, and halves of surrogate pairs, which no encoding has.
_CONTROL = re.compile(
    "[|\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff]"
)
# Special tokens that tokenizers put around and between texts.
_SPECIAL = re.compile(r"\[(?:PAD|UNK|CLS|SEP|MASK)\]|</?(?:s|pad|unk|mask)>")

# Usual names for a column of class names.
HEADERS = ("class", "class_name", "category", "display_name", "label", "name")

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class _Row(dict):
    """A dict of column to text; ``line`` is where the row starts (from 1)."""

    def __init__(self, values, line):
        super().__init__(values)
        self.line = line


def some_of(lines, limit):
    """List the first of many lines, indented, and count the others (str).

    Example
    -------
    >>> print(some_of(["a", "b", "c"], limit=2))
      a
      b
      ... and 1 more
    """
    shown = list(lines[:limit])
    if len(lines) > limit:
        shown.append(f"... and {len(lines) - limit} more")
    return "\n".join(f"  {line}" for line in shown)


def read_text(path, remedy="Restore the original file"):
    """Read a text file in UTF-8, with or without a byte order mark.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.
    remedy : str
        What to do if the file cannot be read, as a sentence for the message.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8 or is empty.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise InputError(
            f"{path}: the file cannot be read ({error.strerror}). {remedy}"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: the file is not UTF-8 ({error.reason}); "
            "save it with that encoding"
        ) from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty. {remedy}")
    return text


def read_table(
    path, columns, delimiter=",", remedy="Restore the original file"
):
    """Read a CSV file, every value as text.

    Lines without any value are skipped. Spaces around a column's name are
    removed; those around a value are kept.

    Arguments
    ---------
    path : str or pathlib.Path
        The file, in UTF-8, with a header.
    columns : iterable of str
        The columns that the file must have. Others are kept.
    delimiter : str, optional
        The character between two values, e.g. a tab in a TSV file. None takes
        the comma, the semicolon (which spreadsheets in much of Europe write) or
        the tab, whichever splits the header most often.
    remedy : str
        What to do about a damaged file, as a sentence for the message.

    Returns
    -------
    list of dict
        At least one row. The attribute ``line`` of each is the line on which it
        starts, as an editor counts.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8, has no row or another
        delimiter, lacks or repeats a column, or has a row with too many or too
        few values.
    """
    columns = tuple(columns)
    # Line ends within quotes stay as they are.
    text = read_text(path, remedy)
    if delimiter is None:
        header = text.lstrip().partition("\n")[0]
        delimiter = max(DELIMITERS, key=header.count)
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    header, rows, line = None, [], 1
    try:
        for values in reader:
            start, line = line, reader.line_num + 1
            if not any(value.strip() for value in values):
                continue
            if header is None:
                header = [name.strip() for name in values]
                _check_header(path, header, columns, delimiter, remedy)
            elif len(values) != len(header):
                raise InputError(
                    f"{path}, line {start}: the number of values is "
                    f"{len(values)}, but the header names {len(header)} "
                    "columns; a value that holds the delimiter or a quote must "
                    f"stand in quotes. {remedy}"
                )
            else:
                rows.append(_Row(zip(header, values, strict=True), start))
    except csv.Error as error:
        raise InputError(
            f"{path}, line {line}: the row cannot be parsed ({error}); a quote "
            f"is left open or stands alone. {remedy}"
        ) from error
    if not rows:
        raise InputError(f"{path}: the file has a header but no row. {remedy}")
    return rows


def _check_header(path, header, columns, delimiter, remedy):
    """Refuse a header that is split wrongly, or lacks or repeats a column."""
    listed = f"its columns are {', '.join(map(repr, header))}"
    absent = [column for column in columns if column not in header]
    if len(header) == 1 and (absent or not columns):
        others = [other for other in DELIMITERS if other != delimiter]
        found = max(others, key=header[0].count)
        if found in header[0]:
            raise InputError(
                f"{path}: the header {header[0]!r:.100} is separated by "
                f"{DELIMITERS[found]}, not {DELIMITERS[delimiter]}; save the "
                "table with the latter"
            )
    if absent:
        raise InputError(
            f"{path}: the header lacks {', '.join(map(repr, absent))}; "
            f"{listed:.300}. {remedy}"
        )
    # A spreadsheet may leave several columns without a name.
    repeated = [n for n, count in Counter(header).items() if n and count > 1]
    if repeated:
        raise InputError(
            f"{path}: the header repeats {repeated[0]!r}; {listed:.300}. "
            f"{remedy}"
        )


def check_class_names(class_names):
    """Refuse class names that are ambiguous or that a manifest cannot hold.

    Example
    -------
    >>> check_class_names(["dog", "dog"])
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: the class names repeat 'dog'; ...
    """
    names = class_names
    # A set has a different order in each process.
    is_list = hasattr(names, "__len__") and not isinstance(names, (str, set))
    if not is_list or not len(names):
        raise InputError(
            f"the class names are {class_names!r:.60}; give a list of at least "
            "one name"
        )
    for name in class_names:
        if not isinstance(name, str):
            raise InputError(
                f"the class name {name!r:.60} is not a text; in YAML, put "
                "quotes around it"
            )
        if not _seen(name) or name != name.strip() or _CONTROL.search(name):
            raise InputError(
                f"the class name {name!r:.60} must not be empty, start or end "
                "with a space, or hold | or a control character"
            )
        if all(unicodedata.category(c)[0] in "PMZC" for c in name):
            raise InputError(
                f"the class name {name!r:.60} has no letter or digit, so no "
                "tower can know what it means; use words"
            )
        if special := _SPECIAL.search(name):
            raise InputError(
                f"the class name {name!r:.60} holds {special[0]!r}, which a "
                "tokenizer takes for a sign of its own; remove it"
            )
    repeated = [n for n, count in Counter(class_names).items() if count > 1]
    if repeated:
        repeated = ", ".join(map(repr, repeated))
        raise InputError(
            f"the class names repeat {repeated}; give each name once"
        )
    alike = {}
    for name in class_names:
        first = alike.setdefault(_seen(name), name)
        if first != name:
            raise InputError(
                f"the class names {ascii(first)} and {ascii(name)} look the "
                "same; remove one of the two"
            )


def _seen(name):
    """Reduce a text to what is visible: NFC, without zero-width characters."""
    name = unicodedata.normalize("NFC", name)
    return "".join(c for c in name if unicodedata.category(c) != "Cf").strip()


def read_class_names(path):
    """Read a file of class names, one per line, or names joined by commas.

    Arguments
    ---------
    path : str or pathlib.Path
        A text file in UTF-8, in which spaces around a name and empty lines are
        ignored; or, if there is no such file, names like ``"dog,rain"``.

    Returns
    -------
    list of str
        In the order of the file, which is that of the class indices.

    Raises
    ------
    InputError
        If the file cannot be read, is empty or a table, or if a name is too
        long, repeated (ignoring case), or holds the separator of labels.

    Example
    -------
    >>> path = getfixture("tmp_path") / "names.txt"
    >>> _ = path.write_text("dog\\nrain\\nDog\\n")
    >>> read_class_names(path)
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: ...names.txt, line 3: 'Dog' repeats 'dog' of line 1; ...
    """
    if "," in (names := str(path)) and not os.path.lexists(names):
        return parse_class_names(names.replace(",", "\n"), "the class names")
    text = read_text(path, "Give a text file with one class name per line")
    if columns := _columns_of(text, Path(path).suffix.lower()):
        raise InputError(
            f"{path}: the file is a table, of the columns "
            f"{', '.join(map(repr, columns)):.300}; give a text file with one "
            "class name per line, such as one of these columns alone"
        )
    return parse_class_names(text, path)


def _columns_of(text, suffix):
    """Return the columns of a text that is a table, or else an empty list.

    A text is a table if all of its lines have the same number of values, two or
    more, or if its file name says so. A comma that a space follows is part of a
    class name.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    named = suffix in (".csv", ".tsv")
    for delimiter in DELIMITERS:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        header = rows[0]
        several = len(header) > 1 and not any(v[:1] == " " for v in header)
        if several and (named or len({len(row) for row in rows}) == 1):
            return header
        if named and header[0].strip().casefold() in HEADERS:
            return header
    return []


def parse_class_names(text, source):
    """Parse class names from a text, one per line; see `read_class_names`.

    Example
    -------
    >>> parse_class_names("dog \\n rain\\n", "names.txt")
    ['dog', 'rain']
    """
    names, lines = [], {}
    for line, name in enumerate(text.rstrip().split("\n"), start=1):
        name = name.strip()
        if not name:
            continue
        place = f"{source}, line {line}: "
        if len(name) > MAX_NAME_LENGTH:
            raise InputError(
                f"{place}the name has {len(name)} characters; a class name is "
                f"a few words, at most {MAX_NAME_LENGTH} characters"
            )
        try:
            check_class_names([name])
        except InputError as error:
            raise InputError(f"{place}{error}") from None
        key = _seen(name).casefold()
        first, other = lines.setdefault(key, (line, name))
        if first != line:
            show = ascii if _seen(name) == _seen(other) else repr
            raise InputError(
                f"{place}{show(name)} repeats {show(other)} of line {first}; "
                "remove one of the two"
            )
        names.append(name)
    if not names:
        raise InputError(f"{source}: there is no class name; give some")
    return names


def text_of(value):
    """Turn a value, or each value of a list, into the text that CSV files hold.

    Example
    -------
    >>> text_of(None), text_of(3.0), text_of(["dog", None])
    ('', '3', ['dog', ''])
    """
    if isinstance(value, list):
        return [text_of(part) for part in value]
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def csv_text(rows, delimiter=","):
    """Turn rows, which are sequences of values, into the text of a CSV file.

    Example
    -------
    >>> csv_text([["file", "label"], ["a\\r.wav", "rain, wind"]])
    'file,label\\n"a\\r.wav","rain, wind"\\n'
    """
    text, lines = io.StringIO(), []
    # The csv module quotes a value that holds a character of the line
    # terminator. An unquoted carriage return in a name would split its row.
    text.write = lambda line: lines.append(f"{line[:-2]}\n")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows(rows)
    return "".join(lines)
