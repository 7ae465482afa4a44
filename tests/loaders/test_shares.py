"""Who sees what: every sample once, whatever the deal, and whenever it changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamis.loaders import shares, turns

DEALS = st.builds(shares.Deal, st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.just(0))
STAGES = st.lists(st.integers(0, 23), min_size=1, max_size=3).map(
    lambda sizes: tuple(((100 * i, 100 * i + n),) for i, n in enumerate(sizes))
)


def positions(runs):
    return [p for start, stop in runs for p in range(start, stop)]


def everything(stages):
    return [p for runs in stages for p in positions(runs)]


def rank(stages, deal, of, position=0):
    """What a rank trains on, by the definition: batch after batch of its workers."""
    consumers = range(of * deal.workers, (of + 1) * deal.workers)
    found = [everything(shares.share(stages, deal, c, position)) for c in consumers]
    out, worker = [], 0
    while any(found):
        out += found[worker][: deal.batch]
        del found[worker][: deal.batch]
        worker = (worker + 1) % deal.workers
    return out


def seen(stages, deal, count):
    """What ranks have seen when each has been handed `count`, by the definition."""
    return [p for r in range(deal.ranks) for p in rank(stages, deal, r)[:count]]


@given(STAGES, DEALS)
def test_the_shares_are_a_partition_and_of_one_size(stages, deal):
    each = [rank(stages, deal, r) for r in range(deal.ranks)]
    assert sorted(p for share in each for p in share) == everything(stages)
    assert max(map(len, each)) - min(map(len, each)) <= 1


@given(STAGES, DEALS)
def test_only_the_last_batch_of_a_rank_is_short(stages, deal):
    whole = ((0, shares.size(sum(stages, ()))),)
    for r in range(deal.ranks):
        consumers = range(r * deal.workers, (r + 1) * deal.workers)
        sizes = [shares.size(shares.share((whole,), deal, c, 0)[0]) for c in consumers]
        assert sum(n % deal.batch > 0 for n in sizes) <= 1
        assert -(-sum(sizes) // deal.batch) == sum(-(-n // deal.batch) for n in sizes)


@given(STAGES, DEALS, st.data())
def test_what_is_left_is_what_nobody_has_seen_and_goes_on_as_before(stages, deal, data):
    """At every position; `share` from there is the rest of what it would have been."""
    total = len(everything(stages))
    for count in range(-(-total // deal.ranks) + 1):
        now = deal.and_seen(count)
        gone = seen(stages, deal, count)
        assert sorted(everything(shares.left(stages, now)) + gone) == everything(stages)
        assert shares.position(stages, now) == len(gone)
        if deal.workers == 1:
            at = shares.position(stages, now)
            for r in range(deal.ranks):
                assert rank(stages, deal, r, at) == rank(stages, deal, r)[count:]


@given(STAGES, st.lists(st.tuples(DEALS, st.integers(0, 9)), min_size=1, max_size=4))
def test_a_change_in_the_middle_loses_and_repeats_nothing(stages, history):
    trained, now = [], stages
    for deal, count in history:
        trained += seen(now, deal, count)
        now = shares.left(now, deal.and_seen(count))
    assert sorted(trained + everything(now)) == everything(stages)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 40))
def test_a_row_comes_as_often_as_planned_and_at_most_once_a_pass(times, phase):
    times = np.array(times, np.int32)
    most = max(1, int(times.max()))
    passes = [turns.taken(times, most, t, phase) for t in range(most)]
    each = [np.bincount(rows, minlength=len(times)) for rows in passes]
    assert np.array_equal(sum(each), times)
    assert max(n.max() for n in each) <= 1
    by_times = {m: int(np.sum(times == m)) for m in range(1, most + 1)}
    assert [len(p) for p in passes] == turns.counts(by_times, most, phase).tolist()
    for m in by_times:  # every pass has its part of them, to a row
        found = [int(np.sum(times[p] == m)) for p in passes]
        assert max(found) - min(found) <= 1
