"""Sampling by what a few landmark rows explain of a row and what they leave (arXiv 2606.16045).

Row x = sum_i alpha_i v_i + r over landmarks v. If the loss is about quadratic along the landmarks
and Lipschitz in the rest, it is at most

    (gamma + 1) sum_i alpha_i^2 loss(v_i) + gamma k xi + lambda |r|^2,

and a sample in proportion to that bound, with weights, estimates its mean. The authors found
gamma = 0 good for language models, and landmarks of up to a fifth of the data.

They draw landmarks by leverage. Two that are nearly one row then make alpha huge, and with it the
variance; pivoted QR takes, one by one, the row that those before explain least, and cannot.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import linalg

from tamis import errors
from tamis.schemas import embeddings
from tamis.selectors import pools, systematic, weighted

_RANK = 1e-6  # of the largest pivot: a row that the landmarks explain to that is no landmark


def landmarks(x: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Rows that the others are made of, by QR with column pivoting (Businger & Golub 1965).

    Args:
      x: Shape (n, d).
      k: Wanted; more than the rank of `x` means the rank.

    Time O(n d^2), memory O(n d).
    """
    if not len(x):
        return np.zeros(0, np.int64)
    r, pivot = linalg.qr(x.T, mode="r", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(r)) > _RANK * abs(r[0, 0])))
    return pivot[: min(k, rank)].astype(np.int64)


def decompose(
    x: NDArray[np.float64], landmarks: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least squares: `alpha` (n, k) of least norm and the squared residuals |r|^2 (n,).

    Args:
      x: Shape (n, d).
      landmarks: Shape (k, d).

    Time O(n k d + k^2 d), memory O(n k).
    """
    alpha = x @ np.linalg.pinv(landmarks)
    rest = x - alpha @ landmarks
    return alpha, np.einsum("nd,nd->n", rest, rest)


def sensitivities(
    alpha: NDArray[np.float64],
    residual: NDArray[np.float64],
    loss: NDArray[np.float64],
    *,
    residual_weight: float | None = None,
    gamma: float = 0.0,
    xi: float = 0.0,
) -> NDArray[np.float64]:
    """The bound of the module's docstring, shape (n,).

    Args:
      alpha: Shape (n, k), of `decompose`.
      residual: |r|^2, shape (n,).
      loss: Of the landmarks, at least 0, shape (k,).
      residual_weight: Their lambda; None for that which gives explained and rest the same sum.
      gamma: How far the loss is from quadratic.
      xi: The error of the loss at a landmark.

    Raises:
      ValueError: a loss is negative.
    """
    if np.any(loss < 0):
        raise ValueError(f"a landmark has a loss of {loss.min()}; it must be at least 0")
    explained = (gamma + 1) * np.einsum("nk,k->n", alpha**2, loss) + gamma * len(loss) * xi
    if residual_weight is None:
        total = residual.sum()
        residual_weight = float(explained.sum() / total) if total > 0 else 0.0
    bound = explained + residual_weight * residual
    return bound if bound.any() else np.ones(len(bound))


@dataclasses.dataclass(frozen=True)
class LowRankSensitivity:
    """A sample by landmarks and residuals.

    Time O(n d^2 + n k d), memory O(n (k + d)).

    Attributes:
      loss: Column of losses, at least 0, read at the landmarks only; empty for all alike.
      k: Landmarks, at most the dimension; 0 for half of it, since all would leave no rest.
      residual_weight: lambda; None for that which gives explained and rest the same sum.
      embedding: Column of vectors.
    """

    loss: str = ""
    k: int = 0
    residual_weight: float | None = None
    embedding: str = embeddings.EMBEDDING

    def __post_init__(self) -> None:
        if self.k < 0 or (self.residual_weight is not None and self.residual_weight < 0):
            raise errors.ConfigError(
                f"k {self.k}, residual_weight {self.residual_weight}",
                where="low_rank_sensitivity",
                remedy="both at least 0",
            )

    reads = pools.Reads("embedding", "loss")

    def draw(self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator) -> weighted.Draw:
        """The rows, and weights that make sums over them unbiased."""
        rows = pools.by_uid(pool)
        x = pools.unit(pool, self.embedding, rows)
        chosen = landmarks(x, self.k or max(1, x.shape[1] // 2))
        losses = np.ones(len(chosen))
        if self.loss:
            losses = pools.numbers(pool, self.loss, rows)[chosen]
        alpha, residual = decompose(x, x[chosen])
        bound = sensitivities(alpha, residual, losses, residual_weight=self.residual_weight)
        return systematic.of_pool(pool, rows, bound, budget, rng=rng, purpose="landmarks")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return self.draw(pool, budget, rng).rows
