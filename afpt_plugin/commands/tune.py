"""``afpt tune``: adapt a CLAP to a list of class names.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import contextlib
import json
import logging
import shutil
import sys
from importlib import import_module
from pathlib import Path

from afpt_plugin.commands import say
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing
from afpt_plugin.folders import empty, locked

DESCRIPTION = """\
Adapt CLAP to your own class names: from text alone, or from labeled recordings.

Without --captions, the text is the class names in a few templates. Captions say
more, and `afpt mine` picks them out of any corpus. --shots gives labeled
recordings, for methods that learn from them; no other recording is read.
--method auto compares the methods that can learn from what is given, in a
cross-validation, and says why it chose one.

The output folder holds what `afpt classify` and PromptedClassifier take
(hyperparams.yaml, learner.safetensors and README.md), and training/ with the
log, the curve and the checkpoints. A killed run continues where it stopped
when the same command is given again.
"""

EXAMPLE = """\
example:
  printf '%s\\n' dog rain 'car horn' > names.txt
  afpt tune --class-names names.txt --output my_sounds
  afpt classify recordings/ --source my_sounds --output scores.csv
with labeled recordings, in labeled/dog/, labeled/rain/ and labeled/car horn/:
  afpt tune --shots labeled --method auto --output my_sounds
"""

# Below this loss, summed over the heads, nothing is left to learn.
LEARNED = 0.05


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "tune",
        help="adapt to your class names, from text or labeled recordings",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--class-names",
        metavar="FILE",
        help="the class names: a file, one per line, or 'dog,rain' (default: the "
        "labels of --shots)",
    )
    add("--output", required=True, metavar="DIR", help="a new or empty folder")
    add(
        "--method",
        default="prompts",
        metavar="NAME",
        help="prompts (default), linear_probe, ... (the YAML files of "
        "recipes/methods), or auto",
    )
    add(
        "--candidates",
        nargs="+",
        metavar="NAME",
        help="methods that auto tries (default: all but the slowest)",
    )
    for option, metavar, text in (
        (
            "shots",
            "SOURCE",
            "labeled recordings: a folder a class; a .csv, .tsv or .parquet "
            "table with the columns path,label (and, if you like, source, what "
            "a clip was cut from, and split, whose test part is not used); a "
            "data set of Hugging "
            "Face, user/name or written by save_to_disk",
        ),
        (
            "captions",
            "FILE",
            "CSV file with the columns caption,label; | joins several labels",
        ),
        (
            "clap",
            "NAME",
            "mini (default), ms-2022, ms-2023, laion, laion-fused, "
            "laion-general, or a ClapModel: user/name on the hub, or a folder",
        ),
        ("weights", "FILE", "local checkpoint of that CLAP, or its folder"),
        (
            "prompt-template",
            "TEXT",
            "template of the zero-shot baseline (default: 'this is a sound of "
            "{}')",
        ),
        (
            "ctx-init",
            "TEXT",
            "words that the contexts start from (default: 'this is a sound "
            "of', or none where --n-ctx is given)",
        ),
        ("device", "NAME", "cpu, cuda:0, ... (default: a GPU if present)"),
    ):
        add(f"--{option}", metavar=metavar, help=text)
    add(
        "--columns",
        nargs="+",
        default=[],
        metavar="NAME=COLUMN",
        help="what the table calls a column, e.g. path=file label=category",
    )
    for option, text in (
        ("allow-missing", "bad recordings that may be left out (default: 0)"),
        ("n-ctx", "context vectors; those without a word start at random"),
        ("epochs", "passes over what is learned from (default: the method's)"),
        ("seed", "random seed (default: 1)"),
    ):
        add(f"--{option}", type=int, metavar="N", help=text)
    for option, text in (
        ("multi-label", "a recording may have several of the classes"),
        ("overwrite", "replace what `afpt tune` left in the output folder"),
    ):
        add(f"--{option}", action="store_true", help=text)
    parser.set_defaults(run=run)


def run(args):
    """Tune, and write the export folder; return the exit status."""
    import speechbrain as sb

    from afpt_plugin.adaptation import Job, make_task
    from afpt_plugin.auto import (
        check_candidates,
        choose_method,
        own_options,
    )
    from afpt_plugin.backbones import check_clap_name, load_clap
    from afpt_plugin.data.tables import read_class_names
    from afpt_plugin.experiment import check_device, find_method
    from afpt_plugin.options import quieten

    if args.class_names is None and args.shots is None:
        raise InputError(
            "there are no classes; give --class-names, or --shots with labels"
        )
    class_names = args.class_names and read_class_names(args.class_names)
    columns = dict(pair.partition("=")[::2] for pair in args.columns)
    output = Path(args.output)
    check_candidates(args.method, args.candidates)
    check_clap_name(args.clap or "mini")
    for name in args.candidates or [args.method]:
        if name != "auto":
            find_method(name)
    quieten()
    options = _options(args)
    seed = 1 if args.seed is None else args.seed
    with locked(output), _leaving_nothing(output, args.overwrite):
        training = output / "training"
        _mark(output)
        name = args.class_names or args.shots
        task, shots = make_task(
            name, class_names, args.multi_label, args.shots, training, columns
        )
        device = check_device(args.device)
        say(f"loading the CLAP {args.clap or 'mini'}")
        clap = load_clap(args.clap or "mini", args.weights, device)
        allowed = args.allow_missing or 0
        job = Job(task, clap, training, seed, shots, args.captions, allowed)
        method = args.method
        if method != "auto":
            source = job.choose_source(method)
        # Start from scratch, unless a killed run of the same settings can
        # continue
        _start(
            output,
            {
                **options,
                **job.facts,
                "method": method,
                "candidates": args.candidates,
                "seed": seed,
                "class_names": task.class_names,
                "clap_fingerprint": clap.fingerprint,
                "multi_label": args.multi_label,
            },
        )
        # One line per epoch is enough, and training nothing is no mistake.
        for name in (
            *("utils.seed", "utils.checkpoints", "utils.epoch_loop"),
            "nnet.schedulers",
        ):
            # Import it first, since a module sets its logger's level then.
            import_module(f"speechbrain.{name}")
            logging.getLogger(f"speechbrain.{name}").setLevel(logging.WARNING)
        logging.getLogger("speechbrain.core").setLevel(logging.ERROR)
        logging.getLogger("afpt_plugin.brain").setLevel(logging.WARNING)
        sb.create_experiment_directory(str(training))
        job.write()
        facts = {}
        if method == "auto":
            # Log one line per candidate, not one per epoch of each fold.
            log = logging.getLogger("speechbrain.utils.train_logger")
            log.setLevel(logging.WARNING)
            method, source, facts = choose_method(job, args.candidates, options)
            log.setLevel(logging.NOTSET)
            sys.stdout.write(_explain(job, method, source, facts["auto"]))
            options = own_options(method, options)
        brain = job.learn(method, source, options, facts=facts)
        shutil.copy(find_method(method), training / "hyperparams.yaml")
        # Remove the embeddings before the export is complete: if the process
        # is killed later, only kilobytes remain in the finished folder.
        shutil.rmtree(job.features, ignore_errors=True)
        selected = brain.finish(output)
    n_epochs = len(brain.results.history)
    epoch = f", epoch {selected} of {n_epochs}" if selected else ""
    sys.stdout.write(
        f"{output} holds {method} for {task.n_classes} classes{epoch}. To "
        f"use it:\n"
        f"  afpt classify RECORDINGS --source {output} --output scores.csv\n"
    )
    sys.stdout.write(_gain(brain.results, task.metric, args.captions))
    return 0


def _gain(results, metric, captions):
    """Describe the gain on held-out items, or say why it is unknown."""
    found, text = results.calibration.held_out, ""
    first = results.history[0]["train_loss"] if results.history else 1
    if first < LEARNED:
        text = (
            f"The loss was {first:.4f} after the first epoch: these texts leave "
            "nothing to learn; give "
            + ("more captions" if captions else "captions, which say more,")
            + " with --captions.\n"
        )
    if found and "zero_shot" not in found:
        return text  # `auto` has shown both already
    if not found:
        return text + (
            "Nothing was held out, so what tuning is worth is unknown; "
            "`afpt evaluate` measures it on labeled recordings.\n"
        )
    return text + (
        f"On {found['n']} held-out {found['kind']}, {metric} is "
        f"{100 * found['zero_shot']:.1f} % untuned and "
        f"{100 * found['learned']:.1f} % tuned; `afpt evaluate` measures it on "
        "recordings.\n"
    )


def _explain(job, method, source, auto):
    """Explain the choice of a method, with a table and a sentence."""
    import pandas as pd

    from afpt_plugin.auto import name_sources

    said, table = name_sources(job), pd.DataFrame(auto["tried"])
    equal = (table["score"] == table["score"].max()).sum() - 1
    tie = f"; methods with the same score, tried later: {equal}"
    table["from"] = [said[kind or None] for kind in table["from"]]
    table["score"] = (100 * table["score"]).map("{:.1f} %".format)
    return (
        f"{table.to_string(index=False)}\n"
        f"{method} from {said[source]} was chosen: "
        f"{auto['rule']}{tie * (equal > 0)}\n"
    )


@contextlib.contextmanager
def _leaving_nothing(output, overwrite):
    """After a user's mistake, empty a folder that was empty before."""
    # A process that was killed early has left only folders.
    fresh = all(path.is_dir() for path in output.rglob("*"))
    if not fresh:
        _check_output(output, overwrite)
    try:
        yield
    except InputError:
        if fresh:
            empty(output)
        raise


def _options(args):
    """Return the options that override those of the method's YAML."""
    for name, least in (("n_ctx", 1), ("epochs", 1), ("seed", 0)):
        value = getattr(args, name)
        if value is not None and not least <= value < 2**32:
            raise InputError(
                f"--{name.replace('_', '-')} is {value}; give a number from "
                f"{least} to {2**32 - 1}"
            )
    ctx_init = args.ctx_init
    if ctx_init is not None and not ctx_init.strip():
        raise InputError("--ctx-init is empty; give words, or --n-ctx instead")
    given = {
        "prompt_template": args.prompt_template,
        "n_ctx": args.n_ctx,
        "ctx_init": ctx_init,
        "number_of_epochs": args.epochs,
    }
    options = {k: v for k, v in given.items() if v is not None}
    if args.n_ctx is not None:
        options["ctx_init"] = ctx_init  # None: all vectors drawn at random
    return options


def _check_output(output, overwrite):
    """Refuse a folder that holds something else, or a finished export."""
    from afpt_plugin.export import SETTINGS_FILE

    if not (output / "training" / "settings.json").is_file():
        raise InputError(
            f"{output} holds files that `afpt tune` did not write; give a new "
            "or empty folder"
        )
    if (output / SETTINGS_FILE).exists() and not overwrite:
        raise InputError(
            f"{output} holds a finished run; give another folder, or "
            "--overwrite to replace it"
        )


def _mark(output):
    """Mark the folder as ours, before any long step."""
    path = output / "training" / "settings.json"
    with refuse_unwritable(output):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _start(output, settings):
    """Keep the files of a killed run with the same settings; remove others."""
    from speechbrain.utils.logger import get_logger

    from afpt_plugin.export import SETTINGS_FILE

    path = output / "training" / "settings.json"
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    finished = (output / SETTINGS_FILE).exists()
    if known := path.read_text(encoding="utf-8"):
        if not finished and known == text:
            return
        if not finished:
            get_logger(__name__).warning(
                "%s: an unfinished run with different settings was discarded",
                output,
            )
        # Remove this file first, since it marks the folder as finished; replace
        # the settings last, since they mark the folder as ours.
        (output / SETTINGS_FILE).unlink(missing_ok=True)
        for old in path.parent.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old != path:
                old.unlink()
    with refuse_unwritable(output), replacing(path) as part:
        part.write_text(text, encoding="utf-8")
