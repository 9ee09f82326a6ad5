"""``afpt evaluate``: measure an export on labeled recordings.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from afpt_plugin.commands import say
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import scratch, write_if_changed
from afpt_plugin.folders import locked

EPILOG = """\
The recordings are scored as `afpt classify` does it, by the export and by the
untuned template that it was compared with. DIR gets evaluation.json (metrics,
calibration, and the 95 % interval of the difference, a bootstrap over the sources
of the recordings, or over the classes if a recording may have several),
per_class.csv, predictions.csv and figures.

Give recordings that the export was not made with; this command cannot check that.
If the table has a column split, the rows of its training part are left out.

example:
  afpt evaluate my_sounds labels.csv
  afpt evaluate my_sounds labels.csv --columns path=file label=category \\
      --output evaluation_2
"""


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="test an export on labeled recordings, beside the template",
        description="Test an export on labeled recordings: tuned beside untuned.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="EXPORT",
        help="folder that `afpt tune` wrote, the export/ folder of a run, or "
        "user/name on the Hugging Face hub",
    )
    add(
        "labels",
        metavar="LABELS",
        help="labeled recordings: a table with the columns path,label, or "
        "anything else that `afpt tune --shots` takes",
    )
    add(
        "--output",
        default="evaluation",
        metavar="DIR",
        help="where to write (default: evaluation)",
    )
    add(
        "--columns",
        nargs="+",
        default=[],
        metavar="NAME=COLUMN",
        help="what the table calls a column, e.g. path=file label=category",
    )
    add(
        "--allow-missing",
        type=int,
        default=0,
        metavar="N",
        help="bad recordings that may be left out (default: 0)",
    )
    for option, metavar, text in (
        ("weights", "FILE", "local checkpoint of the export's backbone"),
        ("device", "NAME", "cpu, cuda:0, ... (default: a GPU if present)"),
    ):
        add(f"--{option}", metavar=metavar, help=text)
    parser.set_defaults(run=run)


def run(args):
    """Score the recordings and write the results; return the exit status."""
    from afpt_plugin.data.checks import check_recordings
    from afpt_plugin.data.own_data import read_own_data
    from afpt_plugin.experiment import check_device
    from afpt_plugin.inference import PromptedClassifier

    output = Path(args.output)
    columns = dict(pair.partition("=")[::2] for pair in args.columns)
    say(f"loading {args.source} and its CLAP")
    run_opts = {"device": check_device(args.device)}
    tuned = PromptedClassifier.from_hparams(
        args.source, run_opts=run_opts, weights=args.weights
    )
    export = tuned.hparams.export
    # A new folder in which nothing is written is removed again.
    with locked(output):
        with scratch(output / "recordings") as unpacked:
            own = read_own_data(
                args.labels,
                unpacked,
                columns or None,
                export.class_names,
                export.multi_label,
            )
            rows = [row for row in own.rows if row["split"] != "train"]
            if not rows:
                raise InputError(
                    f"{args.labels}: the column split has no recording to test; "
                    "give some"
                )
            rows, left_out = check_recordings(
                rows, export.class_names, None, args.allow_missing, unpacked
            )
            logits, targets = _score(tuned, _untuned(tuned, run_opts), rows)
        found = _measure(tuned, logits, targets, rows)
        found["n_left_out"] = len(left_out)
        with refuse_unwritable(output):
            _write(output, found, tuned, logits, targets, rows)
    sys.stdout.write(_table(found) + f"\nWrote {output}\n")
    return 0


def _untuned(tuned, run_opts):
    """Make the classifier of an export's baseline."""
    clap, export = tuned.mods.clap, tuned.hparams.export
    baseline = export.make_baseline(clap).eval()
    export = dataclasses.replace(export, calibration={})
    hparams = {"export": export, "learner": baseline}
    return type(tuned)({"clap": clap}, hparams, run_opts)


def _score(tuned, untuned, rows):
    """Score with both: a dict of logits [N, n_classes], multi-hot targets."""
    import torch
    from tqdm import tqdm

    names = tuned.class_names
    logits = {"zero_shot": [], "tuned": []}
    for row in tqdm(rows, "scoring", unit="file", disable=None):
        recording = tuned.open_recording(row["wav"])
        (windows,) = tuned.encode_windows([recording])
        for each, classifier in zip(
            logits.values(), (untuned, tuned), strict=True
        ):
            found = classifier.score_windows(recording.n_samples, windows)
            each.append(found.mean_logits())
    labels = [row["label"].split("|") for row in rows]
    targets = torch.tensor([[n in own for n in names] for own in labels])
    return {k: torch.stack(v) for k, v in logits.items()}, targets.float()


def _log_probabilities(tuned, head, logits):
    """Compute log-probabilities of the learner's or the baseline's head."""
    from afpt_plugin.results.output import primary_head
    from afpt_plugin.scoring.calibration import n_summed, without_items

    if head == "tuned":
        return tuned.log_probabilities(logits)
    multi_label = tuned.hparams.export.multi_label
    own = without_items(tuned.mods.clap.gap, logits.shape[1], multi_label)
    return own.log_probabilities(logits, n_summed(primary_head(tuned.heads)))


def _measure(tuned, logits, targets, rows):
    """Make the content of evaluation.json."""
    from sklearn.metrics import f1_score

    from afpt_plugin.results.compare import bootstrap_interval
    from afpt_plugin.scoring.calibration import (
        calibration_error,
        error_by_chance,
        reliability,
    )
    from afpt_plugin.task import Task

    export = tuned.hparams.export
    names, multi_label = export.class_names, export.multi_label
    task = Task("evaluation", names, multi_label=multi_label)
    found = {
        "n_recordings": len(rows),
        "multi_label": multi_label,
        "metric": task.metric,
        "calibrated_on": tuned.calibration.fitted_on,
        "metrics": {},
        "per_class": {},
        "bins": {},
    }
    for head, values in logits.items():
        metrics = task.metrics(values, targets)
        found["per_class"][head] = metrics.pop("per_class")
        log_p = _log_probabilities(tuned, head, values)
        bins = reliability(log_p, targets, multi_label)
        metrics["ece"] = calibration_error(bins)
        metrics["ece_by_chance"] = error_by_chance(log_p, multi_label)
        limit = tuned.calibration.threshold
        if head == "tuned" and multi_label and limit is not None:
            above = (log_p.exp() > limit).numpy()
            metrics["f1"] = float(
                f1_score(targets.numpy(), above, average="micro")
            )
        found["metrics"][head], found["bins"][head] = metrics, bins
    if multi_label:
        values = [
            [entry["ap"] for entry in classes.values() if entry["n"]]
            for classes in found["per_class"].values()
        ]
        sources, over = None, "classes"
    else:
        right = targets.argmax(1)
        values = [(v.argmax(1) == right).tolist() for v in logits.values()]
        sources, over = [r["source"] or r["sha256"] for r in rows], "sources"
    pairs = [float(b) - float(a) for a, b in zip(*values, strict=True)]
    n = len(set(sources)) if sources else len(pairs)
    difference = {"mean": sum(pairs) / len(pairs), "over": f"{n} {over}"}
    if n > 1:
        low, high = bootstrap_interval(pairs, sources)
        difference |= {"low": low, "high": high}
    return {**found, "difference": difference}


def _write(output, found, tuned, logits, targets, rows):
    """Write the tables, the figures and, last, evaluation.json."""
    from functools import partial

    import pandas as pd

    from afpt_plugin.files import replacing
    from afpt_plugin.metrics import confusion
    from afpt_plugin.results.figures import (
        plot_confusion,
        plot_per_class,
        plot_reliability,
    )
    from afpt_plugin.results.output import write_predictions

    names = found["per_class"]["tuned"]
    kind = "ap" if found["multi_label"] else "acc"
    columns = {
        head: {name: entry[kind] for name, entry in classes.items()}
        for head, classes in found["per_class"].items()
    }
    table = pd.DataFrame(columns).rename_axis("class")
    table["n"] = [entry["n"] for entry in names.values()]
    with replacing(output / "per_class.csv") as part:
        table.to_csv(part, float_format="%.6g")
    labels = targets if found["multi_label"] else targets.argmax(1)
    write_predictions(
        output,
        [row["ID"] for row in rows],
        labels,
        list(names),
        logits,
        {row["ID"]: row["source"] for row in rows},
        partial(_log_probabilities, tuned),
    )
    values = *columns.values(), table["n"].to_dict()
    plot_per_class(*values, output / "per_class.png", kind)
    metrics, bins = found["metrics"]["tuned"], found["bins"]["tuned"]
    errors = metrics["ece"], metrics["ece_by_chance"]
    plot_reliability(bins, errors, output / "reliability.png")
    if not found["multi_label"]:
        matrix = confusion(logits["tuned"], labels)
        plot_confusion(matrix, list(names), output / "confusion.png")
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    write_if_changed(output / "evaluation.json", text + "\n")


def _table(found):
    """Format the result as a few lines of text."""
    metric = found["metric"]
    lines = [
        f"{found['n_recordings']} recordings".ljust(18)
        + f"{metric + ' [%]':>11}{'ECE [%]':>11}{'by chance':>11}"
    ]
    for head, title in (("zero_shot", "untuned template"), ("tuned", "tuned")):
        values = found["metrics"][head]
        numbers = values[metric], values["ece"], values["ece_by_chance"]
        line = f"{title:18}" + "".join(f"{100 * v:11.1f}" for v in numbers)
        if "f1" in values:
            line += f"   F1 of what is present: {100 * values['f1']:.1f}"
        lines.append(line)
    pair = found["difference"]
    line = f"Tuning changes {metric} by {100 * pair['mean']:+.1f} points"
    if "low" in pair:
        ends = f"{100 * pair['low']:+.1f} to {100 * pair['high']:+.1f}"
        line += f" (95 % interval over {pair['over']}: {ends})"
    return "\n".join([*lines, f"{line}."])
