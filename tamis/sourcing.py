"""The commands about what to mix and what to buy."""

import math
from collections.abc import Sequence
from typing import Annotated

import typer

from tamis import console, errors, terminal

Budget = Annotated[
    int | None,
    typer.Option(metavar="N", help="Samples, one of the planned budgets; else the largest"),
]


def mix(file: console.Run, budget: Budget = None) -> None:
    """How far each source is from the target, and the nearest mixture. Nothing is trained."""
    document = console.load(file)
    from tamis.pipelines import chain
    from tamis.pipelines import mix as mixing

    with chain.opened(document) as here:
        found = mixing.mix(here, budget=budget)
    console.out.print(terminal.mix(found))
    for line in terminal.nearest(found):
        console.out.print(line, markup=False)


def acquire(
    file: console.Run,
    offer: Annotated[list[str], typer.Option(metavar="SOURCE=ROWS", help="On offer; repeat it")],
    price: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE=X", help="Of a row; repeat it")
    ] = None,
    money: Annotated[float | None, typer.Option(metavar="X", help="To spend")] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", help="Or: rows to add")] = None,
    shown: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE=FILE", help="Rows of a source that the run has not; repeat"),
    ] = None,
    budget: Budget = None,
    quiet: console.Quiet = False,  # noqa: FBT002
) -> None:
    """What to acquire next: which source, how many rows, for how much less error."""
    offered = {name: int(n) for name, n in _pairs("--offer", offer, whole=True).items()}
    prices, samples = _pairs("--price", price or []), _paths(shown or [])
    for option, limit in (("--money", money), ("--rows", rows)):
        if limit is not None:
            _above_zero(f"{option} {limit:g}", limit)
    document = console.load(file)
    from tamis.pipelines import acquire as acquiring
    from tamis.pipelines import chain

    with chain.opened(document, reporter=console.reporter("quiet" if quiet else "auto")) as here:
        chain.proceed(here, ("pilot", "plan"))
        found = acquiring.acquire(
            here, offered, money=money, rows=rows, price=prices, samples=budget, paths=samples
        )
    strange = [name for name in offered if name in samples or name in document.offers]
    if strange:
        told = f"{', '.join(strange)}: seen by no pilot, so offers are judged by where they lie"
        console.out.print(f"{told} (Coverage alone)", markup=False)
    console.out.print(terminal.offers(found, priced=rows is None))
    for line in terminal.basket(found):
        console.out.print(line, markup=False)


def _paths(given: Sequence[str]) -> dict[str, str]:
    """`name=path`, as often as it was given."""
    found = dict(text.partition("=")[::2] for text in given)
    for name, path in found.items():
        if not name or not path or len(found) < len(given):
            raise errors.ConfigError(
                f"--shown {name}={path}" if path else f"--shown {name}",
                why="a name is given twice" if len(found) < len(given) else "not a name and a file",
                remedy="such as --shown books=books-sample.jsonl, once for each source",
            )
    return found


def _pairs(option: str, given: Sequence[str], *, whole: bool = False) -> dict[str, float]:
    """`name=number` above 0, as often as it was given."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        said = f"{option} {text}"
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or math.isnan(value):
            raise errors.ConfigError(
                said, why="not a name and a number", remedy=f"such as {option} movies=5000"
            )
        if name in found:
            raise errors.ConfigError(
                said, why=f"{name} is given twice", remedy=f"one {option} for each source"
            )
        found[name] = _above_zero(said, value, whole=whole)
    return found


def _above_zero(said: str, value: float, *, whole: bool = False) -> float:
    wrong = value != math.floor(value) if whole and math.isfinite(value) else False
    if wrong or not 0 < value < math.inf:
        kind = "a whole number of rows" if whole else "a number"
        raise errors.ConfigError(said, why=f"not {kind} above 0", remedy="mend it or leave it out")
    return value
