"""Parquet row ranges to columns."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from tamis import errors, storage
from tamis.schemas import columns as names_
from tamis.schemas import rejected, shards
from tamis.sources import blocks

_BUFFER = 4 << 20  # read ahead per column; a whole column chunk may not fit
_VECTOR = pa.list_(pa.float32())
EXPECTED = {
    names_.TEXT: "string",
    names_.LABEL: "string, integer or boolean",
    names_.ID: "string or integer",
    names_.EMBEDDING: "list of float16, float32 or float64",
}


def rows(file: shards.File) -> int:
    """Rows of a file, from its footer."""
    with opened(file) as parquet:
        return int(parquet.metadata.num_rows)


def schema(file: shards.File) -> pa.Schema:
    """Columns of a file, from its footer."""
    with opened(file) as parquet:
        return parquet.schema_arrow


@contextlib.contextmanager
def opened(file: shards.File) -> Iterator[Any]:
    """The file as a `pyarrow.parquet.ParquetFile`.

    Raises:
      SchemaError: it is truncated, damaged or not Parquet, found here or while reading.
    """
    try:
        with _source(file.path) as source:
            yield pa.parquet.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER)
    except FileNotFoundError as error:
        raise errors.SchemaError("no such file", where=file.path) from error
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, whose own words are best
        raise errors.SchemaError(
            "cannot be read as Parquet",
            where=file.path,
            why=str(error).partition("\n")[0],
            remedy="the file is truncated or not Parquet: write or download it again",
        ) from error


def _source(path: str) -> Any:  # noqa: ANN401 - a file of arrow or of fsspec
    if storage.is_local(path):
        return pa.OSFile(storage.filesystem(path)[1])
    return storage.open_read(path)


def read(shard: shards.Shard, names: dict[str, str]) -> Iterator[blocks.Parsed]:
    """The rows of a shard, from the row groups that hold them.

    Args:
      shard: Range of rows.
      names: Canonical to the file's column name.

    Raises:
      SchemaError: the file is damaged.
    """
    with opened(shard.file) as parquet:
        groups, skip = _groups(parquet.metadata, shard)
        batches = parquet.iter_batches(
            batch_size=_batch_rows(parquet.metadata, groups),
            row_groups=groups,
            columns=list(dict.fromkeys(names.values())),
            use_threads=False,
        )
        for row, batch in _within(batches, shard, shard.row - skip):
            for part in _split(row, batch):
                yield _parsed(*part, names)


def _groups(metadata: Any, shard: shards.Shard) -> tuple[list[int], int]:  # noqa: ANN401
    """The row groups a shard touches, and how many rows of the first stand before it."""
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    ends = np.cumsum(counts)
    first = int(np.searchsorted(ends, shard.row, "right"))
    last = int(np.searchsorted(ends, shard.row + shard.rows, "left"))
    skip = shard.row - int(ends[first] - counts[first]) if counts else 0
    return list(range(first, last + 1)), skip


def _batch_rows(metadata: Any, groups: list[int]) -> int:  # noqa: ANN401
    """Rows of a batch of about half of `BATCH_BYTES` by the footer, at most `BATCH_ROWS`."""
    group = metadata.row_group(groups[0])
    per_row = max(1, group.total_byte_size // max(1, group.num_rows))
    return max(1, min(shards.BATCH_ROWS, shards.BATCH_BYTES // 2 // per_row))


def _within(
    batches: Iterator[pa.RecordBatch], shard: shards.Shard, row: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches cut to the shard, each with its first row; `row` is that of the first batch."""
    for batch in batches:
        first, stop = max(shard.row, row), min(shard.row + shard.rows, row + batch.num_rows)
        if first < stop:
            yield first, batch.slice(first - row, stop - first)
        row += batch.num_rows
        if row >= shard.row + shard.rows:
            return


def _split(row: int, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Halves, until each is within `BATCH_BYTES`: a footer does not tell what is repeated."""
    if batch.num_rows == 1 or batch.nbytes <= shards.BATCH_BYTES:
        yield row, batch
        return
    half = batch.num_rows // 2
    yield from _split(row, batch.slice(0, half))
    yield from _split(row + half, batch.slice(half))


def _parsed(row: int, batch: pa.RecordBatch, names: dict[str, str]) -> blocks.Parsed:
    found = {k: cast(k, batch.column(name)) for k, name in names.items()}
    rows: NDArray[np.int64] = np.arange(row, row + batch.num_rows)
    return blocks.Parsed(rows, found, [], lambda i: _payload(found, i))


def _payload(found: dict[str, pa.Array], i: int) -> bytes:
    """The row as JSON would show it, without decoding bytes that may not be text."""
    parts = []
    for name, values in found.items():
        if name == names_.EMBEDDING:
            shown = str(values[i].as_py())[: rejected.PAYLOAD_BYTES].encode()
        else:
            shown = values[i : i + 1].cast(_binary(values.type))[0].as_py() or b"null"
        parts.append(name.encode() + b": " + shown[: rejected.PAYLOAD_BYTES])
    return b"; ".join(parts)


def _binary(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()


def fits(canonical: str, kind: pa.DataType) -> bool:
    """Whether a column of this type can be what it is declared to be."""
    kind = _plain(kind)
    if pa.types.is_null(kind):
        return True
    if canonical == names_.EMBEDDING:
        return _is_list(kind) and pa.types.is_floating(_plain(kind.value_type))
    if _is_text(kind):
        return True
    if canonical == names_.TEXT:
        return False
    return pa.types.is_integer(kind) or (canonical == names_.LABEL and pa.types.is_boolean(kind))


def cast(canonical: str, values: pa.Array) -> pa.Array:
    """A fitting column to large_string (text), string (label, id) or list<float32> (embedding)."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if canonical == names_.EMBEDDING:
        return values.cast(_vector(values.type))
    return values.cast(pa.large_string() if canonical == names_.TEXT else pa.string())


def _vector(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.float32(), kind.list_size)
    return _VECTOR


def _plain(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
