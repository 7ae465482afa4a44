"""A uniform sample of rows with any of their columns, the same whatever the shards and workers."""

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import folds, seeding, sidecars, storage
from tamis.pipelines import engine, folding, session, view
from tamis.schemas import columns, shards, uids

_KEY = [(folds.PRIORITY, "ascending"), (columns.UID, "ascending")]


def rows(
    run: session.Session,
    name: str,
    k: int,
    reads: tuple[str, ...],
    cut: list[shards.Shard],
) -> pa.Table:
    """The `k` accepted rows of `cut` with the smallest hash of their uid, in that order.

    Only uids meet in the fold, 40 bytes a row; the columns are then gathered by file, so a sample
    of vectors is in memory twice, and not once for every hand it goes through.

    Args:
      run: The session.
      name: What it is for: another name is another sample.
      k: Rows wanted; all of them where there are fewer.
      reads: Columns to have.
      cut: The shards.

    Returns:
      `priority, uid, *reads`; copies of one uid in input order; without columns where no row is.
    """
    first = folds.BottomK(k, (), run.seed, (name,))
    drawn = folding.fold(run, f"{name}-sample", first, (columns.UID,), cut)
    if not drawn.num_rows:
        return pa.table({})
    folder = run.scratch(f"{name}-sample")
    storage.remove_tree(folder)
    bound = drawn.column(folds.PRIORITY)[-1].as_py()
    part = Part(run.view(), folder, reads, (run.seed, name), bound)
    run.execute(lambda p: session.spans(p, cut) | f"{name}-gather" >> beam.ParDo(part))
    found = pa.concat_tables(
        sidecars.read(folder, "", shard.name)
        for shard in cut
        if storage.exists(sidecars.url(folder, "", shard.name))
    )
    order = pc.sort_indices(found.select([folds.PRIORITY, columns.UID]), sort_keys=_KEY)
    storage.remove_tree(folder)
    return found.take(order[:k])


class Part(beam.DoFn):
    """Span to the sampled rows of its shards, in files of their own."""

    def __init__(
        self,
        seen: view.View,
        folder: str,
        reads: tuple[str, ...],
        purpose: tuple[int, str],
        bound: int,
    ) -> None:
        self._view, self._folder = seen, folder
        self._reads = tuple(dict.fromkeys((columns.UID, *reads)))
        self._purpose, self._bound = purpose, bound

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                batches = self._view.batches(shards.Span((shard,)), self._reads)
                parts = [p for _, b in batches if (p := self._drawn(b)).num_rows]
                if parts:
                    stamp = sidecars.Stamp("", "")
                    table = pa.Table.from_batches(parts)
                    sidecars.commit(self._folder, "", shard.name, table, stamp)
                yield shard.name

    def _drawn(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        priority = seeding.priority(uids.from_hex(batch.column(columns.UID)), *self._purpose)
        kept = np.flatnonzero(priority <= np.uint64(self._bound))
        return batch.take(pa.array(kept)).append_column(folds.PRIORITY, pa.array(priority[kept]))
