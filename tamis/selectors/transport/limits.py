"""The mixtures that are allowed, and which of them is nearest to a point, or the cheapest."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize

from tamis import errors

# Of a program, in its own units: what keeps it well posed, and how far from optimal it may end.
_RIDGE, _OPTIMAL, _CHANGES = 1e-8, 1e-12, 8


@dataclasses.dataclass(frozen=True)
class Weights:
    """The mixtures that are allowed: floors <= w <= caps, sum 1."""

    floors: NDArray[np.float64]
    caps: NDArray[np.float64]

    def nearest(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Euclidean projection of v: clip(v + shift) for the shift that makes it sum to 1."""

        def excess(shift: float) -> float:
            return float(np.clip(v + shift, self.floors, self.caps).sum() - 1)

        low, high = float((self.floors - v).min()), float((self.caps - v).max())
        if excess(low) >= 0 or excess(high) <= 0:  # one point only
            return self.floors if excess(low) >= 0 else self.caps
        shift = optimize.brentq(excess, low, high, xtol=1e-15, rtol=1e-15)
        return np.clip(v + shift, self.floors, self.caps)

    def least(self, h: NDArray[np.float64]) -> float:
        """The least <w, h>: the cheapest are filled to their caps."""
        left, total = 1 - self.floors.sum(), float(self.floors @ h)
        for i in np.argsort(h, kind="stable"):
            more = min(left, self.caps[i] - self.floors[i])
            total, left = total + more * h[i], left - more
        return float(total)

    def cheapest(
        self, h: NDArray[np.float64], a: NDArray[np.float64], near: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The w of the least <w, h> + <w, A w> / 2, shape (k,), for A without negative eigenvalues.

        The primal method of active sets (Nocedal & Wright 2006, Algorithm 16.3) from `near`, an
        allowed mixture. A little of |w - near|^2 is added for where A has no slope of its own, so
        call it again from there. O(k^3) a change of the set.
        """
        unit = max(float(np.trace(a)) / len(h), float(np.ptp(h)), 1e-300)
        matrix = (a + a.T) / (2 * unit) + _RIDGE * np.eye(len(h))
        slope, w = (h - h.mean()) / unit - _RIDGE * near, near.copy()
        free = (w > self.floors) & (w < self.caps)
        for _ in range(_CHANGES * len(h)):
            gradient = matrix @ w + slope
            step, price = _on(matrix, gradient, free)
            reach = np.where(step > 0, self.caps - w, self.floors - w)
            part = np.divide(reach, step, out=np.full_like(step, np.inf), where=step != 0)
            first = int(part.argmin())
            if part[first] < 1:
                w, free[first] = w + part[first] * step, False
                w[first] = self.caps[first] if step[first] > 0 else self.floors[first]
                continue
            w = w + step
            gain = gradient + matrix @ step - price  # of a share that shrinks
            grows, shrinks = ~free & (w < self.caps), ~free & (w > self.floors)
            wrong = np.maximum(np.where(grows, -gain, 0), np.where(shrinks, gain, 0))
            worst = int(wrong.argmax())
            if wrong[worst] <= _OPTIMAL:
                break
            free[worst] = True
            if free.sum() == 1:  # what it takes or gives needs another one
                other = np.where(shrinks, gain, -np.inf) if gain[worst] < 0 else -gain
                other[~(shrinks if gain[worst] < 0 else grows) | free] = -np.inf
                free[int(other.argmax())] = True
        return np.clip(w, self.floors, self.caps)


def _on(
    matrix: NDArray[np.float64], gradient: NDArray[np.float64], free: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """The step to the least over the free shares, of sum 0, and what all of them then cost."""
    step = np.zeros(len(gradient))
    if not free.any():
        return step, float(np.median(gradient))
    inside = linalg.cho_factor(matrix[np.ix_(free, free)])
    both = linalg.cho_solve(inside, np.stack([gradient[free], np.ones(int(free.sum()))], axis=1))
    price = float(both[:, 0].sum() / both[:, 1].sum())
    step[free] = price * both[:, 1] - both[:, 0]
    return step, price


def weights(floors: ArrayLike, caps: ArrayLike, k: int) -> Weights:
    """Floors and caps of k sources.

    Raises:
      ConfigError: none of the mixtures is within them.
    """
    low, high = (np.array(np.broadcast_to(np.asarray(v, float), k)) for v in (floors, caps))
    sane = np.all(np.isfinite(low) & np.isfinite(high) & (low >= 0) & (low <= high))
    if not sane or low.sum() > 1 + 1e-12 or np.minimum(high, 1).sum() < 1 - 1e-12:
        raise errors.ConfigError(
            f"no mixture of {k} sources has floors {low.tolist()} and caps {high.tolist()}",
            why="shares sum to 1, and a floor is at least 0 and at most its cap",
            remedy="lower the floors or raise the caps",
        )
    return Weights(low, np.minimum(high, 1.0))
