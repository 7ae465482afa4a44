"""Who serves the target: closed forms, conservation, and scipy's linear programme."""

import numpy as np
import pytest
from scipy import optimize

from tamis.selectors import projektor


def line(places, **masses):
    x = np.array(places, float)
    measures = {n: projektor.Measure(np.array(m, float), 100) for n, m in masses.items()}
    target = measures.pop("target")
    return projektor.Geometry(measures, target, (x[:, None] - x) ** 2)


def test_everybody_serves_what_is_near():
    where = line([0, 1, 10, 11], target=[0.5, 0, 0.5, 0], a=[0, 1, 0, 0], b=[0, 0, 0, 1])
    found = projektor.flow(where, ("a", "b"), [0.5, 0.5])
    np.testing.assert_allclose(found.served, [[1, 0, 0, 0], [0, 0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(found.distance * where.unit, [1, 0, 1, 0], atol=1e-12)


def test_sources_on_one_prototype_share_what_it_serves():
    where = line([0, 3], target=[0.5, 0.5], a=[0.5, 0.5], b=[0.5, 0.5])
    found = projektor.flow(where, ("a", "b"), [0.75, 0.25])
    np.testing.assert_allclose(found.served, [[0.75, 0.75], [0.25, 0.25]], atol=1e-12)
    np.testing.assert_allclose(found.distance, 0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_mass_is_kept_and_the_cost_is_that_of_a_linear_programme(seed):
    rng = np.random.default_rng(seed)
    target, a, b = rng.dirichlet(np.ones(6), 3)
    where = line(rng.normal(size=6), target=target, a=a, b=b)
    w = np.array([0.3, 0.7])
    found = projektor.flow(where, ("a", "b"), w)
    np.testing.assert_allclose(found.served.sum(0), 1)
    np.testing.assert_allclose(found.served @ target, w)
    sums = np.concatenate([np.kron(np.eye(6), np.ones(6)), np.kron(np.ones(6), np.eye(6))])
    ends = np.concatenate([w @ [a, b], target])
    least = optimize.linprog(where.cost.reshape(-1), A_eq=sums, b_eq=ends).fun
    assert found.distance @ target * where.unit == pytest.approx(least)


def test_a_part_without_a_source_is_found():
    where = line([0, 1, 10, 50], target=[0.4, 0.2, 0.0, 0.4], a=[0.9, 0.1, 0, 0], b=[0, 0, 1, 0])
    assert projektor.unserved(where, ("a", "b")).tolist() == [3]
    assert projektor.unserved(where, ("b",), width=1e-3).tolist() == [0, 1, 3]
