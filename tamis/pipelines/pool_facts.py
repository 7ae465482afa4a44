"""Artifacts of scorers that are facts about the whole pool or the target.

Each function writes those of one scorer, given the session and the paths by field, as
`score.FITTED` has them called. Facts about the pool are folds; samples are drawn by the hash of the
uid; nothing depends on how the pool is cut.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, folds, storage
from tamis.pipelines import fitted, folding, guard, sample, session
from tamis.schemas import columns, embeddings, shards, uids
from tamis.scorers import (
    concepts,
    importance,
    kernel_density,
    mahalanobis,
    ngram_model,
    quality_classifier,
    race,
)

_VECTOR = (columns.EMBEDDING,)
_MAX_BYTES = 1 << 28  # of a list that every worker holds


def write_neighbours(run: session.Session, paths: dict[str, str]) -> None:
    """A hash sample of the pool, and its uids."""
    x, names = _sample(run, "nearest_neighbours", run.cut("supply"))
    artifacts.write(paths["reference"], x)
    artifacts.write(paths["names"], names)


def write_sketch(run: session.Session, paths: dict[str, str]) -> None:
    """Frequencies for the bandwidth of a sample, and the pool's mean phases."""
    scorer = fitted.scorer(run, "kernel_density")
    x, names = _sample(run, "kernel_density", run.cut("supply"))
    if len(x) < 2 and not scorer.bandwidth:
        raise errors.ConfigError("one row has no neighbour", remedy="set kernel_density.bandwidth")
    h = scorer.bandwidth or kernel_density.bandwidth(x, names)
    w = kernel_density.frequencies(scorer.features, x.shape[1], h=h, seed=run.seed)
    artifacts.write(paths["frequencies"], w)
    fold = kernel_density.Sketching(paths["frequencies"])
    mean, _ = folding.fold(run, "phases", fold, _VECTOR, run.cut("supply"))
    artifacts.write(paths["sketch"], mean)


def write_race(run: session.Session, paths: dict[str, str]) -> None:
    """Random planes, and how many rows of the pool lie in each of their cells."""
    scorer = fitted.scorer(run, "race")
    d = run.entry("embed")["dimension"]
    normals = race.planes(scorer.repeats, scorer.bits, d, seed=run.seed)
    artifacts.write(paths["planes"], normals)
    fold = race.Sketching(paths["planes"])
    counts = folding.fold(run, "cells", fold, _VECTOR, run.cut("supply"))
    artifacts.write(paths["counts"], counts[0])


def write_moments(run: session.Session, paths: dict[str, str]) -> None:
    """The pool's mean and the whitening of its shrunk covariance."""
    found = folding.fold(run, "moments", mahalanobis.Moment(), _VECTOR, run.cut("supply"))
    rows, mean, covariance = found
    whitener = mahalanobis.whitening(mahalanobis.shrunk(covariance, int(rows)))
    artifacts.write(paths["moments"], np.concatenate([mean[None], whitener]))


def write_cluster_sizes(run: session.Session, paths: dict[str, str]) -> None:
    """Rows of every cluster."""
    fold = folds.Count((columns.CLUSTER,))
    counted = folding.fold(run, "cluster-sizes", fold, (columns.CLUSTER,), run.cut("supply"))
    sizes = np.zeros(run.entry("cluster")["k"], np.int64)
    for (cluster,), rows in counted.items():
        sizes[cluster] = rows
    artifacts.write(paths["sizes"], sizes)


def write_ratio(run: session.Session, paths: dict[str, str]) -> None:
    """Log ratios of n-grams between the target and the pool."""
    scorer = fitted.scorer(run, "importance")
    fold = importance.BucketCounts(scorer.buckets, scorer.longest)
    reads, half = (columns.UID, columns.TEXT), guard.halves(run)[0]
    target = folding.fold(run, "target-grams", Part(fold, half), reads, _target(run, "importance"))
    pool = folding.fold(run, "pool-grams", fold, (columns.TEXT,), run.cut("supply"))
    ratio = importance.log_ratio(target[0], pool[0], scorer.smoothing)
    artifacts.write(paths["ratio"], ratio)


def write_ngrams(run: session.Session, paths: dict[str, str]) -> None:
    """The n-grams of the target."""
    fold = ngram_model.Counting(fitted.scorer(run, "ngram_model").order)
    reads, half = (columns.UID, columns.TEXT), guard.halves(run)[0]
    found = folding.fold(run, "ngrams", Part(fold, half), reads, _target(run, "ngram_model"))
    named = dict(zip(ngram_model.Counts._fields, found, strict=True))
    artifacts.write_all(paths["counts"], **named)


def write_classifier(run: session.Session, paths: dict[str, str]) -> None:
    """Logistic regression of the reference against the pool, each a hash sample."""
    name = "quality_classifier"
    scorer = fitted.scorer(run, name)
    if scorer.reference == "target":
        cut = _target(run, name)
    else:
        cut = [s for s in run.cut("supply") if s.source == scorer.reference]
    if not cut:
        raise errors.ConfigError(
            f"score.{name}.reference names no source {scorer.reference!r}",
            remedy=f"name one of {', '.join(run.config.sources)}, or target",
        )
    reference, _ = _sample(run, name, cut)
    pool, _ = _sample(run, name, run.cut("supply"))
    made = quality_classifier.fit(reference, pool, penalty=scorer.penalty)
    artifacts.write(paths["classifier"], np.append(made.weights, made.intercept))


def write_concepts(name: str, run: session.Session, paths: dict[str, str]) -> None:
    """The concepts to look for, and how many texts of the pool name each."""
    scorer = fitted.scorer(run, name)
    listed = scorer.concepts
    if storage.size(listed) > _MAX_BYTES:
        raise errors.ConfigError("the list of concepts is above 256 MiB", where=listed)
    lines = storage.read_bytes(listed).decode("utf-8-sig").splitlines()
    listing = pa.array([line for line in lines if line.strip()], pa.string())
    found = concepts.entries(listing, scorer.lemmas)
    artifacts.write_all(paths["entries"], **found._asdict())
    fold = concepts.Mentions(paths["entries"], scorer.lemmas)
    counts = folding.fold(run, "mentions", fold, (columns.TEXT,), run.cut("supply"))
    artifacts.write(paths["counts"], counts[0])


@dataclasses.dataclass(frozen=True)
class Part:
    """A fold of the rows in one half of a guarded target; of all rows without a guard."""

    fold: folds.Fold
    half: guard.Half | None

    def zero(self) -> Any:  # noqa: ANN401 - whatever the fold's state is
        return self.fold.zero()

    def add(self, state: Any, batch: pa.RecordBatch) -> Any:  # noqa: ANN401
        inside = self.half.of(batch.column(columns.UID)) if self.half else None
        return self.fold.add(state, batch if inside is None else batch.filter(pa.array(inside)))

    def merge(self, a: Any, b: Any) -> Any:  # noqa: ANN401
        return self.fold.merge(a, b)

    def result(self, state: Any) -> Any:  # noqa: ANN401
        return self.fold.result(state)


def _target(run: session.Session, name: str) -> list[shards.Shard]:
    cut = run.cut("target")
    if not cut:
        raise errors.ConfigError(
            f"score.{name} needs a target", remedy="add a `target` to the run file"
        )
    return cut


def _sample(
    run: session.Session, name: str, cut: list[shards.Shard]
) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Embeddings and uids of as many rows as the scorer's `sample`, by the hash of their uid.

    Of a guarded target, those of them that are in the half to fit on.
    """
    role = cut[0].file.role if cut else "supply"
    drawn = sample.rows(run, f"{name}-{role}", fitted.scorer(run, name).sample, _VECTOR, cut)
    half = guard.halves(run)[0] if role == "target" else None
    if half and drawn.num_rows:
        drawn = drawn.filter(pa.array(half.of(drawn.column(columns.UID))))
    if not drawn.num_rows:
        raise errors.SchemaError(f"score.{name}: there is no row to fit on", where=run.root)
    x = embeddings.matrix(drawn.column(columns.EMBEDDING))
    return x, uids.from_hex(drawn.column(columns.UID))


def _of_concepts(name: str) -> fitted.Fitted:
    """Two scorers read the same artifacts, where they name the same list."""
    return fitted.Fitted(
        {"entries": "entries.npz", "counts": "counts.npy"},
        functools.partial(write_concepts, name),
        fitted.part(name, "concepts", "lemmas", reads="concepts"),
        "concepts",
        _TEXTS,
    )


_TEXTS = ("ingest",)
FITTED = {
    "cluster_size": fitted.Fitted(
        {"sizes": "sizes.npy"}, write_cluster_sizes, needs=("ingest", "cluster")
    ),
    **{name: _of_concepts(name) for name in ("concept_balance", "concept_frequency")},
    "importance": fitted.Fitted(
        {"ratio": "ratio.npy"},
        write_ratio,
        fitted.part("importance", "buckets", "longest", "smoothing", target=True),
        needs=_TEXTS,
    ),
    "kernel_density": fitted.Fitted(
        {"frequencies": "frequencies.npy", "sketch": "sketch.npy"},
        write_sketch,
        fitted.part("kernel_density", "features", "bandwidth", "sample"),
    ),
    "mahalanobis": fitted.Fitted({"moments": "moments.npy"}, write_moments),
    "nearest_neighbours": fitted.Fitted(
        {"reference": "reference.npy", "names": "names.npy"},
        write_neighbours,
        fitted.part("nearest_neighbours", "sample"),
    ),
    "ngram_model": fitted.Fitted(
        {"counts": "counts.npz"},
        write_ngrams,
        fitted.part("ngram_model", "order", target=True),
        needs=_TEXTS,
    ),
    "race": fitted.Fitted(
        {"planes": "planes.npy", "counts": "counts.npy"},
        write_race,
        fitted.part("race", "repeats", "bits"),
    ),
    "quality_classifier": fitted.Fitted(
        {"classifier": "classifier.npy"},
        write_classifier,
        fitted.part("quality_classifier", "reference", "sample", "penalty", target=True),
    ),
}
