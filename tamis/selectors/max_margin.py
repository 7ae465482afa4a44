"""The max-margin perceptron on pruned data, in the limit of many dimensions.

Gordon's comparison (CGMT) turns the n-dimensional problem into three numbers. A student J with
|J| = 1 lies in the plane of teacher T and probe at an angle `turn` from T, has the ratio
`slope` = r / sqrt(1 - r^2) of its length r in that plane to the rest, and the margin
`offset` = kappa / sqrt(1 - r^2) in units of the rest. It exists while

    load = alpha E[h(offset - slope P)] <= 1,    h(u) = E(u - g)_+^2 = (u^2 + 1) Phi(u) + u phi(u),

with g standard normal and P the coordinate along the student, in the plane, of a kept example
reflected to the teacher's positive side (our notes, Eq. 3.4, divided by s = 1 - r^2). The solution
maximises kappa = offset / sqrt(1 + slope^2) on load = 1. In (slope, 1, turn) / offset this is the
projection of the origin onto a convex set, so the maximum is unique and one bisection inside
another finds it: no grid, no start to choose, and no loss of digits as r tends to 1.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_REACH = 8.5  # standard deviations of a coordinate that count
_DEPTH = 9.0  # h(-9) is 1e-19
_TAIL = np.array([-_DEPTH, -5, -2, 0, 2, 5, _DEPTH])  # panels across the bend of h
_STEP = np.array([-10.0, -6, -2, 0, 2, 6, 10])  # panels across a smoothed step, in widths
_TINY = 1e-100  # in place of 0 in a denominator; its square does not overflow
_FLAT = 1e-15  # a slope below it is 0: the student ignores the plane
_TOLERANCE = 1e-12
_FAINT = 1e-22  # of a load: too far in the tails to see the way
_NOISE = 1e-7  # relative; below it, steps that no longer halve are rounding
_NEWTONS = 200  # 5 are usual


class Kept(NamedTuple):
    """What pruning left of N(0, 1) along the probe.

    Attributes:
      low: Smallest |z| kept, z the coordinate along the probe.
      high: Largest |z| kept.
      fraction: Probability of both together.
      angle: Of the probe to the teacher, in radians; [0, pi/2).
    """

    low: float
    high: float
    fraction: float
    angle: float


class Student(NamedTuple):
    """A student in the coordinates above.

    Attributes:
      slope: Length in the plane over length outside of it.
      turn: Angle to the teacher within the plane, positive towards the probe; radians.
      offset: Margin over length outside the plane.
      torque: d load / d turn up to a positive factor; 0 at the solution, positive before it.
    """

    slope: float
    turn: float
    offset: float
    torque: float


class _Load(NamedTuple):
    """E[h], and E[h'], E[h' P], E[h' N] for P along the student and N across it."""

    value: float
    slope: float
    along: float
    across: float


def solve(alpha: float, kept: Kept) -> Student:
    """The max-margin student of `alpha` kept examples per dimension."""
    ahead = _at_turn(alpha, kept, 0.0)
    if ahead is None:
        raise ArithmeticError(f"no max-margin student at alpha {alpha}, {kept}")
    if abs(ahead.torque) < _TOLERANCE:
        return ahead
    side, last = math.copysign(1, ahead.torque), ahead

    def torque(log_turn: float) -> float:
        nonlocal last
        found = _at_turn(alpha, kept, side * math.exp(log_turn), last)
        last = found or last
        return -1.0 if found is None else side * found.torque

    # The best margin is unimodal in the turn, and directions with none lie beyond those with one.
    root = sign_change(torque, math.log(0.05), highest=math.log(math.pi / 2))
    return _at_turn(alpha, kept, side * math.exp(root), last) or last


def _at_turn(alpha: float, kept: Kept, turn: float, near: Student | None = None) -> Student | None:
    """The student of the largest margin in one direction; None if no slope gives a margin.

    The search starts at the slope of `near`.
    """
    start, offset, step = (math.log(near.slope), near.offset, 0.1) if near else (0.0, 0.0, 1.0)

    def ascent(log_slope: float) -> float:
        nonlocal offset
        slope = math.exp(log_slope)
        offset, load = _offset(alpha, kept, turn, slope, offset)
        rise = load.along / load.slope  # d offset / d slope on load = 1
        return rise if offset <= 0 else (rise * (1 + slope**2) / offset - slope) / (1 + slope)

    if ascent(math.log(_FLAT)) <= 0:
        return None
    slope = math.exp(sign_change(ascent, start, highest=math.inf, step=step))
    offset, load = _offset(alpha, kept, turn, slope, offset)
    return Student(slope, turn, offset, load.across / load.slope) if offset > 0 else None


def _offset(
    alpha: float, kept: Kept, turn: float, slope: float, start: float
) -> tuple[float, _Load]:
    """The offset at which the load is 1.

    Newton from the left on the logarithm of the load, concave for keep-hard, and from the right on
    its square root, always convex: neither passes the root by, whatever the start.
    """
    offset, jump, before = start, 4.0, math.inf
    for _ in range(_NEWTONS):
        load = _load(kept, turn, slope, offset)
        if load.value < _FAINT:
            offset, jump = offset + jump, 2 * jump
            continue
        value = alpha * load.value
        step = -math.log(value) / 2 if value < 1 else 1 / math.sqrt(value) - 1
        step *= 2 * load.value / load.slope
        scale = 1 + abs(offset)
        stuck = before <= _NOISE * scale and abs(step) > before / 2  # a thin slice has few digits
        if stuck or abs(step) <= _TOLERANCE * scale:
            return offset, load
        offset, before = offset + step, abs(step)
    raise ArithmeticError(f"no offset at alpha {alpha}, slope {slope}, turn {turn}, {kept}")


def sign_change(
    rises: Callable[[float], float], start: float, *, highest: float, step: float = 1.0
) -> float:
    """Where a function that is positive and then negative changes sign; `highest` at most."""
    rises = functools.cache(rises)  # an end is looked at twice, and its sign must not change
    low = high = start
    if rises(start) < 0:
        while rises(low := low - step) < 0:
            high, step = low, 2 * step
    else:
        while high < highest and rises(high := min(high + step, highest)) > 0:
            low, step = high, 2 * step
    return optimize.brentq(rises, low, high, xtol=_TOLERANCE) if rises(high) <= 0 else high


def _load(kept: Kept, turn: float, slope: float, offset: float) -> _Load:
    p, weights = _nodes(kept, turn, slope, offset)
    mass, moment = _across(kept, turn, p)
    scale = 2 / kept.fraction * weights * _density(p)
    u = offset - slope * p
    below, density = special.ndtr(u), _density(u)
    value = scale * mass * ((u * u + 1) * below + u * density)
    rise = 2 * scale * (u * below + density)
    return _Load(
        float(value.sum()),
        float(rise @ mass),
        float(rise @ (mass * p)),
        float(rise @ moment),
    )


def _across(kept: Kept, turn: float, p: Array) -> tuple[Array, Array]:
    """Mass and first moment of N given P: Gaussian, on the teacher's side and kept.

    With P, N along and across the student: T.x = P cos(turn) - N sin(turn) > 0, and the probe's
    z = P cos(gap) + N sin(gap), gap = angle - turn, has |z| in [low, high]: two intervals of N cut
    by a half-line.
    """
    gap = kept.angle - turn
    side = p * math.cos(turn) / _off_zero(math.sin(turn))
    edges = np.array([kept.low, kept.high, -kept.high, -kept.low]).reshape(2, 2, 1)
    ends = np.sort((edges - p * math.cos(gap)) / _off_zero(math.sin(gap)), axis=1)  # (2, 2, nodes)
    ends = np.minimum(ends, side) if turn >= 0 else np.maximum(ends, side)
    first, last = ends[:, 0], ends[:, 1]
    flip = np.where(first + last > 0, -1.0, 1.0)  # to the left tail, where ndtr keeps its digits
    mass = abs(special.ndtr(flip * last) - special.ndtr(flip * first))
    return mass.sum(axis=0), (_density(first) - _density(last)).sum(axis=0)


def _nodes(kept: Kept, turn: float, slope: float, offset: float) -> tuple[Array, Array]:
    """Gauss-Legendre panels over P, cut where the density or h bends."""
    gap, blur = kept.angle - turn, abs(math.tan(turn))
    reach = _REACH + kept.low
    lowest = -min(reach, _DEPTH * blur)
    highest = min(reach, (offset + _DEPTH) / max(slope, _TINY))
    walls = np.array([z for z in (kept.low, kept.high) if math.isfinite(z)])
    walls = np.concatenate([walls, -walls])
    corners = walls * math.sin(turn) / _off_zero(math.sin(kept.angle))
    steps = walls / math.cos(gap) + _STEP[:, None] * abs(math.tan(gap))
    bend = (offset - _TAIL) / max(slope, _TINY)
    cuts = np.concatenate(
        [np.linspace(-reach, reach, 13), _STEP * blur, corners, steps.ravel(), bend]
    )
    edges = np.unique(np.clip(cuts, lowest, max(highest, lowest)))
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (_NODES + 1)).ravel(), (half * _WEIGHTS).ravel()


def _density(x: Array) -> Array:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _off_zero(x: float) -> float:
    return math.copysign(max(abs(x), _TINY), x)
