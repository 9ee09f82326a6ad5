"""Caption manifests: the only thing that audio-free prompt tuning learns from.

A manifest is a CSV file of sentences and the classes that they describe. The
header tells which of two formats it has:

- ours, ``caption,label``: labels are class names joined by ``|``
  (``rain on a car roof,rain|engine``);
- the paper's, ``caption,class`` (an unnamed index column may come first): a
  class is an index into the class names, or a bracketed list of indices.

From there a recipe takes three steps:

>>> captions = template_captions(["dog", "rain"])
>>> train, valid = split_captions(captions, 2, valid_fraction=0.25, seed=0)
>>> train = subsample_captions(train, captions_per_class=10)
>>> len(train), len(valid)
(20, 8)

Authors
 * The afpt_plugin developers 2026
"""

import difflib
import hashlib
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.tables import (
    check_class_names,
    csv_text,
    read_table,
    some_of,
)
from afpt_plugin.errors import InputError
from afpt_plugin.files import write_if_changed
from afpt_plugin.option_rules import check_values

logger = get_logger(__name__)

# Templates that turn class names into captions. The first is MS-CLAP's own test
# prompt.
TEMPLATES = (
    "this is a sound of {}",
    "{}",
    "the sound of {}",
    "a recording of {}",
    "a recording of {} in the background",
    "{} can be heard",
    "someone recorded {}",
    "{} in the distance",
    "{} close to the microphone",
    "a loud sound of {}",
    "a faint sound of {}",
    "{} heard indoors",
    "{} heard outdoors",
    "a short clip of {}",
    "{} with some background noise",
    "you can clearly hear {}",
)

REMEDY = (
    "Give a CSV file with the columns 'caption,label' (class names joined by "
    "|) or 'caption,class' (a class index, or a list like \"[17, 22]\")"
)

# int() refuses thousands of digits, and no data set has 10^9 classes.
_INDEX = r"-?[0-9]{1,9}"
_INDICES = re.compile(rf"{_INDEX}|\[\s*{_INDEX}(\s*,\s*{_INDEX})*\s*\]")
_INDEX_COLUMNS = {"", "Unnamed: 0"}  # as pandas writes it and reads it


# Control characters, and surrogates: JSON can hold half of a character that
# UTF-16 writes as two.
_NO_TEXT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Caption:
    """One sentence, exactly as in the file, and the classes it describes."""

    caption: str
    labels: tuple[int, ...]  #: Indices into the class names, in file order.
    #: Line of the file (the header is line 1), 0 without a file.
    line: int = field(default=0, compare=False)

    @property
    def words(self):
        """The sentence as lowercase words, without punctuation."""
        return " ".join(re.findall(r"\w+", self.caption.casefold()))

    @property
    def fault(self):
        """Why the sentence cannot be used (str), or None."""
        # str() turns a missing value of another table into "nan".
        if self.caption.strip().lower() in ("", "nan"):
            return "the caption is empty"
        if _NO_TEXT.search(self.caption):
            return (
                f"the caption {self.caption[:40]!r} holds a line break, a "
                "control character or half a character; a quote may be left open"
            )
        return None


def read_captions(path, class_names, one_label=False):
    """Read and check a caption manifest.

    If rows repeat both caption and labels, the first is kept, with a warning.
    With ``one_label``, a sentence must not have different labels in different
    rows. In the paper's format, such a sentence only causes a warning, since
    the paper's captions for ESC-50 contain ten of them.

    Arguments
    ---------
    path : str or Path
        A CSV file in one of the two formats of this module, UTF-8.
    class_names : list[str]
        The classes. A label is the position of its name in this list.
    one_label : bool
        Whether every recording belongs to exactly one class.

    Returns
    -------
    list[Caption]
        In file order.

    Raises
    ------
    InputError
        If the file has neither format, a row is bad (the first ten are
        listed), or a class has no caption.

    Example
    -------
    >>> path = getfixture("tmp_path") / "captions.csv"
    >>> _ = path.write_text("caption,label\\na wet street,rain|car horn\\n")
    >>> read_captions(path, ["rain", "car horn"])
    [Caption(caption='a wet street', labels=(0, 1), line=2)]
    """
    check_class_names(class_names)
    rows = read_table(path, (), None, REMEDY)
    parsers = {"label": _parse_names, "class": _parse_indices}
    columns = set(rows[0]) - _INDEX_COLUMNS - {"caption"}
    label_column = columns.pop() if len(columns) == 1 else None
    if label_column not in parsers or "caption" not in rows[0]:
        raise InputError(
            f"{path}: the columns are {', '.join(map(repr, rows[0]))}. {REMEDY}"
        )

    indices = {name: index for index, name in enumerate(class_names)}
    kept, faults = {}, []
    for row in rows:
        try:
            labels = parsers[label_column](row[label_column], indices)
            caption = Caption(row["caption"], labels, row.line)
            _check_caption(caption, len(indices))
            kept.setdefault((caption.caption, frozenset(labels)), caption)
        except InputError as error:
            faults.append(f"line {row.line}: {error}")
    if one_label and (twice := _contradictions(kept.values(), class_names)):
        if label_column == "label":
            faults += twice
        else:
            logger.warning(
                "%s: %d captions are under several labels, which nothing can "
                "learn:\n%s",
                *(path, len(twice), some_of(twice, limit=3)),
            )
    if faults:
        raise InputError(
            f"{path}: {len(faults)} of {len(rows)} captions cannot be used; fix "
            f"or remove these rows:\n{some_of(faults, limit=10)}"
        )
    described = {label for caption in kept.values() for label in caption.labels}
    missing = [n for n, index in indices.items() if index not in described]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of {len(indices)} classes have no caption "
            f"({', '.join(missing)}); add captions for them or remove them from "
            "the class names"
        )
    if len(kept) < len(rows):
        logger.warning(
            "%s: %d rows that repeat a caption and its labels are not used",
            *(path, len(rows) - len(kept)),
        )
    return list(kept.values())


def _contradictions(captions, class_names):
    """Describe each sentence whose single label differs between rows."""
    same = {}
    for caption in captions:
        if len(caption.labels) == 1:
            same.setdefault(caption.words or caption.caption, []).append(
                caption
            )
    return [
        f"lines {', '.join(str(c.line) for c in group)}: "
        f"{group[0].caption!r:.80} is under "
        f"{' and '.join(class_names[c.labels[0]] for c in group)}"
        for group in same.values()
        if len({caption.labels for caption in group}) > 1
    ]


def split_captions(captions, n_classes, valid_fraction, seed):
    """Hold out captions for model selection, class by class.

    Captions that differ only in case, spacing or punctuation stay on the same
    side, whatever the order of the input. No class loses its last training
    caption. Apart from that, every class with two or more different captions
    has at least one held out, unless all its captions also belong to other
    classes.

    Arguments
    ---------
    captions : list[Caption]
        The captions to split.
    n_classes : int
        Labels are in ``range(n_classes)``.
    valid_fraction : float
        Share of each class's different captions to hold out, in [0, 1).
    seed : int
        Seed of the choice; another seed holds out other captions.

    Returns
    -------
    train, valid : list[Caption]
        The captions to train on and those held out, in input order.

    Example
    -------
    >>> captions = [Caption(f"caption {i}", (i % 2,)) for i in range(20)]
    >>> train, valid = split_captions(captions, 2, valid_fraction=0.2, seed=0)
    >>> len(train), sorted(c.labels for c in valid)
    (16, [(0,), (0,), (1,), (1,)])
    """
    check_values(valid_fraction=valid_fraction)
    labels_of = {}
    for caption in captions:
        if not set(caption.labels) <= set(range(n_classes)):
            raise InputError(
                f"the labels {caption.labels} of the caption "
                f"{caption.caption!r:.60} are outside 0 to {n_classes - 1}"
            )
        labels_of.setdefault(caption.words, set()).update(caption.labels)

    # Sorted first, so that the seed alone decides the order.
    texts = sorted(labels_of)
    random.Random(seed).shuffle(texts)
    n_train = Counter(label for text in texts for label in labels_of[text])
    # How many texts of each class are still to be held out.
    quota = Counter()
    if valid_fraction:
        for label, count in n_train.items():
            quota[label] = min(max(round(valid_fraction * count), 1), count - 1)
    valid_texts = set()
    # The rarest class has the least choice, so it comes first.
    for rarest in sorted(quota, key=lambda label: (n_train[label], label)):
        own = [text for text in texts if rarest in labels_of[text]]
        # Prefer texts whose other classes still need some held out, too.
        own.sort(key=lambda t: sum(quota[label] < 1 for label in labels_of[t]))
        for text in own:
            if quota[rarest] < 1:
                break
            labels = labels_of[text]
            spare = all(n_train[label] > 1 for label in labels)
            if text not in valid_texts and spare:
                valid_texts.add(text)
                n_train.subtract(labels)
                quota.subtract(labels)

    train = [c for c in captions if c.words not in valid_texts]
    valid = [c for c in captions if c.words in valid_texts]
    return train, valid


def subsample_captions(captions, captions_per_class, seed=None):
    """Keep a limited number of captions per class.

    A caption with several labels counts toward each of them and is kept as
    long as any of them has room, so a class that often accompanies others may
    exceed the limit.

    Arguments
    ---------
    captions : list[Caption]
        The captions to choose from; their order is kept.
    captions_per_class : int or None
        The limit, at least 1: 17 on ESC-50 and 129 on UrbanSound8K in the
        paper. None keeps all.
    seed : int or None
        None takes each class's first captions, which is the authors' rule;
        a number makes a random choice.

    Example
    -------
    >>> captions = [Caption(f"caption {i}", (i % 2,)) for i in range(6)]
    >>> [c.caption for c in subsample_captions(captions, 2)]
    ['caption 0', 'caption 1', 'caption 2', 'caption 3']
    """
    check_values(captions_per_class=captions_per_class)
    if captions_per_class is None:
        return list(captions)
    order = list(range(len(captions)))
    if seed is not None:
        random.Random(seed).shuffle(order)
    taken, kept = Counter(), []
    for index in order:
        labels = captions[index].labels
        if any(taken[label] < captions_per_class for label in labels):
            taken.update(labels)
            kept.append(index)
    return [captions[index] for index in sorted(kept)]


def template_captions(class_names):
    """Make captions from class names alone with `TEMPLATES`, class by class.

    Example
    -------
    >>> template_captions(["dog", "rain"])[0].caption
    'this is a sound of dog'
    """
    check_class_names(class_names)
    return [
        Caption(template.replace("{}", name), (label,))
        for label, name in enumerate(class_names)
        for template in TEMPLATES
    ]


def write_captions(path, captions, class_names):
    """Write a caption manifest in our format, whole or not at all.

    Captions that `read_captions` would refuse raise an `InputError`.

    Example
    -------
    >>> path = getfixture("tmp_path") / "captions.csv"
    >>> captions = [Caption("a dog barks, twice", (0,)), Caption("hail", (1,))]
    >>> write_captions(path, captions, ["dog", "rain"])
    >>> print(path.read_text(), end="")
    caption,label
    "a dog barks, twice",dog
    hail,rain
    """
    check_class_names(class_names)
    rows = [("caption", "label")]
    for caption in captions:
        try:
            _check_caption(caption, len(class_names))
        except InputError as error:
            raise InputError(f"{path}: {caption} is refused: {error}") from None
        label = "|".join(class_names[label] for label in caption.labels)
        rows.append((caption.caption, label))
    write_if_changed(path, csv_text(rows))


def captions_fingerprint(captions):
    """Hash captions in order, without line numbers (64 hex digits).

    Example
    -------
    >>> captions_fingerprint([Caption("a dog barks", (0,))])[:12]
    'af6104385d42'
    """
    lines = (json.dumps([c.caption, list(c.labels)]) + "\n" for c in captions)
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def _parse_names(text, indices):
    """Parse class names joined by `|` into label indices."""
    names = [name.strip() for name in text.split("|")]
    for name in names:
        if name not in indices:
            close = difflib.get_close_matches(name, indices, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"the class {name!r} is unknown{hint}")
    return tuple(indices[name] for name in names)


def _parse_indices(text, indices):
    """Parse `3` or `[3, 5]` into label indices."""
    if not _INDICES.fullmatch(text.strip()):
        raise InputError(
            f"the class {text!r:.80} is neither an integer nor a bracketed "
            "list of integers"
        )
    return tuple(int(index) for index in re.findall(_INDEX, text))


def _check_caption(caption, n_classes):
    """Refuse a caption that no manifest can hold."""
    if caption.fault:
        raise InputError(caption.fault)
    if len(set(caption.labels)) < max(len(caption.labels), 1):
        raise InputError("the caption has no label, or the same label twice")
    for label in caption.labels:
        if not 0 <= label < n_classes:
            raise InputError(
                f"the class index {label} is outside 0 to {n_classes - 1}"
            )
