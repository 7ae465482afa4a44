import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tamis.pipelines import session
from tamis.report import collect, facts, flow, frame, held_out, page, simplex, transported

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("movie", "amazon", "tweets")


@pytest.fixture
def moved(vary):
    corners = transported.cells(12)
    middle = corners.mean(1)
    surface = facts.Surface(
        strata=(0, 1, 2),
        rest=0.1,
        mixtures=tuple(map(tuple, middle.tolist())),
        errors=tuple((0.3 + (middle**2).sum(1)).tolist()),
        cells=tuple(tuple(map(tuple, c)) for c in corners.tolist()),
        planned=(0.5, 0.3, 0.2),
        laws="Coverage",
    )
    clusters = [facts.Cluster(f"c{i}<", 0.03, (0.5, 0.25, 0.25), False) for i in range(30)]
    clusters.append(facts.Cluster("sports", 0.1, (0.0, 1.0, 0.0), True))
    errors = np.linspace(0.3, 0.5, 1000)
    held = transported.thinned("Mixtures left out", errors, np.full(1000, 0.01))
    return vary(NAMES, transport=facts.Transport(8000.0, tuple(clusters), (held,), surface))


def test_the_page_says_who_is_served_by_nobody_and_which_laws_know(moved):
    html = page.build(moved)
    said = " ".join(ET.fromstring(html.removeprefix("<!DOCTYPE html>\n")).itertext())
    assert "your target's cluster 'sports' is served by nobody: 10.0% of the target" in said
    assert "Coverage knows where sources and target lie" in said
    assert "Predicted error of every mixture, at 8,000 samples" in said
    assert len(html) < 200_000
    other = page.build(dataclasses.replace(moved, transport=None))
    assert "served by" not in other
    assert "Coverage knows" not in other


@pytest.mark.parametrize("size", frame.SIZES, ids=lambda s: s.name)
def test_charts_stay_in_their_box(moved, size):
    drawn = (
        flow.draw(moved, moved.transport, size),
        simplex.draw(moved, moved.transport.surface, size),
    )
    for chart in drawn:
        svg = ET.fromstring(chart)
        _, _, width, height = map(float, svg.get("viewBox").split())
        for text in svg.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x")) <= width
            assert 0 <= float(text.get("y")) <= height


def test_clusters_that_are_not_named_are_summed(moved):
    shown = flow.shown(moved.transport.clusters)
    assert sum(c.share for c in shown) == pytest.approx(1)
    assert [c.name for c in shown if c.nobody] == ["sports"]
    (rest,) = [c for c in shown if "other clusters" in c.name]
    np.testing.assert_allclose(rest.served, (0.5, 0.25, 0.25))


def test_cells_tile_the_simplex():
    cells = transported.cells(5)
    assert cells.shape == (25, 3, 3)
    np.testing.assert_allclose(cells.sum(2), 1)
    assert cells.min() >= -1e-12
    x, y = cells[..., 0], cells[..., 1]
    area = abs(
        (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    )
    np.testing.assert_allclose(area, 1 / 25)
    assert len({tuple(m) for m in cells.mean(1).round(9).tolist()}) == 25


def test_the_lowest_error_is_the_darkest(moved):
    levels = simplex.levels((0.3, 0.4, 0.35, 0.3))
    assert levels[0] == levels[3] == max(levels)
    assert levels[1] == 0
    assert len(set(simplex.levels((0.3, 0.3)))) == 1


def test_points_are_thinned_but_the_error_is_of_all(moved):
    (held,) = moved.transport.held
    assert len(held.measured) == 150
    assert (held.measured[0], held.measured[-1]) == (0.3, 0.5)
    np.testing.assert_allclose(np.subtract(held.predicted, held.measured), 0.01)
    assert "0.0100 over 1,000 settings" in held_out.story(held)


def gathered(config):
    run = session.Session(config)
    run.start()
    return collect.gather(run).transport


def test_a_run_by_transport_is_gathered(copied, configured):
    found = gathered(configured(copied, plan={"predictor": "transport"}))
    assert sum(c.share for c in found.clusters) == pytest.approx(1)
    for c in found.clusters:
        assert sum(c.served) == pytest.approx(1)
    assert {h.title for h in found.held} <= {"The longest trainings", "Mixtures left out"}
    assert found.held
    assert found.surface is None  # two strata
    assert gathered(configured(copied)) is None
