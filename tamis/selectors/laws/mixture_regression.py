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
sum over domains (`mixture_kernels`). Few runs leave their parameters uncertain: then each process
is an average over draws from the posterior of its parameters.
"""

import dataclasses
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tamis import errors, seeding
from tamis.selectors.laws import mixture_kernels, mixture_runs, warped_process
from tamis.selectors.laws.warped_process import Floats

_TUNED = 512  # runs that choose the parameters; all kept runs carry the prediction
_TUNED_ADDITIVE = 256  # of them, for the second process, whose steps cost k times as much
_DRAWN = 128  # runs beyond which the most probable parameters are all there is
_EVALUATED, _DRAWS = 2048, 64  # runs times draws of a process's parameters, and most draws
_FOLDS, _FOLD_DRAWS = 5, 6
_BEYOND = 3.0  # standard deviations above the worst run at which predictions stop
_LEAST = 1e-6  # standard deviation, of those of all errors
Draws = tuple[warped_process.Process, ...]
Use = tuple[mixture_kernels.Kernel, int]  # and how many runs choose its parameters

_KERNELS: tuple[Use, ...] = (
    (mixture_kernels.MATERN, _TUNED),
    (mixture_kernels.ANOVA, _TUNED_ADDITIVE),
)
_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(9)


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureRegression:
    """A regression of error on mixture weights, fitted to runs of one budget.

    Attributes:
      processes: Draws of the free process, and of the additive one; one of each for many runs.
      mean: Of the errors.
      sd: Of the errors.
      highest: The worst error, standardised.
      left_out: Predicted minus measured error of runs left out, fitted without their fold of five,
        shape (min(n, 512),).
      misses: Their sorted sizes, in standard deviations that were claimed.
      warnings: What the runs could not tell.

    >>> w = np.linspace(0, 1, 9)
    >>> model = MixtureRegression.fit(np.c_[w, 1 - w], -np.log(0.1 + w))
    >>> bool(abs(model.predict([0.3, 0.7]) + np.log(0.4)) < 0.02)
    True
    """

    name: ClassVar[str] = "MixtureRegression"

    processes: tuple[Draws, ...]
    mean: float
    sd: float
    highest: float
    left_out: Floats
    misses: Floats
    warnings: tuple[str, ...]

    @classmethod
    def fit(cls, weights: ArrayLike, error: ArrayLike, *, seed: int = 0) -> Self:
        """Fit to runs of one budget: 32 for 17 domains is enough to rank mixtures.

        Args:
          weights: Shape (n, k), at least 0, each row summing to 1.
          error: Shape (n,), loss or error of each run; lower is better.
          seed: Of the draws.

        Raises:
          PlanError: NaN, rows off the simplex, fewer than four runs, no variation.

        O(n^3 + k n^2) time for each of about 2,000 gradients up to 128 runs, and of 400 beyond;
        O(n^2) memory.
        """
        w, e, notes = mixture_runs.distinct(weights, error)
        mean, sd = float(e.mean()), float(e.std())
        u = (e - mean) / sd
        tuned = [_tuned(kernel, w, u, most, seed) for kernel, most in _KERNELS]
        notes += dict.fromkeys(text for best, _ in tuned for text in warped_process.at_bound(best))
        found = [vectors for _, vectors in tuned]
        known = tuple(_conditioned(w, u, *v) for v in zip(_KERNELS, found, strict=True))
        missed, width = _left_out(found, w, u, seed)
        misses = np.sort(abs(missed) / width)
        return cls(known, mean, sd, float(u.max()), sd * missed, misses, tuple(notes))

    def predict(self, weights: ArrayLike) -> Floats:
        """Expected error of a mixture, over what is unknown and the noise of a run.

        Args:
          weights: Shape (..., k), summing to 1.

        Returns:
          Shape (...,).
        """
        return self.mean + self.sd * self._posterior(weights)[0]

    def interval(self, weights: ArrayLike, *, level: float = 0.9) -> tuple[Floats, Floats]:
        """Bounds between which a new run at this mixture falls with probability `level`.

        The posterior's own deviation, times the quantile of how far off refits were on held-out
        runs (locally weighted conformal prediction, Lei et al. 2018, JASA; folds as in Vovk 2015,
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
        return self.mean + self.sd * (centre - reach), self.mean + self.sd * (centre + reach)

    def _posterior(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and standard deviation of standardised error, shapes (...,)."""
        w = mixture_runs.mixtures(weights, self.processes[0][0].runs.shape[1])
        centre, width = _averaged(self.processes, w.reshape(-1, w.shape[-1]), self.highest)
        return centre.reshape(w.shape[:-1]), width.reshape(w.shape[:-1])

    def _reach(self, level: float) -> float:
        n = self.misses.size
        rank = int(np.ceil((n + 1) * level))
        if rank <= n:
            return float(self.misses[rank - 1])
        return max(float(self.misses[-1]), float(special.ndtri(0.5 + level / 2)))


def _tuned(
    kernel: mixture_kernels.Kernel, weights: Floats, u: Floats, most: int, seed: int
) -> tuple[Floats, list[Floats]]:
    """The most probable coordinates, and draws around them; these alone where runs are many."""
    rows = mixture_runs.even(u.size, most)
    best = warped_process.maximise(kernel, weights[rows], u[rows])
    if u.size > _DRAWN:
        return best, [best]
    rng = seeding.generator(seed, "mixture regression", kernel.name)
    count = min(_DRAWS, _EVALUATED // u.size)
    return best, warped_process.draws(kernel, best, weights, u, count, rng)


def _conditioned(weights: Floats, u: Floats, kernel: Use, vectors: list[Floats]) -> Draws:
    """The processes after the runs."""
    found = [warped_process.parameters(v) for v in vectors]
    return tuple(warped_process.condition(kernel[0], p, weights, u) for p in found)


def _averaged(
    processes: tuple[Draws, ...], weights: Floats, highest: float
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of standardised error, shapes (n,): all draws count alike."""
    mean, square = np.mean(
        [np.mean([_moments(p, weights, highest) for p in draws], 0) for draws in processes], 0
    )
    return mean, np.sqrt(np.maximum(square - mean**2, _LEAST**2))


def _moments(process: warped_process.Process, weights: Floats, highest: float) -> Floats:
    """Mean and mean square of standardised error, shape (2, n), by quadrature over z.

    Bounded above, since z near 1 / bend would be infinitely bad.
    """
    bend = process.parameters.bend
    centre, width = warped_process.posterior(process, weights)
    top = warped_process.bent(np.array(highest + _BEYOND), bend)
    u = -np.log1p(-bend * np.minimum(centre[:, None] + width[:, None] * _NODES, top)) / bend
    return np.array([u, u * u]) @ _MASSES / _MASSES.sum()


def _left_out(
    found: list[list[Floats]], weights: Floats, u: Floats, seed: int
) -> tuple[Floats, Floats]:
    """By how much each of five folds is missed, and what was claimed: refits without it, (n,)."""
    rows = mixture_runs.even(u.size, _TUNED)
    w, u = weights[rows], u[rows]
    missed, claimed = np.empty((2, u.size))
    for fold in range(_FOLDS):
        held = np.arange(u.size) % _FOLDS == fold
        known = w[~held], u[~held]
        again = [_again(*v, *known, seed, fold) for v in zip(_KERNELS, found, strict=True)]
        centre, claimed[held] = _averaged(tuple(again), w[held], float(known[1].max()))
        missed[held] = centre - u[held]
    return missed, claimed


def _again(
    kernel: Use, vectors: list[Floats], weights: Floats, u: Floats, seed: int, fold: int
) -> Draws:
    """A process without a fold; where parameters were drawn, they are drawn on from one of them."""
    if len(vectors) > 1:
        rng = seeding.generator(seed, "mixture regression", kernel[0].name, fold)
        start = vectors[-1 - fold]
        vectors = warped_process.draws(kernel[0], start, weights, u, _FOLD_DRAWS, rng)
    return _conditioned(weights, u, kernel, vectors)
