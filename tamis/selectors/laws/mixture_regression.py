"""Error of a mixture at one budget, regressed on its weights: for few runs and many domains.

The black-box rival of the laws (Liu et al. 2024, RegMix, arXiv 2407.01492, fit LightGBM to 512 runs
of a small model). A law extrapolates along samples and knows why; this only interpolates between
mixtures of one budget, and needs nothing but the runs. It is a Gaussian process, with the two facts
that runs over mixtures obey put into its coordinates instead of left to be learned:

- a little of a missing domain matters more than a little more of a plentiful one, so distance is
  measured between (w + offset)^exponent, each domain with its own length (exponent 1/2 and offset 0
  would be the Hellinger distance; the logarithm, Aitchison's, is the limit exponent -> 0);
- error falls like the logarithm of effective data, error = c - (1/bend) log(sum_i t_i g(w_i)), the
  flat part of a power law. So exp(-bend * error) is near additive in g(w), and that is what the
  process models (a warped Gaussian process, Snelson et al. 2003, NeurIPS). As bend -> 0 it models
  the error itself.

    u = (error - mean) / sd,   z = (1 - exp(-bend u)) / bend,   z ~ GP(level, k) + noise
    k(w, v) = scale^2 Matern52(|x(w) - x(v)|),  x_i(w) = relevance_i ((w_i + o)^p - o^p) / length

Level, scale, noise, p, o, bend, length and relevances maximise the posterior under weak normal
priors on their logs (Rasmussen & Williams 2006, Gaussian Processes for ML, ch. 5).
"""

import dataclasses
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize, special

from tamis import errors

Floats = NDArray[np.float64]

_NAMES = ("level", "scale", "noise", "exponent", "offset", "bend", "length")
_PRIOR = np.array([0, 0, np.log(0.05), np.log(0.5), np.log(1e-3), 0, 0])  # of the logs, level aside
_SPREAD = np.array([1, 1, 1, 0.3, 1, 0.7, 1])
_RELEVANCE = 0.7  # spread of the log relevances: a domain may matter 4 times more than another
_BOUND = 4.0  # spreads from the prior's mean
_TUNED = 512  # runs that choose the parameters; all kept runs carry the prediction
_JITTER = 1e-6  # in units of the errors' variance
_BEYOND = 3.0  # standard deviations above the worst run at which predictions stop
_KEPT = 4096  # runs beyond it are thinned
_FEWEST, _FOLDS = 4, 5
_SLACK = 0.01  # published weights are rounded, so their sums are off by this much
_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(9)


class Parameters(NamedTuple):
    """What the runs decide.

    Attributes:
      level: Mean of z.
      scale: Standard deviation of the process.
      noise: Standard deviation from run to run at one mixture; 1 is that of all errors.
      exponent: p above.
      offset: o above, a weight.
      bend: Curvature of error against effective data; 0 is none.
      relevance: Shape (k,), divided by the length.
    """

    level: float
    scale: float
    noise: float
    exponent: float
    offset: float
    bend: float
    relevance: Floats


class Process(NamedTuple):
    """The process given what was run.

    Attributes:
      parameters: Its own.
      runs: Shape (n, k), the mixtures it knows.
      root: Shape (n, n), lower Cholesky factor of their covariance.
      residual: Shape (n,), covariance^-1 (z - level).
    """

    parameters: Parameters
    runs: Floats
    root: Floats
    residual: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureRegression:
    """A regression of error on mixture weights, fitted to runs of one budget.

    Attributes:
      process: Over z.
      mean: Of the errors.
      sd: Of the errors.
      highest: The worst error, standardised.
      misses: Sorted |held-out error| of 5-fold refits, in standard deviations the process claimed.
      warnings: What the runs could not tell.

    >>> w = np.linspace(0, 1, 9)
    >>> model = MixtureRegression.fit(np.c_[w, 1 - w], -np.log(0.1 + w))
    >>> bool(abs(model.predict([0.3, 0.7]) + np.log(0.4)) < 0.02)
    True
    """

    process: Process
    mean: float
    sd: float
    highest: float
    misses: Floats
    warnings: tuple[str, ...]

    @classmethod
    def fit(cls, weights: ArrayLike, error: ArrayLike) -> Self:
        """Fit to runs of one budget: 32 for 17 domains is enough to rank mixtures.

        Args:
          weights: Shape (n, k), at least 0, each row summing to 1.
          error: Shape (n,), loss or error of each run; lower is better.

        Raises:
          PlanError: NaN, rows off the simplex, fewer than four runs, no variation.

        O(n^3) time and O(n^2) memory: 0.1 s for 64 runs, seconds for 512.
        """
        w, e, notes = _runs(weights, error)
        mean, sd = float(e.mean()), float(e.std())
        u = (e - mean) / sd
        rows = np.unique(np.linspace(0, u.size - 1, min(u.size, _TUNED)).round().astype(np.int64))
        found = _maximise(w[rows], u[rows], np.zeros(_PRIOR.size + w.shape[1]))
        misses = _misses(w[rows], u[rows], found)
        notes += _at_bound(found)
        process = _condition(_parameters(found), w, u)
        return cls(process, mean, sd, float(u.max()), misses, tuple(notes))

    def predict(self, weights: ArrayLike) -> Floats:
        """Expected error of a mixture, over what is unknown and the noise of a run.

        Args:
          weights: Shape (..., k), summing to 1.

        Returns:
          Shape (...,).
        """
        centre, width = self._posterior(weights)
        return self._error(centre[..., None] + width[..., None] * _NODES) @ _MASSES / _MASSES.sum()

    def interval(self, weights: ArrayLike, *, level: float = 0.9) -> tuple[Floats, Floats]:
        """Bounds between which a new run at this mixture falls with probability `level`.

        The process's own deviation, times the quantile of how far off refits were on held-out runs
        (locally weighted conformal prediction, Lei et al. 2018, JASA; folds as in Vovk 2015,
        cross-conformal): it holds for mixtures drawn like the runs, not for the best one chosen.

        Args:
          weights: Shape (..., k), summing to 1.
          level: Inside (0, 1).

        Returns:
          Low and high, each of shape (...,).
        """
        if not 0 < level < 1:
            raise errors.PlanError(f"level {level}", remedy="a probability inside (0, 1)")
        centre, width = self._posterior(weights)
        reach = width * self._reach(level)
        return self._error(centre - reach), self._error(centre + reach)

    def _posterior(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        w = _mixtures(weights, self.process.runs.shape[1])
        centre, width = _posterior(self.process, w.reshape(-1, w.shape[-1]))
        return centre.reshape(w.shape[:-1]), width.reshape(w.shape[:-1])

    def _reach(self, level: float) -> float:
        n = self.misses.size
        rank = int(np.ceil((n + 1) * level))
        if rank <= n:
            return float(self.misses[rank - 1])
        return max(float(self.misses[-1]), float(special.ndtri(0.5 + level / 2)))

    def _error(self, z: Floats) -> Floats:
        """From z back to error; bounded, since z near 1 / bend would be infinitely bad."""
        bend = self.process.parameters.bend
        top = _bent(np.array(self.highest + _BEYOND), bend)
        return self.mean - self.sd * np.log1p(-bend * np.minimum(z, top)) / bend


def _condition(p: Parameters, weights: Floats, u: Floats) -> Process:
    root = linalg.cholesky(_covariance(p, weights, weights, p.noise), lower=True)
    return Process(p, weights, root, linalg.cho_solve((root, True), _bent(u, p.bend) - p.level))


def _posterior(process: Process, weights: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of z for new runs."""
    p = process.parameters
    cross = _covariance(p, weights, process.runs)
    known = linalg.solve_triangular(process.root, cross.T, lower=True)
    variance = np.maximum(p.scale**2 - (known**2).sum(0), 0) + p.noise**2
    return p.level + cross @ process.residual, np.sqrt(variance)


def _misses(weights: Floats, u: Floats, start: Floats) -> Floats:
    """Shape (n,), sorted: held-out |z - mean| / sd, parameters refitted without the fold."""
    missed = np.empty(u.size)
    for fold in range(_FOLDS):
        held = np.arange(u.size) % _FOLDS == fold
        p = _parameters(_maximise(weights[~held], u[~held], start))
        centre, width = _posterior(_condition(p, weights[~held], u[~held]), weights[held])
        missed[held] = np.abs(_bent(u[held], p.bend) - centre) / width
    return np.sort(missed)


def _bent(u: Floats, bend: float) -> Floats:
    return -np.expm1(-bend * u) / bend


def _parameters(v: Floats) -> Parameters:
    """From coordinates in which the prior is standard normal."""
    log = _PRIOR + _SPREAD * v[: _PRIOR.size]
    scale, noise, exponent, offset, bend, length = np.exp(log[1:])
    relevance = np.exp(_RELEVANCE * v[_PRIOR.size :]) / length
    return Parameters(float(log[0]), scale, noise, exponent, offset, bend, relevance)


def _features(p: Parameters, weights: Floats) -> Floats:
    return p.relevance * ((weights + p.offset) ** p.exponent - p.offset**p.exponent)


def _root5(x: Floats, y: Floats) -> Floats:
    """sqrt(5) times the distances, shape (n, m)."""
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.sqrt(5 * np.maximum(squared, 0))


def _covariance(p: Parameters, a: Floats, b: Floats, noise: float | None = None) -> Floats:
    r = _root5(_features(p, a), _features(p, b))
    k = p.scale**2 * (1 + r + r * r / 3) * np.exp(-r)
    if noise is not None:
        k[np.diag_indices_from(k)] = p.scale**2 + noise**2 + _JITTER
    return k


def _maximise(weights: Floats, u: Floats, start: Floats) -> Floats:
    found = optimize.minimize(
        lambda v: _objective(v, weights, u),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_BOUND, _BOUND)] * start.size,
        options={"maxiter": 200},
    )
    return np.asarray(found.x)


def _objective(v: Floats, weights: Floats, u: Floats) -> tuple[float, Floats]:
    """Minus the log posterior and its gradient.

    The warp's Jacobian is exp(-bend * sum(u)), constant because u sums to about 0. All derivatives
    through the distances come from the one matrix d(objective) / d(features).
    """
    p, f = _parameters(v), _features(_parameters(v), weights)
    r = _root5(f, f)
    decay = p.scale**2 * np.exp(-r)
    smooth = decay * (1 + r + r * r / 3)
    root = linalg.cholesky(smooth + (p.noise**2 + _JITTER) * np.eye(u.size), lower=True)
    z = _bent(u, p.bend)
    inverse = linalg.cho_solve((root, True), np.eye(u.size))
    a = inverse @ (z - p.level)
    value = 0.5 * (z - p.level) @ a + np.log(np.diag(root)).sum() + p.bend * u.sum()
    by_k = 0.5 * (inverse - np.outer(a, a))
    by_squared = by_k * decay * (1 + r) * (-5 / 6)
    by_f = 4 * (by_squared.sum(1)[:, None] * f - by_squared @ f)
    by_relevance = (by_f * f).sum(0)
    by_bend = p.bend * u.sum() + a @ (u * np.exp(-p.bend * u) - z)
    by_log = np.array(
        [
            -a.sum(),
            2 * (by_k * smooth).sum(),
            2 * p.noise**2 * np.trace(by_k),
            *_by_geometry(p, weights, by_f),
            by_bend,
            -by_relevance.sum(),
        ]
    )
    gradient = np.concatenate([_SPREAD * by_log, _RELEVANCE * by_relevance])
    return float(value + 0.5 * v @ v), gradient + v


def _by_geometry(p: Parameters, weights: Floats, by_f: Floats) -> tuple[float, float]:
    """Derivatives along log exponent and log offset."""
    s, o, e = weights + p.offset, p.offset, p.exponent
    exponent = e * (s**e * np.log(s) - o**e * np.log(o))
    offset = o * e * (s ** (e - 1) - o ** (e - 1))
    return float((by_f * exponent @ p.relevance).sum()), float((by_f * offset @ p.relevance).sum())


def _at_bound(v: Floats) -> list[str]:
    stuck = np.abs(v) >= _BOUND - 1e-6
    names = [n for n, s in zip(_NAMES, stuck, strict=False) if s]
    names += [f"relevance of domain {i}" for i in np.flatnonzero(stuck[_PRIOR.size :])]
    return [f"{n}: fitted at its bound, the runs disagree with its prior" for n in names]


def _mixtures(weights: ArrayLike, k: int | None = None) -> Floats:
    """The weights as float64, checked and summing to 1 exactly."""
    w = np.asarray(weights, np.float64)
    if w.ndim == 0 or (k is not None and w.shape[-1] != k):
        raise errors.PlanError(
            f"weights of shape {w.shape}", why=f"the last axis is not {k or 'k'}"
        )
    total = w.sum(-1, keepdims=True)
    bad = ~np.isfinite(w).all(-1) | (w < 0).any(-1) | ~(np.abs(total[..., 0] - 1) <= _SLACK)
    if bad.any():
        row = np.argwhere(np.atleast_1d(bad))[0]
        raise errors.PlanError(
            f"{int(bad.sum())} of {bad.size} mixtures are not weights",
            where=f"row {', '.join(map(str, row))}",
            why=f"NaN, negative, or a sum that is not 1: sums to {np.atleast_2d(total)[*row, 0]:.4g}",
            remedy="divide each row by its sum",
        )
    return w / total


def _runs(weights: ArrayLike, error: ArrayLike) -> tuple[Floats, Floats, list[str]]:
    """The distinct runs in an order that does not depend on theirs, and what is odd about them."""
    e = np.asarray(error, np.float64)
    w = _mixtures(weights)
    if w.ndim != 2 or e.shape != w.shape[:1]:
        raise errors.PlanError(f"weights of shape {w.shape} with errors of shape {e.shape}")
    if not np.isfinite(e).all():
        raise errors.PlanError(
            f"{int((~np.isfinite(e)).sum())} of {e.size} errors are NaN or infinite",
            where=f"row {int(np.flatnonzero(~np.isfinite(e))[0])}",
            remedy="drop diverged runs, or give them the worst error that was seen",
        )
    table = np.unique(np.c_[w, e], axis=0)
    if len(table) < _FEWEST or np.ptp(e) <= 1e-12 * np.abs(e).max():
        raise errors.PlanError(
            f"{len(table)} distinct runs, errors from {e.min():.6g} to {e.max():.6g}"
            if e.size
            else "no runs",
            why="a regression over mixtures needs at least four runs whose errors differ",
        )
    kept = table[np.linspace(0, len(table) - 1, min(len(table), _KEPT)).round().astype(np.int64)]
    return kept[:, :-1], kept[:, -1], _oddities(e.size, table, len(kept))


def _oddities(given: int, table: Floats, kept: int) -> list[str]:
    """Warnings in words."""
    n, k = table.shape[0], table.shape[1] - 1
    _, group = np.unique(table[:, :k], axis=0, return_inverse=True)
    count = np.bincount(group.reshape(-1))
    centre = np.bincount(group.reshape(-1), table[:, k]) / count
    within = float(np.abs(table[:, k] - centre[group.reshape(-1)]).max())
    same = np.flatnonzero(np.ptp(table[:, :k], axis=0) == 0)
    return [
        text
        for true, text in (
            (given > n, f"{given - n} runs repeat another exactly and are counted once"),
            (kept < n, f"{n} runs thinned to {kept}, evenly along their weights"),
            (
                within > 0.5 * table[:, k].std(),
                f"runs of one mixture differ by up to {2 * within:.3g}: noise, or another setting",
            ),
            (n < k, f"{n} runs for {k} domains: intervals lean on the prior"),
            (same.size > 0, f"domains {same.tolist()} never vary: their effect is unknown"),
        )
        if true
    ]
