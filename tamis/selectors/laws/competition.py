"""Choosing the laws: who predicts the longest runs from the shorter ones, and unseen mixtures?"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting, standing
from tamis.selectors.laws.effective_data import EffectiveData
from tamis.selectors.laws.power import Power
from tamis.selectors.laws.protocol import Law
from tamis.selectors.laws.repetition_utility import RepetitionUtility
from tamis.selectors.laws.signal_noise import SignalNoise

LAWS: tuple[type[Law], ...] = (SignalNoise, RepetitionUtility, EffectiveData, Power)

Stands = TypeVar("Stands", bound=standing.Standing)

_LEAST = 0.05  # a law of less weight does not predict
_FEWEST = 3  # misses that say something
_TINY = 1e-9  # an error below it is none
_FOLDS = 16  # of mixtures; with more of them some are left out together


@dataclasses.dataclass(frozen=True)
class Entry(standing.Standing):
    """One law in the competition.

    Attributes:
      fit: On all measurements; `left_out` is refitted from it.
    """

    fit: fitting.Fit

    @property
    def name(self) -> str:
        return self.fit.law.name

    @property
    def fitted_error(self) -> float:
        return self.fit.rmse


def compete(
    measurements: pa.Table | cells_.Cells,
    *,
    laws: tuple[type[Law], ...] = LAWS,
    seed: int = 0,
) -> list[Entry]:
    """Fit every law twice, without the longest runs and with them.

    Returns:
      Entries as `ranked`.
    """
    cells = cells_.of(measurements)
    return ranked([_entry(cells, law, seed) for law in laws])


def ranked(entries: Sequence[Stands]) -> list[Stands]:
    """By their weight in `predictors`; among laws of no weight by held-out error."""
    return [e for e, _ in sorted(_weighed(entries), key=lambda pair: (-pair[1], _rank(pair[0])))]


def predictors(entries: Sequence[Entry]) -> list[tuple[Entry, float]]:
    """Who predicts, with weights that sum to 1, the largest first.

    Pseudo-BMA weights (Yao et al. 2018, Using stacking to average Bayesian predictive
    distributions, section 3.4) on both kinds of misses that no law was fitted to, the longest runs
    and the left-out mixtures: exp(-n/2 sum (mse / least mse - 1)), n the smaller of their numbers,
    since misses of one fit are not independent. Where one law clearly wins it predicts alone; by
    simulation that is nearly always right, and on held-out runs alone the least error is often luck
    (benchmarks/README.md).
    """
    kept = [(e, w) for e, w in _weighed(entries) if w >= _LEAST]
    total = sum(w for _, w in kept)
    return sorted(((e, w / total) for e, w in kept), key=lambda pair: -pair[1])


def _weighed(entries: Sequence[Stands]) -> list[tuple[Stands, float]]:
    misses = [[e.held_out for e in entries], [e.left_out for e in entries]]
    told = [kind for kind in misses if kind[0].size >= _FEWEST]
    penalty = np.zeros(len(entries))
    if not told:  # nothing could be left out: the least misfit, alone
        penalty[np.argsort([e.fitted_error for e in entries], kind="stable")[1:]] = np.inf
    for kind in told:
        error = np.maximum([standing.rms(missed) for missed in kind], _TINY)
        count = min(k[0].size for k in told)
        penalty += count / 2 * ((error / error.min()) ** 2 - 1)
    weight = np.exp(penalty.min() - penalty)
    return list(zip(entries, (weight / weight.sum()).tolist(), strict=True))


def missed(entries: Sequence[Entry], weights: NDArray[np.float64]) -> float:
    """Held-out error of laws that predict together; their misfit where nothing was held out."""
    if entries[0].held_out.size:
        return standing.rms(weights @ np.array([e.held_out for e in entries]))
    return float(np.dot(weights, [e.fitted_error for e in entries]))


def _entry(cells: cells_.Cells, law: type[Law], seed: int) -> Entry:
    longest = cells.samples == cells.samples.max()
    fit = fitting.fit(cells, law=law, seed=seed)
    left_out = _left_out(cells, fit)
    if (~longest).sum() < 2:
        return Entry(fit, held_out=np.empty(0), left_out=left_out)
    blind = fitting.fit(cells.where(~longest), law=law, near=fit.vector).law
    seen = cells.where(longest)
    held_out = blind.predict(seen.weights, seen.samples, seen.supply) - seen.error
    return Entry(fit, held_out=held_out, left_out=left_out)


def _left_out(cells: cells_.Cells, fit: fitting.Fit) -> NDArray[np.float64]:
    """Misses on each cell by the fit without its mixture, one small problem per mixture."""
    mixtures, mixture = np.unique(cells.weights, axis=0, return_inverse=True)
    if len(mixtures) < 3:
        return np.empty(0)
    fold = mixture.reshape(-1) % _FOLDS
    missed = np.empty(len(cells))
    for each in np.unique(fold):
        out = cells.where(fold == each)
        blind = fit.refitted(cells.where(fold != each))
        found = blind.predict(out.weights, out.samples, out.supply)
        missed[fold == each] = found - out.error
    return missed


def _rank(entry: standing.Standing) -> float:
    return entry.held_out_error if entry.held_out.size else entry.fitted_error
