"""JSON lines to columns: a batch at once, and line by line where a batch holds bad lines."""

import json
import re
from collections.abc import Iterable
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.json
from numpy.typing import NDArray

from tamis.schemas import columns as names_
from tamis.sources import blocks, records, utf8

_VECTOR = pa.list_(pa.float32())
_SCALARS = {bool: pa.bool_(), int: pa.int64()}
# arrow takes a bare Inf for a number, which JSON and Python's parser do not.
_INF = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")
_INTEGER = re.compile(r"-?\d+")
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}


class Number(str):
    """A number as it is spelled, so that no digit is lost before its type is known."""

    __slots__ = ()


class WrongTypeError(ValueError):
    """A declared column holds something else."""


def parse(lines: records.Lines, names: dict[str, str]) -> blocks.Parsed:
    """Records to columns.

    Args:
      lines: n records.
      names: Canonical to the file's column name.

    A row's fate does not depend on the rows it is read with: what the fast path would judge
    otherwise than the slow one (several objects on a line, an object over several lines, a bare
    `Inf`) is kept from it.
    """
    if _plain(lines):
        try:
            return _fast(lines, names)
        except (ValueError, pa.ArrowNotImplementedError, RecursionError):
            pass  # some line is bad; which one is found below
    return _slow(lines, names)


def _plain(lines: records.Lines) -> bool:
    """Whether each line is `{...}` of UTF-8.

    If so and arrow parses as many objects as there are lines, each line is one object: a line
    that ended within an object would be followed by `}` and `{` without a comma.
    """
    data = np.frombuffer(lines.data, np.uint8)
    last = lines.stops - 1
    for ending in (10, 13):
        last = last - ((data[last] == ending) & (last > lines.starts))
    braces = np.all(data[lines.starts] == ord("{")) and np.all(data[last] == ord("}"))
    if not braces or not utf8.valid(_bytes(lines)):
        return False
    return not _infinite(data[lines.starts[0] : lines.stops[-1]]) or not _INF.search(_bytes(lines))


def _infinite(data: NDArray[np.uint8]) -> bool:
    """Whether there is an `Inf`: of few letters I the next are looked at, and the regex is slow."""
    at = np.flatnonzero(data[:-2] == ord("I"))
    return bool(np.any((data[at + 1] == ord("n")) & (data[at + 2] == ord("f"))))


def _bytes(lines: records.Lines) -> memoryview:
    return memoryview(lines.data)[lines.starts[0] : lines.stops[-1]]


def _fast(lines: records.Lines, names: dict[str, str]) -> blocks.Parsed:
    data = _bytes(lines)
    table = pa.json.read_json(
        pa.BufferReader(pa.py_buffer(data)),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pa.json.ParseOptions(
            explicit_schema=_schema(lines, names), unexpected_field_behavior="ignore"
        ),
    )
    if table.num_rows != len(lines):
        raise pa.ArrowInvalid("not one object per line")
    found = {k: _one(table[name], k) for k, name in names.items()}
    rows = np.arange(lines.row, lines.row + len(lines))
    return blocks.Parsed(rows, found, [], lines.beginning)


def _schema(lines: records.Lines, names: dict[str, str]) -> pa.Schema:
    """The types to try: those of labels and ids are taken from the first line."""
    first = json.loads(lines.record(0)) if names.keys() - {names_.TEXT, names_.EMBEDDING} else {}
    types = {names_.TEXT: pa.large_string(), names_.EMBEDDING: _VECTOR}
    return pa.schema(
        {
            name: types.get(k) or _SCALARS.get(type(first.get(name)), pa.string())
            for k, name in names.items()
        }
    )


def _one(column: pa.ChunkedArray, canonical: str) -> pa.Array:
    values = column.combine_chunks()
    return values if canonical == names_.EMBEDDING else values.cast(_text_type(canonical))


def _text_type(canonical: str) -> pa.DataType:
    return pa.large_string() if canonical == names_.TEXT else pa.string()


def _slow(lines: records.Lines, names: dict[str, str]) -> blocks.Parsed:
    kept: list[int] = []
    cells: dict[str, list] = {k: [] for k in names}
    bad: list[blocks.Bad] = []
    for i in range(len(lines)):
        row = values(lines.record(i), names)
        if isinstance(row, tuple):
            bad.append(blocks.Bad(lines.row + i, *row, lines.beginning(i)))
            continue
        kept.append(i)
        for k in names:
            cells[k].append(row[k])
    positions = np.array(kept, np.int64)
    found = {k: _array(k, cells[k]) for k in names}
    return blocks.Parsed(
        positions + lines.row, found, bad, lambda i: lines.beginning(int(positions[i]))
    )


def _array(canonical: str, cells: list) -> pa.Array:
    if canonical == names_.EMBEDDING:
        return pa.array(cells, pa.list_(pa.string())).cast(_VECTOR)
    return pa.array(cells, _text_type(canonical))


def values(record: bytes, names: dict[str, str]) -> dict[str, object] | tuple[str, str]:
    """One line's wanted values by canonical name, or the reason and the error of a bad line."""
    problem = utf8.problem(record)
    if problem:
        return "invalid_utf8", problem
    try:
        row = _object(record)
        return {k: _value(k, name, row.get(name)) for k, name in names.items()}
    except WrongTypeError as error:
        return "wrong_type", str(error)
    except UnicodeEncodeError:
        return "invalid_utf8", "half of a surrogate pair is escaped without the other"
    except json.JSONDecodeError as error:
        return "malformed", f"not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        return "malformed", "not JSON: nested too deeply"


def keys(record: bytes) -> Iterable[str]:
    """The fields of one line; none if it is no object."""
    try:
        row = json.loads(record)
    except (ValueError, RecursionError):
        return ()
    return row.keys() if isinstance(row, dict) else ()


def _object(record: bytes) -> dict[str, object]:
    # As text: of bytes json guesses the encoding, and a zero byte makes it UTF-16.
    text = record.decode("utf-8-sig")
    row = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_constant)
    if not isinstance(row, dict):
        raise json.JSONDecodeError(f"an object is expected, this is {kind(row)}", "", 0)
    return row


def _constant(name: str) -> Number:
    return Number(name.replace("Infinity", "inf"))


def _value(canonical: str, name: str, value: object) -> object:
    if value is None:
        return None
    if canonical == names_.EMBEDDING:
        return [_float(name, v) for v in value] if isinstance(value, list) else _wrong(name, value)
    if isinstance(value, str) and not isinstance(value, Number):
        value.encode()  # raises on lone surrogates
        return value
    if canonical == names_.TEXT:
        return _wrong(name, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number) and _INTEGER.fullmatch(value):
        return str(value)
    return _wrong(name, value)


def _float(name: str, value: object) -> str:
    """A number of a vector for arrow to convert, as the fast path does; nan where not finite."""
    if value is None:
        return "nan"
    if not isinstance(value, Number):
        raise WrongTypeError(f"column {name!r} holds {kind(value)} in its list of numbers")
    return value if abs(float(value)) <= _FLOAT32_MAX else "nan"


def _wrong(name: str, value: object) -> NoReturn:
    raise WrongTypeError(f"column {name!r} holds {kind(value)}")


def kind(value: object) -> str:
    """What a JSON value is, for a person.

    >>> kind(Number("1.5"))
    'the number 1.5'
    """
    if isinstance(value, Number):
        return f"the number {value[:40]}"
    return "null" if value is None else _KINDS[type(value)]
