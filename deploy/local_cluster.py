"""A real Spark or Flink on this machine: fetched by name, started from nothing, stopped for sure.

    python -m deploy.local_cluster spark fetch   # the distribution and Beam's job server
    python -m deploy.local_cluster spark up      # until ctrl-c; prints the options for tamis run
    python -m deploy.local_cluster spark demo    # the demo on it, compared with a local run

Every part is a process of its own, as on a cluster: a master, a worker, Beam's job server, and a
pool of Python workers. `make spark`, `make flink` and the tests marked so use this module.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parent / "build" / "cluster"
PINS = tomllib.loads((HERE / "versions.toml").read_text(encoding="utf-8"))
ENGINES = ("spark", "flink")
TAMIS = [sys.executable, "-c", "from tamis import cli; cli.main()"]
HOST = "127.0.0.1"
SLOTS = 2
_START = 90.0  # seconds a part may take to listen
_STOP = 10.0


@dataclasses.dataclass
class Part:
    """One process of the cluster.

    Attributes:
      name: Names its log.
      command: What to run.
      port: Where it listens; 0 when nobody waits for it.
      process: While it runs.
    """

    name: str
    command: list[str]
    port: int = 0
    process: subprocess.Popen | None = None


class Cluster:
    """Parts that are started in order and stopped in reverse.

    Args:
      engine: `spark` or `flink`.
      folder: For logs and scratch files.
    """

    def __init__(self, engine: str, folder: pathlib.Path) -> None:
        self.engine, self.folder = engine, folder.absolute()
        self.ports = dict(zip(("master", "web", "job", "artifact", "pool"), _free(5), strict=True))
        make = {"spark": _spark, "flink": _flink}[engine]
        self.folder.mkdir(parents=True, exist_ok=True)
        pool = f"{HOST}:{self.ports['pool']}"
        self.parts = {p.name: p for p in make(self)}
        self.parts["pool"] = Part("pool", [*TAMIS, "runner", "pool", pool], self.ports["pool"])

    @property
    def options(self) -> list[str]:
        """What to give `tamis run FILE --` to run on this cluster."""
        options = [
            f"--runner={self.engine.capitalize()}Runner",
            f"--job_endpoint={HOST}:{self.ports['job']}",
            "--environment_type=EXTERNAL",
            f"--environment_config={HOST}:{self.ports['pool']}",
            # One worker a job and slot, not one a step of the job.
            "--environment_cache_millis=60000",
            # Beam's classes are on the engine's own classpath: any jar, so that no other is sent.
            f"--files_to_stage={next(_beam(self.engine).glob('jsr305-*.jar'))}",
        ]
        return [*options, f"--parallelism={SLOTS}"] if self.engine == "flink" else options

    def workers(self) -> list[int]:
        """Process ids of the Python workers now at work: what the pool's fork server forked."""
        pool = self.parts["pool"].process
        parents = {pid: parent for pid, parent, session in _processes() if session == pool.pid}
        return [pid for pid, parent in parents.items() if parents.get(parent) == pool.pid]

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


def missing(engine: str) -> str:
    """What a test or a person lacks to start a cluster; empty when nothing."""
    tools = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if tools and not (tools == ["mvn"] and _fetched(engine)):
        return f"{' and '.join(tools)} not installed"
    return "" if _fetched(engine) else f"not fetched: python -m deploy.local_cluster {engine} fetch"


def fetch(engine: str) -> None:
    """Bring the engine's distribution and Beam's job server into the cache.

    The distribution goes into a folder of its own and not into the environment: what it pins of
    Python (Flink: an old Beam) is not wanted, only its jars.
    """
    if _fetched(engine):
        return
    shutil.rmtree(CACHE / engine, ignore_errors=True)
    pins = PINS[engine]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    _call([*pip, "--target", str(CACHE / engine / "distribution"), pins["distribution"]])
    mvn = ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies"]
    told = [f"-Drunner={pins['runner']}", f"-Dbeam={PINS['beam']['version']}"]
    where = [f"-DoutputDirectory={_beam(engine)}", "-DincludeScope=runtime"]
    _call([*mvn, "--file", str(HERE / "job-server" / "pom.xml"), *told, *where])
    (CACHE / engine / ".fetched").write_text(_stamp(engine))


def _spark(cluster: Cluster) -> Iterator[Part]:
    ports, jars = cluster.ports, _jars("spark")
    url = f"spark://{HOST}:{ports['master']}"
    deploy, beam = "org.apache.spark.deploy", f"{_beam('spark')}/*"
    at = ["--host", HOST, "--webui-port"]
    master = [f"{deploy}.master.Master", *at, str(ports["web"]), "--port", str(ports["master"])]
    yield Part("master", _java([jars], [], master), ports["master"])
    size = ["--cores", str(SLOTS), "--memory", "1g", "--work-dir", str(cluster.folder / "work")]
    yield Part("worker", _java([jars], [], [f"{deploy}.worker.Worker", *at, "0", *size, url]))
    own = {
        "spark.executor.memory": "768m",
        "spark.executor.extraClassPath": beam,
        "spark.driver.host": HOST,
        "spark.ui.enabled": "false",
        "spark.locality.wait": "0",
        # One Spark application for all jobs of a run, instead of new executors for each.
        "beam.spark.test.reuseSparkContext": "true",
    }
    properties = [f"-D{name}={value}" for name, value in own.items()]
    arguments = [PINS["spark"]["driver"], f"--spark-master-url={url}", *_served(cluster)]
    yield Part("job-server", _java([beam, jars], properties, arguments), ports["job"])


def _flink(cluster: Cluster) -> Iterator[Part]:
    ports, jars, beam = cluster.ports, _jars("flink"), f"{_beam('flink')}/*"
    conf = cluster.folder / "conf"
    conf.mkdir(exist_ok=True)
    own = {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": ports["master"],
        "rest.bind-address": HOST,
        "rest.address": HOST,
        "rest.port": ports["web"],
        "taskmanager.host": HOST,
        "taskmanager.numberOfTaskSlots": SLOTS,
        "taskmanager.cpu.cores": SLOTS,
        "taskmanager.memory.task.heap.size": "256m",
        "taskmanager.memory.task.off-heap.size": "0m",
        "taskmanager.memory.managed.size": "256m",
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "64m",
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "taskmanager.resource-id": "taskmanager",
        "classloader.resolve-order": "parent-first",  # Beam is on the parent's path
        "io.tmp.dirs": cluster.folder / "scratch",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "1s",
    }
    text = "".join(f"{name}: {value}\n" for name, value in own.items())
    (conf / "config.yaml").write_text(text)
    (cluster.folder / "scratch").mkdir(exist_ok=True)
    runtime, at = "org.apache.flink.runtime", ["--configDir", str(conf)]
    main = [f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint", *at]
    yield Part(
        "master",
        _java([jars, beam], ["-Xmx512m", "-Dorg.apache.logging.log4j.level=INFO"], main),
        ports["web"],
    )
    worker = [f"{runtime}.taskexecutor.TaskManagerRunner", *at]
    yield Part(
        "worker", _java([jars, beam], ["-Xmx512m", "-Dorg.apache.logging.log4j.level=INFO"], worker)
    )
    driver = [PINS["flink"]["driver"], f"--flink-master={HOST}:{ports['web']}", *_served(cluster)]
    # The job server sends every jar of its classpath along with every job; the cluster has them
    # already, so all but the runner's own are told to Java by another way.
    own, others = [], []
    for jar in sorted(_beam("flink").glob("*.jar")):
        (own if re.match("beam-(?!vendor)|flink-(?!shaded)", jar.name) else others).append(str(jar))
    boot = f"-Xbootclasspath/a:{':'.join(others)}"
    yield Part("job-server", _java(own, ["-Xmx512m", boot], driver), ports["job"])


def _served(cluster: Cluster) -> list[str]:
    """Arguments that both job servers have."""
    job, artifact = cluster.ports["job"], cluster.ports["artifact"]
    ports = [f"--job-port={job}", f"--artifact-port={artifact}", "--expansion-port=0"]
    return [f"--job-host={HOST}", *ports, f"--artifacts-dir={cluster.folder / 'artifacts'}"]


def _java(classpath: list[str], properties: list[str], main: list[str]) -> list[str]:
    opens = [f"--add-opens={module}=ALL-UNNAMED" for module in PINS["java"]["opens"]]
    return ["java", *opens, *properties, "-cp", ":".join(classpath), *main]


def _jars(engine: str) -> str:
    inside = {"spark": "pyspark/jars", "flink": "pyflink/lib"}[engine]
    return f"{CACHE / engine / 'distribution' / inside}/*"


def _beam(engine: str) -> pathlib.Path:
    return CACHE / engine / "job-server"


def _stamp(engine: str) -> str:
    return f"{PINS['beam']} {PINS[engine]}"


def _fetched(engine: str) -> bool:
    mark = CACHE / engine / ".fetched"
    return mark.exists() and mark.read_text() == _stamp(engine)


def _environment() -> dict[str, str]:
    home = str(pathlib.Path(_jars("spark")).parents[1])  # where a Spark worker finds its executors
    return {**os.environ, "SPARK_HOME": home, "SPARK_SCALA_VERSION": "2.12", "SPARK_LOCAL_IP": HOST}


def _call(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode:
        raise RuntimeError(f"failed: {' '.join(command)}")


def _processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of every process."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            yield int(stat.parent.name), int(fields[1]), int(fields[3])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free(count: int) -> list[int]:
    """Ports nobody listens at now, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
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
            _call([*TAMIS, "run", str(file), *options])
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


def main() -> None:
    """Fetch, bring up, or run the demo on an engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("action", choices=("fetch", "up", "demo"))
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    fetch(told.engine)
    if told.action == "demo":
        demo(told.engine)
    elif told.action == "up":
        with running(told.engine, pathlib.Path("runs") / told.engine / "cluster") as cluster:
            print(*cluster.options, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    main()
