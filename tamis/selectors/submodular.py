"""Subsets that represent the pool: submodular objectives and the selector that maximises one.

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
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, linalg
from tamis.schemas import columns, embeddings
from tamis.selectors import greedy, pools

Name = Literal["facility_location", "saturated_coverage", "graph_cut", "feature_based"]
Maximiser = Literal["lazy", "stochastic", "sharded"]
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
            s = similarity(self.x[part], self.y)
            lost = np.minimum(s, after[part, None]) - before[part, None]
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


def objective(
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


# Of the share: Lin & Bilmes (2011) search it; at budget k of n rows a share near k / n is what S
# could give every row at best, and twice that leaves room. The penalty is the largest allowed.
_STRENGTH = {"graph_cut": 0.5}


@dataclasses.dataclass(frozen=True)
class Submodular:
    """The rows that represent the pool best by one objective.

    Time of `lazy`: n^2 d once (`feature_based`: n d), then for `facility_location` n / i of that
    at pick i, about n^2 d ln(budget) in all; for `graph_cut` n d a pick; for the others as many
    gains of n d each as are near ties. `sharded` divides n^2 by the shards. Memory O(n d) and
    two blocks of 32 MiB, never n^2.

    Attributes:
      objective: In the module's table.
      embedding: Column of vectors.
      maximiser: In `greedy`'s table.
      strength: Share of saturated coverage (default 2 budget / n) or penalty of the graph cut, 0 to
        0.5 (default 0.5).
      epsilon: Of `stochastic`.
      shards: Of `sharded`.
    """

    objective: Name
    embedding: str = embeddings.EMBEDDING
    maximiser: Maximiser = "lazy"
    strength: float | None = None
    epsilon: float = 0.01
    shards: int = 4

    def __post_init__(self) -> None:
        for value, known in ((self.objective, Name), (self.maximiser, Maximiser)):
            if value not in get_args(known):
                raise errors.ConfigError(
                    f"{value!r} is not one of {', '.join(get_args(known))}", where="submodular"
                )
        most = 0.5 if self.objective == "graph_cut" else 1.0
        if not (0 < self.epsilon < 1 and self.shards >= 1 and 0 <= (self.strength or 0) <= most):
            raise errors.ConfigError(
                f"epsilon {self.epsilon}, shards {self.shards}, strength {self.strength}",
                where=self.objective,
                remedy=f"epsilon in (0, 1), at least one shard, strength from 0 to {most}",
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """The vectors, and the uid for ties."""
        return (self.embedding, columns.UID)

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        k = pools.wanted(budget, len(rows))
        if not k:
            return rows[:0]
        x = linalg.fixed_point(pools.unit(pool, self.embedding, rows))
        strength = self.strength
        if strength is None:
            strength = _STRENGTH.get(self.objective, min(1.0, 2 * k / len(rows)))

        def of(ground: NDArray[np.int64], candidates: NDArray[np.int64]) -> greedy.Objective:
            return objective(self.objective, x[ground], x[candidates], strength)

        if self.maximiser == "sharded":
            priority = pools.priority(pool, rows, rng, "shards")
            shard = (priority % np.uint64(self.shards)).astype(np.int64)
            return rows[greedy.sharded(of, shard, k)]
        everything = of(np.arange(len(x)), np.arange(len(x)))
        if self.maximiser == "stochastic":
            return rows[greedy.stochastic(everything, k, self.epsilon, rng)]
        return rows[greedy.lazy(everything, k)]
