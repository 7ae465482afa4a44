"""What is it worth to know before choosing? Expected values of information.

Raiffa & Schlaifer (1961, Applied Statistical Decision Theory, ch. 4). With actions a, equally
likely states s and losses L(a, s), the least expected loss of a choice made now is
min_a E_s L. Who is told the state first loses E_s min_a L; who is told a measurement y of it,
E_y min_a E[L | y]. The differences are the expected values of perfect and of sample information:

    EVPI = min_a E_s L - E_s min_a L >= EVSI = min_a E_s L - E_y min_a E[L | y] >= 0.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors

_NODES = 64  # of Gauss-Hermite; the integrand has kinks, and with more the third digit stays


def perfect(losses: ArrayLike) -> float:
    """EVPI, in the units of the losses: 0 where one action is best in all states.

    Args:
      losses: Shape (a, s), of every action in every equally likely state.
    """
    loss = _checked(losses)
    return max(float(loss.mean(1).min() - loss.min(0).mean()), 0.0)


def sample(losses: ArrayLike, measured: ArrayLike, noise: float) -> float:
    """EVSI of one measurement with normal noise, between 0 and EVPI.

    The outcome is a mixture of normals about what each state would show; its integral is by
    Gauss-Hermite quadrature about every state, and what that misses is cut off at the two bounds.
    Time and memory O(64 s^2 + 64 a s).

    Args:
      losses: Shape (a, s), of every action in every equally likely state.
      measured: Shape (s,), what the measurement would show in each state without noise.
      noise: Its standard deviation, above 0.

    Raises:
      PlanError: shapes disagree, a number is not finite, or the noise is not above 0.
    """
    loss, shown = _checked(losses), np.asarray(measured, np.float64)
    if shown.shape != loss.shape[1:] or not np.isfinite(shown).all() or not noise > 0:
        raise errors.PlanError(
            f"a measurement of shape {shown.shape} with noise {noise} about {loss.shape[1]} states",
            remedy="give a finite value per state and a noise above 0",
        )
    nodes, mass = np.polynomial.hermite_e.hermegauss(_NODES)
    away = (shown[:, None, None] - shown) / noise + nodes[:, None]  # true state, node, state
    likely = np.exp(-(away**2) / 2 + (away**2).min(-1, keepdims=True) / 2)
    belief = likely / likely.sum(-1, keepdims=True)
    told = (belief @ loss.T).min(-1) @ (mass / mass.sum())
    return float(np.clip(loss.mean(1).min() - told.mean(), 0, perfect(loss)))


def _checked(losses: ArrayLike) -> NDArray[np.float64]:
    loss = np.asarray(losses, np.float64)
    if loss.ndim != 2 or not loss.size or not np.isfinite(loss).all():
        raise errors.PlanError(
            f"losses of shape {loss.shape}", why="actions by states are needed, all of them finite"
        )
    return loss
