"""Who sees what: a sequence dealt to ranks and their workers, also when their number changes.

The samples of an epoch stand in one order that does not depend on how many read them. A *share* is
a run of it, so that each consumer reads its own part of the files. Training sees the shares side by
side: a sample of each rank in turn and, within a rank, a batch of each worker in turn, as torch's
DataLoader takes them. So the p-th sample that is trained on belongs to rank p mod ranks, and what
is left after any p is known by arithmetic, whoever goes on with it.
"""

from typing import NamedTuple

Runs = tuple[tuple[int, int], ...]
"""Half-open intervals of positions in the order of a stage, ascending."""


class Deal(NamedTuple):
    """Between whom an epoch is shared, and how far they are.

    Attributes:
      ranks: Processes that train together, each on its own samples.
      workers: Of each rank; 1 where the rank reads for itself.
      batch: Samples that a worker hands over at once.
      seen: Samples that each rank has trained on.
    """

    ranks: int
    workers: int = 1
    batch: int = 1
    seen: int = 0

    @property
    def among(self) -> tuple[int, int, int]:
        """Between whom alone. How a rank's only worker batches does not matter."""
        return (self.ranks, self.workers, self.batch if self.workers > 1 else 1)

    def and_seen(self, count: int) -> "Deal":
        """After `count` samples more of each rank."""
        return self._replace(seen=self.seen + count)

    def before(self, consumer: int, position: int) -> int:
        """How many of the first `position` samples are a consumer's.

        Consumer c is worker c mod `workers` of rank c / `workers`.
        """
        rank, worker = divmod(consumer, self.workers)
        mine = max(0, -(-(position - rank) // self.ranks))
        rounds, rest = divmod(mine, self.batch * self.workers)
        return rounds * self.batch + min(max(rest - worker * self.batch, 0), self.batch)


def size(runs: Runs) -> int:
    """Positions in runs."""
    return sum(stop - start for start, stop in runs)


def part(runs: Runs, first: int, count: int) -> Runs:
    """The positions `first` to `first + count` of those in `runs`, counted from 0.

    >>> part(((0, 4), (10, 14)), 3, 3)
    ((3, 4), (10, 12))
    """
    found = []
    for start, stop in runs:
        low, high = max(start + first, start), min(start + first + count, stop)
        if low < high:
            found.append((low, high))
        first -= stop - start
    return tuple(found)


def share(stages: tuple[Runs, ...], deal: Deal, consumer: int, position: int) -> tuple[Runs, ...]:
    """What a consumer has still to see of each stage after `position` samples of all.

    Args:
      stages: What there was at the beginning of the deal.
      deal: Between whom.
      consumer: As in `Deal.before`.
      position: Samples that all together have seen, at most as many as there are.

    The shares of a stage are consecutive and partition it.
    """
    found, begin = [], 0
    for runs in stages:
        end = begin + size(runs)
        first = sum(deal.before(c, end) - deal.before(c, begin) for c in range(consumer))
        done = deal.before(consumer, max(begin, min(position, end))) - deal.before(consumer, begin)
        mine = deal.before(consumer, end) - deal.before(consumer, begin)
        found.append(part(runs, first + done, mine - done))
        begin = end
    return tuple(found)


def position(stages: tuple[Runs, ...], deal: Deal) -> int:
    """Samples that all ranks together have seen."""
    return min(deal.ranks * deal.seen, sum(map(size, stages)))


def left(stages: tuple[Runs, ...], deal: Deal) -> tuple[Runs, ...]:
    """What nobody has seen, stage by stage, ascending."""
    at = position(stages, deal)
    each = [share(stages, deal, c, at) for c in range(deal.ranks * deal.workers)]
    return tuple(_joined(runs) for runs in zip(*each, strict=True))


def _joined(parts: tuple[Runs, ...]) -> Runs:
    """Consecutive runs, with those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, stop in (run for runs in parts for run in runs):
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, stop))
    return tuple(found)
