"""InfoLaw (Liu et al. 2026): loss as a power of the information that a mixture holds."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import profile, runs

SHARES = (0.05, 0.15, 0.2, 0.2, 0.2, 0.2)  # of the pool, best bucket first
UNIT = 1e9  # tokens; see the class

_NONLINEAR = ("theta", "a", "b")
_BOUNDS = ((1e-3, 10.0), (1e-4, 10.0), (1e-4, 50.0))
_STARTS = ((0.9, 0.14, 0.02), (0.3, 0.05, 0.5), (2.0, 0.5, 0.1), (0.5, 0.01, 2.0), (0.1, 0.2, 5.0))


@dataclasses.dataclass(frozen=True)
class InfoLaw:
    """L = alpha info^-beta (Liu et al. 2026, InfoLaw, 2605.02364).

    A pool of S distinct tokens falls into quality buckets d = 0, 1, ... with fixed `shares` B_d;
    K tokens are drawn with weights w_d. With M_d = min(w_d K, B_d S) distinct and R_d = w_d K / M_d
    passes,

        info = sum_d exp(-theta d) M_d log K (1 - exp(-lambda R_d / log K)),   lambda = a ln N + b.

    The defaults are the published constants. Unverified: the source does not state the units of K,
    M and N. With raw tokens the loss comes out at 1.1 to 1.2, in 1e9 tokens at a credible 2.8 to
    3.6, so `unit` is 1e9 tokens and N is raw. Refit before relying on a level; the order of
    mixtures depends on the unit only through log K.

    Attributes:
      theta: Decay of worth from bucket to bucket.
      a: Slope of lambda in ln N.
      b: Its intercept.
      alpha: Scale of loss.
      beta: Exponent of information.
      shares: B, of the pool.
      unit: Tokens per unit of K and M.
    """

    name: ClassVar[str] = "InfoLaw"
    theta: float = 0.922
    a: float = 0.140
    b: float = 0.018
    alpha: float = 3.7373
    beta: float = 0.0441
    shares: Sequence[float] = SHARES
    unit: float = UNIT

    def information(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike, weights: ArrayLike
    ) -> NDArray[np.float64]:
        """Info, shape (...,), in units of tokens.

        Args:
          params: N.
          tokens: K.
          unique: S, the whole pool.
          weights: Shape (..., buckets), sum 1.

        Raises:
          PlanError: a run is no longer than one unit, where log K is not positive.
        """
        n, k, s = (np.asarray(x, np.float64) for x in (params, tokens, unique))
        if (k <= self.unit).any():
            raise errors.PlanError(
                f"InfoLaw needs more than {self.unit:g} tokens, got {k.min():g}",
                why="its log K is that of tokens in units",
                remedy="give a smaller unit and refit",
            )
        w = np.asarray(weights, np.float64)
        rate = np.asarray(self.a * np.log(n) + self.b)
        return information(k / self.unit, s / self.unit, w, self.shares, self.theta, rate)

    def predict(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike, weights: ArrayLike
    ) -> NDArray[np.float64]:
        """Loss; arguments as for `information`."""
        info = self.information(params=params, tokens=tokens, unique=unique, weights=weights)
        return self.alpha * info**-self.beta

    @classmethod
    def fit(
        cls,
        table: runs.Table,
        *,
        shares: Sequence[float] = SHARES,
        unit: float = UNIT,
        resamples: int = 40,
        seed: int = 0,
    ) -> runs.LinearFit:
        """Scale and exponent by ridge regression inside L-BFGS-B over theta, a and b.

        The authors draw 1e5 random (theta, lambda per size) and keep the best rank correlation,
        then regress twice; given (theta, a, b) log loss is linear in log info, so this minimises
        squared log residuals over all five directly, and is deterministic.

        Args:
          table: Columns params, tokens, unique_tokens, loss, and weights, a list per row.
          shares: B.
          unit: Tokens per unit.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        n, k, s, y = (runs.column(table, c) for c in ("params", "tokens", "unique_tokens", "loss"))
        w = runs.matrix(table, "weights")
        if w.shape != (len(y), len(shares)):
            raise errors.PlanError(f"weights have shape {w.shape}, not {(len(y), len(shares))}")
        if (k <= unit).any():
            raise errors.PlanError(f"a run of {k.min():g} tokens is below the unit of {unit:g}")
        runs.enough(len(y), 5, cls.name)

        def design(v: NDArray) -> NDArray:
            theta, a, b = np.exp(v)
            info = information(k / unit, s / unit, w, shares, theta, a * np.log(n) + b)
            return np.stack([np.ones(len(y)), -np.log(info)], axis=1)

        def values(found: dict[str, float]) -> dict[str, float]:
            alpha = float(np.exp(found["log_alpha"]))
            return {n: x for n, x in found.items() if n != "log_alpha"} | {"alpha": alpha}

        names = ("log_alpha", "beta")
        target = np.log(y)
        problem = profile.Separable(_NONLINEAR, _BOUNDS, design, target, names, ("beta",), values)
        found = profile.fit(problem, np.array(_STARTS), resamples=resamples, seed=seed)
        law = cls(**found.parameters, shares=tuple(shares), unit=unit)
        said = (*_gaps(n, w), *found.warnings)
        return runs.LinearFit(law, found.parameters, found.rmse, said, found.interval)


def information(
    tokens: NDArray,
    pool: NDArray,
    weights: NDArray,
    shares: Sequence[float],
    theta: ArrayLike,
    rate: NDArray,
) -> NDArray:
    """Info in units, shape (...,); analytic in `theta` and `rate`."""
    log_k = np.log(tokens)[..., None]
    drawn = weights * tokens[..., None]
    held = np.minimum(drawn, np.asarray(shares) * pool[..., None])  # M
    passes = np.divide(drawn, held, out=np.ones(drawn.shape), where=held > 0)
    worth = np.exp(-np.asarray(theta) * np.arange(len(shares)))
    return (worth * held * log_k * -np.expm1(-rate[..., None] * passes / log_k)).sum(-1)


def _gaps(params: NDArray[np.float64], weights: NDArray[np.float64]) -> list[str]:
    found = []
    if len(np.unique(params)) == 1:
        found.append("only one model size: a and b cannot be told apart")
    if len(np.unique(weights, axis=0)) == 1:
        found.append("only one mixture: theta is unknown")
    return found
