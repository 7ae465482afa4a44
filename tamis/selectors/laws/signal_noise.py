"""Our law: how far a trained classifier points away from the target, in noise and in direction."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol


@dataclasses.dataclass(frozen=True)
class SignalNoise:
    """A law whose error can rise with repetition.

    Derivation. Let the target's two classes be Gaussian, `signal` standard deviations from the
    boundary along a unit vector t. A linear classifier whose weights make the angle theta with t
    errs with probability H(signal cos theta), H = 1 - Phi. What training on a mixture w has put
    into the weights is, per unit of visits,

      - what the strata share with the target: sum_i w_i c_i along t, c_i the `alignment` of
        stratum i's own best direction with t;
      - what they hold beside it: parts of length w_i sqrt(1 - c_i^2), any two of them with the one
        `correlation` rho; squared length q(w) = (1 - rho) sum_i b_i^2 + rho (sum_i b_i)^2;
      - what is not learned yet after n samples: variance (samples_needed / n)^alpha. For the
        nearest-mean classifier of Gaussian classes alpha is exactly 1 and samples_needed falls with
        the square of the distance between the class means, so a stratum whose classes lie
        `strength` times as far apart as others' learns strength^2 times as fast;
      - what belongs to single rows: stratum i puts its share w_i on u_i = min(m_i, n w_i) rows, so
        a row-specific variance v leaves v sum_i w_i^2 / u_i, i.e. v over Kish's effective number of
        distinct rows. Each further visit pulls on a row's own part while the shared part is already
        learned, so it grows with the visits r_i = n w_i / u_i as r_i^kappa.

    Hence, with a(w) = sum_i w_i c_i and g(w) = sum_i w_i strength_i,

        error = 2 chance H( signal a / sqrt(a^2 + q + (samples_needed / (n g^2))^alpha + noise) )
        noise = rows_needed / g^2 sum_i w_i^2 r_i^kappa / u_i

    Strength speeds learning up and does not tilt the direction: a classifier trained by its
    residuals stops being pulled by what it already separates.

    The factor 2 chance is 1 for two balanced classes; for more classes, or a majority, it makes the
    error start at chance instead of 1/2. That is a rescaling and not part of the derivation.

    Limits: no repetition: noise = rows_needed / n, error falls to H(signal cos(w)) with n.
    rows_needed = 0: falls always, repeats as good as new rows (kappa = -1 would say the same).
    rows_needed > 0, one stratum: falls like a power law, turns, and rises as n^kappa. More supply
    never hurts at fixed w and n. A mixture divides a scarce stratum's noise by the square of its
    share and pays in alignment: the trade that the budget decides.

    Attributes:
      alignment: c, in (0, 1), shape (k,).
      correlation: rho, in (0, 1).
      signal: Positive; error of a perfect direction is 2 chance H(signal).
      samples_needed: Samples at which what is not learned equals what a stratum alone can hold.
      alpha: Exponent of learning.
      rows_needed: Distinct rows at which row noise equals what a stratum alone can hold.
      kappa: Growth of a row's noise with its visits, not negative.
      chance: Error of a model that has learned nothing.
      strength: How far apart each stratum's classes lie, relative to the others; all 1 if not
        given.
    """

    name: ClassVar[str] = "SignalNoise"
    alignment: Sequence[float]
    correlation: float
    signal: float
    samples_needed: float
    alpha: float
    rows_needed: float
    kappa: float
    chance: float = 0.5
    strength: Sequence[float] | None = None

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, m = protocol.broadcast(weights, samples, supply, k=len(self.alignment))
        c = np.asarray(self.alignment, np.float64)
        shared = w @ c
        beside = w * np.sqrt(1 - c**2)
        rho = self.correlation
        q = (1 - rho) * (beside**2).sum(-1) + rho * beside.sum(-1) ** 2
        pull = 1.0 if self.strength is None else (w @ np.asarray(self.strength, np.float64)) ** 2
        unlearned = (self.samples_needed / (n[..., 0] * pull)) ** self.alpha
        noise = self.rows_needed / pull * row_noise(w, n, m, self.kappa)
        z = self.signal * shared / np.sqrt(shared**2 + q + unlearned + noise)
        return 2 * self.chance * special.ndtr(-z)

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        """Weak, and free of scale: what is needed to learn lies somewhere among the lengths tried.

        Exponents start at the theory's alpha = 1 and at kappa = 0.5, half-way between a row that is
        absorbed at once (0) and one whose pull never weakens (1).
        """
        k = cells.k
        middle = float(np.log(cells.samples).mean())
        return protocol.Prior(
            names=(
                *(f"alignment[{s}]" for s in cells.names),
                *("correlation", "signal", "samples_needed", "alpha", "rows_needed", "kappa"),
                *(f"strength[{s}]" for s in cells.names),
            ),
            mean=np.array([1.0] * k + [0.0, 0.0, middle, 0.0, middle, np.log(0.5)] + [0.0] * k),
            scale=np.array([1.5] * k + [1.5, 1.0, 2.0, 0.5, 2.0, 0.7] + [0.5] * k),
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        values = cls.values(vector, cells).tolist()
        c, g = tuple(values[: cells.k]), tuple(values[-cells.k :])
        rho, signal, samples, alpha, rows, kappa = values[cells.k : -cells.k]
        return cls(c, rho, signal, samples, alpha, rows, kappa, cells.chance, g)

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        bounded = protocol.logistic(vector[: cells.k + 1])
        return np.concatenate([bounded, np.exp(vector[cells.k + 1 :])])

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        return np.empty((0, 2 * cells.k + 6))


def row_noise(
    w: NDArray[np.float64], n: NDArray[np.float64], m: NDArray[np.float64], kappa: float
) -> NDArray[np.float64]:
    """Inverse of the effective number of distinct rows: sum_i w_i^2 r_i^kappa / u_i, shape (...,).

    With kappa = 0 it is the variance of a weighted mean whose share w_i lies evenly on u_i rows,
    Kish's (1965) design effect over n.
    """
    visits = np.maximum(n * w / np.maximum(m, 1), 1)  # r = n w / min(m, n w)
    return (w * visits ** (1 + kappa)).sum(-1) / n[..., 0]
