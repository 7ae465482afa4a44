"""Hoffmann et al. (2022): loss falls with parameters and with tokens, each as a power law."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import huber
from tamis.selectors.laws.runs import Runs, Table

_EXPONENTS = (0.15, 0.25, 0.35, 0.5, 0.8)
_STARTS = 6


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best way to spend a compute budget.

    Attributes:
      params: N.
      tokens: D = flops / (6 N).
      loss: Predicted.
    """

    params: float
    tokens: float
    loss: float


@dataclasses.dataclass(frozen=True)
class Chinchilla:
    """L = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, Compute-optimal LLMs, Eq. 2).

    Every token counts as new. The defaults are the published constants; `besiroglu` are those of a
    replication which found the published ones not to fit the published figure.

    Attributes:
      E: Irreducible loss, nats per token.
      A: Scale of the parameter term.
      B: Scale of the token term.
      alpha: Exponent of parameters.
      beta: Exponent of tokens.

    >>> round(float(Chinchilla().predict(params=70e9, tokens=1.4e12)), 2)
    1.94
    """

    name: ClassVar[str] = "Chinchilla"
    E: float = 1.69
    A: float = 406.4
    B: float = 410.7
    alpha: float = 0.34
    beta: float = 0.28

    @classmethod
    def besiroglu(cls) -> Self:
        """Besiroglu et al. (2024), Chinchilla scaling: a replication attempt."""
        return cls(1.8172, 482.01, 2085.43, 0.3478, 0.3658)

    def predict(self, *, params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Loss in nats per token; arguments broadcast."""
        n, d = np.asarray(params, np.float64), np.asarray(tokens, np.float64)
        return self.E + self.A / n**self.alpha + self.B / d**self.beta

    def optimal(self, *, flops: float) -> Optimum:
        """The best size and length for 6 N D = flops, in closed form (their Eq. 4)."""
        total = self.alpha + self.beta
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / total)
        params = g * (flops / 6) ** (self.beta / total)
        tokens = flops / 6 / params
        return Optimum(params, tokens, float(self.predict(params=params, tokens=tokens)))

    @classmethod
    def fit(cls, table: Table | Runs, *, resamples: int = 40, seed: int = 0) -> huber.Fit:
        """Their approach 3: Huber on log loss, log-sum-exp form, L-BFGS from many starts.

        Args:
          table: Columns params, tokens, loss.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        runs = Runs.of(table)
        runs.require(5, cls.name)
        form = Additive.of(runs)
        problem = huber.Problem(
            names=("A", "B", "E", "alpha", "beta"),
            log_loss=lambda v, r: form.log_loss(v, r.params, r.tokens),
            runs=runs,
            mean=np.zeros(5),
            scale=np.full(5, np.inf),
            values=form.constants,
        )
        vector = huber.solve(problem, form.starts(runs))
        found = huber.summary(
            problem, vector, form.law(vector, cls), resamples=resamples, seed=seed
        )
        gaps = runs.gaps(repetition=False)
        return dataclasses.replace(found, warnings=(*gaps, *found.warnings))


@dataclasses.dataclass(frozen=True)
class Additive:
    """The additive form by the logs of its terms at a reference run, which hardly correlate.

    The vector is (log A / n^alpha, log B / d^beta, log E, log alpha, log beta).

    Attributes:
      n: Reference parameters.
      d: Reference tokens.
    """

    n: float
    d: float

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """At the geometric means of the runs."""
        return cls(
            float(np.exp(np.log(runs.params).mean())), float(np.exp(np.log(runs.unique).mean()))
        )

    def log_loss(self, v: Sequence[NDArray] | NDArray, params: NDArray, tokens: NDArray) -> NDArray:
        """Log-sum-exp of the three terms; `v` may be complex, and so may `params` and `tokens`."""
        size = v[0] - np.exp(v[3]) * np.log(params / self.n)
        data = v[1] - np.exp(v[4]) * np.log(tokens / self.d)
        top = np.maximum(np.maximum(size.real, data.real), v[2].real)
        return top + np.log(np.exp(size - top) + np.exp(data - top) + np.exp(v[2] - top))

    def constants(self, v: Sequence[NDArray] | NDArray) -> NDArray:
        """A, B, E, alpha, beta from the first five coordinates."""
        alpha, beta = np.exp(v[3]), np.exp(v[4])
        a = np.exp(v[0] + alpha * np.log(self.n))
        b = np.exp(v[1] + beta * np.log(self.d))
        return np.array([a, b, np.exp(v[2]), alpha, beta])

    def vector(self, law: Chinchilla) -> NDArray[np.float64]:
        """The coordinates of a law; the inverse of `constants`."""
        a = np.log(law.A) - law.alpha * np.log(self.n)
        b = np.log(law.B) - law.beta * np.log(self.d)
        return np.array([a, b, np.log(law.E), np.log(law.alpha), np.log(law.beta)])

    def law(self, v: NDArray[np.float64], kind: type[Chinchilla] = Chinchilla) -> Chinchilla:
        a, b, e, alpha, beta = self.constants(v).tolist()
        return kind(e, a, b, alpha, beta)

    def starts(self, runs: Runs) -> NDArray[np.float64]:
        """The best cells of a grid over the exponents, with A, B, E in closed form.

        (A, alpha) and (B, beta) trade off along ridges; given the exponents, loss is linear.
        """
        found = []
        for alpha in _EXPONENTS:
            for beta in _EXPONENTS:
                size = (runs.params / self.n) ** -alpha / runs.loss
                data = (runs.unique / self.d) ** -beta / runs.loss
                design = np.column_stack([size, data, 1 / runs.loss])
                terms = np.linalg.lstsq(design, np.ones(len(runs)), rcond=None)[0]
                terms = np.maximum(terms, 0.05 * runs.loss.min())
                cost = float(abs(design @ terms - 1).sum())
                found.append((cost, *np.log([*terms, alpha, beta]).tolist()))
        return np.array(sorted(found)[:_STARTS])[:, 1:]
