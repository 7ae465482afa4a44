"""The allocations people would try by name, and the name of any allocation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import plan as plan_

ALONE = 0.9  # share from which a stratum is said to be used alone
MOSTLY = 2 / 3  # and from which most is said to come from it
MIXTURE = "mixture"


def named(strata: Sequence[plan_.Stratum]) -> dict[str, NDArray[np.float64]]:
    """Name to shares, shape (k,): each stratum alone, equal, natural, and prefixes of the tiers."""
    k = len(strata)
    supply = np.array([s.supply for s in strata], np.float64)
    found = {f"{s.name} alone": row for s, row in zip(strata, np.eye(k), strict=True)}
    if k > 1:
        found["equal shares"] = np.full(k, 1 / k)
        found |= prefixes(strata)
        found["natural proportions"] = supply / supply.sum()
    return _distinct(found)


def prefixes(
    strata: Sequence[plan_.Stratum], ranking: Sequence[int] | None = None
) -> dict[str, NDArray[np.float64]]:
    """The best j of them in natural proportions, as filtering is practised.

    Args:
      strata: In order.
      ranking: Rank of each stratum, 0 = best; its tier where not given.

    Returns:
      `top <j> tiers` (or `strata`) to shares; all of them is `natural proportions`.
    """
    rank = np.array([s.tier for s in strata] if ranking is None else ranking)
    supply = np.array([s.supply for s in strata], np.float64)
    noun = "tiers" if ranking is None else "strata"
    found = {}
    for j, last in enumerate(np.unique(rank)[:-1], start=1):
        kept = np.where(rank <= last, supply, 0.0)
        found[f"top {j} {noun if j > 1 else noun.replace('strata', 'stratum').rstrip('s')}"] = (
            kept / kept.sum()
        )
    return found


def label(shares: NDArray[np.float64], strata: Sequence[plan_.Stratum]) -> str:
    """What a person would call these shares: `x alone`, `mostly x` or `mixture`."""
    first = int(np.argmax(shares))
    if shares[first] >= ALONE:
        return f"{strata[first].name} alone"
    return f"mostly {strata[first].name}" if shares[first] >= MOSTLY else MIXTURE


def _distinct(found: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Without shares that an earlier name already has."""
    kept: dict[str, NDArray[np.float64]] = {}
    for name, shares in found.items():
        if not any(np.allclose(shares, other) for other in kept.values()):
            kept[name] = shares
    return kept
