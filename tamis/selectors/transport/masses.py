"""The numbers of a transport problem, checked: marginals, potentials, epsilon."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors

# Sums of float32 shares of a million rows are this close to one another, and no closer.
TOLERANCE = 1e-6


def mass(values: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """Weights of n rows.

    Raises:
      SchemaError: not n of them, negative, not finite, or all zero.
    """
    weights = np.asarray(values, np.float64)
    if weights.shape != (n,):
        raise errors.SchemaError(
            f"{name} has shape {weights.shape}",
            why=f"the cost has {n} rows on that side",
            remedy=f"give ({n},) weights",
        )
    if not np.all(np.isfinite(weights)) or np.any(weights < 0) or not weights.sum() > 0:
        raise errors.SchemaError(
            f"{name} holds values from {weights.min()} to {weights.max()}",
            why="masses are finite, at least 0, and not all 0",
            remedy="find the row they came from; nothing is repaired",
        )
    return weights


def balanced(
    a: ArrayLike, b: ArrayLike, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both marginals, scaled to the total of `a` exactly.

    Raises:
      SchemaError: as for `mass`, or their totals differ by more than 1e-6 of them.
    """
    left, right = mass(a, shape[0], "a"), mass(b, shape[1], "b")
    totals = left.sum(), right.sum()
    if abs(totals[0] - totals[1]) > TOLERANCE * max(totals):
        raise errors.SchemaError(
            f"a sums to {totals[0]:.9g} and b to {totals[1]:.9g}",
            why="balanced transport moves all of one onto all of the other",
            remedy="divide both by their sums, or use transport.unbalanced",
        )
    return left, right * (totals[0] / totals[1])


def drawn(mass: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows in proportion to their mass, evenly along them, and the mass each stands for.

    All rows of mass above 0 where there are no more than `count`; no randomness.
    """
    rows = np.flatnonzero(mass)
    if len(rows) <= count:
        return rows, mass[rows]
    ends = np.cumsum(mass[rows])
    places = np.searchsorted(ends / ends[-1], (np.arange(count) + 0.5) / count)
    places, times = np.unique(np.minimum(places, len(rows) - 1), return_counts=True)
    share = float(ends[-1]) / count
    return rows[places].astype(np.int64), (times * share).astype(np.float64)


def positive(epsilon: float) -> float:
    """The entropic regularisation.

    Raises:
      ConfigError: it is not a finite number above 0.
    """
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise errors.ConfigError(
            f"epsilon is {epsilon}",
            why="it has the units of the cost and must be above 0",
            remedy="start with a twentieth of the median cost, or use transport.exact",
        )
    return float(epsilon)


def vector(values: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """Finite numbers, shape (n,).

    Raises:
      SchemaError: another shape, or not finite.
    """
    x = finite(values, name).astype(np.float64)
    if x.shape != (n,):
        raise errors.SchemaError(
            f"{name} has shape {x.shape}", why="the cost says otherwise", remedy=f"give ({n},)"
        )
    return x


def finite(values: ArrayLike, name: str) -> NDArray[np.floating]:
    """The values as they are, float32 or float64.

    Raises:
      SchemaError: one is not finite; says where.
    """
    x = np.asarray(values)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    if not np.all(np.isfinite(x)):
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise errors.SchemaError(
            f"{name}{list(bad)} is {x[bad]}",
            why="transport needs finite numbers; nothing is repaired",
            remedy="take the row out, or find out why it was not computed",
        )
    return x
