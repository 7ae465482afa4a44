"""Sampling by the loss of a row's cluster and its distance from the centre (Axiotis et al. 2024).

The loss is asked of a few centre rows only. If it is Hoelder continuous in the embedding, a row's
is at most loss(centre) + holder |x - centre|^z, and a sample in proportion to that bound, with
weights, estimates the mean loss of any such model to 1 / sqrt(budget) of (the sum of the centres'
losses + 2 holder x the k-means cost) (ICML 2024, arXiv 2402.17327, Thm. 1).
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import clusters, errors
from tamis.schemas import embeddings
from tamis.selectors import pools, systematic, weighted


def sensitivities(
    centre_loss: NDArray[np.float64], distance: NDArray[np.float64], holder: float | None, z: float
) -> NDArray[np.float64]:
    """Bounds of the loss, loss(centre of x) + holder |x - centre|^z; shape (n,).

    Args:
      centre_loss: Of each row's centre, at least 0, shape (n,).
      distance: To it, shape (n,).
      holder: Their Lambda; None for that which gives both terms the same sum.
      z: 1 or 2 in the paper.

    Raises:
      ValueError: a loss is negative.
    """
    if np.any(centre_loss < 0):
        raise ValueError(f"a centre has a loss of {centre_loss.min()}; it must be at least 0")
    far = distance**z
    if holder is None:
        total = far.sum()
        holder = float(centre_loss.sum() / total) if total > 0 else 0.0
    bound = centre_loss + holder * far
    return bound if bound.any() else np.ones(len(bound))


@dataclasses.dataclass(frozen=True)
class ClusteringSensitivity:
    """A sample by cluster loss and distance.

    Without a loss every centre has the same, which is the lightweight coreset of Bachem et al.
    (2018). Time O(n k d) for 20 iterations of k-means, memory O(n d).

    Attributes:
      loss: Column of losses, at least 0, read at the k centre rows only; empty for none.
      k: Clusters; 0 for the square root of the rows.
      holder: Lambda; None for that which gives both terms the same sum.
      z: Power of the distance.
      embedding: Column of vectors.
    """

    loss: str = ""
    k: int = 0
    holder: float | None = None
    z: float = 2.0
    embedding: str = embeddings.EMBEDDING

    def __post_init__(self) -> None:
        if not (self.k >= 0 and self.z > 0 and (self.holder is None or self.holder >= 0)):
            raise errors.ConfigError(
                f"k {self.k}, holder {self.holder}, z {self.z}",
                where="clustering_sensitivity",
                remedy="k and holder at least 0, z above 0",
            )

    reads = pools.Reads("embedding", "loss")

    def draw(self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator) -> weighted.Draw:
        """The rows, and weights that make sums over them unbiased."""
        rows = pools.by_uid(pool)
        if not len(rows):
            return weighted.Draw(rows, np.zeros(0))
        x = pools.unit(pool, self.embedding, rows).astype(np.float32)
        k = min(self.k or clusters.default_k(len(x)), len(x))
        centroids = clusters.fit(x, k, seed=int(rng.integers(2**31)))
        found = clusters.assign(x, centroids)
        distance = np.sqrt(np.maximum(2 - 2 * found.cosine.astype(np.float64), 0))
        losses = np.ones(len(x))
        if self.loss:
            centre = clusters.assign(centroids, x).neighbour  # the row nearest to each centroid
            losses = pools.numbers(pool, self.loss, rows)[centre][found.neighbour]
        bound = sensitivities(losses, distance, self.holder, self.z)
        return systematic.of_pool(pool, rows, bound, budget, rng=rng, purpose="clusters")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return self.draw(pool, budget, rng).rows
