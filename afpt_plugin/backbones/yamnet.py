"""YAMNet: scores of 521 AudioSet labels for every 0.96 s of a recording.

Google's network
(https://github.com/tensorflow/models/tree/master/research/audioset/yamnet,
Apache-2.0), a MobileNet v1 over log-mel patches, in PyTorch. With the weights
that `recipes/MiniCLAP` reads out of TensorFlow's checkpoint, its scores equal
TensorFlow's to 1e-4.

Authors
 * The afpt_plugin developers 2026
"""

from types import SimpleNamespace

import torch
from torch.nn import Conv2d
from torch.nn.functional import pad

#: How many of AudioSet's 527 labels YAMNet scores.
N_SCORES = 521

#: The preprocessing of a waveform, as in TensorFlow's YAMNet.
PREPROCESSING = {
    "sample_rate": 16000,
    "n_fft": 512,
    "win_length": 400,
    "hop_length": 160,
    "n_mels": 64,
    "f_min": 125.0,
    "f_max": 7500.0,
    "log_offset": 0.001,
    "patch_frames": 96,
    "patch_hop_frames": 48,
}
_SET = SimpleNamespace(**PREPROCESSING)

# Output channels and stride of YAMNet's depthwise separable convolutions.
SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


class LogMelPatches(torch.nn.Module):
    """Turn waveforms into the log-mel patches of 0.96 s that YAMNet reads.

    A recording is padded with zeros to a whole number of patches, at least one,
    as in TensorFlow's YAMNet. Its level is left as it is.

    Example
    -------
    >>> patches, n_patches = LogMelPatches()(
    ...     torch.randn(2, 32000), torch.tensor([1, 0.5])
    ... )
    >>> patches.shape, n_patches.tolist()
    (torch.Size([2, 4, 96, 64]), [4, 2])
    """

    def __init__(self):
        super().__init__()
        hop, window = _SET.hop_length, _SET.win_length
        self.patch_hop = _SET.patch_hop_frames * hop
        self.patch_samples = (_SET.patch_frames - 1) * hop + window
        self.register_buffer("window", torch.hann_window(window))
        self.register_buffer("mel_filters", _mel_filters())

    def forward(self, wavs, lens):
        """Compute the patches.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono waveforms at 16 kHz, [B, samples].
        lens : torch.Tensor
            Relative lengths, [B].

        Returns
        -------
        patches : torch.Tensor
            [B, T, 96, 64] (time, mel bands).
        n_patches : torch.Tensor
            Real patches of each recording, [B].
        """
        n_samples = (lens.to(wavs.device) * wavs.shape[1]).round().long()
        wavs = wavs * length_mask(n_samples, wavs.shape[1])
        beyond = (n_samples - self.patch_samples).clamp(min=0)
        n_patches = 1 + (beyond + self.patch_hop - 1) // self.patch_hop
        longest = int(n_patches.max())
        n_needed = (longest - 1) * self.patch_hop + self.patch_samples
        # torch centers the window in the transform, while TensorFlow puts it
        # first. The magnitudes are equal if the waveform begins later by the
        # difference.
        edge = (_SET.n_fft - len(self.window)) // 2
        wavs = pad(wavs, (edge, edge + n_needed - wavs.shape[1]))
        spectrum = torch.stft(
            wavs,
            _SET.n_fft,
            _SET.hop_length,
            len(self.window),
            self.window,
            center=False,
            return_complex=True,
        ).abs()  # [B, n_fft / 2 + 1, frames]
        mel = spectrum.transpose(1, 2) @ self.mel_filters  # [B, frames, 64]
        patches = torch.log(mel + _SET.log_offset)
        sizes = _SET.patch_frames, _SET.patch_hop_frames
        patches = patches.unfold(1, *sizes)  # [B, T, 64, 96]
        return patches.transpose(2, 3), n_patches


def _mel_filters():
    """Make triangles that are linear in mel; torchaudio's are linear in Hz."""
    double, n_bins = torch.double, _SET.n_fft // 2 + 1
    hertz = torch.linspace(0, _SET.sample_rate / 2, n_bins, dtype=double)
    ends = torch.tensor([_SET.f_min, _SET.f_max], dtype=double)
    bins, (lowest, highest) = (
        1127.0 * torch.log1p(x / 700.0) for x in (hertz, ends)
    )
    edges = torch.linspace(lowest, highest, _SET.n_mels + 2, dtype=double)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (center - left)
    falling = (right - bins[:, None]) / (right - center)
    # [n_fft / 2 + 1, n_mels]
    return torch.minimum(rising, falling).clamp(min=0).float()


def length_mask(lengths, longest):
    """True at the first ``lengths[i]`` of ``longest`` positions, [B, longest]."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


class YamNet(torch.nn.Module):
    """MobileNet v1 over log-mel patches: scores of 521 of AudioSet's labels.

    Batch norms are folded into the convolutions before them.

    Example
    -------
    >>> YamNet()(torch.zeros(2, 96, 64)).shape
    torch.Size([2, 521])
    """

    def __init__(self):
        super().__init__()
        layers, channels = [Conv2d(1, 32, 3, stride=2)], 32
        for out, stride in SEPARABLE:
            layers.append(
                Conv2d(channels, channels, 3, stride, groups=channels)
            )
            layers.append(Conv2d(channels, out, 1))
            channels = out
        self.layers = torch.nn.ModuleList(layers)
        self.classifier = torch.nn.Linear(channels, N_SCORES)

    def forward(self, patches):
        """Return the probabilities [N, 521] of patches [N, 96, 64]."""
        hidden = patches[:, None].contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            if layer.stride == (2, 2):
                # This is TensorFlow's SAME padding of an even size.
                hidden = pad(hidden, (0, 1, 0, 1))
            elif layer.kernel_size == (3, 3):
                hidden = pad(hidden, (1, 1, 1, 1))
            hidden = layer(hidden).relu_()
        return self.classifier(hidden.mean((2, 3))).sigmoid()
