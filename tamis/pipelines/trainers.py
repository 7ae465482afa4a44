"""The kinds of pilots: what each reads of a row, and how it is built from the run file."""

import dataclasses
import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import plugins, storage
from tamis.pilots import command, knn, linear_probe, protocol, tiny_lm
from tamis.pipelines import guard, pool, session, strata
from tamis.schemas import columns, index, shards, tiers, uids

_LISTING = "shards.json"


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The first bytes of a text, 0 after its end.

    Attributes:
      length: How many.
    """

    length: int = tiny_lm.LENGTH
    reads: tuple[str, ...] = (columns.TEXT,)

    def of(self, shard: shards.Shard, batch: pa.RecordBatch) -> NDArray[np.uint8]:
        """Shape (n, length)."""
        text = batch.column(columns.TEXT).cast(pa.large_string())
        if not len(text):
            return np.zeros((0, self.length), np.uint8)
        offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset :][: len(text) + 1]
        data = np.frombuffer(text.buffers()[2] or b"\0", np.uint8)
        place = offsets[:-1, None] + np.arange(self.length)
        inside = place < offsets[1:, None]
        return np.where(inside, data[np.minimum(place, len(data) - 1)], 0).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a row is, for a manifest: its uid in halves, shard, row, stratum, tier and content.

    Attributes:
      cells: The strata.
      numbers: Of the shards, by name.
    """

    cells: strata.Strata
    numbers: tuple[tuple[str, int], ...]
    reads: tuple[str, ...] = (columns.UID, columns.ROW, index.CONTENT, *strata.READS)

    def of(self, shard: shards.Shard, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        """Shape (n, 7)."""
        names = uids.from_hex(batch.column(columns.UID))
        number = dict(self.numbers)[shard.name]
        rest = [
            np.full(len(names), number),
            batch.column(columns.ROW).to_numpy(),
            np.maximum(self.cells.of(batch), 0),
            batch.column(tiers.TIER).to_numpy(),
            batch.column(index.CONTENT).to_numpy(),
        ]
        return np.column_stack([names, *(r.astype(np.uint64) for r in rest)])


class Kind(NamedTuple):
    """A kind of pilot in one run.

    Attributes:
      trainer: Trains.
      content: What it reads of a row.
      names: Classes, in order; none where it needs no labels.
    """

    trainer: protocol.Trainer
    content: pool.Content
    names: tuple[str, ...]


def kind(run: session.Session, cells: strata.Strata) -> Kind:
    """The configured one.

    Raises:
      ConfigError: an option is unknown or has a wrong value.
      PlanError: the target has fewer than two classes.
    """
    section = run.config.pilot
    where, options = f"pilot.{section.kind}", section.options
    if section.kind == "tiny-lm":
        length = options.get("length", tiny_lm.LENGTH)
        rest = {k: v for k, v in options.items() if k != "length"}
        lm = plugins.build(tiny_lm.TinyLM, rest, {}, where)
        return Kind(lm, plugins.build(Bytes, {"length": length}, {"reads": Bytes.reads}, where), ())
    if section.kind == "command":
        given = {"listing": storage.join(run.scratch("trainers"), _LISTING)}
        trainer = plugins.build(command.Command, options, given, where)
        numbers = tuple((s.name, i) for i, s in enumerate(run.cut("supply")))
        return Kind(trainer, Places(cells, numbers), ())
    names = pool.classes(run)
    if section.kind == "knn":
        nearest = plugins.build(knn.Nearest, options, {"classes": len(names)}, where)
        return Kind(nearest, pool.VECTORS, names)
    fixed = {"classes": len(names), "learning_rate": section.learning_rate, "batch": section.batch}
    return Kind(plugins.build(linear_probe.Probe, options, fixed, where), pool.VECTORS, names)


def prepare(run: session.Session, cells: strata.Strata) -> None:
    """Write what a command needs to know of the run."""
    if run.config.pilot.kind != "command":
        return
    listing = {
        "shards": [shards.document(s) for s in run.cut("supply")],
        "strata": list(cells.names),
    }
    where = storage.join(run.scratch("trainers"), _LISTING)
    storage.write_atomic(where, json.dumps(listing).encode())


def target(run: session.Session, made: Kind, half: guard.Half | None) -> protocol.Rows:
    """The target as the trainer reads it; of a command, nothing."""
    if made.names:
        return pool.target(run, made.names, half)
    if isinstance(made.content, Places):
        return np.zeros((0, 0)), np.zeros(0, np.int64)
    return pool.contents(run, made.content, half)


def chance(made: Kind, labels: NDArray[np.int64]) -> float:
    """Error of knowing nothing: the commonest class's, or 1 where there are no classes."""
    return guessing(labels) if made.names else 1.0


def guessing(labels: NDArray[np.int64]) -> float:
    """Error of always guessing the commonest class."""
    return float(1 - np.bincount(labels).max() / len(labels))
