"""Exact transport, by whichever well-kept library is fastest for the problem at hand."""

import importlib.util
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

from tamis import errors
from tamis.selectors.transport import costs, masses
from tamis.selectors.transport.newton import sinkhorn_newton

_ROUNDS, _TINY = 200, 1e-10
# Where HiGHS begins: cells within some epsilons of those that a small epsilon uses.
_NEAR, _CELLS = 1e-3, 8
_BLOCK = 1 << 18


class Exact(NamedTuple):
    """The solution of min_P <C, P> with marginals a and b.

    Attributes:
      f: Shape (n,), dual potentials: f_i + g_j <= C_ij, with equality where P_ij > 0.
      g: Shape (m,).
      value: <C, P> = <a, f> + <b, g>.
      coupling: Shape (n, m), sparse: at most n + m - 1 entries.
      method: Which library solved it.
    """

    f: NDArray[np.float64]
    g: NDArray[np.float64]
    value: float
    coupling: sparse.coo_array
    method: str


def exact(a: ArrayLike, b: ArrayLike, cost: ArrayLike | costs.Cost) -> Exact:
    """Unregularised transport.

    Equal masses on equally many rows go to scipy's assignment (Crouse 2016), which takes
    0.45 to 0.99 of the time of POT's network simplex (Bonneel et al. 2011) from 500 to 4,000 rows,
    duals included; all other problems to that simplex, where POT is installed (`tamis[transport]`).
    Without it HiGHS solves them, on a few cells at first, those near an entropic coupling, and on
    more until no reduced cost is negative, 15 to 60 times slower (benchmarks/README.md). Time about
    O(n^2.5), memory O(n m) float64; for 10,000 rows and more see `transport.approximate`.

    Args:
      a: Shape (n,), masses; zeros are fine.
      b: Shape (m,), of the same total.
      cost: Shape (n, m), or `transport.points`.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      RunnerError: the library gave up.
    """
    known = costs.of(cost)
    left, right = masses.balanced(a, b, known.shape)
    rows, columns = np.flatnonzero(left), np.flatnonzero(right)
    every = whole(known)
    matrix = (
        every
        if len(rows) == len(left) and len(columns) == len(right)
        else every[np.ix_(rows, columns)]
    )
    coupling, g, method = _solved(left[rows], right[columns], matrix)
    f = costs.transform(costs.Dense(matrix), g)  # exact, where a library leaves rounding
    value = float(matrix[coupling.row, coupling.col] @ coupling.data)
    coupling = sparse.coo_array(
        (coupling.data, (rows[coupling.row], columns[coupling.col])), shape=known.shape
    )
    return Exact(*_everywhere(every, f, g, rows, columns), value, coupling, method)


def equal(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether transport is an assignment."""
    return len(a) == len(b) and bool(np.ptp(a) <= 1e-12 * a[0] and np.ptp(b) <= 1e-12 * b[0])


def whole(cost: costs.Cost) -> NDArray[np.float64]:
    """All of it, not copied where it is there already: the libraries do not write to it."""
    matrix = cost.matrix if isinstance(cost, costs.Dense) else cost.rows(slice(None))
    return matrix.astype(np.float64, copy=False)


def _solved(
    a: NDArray[np.float64], b: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[sparse.coo_array, NDArray[np.float64], str]:
    """The coupling, g, and who found them."""
    if equal(a, b):
        return _assignment(a, b, cost)
    if importlib.util.find_spec("ot"):
        return _network(a, b, cost)
    return _generated(a, b, cost)


def _everywhere(
    cost: NDArray[np.float64],
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potentials of rows and columns without mass too: as large as the others allow."""
    if len(rows) < len(cost):
        every = (cost[:, columns] - g).min(axis=1)
        every[rows] = f
        f = every
    if len(columns) < cost.shape[1]:
        every = (cost - f[:, None]).min(axis=0)
        every[columns] = g
        g = every
    return f, g


def _network(
    a: NDArray[np.float64], b: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[sparse.coo_array, NDArray[np.float64], str]:
    import ot

    coupling, log = ot.emd(a, b, cost, numItermax=100_000_000, log=True)
    if log["warning"]:
        raise errors.RunnerError(
            "POT's network simplex gave up",
            why=str(log["warning"]),
            remedy="report the problem; transport.approximate has a certificate of its own",
        )
    row, column = np.divmod(np.flatnonzero(coupling), coupling.shape[1])
    kept = sparse.coo_array((coupling[row, column], (row, column)), shape=coupling.shape)
    return kept, np.asarray(log["v"], np.float64), "ot.emd"


def _assignment(
    a: NDArray[np.float64], _: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[sparse.coo_array, NDArray[np.float64], str]:
    row, column = optimize.linear_sum_assignment(cost)
    coupling = sparse.coo_array((a[row], (row, column)), shape=cost.shape)
    return coupling, _shortest(cost, column), "scipy.optimize.linear_sum_assignment"


def _shortest(cost: NDArray[np.float64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """The g of an optimal assignment: shortest paths from no column to each (Bellman-Ford).

    Along row i, column j costs C_ij - C_i,sigma(i) more than the column it has. There is no
    negative circle at an optimum, so it ends; only columns that changed are looked at again,
    which at 500 to 4,000 rows makes 9 to 14 passes over the cost.
    """
    n = len(cost)
    row = np.argsort(column)  # of column j: the row that has it
    held, g, changed = cost[row, np.arange(n)], np.zeros(n), np.arange(n)
    blur, step = 1e-15 * float(np.abs(cost).max()), max(1, _BLOCK // n)
    while len(changed):
        shorter = g.copy()
        for start in range(0, len(changed), step):
            j = changed[start : start + step]
            reached = cost[row[j]] + (g[j] - held[j])[:, None]
            np.minimum(shorter, reached.min(axis=0), out=shorter)
        changed, g = np.flatnonzero(shorter < g - blur), shorter
    return g


def _generated(
    a: NDArray[np.float64], b: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[sparse.coo_array, NDArray[np.float64], str]:
    """HiGHS on the columns that matter (Dantzig & Wolfe 1960)."""
    n, m = cost.shape
    # HiGHS's tolerances are absolute: masses of about 1 and costs up to 1.
    mass, price = a.sum() / max(n, m), max(float(np.abs(cost).max()), 1e-300)
    near = sinkhorn_newton(a, b, cost, _NEAR * price, tolerance=_NEAR)
    active = _corner(a, b) | (cost - near.f[:, None] - near.g < _CELLS * _NEAR * price)
    for _ in range(_ROUNDS):
        i, j = np.nonzero(active)
        ends = np.concatenate([i, n + j])
        ones = np.ones(len(ends))
        meets = sparse.csr_array((ones, (ends, np.tile(np.arange(len(i)), 2))), (n + m, len(i)))
        ends = np.concatenate([a, b]) / mass
        solved = optimize.linprog(cost[i, j] / price, A_eq=meets, b_eq=ends, method="highs")
        if solved.status != 0:
            raise errors.RunnerError(f"HiGHS gave up: {solved.message}", remedy="install POT")
        f, g = np.split(solved.eqlin.marginals * price, [n])
        reduced = cost - f[:, None] - g
        wrong = (reduced < -_TINY * price) & ~active
        if not wrong.any():
            break
        active |= wrong & (reduced <= np.minimum(reduced.min(axis=1)[:, None] / 2, 0))
    some = solved.x > 0
    return (
        sparse.coo_array((solved.x[some] * mass, (i[some], j[some])), shape=cost.shape),
        g,
        "HiGHS",
    )


def _corner(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Cells of the north-west corner rule: the problem on them has a solution."""
    levels = np.union1d(np.cumsum(a), np.cumsum(b))
    cells = np.zeros((len(a), len(b)), bool)
    i = np.minimum(np.searchsorted(np.cumsum(a), levels), len(a) - 1)
    j = np.minimum(np.searchsorted(np.cumsum(b), levels), len(b) - 1)
    cells[i, j] = True
    return cells
