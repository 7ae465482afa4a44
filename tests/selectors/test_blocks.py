"""Every pair that must meet meets in exactly one block, and no block is large."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors import blocks


def sent(plan, members, visitors):
    """Block to its left and right rows; rows are (cell, is a visitor, number)."""
    left, right = collections.defaultdict(list), collections.defaultdict(list)
    for turn, a in itertools.product(range(plan.rounds), range(len(members))):
        for i in range(members[a]):
            at = i % max(int(plan.members[a]), 1)
            for block, is_left in plan.of_member(a, at, turn):
                (left if is_left else right)[block].append((a, False, i))
        for v in range(visitors[a]):
            for block in plan.of_visitor(a, v % int(plan.visitors[a]), turn):
                right[block].append((a, True, v))
    return left, right


def meetings(plan, members, visitors):
    met = collections.Counter()
    left, right = sent(plan, members, visitors)
    for block in set(left) | set(right):
        pairs = list(itertools.product(left[block], right[block]))
        if plan.first(block):
            pairs += itertools.combinations(left[block], 2)
        met.update(tuple(sorted(p)) for p in pairs)
    return met


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4),
    st.integers(1, 5),
    st.sampled_from([1, 7, 1000]),
)
def test_every_pair_meets_once(sizes, cap, shuffled):
    members, visitors = np.array(sizes).T
    plan = blocks.blocks(members, visitors, cap=cap, shuffled=shuffled)
    expected = collections.Counter()
    for a, (m, v) in enumerate(sizes):
        inside = [(a, False, i) for i in range(m)]
        expected.update(itertools.combinations(inside, 2))
        expected.update(itertools.product(inside, [(a, True, j) for j in range(v)]))
    assert meetings(plan, members, visitors) == expected


def test_a_block_holds_two_chunks_at_most():
    members, visitors = np.array([1000, 3]), np.array([450, 2000])
    left, right = sent(blocks.blocks(members, visitors, cap=100, shuffled=10**9), members, visitors)
    assert max(map(len, left.values())) == 100
    assert max(map(len, right.values())) == 100


def test_a_cell_below_the_cap_is_one_block():
    plan = blocks.blocks(np.array([50]), np.array([80]), cap=100, shuffled=10**9)
    left, right = sent(plan, [50], [80])
    assert set(left) == set(right) == {blocks.Block(0, 0, 1)}


def test_a_round_sends_no_more_than_asked():
    members, visitors = np.full(40, 300), np.full(40, 900)
    plan = blocks.blocks(members, visitors, cap=100, shuffled=10_000)
    rows = collections.Counter()
    for side in sent(plan, members, visitors):
        for block, here in side.items():
            rows[int(plan.round[plan.start[block.cell] + block.left])] += len(here)
    assert plan.rounds > 3
    assert max(rows.values()) <= 10_000 + 2_000  # and one left chunk


@pytest.mark.parametrize("count", [1, 3])
def test_chunks_are_of_the_hash_alone(count):
    priority = np.array([0, 1, 2, 3, 2**63], np.uint64)
    assert blocks.chunk(priority, count).tolist() == [int(p) % count for p in priority]
