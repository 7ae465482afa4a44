"""One live line per stage on a terminal, JSON lines elsewhere, nothing when quiet."""

import contextlib
import dataclasses
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, TextIO

import rich.console
import rich.progress

POLL_SECONDS = 0.25

Style = Literal["auto", "rich", "json", "quiet"]
Count = Callable[[], int]  # rows committed so far


@dataclasses.dataclass
class Outcome:
    """How far a stage is and, when it is done, what it says; the stage may change any of it.

    Attributes:
      total: Things to do.
      count: Things done so far, by looking at the run folder: the same on any runner.
      unit: What they are.
      rejected: Rows set aside.
      note: In a few words.
    """

    total: int
    count: Count
    unit: str = "rows"
    rejected: int = 0
    note: str = ""


class Reporter(Protocol):
    """Shows how far a stage is."""

    def stage(
        self, name: str, total: int, count: Count, *, reused: int = 0
    ) -> contextlib.AbstractContextManager[Outcome]:
        """Show stage `name` while the block runs.

        Args:
          name: The stage.
          total: Rows it has to do.
          count: Rows committed so far.
          reused: Shards kept from an earlier run.
        """
        ...


def reporter(style: Style, stream: TextIO | None = None) -> Reporter:
    """The reporter for `style`; `auto` is rich on a terminal and JSON lines elsewhere."""
    stream = stream or sys.stderr
    if style == "auto":
        style = "rich" if stream.isatty() else "json"
    if style == "quiet":
        return _Quiet()
    return _Rich(stream) if style == "rich" else _Json(stream)


class _Quiet:
    @contextlib.contextmanager
    def stage(self, name: str, total: int, count: Count, *, reused: int = 0) -> Iterator[Outcome]:
        yield Outcome(total, count)


class _Json:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def stage(self, name: str, total: int, count: Count, *, reused: int = 0) -> Iterator[Outcome]:
        started, outcome = time.monotonic(), Outcome(total, count)
        self._say({"stage": name, "event": "start", "rows": total, "reused_shards": reused})
        # A long stage must show signs of life; a short one should be two lines, a log of a night
        # no book.
        with _polling(lambda: self._beat(name, outcome, started), pauses=_doubling(5.0, 60.0)):
            yield outcome
        seconds = round(time.monotonic() - started, 3)
        done = {"stage": name, "event": "done", outcome.unit: outcome.total, "seconds": seconds}
        self._say(done | {"rejected": outcome.rejected, "note": outcome.note})

    def _beat(self, name: str, outcome: Outcome, started: float) -> None:
        done, seconds = outcome.count(), time.monotonic() - started
        rate = done / seconds if seconds else 0.0
        eta = round((outcome.total - done) / rate, 1) if rate else None
        beat: dict = {"stage": name, "event": "progress", "seconds": round(seconds, 1)}
        if outcome.total:  # else it counts nothing, and is alive
            beat |= {"done": done, outcome.unit: outcome.total}
            beat |= {"per_second": round(rate, 1), "eta_seconds": eta}
        self._say(beat)

    def _say(self, event: dict) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()


class _Rich:
    def __init__(self, stream: TextIO) -> None:
        self._console = rich.console.Console(file=stream)

    @contextlib.contextmanager
    def stage(self, name: str, total: int, count: Count, *, reused: int = 0) -> Iterator[Outcome]:
        outcome = Outcome(total, count)
        with rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<17}"),
            rich.progress.BarColumn(24),
            rich.progress.TextColumn("{task.fields[done]:>20}"),
            rich.progress.TextColumn("{task.fields[rate]:>11}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.fields[eta]:>12}"),
            rich.progress.TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
        ) as bar:
            note = f"{reused} shards reused" if reused else ""
            task = bar.add_task(name, total=None, note=note, rate="", eta="", done="")
            started = time.monotonic()

            def look() -> None:
                done, seconds = outcome.count(), time.monotonic() - started
                fresh = done / max(seconds, 1e-9)
                left = (outcome.total - done) / fresh if done else 0
                bar.update(
                    task,
                    total=outcome.total or None,
                    completed=done,
                    done=f"{done:,} {outcome.unit}" if outcome.total else "",
                    rate=f"{fresh:,.0f}/s" if done and not reused else "",
                    eta=f"{left:,.0f} s left" if done and left > 1 else "",
                )

            with _polling(look, pauses=itertools.repeat(POLL_SECONDS)):
                yield outcome
            outcome.count = lambda: outcome.total
            look()
            notes = _notes(note, outcome)
            bar.update(task, total=max(outcome.total, 1), completed=max(outcome.total, 1))
            bar.update(task, note=notes, eta="")


def _notes(note: str, outcome: Outcome) -> str:
    rejected = f"{outcome.rejected:,} rejected" if outcome.rejected else ""
    return ", ".join(part for part in (note, rejected, outcome.note) if part)


def _doubling(first: float, most: float) -> Iterator[float]:
    """Seconds.

    >>> list(itertools.islice(_doubling(5.0, 60.0), 6))
    [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    """
    while True:
        yield first
        first = min(2 * first, most)


@contextlib.contextmanager
def _polling(look: Callable[[], None], *, pauses: Iterator[float]) -> Iterator[None]:
    """Call `look` after each pause (seconds), from a thread, while the block runs.

    A look that fails must not stop the work it looks at, so it only stops the looking; the block's
    own error is the one that is raised.
    """
    over = threading.Event()

    def loop() -> None:
        with contextlib.suppress(Exception):
            while not over.wait(next(pauses)):
                look()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
