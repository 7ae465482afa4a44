"""What a trainer is."""

from collections.abc import Sequence
from typing import Protocol

from numpy.typing import NDArray

Rows = tuple[NDArray, NDArray]  # (n, d) of whatever the trainer reads, and (n,) class numbers


class Trainer(Protocol):
    """Trains on rows in a given order and tells the error on each target.

    Implementations are small frozen dataclasses whose fields come from the run file, so that they
    travel to workers by value. What is trained does not depend on what is trained beside it.
    """

    def errors(
        self, rows: Rows, orders: NDArray, targets: Sequence[Rows], *, seeds: Sequence[int]
    ) -> NDArray:
        """Shape (targets, runs): 0 is perfect, `chance` of the kind is knowing nothing.

        Args:
          rows: What there is to train on.
          orders: Shape (runs, samples), row numbers in the order in which a run sees them.
          targets: What the error is measured on.
          seeds: One for each run: of its start. Runs of one seed start alike.
        """
        ...
