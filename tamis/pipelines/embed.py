"""Embed: one unit vector per row, through Beam's RunInference or from the input."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import embedders, errors, linalg, sidecars, sources
from tamis.pipelines import engine, session, view
from tamis.schemas import columns, embeddings, index, intake, shards

VERSION = 1
DIMENSION = "tamis.dimension"


def embed(run: session.Session) -> None:
    """Write the embedding sidecar of every shard, supply and target.

    Raises:
      ConfigError: the backend or its model cannot be loaded.
      ArtifactError: the model gave a vector without direction.
    """
    section = run.config.embed
    part = section.shaping()
    inputs = run.digest("embed", VERSION, part, ["ingest"])
    cut = run.cut()
    write = Write(run.view(), inputs, section.dtype, section.content)
    run.per_shard(
        "embed",
        inputs,
        write.folders,
        lambda spans: spans | "embed" >> transform(write, section),
        cut,
        lambda _: {"dimension": _dimension(run, cut)},
        recipe=lambda: run.recipe("embed", VERSION, part, ["ingest"]),
    )


def transform(write: "Write", section: intake.Embed) -> beam.PTransform:
    """The step from spans to the names of the shards embedded; it alone asks for an accelerator."""
    if section.backend == "precomputed":
        return beam.ParDo(Copy(write))
    from tamis.pipelines import inference

    return inference.transform(write, section)


@dataclasses.dataclass(frozen=True)
class Write:
    """Vectors to embedding sidecars.

    Attributes:
      view: Of the index.
      inputs: Digest of the stage.
      dtype: On disk.
      content: What is embedded. Of pairs the vector is both unit vectors side by side, over
        sqrt(2): the cosine of two pairs is the mean of their images' and their texts' cosines.
    """

    view: view.View
    inputs: str
    dtype: embeddings.Dtype
    content: Literal["text", "image", "pair"] = "text"

    @property
    def folders(self) -> tuple[str, ...]:
        """What is written; the last one's sidecar commits a shard."""
        pair = tuple(embeddings.PAIR.values()) if self.content == "pair" else ()
        return (*pair, embeddings.FOLDER)

    def span(self, span: shards.Span, model: embedders.Embedder | None) -> Iterator[str]:
        """Write the sidecars of a span; without a model, of the vectors in the input."""
        parts: dict[str, list[np.ndarray]] = {s.name: [] for s in span.shards}
        left = {s.name: self.view.rows(s.name) for s in span.shards}
        for shard, x in self._vectors(span, model):
            parts[shard.name].append(x.astype(self.dtype))
            left[shard.name] -= len(x)
            if not left[shard.name]:  # a shard is written as soon as it is whole
                self._commit(shard, np.concatenate(parts.pop(shard.name)))
                yield shard.name
        for shard in span.shards:
            if shard.name in parts and not parts[shard.name]:
                self._commit(shard, np.zeros((0, 2), self.dtype))

    def _vectors(
        self, span: shards.Span, model: embedders.Embedder | None
    ) -> Iterator[tuple[shards.Shard, np.ndarray]]:
        if model is None:
            yield from _precomputed(self.view, span, halves=self.content == "pair")
            return
        wanted = (columns.IMAGE, columns.TEXT) if self.content == "pair" else (self.content,)
        for shard, batch in self.view.batches(span, (*wanted, columns.ROW)):
            rows = batch.column(columns.ROW)
            parts = [directions(model(batch.column(c).to_pylist()), shard, rows) for c in wanted]
            yield shard, _beside(parts)

    def _commit(self, shard: shards.Shard, x: np.ndarray) -> None:
        if self.content == "pair":
            halves = np.split(x, 2, axis=1)
            for half, (name, folder) in zip(halves, embeddings.PAIR.items(), strict=True):
                unit = linalg.unit(half).astype(self.dtype) if len(half) else half
                self._write(shard, unit, folder, name)
        self._write(shard, x, embeddings.FOLDER, embeddings.EMBEDDING)

    def _write(self, shard: shards.Shard, x: np.ndarray, folder: str, name: str) -> None:
        schema = embeddings.schema(x.shape[1], self.dtype, name)
        table = pa.Table.from_arrays([embeddings.column(x)], schema=schema)
        facts = {DIMENSION: str(x.shape[1] if len(x) else 0)}
        self.view.commit(folder, shard.name, table, self.inputs, facts)


class Copy(beam.DoFn):
    """Span to embedding sidecars of precomputed vectors."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            yield from self._write.span(span, None)


def directions(x: np.ndarray, shard: shards.Shard, rows: pa.Array) -> np.ndarray:
    """Unit rows of a model's output.

    Raises:
      ArtifactError: a vector is not finite or has no direction; nothing is repaired.
    """
    size = np.abs(x).max(axis=1, initial=0)
    bad = np.flatnonzero(~(np.isfinite(size) & (size > 0)))
    if len(bad):
        raise errors.ArtifactError(
            "the model's vector is not finite or zero",
            where=f"{shard.file.path}:{rows[int(bad[0])].as_py()}",
            why=f"{len(bad)} of the {len(x)} rows read with it have none",
            remedy="try embed.dtype: float32, another model, or take the row out",
        )
    return linalg.unit(x)


def _beside(parts: list[np.ndarray]) -> np.ndarray:
    """Unit vectors side by side as one unit vector, each part with the same weight."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1) / np.sqrt(len(parts))


def _precomputed(
    seen: view.View, span: shards.Span, *, halves: bool
) -> Iterator[tuple[shards.Shard, np.ndarray]]:
    """The vectors of the accepted rows, straight from the input; of pairs as two halves."""
    current, known = "", np.zeros(0, np.int64)
    for block in sources.read(span, (columns.EMBEDDING,), dimension=seen.dimension):
        if block.shard.name != current:
            current = block.shard.name
            known = seen.table(current, index.FOLDER, [index.ROW])[index.ROW].to_numpy()
        rows = block.batch.column(columns.ROW).to_numpy()
        kept = block.batch.filter(pa.array(np.isin(rows, known)))
        if kept.num_rows:
            x = embeddings.matrix(kept.column(columns.EMBEDDING))
            parts = np.split(x, 2, axis=1) if halves else [x]
            rows = kept.column(columns.ROW)
            yield block.shard, _beside([directions(part, block.shard, rows) for part in parts])


def _dimension(run: session.Session, cut: list[shards.Shard]) -> int:
    """Of the vectors; 0 when there is not one."""
    footers = (sidecars.footer(run.root, embeddings.FOLDER, shard.name) for shard in cut)
    return max((int(footer[DIMENSION]) for footer in footers), default=0)
