"""Draws from a posterior whose gradient is known: Hamiltonian Monte Carlo.

Duane et al. (1987), Hybrid Monte Carlo; Neal (2011), MCMC using Hamiltonian dynamics, Fig. 2.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]
State = tuple[Floats, float, Floats]  # a point, its value and gradient

_LEAPS = 10  # of one trajectory
_FIRST = 0.15  # step, in a space where the prior is standard normal
_JITTER = (0.7, 1.3)  # of the step, so that no trajectory returns to where it began
_BURN_IN = 5  # trajectories that are thrown away and tune the step
_FASTER, _SLOWER, _WANTED = 1.15, 0.85, 0.7  # of the step, above and below the wanted acceptance


def draws(
    objective: Objective, start: Floats, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Points distributed as exp(-value), successive ones correlated.

    Args:
      objective: Of shape (p,), its value (infinite where there is none) and gradient.
      start: Shape (p,), where the value is finite; best near the minimum.
      count: Of draws.
      rng: Of the momenta.

    `_LEAPS` gradients per draw.
    """
    found, taken, step = [], 0, _FIRST
    here = (start, *objective(start))
    for i in range(_BURN_IN + count):
        there, gain = _trajectory(objective, here, step * rng.uniform(*_JITTER), rng)
        if np.log(rng.uniform()) < gain:
            here, taken = there, taken + 1
        if i >= _BURN_IN:
            found.append(here[0])
        else:
            step *= _FASTER if taken > _WANTED * (i + 1) else _SLOWER
    return found


def _trajectory(
    objective: Objective, here: State, step: float, rng: np.random.Generator
) -> tuple[State, float]:
    """Where leapfrog leads from a fresh momentum, and minus what it added to the total energy."""
    x, value, slope = here
    momentum = rng.standard_normal(x.size)
    energy = value + float(momentum @ momentum) / 2
    momentum = momentum - step / 2 * slope
    for leap in range(_LEAPS):
        x = x + step * momentum
        value, slope = objective(x)
        if not np.isfinite(value):
            return here, -np.inf
        momentum = momentum - (step if leap < _LEAPS - 1 else step / 2) * slope
    return (x, value, slope), energy - value - float(momentum @ momentum) / 2
