"""All pairs of rows whose cosine reaches a threshold, exactly, without comparing all of them.

Rows are compared inside their cell and in the cells they visit (`cells`). There, a certified screen
goes first. With B an orthonormal basis of p directions, and s(x) = (x B, |x - x B B'|), a unit row
of p + 1 coordinates, Cauchy-Schwarz on what B leaves out gives

    <x, y>  <=  <s(x), s(y)>

so a pair whose screen is below the threshold is no near pair. The few that pass are measured, in
float64. Rows are rounded to multiples of 2^-24 first (as fine as float32), so that every partial
sum of a product of two is a multiple of 2^-48 below 2: float64 holds it exactly, in any order. A
cosine therefore has the same bits in any block, by any BLAS, on any number of threads.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import clusters, nearest
from tamis.selectors import cells

CELLS = 2  # times the root of n
SCREEN = 47  # directions; with the norm of the rest 48 coordinates, 3/16 of a product at d = 256
_ROUNDOFF = 2.0**-24
_GRID = 2.0**24
_TILE = 1 << 20  # products at a time, 4 MiB
_SAMPLE = 32  # rows to fit on, for each cell
_MEASURED = 1_024  # pairs gathered at a time
_CROWDED = 64  # a tile where more than one in this many passes the screen is multiplied out


class Pairs(NamedTuple):
    """Near pairs.

    Attributes:
      a: Shape (p,) int64, a row.
      b: Shape (p,) int64, the other.
      similarity: Shape (p,) float32, at least the threshold: a cosine here.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    similarity: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a matrix, ready to be compared. Only screens are copied.

    Attributes:
      x: Shape (m, d) float32, unit rows.
      rows: Shape (n,) int64, rows of `x`.
      screens: Shape (n, p + 1) float32, `s` of those rows.
    """

    x: NDArray[np.float32]
    rows: NDArray[np.int64]
    screens: NDArray[np.float32]

    def at(self, part: slice | NDArray[np.int64]) -> "Block":
        return Block(self.x, self.rows[part], self.screens[part])

    def __len__(self) -> int:
        return len(self.rows)


def basis(centroids: NDArray[np.float32], directions: int = SCREEN) -> NDArray[np.float32]:
    """The leading eigenvectors of the centroids' second moment, shape (d, at most `directions`).

    Any orthonormal basis is correct; the more of the rows' norm it holds, the fewer pairs pass.
    """
    wide = centroids.astype(np.float64)
    _, vectors = np.linalg.eigh(wide.T @ wide)  # ascending
    return np.ascontiguousarray(vectors[:, ::-1][:, :directions], np.float32)


def block(x: NDArray[np.float32], directions: NDArray[np.float32]) -> Block:
    """Rows with their screens. Time n d p.

    The norm of the rest is rounded up by what the float32 product may have lost.
    """
    kept = x @ directions
    lost = _lost(*directions.shape)
    rest = np.sqrt(np.maximum(1.0 - np.einsum("np,np->n", kept, kept), 0.0) + lost)
    screens = np.concatenate([kept, rest[:, None].astype(np.float32)], axis=1)
    return Block(x, np.arange(len(x)), screens)


def _lost(d: int, p: int) -> float:
    """What the square of a screen's norm may be off by."""
    return 4.0 * math.sqrt(p) * (d + 3) * _ROUNDOFF


def _on_grid(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows rounded to multiples of 2^-24."""
    found = x.astype(np.float64)
    found *= _GRID
    np.rint(found, out=found)
    found /= _GRID
    return found


def within(rows: Block, threshold: float) -> Iterator[Pairs]:
    """Near pairs of the rows of a block, by their places in it, a < b, tile by tile."""
    start = 0
    while start < len(rows):
        rest = rows.at(slice(start, None))
        stop = min(max(1, _TILE // len(rest)), len(rest))
        for found in between(rest.at(slice(stop)), rest, threshold):
            once = found.a < found.b
            yield Pairs(found.a[once] + start, found.b[once] + start, found.similarity[once])
        start += stop


def between(left: Block, right: Block, threshold: float) -> Iterator[Pairs]:
    """Near pairs of a row of one block (`a`) and a row of another (`b`), tile by tile.

    Time n m (p + 1), and d for each pair that passes the screen; memory `_TILE` products.
    """
    step = max(1, _TILE // max(len(right), 1))
    for start in range(0, len(left), step):
        found = _tile(left.at(slice(start, start + step)), right, threshold)
        yield Pairs(found.a + start, found.b, found.similarity)


def _tile(left: Block, right: Block, threshold: float) -> Pairs:
    least = np.float32(threshold - 8.0 * (left.x.shape[1] + 3) * _ROUNDOFF)
    crowd = len(left) * len(right) // _CROWDED
    place = _above(left.screens, right.screens, least)
    if len(place) > crowd:  # the screen tells too little here
        place = _above(left.x[left.rows], right.x[right.rows], least)
    if len(place) > crowd:  # near pairs indeed: cheaper all at once
        exact = _on_grid(left.x[left.rows]) @ _on_grid(right.x[right.rows]).T
        a, b = np.nonzero(exact.astype(np.float32) >= np.float32(threshold))
        return Pairs(a, b, np.minimum(exact[a, b].astype(np.float32), 1))
    a, b = np.divmod(place, max(len(right), 1))
    a, b = _likely(left, right, a, b, least)
    similarity = cosine(left.x, right.x, left.rows[a], right.rows[b])
    near = similarity >= np.float32(threshold)
    return Pairs(a[near], b[near], similarity[near])


def _above(x: NDArray[np.float32], y: NDArray[np.float32], least: np.float32) -> NDArray[np.int64]:
    """Places in x @ y.T with at least a value, row by row."""
    return np.flatnonzero((x @ y.T).ravel() >= least)


def _likely(
    left: Block, right: Block, a: NDArray[np.int64], b: NDArray[np.int64], least: np.float32
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose float32 product has at least a value."""
    likely = np.empty(len(a), bool)
    for start in range(0, len(a), _MEASURED):
        part = slice(start, start + _MEASURED)
        x, y = left.x[left.rows[a[part]]], right.x[right.rows[b[part]]]
        likely[part] = np.einsum("nd,nd->n", x, y) >= least
    return a[likely], b[likely]


def cosine(
    x: NDArray[np.float32], y: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The cosine of row a[i] of `x` and row b[i] of `y`, unit rows."""
    out = np.empty(len(a), np.float32)
    for start in range(0, len(a), _MEASURED):
        part = slice(start, start + _MEASURED)
        wide = _on_grid(x[a[part]]), _on_grid(y[b[part]])
        out[part] = nearest.row_dot(*wide)
    return np.minimum(out, 1)


class Layout(NamedTuple):
    """Where rows are compared: in the cells of their screens.

    Screens are unit rows of which no two are further apart than the rows, so near pairs are near
    there too, and the border of `cells` is as certain in a few coordinates as in all of them.

    Attributes:
      directions: Shape (d, p), orthonormal columns.
      centroids: Shape (k, p + 1), unit rows; any will do, and good ones are fast.
    """

    directions: NDArray[np.float32]
    centroids: NDArray[np.float32]


def layout(x: NDArray[np.float32], *, seed: int = 0) -> Layout:
    """A layout for rows like these, fitted to rows at equal steps. Time k^2 p.

    `CELLS` times the root of n cells: comparing costs n^2 / k, and finding the cells n k.

    Args:
      x: Shape (n, d), unit rows, n at least 1.
      seed: Of the first centroids.
    """
    k = min(CELLS * clusters.default_k(len(x)), len(x))
    sample = x[:: max(len(x) // (_SAMPLE * k), 1)]
    directions = basis(sample)
    centroids = clusters.fit(block(sample, directions).screens, k, iterations=3, seed=seed)
    return Layout(directions, centroids)


def near_pairs(
    x: NDArray[np.float32],
    threshold: float,
    *,
    where: Layout,
    probes: int | None = None,
    workers: int = 1,
) -> tuple[Pairs, NDArray[np.bool_]]:
    """All pairs with a cosine of at least `threshold`, of rows that fit in memory.

    Time n k p for the visits, and about (1 + visits a row) n^2 / k screens. Memory O(n + pairs)
    beside `x`. BLAS should have one thread where `workers` is above 1.

    Args:
      x: Shape (n, d), unit rows.
      threshold: A cosine, above -1.
      where: The cells.
      probes: Cells a row may visit beside its own; None for all it must, and no pair is missed.
      workers: Threads.

    Returns:
      The pairs (a < b, ascending), and which rows had to leave out cells, shape (n,): only a pair
      with such a row may be missing.
    """
    rows, k = block(x, where.directions), len(where.centroids)
    most = k if probes is None else probes
    lowest = threshold - 2.0 * _lost(*where.directions.shape)
    visits = cells.Cells(where.centroids, lowest).visits(rows.screens, probes=most)
    members = _by_cell(np.arange(len(x)), visits.own, k)
    visitors = _by_cell(visits.row, visits.cell, k)

    def compare(cell: int) -> list[Pairs]:
        return list(_in_cell(rows, members(cell), visitors(cell), threshold))

    with futures.ThreadPoolExecutor(workers) as pool:
        found = [p for part in pool.map(compare, range(k)) for p in part]
    return _once(found, len(x)), visits.capped


def _by_cell(
    rows: NDArray[np.int64], cell: NDArray[np.int32], k: int
) -> Callable[[int], NDArray[np.int64]]:
    """Rows of a cell, ascending."""
    order = rows[np.argsort(cell, kind="stable")]
    stops = np.cumsum(np.bincount(cell, minlength=k))
    return lambda i: order[stops[i - 1] if i else 0 : stops[i]]


def _in_cell(
    rows: Block, members: NDArray[np.int64], visitors: NDArray[np.int64], threshold: float
) -> Iterator[Pairs]:
    here = rows.at(members)
    for p in within(here, threshold):
        yield Pairs(members[p.a], members[p.b], p.similarity)
    for p in between(here, rows.at(visitors), threshold):
        a, b = members[p.a], visitors[p.b]
        yield Pairs(np.minimum(a, b), np.maximum(a, b), p.similarity)


def _once(parts: list[Pairs], n: int) -> Pairs:
    """A pair may have met in the cells of both its rows."""
    found = joined(parts)
    _, first = np.unique(found.a * n + found.b, return_index=True)
    return Pairs(found.a[first], found.b[first], found.similarity[first])


def joined(parts: Iterable[Pairs]) -> Pairs:
    """The pairs of all parts, in order."""
    none = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    return Pairs(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))
