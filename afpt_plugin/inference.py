"""Tuned prompts as a classifier of recordings, in three lines.

A run leaves an ``export/`` folder behind (here one is made without training):

>>> from afpt_plugin.export import write_export
>>> from afpt_plugin.learners import PromptLearner, Template
>>> from afpt_plugin.task import Task
>>> clap, task = load_clap("mini"), Task("Sounds", ["dog", "rain", "bells"])
>>> learner = PromptLearner(ctx_init="this is a sound of")
>>> source = write_export(
...     getfixture("tmp_path"), clap, learner.setup(clap, task.class_names),
...     task, Template())

The three lines:

>>> from afpt_plugin.inference import PromptedClassifier
>>> classifier = PromptedClassifier.from_hparams(source)
>>> wavs = torch.randn(2, 5 * classifier.sample_rate)
>>> out_prob, score, index, text_lab = classifier.classify_batch(wavs)
>>> out_prob.exp().shape, len(text_lab)
(torch.Size([2, 3]), 2)

`PromptedClassifier.classify_file` takes files of any length, rate and number
of channels, and `PromptedClassifier.frame_scores` says when a class is heard.
The same contexts serve classes that they were not tuned on:

>>> classifier.with_class_names(["wind", "a siren"]).classify_batch(wavs)[0].shape
torch.Size([2, 2])

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import os
import re
from typing import NamedTuple

import torch
from speechbrain.dataio.preprocess import AudioNormalizer
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import FetchConfig, LocalStrategy

from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.weights import fetch_file
from afpt_plugin.data.audio import fit_length, load_recording
from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.results.output import primary_head
from afpt_plugin.similarity import coarse_logits, ensemble_logits

# Windows encoded at once.
BATCH_SIZE = 8

# What cannot be a repository of the hub need not be asked for there.
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Scores(NamedTuple):
    """What SpeechBrain's classifiers return, in their order.

    Arguments
    ---------
    out_prob : torch.Tensor
        [B, n_classes]. Of a single-label classifier, the log posteriors: the
        log softmax of the ensemble logits. Of a multi-label one, the ensemble
        logits as they are: their order is what was trained, on the bare
        cosine, so that a sigmoid would not make probabilities of them.
    score : torch.Tensor
        The best of ``out_prob``, [B], or the best k, [B, k].
    index : torch.Tensor
        Their classes, [B] or [B, k].
    text_lab : list
        Their names: B texts, or B lists of k.
    """

    out_prob: torch.Tensor
    score: torch.Tensor
    index: torch.Tensor
    text_lab: list


class FrameScores(NamedTuple):
    """The fine logits of a recording over time.

    Where a backbone hears nothing (mini-CLAP: digital silence), there is no
    frame.

    Arguments
    ---------
    logits : torch.Tensor
        Cosine of every frame with every class, times ``logit_scale``,
        [T, n_classes]. The fine logit of a window is their mean, weighted
        towards its best frames.
    start : torch.Tensor
        Where a frame begins, in seconds from the recording's start, [T].
    centre : torch.Tensor
        Its middle, ascending, [T].
    """

    logits: torch.Tensor
    start: torch.Tensor
    centre: torch.Tensor


class RecordingScores(NamedTuple):
    """All logits of one recording, cut into W windows.

    Arguments
    ---------
    seconds : float
        Length of the recording.
    start : torch.Tensor
        Where the windows begin, in seconds, [W].
    weight : torch.Tensor
        Share of the recording that a window has and none before it, [W].
    logits : torch.Tensor
        Ensemble logits, [W, n_classes].
    frames : FrameScores
        Over the whole recording.
    """

    seconds: float
    start: torch.Tensor
    weight: torch.Tensor
    logits: torch.Tensor
    frames: FrameScores

    def mean_logits(self):
        """Mean of the windows, each with its weight.

        Returns
        -------
        torch.Tensor
            [n_classes]
        """
        return self.weight @ self.logits


class PromptedClassifier(Pretrained):
    """Scores recordings against class names behind tuned contexts.

    Build it with `from_hparams`.

    Arguments
    ---------
    modules : dict
        ``clap``, the `FrozenClap`.
    hparams : dict
        ``export``, the `afpt_plugin.export.Export`.
    run_opts : dict, optional
        See `Pretrained`, e.g. ``{"device": "cuda"}``.
    freeze_params : bool
        See `Pretrained`; a CLAP is frozen anyway.

    Raises
    ------
    InputError
        If the export was made with another backbone.
    """

    MODULES_NEEDED = ["clap"]
    HPARAMS_NEEDED = ["export"]

    def __init__(
        self, modules=None, hparams=None, run_opts=None, freeze_params=True
    ):
        clap, export = modules["clap"], hparams["export"]
        normalizer = AudioNormalizer(sample_rate=clap.sample_rate)
        hparams = {"audio_normalizer": normalizer, **hparams}
        super().__init__(modules, hparams, run_opts, freeze_params)
        self.learner = hparams.get("learner") or export.make_learner(clap)
        with torch.no_grad():
            classes = self.learner.classes(clap)
        self.classes = type(classes)(*(part.float() for part in classes))

    @classmethod
    def from_hparams(
        cls,
        source,
        savedir=None,
        run_opts=None,
        weights=None,
        clap=None,
        local_strategy=LocalStrategy.SYMLINK,
        fetch_config=None,
    ):
        """Load an export, from a folder or from the hub, and its backbone.

        Unlike SpeechBrain's own interfaces, this one does not evaluate
        ``hyperparams.yaml``: a HyperPyYAML file may call any function, so that
        loading a stranger's model means running a stranger's code. An export
        is data, and is checked (see `afpt_plugin.export`).

        Arguments
        ---------
        source : str or pathlib.Path
            The export folder of a run, or a repository of the hub.
        savedir : str or pathlib.Path, optional
            Where to link what was fetched; by default it stays in the cache.
        run_opts : dict, optional
            See `Pretrained`, e.g. ``{"device": "cuda"}``.
        weights : str or pathlib.Path, optional
            A local checkpoint of the backbone, see `load_clap`.
        clap : FrozenClap, optional
            The backbone itself, if it is loaded already, or one of your own.
        local_strategy : LocalStrategy
            See `speechbrain.utils.fetching.fetch`.
        fetch_config : FetchConfig, optional
            See `speechbrain.utils.fetching.fetch`.

        Returns
        -------
        PromptedClassifier

        Raises
        ------
        InputError
            If there is no such export, it is damaged, or the backbone is not
            the one that it was tuned for.
        """
        source = os.fspath(source)
        fetch_config = fetch_config or FetchConfig()
        get = None
        local = os.path.isdir(source)
        if savedir is not None if local else REPO_ID.fullmatch(source):

            def get(name):
                return fetch_file(
                    name, source, savedir, local_strategy, fetch_config
                )

        export = read_export(source, get)
        clap = load_clap(export.clap if clap is None else clap, weights)
        return cls({"clap": clap}, {"export": export}, run_opts)

    @property
    def class_names(self):
        """The classes, in the order of the indices (list of str)."""
        return self.hparams.export.class_names

    @property
    def sample_rate(self):
        """Rate of the waveforms that the batch methods take, in Hz (int)."""
        return self.mods.clap.sample_rate

    @property
    def clip_samples(self):
        """Length of a window (int)."""
        return round(self.hparams.export.clip_seconds * self.sample_rate)

    def with_class_names(self, class_names):
        """Put the same contexts in front of other classes.

        Where the contexts were learned beside an anchor, names that were
        learned keep theirs; other names are anchored to the prompt template,
        since they have no captions.

        Arguments
        ---------
        class_names : list of str
            The new classes.

        Returns
        -------
        PromptedClassifier
            Shares the backbone with this one.

        Raises
        ------
        InputError
            If a name is empty or there twice.
        """
        check_class_names(class_names)
        export, clap = self.hparams.export, self.mods.clap
        export = dataclasses.replace(
            export,
            class_names=list(class_names),
            # Measured on the other classes, so no longer true.
            metrics={},
        )
        with torch.no_grad():
            baseline = export.make_baseline(clap).classes(clap)
            learner = self.learner.with_class_names(clap, class_names, baseline)
        return type(self)(
            {"clap": clap},
            {"export": export, "learner": learner.eval()},
            {"device": self.device, "precision": self.precision},
        )

    # Batches of waveforms

    @torch.no_grad()
    def encode_batch(self, wavs, lens=None):
        """Embed recordings.

        What is shorter than the run's clips, or than the longest of the batch,
        is looped, as in the run; what is longer is encoded as one.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono, at ``sample_rate``, [B, samples] or [samples].
        lens : torch.Tensor, optional
            Relative lengths, [B], 1 for the longest; by default all 1.

        Returns
        -------
        Embeddings
            ``clip`` [B, D], ``frames`` [B, T, D], ``mask`` [B, T].

        Raises
        ------
        InputError
            If the shapes do not fit, or a sample is not finite.
        """
        wavs = wavs[None] if wavs.dim() == 1 else wavs
        if wavs.dim() != 2 or wavs.shape[1] == 0:
            raise InputError(
                f"wavs have the shape {list(wavs.shape)}; wanted mono "
                "waveforms [batch, samples]"
            )
        if lens is None:
            lens = torch.ones(len(wavs))
        if lens.shape != wavs.shape[:1] or not ((lens > 0) & (lens <= 1)).all():
            raise InputError(
                f"lens must be {len(wavs)} relative lengths in (0, 1], the "
                f"longest 1; got {lens.tolist()}"
            )
        wavs = wavs.to(self.device).float()
        if not wavs.isfinite().all():
            raise InputError("wavs hold samples that are not finite")
        longest = max(wavs.shape[1], self.clip_samples)
        n_samples = (lens * wavs.shape[1]).round().long().clamp(min=1)
        wavs = torch.stack(
            [
                fit_length(wav[:n], longest)
                for wav, n in zip(wavs, n_samples.tolist(), strict=True)
            ]
        )
        lens = torch.ones(len(wavs), device=self.device)
        with self.inference_ctx:
            return self.mods.clap.encode_audio(wavs, lens)

    @torch.no_grad()
    def logits_batch(self, wavs, lens=None):
        """Coarse, fine and ensemble logits, as the Brain computes them.

        Takes what `encode_batch` takes.

        Returns
        -------
        dict of torch.Tensor
            ``coarse``, ``fine`` and ``ensemble``, [B, n_classes] each.
        """
        return self._logits(self.encode_batch(wavs, lens))

    def classify_batch(self, wavs, lens=None):
        """Classify recordings; takes what `encode_batch` takes.

        Returns
        -------
        Scores
            ``out_prob`` [B, n_classes], ``score`` [B], ``index`` [B] and
            ``text_lab``, B names.
        """
        return self.rank(self._primary(self.encode_batch(wavs, lens)))

    def forward(self, wavs, lens=None):
        """Do what `classify_batch` does."""
        return self.classify_batch(wavs, lens)

    def rank(self, logits, top_k=None):
        """Turn logits into scores and names, the best first.

        Arguments
        ---------
        logits : torch.Tensor
            Ensemble logits, [B, n_classes].
        top_k : int, optional
            See `classify_file`.

        Returns
        -------
        Scores

        Raises
        ------
        InputError
            If ``top_k`` is no number of classes.
        """
        if top_k is not None and (
            type(top_k) is not int or not 0 < top_k <= len(self.class_names)
        ):
            raise InputError(
                f"top_k: {top_k!r} is not a number of classes from 1 to "
                f"{len(self.class_names)}"
            )
        multi_label = self.hparams.export.multi_label
        out_prob = logits if multi_label else logits.log_softmax(-1)
        score, index = out_prob.topk(top_k or 1)
        text_lab = [[self.class_names[i] for i in row] for row in index]
        if top_k is None:
            score, index = score[:, 0], index[:, 0]
            text_lab = [row[0] for row in text_lab]
        return Scores(out_prob, score, index, text_lab)

    # Files

    def load_audio(self, path):
        """Read a recording as the backbone wants it.

        Arguments
        ---------
        path : str or pathlib.Path
            A file of any length, rate, number of channels and format that
            soundfile reads.

        Returns
        -------
        torch.Tensor
            Mono, at ``sample_rate``, [samples].

        Raises
        ------
        InputError
            If it is missing, damaged or empty.
        """
        return load_recording(path, self.sample_rate)

    def classify_file(self, path, top_k=None, per_window=False):
        """Classify a recording of any length, rate and number of channels.

        One that is longer than the run's clips is cut into windows of their
        length; the last of them ends where the recording ends. Their logits
        are averaged, each window weighted by what it adds to those before.

        Arguments
        ---------
        path : str or pathlib.Path
            Any file that soundfile reads.
        top_k : int, optional
            How many classes to name; by default the best, without a dimension
            of its own.
        per_window : bool
            Return a row a window instead of their mean.

        Returns
        -------
        Scores
            Of one row, or with ``per_window`` of W.

        Raises
        ------
        InputError
            If the file is missing, damaged or empty, or ``top_k`` is no
            number of classes.
        """
        (found,) = self.score_recordings([self.load_audio(path)])
        logits = found.logits if per_window else found.mean_logits()[None]
        return self.rank(logits, top_k)

    def frame_scores(self, path):
        """Score every frame of a recording: when is what heard?

        Nothing was trained on frames' labels, so this is weak detection: a
        frame sees more of the sound than its own duration.

        Arguments
        ---------
        path : str or pathlib.Path
            Any file that soundfile reads.

        Returns
        -------
        FrameScores
            ``logits`` [T, n_classes], ``start`` [T], ``centre`` [T].

        Raises
        ------
        InputError
            If the file is missing, damaged or empty.
        """
        return self.score_recordings([self.load_audio(path)])[0].frames

    @torch.no_grad()
    def score_recordings(self, sigs, batch_size=BATCH_SIZE):
        """Score waveforms of any lengths; the windows of all share batches.

        Arguments
        ---------
        sigs : list of torch.Tensor
            N waveforms at ``sample_rate``, [samples] each.
        batch_size : int
            Windows encoded at once.

        Returns
        -------
        list of RecordingScores
            N, on the CPU.

        Raises
        ------
        InputError
            If a waveform is empty or has more dimensions than one.
        """
        for number, sig in enumerate(sigs, start=1):
            if sig.dim() != 1 or len(sig) == 0:
                raise InputError(
                    f"waveform number {number} has the shape "
                    f"{list(sig.shape)}; wanted mono, [samples]"
                )
        size, rate = self.clip_samples, self.sample_rate
        # The last window ends with the recording.
        starts = [
            [*range(0, len(sig) - size, size), max(0, len(sig) - size)]
            for sig in sigs
        ]
        places = [
            (sig, start)
            for sig, begins in zip(sigs, starts, strict=True)
            for start in begins
        ]
        clips, frames, masks = [], [], []
        for first in range(0, len(places), batch_size):
            windows = [
                fit_length(sig[start : start + size], size)
                for sig, start in places[first : first + batch_size]
            ]
            audio = self.encode_batch(torch.stack(windows))
            clips.append(self._primary(audio).cpu())
            frames.append(self._frame_logits(audio.parts).cpu())
            masks.append(audio.mask.cpu())
        if not places:
            return []
        counts = [len(begins) for begins in starts]
        centres = self.mods.clap.frame_centers(size, frames[0].shape[1])
        times = centres / rate
        return [
            _recording_scores(len(sig) / rate, size / rate, start, times, *rows)
            for sig, start, *rows in zip(
                sigs,
                [torch.tensor(begins).double() / rate for begins in starts],
                *(torch.cat(part).split(counts) for part in (clips, frames)),
                torch.cat(masks).split(counts),
                strict=True,
            )
        ]

    def _frame_logits(self, frames):
        """The same cosine as of a clip, for each frame."""
        flat = coarse_logits(
            frames.float().flatten(0, 1),
            self.classes.fine,
            self.learner.logit_scale,
        )
        return flat.unflatten(0, frames.shape[:2])

    def _primary(self, audio):
        logits = self._logits(audio)
        return logits[primary_head(logits)]

    def _logits(self, audio):
        item = type(audio)(audio.whole.float(), audio.parts.float(), audio.mask)
        logits = self.learner(item, self.classes)
        if {"coarse", "fine"} <= set(logits):
            logits["ensemble"] = ensemble_logits(
                logits["coarse"], logits["fine"]
            )
        return logits


def _recording_scores(seconds, window, start, times, logits, frames, mask):
    """Join the windows of one recording.

    All times are in seconds: the recording's length, a window's, where the
    windows ``start`` [W], the centres of a window's frames [T]. ``logits``
    [W, C] are of windows, ``frames`` [W, T, C] of theirs, ``mask`` [W, T].
    """
    ends = (start + window).clamp(max=seconds)
    # What a window adds begins where the one before it ends.
    begins = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    centre = start[:, None] + times
    keep = mask & (centre < ends[:, None])
    keep[1:] &= centre[1:] >= begins[1:, None]
    if not keep.any():
        # A recording shorter than a frame was looped: it has the first one.
        keep[0, int(mask[0].int().argmax())] = True
    centre, order = centre[keep].clamp(max=seconds).sort(stable=True)
    step = times.diff().median() if len(times) > 1 else torch.tensor(window)
    return RecordingScores(
        seconds,
        start,
        ((ends - begins) / seconds).float(),
        logits,
        FrameScores(
            frames[keep][order], (centre - step / 2).clamp(min=0), centre
        ),
    )
