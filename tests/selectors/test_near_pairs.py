"""Near pairs, their groups and their thresholds, against plain loops over all pairs."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import clusters, testing
from tamis.schemas import columns, embeddings, scores, uids
from tamis.selectors import cells, duplicate_groups, near_pairs, registry, semantic_duplicates


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def planted(n, d, *, families=0.3, spread=0.25, seed=0):
    """Rows of decaying spectrum; some are others, moved a little, some of these again."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * (1 + np.arange(d)) ** -0.5
    for i in np.flatnonzero(rng.random(n) < families)[1:]:
        j = rng.integers(0, i)
        move = rng.standard_normal(d)
        x[i] = x[j] + spread * rng.random() * np.linalg.norm(x[j]) * move / np.linalg.norm(move)
    return unit(x)


def brute(x, threshold):
    """Pair to cosine, by a double loop."""
    wide = x.astype(np.float64)
    cosine = {(i, j): float(wide[i] @ wide[j]) for i, j in itertools.combinations(range(len(x)), 2)}
    return {pair: c for pair, c in cosine.items() if c >= np.float32(threshold)}


def pairs(x, threshold, k, **options):
    return near_pairs.near_pairs(x, threshold, where=layout(x, k), **options)


def layout(x, k):
    directions = near_pairs.basis(x)
    screens = near_pairs.block(x, directions).screens
    return near_pairs.Layout(directions, clusters.fit(screens, k, iterations=4, seed=1))


def as_dict(found):
    keys = zip(found.a.tolist(), found.b.tolist(), strict=True)
    return dict(zip(keys, found.similarity.tolist(), strict=True))


@pytest.mark.parametrize("k", [1, 2, 7, 40])
@pytest.mark.parametrize("threshold", [0.99, 0.95, 0.9, 0.7])
def test_pairs_are_those_of_the_double_loop_whatever_the_clusters(k, threshold):
    x = planted(300, 24)
    found, capped = pairs(x, threshold, k, probes=k)
    expected = brute(x, threshold)
    assert not capped.any()
    assert as_dict(found) == pytest.approx(expected, abs=1e-6)
    assert expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.sampled_from([2, 3, 16, 40]),
    st.integers(1, 9),
    st.sampled_from([0.999, 0.9, 0.5, 0.0, -0.5]),
    st.integers(0, 9),
)
def test_no_pair_is_missed_in_any_space(n, d, k, threshold, seed):
    x = planted(n, d, seed=seed)
    rng = np.random.default_rng(seed)  # nothing is fitted to x
    directions = near_pairs.basis(unit(rng.standard_normal((d, d))), rng.integers(1, d + 1))
    centroids = unit(rng.standard_normal((k, directions.shape[1] + 1)))
    where = near_pairs.Layout(directions, centroids)
    found, capped = near_pairs.near_pairs(x, threshold, where=where, probes=k)
    assert not capped.any()
    assert set(as_dict(found)) == set(brute(x, threshold))


def test_only_pairs_with_a_capped_row_may_be_missing():
    x = planted(600, 32, families=0.7, spread=0.5)
    found, capped = pairs(x, 0.9, 200, probes=1)
    missing = set(brute(x, 0.9)) - set(as_dict(found))
    assert missing, "or this shows nothing"
    assert all(capped[a] or capped[b] for a, b in missing)
    assert not capped.all()


def test_a_row_is_capped_where_one_of_its_near_borders_is_beyond_its_probes(monkeypatch):
    """Though a nearer centroid, close to its own, has a border that is far enough."""
    x, rng = planted(300, 8, seed=2), np.random.default_rng(0)
    centroids = np.repeat(unit(rng.standard_normal((20, 8))), 2, axis=0)
    centroids = unit(centroids + 0.05 * rng.standard_normal(centroids.shape))
    wide = centroids.astype(np.float64)
    score, gap = x @ wide.T, np.linalg.norm(wide[:, None] - wide, axis=2)
    home = score.argmax(axis=1)
    short = score.max(axis=1)[:, None] - score
    near = (short <= cells.radius(0.8) * gap[home]).sum(axis=1) - 1
    for crowd in (4, 99):
        monkeypatch.setattr(cells, "_CROWD", crowd)
        visits = cells.Cells(centroids, 0.8).visits(x, probes=3)
        assert visits.capped[near > 3].all()
        assert np.bincount(visits.row, minlength=300).max() == 3
    assert 0 < visits.capped.mean() < 1


def test_looking_inside_clusters_alone_misses_pairs_that_visits_find():
    x = planted(600, 32, families=0.7, spread=0.5)
    inside, _ = pairs(x, 0.9, 200, probes=0)
    across, _ = pairs(x, 0.9, 200, probes=200)
    assert len(inside.a) < 0.9 * len(across.a)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_pairs_have_the_same_bits_for_any_tile_and_any_workers(workers, monkeypatch):
    x = planted(400, 48)
    expected, _ = pairs(x, 0.9, 9)
    monkeypatch.setattr(near_pairs, "_TILE", 1_000 * workers)
    monkeypatch.setattr(near_pairs, "_MEASURED", 7)
    monkeypatch.setattr(near_pairs, "_CROWDED", workers)
    monkeypatch.setattr(cells, "_PRODUCTS", 97 * 9)
    found, _ = pairs(x, 0.9, 9, workers=workers)
    assert [c.tobytes() for c in found] == [c.tobytes() for c in expected]


def test_the_screen_is_never_below_the_cosine():
    x = planted(300, 40)
    for directions in (1, 5, 39, 40):
        found = near_pairs.block(x, near_pairs.basis(x[:50], directions))
        assert np.all(found.screens @ found.screens.T >= x @ x.T - 1e-6)


def test_rows_that_agree_in_the_kept_directions_still_meet():
    """The rest of such rows is all rounding."""
    x = unit(np.eye(3, 64) + 1e-4 * np.random.default_rng(0).standard_normal((3, 64)))
    x = unit(np.repeat(x, 40, axis=0) + 1e-4 * np.random.default_rng(1).standard_normal((120, 64)))
    directions = np.eye(64, 3, dtype=np.float32)
    rows = near_pairs.block(x, directions)
    found = near_pairs.joined(near_pairs.within(rows, 0.999999))
    assert set(as_dict(found)) == set(brute(x, 0.999999))


def test_copies_of_one_row_are_all_pairs_of_cosine_one():
    found, _ = pairs(np.repeat(planted(2, 8, families=0), 20, axis=0), 0.99, 2)
    assert len(found.a) == 2 * 190
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_have_no_pairs(n):
    x = planted(5, 8)[:n]
    found, capped = near_pairs.near_pairs(x, 0.9, where=layout(planted(5, 8), 1))
    assert (len(found.a), len(capped)) == (0, n)


def test_rows_whose_cell_is_known_visit_the_same_cells():
    x, centroids = planted(300, 16), planted(9, 16, seed=3)
    own = clusters.assign(x, centroids).neighbour
    known, found = (cells.Cells(centroids, 0.8).visits(x, own=o) for o in (own, None))
    agreed = found.own == own  # all but ties that the grid cannot tell
    assert agreed.mean() > 0.98
    for one, other in zip(known[1:3], found[1:3], strict=True):
        np.testing.assert_array_equal(one[agreed[known.row]], other[agreed[found.row]])


def test_wide_rows_are_refused_where_the_grid_could_not_hold_their_products():
    with pytest.raises(ValueError, match="at most 16384 dimensions, got 20000"):
        cells.Cells(np.zeros((1, 20_000), np.float32), 0.9)


def components(n, edges):
    """By a plain flood."""
    label = list(range(n))
    for _ in range(n):
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    return label


def random_pairs(seed, n=40, p=70):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n, p), rng.integers(0, n, p)
    keep = a != b
    cosine = np.round(rng.random(p), 1).astype(np.float32)  # many ties
    cosine = (((a * b) % 7 + a + b) % 10 / 10).astype(np.float32)  # one value a pair
    return near_pairs.Pairs(a[keep], b[keep], cosine[keep])


@pytest.mark.parametrize("seed", range(8))
def test_the_forest_has_the_components_of_all_pairs_at_every_threshold(seed):
    found = random_pairs(seed)
    tree = duplicate_groups.forest(found, 40)
    assert len(tree.a) <= 39
    for t in np.arange(0, 1.05, 0.1):
        near = found.similarity >= np.float32(t)
        label = components(40, list(zip(found.a[near], found.b[near], strict=True)))
        expected = np.unique(label, return_inverse=True)[1]
        for source in (found, tree):
            np.testing.assert_array_equal(duplicate_groups.groups(source, 40, t), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(0, 60), max_size=4), st.randoms())
def test_the_forest_of_forests_is_the_forest(seed, cuts, random):
    found = random_pairs(seed)
    order = list(range(len(found.a)))
    random.shuffle(order)
    edges = [0, *sorted(min(c, len(order)) for c in cuts), len(order)]
    parts = [
        duplicate_groups.forest(near_pairs.Pairs(*(c[order[i:j]] for c in found)), 40)
        for i, j in itertools.pairwise(edges)
    ]
    whole = duplicate_groups.forest(found, 40)
    merged = duplicate_groups.forest(near_pairs.joined(parts), 40)
    assert [c.tobytes() for c in merged] == [c.tobytes() for c in whole]


def test_the_representative_has_the_best_score_and_ties_go_to_the_lowest_uid():
    group = np.array([0, 0, 0, 1, 1, 2])
    score = np.array([1, 3, 3, -1, 0, 9], np.float32)
    uid = np.array([[5, 0], [7, 1], [7, 0], [1, 1], [2, 2], [3, 3]], np.uint64)
    found = duplicate_groups.representatives(group, score, uid)
    assert found.tolist() == [2, 2, 2, 4, 4, 5]
    count = np.array([1, 2, 3, 1, 1, 4])
    assert duplicate_groups.weights(found, count).tolist() == [0, 0, 6, 0, 2, 4]


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_keeps_one_row_a_group(seed):
    found = random_pairs(seed)
    tree = duplicate_groups.forest(found, 40)
    thresholds = np.array([0.0, 0.25, 0.5, 0.7, 0.9, 1.0])
    swept = duplicate_groups.sweep(tree, 40, thresholds, examples=2)
    for t, kept, example in zip(*swept, strict=True):
        assert kept == len(np.unique(duplicate_groups.groups(found, 40, t)))
        above = tree.similarity[tree.similarity >= np.float32(t)]
        shown = [tree.similarity[i] for i in example if i >= 0]
        assert shown == sorted(above)[: len(shown)]
        assert len(shown) == min(2, len(above))
    assert np.all(np.diff(swept.kept) >= 0)


def test_a_chain_tells_how_unlike_its_ends_are():
    """Three rows 15 degrees apart: neighbours have a cosine of .966, the ends of .866."""
    angle = np.radians([0, 15, 30, 90])
    x = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    found = near_pairs.joined(near_pairs.within(near_pairs.block(x, np.eye(2, 1)), 0.95))
    group = duplicate_groups.groups(found, 4, 0.95)
    assert group.tolist() == [0, 0, 0, 1]
    uid = np.arange(8, dtype=np.uint64).reshape(4, 2)
    stands = duplicate_groups.representatives(group, np.array([1, 0, 0, 0], np.float32), uid)
    told = duplicate_groups.chains(stands, near_pairs.cosine(x, x, np.arange(4), stands))
    assert (told.size.tolist(), told.representative.tolist()) == ([3], [0])
    assert told.lowest[0] == pytest.approx(np.cos(np.radians(30)))


def pool(n, **options):
    x = planted(n, 16, **options)
    rng = np.random.default_rng(1)
    uid = rng.integers(0, 2**63, (n, 2)).astype(np.uint64)
    score = np.round(rng.random(n), 1).astype(np.float32)
    arrays = [embeddings.column(x), pa.array(score), uids.to_hex(uid)]
    names = [embeddings.EMBEDDING, scores.SCORE, columns.UID]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def test_the_selector_keeps_the_laws():
    selector = registry.find("semantic_duplicates")(threshold=0.95)
    testing.check_selector(selector, pool(40), prefix=True)


def test_the_selector_takes_copies_last_and_the_best_of_each_group():
    batch = pool(200)
    x = embeddings.matrix(batch.column(0))
    score = batch.column(1).to_numpy()
    picked = semantic_duplicates.SemanticDuplicates(0.95).select(batch, 200, None)
    edges = list(brute(x, 0.95))
    label = components(200, edges)
    first = picked[: len(set(label))]
    assert {label[i] for i in first} == set(label)
    for i in first:
        assert score[i] == max(score[j] for j in range(200) if label[j] == label[i])
