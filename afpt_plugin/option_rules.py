"""Types and ranges of options, by name; see `afpt_plugin.options`.

>>> print(RULES["valid_fraction"], "|", RULES["k"])
a number from 0 to below 1 | a whole number from 1 or all, or null

Authors
 * The afpt_plugin developers 2026
"""

import math
import numbers
import re
from typing import NamedTuple

from afpt_plugin.data.audio import CHANNELS, CROPS
from afpt_plugin.errors import InputError

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Above any count used here, so messages do not mention this bound.
MANY = 2**31 - 1


class Rule(NamedTuple):
    """The values that an option may have; by default any text."""

    kind: str = (
        "text"  # or texts, choice, whole, fold, number, flag, list, object
    )
    #: Bounds of a number, or of a list's length.
    low: float = -math.inf
    high: float = math.inf
    #: Whether the bounds themselves are allowed.
    with_low: bool = True
    with_high: bool = True
    null: bool = False
    #: Further allowed values.
    words: tuple = ()
    #: Rule for the items of a list; by default they may be anything.
    items: "Rule | None" = None

    def __str__(self):
        """Describe the allowed values, for a message."""
        parts = [
            {
                "text": "a text",
                "texts": "a list of texts",
                "choice": " or ".join(self.words),
                "whole": "a whole number",
                "fold": "a whole number or a text",
                "number": "a number",
                "flag": "True or False",
                "list": "a list, [value, ...]",
                "object": "its arguments, {name: value}, or an object (!new:)",
            }[self.kind]
        ]
        if self.items:
            parts = [f"a list, each value {self.items}"]
        elif self.low > -math.inf:
            parts.append(f"{'from' if self.with_low else 'above'} {self.low}")
        if not self.items and self.high not in (MANY, math.inf):
            parts.append(f"to {'' if self.with_high else 'below '}{self.high}")
        if self.words and self.kind != "choice":
            parts.append(f"or {' or '.join(self.words)}")
        return " ".join(parts) + ", or null" * self.null

    def allows(self, value):
        """Whether the rule allows a value."""
        if value is None:
            return self.null
        if isinstance(value, str):
            sound = value.strip() and not _CONTROL.search(value)
            is_text = self.kind in ("text", "texts", "fold") and bool(sound)
            return is_text or value in self.words
        if isinstance(value, bool):
            return self.kind == "flag"
        if isinstance(value, (list, tuple)):
            if self.kind == "texts":
                return all(map(Rule().allows, value))
            items = self.items is None or all(map(self.items.allows, value))
            return self.kind == "list" and items and self._holds(len(value))
        types = {
            "whole": numbers.Integral,
            "fold": numbers.Integral,
            "number": numbers.Real,
        }
        return isinstance(value, types.get(self.kind, ())) and self._holds(
            value
        )

    def _holds(self, number):
        low = self.low <= number if self.with_low else self.low < number
        high = number <= self.high if self.with_high else number < self.high
        return low and high


def whole(low=0, high=MANY, **rest):
    """Make the `Rule` of a whole number.

    Example
    -------
    >>> whole(1).allows(0), whole(1).allows(1.0), whole(1).allows(1)
    (False, False, True)
    """
    return Rule("whole", low, high, **rest)


TEXT, _FLAG, OBJECT = Rule(), Rule("flag"), Rule("object")
TEXT_OR_NULL, OBJECT_OR_NULL = Rule(null=True), Rule("object", null=True)
_POSITIVE = Rule("number", 0, math.inf, with_low=False, with_high=False)
_POSITIVE_OR_NULL = _POSITIVE._replace(null=True)
_WEIGHT = Rule("number", 0, math.inf, with_high=False)
_SHARE = Rule("number", 0, 1, with_high=False)

#: Rules by option name, wherever the option stands in a YAML file.
RULES = {
    "seed": whole(high=2**32 - 1),
    "clap": TEXT,
    "weights": TEXT_OR_NULL,
    "method": TEXT,
    "classes": Rule("choice", words=("all", "base", "new")),
    "source": TEXT_OR_NULL,
    "sample_recordings": TEXT_OR_NULL,
    "recordings": TEXT_OR_NULL,
    "download": Rule("flag", null=True),
    "allow_missing": whole(),
    # In a user's own data, a fold may have a name instead of a number.
    "folds": Rule("list", 1, null=True, items=Rule("fold")),
    "own_data": Rule("list", 1, null=True),
    "source_folds": whole(2, 1000, null=True),
    "subset": TEXT_OR_NULL,
    "clips_per_recording": whole(1, null=True),
    "recordings_per_batch": whole(1, null=True),
    "crop": Rule("choice", words=CROPS),
    "channels": Rule("choice", words=CHANNELS),
    "learn_from": Rule("choice", words=("shots", "captions")),
    "k": whole(1, null=True, words=("all",)),
    "valid_k": whole(),
    "valid_fraction": _SHARE,
    "captions_per_class": whole(1, null=True, words=("paper",)),
    "per_class": whole(1, null=True, words=("paper",)),
    "pad_to": whole(3, 512, null=True),
    "norm": _WEIGHT,
    "n_ctx": whole(1, 512, null=True),
    "ctx_init": TEXT_OR_NULL,
    "anchor": _SHARE,
    "zero_shot_share": _SHARE,
    "entropy_weight": _WEIGHT,
    "pull": _WEIGHT,
    "caption_share": Rule("number", 0, 1),
    "templates": Rule("texts"),
    "alpha": _POSITIVE_OR_NULL,
    "beta": _POSITIVE_OR_NULL,
    "C": _POSITIVE_OR_NULL,
    "ridge": _POSITIVE_OR_NULL,
    "train_log": TEXT,
    "number_of_epochs": whole(1),
    "limit": whole(1),
    "lr": _POSITIVE,
    "warmup_lr": _POSITIVE_OR_NULL,
    "max_grad_norm": Rule("number", 0, math.inf, with_low=False),
    "betas": Rule("list", 2, 2, items=_SHARE),
    "eps": _WEIGHT,
    "weight_decay": _WEIGHT,
    "momentum": _WEIGHT,
    "batch_size": whole(1),
    "num_workers": whole(high=1024),
    "precision": whole(high=20),
    "transduction": Rule("choice", words=("em",), null=True),
    "selection": Rule("choice", words=("captions", "audio"), null=True),
    "augment": OBJECT_OR_NULL,
    "lr_annealing": OBJECT_OR_NULL,
    "checkpointer": OBJECT_OR_NULL,
}


def check_values(**values):
    """Refuse values of options that `RULES` do not allow.

    Raises
    ------
    InputError
        If a value is not allowed.

    Example
    -------
    >>> check_values(alpha=None, beta=0)
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: beta is 0; give a number above 0, or null
    """
    for name, value in values.items():
        if not RULES[name].allows(value):
            raise InputError(f"{name} is {value!r:.80}; give {RULES[name]}")
