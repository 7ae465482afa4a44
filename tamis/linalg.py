"""Dense kernels whose result for a row does not depend on the rows beside it."""

import numpy as np
from numpy.typing import NDArray


def effective_dimension(x: NDArray) -> float:
    """Participation ratio of the spread of rows (n, d): from 1 to d, for spread alike all ways.

    (sum of eigenvalues)^2 / sum of squared eigenvalues of the covariance (Gao et al. 2017, A
    theory of multineuronal dimensionality). Time O(n d^2), memory O(d^2).

    >>> effective_dimension(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
    2.0
    """
    centred = np.asarray(x, np.float64) - np.mean(x, axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(centred)
    square = float(np.sum(covariance**2))
    return float(np.trace(covariance)) ** 2 / square if square > 0 else 1.0


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
