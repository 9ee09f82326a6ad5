"""None of these: is a recording nearer to the classes than to other sounds?

Its margin is the highest cosine to a class minus the highest to a background
text, one of the sounds that the package has captions of. Texts that are near a
class are left out. A margin is too low if captions of *other* classes have it,
too: the threshold is above `SHARE` of theirs. Nothing is heard for it.

>>> from afpt_plugin.backbones import load_clap
>>> from afpt_plugin.learners import Template
>>> clap = load_clap("mini")
>>> dog = Template().setup(clap, ["dog"])
>>> captions = {name: [f"{name} nearby"] for name in ("rain", "piano", "dog")}
>>> found = fit_rejection(clap, dog, dog.classes(clap), captions)
>>> found.texts
['rain', 'piano']
>>> heard = clap.encode_captions(["a dog barks", "piano music"]).whole
>>> found.rejects(found.margin(heard, dog.classes(clap)))
tensor([False,  True])

Authors
 * The afpt_plugin developers 2026
"""

from typing import NamedTuple

import torch

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

# Two texts are near if fewer of the pairs of sounds have a higher cosine.
NEAR = 0.01

BATCH_SIZE = 64


class Rejection(NamedTuple):
    """When a recording is none of the classes."""

    background: torch.Tensor  # [n_texts, D]
    texts: list  # what they say
    threshold: float  # below it, a margin is too low
    n_captions: int  # of other classes, behind the threshold

    def margin(self, whole, classes):
        """How much nearer a class is than the background, as cosines.

        Arguments
        ---------
        whole : torch.Tensor
            Clip or sentence embeddings, [B, D].
        classes : Classes
            Of the learner.

        Returns
        -------
        torch.Tensor
            [B], from -2 to 2.
        """
        own, other = (
            coarse_logits(whole.float(), each).max(1).values
            for each in (classes.coarse, self.background)
        )
        return own - other

    def rejects(self, margin):
        """Which margins [B] are those of none of the classes, [B]."""
        return margin < self.threshold

    def facts(self):
        """What was done, as JSON values."""
        return {
            "margin_below": self.threshold,
            "chosen_on": f"{self.n_captions} captions of other classes, "
            f"{SHARE:.0%} of which are rejected",
            "background": self.texts,
        }


def read_sounds():
    """Names of sounds to captions of them alone, of all that the package has."""
    sounds = {}
    for path in sorted(CAPTION_FOLDER.glob("*.csv")):
        for row in read_table(path, ("caption", "label")):
            if "|" not in row["label"]:
                sounds.setdefault(row["label"], []).append(row["caption"])
    return sounds


@torch.no_grad()
def fit_rejection(clap, learner, classes, sounds=None):
    """Choose the background and the threshold.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    learner : Learner
        Whose classes they are.
    classes : Classes
        From the learner.
    sounds : dict, optional
        Name to captions; by default `read_sounds`.

    Returns
    -------
    Rejection

    Raises
    ------
    InputError
        If the learner's classes do not lie among the texts, or no sound is left.
    """
    if not learner.embeds_classes:
        raise InputError(
            f"{type(learner).__name__} has no embedding of a class to compare "
            "with other sounds, so it cannot say that a recording is none of "
            "the classes; use the export of another method, or leave reject out"
        )
    sounds = read_sounds() if sounds is None else sounds
    names = list(sounds)
    words = Template().setup(clap, names + learner.class_names).embeddings
    words, untuned = words.float().split([len(names), len(learner.class_names)])
    pairs = coarse_logits(words, words)  # [n_sounds, n_sounds]
    different = ~torch.eye(len(names), dtype=torch.bool, device=pairs.device)
    limit = pairs[different].quantile(1 - NEAR, interpolation="higher")
    own = torch.cat([classes.coarse.float(), untuned])
    near = (coarse_logits(words, own) > limit).any(1)  # [n_sounds]
    far = [
        name for name, is_near in zip(names, near, strict=True) if not is_near
    ]
    if not far:
        raise InputError(
            "every sound that this package has captions of is near one of the "
            f"{len(learner.class_names)} classes, so that nothing is left to "
            "call none of these; leave reject out"
        )
    captions = [text for name in far for text in sounds[name][:N_CAPTIONS]]
    found = Rejection(words[~near], far, 0.0, len(captions))
    margins = [
        found.margin(
            clap.encode_captions(captions[n : n + BATCH_SIZE]).whole, classes
        )
        for n in range(0, len(captions), BATCH_SIZE)
    ]
    threshold = round(torch.cat(margins).quantile(SHARE).item(), 4)
    return found._replace(threshold=threshold)
