"""A list of uids as a manifest: what somebody else has chosen, trained on as ours are."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import errors, seeding, sidecars, storage
from tamis.loaders import writing
from tamis.loaders.exports import datacomp
from tamis.schemas import columns, index, manifest, shards, tiers, uids


def adopt(root: str, path: str, cut: list[shards.Shard], out: str) -> dict:
    """Write the manifest of a DataComp subset file.

    Args:
      root: Folder of the run whose rows it names.
      path: An `.npy` as `exports.datacomp` has it; a uid that stands there k times is k repeats.
      cut: The supply's shards, in input order.
      out: Folder of the manifest.

    Returns:
      Samples, rows and the manifest's digest.

    Raises:
      SchemaError: the file is no list of uids.
      ManifestError: it names a row that the run has not.

    Memory is the list and a shard of the index. Of two rows with one uid the first is taken.
    """
    halves, times = datacomp.read(path)
    names, left = uids.to_hex(halves), times.copy()
    for shard in cut:
        listed = sidecars.read(root, index.FOLDER, shard.name)
        found = pc.index_in(listed[index.UID], value_set=names).combine_chunks()
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        at, first = np.unique(found.drop_null().to_numpy(), return_index=True)
        fresh = left[at] > 0
        at, rows = at[fresh], rows[first[fresh]]
        order = np.argsort(rows)
        if len(rows):
            part = _part(root, shard, listed, rows[order], left[at[order]])
            sidecars.commit(out, "", shard.name, part, sidecars.Stamp("", ""))
        left[at] = 0
    if left.any():
        missing = np.flatnonzero(left)
        raise errors.ManifestError(
            f"{len(missing):,} of {len(left):,} uids are of no row of the run",
            where=path,
            why=f"the first is {names[int(missing[0])].as_py()}",
            remedy="a list of another run, or of rows that were rejected",
        )
    digest = seeding.digest(storage.read_bytes(path)).hex()
    facts = {"kind": "imported", "samples": int(times.sum()), "inputs": digest, "list": path}
    return writing.write(out, cut, writing.inputs(cut), facts)


def _part(
    root: str,
    shard: shards.Shard,
    listed: pa.Table,
    rows: NDArray[np.int64],
    repeats: NDArray[np.int32],
) -> pa.Table:
    """Listed rows of a shard, their stratum their source."""
    taken = listed.take(pa.array(rows))
    n = len(rows)
    tiered = storage.exists(sidecars.url(root, tiers.FOLDER, shard.name))
    tier = sidecars.read(root, tiers.FOLDER, shard.name)[tiers.TIER] if tiered else None
    found = {
        columns.UID: taken[index.UID],
        columns.SOURCE: pa.array([shard.source] * n, pa.string()),
        "path": pa.array([shard.file.path] * n, pa.string()),
        "row": taken[index.ROW],
        "stratum": pa.array([shard.source] * n, pa.string()),
        "tier": tier.take(pa.array(rows)) if tier is not None else pa.array([0] * n, pa.int8()),
        "repeats": pa.array(repeats),
        "content": taken[index.CONTENT],
    }
    return pa.table(found, schema=manifest.SCHEMA)
