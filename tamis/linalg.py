"""Dense kernels whose result for a row does not depend on the rows beside it."""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray


def exact_product(x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """`x @ y.T`, the same for a row of `x` whatever rows stand beside it, at the speed of BLAS.

    A product of floats sums in an order that depends on the shape of the batch; `products` of rows
    in fixed point have no order. It moves an entry by about 2^-25 |x| max |y|. Twice the time of a
    float32 product; no more memory than `x`, `y` and the answer in float64.

    Args:
      x: Shape (n, d), rows of norm at most 2.
      y: Shape (m, d), of any size: it is scaled by a power of two.

    Raises:
      ValueError: a row of `x` is longer, or a number is not finite.

    >>> exact_product(np.array([[0.5, 0.25]]), np.array([[4.0, 8.0]]))
    array([[4.]])
    """
    a = fixed_point(x)
    if not np.sqrt(squares(a).max(initial=0)) <= 2.001:  # not `>`, which NaN would pass
        bad = int(np.flatnonzero(~(np.sqrt(squares(a)) <= 2.001))[0])
        raise ValueError(f"row {bad} has norm {np.sqrt(squares(a[bad : bad + 1]))[0]:.4g}, above 2")
    longest = float(np.sqrt(np.einsum("nd,nd->n", y, y, dtype=np.float64).max(initial=0)))
    if not np.isfinite(longest):
        raise ValueError("a row of the right-hand side is not finite")
    scale = 2.0 ** np.ceil(np.log2(max(longest, 2.0**-60))) / 2
    return products(a, fixed_point(y / scale)) * scale


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
    found = x @ y.T
    found *= 2.0 ** (-2 * _BITS)  # in place: blocks are large
    return found


def squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared norms of rows in fixed point, exact; shape (n,)."""
    return np.einsum("nd,nd->n", x, x) * 2.0 ** (-2 * _BITS)


def square_distances(
    x: NDArray[np.float64], square: NDArray[np.float64], rows: int | slice
) -> NDArray[np.float64]:
    """Exact squared distances of one row in fixed point, or of a slice of them, to all.

    Args:
      x: Shape (n, d), of `fixed_point`.
      square: `squares` of it, shape (n,).
      rows: Which; shape () or (m,).

    Returns:
      Shape (n,) or (m, n); 0 for copies.
    """
    return square[rows, None] + square - 2 * products(x[rows], x)


def product(x: NDArray, w: NDArray) -> NDArray[np.float64]:
    """The matrix product x w, each row summed over d in order, in float64.

    BLAS chooses its order of summation by the shape of the batch. A sparse-dense product goes
    through the entries of a row one by one, so a row's bytes depend on that row alone. Time
    O(n d m), several times that of BLAS; memory O(n (d + m)).

    Args:
      x: Shape (n, d).
      w: Shape (d, m).

    Returns:
      Shape (n, m).
    """
    n, d = x.shape
    values = np.ascontiguousarray(x, np.float64).reshape(-1)
    columns = np.tile(np.arange(d, dtype=np.int32), n)
    rows = scipy.sparse.csr_matrix((values, columns, np.arange(n + 1) * d), (n, d))
    return rows @ np.ascontiguousarray(w, np.float64)


def softmax(z: NDArray) -> NDArray[np.float64]:
    """Exponentials over their sum, along the last axis: shape of `z`, in float64."""
    e = np.exp(z - z.max(-1, keepdims=True, initial=-np.inf), dtype=np.float64)
    return e / e.sum(-1, keepdims=True)
