"""Two ideas of how domains act together: correlations between mixtures for `warped_process`.

`MATERN` is free to let every domain depend on all others; `ANOVA` is near a sum of one function per
domain, with interactions as far as the runs ask for them (Durrande et al. 2012, Additive covariance
kernels for high-dimensional Gaussian process modelling; Duvenaud et al. 2011, Additive Gaussian
processes). Their errors differ, so their average is better than either.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Kernel(NamedTuple):
    """A correlation between features x (n, k) and y (m, k), 1 where they are equal.

    Attributes:
      name: For the random numbers.
      correlation: Of x, y and the interaction, shape (n, m).
      slopes: Of x, the interaction and the derivatives (n, n) of a value along correlation(x, x);
        its derivatives along x, shape (n, k), and along the log of the interaction.
    """

    name: str
    correlation: Callable[[Floats, Floats, float], Floats]
    slopes: Callable[[Floats, float, Floats], tuple[Floats, float]]


def _matern(x: Floats, y: Floats, interaction: float) -> Floats:
    """Matern 5/2 of the distance; the interaction is idle."""
    r = _root5(x, y)
    return np.asarray((1 + r + r * r / 3) * np.exp(-r))


def _matern_slopes(x: Floats, interaction: float, by: Floats) -> tuple[Floats, float]:
    r = _root5(x, x)
    by_squared = by * np.exp(-r) * (1 + r) * (-5 / 6)
    return 4 * (by_squared.sum(1)[:, None] * x - by_squared @ x), 0.0


def _root5(x: Floats, y: Floats) -> Floats:
    """sqrt(5) times the distances, shape (n, m)."""
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.asarray(np.sqrt(5 * np.maximum(squared, 0)))


def _anova(x: Floats, y: Floats, interaction: float) -> Floats:
    """Product over domains of (1 + t c) / (1 + t), c = 1 / (1 + (x_i - y_i)^2 / 2), Cauchy's.

    For a small interaction t it is nearly 1 + t sum_i (c_i - 1), additive; for a large one the
    product of all c_i. One matrix at a time: memory n m whatever k.
    """
    out = np.ones((len(x), len(y)))
    for a, b in zip(x.T, y.T, strict=True):
        q = 1 + 0.5 * (a[:, None] - b) ** 2
        out *= (q + interaction) / (q * (1 + interaction))
    return out


def _anova_slopes(x: Floats, interaction: float, by: Floats) -> tuple[Floats, float]:
    """With q as above, d log k / d q = -t / (q (q + t)) and d log k / d t = 1/(q+t) - 1/(1+t)."""
    t, along = interaction, by * _anova(x, x, interaction)
    by_x, by_t = np.empty_like(x), -x.shape[1] * t / (1 + t) * along.sum()
    for i, a in enumerate(x.T):
        q = 1 + 0.5 * (a[:, None] - a) ** 2
        part = along / (q + t)
        by_t += t * part.sum()
        part *= -t / q
        by_x[:, i] = 2 * (part.sum(1) * a - part @ a)
    return by_x, float(by_t)


MATERN = Kernel("matern", _matern, _matern_slopes)
ANOVA = Kernel("anova", _anova, _anova_slopes)
