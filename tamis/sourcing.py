"""The commands about what to mix and what to buy."""

import math
from typing import Annotated

import typer

from tamis import console, errors, terminal


def mix(
    file: console.Run,
    budget: Annotated[
        int, typer.Option(metavar="N", help="Of the planned ones; else the last")
    ] = 0,
) -> None:
    """How far each source is from the target, and the nearest mixture. Nothing is trained."""
    document = console.load(file)
    from tamis.pipelines import chain
    from tamis.pipelines import mix as mixing

    with chain.opened(document) as here:
        found = mixing.mix(here, budget=budget or None)
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
    budget: Annotated[
        int, typer.Option(metavar="N", help="Of the planned ones; else the last")
    ] = 0,
    quiet: console.Quiet = False,  # noqa: FBT002
) -> None:
    """What to acquire next: which source, how many rows, for how much less error."""
    offered = {name: int(n) for name, n in _pairs("--offer", offer).items()}
    prices, document = _pairs("--price", price or []), console.load(file)
    from tamis.pipelines import acquire as acquiring
    from tamis.pipelines import chain

    with chain.opened(document, reporter=console.reporter("quiet" if quiet else "auto")) as here:
        chain.proceed(here, ("pilot", "plan"))
        found = acquiring.acquire(
            here, offered, money=money, rows=rows, price=prices, samples=budget or None
        )
    console.out.print(terminal.offers(found))
    for line in terminal.basket(found):
        console.out.print(line, markup=False)


def _pairs(option: str, given: list[str]) -> dict[str, float]:
    """`name=number`, as often as it was given."""
    try:
        pairs = [text.rsplit("=", 1) for text in given]
        found = {name: float(number) for name, number in pairs}
    except ValueError:
        found = {}
    if len(found) < len(given) or not all(math.isfinite(v) for v in found.values()):
        raise errors.ConfigError(
            f"{option} {' '.join(given)}",
            why="not a name and a number each, or a name twice",
            remedy=f"such as {option} movies=5000",
        )
    return found
