"""What all commands share: their usual options, where they write, and which run is meant."""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import rich.console
import typer

from tamis import errors, ledger, progress, runfile, storage
from tamis.schemas import config

Run = Annotated[str, typer.Argument(metavar="FILE|RUN", help="Run file, or its run folder")]
Redo = Annotated[bool, typer.Option("--redo", help="Replace stages made from another config")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress")]
Style = Annotated[
    str, typer.Option("--progress", metavar="STYLE", help="auto, rich, json or quiet")
]

out = rich.console.Console(highlight=False, soft_wrap=True)
err = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)


def load(run: str) -> config.Run:
    """The config of a run file, or of a run folder's ledger."""
    is_folder = not run.endswith((".yaml", ".yml")) and storage.exists(
        storage.join(run, ledger.DOCUMENT)
    )
    if is_folder or (storage.exists(run) and storage.is_folder(run)):
        return runfile.validated({**ledger.read(run)["config"], "run": run}, f"config of {run}")
    return runfile.load(run)


def reporter(style: str) -> progress.Reporter:
    """Progress in one of the styles of `--progress`."""
    styles: dict[str, progress.Style] = {s: s for s in ("auto", "rich", "json", "quiet")}
    if style not in styles:
        raise errors.ConfigError(f"--progress {style}", remedy=f"one of {', '.join(styles)}")
    return progress.reporter(styles[style])


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends with a line, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        err.print("\nstopped; the same command goes on from there")
        raise typer.Exit(130) from None


def everything(document: config.Run, *, reporter: progress.Reporter, **options: Any) -> None:  # noqa: ANN401
    """Run every stage and the report, and tell what was chosen."""
    from tamis import report as pages
    from tamis.pipelines import chain, estimate

    estimate.estimate(document).check(document.run)
    with chain.opened(document, reporter=reporter, **options) as here:
        chain.proceed(here)
        pages.report(here)
        for name, text in chain.summary(here):
            out.print(f"[bold]{name:<10}[/] ", end="")
            out.print(text, markup=False)
