"""The same run on a real Spark and a real Flink: the same bytes, also when a worker is killed."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml

from deploy import fetched, local_cluster
from tamis import errors
from tamis.pipelines import chain

ROOT = pathlib.Path(__file__).parents[2]
SMALL = {
    "ingest": {"shard_rows": 20},  # 45 shards
    "score": {"prototypes": {}},
    "plan": {"budgets": [300]},
}


def commands(heading):
    """The commands of a section of the page on clusters."""
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^## {heading}.*?```sh\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return block


def shell(command, folder, options=()):
    """Run it as a person would, in a folder with mine.yaml."""
    bin_ = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {**os.environ, "PATH": bin_, "PYTHONPATH": str(ROOT), "OPTIONS": " ".join(options)}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=told, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, described):
    """A folder with a run file."""

    def write(name):
        folder = tmp_path_factory.mktemp(name)
        document = described(folder / "run", **SMALL)
        (folder / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return folder

    return write


@pytest.fixture(scope="module")
def local(written):
    """The run on this machine's own workers."""
    folder = written("local")
    ran = shell(commands("1"), folder)
    assert ran.returncode == 0, ran.stderr
    return contents(folder / "run")


@pytest.fixture(
    scope="module",
    params=[pytest.param(e, marks=getattr(pytest.mark, e)) for e in ("spark", "flink")],
)
def cluster(request, tmp_path_factory):
    lacking = fetched.missing(request.param)
    if lacking:
        pytest.skip(lacking)
    with local_cluster.running(request.param, tmp_path_factory.mktemp(request.param)) as up:
        yield up


def contents(root):
    folders = ("manifest", "random", "embeddings", "scores")
    found = (p for folder in folders for p in (root / folder).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.name[0] != "."}


def identities(folder):
    stats = {p.name: p.stat() for p in folder.glob("part-*.parquet")}
    return {name: (s.st_ino, s.st_mtime_ns) for name, s in stats.items()}


def kill_when_some_are_written(cluster, folder, told):
    """Kill every Python worker as soon as a shard of a stage is committed."""
    while not identities(folder):
        time.sleep(0.002)
    told["killed"] = cluster.workers()
    for pid in told["killed"]:
        os.kill(pid, signal.SIGKILL)
    told["committed"] = identities(folder)


@pytest.mark.timeout(600)
def test_a_killed_worker_costs_no_committed_shard_and_changes_no_byte(cluster, written, local):
    folder, told = written(cluster.engine), {}
    watched = (cluster, folder / "run" / "embeddings", told)
    threading.Thread(target=kill_when_some_are_written, args=watched, daemon=True).start()
    ran = shell(commands("4"), folder, cluster.options)
    if ran.returncode:  # the engine gave up: the same command goes on
        assert ran.returncode == errors.RunnerError.exit_code
        ran = shell(commands("4"), folder, cluster.options)
    assert ran.returncode == 0, ran.stderr
    assert told["killed"]
    assert 0 < len(told["committed"]) < 45
    after = identities(folder / "run" / "embeddings")
    assert {name: after[name] for name in told["committed"]} == told["committed"]
    assert contents(folder / "run") == local


def test_the_check_finds_everything_in_place(cluster, written):
    ran = shell(commands("3"), written("check"), cluster.options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Python 3." in ran.stdout


def test_what_a_worker_raises_arrives_with_its_parts(cluster, configured, tmp_path):
    document = configured(tmp_path / "run")
    chain.run(document, stages=("ingest",))
    damaged = min((tmp_path / "run" / "index").glob("part-*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(errors.ArtifactError) as raised:
        chain.run(document, stages=("embed",), args=tuple(cluster.options))
    assert str(damaged) in raised.value.where
    assert raised.value.remedy
