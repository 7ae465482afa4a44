"""A real Spark or Flink on this machine: fetched by name, started from nothing, stopped for sure.

    python -m deploy.local_cluster spark fetch   # the distribution and Beam's job server
    python -m deploy.local_cluster spark up      # until ctrl-c; prints the options for tamis run
    python -m deploy.local_cluster spark demo    # the demo on it, compared with a local run

Every part is a process of its own, as on a cluster: a master, a worker, Beam's job server, and a
pool of Python workers. `make spark`, `make flink` and the tests marked so use this module.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from deploy import fetched, parts

ENGINES = ("spark", "flink")
TAMIS = [sys.executable, "-c", "from tamis import cli; cli.main()"]
_START = 90.0  # seconds a part may take to listen
_STOP = 10.0


class Cluster:
    """Parts that are started in order and stopped in reverse.

    Args:
      engine: `spark` or `flink`.
      folder: For logs and scratch files.
    """

    def __init__(self, engine: str, folder: pathlib.Path) -> None:
        self.engine, self.folder = engine, folder.absolute()
        self.ports = dict(zip(("master", "web", "job", "artifact", "pool"), _free(5), strict=True))
        make = {"spark": parts.spark, "flink": parts.flink}[engine]
        self.folder.mkdir(parents=True, exist_ok=True)
        pool = f"{parts.HOST}:{self.ports['pool']}"
        self.parts = {p.name: p for p in make(self.folder, self.ports)}
        self.parts["pool"] = parts.Part(
            "pool", [*TAMIS, "runner", "pool", pool], self.ports["pool"]
        )

    @property
    def options(self) -> list[str]:
        """What to give `tamis run FILE --` to run on this cluster."""
        options = [
            f"--runner={self.engine.capitalize()}Runner",
            f"--job_endpoint={parts.HOST}:{self.ports['job']}",
            "--environment_type=EXTERNAL",
            f"--environment_config={parts.HOST}:{self.ports['pool']}",
            # One worker a job and slot, not one a step of the job.
            "--environment_cache_millis=60000",
            # Beam's classes are on the engine's own classpath: any jar, so that no other is sent.
            f"--files_to_stage={next(fetched.job_server(self.engine).glob('jsr305-*.jar'))}",
        ]
        return [*options, f"--parallelism={parts.SLOTS}"] if self.engine == "flink" else options

    def workers(self) -> list[int]:
        """Process ids of the Python workers now at work: what the pool's fork server forked."""
        pool = self.parts["pool"].process
        parents = {pid: parent for pid, parent, session in _processes() if session == pool.pid}
        return [pid for pid, parent in parents.items() if parents.get(parent) == pool.pid]

    def kill(self, name: str) -> list[int]:
        """SIGKILL a part with all it has started (Spark's executors), as on a machine that is lost.

        Returns:
          Their process ids.
        """
        process = self.parts[name].process
        killed = [pid for pid, _, session in _processes() if session == process.pid]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return killed

    def start(self, name: str) -> None:
        """Start one part, without waiting for it."""
        part = self.parts[name]
        with (self.folder / f"{name}.log").open("ab") as out:
            part.process = subprocess.Popen(
                part.command, stdout=out, stderr=out, env=_environment(), start_new_session=True
            )

    def wait(self, name: str) -> None:
        """Wait until a part listens.

        Raises:
          RuntimeError: it ended, or does not listen in time; with the end of its log.
        """
        part, deadline = self.parts[name], time.monotonic() + _START
        while part.port and not _listens(part.port):
            if part.process is None or part.process.poll() is not None:
                raise RuntimeError(f"{self.engine}'s {name} ended\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody at port {part.port} of {name}\n{self._tail(name)}")
            time.sleep(0.1)

    def _tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Stop what runs, the last started first."""
        running = [p.process for p in reversed(self.parts.values()) if p.process]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0.1))
            with contextlib.suppress(ProcessLookupError):  # and what it left behind in its group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def running(engine: str, folder: pathlib.Path) -> Iterator[Cluster]:
    """A cluster that is up; stopped whatever happens."""
    cluster = Cluster(engine, folder)
    try:
        for name in ("master", "job-server", "pool"):
            cluster.start(name)
        cluster.wait("master")
        cluster.start("worker")  # finds its master at once
        for name in ("job-server", "pool"):
            cluster.wait(name)
        yield cluster
    finally:
        cluster.stop()


def _environment() -> dict[str, str]:
    home = str(
        pathlib.Path(fetched.classes("spark")).parents[1]
    )  # where a Spark worker finds its executors
    return {
        **os.environ,
        "SPARK_HOME": home,
        "SPARK_SCALA_VERSION": "2.12",
        "SPARK_LOCAL_IP": parts.HOST,
    }


def _processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of every process."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            yield int(stat.parent.name), int(fields[1]), int(fields[3])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((parts.HOST, port)) == 0


def _free(count: int) -> list[int]:
    """Ports nobody listens at now, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((parts.HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def demo(engine: str) -> None:
    """Run the demo here and on a cluster, and compare the bytes of their manifests.

    Raises:
      RuntimeError: a run failed, or the manifests differ.
    """
    folder = pathlib.Path("runs") / engine
    with running(engine, folder / "cluster") as cluster:
        for name, options in (("local", []), (engine, ["--", *cluster.options])):
            shutil.rmtree(folder / name, ignore_errors=True)
            file = folder / f"{name}.yaml"
            file.write_text(_run_file(folder / name))
            print(f"== {name}: {file}", flush=True)
            fetched.call([*TAMIS, "run", str(file), *options])
    written = [_manifests(folder / name) for name in ("local", engine)]
    if written[0] != written[1] or not written[0]:
        raise RuntimeError(f"the manifests under {folder}/local and {folder}/{engine} differ")
    print(f"{len(written[0])} files of manifests, byte for byte the same")


def _run_file(run: pathlib.Path) -> str:
    """The demo's run file, its texts fetched, for another run folder."""
    from tamis import demo as example

    example.fetch(pathlib.Path("data/vader"))
    document = example.document(pathlib.Path("data/vader")).model_copy(update={"run": str(run)})
    return json.dumps(document.model_dump(mode="json", exclude_defaults=True) | {"version": 1})


def _manifests(run: pathlib.Path) -> dict[str, bytes]:
    found = (p for name in ("manifest", "random") for p in (run / name).rglob("*") if p.is_file())
    return {str(p.relative_to(run)): p.read_bytes() for p in found}


def _ended(*_: object) -> None:
    """Leave by an exception, so that what was started is stopped; once, for it takes a while."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main() -> None:
    """Fetch, bring up, or run the demo on an engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("action", choices=("fetch", "up", "demo"))
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)
    fetched.fetch(told.engine)
    if told.action == "demo":
        demo(told.engine)
    elif told.action == "up":
        with running(told.engine, pathlib.Path("runs") / told.engine / "cluster") as cluster:
            print(*cluster.options, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    main()
