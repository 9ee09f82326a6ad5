"""Caption manifests: what is read, refused, split and kept.

Authors
 * The afpt_plugin developers 2026
"""

import logging
import string
from collections import Counter, defaultdict
from pathlib import Path

import pytest
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
from afpt_plugin.errors import InputError

CLASSES = ["dog", "crackling fire", "rain"]
UPSTREAM = Path(__file__).parents[2].parent / "shared/captions/upstream"
OURS = Path(afpt_plugin.__path__[0]) / "assets/captions/esc50.csv"
COMPLETE = "a,dog\nb,crackling fire\nc,rain\n"


@pytest.fixture
def manifest(tmp_path):
    """Write text (or bytes) to a file and give its path."""

    def write(content):
        path = tmp_path / "captions.csv"
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return write


def refusal(path, class_names=CLASSES):
    """The message with which a manifest is refused."""
    with pytest.raises(InputError) as caught:
        read_captions(path, class_names)
    return str(caught.value)


# ---------------------------------------------------------------- reading


def test_our_format_maps_names_to_indices_and_keeps_file_rows(manifest):
    path = manifest(
        'caption,label\n"wet logs, hissing",rain|crackling fire\n\nwoof,dog\n'
    )
    captions = read_captions(path, CLASSES)
    assert captions == [
        Caption("wet logs, hissing", (2, 1)),
        Caption("woof", (0,)),
    ]
    assert [c.row for c in captions] == [2, 4]


@pytest.mark.parametrize("index_column", [True, False])
def test_authors_format_reads_integers_and_bracketed_lists(
    manifest, index_column
):
    rows = ["caption,class", "a,0", 'b,"[2, 1]"', "c,[2]"]
    if index_column:
        rows = [f"{i},{r}" if i else f",{r}" for i, r in enumerate(rows)]
    captions = read_captions(manifest("\n".join(rows)), CLASSES)
    assert [c.labels for c in captions] == [(0,), (2, 1), (2,)]


def test_byte_order_mark_and_windows_line_ends_are_read(manifest):
    text = "caption,label\n" + COMPLETE
    path = manifest(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [c.caption for c in read_captions(path, CLASSES)] == ["a", "b", "c"]


def test_caption_that_pandas_would_call_missing_is_text(manifest):
    path = manifest("caption,label\nNA,dog\n" + COMPLETE)
    assert read_captions(path, CLASSES)[0].caption == "NA"


@pytest.mark.parametrize(
    "row, fault",
    [
        (",dog", "empty caption"),
        ("  ,dog", "empty caption"),
        ("nan,dog", "empty caption"),
        ("x,", "unknown class ''"),
        ("x,dgo", "unknown class 'dgo'; did you mean 'dog'?"),
        ("x,crackling_fire", "did you mean 'crackling fire'?"),
        ("x,zzzz", "unknown class 'zzzz'"),
        ("x,dog|rain|dog", "same label twice"),
        ('"x\ny",dog', "line break"),
    ],
)
def test_bad_row_of_our_format_is_named(manifest, row, fault):
    message = refusal(manifest("caption,label\n" + COMPLETE + row + "\n"))
    assert "captions.csv: 1 of 4 captions" in message
    assert "row 5: " in message and fault in message


@pytest.mark.parametrize(
    "row, fault",
    [
        ("x,3", "class index 3 is outside 0 to 2"),
        ("x,-1", "class index -1 is outside 0 to 2"),
        ('x,"[0, 7]"', "class index 7 is outside 0 to 2"),
        ("x,1.0", "class '1.0' is neither an integer"),
        ("x,nan", "class 'nan' is neither an integer"),
        ("x,", "class '' is neither an integer"),
        ("x,[]", "class '[]' is neither an integer"),
        ('x,"[1, 2"', "class '[1, 2' is neither an integer"),
        ("x,__import__('os')", "is neither an integer"),
        ("x," + "9" * 5000, "is neither an integer"),
        ('x,"[1, 1]"', "same label twice"),
    ],
)
def test_bad_row_of_authors_format_is_named(manifest, row, fault):
    message = refusal(manifest(f"caption,class\na,0\nb,1\nc,2\n{row}\n"))
    assert "row 5: " in message and fault in message


def test_all_bad_rows_are_counted_and_ten_shown(manifest):
    rows = "".join(f"x{i},cow\n" for i in range(13))
    message = refusal(manifest("caption,label\n" + COMPLETE + rows))
    assert "13 of 16 captions" in message
    assert "row 5: " in message and "row 14: " in message
    assert "row 15: " not in message and "and 3 more" in message


@pytest.mark.parametrize(
    "content, expected",
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("caption,label\n", "no caption"),
        ("caption,label\n\n\n", "no caption"),
        ("caption,label\na,dog\n\xe9,dog\n".encode("latin-1"), "row 3: not U"),
        ("caption,label\nrain, then wind,rain\n", "line 2"),
        ('caption,label\n"rain,rain\n', "in quotes"),
        ("caption,label\na,dog\nb,rain\n", "classes: crackling fire;"),
    ],
)
def test_unusable_file_is_refused_with_the_reason(manifest, content, expected):
    message = refusal(manifest(content))
    assert "captions.csv" in message and expected in message


@pytest.mark.parametrize(
    "header",
    [
        "text,label",
        "caption",
        "caption,class,label",
        "caption,label,note",
        "a dog barks,dog",
        "caption,caption",
    ],
)
def test_unknown_header_lists_columns_and_both_formats(manifest, header):
    message = refusal(manifest(header + "\n" + header))
    assert all(repr(column) in message for column in header.split(","))
    assert "'caption,label'" in message and "'caption,class'" in message


def test_missing_file_and_folder_are_refused(tmp_path):
    assert "none.csv: No such file" in refusal(tmp_path / "none.csv")
    assert "cannot read the captions" in refusal(tmp_path)


def test_repeated_rows_are_kept_once_with_a_warning(manifest, caplog):
    path = manifest(
        "caption,label\n" + COMPLETE + "a,dog\na,rain\nx,dog|rain\nx,rain|dog\n"
    )
    with caplog.at_level(logging.WARNING):
        captions = read_captions(path, CLASSES)
    assert [c.row for c in captions] == [2, 3, 4, 6, 7]
    assert "2 rows repeat" in caplog.text


@pytest.mark.parametrize(
    "names, reason",
    [
        (["a", "a", "b"], "class names repeat 'a'"),
        (["a", ""], "class name '' must not be empty"),
        (["a|b"], r"class name 'a\|b' must not"),
        ([" a"], "class name ' a' must not"),
        ([], r"class names are \[\]"),
        ("ab", "class names are 'ab'"),
        (None, "class names are None"),
        (["a", 7], "class name 7 is not a text"),
        ([["a"]], r"class name \['a'\] is not a text"),
    ],
)
def test_class_names_that_a_manifest_cannot_hold_are_refused(
    names, reason, tmp_path
):
    with pytest.raises(InputError, match=reason):
        write_captions(tmp_path / "c.csv", [], names)


@pytest.mark.parametrize(
    "name, rows, n_classes",
    [
        ("cap_esc", 6177, 50),
        ("cap_urbansound8k", 1512, 10),
        ("cap_fsd19", 9515, 80),
        ("cap_dcase19", 1919, 10),
    ],
)
def test_authors_files_are_read_whole(name, rows, n_classes, tmp_path):
    path = UPSTREAM / f"{name}.csv"
    if not path.is_file():
        pytest.skip("the authors' captions are not in ../shared")
    class_names = [f"class {i}" for i in range(n_classes)]
    captions = read_captions(path, class_names)
    assert len(captions) == rows
    train, valid = split_captions(captions, n_classes, 0.1, seed=0)
    for part in (train, valid):
        found = {label for c in part for label in c.labels}
        assert found == set(range(n_classes))
    assert 0.08 < len(valid) / rows < 0.12
    write_captions(tmp_path / "ours.csv", captions, class_names)
    assert read_captions(tmp_path / "ours.csv", class_names) == captions


# ---------------------------------------------------------------- writing

TEXTS = st.text(min_size=1, max_size=12).filter(
    lambda t: (
        t.strip()
        and t.strip().lower() != "nan"
        and all(c == "\t" or (c >= " " and c != "\x7f") for c in t)
        and not any(0xD800 <= ord(c) < 0xE000 for c in t)
    )
)
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
    assert [c.row for c in back] == list(range(2, len(back) + 2))
    kept = list(dict.fromkeys(captions))
    assert back == kept


@pytest.mark.parametrize(
    "bad",
    [
        Caption("", (0,)),
        Caption("x", ()),
        Caption("x", (3,)),
        Caption("x\n", (0,)),
    ],
)
def test_unreadable_caption_is_not_written_and_old_file_stays(bad, manifest):
    path = manifest("old")
    with pytest.raises(InputError, match="cannot write"):
        write_captions(path, [Caption("good", (0,)), bad], CLASSES)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file_alone(manifest, monkeypatch):
    path = manifest("old")

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("afpt_plugin.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_captions(path, [Caption("good", (0,))], CLASSES)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


# ---------------------------------------------------------------- splitting

WORDS = st.text(string.ascii_letters + " .,!", min_size=1, max_size=4).filter(
    lambda t: any(c.isalpha() for c in t)
)


def plain(text):
    """A caption's letters and words alone."""
    for mark in ".,!":
        text = text.replace(mark, " ")
    return " ".join(text.casefold().split())


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
    if fraction == 0:
        assert valid == []
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
    kept = Counter(c.labels[0] for c in train)
    held = Counter(c.labels[0] for c in valid)
    for label, size in enumerate(sizes):
        if size == 1:
            assert kept[label] == 1
        else:
            assert kept[label] >= 1 and held[label] >= 1
            wanted = min(max(round(fraction * size), 1), size - 1)
            assert held[label] == wanted


@pytest.mark.parametrize("seed", range(5))
def test_rare_class_is_served_first_and_counts_for_the_common_one(seed):
    captions = [Caption(f"common {i}", (0,)) for i in range(8)]
    captions += [Caption(f"both {i}", (0, 1)) for i in range(2)]
    train, valid = split_captions(captions, 2, 0.1, seed)
    assert [c.labels for c in valid] == [(0, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_last_training_caption_of_a_class_is_never_held_out(seed):
    captions = [Caption("a", (0, 1)), Caption("b", (0, 2))]
    assert split_captions(captions, 3, 0.5, seed) == (captions, [])


@pytest.mark.parametrize("seed", range(5))
def test_same_sentence_spelt_differently_stays_on_one_side(seed):
    spellings = ["A dog barks.", "a dog  barks", "a dog, barks", "a DOG barks!"]
    captions = [Caption(text, (0,)) for text in spellings]
    captions += [Caption("a dog howls", (0,))]
    parts = split_captions(captions, 1, 0.5, seed)
    assert sorted(map(len, parts)) == [1, 4]


def test_other_seed_holds_out_other_captions():
    captions = [Caption(f"caption {i}", (0,)) for i in range(40)]
    parts = {tuple(split_captions(captions, 1, 0.5, s)[1]) for s in range(4)}
    assert len(parts) == 4


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(InputError, match="valid_fraction is"):
        split_captions([Caption("a", (0,))], 1, fraction, seed=0)


def test_label_outside_the_classes_is_refused():
    with pytest.raises(InputError, match="there are 2 classes"):
        split_captions([Caption("a", (2,), row=9)], 2, 0.1, seed=0)


# ---------------------------------------------------------------- choosing


@pytest.fixture
def unbalanced():
    """Twelve captions of class 0 among three of class 1."""
    return [Caption(f"c{i}", (int(i % 5 == 0),)) for i in range(15)]


def test_without_seed_the_first_captions_of_each_class_stay(unbalanced):
    kept = subsample_captions(unbalanced, 2)
    assert [c.caption for c in kept] == ["c0", "c1", "c2", "c5"]


def test_seed_draws_a_random_choice_in_input_order(unbalanced):
    draws = [subsample_captions(unbalanced, 3, seed=s) for s in range(5)]
    for kept in draws:
        assert Counter(c.labels[0] for c in kept) == {0: 3, 1: 3}
        assert kept == [c for c in unbalanced if c in kept]
    assert len({tuple(kept) for kept in draws}) > 1
    assert subsample_captions(unbalanced, 3, seed=0) == draws[0]


def test_no_budget_keeps_all(unbalanced):
    assert subsample_captions(unbalanced, None) == unbalanced
    assert subsample_captions(unbalanced, None, seed=1) == unbalanced


def test_caption_with_several_labels_stays_while_one_has_room():
    captions = [Caption(t, x) for t, x in [("a", (0,)), ("b", (0, 1))]]
    captions += [Caption("c", (0,)), Caption("d", (1,))]
    assert subsample_captions(captions, 1) == captions[:2]


@pytest.mark.parametrize("budget", [0, -3])
def test_budget_below_one_is_refused(unbalanced, budget):
    with pytest.raises(InputError, match=f"captions_per_class is {budget}"):
        subsample_captions(unbalanced, budget)


# ---------------------------------------------------------------- templates


def test_templates_make_every_sentence_for_every_class():
    captions = template_captions(CLASSES)
    assert len(set(TEMPLATES)) == len(TEMPLATES)
    assert len(captions) == 3 * len(TEMPLATES)
    assert captions[0] == Caption("this is a sound of dog", (0,))
    for caption in captions:
        assert CLASSES[caption.labels[0]] in caption.caption
        assert "{" not in caption.caption
    assert len({c.caption for c in captions}) == len(captions)


@pytest.mark.parametrize("template", ["no place", "{} and {}", "{0}", "{name}"])
def test_template_without_exactly_one_place_is_printed(template):
    with pytest.raises(InputError) as caught:
        template_captions(CLASSES, ["{}", template])
    assert repr(template) in str(caught.value)


# -------------------------------------------------------------- fingerprint


def test_fingerprint_tells_contents_and_order_but_not_rows():
    a, b = Caption("a", (0,)), Caption("b", (1, 2))
    base = captions_fingerprint([a, b])
    assert len(base) == 64 and set(base) <= set(string.hexdigits)
    assert captions_fingerprint([Caption("a", (0,), row=7), b]) == base
    others = [
        [b, a],
        [a],
        [],
        [a, Caption("b", (1,))],
        [a, Caption("b", (2, 1))],
        [Caption("A", (0,)), b],
    ]
    prints = {captions_fingerprint(captions) for captions in others}
    assert len(prints | {base}) == len(others) + 1


# ------------------------------------------------------------- our captions


@pytest.fixture(scope="module")
def ours():
    """Captions of our own for ESC-50, by class name."""
    names = {
        line.rsplit(",", 1)[1] for line in OURS.read_text().split("\n")[1:-1]
    }
    names = sorted(names)
    by_class = defaultdict(list)
    for caption in read_captions(OURS, names):
        assert len(caption.labels) == 1
        by_class[names[caption.labels[0]]].append(caption.caption)
    return by_class


def test_our_captions_cover_fifty_classes(ours):
    assert len(ours) == 50
    assert {"crackling fire", "door wood knock", "hand saw"} <= set(ours)
    assert min(map(len, ours.values())) >= 24


def test_our_captions_do_not_repeat(ours):
    texts = [plain(text) for captions in ours.values() for text in captions]
    assert [t for t, n in Counter(texts).items() if n > 1] == []


def test_our_captions_of_a_class_begin_differently(ours):
    for name, captions in ours.items():
        starts = Counter(tuple(plain(text).split()[:3]) for text in captions)
        start, count = starts.most_common(1)[0]
        assert count <= 0.15 * len(captions), (name, start)


def test_our_captions_are_short_and_no_template(ours):
    for captions in ours.values():
        lengths = [len(text.split()) for text in captions]
        assert max(lengths) < 25
        # Short phrases as well as long sentences.
        assert min(lengths) <= 5 and max(lengths) >= 12
        assert not any(t.startswith("this is a sound") for t in captions)
