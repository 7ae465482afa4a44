"""The command line: one file is one run. Exit codes are those of `tamis.errors`."""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import rich.console
import rich.markup
import rich.table
import typer
import yaml

from tamis import (
    __version__,
    console,
    continuing,
    errors,
    exporting,
    ledger,
    runfile,
    runner,
    sourcing,
    storage,
    terminal,
    whatif,
)
from tamis import doctor as checkup
from tamis.schemas import config

# The pipelines import Beam, which takes seconds; `--help` and a typo must not wait for it, so
# they are imported where a command needs them.

app = typer.Typer(
    name="tamis",
    help="Which examples to train on, how often, for this budget.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_BEAM = {"allow_extra_args": True}

load, out, err = console.load, console.out, console.err


def main() -> None:
    """Run the command line."""
    shown = "--traceback" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--traceback"]
    try:
        app()
    except errors.TamisError as error:
        if shown:
            traceback.print_exception(error)
        err.print("[bold red]error[/] ", end="")
        err.print(str(error), markup=False)
        sys.exit(error.exit_code)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version")] = False,  # noqa: FBT002
) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


def _command(action: Callable[..., None], doc: str) -> Callable[..., None]:
    """A command on one run: `action(document, args=, redo=, reporter=)` with the usual options."""

    def command(
        ctx: typer.Context,
        file: console.Run,
        redo: console.Redo = False,  # noqa: FBT002
        quiet: console.Quiet = False,  # noqa: FBT002
        style: console.Style = "auto",
    ) -> None:
        document, reporter = load(file), console.reporter("quiet" if quiet else style)
        with console.interruptible():
            action(document, args=tuple(ctx.args), redo=redo, reporter=reporter)

    command.__doc__ = doc
    return command


def _one(name: str) -> Callable[..., None]:
    def action(document: config.Run, **options: Any) -> None:  # noqa: ANN401
        from tamis.pipelines import chain

        chain.run(document, stages=(name,), **options)

    return action


_STAGES = {
    "ingest": "Name the good rows of every input, set the bad ones aside.",
    "embed": "One unit vector per row.",
    "cluster": "Spherical k-means on a hash sample; the nearest centroid of every row.",
    "score": "Every configured scorer's column.",
    "dedup": "Mark exact duplicates.",
    "tier": "Exact quantile tiers of a score.",
    "pilot": "Cheap trainings that measure what each stratum is worth.",
    "select": "The plan's quotas to rows: the manifests.",
    "check": "Train on the manifests at full budget; predicted against measured.",
}
app.command("run", context_settings=_BEAM)(
    _command(
        console.everything, "Run every stage; committed work is kept: the same command resumes."
    )
)
for _name, _doc in _STAGES.items():
    app.command(_name, context_settings=_BEAM)(_command(_one(_name), _doc))


@app.command()
def plan(  # noqa: PLR0913 -- one parameter an option
    file: console.Run,
    budget: whatif.Budget = "",
    unit: whatif.Unit = "",
    params: whatif.Params = None,
    price: whatif.Prices = [],  # noqa: B006 -- typer copies it
    training_price: whatif.TrainingPrice = None,
    fix: whatif.Shares = [],  # noqa: B006
    max_epochs: whatif.MaxEpochs = None,
    save: Annotated[bool, typer.Option("--save", help="Make it the run's plan")] = False,  # noqa: FBT002
    quiet: console.Quiet = False,  # noqa: FBT002
) -> None:
    """Budget to quotas. With options: what if? The run's own plan stays, unless --save is given.

    A what-if reads the pilots that the run has. --save runs those that the budgets need, and
    replaces the plan.
    """
    named = {"params": params, "max_epochs": max_epochs, "training_price": training_price}
    document = load(file)
    changed = whatif.merged(document.plan, whatif.changes(budget, unit, price, fix, named))
    asked = runfile.validated({**document.model_dump(), "plan": changed}, "options of plan")
    from tamis.pipelines import chain
    from tamis.pipelines import plan as planning

    if save or asked == document:
        reporter = console.reporter("quiet" if quiet else "auto")
        made = planning.read(chain.run(asked, stages=("pilot", "plan"), reporter=reporter))
    else:
        made = planning.draft(chain.reading(document.run), asked.plan)
    out.print(terminal.plan(made))
    said = [*(b.summary for b in made.budgets), made.summary, *terminal.collect(made)]
    out.print("\n".join(said), markup=False)
    if asked != document and not save:
        out.print("what if: the run's plan stands; --save replaces it", markup=False)


@app.command()
def fit(
    file: Annotated[str, typer.Argument(metavar="MEASUREMENTS", help="CSV or Parquet of runs")],
    law: Annotated[str, typer.Option(metavar="NAME", help="This law's parameters only")] = "",
) -> None:
    """Fit laws to your own training runs: who predicts best, and with which parameters."""
    from tamis.selectors.laws import tables

    entries = tables.compete(tables.read(file), laws=(terminal.law(law),) if law else ())
    out.print(terminal.laws(entries))
    best = entries[0].fit
    if best.parameters:
        out.print(terminal.parameters(best))
    for warning in best.warnings:
        out.print(f"{best.law.name}: {warning}", markup=False)


app.add_typer(runner.app, name="runner")
app.command()(exporting.export)
app.command("import")(exporting.adopt)
app.command()(sourcing.mix)
app.command()(sourcing.acquire)
app.command()(continuing.extend)
app.command()(continuing.remove)


@app.command()
def report(file: console.Run) -> None:
    """Write report.html again."""
    document = load(file)
    from tamis import report as pages
    from tamis.pipelines import chain

    where = storage.join(document.run, "report.html")
    with chain.opened(document) as here:
        storage.remove_tree(where)
        pages.report(here)
    out.print(where, markup=False)


@app.command()
def verify(
    file: console.Run,
    inputs: Annotated[bool, typer.Option(help="Hash the inputs: reads each once")] = True,  # noqa: FBT002
    rows: Annotated[bool, typer.Option("--rows", help="Read every listed row, too")] = False,  # noqa: FBT002
) -> None:
    """Check every file of a run folder: whole, fresh, aligned, and no row lost."""
    document = load(file)
    from tamis.pipelines import chain
    from tamis.pipelines import verify as verifying

    here = chain.reading(document.run)

    def say(line: str) -> None:
        out.print(line, markup=False)

    balances = verifying.verify(here, say)
    if balances and inputs:
        verifying.inputs(here, say)
    verifying.described(here, say)
    if balances and rows:
        verifying.rows(here, say)
    columns = ["selected", "not selected", "duplicate", "rejected"]
    columns += ["removed"] if any(b.removed for b in balances) else []
    table = rich.table.Table("samples", "rows in", *columns)
    for b in balances:
        bad = sum(b.rejected.values()) - b.removed
        counts = (b.samples, b.rows, b.selected, b.not_selected, b.duplicate, bad, b.removed)
        table.add_row(*(f"{n:,}" for n in counts[: 2 + len(columns)]))
    if not balances:
        out.print("no manifests yet: rows cannot be balanced before `tamis select`")
        return
    out.print(table)
    out.print(f"rows in = {' + '.join(columns)}: balanced")


@app.command()
def retry(
    file: console.Run,
    quiet: console.Quiet = False,  # noqa: FBT002
    style: console.Style = "auto",
) -> None:
    """Read rejected rows again, from inputs that you have mended; then `tamis run` goes on."""
    document, reporter = load(file), console.reporter("quiet" if quiet else style)
    from tamis.pipelines import chain
    from tamis.pipelines import retry as again

    with console.interruptible(), chain.opened(document, reporter=reporter) as here:
        bad, accepted = again.retry(here)
    out.print(f"{accepted:,} of {bad:,} rejected rows are accepted now", markup=False)
    if accepted:
        out.print(f"the pool has grown: tamis run {file}", markup=False)


@app.command()
def inspect(
    file: console.Run, uid: Annotated[str, typer.Argument(help="32 hex digits, or the first")]
) -> None:
    """The whole story of one row."""
    document = load(file)
    from tamis.pipelines import chain
    from tamis.pipelines import inspect as inspecting

    for story in inspecting.inspect(chain.reading(document.run), uid):
        out.print(yaml.safe_dump(story, sort_keys=False, allow_unicode=True), markup=False)


@app.command()
def explain(
    file: console.Run,
    engine: runner.Engine = "",
    job: runner.Job = "dataflow.json",
) -> None:
    """The resolved config, the stages, and what the run will take; Dataflow's jobs as JSON."""
    document = runner.handed(load(file), engine)
    from tamis.pipelines import estimate

    dump = document.model_dump(mode="json")
    out.print(yaml.safe_dump(dump, sort_keys=False, allow_unicode=True), markup=False)
    found = estimate.estimate(document)
    done = _done(document.run)
    table = rich.table.Table("stage", "seconds", "committed")
    for stage, seconds in found.seconds.items():
        committed = [name for name in done if name.partition(":")[0] == stage]
        table.add_row(stage, f"{seconds:,.0f}", "yes" if committed else "")
    out.print(table)
    rows = ", ".join(f"{name} {n:,}" for name, n in found.rows.items())
    out.print(f"rows     about {rows}", markup=False)
    free = estimate.free_disk(document.run)
    have = estimate.size(estimate.available_memory())
    out.print(f"memory   {estimate.size(found.memory)} a worker at the peak, of {have}")
    disk = f", of {estimate.size(free)}" if free is not None else ""
    out.print(f"disk     {estimate.size(found.disk)}{disk}")
    out.print(f"time     {sum(found.seconds.values()):,.0f} s on {document.runner.workers} core(s)")
    if document.runner.kind == "dataflow":
        runner.draw(document, job)
    found.check(document.run)


def _done(root: str) -> list[str]:
    if not storage.exists(storage.join(root, ledger.DOCUMENT)):
        return []
    return list(ledger.read(root)["stages"])


@app.command()
def init(
    folder: Annotated[str, typer.Argument(help="Folder of data: a source per subfolder or file")],
    output: Annotated[str, typer.Option(help="Run file to write")] = "tamis.yaml",
) -> None:
    """Write a commented run file for a folder of data."""
    from tamis import starter

    starter.write(folder, output)
    out.print(f"wrote {output}; look it through, then: tamis explain {output}", markup=False)


@app.command()
def doctor() -> None:
    """What is installed, what is missing, and the line that installs it."""
    table = rich.table.Table("", "part", "found", "to install")
    for f in checkup.findings():
        mark = "[green]ok[/]" if f.ok else "[yellow]--[/]"
        table.add_row(mark, *(rich.markup.escape(t) for t in (f.part, f.note, f.remedy)))
    out.print(table)


@app.command()
def schema() -> None:
    """JSON Schema of the run file, for editors."""
    sys.stdout.write(json.dumps(runfile.json_schema(), indent=1) + "\n")


@app.command()
def demo(
    folder: Annotated[str, typer.Option(help="Where the texts go")] = "data/vader",
    file: Annotated[str, typer.Option(help="Another run file on them")] = "",
    quiet: console.Quiet = False,  # noqa: FBT002
    style: console.Style = "auto",
) -> None:
    """Fetch the VADER four-domain texts and run the example on them."""
    from tamis import demo as example

    document = load(file) if file else example.document(Path(folder))
    reporter = console.reporter("quiet" if quiet else style)
    example.fetch(Path(folder))
    with console.interruptible():
        console.everything(document, reporter=reporter)
