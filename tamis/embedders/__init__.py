"""Texts to vectors. Each backend is loaded once per worker and is a pure function of its input."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import config


class Embedder(Protocol):
    """A loaded model."""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to shape (n, d), not necessarily of unit norm."""
        ...


def load(section: config.Embed) -> Embedder:
    """Load the backend that the run file's `embed` section names.

    Raises:
      ConfigError: its package is not installed, or the model cannot be read.
    """
    if section.backend == "static":
        from tamis.embedders import static

        return static.Static()
    from tamis.embedders import sentence_transformers

    return sentence_transformers.SentenceTransformers(section)
