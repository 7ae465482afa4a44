"""Embed: one unit vector per row, through Beam's RunInference or from the input."""

import dataclasses
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import embedders, errors, linalg, sidecars, sources
from tamis.pipelines import engine, session, view
from tamis.schemas import columns, config, embeddings, index, shards

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
    write = Write(run.view(), inputs, section.dtype)
    run.per_shard(
        "embed",
        inputs,
        (embeddings.FOLDER,),
        lambda spans: spans | "embed" >> transform(write, section),
        cut,
        lambda _: {"dimension": _dimension(run, cut)},
        recipe=lambda: run.recipe("embed", VERSION, part, ["ingest"]),
    )


def transform(write: "Write", section: config.Embed) -> beam.PTransform:
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
    """

    view: view.View
    inputs: str
    dtype: embeddings.Dtype

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
                self._commit(shard, np.zeros((0, 1), self.dtype))

    def _vectors(
        self, span: shards.Span, model: embedders.Embedder | None
    ) -> Iterator[tuple[shards.Shard, np.ndarray]]:
        if model is None:
            yield from _precomputed(self.view, span)
            return
        for shard, batch in self.view.batches(span, (columns.TEXT, columns.ROW)):
            x = model(batch.column(columns.TEXT).to_pylist())
            yield shard, directions(x, shard, batch.column(columns.ROW))

    def _commit(self, shard: shards.Shard, x: np.ndarray) -> None:
        schema = embeddings.schema(x.shape[1], self.dtype)
        table = pa.Table.from_arrays([embeddings.column(x)], schema=schema)
        facts = {DIMENSION: str(x.shape[1] if len(x) else 0)}
        self.view.commit(embeddings.FOLDER, shard.name, table, self.inputs, facts)


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
            why=f"{len(bad)} of the {len(x)} texts read with it have none",
            remedy="try embed.dtype: float32, another model, or take the row out",
        )
    return linalg.unit(x)


def _precomputed(seen: view.View, span: shards.Span) -> Iterator[tuple[shards.Shard, np.ndarray]]:
    """The vectors of the accepted rows, straight from the input."""
    current, known = "", np.zeros(0, np.int64)
    for block in sources.read(span, (columns.EMBEDDING,), dimension=seen.dimension):
        if block.shard.name != current:
            current = block.shard.name
            known = seen.table(current, index.FOLDER, [index.ROW])[index.ROW].to_numpy()
        rows = block.batch.column(columns.ROW).to_numpy()
        kept = block.batch.filter(pa.array(np.isin(rows, known)))
        if kept.num_rows:
            yield block.shard, linalg.unit(embeddings.matrix(kept.column(columns.EMBEDDING)))


def _dimension(run: session.Session, cut: list[shards.Shard]) -> int:
    """Of the vectors; 0 when there is not one."""
    footers = (sidecars.footer(run.root, embeddings.FOLDER, shard.name) for shard in cut)
    return max((int(footer[DIMENSION]) for footer in footers), default=0)
