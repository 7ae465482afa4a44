"""Cluster: spherical k-means on a hash sample, then the nearest centroid of every row."""

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import artifacts, clusters, errors, geometry, nearest, storage
from tamis.pipelines import engine, sample, session, view
from tamis.schemas import clusters as schema
from tamis.schemas import columns, embeddings, shards
from tamis.schemas import geometry as geometry_schema

VERSION = 3
_DESCRIBED = 4_096  # rows of the sample that facts are of: a second's work
_SHARP = 1_000  # of them for the label sharpness, as in its paper


def cluster(run: session.Session) -> None:
    """Write `clusters/centroids.npy` and the cluster sidecar of every supply shard.

    Raises:
      ConfigError: there are fewer rows than clusters.
    """
    section = run.config.cluster
    cut = run.cut("supply")
    inputs = run.digest("cluster", VERSION, [section, run.seed], ["embed"])
    taken = run.taken("cluster")
    own = f"{schema.FOLDER}/{inputs[:16]}-"
    place = taken.get("centroids", own + schema.CENTROIDS)
    facts = taken.get("geometry", own + geometry_schema.FILE)
    url = storage.join(run.root, place)
    rows = sum(n["accepted"] for s, n in run.entry("ingest")["sources"].items() if s != "target")
    k = run.earlier.entry("cluster")["k"] if run.earlier else section.k or clusters.default_k(rows)

    def build(spans: beam.PCollection) -> object:
        if not storage.exists(url) or not storage.exists(storage.join(run.root, facts)):
            drawn = _sample(run, k, cut)
            x = embeddings.matrix(drawn.column(embeddings.EMBEDDING))
            seed, iterations = run.seed, run.config.cluster.iterations
            centroids = clusters.fit(x, k, iterations=iterations, seed=seed)
            told = describe(drawn.slice(0, _DESCRIBED), centroids).model_dump_json(indent=1)
            storage.write_atomic(storage.join(run.root, facts), f"{told}\n".encode())
            artifacts.write(url, centroids)
        return spans | "assign" >> beam.ParDo(Assign(run.view(), inputs, url))

    run.per_shard(
        "cluster",
        inputs,
        (schema.FOLDER,),
        build,
        cut,
        lambda _: {
            "k": k,
            "centroids": url,
            "geometry": facts,
            "fitted": {"centroids": place, "geometry": facts},
            "files": session.digests(run.root, (place, facts)),
        },
        recipe=lambda: run.recipe("cluster", VERSION, None, ["embed"], [place]),
    )


def describe(drawn: pa.Table, centroids: np.ndarray) -> geometry_schema.Geometry:
    """Facts of rows for the report.

    Args:
      drawn: `embedding` and `label`, at least one row, in a fixed order.
      centroids: Shape (k, d), unit rows.
    """
    x = embeddings.matrix(drawn.column(embeddings.EMBEDDING))
    sizes = np.bincount(clusters.assign(x, centroids).neighbour, minlength=len(centroids))
    labels = drawn.column(columns.LABEL).combine_chunks()
    known = np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))[:_SHARP]
    coded = labels.take(pa.array(known)).dictionary_encode().indices.to_numpy()
    counted = labels.drop_null().value_counts().to_pylist()
    classes = sorted(((c["values"], c["counts"]) for c in counted), key=lambda c: (-c[1], c[0]))
    return geometry_schema.Geometry(
        rows=len(x),
        dimension=x.shape[1],
        intrinsic_dimension=geometry.intrinsic_dimension(x),
        distinct=geometry.vendi_score(nearest.unit(x)),
        cluster_imbalance=geometry.imbalance_factor(sizes),
        classes=dict(classes),
        nearest_other_label=geometry.nearest_other_label(x[known], coded),
    )


def _sample(run: session.Session, k: int, cut: list[shards.Shard]) -> pa.Table:
    size = run.config.cluster.sample or clusters.default_sample(k)
    carry = (embeddings.EMBEDDING, columns.LABEL)
    drawn = sample.rows(run, "cluster", size, carry, cut)
    if not drawn.num_rows:
        raise errors.SchemaError(
            "there is nothing to cluster",
            where=run.root,
            why="no row of any source was accepted",
            remedy="look in rejected/ for the reasons",
        )
    return drawn


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
