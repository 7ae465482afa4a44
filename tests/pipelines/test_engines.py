"""The same run on a real Spark and a real Flink: the same bytes, also when a worker is killed."""

import os
import signal
import threading
import time

import pytest

from deploy import local_cluster
from tamis import errors
from tamis.pipelines import chain

STAGES = tuple(chain.STAGES)[:-1]  # what check measures is not part of the promise
SMALL = {
    "ingest": {"shard_rows": 20},  # 45 shards
    "score": {"prototypes": {}},
    "plan": {"budgets": [300]},
}


@pytest.fixture(scope="module")
def local(tmp_path_factory, configured):
    """The run on this machine's own workers."""
    root = tmp_path_factory.mktemp("local") / "run"
    chain.run(configured(root, **SMALL), stages=STAGES)
    return contents(root)


@pytest.fixture(
    scope="module",
    params=[pytest.param(e, marks=getattr(pytest.mark, e)) for e in ("spark", "flink")],
)
def cluster(request, tmp_path_factory):
    lacking = local_cluster.missing(request.param)
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
def test_a_killed_worker_costs_no_committed_shard_and_changes_no_byte(
    cluster, configured, local, tmp_path
):
    root, told = tmp_path / "run", {}
    document = configured(root, **SMALL)
    watched = (cluster, root / "embeddings", told)
    threading.Thread(target=kill_when_some_are_written, args=watched, daemon=True).start()
    args = tuple(cluster.options)
    try:
        chain.run(document, stages=STAGES, args=args)
    except errors.RunnerError:  # the engine gave up: the same command goes on
        chain.run(document, stages=STAGES, args=args)
    assert told["killed"]
    assert 0 < len(told["committed"]) < 45
    after = identities(root / "embeddings")
    assert {name: after[name] for name in told["committed"]} == told["committed"]
    assert contents(root) == local


def test_what_a_worker_raises_arrives_with_its_parts(cluster, configured, tmp_path):
    document = configured(tmp_path / "run")
    chain.run(document, stages=("ingest",))
    damaged = min((tmp_path / "run" / "index").glob("part-*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(errors.ArtifactError) as raised:
        chain.run(document, stages=("embed",), args=tuple(cluster.options))
    assert str(damaged) in raised.value.where
    assert raised.value.remedy
