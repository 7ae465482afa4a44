"""What a run takes over from an earlier one, which its run file names with `frozen:`.

All that was fitted there (centroids, artifacts of scorers, thresholds of tiers, pilots) is copied
to `RUN/frozen`, with the earlier ledger and list of shards. Sidecars of shards that both runs have
are taken over too, where the ledgers agree on all that makes a row's outcome: linked, or copied
without the rows that have been removed since.
"""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, removed, sidecars, storage
from tamis.pipelines import kept as there
from tamis.schemas import index, lineage, rejected, shards


@dataclasses.dataclass(frozen=True)
class Frozen:
    """An earlier run.

    Attributes:
      root: Its folder.
      here: The folder of the run that takes it over.
      ledger: As it was taken over.
      known: Its shards by name.
      live: Stages whose sidecars are there still, as they were.
      listed: Where the new run keeps its list of removed uids; empty where it has none.
    """

    root: str
    here: str
    ledger: dict
    known: dict[str, shards.Shard]
    live: frozenset[str]
    listed: str

    def entry(self, stage: str) -> dict:
        """What its ledger says of a stage; empty where it had none."""
        return dict(self.ledger["stages"].get(stage, {}))

    def fitted(self, stage: str) -> dict[str, str]:
        """Places in the new run's folder of the files that a stage had fitted, by name."""
        places = self.entry(stage).get("fitted", {})
        return {name: kept(place) for name, place in places.items()}

    def digests(self, stage: str) -> list[str]:
        """Digests of those files."""
        entry = self.entry(stage)
        return [entry["files"][place] for place in entry.get("fitted", {}).values()]

    def numbered(
        self, found: list[shards.File], gone: Iterable[str]
    ) -> list[tuple[int, shards.File]]:
        """Files with the numbers that name their shards: the old ones keep theirs, and stand first.

        Args:
          found: Files of the new run.
          gone: Sources that it no longer has.

        Raises:
          SchemaError: an old file has changed since, or is not there.
        """
        known = {_name(s.file): (s.number, s.file) for s in self.known.values()}
        named = {_name(file): file for file in found}
        for name, (_, old) in known.items():
            if old.source not in gone:
                _same_file(old, named.get(name))
        new = [file for name, file in named.items() if name not in known]
        after = 1 + max(number for number, _ in known.values())
        kept = [(number, file) for name, (number, file) in known.items() if name in named]
        return [*sorted(kept, key=lambda pair: pair[0]), *enumerate(new, after)]

    def cut(self, file: shards.File, rows: int) -> list[shards.Shard]:
        """The shards of a file, if it was cut alike and nobody has written to it since."""
        alike = self.ledger["config"]["ingest"]["shard_rows"] == rows
        return self._cuts.get(file, []) if alike and self._untouched(file) else []

    @functools.cached_property
    def _cuts(self) -> dict[shards.File, list[shards.Shard]]:
        found: dict[shards.File, list[shards.Shard]] = {}
        for shard in self.known.values():
            found.setdefault(shard.file, []).append(shard)
        return found

    def _carries(self, stage: str, shard: shards.Shard) -> bool:
        """Whether the sidecars of a shard may be taken over.

        A file that was written to since it was ingested is read again, and compared. The index
        tells whether texts have changed, but of vectors in the input it may know nothing.
        """
        if self.known.get(shard.name) != shard:
            return False
        if stage == "ingest":
            if not self._untouched(shard.file):
                return False
            return not len(self._removed) or not self._gone(shard, self.index(shard.name)).any()
        named = self.ledger["config"]["embed"]["backend"] != "precomputed"
        return named or self._untouched(shard.file)

    def _untouched(self, file: shards.File) -> bool:
        then = self.entry("ingest").get("modified", {})
        return all(then.get(url) == found != "" for url, found in modified([file]).items())

    @functools.cached_property
    def _removed(self) -> NDArray[np.bytes_]:
        return removed.sortable(self.listed)

    def _gone(self, shard: shards.Shard, table: pa.Table) -> NDArray[np.bool_]:
        """Which rows of an index are on the list of removed ones."""
        supply = shard.file.role == "supply"
        return removed.among(table[index.UID], self._removed[: None if supply else 0])

    def index(self, shard: str) -> pa.Table:
        """Its index of a shard."""
        return sidecars.read(self.root, index.FOLDER, shard, None, self._stamp("ingest", shard))

    def alike(self, stage: str, recipe: str) -> bool:
        """Whether its rows of a stage are what a recipe makes, and there still."""
        return stage in self.live and self.entry(stage).get("recipe") == recipe

    def carried(
        self, stage: str, inputs: str, folders: tuple[str, ...], cut: list[shards.Shard]
    ) -> dict[str, str]:
        """Take over the sidecars of a stage, but for those that are there.

        Args:
          stage: Its name.
          inputs: The new run's digest of it.
          folders: What it writes.
          cut: The new run's shards; their index is there, unless the stage is ingest.

        Returns:
          By shard, the digest that a sidecar bears where it was taken over as it is.
        """
        mine = [s for s in cut if self._carries(stage, s)]
        return {s.name: self._carry(stage, inputs, folders, s) for s in mine}

    def _carry(self, stage: str, inputs: str, folders: tuple[str, ...], shard: shards.Shard) -> str:
        old = self._stamp(stage, shard.name)
        for folder in folders:
            url, to = (sidecars.url(r, folder, shard.name) for r in (self.root, self.here))
            if storage.exists(to) or not storage.exists(url):
                continue
            if folder != rejected.FOLDER:
                sidecars.check(self.root, folder, shard.name, old)
            new = old if stage == "ingest" else there.expected(self.here, shard.name, inputs)
            if new.index == old.index:
                storage.copy(url, to)
            else:
                self._without(folder, shard.name, new)
        return old.inputs

    def compare(self, shard: shards.Shard) -> None:
        """Raise unless the new index of a shard is the old one without the rows removed since.

        Raises:
          SchemaError: the file has changed.
        """
        if self.known.get(shard.name) != shard or "ingest" not in self.live:
            return
        new, old = sidecars.read(self.here, index.FOLDER, shard.name), self.index(shard.name)
        if not new.equals(old.filter(pa.array(~self._gone(shard, old)))):
            raise _changed(shard.file, f"rows {shard.row:,} to {shard.row + shard.rows:,} differ")

    def rows_of(self, gone: Iterable[str]) -> dict[str, int]:
        """Rows of the inputs of sources that are no longer there, also of those gone before."""
        known = self.entry("ingest").get("removed", {}) | _rows(self.known.values())
        return {name: known[name] for name in gone if name in known}

    def lineage(self, cut: list[shards.Shard], uids: int) -> dict:
        """What a manifest says of the run it continues.

        Args:
          cut: Shards of the new run.
          uids: How many more uids it has removed.
        """
        here, before = _rows(cut), _rows(self.known.values())
        counts = self.entry("select").get("counts", [])
        return {
            "run": self.root,
            "manifests": {str(c["samples"]): c["digest"] for c in counts},
            "added": _rows(s for s in cut if s.name not in self.known),
            "removed": {n: rows for n, rows in before.items() if n not in here},
            "removed_uids": uids,
        }

    def _stamp(self, stage: str, shard: str) -> sidecars.Stamp:
        entry = self.entry(stage)
        inputs = entry.get("adopted", {}).get(shard, entry["inputs"])
        return there.expected(self.root, shard, inputs)

    def _without(self, folder: str, shard: str, stamp: sidecars.Stamp) -> None:
        """Copy a sidecar without the rows that the new index has not."""
        old, new = (
            sidecars.read(root, index.FOLDER, shard, [index.ROW])[index.ROW].to_numpy()
            for root in (self.root, self.here)
        )
        table = sidecars.read(self.root, folder, shard).replace_schema_metadata()
        table = table.filter(pa.array(np.isin(old, new)))
        facts = sidecars.facts(self.root, folder, shard)
        sidecars.commit(self.here, folder, shard, table, stamp, facts)


def modified(files: Iterable[shards.File]) -> dict[str, str]:
    """When each file, and the vectors beside it, were last written."""
    urls = [url for file in files for url in (file.path, file.vectors) if url]
    return {url: storage.modified(url) for url in urls}


def kept(place: str) -> str:
    """Where a copy of a fitted file of an earlier run is."""
    return storage.join(lineage.FOLDER, place.removeprefix(f"{lineage.FOLDER}/"))


def _rows(cut: Iterable[shards.Shard]) -> dict[str, int]:
    """Rows of the inputs by source."""
    found: dict[str, int] = {}
    for shard in cut:
        found[shard.source] = found.get(shard.source, 0) + shard.rows
    return found


def _name(file: shards.File) -> tuple[str, str, str]:
    return file.role, file.source, file.path


def _same_file(old: shards.File, new: shards.File | None) -> None:
    if new is None:
        raise errors.SchemaError(
            "a file of the frozen run is gone",
            where=old.path,
            why=f"source '{old.source}'",
            remedy="restore it, or remove the source with `tamis remove`",
        )
    if new != old:
        size = f"{old.size:,} bytes then, {new.size:,} now"
        raise _changed(old, size if new.size != old.size else "its columns are named otherwise")


def _changed(file: shards.File, why: str) -> errors.SchemaError:
    return errors.SchemaError(
        "a file of the frozen run has changed since",
        where=file.path,
        why=why,
        remedy="restore it and add what is new as a file of its own, or start a new run",
    )
