"""The worker pool: each worker a process of its own, gone when it is told to go."""

import os
import signal
import time
from concurrent import futures

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from tamis.pipelines import worker_pool


class Control(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    """An engine that hears its workers report and keeps them waiting for work."""

    def __init__(self):
        self.heard = []

    def Control(self, requests, context):
        self.heard.append(dict(context.invocation_metadata())["worker_id"])
        while context.is_active():
            time.sleep(0.05)
        yield from ()


@pytest.fixture
def control():
    server = grpc.server(futures.ThreadPoolExecutor(8))
    servicer = Control()
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(servicer, server)
    servicer.at = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(0).wait()


@pytest.fixture
def pool():
    at, pool, server = worker_pool.serve("127.0.0.1:0")
    with grpc.insecure_channel(at) as channel:
        yield pool, beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
    server.stop(0).wait()
    pool.close()


def until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(stub, control, name):
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=name)
    request.control_endpoint.url = control.at
    assert stub.StartWorker(request).error == ""


def test_workers_report_under_their_names_and_die_alone(pool, control):
    held, stub = pool
    for name in ("a", "b"):
        start(stub, control, name)
    until(lambda: sorted(control.heard) == ["a", "b"])
    first, second = held.workers["a"], held.workers["b"]
    assert len({first.pid, second.pid, os.getpid()}) == 3
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not first.is_alive())
    assert second.is_alive()
    start(stub, control, "c")  # the dead one is forgotten
    assert set(held.workers) == {"b", "c"}
    stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id="b"))
    assert not second.is_alive()
    stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id="b"))  # gone already: no error


def test_a_closed_pool_leaves_nobody(pool, control):
    held, stub = pool
    start(stub, control, "a")
    until(lambda: control.heard)
    (worker,) = held.workers.values()
    held.close()
    assert not worker.is_alive()
