"""YAMNet: what 521 of AudioSet's labels say of every 0.96 s of a recording.

Google's network (https://github.com/tensorflow/models/tree/master/research/audioset/yamnet,
Apache-2.0), a MobileNet v1 over log-mel patches, in PyTorch. With the weights
that `recipes/MiniCLAP` reads out of TensorFlow's checkpoint, its scores are
TensorFlow's to 1e-4.

Authors
 * The afpt_plugin developers 2026
"""

import torch
from torch.nn.functional import pad

#: How many of AudioSet's 527 labels YAMNet scores.
N_SCORES = 521

#: What happens to a waveform before the convolutions (TensorFlow's YAMNet).
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
    """Waveforms to the log-mel patches of 0.96 s that YAMNet reads.

    A recording is filled up with zeros to a whole number of patches, and to
    one at least, as TensorFlow's YAMNet does; the level is left as it is.

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
        hop, window = (PREPROCESSING[k] for k in ("hop_length", "win_length"))
        self.patch_hop = PREPROCESSING["patch_hop_frames"] * hop
        self.patch_samples = (PREPROCESSING["patch_frames"] - 1) * hop + window
        self.register_buffer("window", torch.hann_window(window))
        self.register_buffer("mel_filters", mel_filters())

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
        # torch centers the window in the transform, TensorFlow puts it first:
        # the magnitudes are equal if the waveform begins so much later.
        edge = (PREPROCESSING["n_fft"] - len(self.window)) // 2
        wavs = pad(wavs, (edge, edge + n_needed - wavs.shape[1]))
        spectrum = torch.stft(
            wavs,
            PREPROCESSING["n_fft"],
            PREPROCESSING["hop_length"],
            len(self.window),
            self.window,
            center=False,
            return_complex=True,
        ).abs()  # [B, n_fft / 2 + 1, frames]
        mel = spectrum.transpose(1, 2) @ self.mel_filters  # [B, frames, 64]
        patches = torch.log(mel + PREPROCESSING["log_offset"]).unfold(
            1, PREPROCESSING["patch_frames"], PREPROCESSING["patch_hop_frames"]
        )  # [B, T, 64, 96]
        return patches.transpose(2, 3), n_patches


def mel_filters():
    """Triangles that are linear in mel, as TensorFlow's; torchaudio's are in Hz.

    Returns
    -------
    torch.Tensor
        [n_fft / 2 + 1, n_mels].

    Example
    -------
    >>> mel_filters().shape
    torch.Size([257, 64])
    """
    nyquist, n_bins = (
        PREPROCESSING["sample_rate"] / 2,
        PREPROCESSING["n_fft"] // 2 + 1,
    )

    def mel(hertz):
        """Frequencies on the mel scale."""
        return 1127.0 * torch.log1p(hertz / 700.0)

    bins = mel(torch.linspace(0, nyquist, n_bins, dtype=torch.float64))
    lowest, highest = (
        mel(torch.tensor(PREPROCESSING[k], dtype=torch.float64))
        for k in ("f_min", "f_max")
    )
    edges = torch.linspace(
        lowest, highest, PREPROCESSING["n_mels"] + 2, dtype=torch.float64
    )
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (center - left)
    falling = (right - bins[:, None]) / (right - center)
    return torch.minimum(rising, falling).clamp(min=0).float()


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


class YamNet(torch.nn.Module):
    """MobileNet v1 over log-mel patches: scores of 521 of AudioSet's labels.

    Batch norms are folded into the convolutions before them. Source:
    https://github.com/tensorflow/models/tree/master/research/audioset/yamnet

    Example
    -------
    >>> YamNet()(torch.zeros(2, 96, 64)).shape
    torch.Size([2, 521])
    """

    def __init__(self):
        super().__init__()
        convolution = torch.nn.Conv2d
        layers = [convolution(1, 32, 3, stride=2)]
        channels = 32
        for out, stride in SEPARABLE:
            layers.append(
                convolution(channels, channels, 3, stride, groups=channels)
            )
            layers.append(convolution(channels, out, 1))
            channels = out
        self.layers = torch.nn.ModuleList(layers)
        self.classifier = torch.nn.Linear(channels, N_SCORES)

    def forward(self, patches):
        """Score patches.

        Arguments
        ---------
        patches : torch.Tensor
            [N, 96, 64] (time, mel bands).

        Returns
        -------
        torch.Tensor
            Probabilities, [N, 521].
        """
        hidden = patches[:, None].contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            if layer.stride == (2, 2):
                # TensorFlow's SAME padding of an even size
                hidden = pad(hidden, (0, 1, 0, 1))
            elif layer.kernel_size == (3, 3):
                hidden = pad(hidden, (1, 1, 1, 1))
            hidden = layer(hidden).relu_()
        return self.classifier(hidden.mean((2, 3))).sigmoid()
