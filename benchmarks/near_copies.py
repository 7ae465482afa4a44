"""Made-up unit vectors with near-copies planted in them, any number, in seconds.

Like embeddings of text, they have topics of very different sizes and a spectrum that decays: x =
topic + within, coordinates with a standard deviation of (1 + j)^-0.4 in a random basis. `flat` has
neither: uniform on the sphere, the worst case for any clustering.

A family is a row and some copies of it, each turned away from it by an angle whose cosine is
uniform in [lowest, 1]; a pair (row, copy) is then known to be near without comparing anything.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import seeding

_ROWS = 65_536


class Planted(NamedTuple):
    """Rows in random order.

    Attributes:
      x: Shape (n, d) float32, unit rows.
      row: Shape (p,), rows that were copied.
      copy: Shape (p,), their copies.
    """

    x: NDArray[np.float32]
    row: NDArray[np.int64]
    copy: NDArray[np.int64]


def planted(
    n: int, d: int, *, lowest: float, share: float = 0.2, seed: int = 0, flat: bool = False
) -> Planted:
    """`share` of the n rows are copies of others. Memory about 4 n d bytes."""
    rng = seeding.generator(seed, "near copies", n, d, flat)
    originals = n - int(share * n)
    x = np.empty((n, d), np.float32)
    topics = rows(rng, 2_000, d, flat=flat)
    size = rng.dirichlet(1.0 / np.arange(1, 2_001) ** 0.7 * 200)
    for start in range(0, originals, _ROWS):
        part = x[start : min(start + _ROWS, originals)]
        part[:] = rows(rng, len(part), d, flat=flat)
        if not flat:
            part += 0.7 * topics[rng.choice(len(topics), len(part), p=size)]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    source = rng.integers(0, originals, n - originals)
    for start in range(0, len(source), _ROWS):
        part = source[start : start + _ROWS]
        stop = originals + start + len(part)
        x[originals + start : stop] = turned(rng, x[part], lowest)
    order = rng.permutation(n)
    place = np.argsort(order)
    return Planted(x[order], place[source], place[originals:])


def rows(rng: np.random.Generator, n: int, d: int, *, flat: bool) -> NDArray[np.float32]:
    x = rng.standard_normal((n, d), np.float32)
    if not flat:
        x *= (1 + np.arange(d, dtype=np.float32)) ** -0.4
        basis, _ = np.linalg.qr(seeding.generator(0, "basis").standard_normal((d, d)))
        x = x @ basis.astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def turned(rng: np.random.Generator, x: NDArray[np.float32], lowest: float) -> NDArray[np.float32]:
    """Each row turned in a random direction, by an angle with a cosine in [lowest, 1]."""
    cosine = rng.uniform(lowest, 1, len(x))[:, None].astype(np.float32)
    away = rng.standard_normal(x.shape, np.float32)
    away -= np.einsum("nd,nd->n", away, x)[:, None] * x
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    found = cosine * x + np.sqrt(1 - cosine**2) * away
    return found / np.linalg.norm(found, axis=1, keepdims=True)
