"""What every law offers, and the shapes they agree on."""

import dataclasses
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_


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
    weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The three arguments of `predict` as float64 of shapes (..., k), (..., 1) and (..., k)."""
    w = np.asarray(weights, np.float64)
    n = np.asarray(samples, np.float64)[..., None]
    m = np.asarray(supply, np.float64)
    if w.shape == m.shape and n.shape[:-1] == w.shape[:-1]:
        return w, n, m
    shape = np.broadcast_shapes(w.shape, n.shape, m.shape)
    return (
        np.broadcast_to(w, shape),
        np.broadcast_to(n, (*shape[:-1], 1)),
        np.broadcast_to(m, shape),
    )


def logistic(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The real line to (0, 1)."""
    return 0.5 * (1 + np.tanh(0.5 * z))
