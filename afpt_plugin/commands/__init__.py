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
    """Write a data frame, without its index, to a CSV file of the user's."""
    with refuse_unwritable(path), replacing(path) as part:
        table.to_csv(
            part, index=False, float_format="%.6g", lineterminator="\n"
        )


@contextmanager
def open_table(path, columns, block=128):
    """Write a table of any length, which appears when it is complete.

    It yields a function that adds values of each column to the end; ``columns``
    maps their names to pyarrow's types. At most ``block`` parts are in memory.

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
