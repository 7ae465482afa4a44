"""Small charts, one per stratum: what another sample is worth, against how often rows repeat."""

from tamis.report import facts, frame, markup, panels, scales, words
from tamis.schemas import plan

_CLEAR = 0.005  # a utility below it is as good as none


def figure(known: facts.Facts) -> markup.Safe | None:
    """All panels on common axes; None where the plan has no fitted curves."""
    fitted = known.plan.fitted
    if not fitted:
        return None
    x = panels.horizontal([n / max(f.supply, 1) for f in fitted for n in f.samples])
    y = panels.vertical([0.0, *(u for f in fitted for u in f.utility)])
    note = (
        "Utility is the rate at which error falls with samples, -d log error / d log samples, by "
        "the fitted laws: 0.1 means that ten times the samples take a fifth off the error. Against "
        "passes over the stratum alone: left of the dotted line every sample is new, right of it "
        "rows repeat. Below 0 another pass makes the model worse. The band is 90 % of what the "
        "pilots leave open about the laws."
    )
    drawn = [_panel(f, i, x, y) for i, f in enumerate(fitted)]
    return panels.figure("What another sample is worth", note, drawn)


def _panel(fitted: plan.Fitted, i: int, x: scales.Scale, y: scales.Scale) -> markup.Safe:
    passes = [n / max(fitted.supply, 1) for n in fitted.samples]
    parts = panels.axes(x, y, lambda v: f"{v:.2g}", words.times)
    parts += panels.once(x, y, 1.0)
    parts.append(frame.line("axis", x.start, y(0), x.stop, y(0)))
    parts += panels.band(passes, fitted.utility, fitted.utility_ends, i, x, y)
    label = f"Utility of {fitted.stratum} against passes"
    return panels.panel(fitted.stratum, i, label, parts, story(fitted))


def story(fitted: plan.Fitted) -> str:
    """Where repeating stops to pay, in words."""
    passes = [n / max(fitted.supply, 1) for n in fitted.samples]
    worn = next(
        (p for p, u in zip(passes, fitted.utility, strict=True) if p > 1 and u < _CLEAR), None
    )
    first = f"Utility {fitted.utility[0]:.2g} at {words.count(fitted.samples[0])} samples"
    if worn is None:
        return f"{first}, {fitted.utility[-1]:.2g} at {words.times(passes[-1])}."
    return f"{first}; after about {words.times(worn)} another pass brings nothing."
