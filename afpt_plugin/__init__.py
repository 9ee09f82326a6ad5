"""Adapt a frozen CLAP to your classes, from text alone or a few recordings.

A CLAP scores a recording against class names. The wording around the names
matters, so the method learns a few vectors in front of them from captions; it
sees no recording before the test. The method is "Audio-free Prompt Tuning for
Language-Audio Models" (ICASSP 2024, arXiv 2309.08357). The package rests on
three ideas:

1. Captions and recordings are treated alike: both become `Embeddings`.
2. A learner embeds the classes and scores items against them. Zero-shot is a
   learner with nothing to learn.
3. A run combines a data set, a backbone, a learner, a supervision and a seed,
   and records all of them with its results.

Where things are:

* `task`: what a data set determines (classes, loss, metrics)
* `backbones`: one file for each frozen CLAP, all loaded by `load_clap`
* `learners`: one file for each way of adapting a CLAP, all subclasses of
  `Learner`
* `similarity`, `losses`, `metrics`: coarse and fine logits, training losses,
  evaluation metrics
* `data`: tables, captions, recordings, the store of embeddings, supervision
* `brain`, `experiment`: the method as SpeechBrain runs it; `training`: how it
  takes training steps (on a GPU, as CUDA graphs)
* `results`: the files that a run writes, and the comparison of runs
* `export`, `inference`: a trained learner as a classifier of recordings;
  `scoring`: its probabilities, windows, events, and "none of these"
* `cli`, `commands`: the command line, `afpt`
* `samples`, `sample_recordings`: real recordings that come with the package, in
  the data sets' layouts

The method in three steps, by hand:

1. Load a backbone and embed captions.

>>> import torch
>>> from afpt_plugin.backbones import load_clap
>>> from afpt_plugin.task import Task
>>> clap, task = load_clap("mini"), Task("Sounds", ["dog", "rain"])
>>> captions = ["a dog is barking in a yard", "rain falls on a tin roof"]
>>> item = clap.encode_captions(captions)

2. Learn contexts that tell the captions' classes apart.

>>> from afpt_plugin.learners import PromptLearner
>>> learner = PromptLearner(ctx_init="this is a sound of")
>>> optimizer = torch.optim.AdamW(
...     learner.setup(clap, task.class_names).parameters(), lr=0.002
... )
>>> logits = learner(item, learner.classes(clap))
>>> loss = sum(task.loss(part, torch.eye(2)) for part in logits.values())
>>> loss.backward()
>>> optimizer.step()

3. Score recordings with them.

>>> wavs = torch.randn(1, 5 * clap.sample_rate)
>>> recording = clap.encode_audio(wavs, torch.ones(1))
>>> learner(recording, learner.classes(clap))["fine"].shape
torch.Size([1, 2])

The recipes do this with SpeechBrain: see ``recipes/ESC50``.

Authors
 * The afpt_plugin developers 2026
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afpt_plugin.adaptation import adapt

__all__ = ["adapt"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import `adapt` on first use: it needs torch, but ``--help`` does not."""
    if name == "adapt":
        from afpt_plugin.adaptation import adapt

        return adapt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
