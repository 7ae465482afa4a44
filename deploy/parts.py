"""The processes of a Spark and of a Flink cluster on this machine: their command lines."""

import dataclasses
import pathlib
import re
import subprocess
from collections.abc import Iterator

from deploy import fetched

HOST = "127.0.0.1"
SLOTS = 2  # tasks a worker runs at a time


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


def spark(folder: pathlib.Path, ports: dict[str, int]) -> Iterator[Part]:
    """A standalone master, a worker, and Beam's job server."""
    jars = fetched.classes("spark")
    url = f"spark://{HOST}:{ports['master']}"
    deploy, beam = "org.apache.spark.deploy", f"{fetched.job_server('spark')}/*"
    at = ["--host", HOST, "--webui-port"]
    master = [f"{deploy}.master.Master", *at, str(ports["web"]), "--port", str(ports["master"])]
    yield Part("master", _java([jars], [], master), ports["master"])
    size = ["--cores", str(SLOTS), "--memory", "1g", "--work-dir", str(folder / "work")]
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
    arguments = [
        fetched.PINS["spark"]["driver"],
        f"--spark-master-url={url}",
        *_served(folder, ports),
    ]
    yield Part("job-server", _java([beam, jars], properties, arguments), ports["job"])


def flink(folder: pathlib.Path, ports: dict[str, int]) -> Iterator[Part]:
    """A job manager, a task manager, and Beam's job server."""
    jars, beam = fetched.classes("flink"), f"{fetched.job_server('flink')}/*"
    conf = folder / "conf"
    conf.mkdir(exist_ok=True)
    (folder / "scratch").mkdir(exist_ok=True)
    own = {
        "jobmanager.rpc.port": ports["master"],
        "rest.port": ports["web"],
        "taskmanager.numberOfTaskSlots": SLOTS,
        "taskmanager.cpu.cores": SLOTS,
        "io.tmp.dirs": folder / "scratch",
    }
    fixed = (fetched.HERE / "flink.yaml").read_text(encoding="utf-8")
    told = "".join(f"{name}: {value}\n" for name, value in own.items())
    (conf / "config.yaml").write_text(fixed + told)
    java = ["-Xmx512m", "-Dorg.apache.logging.log4j.level=INFO"]
    runtime, at = "org.apache.flink.runtime", ["--configDir", str(conf)]
    main = [f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint", *at]
    yield Part("master", _java([jars, beam], java, main), ports["web"])
    worker = [f"{runtime}.taskexecutor.TaskManagerRunner", *at]
    yield Part("worker", _java([jars, beam], java, worker))
    driver = [
        fetched.PINS["flink"]["driver"],
        f"--flink-master={HOST}:{ports['web']}",
        *_served(folder, ports),
    ]
    # The job server sends every jar of its classpath along with every job; the cluster has them
    # already, so all but the runner's own are told to Java by another way.
    sent, known = [], []
    for jar in sorted(fetched.job_server("flink").glob("*.jar")):
        (sent if re.match("beam-(?!vendor)|flink-(?!shaded)", jar.name) else known).append(str(jar))
    boot = f"-Xbootclasspath/a:{':'.join(known)}"
    yield Part("job-server", _java(sent, ["-Xmx512m", boot], driver), ports["job"])


def _served(folder: pathlib.Path, ports: dict[str, int]) -> list[str]:
    """Arguments that both job servers have."""
    at = [
        f"--job-port={ports['job']}",
        f"--artifact-port={ports['artifact']}",
        "--expansion-port=0",
    ]
    return [f"--job-host={HOST}", *at, f"--artifacts-dir={folder / 'artifacts'}"]


def _java(classpath: list[str], properties: list[str], main: list[str]) -> list[str]:
    opens = [f"--add-opens={module}=ALL-UNNAMED" for module in fetched.PINS["java"]["opens"]]
    return ["java", *opens, *properties, "-cp", ":".join(classpath), *main]
