"""DSIR against naive Python."""

import collections
import math
import re

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors, testing
from tamis.scorers import grams, importance

POOL = [
    "The cat sat on the mat, and the dog (who was big!) sat on the cat.",
    "Stocks fell 3% on Monday; bonds rose.",
    "the the the",
    "",
    "Über den Wolken... 東京 tower",
]
TARGET = ["The dog sat.", "A big cat, the biggest cat of all!"]
SIZE = 1 << 40  # so many buckets that no two n-grams share one


def naive_tokens(text):
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def naive_grams(text, longest):
    words = naive_tokens(text)
    return [
        tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)
    ]


def bucket_of(gram, size):
    """Through the module's own hash of a single text."""
    words = grams.tokens(pa.array([" ".join(gram)]))
    return int(grams.of(words, len(gram))[1][0] % np.uint64(size))


def test_tokens_are_those_of_the_regular_expression():
    words = grams.tokens(pa.array(POOL))
    found = [[words.distinct[c].as_py() for c in words.code[words.of == i]] for i in range(5)]
    assert found == [naive_tokens(t) for t in POOL]


def test_buckets_are_those_of_every_naive_gram():
    of, bucket, texts = importance.buckets(pa.array(POOL), 97, 3)
    assert texts == 5
    for i, text in enumerate(POOL):
        expected = collections.Counter(bucket_of(g, 97) for g in naive_grams(text, 3))
        assert collections.Counter(bucket[of == i].tolist()) == expected


@pytest.mark.parametrize("mean", [False, True])
def test_the_weight_is_the_naive_log_ratio(mean):
    size, smoothing = 97, 0.5

    def counts(texts):
        found = collections.Counter(bucket_of(g, size) for t in texts for g in naive_grams(t, 2))
        return [found[b] + smoothing for b in range(size)]

    p, q = counts(TARGET), counts(POOL)
    expected = []
    for text in POOL:
        logs = [
            math.log(p[b] / sum(p)) - math.log(q[b] / sum(q))
            for b in (bucket_of(g, size) for g in naive_grams(text, 2))
        ]
        expected.append(sum(logs) / (max(len(logs), 1) if mean else 1))
    fold = importance.BucketCounts(size, 2)
    state = [
        fold.result(fold.add(fold.zero(), pa.record_batch({"text": t}))) for t in (TARGET, POOL)
    ]
    ratio = importance.log_ratio(*state, smoothing)
    found = importance.log_weight(pa.array(POOL), ratio, longest=2, mean=mean)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_counts_are_a_fold():
    testing.check_fold(importance.BucketCounts(31, 2), pa.record_batch({"text": POOL * 8}))


def test_hashes_are_of_bytes_alone_and_do_not_collide():
    words = sorted({f"{a}{b}" for a in "abcdefghijklmnop" for b in range(2000)} | {"", "ab", "ba"})
    whole = grams.hashes(pa.array(words))
    assert len(np.unique(whole)) == len(words)
    part = grams.hashes(pa.array(words).slice(1000, 50))
    assert np.array_equal(part, whole[1000:1050])
    low = np.bincount((whole % np.uint64(64)).astype(int), minlength=64)
    assert low.std() < 3 * np.sqrt(len(words) / 64)  # even, as random hashes are


def test_few_words_in_a_batch_have_no_long_gram():
    for words in range(7):
        text = pa.array([" ".join("abcdefg"[:words])])
        assert len(grams.of(grams.tokens(text), 5)[1]) == max(words - 4, 0)


def test_a_damaged_ratio_and_bad_options_are_errors(tmp_path):
    np.save(tmp_path / "r.npy", np.zeros(9, np.int64))
    with pytest.raises(errors.ArtifactError, match=r"shape \(9,\) for 10000 buckets"):
        importance.Importance(str(tmp_path / "r.npy")).setup()
    with pytest.raises(errors.ConfigError, match="smoothing 0"):
        importance.Importance("r.npy", smoothing=0)
