"""Contamination that n-grams miss: the cosine to the nearest evaluation text.

A translation or a paraphrase shares meaning and no words, and n-grams are blind to it (Yang et al.
2023, Rethinking benchmark and contamination for language models with rephrased samples). Similar is
not the same, so this is evidence to look at and not proof; `evidence` tells which text it is.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import fitted


def evidence(x: NDArray[np.float32], against: NDArray[np.float32]) -> nearest.Nearest:
    """The nearest evaluation text of every row, and the cosine to it. O(n m d).

    Args:
      x: Shape (n, d).
      against: Shape (m, d), evaluation texts in the same model's space, at least one.
    """
    return nearest.nearest(x, against)


@dataclasses.dataclass(frozen=True)
class NearContamination(fitted.Fitted):
    """Minus the cosine to the nearest evaluation text, -1..1. Memory O(m d) a worker.

    Attributes:
      evaluation: Path of an `.npy`, shape (m, d).
      against: Path of a file of evaluation texts, as for `contamination`; the run's own model
        embeds them, so `embed.backend: precomputed` will not do.
      column: Its column of texts.
      name: Of the sidecar.
    """

    evaluation: str
    against: str
    column: str = "text"
    name: str = "near_contamination"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    @functools.cached_property
    def _artifact(self) -> NDArray[np.float32]:
        return np.array(artifacts.read(self.evaluation))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        return -evidence(x, self._artifact).cosine
