"""Overlap with evaluation texts against sets of tuples, and planted leaks."""

import re

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors
from tamis.scorers import contamination

QUESTION = (
    "Which of the following best describes the main purpose of the passage that the author wrote "
    "about whales in the year 1851, and why?"
)
OTHER = "A train leaves the station at noon and travels at sixty miles an hour towards the coast."


def naive_grams(text, n):
    words = re.sub(r"[^\w]+|_", " ", text.lower()).split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def naive(text, tests, n):
    shares = []
    for test in tests:
        grams = naive_grams(test, n)
        shares.append(len(naive_grams(text, n) & grams) / len(grams) if grams else 0)
    best = max(shares)
    return best, shares.index(best) if best else -1


def test_a_leaked_question_is_found_whole_in_part_and_not_at_all():
    against = contamination.evaluation(pa.array([OTHER, QUESTION]), 8)
    half = " ".join(QUESTION.split()[:14])
    rows = [f"xx {QUESTION.upper()} yy", f"prefix {half} suffix", "nothing of the kind " * 5, ""]
    found = contamination.evidence(pa.array(rows), against)
    grams = len(naive_grams(QUESTION, 8))
    assert found.overlap.tolist() == pytest.approx([1, 7 / grams, 0, 0])
    assert found.text.tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_overlaps_are_those_of_naive_sets(n):
    rng = np.random.default_rng(n)
    words = ["a", "B,", "c.", "d!", "é", "東京"]
    made = [" ".join(rng.choice(words, rng.integers(0, 12))) for _ in range(140)]
    tests, rows = made[:20], made[20:]
    found = contamination.evidence(pa.array(rows), contamination.evaluation(pa.array(tests), n))
    expected = [naive(row, tests, n) for row in rows]
    assert found.overlap.tolist() == pytest.approx([o for o, _ in expected])
    assert found.text.tolist() == [t for _, t in expected]


def test_the_length_of_a_gram_is_gpt_3_s():
    def of(lengths):
        return contamination.default_n(pa.array([" ".join(["w"] * n) for n in lengths]))

    assert of([3, 4, 5]) == 8
    assert of([90] * 40) == 13
    assert of([10] * 10 + [99] * 90) == 10


def test_an_evaluation_text_that_is_too_short_cannot_be_found():
    against = contamination.evaluation(pa.array(["two words", OTHER]), 8)
    assert against.size.tolist() == [0, len(naive_grams(OTHER, 8))]
    assert contamination.evidence(pa.array(["two words"]), against).overlap.tolist() == [0]


def test_n_is_at_least_one():
    with pytest.raises(errors.ConfigError, match="n is 0"):
        contamination.Contamination("grams.npz", "tests.jsonl", n=0)
