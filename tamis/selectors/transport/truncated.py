"""A transport problem whose dear entries are all made equally cheap, so that few need be kept.

From potentials f0, g0 with reduced costs r_ij = C_ij - f0_i - g0_j >= 0 and a threshold tau,

    C~_ij = f0_i + g0_j + min(r_ij, tau) <= C_ij:

sparse where r < tau, and of rank one in the kernel elsewhere. Whatever potentials are feasible for
C~ are feasible for C, so its dual values bound OT(C) from below with no further pass, and it always
has a solution, which a sparse problem need not have. Potentials here are relative to f0 and g0.
(Sparse kernels: Schmitzer 2019, §3.3; the background of rank one, and the bound, are ours.)
"""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tamis.selectors.transport import costs, scaling


@dataclasses.dataclass(frozen=True)
class Truncated(scaling.Problem):
    """The problem with cost min(r, threshold).

    Attributes:
      reduced: Shape (n, m), r where it is below the threshold; every row has an entry.
      threshold: tau.
      f0: Shape (n,).
      g0: Shape (m,).
    """

    # Only a rough solution is wanted, and the matrix is sparse: conjugate gradients.
    direct: ClassVar[int] = 0

    reduced: sparse.csr_array
    threshold: float
    f0: NDArray[np.float64]
    g0: NDArray[np.float64]

    def at(self, g: NDArray[np.float64], epsilon: float, before: int = 0) -> scaling.State:
        """The state at g, relative to g0: O(entries kept)."""
        indices, starts = self.reduced.indices, self.reduced.indptr[:-1]
        shift = self._shift(g, epsilon)
        high = shift.max()
        ground = high + np.log(np.exp(shift - high).sum()) - self.threshold / epsilon
        logits = shift[indices] - self.reduced.data / epsilon
        top = np.maximum(np.maximum.reduceat(logits, starts), ground)
        counts = np.diff(self.reduced.indptr)
        weight = np.exp(logits - np.repeat(top, counts)) * self._excess(epsilon)
        flat = np.exp(ground - top)
        total = np.add.reduceat(weight, starts) + flat
        rows = self.a / total
        inside = sparse.csr_array((weight, indices, self.reduced.indptr), self.reduced.shape)
        spread = np.exp(shift - high)
        columns = inside.T @ rows + spread / spread.sum() * (rows @ flat)
        return scaling.State(g, -epsilon * (top + np.log(total)), columns, before + 1)

    def dear(self, state: scaling.State, epsilon: float) -> NDArray[np.float64]:
        """The c-transform of f on columns, hard: epsilon is nothing to a column that is lost."""
        turned = self.reduced.tocsc()
        rest = self.threshold - state.f.max()
        slack = turned.data - state.f[turned.indices]
        g = np.full(len(self.b), rest)
        np.minimum.at(g, np.repeat(np.arange(len(g)), np.diff(turned.indptr)), slack)
        return g

    def root(
        self, state: scaling.State, epsilon: float, dropped: float, memory: int
    ) -> sparse.csr_array | None:
        """diag(a)^(-1/2) P where entries are kept, without the background."""
        kept = self.coupling(state, epsilon)
        counts = np.diff(kept.indptr)
        kept.data *= np.repeat(1 / np.sqrt(np.where(self.a > 0, self.a, 1)), counts)
        return kept

    def coupling(self, state: scaling.State, epsilon: float) -> sparse.csr_array:
        """P where entries are kept."""
        reduced, counts = self.reduced, np.diff(self.reduced.indptr)
        logits = (np.repeat(state.f, counts) - reduced.data) / epsilon
        mass = np.exp(logits + self._shift(state.g, epsilon)[reduced.indices])
        mass *= np.repeat(self.a, counts)
        return sparse.csr_array((mass, reduced.indices, reduced.indptr), reduced.shape)

    def lower(
        self, g: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """A lower bound of OT(C), and its feasible potentials: g with its hard c-transform."""
        slack = self.reduced.data - g[self.reduced.indices]
        f = np.minimum.reduceat(slack, self.reduced.indptr[:-1])
        f = self.f0 + np.minimum(f, self.threshold - g.max())
        return float(self.a @ f + self.b @ (self.g0 + g)), f, self.g0 + g

    def _shift(self, g: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            return g / epsilon + np.log(self.b)

    def _excess(self, epsilon: float) -> NDArray[np.float64]:
        """What an entry has above the background."""
        return -np.expm1((self.reduced.data - self.threshold) / epsilon)


def truncated(problem: scaling.Problem, g: NDArray[np.float64], kept: int) -> Truncated:
    """The truncated problem around g, with about `kept` entries a row: one pass.

    Memory 12 bytes an entry kept, and a block. The threshold is set from every hundredth row.
    """
    cost, step = problem.cost, costs.block_rows(problem.cost)
    n, m = cost.shape
    threshold = _threshold(cost, g, kept)
    narrow = g.astype(cost.dtype)
    f0, parts = np.empty(n), []
    for start in range(0, n, step):
        block = cost.rows(slice(start, start + step))
        block -= narrow
        every, best = np.arange(len(block)), block.argmin(axis=1)
        least = block[every, best]
        f0[start : start + step] = least
        block -= least[:, None]
        near = block < threshold
        near[every, best] = True
        row, column = np.nonzero(near)
        parts.append((row + start, column.astype(np.int32), block[row, column].astype(float)))
    row, column, value = (np.concatenate([p[i] for p in parts]) for i in range(3))
    pointer = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    reduced = sparse.csr_array((value, column, pointer.astype(np.int32)), (n, m))
    return Truncated(problem.a, problem.b, cost, reduced, threshold, f0, g)


def _threshold(cost: costs.Cost, g: NDArray[np.float64], kept: int) -> float:
    """The median over some rows of the reduced cost that `kept` entries are below."""
    n, m = cost.shape
    some = cost.take(np.arange(0, n, max(1, n // 256))).rows(slice(None)) - g.astype(cost.dtype)
    some -= some.min(axis=1, keepdims=True)
    rank = min(kept, m - 1)
    return float(np.median(np.partition(some, rank, axis=1)[:, rank]))
