"""A pool of Python workers for Spark and Flink: Beam's EXTERNAL environment, one pool a machine.

An engine asks the pool for a worker for every job. Beam's own pool starts a Python for each, which
imports for seconds, and a run of tamis is some twenty jobs. Here workers are forked from a process
that has imported everything and has no threads yet, and start in a tenth of a second. Each is still
a process of its own, so one that dies takes no other with it.
"""

import logging
import multiprocessing
import multiprocessing.context
import multiprocessing.process
import os
import threading
from concurrent import futures

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

_WARM = ["apache_beam.runners.worker.sdk_worker", "tamis.pipelines.chain"]
_GRACE = 5.0  # seconds between asking a worker to end and ending it


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and stops workers when an engine says so.

    Attributes:
      workers: Processes now running, by the engine's name for them.
    """

    def __init__(self) -> None:
        self.workers: dict[str, multiprocessing.process.BaseProcess] = {}
        self._lock = threading.Lock()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_WARM)

    def StartWorker(
        self, request: beam_fn_api_pb2.StartWorkerRequest, context: object
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Fork a worker that reports to the endpoint in the request."""
        made = self._context.Process(
            target=_work, args=(request.control_endpoint.url, request.worker_id), daemon=True
        )
        with self._lock:  # the fork server answers one at a time
            made.start()
            self.workers = {name: w for name, w in self.workers.items() if w.is_alive()}
            self.workers[request.worker_id] = made
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(
        self, request: beam_fn_api_pb2.StopWorkerRequest, context: object
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """End a worker; one that is gone already is no error."""
        with self._lock:
            found = self.workers.pop(request.worker_id, None)
        if found is not None:
            _end(found)
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """End every worker."""
        with self._lock:
            left, self.workers = list(self.workers.values()), {}
        for worker in left:
            _end(worker)


def serve(address: str) -> tuple[str, Pool, grpc.Server]:
    """Start a pool.

    Args:
      address: `host:port`; port 0 takes a free one. Whoever reaches it can run code as this user,
        as with Beam's own pool, so it belongs on an address only the engine can reach.

    Returns:
      The address it listens at, the pool, and its server.
    """
    host, _, port = address.rpartition(":")
    pool = Pool()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    bound = server.add_insecure_port(f"{host}:{port}")
    server.start()
    return f"{host}:{bound}", pool, server


def _work(control: str, name: str) -> None:
    """What a worker process does: Beam's harness, until the engine hangs up."""
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # an engine's slots are the parallelism
    from apache_beam.runners.worker import sdk_worker

    sdk_worker.SdkHarness(control, worker_id=name).run()


def _end(worker: multiprocessing.process.BaseProcess) -> None:
    worker.terminate()
    worker.join(_GRACE)
    if worker.is_alive():
        worker.kill()
