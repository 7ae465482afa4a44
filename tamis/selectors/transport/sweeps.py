"""One pass over the cost: every row's soft minimum, and what the rows send to each column.

    f_i = -epsilon log sum_j b_j exp((g_j - C_ij) / epsilon)          (the soft c-transform of g)
    Q_ij = b_j exp((f_i + g_j - C_ij) / epsilon),  sum_j Q_ij = 1

(Peyré & Cuturi 2019, §4.4). With row weights a, P = diag(a) Q has row marginals a exactly,
whatever g is; its column marginals are `columns`. Blocks have the dtype of the cost, sums across
blocks are float64. Memory: some blocks and the results. About 1.3 ns an entry in float32, of which
the exponential is a third; the same bytes on any number of threads.
"""

import os
from concurrent import futures
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs

# Entries from which a second thread pays, and blocks a thread takes at a time.
_THREADED, _RUN = 1 << 22, 32


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


class Ask(NamedTuple):
    """What a pass is asked for.

    Attributes:
      cost: Shape (n, m).
      shift: Shape (m,), g / epsilon + log b, -inf where b is 0.
      epsilon: Above 0.
      weights: Shape (n,), of the rows in `columns`.
      values: Shape (m,), to be averaged by Q, or None.
      moved: Whether to average the cost by Q.
    """

    cost: costs.Cost
    shift: NDArray[np.float64]
    epsilon: float
    weights: NDArray[np.float64]
    values: NDArray[np.float64] | None
    moved: bool


def sweep(
    cost: costs.Cost,
    g: NDArray[np.float64],
    *,
    b: NDArray[np.float64],
    epsilon: float,
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
    with np.errstate(divide="ignore"):
        shift = g / epsilon + np.log(b)
    ask = Ask(cost, shift, epsilon, weights, values, moved)
    edges = np.array([0, cost.shape[0]]) if bounds is None else bounds
    runs = _runs(edges, costs.block_rows(cost))
    columns = np.zeros((len(edges) - 1, cost.shape[1]))
    done = []
    for (group, _, _), part in zip(runs, _each(runs, ask), strict=True):
        columns[group] += part.columns[0]
        done.append(part)
    f, mean, price = (np.concatenate([d[i] for d in done]) for i in (0, 2, 3))
    return Sweep(f, columns, mean, price)


def softmin(
    cost: costs.Cost, g: NDArray[np.float64], b: NDArray[np.float64], epsilon: float
) -> NDArray[np.float64]:
    """The soft c-transform of g, shape (n,); a row of mass 0 has one too."""
    return sweep(cost, g, b=b, epsilon=epsilon, weights=np.zeros(cost.shape[0])).f


def _runs(edges: NDArray[np.int64], rows: int) -> list[tuple[int, int, int]]:
    """Group, first row and end of what one thread does at a time; never across groups."""
    spans = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    step = rows * _RUN
    return [
        (group, start, min(start + step, end))
        for group, (first, end) in enumerate(spans)
        for start in range(first, end, step)
    ]


def _each(runs: list[tuple[int, int, int]], ask: Ask) -> list[Sweep]:
    """Every run's part, in order."""
    if getattr(ask.cost, "device", None):
        from tamis.selectors.transport import tensors

        return [tensors.run(ask, start, end) for _, start, end in runs]
    workers = min(os.cpu_count() or 1, len(runs))
    # A product has threads of its own.
    if workers < 2 or costs.computed(ask.cost) or np.prod(ask.cost.shape) < _THREADED:
        return [_run(ask, start, end) for _, start, end in runs]
    with futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda run: _run(ask, run[1], run[2]), runs))


def _run(ask: Ask, start: int, end: int) -> Sweep:
    """Rows start to end, block by block."""
    step, m = costs.block_rows(ask.cost), ask.cost.shape[1]
    blocks, columns = [], np.zeros((1, m))
    for first in range(start, end, step):
        block = _block(ask, slice(first, min(first + step, end)))
        columns += block.columns
        blocks.append(block)
    f, mean, moved = (np.concatenate([b[i] for b in blocks]) for i in (0, 2, 3))
    return Sweep(f, columns, mean, moved)


def _block(ask: Ask, part: slice) -> Sweep:
    block = ask.cost.rows(part, -1 / ask.epsilon)
    kind = block.dtype.type
    price = block * kind(-ask.epsilon) if ask.moved else None
    block += ask.shift.astype(kind)
    top = block.max(axis=1)
    block -= top[:, None]
    np.exp(block, out=block)
    total = np.einsum("nm->n", block)  # three times as fast as its own sum
    f = -ask.epsilon * (top.astype(np.float64) + np.log(total.astype(np.float64)))
    # Not a BLAS product: one thread, and no time lost to its locks between many small blocks.
    columns = np.einsum("n,nm->m", (ask.weights[part] / total).astype(kind), block)
    empty = np.empty(0)
    mean = empty if ask.values is None else np.einsum("nm,m->n", block, ask.values.astype(kind))
    moved = empty if price is None else np.einsum("nm,nm->n", block, price)
    wide = total.astype(np.float64)
    return Sweep(
        f, columns[None], mean / wide if mean.size else mean, moved / wide if moved.size else moved
    )
