#!/usr/bin/env python3
"""Time the authors' training schedule and ours on the same full-size CLAP.

To run this script, use the following command:
> python benchmarks/schedule.py --backbone ms-2022

The authors' schedule, in our own straightforward code and in float32: class
prompts padded to a fixed length (100 tokens, context included), one pass for
the coarse and one for the fine context, captions encoded again at every step
and recordings again at every epoch, once for the clip and once for the frames.
Ours are the package's own classes: prompts trimmed to the longest class name,
both contexts in one pass, captions and recordings read from the store. For
GPT-2 there is also ours without the shared prefix. Both leave dropout off and
mask padding, so that they compute the same logits; ``--check`` only compares.

The schedules take turns step by step in one process, and a part's time is the
median over steps: other work on the machine slows all of them alike. Before a
step the process's high-water mark of memory is put back, so that each schedule
has its own peak (with the model in it).

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import tempfile
import time

import torch
from full_size import (
    BACKBONES,
    PRECISIONS,
    Clock,
    PeakMemory,
    autocast,
    build_clap,
    describe_run,
    find_device,
    make_captions,
    make_class_names,
    write_measurement,
)
from torch.nn.functional import cross_entropy, pad

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.features import (
    encode_caption_features,
    encode_recording_features,
)
from afpt_plugin.prompts import PromptLearner
from afpt_plugin.similarity import coarse_logits, fine_logits

CLIP_SECONDS = 5.0

#: What is extrapolated to: the paper's run on ESC-50.
ESC50_RUN = {"epochs": 10, "steps": 36, "clips": 2000}

#: Parts of a training step, in order.
STEP_PARTS = (
    "class prompts, forward",
    "captions",
    "logits and loss",
    "backward",
    "optimiser",
)
COLORS = ("#0072B2", "#E69F00", "#707070", "#009E73", "#CC4C67")


def main(arguments=None):
    """Check that the schedules agree, time them, tabulate, draw.

    Arguments
    ---------
    arguments : list of str, optional
        By default the command line's.

    Returns
    -------
    int
        Exit status: 1 if ``--check`` finds that they differ.
    """
    options = parse_arguments(arguments)
    device = find_device(options.device, options.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        material = Material(options, device, folder)
        schedules = make_schedules(options, material)
        print(
            f"{options.backbone}, {options.n_classes} classes, n_ctx "
            f"{options.n_ctx}, batch {options.batch_size}, {device}, "
            f"{torch.get_num_threads()} threads",
            flush=True,
        )
        material.encode()
        check = compare(schedules, options.tolerance)
        if options.check:
            return 0 if check["equal"] else 1
        for schedule in schedules:
            schedule.forget_times()
        for number in range(1, options.steps + 1):
            for schedule in schedules:
                with schedule.memory:
                    schedule.step(number)
            for schedule in schedules:
                schedule.evaluate()
        measured = {s.name: s.measured() for s in schedules}
        extrapolated = extrapolate(
            measured, material, **ESC50_RUN, batch_size=options.batch_size
        )
        whole = None
        if options.whole:
            whole = run_whole(options, device, measured, material)
    print_tables(measured, material, extrapolated, whole)
    settings = {k: v for k, v in vars(options).items() if k != "output"}
    measurement = {
        "run": describe_run(device),
        "settings": settings,
        "check": check,
        "once": material.once,
        "schedules": measured,
        "step_ratios": ratios(measured),
        "extrapolated": extrapolated,
        "whole": whole,
    }
    for path in write_measurement(
        options.output, "schedule", measurement, plot_steps(measured, options)
    ):
        print(path)
    return 0


def parse_arguments(arguments):
    """Read the command line.

    Arguments
    ---------
    arguments : list of str or None
        None for the command line's.

    Returns
    -------
    argparse.Namespace

    Raises
    ------
    InputError
        If a number is out of its range.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backbone", choices=BACKBONES, default="ms-2022")
    parser.add_argument("--n_classes", type=int, default=50)
    parser.add_argument("--n_ctx", type=int, default=32)
    parser.add_argument("--n_captions", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=24)
    parser.add_argument("--n_clips", type=int, default=24)
    parser.add_argument(
        "--fixed_length",
        type=int,
        default=100,
        help="tokens that the authors' schedule pads to (default: 100)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=3,
        help="timed steps and evaluations of each schedule (default: 3)",
    )
    parser.add_argument("--threads", type=int, help="default: torch's")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["fp32"],
        help="of our schedule, one or both (default: fp32)",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", default="results/benchmarks")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only compare the schedules' logits; exit status 1 if they differ",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        help="largest difference of two logits, as a share of the standard "
        "deviation over classes (default: 0.01)",
    )
    parser.add_argument(
        "--whole",
        type=int,
        nargs="?",
        const=2,
        metavar="EPOCHS",
        help="also run this many whole epochs (default: 2) over n_captions "
        "and n_clips with each schedule",
    )
    options = parser.parse_args(arguments)
    for name in ("n_ctx", "batch_size", "n_clips", "steps", "threads", "whole"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: give at least 1")
    if options.batch_size > options.n_captions:
        raise InputError(
            f"--batch_size {options.batch_size} is more than --n_captions "
            f"{options.n_captions}: raise n_captions or lower batch_size"
        )
    return options


class Material:
    """What all schedules have in common: model, texts, clips, store.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    device : torch.device
        Where the model is.
    folder : str
        For the store.
    clap : FrozenClap, optional
        A model built before.
    """

    def __init__(self, options, device, folder, clap=None):
        self.folder = folder
        self.class_names = make_class_names(options.n_classes)
        self.captions = make_captions(options.n_captions)
        self.clap = clap or build_clap(options.backbone).to(device)
        generator = torch.Generator().manual_seed(0)
        samples = int(CLIP_SECONDS * self.clap.sample_rate)
        self.wavs = 0.1 * torch.randn(
            options.n_clips, samples, generator=generator
        )
        targets = torch.arange(options.n_captions) % options.n_classes
        self.targets = targets.to(device)
        self.once = {}

    def encode(self):
        """Fill the store, and keep the time in ``once`` (seconds)."""
        clock = Clock(self.clap.device)
        _ = self.clap.fingerprint  # its cost does not grow with the captions
        with clock("captions"):
            self.caption_store, self.caption_keys = encode_caption_features(
                self.clap, self.captions, self.folder
            )
        recordings = [
            {"key": f"clip-{index}", "index": index}
            for index in range(len(self.wavs))
        ]
        with clock("clips"):
            self.clip_store, self.clip_keys = encode_recording_features(
                self.clap,
                recordings,
                self.folder,
                lambda recording: self.wavs[recording["index"]],
                {"clip_seconds": CLIP_SECONDS},
            )
        self.once = {
            "per_caption": clock.median("captions") / len(self.captions),
            "per_clip": clock.median("clips") / len(self.wavs),
        }


class Schedule:
    """A way to train; subclasses say where embeddings come from.

    Arguments
    ---------
    name : str
        In tables.
    options : argparse.Namespace
        The command line.
    material : Material
        Model and data.
    precision : str
        ``fp32`` or ``bf16``.
    seed : int
        Of the contexts.
    """

    def __init__(self, name, options, material, precision="fp32", seed=0):
        self.name = name
        self.options = options
        self.material = material
        self.precision = precision
        self.clap = material.clap
        self.device = self.clap.device
        self.learner = PromptLearner(n_ctx=options.n_ctx, seed=seed)
        self.learner.setup(self.clap, material.class_names).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=0.002, betas=(0.9, 0.98), eps=1e-6
        )
        self.memory = PeakMemory(self.device)
        self.forget_times()

    def forget_times(self):
        """Start the clock anew, after a warm-up."""
        self.clock = Clock(self.device)

    def prompts(self):
        """Embed the classes under both contexts, [n_classes, D] each."""
        raise NotImplementedError

    def read_captions(self, batch):
        """Embed captions: sentence [B, D], words [B, T, D], mask [B, T].

        Arguments
        ---------
        batch : list of int
            Which captions.
        """
        raise NotImplementedError

    def read_clips(self, batch):
        """Embed clips: clip [B, D], frames [B, T, D], mask [B, T].

        Arguments
        ---------
        batch : list of int
            Which clips.
        """
        raise NotImplementedError

    def logits(self, classes, items):
        """Coarse and fine logits, [2, B, n_classes].

        Arguments
        ---------
        classes : tuple of torch.Tensor
            From `prompts`.
        items : tuple of torch.Tensor
            From `read_captions` or `read_clips`.

        Returns
        -------
        torch.Tensor
        """
        coarse, fine = (part.float() for part in classes)
        embedding, elements, mask = (part.to(self.device) for part in items)
        scale = self.clap.logit_scale
        return torch.stack(
            [
                coarse_logits(embedding.float(), coarse, scale),
                fine_logits(elements.float(), mask, fine, scale),
            ]
        )

    def step(self, number):
        """Do one training step.

        Arguments
        ---------
        number : int
            Decides the batch.

        Returns
        -------
        logits : torch.Tensor
            Coarse and fine, [2, B, n_classes].
        gradient : torch.Tensor
            Of the contexts, [2, n_ctx, d].
        """
        size, total = self.options.batch_size, len(self.material.captions)
        batch = [(number * size + i) % total for i in range(size)]
        clock = self.clock
        with clock("step"):
            with autocast(self.device, self.precision):
                with clock("class prompts, forward"):
                    classes = self.prompts()
                with clock("captions"), torch.no_grad():
                    items = self.read_captions(batch)
            with clock("logits and loss"):
                logits = self.logits(classes, items)
                target = self.material.targets[batch]
                loss = sum(cross_entropy(part, target) for part in logits)
            with clock("backward"):
                loss.backward()
            gradient = [p.grad.clone() for p in self.learner.parameters()]
            with clock("optimiser"):
                self.optimizer.step()
                self.optimizer.zero_grad()
        return logits.detach(), torch.stack(gradient)

    @torch.no_grad()
    def evaluate(self):
        """Score all clips, as at the end of an epoch.

        Returns
        -------
        torch.Tensor
            Coarse and fine logits, [2, n_clips, n_classes].
        """
        n_clips, size = self.options.n_clips, self.options.batch_size
        with autocast(self.device, self.precision):
            with self.clock("evaluation, class prompts"):
                classes = self.prompts()
            with self.clock("evaluation, clips"):
                batches = torch.arange(n_clips).split(size)
                logits = [
                    self.logits(classes, self.read_clips(batch.tolist()))
                    for batch in batches
                ]
        return torch.cat(logits, dim=1)

    def measured(self):
        """Tell what the clock and the memory showed.

        Returns
        -------
        dict
            ``precision``, median seconds of ``parts``, of a ``step``, of the
            ``evaluation_prompts`` and of an ``evaluation_per_clip``, all
            ``steps`` one by one, ``peak_memory_mb``.
        """
        clock = self.clock
        return {
            "precision": self.precision,
            "parts": {part: clock.median(part) for part in STEP_PARTS},
            "step": clock.median("step"),
            "steps": clock.parts["step"],
            "evaluation_prompts": clock.median("evaluation, class prompts"),
            "evaluation_per_clip": clock.median("evaluation, clips")
            / self.options.n_clips,
            "peak_memory_mb": self.memory.mb,
        }


class AuthorsSchedule(Schedule):
    """Padded, in two passes, everything encoded again; see `Schedule`.

    Raises
    ------
    InputError
        If a class name does not fit into the fixed length.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        tokens = self.clap.tokenize_class_names(self.material.class_names)
        length = self.options.fixed_length
        missing = length - self.options.n_ctx - tokens.input_ids.shape[1]
        if missing < 0:
            raise InputError(
                f"--fixed_length {length} is {-missing} tokens too short for "
                "the context and the longest class name: raise it or lower "
                "n_ctx"
            )
        self.tokens = ClassTokens(*(pad(part, (0, missing)) for part in tokens))

    def prompts(self):
        """Embed the classes, coarse and fine one after the other."""
        return tuple(
            plain_prompts(self.clap, ctx[None], self.tokens)[0]
            for ctx in (self.learner.ctx_coarse, self.learner.ctx_fine)
        )

    def read_captions(self, batch):
        """Encode captions, padded to the fixed length.

        Arguments
        ---------
        batch : list of int
            Which captions.
        """
        captions = [self.material.captions[index] for index in batch]
        return self.clap.encode_captions(captions, self.options.fixed_length)

    def read_clips(self, batch):
        """Encode clips twice.

        Arguments
        ---------
        batch : list of int
            Which clips.
        """
        wavs = self.material.wavs[batch].to(self.device)
        lens = torch.ones(len(batch), device=self.device)
        clip = self.clap.encode_audio(wavs, lens).clip
        audio = self.clap.encode_audio(wavs, lens)
        return clip, audio.frames, audio.mask


class OurSchedule(Schedule):
    """The package's own classes; see `Schedule`."""

    def prompts(self):
        """Embed the classes in one pass."""
        return self.learner(self.clap)

    def read_captions(self, batch):
        """Read captions from the store.

        Arguments
        ---------
        batch : list of int
            Which captions.
        """
        store = self.material.caption_store
        keys = [self.material.caption_keys[index] for index in batch]
        return store.stack(keys, "sentence"), *store.padded(keys, "words")

    def read_clips(self, batch):
        """Read clips from the store.

        Arguments
        ---------
        batch : list of int
            Which clips.
        """
        store = self.material.clip_store
        keys = [self.material.clip_keys[index] for index in batch]
        return store.stack(keys, "clip"), *store.padded(keys, "frames")


class UnsharedSchedule(OurSchedule):
    """Ours, but every class computes the context's positions again."""

    def prompts(self):
        """Embed the classes in one pass of whole prompts."""
        learner = self.learner
        ctx = torch.stack([learner.ctx_coarse, learner.ctx_fine])
        tokens = ClassTokens(learner.input_ids, learner.attention_mask)
        return tuple(plain_prompts(self.clap, ctx, tokens))


def plain_prompts(clap, ctx, class_tokens):
    """Embed prompts with nothing but the transformer itself.

    Arguments
    ---------
    clap : FrozenClap
        The backbone.
    ctx : torch.Tensor
        [K, n_ctx, d].
    class_tokens : ClassTokens
        [n_classes, L] each.

    Returns
    -------
    torch.Tensor
        [K, n_classes, D].
    """
    encoder = clap.caption_encoder
    causal = encoder.base.config.model_type == "gpt2"
    first = 0 if causal else 1  # BERT's context comes after CLS
    n_contexts, n_ctx, _ = ctx.shape
    n_classes = len(class_tokens.input_ids)
    names = encoder.base.get_input_embeddings()(class_tokens.input_ids)
    names = names.repeat(n_contexts, 1, 1)
    prompts = torch.cat(
        [
            names[:, :first],
            ctx.repeat_interleave(n_classes, dim=0),
            names[:, first:],
        ],
        dim=1,
    )
    mask = pad(class_tokens.attention_mask, (n_ctx, 0), value=1)
    mask = mask.repeat(n_contexts, 1)
    states = encoder.base(
        inputs_embeds=prompts,
        attention_mask=mask,
        **({"use_cache": False} if causal else {}),
    )[0]
    if causal:
        rows = torch.arange(len(states), device=states.device)
        sentence = states[rows, mask.sum(1) - 1]
    elif encoder.mean_pooling:
        weights = mask[..., None].to(states.dtype)
        sentence = (states * weights).sum(1) / weights.sum(1)
    else:
        sentence = states[:, 0]
    return encoder.projection(sentence).unflatten(0, (n_contexts, n_classes))


def make_schedules(options, material, seed=0):
    """Make what is compared, the authors' first.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    material : Material
        Model and data.
    seed : int
        Of the contexts.

    Returns
    -------
    list of Schedule
    """
    schedules = [AuthorsSchedule("authors", options, material, seed=seed)]
    for precision in dict.fromkeys(options.precision):
        schedules.append(
            OurSchedule(f"ours {precision}", options, material, precision, seed)
        )
        if options.backbone == "ms-2023":
            schedules.append(
                UnsharedSchedule(
                    f"unshared {precision}", options, material, precision, seed
                )
            )
    return schedules


def compare(schedules, tolerance):
    """Compare first steps and evaluations; also the warm-up.

    Arguments
    ---------
    schedules : list of Schedule
        New ones, the first of which the others have to equal.
    tolerance : float
        Largest difference of two logits, in standard deviations over classes;
        of two entries of the gradient, in largest entries.

    Returns
    -------
    dict
        ``tolerance``, ``equal`` (of those in float32), ``differences``.
    """
    differences, equal = {}, True
    for schedule in schedules:
        clips = schedule.evaluate()
        captions, gradient = schedule.step(0)
        outputs = {
            "logits of captions": (captions, captions.std(-1).mean()),
            "logits of clips": (clips, clips.std(-1).mean()),
            "gradient": (gradient, gradient.abs().max()),
        }
        if schedule is schedules[0]:
            reference = outputs
            continue
        found = {
            name: float((value - reference[name][0]).abs().max() / unit)
            for name, (value, _) in outputs.items()
            for unit in [reference[name][1]]
        }
        differences[schedule.name] = found
        verdict = "no verdict in bf16"
        if schedule.precision == "fp32":
            # Not `any(... > tolerance)`, which a NaN would pass
            same = all(value <= tolerance for value in found.values())
            equal = equal and same
            verdict = "equal" if same else "DIFFERENT"
        print(
            f"check, {schedule.name} against {schedules[0].name}: "
            + ", ".join(f"{name} {value:.1e}" for name, value in found.items())
            + f" (tolerance {tolerance:g}): {verdict}",
            flush=True,
        )
    return {
        "tolerance": tolerance,
        "equal": equal,
        "differences": differences,
    }


def ratios(measured):
    """How many times faster a step of each schedule is than of the others.

    Arguments
    ---------
    measured : dict
        By schedule, see `Schedule.measured`.

    Returns
    -------
    dict
        By schedule: its speed beside each other schedule's.
    """
    return {
        name: {
            other: theirs["step"] / values["step"]
            for other, theirs in measured.items()
            if other != name
        }
        for name, values in measured.items()
    }


def run_seconds(values, once, epochs, steps, clips, captions, stored):
    """How long a run takes, by its measured parts.

    Arguments
    ---------
    values : dict
        See `Schedule.measured`.
    once : dict or None
        Seconds of filling the store; None for a schedule without one.
    epochs : int
        Number of epochs.
    steps : int
        In an epoch.
    clips : int
        Scored after each epoch.
    captions : int
        Learned from.
    stored : bool
        Whether the store is full.

    Returns
    -------
    float
    """
    epoch = (
        steps * values["step"]
        + values["evaluation_prompts"]
        + clips * values["evaluation_per_clip"]
    )
    seconds = epochs * epoch
    if once is not None and not stored:
        seconds += captions * once["per_caption"] + clips * once["per_clip"]
    return seconds


def extrapolate(measured, material, epochs, steps, clips, batch_size):
    """Seconds of whole runs of a size that was not run.

    Arguments
    ---------
    measured : dict
        By schedule, see `Schedule.measured`.
    material : Material
        Knows what filling the store costs.
    epochs : int
        Number of epochs.
    steps : int
        In an epoch.
    clips : int
        Scored after each epoch.
    batch_size : int
        Captions in a step.

    Returns
    -------
    dict
        The size, and by schedule the seconds of a ``first_seed`` (store empty)
        and of a ``second_seed`` (store full).
    """
    size = {
        "epochs": epochs,
        "steps": steps,
        "clips": clips,
        "captions": steps * batch_size,
    }
    runs = {}
    for name, values in measured.items():
        once = None if name == "authors" else material.once
        runs[name] = {
            seed: run_seconds(values, once, **size, stored=stored)
            for seed, stored in (("first_seed", False), ("second_seed", True))
        }
    return {"extrapolated_to": size, "seconds": runs}


def run_whole(options, device, measured, material):
    """Really run some epochs with each schedule, and predict them.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    device : torch.device
        Where.
    measured : dict
        By schedule, for the prediction.
    material : Material
        The model and what filling the store costs.

    Returns
    -------
    dict
        The size, and by schedule the ``seconds`` and the ``predicted`` seconds
        of both seeds, as in `extrapolate`.
    """
    steps = -(-options.n_captions // options.batch_size)
    size = {"epochs": options.whole, "steps": steps, "clips": options.n_clips}
    predicted = extrapolate(
        measured, material, **size, batch_size=options.batch_size
    )
    seconds = {}
    for place, name in enumerate(measured):
        with tempfile.TemporaryDirectory() as folder:
            seconds[name] = {}
            for seed, key in enumerate(("first_seed", "second_seed")):
                start = time.perf_counter()
                fresh = Material(options, device, folder, material.clap)
                if name != "authors":
                    fresh.encode()
                schedule = make_schedules(options, fresh, seed)[place]
                for epoch in range(options.whole):
                    for step in range(steps):
                        schedule.step(epoch * steps + step)
                    schedule.evaluate()
                seconds[name][key] = time.perf_counter() - start
    return {
        "size": size,
        "seconds": seconds,
        "predicted": predicted["seconds"],
    }


def print_tables(measured, material, extrapolated, whole):
    """Print Markdown: parts, memory and runs, a column for each schedule.

    Arguments
    ---------
    measured : dict
        By schedule, see `Schedule.measured`.
    material : Material
        Knows what filling the store costs.
    extrapolated : dict
        See `extrapolate`.
    whole : dict or None
        See `run_whole`.
    """
    names = list(measured)

    def row(title, values):
        cells = [
            _seconds(value)
            + (f" ({_times(values[0] / value)})" if place else "")
            for place, value in enumerate(values)
        ]
        print(f"| {title} | {' | '.join(cells)} |")

    print(f"\n| | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for part in STEP_PARTS:
        row(part, [measured[name]["parts"][part] for name in names])
    row("**training step**", [measured[name]["step"] for name in names])
    row(
        "evaluation: class prompts",
        [measured[name]["evaluation_prompts"] for name in names],
    )
    row(
        "evaluation: a clip",
        [measured[name]["evaluation_per_clip"] for name in names],
    )
    peaks = [measured[name]["peak_memory_mb"] for name in names]
    cells = ["not measured" if p is None else f"{p:.0f} MB" for p in peaks]
    print(f"| peak memory of a step | {' | '.join(cells)} |")
    for kind, run in (("extrapolated", extrapolated), ("really run", whole)):
        if run is None:
            continue
        size = run.get("extrapolated_to") or run["size"]
        for seed in ("first_seed", "second_seed"):
            title = (
                f"{kind}: {size['epochs']} epochs of {size['steps']} steps "
                f"and {size['clips']} clips, {seed.replace('_', ' ')}"
            )
            row(title, [run["seconds"][name][seed] for name in names])
            if "predicted" in run:
                row(
                    "the same, predicted",
                    [run["predicted"][name][seed] for name in names],
                )
    for name in names:
        if name.startswith("unshared"):
            ours = name.replace("unshared", "ours")
            speed = measured[name]["step"] / measured[ours]["step"]
            print(f"\nShared prefix: {ours} {_times(speed)} against {name}")
    once = material.once
    print(
        "\nOurs, once for all seeds: "
        f"{_seconds(once['per_caption'])} a caption, "
        f"{_seconds(once['per_clip'])} a clip. "
        "Extrapolated runs are sums of the parts above and were not run; "
        "decoding files, checkpoints and held-out captions are in none.\n"
    )


def _times(ratio):
    return f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"


def _seconds(value):
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.1f} s" if value < 600 else f"{value / 3600:.2f} h"


def plot_steps(measured, options):
    """Draw each schedule's step as a bar of its parts.

    Arguments
    ---------
    measured : dict
        By schedule, see `Schedule.measured`.
    options : argparse.Namespace
        The command line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    names = list(measured)
    height = 1.6 + 0.55 * len(names)
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(names)
    for part, color in zip(STEP_PARTS, COLORS, strict=True):
        widths = [measured[name]["parts"][part] for name in names]
        axes.barh(names, widths, left=left, color=color, label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, (name, end) in enumerate(zip(names, left, strict=True)):
        text = f" {_seconds(end)}"
        if place:
            speed = measured[names[0]]["step"] / measured[name]["step"]
            text += f", {speed:.1f} times faster"
        axes.text(end, place, text, va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * max(left))
    axes.set_xlabel("seconds a training step")
    axes.set_title(
        f"{options.backbone}, {options.n_classes} classes, n_ctx "
        f"{options.n_ctx}, batch {options.batch_size}, {options.device}",
        fontsize="medium",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    with exit_on_input_error():
        raise SystemExit(main())
