"""Shards to blocks of good and bad rows."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, finding, isolation, storage
from tamis.schemas import columns as names
from tamis.schemas import embeddings, shards
from tamis.sources import blocks, fitting, folders, lines, parquet, tars, validate, vectors

MAX_TEXT_BYTES = 1 << 20


def read(
    span: shards.Span,
    want: tuple[str, ...],
    *,
    dimension: int = 0,
    max_text_bytes: int = MAX_TEXT_BYTES,
    images: isolation.Limits | None = None,
) -> Iterator[blocks.Block]:
    """The rows of a span, shard by shard, front to back.

    Args:
      span: What to read; a compressed file is streamed once for all its shards.
      want: Canonical names of the columns to read. A row without a good value in one of them is
        rejected, so a part of the declared columns accepts at least the rows that all of them do.
      dimension: Length of embeddings; `fitting.dimension` of the file if 0, which looks at its
        first rows again for every span.
      max_text_bytes: Longest text.
      images: Decode each image, within these limits, to see that it can be; else images are bytes.

    Yields:
      Blocks of at most `BATCH_ROWS` rows and about `BATCH_BYTES`, cut where the shard and the file
      alone decide. Every row of the span is in exactly one block, good or bad.

    Raises:
      SchemaError: the file is damaged, has changed since it was cut, or lacks a wanted column.
    """
    file = span.shards[0].file
    _check_unchanged(file)
    if names.EMBEDDING in want and not dimension:
        dimension = fitting.dimension(file)
    with contextlib.ExitStack() as stack:
        checker = None
        if images is not None and names.IMAGE in want:
            checker = stack.enter_context(isolation.Checker(images))
        rules = validate.Rules(want, dimension, max_text_bytes, checker)
        for shard, parsed in _parsed(span, want):
            yield validate.block(shard, parsed, rules)


def lookup(
    shard: shards.Shard,
    rows: NDArray[np.int64],
    want: tuple[str, ...],
    *,
    dimension: int = 0,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> pa.Table:
    """Some rows of one shard, in the order asked for; a row may be asked for twice.

    Args:
      shard: Where the rows are; no other is read, but a compressed file is streamed up to it.
      rows: Shape (n,), rows of the file.
      want: Canonical names.
      dimension: As of `read`.
      max_text_bytes: As of `read`.

    Returns:
      `row` and the wanted columns, n rows.

    Raises:
      SchemaError: a row is not in the shard, or is a bad one.
    """
    rows = np.asarray(rows, np.int64)
    found = [
        _among(block.batch, rows)
        for block in read(
            shards.Span((shard,)), want, dimension=dimension, max_text_bytes=max_text_bytes
        )
    ]
    table = pa.Table.from_batches(found).combine_chunks()
    have = table.column(names.ROW).to_numpy()
    at = np.searchsorted(have, rows)
    missing = rows[~np.isin(rows, have)]
    if len(missing):
        raise errors.SchemaError(
            f"{shard.name} has no good row {missing[0]}",
            where=shard.file.path,
            why=f"it holds rows {shard.row} to {shard.row + shard.rows - 1}",
        )
    return table.take(pa.array(at))


def _among(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
    keep = np.isin(batch.column(names.ROW).to_numpy(), rows)
    return batch.filter(pa.array(keep))


def _parsed(
    span: shards.Span, want: tuple[str, ...]
) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    """Rows as parsed, with vectors from their own file where they are."""
    file = span.shards[0].file
    named = fitting.named(file, want)
    found = _from_file(span, named)
    if not (file.vectors and names.EMBEDDING in want):
        yield from found
        return
    with vectors.opened(file.vectors) as parts:
        reader = vectors.Reader(parts)
        for shard, parsed in found:
            column = embeddings.column(reader.take(parsed.rows))
            yield shard, parsed._replace(columns=parsed.columns | {names.EMBEDDING: column})


def _from_file(
    span: shards.Span, named: dict[str, str]
) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    form = span.shards[0].file.format
    if form == "parquet":
        yield from parquet.read(span.shards, named)
    else:
        readers = {"images": folders.read, "webdataset": tars.read}
        yield from readers.get(form, lines.read)(span, named)


def _check_unchanged(file: shards.File) -> None:
    if file.format == "images":
        return  # its reader lists the folder anyway, and looks
    try:
        size = storage.size(file.path)
    except FileNotFoundError as error:
        raise finding.absent(file.path) from error
    if file.size and size != file.size:
        raise errors.SchemaError(
            f"{size:,} bytes, was {file.size:,}",
            where=file.path,
            why="the file has changed since it was listed",
            remedy="run again from a new folder",
        )
