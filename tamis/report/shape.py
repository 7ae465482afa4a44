"""What the rows are like: a few numbers, each with what it says."""

from tamis.report import facts, markup, tables, words
from tamis.schemas import geometry


def numbers(known: facts.Facts) -> markup.Safe | None:
    """A line for each fact; None where the run has none."""
    if known.geometry is None:
        return None
    columns = [
        tables.Column("Fact", number=False),
        tables.Column("Value"),
        tables.Column("What it says", number=False),
    ]
    return tables.table(columns, _rows(known.geometry))


def _rows(found: geometry.Geometry) -> list[list[object]]:
    rows: list[list[object]] = [
        [
            "Intrinsic dimension",
            _decimal(found.intrinsic_dimension),
            f"Coordinates that would do near a row, of {words.count(found.dimension)}; "
            "the more, the more rows it takes to cover them. Low above 10.",
        ],
        [
            "Effective distinct rows",
            _decimal(found.distinct),
            f"Directions that are about equally used, of {words.count(found.dimension)}.",
        ],
        [
            "Cluster imbalance",
            _decimal(found.cluster_imbalance),
            "1 if clusters are equally large; 2 as if half of them were empty.",
        ],
    ]
    if found.classes:
        rows.append(_classes(found.classes))
    if found.nearest_other_label is not None:
        rows.append(_sharpness(found.nearest_other_label))
    return rows


def _classes(classes: dict[str, int]) -> list[object]:
    most, least = max(classes, key=lambda c: classes[c]), min(classes, key=lambda c: classes[c])
    said = f"{most} ({words.count(classes[most])}) against {least} ({words.count(classes[least])})."
    return [
        "Class imbalance",
        f"{classes[most] / classes[least]:.3g}×",
        f"Largest over smallest: {said}",
    ]


def _sharpness(distance: float) -> list[object]:
    said = "One over the least distance of two rows with different labels."
    if distance == 0:
        return ["Label sharpness", "∞", f"{said} Here two labels share one vector."]
    return ["Label sharpness", f"{1 / distance:.3g}", said]


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
