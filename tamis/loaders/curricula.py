"""When rows come, where they should not come mixed: functions for `tamis.load(curriculum=)`."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def best_first(rows: pa.Table) -> NDArray[np.integer]:
    """Tier 0 before tier 1, and so on: easy examples first (Bengio et al. 2009)."""
    return rows["tier"].to_numpy()


def best_last(rows: pa.Table) -> NDArray[np.integer]:
    """Tier 0 at the end, where the learning rate is low (Hu et al. 2024, MiniCPM, §4)."""
    return -rows["tier"].to_numpy().astype(np.int64)
