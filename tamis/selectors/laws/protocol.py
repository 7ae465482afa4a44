"""What every law offers, and the shapes they agree on."""

import dataclasses
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import cells as cells_

_ROUNDING = 1e-6  # by which shares may miss a sum of 1


class Law(Protocol):
    """Predicted error of training on a mixture; the parameters are the fields.

    The first method is what the planner needs; the others are how `fitting` reaches the parameters,
    through a vector without bounds (logs and logits).
    """

    name: ClassVar[str]

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        """Predicted error.

        Args:
          weights: Shape (..., k), share of each stratum in what is seen, summing to 1.
          samples: Shape (...,), samples seen, repeats counted.
          supply: Shape (..., k), unique rows, at least 1 wherever the weight is not 0.

        Returns:
          Shape (...,), broadcast over all three.

        Raises:
          PlanError: shares that are no mixture of the law's strata, no samples, or no rows.
        """
        ...

    @classmethod
    def prior(cls, cells: cells_.Cells) -> "Prior": ...

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self: ...

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        """Shape (s, p): promising vectors beside the prior's mean; s may be 0."""
        ...

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        """Shape (p,): the parameters themselves, monotone in each coordinate of the vector."""
        ...


@dataclasses.dataclass(frozen=True)
class Prior:
    """Independent normals over a law's vector: weak, so that what data cannot tell stays put.

    Attributes:
      names: One per coordinate.
      mean: Shape (p,).
      scale: Shape (p,), standard deviations.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]


def broadcast(
    weights: ArrayLike, samples: ArrayLike, supply: ArrayLike, *, k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The three arguments of `predict` as float64 of shapes (..., k), (..., 1) and (..., k).

    Raises:
      PlanError: they are not what `Law.predict` says, or not about k strata.
    """
    w = np.asarray(weights, np.float64)
    n = np.asarray(samples, np.float64)[..., None]
    m = np.asarray(supply, np.float64)
    _check(w, n, m, k)
    if w.shape == m.shape and n.shape[:-1] == w.shape[:-1]:
        return w, n, m
    shape = np.broadcast_shapes(w.shape, n.shape, m.shape)
    return (
        np.broadcast_to(w, shape),
        np.broadcast_to(n, (*shape[:-1], 1)),
        np.broadcast_to(m, shape),
    )


def _check(w: NDArray[np.float64], n: NDArray[np.float64], m: NDArray[np.float64], k: int) -> None:
    """Comparisons are put so that NaN fails them."""
    if w.ndim == 0 or m.ndim == 0 or w.shape[-1] != k or m.shape[-1] != k:
        raise errors.PlanError(
            f"shares of shape {w.shape} and supplies of shape {m.shape} for {k} strata",
            remedy="give one of each stratum along the last axis",
        )
    if not (w.min(initial=0.0) >= 0 and abs(w.sum(-1) - 1).max(initial=0.0) <= _ROUNDING):
        sums = np.atleast_1d(w.sum(-1))
        bad = (w.min(-1) < 0).reshape(-1) | ~(abs(sums - 1) <= _ROUNDING).reshape(-1)
        row = w.reshape(-1, k)[int(np.argmax(bad))]
        raise errors.PlanError(
            f"shares {row.tolist()} are no mixture",
            why="they must not be negative or NaN, and sum to 1",
        )
    if not (n.min(initial=1.0) > 0 and n.max(initial=1.0) < np.inf):
        raise errors.PlanError("samples must be positive and finite")
    least = m.min(initial=1.0)
    if not least >= 0 or (least == 0 and ((m == 0) & (w > 0)).any()):
        raise errors.PlanError("a stratum with a share needs a supply of at least one row")


def logistic(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The real line to (0, 1)."""
    return 0.5 * (1 + np.tanh(0.5 * z))
