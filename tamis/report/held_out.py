"""Small charts: what the transport law predicted of trainings it was fitted without."""

from tamis.report import facts, frame, markup, panels, scales, words


def figure(known: facts.Facts, found: facts.Transport) -> markup.Safe | None:
    """A panel for each kind of trainings left out; None where none could be."""
    if not found.held:
        return None
    note = (
        f"Coverage, the law that knows where the sources lie, for {known.told(found.amount)}. "
        "Across what was measured, upwards what it had predicted when fitted without these "
        "trainings; a perfect law is on the line. A point is a setting, its seeds averaged; of "
        "many settings some are drawn, evenly over what was measured."
    )
    values = [v for h in found.held for v in (*h.measured, *h.predicted)]
    x, y = panels.across(values), panels.vertical(values)
    drawn = [_panel(held, x, y) for held in found.held]
    return panels.figure("What transport predicted of trainings it had not seen", note, drawn)


def _panel(held: facts.Held, x: scales.Scale, y: scales.Scale) -> markup.Safe:
    parts = panels.axes(x, y, words.axis, words.axis)
    parts.append(frame.line("repeats", x(x.low), y(x.low), x(x.high), y(x.high)))
    pairs = zip(held.measured, held.predicted, strict=True)
    # A dot is a line without length and with round ends: a fifth of the bytes of a circle.
    dots = "".join(f"M{x(m):.0f},{y(p):.0f}h0" for m, p in pairs)
    parts.append(markup.tag("path", class_="held", d=dots))
    head = markup.tag("h4", held.title)
    drawing = panels.drawing(f"{held.title}: predicted against measured", parts)
    return markup.tag("div", head, drawing, markup.tag("p", story(held)), class_="panel")


def story(held: facts.Held) -> str:
    """How far it missed, in words."""
    return f"Root mean square {held.error:.4f} over {held.settings:,} settings."
