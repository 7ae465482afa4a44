"""Which shards of a stage are committed, asked by the workers within a job.

An engine that loses a worker runs its bundle again, from the start. What that worker had committed
is left as it is: no shard is computed twice after its commit.
"""

from collections.abc import Iterable

import apache_beam as beam

from tamis import sidecars, sources, storage
from tamis.pipelines import engine, kept
from tamis.schemas import shards


class Pending(beam.DoFn):
    """Span to spans of its shards that nobody has committed yet.

    Args:
      root: The run folder.
      folder: Where a sidecar commits a shard.
      inputs: Digest of the stage.
    """

    def __init__(self, root: str, folder: str, inputs: str) -> None:
        self._root, self._folder, self._inputs = root, folder, inputs

    def process(self, span: shards.Span) -> Iterable[shards.Span]:
        with engine.carried():
            yield from sources.spans(s for s in span.shards if not self._committed(s.name))

    def _committed(self, shard: str) -> bool:
        if not storage.exists(sidecars.url(self._root, self._folder, shard)):
            return False
        found = sidecars.stamp_of(self._root, self._folder, shard)
        return found == kept.expected(self._root, shard, self._inputs)
