"""Where a file is cut into shards."""

from collections.abc import Iterable

from tamis import errors
from tamis.schemas import shards as kinds
from tamis.sources import lines, parquet, streams, vectors


def shards(
    file: kinds.File, ordinal: int, rows_per_shard: int = kinds.SHARD_ROWS
) -> list[kinds.Shard]:
    """Cut a file into row ranges.

    Args:
      file: What to cut.
      ordinal: Number of the file in the run, from 0; it names the shards.
      rows_per_shard: Rows of each but the last.

    Returns:
      The shards in order, which hold every row of the file; none if it has no rows.

    Raises:
      SchemaError: the file is empty (0 bytes), damaged, or has not one vector per row.

    Parquet costs a look at the footer. A line file is read once, in memory that does not grow with
    it: an uncompressed one for the byte where each shard begins, a compressed one for its rows.
    """
    if rows_per_shard < 1:
        raise errors.ConfigError(f"rows_per_shard is {rows_per_shard}", remedy="at least 1")
    streams.sniff(file)
    if file.format == "parquet":
        total, bounds = parquet.rows(file), list[int]()
    else:
        total, bounds = _scan(file, rows_per_shard)
    if file.vectors:
        vectors.check(file.vectors, total, file.path)
    return [
        kinds.Shard(
            name=f"part-{ordinal:05d}-{k:05d}",
            file=file,
            row=row,
            rows=min(rows_per_shard, total - row),
            start=bounds[k] if bounds else 0,
            stop=bounds[k + 1] if bounds else 0,
        )
        for k, row in enumerate(range(0, total, rows_per_shard))
    ]


def _scan(file: kinds.File, rows_per_shard: int) -> tuple[int, list[int]]:
    """Rows of a line file, and the bytes where each shard begins and the last one ends."""
    total, stop = 0, 0
    bounds: list[int] = []
    for found in lines.stream(file):
        bounds += (found.offset + found.starts[-total % rows_per_shard :: rows_per_shard]).tolist()
        total += len(found)
        stop = found.offset + (found.length or int(found.stops[-1]))
    return total, [*bounds, stop] if file.seekable else []


def spans(found: Iterable[kinds.Shard]) -> list[kinds.Span]:
    """Group shards that one worker reads together.

    One span per shard of a seekable file, one per compressed file. The shards of a file must stand
    in order, but some may be missing: what a resumed run has already.
    """
    together: dict[object, list[kinds.Shard]] = {}
    for shard in found:
        together.setdefault(shard if shard.file.seekable else shard.file, []).append(shard)
    return [kinds.Span(tuple(group)) for group in together.values()]
