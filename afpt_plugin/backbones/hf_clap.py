"""LAION's CLAPs and any other `ClapModel` of transformers (RoBERTa + HTSAT).

Both towers are transformers' own modules. They are loaded from a folder that
``save_pretrained`` of a `ClapModel` and of a `ClapProcessor` wrote, or from the
hub::

    clap = load_clap("laion/clap-htsat-unfused")
    clap = load_clap("laion", weights="folder/of/the/downloaded/repository")

Embeddings are those of ``get_text_features`` and ``get_audio_features``, not
normalized. Where transformers' feature extractor draws at random, fixed rules
apply instead, so a recording's embedding depends on the recording alone:

* A recording longer than a window (10 s) is not cropped. It is cut into
  consecutive windows, whose mean, weighted by their lengths, is projected to
  the clip embedding.
* A model that fuses (``-fused``) makes the clip embedding of a longer recording
  from the whole recording, shrunk to a window, and from three crops: the middle
  one of each third from which transformers draws. The frames are those of the
  windows, since fusion mixes times.
* A shorter recording is never fused, whereas transformers fuses one in every
  batch.

With ``:int16`` after a name, samples are rounded as LAION's own code does.

Authors
 * The afpt_plugin developers 2026
"""

import re
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.fetching import FetchFrom, FetchSource
from torch.nn.functional import interpolate, pad
from torch.nn.utils.rnn import pad_sequence

from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.backbones.text import BertTextEncoder, TextEncoder
from afpt_plugin.backbones.weights import (
    fetch_file,
    fill_from_checkpoint,
    no_init_weights,
    read_pth,
    read_safetensors,
)
from afpt_plugin.errors import InputError

#: Licenses according to the model cards. LAION's original files
#: (lukewys/laion_clap) are CC0-1.0.
LICENCES = {
    f"laion/{name}": "apache-2.0"
    for name in (
        *("clap-htsat-unfused", "clap-htsat-fused", "larger_clap_general"),
        *("larger_clap_music", "larger_clap_music_and_speech"),
    )
}

#: The files of a repository. The first file of a row that exists is used. The
#: weights come first, so that the others are fetched in the same version.
FILES = (
    ("model.safetensors", "pytorch_model.bin"),
    ("config.json",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json",),
)

#: The settings of the feature extractor that decide an embedding.
SETTINGS = (
    *("sampling_rate", "max_length_s", "padding", "truncation", "hop_length"),
    *("fft_window_size", "feature_size", "frequency_min", "frequency_max"),
)

#: The most tokens of a text in LAION's training.
MAX_TOKENS = 77

# Windows per pass of HTSAT; more are no faster on a CPU and take more memory.
CHUNK = 16

# With fewer, a GPU has to wait for Python.
GPU_CHUNK = 64


class RobertaTextEncoder(BertTextEncoder):
    """The RoBERTa of transformers' `ClapTextModel`: the context follows ``<s>``.

    Position ids begin after that of the padding. The sentence is ``<s>``; the
    words are all other positions, including ``</s>``.

    Arguments
    ---------
    base, projection, tokenizer, embed_dim
        See `TextEncoder`; ``projection`` begins with the tower's pooler.
    max_tokens : int
        The most tokens that the CLAP was trained with.
    """

    before_name = " "

    def __init__(self, base, projection, tokenizer, embed_dim, max_tokens):
        super().__init__(base, projection, tokenizer, embed_dim)
        self.max_tokens = max_tokens

    @property
    def max_length(self):
        """The most tokens that the tower was trained with and has room for."""
        config = self.base.config
        room = config.max_position_embeddings - config.pad_token_id - 1
        return min(self.max_tokens, room)

    _share = TextEncoder._share  # the authors embed twice in BERT only


class HfClap(FrozenClap):
    """A frozen `ClapModel`; use `load_hf_clap` to get one with weights.

    Words go through the same pooler and projection as ``<s>``. Frames are the
    columns of HTSAT's last feature map, averaged over frequency and projected,
    32 in a window. The clip embedding is the projection of the columns' mean.

    Arguments
    ---------
    model : transformers.ClapModel
        With its weights.
    tokenizer : transformers.PreTrainedTokenizerFast
        Its tokenizer.
    extractor : transformers.ClapFeatureExtractor
        Its feature extractor, of which only settings are used.
    name, licence : str
        Name and license of the checkpoint.
    int16 : bool
        Round samples to 16 bits.
    repo_id : str, optional
        The checkpoint's repository on the hub.
    """

    constant_buffers = (
        *("position_ids", "token_type_ids"),
        *("relative_position_index", "num_batches_tracked"),
    )

    def __init__(
        self,
        model,
        tokenizer,
        extractor,
        name,
        licence="unknown",
        int16=False,
        repo_id=None,
    ):
        config = model.config.audio_config
        settings = {key: getattr(extractor, key) for key in SETTINGS}
        fusion = "middles of thirds" if config.enable_fusion else None
        settings |= {"fusion": fusion, "int16": int16, "tokens": MAX_TOKENS}
        super().__init__(name, extractor.sampling_rate, settings)
        self.licence, self.repo_id = licence, repo_id
        text_model, self.audio_model = model.text_model, model.audio_model
        head = (text_model.pooler.dense, text_model.pooler.activation)
        text_model.pooler = None  # it would pool <s> alone
        self.caption_encoder = RobertaTextEncoder(
            text_model,
            torch.nn.Sequential(*head, model.text_projection),
            tokenizer,
            model.config.projection_dim,
            MAX_TOKENS,
        )
        self.audio_projection = model.audio_projection
        self.logit_scale_a = model.logit_scale_a
        self.logit_scale_t = model.logit_scale_t

        self.clip_seconds = extractor.max_length_s
        self.window_samples = extractor.nb_max_samples
        self.hop_length = extractor.hop_length
        self.n_mel_frames = self.window_samples // self.hop_length + 1
        filters = extractor.mel_filters_slaney
        if extractor.truncation == "fusion":
            filters = extractor.mel_filters
        # Double precision: the rounding errors of single precision are louder
        # than the upper bands of a recording that was resampled from a lower
        # rate.
        n_fft, double = extractor.fft_window_size, torch.double
        window = torch.hann_window(n_fft, dtype=double)
        self.register_buffer("stft_window", window, persistent=False)
        filters = torch.tensor(filters, dtype=double)  # [n_fft / 2 + 1, mels]
        self.register_buffer("mel_filters", filters, persistent=False)

        # HTSAT folds a spectrogram into the rows of a square image. Each stage
        # but the first halves the number of its columns.
        rows = config.spec_size // config.num_mel_bins
        self.image_columns = config.spec_size * rows
        stride = self.audio_model.audio_encoder.patch_stride[1]
        cell = stride * 2 ** (len(config.depths) - 1)
        self.frames_per_window = config.spec_size // cell * rows
        self.freeze()

    @property
    def log_logit_scale(self):
        """The scale of a recording's logits, before the exponential (tensor)."""
        return self.logit_scale_a

    @torch.no_grad()
    def encode_audio(self, wavs, lens):
        """Embed recordings of any length, see `FrozenClap.encode_audio`."""
        n_samples = (lens * wavs.shape[1]).round().long().clamp(min=1)
        wavs = wavs.float()
        if self.preprocessing["int16"]:
            wavs = (wavs.clamp(-1, 1) * 32767).trunc() / 32767
        lengths = n_samples.tolist()
        sigs = [wav[:n] for wav, n in zip(wavs, lengths, strict=True)]
        windows = [self._cut(sig) for sig in sigs]
        latents = self._latents(list(chain(*windows)))  # [W of all, T, C]
        latents = latents.split([len(own) for own in windows])
        clips = torch.stack(list(map(self._pool, sigs, windows, latents)))
        frames = [own.flatten(0, 1) for own in latents]
        frames = pad_sequence(frames, batch_first=True)  # [B, W * T, C]
        mask = self.mask_frames(n_samples, wavs.shape[1], frames.shape[1])
        project = self.audio_projection
        return Embeddings(project(clips), project(frames), mask)

    def frame_centers(self, n_samples, n_frames):
        """Return where frames lie: window after window.

        Arguments and result are those of `FrozenClap.frame_centers`.
        """
        width = self.image_columns / self.frames_per_window
        columns = (torch.arange(self.frames_per_window) + 0.5) * width - 0.5
        # HTSAT stretches a spectrogram so that its first and last frames are
        # the first and last columns of the image.
        stretch = (self.n_mel_frames - 1) / (self.image_columns - 1)
        n_windows = n_frames // self.frames_per_window
        starts = self.window_samples * torch.arange(n_windows)
        within = columns * stretch * self.hop_length
        return (starts[:, None] + within).flatten()

    def log_mel(self, sigs):
        """Compute transformers' log-mel features, in decibels.

        Signals [N, samples] give features [N, samples // hop + 1, mels].
        """
        n_fft = len(self.stft_window)
        sigs = pad(sigs.double()[:, None], [n_fft // 2] * 2, mode="reflect")
        frames = sigs[:, 0].unfold(1, n_fft, self.hop_length)  # [N, T, n_fft]
        # This takes half the time of `torch.stft` on a CPU.
        spectrum = torch.fft.rfft(frames * self.stft_window)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power @ self.mel_filters  # [N, T, mels]
        return 10 * mel.clamp(min=1e-10).log10().float()

    def _cut(self, sig):
        """Cut into consecutive windows; drop a rest shorter than a hop."""
        windows = list(sig.split(self.window_samples))
        if len(windows) > 1 and len(windows[-1]) < self.hop_length:
            windows.pop()
        return windows

    def _fill(self, sig):
        """Repeat and pad to one window, as the feature extractor does."""
        times, padding = 1, self.preprocessing["padding"]
        if padding.startswith("repeat"):
            times = self.window_samples // len(sig) + (padding == "repeat")
        sig = sig.repeat(times)[: self.window_samples]
        return pad(sig, (0, self.window_samples - len(sig)))

    def _latents(self, windows):
        """Compute HTSAT's last map, averaged over frequency, [N, T, C]."""
        found = []
        size = GPU_CHUNK if windows[0].is_cuda else CHUNK
        for start in range(0, len(windows), size):
            sigs = map(self._fill, windows[start : start + size])
            mels = self.log_mel(torch.stack(list(sigs)))[:, None]
            not_longer = mels.new_zeros(len(mels), 1)
            maps = self.audio_model(mels, not_longer).last_hidden_state
            found.append(maps.mean(2).transpose(1, 2))
        return torch.cat(found)

    def _pool(self, sig, windows, latents):
        """Compute what is projected to the clip embedding, [C]."""
        if len(windows) > 1 and self.preprocessing["fusion"]:
            mels = self._fuse(self.log_mel(sig[None])[0])
            return self.audio_model(mels, mels.new_ones(1, 1)).pooler_output[0]
        lengths = [float(len(window)) for window in windows]
        weights = latents.new_tensor(lengths) / sum(lengths)  # [W]
        return weights @ latents.mean(1)

    def _fuse(self, mel):
        """Shrink a recording's features [frames, mels] and add three crops."""
        size = self.n_mel_frames
        thirds = np.array_split(np.arange(len(mel) - size + 1), 3)
        starts = [
            third[len(third) // 2] if len(third) else 0 for third in thirds
        ]
        shrunk = interpolate(
            mel[None, None], (size, mel.shape[1]), mode="bilinear"
        )
        crops = [mel[start : start + size] for start in starts]
        return torch.stack([shrunk[0, 0], *crops])[None]  # [1, 4, frames, mels]


def load_hf_clap(source, weights=None, int16=False):
    """Load a `ClapModel` from the hub, its cache or a folder.

    Arguments
    ---------
    source : str
        ``user/name`` on the hub, or a folder.
    weights : str or pathlib.Path, optional
        A local copy of that repository: its folder, or the weights in it.
    int16 : bool
        Round samples to 16 bits, as LAION's own code does.

    Returns
    -------
    HfClap
        Frozen, in evaluation mode, on the CPU.

    Raises
    ------
    InputError
        If a file is missing and cannot be fetched, is damaged, or belongs to
        another kind of model.

    Example
    -------
    >>> load_hf_clap("laion/clap-htsat-unfused", weights="missing")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: laion/clap-htsat-unfused needs a folder of a ClapModel, ... but 'missing' does not exist; ...
    """
    path, folder = _find_files(source, weights)
    import transformers as hf

    try:
        settings, _ = hf.ClapConfig.get_config_dict(folder)
        kind = settings.get("model_type")
        if kind != "clap":
            raise ValueError(f"its model_type is {kind!r}")
        config = hf.ClapConfig.from_dict(settings)
        extractor = hf.ClapFeatureExtractor.from_pretrained(folder)
        tokenizer = hf.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"), padding_side="right"
        )
    except Exception as error:  # tokenizers raises nothing more specific
        raise InputError(
            f"{folder} is not a folder of a transformers ClapModel: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(
        config.text_config.pad_token_id
    )
    read = read_safetensors if path.suffix == ".safetensors" else read_pth
    with no_init_weights():
        model = hf.ClapModel(config)
    fill_from_checkpoint(model, read(path), path, HfClap.constant_buffers)
    return HfClap(
        model,
        tokenizer,
        extractor,
        # The slash lets `load_clap` tell a ClapModel from a misspelled name.
        ("" if "/" in source else "./") + source + ":int16" * int16,
        licence=LICENCES.get(source) or _read_licence(folder / "README.md"),
        int16=int16,
        repo_id=None if Path(source).exists() else source,
    )


def _find_files(source, weights):
    """Find the file of the weights, and the folder of all other files."""
    advice = (
        f"download the repository https://huggingface.co/{source} where there "
        "is a network and pass --weights FOLDER, or use the packaged model "
        "with --clap mini"
    )
    place = Path(weights or source)
    if place.exists():
        folder = place.parent if place.is_file() else place
        for names in FILES if place.is_dir() else FILES[1:]:
            found = [folder / name for name in names]
            found = [path for path in found if path.is_file()]
            if not found:
                raise InputError(
                    f"the folder {folder} lacks {' or '.join(names)}: write "
                    "it with save_pretrained of the ClapModel and of its "
                    "ClapProcessor, or download the whole repository"
                )
            if names == FILES[0]:
                place = found[0]
        return place, folder
    if weights is not None or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise InputError(
            f"{source} needs a folder of a ClapModel, the weights in one, or "
            f"a name on the hub (user/name), but {str(place)!r} does not "
            f"exist; {advice}"
        )
    advice = f"to use {source}, {advice}"
    found = [_fetch(names, source, advice) for names in FILES]
    return found[0], found[-1].parent


def _fetch(names, repo_id, advice):
    """Fetch the first of these files that the hub's cache, or the hub, has."""
    from huggingface_hub import errors, try_to_load_from_cache

    def is_cached(name):
        """Whether the hub's cache holds a file."""
        try:
            return isinstance(try_to_load_from_cache(repo_id, name), str)
        except errors.HFValidationError as error:
            raise InputError(
                f"{repo_id} is no folder, and cannot be the name of a "
                f"repository ({error})"
            ) from error

    source = FetchSource(FetchFrom.HUGGING_FACE, repo_id)
    names = list(filter(is_cached, names)) or names
    for name in names:
        try:
            return fetch_file(name, source, advice=advice)
        except InputError as error:
            absent = isinstance(error.__cause__, errors.EntryNotFoundError)
            if not absent or name == names[-1]:
                raise


def _read_licence(card):
    """Read the license from a model card's head, or return ``"unknown"``."""
    text = card.read_bytes().decode(errors="replace") if card.is_file() else ""
    head = text.partition("---")[2].partition("---")[0]
    found = re.search(r"^license:[\s\"'[-]*([\w.-]+)", head, re.MULTILINE)
    return found[1] if found else "unknown"
