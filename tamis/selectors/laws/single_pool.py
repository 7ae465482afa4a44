"""Goyal et al.'s law on one pool, in milliseconds: what their random grid search does (2024).

With a few errors of one pool at several repeat counts and d given, three numbers are wanted: a, b
and tau. Their code tries 100,000 of a million grid points, since general optimisers stall on the
ridge between a and b. In c = b log a the ridge is straight, so Levenberg-Marquardt from a few
half-lives, all at once, ends at machine precision (Marquardt 1963).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import epochs
from tamis.selectors.laws.repetition_utility import NORMALISER, Irreducible, RepetitionUtility

Floats = NDArray[np.float64]

_STARTS = np.array([1.0, 3.0, 10.0, 40.0])  # half-lives; the published grid is 1 to 10
_RANGE = (0.05, 1e4)  # of half-lives
_ROUNDS = 60
_STEP = 1e-7  # of the forward difference in log tau
_CLOSE = 1e-9  # of the cost, what the next step promises
_EASIER, _HARDER = 0.2, 4.0  # of the damping after a good and a bad step


class Pool(NamedTuple):
    """A fitted pool.

    Attributes:
      law: For this pool alone, k = 1.
      residual: Sum of squared misses.
      warnings: What the runs could not tell, in words.
    """

    law: RepetitionUtility
    residual: float
    warnings: tuple[str, ...]


class _Runs(NamedTuple):
    """What does not change during the search.

    Attributes:
      error: Shape (n,).
      fresh: Shape (n,), log of first-epoch samples over Z.
      growth: Shape (n, blocks).
      blocks: Shape (blocks + 1,).
      d: Irreducible error.
      inside: Whether d is multiplied by the later epochs.
      basis: Shape (3, p), from free parameters to (c, b, log tau).
    """

    error: Floats
    fresh: Floats
    growth: Floats
    blocks: Floats
    d: float
    inside: bool
    basis: Floats


def fit(
    samples: ArrayLike,
    error: ArrayLike,
    supply: float,
    *,
    d: float,
    a: float | None = None,
    irreducible: Irreducible = "inside",
) -> Pool:
    """Least squares for b, tau and, unless it is given, a.

    Args:
      samples: Shape (n,), samples seen by each run; 2 to 10 epochs of the pool, as published.
      error: Shape (n,), error of each run, above d.
      supply: Rows of the pool.
      d: Irreducible error, shared among pools (0.1 in their README).
      a: Scale, shared among pools; None to fit it.
      irreducible: As in `RepetitionUtility`; their code is `inside`.

    Raises:
      PlanError: there are fewer lengths than parameters, an error is not above d, or an argument is
        not finite and positive.

    Time is about 2 ms, whatever the number of runs up to hundreds.
    """
    runs = _runs(samples, error, supply, d=d, a=a, inside=irreducible == "inside")
    v, cost = _search(runs, _starts(runs))
    best = int(np.argmin(cost))
    c, b, log_tau = (runs.basis @ v[best]).tolist()
    law = RepetitionUtility(
        b=(b,),
        tau=(float(np.exp(log_tau)),),
        a=a if a is not None else float(np.exp(c / b)),
        d=d,
        irreducible=irreducible,
    )
    return Pool(law, float(cost[best]), tuple(_oddities(runs, law)))


def _runs(
    samples: ArrayLike, error: ArrayLike, supply: float, *, d: float, a: float | None, inside: bool
) -> _Runs:
    n, y = np.asarray(samples, np.float64), np.asarray(error, np.float64)
    free = 2 if a is not None else 3
    if n.shape != y.shape or n.ndim != 1 or len(np.unique(n)) < free:
        raise errors.PlanError(
            f"samples of shape {n.shape} with errors of shape {y.shape}",
            why=f"{free} parameters need runs of {free} lengths, one error each",
        )
    numbers = np.array([*n, supply, 1.0 if a is None else a])
    if not ((numbers > 0) & np.isfinite(numbers)).all() or not (np.isfinite(y) & (y > d)).all():
        raise errors.PlanError(
            f"errors from {y.min():.6g} to {y.max():.6g} with d = {d:g}",
            why="samples, supply and a must be positive, errors above d, and all of them finite",
        )
    x = n / supply
    blocks = epochs.edges(float(x.max()))
    blocks = blocks[: max(2, int(np.searchsorted(blocks, x.max())) + 1)]
    basis = np.eye(3) if a is None else np.array([[np.log(a), 0], [1, 0], [0, 1]])
    fresh = np.log(np.minimum(n, supply) / NORMALISER)
    return _Runs(
        y, fresh, epochs.growth(x[:, None], blocks[:-1], blocks[1:]), blocks, d, inside, basis
    )


def _later(runs: _Runs, log_tau: Floats) -> Floats:
    """Discounted log growth after the first epoch: shape (s, n)."""
    rate = np.log(2) * np.exp(-log_tau)
    low, width = runs.blocks[:-1], np.diff(runs.blocks)
    return epochs.discounts(rate[:, None], low, width) @ runs.growth.T


def _starts(runs: _Runs) -> Floats:
    """Shape (s, p): for each half-life, log(error - d) is linear in c and b."""
    log_tau = np.log(_STARTS)
    grown = runs.fresh + _later(runs, log_tau)
    found = []
    for x, t in zip(grown, log_tau, strict=True):
        rows = np.column_stack([np.ones_like(x), x]) @ runs.basis[:2, :-1]
        found.append([*np.linalg.lstsq(rows, np.log(runs.error - runs.d))[0], t])
    return np.array(found)


def _misses(runs: _Runs, v: Floats) -> tuple[Floats, Floats]:
    """Misses (s, n) and their slopes (s, n, p) at free parameters (s, p)."""
    c, b, log_tau = (v @ runs.basis.T).T[..., None]
    both = _later(runs, np.concatenate([log_tau[:, 0], log_tau[:, 0] + _STEP]))
    later, moved = both[: len(v)], both[len(v) :]
    again = np.exp(b * later)
    power = np.exp(c + b * runs.fresh) * again
    decaying = power + runs.d * again if runs.inside else power
    by_b = power * runs.fresh + decaying * later
    slopes = np.stack([power, by_b, decaying * b * (moved - later) / _STEP], axis=-1)
    miss = decaying - runs.error if runs.inside else decaying + runs.d - runs.error
    return miss, slopes @ runs.basis


def _search(runs: _Runs, v: Floats) -> tuple[Floats, Floats]:
    """Levenberg-Marquardt from every start at once: parameters (s, p) and costs (s,)."""
    damping, axes = np.full(len(v), 1e-3), np.arange(v.shape[1])
    low, high = np.log(_RANGE)
    miss, slopes = _misses(runs, v)
    cost = (miss * miss).sum(1)
    for _ in range(_ROUNDS):
        across = slopes.transpose(0, 2, 1)
        normal = across @ slopes
        normal[:, axes, axes] *= 1 + damping[:, None]
        normal[:, axes, axes] += 1e-14
        uphill = across @ miss[..., None]
        step = np.linalg.solve(normal, uphill)[..., 0]
        if ((step * uphill[..., 0]).sum(1) <= _CLOSE * cost).all():
            break
        tried = v - np.clip(step, -2, 2)
        tried[:, -1] = np.clip(tried[:, -1], low, high)
        new_miss, new_slopes = _misses(runs, tried)
        new_cost = (new_miss * new_miss).sum(1)
        better = new_cost < cost
        v = np.where(better[:, None], tried, v)
        miss = np.where(better[:, None], new_miss, miss)
        slopes = np.where(better[:, None, None], new_slopes, slopes)
        cost = np.where(better, new_cost, cost)
        damping = np.where(better, damping * _EASIER, damping * _HARDER)
    return v, cost


def _oddities(runs: _Runs, law: RepetitionUtility) -> list[str]:
    """Warnings in words; no fit stays at a bound in silence."""
    found = []
    if (runs.growth > 0).any(1).sum() < 2:
        found.append("fewer than two runs repeat a row: the half-life is unknown")
    elif not _RANGE[0] * 1.01 < law.tau[0] < _RANGE[1] / 1.01:
        found.append(f"half-life {law.tau[0]:.3g} is at the end of its range: unknown")
    if law.b[0] >= 0:
        found.append(f"utility {law.b[0]:.3g} is not negative: error does not fall")
    return found
