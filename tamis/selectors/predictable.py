"""The part of a benchmark whose score can be told before the large model is trained.

COD, clustering on difficulty (arXiv 2502.17262): items are clustered by their pass rates on small
models; the accuracy of a cluster follows, in compute C,

    E[accuracy] = g + (1 - g) exp(-a C^-b - c),

and a law is fitted to each. Clusters that do not follow one, or have not begun to rise, are left
out; the others predict their part of the benchmark, and a curve calibrated on the small models
takes that to the whole.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from tamis import errors
from tamis.selectors import anchors

_RISE = 0.05  # of the accuracy over the models, below which nothing tells a slope from noise
_MISFIT = 0.05  # root mean squared error of a law that is believed
_EDGE = 1e-3  # accuracies are kept this far from 0 and 1 in a logarithm


class Law(NamedTuple):
    """One cluster's accuracy in compute.

    Attributes:
      a: Log of 1 / accuracy, beyond chance, that one unit of compute leaves.
      b: How fast compute wears it down.
      c: What no compute wears down.
      chance: g, accuracy by guessing.
      unit: Compute that counts as 1.
      misfit: Root mean squared error on what it was fitted to.
    """

    a: float
    b: float
    c: float
    chance: float
    unit: float
    misfit: float

    def accuracy(self, compute: NDArray) -> NDArray[np.float64]:
        """Expected accuracy at some compute, of the same shape."""
        c = np.asarray(compute, np.float64) / self.unit
        return self.chance + (1 - self.chance) * np.exp(-self.a * c**-self.b - self.c)


class Predictable(NamedTuple):
    """A benchmark by difficulty.

    Attributes:
      cluster: Of each item, shape (n,).
      laws: One a cluster.
      kept: Whether a cluster can be extrapolated, shape (k,).
      slope: From the logit of the kept part's accuracy to that of the whole: slope and intercept.
    """

    cluster: NDArray[np.int64]
    laws: tuple[Law, ...]
    kept: NDArray[np.bool_]
    slope: tuple[float, float]

    @property
    def items(self) -> NDArray[np.int64]:
        """The items of the kept clusters."""
        return np.flatnonzero(self.kept[self.cluster])

    def subset_accuracy(self, compute: NDArray) -> NDArray[np.float64]:
        """Predicted accuracy on the kept items."""
        sizes = np.bincount(self.cluster, minlength=len(self.laws)) * self.kept
        each = np.stack([law.accuracy(compute) for law in self.laws], axis=-1)
        return each @ (sizes / sizes.sum())

    def accuracy(self, compute: NDArray) -> NDArray[np.float64]:
        """Predicted accuracy on the whole benchmark."""
        slope, intercept = self.slope
        return 1 / (1 + np.exp(-(slope * _logit(self.subset_accuracy(compute)) + intercept)))


def fit(
    compute: NDArray, accuracy: NDArray, *, chance: float = 0.0, weights: NDArray | None = None
) -> Law:
    """Least squares of the law, from several starts; a, b, c are at least 0.

    Args:
      compute: Of each model, positive, shape (m,), m at least 3.
      accuracy: Shape (m,).
      chance: g, in [0, 1).
      weights: Of each model, shape (m,).

    Raises:
      PlanError: there are too few models, or compute is not positive.
    """
    spent, seen = np.asarray(compute, np.float64), np.asarray(accuracy, np.float64)
    if len(spent) < 3 or len(spent) != len(seen) or not np.all(spent > 0):
        raise errors.PlanError(
            f"cannot fit three constants to {len(seen)} accuracies of {len(spent)} models",
            remedy="give at least three models and a positive compute for each",
        )
    unit = float(np.exp(np.log(spent).mean()))
    root = np.sqrt(np.ones(len(seen)) if weights is None else np.asarray(weights, np.float64))

    def off(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return root * (Law(p[0], p[1], p[2], chance, unit, 0.0).accuracy(spent) - seen)

    starts = [(a, b, c) for a in (0.1, 1, 4) for b in (0.2, 0.7) for c in (0.0, 0.3)]
    found = min(
        (optimize.least_squares(off, s, bounds=(0, [50, 5, 20])) for s in starts),
        key=lambda f: f.cost,
    )
    misfit = float(np.sqrt(np.mean(off(found.x) ** 2 / root**2)))
    a, b, c = (float(v) for v in found.x)
    return Law(a, b, c, chance, unit, misfit)


def predictable(
    pass_rate: NDArray,
    compute: NDArray,
    k: int,
    rng: np.random.Generator,
    *,
    again: NDArray | None = None,
    chance: float = 0.0,
) -> Predictable:
    """Cluster items by difficulty and keep the clusters that follow a law.

    Clusters are partly made by chance: of alike items, those that a model happened to pass meet,
    and laws fitted to the same samples take that for a slope. In a simulation (50 samples an item,
    ten times the largest compute) a cluster's true 0.74 was foretold as 0.46 to 0.85; with half
    the samples for clusters and `again` for laws as 0.62 to 0.79. The mean over the kept part was
    off by 3 points either way.

    A cluster is kept if its accuracy rises by 0.05 from the weakest third of the models to the
    strongest third, and its law misses by at most 0.05. The paper's own thresholds are not given;
    nor is its curve to the whole, for which this fits a line between logits.

    Args:
      pass_rate: Of each item on each small model, shape (n, m).
      compute: Of each model, shape (m,), m at least 3.
      k: Clusters, at most.
      rng: Of k-means.
      again: Pass rates from other samples of the same items and models, to fit the laws to, shape
        (n, m); `pass_rate` itself if there are none.
      chance: g.

    Raises:
      PlanError: a number is missing, there are too few models, or no cluster can be extrapolated.
    """
    first = anchors.finite(pass_rate)
    rates = first if again is None else anchors.finite(again)
    cluster, _, centroids = anchors.clustered(first, k, rng)
    means = _means(rates, cluster, len(centroids))
    laws = tuple(fit(compute, row, chance=chance) for row in means)
    follows = [law.misfit <= _MISFIT for law in laws]
    kept = np.array([_rises(row, compute) for row in means]) & np.array(follows)
    if not kept[cluster].any():
        raise errors.PlanError(
            "no part of the benchmark can be extrapolated",
            why=f"none of {len(laws)} clusters rises with compute and follows the law",
            remedy="give larger models, more samples an item, or more clusters",
        )
    part, whole = rates[kept[cluster]].mean(axis=0), rates.mean(axis=0)
    slope, intercept = np.polyfit(_logit(part), _logit(whole), 1)
    return Predictable(cluster, laws, kept, (float(slope), float(intercept)))


def _means(
    rates: NDArray[np.float64], cluster: NDArray[np.int64], k: int
) -> list[NDArray[np.float64]]:
    """Accuracy of every model on every cluster; a cluster without items is all 0."""
    sizes = np.maximum(np.bincount(cluster, minlength=k), 1)[:, None]
    return list(np.stack([np.bincount(cluster, r, k) for r in rates.T], axis=1) / sizes)


def _rises(accuracy: NDArray[np.float64], compute: NDArray) -> bool:
    order = np.argsort(compute, kind="stable")
    third = max(1, len(order) // 3)
    rise = accuracy[order[-third:]].mean() - accuracy[order[:third]].mean()
    return bool(rise >= _RISE)


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))
