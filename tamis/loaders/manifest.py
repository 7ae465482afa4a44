"""Read a manifest: its document, and which rows of which shards it lists."""

import json
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tamis import errors, seeding, sidecars, storage
from tamis.schemas import manifest, shards


class Part(NamedTuple):
    """The rows that a manifest lists of one shard."""

    shard: shards.Shard
    digest: str


def document(folder: str) -> dict:
    """`manifest.json` of a manifest's folder.

    Raises:
      ManifestError: there is none, or it is damaged.
    """
    where = storage.join(folder, manifest.DOCUMENT)
    if not storage.exists(where):
        raise errors.ManifestError(
            "not a manifest", where=folder, why=f"no {manifest.DOCUMENT}", remedy="run select"
        )
    try:
        found = json.loads(storage.read_bytes(where))
        found["parts"], found["digest"]
    except (ValueError, TypeError, KeyError) as error:
        raise errors.ManifestError(
            "the manifest's document is damaged",
            where=where,
            why=str(error),
            remedy="delete its folder and run select again",
        ) from error
    return found


def parts(document: dict) -> tuple[Part, ...]:
    """The parts of a manifest, in input order."""
    return tuple(Part(shards.parse(p["shard"]), p["digest"]) for p in document["parts"])


def rows(
    folder: str, part: Part, columns: list[str] | None = None, *, few: tuple[str, ...] = ()
) -> pa.Table:
    """The rows of a part, in input order, of `schemas.manifest.SCHEMA`.

    Args:
      folder: Of the manifest.
      part: Which.
      columns: Only these; then the bytes that are not read are not checked.
      few: Columns of few values, to be dictionaries.

    Raises:
      ManifestError: the part is missing, or not the one that the document names.
    """
    where = sidecars.url(folder, "", part.shard.name)
    if columns is not None:
        return sidecars.read(folder, "", part.shard.name, columns)
    data = storage.read_bytes(where) if storage.exists(where) else b""
    if seeding.digest(data).hex() != part.digest:
        raise errors.ManifestError(
            "manifest part is damaged" if data else "manifest part is missing",
            where=where,
            why="its bytes are not those that manifest.json names",
            remedy="run select again",
        )
    found = pq.read_table(pa.BufferReader(data), read_dictionary=list(few))
    missing = [name for name in manifest.SCHEMA.names if name not in found.column_names]
    if missing:
        raise errors.ManifestError(
            f"the manifest has no {missing[0]}",
            where=where,
            why="an older tamis made it",
            remedy="run select again",
        )
    return found


def table(folder: str) -> pa.Table:
    """All rows of a manifest (`schemas.manifest.SCHEMA`), in input order."""
    listed = [rows(folder, part) for part in parts(document(folder))]
    return pa.concat_tables(listed) if listed else manifest.SCHEMA.empty_table()
