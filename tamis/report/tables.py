"""Tables that become cards on a narrow screen."""

import dataclasses
from collections.abc import Sequence

from tamis.report import markup


@dataclasses.dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
      title: Its heading; beside the value on a narrow screen.
      number: Whether it is aligned right.
      sign: An operator before it (`=`, `+`), in tables that add up.
    """

    title: str
    number: bool = True
    sign: str = ""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], *, class_: str = ""
) -> markup.Safe:
    """Rows under headings; the first column names the row."""
    head = markup.tag(
        "tr", *(markup.tag("th", c.title, class_=_class(c), scope="col") for c in columns)
    )
    body = [markup.tag("tr", *_cells(columns, row)) for row in rows]
    whole = markup.tag(
        "table", markup.tag("thead", head), markup.tag("tbody", *body), class_=class_ or None
    )
    return markup.tag("div", whole, class_="scroll")


def _cells(columns: Sequence[Column], row: Sequence[object]) -> list[markup.Safe]:
    cells = []
    for i, (column, value) in enumerate(zip(columns, row, strict=True)):
        sign = markup.tag("span", column.sign, class_="sign") if column.sign else None
        shown = markup.tag("span", value)
        if i == 0:
            cells.append(
                markup.tag("th", shown, class_=_class(column), scope="row", data_title=column.title)
            )
        else:
            cells.append(
                markup.tag("td", sign, shown, class_=_class(column), data_title=column.title)
            )
    return cells


def _class(column: Column) -> str | None:
    return "n" if column.number else None
