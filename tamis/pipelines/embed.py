"""Embed: one unit vector per row, through Beam's RunInference."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.ml.inference import base

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
    part = section.model_dump(exclude={"device", "allow_cpu", "accelerator"})
    inputs = run.digest("embed", VERSION, part, ["ingest"])
    cut = run.cut()
    handler = Handler(run.view(), inputs, section)
    transform = base.RunInference(handler)
    if section.accelerator:
        transform = transform.with_resource_hints(accelerator=section.accelerator)
    run.per_shard(
        "embed",
        inputs,
        (embeddings.FOLDER,),
        lambda spans: spans | "embed" >> transform,
        cut,
        lambda _: {"dimension": _dimension(run, cut)},
    )


class Handler(base.ModelHandler[shards.Span, str, embedders.Embedder]):
    """Span to its shards' embedding sidecars; the model is loaded once per process."""

    def __init__(self, seen: view.View, inputs: str, section: config.Embed) -> None:
        super().__init__()
        self._view, self._inputs, self._section = seen, inputs, section

    def load_model(self) -> Any:  # noqa: ANN401 - an Embedder, or nothing to load
        with engine.carried():
            precomputed = self._section.backend == "precomputed"
            return None if precomputed else embedders.load(self._section)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """One span at a time: texts are batched inside it, where their order is fixed."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def share_model_across_processes(self) -> bool:
        return self._section.backend == "sentence-transformers" and self._section.device != "cpu"

    def get_metrics_namespace(self) -> str:
        return "tamis"

    def run_inference(
        self,
        batch: Sequence[shards.Span],
        model: embedders.Embedder | None,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[str]:
        with engine.carried():
            for span in batch:
                yield from self._write(span, model)

    def _write(self, span: shards.Span, model: embedders.Embedder | None) -> Iterator[str]:
        parts: dict[str, list[np.ndarray]] = {s.name: [] for s in span.shards}
        left = {s.name: self._view.rows(s.name) for s in span.shards}
        for shard, x in self._vectors(span, model):
            parts[shard.name].append(x.astype(self._section.dtype))
            left[shard.name] -= len(x)
            if not left[shard.name]:  # a shard is written as soon as it is whole
                self._commit(shard, np.concatenate(parts.pop(shard.name)))
                yield shard.name
        for shard in span.shards:
            if shard.name in parts and not parts[shard.name]:
                self._commit(shard, np.zeros((0, 1), self._section.dtype))

    def _vectors(
        self, span: shards.Span, model: embedders.Embedder | None
    ) -> Iterator[tuple[shards.Shard, np.ndarray]]:
        if model is None:
            yield from _precomputed(self._view, span)
            return
        for shard, batch in self._view.batches(span, (columns.TEXT, columns.ROW)):
            x = model(batch.column(columns.TEXT).to_pylist())
            yield shard, directions(x, shard, batch.column(columns.ROW))

    def _commit(self, shard: shards.Shard, x: np.ndarray) -> None:
        schema = embeddings.schema(x.shape[1], self._section.dtype)
        table = pa.Table.from_arrays([embeddings.column(x)], schema=schema)
        facts = {DIMENSION: str(x.shape[1] if len(x) else 0)}
        self._view.commit(embeddings.FOLDER, shard.name, table, self._inputs, facts)


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
    for block in sources.read(span, (columns.EMBEDDING,), dimension=seen.dimension):
        known = seen.table(block.shard.name, index.FOLDER, [index.ROW])[index.ROW].to_numpy()
        rows = block.batch.column(columns.ROW).to_numpy()
        kept = block.batch.filter(pa.array(np.isin(rows, known)))
        if kept.num_rows:
            yield block.shard, linalg.unit(embeddings.matrix(kept.column(columns.EMBEDDING)))


def _dimension(run: session.Session, cut: list[shards.Shard]) -> int:
    """Of the vectors; 0 when there is not one."""
    footers = (sidecars.footer(run.root, embeddings.FOLDER, shard.name) for shard in cut)
    return max((int(footer[DIMENSION]) for footer in footers), default=0)
