"""Records of line files, shard by shard, in batches cut at fixed positions."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from tamis import errors
from tamis.schemas import shards
from tamis.sources import blocks, delimited, jsonl, records, streams

_HEAD_BYTES = 64 << 10


def stream(file: shards.File, size: int = streams.CHUNK) -> Iterator[records.Lines]:
    """All records of a file from its beginning, without byte order mark and header."""
    for lines in _marked_stream(file, size):
        kept = lines.part(max(0, -lines.row), len(lines))
        if len(kept):
            yield kept


def header(file: shards.File) -> tuple[str, ...]:
    """Names of a csv file's columns.

    Raises:
      SchemaError: the file has no line to give them.
    """
    if file.header:
        return file.header
    first = next(_marked_stream(file, _HEAD_BYTES), None)
    if first is None or first.unclosed or first.length:
        raise errors.SchemaError(
            "no header line", where=file.path, remedy="name the columns with header: [...]"
        )
    record = first.record(0)
    if delimited.lone_return(record):
        raise errors.SchemaError(
            "lines end in \\r alone",
            where=file.path,
            why="so the whole file would be its own header",
            remedy="tr '\\r' '\\n' < IN.csv > OUT.csv",
        )
    return delimited.cells(record, file)


def _marked_stream(file: shards.File, size: int) -> Iterator[records.Lines]:
    """All records; a header is row -1."""
    chunks = streams.chunks(file, size=size)
    first = next(chunks, b"")
    mark = len(streams.BOM) if first.startswith(streams.BOM) else 0
    body = itertools.chain([first[mark:]] if len(first) > mark else [], chunks)
    named = file.format == "csv" and not file.header
    return records.groups(body, _breaks(file), mark, -1 if named else 0)


def read(span: shards.Span, names: dict[str, str]) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    """The records of a span's shards, front to back, parsed.

    Args:
      span: One shard, or shards of a compressed file, which is then read once.
      names: Canonical to the file's column name of those to parse; if empty no line is looked at.

    Raises:
      SchemaError: the file has changed since it was cut.
    """
    file = span.shards[0].file
    columns = header(file) if file.format == "csv" else ()
    for shard, lines in assigned(_source(span), span.shards):
        bad = _oversize(lines)
        if bad:
            yield shard, blocks.Parsed(np.zeros(0, np.int64), {}, [bad], lines.beginning)
        elif not names:
            rows = np.arange(lines.row, lines.row + len(lines))
            yield shard, blocks.Parsed(rows, {}, [], lines.beginning)
        elif file.format == "csv":
            yield shard, delimited.parse(lines, names, columns, file)
        else:
            yield shard, jsonl.parse(lines, names)


def _source(span: shards.Span) -> Iterator[records.Lines]:
    first = span.shards[0]
    if not first.file.seekable:
        return stream(first.file)
    chunks = streams.chunks(first.file, first.start, first.stop)
    return records.groups(chunks, _breaks(first.file), first.start, first.row)


def assigned(
    found: Iterable[records.Lines], wanted: tuple[shards.Shard, ...]
) -> Iterator[tuple[shards.Shard, records.Lines]]:
    """Batches of records with the shard each is in; records of no shard are passed over.

    Batches end where shards end, every `BATCH_ROWS` rows and every `BATCH_BYTES`.

    Raises:
      SchemaError: the records end before the last shard does.
    """
    k = 0
    for lines in found:
        at = 0
        while k < len(wanted) and at < len(lines):
            first = wanted[k].row - lines.row
            stop = first + wanted[k].rows
            for batch in _batches(lines.part(max(at, first), max(at, min(stop, len(lines))))):
                yield wanted[k], batch
            at = min(max(at, stop), len(lines))
            k += stop <= len(lines)
        if k == len(wanted):
            return
    raise errors.SchemaError(
        f"fewer than {wanted[k].row + wanted[k].rows} rows",
        where=wanted[k].file.path,
        why="the file has changed since it was cut into shards",
        remedy="run again from a new folder",
    )


def _batches(lines: records.Lines) -> Iterator[records.Lines]:
    at = 0
    while at < len(lines):
        limit = lines.starts[at] + shards.BATCH_BYTES
        within = int(np.searchsorted(lines.stops, limit, "right"))
        stop = max(at + 1, min(at + shards.BATCH_ROWS, within))
        yield lines.part(at, stop)
        at = stop


def _oversize(lines: records.Lines) -> blocks.Bad | None:
    """A batch that is one record which cannot be parsed for its size or its quote."""
    size = lines.length or int(lines.stops[0] - lines.starts[0])
    if lines.unclosed:
        error = "a quote opens here and never closes"
        return blocks.Bad(lines.row, "malformed", error, lines.beginning(0))
    if size > records.MAX_RECORD:
        error = f"the line is {size:,} bytes, the limit is {records.MAX_RECORD:,}"
        return blocks.Bad(lines.row, "text_too_long", error, lines.beginning(0))
    return None


def _breaks(file: shards.File) -> records.Breaks:
    return records.Breaks(file.delimiter, file.quote if file.format == "csv" else "")
