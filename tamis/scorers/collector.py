"""Training dynamics from any training loop: show it every batch, and it writes scores.

    collector = Collector()
    for epoch in range(epochs):
        for batch in loader:
            logits = model(batch.x)
            ...
            collector.record(batch.uids, logits, batch.labels)
    collector.write("dynamics.parquet")  # then, in the run file: score: {recorded: {path: ...}}

===================  =======  ============================================================
column               hard is  what
===================  =======  ============================================================
el2n                 high     `tamis.scorers.el2n`, the mean over the row's first `early` looks
forgetting           high     `tamis.scorers.forgetting`
area_under_margin    low      `tamis.scorers.margin`, the mean over all looks
ddd                  high     `tamis.scorers.ddd`, the share of runs wrong at their last look
entropy, margin,     high     `tamis.scorers.uncertainty` at the last look
least_confidence
===================  =======  ============================================================

With several runs (`end_run` between them: other seeds, other models) every column is the mean over
the runs that showed the row. The logits are those of the moment the row is in the batch, before its
step, as Toneva et al. (2019, Algorithm 1) count; recording a pass over the data after each epoch
works as well. A look is one of either, so that nobody has to say where an epoch ends.

Memory is 135 bytes a row, up to twice that just after growing, and nothing grows with epochs, runs
or classes; time O(batch) a call. Rows may come in any order and be new at any time.
"""

from typing import Any, ClassVar, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from tamis import errors, linalg
from tamis.schemas import uids as uids_
from tamis.scorers import el2n, margin, places, recorded, uncertainty

EARLY = 10  # looks; Paul et al. (2021, section 3) score at epochs 10 to 20 of 200

_STATE = np.dtype(
    [
        ("el2n", "f8"),  # sum over the first looks
        ("margin", "f8"),  # sum over looks
        ("seen", "i4"),
        ("forgotten", "i4"),
        ("learned", "?"),
        ("correct", "?"),  # at the last look
        ("last", "f4", 3),  # entropy, margin, least confidence then
    ]
)
_LAST = get_args(uncertainty.Measure)
_COLUMNS = ("el2n", "forgetting", "area_under_margin", "ddd", *_LAST)


class Collector:
    """What a run or an ensemble showed of every row, in bounded memory.

    Args:
      early: Looks at a row, in each run, whose EL2N counts.
    """

    columns: ClassVar[tuple[str, ...]] = _COLUMNS

    def __init__(self, early: int = EARLY) -> None:
        if early < 1:
            raise errors.ConfigError(f"early is {early}", remedy="count at least one look")
        self._early = early
        self._places = places.Places()
        self._run = np.zeros(0, _STATE)
        self._total = np.zeros((0, len(_COLUMNS)))  # sums over finished runs
        self._runs = np.zeros(0, np.int32)  # that showed the row

    def record(self, uids: Any, logits: ArrayLike, labels: ArrayLike) -> None:  # noqa: ANN401 -- several kinds
        """Show the predictions of one batch.

        Args:
          uids: n strings of 32 hex digits (list, Arrow), or shape (n, 2) uint64.
          logits: Shape (n, c), c at least 2; numpy, or a torch tensor on any device.
          labels: Shape (n,) integers, 0..c-1.

        Raises:
          SchemaError: shapes disagree, a logit is not finite or a label is no class; names the row.
            Nothing of the batch is recorded then.
        """
        names = _uids(uids)
        z, y = _array(logits).astype(np.float64), _array(labels).astype(np.int64)
        _check(names, z, y)
        at = self._places.find(names)
        self._run = _grown(self._run, len(self._places))
        rest = np.arange(len(at))
        while len(rest):  # a row may come several times in one batch
            first = np.unique(at[rest], return_index=True)[1]
            self._look(at[rest[first]], z[rest[first]], y[rest[first]])
            rest = np.delete(rest, first)

    def end_run(self) -> None:
        """Say that a training is over; what follows is another one, from scratch."""
        run, n = self._run, len(self._run)
        shown = run["seen"] > 0
        self._total, self._runs = _grown(self._total, n), _grown(self._runs, n)
        self._total[:n][shown] += _finished(run[shown], self._early)
        self._runs[:n] += shown
        self._run = np.zeros(n, _STATE)

    def result(self) -> tuple[NDArray[np.uint64], dict[str, NDArray[np.float64]]]:
        """Uids (n, 2) in order of first sight, and every column (n,); ends the run that is on.

        Raises:
          SchemaError: nothing was recorded.
        """
        if (self._run["seen"] > 0).any():
            self.end_run()
        n = len(self._places)
        if not n:
            raise errors.SchemaError("nothing was recorded", remedy="call record with every batch")
        mean = self._total[:n] / self._runs[:n, None]
        return self._places.uids, dict(zip(_COLUMNS, mean.T, strict=True))

    def write(self, url: str) -> None:
        """Write all columns as `tamis.scorers.recorded` reads them; ends the run that is on."""
        recorded.write(url, *self.result())

    def _look(self, at: NDArray[np.int64], z: NDArray, y: NDArray[np.int64]) -> None:
        """One look at distinct rows."""
        now, p = self._run[at], linalg.softmax(z)
        correct = z.argmax(1) == y
        now["el2n"] += np.where(now["seen"] < self._early, el2n.el2n(z, y), 0)
        now["margin"] += margin.margin(z, y)
        now["seen"] += 1
        now["forgotten"] += now["correct"] & ~correct
        now["learned"] |= correct
        now["correct"] = correct
        now["last"] = np.stack([uncertainty.uncertainty(p, m) for m in _LAST], axis=1)
        self._run[at] = now


def _finished(run: NDArray, early: int) -> NDArray[np.float64]:
    """The columns of one run's rows, each of which was shown: shape (n, columns)."""
    seen = run["seen"]
    forgotten = np.where(run["learned"], run["forgotten"], seen.max(initial=0))
    error = run["el2n"] / np.minimum(seen, early)
    return np.column_stack([error, forgotten, run["margin"] / seen, ~run["correct"], run["last"]])


def _grown(x: NDArray, n: int) -> NDArray:
    """At least n rows, the new ones zero; doubled, so that growing costs O(1) a row."""
    if len(x) >= n:
        return x
    more = np.zeros((max(n, 2 * len(x)) - len(x), *x.shape[1:]), x.dtype)
    return np.concatenate([x, more])


def _uids(uids: Any) -> NDArray[np.uint64]:  # noqa: ANN401
    if isinstance(uids, np.ndarray) and uids.dtype == np.uint64 and uids.ndim == 2:
        return uids
    column = uids if isinstance(uids, pa.Array | pa.ChunkedArray) else pa.array(list(uids))
    try:
        return uids_.from_hex(column)
    except (ValueError, IndexError, TypeError) as error:
        raise errors.SchemaError(
            "uids are neither hex strings nor (n, 2) uint64", why=str(error)
        ) from error


def _array(values: Any) -> NDArray:  # noqa: ANN401
    """A tensor or array as an array, without importing torch."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _check(names: NDArray[np.uint64], z: NDArray, y: NDArray[np.int64]) -> None:
    if z.ndim != 2 or z.shape[1] < 2 or y.shape != z.shape[:1] or len(names) != len(z):
        raise errors.SchemaError(
            f"{len(names)} uids, logits of shape {z.shape} and labels of shape {y.shape}",
            remedy="record n uids, logits (n, c) and labels (n,) of one batch, c at least 2",
        )
    for bad, what in (
        (~np.isfinite(z).all(1), "a logit that is not finite"),
        ((y < 0) | (y >= z.shape[1]), f"a label outside 0..{z.shape[1] - 1}"),
    ):
        if bad.any():
            named = uids_.to_hex(names[bad][:1])[0].as_py()
            raise errors.SchemaError(
                f"row {named} has {what}",
                remedy="stop the training that diverged, or mend its labels",
            )
