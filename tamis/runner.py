"""Commands about the engine a run is handed to: a pool of workers for it, and whether it works."""

import signal
import threading
from typing import Annotated

import rich.markup
import rich.table
import typer

from tamis import console, errors, runfile
from tamis.schemas import config

Engine = Annotated[
    str, typer.Option("--runner", metavar="KIND", help="As if the run file said so: dataflow")
]
Job = Annotated[str, typer.Option(metavar="FILE", help="Where Dataflow's jobs are written")]

app = typer.Typer(
    help="The engine that runs are handed to: workers for it, and whether it works.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def handed(document: config.Run, kind: str) -> config.Run:
    """The same run handed to another engine; an empty `kind` leaves it."""
    if not kind:
        return document
    changed = {**document.runner.model_dump(), "kind": kind}
    return runfile.validated({**document.model_dump(), "runner": changed}, f"--runner {kind}")


def draw(document: config.Run, where: str) -> None:
    """Write Dataflow's jobs and tell which steps ask for an accelerator."""
    from tamis.pipelines import dataflow

    for name, steps in dataflow.write(document, where).items():
        asked = f"{len(steps)} steps with {', '.join(set(steps.values()))}" if steps else "CPU only"
        console.out.print(f"job      {name}: {asked}", markup=False)
    console.out.print(f"jobs     {where}", markup=False)


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


@app.command(context_settings={"allow_extra_args": True})
def check(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="[FILE|RUN]", help="Also probe its folder")] = "",
) -> None:
    """Probe job server, workers, run folder and a tiny job; options of Beam go after `--`."""
    from tamis.pipelines import probe

    named = file and not file.startswith("--")
    args = tuple(ctx.args) if named or not file else (file, *ctx.args)
    asked = probe.questions(args, console.load(file).run if named else "")
    table = rich.table.Table("", "part")
    for heading in ("found", "to do"):  # an address is of no use with its end cut off
        table.add_column(heading, overflow="fold")
    failed: errors.TamisError | None = None
    for part, question in asked.items():
        if part == "tiny job" and failed:  # it would only say so again, after minutes
            continue
        try:
            row = ("[green]ok[/]", part, question(), "")
        except errors.TamisError as error:
            failed = failed or error
            told = " ".join(filter(None, (error.what, error.where, error.why)))
            row = ("[red]no[/]", part, told, error.remedy)
        table.add_row(row[0], *(rich.markup.escape(text) for text in row[1:]))
    console.out.print(table)
    if failed:
        raise failed
