"""Leverage scores, Lewis weights, and sampling by them: rows that no other row stands for.

The sensitivity of row i of a (n, d) is sigma_i = max_x |a_i.x|^p / |a x|_p^p, the largest share it
can have of any p-norm: a sample in proportion to upper bounds of it, reweighted, keeps them all
(Woodruff & Yasuda 2023, Sharper bounds for lp sensitivity sampling).
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import embeddings
from tamis.selectors import pools, systematic, weighted

_RANK = 1e-10  # of the largest eigenvalue: below it a direction is taken for nothing
_TOLERANCE = 1e-8


def leverage_scores(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """tau_i = a_i.(a'a)^+ a_i, 0..1, summing to the rank: the sensitivities for p = 2.

    Args:
      a: Shape (n, d).

    Time O(n d^2), memory O(n d).
    """
    value, vector = np.linalg.eigh(a.T @ a)
    kept = value > _RANK * value.max(initial=0)
    white = a @ (vector[:, kept] / np.sqrt(value[kept]))
    return np.minimum(np.einsum("nd,nd->n", white, white), 1.0)


def lewis_weights(a: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """The w with w_i = leverage of row i of diag(w)^(1/2 - 1/p) a; they sum to the rank.

    They bound the sensitivities: sigma_i <= w_i for p <= 2 and <= d^(p/2 - 1) w_i above, and are
    the leverage scores for p = 2. The iteration of Cohen & Peng (2015), Lp row sampling by Lewis
    weights, Fig. 2, which converges for p below 4.

    Args:
      a: Shape (n, d).
      p: In (0, 4).

    Raises:
      ValueError: p is not in (0, 4).

    Time O(n d^2) for each of about log(1e8) / log(1 / |1 - p/2|) rounds, memory O(n d).
    """
    if not 0 < p < 4:
        raise ValueError(f"p is {p}; the iteration converges for p in (0, 4)")
    w = np.ones(len(a))
    for _ in range(500):
        some = w > 0
        scale = np.power(w, 0.5 - 1 / p, where=some, out=np.zeros(len(a)))
        tau = leverage_scores(a * scale[:, None])
        new = np.divide(tau, scale**2, where=some, out=np.zeros(len(a))) ** (p / 2)
        if np.all(np.abs(new - w) <= _TOLERANCE * np.maximum(new, 1e-12)):
            return new
        w = new
    return w


@dataclasses.dataclass(frozen=True)
class Leverage:
    """A sample in proportion to Lewis weights.

    Time O(n d^2), memory O(n d).

    Attributes:
      p: Norm that the reweighted sample keeps: 2 for squared losses, 1 for absolute ones; (0, 4).
      embedding: Column of vectors, scaled to norm 1.
    """

    p: float = 2.0
    embedding: str = embeddings.EMBEDDING

    def __post_init__(self) -> None:
        if not 0 < self.p < 4:
            raise errors.ConfigError(
                f"p is {self.p}", where="leverage", remedy="set it above 0 and below 4"
            )

    reads = pools.Reads("embedding")

    def draw(self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator) -> weighted.Draw:
        """The rows, and weights that make sums over them unbiased."""
        rows = pools.by_uid(pool)
        a = pools.unit(pool, self.embedding, rows)
        weight = leverage_scores(a) if self.p == 2 else lewis_weights(a, self.p)
        return systematic.of_pool(pool, rows, weight, budget, rng=rng, purpose="leverage")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return self.draw(pool, budget, rng).rows
