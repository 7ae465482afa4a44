"""Sidecars: one Parquet file per shard and folder, aligned with the index row for row.

A sidecar's footer carries a `Stamp`: the digest of the index shard's uids and the digest of what
the stage was made from. Opening checks both, so a stale or misaligned sidecar is an error that
names it and never a silent mismatch. Row groups are cut every `BATCH_ROWS` rows in every folder,
so group i of one sidecar describes the rows of group i of any other.
"""

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tamis import __version__, errors, seeding, storage
from tamis.schemas import index, shards, uids

_INDEX, _INPUTS, _VERSION = b"tamis.index", b"tamis.inputs", b"tamis.version"
_REDO = "delete it and run the same command again; committed shards are kept"


@dataclasses.dataclass(frozen=True, slots=True)
class Stamp:
    """What a sidecar was made from.

    Attributes:
      index: Digest of the uids of the index shard it is aligned with, hex.
      inputs: Digest of the stage's config, artifacts and code version, hex.
    """

    index: str
    inputs: str


def url(root: str, folder: str, shard: str) -> str:
    """Where the sidecar of `shard` is; an empty `folder` means `root` itself."""
    return storage.join(root, *filter(None, (folder, f"{shard}.parquet")))


def uid_digest(table: pa.Table) -> str:
    """Digest of an index table's uids, which names the rows and their order."""
    return seeding.digest(uids_of(table).tobytes()).hex()


def uids_of(table: pa.Table) -> NDArray[np.uint64]:
    """The uids of a table, shape (n, 2)."""
    chunks = table.column(index.UID).chunks
    return np.concatenate([np.zeros((0, 2), np.uint64), *(uids.from_hex(c) for c in chunks)])


def encode(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """A table as Parquet bytes; the same table gives the same bytes."""
    named = {**(table.schema.metadata or {}), **{k: v.encode() for k, v in metadata.items()}}
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(named),
        sink,
        row_group_size=shards.BATCH_ROWS,
        compression="zstd",
        use_dictionary=[
            f.name for f in table.schema if pa.types.is_string(f.type) and f.name not in ("uid",)
        ],
        # Nobody filters on a coordinate, and its statistics cost more than all the rest of writing.
        write_statistics=[f.name for f in table.schema if not pa.types.is_nested(f.type)],
        write_page_checksum=True,
        store_schema=True,
    )
    return sink.getvalue()


def commit(
    root: str,
    folder: str,
    shard: str,
    table: pa.Table,
    stamp: Stamp,
    extra: dict[str, str] | None = None,
) -> None:
    """Write the sidecar of `shard`, whole or not at all; writing it again changes nothing."""
    footer = {
        _INDEX.decode(): stamp.index,
        _INPUTS.decode(): stamp.inputs,
        _VERSION.decode(): __version__,
        **(extra or {}),
    }
    storage.write_atomic(url(root, folder, shard), encode(table, footer))


def footer(root: str, folder: str, shard: str) -> dict[str, str]:
    """The footer's key-value metadata, and the number of rows as `rows`."""
    with _open(url(root, folder, shard)) as file:
        return _footer(file)


def _footer(file: pq.ParquetFile) -> dict[str, str]:
    metadata = file.metadata.metadata or {}
    read = {k.decode(): v.decode() for k, v in metadata.items() if k != b"ARROW:schema"}
    return {**read, "rows": str(file.metadata.num_rows)}


def stamp_of(root: str, folder: str, shard: str) -> Stamp:
    """The stamp of a committed sidecar."""
    read = footer(root, folder, shard)
    return Stamp(read.get(_INDEX.decode(), ""), read.get(_INPUTS.decode(), ""))


def facts(root: str, folder: str, shard: str) -> dict[str, str]:
    """What a stage said in the footer of a sidecar beside its stamp."""
    ours = {key.decode() for key in (_INDEX, _INPUTS, _VERSION)} | {"rows"}
    return {k: v for k, v in footer(root, folder, shard).items() if k not in ours}


def check(root: str, folder: str, shard: str, stamp: Stamp) -> None:
    """Raise ArtifactError unless the sidecar was made from what `stamp` says."""
    with _open(url(root, folder, shard)) as file:
        _check(_footer(file), stamp, url(root, folder, shard))


def _check(read: dict[str, str], stamp: Stamp, where: str) -> None:
    if read.get(_INDEX.decode()) != stamp.index:
        raise errors.ArtifactError(
            "sidecar is misaligned",
            where=where,
            why="it was made for other rows than the index now holds",
            remedy=_REDO,
        )
    if read.get(_INPUTS.decode()) != stamp.inputs:
        raise errors.ArtifactError(
            "sidecar is stale",
            where=where,
            why="its stage's configuration or inputs have changed since",
            remedy="run with --redo to replace the stage, or use another run folder",
        )


def read(
    root: str, folder: str, shard: str, columns: list[str] | None = None, stamp: Stamp | None = None
) -> pa.Table:
    """The sidecar's table; with a `stamp`, only if it was made from that."""
    where = url(root, folder, shard)
    with _open(where) as file:
        if stamp is not None:
            _check(_footer(file), stamp, where)
        try:
            return file.read(columns)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(where, error) from error


def batches(
    root: str,
    folder: str,
    shard: str,
    columns: list[str] | None = None,
    stamp: Stamp | None = None,
    *,
    groups: int = 1,
) -> Iterator[pa.RecordBatch]:
    """The sidecar by row groups, cut alike in every folder.

    Args:
      root: The run folder.
      folder: In it.
      shard: Name of the shard.
      columns: What to read.
      stamp: What it must have been made from.
      groups: Row groups to a batch: at most so many times `BATCH_ROWS` rows each.
    """
    where = url(root, folder, shard)
    with _open(where) as file:
        if stamp is not None:
            _check(_footer(file), stamp, where)
        for first in range(0, file.num_row_groups, groups):
            some = range(first, min(first + groups, file.num_row_groups))
            try:
                table = file.read_row_groups(some, columns, use_threads=False)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(where, error) from error
            yield from table.combine_chunks().to_batches()


def _open(where: str) -> pq.ParquetFile:
    try:
        # Arrow reads a local file by itself: Python's own handle costs more than a small footer.
        source = storage.local_path(where) or storage.open_read(where)
        return pq.ParquetFile(source, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise errors.ArtifactError(
            "sidecar is missing", where=where, remedy="run the stage that makes it, or `tamis run`"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> errors.ArtifactError:
    why = str(error).splitlines()[0]
    return errors.ArtifactError(
        "sidecar is truncated or damaged", where=where, why=why, remedy=_REDO
    )
