"""k-nearest-neighbour density (Loftsgaarden and Quesenberry 1965).

    p(x) = k / (m V_d r_k(x)^d),     r_k = distance to the k-th nearest of m reference rows

In hundreds of dimensions r^d overflows and says nothing that r does not, for it falls with r: the
score is r_k itself, or the cosine it stands for on unit rows, r^2 = 2 - 2 cos. Unlike a kernel it
has no bandwidth to get wrong. Far rows are outliers (Ramaswamy et al. 2000 rank by just this r_k);
dense ones are the redundant.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg
from tamis.schemas import columns, embeddings, uids
from tamis.scorers import difficulty, fitted

_PAIRS = 1 << 24  # 128 MiB of cosines at a time


class Reference(NamedTuple):
    """A sample of the pool.

    Attributes:
      x: Shape (m, d), unit rows.
      names: Shape (m, 2), their uids, so that no row is its own neighbour.
    """

    x: NDArray[np.float32]
    names: NDArray[np.uint64]


def kth_cosine(
    x: NDArray[np.float32], names: NDArray[np.uint64], reference: Reference, k: int
) -> NDArray[np.float32]:
    """The cosine of each row to its k-th nearest reference row, itself left out; -1..1.

    Time O(n m d), one product, the same for a row in any batch (`linalg.exact_product`); memory
    128 MiB whatever n. A copy with another uid is a neighbour.

    Args:
      x: Shape (n, d), about unit norm.
      names: Shape (n, 2), the uid of each row.
      reference: At least k + 1 rows.
      k: At least 1.
    """
    found = np.empty(len(x), np.float32)
    y = linalg.unit(reference.x)
    step = max(1, _PAIRS // len(y))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        cosine = linalg.exact_product(linalg.unit(x[part]), y)
        cosine[_same(names[part], reference.names)] = -np.inf
        found[part] = np.clip(-np.partition(-cosine, k - 1, axis=1)[:, k - 1], -1, 1)
    return found


def _same(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> tuple[NDArray, NDArray]:
    """Positions (row, column) of equal uids; those of `b` are distinct."""
    place = np.lexsort((b[:, 1], b[:, 0]))
    at = np.minimum(np.searchsorted(b[place, 0], a[:, 0]), len(b) - 1)
    row = np.flatnonzero((b[place[at]] == a).all(axis=1))
    return row, place[at[row]]


def log_density(cosine: NDArray[np.float32], k: int, m: int, d: int) -> NDArray[np.float64]:
    """The natural logarithm of the equation above, for whoever wants a density and not a rank.

    Args:
      cosine: Of `kth_cosine`; 1 has infinite density.
      k: Of the neighbour.
      m: Reference rows.
      d: Dimensions of the space the rows fill, at most that of the embedding.
    """
    from scipy import special

    volume = d / 2 * np.log(np.pi) - special.gammaln(d / 2 + 1)
    with np.errstate(divide="ignore"):
        radius = 0.5 * np.log(np.maximum(2 - 2 * cosine.astype(np.float64), 0))
    return np.log(k) - np.log(m) - volume - d * radius


@dataclasses.dataclass(frozen=True)
class NearestNeighbours(fitted.Fitted):
    """Cosine to the k-th nearest of a hash sample of the pool. Memory O(m d) a worker.

    Attributes:
      reference: Path of an `.npy`, shape (m, d).
      names: Path of an `.npy`, shape (m, 2) uint64, their uids.
      k: The neighbour; default ceil(sqrt(m)), which grows without end while its share of the rows
        vanishes, as consistency needs.
      sample: Rows of the reference.
      keep: `easy` scores the rows in dense regions highest, `hard` those in sparse ones, which is
        for coverage (Sachdeva et al. 2024 draw rows by inverse density).
      name: Of the sidecar.
    """

    reference: str
    names: str
    k: int | None = None
    sample: int = 4_096
    keep: difficulty.Keep = "easy"
    name: str = "nearest_neighbours"
    reads: ClassVar[tuple[str, ...]] = (columns.UID, columns.EMBEDDING)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)
        if self.sample < 2 or (self.k is not None and not 1 <= self.k < self.sample):
            raise errors.ConfigError(
                f"k is {self.k} and sample {self.sample}", remedy="set 1 <= k < sample"
            )

    @functools.cached_property
    def _artifact(self) -> Reference:
        found = Reference(np.array(artifacts.read(self.reference)), artifacts.read(self.names))
        if len(found.x) <= self._kth(len(found.x)):
            raise errors.ArtifactError(
                f"{len(found.x)} reference rows for neighbour {self._kth(len(found.x))}",
                where=self.reference,
                why="a row is not its own neighbour",
                remedy="set a smaller k",
            )
        return found

    def _kth(self, m: int) -> int:
        return self.k or default_k(m)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        names = uids.from_hex(batch.column(columns.UID))
        cosine = kth_cosine(x, names, self._artifact, self._kth(len(self._artifact.x)))
        return difficulty.oriented(-cosine, self.keep)


def default_k(m: int) -> int:
    """The neighbour for a reference of `m` rows.

    >>> default_k(4096), default_k(2)
    (64, 2)
    """
    return int(np.ceil(np.sqrt(m)))
