"""Least squares where most parameters are linear: those are solved, the others searched.

Variable projection (Golub and Pereyra 1973): for given nonlinear parameters the linear ones have a
closed form, so only the few nonlinear ones go through L-BFGS-B.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from tamis import seeding
from tamis.selectors.laws import runs

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
      values: From the numbers above, by name, to the law's own parameters.
    """

    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    design: Callable[[NDArray], NDArray]
    target: NDArray[np.float64]
    linear: tuple[str, ...]
    positive: tuple[str, ...] = ()
    values: Callable[[dict[str, float]], dict[str, float]] = dict

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

    def descended(self, start: NDArray[np.float64], steps: int) -> optimize.OptimizeResult:
        """L-BFGS-B from logs of the nonlinear parameters, shape (p,)."""
        return optimize.minimize(
            self.cost,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=np.log(self.bounds),
            options={"maxiter": steps, "ftol": 1e-15, "gtol": 1e-10},
        )

    def named(self, v: NDArray[np.float64]) -> dict[str, float]:
        """The nonlinear parameters and the coefficients that go with them."""
        numbers = zip(self.linear, self.solve(v)[0].tolist(), strict=True)
        return dict(zip(self.names, np.exp(v).tolist(), strict=True)) | dict(numbers)


@dataclasses.dataclass(frozen=True)
class Solution:
    """The fitted numbers.

    Attributes:
      parameters: Of the law, name to value.
      interval: Name to (lo, hi), 90 %; empty without resamples, or where every run is needed.
      rmse: Of the target.
      warnings: Which are at a bound, free to move or of the wrong sign, in words.
    """

    parameters: dict[str, float]
    interval: dict[str, tuple[float, float]]
    rmse: float
    warnings: tuple[str, ...]


def fit(
    problem: Separable, starts: NDArray[np.float64], *, resamples: int = 0, seed: int = 0
) -> Solution:
    """The best of shape (s, p) starts, given as the parameters themselves."""
    bounds = np.log(problem.bounds)
    found = [problem.descended(np.clip(np.log(x), *bounds.T), 500) for x in starts]
    best = min(found, key=lambda r: float(r.fun)).x
    miss, numbers = problem.solve(best)[1], problem.named(best)
    said = [
        *_at_bounds(problem, best, bounds),
        *_flat(problem, best, bounds),
        *_negative(problem, numbers),
    ]
    ends: dict[str, tuple[float, float]] = {}
    if resamples and _freedom(problem) < 1:
        said.append("as many parameters as runs: no run is left to tell how sure they are")
    elif resamples:
        ends = _bootstrap(problem, best, resamples, seed)
    rmse = float(np.sqrt(np.mean(miss**2)))
    return Solution(problem.values(numbers), ends, rmse, tuple(said))


def _freedom(problem: Separable) -> int:
    return len(problem.target) - len(problem.names) - len(problem.linear)


def _bootstrap(
    problem: Separable, v: NDArray[np.float64], resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Misses drawn again with replacement and put on what was fitted, refitted from there.

    The design was chosen, not drawn: with runs resampled instead a share could be left without any
    (Efron and Tibshirani 1993, An introduction to the bootstrap, section 9.4).
    """
    rng = seeding.generator(seed, "bootstrap", *problem.names)
    miss = problem.solve(v)[1]
    exact = problem.target + miss
    spread = (miss - miss.mean()) * np.sqrt(len(miss) / _freedom(problem))
    found = []
    for _ in range(resamples):
        again = dataclasses.replace(problem, target=exact - rng.choice(spread, len(spread)))
        found.append(problem.values(again.named(again.descended(v, 100).x)))
    return runs.ends(tuple(found[0]), [list(each.values()) for each in found])


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
    least, free = problem.cost(v)[0], max(_freedom(problem), 1)
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
