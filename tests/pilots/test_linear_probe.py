import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.pilots import design, linear_probe


def blobs(rows, classes=2, d=16, shift=0.8, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, d)) * shift / np.sqrt(d)
    y = rng.integers(0, classes, rows)
    x = centres[y] + rng.standard_normal((rows, d)) / np.sqrt(d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


POOLS = [np.arange(0, 50), np.arange(50, 400)]
TRAIN, TARGET = blobs(400), blobs(500, seed=1)
RUNS = [
    design.Run((w, 1 - w), n, supply, s)
    for n in (24, 130)
    for w in (1.0, 0.5)
    for supply in ((50, 350), (10, 350))
    for s in range(3)
]


def measured(runs=RUNS, seed=0, **options):
    return linear_probe.measure(runs, POOLS, TRAIN, TARGET, seed=seed, classes=2, **options)


@given(st.integers(1, 40), st.integers(0, 200))
def test_order_is_whole_epochs(rows, count):
    seen = linear_probe.order(rows, count, np.random.default_rng(0))
    assert len(seen) == count
    times = np.bincount(seen, minlength=rows)
    assert times.max() - times.min() <= 1
    for start in range(0, count - rows + 1, rows):
        assert len(set(seen[start : start + rows])) == rows


def test_stream_has_the_quotas_and_spreads_them():
    got = linear_probe.stream(POOLS, [100, 300], np.random.default_rng(0))
    own = got < 50
    assert own.sum() == 100
    assert np.bincount(got[own], minlength=50).tolist() == [2] * 50
    per_quarter = own.reshape(4, 100).sum(1)
    assert (abs(per_quarter - 25) <= 2).all()


def test_a_cut_supply_shows_that_many_rows():
    run = design.Run((0.5, 0.5), 200, (10, 40), 0)
    seen = linear_probe.run_stream(run, POOLS, seed=3)
    assert len(set(seen[seen < 50])) == 10
    assert len(set(seen[seen >= 50])) == 40


def test_replicates_and_seeds_differ():
    streams = {
        tuple(linear_probe.run_stream(design.Run((1.0, 0.0), 40, (50, 350), s), POOLS, seed))
        for s in range(3)
        for seed in range(3)
    }
    assert len(streams) == 9


def test_results_do_not_depend_on_chunks_or_neighbours(monkeypatch):
    want = measured()
    monkeypatch.setattr(linear_probe, "CHUNK_BYTES", 8 * 24 * 2)
    assert np.array_equal(measured(), want)
    assert np.array_equal(measured(RUNS[::-5]), want[::-5])


def test_rows_on_disk_and_rows_in_memory_are_the_same(tmp_path, monkeypatch):
    x = TRAIN[0].astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    want = linear_probe.measure(RUNS, POOLS, (x, TRAIN[1]), TARGET, seed=0, classes=2)
    monkeypatch.setattr(linear_probe, "CACHE_BYTES", 0)
    got = linear_probe.measure(RUNS, POOLS, (mapped, TRAIN[1]), TARGET, seed=0, classes=2)
    assert np.array_equal(got, want)


def naive(x, y, rows, classes, rate, batch):
    """One run, a step at a time, in float64, the bias as a constant feature."""
    x = np.hstack([x, np.full((len(x), 1), x.shape[1] ** -0.5)]).astype(np.float64)
    w, steps = np.zeros((x.shape[1], classes)), -(-len(rows) // batch)
    for i in range(steps):
        part = rows[i * batch : (i + 1) * batch]
        z = x[part] @ w
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(classes)[y[part]]
        w -= rate * (1 - i / steps) * x[part].T @ p / len(part)
    w[-1] *= x[0, -1]
    return w


@pytest.mark.parametrize("classes", [2, 5])
def test_training_is_softmax_regression_by_sgd(classes):
    x, y = blobs(200, classes)
    orders = np.random.default_rng(0).integers(0, 200, (3, 61))
    got = linear_probe.train(x, y, orders, classes=classes, learning_rate=3.0, batch=8)
    for run, rows in zip(got, orders, strict=True):
        want = naive(x, y, rows, classes, 3.0, 8)
        np.testing.assert_allclose(run[:, :-1], want[:-1].T, atol=2e-5)
        np.testing.assert_allclose(run[:, -1], want[-1], atol=2e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_it_learns(classes):
    train, target = blobs(2000, classes), blobs(500, classes, seed=1)
    run = design.Run((1.0,), 4000, (2000,), 0)
    pools = [np.arange(2000)]
    got = linear_probe.measure([run], pools, train, target, seed=0, classes=classes)
    assert got[0] < 0.5 * (1 - 1 / classes)


def test_repetition_of_few_rows_hurts_and_more_rows_help():
    few = [design.Run((1.0, 0.0), 4000, (10, 350), s) for s in range(5)]
    many = [design.Run((0.0, 1.0), 4000, (50, 350), s) for s in range(5)]
    assert measured(few).mean() > measured(many).mean() + 0.02
