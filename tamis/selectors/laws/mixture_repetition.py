"""Sedova et al. (2026): a scarce target repeated inside a generic mixture."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import profile, runs

_NONLINEAR = ("alpha", "beta", "delta", "r1", "tau")
_BOUNDS = ((0.02, 2.0), (0.02, 2.0), (0.001, 2.0), (0.001, 100.0), (0.001, 10.0))
_LINEAR = ("E", "C", "B", "gamma")
_STARTS = (
    (0.3, 0.3, 0.05, 10.0, 0.3),
    (0.5, 0.3, 0.1, 3.0, 0.1),
    (0.2, 0.5, 0.02, 20.0, 1.0),
    (0.8, 0.2, 0.2, 5.0, 0.5),
    (0.3, 0.8, 0.01, 30.0, 0.05),
)


@dataclasses.dataclass(frozen=True)
class MixtureRepetition:
    """L = E + C / N^beta + B N^delta / D_eff^alpha + gamma h (Sedova et al. 2026, 2605.12715).

    A share h of D tokens is drawn from D_T distinct target tokens, so each is seen r = h D / D_T
    times. The first pass counts fully, later ones with a lifetime r_1:

        r_eff = r if r <= 1 else 1 + r_1 (1 - exp(-(r - 1) / r_1)),  D_eff = D_T r_eff + tau (1-h) D

    Larger models need more tokens (N^delta), and gamma h charges for leaving the generic text.

    Unverified: the form is the one adapted and quoted by the marin-community report of 2026-05-14;
    that generic tokens enter D_eff with one learned worth tau is inferred from its wording. Units
    are raw parameters and tokens. No constants are published, so there are no defaults.

    Attributes:
      E: Irreducible loss on the target.
      C: Scale of the parameter term.
      beta: Exponent of parameters.
      B: Scale of the token term.
      delta: Exponent of parameters in the token term.
      alpha: Exponent of effective tokens.
      gamma: Price of the target's share.
      r1: Lifetime of repeats.
      tau: Worth of a generic token in target tokens.
    """

    name: ClassVar[str] = "MixtureRepetition"
    E: float
    C: float
    beta: float
    B: float
    delta: float
    alpha: float
    gamma: float
    r1: float
    tau: float

    def predict(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike, share: ArrayLike
    ) -> NDArray[np.float64]:
        """Loss on the target.

        Args:
          params: N.
          tokens: D, target and generic.
          unique: D_T, distinct target tokens.
          share: h, of the target, in [0, 1].
        """
        n, d, u, h = (np.asarray(a, np.float64) for a in (params, tokens, unique, share))
        data = effective_tokens(d, u, h, self.r1, self.tau)
        size = self.C / n**self.beta
        return self.E + size + self.B * n**self.delta / data**self.alpha + self.gamma * h

    @classmethod
    def fit(cls, table: runs.Table, *, resamples: int = 40, seed: int = 0) -> runs.LinearFit:
        """E, C, B, gamma by ridge regression inside L-BFGS-B over the exponents, r_1 and tau.

        Args:
          table: Columns params, tokens, unique_tokens (of the target), share, loss.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        positive = ("params", "tokens", "unique_tokens", "loss")
        n, d, u, y = (runs.column(table, c) for c in positive)
        h = runs.column(table, "share", positive=False)
        if (h > 1).any():
            raise errors.PlanError(f"share is {h.max():g}", why="a share lies between 0 and 1")
        runs.enough(len(y), len(_NONLINEAR) + len(_LINEAR), cls.name)
        mean_n, mean_d = (float(np.exp(np.log(x).mean())) for x in (n, d))

        def design(v: NDArray) -> NDArray:
            alpha, beta, delta, r1, tau = np.exp(v)
            data = effective_tokens(d, u, h, r1, tau) / mean_d
            size = (n / mean_n) ** -beta
            return np.stack([np.ones(len(n)), size, (n / mean_n) ** delta / data**alpha, h], axis=1)

        def values(found: dict[str, float]) -> dict[str, float]:
            scale = mean_d ** found["alpha"] / mean_n ** found["delta"]
            return found | {
                "C": found["C"] * mean_n ** found["beta"],
                "B": found["B"] * scale,
            }

        signs = ("C", "B")
        problem = profile.Separable(_NONLINEAR, _BOUNDS, design, y, _LINEAR, signs, values)
        found = profile.fit(problem, np.array(_STARTS), resamples=resamples, seed=seed)
        said = (*_gaps(h * d / u, h), *found.warnings)
        law = cls(**found.parameters)
        return runs.LinearFit(law, found.parameters, found.rmse, said, found.interval)


def effective_tokens(
    tokens: NDArray, unique: NDArray, share: NDArray, r1: ArrayLike, tau: ArrayLike
) -> NDArray:
    """D_eff: the target's saturating repeats and the generic rest at `tau` each, shape (...,)."""
    repeats = share * tokens / unique
    r1, again = np.asarray(r1), np.maximum(repeats - 1, 0)
    effective = np.minimum(repeats, 1) - r1 * np.expm1(-again / r1)
    return unique * effective + tau * (1 - share) * tokens


def _gaps(repeats: NDArray[np.float64], share: NDArray[np.float64]) -> list[str]:
    found = []
    again = np.unique(repeats[repeats > 1])
    if not again.size:
        found.append("no run repeats a target token: what repetition costs is unknown")
    elif again.size == 1:
        found.append("only one repeat count: half-life unknown")
    if len(np.unique(share)) == 1:
        found.append("only one share of the target: gamma and tau are unknown")
    return found
