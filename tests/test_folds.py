import collections
import hashlib
import pickle

import numpy as np
import pyarrow as pa
import pytest

from tamis import folds, keys, radix, seeding, testing
from tamis.schemas import embeddings, uids

N, D = 240, 6


def unit_rows(n=N, d=D, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def pool(copies=False):
    rng = np.random.default_rng(1)
    names = np.arange(N) // (2 if copies else 1)
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in names])),
            "label": pa.array([None if i % 17 == 0 else "abc"[i % 3] for i in range(N)]),
            "source": pa.array(["x", "y"]).take(pa.array(rng.integers(0, 2, N))).cast(pa.string()),
            "row": pa.array(np.arange(N)),
            "embedding": embeddings.column(unit_rows()),
            "score": pa.array(rng.integers(0, 9, N).astype(np.float32)),
            "priority": pa.array(rng.integers(0, 2**64, N, np.uint64)),
        }
    )


def later_pass():
    """A pass that looks at the second digit of what the first left open."""
    state = radix.start([[10, 100]], 6)
    counts = radix.histogram(state, *radix.read(pool(), ("score", "priority")))
    return radix.Pass(radix.refine(state, counts), ("score", "priority"))


FOLDS = {
    "count": folds.Count(("source", "label")),
    "count all": folds.Count(()),
    "sample": folds.BottomK(20, ("label", "embedding"), seed=3),
    "sample of all": folds.BottomK(1000, ("row",)),
    "sample of none": folds.BottomK(0),
    "means": folds.ClassMeans(),
    "pass": radix.Pass(radix.start([[10, 50]], 6), ("score", "priority")),
    "later pass": later_pass(),
}


@pytest.mark.parametrize("name", FOLDS)
@pytest.mark.parametrize("copies", [False, True])
def test_every_fold_keeps_the_laws(name, copies):
    testing.check_fold(FOLDS[name], pool(copies))


@pytest.mark.parametrize("name", FOLDS)
def test_every_fold_has_a_result_for_no_rows(name):
    fold = FOLDS[name]
    fold.result(fold.zero())
    fold.result(fold.add(fold.zero(), pool().slice(0, 0)))


def test_count_is_a_counter():
    batch = pool()
    expected = collections.Counter(
        zip(batch["source"].to_pylist(), batch["label"].to_pylist(), strict=True)
    )
    fold = folds.Count(("source", "label"))
    counts = fold.result(fold.add(fold.zero(), batch))
    assert counts == dict(expected)
    assert list(counts) == sorted(counts, key=lambda k: (k[0], k[1] is None, k[1]))


def test_the_sample_is_the_rows_of_smallest_priority():
    batch = pool()
    fold = folds.BottomK(20, ("row", "embedding"), seed=3, purpose=("k-means",))
    table = fold.result(fold.add(fold.zero(), batch))
    priority = seeding.priority(uids.from_hex(batch["uid"]), 3, "k-means")
    rows = np.argsort(priority)[:20]
    assert table.column_names == ["priority", "uid", "row", "embedding"]
    assert table["row"].to_pylist() == rows.tolist()
    assert table["embedding"].type == batch.schema.field("embedding").type
    np.testing.assert_array_equal(embeddings.matrix(table["embedding"]), unit_rows()[rows])


def test_another_purpose_is_another_sample():
    batch, samples = pool(), []
    for purpose in ("a", "b"):
        fold = folds.BottomK(20, purpose=(purpose,))
        samples.append(fold.result(fold.add(fold.zero(), batch))["uid"].to_pylist())
    assert samples[0] != samples[1]


def test_the_state_of_a_sample_stays_small():
    fold, state = folds.BottomK(10, ("embedding",)), None
    for start in range(0, 200_000, 20_000):
        n = 20_000
        batch = pa.record_batch(
            {
                "uid": uids.to_hex(
                    np.random.default_rng(start).integers(0, 2**64, (n, 2), np.uint64)
                ),
                "embedding": embeddings.column(np.ones((n, 16), np.float16)),
            }
        )
        state = fold.add(state or fold.zero(), batch)
        assert state.rows.num_rows <= 20
    assert len(pickle.dumps(state)) < 10_000


def test_class_means_are_the_directions_of_float_sums():
    batch = pool()
    fold = folds.ClassMeans()
    found = fold.result(fold.add(fold.zero(), batch))
    label = batch["label"].to_numpy(zero_copy_only=False)
    x = unit_rows().astype(np.float64)
    assert found.labels == ("a", "b", "c")
    for name, mean, rows in zip(*found, strict=True):
        total = x[label == name].sum(axis=0)
        assert rows == (label == name).sum()
        np.testing.assert_allclose(mean, total / np.linalg.norm(total), atol=1e-6)


def test_a_class_whose_vectors_cancel_has_no_direction():
    batch = pa.record_batch(
        {
            "label": ["a", "a"],
            "embedding": embeddings.column(np.array([[1, 0], [-1, 0]], np.float32)),
        }
    )
    fold = folds.ClassMeans()
    assert fold.result(fold.add(fold.zero(), batch)).means.tolist() == [[0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
def test_class_means_refuse_what_is_not_a_unit_vector(value):
    batch = pa.record_batch(
        {"label": ["a"], "embedding": embeddings.column(np.array([[value, 0]], np.float32))}
    )
    fold = folds.ClassMeans()
    with pytest.raises(ValueError, match="not a finite unit vector"):
        fold.add(fold.zero(), batch)


class FloatSum:
    """The mistake the laws are for."""

    def zero(self):
        return np.float32(0)

    def add(self, state, batch):
        return state + batch["score"].to_numpy().sum(dtype=np.float32) / np.float32(3)

    def merge(self, a, b):
        return a + b

    def result(self, state):
        return state


def test_the_laws_catch_a_sum_of_floats():
    with pytest.raises(AssertionError, match="merge"):
        testing.check_fold(FloatSum(), pool())


class Mutating(FloatSum):
    def zero(self):
        return [0]

    def add(self, state, batch):
        return [state[0] + batch.num_rows]

    def merge(self, a, b):
        a[0] += b[0]
        return a

    def result(self, state):
        return state[0]


def test_the_laws_catch_a_mutated_state():
    with pytest.raises(AssertionError, match=r"merge|mutates|identity|change"):
        testing.check_fold(Mutating(), pool())


def test_bytes_of_a_result_are_the_same_for_any_workers():
    def digest(parts):
        fold = FOLDS["sample"]
        states = [fold.add(fold.zero(), b) for b in parts]
        while len(states) > 1:
            states = [*states[2:], fold.merge(states[1], states[0])]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, (table := fold.result(states[0])).schema) as writer:
            writer.write_table(table)
        return hashlib.sha256(sink.getvalue()).hexdigest()

    whole = pool()
    cuts = [
        [whole],
        [whole.slice(i, 60) for i in range(0, N, 60)],
        [whole.slice(i, 7) for i in range(0, N, 7)],
    ]
    assert len({digest(parts) for parts in cuts}) == 1


def test_a_radix_pass_is_a_fold_over_columns():
    found = radix.select([pool()], [[50]], keys=("score", "priority"))
    band = radix.above(
        found, np.zeros(N, int), keys.digits(*(pool()[c].to_numpy() for c in ("score", "priority")))
    )
    assert (band == 0).sum() == 50
