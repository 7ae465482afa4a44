"""Budgets where the best strategy changes."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from tamis.schemas import plan as plan_
from tamis.selectors import wording

_BISECTIONS = 5
_OCTAVE = 2.0


def chosen(
    frontier: Sequence[plan_.Point],
    strategy: Callable[[float], str],
    unsure: Callable[[float], plan_.OpenInterval],
    unit: plan_.Unit = "samples",
) -> list[plan_.Crossing]:
    """Where the name of the best allocation changes, by bisection in log budget.

    Regimes of less than an octave are merged into their neighbours: near a border the name flips
    with noise.

    Args:
      frontier: Ascending in budget.
      strategy: Name of the best allocation at a budget.
      unsure: Where else a crossing found at a budget may lie.
      unit: Of the budgets.
    """
    found: list[tuple[float, str, str]] = []
    for low, high in itertools.pairwise(frontier):
        if low.strategy == high.strategy:
            continue
        a, b = float(low.amount), float(high.amount)
        for _ in range(_BISECTIONS):
            middle = math.sqrt(a * b)
            asked = middle if unit == "money" else round(middle)
            a, b = (middle, b) if strategy(asked) == low.strategy else (a, middle)
        found.append((math.sqrt(a * b), low.strategy, high.strategy))
    return [
        _crossing("chosen", at, unsure(at), names, frontier, unit) for at, *names in _merged(found)
    ]


def named(
    frontier: Sequence[plan_.Point],
    unsure: Callable[[float, str, str], plan_.OpenInterval],
    unit: plan_.Unit = "samples",
) -> list[plan_.Crossing]:
    """Where the best of the named strategies changes: their curves cross, log-linear in between.

    Arguments as of `chosen`; `unsure` also takes the strategies before and after.
    """
    found = []
    for low, high in itertools.pairwise(frontier):
        before, after = (min(p.alternatives, key=p.alternatives.__getitem__) for p in (low, high))
        if before == after or after not in low.alternatives or before not in high.alternatives:
            continue
        lead = low.alternatives[after] - low.alternatives[before]
        lag = high.alternatives[before] - high.alternatives[after]
        part = lead / (lead + lag) if lead + lag > 0 else 0.5
        at = low.amount * (high.amount / low.amount) ** part
        ends = unsure(at, before, after)
        found.append(_crossing("named", at, ends, [before, after], frontier, unit))
    return found


def _merged(found: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    kept: list[tuple[float, str, str]] = []
    for at, before, after in found:
        if kept and at < _OCTAVE * kept[-1][0]:
            first, start, _ = kept.pop()
            if start != after:
                kept.append((math.sqrt(first * at), start, after))
        else:
            kept.append((at, before, after))
    return kept


def _crossing(
    kind: plan_.CrossingKind,
    at: float,
    ends: plan_.OpenInterval,
    names: Sequence[str],
    frontier: Sequence[plan_.Point],
    unit: plan_.Unit,
) -> plan_.Crossing:
    logs = np.log([[p.amount, max(p.samples, 1)] for p in frontier])
    samples = float(np.exp(np.interp(np.log(at), *logs.T)))
    before, after = names
    low, high = (None if end is None else _rounded(end) for end in ends)
    said = wording.crossing if kind == "chosen" else wording.named_crossing
    return plan_.Crossing(
        kind=kind,
        amount=_rounded(at),
        interval=(low, high),
        samples=int(_rounded(samples)),
        before=before,
        after=after,
        sentence=said(_rounded(at), (low, high), unit, before, after),
    )


def _rounded(amount: float) -> float:
    """To two digits: more would claim what no pilot can tell."""
    return float(f"{amount:.2g}")
