"""Shares to whole numbers of samples that sum exactly to the budget."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis import errors


def largest_remainder(
    shares: Sequence[float] | NDArray[np.float64],
    budget: int,
    *,
    limits: Sequence[int] | NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Integer quotas by the method of the largest remainder (Hamilton).

    Args:
      shares: Shape (k,), non-negative; only their proportions count.
      budget: Samples to hand out.
      limits: Shape (k,), the most each stratum can give; what it cannot give goes to the others in
        proportion to their shares.

    Returns:
      Shape (k,), summing to `budget`, and without limits within 1 of `share * budget`. Ties go to
      the stratum that comes first. A stratum with share 0 gets something only when all the others
      are at their limit.

    Raises:
      PlanError: a share is negative or not finite, all are 0, or the limits cannot hold the budget.

    >>> largest_remainder([0.5, 0.25, 0.25], 5)
    array([3, 1, 1])
    """
    p = np.asarray(shares, np.float64)
    if p.size == 0 or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise errors.PlanError(
            f"shares {p.tolist()} cannot be turned into quotas",
            why="they must be finite, not negative and not all 0",
        )
    cap = np.full(p.size, budget) if limits is None else np.asarray(limits, np.int64)
    if budget < 0 or int(np.minimum(cap, budget).sum()) < budget:
        raise errors.PlanError(
            f"a budget of {budget} samples does not fit",
            why=f"the strata can give {int(cap.sum())} at most",
            remedy="raise max_epochs, add sources or lower the budget",
        )
    return _fill(p / p.sum(), budget, np.minimum(cap, budget))


def affordable(
    wanted: NDArray[np.float64],
    each: NDArray[np.float64],
    budget: float,
    *,
    limits: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Integer quotas near wanted ones that never take more than the budget.

    What is wanted is rounded down, and what that leaves goes one sample each by the largest
    remainder, to every stratum that can still be paid.

    Args:
      wanted: Shape (k,), samples, not negative, whose cost is the budget or less.
      each: Shape (k,), what a sample of each stratum takes from the budget; positive.
      budget: In the unit of `each`.
      limits: Shape (k,), most samples of each stratum.

    Returns:
      Shape (k,), each within 1 of what is wanted. Ties go to the stratum that comes first.

    >>> affordable(np.array([2.5, 1.5]), np.array([10.0, 30.0]), 70, limits=np.array([9, 9]))
    array([3, 1])
    """
    whole = np.minimum(np.floor(wanted + 1e-9), limits).astype(np.int64)
    left = budget - float(whole @ each)
    while left < 0:  # only by the rounding of the wanted numbers themselves
        whole[np.argmax(whole * each)] -= 1
        left = budget - float(whole @ each)
    remainder = np.where(whole + 1 <= limits, wanted - whole, 0.0)
    for i in np.argsort(-remainder, kind="stable"):
        if remainder[i] > 1e-9 and each[i] <= left:
            whole[i] += 1
            left = budget - float(whole @ each)
    return whole


def _fill(p: NDArray[np.float64], budget: int, cap: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pour what is left over the strata with room until nothing is left."""
    quota = np.zeros(p.size, np.int64)
    while (left := budget - int(quota.sum())) > 0:
        room = quota < cap
        share = np.where(room, p, 0.0)
        if share.sum() <= 0:
            share = room.astype(np.float64)
        quota = np.minimum(cap, quota + _round(share / share.sum(), left))
    return quota


def _round(p: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Hamilton's method without limits."""
    exact = p * count
    whole = np.floor(exact).astype(np.int64)
    remainder = np.where(p > 0, exact - whole, -1.0)
    first = np.argsort(-remainder, kind="stable")
    whole[first[: count - int(whole.sum())]] += 1
    return whole
