"""Spark, Flink and Beam's job servers for them: fetched by name into `build/cluster`, once."""

import pathlib
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parent / "build" / "cluster"
PINS = tomllib.loads((HERE / "versions.toml").read_text(encoding="utf-8"))


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
    call([*pip, "--target", str(CACHE / engine / "distribution"), pins["distribution"]])
    mvn = ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies"]
    told = [f"-Drunner={pins['runner']}", f"-Dbeam={PINS['beam']['version']}"]
    where = [f"-DoutputDirectory={job_server(engine)}", "-DincludeScope=runtime"]
    call([*mvn, "--file", str(HERE / "job-server" / "pom.xml"), *told, *where])
    (CACHE / engine / ".fetched").write_text(_stamp(engine))


def classes(engine: str) -> str:
    """Java's classpath of the engine."""
    inside = {"spark": "pyspark/jars", "flink": "pyflink/lib"}[engine]
    return f"{CACHE / engine / 'distribution' / inside}/*"


def job_server(engine: str) -> pathlib.Path:
    """Folder of the jars of Beam's job server."""
    return CACHE / engine / "job-server"


def _stamp(engine: str) -> str:
    return f"{PINS['beam']} {PINS[engine]}"


def _fetched(engine: str) -> bool:
    mark = CACHE / engine / ".fetched"
    return mark.exists() and mark.read_text() == _stamp(engine)


def call(command: list[str]) -> None:
    """Run a command, its output shown.

    Raises:
      RuntimeError: it failed.
    """
    if subprocess.run(command, check=False).returncode:
        raise RuntimeError(f"failed: {' '.join(command)}")
