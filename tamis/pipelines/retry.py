"""Retry: rows that were rejected, read again from inputs that were mended since.

Every row that was accepted must still stand where it stood, with the contents it had: then its
embedding holds, and only shards that gained rows are embedded again. What looks at the pool as a
whole (clusters, fitted scorers, tiers, plans) is made again, for the pool is another.
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import errors, finding, ledger, removed, sidecars, storage
from tamis.pipelines import freeze, ingest, session
from tamis.schemas import columns, index, lineage, rejected, shards

# A shard's index and vectors hold whatever else is in the pool; nothing else does.
_KEPT = ("ingest", "embed")
_FILES = {ledger.DOCUMENT, ledger.RECORDS, freeze.SHARDS}
# Copies of what a frozen run had fitted, and the list of removed uids.
_FOLDERS = {lineage.FOLDER, storage.folder(removed.PLACE)}


def retry(run: session.Session) -> tuple[int, int]:
    """Read the shards with rejected rows again.

    Returns:
      Rows that were rejected, and those of them that are accepted now.

    Raises:
      ArtifactError: an accepted row has changed; nothing has been written then.
      SchemaError: a mended file cannot be read, or has another number of rows.
    """
    entry = run.entry("ingest")
    before, found = run.cut(), ingest.numbered(run)
    cut, dimension = ingest.divide(run, found)
    _same_rows(before, cut)
    again = [new for new in cut if _rejected(run, new.name)]
    changed = [s for s in again if _changes(run, s, dimension)]
    if not changed:  # what a killed retry took out, `run` reads again
        return sum(_rejected(run, s.name) for s in again), 0
    bad = sum(_rejected(run, s.name) for s in cut)
    mended = _mended(before, [file for _, file in found], entry.get(ingest.MENDED, {}))
    _forget(run, changed, cut, mended)
    ingest.read(run, ingest.digest(run, found, mended), cut, dimension, mended)
    return bad, bad - sum(_rejected(run, s.name) for s in cut)


def _same_rows(before: list[shards.Shard], after: list[shards.Shard]) -> None:
    """Raise unless every file has its rows, bad ones included, where it had them."""
    known = {s.name: (s.file.path, s.row, s.rows) for s in before}
    for shard in after:
        if known.get(shard.name) != (shard.file.path, shard.row, shard.rows):
            break
    else:
        if len(before) == len(after):
            return
        shard = before[-1]
    raise errors.SchemaError(
        "rows were added to the inputs, or taken out",
        where=shard.file.path,
        why="a retry reads rejected rows again; every other row must stand where it stood",
        remedy="mend rows in place, or start a new run folder",
    )


def _rejected(run: session.Session, shard: str) -> int:
    """Rows of a shard that are set aside; 0 where a retry was killed before it read them again."""
    if not storage.exists(sidecars.url(run.root, index.FOLDER, shard)):
        return 0
    footer = sidecars.footer(run.root, index.FOLDER, shard)
    counts = json.loads(footer[ingest.REJECTED])
    return sum(n for reason, n in counts.items() if reason != rejected.REMOVED)


def _changes(run: session.Session, shard: shards.Shard, dimension: int) -> bool:
    """Whether a row of the shard is accepted now that was not.

    Raises:
      ArtifactError: one that was accepted is another now, or is none.
    """
    old = sidecars.read(run.root, index.FOLDER, shard.name)
    new = _index(run, shard, dimension)
    kept = new.filter(pc.is_in(new[index.ROW], old[index.ROW].combine_chunks()))
    same = [index.ROW, index.UID, index.CONTENT, index.LABEL]
    if not kept.select(same).equals(old.select(same)):
        raise errors.ArtifactError(
            "the input has changed since it was ingested",
            where=f"{shard.file.path}:{_first_other(kept, old)}",
            why="a row that was accepted is another now",
            remedy="mend rejected rows only, or start a new run folder",
        )
    return new.num_rows > old.num_rows


def _index(run: session.Session, shard: shards.Shard, dimension: int) -> pa.Table:
    """The index as it would be written now; a compressed file is read up to the shard for it."""
    listed = ingest.among(shard.file, removed.sortable(run.removed))
    blocks = ingest.blocks(shards.Span((shard,)), dimension, run.config.ingest)
    rows = [i for i, _ in ingest.named(shard.file, blocks, listed)]
    return pa.Table.from_batches(rows, index.SCHEMA)


def _first_other(kept: pa.Table, old: pa.Table) -> int:
    """The first row of the file where the two differ."""
    missing = np.setdiff1d(old[index.ROW].to_numpy(), kept[index.ROW].to_numpy())
    if len(missing):
        return int(missing[0])
    pairs = zip(kept.to_pylist(), old.to_pylist(), strict=True)
    return next(b[columns.ROW] for a, b in pairs if a != b)


def _mended(
    before: list[shards.Shard], found: list[shards.File], known: dict[str, list[int]]
) -> dict[str, list[int]]:
    """Path to the size at first and now, of every file that was ever mended."""
    sizes = {s.file.path: s.file.size for s in before}
    now = {f.path: [known.get(f.path, [sizes[f.path]])[0], f.size] for f in found}
    return {path: pair for path, pair in now.items() if pair[0] != pair[1] or path in known}


def _forget(
    run: session.Session,
    changed: list[shards.Shard],
    cut: list[shards.Shard],
    mended: dict[str, list[int]],
) -> None:
    """Take out what does not hold any more.

    In an order that a kill does not hurt: outputs before the ledger stops naming them, for they
    would be taken for those of the grown pool; what the files are now before a row is taken out.
    """
    stages = run.ledger["stages"]
    folders = {f for name in _KEPT if name in stages for f in stages[name]["folders"]}
    below = (url.removeprefix(run.root).lstrip("/") for url in finding.tree(run.root))
    for top in sorted({path.partition("/")[0] for path in below} - folders - _FILES - _FOLDERS):
        storage.remove_tree(storage.join(run.root, top))
    run.ledger["stages"] = {name: stages[name] for name in _KEPT if name in stages}
    run.ledger["stages"]["ingest"][ingest.MENDED] = mended
    run.save()
    run.save_shards(cut)
    for shard in changed:
        for folder in sorted(folders):  # the index is not the first: it says which are to be read
            if folder != index.FOLDER:
                storage.remove_tree(sidecars.url(run.root, folder, shard.name))
        storage.remove_tree(sidecars.url(run.root, index.FOLDER, shard.name))
