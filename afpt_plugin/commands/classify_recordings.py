"""Read, embed and score each recording for `afpt classify`.

An error in one recording does not affect the others.

Authors
 * The afpt_plugin developers 2026
"""

import torch

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.data import audio, gpu_encoding
from afpt_plugin.data.store import FeatureStore

#: All flags of `PromptedClassifier.flags`; a store holds one bit for each.
FLAGS = (*audio.FLAGS, "looped")
# Number of recordings in a shard of a store.
SHARD = 128


def load(classifier, path):
    """Read a recording, or open a long one; return any exception.

    Returns
    -------
    tuple of Recording and torch.Tensor or None, or Exception
    """
    try:
        recording = classifier.open_recording(path)
        blocks = iter(recording)
        sig = next(blocks)
        if not recording.is_short:
            return recording, None
        list(blocks)  # completes the checks and flags at the end
        return recording, sig
    except Exception as error:  # whatever it is, it is this file's
        return error


def open_store(classifier, folder):
    """Open the store that keeps embeddings for other classes and options."""
    export, clap = classifier.hparams.export, classifier.mods.clap
    settings = {"kind": "windows", "flags": FLAGS}
    for name in ("clip_seconds", "channels"):
        settings[name] = getattr(export, name)
    settings |= gpu_encoding.arithmetic(clap.device)
    return FeatureStore(folder, clap.fingerprint, settings)


class Scorer:
    """Scores batches of results of `load`; one bad recording harms no other.

    Arguments
    ---------
    classifier : PromptedClassifier
        The classifier.
    batch_size : int
        Windows encoded at once.
    frames : bool
        Whether to score frames, too.
    store : FeatureStore, optional
        Keeps the embeddings of recordings that are read in one block.
    rank : int
        Rank of the process.
    reject : bool
        Whether to compute margins, too.
    """

    def __init__(
        self, classifier, batch_size, frames, store=None, rank=0, reject=False
    ):
        self.classifier, self.batch_size = classifier, batch_size
        self.frames, self.store, self.rank = frames, store, rank
        self.reject = reject
        self._pending = []

    def __call__(self, keys, batch):
        """Score a batch.

        Arguments
        ---------
        keys : list of str
            Keys of the recordings' embeddings.
        batch : list
            The result of `load` for each, or None if it is in the store.

        Returns
        -------
        list of tuple of RecordingScores and list of str, or of Exception
            The scores and the flags of each, or the reason for its failure.
        """
        found = list(batch)
        whole = [n for n, one in enumerate(batch) if _is_whole(one)]
        self._encode(keys, batch, whole, found)
        for place, one in enumerate(batch):
            if place in whole or isinstance(one, Exception):
                continue
            try:
                found[place] = (
                    self._from_store(keys[place])
                    if one is None
                    else self._alone(one[0])
                )
            except Exception as error:  # whatever it is, it is this file's
                found[place] = error
        return found

    def _encode(self, keys, batch, places, found):
        """Encode recordings together, or each alone if that fails."""
        try:
            windows = self.classifier.encode_windows(
                [batch[place][1] for place in places], self.batch_size
            )
        except Exception as error:  # whatever it is, it is some file's
            for place in places if len(places) > 1 else ():
                self._encode(keys, batch, [place], found)
            if len(places) == 1:
                found[places[0]] = error
            return
        for place, embeddings in zip(places, windows, strict=True):
            recording, _ = batch[place]
            flags = self.classifier.flags(recording)
            n_samples = recording.n_samples
            try:
                scores = self._score(n_samples, embeddings)
            except Exception as error:  # whatever it is, it is this file's
                found[place] = error
                continue
            found[place] = scores, flags
            if self.store is not None:
                bits = sum(1 << FLAGS.index(flag) for flag in flags)
                facts = {"n_samples": n_samples, "flags": bits}
                facts = {k: torch.tensor([v]) for k, v in facts.items()}
                item = {**embeddings._asdict(), **facts}
                self._pending.append((keys[place], item))
        if len(self._pending) >= SHARD:
            self.flush()

    def _score(self, n_samples, windows):
        return self.classifier.score_windows(
            n_samples, windows, self.frames, self.reject
        )

    def _alone(self, recording):
        """Score a long recording block by block."""
        scores = self.classifier.score_recordings(
            [recording], self.batch_size, self.frames, self.reject
        )
        return scores[0], self.classifier.flags(recording)

    def _from_store(self, key):
        item = self.store[key]
        windows = Embeddings(item["whole"], item["parts"], item["mask"])
        bits = item["flags"].item()
        flags = [flag for n, flag in enumerate(FLAGS) if bits >> n & 1]
        return self._score(item["n_samples"].item(), windows), flags

    def flush(self):
        """Write pending embeddings to the store."""
        if self._pending:
            self.store.add(self._pending, self.rank)
            self._pending = []


def _is_whole(one):
    return isinstance(one, tuple) and one[1] is not None
