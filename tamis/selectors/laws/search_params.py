"""The best model size for a compute budget, for laws without a closed form."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from tamis import errors
from tamis.selectors.laws.chinchilla import Optimum

_GRID = 2001


class Predict(Protocol):
    """A language-model law's loss."""

    def __call__(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike
    ) -> NDArray[np.float64]:
        """Loss in nats per token; arguments broadcast."""
        ...


def best(predict: Predict, *, flops: float, unique: float, most: float = np.inf) -> Optimum:
    """Minimise loss over log N at 6 N D = flops: a grid over every decade, then Brent's method.

    Args:
      predict: The law.
      flops: Budget.
      unique: Distinct tokens there are.
      most: Parameters to search up to.

    Returns:
      The optimum; of sizes that are equally good to rounding, one in the middle.

    Raises:
      PlanError: an argument is not positive and finite, or loss is least at the end of the range,
        from one parameter to one token or `most`.
    """
    if not (np.isfinite([flops, unique]).all() and flops > 6 and unique > 0):
        raise errors.PlanError(
            f"no model for {flops:g} FLOPs and {unique:g} distinct tokens",
            remedy="give both as positive numbers",
        )

    def loss(log_n: NDArray[np.float64] | float) -> NDArray[np.float64]:
        n = np.exp(log_n)
        return predict(params=n, tokens=flops / 6 / n, unique=unique)

    grid = np.linspace(0, np.log(min(flops / 6, most)), _GRID)
    losses = loss(grid)
    ties = np.flatnonzero(losses <= losses.min() * (1 + 1e-15))
    at = int(ties[len(ties) // 2])
    if at in (0, _GRID - 1):
        raise errors.PlanError(
            f"the law's loss is least at the end of the search, {np.exp(grid[at]):g} parameters",
            why="it has no optimum inside",
            remedy="fit it to runs of more sizes and lengths",
        )
    bounds = (grid[at - 1], grid[at + 1])
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    n = float(np.exp(found.x))
    return Optimum(n, flops / 6 / n, float(found.fun))
