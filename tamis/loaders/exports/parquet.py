"""Parquet files with the rows themselves, each once, and `repeats` beside them."""

import contextlib
import itertools
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tamis import storage
from tamis.loaders import manifest, reading
from tamis.schemas import columns, embeddings, shards

ROWS = 100_000  # of a file
_LIST = pa.list_(pa.float32())


def export(folder: str, out: str) -> None:
    """Write `train-00000.parquet` and on, of at most `ROWS` rows each, in input order."""
    schema = schema_of(folder).with_metadata(
        {"tamis.manifest": manifest.document(folder)["digest"]}
    )
    storage.makedirs(out)
    fs, path = storage.filesystem(out)
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        for part, first in _filed(reading.distinct(folder)):
            if first:
                stack.close()
                file = stack.enter_context(
                    fs.open(f"{path}/train-{next(numbers):05d}.parquet", "wb")
                )
                writer = stack.enter_context(pq.ParquetWriter(file, schema, compression="zstd"))
            writer.write_table(conformed(part, schema))


def _filed(blocks: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, bool]]:
    """Parts of blocks, and whether each is the first of a file."""
    room = 0
    for block in blocks:
        at = 0
        while at < block.num_rows:
            fresh, room = not room, room or ROWS
            part = block.slice(at, room)
            yield part, fresh
            at, room = at + part.num_rows, room - part.num_rows


def schema_of(folder: str) -> pa.Schema:
    """Columns of all sources; those that some source has not may be null."""
    files = {part.shard.file for part in manifest.parts(manifest.document(folder))}
    kinds = {columns.TEXT: pa.large_string(), columns.LABEL: pa.string(), columns.ID: pa.string()}
    kinds |= {columns.IMAGE: pa.large_binary()}
    fields = [("uid", pa.string()), ("source", pa.string()), ("stratum", pa.string())]
    fields += [("tier", pa.int8()), ("repeats", pa.int32())]
    for name, kind in kinds.items():
        if any(name in file.columns.named() for file in files):
            fields.append((name, kind))
    if sizes := {reading.dimension(file) for file in files if _has_vectors(file)}:
        # Arrow cannot read a null among lists of fixed size in Parquet.
        fixed = len(sizes) == 1 and all(map(_has_vectors, files))
        kind = embeddings.schema(max(sizes), "float32").field(0).type if fixed else _LIST
        fields.append((columns.EMBEDDING, kind))
    return pa.schema([pa.field(n, k, nullable=n in columns.__dict__.values()) for n, k in fields])


def _has_vectors(file: shards.File) -> bool:
    return bool(file.vectors or file.columns.embedding)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of a schema, null where it has them not."""
    have = set(table.column_names)
    found = [
        table[f.name].cast(f.type) if f.name in have else pa.nulls(table.num_rows, f.type)
        for f in schema
    ]
    return pa.table(found, schema=schema)
