"""Language-model laws in competition: who predicts the runs with most compute from the others?"""

import dataclasses
import difflib
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.selectors.laws import huber, runs
from tamis.selectors.laws.chinchilla import Chinchilla
from tamis.selectors.laws.data_constrained import DataConstrained
from tamis.selectors.laws.memorisation import Memorisation
from tamis.selectors.laws.mixture_power import MixturePower
from tamis.selectors.laws.mixture_repetition import MixtureRepetition

LOSS = "loss"
_HELD_OUT = 0.2  # of the runs, those with most compute
_SEEDED = (Chinchilla, DataConstrained, Memorisation)  # intervals by bootstrap

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
}
LAWS = tuple(_ARGUMENTS)
_READ = sorted({LOSS, *(name for takes in _ARGUMENTS.values() for name in takes.values())})


@dataclasses.dataclass(frozen=True)
class Entry:
    """One law in the competition.

    Attributes:
      fit: To all runs.
      fitted: Shape (n,), predicted minus measured log loss.
      held_out: The same on the runs with most compute, fitted without them; empty when too few
        runs are left.
    """

    fit: huber.Fit | runs.LinearFit
    fitted: NDArray[np.float64]
    held_out: NDArray[np.float64]

    @property
    def name(self) -> str:
        name: str = self.fit.law.name
        return name

    @property
    def held_out_error(self) -> float:
        """Root mean square; NaN when nothing could be held out."""
        return float(np.sqrt(np.mean(self.held_out**2))) if self.held_out.size else float("nan")

    @property
    def mixture_error(self) -> float:
        """NaN: these laws are about one mixture, or know only the share of one task."""
        return float("nan")

    @property
    def fitted_error(self) -> float:
        return float(np.sqrt(np.mean(self.fitted**2)))


def applicable(table: pa.Table) -> tuple[type[Any], ...]:
    """The laws whose columns are all there; where there are shares, only those that use them."""
    there = set(table.column_names)
    found = [law for law, takes in _ARGUMENTS.items() if {*takes.values(), LOSS} <= there]
    shared = [law for law in found if "share" in _ARGUMENTS[law].values()]
    return tuple(shared or found)


def unread(table: pa.Table) -> tuple[str, ...]:
    """The columns that no law reads, each with the one that it may be meant for."""
    names = [name for name in map(str, table.column_names) if name not in _READ]
    near = [difflib.get_close_matches(name.lower(), _READ, 1) for name in names]
    return tuple(f"{n} ({m[0]}?)" if m else n for n, m in zip(names, near, strict=True))


def fit(table: pa.Table, *, law: type[Any], seed: int = 0) -> huber.Fit | runs.LinearFit:
    """The law's own fit.

    Raises:
      PlanError: the runs are unusable.
    """
    found: huber.Fit | runs.LinearFit
    found = law.fit(table, seed=seed) if law in _SEEDED else law.fit(table)
    return found


def compete(table: pa.Table, *, laws: tuple[type[Any], ...], seed: int = 0) -> list[Entry]:
    """Fit every law to all runs, and without the fifth of them that took most compute.

    Compute is 6 N D, or N where the tokens are not told; runs of equal compute stay together. Laws
    with more parameters than there are runs do not take part.

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
    if idle := unread(table):
        said = f"columns that no law reads: {', '.join(idle)}"
        found = dataclasses.replace(found, warnings=(said, *found.warnings))
    fitted = _missed(found.law, table)
    most = _most(table)
    try:
        blind = law.fit(
            table.filter(pa.array(~most)), **({"resamples": 0} if law in _SEEDED else {})
        )
        return Entry(found, fitted, _missed(blind.law, table.filter(pa.array(most))))
    except errors.PlanError:
        return Entry(found, fitted, np.empty(0))


def _missed(law: Any, table: pa.Table) -> NDArray[np.float64]:  # noqa: ANN401
    takes = {arg: runs.column(table, name) for arg, name in _ARGUMENTS[type(law)].items()}
    with np.errstate(invalid="ignore"):
        missed: NDArray[np.float64] = np.log(law.predict(**takes)) - np.log(
            runs.column(table, LOSS)
        )
    return missed


def _most(table: pa.Table) -> NDArray[np.bool_]:
    """Shape (n,): the runs with most compute."""
    compute = runs.column(table, "params")
    if "tokens" in table.column_names:
        compute = compute * runs.column(table, "tokens")
    return compute >= np.quantile(compute, 1 - _HELD_OUT, method="higher")


def _rank(entry: Entry) -> float:
    error = entry.held_out_error
    return entry.fitted_error if np.isnan(error) else error
