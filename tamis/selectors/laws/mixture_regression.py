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

Two such processes are averaged, one that lets domains act together freely and one that is near a
sum over domains (`mixture_kernels`).
"""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tamis import errors
from tamis.selectors.laws import mixture_kernels, warped_process
from tamis.selectors.laws.warped_process import Floats

_TUNED = 512  # runs that choose the parameters; all kept runs carry the prediction
_TUNED_ADDITIVE = 256  # of them, for the second process, whose steps cost k times as much
_KEPT = 4096  # runs beyond it are thinned
_FEWEST, _FOLDS = 4, 5
_SLACK = 0.01  # published weights are rounded, so their sums are off by this much
_BEYOND = 3.0  # standard deviations above the worst run at which predictions stop
Pair = tuple[warped_process.Process, warped_process.Process]
Starts = tuple[Floats | None, Floats | None]

_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(9)


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureRegression:
    """A regression of error on mixture weights, fitted to runs of one budget.

    Attributes:
      process: Over z; its coordinate and widths are those of the whole.
      additive: Near a sum over domains, averaged with the first.
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

    process: warped_process.Process
    additive: warped_process.Process
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

        O(n^3 + k n^2) time and O(n^2) memory: 0.3 s for 64 runs, 9 s for 512.
        """
        w, e, notes = _runs(weights, error)
        mean, sd = float(e.mean()), float(e.std())
        u = (e - mean) / sd
        rows = np.unique(np.linspace(0, u.size - 1, min(u.size, _TUNED)).round().astype(np.int64))
        starts = _tuned(w[rows], u[rows])
        misses = _misses(w[rows], u[rows], starts)
        notes += dict.fromkeys(text for v in starts for text in warped_process.at_bound(v))
        return cls(*_conditioned(starts, w, u), mean, sd, float(u.max()), misses, tuple(notes))

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
        pair = (self.process, self.additive)
        centre, width = _averaged(pair, w.reshape(-1, w.shape[-1]), self.highest)
        return centre.reshape(w.shape[:-1]), width.reshape(w.shape[:-1])

    def _reach(self, level: float) -> float:
        n = self.misses.size
        rank = int(np.ceil((n + 1) * level))
        if rank <= n:
            return float(self.misses[rank - 1])
        return max(float(self.misses[-1]), float(special.ndtri(0.5 + level / 2)))

    def _error(self, z: Floats) -> Floats:
        """From z back to error."""
        return self.mean + self.sd * _standard(z, self.process.parameters.bend, self.highest)


def _tuned(weights: Floats, u: Floats, starts: Starts = (None, None)) -> tuple[Floats, Floats]:
    """The most probable coordinates of both processes."""
    few = np.unique(np.linspace(0, u.size - 1, min(u.size, _TUNED_ADDITIVE)).round().astype(int))
    return (
        warped_process.maximise(mixture_kernels.MATERN, weights, u, starts[0]),
        warped_process.maximise(mixture_kernels.ANOVA, weights[few], u[few], starts[1]),
    )


def _conditioned(found: tuple[Floats, Floats], weights: Floats, u: Floats) -> Pair:
    """Both processes after the runs."""
    free, additive = (warped_process.parameters(v) for v in found)
    return (
        warped_process.condition(mixture_kernels.MATERN, free, weights, u),
        warped_process.condition(mixture_kernels.ANOVA, additive, weights, u),
    )


def _averaged(pair: Pair, weights: Floats, highest: float) -> tuple[Floats, Floats]:
    """Centre and width in the first's coordinate; centres are averaged as errors."""
    free, additive = pair
    centre, width = warped_process.posterior(free, weights)
    other, _ = warped_process.posterior(additive, weights)
    bends = free.parameters.bend, additive.parameters.bend
    u = 0.5 * (_standard(centre, bends[0], highest) + _standard(other, bends[1], highest))
    return warped_process.bent(u, bends[0]), width


def _standard(z: Floats, bend: float, highest: float) -> Floats:
    """From z to standardised error; bounded, since z near 1 / bend would be infinitely bad."""
    top = warped_process.bent(np.array(highest + _BEYOND), bend)
    return np.asarray(-np.log1p(-bend * np.minimum(z, top)) / bend)


def _misses(weights: Floats, u: Floats, starts: tuple[Floats, Floats]) -> Floats:
    """Shape (n,), sorted: held-out |z - mean| / sd, parameters refitted without the fold."""
    missed = np.empty(u.size)
    for fold in range(_FOLDS):
        held = np.arange(u.size) % _FOLDS == fold
        known, seen = weights[~held], u[~held]
        pair = _conditioned(_tuned(known, seen, starts), known, seen)
        centre, width = _averaged(pair, weights[held], float(seen.max()))
        z = warped_process.bent(u[held], pair[0].parameters.bend)
        missed[held] = np.abs(z - centre) / width
    return np.sort(missed)


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
            why=f"NaN, negative, or a sum other than 1 (here {np.atleast_2d(total)[*row, 0]:.4g})",
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
    same = np.flatnonzero(np.ptp(table[:, :k], axis=0) < 1e-9)
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
