"""Nearest neighbours against scikit-learn's, and what a run of it sees."""

import numpy as np
from sklearn import datasets, neighbors

from tamis import linalg
from tamis.pilots import knn

X, Y = datasets.load_digits(return_X_y=True)
X = linalg.unit(X)
ROWS, TARGET = (X[:900], Y[:900]), (X[900:], Y[900:])


def test_votes_are_scikit_learn_s():
    theirs = neighbors.KNeighborsClassifier(7, metric="cosine", algorithm="brute").fit(*ROWS)
    near = theirs.kneighbors(TARGET[0], return_distance=False)
    votes = np.stack([(ROWS[1][near] == c).sum(1) for c in range(10)], axis=1)
    sure = np.partition(votes, -2)[:, -1] > np.partition(votes, -2)[:, -2]  # no tie
    assert sure.mean() > 0.95
    found = knn.predicted(*ROWS, TARGET[0], k=7, classes=10)
    assert np.array_equal(found[sure], votes.argmax(1)[sure])


def test_equal_votes_go_to_the_nearer():
    x = linalg.unit(np.array([[1, 0.1], [1, 0.3], [0.2, 1.0]]))
    assert knn.predicted(x, np.array([0, 1, 1]), x[:1], k=2, classes=2) == [0]
    assert knn.predicted(x, np.array([0, 1, 1]), x[1:2], k=2, classes=2) == [1]
    assert knn.predicted(x, np.array([0, 1, 1]), x[:1], k=9, classes=2) == [1]


def test_a_run_is_its_distinct_rows_and_nothing_else():
    trainer = knn.Nearest(10, k=3)
    orders = np.array([np.arange(60), np.tile(np.arange(30), 2), np.arange(60)[::-1]])
    found = trainer.errors(ROWS, orders, [TARGET, (TARGET[0][:9], TARGET[1][:9])], seeds=[0, 1, 2])
    assert found.shape == (2, 3)
    assert found[0, 0] == found[0, 2] < found[0, 1]
    alone = knn.predicted(X[:30], Y[:30], TARGET[0], k=3, classes=10)
    assert found[0, 1] == np.mean(alone != TARGET[1])
