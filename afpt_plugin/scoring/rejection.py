"""None of these: is a recording nearer to the classes than to other sounds?

Its margin is the highest cosine to a class minus the log-mean-exp of those to the
background: AudioSet's labels, without those that are near a class. A margin is too
low if captions of *other* classes have it, too: the threshold is above `SHARE` of
theirs. Nothing is heard for it. The classes are those of the untuned template,
whatever was learned: learning draws captions and recordings unequally far, so
that captions would no longer say what is too low.

>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> texts = ["Piano", "Dog", "Rain", "Siren", "Guitar"]
>>> sounds = {"rain": ["soft rain"], "piano": ["a piano plays"]}
>>> found = fit_rejection(clap, ["dog"], texts, sounds)
>>> found.texts
['Piano', 'Rain', 'Siren', 'Guitar']
>>> heard = clap.encode_captions(["a dog barks", "piano music"]).whole
>>> found.rejects(found.margin(heard))
tensor([False,  True])

Authors
 * The afpt_plugin developers 2026
"""

import json
import math
from typing import NamedTuple

import torch
from safetensors import safe_open

from afpt_plugin.backbones.mini_clap import WEIGHTS
from afpt_plugin.data.supervision import CAPTION_FOLDER
from afpt_plugin.data.tables import read_table
from afpt_plugin.errors import InputError
from afpt_plugin.learners import Template
from afpt_plugin.similarity import coarse_logits

#: Of the captions of other classes, how many are rejected; chosen on development
#: recordings, see ``docs/confidence.md``.
SHARE = 0.8

#: Captions of each class that the threshold comes from.
N_CAPTIONS = 6

# Two texts are near if fewer pairs of the background have a higher cosine.
NEAR = 0.005

BATCH_SIZE = 64


class Rejection(NamedTuple):
    """When a recording is none of the classes."""

    classes: torch.Tensor  # [n_classes, D], the template's
    background: torch.Tensor  # [n_texts, D]
    texts: list  # what they say
    sharpness: float  # of the log-mean-exp: the backbone's scale
    threshold: float  # below it, a margin is too low
    n_captions: int  # of other classes, behind the threshold

    def margin(self, whole):
        """How much nearer a class is than the background, as cosines.

        Arguments
        ---------
        whole : torch.Tensor
            Clip or sentence embeddings, [B, D].

        Returns
        -------
        torch.Tensor
            [B], from -2 to 2.
        """
        whole = whole.float()
        own = coarse_logits(whole, self.classes).max(1).values
        other = coarse_logits(whole, self.background, self.sharpness)
        other = other.logsumexp(1) - math.log(len(self.texts))
        return own - other / self.sharpness

    def rejects(self, margin):
        """Which margins [B] are those of none of the classes, [B]."""
        return margin < self.threshold

    def facts(self):
        """What was done, as JSON values."""
        return {
            "margin_below": self.threshold,
            "chosen_on": f"{self.n_captions} captions of other classes, "
            f"{SHARE:.0%} of which are rejected",
            "classes": "those of the untuned template",
            "background": self.texts,
        }


def read_background():
    """AudioSet's labels of sounds, which mini-CLAP's weights name (list)."""
    with safe_open(WEIGHTS, framework="pt") as weights:
        header = weights.metadata()
    left_out = json.loads(header["left_out"])
    return [x for x in json.loads(header["labels"]) if x not in left_out]


def read_sounds():
    """Names of sounds to captions of them alone, of all that the package has."""
    sounds = {}
    for path in sorted(CAPTION_FOLDER.glob("*.csv")):
        for row in read_table(path, ("caption", "label")):
            if "|" not in row["label"]:
                sounds.setdefault(row["label"], []).append(row["caption"])
    return sounds


@torch.no_grad()
def fit_rejection(clap, class_names, texts=None, sounds=None):
    """Choose the background and the threshold.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    class_names : list of str
        The classes.
    texts : list of str, optional
        The background; by default `read_background`.
    sounds : dict, optional
        Name to captions; by default `read_sounds`.

    Returns
    -------
    Rejection

    Raises
    ------
    InputError
        If no text is left.
    """
    texts = read_background() if texts is None else texts
    sounds = read_sounds() if sounds is None else sounds
    sizes = len(texts), len(sounds), len(class_names)
    words = Template().setup(clap, [*texts, *sounds, *class_names])
    words, of_captions, classes = words.embeddings.float().split(sizes)
    pairs = coarse_logits(words, words)  # [n_texts, n_texts]
    different = ~torch.eye(len(texts), dtype=torch.bool, device=pairs.device)
    limit = pairs[different].quantile(1 - NEAR, interpolation="higher")

    def far(some):
        """Which are near no class."""
        # As much above it as the same pair may be rounded elsewhere.
        return (coarse_logits(some, classes) <= limit + 1e-5).all(1)

    kept = far(words)
    captions = [
        text
        for name, is_far in zip(sounds, far(of_captions), strict=True)
        for text in sounds[name][:N_CAPTIONS]
        if is_far
    ]
    if not captions or not kept.any():
        raise InputError(
            "every sound that this package has texts of is near one of the "
            f"{len(class_names)} classes, so that nothing is left to call none "
            "of these; leave reject out"
        )
    found = Rejection(
        classes,
        words[kept],
        [text for text, is_far in zip(texts, kept, strict=True) if is_far],
        clap.logit_scale,
        0.0,
        len(captions),
    )
    margins = [
        found.margin(clap.encode_captions(captions[n : n + BATCH_SIZE]).whole)
        for n in range(0, len(captions), BATCH_SIZE)
    ]
    threshold = torch.cat(margins).quantile(SHARE).item()
    return found._replace(threshold=round(threshold, 4))
