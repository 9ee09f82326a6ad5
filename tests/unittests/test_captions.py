"""Caption manifests: what is read, refused, split and kept."""

import logging
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from common import cases, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import afpt_plugin
from afpt_plugin.data.captions import (
    TEMPLATES,
    Caption,
    captions_fingerprint,
    read_captions,
    split_captions,
    subsample_captions,
    template_captions,
    write_captions,
)
from afpt_plugin.data.tables import read_table

CLASSES = ["dog", "crackling fire", "rain"]
UPSTREAM = Path(__file__).parents[2].parent / "shared/captions/upstream"
OURS = Path(afpt_plugin.__path__[0]) / "assets/captions/esc50.csv"
COMPLETE = "a,dog\nb,crackling fire\nc,rain\n"


@pytest.fixture
def manifest(tmp_path):
    """Write a text to a file and give its path."""

    def write(content):
        path = tmp_path / "captions.csv"
        path.write_bytes(content.encode())
        return path

    return write


def test_our_format_maps_names_to_indices_and_keeps_lines(manifest):
    path = manifest(
        'caption,label\n"wet logs, hissing",rain|crackling fire\n\nNA,dog\n'
    )
    captions = read_captions(path, CLASSES)
    assert captions == [
        Caption("wet logs, hissing", (2, 1)),
        Caption("NA", (0,)),
    ]
    assert [c.line for c in captions] == [2, 4]


@pytest.mark.parametrize("index_column", ["", "Unnamed: 0", None])
def test_authors_format_reads_integers_and_bracketed_lists(
    manifest, index_column
):
    rows = ["caption,class", "a,0", 'b,"[2, 1]"', "c,[2]"]
    if index_column is not None:
        rows = [f"{i or index_column},{r}" for i, r in enumerate(rows)]
    captions = read_captions(manifest("\n".join(rows)), CLASSES)
    assert [c.labels for c in captions] == [(0,), (2, 1), (2,)]


@cases(
    "header, row, fact",
    ("caption,label", ",dog", "empty"),
    ("caption,label", "nan,dog", "empty"),
    ("caption,label", "x,", "''"),
    ("caption,label", "x,dgo", "'dgo' is unknown; did you mean 'dog'?"),
    ("caption,label", "x,zzzz", "'zzzz' is unknown"),
    ("caption,label", "x,dog|rain|dog", "twice"),
    ("caption,label", '"x\ny",dog', r"'x\ny'"),
    ("caption,class", "x,3", "3 is outside 0 to 2"),
    ("caption,class", "x,-1", "-1 is outside 0 to 2"),
    ("caption,class", 'x,"[0, 7]"', "7 is outside 0 to 2"),
    ("caption,class", "x,1.0", "'1.0'"),
    ("caption,class", "x,nan", "'nan'"),
    ("caption,class", "x,", "''"),
    ("caption,class", "x,[]", "'[]'"),
    ("caption,class", 'x,"[1, 2"', "'[1, 2'"),
    ("caption,class", "x,__import__('os')", "__import__"),
    ("caption,class", "x," + "9" * 5000, "'9999"),
    ("caption,class", 'x,"[1, 1]"', "twice"),
)
def test_a_bad_row_is_named(manifest, header, row, fact):
    good = COMPLETE if header.endswith("label") else "a,0\nb,1\nc,2\n"
    path = manifest(f"{header}\n{good}{row}\n")
    message = refusal(read_captions, path, CLASSES)
    assert f"{path}: 1 of 4 captions" in message
    assert "line 5: " in message and fact in message
    assert len(message) - len(str(path)) < 250


def test_all_bad_rows_are_counted_and_ten_shown(manifest):
    rows = "".join(f"x{i},cow\n" for i in range(13))
    path = manifest("caption,label\n" + COMPLETE + rows)
    message = refusal(read_captions, path, CLASSES)
    for fact in ("13 of 16 captions", "line 14: ", "and 3 more"):
        assert fact in message
    assert "line 15: " not in message


@cases(
    "content, fact",
    ("text,label\na,dog\n", "'text', 'label'"),
    ("caption\na\n", "'caption'"),
    ("caption,class,label\na,0,dog\n", "'caption', 'class', 'label'"),
    ("a dog barks,dog\na,dog\n", "'a dog barks', 'dog'"),
    ("caption,label\n", "no row"),
    ("caption,label\na,dog\nb,rain\n", "(crackling fire)"),
    ("", "'caption,label' (class names"),
)
def test_an_unusable_file_is_refused_with_the_reason(manifest, content, fact):
    path = manifest(content)
    message = refusal(read_captions, path, CLASSES)
    assert message.startswith(str(path)) and fact in message


def test_repeated_rows_are_kept_once_with_a_warning(manifest, caplog):
    path = manifest(
        "caption,label\n" + COMPLETE + "a,dog\na,rain\nx,dog|rain\nx,rain|dog\n"
    )
    with caplog.at_level(logging.WARNING):
        captions = read_captions(path, CLASSES)
    assert [c.line for c in captions] == [2, 3, 4, 6, 7]
    assert "2 rows" in caplog.text


@cases(
    "name, rows, n_classes",
    ("cap_esc", 6177, 50),
    ("cap_urbansound8k", 1512, 10),
    ("cap_fsd19", 9515, 80),
    ("cap_dcase19", 1919, 10),
)
def test_authors_files_are_read_whole(name, rows, n_classes):
    path = UPSTREAM / f"{name}.csv"
    if not path.is_file():
        pytest.skip("the authors' captions are not in ../shared")
    captions = read_captions(path, [f"class {i}" for i in range(n_classes)])
    assert len(captions) == rows
    parts = split_captions(captions, n_classes, 0.1, seed=0)
    for part in parts:
        found = {label for c in part for label in c.labels}
        assert found == set(range(n_classes))
    assert 0.08 < len(parts[1]) / rows < 0.12


TEXTS = st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip().lower() not in ("", "nan"))
LABELS = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(
    tuple
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    drawn=st.lists(
        st.builds(Caption, TEXTS, LABELS),
        max_size=8,
        unique_by=lambda c: c.caption,
    )
)
def test_what_is_written_is_read_back(drawn, tmp_path):
    captions = drawn + [Caption(f"'{i}',", (i,)) for i in range(3)]
    path = tmp_path / "captions.csv"
    write_captions(path, captions, CLASSES)
    back = read_captions(path, CLASSES)
    assert back == list(dict.fromkeys(captions))


@cases("text, labels", ("", (0,)), ("x", ()), ("x", (-1,)), ("x\n", (0,)))
def test_unreadable_caption_is_not_written_and_old_file_stays(
    manifest, text, labels
):
    path = manifest("old")
    captions = [Caption("good", (0,)), Caption(text, labels)]
    message = refusal(write_captions, path, captions, CLASSES)
    assert str(path) in message and repr(text) in message
    assert path.read_text() == "old"


WORDS = st.from_regex("[a-zA-Z][a-zA-Z .,!]{0,3}", fullmatch=True)


def plain(text):
    """A caption's letters and words alone."""
    return " ".join(re.sub("[.,!]", " ", text.casefold()).split())


@settings(max_examples=100, deadline=None)
@given(
    captions=st.lists(st.builds(Caption, WORDS, LABELS), max_size=25),
    fraction=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 3),
)
def test_split_partitions_with_no_text_on_both_sides(captions, fraction, seed):
    train, valid = split_captions(captions, 3, fraction, seed)
    assert Counter(train) + Counter(valid) == Counter(captions)
    texts = [{plain(c.caption) for c in part} for part in (train, valid)]
    assert not texts[0] & texts[1]
    assert split_captions(captions, 3, fraction, seed) == (train, valid)
    # Every class keeps a caption to learn from.
    assert {x for c in valid for x in c.labels} <= {
        x for c in train for x in c.labels
    }
    # The order given does not choose the side.
    backwards = split_captions(captions[::-1], 3, fraction, seed)
    assert backwards == (train[::-1], valid[::-1])


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 3),
)
def test_split_holds_out_the_fraction_of_every_class(sizes, fraction, seed):
    captions = [
        Caption(f"{label} {i}", (label,))
        for label, size in enumerate(sizes)
        for i in range(size)
    ]
    train, valid = split_captions(captions, len(sizes), fraction, seed)
    held = Counter(c.labels[0] for c in valid)
    for label, size in enumerate(sizes):
        assert held[label] == min(max(round(fraction * size), 1), size - 1)


@pytest.mark.parametrize("seed", range(5))
def test_split_serves_rare_classes_first_and_leaves_them_the_last(seed):
    captions = [Caption(f"common {i}", (0,)) for i in range(8)]
    captions += [Caption(f"both {i}", (0, 1)) for i in range(2)]
    train, valid = split_captions(captions, 2, 0.1, seed)
    assert [c.labels for c in valid] == [(0, 1)]
    captions = [Caption("a", (0, 1)), Caption("b", (0, 2))]
    assert split_captions(captions, 3, 0.5, seed) == (captions, [])
    captions = [Caption(f"caption {i}", (0,)) for i in range(40)]
    _, valid = split_captions(captions, 1, 0.5, seed)
    assert valid != split_captions(captions, 1, 0.5, seed + 1)[1]


def test_the_first_captions_of_a_class_stay_or_a_seeded_choice():
    """Of twelve captions of class 0 among three of class 1."""
    captions = [Caption(f"c{i}", (int(i % 5 == 0),)) for i in range(15)]
    kept = subsample_captions(captions, 2)
    assert [c.caption for c in kept] == ["c0", "c1", "c2", "c5"]
    assert subsample_captions(captions, None, seed=1) == captions
    draws = [subsample_captions(captions, 3, seed=s) for s in range(5)]
    for kept in draws:
        assert Counter(c.labels[0] for c in kept) == {0: 3, 1: 3}
        assert kept == [c for c in captions if c in kept]
    assert len({tuple(kept) for kept in draws}) > 1
    assert subsample_captions(captions, 3, seed=0) == draws[0]


def test_caption_with_several_labels_stays_while_one_has_room():
    captions = [Caption(t, x) for t, x in [("a", (0,)), ("b", (0, 1))]]
    captions += [Caption("c", (0,)), Caption("d", (1,))]
    assert subsample_captions(captions, 1) == captions[:2]


def test_templates_make_every_sentence_for_every_class():
    captions = template_captions(CLASSES)
    assert len({c.caption for c in captions}) == 3 * len(TEMPLATES)
    assert captions[0] == Caption("this is a sound of dog", (0,))
    assert all(CLASSES[c.labels[0]] in c.caption for c in captions)
    assert all(template.count("{}") == 1 for template in TEMPLATES)


@cases(
    "function, arguments, fact",
    (split_captions, (1, -0.1, 0), "valid_fraction is -0.1"),
    (split_captions, (1, 1, 0), "valid_fraction is 1"),
    (split_captions, (1, float("nan"), 0), "valid_fraction is nan"),
    (split_captions, (2, 0.1, 0), "(2,) of the caption 'a' are outside 0"),
    (subsample_captions, (0,), "captions_per_class is 0"),
    (subsample_captions, (-3,), "captions_per_class is -3"),
)
def test_a_bad_argument_is_named(function, arguments, fact):
    assert fact in refusal(function, [Caption("a", (2,))], *arguments)


def test_fingerprint_tells_contents_and_order_but_not_lines():
    a, b = Caption("a", (0,)), Caption("b", (1, 2))
    base = captions_fingerprint([a, b])
    assert captions_fingerprint([Caption("a", (0,), line=7), b]) == base
    others = [[b, a], [a], [], [Caption("A", (0,)), b]]
    others += [[a, Caption("b", labels)] for labels in ((1,), (2, 1))]
    prints = {captions_fingerprint(captions) for captions in others}
    assert len(prints | {base}) == len(others) + 1


def test_our_captions_of_esc50_are_many_varied_and_no_templates():
    by_class = defaultdict(list)
    for row in read_table(OURS, ["caption", "label"]):
        by_class[row["label"]].append(plain(row["caption"]))
    assert len(by_class) == 50
    texts = [text for own in by_class.values() for text in own]
    assert len(set(texts)) == len(texts)
    for name, own in by_class.items():
        starts = Counter(tuple(text.split()[:3]) for text in own)
        assert max(starts.values()) <= 0.15 * len(own), name
        lengths = [len(text.split()) for text in own]
        # Short phrases as well as long sentences.
        assert min(lengths) <= 5 and 12 <= max(lengths) < 25, name
        assert len(own) >= 24
        assert not any(t.startswith("this is a sound") for t in own)


def test_a_sentence_under_two_labels_is_named_with_its_rows(manifest, caplog):
    """Refused in our format; warned of in the paper's; not of several labels."""
    path = manifest("caption,label\nIt hums,dog\nhail,rain\nit hums!,rain\n")
    names = ["dog", "rain"]
    message = refusal(read_captions, path, names, True)
    assert "lines 2, 4: 'It hums' is under dog and rain" in message
    assert len(read_captions(path, names)) == 3 and not caplog.text
    path = manifest("caption,class\nIt hums,0\nhail,1\nit hums,1\n")
    assert len(read_captions(path, names, one_label=True)) == 3
    assert "lines 2, 4: 'It hums'" in caplog.text
    path = manifest("caption,label\na,dog\na,dog|rain\nb,rain\n")
    assert len(read_captions(path, names, one_label=True)) == 3


def test_what_a_spreadsheet_writes_is_read(manifest):
    """Semicolons, a byte order mark, and Windows's line ends."""
    path = manifest("\ufeffcaption;label\r\na, b;dog\r\nc;rain\r\n")
    captions = read_captions(path, ["dog", "rain"])
    assert [(c.caption, c.labels) for c in captions] == [
        ("a, b", (0,)),
        ("c", (1,)),
    ]
