"""Duplicates of text against sets in plain Python."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from tamis.selectors import duplicate_groups, text_duplicates

WORDS = [f"w{i}" for i in range(300)]


def texts(n=120, seed=0):
    """Some are others with a word or two changed."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        if i and rng.random() < 0.4:
            words = found[rng.integers(0, i)].split()
            for _ in range(rng.integers(0, 3)):
                words[rng.integers(0, len(words))] = str(rng.choice(WORDS))
        else:
            words = list(rng.choice(WORDS, rng.integers(3, 80)))
        found.append(" ".join(words))
    return [*found, "", "one", "One  ", "two words"]


def grams(text, n=5):
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))}


def brute(values, threshold):
    sets = [grams(t) for t in values]
    pairs = itertools.combinations(range(len(values)), 2)
    found = {(i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in pairs}
    return {pair: s for pair, s in found.items() if s >= threshold}


def as_dict(found):
    return dict(
        zip(zip(found.a.tolist(), found.b.tolist(), strict=True), found.similarity, strict=True)
    )


def test_shingles_are_the_sets_of_a_plain_loop():
    values = texts()
    sets = text_duplicates.shingles(pa.array(values))
    assert np.diff(sets.bounds).tolist() == [len(grams(t)) for t in values]
    pairs = list(itertools.combinations(range(len(values)), 2))
    a, b = np.array(pairs).T
    found = text_duplicates.jaccard(sets, a, b)
    truth = brute(values, 0)
    np.testing.assert_allclose(found, [truth[p] for p in pairs], atol=1e-6)


def test_minhash_finds_what_its_formula_promises_and_nothing_below_the_threshold():
    pytest.importorskip("rensa")
    hit = total = expected = 0
    bands, rows = text_duplicates.banding(0.7)
    for seed in range(6):
        values = texts(seed=seed)
        truth = brute(values, 0.7)
        found = as_dict(text_duplicates.minhash_pairs(pa.array(values), 0.7, seed=seed))
        assert set(found) <= set(truth)
        for pair, similarity in found.items():
            assert similarity == pytest.approx(truth[pair])
        hit, total = hit + len(found), total + len(truth)
        expected += sum(1 - (1 - s**rows) ** bands for s in truth.values())
    assert total > 200
    assert hit == pytest.approx(expected, abs=0.05 * total)


def test_chunks_and_slices_are_the_array():
    pytest.importorskip("rensa")
    values = pa.array(texts())
    whole = text_duplicates.minhash_pairs(values, 0.7, seed=1)
    padded = pa.concat_arrays([pa.array(["x y z"] * 3), values]).slice(3)
    for other in (
        padded,
        pa.chunked_array([values[:50], values[50:]]),
        values.cast("large_string"),
    ):
        assert as_dict(text_duplicates.minhash_pairs(other, 0.7, seed=1)) == as_dict(whole)


def test_a_large_family_is_joined_without_all_its_pairs():
    pytest.importorskip("rensa")
    base = " ".join(WORDS[:60])
    values = pa.array([f"{base} {i}" for i in range(400)])
    found = text_duplicates.minhash_pairs(values, 0.9, seed=0)
    assert len(found.a) <= 64 * 400 * 2
    assert not duplicate_groups.groups(found, 400, 0.9).any()


def test_exact_copies_point_at_their_first():
    found = text_duplicates.exact(pa.array(["b", "a", "b", "c", "a", "b"]))
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 2), (1, 4), (0, 5)]
    assert len(text_duplicates.exact(pa.array([], pa.string())).a) == 0


@pytest.mark.parametrize("values", [[], ["alone"], ["", ""]])
def test_few_texts(values):
    pytest.importorskip("rensa")
    found = text_duplicates.minhash_pairs(pa.array(values, pa.string()), 0.8, seed=0)
    assert len(found.a) == (1 if len(values) == 2 else 0)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.65, 0.8, 0.95, 1.0])
def test_no_longer_bands_would_propose_a_pair_at_the_threshold_as_surely(threshold):
    bands, rows = text_duplicates.banding(threshold)

    def meets(b, r):
        return 1 - (1 - threshold**r) ** b

    assert meets(bands, rows) >= text_duplicates.RECALL
    longer = [meets(112 // r, r) for r in range(rows + 1, 113)]
    assert max(longer, default=0) < text_duplicates.RECALL
    assert bands * rows <= text_duplicates.ENTRIES


@pytest.mark.parametrize("seed", range(4))
def test_the_tree_joins_what_all_pairs_join(seed):
    pytest.importorskip("rensa")
    values = pa.array(texts(seed=seed))
    sets, n = text_duplicates.shingles(values), len(values)
    keys = text_duplicates.band_keys(sets, text_duplicates.banding(0.7), 1)
    row = np.repeat(np.arange(n), keys.shape[1])
    tree = text_duplicates.tree(keys.ravel(), row, sets, n, 0.7)
    whole = text_duplicates.minhash_pairs(values, 0.7, seed=1)
    same = [duplicate_groups.groups(pairs, n, 0.7).tolist() for pairs in (tree, whole)]
    assert same[0] == same[1]
    assert len(tree.a) == n - max(same[0]) - 1
    assert set(as_dict(tree)) <= set(as_dict(whole))


def test_sets_by_row_are_those_rows():
    sets = text_duplicates.shingles(pa.array(texts()))
    rows = np.array([7, 0, 7, 123])
    some = sets.at(rows)
    for i, row in enumerate(rows):
        here = sets.hash[sets.bounds[row] : sets.bounds[row + 1]]
        assert some.hash[some.bounds[i] : some.bounds[i + 1]].tolist() == here.tolist()
    both = text_duplicates.joined([sets, some])
    assert both.at(np.arange(len(sets.bounds) - 1, len(both.bounds) - 1)).hash.tolist() == (
        some.hash.tolist()
    )
