"""Options of `tamis plan` to changes of a run file's `plan` section."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tamis import errors
from tamis.schemas import planning

Budget = Annotated[
    str, typer.Option(metavar="N,N,…", help="Other budgets than the run file's, e.g. 1e6,1e7")
]
Unit = Annotated[str, typer.Option(help="Of budgets: samples, tokens, flops or money")]
Params = Annotated[float | None, typer.Option(help="Of the model, for flops: 6 N a token")]
Prices = Annotated[
    list[str], typer.Option(metavar="NAME=MONEY", help="Of a unique row of a source or stratum")
]
TrainingPrice = Annotated[float | None, typer.Option(help="Money for each sample trained")]
Shares = Annotated[
    list[str], typer.Option(metavar="NAME=SHARE", help="A share, or its range: news=0.1:0.5")
]
MaxEpochs = Annotated[float | None, typer.Option(help="Never repeat a row more often")]


def changes(
    budget: str,
    unit: str,
    prices: Sequence[str],
    shares: Sequence[str],
    numbers: dict[str, float | None],
) -> dict[str, Any]:
    """The changed keys; an option that is empty or not given changes nothing.

    Args:
      budget: `1e6,1e7`.
      unit: Of the budgets.
      prices: `news=0.002` each.
      shares: `news=0.3` or `news=0.1:0.5` each.
      numbers: Values of other keys; 0 is a value, None is none.

    Raises:
      ConfigError: an option cannot be read.
    """
    found: dict[str, Any] = {key: value for key, value in numbers.items() if value is not None}
    if unit:
        found["unit"] = unit
    if budget:
        found["budgets"] = _numbers(budget, ",", f"--budget {budget}", "--budget 1e6,1e7")
    if prices:
        found["prices"] = dict(_price(option) for option in prices)
    if shares:
        found["shares"] = dict(_share(option) for option in shares)
    return found


def merged(section: planning.Plan, changed: dict[str, Any]) -> dict[str, Any]:
    """The section with changes: prices and shares name by name, all else whole.

    Budgets of another unit than theirs would be nonsense, so a new unit needs new budgets.

    Raises:
      ConfigError: the unit changes and the budgets do not.
    """
    unit = changed.get("unit", section.unit)
    if unit != section.unit and "budgets" not in changed:
        raise errors.ConfigError(
            f"--unit {unit} without --budget",
            why=f"the run's budgets are in {section.unit}",
            remedy=f"say how many: --budget 1e9 --unit {unit}",
        )
    before = section.model_dump()
    for key in ("prices", "shares"):
        changed = {**changed, key: {**before[key], **changed.get(key, {})}}
    return {**before, **changed}


def _price(option: str) -> tuple[str, float]:
    name, text = _pair(option, "--price", "news=0.002")
    (price,) = _numbers(text, None, f"--price {option}", "--price news=0.002")
    return name, price


def _share(option: str) -> tuple[str, float | list[float]]:
    name, text = _pair(option, "--fix", "news=0.3")
    ends = _numbers(text, ":", f"--fix {option}", "--fix news=0.3 or --fix news=0.1:0.5")
    return name, ends[0] if len(ends) == 1 else ends


def _pair(option: str, flag: str, example: str) -> tuple[str, str]:
    name, found, text = option.rpartition("=")
    if not found or not name:
        raise errors.ConfigError(
            f"{flag} {option}", why="not a name and a number", remedy=f"such as {flag} {example}"
        )
    return name, text


def _numbers(text: str, between: str | None, what: str, example: str) -> list[float]:
    try:
        return [float(part) for part in (text.split(between) if between else [text])]
    except ValueError:
        raise errors.ConfigError(what, why="not numbers", remedy=f"such as {example}") from None
