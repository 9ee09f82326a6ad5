"""Mining captions: what names a class, what does not, and what is refused."""

import re
from pathlib import Path

import pytest
from common import cases, refused
from data_sets import SHARED, real

from afpt_plugin.commands import write_table
from afpt_plugin.data.mining import _load_packaged_synonyms, mine_captions
from afpt_plugin.errors import InputError
from afpt_plugin.sample_recordings import VOCABULARIES

AUDIOCAPS = SHARED / "captions/audiocaps"


@pytest.fixture
def mine(tmp_path):
    """Mine a list of captions; without synonyms unless some are given."""

    def run(captions, class_names, synonyms=None, **options):
        path = tmp_path / "corpus.csv"
        rows = [f'{i},"{caption}"' for i, caption in enumerate(captions)]
        text = "\n".join(["id,caption", *rows]) + "\n"
        path.write_text(text, encoding="utf-8")
        if synonyms is None:
            synonyms = {name: [] for name in class_names}
        return mine_captions(path, class_names, synonyms, **options)

    return run


@pytest.fixture
def names_class(mine):
    """Whether a caption names the one class."""
    return lambda caption, name, phrases=(): bool(
        mine([caption], [name], {name: list(phrases)})[0]
    )


FORMS = """
bark barks barked barking; snore snores snored snoring; sneeze sneezed sneezing
type types typed typing; clap claps clapped clapping; drip dripped dripping
rev revs revved revving; cry cries cried crying; fry fries fried frying
idle idles idled idling; hiss hisses hissed hissing; buzz buzzes buzzed buzzing
yell yells yelled yelling; drill drilled drilling; purr purrs purred purring
saw saws sawed sawing; breathe breathes breathed breathing breath breaths
open opens opened opening; run runs ran running; sing sings sang singing
break breaks broke broken breaking; ring rings rang ringing; dog dogs dog's
baby babies baby's; church churches; glass glasses; box boxes; horse horses
wave waves; bus buses; child children children's; woman women; tooth teeth
vocalize vocalization; accelerate accelerating acceleration; motor motorized
"""
OTHERS = """
tap tape; his hiss; wing w; sing s; bed b; speed speak; bus bu; hop hope
crow crowing; singer sing; man woman; of off; cheer cheerful; engine engineer
vocals vocalize; printer print; blender blend; cracker crack; busy bus
"""


@pytest.mark.parametrize("words", re.split("[;\n]", FORMS.strip()))
def test_forms_of_a_word_match_each_other(names_class, words):
    base, *forms = words.split()
    for form in forms:
        assert names_class(f"{form} outside", base), form
        assert names_class(f"{base} outside", form), form


@pytest.mark.parametrize("words", re.split("[;\n]", OTHERS.strip()))
def test_other_words_do_not_match(names_class, words):
    word, other = words.split()
    assert not names_class(f"{word} outside", other)
    assert not names_class(f"{other} outside", word)


# Class name; captions that name it; captions that do not
NAMED = """
dog bark; dog bark/A DOG IS BARKING!/a dog is loudly barking/dog-bark/dog's bark
dog bark; the barking of a dog/barking, then a dog barks
dog bark;; a dog/the dogma of barking/a dog, a seal barking/hotdog barks
dog bark;; a dog and a barking seal/a dog while seals bark
dog bark;; a dog in the park barks
cat;; caterpillars/scatter
crackling_fire; a fire crackles
chewing, mastication; someone chews/noisy mastication
bathtub (filling or washing); water in a bathtub
hi-hat; a hi hat is struck
tick-tock; tick, tick-tock
not dog;; not dog
dog; a dog without rain/no cats, a dog/no dog, then a dog/a notable dog
dog; without stopping a machine runs and a dog barks
"""


def read_cases(table):
    """Give the class names, the captions, and whether they are named."""
    lines = [line.split(";") for line in table.strip().splitlines()]
    return [
        (name, caption.strip(), index == 0)
        for name, *columns in lines
        for index, column in enumerate(columns)
        for caption in column.split("/")
        if caption
    ]


@pytest.mark.parametrize(("name", "caption", "wanted"), read_cases(NAMED))
def test_a_name_matches_its_words_in_one_sound(
    names_class, name, caption, wanted
):
    """In any form and order, with little between, and not negated."""
    assert names_class(caption, name) == wanted


@cases(
    "caption",
    "there is no dog",
    "no loud dogs",
    "rain without any dog",
    "birds without cats or dogs",
    "it isn't a dog",
    "It isn\u2019t a dog",
    "never the sound of a dog",
)
def test_negated_names_do_not_count(mine, caption):
    captions, report = mine([caption], ["dog"])
    assert captions == []
    assert "negation" in report.skipped["reason"].item()


@cases(
    "class_name, phrases, caption, wanted",
    ("dog", [], "puppies yap", False),
    ("dog", ["puppy"], "puppies yap", True),
    ("dog", ["dog bark", "not hot dog"], "hot dogs sizzle", False),
    ("dog", ["dog bark", "not hot dog"], "hot dogs barking", False),
    ("dog", ["dog bark", "not hot dog"], "a dog, a hot dog", True),
    # Excluding the name leaves longer phrases.
    ("run", ["not run", "man run"], "an engine runs", False),
    ("run", ["not run", "man run"], "men running", True),
)
def test_synonyms_name_a_class_or_discard_what_shares_a_word(
    names_class, class_name, phrases, caption, wanted
):
    assert names_class(caption, class_name, phrases) == wanted


@cases(
    "captions, synonyms",
    # The exclusions of one class leave others alone.
    (["a crow caws"], {"rooster": ["not crow"], "crow": []}),
    # Classes that are not listed have the packaged phrases.
    (["caws", "a cockerel"], {"rooster": []}),
    # A YAML file, in which "no" is a word.
    (["a raven"], "Crow:\n  - raven\n  - no\n"),
)
def test_synonyms_are_of_the_classes_that_they_name(
    mine, tmp_path, captions, synonyms
):
    if isinstance(synonyms, str):
        (tmp_path / "synonyms.yml").write_text(synonyms, encoding="utf-8")
        synonyms = tmp_path / "synonyms.yml"
    found, _ = mine(captions, ["rooster", "crow"], synonyms)
    assert [caption.labels for caption in found] == [(1,)]


def test_packaged_synonyms_name_each_class_of_the_benchmarks_and_no_other():
    names = {
        label.replace("_and_", ", ").replace("_", " ").lower()
        for labels in VOCABULARIES.values()
        for label in labels
    }
    assert set(_load_packaged_synonyms()) == names


PACKAGED = """
crow; a crow caws; a rooster crows
can opening; a soda can is opened; a door can be heard opening
car horn; cars are honking; a train honks its horn
rain; it is drizzling
wind;; the engine winds down
keyboard typing; a woman types quickly; a type of machine
run; a man is running; water is running
female speech, woman speaking;; a man speaks to a woman
female singing; female vocals; a female vocalizes
mechanical fan;; fans cheer
tap;; a kitchen tap drips
thunderstorm;; thunderous applause
hand saw; wood is sawed with a chain saw; an electric saw cuts
"""


@pytest.mark.parametrize(("name", "caption", "wanted"), read_cases(PACKAGED))
def test_packaged_synonyms_tell_senses_apart(mine, name, caption, wanted):
    assert bool(mine([caption], [name], {})[0]) == wanted


@cases(
    "header, given, found",
    *((f"id,{n}", None, n) for n in ("captions", "sentence", "Caption")),
    ("text,caption", None, "caption"),
    ("caption,caption_2", "caption_2", "caption_2"),
)
def test_the_column_of_captions_is_found_or_given(
    tmp_path, header, given, found
):
    path = tmp_path / "corpus.csv"
    path.write_text(f"{header}\nrain,a dog\n", encoding="utf-8")
    captions, report = mine_captions(path, ["dog", "rain"], text_column=given)
    assert [c.caption for c in captions] == ["a dog"]
    assert report.text_column == found


def test_every_row_is_either_picked_or_skipped_with_a_reason(mine):
    rows = ["A dog, barks", "", "nan", "a cat", "no dog", "a  DOG barks."]
    captions, report = mine([*rows, "two\ndogs"], ["dog"])
    assert [(c.caption, c.line) for c in captions] == [
        ("A dog, barks", 2),
        ("two dogs", 8),
    ]
    reasons = report.skipped.set_index("line")["reason"].to_dict()
    facts = {3: "empty", 4: "empty", 5: "no class", 6: "negation", 7: "earlier"}
    assert reasons.keys() == facts.keys()
    assert all(fact in reasons[line] for line, fact in facts.items())
    assert list(report.skipped["caption"])[-1] == "a DOG barks."
    assert report.n_rows == 7 and report.n_captions == 2


def test_the_report_counts_hits_phrases_and_missing_classes(mine):
    captions, report = mine(
        ["a dog", "a puppy", "two puppies in the rain"],
        ["cat", "rain", "dog"],
        {"dog": ["puppy"], "rain": [], "cat": []},
    )
    assert [caption.labels for caption in captions] == [(2,), (2,), (1, 2)]
    cat, rain, dog = report.classes.to_dict("records")
    assert (dog["class"], dog["found"], dog["captions"]) == ("dog", 3, 3)
    assert (dog["multi_label"], dog["phrase"]) == (1, "puppy")
    assert sorted(dog["examples"]) == sorted(c.caption for c in captions)
    assert rain["examples"] == ["two puppies in the rain"]
    assert (cat["found"], cat["phrase"], cat["examples"]) == (0, "", [])
    assert report.missing == ["cat"]
    assert "3 captions of 3 rows" in str(report) and "cat" in str(report)


def test_max_per_class_is_a_seeded_choice(mine):
    rows = [f"dog {i}" for i in range(50)] + ["rain"]
    (captions, report), (other, _), (again, _) = (
        mine(rows, ["dog", "rain"], max_per_class=5, seed=seed)
        for seed in (0, 1, 0)
    )
    assert captions == again != other
    assert [c.line for c in captions] == sorted(c.line for c in captions)
    assert list(report.classes["captions"]) == [5, 1]
    assert list(report.classes["found"]) == [50, 1]


@cases(
    "options, facts",
    ({"class_names": []}, ["[]"]),
    ({"class_names": ["dog", "rain", "dog"]}, ["repeat 'dog'"]),
    ({"class_names": ["(dog)"]}, ["'(dog)' holds no word"]),
    ({"class_names": ["dog", "?"]}, ["'?' has no letter or digit"]),
    ({"text_column": "words"}, ["corpus.csv", "'words'", "'id', 'text'"]),
    ({"corpus": "none.csv"}, ["none.csv"]),
    ({"corpus": "other.csv"}, ["other.csv", "'id', 'wording'"]),
    ({"synonyms": {"cat": ["kitten"]}}, ["'cat'", "(dog)"]),
    ({"synonyms": {"dog": "puppy"}}, ["'dog'", "type str"]),
    ({"synonyms": {"dog": [1]}}, ["type int", "class 'dog'"]),
    ({"synonyms": {"dog": ["..."]}}, ["'...' of class 'dog'"]),
    ({"synonyms": {1: ["puppy"]}}, ["class 1", "type int"]),
    ({"synonyms": ["puppy"]}, ["type list"]),
    ({"synonyms": "none.yml"}, ["none.yml"]),
)
def test_bad_input_is_named(tmp_path, monkeypatch, options, facts):
    monkeypatch.chdir(tmp_path)
    Path("corpus.csv").write_text("id,text\n1,a dog\n")
    Path("other.csv").write_text("id,wording\n1,a dog\n")
    arguments = {"corpus": "corpus.csv", "class_names": ["dog"]} | options
    with refused(*facts):
        mine_captions(**arguments)


@cases(
    "content, fact",
    ("dog: [puppy", "YAML"),
    ("dog: [puppy]\ndog: [hound]\n", "duplicate key"),
    ("dog: !!python/object/apply:os.getcwd []\n", "YAML"),
    ("dog: " + "{a: " * 500 + "1" + "}" * 500, "synonyms"),
    ("", "empty"),
    ("puppy\n", "type str"),
    ("cat: [kitten]\n", "'cat'"),
)
def test_a_bad_file_of_synonyms_is_named(mine, tmp_path, content, fact):
    path = tmp_path / "synonyms.yml"
    path.write_text(content, encoding="utf-8")
    with refused(path, fact):
        mine(["a dog"], ["dog"], path)


@real("captions/audiocaps")
def test_audiocaps_fills_most_of_esc50():
    captions, report = mine_captions(
        AUDIOCAPS / "val.csv",
        [name.replace("_", " ") for name in VOCABULARIES["esc50"]],
    )
    assert report.n_rows == 2475
    assert len(captions) + len(report.skipped) == report.n_rows
    found = report.classes.set_index("class")["found"]
    assert found["dog"] > 50 and found["engine"] > 200
    assert len(report.missing) < 20


@cases(
    "content",
    "file,caption_1,Caption 2\na,a dog,it rains\nb,,a dog yaps\n",
    "file;caption_1;Caption 2\na;a dog;it rains\nb;;a dog yaps\n",
    '{"data": [{"caption": ["a dog", "it rains"], "d": 4.2}, '
    '{"caption": [null, "a dog yaps"]}]}',
    '[{"caption_1": "a dog", "caption_2": "it rains"}, '
    '{"caption_2": "a dog yaps", "caption_1": null}]',
)
def test_all_captions_of_a_row_are_read(tmp_path, content):
    """Numbered columns and lists, in tables and in JSON."""
    path = tmp_path / "corpus"
    path.write_text(content)
    captions, report = mine_captions(path, ["dog", "rain"])
    assert [c.caption for c in captions] == ["a dog", "it rains", "a dog yaps"]
    assert (report.n_rows, report.n_read) == (2, 4)
    assert "3 captions of 4 in 2 rows in" in str(report)
    assert "the caption is empty (1)" in str(report)


@cases(
    "content, fact",
    ("{", "JSON"),
    ("[" * 100_000, "JSON"),
    ("[]", "no list of records"),
    ('{"data": {"caption": "a"}}', "no list of records"),
    ('["a dog"]', "no list of records"),
    ('[{"id": 1}]', "one of 'id'"),
)
def test_json_without_captions_is_refused(tmp_path, content, fact):
    path = tmp_path / "corpus.json"
    path.write_text(content)
    with pytest.raises(InputError, match=fact):
        mine_captions(path, ["dog"])


def test_a_caption_that_is_no_text_is_skipped(tmp_path):
    """JSON can write half a character; no CSV file can hold it."""
    path, skipped = tmp_path / "corpus.json", tmp_path / "skipped.csv"
    path.write_text(r'[{"caption": "a dog \ud800"}, {"caption": "dogs bark"}]')
    captions, report = mine_captions(path, ["dog"])
    assert [caption.line for caption in captions] == [2]
    write_table(report.skipped, skipped)
    assert r"a dog \ud800" in skipped.read_text()
