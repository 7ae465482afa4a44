"""How a law stands in a competition: what it missed of runs that it was not fitted to."""

import abc
import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing(abc.ABC):
    """Predicted minus measured, of what was left out.

    Attributes:
      held_out: On the longest runs, or those with most compute, fitted without them; empty where
        nothing could be held out.
      left_out: On the runs of each mixture, fitted without it; empty with too few mixtures.
    """

    held_out: NDArray[np.float64]
    left_out: NDArray[np.float64]

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Of the law."""

    @property
    @abc.abstractmethod
    def fitted_error(self) -> float:
        """Root mean square on the runs that it was fitted to."""

    @property
    def held_out_error(self) -> float:
        """Leave-longest-out: root mean square; NaN when nothing could be held out."""
        return rms(self.held_out)

    @property
    def mixture_error(self) -> float:
        """Leave-one-mixture-out over all lengths, to hold against `fitted_error`; or NaN."""
        return rms(self.left_out)


def rms(missed: NDArray[np.float64]) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(missed**2))) if missed.size else float("nan")
