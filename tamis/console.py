"""What all commands share: their usual options, where they write, and which run is meant."""

from typing import Annotated

import pydantic
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
        return validated({**ledger.read(run)["config"], "run": run}, f"config of {run}")
    return runfile.load(run)


def validated(document: dict, what: str) -> config.Run:
    """A config made of parts; what is wrong with it is told as a `ConfigError`."""
    try:
        return config.Run.model_validate(document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if isinstance(first["input"], dict):  # keys that do not go together: no value is at fault
            said, why = f"{what}: {at + ': ' if at else ''}{message}", ""
        else:
            said, why = f"{what}: '{at}' may not be {first['input']!r}", message
        raise errors.ConfigError(said, why=why, remedy="mend it, or give the run file") from None


def reporter(style: str) -> progress.Reporter:
    """Progress in one of the styles of `--progress`."""
    styles: dict[str, progress.Style] = {s: s for s in ("auto", "rich", "json", "quiet")}
    if style not in styles:
        raise errors.ConfigError(f"--progress {style}", remedy=f"one of {', '.join(styles)}")
    return progress.reporter(styles[style])
