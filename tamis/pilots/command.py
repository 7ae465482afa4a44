"""Any trainer as a pilot: a command that reads a manifest and writes its error.

    pilot:
      kind: command
      options:
        command: python train.py --manifest {manifest} --samples {samples} --seed {seed}
                 --output {output}
        metric: error       # of the JSON that the command writes to {output}

The manifest is a folder like those a run writes, so `tamis.load` reads it: as many
rows, as often repeated, as the run of the design has, repetition-controlled like every pilot. How
the command measures its error is its own affair, as long as it is on the target and always alike.

The command runs without a shell: of the template's words only the braces are replaced.
"""

import concurrent.futures
import dataclasses
import json
import math
import os
import shlex
import signal
import string
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, sidecars, storage
from tamis.loaders import writing
from tamis.pilots import protocol
from tamis.schemas import manifest, shards, uids

PLACES = ("manifest", "samples", "seed", "output")
_TAIL = 2_000  # bytes of the standard error that are shown


@dataclasses.dataclass(frozen=True)
class Command:
    """The command and its limits.

    Attributes:
      listing: Path of the JSON list of the run's shards and strata, given by the pipeline.
      command: The template; `{manifest}`, `{samples}`, `{seed}` and `{output}` are filled in.
      metric: Key of the error in the JSON object the command writes.
      timeout: Seconds; a longer run is killed, with what it started.
      retries: How often a run that fails is tried again.
      parallel: Runs at once.
    """

    listing: str
    command: str
    metric: str = "error"
    timeout: float = 3600.0
    retries: int = 1
    parallel: int = 1

    def __post_init__(self) -> None:
        named = {
            name for _, name, _, _ in string.Formatter().parse(self.command) if name is not None
        }
        if not {"manifest", "output"} <= named or not named <= {*PLACES}:
            raise errors.ConfigError(
                f"the command has {{{'}, {'.join(sorted(named))}}}",
                where="pilot.options.command",
                remedy="it needs {manifest} and {output}, and may have {samples} and {seed}",
            )
        if self.timeout <= 0 or self.retries < 0 or self.parallel < 1:
            raise errors.ConfigError(
                f"timeout {self.timeout}, retries {self.retries}, parallel {self.parallel}",
                where="pilot.options",
                remedy="more than 0 seconds, at least 0 retries, at least 1 at once",
            )

    def errors(
        self,
        rows: protocol.Rows,
        orders: NDArray[np.int64],
        targets: Sequence[protocol.Rows],
        *,
        seeds: Sequence[int],
    ) -> NDArray[np.float64]:
        """Shape (1, runs). Rows are (n, 7): uid, shard, row, stratum, tier, content.

        Raises:
          PlanError: a command failed, took too long or wrote no error, with what it said.
        """
        listing = json.loads(storage.read_bytes(self.listing))
        if len(targets) != 1:
            raise errors.PlanError(
                "a command measures one error, and a guard needs one for each half",
                remedy="leave check.guard out, or use another pilot.kind",
            )
        with concurrent.futures.ThreadPoolExecutor(self.parallel) as pool:
            jobs = [
                pool.submit(self._measured, rows[0], order, seed, listing)
                for order, seed in zip(orders, seeds, strict=True)
            ]
            try:
                return np.array([[job.result() for job in jobs]])
            except errors.TamisError:
                pool.shutdown(cancel_futures=True)
                raise

    def _measured(
        self, x: NDArray[np.uint64], order: NDArray[np.int64], seed: int, listing: dict
    ) -> float:
        with tempfile.TemporaryDirectory(prefix="tamis-pilot-") as folder:
            where = Path(folder) / "manifest"
            write_manifest(str(where), x, order, listing)
            output = Path(folder) / "output.json"
            given = {"manifest": where, "samples": len(order), "seed": seed, "output": output}
            words = [word.format(**given) for word in shlex.split(self.command)]
            for left in reversed(range(self.retries + 1)):
                output.unlink(missing_ok=True)
                try:
                    _run(words, self.timeout)
                    return _metric(words, output, self.metric)
                except errors.PlanError:
                    if not left:
                        raise
            raise AssertionError  # the last try returns or raises


def write_manifest(
    folder: str, x: NDArray[np.uint64], order: NDArray[np.int64], listing: dict
) -> None:
    """The rows of an order as a manifest: each as often as it is seen.

    Args:
      folder: To write.
      x: Shape (n, 7): two halves of the uid, number of the shard, row, stratum, tier, hash of the
        content.
      order: Shape (samples,), rows of `x`.
      listing: `shards`, as `schemas.shards.document` has them, and `strata`, by number.
    """
    rows, times = np.unique(order, return_counts=True)
    part, cut = x[rows], []
    for number in np.unique(part[:, 2]).tolist():
        mine = part[:, 2] == number
        shard = shards.parse(listing["shards"][number])
        table = _table(shard, part[mine], times[mine], listing["strata"])
        sidecars.commit(folder, "", shard.name, table, sidecars.Stamp("", ""))
        cut.append(shard)
    writing.document(folder, cut, {"kind": "pilot", "samples": len(order)})


def _table(
    shard: shards.Shard, x: NDArray[np.uint64], times: NDArray[np.int64], strata: list[str]
) -> pa.Table:
    by_row = np.argsort(x[:, 3], kind="stable")
    x, times = x[by_row], times[by_row]
    arrays = [
        uids.to_hex(x[:, :2]),
        pa.array([shard.source] * len(x)),
        pa.array([shard.file.path] * len(x)),
        pa.array(x[:, 3].astype(np.int64)),
        pa.array(strata, pa.string()).take(pa.array(x[:, 4].astype(np.int64))),
        pa.array(x[:, 5].astype(np.int8)),
        pa.array(times.astype(np.int32)),
        pa.array(x[:, 6]),
    ]
    return pa.Table.from_arrays(arrays, schema=manifest.SCHEMA)


def _run(words: list[str], timeout: float) -> None:
    """Run a command to its end; kill it and its children when it takes too long."""
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is the user's, from the run file
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(words, str(error), b"") from error
    try:
        _, said = child.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        _, said = child.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise _failed(words, f"took more than {timeout:g} s", said) from error
        raise
    if child.returncode:
        raise _failed(words, f"ended with status {child.returncode}", said)


def _metric(words: list[str], output: Path, metric: str) -> float:
    try:
        found = json.loads(output.read_bytes())[metric]
        value = float(found) if isinstance(found, int | float) else math.nan
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _failed(words, f"wrote no {metric!r} to its output: {error!r}", b"") from error
    if not math.isfinite(value) or value < 0:
        raise _failed(words, f"wrote {metric} = {found!r}, no finite number from 0", b"")
    return value


def _failed(words: list[str], why: str, said: bytes) -> errors.PlanError:
    tail = said[-_TAIL:].decode("utf-8", "replace").strip()
    return errors.PlanError(
        "the pilot's command failed",
        where=shlex.join(words)[:500],
        why=f"{why}; it said: {tail}" if tail else why,
        remedy="run it by hand; pilot.options has timeout and retries",
    )
