"""`tamis.load`: a manifest as an iterator over training samples, and as torch's IterableDataset."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tamis import errors, seeding
from tamis.loaders import ahead, course, manifest, reading, samples, shares

if TYPE_CHECKING:
    from tamis.loaders.batches import Batches

BUFFER = 16_384  # how well it mixes is measured: docs/loading.md
_VERSION = 1


def load(  # noqa: PLR0913 - one argument an option
    path: str,
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    buffer: int = BUFFER,
    curriculum: course.Curriculum | None = None,
    once: bool = False,
    check: bool = True,
) -> "Stream":
    """The training samples of a manifest, in the order of training.

    One epoch is the whole manifest: every row as often as it lists, spread evenly over the epoch.
    The order is a pure function of the manifest's digest, the seed, the epoch, the world size and
    these options. Files are read in sequence, where they are; nothing is copied.

    Args:
      path: Folder of the manifest, e.g. `runs/demo/manifest/samples-8000`.
      seed: Of the order.
      epoch: Which time through the manifest, from 0; each has an order of its own.
      rank: Which of the processes that train together, from 0.
      world_size: How many there are. They see every sample once between them; sizes differ by at
        most one.
      buffer: Samples that are shuffled whole, about; memory is two of them.
      curriculum: From rows of a manifest to when they come, e.g. `curricula.best_last`. A function
        of a module, where workers are spawned.
      once: Every row once, with its repeats as its `weight`, in place of repeats and weight 1.
      check: Hold every row's contents against the manifest, which hashes them: nearly a microsecond
        a row. Otherwise a file that has changed and kept its size is not found out.

    Returns:
      An iterator of samples: `uid, source, stratum, tier, repeats, weight`, and what the sources
      have of `text, label, id, embedding` (None in the rows of a source that has it not).

    Raises:
      ManifestError: `path` holds no manifest, or a damaged one. While iterating: an input is not as
        the manifest lists it, told by file and row.
      ConfigError: `rank`, `world_size` or `buffer` is out of its range.
    """
    if not 0 <= rank < world_size:
        raise errors.ConfigError(
            f"rank {rank} of world_size {world_size}", remedy="0 <= rank < world_size"
        )
    if buffer < 1:
        raise errors.ConfigError(f"buffer is {buffer}", remedy="at least 1")
    prove: reading.Prove = "contents" if check else "sizes"
    stream = Stream(path, (seed, buffer, once), (rank, world_size), curriculum, prove)
    stream.set_epoch(epoch)
    if "torch" in sys.modules:
        from torch.utils.data import IterableDataset

        IterableDataset.register(Stream)
    return stream


class Stream:
    """One epoch of a manifest, as one rank sees it; made by `load`.

    An iterator: each loop goes on where it stands, and is at its end when the epoch is. In a torch
    DataLoader each worker gets a part of the rank's samples; `dataloader` keeps account of them.

    Attributes:
      path: Folder of the manifest.
      epoch: Which time through it.
    """

    def __init__(
        self,
        path: str,
        options: tuple[int, int, bool],
        ranks: tuple[int, int],
        curriculum: course.Curriculum | None,
        prove: reading.Prove = "contents",
    ) -> None:
        self.path, self.epoch = path, 0
        self._seed, self._buffer, self._once = options
        self._rank, self._world = ranks
        document = manifest.document(path)
        self._digest, parts = document["digest"], manifest.parts(document)
        self._parts = parts
        columns = None if curriculum else ["repeats"]
        listed = (manifest.rows(path, part, columns) for part in parts)
        self._repeats = course.repeats(listed, curriculum, once=self._once)
        self._reader = reading.Reader(
            path, parts, curriculum=curriculum, once=self._once, prove=prove
        )

    def __getstate__(self) -> dict[str, Any]:
        """For a worker, which reads from where this stands."""
        return {**self.__dict__, "_rows": None}

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.epoch = epoch
        key = (self._seed, "load", self._digest, epoch)
        self._stages = course.stages(self._parts, self._repeats, key, self._buffer)
        self._stand([shares.Deal(self._world)])

    def _stand(self, history: list[shares.Deal]) -> None:
        """Go to where the last of some deals ends."""
        self._rows: Iterator[samples.Sample] | None = None
        self._history, self._more = history, 0
        self._left: tuple[shares.Runs, ...] = tuple(((0, s.samples),) for s in self._stages)
        for deal in history[:-1]:
            self._left = shares.left(self._left, deal)

    def deal(self, workers: int, batch: int) -> None:
        """Share what is left between this world size and number of workers.

        Args:
          workers: Of each rank, at least 1.
          batch: Samples that a worker hands over at once.
        """
        now, new = self._deal, shares.Deal(self._world, workers, batch)
        if now.among != new.among or (workers > 1 and now.seen % batch):
            done = [now] if now.seen else []
            self._stand([*self._history[:-1], *done, new])

    @property
    def position(self) -> int:
        """Samples of this epoch that all ranks together have seen."""
        left = sum(map(shares.size, self._left)) - shares.position(self._left, self._deal)
        return sum(stage.samples for stage in self._stages) - left

    def number(self) -> int:
        """63 bits that tell this place in the training from others, to seed what happens to it."""
        data = seeding.digest(self._seed, self._digest, self.epoch, self.position)
        return int.from_bytes(data[:8], "little") >> 1

    def __len__(self) -> int:
        """Samples that this rank has still to see of the epoch."""
        workers = self._history[-1].workers
        mine = (self._share(worker) for worker in range(workers))
        return sum(shares.size(runs) for share in mine for runs in share)

    def __iter__(self) -> Iterator[samples.Sample]:
        worker, workers = _worker()
        if not workers:
            return self._counted()
        if self._deal.workers != workers:  # a DataLoader that was made by hand
            self.deal(workers, 1)
        deal = self._deal  # its next batch is the first that a DataLoader asks for
        return samples.samples(self._ahead((worker + deal.seen // deal.batch) % workers))

    def __next__(self) -> samples.Sample:
        return next(self._counted())

    def _counted(self) -> Iterator[samples.Sample]:
        """The samples from here; the count is right whenever one has been handed over."""
        if self._rows is None:
            self._rows = samples.samples(self._own())
        for sample in self._rows:
            self._more += 1
            yield sample

    def batches(self, size: int) -> Iterator[pa.Table]:
        """The samples from where the stream stands as tables of `size`, for who works by column."""
        self._rows = None
        for table in samples.cut(self._own(), size):
            self.saw(table.num_rows)
            yield table

    def saw(self, count: int) -> None:
        """This rank has trained on `count` samples more."""
        self._more += count

    @property
    def _deal(self) -> shares.Deal:
        """The present deal, as far as it has come."""
        return self._history[-1].and_seen(self._more)

    def dataloader(self, batch_size: int, *, workers: int = 0, **options: Any) -> "Batches":  # noqa: ANN401
        """A torch DataLoader whose place is known, also with workers: see `batches.Batches`."""
        from tamis.loaders.batches import Batches

        return Batches(self, batch_size, workers, options)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values: the same on every rank after the same step."""
        return {**self._what(), "epoch": self.epoch, "history": self._all()}

    def _all(self) -> list[list[int]]:
        return [list(deal) for deal in (*self._history[:-1], self._deal)]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go where a stream stood, of any rank and of any world size.

        If the world size or the number of workers is another, what nobody had seen is shared anew.

        Raises:
          ManifestError: the state is of another manifest, seed or order.
        """
        for name, value in self._what().items():
            if state.get(name) != value:
                raise errors.ManifestError(
                    f"the state is of another order: {name} is {state.get(name)!r}",
                    where=self.path,
                    why=f"here it is {value!r}",
                    remedy="load the manifest with the options of the run that was saved",
                )
        self.set_epoch(state["epoch"])
        self._stand([shares.Deal(*deal) for deal in state["history"]])
        if self._deal.ranks != self._world:
            self.deal(1, 1)

    def _what(self) -> dict[str, Any]:
        """What the order is a function of, but for the epoch."""
        options = {"seed": self._seed, "buffer": self._buffer, "once": self._once}
        sizes = [stage.samples for stage in self._stages]
        return {"version": _VERSION, "manifest": self._digest, **options, "stages": sizes}

    def _own(self) -> Iterator[pa.Table]:
        """What is left to this rank when it reads for itself."""
        self.deal(1, 1)
        return self._ahead(0)

    def _share(self, worker: int) -> tuple[shares.Runs, ...]:
        deal = self._deal
        consumer = self._rank * deal.workers + worker
        return shares.share(self._left, deal, consumer, shares.position(self._left, deal))

    def _ahead(self, worker: int) -> Iterator[pa.Table]:
        """What is left to a worker, read in a thread, which must not keep the stream alive."""
        return ahead.ahead(self._reader.epoch(self._stages, self._share(worker)))


def _worker() -> tuple[int, int]:
    """Which of how many workers of a DataLoader this process is; 0 of them if it is none."""
    if "torch" not in sys.modules:
        return 0, 0
    from torch.utils.data import get_worker_info

    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 0)
