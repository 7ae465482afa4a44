"""What moving one row of the source onto one row of the target costs, block by block.

`Dense` holds the matrix, `Points` computes blocks from the rows, `Labelled` adds a price between
classes, and `holding.Quantised` holds 16 bits an entry. All have `shape`, `dtype`, `error` and
`rows(part)`.
"""

import dataclasses
import functools
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster import hierarchy

from tamis import errors, nearest
from tamis.selectors.transport import masses

Metric = Literal["sqeuclidean", "cosine"]

# A block of rows stays in the second-level cache of a core, which is where the time goes.
BLOCK_BYTES = 2 << 20
# A product wants more rows: 6 ns an entry at 256 dimensions where 1 MiB takes 10.
PRODUCT_BYTES = 16 << 20
# Up to here float64 costs less than a second a solve, so nobody need think about rounding.
SMALL = 1 << 22


@runtime_checkable
class Cost(Protocol):
    """A cost between n source rows and m target rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """What a block is computed in: float32 or float64."""
        ...

    @property
    def error(self) -> float:
        """How far an entry may be from the true cost, beside rounding."""
        ...

    @property
    def range(self) -> tuple[float, float]:
        """Bounds of the entries, not always attained."""
        ...

    def rows(self, part: slice, scale: float = 1.0) -> NDArray[np.floating]:
        """Scale times rows `part`, shape (rows, m), a new array that the caller may overwrite."""
        ...

    def take(self, rows: NDArray[np.int64]) -> "Cost":
        """The cost of some of the source's rows."""
        ...

    def transposed(self) -> "Cost":
        """The same cost from target to source."""
        ...


@dataclasses.dataclass(frozen=True)
class Dense:
    """A cost matrix in memory, shape (n, m), float32 or float64; and what it was made of."""

    matrix: NDArray[np.floating]
    error: float = 0.0
    of: Cost | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.matrix.dtype

    @functools.cached_property
    def range(self) -> tuple[float, float]:
        return float(self.matrix.min()), float(self.matrix.max())

    def rows(self, part: slice, scale: float = 1.0) -> NDArray[np.floating]:
        return np.multiply(self.matrix[part], self.dtype.type(scale), order="C")

    def take(self, rows: NDArray[np.int64]) -> "Dense":
        return Dense(self.matrix[rows], self.error)

    def transposed(self) -> "Dense":
        return Dense(self.matrix.T, self.error)


@dataclasses.dataclass(frozen=True)
class Points:
    """The cost between rows of `x` and `y`, computed whenever it is asked for.

    Memory O((n + m) d) and a block; every pass costs O(n m d), one matrix product.

    Attributes:
      x: Shape (n, d) in the dtype of the blocks; unit rows for the cosine.
      y: Shape (m, d).
      scale: 1 for |x - y|^2 and for 1 - cosine = |x - y|^2 / 2 it is 1/2.
      device: A torch device on which blocks are computed and reduced, None for numpy.
    """

    x: NDArray[np.floating]
    y: NDArray[np.floating]
    scale: float = 1.0
    device: str | None = None
    error: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.x), len(self.y)

    @property
    def dtype(self) -> np.dtype:
        return self.x.dtype

    @functools.cached_property
    def range(self) -> tuple[float, float]:
        far = sum(float(np.sqrt(_squares(v).max())) for v in (self.x, self.y))
        return 0.0, self.scale * far**2

    @functools.cached_property
    def _wide(self) -> NDArray[np.floating]:
        """(y, 1, |y|^2), so that one product makes |x|^2 - 2 <x, y> + |y|^2."""
        one = np.ones((len(self.y), 1), self.dtype)
        return np.concatenate([self.y, one, _squares(self.y)[:, None]], axis=1, dtype=self.dtype)

    def rows(self, part: slice, scale: float = 1.0) -> NDArray[np.floating]:
        x = self.x[part]
        one = np.ones((len(x), 1), self.dtype)
        left = np.concatenate([-2 * x, _squares(x)[:, None], one], axis=1, dtype=self.dtype)
        left *= self.dtype.type(self.scale * scale)
        block = left @ self._wide.T
        clip = np.maximum if scale > 0 else np.minimum
        return clip(block, 0, out=block)  # rounding alone goes below

    def take(self, rows: NDArray[np.int64]) -> "Points":
        return dataclasses.replace(self, x=self.x[rows])

    def transposed(self) -> "Points":
        return dataclasses.replace(self, x=self.y, y=self.x)


@dataclasses.dataclass(frozen=True)
class Labelled:
    """feature * cost + label * between[class of the row, class of the column].

    Attributes:
      base: Between the features.
      between: Shape (k, l), between classes of the source and of the target.
      source: Shape (n,) int64, rows of `between`.
      target: Shape (m,) int64, columns of `between`.
      feature: Factor of the base cost.
      label: Factor of the price between classes.
    """

    base: Cost
    between: NDArray[np.float64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    feature: float = 1.0
    label: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape

    @property
    def dtype(self) -> np.dtype:
        return self.base.dtype

    @property
    def error(self) -> float:
        return self.feature * self.base.error

    @property
    def range(self) -> tuple[float, float]:
        low, high = self.base.range
        prices = self.label * self.between
        return self.feature * low + prices.min(), self.feature * high + prices.max()

    def rows(self, part: slice, scale: float = 1.0) -> NDArray[np.floating]:
        block = self.base.rows(part, scale * self.feature)
        price = (scale * self.label * self.between).astype(self.dtype)
        block += price[:, self.target][self.source[part]]
        return block

    def take(self, rows: NDArray[np.int64]) -> "Labelled":
        return dataclasses.replace(self, base=self.base.take(rows), source=self.source[rows])

    def transposed(self) -> "Labelled":
        base, between = self.base.transposed(), self.between.T
        return Labelled(base, between, self.target, self.source, self.feature, self.label)


def points(
    x: ArrayLike,
    y: ArrayLike,
    *,
    metric: Metric = "sqeuclidean",
    dtype: type[np.floating] | None = None,
    device: str | None = None,
) -> Points:
    """A cost on embeddings.

    Args:
      x: Shape (n, d), finite.
      y: Shape (m, d), finite.
      metric: "sqeuclidean" |x - y|^2, 0 to 4 for unit rows; "cosine" 1 - cos, 0 to 2.
      dtype: Of a block; float64 up to 4 M entries and float32 above.
      device: A torch device, e.g. "cuda"; numpy without.

    Raises:
      SchemaError: shapes disagree, or a value is not finite.
    """
    given = [masses.finite(v, name) for v, name in ((x, "x"), (y, "y"))]
    if any(v.ndim != 2 or not v.size for v in given) or given[0].shape[1] != given[1].shape[1]:
        raise errors.SchemaError(
            f"points of shapes {given[0].shape} and {given[1].shape}",
            why="need (n, d) and (m, d) with n, m and d at least 1",
            remedy="embed both sides with the same model",
        )
    kind = dtype or (np.float64 if len(given[0]) * len(given[1]) <= SMALL else np.float32)
    if metric == "cosine":
        given = [nearest.unit(v) for v in given]
    elif metric != "sqeuclidean":
        raise errors.ConfigError(f"no cost {metric!r}", remedy="sqeuclidean or cosine")
    else:  # distances do not see a shift, and rounding is least around the middle
        middle = given[1].mean(axis=0, dtype=np.float64).astype(given[1].dtype)
        given = [v - middle for v in given]
    left, right = (np.ascontiguousarray(v, kind) for v in given)
    return Points(left, right, 0.5 if metric == "cosine" else 1.0, device)


def of(cost: "ArrayLike | Cost") -> Cost:
    """A cost as it is, or the `Dense` one of a matrix.

    Raises:
      SchemaError: the matrix is not finite or not two-dimensional.
    """
    if isinstance(cost, Cost):
        return cost
    matrix = masses.finite(cost, "cost")
    if matrix.ndim != 2 or not matrix.size:
        raise errors.SchemaError(
            f"a cost of shape {matrix.shape}",
            why="need (n, m) with n and m at least 1",
            remedy="pass a matrix, or transport.points(x, y)",
        )
    return Dense(matrix)


def narrow(cost: Cost) -> Cost:
    """The same cost in float32, whose exponentials numpy may have 5 to 20 times as fast."""
    if cost.dtype == np.float32:
        return cost
    if isinstance(cost, Labelled):
        return dataclasses.replace(cost, base=narrow(cost.base))
    if isinstance(cost, Points):
        x, y = cost.x.astype(np.float32), cost.y.astype(np.float32)
        return dataclasses.replace(cost, x=x, y=y)
    if isinstance(cost, Dense):
        return Dense(cost.matrix.astype(np.float32), cost.error)
    return cost


def computed(cost: Cost) -> bool:
    """Whether every block is a matrix product."""
    return isinstance(cost.base if isinstance(cost, Labelled) else cost, Points)


def block_rows(cost: Cost) -> int:
    """Rows a block has."""
    size = PRODUCT_BYTES if computed(cost) else BLOCK_BYTES
    return max(16, size // (cost.dtype.itemsize * cost.shape[1]))


def part(cost: Cost, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Cost:
    """The cost of some rows and columns; the same object where they are all of them."""
    n, m = cost.shape
    some = cost if len(rows) == n else cost.take(rows)
    return some if len(columns) == m else some.transposed().take(columns).transposed()


def order(cost: Cost, count: int = 256) -> NDArray[np.int64]:
    """Rows so that neighbours are near to the same columns: shape (n,), to sample evenly along.

    By the nearest of `count` columns, those as the leaves of their dendrogram (average linkage)
    over what `count` rows pay for them. O(n count), and for `Points` times d.
    """
    n, m = cost.shape
    rows, columns = (np.unique(np.linspace(0, s - 1, min(count, s)).astype(int)) for s in (n, m))
    few = part(cost, np.arange(n), columns)
    step = max(256, block_rows(few))
    near = [few.rows(slice(i, i + step)).argmin(axis=1) for i in range(0, n, step)]
    if len(columns) < 3:
        return np.argsort(np.concatenate(near), kind="stable")
    tree = hierarchy.linkage(few.take(rows).rows(slice(None)).T, "average")
    place = np.empty(len(columns), np.int64)
    place[hierarchy.leaves_list(tree)] = np.arange(len(columns))
    return np.argsort(place[np.concatenate(near)], kind="stable")


def transform(cost: Cost, g: NDArray[np.float64]) -> NDArray[np.float64]:
    """The c-transform of g, min_j C_ij - g_j, shape (n,): one pass."""
    step, n = block_rows(cost), cost.shape[0]
    starts = range(0, n, step)
    return np.concatenate([(cost.rows(slice(i, i + step)) - g).min(axis=1) for i in starts])


def product(cost: Cost, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """C @ values, shape (n,): one pass, or O((n + m) d) for `Points`, also where they are held."""
    made_of = getattr(cost, "of", None)
    cost = made_of if isinstance(made_of, Points) else cost
    if isinstance(cost, Points):
        own, other = (_squares(z.astype(np.float64)) for z in (cost.x, cost.y))
        cross = cost.x.astype(np.float64) @ (values @ cost.y.astype(np.float64))
        return cost.scale * (own * values.sum() + other @ values - 2 * cross)
    step, n = block_rows(cost), cost.shape[0]
    narrow = values.astype(cost.dtype)
    parts = [cost.rows(slice(i, i + step)) @ narrow for i in range(0, n, step)]
    return np.concatenate(parts).astype(np.float64)


def _squares(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.einsum("nd,nd->n", x, x)
