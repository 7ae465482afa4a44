"""The tiny language model: what it starts from, what it cannot see, and that it learns."""

import math

import numpy as np
import pytest

from tamis import errors
from tamis.pilots import tiny_lm

LENGTH = 24
RNG = np.random.default_rng(5)


def texts(words, count, rng=RNG):
    """Rows of bytes: some words each, cut at LENGTH."""
    rows = np.zeros((count, LENGTH), np.uint8)
    for row in rows:
        data = " ".join(rng.choice(words, 4)).encode()[:LENGTH]
        row[: len(data)] = np.frombuffer(data, np.uint8)
    return rows


ANIMALS, NUMBERS = ["cat", "dog", "horse", "cow"], ["one", "two", "three", "four"]
X = np.concatenate([texts(ANIMALS, 100), texts(NUMBERS, 100)])
NONE = np.zeros(200, np.int64)
TARGET = (texts(ANIMALS, 60), np.zeros(60, np.int64))
LM = tiny_lm.TinyLM(width=16, layers=1)


def orders(*pools, samples=400):
    return np.stack([np.random.default_rng(0).choice(pool, samples) for pool in pools])


def test_it_starts_from_knowing_nothing():
    parameters = LM.train(X, np.zeros(0, np.int64), 0)
    assert LM.bits(parameters, TARGET[0]) == pytest.approx(8, abs=1e-6)


def test_what_it_is_trained_on_is_what_it_predicts():
    found = LM.errors(
        (X, NONE), orders(np.arange(100), np.arange(100, 200)), [TARGET], seeds=[0, 0]
    )
    own, other = found[0]
    assert own < other < 1
    assert own < 0.5


def test_a_run_depends_on_nothing_beside_it_and_repeats_to_the_bit():
    both = orders(np.arange(100), np.arange(100, 200), samples=24)
    together = LM.errors((X, NONE), both, [TARGET], seeds=[3, 4])
    alone = LM.errors((X, NONE), both[1:], [TARGET, TARGET], seeds=[4])
    assert np.array_equal(together[:, 1], alone[0])
    assert np.array_equal(alone[0], alone[1])
    assert LM.errors((X, NONE), both[1:], [TARGET], seeds=[5]) != alone[:1]


def test_no_position_sees_what_comes_after_it():
    import torch

    parameters = LM.train(X, np.arange(40), 0)
    a = torch.from_numpy(X[:1].astype(np.int64))
    b = a.clone()
    b[0, 10] = 65
    before, after = LM.scores(parameters, a)[0], LM.scores(parameters, b)[0]
    assert torch.equal(before[:10], after[:10])
    assert not torch.equal(before[10], after[10])


def test_loss_is_of_the_text_and_its_end_and_not_of_what_follows():
    import torch

    parameters = LM.train(X, np.arange(40), 0)
    loss, count = LM.loss(parameters, X[:5])
    lengths = [int((row != 0).sum()) for row in X[:5]]
    assert int(count) == sum(min(n + 1, LENGTH) for n in lengths)
    total = 0.0
    for row, n in zip(X[:5], lengths, strict=True):  # byte by byte
        for t in range(min(n + 1, LENGTH)):
            seen = torch.from_numpy(np.concatenate([[0], row[:t]]).astype(np.int64))[None]
            scores = LM.scores(parameters, seen)[0, t]
            total -= float(torch.log_softmax(scores, 0)[int(row[t])])
    assert float(loss.detach()) == pytest.approx(total, rel=1e-4)


def test_bits_are_those_of_the_distribution_it_must_learn():
    """One letter of four, evenly: 2 bits, and nothing for the end, which is always there."""
    letters = np.frombuffer(b"abcd", np.uint8)[RNG.integers(0, 4, (600, 1))]
    x = np.concatenate([letters, np.zeros((600, 1), np.uint8)], axis=1)
    (found,) = LM.errors(
        (x, np.zeros(600, np.int64)), np.tile(np.arange(600), 3)[None], [(x, NONE)], seeds=[0]
    )[0]
    assert found * 8 == pytest.approx(math.log2(4) / 2, abs=0.05)


def test_a_width_that_is_none_is_told():
    with pytest.raises(errors.ConfigError, match="multiple of 16"):
        tiny_lm.TinyLM(width=20)
