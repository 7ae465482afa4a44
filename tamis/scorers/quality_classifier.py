"""Quality as resemblance: a logistic regression that tells reference rows from rows of the pool.

    P(reference | x) = 1 / (1 + exp(-(a (w.x + b) + c)))

w and b are fitted with an l2 penalty on most of a sample, a and c on the rest (Platt 1999, with his
smoothed targets), so that probabilities hold on rows that were not fitted to. Brown et al. (2020,
GPT-3, appendix A) and Penedo et al. (2024, FineWeb-Edu) filter so. The pool may hold reference-like
rows, which caps the probability (Elkan and Noto 2008) and leaves the order. Both classes count the
same whatever their sizes, so 1/2 is "as like the reference as like the pool".
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import optimize, special

from tamis import artifacts, errors, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import fitted


class Fit(NamedTuple):
    """A calibrated classifier.

    Attributes:
      weights: Shape (d,) float64, `a w`.
      intercept: `a b + c`.
      error: Expected calibration error on the held-out rows, 0..1, in ten bins.
      accuracy: Balanced, on the held-out rows.
    """

    weights: NDArray[np.float64]
    intercept: float
    error: float
    accuracy: float


def fit(
    reference: NDArray[np.float32],
    pool: NDArray[np.float32],
    *,
    penalty: float = 1.0,
    held_out: float = 0.25,
) -> Fit:
    """Fit on the first rows of each sample and calibrate on the last.

    L-BFGS on a convex loss, so the samples decide the answer. Time O((n + m) d) an iteration, some
    tens of them; memory O((n + m) d).

    Args:
      reference: Shape (n, d), unit rows in an order that means nothing, at least 8.
      pool: Shape (m, d), likewise.
      penalty: Of |w|^2 / 2 beside the summed loss: scikit-learn's 1 / C.
      held_out: Part of each that calibrates, 0..1.

    Raises:
      ConfigError: there are fewer than 8 rows of either.
    """
    if min(len(reference), len(pool)) < 8:
        raise errors.ConfigError(
            f"{len(reference)} reference rows and {len(pool)} of the pool",
            why="a classifier that is calibrated on held-out rows needs at least 8 of each",
            remedy="give more reference rows",
        )
    fit_one, held_one = _split(reference, held_out)
    fit_zero, held_zero = _split(pool, held_out)
    w, b = logistic(fit_one, fit_zero, penalty=penalty)
    a, c = platt(held_one @ w + b, held_zero @ w + b)
    chance = [special.expit(a * (part @ w + b) + c) for part in (held_one, held_zero)]
    right = (np.mean(chance[0] > 0.5) + np.mean(chance[1] <= 0.5)) / 2
    return Fit(a * w, a * b + c, calibration_error(*chance), float(right))


def _split(x: NDArray[np.float32], held_out: float) -> tuple[NDArray, NDArray]:
    cut = len(x) - max(2, int(held_out * len(x)))
    return x[:cut].astype(np.float64), x[cut:].astype(np.float64)


def logistic(
    ones: NDArray[np.float64],
    zeros: NDArray[np.float64],
    *,
    penalty: float,
    targets: tuple[float, float] = (1.0, 0.0),
) -> tuple[NDArray[np.float64], float]:
    """Weights (d,) and intercept of least cross-entropy, each class weighing half of all rows.

    Args:
      ones: Shape (n, d).
      zeros: Shape (m, d).
      penalty: Of |w|^2 / 2; the intercept is free.
      targets: The probability each class should have.
    """
    x = np.concatenate([ones, zeros])
    y = np.repeat(targets, [len(ones), len(zeros)])
    mass = np.repeat(len(x) / 2 / np.array([len(ones), len(zeros)]), [len(ones), len(zeros)])

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # Not BLAS, whose sums depend on how many threads there are.
        z = np.einsum("nd,d->n", x, theta[:-1]) + theta[-1]
        value = mass @ (np.logaddexp(0, z) - y * z) + penalty / 2 * theta[:-1] @ theta[:-1]
        slope = mass * (special.expit(z) - y)
        return value, np.append(np.einsum("nd,n->d", x, slope) + penalty * theta[:-1], slope.sum())

    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-6}
    start = np.zeros(x.shape[1] + 1)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return found.x[:-1], float(found.x[-1])


def platt(ones: NDArray[np.float64], zeros: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of Platt scaling (1999) of margins, shapes (n,) and (m,).

    His targets are (n + 1) / (n + 2) and 1 / (m + 2), so that separable margins have an answer.
    """
    targets = ((len(ones) + 1) / (len(ones) + 2), 1 / (len(zeros) + 2))
    w, b = logistic(ones[:, None], zeros[:, None], penalty=0.0, targets=targets)
    return float(w[0]), b


def calibration_error(
    ones: NDArray[np.float64], zeros: NDArray[np.float64], bins: int = 10
) -> float:
    """Expected calibration error (Naeini et al. 2015) of probabilities, classes of equal mass.

    The mean over equal-width bins, weighted by their rows, of |share of ones - mean probability|.

    >>> calibration_error(np.array([1.0, 0.5]), np.array([0.0, 0.5]))
    0.0
    """
    p = np.concatenate([ones, zeros])
    y = np.repeat([1.0, 0.0], [len(ones), len(zeros)])
    mass = np.repeat([0.5 / len(ones), 0.5 / len(zeros)], [len(ones), len(zeros)])
    at = np.minimum((p * bins).astype(np.int64), bins - 1)
    gap = np.bincount(at, mass * y, bins) - np.bincount(at, mass * p, bins)
    return float(np.abs(gap).sum())


def probability(
    x: NDArray[np.float32], weights: NDArray[np.float64], intercept: float
) -> NDArray[np.float32]:
    """Shape (n,), 0..1: the module's equation, independent of the batch. O(d) a row."""
    wide = x.astype(np.float64)
    margin = nearest.row_dot(wide, np.broadcast_to(weights, wide.shape)) + intercept
    return special.expit(margin).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class QualityClassifier(fitted.Fitted):
    """Probability of a reference row. Memory O(d) a worker.

    Attributes:
      classifier: Path of an `.npy`, shape (d + 1,): the weights, then the intercept.
      reference: A source by name, or `target`.
      sample: Rows of the reference, and of the pool, to fit on.
      penalty: As in `fit`.
      name: Of the sidecar.
    """

    classifier: str
    reference: str = "target"
    sample: int = 16_384
    penalty: float = 1.0
    name: str = "quality_classifier"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    def __post_init__(self) -> None:
        if self.sample < 8 or not 0 <= self.penalty < np.inf:
            raise errors.ConfigError(
                f"sample {self.sample} and penalty {self.penalty}",
                remedy="set sample to 8 or more, penalty to 0 or more",
            )

    @functools.cached_property
    def _artifact(self) -> NDArray[np.float64]:
        return np.array(artifacts.read(self.classifier))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        return probability(x, self._artifact[:-1], float(self._artifact[-1]))
