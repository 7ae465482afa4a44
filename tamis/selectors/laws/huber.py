"""Fitting of language-model laws: a sum of Huber losses on log loss, from many starts.

Hoffmann et al. (2022), approach 3: min sum_i Huber_delta(log L_hat_i - log L_i), delta = 1e-3. It
is a sum and not a mean, or L-BFGS stops early (Besiroglu et al. 2024 on the published constants).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from tamis import seeding
from tamis.selectors.laws import runs as runs_
from tamis.selectors.laws.runs import Runs

DELTA = 1e-3  # Hoffmann et al. (2022), approach 3

_NOISE = 0.01  # of log loss: what one run counts for against a prior
_COARSE = (0.1, 0.01)  # deltas on the way down to DELTA: smooth first, then robust
_FOLLOWED = 8  # starts that are followed at all
_KEPT = 3  # and to the end
_STEP = 1e-30  # of the complex step, which has no cancellation
_IDLE = 0.9  # share of the prior's width left: the runs said next to nothing
_WIDE = 1.0  # standard deviation of a log parameter, without a prior

# A law's log loss, from the vector (each coordinate of a shape that broadcasts with (n,)) and runs.
LogLoss = Callable[[NDArray, Runs], NDArray]


@dataclasses.dataclass(frozen=True)
class Problem:
    """What to fit.

    Attributes:
      names: Of the coordinates, shape (p,).
      log_loss: Analytic in each coordinate, for it is called with complex vectors.
      runs: To fit to.
      mean: Shape (p,), of the normal prior.
      scale: Shape (p,), its standard deviation; infinity for none.
      values: The parameters themselves, increasing in each coordinate.
    """

    names: tuple[str, ...]
    log_loss: LogLoss
    runs: Runs
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    values: Callable[[NDArray[np.float64]], NDArray[np.float64]] = np.exp

    def residuals(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted minus measured log loss, shape (n,)."""
        with np.errstate(all="ignore"):
            found = self.log_loss(vector[:, None], self.runs)
        return np.nan_to_num(found - np.log(self.runs.loss), nan=9, posinf=9, neginf=-9).reshape(-1)

    def jacobian(
        self, vector: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Residuals (n,) and their derivatives (p, n), all complex steps in one call."""
        stepped = vector[:, None] + 1j * _STEP * np.eye(len(vector))  # (p, steps)
        with np.errstate(all="ignore"):
            found = self.log_loss(stepped[:, :, None], self.runs)
        found = np.broadcast_to(found, (len(vector), len(self.runs)))
        slopes = np.nan_to_num(found.imag / _STEP, nan=0, posinf=0, neginf=0)
        miss = found[0].real - np.log(self.runs.loss)
        return np.nan_to_num(miss, nan=9, posinf=9, neginf=-9), slopes


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fitted language-model law.

    Attributes:
      law: With the best parameters.
      interval: Name of each parameter to (lo, hi), 90 %, by bootstrap over runs; empty without
        resamples.
      warnings: What the runs could not tell, in words.
      parameters: Name of each parameter to its value.
      objective: Sum of Huber losses.
      rmse: Root mean squared residual of log loss.
    """

    law: Any
    interval: dict[str, tuple[float, float]]
    warnings: tuple[str, ...]
    parameters: dict[str, float]
    objective: float
    rmse: float


def huber(residuals: NDArray[np.float64], delta: float = DELTA) -> NDArray[np.float64]:
    """Huber (1964): quadratic within delta, linear beyond."""
    size = abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def solve(problem: Problem, starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best vector from shape (s, p) starts.

    The nearest starts are followed with a wide delta, the best few with narrower ones; delta =
    1e-3 from afar is all corners.
    """
    first = [float(np.abs(problem.residuals(x)).sum()) for x in starts]
    near = [_descend(problem, starts[i], _COARSE[0], 80) for i in np.argsort(first)[:_FOLLOWED]]
    near = sorted(near, key=lambda found: found[0])[:_KEPT]
    near = [_descend(problem, x, _COARSE[1], 200) for _, x in near]
    near = [_polish(problem, x) for _, x in near]
    return min(near, key=lambda found: found[0])[1]


def summary(
    problem: Problem, vector: NDArray[np.float64], law: object, *, resamples: int, seed: int = 0
) -> Fit:
    """Parameters, their intervals and what stayed unknown."""
    runs = problem.runs
    miss = problem.residuals(vector)
    ends = _bootstrap(problem, vector, resamples, seed) if resamples else {}
    values = problem.values(vector).tolist()
    return Fit(
        law=law,
        interval=ends,
        warnings=(*runs.warnings, *_idle(problem, vector)),
        parameters=dict(zip(problem.names, values, strict=True)),
        objective=float(runs.count @ huber(miss)),
        rmse=float(np.sqrt(np.average(miss**2, weights=runs.count))),
    )


def _descend(
    problem: Problem, start: NDArray[np.float64], delta: float, steps: int
) -> tuple[float, NDArray[np.float64]]:
    """L-BFGS on the sum of Huber losses over delta * _NOISE, plus the prior."""
    count, unit = problem.runs.count, delta * _NOISE

    def cost(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        miss, slopes = problem.jacobian(vector)
        pull = (vector - problem.mean) / problem.scale
        value = count @ huber(miss, delta) / unit + 0.5 * pull @ pull
        slope = slopes @ (count * np.clip(miss, -delta, delta)) / unit + pull / problem.scale
        return float(value), slope

    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-12, "gtol": 1e-7, "maxcor": 20}
    found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", options=options)
    return float(found.fun), found.x


def _polish(
    problem: Problem, start: NDArray[np.float64], rounds: int = 4
) -> tuple[float, NDArray[np.float64]]:
    """L-BFGS at DELTA, restarted until it no longer gains: its memory goes stale at the corners."""
    best = _descend(problem, start, DELTA, 400)
    for _ in range(rounds - 1):
        again = _descend(problem, best[1], DELTA, 400)
        gained, best = best[0] - again[0], min(best, again, key=lambda found: found[0])
        if gained < 1e-9 * abs(best[0]):
            break
    return best


def _bootstrap(
    problem: Problem, vector: NDArray[np.float64], resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Runs drawn again with replacement and priors moved by their width, refitted from `vector`."""
    rng = seeding.generator(seed, "bootstrap", *problem.names)
    runs, n = problem.runs, len(problem.runs)
    finite = np.isfinite(problem.scale)
    found = []
    for _ in range(resamples):
        count = np.bincount(rng.integers(n, size=n), minlength=n) * runs.count
        shift = np.where(finite, problem.scale, 0) * rng.standard_normal(len(vector))
        moved = dataclasses.replace(
            problem, runs=dataclasses.replace(runs, count=count), mean=problem.mean + shift
        )
        found.append(problem.values(_descend(moved, vector, DELTA, 100)[1]))
    return runs_.ends(problem.names, found)


def _idle(problem: Problem, vector: NDArray[np.float64]) -> list[str]:
    """Parameters that the runs leave where the prior put them, or anywhere."""
    miss, slopes = problem.jacobian(vector)
    noise = max(float(np.mean(abs(miss))), 1e-4)
    free = ~np.isfinite(problem.scale)
    told = (slopes * problem.runs.count) @ slopes.T / noise**2
    prior = np.where(free, 1e-9, 1 / np.where(free, 1, problem.scale) ** 2)
    width = np.sqrt(np.diag(np.linalg.inv(told + np.diag(prior))))
    lost = np.where(free, width > _WIDE, width > _IDLE * np.where(free, 1, problem.scale))
    names = [name for name, idle in zip(problem.names, lost, strict=True) if idle]
    if not names:
        return []
    decides = "" if free.all() else "; the prior decides"
    return [f"the runs hardly tell {', '.join(names)}{decides}"]
