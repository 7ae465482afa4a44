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
repeated_lines      at most 30 % of lines repeat another       Gopher §A1.1, Table A1
top_bigram          commonest 2-gram at most 20 % of letters   Gopher Table A1
repeated_5_grams    repeats of 5-grams at most 15 % of letters Gopher Table A1
closed_lines        over 12 % of lines end in . ! ? or a quote FineWeb, Penedo et al. 2024
short_lines         under 67 % of lines have 30 characters     FineWeb
                    or fewer
no_boilerplate      no `lorem ipsum`, no `{`                   C4, Raffel et al. 2020, §2.2
few_urls            at most 20 % of words are web addresses    ours
==================  =========================================  ================================

Words are what white space separates, lines are those not blank, letters are the characters of
words. A 2-gram counts as commonest only when it occurs twice, so that a short text does not fail.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import columns
from tamis.scorers import text_statistics


@dataclasses.dataclass(frozen=True)
class Lexical:
    """Share of rules passed, 0..1. Reads the text once; O(characters), memory 30 times a batch.

    Attributes are the thresholds of the module's table, in its order.
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
    max_top_bigram: float = 0.20
    max_repeated_5_grams: float = 0.15
    min_closed_lines: float = 0.12
    max_short_lines: float = 0.67
    max_urls: float = 0.2
    name: str = "lexical"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

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
            "repeated_lines": s["repeated_lines"] <= limits.max_repeated_lines,
            "top_bigram": s["top_bigram"] <= limits.max_top_bigram,
            "repeated_5_grams": s["repeated_5_grams"] <= limits.max_repeated_5_grams,
            "closed_lines": s["closed_lines"] > limits.min_closed_lines,
            "short_lines": s["short_lines"] < limits.max_short_lines,
            "no_boilerplate": s["boilerplate"] == 0,
            "few_urls": s["urls"] <= limits.max_urls,
        }
    )


def _within(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)
