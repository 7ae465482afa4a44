"""The collector against plain loops over everything it was shown."""

import itertools
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import errors, testing
from tamis.schemas import uids
from tamis.scorers import collector, places, recorded

CLASSES = 4


def names(n, source="s"):
    return uids.of(source, pa.array([str(i) for i in range(n)]))


def shown(n, looks, runs, seed=0):
    """Logits (runs, looks, n, c) and labels (n,); some rows easy, some never right."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, n)
    z = rng.standard_normal((runs, looks, n, CLASSES))
    z[..., np.arange(n), y] += np.linspace(-6, 6, n)
    return z, y


def naive(z, y, early):
    """Every column of one row (runs, looks, c) by loops in the papers' words."""
    found = []
    for run in z:
        p = np.exp(run) / np.exp(run).sum(1, keepdims=True)
        right = [look.argmax() == y for look in run]
        events = sum(a and not b for a, b in itertools.pairwise(right))
        lead = [look[y] - max(np.delete(look, y)) for look in run]
        top = np.sort(p[-1])[::-1]
        found.append(
            {
                "el2n": np.mean([np.linalg.norm(q - np.eye(CLASSES)[y]) for q in p[:early]]),
                "forgetting": events if any(right) else len(run),
                "area_under_margin": np.mean(lead),
                "ddd": float(not right[-1]),
                "entropy": -np.sum(p[-1] * np.log(p[-1])),
                "margin": 1 - (top[0] - top[1]),
                "least_confidence": 1 - top[0],
            }
        )
    return {k: np.mean([f[k] for f in found]) for k in found[0]}


@pytest.mark.parametrize("kind", ["hex", "list", "u64", "torch"])
def test_every_column_is_that_of_the_loops(kind):
    n, looks, runs, early = 60, 7, 3, 2
    z, y = shown(n, looks, runs)
    named, rng = names(n), np.random.default_rng(1)
    taken = collector.Collector(early)
    for run in z:
        for look in run:
            order = rng.permutation(n)
            for part in np.array_split(order, 5):
                own = named.take(pa.array(part))
                own = {"list": own.to_pylist(), "u64": uids.from_hex(own)}.get(kind, own)
                logits, labels = look[part], y[part]
                if kind == "torch":
                    logits, labels = torch.tensor(logits, requires_grad=True), torch.tensor(labels)
                taken.record(own, logits, labels)
        taken.end_run()
    found, columns = taken.result()
    order = {name: i for i, name in enumerate(uids.to_hex(found).to_pylist())}
    for i, name in enumerate(named.to_pylist()):
        for column, value in naive(z[:, :, i], y[i], early).items():
            assert columns[column][order[name]] == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_never_learned_stands_above_every_count_and_is_finite():
    taken, named = collector.Collector(), names(2)
    for i in range(9):
        taken.record(named, [[2.0, 0.0], [float(i % 2), 0.5]], [1, 0])
    _, columns = taken.result()
    assert columns["forgetting"].tolist() == [9, 4]


def test_a_row_may_come_twice_in_a_batch():
    named = names(3)
    twice = named.take(pa.array([0, 1, 0, 2, 0]))
    z, y = shown(5, 1, 1, seed=4)[0][0, 0], np.array([0, 1, 0, 2, 0])
    together, apart = collector.Collector(), collector.Collector()
    together.record(twice, z, y)
    for i in range(5):
        apart.record(twice.slice(i, 1), z[i : i + 1], y[i : i + 1])
    left, right = together.result(), apart.result()
    assert np.array_equal(left[0], right[0])
    assert all(np.array_equal(left[1][k], right[1][k]) for k in left[1])


def test_runs_may_show_different_rows():
    taken, named = collector.Collector(), names(3)
    taken.record(named.slice(0, 2), [[3.0, 0], [3.0, 0]], [0, 1])
    taken.end_run()
    taken.record(named.slice(1, 2), [[3.0, 0], [3.0, 0]], [0, 0])
    _, columns = taken.result()
    assert columns["ddd"].tolist() == [0, 0.5, 0]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[np.nan, 0], [0, 1]], [0, 1], "has a logit that is not finite"),
        ([[1, 0], [0, 1]], [0, 2], r"has a label outside 0..1"),
        ([[1, 0], [0, 1]], [0], r"2 uids, logits of shape \(2, 2\) and labels of shape \(1,\)"),
        ([[1], [0]], [0, 0], "c at least 2"),
    ],
)
def test_bad_batches_are_errors_and_leave_no_trace(logits, labels, message):
    taken = collector.Collector()
    with pytest.raises(errors.SchemaError, match=message):
        taken.record(names(2), np.array(logits, float), labels)
    with pytest.raises(errors.SchemaError, match="nothing was recorded"):
        taken.result()


def test_uids_must_be_uids():
    with pytest.raises(errors.SchemaError, match="neither hex strings nor"):
        collector.Collector().record(["a"], [[0.0, 1.0]], [0])
    with pytest.raises(errors.ConfigError, match="early is 0"):
        collector.Collector(0)


def test_memory_is_what_the_docstring_says():
    taken, n = collector.Collector(), 1 << 16
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2**64, (n, 2), np.uint64)
    for part in np.array_split(rows, 32):
        taken.record(part, rng.standard_normal((len(part), 3)), rng.integers(0, 3, len(part)))
    taken.end_run()
    arrays = [taken._run, taken._total, taken._runs, taken._places._uids, taken._places._table]
    assert sum(a.nbytes for a in arrays) / n < 140


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5000), max_size=700), max_size=6), st.booleans())
def test_places_are_a_dict(batches, crowded):
    table, known = places.Places(), {}
    for batch in batches:
        low = np.array(batch, np.uint64)
        rows = np.stack([low * 0 if crowded else low * 7, low], axis=1)
        want = [known.setdefault(int(i), len(known)) for i in low]
        assert table.find(rows).tolist() == want
    assert len(table) == len(known)
    assert table.uids[:, 1].tolist() == list(known)


def test_places_grow():
    table, rng = places.Places(), np.random.default_rng(0)
    rows = rng.integers(0, 2**64, (20_000, 2), np.uint64)
    for part in np.array_split(rows, 7):
        table.find(part)
    assert np.array_equal(table.find(rows[::-1]), np.arange(20_000)[::-1])


@pytest.fixture
def file(tmp_path):
    taken, n = collector.Collector(), 50
    z, y = shown(n, 3, 1)
    for look in z[0]:
        taken.record(names(n), look, y)
    url = str(tmp_path / "dynamics.parquet")
    taken.write(url)
    return url, taken.result()


def made(url, folder, metric="el2n", **options):
    measured = recorded.read(url, metric)
    np.save(folder / "uid.npy", measured.uid)
    np.save(folder / "value.npy", measured.value)
    return recorded.Recorded(
        str(folder / "uid.npy"), str(folder / "value.npy"), url, metric, **options
    )


def test_what_was_written_is_scored(file, tmp_path):
    url, (_, columns) = file
    batch = pa.record_batch({"uid": names(50)})
    for metric in collector.Collector.columns:
        scorer = made(url, tmp_path, metric, keep="high")
        testing.check_scorer(scorer, batch)
        assert scorer.score(batch).tolist() == columns[metric].astype(np.float32).tolist()
    low = made(url, tmp_path, "el2n")
    assert low.score(batch).tolist() == (-columns["el2n"].astype(np.float32)).tolist()


def test_writing_does_not_depend_on_the_order_of_the_loop(file, tmp_path):
    url, (found, columns) = file
    order = np.random.default_rng(0).permutation(50)
    recorded.write(str(tmp_path / "b"), found[order], {k: v[order] for k, v in columns.items()})
    assert (tmp_path / "b").read_bytes() == pathlib.Path(url).read_bytes()


@pytest.mark.parametrize("keep", ["high", "low"])
def test_rows_never_recorded_are_named_or_last(file, tmp_path, keep):
    url, _ = file
    batch = pa.record_batch({"uid": pa.concat_arrays([names(50), names(4, "other")])})
    with pytest.raises(errors.SchemaError, match="4 rows of a batch were never recorded") as caught:
        made(url, tmp_path, keep=keep).score(batch)
    assert names(4, "other")[2].as_py() in str(caught.value)
    assert names(4, "other")[3].as_py() not in str(caught.value)
    score = made(url, tmp_path, keep=keep, missing="last").score(batch)
    assert score[50:].max() < score[:50].min()
    assert np.isfinite(score).all()


def test_bad_files_are_named(file, tmp_path):
    url, _ = file
    with pytest.raises(errors.SchemaError, match="no column 'el2' beside a uid"):
        recorded.read(url, "el2")
    with pytest.raises(errors.SchemaError, match="there is no such file"):
        recorded.read(url + "x", "el2n")
    for column, value, message in (
        (["a" * 32, "a" * 32], [1.0, 2.0], "comes twice"),
        (["a" * 32, "b" * 32], [1.0, None], "is nan"),
        (["a" * 32, "b"], [1.0, 2.0], "not 32 hex digits"),
    ):
        pq.write_table(pa.table({"uid": column, "v": value}), tmp_path / "bad.parquet")
        with pytest.raises(errors.SchemaError, match=message):
            recorded.read(str(tmp_path / "bad.parquet"), "v")


@pytest.mark.parametrize(("field", "value"), [("keep", "hard"), ("missing", "first")])
def test_options_are_checked(field, value):
    with pytest.raises(errors.ConfigError, match=f"{field} is {value!r}"):
        recorded.Recorded("", "", "", "", **{field: value})
