"""How good would training on this mixture be? From a few small trainings and where sources lie.

Kang et al. (2023, Performance scaling via optimal transport, NeurIPS, arXiv 2307.02460): sources
show a sample of themselves; performance is predicted for any mixture of them at any size.

    geometry = projektor.Geometry(sources, target, prototypes.cost())
    predictor = projektor.Predictor.fit(measurements, geometry)
    predictor.predict([0.2, 0.8], 100_000, supply)
"""

from tamis.selectors.projektor.choice import Average, Predictor, rank, regressions
from tamis.selectors.projektor.coverage import Coverage
from tamis.selectors.projektor.flow import Flow, flow, unserved
from tamis.selectors.projektor.geometry import Geometry
from tamis.selectors.projektor.measures import Measure, Prototypes, merged
from tamis.selectors.projektor.mixing import best_weights
from tamis.selectors.projektor.regression import Regression

__all__ = [
    "Average",
    "Coverage",
    "Flow",
    "Geometry",
    "Measure",
    "Predictor",
    "Prototypes",
    "Regression",
    "best_weights",
    "flow",
    "merged",
    "rank",
    "regressions",
    "unserved",
]
