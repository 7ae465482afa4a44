"""Goyal et al. (2024): the utility of a stratum halves every tau epochs."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import epochs, protocol

NORMALISER = 1e5
Irreducible = Literal["inside", "outside"]

_STARTS = 2


@dataclasses.dataclass(frozen=True)
class RepetitionUtility:
    """Scaling law for data filtering (Goyal et al. 2024, Scaling Laws for Data Filtering).

    One pool of m rows, Eq. (1.2) of our notes: y_K = (a n_1 / Z)^{b_0} prod_k (n_k/n_{k-1})^{b_k}
    + d with b_k = b (1/2)^{k/tau}, n_k the samples seen by the end of epoch k. A uniform mixture of
    p pools (their Theorem 1) has epochs of p m samples, half-lives stretched to p tau, and the mean
    utility of its pools.

    Any shares w_i and supplies m_i, our continuous form: stratum i is in its epoch
    k_i = floor(n w_i / m_i), its half-life is tau_i / w_i because its rows come 1/w_i times less
    often, and d log y / d log n = sum_i w_i b_i (1/2)^{k_i w_i / tau_i}. For w_i = 1/p and equal
    m_i that is theirs, for w = (1, 0, ...) the single pool.

    The law can only fall with n. Where error rises with repetition it is wrong, and loses to
    `SignalNoise` on the pilots that were held out.

    Attributes:
      b: Utility of each stratum, negative; shape (k,).
      tau: Half-life of each stratum in epochs; infinity means repeats are as good as new rows.
      a: Scale of the sample count, inside the power as in their code.
      d: Irreducible error.
      normaliser: Z.
      irreducible: `inside` multiplies d by the later epochs too, as their code does, so d is not an
        asymptote; `outside` is the paper's equation.
    """

    name: ClassVar[str] = "RepetitionUtility"
    b: Sequence[float]
    tau: Sequence[float]
    a: float
    d: float
    normaliser: float = NORMALISER
    irreducible: Irreducible = "outside"

    def __post_init__(self) -> None:
        check(self.b, self.tau, self.a, self.d)
        if self.irreducible not in ("inside", "outside"):
            raise errors.ConfigError(f"irreducible is {self.irreducible!r}: inside or outside")

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, m = protocol.broadcast(weights, samples, supply, k=len(self.b))
        seen = first_epoch(w, n, m) * self.a / self.normaliser
        utility = w * np.asarray(self.b, np.float64)
        fresh = np.exp((utility * np.log(seen)).sum(-1))
        repeated = np.exp((utility * later_epochs(w, n, m, self.tau)).sum(-1))
        if self.irreducible == "inside":
            return (fresh + self.d) * repeated
        return fresh * repeated + self.d

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        """Wide around the published constants: b from -0.005 to -0.5, tau from 1 to 10.

        The scale a is put where the shortest run has error 1 + d, which is where it stands for
        their own data.
        """
        k = cells.k
        start = np.log(NORMALISER / cells.samples.min())
        names = [f"{p}[{s}]" for p, s in itertools.product(("b", "tau"), cells.names)]
        return protocol.Prior(
            names=(*names, "a", "d"),
            mean=np.array([np.log(0.1)] * k + [np.log(4.0)] * k + [start, -0.5]),
            scale=np.array([1.5] * k + [1.5] * k + [3.0, 1.5]),
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        k = cells.k
        values = cls.values(vector, cells).tolist()
        return cls(tuple(values[:k]), tuple(values[k:-2]), values[-2], values[-1])

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        sign = np.where(np.arange(len(vector) - 1) < cells.k, -1.0, 1.0)
        return np.append(sign * np.exp(vector[:-1]), cells.chance * protocol.logistic(vector[-1]))

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        """The best cells of a grid over (a, d, tau), with b in closed form.

        (a, b) trade off along a ridge where a single start stalls, but given a, d and one tau for
        all strata, log(y - d) is linear in b, so the whole grid is one stack of normal equations.
        """
        shortest = NORMALISER / cells.samples.min()
        scales = shortest * np.geomspace(1e-2, 1e3, 11)
        floors = cells.error.min() * np.array([0.02, 0.3, 0.6, 0.8, 0.9, 0.95])
        w, n, m = protocol.broadcast(cells.weights, cells.samples, cells.supply, k=cells.k)
        fresh = np.log(first_epoch(w, n, m) / NORMALISER)
        found = []
        for tau in (1.0, 3.0, 8.0, 30.0):
            grown = fresh + later_epochs(w, n, m, np.full(cells.k, tau))
            for a, d in itertools.product(scales, floors):
                b, cost = _utilities(cells, -w * (grown + np.log(a)), d)
                found.append((cost, *np.log(b), *[np.log(tau)] * cells.k, np.log(a), d))
        best = np.array(sorted(found)[:_STARTS])[:, 1:]
        share = np.clip(best[:, -1] / cells.chance, 1e-6, 1 - 1e-6)
        best[:, -1] = np.log(share / (1 - share))
        return best


def check(b: Sequence[float], tau: Sequence[float], a: float, d: float) -> None:
    """Raise ConfigError unless every stratum has a utility and a positive half-life."""
    if len(b) != len(tau):
        raise errors.ConfigError(f"{len(b)} utilities b and {len(tau)} half-lives tau")
    if not all(t > 0 for t in tau):
        raise errors.ConfigError(f"half-lives {list(tau)} are not all positive")
    if np.isnan(b).any():
        raise errors.ConfigError(f"utilities {list(b)} are not all numbers")
    if not (a > 0 and d >= 0):
        raise errors.ConfigError(f"scale a {a} and irreducible error d {d}", remedy="a > 0, d >= 0")


def first_epoch(
    w: NDArray[np.float64], n: NDArray[np.float64], m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Samples of the whole run until stratum i starts over: min(n, m_i / w_i), shape (..., k)."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # nothing of nothing
        return np.minimum(n, np.where(w > 0, m / w, np.inf))


def later_epochs(
    w: NDArray[np.float64], n: NDArray[np.float64], m: NDArray[np.float64], tau: ArrayLike
) -> NDArray[np.float64]:
    """Log of the growth in samples after the first epoch, each epoch discounted.

    Args:
      w: Shape (..., k), shares.
      n: Shape (..., 1), samples.
      m: Shape (..., k), supply.
      tau: Shape (k,), half-lives in epochs of a stratum alone.

    Returns:
      Shape (..., k): sum_{j>=1} (1/2)^{j w / tau} log(min(x, j + 1) / j) with x = n w / m epochs.
      Exact for 64 epochs; beyond, epochs in blocks 5 % long share their mean discount.
    """
    x = n * w / np.maximum(m, 1)
    rate = np.broadcast_to(np.log(2) * w / np.asarray(tau, np.float64), x.shape).reshape(-1)
    cell, low, width, growth = epochs.blocks(x)
    grown = epochs.discounts(rate[cell], low, width) * growth
    return np.bincount(cell, grown, x.size).astype(np.float64).reshape(x.shape)


def _utilities(
    cells: cells_.Cells, rows: NDArray[np.float64], d: float
) -> tuple[NDArray[np.float64], float]:
    """Least squares for -b in log(error - d) = rows @ (-b): shape (k,), and the cost in sigmas."""
    above = np.maximum(cells.error - d, 1e-9)
    weighted = rows * (above / cells.sigma)[:, None] ** 2
    left = weighted.T @ rows
    # All rows are 0 where every run has one length and a undoes its logarithm.
    ridge = 1e-6 * max(np.trace(left), 1e-9) * np.eye(cells.k)
    b = np.clip(np.linalg.solve(left + ridge, weighted.T @ np.log(above)), 1e-3, 2.0)
    miss = (d + np.exp(np.minimum(rows @ b, 50)) - cells.error) / cells.sigma
    return b, float(miss @ miss)
