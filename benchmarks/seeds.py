"""Time whole runs, from stored embeddings to a test: one seed and many.

Authors
 * The afpt_plugin developers 2026
"""

import functools
import logging
import math
import tempfile
import time
from pathlib import Path

import torch
from full_size import Material, build_clap, show, synchronize
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger

from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.checkpoints import AtomicCheckpointer
from afpt_plugin.data.datasets import EmbeddingDataset
from afpt_plugin.learners import PromptLearner, Template
from afpt_plugin.results.run import RunResults
from afpt_plugin.task import Task
from afpt_plugin.training.joint import JointRuns
from afpt_plugin.training.precision import set_tf32

N_CAPTIONS = 864


def measure_seeds(options):
    """Compare seeds that learn one after the other with seeds at once.

    Returns number of seeds -> seconds, and ``encoding``: the additional time of
    the first seed.
    """
    kind = options.precision[0]
    set_tf32("tf32" if kind == "tf32" else "fp32")
    clap = build_clap(options.backbone).to(options.device)
    size = (options.n_classes, N_CAPTIONS, options.n_clips)
    with tempfile.TemporaryDirectory() as folder:
        Material(clap, Path(folder, "warm"), options.n_classes, 32, 8)
        start = time.perf_counter()
        material = Material(clap, folder, *size)
        found = {"encoding": time.perf_counter() - start}
        print(
            f"{len(material.captions)} captions and {options.n_clips} clips "
            f"encoded in {show(found['encoding'])}; {options.epochs} epochs, "
            f"{options.n_ctx} vectors, batches of {options.batch_size}, {kind}\n"
        )
        make = functools.partial(make_run, options, material, kind)
        make(Path(folder, "warm"), 0)()
        print("| seeds at once | seconds | of one |\n|---|---|---|")
        for n in options.seeds:
            runs = [
                make(Path(folder, f"{n}-{seed}"), seed) for seed in range(n)
            ]
            start = time.perf_counter()
            for error in JointRuns(runs).run() if n > 1 else [runs[0]()]:
                if isinstance(error, BaseException):
                    raise error
            synchronize(clap.device)
            found[n] = time.perf_counter() - start
            ratio = found[n] / found[options.seeds[0]]
            print(f"| {n} | {show(found[n])} | {ratio:.2f}x |", flush=True)
    return found


def make_run(options, material, kind, folder, seed):
    """Make a function that does a recipe's run, from stored embeddings on."""
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    logging.getLogger("afpt_plugin").setLevel(logging.WARNING)
    task = Task("Noise", material.class_names)
    n_classes = len(material.class_names)

    def dataset(store, keys):
        """Make a data set whose labels cycle through the classes."""
        items = {
            str(index): {"key": key, "labels": [index % n_classes]}
            for index, key in enumerate(keys)
        }
        return EmbeddingDataset(store, items, n_classes)

    def run():
        """Learn and test."""
        items = dataset(*material.stored_captions)
        held_out = [index % 5 == 0 for index in range(len(items))]
        train = items.part([not held for held in held_out])
        learner = PromptLearner(options.n_ctx, seed=seed)
        baseline = Template()
        for each in (learner, baseline):
            each.setup(material.clap, task.class_names)
        counter = EpochCounter(options.epochs)
        folder.mkdir(parents=True, exist_ok=True)
        logger = FileTrainLogger(str(folder / "train_log.txt"))
        brain = AdaptationBrain(
            task,
            material.clap,
            baseline,
            RunResults(folder, logger, "captions", seed),
            {"data": {}, "supervision": {"kind": "captions"}},
            dataset(*material.stored_clips),
            {"batch_size": 64},
            modules={"learner": learner},
            opt_class=functools.partial(torch.optim.AdamW, lr=0.002),
            hparams={"max_grad_norm": math.inf},
            run_opts={
                "device": options.device,
                "noprogressbar": True,
                "precision": kind if kind == "bf16" else "fp32",
            },
            checkpointer=AtomicCheckpointer(
                folder / "save", {"learner": learner, "counter": counter}
            ),
        )
        brain.fit(
            counter,
            train,
            items.part(held_out),
            train_loader_kwargs={
                "batch_size": options.batch_size,
                "shuffle": True,
            },
            valid_loader_kwargs={"batch_size": 256},
        )
        brain.evaluate()
        graphs = (brain.captured and brain.captured.graphs) or {}
        if graphs and not any(graphs.values()):
            raise RuntimeError("steps were launched kernel by kernel")

    return run
