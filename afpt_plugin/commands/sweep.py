"""``afpt sweep``: run every cell of a grid, in one process.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import sys
from pathlib import Path

from afpt_plugin.folders import locked

DESCRIPTION = """\
Run a grid of experiments: data sets x methods x supervisions x folds x seeds.

Every cell is one call of a recipe's train.py; --dry-run prints the commands.
Cells that have results are not run again, and one that fails does not stop the
others: its folder holds error.txt. `afpt report` makes the table.
"""

EXAMPLE = """\
example:
  afpt sweep recipes/grids/smoke.yaml --dry-run
  afpt sweep recipes/grids/smoke.yaml --results results/smoke
  afpt report results/smoke

exit status: 0; 1 if a cell failed; 2 if the grid cannot be run
"""


def add_parser(subparsers):
    """Add the subcommand to `afpt`'s parser.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["sweep", "grid.yaml", "--dry-run"]).dry_run
    True
    """
    parser = subparsers.add_parser(
        "sweep",
        help="run a grid of experiments, resumable, for `afpt report`",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("grid", metavar="GRID", help="YAML file, see recipes/grids")
    add(
        "--results",
        metavar="DIR",
        default="results",
        help="where the results go (default: results)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of every cell, in place of the grid's, e.g. "
        "clap=ms-2022 or ESC50.data_folder=ESC-50-master",
    )
    add(
        "--dry-run",
        action="store_true",
        help="only print the commands of the cells",
    )
    parser.set_defaults(run=run)


def run(args):
    """Run the grid; return the exit status."""
    from afpt_plugin.grids import read_grid
    from afpt_plugin.sweep import run_sweep, write_cells

    cells = read_grid(args.grid, args.results, _options(args.set))
    if args.dry_run:
        done = sum(cell.is_done for cell in cells)
        sys.stdout.write("".join(f"{cell.command}\n" for cell in cells))
        sys.stderr.write(f"{len(cells)} cells, {done} of them have results\n")
        return 0
    table = Path(args.results, "cells.csv")
    with locked(args.results):
        errors = run_sweep(cells)
        write_cells(cells, errors, table)
    sys.stdout.write(
        f"{len(cells) - len(errors)} of {len(cells)} cells have results, "
        f"{len(errors)} failed; {table} lists them. To compare:\n"
        f"  afpt report {args.results}\n"
    )
    return int(bool(errors))


def _options(given):
    """Turn ``OPTION=VALUE`` and ``DATASET.OPTION=VALUE`` into a block."""
    import yaml

    from afpt_plugin.errors import InputError
    from afpt_plugin.plain_yaml import PlainLoader

    options = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name:
            raise InputError(f"--set {text}: give OPTION=VALUE")
        *dataset, name = name.split(".", 1)
        place = options.setdefault(dataset[0], {}) if dataset else options
        try:
            place[name] = yaml.load(value, PlainLoader)
        except (yaml.YAMLError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"--set {text}: the value is not valid YAML: {reason}"
            ) from error
        except TypeError:
            raise InputError(
                f"--set {text}: {dataset[0]} has a value already; give options "
                "of a data set one by one"
            ) from None
    return options
