"""Scores from how our own linear probe learns, for embeddings without a training loop of one's own.

The probe (`tamis.pilots.linear_probe`) is trained a few times on a sample of the labelled supply
and its weights are kept at checkpoints. A row's logits at every checkpoint are then a function of
its embedding, so that training dynamics need no state per row. Rows outside the sample were not
trained on; `docs/scorers.md` says how much that changes.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted
from tamis.scorers import labels as labels_

_BLOCK_BYTES = 32 << 20  # of the logits of the rows scored together


class Checkpoints(NamedTuple):
    """What the artifact holds.

    Attributes:
      weights: Shape (m, t, c, d + 1) float32: trainings, checkpoints, classes; the bias last.
      labels: Shape (c,), the classes.
    """

    weights: NDArray[np.float32]
    labels: pa.Array


def logits(x: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits of every row at every checkpoint.

    Args:
      x: Shape (n, d).
      weights: Shape (m, t, c, d + 1), the bias last.

    Returns:
      Shape (n, m, t, c). Time O(n m t c d).
    """
    m, t, c, wide = weights.shape
    flat = weights.reshape(-1, wide)
    return (linalg.product(x, flat[:, :-1].T) + flat[:, -1]).reshape(len(x), m, t, c)


def repeat(classes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The class of each row (n,) once for every one of its predictions: shape (n, *shape)."""
    wide = classes.reshape(-1, *(1 for _ in shape))
    return np.broadcast_to(wide, (len(classes), *shape))


def correct(logits: NDArray, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each prediction is its row's class; ties go to the first class.

    Args:
      logits: Shape (n, ..., c).
      classes: Shape (n,).

    Returns:
      Shape (n, ...).
    """
    return logits.argmax(-1) == repeat(classes, logits.shape[1:-1])


@dataclasses.dataclass(frozen=True)
class Probe(fitted.Fitted):
    """Base of the scores that read the probe's checkpoints; a subclass says what is hard.

    Time O(m t c d) a row, memory O(m t c d) a worker.

    Attributes:
      weights: Path of an `.npy`, `Checkpoints.weights`.
      labels: Path of a JSON list, the classes.
      keep: Which end, see `tamis.scorers.difficulty`.
      name: Of the sidecar.
    """

    weights: str
    labels: str
    keep: difficulty.Keep = "easy"
    name: str = "probe"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING, columns.LABEL)
    used: ClassVar[slice] = slice(None)  # of the checkpoints

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> Checkpoints:
        weights, labels = artifacts.read(self.weights), labels_.read(self.labels)
        if weights.ndim != 4 or weights.shape[2] != len(labels):
            raise errors.ArtifactError(
                f"{len(labels)} labels for weights of shape {weights.shape}",
                where=self.labels,
                why="the two files belong to different runs, or one is truncated",
                remedy="delete both and run the stage again",
            )
        return Checkpoints(np.array(weights[:, self.used]), labels)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        classes = self._classes(batch)
        step = max(1, _BLOCK_BYTES // (8 * self._artifact.weights[..., 0].size))
        starts = range(0, len(x), step)
        parts = [self._block(x[i : i + step], classes[i : i + step]) for i in starts]
        found = np.concatenate([np.zeros(0), *parts])
        return difficulty.oriented(found, self.keep)

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """How hard each row is.

        Args:
          x: Shape (n, d).
          logits: Shape (n, m, t, c).
          classes: Shape (n,).

        Returns:
          Shape (n,), higher = harder.
        """
        raise NotImplementedError

    def _block(self, x: NDArray, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.hardness(x, logits(x, self._artifact.weights), classes)

    def _classes(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        if columns.LABEL not in self.reads:
            return np.zeros(batch.num_rows, np.int64)
        return labels_.codes(batch.column(columns.LABEL), self._artifact.labels, self.labels)
