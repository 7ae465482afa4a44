"""Minimising a predicted error over the shares of k strata: no gradients, no randomness inside."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tamis import seeding
from tamis.selectors import bounds

Objective = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (s, k) shares to (s,) errors

_RANDOM_STARTS = 128
_POLISHED = 3
_FIRST_STEP = 1 / 4
_LAST_STEP = 1 / 1024
_ROUNDS = 400


def minimise(
    objective: Objective, named: NDArray[np.float64], allowed: bounds.Bounds, *, seed: int
) -> NDArray[np.float64]:
    """The best shares found from many starts.

    Args:
      objective: Predicted error of each row of shares.
      named: Shape (s, k), starts worth trying by name; they should be allowed.
      allowed: What the shares must keep to.
      seed: Of the random starts, Dirichlet(1/2) so that sparse mixtures are among them.

    Returns:
      Shape (k,), non-negative, summing to 1, no better by any transfer of 1/1024 between two
      strata. Time is O(k^2) predictions a round.
    """
    k = len(allowed.low)
    rng = seeding.generator(seed, "search", k)
    drawn = rng.dirichlet(np.full(k, 0.5), _RANDOM_STARTS)
    starts = np.concatenate([named, [allowed.nearest(w) for w in drawn]])
    first = starts[np.argsort(objective(starts), kind="stable")[:_POLISHED]]
    found = np.array([polish(objective, w, allowed) for w in first])
    return found[np.argmin(objective(found))]


def polish(
    objective: Objective, w: NDArray[np.float64], allowed: bounds.Bounds
) -> NDArray[np.float64]:
    """Best transfer between two strata, again and again, with halving steps."""
    giver, taker = np.nonzero(~np.eye(len(w), dtype=bool))
    best, step = float(objective(w[None])[0]), _FIRST_STEP
    for _ in range(_ROUNDS):
        moved = np.minimum(step, allowed.room(w, giver, taker))
        moves = np.flatnonzero(moved > 0)
        if step < _LAST_STEP or moves.size == 0:
            break
        tried = np.repeat(w[None], moves.size, axis=0)
        rows = np.arange(moves.size)
        tried[rows, giver[moves]] -= moved[moves]
        tried[rows, taker[moves]] += moved[moves]
        values = objective(tried)
        pick = int(np.argmin(values))
        if values[pick] < best - 1e-9:
            best, w = float(values[pick]), tried[pick]
        else:
            step /= 2
    return w
