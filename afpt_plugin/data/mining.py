"""Pick captions for a list of class names out of any caption corpus.

A corpus is a CSV file with a column of sentences (AudioCaps, Clotho, ...). A
caption gets the label of every class that one of its phrases names: the class
name itself, or a synonym. Phrases match whole words in any inflection, with a
little slack inside phrases of several words:

>>> folder = getfixture("tmp_path")
>>> path = folder / "corpus.csv"
>>> _ = path.write_text(
...     "id,caption\\n1,A dog is barking\\n2,Puppies yap as it rains\\n"
...     "3,There is no rain\\n4,A hot dog sizzles\\n5,a dog is barking!\\n"
... )
>>> synonyms = {"dog": ["puppy", "dog bark", "not hot dog"]}
>>> captions, report = mine_captions(path, ["dog", "rain"], synonyms)
>>> captions
[Caption(caption='A dog is barking', labels=(0,), row=2),
 Caption(caption='Puppies yap as it rains', labels=(0, 1), row=3)]
>>> print(report)
2 captions of 5 rows in ...corpus.csv (column 'caption')
skipped: 1 only negated, 1 no class named, 1 repeats an earlier caption
class  found  captions  multi_label phrase
  dog      2         2            1    dog
 rain      1         1            1   rain

Authors
 * The afpt_plugin developers 2026
"""

import functools
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from afpt_plugin.data.captions import (
    Caption,
    caption_fault,
    normalise_caption,
    subsample_captions,
)
from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SYNONYMS = Path(__file__).parents[1] / "assets" / "synonyms.yml"

# What corpora call the column, in order of preference.
TEXT_COLUMNS = ("caption", "captions", "text", "sentence", "raw")

# How many other words may stand between the words of a phrase.
SLACK = 2

N_EXAMPLES = 3

_BREAK = ","
_IRREGULAR = {
    "blew": "blow",
    "blown": "blow",
    "broke": "break",
    "broken": "break",
    "buses": "bus",
    "children": "child",
    # What a rooster does, and no crow
    "crowing": "cockcrow",
    "drove": "drive",
    "feet": "foot",
    "flew": "fly",
    "geese": "goose",
    "knives": "knife",
    "men": "man",
    "mice": "mouse",
    "ran": "run",
    "rang": "ring",
    "sang": "sing",
    "spoke": "speak",
    "teeth": "tooth",
    "women": "woman",
    "wrote": "write",
}
_NEGATORS = {"no", "not", "without", "never", "nor", "neither"}


@dataclass(frozen=True)
class MiningReport:
    """What `mine_captions` found, and what it left behind.

    Arguments
    ---------
    path : str
        The corpus.
    text_column : str
        Its column of captions.
    n_rows : int
        Its rows, without the header.
    n_captions : int
        The captions that were picked.
    classes : pandas.DataFrame
        A row per class: ``class``; ``found``, its different captions in the
        corpus; ``captions``, those picked; ``multi_label``, how many of them
        have other labels, too; ``phrase``, which matched the most captions;
        ``examples``, up to three of the captions picked.
    missing : list[str]
        Classes without a caption. A manifest needs one for every class.
    skipped : pandas.DataFrame
        A row per unused row of the corpus: ``row`` (the header is row 1),
        ``reason``, ``caption``.
    """

    path: str
    text_column: str
    n_rows: int
    n_captions: int
    classes: "pd.DataFrame"
    missing: list[str]
    skipped: "pd.DataFrame"

    def __str__(self):
        """A few lines and the table of classes, for people."""
        reasons = self.skipped["reason"].value_counts().items()
        skipped = ", ".join(f"{n} {reason}" for reason, n in reasons)
        table = self.classes.drop(columns="examples").to_string(index=False)
        lines = [
            f"{self.n_captions} captions of {self.n_rows} rows in {self.path} "
            f"(column {self.text_column!r})",
            f"skipped: {skipped or 'none'}",
            table,
        ]
        if self.missing:
            lines.append(f"without a caption: {', '.join(self.missing)}")
        return "\n".join(lines)


class _Phrase(NamedTuple):
    """Words that name a class or, if `excluded`, something else."""

    label: int
    text: str
    stems: tuple[str, ...]
    excluded: bool


def mine_captions(
    corpus,
    class_names,
    synonyms=None,
    text_column=None,
    max_per_class=None,
    seed=0,
):
    """Pick the captions of a corpus that name a class.

    Rules of a match:

    - whole words, in any case and inflection (``dog``: dogs; ``bark``: barks,
      barked, barking);
    - the words of a phrase may come in any order, with up to two other words
      between them, but never across punctuation or a word that joins two
      sounds ("and", "while", "with", ...);
    - nothing that is negated earlier in the same clause ("no dog", "without
      any rain");
    - commas in a class name separate names ("chewing, mastication"), and what
      stands in parentheses is a comment.

    Captions that differ only in case, spacing and punctuation are kept once.

    Arguments
    ---------
    corpus : str or pathlib.Path
        A CSV file with a header, UTF-8.
    class_names : list[str]
        The classes. A label is the position of its name in this list.
    synonyms : dict[str, list[str]] or str or pathlib.Path, optional
        Class name to phrases that name it as well, or a YAML file of that. A
        phrase that starts with "not " names something else and discards the
        matches that share a word with it, unless they say more: "not hot dog"
        discards the dog of "a hot dog sizzles", and "not run" the bare word,
        but no "man runs". Classes that are not listed have the
        phrases of the package (``assets/synonyms.yml``), if it knows them.
    text_column : str, optional
        The column of captions; by default caption, captions, text, sentence
        or raw.
    max_per_class : int, optional
        A random choice of so many captions per class. A caption with several
        labels is kept as long as one of them has room, so common classes may
        end with more.
    seed : int
        Of that choice, and of the report's examples.

    Returns
    -------
    captions : list[Caption]
        In the order of the corpus, ready for `write_captions`.
    report : MiningReport
        Hits per class, classes without any, and the rows skipped.

    Raises
    ------
    InputError
        If the corpus or the synonyms cannot be read, the corpus has no column
        of captions, class names are empty or repeated, or synonyms are given
        for an unknown class.

    Example
    -------
    >>> path = getfixture("tmp_path") / "corpus.csv"
    >>> _ = path.write_text("text\\nGlass breaks on a floor\\n")
    >>> mine_captions(path, ["glass_breaking"])[0]
    [Caption(caption='Glass breaks on a floor', labels=(0,), row=2)]
    """
    import pandas as pd

    check_class_names(class_names)
    index = defaultdict(list)
    phrases = list(_all_phrases(class_names, synonyms))
    for phrase in phrases:
        index[phrase.stems[0]].append(phrase)
    texts, text_column = _read_corpus(corpus, text_column)

    found, skipped, seen, hits_of = [], [], set(), Counter()
    for row, text in enumerate(texts, start=2):
        text = " ".join(text.split())
        key = normalise_caption(text)
        fault = caption_fault(text)
        if fault is None and key in seen:
            fault = "repeats an earlier caption"
        seen.add(key)
        if fault is None:
            hits, negated = _match(text, index)
            labels = tuple(sorted({hit.label for hit in hits}))
            if labels:
                found.append(Caption(text, labels, row))
                hits_of.update(hits)
                continue
            fault = "only negated" if negated else "no class named"
        skipped.append((row, fault, text))

    captions = subsample_captions(found, max_per_class, seed)
    generator = random.Random(seed)
    rows = []
    for label, name in enumerate(class_names):
        own = [caption for caption in captions if label in caption.labels]
        # The first of the most frequent, so that a tie goes to the name.
        best = max(
            (p for p in phrases if p.label == label), key=hits_of.__getitem__
        )
        rows.append(
            {
                "class": name,
                "found": sum(label in caption.labels for caption in found),
                "captions": len(own),
                "multi_label": sum(len(c.labels) > 1 for c in own),
                "phrase": best.text if hits_of[best] else "",
                "examples": [
                    caption.caption
                    for caption in generator.sample(
                        own, min(N_EXAMPLES, len(own))
                    )
                ],
            }
        )
    report = MiningReport(
        path=str(corpus),
        text_column=text_column,
        n_rows=len(texts),
        n_captions=len(captions),
        classes=pd.DataFrame(rows),
        missing=[row["class"] for row in rows if not row["captions"]],
        skipped=pd.DataFrame(skipped, columns=["row", "reason", "caption"]),
    )
    return captions, report


def read_synonyms(path):
    """Read a YAML file of class names and the phrases that name them.

    Arguments
    ---------
    path : str or pathlib.Path
        A mapping from class name to list of phrases.

    Returns
    -------
    dict[str, list[str]]
        What the file says.

    Raises
    ------
    InputError
        If the file is missing, not YAML or not such a mapping, or names a
        class twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "synonyms.yml"
    >>> _ = path.write_text("dog: [puppy, hound]\\n")
    >>> read_synonyms(path)
    {'dog': ['puppy', 'hound']}
    """
    # Unlike PyYAML it refuses repeated keys and reads "no" as a word.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(Path(path))
    except OSError as error:
        raise InputError(
            f"cannot read the synonyms {path}: {error.strerror}"
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the synonyms {path} are not YAML: {error}") from None
    return _check_synonyms(content, path)


def _check_synonyms(content, source):
    """The mapping itself, if it is one of lists of phrases."""
    if not isinstance(content, dict):
        raise InputError(
            f"{source}: expected a mapping from class name to list of "
            f"phrases, got {type(content).__name__}"
        )
    for name, phrases in content.items():
        if not isinstance(name, str):
            raise InputError(
                f"{source}: class name {name!r} is not a text; put it in quotes"
            )
        if not isinstance(phrases, (list, tuple)):
            raise InputError(
                f"{source}: the phrases of class {name!r} are {phrases!r}; "
                "give a list, [] for none"
            )
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise InputError(
                    f"{source}: phrase {phrase!r} of class {name!r} is not a "
                    "text; put it in quotes"
                )
    return content


def _all_phrases(class_names, synonyms):
    """Every phrase of every class."""
    source = "synonyms"
    if isinstance(synonyms, (str, Path)):
        source, synonyms = synonyms, read_synonyms(synonyms)
    given = _check_synonyms({} if synonyms is None else synonyms, source)
    own = {_fold(name): phrases for name, phrases in given.items()}
    unknown = [n for n in given if _fold(n) not in map(_fold, class_names)]
    if unknown:
        raise InputError(
            f"{source}: synonyms for {', '.join(map(repr, unknown))}, which "
            f"the class names do not hold ({', '.join(class_names)})"
        )
    known = _packaged_synonyms() | own

    for label, name in enumerate(class_names):
        wanted = [(part, False) for part in _alternatives(name)]
        if not wanted:
            raise InputError(f"class name {name!r} holds no word to search for")
        for text in known.get(_fold(name), ()):
            phrase = text.removeprefix("not ")
            wanted.append((phrase, phrase != text))
        seen = set()
        for text, excluded in wanted:
            stems = tuple(sorted(t for t in _tokens(text) if t != _BREAK))
            if not stems:
                raise InputError(
                    f"{source}: phrase {text!r} of class {name!r} holds no word"
                )
            if (stems, excluded) not in seen:
                seen.add((stems, excluded))
                yield _Phrase(label, text, stems, excluded)


@functools.cache
def _packaged_synonyms():
    """The phrases of the package, by folded class name."""
    return {_fold(n): phrases for n, phrases in read_synonyms(SYNONYMS).items()}


def _fold(name):
    """A class name without what data sets spell differently."""
    return " ".join(name.casefold().replace("_", " ").split())


def _alternatives(name):
    """The names in a class name such as 'bathtub (filling), tub'."""
    parts = re.sub(r"\([^)]*\)", " ", _fold(name)).split(",")
    return [" ".join(p.split()) for p in parts if re.search(r"[^\W_]", p)]


def _read_corpus(path, text_column):
    """The captions of a CSV file, and the name of their column."""
    import pandas as pd

    try:
        # The header is read as a row: were it a header, pandas would take the
        # first of too many fields for an index without a word.
        table = pd.read_csv(
            Path(path),
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        ).fillna("")
    except OSError as error:
        raise InputError(
            f"cannot read the corpus {path}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"the corpus {path} is not UTF-8 ({error.reason}); save it with "
            "that encoding"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"the corpus {path} is empty") from error
    except pd.errors.ParserError as error:
        raise InputError(
            f"{path}: {str(error).strip()}; a caption that holds a comma or "
            "a quote must stand in quotes"
        ) from error
    columns = [str(column).strip() for column in table.iloc[0]]
    listed = ", ".join(map(repr, columns))
    if text_column is None:
        folded = [column.casefold() for column in columns]
        known = [name for name in TEXT_COLUMNS if name in folded]
        if not known:
            raise InputError(
                f"{path}: no column is called {', '.join(TEXT_COLUMNS)}; name "
                f"the column of captions with text_column, one of {listed}"
            )
        text_column = columns[folded.index(known[0])]
    elif text_column not in columns:
        raise InputError(
            f"{path}: there is no column {text_column!r}; the columns are "
            f"{listed}"
        )
    return list(table[columns.index(text_column)].iloc[1:]), text_column


def _match(text, index):
    """Phrases in a caption, and whether any other was negated."""
    tokens = _tokens(text)
    present = set(tokens)
    spans, excluded, negated = [], defaultdict(list), False
    for stem in present:
        for phrase in index.get(stem, ()):
            if not present.issuperset(phrase.stems):
                continue
            for span in _spans(tokens, phrase.stems):
                if phrase.excluded:
                    excluded[phrase.label].append(span)
                else:
                    spans.append((phrase, span))
    hits, under_negation = set(), None
    for phrase, (start, end) in spans:
        if any(
            a < end
            and start < b
            and not (start <= a and b <= end)
            or (a, b) == (start, end)
            for a, b in excluded[phrase.label]
        ):
            continue
        if under_negation is None:
            under_negation = _under_negation(tokens)
        if under_negation[end - 1]:
            negated = True
        else:
            hits.add(phrase)
    return hits, negated


def _spans(tokens, stems):
    """Start and end of every place where the stems stand together."""
    spans = []
    for start, first in enumerate(tokens):
        if first not in stems:
            continue
        missing, slack = list(stems), SLACK
        for end in range(start, len(tokens)):
            token = tokens[end]
            if token in missing:
                missing.remove(token)
                if not missing:
                    spans.append((start, end + 1))
                    break
            elif token in _joints() or not slack:
                break
            else:
                slack -= 1
    return spans


def _under_negation(tokens):
    """For each token, whether its clause has a negation up to it."""
    flags, flag = [], False
    for token in tokens:
        if token in _NEGATORS:
            flag = True
        elif token in _joints() and token != "or":
            flag = False
        flags.append(flag)
    return flags


@functools.cache
def _joints():
    """Stems that join two sounds, so that no phrase reaches across."""
    words = "after and as before but follow or plus then when while with"
    return frozenset(map(_stem, words.split())) | {_BREAK}


def _tokens(text):
    """Stems of a text; punctuation is `_BREAK`."""
    text = text.casefold().replace("_", " ").replace("\u2019", "'")
    text = re.sub(r"'s?\b|'", "", text.replace("n't", " not"))
    return [
        _stem(token) if token[0].isalnum() else _BREAK
        for token in re.findall(r"\w+|[^\w\s-]", text)
    ]


@functools.lru_cache(maxsize=1 << 16)
def _stem(word):
    """An English word without its inflection.

    These are Porter's rules ("An algorithm for suffix stripping", 1980) for
    -s, -ed, -ing and a final -e, and none of those that turn one word into
    another (neither "singer" nor "action" is touched).
    """
    word = _IRREGULAR.get(word, word)
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    base = re.sub(r"(ing|(?<!e)ed)$", "", word)
    if base != word and re.search("[aeiouy]", base):
        # hoping, unlike hopping, has lost an e
        lost_e = _measure(base) == 1 and _is_short(base)
        word = base + "e" * lost_e
    # hopp(ing): hop, but yell, hiss and buzz are words
    word = re.sub(r"([^aeiouylsz])\1$", r"\1", word)
    base = word.removesuffix("e")
    if _measure(base) > 1 or _measure(base) == 1 and not _is_short(base):
        word = base
    return word


def _measure(word):
    """Porter's m: how often consonants follow vowels."""
    return len(re.findall("[aeiouy]+[^aeiouy]+", word))


def _is_short(word):
    """Whether a word ends in consonant, vowel, consonant, as hop does."""
    return re.search("[^aeiou][aeiouy][^aeiouywx]$", word) is not None
