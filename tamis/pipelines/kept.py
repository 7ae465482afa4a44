"""Sidecars of a stage that are there already: of an earlier attempt, or of a run taken over."""

import dataclasses

from tamis import sidecars, storage
from tamis.schemas import index, shards


def expected(root: str, shard: str, inputs: str) -> sidecars.Stamp:
    """The stamp of a sidecar that was made from `inputs`, of a shard whose index is there."""
    return sidecars.Stamp(sidecars.stamp_of(root, index.FOLDER, shard).index, inputs)


@dataclasses.dataclass(frozen=True)
class Kept:
    """What a folder of a run holds.

    Attributes:
      root: Of the run.
      folder: Of the stage.
      inputs: Digest of the stage.
      redo: Pass over what was made from something else, instead of refusing it.
      old: By shard, the digest of the run taken over that its sidecar may bear instead.
    """

    root: str
    folder: str
    inputs: str
    redo: bool
    old: dict[str, str] = dataclasses.field(default_factory=dict)

    def beside(self, old: dict[str, str]) -> "Kept":
        """The same, with sidecars that were taken over."""
        return dataclasses.replace(self, old=old)

    def whole(self, cut: list[shards.Shard]) -> bool:
        """Whether every shard has its sidecar: a person may have deleted a damaged one."""
        return {f"{s.name}.parquet" for s in cut} <= set(self._names())

    def rows(self, cut: list[shards.Shard]) -> int:
        """Rows of the shards that have theirs."""
        rows = {f"{s.name}.parquet": s.rows for s in cut}
        return sum(rows.get(name, 0) for name in self._names())

    def has(self, shard: shards.Shard) -> bool:
        """Whether a shard has the sidecar it should.

        Raises:
          ArtifactError: it has one that was made from something else.
        """
        where = sidecars.url(self.root, self.folder, shard.name)
        if not storage.exists(where):
            return False
        found = sidecars.stamp_of(self.root, self.folder, shard.name)
        inputs = found.inputs if self.old.get(shard.name) == found.inputs else self.inputs
        wanted = expected(self.root, shard.name, inputs)
        if self.redo and found != wanted:
            return False
        sidecars.check(self.root, self.folder, shard.name, wanted)
        return True

    def adopted(self) -> dict[str, str]:
        """Digests by shard of the sidecars that do bear that of the run taken over."""
        bear = {name: sidecars.stamp_of(self.root, self.folder, name).inputs for name in self.old}
        return {name: inputs for name, inputs in self.old.items() if bear[name] == inputs}

    def _names(self) -> list[str]:
        return storage.listing(storage.join(self.root, self.folder), ".parquet")
