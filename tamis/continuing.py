"""The commands that continue a run: with more rows, or without some."""

from typing import Annotated

import typer

from tamis import console, errors, progress, runfile
from tamis.schemas import config, intake

To = Annotated[str, typer.Option(metavar="FOLDER", help="Of the new run; else a name beside it")]


def extend(
    file: console.Run,
    new: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE=PATH|FILE]...", help="Files for a source, or YAML of sources"
        ),
    ] = None,
    to: To = "",
    quiet: console.Quiet = False,  # noqa: FBT002
    style: console.Style = "auto",
) -> None:
    """Add rows: a new run with the old one's centroids, scorers, tiers and pilots.

    Without names: the new files that its sources' patterns match.
    """
    root = console.load(file).run
    files: dict[str, list[str]] = {}
    sources: dict[str, intake.Source] = {}
    for given in new or []:
        name, equals, path = given.partition("=")
        if equals:
            files.setdefault(name, []).append(path)
        elif given.endswith((".yaml", ".yml")):
            sources |= runfile.sources(given)
        else:
            raise errors.ConfigError(
                f"neither SOURCE=PATH nor a .yaml file: {given}",
                remedy="such as news=data/news-2027.jsonl, or a file with `sources:`",
            )
    from tamis.pipelines import chain
    from tamis.pipelines import extend as extending

    document = extending.more(
        chain.reading(root), to or extending.beside(root), files=files, sources=sources
    )
    _run(document, console.reporter("quiet" if quiet else style))


def remove(
    file: console.Run,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeat it")] = None,
    uids: Annotated[str, typer.Option(metavar="FILE", help="Uids, one a line")] = "",
    to: To = "",
    quiet: console.Quiet = False,  # noqa: FBT002
    style: console.Style = "auto",
) -> None:
    """Take rows out: a new run without a source, or without the rows that a list names."""
    root = console.load(file).run
    from tamis.pipelines import chain
    from tamis.pipelines import extend as extending

    document = extending.fewer(
        chain.reading(root), to or extending.beside(root), sources=source or [], uids=uids
    )
    _run(document, console.reporter("quiet" if quiet else style))


def _run(document: config.Run, reporter: progress.Reporter) -> None:
    with console.interruptible():
        console.everything(document, reporter=reporter)
    from tamis.pipelines import chain, retract, verify

    here = chain.reading(document.run)
    for name, text in (("continues", retract.told(here)), ("removed", verify.proof(here))):
        if text:
            console.out.print(f"[bold]{name:<10}[/] ", end="")
            console.out.print(text, markup=False)
