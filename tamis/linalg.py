"""Dense kernels whose result for a row does not depend on the rows beside it."""

import numpy as np
from numpy.typing import NDArray


def unit(x: NDArray) -> NDArray[np.float32]:
    """Rows over their Euclidean norms.

    Args:
      x: Shape (n, d), finite, no zero rows.

    Returns:
      Shape (n, d) float32. Norms are summed in float64, row by row, so that a row's bytes do not
      depend on its batch.
    """
    norm = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))
    return (x / norm[:, None]).astype(np.float32)


_BITS = 25


def fixed_point(x: NDArray) -> NDArray[np.float64]:
    """Rows of norm at most 2 in multiples of 2^-25, as integers, for `products`.

    Exact for float16 numbers; else off by at most 2^-26 a component.
    """
    return np.rint(np.asarray(x, np.float64) * 2.0**_BITS)


def products(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products of rows in fixed point: exact, so the same bytes on any number of threads.

    By Cauchy and Schwarz every partial sum is an integer of at most 2^52, which a float64 holds:
    nothing is rounded, and neither the order of summation nor the shape of a block can matter.

    Args:
      x: Shape (n, d), of `fixed_point`.
      y: Shape (m, d), likewise; or (d,).

    Returns:
      Shape (n, m), or (n,). One float64 matrix product.
    """
    return (x @ y.T) * 2.0 ** (-2 * _BITS)


def squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared norms of rows in fixed point, exact; shape (n,)."""
    return np.einsum("nd,nd->n", x, x) * 2.0 ** (-2 * _BITS)
