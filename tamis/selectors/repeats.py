"""How often each row is trained on, in integers that sum to the quota.

A stratum with `supply` rows and a quota of q gives every row q // supply repeats. The other
q % supply go one each to the first rows by an order key:

- quota below supply (at most one epoch): the best rows, by (score, priority);
- else: any rows, by priority alone, for a second score threshold inside an epoch would weigh the
  stratum's best rows twice.

`tamis.radix` finds those first rows, so nothing is sorted:

    base, extra = repeats.split(quota, supply)
    ranks = [[int(e)] for e in extra]                       # one rank a stratum
    digits = repeats.digits(score, priority, stratum, base) # of each batch, in every pass
    times = repeats.repeats(stratum, base, radix.above(thresholds, stratum, digits))
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors, keys, radix

# float32 score, uint64 priority.
DIGITS = keys.width(np.dtype(np.float32), np.dtype(np.uint64))


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


def digits(
    score: NDArray[np.float32],
    priority: NDArray[np.uint64],
    stratum: NDArray[np.integer],
    base: NDArray[np.int64],
) -> NDArray[np.uint16]:
    """The order key of each row for the extra repeat: (score, priority), or priority alone.

    Args:
      score: Shape (n,), higher = keep.
      priority: Shape (n,), a hash of the uid (`tamis.seeding.priority`).
      stratum: Shape (n,), 0..s-1.
      base: Shape (s,), of `split`.

    Returns:
      Shape (n, 6) uint16, for `tamis.radix`.
    """
    key = keys.digits(score, priority)
    key[base[stratum] > 0, : keys.width(score.dtype)] = 0
    return key


def repeats(
    stratum: NDArray[np.integer], base: NDArray[np.int64], beyond: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Repeats of each row, at least 0.

    Args:
      stratum: Shape (n,), 0..s-1.
      base: Shape (s,), of `split`.
      beyond: Shape (n,), 0 for the rows that get one more (`radix.above`).
    """
    return (base[stratum] + (beyond == 0)).astype(np.int32)


def in_memory(
    score: NDArray[np.float32],
    priority: NDArray[np.uint64],
    stratum: NDArray[np.integer],
    quota: NDArray[np.int64],
) -> NDArray[np.int32]:
    """All of it for one table: repeats of each row, which sum to each stratum's quota.

    Rows that share score and priority (copies of one uid) at a boundary are all taken, so the sum
    can exceed the quota by them; drop copies first. Time O(n), memory O(n).
    """
    base, extra = split(quota, np.bincount(stratum, minlength=len(quota)))
    key = digits(score, priority, stratum, base)
    state = radix.start([[int(e)] for e in extra], DIGITS)
    while not state.done:
        state = radix.refine(state, radix.histogram(state, stratum, key))
    return repeats(stratum, base, radix.above(radix.thresholds(state), stratum, key))
