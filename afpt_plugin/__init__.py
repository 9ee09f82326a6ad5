"""Audio-free prompt tuning for CLAP, as a SpeechBrain plugin.

A frozen CLAP scores a recording against class names. How the names are worded
matters, so a few vectors in front of them are learned, from captions alone: no
recording is seen before the test. The method is "Audio-free Prompt Tuning for
Language-Audio Models" (ICASSP 2024, arXiv 2309.08357).

Where things are:

* `backbones`: a frozen CLAP per file behind one interface, `load_clap`
* `prompts`: what is learned, `PromptLearner`
* `similarity`, `losses`: coarse and fine logits, the ranking loss
* `captions`, `mining`, `data`, `recordings`: read and check what a user gives
* `features`, `datasets`: every caption and recording is encoded once
* `brain`, `experiment`: the training, as SpeechBrain runs it
* `metrics`, `report`, `figures`, `export`: what a run leaves behind
* `inference`, `runs`, `comparison`: what is done with it
* `cli`, `commands`: the command line, `afpt`
* `samples`, `sample_recordings`: real recordings that come with the package, in
  the data sets' layouts

The three steps of the method, by hand:

1. Load a backbone and encode captions.
>>> import torch
>>> from afpt_plugin.backbones import load_clap
>>> clap = load_clap("mini")
>>> captions = ["a dog is barking in a yard", "rain falls on a tin roof"]
>>> sentence, words, mask = clap.encode_captions(captions)

2. Learn contexts that tell the captions' classes apart.
>>> from afpt_plugin.learners.prompts import PromptLearner
>>> from afpt_plugin.similarity import coarse_logits, fine_logits
>>> learner = PromptLearner(ctx_init="this is a sound of")
>>> optimizer = torch.optim.AdamW(
...     learner.setup(clap, ["dog", "rain"]).parameters(), lr=0.002
... )
>>> coarse, fine = learner(clap)
>>> logits = coarse_logits(sentence, coarse, clap.logit_scale)
>>> logits = logits + fine_logits(words, mask, fine, clap.logit_scale)
>>> loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
>>> loss.backward()
>>> optimizer.step()

3. Score recordings with them: clips against coarse, frames against fine.
>>> wavs = torch.randn(1, 5 * clap.sample_rate)
>>> clip, frames, frame_mask = clap.encode_audio(wavs, torch.ones(1))
>>> coarse_logits(clip, coarse, clap.logit_scale).shape
torch.Size([1, 2])

The recipes do this with SpeechBrain: see ``recipes/ESC50``.

Authors
 * The afpt_plugin developers 2026
"""

__version__ = "0.1.0"
