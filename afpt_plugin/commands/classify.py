"""``afpt classify``: score recordings, few or a hundred thousand of them.

The recordings' windows are embedded into a feature store beside the output,
which a killed run resumes and which the processes of ``torchrun`` fill
together. One pass over the store then writes the tables, a block at a time.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import hashlib
import json
import os
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

from afpt_plugin.commands import open_table
from afpt_plugin.commands.events import (
    ENDINGS,
    add_options,
    check_threshold,
    read_options,
    table_path,
    writing_events,
)
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import write_if_changed

# Recordings in a shard, which is what a kill loses.
SHARD = 128
# Recordings in a batch; their windows share batches of the tower.
GROUP = 8
# A file of more bytes is a batch of its own, and shares its shard with few.
LARGE = 4 * 2**20
LARGE_SHARD = 8

SUFFIXES = (".csv", ".parquet")

EPILOG = """\
output: one row per recording: file, seconds, error, flag, class_1, score_1, ...
  A score is a probability, or, if a recording may have several classes, a logit.
  The flag says what is odd, several things joined by |:
    silent             no sample is above -80 dB: no class, no event is claimed
    very short         less than 0.1 s
    clipped            samples pile up at the peak
    channels inverted  their mean would cancel them, so one of them is taken
    looped             shorter than the window that the export was made for
  --frames adds scores.frames.csv: one row per frame: file, start and center in
  seconds, and one column per class with its logit.

events: --format writes to --output when each class is heard, and the table above
  beside it: labels.scores.csv. dcase is one .tsv file: filename, onset, offset,
  event_label. audacity (labels) and raven (selection tables with BirdNET's
  columns) are a .txt file of one recording, or a folder with a file for each. A
  recording's name begins after the folder that all of them share. A class is
  heard in frames whose score is above --threshold: a probability, by default
  0.5; if a recording may have several classes, a logit as --frames shows it.

disk: until the output is complete, embeddings lie beside it in the folder
  scores.csv.features: for 100,000 windows of 5 s, 2 GB with mini, 8 GB with
  ms-2022 and 13 GB with ms-2023. --features keeps them, so that the same
  recordings are not encoded again for another learner or other options.

examples:
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
        help="score recordings with what a run learned",
        description="Score recordings with the export that a run left behind. "
        "A command that was stopped continues when it is given again. Exit "
        "status 1 means that a file could not be read; its row says why.",
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
    for option, metavar, text in (
        ("--source", "EXPORT", "export/ folder of a run, or a hub repository"),
        (
            "--output",
            "SCORES",
            "the table to write, .csv or .parquet; or events",
        ),
    ):
        parser.add_argument(option, required=True, metavar=metavar, help=text)
    for option, default, text in (
        ("--top", 5, "classes per row, the best first (default: 5)"),
        ("--batch-size", 8, "windows encoded at once (default: 8)"),
    ):
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=text
        )
    for option, metavar, text in (
        ("--figure", "PNG", "draw the frames of one recording"),
        ("--features", "FOLDER", "keep the embeddings here for other runs"),
        ("--weights", "FILE", "local checkpoint of the export's backbone"),
        ("--device", "NAME", "cpu, cuda:0, ... (default: a GPU if present)"),
    ):
        parser.add_argument(option, metavar=metavar, help=text)
    add_options(parser)
    for option, text in (
        ("--frames", "also score every frame"),
        ("--allow-errors", "exit with status 0 despite unreadable files"),
    ):
        parser.add_argument(option, action="store_true", help=text)
    parser.set_defaults(run=run)


def run(args):
    """Do what the command line says; the exit status is returned."""
    from afpt_plugin.data.audio import find_recordings

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

    from afpt_plugin.experiment import check_device
    from afpt_plugin.inference import PromptedClassifier

    logger = get_logger(__name__)
    device = check_device(args.device)
    classifier = PromptedClassifier.from_hparams(
        args.source, run_opts={"device": device}, weights=args.weights
    )
    keys = {path: _key(path) for path in files}
    facts = _facts(classifier, keys, args, events)
    features = Path(args.features or f"{output}.features")
    # After the export was fetched, which each process does for itself.
    ddp_init_group({"distributed_backend": "gloo"})
    try:
        n_errors = _finished(output, facts)
        if n_errors is None:
            with refuse_unwritable(output):  # now, not after hours of encoding
                output.parent.mkdir(parents=True, exist_ok=True)
            with refuse_unwritable(features):
                store = _encode(classifier, keys, features, args.batch_size)
        if not if_main_process():
            return 0
        if n_errors is not None:
            logger.warning("%s is complete; nothing to do", output)
        else:
            if skipped:
                logger.warning(
                    "%d files skipped: unsupported extension (%s)",
                    skipped.total(),
                    ", ".join(sorted(skipped)),
                )
            n_errors = _write(classifier, store, keys, output, facts)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if not args.features:
        ours = ("store.json", "shard-", ".part-")
        for store in features.glob("*/"):
            # Not all of it, if a process was killed while it did this
            if all(path.name.startswith(ours) for path in store.iterdir()):
                shutil.rmtree(store)
        with suppress(OSError):  # missing, or it holds the user's own files
            features.rmdir()
    if n_errors:
        logger.warning(
            "%d of %d files could not be read; %s says why",
            n_errors,
            len(files),
            output,
        )
    elif args.figure:
        from afpt_plugin.results.figures import plot_frame_scores

        plot_frame_scores(
            classifier.load_audio(files[0]),
            classifier.sample_rate,
            classifier.frame_scores(files[0]),
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
    if args.figure:
        from matplotlib.backend_bases import FigureCanvasBase

        known = FigureCanvasBase.get_supported_filetypes()
        if Path(args.figure).suffix.lower().lstrip(".") not in known:
            raise InputError(
                f"--figure {args.figure}: the extension is unknown; matplotlib "
                f"writes {', '.join(sorted(known))}"
            )


def _key(path):
    """Name a recording's embeddings: a file that changes gets another key."""
    state = ""  # a file that has just been removed
    with suppress(OSError):
        found = os.stat(path)
        state = f"{found.st_size} {found.st_mtime_ns}"
    named = os.fsencode(os.path.abspath(path)) + b"\0" + state.encode()
    return hashlib.sha256(named).hexdigest()


def _facts(classifier, keys, args, events):
    """What the tables depend on; written beside them."""
    export, names = classifier.hparams.export, classifier.class_names
    if args.frames or args.figure or events:
        classifier.check_frames()
    if events:
        threshold = check_threshold(events["threshold"], export)
        events = {**events, "threshold": threshold}
    taken = sorted(set(names) & {"file", "start", "center"})
    if args.frames and taken:
        raise InputError(
            f"--frames: class {taken[0]!r} clashes with a column of the table "
            "of frames; rename the class, or leave --frames out"
        )
    listed = "".join(keys.values())
    return {
        "export_fingerprint": export.fingerprint,
        "clap": export.clap,
        "clap_fingerprint": export.clap_fingerprint,
        "class_names": names,
        "score": "logit" if export.multi_label else "probability",
        "top": min(args.top, len(names)),
        "frames": args.frames,
        "recordings": hashlib.sha256(listed.encode()).hexdigest(),
        "n_recordings": len(keys),
        **events,
    }


def _paths(output, facts):
    """The facts and the tables, in the order in which they appear."""
    frames = output.with_name(f"{output.stem}.frames{output.suffix}")
    tables = [frames, output] if facts["frames"] else [output]
    if "events" in facts:
        tables.insert(0, output.with_name(facts["events"]))
    return output.with_name(f"{output.name}.json"), tables


def _finished(output, facts):
    """How many errors a finished output has; None if there is work to do."""
    facts_path, tables = _paths(output, facts)
    existing = [
        path
        for path in tables
        if (any(path.iterdir()) if path.is_dir() else path.exists())
    ]
    if not existing:
        return None
    found = None
    with suppress(OSError, ValueError):
        found = json.loads(facts_path.read_text(encoding="utf-8"))
    for name, value in facts.items():
        if not isinstance(found, dict) or found.get(name) != value:
            raise InputError(
                f"{existing[0]} exists, but {facts_path} does not say that "
                f"this command made it ({name} differs); give another --output "
                "or remove it"
            )
    if existing == tables:
        return found["n_errors"]
    if "events" in facts and existing[0] == tables[0]:
        raise InputError(  # Somebody may have corrected them.
            f"{tables[0]} exists, but {tables[-1]} is missing; give another "
            "--output or remove it"
        )
    return None


def _encode(classifier, keys, folder, batch_size):
    """Embed the windows of all recordings, each process its share."""
    from functools import partial

    from afpt_plugin.commands.recordings import FLAGS, embed, load
    from afpt_plugin.data.store import FeatureStore

    export, settings = classifier.hparams.export, {"kind": "windows"}
    settings |= {
        key: getattr(export, key) for key in ("clip_seconds", "channels")
    }
    settings["flags"] = FLAGS
    fingerprint = classifier.mods.clap.fingerprint
    store = FeatureStore(folder, fingerprint, settings)

    # Several long recordings at once would take too much memory.
    parts = ([], [])
    for path in keys:
        is_large = os.path.exists(path) and os.path.getsize(path) > LARGE
        parts[is_large].append(path)
    for paths, group, shard in zip(
        parts, (GROUP, 1), (SHARD, LARGE_SHARD), strict=True
    ):
        store.fill(
            [keys[path] for path in paths],
            partial(embed, classifier, batch_size),
            batch_size=group,
            shard_items=shard,
            load=lambda batch, paths=paths: [
                load(classifier, paths[i]) for i in batch
            ],
        )
    return store


def _write(classifier, store, keys, output, facts):
    """Score what is stored and write the tables; count the errors."""
    import pyarrow as pa
    import torch
    from tqdm import tqdm

    from afpt_plugin.commands.recordings import score

    text, number = pa.string(), pa.float32()
    columns = {"file": text, "seconds": pa.float64()}
    columns |= {"error": text, "flag": text}
    for place in range(1, facts["top"] + 1):
        columns |= {f"class_{place}": text, f"score_{place}": number}
    frame_columns = dict.fromkeys(("start", "center"), pa.float64())
    frame_columns |= dict.fromkeys(facts["class_names"], number)

    facts_path, tables = _paths(output, facts)
    n_errors = 0
    with (
        # The last to appear: with it, the output is complete.
        open_table(tables[-1], columns) as add_row,
        open_table(tables[-2], {"file": text, **frame_columns})
        if facts["frames"]
        else nullcontext() as add_frames,
        writing_events(tables[0], facts, classifier.sample_rate, keys)
        if "events" in facts
        else nullcontext() as add_events,
    ):
        for path, key in tqdm(keys.items(), desc="classifying", unit="file"):
            name = _text(path)
            try:
                found, flags = score(classifier, path, store[key])
            except Exception as error:  # whatever it is, it is this file's
                n_errors += 1
                message = str(error).removeprefix(f"{path}: ")
                if not isinstance(error, InputError):
                    message = f"{type(error).__name__}: {message}"
                blank = [[None]] * (1 + 2 * facts["top"])
                add_row([name], [None], [_text(message)], *blank)
                continue
            start = [name], [round(found.seconds, 3)], [None]
            start = (*start, ["|".join(flags) or None])
            if "silent" in flags:
                add_row(*start, *[[None]] * 2 * facts["top"])
                if add_events:
                    silence = torch.full_like(found.frames.logits, torch.nan)
                    add_events(path, found.frames._replace(logits=silence))
                continue
            best = classifier.rank(found.mean_logits()[None], facts["top"])
            values = best.score[0]  # [top]
            if facts["score"] == "probability":
                values = values.exp()
            pairs = zip(best.text_lab[0], values.tolist(), strict=True)
            pairs = ([value] for pair in pairs for value in pair)
            add_row(*start, *pairs)
            if facts["frames"]:
                logits, *times = found.frames[:3]
                add_frames(
                    [name] * len(logits),
                    *(time.round(decimals=3).numpy() for time in times),
                    *logits.T.contiguous().numpy(),
                )
            if add_events:
                add_events(path, found.frames)
        facts = {**facts, "n_errors": n_errors}
        write_if_changed(facts_path, json.dumps(facts, indent=2) + "\n")
    return n_errors


def _text(text):
    """A path, or a message with one, that any table can hold."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
