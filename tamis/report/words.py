"""Numbers as people read them."""

import math

_PIXELS = {"narrow": 0.32, "usual": 0.6, "wide": 0.86}  # per pixel of font size


def count(n: float) -> str:
    """`128,000`."""
    return f"{n:,.0f}"


def short(n: float) -> str:
    """`128k`, for narrow axes.

    >>> short(500), short(2000), short(1_500_000)
    ('500', '2k', '1.5M')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return f"{n:.3g}"


def error(value: float | None) -> str:
    """Three digits, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def axis(value: float) -> str:
    """An error beside an axis, as short as it goes: `0.35`, `0.325`."""
    text = f"{value:.3f}"
    return text.removesuffix("0")


def signed(value: float) -> str:
    """`+0.053`, with a real minus."""
    return f"{value:+.3f}".replace("-", "−")


def interval(pair: tuple[float, float]) -> str:
    """`0.312 to 0.340`."""
    return f"{error(pair[0])} to {error(pair[1])}"


def percent(share: float) -> str:
    """`51%`; a share that is small but not nothing is `<1%`."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def times(epochs: float) -> str:
    """`6.9×`."""
    return f"{epochs:.2g}×" if epochs < 10 else f"{count(epochs)}×"


def seconds(value: float) -> str:
    """`47.7 s`, `3 min 5 s`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def width(text: str, size: float) -> float:
    """About how many pixels `text` takes in a system font of `size` pixels."""
    return size * sum(_PIXELS[_kind(c)] for c in text)


def clipped(text: str, size: float, room: float) -> str:
    """`text`, or its two ends around an ellipsis when it takes more than `room` pixels.

    The end stays, because that is where `source/tier-2 alone` says which one it is.
    """
    if width(text, size) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head = (kept + 1) // 2
        short_ = f"{text[:head]}…{text[len(text) - kept + head :]}"
        if width(short_, size) <= room:
            return short_
    return "…"


def _kind(character: str) -> str:
    if character in "iljtfr.,:;'|!()[] /-·":
        return "narrow"
    return "wide" if character in "mwMW@%" or ord(character) > 0x2E80 else "usual"
