"""``afpt classify``: score recordings, few or a hundred thousand of them.

A recording's rows are written as soon as they are known, and recordings in the
tables are not scored again. So a stopped command can continue, and new files
are added. ``OUTPUT.json`` beside the output records what it depends on.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import hashlib
import os
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from afpt_plugin.commands import say
from afpt_plugin.commands.classify_events import (
    ENDINGS,
    add_options,
    check_threshold,
    read_options,
    table_path,
)
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.folders import locked

# Number of recordings in a batch; their windows share batches of the tower.
GROUP = 8
# A file of more bytes is a batch of its own.
LARGE = 4 * 2**20

SUFFIXES = (".csv", ".parquet")

EPILOG = """\
output: one row per recording: file, seconds, error, flag, class_1, score_1, ...
  A score is a probability; the scores of all classes sum to 1. If a recording may
  have several classes, each has a probability of its own, and `present` names those
  above the export's threshold. The export's README says how well it is calibrated.
  The flag says what is odd; | joins several flags:
    silent             no sample is above -80 dB: no class, no event is claimed
    very short         less than 0.1 s
    clipped            many samples are at the peak
    above full scale   samples exceed 1.5, not 1: the scores may mean nothing
    channel inverted   their mean would cancel them, so one channel is used
    looped             shorter than the export's window, so it is repeated
    none of these      with --reject: no class, no event is claimed
  --reject adds `margin`: how much nearer the recording is to a class than to other
  sounds. If it is below `margin_below` in SCORES.json, it is none of these.
  --frames adds scores.frames.csv: one row per frame: file, start and center in
  seconds, and one column per class with its logit.
  --windows adds scores.windows.csv, with the best class of each window, and
  scores.segments.csv, where neighboring windows of one class are one row: file,
  start, end, class, score.

again: each row is written as soon as it is known. The same command continues where
  it was stopped; later it adds new files, and scores again those that have changed
  or had failed. Other options need --overwrite, or another --output.

events: --format writes to --output when each class is heard, and the table above
  beside it: labels.scores.csv. dcase is one .tsv file: filename, onset, offset,
  event_label. audacity (labels) and raven (selection tables with BirdNET's
  columns) are a .txt file of one recording, or a folder with a file for each. A
  recording's name begins after the folder that all of them share. A class is
  heard in frames whose probability is above --threshold, by default 0.5, or, if
  a recording may have several classes, the export's threshold.

disk: --features keeps the embeddings of recordings of up to some minutes, so that
  they are not encoded again for another learner, other class names or options:
  for 100,000 windows of 5 s, 2 GB with mini, 8 GB with ms-2022, 13 GB with ms-2023.

examples:
  afpt classify recordings/ --class-names "dog,rain,car horn" --output scores.csv
  afpt classify recordings/ --source results/ESC50/export --output scores.csv
  afpt classify dog.wav --source export --output dog.csv --frames --figure dog.png
  afpt classify dog.wav --source export --output dog.txt --smooth 1.5
  afpt classify recordings/ --source export --output events.tsv
  afpt classify recordings/ --source export --output labels --format raven \\
      --threshold 0.6 --min-length 0.5
  torchrun --nproc_per_node 2 -m afpt_plugin.cli classify recordings/ \\
      --source export --output scores.parquet
"""


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "classify",
        help="score recordings with what a run learned, or with class names",
        description="Score recordings with the export that a run left behind, "
        "or, untuned, with class names in a template. Exit status 1 means that "
        "a file could not be scored; its row says why.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILES_OR_FOLDER",
        help="recordings, or folders with recordings at any depth, also behind "
        "links",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="SCORES",
        help="the table to write, .csv or .parquet; or events",
    )
    for option, default, text in (
        ("--top", 5, "classes per row, the best first (default: 5)"),
        ("--batch-size", 8, "windows encoded at once (default: 8)"),
    ):
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=text
        )
    for option, metavar, text in (
        ("--source", "EXPORT", "from `afpt tune`, a run's export/, or the hub"),
        (
            "--class-names",
            "NAMES",
            "a file, one name per line, or 'dog,rain': the classes instead of "
            "the export's, or without one",
        ),
        ("--clap", "NAME", "without --source: see `afpt tune` (default: mini)"),
        (
            "--prompt-template",
            "TEXT",
            "without --source (default: 'this is a sound of {}')",
        ),
        (
            "--figure",
            "PNG",
            "draw the frames of one recording: of the --top classes, those "
            "whose peak is at least a quarter of the highest",
        ),
        ("--features", "FOLDER", "keep the embeddings here for other runs"),
        ("--weights", "FILE", "local checkpoint of the backbone"),
        ("--device", "NAME", "cpu, cuda:0, ... (default: a GPU if present)"),
    ):
        parser.add_argument(option, metavar=metavar, help=text)
    add_options(parser)
    for option, text in (
        ("--frames", "also score every frame"),
        ("--windows", "also score every window"),
        ("--reject", "answer `none of these` for what fits no class"),
        ("--allow-errors", "exit with status 0 despite unreadable files"),
        ("--overwrite", "replace the output instead of adding to it"),
    ):
        parser.add_argument(option, action="store_true", help=text)
    parser.set_defaults(run=run)


def run(args):
    """Run the command line; return the exit status."""
    from afpt_plugin.data.audio import find_recordings, name_skipped

    output = Path(args.output)
    events = read_options(args, output)
    _check_arguments(args, output, events)
    files, skipped = find_recordings(args.files, everything=True)
    if events:
        output = table_path(output, len(files))
    if args.figure and len(files) != 1:
        raise InputError(
            f"--figure draws one recording, but {len(files)} are given; name "
            "one file"
        )

    import torch
    from speechbrain.utils.distributed import ddp_init_group, if_main_process
    from speechbrain.utils.logger import get_logger

    logger = get_logger(__name__)
    classifier = _load(args)
    facts = _facts(classifier, files, args, events)
    # Start the group only now, after each process has fetched the export.
    ddp_init_group({"distributed_backend": "gloo"})
    try:
        with refuse_unwritable(output):  # check now, not after hours
            is_main = if_main_process()
            with locked(output, True) if is_main else nullcontext():
                n_errors = _score(classifier, files, output, facts, args)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if not is_main:
        return 0
    if n_errors is None:
        return 130  # a shell's status after Ctrl+C
    if skipped:
        logger.warning(
            "%d files skipped: unsupported extension (%s)",
            *(skipped.total(), name_skipped(skipped)),
        )
    done = f"{len(files) - n_errors} of {len(files)} recordings"
    sys.stdout.write(f"{args.output} has the scores of {done}\n")
    if n_errors:
        logger.warning(
            "%d of %d files could not be read; %s says why",
            *(n_errors, len(files), output),
        )
    elif args.figure:
        from afpt_plugin.inference import LONGEST_DRAWN
        from afpt_plugin.results.frames_figure import plot_frame_scores

        sig = classifier.load_audio(files[0], LONGEST_DRAWN)
        frames = classifier.score_recordings([sig])[0].frames
        plot_frame_scores(
            sig,
            classifier.sample_rate,
            classifier.frame_probabilities(frames),
            classifier.class_names,
            args.figure,
            top_k=args.top,
        )
    return int(n_errors > 0 and not args.allow_errors)


def _check_arguments(args, output, events):
    suffix = output.suffix.lower()
    if not events and suffix not in SUFFIXES:
        raise InputError(
            f"--output {output}: the extension is {output.suffix!r}; give "
            f"{' or '.join(SUFFIXES)}, or for events {' or '.join(ENDINGS)}, "
            "or --format and a folder"
        )
    if output.is_dir() and suffix in (*SUFFIXES, *ENDINGS):
        raise InputError(f"--output {output} is a folder; name a file")
    for name in ("top", "batch_size"):
        if getattr(args, name) < 1:
            option = name.replace("_", "-")
            raise InputError(
                f"--{option} is {getattr(args, name)}; give at least 1"
            )
    if not args.source and not args.class_names:
        raise InputError(
            "there are no classes; give --source, what a run learned, or "
            "--class-names"
        )
    for name in ("clap", "prompt_template"):
        if args.source and getattr(args, name):
            raise InputError(
                f"--{name.replace('_', '-')} is for --class-names alone; the "
                "export of --source has its own"
            )
    if args.figure:
        from matplotlib.backend_bases import FigureCanvasBase

        known = FigureCanvasBase.get_supported_filetypes()
        if Path(args.figure).suffix.lower().lstrip(".") not in known:
            raise InputError(
                f"--figure {args.figure}: the extension is unknown; matplotlib "
                f"writes {', '.join(sorted(known))}"
            )
    for own in filter(None, (args.figure, args.output)):
        for path in filter(os.path.isfile, args.files):
            if os.path.exists(own) and os.path.samefile(own, path):
                raise InputError(f"{own} is the recording; give another name")


def _load(args):
    """Load an export's classifier, or make one of class names in a template."""
    from tempfile import TemporaryDirectory

    from afpt_plugin.backbones import load_clap
    from afpt_plugin.data.tables import read_class_names
    from afpt_plugin.experiment import check_device
    from afpt_plugin.export import write_export
    from afpt_plugin.inference import PromptedClassifier
    from afpt_plugin.learners import Template
    from afpt_plugin.task import Task

    say(f"loading {args.source or args.clap or 'mini'}")
    device = {"device": check_device(args.device)}
    names = args.class_names and read_class_names(args.class_names)
    if args.source:
        classifier = PromptedClassifier.from_hparams(
            args.source, run_opts=device, weights=args.weights
        )
        return classifier.with_class_names(names) if names else classifier
    clap = load_clap(args.clap or "mini", args.weights)
    clap.check_class_names(names)
    template = Template(args.prompt_template or "this is a sound of {}")
    template.setup(clap, names)
    with TemporaryDirectory() as folder:
        task = Task("classes", names)
        write_export(folder, clap, template, task, template)
        return PromptedClassifier.from_hparams(
            folder, run_opts=device, clap=clap
        )


def _facts(classifier, files, args, events):
    """Collect what the tables depend on, to be written beside them."""
    from afpt_plugin.scoring.detections import shared_folder

    export, names = classifier.hparams.export, classifier.class_names
    if args.frames or args.figure or events:
        classifier.check_frames()
    if events:
        own = classifier.calibration
        threshold = check_threshold(events["threshold"], own)
        events = {**events, "threshold": threshold}
        events["shared_folder"] = shared_folder(files)
    if args.reject:
        say("encoding the texts of other sounds, for --reject")
    taken = sorted(set(names) & {"file", "start", "center"})
    if args.frames and taken:
        raise InputError(
            f"--frames: class {taken[0]!r} clashes with a column of the table "
            "of frames; rename the class, or leave --frames out"
        )
    return {
        "export_fingerprint": export.fingerprint,
        "clap": export.clap,
        "clap_fingerprint": export.clap_fingerprint,
        "class_names": names,
        "score": "probability",
        "calibrated_on": classifier.calibration.fitted_on,
        "present_above": classifier.calibration.threshold,
        "reject": classifier.rejection.facts() if args.reject else None,
        "top": min(args.top, len(names)),
        "frames": args.frames,
        "windows": args.windows,
        **events,
    }


def _score(classifier, files, output, facts, args):
    """Score recordings missing in the output; return the number that failed.

    None means that the command was interrupted.
    """
    from speechbrain.utils.distributed import ddp_broadcast, if_main_process
    from tqdm import tqdm

    from afpt_plugin.commands.classify_output import Output
    from afpt_plugin.commands.classify_recordings import open_store

    store = args.features and open_store(classifier, args.features)
    out = missing = None
    if if_main_process():
        out = Output(output, facts)
        missing = out.begin({f: _state(f) for f in files}, args.overwrite)
    missing = ddp_broadcast(missing)
    if not missing:
        return out and out.n_errors
    found = _in_turn(classifier, missing, facts, args.batch_size, store)
    if out is None:
        for _ in found:
            pass
        return None
    place, done = out.path, len(files) - len(missing)
    going_on = "the same command goes on from there"
    try:
        with tqdm(None, "classifying", len(missing), disable=None) as bar:
            for paths, results in found:
                out.add(classifier, paths, results)
                done += len(paths)
                bar.update(len(paths))
        out.finish()
    except KeyboardInterrupt:
        sys.stderr.write(
            f"interrupted: {place} has {done} of {len(files)} files; "
            f"{going_on}\n"
        )
        return None
    except OSError as error:
        raise InputError(
            f"{error.filename or place}: cannot be written ({error.strerror}); "
            f"{place} has {done} of {len(files)} files; make room, and "
            f"{going_on}"
        ) from error
    return out.n_errors


def _in_turn(classifier, paths, facts, batch_size, store):
    """Yield batches of recordings and their results; ranks share the work.

    Rank 0 yields all results, in order; the other ranks send it theirs.
    """
    import torch
    from speechbrain.utils.distributed import get_rank

    from afpt_plugin.commands.classify_recordings import Scorer, load
    from afpt_plugin.data.store import N_LOADERS, prefetched

    wants_frames = facts["frames"] or "events" in facts
    rank, n_ranks = get_rank() or 0, 1
    if torch.distributed.is_initialized():
        n_ranks = torch.distributed.get_world_size()
    rejects = facts["reject"] is not None
    scorer = Scorer(classifier, batch_size, wants_frames, store, rank, rejects)

    def read(batch):
        """Load recordings that are not in the store, in a thread."""
        keys = [_key(path) for path in batch]
        return keys, [
            None if key in (store or ()) else load(classifier, path)
            for key, path in zip(keys, batch, strict=True)
        ]

    batches = list(_batches(paths))
    mine = batches[rank::n_ranks]
    loaded = prefetched(read, mine, N_LOADERS)
    for place in range(0, len(batches), n_ranks):
        results = None
        if place + rank < len(batches):
            results = scorer(*next(loaded))
        turn = [results]
        if n_ranks > 1:
            turn = [None] * n_ranks if rank == 0 else None
            torch.distributed.gather_object(results, turn)
        for batch, results in zip(batches[place:], turn or (), strict=False):
            yield batch, results
    scorer.flush()


def _batches(paths):
    """Split files into batches; a large file, for memory, is alone in one."""
    batch = []
    for path in paths:
        is_large = os.path.exists(path) and os.path.getsize(path) > LARGE
        if batch and (is_large or len(batch) == GROUP):
            yield batch
            batch = []
        if is_large:
            yield [path]
        else:
            batch.append(path)
    if batch:
        yield batch


def _state(path):
    """Return a text that differs if a file has changed."""
    with suppress(OSError):
        found = os.stat(path)
        return f"{found.st_size} {found.st_mtime_ns}"
    return ""  # the file has just been removed


def _key(path):
    """Make the key of a recording's embeddings; it changes with the file."""
    named = os.fsencode(os.path.abspath(path)) + b"\0" + _state(path).encode()
    return hashlib.sha256(named).hexdigest()
