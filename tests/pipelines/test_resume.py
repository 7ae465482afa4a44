"""Killed with SIGKILL at one moment after another, a run ends as if nothing had happened."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import yaml

from benchmarks import processes
from tamis import errors, ledger, seeding, storage
from tamis.pipelines import chain

RUN = (
    "import sys\nfrom tamis import runfile\nfrom tamis.pipelines import chain\n"
    "chain.run(runfile.load(sys.argv[1]), stages=tuple(chain.STAGES)[:-1])"
)
STAGES = tuple(chain.STAGES)[:-1]  # what check measures is not part of the promise
SMALL = {"ingest": {"shard_rows": 20}, "plan": {"budgets": [400]}}
OUTPUTS = ("index", "embeddings", "clusters", "scores", "tiers", "manifest", "random")
KEPT = ("index", "embeddings", "clusters", "scores/prototypes", "scores/lexical", "tiers")
# Folder to watch: the run is killed when a part of its files is there.
MOMENTS = ("index", "embeddings", "scores/lexical", "pilots", "manifest/samples-400")


def contents(root):
    found = (p for folder in OUTPUTS for p in (root / folder).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.name[0] != "."}


def committed(root):
    found = (p for folder in KEPT for p in (root / folder).glob("part-*.parquet"))
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def start(file):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(file)], start_new_session=True, stderr=subprocess.PIPE
    )


def kill(process):
    """With all its children, as the kernel does when memory runs out."""
    os.killpg(process.pid, signal.SIGKILL)
    process.stderr.close()
    return process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, configured):
    """The run that nobody killed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    chain.run(configured(root, **SMALL), stages=STAGES)
    return root


def wait_for(folder, count, process):
    while process.poll() is None:
        if len(storage.listing(str(folder))) >= count:
            return
        time.sleep(0.002)


def test_a_run_killed_again_and_again_ends_the_same(whole, tmp_path, described):
    root, file = tmp_path / "run", tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(described(root, **SMALL), sort_keys=False))
    rng = seeding.generator(5, "kill")
    before, killed = {}, 0
    for folder in MOMENTS:
        total = len(storage.listing(str(whole / folder)))
        process = start(file)
        wait_for(root / folder, int(rng.integers(1, total + 1)), process)
        time.sleep(float(rng.random()) * 0.05)
        killed += kill(process) == -signal.SIGKILL
        now = committed(root)
        assert before.items() <= now.items(), "a committed shard was written again"
        whole_files = contents(whole)
        for path, data in contents(root).items():
            assert data == whole_files[path], f"{path} after a kill at {folder}"
        before = now
    assert killed >= len(MOMENTS) - 1
    chain.run(configured_from(file), stages=STAGES)  # the lock died with its process
    assert contents(root) == contents(whole)
    assert before.items() <= committed(root).items()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_dead_worker_ends_the_run_also_in_a_shell_s_background(whole, tmp_path, described):
    """Where SIGINT is ignored; the other worker must not be waited for either."""
    root, file = tmp_path / "run", tmp_path / "run.yaml"
    document = described(root, **SMALL, runner={"workers": 2})
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = start(file)
    signal.signal(signal.SIGINT, before)
    try:
        while len(workers := processes.tree(process.pid)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(workers[-1], signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert b"a worker process died" in said
    chain.run(configured_from(file), stages=STAGES)
    assert contents(root) == contents(whole)


def configured_from(file):
    from tamis import runfile

    return runfile.load(str(file))


def test_a_run_killed_at_a_random_time_ends_the_same(whole, tmp_path, described):
    root, file = tmp_path / "run", tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(described(root, **SMALL), sort_keys=False))
    stages = json.loads((whole / "run.json").read_text())["stages"].values()
    seconds = sum(entry["seconds"] for entry in stages)
    process = start(file)
    wait_for(root, 1, process)
    time.sleep(float(seeding.generator(6, "kill").random()) * seconds)
    kill(process)
    left = committed(root)
    chain.run(configured_from(file), stages=STAGES)
    assert contents(root) == contents(whole)
    assert left.items() <= committed(root).items()


def test_what_a_kill_leaves_behind_is_invisible(copied, configured):
    """A temporary file of a writer that died."""
    (copied / "embeddings" / ".part-00000-00000.parquet.abc.tmp").write_bytes(b"half")
    assert not [n for n in storage.listing(str(copied / "embeddings")) if n.endswith("tmp")]
    chain.run(configured(copied), stages=("ingest", "embed", "cluster"))


def test_two_runs_at_once_are_refused(tmp_path, described):
    root, file = tmp_path / "run", tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(described(root, **SMALL), sort_keys=False))
    process = start(file)
    try:
        wait_for(root / "index", 1, process)
        message = rf"another run is at work in this folder \(locked by process {process.pid} on"
        with pytest.raises(errors.RunnerError, match=message):
            chain.run(configured_from(file))
    finally:
        kill(process)
    with ledger.lock(str(root)):
        assert pathlib.Path(root, ledger.LOCK).exists()
