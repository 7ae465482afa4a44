"""WordLlama static embeddings: the mean of token vectors. No torch, thousands of texts a second.

The weights come inside the package (MIT), 256-d.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from tamis import errors


class Static:
    """The packaged WordLlama model."""

    def __init__(self) -> None:
        try:
            import wordllama
        except ImportError as error:
            raise errors.ConfigError(
                "embed.backend: static needs WordLlama",
                why=str(error),
                remedy="pip install 'tamis[static]'",
            ) from error
        folder = Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self._tokenizer, self._vectors = model.tokenizer, model.embedding
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean token vector per text, shape (n, 256).

        The mean is a sparse (n, vocabulary) by dense (vocabulary, d) product: one pass over the
        tokens of each row in order, so a row's bytes do not depend on its batch, and no (tokens, d)
        copy is made.
        """
        ids = [
            e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        lengths = np.array([len(i) for i in ids], np.int64)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.concatenate([np.asarray(i, np.int32) for i in ids]) if ids else np.zeros(0, int)
        counts = scipy.sparse.csr_matrix(
            (np.ones(len(tokens), np.float32), tokens, bounds), (len(ids), len(self._vectors))
        )
        return (counts @ self._vectors) / np.maximum(lengths, 1)[:, None].astype(np.float32)
