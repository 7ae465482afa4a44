"""Minimising a predicted error over the shares of k strata: no gradients, no randomness inside."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tamis import seeding

Objective = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (s, k) shares to (s,) errors

_RANDOM_STARTS = 128
_POLISHED = 3
_FIRST_STEP = 1 / 4
_LAST_STEP = 1 / 1024
_ROUNDS = 400


def minimise(
    objective: Objective, named: NDArray[np.float64], caps: NDArray[np.float64], *, seed: int
) -> NDArray[np.float64]:
    """The best shares found from many starts.

    Args:
      objective: Predicted error of each row of shares.
      named: Shape (s, k), starts worth trying by name; they should respect the caps.
      caps: Shape (k,), the largest share each stratum can have; they sum to at least 1.
      seed: Of the random starts, Dirichlet(1/2) so that sparse mixtures are among them.

    Returns:
      Shape (k,), non-negative, summing to 1, no better by any transfer of 1/1024 between two
      strata. Time is O(k^2) predictions a round.
    """
    k = len(caps)
    rng = seeding.generator(seed, "search", k)
    drawn = np.array([within(w, caps) for w in rng.dirichlet(np.full(k, 0.5), _RANDOM_STARTS)])
    starts = np.concatenate([named, drawn])
    first = starts[np.argsort(objective(starts), kind="stable")[:_POLISHED]]
    found = np.array([polish(objective, w, caps) for w in first])
    return found[np.argmin(objective(found))]


def within(shares: NDArray[np.float64], caps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares under their caps: what a capped stratum cannot hold goes to the others' room."""
    w = np.minimum(shares, caps)
    for _ in range(len(caps)):
        left = 1 - w.sum()
        if left <= 1e-12:
            break
        room = caps - w
        want = np.where(room > 0, shares, 0.0)
        want = want if want.sum() > 0 else np.minimum(room, 1.0)
        w = np.minimum(w + left * (want / want.sum()), caps)
    return w / w.sum()


def polish(
    objective: Objective, w: NDArray[np.float64], caps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Best transfer between two strata, again and again, with halving steps."""
    giver, taker = np.nonzero(~np.eye(len(w), dtype=bool))
    best, step = float(objective(w[None])[0]), _FIRST_STEP
    for _ in range(_ROUNDS):
        moved = np.minimum(step, np.minimum(w[giver], caps[taker] - w[taker]))
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
