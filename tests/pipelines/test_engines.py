"""The same run on a real Spark and a real Flink: the same bytes, also when processes are killed."""

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
    "ingest": {"shard_rows": 40},  # 23 shards
    "score": {"prototypes": {}},
    "pilot": {"budget": 50_000},
    "plan": {"budgets": [300]},
}


def commands(heading, block=0):
    """The commands of a section of the page on clusters."""
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\.(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[block]


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
def engine(request):
    lacking = fetched.missing(request.param)
    if lacking:
        pytest.skip(lacking)
    return request.param


@pytest.fixture(scope="module")
def cluster(engine, tmp_path_factory):
    with local_cluster.running(engine, tmp_path_factory.mktemp(engine)) as up:
        yield up


def contents(root):
    folders = ("manifest", "random", "embeddings", "scores")
    found = (p for folder in folders for p in (root / folder).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.name[0] != "."}


def identities(folder):
    stats = {p.name: p.stat() for p in folder.glob("part-*.parquet")}
    return {name: (s.st_ino, s.st_mtime_ns) for name, s in stats.items()}


def wait_for_some(folder):
    while not identities(folder):
        time.sleep(0.002)


def kill(cluster, root, told):
    """As soon as a shard is committed: of one stage every Python worker, of the next the engine's.

    The latter is started again, as the machine's own supervisor would.
    """
    wait_for_some(root / "embeddings")
    told["python"] = cluster.workers()
    for pid in told["python"]:
        os.kill(pid, signal.SIGKILL)
    told["embeddings"] = identities(root / "embeddings")
    wait_for_some(root / "scores" / "prototypes")
    told["engine"] = cluster.kill("worker")
    told["scores/prototypes"] = identities(root / "scores" / "prototypes")
    cluster.start("worker")


@pytest.mark.timeout(1800)  # of a busy machine; an idle one takes one or two minutes
def test_killed_processes_cost_no_committed_shard_and_change_no_byte(cluster, written, local):
    folder, told = written(cluster.engine), {}
    threading.Thread(target=kill, args=(cluster, folder / "run", told), daemon=True).start()
    ran = shell(commands("4"), folder, cluster.options)
    for _ in range(2):
        if ran.returncode:  # the engine gave up: the same command goes on
            assert ran.returncode == errors.RunnerError.exit_code, ran.stderr
            ran = shell(commands("4"), folder, cluster.options)
    assert ran.returncode == 0, ran.stderr
    assert told["python"]
    assert told["engine"]
    assert 0 < len(told["embeddings"]) < 23
    for kept in ("embeddings", "scores/prototypes"):
        after = identities(folder / "run" / kept)
        assert {name: after[name] for name in told[kept]} == told[kept]
    assert contents(folder / "run") == local


@pytest.mark.timeout(1800)
def test_the_page_s_cluster_comes_up_and_the_check_finds_everything_in_place(engine, written):
    *_, command = commands("2", 1).split("   #")[0].splitlines()
    up = command.replace("spark", engine).split()
    log = written("up") / "log"
    with (
        log.open("w") as errors_,
        subprocess.Popen(
            [sys.executable, *up[1:]], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors_, text=True
        ) as process,
    ):
        try:
            options = process.stdout.readline().split()
            assert options, log.read_text()
            ran = shell(commands("3"), written("check"), options)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert "Python 3." in ran.stdout
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert process.returncode == 0, log.read_text()


@pytest.mark.parametrize("name", ["spark", "flink"])
def test_make_runs_the_demo_on_it(name):
    ran = subprocess.run(
        ["make", "--dry-run", *commands("2").split("#")[0].split()[1:], name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"deploy.local_cluster {name} demo" in ran.stdout


def test_what_a_worker_raises_arrives_with_its_parts(cluster, configured, tmp_path):
    document = configured(tmp_path / "run")
    chain.run(document, stages=("ingest",))
    damaged = min((tmp_path / "run" / "index").glob("part-*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(errors.ArtifactError) as raised:
        chain.run(document, stages=("embed",), args=tuple(cluster.options))
    assert str(damaged) in raised.value.where
    assert raised.value.remedy
