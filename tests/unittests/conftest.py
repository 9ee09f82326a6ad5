"""A tiny CLAP with real parts, so that tests are fast and need no download."""

import json
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from data_sets import SETS
from tokenizers.pre_tokenizers import ByteLevel
from transformers import BertConfig, BertModel, GPT2TokenizerFast

from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.backbones.text import BertTextEncoder
from afpt_plugin.learners import LabeledItems
from afpt_plugin.results import output, run

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] this is a sound of dog dogs barks loudly rain "
    "rains falls on the roof bell bells rings far away quiet old one two "
    "keeps small big and soft hard"
).split()


def make_bert_config(vocab_size, n_positions=32, initializer_range=0.5):
    """BERT of two layers; weights so wide that untrained words differ."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=n_positions,
        initializer_range=initializer_range,
    )


class TinyClap(FrozenClap):
    """A tiny BERT and frames of 80 samples."""

    constant_buffers = ("window",)

    def __init__(self, tokenizer, seed=0):
        super().__init__("tiny", sample_rate=800, preprocessing={"hop": 80})
        torch.manual_seed(seed)
        base = BertModel(make_bert_config(len(WORDS), 48, 0.2))
        self.caption_encoder = BertTextEncoder(
            base, torch.nn.Linear(32, 16), tokenizer, 16
        )
        self.audio = torch.nn.Linear(80, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.register_buffer("window", torch.ones(80))
        self.scale = torch.nn.Parameter(torch.tensor(2.6))
        self.freeze()

    @property
    def log_logit_scale(self):
        """The scale before the exponential."""
        return self.scale

    @torch.no_grad()
    def encode_audio(self, wavs, lens):
        """Frames of 80 samples, projected; the clip is their mean."""
        frames = wavs.unflatten(1, (-1, 80)) * self.window
        frames = self.norm(self.audio(frames).transpose(1, 2)).transpose(1, 2)
        mask = torch.ones(frames.shape[:2], dtype=torch.bool)
        return Embeddings(frames.mean(1), frames, mask)


@pytest.fixture(scope="session")
def bert_config(tokenizer):
    return make_bert_config(len(tokenizer))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """WordPiece over a few whole words."""
    from transformers import BertTokenizerFast

    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return BertTokenizerFast(str(path))


@pytest.fixture(scope="session")
def msclap():
    """Skip where msclap cannot be installed, see constraints-modern.txt."""
    if find_spec("msclap") is None:
        pytest.skip("msclap is not installed")


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    """GPT-2's byte alphabet without merges, as files; id 0 is ``!``."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokens = [*sorted(ByteLevel.alphabet()), "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture(scope="session")
def gpt2_tokenizer(gpt2_folder):
    files = [str(gpt2_folder / name) for name in ("vocab.json", "merges.txt")]
    return GPT2TokenizerFast(*files, pad_token="!")


@pytest.fixture(scope="session")
def make_clap(tokenizer):
    """Make tiny CLAPs that are alike, for fixtures that tests share."""
    return partial(TinyClap, tokenizer)


@pytest.fixture(scope="session")
def make_shots():
    """Draw labeled items around a mean for each class that has any."""

    def draw(counts, multi_label=False, seed=0, held_out=None, noise=0.3):
        """``counts`` says how many items each class has."""
        generator = torch.Generator().manual_seed(seed)
        means = torch.randn(
            len(counts), 16, generator=torch.Generator().manual_seed(9)
        )
        target = torch.eye(len(counts)).repeat_interleave(
            torch.tensor(counts), 0
        )  # [N, n_classes]
        if multi_label:  # every third has the next class, too
            target[::3] += target[::3].roll(1, 1)
        whole = target @ means  # [N, D]
        whole += noise * torch.randn(whole.shape, generator=generator) * 4
        return LabeledItems(whole, target, held_out, multi_label)

    return draw


@pytest.fixture
def no_figures(monkeypatch):
    """Runs that draw nothing, which takes longer than a tiny one's training."""
    for kind in ("training", "per_class", "reliability", "confusion"):
        for module in (output, run):
            name = f"plot_{kind}"
            monkeypatch.setattr(
                module, name, lambda *args, **_: None, raising=False
            )


@pytest.fixture
def clap(make_clap):
    """A fresh tiny CLAP."""
    return make_clap()


@pytest.fixture(params=SETS)
def dataset(request):
    """Each of the data sets."""
    return SETS[request.param]


@pytest.fixture
def root(dataset, tmp_path):
    """A tiny copy of the data set."""
    root = tmp_path / "data" / "set"
    dataset.write(root)
    return root


@pytest.fixture
def save(tmp_path):
    """Where the manifest goes."""
    return tmp_path / "save"
