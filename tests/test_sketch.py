import collections

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import sketch, testing
from tamis.schemas import index, uids


def names(n, seed=0, columns=2):
    return np.random.default_rng(seed).integers(0, 2**64, (n, columns), np.uint64)


def batch(x):
    return pa.record_batch({index.UID: uids.to_hex(x)})


def test_it_is_a_fold():
    x = names(300)
    testing.check_fold(sketch.Twice(1024), batch(np.concatenate([x, x[:40]])))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 60), max_size=200), st.sampled_from([8, 64]), st.booleans())
def test_slots_are_counted_up_to_two_in_each_filter(drawn, slots, merged):
    """The oracle counts in a dictionary, with so few slots that nearly all are shared."""
    x, fold = names(61)[drawn], sketch.Twice(slots)
    half = len(x) // 2 if merged else len(x)
    state = fold.merge(fold.seen(fold.zero(), x[:half]), fold.seen(fold.zero(), x[half:]))
    low = [int(a) % slots for a, _ in x]
    high = [(int(b) >> 32) % slots for _, b in x]
    counts = collections.Counter(low), collections.Counter(high)
    wanted = [counts[0][i] > 1 and counts[1][j] > 1 for i, j in zip(low, high, strict=True)]
    assert sketch.suspect(fold.result(state), x).tolist() == wanted


@pytest.mark.parametrize("columns", [1, 2])
def test_no_copy_is_missed_and_few_others_are_suspected(columns):
    rows = 2**16  # 8 slots a row exactly: the most that are suspected
    x = names(rows, columns=columns)
    x[-1_000:] = x[:1_000]
    fold = sketch.Twice(sketch.slots_for(rows))
    state = fold.zero()
    for part in np.array_split(x, 7):
        state = fold.seen(state, part)
    assert state.nbytes == sketch.bytes_for(rows)
    found = sketch.suspect(fold.result(state), x)
    assert found[:1_000].all()
    assert found[-1_000:].all()
    assert found[1_000:-1_000].mean() == pytest.approx((1 - np.exp(-1 / 8)) ** 2, rel=0.15)
