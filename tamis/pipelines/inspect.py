"""Inspect: the whole story of one row."""

import numpy as np
import pyarrow.compute as pc

from tamis import errors, sidecars, sources, storage
from tamis.pipelines import retract, select, session, verify
from tamis.schemas import columns, index, rejected, shards


def inspect(run: session.Session, uid: str) -> list[dict]:
    """Everything known of the rows named `uid`: one story per copy.

    Args:
      run: The session.
      uid: 32 hex digits, or the first few when no other row begins so.

    Returns:
      Per copy: where it is, its text, every sidecar's columns, and its repeats per budget; of one
      that was removed: where it was, and that it was.

    Raises:
      ManifestError: no row has that name; or several different ones begin so.
    """
    found = [(s, i, u) for s in run.cut() for i, u in _rows(run, s, uid)]
    gone = retract.stories(run, uid)
    names = sorted({u for _, _, u in found} | {g["uid"] for g in gone})
    if not names:
        raise errors.ManifestError(
            f"no accepted row is named {uid}", where=run.root, remedy=_where_else(run)
        )
    if len(names) > 1:
        raise errors.ManifestError(
            f"{len(names)} rows begin with {uid}", where=run.root, remedy=f"such as {names[0]}"
        )
    return [*(_story(run, shard, i) for shard, i, _ in found), *gone]


def _rows(run: session.Session, shard: shards.Shard, uid: str) -> list[tuple[int, str]]:
    column = run.view().table(shard.name, index.FOLDER, [index.UID])[index.UID]
    rows = np.flatnonzero(pc.starts_with(column, uid).to_numpy())
    return [(int(i), column[int(i)].as_py()) for i in rows]


def _where_else(run: session.Session) -> str:
    count = len(storage.listing(storage.join(run.root, rejected.FOLDER), ".parquet"))
    return f"rejected rows have no uid; {count} files of them are in rejected/"


def _story(run: session.Session, shard: shards.Shard, i: int) -> dict:
    story: dict = {"source": shard.source, "path": shard.file.path, "shard": shard.name}
    for entry in run.ledger["stages"].values():
        for folder in entry["folders"]:
            story |= _sidecar(run, folder, shard, i)
    if shard.file.columns.text:
        got = sources.lookup(
            shard,
            np.array([story[index.ROW]]),
            (columns.TEXT,),
            max_text_bytes=run.config.ingest.max_text_bytes,
        )
        story["text"] = got[columns.TEXT][0].as_py()
    story["repeats"] = _repeats(run, shard, story[index.ROW])
    return story


def _sidecar(run: session.Session, folder: str, shard: shards.Shard, i: int) -> dict:
    """The row of one sidecar, if the folder has one for the shard."""
    where = sidecars.url(run.root, folder, shard.name)
    if folder in (rejected.FOLDER, *select.KINDS) or not storage.exists(where):
        return {}
    row = run.view().table(shard.name, folder).slice(i, 1).to_pylist()[0]
    row.pop(columns.EMBEDDING, None)
    scorer = folder.partition("scores/")[2]
    return {f"score:{scorer}": row["score"]} if scorer else row


def _repeats(run: session.Session, shard: shards.Shard, row: int) -> dict[str, int]:
    """Times each budget's manifest trains on the row."""
    found = {}
    for samples in verify.budgets(run):
        where = select.folder(run.root, "manifest", samples)
        found[f"{samples:,} samples"] = 0
        if storage.exists(sidecars.url(where, "", shard.name)):
            table = sidecars.read(where, "", shard.name, ["row", "repeats"])
            at = np.flatnonzero(table["row"].to_numpy() == row)
            found[f"{samples:,} samples"] = (
                int(table["repeats"][int(at[0])].as_py()) if len(at) else 0
            )
    return found
