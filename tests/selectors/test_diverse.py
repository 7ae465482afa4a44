"""Selectors that look at likeness, against brute force and plain loops."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from tamis import linalg
from tamis.selectors import dpp, greedy, herding, k_center, mmr, objectives, round_robin, stratified
from tamis.selectors import top_k as top

OBJECTIVES = objectives.Name.__args__
SEEDS = st.integers(0, 2**32 - 1)


def unit(n, d, seed):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def plain(name, x, strength):
    """f as the module's table has it, from the whole matrix."""
    s = np.rint(np.clip(x @ x.T, 0, 1) * 2**23) / 2**23

    def f(rows):
        rows = list(rows)
        if not rows:
            return 0.0
        if name == "facility_location":
            return s[:, rows].max(axis=1).sum()
        if name == "saturated_coverage":
            return np.minimum(s[:, rows].sum(axis=1), strength * s.sum(axis=1)).sum()
        if name == "graph_cut":
            return s[:, rows].sum() - strength * s[np.ix_(rows, rows)].sum()
        both = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)
        return np.sqrt(both[rows].sum(axis=0)).sum()

    return f


def made(name, x, strength, rows=None):
    fixed = linalg.fixed_point(x)
    return objectives.named(name, fixed, fixed if rows is None else fixed[rows], strength)


def best_value(f, n, k):
    return max(f(rows) for rows in itertools.combinations(range(n), k))


def test_products_in_fixed_point_are_exact():
    x, y = (linalg.fixed_point(unit(9, 300, s)) for s in (0, 1))
    whole = linalg.products(x, y)
    for i, j in itertools.product(range(9), range(9)):
        exact = sum(int(a) * int(b) for a, b in zip(x[i], y[j], strict=True))
        assert whole[i, j] == exact / 2**50
        assert linalg.products(x[[i]], y[j])[0] == whole[i, j]
    np.testing.assert_allclose(whole, unit(9, 300, 0) @ unit(9, 300, 1).T, atol=1e-7)
    assert linalg.squares(x).tolist() == np.diag(linalg.products(x, x)).tolist()


def test_float16_vectors_lose_nothing_in_fixed_point():
    x = unit(40, 64, 2).astype(np.float16)
    assert np.all(linalg.fixed_point(x) / 2**25 == x.astype(float))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_lazy_greedy_is_greedy(name):
    x, strength = unit(40, 6, 3), 0.3
    x[25:30] = x[20:25]  # copies, so ties
    f, rows = plain(name, x, strength), []
    for _ in range(12):
        gain = [f([*rows, j]) - f(rows) if j not in rows else -np.inf for j in range(40)]
        top_gain = max(gain)
        rows.append(next(j for j in range(40) if gain[j] > top_gain - 1e-9))
    assert greedy.lazy(made(name, x, strength), 12).tolist() == rows
    assert greedy.value(made(name, x, strength), np.array(rows)) == pytest.approx(f(rows))


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 4))
def test_greedy_keeps_its_guarantee(name, seed, k):
    x = unit(9, 4, seed)
    f = plain(name, x, 0.4)
    assert f(greedy.lazy(made(name, x, 0.4), k)) >= (1 - 1 / math.e) * best_value(f, 9, k) - 1e-9


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, small=st.sets(st.integers(0, 7)), more=st.sets(st.integers(0, 7)))
def test_objectives_are_monotone_and_submodular(name, seed, small, more):
    objective = made(name, unit(9, 4, seed), 0.5)

    def gain(rows):
        state = objective.empty()
        for j in rows:
            state = objective.add(state, j)
        return float(objective.gains(state, np.array([8]))[0])

    assert gain(sorted(small | more)) >= -1e-9
    assert gain(sorted(small)) >= gain(sorted(small | more)) - 1e-9


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, picks=st.lists(st.integers(0, 29), min_size=1, max_size=5, unique=True))
def test_tightened_bounds_hold(name, seed, picks):
    objective, everyone = made(name, unit(30, 5, seed), 0.3), np.arange(30)
    state = objective.empty()
    bound = objective.gains(state, everyone)
    for j in picks:
        before, state = state, objective.add(state, j)
        bound = objective.tighten(bound, before, state)
    rest = np.setdiff1d(everyone, picks)
    gains = objective.gains(state, rest)
    assert np.all(bound[rest] >= gains - 1e-12)
    if name in ("facility_location", "graph_cut"):
        np.testing.assert_allclose(bound[rest], gains, atol=1e-12)


def test_blocks_do_not_move_a_bit(monkeypatch):
    x = unit(70, 16, 4)
    whole = {name: greedy.lazy(made(name, x, 0.3), 20).tolist() for name in OBJECTIVES}
    monkeypatch.setattr(objectives, "_BLOCK_BYTES", 8 * 70 * 3)
    assert {name: greedy.lazy(made(name, x, 0.3), 20).tolist() for name in OBJECTIVES} == whole


def test_stochastic_greedy_keeps_its_guarantee_in_the_mean():
    x = unit(12, 4, 5)
    f, objective = plain("facility_location", x, 0), made("facility_location", x, 0)
    found = [f(greedy.stochastic(objective, 4, 0.1, np.random.default_rng(s))) for s in range(60)]
    assert np.mean(found) >= (1 - 1 / math.e - 0.1) * best_value(f, 12, 4)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 4), shards=st.integers(1, 4))
def test_sharded_greedy_keeps_its_guarantee(seed, k, shards):
    x = unit(10, 4, seed)
    f = plain("facility_location", x, 0)

    def of(ground, rows):
        fixed = linalg.fixed_point(x)
        return objectives.FacilityLocation(fixed[ground], fixed[rows])

    shard = np.random.default_rng(seed).integers(0, shards, 10)
    rows = greedy.sharded(of, shard, k)
    assert len(set(rows.tolist())) == k
    assert f(rows) >= (1 - 1 / math.e) / min(shards, k) * best_value(f, 10, k) - 1e-9


def test_sharded_greedy_is_nearly_greedy_on_more_rows():
    x = unit(400, 5, 6)
    f, fixed = plain("facility_location", x, 0), linalg.fixed_point(x)

    def of(ground, rows):
        return objectives.FacilityLocation(fixed[ground], fixed[rows])

    whole = f(greedy.lazy(made("facility_location", x, 0), 20))
    shard = np.random.default_rng(0).integers(0, 5, 400)
    assert f(greedy.sharded(of, shard, 20)) >= 0.97 * whole


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 4))
def test_farthest_first_is_within_twice_the_least_radius(seed, k):
    x = unit(10, 3, seed)
    away = distance.cdist(x, x)
    least = min(away[:, list(r)].min(axis=1).max() for r in itertools.combinations(range(10), k))
    rows = k_center.farthest_first(x, k, seed % 10)
    mine = away[:, rows].min(axis=1).max()
    assert mine <= 2 * least + 1e-6
    assert k_center.radius(x, rows) == pytest.approx(mine, abs=1e-6)


def test_farthest_first_takes_copies_last():
    x = np.repeat(unit(4, 3, 0), 2, axis=0)
    rows = k_center.farthest_first(x, 8, 3)
    assert sorted(rows[:4] // 2) == [0, 1, 2, 3]
    assert sorted(rows) == list(range(8))


def test_herding_follows_welling():
    x = unit(50, 6, 7)
    w, rows = x.mean(axis=0), []
    for _ in range(20):
        j = max((i for i in range(50) if i not in rows), key=lambda i: x[i] @ w)
        rows.append(j)
        w = w + x.mean(axis=0) - x[j]
    assert herding.herd(x, 20).tolist() == rows


def test_the_mean_of_a_herd_is_nearer_than_that_of_a_random_sample():
    x, rng = unit(400, 8, 8), np.random.default_rng(0)

    def off(rows):
        return np.linalg.norm(x[rows].mean(axis=0) - x.mean(axis=0))

    for k in (10, 40):
        random = np.mean([off(rng.choice(400, k, replace=False)) for _ in range(50)])
        assert off(herding.herd(x, k)) < 0.3 * random


def test_dpp_takes_the_largest_determinant():
    x, quality, width = unit(25, 5, 9), np.random.default_rng(1).uniform(-1, 1, 25), 0.8
    q = np.exp(quality)
    kernel = q[:, None] * np.exp(-(distance.cdist(x, x) ** 2) / (2 * width**2)) * q
    rows = []
    for _ in range(10):
        free = [j for j in range(25) if j not in rows]
        rows.append(max(free, key=lambda j: np.linalg.det(kernel[np.ix_([*rows, j], [*rows, j])])))
    assert dpp.greedy_map(x, quality, 10, width).tolist() == rows


def test_dpp_leaves_copies_to_the_end_by_quality():
    x = np.repeat(unit(5, 8, 1), 3, axis=0)
    quality = np.linspace(0, 1, 15)
    rows = dpp.greedy_map(x, quality, 15, 0.5)
    assert sorted(rows[:5] // 3) == [0, 1, 2, 3, 4]
    assert rows[5:].tolist() == sorted(rows[5:], reverse=True)


def test_the_mean_distance_is_of_all_pairs():
    x = unit(30, 4, 10)
    away = distance.pdist(x)
    assert dpp.mean_distance(x) == pytest.approx(np.sqrt((away**2).mean()))
    assert dpp.mean_distance(x[:1]) == pytest.approx(math.sqrt(2))


def test_mmr_weighs_relevance_against_likeness():
    x, r = unit(40, 5, 11), np.random.default_rng(2).uniform(0, 1, 40)
    rows = [int(r.argmax())]
    while len(rows) < 15:
        free = [j for j in range(40) if j not in rows]
        rows.append(max(free, key=lambda j: 0.4 * r[j] - 0.6 * max(x[j] @ x[i] for i in rows)))
    assert mmr.marginal_relevance(r, x, 15, 0.4).tolist() == rows
    best = mmr.marginal_relevance(r, x, 40, 1.0)
    assert best.tolist() == np.argsort(-r).tolist()


def test_every_query_takes_its_nearest_row_in_turn():
    v, x = unit(5, 4, 12), unit(30, 4, 13)
    s, rows = v @ x.T, []
    while len(rows) < 22:
        for q in range(5):
            free = [i for i in range(30) if i not in rows]
            if len(rows) < 22:
                rows.append(max(free, key=lambda i: s[q, i]))
    lists = round_robin.nearest_rows(v, x, np.arange(5), 22)
    assert round_robin.take_turns(lists, 22, lose_turn=False).tolist() == rows


def test_every_task_pops_its_list_in_turn():
    v, x, task = unit(6, 4, 14), unit(30, 4, 15), np.array([1, 0, 2, 1, 1, 0])
    s = v @ x.T
    lists = [list(np.argsort(-s[task == t].max(axis=0), kind="stable")) for t in range(3)]
    rows = []
    while len(rows) < 17:
        for t in range(3):
            head = lists[t].pop(0)
            if head not in rows and len(rows) < 17:
                rows.append(head)
    found = round_robin.nearest_rows(v, x, task, 17)
    assert round_robin.take_turns(found, 17, lose_turn=True).tolist() == rows


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, k=st.integers(0, 8), floor=st.sampled_from([0.0, 0.5, 1.0]))
def test_floors_are_kept_by_the_best_rows_that_keep_them(seed, k, floor):
    rng = np.random.default_rng(seed)
    score, group = rng.integers(0, 20, 8).astype(float), rng.integers(0, 3, 8)
    sizes = np.bincount(group, minlength=3)
    least = stratified.floors(sizes, k, floor)
    assert np.all(least <= floor * sizes * k / 8 + 1e-9)
    assert np.all(least > floor * sizes * k / 8 - 1)
    rows = stratified.best_with_floors(score, group, k, floor)
    assert np.all(np.bincount(group[rows], minlength=3) >= least)
    assert len(set(rows.tolist())) == k
    possible = [
        score[list(r)].sum()
        for r in itertools.combinations(range(8), k)
        if np.all(np.bincount(group[list(r)], minlength=3) >= least)
    ]
    assert score[rows].sum() == max(possible)


def test_no_floor_is_top_k():
    rng = np.random.default_rng(1)
    score, uid = rng.integers(0, 9, 50).astype(np.float32), np.zeros((50, 2), np.uint64)
    rows = stratified.best_with_floors(score.astype(float), rng.integers(0, 4, 50), 20, 0.0)
    assert rows.tolist() == top.highest(score, uid, 20).tolist()
