"""What only the training of mini-CLAP needs: captions, augmentation, the loss.

Authors
 * The afpt_plugin developers 2026
"""

import math
import random

import torch
import yaml

from afpt_plugin.errors import InputError
from afpt_plugin.similarity import coarse_logits, fine_logits


class CaptionBank:
    """Captions of every concept, worded by a small grammar.

    Arguments
    ---------
    path : str
        The captions file (YAML).
    """

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
        missing = {"grammar", "sounds", "distractors"} - set(content)
        if missing:
            raise InputError(f"{path}: no section {', '.join(sorted(missing))}")
        self.grammar = content["grammar"]
        self.sounds = content["sounds"]
        self.distractors = content["distractors"]

    @property
    def concepts(self):
        """Names of the generated sounds that have captions (list of str)."""
        return list(self.sounds)

    def sample(self, concept, rng):
        """Word one caption.

        Arguments
        ---------
        concept : str
            Name of a sound.
        rng : random.Random
            Source of randomness.

        Returns
        -------
        str
        """
        sound = self.sounds[concept]
        kind = rng.choice(["nouns", "clauses"])
        return self._fill(
            rng.choice(self.grammar[kind]),
            rng,
            x=rng.choice(sound[kind]),
            place=rng.choice(
                self.grammar["place"][rng.choice([sound["where"], "any"])]
            ),
        )

    def sample_many(self, n_captions, seed):
        """Word captions for all concepts, then list the distractors.

        Arguments
        ---------
        n_captions : int
            Captions for each concept.
        seed : int
            The same seed gives the same captions.

        Returns
        -------
        captions : list of list of str
            [n_concepts][n_captions].
        distractors : list of str
            Texts that no clip belongs to, in random wordings.
        """
        rng = random.Random(seed)
        captions = [
            [self.sample(concept, rng) for _ in range(n_captions)]
            for concept in self.concepts
        ]
        distractors = [
            self._fill(
                rng.choice(self.grammar["clauses"]),
                rng,
                x=text,
                place=rng.choice(self.grammar["place"]["any"]),
            )
            for text in self.distractors
        ]
        return captions, distractors

    def _fill(self, pattern, rng, **words):
        for slot, choices in self.grammar.items():
            if slot not in ("nouns", "clauses", "place"):
                words[slot] = rng.choice(choices)
        return pattern.format(**words)


class MelAugment(torch.nn.Module):
    """Make new recordings of log-mel features, all of a batch at once.

    In this order: stretch and shift in time and frequency, mix with another
    clip or let it follow, equalise, add noise, cut the end off, mask.

    Arguments
    ---------
    mix_prob : float
        Share of clips that get a second sound on top.
    follow_prob : float
        Share of clips whose second part is another sound.
    cut_prob : float
        Share of clips whose end becomes digital silence.
    noise_prob : float
        Share of clips that get noise.
    eq_db : float
        Largest boost of the equaliser.
    max_mask : list of int
        Widest masks over mel bands and frames.
    """

    def __init__(
        self,
        mix_prob=0.2,
        follow_prob=0.1,
        cut_prob=0.1,
        noise_prob=0.25,
        eq_db=6.0,
        max_mask=[6, 25],
    ):
        super().__init__()
        self.mix_prob = mix_prob
        self.follow_prob = follow_prob
        self.cut_prob = cut_prob
        self.noise_prob = noise_prob
        self.eq_db = eq_db
        self.max_mask = max_mask

    def forward(self, mel, targets):
        """Augment a batch.

        Arguments
        ---------
        mel : torch.Tensor
            In 0..1, 80 dB a unit, [B, n_mels, T].
        targets : torch.Tensor
            One-hot concepts, [B, n_concepts].

        Returns
        -------
        mel : torch.Tensor
            [B, n_mels, T].
        targets : torch.Tensor
            Rows sum to one; two-hot where two sounds were mixed.
        """
        n, n_mels, n_frames = mel.shape
        db = 80 * (self._warp(mel) - 1)
        power = 10 ** (db / 10)

        # Another clip at -10..+10 dB; it is named if it is not much weaker.
        other = torch.randperm(n)
        gain = 20 * torch.rand(n, 1, 1) - 10
        mixed = torch.rand(n, 1, 1) < self.mix_prob
        share = (0.5 + gain / 20).clamp(0, 1) * mixed
        together = power + mixed * 10 ** (gain / 10) * power[other]

        # Another clip afterwards, from somewhere in the middle on.
        begin = 0.3 + 0.4 * torch.rand(n, 1, 1)
        follows = ~mixed & (torch.rand(n, 1, 1) < self.follow_prob)
        late = torch.arange(n_frames) >= begin * n_frames
        power = torch.where(follows & late, power[other], together)
        share = torch.where(follows, 1 - begin, share)[:, 0]
        targets = (1 - share) * targets + share * targets[other]

        # A tilt and a slow wave over the mel bands.
        bands = torch.linspace(-1, 1, n_mels)[:, None]
        wave = torch.sin(3 * bands + 2 * math.pi * torch.rand(n, 1, 1))
        curve = torch.randn(n, 1, 1) * bands + torch.randn(n, 1, 1) * wave
        power = power * 10 ** (self.eq_db / 20 * curve.clamp(-2, 2) / 10)
        power = power / power.amax((1, 2), keepdim=True).clamp(min=1e-9)

        # Noise of a random slope, -65..-10 dB below the loudest.
        level = -65 + 55 * torch.rand(n, 1, 1) ** 1.5
        level = level + 12 * torch.randn(n, 1, 1) * bands
        grain = torch.empty(n, n_mels, n_frames).exponential_()
        noisy = torch.rand(n, 1, 1) < self.noise_prob
        power = power + noisy * grain * 10 ** (level / 10)
        power = power / power.amax((1, 2), keepdim=True).clamp(min=1e-9)
        mel = 1 + 10 * torch.log10(power.clamp(min=1e-8)) / 80

        frames = torch.arange(n_frames)
        cut = torch.rand(n, 1, 1) < self.cut_prob
        end = n_frames * (0.2 + 0.8 * torch.rand(n, 1, 1))
        mel = mel.masked_fill(cut & (frames >= end), 0.0)
        for size, width, where in (
            (n_mels, self.max_mask[0], torch.arange(n_mels)[:, None]),
            (n_frames, self.max_mask[1], frames),
        ):
            begin = size * torch.rand(n, 1, 1)
            length = width * torch.rand(n, 1, 1)
            masked = (where >= begin) & (where < begin + length)
            mel = mel.masked_fill(masked, 0.0)
        return mel, targets

    def _warp(self, mel):
        n = len(mel)
        rolled = torch.stack(
            [
                frames.roll(shift, -1)
                for frames, shift in zip(
                    mel,
                    torch.randint(mel.shape[-1], (n,)).tolist(),
                    strict=True,
                )
            ]
        )
        keep = torch.rand(n, 1, 1) < 0.5
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = 0.8 + 0.4 * torch.rand(n)  # tempo
        theta[:, 1, 1] = 0.94 + 0.12 * torch.rand(n)  # spacing of bands
        theta[:, 1, 2] = 0.12 * (2 * torch.rand(n) - 1)  # +-4 bands
        grid = torch.nn.functional.affine_grid(
            theta, [n, 1, *mel.shape[1:]], align_corners=False
        )
        return torch.nn.functional.grid_sample(
            torch.where(keep, mel, rolled)[:, None],
            grid,
            padding_mode="reflection",
            align_corners=False,
        )[:, 0]


class ContrastiveLoss(torch.nn.Module):
    """Recordings against a bank of one caption per concept, both ways.

    Frames are trained like the clip, through the fine logits that recipes use:
    then a frame says which sound is heard now.

    Arguments
    ---------
    temperature : float
        Start of the learned temperature.
    audio_weight : float
        Weight of recording-to-caption; caption-to-recording gets the rest.
    frame_weight : float
        Weight of the frames' loss beside the clip's 1.
    """

    def __init__(self, temperature=0.07, audio_weight=0.7, frame_weight=0.5):
        super().__init__()
        start = math.log(1 / temperature)
        self.log_scale = torch.nn.Parameter(torch.tensor([start]))
        self.audio_weight = audio_weight
        self.frame_weight = frame_weight

    def forward(self, audio, text, targets):
        """Compute the loss.

        Arguments
        ---------
        audio : AudioEmbeddings
            Of the clips, [B, D], and their frames, [B, T, D].
        text : torch.Tensor
            Caption embeddings, those of concepts first, [n_texts, D].
        targets : torch.Tensor
            Rows sum to one, [B, n_concepts].

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        n_concepts = targets.shape[1]
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        logits = coarse_logits(audio.clip, text, scale)
        present = targets.sum(0) > 0
        wanted = targets[:, present] / targets[:, present].sum(0)
        columns = logits[:, :n_concepts][:, present]
        by_text = -(wanted * columns.log_softmax(0)).sum(0).mean()
        loss = self.audio_weight * cross_entropy(logits, targets)
        loss = loss + (1 - self.audio_weight) * by_text
        if self.frame_weight:
            fine = fine_logits(audio.frames, audio.mask, text, scale)
            loss = loss + self.frame_weight * cross_entropy(fine, targets)
        return loss


def cross_entropy(logits, targets):
    """Cross entropy with soft targets for the first texts.

    Arguments
    ---------
    logits : torch.Tensor
        [B, n_texts].
    targets : torch.Tensor
        Rows sum to one, [B, n_concepts]; n_concepts <= n_texts.

    Returns
    -------
    torch.Tensor
        Scalar.
    """
    log_probs = logits.log_softmax(1)[:, : targets.shape[1]]
    return -(targets * log_probs).sum(1).mean()
