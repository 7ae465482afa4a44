"""What `tamis runner check` says of an engine that is not there, half there, or there."""

import contextlib
import socket

import pytest

from tamis import errors
from tamis.pipelines import probe, worker_pool


def answers(args, run=""):
    """Each part's line, or the error it raised."""
    found = {}
    for part, question in probe.questions(tuple(args), run).items():
        try:
            found[part] = question()
        except errors.RunnerError as error:
            found[part] = error
    return found


@pytest.fixture
def deaf():
    """Something listens that is no job server."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_our_own_runner_needs_nothing_and_runs_the_job(tmp_path):
    found = answers([], str(tmp_path))
    assert found["job server"] == found["workers"] == "not needed"
    assert found["tiny job"].startswith(f"worker {socket.gethostname()}: Python 3.")
    assert list(tmp_path.iterdir()) == []


def test_each_part_that_lacks_says_what_to_do(tmp_path, deaf, monkeypatch):
    monkeypatch.setattr(probe, "PATIENCE", 0.5)
    options = ["--runner=FlinkRunner", "--environment_type=EXTERNAL"]
    asked = [*options, f"--job_endpoint={deaf}", "--environment_config=127.0.0.1:1"]
    asked = probe.questions(tuple(asked), "runs/mine")
    for part, said in {
        "job server": "no Beam job server",
        "workers": "a worker pool does not answer",
        "run folder": "relative",
    }.items():
        with pytest.raises(errors.RunnerError, match=said) as raised:
            asked[part]()
        assert raised.value.remedy


@pytest.mark.parametrize(
    ("options", "part", "said"),
    [
        (["--runner=NoRunner"], "runner", "none tamis is tried on"),
        (["--runner=SparkRunner"], "job server", "is no cluster"),
        (["--runner=SparkRunner", "--environment_type=EXTERNAL"], "workers", "nowhere"),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"], "job server", "does not answer"),
    ],
)
def test_options_that_cannot_work_are_told(options, part, said, monkeypatch):
    monkeypatch.setattr(probe.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    with pytest.raises(errors.RunnerError, match=said) as raised:
        probe.questions(tuple(options))[part]()
    assert raised.value.remedy


def test_a_worker_of_another_version_is_found_out():
    other = probe.Introduce({"python": "2.7", "beam": "0", "tamis": "0"})
    with pytest.raises(RuntimeError, match="other versions than the launcher"):
        list(other.process(""))


def test_a_worker_pool_is_seen():
    at, pool, server = worker_pool.serve("127.0.0.1:0")
    options = ["--runner=PortableRunner", "--environment_type=EXTERNAL"]
    asked = probe.questions((*options, f"--environment_config={at}"))
    try:
        assert asked["workers"]() == f"pool at {at}"
    finally:
        server.stop(0).wait()
        pool.close()
