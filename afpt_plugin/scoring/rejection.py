"""Reject a recording as "none of these" if it is too far from the classes.

A recording's margin is its highest cosine to a class minus the log-mean-exp of
its cosines to the background: AudioSet's labels, without those near a class.
The threshold on the margin comes from captions of *other* classes, without any
recording: `SHARE` of these captions have a lower margin and are rejected. The
classes are always embedded with the untuned template, since learning moves
captions and recordings by different amounts, so that a threshold from captions
would not fit recordings.

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

#: Share of the captions of other classes that are rejected; chosen on
#: development recordings, see ``docs/confidence.md``.
SHARE = 0.8

#: Captions per other class that the threshold is computed from.
N_CAPTIONS = 6

# Two texts are near if less than this share of the background's pairs have a
# higher cosine.
NEAR = 0.005

BATCH_SIZE = 64


class Rejection(NamedTuple):
    """The rule by which a recording is none of the classes."""

    classes: torch.Tensor  # [n_classes, D], with the untuned template
    background: torch.Tensor  # [n_texts, D]
    texts: list  # the background's texts
    sharpness: float  # in the log-mean-exp: the backbone's scale
    threshold: float  # margins below it are rejected
    n_captions: int  # captions of other classes, used for the threshold

    def margin(self, whole):
        """How much nearer the best class is than the background, in cosines.

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
        """Which of the margins [B] are below the threshold, [B]."""
        return margin < self.threshold

    def facts(self):
        """How the rule was made, as JSON values."""
        return {
            "margin_below": self.threshold,
            "chosen_on": f"{self.n_captions} captions of other classes, "
            f"{SHARE:.0%} of which are rejected",
            "classes": "those of the untuned template",
            "background": self.texts,
        }


def read_background():
    """Read AudioSet's labels of sounds from mini-CLAP's weights (list)."""
    with safe_open(WEIGHTS, framework="pt") as weights:
        header = weights.metadata()
    left_out = json.loads(header["left_out"])
    return [x for x in json.loads(header["labels"]) if x not in left_out]


def read_sounds():
    """Map each sound's name to its captions, from all captions in the package.

    Captions of several sounds are left out.
    """
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
        Maps names of sounds to captions; by default `read_sounds`.

    Returns
    -------
    Rejection

    Raises
    ------
    InputError
        If no caption or no background text is left.
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
        """Which embeddings are near no class."""
        # The tolerance covers different rounding of the same pair.
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
