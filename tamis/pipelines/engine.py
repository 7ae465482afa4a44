"""Beam, configured: which runner, its options, and errors that survive the trip from a worker."""

import contextlib
import json
import logging
import re
import shlex
import sys
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

from tamis import errors
from tamis.pipelines import deaths, worker
from tamis.schemas import config

_SILENT = logging.NullHandler()  # one, so that adding it again does nothing
# A list: the traceback that a job server hands over also has the line of source that writes it.
_CARRIED = re.compile(r"<tamis-error>(\[.*?)</tamis-error>", re.DOTALL)


Build = Callable[[beam.Pipeline], object]


def run(runner: config.Runner, args: tuple[str, ...], build: Build) -> None:
    """Build one pipeline and run it to its end.

    Args:
      runner: The run file's `runner` section.
      args: Beam's own options, given after `--` on the command line.
      build: Applies the transforms.

    Raises:
      TamisError: what a worker raised, with its parts.
      RunnerError: the engine itself failed.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised
    logging.getLogger().addHandler(_SILENT)  # a job server's messages come by the root
    try:
        with deaths.noticed() as roll:
            engine, own = _local(runner, args, roll)
            options = pipeline_options.PipelineOptions(own)
            pipeline = beam.Pipeline(runner=engine, options=options)
            build(pipeline)
            pipeline.run().wait_until_finish()
    except errors.TamisError:
        raise
    except Exception as error:  # whatever a runner raises
        raise _unpack(error) from error


def _local(
    runner: config.Runner, args: tuple[str, ...], roll: str
) -> tuple[FnApiRunner | None, list[str]]:
    """Beam's own runner by name, for DirectRunner would first try to download Prism; its options.

    With several workers, each is a process of ours that keeps Beam's log off the terminal.
    """
    if any(a.startswith("--runner") for a in args):
        return None, [*args]
    if runner.kind == "dataflow":
        return None, [*dataflow(runner), *args]
    if runner.workers == 1 or any(a.startswith("--direct_") for a in args):
        return FnApiRunner(), [*args]
    # A shell starts it; with exec the process that Beam watches is the worker itself.
    command = shlex.join(["exec", sys.executable, "-m", worker.__name__, roll])
    processes = environments.SubprocessSDKEnvironment.from_command_string(command)
    own = [f"--direct_num_workers={runner.workers}", *args]
    return FnApiRunner(default_environment=processes), own


def dataflow(runner: config.Runner) -> list[str]:
    """The run file's `runner` section in Beam's words."""
    named = {
        "project": runner.project,
        "region": runner.region,
        "temp_location": runner.temp_location,
        "staging_location": runner.temp_location,
        "machine_type": runner.machine_type,
        "max_num_workers": str(runner.workers) if runner.workers > 1 else "",
        "sdk_container_image": runner.container,
        "sdk_location": "container" if runner.container else "",  # tamis and Beam are in it
    }
    return ["--runner=DataflowRunner", *(f"--{k}={v}" for k, v in named.items() if v)]


@contextlib.contextmanager
def carried() -> Iterator[None]:
    """Pack a TamisError into its message: runners hand over text, not exceptions."""
    try:
        yield
    except errors.TamisError as error:
        parts = [type(error).__name__, error.what, error.where, error.why, error.remedy]
        raise RuntimeError(f"<tamis-error>{json.dumps(parts)}</tamis-error>") from error


def _unpack(error: Exception) -> errors.TamisError:
    found = _CARRIED.search(str(error))
    if found:
        kind, what, where, why, remedy = json.loads(_unescape(found[1]))
        return getattr(errors, kind)(what, where=where, why=why, remedy=remedy)
    last = [line for line in str(error).strip().splitlines() if line.strip()] or [repr(error)]
    return errors.RunnerError(
        "the engine failed",
        why=last[-1].strip(),
        remedy="the cause is in the traceback: --traceback",
    )


def _unescape(text: str) -> str:
    """Undo the quoting of a runner that put `repr` of the message in its own."""
    try:
        json.loads(text)
    except ValueError:
        return text.encode().decode("unicode_escape")
    return text
