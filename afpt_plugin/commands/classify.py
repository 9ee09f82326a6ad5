"""``afpt classify``: score recordings, few or a hundred thousand of them.

Files are scored in chunks. Each chunk becomes a file of its own beside the
output, which is joined from them at the end: a killed run has lost one chunk,
processes started by ``torchrun`` take turns at the chunks, and nothing but the
chunk at work is in memory.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import functools
import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing, write_if_changed

# Recordings between two writes: what a kill loses.
CHUNK = 128

# Recordings in memory at once; their windows share batches.
GROUP = 8

SUFFIXES = (".csv", ".parquet")

EPILOG = """\
output: one row a recording: file, seconds, error, class_1, score_1, class_2, ...
  A score is a probability, or, if a recording may have several classes, a logit.
  --frames adds scores.frames.csv: one row a frame: file, start and centre in
  seconds, and one column a class with its logit.

examples:
  afpt classify recordings/ --source results/ESC50/export --output scores.csv
  afpt classify dog.wav --source export --output dog.csv --frames --figure dog.png
  torchrun --nproc_per_node 2 -m afpt_plugin.cli classify recordings/ \\
      --source export --output scores.parquet
"""


def add_parser(subparsers):
    """Add the subcommand.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Of the parser of ``afpt``.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> command = "classify a.wav --source export --output scores.csv"
    >>> args = parser.parse_args(command.split())
    >>> args.files, args.top, args.frames
    (['a.wav'], 5, False)
    """
    parser = subparsers.add_parser(
        "classify",
        help="score recordings with tuned prompts",
        description="Score recordings with the prompts that a run left behind. "
        "The same command again continues where it was stopped. Exit status 1 "
        "says that a file could not be read; its row says why.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "files",
        nargs="+",
        metavar="FILES_OR_FOLDER",
        help="recordings, or folders with recordings at any depth",
    )
    add(
        "--source",
        required=True,
        metavar="EXPORT",
        help="export/ folder of a run, or a repository of the hub",
    )
    add(
        "--output",
        required=True,
        metavar="SCORES",
        help="what to write: a .csv or a .parquet file",
    )
    add(
        "--top",
        type=int,
        default=5,
        metavar="K",
        help="classes in a row, the best first (default: 5)",
    )
    add("--frames", action="store_true", help="also score every frame")
    add("--figure", metavar="PNG", help="for one recording: draw its frames")
    add("--weights", help="checkpoint of the backbone (default: see its name)")
    add("--device", help="cpu, cuda, ... (default: the GPU if there is one)")
    add(
        "--batch-size",
        type=int,
        default=8,
        metavar="N",
        help="windows encoded at once (default: 8)",
    )
    add(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that read files (default: 0, the one that scores)",
    )
    add(
        "--allow-errors",
        action="store_true",
        help="exit with status 0 although a file could not be read",
    )
    parser.set_defaults(run=run)


def run(args):
    """Do what the command line says.

    Arguments
    ---------
    args : argparse.Namespace
        From the parser of `add_parser`.

    Returns
    -------
    int
        Exit status: 1 if a file could not be read and that is not allowed.

    Raises
    ------
    InputError
        If an argument is wrong, or the output is there already and was made
        otherwise.
    """
    # Before the slow imports, so that a mistake shows at once.
    output = Path(args.output)
    _check_arguments(args, output)
    files, n_others = list_recordings(args.files)
    if args.figure and len(files) != 1:
        raise InputError(
            f"--figure draws one recording, not {len(files)}; name one file"
        )

    import torch
    from speechbrain.utils.distributed import ddp_barrier, ddp_init_group
    from speechbrain.utils.logger import get_logger

    from afpt_plugin.experiment import check_device
    from afpt_plugin.inference import PromptedClassifier

    logger = get_logger(__name__)
    classifier = PromptedClassifier.from_hparams(
        args.source,
        run_opts={"device": check_device(args.device)},
        weights=args.weights,
    )
    identity = _identity(classifier, args)
    if n_others:
        logger.warning("left out, not called as a recording: %d", n_others)
    chunks = [files[at : at + CHUNK] for at in range(0, len(files), CHUNK)]
    stems = [f"{i:06d}-{_digest(chunk)}" for i, chunk in enumerate(chunks)]
    facts = {
        **identity,
        "recordings": hashlib.sha256("".join(stems).encode()).hexdigest(),
        "n_recordings": len(files),
    }
    parts = output.with_name(output.name + ".parts")
    # After the fetch above, of which each process takes care itself.
    ddp_init_group({"distributed_backend": "gloo"})
    rank, n_ranks = 0, 1
    if torch.distributed.is_initialized():
        rank = torch.distributed.get_rank()
        n_ranks = torch.distributed.get_world_size()
    try:
        n_errors = _finished(output, parts, facts)
        if n_errors is None:
            if rank == 0:
                _claim(parts, identity)
            ddp_barrier()
            missing = [
                (parts / stem, chunk)
                for i, (stem, chunk) in enumerate(
                    zip(stems, chunks, strict=True)
                )
                if i % n_ranks == rank
                and not (parts / f"{stem}.parquet").is_file()
            ]
            _score(classifier, missing, identity, args, hidden=rank > 0)
            ddp_barrier()
            if rank > 0:
                return 0
            n_errors = _join(output, parts, stems, facts)
        else:
            logger.warning("%s is complete; nothing to do", output)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if rank == 0 and n_errors:
        logger.warning(
            "%d of %d files could not be read; %s says why",
            n_errors,
            len(files),
            output,
        )
    elif rank == 0 and args.figure:
        _draw(classifier, files[0], args)
    return int(n_errors > 0 and not args.allow_errors and rank == 0)


def list_recordings(paths):
    """Find recordings: files as they are named, folders at any depth.

    Arguments
    ---------
    paths : list of str
        Files, or folders, in which all that soundfile can read is taken, by
        its suffix.

    Returns
    -------
    files : list of str
        Each once, those of a folder in alphabetical order.
    n_others : int
        Files in the folders with another suffix.

    Raises
    ------
    InputError
        If a path is missing, a folder cannot be read, or there is no recording.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.wav", "a.flac", "notes.txt"):
    ...     (folder / name).touch()
    >>> files, n_others = list_recordings([str(folder)])
    >>> [Path(file).name for file in files], n_others
    (['a.flac', 'b.wav'], 1)
    """
    import soundfile

    def fail(error):
        raise InputError(f"{error.filename}: {error.strerror}") from error

    # RAW tells neither its rate nor its channels.
    formats = set(soundfile.available_formats()) - {"RAW"}
    suffixes = {f".{name.lower()}" for name in formats}
    suffixes |= {".aif", ".aifc", ".oga", ".opus", ".snd"}
    files, n_others = {}, 0
    for path in paths:
        if os.path.isfile(path):
            files[path] = None
            continue
        if not os.path.isdir(path):
            raise InputError(f"{path}: there is no such file or folder")
        for folder, folders, names in os.walk(path, onerror=fail):
            folders.sort()
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in suffixes:
                    files[os.path.join(folder, name)] = None
                else:
                    n_others += 1
    if not files:
        raise InputError(
            f"{', '.join(paths)}: no recording in it; known are files called "
            f"{', '.join(sorted(suffixes))}"
        )
    return list(files), n_others


def _check_arguments(args, output):
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--output {output}: {output.suffix or 'no suffix'} is none of "
            f"{', '.join(SUFFIXES)}; the suffix is the format"
        )
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; name a file")
    for name in ("top", "batch_size"):
        if getattr(args, name) < 1:
            raise InputError(
                f"--{name.replace('_', '-')}: {getattr(args, name)} is not at "
                "least 1"
            )
    if args.workers < 0:
        raise InputError(f"--workers: {args.workers} is less than 0")
    if args.figure:
        from matplotlib.backend_bases import FigureCanvasBase

        known = FigureCanvasBase.get_supported_filetypes()
        if Path(args.figure).suffix.lower().lstrip(".") not in known:
            raise InputError(
                f"--figure {args.figure}: matplotlib writes "
                f"{', '.join(sorted(known))}"
            )


def _identity(classifier, args):
    """What a chunk's content depends on, besides the files themselves."""
    export, names = classifier.hparams.export, classifier.class_names
    taken = set(names) & {"file", "start", "centre"}
    if args.frames and taken:
        raise InputError(
            f"--frames: the class {taken.pop()!r} is called as another column "
            "of that table; rename the class, or leave --frames out"
        )
    return {
        "export_fingerprint": export.fingerprint,
        "clap": export.clap,
        "clap_fingerprint": export.clap_fingerprint,
        "class_names": names,
        "score": "logit" if export.multi_label else "probability",
        "top": min(args.top, len(names)),
        "frames": args.frames,
    }


def _digest(chunk):
    """Hash of some files' names, sizes and times of modification."""
    digest = hashlib.sha256()
    for path in chunk:
        state = ""  # of a file that has just been removed
        with suppress(OSError):
            found = os.stat(path)
            state = f"\0{found.st_size}\0{found.st_mtime_ns}\0"
        digest.update(os.fsencode(path) + state.encode())
    return digest.hexdigest()[:16]


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _beside(output, ending):
    """``scores.csv`` and ``.frames`` -> ``scores.frames.csv``."""
    return output.with_name(f"{output.stem}{ending}{output.suffix}")


def _facts_path(output):
    return output.with_name(output.name + ".json")


def _finished(output, parts, facts):
    """How many errors a finished output has; None if there is work to do."""
    there = [output, *([_beside(output, ".frames")] * facts["frames"])]
    there = [path for path in there if path.exists()]
    if not there:
        return None
    found = _read_json(_facts_path(output))
    complete = output in there and isinstance(found, dict)
    if complete and facts.items() <= found.items():
        return found["n_errors"]
    if parts.is_dir():
        return None  # killed while it was written
    raise InputError(
        f"{there[0]} is there already and was made "
        f"{_difference(facts, found)}; remove it or give another --output"
    )


def _claim(parts, identity):
    """Make the folder of the parts; refuse one of another run."""
    path = parts / "run.json"
    with refuse_unwritable(parts):
        parts.mkdir(parents=True, exist_ok=True)
        found = _read_json(path)
        if found is None and any(parts.glob("*.parquet")):
            found = {}
        if found is not None and found != identity:
            raise InputError(
                f"{parts}, a stopped run of this --output, was made "
                f"{_difference(identity, found)}; repeat that command, or "
                "remove the folder to start anew"
            )
        write_if_changed(path, json.dumps(identity, indent=2))


def _difference(wanted, found):
    """In words, what of a run was not as wanted."""
    if not isinstance(found, dict) or not found:
        return "by something else"
    named = {
        "export_fingerprint": "another export",
        "recordings": "other recordings",
        "top": f"--top {found.get('top')}",
        "frames": "--frames" if found.get("frames") else "no --frames",
    }
    for key, words in named.items():
        if found.get(key) != wanted.get(key):
            return f"with {words}"
    return "with another version"


def _load(batch, sample_rate):
    """Read a few files; a message stands for one that cannot be read."""
    from afpt_plugin.data.audio import load_recording

    loaded = []
    for path in batch:
        try:
            loaded.append((path, load_recording(path, sample_rate), None))
        except InputError as error:
            message = str(error).removeprefix(f"{path}: ")
            loaded.append((path, None, _text(message)))
    return loaded


def _score(classifier, missing, identity, args, hidden):
    """Score chunks, each into files of its own."""
    from torch.utils.data import DataLoader
    from tqdm import tqdm

    groups = [
        chunk[at : at + GROUP]
        for _, chunk in missing
        for at in range(0, len(chunk), GROUP)
    ]
    loader = DataLoader(
        groups,
        batch_size=None,
        collate_fn=functools.partial(_load, sample_rate=classifier.sample_rate),
        num_workers=args.workers,
    )
    loaded = iter(loader)
    with tqdm(
        total=sum(len(chunk) for _, chunk in missing),
        desc="classifying",
        unit="file",
        disable=hidden,
    ) as progress:
        for stem, chunk in missing:
            rows, frames = [], []
            while len(rows) < len(chunk):
                group = next(loaded)
                sigs = [sig for _, sig, _ in group if sig is not None]
                scored = iter(
                    classifier.score_recordings(sigs, args.batch_size)
                )
                for path, sig, error in group:
                    found = None if sig is None else next(scored)
                    rows.append(_row(classifier, path, error, found, identity))
                    if args.frames and found is not None:
                        frames.append((_text(path), found.frames))
                progress.update(len(group))
            if args.frames:
                table = _frame_table(frames, identity)
                _write_table(table, f"{stem}.frames.parquet")
            # Last, since it says that the chunk is done.
            table = _table(rows, identity)
            _write_table(table, f"{stem}.parquet")


def _text(text):
    """A path, or a message with one, that any table can hold."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _row(classifier, path, error, found, identity):
    """One recording's row."""
    row = {"file": _text(path), "error": error}
    if found is None:
        return row
    row["seconds"] = round(found.seconds, 3)
    scores = classifier.rank(found.mean_logits()[None], identity["top"])
    values = scores.score[0]
    if identity["score"] == "probability":
        values = values.exp()
    best = zip(scores.text_lab[0], values.tolist(), strict=True)
    for place, (name, value) in enumerate(best, start=1):
        row[f"class_{place}"], row[f"score_{place}"] = name, value
    return row


def _table(rows, identity):
    import pyarrow as pa

    fields = [
        ("file", pa.string()),
        ("seconds", pa.float64()),
        ("error", pa.string()),
    ]
    for place in range(1, identity["top"] + 1):
        fields.append((f"class_{place}", pa.string()))
        fields.append((f"score_{place}", pa.float32()))
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _frame_table(frames, identity):
    import pyarrow as pa
    import torch

    names = identity["class_names"]
    counts = [len(found.start) for _, found in frames]
    empty = torch.empty(0, len(names))
    logits = torch.cat([empty, *(found.logits for _, found in frames)])
    columns = {
        "file": pa.array(
            [
                path
                for (path, _), count in zip(frames, counts, strict=True)
                for _ in range(count)
            ],
            pa.string(),
        )
    }
    for key in ("start", "centre"):
        times = [getattr(found, key) for _, found in frames]
        times = torch.cat([empty[:, 0].double(), *times])
        columns[key] = times.round(decimals=3).numpy()
    columns.update(zip(names, logits.T.contiguous().numpy(), strict=True))
    return pa.table(columns)


def _write_table(table, path):
    import pyarrow.parquet as pq

    with replacing(path) as part:
        pq.write_table(table, part)


def _join(output, parts, stems, facts):
    """Make the output of its parts; return how many files have an error."""
    import pyarrow.parquet as pq

    join = _join_csv if output.suffix.lower() == ".csv" else _join_parquet
    # The recordings' table last: with it, the output is there.
    for ending in (".frames", "") if facts["frames"] else ("",):
        tables = (
            pq.read_table(parts / f"{stem}{ending}.parquet") for stem in stems
        )
        with replacing(_beside(output, ending)) as part:
            join(tables, part)
    errors = (
        pq.read_table(parts / f"{stem}.parquet", columns=["error"])["error"]
        for stem in stems
    )
    n_errors = sum(len(column) - column.null_count for column in errors)
    write_if_changed(
        _facts_path(output),
        json.dumps({**facts, "n_errors": n_errors}, indent=2) + "\n",
    )
    shutil.rmtree(parts)
    return n_errors


def _join_csv(tables, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        for number, table in enumerate(tables):
            table.to_pandas().to_csv(
                file, index=False, header=number == 0, lineterminator="\n"
            )


def _join_parquet(tables, path):
    import pyarrow.parquet as pq

    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _draw(classifier, path, args):
    from afpt_plugin.results.figures import plot_frame_scores

    plot_frame_scores(
        classifier.load_audio(path),
        classifier.sample_rate,
        classifier.frame_scores(path),
        classifier.class_names,
        args.figure,
        top_k=args.top,
    )
