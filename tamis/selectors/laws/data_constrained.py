"""Muennighoff et al. (2023): repeated tokens and excess parameters count for less and less."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import huber, search_params
from tamis.selectors.laws.chinchilla import Additive, Chinchilla, Optimum
from tamis.selectors.laws.runs import Runs, Table

_LIFETIMES = (2.0, 8.0, 30.0)  # starts for R_D* and R_N*; theirs were 0, 4, ..., 20
_PRIOR = (np.log(10.0), 2.0)  # of log R_D* and log R_N*: from 0.4 to 250 within 90 %


@dataclasses.dataclass(frozen=True)
class DataConstrained:
    """L = E + A / N'^alpha + B / D'^beta (Muennighoff et al. 2023, Scaling data-constrained LMs).

    With U distinct tokens, R_D = D/U - 1 repeats, U_N the parameters that are compute-optimal for
    U, and R_N = N/U_N - 1,

        D' = U + U R_D* (1 - exp(-R_D / R_D*)),    N' = U_N + U_N R_N* (1 - exp(-R_N / R_N*))
        U_N = min((U G)^(beta/alpha) G, N),        G = (alpha A / (beta B))^(1 / (alpha + beta)).

    Loss can only fall with D. The defaults are the published constants, fitted on C4 with alpha =
    beta; the paper's rule of thumb, up to 4 epochs repeats are almost new, is D'(4 U) = 3.73 U.

    Attributes:
      E: Irreducible loss, nats per token.
      A: Scale of the parameter term.
      B: Scale of the token term.
      alpha: Exponent of parameters.
      beta: Exponent of tokens.
      rd_star: R_D*, repeats after which a repeat is worth 1/e of a new token.
      rn_star: R_N*, the same for parameters in excess of U_N.

    >>> round(float(DataConstrained().predict(params=6.34e9, tokens=242e9, unique=25e9)), 6)
    2.225644
    """

    name: ClassVar[str] = "DataConstrained"
    E: float = float(np.exp(0.6254804))
    A: float = float(np.exp(6.255414))
    B: float = float(np.exp(7.3049974))
    alpha: float = 0.3526596
    beta: float = 0.3526596
    rd_star: float = 15.387756
    rn_star: float = 5.309743

    def effective_tokens(self, *, tokens: ArrayLike, unique: ArrayLike) -> NDArray[np.float64]:
        """D'; distinct tokens never exceed the tokens seen."""
        d = np.asarray(tokens, np.float64)
        return saturated(d, np.minimum(np.asarray(unique, np.float64), d), self.rd_star)

    def effective_params(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike
    ) -> NDArray[np.float64]:
        """N': what exceeds the optimum for the distinct tokens counts for less."""
        n = np.asarray(params, np.float64)
        u = np.minimum(np.asarray(unique, np.float64), np.asarray(tokens, np.float64))
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        return saturated(n, np.minimum((u * g) ** (self.beta / self.alpha) * g, n), self.rn_star)

    def predict(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike
    ) -> NDArray[np.float64]:
        """Loss in nats per token; arguments broadcast."""
        n = self.effective_params(params=params, tokens=tokens, unique=unique)
        d = self.effective_tokens(tokens=tokens, unique=unique)
        return self.E + self.A / n**self.alpha + self.B / d**self.beta

    def optimal(self, *, flops: float, unique: float) -> Optimum:
        """The best size and length for 6 N D = flops on `unique` distinct tokens, numerically.

        Raises:
          PlanError: no size inside the searched range is best.
        """
        return search_params.best(self.predict, flops=flops, unique=unique)

    @classmethod
    def fit(
        cls,
        table: Table | Runs,
        *,
        frozen: Chinchilla | None = None,
        resamples: int = 40,
        seed: int = 0,
    ) -> huber.Fit:
        """Huber on log loss from many starts, over all seven constants or R_D* and R_N* alone.

        Args:
          table: Columns params, tokens, unique_tokens, loss.
          frozen: A law of single-epoch runs that keeps its constants, as in the paper.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        runs = Runs.of(table)
        free = 0 if frozen else 5
        runs.require(free + 2, cls.name)
        form = Constrained(Additive.of(runs), frozen)
        problem = huber.Problem(
            names=form.names,
            log_loss=form.log_loss,
            runs=runs,
            mean=np.append(np.zeros(free), [_PRIOR[0]] * 2),
            scale=np.append(np.full(free, np.inf), [_PRIOR[1]] * 2),
            values=form.values,
        )
        vector = huber.solve(problem, form.starts(runs))
        a, b, e, alpha, beta, rd, rn = form.constants(vector).tolist()
        law = cls(e, a, b, alpha, beta, rd, rn)
        found = huber.summary(problem, vector, law, resamples=resamples, seed=seed)
        gaps = runs.gaps(repetition=True)
        return dataclasses.replace(found, warnings=(*gaps, *found.warnings))


@dataclasses.dataclass(frozen=True)
class Constrained:
    """The law as a function of a vector, for the fit.

    Attributes:
      additive: The terms at their reference run.
      frozen: Constants that are not in the vector.
    """

    additive: Additive
    frozen: Chinchilla | None

    @property
    def names(self) -> tuple[str, ...]:
        first = () if self.frozen else ("A", "B", "E", "alpha", "beta")
        return (*first, "rd_star", "rn_star")

    def whole(self, v: NDArray) -> list[NDArray]:
        """The seven coordinates, whatever is frozen."""
        if self.frozen is None:
            return list(v)
        return [*self.additive.vector(self.frozen).tolist(), *v]

    def log_loss(self, v: NDArray, runs: Runs) -> NDArray:
        whole = self.whole(v)
        alpha, beta = np.exp(whole[3]), np.exp(whole[4])
        # log G: A and B are those of the reference run.
        log_a = whole[0] + alpha * np.log(self.additive.n)
        log_b = whole[1] + beta * np.log(self.additive.d)
        log_g = (whole[3] - whole[4] + log_a - log_b) / (alpha + beta)
        optimal = np.exp((np.log(runs.unique) + log_g) * beta / alpha + log_g)
        optimal = np.where(optimal.real < runs.params, optimal, runs.params)
        n = saturated(runs.params, optimal, np.exp(whole[6]))
        d = saturated(runs.tokens, runs.unique, np.exp(whole[5]))
        return self.additive.log_loss(whole, n, d)

    def constants(self, v: NDArray) -> NDArray:
        """A, B, E, alpha, beta, R_D*, R_N*."""
        whole = self.whole(v)
        return np.append(self.additive.constants(whole[:5]), np.exp(whole[5:]))

    def values(self, v: NDArray) -> NDArray:
        return self.constants(v)[-len(self.names) :]

    def starts(self, runs: Runs) -> NDArray[np.float64]:
        """Grids over the single-epoch exponents and over both lifetimes."""
        lives = np.log([[rd, rn] for rd in _LIFETIMES for rn in _LIFETIMES])
        if self.frozen is not None:
            return lives
        return np.array([[*first, *life] for first in self.additive.starts(runs) for life in lives])


def saturated(total: NDArray, unique: NDArray, lifetime: ArrayLike) -> NDArray:
    """D' or N': U (1 + R* (1 - exp(-R / R*))) with R = total / U - 1."""
    lifetime = np.asarray(lifetime)
    repeats = np.where(np.real(total / unique) > 1, total / unique - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return unique + unique * lifetime * -np.expm1(-repeats / lifetime)


def geometric(total: ArrayLike, unique: ArrayLike, delta: float) -> NDArray[np.float64]:
    """The parent of D': every further epoch counts 1 - delta of the one before.

    Muennighoff et al. (2023), section 3, with R* = (1 - delta) / delta; `saturated` approximates it
    by 1 - delta = exp(-1 / R*).

    >>> round(float(geometric(5.0, 1.0, 0.25)), 2)
    3.05
    """
    u = np.asarray(unique, np.float64)
    repeats = np.maximum(np.asarray(total, np.float64) / u - 1, 0)
    return u + (1 - delta) * u * (1 - (1 - delta) ** repeats) / delta
