"""The transport potential of rows that the solve has seen, and of those it has not."""

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors, scorers
from tamis.schemas import embeddings
from tamis.scorers import transport_potential
from tamis.selectors import transport


def unit(n, seed, shift=0.0):
    x = np.random.default_rng(seed).standard_normal((n, 16)) + shift
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def solved():
    x, y = np.concatenate([unit(40, 0, 0.5), unit(20, 1, -0.5)]), unit(30, 2, 0.5)
    a, b = np.full(60, 1 / 60), np.full(30, 1 / 30)
    cost = transport.points(x, y, metric="cosine")
    return x, y, transport.sinkhorn_newton(a, b, cost, 0.05, tolerance=1e-10)


def test_the_extension_is_the_potential_where_it_was_solved(solved):
    x, y, found = solved
    extended = transport_potential.soft_transform(x, y, found.g, 0.05)
    np.testing.assert_allclose(extended, found.f, atol=1e-6)


def test_the_score_of_a_new_row_is_the_price_of_its_first_grain(solved):
    x, y, found = solved
    new = unit(1, 9)
    a, b = np.append(np.full(60, (1 - 1e-4) / 60), 1e-4), np.full(30, 1 / 30)
    cost = transport.points(np.concatenate([x, new]), y, metric="cosine")
    more = transport.sinkhorn_newton(a, b, cost, 0.05, tolerance=1e-12)
    slope = (more.value - found.value) / 1e-4
    f = transport_potential.soft_transform(new, y, found.g, 0.05)[0]
    assert slope == pytest.approx(f - found.f.mean(), abs=1e-3)


def test_rows_that_help_score_high(solved, tmp_path):
    x, y, found = solved
    np.save(tmp_path / "t.npy", y)
    np.save(tmp_path / "p.npy", found.g + found.f.mean())
    paths = {"target": str(tmp_path / "t.npy"), "potential": str(tmp_path / "p.npy")}
    scorer = scorers.build("transport_potential", {"epsilon": 0.05}, paths)
    scorer.setup()
    score = scorer.score(pa.record_batch({"embedding": embeddings.column(x)}))
    assert score.mean() == pytest.approx(0, abs=1e-5)
    assert score[:40].min() > score[40:].max()


def test_bad_options_and_artifacts_are_named(tmp_path):
    with pytest.raises(errors.ConfigError, match="epsilon is -1"):
        scorers.build("transport_potential", {"epsilon": -1})
    np.save(tmp_path / "t.npy", unit(3, 0))
    np.save(tmp_path / "p.npy", np.zeros(4))
    scorer = transport_potential.TransportPotential(
        str(tmp_path / "t.npy"), str(tmp_path / "p.npy")
    )
    with pytest.raises(errors.ArtifactError, match=r"potentials of shape \(4,\)"):
        scorer.setup()
