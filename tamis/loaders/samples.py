"""Tables to samples, and tables cut anew."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tamis.schemas import embeddings

Sample = dict[str, Any]


def samples(tables: Iterable[pa.Table]) -> Iterator[Sample]:
    """Rows as mappings: strings and numbers as Python's, vectors as float32 of shape (d,)."""
    for table in tables:
        yield from _maker(tuple(table.column_names))(*map(_values, table.columns))


@functools.lru_cache(maxsize=64)
def _maker(names: Sequence[str]) -> Callable[..., Iterator[Sample]]:
    """From lists of values, one a name, to mappings.

    The code of a literal mapping takes half the time of `dict(zip(names, row))`, which is most of
    what a sample costs. Written as `collections.namedtuple` writes its own: names occur in it as
    quoted strings alone.
    """
    variables = [f"v{i}" for i in range(len(names))]
    pairs = ", ".join(f"{name!r}: {v}" for name, v in zip(names, variables, strict=True))
    row = f"({', '.join(variables)},)"
    code = f"lambda *columns: ({{{pairs}}} for {row} in zip(*columns, strict=True))"
    return eval(code, {"zip": zip, "__builtins__": {}})  # noqa: S307 - see above


def _values(column: pa.ChunkedArray) -> list:
    """A column as a list, with None where it is null; a column at a time is ten times as fast."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _named(column)
    if pa.types.is_fixed_size_list(kind):
        return _vectors(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.to_numpy().tolist()
    return column.to_pylist() if column.null_count else column.to_numpy().tolist()


def _named(column: pa.ChunkedArray) -> list:
    """Values of dictionaries without nulls, each made once."""
    found: list = []
    for chunk in column.chunks:
        values = np.array(chunk.dictionary.to_pylist(), object)
        found += values[chunk.indices.to_numpy()].tolist()
    return found


def _vectors(column: pa.ChunkedArray) -> list:
    matrix = embeddings.matrix(column.drop_null())
    rows = matrix if matrix.flags.writeable else np.array(matrix)
    if not column.null_count:
        return list(rows)
    left, there = iter(rows), column.is_valid().to_numpy().tolist()
    return [next(left) if has else None for has in there]


def cut(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows, `size` at a time, dictionaries as what they stand for.

    The last table has the rest.
    """
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(_decoded(table))
        count += table.num_rows
        if count < size:
            continue
        whole = pa.concat_tables(held, promote_options="default").combine_chunks()
        for at in range(0, count - count % size, size):
            yield whole.slice(at, size)
        held, count = [whole.slice(count - count % size)], count % size
    if count:
        yield pa.concat_tables(held, promote_options="default").combine_chunks()


def _decoded(table: pa.Table) -> pa.Table:
    for i, (name, kind) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if pa.types.is_dictionary(kind):
            table = table.set_column(i, name, table.column(i).cast(kind.value_type))
    return table
