import io
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.sources import records

csv_bytes = st.text(alphabet='a",\n\r', max_size=60).map(str.encode)


def naive(data, delimiter=",", quote='"'):
    """Records by the letter: a quote opens at a cell's first byte only, doubled it is escaped."""
    found, start, inside, i = [], 0, False, 0
    first = True
    while i < len(data):
        c = chr(data[i])
        if inside:
            if c == quote and data[i + 1 : i + 2] == quote.encode():
                i += 1
            elif c == quote:
                inside = False
        elif c == "\n":
            found.append(data[start : i + 1])
            start = i + 1
        elif c == quote and first:
            inside = True
        first = not inside and c in (delimiter, "\n", "\r")
        i += 1
    found += [data[start:]] if start < len(data) else []
    return [f for f in found if f not in (b"\n", b"\r\n", b"\r", b"\r\r")]


def cut(data, at):
    points = [0, *sorted({min(p, len(data)) for p in at}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(points) if a < b]


def found(chunks, quote='"'):
    return [
        (g.offset + int(g.starts[i]), g.row + i, bytes(g.data[g.starts[i] : g.stops[i]]))
        for g in records.groups(chunks, records.Breaks(",", quote))
        for i in range(len(g))
    ]


@settings(max_examples=400, deadline=None)
@given(csv_bytes, st.lists(st.integers(0, 60), max_size=6))
def test_records_of_any_chunks_are_those_of_the_state_machine(data, at):
    got = found(cut(data, at))
    assert [r for _, _, r in got] == naive(data)
    assert [n for _, n, _ in got] == list(range(len(got)))
    assert all(data[o : o + len(r)] == r for o, _, r in got)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='a",\n', max_size=40).map(str.encode))
def test_arrow_sees_the_same_records(data):
    expected = naive(data)
    if not expected:
        return
    bad = []
    table = pa.csv.read_csv(
        io.BytesIO(data),
        pa.csv.ReadOptions(column_names=["a", "b"], use_threads=False),
        pa.csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=lambda r: (bad.append(r), "skip")[1]
        ),
    )
    assert table.num_rows + len(bad) == len(expected)


def test_without_quotes_every_line_is_a_record():
    assert [r for _, _, r in found([b'"a\nb"\n'], quote="")] == [b'"a\n', b'b"\n']


@pytest.mark.parametrize("step", [7, 1000, 10**9])
def test_a_record_too_long_to_hold_comes_alone_with_its_beginning(monkeypatch, step):
    monkeypatch.setattr(records, "MAX_RECORD", 1000)
    long = b"x" * 50_000
    data = b"a\n" + long + b"\nb\n"
    groups = list(records.groups(cut(data, range(0, len(data), step)), records.Breaks()))
    spelled = [(g.row + i, g.offset + int(g.starts[i])) for g in groups for i in range(len(g))]
    assert spelled == [(0, 0), (1, 2), (2, 50_003)]
    held = max(len(g.data) for g in groups)
    assert held <= 1000 + max(step, 2) or step == 10**9
    assert any(g.length == 50_001 for g in groups) or step == 10**9


def test_an_unclosed_quote_is_told():
    *_, last = records.groups([b'a\n"b\nc\n'], records.Breaks(",", '"'))
    assert last.unclosed
    assert last.record(0) == b'"b\nc'
    assert np.array_equal(last.starts, [0])
