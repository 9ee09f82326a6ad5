#!/usr/bin/env python3
"""Time the authors' training schedule and ours on the same full-size CLAP.

To run this script, use the following command:
> python benchmarks/schedule.py --backbone ms-2022

The authors' schedule, in our own straightforward code and in float32: class
prompts padded to a fixed length (100 tokens, context included), one pass for
the coarse and one for the fine context, captions encoded again at every step
and recordings again at every epoch, once for the clip and once for the frames.
Ours are the package's own classes: prompts trimmed to the longest class name,
both contexts in one pass, captions and recordings read from the store. Both
leave dropout off and mask padding, so that they compute the same logits;
``--check`` only compares. "recipe" is ours with the recipes' own settings, a
context of five words and four times the batch. For GPT-2 there is also ours
without the shared prefix.

The schedules take turns step by step in one process, and a part's time is the
median over steps: other work on the machine slows all of them alike. Before a
step the process's high-water mark of memory is put back, so that each schedule
has its own peak (with the model in it).

Authors
 * The afpt_plugin developers 2026
"""

import math
import tempfile
import time

import torch
from full_size import (
    PRECISIONS,
    Clock,
    PeakMemory,
    autocast,
    build_clap,
    check_positive,
    find_device,
    make_captions,
    make_class_names,
    make_parser,
    write_measurement,
)
from torch.nn.functional import cross_entropy, pad

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.data.store import (
    encode_caption_features,
    encode_recording_features,
)
from afpt_plugin.errors import InputError, exit_on_input_error
from afpt_plugin.learners.prompts import PromptLearner
from afpt_plugin.similarity import coarse_logits, fine_logits

CLIP_SECONDS = 5.0
CTX_INIT = "this is a sound of"

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
        check = _compare(schedules, options.tolerance)
        if options.check:
            return 0 if check["equal"] else 1
        for schedule in schedules:
            schedule.clock = Clock(device)  # that was the warm-up
        for number in range(1, options.steps + 1):
            for schedule in schedules:
                with schedule.memory:
                    schedule.step(number)
            for schedule in schedules:
                schedule.evaluate()
        measured = {s.name: s.measured() for s in schedules}
        steps = {name: values["step"] for name, values in measured.items()}
        size = ESC50_RUN | {"captions": ESC50_RUN["steps"] * options.batch_size}
        found = {
            "check": check,
            "once": material.once,
            "schedules": measured,
            "step_ratios": {
                name: {k: v / own for k, v in steps.items() if k != name}
                for name, own in steps.items()
            },
            "extrapolated": {
                "extrapolated_to": size,
                "seconds": extrapolate(measured, material.once, size),
            },
            "whole": None,
        }
        if options.whole:
            found["whole"] = _run_whole(options, device, measured, material)
    _print_tables(found)
    figure = _plot_steps(measured, options)
    write_measurement("schedule", options, device, found, figure)
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
    parser = make_parser(__doc__, steps=3)
    parser.add_argument("--n_classes", type=int, default=50)
    parser.add_argument("--n_captions", type=int, default=96)
    parser.add_argument("--n_clips", type=int, default=24)
    parser.add_argument(
        "--fixed_length",
        type=int,
        default=100,
        help="tokens that the authors' schedule pads to (default: 100)",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["fp32"],
        help="of our schedule, one or both (default: fp32)",
    )
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
    names = ("n_ctx", "batch_size", "n_clips", "steps", "threads", "whole")
    check_positive(options, *names)
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

    def encode(self):
        """Fill the store, and keep the time in ``once`` (seconds)."""
        clock = Clock(self.clap.device)
        _ = self.clap.fingerprint  # its cost does not grow with the captions
        with clock("captions"):
            captions = encode_caption_features(
                self.clap, self.captions, self.folder
            )
        wavs = {f"clip-{index}": wav for index, wav in enumerate(self.wavs)}
        with clock("clips"):
            clips = encode_recording_features(
                self.clap,
                [{"key": key} for key in wavs],
                self.folder,
                lambda recording: wavs[recording["key"]],
                {"clip_seconds": CLIP_SECONDS},
            )
        self.stored = {"caption": captions, "clip": clips}
        self.once = {
            "per_caption": clock.median("captions") / len(self.captions),
            "per_clip": clock.median("clips") / len(self.wavs),
        }


class Schedule:
    """A way to train; subclasses say where embeddings come from.

    They have three methods: ``prompts()`` embeds the classes under both
    contexts, [n_classes, D] each; ``read_captions(batch)`` and
    ``read_clips(batch)`` give sentences or clips [B, D], their words or frames
    [B, T, D] and a mask [B, T], where ``batch`` is a list of indices.

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
        self.batch_size = options.batch_size
        self.learner = PromptLearner(n_ctx=options.n_ctx, seed=seed)
        self._set_up(material.class_names)
        self.memory = PeakMemory(self.device)
        self.clock = Clock(self.device)

    def _set_up(self, class_names):
        self.learner.setup(self.clap, class_names).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=0.002, betas=(0.9, 0.98), eps=1e-6
        )

    def _logits(self, classes, items):
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
        size, total = self.batch_size, len(self.material.captions)
        batch = [(number * size + i) % total for i in range(size)]
        clock = self.clock
        with clock("step"):
            with autocast(self.device, self.precision):
                with clock("class prompts, forward"):
                    classes = self.prompts()
                with clock("captions"), torch.no_grad():
                    items = self.read_captions(batch)
            with clock("logits and loss"):
                logits = self._logits(classes, items)
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
                    self._logits(classes, self.read_clips(batch.tolist()))
                    for batch in batches
                ]
        return torch.cat(logits, dim=1)

    def measured(self):
        """Tell what the clock (median seconds) and the memory showed."""
        clock = self.clock
        return {
            "precision": self.precision,
            "batch_size": self.batch_size,
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
            _plain_prompts(self.clap, ctx[None], self.tokens)[0]
            for ctx in (self.learner.ctx_coarse, self.learner.ctx_fine)
        )

    def read_captions(self, batch):
        """Encode captions, padded to the fixed length."""
        captions = [self.material.captions[index] for index in batch]
        return self.clap.encode_captions(captions, self.options.fixed_length)

    def read_clips(self, batch):
        """Encode clips twice."""
        wavs = self.material.wavs[batch].to(self.device)
        lens = torch.ones(len(batch), device=self.device)
        clip = self.clap.encode_audio(wavs, lens).whole
        audio = self.clap.encode_audio(wavs, lens)
        return clip, audio.parts, audio.mask


class OurSchedule(Schedule):
    """The package's own classes; see `Schedule`."""

    def prompts(self):
        """Embed the classes in one pass."""
        return self.learner(self.clap)

    def read_captions(self, batch):
        """Read captions from the store."""
        return self._read("caption", batch, "sentence", "words")

    def read_clips(self, batch):
        """Read clips from the store."""
        return self._read("clip", batch, "clip", "frames")

    def _read(self, kind, batch, whole, elements):
        store, keys = self.material.stored[kind]
        keys = [keys[index] for index in batch]
        return store.stack(keys, whole), *store.padded(keys, elements)


class RecipeSchedule(OurSchedule):
    """Ours, as the recipes have it: contexts from words, batches of 96.

    Other logits than the authors' schedule has, so it is not compared.
    """

    def _set_up(self, class_names):
        self.batch_size *= 4  # 96 to the authors' 24
        self.learner = PromptLearner(ctx_init=CTX_INIT)
        super()._set_up(class_names)


class UnsharedSchedule(OurSchedule):
    """Ours, but every class computes the context's positions again."""

    def prompts(self):
        """Embed the classes in one pass of whole prompts."""
        learner = self.learner
        ctx = torch.stack([learner.ctx_coarse, learner.ctx_fine])
        tokens = ClassTokens(learner.input_ids, learner.attention_mask)
        return tuple(_plain_prompts(self.clap, ctx, tokens))


def _plain_prompts(clap, ctx, class_tokens):
    """Embed prompts with nothing but the transformer itself.

    Of contexts [K, n_ctx, d] and class tokens [n_classes, L]: [K, n_classes, D].
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
    """Make what is compared, the authors' schedule first; see `Schedule`."""
    ours = {"ours": OurSchedule, "recipe": RecipeSchedule}
    if options.backbone == "ms-2023":
        ours["unshared"] = UnsharedSchedule
    return [
        AuthorsSchedule("authors", options, material, seed=seed),
        *(
            way(f"{name} {precision}", options, material, precision, seed)
            for precision in dict.fromkeys(options.precision)
            for name, way in ours.items()
        ),
    ]


def _compare(schedules, tolerance):
    """Compare first steps and evaluations with the first schedule's.

    Logits differ by standard deviations over classes, gradients by the largest
    entry. The schedules are new, so that this is also the warm-up.
    """
    differences, equal = {}, True
    for schedule in schedules:
        clips = schedule.evaluate()
        captions, gradient = schedule.step(0)
        outputs = {
            "logits of captions": captions,
            "logits of clips": clips,
            "gradient": gradient,
        }
        if schedule is schedules[0]:
            reference = outputs
            units = {name: x.std(-1).mean() for name, x in outputs.items()}
            units["gradient"] = gradient.abs().max()
            continue
        if isinstance(schedule, RecipeSchedule):
            continue
        found = {
            name: float((x - reference[name]).abs().max() / units[name])
            for name, x in outputs.items()
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
    check = {"tolerance": tolerance, "equal": equal}
    return check | {"differences": differences}


def extrapolate(measured, once, size):
    """Add measured parts up to whole runs.

    Arguments
    ---------
    measured : dict
        By schedule, see `Schedule.measured`.
    once : dict
        Seconds of filling our store, ``per_caption`` and ``per_clip``.
    size : dict
        ``epochs``, ``captions`` in one, ``clips`` scored after it.

    Returns
    -------
    dict
        By schedule, the seconds of a ``first_seed`` (store empty) and of a
        ``second_seed`` (store full).
    """
    filling = (
        size["captions"] * once["per_caption"]
        + size["clips"] * once["per_clip"]
    )
    runs = {}
    for name, values in measured.items():
        steps = math.ceil(size["captions"] / values["batch_size"])
        seconds = size["epochs"] * (
            steps * values["step"]
            + values["evaluation_prompts"]
            + size["clips"] * values["evaluation_per_clip"]
        )
        runs[name] = {
            "first_seed": seconds + (0 if name == "authors" else filling),
            "second_seed": seconds,
        }
    return runs


def _run_whole(options, device, measured, material):
    """Really run some epochs with each schedule, and predict them."""
    steps = -(-options.n_captions // options.batch_size)
    size = {
        "epochs": options.whole,
        "steps": steps,
        "captions": steps * options.batch_size,
        "clips": options.n_clips,
    }
    predicted = extrapolate(measured, material.once, size)
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
                steps = math.ceil(size["captions"] / schedule.batch_size)
                for epoch in range(options.whole):
                    for step in range(steps):
                        schedule.step(epoch * steps + step)
                    schedule.evaluate()
                seconds[name][key] = time.perf_counter() - start
    return {"size": size, "seconds": seconds, "predicted": predicted}


def _print_tables(found):
    """Print Markdown: parts, memory and runs, a column for each schedule."""
    measured, once = found["schedules"], found["once"]
    columns = list(measured.values())

    def row(title, values):
        cells = [
            _seconds(value)
            + (f" ({_times(values[0] / value)})" if place else "")
            for place, value in enumerate(values)
        ]
        print(f"| {title} | {' | '.join(cells)} |")

    print(f"\n| | {' | '.join(measured)} |\n|---{'|---' * len(measured)}|")
    for part in STEP_PARTS:
        row(part, [column["parts"][part] for column in columns])
    for title, key in (
        ("**training step**", "step"),
        ("evaluation: class prompts", "evaluation_prompts"),
        ("evaluation: a clip", "evaluation_per_clip"),
    ):
        row(title, [column[key] for column in columns])
    peaks = [column["peak_memory_mb"] for column in columns]
    cells = ["not measured" if p is None else f"{p:.0f} MB" for p in peaks]
    print(f"| peak memory of a step | {' | '.join(cells)} |")
    extrapolated, whole = found["extrapolated"], found["whole"]
    runs = [("extrapolated", extrapolated["extrapolated_to"], extrapolated)]
    runs += [("really run", whole["size"], whole)] if whole else []
    for kind, size, run in runs:
        title = (
            f"{kind}: {size['epochs']} epochs of {size['captions']} captions and "
            f"{size['clips']} clips"
        )
        for seed in ("first_seed", "second_seed"):
            seconds = [both[seed] for both in run["seconds"].values()]
            row(f"{title}, {seed.replace('_', ' ')}", seconds)
            if run is whole:
                predicted = [both[seed] for both in run["predicted"].values()]
                row("the same, predicted", predicted)
    for name in measured:
        if name.startswith("unshared"):
            ours = name.replace("unshared", "ours")
            speed = found["step_ratios"][ours][name]
            print(f"\nShared prefix: {ours} {_times(speed)} against {name}")
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


def _plot_steps(measured, options):
    """Draw each schedule's step as a bar of its parts."""
    import pandas as pd
    from matplotlib.figure import Figure

    height = 1.6 + 0.55 * len(measured)
    figure = Figure(figsize=(8, height), layout="constrained")
    parts = pd.DataFrame({name: v["parts"] for name, v in measured.items()}).T
    axes = parts.plot.barh(
        stacked=True,
        ax=figure.subplots(),
        color=COLORS,
        width=0.8,
        legend=False,
    )
    ends = parts.sum(axis=1)
    steps = [values["step"] for values in measured.values()]
    for place, (end, step) in enumerate(zip(ends, steps, strict=True)):
        faster = f", {steps[0] / step:.1f} times faster" if place else ""
        axes.text(end, place, f" {_seconds(end)}{faster}", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * ends.max())
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
