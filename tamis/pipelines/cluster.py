"""Cluster: spherical k-means on a hash sample, then the nearest centroid of every row."""

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import artifacts, clusters, errors, storage
from tamis.pipelines import engine, sample, session, view
from tamis.schemas import clusters as schema
from tamis.schemas import embeddings, shards

VERSION = 3


def cluster(run: session.Session) -> None:
    """Write `clusters/centroids.npy` and the cluster sidecar of every supply shard.

    Raises:
      ConfigError: there are fewer rows than clusters.
    """
    section = run.config.cluster
    cut = run.cut("supply")
    inputs = run.digest("cluster", VERSION, [section, run.seed], ["embed"])
    place = f"{schema.FOLDER}/{inputs[:16]}-{schema.CENTROIDS}"
    url = storage.join(run.root, place)
    rows = sum(n["accepted"] for s, n in run.entry("ingest")["sources"].items() if s != "target")
    k = section.k or clusters.default_k(rows)

    def build(spans: beam.PCollection) -> object:
        if not storage.exists(url):
            artifacts.write(url, _fit(run, k, cut))
        return spans | "assign" >> beam.ParDo(Assign(run.view(), inputs, url))

    run.per_shard(
        "cluster",
        inputs,
        (schema.FOLDER,),
        build,
        cut,
        lambda _: {"k": k, "centroids": url, "files": session.digests(run.root, (place,))},
    )


def _fit(run: session.Session, k: int, cut: list[shards.Shard]) -> np.ndarray:
    size = run.config.cluster.sample or clusters.default_sample(k)
    drawn = sample.rows(run, "cluster", size, (embeddings.EMBEDDING,), cut)
    if not drawn.num_rows:
        raise errors.SchemaError(
            "there is nothing to cluster",
            where=run.root,
            why="no row of any source was accepted",
            remedy="look in rejected/ for the reasons",
        )
    x = embeddings.matrix(drawn.column(embeddings.EMBEDDING))
    return clusters.fit(x, k, iterations=run.config.cluster.iterations, seed=run.seed)


class Assign(beam.DoFn):
    """Span to cluster sidecars."""

    def __init__(self, seen: view.View, inputs: str, centroids: str) -> None:
        self._view, self._inputs, self._url = seen, inputs, centroids

    def setup(self) -> None:
        with engine.carried():
            self._centroids = np.array(artifacts.read(self._url))

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                parts = [
                    self._batch(batch)
                    for _, batch in self._view.batches(
                        shards.Span((shard,)), (embeddings.EMBEDDING,)
                    )
                ]
                table = pa.Table.from_batches(parts, schema.SCHEMA)
                self._view.commit(schema.FOLDER, shard.name, table, self._inputs)
                yield shard.name

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        x = embeddings.matrix(batch.column(embeddings.EMBEDDING))
        found = clusters.assign(x, self._centroids)
        arrays = [pa.array(found.neighbour), pa.array(found.cosine)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema.SCHEMA)
