"""Seconds and memory of a command with all the processes it starts."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.02  # seconds between two looks at the tree; a lone process's own high-water mark is exact


class Cost(NamedTuple):
    """What a command took.

    Attributes:
      seconds: From start to end, imports included.
      peak: Largest sum of the resident sizes of the tree, in bytes.
      said: What it wrote to standard output.
    """

    seconds: float
    peak: int
    said: str


def measure(module: str, *args: str) -> Cost:
    """Run `python -m module args` and watch it; a failure ends the benchmark."""
    started = time.perf_counter()
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = Watch(process.pid)
        watch.start()
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    watch.over.set()
    watch.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return Cost(time.perf_counter() - started, max(watch.peak, used.ru_maxrss * 1024), said)


class Watch(threading.Thread):
    """Keeps the largest resident size of a tree of processes."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.peak, self.over = root, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(EVERY):
            self.peak = max(self.peak, sum(map(resident, tree(self.root))))


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found = [root]
    for pid in found:
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in listed.read_text().split()]
            except OSError:  # the process has ended meanwhile
                continue
    return found


def resident(pid: int) -> int:
    """Resident bytes of one process, 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0
