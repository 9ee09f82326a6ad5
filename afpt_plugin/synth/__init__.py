"""Generated everyday sounds, written in the real data sets' layouts.

Every class of the four benchmarks (and some more sounds) has a small parametric
model of how the sound comes about: throats, struck bodies, turbulence, drops. One
call draws a new source, a new recording place and a new recorder from a seed:

1. a *generator* makes the dry sound from the blocks of `dsp` (and of `throats`,
   `struck`, which several share); they lie in `animals`, `birds`, `voices`,
   `human`, `nature`, `water`, `household`, `objects`, `appliances`, `machines`,
   `vehicles`, `music` and `drums`;
2. the *recording chain* in `scenes` puts it in a room at a distance, among
   noise, and through a microphone, a codec and an editor's scissors;
3. `classes` says which generator stands for which class of a data set, and
   `layouts` (`multilabel` for clips of several sounds) lays them out exactly
   as the data set does, so that the real preparation scripts read them.

Example
-------
1. A new sound is one function:

>>> import numpy as np
>>> from afpt_plugin.synth import SOUNDS, sound
>>> from afpt_plugin.synth.dsp import band_noise, percussive
>>> @sound("balloon pop")
... def balloon_pop(rng, duration, sample_rate):
...     n = int(0.2 * sample_rate)
...     burst = band_noise(rng, n, sample_rate, 200, rng.uniform(2e3, 8e3))
...     return burst * percussive(n, sample_rate, 0.001, rng.uniform(0.05, 0.2))

2. Render it as a recording:

>>> from afpt_plugin.synth import render
>>> sig = render("balloon pop", seed=0, duration=1.0, sample_rate=16000)
>>> sig.shape, sig.dtype
((16000,), dtype('float32'))

3. Take it off the table again:

>>> del SOUNDS["balloon pop"]

Authors
 * The afpt_plugin developers 2026
"""

from afpt_plugin.synth.layouts import write_esc50, write_us8k
from afpt_plugin.synth.multilabel import write_dcase2019, write_fsd2019
from afpt_plugin.synth.registry import SOUNDS, Sound, sound
from afpt_plugin.synth.scenes import mix, render

__all__ = [
    "SOUNDS",
    "Sound",
    "mix",
    "render",
    "sound",
    "write_dcase2019",
    "write_esc50",
    "write_fsd2019",
    "write_us8k",
]
