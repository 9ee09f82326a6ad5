"""The subcommands of `afpt`, one module each, with ``add_parser`` and ``run``.

`afpt --help` imports all modules, so heavy packages (torch, pandas, ...) are
imported inside ``run``, which returns the exit status.

Authors
 * The afpt_plugin developers 2026
"""

import sys

from afpt_plugin.errors import refuse_unwritable
from afpt_plugin.files import replacing


def say(text):
    """Show progress to a user at a terminal; write nothing to a file."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text} ...\n")


def write_table(table, path):
    """Write a data frame, without its index, to a CSV file of the user."""
    with refuse_unwritable(path), replacing(path) as part:
        table.to_csv(
            part, index=False, float_format="%.6g", lineterminator="\n"
        )
