"""Ridge regression onto one-hot labels: the classifier whose leave-one-out is a closed form.

It sees every labelled row of the supply, not a sample: X'X and X'Y are sums over rows, kept as
exact integers, so that they do not depend on the order in which workers finish.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted
from tamis.scorers import labels as labels_

# Coordinates in fixed point: 2^-15 is the spacing of float16 just below 1/16, the typical
# coordinate of a 256-d unit row. Products are then multiples of 2^-30, and float64 adds 2^23 of
# them exactly.
_SCALE = 2.0**15
# Of the mean eigenvalue of X'X. On 1,000 rows of Fashion-MNIST memorization ranks alike from 1e-4
# to 1e-2 (Spearman 1.000) and the classifier errs alike (.231, .232); at 0.1 both move (.97, .250).
PENALTY = 0.01
_ROWS = 1024  # scored together


def fixed(x: NDArray) -> NDArray[np.float64]:
    """Rows rounded to multiples of 2^-15, and a constant 1: shape (n, d + 1).

    Raises:
      ValueError: a component is not finite, or above what a unit vector can hold.
    """
    if not np.all(np.abs(x) <= 1.001):  # NaN fails too
        raise ValueError("an embedding is not a finite unit vector")
    rounded = np.rint(x.astype(np.float64) * _SCALE) / _SCALE
    return np.concatenate([rounded, np.ones((len(x), 1))], axis=1)


class Sums(NamedTuple):
    """The state of `Moments`, in units of 2^-30 and 2^-15.

    Attributes:
      second: Shape (d + 1, d + 1) int64; (0, 0) before the first row.
      first: Sum of the rows (d + 1,) int64 of each label.
    """

    second: NDArray[np.int64]
    first: dict[str, NDArray[np.int64]]


class Result(NamedTuple):
    """X'X and X'Y.

    Attributes:
      labels: Distinct labels, sorted.
      second: Shape (d + 1, d + 1), X'X.
      first: Shape (d + 1, c), X'Y: the sum of the rows of each class.
    """

    labels: tuple[str, ...]
    second: NDArray[np.float64]
    first: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Moments:
    """A fold over labelled rows; the others are left out. Memory O(d^2 + labels d)."""

    reads: ClassVar[tuple[str, ...]] = (columns.LABEL, columns.EMBEDDING)

    def zero(self) -> Sums:
        return Sums(np.zeros((0, 0), np.int64), {})

    def add(self, state: Sums, batch: pa.RecordBatch) -> Sums:
        labels = batch.column(columns.LABEL).cast(pa.string()).dictionary_encode()
        known = labels.is_valid().to_numpy(zero_copy_only=False)
        if not known.any():
            return state
        x = fixed(embeddings.matrix(batch.column(columns.EMBEDDING))[known])
        codes = labels.indices.drop_null().to_numpy()
        own = codes[:, None] == np.arange(len(labels.dictionary))
        second = np.rint(x.T @ x * _SCALE**2).astype(np.int64)  # exact, in any order of summation
        first = np.rint(own.T.astype(np.float64) @ x * _SCALE).astype(np.int64)
        names = labels.dictionary.to_pylist()
        return self.merge(state, Sums(second, dict(zip(names, first, strict=True))))

    def merge(self, a: Sums, b: Sums) -> Sums:
        if not (a.second.size and b.second.size):
            return a if a.second.size else b
        added = {k: v + a.first[k] if k in a.first else v for k, v in b.first.items()}
        return Sums(a.second + b.second, a.first | added)

    def result(self, state: Sums) -> Result:
        names = tuple(sorted(state.first))
        sums = [state.first[k] for k in names]
        first = np.stack(sums, axis=1) if sums else np.zeros((0, 0), np.int64)
        return Result(names, state.second / _SCALE**2, first / _SCALE)


def solve(moments: Result, penalty: float = PENALTY) -> tuple[NDArray, NDArray]:
    """(X'X + lambda I)^-1, shape (d + 1, d + 1), and the coefficients (d + 1, c).

    Args:
      moments: Of at least one row.
      penalty: lambda over the mean eigenvalue of X'X; the bias is penalised like the rest.
    """
    wide = len(moments.second)
    strength = penalty * np.trace(moments.second) / wide
    inverse = np.linalg.inv(moments.second + strength * np.eye(wide))
    return inverse, inverse @ moments.first


class Rows(NamedTuple):
    """A block of rows as the classifier sees them.

    Attributes:
      x: Shape (n, d + 1), see `fixed`.
      classes: Shape (n,).
      leverage: Shape (n,), x' (X'X + lambda I)^-1 x.
      residual: Shape (n, c), one-hot label minus prediction.
    """

    x: NDArray[np.float64]
    classes: NDArray[np.int64]
    leverage: NDArray[np.float64]
    residual: NDArray[np.float64]


def rows(x: NDArray, classes: NDArray[np.int64], inverse: NDArray, coefficients: NDArray) -> Rows:
    """Leverages and residuals of rows (n, d) that the classifier was trained on."""
    wide = fixed(x)
    leverage = nearest.row_dot(linalg.product(wide, inverse), wide)
    residual = np.eye(coefficients.shape[1])[classes] - linalg.product(wide, coefficients)
    return Rows(wide, classes, leverage, residual)


class Fit(NamedTuple):
    """What the artifacts hold."""

    inverse: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    labels: pa.Array


@dataclasses.dataclass(frozen=True)
class Classifier(fitted.Fitted):
    """Base of the scores that read the ridge classifier; a subclass says what is hard.

    Attributes:
      inverse: Path of an `.npy`, see `solve`.
      coefficients: Path of an `.npy`, see `solve`.
      labels: Path of a JSON list, the classes.
      keep: Which end, see `tamis.scorers.difficulty`.
      name: Of the sidecar.
    """

    inverse: str
    coefficients: str
    labels: str
    keep: difficulty.Keep = "easy"
    name: str = "ridge"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING, columns.LABEL)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> Fit:
        inverse, coefficients = artifacts.read(self.inverse), artifacts.read(self.coefficients)
        known = labels_.read(self.labels)
        if coefficients.shape != (len(inverse), len(known)):
            raise errors.ArtifactError(
                f"{len(known)} labels for coefficients of shape {coefficients.shape}",
                where=self.labels,
                why="the files belong to different runs, or one is truncated",
                remedy="delete them and run the stage again",
            )
        return Fit(np.array(inverse), np.array(coefficients), known)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        inverse, coefficients, known = self._artifact
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        classes = labels_.codes(batch.column(columns.LABEL), known, self.labels)
        parts = [
            self.hardness(rows(x[i : i + _ROWS], classes[i : i + _ROWS], inverse, coefficients))
            for i in range(0, len(x), _ROWS)
        ]
        return difficulty.oriented(np.concatenate([np.zeros(0), *parts]), self.keep)

    def hardness(self, rows: Rows) -> NDArray[np.float64]:
        """How hard each of the rows is, higher = harder: shape (n,)."""
        raise NotImplementedError
