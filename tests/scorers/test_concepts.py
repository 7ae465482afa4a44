"""MetaCLIP's balancing against its own algorithm run by hand, and its closed form by chance."""

import re

import ahocorasick
import numpy as np
import pyarrow as pa
import pytest
import simplemma

from tamis import artifacts, errors, testing
from tamis.scorers import concepts

CONCEPTS = ["cat", "The Cat", "new york", "york", "tree", "été", "new york city hall"]
TEXTS = [
    "A cat; the cat sat in New York.",
    "concatenate the trees",
    "New-York city hall, york? tree",
    "",
    "un ete, l'été",
] * 6


def automaton_matches(texts, listed):
    """The authors' way: an Aho-Corasick automaton of ' concept ' over ' text '."""
    automaton = ahocorasick.Automaton()
    for i, concept in enumerate(listed):
        automaton.add_word(f" {concept.lower()} ", i)
    automaton.make_automaton()
    cleaned = ["".join(c if c.isalnum() else " " for c in t.lower()) for t in texts]
    spaced = [f" {' '.join(t.split())} " for t in cleaned]
    return [sorted({i for _, i in automaton.iter(t)}) for t in spaced]


def matched(texts, known):
    row, entry = concepts.named(pa.array(texts), known)
    return [sorted(known.concept[entry[row == i]].tolist()) for i in range(len(texts))]


def test_mentions_are_those_of_the_automaton():
    assert matched(TEXTS, concepts.entries(pa.array(CONCEPTS))) == automaton_matches(
        TEXTS, CONCEPTS
    )


def test_mentions_are_those_of_the_automaton_on_random_texts():
    rng = np.random.default_rng(0)
    words = ["a", "b", "c", "ab", "d,", "e"]
    listed = sorted({" ".join(rng.choice(["a", "b", "c", "ab"], n)) for n in (1, 2, 3) * 9})
    texts = [" ".join(rng.choice(words, rng.integers(0, 15))) for _ in range(200)]
    assert matched(texts, concepts.entries(pa.array(listed))) == automaton_matches(texts, listed)


def test_concepts_with_the_same_words_are_one():
    known = concepts.entries(pa.array(["new york", "New-York!", "tree"]))
    assert sorted(known.concept.tolist()) == [0, 2]
    assert known.lengths.tolist() == [1, 2]


def test_forms_of_a_concept_are_named_as_after_lemmatising():
    rng = np.random.default_rng(3)
    words = ["goose", "geese", "tree", "trees", "a"]
    texts = [" ".join(rng.choice(words, rng.integers(0, 7))) for _ in range(100)]
    listed = ["Geese|goose", "a", "tree | trees", "goose tree|geese trees|goose trees|geese tree"]
    lemmas = [re.sub("trees", "tree", re.sub("geese", "goose", text)) for text in texts]
    expected = automaton_matches(lemmas, ["goose", "a", "tree", "goose tree"])
    known = concepts.entries(pa.array(listed))
    assert matched(texts, known) == expected
    assert len(set(known.entry)) == 4


def test_concepts_by_lemma_are_those_of_texts_that_were_lemmatised_word_by_word(tmp_path):
    """The lemmas by the package itself, then the authors' automaton."""
    texts = [
        "Geese and mice ran past the churches.",
        "a Goose; the church mouse",
        "Running: two wolves of New York",
        "",
        "gooses geeses",
    ] * 8
    listed = ["goose", "church mice", "run", "wolf", "new york"]
    words = [re.findall(r"[a-z]+", t.lower()) for t in texts]
    lemmas = [" ".join(simplemma.lemmatize(w, lang="en").lower() for w in t) for t in words]
    expected = automaton_matches(lemmas, ["goose", "church mouse", "run", "wolf", "new york"])
    known = concepts.entries(pa.array(listed), "en")
    row, entry = concepts.named(pa.array(texts), known, "en")
    found = [sorted(known.concept[entry[row == i]].tolist()) for i in range(len(texts))]
    assert found == expected
    assert expected[:3] == [[0, 2], [0, 1], [2, 3, 4]]
    plain = concepts.entries(pa.array(listed))
    assert matched(texts, plain)[:3] == [[], [0], [4]]
    artifacts.write_all(f"{tmp_path}/e.npz", **known._asdict())
    rows = pa.record_batch({"text": texts})
    fold = concepts.Mentions(f"{tmp_path}/e.npz", "en")
    testing.check_fold(fold, rows)
    counts = fold.result(fold.add(fold.zero(), rows))
    assert counts[known.entry[known.concept == 0]].tolist() == [sum(0 in e for e in expected)]
    artifacts.write(f"{tmp_path}/c.npy", counts)
    for kind in (concepts.ConceptBalance, concepts.ConceptFrequency):
        scorer = kind(f"{tmp_path}/e.npz", f"{tmp_path}/c.npy", "list.txt", lemmas="en")
        testing.check_scorer(scorer, rows)


def test_lemmas_of_a_language_that_nobody_knows_are_an_error():
    with pytest.raises(errors.ConfigError, match="'zz' is no language of simplemma"):
        concepts.entries(pa.array(["tree"]), "zz")


@pytest.mark.parametrize("listed", [[], ["tree", "?!"], ["tree", "bush | "]])
def test_a_concept_is_a_word_at_least(listed):
    with pytest.raises(errors.ConfigError, match=r"no concepts|concept 1 has no word"):
        concepts.entries(pa.array(listed, pa.string()))


def test_the_probability_is_how_often_the_algorithm_keeps_a_text():
    """Xu et al. (2023), Algorithm 1, drawn 20,000 times."""
    counts, t = np.array([10, 100, 50, 1000]), 20
    rows = [[0], [1], [1, 2], [1, 2, 3], []]
    row = np.repeat(np.arange(5), [len(r) for r in rows])
    entry = np.concatenate([np.array(r, np.int64) for r in rows])
    found = concepts.keep_probability(row, entry, counts, t, 5)
    drawn = np.random.default_rng(1).random((20_000, 4)) < t / np.maximum(counts, t)
    kept = [drawn[:, r].any(axis=1).mean() if r else 0.0 for r in rows]
    assert found.tolist() == pytest.approx(kept, abs=4 * 0.5 / np.sqrt(20_000))
    assert found[0] == 1  # a count of at most t is always kept
    assert found[4] == 0
    exact = [1, 0.2, 1 - 0.8 * 0.6, 1 - 0.8 * 0.6 * 0.98, 0]
    assert found.tolist() == pytest.approx(exact, rel=1e-6)


def test_the_rarest_concept_of_a_text():
    row, entry = np.array([0, 0, 2, 3]), np.array([1, 2, 0, 3])
    found = concepts.rarest(row, entry, np.array([1000, 100, 10, 0]), 4)
    assert found.tolist() == [1, 3, 3, 0]


def naive_p_to_t(counts, p):
    """The largest count of which all smaller ones together hold less than a share p."""
    ordered = sorted(counts)
    best = 1
    for i, count in enumerate(ordered):
        if sum(ordered[:i]) < p * sum(ordered):
            best = max(count, 1)
    return best


def test_threshold_and_tail_share_are_inverse():
    rng = np.random.default_rng(2)
    counts = (rng.pareto(1.0, 500) * 10).astype(np.int64)
    for share in (0.01, 0.06, 0.3, 0.9):
        t = concepts.threshold(counts, share)
        assert t == naive_p_to_t(counts.tolist(), share)
        assert concepts.tail_share(counts, t) < share <= concepts.tail_share(counts, t + 1)
    assert concepts.threshold(np.zeros(3, np.int64), 0.06) == 1


def test_mentions_are_a_fold_and_count_texts(tmp_path):
    known = concepts.entries(pa.array(CONCEPTS))
    path = f"{tmp_path}/entries.npz"
    artifacts.write_all(path, **known._asdict())
    fold = concepts.Mentions(path)
    rows = pa.record_batch({"text": TEXTS})
    testing.check_fold(fold, rows)
    counts = fold.result(fold.add(fold.zero(), rows))
    expected = np.bincount(
        np.concatenate(automaton_matches(TEXTS, CONCEPTS)).astype(int), minlength=len(CONCEPTS)
    )
    assert counts.tolist() == expected[known.concept].tolist()


def test_counts_must_fit_the_concepts(tmp_path):
    known = concepts.entries(pa.array(CONCEPTS))
    artifacts.write_all(f"{tmp_path}/e.npz", **known._asdict())
    artifacts.write(f"{tmp_path}/c.npy", np.ones(3, np.int64))
    scorer = concepts.ConceptBalance(f"{tmp_path}/e.npz", f"{tmp_path}/c.npy", "list.txt")
    with pytest.raises(errors.ArtifactError, match="3 counts of 7 concepts"):
        scorer.setup()
    (tmp_path / "e.npz").write_bytes(b"PK damaged")
    with pytest.raises(errors.ArtifactError, match="artifact is damaged"):
        scorer.setup()
