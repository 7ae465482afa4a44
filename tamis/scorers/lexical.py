"""Lexical quality rules from the published filters, as one score: the share of rules passed.

A rule that fires is evidence, not a verdict: the thresholds were set for English web pages, and a
source of short texts fails `enough_words` on every row. As a score that shifts all rows alike.

==================  =========================================  ================================
rule                passes when                                from
==================  =========================================  ================================
enough_words        50 to 100,000 words                        Gopher, Rae et al. 2021, §A1.1
word_length         mean word length of 3 to 10 characters     Gopher §A1.1
few_symbols         `#`, and ellipses, at most 0.1 a word      Gopher §A1.1
alphabetic          80 % of words have a letter                Gopher §A1.1
stop_words          2 of the, be, to, of, and, that, have,     Gopher §A1.1
                    with
few_bullets         at most 90 % of lines begin with a bullet  Gopher §A1.1
few_ellipses        at most 30 % of lines end in an ellipsis   Gopher §A1.1
repeated_lines      at most 30 % of lines repeat another       Gopher Table A1
repeated_paragraphs at most 30 % of paragraphs repeat another  Gopher Table A1
repeated_line_letters       at most 20 % of characters are in  Gopher Table A1
                    lines that repeat another
repeated_paragraph_letters  at most 20 % of characters are in  Gopher Table A1
                    paragraphs that repeat another
top_2_gram          commonest 2-gram at most 20 % of letters,  Gopher Table A1
top_3_gram           3-gram 18 %,
top_4_gram           4-gram 16 %
repeated_5_grams    repeats of 5-grams at most 15 % of letters Gopher Table A1
repeated_6_grams     6-grams 14 %,
repeated_7_grams     7-grams 13 %,
repeated_8_grams     8-grams 12 %,
repeated_9_grams     9-grams 11 %,
repeated_10_grams    10-grams 10 %
closed_lines        over 12 % of lines end in . ! ? or a quote FineWeb, Penedo et al. 2024
short_lines         under 67 % of lines have 30 characters     FineWeb
                    or fewer
enough_sentences    3 sentences or more                        C4, Raffel et al. 2020, §2.2
no_boilerplate      no `lorem ipsum`, no `{`                   C4 §2.2
no_notices          nothing on javascript, cookies, terms of   C4 §2.2, which drops the line alone
                    use or privacy policy
few_urls            at most 20 % of words are web addresses    ours
==================  =========================================  ================================

Words are what white space separates, lines are those not blank, paragraphs stand between blank
lines, letters are the characters of words. An n-gram counts as commonest only when it occurs twice,
so that a short text does not fail. FineWeb's third rule, at most 10 % of characters in repeated
lines, is Gopher's with another threshold: set `max_repeated_line_letters` to 0.1.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns
from tamis.scorers import text_statistics


@dataclasses.dataclass(frozen=True)
class Lexical:
    """Share of rules passed, 0..1. Reads the text once; O(characters), memory 30 times a batch.

    Attributes are the thresholds of the module's table, about in its order; those of n-grams are
    tuples, for n = 2, 3, 4 and for n = 5 to 10.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_word_length: float = 3
    max_word_length: float = 10
    max_symbols: float = 0.1
    min_alphabetic: float = 0.8
    min_stop_words: int = 2
    max_bullets: float = 0.9
    max_ellipses: float = 0.3
    max_repeated_lines: float = 0.3
    max_repeated_paragraphs: float = 0.3
    max_repeated_line_letters: float = 0.2
    max_repeated_paragraph_letters: float = 0.2
    max_top_grams: tuple[float, ...] = (0.20, 0.18, 0.16)
    max_repeated_grams: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
    min_closed_lines: float = 0.12
    max_short_lines: float = 0.67
    min_sentences: int = 3
    max_urls: float = 0.2
    name: str = "lexical"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        if (len(self.max_top_grams), len(self.max_repeated_grams)) != (3, 6):
            raise errors.ConfigError(
                f"{len(self.max_top_grams)} and {len(self.max_repeated_grams)} limits of n-grams",
                where=self.name,
                remedy="give 3 in max_top_grams and 6 in max_repeated_grams",
            )

    def setup(self) -> None:
        pass

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        return share_passed(rules(batch.column(columns.TEXT), self))


def share_passed(passed: pa.RecordBatch) -> NDArray[np.float32]:
    """Shape (n,): the mean of the columns of booleans."""
    total = np.zeros(passed.num_rows, np.int64)
    for column in passed.columns:
        total += column.to_numpy(zero_copy_only=False)
    return (total / passed.num_columns).astype(np.float32)


def rules(text: pa.Array, limits: Lexical) -> pa.RecordBatch:
    """Which rules each text passes: one column of booleans a rule, named as in the table.

    Args:
      text: (large_)string, no nulls.
      limits: The thresholds.

    Raises:
      ValueError: a text is null.
    """
    s = text_statistics.statistics(text)
    return pa.record_batch(
        {
            "enough_words": _within(s["words"], limits.min_words, limits.max_words),
            "word_length": _within(
                s["word_length"], limits.min_word_length, limits.max_word_length
            ),
            "few_symbols": s["symbols"] <= limits.max_symbols,
            "alphabetic": s["alphabetic"] >= limits.min_alphabetic,
            "stop_words": s["stop_words"] >= limits.min_stop_words,
            "few_bullets": s["bullets"] <= limits.max_bullets,
            "few_ellipses": s["ellipses"] <= limits.max_ellipses,
            **{name: s[name] <= limit for name, limit in _repetition(limits).items()},
            "closed_lines": s["closed_lines"] > limits.min_closed_lines,
            "short_lines": s["short_lines"] < limits.max_short_lines,
            "enough_sentences": s["sentences"] >= limits.min_sentences,
            "no_boilerplate": s["boilerplate"] == 0,
            "no_notices": s["notices"] == 0,
            "few_urls": s["urls"] <= limits.max_urls,
        }
    )


def _repetition(limits: Lexical) -> dict[str, float]:
    """The largest share of each kind of repetition."""
    parts = ("lines", "paragraphs", "line_letters", "paragraph_letters")
    return {
        **{f"repeated_{part}": getattr(limits, f"max_repeated_{part}") for part in parts},
        **{f"top_{n}_gram": limit for n, limit in enumerate(limits.max_top_grams, 2)},
        **{f"repeated_{n}_grams": limit for n, limit in enumerate(limits.max_repeated_grams, 5)},
    }


def _within(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)
