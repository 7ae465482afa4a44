"""Dense kernels whose result for a row does not depend on the rows beside it."""

import numpy as np
import scipy.sparse
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
