"""Mining captions: what names a class, what does not, and what is refused.

Authors
 * The afpt_plugin developers 2026
"""

from pathlib import Path

import pytest

from afpt_plugin.data.captions import read_captions, write_captions
from afpt_plugin.data.mining import (
    SYNONYMS,
    _fold,
    _stem,
    mine_captions,
    read_synonyms,
)
from afpt_plugin.errors import InputError
from afpt_plugin.sample_recordings import VOCABULARIES

AUDIOCAPS = Path(__file__).parents[2].parent / "shared/captions/audiocaps"
CLASS_NAMES = {
    name.upper(): [
        (label.replace("_and_", ", ") if name == "fsd2019" else label)
        .replace("_", " ")
        .lower()
        for label in labels
    ]
    for name, labels in VOCABULARIES.items()
}


@pytest.fixture
def mine(tmp_path):
    """Mine a list of captions; without synonyms unless some are given."""

    def run(captions, class_names, synonyms=None, header="caption", **options):
        path = tmp_path / "corpus.csv"
        rows = [f'"{caption}"' for caption in captions]
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        if synonyms is None:
            synonyms = {name: [] for name in class_names}
        return mine_captions(path, class_names, synonyms, **options)

    return run


@pytest.fixture
def names_class(mine):
    """Whether a caption names the one class."""

    def run(caption, class_name, phrases=()):
        captions, _ = mine([caption], [class_name], {class_name: list(phrases)})
        return bool(captions)

    return run


def refusal(*arguments, **options):
    """The message with which `mine_captions` refuses."""
    with pytest.raises(InputError) as caught:
        mine_captions(*arguments, **options)
    return str(caught.value)


# --------------------------------------------------------------- inflection


@pytest.mark.parametrize(
    "words",
    [
        "bark barks barked barking",
        "snore snores snored snoring",
        "sneeze sneezes sneezed sneezing",
        "type types typed typing",
        "clap claps clapped clapping",
        "drip drips dripped dripping",
        "rev revs revved revving",
        "cry cries cried crying",
        "fry fries fried frying",
        "idle idles idled idling",
        "hiss hisses hissed hissing",
        "buzz buzzes buzzed buzzing",
        "yell yells yelled yelling",
        "drill drills drilled drilling",
        "purr purrs purred purring",
        "saw saws sawed sawing",
        "breathe breathes breathed breathing breath breaths",
        "open opens opened opening",
        "run runs ran running",
        "break breaks broke broken breaking",
        "sing sings sang singing",
        "ring rings rang ringing",
        "dog dogs dog's",
        "baby babies baby's",
        "church churches",
        "glass glasses",
        "box boxes",
        "horse horses",
        "wave waves",
        "bus buses",
        "child children children's",
        "woman women",
        "tooth teeth",
    ],
)
def test_forms_of_a_word_match_each_other(names_class, words):
    base = words.split()[0]
    for form in words.split():
        assert names_class(f"{form} outside", base), form
        assert names_class(f"{base} outside", form), form


@pytest.mark.parametrize(
    "word, other",
    [
        ("tap", "tape"),
        ("his", "hiss"),
        ("wing", "w"),
        ("sing", "s"),
        ("bed", "b"),
        ("speed", "speak"),
        ("bus", "bu"),
        ("hop", "hope"),
        ("crow", "crowing"),
        ("singer", "sing"),
        ("man", "woman"),
    ],
)
def test_other_words_keep_their_own_stem(word, other):
    assert _stem(word) != _stem(other)


# ------------------------------------------------------------------ matching


@pytest.mark.parametrize(
    "caption",
    [
        "dog bark",
        "Dogs barking!",
        "A DOG IS BARKING",
        "a dog is loudly barking",
        "the barking of a dog",
        "dog's bark",
        "dog-bark",
        "barking, then a dog barks",
    ],
)
def test_a_phrase_matches_with_inflection_order_and_slack(names_class, caption):
    assert names_class(caption, "dog bark")


@pytest.mark.parametrize(
    "caption",
    [
        "a dog",
        "the dogma of barking",
        "a dog, a seal barking",
        "a dog and a barking seal",
        "a dog while seals bark",
        "a dog in the old park barks",
        "hotdog barks",
    ],
)
def test_a_phrase_does_not_reach_across_sounds(names_class, caption):
    assert not names_class(caption, "dog bark")


@pytest.mark.parametrize("caption", ["caterpillars", "scatter", "concatenate"])
def test_parts_of_words_do_not_match(names_class, caption):
    assert not names_class(caption, "cat")


@pytest.mark.parametrize(
    "caption",
    [
        "there is no dog",
        "no loud dogs",
        "rain without any dog",
        "birds without cats or dogs",
        "it isn't a dog",
        "It isn\u2019t a dog",
        "never the sound of a dog",
    ],
)
def test_negated_names_do_not_count(mine, caption):
    captions, report = mine([caption], ["dog"])
    assert captions == []
    assert list(report.skipped["reason"]) == ["only negated"]


@pytest.mark.parametrize(
    "caption",
    [
        "a dog without rain",
        "no cats, a dog",
        "without stopping a machine runs and a dog barks",
        "no dog, then a dog",
        "a notable dog",
    ],
)
def test_negation_ends_with_its_clause(names_class, caption):
    assert names_class(caption, "dog")


def test_several_labels_come_in_the_order_of_the_class_names(mine):
    captions, report = mine(["rain and a dog"], ["cat", "dog", "rain"])
    assert [caption.labels for caption in captions] == [(1, 2)]
    assert list(report.classes["multi_label"]) == [0, 1, 1]


@pytest.mark.parametrize(
    "class_name, caption",
    [
        ("crackling_fire", "a fire crackles"),
        ("chewing, mastication", "someone chews"),
        ("chewing, mastication", "noisy mastication"),
        ("bathtub (filling or washing)", "water in a bathtub"),
        ("hi-hat", "a hi hat is struck"),
        ("tick-tock", "tick, tick-tock"),
    ],
)
def test_class_names_are_read_as_data_sets_spell_them(
    names_class, class_name, caption
):
    assert names_class(caption, class_name)


def test_synonyms_match_like_names(names_class):
    assert not names_class("puppies yap", "dog")
    assert names_class("puppies yap", "dog", ["puppy"])


def test_excluded_phrases_discard_what_shares_a_word(names_class):
    phrases = ["dog bark", "not hot dog"]
    assert not names_class("hot dogs sizzle", "dog", phrases)
    assert not names_class("hot dogs barking", "dog", phrases)
    assert names_class("a dog, a hot dog", "dog", phrases)


def test_excluding_the_name_leaves_longer_phrases(names_class):
    phrases = ["not run", "man run"]
    assert not names_class("an engine runs", "run", phrases)
    assert names_class("men running", "run", phrases)


def test_exclusions_of_one_class_leave_others_alone(mine):
    captions, _ = mine(
        ["a rooster crows"],
        ["crow", "rooster"],
        {"crow": ["not rooster crow"], "rooster": []},
    )
    assert [caption.labels for caption in captions] == [(1,)]


# ------------------------------------------------------- synonyms, packaged


def test_synonyms_come_from_a_yaml_file(mine, tmp_path):
    path = tmp_path / "synonyms.yml"
    path.write_text("Dog:\n  - puppy\n  - no\n", encoding="utf-8")
    captions, _ = mine(["a puppy"], ["dog"], path)
    assert len(captions) == 1


def test_classes_that_are_not_listed_have_the_packaged_phrases(mine):
    captions, _ = mine(["a puppy", "drizzle"], ["dog", "rain"], {"rain": []})
    assert [caption.labels for caption in captions] == [(0,)]


def test_packaged_synonyms_name_each_class_of_the_benchmarks_and_no_other():
    known = set(map(_fold, read_synonyms(SYNONYMS)))
    assert known == {_fold(n) for names in CLASS_NAMES.values() for n in names}


@pytest.mark.parametrize(
    "class_name, caption, wanted",
    [
        ("crow", "a crow caws", True),
        ("crow", "a rooster crows", False),
        ("can opening", "a soda can is opened", True),
        ("can opening", "a door can be heard opening", False),
        ("car horn", "cars are honking", True),
        ("car horn", "a train honks its horn", False),
        ("rain", "it is drizzling", True),
        ("wind", "the engine winds down", False),
        ("keyboard typing", "a woman types quickly", True),
        ("keyboard typing", "a type of machine", False),
        ("run", "a man is running", True),
        ("run", "water is running", False),
        ("female speech, woman speaking", "a man speaks to a woman", False),
        ("mechanical fan", "fans cheer", False),
        ("tap", "a kitchen tap drips", False),
        ("hand saw", "wood is sawed with a chain saw", True),
        ("hand saw", "an electric saw cuts", False),
    ],
)
def test_packaged_synonyms_tell_senses_apart(
    tmp_path, class_name, caption, wanted
):
    path = tmp_path / "corpus.csv"
    path.write_text(f"caption\n{caption}\n", encoding="utf-8")
    assert bool(mine_captions(path, [class_name])[0]) == wanted


# ------------------------------------------------------ corpus and selection


@pytest.mark.parametrize(
    "header", ["caption", "captions", "text", "sentence", "raw", "Caption"]
)
def test_the_column_of_captions_is_found_by_name(tmp_path, header):
    path = tmp_path / "corpus.csv"
    path.write_text(f"id,{header}\nrain,a dog\n", encoding="utf-8")
    captions, report = mine_captions(path, ["dog", "rain"])
    assert [c.caption for c in captions] == ["a dog"]
    assert report.text_column == header


def test_the_column_of_captions_can_be_given(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("caption,caption_2\na dog,rain\n", encoding="utf-8")
    captions, _ = mine_captions(path, ["dog", "rain"], text_column="caption_2")
    assert [c.caption for c in captions] == ["rain"]


def test_captions_that_differ_in_spelling_alone_are_kept_once(mine):
    captions, report = mine(["A dog, barks", "a  DOG barks."], ["dog"])
    assert [(c.caption, c.row) for c in captions] == [("A dog, barks", 2)]
    assert list(report.skipped.itertuples(index=False, name=None)) == [
        (3, "repeats an earlier caption", "a DOG barks.")
    ]


def test_every_row_is_either_picked_or_skipped_with_a_reason(mine):
    rows = ["a dog", "", "nan", "a cat", "no dog", "A dog!", "two\ndogs"]
    captions, report = mine(rows, ["dog"])
    assert [c.caption for c in captions] == ["a dog", "two dogs"]
    skipped = report.skipped[["row", "reason"]]
    assert list(skipped.itertuples(index=False, name=None)) == [
        (3, "empty caption"),
        (4, "empty caption"),
        (5, "no class named"),
        (6, "only negated"),
        (7, "repeats an earlier caption"),
    ]
    assert len(captions) + len(report.skipped) == report.n_rows == len(rows)


def test_the_report_counts_hits_phrases_and_missing_classes(mine):
    captions, report = mine(
        ["a dog", "a puppy", "two puppies in the rain"],
        ["dog", "rain", "cat"],
        {"dog": ["puppy"], "rain": [], "cat": []},
    )
    dog, rain, cat = report.classes.to_dict("records")
    assert (dog["class"], dog["found"], dog["captions"]) == ("dog", 3, 3)
    assert (dog["multi_label"], dog["phrase"]) == (1, "puppy")
    assert sorted(dog["examples"]) == sorted(c.caption for c in captions)
    assert rain["examples"] == ["two puppies in the rain"]
    assert (cat["found"], cat["phrase"], cat["examples"]) == (0, "", [])
    assert report.missing == ["cat"]
    assert report.n_captions == 3
    assert "without a caption: cat" in str(report)


def test_max_per_class_is_a_seeded_choice(mine):
    rows = [f"dog {i}" for i in range(50)] + ["rain"]
    picked = {
        seed: mine(rows, ["dog", "rain"], max_per_class=5, seed=seed)
        for seed in (0, 1)
    }
    again, _ = mine(rows, ["dog", "rain"], max_per_class=5, seed=0)
    captions, report = picked[0]
    assert captions == again != picked[1][0]
    assert [c.row for c in captions] == sorted(c.row for c in captions)
    assert list(report.classes["captions"]) == [5, 1]
    assert list(report.classes["found"]) == [50, 1]


def test_a_manifest_written_from_them_reads_back(mine, tmp_path):
    names = ["dog", "rain"]
    rows = ["a dog, barking", "rain | and a dog", "it\trains  again"]
    captions, _ = mine(rows, names)
    write_captions(tmp_path / "mined.csv", captions, names)
    assert read_captions(tmp_path / "mined.csv", names) == captions
    assert len(captions) == 3


# ------------------------------------------------------------------ refusals


def test_a_missing_corpus_is_named(tmp_path):
    path = tmp_path / "none.csv"
    assert f"cannot read the corpus {path}" in refusal(path, ["dog"])


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is empty"),
        (b"caption\n\xff\xfe dog\n", "not UTF-8"),
        (b"id,caption\n1,a dog, barking\n", "must stand in quotes"),
        (b"id,words\n1,dog\n", "one of 'id', 'words'"),
    ],
)
def test_a_corpus_that_cannot_be_read_says_why(tmp_path, content, reason):
    path = tmp_path / "corpus.csv"
    path.write_bytes(content)
    message = refusal(path, ["dog"])
    assert reason in message
    assert str(path) in message


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("id,caption\n1,a dog\n", encoding="utf-8")
    message = refusal(path, ["dog"], text_column="words")
    assert "'words'" in message
    assert "'id', 'caption'" in message


@pytest.mark.parametrize(
    "class_names, reason",
    [
        ([], "class names are []"),
        (["dog", ""], "class name ''"),
        (["dog", "rain", "dog"], "class names repeat 'dog'"),
        (["(dog)"], "class name '(dog)' holds no word"),
        (["dog", "?"], "class name '?' holds no word"),
    ],
)
def test_bad_class_names_are_refused(tmp_path, class_names, reason):
    path = tmp_path / "corpus.csv"
    path.write_text("caption\na dog\n", encoding="utf-8")
    assert reason in refusal(path, class_names)


@pytest.mark.parametrize(
    "synonyms, reason",
    [
        ({"cat": ["kitten"]}, "synonyms for 'cat'"),
        ({"dog": "puppy"}, "phrases of class 'dog' are 'puppy'"),
        ({"dog": [1]}, "phrase 1 of class 'dog'"),
        ({"dog": ["..."]}, "phrase '...' of class 'dog' holds no word"),
        ({1: ["puppy"]}, "class name 1 is not a text"),
        (["puppy"], "got list"),
    ],
)
def test_bad_synonyms_are_refused(tmp_path, synonyms, reason):
    path = tmp_path / "corpus.csv"
    path.write_text("caption\na dog\n", encoding="utf-8")
    assert reason in refusal(path, ["dog"], synonyms)


@pytest.mark.parametrize(
    "content, reason",
    [
        ("dog: [puppy", "not YAML"),
        ("dog: [puppy]\ndog: [hound]\n", "duplicate key"),
        ("dog: !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("", "got NoneType"),
        ("cat: [kitten]\n", "synonyms for 'cat'"),
    ],
)
def test_a_bad_file_of_synonyms_is_named(tmp_path, content, reason):
    corpus, path = tmp_path / "corpus.csv", tmp_path / "synonyms.yml"
    corpus.write_text("caption\na dog\n", encoding="utf-8")
    path.write_text(content, encoding="utf-8")
    message = refusal(corpus, ["dog"], path)
    assert str(path) in message
    assert reason in message


def test_a_missing_file_of_synonyms_is_named(tmp_path):
    message = refusal(tmp_path / "corpus.csv", ["dog"], tmp_path / "none.yml")
    assert f"cannot read the synonyms {tmp_path / 'none.yml'}" in message


# --------------------------------------------------------------- real corpus


@pytest.mark.skipif(
    not AUDIOCAPS.is_dir(), reason="AudioCaps' captions are not here"
)
def test_audiocaps_fills_most_of_esc50(tmp_path):
    names = CLASS_NAMES["ESC50"]
    captions, report = mine_captions(AUDIOCAPS / "val.csv", names)
    assert report.n_rows == 2475
    assert len(captions) + len(report.skipped) == report.n_rows
    found = report.classes.set_index("class")["found"]
    assert found["dog"] > 50
    assert found["engine"] > 200
    kept = [name for name in names if name not in report.missing]
    assert len(kept) > 30
    captions, _ = mine_captions(AUDIOCAPS / "val.csv", kept)
    write_captions(tmp_path / "mined.csv", captions, kept)
    assert read_captions(tmp_path / "mined.csv", kept) == captions
