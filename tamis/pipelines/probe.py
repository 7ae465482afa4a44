"""Is the engine there, whole and ours? Each question alone, so that the first no is the cause.

The last one is a tiny job: a worker says which Python, Beam and tamis it has, and writes a file
into the run folder that must be seen from here.
"""

import json
import pathlib
import platform
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable
from urllib import parse

import apache_beam as beam
import grpc
from apache_beam.options import pipeline_options as beam_options
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

import tamis
from tamis import errors, storage
from tamis.pipelines import engine
from tamis.schemas import config

Question = Callable[[], str]
PATIENCE = 5.0  # seconds for an answer
_MASTERS = {"SparkRunner": "spark_master_url", "FlinkRunner": "flink_master"}
_JARS = {"SparkRunner": "spark_job_server_jar", "FlinkRunner": "flink_job_server_jar"}


def questions(args: tuple[str, ...], run: str = "") -> dict[str, Question]:
    """What to ask, in order: each answers with a line, or raises RunnerError with the remedy.

    Args:
      args: Beam's options, as after `--` of `tamis run`.
      run: The run folder, or empty.
    """
    given = beam_options.PipelineOptions(list(args)).get_all_options()
    asked: dict[str, Question] = {
        "runner": lambda: _runner(given),
        "job server": lambda: _job_server(given),
        "workers": lambda: _workers(given),
    }
    if run:
        asked["run folder"] = lambda: _folder(run)
    asked["tiny job"] = lambda: _job(args, run)
    return asked


def _runner(given: dict) -> str:
    name = given.get("runner") or ""
    if not name:
        return "tamis's own, on this machine"
    known = (*_MASTERS, "PortableRunner", "DataflowRunner")
    if name not in known:
        raise errors.RunnerError(
            f"--runner={name} is none tamis is tried on", remedy=", ".join(known)
        )
    return name


def _job_server(given: dict) -> str:
    """The job server that is named, or what Beam needs to start its own."""
    name, at = given.get("runner") or "", given.get("job_endpoint")
    if at:
        return _answering_job_server(at)
    if name not in _MASTERS:
        return "not needed"
    master = given[_MASTERS[name]] or ""
    if master.startswith(("local", "[")):
        raise errors.RunnerError(
            f"--{_MASTERS[name]}={master} is no cluster",
            remedy="name the master, or a running job server with --job_endpoint=HOST:PORT",
        )
    if shutil.which("java") is None:
        raise errors.RunnerError(
            "Beam's job server needs Java",
            remedy="install Java 17, or name a running job server with --job_endpoint=HOST:PORT",
        )
    jar = given[_JARS[name]]
    if jar and not storage.exists(jar):
        raise errors.RunnerError("no job server jar", where=jar, remedy=f"mend --{_JARS[name]}")
    _reach(parse.urlsplit(master if "://" in master else f"http://{master}").netloc, "the master")
    return f"started by Beam for {master}"


def _answering_job_server(at: str) -> str:
    _reach(at, "a job server")
    asked = beam_job_api_pb2.DescribePipelineOptionsRequest()
    try:
        with grpc.insecure_channel(at) as channel:
            stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
            found = stub.DescribePipelineOptions(asked, timeout=PATIENCE)
    except grpc.RpcError as error:
        raise errors.RunnerError(
            "what listens there is no Beam job server",
            where=at,
            why=str(error.code()),
            remedy="--job_endpoint is the job server's --job-port, not the master's or artifacts'",
        ) from error
    return f"{at} answers, {len(found.options)} options"


def _workers(given: dict) -> str:
    """The environment workers run in, as far as it can be told from here."""
    if given.get("runner") not in (*_MASTERS, "PortableRunner"):
        return "not needed"
    kind = given.get("environment_type") or "DOCKER"
    at = given.get("environment_config") or ""
    if kind == "EXTERNAL":
        if not at:
            raise errors.RunnerError(
                "EXTERNAL workers are nowhere", remedy="--environment_config=HOST:PORT of the pool"
            )
        _reach(at, "a worker pool", f"on every node of the engine: tamis runner pool {at}")
        return f"pool at {at}"
    if kind == "DOCKER" and shutil.which("docker") is None:
        raise errors.RunnerError(
            "workers in containers, and no docker here",
            why="--environment_type is DOCKER when it is not given",
            remedy="--environment_type=EXTERNAL --environment_config=HOST:PORT, and a pool there",
        )
    return kind


def _folder(run: str) -> str:
    """Whether this side can write the run folder, and whether its name means the same elsewhere."""
    if "://" not in run and not pathlib.PurePath(run).is_absolute():
        raise errors.RunnerError(
            "the run folder is relative",
            where=run,
            why="workers would look for it where they were started",
            remedy="give an absolute path on a shared disk, or a URL",
        )
    where = storage.join(run, f"probe-{uuid.uuid4().hex}")
    try:
        storage.write_atomic(where, b"")
        storage.remove_tree(where)
    except OSError as error:
        raise errors.RunnerError(
            "the run folder cannot be written", where=run, why=str(error), remedy="mend its rights"
        ) from error
    return f"{run} can be written from here"


def _job(args: tuple[str, ...], run: str) -> str:
    """Run a job of one element and read what its worker wrote."""
    where = storage.join(run, f"probe-{uuid.uuid4().hex}") if run else ""
    engine.run(
        config.Runner(),
        args,
        lambda p: p | beam.Create([where]) | beam.Reshuffle() | beam.ParDo(Introduce(_versions())),
    )
    if not run:
        return "done"
    if not storage.exists(where):
        raise errors.RunnerError(
            "the worker's file is not seen from here",
            where=where,
            remedy="the run folder must be one disk for all: a network mount, or a URL",
        )
    told = json.loads(storage.read_bytes(where))
    storage.remove_tree(where)
    return f"worker {told['host']}: Python {told['python']}, Beam {told['beam']}"


def _versions() -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "beam": beam.__version__, "tamis": tamis.__version__}


class Introduce(beam.DoFn):
    """A worker compares its versions with the launcher's and writes who it is.

    Args:
      wanted: Versions of the launcher.
    """

    def __init__(self, wanted: dict[str, str]) -> None:
        self._wanted = wanted

    def process(self, where: str) -> Iterable[str]:
        with engine.carried():
            own = _versions()
            if own != self._wanted:
                raise errors.RunnerError(
                    "the worker has other versions than the launcher",
                    where=socket.gethostname(),
                    why=f"{own} there, {self._wanted} here",
                    remedy="install the same tamis, Beam and Python minor version on both sides",
                )
            if where:
                told = json.dumps({**own, "host": socket.gethostname()})
                storage.write_atomic(where, told.encode())
            yield where


def _reach(address: str, whom: str, remedy: str = "") -> None:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE):
            return
    except (OSError, ValueError) as error:
        raise errors.RunnerError(
            f"{whom} does not answer",
            where=address,
            why=str(error),
            remedy=remedy or "start it, or mend host and port; is a firewall between?",
        ) from error
