"""`MixtureRegression` among the laws: one for each length of run, the longest predicts.

A regression knows of mixtures only. So runs of several lengths make several regressions, and what
it says of a longer run is what it says of the longest it has seen: RegMix ranks mixtures at a large
budget by runs of a small one (Liu et al. 2024, arXiv 2407.01492), and its held-out error tells what
taking the level along as well would miss.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import language, runs, standing
from tamis.selectors.laws.mixture_regression import MixtureRegression


def fit(measurements: pa.Table | cells_.Cells, *, seed: int = 0) -> runs.LinearFit:
    """The regression of the longest runs.

    Raises:
      PlanError: runs of the longest length differ in supply, or are fewer than four mixtures.
    """
    cells = cells_.of(measurements)
    return _fitted(cells, _lengths(cells)[-1], seed)


def entry(measurements: pa.Table | cells_.Cells, *, seed: int = 0) -> language.Entry:
    """Fit a regression to every length of run.

    The longest runs are predicted by the regression of the next shorter length. A mixture is left
    out of the regression of each length, with others in five folds (`MixtureRegression.left_out`).

    Raises:
      PlanError: runs of one length differ in supply, or are fewer than four mixtures.
    """
    cells = cells_.of(measurements)
    lengths = _lengths(cells)
    found = [_fitted(cells, length, seed) for length in lengths]
    parts = [cells.where(cells.samples == length) for length in lengths]
    fitted = [f.law.predict(p.weights) - p.error for f, p in zip(found, parts, strict=True)]
    longest = parts[-1]
    blind = [f.law.predict(longest.weights) - longest.error for f in found[-2:-1]]
    return language.Entry(
        found[-1],
        np.concatenate(fitted),
        held_out=np.concatenate([*blind, np.empty(0)]),
        left_out=np.concatenate([f.law.left_out for f in found]),
    )


def _lengths(cells: cells_.Cells) -> NDArray[np.float64]:
    """Ascending.

    Raises:
      PlanError: runs of one length differ in supply.
    """
    lengths = np.unique(cells.samples)
    pools = np.unique(np.column_stack([cells.samples, cells.supply]), axis=0)[:, 0]
    if len(pools) > len(lengths):
        torn = lengths[np.bincount(np.searchsorted(lengths, pools)) > 1]
        raise errors.PlanError(
            f"{MixtureRegression.name}: runs of {torn[0]:,.0f} samples differ in their supply",
            why="it knows of mixtures only, so runs of one length need one supply",
            remedy="fit it to runs of one supply, or another law to all",
        )
    return lengths


def _fitted(cells: cells_.Cells, length: float, seed: int) -> runs.LinearFit:
    """Of the runs of one length."""
    lengths = np.unique(cells.samples)
    part = cells.where(cells.samples == length)
    model = MixtureRegression.fit(part.weights, part.error, seed=seed)
    missed = model.predict(part.weights) - part.error
    said = [*cells.warnings, *model.warnings]
    if len(lengths) > 1:
        said.append(f"{len(lengths)} lengths have a regression each: none extrapolates")
    return runs.LinearFit(model, {}, standing.rms(missed), tuple(said))
