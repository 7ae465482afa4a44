"""Fitting, in one place: multi-start least squares with weak priors, and what it could not tell."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from tamis import errors, seeding
from tamis.schemas import plan
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol
from tamis.selectors.laws.protocol import Law

Residuals = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_RANDOM_STARTS = 3
_SCREENED = 100
_FIRST_ITERATIONS = 15  # of every start, and of a draw; then the best goes on
_ITERATIONS = 100
_CLOSE = 1e-6  # relative, of the cost and of the vector
_STEP = 1e-6  # of forward differences; logs and logits are of order 1
_APART = 1e-4  # of central differences
_UNMOVED = 0.9  # of the prior's width left: the measurements said next to nothing
_WIDEST = 5.0  # of the prior's widths, of an interval
_ONE = 1.01  # ratio of repeat counts that are one
_ALIKE = 3.0  # standard errors within which all errors are one
_EXTREME = 3.0  # of the prior's widths from its middle: near an end of what is possible


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fitted law.

    Attributes:
      law: With the most probable parameters.
      interval: Name of each parameter to (lo, hi), 90 %.
      warnings: What the measurements could not tell, in words.
      cells: What it was fitted to.
      vector: Shape (p,), the parameters as `fitting` sees them.
      covariance: Shape (p, p), of the vector (Laplace), widened where the law misses its data by
        more than their noise.
      rmse: Root mean squared residual over cells.
      parameters: Name of each parameter to its value.
    """

    law: Law
    interval: dict[str, tuple[float, float]]
    warnings: tuple[str, ...]
    cells: cells_.Cells
    vector: NDArray[np.float64]
    covariance: NDArray[np.float64]
    rmse: float
    parameters: dict[str, float]

    def spread(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        """Standard deviation of the prediction due to the parameters: shape (...,).

        The delta method, because a plan asks for hundreds of them.
        """
        j = slopes(type(self.law), self.vector, self.cells, (weights, samples, supply))
        return np.sqrt(np.einsum("...i,ij,...j->...", j, self.covariance, j))

    def draws(self, count: int, rng: np.random.Generator) -> list[Law]:
        """Laws that other measurements of the same kind could have led to.

        Parametric bootstrap: every cell is moved by its own uncertainty, every prior mean by its
        width, and the law is fitted again from where it stands. For a linear law that is exactly
        the posterior; unlike the normal approximation it stays sane along flat directions.
        """
        kind, cells = type(self.law), self.cells
        prior = kind.prior(cells)
        found = []
        for _ in range(count):
            error = cells.error + cells.sigma * rng.standard_normal(len(cells))
            moved = dataclasses.replace(cells, error=error)
            mean = prior.mean + prior.scale * rng.standard_normal(len(prior.mean))
            best = _solve(
                kind, moved, dataclasses.replace(prior, mean=mean), self.vector, _FIRST_ITERATIONS
            )
            found.append(kind.from_vector(best.x, cells))
        return found

    def refitted(self, cells: cells_.Cells) -> Law:
        """The law fitted to other cells of the same strata, from where it stands now."""
        kind = type(self.law)
        best = _solve(kind, cells, kind.prior(cells), self.vector, _FIRST_ITERATIONS)
        return kind.from_vector(best.x, cells)


def fit(
    measurements: pa.Table | cells_.Cells,
    *,
    law: type[Law],
    seed: int = 0,
    near: NDArray[np.float64] | None = None,
) -> Fit:
    """Fit one law.

    Cells are weighted by their seed noise with a floor, and count less the shorter they are than
    the longest (`cells.DRIFT`): no law here is exact, and predictions go beyond the longest.

    Args:
      measurements: A measurements table, or its cells.
      law: The class, e.g. `laws.SignalNoise`.
      seed: Of the random starts.
      near: Shape (p,), the vector of a fit to almost the same measurements, one more start.

    Returns:
      The best of all starts. Cost is one small least-squares problem per start, whatever the
      number of seeds.

    Raises:
      PlanError: measurements are unusable.
    """
    cells = cells_.of(measurements)
    if len(cells) < 2:
        raise errors.PlanError(
            "one point carries no law",
            why="all measurements share one mixture, length and supply",
            remedy="measure several mixtures and lengths",
        )
    prior = law.prior(cells)

    rng = seeding.generator(seed, "fit", law.name)
    known = law.starts(cells) if near is None else near[None]
    starts = np.concatenate([prior.mean[None], known, _screened(law, cells, prior, rng)])
    tried = [_solve(law, cells, prior, x, _FIRST_ITERATIONS) for x in starts]
    first = min(tried, key=lambda r: r.cost)
    return _summary(law, cells, prior, _solve(law, cells, prior, first.x, _ITERATIONS))


def slopes(
    law: type[Law],
    vector: NDArray[np.float64],
    cells: cells_.Cells,
    at: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> NDArray[np.float64]:
    """Derivatives of the prediction along each coordinate of the vector, by central differences.

    Args:
      law: The class.
      vector: Shape (p,).
      cells: What the vector belongs to: names and chance level.
      at: Weights, samples and supply, as `predict` takes them.

    Returns:
      Shape (..., p).
    """
    found = []
    for axis in np.eye(len(vector)) * _APART:
        up, down = law.from_vector(vector + axis, cells), law.from_vector(vector - axis, cells)
        found.append((up.predict(*at) - down.predict(*at)) / (2 * _APART))
    return np.stack(found, axis=-1)


def _residuals(law: type[Law], cells: cells_.Cells, prior: protocol.Prior) -> Residuals:
    """Misses of cells in units of sigma, and of parameters in units of the prior's width."""

    def residuals(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):
            found = law.from_vector(vector, cells)
            miss = found.predict(cells.weights, cells.samples, cells.supply) - cells.error
        miss = np.clip(np.nan_to_num(miss, nan=1e3), -1e3, 1e3) / cells.sigma
        return np.concatenate([miss, (vector - prior.mean) / prior.scale])

    return residuals


def _screened(
    law: type[Law], cells: cells_.Cells, prior: protocol.Prior, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The best of many draws from the prior: shape (_RANDOM_STARTS, p)."""
    residuals = _residuals(law, cells, prior)
    drawn = prior.mean + prior.scale * rng.standard_normal((_SCREENED, len(prior.mean)))
    cost = [float(np.sum(residuals(x) ** 2)) for x in drawn]
    return drawn[np.argsort(cost, kind="stable")[:_RANDOM_STARTS]]


def _solve(
    law: type[Law],
    cells: cells_.Cells,
    prior: protocol.Prior,
    start: NDArray[np.float64],
    iterations: int,
) -> optimize.OptimizeResult:
    """One least-squares problem, with forward differences."""
    residuals = _residuals(law, cells, prior)

    def jacobian(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        here = residuals(vector)
        moved = [residuals(vector + axis) for axis in np.eye(len(vector)) * _STEP]
        return (np.array(moved) - here).T / _STEP

    return optimize.least_squares(
        residuals, start, jacobian, ftol=_CLOSE, xtol=_CLOSE, max_nfev=iterations
    )


def _summary(
    law: type[Law], cells: cells_.Cells, prior: protocol.Prior, best: optimize.OptimizeResult
) -> Fit:
    x: NDArray[np.float64] = best.x
    miss = best.fun[: len(cells)] * cells.sigma
    freedom = max(len(cells) - len(x), 1)
    ratio = max(1.0, float(best.fun[: len(cells)] @ best.fun[: len(cells)]) / freedom)
    covariance = np.linalg.inv(best.jac.T @ best.jac) * ratio
    covariance = (covariance + covariance.T) / 2
    width = np.sqrt(np.diag(covariance))
    # A law that misses everything has no intervals worth the name; these at least are finite.
    reach = float(stats.norm.ppf(0.5 + plan.LEVEL / 2)) * np.minimum(width, _WIDEST * prior.scale)
    ends = np.sort([law.values(x - reach, cells), law.values(x + reach, cells)], axis=0)
    return Fit(
        law=law.from_vector(x, cells),
        interval={p: (float(lo), float(hi)) for p, lo, hi in zip(prior.names, *ends, strict=True)},
        warnings=(
            *cells.warnings,
            *_design_warnings(cells),
            *_unmoved(prior, width),
            *_extreme(prior, x),
            *_poor(law, ratio),
        ),
        cells=cells,
        vector=x,
        covariance=covariance,
        rmse=float(np.sqrt(np.mean(miss**2))),
        parameters=dict(zip(prior.names, law.values(x, cells).tolist(), strict=True)),
    )


def _design_warnings(cells: cells_.Cells) -> list[str]:
    found = []
    if len(np.unique(cells.samples)) == 1:
        found.append("only one length of training: how error changes with samples is unknown")
    if np.ptp(cells.error) <= _ALIKE * float(np.median(cells.seed_noise / np.sqrt(cells.count))):
        found.append("no error differs from another by more than its noise: nothing can be learned")
    repeats = np.maximum(cells.epochs, 1)[cells.weights > 0]
    if repeats.max() <= 1:
        found.append("no run repeats a row: what repetition costs is unknown")
    elif repeats.max() <= _ONE * repeats.min():
        found.append("only one repeat count: how fast repeats lose their worth is unknown")
    absent = [s for s, w in zip(cells.names, cells.weights.max(0), strict=True) if w == 0]
    if absent:
        found.append(f"never trained on {', '.join(absent)}: its worth is unknown")
    if not cells.replicated:
        found.append("no run was replicated: the seed noise is assumed, not measured")
    return found


def _unmoved(prior: protocol.Prior, width: NDArray[np.float64]) -> list[str]:
    idle = [p for p, w, s in zip(prior.names, width, prior.scale, strict=True) if w > _UNMOVED * s]
    return [f"the measurements hardly tell {', '.join(idle)}; the prior decides"] if idle else []


def _extreme(prior: protocol.Prior, vector: NDArray[np.float64]) -> list[str]:
    """Parameters at an end: vectors have none, so an end of the parameter is a far vector."""
    away = abs(vector - prior.mean) / prior.scale
    far = [p for p, z in zip(prior.names, away.tolist(), strict=True) if z > _EXTREME]
    if not far:
        return []
    return [f"{', '.join(far)} came out at an end of what is plausible: doubt the law or the runs"]


def _poor(law: type[Law], ratio: float) -> list[str]:
    if ratio < 4:
        return []
    return [f"{law.name} misses the measurements by {np.sqrt(ratio):.1f} times their noise"]
