"""`afpt report`: one table of all runs below a folder.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import sys
from pathlib import Path

from afpt_plugin.errors import refuse_unwritable
from afpt_plugin.files import replacing

INTRODUCTION = """\
# Comparison of runs

Metrics are in %: the mean ± the sample standard deviation over runs that differ
only in the seed. A single run has no deviation.

Gains are in percentage points and paired within each run: those of the
learner's head named, over zero-shot (the untuned template) and over the same
head of the baseline, which shows what was learned. In parentheses stands the
95 % interval, a bootstrap over the recordings (acc) or over the classes (mAP,
since a recording has no average precision), after averaging over the seeds.

![Comparison of runs](report.png)"""


def add_parser(subparsers):
    """Add `report` to the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["report", "results"]).results_dir
    'results'
    """
    parser = subparsers.add_parser(
        "report",
        help="compare all runs below a folder: table, intervals, figure",
        description=(
            "Read every results.json below RESULTS_DIR and write report.md,\n"
            "report.csv and report.png: each head's mean and standard\n"
            "deviation over seeds, and the paired gain over zero-shot with a\n"
            "bootstrap interval. Runs that differ in more than the seed are\n"
            "not averaged; the report says in what they differ."
        ),
        epilog=(
            "example:\n"
            "  afpt report results --output comparison\n\n"
            "exit status: 0; 1 if a run is damaged or unfinished (the report\n"
            "names it); 2 if there is nothing to compare"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results_dir",
        metavar="RESULTS_DIR",
        help="searched with all folders below it",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="where to write the report (default: RESULTS_DIR)",
    )
    parser.add_argument(
        "--allow-errors",
        action="store_true",
        help="exit status 0 even if a run is damaged or unfinished",
    )
    parser.set_defaults(run=run)


def run(args):
    """Write the report and show it; return the exit status."""
    from afpt_plugin.results.compare import compare_runs

    comparison = compare_runs(args.results_dir)
    paths = write_report(comparison, args.output or args.results_dir)
    sys.stdout.write(paths[-1].read_text(encoding="utf-8"))
    sys.stdout.write(f"\nWrote {', '.join(map(str, paths))}\n")
    for error in comparison.errors:
        sys.stderr.write(f"error: {error}\n")
    return int(bool(comparison.errors) and not args.allow_errors)


def write_report(comparison, folder):
    """Write a `Comparison` as `report.csv`, `report.png` and `report.md`.

    Returns the files' paths. The folder is made if it does not exist.
    """
    from afpt_plugin.results.figures import plot_comparison

    table, heads = comparison.table, comparison.heads
    labels = [
        f"{number}  {row['dataset']}, {row['metric']}, runs: {row['n_runs']}\n"
        f"{_learner(row)}, {row['supervision']}, {row['clap']}"
        for number, row in table.iterrows()
    ]
    folder = Path(folder)
    csv, png, md = (folder / f"report.{kind}" for kind in ("csv", "png", "md"))
    with refuse_unwritable(folder):
        with replacing(csv) as part:
            table.to_csv(part, float_format="%.6g")
        plot_comparison(table, labels, heads, png)
        with replacing(md) as part:
            part.write_text(format_report(comparison), encoding="utf-8")
    return [csv, png, md]


def format_report(comparison):
    """Write a `Comparison` as Markdown, percentages with one decimal.

    Two tables a data set with notes on what is not comparable; then the runs
    that were not counted or are damaged, and the runs of each row.
    """
    parts = [INTRODUCTION]
    for dataset, rows in comparison.table.groupby("dataset", sort=False):
        parts.append(f"## {_inline(dataset)}")
        parts += _tables(rows, comparison.heads)
        parts += comparison.notes[dataset]
    for title, sentences in (
        ("Runs not counted", comparison.duplicates),
        ("Damaged or unfinished runs", comparison.errors),
    ):
        if sentences:
            lines = [f"- {_inline(sentence)}" for sentence in sentences]
            parts += [f"## {title}", "\n".join(lines)]
    parts.append("## Runs")
    for number, row in comparison.table.iterrows():
        lines = [f"- {_inline(file)}" for file in row["files"].split(" | ")]
        seeds = row["seeds"].replace(" ", ", ")
        parts.append("\n".join([f"Row {number} (seeds: {seeds}):\n", *lines]))
    return "\n\n".join(parts) + "\n"


def _tables(rows, heads):
    """What all rows of a data set share, their results and their gains."""
    import pandas as pd

    from afpt_plugin.results.figures import head_title

    results = pd.DataFrame({"row": rows.index}, index=rows.index)
    results["learner"] = rows.apply(_learner, axis=1)
    results["supervision"] = rows["supervision"]
    results["backbone"] = rows["clap"]
    gains = results.assign(head=rows["primary"].map(head_title))
    shared = []
    for title, column in (
        ("metric", "metric"),
        ("recordings", "n_recordings"),
        ("kind of run", "kind"),
        ("epoch chosen on", "selection"),
    ):
        values = rows[column].fillna("-")
        if values.nunique() == 1:
            shared.append(f"{title}: {_inline(values.iloc[0])}")
        else:
            results[title] = values
    results["runs"] = rows["n_runs"]
    for head in heads:
        if rows[head].notna().any():
            results[head_title(head)] = _percent(rows, head)
    for gain in ("vs_zero_shot", "vs_same_head"):
        title = gain.replace("_", " ").replace("zero shot", "zero-shot")
        gains[title] = _percent(rows, gain, "+")
    gains["interval over"] = rows["vs_zero_shot_over"]
    for head in ("zero_shot", *rows["primary"].unique()):
        values = _percent(rows, f"lwlrap_{head}")
        if (values != "-").any():
            gains[f"lwlrap {head_title(head)}"] = values
    return [f"All rows: {', '.join(shared)}"] * bool(shared) + [
        cells.map(_inline).to_markdown(index=False, disable_numparse=True)
        for cells in (results, gains)
    ]


def _learner(row):
    """A learner's name with the settings that tell it apart."""
    return row["learner"] + (f" ({row['settings']})" if row["settings"] else "")


def _percent(rows, column, sign=""):
    """Means with what there is of deviations and intervals, as texts."""

    def text(row):
        """A metric's mean, spread and interval, in percent."""
        mean, std, low, high = (
            100 * row.get(f"{column}{end}", float("nan"))
            for end in ("", "_std", "_low", "_high")
        )
        parts = ["-" if mean != mean else f"{mean:{sign}.1f}"]
        parts += [f"± {std:.1f}"] if std == std else []
        parts += [f"({low:+.1f} to {high:+.1f})"] if low == low else []
        return " ".join(parts)

    return rows.apply(text, axis=1)


def _inline(text):
    """Text that cannot end its cell or its line."""
    return " ".join(str(text).split()).replace("|", "\\|")
