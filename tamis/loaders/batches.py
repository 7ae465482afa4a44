"""A torch DataLoader that knows how many samples it has handed over."""

from collections.abc import Iterator
from typing import Any

from tamis.loaders import stream as streams


class Batches:
    """Batches of a stream, with any number of workers; made by `Stream.dataloader`.

    Args:
      stream: Where it stands is where this goes on, and moves with each batch that is handed over,
        not with what workers have read ahead.
      batch_size: Samples of a batch; the last of an epoch may be smaller.
      workers: Processes that read, decode and collate; 0 does it here.
      options: Of torch's DataLoader: `collate_fn`, `pin_memory`, `drop_last`, ...
    """

    def __init__(
        self, stream: "streams.Stream", batch_size: int, workers: int, options: dict[str, Any]
    ) -> None:
        self.stream, self._size, self._workers = stream, batch_size, workers
        self._options = options

    def __len__(self) -> int:
        """Batches to come, the last smaller one too."""
        return -(-len(self.stream) // self._size)

    def __iter__(self) -> Iterator[Any]:
        import torch
        from torch.utils.data import DataLoader, IterableDataset

        IterableDataset.register(streams.Stream)
        self.stream.deal(max(1, self._workers), self._size)
        left = len(self.stream)
        # Of its own: a draw from torch's would make a resumed training differ from another.
        generator = torch.Generator().manual_seed(self.stream.number())
        given = {"generator": generator, **self._options, "num_workers": self._workers}
        loader = DataLoader(self.stream, batch_size=self._size, **given)
        for batch in loader:
            count = min(self._size, left)
            left -= count
            if self._workers:  # else the stream itself was asked, and has counted
                self.stream.saw(count)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch begins: `Stream.state_dict`."""
        return self.stream.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `Stream.load_state_dict`."""
        self.stream.load_state_dict(state)
