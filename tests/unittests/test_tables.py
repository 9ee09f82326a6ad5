"""Tables and class names: what is read, and what is refused with its place."""

import pytest
from common import cases, refusal, refused

from afpt_plugin.data.tables import (
    check_class_names,
    read_class_names,
    read_table,
)


@pytest.fixture
def file(tmp_path):
    """Write text (or bytes) to a file and give its path."""

    def write(content):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / "table.csv").write_bytes(content)
        return tmp_path / "table.csv"

    return write


def test_values_stay_text_and_rows_know_the_line_on_which_they_start(file):
    path = file(
        b'\xef\xbb\xbfid, note ,\r\n1,"a\r\nb, c",\r\n\r\nNA, 1.0 ,x\r\n,,\r\n'
    )
    rows = read_table(path, ["note"])
    assert rows == [
        {"id": "1", "note": "a\r\nb, c", "": ""},
        {"id": "NA", "note": " 1.0 ", "": "x"},
    ]
    assert [row.line for row in rows] == [2, 5]


@cases(
    "content, facts",
    ("", ["empty"]),
    (" \n\n", ["empty"]),
    ("a,b\n", ["no row"]),
    ("a,b\n,\n\n", ["no row"]),
    ("a\n1\n", ["lacks 'b'", "columns are 'a'"]),
    ("a,b,b\n1,2,3\n", ["repeats 'b'"]),
    ("a,b\n1,2\n3\n", ["line 3:", "values is 1,", "2 columns"]),
    ('a,b\n"1\n",2\n1,2,3\n', ["line 4:", "values is 3,", "2 columns"]),
    ('a,b\n1,2\n3,"4\n5,6\n', ["line 3:", "quote"]),
    ('a,b\n1,"2" or 3\n', ["line 2:", "quote"]),
    ("a,b\n1,\xe9\n".encode("latin-1"), ["line 2:", "UTF-8"]),
    ("a,b\n1,2\n".encode("utf-16"), ["line 1:", "UTF-8"]),
    ("a;b\n1;2\n", ["'a;b'", "semicolons, not commas"]),
    ('a;b\n"1, 2";3\n', ["semicolons, not commas"]),
    ("a\tb\n1\t2\n", ["tabs, not commas"]),
)
def test_a_damaged_table_is_refused_with_its_place(file, content, facts):
    path = file(content)
    with refused(path, *facts):
        read_table(path, ["a", "b"], remedy="Ask the author")


def test_the_delimiter_is_given_and_checked(file):
    rows = read_table(file('a\tb\n"1"\t2,3\n'), ["a", "b"], delimiter="\t")
    assert rows == [{"a": "1", "b": "2,3"}]
    message = refusal(read_table, file("a;b\n1;2\n"), ())
    assert "semicolons, not commas" in message
    assert read_table(file("a;b\n1;2\n"), ["a;b"]) == [{"a;b": "1;2"}]
    for sign in ",;\t":
        path = file(f'a{sign}b\n"1{sign}2"{sign}3\n')
        rows = read_table(path, ["a"], delimiter=None)
        assert rows == [{"a": f"1{sign}2", "b": "3"}]
    message = refusal(read_table, file("a,b\n1,2\n"), ["a"], delimiter="\t")
    assert "commas, not tabs" in message


@pytest.mark.parametrize("read", [read_class_names, read_table])
def test_a_file_that_cannot_be_read_is_named_with_the_remedy(read, tmp_path):
    options = {"columns": ["a"], "remedy": "Ask me"}
    options = options if read is read_table else {}
    for path in (tmp_path / "none.csv", tmp_path):
        message = refusal(read, path, **options)
        assert message.startswith(f"{path}: the file cannot be read (")
        assert message.endswith(options.get("remedy", "name per line"))


def test_class_names_are_read_in_order_whatever_the_editor_put_around(file):
    path = file("\ufeffdog\r\n\r\n car horn \r\nNächte\r\n\r\n")
    assert read_class_names(path) == ["dog", "car horn", "Nächte"]
    path = file("Bark, dog\nChewing, mastication\n")
    assert read_class_names(path) == ["Bark, dog", "Chewing, mastication"]


@cases(
    "content, facts",
    (b"", ["empty"]),
    (b"dog\nrain\nDOG\n", ["line 3: 'DOG'", "'dog' of line 1"]),
    ("dog\u200b\ndog\n", ["line 2: 'dog'", r"'dog\u200b' of line 1"]),
    ("Na\u0308chte\nN\xe4chte\n", [r"'N\xe4chte'", r"'Na\u0308chte'"]),
    ("dog\n\u200d\n", ["line 2: ", "empty"]),
    ("dog\n?!...\n", ["line 2: ", "no letter or digit"]),
    ("dog\n\u0301\n", ["line 2: ", "no letter or digit"]),
    ("dog\nrain\u200f\n", ["line 2: ", "control character"]),
    ("dog\nra\ufeffin\n", ["line 2: ", "control character"]),
    ("dog\nra\u202ein\n", ["line 2: ", "control character"]),
    ("dog\n[SEP] rain\n", ["line 2: ", "'[SEP]'"]),
    ("dog\n</s>\n", ["line 2: ", "'</s>'"]),
    ("index,mid,name\n0,/m/1,Dog\n", ["table", "'index', 'mid', 'name'"]),
    ('id;name\n1;"Dog, bark"\n', ["table", "'id', 'name'"]),
    ("dog,cat\n", ["table", "'dog', 'cat'"]),
    ("a,b\n1,2\n3\n", ["table", "'a', 'b'"]),
    ("label\ndog\nrain\n", ["table", "'label'"]),
    (b"dog\n" + b"rain " * 50, ["line 2: ", "249 characters"]),
    (b"dog|rain\n", ["line 1: ", "'dog|rain'"]),
    (b"dog\nra\x00in\n", ["line 2: ", r"'ra\x00in'"]),
    (b"dog\n\xff\n", ["line 2: ", "UTF-8"]),
)
def test_a_bad_class_name_is_refused_with_its_line(file, content, facts):
    path = file(content)
    with refused(path, *facts):
        read_class_names(path)


@cases(
    "names, fact",
    (["a", "a", "b"], "repeat 'a'"),
    (["a", ""], "class name ''"),
    (["a|b"], "class name 'a|b'"),
    ([" a"], "class name ' a'"),
    (["a\n"], r"class name 'a\n'"),
    ([], "are []"),
    ("ab", "are 'ab'"),
    (None, "are None"),
    ({"a"}, "are {'a'}"),
    (iter("a"), "are <"),
    (["a", 7], "class name 7"),
    ([["a"]], "class name ['a']"),
    (["\xe9", "e\u0301"], "look the same"),
    (["\ud800"], r"class name '\ud800'"),
)
def test_class_names_that_a_manifest_cannot_hold_are_refused(names, fact):
    assert fact in refusal(check_class_names, names)
    check_class_names(["a", "b c"])
