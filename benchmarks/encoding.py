"""Compare the speed of filling a feature store with that of the audio tower.

Authors
 * The afpt_plugin developers 2026
"""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import soundfile
import torch
from full_size import CLIP_SECONDS, Clock, build_clap

from afpt_plugin.data import gpu_encoding
from afpt_plugin.data.audio import read_clip
from afpt_plugin.data.datasets import embed_recordings

#: Number of files on disk; if there are more clips, files are read repeatedly.
N_FILES = 64

#: Number of threads that decode files for a GPU.
N_READERS = 4


def measure_encoding(options):
    """Compare filling a store with the bare tower, both after a warm-up.

    Returns a dict of number of processes -> ``tower`` and ``encoding`` in clips
    per second, ``batch``, and ``ms`` per clip of the tower.
    """
    titles = "batch | tower, ms a clip | tower, clips/s | encoding, clips/s"
    titles += " | of the tower | of the first"
    print(f"| processes | {titles} |\n|---{'|---' * 6}|")
    found = {}
    processes = [1] if options.device != "cpu" else options.processes
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{index}.wav" for index in range(N_FILES)]
        paths = paths[: options.n_clips]
        generator = np.random.default_rng(0)
        for path in paths:
            noise = generator.uniform(-0.5, 0.5, int(CLIP_SECONDS * 44100))
            soundfile.write(path, noise, 44100)
        recordings = [
            {"key": str(index), "wav": paths[index % len(paths)]}
            for index in range(options.n_clips)
        ]
        for n in processes:
            with ProcessPoolExecutor(n, get_context("spawn")) as pool:
                ranks = [
                    pool.submit(
                        encode_share, rank, n, folder, recordings, options
                    )
                    for rank in range(n)
                ]
            seconds, batch = ranks[0].result()
            tower, encoding = (options.n_clips / s for s in seconds.values())
            found[n] = {
                "tower": tower,
                "encoding": encoding,
                "batch": batch,
                "ms": 1000 / tower,
            }
            speedup = encoding / found[processes[0]]["encoding"]
            print(
                f"| {n} | {batch} | {1000 / tower:.3g} | {tower:.2f} | "
                f"{encoding:.2f} | {encoding / tower:.0%} | {speedup:.2f}x |",
                flush=True,
            )
    return found


def encode_share(rank, n_processes, folder, recordings, options):
    """Encode one process's share of the recordings.

    Returns the seconds that all processes take together, and the batch size.
    """
    torch.set_num_threads(options.threads)
    place = f"file://{folder}/meeting-{n_processes}"
    torch.distributed.init_process_group(
        "gloo", place, rank=rank, world_size=n_processes
    )
    wait = torch.distributed.barrier
    gpu_encoding.N_READERS = N_READERS
    clap = build_clap(options.backbone).to(options.device)
    settings = {"clip_seconds": CLIP_SECONDS}

    def load(recording):
        """Read a recording as a recipe does."""
        return read_clip(recording["wav"], clap.sample_rate, **settings)

    def fill(name, recordings):
        """Fill an empty store."""
        place = f"{folder}/store-{n_processes}-{name}"
        embed_recordings(clap, recordings, place, load, settings, size)

    @torch.no_grad()
    def encode(batches):
        """Run only the tower, on data that are ready in memory."""
        for wavs in batches:
            clap.encode_audio(wavs, torch.ones(len(wavs), device=clap.device))
        if clap.device.type == "cuda":
            torch.cuda.synchronize()

    n_samples = round(CLIP_SECONDS * clap.sample_rate)
    size = gpu_encoding.recordings_at_once(clap, n_samples)
    # The same batch serves every step: the time does not depend on the samples.
    some = [load(recording) for recording in recordings[: min(size, N_FILES)]]
    batch = torch.stack([some[i % len(some)] for i in range(size)])
    batch = batch.to(clap.device)
    starts = range(0, len(recordings), size)
    shares = [batch[: len(recordings) - start] for start in starts]
    shares = shares[rank::n_processes]
    _ = clap.fingerprint  # computed once
    encode(shares[:2])
    fill("warm", recordings[: 2 * size * n_processes])
    clock = Clock(torch.device("cpu"))  # `encode` waits for the GPU
    for number in range(options.steps):
        wait()
        with clock("tower"):
            encode(shares)
            wait()
        with clock("encoding"):  # includes waiting for the other processes
            fill(number, recordings)
    torch.distributed.destroy_process_group()
    return clock.medians(), size
