"""Work done ahead of its use, in a thread."""

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.1


class _End(NamedTuple):
    """After the last value."""

    error: BaseException | None


class _Worker(Generic[T]):
    """Puts values into a queue, and what ended them."""

    def __init__(self, values: Iterable[T], depth: int) -> None:
        self.ready: queue.Queue[T | _End] = queue.Queue(depth)
        self._values, self._stopped = values, threading.Event()
        self._thread = threading.Thread(target=self._work, name="tamis-ahead", daemon=True)
        self._thread.start()
        # Also when the interpreter ends: a thread inside arrow would abort it.
        self.stop = weakref.finalize(self, _Worker._halt, self)

    def _work(self) -> None:
        end = None
        try:
            for value in self._values:
                self._put(value)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the value is wanted
            end = error
        self._put(_End(end))

    def _put(self, value: T | _End) -> None:
        while not self._stopped.is_set():
            try:
                return self.ready.put(value, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
        return None

    def _halt(self) -> None:
        self._stopped.set()
        with contextlib.suppress(queue.Empty):  # room for what is being put
            self.ready.get_nowait()
        self._thread.join()


def ahead(values: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The same values, at most `depth` and one at work made before they are asked for.

    An error comes where the value would have. Closing the iterator ends the thread.
    """
    worker = _Worker(values, depth)
    try:
        while not isinstance(found := worker.ready.get(), _End):
            yield found
        if found.error is not None:
            raise found.error
    finally:
        worker.stop()
