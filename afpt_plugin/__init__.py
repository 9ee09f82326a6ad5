"""Adapt a frozen CLAP to your classes, from text alone or a few recordings.

A CLAP scores a recording against class names. How the names are worded matters,
so a few vectors in front of them can be learned from captions: no recording is
seen before the test. That method is "Audio-free Prompt Tuning for
Language-Audio Models" (ICASSP 2024, arXiv 2309.08357). Three ideas hold the
package:

1. An item is an item: a caption and a recording are both `Embeddings`.
2. A learner says how the classes look and how an item is scored. Zero-shot is a
   learner with nothing to learn.
3. A run is a data set, a backbone, a learner, a supervision and a seed, and
   says itself what it was.

Where things are:

* `task`: what follows from a data set (classes, loss, metrics)
* `backbones`: a frozen CLAP a file behind one interface, `load_clap`
* `learners`: a way of adapting it a file, behind one interface, `Learner`
* `similarity`, `losses`, `metrics`: coarse and fine logits, what is trained on
  them, what is measured
* `data`: tables, captions, recordings, the store of embeddings, supervision
* `brain`, `experiment`: the method as SpeechBrain runs it; `training`: how its
  steps are taken, on a GPU as CUDA graphs
* `results`: what a run leaves behind, and how runs are compared
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
    """`adapt` on demand, since it needs torch and the command line's help does not."""
    if name == "adapt":
        from afpt_plugin.adaptation import adapt

        return adapt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
