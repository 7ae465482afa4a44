"""Where the records of a line file begin and end, found with numpy over whole chunks."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import rejected, shards

_NEWLINE, _RETURN = 10, 13
MAX_RECORD = shards.BATCH_BYTES


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """Whole records that stand together in a file.

    Attributes:
      data: Bytes that hold them.
      offset: Where `data` begins in the (decompressed) file.
      starts: Shape (n,) int64, first byte of each record within `data`.
      stops: Shape (n,) int64, byte after each, its line break included.
      row: Row of the file of the first one.
      length: Bytes of the one record here when it is too long to hold and `data` its beginning.
      unclosed: The one record here opens a quote that the file never closes.
    """

    data: bytes
    offset: int
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    row: int = 0
    length: int = 0
    unclosed: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, i: int) -> bytes:
        """The i-th record without its line break."""
        record = self.data[self.starts[i] : self.stops[i]]
        return record.removesuffix(b"\n").removesuffix(b"\r")

    def beginning(self, i: int) -> bytes:
        """As much of the i-th record as a rejected row shows."""
        stop = min(self.starts[i] + rejected.PAYLOAD_BYTES, self.stops[i])
        return self.data[self.starts[i] : stop].rstrip(b"\r\n")

    def part(self, first: int, stop: int) -> "Lines":
        """Records first..stop-1, over the same bytes."""
        return dataclasses.replace(
            self,
            starts=self.starts[first:stop],
            stops=self.stops[first:stop],
            row=self.row + first,
        )


class Breaks:
    """Finds the line breaks that end records, chunk after chunk.

    In a csv file a line break inside a quoted cell ends nothing. A quote opens a cell only at the
    cell's first byte and is an ordinary character elsewhere (`5" disk`), as pyarrow's parser has
    it. While every quote at even parity stands where one may open, parity alone tells what is
    inside; a chunk where one does not is walked from quote to quote.
    """

    def __init__(self, delimiter: str = ",", quote: str = "") -> None:
        self.inside = False
        self._quote = ord(quote) if quote else -1
        self._openers = (_NEWLINE, _RETURN, ord(delimiter))
        self._last = _NEWLINE  # the byte before the chunk
        self._closed = False  # whether that byte closed a cell: one more quote reopens it

    def find(self, chunk: bytes) -> NDArray[np.int64]:
        """Positions in the chunk just after each record's line break, ascending."""
        data = np.frombuffer(chunk, np.uint8)
        breaks = np.flatnonzero(data == _NEWLINE)
        if self._quote < 0:
            return breaks + 1
        quotes = np.flatnonzero(data == self._quote)
        if self.inside or len(quotes):
            opens = self._opens(data, quotes)
            even = (np.arange(len(quotes)) + self.inside) % 2 == 0
            follows = np.diff(quotes, prepend=-2) == 1
            if len(quotes) and quotes[0] == 0:
                follows[0] = self._closed
            if np.all(opens | follows | ~even):
                breaks = self._by_parity(quotes, breaks, len(data))
            else:
                breaks = self._by_walk(quotes, opens, breaks, len(data))
        self._last = int(data[-1])
        return breaks + 1

    def _opens(self, data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each quote stands at the first byte of a cell."""
        before = data[quotes - 1]
        if len(quotes) and quotes[0] == 0:
            before[0] = self._last
        newline, carriage, delimiter = self._openers
        return (before == delimiter) | (before == newline) | (before == carriage)

    def _by_parity(
        self, quotes: NDArray[np.int64], breaks: NDArray[np.int64], size: int
    ) -> NDArray[np.int64]:
        outside = (np.searchsorted(quotes, breaks) + self.inside) % 2 == 0
        self.inside = bool((len(quotes) + self.inside) % 2)
        self._closed = not self.inside and bool(len(quotes)) and quotes[-1] == size - 1
        return breaks[outside]

    def _by_walk(
        self,
        quotes: NDArray[np.int64],
        opens: NDArray[np.bool_],
        breaks: NDArray[np.int64],
        size: int,
    ) -> NDArray[np.int64]:
        inside, closed = self.inside, -1 if self._closed else -2
        toggles = []
        for at, may_open in zip(quotes.tolist(), opens.tolist(), strict=True):
            if inside:
                inside, closed = False, at
                toggles.append(at)
            elif closed == at - 1 or may_open:
                inside = True
                toggles.append(at)
        outside = (np.searchsorted(np.array(toggles, np.int64), breaks) + self.inside) % 2 == 0
        self.inside, self._closed = inside, not inside and closed == size - 1
        return breaks[outside]


def groups(
    chunks: Iterable[bytes], breaks: Breaks, offset: int = 0, row: int = 0
) -> Iterator[Lines]:
    """Whole records, chunk by chunk, without blank lines.

    Args:
      chunks: Consecutive bytes of a file.
      breaks: Finds where records end.
      offset: Where the first chunk begins in the file.
      row: Row of the file of the first record.

    Yields:
      The records that end in each chunk. Where the chunks are cut decides
      how records are grouped, never what they are. A record above `MAX_RECORD` comes alone,
      without its bytes beyond the beginning.
    """
    for lines in _grouped(chunks, breaks, offset):
        kept = _without_blank(lines)
        if len(kept):
            yield dataclasses.replace(kept, row=row)
            row += len(kept)


def _grouped(chunks: Iterable[bytes], breaks: Breaks, offset: int) -> Iterator[Lines]:
    tail, dropped = b"", 0  # the record at hand: its bytes so far, and those not kept
    for chunk in chunks:
        ends = breaks.find(chunk)
        if dropped and len(ends):
            first = int(ends[0])
            yield _clipped(tail, offset, dropped + first)
            offset += dropped + first
            chunk, ends, tail, dropped = chunk[first:], ends[1:] - first, b"", 0
        if dropped:
            dropped += len(chunk)
        elif len(ends):
            lines = _whole(tail + chunk[: ends[-1]], offset, ends + len(tail))
            yield lines
            offset += len(lines.data)
            tail = chunk[ends[-1] :]
        else:
            tail += chunk
            if len(tail) > MAX_RECORD:
                tail, dropped = tail[: rejected.PAYLOAD_BYTES], len(tail)
    if dropped:
        yield _clipped(tail, offset, dropped)
    elif tail:
        last = _whole(tail, offset, np.array([len(tail)]))
        yield dataclasses.replace(last, unclosed=breaks.inside)


def _whole(data: bytes, offset: int, ends: NDArray[np.int64]) -> Lines:
    return Lines(data, offset, np.concatenate(([0], ends[:-1])).astype(np.int64), ends)


def _clipped(beginning: bytes, offset: int, length: int) -> Lines:
    lines = _whole(beginning, offset, np.array([len(beginning)]))
    return dataclasses.replace(lines, length=length)


def _without_blank(lines: Lines) -> Lines:
    """Less the records that are nothing but a line break."""
    sizes = lines.stops - lines.starts
    short = np.flatnonzero(sizes <= 2)
    if not len(short):
        return lines
    data = np.frombuffer(lines.data, np.uint8)
    first, last = data[lines.starts[short]], data[lines.stops[short] - 1]
    ends = (_NEWLINE, _RETURN)
    blank = short[np.isin(first, ends) & np.isin(last, ends)]
    keep = np.ones(len(sizes), bool)
    keep[blank] = False
    return dataclasses.replace(lines, starts=lines.starts[keep], stops=lines.stops[keep])
