"""How the cost of a mixture bends in the target's potential, known from some of its rows.

    H = (diag(c) - sum_r a_r q_r q_r^T) / epsilon,   c = sum_r a_r q_r

is minus the Hessian of sum_r a_r f_r in g (Cuturi & Peyré 2018, §3.3), q_r what row r sends to the
columns. All of it is a mean over rows of the variance of d under q_r, so rows drawn in proportion
to a give every direction's curvature to about the same relative error, also of those in which
there is hardly any: clusters of the target that exchange little mass. With c of all rows in place
of the drawn ones' own it would not be so.
"""

import collections
import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg import blas

from tamis.selectors.transport import costs

# Rows it is made of; with more columns than that the system of the rows is the smaller one.
ROWS = 2_048
# Of a column's own mass: what the diagonal has at least, for columns the drawn rows hardly reach.
_REACHED = 0.25
_LEAST, _MORE = 1e-4, 10.0
_PAIRS, _PARALLEL = 40, 1e-8
_RIDGE = {4: 1e-6, 8: 1e-12}


@dataclasses.dataclass(frozen=True)
class Metric:
    """H + damping diag(c) / epsilon, factorised; without constants, which H does not see.

    Attributes:
      factor: Of the columns' system, or of the rows'.
      diagonal: Shape (m,), the diagonal part, times epsilon.
      root: diag(a)^(1/2) Q of the drawn rows where the rows' system is the smaller, else None.
      epsilon: Of the problem.
      damping: What was needed.
      pairs: Steps and what they changed of the gradient, the latest last: L-BFGS's memory (Liu &
        Nocedal 1989), begun with this metric in place of a multiple of 1.
    """

    factor: NDArray[np.floating]
    diagonal: NDArray[np.float64]
    root: NDArray[np.floating] | None
    epsilon: float
    damping: float
    pairs: collections.deque[tuple[NDArray[np.float64], NDArray[np.float64]]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_PAIRS)
    )

    def learn(self, step: NDArray[np.float64], change: NDArray[np.float64]) -> None:
        """Add a pair, unless it is too short to tell anything."""
        if step @ change > _PARALLEL * np.linalg.norm(step) * np.linalg.norm(change):
            self.pairs.append((step, change))

    def solve(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """H^-1 v, shape (m, r), for columns that sum to 0, with what the pairs tell of it.

        Two loops over the pairs (Nocedal & Wright 2006, Algorithm 7.4), O(pairs m r).
        """
        taken = []
        for step, change in reversed(self.pairs):
            part = (step @ v) / (step @ change)
            taken.append(part)
            v = v - np.outer(change, part)
        d = self._plain(v)
        for (step, change), part in zip(self.pairs, reversed(taken), strict=True):
            d += np.outer(step, part - (change @ d) / (step @ change))
        return d

    def _plain(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        kind, system = self.factor.dtype, (self.factor, True)
        if self.root is None:
            found = linalg.cho_solve(system, v.astype(kind), check_finite=False)
            return self.epsilon * found.astype(np.float64)
        # Woodbury: (D - R^T R)^-1 = D^-1 + D^-1 R^T (1 - R D^-1 R^T)^-1 R D^-1
        plain = (v.T / self.diagonal).T
        inner = linalg.cho_solve(system, self.root @ plain.astype(kind), check_finite=False)
        return self.epsilon * (plain + ((self.root.T @ inner).T / self.diagonal).T)


def metric(
    cost: costs.Cost,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    g: NDArray[np.float64],
    epsilon: float,
    damping: float = 0.0,
) -> Metric:
    """The metric at a potential, with as much damping as the factorisation needs.

    Time O(n m min(n, m)), memory O(n m) where n is less and else O(m^2).

    Args:
      cost: Shape (n, m), of the rows drawn.
      a: Shape (n,), masses they stand for.
      b: Shape (m,).
      g: Shape (m,).
      epsilon: Above 0.
      damping: To begin with.
    """
    n, m = cost.shape
    root = np.empty((n, m), cost.dtype) if n < m else None
    squares = np.zeros((m, m), cost.dtype, order="F") if root is None else None
    columns, step = np.zeros(m), max(256, costs.block_rows(cost))
    with np.errstate(divide="ignore"):
        shift = g / epsilon + np.log(b)
    for start in range(0, n, step):
        part = slice(start, start + step)
        block = _conditional(cost.rows(part, -1 / epsilon), shift)
        columns += a[part].astype(block.dtype) @ block
        block *= np.sqrt(a[part, None]).astype(block.dtype)
        if root is not None:
            root[part] = block
        else:
            syrk = blas.ssyrk if block.dtype == np.float32 else blas.dsyrk
            squares = syrk(1.0, block.T, 1.0, squares, lower=1, overwrite_c=1)
    ridge = _RIDGE[cost.dtype.itemsize]
    plain = np.maximum(columns, _REACHED * b)
    plain[b <= 0] = plain.mean()
    while True:
        diagonal = plain * (1 + damping + ridge)
        try:
            return Metric(_factor(squares, root, diagonal), diagonal, root, epsilon, damping)
        except linalg.LinAlgError:
            damping = max(_LEAST, damping * _MORE)


def _conditional(block: NDArray[np.floating], shift: NDArray[np.float64]) -> NDArray[np.floating]:
    """What each row sends to the columns, rows of sum 1, in the block itself."""
    block += shift.astype(block.dtype)
    block -= block.max(axis=1, keepdims=True)
    np.exp(block, out=block)
    block /= block.sum(axis=1, keepdims=True)
    return block


def _factor(
    squares: NDArray[np.floating] | None,
    root: NDArray[np.floating] | None,
    diagonal: NDArray[np.float64],
) -> NDArray[np.floating]:
    """Of the columns' system, or of the rows' where their root is given."""
    if squares is not None:
        matrix = np.negative(squares)
        matrix += matrix.dtype.type(diagonal.mean() / len(diagonal))  # closes the constants
        matrix[np.diag_indices(len(diagonal))] += diagonal.astype(matrix.dtype)
    else:
        assert root is not None  # noqa: S101 -- one of the two is
        matrix = np.negative((root / diagonal.astype(root.dtype)) @ root.T)
        matrix[np.diag_indices(len(matrix))] += 1
    return np.asarray(
        linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)[0]
    )
