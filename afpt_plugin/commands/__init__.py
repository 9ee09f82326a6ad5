"""The subcommands of `afpt`, a module each: ``add_parser`` and ``run``.

`afpt --help` imports all of them, so what is heavy (torch, pandas, ...) is
imported inside of ``run``, which returns the exit status.

Authors
 * The afpt_plugin developers 2026
"""

from contextlib import ExitStack, contextmanager

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


@contextmanager
def open_table(path, columns, block=128):
    """Write a table of any length, which appears when it is complete.

    Arguments
    ---------
    path : pathlib.Path
        A ``.csv`` or ``.parquet`` file.
    columns : dict
        Name to type, of pyarrow.
    block : int
        How many parts to hold in memory before they are written.

    Yields
    ------
    callable
        Takes the values of each column, which it adds to the table's end.

    Raises
    ------
    InputError
        If it cannot be written.

    Example
    -------
    >>> import pyarrow as pa
    >>> path = getfixture("tmp_path") / "a.csv"
    >>> with open_table(path, {"file": pa.string(), "n": pa.int64()}) as add:
    ...     add(["a.wav", "b, c.wav"], [1, 2])
    >>> path.read_text()
    'file,n\\na.wav,1\\n"b, c.wav",2\\n'
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, pending = pa.schema(columns), []
    with refuse_unwritable(path), replacing(path) as part, ExitStack() as stack:
        if path.suffix.lower() == ".parquet":
            writer = stack.enter_context(pq.ParquetWriter(part, schema))
            write = writer.write_table
        else:
            file = stack.enter_context(
                open(part, "w", newline="", encoding="utf-8")
            )

            def write(table):
                table.to_pandas().to_csv(
                    file,
                    index=False,
                    header=file.tell() == 0,
                    lineterminator="\n",
                )

        def flush():
            write(pa.concat_tables([schema.empty_table(), *pending]))
            pending.clear()

        def add(*values):
            values = list(map(pa.array, values, schema.types))
            pending.append(pa.table(values, schema=schema))
            if len(pending) == block:
                flush()

        yield add
        flush()
