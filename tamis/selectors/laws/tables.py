"""Measurements of any kind to fitted laws: mixtures of strata, or language-model runs.

>>> import numpy as np
>>> from tamis.selectors import laws
>>> n, d = np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11])
>>> runs = {"params": n.ravel(), "tokens": d.ravel()}
>>> runs["val_loss"] = laws.Chinchilla().predict(**runs)
>>> laws.fit(runs, law=laws.Chinchilla).law.predict(params=7e10, tokens=1.4e12).round(2)
np.float64(1.94)
"""

import pathlib
from typing import Any, TypeAlias

import pyarrow as pa

from tamis import errors
from tamis.schemas import measurements as measurements_
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition, fitting, huber, language, regressions, runs
from tamis.selectors.laws.mixture_regression import MixtureRegression
from tamis.selectors.laws.rational import Rational

Entry: TypeAlias = competition.Entry | language.Entry
Fit: TypeAlias = fitting.Fit | huber.Fit | runs.LinearFit

OF_MIXTURES: tuple[type[Any], ...] = (*competition.LAWS, Rational, MixtureRegression)
_ALIASES = {"val_loss": language.LOSS}


def read(path: str | pathlib.Path) -> pa.Table:
    """Measurements from a CSV or Parquet file: of mixtures, or of language models.

    Raises:
      PlanError: there is no such file, or a value cannot be a measurement.
    """
    found = measurements_.load(path)
    with measurements_.in_file(path):
        return known(found)


def known(table: runs.Table) -> pa.Table:
    """The table with the columns that laws expect: nested shares, or `loss` for `val_loss`.

    Raises:
      PlanError: a column is missing or a value cannot be a measurement.
    """
    found = table if isinstance(table, pa.Table) else pa.table(dict(table))
    if measurements_.is_flat(found):
        return measurements_.from_flat(found)
    names = [_ALIASES.get(c, c) for c in found.column_names]
    if names == found.column_names or len(set(names)) < len(names):
        return found  # renaming would lose the metadata, where the strata stand
    return found.rename_columns(names)


def of_mixtures(table: pa.Table) -> bool:
    """Whether it tells what was trained on which mixture of strata."""
    return {measurements_.WEIGHTS, measurements_.SUPPLY} <= set(table.column_names)


def fit(measurements: runs.Table | cells_.Cells, *, law: type[Any], seed: int = 0) -> Any:  # noqa: ANN401
    """Fit one law.

    Args:
      measurements: Of mixtures (see `tamis.schemas.measurements`; or one column `weight:<stratum>`
        and `supply:<stratum>` each), or of language models (params, tokens, unique_tokens, and loss
        or val_loss; some laws also take share).
      law: The class, e.g. `laws.SignalNoise`, `laws.Memorisation`.
      seed: Of random starts and of the bootstrap.

    Returns:
      An object with `law`, `interval` (name of each parameter to (lo, hi), 90 %; empty where the
      law's fit has none), `warnings`, `parameters` and `rmse`.

    Raises:
      PlanError: measurements are unusable, or of another kind than the law's.
    """
    if isinstance(measurements, cells_.Cells):
        return fitting.fit(measurements, law=law, seed=seed)
    table = known(measurements)
    if hasattr(law, "from_vector"):
        return fitting.fit(table, law=law, seed=seed)
    if law is MixtureRegression:
        return regressions.fit(table, seed=seed)
    return language.fit(table, law=law, seed=seed)


def compete(
    measurements: runs.Table, *, laws: tuple[type[Any], ...] = (), seed: int = 0
) -> list[Entry]:
    """Fit every law that the measurements can carry, best first.

    Args:
      measurements: As for `fit`.
      laws: Some of them; all where not given.
      seed: Of random starts and of the bootstrap.

    Raises:
      PlanError: no law is about such measurements, or one of `laws` is not.
    """
    table = known(measurements)
    if of_mixtures(table):
        return _of_mixtures(table, laws, seed)
    _refuse([law for law in laws if law not in language.LAWS], language.LAWS, "language models")
    offered = laws or language.applicable(table)
    if not offered:
        raise errors.PlanError(
            f"no law is about the columns {', '.join(map(str, table.column_names))}",
            why=f"none reads {', '.join(language.unread(table)) or 'so few'}",
            remedy="name them samples, error, weight:<stratum> and supply:<stratum>; or "
            "params, tokens, unique_tokens and loss",
        )
    return list(language.compete(table, laws=offered, seed=seed))


def _of_mixtures(table: pa.Table, laws: tuple[type[Any], ...], seed: int) -> list[Entry]:
    """The regression takes part where runs of each length have one supply and enough mixtures."""
    formed = [law for law in laws or OF_MIXTURES if law is not MixtureRegression]
    strange = [law for law in formed if not hasattr(law, "from_vector")]
    _refuse(strange, OF_MIXTURES, "mixtures of strata")
    found: list[Entry] = []
    if formed:
        found.extend(competition.compete(table, laws=tuple(formed), seed=seed))
    if MixtureRegression in (laws or OF_MIXTURES):
        try:
            found.append(regressions.entry(table, seed=seed))
        except errors.PlanError:
            if laws:
                raise
    return competition.ranked(found)


def _refuse(strange: list[type[Any]], known: tuple[type[Any], ...], about: str) -> None:
    """Raise for the first law that is not about such a table."""
    for law in strange:
        raise errors.PlanError(
            f"{law.name} does not compete on measurements of {about}",
            why=f"there are {', '.join(each.name for each in known)}",
            remedy="choose one of them, or give it a table of the other kind",
        )


def compare(measurements: runs.Table, *, laws: tuple[type[Any], ...] = ()) -> pa.Table:
    """The competition as a table, best first.

    Columns: law, held_out_error (on the longest runs, fitted without them), mixture_error (on every
    mixture, fitted without it), fitted_error, parameters (how many), warnings. NaN where nothing
    could be left out. Errors of language-model laws are in log loss.
    """
    entries = compete(measurements, laws=laws)
    return pa.table(
        {
            "law": [e.name for e in entries],
            "held_out_error": [e.held_out_error for e in entries],
            "mixture_error": [e.mixture_error for e in entries],
            "fitted_error": [e.fitted_error for e in entries],
            "parameters": [len(e.fit.parameters) for e in entries],
            "warnings": [list(e.fit.warnings) for e in entries],
        }
    )
