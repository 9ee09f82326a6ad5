"""The schedules that speed.py compares: a plain form of the authors', and ours.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import nullcontext

import torch
from full_size import (
    Clock,
    peak_memory_mb,
    read_store,
    reset_peak_memory,
)
from torch.nn.functional import cross_entropy, pad
from torch.utils.flop_counter import FlopCounterMode

from afpt_plugin.backbones.base import ClassTokens, Embeddings
from afpt_plugin.data.gpu_batches import Batch
from afpt_plugin.errors import InputError
from afpt_plugin.learners import Classes, PromptLearner
from afpt_plugin.training.cuda_graph import CapturedStep
from afpt_plugin.training.precision import full_float32, set_tf32

CTX_INIT = "this is a sound of"

#: The largest allowed difference: for logits, relative to their standard
#: deviation over classes; for gradients, relative to the largest entry.
TOLERANCE = 0.01


class Schedule:
    """Our way to train; `AuthorsSchedule` overrides it with the authors'."""

    def __init__(self, name, material, learner, batch_size, precision="fp32"):
        self.name = name
        self.material = material
        self.clap = material.clap
        self.device = self.clap.device
        self.batch_size = batch_size
        self.precision = precision
        learner.setup(self.clap, material.class_names)
        self.learner = learner.to(self.device)
        self.optimizer = torch.optim.AdamW(learner.parameters(), lr=0.002)
        self.run = CapturedStep(self.forward, learner.parameters())
        self.clock = Clock(self.device)
        self.peak_mb = self.flops = None

    def part(self, name):
        """Time a part of a step, unless the step is a captured graph."""
        return nullcontext() if self.run.can_capture else self.clock(name)

    def classes(self):
        """Embed the classes under both contexts, [n_classes, D] each."""
        return self.learner.classes(self.clap)

    def captions(self, batch):
        """Read captions, a list of indices, from the store or the GPU."""
        if self.device.type == "cuda":
            rows = torch.tensor(batch, device=self.device)
            return (part[rows] for part in self.material.resident_captions)
        return read_store(*self.material.stored_captions, batch)

    def clips(self, batch):
        """Read clips, a list of indices, from the store."""
        return read_store(*self.material.stored_clips, batch)

    def logits(self, items, classes):
        """Score items; return a dict of head to logits [B, n_classes]."""
        whole, parts, mask = (part.to(self.device) for part in items)
        items = Embeddings(whole.float(), parts.float(), mask)
        with full_float32(self.device):
            classes = Classes(*(part.float() for part in classes))
            return self.learner(items, classes)

    def autocast(self):
        """Compute the body of a ``with`` block in the chosen precision."""
        set_tf32("tf32" if self.precision == "tf32" else "fp32")
        wanted = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, wanted)

    def forward(self, batches):
        """Compute logits and loss of a batch, for `CapturedStep`."""
        (batch,) = batches
        with self.part("class prompts, forward"):
            classes = self.classes()
        with self.part("logits and loss"):
            items = (batch.whole.data, batch.parts.data, batch.mask.data)
            logits = self.logits(items, classes)
            targets = batch.target.data
            loss = sum(cross_entropy(part, targets) for part in logits.values())
        return [(logits, loss)]

    def step(self, number):
        """Take a step; return logits [2, B, n_classes] and gradients."""
        first, total = number * self.batch_size, len(self.material.captions)
        batch = [(first + i) % total for i in range(self.batch_size)]
        with self.clock("training step"), self.autocast():
            with self.part("captions"), torch.no_grad():
                names = ("whole", "parts", "mask")
                items = dict(zip(names, self.captions(batch), strict=True))
            items["target"] = self.material.targets[batch]
            ((logits, _),) = self.run([Batch([], items)])
            self.optimizer.step()
        gradient = [p.grad.clone() for p in self.learner.parameters()]
        self.optimizer.zero_grad()
        logits = torch.stack([part.clone() for part in logits.values()])
        return logits, torch.stack(gradient)

    def measure_memory(self):
        """Measure the memory of an untimed step, since this takes time."""
        reset_peak_memory(self.device)
        self.step(0)
        self.peak_mb = peak_memory_mb(self.device)

    def count_flops(self):
        """Count the floating-point operations of a step's matrix products."""
        can_capture, self.run.can_capture = self.run.can_capture, False
        with FlopCounterMode(display=False) as counter:
            self.step(0)
        self.run.can_capture = can_capture
        self.flops = counter.get_total_flops()

    @torch.no_grad()
    def evaluate(self):
        """Score all clips as after an epoch, [2, n_clips, n_classes]."""
        batches = torch.arange(len(self.material.wavs)).split(self.batch_size)
        with self.autocast():
            with self.clock("evaluation: class prompts"):
                classes = self.classes()
            with self.clock("evaluation: clips"):
                logits = [
                    torch.stack(
                        [*self.logits(self.clips(b.tolist()), classes).values()]
                    )
                    for b in batches
                ]
        return torch.cat(logits, dim=1)


class AuthorsSchedule(Schedule):
    """The authors' way: padding, two passes, and encoding at each step."""

    def __init__(self, name, material, learner, size, kind, fixed_length):
        super().__init__(name, material, learner, size, kind)
        self.run.can_capture = self.is_checked = False
        self.fixed_length = fixed_length
        tokens = self.clap.tokenize_class_names(self.material.class_names)
        length = self.learner.n_ctx + tokens.input_ids.shape[1]
        if length > fixed_length:
            raise InputError(
                f"--fixed_length is {fixed_length}, but the context and the "
                f"longest class name have {length} tokens; raise it"
            )
        missing = (0, fixed_length - length)
        self.tokens = ClassTokens(*(pad(part, missing) for part in tokens))

    def autocast(self):
        """Use torch's default, TF32 only in convolutions; none in the check."""
        ours = super().autocast()
        torch.backends.cudnn.allow_tf32 = not self.is_checked
        return ours

    def classes(self):
        """Embed the classes for coarse and fine, one after the other."""
        contexts = (self.learner.ctx_coarse, self.learner.ctx_fine)
        return Classes(*(self._embed(ctx) for ctx in contexts))

    def _embed(self, ctx):
        encoder = self.clap.caption_encoder
        causal = encoder.base.config.model_type == "gpt2"
        first = 0 if causal else 1  # in BERT, the context follows CLS
        names = encoder.base.get_input_embeddings()(self.tokens.input_ids)
        contexts = ctx.expand(len(names), -1, -1)  # [n_classes, n_ctx, d]
        prompts = [names[:, :first], contexts, names[:, first:]]
        mask = pad(self.tokens.attention_mask, (len(ctx), 0), value=1)
        states = encoder.base(
            inputs_embeds=torch.cat(prompts, dim=1),  # [n_classes, 100, d]
            attention_mask=mask,
            **({"use_cache": False} if causal else {}),
        )[0]
        if causal:
            rows = torch.arange(len(states), device=states.device)
            return encoder.projection(states[rows, mask.sum(1) - 1])
        if encoder.mean_pooling:
            weights = mask[..., None] / mask.sum(1)[:, None, None]
            return encoder.projection((states * weights).sum(1))
        return encoder.projection(states[:, 0])

    def captions(self, batch):
        """Encode captions, padded to the fixed length."""
        captions = [self.material.captions[index] for index in batch]
        return self.clap.encode_captions(captions, self.fixed_length)

    def clips(self, batch):
        """Encode clips twice, once for coarse and once for fine."""
        wavs = self.material.wavs[batch].to(self.device)
        lens = torch.ones(len(batch), device=self.device)
        whole = self.clap.encode_audio(wavs, lens).whole
        return self.clap.encode_audio(wavs, lens)._replace(whole=whole)


def make_schedules(options, material):
    """Make the schedules to compare, the authors' first."""
    n_ctx, size = options.n_ctx, options.batch_size
    theirs = (material, PromptLearner(n_ctx), size, "fp32")
    schedules = [AuthorsSchedule("authors", *theirs, options.fixed_length)]
    for kind in options.precision:
        ours = (material, PromptLearner(n_ctx), size, kind)
        recipe = (material, PromptLearner(ctx_init=CTX_INIT), 4 * size, kind)
        schedules.append(Schedule(f"ours {kind}", *ours))
        schedules.append(Schedule(f"recipe {kind}", *recipe))
    return schedules


def check_equal(schedules):
    """Take first steps; raise if our results and the authors' differ.

    The recipes' settings give other logits, and differences of lower precisions
    are only printed. Steps are taken until any graph is captured.
    """
    outputs, schedules[0].is_checked = {}, True
    for schedule in schedules:
        clips = schedule.evaluate()
        captions, gradient = schedule.step(0)
        outputs[schedule] = (captions, clips, gradient)
        schedule.count_flops()
        for _ in range(2):
            schedule.measure_memory()
    schedules[0].is_checked = False
    reference = outputs[schedules[0]]
    units = [logits.std(-1).mean() for logits in reference[:2]]
    units.append(reference[2].abs().max())
    for schedule in schedules[1:]:
        if schedule.name.startswith("recipe"):
            continue
        found = [
            float((ours - theirs).abs().max() / unit)
            for ours, theirs, unit in zip(
                outputs[schedule], reference, units, strict=True
            )
        ]
        message = "{} differs: captions {:.1e}, clips {:.1e}, gradient {:.1e}"
        message = message.format(schedule.name, *found)
        print(message, flush=True)
        # `any(... > TOLERANCE)` would let NaN pass.
        equal = all(value <= TOLERANCE for value in found)
        if schedule.precision == "fp32" and not equal:
            raise RuntimeError(f"{message}; at most {TOLERANCE} is allowed")
