"""A chart of who serves which part of the target: optimal transport from strata to clusters."""

from collections.abc import Sequence

from tamis.report import facts, frame, markup, palette, scales, words
from tamis.selectors import wording

_SHOWN = 9  # clusters with a bar of their own, and those that nobody serves
_ALONE = 6  # of the latter
_THIN = 0.004  # of the target: a thinner stream is not drawn
_HEIGHT, _TOP, _BAR, _GAP = 380.0, 22.0, 10.0, 9.0
_LEFT = {"wide": 150.0, "middle": 120.0, "narrow": 112.0}
_RIGHT = {"wide": 300.0, "middle": 230.0, "narrow": 150.0}


def figure(known: facts.Facts, found: facts.Transport) -> markup.Safe:
    """Streams from left to right, and in words what nobody serves."""
    note = (
        "Left what the plan takes for its largest budget, right the clusters of the target, by "
        "their most typical words; a stream is as thick as the rows that exact transport moves. "
        "Transport always serves everybody, if from afar: a dashed cluster is one about which no "
        "stratum has a twentieth of the target's density."
    )
    title = f"Who serves which part of the target, at {known.told(found.amount)}"
    return frame.figure(title, note, lambda size: draw(known, found, size), more=alone(found))


def alone(found: facts.Transport) -> markup.Safe:
    """The clusters that nobody serves, or that there is none."""
    lost = [c for c in found.clusters if c.nobody]
    if not lost:
        return markup.tag("p", "Every cluster of the target is served by somebody.", class_="note")
    said = [wording.unserved(c.name, c.share) for c in lost[:_ALONE]]
    if len(lost) > _ALONE:
        rest = sum(c.share for c in lost[_ALONE:])
        said.append(f"and {len(lost) - _ALONE} more, {rest:.1%} of the target")
    return markup.tag("ul", *(markup.tag("li", s) for s in said), class_="nobody")


def shown(clusters: Sequence[facts.Cluster]) -> list[facts.Cluster]:
    """The largest, the largest that nobody serves, and all others as one."""
    lost = [c for c in clusters if c.nobody][:_ALONE]
    kept = [c for c in clusters if not c.nobody][: _SHOWN - len(lost)]
    rest = [c for c in clusters if c not in lost and c not in kept]
    if not rest:
        return [*kept, *lost]
    share = sum(c.share for c in rest)
    parts = zip(*([c.share * s for s in c.served] for c in rest), strict=True)
    name = f"{len(rest)} other clusters" if len(rest) > 1 else rest[0].name
    other = facts.Cluster(name, share, tuple(sum(p) / share for p in parts), nobody=False)
    return [*kept, other, *lost]


def draw(known: facts.Facts, found: facts.Transport, size: frame.Size) -> markup.Safe:
    """The chart at one size."""
    clusters = shown(found.clusters)
    left, right = _LEFT[size.name], size.width - _RIGHT[size.name]
    strata = list(zip(*([c.share * s for s in c.served] for c in clusters), strict=True))
    used = [i for i, row in enumerate(strata) if sum(row) > _THIN]
    starts = _stacked([sum(strata[i]) for i in used])
    stops = _stacked([c.share for c in clusters])
    parts = _streams(clusters, strata, dict(zip(used, starts, strict=True)), stops, (left, right))
    for i, (at, tall) in zip(used, starts, strict=True):
        parts.append(_bar(left - _BAR, at, tall, palette.fill(i)))
        parts.append(_source(known, i, sum(strata[i]), left, at + tall / 2))
    for c, (at, tall) in zip(clusters, stops, strict=True):
        kind = "part nobody" if c.nobody else "part"
        parts.append(_bar(right, at, tall, "", kind))
    parts.append(_names(clusters, [at + tall / 2 for at, tall in stops], right, size))
    return frame.svg(size.width, _TOP + _HEIGHT + 16, "From strata to clusters", *parts)


def _stacked(shares: Sequence[float]) -> list[tuple[float, float]]:
    """Top and height of bars one under another, gaps between them, over the whole height."""
    room = (_HEIGHT - _GAP * (len(shares) - 1)) / max(sum(shares), 1e-9)
    found, at = [], _TOP
    for share in shares:
        found.append((at, share * room))
        at += share * room + _GAP
    return found


def _streams(
    clusters: Sequence[facts.Cluster],
    strata: Sequence[Sequence[float]],
    starts: dict[int, tuple[float, float]],
    stops: Sequence[tuple[float, float]],
    ends: tuple[float, float],
) -> list[markup.Safe]:
    """A ribbon for each stratum and cluster; each bar is used up from its top."""
    parts = []
    fill = {i: at for i, (at, _) in starts.items()}
    for j, (c, (at, tall)) in enumerate(zip(clusters, stops, strict=True)):
        for i in starts:
            mass = strata[i][j]
            a = mass / sum(strata[i]) * starts[i][1]
            b = mass / c.share * tall
            if mass > _THIN:
                d = _ribbon(ends, (fill[i], fill[i] + a), (at, at + b))
                kind = "flow far" if c.nobody else "flow"
                parts.append(markup.tag("path", class_=kind, d=d, style=palette.fill(i)))
            fill[i] += a
            at += b
    return parts


def _ribbon(
    ends: tuple[float, float], start: tuple[float, float], stop: tuple[float, float]
) -> str:
    """Two cubic curves, level at both ends; relative, which takes fewer bytes."""
    (x, z), (a, b), (c, d) = ends, start, stop
    half, far = f"{(z - x) / 2:.0f}", f"{z - x:.0f}"
    upper = f"M{x:.0f},{a:.1f}c{half},0 {half},{c - a:.1f} {far},{c - a:.1f}"
    return f"{upper}V{d:.1f}c-{half},0-{half},{b - d:.1f}-{far},{b - d:.1f}Z"


def _bar(x: float, y: float, tall: float, style: str, kind: str = "") -> markup.Safe:
    return markup.tag(
        "rect",
        class_=kind or None,
        x=x,
        y=y,
        width=_BAR,
        height=max(tall, 1.5),
        style=style or None,
    )


def _source(known: facts.Facts, i: int, share: float, left: float, y: float) -> markup.Safe:
    room = left - _BAR - 8
    name = words.clipped(f"{words.percent(share)} {known.plan.strata[i].name}", frame.FONT, room)
    return frame.label(name, left - _BAR - 6, y + 4, anchor="end", style=palette.ink(i))


def _names(
    clusters: Sequence[facts.Cluster], at: Sequence[float], right: float, size: frame.Size
) -> markup.Safe:
    room = size.width - right - _BAR - 10
    parts = []
    for c, y in zip(clusters, scales.spread(at, 17, _TOP, _TOP + _HEIGHT), strict=True):
        text = f"{words.percent(c.share)} {c.name}{', nobody' if c.nobody else ''}"
        short = words.clipped(text, frame.FONT - 0.5, room)
        kind = "end nobody" if c.nobody else "end"
        title = markup.tag("title", text) if short != text else None
        parts.append(frame.label(markup.join([short, title]), right + _BAR + 7, y + 4, class_=kind))
    return markup.join(parts)
