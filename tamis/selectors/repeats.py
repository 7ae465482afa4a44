"""How often each row is trained on, in integers that sum to the quota.

A stratum with `supply` rows and a quota of q gives every row q // supply repeats, and q % supply of
them one more: a budget handed out one sample at a time, row after row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors


class Split(NamedTuple):
    """Repeats of every row of a stratum, and how many of its rows get one more.

    Attributes:
      base: Shape (s,) int64.
      extra: Shape (s,) int64, below the supply.
    """

    base: NDArray[np.int64]
    extra: NDArray[np.int64]


def split(quota: NDArray[np.int64], supply: NDArray[np.int64]) -> Split:
    """Whole epochs and the rest.

    Args:
      quota: Shape (s,), samples wanted of each stratum, at least 0.
      supply: Shape (s,), rows of each.

    Raises:
      PlanError: a stratum without rows has a quota.

    >>> split(np.array([7, 2]), np.array([3, 5]))
    Split(base=array([2, 0]), extra=array([1, 2]))
    """
    empty = np.flatnonzero((supply <= 0) & (quota > 0))
    if len(empty):
        raise errors.PlanError(
            f"stratum {empty[0]} has a quota of {quota[empty[0]]} and no rows",
            remedy="plan again with the supply of this run",
        )
    if np.any(quota < 0):
        raise errors.PlanError(f"stratum {int(np.argmin(quota))} has a negative quota")
    base = quota // np.maximum(supply, 1)
    return Split(base, quota - base * supply)
