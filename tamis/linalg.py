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
