"""Least squares where most parameters are linear: those are solved, the others searched.

Variable projection (Golub and Pereyra 1973): for given nonlinear parameters the linear ones have a
closed form, so only the few nonlinear ones go through L-BFGS-B.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

RIDGE = 1e-6  # on standardised columns

_STEP = 1e-30
_AT_BOUND = 1e-4  # of the width in logs
_FACTOR = 2.0  # by which a parameter is moved to see whether the runs mind
_EXACT = 1e-12  # of the spread of the target: a fit this close leaves no noise to compare with


@dataclasses.dataclass(frozen=True)
class Separable:
    """A model design(v) @ linear, for log-parameters v.

    Attributes:
      names: Of the nonlinear parameters, shape (p,).
      bounds: Of the nonlinear parameters, (lo, hi) each.
      design: From complex logs of the nonlinear parameters (p,) to columns (n, q).
      target: Shape (n,).
      linear: Names of the columns, shape (q,).
      positive: Columns whose coefficient must not be negative to mean anything.
    """

    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    design: Callable[[NDArray], NDArray]
    target: NDArray[np.float64]
    linear: tuple[str, ...]
    positive: tuple[str, ...] = ()

    def solve(self, v: NDArray) -> tuple[NDArray, NDArray]:
        """Coefficients (q,) by ridge regression, and residuals (n,); both analytic in `v`."""
        columns = self.design(v)
        size = np.sqrt((columns.real**2).sum(0))
        size = np.where(size > 0, size, 1)
        columns = columns / size
        left = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
        found = np.linalg.solve(left, columns.T @ self.target)
        return found / size, columns @ found - self.target

    def cost(self, v: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Mean squared residual over that of the mean, and its gradient by complex steps."""
        unit = float(((self.target - self.target.mean()) ** 2).sum()) or 1.0
        _, miss = self.solve(v)
        slopes = [self.solve(v + 1j * _STEP * axis)[1] for axis in np.eye(len(v))]
        gradient = [2 * float(miss @ s.imag) / _STEP / unit for s in slopes]
        return float(miss @ miss) / unit, np.array(gradient)


@dataclasses.dataclass(frozen=True)
class Solution:
    """The fitted numbers.

    Attributes:
      parameters: Name to value, nonlinear and linear.
      rmse: Of the target.
      warnings: Which are at a bound, free to move or of the wrong sign, in words.
    """

    parameters: dict[str, float]
    rmse: float
    warnings: tuple[str, ...]


def fit(problem: Separable, starts: NDArray[np.float64]) -> Solution:
    """The best of shape (s, p) starts, given as the parameters themselves."""
    bounds = np.log(problem.bounds)
    found = [
        optimize.minimize(
            problem.cost,
            np.clip(np.log(x), *bounds.T),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-10},
        )
        for x in starts
    ]
    best = min(found, key=lambda r: float(r.fun))
    linear, miss = problem.solve(best.x)
    values = dict(zip(problem.names, np.exp(best.x).tolist(), strict=True))
    values |= dict(zip(problem.linear, linear.tolist(), strict=True))
    said = [
        *_at_bounds(problem, best.x, bounds),
        *_flat(problem, best.x, bounds),
        *_negative(problem, values),
    ]
    return Solution(values, float(np.sqrt(np.mean(miss**2))), tuple(said))


def _at_bounds(problem: Separable, v: NDArray[np.float64], bounds: NDArray) -> list[str]:
    near = _AT_BOUND * (bounds[:, 1] - bounds[:, 0])
    at = (v < bounds[:, 0] + near) | (v > bounds[:, 1] - near)
    return [
        f"{name} is at the end of its range, {np.exp(x):.3g}: the runs do not tell it"
        for name, x, stuck in zip(problem.names, v.tolist(), at, strict=True)
        if stuck
    ]


def _flat(problem: Separable, v: NDArray[np.float64], bounds: NDArray) -> list[str]:
    """Parameters that could be doubled or halved within one standard error of the fit.

    The profile likelihood with the other nonlinear parameters held: what it calls flat is flat.
    """
    least, free = problem.cost(v)[0], max(len(problem.target) - len(v) - len(problem.linear), 1)
    found = []
    for name, axis, (low, high) in zip(problem.names, np.eye(len(v)), bounds, strict=True):
        moved = [np.clip(v + s * np.log(_FACTOR) * axis, low, high) for s in (-1, 1)]
        rise = min(problem.cost(x)[0] - least for x in moved if (x != v).any())
        if rise < max(least / free, _EXACT):
            found.append(f"the runs hardly tell {name}")
    return found


def _negative(problem: Separable, values: dict[str, float]) -> list[str]:
    return [
        f"{p} came out negative: the form is wrong here" for p in problem.positive if values[p] < 0
    ]
