"""Read a manifest: which rows, and their contents, epoch by epoch."""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tamis import errors, seeding, sidecars, sources, storage
from tamis.schemas import columns, manifest, shards


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


def table(folder: str) -> pa.Table:
    """All rows of a manifest (`schemas.manifest.SCHEMA`), in input order."""
    parts = [part for _, part in _parts(folder)]
    return pa.concat_tables(parts) if parts else manifest.SCHEMA.empty_table()


def load(folder: str, *, seed: int = 0) -> Iterator[pa.RecordBatch]:
    """Stream the training data: `samples` rows in all, every row `repeats` times.

    Epoch e passes over the inputs once, front to back, and yields the rows that are to be seen
    more than e times, shuffled inside each shard. The order is a pure function of the manifest
    and the seed. Memory is one shard's rows.

    Args:
      folder: Of the manifest, e.g. `runs/demo/manifest/samples-8000`.
      seed: Of the shuffles.

    Yields:
      One batch per shard and epoch: `uid, stratum`, and what the source has of `text, label,
      id, embedding`.

    Raises:
      ManifestError: a part is damaged, or an input row is not the one the manifest names.
    """
    digest = document(folder)["digest"]
    epoch, left = 0, True
    while left:
        left = False
        for shard, part in _parts(folder):
            more = np.flatnonzero(part["repeats"].to_numpy() > epoch)
            if len(more):
                left = True
                rng = seeding.generator(seed, "load", digest, epoch, shard.name)
                yield _rows(shard, part.take(pa.array(rng.permutation(more))))
        epoch += 1


def _parts(folder: str) -> Iterator[tuple[shards.Shard, pa.Table]]:
    for part in document(folder)["parts"]:
        name = part["file"].removesuffix(".parquet")
        found = seeding.digest(storage.read_bytes(sidecars.url(folder, "", name))).hex()
        if found != part["digest"]:
            raise errors.ManifestError(
                "manifest part is damaged",
                where=sidecars.url(folder, "", name),
                why="its bytes are not those that manifest.json names",
                remedy="run select again",
            )
        yield shards.parse(part["shard"]), sidecars.read(folder, "", name)


def _rows(shard: shards.Shard, wanted: pa.Table) -> pa.RecordBatch:
    named = tuple(shard.file.columns.named())
    has_vectors = shard.file.vectors and columns.EMBEDDING not in named
    want = (*named, *((columns.EMBEDDING,) if has_vectors else ()))
    found = sources.lookup(shard, wanted["row"].to_numpy(), want, max_text_bytes=1 << 62)
    known = sources.uids(shard.file, found.combine_chunks().to_batches()[0])
    if not known.equals(wanted["uid"].combine_chunks().cast(known.type)):
        raise errors.ManifestError(
            "the input has changed since the manifest was made",
            where=shard.file.path,
            why=f"rows of {shard.name} are not those the manifest names",
            remedy="restore the file, or run again",
        )
    for name in ("uid", "stratum"):
        found = found.append_column(name, wanted[name])
    return found.drop_columns(["row"]).combine_chunks().to_batches()[0]
