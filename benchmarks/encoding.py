#!/usr/bin/env python3
"""Measure how fast recordings are encoded, next to the bare audio tower.

To run this script, use the following command:
> python benchmarks/encoding.py --backbone ms-2022

The tower sees waveforms that are in memory. Encoding reads files, resamples
them and fills a feature store. Both take turns, in one process and in several
that share the work over gloo, as ``torchrun``'s do; what several store has to
be the same bytes. MS-CLAP has its real size and random weights.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import hashlib
import json
import shutil
import statistics
import tempfile
import time
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import torch
from full_size import BACKBONES, build_clap, check_positive, describe_run

from afpt_plugin.data.audio import read_clip
from afpt_plugin.data.store import encode_recording_features
from afpt_plugin.errors import exit_on_input_error
from afpt_plugin.files import write_if_changed
from afpt_plugin.results.run import peak_memory_mb

#: What is timed: reading files alone, the tower alone, and both with a store.
TASKS = ("read", "tower", "encode")


def main(arguments=None):
    """Measure, print a Markdown table and write JSON.

    Arguments
    ---------
    arguments : list of str, optional
        By default the command line's.

    Returns
    -------
    dict
        What the JSON file holds.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="ms-2022", choices=BACKBONES)
    parser.add_argument("--n_clips", type=int, default=64)
    parser.add_argument("--clip_seconds", type=float, default=5.0)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="a process")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--sample_rate", type=int, default=44100, help="of the files, in Hz"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--output_file", default="results/benchmarks/encoding.json"
    )
    options = parser.parse_args(arguments)
    names = set(vars(options)) - {"backbone", "output_file"}
    check_positive(options, *sorted(names))

    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(folder, options)
        groups = [Group(n, folder, paths, options) for n in options.processes]
        for _ in range(options.repeats):
            for group in groups:
                group.run_all()
        rows = [group.close() for group in groups]
    same_bytes = len({row["features_hash"] for row in rows}) == 1
    for row in rows:
        row["against_first"] = (
            row["clips_per_second"]["encode"]
            / rows[0]["clips_per_second"]["encode"]
        )
    print(
        "| processes | files read, clips/s | tower | encoding "
        "| encoding / tower | against the first | peak memory |\n"
        "|---|---|---|---|---|---|---|"
    )
    for row in rows:
        rates = " | ".join(
            f"{row['clips_per_second'][task]:.2f}" for task in TASKS
        )
        print(
            f"| {row['processes']} | {rates} | {row['encode_per_tower']:.3f} "
            f"| {row['against_first']:.2f} | {row['peak_memory_mb']:.0f} MB |"
        )
    print(f"\nthe same bytes: {same_bytes}")
    measurement = {
        **describe_run(torch.device("cpu")),
        "options": vars(options),
        "rows": rows,
        "same_bytes": same_bytes,
    }
    write_if_changed(
        options.output_file, json.dumps(measurement, indent=2) + "\n"
    )
    return measurement


def write_clips(folder, options):
    """Write files of noise.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where.
    options : argparse.Namespace
        The command line's.

    Returns
    -------
    list of str
        Their paths.
    """
    generator = np.random.default_rng(0)
    n_samples = round(options.clip_seconds * options.sample_rate)
    paths = [f"{folder}/{index}.wav" for index in range(options.n_clips)]
    for path in paths:
        noise = generator.uniform(-0.5, 0.5, n_samples)
        soundfile.write(path, noise, options.sample_rate)
    return paths


class Group:
    """Processes that share the work and wait for what to do.

    Arguments
    ---------
    n_processes : int
        How many.
    folder : str or pathlib.Path
        Where they meet, and where their store is.
    paths : list of str
        The recordings.
    options : argparse.Namespace
        The command line's.
    """

    def __init__(self, n_processes, folder, paths, options):
        self.n_processes = n_processes
        self.n_clips = len(paths)
        self.store_folder = Path(folder) / f"store-{n_processes}"
        self.seconds = {task: [] for task in TASKS}
        self.connections, self.processes = [], []
        # Not forked: threads of this process do not live on in a copy of it.
        context = get_context("spawn")
        for rank in range(n_processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve,
                args=(rank, n_processes, folder, paths, options, theirs),
                daemon=True,
            )
            process.start()
            theirs.close()
            self.connections.append(ours)
            self.processes.append(process)
        self._receive()

    def _receive(self):
        try:
            return [connection.recv() for connection in self.connections]
        except EOFError:
            # It has said itself what was wrong.
            raise SystemExit(2) from None

    def run_all(self):
        """Do every task once and keep the time."""
        for task in TASKS:
            shutil.rmtree(self.store_folder, ignore_errors=True)
            start = time.perf_counter()
            for connection in self.connections:
                connection.send(task)
            self._receive()
            self.seconds[task].append(time.perf_counter() - start)

    def close(self):
        """End the processes.

        Returns
        -------
        dict
            What was measured, as JSON values.
        """
        for connection in self.connections:
            connection.send(None)
        peaks, hashes = zip(*self._receive(), strict=True)
        for process in self.processes:
            process.join()
        pairs = zip(self.seconds["tower"], self.seconds["encode"], strict=True)
        return {
            "processes": self.n_processes,
            "seconds": self.seconds,
            "clips_per_second": {
                task: self.n_clips / statistics.median(seconds)
                for task, seconds in self.seconds.items()
            },
            "encode_per_tower": statistics.median(
                tower / encode for tower, encode in pairs
            ),
            "peak_memory_mb": max(peaks),
            "features_hash": hashes[0],
        }


def serve(rank, n_processes, folder, paths, options, connection):
    """Do what the main process asks for, until it sends None.

    Arguments
    ---------
    rank : int
        Which of the processes this is.
    n_processes : int
        How many there are.
    folder : str or pathlib.Path
        Where they meet.
    paths : list of str
        The recordings.
    options : argparse.Namespace
        The command line's.
    connection : multiprocessing.connection.Connection
        To the main process.
    """
    with closing(connection), exit_on_input_error():
        torch.set_num_threads(options.threads)
        if n_processes > 1:
            torch.distributed.init_process_group(
                "gloo",
                init_method=f"file://{folder}/meeting-{n_processes}",
                rank=rank,
                world_size=n_processes,
            )
        clap = build_clap(options.backbone)
        settings = {"clip_seconds": options.clip_seconds}
        batches = [
            paths[start : start + options.batch_size]
            for start in range(0, len(paths), options.batch_size)
        ][rank::n_processes]

        def load(recording):
            return read_clip(recording["key"], clap.sample_rate, **settings)

        def read():
            for batch in batches:
                for path in batch:
                    load({"key": path})

        def tower():
            for batch in batches:
                clap.encode_audio(wavs[: len(batch)], lens[: len(batch)])

        def encode():
            stored[:] = encode_recording_features(
                clap,
                [{"key": path} for path in paths],
                f"{folder}/store-{n_processes}",
                load,
                settings,
                options.batch_size,
            )

        stored = []  # the store and its keys
        # One batch for all: what the samples are does not matter to the clock.
        wavs = torch.stack(
            [load({"key": path}) for path in paths[: options.batch_size]]
        )
        lens = torch.ones(len(wavs))
        clap.encode_audio(wavs, lens)  # the first time takes longer
        clap.fingerprint  # noqa: B018  (is kept)
        tasks = {"read": read, "tower": tower, "encode": encode}
        connection.send("ready")
        for task in iter(connection.recv, None):
            tasks[task]()
            connection.send("done")
        connection.send((peak_memory_mb(), features_hash(*stored)))
        if n_processes > 1:
            torch.distributed.destroy_process_group()


def features_hash(store, keys):
    """Hash what is stored.

    Arguments
    ---------
    store : FeatureStore
        The store.
    keys : list of str
        Of its items, in the order that counts.

    Returns
    -------
    str
        64 hex digits.
    """
    digest = hashlib.sha256()
    for key in keys:
        for field, tensor in sorted(store[key].items()):
            kind = f"{key} {field} {tensor.dtype} {list(tensor.shape)}"
            digest.update(kind.encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    with exit_on_input_error():
        main()
