"""Language-model training runs: parameters, tokens seen, distinct tokens, loss."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.schemas import plan

COLUMNS = ("params", "tokens", "unique_tokens", "loss")
MOST = 4096  # rows a fit sees; more are merged into cells, so that a fit stays a matter of seconds

_CONTRADICTION = 0.1  # in log loss: replicates this far apart are not the same experiment
_FINEST = 0.02  # width of a merged cell in the logs of size and tokens, doubled until they fit

Table: TypeAlias = pa.Table | Mapping[str, ArrayLike]


@dataclasses.dataclass(frozen=True)
class Runs:
    """Validated runs, one row each or one row per cell of near-identical runs.

    Attributes:
      params: N, shape (n,).
      tokens: D, tokens seen, shape (n,).
      unique: U, distinct tokens seen, never above `tokens`, shape (n,).
      loss: Nats per token, shape (n,).
      count: Runs behind the row, shape (n,).
      warnings: What is odd about them, in words.
    """

    params: NDArray[np.float64]
    tokens: NDArray[np.float64]
    unique: NDArray[np.float64]
    loss: NDArray[np.float64]
    count: NDArray[np.float64]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    @classmethod
    def of(cls, table: "Table | Runs") -> "Runs":
        """The runs themselves, or those of a table with the columns of `COLUMNS`.

        Without `unique_tokens` every run is taken to have seen each token once.

        Raises:
          PlanError: a column is missing or a value is not a positive finite number.
        """
        if isinstance(table, Runs):
            return table
        params, tokens, loss = (column(table, c) for c in ("params", "tokens", "loss"))
        unique = column(table, "unique_tokens") if "unique_tokens" in names(table) else tokens
        if len({len(c) for c in (params, tokens, unique, loss)}) > 1:
            raise errors.PlanError("the columns of the runs differ in length")
        rows = np.column_stack([params, tokens, np.minimum(unique, tokens), loss])
        rows = rows[np.lexsort(rows.T[::-1])]  # by params, tokens, unique, loss
        distinct = rows[_starts(rows)]
        found = [] if len(distinct) == len(rows) else [_repeated(len(rows) - len(distinct))]
        said = (*found, *_contradictions(distinct))
        n, d, u, y = distinct.T
        runs = cls(n, d, u, y, np.ones(len(distinct)), said)
        return runs if len(runs) <= MOST else runs.merged()

    @property
    def epochs(self) -> NDArray[np.float64]:
        return self.tokens / self.unique

    @property
    def flops(self) -> NDArray[np.float64]:
        """6 N D (Kaplan et al. 2020)."""
        return 6 * self.params * self.tokens

    def where(self, mask: NDArray[np.bool_]) -> Self:
        columns = ("params", "tokens", "unique", "loss", "count")
        return dataclasses.replace(self, **{c: getattr(self, c)[mask] for c in columns})

    def merged(self) -> Self:
        """At most `MOST` cells: geometric means of the runs whose logs round alike."""
        logs = np.log(np.column_stack([self.params, self.tokens, self.unique, self.loss]))
        width = _FINEST
        while True:
            keys = np.floor(logs[:, :3] / width).astype(np.int64)
            keys -= keys.min(0)
            keys = np.ravel_multi_index(tuple(keys.T), tuple(keys.max(0) + 1))
            cell = np.unique(keys, return_inverse=True)[1]
            count: NDArray[np.float64] = np.bincount(cell, self.count).astype(np.float64)
            if len(count) <= MOST:
                break
            width *= 2
        n, d, u, loss = (np.exp(np.bincount(cell, self.count * c) / count) for c in logs.T)
        said = f"{len(self)} runs were merged into {len(count)} cells, {width:.2g} wide in logs"
        return type(self)(n, d, u, loss, count, (*self.warnings, said))

    def require(self, least: int, law: str) -> None:
        """Refuse a fit with fewer distinct runs than parameters.

        Raises:
          PlanError: there are fewer than `least` rows.
        """
        enough(len(self), least, law)

    def gaps(self, *, repetition: bool) -> list[str]:
        """What this design cannot tell, whatever the law."""
        found = []
        if len(np.unique(self.params)) == 1:
            found.append("only one model size: how loss changes with parameters is unknown")
        if len(np.unique(self.tokens)) == 1:
            found.append("only one number of tokens: how loss changes with tokens is unknown")
        if repetition:
            found.extend(self._repetition_gaps())
        return found

    def _repetition_gaps(self) -> list[str]:
        repeats = np.unique(self.epochs[self.epochs > 1 + 1e-9])
        if not repeats.size:
            return ["no run repeats a token: what repetition costs is unknown"]
        if repeats.size == 1:
            return ["only one repeat count: half-life unknown"]
        return []


def ends(names: Sequence[str], draws: ArrayLike) -> dict[str, tuple[float, float]]:
    """The interval of each parameter from draws of all of them, shape (r, p)."""
    tail = (1 - plan.LEVEL) / 2
    low, high = np.quantile(np.asarray(draws, np.float64), [tail, 1 - tail], axis=0).tolist()
    return {name: (lo, hi) for name, lo, hi in zip(names, low, high, strict=True)}


@dataclasses.dataclass(frozen=True)
class LinearFit:
    """A law fitted by `profile`.

    Attributes:
      law: With the best parameters.
      parameters: Name of each parameter to its value.
      rmse: Root mean squared residual of what was regressed.
      warnings: What the runs could not tell, in words.
      interval: Name of each parameter to (lo, hi), 90 %, by bootstrap over misses; empty without
        resamples.
    """

    law: Any
    parameters: dict[str, float]
    rmse: float
    warnings: tuple[str, ...]
    interval: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


def enough(rows: int, least: int, law: str) -> None:
    """Refuse a fit with fewer rows than parameters.

    Raises:
      PlanError: there are fewer than `least` rows.
    """
    if rows < least:
        raise errors.PlanError(
            f"{rows} distinct run(s) cannot carry {law}",
            why=f"it has {least} parameters",
            remedy=f"measure at least {least} runs of several sizes and lengths",
        )


def names(table: Table) -> list[str]:
    """Of the columns."""
    return list(table.column_names if isinstance(table, pa.Table) else table)


def column(table: Table, name: str, *, positive: bool = True) -> NDArray[np.float64]:
    """A column as float64, shape (n,), finite and positive (or just not negative).

    Raises:
      PlanError: it is missing or a value is not such a number.
    """
    out = matrix(table, name).reshape(-1)
    bad = ~(np.isfinite(out) & ((out > 0) if positive else (out >= 0)))
    if bad.any():
        row = int(np.argmax(bad))
        raise errors.PlanError(
            f"{name} is {out[row]:g}",
            where=f"run {row}",
            why=f"it must be finite and {'positive' if positive else 'not negative'}",
            remedy="drop the run, or measure it again",
        )
    return out


def matrix(table: Table, name: str) -> NDArray[np.float64]:
    """A column of numbers or of lists as float64, shape (n,) or (n, k).

    Raises:
      PlanError: it is missing or holds something else.
    """
    if name not in names(table):
        raise errors.PlanError(
            f"the runs have no column {name!r}",
            why=f"found {', '.join(map(str, names(table)))}",
            remedy=f"name the columns {', '.join(COLUMNS)}",
        )
    values = table[name]
    if isinstance(values, pa.ChunkedArray):
        nested = pa.types.is_nested(values.type)
        values = values.to_pylist() if nested else values.to_numpy()
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise errors.PlanError(f"column {name!r} holds something not a number") from error


def _starts(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each of the sorted rows differs from the one before, shape (n,)."""
    return np.append(True, (rows[1:] != rows[:-1]).any(1))[: len(rows)]


def _repeated(rows: int) -> str:
    return f"{rows} row(s) repeat another exactly and count once"


def _contradictions(rows: NDArray[np.float64]) -> list[str]:
    """Sorted runs of one size and length whose losses are too far apart to be seeds."""
    first = np.flatnonzero(_starts(rows[:, :3]))
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    apart = int((np.log(rows[last, 3] / rows[first, 3]) > _CONTRADICTION).sum())
    if not apart:
        return []
    return [f"{apart} setting(s) have runs whose losses differ by more than 10 %: noise or mistake"]
