"""Where a file is cut into shards."""

from collections.abc import Iterable

import numpy as np

from tamis import errors
from tamis.schemas import shards as kinds
from tamis.sources import folders, lines, parquet, streams, tars, vectors

SPANS_PER_ROW_GROUP = 4


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
    it: an uncompressed one for the byte where each shard begins, a compressed one for its rows. Of
    an uncompressed archive the headers are read; a folder is listed.
    """
    if rows_per_shard < 1:
        raise errors.ConfigError(f"rows_per_shard is {rows_per_shard}", remedy="at least 1")
    if file.format != "images":
        streams.sniff(file)
    total, starts, stops = _CUTS.get(file.format, _cut_lines)(file, rows_per_shard)
    if file.vectors:
        vectors.check(file.vectors, total, file.path)
    return [
        kinds.Shard(
            name=f"part-{ordinal:05d}-{k:05d}",
            file=file,
            row=row,
            rows=min(rows_per_shard, total - row),
            start=starts[k],
            stop=stops[k],
        )
        for k, row in enumerate(range(0, total, rows_per_shard))
    ]


def _cut_parquet(file: kinds.File, rows_per_shard: int) -> tuple[int, list[int], list[int]]:
    """Rows, and per shard the first row of the row group it begins in."""
    ends = parquet.group_ends(file)
    total = int(ends[-1]) if len(ends) else 0
    group = np.searchsorted(ends, np.arange(0, total, rows_per_shard), "right")
    starts = np.concatenate(([0], ends))[group]
    return total, starts.tolist(), [0] * len(starts)


def _cut_lines(file: kinds.File, rows_per_shard: int) -> tuple[int, list[int], list[int]]:
    """Rows, and the byte range of each shard where the file can be entered there."""
    total, stop = 0, 0
    starts: list[int] = []
    for found in lines.stream(file):
        if found.unclosed:
            raise errors.SchemaError(
                "a quote opens here and never closes",
                where=f"{file.path}:{total + len(found) - 1}",
                why="the rest of the file would be one cell",
                remedy="close it, or set the source's `quote` to '' if quotes mean nothing",
            )
        starts += (found.offset + found.starts[-total % rows_per_shard :: rows_per_shard]).tolist()
        total += len(found)
        stop = found.offset + (found.length or int(found.stops[-1]))
    if not file.seekable:
        return total, [0] * len(starts), [0] * len(starts)
    return total, starts, [*starts[1:], stop][: len(starts)]


def _cut_tar(file: kinds.File, rows_per_shard: int) -> tuple[int, list[int], list[int]]:
    """Samples, and the byte range of each shard where the archive can be entered there."""
    total, starts = 0, []
    for total, sample in enumerate(tars.samples(file, contents=not file.seekable), 1):
        if (total - 1) % rows_per_shard == 0:
            starts.append(sample.offset)
    if not file.seekable:
        return total, [0] * len(starts), [0] * len(starts)
    return total, starts, [*starts[1:], 0][: len(starts)]


def _cut_images(file: kinds.File, rows_per_shard: int) -> tuple[int, list[int], list[int]]:
    total = len(folders.listing(file.path).entries)
    nothing = [0] * -(-total // rows_per_shard)
    return total, nothing, nothing


_CUTS = {"parquet": _cut_parquet, "webdataset": _cut_tar, "images": _cut_images}


def spans(found: Iterable[kinds.Shard]) -> list[kinds.Span]:
    """Group shards that one worker reads together.

    All shards of a compressed file, which is read once; else one. Only where a Parquet row group
    is larger than a shard, it is shared by at most `SPANS_PER_ROW_GROUP` spans: each decodes the
    group from its beginning, so that what is decoded is at most 2.5 times what is there, and four
    workers still share it.

    Args:
      found: Shards, those of a file in order. Some may be missing: what a resumed run has already.
    """
    together: dict[object, list[kinds.Shard]] = {}
    for shard in found:
        together.setdefault(_shared(shard), []).append(shard)
    return [kinds.Span(part) for group in together.values() for part in _parts(tuple(group))]


def _shared(shard: kinds.Shard) -> object:
    """What a shard must be read from the beginning of."""
    if not shard.file.seekable:
        return shard.file
    return (shard.file, shard.start) if shard.file.format == "parquet" else shard


def _parts(group: tuple[kinds.Shard, ...]) -> Iterable[tuple[kinds.Shard, ...]]:
    if group[0].file.format != "parquet":
        return [group]
    size = -(-len(group) // SPANS_PER_ROW_GROUP)
    return [group[i : i + size] for i in range(0, len(group), size)]
