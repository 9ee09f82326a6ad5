"""What `afpt classify` does with each recording: read, embed, score it.

Whatever goes wrong is the recording's own, so it has no embeddings here, and
`score` tries it again for the sake of the reason.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import suppress

import torch

from afpt_plugin.backbones.base import Embeddings

#: What `PromptedClassifier.flags` can say; a store holds a bit for each.
FLAGS = ("silent", "very short", "clipped", "channels inverted", "looped")


def load(classifier, path):
    """Read a recording, or open a long one; None if that fails."""
    with suppress(Exception):
        recording = classifier.open_recording(path)
        blocks = iter(recording)
        sig = next(blocks)
        if not recording.is_short:
            return recording, None
        list(blocks)  # what comes at the end: its checks, its flags
        return recording, sig


def embed(classifier, batch_size, batch):
    """Embed the windows of a batch of what `load` gave, as a store's items."""
    found = {}

    def encode(places):
        """Encode recordings together, or each alone if that fails."""
        sigs = [batch[place] for place in places]
        sigs = [recording if sig is None else sig for recording, sig in sigs]
        try:
            windows = classifier.encode_windows(sigs, batch_size)
        except Exception:  # `score` will say why
            for place in places if len(places) > 1 else ():
                encode([place])
        else:
            found.update(zip(places, windows, strict=True))

    whole = [n for n, one in enumerate(batch) if one and one[1] is not None]
    if whole:
        encode(whole)
    for place, one in enumerate(batch):
        if one and one[1] is None:
            encode([place])
    empty = torch.empty(0)
    nothing = Embeddings(empty, empty, empty.bool())
    items = []
    for place, one in enumerate(batch):
        n_samples, flags = 0, []
        if place in found:
            n_samples, flags = one[0].n_samples, classifier.flags(one[0])
        bits = sum(1 << FLAGS.index(flag) for flag in flags)
        facts = {"n_samples": n_samples, "flags": bits}
        facts = {name: torch.tensor([value]) for name, value in facts.items()}
        items.append({**found.get(place, nothing)._asdict(), **facts})
    return items


def score(classifier, path, item):
    """Score a recording's windows, or raise why it has none; and its flags.

    Returns
    -------
    RecordingScores
    list of str
        Of `FLAGS`.
    """
    if len(item["whole"]) == 0:
        # What could not be read then may be readable now.
        recording = classifier.open_recording(path)
        (found,) = classifier.score_recordings([recording])
        return found, classifier.flags(recording)
    windows = Embeddings(item["whole"], item["parts"], item["mask"])
    found = classifier.score_windows(item["n_samples"].item(), windows)
    bits = item["flags"].item()
    return found, [flag for n, flag in enumerate(FLAGS) if bits >> n & 1]
