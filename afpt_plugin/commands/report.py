"""`afpt report`: one table of all runs below a folder.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import sys


def add_parser(subparsers):
    """Add `report` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Of the parser of `afpt`.

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
            "report.csv and report.png: zero-shot, coarse, fine and ensemble,\n"
            "mean and standard deviation over seeds, and the paired difference\n"
            "to zero-shot with a bootstrap interval. Runs that differ in more\n"
            "than the seed are not averaged; the report says why."
        ),
        epilog=(
            "example:\n"
            "  afpt report results --output comparison\n\n"
            "exit status: 0; 1 if a run is broken or unfinished (the report\n"
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
        help="exit status 0 even if a run is broken or unfinished",
    )
    parser.set_defaults(run=run)


def run(args):
    """Write the report and show it.

    Arguments
    ---------
    args : argparse.Namespace
        `results_dir`, `output` and `allow_errors`.

    Returns
    -------
    int
        The exit status: 1 if a run was broken or unfinished, else 0.

    Raises
    ------
    InputError
        If there is nothing to compare or the report cannot be written.
    """
    from afpt_plugin.results.compare import compare_runs, write_comparison

    comparison = compare_runs(args.results_dir)
    paths = write_comparison(comparison, args.output or args.results_dir)
    sys.stdout.write(paths[-1].read_text(encoding="utf-8"))
    sys.stdout.write(f"\nwritten: {', '.join(map(str, paths))}\n")
    for error in comparison.errors:
        sys.stderr.write(f"error: {error}\n")
    return int(bool(comparison.errors) and not args.allow_errors)
