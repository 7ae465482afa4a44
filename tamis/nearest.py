"""Nearest neighbour by cosine, the same answer for a row whatever batch it stands in.

A matrix product sums in an order that depends on the shape of the batch, so its last bits, and
with them near-ties, change with batch size. Here the float32 product only proposes: every
candidate within its rounding error of the best is measured again in float64, row by row, and the
winner is chosen from those numbers. The error bound is rigorous, so the answer is exactly that of
a float64 scan.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import NamedTuple, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

# faiss returns this many; a row with more near-ties (copies in `y`) takes the slow exact path.
_CANDIDATES = 4
_ROWS = 2_048
_PAIR_BYTES = 64 << 20

R = TypeVar("R")


class Nearest(NamedTuple):
    """The nearest row of `y` for each row of `x`.

    Attributes:
      neighbour: Shape (n,) int32, row of `y`; ties go to the lowest.
      cosine: Shape (n,) float32, -1..1.
    """

    neighbour: NDArray[np.int32]
    cosine: NDArray[np.float32]


def nearest(x: NDArray[np.float32], y: NDArray[np.float32]) -> Nearest:
    """The row of `y` with the largest cosine, for every row of `x`.

    Time O(n m d), one float32 matrix product; memory O(8192 (m + d)) beside the inputs, whatever
    n. Rows need not have unit norm exactly (float16 embeddings do not); the cosine is true.

    Args:
      x: Shape (n, d).
      y: Shape (m, d), m at least 1.

    Raises:
      ValueError: shapes disagree, or a row is zero or not finite.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(y):
        raise ValueError(f"need x (n, d) and y (m, d) with m > 0, got {x.shape} and {y.shape}")
    exact = unit(y)
    index = faiss.IndexFlatIP(y.shape[1])
    index.add(np.ascontiguousarray(exact, np.float32))
    found = Nearest(np.empty(len(x), np.int32), np.empty(len(x), np.float32))

    def fill(part: slice) -> None:
        found.neighbour[part], found.cosine[part] = _block(unit(x[part]), exact, index)

    for _ in in_blocks(fill, len(x), _ROWS):
        pass
    return found


def in_blocks(work: Callable[[slice], R], n: int, rows: int) -> Iterator[R]:
    """`work` of each block of `rows` rows below `n`, in order, on the threads OpenMP may use.

    Each block is a product on one thread, so its bits depend on neither the machine's cores nor
    the other blocks; blocks, not products, are shared out. Order `rows` so that a block is small:
    a few results wait for the first.
    """
    parts = [slice(i, min(i + rows, n)) for i in range(0, n, rows)]
    threads = min(faiss.omp_get_max_threads(), len(parts)) or 1
    # OpenMP's setting belongs to the thread, so no other worker slows down.
    with futures.ThreadPoolExecutor(
        threads, initializer=faiss.omp_set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(work, parts)


def unit(x: NDArray) -> NDArray[np.float64]:
    """Rows scaled to norm 1, in float64.

    Raises:
      ValueError: a row is zero or not finite.
    """
    wide = x.astype(np.float64)  # a copy, so that einsum casts nothing in chunks of its own
    norm = np.sqrt(row_dot(wide, wide))
    if not np.all((norm > 0) & np.isfinite(norm)):
        bad = int(np.flatnonzero(~((norm > 0) & np.isfinite(norm)))[0])
        raise ValueError(f"row {bad} has norm {norm[bad]}: it has no direction")
    wide /= norm[:, None]
    return wide


def row_dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner product of row i of `a` (n, d) with row i of `b`, independent of the other rows."""
    return np.einsum("nd,nd->n", a, b)


def _block(x: NDArray[np.float64], y: NDArray[np.float64], index: faiss.Index) -> Nearest:
    """The answer for one block of unit rows."""
    count = min(_CANDIDATES, len(y))
    score, column = index.search(np.ascontiguousarray(x, np.float32), count)  # best first
    close = score >= score[:, :1] - _margin(x.shape[1], 2.0**-24)  # (n, count)
    cosine = np.clip(row_dot(x, y[column[:, 0]]), -1.0, 1.0)
    answer = Nearest(column[:, 0].astype(np.int32), cosine.astype(np.float32))
    ties = close.sum(axis=1)
    crowded = (ties == count) & (count < len(y))
    few = np.flatnonzero((ties > 1) & ~crowded)
    row, place = np.nonzero(close[few])
    answer.neighbour[few], answer.cosine[few] = _best(x[few], y, row, column[few[row], place])
    _answer_crowded(np.flatnonzero(crowded), x, y, answer)
    return answer


def _margin(d: int, roundoff: float) -> float:
    """Two products whose true values are equal differ by less than this, however they are summed.

    An inner product of unit rows errs by at most d u (Higham 2002, §3.1), rounding the inputs
    adds 2 u, and both products err.
    """
    return 2.0 * (d + 3) * roundoff * 1.01


def _answer_crowded(
    rows: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], answer: Nearest
) -> None:
    """Rows with more near-ties than faiss returned: propose from every column of `y`."""
    step = max(1, _PAIR_BYTES // (8 * y.size))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        score = x[part] @ y.T
        near = score >= score.max(axis=1, keepdims=True) - _margin(x.shape[1], 2.0**-53)
        row, column = np.nonzero(near)
        best = _best(x[part], y, row, column)
        answer.neighbour[part], answer.cosine[part] = best


def _best(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
) -> Nearest:
    """The best of the candidate pairs of each row; every row has at least one."""
    cosine = np.clip(row_dot(x[row], y[column]), -1.0, 1.0)
    order = np.lexsort((column, -cosine, row))
    first = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
    return Nearest(column[first].astype(np.int32), cosine[first].astype(np.float32))
