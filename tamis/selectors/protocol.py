"""What a selector is."""

from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@runtime_checkable
class Selector(Protocol):
    """Which rows? Unlike a scorer, it sees the other rows and the budget.

    `tamis.testing.check_selector` has the laws: distinct rows, as many as asked, and the same rows
    by uid whatever the order of the pool.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns needed, checked before anything runs."""
        ...

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Distinct positions in `pool`, best first, shape (min(budget, n),)."""
        ...
