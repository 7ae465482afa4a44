"""Greedy maximisers of a monotone submodular function under a budget.

f is known by its gains, f(S + j) - f(S), which only shrink as S grows. Guarantees, of the best
value of any set of the same size, when f is monotone, submodular and f(empty) = 0:

============  ====================================================================  ==============
maximiser     at least                                                              gains computed
============  ====================================================================  ==============
`lazy`        1 - 1/e                                     (Nemhauser et al. 1978)   m, then few
`stochastic`  1 - 1/e - epsilon in the mean               (Mirzasoleiman et al.     m ln(1/epsilon)
              2015, Lazier than lazy greedy, Thm. 1)
`sharded`     (1 - 1/e) / 2 in the mean over shards drawn (Barbosa et al. 2015,     as `lazy` of a
              at random; never below                      Thm. 3)                   shard
              (1 - 1/e) / min(shards, budget)             (Mirzasoleiman et al.
                                                          2013, GreeDi, Thm. 4)
============  ====================================================================  ==============

`lazy` is Minoux's (1978): the same rows as plain greedy, ties to the lowest.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

State = NDArray
_TOGETHER = (4, 64)  # gains computed at once: mostly the first few decide; if not, twice as many


class Objective(Protocol):
    """A monotone submodular function of subsets of candidates 0..m-1."""

    @property
    def size(self) -> int:
        """Candidates, m."""
        ...

    def empty(self) -> State:
        """What is known of the empty set."""
        ...

    def gains(self, state: State, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """f(S + j) - f(S) for some candidates j outside S."""
        ...

    def add(self, state: State, candidate: int) -> State:
        """What is known of S + j."""
        ...

    def tighten(
        self, bound: NDArray[np.float64], before: State, after: State
    ) -> NDArray[np.float64]:
        """Bounds of all gains after a pick, from those before it; as they are, if nothing is cheap.

        Where near-ties abound, lazy evaluation computes most gains anew for every pick; an
        objective that knows what a pick has changed need not.
        """
        ...


def lazy(objective: Objective, budget: int) -> NDArray[np.int64]:
    """The greedy set: always the candidate of the highest gain.

    Args:
      objective: f.
      budget: Candidates wanted; more than m means m.

    Returns:
      Candidates in the order taken, shape (min(budget, m),); the first k are the answer for k.
      Ties go to the lowest.
    """
    picked = np.empty(min(max(budget, 0), objective.size), np.int64)
    bound = np.full(objective.size, np.inf)  # of each gain: what it was when last computed
    state = objective.empty()
    for i in range(len(picked)):
        picked[i] = _highest(objective, state, bound)
        bound[picked[i]] = -np.inf
        before, state = state, objective.add(state, int(picked[i]))
        bound = objective.tighten(bound, before, state)
    return picked


def _highest(objective: Objective, state: State, bound: NDArray[np.float64]) -> int:
    """The candidate of the highest gain; `bound` is tightened on the way."""
    stale = bound > -np.inf
    best, gain = -1, -np.inf
    together, most = _TOGETHER
    while True:
        hopeful = np.flatnonzero(stale & (bound >= gain))
        if not len(hopeful):
            return best
        if not np.isinf(bound[hopeful[0]]) and len(hopeful) > together:
            top = np.argpartition(-bound[hopeful], together)[:together]
            hopeful, together = np.sort(hopeful[top]), min(2 * together, most)
        bound[hopeful] = objective.gains(state, hopeful)
        stale[hopeful] = False
        first = int(hopeful[bound[hopeful].argmax()])
        if bound[first] > gain or (bound[first] == gain and first < best):
            best, gain = first, float(bound[first])


def stochastic(
    objective: Objective, budget: int, epsilon: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The best of a few candidates drawn anew for every pick, m / budget ln(1 / epsilon) of them.

    Args:
      objective: f.
      budget: Candidates wanted; more than m means m.
      epsilon: What is lost of the guarantee, 0..1.
      rng: Of the draws.

    Returns:
      As `lazy`, but not a prefix of a larger answer.
    """
    m, k = objective.size, min(max(budget, 0), objective.size)
    drawn = max(1, math.ceil(m / max(k, 1) * math.log(1 / epsilon)))
    left, picked, state = np.arange(m), np.empty(k, np.int64), objective.empty()
    for i in range(k):
        few = np.sort(rng.choice(left, min(drawn, len(left)), replace=False))
        picked[i] = few[objective.gains(state, few).argmax()]
        left = left[left != picked[i]]
        state = objective.add(state, int(picked[i]))
    return picked


def sharded(
    objective: Callable[[NDArray[np.int64], NDArray[np.int64]], Objective],
    shard: NDArray[np.int64],
    budget: int,
) -> NDArray[np.int64]:
    """Two rounds: greedy in every shard on its own, then among all that were taken (GreeDi).

    Args:
      objective: Of rows to be represented and of candidates, both as positions in the pool.
      shard: Of each row of the pool, 0..s-1, at random for the guarantee in the mean.
      budget: Rows wanted; more than n means n.

    Returns:
      As `lazy`: the better, on the whole pool, of the second round's answer and the best shard's,
      filled up from the other where a shard is smaller than the budget.
    """
    n = len(shard)
    if min(budget, n) < 1:
        return np.zeros(0, np.int64)
    members = [np.flatnonzero(shard == s) for s in np.unique(shard)]
    first = [rows[lazy(objective(rows, rows), budget)] for rows in members]
    union = np.sort(np.concatenate(first))
    whole = objective(np.arange(n), union)
    second = lazy(whole, budget)
    answers = [second, *(np.searchsorted(union, rows) for rows in first)]
    best = answers[int(np.argmax([value(whole, a) for a in answers]))]
    return union[np.concatenate([best, second[~np.isin(second, best)]])[: min(budget, n)]]


def value(objective: Objective, rows: NDArray[np.int64]) -> float:
    """What a set of candidates is worth, f(S)."""
    state, total = objective.empty(), 0.0
    for j in rows:
        total += float(objective.gains(state, np.array([j]))[0])
        state = objective.add(state, int(j))
    return total
