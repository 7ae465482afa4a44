"""Error regressed on the weights of a mixture and its transport cost, at one size or several.

Kang et al. (2023, arXiv 2307.02460), stage 1: with w the weights, T the transport cost from the
mixture to the target, and k sources,

    L = sum_i (b2_i w_i^2 + b1_i w_i + b0) T + sum_i (c2_i w_i^2 + c1_i w_i + c0).        (2.1)

Their released regression drops the last source, whose weight the others give, and the squares
without transport: `pseudo-quadratic transport` is [1, T, w_i, w_i T, w_i^2 T] for i < k.
`centre-scaling` is the form of low capacity for few trainings, [1, T, w_i]; its exact form in the
paper could not be found, this one is by its name and its figures. The forms without transport are
the baselines of the paper.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol
from tamis.selectors.projektor.geometry import Geometry

Form = Literal[
    "linear", "pseudo-quadratic", "quadratic", "centre-scaling", "pseudo-quadratic transport"
]
FORMS: tuple[Form, ...] = get_args(Form)
TRANSPORT: tuple[Form, ...] = ("centre-scaling", "pseudo-quadratic transport")

# Error per median cost, a priori: validation error is bounded by a multiple of the cost (Just et
# al. 2023, LAVA, theorem 1), so it rises with it, and the ridge pulls it here and not to 0.
_DEARER = 0.5

Floats = NDArray[np.float64]


def design(form: Form, weights: Floats, cost: Floats) -> Floats:
    """Columns of a form: shape (..., q).

    Args:
      form: Which.
      weights: Shape (..., k).
      cost: Shape (...,), of transport.
    """
    w, one, t = weights[..., :-1], np.ones((*cost.shape, 1)), cost[..., None]
    upper = np.triu_indices(w.shape[-1])
    columns: dict[Form, Callable[[], list[Floats]]] = {
        "linear": lambda: [one, w],
        "pseudo-quadratic": lambda: [one, w, w * w],
        "quadratic": lambda: [one, w, w[..., upper[0]] * w[..., upper[1]]],
        "centre-scaling": lambda: [one, t, w],
        "pseudo-quadratic transport": lambda: [one, t, w, w * t, w * w * t],
    }
    return np.concatenate(columns[form](), axis=-1)


def slopes(form: Form, weights: Floats, cost: Floats, gradient: Floats) -> Floats:
    """Derivatives of the columns along each weight: shape (..., k, q).

    The product rule of methods 2.4: what depends on the weights, and what depends on their cost.
    The columns hold no last weight, so its derivative is through the cost alone.

    Args:
      form: Which.
      weights: Shape (..., k).
      cost: Shape (...,).
      gradient: Shape (..., k), of the cost.
    """
    k = weights.shape[-1]
    h = 1e-6  # columns are cubic at most: central differences are exact to 1e-11
    found = []
    for i in range(k):
        step, rise = h * np.eye(k)[i], h * gradient[..., i]
        up = design(form, weights + step, cost + rise)
        found.append((up - design(form, weights - step, cost - rise)) / (2 * h))
    return np.stack(found, axis=-2)


@dataclasses.dataclass(frozen=True, eq=False)
class Regression:
    """error = design(w, T(w)) (level + slope log(n / size)); the supply plays no part.

    Affine in log n, as stage 2 is: with two sizes and no ridge it is the fit at either size,
    projected by (2.2), and with more sizes the line through all. `over(geometry, form, width)` is
    the class to fit.

    Attributes:
      names: Strata, in the order of the weights.
      level: Shape (q,), at `size`.
      slope: Shape (q,), a unit of log n.
      size: Geometric mean of the sizes.
    """

    name: ClassVar[str]
    geometry: ClassVar[Geometry]
    form: ClassVar[Form]
    width: ClassVar[float]
    names: tuple[str, ...]
    level: Floats
    slope: Floats
    size: float

    @classmethod
    def over(cls, geometry: Geometry, form: Form, width: float) -> type[Self]:
        """The law about these sources.

        Args:
          geometry: Of the sources.
          form: Of the columns.
          width: Standard deviation of a coefficient a priori, in units of error: the ridge.
        """
        if form not in FORMS:
            raise errors.PlanError(f"no form {form!r}", remedy=f"one of {', '.join(FORMS)}")
        fields = {"geometry": geometry, "form": form, "width": width, "name": f"{form}, {width:g}"}
        return type(cls.__name__, (cls,), fields)

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, _ = protocol.broadcast(weights, samples, supply, k=len(self.names))
        columns = design(self.form, w, self.geometry.distance(self.names, w)[0])
        return (columns * self.coefficients(n)).sum(-1)

    def gradient(self, weights: ArrayLike, samples: float, supply: ArrayLike) -> Floats:
        """Of the prediction in the weights, up to a constant: shape (k,)."""
        w = np.asarray(weights, np.float64)
        moved = slopes(self.form, w, *self.geometry.distance(self.names, w))
        return np.asarray(moved @ self.coefficients(np.array(samples, np.float64)))

    def coefficients(self, samples: Floats) -> Floats:
        """Shape (..., q) for samples (..., 1)."""
        return np.asarray(self.level + self.slope * np.log(samples / self.size))

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        q = cls._columns(cells.k)
        names = [f"{what}[{i}]" for what in ("level", "slope") for i in range(q)]
        mean, scale = np.zeros(2 * q), np.full(2 * q, cls.width)
        mean[0], scale[0] = cells.error.mean(), 1.0
        if cls.form in TRANSPORT:
            mean[1], scale[1] = _DEARER, max(_DEARER, cls.width)
        return protocol.Prior(tuple(names), mean, scale)

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        level, slope = np.split(vector, 2)
        return cls(cells.names, level, slope, float(np.exp(np.log(cells.samples).mean())))

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        return vector

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        return np.empty((0, 2 * cls._columns(cells.k)))

    @classmethod
    def _columns(cls, k: int) -> int:
        return design(cls.form, np.zeros((1, k)), np.zeros(1)).shape[1]
