"""A local worker process that dies ends the run: Beam's own runner would wait for it for ever."""

import contextlib
import signal
import tempfile
import threading
import types
from collections.abc import Iterator

from tamis import errors
from tamis.pipelines import worker


@contextlib.contextmanager
def noticed() -> Iterator[str]:
    """Raise when a worker dies.

    Yields:
      The roll on which workers are: see `worker`.

    Raises:
      RunnerError: one has died.
    """
    with tempfile.TemporaryDirectory(prefix="tamis-workers-", ignore_cleanup_errors=True) as roll:
        watch = _Watch(roll)
        watch.start()
        try:
            yield roll
        except KeyboardInterrupt:
            if not watch.died:
                raise
            raise errors.RunnerError(
                "a worker process died",
                why=f"exit code {watch.died}, where -9 is kill -9: often the kernel's, out of "
                "memory",
                remedy="run the same command again: committed shards are kept; if it dies again, "
                "lower ingest.shard_rows or runner.workers",
            ) from None
        finally:
            watch.stop()


class _Watch:
    """Hears Beam's thread that watches a worker, and interrupts the wait of the main thread.

    By a signal to the thread, for nothing else ends a wait for a lock; with a handler of its own,
    for what a shell starts in its background ignores that signal.
    """

    def __init__(self, roll: str) -> None:
        self.died, self._roll = "", roll
        self._hook, self._handler = threading.excepthook, signal.getsignal(signal.SIGINT)
        self._main = threading.main_thread()
        self._handles = threading.current_thread() is self._main

    def start(self) -> None:
        threading.excepthook = self._heard
        if self._handles:
            signal.signal(signal.SIGINT, self._interrupted)

    def stop(self) -> None:
        threading.excepthook = self._hook
        if self._handles:
            signal.signal(signal.SIGINT, self._handler or signal.SIG_DFL)

    def _heard(self, args: threading.ExceptHookArgs) -> None:
        if "Worker subprocess exited" not in str(args.exc_value):
            self._hook(args)
        elif not self.died:
            self.died = str(args.exc_value).rpartition(" ")[2]
            worker.dismiss(self._roll)  # Beam would wait for the others too
            signal.pthread_kill(self._main.ident or 0, signal.SIGINT)

    def _interrupted(self, number: int, frame: types.FrameType | None) -> None:
        if self.died:
            raise KeyboardInterrupt
        if callable(self._handler):
            self._handler(number, frame)
