"""The mixture with the least projected error at a size, along its gradient.

Kang et al. (2023, §selection): p <- p + eta_t grad, eta_t = 5e-4 * 0.9^t, 100 steps from the
uniform mixture. Those steps add up to 5e-3 |grad|, which for errors between 0 and 1 does not leave
the start; here a step is halved until it gains (Armijo 1966) and doubled when it did.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.transport import limits

_STEPS = 200
_LEAST = 1e-9  # a step that moves less ends the search
_GAIN = 1e-4  # of what the slope promises


class Sloped(Protocol):
    """A law with a gradient: `Coverage` and `Regression`."""

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]: ...

    def gradient(
        self, weights: ArrayLike, samples: float, supply: ArrayLike
    ) -> NDArray[np.float64]: ...


def best_weights(
    laws: Sequence[Sloped], samples: float, supply: ArrayLike, *, caps: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Weights with the least error on average over the laws.

    Args:
      laws: One, or the draws of one too, so that a choice does not chase the noise of a fit.
      samples: The size wanted.
      supply: Shape (k,), unique rows.
      caps: Shape (k,), largest share of each stratum; 1 without.

    Returns:
      Shape (k,), the best of descents from the uniform mixture and from one towards each stratum.

    Raises:
      PlanError: the caps leave no mixture.
    """
    k = np.shape(supply)[-1]
    most = np.ones(k) if caps is None else np.asarray(caps, np.float64)
    if most.shape != (k,) or not (most >= 0).all() or most.sum() < 1:
        raise errors.PlanError(f"caps {most.tolist()} leave no mixture of {k} strata")
    even = np.full(k, 1 / k)
    starts = [even, *(0.5 * even + 0.5 * np.eye(k))]
    allowed = limits.Weights(np.zeros(k), most)
    found = [descend(laws, allowed.nearest(w), samples, supply, allowed) for w in starts]
    return min(found, key=lambda w: _error(laws, w, samples, supply))


def descend(
    laws: Sequence[Sloped],
    start: NDArray[np.float64],
    samples: float,
    supply: ArrayLike,
    allowed: limits.Weights,
) -> NDArray[np.float64]:
    """Projected gradient descent from one start: shape (k,)."""
    w, step = start, 1.0
    value = _error(laws, w, samples, supply)
    for _ in range(_STEPS):
        slope = np.mean([law.gradient(w, samples, supply) for law in laws], axis=0)
        slope -= slope.mean()
        while True:
            moved = allowed.nearest(w - step * slope)
            change = moved - w
            if abs(change).max() < _LEAST:
                return w
            there = _error(laws, moved, samples, supply)
            if there <= value + _GAIN * float(slope @ change):
                break
            step /= 2
        w, value, step = moved, there, 2 * step
    return w


def _error(
    laws: Sequence[Sloped], w: NDArray[np.float64], samples: float, supply: ArrayLike
) -> float:
    return float(np.mean([law.predict(w, samples, supply) for law in laws]))
