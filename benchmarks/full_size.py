"""What the benchmarks share: full-size CLAPs without weights, clocks, memory.

The speed of a tower depends on its size and not on its values, so that random
weights will do and nothing is downloaded.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import ctypes
import gc
import itertools
import json
import os
import platform
import re
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from afpt_plugin.backbones import load_clap
from afpt_plugin.errors import InputError
from afpt_plugin.experiment import (
    CAPTION_FOLDER,
    check_device,
    load_captions,
)
from afpt_plugin.files import replacing, write_if_changed
from afpt_plugin.results.run import package_versions
from afpt_plugin.sample_recordings import VOCABULARIES

BACKBONES = ("mini", "ms-2022", "ms-2023")
ESC50_NAMES = [name.replace("_", " ") for name in VOCABULARIES["esc50"]]
PRECISIONS = ("fp32", "bf16")


def build_clap(backbone):
    """Build a CLAP of its real size; MS-CLAP's weights are random.

    Arguments
    ---------
    backbone : str
        One of `BACKBONES`.

    Returns
    -------
    FrozenClap
        On the CPU.
    """
    if backbone == "mini":
        return load_clap("mini")
    from transformers.modeling_utils import no_init_weights

    from afpt_plugin.backbones.mini_clap import load_minilm
    from afpt_plugin.backbones.ms_clap import MsClap2022, MsClap2023

    with no_init_weights():
        if backbone == "ms-2022":
            # MiniLM keeps the word pieces of bert-base-uncased.
            clap = MsClap2022(tokenizer=load_minilm()[1])
        else:
            clap = MsClap2023(tokenizer=_gpt2_like_tokenizer())
    _fill(clap)
    return clap


@torch.no_grad()
def _fill(clap):
    # A million random numbers again and again: drawing 200 million takes a
    # minute. Larger than a model's usual start, from which all texts look the
    # same and a comparison of logits sees nothing.
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1_000_003, generator=generator)
    for start, (name, value) in enumerate(clap.named_parameters()):
        if name.endswith((*clap.constant_buffers, "logit_scale")):
            continue
        repeats = value.numel() // len(noise) + 2
        drawn = noise.roll(start).repeat(repeats)[: value.numel()]
        if value.dim() == 1:
            drawn = 0.1 * drawn + name.endswith(".weight")
        elif not name.endswith(("embeddings.weight", "wte.weight")):
            gain = 2 if value.dim() == 4 else 1
            drawn = drawn * (gain / value[0].numel()) ** 0.5
        value.copy_(drawn.view(value.shape))


def _gpt2_like_tokenizer():
    # GPT-2's vocabulary is not to be had without network. Byte pairs of our
    # captions are about as long: a token for nearly every word.
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=50257,
        special_tokens=["!", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        line
        for path in sorted(CAPTION_FOLDER.glob("*.csv"))
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="!",
        eos_token="<|endoftext|>",
        padding_side="right",
        model_max_length=1024,
    )


def make_class_names(n_classes):
    """Give ESC-50's class names, then pairs of them, as long as AudioSet's.

    Arguments
    ---------
    n_classes : int
        How many; at most 50 * 50.

    Returns
    -------
    list of str
        All different.

    Raises
    ------
    InputError
        If there are not so many, or fewer than 2 are asked for.
    """
    names = list(ESC50_NAMES)
    if not 2 <= n_classes <= len(names) ** 2:
        raise InputError(
            f"{n_classes} classes: give 2 to {len(names) ** 2} of them"
        )
    pairs = (
        f"{name}, {names[(index + shift) % len(names)]}"
        for shift in range(1, len(names))
        for index, name in enumerate(names)
    )
    return list(itertools.islice(itertools.chain(names, pairs), n_classes))


def make_captions(n_captions):
    """Give the package's own captions of ESC-50, a class after the other.

    Arguments
    ---------
    n_captions : int
        How many.

    Returns
    -------
    list of str
        All different.

    Raises
    ------
    InputError
        If the package has not so many.
    """
    captions, _, _ = load_captions("ours", "esc50", ESC50_NAMES, 0, None, None)
    texts = list(dict.fromkeys(caption.caption for caption in captions))
    if not 1 <= n_captions <= len(texts):
        raise InputError(f"{n_captions} captions: give 1 to {len(texts)}")
    return texts[:: len(texts) // n_captions][:n_captions]


def find_device(name, precisions):
    """Check that a device exists and computes as wanted.

    Arguments
    ---------
    name : str
        E.g. ``cpu`` or ``cuda:0``.
    precisions : list of str
        Of `PRECISIONS`.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If there is none, or bf16 would take hours on it.
    """
    device = torch.device(check_device(name))
    if "bf16" in precisions:
        slower = _seconds(device, torch.bfloat16) / _seconds(
            device, torch.float32
        )
        # Without instructions for it a processor is 80 times slower.
        if slower > 5:
            raise InputError(
                f"--precision bf16: a product of matrices takes {slower:.0f} "
                f"times as long as in fp32 on {name}, which has no "
                "instructions for it; leave bf16 out"
            )
    return device


def _seconds(device, dtype):
    clock, matrix = Clock(device), torch.ones(256, 256).to(device, dtype)
    for _ in range(5):
        with clock("product"):
            matrix @ matrix
    return clock.median("product")


def autocast(device, precision):
    """Compute in bfloat16, as SpeechBrain's ``--precision bf16`` does.

    Arguments
    ---------
    device : torch.device
        Where.
    precision : str
        One of `PRECISIONS`; fp32 does nothing.

    Returns
    -------
    torch.autocast
        To be entered.
    """
    return torch.autocast(device.type, torch.bfloat16, precision == "bf16")


class Clock:
    """Seconds by part, each as often as it was entered.

    Arguments
    ---------
    device : torch.device
        A GPU is waited for before a part begins and ends.

    Example
    -------
    >>> clock = Clock(torch.device("cpu"))
    >>> with clock("nothing"):
    ...     pass
    >>> clock.median("nothing") < 1
    True
    """

    def __init__(self, device):
        self.device = device
        self.parts = {}

    @contextmanager
    def __call__(self, part):
        """Time what is inside a ``with`` block.

        Arguments
        ---------
        part : str
            Its name.
        """
        start = self._now()
        yield
        self.parts.setdefault(part, []).append(self._now() - start)

    def median(self, part):
        """Median seconds of a part.

        Arguments
        ---------
        part : str
            Its name.

        Returns
        -------
        float
        """
        return statistics.median(self.parts[part])

    def _now(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class PeakMemory:
    """The most memory held inside ``with`` blocks, in MB.

    On a GPU it is what tensors took there. On Linux it is the process's
    resident memory, whose high-water mark the kernel lowers on request: several
    schedules in one process are told apart. Elsewhere it stays None.

    Arguments
    ---------
    device : torch.device
        Where the memory is.
    """

    def __init__(self, device):
        self.device = device
        self.mb = None

    def __enter__(self):
        """Forget the peak so far."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        elif platform.system() == "Linux":
            # What malloc keeps of the schedule before is not this one's.
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        return self

    def __exit__(self, *error):
        """Keep the peak, if it is higher than before."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        elif platform.system() == "Linux":
            status = Path("/proc/self/status").read_text()
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10
        else:
            return
        self.mb = max(self.mb or 0.0, peak)


def describe_run(device):
    """Say where and how a measurement was taken.

    Arguments
    ---------
    device : torch.device
        The device.

    Returns
    -------
    dict
        JSON values.
    """
    processor = platform.processor() or platform.machine()
    if platform.system() == "Linux":
        found = re.search(
            r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()
        )
        processor = found[1].strip() if found else processor
    return {
        "command": " ".join(["python", *sys.argv]),
        "processor": processor,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else "cpu",
        "versions": package_versions(),
    }


def make_parser(description, steps):
    """Make a parser with what the benchmarks of training steps have in common.

    Arguments
    ---------
    description : str
        Of the script.
    steps : int
        Default of ``--steps``.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backbone", choices=BACKBONES, default="ms-2022")
    parser.add_argument("--n_ctx", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=24)
    parser.add_argument(
        "--steps",
        type=int,
        default=steps,
        help="timed steps of each kind (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, help="default: torch's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", default="results/benchmarks")
    return parser


def check_positive(options, *names):
    """Refuse numbers that count or measure nothing.

    Arguments
    ---------
    options : argparse.Namespace
        The command line.
    *names : str
        Of options: numbers, lists of numbers, or None.

    Raises
    ------
    InputError
        If one is not above 0.
    """
    for name in names:
        value = getattr(options, name)
        least = min(value) if isinstance(value, list) else value
        if least is not None and least <= 0:
            raise InputError(f"--{name} {least}: give more than 0")


def write_measurement(name, options, device, found, figure):
    """Write the numbers and the figure of a benchmark, and print where.

    Arguments
    ---------
    name : str
        Of the files in ``options.output``, without ending.
    options : argparse.Namespace
        The command line.
    device : torch.device
        Where it ran.
    found : dict
        JSON values.
    figure : matplotlib.figure.Figure
        The figure.
    """
    settings = {k: v for k, v in vars(options).items() if k != "output"}
    measurement = {"run": describe_run(device), "settings": settings, **found}
    path = Path(options.output, name)
    text = json.dumps(measurement, indent=2, allow_nan=False)
    write_if_changed(path.with_suffix(".json"), text + "\n")
    with replacing(path.with_suffix(".png")) as part:
        figure.savefig(part, dpi=150)
    print(path.with_suffix(".json"), path.with_suffix(".png"), sep="\n")
