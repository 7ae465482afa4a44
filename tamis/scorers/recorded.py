"""Scores from elsewhere: a Parquet file keyed by uid, which a training loop wrote.

`tamis.scorers.collector` writes one, and so may anything else that knows the uids of its rows:
columns `uid` (32 hex digits, distinct) and any number of finite numbers. As a scorer it is looked
up row by row, so that its sidecars are aligned, stamped and checked like any other's.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tamis import artifacts, errors, sidecars, storage
from tamis.schemas import columns, uids
from tamis.scorers import fitted

End = Literal["high", "low"]
Missing = Literal["error", "last"]


def write(url: str, uid: NDArray[np.uint64], values: Mapping[str, NDArray]) -> None:
    """Write measurements of rows, sorted by uid: the same rows give the same bytes.

    Args:
      url: Of the Parquet file.
      uid: Shape (n, 2), distinct.
      values: By metric, shape (n,) each, finite.

    Raises:
      SchemaError: a value is not finite, or a uid comes twice.
    """
    order = np.lexsort((uid[:, 1], uid[:, 0]))
    parts = {name: pa.array(v[order].astype(np.float32)) for name, v in values.items()}
    table = pa.table({columns.UID: uids.to_hex(uid[order]), **parts})
    for name in parts:
        _measured(table, name, url)
    storage.write_atomic(url, sidecars.encode(table, {}))


class Measured(NamedTuple):
    """One metric of some rows, sorted by `uids.sortable`.

    Attributes:
      uid: Shape (n,) S16.
      value: Shape (n,) float32.
    """

    uid: NDArray[np.bytes_]
    value: NDArray[np.float32]


def read(url: str, metric: str) -> Measured:
    """One column of such a file.

    Raises:
      SchemaError: there is no such file or column, a value is missing or not finite, or a uid is
        not one or comes twice.
    """
    if not storage.exists(url):
        raise errors.SchemaError("there is no such file", where=url, remedy="mend score.recorded")
    with storage.open_read(url) as file:
        known = pq.read_schema(file).names
        if columns.UID not in known or metric not in known:
            raise errors.SchemaError(
                f"no column {metric!r} beside a uid",
                where=url,
                why=f"it has {', '.join(known)}",
                remedy="name one of them as score.recorded.metric",
            )
        file.seek(0)
        table = pq.read_table(file, columns=[columns.UID, metric])
    return _measured(table, metric, url)


def _measured(table: pa.Table, metric: str, where: str) -> Measured:
    value = table[metric].cast(pa.float32()).to_numpy()  # a null becomes NaN
    bad = np.flatnonzero(~np.isfinite(value))
    if len(bad):
        named = table[columns.UID][int(bad[0])].as_py()
        raise errors.SchemaError(
            f"{metric} of row {named} is {value[bad[0]]}",
            where=where,
            why="a score must be finite; nothing is repaired",
            remedy="mend the training loop that wrote it, or leave the row out",
        )
    try:
        names = uids.sortable(uids.from_hex(table[columns.UID]))
    except ValueError as error:
        raise errors.SchemaError(str(error), where=where, remedy="write 32 hex digits") from error
    order = np.argsort(names, kind="stable")
    twice = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(twice):
        named = table[columns.UID][int(order[twice[0]])].as_py()
        raise errors.SchemaError(f"row {named} comes twice", where=where, remedy="keep one of them")
    return Measured(names[order], value[order])


@dataclasses.dataclass(frozen=True)
class Recorded(fitted.Fitted):
    """One metric of a file keyed by uid; O(log n) a row, memory 20 bytes a row, mapped from disk.

    Attributes:
      uid: Path of an `.npy`, `Measured.uid`.
      value: Path of an `.npy`, `Measured.value`.
      path: The Parquet file they were made from.
      metric: Its column.
      keep: Which values score high; `tamis.scorers.collector` says which of its columns' ends is
        hard.
      missing: What becomes of a row that was never recorded: an error that names it, or the last
        place, below every recorded row. Never a middle value: a row about which nothing is known
        would then be chosen before rows known to be bad.
      name: Of the sidecar.
    """

    uid: str
    value: str
    path: str
    metric: str
    keep: End = "low"
    missing: Missing = "error"
    name: str = "recorded"
    reads: ClassVar[tuple[str, ...]] = (columns.UID,)

    def __post_init__(self) -> None:
        for field, kind in (("keep", End), ("missing", Missing)):
            if getattr(self, field) not in get_args(kind):
                raise errors.ConfigError(
                    f"{field} is {getattr(self, field)!r}",
                    where=self.name,
                    remedy=f"set {field} to {' or '.join(get_args(kind))}",
                )

    @functools.cached_property
    def _artifact(self) -> Measured:
        return Measured(artifacts.read(self.uid), artifacts.read(self.value))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        measured = self._artifact
        wanted = uids.sortable(uids.from_hex(batch.column(columns.UID)))
        at = np.searchsorted(measured.uid, wanted)
        found = at < len(measured.uid)
        found[found] = measured.uid[at[found]] == wanted[found]
        if self.missing == "error":
            self._require(found, batch)
        sign = np.float32(1 if self.keep == "high" else -1)
        score = np.full(len(wanted), np.nextafter(self._lowest, np.float32(-np.inf)))
        score[found] = sign * measured.value[at[found]]
        return score

    @functools.cached_property
    def _lowest(self) -> np.float32:
        """Score of the worst recorded row."""
        value = self._artifact.value
        if not len(value):
            return np.float32(0)
        return value.min() if self.keep == "high" else -value.max()

    def _require(self, found: NDArray[np.bool_], batch: pa.RecordBatch) -> None:
        lost = np.flatnonzero(~found)
        if len(lost):
            names = batch.column(columns.UID).take(pa.array(lost[:3])).to_pylist()
            raise errors.SchemaError(
                f"{len(lost)} rows of a batch were never recorded: {', '.join(names)}"
                + (", ..." if len(lost) > 3 else ""),
                where=self.path,
                why="the training loop that wrote it did not see them",
                remedy="record every row, or set score.recorded.missing to last",
            )
