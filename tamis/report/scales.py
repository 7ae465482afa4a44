"""Data to pixels: scales, ticks, and labels that keep their distance."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scale:
    """A monotone map from [low, high] to [start, stop] pixels.

    Attributes:
      low: Smallest value.
      high: Largest value.
      start: Where the smallest is drawn.
      stop: Where the largest is drawn; before `start` on an upward axis.
      log: Whether equal ratios take equal room.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, 1e-12))
        part = (at - low) / (high - low) if high > low else 0.5
        return self.start + part * (self.stop - self.start)


def linear(values: Sequence[float], start: float, stop: float, pad: float = 0.06) -> Scale:
    """A scale that holds `values` with a margin of `pad` of their range."""
    low, high = min(values), max(values)
    margin = (high - low) * pad or max(abs(high) * 0.1, 0.01)
    return Scale(low - margin, high + margin, start, stop)


def logarithmic(values: Sequence[float], start: float, stop: float) -> Scale:
    """A scale of ratios that holds the positive `values`."""
    low, high = min(values), max(values)
    if high <= low:
        low, high = low / 2, high * 2
    return Scale(low, high, start, stop, log=True)


def ticks(scale: Scale, about: int = 5) -> list[float]:
    """Round values inside the scale: 1, 2 or 5 times a power of ten apart, or powers of ten."""
    return _log_ticks(scale, about) if scale.log else _linear_ticks(scale, about)


def _linear_ticks(scale: Scale, about: int) -> list[float]:
    rough = (scale.high - scale.low) / max(about, 1)
    if rough <= 0:
        return [scale.low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(scale: Scale, about: int) -> list[float]:
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5)):
        every = [m * 10.0**p for p in powers for m in steps]
        fit = [v for v in every if scale.low * 0.999 <= v <= scale.high * 1.001]
        if found and len(fit) > about + 2:
            break
        found = fit
        if len(found) >= about:
            break
    stride = math.ceil(len(found) / (about + 2)) if found else 1
    return found[::stride]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to `wanted` as a distance of `gap` between them allows.

    The least-squares answer: isotonic regression of wanted[i] - i * gap by pooling neighbours.
    When all do not fit between `low` and `high`, the gap shrinks.

    Args:
      wanted: Shape (n,), any order.
      gap: Pixels between neighbours.
      low: No position is lower.
      high: No position is higher.
    """
    n = len(wanted)
    if not n:
        return []
    gap = min(gap, (high - low) / max(n - 1, 1))
    order = np.argsort(np.asarray(wanted), kind="stable")
    pools: list[tuple[float, int]] = []  # mean, size
    for i, at in enumerate(order):
        mean, size = wanted[at] - i * gap, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, size = (mean * size + other * more) / (size + more), size + more
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    top = max(low, high - (n - 1) * gap)
    found = [0.0] * n
    for i, at in enumerate(order):
        found[int(at)] = min(max(flat[i], low), top) + i * gap
    return found


def apart(values: Sequence[float], widths: Sequence[float], gap: float) -> list[bool]:
    """Which centred labels to show, earlier ones first, so that none overlaps another."""
    taken: list[tuple[float, float]] = []
    shown = []
    for at, wide in zip(values, widths, strict=True):
        left, right = at - wide / 2 - gap / 2, at + wide / 2 + gap / 2
        free = all(right <= a or left >= b for a, b in taken)
        shown.append(free)
        if free:
            taken.append((left, right))
    return shown
