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

The first table has a row for each method and a column for each data set: the
head that a run is judged by, in % of accuracy or mAP, as the mean ± the sample
standard deviation over all seeds and folds. H is 2BN / (B + N) of base and new
classes; H and means over data sets are computed for each seed, then averaged.
The best of a column is bold. A transductive score saw all test recordings at
once, without their labels; the others see one at a time.

The gain is in percentage points, over the untuned template of the same run. In
parentheses stands its 95 % interval, a bootstrap over the sources of the
recordings, or over the classes (mAP, since a recording has no average
precision), after averaging over the seeds. Each recording counts once, whatever
the size of its fold.

ECE is the expected calibration error of that head's probabilities, in percentage
points: how far, over 15 bins, they lie from the share that is right."""


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
            "report.csv, report.png and, of few-shot runs, shots.png: means\n"
            "and standard deviations over seeds and folds, and the paired\n"
            "gain over zero-shot with a bootstrap interval. Runs that differ\n"
            "in anything else are not averaged; the report says in what."
        ),
        epilog=(
            "example:\n"
            "  afpt report results --output comparison\n\n"
            "exit status: 0; 1 if a run is damaged, unfinished or failed (the\n"
            "report names it); 2 if there is nothing to compare"
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
        help="exit with status 0 even if a run is damaged, unfinished or failed",
    )
    parser.set_defaults(run=run)


def run(args):
    """Write the report and show it; return the exit status."""
    from afpt_plugin.results.compare import compare_runs

    comparison = compare_runs(args.results_dir)
    paths = write_report(comparison, args.output or args.results_dir)
    sys.stdout.write(paths[0].read_text(encoding="utf-8"))
    sys.stdout.write(f"\nWrote {', '.join(map(str, paths))}\n")
    errors = [*comparison.errors, *comparison.failed]
    for error in errors:
        sys.stderr.write(f"error: {error}\n")
    return int(bool(errors) and not args.allow_errors)


def write_report(comparison, folder):
    """Write a `Comparison` as ``report.md``, ``.csv``, ``.png``, ``shots.png``.

    Returns the paths of the files; ``shots.png`` is written only if there are
    few-shot runs. The folder is made if it does not exist.
    """
    from afpt_plugin.results.figures import plot_comparison
    from afpt_plugin.results.shots_figure import plot_shots

    table, heads = comparison.table, comparison.heads
    labels = [
        f"{number}  {row['dataset']}, {row['metric']}, runs: {row['n_runs']}\n"
        f"{_row_title(row)}, {row['clap']}"
        for number, row in table.iterrows()
    ]
    folder = Path(folder)
    md, csv, png = (folder / f"report.{kind}" for kind in ("md", "csv", "png"))
    shots = folder / "shots.png"
    with refuse_unwritable(folder):
        with replacing(csv) as part:
            table.to_csv(part, float_format="%.6g")
        plot_comparison(table, labels, heads, png)
        shots.unlink(missing_ok=True)
        if _has_k(table):
            plot_shots(table, _line_titles(table), shots)
        with replacing(md) as part:
            part.write_text(format_report(comparison), encoding="utf-8")
    return [md, csv, png] + [shots] * shots.is_file()


def format_report(comparison):
    """Write a `Comparison` as Markdown, percentages with one decimal.

    It has the summary with notes on rows that are not comparable; the figures;
    a table per data set with all heads; the runs that failed, were not counted
    or are damaged; and the runs of each row.
    """
    from afpt_plugin.results.pivot import summarize

    parts, table = [INTRODUCTION], comparison.table
    for clap, summary, notes in summarize(comparison):
        parts += [f"## {_inline(clap)}", _markdown(summary)]
        parts += _listed(notes)
    parts += _listed(comparison.marks)
    parts.append("![All heads of all rows](report.png)")
    if _has_k(table):
        parts.append("![Methods by the number of recordings](shots.png)")
    for dataset, rows in table.groupby("dataset", sort=False):
        parts.append(f"## {_inline(dataset)}")
        parts += _details(rows, comparison.heads)
        parts += comparison.notes[dataset]
    for title, sentences in (
        ("Cells that failed", comparison.failed),
        ("Runs not counted", comparison.duplicates),
        ("Damaged, unfinished or overlapping runs", comparison.errors),
    ):
        if sentences:
            parts += [f"## {title}", *_listed(sentences)]
    parts.append("## Runs")
    for number, row in table.iterrows():
        cells = f"seeds: {row['seeds'].replace(' ', ', ')}"
        if row["folds"]:
            cells += f"; folds: {row['folds'].replace(' ', ', ')}"
        parts.append(f"Row {number} ({cells}):")
        parts += _listed(row["files"].split(" | "))
    return "\n\n".join(parts) + "\n"


def _details(rows, heads):
    """Describe what all rows of a data set share, and list all their heads."""
    import pandas as pd

    from afpt_plugin.results.figures import head_title
    from afpt_plugin.results.pivot import percent

    def texts(column):
        """Format a column's means with their deviations."""
        return list(map(percent, rows[column], rows[f"{column}_std"]))

    cells = pd.DataFrame(index=rows.index)
    cells["row"] = [f"{n} {mark}".strip() for n, mark in rows["mark"].items()]
    cells["method"] = rows.apply(_row_title, axis=1)
    shared = []
    for title, column in (
        ("backbone", "clap"),
        ("its license", "clap_licence"),
        ("zero-shot", "template"),
        ("metric", "metric"),
        ("clips", "clips"),
        ("kind of run", "kind"),
        ("gain over", "vs_zero_shot_over"),
    ):
        values = rows[column].fillna("-")
        if values.nunique() == 1:
            shared.append(f"{title}: {_inline(values.iloc[0])}")
        else:
            cells[title] = values
    cells["runs"] = rows["n_runs"]
    for head in heads:
        if rows[head].notna().any():
            cells[head_title(head)] = texts(head)
    ends = [f"vs_same_head{end}" for end in ("", "_low", "_high")]
    cells["gain over the same head"] = [
        percent(mean, low=low, high=high, sign="+")
        for mean, low, high in rows[ends].itertuples(index=False)
    ]
    if rows["ece"].notna().any():
        cells["ECE"] = [percent(value) for value in rows["ece"]]
    for head in ("zero_shot", *rows["primary"].unique()):
        if rows[f"lwlrap_{head}"].notna().any():
            cells[f"lwlrap {head_title(head)}"] = texts(f"lwlrap_{head}")
    return [f"All rows: {', '.join(shared)}"] * bool(shared) + [
        _markdown(cells)
    ]


def _row_title(row):
    """Name a row's method and supervision."""
    from afpt_plugin.results.pivot import method_title

    shots = "" if row["k"] == "-" else f", k {row['k']}"
    return f"{method_title(row)}, {row['supervision']}{shots}"


def _has_k(table):
    """Whether any row learned from k recordings per class."""
    return table["k"].str.isdecimal().any()


def _line_titles(table):
    """Name the lines in a figure; rows that differ only in k share a name."""
    from afpt_plugin.results.pivot import method_title

    titles = table.apply(method_title, axis=1)
    several = table.groupby(titles)["supervision"].transform("nunique") > 1
    titles += (", " + table["supervision"]).where(several, "")
    titles += table["k"].map({"all": ", all recordings"}).fillna("")
    return (titles + " " + table["mark"]).str.strip()


def _markdown(cells):
    """Format a table of texts."""
    cells = cells.map(_inline)
    return cells.to_markdown(index=False, disable_numparse=True)


def _listed(sentences):
    """Format a list as one paragraph; nothing if it is empty."""
    lines = [f"- {_inline(sentence)}" for sentence in sentences]
    return ["\n".join(lines)] * bool(lines)


def _inline(text):
    """Escape a text so that it cannot end its cell or its line."""
    return " ".join(str(text).split()).replace("|", "\\|")
