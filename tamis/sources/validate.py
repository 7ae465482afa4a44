"""Which parsed rows are good: every check runs over a whole batch at once."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import isolation
from tamis.schemas import columns as names
from tamis.schemas import embeddings, shards
from tamis.sources import blocks, utf8


class Rules(NamedTuple):
    """What a good row satisfies.

    Attributes:
      want: Canonical names, each of which must have a value.
      dimension: Length of the embeddings.
      max_text_bytes: Longest text, in bytes of UTF-8.
      images: Decodes images to see that they can be; None takes them as they are.
    """

    want: tuple[str, ...]
    dimension: int
    max_text_bytes: int
    images: isolation.Checker | None = None


class Finding(NamedTuple):
    """Rows that fail one check.

    Attributes:
      failing: Shape (n,).
      reason: One of `schemas.rejected.REASONS`.
      describe: What exactly is wrong with the i-th row.
    """

    failing: NDArray[np.bool_]
    reason: str
    describe: Callable[[int], str]


def block(shard: shards.Shard, parsed: blocks.Parsed, rules: Rules) -> blocks.Block:
    """Split parsed rows into good and bad; a row with several faults has the first's reason."""
    columns = dict(parsed.columns)
    bad = list(parsed.bad)
    good = np.ones(len(parsed.rows), bool)
    for name in rules.want if len(parsed.rows) else ():
        for finding in _findings(name, columns, rules):
            fresh = np.flatnonzero(good & finding.failing).tolist()
            bad += [_bad(parsed, finding, i) for i in fresh]
            good &= ~finding.failing
    return blocks.Block(
        shard, _batch(parsed.rows, columns, good, rules), blocks.rejections(shard.file, bad)
    )


def _bad(parsed: blocks.Parsed, finding: Finding, i: int) -> blocks.Bad:
    row = int(parsed.rows[i])
    return blocks.Bad(row, finding.reason, finding.describe(i), parsed.payload(i))


def _batch(
    rows: NDArray[np.int64], columns: dict[str, pa.Array], good: NDArray[np.bool_], rules: Rules
) -> pa.RecordBatch:
    found = {names.ROW: pa.array(rows, pa.int64())}
    found |= {k: columns[k] if len(rows) else _nothing(k) for k in rules.want}
    if not good.all():
        mask = pa.array(good)
        found = {k: v.filter(mask) for k, v in found.items()}
    if names.EMBEDDING in found:
        found[names.EMBEDDING] = _vectors(found[names.EMBEDDING], rules.dimension)
    return pa.RecordBatch.from_pydict(found)


def _nothing(name: str) -> pa.Array:
    if name == names.EMBEDDING:
        return pa.array([], pa.list_(pa.float32()))
    return pa.array([], blocks.KINDS[name])


def _vectors(values: pa.Array, dimension: int) -> pa.Array:
    """Lists of one length as fixed_size_list<float32>[dimension]."""
    if not len(values):
        return embeddings.column(np.zeros((0, dimension), np.float32))
    return embeddings.column(_matrix(values, dimension))


def _findings(name: str, columns: dict[str, pa.Array], rules: Rules) -> Iterator[Finding]:
    if name == names.EMBEDDING:
        yield from _of_embedding(columns[name], rules.dimension)
        return
    if name == names.IMAGE:
        yield from _of_image(columns[name], rules.images)
        return
    broken = utf8.invalid(columns[name])
    if broken.any():
        yield Finding(broken, "invalid_utf8", lambda i: f"{name} is not UTF-8")
        # Kernels on strings may stop at bad bytes; these rows are settled.
        columns[name] = pc.if_else(
            pa.array(broken), pa.scalar(" ", columns[name].type), columns[name]
        )
    yield from (_of_text if name == names.TEXT else _of_name)(name, columns[name], rules)


def _of_text(name: str, values: pa.Array, rules: Rules) -> Iterator[Finding]:
    yield from _missing(name, values)
    lengths = _numpy(pc.binary_length(values), 1)
    long = lengths > rules.max_text_bytes
    if long.any():
        limit = rules.max_text_bytes
        yield Finding(
            long, "text_too_long", lambda i: f"{lengths[i]:,} bytes, the limit is {limit:,}"
        )
    blank = (lengths == 0) | _numpy(pc.utf8_is_space(values), 0)
    if blank.any():
        yield Finding(blank, "empty_text", lambda i: f"{lengths[i]} bytes of white space")


def _of_image(values: pa.Array, checker: isolation.Checker | None) -> Iterator[Finding]:
    yield from _missing(names.IMAGE, values)
    if checker is None:
        return
    there = ~_nulls(values)
    verdicts = np.full((len(values), 2), "", object)
    if there.any():
        verdicts[there] = checker(values.drop_null().to_pylist())
    for reason in sorted({*verdicts[:, 0]} - {""}):
        yield Finding(verdicts[:, 0] == reason, reason, lambda i: str(verdicts[i, 1]))


def _of_name(name: str, values: pa.Array, rules: Rules) -> Iterator[Finding]:
    yield from _missing(name, values)
    empty = _numpy(pc.binary_length(values), 1) == 0
    if empty.any():
        yield Finding(empty, f"missing_{name}", lambda i: f"{name} is empty")


def _missing(name: str, values: pa.Array) -> Iterator[Finding]:
    if values.null_count:
        yield Finding(_nulls(values), f"missing_{name}", lambda i: f"{name} is null or absent")


def _nulls(values: pa.Array) -> NDArray[np.bool_]:
    return values.is_null().to_numpy(zero_copy_only=False)


def _of_embedding(values: pa.Array, dimension: int) -> Iterator[Finding]:
    yield from _missing(names.EMBEDDING, values)
    lengths = _lengths(values)
    wrong = lengths != dimension
    if wrong.any():
        yield Finding(
            wrong, "wrong_dimension", lambda i: f"{lengths[i]} numbers, expected {dimension}"
        )
    right = ~wrong & ~_nulls(values)
    x = _matrix(values if right.all() else values.filter(pa.array(right)), dimension)
    infinite = ~np.logical_and.reduce(np.isfinite(x), axis=1)
    if infinite.any():
        yield Finding(_spread(right, infinite), "not_finite", lambda i: "holds NaN or infinity")
    zero = ~np.logical_or.reduce(x != 0, axis=1)
    if zero.any():
        yield Finding(_spread(right, zero), "zero_norm", lambda i: "all numbers are 0")


def _lengths(values: pa.Array) -> NDArray[np.int64]:
    return _numpy(pc.list_value_length(values), 0)


def _matrix(values: pa.Array, dimension: int) -> NDArray[np.float32]:
    """Lists without nulls and of one length to shape (n, dimension); a null number is NaN."""
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.astype(np.float32, copy=False).reshape(len(values), dimension)


def _spread(right: NDArray[np.bool_], failing: NDArray) -> NDArray[np.bool_]:
    """Flags of the rows where `right` holds, spread over all rows."""
    spread = np.zeros(len(right), bool)
    spread[right] = failing
    return spread


def _numpy(values: pa.Array, fill: int) -> NDArray:
    """A column of numbers or flags with nulls filled."""
    if values.null_count:
        values = values.fill_null(pa.scalar(fill).cast(values.type))
    return values.to_numpy(zero_copy_only=False)
