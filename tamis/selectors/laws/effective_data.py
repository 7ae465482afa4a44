"""Goyal et al. (2024), ablation: repeated samples count less, the utility stays."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol, repetition_utility


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
        w, m, n = w.reshape(-1, w.shape[-1]), m.reshape(-1, m.shape[-1]), n.reshape(-1)
        rows = [self._one(*row) for row in zip(w, n.tolist(), m, strict=True)]
        return np.array(rows).reshape(shape)

    def _one(self, w: NDArray[np.float64], n: float, m: NDArray[np.float64]) -> float:
        used = w > 0
        w, epoch = w[used], m[used] / w[used]
        b, tau = np.asarray(self.b)[used], np.asarray(self.tau)[used]
        last = np.ceil(n / epoch).astype(int)
        turns = [e * np.arange(1, j) for e, j in zip(epoch, last, strict=True)]
        edges = np.unique(np.concatenate([[0.0, n], *turns]))  # (intervals + 1,)
        k = np.floor(edges[:-1, None] * (1 + 1e-12) / epoch)
        counts = w * 0.5 ** (k * w / tau)  # (intervals, strata)
        grown = np.cumsum(np.diff(edges) * counts.sum(1)) * self.a / self.normaliser
        # Where nothing counts any more there is no growth either, whatever the utility.
        utility = np.divide(
            counts @ b, counts.sum(1), out=np.zeros(len(counts)), where=counts.sum(1) > 0
        )
        steps = np.log(grown) - np.log(np.concatenate([[1.0], grown[:-1]]))
        return float(np.exp(utility @ steps)) + self.d

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
