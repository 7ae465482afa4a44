"""What a local worker process runs: Beam's own worker, silent on the terminal.

Beam's logs a page of INFO lines per process and pipeline to stderr, where progress is shown. What
goes wrong still reaches the launcher, over the control channel.

Workers are on a roll, a folder with a file for each named by its process id: when one of them has
died, none of the others ends by itself.
"""

import contextlib
import logging
import os
import pathlib
import signal
import sys

_OVER = "over"


def dismiss(roll: str) -> None:
    """End every worker on the roll, and those that come later."""
    folder = pathlib.Path(roll)
    (folder / _OVER).touch()
    for entry in folder.glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(entry.name), signal.SIGKILL)


def _enrol(roll: str) -> None:
    folder = pathlib.Path(roll)
    (folder / str(os.getpid())).touch()
    if (folder / _OVER).exists():
        sys.exit(1)


def main() -> None:
    """Run the worker until its pipeline is done."""
    _enrol(sys.argv[1])
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])


if __name__ == "__main__":
    main()
