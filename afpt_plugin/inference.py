"""Classify recordings with a trained learner, in three lines.

A run writes an ``export/`` folder (this example makes one without training):

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

`PromptedClassifier.classify_file` takes files of any length, sample rate and
number of channels, and `PromptedClassifier.frame_scores` tells when a class is
heard. `PromptedClassifier.with_class_names` is for classes not trained on.

Authors
 * The afpt_plugin developers 2026
"""

import dataclasses
import functools
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy
from torch import Tensor

from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.base import Embeddings, FrozenClap
from afpt_plugin.backbones.weights import fetch_file
from afpt_plugin.data.audio import Recording, fit_length
from afpt_plugin.data.tables import check_class_names
from afpt_plugin.errors import InputError
from afpt_plugin.export import read_export
from afpt_plugin.results.output import primary_head
from afpt_plugin.scoring.predictions import Predictions
from afpt_plugin.scoring.windows import (
    FrameScores,
    RecordingScores,
    Scores,
    by_recording,
    cut_batch,
    join_windows,
)
from afpt_plugin.similarity import ensemble_logits

__all__ = ["FrameScores", "PromptedClassifier", "RecordingScores", "Scores"]

# Windows encoded at once.
BATCH_SIZE = 8

#: The longest recording that is plotted, and so held in memory, in seconds.
LONGEST_DRAWN = 1800

# Frames scored at once.
PARTS = 2048

# Only a name with one slash can be a repository of the hub.
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


class PromptedClassifier(Predictions, Pretrained):
    """Scores recordings with the learner of an export, see `from_hparams`.

    Its base class `Predictions` turns logits into names and probabilities.

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
    """

    MODULES_NEEDED = ["clap"]
    HPARAMS_NEEDED = ["export"]

    def __init__(
        self, modules=None, hparams=None, run_opts=None, freeze_params=True
    ):
        super().__init__(modules, hparams, run_opts, freeze_params)
        clap, export = modules["clap"], hparams["export"]
        self.learner = hparams.get("learner") or export.make_learner(clap)
        with torch.no_grad():
            classes = self.learner.classes(clap)
            self.classes = type(classes)(*(part.float() for part in classes))
            silence = torch.zeros(1, clap.embed_dim, device=self.device)
            #: The learner's heads, and the ensemble if there are two.
            self.heads = tuple(self._logits(_parts_as_items(silence)))

    @classmethod
    def from_hparams(
        cls,
        source: str | Path,
        savedir: str | Path | None = None,
        run_opts: dict | None = None,
        weights: str | Path | None = None,
        clap: FrozenClap | None = None,
        local_strategy: LocalStrategy = LocalStrategy.SYMLINK,
        fetch_config=None,
    ) -> "PromptedClassifier":
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
            Where to link fetched files; by default they stay in the cache.
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
            If the export is missing, damaged, or made with another backbone.
        """
        source, get = os.fspath(source), None
        local = os.path.isdir(source)
        if savedir is not None if local else REPO_ID.fullmatch(source):
            get = functools.partial(
                fetch_file,
                source=source,
                savedir=savedir,
                local_strategy=local_strategy,
                fetch_config=fetch_config,
            )
        export = read_export(source, get)
        clap = load_clap(export.clap if clap is None else clap, weights)
        return cls({"clap": clap}, {"export": export}, run_opts)

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that the batch methods take, in Hz (int)."""
        return self.mods.clap.sample_rate

    @property
    def clip_samples(self) -> int:
        """Length of a window (int)."""
        return round(self.hparams.export.clip_seconds * self.sample_rate)

    def with_class_names(
        self, class_names: Sequence[str]
    ) -> "PromptedClassifier":
        """Make a classifier of other classes, if the learner supports it."""
        check_class_names(class_names)
        clap = self.mods.clap
        clap.check_class_names(class_names)
        export = self.hparams.export
        # For several labels, the gap's offset depends on the number of classes.
        own = not (export.multi_label and clap.gap)
        export = dataclasses.replace(
            export,
            class_names=list(class_names),
            calibration=export.calibration if own else {},
            metrics={},  # they were measured on the old classes
        )
        with torch.no_grad():
            baseline = export.make_baseline(clap).classes(clap)
            learner = self.learner.with_class_names(clap, class_names, baseline)
        return type(self)(
            {"clap": clap},
            {"export": export, "learner": learner.eval()},
            {"device": self.device, "precision": self.precision},
        )

    @torch.no_grad()
    def encode_batch(self, wavs: Tensor, lens=None) -> Embeddings:
        """Embed recordings.

        A waveform shorter than the run's clips, or than the longest one of the
        batch, is looped, as in the run. A longer one is encoded as a whole.

        Arguments
        ---------
        wavs : torch.Tensor
            Mono, at ``sample_rate``, [B, samples] or [samples].
        lens : torch.Tensor, optional
            Relative lengths, [B], 1 for the longest; by default all 1.

        Returns
        -------
        Embeddings
            ``whole`` [B, D], ``parts`` [B, T, D], ``mask`` [B, T].

        Raises
        ------
        InputError
            If the shapes do not fit, or a sample is not finite.
        """
        sigs, longest = cut_batch(wavs, lens)
        return self._encode(sigs, max(longest, self.clip_samples))

    def _encode(self, sigs, n_samples):
        """Fit waveforms to one length and embed them; all encoding is here."""
        wavs = torch.stack([fit_length(sig, n_samples) for sig in sigs])
        wavs = wavs.to(self.device).float()  # [B, n_samples]
        if not wavs.isfinite().all():
            raise InputError("wavs hold samples that are not finite")
        lens = torch.ones(len(wavs), device=self.device)
        with self.inference_ctx:
            embeddings = self.mods.clap.encode_audio(wavs, lens)
        # The memory layout of the Brain's store: others round differently.
        return Embeddings(*(part.contiguous() for part in embeddings))

    @torch.no_grad()
    def logits_batch(self, wavs: Tensor, lens=None) -> dict[str, Tensor]:
        """Compute each head's logits, as the Brain does.

        The arguments are those of `encode_batch`.

        Returns
        -------
        dict of torch.Tensor
            Logits [B, n_classes] of each of ``self.heads``, e.g. ``coarse``,
            ``fine`` and ``ensemble``.
        """
        return self._logits(self.encode_batch(wavs, lens))

    def load_audio(self, path, longest=math.inf):
        """Read a recording of at most ``longest`` seconds, as the run did."""
        recording, blocks = self.open_recording(path), []
        for block in recording:
            blocks.append(block)
            if recording.n_samples > longest * self.sample_rate:
                raise InputError(
                    f"{path}: the recording is too long to be drawn, at most "
                    f"{longest / 60:g} minutes are; cut a part out of it"
                )
        return torch.cat(blocks)

    def open_recording(self, path):
        """Open a file of any length, to be read in blocks; see `Recording`."""
        channels = self.hparams.export.channels
        return Recording(path, self.sample_rate, channels)

    def flags(self, recording):
        """List what is unusual about a `Recording` that was read (list of str).

        These are its own flags, and ``looped`` if it is shorter than a window.
        """
        looped = recording.n_samples < self.clip_samples
        return recording.flags + ["looped"] * looped

    def classify_file(
        self,
        path: str | Path,
        top_k: int | None = None,
        per_window: bool = False,
        reject: bool = False,
    ) -> Scores:
        """Classify a recording of any length, rate and number of channels.

        A recording longer than the run's clips is cut into windows of their
        length; the last window ends where the recording ends. The windows'
        logits are averaged, each weighted by the time that it adds to the
        windows before it. Only a few blocks are in memory at once.

        Arguments
        ---------
        path : str or pathlib.Path
            Any file that soundfile reads.
        top_k : int, optional
            The number of classes to name; by default the best one, and the
            results have no dimension k.
        per_window : bool
            Return a row per window instead of their mean.
        reject : bool
            Name no class for a row that ``self.rejection`` rejects.

        Returns
        -------
        Scores
            One row, or W rows with ``per_window``. Where no class is named,
            ``text_lab`` holds None and ``index`` holds -1. All scores of a
            silent recording are equal.

        Raises
        ------
        InputError
            If the file is damaged, or ``top_k`` or ``reject`` cannot be used.
        """
        recording = self.open_recording(path)
        (found,) = self.score_recordings([recording], reject=reject)
        logits = found.logits if per_window else found.mean_logits()[None]
        if "silent" in recording.flags:
            return self.name_none(torch.zeros_like(logits), top_k)
        if not reject:
            return self.rank(logits, top_k)
        margin = found.margin if per_window else found.mean_margin()[None]
        return self.name_none(logits, top_k, self.rejection.rejects(margin))

    def frame_scores(self, path: str | Path) -> FrameScores:
        """Score every frame of a recording, to find when a class is heard.

        Nothing was trained on labels of frames, so this is weak detection.
        A frame's embedding also depends on the sound around the frame.

        Arguments
        ---------
        path : str or pathlib.Path
            Any file that soundfile reads.

        Returns
        -------
        FrameScores

        Raises
        ------
        InputError
            If the file is damaged, or the learner has no fine scores.
        """
        self.check_frames()
        return self.score_recordings([self.open_recording(path)])[0].frames

    @torch.no_grad()
    def score_recordings(
        self, sigs, batch_size=BATCH_SIZE, frames=True, reject=False
    ):
        """Score waveforms of any lengths; their windows share batches.

        Only the scores of a window are kept, not its embeddings.

        Arguments
        ---------
        sigs : list of torch.Tensor or of Recording
            N waveforms at ``sample_rate``, [samples] each.
        batch_size : int
            Windows encoded at once.
        frames : bool
            Whether to score their frames, too.
        reject : bool
            Whether to compute margins, see `afpt_plugin.scoring.rejection`.

        Returns
        -------
        list of RecordingScores
        """
        size = self.clip_samples
        scores = by_recording(
            sigs,
            size,
            batch_size,
            lambda clips: self._scores(
                self._encode(clips, size), frames, reject
            ),
        )
        lengths = [getattr(sig, "n_samples", None) or len(sig) for sig in sigs]
        return list(map(self._join, lengths, scores))

    @torch.no_grad()
    def encode_windows(self, sigs, batch_size=BATCH_SIZE):
        """Embed each recording's windows, the slow step; results on the CPU."""
        size = self.clip_samples
        found = by_recording(
            sigs, size, batch_size, lambda clips: self._encode(clips, size)
        )
        return [Embeddings(*parts) for parts in found]

    def score_windows(self, n_samples, windows, frames=True, reject=False):
        """Score one recording's windows, as `encode_windows` returned them."""
        windows = Embeddings(*(part.to(self.device) for part in windows))
        return self._join(n_samples, self._scores(windows, frames, reject))

    @torch.no_grad()
    def _scores(self, windows, frames=True, reject=False):
        """Return margins [W], logits [W, n_classes], frame logits and mask."""
        logits = self._logits_in_turn(windows)
        logits = logits[primary_head(logits)]
        margin = logits.new_full((len(logits),), math.nan)
        if reject:
            margin = self.rejection.margin(windows.whole)
        found = [margin.cpu(), logits.cpu()]
        if frames and "fine" in self.heads:
            # Each frame as an item of its own, [W * T] of them.
            parts = _parts_as_items(windows.parts.flatten(0, 1))
            fine = self._logits_in_turn(parts)["fine"]
            fine = fine.unflatten(0, windows.mask.shape)  # [W, T, n_classes]
            found += [fine.cpu(), windows.mask.cpu()]
        return found

    def _join(self, n_samples, scores):
        """Join a recording's results of `_scores` to `RecordingScores`."""
        margin, logits, *frames = scores
        sizes = n_samples, self.clip_samples, self.sample_rate
        if frames:
            n_frames = frames[1].shape[1]
            frames += [self.mods.clap.frame_centers(sizes[1], n_frames)]
        joined = join_windows(*sizes, logits, frames or None)
        return joined._replace(margin=margin)

    def _logits(self, item):
        """Compute each head's logits and their ensemble, in float32."""
        item = Embeddings(item.whole.float(), item.parts.float(), item.mask)
        logits = self.learner(item, self.classes)
        if {"coarse", "fine"} <= set(logits):
            logits["ensemble"] = ensemble_logits(
                logits["coarse"], logits["fine"]
            )
        return logits

    def _logits_in_turn(self, item):
        """Compute `_logits` of a long recording in bounded memory."""
        size = max(1, PARTS // item.mask.shape[1])
        turns = zip(*(part.split(size) for part in item), strict=True)
        turns = [self._logits(Embeddings(*parts)) for parts in turns]
        return {head: torch.cat([t[head] for t in turns]) for head in turns[0]}


def _parts_as_items(parts):
    """Turn frames [N, D] into items of one part each, to score each alone."""
    mask = torch.ones(len(parts), 1, dtype=torch.bool, device=parts.device)
    return Embeddings(parts, parts[:, None], mask)
