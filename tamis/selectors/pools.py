"""A pool's columns in the order of its uids, so that no answer can depend on how rows arrived.

Selectors compute on arrays in this order and take the lowest row among equals: ties go by uid.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import nearest, seeding
from tamis.schemas import columns, embeddings, uids


class Reads:
    """What a selector reads: the columns named by these fields of it, if they name any, and uids.

    Args:
      fields: Of the selector; an empty one names no column.
    """

    def __init__(self, *fields: str) -> None:
        self._fields = fields

    def __get__(self, selector: object, owner: type | None = None) -> tuple[str, ...]:
        named = (getattr(selector, field) for field in self._fields)
        return (*filter(None, named), columns.UID)


def by_uid(pool: pa.RecordBatch) -> NDArray[np.int64]:
    """Positions of the rows in ascending order of their uids, shape (n,)."""
    uid = uids.from_hex(pool.column(columns.UID))
    return np.lexsort((uid[:, 1], uid[:, 0]))


def priority(
    pool: pa.RecordBatch, rows: NDArray[np.int64], rng: np.random.Generator, purpose: str
) -> NDArray[np.uint64]:
    """A pseudo-random number for each of `rows`, shape (n,); the generator gives only the salt."""
    uid = uids.from_hex(pool.column(columns.UID))[rows]
    return seeding.priority(uid, int(rng.integers(2**63)), purpose)


def unit(pool: pa.RecordBatch, column: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The vectors of `rows`, scaled to norm 1, shape (n, d).

    Raises:
      ValueError: a vector is null, zero or not finite.
    """
    return nearest.unit(embeddings.matrix(pool.column(column))[rows])


def numbers(pool: pa.RecordBatch, column: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """A column of numbers, shape (n,).

    Raises:
      ValueError: a value is null or not finite, naming the first.
    """
    values = pool.column(column)
    found = values.to_numpy(zero_copy_only=False).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise ValueError(
            f"{column} of row {bad[0]} is {values[int(bad[0])].as_py()} ({len(bad)} rows)"
        )
    return found[rows]


def codes(pool: pa.RecordBatch, column: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each row's value of a column, 0..k-1 in the order of values; null is the last.

    Shape (n,). It does not depend on the order of the rows.
    """
    coded = pool.column(column).dictionary_encode()
    order = np.argsort(np.array(coded.dictionary.to_pylist()), kind="stable")
    place = np.empty(len(order) + 1, np.int64)
    place[order], place[-1] = np.arange(len(order)), len(order)
    indices = coded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)
    return place[indices][rows]


def wanted(budget: int, n: int) -> int:
    """Rows to take: `budget`, at least 0 and at most `n`."""
    return min(max(budget, 0), n)
