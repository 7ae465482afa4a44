"""In which passes over its file a row comes: as often as planned, evenly spread over the run.

Of the rows that are to be seen m times in M passes, the k-th comes in pass t if the line
floor((phase + (k + t) m) / M) steps up there (Bresenham 1965). Over the M passes it steps m times
for any k, and over n rows n m / M times for any t, to one: every row exactly as often as planned,
and every pass with its part of the rows.
"""

import numpy as np
from numpy.typing import NDArray


def taken(times: NDArray[np.int64], turns: int, turn: int, phase: int) -> NDArray[np.int64]:
    """Rows that come in one pass, ascending.

    Args:
      times: Shape (n,), how often each row comes in all, 0 to `turns`.
      turns: Passes in all.
      turn: Which pass, from 0.
      phase: Any integer of at least 0.
    """
    found = np.zeros(len(times), bool)
    for m in np.unique(times[times > 0]).tolist():
        alike = np.flatnonzero(times == m)
        line = (phase + (turn + np.arange(len(alike) + 1)) * m) // turns
        found[alike] = np.diff(line) > 0
    return np.flatnonzero(found)


def counts(times: dict[int, int], turns: int, phase: int) -> NDArray[np.int64]:
    """How many rows come in each pass, shape (turns,): the lengths of `taken`.

    Args:
      times: How often rows come, to how many rows come so often.
      turns: Passes in all.
      phase: As of `taken`.

    >>> counts({3: 1, 1: 2, 2: 1}, 3, 0)
    array([1, 3, 3])
    """
    out = np.zeros(turns, np.int64)
    turn = np.arange(turns)
    for m, rows in times.items():
        out += (phase + (turn + rows) * m) // turns - (phase + turn * m) // turns
    return out
