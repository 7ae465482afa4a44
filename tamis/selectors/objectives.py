"""How well a subset represents a pool: monotone submodular functions of it.

======================  =====================================================  ====================
objective               f(S)                                                   source
======================  =====================================================  ====================
`facility_location`     sum_i max_{j in S} s_ij                                Mirchandani & Francis
                                                                               1990
`saturated_coverage`    sum_i min(sum_{j in S} s_ij, share sum_j s_ij)         Lin & Bilmes 2011
`graph_cut`             sum_i sum_{j in S} s_ij - penalty sum_{i,j in S} s_ij  Iyer & Bilmes 2013
`feature_based`         sum_u sqrt(sum_{j in S} m_ju)                          Wei et al. 2014
======================  =====================================================  ====================

s_ij is the cosine of rows i and j, 0 where negative, rounded to 2^-23: sums of such numbers are
exact in float64 for up to 2^30 rows, so that neither blocks nor threads can move a bit. m_ju are
the positive and the negative parts of the components.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis import linalg
from tamis.selectors import greedy

Name = Literal["facility_location", "saturated_coverage", "graph_cut", "feature_based"]
_GRID = 2.0**23
_BLOCK_BYTES = 32 << 20


def similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The s of rows in fixed point, shape (n, m): multiples of 2^-23 in 0..1."""
    s = linalg.products(x, y)
    np.clip(s, 0, 1, out=s)
    s *= _GRID
    np.rint(s, out=s)
    s /= _GRID
    return s


def _by_block(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fold: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """`fold` of the columns of s, a block of bounded memory at a time."""
    step = max(1, _BLOCK_BYTES // (8 * max(len(x), 1)))
    parts = [fold(similarity(x, y[i : i + step])) for i in range(0, len(y), step)]
    return np.concatenate([np.zeros(0), *parts])


@dataclasses.dataclass(frozen=True)
class FacilityLocation:
    """The state is the similarity of each row to the nearest of S.

    Attributes:
      x: Rows to be represented, in fixed point, shape (n, d).
      y: Candidates, shape (m, d).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @property
    def size(self) -> int:
        return len(self.y)

    def empty(self) -> greedy.State:
        return np.zeros(len(self.x))

    def gains(self, state: greedy.State, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        def more(s: NDArray[np.float64]) -> NDArray[np.float64]:
            s -= state[:, None]
            return np.maximum(s, 0, out=s).sum(axis=0)

        return _by_block(self.x, self.y[candidates], more)

    def add(self, state: greedy.State, candidate: int) -> greedy.State:
        return np.maximum(state, similarity(self.x, self.y[[candidate]])[:, 0])

    def tighten(
        self, bound: NDArray[np.float64], before: greedy.State, after: greedy.State
    ) -> NDArray[np.float64]:
        """Exact: only rows that the pick is nearer to have changed, about n / |S| of them."""
        rows = np.flatnonzero(after > before)
        step = max(1, _BLOCK_BYTES // (8 * max(len(self.y), 1)))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            lost = similarity(self.x[part], self.y)
            np.minimum(lost, after[part, None], out=lost)
            lost -= before[part, None]
            bound = bound - np.maximum(lost, 0, out=lost).sum(axis=0)
        return bound


@dataclasses.dataclass(frozen=True)
class SaturatedCoverage:
    """The state is the sum of the similarities of each row to S.

    Attributes:
      x: Rows to be represented, in fixed point, shape (n, d).
      y: Candidates, shape (m, d).
      ceiling: Sum beyond which a row is well represented, shape (n,).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    ceiling: NDArray[np.float64]

    @property
    def size(self) -> int:
        return len(self.y)

    def empty(self) -> greedy.State:
        return np.zeros(len(self.x))

    def gains(self, state: greedy.State, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        room = np.maximum(self.ceiling - state, 0)
        return _by_block(
            self.x, self.y[candidates], lambda s: np.minimum(s, room[:, None], out=s).sum(axis=0)
        )

    def add(self, state: greedy.State, candidate: int) -> greedy.State:
        return state + similarity(self.x, self.y[[candidate]])[:, 0]

    def tighten(
        self, bound: NDArray[np.float64], before: greedy.State, after: greedy.State
    ) -> NDArray[np.float64]:
        return bound


@dataclasses.dataclass(frozen=True)
class GraphCut:
    """The state is the sum of the similarities of each candidate to S.

    Attributes:
      y: Candidates, in fixed point, shape (m, d).
      total: Sum of each candidate's similarities to all rows, shape (m,).
      penalty: For similar pairs within S, 0 to 1/2: monotone up to there.
    """

    y: NDArray[np.float64]
    total: NDArray[np.float64]
    penalty: float

    @property
    def size(self) -> int:
        return len(self.y)

    def empty(self) -> greedy.State:
        return np.zeros(len(self.y))

    def gains(self, state: greedy.State, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        own = np.rint(np.clip(linalg.squares(self.y[candidates]), 0, 1) * _GRID) / _GRID
        return self.total[candidates] - self.penalty * (2 * state[candidates] + own)

    def add(self, state: greedy.State, candidate: int) -> greedy.State:
        return state + similarity(self.y, self.y[[candidate]])[:, 0]

    def tighten(
        self, bound: NDArray[np.float64], before: greedy.State, after: greedy.State
    ) -> NDArray[np.float64]:
        return bound - 2 * self.penalty * (after - before)


@dataclasses.dataclass(frozen=True)
class FeatureBased:
    """The state is the sum of the features of S; it needs no similarities.

    Attributes:
      features: Of the candidates, at least 0, shape (m, d).
    """

    features: NDArray[np.float64]

    @property
    def size(self) -> int:
        return len(self.features)

    def empty(self) -> greedy.State:
        return np.zeros(self.features.shape[1])

    def gains(self, state: greedy.State, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        step = max(1, _BLOCK_BYTES // (8 * max(self.features.shape[1], 1)))
        parts = [
            (np.sqrt(state + self.features[candidates[i : i + step]]) - np.sqrt(state)).sum(axis=1)
            for i in range(0, len(candidates), step)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def add(self, state: greedy.State, candidate: int) -> greedy.State:
        return state + self.features[candidate]

    def tighten(
        self, bound: NDArray[np.float64], before: greedy.State, after: greedy.State
    ) -> NDArray[np.float64]:
        return bound


def named(
    name: Name, x: NDArray[np.float64], y: NDArray[np.float64], strength: float
) -> greedy.Objective:
    """An objective of that name.

    Args:
      name: In the module's table.
      x: Rows to be represented, in fixed point, shape (n, d).
      y: Candidates, shape (m, d).
      strength: The `share` of saturated coverage, or the `penalty` of the graph cut.
    """
    if name == "facility_location":
        return FacilityLocation(x, y)
    if name == "saturated_coverage":
        full = _by_block(x, x, lambda s: s.sum(axis=0))
        return SaturatedCoverage(x, y, np.floor(strength * full * _GRID) / _GRID)
    if name == "graph_cut":
        return GraphCut(y, _by_block(x, y, lambda s: s.sum(axis=0)), strength)
    parts = np.concatenate([np.maximum(y, 0), np.maximum(-y, 0)], axis=1)
    return FeatureBased(parts * 2.0**-25)
