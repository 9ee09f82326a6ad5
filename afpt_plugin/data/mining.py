"""Pick captions for a list of class names from any caption corpus.

A caption gets the label of every class that it names, by the class name itself
or a synonym, in any inflection:

>>> folder = getfixture("tmp_path")
>>> path = folder / "corpus.csv"
>>> _ = path.write_text(
...     "id,caption\\n1,A dog is barking\\n2,Puppies yap as it rains\\n"
...     "3,There is no rain\\n4,A hot dog sizzles\\n5,a dog is barking!\\n"
... )
>>> synonyms = {"dog": ["puppy", "dog bark", "not hot dog"]}
>>> captions, report = mine_captions(path, ["dog", "rain"], synonyms)
>>> captions
[Caption(caption='A dog is barking', labels=(0,), line=2),
 Caption(caption='Puppies yap as it rains', labels=(0, 1), line=3)]
>>> print(report)
2 captions of 5 rows in ...corpus.csv (column 'caption') name a class.
Skipped rows: a class is only named in a negation (1), no class is named (1),
the caption repeats an earlier one (1).
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
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import snowballstemmer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from afpt_plugin.data.captions import Caption, subsample_captions
from afpt_plugin.data.corpora import read_corpus
from afpt_plugin.data.tables import check_class_names, read_text
from afpt_plugin.errors import InputError

SYNONYMS = Path(__file__).parents[1] / "assets" / "synonyms.yml"

# How many other words may stand between the words of a phrase.
SLACK = 2
N_EXAMPLES = 3

_BREAK = ","
_NEGATORS = {"no", "not", "without", "never", "nor", "neither"}
# These words join two sounds, so a phrase never extends across one.
_JOINTS = "after and as before but follow or plus then when while with"
# fmt: off
_IRREGULAR = {
    "blew": "blow", "blown": "blow", "broke": "break", "broken": "break",
    "buses": "bus", "children": "child", "drove": "drive", "feet": "foot",
    "flew": "fly", "geese": "goose", "knives": "knife", "men": "man",
    "mice": "mouse", "purred": "purr", "purring": "purr", "ran": "run",
    "rang": "ring", "revved": "rev", "revving": "rev", "sang": "sing",
    "spoke": "speak", "teeth": "tooth", "women": "woman", "wrote": "write",
    # These would share a stem with cheer, crow, engine and vocalize.
    "cheerful": "happy", "cheerfully": "happy", "crowing": "cockcrow",
    "engineer": "driver", "engineers": "driver", "vocals": "vocalist",
}
# fmt: on
_STEMMER = snowballstemmer.stemmer("english")


class MiningReport(NamedTuple):
    """The hits of `mine_captions` and the rows that it skipped."""

    path: str  # of the corpus
    text_column: str  # its column of captions, or several, joined by commas
    n_rows: int  # of the corpus
    n_read: int  # captions in them
    n_captions: int  # those that were picked
    #: A row per class: ``class``; ``found``, its different captions in the
    #: corpus; ``captions``, those picked; ``multi_label``, how many of them have
    #: other labels, too; ``phrase``, which matched the most captions;
    #: ``examples``, up to three of the captions picked.
    classes: pd.DataFrame
    #: Classes without a caption; a manifest needs a caption for every class.
    missing: list[str]
    #: A row per unused caption: ``line`` (in JSON, the number of the record),
    #: ``reason``, ``caption``.
    skipped: pd.DataFrame

    def __str__(self):
        """Return two sentences and the table of classes."""
        reasons = sorted(self.skipped["reason"].value_counts().items())
        skipped = ", ".join(f"{reason} ({n})" for reason, n in reasons)
        read, of = f"{self.n_rows} rows", "rows"
        if self.n_read != self.n_rows:
            read, of = f"{self.n_read} in {self.n_rows} rows", "captions"
        lines = [
            f"{self.n_captions} captions of {read} in {self.path} "
            f"(column {self.text_column!r}) name a class.",
            f"Skipped {of}: {skipped or 'none'}.",
            self.classes.drop(columns="examples").to_string(index=False),
        ]
        if self.missing:
            missing = ", ".join(self.missing)
            lines.append(f"Classes without a caption: {missing}")
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

    A phrase matches if

    - all its words stand in the caption, in any case and inflection (``bark``:
      barks, barked, barking);
    - they follow each other in any order, with up to two other words between
      them, but never across punctuation or a word that joins two sounds
      ("and", "while", "with", ...);
    - no word negates them earlier in the same clause ("no dog", "without any
      rain").

    Commas in a class name separate names ("chewing, mastication"), and text in
    parentheses is ignored. Captions that differ only in case, spacing and
    punctuation are kept once.

    Arguments
    ---------
    corpus : str or pathlib.Path
        A table or JSON, see `afpt_plugin.data.corpora`.
    class_names : list[str]
        The classes.
    synonyms : dict[str, list[str]] or str or pathlib.Path, optional
        Maps a class name to further phrases that name the class; or a YAML file
        of such a mapping. A phrase that starts with "not " names something
        else. It discards every match that shares a word with it, unless the
        match covers more words: "not hot dog" discards the dog of "a hot dog
        sizzles", and "not run" discards "runs" alone but not "man runs".
        Classes that are not given use the package's phrases
        (``assets/synonyms.yml``), where there are any.
    text_column : str, optional
        The column of captions; see `afpt_plugin.data.corpora`.
    max_per_class : int, optional
        The number of captions per class to choose at random; see
        `subsample_captions`.
    seed : int
        Seed of that choice and of the report's examples.

    Returns
    -------
    captions : list[Caption]
        In the order of the corpus.
    report : MiningReport
        What was found and what was skipped.

    Raises
    ------
    InputError
        If the corpus, its column, a class name or the synonyms cannot be used.
    """
    check_class_names(class_names)
    phrases = list(_all_phrases(class_names, synonyms))
    index = defaultdict(list)
    for phrase in phrases:
        index[phrase.stems[0]].append(phrase)
    texts, n_rows, columns = read_corpus(corpus, text_column)
    found, skipped, seen, hits_of = [], [], set(), Counter()
    for line, text in texts:
        caption = Caption(" ".join(text.split()), (), line)
        reason, words = caption.fault, caption.words
        if reason is None and words in seen:
            reason = "the caption repeats an earlier one"
        seen.add(words)
        if reason is None:
            hits, reason = _match(caption.caption, index)
            hits_of.update(hits)
            labels = tuple(sorted({hit.label for hit in hits}))
        if reason is None:
            found.append(replace(caption, labels=labels))
        else:
            # JSON can hold half of a surrogate pair, which no table can.
            shown = caption.caption.encode(errors="backslashreplace").decode()
            skipped.append((line, reason, shown))

    captions = subsample_captions(found, max_per_class, seed)
    generator = random.Random(seed)
    classes = []
    for label, name in enumerate(class_names):
        own = [c for c in captions if label in c.labels]
        examples = generator.sample(own, min(N_EXAMPLES, len(own)))
        # max() takes the first of equals, so a tie goes to the class name.
        named_by = (p for p in phrases if p.label == label)
        best = max(named_by, key=hits_of.__getitem__)
        classes.append(
            {
                "class": name,
                "found": sum(label in c.labels for c in found),
                "captions": len(own),
                "multi_label": sum(len(c.labels) > 1 for c in own),
                "phrase": best.text if hits_of[best] else "",
                "examples": [caption.caption for caption in examples],
            }
        )
    report = MiningReport(
        path=str(corpus),
        text_column=", ".join(columns),
        n_rows=n_rows,
        n_read=len(texts),
        n_captions=len(captions),
        classes=pd.DataFrame(classes),
        missing=[row["class"] for row in classes if not row["captions"]],
        skipped=pd.DataFrame(skipped, columns=["line", "reason", "caption"]),
    )
    return captions, report


def _load_synonyms(source):
    """Load the phrases of a mapping or a YAML file, by folded class name."""
    content, place = source, "synonyms"
    if isinstance(source, (str, Path)):
        place = source
        remedy = "Give a YAML file of lines like 'dog: [puppy, hound]'"
        try:
            # Unlike PyYAML, ruamel.yaml refuses repeated keys and reads "no" as
            # a word.
            content = YAML(typ="safe").load(read_text(source, remedy))
        except (YAMLError, ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(
                f"{place}: the file is not YAML ({reason}). {remedy}"
            ) from None
    if not isinstance(content, dict):
        raise InputError(
            f"{place}: the synonyms must map class names to lists of phrases, "
            f"but they are of type {type(content).__name__}"
        )
    for name, phrases in content.items():
        if not isinstance(phrases, (list, tuple)):
            raise InputError(
                f"{place}: the phrases of class {name!r} are of type "
                f"{type(phrases).__name__}; give a list, [] for none"
            )
        for text in (name, *phrases):
            if not isinstance(text, str):
                raise InputError(
                    f"{place}: the synonyms of class {name!r} hold one of type "
                    f"{type(text).__name__}; put texts in quotes"
                )
    return {_fold(name): phrases for name, phrases in content.items()}


def _all_phrases(class_names, synonyms):
    """Yield every phrase of every class."""
    given = _load_synonyms({} if synonyms is None else synonyms)
    source = synonyms if isinstance(synonyms, (str, Path)) else "synonyms"
    unknown = given.keys() - set(map(_fold, class_names))
    if unknown:
        raise InputError(
            f"{source}: the synonyms of {', '.join(map(repr, sorted(unknown)))} "
            f"belong to none of the classes ({', '.join(class_names)})"
        )
    known = _load_packaged_synonyms() | given

    for label, name in enumerate(class_names):
        wanted = [(part, False) for part in _alternatives(name)]
        if not wanted:
            raise InputError(f"the class name {name!r} holds no word")
        for text in known.get(_fold(name), ()):
            wanted.append((text.removeprefix("not "), text.startswith("not ")))
        phrases = {}
        for text, excluded in wanted:
            stems = tuple(sorted(t for t in _tokens(text) if t != _BREAK))
            if not stems:
                raise InputError(
                    f"{source}: the phrase {text!r} of class {name!r} holds no "
                    "word"
                )
            phrase = _Phrase(label, text, stems, excluded)
            phrases.setdefault((stems, excluded), phrase)
        yield from phrases.values()


@functools.cache
def _load_packaged_synonyms():
    return _load_synonyms(SYNONYMS)


def _fold(name):
    """Remove differences in spelling between data sets from a class name."""
    return " ".join(name.casefold().replace("_", " ").split())


def _alternatives(name):
    """Split a class name such as 'bathtub (filling), tub' into names."""
    parts = re.sub(r"\([^)]*\)", " ", _fold(name)).split(",")
    return [" ".join(p.split()) for p in parts if re.search(r"[^\W_]", p)]


def _match(text, index):
    """Find the phrases in a caption, or the reason (str) why there are none."""
    tokens = _tokens(text)
    present = set(tokens)
    spans, excluded = [], defaultdict(list)
    for phrase in (p for stem in present for p in index.get(stem, ())):
        if present.issuperset(phrase.stems):
            for span in _spans(tokens, phrase.stems):
                if phrase.excluded:
                    excluded[phrase.label].append(span)
                else:
                    spans.append((phrase, span))
    named = [
        (phrase, span)
        for phrase, span in spans
        if not any(_discards(other, span) for other in excluded[phrase.label])
    ]
    if not named:
        return set(), "no class is named"
    negated = _find_negation(tokens)
    hits = {phrase for phrase, span in named if not negated[span[1] - 1]}
    return hits, None if hits else "a class is only named in a negation"


def _discards(excluded, span):
    """Whether an excluded span overlaps one that does not cover more words."""
    overlaps = excluded[0] < span[1] and span[0] < excluded[1]
    says_more = span[0] <= excluded[0] and excluded[1] <= span[1]
    return overlaps and not says_more or excluded == span


def _spans(tokens, stems):
    """Find start and end of every place where the stems stand together."""
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
            elif token in _JOINT_STEMS or not slack:
                break
            else:
                slack -= 1
    return spans


def _find_negation(tokens):
    """For each token, whether its clause has a negation up to it."""
    flags, flag = [], False
    for token in tokens:
        if token in _NEGATORS:
            flag = True
        elif token in _JOINT_STEMS and token != "or":
            flag = False
        flags.append(flag)
    return flags


def _tokens(text):
    """Split a text into stems; punctuation becomes `_BREAK`."""
    text = text.casefold().replace("_", " ").replace("\u2019", "'")
    text = re.sub(r"'s?\b|'", "", text.replace("n't", " not"))
    return [
        _stem(token) if token[0].isalnum() else _BREAK
        for token in re.findall(r"\w+|[^\w\s-]", text)
    ]


@functools.lru_cache(maxsize=1 << 16)
def _stem(word):
    """Remove the inflection of an English word."""
    return _STEMMER.stemWord(_IRREGULAR.get(word, word))


_JOINT_STEMS = {_BREAK, *map(_stem, _JOINTS.split())}
