"""What a scorer is."""

from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@runtime_checkable
class Scorer(Protocol):
    """How good is this row? A pure function of the row and of fitted artifacts.

    `tamis.testing.check_scorer` has the laws: finite float32, one per row, and bit for bit the
    same whatever rows stand beside it. Implementations are small frozen dataclasses whose fields
    come from the config, so that they travel between workers by value; artifacts travel by path.
    """

    @property
    def name(self) -> str:
        """Folder of the sidecar and Beam step label, unique within a run."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns needed, checked before anything runs."""
        ...

    def setup(self) -> None:
        """Load artifacts, once per worker; again is free."""
        ...

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Shape (n,), higher = keep."""
        ...
