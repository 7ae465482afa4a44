"""Folders of images: a file is a row, in the order of the names.

Columns are `image`, its contents; `path`, below the folder; `folder`, the first part of that path,
which is the class in most such data; and those of `metadata.csv` or `metadata.jsonl` in the folder,
whose `file_name` is a path below it. A link is a bad row: it may lead out of the folder.

The folder is listed once for each shard, n entries each time; metadata is held whole.
"""

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json
from numpy.typing import NDArray

from tamis import decoding, errors, finding, storage
from tamis.schemas import shards
from tamis.sources import blocks

IMAGE, PATH, FOLDER = "image", "path", "folder"
FILE_NAME = "file_name"
METADATA = ("metadata.csv", "metadata.jsonl")


class Listing(NamedTuple):
    """The rows of a folder.

    Attributes:
      entries: In order of the row.
      metadata: Path of the file of further columns, or "".
    """

    entries: list[finding.Entry]
    metadata: str

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return sum(e.size for e in self.entries)


def listing(path: str) -> Listing:
    """What is in a folder; hidden names are not."""
    found = finding.entries(path)
    known = [storage.join(path, name) for name in METADATA]
    metadata = next((e.url for e in found if e.url in known), "")
    return Listing([e for e in found if e.url not in known], metadata)


def column_names(path: str) -> list[str]:
    """The columns of a folder."""
    return [IMAGE, PATH, FOLDER, *_metadata(listing(path)).column_names]


def read(span: shards.Span, named: dict[str, str]) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    """The rows of a span, in batches of at most `BATCH_ROWS` and about `BATCH_BYTES`.

    Raises:
      SchemaError: the folder has changed since it was listed.
    """
    file = span.shards[0].file
    here = listing(file.path)
    if file.size and here.size != file.size:
        raise errors.SchemaError(
            f"{here.size:,} bytes in the folder, were {file.size:,}",
            where=file.path,
            why="it has changed since it was listed",
            remedy="run again from a new folder",
        )
    more = _metadata(here)
    for shard in span.shards:
        for rows in _batches(here, shard):
            yield shard, _parsed(file.path, here, rows, more, named)


def _batches(here: Listing, shard: shards.Shard) -> Iterator[NDArray[np.int64]]:
    sizes = [e.size for e in here.entries[shard.row : shard.row + shard.rows]]
    first, total = 0, 0
    for i, size in enumerate(sizes):
        if i > first and (i - first >= shards.BATCH_ROWS or total + size > shards.BATCH_BYTES):
            yield np.arange(shard.row + first, shard.row + i)
            first, total = i, 0
        total += size
    if first < len(sizes):
        yield np.arange(shard.row + first, shard.row + len(sizes))


def _parsed(
    folder: str, here: Listing, rows: NDArray[np.int64], more: pa.Table, named: dict[str, str]
) -> blocks.Parsed:
    entries = [here.entries[i] for i in rows.tolist()]
    problems = {i: p for i, e in enumerate(entries) if (p := _problem(e))}
    kept = [i for i in range(len(entries)) if i not in problems]
    bad = [blocks.Bad(int(rows[i]), *p, entries[i].url.encode()) for i, p in problems.items()]
    urls = [entries[i].url for i in kept]
    below = [url[len(folder.rstrip("/")) + 1 :] for url in urls]
    found = {k: _column(name, urls, below, more, k) for k, name in named.items()}
    return blocks.Parsed(rows[kept], found, bad, lambda i: below[i].encode())


def _problem(entry: finding.Entry) -> tuple[str, str] | None:
    if entry.link:
        return "malformed", "a link, which is not followed"
    if entry.size > decoding.MAX_BYTES:
        return "image_too_large", f"{entry.size:,} bytes, at most {decoding.MAX_BYTES:,}"
    return None


def _column(
    name: str, urls: list[str], below: list[str], more: pa.Table, canonical: str
) -> pa.Array:
    kind = blocks.KINDS[canonical]
    if name == IMAGE:
        return pa.array(storage.read_many(urls), kind)
    if name == PATH:
        return pa.array(below, kind)
    if name == FOLDER:
        return pa.array([b.partition("/")[0] if "/" in b else None for b in below], kind)
    at = pa.compute.index_in(pa.array(below, pa.string()), more[FILE_NAME].cast(pa.string()))
    return more[name].combine_chunks().take(at).cast(kind)


def _metadata(here: Listing) -> pa.Table:
    """The further columns; none where there is no such file.

    Raises:
      SchemaError: it cannot be read, or has no `file_name`.
    """
    if not here.metadata:
        return pa.table({})
    data = io.BytesIO(storage.read_bytes(here.metadata))
    try:
        table = (pa.csv.read_csv if here.metadata.endswith("csv") else pa.json.read_json)(data)
    except pa.ArrowInvalid as error:
        raise errors.SchemaError(
            "cannot be read", where=here.metadata, why=str(error).partition("\n")[0]
        ) from error
    if FILE_NAME not in table.column_names:
        raise errors.SchemaError(
            f"no column {FILE_NAME!r}",
            where=here.metadata,
            why=f"columns: {', '.join(table.column_names)}",
            remedy="it names the image of each row, as a path below the folder",
        )
    return table
