"""The subcommands of `afpt`, a module each: ``add_parser`` and ``run``.

`afpt --help` imports all of them, so what is heavy (torch, pandas, ...) is
imported inside of ``run``, which returns the exit status.

Authors
 * The afpt_plugin developers 2026
"""

from afpt_plugin.errors import refuse_unwritable
from afpt_plugin.files import replacing


def write_table(table, path):
    """Write a CSV file that the user named.

    Arguments
    ---------
    table : pandas.DataFrame
        The table; its index is left out.
    path : str or pathlib.Path
        The file.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with refuse_unwritable(path), replacing(path) as part:
        table.to_csv(
            part, index=False, float_format="%.6g", lineterminator="\n"
        )
