"""Runs over mixtures of one budget: weights on the simplex, an error each."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors

Floats = NDArray[np.float64]

_KEPT = 4096  # runs beyond it are thinned
_FEWEST = 4
_SLACK = 0.01  # published weights are rounded, so their sums are off by this much


def mixtures(weights: ArrayLike, k: int | None = None) -> Floats:
    """The weights as float64, checked and summing to 1 exactly."""
    w = np.asarray(weights, np.float64)
    if w.ndim == 0 or (k is not None and w.shape[-1] != k):
        raise errors.PlanError(
            f"weights of shape {w.shape}", why=f"the last axis is not {k or 'k'}"
        )
    total = w.sum(-1, keepdims=True)
    bad = ~np.isfinite(w).all(-1) | (w < 0).any(-1) | ~(np.abs(total[..., 0] - 1) <= _SLACK)
    if bad.any():
        row = np.argwhere(np.atleast_1d(bad))[0]
        raise errors.PlanError(
            f"{int(bad.sum())} of {bad.size} mixtures are not weights",
            where=f"row {', '.join(map(str, row))}",
            why=f"NaN, negative, or a sum other than 1 (here {np.atleast_2d(total)[*row, 0]:.4g})",
            remedy="divide each row by its sum",
        )
    return w / total


def distinct(weights: ArrayLike, error: ArrayLike) -> tuple[Floats, Floats, list[str]]:
    """The distinct runs in an order that does not depend on theirs, and what is odd about them."""
    e = np.asarray(error, np.float64)
    w = mixtures(weights)
    if w.ndim != 2 or e.shape != w.shape[:1]:
        raise errors.PlanError(f"weights of shape {w.shape} with errors of shape {e.shape}")
    if not np.isfinite(e).all():
        raise errors.PlanError(
            f"{int((~np.isfinite(e)).sum())} of {e.size} errors are NaN or infinite",
            where=f"row {int(np.flatnonzero(~np.isfinite(e))[0])}",
            remedy="drop diverged runs, or give them the worst error that was seen",
        )
    table = np.unique(np.c_[w, e], axis=0)
    if len(table) < _FEWEST or np.ptp(e) <= 1e-12 * np.abs(e).max():
        raise errors.PlanError(
            f"{len(table)} distinct runs, errors from {e.min():.6g} to {e.max():.6g}"
            if e.size
            else "no runs",
            why="a regression over mixtures needs at least four runs whose errors differ",
        )
    kept = table[even(len(table), _KEPT)]
    return kept[:, :-1], kept[:, -1], _oddities(e.size, table, len(kept))


def _oddities(given: int, table: Floats, kept: int) -> list[str]:
    """Warnings in words."""
    n, k = table.shape[0], table.shape[1] - 1
    _, group = np.unique(table[:, :k], axis=0, return_inverse=True)
    count = np.bincount(group.reshape(-1))
    centre = np.bincount(group.reshape(-1), table[:, k]) / count
    within = float(np.abs(table[:, k] - centre[group.reshape(-1)]).max())
    same = np.flatnonzero(np.ptp(table[:, :k], axis=0) < 1e-9)
    return [
        text
        for true, text in (
            (given > n, f"{given - n} runs repeat another exactly and are counted once"),
            (kept < n, f"{n} runs thinned to {kept}, evenly along their weights"),
            (
                within > 0.5 * table[:, k].std(),
                f"runs of one mixture differ by up to {2 * within:.3g}: noise, or another setting",
            ),
            (n < k, f"{n} runs for {k} domains: intervals lean on the prior"),
            (same.size > 0, f"domains {same.tolist()} never vary: their effect is unknown"),
        )
        if true
    ]


def even(n: int, most: int) -> NDArray[np.int64]:
    """At most so many of n rows, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
