"""One pass over the cost: every row's soft minimum, and what the rows send to each column.

    f_i = -epsilon log sum_j b_j exp((g_j - C_ij) / epsilon)          (the soft c-transform of g)
    Q_ij = b_j exp((f_i + g_j - C_ij) / epsilon),  sum_j Q_ij = 1

(Peyré & Cuturi 2019, §4.4). With row weights a, P = diag(a) Q has row marginals a exactly,
whatever g is; its column marginals are `columns`. Blocks have the dtype of the cost, sums across
blocks are float64. Memory: one block and the results.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs


class Sweep(NamedTuple):
    """What one pass gives.

    Attributes:
      f: Shape (n,), the soft minimum of every row.
      columns: Shape (k, m), sum over the rows of a group of weight_i Q_ij.
      mean: Shape (n,), sum_j Q_ij values_j, or empty where no values were asked for.
      moved: Shape (n,), sum_j Q_ij C_ij, or empty where not asked for.
    """

    f: NDArray[np.float64]
    columns: NDArray[np.float64]
    mean: NDArray[np.float64]
    moved: NDArray[np.float64]


class _Block(NamedTuple):
    """The same for a block of rows of one group."""

    f: NDArray
    columns: NDArray
    mean: NDArray
    moved: NDArray


def sweep(
    cost: costs.Cost,
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    epsilon: float,
    *,
    weights: NDArray[np.float64],
    bounds: NDArray[np.int64] | None = None,
    values: NDArray[np.float64] | None = None,
    moved: bool = False,
) -> Sweep:
    """One pass over all rows of `cost`.

    Args:
      cost: Shape (n, m).
      g: Shape (m,).
      b: Shape (m,), at least one above 0; columns of mass 0 receive nothing.
      epsilon: Above 0.
      weights: Shape (n,), of rows in `columns`.
      bounds: Shape (k + 1,), where the groups of rows begin and end; one group without.
      values: Shape (m,), to be averaged over the columns by Q.
      moved: Also the mean cost of every row.
    """
    n, m = cost.shape
    edges = np.array([0, n]) if bounds is None else bounds
    shift = _shift(g, b, epsilon)
    empty = np.empty(0)
    whole = Sweep(
        np.empty(n),
        np.zeros((len(edges) - 1, m)),
        np.empty(n) if values is not None else empty,
        np.empty(n) if moved else empty,
    )
    for group, part in _parts(edges, costs.block_rows(cost)):
        block = _block(cost, part, shift, epsilon, weights[part], values, moved)
        whole.f[part] = block.f
        whole.columns[group] += block.columns
        if values is not None:
            whole.mean[part] = block.mean
        if moved:
            whole.moved[part] = block.moved
    return whole


def softmin(
    cost: costs.Cost, g: NDArray[np.float64], b: NDArray[np.float64], epsilon: float
) -> NDArray[np.float64]:
    """f of every row of `cost`, shape (n,); a row of mass 0 has one too."""
    return sweep(cost, g, b, epsilon, weights=np.zeros(cost.shape[0])).f


def _shift(g: NDArray, b: NDArray, epsilon: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return g / epsilon + np.log(b)


def _parts(edges: NDArray[np.int64], rows: int) -> list[tuple[int, slice]]:
    parts = []
    for group in range(len(edges) - 1):
        for start in range(int(edges[group]), int(edges[group + 1]), rows):
            parts.append((group, slice(start, min(start + rows, int(edges[group + 1])))))
    return parts


def _block(
    cost: costs.Cost,
    part: slice,
    shift: NDArray[np.float64],
    epsilon: float,
    weights: NDArray[np.float64],
    values: NDArray[np.float64] | None,
    moved: bool,
) -> _Block:
    block = cost.rows(part)
    kind = block.dtype.type
    kept = block.copy() if moved else None
    block *= kind(-1 / epsilon)
    block += shift.astype(kind)
    top = block.max(axis=1, keepdims=True)
    block -= top
    np.exp(block, out=block)
    total = block.sum(axis=1)
    f = -epsilon * (top[:, 0].astype(np.float64) + np.log(total.astype(np.float64)))
    columns = (weights / total).astype(kind) @ block
    empty = np.empty(0)
    mean = block @ values.astype(kind) / total if values is not None else empty
    price = np.einsum("nm,nm->n", block, kept) / total if kept is not None else empty
    return _Block(f, columns, mean, price)
