"""Rows and sources that are taken out of a run, and the proof that they are gone.

A row on the list of `removed.uids` is set aside when its input is read, like a bad one, so that no
later stage ever sees it: every copy of it goes. The files of a removed source are not read at all;
a copy of its rows elsewhere stays, and stands for itself.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import errors, ledger, removed, seeding, sidecars, storage
from tamis.pipelines import freeze, frozen, session
from tamis.schemas import config, index, lineage, rejected, shards


def kept(run: session.Session) -> dict[str, str]:
    """Keep the list of removed uids in the run folder; its digest.

    Raises:
      ConfigError: the list is wrong, or one that the frozen run has removed is not on it.
    """
    if not run.removed:
        return {}
    listed = removed.read(run.config.removed.uids)
    before = run.taken("ingest").get("removed")
    if before:
        old = removed.read(storage.join(run.root, before))
        back = old.filter(pc.invert(pc.is_in(old, listed)))
        if len(back):
            raise errors.ConfigError(
                f"uid {back[0]} is not on the list",
                where=run.config.removed.uids,
                why="the frozen run has removed it; what is removed stays removed",
                remedy=f"add the {len(back):,} that are missing, from {run.config.frozen}",
            )
    removed.write(run.removed, listed)
    return {"removed": seeding.digest(storage.read_bytes(run.removed)).hex()}


def facts(run: session.Session, cut: list[shards.Shard], inputs: str) -> dict:
    """For the ledger's entry of ingest: what is added to the run taken over, and what is gone.

    Args:
      run: The session.
      cut: Its shards.
      inputs: Digest of ingest; indexes that bear it were made here, and are compared.

    Raises:
      SchemaError: a file has changed since the earlier run.
    """
    listed = (removed.PLACE,) if run.removed else ()
    found: dict = {"files": session.digests(run.root, listed)} if listed else {}
    found |= {"fitted": {"removed": removed.PLACE}} if listed else {}
    if not run.earlier:
        return found
    for shard in cut:
        if sidecars.stamp_of(run.root, index.FOLDER, shard.name).inputs == inputs:
            run.earlier.compare(shard)
    before = run.taken("ingest").get("removed", "")
    lists = (run.removed, storage.join(run.root, before) if before else "")
    now, then = (len(removed.sortable(url)) for url in lists)
    gone = run.earlier.rows_of(run.config.removed.sources)
    return {**found, lineage.KEY: run.earlier.lineage(cut, now - then), "removed": gone}


def aside(file: shards.File, bad: pa.RecordBatch, gone: pa.RecordBatch) -> pa.RecordBatch:
    """Rejected rows and, between them, those removed by uid: of their contents nothing is kept.

    Args:
      file: Whose rows they are.
      bad: The rejected ones.
      gone: The index rows of the others.
    """
    n = gone.num_rows
    said = pa.table(
        {
            "source": [file.source] * n,
            "path": [file.path] * n,
            "row": gone.column(index.ROW),
            "stage": ["ingest"] * n,
            "reason": [rejected.REMOVED] * n,
            "error": gone.column(index.UID),
            "payload": [""] * n,
        },
        schema=rejected.SCHEMA,
    )
    both = pa.concat_tables([pa.Table.from_batches([bad]), said]).sort_by("row")
    return both.combine_chunks().to_batches()[0]


def proof(run: session.Session, folders: list[str]) -> str:
    """Look for what was removed in the manifests and in the index itself.

    Args:
      run: With an index.
      folders: Of manifests.

    Returns:
      What is gone, in a line; empty where nothing was removed.

    Raises:
      ManifestError: something is there still.
    """
    gone, listed = set(run.config.removed.sources), removed.sortable(run.removed)
    if not gone and not len(listed):
        return ""
    for shard in run.cut("supply"):
        table = run.view().table(shard.name, index.FOLDER, [index.UID])
        _absent(
            table.append_column("source", pa.array([shard.source] * len(table), pa.string())),
            gone,
            listed,
            sidecars.url(run.root, index.FOLDER, shard.name),
        )
    for folder in folders:
        for name in storage.listing(folder, ".parquet"):
            table = sidecars.read(folder, "", name.removesuffix(".parquet"), ["uid", "source"])
            _absent(table, gone, listed, storage.join(folder, name))
    said = [f"{len(listed):,} uids"] if len(listed) else []
    said += [f"{rows(run):,} rows of {', '.join(sorted(gone))}"] if gone else []
    return f"{' and '.join(said)} are in no index and no manifest"


def _absent(table: pa.Table, gone: set[str], listed: np.ndarray, where: str) -> None:
    named = removed.among(table["uid"], listed)
    owned = pc.is_in(table["source"], pa.array(sorted(gone), pa.string())).to_numpy()
    for found, what in ((named, "uid"), (owned, "source")):
        if found.any():
            at = int(np.argmax(found))
            raise errors.ManifestError(
                f"{what} {table[what][at].as_py()} was removed, and is there",
                where=f"{where}: row {at}",
                why=f"{int(found.sum()):,} such rows in this file",
                remedy="do not train on it; delete the run folder and remove again",
            )


def rows(run: session.Session) -> int:
    """Rows of the inputs that went with their sources."""
    return sum(run.entry("ingest").get("removed", {}).values())


def told(run: session.Session) -> str:
    """What a run adds to the one it continues and takes from it, in a line; empty without one."""
    found = run.entry("ingest").get(lineage.KEY)
    if not found:
        return ""
    said = [f"{rows:,} rows more of {name}" for name, rows in found["added"].items()]
    said += [f"without the {rows:,} of {name}" for name, rows in found["removed"].items()]
    said += [f"without {found['removed_uids']:,} uids"] if found["removed_uids"] else []
    return f"{found['run']}: {', '.join(said) or 'the same rows'}"


def stories(run: session.Session, uid: str) -> list[dict]:
    """Removed rows whose uid begins so: where they were, and what took them out.

    Those of a removed source are told while the run that had it is there.
    """
    return [*_by_uid(run, uid), *_with_source(run, uid)]


def _by_uid(run: session.Session, uid: str) -> Iterator[dict]:
    for shard in run.cut("supply"):
        if not storage.exists(sidecars.url(run.root, rejected.FOLDER, shard.name)):
            continue
        table = sidecars.read(run.root, rejected.FOLDER, shard.name)
        named = pc.and_(
            pc.equal(table["reason"], rejected.REMOVED), pc.starts_with(table["error"], uid)
        )
        for row in table.filter(named).to_pylist():
            yield {
                "uid": row["error"],
                "source": row["source"],
                "path": row["path"],
                "row": row["row"],
                "removed": "by its uid",
            }


def _with_source(run: session.Session, uid: str) -> Iterator[dict]:
    gone = set(run.config.removed.sources)
    for old in _earlier(run):
        if "ingest" not in old.live:
            continue
        cut = [s for s in old.known.values() if s.source in gone]
        gone -= {s.source for s in cut}  # the run before has them too
        for shard in cut:
            table = old.index(shard.name).select([index.UID, index.ROW])
            for row in table.filter(pc.starts_with(table[index.UID], uid)).to_pylist():
                yield {
                    "uid": row["uid"],
                    "source": shard.source,
                    "path": shard.file.path,
                    "row": row["row"],
                    "removed": "with its source",
                }


def _earlier(run: session.Session) -> Iterator[frozen.Frozen]:
    """The run that was taken over, the one before it, and so on, as far as they are there."""
    old = run.earlier
    while old:
        yield old
        there = storage.exists(storage.join(old.root, ledger.DOCUMENT))
        document = config.Run.model_validate({**old.ledger["config"], "run": old.root})
        old = freeze.read(old.root, document) if there else None
