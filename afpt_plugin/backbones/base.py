"""The interface of a frozen CLAP: what every learner, store and recipe sees.

A backbone is two frozen towers, text and audio, that end in the same
``embed_dim``-dimensional space. `FrozenClap` fixes four verbs:
``encode_captions``, ``encode_audio``, ``tokenize_class_names`` and
``encode_prompts``. Only the last is differentiable, and only in ``ctx``.
Embeddings are not normalized after the projection; only
`afpt_plugin.similarity` normalizes them.

To add a backbone, subclass `FrozenClap`, build ``caption_encoder`` (see
`afpt_plugin.backbones.text`) and ``encode_audio``, call `freeze` last, and name
it in ``afpt_plugin.backbones.BACKBONES``.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import torch
from speechbrain.utils.logger import get_logger

from afpt_plugin.errors import InputError

logger = get_logger(__name__)

# The upper bound on the exponentiated scale in CLAP's training.
MAX_LOGIT_SCALE = 100.0


class Embeddings(NamedTuple):
    """A batch of captions or of recordings, projected and not normalized.

    Code that takes one need not know which of the two it is.
    """

    whole: torch.Tensor  #: A caption's sentence or a recording's clip, [B, D].
    parts: torch.Tensor  #: Its words or its frames, [B, T, D].
    mask: torch.Tensor  #: True where a part is real, not padding, [B, T].


class ClassTokens(NamedTuple):
    """Tokenized class names, padded to the longest of them."""

    input_ids: torch.Tensor  #: With the tower's special tokens, [n_classes, L].
    attention_mask: torch.Tensor  #: 1 at a token, 0 at padding, [n_classes, L].

    def to(self, device):
        """Return the same tokens on a device."""
        return ClassTokens(*(tensor.to(device) for tensor in self))


class FrozenClap(torch.nn.Module):
    """A CLAP whose parameters and buffers never change.

    Keep it out of a Brain's ``modules``: it must not be trained, checkpointed
    or put into training mode. As a second safety, ``train()`` leaves it in
    evaluation mode.

    Arguments
    ---------
    name : str
        Its name in `load_clap`.
    sample_rate : int
        Rate of the waveforms that `encode_audio` takes, in Hz.
    preprocessing : dict
        All that decides the embeddings besides the weights (window, mel
        settings, ...), as JSON values; part of the fingerprint.
    """

    #: A `afpt_plugin.backbones.text` encoder, set by the subclass.
    caption_encoder: torch.nn.Module

    #: License of the weights, for anyone who passes on what was made with them.
    licence = "unknown"

    #: Repository of the weights on the hub, if there is one.
    repo_id = None

    #: How far recordings' logits are from captions' (`calibration.Gap`), if
    #: this was measured. Without it, temperatures are fitted on text alone.
    gap = None

    #: Suffixes of the names of buffers that are computed, not learned. Their
    #: values may differ between library versions, so they neither have to be in
    #: a checkpoint nor count toward the fingerprint.
    constant_buffers = ()

    def __init__(self, name: str, sample_rate: int, preprocessing: dict):
        super().__init__()
        self.name = name
        self.sample_rate = sample_rate
        self.preprocessing = preprocessing

    def freeze(self):
        """Stop gradients and dropout for good; constructors call this last."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode=True):
        """Stay in evaluation mode, whatever ``mode`` says."""
        return super().train(False)

    def label_dropout(self, enabled=True):
        """Turn on the text tower's dropout inside a ``with`` block.

        The authors' code trains with dropout on the label path and encodes
        captions without it, so captions must not be encoded inside the block.
        If ``enabled`` is False, nothing changes.
        """
        return self.caption_encoder.dropout(enabled)

    @property
    def device(self) -> torch.device:
        """Where the towers are (torch.device)."""
        return next(self.parameters()).device

    @property
    def embed_dim(self) -> int:
        """Size D of the joint space."""
        return self.caption_encoder.embed_dim

    @property
    def token_dim(self) -> int:
        """Size d of a token embedding, and so of a context vector."""
        return self.caption_encoder.token_dim

    @property
    def logit_scale(self) -> float:
        """The exponentiated scale of the logits, at most 100 (float)."""
        return min(float(self.log_logit_scale.exp()), MAX_LOGIT_SCALE)

    @property
    def log_logit_scale(self):
        """The checkpoint's own scale, before the exponential (tensor)."""
        raise NotImplementedError

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and the preprocessing (64 hex digits)."""
        settings = json.dumps(self.preprocessing, sort_keys=True)
        digest = hashlib.sha256(settings.encode())
        for key, tensor in sorted(self.state_dict().items()):
            if not key.endswith(self.constant_buffers):
                digest.update(key.encode())
                array = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(array.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @torch.no_grad()
    def encode_captions(
        self, captions: Sequence[str], pad_to: int | None = None
    ) -> Embeddings:
        """Embed captions.

        Arguments
        ---------
        captions : list of str
            N texts.
        pad_to : int, optional
            Pad (and cut) to this many tokens, as the authors do; by default
            to the longest caption of the batch.

        Returns
        -------
        Embeddings
            ``whole`` [N, D], ``parts`` [N, T, D], ``mask`` [N, T].
        """
        tokens = self.caption_encoder.tokenize(captions, pad_to)
        return self.caption_encoder.encode(tokens.to(self.device))

    def tokenize_class_names(self, class_names: Sequence[str]) -> ClassTokens:
        """Tokenize class names, padded to the longest; return `ClassTokens`."""
        tokens = self.caption_encoder.tokenize_class_names(class_names)
        return tokens.to(self.device)

    def check_class_names(self, class_names: Sequence[str]) -> None:
        """Refuse class names that this CLAP cannot tell apart or read.

        It warns about names that the tokenizer hardly knows.

        Raises
        ------
        InputError
            If two names have the same tokens, or a name has too many.
        """
        encoder, first = self.caption_encoder, {}
        texts = [encoder.before_name + name for name in class_names]
        lengths = encoder.count_tokens(texts)
        for name, length in zip(class_names, lengths, strict=True):
            if length > encoder.max_length:
                raise InputError(
                    f"the class name {name!r:.80} has {length} tokens, but the "
                    f"text tower takes at most {encoder.max_length}; shorten it"
                )
        ids, mask = encoder.tokenize(texts)
        for name, own, real in zip(class_names, ids, mask, strict=True):
            other = first.setdefault(tuple(own[real.bool()].tolist()), name)
            if other != name:
                raise InputError(
                    f"the class names {other!r} and {name!r} are the same to "
                    f"the tokenizer of {self.name}, so nothing could tell them "
                    "apart; use other words for one of the two"
                )
        shares = encoder.share_unknown(class_names)
        for name, share in zip(class_names, shares, strict=True):
            if share >= 0.5:
                logger.warning(
                    "the tokenizer of %s does not know most of the class name "
                    "%r; use other words",
                    *(self.name, name),
                )

    def embed_words(self, text: str) -> torch.Tensor:
        """Return a text's token embeddings, [n, d], to initialize a context.

        Special tokens are not included.
        """
        return self.caption_encoder.embed_words(text)

    def encode_prompts(
        self,
        ctx: torch.Tensor,
        class_tokens: ClassTokens,
        embed_twice: bool = False,
        classes_per_chunk: int | None = None,
    ) -> torch.Tensor:
        """Embed class names after a context; differentiable in ``ctx`` only.

        Arguments
        ---------
        ctx : torch.Tensor
            [n_ctx, d]; or several contexts at once, [K, n_ctx, d]; or several
            for each class, [K, n_classes, n_ctx, d].
        class_tokens : ClassTokens
            From `tokenize_class_names`.
        embed_twice : bool
            Embed class names with BERT's whole embedding layer, and pass the
            prompt through it again, as the authors' code does. Positions, types
            and layer norm then apply twice.
        classes_per_chunk : int, optional
            Recompute activations in the backward pass, in chunks of this many
            classes; by default, only if memory is short, see
            `TextEncoder.encode_prompts`.

        Returns
        -------
        torch.Tensor
            [n_classes, D], or [K, n_classes, D]; float32 even under autocast.

        Raises
        ------
        InputError
            If a prompt is too long for the tower, the tower does not support
            ``embed_twice``, or the contexts do not match the number of classes.
        """
        contexts = ctx[None] if ctx.dim() == 2 else ctx
        embeddings = self.caption_encoder.encode_prompts(
            contexts, class_tokens, embed_twice, classes_per_chunk
        )
        return embeddings[0] if ctx.dim() == 2 else embeddings

    def encode_audio(
        self, wavs: torch.Tensor, lens: torch.Tensor
    ) -> Embeddings:
        """Embed recordings.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono waveforms at ``sample_rate``, [B, samples].
        lens : torch.Tensor
            Relative lengths, [B], 1 for the longest.

        Returns
        -------
        Embeddings
            ``whole`` [B, D], ``parts`` [B, T, D], ``mask`` [B, T].
        """
        raise NotImplementedError

    def mask_frames(self, n_real, n_samples, n_frames):
        """Return True where a frame's center is within a recording, [B, T].

        Waveforms of ``n_samples`` samples have ``n_frames`` frames each;
        ``n_real``, [B], is how many samples of each are real. A recording keeps
        at least one frame, since a softmax over its frames needs one.
        """
        # Python does not wait for this copy, since a GPU is still busy with the
        # tower.
        centers = self.frame_centers(n_samples, n_frames)
        mask = centers.to(n_real.device, non_blocking=True) < n_real[:, None]
        mask[:, 0] = True
        return mask

    def frame_centers(self, n_samples: int, n_frames: int) -> torch.Tensor:
        """Return where frames lie; by default, they are spread evenly.

        `encode_audio` made ``n_frames`` frames of waveforms of ``n_samples``
        samples. The result holds the frames' centers in samples, in the order
        of the frames, [T].
        """
        return (torch.arange(n_frames) + 0.5) * n_samples / n_frames
