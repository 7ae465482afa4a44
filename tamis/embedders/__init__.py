"""Texts and images to vectors.

Each backend is loaded once per worker and is a pure function of its input.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import intake


class Embedder(Protocol):
    """A loaded model."""

    def __call__(self, values: Sequence[Any], /) -> NDArray[np.float32]:
        """Texts, or the bytes of encoded images, to shape (n, d), not necessarily of unit norm."""
        ...


def load(section: intake.Embed) -> Embedder:
    """Load the backend that the run file's `embed` section names.

    Raises:
      ConfigError: its package is not installed, or the model cannot be read.
    """
    if section.backend == "static":
        from tamis.embedders import static

        return static.Static()
    if section.backend == "pixels":
        from tamis.embedders import pixels

        return pixels.Pixels()
    from tamis.embedders import sentence_transformers

    return sentence_transformers.SentenceTransformers(section)
