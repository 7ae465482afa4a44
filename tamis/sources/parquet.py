"""Parquet row ranges to columns."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from tamis import errors, finding, storage
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
    names_.IMAGE: "binary, or a struct with binary `bytes` as of HF datasets",
}


def group_ends(file: shards.File) -> NDArray[np.int64]:
    """The row after each row group, from the footer; the last is the file's number of rows."""
    with opened(file) as parquet:
        return _ends(parquet.metadata)


def rows(file: shards.File) -> int:
    """Rows of a file, from its footer."""
    return int(group_ends(file)[-1:].sum())


def schema(file: shards.File) -> pa.Schema:
    """Columns of a file, from its footer."""
    with opened(file) as parquet:
        return parquet.schema_arrow


@contextlib.contextmanager
def opened(file: shards.File, *, plain: bool = False) -> Iterator[Any]:
    """The file as a `pyarrow.parquet.ParquetFile`.

    Args:
      file: What to open.
      plain: Whether fixed-size lists come as lists: arrow cannot read a null among the former.

    Raises:
      SchemaError: it is truncated, damaged or not Parquet, found here or while reading.
    """
    options = {"pre_buffer": False, "buffer_size": _BUFFER}
    try:
        with _source(file.path) as source:
            parquet = pa.parquet.ParquetFile(source, **options)
            if plain and any(map(pa.types.is_fixed_size_list, parquet.schema_arrow.types)):
                footer = _without_arrow_schema(parquet.metadata)
                parquet = pa.parquet.ParquetFile(source, metadata=footer, **options)
            yield parquet
    except FileNotFoundError as error:
        raise finding.absent(file.path) from error
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, whose own words are best
        raise errors.SchemaError(
            "cannot be read as Parquet",
            where=file.path,
            why=str(error).partition("\n")[0],
            remedy="the file is truncated or not Parquet: write or download it again",
        ) from error


def _without_arrow_schema(metadata: Any) -> Any:  # noqa: ANN401 - pyarrow has no stubs
    """The footer with arrow's own types hidden, by a name as long, so that Parquet's apply."""
    sink = pa.BufferOutputStream()
    metadata.write_metadata_file(sink)
    footer = sink.getvalue().to_pybytes().replace(b"ARROW:schema", b"arrow.schema")
    return pa.parquet.read_metadata(pa.BufferReader(footer))


def _source(path: str) -> Any:  # noqa: ANN401 - a file of arrow or of fsspec
    if storage.is_local(path):
        return pa.OSFile(storage.filesystem(path)[1])
    return storage.open_read(path)


def read(
    wanted: tuple[shards.Shard, ...], names: dict[str, str]
) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    """The rows of shards of one file, in order, each row group decoded once.

    Args:
      wanted: Ranges of rows, ascending.
      names: Canonical to the file's column name.

    Raises:
      SchemaError: the file is damaged.

    Parquet is decoded from the beginning of a row group, and batches are counted from there, so
    they are the same whichever shards are read together.
    """
    with opened(wanted[0].file, plain=True) as parquet:
        ends = _ends(parquet.metadata)
        for group, (first, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            here = tuple(s for s in wanted if s.row < stop and first < s.row + s.rows)
            if here:
                batches = _batches(parquet, group, list(dict.fromkeys(names.values())))
                for shard, row, batch in _within(batches, here, int(first)):
                    for part in _split(row, batch):
                        yield shard, _parsed(*part, names)


def _ends(metadata: Any) -> NDArray[np.int64]:  # noqa: ANN401 - pyarrow has no stubs
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return np.cumsum(counts, dtype=np.int64)


def _batches(
    parquet: Any,  # noqa: ANN401 - pyarrow has no stubs
    group: int,
    columns: list[str],
) -> Iterator[pa.RecordBatch]:
    """Batches of about half of `BATCH_BYTES` by the footer, at most `BATCH_ROWS`.

    Raises:
      ArrowInvalid: they have fewer rows than the footer tells, which pyarrow lets pass.
    """
    metadata = parquet.metadata.row_group(group)
    per_row = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
    size = max(1, min(shards.BATCH_ROWS, shards.BATCH_BYTES // 2 // per_row))
    found = 0
    for batch in parquet.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
        found += batch.num_rows
        yield batch
    if found != metadata.num_rows:
        raise pa.ArrowInvalid(
            f"row group {group} has {found} rows, {metadata.num_rows} in the footer"
        )


def _within(
    batches: Iterator[pa.RecordBatch], wanted: tuple[shards.Shard, ...], row: int
) -> Iterator[tuple[shards.Shard, int, pa.RecordBatch]]:
    """Parts of batches with their shard and first row; `row` is that of the first batch."""
    last = wanted[-1].row + wanted[-1].rows
    for batch in batches:
        for shard in wanted:
            first = max(shard.row, row)
            stop = min(shard.row + shard.rows, row + batch.num_rows)
            if first < stop:
                yield shard, first, batch.slice(first - row, stop - first)
        row += batch.num_rows
        if row >= last:
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
        if name == names_.IMAGE:
            shown = (values[i].as_py() or b"")[:16].hex().encode()
        elif name == names_.EMBEDDING:
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
    if canonical == names_.IMAGE:
        return _is_binary(_encoded(kind))
    if _is_text(kind):
        return True
    if canonical == names_.TEXT:
        return False
    return pa.types.is_integer(kind) or (canonical == names_.LABEL and pa.types.is_boolean(kind))


def cast(canonical: str, values: pa.Array) -> pa.Array:
    """A fitting column to large_string (text), string (label, id), large_binary or list<float32>.

    Of an image as HF datasets write it, a struct of `bytes` and `path`, only the bytes are taken:
    no path from data is opened.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if canonical == names_.EMBEDDING:
        return values.cast(_VECTOR)
    if pa.types.is_struct(values.type):
        values = pa.compute.struct_field(values, "bytes")
    return values.cast(blocks.KINDS[canonical])


def _encoded(kind: pa.DataType) -> pa.DataType:
    """The type of the bytes of an image."""
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return kind.field("bytes").type
    return kind


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


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
