"""Epochs of every stratum of many trainings, and how far their samples count.

In epoch j, from 0, a stratum counts (1/2)^{j / half-life}. Up to 64 every epoch is a block of its
own; beyond, blocks are 5 % long and their epochs share their mean discount. What depends on the
trainings alone is remembered, since a fit asks for one set again and again with other half-lives.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_EXACT = 64
_LONGER = 1.05
_REMEMBERED = 8  # sets of trainings


class Blocks(NamedTuple):
    """Blocks of epochs that are run, one after another of every stratum of every training.

    Attributes:
      cell: Shape (e,), of which of the flattened epoch counts; ascending, each at least once.
      low: Shape (e,), epoch with which a block begins.
      width: Shape (e,), epochs in it when it is run to its end.
      growth: Shape (e,), log of the growth in samples within it; 0 in epoch 0.
    """

    cell: Integers
    low: Floats
    width: Floats
    growth: Floats


class Timeline(NamedTuple):
    """Trainings, cut at every moment at which a stratum begins a block.

    Attributes:
      first: Shape (r,), the interval with which each of r trainings begins.
      part: Shape (t,), length of each interval; those of a training sum to 1.
      block: Shape (t, k), the block that every stratum is in.
    """

    first: Integers
    part: Floats
    block: Integers


def edges(epochs: float) -> Floats:
    """Where blocks after epoch 0 begin: every epoch up to 64, then 5 % apart."""
    found = [*range(1, _EXACT + 1)]
    while found[-1] < epochs:
        found.append(int(found[-1] * _LONGER))
    return np.array(found, np.float64)


def growth(x: Floats, low: Floats, high: Floats) -> Floats:
    """Log of the growth in samples within blocks after epoch 0, when x epochs are run."""
    return np.log(np.clip(x, low, high) / low)


def discounts(rate: Floats, low: Floats, width: Floats) -> Floats:
    """Mean of exp(-rate j) over the epochs j of blocks; rates of 0 or more."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(rate > 0, np.expm1(-rate * width) / (width * np.expm1(-rate)), 1.0)
    return mean * np.exp(-rate * low)


def blocks(x: Floats) -> Blocks:
    """Of x epochs, any shape: at most 64 + 20 log(x / 64) of each, in time and memory."""
    return _blocks(x.tobytes())


def timeline(x: Floats) -> Timeline:
    """Of trainings with x epochs of every stratum, shape (r, k); k integers for each block."""
    return _timeline(x.tobytes(), x.shape[1])


@functools.lru_cache(_REMEMBERED)
def _blocks(content: bytes) -> Blocks:
    x = np.frombuffer(content)
    begin = np.append(0.0, edges(x.max(initial=1.0)))
    number = np.maximum(np.searchsorted(begin[:-1], x), 1)
    cell = np.repeat(np.arange(len(x)), number)
    own = np.arange(len(cell)) - np.repeat(np.cumsum(number) - number, number)
    low, high = begin[own], begin[own + 1]
    grown, again = np.zeros(len(cell)), own > 0
    grown[again] = growth(x[cell[again]], low[again], high[again])
    return Blocks(cell, low, high - low, grown)


@functools.lru_cache(_REMEMBERED)
def _timeline(content: bytes, k: int) -> Timeline:
    x, found = np.frombuffer(content), _blocks(content)
    again = np.flatnonzero(found.low > 0)
    row, stratum = np.divmod(found.cell[again], k)
    begin = found.low[again] / x[found.cell[again]]
    order = np.lexsort((begin, row))  # leaves `row` as it is
    rows = np.arange(len(x) // k)
    first = rows + np.searchsorted(row, rows)
    turn = np.arange(len(order)) + row + 1
    start = np.zeros(len(rows) + len(order))
    start[turn] = begin[order]
    end = np.append(start[1:], 0.0)
    return Timeline(
        first,
        np.where(end > 0, end, 1.0) - start,
        _running(np.flatnonzero(found.low == 0).reshape(-1, k), first, turn, stratum[order]),
    )


def _running(fresh: Integers, first: Integers, turn: Integers, stratum: Integers) -> Integers:
    """The block of every stratum in each interval, shape (t, k), as a sum of steps.

    Args:
      fresh: Shape (r, k), the block with which each training begins.
      first: Shape (r,), its interval.
      turn: Intervals that begin with the next block of a stratum.
      stratum: Which.
    """
    step = np.zeros((len(first) + len(turn), fresh.shape[1]), np.int64)
    step[first] = fresh
    step[turn, stratum] = 1
    step[first[1:]] -= np.add.reduceat(step, first)[:-1]  # back to none
    return np.cumsum(step, axis=0)
