"""``afpt tune``: learn prompts for a list of class names, from text alone.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import json
import logging
import shutil
import sys
from pathlib import Path

from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing

SETTINGS = Path(__file__).parents[1] / "assets" / "tune.yaml"

DESCRIPTION = """\
Learn prompts for your own class names, from text alone.

Without --captions, the names in a few templates are the text. A CSV file of
sentences (caption,label) says more, and `afpt mine` makes one out of any
corpus of captions. No recording is needed or read.

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
"""


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "tune",
        help="learn prompts for your class names, without recordings",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--class-names",
        required=True,
        metavar="FILE",
        help="the class names, one per line",
    )
    add("--output", required=True, metavar="DIR", help="a new or empty folder")
    for option, metavar, text in (
        ("captions", "FILE", "CSV file of caption,label; | joins labels"),
        ("clap", "NAME", "mini (default), ms-2022 or ms-2023"),
        ("weights", "FILE", "local checkpoint of that CLAP"),
        (
            "prompt-template",
            "TEXT",
            "zero-shot baseline (default: 'this is a sound of {}')",
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
    for option, text in (
        ("n-ctx", "context vectors; those without a word start at random"),
        ("epochs", "passes over the captions (default: 10)"),
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
    """Tune, and write the export folder; the exit status is returned."""
    import speechbrain as sb

    from afpt_plugin.backbones import load_clap
    from afpt_plugin.brain import AdaptationBrain
    from afpt_plugin.data.tables import read_class_names
    from afpt_plugin.experiment import check_device, load_hparams
    from afpt_plugin.task import Task

    # Check what the user gave, before anything is written
    class_names = read_class_names(args.class_names)
    if len(class_names) < 2:
        raise InputError(
            f"{args.class_names} holds one class name; give at least two to "
            "choose from"
        )
    output = Path(args.output)
    training = output / "training"
    _check_output(output, args.overwrite)
    device = check_device(args.device)
    overrides = _overrides(args, training)
    hparams = load_hparams(SETTINGS, overrides)
    task = Task(
        Path(args.class_names).name,
        class_names,
        multi_label=args.multi_label,
        # As in the paper's benchmarks of either kind
        clip_seconds=10.0 if args.multi_label else 5.0,
    )
    *_, facts = hparams["supervision"].read(task)
    if not facts["n_valid"]:
        hparams["results"].selection = None
    clap = load_clap(hparams["clap"], hparams["weights"], device)

    # Start from scratch, unless a killed run of the same settings can continue
    _start(
        output,
        {
            **{k: v for k, v in overrides.items() if k != "output_folder"},
            "class_names": class_names,
            "clap_fingerprint": clap.fingerprint,
            "captions_fingerprint": facts["fingerprint"],
            "multi_label": args.multi_label,
        },
    )
    for name in ("core", "utils.checkpoints", "utils.epoch_loop"):
        # A line an epoch is enough.
        logging.getLogger(f"speechbrain.{name}").setLevel(logging.WARNING)
    sb.create_experiment_directory(str(training), SETTINGS, overrides)

    # Encode the captions and learn the contexts from them
    items = hparams["supervision"].datasets(
        task, clap, hparams["feature_folder"]
    )
    for learner in (hparams["learner"], hparams["baseline"]):
        learner.setup(clap, class_names, items.shots(), task.logit_scale)
    brain = AdaptationBrain(
        task,
        clap,
        hparams["baseline"],
        hparams["results"],
        {"supervision": items.facts},
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        # An epoch of few steps is over before its bar can be read.
        run_opts={"device": device, "noprogressbar": len(items.train) < 5000},
        checkpointer=hparams["checkpointer"](),
    )
    brain.fit(
        hparams["epoch_counter"],
        items.train,
        items.valid,
        train_loader_kwargs=hparams["train_loader_kwargs"],
        valid_loader_kwargs=hparams["valid_loader_kwargs"],
    )
    selected = brain.finish(output)
    # What remains is kilobytes.
    shutil.rmtree(hparams["feature_folder"])
    sys.stdout.write(
        f"{output} holds prompts for {len(class_names)} classes, epoch "
        f"{selected} of {hparams['number_of_epochs']}. To use them:\n"
        f"  afpt classify RECORDINGS --source {output} --output scores.csv\n"
    )
    return 0


def _overrides(args, training):
    """The settings that differ from the packaged ones."""
    for name, least in (("n_ctx", 1), ("epochs", 1), ("seed", 0)):
        value = getattr(args, name)
        if value is not None and not least <= value < 2**32:
            raise InputError(
                f"--{name.replace('_', '-')} is {value}; give a number from "
                f"{least} to {2**32 - 1}"
            )
    if args.ctx_init is not None and not args.ctx_init.strip():
        raise InputError("--ctx-init is empty; give words, or --n-ctx instead")
    given = {"number_of_epochs": args.epochs}
    for name in "clap weights captions prompt_template n_ctx seed".split():
        given[name] = getattr(args, name)
    overrides = {k: v for k, v in given.items() if v is not None}
    if args.n_ctx is not None or args.ctx_init is not None:
        # None: all vectors are drawn at random
        overrides["ctx_init"] = args.ctx_init
    return {**overrides, "output_folder": str(training)}


def _check_output(output, overwrite):
    """Refuse a folder that holds something else, or a finished export."""
    from afpt_plugin.export import SETTINGS_FILE

    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; give a folder")
    if not output.exists() or not any(output.iterdir()):
        return
    if not (output / "training" / "settings.json").is_file():
        raise InputError(
            f"{output} holds files that `afpt tune` did not write; give a new "
            "or empty folder"
        )
    if (output / SETTINGS_FILE).exists() and not overwrite:
        raise InputError(
            f"{output} holds finished prompts; give another folder, or "
            "--overwrite to replace them"
        )


def _start(output, settings):
    """Keep what a killed run of the same settings left, and nothing else."""
    from speechbrain.utils.logger import get_logger

    from afpt_plugin.export import SETTINGS_FILE

    path = output / "training" / "settings.json"
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    finished = (output / SETTINGS_FILE).exists()
    if path.exists():
        if not finished and path.read_text(encoding="utf-8") == text:
            return
        if not finished:
            get_logger(__name__).warning(
                "%s: an unfinished run with different settings was discarded",
                output,
            )
        # This file first, since it marks the folder as finished; the settings
        # last, since they mark it as ours.
        (output / SETTINGS_FILE).unlink(missing_ok=True)
        for old in path.parent.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old != path:
                old.unlink()
    with refuse_unwritable(output), replacing(path) as part:
        part.write_text(text, encoding="utf-8")
