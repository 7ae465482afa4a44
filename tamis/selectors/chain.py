"""Several selectors in a row: what one takes is the next one's pool."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.selectors import protocol


@dataclasses.dataclass(frozen=True)
class Chain:
    """E.g. the best ten thousand by score, of which a thousand that represent them.

    Costs what its selectors cost, each on what those before it left.

    Attributes:
      selectors: At least one.
      times: For every selector but the last, how many times the budget it takes: at least 1, and
        no more than the one before.
    """

    selectors: tuple[protocol.Selector, ...]
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        falling = [*self.times, 1.0]
        sized = len(self.selectors) == len(falling)
        if not sized or sorted(falling, reverse=True) != falling:
            raise errors.ConfigError(
                f"times are {list(self.times)} for {len(self.selectors)} selectors",
                where="chain",
                remedy="one for each selector but the last, falling, at least 1",
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """What any of them reads."""
        return tuple(dict.fromkeys(c for selector in self.selectors for c in selector.reads))

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = np.arange(pool.num_rows)
        for selector, times in zip(self.selectors, (*self.times, 1.0), strict=True):
            picked = selector.select(pool.take(pa.array(rows)), math.ceil(budget * times), rng)
            rows = rows[picked]
        return rows
