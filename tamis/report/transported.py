"""A run planned with `predictor: transport` to facts: who serves what, and how well it predicts."""

import numpy as np
from numpy.typing import NDArray

from tamis.pipelines import measures, plan, session
from tamis.report import facts
from tamis.schemas import plan as schema
from tamis.selectors import forecast as forecast_
from tamis.selectors import laws, projektor

_STEPS = 11  # of a share, from corner to corner
_MOST = 150  # settings that are drawn of one kind, evenly over what was measured


def find(run: session.Session, made: schema.Plan) -> facts.Transport | None:
    """None for a plan by other laws. Fits the laws of the largest budget again, in seconds."""
    if run.config.plan.predictor != "transport":
        return None
    last = made.budgets[-1]
    places = measures.find(run, texts=True)
    forecast = plan.forecast(run, last.amount, places.geometry)
    shares = {share.stratum: share.share for share in last.allocation}
    w = np.array([shares.get(s.name, 0.0) for s in made.strata])
    w /= w.sum()
    parts = clusters(places, [s.name for s in made.strata], w)
    held = _held(next(e for e in forecast.entries if e.name == projektor.Coverage.name))
    return facts.Transport(last.amount, parts, held, surface(forecast, made.strata, last, w))


def clusters(
    places: measures.Places, names: list[str], weights: NDArray[np.float64]
) -> tuple[facts.Cluster, ...]:
    """The target's parts, the largest first."""
    mass = places.geometry.target.mass
    served = projektor.flow(places.geometry, names, weights).served
    nobody = set(projektor.unserved(places.geometry, names).tolist())
    order = sorted(np.flatnonzero(mass).tolist(), key=lambda z: (-mass[z], z))
    return tuple(
        facts.Cluster(
            places.called[z] or places.examples[z] or str(z),
            float(mass[z]),
            tuple(served[:, z].tolist()),
            z in nobody,
        )
        for z in order
    )


def _held(entry: laws.Entry) -> tuple[facts.Held, ...]:
    error, samples = entry.fit.cells.error, entry.fit.cells.samples
    kinds = (
        ("The longest trainings", error[samples == samples.max()], entry.held_out),
        ("Mixtures left out", error, entry.left_out),
    )
    return tuple(thinned(title, e, missed) for title, e, missed in kinds if missed.size)


def thinned(title: str, measured: NDArray[np.float64], missed: NDArray[np.float64]) -> facts.Held:
    """At most 150 of them, evenly in the order of what was measured, the ends included."""
    order = np.lexsort((missed, measured))
    last = len(order) - 1
    kept = order[np.unique(np.linspace(0, last, min(_MOST, len(order))).round().astype(int))]
    predicted = measured + missed
    error = float(np.sqrt(np.mean(missed**2)))
    shown = (tuple(v[kept].tolist()) for v in (measured, predicted))
    return facts.Held(title, len(order), error, *shown)


def surface(
    forecast: forecast_.Forecast,
    strata: list[schema.Stratum],
    budget: schema.Budget,
    weights: NDArray[np.float64],
) -> facts.Surface | None:
    """Over the three strata with most share, the others as planned; None with fewer than three."""
    if len(strata) < 3:
        return None
    order = np.argsort(-weights, kind="stable")[:3]
    own = float(weights[order].sum())
    corners = cells(_STEPS)
    middle = corners.mean(1)
    mixtures = np.repeat(weights[None], len(middle), 0)
    mixtures[:, order] = own * middle
    supply = np.array([s.supply for s in strata], np.float64)
    samples = np.full(len(middle), float(budget.samples))
    training = forecast_.Training(mixtures, samples, np.broadcast_to(supply, mixtures.shape))
    return facts.Surface(
        strata=(int(order[0]), int(order[1]), int(order[2])),
        rest=1 - own,
        mixtures=tuple(map(_triple, middle)),
        errors=tuple(forecast.expected(training).tolist()),
        cells=tuple((_triple(a), _triple(b), _triple(c)) for a, b, c in corners),
        planned=_triple(weights[order] / own),
        laws=forecast.name,
    )


def cells(steps: int) -> NDArray[np.float64]:
    """The simplex of three shares cut into steps^2 equal triangles: shape (steps^2, 3, 3)."""
    a, b = np.divmod(np.arange(steps**2), steps)
    up, down = a + b < steps, a + b < steps - 1
    a_up, b_up, a_down, b_down = a[up], b[up], a[down], b[down]
    first = np.stack([[a_up, b_up], [a_up + 1, b_up], [a_up, b_up + 1]])
    second = np.stack([[a_down + 1, b_down], [a_down, b_down + 1], [a_down + 1, b_down + 1]])
    two = np.concatenate([first.transpose(2, 0, 1), second.transpose(2, 0, 1)]) / steps
    return np.concatenate([two, 1 - two.sum(2, keepdims=True)], 2)


def _triple(values: NDArray[np.float64]) -> facts.Triple:
    first, second, third = values.tolist()
    return first, second, third
