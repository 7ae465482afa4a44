"""Goyal et al. (2024), ablation: repeated samples count less, the utility stays."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import epochs, protocol, repetition_utility


@dataclasses.dataclass(frozen=True)
class EffectiveData:
    """The effective-data variant of `RepetitionUtility` (Goyal et al. 2024, Eq. 1.3 of our notes).

    Between two moments at which some stratum starts an epoch, a sample of stratum i counts
    delta_i = (1/2)^{k_i w_i / tau_i}. The effective count grows by the mean of delta over what is
    seen, and d log y / d log n_eff is the mean of b over what still counts. For equal shares and
    pools this is their formula; for any others, our continuous form.

    Attributes are those of `RepetitionUtility`; d is outside.
    """

    name: ClassVar[str] = "EffectiveData"
    b: Sequence[float]
    tau: Sequence[float]
    a: float
    d: float
    normaliser: float = repetition_utility.NORMALISER

    def __post_init__(self) -> None:
        repetition_utility.check(self.b, self.tau, self.a, self.d)

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, m = protocol.broadcast(weights, samples, supply, k=len(self.b))
        shape = n.shape[:-1]
        w, m, n = w.reshape(-1, w.shape[-1]), m.reshape(-1, m.shape[-1]), n.reshape(-1, 1)
        if not len(n):
            return np.zeros(shape)
        x = n * w / np.maximum(m, 1)
        return (np.exp(self._log_error(w, x, n[:, 0])) + self.d).reshape(shape)

    def _log_error(
        self, w: NDArray[np.float64], x: NDArray[np.float64], n: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log of the error above d of x (r, k) epochs with shares w (r, k) of n (r,) samples."""
        cell, low, width, _ = epochs.blocks(x)
        first, part, block = epochs.timeline(x)
        rate = (np.log(2) * w / np.asarray(self.tau, np.float64)).reshape(-1)
        counts = (w.reshape(-1)[cell] * epochs.discounts(rate[cell], low, width))[block]
        total = counts.sum(1)
        # Where nothing counts any more there is no growth either, whatever the utility.
        utility = np.divide(counts @ self.b, total, out=np.zeros(len(total)), where=total > 0)
        grown = part * total
        grown[first[1:]] -= np.add.reduceat(grown, first)[:-1]  # every training from nothing
        log = np.log(np.cumsum(grown))
        steps = np.diff(log, prepend=0.0)
        steps[first] = log[first] + np.log(n * self.a / self.normaliser)
        return np.add.reduceat(utility * steps, first)

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        return repetition_utility.RepetitionUtility.prior(cells)

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        law = repetition_utility.RepetitionUtility.from_vector(vector, cells)
        return cls(law.b, law.tau, law.a, law.d)

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        return repetition_utility.RepetitionUtility.values(vector, cells)

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        return repetition_utility.RepetitionUtility.starts(cells)
