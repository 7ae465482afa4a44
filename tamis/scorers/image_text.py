"""Image-text agreement: the cosine of two embeddings of a row, as of a picture and its caption.

CLIPScore (Hessel et al. 2021) without its factor of 2.5, which changes no order; the filter of
LAION (Schuhmann et al. 2022, threshold 0.28) and of DataComp (Gadre et al. 2023, the top 30 %).
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import nearest
from tamis.schemas import columns, embeddings


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shape (n,), -1..1: of row i of `a` (n, d) with row i of `b`. O(n d).

    Raises:
      ValueError: a row has no direction.
    """
    found = nearest.row_dot(nearest.unit(a), nearest.unit(b))
    return np.clip(found, -1, 1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ImageText:
    """Cosine of two columns of one model, by default those of `embed: {of: pair}`.

    O(d) a row, no artifact.

    Attributes:
      image: Column of one.
      text: Column of the other.
      name: Of the sidecar.
    """

    image: str = columns.IMAGE_EMBEDDING
    text: str = columns.TEXT_EMBEDDING
    name: str = "image_text"

    @property
    def reads(self) -> tuple[str, ...]:
        """The two columns."""
        return (self.image, self.text)

    def setup(self) -> None:
        pass

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        image, text = (embeddings.matrix(batch.column(name)) for name in self.reads)
        return cosine(image, text)
