"""Language-model laws in competition: who predicts the runs with most compute from the others?"""

import dataclasses
import difflib
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.selectors.laws import huber, runs, standing
from tamis.selectors.laws.chinchilla import Chinchilla
from tamis.selectors.laws.data_constrained import DataConstrained
from tamis.selectors.laws.info_law import InfoLaw
from tamis.selectors.laws.memorisation import Memorisation
from tamis.selectors.laws.mixture_power import MixturePower
from tamis.selectors.laws.mixture_repetition import MixtureRepetition

LOSS = "loss"
_HELD_OUT = 0.2  # of the runs, those with most compute
_FOLDS = 5  # of mixtures; with more of them some are left out together
_FEWEST = 3  # mixtures
_MIXTURE = ("share", "weights")  # columns that say what was mixed

# What each law's `predict` takes: argument to column.
_ARGUMENTS: dict[type[Any], dict[str, str]] = {
    Memorisation: {"params": "params", "tokens": "tokens", "unique": "unique_tokens"},
    DataConstrained: {"params": "params", "tokens": "tokens", "unique": "unique_tokens"},
    Chinchilla: {"params": "params", "tokens": "tokens"},
    MixtureRepetition: {
        "params": "params",
        "tokens": "tokens",
        "unique": "unique_tokens",
        "share": "share",
    },
    MixturePower: {"params": "params", "share": "share"},
    InfoLaw: {
        "params": "params",
        "tokens": "tokens",
        "unique": "unique_tokens",
        "weights": "weights",
    },
}
LAWS = tuple(_ARGUMENTS)
_READ = sorted({LOSS, *(name for takes in _ARGUMENTS.values() for name in takes.values())})


@dataclasses.dataclass(frozen=True)
class Entry(standing.Standing):
    """One law in the competition; misses of language-model laws are in log loss.

    Attributes:
      fit: To all runs.
      fitted: Shape (n,), predicted minus measured.
    """

    fit: huber.Fit | runs.LinearFit
    fitted: NDArray[np.float64]

    @property
    def name(self) -> str:
        name: str = self.fit.law.name
        return name

    @property
    def fitted_error(self) -> float:
        return standing.rms(self.fitted)


def applicable(table: pa.Table) -> tuple[type[Any], ...]:
    """The laws whose columns are all there; where a mixture is told, only those that use it."""
    there = set(table.column_names)
    found = [law for law, takes in _ARGUMENTS.items() if {*takes.values(), LOSS} <= there]
    mixed = [law for law in found if set(_MIXTURE) & {*_ARGUMENTS[law].values()}]
    return tuple(mixed or found)


def unread(table: pa.Table) -> tuple[str, ...]:
    """The columns that no law reads, each with the one that it may be meant for."""
    names = [name for name in map(str, table.column_names) if name not in _READ]
    near = [difflib.get_close_matches(name.lower(), _READ, 1) for name in names]
    return tuple(f"{n} ({m[0]}?)" if m else n for n, m in zip(names, near, strict=True))


def fit(table: pa.Table, *, law: type[Any], seed: int = 0) -> huber.Fit | runs.LinearFit:
    """The law's own fit; what it leaves unread is among the warnings.

    Raises:
      PlanError: the runs are unusable.
    """
    found: huber.Fit | runs.LinearFit = law.fit(table, seed=seed)
    idle = unread(table)
    if not idle:
        return found
    said = f"columns that no law reads: {', '.join(idle)}"
    return dataclasses.replace(found, warnings=(said, *found.warnings))


def compete(table: pa.Table, *, laws: tuple[type[Any], ...], seed: int = 0) -> list[Entry]:
    """Fit every law to all runs, and without the fifth of them that took most compute.

    Compute is 6 N D, or N where the tokens are not told; runs of equal compute stay together. Laws
    with more parameters than there are runs, or that cannot read these, do not take part.

    Returns:
      Entries by held-out error, or by misfit where nothing can be held out.

    Raises:
      PlanError: the runs carry none of the laws.
    """
    entries, refused = [], []
    for law in laws:
        try:
            entries.append(_entry(table, law, seed))
        except errors.PlanError as error:
            refused.append(error)
    if not entries:
        raise refused[0]
    return sorted(entries, key=_rank)


def _entry(table: pa.Table, law: type[Any], seed: int) -> Entry:
    found = fit(table, law=law, seed=seed)
    held_out, left_out = _blind(table, law, _most(table)), _left_out(table, law)
    return Entry(found, _missed(found.law, table), held_out=held_out, left_out=left_out)


def _blind(table: pa.Table, law: type[Any], out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Misses on the runs under a mask (n,), fitted without them; none where too few are left."""
    try:
        found = law.fit(table.filter(pa.array(~out)), resamples=0).law
        return _missed(found, table.filter(pa.array(out)))
    except errors.PlanError:
        return np.empty(0)


def _left_out(table: pa.Table, law: type[Any]) -> NDArray[np.float64]:
    """Misses on runs of each mixture, fitted without it; none with fewer than three mixtures.

    The least and the largest share stay: beyond them `MixturePower` claims nothing, and laws are
    compared on the same runs.
    """
    told = [name for name in _ARGUMENTS[law].values() if name in _MIXTURE]
    if not told:
        return np.empty(0)
    mixtures, which = np.unique(runs.matrix(table, told[0]), axis=0, return_inverse=True)
    if len(mixtures) < _FEWEST:
        return np.empty(0)
    which = which.reshape(-1)
    ends = (0, len(mixtures) - 1) if mixtures.ndim == 1 else ()
    fold = np.where(np.isin(which, ends), -1, which % _FOLDS)
    missed = [_blind(table, law, fold == i) for i in np.unique(fold[fold >= 0])]
    return np.concatenate(missed) if all(m.size for m in missed) else np.empty(0)


def _missed(law: Any, table: pa.Table) -> NDArray[np.float64]:  # noqa: ANN401
    takes = {arg: _argument(table, name) for arg, name in _ARGUMENTS[type(law)].items()}
    with np.errstate(invalid="ignore"):
        missed: NDArray[np.float64] = np.log(law.predict(**takes)) - np.log(
            runs.column(table, LOSS)
        )
    return missed


def _argument(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name == "weights":
        return runs.matrix(table, name)
    return runs.column(table, name, positive=name != "share")  # none of the task is a share, too


def _most(table: pa.Table) -> NDArray[np.bool_]:
    """Shape (n,): the runs with most compute."""
    compute = runs.column(table, "params")
    if "tokens" in table.column_names:
        compute = compute * runs.column(table, "tokens")
    return compute >= np.quantile(compute, 1 - _HELD_OUT, method="higher")


def _rank(entry: Entry) -> float:
    error = entry.held_out_error
    return entry.fitted_error if np.isnan(error) else error
