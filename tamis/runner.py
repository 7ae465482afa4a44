"""Commands about the engine a run is handed to: a pool of workers for it, and whether it works."""

import signal
import threading
from typing import Annotated

import typer

from tamis import console

app = typer.Typer(
    help="The engine that runs are handed to: workers for it, and whether it works.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def pool(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT")] = "localhost:50000",
) -> None:
    """Serve Python workers to Spark or Flink on this machine, until stopped."""
    from tamis.pipelines import worker_pool

    bound, workers, server = worker_pool.serve(address)
    console.out.print(f"worker pool at {bound}", markup=False)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop(1)
    workers.close()
