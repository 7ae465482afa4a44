"""Costs that see labels: two classes are as far apart as their rows are (OTDD, LAVA).

    C_ij = feature |x_i - y_j|^2 + label W(class of i, class of j)

W(k, l) = W_2^2 between the rows of class k and those of class l: the label of a row is replaced by
the distribution of the rows that bear it (Alvarez-Melis & Fusi 2020, eq. 4-5; Just et al. 2023).
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors, seeding
from tamis.selectors.transport import costs, simplex
from tamis.selectors.transport.newton import sinkhorn_newton


class Factors(NamedTuple):
    """Of the two parts, in units of |x - y|^2 and of W_2^2."""

    feature: float
    label: float


# The released code of OTDD, which projektor runs, halves the ground cost, takes W with the halved
# one, and halves W again: |x - y|^2 / 2 + W_2^2 / 4, so labels weigh half of what is published.
FACTORS = {"published": Factors(1.0, 1.0), "released": Factors(0.5, 0.25)}


def label_cost(
    x: ArrayLike,
    labels_x: ArrayLike,
    y: ArrayLike,
    labels_y: ArrayLike,
    *,
    factors: Literal["published", "released"] | Factors = "published",
    epsilon: float | None = None,
    cache: dict[bytes, float] | None = None,
) -> costs.Labelled:
    """The label-aware cost between two labelled sets.

    Time: one transport problem for every pair of a class of x and one of y, exact by default.

    Args:
      x: Shape (n, d), embeddings.
      labels_x: Shape (n,), integers or strings.
      y: Shape (m, d).
      labels_y: Shape (m,).
      factors: "published", |x - y|^2 + W_2^2 (Alvarez-Melis & Fusi 2020, eq. 5; Just et al. 2023),
        "released", |x - y|^2 / 2 + W_2^2 / 4 (their code), or a pair.
      epsilon: Regularisation of the problems between classes, in units of |x - y|^2; exact
        without. The released code has 0.1 on the halved cost, which is 0.2 here; its W then is
        <C, P> + epsilon KL, as ours.
      cache: Distances between classes by content, read and filled; give the same dict again and
        known pairs are not solved again, whichever sets they stand in.

    Returns:
      A cost for every function here; its `between` is W, shape (k, l), classes sorted.

    Raises:
      SchemaError: shapes disagree, or a value is not finite.
    """
    base = costs.points(x, y)
    (names_x, class_x), (names_y, class_y) = (
        _classes(v, n, s) for v, n, s in zip((labels_x, labels_y), base.shape, "xy", strict=True)
    )
    known = {} if cache is None else cache
    parts_x = [np.asarray(x, np.float64)[class_x == k] for k in range(len(names_x))]
    parts_y = [np.asarray(y, np.float64)[class_y == k] for k in range(len(names_y))]
    between = np.array([[_distance(p, q, epsilon, known) for q in parts_y] for p in parts_x])
    chosen = FACTORS[factors] if isinstance(factors, str) else Factors(*factors)
    return costs.Labelled(base, between, class_x, class_y, chosen.feature, chosen.label)


def _classes(labels: ArrayLike, n: int, name: str) -> tuple[NDArray, NDArray[np.int64]]:
    values = np.asarray(labels)
    if values.shape != (n,):
        raise errors.SchemaError(
            f"labels of {name} have shape {values.shape}",
            why=f"it has {n} rows",
            remedy=f"give ({n},) labels",
        )
    names, number = np.unique(values, return_inverse=True)
    return names, number.astype(np.int64)


def _distance(
    p: NDArray[np.floating],
    q: NDArray[np.floating],
    epsilon: float | None,
    known: dict[bytes, float],
) -> float:
    """W_2^2 between equal masses on the rows of p and of q."""
    ends = sorted([seeding.digest(p.tobytes()), seeding.digest(q.tobytes())])
    key = seeding.digest(*ends, epsilon)
    if key not in known:
        cost = costs.points(p, q, dtype=np.float64)
        a, b = np.full(len(p), 1 / len(p)), np.full(len(q), 1 / len(q))
        solved = (
            simplex.exact(a, b, cost) if epsilon is None else sinkhorn_newton(a, b, cost, epsilon)
        )
        known[key] = solved.value
    return known[key]
