"""Caption manifests: the only thing that audio-free prompt tuning learns from.

A manifest is a CSV file of sentences and the classes that they describe. Two
formats are read, told apart by their header:

- ours, ``caption,label``: labels are class names joined by ``|``
  (``rain on a car roof,rain|engine``);
- the paper's, ``caption,class`` (an unnamed index column may come first): a
  class is an index into the class names, or a bracketed list of indices.

From there a recipe takes three steps:

>>> captions = template_captions(["dog", "rain"])
>>> train, valid = split_captions(
...     captions, n_classes=2, valid_fraction=0.25, seed=0
... )
>>> train = subsample_captions(train, captions_per_class=10)
>>> len(train), len(valid)
(20, 8)

Authors
 * The afpt_plugin developers 2026
"""

import difflib
import hashlib
import io
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain.utils.logger import get_logger

from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing

logger = get_logger(__name__)

# Class names alone as supervision. The first is MS-CLAP's own test prompt.
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

MAX_REPORTED = 10

# int() refuses thousands of digits, and no data set has 10^9 classes.
_INDEX = r"-?[0-9]{1,9}"
_INDICES = re.compile(rf"{_INDEX}|\[\s*{_INDEX}(\s*,\s*{_INDEX})*\s*\]")
_INDEX_COLUMN = ("", "Unnamed: 0")


@dataclass(frozen=True)
class Caption:
    """One sentence and the classes that it describes.

    Arguments
    ---------
    caption : str
        The sentence, exactly as in the file.
    labels : tuple[int, ...]
        Indices into the class names, in the order of the file.
    row : int
        Row of the file (the header is row 1), 0 if it comes from none. Where
        a caption stood is not what it says, so comparisons ignore it.

    Example
    -------
    >>> Caption("a dog barks in the rain", (0, 10), row=2) == Caption(
    ...     "a dog barks in the rain", (0, 10)
    ... )
    True
    """

    caption: str
    labels: tuple[int, ...]
    row: int = field(default=0, compare=False)


def read_captions(path, class_names):
    """Read and check a caption manifest.

    Rows that repeat both caption and labels are kept once, with a warning.
    (The paper's own four files have none.) Empty lines are skipped.

    Arguments
    ---------
    path : str or Path
        A CSV file in one of the two formats of this module, UTF-8.
    class_names : list[str]
        The classes. A label is the position of its name in this list.

    Returns
    -------
    list[Caption]
        In file order.

    Raises
    ------
    InputError
        If the file is missing, empty, not UTF-8 or in neither format, if any
        row is bad (all of them are counted, the first ten are shown), or if
        a class is left without a caption.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> path = folder / "captions.csv"
    >>> text = "caption,label\\na dog barks,dog\\nwet street,rain|car horn\\n"
    >>> _ = path.write_text(text)
    >>> read_captions(path, ["dog", "rain", "car horn"])
    [Caption(caption='a dog barks', labels=(0,), row=2),
     Caption(caption='wet street', labels=(1, 2), row=3)]
    """
    path = Path(path)
    check_class_names(class_names)
    table, parse_labels = _read_table(path)
    indices = {name: index for index, name in enumerate(class_names)}

    captions, faults, seen, repeated = [], [], set(), 0
    for row, text, label in table:
        labels, fault = parse_labels(label, indices)
        fault = caption_fault(text) or fault
        if fault:
            faults.append(f"row {row}: {fault}")
        elif (text, frozenset(labels)) in seen:
            repeated += 1
        else:
            seen.add((text, frozenset(labels)))
            captions.append(Caption(text, labels, row))
    if faults:
        raise InputError(
            f"{path}: {len(faults)} of {len(table)} captions cannot be used "
            "(the header is row 1); fix or remove these rows:\n  "
            + "\n  ".join(faults[:MAX_REPORTED])
            + (
                f"\n  and {len(faults) - MAX_REPORTED} more"
                if len(faults) > MAX_REPORTED
                else ""
            )
        )
    described = {label for caption in captions for label in caption.labels}
    missing = [n for n, index in indices.items() if index not in described]
    if missing:
        raise InputError(
            f"{path}: no caption for {len(missing)} of {len(indices)} "
            f"classes: {', '.join(missing)}; add captions for them or take "
            "them out of the class names"
        )
    if repeated:
        logger.warning(
            "%s: %d rows repeat an earlier caption with the same labels; "
            "each is kept once",
            path,
            repeated,
        )
    return captions


def split_captions(captions, n_classes, valid_fraction, seed):
    """Hold out captions for model selection, class by class.

    Captions that differ only in case, spacing or punctuation stay on the same
    side, so that no sentence is selected on that was trained on. Classes are
    served from the rarest to the most common, and a caption counts for all of
    its labels. No class loses its last training caption; within that, a class
    with two or more different captions has at least one held out. With one
    label per caption this always succeeds; with several it cannot where
    classes only occur together.

    The order of the input decides the order within each part, never which
    part a caption falls into.

    Arguments
    ---------
    captions : list[Caption]
        What to split.
    n_classes : int
        Labels are in ``range(n_classes)``.
    valid_fraction : float
        Share of each class's different captions to hold out, in [0, 1).
        0 holds out nothing.
    seed : int
        Another seed holds out other captions.

    Returns
    -------
    train : list[Caption]
        What remains, in input order.
    valid : list[Caption]
        What is held out, in input order.

    Raises
    ------
    InputError
        If the fraction lies outside [0, 1) or a label outside the classes.

    Example
    -------
    >>> captions = [Caption(f"caption {i}", (i % 2,)) for i in range(20)]
    >>> train, valid = split_captions(captions, 2, valid_fraction=0.2, seed=0)
    >>> len(train), sorted(c.labels for c in valid)
    (16, [(0,), (0,), (1,), (1,)])
    """
    if not 0 <= valid_fraction < 1:
        raise InputError(
            f"valid_fraction is {valid_fraction}; it must be at least 0 and "
            "less than 1"
        )
    labels_of = {}
    for caption in captions:
        if not all(0 <= label < n_classes for label in caption.labels):
            raise InputError(
                f"caption {caption.caption!r} (row {caption.row}) has labels "
                f"{caption.labels}, but there are {n_classes} classes"
            )
        text = normalise_caption(caption.caption)
        labels_of.setdefault(text, set()).update(caption.labels)

    texts = sorted(labels_of)
    random.Random(seed).shuffle(texts)
    in_train = Counter(label for text in texts for label in labels_of[text])
    quota = {
        label: min(max(round(valid_fraction * count), 1), count - 1)
        if valid_fraction
        else 0
        for label, count in in_train.items()
    }
    valid_texts = set()
    for rarest in sorted(quota, key=lambda label: (in_train[label], label)):
        own = [text for text in texts if rarest in labels_of[text]]
        # Captions first whose other classes still want some held out.
        own.sort(key=lambda t: sum(quota[label] < 1 for label in labels_of[t]))
        for text in own:
            if quota[rarest] < 1:
                break
            labels = labels_of[text]
            spare = all(in_train[label] > 1 for label in labels)
            if text not in valid_texts and spare:
                valid_texts.add(text)
                in_train.subtract(labels)
                for label in labels:
                    quota[label] -= 1

    train, valid = [], []
    for caption in captions:
        held_out = normalise_caption(caption.caption) in valid_texts
        (valid if held_out else train).append(caption)
    return train, valid


def subsample_captions(captions, captions_per_class, seed=None):
    """Keep at most so many captions per class.

    A caption with several labels counts towards each of them and is kept as
    long as any of them has room, so a class that often accompanies others may
    end with more.

    Arguments
    ---------
    captions : list[Caption]
        What to choose from.
    captions_per_class : int or None
        The paper's budget is 17 on ESC-50 and 129 on UrbanSound8K. None keeps
        all.
    seed : int or None
        None takes each class's first captions, which is the authors' rule;
        a number takes a random choice.

    Returns
    -------
    list[Caption]
        In input order.

    Raises
    ------
    InputError
        If `captions_per_class` is less than 1.

    Example
    -------
    >>> captions = [Caption(f"caption {i}", (i % 2,)) for i in range(6)]
    >>> [c.caption for c in subsample_captions(captions, 2)]
    ['caption 0', 'caption 1', 'caption 2', 'caption 3']
    """
    if captions_per_class is None:
        return list(captions)
    if captions_per_class < 1:
        raise InputError(
            f"captions_per_class is {captions_per_class}; give at least 1, "
            "or None (null in YAML) for all"
        )
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


def template_captions(class_names, templates=TEMPLATES):
    """Make captions from class names alone.

    Arguments
    ---------
    class_names : list[str]
        The classes.
    templates : list[str]
        Sentences in which ``{}`` stands for the class name.

    Returns
    -------
    list[Caption]
        Class by class, in the order of the templates.

    Raises
    ------
    InputError
        If a template does not hold exactly one ``{}``.

    Example
    -------
    >>> for caption in template_captions(["dog", "rain"], ["hear the {}"]):
    ...     caption.caption, caption.labels
    ('hear the dog', (0,))
    ('hear the rain', (1,))
    """
    check_class_names(class_names)
    for template in templates:
        if template.count("{}") != 1:
            raise InputError(
                f"template {template!r} must hold {{}} exactly once, where "
                "the class name goes"
            )
    return [
        Caption(template.replace("{}", name), (label,))
        for label, name in enumerate(class_names)
        for template in templates
    ]


def write_captions(path, captions, class_names):
    """Write a caption manifest in our format.

    The file appears complete or not at all.

    Arguments
    ---------
    path : str or Path
        The file to write or replace; its folder must exist.
    captions : list[Caption]
        What to write.
    class_names : list[str]
        Names of the labels.

    Raises
    ------
    InputError
        If `read_captions` could not read a caption back.

    Example
    -------
    >>> path = getfixture("tmp_path") / "captions.csv"
    >>> captions = [Caption("a dog barks, twice", (0,)), Caption("hail", (1,))]
    >>> write_captions(path, captions, ["dog", "rain"])
    >>> print(path.read_text(), end="")
    caption,label
    "a dog barks, twice",dog
    hail,rain
    >>> read_captions(path, ["dog", "rain"]) == captions
    True
    """
    import pandas as pd

    path = Path(path)
    check_class_names(class_names)
    rows = []
    for caption in captions:
        _, label_fault = _check_labels(caption.labels, len(class_names))
        fault = caption_fault(caption.caption) or label_fault
        if fault:
            raise InputError(f"cannot write {caption} to {path}: {fault}")
        label = "|".join(class_names[label] for label in caption.labels)
        rows.append((caption.caption, label))
    with replacing(path) as part:
        pd.DataFrame(rows, columns=["caption", "label"]).to_csv(
            part, index=False, encoding="utf-8", lineterminator="\n"
        )


def captions_fingerprint(captions):
    """Identify a list of captions by its contents and order.

    Arguments
    ---------
    captions : list[Caption]
        Their rows do not count.

    Returns
    -------
    str
        64 hexadecimal digits (sha256).

    Example
    -------
    >>> captions_fingerprint([Caption("a dog barks", (0,))])[:12]
    'af6104385d42'
    """
    digest = hashlib.sha256()
    for caption in captions:
        line = json.dumps([caption.caption, list(caption.labels)])
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()


def _read_table(path):
    """Rows of a manifest as (row, caption, label text), and their parser."""
    import pandas as pd

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the captions {path}: {error.strerror}"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, row {row}: not UTF-8 ({error.reason}); save the file "
            "with that encoding"
        ) from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    try:
        # The header is read as a row: were it a header, pandas would take the
        # first of too many fields for an index without a word.
        table = pd.read_csv(
            io.StringIO(text),
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
        ).fillna("")
    except pd.errors.ParserError as error:
        raise InputError(
            f"{path}: {str(error).strip()}; a caption that holds a comma or "
            "a quote must stand in quotes"
        ) from error
    columns = list(table.iloc[0])
    named = sorted(c for c in columns if c not in _INDEX_COLUMN)
    parsers = {"label": _parse_names, "class": _parse_indices}
    if len(named) != 2 or named[0] != "caption" or named[1] not in parsers:
        raise InputError(
            f"{path}: the columns are {', '.join(map(repr, columns))}; they "
            "must be 'caption,label' (class names joined by |) or "
            "'caption,class' (a class index, or a list like \"[17, 22]\")"
        )
    pairs = table[[columns.index("caption"), columns.index(named[1])]]
    rows = [
        (index + 1, caption, label)
        for index, caption, label in pairs.iloc[1:].itertuples()
        if caption or label
    ]
    if not rows:
        raise InputError(f"{path}: there is a header but no caption")
    return rows, parsers[named[1]]


def _parse_names(text, indices):
    """Label indices of class names joined by `|`, and what is wrong."""
    names = [name.strip() for name in text.split("|")]
    for name in names:
        if name not in indices:
            close = difflib.get_close_matches(name, indices, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            return (), f"unknown class {name!r}{hint}"
    return _check_labels([indices[name] for name in names], len(indices))


def _parse_indices(text, indices):
    """Label indices of `3` or `[3, 5]`, and what is wrong with the text."""
    if not _INDICES.fullmatch(text.strip()):
        return (), (
            f"class {text!r} is neither an integer nor a bracketed list of "
            "integers"
        )
    labels = [int(index) for index in re.findall(_INDEX, text)]
    return _check_labels(labels, len(indices))


def _check_labels(labels, n_classes):
    """The labels as a tuple, and what is wrong with them."""
    if not labels:
        return (), "no label"
    if len(set(labels)) < len(labels):
        return (), "the same label twice"
    for label in labels:
        if not 0 <= label < n_classes:
            return (), f"class index {label} is outside 0 to {n_classes - 1}"
    return tuple(labels), None


def caption_fault(text):
    """What is wrong with a caption's text.

    Arguments
    ---------
    text : str
        The caption.

    Returns
    -------
    str or None
        None if nothing is.

    Example
    -------
    >>> caption_fault(" ")
    'empty caption'
    """
    # "nan" is what str() makes of the missing value of another table.
    if not text.strip() or text.strip().lower() == "nan":
        return "empty caption"
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        return (
            f"line break or control character in {text[:40]!r} (is a quote "
            "left open?)"
        )
    return None


def normalise_caption(text):
    """A caption without case, spacing and punctuation.

    Arguments
    ---------
    text : str
        The caption.

    Returns
    -------
    str
        Captions that give the same are one caption.

    Example
    -------
    >>> normalise_caption("A dog  barks!")
    'a dog barks'
    """
    return " ".join(re.findall(r"\w+", text.casefold()))
