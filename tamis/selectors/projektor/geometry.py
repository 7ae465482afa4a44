"""Where the sources lie and where the target does: all a predictor knows before any training."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors import transport
from tamis.selectors.projektor.measures import Measure
from tamis.selectors.transport import best

_MEMORY = 4096  # mixtures whose transport is remembered
_TINY = np.finfo(np.float64).tiny  # a prototype whose class the target has not: of mass 0


@dataclasses.dataclass(frozen=True, eq=False)
class Geometry:
    """Measures of the sources and of the target over the same prototypes, and their distances.

    Attributes:
      sources: Name of each stratum to its measure.
      target: What the model is for.
      cost: Shape (p, p), between prototypes, not negative.
      classes: Shape (p,), of the prototypes, where rows have labels: a row of one class then says
        nothing of another (`reach`), however near; transport has its price between classes.
      epsilon: Entropic regularisation of the transport, as a part of the median cost.
    """

    sources: Mapping[str, Measure]
    target: Measure
    cost: NDArray[np.float64]
    classes: NDArray[np.int64] | None = None
    epsilon: float = best.USUAL

    def __post_init__(self) -> None:
        p = len(self.target.mass)
        sizes = {name: m.mass.shape for name, m in self.sources.items()}
        if self.cost.shape != (p, p) or set(sizes.values()) != {(p,)}:
            raise errors.PlanError(
                f"measures {sizes} and cost {self.cost.shape} for a target over {p} prototypes",
                remedy="measure all of them over the same prototypes",
            )
        if not (np.isfinite(self.cost) & (self.cost >= 0)).all():
            raise errors.PlanError("a cost is NaN, infinite or negative")

    @functools.cached_property
    def unit(self) -> float:
        """The median distance between a row of the target and another one."""
        return float(np.median(self.cost[self.cost > 0]))

    def beside(self, sources: Mapping[str, Measure]) -> "Geometry":
        """With further sources, over the same prototypes."""
        return dataclasses.replace(self, sources={**self.sources, **sources})

    def masses(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Shape (k, p), the measures of these strata.

        Raises:
          PlanError: one has no measure.
        """
        missing = [n for n in names if n not in self.sources]
        if missing:
            raise errors.PlanError(
                f"strata {missing} have no measure", why=f"known are {sorted(self.sources)}"
            )
        return np.stack([self.sources[n].mass for n in names])

    def reach(self, names: Sequence[str], width: float) -> NDArray[np.float64]:
        """Density of each source about each prototype, over that of the target: shape (k, p).

            reach_i(z) = sum_y exp(-cost(y, z) / (width unit)) mass_i(y) / the same of the target

        1 everywhere for a source like the target. -epsilon log of it is the potential of entropic
        transport where every target row must be served and a source row may serve any number (the
        source's marginal is free, at a price of epsilon times its Kullback-Leibler divergence).
        """
        kernel = np.exp(-self.cost / (width * self.unit))
        if self.classes is not None:
            kernel *= self.classes[:, None] == self.classes
        return self.masses(names) @ kernel / np.maximum(self.target.mass @ kernel, _TINY)

    def distance(
        self, names: Sequence[str], weights: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Entropic transport cost of mixtures to the target, over `unit`, and its gradient.

        Args:
          names: Of the strata.
          weights: Shape (..., k).

        Returns:
          Shape (...,) and (..., k); the gradient is known up to a constant along k.

        One solve per mixture that was not asked for before: O(k p^2) a pass.
        """
        w = np.asarray(weights, np.float64)
        flat, place = np.unique(w.reshape(-1, w.shape[-1]), axis=0, return_inverse=True)
        found = [self._solved(tuple(names), tuple(row)) for row in flat.tolist()]
        value = np.array([v for v, _ in found])[place.reshape(-1)].reshape(w.shape[:-1])
        slope = np.array([g for _, g in found])[place.reshape(-1)].reshape(w.shape)
        return value / self.unit, slope / self.unit

    @functools.lru_cache(maxsize=_MEMORY)  # noqa: B019 -- a run has one or two geometries
    def _solved(
        self, names: tuple[str, ...], weights: tuple[float, ...]
    ) -> tuple[float, NDArray[np.float64]]:
        epsilon = self.epsilon * self.unit
        found = transport.mixture_cost(self.mixture(names), None, weights, epsilon)
        return found.value, found.gradient

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def mixture(self, names: tuple[str, ...]) -> transport.Mixture:
        """As `transport` has it: every source stands on all prototypes that it has rows at."""
        masses = self.masses(names)
        at = [np.flatnonzero(m) for m in masses]
        return transport.mixture(
            at,
            None,
            cost=self.cost[np.concatenate(at)],
            shares=[m[i] for m, i in zip(masses, at, strict=True)],
            b=self.target.mass,
        )
