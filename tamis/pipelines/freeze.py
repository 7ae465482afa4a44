"""Take over an earlier run: check that its run file fits, and copy what it has fitted."""

from tamis import errors, ledger, removed, seeding, storage
from tamis.pipelines import frozen
from tamis.schemas import config, lineage, shards

SHARDS = "shards.json"  # how the inputs of a run were cut
# Of the run file: what may not differ from the earlier one's, or what it fitted would not fit.
_SHAPING = ("seed", "target", "cluster", "tier")
_NEEDED = ("ingest", "embed", "cluster", "tier")


def take(here: str, document: config.Run) -> None:
    """Copy what a run takes over, once; a killed attempt is made again.

    Raises:
      ArtifactError: the earlier run is unfinished, damaged, or has changed since.
      ConfigError: the run file differs from its own where it may not.
    """
    root, to = document.frozen, storage.join(here, lineage.FOLDER)
    where = storage.join(to, ledger.DOCUMENT)
    if storage.exists(where) and not storage.exists(storage.join(root, ledger.DOCUMENT)):
        return  # it is gone, and no longer needed
    found = ledger.read(root)
    _require(root, found, document)
    if storage.exists(where):
        _as_taken(here, root, ledger.read(to), found)
        return
    for entry in found["stages"].values():
        for place in entry.get("fitted", {}).values():
            _copy(
                storage.join(root, place),
                storage.join(here, frozen.kept(place)),
                entry["files"][place],
            )
    storage.write_atomic(storage.join(to, SHARDS), storage.read_bytes(storage.join(root, SHARDS)))
    ledger.write(to, found)


def read(here: str, document: config.Run) -> frozen.Frozen | None:
    """What a run has taken over; None where its run file names nothing."""
    if not document.frozen:
        return None
    kept, root = storage.join(here, lineage.FOLDER), document.frozen
    found = ledger.read(kept)
    there = storage.exists(storage.join(root, ledger.DOCUMENT))
    now = ledger.read(root)["stages"] if there else {}
    live = frozenset(s for s, e in found["stages"].items() if _inputs(now, s) == e["inputs"])
    cut = {s.name: s for s in shards.read(storage.join(kept, SHARDS))}
    listed = removed.place(here) if document.removed.uids else ""
    return frozen.Frozen(root, here, found, cut, live, listed)


def _require(root: str, found: dict, document: config.Run) -> None:
    """Raise unless a run can be taken over by this run file."""
    for stage in _NEEDED:
        if "recipe" not in found["stages"].get(stage, {}):
            raise errors.ArtifactError(
                f"the frozen run has no finished stage '{stage}'",
                where=root,
                why="or one by an older tamis, which did not keep what it had fitted",
                remedy="finish it with `tamis run`, or run it again in a new folder",
            )
    old = config.Run.model_validate({**found["config"], "run": root})
    shaping = {key: (getattr(old, key), getattr(document, key)) for key in _SHAPING}
    shaping["embed"] = (old.embed.shaping(), document.embed.shaping())
    both = [name for name in document.score if name in old.score]
    shaping |= {f"score.{name}": (old.score[name], document.score[name]) for name in both}
    for key, (before, now) in shaping.items():
        if before != now:
            raise errors.ConfigError(
                f"'{key}' is not that of the frozen run",
                where=root,
                why=f"{before} there, {now} here",
                remedy="make them alike, or take `frozen` out of the run file and fit anew",
            )
    back = set(old.removed.sources) - set(document.removed.sources)
    if back or (old.removed.uids and not document.removed.uids):
        raise errors.ConfigError(
            f"what the frozen run has removed stays removed: {sorted(back) or old.removed.uids}",
            where=root,
            remedy="name it under `removed` too",
        )


def _as_taken(here: str, root: str, taken: dict, found: dict) -> None:
    for stage, entry in taken["stages"].items():
        if _inputs(found["stages"], stage) != entry["inputs"]:
            raise errors.ArtifactError(
                "the frozen run has changed since it was taken over",
                where=root,
                why=f"its stage '{stage}' was made again, from other inputs",
                remedy=f"use another run folder than {here}",
            )


def _copy(url: str, to: str, digest: str) -> None:
    data = storage.read_bytes(url) if storage.exists(url) else b""
    if seeding.digest(data).hex() != digest:
        raise errors.ArtifactError(
            "a fitted file of the frozen run is missing or damaged",
            where=url,
            remedy="restore it, or make its stage again in that run",
        )
    storage.write_atomic(to, data)


def _inputs(stages: dict, stage: str) -> str:
    return str(stages.get(stage, {}).get("inputs", ""))
