"""The subcommands of `afpt`, a module each: ``add_parser`` and ``run``.

`afpt --help` imports all of them, so what is heavy (torch, pandas, ...) is
imported inside of ``run``, which returns the exit status.

Authors
 * The afpt_plugin developers 2026
"""

import sys

from afpt_plugin.errors import refuse_unwritable
from afpt_plugin.files import replacing


def say(text):
    """Tell who waits at a terminal what is being done; a file stays quiet."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text} ...\n")


def write_table(table, path):
    """Write a data frame, without its index, to a CSV file of the user's."""
    with refuse_unwritable(path), replacing(path) as part:
        table.to_csv(
            part,
            index=False,
            float_format="%.6g",
            lineterminator="\n",
        )
