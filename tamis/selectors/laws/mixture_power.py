"""Fernandes et al. (2023): the mixture moves only the multiplicative factor of a power law."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import profile, runs

_BOUNDS = ((0.01, 3.0),)
_STARTS = ((0.1,), (0.3,), (0.6,), (1.2,))


@dataclasses.dataclass(frozen=True)
class MixturePower:
    """L(N; p) = beta_p N^-alpha + Linf for one task (Fernandes et al. 2023, 2302.09650).

    The task is sampled with weight p. Exponent and irreducible loss do not depend on p, so a model
    of N parameters trained on the mixture is one of f(p) N parameters trained on the task alone:

        f(p) = N_eff / N = (beta_1 / beta_p)^(1 / alpha), whatever N.

    They find f(p) close to p between languages that do not help each other, above p for those that
    do. Between measured weights f is interpolated in logs.

    Attributes:
      factor: Weight p of the task to beta_p.
      alpha: Exponent.
      irreducible: Linf.
    """

    name: ClassVar[str] = "MixturePower"
    factor: Mapping[float, float]
    alpha: float
    irreducible: float

    def predict(self, *, params: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
        """Loss of the task; arguments broadcast.

        Raises:
          PlanError: a share lies outside those measured.
        """
        n = np.asarray(params, np.float64)
        return np.exp(self._log_factor(share)) / n**self.alpha + self.irreducible

    def effective_fraction(self, share: ArrayLike) -> NDArray[np.float64]:
        """f(p), relative to the largest weight measured: 1 if that is the task alone."""
        alone = np.log(self.factor[max(self.factor)])
        return np.exp((alone - self._log_factor(share)) / self.alpha)

    def _log_factor(self, share: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(share, np.float64)
        known = np.array(sorted(self.factor))
        if not ((p >= known[0]) & (p <= known[-1])).all():
            raise errors.PlanError(
                f"a share lies outside the measured {known[0]:g} to {known[-1]:g}",
                why="the law does not say how the factor changes with the mixture",
                remedy="measure that mixture",
            )
        logs = np.log([self.factor[k] for k in known.tolist()])
        return np.interp(np.log(p), np.log(known), logs)

    @classmethod
    def fit(cls, table: runs.Table, *, resamples: int = 40, seed: int = 0) -> runs.LinearFit:
        """All factors and Linf by ridge regression inside L-BFGS-B over alpha.

        Args:
          table: Columns params, share, loss.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        n, p, y = (runs.column(table, c) for c in ("params", "share", "loss"))
        if (p > 1).any():
            raise errors.PlanError(f"share is {p.max():g}", why="a share lies between 0 and 1")
        shares, which = np.unique(p, return_inverse=True)
        runs.enough(len(y), len(shares) + 2, cls.name)
        scale = float(np.exp(np.log(n).mean()))
        chosen = which.reshape(-1)[:, None] == np.arange(len(shares))

        def design(v: NDArray) -> NDArray:
            power = chosen * ((n / scale) ** -np.exp(v[0]))[:, None]
            return np.concatenate([power, np.ones((len(n), 1))], axis=1)

        names = tuple(f"factor[{s:g}]" for s in shares)

        def values(found: dict[str, float]) -> dict[str, float]:
            return found | {name: found[name] * scale ** found["alpha"] for name in names}

        columns = (*names, "irreducible")
        problem = profile.Separable(("alpha",), _BOUNDS, design, y, columns, names, values)
        found = profile.fit(problem, np.array(_STARTS), resamples=resamples, seed=seed)
        best = found.parameters
        factor = dict(zip(shares.tolist(), (best[name] for name in names), strict=True))
        law = cls(factor, best["alpha"], best["irreducible"])
        gaps = ["only one model size: alpha is unknown"] if len(np.unique(n)) == 1 else []
        return runs.LinearFit(law, best, found.rmse, (*gaps, *found.warnings), found.interval)
