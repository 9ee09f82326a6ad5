"""Tables that grow: a row is written as soon as it is known, and stays.

Rows are appended to a `Table`, a few whole rows at a time, so that a user can
watch the file grow, and no row is lost if the process is killed.

Authors
 * The afpt_plugin developers 2026
"""

import csv
import io
import os
from contextlib import suppress

from afpt_plugin.data.tables import csv_text
from afpt_plugin.files import replacing


class Table:
    """A CSV file that grows; `finish` can convert it to a .parquet file.

    The first column is the name of a row's subject, usually the recording. Rows
    of the same name are kept together.

    Arguments
    ---------
    path : pathlib.Path
        The file; it ends in .csv, .tsv or .parquet.
    columns : dict
        Maps the columns' names to pyarrow's names of their types.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.csv"
    >>> table = Table(path, {"file": "string", "n": "float32"})
    >>> table.add([])
    >>> table.add([["a.wav", 1.5], ["b\\r, c.wav", None], ["a.wav", 2]])
    >>> table.keep(["b\\r, c.wav", "a.wav"])
    >>> path.read_bytes()
    b'file,n\\n"b\\r, c.wav",\\na.wav,1.5\\na.wav,2\\n'
    """

    def __init__(self, path, columns):
        self.path, self.columns = path, columns
        is_parquet = path.suffix.lower() == ".parquet"
        #: The file that grows.
        self.part = path.with_name(f"{path.name}.csv") if is_parquet else path
        self._delimiter = "\t" if path.suffix.lower() == ".tsv" else ","

    def exists(self):
        """Whether the table's file exists."""
        return any(map(os.path.lexists, (self.path, self.part)))

    def remove(self):
        """Remove the table's files."""
        for path in (self.path, self.part):
            path.unlink(missing_ok=True)

    def _encode(self, rows):
        return csv_text(rows, self._delimiter).encode()

    def add(self, rows):
        """Append rows, all or none of them; the first call makes the file."""
        with open(self.part, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            left = memoryview(
                (b"" if size else self._encode([self.columns]))
                + self._encode(rows)
            )
            try:
                while left:
                    left = left[file.write(left) :]
            except BaseException:
                with suppress(OSError):
                    file.truncate(size)
                raise

    def scan(self):
        """Yield the name, the offset and the bytes of each whole row."""
        if not self.part.exists() and self.path.exists():
            self._from_parquet()
        if not self.part.exists():
            return
        delimiter, held, offset = self._delimiter.encode(), b"", 0
        with open(self.part, "rb") as file:
            for line in file:
                held += line
                if held.count(b'"') % 2 or not line.endswith(b"\n"):
                    continue  # a line break in quotes, or a torn row
                if offset:
                    name = held.split(delimiter, 1)[0].rstrip(b"\n").decode()
                    if held.startswith(b'"'):
                        name = self.read(held)[0]
                    yield name, offset, held
                offset += len(held)
                held = b""

    def read(self, row):
        """Parse a row's bytes to texts."""
        text = io.StringIO(row.decode(), newline="")
        return next(csv.reader(text, delimiter=self._delimiter))

    def keep(self, names):
        """Keep only whole rows of these names, in the order of the names."""
        runs, order, end = {}, [], len(self._encode([self.columns]))
        for name, offset, row in self.scan():
            end = offset + len(row)
            if not order or order[-1] != name:
                order.append(name)
                runs.setdefault(name, []).append([offset, end])
            runs[name][-1][1] = end
        if not self.part.exists():
            return
        wanted = [name for name in names if name in runs]
        if order == wanted and end == self.part.stat().st_size:
            return
        with (
            replacing(self.part) as new,
            open(self.part, "rb") as old,
            open(new, "wb") as file,
        ):
            file.write(self._encode([self.columns]))
            for name in wanted:
                for begin, stop in runs[name]:
                    old.seek(begin)
                    file.write(old.read(stop - begin))

    def finish(self, has_grown=True):
        """Convert the file that grew to the requested one, if they differ."""
        if self.part == self.path or not self.part.exists():
            return
        if not has_grown:
            self.part.unlink()
            return
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet as pq

        schema = pa.schema(self.columns.items())
        with (
            replacing(self.path) as new,
            pq.ParquetWriter(new, schema) as out,
        ):
            for batch in pa.csv.open_csv(
                self.part,
                parse_options=pa.csv.ParseOptions(newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=schema,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            ):
                out.write_batch(batch)
        self.part.unlink()

    def _from_parquet(self):
        import pyarrow.parquet as pq

        with replacing(self.part) as new:
            new.unlink(missing_ok=True)
            whole = Table(new, self.columns)
            whole.add([])
            for batch in pq.ParquetFile(self.path).iter_batches():
                whole.add(zip(*map(_values, batch.columns), strict=True))


def _values(column):
    """Values of an Arrow column; a float32 keeps its own digits."""
    if str(column.type) != "float":
        return column.to_pylist()
    known = column.is_valid().to_pylist()
    texts = column.to_numpy(zero_copy_only=False).astype("float32").astype(str)
    return [t if k else None for t, k in zip(texts, known, strict=True)]
