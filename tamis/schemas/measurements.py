"""Measurements: what was trained on what, and how wrong it was. Pilots write them, plans read them.

The names of the strata, in the order of both lists, and the chance level stand in the schema's
metadata. A CSV of one's own training runs has the columns `samples, error`, one
`weight:<stratum>` and one `supply:<stratum>` per stratum, `seed` where there are replicates, and
`chance` (one number in every row) where guessing is not wrong half of the time.
"""

import contextlib
import difflib
import json
import pathlib
from collections.abc import Iterator, Sequence

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from tamis import errors

SAMPLES = "samples"
SEED = "seed"
ERROR = "error"
WEIGHTS = "weights"
SUPPLY = "supply"
FOLDER = "pilots"
FILE = "measurements.parquet"
CHANCE = 0.5

_STRATA_KEY = b"tamis.strata"
_CHANCE_KEY = b"tamis.chance"
_UNREAD_KEY = b"tamis.unread"
_CHANCE_COLUMN = "chance"
_SUM_TOLERANCE = 1e-6
_NOWHERE = "measurements"  # where a row is, until a file is known
_PREFIX = {WEIGHTS: "weight:", SUPPLY: "supply:"}


def schema(names: Sequence[str], chance: float = CHANCE) -> pa.Schema:
    """The table's schema.

    Args:
      names: Strata, in the order of `weights` and `supply`.
      chance: Error of a model that has learned nothing, in (0, 1]: what a guess gets wrong.
    """
    k = len(names)
    fields = [
        pa.field(SAMPLES, pa.int64(), nullable=False),  # rows seen in training, repeats counted
        pa.field(SEED, pa.int64(), nullable=False),  # replicate
        pa.field(ERROR, pa.float64(), nullable=False),  # on the target, lower is better
        pa.field(WEIGHTS, _list(pa.float64(), k), nullable=False),  # shares of what was seen
        pa.field(SUPPLY, _list(pa.int64(), k), nullable=False),  # unique rows it could draw from
    ]
    stated = {_STRATA_KEY: json.dumps(list(names)), _CHANCE_KEY: repr(float(chance))}
    return pa.schema(fields, metadata=stated)


def table(
    names: Sequence[str],
    *,
    samples: ArrayLike,
    errors: ArrayLike,
    weights: ArrayLike,
    supply: ArrayLike,
    seeds: ArrayLike | None = None,
    chance: float = CHANCE,
) -> pa.Table:
    """Columns to a validated table.

    Args:
      names: Strata.
      samples: Shape (n,).
      errors: Shape (n,).
      weights: Shape (n, k).
      supply: Shape (n, k) or (k,), which then holds for every row.
      seeds: Shape (n,); all 0 where there are no replicates.
      chance: Error of a model that has learned nothing.
    """
    seen = np.asarray(samples, np.float64)
    shares = np.asarray(weights, np.float64)
    unique = np.broadcast_to(np.asarray(supply, np.float64), shares.shape)
    _check_columns(names, seen, np.asarray(errors, np.float64), shares, unique)
    replicate = np.zeros(len(seen)) if seeds is None else np.asarray(seeds, np.float64)
    _forbid(~np.isfinite(replicate), replicate, "seed", "is missing or not a number")
    columns = [
        pa.array(seen.astype(np.int64)),
        pa.array(replicate.astype(np.int64)),
        pa.array(np.asarray(errors, np.float64)),
        pa.FixedSizeListArray.from_arrays(pa.array(shares.ravel()), len(names)),
        pa.FixedSizeListArray.from_arrays(pa.array(unique.astype(np.int64).ravel()), len(names)),
    ]
    arrays = [c.cast(f.type) for c, f in zip(columns, schema(names), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema(names, chance))


def strata(measurements: pa.Table) -> tuple[str, ...]:
    """Names of the strata, in the order of `weights` and `supply`."""
    stated = (measurements.schema.metadata or {}).get(_STRATA_KEY)
    if stated is None:
        raise _missing("names of the strata in its metadata")
    return tuple(json.loads(stated))


def chance(measurements: pa.Table) -> float:
    """Error of a model that has learned nothing; 0.5 where the table does not say."""
    return float((measurements.schema.metadata or {}).get(_CHANCE_KEY, CHANCE))


def unread(measurements: pa.Table) -> tuple[str, ...]:
    """Columns of the user's file that mean nothing here."""
    return tuple(json.loads((measurements.schema.metadata or {}).get(_UNREAD_KEY, b"[]")))


def matrix(measurements: pa.Table, column: str) -> NDArray[np.float64]:
    """A list column as float64, shape (n, k)."""
    values = measurements.column(column).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False).astype(np.float64)
    return flat.reshape(len(measurements), len(strata(measurements)))


def vector(measurements: pa.Table, column: str) -> NDArray[np.float64]:
    """A plain column as float64, shape (n,)."""
    return measurements.column(column).to_numpy().astype(np.float64)


def validate(measurements: pa.Table) -> pa.Table:
    """The table itself, once every value has been looked at.

    Raises:
      PlanError: a column is missing or a value cannot be a measurement.
    """
    for column in schema(()).names:
        if column not in measurements.column_names:
            raise _missing(f"column {column!r}")
        if measurements.column(column).null_count:
            raise errors.PlanError(f"measurements: column {column!r} has nulls")
    _check_columns(
        strata(measurements),
        vector(measurements, SAMPLES),
        vector(measurements, ERROR),
        matrix(measurements, WEIGHTS),
        matrix(measurements, SUPPLY),
    )
    return measurements


def read(path: str | pathlib.Path) -> pa.Table:
    """A validated table from Parquet, or from a CSV of one's own training runs.

    Raises:
      PlanError: a column is missing or a value cannot be a measurement.
    """
    found = load(path)
    with in_file(path):
        flat = str(path).lower().endswith(".csv") or is_flat(found)
        return from_flat(found) if flat else validate(found)


@contextlib.contextmanager
def in_file(path: str | pathlib.Path) -> Iterator[None]:
    """Errors about the values of a loaded file name it; rows count from 0, without a header."""
    try:
        yield
    except errors.PlanError as error:
        where = error.where.replace(_NOWHERE, str(path), 1) or str(path)
        remedy = error.remedy or "mend the file; rows count from 0, after the header"
        raise errors.PlanError(error.what, where=where, why=error.why, remedy=remedy) from None


def load(path: str | pathlib.Path) -> pa.Table:
    """The columns of a CSV or Parquet file, whatever they are.

    Raises:
      PlanError: there is no such file, or it is neither.
    """
    try:
        with fsspec.open(str(path), "rb") as file:
            if str(path).lower().endswith(".csv"):
                return pa.csv.read_csv(file)
            return pq.read_table(file)
    except FileNotFoundError:
        raise errors.PlanError(f"no such file: {path}") from None
    except pa.ArrowInvalid as error:
        raise errors.PlanError(
            f"{path} cannot be read", why=str(error), remedy="give a .csv or a Parquet file"
        ) from None


def is_flat(measurements: pa.Table) -> bool:
    """Whether shares and supply stand in a column per stratum."""
    return any(c.startswith(tuple(_PREFIX.values())) for c in measurements.column_names)


def from_flat(flat: pa.Table) -> pa.Table:
    """A validated table from one with a column per stratum, as in a CSV of one's own runs.

    Raises:
      PlanError: a column is missing or a value cannot be a measurement.
    """
    names = [c.removeprefix(_PREFIX[WEIGHTS]) for c in flat.column_names if c.startswith("weight:")]
    wanted = [SAMPLES, ERROR, *(p + name for p in _PREFIX.values() for name in names)]
    strange = [c for c in flat.column_names if ":" in c and not c.startswith((*_PREFIX.values(),))]
    if strange:
        raise errors.PlanError(
            f"measurements: column {strange[0]!r} means nothing",
            remedy="a stratum's columns are weight:<stratum> and supply:<stratum>",
        )
    for column in wanted if names else [*wanted, "weight:<stratum>"]:
        if column not in flat.column_names:
            near = difflib.get_close_matches(column, {*flat.column_names} - {*wanted}, 1)
            raise _missing(f"column {column!r}" + (f"; is it {near[0]!r}?" if near else ""))

    def numbers(column: str) -> NDArray[np.float64]:
        try:
            return vector(flat, column)
        except (TypeError, ValueError):
            raise errors.PlanError(
                f"measurements: column {column!r} holds something not a number"
            ) from None

    def stack(prefix: str) -> NDArray[np.float64]:
        return np.stack([numbers(prefix + name) for name in names], axis=1)

    found = table(
        names,
        samples=numbers(SAMPLES),
        errors=numbers(ERROR),
        weights=stack(_PREFIX[WEIGHTS]),
        supply=stack(_PREFIX[SUPPLY]),
        seeds=numbers(SEED) if SEED in flat.column_names else None,
        chance=_stated(numbers(_CHANCE_COLUMN)) if _CHANCE_COLUMN in flat.column_names else CHANCE,
    )
    idle = sorted({*flat.column_names} - {*wanted, SEED, _CHANCE_COLUMN})
    return found.replace_schema_metadata(
        {**found.schema.metadata, _UNREAD_KEY: json.dumps(idle).encode()}
    )


def _stated(values: NDArray[np.float64]) -> float:
    """The one chance level of all rows."""
    if len(values) and not (0 < values[0] <= 1 and (values == values[0]).all()):
        row = int(np.argmin((values == values[0]) & (values > 0) & (values <= 1)))
        raise errors.PlanError(
            f"chance {values[row]:g} is not one number in (0, 1] for all rows",
            where=f"{_NOWHERE}:row {row}",
            remedy="it is the error of a model that has learned nothing, e.g. .9 with ten classes",
        )
    return float(values[0]) if len(values) else CHANCE


def write(measurements: pa.Table, path: str | pathlib.Path) -> None:
    """Validate and write as Parquet."""
    with fsspec.open(str(path), "wb") as file:
        pq.write_table(validate(measurements), file)


def _list(kind: pa.DataType, k: int) -> pa.DataType:
    """Of fixed size, with the item's name that Parquet gives back."""
    return pa.list_(pa.field("element", kind), k)


def _check_columns(
    names: Sequence[str],
    samples: NDArray[np.float64],
    wrong: NDArray[np.float64],
    weights: NDArray[np.float64],
    supply: NDArray[np.float64],
) -> None:
    """Every rule on values, each with the first row that breaks it."""
    if len(set(names)) != len(names):
        raise errors.PlanError(f"measurements: a stratum is named twice in {list(names)}")
    if weights.shape != (len(samples), len(names)):
        raise errors.PlanError(
            f"measurements: weights have shape {weights.shape}, not {(len(samples), len(names))}"
        )
    if len(samples) == 0:
        raise errors.PlanError("measurements: the table is empty", remedy="run `tamis pilot` first")
    _forbid(~np.isfinite(wrong), wrong, "error", "is not a finite number")
    _forbid(wrong < 0, wrong, "error", "is negative")
    _forbid(~(np.isfinite(samples) & (samples >= 1)), samples, "samples", "is not at least 1")
    _forbid(~np.isfinite(weights).all(1), weights, "weights", "are not finite numbers")
    _forbid((weights < 0).any(1), weights, "weights", "are negative")
    _forbid(abs(weights.sum(1) - 1) > _SUM_TOLERANCE, weights, "weights", "do not sum to 1")
    _forbid(~(supply >= 0).all(1), supply, "supply", "is negative or not a number")
    empty = ((supply < 1) & (weights > 0)).any(1)
    _forbid(empty, weights, "weights", "are on a stratum without supply")
    if len(samples) == 1:
        raise errors.PlanError(
            "measurements: one point carries no plan",
            why="nothing can be learned about how error changes",
            remedy="measure several mixtures and lengths, or run `tamis pilot`",
        )


def _forbid(bad: ArrayLike, values: NDArray[np.float64], name: str, fault: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        row = int(rows[0])
        raise errors.PlanError(
            f"{name} {values[row].tolist()} {fault}", where=f"{_NOWHERE}:row {row}"
        )


def _missing(what: str) -> errors.PlanError:
    return errors.PlanError(
        f"measurements have no {what}",
        remedy="columns are samples, seed, error, weights, supply; see tamis.schemas.measurements",
    )
