"""Costs kept in memory, as they are or in 16 bits an entry, so that a pass pays for no product."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs

_LEVELS = 2**16 - 1


@dataclasses.dataclass(frozen=True)
class Quantised:
    """Costs rounded to 65,536 levels: a pass costs no product, in half the memory of float32.

    Optimal values are 1-Lipschitz in the largest change of an entry, so `error`, half a level, is
    also how far a value may be off. `of` is what was rounded.
    """

    levels: NDArray[np.uint16]
    low: float
    step: float
    error: float
    of: costs.Cost | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.levels.shape[0], self.levels.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    @property
    def range(self) -> tuple[float, float]:
        return self.low, self.low + _LEVELS * self.step

    def rows(self, part: slice, scale: float = 1.0) -> NDArray[np.floating]:
        factor = np.float32(scale * self.step)
        block = np.multiply(self.levels[part], factor, dtype=np.float32, order="C")
        if self.low:
            block += np.float32(scale * self.low)
        return block

    def take(self, rows: NDArray[np.int64]) -> "Quantised":
        return dataclasses.replace(self, levels=self.levels[rows], of=None)

    def transposed(self) -> "Quantised":
        return dataclasses.replace(self, levels=self.levels.T, of=None)


def held(cost: costs.Cost, memory: int) -> costs.Cost:
    """The same cost kept in memory where `memory` bytes suffice: as it is, or in 16 bits.

    Time one pass; after that a pass no longer pays for the product.
    """
    n, m = cost.shape
    if isinstance(cost, costs.Dense | Quantised) or getattr(cost, "device", None):
        return cost
    if n * m * cost.dtype.itemsize <= memory:
        matrix = np.empty((n, m), cost.dtype)
        step = costs.block_rows(cost)
        for start in range(0, n, step):
            matrix[start : start + step] = cost.rows(slice(start, start + step))
        return costs.Dense(matrix, cost.error, cost)
    return quantised(cost) if n * m * 2 <= memory else cost


def quantised(cost: costs.Cost) -> Quantised:
    """Costs rounded to 16 bits within their range: one pass, 2 bytes an entry."""
    low, high = cost.range
    scale = max(high - low, float(np.finfo(np.float32).tiny)) / _LEVELS
    levels = np.empty(cost.shape, np.uint16)
    step = costs.block_rows(cost)
    for start in range(0, len(levels), step):
        block = cost.rows(slice(start, start + step), 1 / scale)
        block -= block.dtype.type(low / scale)
        np.clip(np.rint(block, out=block), 0, _LEVELS, out=block)
        levels[start : start + step] = block
    return Quantised(levels, low, scale, cost.error + scale / 2, cost)
