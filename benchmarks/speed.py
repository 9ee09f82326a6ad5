#!/usr/bin/env python3
"""Measure how fast a training step, many classes, and encoding are.

To run this script, use one of the following commands:
> python benchmarks/speed.py --what step --backbone ms-2022 --threads 2
> python benchmarks/speed.py --what classes --threads 2
> python benchmarks/speed.py --what encoding

``step`` compares the authors' schedule, written plainly, with ours. Theirs pads
prompts and captions to a fixed length (100 tokens, context included), embeds
the classes once for the coarse and once for the fine context, and encodes
captions at every step and recordings at every epoch, for the clip and for the
frames. Ours are the package's own classes. Both leave dropout off and mask
padding, so that logits and gradients are the same, which is checked before
anything is timed. ``recipe`` is ours with the recipes' settings: a context of
five words and four times the batch. The schedules take turns, so that other
work on the machine slows all of them alike; a time is the median over steps.

``classes`` times our step against the number of classes, as it is and with all
activations kept for the backward pass, each in a process of its own.

``encoding`` compares filling a feature store from files, in one process and in
several that share the work as ``torchrun``'s do, with the bare audio tower; on
a GPU in one process, with four threads that decode.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import math
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from encoding import measure_encoding
from full_size import (
    BACKBONES,
    Clock,
    Material,
    build_clap,
    describe_machine,
    free_memory_gb,
    peak_memory_mb,
    read_store,
    reset_peak_memory,
    show,
)
from torch.nn.functional import cross_entropy, pad

from afpt_plugin.backbones import text
from afpt_plugin.backbones.base import ClassTokens, Embeddings
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.learners import Classes, PromptLearner

CTX_INIT = "this is a sound of"

#: The largest difference of two logits, as a share of their standard deviation
#: over classes, and of two gradients, as a share of the largest entry.
TOLERANCE = 0.01

#: What is extrapolated to: the paper's run on ESC-50.
EPOCHS, EPOCH_CAPTIONS, EPOCH_CLIPS = 10, 864, 2000

#: What happens to activations, and what the table calls it.
WAYS = {"kept": "all activations kept", "learner": "PromptLearner"}


def main(arguments=None):
    """Measure, print a table, and return what it holds."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    print(f"{options.backbone} on {describe_machine(options.device)}\n")
    if options.what == "step":
        return measure_steps(options)
    if options.what == "classes":
        return measure_classes(options)
    return measure_encoding(options)


def parse_arguments(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--what", choices=("step", "classes", "encoding"), default="step")
    add("--backbone", choices=BACKBONES, default="ms-2022")
    add("--threads", type=int, help="default: torch's; encoding: 1")
    add("--steps", type=int, default=2, help="timed ones, or repetitions")
    add("--device", default="cpu", help="cpu or cuda")
    add(
        "--precision",
        nargs="+",
        choices=("fp32", "bf16"),
        default=["fp32"],
        help="of our step, one or both; of classes, the first",
    )
    add("--n_ctx", type=int, default=32)
    add("--batch_size", type=int, default=24, help="of step and classes")
    add("--n_classes", type=int, default=50, help="of step")
    add("--n_clips", type=int, help="default: step 24, encoding 64 or 2048")
    add("--fixed_length", type=int, default=100, help="of the authors")
    add("--classes", nargs="+", type=int, default=[10, 50, 200, 527])
    add("--figure", help="a file to draw classes to, e.g. classes.png")
    add("--processes", nargs="+", type=int, default=[1, 2], help="of encoding")
    options = parser.parse_args(arguments)
    for name in ("threads", "steps", "n_ctx", "batch_size", "n_clips"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1")
    if not all(2 <= n <= 2500 for n in (options.n_classes, *options.classes)):
        parser.error("numbers of classes must be from 2 to 2500")
    encoding = options.what == "encoding"
    threads = 1 if encoding else torch.get_num_threads()
    options.threads = options.threads or threads
    few = 64 if options.device == "cpu" else 2048
    options.n_clips = options.n_clips or (few if encoding else 24)
    return options


class Schedule:
    """Our way to train; `AuthorsSchedule` says what the authors do instead."""

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
        self.clock = Clock(self.device)
        self.peak_mb = None

    def classes(self):
        """Embed the classes under both contexts, [n_classes, D] each."""
        return self.learner.classes(self.clap)

    def captions(self, batch):
        """Read captions, a list of indices, from the store."""
        return read_store(*self.material.stored_captions, batch)

    def clips(self, batch):
        """Read clips, a list of indices, from the store."""
        return read_store(*self.material.stored_clips, batch)

    def logits(self, items, classes):
        """Score items, coarse and fine, [2, B, n_classes]."""
        whole, parts, mask = (part.to(self.device) for part in items)
        items = Embeddings(whole.float(), parts.float(), mask)
        classes = Classes(*(part.float() for part in classes))
        return torch.stack(list(self.learner(items, classes).values()))

    def autocast(self):
        """Compute in bfloat16 inside a ``with`` block, if that is wanted."""
        wanted = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, wanted)

    def step(self, number):
        """Train once; gives logits [2, B, n_classes] and gradients."""
        first, total = number * self.batch_size, len(self.material.captions)
        batch = [(first + i) % total for i in range(self.batch_size)]
        reset_peak_memory(self.device)
        with self.clock("training step"):
            with self.autocast():
                with self.clock("class prompts, forward"):
                    classes = self.classes()
                with self.clock("captions"), torch.no_grad():
                    items = self.captions(batch)
            with self.clock("logits and loss"):
                logits = self.logits(items, classes)
                target = self.material.targets[batch]
                loss = sum(cross_entropy(part, target) for part in logits)
            with self.clock("backward"):
                loss.backward()
            gradient = [p.grad.clone() for p in self.learner.parameters()]
            with self.clock("optimizer"):
                self.optimizer.step()
                self.optimizer.zero_grad()
        peak = peak_memory_mb(self.device)
        self.peak_mb = peak and max(peak, self.peak_mb or 0)
        return logits.detach(), torch.stack(gradient)

    @torch.no_grad()
    def evaluate(self):
        """Score all clips, [2, n_clips, n_classes], as after an epoch."""
        batches = torch.arange(len(self.material.wavs)).split(self.batch_size)
        with self.autocast():
            with self.clock("evaluation: class prompts"):
                classes = self.classes()
            with self.clock("evaluation: clips"):
                logits = [
                    self.logits(self.clips(batch.tolist()), classes)
                    for batch in batches
                ]
        return torch.cat(logits, dim=1)


class AuthorsSchedule(Schedule):
    """Padded, in two passes, everything encoded again."""

    def __init__(self, name, material, learner, size, kind, fixed_length):
        super().__init__(name, material, learner, size, kind)
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

    def classes(self):
        """Embed the classes, coarse and fine one after the other."""
        contexts = (self.learner.ctx_coarse, self.learner.ctx_fine)
        return Classes(*(self._embed(ctx) for ctx in contexts))

    def _embed(self, ctx):
        encoder = self.clap.caption_encoder
        causal = encoder.base.config.model_type == "gpt2"
        first = 0 if causal else 1  # BERT's context comes after CLS
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
        """Encode clips twice, once for each logit."""
        wavs = self.material.wavs[batch].to(self.device)
        lens = torch.ones(len(batch), device=self.device)
        whole = self.clap.encode_audio(wavs, lens).whole
        return self.clap.encode_audio(wavs, lens)._replace(whole=whole)


def make_schedules(options, material):
    """Make what is compared, the authors' schedule first."""
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
    """Take first steps; raise if ours does not compute what the authors' does.

    The recipes' settings give other logits, and bfloat16 is only printed.
    """
    outputs = {}
    for schedule in schedules:
        clips = schedule.evaluate()
        captions, gradient = schedule.step(0)
        outputs[schedule] = (captions, clips, gradient)
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
        # Not `any(... > TOLERANCE)`, which NaN would pass
        equal = all(value <= TOLERANCE for value in found)
        if schedule.precision == "fp32" and not equal:
            raise RuntimeError(f"{message}; at most {TOLERANCE} is allowed")


def measure_steps(options):
    """Compare schedules; gives the seconds of each one's parts."""
    clap = build_clap(options.backbone).to(options.device)
    sizes = (options.n_classes, 4 * options.batch_size, options.n_clips)
    with tempfile.TemporaryDirectory() as folder:
        material = Material(clap, folder, *sizes)
        schedules = make_schedules(options, material)
        check_equal(schedules)
        for schedule in schedules:
            schedule.clock = Clock(clap.device)  # that was the warm-up
        for number in range(1, options.steps + 1):
            for schedule in schedules:
                schedule.step(number)
            for schedule in schedules:
                schedule.evaluate()
    once = material.seconds
    filling = EPOCH_CAPTIONS * once["caption"] + EPOCH_CLIPS * once["clip"]
    found = {}
    for schedule in schedules:
        seconds = schedule.clock.medians()
        clips = seconds.pop("evaluation: clips")
        seconds["evaluation: a clip"] = clips / options.n_clips
        second = extrapolate(seconds, schedule.batch_size)
        first = second + (0 if schedule is schedules[0] else filling)
        seconds["extrapolated to ESC-50, 10 epochs, first seed"] = first
        seconds["extrapolated to ESC-50, 10 epochs, second seed"] = second
        found[schedule.name] = seconds
    print(f"\n| | {' | '.join(found)} |\n|---{'|---' * len(found)}|")
    for part, theirs in found["authors"].items():
        cells = (
            f"{show(column[part])} ({theirs / column[part]:.3g}x)"
            for column in found.values()
        )
        print(f"| {part} | {' | '.join(cells)} |")
    cells = (show(mb=schedule.peak_mb) for schedule in schedules)
    print(f"| peak memory of a step | {' | '.join(cells)} |\n")
    print(
        f"Ours encodes once: {show(once['caption'])} a caption, "
        f"{show(once['clip'])} a clip."
    )
    return found


def extrapolate(seconds, batch_size):
    """Add parts up to the paper's run on ESC-50, the store being full."""
    n_steps = math.ceil(EPOCH_CAPTIONS / batch_size)
    return EPOCHS * (
        n_steps * seconds["training step"]
        + seconds["evaluation: class prompts"]
        + EPOCH_CLIPS * seconds["evaluation: a clip"]
    )


def measure_classes(options):
    """Time our step against the number of classes.

    Gives (number of classes, one of `WAYS`) -> what `step_of_classes` found.
    """
    options.memory_gb = free_memory_gb()
    titles = " | peak memory | ".join(WAYS.values())
    print(f"| classes | {titles} | peak memory |\n|---{'|---' * 4}|")
    found = {}
    for n_classes in options.classes:
        cells = [str(n_classes)]
        for way in WAYS:
            # A process of its own, so that its memory is that of this way
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                size = pool.submit(step_of_classes, options, n_classes, way)
            found[n_classes, way] = size.result()
            if size.result() is None:
                cells += ["-", f"more than {options.memory_gb} GB"]
            else:
                seconds, mb = size.result()
                cells += [show(seconds), show(mb=mb)]
        print(f"| {' | '.join(cells)} |", flush=True)
    if options.figure:
        plot_classes(found, options)
    return found


def step_of_classes(options, n_classes, way):
    """Median seconds and peak MB of a step; None if memory did not suffice."""
    torch.set_num_threads(options.threads)
    if options.memory_gb and options.device == "cpu":
        import resource

        # Fail to allocate more, rather than press on others or be killed
        limit = int(options.memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if way == "kept":
        text.KEEP_BYTES = math.inf
    size, kind = options.batch_size, options.precision[0]
    try:
        clap = build_clap(options.backbone).to(options.device)
        with tempfile.TemporaryDirectory() as folder:
            # Two classes warm up
            for classes, steps in ((2, 1), (n_classes, options.steps)):
                material = Material(clap, folder, classes, size, 0)
                learner = PromptLearner(options.n_ctx)
                schedule = Schedule(way, material, learner, size, kind)
                for number in range(steps):
                    schedule.step(number)
    except (RuntimeError, MemoryError) as error:
        if not re.search("memory|bad_alloc|MemoryError", repr(error)):
            raise
        return None
    return schedule.clock.medians()["training step"], schedule.peak_mb


def plot_classes(found, options):
    """Draw time and memory against the number of classes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    titles = ("seconds a training step", "peak memory of the process (GB)")
    panels = zip(figure.subplots(1, 2), titles, (1, 2**10), strict=True)
    for column, (axes, title, unit) in enumerate(panels):
        for (way, label), style in zip(
            WAYS.items(), ("o--", "s-"), strict=True
        ):
            sizes = [n for n in options.classes if found[n, way]]
            values = [found[n, way][column] / unit for n in sizes]
            axes.plot(sizes, values, style, label=label)
        axes.set(xlabel="classes", ylabel=title, xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    figure.suptitle(f"{options.backbone}, {options.n_ctx} vectors")
    figure.savefig(options.figure, dpi=150)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
