"""CSV and TSV records to columns."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns as names_
from tamis.schemas import shards
from tamis.sources import blocks, records, utf8

_LONE_RETURN = re.compile(rb"\r(?!\n)")


def lone_return(record: bytes) -> bool:
    """Whether a record holds a carriage return that ends no line."""
    return _LONE_RETURN.search(record) is not None


def cells(record: bytes, file: shards.File) -> tuple[str, ...]:
    """The cells of one record.

    Raises:
      SchemaError: the record is not UTF-8 or not one record.
    """
    options = pa.csv.ReadOptions(
        use_threads=False, autogenerate_column_names=True, block_size=len(record) + 2
    )
    convert = pa.csv.ConvertOptions(**_AS_TEXT, default_column_type=pa.string())
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(record + b"\n"), options, _dialect(file, []), convert
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise errors.SchemaError("unreadable header", where=file.path, why=str(error)) from error
    return tuple(column[0].as_py() for column in table.columns)


def parse(
    lines: records.Lines, names: dict[str, str], header: tuple[str, ...], file: shards.File
) -> blocks.Parsed:
    """Records to columns.

    Args:
      lines: n records.
      names: Canonical to the file's column name.
      header: The file's columns.
      file: Whose delimiter and quote apply.

    Every column is read as strings, so a label `007` stays that. A record with another number of
    cells than the header is rejected by arrow's own handler; only a batch with bytes that are not
    UTF-8, or with a carriage return inside a line, is looked at record by record.
    """
    data: memoryview | bytes = memoryview(lines.data)[lines.starts[0] : lines.stops[-1]]
    bad: list[blocks.Bad] = []
    positions = np.arange(len(lines))
    if not utf8.valid(data) or _lone_returns(lines):
        positions, bad = _screened(lines, header, file)
        data = b"\n".join(lines.record(i) for i in positions.tolist())
    table, skipped = _table(data, tuple(names.values()), header, file)
    kept = np.delete(positions, [number for number, _ in skipped])
    if table.num_rows != len(kept):  # cannot be: records and arrow agree on quotes
        raise errors.SchemaError("records and rows disagree", where=f"{file.path}:{lines.row}")
    for number, error in skipped:
        at = int(positions[number])
        bad.append(blocks.Bad(lines.row + at, "malformed", error, lines.beginning(at)))
    found = {k: _one(table[name], k) for k, name in names.items()}
    return blocks.Parsed(kept + lines.row, found, bad, lambda i: lines.beginning(int(kept[i])))


def _lone_returns(lines: records.Lines) -> bool:
    span = int(lines.starts[0]), int(lines.stops[-1])
    return lines.data.find(b"\r", *span) >= 0 and bool(_LONE_RETURN.search(lines.data, *span))


def _screened(
    lines: records.Lines, header: tuple[str, ...], file: shards.File
) -> tuple[NDArray[np.int64], list[blocks.Bad]]:
    """Positions of the records arrow can take together, and the bad ones."""
    bad = []
    for i in range(len(lines)):
        record = lines.record(i)
        problem = utf8.problem(record)
        if problem:
            bad.append(blocks.Bad(lines.row + i, "invalid_utf8", problem, record))
        elif _LONE_RETURN.search(record) and not _is_one(record, header, file):
            error = "a carriage return outside quotes ends a line here"
            bad.append(blocks.Bad(lines.row + i, "malformed", error, record))
    return np.delete(np.arange(len(lines)), [b.row - lines.row for b in bad]), bad


def _is_one(record: bytes, header: tuple[str, ...], file: shards.File) -> bool:
    """Whether arrow sees one row in the record."""
    table, skipped = _table(record, header[:1], header, file)
    return table.num_rows + len(skipped) == 1


_AS_TEXT = {"null_values": [], "strings_can_be_null": False, "check_utf8": True}


def _table(
    data: memoryview | bytes, wanted: tuple[str, ...], header: tuple[str, ...], file: shards.File
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """The wanted columns as strings; positions of rows with a wrong number of cells, with why."""
    skipped: list[tuple[int, str]] = []
    if not len(data):
        return pa.table({name: pa.array([], pa.large_string()) for name in wanted}), skipped
    table = pa.csv.read_csv(
        pa.BufferReader(pa.py_buffer(data)),
        pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(header)),
        _dialect(file, skipped),
        pa.csv.ConvertOptions(
            **_AS_TEXT,
            include_columns=list(dict.fromkeys(wanted)),
            column_types=dict.fromkeys(wanted, pa.large_string()),
        ),
    )
    return table, skipped


def _dialect(file: shards.File, skipped: list[tuple[int, str]]) -> pa.csv.ParseOptions:
    def skip(row: pa.csv.InvalidRow) -> str:
        error = f"{row.actual_columns} cells, the header has {row.expected_columns}"
        skipped.append((row.number - 1, error))
        return "skip"

    return pa.csv.ParseOptions(
        delimiter=file.delimiter,
        quote_char=file.quote or False,
        newlines_in_values=bool(file.quote),
        invalid_row_handler=skip,
    )


def _one(column: pa.ChunkedArray, canonical: str) -> pa.Array:
    values = column.combine_chunks()
    return values if canonical == names_.TEXT else values.cast(pa.string())
