"""One colour per stratum on the whole page: a hue per source, paler for the lower tiers.

Okabe and Ito's (2008) colours, which colour-blind readers tell apart, and two of Tol's (2021).
A colour never stands alone: every line, area and row also carries its name.
"""

from collections.abc import Sequence

from tamis.report import markup
from tamis.schemas import plan

_HUES = ("#0072b2", "#e08e00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#882255", "#999933")
_PAPER, _NIGHT = "#ffffff", "#14171c"
_PALEST = 0.62  # of the way to the background, for the last tier


def css(strata: Sequence[plan.Stratum]) -> markup.Safe:
    """Custom properties `--s0, --s1, …` (areas, lines) and `--t0, …` (text) for both modes."""
    light, dark = [], []
    for i, (hue, fade) in enumerate(_hues(strata)):
        light.append(f"--s{i}:{mix(hue, _PAPER, fade)};--t{i}:{mix(hue, '#000000', 0.38)}")
        bright = mix(hue, "#ffffff", 0.16)
        dark.append(f"--s{i}:{mix(bright, _NIGHT, fade)};--t{i}:{mix(hue, '#ffffff', 0.5)}")
    return markup.Safe(
        f":root{{{';'.join(light)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{';'.join(dark)}}}}}"
        f"@media print{{:root{{{';'.join(light)}}}}}"
    )


def fill(i: int) -> str:
    """A style for an area of stratum i."""
    return f"fill:var(--s{i})"


def stroke(i: int) -> str:
    """A style for a line of stratum i."""
    return f"stroke:var(--s{i})"


def ink(i: int) -> str:
    """A style for SVG text about stratum i, dark enough to read."""
    return f"fill:var(--t{i})"


def chip(i: int) -> markup.Safe:
    """A small square of the stratum's colour, beside its name."""
    return markup.tag("i", class_="chip", style=f"background:var(--s{i})")


def mix(colour: str, other: str, part: float) -> str:
    """`colour` with `part` of `other` in it.

    >>> mix("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = [(int(colour[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{int(a + (b - a) * part + 0.5):02x}" for a, b in pairs)


def _hues(strata: Sequence[plan.Stratum]) -> list[tuple[str, float]]:
    """Hue and fade of every stratum."""
    sources = list(dict.fromkeys(s.source for s in strata))
    found = []
    for s in strata:
        place = sources.index(s.source)
        hue = mix(_HUES[place % len(_HUES)], "#000000", 0.3 * min(place // len(_HUES), 2))
        tiers = sorted({o.tier for o in strata if o.source == s.source})
        fade = _PALEST * tiers.index(s.tier) / (len(tiers) - 1) if len(tiers) > 1 else 0.0
        found.append((hue, fade))
    return found
