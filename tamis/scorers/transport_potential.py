"""Transport potential: what more of a row does to the distance from the target (LAVA).

The derivative of the entropic transport cost in the mass of a row is its dual potential (Just et
al. 2023, eq. 5), and the soft c-transform extends it to rows that were not there at the solve:

    f(x) = -epsilon log mean_j exp((g_j - c(x, y_j)) / epsilon),   c = 1 - cosine

The score is -f, with g such that f is 0 on average over the supply: above 0, more rows like this
one bring the supply nearer to the target.
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, nearest
from tamis.schemas import columns, embeddings

_PAIR_BYTES = 32 << 20


def soft_transform(
    x: NDArray[np.floating], target: NDArray[np.floating], g: NDArray[np.floating], epsilon: float
) -> NDArray[np.float64]:
    """The soft c-transform of g at each row of x, shape (n,), for equal masses of the target.

    Time O(n m d), one float64 product; memory 32 MiB beside the inputs. The same bytes for a row
    whatever batch it stands in: the product is exact (`linalg.products`).

    Args:
      x: Shape (n, d), no zero rows.
      target: Shape (m, d), no zero rows.
      g: Shape (m,), in units of the cosine.
      epsilon: Above 0, that of the solve.

    Raises:
      ValueError: a row is zero or not finite.
    """
    ends, out = linalg.fixed_point(nearest.unit(target)), np.empty(len(x))
    shift = g.astype(np.float64) / epsilon - np.log(len(g))
    step = max(1, _PAIR_BYTES // (8 * len(g)))
    for start in range(0, len(x), step):
        part = linalg.fixed_point(nearest.unit(x[start : start + step]))
        cosine = linalg.products(part, ends)
        logits = shift - (1 - cosine) / epsilon
        top = logits.max(axis=1)
        total = np.exp(logits - top[:, None]).sum(axis=1)
        out[start : start + step] = -epsilon * (top + np.log(total))
    return out


class _Artifact(NamedTuple):
    target: NDArray[np.float32]
    potential: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class TransportPotential:
    """High for rows that bring the supply nearer to the target. Memory O(m d) a worker.

    Attributes:
      target: Path of an `.npy`, shape (m, d), the embeddings of the target set.
      potential: Path of an `.npy`, shape (m,), g of its rows, centred.
      epsilon: Regularisation in units of 1 - cosine. Kang et al. (2023) use a blur of 0.1 with
        |x - y|^2 / 2, which for unit rows is 0.01 here; that is below the distance of most
        neighbours in sentence embeddings, so a row's score would hang on its one nearest target.
        0.05 averages over some.
      name: Of the sidecar.
    """

    target: str
    potential: str
    epsilon: float = 0.05
    name: str = "transport_potential"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < np.inf:
            raise ValueError(f"epsilon is {self.epsilon}, and must be above 0")

    def __getstate__(self) -> dict[str, Any]:
        # The fields alone: the artifact stays behind and is loaded where the scorer arrives.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @functools.cached_property
    def _artifact(self) -> _Artifact:
        target = artifacts.read(self.target)
        potential = artifacts.read(self.potential)
        if target.ndim != 2 or not len(target) or potential.shape != (len(target),):
            raise errors.ArtifactError(
                f"potentials of shape {potential.shape} for a target of shape {target.shape}",
                where=self.potential,
                why="every target row has one, and the two files are of one run",
                remedy="delete both and run the stage again",
            )
        return _Artifact(target.astype(np.float32), potential.astype(np.float64))

    def setup(self) -> None:
        _ = self._artifact

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        f = soft_transform(x, self._artifact.target, self._artifact.potential, self.epsilon)
        return -f.astype(np.float32)
