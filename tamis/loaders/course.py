"""The order of training: a pure function of a manifest, a seed and an epoch.

Every file is read front to back, a shard after the other; what is mixed is *where* many of them are
read at once, and a buffer of samples that is shuffled whole:

- A **lane** is some shards of one source, in an order of its own in every pass. A source is read in
  as many passes as its most repeated row has repeats; `turns` says which rows come in which.
- A **window** is a buffer. Lane l has s_l samples in all, and window w of W takes its samples from
  floor((w s_l + u_l) / W) on, u_l random: so every window has every source in the proportions of
  the whole run, to a sample, and the last repeat of the scarcest row comes as late as anything.
- Inside a window the order is a uniform permutation.

Nothing here reads a file. Memory is the shards of the manifest times the passes, no rows.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import seeding, sources
from tamis.loaders import manifest, turns
from tamis.schemas import shards

INTERLEAVE = 4  # shards of a source that are read at once
Curriculum = Callable[[pa.Table], NDArray[np.integer]]
"""Rows of a manifest (`schemas.manifest.SCHEMA`) to when they come, shape (n,), lowest first."""


@dataclasses.dataclass(frozen=True)
class Lane:
    """Shards of one source, read one unit after the other.

    Attributes:
      units: Numbers of the manifest's parts; those of a unit must be read together.
      turns: Passes.
      phases: Part to its phase (`turns.taken`).
      counts: Part to its rows in each pass, shape (turns,).
      order: Shape (turns, units), units as read.
    """

    units: tuple[tuple[int, ...], ...]
    turns: int
    phases: dict[int, int]
    counts: dict[int, NDArray[np.int64]]
    order: NDArray[np.int64]
    _ends: NDArray[np.int64] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        each = np.stack([sum(self.counts[i] for i in unit) for unit in self.units], 1)
        ends = np.cumsum(np.take_along_axis(each, self.order, 1))
        object.__setattr__(self, "_ends", ends)

    @property
    def samples(self) -> int:
        return int(self._ends[-1])

    def visits(self, sample: int) -> Iterator[tuple[int, tuple[int, ...], int]]:
        """From a sample on: the pass, the parts to read, and how many of their samples to skip."""
        width = len(self.units)
        for i in range(int(np.searchsorted(self._ends, sample, "right")), len(self._ends)):
            begin = int(self._ends[i - 1]) if i else 0
            turn, unit = i // width, self.units[self.order[i // width, i % width]]
            yield turn, unit, max(0, sample - begin)


@dataclasses.dataclass(frozen=True)
class Stage:
    """All that comes before anything of the next stage; without a curriculum, the whole epoch.

    Attributes:
      number: What the curriculum gave its rows.
      lanes: Where samples come from.
      key: Seed, and what else the order is for.
      buffer: Samples of a window, about.
      starts: Shape (windows + 1,), positions where windows begin and the last ends.
    """

    number: int
    lanes: tuple[Lane, ...]
    key: tuple[object, ...]
    buffer: int
    starts: NDArray[np.int64] = dataclasses.field(init=False)
    _bounds: NDArray[np.int64] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        sizes = np.array([lane.samples for lane in self.lanes], np.int64)
        windows = max(1, -(-int(sizes.sum()) // self.buffer))
        shift = self._rng("lanes").integers(windows, size=len(sizes))
        bounds = (np.arange(windows + 1)[:, None] * sizes + shift) // windows
        object.__setattr__(self, "_bounds", bounds)
        object.__setattr__(self, "starts", bounds.sum(1))

    @property
    def samples(self) -> int:
        return int(self.starts[-1])

    def window(self, position: int) -> int:
        """The window that a position of the order is in."""
        return int(np.searchsorted(self.starts, position, "right")) - 1

    def takes(self, window: int) -> list[tuple[int, int]]:
        """First sample and number of samples that a window takes of each lane."""
        first, stop = self._bounds[window], self._bounds[window + 1]
        return list(zip(first.tolist(), (stop - first).tolist(), strict=True))

    def order(self, window: int) -> NDArray[np.int64]:
        """The permutation of a window, whose samples are numbered lane by lane."""
        size = int(self.starts[window + 1] - self.starts[window])
        return self._rng("window", window).permutation(size)

    def _rng(self, *purpose: object) -> np.random.Generator:
        return seeding.generator(*self.key, *purpose)  # type: ignore[arg-type]


Repeats = list[dict[int, dict[int, int]]]
"""Of every part: stage to (repeats to rows)."""


def repeats(
    listed: Iterator[pa.Table], curriculum: Curriculum | None, *, once: bool = False
) -> Repeats:
    """How often the rows of each part are to be seen in which stage.

    Args:
      listed: The parts of a manifest, with at least `repeats`.
      curriculum: When rows come.
      once: Every row once, whatever its repeats.
    """
    found: Repeats = []
    for rows in listed:
        stage, times = numbers(rows, curriculum), planned(rows, once=once)
        each = {s: _tally(times[stage == s]) for s in np.unique(stage).tolist()}
        found.append(each)
    return found


def _tally(times: NDArray[np.int64]) -> dict[int, int]:
    """Value to how often it stands there."""
    values, n = np.unique(times, return_counts=True)
    return dict(zip(values.tolist(), n.tolist(), strict=True))


def numbers(rows: pa.Table, curriculum: Curriculum | None) -> NDArray[np.int64]:
    """The stage of each row."""
    if curriculum is None:
        return np.zeros(rows.num_rows, np.int64)
    return np.asarray(curriculum(rows)).astype(np.int64)


def planned(rows: pa.Table, *, once: bool) -> NDArray[np.int64]:
    """How often each row is to be seen."""
    times = rows["repeats"].to_numpy()
    return np.minimum(times, 1) if once else times.astype(np.int64)


def stages(
    parts: tuple[manifest.Part, ...], repeated: Repeats, key: tuple[object, ...], buffer: int
) -> tuple[Stage, ...]:
    """An epoch.

    Args:
      parts: Of the manifest.
      repeated: Of `repeats`.
      key: The seed first, then what tells this epoch from others.
      buffer: Samples that are shuffled together, about.
    """
    made = []
    for number in sorted({s for each in repeated for s in each}):
        mine = (*key, number)
        there = {i: each[number] for i, each in enumerate(repeated) if number in each}
        made.append(Stage(number, _lanes(parts, there, mine), mine, buffer))
    return tuple(made)


def _lanes(
    parts: tuple[manifest.Part, ...], there: dict[int, dict[int, int]], key: tuple[object, ...]
) -> tuple[Lane, ...]:
    by_shard = {parts[i].shard: i for i in there}
    units: dict[str, list[tuple[int, ...]]] = {}
    for span in sources.spans(by_shard):
        units.setdefault(span.shards[0].source, []).append(tuple(by_shard[s] for s in span.shards))
    found = []
    for source, each in units.items():
        most = max(m for unit in each for i in unit for m in there[i])
        rng = seeding.generator(*key, "deal", source)  # type: ignore[arg-type]
        dealt = rng.permutation(len(each))
        for k in range(min(len(each), INTERLEAVE)):
            mine = tuple(each[i] for i in dealt[k::INTERLEAVE].tolist())
            order = np.array([rng.permutation(len(mine)) for _ in range(most)])
            found.append(_lane(mine, parts, there, order, key))
    return tuple(found)


def _lane(
    units: tuple[tuple[int, ...], ...],
    parts: tuple[manifest.Part, ...],
    there: dict[int, dict[int, int]],
    order: NDArray[np.int64],
    key: tuple[object, ...],
) -> Lane:
    most = len(order)
    mine = [i for unit in units for i in unit]
    phases = {i: _phase(parts[i].shard, most, key) for i in mine}
    counts = {i: turns.counts(there[i], most, phases[i]) for i in mine}
    return Lane(units, most, phases, counts, order)


def _phase(shard: shards.Shard, most: int, key: tuple[object, ...]) -> int:
    return int.from_bytes(seeding.digest(*key, "phase", shard.name), "little") % most
