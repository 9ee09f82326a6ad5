"""What tests of all modules share: tables of cases, refusals, unit vectors."""

import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.errors import InputError


def cases(names, *rows, **options):
    """Parametrize a test, as in ``@cases("text, fact", ("", "empty"))``."""
    return pytest.mark.parametrize(names, rows, **options)


def refused(*facts):
    """Expect an InputError that names all of these, in any order."""
    pattern = "".join(f"(?=.*{re.escape(str(fact))})" for fact in facts)
    return pytest.raises(InputError, match=f"(?s){pattern}")


def refusal(function, *arguments, **options):
    """The message with which a call is refused."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def unit(rows):
    """Rows of norm 1, in double precision."""
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def as_bytes(entry):
    """An item of a store, so that -0.0 is not 0.0."""
    return {k: (v.shape, v.numpy().tobytes()) for k, v in entry.items()}


def logits_of(clap, learner, whole):
    """What a learner of whole recordings says, [B, n_classes]."""
    item = Embeddings(whole, None, None)
    logits = learner(item, learner.classes(clap))
    assert list(logits) == ["coarse"]
    return logits["coarse"]


def check_choice(clap, shots, learner, grids, independent):
    """The best of all pairs on held-out items is chosen, and used.

    ``independent`` gives the logits of items for a pair.
    """
    learner.setup(clap, ["dog", "rain", "bell"], shots)
    whole, target = shots.held_out.whole, shots.held_out.target.numpy()

    def score(pair):
        """Accuracy, and the mean log-likelihood."""
        logits = independent(shots, whole, *pair)
        found = np.log(np.exp(logits).sum(1)) - (logits * target).sum(1)
        return (logits.argmax(1) == target.argmax(1)).mean(), -found.mean()

    best = max(itertools.product(*grids.values()), key=score)
    chosen = dict(zip(grids, best, strict=True))
    rule = f"{len(whole)} held-out items"
    assert learner.chosen == {**chosen, "rule": rule}
    expected = independent(shots, torch.eye(16), *best)
    found = logits_of(clap, learner, torch.eye(16))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def check_defaults(clap, make_shots, kind, grids, defaults):
    """The first setting is given or both are chosen, if there are items."""
    names, (first, second) = ["dog", "rain", "bell"], grids
    learner = kind(**{first: 2}).setup(clap, names, make_shots([3, 3, 2]))
    assert learner.chosen[first] == 2.0
    assert learner.chosen[second] in grids[second]
    assert learner.chosen["rule"].startswith("2-fold cross-validation")
    learner = kind().setup(clap, names, make_shots([1, 1, 0]))
    rule = "default, since no class has an item to spare"
    assert learner.chosen == {**defaults, "rule": rule}
    assert all(value in grids[name] for name, value in defaults.items())


class FakeClap:
    """Embeddings that tell what they were made of."""

    fingerprint = "fake"
    device = torch.device("cpu")
    sample_rate = 4
    embed_dim = 2

    def __init__(self):
        self.calls = []
        self.caption_encoder = SimpleNamespace(
            tokenize=self._tokenize,
            count_tokens=lambda texts: [len(text.split()) for text in texts],
            max_length=7,
        )

    def _tokenize(self, texts, pad_to=None):
        """A token is a word."""
        sizes = torch.tensor([len(text.split()) for text in texts])
        mask = torch.arange(pad_to or sizes.max()) < sizes[:, None]
        return SimpleNamespace(attention_mask=mask.long())

    def encode_captions(self, captions, pad_to=None):
        """A word is its number of letters; padding is -1."""
        assert not torch.is_grad_enabled()
        self.calls.append(captions)
        rows = [[float(len(w)) for w in text.split()] for text in captions]
        size = pad_to or max(map(len, rows))
        words = torch.full((len(rows), size, 2), -1.0)
        for row, target in zip(rows, words, strict=True):
            row = row[:size]
            target[: len(row)] = torch.tensor(row)[:, None]
        sentence = torch.tensor([[len(text), 0.0] for text in captions])
        return sentence, words, words[..., 0] >= 0

    def encode_audio(self, wavs, lens):
        """A frame is two samples; the clip is the sum, twice."""
        assert not torch.is_grad_enabled()
        self.calls.append(wavs)
        n_frames = (lens * wavs.shape[1]).round().long() // 2
        frames = wavs.unfold(1, 2, 2)
        mask = torch.arange(frames.shape[1]) < n_frames[:, None]
        return wavs.sum(1, keepdim=True).repeat(1, 2), frames, mask
