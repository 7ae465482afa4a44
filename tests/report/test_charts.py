import dataclasses
import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.report import (
    curves,
    frame,
    markup,
    page,
    palette,
    pilots,
    scales,
    shares,
    utility,
    words,
)
from tamis.schemas import plan

SVG = "{http://www.w3.org/2000/svg}"


@given(st.lists(st.floats(1, 1e9), min_size=2, max_size=20, unique=True), st.booleans())
def test_scales_are_monotone_and_stay_inside(values, log):
    make = scales.logarithmic if log else scales.linear
    scale = make(values, 50.0, 900.0)
    at = [scale(v) for v in sorted(values)]
    assert all(a <= b for a, b in itertools.pairwise(at))
    assert min(at) >= 50 - 1e-6
    assert max(at) <= 900 + 1e-6


def test_upward_axis_and_a_single_value():
    assert scales.Scale(0, 1, 400, 100)(0.25) == 325
    assert scales.logarithmic([500], 0, 100)(500) == 50
    assert 0 < scales.linear([0.3, 0.3], 0, 100)(0.3) < 100


@given(st.floats(1e-3, 1e6), st.floats(1.01, 1e6), st.booleans())
def test_ticks_are_round_few_and_inside(low, ratio, log):
    scale = scales.Scale(low, low * ratio, 0, 100, log=log)
    found = scales.ticks(scale, 5)
    assert len(found) <= 8
    assert found == sorted(found)
    assert all(low * 0.998 <= t <= low * ratio * 1.002 for t in found)


def test_ticks_of_known_ranges():
    assert scales.ticks(scales.Scale(0.29, 0.41, 0, 1), 6) == [0.3, 0.32, 0.34, 0.36, 0.38, 0.4]
    assert scales.ticks(scales.Scale(0.01, 100, 0, 1, log=True), 4) == [0.01, 0.1, 1, 10, 100]


@given(st.lists(st.floats(0, 400), max_size=24), st.floats(1, 30))
def test_spread_keeps_distance_order_and_bounds(wanted, gap):
    found = scales.spread(wanted, gap, 0, 400)
    real = min(gap, 400 / max(len(wanted) - 1, 1))
    ordered = sorted(found)
    assert all(b - a >= real - 1e-6 for a, b in itertools.pairwise(ordered))
    assert all(-1e-6 <= f <= 400 + 1e-6 for f in found)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert [found[i] for i in order] == ordered


def test_spread_moves_only_what_is_too_near():
    assert scales.spread([10, 12, 300], 16, 0, 400) == [3, 19, 300]


def test_apart_prefers_earlier_labels():
    assert scales.apart([10, 20, 100], [30, 30, 30], 4) == [True, False, True]


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=9))
def test_layers_fill_the_stack(rows):
    parts = [[v / sum(row) for v in row] for row in rows]
    layers = shares.stacked(parts)
    assert layers[0][1] == pytest.approx([1] * len(rows))
    assert layers[-1][0] == pytest.approx([0] * len(rows), abs=1e-9)
    for (low, _), (_, high) in itertools.pairwise(layers):
        assert low == pytest.approx(high)


@pytest.mark.parametrize("size", frame.SIZES, ids=lambda s: s.name)
@pytest.mark.parametrize("draw", [curves.draw, shares.draw, shares.draw_passes])
def test_charts_draw_inside_their_box(known, draw, size):
    svg = ET.fromstring(draw(known, size))
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


def test_lower_error_is_drawn_lower(known):
    svg = ET.fromstring(curves.draw(known, frame.SIZES[0]))
    dots = [c for c in svg.iter(f"{SVG}circle") if c.get("class") == "mark full"]
    squares = [r for r in svg.iter(f"{SVG}rect") if r.get("class") == "mark"]
    assert len(dots) == len(squares) == 3
    assert float(dots[0].get("cy")) > float(squares[0].get("y"))  # the plan errs less than random
    x = [float(d.get("cx")) for d in dots]
    assert x == sorted(x)


def test_marks_only_after_a_check(vary):
    assert 'class="mark' not in curves.draw(vary(check=None), frame.SIZES[0])


def test_every_other_strategy_has_a_line(known):
    assert set(curves.others(known)) == {"movie alone", "amazon alone", "equal shares"}
    drawn = curves.draw(known, frame.SIZES[0])
    assert drawn.count('class="other"') == 3


def test_passes_are_samples_over_supply(known):
    series = dict(shares.passes(known)[0])
    assert series[8000] == pytest.approx(0.875 * 8000 / 600)


def test_a_rise_is_told(known):
    assert pilots.story(known.pilots[0]) == (
        "600 unique rows. Best 0.330 at 1,000 samples, then up to 0.370 at 32,000 (53×)."
    )
    assert "about the best" in pilots.story(known.pilots[2])


def test_strata_keep_one_colour(known):
    css = palette.css(known.plan.strata)
    assert "--s0:#0072b2" in css
    assert "--s1:#e08e00" in css
    assert "--s2" not in css


def test_lower_tiers_are_paler(vary):
    strata = vary(names=("a/0", "a/1", "b")).plan.strata
    strata = [s.model_copy(update={"tier": i}) for i, s in enumerate(strata)]
    css = palette.css(strata)
    assert "--s0:#0072b2" in css
    assert "--s1:#0072b2" not in css
    assert "--s2:#e08e00" in css


def test_words():
    assert words.count(128000) == "128,000"
    assert words.signed(-0.0531) == "−0.053"
    assert words.error(None) == words.error(float("nan")) == "–"
    assert [words.percent(p) for p in (0, 0.001, 0.514)] == ["0%", "<1%", "51%"]
    assert [words.times(t) for t in (1, 6.86, 24.4)] == ["1×", "6.9×", "24×"]
    assert words.seconds(4000) == "1 h 6 min"


def test_clipped_names_keep_both_ends():
    name = "movie-review-sentences-from-the-archive/tier-2 alone"
    short = words.clipped(name, 12.5, 190)
    assert short.startswith("movie-re")
    assert short.endswith("tier-2 alone")
    assert words.width(short, 12.5) <= 190
    assert words.clipped("movie", 12.5, 150) == "movie"


def test_markup_escapes_all_but_markup():
    inner = markup.tag("b", "<&>")
    assert markup.tag("p", inner, None, '"', title='a"<') == (
        '<p title="a&quot;&lt;"><b>&lt;&amp;&gt;</b>&quot;</p>'
    )
    assert markup.tag("line", x1=0.04, x2=-0.04, y1=1.25, stroke_width=2) == (
        '<line x1="0" x2="0" y1="1.2" stroke-width="2"/>'
    )
    assert markup.tag("br") == "<br/>"


def test_crossings_of_the_plan_stand_out(known):
    drawn = curves.draw(known, frame.SIZES[0])
    assert drawn.count('class="change chosen"') == drawn.count('class="change named"') == 1
    assert shares.draw(known, frame.SIZES[0]).count('class="crossing"') == 1


def panels_of(figure):
    return ET.fromstring(figure).findall(f".//{SVG}svg")


def test_fitted_curves_lie_over_the_points_with_a_band(known):
    first, second = panels_of(pilots.figure(known))
    for panel, points in ((first, 3), (second, 3)):
        assert len(panel.findall(f"{SVG}path[@class='spread']")) == 1
        assert len(panel.findall(f"{SVG}path[@class='pilot']")) == 1  # the law, not a join
        assert len(panel.findall(f"{SVG}circle")) == points
    bare = known.plan.model_copy(update={"fitted": []})
    first, _ = panels_of(pilots.figure(dataclasses.replace(known, plan=bare)))
    assert len(first.findall(f"{SVG}path[@class='pilot']")) == 1  # the points, joined
    assert not first.findall(f"{SVG}path[@class='spread']")


def test_utility_has_a_panel_for_each_stratum_and_a_line_at_none(known):
    first, second = panels_of(utility.figure(known))
    for panel in (first, second):
        assert len(panel.findall(f"{SVG}line[@class='axis']")) == 2
        for text in panel.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x")) <= 250
            assert 0 <= float(text.get("y")) <= 170
    assert len(first.findall(f"{SVG}line[@class='repeats']")) == 1
    story = utility.story(known.plan.fitted[0])
    assert story == ("Utility 0.2 at 100 samples; after about 11× another pass brings nothing.")
    fresh = known.plan.fitted[0].model_copy(update={"supply": 10**6})
    assert "brings nothing" not in utility.story(fresh)
    bare = known.plan.model_copy(update={"fitted": []})
    assert utility.figure(dataclasses.replace(known, plan=bare)) is None


@pytest.mark.parametrize(
    ("unit", "said"),
    [("tokens", "8,000 tokens"), ("flops", "8e+03 FLOPs"), ("money", "8,000.00 of money")],
)
def test_charts_are_drawn_in_the_plan_s_unit(known, unit, said):
    terms = plan.Terms(unit=unit, params=1e6, training_price=1)
    other = dataclasses.replace(
        known, plan=known.plan.model_copy(update={"terms": terms}), check=None
    )
    assert frame._AXIS[unit] in curves.draw(other, frame.SIZES[0])
    assert said in page.build(other)
    assert "seen in training" not in shares.draw(other, frame.SIZES[0]) or unit == "tokens"
